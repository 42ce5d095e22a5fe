//! Sends a command that needs a reservation: reserves first, and settles with whoever holds it.
//!
//! No clock decides who gets it. The clock only says how long a reservation is left alone that its holder does not use yet.

use domain::{
    HolderId, ReservationId, Timestamp,
    reservation::{FORGONE, Held, Holder, Reservation, ReservationCommand, ReservationRefusal, Reserved, UNRESERVED},
};
use event_sourcing::Cause;
use event_store::{Accepted, Aggregates, CommandError, CommandMeta, Execute, Refused, Unavailable};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a request waits for another that has reserved the same and has not used it yet.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// For how many milliseconds a reservation that its holder does not use is left alone: the holder's request may be on its way.
const FRESH: i64 = 5_000;

/// Who makes the events of reserving, ending and forgoing.
const ACTOR: &str = "system/reservations";

type Outcome = Result<Accepted, CommandError>;

/// Sends commands to the holders of one kind of reservation.
pub(crate) struct Unique<A: Holder> {
    holders: Arc<dyn Execute<A>>,
    reservations: Arc<dyn Execute<Reservation>>,
    /// True once the gate was seen open: it never closes.
    open: AtomicBool,
}

/// What a request is about.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The account or product that is to use it.
    pub holder: Uuid,
    /// Of what it is to use.
    pub reservation: ReservationId,
    /// The request's own circumstances.
    pub meta: &'a CommandMeta,
}

/// How an attempt to reserve ended.
pub(crate) enum Reserving {
    /// It is reserved, under this number.
    Reserved(Reserved),
    /// The holder does not use it; only for [`Unique::reserve_in_use`].
    Unused,
    /// Another uses it: that one's refusal.
    Taken(Refused),
    /// Another has reserved it a moment ago, and does not use it yet.
    Busy(String),
    /// Something was settled: the next attempt may succeed at once.
    Again,
    /// An aggregate could not be asked.
    Failed(CommandError),
}

impl<A: Holder> Unique<A> {
    /// None where the system has no such aggregates.
    pub fn of(aggregates: &Aggregates) -> Option<Self> {
        let (holders, reservations) = (aggregates.typed::<A>()?, aggregates.typed::<Reservation>()?);
        Some(Self { holders, reservations, open: AtomicBool::new(false) })
    }

    /// The aggregates, for commands that need no reservation.
    pub fn holders(&self) -> &dyn Execute<A> {
        &*self.holders
    }

    /// Sends a command to a holder that may do without: one that changes nothing about what is reserved is done at once.
    pub async fn change(&self, wanted: Wanted<'_>, command: impl Fn(Option<Reserved>) -> A::Command) -> Outcome {
        match self.holders.execute(wanted.holder, command(None), wanted.meta.clone()).await {
            Err(CommandError::Refused(refused)) if refused.code == UNRESERVED => self.create(wanted, command).await,
            outcome => outcome,
        }
    }

    /// Sends a command with the reservation that it needs.
    pub async fn create(&self, wanted: Wanted<'_>, command: impl Fn(Option<Reserved>) -> A::Command) -> Outcome {
        let (until, mut pause) = (Instant::now() + PATIENCE, PAUSES.0);
        loop {
            let refusal = match self.attempt(wanted, &command).await {
                Ok(outcome) => return outcome,
                Err(Reserving::Taken(refused)) => CommandError::Refused(refused),
                Err(Reserving::Busy(reason)) if Instant::now() >= until => unavailable(reason),
                Err(Reserving::Failed(error)) => return Err(not_done(error)),
                Err(Reserving::Again) if Instant::now() < until => continue,
                Err(_) if Instant::now() >= until => unavailable("others want the same just now".to_owned()),
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
            };
            return self.unless_done_before(wanted, command(None), refusal).await;
        }
    }

    /// The first answer to the command, where it was done before and another has the reservation by now; else this refusal.
    async fn unless_done_before(&self, wanted: Wanted<'_>, command: A::Command, refusal: CommandError) -> Outcome {
        match self.holders.execute(wanted.holder, command, wanted.meta.clone()).await {
            Err(CommandError::Refused(refused)) if refused.code == UNRESERVED => Err(refusal),
            outcome => outcome,
        }
    }

    /// One attempt: an outcome, or why there is none yet.
    async fn attempt(&self, wanted: Wanted<'_>, command: &impl Fn(Option<Reserved>) -> A::Command) -> Result<Outcome, Reserving> {
        self.may_reserve(wanted.meta).await?;
        let reserved = match self.reserve(wanted, FRESH).await {
            Reserving::Reserved(reserved) => reserved,
            other => return Err(other),
        };
        match self.holders.execute(wanted.holder, command(Some(reserved)), wanted.meta.clone()).await {
            Err(CommandError::Refused(refused)) if refused.code == FORGONE => {
                self.end(wanted.holder, reserved, wanted.meta).await?;
                Err(Reserving::Again)
            }
            Err(
                error @ (CommandError::Refused(_) | CommandError::Conflict { .. } | CommandError::KeyReused | CommandError::Rejected(_)),
            ) => {
                // Nobody else waits for it; where this fails the next who wants it does the same.
                let _ = self.take_from(wanted.holder, reserved, wanted.meta).await;
                Ok(Err(error))
            }
            outcome => Ok(outcome),
        }
    }

