//! The GETs of payments.

use super::views::PaymentRow;
use axum::{extract::State, response::Response};
use projections::{
    DatabaseError, Filter, Order, Problem,
    http::{Asked, Consistency, List, Page, PageParams, ReadHeaders, ReadState, current, settle, shown, tagged},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes.
pub(crate) fn queries(state: ReadState) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(payment)).routes(routes!(payments)).with_state(state)
}

/// A payment.
#[utoipa::path(get, path = "/payments/{id}", tag = "payments", extensions(("x-action" = json!("payments.read"))), params(("id" = Uuid, Path), ("consistency" = inline(Option<Consistency>), Query), ReadHeaders), responses(
    (status = 200, body = PaymentRow), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn payment(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    settle(&read, &mut asked, id).await?;
    asked.finish(&["consistency"])?;
    let row: PaymentRow = current(&read, &asked, "payment", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

/// Payments, the newest first.
#[utoipa::path(get, path = "/payments", tag = "payments", extensions(("x-action" = json!("payments.read"))), params(("order_id" = Option<Uuid>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<PaymentRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn payments(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let order = asked.id("order_id").map(|id| Filter::is("order_id", id));
    let list = List { filters: vec![order], by: &["requested_at", "payment_id"], order: Order::Falling, known: &["order_id"] };
    list.answer::<PaymentRow>(&read, asked).await
}
