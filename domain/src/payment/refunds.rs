use super::{Decision, PaymentEvent, PaymentRefundFailed, PaymentRefundRequested, PaymentRefundSettled, PaymentRefusal, PaymentRequested};
use crate::Money;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name at the gateway of the refund that voiding a captured payment makes. No other refund may have it: the gateway would take the
/// second for a repeat of the first and keep the money.
pub const VOID_REFUND: &str = "void";

/// The refunds of a captured payment. Each is kept by its name, so that a repeat is recognised.
///
/// No refund is requested beyond the captured amount, less the amounts that are settled or reserved for refunds that wait for the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunds {
    by_id: BTreeMap<String, Refund>,
    settled: i64,
    reserved: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refund {
    amount: i64,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Progress {
    /// It waits for the gateway, and its amount is reserved.
    Requested,
    Settled,
    /// The gateway could not give the money back; the amount is free for other refunds.
    Failed,
}

/// Folding.
impl Refunds {
    pub(super) fn reserve(&mut self, refund_id: &str, amount: &Money) {
        self.put(refund_id, amount, Progress::Requested);
        self.reserved = self.reserved.saturating_add(amount.amount);
    }

    pub(super) fn settle(&mut self, refund_id: &str, amount: &Money, refunded: &Money) {
        self.put(refund_id, amount, Progress::Settled);
        self.settled = refunded.amount;
    }

    pub(super) fn fail(&mut self, refund_id: &str, amount: &Money) {
        self.put(refund_id, amount, Progress::Failed);
    }

    /// Sets a refund's progress. Any change releases the amount that it had reserved.
    fn put(&mut self, refund_id: &str, amount: &Money, progress: Progress) {
        let before = self.by_id.insert(refund_id.to_owned(), Refund { amount: amount.amount, progress });
        if let Some(Refund { amount, progress: Progress::Requested }) = before {
            self.reserved = self.reserved.saturating_sub(amount);
        }
    }
}

/// Deciding, for a captured payment whose `request` says how much was taken.
impl Refunds {
    /// The sum given back so far, in minor units of the payment's currency.
    pub fn refunded(&self) -> i64 {
        self.settled
    }

    /// The sum reserved for refunds that wait for the gateway, in minor units of the payment's currency.
    pub fn reserved(&self) -> i64 {
        self.reserved
    }

    pub(super) fn request(&self, request: &PaymentRequested, refund_id: String, amount: Money) -> Decision {
        let currency = &request.amount.currency;
        if let Some(&Refund { amount: known, progress }) = self.by_id.get(&refund_id) {
            let known = Money { amount: known, currency: currency.clone() };
            return match progress {
                _ if known != amount => Err(PaymentRefusal::RefundIdReused { refund_id, known, given: amount }),
                Progress::Requested | Progress::Settled => Ok(vec![]),
                Progress::Failed => self.request_checked(request, refund_id, amount.amount),
            };
        }
        if refund_id == VOID_REFUND {
            return Err(PaymentRefusal::ReservedRefundId);
        }
        if *currency != amount.currency {
            return Err(PaymentRefusal::CurrencyMismatch { captured: currency.clone(), given: amount.currency });
        }
        self.request_checked(request, refund_id, amount.amount)
    }

    /// Requests a refund of all that is left, if anything is. It is requested once; after a failure the same amount is requested again,
    /// since the gateway knows the amount by that name.
    pub(super) fn request_rest(&self, request: &PaymentRequested) -> Decision {
        let left = self.left(request);
        match self.by_id.get(VOID_REFUND) {
            _ if left < 1 => Ok(vec![]),
            None => self.request_checked(request, VOID_REFUND.to_owned(), left),
            Some(Refund { amount, progress: Progress::Failed }) => self.request_checked(request, VOID_REFUND.to_owned(), *amount),
            Some(Refund { progress: Progress::Requested | Progress::Settled, .. }) => Ok(vec![]),
        }
    }

    /// Settles a failed refund too, since an operator may try it again when the gateway works. The gateway has paid it: that is a fact, and
    /// it is booked even where another refund has reserved its amount meanwhile.
    pub(super) fn record_settled(&self, request: &PaymentRequested, refund_id: String) -> Decision {
        let Refund { amount, progress } = self.get(&refund_id)?;
        if progress == Progress::Settled {
            return Ok(vec![]);
        }
        let (amount, refunded) = (money(request, amount), money(request, self.settled.saturating_add(amount)));
        let PaymentRequested { order_id, user_id, .. } = *request;
        Ok(vec![PaymentEvent::RefundSettled(PaymentRefundSettled { order_id, user_id, refund_id, amount, refunded })])
    }

    pub(super) fn record_failed(&self, request: &PaymentRequested, refund_id: String, reason: String) -> Decision {
        let Refund { amount, progress } = self.get(&refund_id)?;
        match progress {
            Progress::Requested => {
                let PaymentRequested { order_id, user_id, .. } = *request;
                let amount = money(request, amount);
                Ok(vec![PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, user_id, refund_id, amount, reason })])
            }
            Progress::Settled | Progress::Failed => Ok(vec![]),
        }
    }

    pub(super) fn may_settle(&self, request: &PaymentRequested, refund_id: String) -> Decision {
        let Refund { amount, progress } = self.get(&refund_id)?;
        match progress {
            Progress::Requested => Ok(vec![]),
            Progress::Settled => Err(PaymentRefusal::RefundSettled { refund_id }),
            Progress::Failed => self.check_bounds(request, amount).map(|()| vec![]),
        }
    }

    fn get(&self, refund_id: &str) -> Result<Refund, PaymentRefusal> {
        self.by_id.get(refund_id).copied().ok_or_else(|| PaymentRefusal::UnknownRefund { refund_id: refund_id.to_owned() })
    }

    /// The amount that is neither settled nor reserved; negative where a failed refund was paid after all.
    fn left(&self, request: &PaymentRequested) -> i64 {
        request.amount.amount - self.settled - self.reserved
    }

    fn request_checked(&self, request: &PaymentRequested, refund_id: String, amount: i64) -> Decision {
        self.check_bounds(request, amount)?;
        let PaymentRequested { order_id, user_id, .. } = *request;
        let amount = money(request, amount);
        Ok(vec![PaymentEvent::RefundRequested(PaymentRefundRequested { order_id, user_id, refund_id, amount })])
    }

    fn check_bounds(&self, request: &PaymentRequested, amount: i64) -> Result<(), PaymentRefusal> {
        let (captured, rest) = (request.amount.amount, self.left(request).max(0));
        if amount < 1 {
            Err(PaymentRefusal::NothingToRefund { amount })
        } else if amount > rest {
            Err(PaymentRefusal::RefundExceedsCaptured { amount, captured, rest })
        } else {
            Ok(())
        }
    }
}

fn money(request: &PaymentRequested, amount: i64) -> Money {
    Money { amount, currency: request.amount.currency.clone() }
}
