//! A user: registers, changes the profile, closes the account, and is vouched for when an order is placed.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod vouching;

pub use vouching::{ANSWERED_ORDERS, Answered, CustomerRefused, CustomerVouched};

use crate::{Aggregate, Command, Email, Intent, OrderId, Refusal, Text};
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// Nobody has registered under this identity.
    #[default]
    NotRegistered,
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
}

impl User {
    /// The profile of an open account.
    pub fn profile(&self) -> Option<&Profile> {
        match &self.account {
            Account::Open(profile) => Some(profile),
            Account::NotRegistered | Account::Closed => None,
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
    /// Opens the account.
    Register { email: Email, name: Text, address: Option<Text> },
    /// Changes the fields that are given; if none of them differs it makes no event.
    ChangeProfile { email: Option<Email>, name: Option<Text>, address: Option<Text> },
    /// Closes the account for good.
    Close { reason: Option<Text> },
    /// Asks whether an order may be this customer's; the answer is an event. The first answer for an order stands.
    VouchFor { order_id: OrderId },
}

impl Command for UserCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Register { email, name, address } => {
                Intent::of("register").with("email", email).with("name", name).with("address", address)
            }
            Self::ChangeProfile { email, name, address } => {
                Intent::of("change-profile").with("email", email).with("name", name).with("address", address)
            }
            Self::Close { reason } => Intent::of("close").with("reason", reason),
            Self::VouchFor { order_id } => Intent::of("vouch-for").with("order_id", order_id),
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
    }
}

/// The account was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    pub email: Email,
    pub name: Text,
    pub address: Option<Text>,
}

/// Part of the profile changed; a field that is none stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProfileChanged {
    pub email: Option<Email>,
    pub name: Option<Text>,
    pub address: Option<Text>,
}

/// The account was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClosed {
    pub reason: Option<Text>,
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
}

impl Refusal for UserRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-user",
            Self::AlreadyRegistered => "already-registered",
            Self::Closed => "user-closed",
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
            UserCommand::Register { email, name, address } => self.account.register(UserRegistered { email, name, address }),
            UserCommand::ChangeProfile { email, name, address } => self.account.change(UserProfileChanged { email, name, address }),
            UserCommand::Close { reason } => self.account.close(reason),
            UserCommand::VouchFor { order_id } => Ok(self.vouch_for(order_id)),
        }
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered(UserRegistered { email, name, address }) => {
                self.account = Account::Open(Profile { email: email.clone(), name: name.clone(), address: address.clone() });
            }
            UserEvent::ProfileChanged(changed) => {
                if let Account::Open(profile) = &mut self.account {
                    profile.take_over(changed);
                }
            }
            UserEvent::Closed(UserClosed { reason: _ }) => self.account = Account::Closed,
            UserEvent::Vouched(CustomerVouched { order_id }) | UserEvent::Refused(CustomerRefused { order_id, reason: _ }) => {
                self.answered.add(*order_id);
            }
        }
    }
}

impl Account {
    fn register(&self, registered: UserRegistered) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered => Ok(vec![UserEvent::Registered(registered)]),
            Self::Open(_) => Err(UserRefusal::AlreadyRegistered),
            Self::Closed => Err(UserRefusal::Closed),
        }
    }

    fn change(&self, wanted: UserProfileChanged) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered => Err(UserRefusal::Unknown),
            Self::Open(profile) => Ok(profile.difference(wanted).map(UserEvent::ProfileChanged).into_iter().collect()),
            Self::Closed => Err(UserRefusal::Closed),
        }
    }

    fn close(&self, reason: Option<Text>) -> Result<Vec<UserEvent>, UserRefusal> {
        match self {
            Self::NotRegistered => Err(UserRefusal::Unknown),
            Self::Open(_) => Ok(vec![UserEvent::Closed(UserClosed { reason })]),
            Self::Closed => Ok(vec![]),
        }
    }
}

