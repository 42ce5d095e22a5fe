//! A reservation: the right of one account to an e-mail address, or of one product to a stock-keeping unit.
//!
//! Addresses and accounts live in different partitions, and no transaction covers two. So a holder reserves first and then says in its own
//! log under which number it did. Whoever wants a reservation that another holds asks that holder to forgo the number; a holder that has
//! recorded that never uses the number afterwards, however late a command that bears it arrives. Only then is the reservation ended.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod fold;
mod forgone;
#[cfg(test)]
mod tests;

pub use fold::{folded_email, folded_sku};
pub use forgone::Forgone;

use crate::{Aggregate, Command, Details, Email, HolderId, Intent, Refusal, ReservationId, Sku, Timestamp};
use serde::{Deserialize, Serialize};

/// What a reservation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Kind {
    /// An e-mail address, held by an account.
    Email,
    /// A stock-keeping unit, held by a product.
    Sku,
}

impl Kind {
    /// Its name in records: `email`, `sku`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sku => "sku",
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        [Self::Email, Self::Sku].into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| format!("{name:?} is not reserved"))
    }
}

impl ReservationId {
    /// The reservation of an address: the same for all spellings that people take for one.
    pub fn of_email(email: &Email) -> Self {
        Self::derive(Kind::Email.as_str(), &folded_email(email))
    }

    /// The reservation of a stock-keeping unit: the same for all spellings that people take for one.
    pub fn of_sku(sku: &Sku) -> Self {
        Self::derive(Kind::Sku.as_str(), &folded_sku(sku))
    }

    /// The one instance that says whether anything may be reserved yet ([`ReservationCommand::Open`]).
    pub fn gate() -> Self {
        Self::derive("gate", "")
    }
}

/// A reservation as its holder knows it: which one, and under which number it was made. A later holder of the same one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reserved {
    pub reservation_id: ReservationId,
    /// From 1: the version of the reservation when it was made.
    pub number: i64,
}

/// Who holds a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The account or product.
    pub holder: HolderId,
    pub number: i64,
    /// When it was made, by the clock of the node that asked for it.
    pub since: Timestamp,
}

/// An aggregate that holds reservations of one kind.
pub trait Holder: Aggregate {
    /// What it reserves.
    const KIND: Kind;
    /// The code of its refusal to part with what it uses.
    const TAKEN: &'static str;

    /// A question that is refused ([`Holder::TAKEN`]) where it uses what this reservation is of.
    fn uses(reservation: ReservationId) -> Self::Command;

    /// The command never to use a reservation under this number, refused ([`Holder::TAKEN`]) where it uses what the reservation is of.
    fn forgo(reserved: Reserved) -> Self::Command;
}

/// The code of a holder's refusal of a command that needs a reservation and bears none.
pub const UNRESERVED: &str = "not-reserved";
/// The code of a holder's refusal of a command that bears a reservation which the holder has forgone.
pub const FORGONE: &str = "reservation-forgone";

/// A reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The number of its events so far, so that each reservation gets a number of its own.
    events: i64,
    held: Option<Held>,
    /// Who used it beside its holder before there were reservations, in the order in which that was told.
    awaited_by: Vec<(HolderId, Kind)>,
    open: bool,
}

impl Reservation {
    /// Who holds it; none where it is free.
    pub fn held(&self) -> Option<Held> {
        self.held
    }
}

/// The commands to a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReservationCommand {
    /// Reserves for a holder, under the version that it leads to; where that one holds it under this version already it makes no event.
    Reserve { kind: Kind, holder: HolderId, now: Timestamp },
    /// Notes a further user from before there were reservations: it is made for that one when the present one ends.
    Await { kind: Kind, holder: HolderId, now: Timestamp },
    /// Ends the reservation that was made for this holder under this number, and makes it for the next who awaits it; where there is no such
    /// it makes no event.
    End { holder: HolderId, number: i64 },
    /// To the gate: all that was in use before there were reservations is reserved now.
    Open,
    /// To the gate, a question: refused until it is open.
    MayReserve,
}

impl Command for ReservationCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Reserve { kind, holder, now: _ } => Intent::of("reserve").with("kind", kind).with("holder", holder),
            Self::Await { kind, holder, now: _ } => Intent::of("await").with("kind", kind).with("holder", holder),
            Self::End { holder, number } => Intent::of("end-reservation").with("holder", holder).with("number", number),
            Self::Open => Intent::of("open-reservations"),
            Self::MayReserve => Intent::of("may-reserve"),
        }
    }
}

