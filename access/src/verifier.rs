//! The door: a token in, whom it speaks for out.

use crate::{
    FetchKeys, Issuer, Principal, Rejected, bearer,
    cache::{TokenHash, VerifiedTokens},
    crypto,
    keys::KeptKeys,
    metrics,
    token::Unverified,
};
use std::{sync::Arc, time::SystemTime};

/// Verifies the access tokens of one issuer. A clone shares its keys and its memory; the last one that goes ends the task that renews the keys.
#[derive(Clone)]
pub struct Verifier(Arc<Parts>);

struct Parts {
    issuer: Issuer,
    keys: KeptKeys,
    tokens: VerifiedTokens,
}

impl Verifier {
    /// Begins to read the issuer's keys, in a task of the tokio runtime that this is called in. An issuer that is away is asked again; until then everybody is refused with
    /// [`Rejected::IssuerUnreachable`].
    pub fn start(issuer: Issuer, keys: impl FetchKeys) -> Self {
        crypto::install();
        let tokens = VerifiedTokens::new(issuer.leeway());
        Self(Arc::new(Parts { keys: KeptKeys::start(keys), tokens, issuer }))
    }

    /// The issuer whose tokens these are.
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// True once the issuer's keys have been read: a node is ready then.
    pub fn is_ready(&self) -> bool {
        self.0.keys.are_known()
    }

    /// Whom the value of an `Authorization` header speaks for.
    pub async fn admit(&self, authorization: Option<&[u8]>) -> Result<Arc<Principal>, Rejected> {
        match bearer(authorization) {
            Ok(token) => self.verify(token).await,
            Err(refused) => Err(counted(refused)),
        }
    }

    /// Whom a token speaks for.
    pub async fn verify(&self, token: &str) -> Result<Arc<Principal>, Rejected> {
        let hash = TokenHash::of(token);
        if let Some(principal) = self.0.tokens.get(&hash, self.0.keys.generation(), SystemTime::now()) {
            metrics::TOKENS.with_label_values(&["cached"]).inc();
            return Ok(principal);
        }
        let principal = self.0.check(token, hash).await.map_err(counted)?;
        metrics::TOKENS.with_label_values(&["verified"]).inc();
        Ok(principal)
    }
}

impl Parts {
    async fn check(&self, token: &str, hash: TokenHash) -> Result<Arc<Principal>, Rejected> {
        let token = Unverified::read(token, &self.issuer)?;
        let found = self.keys.find(token.kid.as_deref(), token.algorithm).await?;
        let verified = token.verify(&found.key, &self.issuer)?;
        Ok(self.tokens.put(hash, found.generation, verified))
    }
}

fn counted(refused: Rejected) -> Rejected {
    metrics::TOKENS.with_label_values(&[refused.name()]).inc();
    refused
}
