//! The barrier: it proves that an answer which leaves no record (a refusal, a repeat, a read) was right at some moment between its question
//! and now, though this writer may have been paused or cut off meanwhile.
//!
//! On a partition with one copy the log's end proves it: if the log ends where this writer's own records end, nobody else had claimed. On a
//! partition with several copies it does not: a leader that was deposed while cut off goes on reporting its old end. Only an
//! acknowledgement by the copies together is proof, so there the writer appends a record for it ([`Barrier::Append`]), which stands in the
//! run like an event: when it is acknowledged at its place, so is all before it, and nobody else has claimed.

use super::{Answer, Pending, Phase, Port, Writer, in_doubt, sabotage::left_out, unavailable};
use crate::{Accepted, LogError, envelope::proof, remembered::Remembered};
use codec::OwnerConfirmed;
use event_sourcing::Aggregate;
use std::collections::VecDeque;

/// How a writer proves that an answer which leaves no record is not out of date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Barrier {
    /// The log's end: right where the partition has one copy.
    #[default]
    End,
    /// A record of the writer's own, acknowledged by all copies: right everywhere, at the price of a record for each barrier. Events that
    /// are appended after the question prove as much, so a busy partition needs no such record.
    Append,
}

/// How often in a row the log's end may be answered as lower than what this writer has seen acknowledged: a new leader may answer an older
/// end for a moment. After that the log has lost records.
const LAGGING: u32 = 200;

/// The state of a resting answer's barrier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Unasked,
    Asked,
    /// Proved once everything below this offset is confirmed.
    Until(i64),
}

/// An answer that leaves no record and waits for its barrier.
pub(super) struct Resting<A: Aggregate> {
    pub seq: u64,
    pub pending: Pending<A>,
    pub answer: Answer,
    pub rests_on: i64,
    pub proof: Proof,
}

impl<A: Aggregate> Writer<A> {
    /// Takes the log's end, asked for after the resting answers were decided. They are proved once all below it is confirmed as this
    /// writer's own.
    pub fn barrier(&mut self, epoch: u64, end: Result<i64, LogError>, port: &mut impl Port) {
        if epoch != self.epoch || !matches!(self.phase, Phase::Writing { .. }) {
            return;
        }
        if matches!(end, Ok(end) if end >= self.asked_at) {
            self.lagging = 0;
        }
        match end {
            Ok(end) if end > self.next => {
                return self.doubt(&format!("the log ends at {end}, {} was due: somebody else wrote", self.next), port);
            }
            Ok(end) if end < self.asked_at && self.lagging >= LAGGING => {
                let at = self.asked_at;
                return self.doubt(&format!("the log ends at {end}, and this owner's records stood up to {at}: it has lost some"), port);
            }
            Ok(end) if end < self.asked_at => {
                self.lagging += 1;
                self.proved_by(Proof::Asked, |_| Proof::Unasked);
            }
            Ok(end) => self.proved_by(Proof::Asked, |rests_on| Proof::Until(rests_on.max(end))),
            Err(error) => self.give_up_resting(&error),
        }
        self.settle();
    }

    fn give_up_resting(&mut self, error: &LogError) {
        let (asked, rest) = std::mem::take(&mut self.resting).into_iter().partition(|resting| resting.proof == Proof::Asked);
        self.resting = rest;
        let asked: VecDeque<Resting<A>> = asked;
        for resting in asked {
            if resting.nothing().is_some() {
                self.flying.remove(&resting.pending.meta.command_id);
            }
            // A repeat repeats what was done; a refusal, or what has nothing to do, was not.
            let done = matches!(resting.answer, Ok(Accepted { repeated: true, .. }));
            resting.pending.answer(if done { in_doubt(&error.to_string(), 500) } else { unavailable(&error.to_string(), 500) });
        }
    }

