//! A node: the real writer, and the driver between it and the log.

use super::{
    account::Account,
    chance::Chance,
    clients::Received,
    faults::Faults,
    topic::{NodeId, Sent, Topic},
    weakness::Weakness,
};
use crate::{
    Append, Barrier, PartitionId, RawRecord,
    fold::Fold,
    log::{Ack, LogError, NotQueued, Tag},
    writer::{NodeName, Phase, Port, Writer, WriterConfig},
};
use codec::Schemas;
use event_sourcing::Timestamp;

/// One life of a node that believes itself the owner.
pub struct Node {
    pub id: NodeId,
    desk: Desk,
    writer: Writer<Account>,
    /// It stands still until then: nothing reaches it, and its queue does not move.
    pub paused_until: u64,
    /// The commands that came meanwhile.
    pub inbox: Vec<Received>,
}

/// The writer's requests that are not answered yet.
#[derive(Default)]
pub struct Desk {
    /// The epoch that reads, and the next offset.
    cursor: Option<(u64, i64)>,
    /// The log has lost records that this reading had passed: it fails, as a Kafka consumer's does, which compares the leader's epochs.
    torn: bool,
    /// The one before, whose records may still come.
    old_cursor: Option<(u64, i64)>,
    claim_at: Option<u64>,
    /// Its questions for the log's end.
    questions: Vec<Question>,
    /// Everything below was acknowledged.
    confirmed: i64,
}

/// A question for the log's end.
pub struct Question {
    epoch: u64,
    confirmed: i64,
    answer: Option<Result<i64, LogError>>,
}

/// A thing that a node can do next.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Hears an acknowledgement.
    Hear,
    /// Asks for the log's end, or hears of it.
    Ask,
    /// Reads the log.
    Read,
    /// Claims.
    Claim,
    /// Takes the commands that came while it stood still.
    TakeIn,
}

/// The surroundings in which a node acts.
pub struct Scene<'a> {
    pub topic: &'a mut Topic,
    pub chance: &'a mut Chance,
    pub faults: &'a Faults,
    pub weakness: Weakness,
    pub step: u64,
}

/// The writer's [`Port`], in a scene.
struct Outside<'a, 'b> {
    id: NodeId,
    desk: &'a mut Desk,
    scene: &'a mut Scene<'b>,
}

/// The only place that makes a writer.
fn writer(id: NodeId, source: PartitionId, schemas: Schemas, weakness: Weakness, barrier: Barrier) -> Writer<Account> {
    let remembered_commands = if weakness == Weakness::Forgetful { 0 } else { 1_000 };
    let node = NodeName { owner: format!("node-{id}"), address: "127.0.0.1:0".into() };
    let config = WriterConfig { max_pending: 1_000, remembered_commands, barrier, ..WriterConfig::default() };
    Writer::new(Fold::new(source, schemas, config), node, config)
}

impl Node {
    /// A node that begins to claim.
    pub fn boot(id: NodeId, source: PartitionId, schemas: Schemas, scene: &mut Scene<'_>) -> Self {
        let writer = writer(id, source, schemas, scene.weakness, scene.topic.barrier);
        let mut node = Self { id, desk: Desk::default(), writer, paused_until: 0, inbox: Vec::new() };
        node.tell(scene, |writer, outside| writer.claim(outside));
        node
    }

    /// Calls the writer, and lets it proceed.
    fn tell(&mut self, scene: &mut Scene<'_>, what: impl FnOnce(&mut Writer<Account>, &mut Outside<'_, '_>)) {
        let mut outside = Outside { id: self.id, desk: &mut self.desk, scene };
        what(&mut self.writer, &mut outside);
        self.writer.proceed(&mut outside);
        if !matches!(self.writer.phase, Phase::Replaying { .. }) {
            self.desk.old_cursor = self.desk.cursor.take().or(self.desk.old_cursor);
        }
    }

    pub fn moves(&self, step: u64) -> bool {
        self.paused_until <= step
    }

    /// The deeds that are possible now, with their weights.
    pub fn deeds(&self, topic: &Topic, faults: &Faults, step: u64) -> impl Iterator<Item = (usize, Deed)> {
        let Self { id, desk: Desk { cursor, claim_at, questions, .. }, inbox, .. } = self;
        let heard = topic.acks.iter().any(|(of, _)| of == id).then_some((8, Deed::Hear));
        let asks = (!questions.is_empty()).then_some((if faults.slow_end { 1 } else { 8 }, Deed::Ask));
        let reads = cursor.map(|(_, next)| (if next < topic.end() { 6 } else { 1 }, Deed::Read));
        let claims = claim_at.is_some_and(|at| at <= step).then_some((4, Deed::Claim));
        let takes = (!inbox.is_empty()).then_some((8, Deed::TakeIn));
        [heard, asks, reads, claims, takes].into_iter().flatten()
    }

    pub fn get_on(&mut self, deed: Deed, scene: &mut Scene<'_>) {
        match deed {
            Deed::Hear => self.hear(scene),
            Deed::Ask => self.ask(scene),
            Deed::Read => self.read(scene),
            Deed::Claim => self.claim(scene),
            Deed::TakeIn => self.take_in(scene),
        }
    }

