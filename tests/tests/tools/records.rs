//! Apache Kafka's tools that write and read records.

use super::{
    log::Log,
    program::{CONSUMER, Kafka, OFFSETS, PERFORMANCE, PRODUCER, run},
};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn the_console_reads_what_it_has_written_by_offset_and_by_group() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    let produce =
        kafka.on(&log, PRODUCER, "--topic orders --property parse.key=true --property key.separator=: --property parse.headers=true");
    run(produce, "kind:test,n:1\tada:one\nkind:test,n:2\tbob:two\nkind:test,n:3\tcyd:three\n").await.done();
    let shown = "--property print.key=true --property print.offset=true --property print.partition=true --property print.headers=true";
    let consume = async |how: &str| kafka.run(&log, CONSUMER, &format!("--topic orders {shown} {how}")).await;
    let (from, first) =
        tokio::join!(consume("--partition 0 --offset 1 --max-messages 2"), consume("--group readers --from-beginning --max-messages 2"),);
    let row = |offset: usize| {
        let (key, value) = [("ada", "one"), ("bob", "two"), ("cyd", "three")][offset];
        format!("Partition:0\tOffset:{offset}\tkind:test,n:{}\t{key}\t{value}\n", offset + 1)
    };
    assert_eq!(from.done(), row(1) + &row(2));
    assert_eq!(first.done(), row(0) + &row(1));
    let second = consume("--group readers --max-messages 1").await;
    assert_eq!(second.done(), row(2), "the group goes on where it committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_listed_by_place_and_by_time() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    log.append("orders", &["a", "b", "c"]).await;
    let at = async |time: &str| kafka.run(&log, OFFSETS, &format!("--topic orders --time {time}")).await.done();
    let (earliest, latest, newest, between, exact, later) =
        tokio::join!(at("earliest"), at("latest"), at("max-timestamp"), at("1001"), at("3000"), at("3001"));
    assert_eq!([earliest, latest, newest], ["orders:0:0\n", "orders:0:3\n", "orders:0:2\n"]);
    // The tool leaves a partition out that has no record so late.
    assert_eq!([between, exact, later], ["orders:0:1\n", "orders:0:2\n", ""]);
}

const RECORDS: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_performance_tool_loses_and_doubles_nothing_whatever_the_codec() {
    let Some(kafka) = Kafka::named() else { return };
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let log = Log::serve(&codecs.map(|codec| (codec, 1))).await;
    let write = async |codec: &str| {
        let mut command = kafka.java();
        let properties = format!("bootstrap.servers={} acks=all enable.idempotence=true linger.ms=5 compression.type={codec}", log.address);
        command.args([PERFORMANCE, "--topic", codec, "--num-records", &RECORDS.to_string(), "--throughput", "-1"]);
        // The value of each record is its number.
        command.args(["--payload-monotonic", "--producer-props"]).args(properties.split(' '));
        let said = run(command, "").await.done();
        assert!(said.contains(&format!("{RECORDS} records sent")), "{said}");
    };
    let read = async |codec: &str| {
        let how = format!("--topic {codec} --partition 0 --offset earliest --max-messages {RECORDS} --property print.offset=true");
        kafka.run(&log, CONSUMER, &how).await.done()
    };
    let expected: String = (0..RECORDS).map(|number| format!("Offset:{number}\t{number}\n")).collect();
    let check = async |number: u8, codec: &str| {
        write(codec).await;
        assert!(read(codec).await == expected, "{codec}");
        assert_eq!(log.codecs(codec), BTreeSet::from([number]), "{codec}");
    };
    tokio::join!(check(0, "none"), check(1, "gzip"), check(2, "snappy"), check(3, "lz4"), check(4, "zstd"));
    let ends = kafka.run(&log, OFFSETS, "").await.sorted();
    assert_eq!(ends, ["gzip", "lz4", "none", "snappy", "zstd"].map(|codec| format!("{codec}:0:{RECORDS}")));
}
