//! A row per user. A closed account keeps its id and dates, and nothing that tells who it was.

use domain::{
    Timestamp, UserId,
    user::{UserClosed, UserEvent, UserProfileChanged, UserRegistered},
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserStatus {
    /// The account is open.
    Active,
    /// The account was closed for good.
    Closed,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = User)]
pub struct UserRow {
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    pub status: UserStatus,
    pub email: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub registered_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    pub version: u64,
}

impl Table for UserRow {
    const SPEC: TableSpec = TableSpec {
        name: "users",
        key: "user_id",
        columns: &[
            Column::text("user_id"),
            Column::text("status"),
            Column::text("email"),
            Column::text("name"),
            Column::text("address"),
            Column::timestamp("registered_at"),
            Column::timestamp("closed_at"),
            Column::integer("version"),
        ],
        indexes: &[],
    };
    const ACCOUNT: Option<&'static str> = Some("user_id");
}

/// The view.
pub struct Users;

impl View for Users {
    const NAME: &'static str = "users";
    type Event = UserEvent;
    type Key = UserId;
    type Row = UserRow;

    fn keys(event: &Recorded<UserEvent>) -> impl Iterator<Item = UserId> {
        std::iter::once(UserId(event.aggregate_id))
    }

    fn begins(event: &Recorded<UserEvent>) -> bool {
        // The first event may be that a reservation was forgone, which makes no row.
        event.version == 1
    }

    fn apply(row: Option<UserRow>, record: &Recorded<UserEvent>) -> Option<UserRow> {
        let row = match &record.event {
            UserEvent::Registered(event) => Some(registered(event, record)),
            UserEvent::ProfileChanged(event) => row.map(|row| changed(row, event)),
            UserEvent::Closed(UserClosed { reason: _, left: _ }) => row.map(|row| closed(row, record.time)),
            // What an account says of an order stands in the order's timeline.
            UserEvent::Vouched(_) | UserEvent::Refused(_) | UserEvent::EmailForgone(_) => row,
        };
        row.map(|row| UserRow { version: record.version, ..row })
    }
}

fn registered(event: &UserRegistered, record: &Recorded<UserEvent>) -> UserRow {
    let UserRegistered { email, name, address, reserved: _ } = event;
    UserRow {
        user_id: UserId(record.aggregate_id),
        status: UserStatus::Active,
        email: Some(email.to_string()),
        name: Some(name.to_string()),
        address: address.as_ref().map(ToString::to_string),
        registered_at: record.time,
        closed_at: None,
        version: record.version,
    }
}

fn changed(row: UserRow, event: &UserProfileChanged) -> UserRow {
    UserRow {
        email: event.email.as_ref().map(ToString::to_string).or(row.email),
        name: event.name.as_ref().map(ToString::to_string).or(row.name),
        address: event.address.as_ref().map(ToString::to_string).or(row.address),
        ..row
    }
}

fn closed(row: UserRow, at: Timestamp) -> UserRow {
    UserRow { status: UserStatus::Closed, email: None, name: None, address: None, closed_at: Some(at), ..row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folded, text};
    use domain::user::{CustomerRefused, CustomerVouched};

    fn ada() -> UserEvent {
        UserEvent::Registered(UserRegistered {
            email: text("ada@example.com"),
            name: text("Ada"),
            address: Some(text("1 Lane")),
            reserved: None,
        })
    }

    #[test]
    fn a_changed_profile_keeps_what_was_not_given() {
        let change = UserEvent::ProfileChanged(UserProfileChanged {
            email: None,
            name: Some(text("Ada L")),
            address: None,
            reserved: None,
            left: None,
        });
        let row = folded::<Users>([ada(), change]).unwrap();
        assert_eq!((row.email.as_deref(), row.name.as_deref(), row.version), (Some("ada@example.com"), Some("Ada L"), 2));
        assert_eq!((row.registered_at, row.status), (Timestamp(1000), UserStatus::Active));
    }

    #[test]
    fn a_closed_account_forgets_who_it_was() {
        let row = folded::<Users>([ada(), UserEvent::Closed(UserClosed { reason: None, left: None })]).unwrap();
        assert_eq!((row.status, row.email, row.name, row.address), (UserStatus::Closed, None, None, None));
        assert_eq!(row.closed_at, Some(Timestamp(2000)));
    }

    #[test]
    fn an_identity_that_was_refused_before_it_registered_has_a_row_from_then_on() {
        let order_id = domain::OrderId::derive("t", "o");
        let refused = || UserEvent::Refused(CustomerRefused { order_id, reason: "unknown-customer".into() });
        assert_eq!(folded::<Users>([refused()]), None);
        let row = folded::<Users>([refused(), ada(), UserEvent::Vouched(CustomerVouched { order_id })]).unwrap();
        assert_eq!((row.status, row.registered_at, row.version), (UserStatus::Active, Timestamp(2000), 3));
    }

    #[test]
    fn a_change_of_nobody_makes_no_row() {
        assert_eq!(folded::<Users>([UserEvent::Closed(UserClosed { reason: None, left: None })]), None);
    }
}
