//! Signs tokens: true ones for the simulated issuer, and any others for tests.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a token holds.
pub const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// An issuer's name, audience and ES256 key.
#[derive(Clone)]
pub struct Signer {
    issuer: String,
    audience: String,
    kid: String,
    key: std::sync::Arc<EcdsaKeyPair>,
}

/// The key, or a signature by it, could not be made: the system gives no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key can be made, or nothing signed: the system gives no random bytes")]
pub struct Unsigned;

/// Whom a token is for, and what it says of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The subject.
    pub subject: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The client.
    pub client: Option<String>,
    /// Who acts for the subject.
    pub acting: Option<String>,
}

impl Bearer {
    /// A subject with these roles, and without scopes.
    pub fn new(subject: &str, roles: &[&str]) -> Self {
        Self { subject: subject.to_owned(), roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..Self::default() }
    }
}

impl Signer {
    /// A signer with a new key, whose tokens name this issuer and audience.
    pub fn generate(issuer: &str, audience: &str) -> Result<Self, Unsigned> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| Unsigned)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).map_err(|_| Unsigned)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        let kid = format!("simulated-{}", encoded(&digest.as_ref()[..6]));
        Ok(Self { issuer: issuer.to_owned(), audience: audience.to_owned(), kid, key: std::sync::Arc::new(key) })
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of its tokens.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The name of its key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key set with its public key.
    pub fn key_set(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// Its public key.
    pub fn jwk(&self) -> Value {
        // An uncompressed point: a byte, then x and y of 32 bytes each.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": encoded(x), "y": encoded(y)})
    }

    /// A token that holds for [`TOKEN_LIFE`] from now.
    pub fn token(&self, bearer: &Bearer) -> Result<String, Unsigned> {
        self.sign(&self.header(), &self.claims(bearer))
    }

    /// The header of its tokens.
    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "at+jwt", "kid": self.kid})
    }

    /// The claims of a token that is issued now.
    pub fn claims(&self, bearer: &Bearer) -> Value {
        let now = now();
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": bearer.subject, "roles": bearer.roles, "scope": bearer.scopes.join(" "),
            "iat": now, "nbf": now, "exp": now + TOKEN_LIFE.as_secs(),
        });
        if let Some(client) = &bearer.client {
            claims["client_id"] = json!(client);
        }
        if let Some(acting) = &bearer.acting {
            claims["act"] = json!({"sub": acting});
        }
        claims
    }

    /// Signs any header and claims by the key, whatever they say.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, Unsigned> {
        let message = message(header, claims);
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).map_err(|_| Unsigned)?;
        Ok(format!("{message}.{}", encoded(signature.as_ref())))
    }

    /// The public key as the bytes that everybody knows: with them a forger signs by HS256.
    pub(super) fn public_bytes(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }
}

/// What is signed of a token.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
