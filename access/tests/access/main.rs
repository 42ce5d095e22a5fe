//! Tokens, keys and issuers, good and bad.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod issuers;
mod keys;
mod rsa;
mod secret;
mod speed;
mod tokens;

use access::{
    FetchKeys, Issuer, KeySet, Unfetched, Verifier,
    simulated::{Bearer, Signer},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The issuer of most tests, which nobody calls.
const ISSUER: &str = "https://id.example";

fn issuer() -> Issuer {
    Issuer::new(ISSUER, "daybook").unwrap()
}

fn signer() -> Signer {
    Signer::generate(ISSUER, "daybook").unwrap()
}

fn ada() -> Bearer {
    Bearer::new("ada", &["customer"])
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// An issuer in memory, which counts when it is asked.
#[derive(Clone)]
struct FakeIssuer(Arc<Mutex<Answer>>);

struct Answer {
    keys: Result<KeySet, Unfetched>,
    takes: Duration,
    asked: Vec<Instant>,
}

impl FakeIssuer {
    fn with(keys: &[Value]) -> Self {
        Self(Arc::new(Mutex::new(Answer { keys: Ok(key_set(keys)), takes: Duration::ZERO, asked: Vec::new() })))
    }

    fn answers(&self, keys: Result<KeySet, Unfetched>) {
        self.0.lock().unwrap().keys = keys;
    }

    fn goes_away(&self) {
        self.answers(Err(Unfetched::Unreachable { url: ISSUER.to_owned(), reason: "refused".to_owned() }));
    }

    fn takes(&self, time: Duration) {
        self.0.lock().unwrap().takes = time;
    }

    fn asked(&self) -> Vec<Instant> {
        self.0.lock().unwrap().asked.clone()
    }
}

impl FetchKeys for FakeIssuer {
    async fn fetch(&self) -> Result<KeySet, Unfetched> {
        let takes = {
            let mut answer = self.0.lock().unwrap();
            answer.asked.push(Instant::now());
            answer.takes
        };
        if !takes.is_zero() {
            sleep(takes).await;
        }
        self.0.lock().unwrap().keys.clone()
    }
}

/// A verifier that knows these keys only.
fn verifier(keys: &[Value]) -> Verifier {
    Verifier::start(issuer(), FakeIssuer::with(keys))
}
