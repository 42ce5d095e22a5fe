//! The peers of POST and GET: servers that answer without work, or with only the work that no server can leave out.

use crate::{bare::Bare, get, load::Call, ours::records, stage::Stage};
use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing,
};
use command_api::edge::{self, EdgeConfig, Guard, Readiness};
use domain::{
    reservation::{Reservation, ReservationCommand},
    user::{User, UserCommand},
};
use event_sourcing::Position;
use event_store::{Accepted, Aggregates, CommandError, CommandMeta, Execute};
use shop::Settings;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// An owner that accepts every command.
struct Yes;

#[async_trait::async_trait]
impl Execute<User> for Yes {
    async fn execute(&self, _: Uuid, _: UserCommand, _: CommandMeta) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }
}

#[async_trait::async_trait]
impl Execute<Reservation> for Yes {
    async fn execute(&self, _: Uuid, _: ReservationCommand, _: CommandMeta) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }
}

fn accepted() -> Accepted {
    Accepted { version: 1, position: Position { service: "users".into(), partition: 0, offset: 1 }, events: 1, repeated: false }
}

/// The least that axum can do for a POST: takes its body, and answers as many bytes as Daybook does.
async fn least(body: Bytes) -> impl IntoResponse {
    drop(body);
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::ETAG, "\"1\""),
        (header::LOCATION, "/users/00000000-0000-0000-0000-000000000000"),
    ];
    (StatusCode::CREATED, headers, "{\"id\":\"00000000-0000-0000-0000-000000000000\",\"version\":1}")
}

/// The same, once a record made beforehand is acknowledged.
async fn appended(State(log): State<Arc<Bare>>, body: Bytes) -> Result<impl IntoResponse, StatusCode> {
    log.call(0).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(least(body).await)
}

/// A row of the view of users, as the database returns it.
async fn row(State(rows): State<Arc<get::Bare>>, Path(id): Path<String>) -> Result<impl IntoResponse, StatusCode> {
    let row = rows.row(id).await.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], row))
}

/// Daybook's own routes for commands to users, with [`Yes`] behind them.
fn routes() -> Result<OpenApiRouter> {
    let shop = shop::system(&Settings::default());
    let users = shop.services().iter().find(|service| service.name() == "users").context("the shop has users")?;
    Ok(users.command_routes(&Aggregates::default().with::<User>(Arc::new(Yes)).with::<Reservation>(Arc::new(Yes))))
}

/// Serves Daybook's own edge over [`Yes`], and beside it axum alone: at `/least` doing nothing, at `/append` with one append for each request,
/// at `/rows/{id}` with one query for each. Until it is killed.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let (listener, config) = (TcpListener::bind(address).await?, EdgeConfig::default());
    let stage = Stage::of_a_peer()?;
    let log = Arc::new(Bare::on_kafka(&stage, &records(1_000).await?, "0").await?);
    let rows = Arc::new(get::Bare::new(&stage)?);
    let peers = Router::new().route("/least", routing::post(least));
    let peers = peers.merge(Router::new().route("/append", routing::post(appended)).with_state(log));
    let peers = peers.merge(Router::new().route("/rows/{id}", routing::get(row)).with_state(rows));
    let app = peers.merge(edge::app(routes()?, Readiness::default(), schemas::bundled(), config, Guard::open())?);
    Ok(edge::serve(listener, app, config, CancellationToken::new()).await?)
}
