//! What each event of an order's story means to its saga.

use super::timeline::StoryEvent;
use domain::{notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent, user::UserEvent};
use serde::{Deserialize, Serialize};

/// The meaning of an event to the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The order was placed.
    Placed,
    /// Its customer has an open account.
    Accepted,
    /// All its lines are reserved and priced.
    Reserved,
    /// It is paid for.
    Confirmed,
    /// It was called off.
    Cancelled,
    /// It was not confirmed in time.
    Expired,
    /// A product has reserved a line's pieces.
    StockReserved,
    /// A line's pieces are free again.
    StockReleased,
    /// A line's pieces have left the house.
    StockShipped,
    /// The money is asked for.
    PaymentRequested,
    /// The money is held.
    PaymentAuthorised,
    /// The gateway declined.
    PaymentDeclined,
    /// The money was taken.
    PaymentCaptured,
    /// The money is held and could not be taken.
    PaymentCaptureFailed,
    /// The hold was lifted.
    PaymentVoided,
    /// Money is to be given back.
    RefundRequested,
    /// Money could not be given back.
    RefundFailed,
    /// Money was given back.
    PaymentRefunded,
    /// The event does not change the saga's state.
    Noted,
}

impl Step {
    /// The meaning of this event.
    pub fn of(event: &StoryEvent) -> Self {
        match event {
            StoryEvent::Order(event) => Self::of_order(event),
            StoryEvent::Product(event) => Self::of_product(event),
            // The order's own event that follows says what it leads to.
            StoryEvent::User(
                UserEvent::Registered(_)
                | UserEvent::ProfileChanged(_)
                | UserEvent::Closed(_)
                | UserEvent::Vouched(_)
                | UserEvent::Refused(_)
                | UserEvent::EmailForgone(_),
            ) => Self::Noted,
            StoryEvent::Payment(event) => Self::of_payment(event),
            StoryEvent::Notification(NotificationEvent::Requested(_) | NotificationEvent::Delivered(_) | NotificationEvent::Failed(_)) => {
                Self::Noted
            }
        }
    }

    fn of_order(event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(_) => Self::Placed,
            OrderEvent::Accepted(_) => Self::Accepted,
            OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) => Self::Noted,
            OrderEvent::Reserved(_) => Self::Reserved,
            OrderEvent::Confirmed(_) => Self::Confirmed,
            OrderEvent::Cancelled(_) => Self::Cancelled,
            OrderEvent::Expired(_) => Self::Expired,
        }
    }

    fn of_product(event: &ProductEvent) -> Self {
        match event {
            ProductEvent::StockReserved(_) => Self::StockReserved,
            ProductEvent::StockReleased(_) => Self::StockReleased,
            ProductEvent::StockShipped(_) => Self::StockShipped,
            ProductEvent::Listed(_)
            | ProductEvent::PriceChanged(_)
            | ProductEvent::StockReceived(_)
            | ProductEvent::ReservationRejected(_)
            | ProductEvent::Withdrawn(_)
            | ProductEvent::SkuForgone(_) => Self::Noted,
        }
    }

    fn of_payment(event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::Requested(_) => Self::PaymentRequested,
            PaymentEvent::Authorised(_) => Self::PaymentAuthorised,
            PaymentEvent::Declined(_) => Self::PaymentDeclined,
            PaymentEvent::Captured(_) => Self::PaymentCaptured,
            PaymentEvent::CaptureFailed(_) => Self::PaymentCaptureFailed,
            PaymentEvent::Voided(_) => Self::PaymentVoided,
            PaymentEvent::RefundRequested(_) => Self::RefundRequested,
            PaymentEvent::RefundFailed(_) => Self::RefundFailed,
            PaymentEvent::RefundSettled(_) | PaymentEvent::Refunded(_) => Self::PaymentRefunded,
        }
    }
}