impl Profile {
    /// The fields of `wanted` that differ from the profile; none if no field does.
    fn difference(&self, wanted: UserProfileChanged) -> Option<UserProfileChanged> {
        let email = wanted.email.filter(|email| *email != self.email);
        let name = wanted.name.filter(|name| *name != self.name);
        let address = wanted.address.filter(|address| self.address.as_ref() != Some(address));
        let differs = email.is_some() || name.is_some() || address.is_some();
        differs.then_some(UserProfileChanged { email, name, address })
    }

    fn take_over(&mut self, changed: &UserProfileChanged) {
        let UserProfileChanged { email, name, address } = changed.clone();
        self.email = email.unwrap_or_else(|| self.email.clone());
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.address = address.or_else(|| self.address.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn text(words: &str) -> Text {
        words.parse().unwrap()
    }

    fn email(address: &str) -> Email {
        address.parse().unwrap()
    }

    fn register() -> UserCommand {
        UserCommand::Register { email: email("ada@example.com"), name: text("Ada"), address: Some(text("1 Row")) }
    }

    fn registered() -> UserEvent {
        UserEvent::Registered(UserRegistered { email: email("ada@example.com"), name: text("Ada"), address: Some(text("1 Row")) })
    }

    fn rename(name: &str) -> UserCommand {
        UserCommand::ChangeProfile { email: None, name: Some(text(name)), address: None }
    }

    fn closed() -> UserEvent {
        UserEvent::Closed(UserClosed { reason: Some(text("moved")) })
    }

    fn close() -> UserCommand {
        UserCommand::Close { reason: Some(text("moved")) }
    }

    #[test]
    fn a_new_user_registers() {
        let given = given::<User>([]).when(register()).then([registered()]);
        assert_eq!(given.state().profile().unwrap().name, text("Ada"));
    }

    #[test]
    fn an_identity_registers_once() {
        given::<User>([registered()]).when(register()).refused("already-registered");
        given::<User>([registered(), closed()]).when(register()).refused("user-closed");
    }

    #[test]
    fn only_what_differs_is_changed() {
        let command =
            UserCommand::ChangeProfile { email: Some(email("ada@example.org")), name: Some(text("Ada")), address: Some(text("2 Row")) };
        let changed = UserProfileChanged { email: Some(email("ada@example.org")), name: None, address: Some(text("2 Row")) };
        let given = given::<User>([registered()]).when(command).then([UserEvent::ProfileChanged(changed)]);
        let profile = Profile { email: email("ada@example.org"), name: text("Ada"), address: Some(text("2 Row")) };
        assert_eq!(given.state().profile(), Some(&profile));
    }

    #[test]
    fn a_change_of_one_field_leaves_the_others() {
        let changed = UserProfileChanged { email: None, name: Some(text("Ada L")), address: None };
        let given = given::<User>([registered()]).when(rename("Ada L")).then([UserEvent::ProfileChanged(changed)]);
        let profile = Profile { email: email("ada@example.com"), name: text("Ada L"), address: Some(text("1 Row")) };
        assert_eq!(given.state().profile(), Some(&profile));
    }

    #[test]
    fn changing_nothing_makes_no_event() {
        given::<User>([registered()]).when(rename("Ada")).then_nothing();
        let empty = UserCommand::ChangeProfile { email: None, name: None, address: None };
        given::<User>([registered()]).when(empty).then_nothing();
    }

    #[test]
    fn only_an_open_account_changes() {
        given::<User>([]).when(rename("Bob")).not_found("unknown-user");
        given::<User>([registered(), closed()]).when(rename("Bob")).refused("user-closed");
    }

    #[test]
    fn an_account_closes_once() {
        given::<User>([]).when(close()).not_found("unknown-user");
        let given = given::<User>([registered()]).when(close()).then([closed()]).when(close()).then_nothing();
        assert!(given.state().is_closed());
    }
}
