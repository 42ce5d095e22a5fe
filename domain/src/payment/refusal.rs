use super::VOID_REFUND;
use crate::{Currency, Money, Refusal};

/// Why a payment's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRefusal {
    /// Nobody has asked for this payment.
    #[error("the payment does not exist: request it first")]
    Unknown,
    /// The id belongs to another payment.
    #[error("the payment was already requested with other content: an identity names one payment")]
    AlreadyRequested,
    /// The amount is out of bounds.
    #[error("amount: must be from 0 to {} minor units, is {amount}", Money::MAX)]
    InvalidAmount {
        /// Minor units.
        amount: i64,
    },
    /// The gateway holds no money yet.
    #[error("the payment cannot be captured before it is authorised")]
    NotAuthorised,
    /// The gateway declined.
    #[error("the payment was declined and cannot be captured")]
    Declined,
    /// The hold was lifted.
    #[error("the payment was voided: nothing is taken any more")]
    Voided,
    /// The gateway has answered already.
    #[error("the gateway has already answered: the payment is {status}")]
    AlreadyAnswered {
        /// The payment's status.
        status: &'static str,
    },
    /// The money was taken already.
    #[error("the payment was already captured: its money is taken once")]
    AlreadyCaptured,
    /// No money was taken that could be given back.
    #[error("the payment cannot be refunded before it is captured: it is {status}")]
    NotCaptured {
        /// The payment's status.
        status: &'static str,
    },
    /// The name is kept for the refund that voiding makes.
    #[error("refund_id: {:?} is kept for the refund that voiding a captured payment makes", VOID_REFUND)]
    ReservedRefundId,
    /// Nobody has asked for a refund of this name.
    #[error("refund_id: the payment has no refund {refund_id:?}: request it first")]
    UnknownRefund {
        /// The name.
        refund_id: String,
    },
    /// The money was given back already.
    #[error("refund_id: {refund_id:?} was already settled: its money is given back once")]
    RefundSettled {
        /// The name.
        refund_id: String,
    },
    /// The name was used for another amount.
    #[error("refund_id: {refund_id:?} already names a refund of {known}, this one is of {given}")]
    RefundIdReused {
        /// The name.
        refund_id: String,
        /// The amount of the refund that has this name.
        known: Money,
        /// The amount of the command.
        given: Money,
    },
    /// Money is given back in the currency in which it was taken.
    #[error("amount: must be in {}, the currency of the payment, is in {}", captured.as_str(), given.as_str())]
    CurrencyMismatch {
        /// The currency of the payment.
        captured: Currency,
        /// The currency of the command.
        given: Currency,
    },
    /// A refund must give something back.
    #[error("amount: must be at least 1 minor unit, is {amount}")]
    NothingToRefund {
        /// Minor units.
        amount: i64,
    },
    /// No more is given back than was taken.
    #[error("amount: at most {rest} of the captured {captured} are left to refund, {amount} were asked for (minor units)")]
    RefundExceedsCaptured {
        /// The amount of the command, in minor units.
        amount: i64,
        /// The captured amount, in minor units.
        captured: i64,
        /// The captured amount that is neither given back nor reserved for another refund, in minor units.
        rest: i64,
    },
}

impl Refusal for PaymentRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-payment",
            Self::AlreadyRequested => "already-requested",
            Self::InvalidAmount { .. } | Self::NothingToRefund { .. } => "invalid-amount",
            Self::NotAuthorised => "not-authorised",
            Self::Declined => "payment-declined",
            Self::Voided => "payment-voided",
            Self::AlreadyAnswered { .. } => "already-answered",
            Self::AlreadyCaptured => "already-captured",
            Self::NotCaptured { .. } => "not-captured",
            Self::ReservedRefundId => "reserved-refund-id",
            Self::UnknownRefund { .. } => "unknown-refund",
            Self::RefundSettled { .. } => "refund-settled",
            Self::RefundIdReused { .. } => "refund-id-reused",
            Self::CurrencyMismatch { .. } => "currency-mismatch",
            Self::RefundExceedsCaptured { .. } => "refund-exceeds-captured",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::InvalidAmount { .. }
            | Self::NothingToRefund { .. }
            | Self::CurrencyMismatch { .. }
            | Self::RefundExceedsCaptured { .. } => Some("amount"),
            Self::ReservedRefundId | Self::UnknownRefund { .. } | Self::RefundSettled { .. } | Self::RefundIdReused { .. } => {
                Some("refund_id")
            }
            Self::Unknown
            | Self::AlreadyRequested
            | Self::NotAuthorised
            | Self::Declined
            | Self::Voided
            | Self::AlreadyAnswered { .. }
            | Self::AlreadyCaptured
            | Self::NotCaptured { .. } => None,
        }
    }

    fn is_not_found(&self) -> bool {
        *self == Self::Unknown
    }
}
