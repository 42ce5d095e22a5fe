//! `/openapi.json` says what is true.

use crate::shop::{Answer, Shop};
use serde_json::Value;
use std::collections::BTreeSet;

const POSTS: [(&str, &str); 10] = [
    ("/users", "201"),
    ("/users/{id}/profile-changes", "200"),
    ("/users/{id}/closure", "200"),
    ("/products", "201"),
    ("/products/{id}/price-changes", "200"),
    ("/products/{id}/stock-receipts", "200"),
    ("/products/{id}/withdrawal", "200"),
    ("/orders", "201"),
    ("/orders/{id}/cancellation", "200"),
    ("/payments/{id}/refunds", "200"),
];

async fn document() -> Value {
    let shop = Shop::open().await;
    Answer::read(shop.served.get("/openapi.json").await).await.expecting(200).body
}

#[tokio::test]
async fn each_route_tells_each_answer_and_each_header() {
    let document = document().await;
    for (path, success) in POSTS {
        let operation = &document["paths"][path]["post"];
        let answers: BTreeSet<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let problems = ["400", "403", "404", "405", "408", "412", "413", "415", "422", "500", "503"];
        assert_eq!(answers, problems.into_iter().chain([success]).collect(), "{path}");
        for status in problems {
            let schema = &operation["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{path} {status}");
        }
        assert!(operation["responses"][success]["headers"]["Daybook-Position"].is_object(), "{path}");
        assert_eq!(operation["responses"][success]["headers"]["Location"].is_object(), success == "201", "{path}");
        let parameters: BTreeSet<&str> =
            operation["parameters"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        let headers = ["Idempotency-Key", "Daybook-Actor", "If-Match", "Daybook-Correlation", "traceparent"];
        assert!(headers.iter().all(|header| parameters.contains(header)), "{path}: {parameters:?}");
        let may_be_null = |one: &Value| one["in"] == "header" && one["schema"]["type"] != "string";
        assert!(!operation["parameters"].as_array().unwrap().iter().any(may_be_null), "{path}: a header is a text");
        assert_eq!(parameters.contains("id"), path.contains("{id}"), "{path}");
    }
}

/// All that the document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn what_it_refers_to_is_there_and_nothing_unknown_is_taken() {
    let document = document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    for name in ["Registration", "Listing", "Placement", "Line", "Refund", "MoneyBody"] {
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
    }
}

#[tokio::test]
async fn the_process_describes_itself_too() {
    let document = document().await;
    for path in ["/", "/health/live", "/health/ready", "/metrics"] {
        assert!(document["paths"][path]["get"]["responses"]["200"].is_object(), "{path}");
    }
    assert_eq!(document["info"]["title"], "Daybook");
}
