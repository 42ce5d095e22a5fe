//! Every kind of token that a door is tried with. For tests: nothing that runs calls this.

use super::{
    Bearer, Signer, Unsigned,
    signer::{encoded, message, now},
};
use ring::hmac;
use serde_json::{Value, json};

/// What is wrong with a token, or with who shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// There is none.
    None,
    /// It ended an hour ago.
    Expired,
    /// It begins in an hour.
    NotYetValid,
    /// Another issuer's name stands in it.
    WrongIssuer,
    /// It is for another audience.
    WrongAudience,
    /// `alg: none`, and no signature.
    AlgNone,
    /// Signed by HS256 with the public key as the secret.
    Hs256WithPublicKey,
    /// Signed by a key that the issuer does not have.
    UnknownKid,
    /// A good token without roles and scopes.
    MissingScope,
    /// A good token of somebody else, with the same roles and scopes.
    SomebodyElse,
    /// The right one.
    Right,
}

impl TokenKind {
    /// All of them.
    pub const ALL: [TokenKind; 11] = [
        TokenKind::None,
        TokenKind::Expired,
        TokenKind::NotYetValid,
        TokenKind::WrongIssuer,
        TokenKind::WrongAudience,
        TokenKind::AlgNone,
        TokenKind::Hs256WithPublicKey,
        TokenKind::UnknownKid,
        TokenKind::MissingScope,
        TokenKind::SomebodyElse,
        TokenKind::Right,
    ];

    /// True if the token itself is good, whatever its bearer may do.
    pub fn is_verified(self) -> bool {
        matches!(self, TokenKind::MissingScope | TokenKind::SomebodyElse | TokenKind::Right)
    }

    /// A token of this kind. `bearer` is whom the right one is for.
    pub fn token(self, signer: &Signer, bearer: &Bearer) -> Result<Option<String>, Unsigned> {
        let changed = |claim: &str, value: Value| signer.sign(&signer.header(), &with(signer.claims(bearer), claim, value));
        let token = match self {
            TokenKind::None => return Ok(None),
            TokenKind::Expired => changed("exp", json!(now() - 3600)),
            TokenKind::NotYetValid => changed("nbf", json!(now() + 3600)),
            TokenKind::WrongIssuer => changed("iss", json!("https://other.example")),
            TokenKind::WrongAudience => changed("aud", json!("another-service")),
            TokenKind::AlgNone => Ok(format!("{}.", message(&with(signer.header(), "alg", json!("none")), &signer.claims(bearer)))),
            TokenKind::Hs256WithPublicKey => Ok(by_public_key(signer, &signer.claims(bearer))),
            TokenKind::UnknownKid => by_unknown_key(signer, bearer),
            TokenKind::MissingScope => signer.token(&Bearer { roles: Vec::new(), scopes: Vec::new(), ..bearer.clone() }),
            TokenKind::SomebodyElse => signer.token(&Bearer { subject: format!("not-{}", bearer.subject), ..bearer.clone() }),
            TokenKind::Right => signer.token(bearer),
        };
        token.map(Some)
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

/// The old forgery (CVE-2015-9235): who verifies by whatever the header says takes the public key for a shared secret.
fn by_public_key(signer: &Signer, claims: &Value) -> String {
    let message = message(&with(signer.header(), "alg", json!("HS256")), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, signer.public_bytes());
    format!("{message}.{}", encoded(hmac::sign(&key, message.as_bytes()).as_ref()))
}

fn by_unknown_key(signer: &Signer, bearer: &Bearer) -> Result<String, Unsigned> {
    Signer::generate(signer.issuer(), signer.audience())?.token(bearer)
}
