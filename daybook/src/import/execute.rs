//! Carrying a plan out: the second pass.

use super::{
    api::{Api, ApiError},
    plan::{Plan, PlannedOrder, PlannedProduct},
};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};

/// The largest stock receipt that the API takes.
const MOST_PIECES: i64 = domain::Quantity::MAX;
/// How long one order is waited for, from its last look.
const LOOKS: u32 = 1_200;

/// How an order ended.
struct Ended {
    status: String,
    payment: Option<String>,
}

/// Users, products with their stock, orders, and the refunds of what was cancelled.
pub async fn execute(plan: &mut Plan, api: &Api, concurrency: usize) -> Result<(), ApiError> {
    let users = users(plan, api, concurrency).await?;
    let products = products(plan, api, concurrency).await?;
    let ended = orders(plan, api, concurrency, &users, &products).await?;
    leave_out_unconfirmed(plan, &ended);
    refunds(plan, api, concurrency, &ended).await
}

fn bar(what: &str, length: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len}  {per_sec}  {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length as u64).with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn id_of(made: &Value) -> String {
    made["id"].as_str().unwrap_or_default().to_owned()
}

async fn users(plan: &Plan, api: &Api, concurrency: usize) -> Result<HashMap<String, String>, ApiError> {
    let bar = bar("users", plan.customers.len());
    let register = |(number, country): (&String, &String)| {
        let (number, country, bar) = (number.clone(), country.clone(), bar.clone());
        async move {
            let mut body =
                json!({"email": format!("customer-{}@example.com", number.to_lowercase()), "name": format!("Customer {number}")});
            if country.parse::<domain::Text>().is_ok() {
                body["address"] = json!(country);
            }
            let made = api.post("/users", &format!("import/user/{number}"), body).await?;
            bar.inc(1);
            Ok((number, id_of(&made)))
        }
    };
    stream::iter(plan.customers.iter().map(register)).buffer_unordered(concurrency).try_collect().await
}

async fn products(plan: &Plan, api: &Api, concurrency: usize) -> Result<HashMap<String, String>, ApiError> {
    let bar = bar("products", plan.products.len());
    let list = |(code, product): (&String, &PlannedProduct)| {
        let (code, product, bar, file) = (code.clone(), product.clone(), bar.clone(), plan.fingerprint.clone());
        async move {
            let body = json!({"sku": code, "name": product.name, "price": {"amount": product.pence, "currency": "GBP"}});
            let id = id_of(&api.post("/products", &format!("import/product/{}", keyed(&code)), body).await?);
            receive(api, &id, &code, product.pieces, &file).await?;
            bar.inc(1);
            Ok((code, id))
        }
    };
    stream::iter(plan.products.iter().map(list)).buffer_unordered(concurrency).try_collect().await
}

/// A stock code as part of a key, which knows no spaces.
fn keyed(code: &str) -> String {
    code.replace(' ', "%20")
}

/// Receives what this file sells; another file of the same merchant receives its own.
async fn receive(api: &Api, id: &str, code: &str, pieces: i64, file: &str) -> Result<(), ApiError> {
    let (mut left, mut part) = (pieces, 0);
    while left > 0 {
        part += 1;
        let quantity = left.min(MOST_PIECES);
        api.post(
            &format!("/products/{id}/stock-receipts"),
            &format!("import/receipt/{file}/{}/{part}", keyed(code)),
            json!({"quantity": quantity}),
        )
        .await?;
        left -= quantity;
    }
    Ok(())
}

async fn orders(
    plan: &Plan,
    api: &Api,
    concurrency: usize,
    users: &HashMap<String, String>,
    products: &HashMap<String, String>,
) -> Result<Vec<Ended>, ApiError> {
    let bar = bar("orders", plan.orders.len());
    let place = |order: &PlannedOrder| {
        let (body, key, bar) = (body_of(order, users, products), format!("import/order/{}", order.key), bar.clone());
        async move {
            let made = api.post("/orders", &key, body).await?;
            let ended = wait_for_end(api, &id_of(&made)).await?;
            bar.inc(1);
            Ok(ended)
        }
    };
    stream::iter(plan.orders.iter().map(place)).buffered(concurrency).try_collect().await
}

fn body_of(order: &PlannedOrder, users: &HashMap<String, String>, products: &HashMap<String, String>) -> Value {
    let line = |line: &super::invoice::Line| json!({"product_id": products.get(&line.product), "quantity": line.quantity, "agreed_price": {"amount": line.pence, "currency": "GBP"}});
    json!({"user_id": users.get(&order.customer), "lines": order.lines.iter().map(line).collect::<Vec<_>>(), "payment": {"method": "invoice"}})
}

/// Looks at an order until the saga has ended, in one way or another.
async fn wait_for_end(api: &Api, id: &str) -> Result<Ended, ApiError> {
    let mut pause = Duration::from_millis(20);
    for _ in 0..LOOKS {
        if let Some(order) = api.get(&format!("/orders/{id}")).await? {
            let status = order["status"].as_str().unwrap_or_default();
            if !status.is_empty() && status != "placed" {
                return Ok(Ended { status: status.to_owned(), payment: order["payment_id"].as_str().map(str::to_owned) });
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    Ok(Ended { status: "placed".into(), payment: None })
}

/// An order that was not confirmed is no sale: its lines, and what would cancel them, are left out.
fn leave_out_unconfirmed(plan: &mut Plan, ended: &[Ended]) {
    let lost: Vec<usize> = (0..plan.orders.len()).filter(|index| ended[*index].status != "confirmed").collect();
    for index in lost {
        let lines = std::mem::take(&mut plan.orders[index].lines);
        lines.iter().for_each(|line| plan.skip(line.number, format!("its order ended as {}", ended[index].status)));
    }
    let kept: Vec<_> =
        plan.refunds.iter().filter(|refund| !plan.orders[refund.order].lines.is_empty()).map(|refund| refund.number).collect();
    let (refunds, without): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.refunds).into_iter().partition(|refund| kept.contains(&refund.number));
    plan.refunds = refunds;
    without.iter().for_each(|refund| plan.skip(refund.number, "the order that it cancels was not confirmed"));
}

async fn refunds(plan: &Plan, api: &Api, concurrency: usize, ended: &[Ended]) -> Result<(), ApiError> {
    let bar = bar("refunds", plan.refunds.len());
    let give_back = |refund: &super::plan::PlannedRefund| {
        let (payment, key, pence, bar) =
            (ended[refund.order].payment.clone().unwrap_or_default(), refund.key.clone(), refund.pence, bar.clone());
        async move {
            wait_for_capture(api, &payment).await?;
            let body = json!({"amount": {"amount": pence, "currency": "GBP"}});
            api.post(&format!("/payments/{payment}/refunds"), &format!("import/refund/{key}"), body).await?;
            bar.inc(1);
            Ok(())
        }
    };
    stream::iter(plan.refunds.iter().map(give_back)).buffer_unordered(concurrency).try_collect().await
}

/// A payment is captured a moment after its order is confirmed.
async fn wait_for_capture(api: &Api, payment: &str) -> Result<(), ApiError> {
    for _ in 0..LOOKS {
        let found = api.get(&format!("/payments/{payment}")).await?;
        if found.is_some_and(|payment| !matches!(payment["status"].as_str(), Some("requested" | "authorised") | None)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
