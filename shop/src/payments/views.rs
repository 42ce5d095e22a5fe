//! A row per payment.

use domain::{
    Money, OrderId, PaymentId, Timestamp, UserId,
    payment::{
        PaymentAuthorised, PaymentCaptureFailed, PaymentDeclined, PaymentEvent, PaymentRefundFailed, PaymentRefundRequested,
        PaymentRefundSettled, PaymentRefunded, PaymentRequested, PaymentVoided,
    },
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// Money, in the minor units of its currency.
#[derive(utoipa::ToSchema)]
#[schema(as = Money)]
#[expect(dead_code, reason = "it only describes what domain::Money looks like")]
pub(crate) struct MoneyShape {
    /// Minor units: 1250 is £12.50.
    amount: i64,
    /// ISO 4217.
    currency: String,
}

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
    /// The money is held and could not be taken.
    CaptureFailed,
    /// Nothing will be taken.
    Voided,
    /// Money is to be given back, and the gateway has not answered yet.
    RefundRequested,
    /// Money could not be given back.
    RefundFailed,
    /// Part of what was taken was given back.
    PartiallyRefunded,
    /// All that was taken was given back.
    Refunded,
}

/// Money that is to be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PendingRefund {
    pub refund_id: String,
    #[schema(value_type = MoneyShape)]
    pub amount: Money,
}

/// Money that could not be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailedRefund {
    pub refund_id: String,
    #[schema(value_type = MoneyShape)]
    pub amount: Money,
    pub reason: String,
}

/// A payment. `refunded` is the sum given back so far, `refund_requested` the sum to be given back, which waits for the gateway.
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
    #[schema(value_type = MoneyShape)]
    pub refund_requested: Money,
    /// The refunds whose sum is `refund_requested`.
    pub pending_refunds: Vec<PendingRefund>,
    /// Refunds that failed, until the same refund is requested again or settled.
    pub failed_refunds: Vec<FailedRefund>,
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
            Column::json("refund_requested"),
            Column::json("pending_refunds"),
            Column::json("failed_refunds"),
            Column::text("method"),
            Column::text("reference"),
            Column::text("reason"),
            Column::timestamp("requested_at"),
            Column::integer("version"),
        ],
        indexes: &[
            &["requested_at", "payment_id"],
            &["order_id", "requested_at", "payment_id"],
            &["user_id", "requested_at", "payment_id"],
        ],
    };
    const ACCOUNT: Option<&'static str> = Some("user_id");
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
        use PaymentStatus::{Authorised, CaptureFailed, Captured, Declined, Voided};
        let because = |row, status, reason: &str| PaymentRow { status, reason: Some(reason.to_owned()), ..row };
        let row = match &record.event {
            PaymentEvent::Requested(event) => Some(requested(event, record)),
            PaymentEvent::Authorised(PaymentAuthorised { reference, .. }) => {
                row.map(|row| PaymentRow { status: Authorised, reference: Some(reference.clone()), ..row })
            }
            PaymentEvent::Declined(PaymentDeclined { reason, .. }) => row.map(|row| because(row, Declined, reason)),
            PaymentEvent::Captured(_) => row.map(|row| PaymentRow { status: Captured, reason: None, ..row }),
            PaymentEvent::CaptureFailed(PaymentCaptureFailed { reason, .. }) => row.map(|row| because(row, CaptureFailed, reason)),
            PaymentEvent::Voided(PaymentVoided { reason, .. }) => row.map(|row| because(row, Voided, reason)),
            PaymentEvent::RefundRequested(event) => row.map(|row| refund_requested(row, event)),
            PaymentEvent::RefundFailed(event) => row.map(|row| refund_failed(row, event)),
            PaymentEvent::RefundSettled(PaymentRefundSettled { refund_id, refunded, .. })
            // Earlier builds booked a refund before it was done: it counts as settled.
            | PaymentEvent::Refunded(PaymentRefunded { refund_id, refunded, .. }) => row.map(|row| {
                standing(PaymentRow { refunded: refunded.clone(), ..without(row, refund_id) })
            }),
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
        refund_requested: Money { amount: 0, currency: amount.currency.clone() },
        pending_refunds: Vec::new(),
        failed_refunds: Vec::new(),
        method: method.to_string(),
        reference: None,
        reason: None,
        requested_at: record.time,
        version: record.version,
    }
}

