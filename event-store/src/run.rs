//! The run rule: which records of a partition count. One pure function, shared by every reader.
//!
//! # The rule
//!
//! A record counts if it carries the current run and stands exactly at the next offset of it, and says so itself. The
//! first record that does not ends the run; nothing counts until the next claim. A group counts when it is whole.
//!
//! # Why it holds
//!
//! Let a run be named by the offset `c` of its claim. Only one claim can stand at `c`, and only its author learns from
//! the broker that it does, so records that carry `run = c` come from one writer, which decided each of them on the
//! fold of everything that counts below it: the writer gives its k-th record `at = c + k` only after it has
//! folded (speculatively) the records that it gave `c + 1 .. c + k - 1`, and it began on the fold of all that counts below
//! `c`.
//!
//! *Claim*: when the record at offset `o` counts, every record that its author folded before it counts as well, and
//! nothing else counts in between. By induction over the run: the record counts only if `next == o`, so all of
//! `c + 1 .. o - 1` carried the run and stood where they said. A lost record moves its followers down by one (`at != o`); a
//! doubled, foreign or reordered record takes an offset that the writer meant for another (`at != o` again, or `run` differs); each
//! ends the run at its own place, for every reader, because the decision needs only the log below `o`. A new claim ends the old run
//! likewise, so a writer that was paused adds nothing: whatever it flushes behind the claim carries a run that is not current.
//!
//! *Atomicity*: the records of one command carry `group = i/n` and stand side by side; they are held back until `n` of `n` has
//! counted, and dropped if the run ends before, so a command counts whole or not at all.
//!
//! The writer applies the same test to the broker's acknowledgements (the offset that came back is the one expected), so it acknowledges
//! exactly the records that readers count.

/// The place of a record in its writer's plan, as its headers state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The offset of the claim under which the record was written.
    pub run: i64,
    /// The offset that the writer expected the record to get.
    pub at: i64,
    /// Which record of its command this is, from 1.
    pub index: u32,
    /// How many records its command has, at least 1.
    pub of: u32,
}

/// The record at an offset, as far as the rule looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A claim of the partition: it begins a run named by its own offset.
    Claim,
    /// An event, or a proof of ownership, that states its place.
    Event(Place),
    /// Anything else: a record without our headers, or with headers that do not parse.
    Foreign,
}

/// The run that a reader is in: the claim's offset, and the offset of the next record that can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The offset of the claim, the run's name.
    pub claim: i64,
    /// The only offset at which the next record of this run can count.
    pub next: i64,
}

/// The rule's verdict on one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A claim: a run begins; drop the records that are held.
    Begins,
    /// Part of a group that is not whole yet: hold it back.
    Held,
    /// The last of its group: it and the records that are held count now.
    Counts,
    /// It does not count, and the run (if there was one) has ended: drop the records that are held.
    Ends,
}

/// The rule's state between two records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunRule {
    run: Option<Run>,
    held: u32,
}

impl RunRule {
    /// The state of a reader that stands before `next`, in the run of `claim` with nothing held back, or in none.
    pub fn resume(claim: Option<i64>, next: i64) -> Self {
        Self { run: claim.map(|claim| Run { claim, next }), held: 0 }
    }

    /// The current run, if there is one.
    pub fn run(&self) -> Option<Run> {
        self.run
    }

    /// How many records of an unfinished group are held back.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Takes the record at `offset` and says whether it counts.
    pub fn step(&mut self, offset: i64, mark: Mark) -> Verdict {
        match mark {
            Mark::Claim => self.begin(offset),
            Mark::Event(place) if self.continues(offset, place) => self.extend(offset, place),
            Mark::Event(_) | Mark::Foreign => self.end(),
        }
    }

    /// Whether the record at `offset` goes on with what was read before, whatever came between. One that does not may be the first that is
    /// read of a log that was rewritten: a claim, a record that breaks the run off, and in no run one that stands just where it was meant to.
    pub(crate) fn is_continued_by(&self, offset: i64, mark: Mark) -> bool {
        match mark {
            Mark::Claim => false,
            Mark::Event(place) if self.run.is_some() => self.continues(offset, place),
            Mark::Event(place) => place.at != offset,
            Mark::Foreign => self.run.is_none(),
        }
    }

    fn begin(&mut self, offset: i64) -> Verdict {
        *self = Self { run: Some(Run { claim: offset, next: offset + 1 }), held: 0 };
        Verdict::Begins
    }

    fn continues(&self, offset: i64, place: Place) -> bool {
        self.run == Some(Run { claim: place.run, next: offset })
            && place.at == offset
            && place.index == self.held + 1
            && place.index <= place.of
    }

    fn extend(&mut self, offset: i64, place: Place) -> Verdict {
        self.run = Some(Run { claim: place.run, next: offset + 1 });
        let whole = place.index == place.of;
        self.held = if whole { 0 } else { place.index };
        if whole { Verdict::Counts } else { Verdict::Held }
    }

    fn end(&mut self) -> Verdict {
        *self = Self::default();
        Verdict::Ends
    }
}
