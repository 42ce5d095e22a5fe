//! A user: registers, changes the profile, closes the account, and is vouched for when an order is placed.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod holding;
#[cfg(test)]
mod tests;
mod vouching;

pub use vouching::{ANSWERED_ORDERS, Answered, CustomerRefused, CustomerVouched};

use crate::{
    Aggregate, Command, Email, Intent, OrderId, Refusal, ReservationId, Text,
    reservation::{FORGONE, Forgone, Holder, Reserved, UNRESERVED},
};
use holding::usable;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user: the account, and the orders for which it was asked.
///
/// The answers stand beside the account, not inside one of its states: an order may name an identity that nobody has registered, and that may
/// still register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    account: Account,
    answered: Answered,
}

/// A user's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// Nobody has registered under this identity; the addresses that were reserved for it in vain.
    NotRegistered(Forgone),
    /// The account is open.
    Open(Profile),
    /// The account was closed for good; the profile is forgotten.
    Closed,
}

/// The user's data in an open account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Where the user reads mail.
    pub email: Email,
    /// What the user is called.
    pub name: Text,
    /// Where parcels go, if anywhere.
    pub address: Option<Text>,
    /// The reservation of the address; none where it was written before there were reservations.
    pub reserved: Option<Reserved>,
    /// The reservations of addresses that the account never uses again.
    pub forgone: Forgone,
}

impl Default for Account {
    fn default() -> Self {
        Self::NotRegistered(Forgone::default())
    }
}

impl User {
    /// The profile of an open account.
    pub fn profile(&self) -> Option<&Profile> {
        match &self.account {
            Account::Open(profile) => Some(profile),
            Account::NotRegistered(_) | Account::Closed => None,
        }
    }

    /// True once the account was closed.
    pub fn is_closed(&self) -> bool {
        self.account == Account::Closed
    }
}

/// The commands to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserCommand {
    /// Opens the account, with the reservation of its address.
    Register {
        email: Email,
        name: Text,
        address: Option<Text>,
        #[serde(default)]
        reserved: Option<Reserved>,
    },
    /// Changes the fields that are given; if none of them differs it makes no event. Another address needs a reservation.
    ChangeProfile {
        email: Option<Email>,
        name: Option<Text>,
        address: Option<Text>,
        #[serde(default)]
        reserved: Option<Reserved>,
    },
    /// Closes the account for good.
    Close { reason: Option<Text> },
    /// Asks whether an order may be this customer's; the answer is an event. The first answer for an order stands.
    VouchFor { order_id: OrderId },
    /// Never to use this reservation of an address; refused where the account uses the address.
    ForgoEmail { reserved: Reserved },
    /// A question: refused where the account uses the address of this reservation.
    UsesEmail { reservation_id: ReservationId },
}

impl Command for UserCommand {
    const VERSION: u32 = 2;

    fn version(&self) -> u32 {
        match self {
            Self::Register { reserved: None, .. } | Self::ChangeProfile { reserved: None, .. } | Self::Close { .. } => 1,
            Self::Register { .. }
            | Self::ChangeProfile { .. }
            | Self::VouchFor { .. }
            | Self::ForgoEmail { .. }
            | Self::UsesEmail { .. } => 2,
        }
    }

    fn intent(&self) -> Intent {
        match self {
            Self::Register { email, name, address, reserved: _ } => {
                Intent::of("register").with("email", email).with("name", name).with("address", address)
            }
            Self::ChangeProfile { email, name, address, reserved: _ } => {
                Intent::of("change-profile").with("email", email).with("name", name).with("address", address)
            }
            Self::Close { reason } => Intent::of("close").with("reason", reason),
            Self::VouchFor { order_id } => Intent::of("vouch-for").with("order_id", order_id),
            Self::ForgoEmail { reserved } => Intent::of("forgo-email").with("reserved", reserved),
            Self::UsesEmail { reservation_id } => Intent::of("uses-email").with("reservation_id", reservation_id),
        }
    }
}

event_sourcing::events! {
    /// The events of a user.
    pub enum UserEvent in "users", "daybook.user" {
        /// The account was opened.
        Registered(UserRegistered),
        /// Part of the profile changed.
        ProfileChanged(UserProfileChanged),
        /// The account was closed.
        Closed(UserClosed),
        /// The customer of an order has an open account.
        Vouched(CustomerVouched),
        /// The customer of an order has none.
        Refused(CustomerRefused),
        /// A reservation of an address will never be used.
        EmailForgone(UserEmailForgone),
    }
}

/// The account was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    pub email: Email,
    pub name: Text,
    pub address: Option<Text>,
    /// None where it was written before there were reservations.
    pub reserved: Option<Reserved>,
}

/// Part of the profile changed; a field that is none stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProfileChanged {
    pub email: Option<Email>,
    pub name: Option<Text>,
    pub address: Option<Text>,
    /// The reservation of the new address.
    pub reserved: Option<Reserved>,
    /// The reservation of the former address, where that one is left and was reserved: it is never used again.
    pub left: Option<Reserved>,
}

/// The account was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClosed {
    pub reason: Option<Text>,
    /// The reservation of the address, where it was reserved.
    pub left: Option<Reserved>,
}

/// A reservation of an address will never be used by this account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEmailForgone {
    pub reserved: Reserved,
}

