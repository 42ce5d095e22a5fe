//! Behind PgBouncer in transaction mode, which has fewer sessions than one node asks for.

use super::{
    real::{ON_REAL_PARTS, Parts},
    settings::{said, tool},
    shop::Shop,
};
use std::process::Command;
use system_tests::process::{Daybook, free_port, required};

#[tokio::test(flavor = "multi_thread")]
async fn views_are_kept_and_proved_behind_a_pooler_that_lends_a_session_for_a_transaction() {
    let _alone = ON_REAL_PARTS.lock().await;
    let (Some(parts), Some(pooler)) = (Parts::named(), required("DAYBOOK_STACK_POOLER")) else { return };
    needs_the_setting(&pooler);
    let mut settings = parts.settings();
    settings.retain(|(name, _)| *name != "DAYBOOK_POSTGRES");
    settings.extend([("DAYBOOK_POSTGRES", pooler.as_str()), ("DAYBOOK_POSTGRES_POOLER", "transaction")]);
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::start(directory.path(), &[], &settings, &[]).await else { return };
    let name = format!("pooler-{}", uuid::Uuid::new_v4().simple());
    let shop = Shop::open(daybook.client(), &name, 10).await;
    shop.every_way_an_order_can_go().await;
    assert!(daybook.terminate());
    let proved = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"))
        .args(["replay", "orders", "payments", "--json"])
        .env("DAYBOOK_DATA", directory.path())
        .envs(settings.iter().copied().filter(|(name, _)| !["DAYBOOK_MAIL", "DAYBOOK_GATEWAY"].contains(name)))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&proved.stdout);
    assert!(proved.status.success() && said.contains("\"equal\":true"), "{said}{}", String::from_utf8_lossy(&proved.stderr));
    let log = std::fs::read_to_string(directory.path().join("daybook.log")).expect("a log");
    let trouble = log.lines().find(|line| line.contains("prepared statement") || line.contains("unsupported startup parameter"));
    assert_eq!(trouble, None);
}

/// Without the setting the start ends with a line that names it.
fn needs_the_setting(pooler: &str) {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port().to_string());
    let settings = [("DAYBOOK_POSTGRES", pooler), ("DAYBOOK_BROKER_PORT", &port), ("DAYBOOK_HTTP", "127.0.0.1:0")];
    let output = tool(directory.path(), &["run"], &settings);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("set DAYBOOK_POSTGRES_POOLER=transaction"), "{}", said(&output));
}
