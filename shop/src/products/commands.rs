//! The POSTs of products.

use crate::{
    money::{MoneyBody, money, quantity},
    reservations::{Unique, Wanted},
    shapes::{LineOfText, SkuCode},
};
use axum::{extract::State, response::Response};
use command_api::{Body, Caller, Changed, Checks, Made, PathId, PostHeaders, Problem, created, done};
use domain::{
    ProductId, ReservationId, Sku, Text,
    product::{Product, ProductCommand},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Products = State<Arc<Unique<Product>>>;

pub(crate) fn commands(products: Unique<Product>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(change_price))
        .routes(routes!(receive_stock))
        .routes(routes!(withdraw))
        .with_state(Arc::new(products))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[schema(value_type = SkuCode)]
    sku: String,
    #[schema(value_type = LineOfText, example = "White hanging heart T-light holder")]
    name: String,
    #[serde(deserialize_with = "command_api::object::one")]
    price: MoneyBody,
}

/// Puts a product into the catalogue. Its stock-keeping unit must be that of no other listed product: 422 `sku-taken`.
#[utoipa::path(post, path = "/products", tag = "products", extensions(("x-action" = json!("catalogue.change"))), params(PostHeaders), request_body = Listing, responses(Made))]
async fn list(State(products): Products, caller: Caller, Body(body): Body<Listing>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (sku, name, price) =
        (checks.text::<Sku>("sku", &body.sku), checks.text::<Text>("name", &body.name), money(&mut checks, "price", &body.price));
    let ((sku, name), price) = checks.done(sku.zip(name).zip(price))?;
    let id = caller.creates(ProductId::derive, ProductId);
    let (reservation, meta) = (ReservationId::of_sku(&sku), caller.meta());
    let command = |reserved| ProductCommand::List { sku: sku.clone(), name: name.clone(), price: price.clone(), reserved };
    let outcome = products.create(Wanted { holder: id.0, reservation, meta: &meta }, command).await;
    Ok(created("/products", &id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PriceChange {
    #[serde(deserialize_with = "command_api::object::one")]
    price: MoneyBody,
}

/// Changes the price of future reservations.
#[utoipa::path(post, path = "/products/{id}/price-changes", tag = "products", extensions(("x-action" = json!("catalogue.change"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = PriceChange, responses(Changed))]
async fn change_price(
    State(products): Products,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<PriceChange>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, price) = (checks.id::<ProductId>("id", &id), money(&mut checks, "price", &body.price));
    let (id, price) = checks.done(id.zip(price))?;
    let outcome = products.holders().execute(id.0, ProductCommand::ChangePrice { price }, caller.meta()).await;
    Ok(done(&id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StockReceipt {
    #[schema(example = 10, minimum = 1, maximum = 10_000_000)]
    quantity: i64,
}

/// Takes goods into stock.
#[utoipa::path(post, path = "/products/{id}/stock-receipts", tag = "products", extensions(("x-action" = json!("stock.receive"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = StockReceipt, responses(Changed))]
async fn receive_stock(
    State(products): Products,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<StockReceipt>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, quantity) = (checks.id::<ProductId>("id", &id), quantity(&mut checks, "quantity", body.quantity));
    let (id, quantity) = checks.done(id.zip(quantity))?;
    let outcome = products.holders().execute(id.0, ProductCommand::ReceiveStock { quantity }, caller.meta()).await;
    Ok(done(&id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Withdrawal {
    #[schema(value_type = Option<LineOfText>)]
    reason: Option<String>,
}

/// Takes a product out of the catalogue.
#[utoipa::path(post, path = "/products/{id}/withdrawal", tag = "products", extensions(("x-action" = json!("catalogue.change"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = Withdrawal, responses(Changed))]
async fn withdraw(
    State(products): Products,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<Withdrawal>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, reason) = (checks.id::<ProductId>("id", &id), checks.maybe("reason", body.reason.as_deref()));
    let id = checks.done(id)?;
    let outcome = products.holders().execute(id.0, ProductCommand::Withdraw { reason }, caller.meta()).await;
    Ok(done(&id, outcome))
}
