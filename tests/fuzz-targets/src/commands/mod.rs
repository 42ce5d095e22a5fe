//! Requests: a body makes one command, or a 4xx problem that names a field. A command survives its way to another node, and written as a
//! request again it makes the same command.
//!
//! The input is a letter for the route (`a` is the first; a capital for an actor who may not state prices; anything else for an id
//! that is none) and the body.

mod shop;
mod spelled;

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header::CONTENT_TYPE},
};
use command_api::Problem;
use futures::FutureExt;
use serde_json::Value;
use shop::{Sent, Shop};

/// The most characters of the caller's own text that an answer repeats.
const MOST_REPEATED: usize = 300;
const ID: &str = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f";

/// Each route with the fields that its problems may name.
const ROUTES: [(&str, &[&str]); 10] = [
    ("/users", &["email", "name", "address"]),
    ("/users/{id}/profile-changes", &["id", "email", "name", "address"]),
    ("/users/{id}/closure", &["id", "reason"]),
    ("/products", &["sku", "name", "price"]),
    ("/products/{id}/price-changes", &["id", "price"]),
    ("/products/{id}/stock-receipts", &["id", "quantity"]),
    ("/products/{id}/withdrawal", &["id", "reason"]),
    ("/orders", &["user_id", "lines", "payment"]),
    ("/orders/{id}/cancellation", &["id", "reason"]),
    ("/payments/{id}/refunds", &["id", "amount"]),
];

/// Where a request goes, and who asks.
struct Asked {
    path: String,
    fields: &'static [&'static str],
    actor: &'static str,
}

/// Posts the body.
pub fn check(bytes: &[u8]) -> bool {
    let Some((letter, body)) = bytes.split_first() else { return false };
    let asked = asked(*letter);
    Shop::with(|shop| {
        let (status, answer) = post(shop, &asked, body);
        let sent = shop.taken();
        if status.is_success() {
            let [sent] = &sent[..] else { panic!("{status}, and {} commands", sent.len()) };
            sent.survives_its_way();
            is_the_same_again(shop, &asked, sent, body);
        } else {
            assert!(sent.is_empty(), "{status}, and a command all the same: {sent:?}");
            is_a_problem(status, &answer, asked.fields, body);
        }
        status.is_success()
    })
}

fn asked(letter: u8) -> Asked {
    let place = letter.to_ascii_lowercase().wrapping_sub(b'a');
    let (path, fields) = ROUTES[usize::from(place) % ROUTES.len()];
    let id = if letter.is_ascii_alphabetic() { ID } else { "not-an-id" };
    let actor = if letter.is_ascii_uppercase() { "ada" } else { "merchant/fuzz" };
    Asked { path: path.replace("{id}", id), fields, actor }
}

/// Posts the body; the answer must come without waiting.
fn post(shop: &Shop, asked: &Asked, body: &[u8]) -> (StatusCode, Vec<u8>) {
    let request = Request::post(&asked.path)
        .header(CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", "one")
        .header("Daybook-Actor", asked.actor)
        .body(Body::from(body.to_vec()))
        .expect("the request is sound");
    let (parts, body) = shop.ask(request).now_or_never().expect("nothing is waited for").into_parts();
    let answer = to_bytes(body, usize::MAX).now_or_never().expect("nothing is waited for");
    (parts.status, answer.expect("the answer is whole").to_vec())
}

/// Checks that the command, written as the documented body of a request, makes the same command.
fn is_the_same_again(shop: &Shop, asked: &Asked, sent: &Sent, body: &[u8]) {
    let meant: Value = serde_json::from_slice(body).expect("what was taken is JSON");
    assert!(is_of_objects(&meant), "taken, though it is not of the documented shape: {meant}");
    let spelled = spelled::body(sent).to_string();
    let (status, answer) = post(shop, asked, spelled.as_bytes());
    assert!(status.is_success(), "{spelled} is refused: {}", String::from_utf8_lossy(&answer));
    let again = shop.taken();
    assert!(again.len() == 1 && again[0].is_same(sent), "{spelled} makes {again:?} and not {sent:?}");
}

/// Bodies are objects of plain values and objects; the only array is an order's lines, of objects.
fn is_of_objects(value: &Value) -> bool {
    let plain = |value: &Value| !value.is_array() && (!value.is_object() || is_of_objects(value));
    let field = |(name, value): (&String, &Value)| match value {
        Value::Array(lines) => name == "lines" && lines.iter().all(|line| line.is_object() && is_of_objects(line)),
        other => plain(other),
    };
    value.as_object().is_some_and(|object| object.iter().all(field))
}

/// Checks that the answer is a 4xx with problem details whose fields the route knows or the caller sent.
fn is_a_problem(status: StatusCode, answer: &[u8], fields: &[&str], body: &[u8]) {
    let shown = String::from_utf8_lossy(answer);
    assert!(status.is_client_error(), "{status}: {shown}");
    let problem: Value = serde_json::from_slice(answer).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    assert!(text("type").starts_with("urn:daybook:problem:") && !text("detail").is_empty(), "{shown}");
    assert_eq!(problem["status"], status.as_u16(), "{shown}");
    assert_eq!(text("title"), Problem::new(status, "any", "any").title, "{shown}");
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {shown}"));
    assert!(!errors.is_empty() && answer.len() <= 2_000 + 400 * errors.len(), "{shown}");
    for error in errors {
        let (field, rule) = (error["field"].as_str().unwrap_or_default(), error["rule"].as_str().unwrap_or_default());
        assert!(!rule.is_empty() && is_known(field, fields, body), "{field:?} is no field: {shown}");
    }
}

/// Whether a field is the route's, the body as a whole, or one that the caller made up. The latter is known by its last name, as far
/// as an answer repeats it, where the body is JSON at all.
fn is_known(field: &str, fields: &[&str], body: &[u8]) -> bool {
    let root = field.split(['.', '[']).next().unwrap_or_default();
    let made_up = || match serde_json::from_slice::<Value>(body) {
        Ok(sent) => field.chars().count() == MOST_REPEATED || names(&sent, field),
        Err(_) => true,
    };
    field == "body" || fields.contains(&root) || (!field.is_empty() && made_up())
}

/// Whether a value has the field somewhere.
fn names(value: &Value, field: &str) -> bool {
    match value {
        Value::Object(object) => {
            object.iter().any(|(name, value)| field.ends_with(name.trim_end_matches(['?', '.'])) || names(value, field))
        }
        Value::Array(values) => values.iter().any(|value| names(value, field)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
