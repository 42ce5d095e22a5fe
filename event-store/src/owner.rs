//! Drives a [`Writer`] over a log: one task per owned partition.

mod port;

use crate::{
    CommandMeta, LogError, PartitionId,
    fold::Fold,
    log::{Ack, Log},
    metrics,
    pace::{Pace, at},
    recover::{Origin, recover},
    saver::Saver,
    standby::Standby,
    standing::{Ended, Standing},
    tripwire,
    writer::{Answer, NodeName, Pending, Phase, Writer, WriterConfig, in_doubt, unavailable},
};
use codec::Schemas;
use event_sourcing::Aggregate;
use futures::FutureExt;
use port::{World, next_records};
use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

/// How long a stopping owner waits for its unanswered commands, and then for its last snapshot.
const DRAIN: Duration = Duration::from_secs(5);
/// How many records of a replay, or queued commands, are taken at once.
const AT_ONCE: usize = 1_000;

#[expect(clippy::large_enum_variant, reason = "a stop is sent once, and a box would cost each command an allocation")]
enum Message<A: Aggregate> {
    Command(Pending<A>),
    Stop,
}

/// Talks to the task that owns a partition. When it is dropped, the task drains and ends.
pub struct PartitionOwner<A: Aggregate> {
    inbox: mpsc::UnboundedSender<Message<A>>,
    claim: watch::Receiver<Option<i64>>,
    done: watch::Receiver<Option<Ended>>,
    task: tokio::task::AbortHandle,
    standing: Arc<Standing>,
}

/// What [`PartitionOwner::spawn`] needs.
pub struct OwnerParts {
    /// The service's log.
    pub log: Arc<dyn Log>,
    /// The partition to own.
    pub source: PartitionId,
    /// How events become bytes.
    pub schemas: Schemas,
    /// How this node calls itself.
    pub node: NodeName,
    /// The bounds.
    pub config: WriterConfig,
    /// The directory of this machine's snapshots; without one, the owner keeps all in memory and reads the whole log at each start.
    pub snapshots: Option<PathBuf>,
}

impl OwnerParts {
    fn origin(&self) -> Origin {
        let Self { log, source, schemas, config, snapshots, .. } = self;
        Origin { log: log.clone(), source: source.clone(), schemas: schemas.clone(), config: *config, snapshots: snapshots.clone() }
    }
}

impl<A: Aggregate> PartitionOwner<A> {
    /// Starts an owner that claims the partition, which is placed here.
    pub fn spawn(parts: OwnerParts) -> Self {
        Self::begin(parts, None, true)
    }

    /// Starts an owner that claims the partition, with the standby's fold if there is one. Where the partition is not placed here, the
    /// owner steps down when it comes into doubt, instead of claiming again.
    pub(crate) fn begin(parts: OwnerParts, standby: Option<Standby<A>>, placed: bool) -> Self {
        let inbox = mpsc::unbounded_channel();
        let (claimed, claim) = watch::channel(None);
        let (finished, done) = watch::channel(None);
        let standing = Arc::new(Standing::new(placed));
        let owning = own(parts, standby, inbox.1, claimed, standing.clone());
        let task = tokio::spawn(async move {
            let met_a_defect = AssertUnwindSafe(owning).catch_unwind().await.is_err();
            let _ = finished.send(Some(if met_a_defect { Ended::Defect } else { Ended::Done }));
        });
        Self { inbox: inbox.0, claim, done, task: task.abort_handle(), standing }
    }

    /// The partition is placed here now: from now on the owner claims again whenever somebody else has claimed. False where it has stepped
    /// down already.
    pub(crate) fn place(&self) -> bool {
        self.standing.place()
    }

    /// Whether its task has ended, and with it the ownership.
    pub(crate) fn is_done(&self) -> bool {
        self.task.is_finished() || self.done.borrow().is_some()
    }

    /// Resolves when its task has ended.
    pub(crate) fn done(&self) -> impl Future<Output = Ended> + Send + use<A> {
        let mut done = self.done.clone();
        // One that was aborted says nothing.
        async move { done.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or(Ended::Done) }
    }

