//! Carries a plan out: the second pass.

use super::{
    api::{Api, ApiError},
    catalogue::{self, Entries},
    orders, refunds,
};
use indicatif::{ProgressBar, ProgressStyle};
use invoices::{Plan, Skipped};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// The longest pause between two GETs of the same thing.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Why an import stops before its end; a second run continues it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A request to the API failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Something that should happen by itself, such as the end of an order, did not happen in time.
    #[error("{what} after {seconds} seconds")]
    Unsettled {
        /// What did not happen.
        what: String,
        /// How long the import waited for it.
        seconds: u64,
    },
}

/// The limits of an import.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many customers, products, orders or cancellations are worked on at once, at least one.
    pub concurrency: usize,
    /// How long the import waits for one order: longer than an unconfirmed order lives, so that each ends in one way or another.
    pub settle: Duration,
}

/// How a line of an invoice ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Its order is confirmed.
    Confirmed {
        /// The order's payment.
        payment: String,
    },
    /// It is no sale, for this reason, which goes into the report.
    Not(String),
}

/// What the shop knows of the file, and where it is.
pub struct Shop<'a> {
    /// Its API.
    pub api: &'a Api,
    /// The limits of the import.
    pub limits: Limits,
    /// The users, by the file's customer numbers.
    pub users: Entries,
    /// The products, by the file's stock codes.
    pub products: Entries,
}

/// Makes users, products, orders with the stock for them, and the refunds of cancelled lines. What the shop refuses moves from the plan's
/// orders and cancellations to its skipped lines.
pub async fn execute(plan: &mut Plan, api: &Api, limits: Limits) -> Result<(), ImportError> {
    let users = catalogue::users(plan, api, limits).await?;
    let products = catalogue::products(plan, api, limits).await?;
    let shop = Shop { api, limits, users, products };
    let ended = orders::place_all(plan, &shop).await?;
    let refused = refunds::give_back_all(plan, &shop, &ended).await?;
    leave_out(plan, &ended);
    let lost: BTreeSet<u64> = refused.iter().map(|skipped| skipped.line).collect();
    plan.cancellations.retain(|cancellation| !lost.contains(&cancellation.line.number));
    plan.skipped.extend(refused);
    Ok(())
}

/// Skips the lines that became no sale.
fn leave_out(plan: &mut Plan, ended: &[Vec<Ended>]) {
    for (order, ended) in plan.orders.iter_mut().zip(ended) {
        let mut ended = ended.iter();
        order.lines.retain(|line| match ended.next() {
            Some(Ended::Not(why)) => {
                plan.skipped.push(Skipped { line: line.number, reason: why.clone() });
                false
            }
            Some(Ended::Confirmed { .. }) | None => true,
        });
    }
}

/// A progress bar on standard error, shown where that is a terminal.
pub fn bar(what: &str, length: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len}  {per_sec}  {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length as u64).with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Repeats a look until it sees something, or the time is over.
pub async fn look<T>(limits: Limits, unsettled: String, seen: impl AsyncFn() -> Result<Option<T>, ApiError>) -> Result<T, ImportError> {
    let (end, mut pause) = (Instant::now() + limits.settle, Duration::from_millis(20));
    while Instant::now() < end {
        if let Some(seen) = seen().await? {
            return Ok(seen);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
    Err(ImportError::Unsettled { what: unsettled, seconds: limits.settle.as_secs() })
}
