//! The refunds of cancelled lines.
//!
//! What a line cancels may stand in this file or in one that was imported before. Which payment a cancellation went to before is found by
//! asking each candidate: a refund's key says whether it was made there, so that no run gives the money back once more elsewhere.

use super::{
    account::{Account, Sale},
    execute::{Ended, ImportError, Shop, bar, look},
};
use futures::{StreamExt, TryStreamExt, stream};
use invoices::{Cancellation, Plan, Skipped};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

const UNMATCHED: &str = "cancels nothing that is imported: no earlier line of this customer, product and price with enough pieces";
const OFF: &str = "cancels nothing that was imported: the order it cancels was not confirmed";
/// The refusals that say that a refund was requested under this key before.
const REQUESTED: [&str; 2] = ["idempotency-key-reused", "refund-id-reused"];

/// Gives back what each cancelling line takes back; answers the lines that took nothing back, with the reason.
pub async fn give_back_all(plan: &Plan, shop: &Shop<'_>, ended: &[Vec<Ended>]) -> Result<Vec<Skipped>, ImportError> {
    let mut customers: BTreeMap<&str, Vec<&Cancellation>> = BTreeMap::new();
    // Those that find their sales in this file come first: they may not lose them to the others.
    let (found, lost): (Vec<_>, Vec<_>) = plan.cancellations.iter().partition(|cancellation| !cancellation.parts.is_empty());
    for cancellation in found.into_iter().chain(lost) {
        customers.entry(&cancellation.line.customer).or_default().push(cancellation);
    }
    let bar = bar("refunds", customers.len());
    let give_back = |(customer, cancellations)| {
        let bar = bar.clone();
        async move {
            let skipped = of_customer(plan, shop, ended, customer, cancellations).await?;
            bar.inc(1);
            Ok::<_, ImportError>(skipped)
        }
    };
    let skipped: Vec<Vec<Skipped>> = stream::iter(customers).map(give_back).buffer_unordered(shop.limits.concurrency).try_collect().await?;
    Ok(skipped.into_iter().flatten().collect())
}

/// The cancellations of one customer, one after the other, since they share its sales.
async fn of_customer(
    plan: &Plan,
    shop: &Shop<'_>,
    ended: &[Vec<Ended>],
    customer: &str,
    cancellations: Vec<&Cancellation>,
) -> Result<Vec<Skipped>, ImportError> {
    let lines: Vec<_> = cancellations.iter().map(|cancellation| &cancellation.line).collect();
    let mut account = Account::find(shop, customer, &lines).await?;
    let mut skipped = Vec::new();
    for cancellation in cancellations {
        let refused = Refund { plan, shop, ended, cancellation }.give_back(&mut account).await?;
        skipped.extend(refused.map(|reason| Skipped { line: cancellation.line.number, reason }));
    }
    Ok(skipped)
}

/// A sale by its index in the account, and the pieces of it that are taken back.
type Taken = (usize, i64);

/// A cancelling line on its way.
struct Refund<'a> {
    plan: &'a Plan,
    shop: &'a Shop<'a>,
    ended: &'a [Vec<Ended>],
    cancellation: &'a Cancellation,
}

