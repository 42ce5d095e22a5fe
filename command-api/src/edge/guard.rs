//! Who asks, and whether they may: before a request reaches its handler, its token is verified and its route's action is looked up in the
//! system's table. Handlers find what the caller may do in the request's [`Grant`].
//!
//! A route says its action in its own description, as `x-action`. What no description names is refused, so a route that is added without one
//! is closed, not open.

use crate::Problem;
use access::{Grant, METADATA_PATH, Policy, Principal, Rejected, ResourceMetadata, Verifier};
use axum::{
    Json,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::openapi::{OpenApi, path::Operation};
use uuid::Uuid;

/// The name under which a description names its route's action.
const ACTION: &str = "x-action";
/// The routes that everybody may use, since they tell nothing of anybody: how the process is, and how its API looks.
const PUBLIC: [&str; 13] = [
    "/",
    "/health/live",
    "/health/ready",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/{*rest}",
    METADATA_PATH,
    "/subjects",
    "/subjects/{*rest}",
    "/schemas/{*rest}",
    "/config",
    "/config/{subject}",
];
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_3b0e_52c4_5e0a_9a51_27d0_48c6_e1b3);

/// Decides whether a request reaches its handler.
#[derive(Clone)]
pub struct Guard(Option<Arc<Keeper>>);

/// Where tokens are asked for.
struct Keeper {
    verifier: Verifier,
    policy: Arc<Policy>,
    /// This API's own address, as its callers know it.
    public_url: String,
    actions: BTreeMap<(Method, String), String>,
}

impl Guard {
    /// Open mode: nobody is asked who they are.
    pub fn open() -> Self {
        Self(None)
    }

    /// Asks for the tokens that `verifier` knows. `public_url` is this API's own address, as its callers know it.
    pub fn asking(verifier: Verifier, policy: Arc<Policy>, public_url: String) -> Self {
        Self(Some(Arc::new(Keeper { verifier, policy, public_url, actions: BTreeMap::new() })))
    }

    /// The same guard, of the routes that are described.
    ///
    /// # Errors
    /// Routes that say no action, or one that the table does not name: nobody said who may use them.
    pub fn of_routes(self, description: &OpenApi) -> Result<Self, UnguardedRoutes> {
        let Some(keeper) = self.0 else { return Ok(self) };
        let (actions, unnamed) = actions(description);
        let unknown = actions
            .iter()
            .filter(|(_, action)| keeper.policy.roles_for(action).is_empty())
            .map(|((method, path), _)| format!("{method} {path}"));
        let wrong: BTreeSet<String> = unnamed.into_iter().chain(unknown).collect();
        if !wrong.is_empty() {
            return Err(UnguardedRoutes(wrong));
        }
        let Keeper { verifier, policy, public_url, .. } = &*keeper;
        Ok(Self(Some(Arc::new(Keeper { verifier: verifier.clone(), policy: policy.clone(), public_url: public_url.clone(), actions }))))
    }

    /// Passes a request on with its grant, or answers in its place.
    pub(super) async fn pass<F: Future<Output = Response>>(&self, mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
        let grant = match &self.0 {
            None => Ok(Grant::open()),
            Some(keeper) => keeper.grant(Asked::of(&request)).await,
        };
        match grant {
            Ok(grant) => {
                request.extensions_mut().insert(grant);
                next(request).await
            }
            Err(denied) => *denied,
        }
    }

    /// The description of this API as a protected resource; none in open mode.
    pub(super) fn metadata(&self) -> Response {
        match &self.0 {
            Some(keeper) => Json(ResourceMetadata::new(&keeper.public_url, "Daybook", keeper.verifier.issuer(), &[])).into_response(),
            None => Problem::new(StatusCode::NOT_FOUND, "open-mode", "nobody is asked for a token here").into_response(),
        }
    }
}

/// Routes of which nobody said who may use them.
#[derive(Debug, thiserror::Error)]
#[error("nobody said who may use {}: each needs an x-action that the table names", .0.iter().cloned().collect::<Vec<_>>().join(", "))]
pub struct UnguardedRoutes(pub BTreeSet<String>);

