//! The POSTs of users.

use crate::{
    reservations::{Unique, Wanted},
    shapes::{EmailAddress, LineOfText},
};
use axum::{extract::State, response::Response};
use command_api::{Body, Caller, Changed, Checks, Made, PathId, PostHeaders, Problem, created, done};
use domain::{
    Email, ReservationId, Text, UserId,
    user::{User, UserCommand},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Users = State<Arc<Unique<User>>>;

pub(crate) fn commands(users: Unique<User>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(change_profile)).routes(routes!(close)).with_state(Arc::new(users))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Registration {
    #[schema(value_type = EmailAddress)]
    email: String,
    #[schema(value_type = LineOfText, example = "Ada Lovelace")]
    name: String,
    #[schema(value_type = Option<LineOfText>, example = "1 High Street, London")]
    address: Option<String>,
}

/// Opens an account. Its address must be that of no other open account: 422 `email-taken`.
#[utoipa::path(post, path = "/users", tag = "users", extensions(("x-action" = json!("users.register"))), params(PostHeaders), request_body = Registration, responses(Made))]
async fn register(State(users): Users, caller: Caller, Body(body): Body<Registration>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (email, name) = (checks.text::<Email>("email", &body.email), checks.text::<Text>("name", &body.name));
    let address = checks.maybe::<Text>("address", body.address.as_deref());
    let (email, name) = checks.done(email.zip(name))?;
    // Whoever registers in their own name gets the account that is theirs, however often they ask.
    let id = caller.own_account().map_or_else(|| caller.creates(UserId::derive, UserId), UserId);
    let (reservation, meta) = (ReservationId::of_email(&email), caller.meta());
    let command = |reserved| UserCommand::Register { email: email.clone(), name: name.clone(), address: address.clone(), reserved };
    let outcome = users.create(Wanted { holder: id.0, reservation, meta: &meta }, command).await;
    Ok(created("/users", &id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileChange {
    #[schema(value_type = Option<EmailAddress>)]
    email: Option<String>,
    #[schema(value_type = Option<LineOfText>)]
    name: Option<String>,
    #[schema(value_type = Option<LineOfText>)]
    address: Option<String>,
}

/// Changes what is given, and leaves the rest. A new address must be that of no other open account: 422 `email-taken`.
#[utoipa::path(post, path = "/users/{id}/profile-changes", tag = "users", extensions(("x-action" = json!("users.change"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = ProfileChange, responses(Changed))]
async fn change_profile(
    State(users): Users,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<ProfileChange>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let id = checks.id::<UserId>("id", &id);
    let (email, name) = (checks.maybe::<Email>("email", body.email.as_deref()), checks.maybe::<Text>("name", body.name.as_deref()));
    let address = checks.maybe::<Text>("address", body.address.as_deref());
    let id = checks.done(id)?;
    let meta = caller.meta();
    let command = |reserved| UserCommand::ChangeProfile { email: email.clone(), name: name.clone(), address: address.clone(), reserved };
    let outcome = match &email {
        Some(email) => users.change(Wanted { holder: id.0, reservation: ReservationId::of_email(email), meta: &meta }, command).await,
        None => users.holders().execute(id.0, command(None), meta).await,
    };
    Ok(done(&id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Closure {
    #[schema(value_type = Option<LineOfText>)]
    reason: Option<String>,
}

/// Closes an account for good.
#[utoipa::path(post, path = "/users/{id}/closure", tag = "users", extensions(("x-action" = json!("users.close"))), params(("id" = uuid::Uuid, Path), PostHeaders), request_body = Closure, responses(Changed))]
async fn close(State(users): Users, PathId(id): PathId, caller: Caller, Body(body): Body<Closure>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, reason) = (checks.id::<UserId>("id", &id), checks.maybe("reason", body.reason.as_deref()));
    let id = checks.done(id)?;
    let outcome = users.holders().execute(id.0, UserCommand::Close { reason }, caller.meta()).await;
    Ok(done(&id, outcome))
}
