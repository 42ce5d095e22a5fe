//! The write path of one partition: claim, replay, decide, append, confirm; and doubt, which leads back to the claim.
//!
//! [`Writer`] is the protocol as a plain state machine without I/O or clock: its driver calls it with commands, acknowledgements and
//! records of the log, and it calls a [`Port`] to append, read and claim. [`owner`](crate::owner) drives it over a real log.
//!
//! Its promises, each kept in one place:
//! 1. A record is acknowledged only at the offset that it states ([`Writer::acked`]): the writer's test is the reader's.
//! 2. Anything else is doubt ([`Writer::doubt`]): claim anew, replay, and decide again all commands that the log does not answer.
//! 3. An answer that leaves no record waits for a [`barrier`], which proves that this writer was still the owner after the question came.

mod barrier;
mod batch;
mod config;
mod decide;
mod refusing;
mod replaying;
mod sabotage;

pub use barrier::Barrier;
#[cfg(test)]
mod tests;

pub use config::WriterConfig;

use crate::{
    Accepted, Append, ById, CommandError, CommandMeta, Unavailable,
    envelope::claim,
    fold::Fold,
    log::{Ack, AppendError, NotQueued, Rejection, Tag, Unsent},
    remembered::Remembered,
};
use barrier::Resting;
use batch::Window;
use codec::PartitionClaimed;
use event_sourcing::{Aggregate, Timestamp};
use std::collections::VecDeque;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A batch is full at this many records; its last command may exceed it.
const BATCH: usize = 1_000;

/// The answer to a caller.
pub(crate) type Answer = Result<Accepted, CommandError>;

/// The I/O that the writer asks for.
pub(crate) trait Port {
    /// Queues a record of this partition.
    fn append(&mut self, record: Append, tag: Tag) -> Result<(), NotQueued>;
    /// Queues records of this partition, one right behind another; where one cannot be queued, none behind it is.
    fn append_all(&mut self, records: Vec<(Append, Tag)>) -> Result<(), Unsent> {
        records.into_iter().try_for_each(|(record, tag)| self.append(record, tag).map_err(|why| Unsent { at: tag.at, why }))
    }
    /// Asks for the log's end; the driver passes the answer to [`Writer::barrier`].
    fn ask_end(&mut self, epoch: u64);
    /// Whether a proof may be appended now; if not, the driver calls [`Writer::proceed`] when it may.
    fn may_prove(&mut self, _for_commands: bool) -> bool {
        true
    }
    /// Reads from an offset on; the driver passes the records to [`Writer::replayed`], until the writer writes.
    fn read(&mut self, epoch: u64, from: i64);
    /// Tells those who read the partition here that it has lost records.
    fn went_back(&mut self) {}
    /// Asks the driver to call [`Writer::claim`] after a pause that grows with the number of attempts that failed.
    fn claim_later(&mut self, attempt: u32);
    /// The node's clock, for the `ce_time` of claims and proofs.
    fn now(&self) -> Timestamp;
    /// A name for a claim or a proof that was never used before.
    fn nonce(&mut self) -> String;
}

/// A command that has no answer yet.
pub(crate) struct Pending<A: Aggregate> {
    pub id: Uuid,
    /// None where only the aggregate's version is asked for.
    pub command: Option<A::Command>,
    pub meta: CommandMeta,
    pub fingerprint: u64,
    /// Why the log never takes one of its records, and how large that is, where that was found out.
    pub rejected: Option<(Rejection, usize)>,
    pub reply: oneshot::Sender<Answer>,
}

impl<A: Aggregate> Pending<A> {
    /// Sends the answer; it is no error if the caller has gone away.
    pub fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }
}

/// Where the writer is in its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A claim is on its way, or a pause before it.
    Claiming,
    /// The claim stands at `claim`; the log below it is being read.
    Replaying { claim: i64 },
    /// The owner, unless somebody has claimed since and this writer has not noticed yet.
    Writing { claim: i64 },
}

/// A command whose records are on their way.
struct Flight<A: Aggregate> {
    seq: u64,
    pending: Pending<A>,
    events: Vec<A::Event>,
    remembered: Remembered,
}

impl<A: Aggregate> Flight<A> {
    /// Where its first record should stand.
    fn first(&self) -> i64 {
        self.remembered.offset + 1 - i64::from(self.remembered.events)
    }
}

/// An aggregate with commands in flight, as it will be when they are confirmed.
struct Speculative<A> {
    state: A,
    version: u64,
    flights: u32,
    /// Set when its code panicked on an event: the writer decides no command on this state.
    defect: Option<String>,
}