    /// Its state, in a line.
    pub fn told(&self) -> String {
        format!("node {} {:?}, claims at {:?}", self.id, self.phase(), self.desk.claim_at)
    }

    pub fn phase(&self) -> Phase {
        self.writer.phase
    }

    /// A command is handed in: at once, or when the node wakes up.
    pub fn receive(&mut self, received: Received, scene: &mut Scene<'_>) {
        self.inbox.push(received);
        if self.moves(scene.step) {
            self.take_in(scene);
        }
    }

    /// Takes the commands that came while it stood still.
    fn take_in(&mut self, scene: &mut Scene<'_>) {
        let inbox = std::mem::take(&mut self.inbox);
        self.tell(scene, |writer, _| inbox.into_iter().for_each(|received| writer.submit(received)));
    }

    /// Hears the next acknowledgement.
    fn hear(&mut self, scene: &mut Scene<'_>) {
        let Some(mut ack) = scene.topic.next_ack(self.id, scene.chance, scene.faults) else { return };
        if scene.weakness == Weakness::AnyOffset && ack.tag.at >= 0 {
            ack.offset = ack.offset.map(|_| ack.tag.at);
        }
        self.desk.note(&ack);
        self.tell(scene, |writer, outside| writer.acked(ack, outside));
    }

    /// The log has lost its records from this offset on.
    pub fn lose(&mut self, from: i64) {
        self.desk.torn |= self.desk.cursor.is_some_and(|(_, next)| next > from);
    }

    /// The log answers a question for its end, or the answer comes to the writer.
    fn ask(&mut self, scene: &mut Scene<'_>) {
        let index = scene.chance.below(self.desk.questions.len());
        let question = &mut self.desk.questions[index];
        if question.answer.is_none() {
            question.answer = Some(question.end(scene));
            return;
        }
        let Question { epoch, answer, .. } = self.desk.questions.remove(index);
        answer.into_iter().for_each(|end| self.tell(scene, |writer, outside| writer.barrier(epoch, end, outside)));
    }

    /// Reads on towards its claim; or gets records that it asked for under a claim that it has given up.
    fn read(&mut self, scene: &mut Scene<'_>) {
        let late = if scene.chance.strikes(200) { self.desk.old_cursor.take() } else { None };
        let Some((epoch, next)) = late.or(self.desk.cursor) else { return };
        let there = scene.topic.records().get(next as usize..).unwrap_or_default();
        let records: Vec<RawRecord> = super::views::some(there, scene.faults.fetched, scene.chance);
        if late.is_none() {
            self.desk.cursor = Some((epoch, next + records.len() as i64));
        }
        // What was acknowledged does not come: the log has lost it.
        let never_comes = late.is_none() && records.is_empty();
        let failed = std::mem::take(&mut self.desk.torn) || never_comes || scene.chance.strikes(scene.faults.read_fails);
        let outcome = if failed { Err(LogError("the broker went away".into())) } else { Ok(records) };
        self.tell(scene, |writer, outside| writer.replayed(epoch, outcome, outside));
    }

    /// Claims, the pause being over.
    fn claim(&mut self, scene: &mut Scene<'_>) {
        self.desk.claim_at = None;
        self.tell(scene, |writer, outside| writer.claim(outside));
    }
}

impl Desk {
    fn note(&mut self, ack: &Ack) {
        if let Ok(offset) = ack.offset
            && (ack.tag.at < 0 || ack.tag.at == offset)
        {
            self.confirmed = self.confirmed.max(offset + 1);
        }
    }
}

impl Question {
    /// The log's end; or an answer that lags so far behind that the asker can tell.
    fn end(&self, scene: &mut Scene<'_>) -> Result<i64, LogError> {
        let Scene { topic, chance, faults, weakness, .. } = scene;
        if *weakness == Weakness::NoBarrier {
            return Ok(self.confirmed);
        }
        if chance.strikes(faults.end_fails) {
            return Err(LogError("timed out".into()));
        }
        let lags = chance.strikes(faults.end_lags) && self.confirmed > 0;
        Ok(if lags { chance.below(self.confirmed as usize) as i64 } else { topic.end() })
    }
}

impl Port for Outside<'_, '_> {
    fn append(&mut self, record: Append, tag: Tag) -> Result<(), NotQueued> {
        let Faults { full, queue, .. } = *self.scene.faults;
        if self.scene.chance.strikes(full) || queue > 0 && self.scene.topic.waiting(self.id) >= queue {
            return Err(NotQueued::Full);
        }
        self.scene.topic.wire.push(Sent { by: self.id, record, tag: Some(tag) });
        Ok(())
    }

    fn ask_end(&mut self, epoch: u64) {
        let confirmed = self.desk.confirmed;
        self.desk.questions.push(Question { epoch, confirmed, answer: None });
    }

    fn read(&mut self, epoch: u64, from: i64) {
        self.desk.cursor = Some((epoch, from));
        self.desk.torn = false;
    }

    fn claim_later(&mut self, attempt: u32) {
        let pause = if attempt <= 1 { 0 } else { self.scene.chance.below(1 << attempt.min(9)) as u64 };
        self.desk.claim_at = Some(self.scene.step + pause);
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.scene.step as i64)
    }

    fn nonce(&mut self) -> String {
        format!("{:032x}", self.scene.chance.bits())
    }
}
