//! What a token costs, printed: `cargo test -p access --test access speed -- --nocapture`, with `--release` for the figures of ADR 22.

use crate::{FakeIssuer, ada, issuer, rsa, signer};
use access::Verifier;
use serde_json::Value;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 300;

/// The mean time for each of these tokens.
async fn mean(verifier: &Verifier, tokens: &[String]) -> Duration {
    let begun = Instant::now();
    for token in tokens {
        verifier.verify(token).await.unwrap();
    }
    begun.elapsed() / u32::try_from(tokens.len()).unwrap()
}

#[tokio::test]
async fn a_token_that_is_shown_again_costs_a_fraction() {
    let signer = signer();
    let rsa: Value = serde_json::from_str(rsa::GOOD.jwk).unwrap();
    let started = || Verifier::start(issuer(), FakeIssuer::with(&[signer.jwk(), rsa.clone()]));
    let verifier = started();
    verifier.verify(&signer.token(&ada()).unwrap()).await.unwrap();
    let fresh: Vec<String> = (0..ROUNDS).map(|_| signer.token(&ada()).unwrap()).collect();
    let (es256, hot) = (mean(&verifier, &fresh).await, mean(&verifier, &fresh).await);
    let mut rs256 = Duration::ZERO;
    for _ in 0..ROUNDS {
        let verifier = started();
        verifier.verify(&fresh[0]).await.unwrap();
        rs256 += mean(&verifier, &[rsa::GOOD.token.to_owned()]).await;
    }
    println!("ES256 {es256:?}, RS256 {:?}, shown again {hot:?}", rs256 / ROUNDS);
    assert!(hot * 2 < es256, "{hot:?} is not a fraction of {es256:?}");
}
