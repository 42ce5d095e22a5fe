//! Runs the reactors of one service over the batches of a subscription.

use crate::{
    Commands, Effects,
    commands::{Command, meta_of, now},
    flow::Flow,
    mail::Delivery,
    metrics,
    reactors::{Effect, Reaction, react},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use domain::{notification::NotificationCommand, payment::PaymentCommand};
use event_store::{Batch, BatchError, BatchHandler, Checkpoint, CommandError, Counted, PartitionId, Recorded};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use schemas::{AnyEvent, DecodeError, Learned, Schemas};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// Where the reactors of a service keep how far they have come.
#[async_trait::async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Where a reader stands.
    async fn checkpoint(&self, reader: &str, source: &PartitionId) -> Result<Checkpoint, BatchError>;
    /// Moves it from the batch's beginning to its end, unless somebody else has.
    async fn advance(&self, reader: &str, batch: &Batch) -> Result<(), BatchError>;
    /// The same for batches of several partitions at once; answers those in which it moved. Of the others nothing is known.
    async fn advance_all(&self, reader: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, BatchError>;
}

/// Where the reactors of a service put aside what they cannot take, in the service's own database.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// The aggregates of a partition with letters.
    async fn parked(&self, source: &PartitionId) -> Result<HashSet<Uuid>, String>;
    /// Whether the aggregate has any.
    async fn has(&self, aggregate: Uuid) -> Result<bool, String>;
    /// Puts a record aside, for this reason; none where it only waits behind another. Done again it changes nothing.
    async fn park(&self, record: &Counted, reason: Option<&str>) -> Result<(), String>;
}

/// What the reactors of one service are made of.
pub struct ReactorParts {
    /// Whose: `products`.
    pub service: &'static str,
    /// Where commands go.
    pub commands: Commands,
    /// What the effects go through.
    pub effects: Effects,
    /// The checkpoints, in the service's own database.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// What is put aside.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// How events become bytes.
    pub schemas: Schemas,
    /// How many aggregates' events are worked on at once.
    pub concurrency: usize,
}

/// The reactors of one service: many aggregates in flight, order kept within each.
pub struct Reactors {
    reacting: Arc<Reacting>,
    flow: Flow,
}

impl Reactors {
    /// Reactors that have read nothing yet.
    pub fn new(parts: ReactorParts) -> Self {
        let flow = Flow::new(parts.concurrency, parts.checkpoints.clone());
        Self { reacting: Arc::new(Reacting { parts, parked: Mutex::default() }), flow }
    }

    /// Takes up a record that was put aside; the reason where it still cannot be taken.
    pub async fn take_up(&self, record: &Counted) -> Result<(), String> {
        self.reacting.try_one(record).await
    }
}

/// The reactors' name in the checkpoints: one for a service, since one pass serves them all.
pub const READER: &str = "reactors";

#[async_trait::async_trait]
impl BatchHandler for Reactors {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        let parked = self.reacting.parts.dead_letters.parked(source).await.map_err(BatchError::Failed)?;
        self.reacting.parked.lock().extend(parked);
        self.flow.begin(source);
        self.reacting.parts.checkpoints.checkpoint(READER, source).await
    }

    /// Sets the batch's work going. The checkpoint follows once everything up to it is done; redelivery is harmless.
    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let mut lanes: HashMap<Uuid, Vec<Counted>> = HashMap::new();
        batch.records.iter().for_each(|record| lanes.entry(record.aggregate_id).or_default().push(record.clone()));
        let work = |records| {
            let reacting = self.reacting.clone();
            async move { reacting.in_order(records).await }
        };
        self.flow.take(batch, lanes, work).await
    }
}

/// What became of a command in the end.
enum Settled {
    /// It is done, or was refused.
    Done,
    /// Another command was done under its id.
    OtherUnderItsId(String),
    /// It never will be.
    Defect(String),
}

struct Reacting {
    parts: ReactorParts,
    /// Aggregates that may have dead letters; the database knows for certain.
    parked: Mutex<HashSet<Uuid>>,
}

impl Reacting {
    /// The events of one aggregate, one after the other. What cannot be taken is put aside, and what follows it behind it.
    async fn in_order(self: &Arc<Self>, records: Vec<Counted>) {
        for record in &records {
            let outcome = match self.is_parked(record.aggregate_id).await {
                true => Err(None),
                false => self.try_one(record).await.map_err(Some),
            };
            if let Err(reason) = outcome {
                self.park(record, reason.as_deref()).await;
            }
        }
    }

    async fn is_parked(&self, aggregate: Uuid) -> bool {
        if !self.parked.lock().contains(&aggregate) {
            return false;
        }
        let parked = until_it_answers("the dead letters", || self.parts.dead_letters.has(aggregate)).await;
        if !parked {
            self.parked.lock().remove(&aggregate);
        }
        parked
    }

    async fn park(&self, record: &Counted, reason: Option<&str>) {
        if let Some(reason) = reason {
            tracing::error!(service = self.parts.service, position = %record.position, reason, "a record is put aside, and its aggregate with it");
            metrics::DEAD_LETTERS.with_label_values(&[self.parts.service]).inc();
        }
        self.parked.lock().insert(record.aggregate_id);
        until_it_answers("the dead letters", || self.parts.dead_letters.park(record, reason)).await;
    }

    /// Reacts to one record, in a task of its own so that a panic is this record's alone; the reason where that can never be done.
    async fn try_one(self: &Arc<Self>, record: &Counted) -> Result<(), String> {
        let event = self.decode(record).await?;
        let reacting = self.clone();
        let reaction = tokio::spawn(async move {
            for reaction in react(reacting.parts.service, &event) {
                reacting.carry_out(&event, reaction).await?;
            }
            Ok(())
        });
        reaction.await.unwrap_or_else(|defect| Err(format!("the reactor met a defect: {defect}")))
    }