/// The writer of one partition.
pub(crate) struct Writer<A: Aggregate> {
    pub fold: Fold<A>,
    pub phase: Phase,
    pub node: NodeName,
    config: WriterConfig,
    barrier: Barrier,
    epoch: u64,
    nonce: String,
    attempts: u32,
    ever_wrote: bool,
    seq: u64,
    next: i64,
    acked_next: i64,
    asked_at: i64,
    /// How often in a row the log's end was lower than that.
    lagging: u32,
    /// The next offset that a replay reads, and whether the record before the fold's checkpoint was seen to be the one that was folded.
    reading: i64,
    anchored: bool,
    /// Proofs that this writer is the owner still, on their way.
    proofs: VecDeque<(i64, String)>,
    queue: VecDeque<(u64, Pending<A>)>,
    flights: VecDeque<Flight<A>>,
    flying: ById<Remembered>,
    resting: VecDeque<Resting<A>>,
    speculative: ById<Speculative<A>>,
    /// Records that are made and not handed to the log yet.
    outbox: Vec<(Append, Tag)>,
    window: Window,
}

/// How this node calls itself in its claims.
#[derive(Clone, Debug)]
pub struct NodeName {
    /// The node's name, for people.
    pub owner: String,
    /// Where its node-to-node server listens: `host:port`.
    pub address: String,
}

impl<A: Aggregate> Writer<A> {
    pub fn new(fold: Fold<A>, node: NodeName, config: WriterConfig) -> Self {
        Self {
            fold,
            phase: Phase::Claiming,
            node,
            config,
            barrier: config.barrier,
            epoch: 0,
            nonce: String::new(),
            attempts: 0,
            ever_wrote: false,
            seq: 0,
            next: 0,
            acked_next: 0,
            asked_at: 0,
            lagging: 0,
            reading: 0,
            anchored: false,
            proofs: VecDeque::new(),
            queue: VecDeque::new(),
            flights: VecDeque::new(),
            flying: ById::default(),
            resting: VecDeque::new(),
            speculative: ById::default(),
            outbox: Vec::new(),
            window: Window::default(),
        }
    }

