//! A user: registers, changes the profile, closes the account.

use crate::{Email, Text};
use serde::{Deserialize, Serialize};

/// What may be asked of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserCommand {
    /// Opens the account.
    Register { email: Email, name: Text, address: Option<Text> },
    /// Changes what is given and leaves the rest; changing nothing makes no event.
    ChangeProfile { email: Option<Email>, name: Option<Text>, address: Option<Text> },
    /// Closes the account for good.
    Close { reason: Option<Text> },
}

/// What may have happened to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEvent {
    /// The account was opened.
    Registered(UserRegistered),
    /// Part of the profile changed.
    ProfileChanged(UserProfileChanged),
    /// The account was closed.
    Closed(UserClosed),
}

/// The account was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    pub email: Email,
    pub name: Text,
    pub address: Option<Text>,
}

/// Part of the profile changed: what is none stayed as it was.
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
