//! What the simulated issuer answers.

use super::{Bearer, Grants, TOKEN_LIFE, Unsigned};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::Arc;
use url::form_urlencoded;

/// What it says of itself in every answer.
const SIMULATED: &str = "a simulated issuer: it gives anybody any role, and is for one machine only";

pub(super) fn router(grants: Arc<Grants>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .with_state(grants)
}

async fn index(State(grants): State<Arc<Grants>>) -> String {
    let (url, roles) = (grants.signer.issuer(), grants.roles.join(", "));
    format!(
        "This is {SIMULATED}.\n\nRoles: {roles}\n\n  curl -s {url}/token -d grant_type=client_credentials -d client_id=shell -d role=ROLE -d sub=NAME\n\nTokens hold for {} minutes.\n",
        TOKEN_LIFE.as_secs() / 60
    )
}

async fn discovery(State(grants): State<Arc<Grants>>) -> Json<Value> {
    let url = grants.signer.issuer();
    Json(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/keys"),
        "token_endpoint": format!("{url}/token"),
        "grant_types_supported": ["client_credentials", "password"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "simulated": SIMULATED,
    }))
}

async fn keys(State(grants): State<Arc<Grants>>) -> Json<Value> {
    Json(grants.signer.key_set())
}

async fn token(State(grants): State<Arc<Grants>>, body: Bytes) -> Response {
    match grants.grant(&Asked::parse(&body)) {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// The form of a request for a token (RFC 6749, 4.3 and 4.4), and whose token is asked for.
#[derive(Default)]
struct Asked {
    grant: String,
    client: Option<String>,
    subject: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    acting: Option<String>,
}

impl Asked {
    fn parse(form: &[u8]) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            asked.take(&name, value.into_owned());
        }
        asked
    }

    fn take(&mut self, name: &str, value: String) {
        match name {
            "grant_type" => self.grant = value,
            "client_id" => self.client = Some(value),
            "sub" | "username" => self.subject = Some(value),
            "role" => self.roles.extend(words(&value)),
            "scope" => self.scopes.extend(words(&value)),
            "act" => self.acting = Some(value),
            // Passwords and secrets are taken whatever they are, as is what a client library adds.
            _ => {}
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Why no token is given (RFC 6749, 5.2).
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("grant_type must be client_credentials or password")]
    Grant,
    #[error("sub (or username, or client_id) must be 1 to 255 bytes: whom the token is for")]
    Subject,
    #[error("role must be one or more of {0}")]
    Role(String),
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
}

impl Grants {
    fn grant(&self, asked: &Asked) -> Result<Value, Refused> {
        if !["client_credentials", "password"].contains(&asked.grant.as_str()) {
            return Err(Refused::Grant);
        }
        let bearer = Bearer {
            subject: self.subject(asked)?,
            roles: self.roles(asked)?,
            scopes: asked.scopes.clone(),
            client: asked.client.clone(),
            acting: asked.acting.clone(),
        };
        Ok(json!({
            "access_token": self.signer.token(&bearer)?,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE.as_secs(),
            "scope": bearer.scopes.join(" "),
            "simulated": SIMULATED,
        }))
    }

    fn subject(&self, asked: &Asked) -> Result<String, Refused> {
        let subject = asked.subject.clone().or(asked.client.clone()).unwrap_or_default();
        if (1..=crate::NAME_BOUND).contains(&subject.len()) { Ok(subject) } else { Err(Refused::Subject) }
    }

    /// The roles that are asked for; a client that is called as a role is has that one.
    fn roles(&self, asked: &Asked) -> Result<Vec<String>, Refused> {
        let named = if asked.roles.is_empty() { asked.client.clone().into_iter().collect() } else { asked.roles.clone() };
        let are_known = !named.is_empty() && named.iter().all(|role| self.roles.contains(role));
        if are_known { Ok(named) } else { Err(Refused::Role(self.roles.join(", "))) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Refused::Grant => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Refused::Subject => (StatusCode::BAD_REQUEST, "invalid_request"),
            Refused::Role(_) => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Refused::Unsigned(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        (status, Json(json!({"error": error, "error_description": self.to_string(), "simulated": SIMULATED}))).into_response()
    }
}