    /// Asks for a proof for all resting answers that have none under way yet, one request at a time.
    pub(super) fn ask(&mut self, port: &mut impl Port) {
        if !matches!(self.phase, Phase::Writing { .. }) || !self.resting.iter().any(|resting| resting.proof == Proof::Unasked) {
            return;
        }
        if left_out("barrier") {
            self.proved_by(Proof::Unasked, Proof::Until);
            return self.settle();
        }
        match self.barrier {
            Barrier::End => self.ask_end(port),
            Barrier::Append if self.proofs.is_empty() && port.may_prove(self.commands_rest()) => self.append_proof(port),
            // The proof under way may have been appended before the question: the writer appends another when that one has landed, and
            // when it is time, so that those who wait share it.
            Barrier::Append => {}
        }
    }

    /// Whether a command waits for a proof, and not only strong reads.
    fn commands_rest(&self) -> bool {
        self.resting.iter().any(|resting| resting.proof == Proof::Unasked && resting.pending.command.is_some())
    }

    /// Takes what the log says of its copies. Once it needs records as proofs, questions for its end that are under way prove nothing.
    pub fn prove_by(&mut self, barrier: Option<Barrier>) {
        let barrier = barrier.unwrap_or(self.config.barrier);
        if self.barrier != barrier {
            tracing::info!(service = %self.fold.source.service, partition = self.fold.source.partition, ?barrier, "another read barrier");
            self.barrier = barrier;
            self.proved_by(Proof::Asked, |_| Proof::Unasked);
        }
    }

    fn ask_end(&mut self, port: &mut impl Port) {
        if self.resting.iter().any(|resting| resting.proof == Proof::Asked) {
            return;
        }
        self.proved_by(Proof::Unasked, |_| Proof::Asked);
        self.asked_at = self.acked_next;
        port.ask_end(self.epoch);
    }

    /// Appends a record that says only that this writer is still the owner.
    fn append_proof(&mut self, port: &mut impl Port) {
        let Phase::Writing { claim: run } = self.phase else { return };
        let (at, nonce) = (self.next, port.nonce());
        let event = OwnerConfirmed { owner: self.node.owner.clone() };
        match event.encode(&self.fold.schemas) {
            Ok(payload) => {
                self.send(proof(&self.fold.source.service, &nonce, port.now(), (run, at), payload), at);
                self.proofs.push_back((at, nonce));
            }
            Err(error) => {
                self.proved_by(Proof::Unasked, |_| Proof::Asked);
                self.give_up_resting(&LogError(error.to_string()));
            }
        }
    }

    /// A record of this writer's own was appended: once it is confirmed, it proves the answers that rest already.
    pub(super) fn appended(&mut self) {
        if self.barrier == Barrier::Append {
            let next = self.next;
            self.proved_by(Proof::Unasked, |_| Proof::Until(next));
        }
    }

    /// Moves the fold's checkpoint behind a proof that is confirmed.
    pub(super) fn take_proof(&mut self) {
        if let Some((at, nonce)) = self.proofs.pop_front_if(|(at, _)| *at < self.acked_next) {
            self.fold.pass(at, nonce);
        }
    }

    fn proved_by(&mut self, from: Proof, proof: impl Fn(i64) -> Proof) {
        for resting in self.resting.iter_mut().filter(|resting| resting.proof == from) {
            resting.proof = proof(resting.rests_on);
        }
    }

    /// Sends the resting answers that are proved.
    pub(super) fn settle(&mut self) {
        let confirmed = self.acked_next;
        let proved = |resting: &Resting<A>| matches!(resting.proof, Proof::Until(offset) if offset <= confirmed);
        while self.resting.front().is_some_and(proved) {
            let Some(resting) = self.resting.pop_front() else { break };
            self.attempts = 0;
            if let Some(nothing) = resting.nothing() {
                self.flying.remove(&resting.pending.meta.command_id);
                self.fold.known.remember(resting.pending.meta.command_id, nothing);
            }
            resting.pending.answer(resting.answer);
        }
    }
}

impl<A: Aggregate> Resting<A> {
    /// What to remember of a command that had nothing to do. It left no record, so only this owner knows of it; but a second delivery that
    /// was long on its way must not find something to do.
    pub fn nothing(&self) -> Option<Remembered> {
        let Self { pending, answer, .. } = self;
        match answer {
            Ok(Accepted { version, position, events: 0, repeated: false }) if pending.command.is_some() => {
                Some(pending.remembered(*version, position.offset, 0))
            }
            Ok(_) | Err(_) => None,
        }
    }
}
