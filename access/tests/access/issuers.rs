//! Issuers over HTTP: the simulated one does what a real one must, and what others answer is bounded.

use crate::{FakeIssuer, ada, key_set, signer};
use access::{
    FetchKeys, HttpKeys, Issuer, KeySet, Rejected, Unfetched, Verifier,
    simulated::{NotSimulated, Simulated},
    system_authorities,
};
use axum::{Json, Router, body::Body, http::StatusCode, response::Redirect, routing::get};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A client; its TLS needs a provider that is chosen for the process.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A simulated issuer that answers until the test ends.
async fn simulated() -> Simulation {
    let issuer = Simulated::new(listener().await, "daybook", &["customer", "auditor"]).unwrap();
    let (url, signer) = (issuer.url().to_owned(), issuer.signer().clone());
    tokio::spawn(issuer.serve(std::future::pending()));
    Simulation { url, signer }
}

struct Simulation {
    url: String,
    signer: access::simulated::Signer,
}

impl Simulation {
    fn issuer(&self) -> Issuer {
        Issuer::new(&self.url, "daybook").unwrap()
    }

    /// What one curl would be answered.
    async fn token(&self, form: &'static str) -> (u16, Value) {
        let request = client().post(format!("{}/token", self.url)).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn http(issuer: &Issuer) -> HttpKeys {
    HttpKeys::new(issuer, system_authorities()).unwrap()
}

/// What every fetcher must do: bring the keys that the issuer has.
async fn brings(fetcher: impl FetchKeys, keys: KeySet) {
    assert!(fetcher.fetch().await.unwrap() == keys);
    assert!(fetcher.fetch().await.unwrap() == keys, "also when asked again");
}

#[tokio::test]
async fn fetchers_bring_the_issuers_keys() {
    let keys = [signer().jwk(), signer().jwk()];
    brings(FakeIssuer::with(&keys), key_set(&keys)).await;
    let simulated = simulated().await;
    brings(http(&simulated.issuer()), key_set(&[simulated.signer.jwk()])).await;
}

#[tokio::test]
async fn one_request_gets_a_token_and_the_token_gets_in() {
    let simulated = simulated().await;
    let (status, answer) = simulated.token("grant_type=client_credentials&client_id=shell&role=customer&sub=ada&scope=orders:read").await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(600)));
    assert!(answer["simulated"].as_str().unwrap().contains("simulated"));
    let verifier = Verifier::start(simulated.issuer(), http(&simulated.issuer()));
    let shown = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let principal = verifier.admit(Some(shown.as_bytes())).await.unwrap();
    assert_eq!(principal.actor(), format!("{}#ada", simulated.url));
    assert!(principal.has_role("customer") && principal.has_scope("orders:read"));
    assert_eq!(principal.client.as_deref(), Some("shell"));
}

#[tokio::test]
async fn a_client_that_is_called_as_a_role_has_it() {
    let simulated = simulated().await;
    let (_, answer) = simulated.token("grant_type=client_credentials&client_id=auditor").await;
    let verifier = Verifier::start(simulated.issuer(), http(&simulated.issuer()));
    let principal = verifier.verify(answer["access_token"].as_str().unwrap()).await.unwrap();
    assert!(principal.subject == "auditor" && principal.has_role("auditor"));
    let (status, _) = simulated.token("grant_type=password&username=eve&password=x&client_id=web&role=customer%20auditor").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_request_that_cannot_be_granted_is_told_why() {
    let simulated = simulated().await;
    for (form, error, names) in [
        ("", "unsupported_grant_type", "grant_type"),
        ("grant_type=authorization_code&client_id=auditor", "unsupported_grant_type", "client_credentials"),
        ("grant_type=client_credentials&role=auditor", "invalid_request", "sub"),
        ("grant_type=client_credentials&sub=ada", "invalid_scope", "customer, auditor"),
        ("grant_type=client_credentials&sub=ada&role=king", "invalid_scope", "customer, auditor"),
        ("grant_type=client_credentials&sub=ada&role=customer,king", "invalid_scope", "customer, auditor"),
    ] {
        let (status, answer) = simulated.token(form).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some(error)), "{form}");
        assert!(answer["error_description"].as_str().unwrap().contains(names), "{answer}");
    }
}

