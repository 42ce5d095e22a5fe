//! A row per notification.

use domain::{
    NotificationId, OrderId, Timestamp, UserId,
    notification::{NotificationDelivered, NotificationEvent, NotificationFailed, NotificationRequested},
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationStatus {
    /// It is to be sent.
    Requested,
    /// The mail server took it.
    Delivered,
    /// It cannot be delivered.
    Failed,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Notification)]
pub struct NotificationRow {
    #[schema(value_type = uuid::Uuid)]
    pub notification_id: NotificationId,
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub order_id: Option<OrderId>,
    pub kind: String,
    pub subject: String,
    pub body: String,
    pub status: NotificationStatus,
    pub reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    pub version: u64,
}

impl Table for NotificationRow {
    const SPEC: TableSpec = TableSpec {
        name: "notifications",
        key: "notification_id",
        columns: &[
            Column::text("notification_id"),
            Column::text("user_id"),
            Column::text("order_id"),
            Column::text("kind"),
            Column::text("subject"),
            Column::text("body"),
            Column::text("status"),
            Column::text("reason"),
            Column::timestamp("requested_at"),
            Column::integer("version"),
        ],
        indexes: &[&["requested_at", "notification_id"], &["user_id", "requested_at", "notification_id"]],
    };
    const ACCOUNT: Option<&'static str> = Some("user_id");
}

/// The view.
pub struct Notifications;

impl View for Notifications {
    const NAME: &'static str = "notifications";
    type Event = NotificationEvent;
    type Key = NotificationId;
    type Row = NotificationRow;

    fn keys(event: &Recorded<NotificationEvent>) -> impl Iterator<Item = NotificationId> {
        std::iter::once(NotificationId(event.aggregate_id))
    }

    fn begins(event: &Recorded<NotificationEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<NotificationRow>, record: &Recorded<NotificationEvent>) -> Option<NotificationRow> {
        use NotificationStatus::{Delivered, Failed};
        let row = match &record.event {
            NotificationEvent::Requested(event) => Some(requested(event, record)),
            NotificationEvent::Delivered(NotificationDelivered { user_id: _ }) => {
                row.map(|row| NotificationRow { status: Delivered, ..row })
            }
            NotificationEvent::Failed(NotificationFailed { user_id: _, reason }) => {
                row.map(|row| NotificationRow { status: Failed, reason: Some(reason.clone()), ..row })
            }
        };
        row.map(|row| NotificationRow { version: record.version, ..row })
    }
}

fn requested(event: &NotificationRequested, record: &Recorded<NotificationEvent>) -> NotificationRow {
    let NotificationRequested { user_id, order_id, kind, subject, body } = event.clone();
    NotificationRow {
        notification_id: NotificationId(record.aggregate_id),
        user_id,
        order_id,
        kind,
        subject,
        body,
        status: NotificationStatus::Requested,
        reason: None,
        requested_at: record.time,
        version: record.version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folded;

    fn requested() -> NotificationEvent {
        NotificationEvent::Requested(NotificationRequested {
            user_id: UserId::derive("t", "ada"),
            order_id: None,
            kind: "order-confirmed".into(),
            subject: "Thank you".into(),
            body: "It is on its way.".into(),
        })
    }

    #[test]
    fn a_notification_ends_delivered_or_failed_with_a_reason() {
        let user_id = UserId::derive("t", "ada");
        let row = folded::<Notifications>([requested(), NotificationEvent::Delivered(NotificationDelivered { user_id })]).unwrap();
        assert_eq!((row.status, row.reason, row.requested_at), (NotificationStatus::Delivered, None, Timestamp(1000)));
        let failed = NotificationEvent::Failed(NotificationFailed { user_id, reason: "no such mailbox".into() });
        let row = folded::<Notifications>([requested(), failed]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (NotificationStatus::Failed, Some("no such mailbox")));
    }
}
