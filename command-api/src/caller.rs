//! The headers of a POST: who asks, under which key, and which version the caller has seen.

use crate::{Problem, body::shortened, trace::TraceParent};
use access::{Grant, Reach};
use axum::{
    extract::{FromRequestParts, MatchedPath, Path, Query},
    http::{HeaderMap, HeaderValue, Uri, request::Parts},
};
use event_sourcing::{Cause, Timestamp};
use event_store::CommandMeta;
use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x31c9_42d0_7a0e_5b6d_9f0b_0d6f_11e2_5c77);

/// The circumstances of a POST.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who asks: the token's issuer and subject; in open mode `Daybook-Actor`.
    pub actor: String,
    grant: Grant,
    /// The caller's `Idempotency-Key`, where one was given.
    pub key: Option<String>,
    expected_version: Option<u64>,
    trace: TraceParent,
    correlation: Option<String>,
    /// What the key is for: the method and the path, where a key was given.
    asked: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        no_parameters(&parts.uri)?;
        let key = visible(&parts.headers, "idempotency-key", 200)?;
        let asked = if key.is_some() { meant(parts).await } else { String::new() };
        let headers = &parts.headers;
        // Without an edge before it, as in a test of a handler, a request has no grant and nobody is asked.
        let grant = parts.extensions.get::<Grant>().cloned().unwrap_or_else(Grant::open);
        Ok(Self {
            actor: actor(headers, &grant)?,
            grant,
            key,
            expected_version: if_match(headers)?,
            trace: TraceParent::of(parts),
            correlation: visible(headers, "daybook-correlation", 100)?,
            asked,
        })
    }
}

impl Caller {
    /// The account that is the caller's own, where the request may reach to that alone; none where it may reach to everybody's.
    pub fn own_account(&self) -> Option<Uuid> {
        self.grant.only_of()
    }

    /// True if the caller may do what another action names, which a part of the request needs; none in open mode, where nobody is asked.
    pub fn may(&self, action: &str) -> Option<bool> {
        self.grant.reach_with(action).map(|reach| reach == Reach::Any)
    }

    /// The id of the aggregate that a POST creates: derived from the key, so that a retry gets the same one; without a key, a new one.
    pub fn creates<T>(&self, derive: impl Fn(&str, &str) -> T, wrap: impl Fn(Uuid) -> T) -> T {
        self.key.as_deref().map_or_else(|| wrap(Uuid::now_v7()), |key| derive(&self.actor, key))
    }

    /// The command's metadata, with the present time.
    pub fn meta(&self) -> CommandMeta {
        let name = |key: &String| format!("{}\u{1f}{}\u{1f}{key}", self.actor, self.asked);
        let command_id = self.key.as_ref().map_or_else(Uuid::now_v7, |key| Uuid::new_v5(&NAMESPACE, name(key).as_bytes()));
        let correlation_id = self.correlation.clone().unwrap_or_else(|| self.trace.trace_id().to_owned());
        let traceparent = Some(self.trace.as_str().to_owned());
        let cause = Cause { actor: self.actor.clone(), correlation_id, causation_id: None, traceparent };
        CommandMeta { command_id, time: now(), expected_version: self.expected_version, only_of: self.grant.only_of(), cause }
    }
}

/// Who stands in the log as the one who asked. Where tokens are asked for, the token says it and nothing else does.
fn actor(headers: &HeaderMap, grant: &Grant) -> Result<String, Problem> {
    let named = visible(headers, "daybook-actor", 100)?;
    match (grant.actor(), named) {
        (Some(_), Some(_)) => Err(Problem::field("daybook-actor", "must not be given: the token says who asks")),
        (Some(actor), None) => Ok(actor.to_owned()),
        (None, named) => Ok(named.unwrap_or_else(|| "anonymous".to_owned())),
    }
}

/// The node's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// The method and the path in one spelling, whichever the caller chose: an id in capitals or percent-encoded is the same id, so the same key names the
/// same command.
async fn meant(parts: &mut Parts) -> String {
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let segments = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
    let (Some(route), Ok(Path(segments))) = (route, segments) else {
        return format!("{} {}", parts.method, parts.uri.path());
    };
    segments.into_iter().fold(format!("{} {}", parts.method, route.as_str()), |asked, (name, value)| {
        let id = Uuid::try_parse(&value).ok().filter(|_| value.len() == 36);
        asked.replace(&format!("{{{name}}}"), &id.map_or(value, |id| id.to_string()))
    })
}

/// A command has no query parameters: one that is given would be believed to have an effect.
fn no_parameters(uri: &Uri) -> Result<(), Problem> {
    let Some(_query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| Problem::field("query", error.body_text()))?;
    let named = given.first().map(|(name, _)| shortened(name));
    named.map_or(Ok(()), |name| Err(Problem::field(&name, "is not known here: no query parameter is")))
}

/// A header's one value. Given twice it is an error: nobody could tell which value was meant.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::field(name, "must be given once")),
        (value, None) => Ok(value),
    }
}

fn visible(headers: &HeaderMap, name: &str, most: usize) -> Result<Option<String>, Problem> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()));
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| Problem::field(name, format!("must be 1 to {most} visible ASCII characters without spaces")))
}

/// The version that `If-Match` names; `*` asks for no version.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = single(headers, "if-match")? else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let version = quoted.and_then(|quoted| quoted.parse::<u64>().ok().filter(|version| version.to_string() == quoted));
    match (text, version) {
        ("*", _) => Ok(None),
        (_, Some(version)) => Ok(Some(version)),
        (_, None) => Err(Problem::field("if-match", "must be one entity tag that holds a version, such as \"3\", or *")),
    }
}