#[tokio::test]
async fn a_simulated_issuer_says_what_it_is_and_stays_on_loopback() {
    let simulated = simulated().await;
    let index = reqwest::get(&simulated.url).await.unwrap().text().await.unwrap();
    assert!(index.contains("a simulated issuer") && index.contains("customer, auditor") && index.contains("curl"), "{index}");
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(Simulated::new(open, "daybook", &["customer"]), Err(NotSimulated::NotLoopback(_))));
}

/// Reads keys from a server that answers discovery by what `metadata` makes of its own URL, and other paths by the router.
async fn fetched(metadata: impl FnOnce(&str) -> Value, others: Router) -> Result<KeySet, Unfetched> {
    let listener = listener().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    let metadata = metadata(&url);
    let router = others.route("/.well-known/openid-configuration", get(|| async { Json(metadata) }));
    tokio::spawn(axum::serve(listener, router).into_future());
    http(&Issuer::new(&url, "daybook").unwrap()).fetch().await
}

fn usual(url: &str) -> Value {
    json!({"issuer": url, "jwks_uri": format!("{url}/keys")})
}

fn keys_of(signer: &access::simulated::Signer) -> axum::routing::MethodRouter {
    let keys = signer.key_set();
    get(|| async { Json(keys) })
}

#[tokio::test]
async fn an_issuer_of_another_name_is_not_read() {
    let told = fetched(
        |url| json!({"issuer": format!("{url}/"), "jwks_uri": format!("{url}/keys")}),
        Router::new().route("/keys", keys_of(&signer())),
    )
    .await;
    assert!(matches!(told, Err(Unfetched::OtherIssuer { .. })), "{told:?}");
}

#[tokio::test]
async fn keys_come_from_where_nobody_can_change_them() {
    for place in ["http://id.example/keys", "file:///etc/passwd", "keys"] {
        let told = fetched(|url| json!({"issuer": url, "jwks_uri": place}), Router::new()).await;
        assert!(matches!(told, Err(Unfetched::Unreadable(_))), "{place}: {told:?}");
    }
}

#[tokio::test]
async fn a_long_answer_is_not_read() {
    let keys = signer().key_set().to_string();
    for (length, is_read) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        let body = keys.clone() + &" ".repeat(length - keys.len());
        let told = fetched(usual, Router::new().route("/keys", get(|| async { body }))).await;
        assert_eq!(told.is_ok(), is_read, "{length}");
    }
    let endless = || async { Body::from_stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(10_000)))) };
    let told = fetched(usual, Router::new().route("/keys", get(endless))).await;
    assert!(matches!(&told, Err(Unfetched::Unreachable { reason, .. }) if reason.contains("length limit exceeded")), "{told:?}");
}

#[tokio::test]
async fn no_redirection_is_followed() {
    let moved = Router::new().route("/keys", get(|| async { Redirect::temporary("/moved") })).route("/moved", keys_of(&signer()));
    let told = fetched(usual, moved).await;
    assert!(matches!(&told, Err(Unfetched::Unreachable { reason, .. }) if reason.contains("307")), "{told:?}");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_well_is_unreachable() {
    let failing = Router::new().route("/keys", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let told = fetched(usual, failing).await;
    assert!(matches!(&told, Err(Unfetched::Unreachable { reason, url }) if reason.contains("500") && url.ends_with("/keys")), "{told:?}");
    let address = listener().await.local_addr().unwrap();
    let issuer = Issuer::new(&format!("http://{address}"), "daybook").unwrap();
    let told = http(&issuer).fetch().await.unwrap_err().to_string();
    assert!(told.contains("refused") && told.contains(&address.to_string()), "{told}");
    let verifier = Verifier::start(issuer.clone(), http(&issuer));
    let token = access::simulated::Signer::generate(issuer.url(), "daybook").unwrap().token(&ada()).unwrap();
    assert!(matches!(verifier.verify(&token).await, Err(Rejected::IssuerUnreachable { .. })));
}

/// The clock stands still, and jumps to the time-out as soon as everybody waits.
#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_is_given_up() {
    let silent = listener().await;
    let issuer = Issuer::new(&format!("http://{}", silent.local_addr().unwrap()), "daybook").unwrap();
    let told = http(&issuer).fetch().await;
    assert!(matches!(&told, Err(Unfetched::Unreachable { reason, .. }) if reason.contains("within 5 seconds")), "{told:?}");
}
