//! The GETs of products.

use super::views::ProductRow;
use axum::{extract::State, response::Response};
use projections::{
    DatabaseError, Filter, Order, Problem,
    http::{Asked, Consistency, List, Page, PageParams, ReadHeaders, ReadState, current, settle, shown, tagged},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes.
pub(crate) fn queries(state: ReadState) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(product)).routes(routes!(products)).with_state(state)
}

/// A product and its stock.
#[utoipa::path(get, path = "/products/{id}", tag = "products", extensions(("x-action" = json!("catalogue.read"))), params(("id" = Uuid, Path), ("consistency" = inline(Option<Consistency>), Query), ReadHeaders), responses(
    (status = 200, body = ProductRow), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn product(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    settle(&read, &mut asked, id).await?;
    asked.finish(&["consistency"])?;
    let row: ProductRow = current(&read, &asked, "product", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

/// Products by stock-keeping unit.
#[utoipa::path(get, path = "/products", tag = "products", extensions(("x-action" = json!("catalogue.read"))),
    params(("sku" = Option<String>, Query, description = "Exactly this stock-keeping unit"), PageParams, ReadHeaders),
    responses((status = 200, body = Page<ProductRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn products(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let sku = asked.short_text("sku", 64).map(|sku| Filter::is("sku", sku));
    let list = List { filters: vec![sku], by: &["sku", "product_id"], order: Order::Rising, known: &["sku"] };
    list.answer::<ProductRow>(&read, asked).await
}
