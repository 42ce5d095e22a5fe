//! A shop that takes commands on a port of its own.

use command_api::{
    Api, ApiConfig,
    edge::{self, EdgeConfig, Readiness},
    node::Routed,
};
use domain::{Aggregate, order::Order, payment::Payment, product::Product, user::User};
use event_store::{Directory, Execute, Host, Hosted, LocalOwner, MemoryLog, NodeName, Owner, WriterConfig};
use reqwest::{Client, RequestBuilder, Response};
use schemas::{Schemas, WireEvent};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Nothing here may take longer.
pub const PATIENCE: Duration = Duration::from_secs(10);
const PARTITIONS: i32 = 2;

/// Has heard of one owner of everything, or of none.
pub struct Heard(pub Option<Owner>);

impl Directory for Heard {
    fn owner(&self, _: &str, _: i32) -> Option<Owner> {
        self.0.clone()
    }

    fn nodes(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|owner| (owner.node.clone(), owner.address.clone())).collect()
    }
}

/// A host of an aggregate over a log in memory that owns nothing yet.
pub fn host<A>(log: &MemoryLog) -> Arc<Host<A>>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    let node = NodeName { owner: "test".into(), address: "127.0.0.1:1".into() };
    Arc::new(Host::new(Arc::new(log.clone()), PARTITIONS, Schemas::bundled(), node, WriterConfig::default()))
}

/// Makes the host the owner of all its partitions, and waits until it is.
pub async fn own<A>(host: &Host<A>)
where
    A: Aggregate,
    A::Event: WireEvent,
{
    let mut changes = host.changes();
    (0..PARTITIONS).for_each(|partition| host.start(partition));
    let owned = async {
        while host.claims().iter().any(|(_, claim)| claim.is_none()) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, owned).await.expect("the partitions are claimed in time");
}

pub async fn owned<A>(log: &MemoryLog) -> Arc<dyn Execute<A>>
where
    A: Aggregate,
    A::Event: WireEvent,
    A::Command: Serialize,
{
    let host = host::<A>(log);
    own(&host).await;
    routed(host, Heard(None))
}

pub fn routed<A>(local: Arc<dyn LocalOwner<A>>, heard: Heard) -> Arc<dyn Execute<A>>
where
    A: Aggregate,
    A::Event: WireEvent,
    A::Command: Serialize,
{
    Arc::new(Routed::new(A::Event::SERVICE, "test", local, Arc::new(heard), Duration::from_millis(500)))
}

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
    pub async fn start(api: Api, config: EdgeConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
        let app = edge::app(api.routes(), readiness.clone(), Schemas::bundled(), config);
        let serving = tokio::spawn(edge::serve(listener, app, config, shutdown.clone()));
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
}

/// A served API with all services behind it.
pub struct Shop {
    pub served: Served,
    pub payments: Arc<dyn Execute<Payment>>,
    pub users_log: MemoryLog,
}

impl Shop {
    pub async fn open() -> Self {
        let users_log = MemoryLog::new(PARTITIONS);
        let fresh = || MemoryLog::new(PARTITIONS);
        let payments = owned::<Payment>(&fresh()).await;
        let api = Api::new(ApiConfig::default())
            .users(owned::<User>(&users_log).await)
            .products(owned::<Product>(&fresh()).await)
            .orders(owned::<Order>(&fresh()).await)
            .payments(payments.clone());
        Self { served: Served::start(api, EdgeConfig::default()).await, payments, users_log }
    }

    /// Posts, and expects this status.
    pub async fn posted(&self, path: &str, body: &Value, status: u16) -> Answer {
        Answer::of(self.served.post(path, body)).await.expecting(status)
    }
}

/// An answer, read whole.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    pub fn expecting(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:#?}"))
    }

    /// A whole problem of this code; `field` broke a rule that says `rule`, where a field is named.
    pub fn is_problem(&self, code: &str, field: &str, rule: &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:#?}");
        assert_eq!(self.body["type"], format!("urn:daybook:problem:{code}"), "{self:#?}");
        assert_eq!(self.body["status"], self.status, "{self:#?}");
        assert!(["title", "detail"].iter().all(|name| self.body[name].as_str().is_some_and(|text| !text.is_empty())), "{self:#?}");
        let errors = self.body["errors"].as_array().unwrap();
        let says = |error: &Value| error["field"] == field && error["rule"].as_str().is_some_and(|said| said.contains(rule));
        assert!(field.is_empty() || errors.iter().any(says), "no {field:?} that says {rule:?} in {self:#?}");
    }
}