    /// True when no command waits for an answer.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flights.is_empty() && self.resting.is_empty()
    }

    /// How many commands have no answer yet.
    pub fn unanswered(&self) -> usize {
        self.queue.len() + self.flights.len() + self.resting.len()
    }

    /// True once it has written and is in doubt: somebody else may have claimed the partition.
    pub fn is_superseded(&self) -> bool {
        self.ever_wrote && self.phase == Phase::Claiming
    }

    /// The number of this attempt to own the partition; the writer ignores acknowledgements and records of earlier ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Step 1. Claims the partition: whoever claims last is the owner.
    pub fn claim(&mut self, port: &mut impl Port) {
        self.epoch += 1;
        self.phase = Phase::Claiming;
        if self.fold.layout.misfit().is_some() {
            return self.refuse_all();
        }
        self.nonce = port.nonce();
        let NodeName { owner, address } = self.node.clone();
        let event = PartitionClaimed { owner, address, nonce: self.nonce.clone(), partitions: self.config.partitions };
        let queued = event.encode(&self.fold.schemas).map_err(|_| NotQueued::Broken).and_then(|payload| {
            let record = claim(&self.fold.source.service, &self.nonce, port.now(), payload);
            port.append(record, Tag { epoch: self.epoch, at: -1 })
        });
        match queued {
            Ok(()) => {}
            Err(NotQueued::Never(rejection)) => self.claim_rejected(rejection, port),
            Err(error) => self.retry_claim(&error.to_string(), port),
        }
    }

    fn retry_claim(&mut self, why: &str, port: &mut impl Port) {
        tracing::warn!(service = %self.fold.source.service, partition = self.fold.source.partition, attempt = self.attempts, why, "claiming again");
        self.epoch += 1;
        self.phase = Phase::Claiming;
        self.attempts += 1;
        port.claim_later(self.attempts);
    }

    /// Takes the outcome of an append: the offset of the claim or of a record, or an error.
    pub fn acked(&mut self, ack: Ack, port: &mut impl Port) {
        if ack.tag.epoch != self.epoch {
            return;
        }
        match (self.phase, ack.offset) {
            (Phase::Claiming, Ok(offset)) => self.claimed(offset, port),
            (Phase::Claiming, Err(AppendError::Never(rejection))) => self.claim_rejected(rejection, port),
            (Phase::Claiming, Err(why)) => self.retry_claim(&why.to_string(), port),
            (Phase::Writing { .. }, Ok(offset)) if self.is_due(offset, ack.tag) => self.advance(),
            (_, Ok(offset)) => {
                self.doubt(&format!("a record meant for {} stands at {offset}, {} was due", ack.tag.at, self.acked_next), port)
            }
            (Phase::Writing { .. }, Err(AppendError::Never(rejection))) => self.rejected(ack.tag.at, rejection, port),
            (_, Err(why)) => self.doubt(&why.to_string(), port),
        }
    }

    /// Whether a record stands at the offset that it states, right behind the last one that is confirmed.
    fn is_due(&self, offset: i64, tag: Tag) -> bool {
        offset == tag.at && offset == self.acked_next || sabotage::left_out("places")
    }

    /// Step 3. Everything below the claim is folded: this writer is the owner.
    fn enter(&mut self, claim: i64, nonce: Option<String>, port: &mut impl Port) {
        if nonce.as_deref() != Some(self.nonce.as_str()) {
            // The claim is lost, and with it what stood before it; part of what was read may be of the old log, and part of the new one.
            let why = "another record stands where the claim was acknowledged";
            self.fold.forget(why);
            port.went_back();
            return self.retry_claim(why, port);
        }
        if self.fold.layout.misfit().is_some() {
            return self.refuse_all();
        }
        self.phase = Phase::Writing { claim };
        self.ever_wrote = true;
        self.next = claim + 1;
        self.acked_next = claim + 1;
        self.window.sent(claim + 1, 0);
    }

    /// Decides the commands in the queue, unless records are on their way: commands that come meanwhile make the next batch. So batches
    /// grow with the load, a lone command does not wait, and the log's client gets no record that it could not send at once (group commit).
    pub fn proceed(&mut self, port: &mut impl Port) {
        while matches!(self.phase, Phase::Writing { .. })
            && self.may_decide()
            && let Some((seq, pending)) = self.queue.pop_front()
        {
            self.decide(seq, pending, port);
        }
        self.ask(port);
        self.flush(port);
    }

    /// Whether one more command may be decided: no record is on its way, and the batch is not full.
    fn may_decide(&self) -> bool {
        let made = self.outbox.len();
        self.next - self.acked_next == made as i64 && made < BATCH
    }

    /// Whether this owner writes, and no record is on its way.
    pub fn has_landed(&self) -> bool {
        matches!(self.phase, Phase::Writing { .. }) && self.next == self.acked_next
    }

    /// Takes a command, to be decided by [`Writer::proceed`].
    pub fn submit(&mut self, pending: Pending<A>) {
        self.seq += 1;
        let writing = matches!(self.phase, Phase::Writing { .. });
        if self.unanswered() >= self.config.max_pending {
            return pending.answer(unavailable("the partition has as many commands as it can hold", 100));
        }
        if let Some(misfit) = self.fold.layout.misfit() {
            return pending.answer(unavailable(&misfit.to_string(), refusing::LASTING));
        }
        if !writing && !self.ever_wrote {
            return pending.answer(unavailable("the owner of this partition is still reading its log", 200));
        }
        self.queue.push_back((self.seq, pending));
    }

    /// Confirms one more record; when it is the last of its command, the command is answered.
    fn advance(&mut self) {
        self.acked_next += 1;
        self.window.landed(self.acked_next);
        self.take_proof();
        while self.flights.front().is_some_and(|flight| flight.remembered.offset < self.acked_next) {
            let Some(flight) = self.flights.pop_front() else { break };
            self.confirm(flight);
        }
        self.settle();
    }

    fn confirm(&mut self, flight: Flight<A>) {
        let Flight { pending, events, remembered, .. } = flight;
        self.attempts = 0;
        self.fold.confirm(pending.id, &events, pending.meta.command_id, remembered);
        self.flying.remove(&pending.meta.command_id);
        let landed = self.speculative.get_mut(&pending.id).is_some_and(|ahead| {
            ahead.flights -= 1;
            ahead.flights == 0
        });
        if landed {
            self.speculative.remove(&pending.id);
        }
        let answer = self.accepted(remembered, false);
        pending.answer(Ok(answer));
    }

    /// The log may not hold what was appended: drops all speculative state, queues every unanswered command again and claims anew.
    fn doubt(&mut self, why: &str, port: &mut impl Port) {
        let Self { flights, resting, .. } = self;
        let mut again: Vec<(u64, Pending<A>)> = flights.drain(..).map(|flight| (flight.seq, flight.pending)).collect();
        again.extend(resting.drain(..).map(|resting| (resting.seq, resting.pending)));
        again.extend(self.queue.drain(..));
        again.sort_by_key(|(seq, _)| *seq);
        self.queue = again.into();
        self.flying.clear();
        self.speculative.clear();
        self.proofs.clear();
        self.outbox.clear();
        self.retry_claim(why, port);
    }

    fn accepted(&self, remembered: Remembered, repeated: bool) -> Accepted {
        let position =
            crate::Position { service: self.fold.source.service.clone(), partition: self.fold.source.partition, offset: remembered.offset };
        Accepted { version: remembered.version, position, events: remembered.events, repeated }
    }
}

/// The answer "not done, not now"; `retry_after_millis` says when to ask again.
pub(crate) fn unavailable(reason: &str, retry_after_millis: u64) -> Answer {
    Err(CommandError::Unavailable(Unavailable { reason: reason.to_owned(), retry_after_millis, in_doubt: false }))
}

/// The answer "perhaps done".
pub(crate) fn in_doubt(reason: &str, retry_after_millis: u64) -> Answer {
    Err(CommandError::Unavailable(Unavailable { reason: reason.to_owned(), retry_after_millis, in_doubt: true }))
}
