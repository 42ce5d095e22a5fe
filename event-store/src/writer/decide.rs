//! Deciding: from a command to its records, or to an answer that leaves no record.

use super::{
    Answer, Flight, Pending, Port, Speculative, Writer,
    barrier::{Proof, Resting},
    sabotage::left_out,
    unavailable,
};
use crate::{
    CommandError, Refused, Rejected, envelope::EventHeaders, guarded::guarded, remembered::Remembered, run::Place, working_set::Spoiled,
};
use event_sourcing::{Aggregate, Event};
use std::borrow::Cow;
use uuid::Uuid;

/// The outcome of a command.
enum Judgement<A: Aggregate> {
    /// Nothing to write: this answer, after a barrier.
    Rests(Answer),
    /// These events, on a state at this version.
    Writes(Vec<A::Event>, u64),
    /// No decision is possible: this answer, at once.
    Fails(Answer),
}

impl<A: Aggregate> Pending<A> {
    pub(super) fn remembered(&self, version: u64, offset: i64, events: u32) -> Remembered {
        Remembered { fingerprint: self.fingerprint, version, offset, events, time: self.meta.time }
    }
}

impl<A: Aggregate> Writer<A> {
    /// Decides a command on the speculative state; its records go to the outbox, an answer without records waits for its barrier.
    pub(super) fn decide(&mut self, seq: u64, pending: Pending<A>, port: &mut impl Port) {
        let asked = pending.command.as_ref().map(|_| pending.meta.command_id);
        let first = match self.fold.known.recall(pending.id, asked) {
            Ok(first) => first.or_else(|| self.flying.get(&asked?).copied()),
            Err(Spoiled) => {
                self.queue.push_back((seq, pending));
                return self.doubt("the snapshot cannot be read", port);
            }
        };
        if let Some((rejection, bytes)) = pending.rejected.filter(|_| first.is_none()) {
            let answer = Rejected::new(rejection, &self.fold.source.service, bytes);
            return pending.answer(Err(CommandError::Rejected(answer)));
        }
        match self.judge(&pending, first) {
            Judgement::Fails(answer) => pending.answer(answer),
            Judgement::Rests(answer) => {
                let rests_on = self.next;
                let resting = Resting { seq, pending, answer, rests_on, proof: Proof::Unasked };
                if let Some(nothing) = resting.nothing() {
                    self.flying.insert(resting.pending.meta.command_id, nothing);
                }
                self.resting.push_back(resting);
            }
            Judgement::Writes(events, version) => self.write(seq, pending, events, version),
        }
    }

    /// Judges a command; `first` is the first answer to it, where one is remembered.
    fn judge(&self, pending: &Pending<A>, first: Option<Remembered>) -> Judgement<A> {
        let Some(command) = &pending.command else { return self.answer_question(pending) };
        if let Some(first) = first.filter(|_| !left_out("commands")) {
            let same = first.fingerprint == pending.fingerprint;
            return Judgement::Rests(if same { Ok(self.accepted(first, true)) } else { Err(CommandError::KeyReused) });
        }
        if let Some(why) = self.unreadable(&pending.id) {
            return Judgement::Fails(unavailable(why, 60_000));
        }
        let (state, version) = self.state_shown(pending);
        if let Some(expected) = pending.meta.expected_version.filter(|expected| *expected != version) {
            return Judgement::Rests(Err(CommandError::Conflict { expected, actual: version }));
        }
        match guarded(|| state.handle(command.clone()).map(|events| (self.is_beyond(pending, &events), events))) {
            Err(defect) => Judgement::Fails(Err(CommandError::Defect(defect))),
            Ok(Err(refusal)) => Judgement::Rests(Err(CommandError::Refused(Refused::from(&refusal)))),
            Ok(Ok((true, _))) => Judgement::Rests(Err(CommandError::Refused(Refused::not_found(A::NAME, pending.id)))),
            Ok(Ok((false, events))) if events.is_empty() => {
                let nothing = pending.remembered(version, self.next - 1, 0);
                Judgement::Rests(Ok(self.accepted(nothing, false)))
            }
            Ok(Ok((false, events))) => Judgement::Writes(events, version),
        }
    }

    fn answer_question(&self, pending: &Pending<A>) -> Judgement<A> {
        let (_, version) = self.state_of(pending);
        let rests_on = pending.remembered(version, self.next - 1, 0);
        Judgement::Rests(Ok(self.accepted(rests_on, false)))
    }