impl Refund<'_> {
    /// Gives the money back, or answers why not.
    async fn give_back(&self, account: &mut Account) -> Result<Option<String>, ImportError> {
        let Some(planned) = self.planned(account) else { return Ok(Some(OFF.into())) };
        let candidates = self.candidates(account, &planned);
        let begun = self.begun(account, &candidates).await?;
        let Some(taken) = self.allocate(account, &planned, &candidates, begun) else { return Ok(Some(UNMATCHED.into())) };
        if let Some(why) = self.uncaptured(account, &taken).await? {
            return Ok(Some(why));
        }
        if begun.is_none() {
            taken.iter().for_each(|(sale, pieces)| account.sales[*sale].left -= pieces);
        }
        self.request(account, &taken).await
    }

    /// The sales of this file that it cancels; none where one of them was not confirmed.
    fn planned(&self, account: &Account) -> Option<Vec<Taken>> {
        let sale = |part: &invoices::Part| match &self.ended[part.order][part.line] {
            Ended::Confirmed { payment } => Some((account.sale(payment, &self.cancellation.line)?, part.quantity)),
            Ended::Not(_) => None,
        };
        self.cancellation.parts.iter().map(sale).collect()
    }

    /// The sales that it may take back, the likeliest first: those of this file that match, then the newest. Not those that this file
    /// dates later.
    fn candidates(&self, account: &Account, planned: &[Taken]) -> Vec<usize> {
        let later: HashSet<&str> = self.later_payments().collect();
        let others = account.sales_of(&self.cancellation.line).filter(|sale| !later.contains(account.sales[*sale].payment.as_str()));
        let mut candidates = Vec::new();
        for sale in planned.iter().map(|(sale, _)| *sale).chain(others) {
            if !candidates.contains(&sale) {
                candidates.push(sale);
            }
        }
        candidates
    }

    fn later_payments(&self) -> impl Iterator<Item = &str> {
        let line = &self.cancellation.line;
        let orders = self.plan.orders.iter().zip(self.ended).filter(|(order, _)| order.customer == line.customer);
        let ends = orders.flat_map(|(order, ended)| order.lines.iter().zip(ended));
        ends.filter(|(sold, _)| sold.date > line.date).filter_map(|(_, ended)| match ended {
            Ended::Confirmed { payment } => Some(payment.as_str()),
            Ended::Not(_) => None,
        })
    }

    /// The sale whose payment has this cancellation's first refund by now.
    async fn begun(&self, account: &Account, candidates: &[usize]) -> Result<Option<usize>, ImportError> {
        for sale in candidates {
            if self.is_requested(&account.sales[*sale]).await? {
                return Ok(Some(*sale));
            }
        }
        Ok(None)
    }

    /// Asks for a refund that is always refused, since payments of imports are in pounds: how it is refused tells whether another one was
    /// requested under the key.
    async fn is_requested(&self, sale: &Sale) -> Result<bool, ImportError> {
        let (path, body) = (format!("/payments/{}/refunds", sale.payment), json!({"amount": {"amount": 1, "currency": "JPY"}}));
        match self.shop.api.post(&path, &self.key(0), body).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_one_of(&REQUESTED) => Ok(true),
            Err(error) if error.rule().is_some() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn key(&self, part: usize) -> String {
        format!("import/refund/{}/{}", self.cancellation.key, part + 1)
    }

    /// Chooses the pieces that are taken back: as planned, then from the newest sale. None where there are too few. One that was begun goes
    /// on where it was begun, and counts no refund against itself: some of those that are there are its own.
    fn allocate(&self, account: &Account, planned: &[Taken], candidates: &[usize], begun: Option<usize>) -> Option<Vec<Taken>> {
        let room = |sale: usize| if begun.is_some() { account.sales[sale].sold } else { account.sales[sale].left };
        let others = begun.into_iter().chain(candidates.iter().copied()).map(|sale| (sale, i64::MAX));
        let planned = planned.iter().copied().filter(|(sale, _)| begun.is_none_or(|begun| begun == *sale));
        let (mut wanted, mut taken): (i64, Vec<Taken>) = (self.cancellation.line.quantity, Vec::new());
        for (sale, most) in planned.chain(others) {
            let before: i64 = taken.iter().filter(|(other, _)| *other == sale).map(|(_, pieces)| pieces).sum();
            let pieces = wanted.min(most).min(room(sale) - before);
            if pieces > 0 {
                taken.push((sale, pieces));
                wanted -= pieces;
            }
        }
        (wanted == 0).then_some(taken)
    }

    /// The first payment of those whose money was not taken, as a reason. A payment is captured a moment after its order is confirmed, and
    /// is waited for.
    async fn uncaptured(&self, account: &Account, taken: &[Taken]) -> Result<Option<String>, ImportError> {
        for (sale, _) in taken {
            let payment = &account.sales[*sale].payment;
            let settled = async || Ok(self.shop.api.get(&format!("/payments/{payment}"), &[]).await?.and_then(|found| standing(&found)));
            if let Standing::NotTaken(why) = look(self.shop.limits, format!("the payment {payment} is not captured"), settled).await? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    async fn request(&self, account: &Account, taken: &[Taken]) -> Result<Option<String>, ImportError> {
        for (part, (sale, pieces)) in taken.iter().enumerate() {
            let path = format!("/payments/{}/refunds", account.sales[*sale].payment);
            let body = json!({"amount": {"amount": pieces * self.cancellation.line.pence, "currency": "GBP"}});
            match self.shop.api.post(&path, &self.key(part), body).await {
                Ok(_) => {}
                // An earlier run divided the same cancellation otherwise: it was given back then.
                Err(error) if error.is_one_of(&REQUESTED) => return Ok(None),
                Err(error) => {
                    let refused = if part == 0 { "its refund was refused" } else { "only a part was given back, the rest was refused" };
                    return Ok(Some(format!("{refused}: {}", error.rule().map(str::to_owned).ok_or(error)?)));
                }
            }
        }
        Ok(None)
    }
}

/// Whether a payment's money can be given back.
enum Standing {
    Taken,
    /// It was not taken, for this reason.
    NotTaken(String),
}

/// Where a payment stands; none while that is not settled yet.
fn standing(payment: &Value) -> Option<Standing> {
    match payment["status"].as_str()? {
        "requested" | "authorised" => None,
        "captured" | "refund-requested" | "refund-failed" | "partially-refunded" | "refunded" => Some(Standing::Taken),
        status => {
            let because = payment["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            Some(Standing::NotTaken(format!("there is nothing to give back: the payment of its order is {status}{because}")))
        }
    }
}
