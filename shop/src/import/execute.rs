//! Carries a plan out: the second pass.

use super::api::{ACTOR, Api, ApiError};
use domain::{ProductId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use invoices::{Line, Plan, PlannedOrder, PlannedProduct, PlannedRefund, keyed};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// The largest stock receipt that the API takes.
const MOST_PIECES: i64 = domain::Quantity::MAX;
/// The longest pause between two GETs of the same thing.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Ids in the shop, by the file's customer numbers or stock codes.
type Ids = HashMap<String, String>;

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
    /// Requests under way at once, at least one.
    pub concurrency: usize,
    /// How long the import waits for one order: longer than an unconfirmed order lives, so that each ends in one way or another.
    pub settle: Duration,
}

/// How an order ended.
#[derive(Clone, Debug)]
enum Ended {
    Confirmed {
        payment: String,
    },
    /// It is no sale, for this reason, which goes into the report.
    Not(String),
}

/// Makes users, products with their stock, orders, and the refunds of cancelled lines. What the shop refuses moves from the plan's orders
/// and refunds to its skipped lines.
pub async fn execute(plan: &mut Plan, api: &Api, limits: Limits) -> Result<(), ImportError> {
    let users = users(plan, api, limits).await?;
    let products = products(plan, api, limits).await?;
    let ended = orders(plan, api, limits, &users, &products).await?;
    leave_out_unconfirmed(plan, &ended);
    let refused = refunds(plan, api, limits, &ended).await?;
    for (number, why) in refused {
        plan.refunds.retain(|refund| refund.number != number);
        plan.skip(number, why);
    }
    Ok(())
}

fn bar(what: &str, length: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len}  {per_sec}  {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length as u64).with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

async fn users(plan: &Plan, api: &Api, limits: Limits) -> Result<Ids, ImportError> {
    let bar = bar("users", plan.customers.len());
    let register = |(number, country): (&String, &String)| {
        let (number, country, bar) = (number.clone(), country.clone(), bar.clone());
        async move {
            let (email, key) = (format!("customer-{}@example.com", number.to_lowercase()), format!("import/user/{number}"));
            let mut body = json!({"email": email, "name": format!("Customer {number}")});
            if country.parse::<domain::Text>().is_ok() {
                body["address"] = json!(country);
            }
            let id = match api.post("/users", &key, body).await {
                Err(error) if error.is_key_reused() => {
                    known(api, limits, format!("/users/{}", UserId::derive(ACTOR, &key)), ("email", &email)).await?
                }
                made => made?,
            };
            bar.inc(1);
            Ok((number, id))
        }
    };
    stream::iter(plan.customers.iter().map(register)).buffer_unordered(limits.concurrency).try_collect().await
}

async fn products(plan: &Plan, api: &Api, limits: Limits) -> Result<Ids, ImportError> {
    let bar = bar("products", plan.products.len());
    let list = |(code, product): (&String, &PlannedProduct)| {
        let (code, product, bar, file) = (code.clone(), product.clone(), bar.clone(), plan.fingerprint.clone());
        async move {
            let key = format!("import/product/{}", keyed(&code));
            let body = json!({"sku": code, "name": product.name, "price": {"amount": product.pence, "currency": "GBP"}});
            let id = match api.post("/products", &key, body).await {
                Err(error) if error.is_key_reused() => {
                    known(api, limits, format!("/products/{}", ProductId::derive(ACTOR, &key)), ("sku", &code)).await?
                }
                made => made?,
            };
            receive(api, &id, &code, product.pieces, &file).await?;
            bar.inc(1);
            Ok((code, id))
        }
    };
    stream::iter(plan.products.iter().map(list)).buffer_unordered(limits.concurrency).try_collect().await
}

