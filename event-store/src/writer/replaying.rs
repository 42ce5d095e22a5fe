//! Between the claim and the first decision: the log is read up to the claim, and found out to be the one that was folded.

use super::{Phase, Port, Writer, sabotage};
use crate::{RawRecord, log::LogError};
use event_sourcing::Aggregate;

/// What a record is to a replay.
enum Read {
    /// The next to fold.
    Next,
    /// It was folded before.
    Known,
    /// Records before it did not come.
    AfterGap,
    /// Another one stood there when it was folded.
    OfAnotherLog,
}

impl<A: Aggregate> Writer<A> {
    /// Step 2. The claim stands at `offset`: read the log up to it, from the record before the fold's checkpoint, which shows whether the log
    /// is still the one that was folded.
    pub(super) fn claimed(&mut self, offset: i64, port: &mut impl Port) {
        self.phase = Phase::Replaying { claim: offset };
        self.fold.rewind();
        if offset < self.fold.checkpoint.next {
            return self.went_back(&format!("a claim got offset {offset}"), port);
        }
        self.read(port);
    }

    fn read(&mut self, port: &mut impl Port) {
        self.anchored = self.fold.checkpoint.next == 0;
        self.reading = (self.fold.checkpoint.next - 1).max(0);
        port.read(self.epoch, self.reading);
    }

    /// The log has lost records that were folded: nothing is decided on them.
    fn went_back(&mut self, why: &str, port: &mut impl Port) {
        self.fold.forget(why);
        port.went_back();
        self.read(port);
    }

    /// Takes records of the log, in order, while replaying. After its own claim the writer writes.
    pub fn replayed(&mut self, epoch: u64, records: Result<Vec<RawRecord>, LogError>, port: &mut impl Port) {
        let Phase::Replaying { claim } = self.phase else { return };
        if epoch != self.epoch {
            return;
        }
        match records {
            Err(error) => self.retry_claim(&error.to_string(), port),
            Ok(records) => {
                for record in records.into_iter().take_while(|record| record.offset <= claim) {
                    let offset = record.offset;
                    match self.next_read(&record) {
                        Read::Next => {}
                        Read::Known => continue,
                        Read::AfterGap => return self.retry_claim(&format!("{offset} came where {} was due", self.reading), port),
                        Read::OfAnotherLog => return self.went_back(&format!("another record stands at {offset}"), port),
                    }
                    let nonce = self.fold.fold(record);
                    if offset == claim {
                        self.enter(claim, nonce, port);
                        return;
                    }
                }
            }
        }
    }

    /// Judges a record that a replay has read.
    fn next_read(&mut self, record: &RawRecord) -> Read {
        match record.offset.cmp(&self.reading) {
            std::cmp::Ordering::Less => Read::Known,
            std::cmp::Ordering::Greater => Read::AfterGap,
            std::cmp::Ordering::Equal if self.anchored => {
                self.reading += 1;
                Read::Next
            }
            std::cmp::Ordering::Equal if self.fold.stands_on(record) || sabotage::left_out("anchor") => {
                self.reading += 1;
                self.anchored = true;
                Read::Known
            }
            std::cmp::Ordering::Equal => Read::OfAnotherLog,
        }
    }
}