    /// The event; waits for a schema that cannot be learned now.
    async fn decode(&self, record: &Counted) -> Result<Recorded<AnyEvent>, String> {
        let mut pauses = pauses();
        loop {
            let decoded = AnyEvent::decode(&record.position.service, &record.event, &self.parts.schemas);
            let unknown = match decoded {
                Ok(event) => return Ok(record.with(event)),
                Err(DecodeError::UnknownSchema(id)) => id,
                Err(error @ (DecodeError::Framing(_) | DecodeError::ForeignRecord(_) | DecodeError::Body { .. })) => {
                    return Err(error.to_string());
                }
            };
            match self.parts.schemas.learn(unknown).await {
                Learned::Known => {}
                Learned::NeverGiven => return Err(DecodeError::UnknownSchema(unknown).to_string()),
                Learned::NotNow => tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await,
            }
        }
    }

    async fn carry_out(&self, event: &Recorded<AnyEvent>, reaction: Reaction) -> Result<(), String> {
        match reaction {
            Reaction::Commands(reactor, commands) => {
                let sends = commands.into_iter().enumerate().map(|(index, command)| self.send(event, reactor, index, command));
                let outcomes: Vec<_> = stream::iter(sends).buffer_unordered(self.parts.concurrency).collect().await;
                outcomes.into_iter().collect()
            }
            Reaction::Effect(reactor, effect) => match self.effect(effect).await {
                Some(command) => self.record(event, reactor, command).await,
                None => Ok(()),
            },
        }
    }

    /// Sends a command. A refusal settles it: the aggregate has decided. A defect never will.
    async fn send(&self, event: &Recorded<AnyEvent>, reactor: &'static str, index: usize, command: Command) -> Result<(), String> {
        match self.settle(event, reactor, index, command).await {
            Settled::Done => Ok(()),
            Settled::OtherUnderItsId(why) | Settled::Defect(why) => Err(why),
        }
    }

    /// Records what became of an effect. Where a delivery of the same event has recorded another outcome before, that one stands.
    async fn record(&self, event: &Recorded<AnyEvent>, reactor: &'static str, command: Command) -> Result<(), String> {
        match self.settle(event, reactor, 0, command).await {
            Settled::Done | Settled::OtherUnderItsId(_) => Ok(()),
            Settled::Defect(why) => Err(why),
        }
    }

    /// Sends a command until it is settled.
    async fn settle(&self, event: &Recorded<AnyEvent>, reactor: &'static str, index: usize, command: Command) -> Settled {
        let mut pauses = pauses();
        let meta = meta_of(event, reactor, index, now());
        let count = |outcome| metrics::COMMANDS.with_label_values(&[reactor, outcome]).inc();
        loop {
            match self.parts.commands.execute(command.clone(), meta.clone()).await {
                Ok(_) => {
                    count("done");
                    return Settled::Done;
                }
                Err(CommandError::Refused(refused)) => {
                    tracing::debug!(reactor, event = event.event_id, code = refused.code, "a command was refused");
                    count("refused");
                    return Settled::Done;
                }
                Err(CommandError::Unavailable(not_now)) => {
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    tracing::debug!(reactor, reason = not_now.reason, ?pause, "a command has to wait");
                    tokio::time::sleep(pause).await;
                }
                Err(error @ CommandError::KeyReused) => {
                    count("other");
                    return Settled::OtherUnderItsId(format!("{reactor}: {error}"));
                }
                Err(error @ (CommandError::Conflict { .. } | CommandError::Defect(_))) => {
                    count("defect");
                    return Settled::Defect(format!("{reactor}: {error}"));
                }
            }
        }
    }

    /// Does something outside until it is settled, and says what to record of it.
    async fn effect(&self, effect: Effect) -> Option<Command> {
        until_it_answers(self.parts.service, || self.try_effect(&effect)).await
    }

    async fn try_effect(&self, effect: &Effect) -> Result<Option<Command>, String> {
        let gateway = &self.parts.effects.gateway;
        let failed = |error: crate::gateway::GatewayError| error.to_string();
        Ok(match effect {
            Effect::Authorise { payment, amount, method } => {
                let command = match gateway.authorise(*payment, amount, method).await.map_err(failed)? {
                    Ok(reference) => PaymentCommand::RecordAuthorisation { reference },
                    Err(reason) => PaymentCommand::RecordDecline { reason },
                };
                Some(Command::Payment(*payment, command))
            }
            Effect::Capture { payment } => {
                gateway.capture(*payment).await.map_err(failed)?;
                Some(Command::Payment(*payment, PaymentCommand::RecordCapture))
            }
            Effect::Void { payment } => {
                gateway.void(*payment).await.map_err(failed)?;
                None
            }
            Effect::Refund { payment, refund, amount } => {
                gateway.refund(*payment, refund, amount).await.map_err(failed)?;
                None
            }
            Effect::Deliver { notification, user, subject, body } => {
                let command =
                    match self.parts.effects.post.deliver(*notification, *user, subject, body).await.map_err(|error| error.to_string())? {
                        Delivery::Taken => NotificationCommand::RecordDelivery,
                        Delivery::Impossible(reason) => NotificationCommand::RecordFailure { reason },
                    };
                Some(Command::Notification(*notification, command))
            }
        })
    }
}

/// Asks again until there is an answer, ever more slowly.
async fn until_it_answers<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    let mut pauses = pauses();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => {
                let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                tracing::warn!(what, error, ?pause, "something outside has to wait");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// 20 ms, doubling with jitter up to [`LONGEST_PAUSE`], without end.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
