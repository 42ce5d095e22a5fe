//! When keys are read, and how long they are used. The clock is tokio's, and stands still unless everybody waits.

use crate::{FakeIssuer, ada, issuer, key_set, signer};
use access::{COOL_DOWN, REFRESH_EVERY, Rejected, Verifier, simulated::Signer};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, advance, sleep};

const HOUR: Duration = Duration::from_secs(3600);

fn token(signer: &Signer) -> String {
    signer.token(&ada()).unwrap()
}

/// A token of a key that nobody has.
fn of_random_key(signer: &Signer) -> String {
    let header = json!({"alg": "ES256", "kid": format!("{:032x}", rand::random::<u128>())});
    signer.sign(&header, &signer.claims(&ada())).unwrap()
}

/// A verifier that has read its keys.
async fn started(fake: &FakeIssuer) -> Verifier {
    let verifier = Verifier::start(issuer(), fake.clone());
    while !verifier.is_ready() {
        sleep(Duration::from_millis(1)).await;
    }
    verifier
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_keys_cost_a_fetch_per_cool_down() {
    let (fake, signer) = {
        let signer = signer();
        (FakeIssuer::with(&[signer.jwk()]), signer)
    };
    let verifier = started(&fake).await;
    assert_eq!(fake.asked().len(), 1);
    advance(COOL_DOWN).await;
    fake.takes(Duration::from_millis(100));
    let tokens: Vec<String> = (0..10_000).map(|_| of_random_key(&signer)).collect();
    let told = join_all(tokens.iter().map(|token| verifier.verify(token))).await;
    assert!(told.iter().all(|told| *told == Err(Rejected::UnknownKey)));
    assert_eq!(fake.asked().len(), 2, "all wait for one fetch");
    assert_eq!(verifier.verify(&token(&signer)).await.map(|ada| ada.subject.clone()), Ok("ada".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn random_keys_that_keep_coming_never_make_fetches_denser() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    for round in 0..10_000 {
        if round == 5_000 {
            fake.goes_away();
        }
        assert_eq!(verifier.verify(&of_random_key(&signer)).await, Err(Rejected::UnknownKey));
        advance(Duration::from_millis(100)).await;
    }
    let asked = fake.asked();
    assert!(asked.len() > 25 && asked.windows(2).all(|pair| pair[1] - pair[0] >= COOL_DOWN), "{}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn during_a_cool_down_nobody_waits() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    let begun = Instant::now();
    assert_eq!(verifier.verify(&of_random_key(&signer)).await, Err(Rejected::UnknownKey));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_fetch_waits_a_bounded_time() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    fake.takes(HOUR);
    advance(COOL_DOWN).await;
    let begun = Instant::now();
    assert_eq!(verifier.verify(&of_random_key(&signer)).await, Err(Rejected::UnknownKey));
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert!(verifier.verify(&token(&signer)).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO, "known keys wait for nothing");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_for_an_hour_refuses_nobody_it_knew() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    let shown = token(&signer);
    assert!(verifier.verify(&shown).await.is_ok());
    fake.goes_away();
    for _ in 0..60 {
        sleep(Duration::from_secs(60)).await;
        assert!(verifier.verify(&shown).await.is_ok());
        assert!(verifier.verify(&token(&signer)).await.is_ok(), "a token that was never shown before");
    }
    let tries = fake.asked().len();
    assert!((60..140).contains(&tries), "{tries} tries in an hour");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_answers_nonsense_takes_no_key_away() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    for body in ["{\"keys\": []}", "{}", "[]", "<html>", ""] {
        fake.answers(access::KeySet::parse(body.as_bytes()));
        sleep(REFRESH_EVERY * 2).await;
        assert!(verifier.verify(&token(&signer)).await.is_ok(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_known_everybody_is_told_to_come_again() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    fake.goes_away();
    let verifier = Verifier::start(issuer(), fake.clone());
    let Err(Rejected::IssuerUnreachable { retry_after }) = verifier.verify(&token(&signer)).await else { panic!("nobody is known") };
    assert!(retry_after >= Duration::from_secs(1) && retry_after <= COOL_DOWN * 2, "{retry_after:?}");
    assert!(!verifier.is_ready());
    sleep(HOUR).await;
    fake.answers(Ok(key_set(&[signer.jwk()])));
    sleep(COOL_DOWN + COOL_DOWN / 5).await;
    assert!(verifier.is_ready() && verifier.verify(&token(&signer)).await.is_ok());
    let tries = fake.asked().len();
    assert!((100..140).contains(&tries), "{tries} tries in an hour");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_starts_a_moment_later_is_read_a_moment_later() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    fake.goes_away();
    let verifier = Verifier::start(issuer(), fake.clone());
    sleep(Duration::from_secs(2)).await;
    fake.answers(Ok(key_set(&[signer.jwk()])));
    sleep(Duration::from_secs(4)).await;
    assert!(verifier.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_given_up() {
    let fake = FakeIssuer::with(&[signer().jwk()]);
    fake.takes(HOUR);
    let _verifier = Verifier::start(issuer(), fake.clone());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_before_the_first_answer_waits_for_it() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    fake.takes(Duration::from_secs(2));
    assert!(Verifier::start(issuer(), fake.clone()).verify(&token(&signer)).await.is_ok());
    fake.takes(HOUR);
    let told = Verifier::start(issuer(), fake).verify(&token(&signer)).await;
    assert!(matches!(told, Err(Rejected::IssuerUnreachable { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_known_when_it_is_first_shown() {
    let (old, new) = (signer(), signer());
    let fake = FakeIssuer::with(&[old.jwk()]);
    let verifier = started(&fake).await;
    sleep(COOL_DOWN).await;
    fake.answers(Ok(key_set(&[old.jwk(), new.jwk()])));
    assert!(verifier.verify(&token(&new)).await.is_ok());
    assert!(verifier.verify(&token(&old)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_withdrawn_is_refused_after_the_next_fetch() {
    let (old, new) = (signer(), signer());
    let fake = FakeIssuer::with(&[old.jwk()]);
    let verifier = started(&fake).await;
    let shown = token(&old);
    assert!(verifier.verify(&shown).await.is_ok());
    fake.answers(Ok(key_set(&[new.jwk()])));
    assert!(verifier.verify(&shown).await.is_ok(), "it is remembered until the keys are read anew");
    sleep(REFRESH_EVERY + REFRESH_EVERY / 5).await;
    assert_eq!(verifier.verify(&shown).await, Err(Rejected::UnknownKey), "also a token that is remembered");
    assert_eq!(verifier.verify(&token(&old)).await, Err(Rejected::UnknownKey));
    assert!(verifier.verify(&token(&new)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn another_issuers_tokens_fetch_nothing() {
    let signer = signer();
    let fake = FakeIssuer::with(&[signer.jwk()]);
    let verifier = started(&fake).await;
    advance(COOL_DOWN).await;
    let other = Signer::generate("https://other.example", "daybook").unwrap();
    assert_eq!(verifier.verify(&token(&other)).await, Err(Rejected::WrongIssuer));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fake.asked().len(), 1);
}
