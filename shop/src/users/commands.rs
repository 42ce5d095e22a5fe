//! The POSTs of users.

use crate::shapes::{EmailAddress, LineOfText};
use axum::{extract::State, response::Response};
use command_api::{Body, Caller, Changed, Checks, Made, PathId, PostHeaders, Problem, created, done};
use domain::{
    UserId,
    user::{User, UserCommand},
};
use event_store::Execute;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Users = State<Arc<dyn Execute<User>>>;

pub(crate) fn commands(execute: Arc<dyn Execute<User>>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(change_profile)).routes(routes!(close)).with_state(execute)
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

/// Opens an account.
#[utoipa::path(post, path = "/users", tag = "users", params(PostHeaders), request_body = Registration, responses(Made))]
async fn register(State(users): Users, caller: Caller, Body(body): Body<Registration>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (email, name) = (checks.text("email", &body.email), checks.text("name", &body.name));
    let address = checks.maybe("address", body.address.as_deref());
    let (email, name) = checks.done(email.zip(name))?;
    let id = caller.creates(UserId::derive, UserId);
    let outcome = users.execute(id.0, UserCommand::Register { email, name, address }, caller.meta()).await;
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

/// Changes what is given, and leaves the rest.
#[utoipa::path(post, path = "/users/{id}/profile-changes", tag = "users", params(("id" = uuid::Uuid, Path), PostHeaders), request_body = ProfileChange, responses(Changed))]
async fn change_profile(
    State(users): Users,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<ProfileChange>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let id = checks.id::<UserId>("id", &id);
    let (email, name) = (checks.maybe("email", body.email.as_deref()), checks.maybe("name", body.name.as_deref()));
    let address = checks.maybe("address", body.address.as_deref());
    let id = checks.done(id)?;
    let outcome = users.execute(id.0, UserCommand::ChangeProfile { email, name, address }, caller.meta()).await;
    Ok(done(&id, outcome))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Closure {
    #[schema(value_type = Option<LineOfText>)]
    reason: Option<String>,
}

/// Closes an account for good.
#[utoipa::path(post, path = "/users/{id}/closure", tag = "users", params(("id" = uuid::Uuid, Path), PostHeaders), request_body = Closure, responses(Changed))]
async fn close(State(users): Users, PathId(id): PathId, caller: Caller, Body(body): Body<Closure>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, reason) = (checks.id::<UserId>("id", &id), checks.maybe("reason", body.reason.as_deref()));
    let id = checks.done(id)?;
    let outcome = users.execute(id.0, UserCommand::Close { reason }, caller.meta()).await;
    Ok(done(&id, outcome))
}