/// What is judged of a request.
struct Asked {
    /// None where no route matches.
    route: Option<String>,
    method: Method,
    authorization: Result<Option<HeaderValue>, Rejected>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        Self { route, method, authorization: authorization(request.headers()) }
    }
}

impl Keeper {
    async fn grant(&self, asked: Asked) -> Result<Grant, Box<Response>> {
        // Where no route matches, the answer is that there is nothing here.
        let Some(route) = asked.route.filter(|route| !PUBLIC.contains(&route.as_str())) else { return Ok(Grant::nothing()) };
        if asked.method == Method::OPTIONS {
            return Ok(Grant::nothing());
        }
        let admitted = match &asked.authorization {
            Ok(authorization) => self.verifier.admit(authorization.as_ref().map(HeaderValue::as_bytes)).await,
            Err(rejected) => Err(rejected.clone()),
        };
        let principal = admitted.map_err(|rejected| Box::new(self.challenge(&rejected)))?;
        let place = (asked.method, route);
        let Some(action) = self.actions.get(&place) else { return Err(Box::new(self.not_allowed(&place.0, &place.1))) };
        let roles = principal.roles.iter().cloned().collect();
        let granted = Grant::of(&self.policy, action, roles, principal.actor(), account(&principal));
        granted.ok_or_else(|| Box::new(self.forbidden(action)))
    }

    /// The answer to a request without a good token.
    fn challenge(&self, rejected: &Rejected) -> Response {
        if let Rejected::IssuerUnreachable { retry_after } = rejected {
            let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            return Problem::unavailable(rejected.to_string(), millis).into_response();
        }
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", rejected.to_string());
        with_challenge(problem, &rejected.challenge(&self.metadata_url()))
    }

    /// The answer to a method that the route's description does not have.
    fn not_allowed(&self, method: &Method, route: &str) -> Response {
        let methods: Vec<&str> = self.actions.keys().filter(|(_, known)| known == route).map(|(method, _)| method.as_str()).collect();
        let detail = format!("{method} is not among what {route} takes");
        let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response();
        if let Ok(value) = HeaderValue::from_str(&methods.join(",")) {
            response.headers_mut().insert(header::ALLOW, value);
        }
        response
    }

    fn forbidden(&self, action: &str) -> Response {
        let detail = format!("this needs one of the roles {}", self.policy.roles_for(action).join(", "));
        with_challenge(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail), &access::insufficient_scope(&[], &self.metadata_url()))
    }

    fn metadata_url(&self) -> String {
        format!("{}{METADATA_PATH}", self.public_url)
    }
}

fn with_challenge(problem: Problem, challenge: &str) -> Response {
    let mut response = problem.into_response();
    if let Ok(value) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// The one `Authorization` of a request. Of two, nobody could tell which was meant.
fn authorization(headers: &HeaderMap) -> Result<Option<HeaderValue>, Rejected> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (_, Some(_)) => Err(Rejected::Malformed("there is more than one Authorization header")),
        (value, None) => Ok(value.cloned()),
    }
}

/// The account that is the caller's own: its id follows from issuer and subject, so that whoever registers twice has one account.
fn account(principal: &Principal) -> Uuid {
    Uuid::new_v5(&NAMESPACE, &principal.account_name())
}

type Actions = BTreeMap<(Method, String), String>;

/// The actions of the described routes, and the routes that name none and are not for everybody.
fn actions(description: &OpenApi) -> (Actions, Vec<String>) {
    let (mut actions, mut unnamed) = (Actions::new(), Vec::new());
    for (path, item) in &description.paths.paths {
        let operations = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        for (method, operation) in operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))) {
            match action(operation) {
                Some(action) => drop(actions.insert((method, path.clone()), action)),
                None if PUBLIC.contains(&path.as_str()) => {}
                None => unnamed.push(format!("{method} {path}")),
            }
        }
    }
    (actions, unnamed)
}

fn action(operation: &Operation) -> Option<String> {
    operation.extensions.as_ref()?.get(ACTION)?.as_str().map(str::to_owned)
}
