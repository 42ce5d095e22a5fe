//! `growth`: what an owner costs as its log grows, against the same on a log that stays short.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Set},
    grown::{APPENDS, Grown},
    owning::Owned,
    render::short,
    stage::Stage,
};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The length of the short log, and those of the other.
const SHORT: i64 = 10_000;
const LENGTHS: [i64; 3] = [100_000, 1_000_000, 10_000_000];
/// After this time no further replay of the same length begins.
const REPLAYS: Duration = Duration::from_secs(600);

/// What is measured at each length.
const KINDS: [(&str, Measure, Aim); 4] = [
    ("start with nothing known", Measure::Rate, Aim::None),
    ("start with a snapshot", Measure::P50, Aim::AtMost(1.5)),
    ("1 client's append", Measure::P50, Aim::AtMost(1.5)),
    ("takeover by a standby", Measure::P50, Aim::AtMost(1.5)),
];

/// The long log and the short one, which are measured in turn.
struct Both {
    long: Grown,
    short: Grown,
}

impl Both {
    /// Starts without a snapshot, which leave snapshots; answers the last start of each log, the long log's first.
    async fn replays(&self, stage: &Stage, figure: &mut Figure) -> Result<[Owned; 2]> {
        let began = Instant::now();
        loop {
            let owned = [self.long.replay().await?, self.short.replay().await?];
            figure.runs.push(Pair { ours: owned[0].replay(), peer: owned[1].replay() });
            if figure.runs.len() >= stage.runs || began.elapsed() > REPLAYS {
                return Ok(owned);
            }
        }
    }

    /// Measures everything that needs a snapshot; answers the last start of each log, the long log's first.
    async fn warm(&self, stage: &Stage, [start, append, takeover]: [&mut Figure; 3]) -> Result<[Owned; 2]> {
        self.long.follow()?;
        self.short.follow()?;
        loop {
            let (ours, peer) = (self.long.warm(stage).await?, self.short.warm(stage).await?);
            start.runs.push(Pair { ours: ours.start.start(), peer: peer.start.start() });
            append.runs.push(Pair { ours: ours.append, peer: peer.append });
            takeover.runs.push(Pair { ours: ours.takeover, peer: peer.takeover });
            if start.runs.len() >= stage.runs {
                return Ok([ours.start, peer.start]);
            }
        }
    }

    /// The figures of the length that the long log has, and a note of each log.
    async fn measure(&self, stage: &Stage, length: i64) -> Result<([Figure; 4], [String; 2])> {
        let what = |kind| format!("{kind}, {} events", short(length as f64));
        let mut figures = KINDS.map(|(kind, measure, aim)| Figure::new(what(kind), "the same at 10,000 events", measure, aim));
        let [replay, start, append, takeover] = &mut figures;
        let replayed = self.replays(stage, replay).await?;
        let started = self.warm(stage, [start, append, takeover]).await?;
        let notes = [self.long.sizes(stage, &replayed[0], &started[0])?, self.short.sizes(stage, &replayed[1], &started[1])?];
        Ok((figures, notes))
    }
}

/// `growth`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("growth");
    let mut both = Both { long: Grown::new(stage, "long").await?, short: Grown::new(stage, "short").await? };
    both.short.grow(SHORT)?;
    for length in LENGTHS.into_iter().take(if stage.short { 1 } else { LENGTHS.len() }) {
        both.long.grow(length)?;
        let (figures, [note, of_short]) = both.measure(stage, length).await?;
        set.notes.extend(if set.notes.is_empty() { vec![of_short, note] } else { vec![note] });
        set.figures.extend(figures);
    }
    set.figures.sort_by_key(|figure| KINDS.iter().position(|(kind, ..)| figure.what.starts_with(kind)));
    set.notes.push(format!(
        "Files are in the page cache; an append is the median of {APPENDS}; no replay of a length is begun after {} s, so the longest may have fewer runs",
        REPLAYS.as_secs()
    ));
    Ok(set)
}
