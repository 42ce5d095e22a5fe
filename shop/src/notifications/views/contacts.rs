//! The addresses of users: the notification service's own copy. A delivery asks a user's owner only how far this must have come.

use domain::{
    Email, Text, UserId,
    user::{UserClosed, UserEvent, UserProfileChanged, UserRegistered},
};
use event_sourcing::Recorded;
use projections::{Column, Database, DatabaseError, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// A user's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The user.
    pub user_id: UserId,
    /// The address.
    pub email: Email,
    /// The name to greet.
    pub name: Text,
}

impl Table for Contact {
    const SPEC: TableSpec = TableSpec {
        name: "contacts",
        key: "user_id",
        columns: &[Column::text("user_id"), Column::text("email"), Column::text("name")],
        indexes: &[],
    };
}

/// The view.
pub struct Contacts;

impl View for Contacts {
    const NAME: &'static str = "contacts";
    type Event = UserEvent;
    type Key = UserId;
    type Row = Contact;

    fn keys(event: &Recorded<UserEvent>) -> impl Iterator<Item = UserId> {
        std::iter::once(UserId(event.aggregate_id))
    }

    fn begins(event: &Recorded<UserEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<Contact>, record: &Recorded<UserEvent>) -> Option<Contact> {
        let user_id = UserId(record.aggregate_id);
        match &record.event {
            UserEvent::Registered(UserRegistered { email, name, address: _, reserved: _ }) => {
                Some(Contact { user_id, email: email.clone(), name: name.clone() })
            }
            UserEvent::ProfileChanged(UserProfileChanged { email, name, address: _, reserved: _, left: _ }) => {
                row.map(|row| Contact { email: email.clone().unwrap_or(row.email), name: name.clone().unwrap_or(row.name), ..row })
            }
            UserEvent::Closed(UserClosed { reason: _, left: _ }) => None,
            UserEvent::Vouched(_) | UserEvent::Refused(_) | UserEvent::EmailForgone(_) => row,
        }
    }
}

/// A user's address; none for a user who is unknown, not known here yet, or gone. `database` is the notification service's.
pub async fn contact_of(database: &Database, user: UserId) -> Result<Option<Contact>, DatabaseError> {
    database.row(&user.to_string()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folded, text};

    fn ada() -> UserEvent {
        UserEvent::Registered(UserRegistered { email: text("ada@example.com"), name: text("Ada"), address: None, reserved: None })
    }

    #[test]
    fn a_contact_follows_the_profile() {
        let change = UserEvent::ProfileChanged(UserProfileChanged {
            email: Some(text("al@example.com")),
            name: None,
            address: None,
            reserved: None,
            left: None,
        });
        let row = folded::<Contacts>([ada(), change]).unwrap();
        assert_eq!((row.email.as_str(), row.name.as_str()), ("al@example.com", "Ada"));
    }

    #[test]
    fn who_has_left_is_written_to_no_more() {
        assert_eq!(folded::<Contacts>([ada(), UserEvent::Closed(UserClosed { reason: None, left: None })]), None);
    }
}
