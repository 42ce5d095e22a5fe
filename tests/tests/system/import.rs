//! A merchant's real invoices, through the public API: once, twice, and cut off in the middle.

use serde_json::Value;
use std::{
    io::{BufRead, Read},
    path::Path,
    process::{Command, Stdio},
};
use system_tests::process::{Daybook, eventually, free_port, required};

/// The first so many lines of the real year, with the header.
fn sample(directory: &Path, lines: usize) -> std::path::PathBuf {
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/online-retail/online-retail-sample.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(packed).expect("the example is there")).read_to_string(&mut text).expect("it unpacks");
    let path = directory.join("invoices.csv");
    std::fs::write(&path, text.lines().take(lines + 1).collect::<Vec<_>>().join("\n") + "\n").expect("the sample is written");
    path
}

fn importing(daybook: &Daybook, file: &Path, report: &Path) -> Command {
    let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    command
        .arg("import")
        .arg(file)
        .args(["--url", &daybook.url, "--json", "--report"])
        .arg(report)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn summary(mut command: Command) -> Value {
    let output = command.output().expect("the import runs");
    assert!(output.status.success(), "{:?}", output.status);
    let mut summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    summary.as_object_mut().expect("an object").remove("seconds");
    summary
}

async fn events(daybook: &Daybook) -> u64 {
    let (_, metrics) = daybook.client().get("/health/ready").await.expect("an answer");
    assert_eq!(metrics["status"], "ready");
    let text = reqwest::get(format!("{}/metrics", daybook.url)).await.expect("metrics").text().await.expect("text");
    text.lines()
        .filter(|line| line.starts_with("daybook_log_end_offset{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_exact_and_a_second_one_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let (file, report) = (sample(directory.path(), 1500), directory.path().join("report.jsonl"));
    cut_off(&daybook, &file, &report).await;
    let first = summary(importing(&daybook, &file, &report));
    agrees(&first, &file, &report);
    let quiet = settled(&daybook).await;
    let second = summary(importing(&daybook, &file, &report));
    assert_eq!(first, second);
    assert_eq!(settled(&daybook).await, quiet, "the second import appended nothing");
}

/// The log's length once it has stopped growing. The metric follows the log by seconds, so it must stand for longer than that.
async fn settled(daybook: &Daybook) -> u64 {
    let (mut last, mut since) = (0, std::time::Instant::now());
    eventually("the log stops growing", async || {
        let now = events(daybook).await;
        if std::mem::replace(&mut last, now) != now {
            since = std::time::Instant::now();
        }
        (since.elapsed() > std::time::Duration::from_secs(5)).then_some(now)
    })
    .await
}

/// Kills an import once it has placed some orders.
async fn cut_off(daybook: &Daybook, file: &Path, report: &Path) {
    let mut child = importing(daybook, file, report).spawn().expect("the import runs");
    let client = daybook.client();
    eventually("some orders are placed", async || {
        let (_, page) = client.get("/orders?limit=20").await?;
        (page["items"].as_array()?.len() >= 20).then_some(())
    })
    .await;
    child.kill().expect("the import can be killed");
    child.wait().expect("the import ends");
}

/// The totals are the sums over the lines that are not in the report.
fn agrees(summary: &Value, file: &Path, report: &Path) {
    let report = std::io::BufReader::new(std::fs::File::open(report).expect("the report is there"));
    let left_out: Vec<u64> = report
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON")["line"].as_u64().expect("a number"))
        .collect();
    let mut reader = csv::Reader::from_path(file).expect("the sample is there");
    let (mut lines, mut units, mut pence) = (0, 0_i64, 0_i64);
    for record in reader.records().map(|record| record.expect("a record")) {
        let line = record.position().expect("a position").line();
        if !left_out.contains(&line) {
            let (quantity, price): (i64, f64) = (record[3].parse().expect("a quantity"), record[5].parse().expect("a price"));
            (lines, units, pence) = (lines + 1, units + quantity, pence + quantity * (price * 100.0).round() as i64);
        }
    }
    assert_eq!(summary["imported_lines"], lines);
    assert_eq!(summary["skipped_lines"], left_out.len());
    assert_eq!(summary["lines"], lines + left_out.len());
    assert_eq!((&summary["units"], &summary["revenue"]["GBP"]), (&units.into(), &pence.into()));
}
