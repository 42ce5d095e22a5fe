//! What this resource server says of itself (RFC 9728), so that a client that is refused learns whose token it needs.

use crate::Issuer;
use serde::Serialize;

/// Where the document stands, below the origin that clients know.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The protected resource metadata of RFC 9728.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceMetadata {
    /// The URL that clients know this resource by.
    pub resource: String,
    /// The issuers whose tokens are taken.
    pub authorization_servers: Vec<String>,
    /// How a token is shown: in a header only, never in an address or a form.
    pub bearer_methods_supported: [&'static str; 1],
    /// The scopes that are asked for somewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// A name for people.
    pub resource_name: String,
}

impl ResourceMetadata {
    /// The document of a resource that clients know by `resource`, and that takes the issuer's tokens.
    pub fn new(resource: &str, name: &str, issuer: &Issuer, scopes: &[&str]) -> Self {
        Self {
            resource: resource.to_owned(),
            authorization_servers: vec![issuer.url().to_owned()],
            bearer_methods_supported: ["header"],
            scopes_supported: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            resource_name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_client_learns_whose_token_it_needs() {
        let issuer = Issuer::new("https://id.example/realms/shop", "daybook").unwrap();
        let told = ResourceMetadata::new("https://shop.example", "Daybook", &issuer, &["orders:read"]);
        let expected = json!({
            "resource": "https://shop.example",
            "authorization_servers": ["https://id.example/realms/shop"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["orders:read"],
            "resource_name": "Daybook",
        });
        assert_eq!(serde_json::to_value(told).unwrap(), expected);
    }
}
