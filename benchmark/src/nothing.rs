//! The peers of POST: servers that answer without work.

use anyhow::Result;
use axum::{Router, body::Bytes, http::StatusCode, http::header, response::IntoResponse, routing::post};
use command_api::{
    Api, ApiConfig,
    edge::{self, EdgeConfig, Readiness},
};
use domain::user::{User, UserCommand};
use event_store::{Accepted, CommandError, CommandMeta, Execute, Position};
use schemas::Schemas;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An owner that says yes to everything.
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

/// Serves Daybook's own edge over [`Yes`], and bare axum at `/least`, until it is killed.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let (listener, config) = (TcpListener::bind(address).await?, EdgeConfig::default());
    let routes = Api::new(ApiConfig::default()).users(Arc::new(Yes)).routes();
    let app = Router::new().route("/least", post(least)).merge(edge::app(routes, Readiness::default(), Schemas::bundled(), config));
    Ok(edge::serve(listener, app, config, CancellationToken::new()).await?)
}
