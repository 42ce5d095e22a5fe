//! Why a token is refused, and what its bearer is told (RFC 6750).

use axum::http::StatusCode;
use std::time::Duration;

/// Why nobody is let in by what was shown. There is a variant for each thing that a caller, an operator or a test can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no bearer token at all.
    #[error("an access token is needed: Authorization: Bearer <token>")]
    Missing,
    /// What was shown is not an access token that we read; says why.
    #[error("the access token is malformed: {0}")]
    Malformed(&'static str),
    /// It was valid until a moment that has passed.
    #[error("the access token has expired")]
    Expired,
    /// It is valid from a moment that has not come.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// Another issuer made it.
    #[error("the access token is of another issuer")]
    WrongIssuer,
    /// It was made for another audience.
    #[error("the access token is for another audience")]
    WrongAudience,
    /// Its key did not make its signature, or its algorithm is not the key's or none that is allowed (RS256, ES256, EdDSA).
    #[error("the access token's signature or algorithm is wrong")]
    BadSignature,
    /// The issuer has no such key.
    #[error("the access token's key is unknown")]
    UnknownKey,
    /// The issuer's keys have never been read, so nobody can be told from anybody: ask again after this time.
    #[error("the issuer of access tokens cannot be reached, and none of its keys is known")]
    IssuerUnreachable {
        /// When to ask again.
        retry_after: Duration,
    },
}

impl Rejected {
    /// 401, or 503 where the fault is not the caller's.
    pub fn status(&self) -> StatusCode {
        match self {
            Rejected::IssuerUnreachable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// A short name, for metrics' labels and problems' types.
    pub fn name(&self) -> &'static str {
        match self {
            Rejected::Missing => "missing",
            Rejected::Malformed(_) => "malformed",
            Rejected::Expired => "expired",
            Rejected::NotYetValid => "not-yet-valid",
            Rejected::WrongIssuer => "wrong-issuer",
            Rejected::WrongAudience => "wrong-audience",
            Rejected::BadSignature => "bad-signature",
            Rejected::UnknownKey => "unknown-key",
            Rejected::IssuerUnreachable { .. } => "issuer-unreachable",
        }
    }

    /// The value of `WWW-Authenticate`. Who showed no token is told no error code (RFC 6750, 3.1); `resource_metadata` is the URL of RFC 9728's document.
    pub fn challenge(&self, resource_metadata: &str) -> String {
        let metadata = ("resource_metadata", resource_metadata);
        match self {
            Rejected::Missing | Rejected::IssuerUnreachable { .. } => bearer(&[metadata]),
            told => bearer(&[("error", "invalid_token"), ("error_description", &told.to_string()), metadata]),
        }
    }
}

/// The value of `WWW-Authenticate` for a good token that may not do this (403): the scopes that it would take.
pub fn insufficient_scope(scopes: &[&str], resource_metadata: &str) -> String {
    let (scope, description) = (scopes.join(" "), "the access token may not do this");
    let mut parameters = vec![("error", "insufficient_scope"), ("error_description", description)];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    parameters.push(("resource_metadata", resource_metadata));
    bearer(&parameters)
}

fn bearer(parameters: &[(&str, &str)]) -> String {
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quotable(value))).collect();
    format!("Bearer {}", parameters.join(", "))
}

/// The characters that RFC 6750 allows between the quotes of `error_description`: visible ASCII and spaces, neither quotes nor backslashes.
fn quotable(value: &str) -> String {
    value.chars().filter(|char| (*char == ' ' || char.is_ascii_graphic()) && !['"', '\\'].contains(char)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "https://shop.example/.well-known/oauth-protected-resource";

    #[test]
    fn who_shows_nothing_is_told_no_error() {
        assert_eq!(Rejected::Missing.challenge(METADATA), format!("Bearer resource_metadata=\"{METADATA}\""));
        assert_eq!(Rejected::Missing.status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_bad_token_is_told_why() {
        let told =
            format!("Bearer error=\"invalid_token\", error_description=\"the access token has expired\", resource_metadata=\"{METADATA}\"");
        assert_eq!(Rejected::Expired.challenge(METADATA), told);
    }

    #[test]
    fn an_issuer_that_is_away_is_not_the_callers_fault() {
        let away = Rejected::IssuerUnreachable { retry_after: Duration::from_secs(5) };
        assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!away.challenge(METADATA).contains("error"));
    }

    #[test]
    fn a_scope_that_lacks_is_named() {
        let told = insufficient_scope(&["orders:read", "orders:cancel"], METADATA);
        assert_eq!(
            told,
            format!(
                "Bearer error=\"insufficient_scope\", error_description=\"the access token may not do this\", scope=\"orders:read orders:cancel\", resource_metadata=\"{METADATA}\""
            )
        );
        assert!(!insufficient_scope(&[], METADATA).contains("scope=\"\""));
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(Rejected::Missing.challenge("https://x/\", error=\"y\\\r\n"), "Bearer resource_metadata=\"https://x/, error=y\"");
    }
}
