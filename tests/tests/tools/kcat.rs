//! kcat, whose client is older than the one that we use.

use super::{
    log::Log,
    program::{Beside, Kcat, run},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn kcat_lists_the_broker_and_its_topics() {
    let Some(kcat) = Kcat::installed() else { return };
    let log = Log::serve(&[("orders", 2), ("users", 1)]).await;
    let listed: Value = serde_json::from_str(&kcat.run(&log, "-L -J").await.done()).expect("JSON");
    assert_eq!(listed["brokers"], json!([{"id": 1, "name": log.address}]));
    let partition = |number: i32| json!({"partition": number, "leader": 1, "replicas": [{"id": 1}], "isrs": [{"id": 1}]});
    let topics = json!([{"topic": "orders", "partitions": [partition(0), partition(1)]}, {"topic": "users", "partitions": [partition(0)]}]);
    assert_eq!(listed["topics"], topics);
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_reads_what_it_has_written_from_any_offset_on() {
    let Some(kcat) = Kcat::installed() else { return };
    let log = Log::serve(&[("orders", 2)]).await;
    run(kcat.on(&log, "-P -t orders -p 1 -K: -H kind=test -H n=2"), "ada:one\nbob:two\ncyd:three\n").await.done();
    let read = async |more: &str| {
        let mut command = kcat.on(&log, "-C -t orders -p 1 -e -q");
        command.args(more.split_whitespace()).args(["-f", "%p %o %k %s %h\\n"]);
        run(command, "").await.done()
    };
    let all = "1 0 ada one kind=test,n=2\n1 1 bob two kind=test,n=2\n1 2 cyd three kind=test,n=2\n";
    assert_eq!(read("-o beginning").await, all);
    assert_eq!(read("-o 1 -c 1").await, "1 1 bob two kind=test,n=2\n");
    assert_eq!(read("-o -1").await, "1 2 cyd three kind=test,n=2\n");
    assert_eq!(kcat.run(&log, "-C -t orders -p 0 -e -q").await.done(), "", "the other partition has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_writes_and_reads_with_every_codec_that_debian_gives_it() {
    let Some(kcat) = Kcat::installed() else { return };
    let log = Log::serve(&[("gzip", 1), ("snappy", 1), ("lz4", 1)]).await;
    // Long enough for a compressed batch to be the smaller one: librdkafka sends it uncompressed otherwise.
    let values: Vec<String> = (0..50).map(|number| format!("{number}-{}", "x".repeat(100))).collect();
    for (number, codec) in (1..).zip(["gzip", "snappy", "lz4"]) {
        let sent = kcat.on(&log, &format!("-P -t {codec} -p 0 -z {codec} -X linger.ms=200"));
        run(sent, &(values.join("\n") + "\n")).await.done();
        assert_eq!(log.codecs(codec), BTreeSet::from([number]), "{codec}");
        let read = kcat.run(&log, &format!("-C -t {codec} -p 0 -e -q -X check.crcs=true")).await.done();
        assert_eq!(read.lines().collect::<Vec<_>>(), values, "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_looks_offsets_up_by_time() {
    let Some(kcat) = Kcat::installed() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    log.append("orders", &["a", "b", "c"]).await;
    for (time, offset) in [(-2, 0), (-1, 3), (1_000, 0), (1_001, 1), (2_000, 1), (3_000, 2), (3_001, -1)] {
        let found = kcat.run(&log, &format!("-Q -t orders:0:{time}")).await.done();
        assert_eq!(found, format!("orders [0] offset {offset}\n"), "at {time}");
    }
}

/// The partitions that a member has now.
fn assigned(said: &[String]) -> BTreeSet<u32> {
    let Some((_, list)) = said.iter().rev().find_map(|line| line.split_once("assigned: ")).filter(|_| !is_revoked(said)) else {
        return BTreeSet::new();
    };
    list.split("orders [").skip(1).map(|part| part.split(']').next().and_then(|number| number.parse().ok()).expect("a number")).collect()
}

fn is_revoked(said: &[String]) -> bool {
    said.iter().rfind(|line| line.contains("rebalanced")).is_some_and(|line| line.contains("revoked"))
}

/// The records that a member has printed: partition, offset, value.
fn records(said: &[String]) -> Vec<&str> {
    said.iter().map(String::as_str).filter(|line| !line.starts_with('%')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kcats_share_a_groups_partitions_and_go_on_where_it_committed() {
    let Some(kcat) = Kcat::installed() else { return };
    let log = Log::serve(&[("orders", 4)]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let member = |name: &str| {
        let mut command = kcat.on(&log, "-u -X auto.offset.reset=earliest -X heartbeat.interval.ms=200 -f");
        command.args(["%p %o %s\\n", "-G", "readers", "orders"]);
        Beside::start(command, directory.path(), name)
    };
    let produce = async |value: &str| {
        for partition in 0..4 {
            run(kcat.on(&log, &format!("-P -t orders -p {partition}")), &format!("{value}\n")).await.done();
        }
    };
    let (one, two) = (member("one"), member("two"));
    let shares =
        async |member: &Beside| member.until("half of the partitions", |said| Some(assigned(&said)).filter(|all| all.len() == 2)).await;
    let both = [shares(&one).await, shares(&two).await];
    assert_eq!(both.iter().flatten().collect::<BTreeSet<_>>().len(), 4, "{both:?}");
    produce("before").await;
    for (member, share) in [&one, &two].into_iter().zip(&both) {
        let expected: Vec<String> = share.iter().map(|partition| format!("{partition} 0 before")).collect();
        let mut found = member
            .until("its records", |said| {
                Some(records(&said).iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).filter(|all| all.len() >= 2)
            })
            .await;
        found.sort();
        assert_eq!(found, expected);
    }
    one.end().await;
    two.end().await;
    produce("after").await;
    let third = member("three");
    third.until("all that is new", |said| Some(()).filter(|()| records(&said).len() >= 4)).await;
    let said = third.end().await;
    let mut found = records(&said);
    found.sort_unstable();
    assert_eq!(found, ["0 1 after", "1 1 after", "2 1 after", "3 1 after"]);
}
