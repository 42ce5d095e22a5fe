//! Questions that are asked before the gateway is called: is that call still wanted? No answer makes an event.

use super::{Decision, Payment, PaymentRefusal};

impl Payment {
    /// Accepted until the gateway has answered or the payment is voided.
    pub(super) fn may_authorise(&self) -> Decision {
        match (self, self.status()) {
            (Self::Requested(_), _) => Ok(vec![]),
            (Self::Voided(_), _) => Err(PaymentRefusal::Voided),
            (_, Some(status)) => Err(PaymentRefusal::AlreadyAnswered { status }),
            (_, None) => Err(PaymentRefusal::Unknown),
        }
    }

    /// Accepted while the money is held, also after a capture has failed: an operator may try again.
    pub(super) fn may_capture(&self) -> Decision {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(_) => Err(PaymentRefusal::NotAuthorised),
            Self::Authorised(_) | Self::CaptureFailed(_) => Ok(vec![]),
            Self::Captured(..) => Err(PaymentRefusal::AlreadyCaptured),
            Self::Declined(_) => Err(PaymentRefusal::Declined),
            Self::Voided(_) => Err(PaymentRefusal::Voided),
        }
    }

    /// Accepted while the refund waits for the gateway, or has failed and its amount is still left.
    pub(super) fn may_refund(&self, refund_id: String) -> Decision {
        let (request, refunds) = self.captured_for(&refund_id)?;
        refunds.may_settle(request, refund_id)
    }
}
