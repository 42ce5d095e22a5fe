//! Routes behind the edge, on a port of their own.

use super::{
    PATIENCE,
    answer::{Answer, Bad},
};
use codec::Schemas;
use command_api::edge::{self, EdgeConfig, Guard, Readiness};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa_axum::router::OpenApiRouter;

/// A served API.
pub struct Served {
    pub address: SocketAddr,
    pub client: Client,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<std::io::Result<()>>,
    _stop: DropGuard,
}

impl Served {
    pub async fn start(routes: OpenApiRouter, schemas: Schemas, config: EdgeConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
        let app = edge::app(routes, readiness.clone(), schemas, config, Guard::open()).expect("open mode asks nobody");
        let serving = tokio::spawn(edge::serve(listener, app, config, shutdown.clone()));
        // An HTTP client needs rustls's provider chosen in the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { address, client, readiness, _stop: shutdown.clone().drop_guard(), shutdown, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.url(path)).json(body)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// Posts, and expects this status.
    pub async fn posted(&self, path: &str, body: &Value, status: u16) -> Answer {
        Answer::of(self.post(path, body)).await.expecting(status)
    }

    /// Posts each, and expects a 400 that says what is wrong and where.
    pub async fn refuses(&self, cases: Vec<Bad>) {
        for Bad { path, body, code, field, rule } in cases {
            println!("POST {path} {}", String::from_utf8_lossy(&body[..body.len().min(200)]));
            let request = self.client.post(self.url(&path)).header("content-type", "application/json").body(body);
            Answer::of(request).await.expecting(400).is_problem(code, field, rule);
        }
    }
}