/// Finds the customer or product that another file of the same merchant made under the same key, with another price, description or
/// country. Its id follows from the key; the field that names it shows that it is the same one.
async fn known(api: &Api, limits: Limits, path: String, (field, expected): (&str, &str)) -> Result<String, ImportError> {
    let unsettled = format!("{path} was made before, but does not show {field} {expected}");
    let found = async || Ok(api.get(&path).await?.filter(|found| found[field] == expected).map(|_| ()));
    look(limits, unsettled, found).await?;
    Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Repeats a look until it sees something, or the time is over.
async fn look<T>(limits: Limits, unsettled: String, seen: impl AsyncFn() -> Result<Option<T>, ApiError>) -> Result<T, ImportError> {
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

/// Receives the pieces that this file sells; another file of the same merchant receives its own.
async fn receive(api: &Api, id: &str, code: &str, pieces: i64, file: &str) -> Result<(), ApiError> {
    let (mut left, mut part) = (pieces, 0);
    while left > 0 {
        part += 1;
        let quantity = left.min(MOST_PIECES);
        let key = format!("import/receipt/{file}/{}/{part}", keyed(code));
        api.post(&format!("/products/{id}/stock-receipts"), &key, json!({"quantity": quantity})).await?;
        left -= quantity;
    }
    Ok(())
}

async fn orders(plan: &Plan, api: &Api, limits: Limits, users: &Ids, products: &Ids) -> Result<Vec<Ended>, ImportError> {
    let bar = bar("orders", plan.orders.len());
    let place = |order: &PlannedOrder| {
        let (body, key, bar) = (body_of(order, users, products), format!("import/order/{}", order.key), bar.clone());
        async move {
            let ended = match api.post("/orders", &key, body).await {
                Ok(id) => end_of(api, limits, &id).await?,
                Err(error) if error.is_key_reused() => Ended::Not("its invoice was imported before, with other lines".into()),
                Err(error) => Ended::Not(format!("its order was refused: {}", error.rule().map(str::to_owned).ok_or(error)?)),
            };
            bar.inc(1);
            Ok(ended)
        }
    };
    stream::iter(plan.orders.iter().map(place)).buffered(limits.concurrency).try_collect().await
}

fn body_of(order: &PlannedOrder, users: &Ids, products: &Ids) -> Value {
    let line = |line: &Line| {
        let agreed_price = json!({"amount": line.pence, "currency": "GBP"});
        json!({"product_id": products.get(&line.product), "quantity": line.quantity, "agreed_price": agreed_price})
    };
    let lines: Vec<Value> = order.lines.iter().map(line).collect();
    json!({"user_id": users.get(&order.customer), "lines": lines, "payment": {"method": "invoice"}})
}

/// Waits until an order's saga has ended, in one way or another.
async fn end_of(api: &Api, limits: Limits, id: &str) -> Result<Ended, ImportError> {
    let ended = async || Ok(api.get(&format!("/orders/{id}")).await?.and_then(|order| ended(&order)));
    look(limits, format!("the order {id} is neither confirmed nor off"), ended).await
}

fn ended(order: &Value) -> Option<Ended> {
    match (order["status"].as_str()?, order["payment_id"].as_str()) {
        ("confirmed", payment) => Some(Ended::Confirmed { payment: payment?.to_owned() }),
        ("placed", _) => None,
        (off, _) => Some(Ended::Not(match order["reason"].as_str() {
            Some(reason) => format!("its order was {off}: {reason}"),
            None => format!("its order was {off}"),
        })),
    }
}

/// Skips the lines of each order that was not confirmed, since it is no sale, and each line, as a whole, that would cancel any of them.
fn leave_out_unconfirmed(plan: &mut Plan, ended: &[Ended]) {
    for (index, ended) in ended.iter().enumerate() {
        if let Ended::Not(why) = ended {
            let lines = std::mem::take(&mut plan.orders[index].lines);
            lines.iter().for_each(|line| plan.skip(line.number, why.clone()));
        }
    }
    let off = |refund: &&PlannedRefund| plan.orders[refund.order].lines.is_empty();
    let lost: BTreeSet<u64> = plan.refunds.iter().filter(off).map(|refund| refund.number).collect();
    plan.refunds.retain(|refund| !lost.contains(&refund.number));
    lost.into_iter().for_each(|number| plan.skip(number, "cancels nothing that was imported: the order it cancels was not confirmed"));
}

/// Refunds what each cancelling line takes back; answers the lines that the shop refused, with the reason.
async fn refunds(plan: &Plan, api: &Api, limits: Limits, ended: &[Ended]) -> Result<Vec<(u64, String)>, ImportError> {
    let lines: Vec<&[PlannedRefund]> = plan.refunds.chunk_by(|one, next| one.number == next.number).collect();
    let bar = bar("refunds", lines.len());
    let give_back = |parts: &[PlannedRefund]| {
        let (parts, bar) = (parts.to_vec(), bar.clone());
        async move {
            for (index, part) in parts.iter().enumerate() {
                let Ended::Confirmed { payment } = &ended[part.order] else { continue };
                match refund(api, limits, payment, part).await {
                    Ok(()) => {}
                    // Once a part was given back, the line cannot be skipped any more, so a later refusal stops the import.
                    Err(ImportError::Api(error)) if index == 0 && error.rule().is_some() => {
                        return Ok(Some((part.number, format!("its refund was refused: {}", error.rule().unwrap_or_default()))));
                    }
                    Err(error) => return Err(error),
                }
            }
            bar.inc(1);
            Ok(None)
        }
    };
    let refused: Vec<Option<_>> = stream::iter(lines.into_iter().map(give_back)).buffer_unordered(limits.concurrency).try_collect().await?;
    Ok(refused.into_iter().flatten().collect())
}

async fn refund(api: &Api, limits: Limits, payment: &str, part: &PlannedRefund) -> Result<(), ImportError> {
    wait_for_capture(api, limits, payment).await?;
    let body = json!({"amount": {"amount": part.pence, "currency": "GBP"}});
    api.post(&format!("/payments/{payment}/refunds"), &format!("import/refund/{}", part.key), body).await?;
    Ok(())
}

/// Waits until a payment is captured, which happens a moment after its order is confirmed.
async fn wait_for_capture(api: &Api, limits: Limits, payment: &str) -> Result<(), ImportError> {
    let captured = async || {
        let found = api.get(&format!("/payments/{payment}")).await?;
        Ok(found.filter(|payment| !matches!(payment["status"].as_str(), Some("requested" | "authorised") | None)).map(|_| ()))
    };
    look(limits, format!("the payment {payment} is not captured"), captured).await
}
