//! Figures as a table, in the terminal and in docs/performance.md; both are made from the JSON alone.

use crate::figure::{Figure, Pair, Sample, Set, Spread};
use anyhow::{Context, Result};
use std::{fmt::Write, path::Path};

/// A number with its significant digits only.
pub fn short(number: f64) -> String {
    match number {
        number if number >= 1_000.0 => thousands(number.round() as u64),
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

fn thousands(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1_000), number % 1_000) }
}

fn latency(p50: f64, p99: f64) -> String {
    let millis = |micros: f64| short(micros / 1_000.0);
    match (p50, p99) {
        (0.0, _) => "-".to_owned(),
        (p50, 0.0) => millis(p50),
        (p50, p99) => format!("{} / {}", millis(p50), millis(p99)),
    }
}

/// The sets whose both sides are this process's own work, so that its processor time says what each answer costs.
const IN_PROCESS: [&str; 7] = ["append", "append3", "transactions", "replay", "views", "growth", "partitions"];

/// The rate, and the processor time that each answer took; where there is no rate, nothing.
fn rate(figure: &Figure, in_process: bool, of: fn(&Pair) -> Sample) -> String {
    let rate = figure.spread(|run| of(run).rate).median;
    if rate == 0.0 {
        return "-".to_owned();
    }
    let rate = short(rate);
    let micros = figure.spread(|run| of(run).cores * 1e6 / of(run).rate).median;
    if in_process && micros > 0.0 { format!("{rate} ({} µs)", short(micros)) } else { rate }
}

fn row(figure: &Figure, in_process: bool) -> String {
    let side = |of: fn(&Pair) -> Sample| {
        let (p50, p99) = (figure.spread(|run| of(run).p50).median, figure.spread(|run| of(run).p99).median);
        format!("{} | {}", rate(figure, in_process, of), latency(p50, p99))
    };
    let Spread { min, median, max } = figure.ratios();
    let met = match figure.aim.met(median) {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "",
    };
    let (ours, peer) = (side(|run| run.ours), side(|run| run.peer));
    let ratio = format!("{} **{}** {}", short(min), short(median), short(max));
    format!("{} | {} | {ours} | {peer} | {}: {ratio} | {} {met}", figure.what, figure.against, figure.measure.words(), figure.aim.words())
}

/// A set's table, in Markdown.
pub fn table(set: &Set) -> String {
    let mut text = String::from("what | against | Daybook /s | p50 / p99 ms | peer /s | p50 / p99 ms | ratio: min **median** max | aim\n");
    text.push_str("--- | --- | --- | --- | --- | --- | --- | ---\n");
    let in_process = IN_PROCESS.contains(&set.name.as_str());
    set.figures.iter().for_each(|figure| text.push_str(&format!("{}\n", row(figure, in_process).trim_end())));
    let runs = set.figures.iter().map(|figure| figure.runs.len()).min().unwrap_or(0);
    let _ = write!(text, "\n{runs} runs, taken {}: {}.", set.taken, set.conditions);
    set.notes.iter().for_each(|note| text.push_str(&format!(" {note}.")));
    text.push('\n');
    text
}

/// Puts the sets' tables and pictures where the document has their marks.
pub fn document(path: &Path, sets: &[Set]) -> Result<()> {
    let shown = |set: &Set| format!("{}\n![{1}](figures/{1}.svg)\n", table(set), set.name);
    let parts: Vec<(&str, String)> = sets.iter().map(|set| (set.name.as_str(), shown(set))).collect();
    between(path, &parts)
}

/// Puts each text between the marks of its name.
pub fn between(path: &Path, parts: &[(&str, String)]) -> Result<()> {
    let mut text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    for (name, part) in parts {
        let (begin, end) = (format!("<!-- figures {name} -->\n"), format!("<!-- end {name} -->"));
        let (before, rest) = text.split_once(&begin).with_context(|| format!("{} has no place for {name}", path.display()))?;
        let (_, after) = rest.split_once(&end).with_context(|| format!("{} has no end of {name}", path.display()))?;
        text = format!("{before}{begin}{part}{end}{after}");
    }
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Aim, Measure};

    #[test]
    fn what_was_not_taken_is_a_dash() {
        let time = |micros| Sample { rate: 0.0, p50: micros, p99: 0.0, cores: 0.0 };
        let runs = vec![Pair { ours: time(3_000.0), peer: time(2_000.0) }];
        let figure = Figure { runs, ..Figure::new("a start", "a short one", Measure::P50, Aim::AtMost(2.0)) };
        assert_eq!(row(&figure, true), "a start | a short one | - | 3.00 | - | 2.00 | p50: 1.50 **1.50** 1.50 | ≤ 2 met");
    }

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        let shown = [1_234_567.0, 1_000.4, 123.4, 12.34, 1.234].map(short);
        assert_eq!(shown, ["1,234,567", "1,000", "123", "12.3", "1.23"]);
    }
}
