//! The commands to a payment, and their intents.

use crate::{Command, Intent, Money, OrderId, Text, UserId};
use serde::{Deserialize, Serialize};

/// A command to a payment.
///
/// The last three are questions and never make an event. Whoever is about to call the gateway first asks whether the call is still wanted:
/// the payment accepts the question if so, and refuses it if not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentCommand {
    /// Asks for the money of an order.
    Request { order_id: OrderId, user_id: UserId, amount: Money, method: Text },
    /// Records that the gateway holds the money for us.
    RecordAuthorisation { reference: String },
    /// Records that the gateway declined.
    RecordDecline { reason: String },
    /// Records that the gateway has taken the money.
    RecordCapture,
    /// Records that the gateway could not take the money.
    RecordCaptureFailure { reason: String },
    /// The order is off: lifts the hold, or gives back the money that was taken.
    Void { reason: String },
    /// Asks for money to be given back; `refund_id` names this refund at the gateway.
    Refund { refund_id: String, amount: Money },
    /// Records that the gateway has given the money back.
    RecordRefund { refund_id: String },
    /// Records that the gateway could not give the money back.
    RecordRefundFailure { refund_id: String, reason: String },
    /// Is the gateway to be asked to hold the money?
    MayAuthorise,
    /// Is the gateway to be asked to take the money?
    MayCapture,
    /// Is the gateway to be asked to give the money back?
    MayRefund { refund_id: String },
}

impl Command for PaymentCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Request { order_id, user_id, amount, method } => {
                let whose = Intent::of("request-payment").with("order_id", order_id).with("user_id", user_id);
                whose.with("amount", amount).with("method", method)
            }
            Self::RecordAuthorisation { reference } => Intent::of("record-authorisation").with("reference", reference),
            Self::RecordDecline { reason } => Intent::of("record-decline").with("reason", reason),
            Self::RecordCapture => Intent::of("record-capture"),
            Self::RecordCaptureFailure { reason } => Intent::of("record-capture-failure").with("reason", reason),
            Self::Void { reason } => Intent::of("void").with("reason", reason),
            Self::Refund { refund_id, amount } => Intent::of("refund").with("refund_id", refund_id).with("amount", amount),
            Self::RecordRefund { refund_id } => Intent::of("record-refund").with("refund_id", refund_id),
            Self::RecordRefundFailure { refund_id, reason } => {
                Intent::of("record-refund-failure").with("refund_id", refund_id).with("reason", reason)
            }
            Self::MayAuthorise => Intent::of("may-authorise"),
            Self::MayCapture => Intent::of("may-capture"),
            Self::MayRefund { refund_id } => Intent::of("may-refund").with("refund_id", refund_id),
        }
    }
}
