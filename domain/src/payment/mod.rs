//! The payment of an order: requested, authorised, captured, refunded; or declined; or voided.
//!
//! The card network lives behind a gateway; these facts are what it told us.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod refunds;
mod refusal;
#[cfg(test)]
mod tests;

pub use refunds::{Refunds, VOID_REFUND};
pub use refusal::PaymentRefusal;

use crate::{Aggregate, Money, OrderId, Text, UserId};
use serde::{Deserialize, Serialize};

/// A payment. What was asked for is kept, so that asking again for the same is known as a repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payment {
    /// Nobody has asked for it.
    #[default]
    NotRequested,
    /// It waits for the gateway.
    Requested(PaymentRequested),
    /// The gateway holds the money.
    Authorised(PaymentRequested),
    /// The money was taken, and some of it perhaps given back.
    Captured(PaymentRequested, Refunds),
    /// The gateway said no.
    Declined(PaymentRequested),
    /// Nothing will be taken.
    Voided(PaymentRequested),
}

impl Payment {
    /// What was asked for.
    pub fn request(&self) -> Option<&PaymentRequested> {
        match self {
            Self::NotRequested => None,
            Self::Requested(request)
            | Self::Authorised(request)
            | Self::Captured(request, _)
            | Self::Declined(request)
            | Self::Voided(request) => Some(request),
        }
    }

    /// What was given back, once money was taken.
    pub fn refunds(&self) -> Option<&Refunds> {
        match self {
            Self::Captured(_, refunds) => Some(refunds),
            Self::NotRequested | Self::Requested(_) | Self::Authorised(_) | Self::Declined(_) | Self::Voided(_) => None,
        }
    }

    /// `requested`, `authorised`, `captured`, `declined` or `voided`; none before it was asked for.
    pub fn status(&self) -> Option<&'static str> {
        match self {
            Self::NotRequested => None,
            Self::Requested(_) => Some("requested"),
            Self::Authorised(_) => Some("authorised"),
            Self::Captured(..) => Some("captured"),
            Self::Declined(_) => Some("declined"),
            Self::Voided(_) => Some("voided"),
        }
    }
}

/// What may be asked of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentCommand {
    /// Asks for the money of an order.
    Request { order_id: OrderId, user_id: UserId, amount: Money, method: Text },
    /// The gateway holds the money for us.
    RecordAuthorisation { reference: String },
    /// The gateway will not.
    RecordDecline { reason: String },
    /// The gateway has taken the money.
    RecordCapture,
    /// The order is off: void what is held, refund what was taken.
    Void { reason: String },
    /// Gives money back; `refund_id` names this refund at the gateway.
    Refund { refund_id: String, amount: Money },
}

/// What may have happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentEvent {
    Requested(PaymentRequested),
    Authorised(PaymentAuthorised),
    Declined(PaymentDeclined),
    Captured(PaymentCaptured),
    Voided(PaymentVoided),
    Refunded(PaymentRefunded),
}

/// The money of an order is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequested {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub amount: Money,
    pub method: Text,
}

/// The gateway holds the money; `reference` is its name for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorised {
    pub order_id: OrderId,
    pub reference: String,
}

/// The gateway said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub order_id: OrderId,
    pub reason: String,
}

/// The money was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    pub order_id: OrderId,
    pub amount: Money,
}

/// Nothing will be taken: the hold is to be lifted, now or whenever the gateway makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub order_id: OrderId,
    pub reason: String,
}

/// Money is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    pub refund_id: String,
    pub amount: Money,
    /// What was given back in all, this refund included.
    pub refunded: Money,
}

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    const FOLD: u64 = crate::SOURCES;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentRefusal;

    fn handle(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match command {
            PaymentCommand::Request { order_id, user_id, amount, method } => {
                self.ask(PaymentRequested { order_id, user_id, amount, method })
            }
            PaymentCommand::RecordAuthorisation { reference } => {
                self.answer(|order_id| PaymentEvent::Authorised(PaymentAuthorised { order_id, reference }))
            }
            PaymentCommand::RecordDecline { reason } => {
                self.answer(|order_id| PaymentEvent::Declined(PaymentDeclined { order_id, reason }))
            }
            PaymentCommand::RecordCapture => self.capture(),
            PaymentCommand::Void { reason } => self.void(reason),
            PaymentCommand::Refund { refund_id, amount } => self.refund(refund_id, amount),
        }
    }

    fn apply(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Requested(request) => *self = Self::Requested(request.clone()),
            PaymentEvent::Authorised(_) => self.turn(Self::Authorised),
            PaymentEvent::Declined(_) => self.turn(Self::Declined),
            PaymentEvent::Captured(_) => self.turn(|request| Self::Captured(request, Refunds::default())),
            PaymentEvent::Voided(_) => self.turn(Self::Voided),
            PaymentEvent::Refunded(refunded) => {
                if let Self::Captured(_, refunds) = self {
                    refunds.add(refunded);
                }
            }
        }
    }
}

impl Payment {
    fn ask(&self, request: PaymentRequested) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let amount = request.amount.amount;
        match self.request() {
            None if !(0..=Money::MAX).contains(&amount) => Err(PaymentRefusal::InvalidAmount { amount }),
            None => Ok(vec![PaymentEvent::Requested(request)]),
            Some(known) if *known == request => Ok(vec![]),
            Some(_) => Err(PaymentRefusal::AlreadyRequested),
        }
    }

    /// The gateway's first answer stands, and one that comes after a void changes nothing: the hold is lifted anyway.
    fn answer(&self, event: impl FnOnce(OrderId) -> PaymentEvent) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(request) => Ok(vec![event(request.order_id)]),
            Self::Authorised(_) | Self::Captured(..) | Self::Declined(_) | Self::Voided(_) => Ok(vec![]),
        }
    }

    fn capture(&self) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(_) => Err(PaymentRefusal::NotAuthorised),
            Self::Authorised(PaymentRequested { order_id, amount, .. }) => {
                Ok(vec![PaymentEvent::Captured(PaymentCaptured { order_id: *order_id, amount: amount.clone() })])
            }
            Self::Captured(..) => Ok(vec![]),
            Self::Declined(_) => Err(PaymentRefusal::Declined),
            Self::Voided(_) => Err(PaymentRefusal::Voided),
        }
    }

    fn void(&self, reason: String) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(request) | Self::Authorised(request) => {
                Ok(vec![PaymentEvent::Voided(PaymentVoided { order_id: request.order_id, reason })])
            }
            Self::Captured(request, refunds) => Ok(refunds.rest(request).into_iter().collect()),
            Self::Declined(_) | Self::Voided(_) => Ok(vec![]),
        }
    }

    fn refund(&self, refund_id: String, amount: Money) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Captured(request, refunds) => refunds.decide(request, refund_id, amount),
            Self::Requested(_) => Err(PaymentRefusal::NotCaptured { status: "requested" }),
            Self::Authorised(_) => Err(PaymentRefusal::NotCaptured { status: "authorised" }),
            Self::Declined(_) => Err(PaymentRefusal::NotCaptured { status: "declined" }),
            Self::Voided(_) => Err(PaymentRefusal::NotCaptured { status: "voided" }),
        }
    }

    fn turn(&mut self, into: impl FnOnce(PaymentRequested) -> Self) {
        if let Some(request) = self.request().cloned() {
            *self = into(request);
        }
    }
}
