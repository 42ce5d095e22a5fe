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
use schemas::{AnyEvent, DecodeError, Schemas};
use std::{collections::HashMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// Where the reactors of a service keep how far they have come.
#[async_trait::async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Where a reader stands.
    async fn checkpoint(&self, reader: &str, source: &PartitionId) -> Result<Checkpoint, BatchError>;
    /// Moves it from the batch's beginning to its end, unless somebody else has.
    async fn advance(&self, reader: &str, batch: &Batch) -> Result<(), BatchError>;
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
        Self { reacting: Arc::new(Reacting(parts)), flow }
    }
}

/// The reactors' name in the checkpoints: one for a service, since one pass serves them all.
pub(crate) const READER: &str = "reactors";

#[async_trait::async_trait]
impl BatchHandler for Reactors {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        self.flow.begin(source);
        self.reacting.0.checkpoints.checkpoint(READER, source).await
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

struct Reacting(ReactorParts);

impl Reacting {
    /// The events of one aggregate, one after the other.
    async fn in_order(&self, records: Vec<Counted>) {
        for record in &records {
            if let Some(event) = self.decode(record).await {
                for reaction in react(self.0.service, &event) {
                    self.carry_out(&event, reaction).await;
                }
            }
        }
    }

    async fn decode(&self, record: &Counted) -> Option<Recorded<AnyEvent>> {
        let decode = || AnyEvent::decode(&record.position.service, &record.event, &self.0.schemas);
        let decoded = match decode() {
            Err(DecodeError::UnknownSchema(id)) if self.0.schemas.learn(id).await => decode(),
            decoded => decoded,
        };
        match decoded {
            Ok(event) => Some(record.with(event)),
            Err(error) => {
                tracing::error!(service = self.0.service, position = %record.position, %error, "a reactor cannot decode a record");
                metrics::UNDECODABLE.with_label_values(&[self.0.service]).inc();
                None
            }
        }
    }

    async fn carry_out(&self, event: &Recorded<AnyEvent>, reaction: Reaction) {
        match reaction {
            Reaction::Commands(reactor, commands) => {
                let sends = commands.into_iter().enumerate().map(|(index, command)| self.send(event, reactor, index, command));
                stream::iter(sends).for_each_concurrent(self.0.concurrency, |send| send).await;
            }
            Reaction::Effect(reactor, effect) => {
                if let Some(command) = self.effect(effect).await {
                    self.send(event, reactor, 0, command).await;
                }
            }
        }
    }

    /// Sends a command until it is settled. A refusal settles it: the aggregate has decided.
    async fn send(&self, event: &Recorded<AnyEvent>, reactor: &'static str, index: usize, command: Command) {
        let mut pauses = pauses();
        let meta = meta_of(event, reactor, index, now());
        loop {
            let outcome = match self.0.commands.execute(command.clone(), meta.clone()).await {
                Ok(_) => "done",
                Err(CommandError::Refused(refused)) => {
                    tracing::debug!(reactor, event = event.event_id, code = refused.code, "a command was refused");
                    "refused"
                }
                Err(CommandError::Unavailable(not_now)) => {
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    tracing::debug!(reactor, reason = not_now.reason, ?pause, "a command has to wait");
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Err(error @ (CommandError::Conflict { .. } | CommandError::KeyReused)) => {
                    tracing::error!(reactor, event = event.event_id, %error, "a command of a reactor met another under its id");
                    "defect"
                }
            };
            metrics::COMMANDS.with_label_values(&[reactor, outcome]).inc();
            return;
        }
    }

    /// Does something outside until it is settled, and says what to record of it.
    async fn effect(&self, effect: Effect) -> Option<Command> {
        let mut pauses = pauses();
        loop {
            match self.try_effect(&effect).await {
                Ok(command) => return command,
                Err(error) => {
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    tracing::warn!(service = self.0.service, error, ?pause, "an effect has to wait");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn try_effect(&self, effect: &Effect) -> Result<Option<Command>, String> {
        let gateway = &self.0.effects.gateway;
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
                    match self.0.effects.post.deliver(*notification, *user, subject, body).await.map_err(|error| error.to_string())? {
                        Delivery::Taken => NotificationCommand::RecordDelivery,
                        Delivery::Impossible(reason) => NotificationCommand::RecordFailure { reason },
                    };
                Some(Command::Notification(*notification, command))
            }
        })
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
