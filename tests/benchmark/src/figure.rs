//! Figures: pairs of samples, their ratios, and whether these meet the aim.

use serde::{Deserialize, Serialize};

/// One side of one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Answers, records or rows a second.
    pub rate: f64,
    /// The median latency in microseconds; 0 where none was taken.
    pub p50: f64,
    /// The latency that 99 of 100 stay below, in microseconds; 0 where none was taken.
    pub p99: f64,
    /// The processors that this process kept busy meanwhile; 0 where others did the work.
    pub cores: f64,
}

/// Both sides of one run, measured one after the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// Daybook.
    pub ours: Sample,
    /// What it is measured against.
    pub peer: Sample,
}

/// Which of a pair's numbers are compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Our rate, divided by the peer's.
    Rate,
    /// Our rate for each busy processor, divided by the peer's.
    RatePerCore,
    /// The peer's median latency, divided by ours.
    FasterP50,
    /// Our median latency, divided by the peer's.
    P50,
    /// Our 99th percentile, divided by the peer's.
    P99,
}

impl Measure {
    /// The ratio of one run.
    pub fn ratio(self, Pair { ours, peer }: &Pair) -> f64 {
        match self {
            Self::Rate => ours.rate / peer.rate,
            Self::RatePerCore => (ours.rate / ours.cores) / (peer.rate / peer.cores),
            Self::FasterP50 => peer.p50 / ours.p50,
            Self::P50 => ours.p50 / peer.p50,
            Self::P99 => ours.p99 / peer.p99,
        }
    }

    /// What the ratio is of, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::RatePerCore => "rate for each processor",
            Self::FasterP50 => "times faster, p50",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }
}

/// What the ratio should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// No aim: the figure explains the others.
    None,
}

impl Aim {
    /// Whether a ratio is as it should be; none where nothing is aimed at.
    pub fn met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(ratio >= least),
            Self::AtMost(most) => Some(ratio <= most),
            Self::None => None,
        }
    }

    /// The aim as text.
    pub fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::None => String::new(),
        }
    }
}

/// One thing measured against another, several times in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// The cell: `32 clients`.
    pub what: String,
    /// What it is measured against.
    pub against: String,
    /// What is compared.
    pub measure: Measure,
    /// What the ratio should be.
    pub aim: Aim,
    /// The runs, in their order.
    pub runs: Vec<Pair>,
}

/// The least, the middle and the greatest of several numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one; of an even number, the lower of the two.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of some numbers; zeros of none.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        let last = sorted.len().saturating_sub(1);
        Self { min: at(0), median: at(last / 2), max: at(last) }
    }
}

impl Figure {
    /// A figure without runs yet.
    pub fn new(what: impl Into<String>, against: impl Into<String>, measure: Measure, aim: Aim) -> Self {
        Self { what: what.into(), against: against.into(), measure, aim, runs: Vec::new() }
    }

    /// The runs' ratios.
    pub fn ratios(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| self.measure.ratio(run)))
    }

    /// One number of the runs.
    pub fn spread(&self, number: impl Fn(&Pair) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(number))
    }
}

/// The figures of one command, with when and where they were taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Set {
    /// The name that the command takes: `append`.
    pub name: String,
    /// The day.
    pub taken: String,
    /// The machine and the versions, and what else ran.
    pub conditions: String,
    /// The settings that the run itself chose for a side: `linger.ms=1`.
    pub notes: Vec<String>,
    /// The figures.
    pub figures: Vec<Figure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ours: f64, peer: f64) -> Pair {
        let sample = |rate: f64| Sample { rate, p50: 1e6 / rate, p99: 2e6 / rate, cores: 1.0 };
        Pair { ours: sample(ours), peer: sample(peer) }
    }

    #[test]
    fn a_ratio_is_taken_run_by_run() {
        let runs = vec![pair(50.0, 100.0), pair(90.0, 100.0), pair(30.0, 40.0)];
        let figure = Figure { runs, ..Figure::new("1 client", "a bare one", Measure::Rate, Aim::AtLeast(0.7)) };
        assert_eq!(figure.ratios(), Spread { min: 0.5, median: 0.75, max: 0.9 });
        assert_eq!(figure.aim.met(figure.ratios().median), Some(true));
    }

    #[test]
    fn faster_is_more_and_slower_is_more() {
        let run = pair(200.0, 100.0);
        assert_eq!((Measure::FasterP50.ratio(&run), Measure::P50.ratio(&run), Measure::RatePerCore.ratio(&run)), (2.0, 0.5, 2.0));
        assert_eq!(Aim::AtMost(3.0).met(3.5), Some(false));
    }
}
