//! A token as it was shown: what it says before anybody has checked it, and the check.

use crate::{Issuer, Principal, Rejected, bearer::TOKEN_BOUND, claims::Claims, keys::VerifyingKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token that nobody has checked yet.
pub(crate) struct Unverified<'a> {
    text: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
}

/// What a token is found to say.
pub(crate) struct Verified {
    pub(crate) principal: Principal,
    /// The second at which it ends.
    pub(crate) expires: u64,
}

/// The header's members that matter. Keys and addresses of keys that it may bring along (`jwk`, `jku`, `x5u`) are none of them: they are the bearer's word.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// The one claim that is looked at before the signature is: another issuer's tokens make nobody fetch keys.
#[derive(Deserialize)]
struct IssuedBy {
    iss: Option<Value>,
}

impl<'a> Unverified<'a> {
    /// Reads a token's header, and refuses what no key could make good.
    pub(crate) fn read(text: &'a str, issuer: &Issuer) -> Result<Self, Rejected> {
        if text.len() > TOKEN_BOUND {
            return Err(Rejected::Malformed("it is longer than 8 KiB"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Rejected::Malformed("it is not a JWT of three parts"));
        };
        let header: Header = decoded(header).ok_or(Rejected::Malformed("its header is not base64url of a JSON object with `alg`"))?;
        let issued: IssuedBy = decoded(claims).ok_or(Rejected::Malformed("its claims are not base64url of a JSON object"))?;
        header.check_kind()?;
        let algorithm = header.algorithm()?;
        if issued.iss.as_ref().and_then(Value::as_str) != Some(issuer.url()) {
            return Err(Rejected::WrongIssuer);
        }
        Ok(Self { text, algorithm, kid: header.kid })
    }

    /// Checks the signature by the key, the times, the issuer and the audience.
    pub(crate) fn verify(&self, key: &VerifyingKey, issuer: &Issuer) -> Result<Verified, Rejected> {
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = issuer.leeway().as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer.url()]);
        validation.set_audience(&[issuer.audience()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let token =
            jsonwebtoken::decode::<Map<String, Value>>(self.text, &key.decoding, &validation).map_err(|error| refusal(error.kind()))?;
        let claims = Claims::from(token.claims);
        Ok(Verified { principal: claims.principal(issuer)?, expires: claims.expires()? })
    }
}

impl Header {
    /// An access token says `at+jwt` (RFC 9068) or, as most issuers' do, `JWT` or nothing; no extension that must be understood (`crit`) is understood here.
    fn check_kind(&self) -> Result<(), Rejected> {
        let kind = self.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        if self.crit.is_some() {
            return Err(Rejected::Malformed("its header demands extensions (`crit`)"));
        }
        match kind.strip_prefix("application/").unwrap_or(&kind) {
            "at+jwt" | "jwt" => Ok(()),
            _ => Err(Rejected::Malformed("it is not an access token: its `typ` must be at+jwt or JWT")),
        }
    }

    fn algorithm(&self) -> Result<Algorithm, Rejected> {
        match self.alg.as_str() {
            "RS256" => Ok(Algorithm::RS256),
            "ES256" => Ok(Algorithm::ES256),
            "EdDSA" => Ok(Algorithm::EdDSA),
            _ => Err(Rejected::BadSignature),
        }
    }
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn refusal(error: &ErrorKind) -> Rejected {
    match error {
        ErrorKind::ExpiredSignature => Rejected::Expired,
        ErrorKind::ImmatureSignature => Rejected::NotYetValid,
        ErrorKind::InvalidIssuer => Rejected::WrongIssuer,
        ErrorKind::InvalidAudience => Rejected::WrongAudience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Rejected::WrongAudience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Rejected::WrongIssuer,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => {
            Rejected::Malformed("its `exp`, `nbf`, `iss` or `aud` is missing or of another kind")
        }
        ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidToken => Rejected::Malformed("it is not a JWT"),
        _ => Rejected::BadSignature,
    }
}