event_sourcing::events! {
    /// The events of a reservation.
    pub enum ReservationEvent in "reservations", "daybook.reservation" {
        /// It was made for a holder.
        Made(ReservationMade),
        /// A further user awaits it.
        Awaited(ReservationAwaited),
        /// It is free again.
        Ended(ReservationEnded),
        /// From now on anything may be reserved.
        Opened(ReservationsOpened),
    }
}

/// It was made for a holder; its number is the version of this event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationMade {
    pub kind: Kind,
    pub holder: HolderId,
    pub reserved_at: Timestamp,
}

/// Another uses the same since before there were reservations: it is made for that one once it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationAwaited {
    pub kind: Kind,
    pub holder: HolderId,
}

/// The reservation of this holder under this number ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationEnded {
    pub holder: HolderId,
    pub number: i64,
}

/// All that was in use before there were reservations is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationsOpened {}

/// Why a reservation's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationRefusal {
    /// Another holds it; who, its details tell.
    #[error("another holds it")]
    Held(Held),
    /// What was in use before there were reservations is not reserved yet.
    #[error("accounts and products of an earlier version are still being reserved")]
    NotOpen,
}

impl ReservationRefusal {
    /// The code of [`ReservationRefusal::Held`].
    pub const HELD: &'static str = "held-by-another";
}

impl Refusal for ReservationRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Held(_) => Self::HELD,
            Self::NotOpen => "reservations-not-open",
        }
    }

    fn details(&self) -> Option<Details> {
        match self {
            Self::Held(held) => Details::of(held),
            Self::NotOpen => None,
        }
    }
}

impl Aggregate for Reservation {
    const NAME: &'static str = "reservation";
    const FOLD: u64 = crate::SOURCES;
    type Command = ReservationCommand;
    type Event = ReservationEvent;
    type Error = ReservationRefusal;

    fn handle(&self, command: ReservationCommand) -> Result<Vec<ReservationEvent>, ReservationRefusal> {
        match command {
            ReservationCommand::Reserve { kind, holder, now } => self.reserve(ReservationMade { kind, holder, reserved_at: now }),
            ReservationCommand::Await { kind, holder, now } => {
                let made = ReservationMade { kind, holder, reserved_at: now };
                Ok(self.reserve(made).unwrap_or_else(|_| self.wait(ReservationAwaited { kind, holder })))
            }
            ReservationCommand::End { holder, number } => Ok(self.end(ReservationEnded { holder, number })),
            ReservationCommand::Open if self.open => Ok(vec![]),
            ReservationCommand::Open => Ok(vec![ReservationEvent::Opened(ReservationsOpened {})]),
            ReservationCommand::MayReserve if self.open => Ok(vec![]),
            ReservationCommand::MayReserve => Err(ReservationRefusal::NotOpen),
        }
    }

    fn apply(&mut self, event: &ReservationEvent) {
        self.events += 1;
        match event {
            ReservationEvent::Made(ReservationMade { kind: _, holder, reserved_at }) => {
                self.held = Some(Held { holder: *holder, number: self.events, since: *reserved_at });
                self.awaited_by.retain(|(awaiting, _)| awaiting != holder);
            }
            ReservationEvent::Awaited(ReservationAwaited { kind, holder }) => self.awaited_by.push((*holder, *kind)),
            ReservationEvent::Ended(ReservationEnded { holder: _, number: _ }) => self.held = None,
            ReservationEvent::Opened(ReservationsOpened {}) => self.open = true,
        }
    }
}

impl Reservation {
    fn reserve(&self, made: ReservationMade) -> Result<Vec<ReservationEvent>, ReservationRefusal> {
        match self.held {
            None => Ok(vec![ReservationEvent::Made(made)]),
            Some(held) if held.holder == made.holder && held.number == self.events => Ok(vec![]),
            // Another awaits it since: it is made anew, since whoever asks takes the version for the number.
            Some(held) if held.holder == made.holder => Ok(vec![ReservationEvent::Made(made)]),
            Some(held) => Err(ReservationRefusal::Held(held)),
        }
    }

    fn wait(&self, awaited: ReservationAwaited) -> Vec<ReservationEvent> {
        let waits = self.awaited_by.iter().any(|(holder, _)| *holder == awaited.holder);
        if waits { vec![] } else { vec![ReservationEvent::Awaited(awaited)] }
    }

    fn end(&self, ended: ReservationEnded) -> Vec<ReservationEvent> {
        let Some(held) = self.held.filter(|held| (held.holder, held.number) == (ended.holder, ended.number)) else { return vec![] };
        let next = self.awaited_by.first();
        let made = next.map(|(holder, kind)| ReservationMade { kind: *kind, holder: *holder, reserved_at: held.since });
        [ReservationEvent::Ended(ended)].into_iter().chain(made.map(ReservationEvent::Made)).collect()
    }
}