/// Why a user's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserRefusal {
    /// Nobody has registered under this identity.
    #[error("the user does not exist: register first")]
    Unknown,
    /// The identity is taken.
    #[error("the user is already registered: an identity registers once")]
    AlreadyRegistered,
    /// The account is closed.
    #[error("the user's account is closed for good: nothing about it can be changed")]
    Closed,
    /// An account uses the address. It says no more than that: who asks may be anybody.
    #[error("is the address of an account already: each address has one account")]
    EmailTaken,
    /// The command bears no reservation of its address.
    #[error("must be reserved first: a node of an earlier version has sent this, send it again")]
    Unreserved,
    /// The account has forgone the reservation.
    #[error("its reservation was given up meanwhile: reserve it again")]
    Forgone,
}

impl Refusal for UserRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-user",
            Self::AlreadyRegistered => "already-registered",
            Self::Closed => "user-closed",
            Self::EmailTaken => User::TAKEN,
            Self::Unreserved => UNRESERVED,
            Self::Forgone => FORGONE,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::AlreadyRegistered | Self::Closed => None,
            Self::EmailTaken | Self::Unreserved | Self::Forgone => Some("email"),
        }
    }

    fn is_not_found(&self) -> bool {
        *self == Self::Unknown
    }
}

impl Aggregate for User {
    const NAME: &'static str = "user";
    const FOLD: u64 = crate::SOURCES;
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserRefusal;

    fn handle(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserRefusal> {
        match command {
            UserCommand::Register { email, name, address, reserved } => {
                self.account.register(UserRegistered { email, name, address, reserved })
            }
            UserCommand::ChangeProfile { email, name, address, reserved } => {
                self.account.change(UserProfileChanged { email, name, address, reserved, left: None })
            }
            UserCommand::Close { reason } => self.account.close(reason),
            UserCommand::ForgoEmail { reserved } => self.forgo(reserved),
            UserCommand::UsesEmail { reservation_id } => self.parts_with(reservation_id).map(|()| vec![]),
            UserCommand::VouchFor { order_id } => Ok(self.vouch_for(order_id)),
        }
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered(registered) => self.account = Account::Open(Profile::of(registered, self.account.forgone())),
            UserEvent::ProfileChanged(changed) => {
                if let Account::Open(profile) = &mut self.account {
                    profile.take_over(changed);
                }
            }
            UserEvent::Closed(UserClosed { reason: _, left: _ }) => self.account = Account::Closed,
            UserEvent::EmailForgone(UserEmailForgone { reserved }) => self.account.forgo(*reserved),
            UserEvent::Vouched(CustomerVouched { order_id }) | UserEvent::Refused(CustomerRefused { order_id, reason: _ }) => {
                self.answered.add(*order_id);
            }
        }
    }

    /// An account is whose name it bears, before it is opened, too.
    fn belongs_to(&self, id: Uuid) -> Option<Uuid> {
        Some(id)
    }
}

impl Account {
    fn register(&self, registered: UserRegistered) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered(forgone) => {
                usable(&registered.email, registered.reserved, forgone)?;
                Ok(vec![UserEvent::Registered(registered)])
            }
            Self::Open(_) => Err(UserRefusal::AlreadyRegistered),
            Self::Closed => Err(UserRefusal::Closed),
        }
    }

    fn change(&self, wanted: UserProfileChanged) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered(_) => Err(UserRefusal::Unknown),
            Self::Open(profile) => Ok(profile.difference(wanted)?.map(UserEvent::ProfileChanged).into_iter().collect()),
            Self::Closed => Err(UserRefusal::Closed),
        }
    }

    fn close(&self, reason: Option<Text>) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered(_) => Err(UserRefusal::Unknown),
            Self::Open(profile) => Ok(vec![UserEvent::Closed(UserClosed { reason, left: profile.reserved })]),
            Self::Closed => Ok(vec![]),
        }
    }
}

impl Profile {
    fn of(registered: &UserRegistered, forgone: Forgone) -> Self {
        let UserRegistered { email, name, address, reserved } = registered.clone();
        Self { email, name, address, reserved, forgone }
    }

    /// The fields of `wanted` that differ from the profile; none if no field does.
    fn difference(&self, wanted: UserProfileChanged) -> Result<Option<UserProfileChanged>, UserRefusal> {
        let email = wanted.email.filter(|email| *email != self.email);
        let name = wanted.name.filter(|name| *name != self.name);
        let address = wanted.address.filter(|address| self.address.as_ref() != Some(address));
        if email.is_none() && name.is_none() && address.is_none() {
            return Ok(None);
        }
        let moves = email.as_ref().is_some_and(|email| self.leaves_for(email));
        if let Some(email) = email.as_ref().filter(|_| moves) {
            usable(email, wanted.reserved, &self.forgone)?;
        }
        let (reserved, left) = if moves { (wanted.reserved, self.reserved) } else { (None, None) };
        Ok(Some(UserProfileChanged { email, name, address, reserved, left }))
    }

    /// True where this is another address, and not another spelling of the present one.
    fn leaves_for(&self, email: &Email) -> bool {
        ReservationId::of_email(email) != ReservationId::of_email(&self.email)
    }

    fn take_over(&mut self, changed: &UserProfileChanged) {
        let UserProfileChanged { email, name, address, reserved, left: _ } = changed.clone();
        if email.as_ref().is_some_and(|email| self.leaves_for(email)) {
            let left = std::mem::replace(&mut self.reserved, reserved);
            left.into_iter().for_each(|left| self.forgone.add(left));
        }
        self.email = email.unwrap_or_else(|| self.email.clone());
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.address = address.or_else(|| self.address.take());
    }
}
