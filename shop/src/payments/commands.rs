//! The POSTs of payments.

use crate::money::{MoneyBody, money};
use axum::{extract::State, response::Response};
use command_api::{Body, Caller, Changed, Checks, PathId, PostHeaders, Problem, done};
use domain::{
    PaymentId,
    payment::{Payment, PaymentCommand},
};
use event_store::Execute;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn commands(execute: Arc<dyn Execute<Payment>>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(refund)).with_state(execute)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refund {
    #[serde(deserialize_with = "command_api::object::one")]
    amount: MoneyBody,
}

/// Gives money back of a payment that was captured.
#[utoipa::path(post, path = "/payments/{id}/refunds", tag = "payments", extensions(("x-action" = json!("payments.refund"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = Refund, responses(Changed))]
async fn refund(
    State(payments): State<Arc<dyn Execute<Payment>>>,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<Refund>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, amount) = (checks.id::<PaymentId>("id", &id), money(&mut checks, "amount", &body.amount));
    let (id, amount) = checks.done(id.zip(amount))?;
    let meta = caller.meta();
    let command = PaymentCommand::Refund { refund_id: meta.command_id.to_string(), amount };
    Ok(done(&id, payments.execute(id.0, command, meta).await))
}
