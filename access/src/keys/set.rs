//! The keys of one answer of the issuer (RFC 7517), as far as tokens may be signed by them.

use super::Unfetched;
use crate::Rejected;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::Value;
use std::sync::Arc;

/// More keys than an issuer ever has; what stands behind them is not read.
const KEYS_BOUND: usize = 100;

/// The keys of an issuer that may verify its access tokens.
#[derive(Debug, Clone)]
pub struct KeySet(Vec<Arc<VerifyingKey>>);

/// A key, and the one algorithm that it is used with: the token's header chooses neither (RFC 8725, 3.1).
#[derive(Debug)]
pub(crate) struct VerifyingKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
    jwk: Jwk,
}

impl KeySet {
    /// The usable keys of a JSON Web Key Set. Others (for encryption, of other kinds or curves, secret ones) are passed over; a set without any is an error, so
    /// that an issuer that answers nonsense does not take its keys away.
    pub fn parse(body: &[u8]) -> Result<Self, Unfetched> {
        let set: Value = serde_json::from_slice(body).map_err(|_| Unfetched::Unreadable("the key set is not JSON"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(Unfetched::Unreadable("the key set has no list `keys`"))?;
        let usable = keys.iter().take(KEYS_BOUND).filter_map(|key| serde_json::from_value(key.clone()).ok());
        let usable: Vec<_> = usable.filter_map(VerifyingKey::of).map(Arc::new).collect();
        if usable.is_empty() { Err(Unfetched::Unreadable("the key set has no key for RS256, ES256 or EdDSA")) } else { Ok(Self(usable)) }
    }

    /// The key of this id, or without an id the only one for the algorithm.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<VerifyingKey>, Rejected> {
        let named = |key: &&Arc<VerifyingKey>| kid.is_none() || key.jwk.common.key_id.as_deref() == kid;
        let mut fitting = self.0.iter().filter(named).filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key.clone()),
            (None, _) if self.0.iter().any(|key| named(&key)) => Err(Rejected::BadSignature),
            _ => Err(Rejected::UnknownKey),
        }
    }
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|key| &key.jwk).eq(other.0.iter().map(|key| &key.jwk))
    }
}

impl VerifyingKey {
    /// The key, if it is for signatures by an algorithm that is allowed here.
    fn of(jwk: Jwk) -> Option<Self> {
        let algorithm = algorithm_of(&jwk.algorithm)?;
        let is_for_it = match jwk.common.key_algorithm {
            None => true,
            Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
            Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
            Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
            Some(_) => false,
        };
        let is_signing = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let may_verify = jwk.common.key_operations.as_ref().is_none_or(|may| may.contains(&KeyOperations::Verify));
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        (is_for_it && is_signing && may_verify).then_some(Self { algorithm, decoding, jwk })
    }
}

fn algorithm_of(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Some(Algorithm::ES256),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
        _ => None,
    }
}
