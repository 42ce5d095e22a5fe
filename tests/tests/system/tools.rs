//! Tools that have nothing to work on, or would disturb each other.

use super::shop::Shop;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};
use system_tests::process::{Daybook, free_port, required, tool};

/// The tools that read a data directory.
const READERS: [&[&str]; 4] = [&["verify"], &["replay"], &["rebuild", "orders"], &["copy", "--to", "127.0.0.1:1"]];

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && said.lines().count() == 1, "{said}");
    said
}

fn entries(directory: &Path) -> usize {
    directory.read_dir().expect("it is there").count()
}

#[test]
fn a_tool_of_nothing_says_so_and_makes_nothing() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let (empty, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    std::fs::create_dir(other.path().join("broker")).expect("a directory");
    std::fs::write(other.path().join("broker/meta.properties"), "another program's").expect("a file");
    let missing = empty.path().join("no/such/directory");
    for words in READERS {
        for directory in [empty.path(), other.path(), &missing] {
            let said = refused(&tool(&program, directory, free_port(), words));
            assert!(said.contains("DAYBOOK_DATA") && said.contains(&*directory.display().to_string()), "{words:?}: {said}");
        }
        assert_eq!((entries(empty.path()), entries(other.path()), entries(&other.path().join("broker"))), (0, 1, 1), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_finds_the_log_that_it_was_asked_about_or_none() {
    let (mine, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (port, another) = (free_port(), free_port());
    let Some(daybook) = Daybook::embedded(mine.path(), port).await else { return };
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    let verified = tool(&program, mine.path(), port, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
    let elsewhere = refused(&tool(&program, mine.path(), another, &["verify"]));
    assert!(elsewhere.contains(&daybook.id().to_string()) && elsewhere.contains("DAYBOOK_BROKER_PORT"), "{elsewhere}");
    assert!(Daybook::embedded(other.path(), another).await.expect("it was there before").terminate());
    let foreign = refused(&tool(&program, other.path(), port, &["verify"]));
    assert!(foreign.contains("another log") && foreign.contains(&port.to_string()), "{foreign}");
    std::fs::remove_dir_all(other.path().join("views")).expect("the views are removed");
    let no_views = refused(&tool(&program, other.path(), another, &["replay"]));
    assert!(no_views.contains("the database of") && !other.path().join("views").exists(), "{no_views}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replays_at_once_the_second_is_told_of_the_first() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    let shop = Shop::open(daybook.client(), "twice", 10).await;
    let order = shop.order("twice", 1, "card").await;
    shop.ended(&order, "confirmed").await;
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    let replay = || {
        let mut command = Command::new(&program);
        for name in ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"] {
            command.env_remove(name);
        }
        command.arg("replay").env("DAYBOOK_DATA", directory.path()).env("DAYBOOK_BROKER_PORT", port.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    };
    let mut met = 0;
    for _ in 0..5 {
        let both = [replay(), replay()];
        let ids = both.each_ref().map(std::process::Child::id);
        let [first, second] = both.map(|child| child.wait_with_output().expect("it ends"));
        for (output, other) in [(&first, ids[1]), (&second, ids[0])] {
            if output.status.code() != Some(0) {
                let said = refused(output);
                assert!(said.contains("replay") && said.contains(&other.to_string()), "{said}");
                met += 1;
            }
        }
        assert!(first.status.success() || second.status.success(), "one of them goes on");
    }
    assert!(met > 0, "two that begin at the same moment meet");
    assert!(daybook.terminate());
}
