//! Apache Kafka's tool for consumer groups.

use super::{
    log::Log,
    program::{Beside, CONSUMER, GROUPS, Kafka},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_listed_described_set_back_and_deleted() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    log.append("orders", &["a", "b", "c"]).await;
    let groups = async |arguments: &str| kafka.run(&log, GROUPS, arguments).await;
    let consume = async |count: usize| {
        kafka.run(&log, CONSUMER, &format!("--topic orders --group readers --from-beginning --max-messages {count}")).await.done()
    };
    assert_eq!(consume(2).await, "a\nb\n");
    let (listed, described, nobody) =
        tokio::join!(groups("--list --state"), groups("--describe --group readers"), groups("--describe --group nobody"));
    assert_eq!(listed.row(&["readers"]), ["readers", "Empty"]);
    // Committed, end, lag.
    assert_eq!(described.row(&["readers", "orders", "0"])[3..6], ["2", "3", "1"]);
    assert!((nobody.out + &nobody.error).contains("there is no such group"));
    let set = groups("--group readers --topic orders --reset-offsets --to-offset 1 --execute").await;
    assert_eq!(set.row(&["readers", "orders", "0"])[3], "1");
    assert_eq!(consume(2).await, "b\nc\n", "it goes on where it was set back to");
    let shifted = groups("--group readers --topic orders --reset-offsets --shift-by -2 --dry-run").await;
    assert_eq!(shifted.row(&["readers", "orders", "0"])[3], "1");
    let deleted = groups("--group readers --topic orders:0 --delete-offsets").await;
    assert_eq!(deleted.row(&["orders", "0"])[2], "Successful");
    assert_eq!(consume(3).await, "a\nb\nc\n", "nothing is committed any more");
    assert_eq!(groups("--group readers --delete").await.done(), "Deletion of requested consumer groups ('readers') was successful.\n");
    assert_eq!(groups("--list").await.done().trim(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_members_is_shown_and_protected() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 2)]).await;
    log.append("orders", &["a"]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let member = kafka.on(&log, CONSUMER, "--topic orders --group readers --from-beginning --consumer-property client.id=reader");
    let member = Beside::start(member, directory.path(), "member");
    member.until("a record", |said| said.iter().any(|line| line == "a").then_some(())).await;
    let groups = async |arguments: &str| kafka.run(&log, GROUPS, arguments).await;
    let (state, members, reset, deleted, offsets) = tokio::join!(
        groups("--describe --group readers --state"),
        groups("--describe --group readers --members --verbose"),
        groups("--group readers --topic orders --reset-offsets --to-earliest --execute"),
        groups("--group readers --delete"),
        groups("--group readers --topic orders --delete-offsets"),
    );
    let row = state.row(&["readers"]);
    assert_eq!(
        (row[1].as_str(), &row[row.len() - 3..]),
        (log.address.as_str(), &["range", "Stable", "1"].map(str::to_owned)[..]),
        "{row:?}"
    );
    let row = members.row(&["readers"]);
    assert!(row[1].starts_with("reader-") && row.contains(&"reader".to_owned()) && row.contains(&"orders:0,1".to_owned()), "{row:?}");
    assert!((reset.out + &reset.error).contains("only be reset if the group 'readers' is inactive"));
    assert!((deleted.out + &deleted.error).contains("GroupNotEmptyException"));
    assert!((offsets.out + &offsets.error).contains("GroupNotEmptyException"));
    member.end().await;
    let described = groups("--describe --group readers").await;
    assert_eq!(described.row(&["readers", "orders", "0"])[3..6], ["1", "1", "0"], "it committed when it was ended");
}