    /// Why the aggregate's state is unknown; none where it is known.
    fn unreadable(&self, id: &Uuid) -> Option<&str> {
        let ahead = self.speculative.get(id).and_then(|ahead| ahead.defect.as_deref());
        ahead.or_else(|| self.fold.known.aggregates.get(id)?.unreadable.as_deref())
    }

    /// True where the caller may give commands to their own things only, and this is none of them. What has no events yet is nobody's.
    fn is_anothers(&self, pending: &Pending<A>) -> bool {
        let Some(account) = pending.meta.only_of else { return false };
        let (state, version) = self.state_of(pending);
        version > 0 && state.belongs_to(pending.id) != Some(account)
    }

    /// True where these events would stand in an aggregate that is not the caller's own, or make one that is not.
    fn is_beyond(&self, pending: &Pending<A>, events: &[A::Event]) -> bool {
        let Some(account) = pending.meta.only_of else { return false };
        let mut after = self.state_of(pending).0.into_owned();
        events.iter().for_each(|event| after.apply(event));
        self.is_anothers(pending) || after.belongs_to(pending.id) != Some(account)
    }

    /// The state on which the command is decided. What belongs to somebody else is decided as if it were not there, so that the answer tells
    /// nothing of it, not even that it exists.
    fn state_shown(&self, pending: &Pending<A>) -> (Cow<'_, A>, u64) {
        if self.is_anothers(pending) { (Cow::Owned(A::default()), 0) } else { self.state_of(pending) }
    }

    fn state_of(&self, pending: &Pending<A>) -> (Cow<'_, A>, u64) {
        if let Some(ahead) = self.speculative.get(&pending.id) {
            return (Cow::Borrowed(&ahead.state), ahead.version);
        }
        let known = self.fold.known.aggregates.get(&pending.id);
        known.map_or((Cow::Owned(A::default()), 0), |folded| (Cow::Borrowed(&folded.state), folded.version))
    }

    fn write(&mut self, seq: u64, pending: Pending<A>, events: Vec<A::Event>, version: u64) {
        let records = match self.records(&pending, &events, version) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, "an event cannot be encoded");
                return pending.answer(unavailable(&error.to_string(), 60_000));
            }
        };
        for (at, record) in (self.next..).zip(records) {
            self.send(record, at);
        }
        self.take_off(seq, pending, events, version);
    }

    fn records(&self, pending: &Pending<A>, events: &[A::Event], version: u64) -> Result<Vec<crate::Append>, codec::EncodeError> {
        let super::Phase::Writing { claim: run } = self.phase else { return Ok(Vec::new()) };
        let of = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let encode = |(index, event): (u32, &A::Event)| {
            let payload = self.fold.schemas.encode(event)?;
            let place = Place { run, at: self.next + i64::from(index) - 1, index, of };
            let headers = EventHeaders {
                service: &self.fold.source.service,
                type_name: event.type_name(),
                aggregate_id: pending.id,
                command_id: pending.meta.command_id,
                place,
                version: version + u64::from(index),
                fingerprint: pending.fingerprint,
                time: pending.meta.time,
                cause: &pending.meta.cause,
            };
            Ok(headers.append(payload))
        };
        (1..).zip(events).map(encode).collect()
    }

    /// The command's records are on their way: the commands that follow are decided as if they had arrived.
    fn take_off(&mut self, seq: u64, pending: Pending<A>, events: Vec<A::Event>, version: u64) {
        let version = version + events.len() as u64;
        let remembered = pending.remembered(version, self.next - 1, events.len() as u32);
        let confirmed = self.fold.known.aggregates.get(&pending.id);
        let ahead = self.speculative.entry(pending.id).or_insert_with(|| Speculative {
            state: confirmed.map(|folded| folded.state.clone()).unwrap_or_default(),
            version,
            flights: 0,
            defect: None,
        });
        if let Err(defect) = guarded(|| events.iter().for_each(|event| ahead.state.apply(event))) {
            ahead.defect = Some(defect);
        }
        ahead.version = version;
        ahead.flights += 1;
        self.flying.insert(pending.meta.command_id, remembered);
        self.flights.push_back(Flight { seq, pending, events, remembered });
    }
}
