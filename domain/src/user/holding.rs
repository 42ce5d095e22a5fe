//! What an account holds: the reservation of its address, and those that it will never use.

use super::{Account, User, UserCommand, UserEmailForgone, UserEvent, UserRefusal};
use crate::{
    Email, ReservationId,
    reservation::{Forgone, Holder, Kind, Reserved},
};

impl Account {
    /// What was forgone so far.
    pub(super) fn forgone(&self) -> Forgone {
        match self {
            Self::NotRegistered(forgone) => forgone.clone(),
            Self::Open(profile) => profile.forgone.clone(),
            Self::Closed => Forgone::default(),
        }
    }

    /// Never uses this reservation.
    pub(super) fn forgo(&mut self, reserved: Reserved) {
        match self {
            Self::NotRegistered(forgone) => forgone.add(reserved),
            Self::Open(profile) => profile.forgone.add(reserved),
            Self::Closed => {}
        }
    }
}

impl User {
    /// Refuses where the account uses the address of this reservation, whether or not it was reserved for it.
    pub(super) fn parts_with(&self, reservation_id: ReservationId) -> Result<(), UserRefusal> {
        let uses = self.profile().is_some_and(|profile| ReservationId::of_email(&profile.email) == reservation_id);
        if uses { Err(UserRefusal::EmailTaken) } else { Ok(()) }
    }

    /// A closed account uses no reservation in any case.
    pub(super) fn forgo(&self, reserved: Reserved) -> Result<Vec<UserEvent>, UserRefusal> {
        self.parts_with(reserved.reservation_id)?;
        let settled = self.is_closed() || self.account.forgone().includes(reserved);
        Ok(if settled { vec![] } else { vec![UserEvent::EmailForgone(UserEmailForgone { reserved })] })
    }
}

impl Holder for User {
    const KIND: Kind = Kind::Email;
    const TAKEN: &'static str = "email-taken";

    fn uses(reservation_id: ReservationId) -> UserCommand {
        UserCommand::UsesEmail { reservation_id }
    }

    fn forgo(reserved: Reserved) -> UserCommand {
        UserCommand::ForgoEmail { reserved }
    }
}

/// Refuses an address whose reservation is missing, of another address, or forgone.
pub(super) fn usable(email: &Email, reserved: Option<Reserved>, forgone: &Forgone) -> Result<(), UserRefusal> {
    let reserved = reserved.filter(|reserved| reserved.reservation_id == ReservationId::of_email(email));
    match reserved {
        None => Err(UserRefusal::Unreserved),
        Some(reserved) if forgone.includes(reserved) => Err(UserRefusal::Forgone),
        Some(_) => Ok(()),
    }
}
