//! A row per payment.

use crate::{Column, Table, TableSpec, View, http::MoneyShape};
use domain::{
    Money, OrderId, PaymentId, Timestamp, UserId,
    payment::{PaymentAuthorised, PaymentDeclined, PaymentEvent, PaymentRefunded, PaymentRequested, PaymentVoided},
};
use event_store::Recorded;
use serde::{Deserialize, Serialize};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentStatus {
    /// The gateway has not answered yet.
    Requested,
    /// The gateway holds the money.
    Authorised,
    /// The gateway said no.
    Declined,
    /// The money was taken.
    Captured,
    /// Nothing will be taken.
    Voided,
    /// Part of what was taken was given back.
    PartiallyRefunded,
    /// All that was taken was given back.
    Refunded,
}

/// A payment. `refunded` is what was given back in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Payment)]
pub struct PaymentRow {
    #[schema(value_type = uuid::Uuid)]
    pub payment_id: PaymentId,
    #[schema(value_type = uuid::Uuid)]
    pub order_id: OrderId,
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    pub status: PaymentStatus,
    #[schema(value_type = MoneyShape)]
    pub amount: Money,
    #[schema(value_type = MoneyShape)]
    pub refunded: Money,
    pub method: String,
    pub reference: Option<String>,
    pub reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    pub version: u64,
}

impl Table for PaymentRow {
    const SPEC: TableSpec = TableSpec {
        name: "payments",
        key: "payment_id",
        columns: &[
            Column::text("payment_id"),
            Column::text("order_id"),
            Column::text("user_id"),
            Column::text("status"),
            Column::json("amount"),
            Column::json("refunded"),
            Column::text("method"),
            Column::text("reference"),
            Column::text("reason"),
            Column::timestamp("requested_at"),
            Column::integer("version"),
        ],
        indexes: &[&["requested_at", "payment_id"], &["order_id", "requested_at", "payment_id"]],
    };
}

/// The view.
pub struct Payments;

impl View for Payments {
    const NAME: &'static str = "payments";
    type Event = PaymentEvent;
    type Key = PaymentId;
    type Row = PaymentRow;

    fn keys(event: &Recorded<PaymentEvent>) -> impl Iterator<Item = PaymentId> {
        std::iter::once(PaymentId(event.aggregate_id))
    }

    fn begins(event: &Recorded<PaymentEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<PaymentRow>, record: &Recorded<PaymentEvent>) -> Option<PaymentRow> {
        use PaymentStatus::{Authorised, Captured, Declined, Voided};
        let because = |row, status, reason: &str| PaymentRow { status, reason: Some(reason.to_owned()), ..row };
        let row = match &record.event {
            PaymentEvent::Requested(event) => Some(requested(event, record)),
            PaymentEvent::Authorised(PaymentAuthorised { reference, .. }) => {
                row.map(|row| PaymentRow { status: Authorised, reference: Some(reference.clone()), ..row })
            }
            PaymentEvent::Declined(PaymentDeclined { reason, .. }) => row.map(|row| because(row, Declined, reason)),
            PaymentEvent::Captured(_) => row.map(|row| PaymentRow { status: Captured, ..row }),
            PaymentEvent::Voided(PaymentVoided { reason, .. }) => row.map(|row| because(row, Voided, reason)),
            PaymentEvent::Refunded(event) => row.map(|row| refunded(row, event)),
        };
        row.map(|row| PaymentRow { version: record.version, ..row })
    }
}

fn requested(event: &PaymentRequested, record: &Recorded<PaymentEvent>) -> PaymentRow {
    let PaymentRequested { order_id, user_id, amount, method } = event;
    PaymentRow {
        payment_id: PaymentId(record.aggregate_id),
        order_id: *order_id,
        user_id: *user_id,
        status: PaymentStatus::Requested,
        amount: amount.clone(),
        refunded: Money { amount: 0, currency: amount.currency.clone() },
        method: method.to_string(),
        reference: None,
        reason: None,
        requested_at: record.time,
        version: record.version,
    }
}

fn refunded(row: PaymentRow, event: &PaymentRefunded) -> PaymentRow {
    let all = event.refunded.amount >= row.amount.amount;
    let status = if all { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
    PaymentRow { status, refunded: event.refunded.clone(), ..row }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::views::testing::{folded, gbp, text};
    use domain::payment::PaymentCaptured;

    fn order_id() -> OrderId {
        OrderId::derive("t", "o")
    }

    fn requested() -> PaymentEvent {
        let user_id = UserId::derive("t", "ada");
        PaymentEvent::Requested(PaymentRequested { order_id: order_id(), user_id, amount: gbp(700), method: text("card") })
    }

    fn authorised() -> PaymentEvent {
        PaymentEvent::Authorised(PaymentAuthorised { order_id: order_id(), reference: "gw-1".into() })
    }

    fn captured() -> PaymentEvent {
        PaymentEvent::Captured(PaymentCaptured { order_id: order_id(), amount: gbp(700) })
    }

    fn refund(id: &str, amount: i64, in_all: i64) -> PaymentEvent {
        let (order_id, refund_id) = (order_id(), id.to_owned());
        PaymentEvent::Refunded(PaymentRefunded { order_id, refund_id, amount: gbp(amount), refunded: gbp(in_all) })
    }

    #[test]
    fn a_part_given_back_is_not_all() {
        let part = folded::<Payments>([requested(), authorised(), captured(), refund("a", 300, 300)]).unwrap();
        assert_eq!((part.status, part.refunded, part.reference.as_deref()), (PaymentStatus::PartiallyRefunded, gbp(300), Some("gw-1")));
        let all = folded::<Payments>([requested(), authorised(), captured(), refund("a", 300, 300), refund("b", 400, 700)]).unwrap();
        assert_eq!((all.status, all.refunded, all.version), (PaymentStatus::Refunded, gbp(700), 5));
    }

    #[test]
    fn a_declined_or_voided_payment_says_why() {
        let declined = PaymentEvent::Declined(PaymentDeclined { order_id: order_id(), reason: "no-funds".into() });
        let row = folded::<Payments>([requested(), declined]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::Declined, Some("no-funds")));
        let voided = PaymentEvent::Voided(PaymentVoided { order_id: order_id(), reason: "order-expired".into() });
        let row = folded::<Payments>([requested(), authorised(), voided]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::Voided, Some("order-expired")));
    }
}