    /// Waits with everybody until what was in use before there were reservations is reserved.
    async fn may_reserve(&self, meta: &CommandMeta) -> Result<(), Reserving> {
        if self.open.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.reservations.execute(ReservationId::gate().0, ReservationCommand::MayReserve, aside(meta)).await {
            Ok(_) => {
                self.open.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(CommandError::Refused(refused)) => Err(Reserving::Busy(refused.message)),
            Err(error) => Err(Reserving::Failed(error)),
        }
    }

    /// Reserves for a holder what it uses already, if it does.
    pub async fn reserve_in_use(&self, holder: Uuid, reservation: ReservationId, meta: &CommandMeta) -> Reserving {
        match self.uses(holder, reservation, meta).await {
            Err(Reserving::Taken(_)) => match self.reserve(Wanted { holder, reservation, meta }, 0).await {
                Reserving::Taken(refused) => self.wait_for(holder, reservation, meta, refused).await,
                other => other,
            },
            Err(other) => other,
            Ok(()) => Reserving::Unused,
        }
    }

    /// Two used the same before there were reservations: the second gets it after the first, so that no third one does.
    async fn wait_for(&self, holder: Uuid, reservation: ReservationId, meta: &CommandMeta, refused: Refused) -> Reserving {
        let command = ReservationCommand::Await { kind: A::KIND, holder: HolderId(holder), now: now() };
        match self.reservations.execute(reservation.0, command, aside(meta)).await {
            Ok(_) => Reserving::Taken(refused),
            Err(error) => Reserving::Failed(error),
        }
    }

    /// Reserves; where another holds it, settles with that one, unless its reservation is younger than so many milliseconds.
    async fn reserve(&self, wanted: Wanted<'_>, fresh: i64) -> Reserving {
        let Wanted { holder, reservation, meta } = wanted;
        let command = ReservationCommand::Reserve { kind: A::KIND, holder: HolderId(holder), now: now() };
        match self.reservations.execute(reservation.0, command, aside(meta)).await {
            Ok(accepted) => Reserving::Reserved(Reserved { reservation_id: reservation, number: accepted.version as i64 }),
            Err(CommandError::Refused(refused)) if refused.code == ReservationRefusal::HELD => {
                let Some(held) = refused.details.as_ref().and_then(|details| details.read::<Held>()) else {
                    return Reserving::Failed(CommandError::Defect("a reservation's owner does not say who holds it".to_owned()));
                };
                self.settle(reservation, held, meta, fresh).await.map_or_else(|other| other, |()| Reserving::Again)
            }
            Err(error) => Reserving::Failed(error),
        }
    }

    /// Has another's reservation ended, if that one does not use it.
    async fn settle(&self, reservation_id: ReservationId, held: Held, meta: &CommandMeta, fresh: i64) -> Result<(), Reserving> {
        let Held { holder: HolderId(holder), number, since } = held;
        self.uses(holder, reservation_id, meta).await?;
        // The clocks of two nodes may differ in either direction.
        if now().0.abs_diff(since.0) < fresh.unsigned_abs() {
            return Err(Reserving::Busy("another request has reserved the same a moment ago".to_owned()));
        }
        self.take_from(holder, Reserved { reservation_id, number }, meta).await
    }

    /// Refused ([`Reserving::Taken`]) where the holder uses what the reservation is of.
    async fn uses(&self, holder: Uuid, reservation: ReservationId, meta: &CommandMeta) -> Result<(), Reserving> {
        self.holders.execute(holder, A::uses(reservation), aside(meta)).await.map(drop).map_err(Self::refused)
    }

    /// Has the holder record that it never uses the reservation, and then ends it.
    async fn take_from(&self, holder: Uuid, reserved: Reserved, meta: &CommandMeta) -> Result<(), Reserving> {
        self.holders.execute(holder, A::forgo(reserved), aside(meta)).await.map_err(Self::refused)?;
        self.end(holder, reserved, meta).await
    }

    async fn end(&self, holder: Uuid, reserved: Reserved, meta: &CommandMeta) -> Result<(), Reserving> {
        let command = ReservationCommand::End { holder: HolderId(holder), number: reserved.number };
        let ended = self.reservations.execute(reserved.reservation_id.0, command, aside(meta)).await;
        ended.map(drop).map_err(Reserving::Failed)
    }

    fn refused(error: CommandError) -> Reserving {
        match error {
            CommandError::Refused(refused) if refused.code == A::TAKEN => Reserving::Taken(refused),
            error => Reserving::Failed(error),
        }
    }
}

/// The circumstances of a command on the way to the one that was asked for: an id of its own, and no expected version. It is the system's
/// own, since it may go to somebody else's account; the correlation tells for which request.
fn aside(meta: &CommandMeta) -> CommandMeta {
    let cause = Cause { actor: ACTOR.to_owned(), ..meta.cause.clone() };
    CommandMeta { command_id: Uuid::now_v7(), expected_version: None, only_of: None, time: meta.time, cause }
}

fn unavailable(reason: String) -> CommandError {
    CommandError::Unavailable(Unavailable { reason, retry_after_millis: 1_000, in_doubt: false })
}

/// Whatever became of a command on the way, the one that was asked for was not sent.
fn not_done(error: CommandError) -> CommandError {
    match error {
        CommandError::Unavailable(unavailable) => CommandError::Unavailable(Unavailable { in_doubt: false, ..unavailable }),
        error => error,
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