    /// The claim under which this owner writes now; none while it claims or replays.
    pub fn claim(&self) -> watch::Receiver<Option<i64>> {
        self.claim.clone()
    }

    /// Sends a command and waits until it is settled.
    pub async fn execute(&self, id: Uuid, command: A::Command, meta: CommandMeta, fingerprint: u64) -> Answer {
        self.ask(id, Some(command), meta, fingerprint).await
    }

    /// Asks for an aggregate's version, behind the read barrier.
    pub async fn read(&self, id: Uuid) -> Answer {
        self.ask(id, None, CommandMeta::question(), 0).await
    }

    async fn ask(&self, id: Uuid, command: Option<A::Command>, meta: CommandMeta, fingerprint: u64) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = "the owner of this partition has stopped";
        if self.inbox.send(Message::Command(Pending { id, command, meta, fingerprint, rejected: None, reply })).is_err() {
            return unavailable(gone, 100);
        }
        // Its records may have been on their way.
        answer.await.unwrap_or_else(|_| in_doubt(gone, 100))
    }

    /// Stops taking commands and answers those that were taken, within a bound of seconds.
    pub async fn drain(&self) {
        let _ = self.inbox.send(Message::Stop);
        self.done().await;
    }

    /// Stops at once, as a crash does: the commands in flight get no answer.
    pub fn abort(&self) {
        self.task.abort();
    }
}

/// What an owner does: it reads what is known, claims, and writes until it is stopped or steps down.
async fn own<A: Aggregate>(
    parts: OwnerParts,
    standby: Option<Standby<A>>,
    mut commands: mpsc::UnboundedReceiver<Message<A>>,
    claimed: watch::Sender<Option<i64>>,
    standing: Arc<Standing>,
) {
    let origin = parts.origin();
    let fold = tokio::select! {
        fold = known(&origin, standby) => fold,
        () = nothing_known(&mut commands) => return,
    };
    Driver::new(parts, fold, commands, claimed, standing).run().await;
}

/// The fold before the claim: the standby's, or else the snapshot's.
async fn known<A: Aggregate>(origin: &Origin, standby: Option<Standby<A>>) -> Fold<A> {
    let warm = match standby {
        Some(standby) => standby.hand_over().await,
        None => None,
    };
    match warm {
        Some(fold) => fold,
        None => recover(origin).await,
    }
}

/// Answers "not now" to commands that come before the fold is there; returns when the owner is to stop.
async fn nothing_known<A: Aggregate>(commands: &mut mpsc::UnboundedReceiver<Message<A>>) {
    while let Some(Message::Command(pending)) = commands.recv().await {
        pending.answer(unavailable("the owner of this partition is still reading its snapshot", 200));
    }
}

struct Driver<A: Aggregate> {
    writer: Writer<A>,
    saver: Saver,
    world: World,
    commands: mpsc::UnboundedReceiver<Message<A>>,
    acks: mpsc::UnboundedReceiver<Ack>,
    ends: mpsc::UnboundedReceiver<(u64, Result<i64, LogError>)>,
    claimed: watch::Sender<Option<i64>>,
    stop_by: Option<Instant>,
    standing: Arc<Standing>,
}

impl<A: Aggregate> Driver<A> {
    fn new(
        parts: OwnerParts,
        fold: Fold<A>,
        commands: mpsc::UnboundedReceiver<Message<A>>,
        claimed: watch::Sender<Option<i64>>,
        standing: Arc<Standing>,
    ) -> Self {
        let OwnerParts { log, source, node, config, .. } = parts;
        let (acks_to, acks) = mpsc::unbounded_channel();
        let (ends_to, ends) = mpsc::unbounded_channel();
        let world = World {
            log,
            partition: source.partition,
            acks: acks_to,
            ends: ends_to,
            replay: None,
            claim_at: None,
            pace: Pace::new(config.proof_every),
        };
        let (writer, saver) = (Writer::new(fold, node, config), Saver::new(config));
        Self { writer, saver, world, commands, acks, ends, claimed, stop_by: None, standing }
    }

