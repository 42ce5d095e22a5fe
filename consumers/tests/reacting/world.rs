//! A world for reactors: one kind of aggregate, a database in memory, and performers that fail where a test tells them to.

use codec::{Codecs, RecordSchema, RecordSet, Schemas};
use consumers::{
    DeadLetters, Destination, DestinationConfig, Effect, EffectKind, Errand, Fault, NotNow, Outcome, Patience, Perform, Reaction,
    ReactionStore, Reactor, ReactorParts, Reactors, Status, Task,
};
use event_sourcing::{Aggregate, Cause, Command, Context, Event, Intent, Position, Recorded, Refusal, Timestamp};
use event_store::{
    Accepted, Aggregates, Batch, BatchError, Checkpoint, CommandError, CommandMeta, Counted, Execute, Log, MemoryLog, PartitionId, Passed,
    Refused, Unavailable,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The event: each of these targets is to get a command, or an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub of: Vec<String>,
    pub effect: bool,
}

event_sourcing::events! {
    /// The events of a thing.
    pub enum Happened in "things", "test" {
        Asked(Asked),
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Do {
    This,
    May,
    Record,
    GiveUp,
}

impl Command for Do {
    fn intent(&self) -> Intent {
        Intent::of(match self {
            Self::This => "this",
            Self::May => "may",
            Self::Record => "record",
            Self::GiveUp => "give-up",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct No;

impl Refusal for No {
    fn code(&self) -> &'static str {
        "no"
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Thing;

impl Aggregate for Thing {
    const NAME: &'static str = "thing";
    const FOLD: u64 = 1;
    type Command = Do;
    type Event = Happened;
    type Error = No;

    fn handle(&self, _: Do) -> Result<Vec<Happened>, No> {
        Ok(Vec::new())
    }

    fn apply(&mut self, _: &Happened) {}
}

static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| {
    let text = r#"{"type":"record","name":"Asked","namespace":"test","fields":[
        {"name":"of","type":{"type":"array","items":"string"}},{"name":"effect","type":"boolean"}]}"#;
    RecordSet::parse(&[RecordSchema { id: 2, text }])
});

pub fn id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

fn react(event: &Recorded<Happened>) -> Vec<Reaction> {
    let Happened::Asked(Asked { of, effect }) = &event.event;
    assert!(!of.iter().any(|name| name == "defect"), "a reactor may panic");
    let lead_to = |name: &String| match effect {
        true => Reaction::effect("do-outside", Effect::new("outside", id(name)).keyed(name).while_allowed::<Thing>(&Do::May)),
        false => Reaction::command::<Thing>("ask", id(name), &Do::This),
    };
    of.iter().map(lead_to).collect()
}

/// How a target answers commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    NotNow,
    Slowly,
    Hangs,
    /// To questions at once; to commands that nobody owns it.
    OnlyQuestions,
    /// To questions at once; to commands never.
    HangsAtCommands,
    Refuses,
    Other,
    Defect,
}

/// The aggregates, the database and the world outside that the reactors meet, and a record of what they did there.
#[derive(Default)]
pub struct World {
    pub commands: Mutex<Vec<(Uuid, String, CommandMeta)>>,
    pub answers: Mutex<HashMap<Uuid, Answers>>,
    /// The partitions of aggregates, where they are known.
    pub partitions: Mutex<HashMap<Uuid, i32>>,
    /// How many commands were begun.
    pub begun: AtomicUsize,
    pub performed: Mutex<Vec<String>>,
    pub fails: Mutex<HashMap<String, Fault>>,
    /// How long effects take, where that is more than nothing.
    pub lasts: Mutex<HashMap<String, Duration>>,
    /// The effects that were performed and did not fail.
    pub done: Mutex<Vec<String>>,
    pub checkpoint: Mutex<Checkpoint>,
    pub marks: Mutex<Vec<Checkpoint>>,
    pub steps: Mutex<Vec<(i64, i64)>>,
    pub rows: Mutex<BTreeMap<String, Errand>>,
    pub letters: Mutex<Vec<(Counted, Option<String>)>>,
    pub dropped: Mutex<HashSet<(i64, String)>>,
    /// True while the database does not answer.
    pub down: AtomicBool,
    /// How many milliseconds the database's answer to what is due is on its way.
    pub looks_for: AtomicU64,
    /// The database commits, and its answers are lost.
    pub loses_answers: AtomicBool,
}

#[async_trait::async_trait]
impl Execute<Thing> for World {
    async fn execute(&self, id: Uuid, command: Do, meta: CommandMeta) -> Result<Accepted, CommandError> {
        let accepted =
            Accepted { version: 1, position: Position { service: "things".into(), partition: 0, offset: 0 }, events: 1, repeated: false };
        let answers = self.answers.lock().unwrap().get(&id).copied();
        self.begun.fetch_add(1, Ordering::SeqCst);
        let is_question = matches!(command, Do::May);
        match answers {
            Some(Answers::OnlyQuestions | Answers::HangsAtCommands) if is_question => {}
            Some(Answers::NotNow | Answers::OnlyQuestions) => {
                return Err(CommandError::Unavailable(Unavailable {
                    reason: "nobody owns it".into(),
                    retry_after_millis: 1,
                    in_doubt: false,
                }));
            }
            Some(Answers::Refuses) if is_question => {
                return Err(CommandError::Refused(Refused {
                    code: "no".into(),
                    message: "no".into(),
                    field: None,
                    not_found: false,
                    details: None,
                }));
            }
            Some(Answers::Other) => return Err(CommandError::KeyReused),
            Some(Answers::Defect) => return Err(CommandError::Defect("it panicked".into())),
            Some(Answers::Hangs | Answers::HangsAtCommands) => std::future::pending().await,
            // Longer than a batch waits for an attempt.
            Some(Answers::Slowly) => tokio::time::sleep(Duration::from_millis(500)).await,
            Some(Answers::Refuses) | None => {}
        }
        if !is_question {
            self.commands.lock().unwrap().push((id, format!("{command:?}"), meta));
        }
        Ok(accepted)
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        unreachable!("reactors ask no such questions")
    }

    fn partition_of(&self, id: Uuid) -> Option<i32> {
        self.partitions.lock().unwrap().get(&id).copied()
    }
}

struct Outside(Arc<World>);

#[async_trait::async_trait]
impl Perform for Outside {
    async fn perform(&self, effect: &Effect) -> Outcome {
        self.0.performed.lock().unwrap().push(effect.key.clone());
        let lasts = self.0.lasts.lock().unwrap().get(&effect.key).copied();
        tokio::time::sleep(lasts.unwrap_or_default()).await;
        let fails = self.0.fails.lock().unwrap().get(&effect.key).copied();
        match fails {
            Some(fault) => Outcome::NotNow(NotNow::new(fault, "it says no")),
            None => {
                self.0.done.lock().unwrap().push(effect.key.clone());
                Outcome::Done(Some(event_sourcing::AnyCommand::to::<Thing>(effect.target, &Do::Record)))
            }
        }
    }

    fn give_up(&self, effect: &Effect, _: &str) -> Option<event_sourcing::AnyCommand> {
        assert!(effect.key != "clumsy", "a performer may panic");
        Some(event_sourcing::AnyCommand::to::<Thing>(effect.target, &Do::GiveUp))
    }
}

impl World {
    fn put(&self, errands: &[Errand]) {
        self.rows.lock().unwrap().extend(errands.iter().map(|errand| (errand.id.clone(), errand.clone())));
    }

    fn up<T>(&self, answer: T) -> Result<T, String> {
        if self.down.load(Ordering::SeqCst) { Err("down".into()) } else { Ok(answer) }
    }

    /// The errands that are due and first of their pair.
    fn found(&self, (now, latest): (Timestamp, Timestamp), limit: u32) -> Vec<Errand> {
        let rows = self.rows.lock().unwrap();
        let place = |errand: &Errand| (errand.position.offset, errand.number);
        let behind = |errand: &Errand| {
            let pair = (errand.source_aggregate, errand.target);
            rows.values().any(|other| (other.source_aggregate, other.target) == pair && place(other) < place(errand))
        };
        let is_due = |errand: &&Errand| errand.status == Status::Waiting && (errand.due <= now || errand.due > latest) && !behind(errand);
        rows.values().filter(is_due).take(limit as usize).cloned().collect()
    }

    pub fn done(&self, key: &str) -> usize {
        self.done.lock().unwrap().iter().filter(|done| *done == key).count()
    }

    /// Whether the only row is a command by now.
    pub fn row_is_a_command(&self) -> bool {
        let rows = self.rows.lock().unwrap();
        rows.len() == 1 && rows.values().all(|errand| matches!(errand.task, Task::Command(_)))
    }

    pub fn performed(&self, key: &str) -> usize {
        self.performed.lock().unwrap().iter().filter(|performed| *performed == key).count()
    }

    pub fn asked(&self) -> Vec<(Uuid, String)> {
        self.commands.lock().unwrap().iter().map(|(id, what, _)| (*id, what.clone())).collect()
    }

    pub fn dead(&self) -> Vec<Errand> {
        self.rows.lock().unwrap().values().filter(|errand| errand.status == Status::Dead).cloned().collect()
    }
}

#[async_trait::async_trait]
impl ReactionStore for World {
    async fn checkpoint(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(*self.checkpoint.lock().unwrap())
    }

    async fn advance_all(&self, steps: &[Batch], errands: &[Errand]) -> Result<Vec<PartitionId>, BatchError> {
        let mut moved = Vec::new();
        for step in steps {
            self.advance(step, errands).await?;
            moved.push(step.source.clone());
        }
        Ok(moved)
    }

    async fn advance(&self, step: &Batch, errands: &[Errand]) -> Result<(), BatchError> {
        self.up(()).map_err(BatchError::Failed)?;
        let mut checkpoint = self.checkpoint.lock().unwrap();
        if *checkpoint != step.from {
            return Err(BatchError::Moved(step.source.clone()));
        }
        *checkpoint = step.to;
        self.steps.lock().unwrap().push((step.from.next, step.to.next));
        self.put(errands);
        if self.loses_answers.load(Ordering::SeqCst) { Err(BatchError::Failed("no answer".into())) } else { Ok(()) }
    }

    async fn mark(&self, _: &PartitionId, passed: Checkpoint) -> Result<(), BatchError> {
        self.marks.lock().unwrap().push(passed);
        Ok(())
    }

    async fn marks(&self, _: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
        Ok(self.marks.lock().unwrap().clone())
    }

    async fn set_back(&self, _: &PartitionId, to: Checkpoint) -> Result<(), BatchError> {
        *self.checkpoint.lock().unwrap() = to;
        Ok(())
    }

    async fn put_by(&self, _: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, String> {
        Ok(self.rows.lock().unwrap().values().map(|errand| (errand.source_aggregate, errand.target)).collect())
    }

    async fn due(&self, _: &[PartitionId], within: (Timestamp, Timestamp), limit: u32) -> Result<Vec<Errand>, String> {
        let found = self.found(within, limit);
        tokio::time::sleep(Duration::from_millis(self.looks_for.load(Ordering::SeqCst))).await;
        Ok(found)
    }

    async fn errand(&self, id: &str) -> Result<Option<Errand>, String> {
        Ok(self.rows.lock().unwrap().get(id).cloned())
    }

    async fn rewrite(&self, errand: &Errand) -> Result<(), String> {
        if let Some(row) = self.rows.lock().unwrap().get_mut(&errand.id) {
            *row = errand.clone();
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), String> {
        self.rows.lock().unwrap().remove(id);
        Ok(())
    }
}

#[async_trait::async_trait]
impl DeadLetters for World {
    async fn parked(&self, _: &PartitionId) -> Result<HashSet<Uuid>, String> {
        Ok(self.letters.lock().unwrap().iter().map(|(record, _)| record.aggregate_id).collect())
    }

    async fn dropped(&self, _: &PartitionId) -> Result<HashSet<(i64, String)>, String> {
        Ok(self.dropped.lock().unwrap().clone())
    }

    async fn park(&self, record: &Counted, reason: &str) -> Result<(), String> {
        self.letters.lock().unwrap().push((record.clone(), Some(reason.to_owned())));
        Ok(())
    }

    async fn park_behind(&self, record: &Counted) -> Result<bool, String> {
        let mut letters = self.letters.lock().unwrap();
        let waits = letters.iter().any(|(letter, _)| letter.aggregate_id == record.aggregate_id);
        if waits {
            letters.push((record.clone(), None));
        }
        Ok(waits)
    }
}

/// Reactors of that world. The log holds `old` records when they begin; those may have been reacted to before.
pub async fn reactors(world: &Arc<World>, old: i64) -> Reactors {
    let log = MemoryLog::new(1);
    let (acks, _heard) = tokio::sync::mpsc::unbounded_channel();
    for at in 0..old {
        let record = event_store::Append { key: "k".into(), payload: Vec::new(), headers: event_store::Headers::default() };
        log.append(0, record, event_store::Tag { epoch: 0, at }, &acks).unwrap();
    }
    let patience = Patience {
        attempts: 3,
        within: Duration::from_secs(60),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
    };
    let destination = Arc::new(Destination::new("outside", DestinationConfig::default()));
    let kind = EffectKind { performer: Arc::new(Outside(world.clone())), destination, patience };
    let logs: BTreeMap<&'static str, Arc<dyn Log>> = BTreeMap::from([("things", Arc::new(log) as Arc<dyn Log>)]);
    Reactors::new(ReactorParts {
        service: "things",
        reactors: vec![Reactor::of::<Happened>(react)],
        aggregates: Aggregates::default().with::<Thing>(world.clone()),
        kinds: HashMap::from([("outside", kind)]),
        patience: Patience { attempts: u32::MAX, ..patience },
        store: world.clone(),
        dead_letters: world.clone(),
        codecs: Codecs::new(Schemas::bundled(&RECORDS)).with::<Thing>(),
        logs,
        concurrency: 8,
        stop: CancellationToken::new(),
    })
}

/// The event of an aggregate, at an offset, that asks these targets for something.
pub fn record(offset: i64, of: &str, targets: &[&str], effect: bool) -> Counted {
    let event = Happened::Asked(Asked { of: targets.iter().map(|name| (*name).to_owned()).collect(), effect });
    Recorded::new(
        Context {
            position: Position { service: "things".into(), partition: 0, offset },
            aggregate_id: id(of),
            version: 1,
            event_id: format!("{}/1", Uuid::from_u128(offset as u128)),
            type_name: event.type_name().into(),
            time: Timestamp(1),
            cause: Cause { actor: "ada".into(), correlation_id: "corr".into(), causation_id: None, traceparent: None },
        },
        Schemas::bundled(&RECORDS).encode(&event).unwrap().into(),
    )
}

pub fn batch(next: i64, records: Vec<Counted>) -> Batch {
    let (from, to) = (Checkpoint::new(next, None), Checkpoint::new(next + records.len() as i64, None));
    Batch { source: PartitionId { service: "things".into(), partition: 0 }, from, to, records, passed: Passed::default() }
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), held).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
