//! The POSTs of orders.

use crate::{
    money::{MoneyBody, money, quantity},
    shapes::LineOfText,
    who_may,
};
use axum::{extract::State, http::StatusCode, response::Response};
use command_api::{Body, Caller, Changed, Checks, Made, PathId, PostHeaders, Problem, created, done};
use domain::{
    OrderId, UserId,
    order::{Order, OrderCommand, OrderLine},
};
use event_store::Execute;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most lines that an order may have.
const MOST_LINES: usize = 1000;

#[derive(Clone)]
struct Orders {
    execute: Arc<dyn Execute<Order>>,
    /// How long an order may take from being placed to being confirmed, before it expires.
    deadline: Duration,
}

pub(crate) fn commands(execute: Arc<dyn Execute<Order>>, deadline: Duration) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(place)).routes(routes!(cancel)).with_state(Orders { execute, deadline })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Placement {
    /// The customer. Who orders in their own name may leave it out.
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<String>,
    #[serde(deserialize_with = "command_api::object::many")]
    #[schema(min_items = 1, max_items = 1000)]
    lines: Vec<Line>,
    #[serde(deserialize_with = "command_api::object::one")]
    payment: PaymentChoice,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    #[schema(format = Uuid)]
    product_id: String,
    #[schema(example = 1, minimum = 1, maximum = 10_000_000)]
    quantity: i64,
    /// The price of one piece that a merchant agreed with the customer; only actors whose name begins with `merchant/` may state it.
    #[serde(default, deserialize_with = "command_api::object::maybe")]
    agreed_price: Option<MoneyBody>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentChoice {
    #[schema(value_type = LineOfText, example = "card")]
    method: String,
}

/// Places an order. Stock and payment then decide whether it is confirmed, cancelled or expires: see its timeline.
#[utoipa::path(post, path = "/orders", tag = "orders", extensions(("x-action" = json!("orders.place"))), params(PostHeaders), request_body = Placement, responses(Made))]
async fn place(State(orders): State<Orders>, caller: Caller, Body(body): Body<Placement>) -> Result<Response, Problem> {
    may_state_prices(&caller, &body.lines)?;
    let mut checks = Checks::default();
    if !(1..=MOST_LINES).contains(&body.lines.len()) {
        checks.wrong("lines", format!("must be 1 to {MOST_LINES} lines, are {}", body.lines.len()));
    }
    let user_id = customer(&mut checks, &caller, body.user_id.as_deref());
    let payment_method = checks.text("payment.method", &body.payment.method);
    let lines: Vec<OrderLine> =
        body.lines.iter().take(MOST_LINES).enumerate().filter_map(|(index, line)| parse_line(&mut checks, index, line)).collect();
    let (user_id, payment_method) = checks.done(user_id.zip(payment_method))?;
    let meta = caller.meta();
    let deadline = i64::try_from(orders.deadline.as_millis()).unwrap_or(i64::MAX);
    let command = OrderCommand::Place { user_id, lines, payment_method, placed_at: meta.time, expires_at: meta.time.plus_millis(deadline) };
    let id = caller.creates(OrderId::derive, OrderId);
    Ok(created("/orders", &id, orders.execute.execute(id.0, command, meta).await))
}

/// The customer of an order: the caller's own account, where they may order in no other name.
fn customer(checks: &mut Checks, caller: &Caller, named: Option<&str>) -> Option<UserId> {
    let own = caller.own_account().map(UserId);
    let Some(named) = named else {
        if own.is_none() {
            checks.wrong("user_id", "must be given");
        }
        return own;
    };
    let named = checks.id::<UserId>("user_id", named)?;
    if own.is_some_and(|own| own != named) {
        checks.wrong("user_id", "must be your own account, or left out");
    }
    Some(named)
}

/// True for callers who may state prices that they agreed with a customer; in open mode those whose names begin with `merchant/`.
fn is_merchant(caller: &Caller) -> bool {
    caller.may(who_may::AGREE_PRICES).unwrap_or_else(|| caller.actor.starts_with("merchant/"))
}

fn may_state_prices(caller: &Caller, lines: &[Line]) -> Result<(), Problem> {
    match lines.iter().position(|line| line.agreed_price.is_some()) {
        Some(index) if !is_merchant(caller) => {
            let detail = "only an actor whose name begins with merchant/ may state an agreed price";
            Err(Problem::new(StatusCode::FORBIDDEN, "merchants-only", detail).with_field(Some(format!("lines[{index}].agreed_price"))))
        }
        Some(_) | None => Ok(()),
    }
}

fn parse_line(checks: &mut Checks, index: usize, line: &Line) -> Option<OrderLine> {
    let product_id = checks.id(&format!("lines[{index}].product_id"), &line.product_id);
    let quantity = quantity(checks, &format!("lines[{index}].quantity"), line.quantity);
    let agreed_price = line.agreed_price.as_ref().and_then(|price| money(checks, &format!("lines[{index}].agreed_price"), price));
    product_id.zip(quantity).map(|(product_id, quantity)| OrderLine { product_id, quantity, agreed_price })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    #[schema(value_type = LineOfText, example = "changed my mind")]
    reason: String,
}

/// Cancels an order that is not confirmed yet.
#[utoipa::path(post, path = "/orders/{id}/cancellation", tag = "orders", extensions(("x-action" = json!("orders.cancel"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = Cancellation, responses(Changed))]
async fn cancel(
    State(orders): State<Orders>,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<Cancellation>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, reason) = (checks.id::<OrderId>("id", &id), checks.text("reason", &body.reason));
    let (id, reason) = checks.done(id.zip(reason))?;
    let outcome = orders.execute.execute(id.0, OrderCommand::Cancel { reason }, caller.meta()).await;
    Ok(done(&id, outcome))
}
