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
        let unknown = actions.iter().filter(|(_, action)| keeper.policy.roles_for(action).is_empty()).map(|((method, path), _)| format!("{method} {path}"));
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
            Some(keeper) => keeper.grant(&request).await,
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

impl Keeper {
    async fn grant(&self, request: &Request) -> Result<Grant, Box<Response>> {
        // Where no route matches, the answer is that there is nothing here.
        let Some(route) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else { return Ok(Grant::nothing()) };
        if PUBLIC.contains(&route) {
            return Ok(Grant::nothing());
        }
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let action = self.actions.get(&(method, route.to_owned()));
        let principal = self.principal(request.headers()).await?;
        let denied = || Box::new(self.forbidden(action.map(String::as_str)));
        let Some(named) = action else { return if self.knows(route) { Ok(Grant::nothing()) } else { Err(denied()) } };
        let roles = principal.roles.iter().cloned().collect();
        Grant::of(&self.policy, named, roles, principal.actor(), account(&principal)).ok_or_else(denied)
    }

    /// True where the route takes another method: then the answer is which.
    fn knows(&self, route: &str) -> bool {
        self.actions.keys().any(|(_, known)| known == route)
    }

    async fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Box<Response>> {
        let admitted = match authorization(headers) {
            Ok(authorization) => self.verifier.admit(authorization).await,
            Err(rejected) => Err(rejected),
        };
        admitted.map_err(|rejected| Box::new(self.challenge(&rejected)))
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

    fn forbidden(&self, action: Option<&str>) -> Response {
        let roles = action.map(|action| self.policy.roles_for(action)).unwrap_or_default();
        let detail = match &roles[..] {
            [] => "nobody may do this over HTTP".to_owned(),
            roles => format!("this needs one of the roles {}", roles.join(", ")),
        };
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
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Rejected> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (_, Some(_)) => Err(Rejected::Malformed("there is more than one Authorization header")),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
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
        let operations = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::PUT, &item.put), (Method::PATCH, &item.patch), (Method::DELETE, &item.delete)];
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