    async fn run(mut self) {
        self.writer.claim(&mut self.world);
        while !self.is_done() && !self.steps_down() {
            let in_flight = !self.writer.has_landed();
            self.turn().await;
            tripwire::pass("owner", self.world.partition);
            self.writer.prove_by(self.world.log.barrier());
            if in_flight && self.writer.has_landed() && self.stop_by.is_none() {
                // Clients that were just answered mostly send their next command at once: this lets them, so that it joins the next batch.
                tokio::task::yield_now().await;
                self.take_commands(None);
            }
            self.writer.proceed(&mut self.world);
            self.publish();
            self.saver.proceed(None, &mut self.writer.fold);
        }
        if tokio::time::timeout(DRAIN, self.saver.finish(&mut self.writer.fold)).await.is_err() {
            tracing::warn!("the last snapshot took too long");
        }
    }

    /// Whether a partition that was only taken over is in doubt: somebody else may have claimed it. Callers that wait are told to ask
    /// again.
    fn steps_down(&self) -> bool {
        let steps_down = self.writer.is_superseded() && self.standing.step_down();
        if steps_down {
            let source = &self.writer.fold.source;
            tracing::info!(service = %source.service, partition = source.partition, "somebody else owns the partition now");
        }
        steps_down
    }

    fn is_done(&self) -> bool {
        self.stop_by.is_some_and(|by| self.writer.is_idle() || Instant::now() >= by)
    }

    /// Waits for the next message, acknowledgement, batch of records or timer, and passes it to the writer.
    async fn turn(&mut self) {
        let Self { writer, saver, world, commands, acks, ends, stop_by, .. } = self;
        let epoch = writer.epoch();
        let (claim_at, proof_due) = (world.claim_at, world.pace.due());
        tokio::select! {
            Some(ack) = acks.recv() => {
                writer.acked(ack, world);
                while let Ok(ack) = acks.try_recv() {
                    writer.acked(ack, world);
                }
            }
            Some((asked, end)) = ends.recv() => {
                writer.prove_by(world.log.barrier());
                writer.barrier(asked, end, world);
            }
            records = next_records(&mut world.replay), if !saver.is_behind(&writer.fold) => writer.replayed(epoch, records, world),
            ended = saver.next() => saver.proceed(ended, &mut writer.fold),
            () = at(claim_at) => {
                world.claim_at = None;
                writer.claim(world);
            }
            () = at(proof_due) => world.pace.wakes(),
            () = at(*stop_by) => {}
            message = commands.recv(), if stop_by.is_none() => self.take_commands(Some(message.unwrap_or(Message::Stop))),
        }
    }

    /// Takes `first`, if there is one, and the messages queued behind it.
    fn take_commands(&mut self, first: Option<Message<A>>) {
        let Self { writer, commands, stop_by, .. } = self;
        let waiting = std::iter::from_fn(|| commands.try_recv().ok());
        for message in first.into_iter().chain(waiting).take(AT_ONCE) {
            match message {
                Message::Command(pending) => writer.submit(pending),
                Message::Stop => {
                    *stop_by = Some(Instant::now() + DRAIN);
                    break;
                }
            }
        }
    }

    /// Publishes the claim under which this owner writes, or that it does not write.
    fn publish(&mut self) {
        let claim = match self.writer.phase {
            Phase::Writing { claim } => Some(claim),
            Phase::Claiming | Phase::Replaying { .. } => None,
        };
        if !matches!(self.writer.phase, Phase::Replaying { .. }) {
            self.world.replay = None;
        }
        let changed = self.claimed.send_if_modified(|known| std::mem::replace(known, claim) != claim);
        if changed && let Some(claim) = claim {
            let source = &self.writer.fold.source;
            tracing::info!(service = %source.service, partition = source.partition, claim, "owner of the partition");
            metrics::CLAIMS.with_label_values(&[&source.service]).inc();
        }
    }
}
