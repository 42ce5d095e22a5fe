//! Handing records to the log in batches, and finding the record that the log never takes.
//!
//! A broker that finds a batch too large, or a record of it invalid, rejects all of it. The run ends there, as at any doubt: the writer claims
//! anew and decides again. It then hands on half as much at once, until the culprit stands alone and is rejected alone. That command gets its
//! answer after the next claim, when the log has shown that none of its events counts.

use super::{Flight, Port, Writer, unavailable};
use crate::{
    Append,
    log::{NotQueued, Rejection, Tag, Unsent},
};
use event_sourcing::Aggregate;

/// As many bytes as one batch of the log's client holds: a little less than a topic takes by default.
const MOST_BYTES: usize = 900_000;
/// What a record costs beside its key, payload and headers: its lengths and its place in the batch, and as much for each header.
const OVERHEAD: usize = 70;
/// What the lengths of a header cost.
const OF_A_HEADER: usize = 3;
/// A window that was halved is doubled again after so many batches that landed.
const REGROW: u32 = 1_000;

/// How many bytes of records are handed to the log at once; the next follow when they have landed.
pub(super) struct Window {
    most: usize,
    landed: u32,
    /// Behind the last record that was handed on.
    until: i64,
    bytes: usize,
    /// The sizes of the records that were handed on last.
    sizes: Vec<usize>,
}

impl Default for Window {
    fn default() -> Self {
        Self { most: MOST_BYTES, landed: 0, until: 0, bytes: 0, sizes: Vec::new() }
    }
}

impl Window {
    /// Whether records that were handed on have not landed yet.
    fn is_open(&self, acked_next: i64) -> bool {
        acked_next < self.until
    }

    /// How many records fit, one at least, and their bytes together.
    fn take(&mut self, outbox: &[(Append, Tag)]) -> (usize, usize) {
        self.sizes.clear();
        let mut bytes = 0;
        for (record, _) in outbox {
            let size = size_of(record);
            if !self.sizes.is_empty() && bytes + size > self.most {
                break;
            }
            bytes += size;
            self.sizes.push(size);
        }
        (self.sizes.len(), bytes)
    }

    /// Records up to `until` were handed on.
    pub fn sent(&mut self, until: i64, bytes: usize) {
        (self.until, self.bytes) = (until, bytes);
    }

    /// Everything below `acked_next` has landed.
    pub fn landed(&mut self, acked_next: i64) {
        if acked_next < self.until || self.most == MOST_BYTES {
            return;
        }
        self.landed += 1;
        if self.landed >= REGROW {
            (self.landed, self.most) = (0, (self.most * 2).min(MOST_BYTES));
        }
    }

    fn halve(&mut self) {
        (self.landed, self.most) = (0, (self.bytes / 2).max(1));
    }

    /// Whether the record meant for `at` was handed on without another.
    fn is_alone(&self, at: i64, acked_next: i64) -> bool {
        self.sizes.len() == 1 && at == acked_next && at + 1 == self.until
    }

    fn bytes_of(&self, at: i64) -> usize {
        let first = self.until - self.sizes.len() as i64;
        usize::try_from(at - first).ok().and_then(|index| self.sizes.get(index)).copied().unwrap_or_default()
    }
}

/// About as many bytes as the record has in a batch.
fn size_of(Append { key, payload, headers }: &Append) -> usize {
    let of_headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + OF_A_HEADER).sum();
    key.len() + payload.len() + of_headers + OVERHEAD
}

impl<A: Aggregate> Flight<A> {
    /// Whether the record meant for `at` is one of its own.
    fn holds(&self, at: i64) -> bool {
        (self.first()..=self.remembered.offset).contains(&at)
    }
}

impl<A: Aggregate> Writer<A> {
    /// Puts the next record of the run into the outbox. It leaves with the others of its batch, one right behind another, so that the log's
    /// client finds them all when it wakes up, and sends them together.
    pub(super) fn send(&mut self, record: Append, at: i64) {
        self.outbox.push((record, Tag { epoch: self.epoch, at }));
        self.next = at + 1;
        self.appended();
    }

    /// Hands as many records of the outbox to the log as the window takes, once those before them have landed.
    pub(super) fn flush(&mut self, port: &mut impl Port) {
        if self.outbox.is_empty() || self.window.is_open(self.acked_next) {
            return;
        }
        let (count, bytes) = self.window.take(&self.outbox);
        let behind = self.outbox.split_off(count);
        let now = std::mem::replace(&mut self.outbox, behind);
        self.window.sent(self.acked_next + count as i64, bytes);
        if let Err(unsent) = port.append_all(now) {
            self.not_sent(unsent, port);
        }
    }

    /// A record could not be queued, so the run ends before it. Its command is answered if none of its records left, or if the client is
    /// broken; the part of a group that left will not count. All other commands are decided again.
    fn not_sent(&mut self, Unsent { at, why }: Unsent, port: &mut impl Port) {
        if let NotQueued::Never(rejection) = why {
            self.mark(at, rejection, self.window.bytes_of(at));
        }
        let gone = |flight: &Flight<A>| flight.first() == at && why == NotQueued::Full || why == NotQueued::Broken && flight.holds(at);
        if let Some(flight) = self.flights.iter().position(gone).and_then(|index| self.flights.remove(index)) {
            flight.pending.answer(unavailable(&why.to_string(), 100));
        }
        self.doubt(&format!("a record could not be queued: {why}"), port);
    }

    /// The log does not take the batch in which the record meant for `at` was. If that record was alone, its command is answered once the
    /// log has been read up to the next claim; otherwise the next batches are half as large, until the culprit stands alone.
    pub(super) fn rejected(&mut self, at: i64, rejection: Rejection, port: &mut impl Port) {
        if self.window.is_alone(at, self.acked_next) {
            self.mark(at, rejection, self.window.bytes_of(at));
        } else {
            self.window.halve();
        }
        // Each rejection brings the culprit nearer, so the next claim need not wait.
        self.attempts = 0;
        self.doubt(&format!("the log does not take a batch: {rejection}"), port);
    }

    fn mark(&mut self, at: i64, rejection: Rejection, bytes: usize) {
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.holds(at)) {
            flight.pending.rejected = Some((rejection, bytes));
        }
    }
}
