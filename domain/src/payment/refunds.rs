use super::{PaymentEvent, PaymentRefunded, PaymentRefusal, PaymentRequested};
use crate::Money;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name at the gateway of the refund that voiding a captured payment makes. No other refund may bear it: the
/// gateway would take the second for a repeat of the first and keep the money.
pub const VOID_REFUND: &str = "void";

/// What was given back of a captured payment. Each refund is kept by its name, so that a repeat is known as one; there
/// cannot be more of them than minor units were captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunds {
    by_id: BTreeMap<String, i64>,
    refunded: i64,
}

impl Refunds {
    /// What was given back in all, in minor units of the payment's currency.
    pub fn refunded(&self) -> i64 {
        self.refunded
    }

    pub(super) fn add(&mut self, event: &PaymentRefunded) {
        self.by_id.insert(event.refund_id.clone(), event.amount.amount);
        self.refunded = event.refunded.amount;
    }

    /// Gives back all that is left, if anything is.
    pub(super) fn rest(&self, request: &PaymentRequested) -> Option<PaymentEvent> {
        let left = request.amount.amount - self.refunded;
        (left > 0).then(|| self.event(request, VOID_REFUND.to_owned(), left))
    }

    /// Decides a refund of a captured payment.
    pub(super) fn decide(&self, request: &PaymentRequested, refund_id: String, amount: Money) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let currency = &request.amount.currency;
        if let Some(&known) = self.by_id.get(&refund_id) {
            let known = Money { amount: known, currency: currency.clone() };
            let repeated = known == amount;
            return if repeated { Ok(vec![]) } else { Err(PaymentRefusal::RefundIdReused { refund_id, known, given: amount }) };
        }
        if refund_id == VOID_REFUND {
            return Err(PaymentRefusal::ReservedRefundId);
        }
        if *currency != amount.currency {
            return Err(PaymentRefusal::CurrencyMismatch { captured: currency.clone(), given: amount.currency });
        }
        self.check_bounds(request, amount.amount)?;
        Ok(vec![self.event(request, refund_id, amount.amount)])
    }

    fn check_bounds(&self, request: &PaymentRequested, amount: i64) -> Result<(), PaymentRefusal> {
        let captured = request.amount.amount;
        let rest = captured - self.refunded;
        if amount < 1 {
            Err(PaymentRefusal::NothingToRefund { amount })
        } else if amount > rest {
            Err(PaymentRefusal::RefundExceedsCaptured { amount, captured, rest })
        } else {
            Ok(())
        }
    }

    /// The refund of `amount`, which is at most what is left.
    fn event(&self, request: &PaymentRequested, refund_id: String, amount: i64) -> PaymentEvent {
        let money = |amount| Money { amount, currency: request.amount.currency.clone() };
        let refunded = money(self.refunded + amount);
        PaymentEvent::Refunded(PaymentRefunded { order_id: request.order_id, refund_id, amount: money(amount), refunded })
    }
}
