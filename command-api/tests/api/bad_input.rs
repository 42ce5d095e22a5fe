//! Whatever a caller sends, the answer is a 4xx that says what is wrong and where.

use crate::{
    api,
    support::answer::{Answer, Bad},
};
use serde_json::{Value, json};

const ID: &str = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f";

fn malformed(body: impl Into<Vec<u8>>, field: &'static str, rule: &'static str) -> Bad {
    Bad::malformed("/notes", body, field, rule)
}

fn invalid(body: &Value, field: &'static str, rule: &'static str) -> Bad {
    Bad::invalid("/notes", body, field, rule)
}

async fn check(cases: Vec<Bad>) {
    api::open().await.0.refuses(cases).await;
}

#[tokio::test]
async fn a_list_of_the_values_is_no_object_that_has_them() {
    check(vec![
        malformed("[\"milk\",null]", "body", "invalid type: sequence, expected an object"),
        malformed("{\"text\":\"milk\",\"place\":[1]}", "place", "expected an object"),
        malformed(format!("{{\"text\":\"milk\",\"links\":[[\"{ID}\"]]}}"), "links[0]", "expected an object"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_are_no_json_of_the_right_shape() {
    let deep = format!("{{\"text\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let deeply_unknown = format!("{{\"x\":{}1{}}}", "{\"y\":".repeat(50_000), "}".repeat(50_000));
    check(vec![
        malformed("", "body", "EOF"),
        malformed("   ", "body", "EOF"),
        malformed("{\"text\":\"mi", "text", "EOF"),
        malformed("{\"text\":\"milk\",", "body", "EOF"),
        malformed("{\"text\":\"milk\"} trailing", "body", "trailing characters"),
        malformed("{\"text\":\"milk\"}{}", "body", "trailing characters"),
        malformed(b"{\"text\":\"\xff\xfe\"}".to_vec(), "body", "must be UTF-8, is not from byte 9"),
        malformed("\u{feff}{}", "text", "missing field"),
        malformed("\u{feff}\u{feff}{}", "body", "expected value"),
        malformed(b"\xff\xfe{\0}\0".to_vec(), "body", "byte order mark of UTF-16"),
        malformed("null", "body", "invalid type: null"),
        malformed("\"text\"", "body", "invalid type: string"),
        malformed("{\"text\":\"\\ud800\"}", "text", "hex escape"),
        malformed("{\"text\":\"milk\",\"text\":\"milk\"}", "text", "duplicate field"),
        malformed("{\"colour\":\"red\"}", "text", "missing field"),
        malformed("{\"text\":\"milk\",\"admin\":true}", "admin", "unknown field"),
        malformed("{\"text\":1}", "text", "invalid type: integer"),
        malformed(deep, "text", "invalid type: sequence"),
        malformed(deeply_unknown, "x", "unknown field"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":1.5}}", "place.drawer", "a whole number has no fraction and no exponent"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":1.0}}", "place.drawer", "a whole number has no fraction and no exponent"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":1e2}}", "place.drawer", "a whole number has no fraction and no exponent"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":NaN}}", "place.drawer", "expected value"),
        malformed("{\"text\":\"milk\",\"te\\u0078t\":\"bread\"}", "text", "duplicate field"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":1e999}}", "place.drawer", "number out of range"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":99999999999999999999}}", "place.drawer", "invalid"),
        malformed("{\"text\":\"milk\",\"place\":{}}", "place.drawer", "missing field"),
        malformed("{\"text\":\"milk\",\"place\":{\"drawer\":1,\"drawer\":1}}", "place.drawer", "duplicate field"),
        malformed("{\"text\":\"milk\",\"place\":{\"shelf\":1}}", "place.shelf", "unknown field"),
        malformed("{\"text\":\"milk\",\"links\":[{\"from\":7", "links[0].from", "unknown field"),
        malformed("{\"text\":\"milk\",\"links\":[{}]}", "links[0].to", "missing field"),
        malformed("{\"text\":\"milk\",\"links\":[{\"to\":7}]}", "links[0].to", "invalid type"),
        malformed("{\"text\":\"milk\",\"links\":{}}", "links", "invalid type: map"),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_break_a_rule() {
    check(vec![
        invalid(&json!({"text": "  "}), "text", "must say something"),
        invalid(&json!({"text": "milk", "colour": ""}), "colour", "must say something"),
        invalid(&json!({"text": "milk", "place": {"drawer": 0}}), "place.drawer", "must be 1 or more, is 0"),
        Bad::invalid("/notes/7/burning", &json!({}), "id", "must be a UUID"),
        Bad::invalid("/notes/%ff/burning", &json!({}), "id", "UTF-8"),
        Bad::invalid(&format!("/notes/%7b{ID}%7d/burning"), &json!({}), "id", "must be a UUID"),
    ])
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let (served, _) = api::open().await;
    let body = json!({"text": "", "colour": " ", "place": {"drawer": -1}, "links": [{"to": ID}, {"to": "x"}]});
    let answer = served.posted("/notes", &body, 400).await;
    assert_eq!(answer.wrong_fields(), ["colour", "links[1].to", "place.drawer", "text"]);
}

#[tokio::test]
async fn an_answer_is_not_larger_than_what_was_sent() {
    let (served, _) = api::open().await;
    let answer = served.posted("/notes", &json!({"text": "", "links": vec![json!({"to": "x"}); 20_000]}), 400).await;
    answer.is_problem("invalid-request", "text", "must say something");
    assert!(answer.body.to_string().len() < 32_768);
    let answer = served.posted("/notes", &json!({"x".repeat(900_000): 1}), 400).await;
    answer.is_problem("malformed-body", &"x".repeat(300), "unknown field");
    assert!(answer.body.to_string().len() < 4096);
}

#[tokio::test]
async fn headers_that_break_a_rule() {
    let (served, _) = api::open().await;
    let long = "k".repeat(201);
    let cases: [(&str, &[u8], &str); 13] = [
        ("idempotency-key", b"", "1 to 200 visible ASCII"),
        ("idempotency-key", b"two words", "1 to 200 visible ASCII"),
        ("idempotency-key", b"caf\xe9", "1 to 200 visible ASCII"),
        ("idempotency-key", long.as_bytes(), "1 to 200 visible ASCII"),
        ("daybook-actor", &long.as_bytes()[..101], "1 to 100 visible ASCII"),
        ("daybook-actor", b"", "1 to 100 visible ASCII"),
        ("daybook-correlation", b"a b", "1 to 100 visible ASCII"),
        ("if-match", b"3", "such as \"3\""),
        ("if-match", b"\"+3\"", "such as \"3\""),
        ("if-match", b"\"03\"", "such as \"3\""),
        ("if-match", b"W/\"3\"", "such as \"3\""),
        ("if-match", b"\"3\", \"4\"", "such as \"3\""),
        ("if-match", b"\"99999999999999999999\"", "such as \"3\""),
    ];
    for (name, value, rule) in cases {
        let request = served.post("/notes", &json!({"text": "milk"})).header(name, value);
        Answer::of(request).await.expecting(400).is_problem("invalid-request", name, rule);
    }
    let twice = served.post("/notes", &json!({"text": "milk"}));
    let answer = Answer::of(twice.header("idempotency-key", "a").header("idempotency-key", "b")).await.expecting(400);
    answer.is_problem("invalid-request", "idempotency-key", "must be given once");
}

#[tokio::test]
async fn content_types_sizes_paths_and_methods() {
    let (served, _) = api::open().await;
    let (client, url) = (&served.client, served.url("/notes"));
    let body = r#"{"text":"milk"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let answer = Answer::of(client.post(&url).header("content-type", kind).body(body)).await;
        answer.expecting(415).is_problem("unsupported-media-type", "", "");
    }
    Answer::of(client.post(&url).body(body)).await.expecting(415).is_problem("unsupported-media-type", "", "");
    for kind in ["application/json; charset=latin1", "application/json;charset=\"utf-16\"", "application/merge-patch+json"] {
        let answer = Answer::of(client.post(&url).header("content-type", kind).body(body)).await.expecting(415);
        assert!(answer.body["detail"].as_str().unwrap().contains(kind.rsplit('=').next().unwrap().trim_matches('"')), "{answer:?}");
    }
    for kind in ["Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\"", "application/vnd.partner.v1+json"] {
        Answer::of(client.post(&url).header("content-type", kind).body(body)).await.expecting(201);
    }
    let twice = client.post(&url).header("content-type", "application/json").header("content-type", "application/json").body(body);
    Answer::of(twice).await.expecting(400).is_problem("invalid-request", "content-type", "must be given once");
    let packed = client.post(&url).header("content-type", "application/json").header("content-encoding", "gzip").body(body);
    let answer = Answer::of(packed).await.expecting(415);
    assert!(answer.body["detail"].as_str().unwrap().contains("uncompressed"), "{answer:?}");

    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20));
    let answer = Answer::of(client.post(&url).header("content-type", "application/json").body(large)).await;
    answer.expecting(413).is_problem("body-too-large", "", "");

    for (size, status) in [(1 << 20, 400), ((1 << 20) + 1, 413), (3 << 20, 413), (7 << 20, 413)] {
        for path in ["/notes", "/notes/7/burning"] {
            let request = client.post(served.url(path)).header("content-type", "application/json").body(vec![b'x'; size]);
            let answer = Answer::of(request.header("if-match", "nonsense")).await.expecting(status);
            assert_eq!(answer.header("connection"), "close");
        }
        Answer::of(client.post(&url).header("content-type", "application/json").body(body)).await.expecting(201);
    }

    for path in ["/nothing", "/notes/x/y/z", "/%ff", "//notes"] {
        Answer::of(client.post(served.url(path))).await.expecting(404).is_problem("unknown-path", "", "");
    }
    for method in [reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::GET, reqwest::Method::from_bytes(b"ODD").unwrap()] {
        let answer = Answer::of(client.request(method, &url)).await.expecting(405);
        answer.is_problem("method-not-allowed", "", "");
        assert_eq!(answer.header("allow"), "POST");
    }
    let options = Answer::of(client.request(reqwest::Method::OPTIONS, &url)).await.expecting(204);
    assert_eq!(options.header("allow"), "POST");
    for path in ["/notes/", "/notes//", "/notes%2F"] {
        Answer::of(client.post(served.url(path))).await.expecting(404).is_problem("unknown-path", "", "");
    }
    Answer::of(served.post("/notes?dry_run=true", &json!({"text": "milk"}))).await.expecting(400).is_problem(
        "invalid-request",
        "dry_run",
        "no query parameter is",
    );
    Answer::of(served.post("/notes?", &json!({"text": "milk"}))).await.expecting(201);
}
