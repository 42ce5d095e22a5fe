//! What a token costs, printed: `cargo test -p access --test access speed -- --nocapture`.

use crate::{FakeIssuer, ada, issuer, rsa, signer};
use access::Verifier;
use serde_json::Value;
use std::time::{Duration, Instant};

const ROUNDS: usize = 300;

/// The time that half of these tokens take at most: other work on the machine moves it less than the mean.
async fn median(verifier: &Verifier, tokens: &[String]) -> Duration {
    let mut times = Vec::with_capacity(tokens.len());
    for token in tokens {
        let begun = Instant::now();
        verifier.verify(token).await.unwrap();
        times.push(begun.elapsed());
    }
    middle(times)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_token_that_is_shown_again_costs_a_fraction() {
    let signer = signer();
    let rsa: Value = serde_json::from_str(rsa::GOOD.jwk).unwrap();
    let started = || Verifier::start(issuer(), FakeIssuer::with(&[signer.jwk(), rsa.clone()]));
    let verifier = started();
    verifier.verify(&signer.token(&ada()).unwrap()).await.unwrap();
    let fresh: Vec<String> = (0..ROUNDS).map(|_| signer.token(&ada()).unwrap()).collect();
    let (es256, hot) = (median(&verifier, &fresh).await, median(&verifier, &fresh).await);
    let mut rs256 = Vec::new();
    for _ in 0..ROUNDS {
        let verifier = started();
        verifier.verify(&fresh[0]).await.unwrap();
        rs256.push(median(&verifier, &[rsa::GOOD.token.to_owned()]).await);
    }
    println!("ES256 {es256:?}, RS256 {:?}, shown again {hot:?}", middle(rs256));
    assert!(hot * 2 < es256, "{hot:?} is not a fraction of {es256:?}");
}