fn refund_requested(row: PaymentRow, event: &PaymentRefundRequested) -> PaymentRow {
    let PaymentRefundRequested { refund_id, amount, .. } = event.clone();
    let mut row = without(row, &refund_id);
    row.pending_refunds.push(PendingRefund { refund_id, amount });
    standing(row)
}

fn refund_failed(row: PaymentRow, event: &PaymentRefundFailed) -> PaymentRow {
    let PaymentRefundFailed { refund_id, amount, reason, .. } = event.clone();
    let mut row = without(row, &refund_id);
    row.failed_refunds.push(FailedRefund { refund_id, amount, reason });
    standing(row)
}

/// Removes a refund from the pending and from the failed ones: its next state replaces both.
fn without(mut row: PaymentRow, refund_id: &str) -> PaymentRow {
    row.pending_refunds.retain(|pending| pending.refund_id != refund_id);
    row.failed_refunds.retain(|failed| failed.refund_id != refund_id);
    row
}

/// Works out status, reason and sum from the refunds. A refund that waits for the gateway decides first, then whether all is given back,
/// then the last failed refund.
fn standing(row: PaymentRow) -> PaymentRow {
    let pending = row.pending_refunds.iter().map(|pending| pending.amount.amount).sum();
    let refund_requested = Money { amount: pending, ..row.refund_requested };
    let last_failure = row.failed_refunds.last().map(|failed| failed.reason.clone());
    let (status, reason) = if !row.pending_refunds.is_empty() {
        (PaymentStatus::RefundRequested, None)
    } else if row.refunded.amount >= row.amount.amount {
        (PaymentStatus::Refunded, None)
    } else if last_failure.is_some() {
        (PaymentStatus::RefundFailed, last_failure)
    } else {
        (PaymentStatus::PartiallyRefunded, None)
    };
    PaymentRow { status, reason, refund_requested, ..row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folded, gbp, text};
    use domain::payment::PaymentCaptured;

    fn order_id() -> OrderId {
        OrderId::derive("t", "o")
    }

    fn requested() -> PaymentEvent {
        PaymentEvent::Requested(PaymentRequested { order_id: order_id(), user_id: ada(), amount: gbp(700), method: text("card") })
    }

    fn authorised() -> PaymentEvent {
        PaymentEvent::Authorised(PaymentAuthorised { order_id: order_id(), reference: "gw-1".into() })
    }

    fn captured() -> PaymentEvent {
        PaymentEvent::Captured(PaymentCaptured { order_id: order_id(), amount: gbp(700) })
    }

    fn ada() -> UserId {
        UserId::derive("t", "ada")
    }

    fn booked(id: &str, amount: i64, in_all: i64) -> PaymentEvent {
        let (order_id, refund_id) = (order_id(), id.to_owned());
        PaymentEvent::Refunded(PaymentRefunded { order_id, refund_id, amount: gbp(amount), refunded: gbp(in_all) })
    }

    fn refund(id: &str, amount: i64) -> PaymentEvent {
        let (order_id, user_id, refund_id) = (order_id(), ada(), id.to_owned());
        PaymentEvent::RefundRequested(PaymentRefundRequested { order_id, user_id, refund_id, amount: gbp(amount) })
    }

    fn given_back(id: &str, amount: i64, in_all: i64) -> PaymentEvent {
        let (order_id, user_id, refund_id) = (order_id(), ada(), id.to_owned());
        PaymentEvent::RefundSettled(PaymentRefundSettled { order_id, user_id, refund_id, amount: gbp(amount), refunded: gbp(in_all) })
    }

    fn failed(id: &str, amount: i64) -> PaymentEvent {
        let (order_id, user_id, refund_id, reason) = (order_id(), ada(), id.to_owned(), "closed-account".to_owned());
        PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, user_id, refund_id, amount: gbp(amount), reason })
    }

    fn after(events: impl IntoIterator<Item = PaymentEvent>) -> PaymentRow {
        folded::<Payments>([requested(), authorised(), captured()].into_iter().chain(events)).unwrap()
    }

    #[test]
    fn money_is_given_back_once_the_gateway_has_said_so() {
        let row = after([refund("a", 300), refund("b", 100)]);
        assert_eq!((row.status, row.refunded, row.refund_requested), (PaymentStatus::RefundRequested, gbp(0), gbp(400)));
        let row = after([refund("a", 300), refund("b", 100), given_back("a", 300, 300)]);
        assert_eq!((row.status, row.refunded, row.refund_requested), (PaymentStatus::RefundRequested, gbp(300), gbp(100)));
        let row = after([refund("a", 700), given_back("a", 700, 700)]);
        assert_eq!((row.status, row.refunded, row.refund_requested), (PaymentStatus::Refunded, gbp(700), gbp(0)));
    }

    #[test]
    fn a_refund_that_failed_says_why_and_may_be_settled_all_the_same() {
        let row = after([refund("a", 300), failed("a", 300), refund("b", 200)]);
        assert_eq!((row.status, row.refund_requested, row.reason), (PaymentStatus::RefundRequested, gbp(200), None));
        let row = after([refund("b", 200), refund("a", 300), failed("a", 300)]);
        assert_eq!((row.status, row.refund_requested), (PaymentStatus::RefundRequested, gbp(200)), "one waits for the gateway still");
        assert_eq!((&*row.failed_refunds[0].refund_id, &*row.failed_refunds[0].reason), ("a", "closed-account"));
        let row = after([refund("b", 200), refund("a", 300), failed("a", 300), given_back("b", 200, 200)]);
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::RefundFailed, Some("closed-account")), "another hides no failure");
        let row = after([refund("a", 300), failed("a", 300), refund("b", 200), given_back("a", 300, 300)]);
        assert_eq!((row.refunded, row.refund_requested), (gbp(300), gbp(200)), "nothing is released twice");
        assert!(row.failed_refunds.is_empty());
    }

    #[test]
    fn money_that_could_not_be_taken_says_why_until_it_is() {
        let reason = "hold-expired".to_owned();
        let failed = PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id: order_id(), user_id: ada(), amount: gbp(700), reason });
        let row = folded::<Payments>([requested(), authorised(), failed.clone()]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::CaptureFailed, Some("hold-expired")));
        let row = folded::<Payments>([requested(), authorised(), failed, captured()]).unwrap();
        assert_eq!((row.status, row.reason), (PaymentStatus::Captured, None));
    }

    #[test]
    fn what_earlier_builds_booked_is_given_back_and_a_part_is_not_all() {
        let part = after([booked("a", 300, 300)]);
        assert_eq!((part.status, part.refunded, part.reference.as_deref()), (PaymentStatus::PartiallyRefunded, gbp(300), Some("gw-1")));
        let all = after([booked("a", 300, 300), booked("b", 400, 700)]);
        assert_eq!((all.status, all.refunded, all.version), (PaymentStatus::Refunded, gbp(700), 5));
    }

    #[test]
    fn a_declined_or_voided_payment_says_why() {
        let declined = PaymentEvent::Declined(PaymentDeclined { order_id: order_id(), reason: "no-funds".into() });
        let row = folded::<Payments>([requested(), declined]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::Declined, Some("no-funds")));
        let voided = PaymentEvent::Voided(PaymentVoided { order_id: order_id(), reason: "order-expired".into(), amount: None });
        let row = folded::<Payments>([requested(), authorised(), voided]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (PaymentStatus::Voided, Some("order-expired")));
    }
}
