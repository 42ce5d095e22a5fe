//! Checks of what `/openapi.json` must say of every POST.

use serde_json::Value;
use std::collections::BTreeSet;

/// Checks that the route lists each answer that it may give (`success` is the one that is no problem), and each header that it takes.
pub fn tells_all(document: &Value, path: &str, success: &str) {
    let operation = &document["paths"][path]["post"];
    let answers: BTreeSet<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
    let problems = ["400", "403", "404", "405", "408", "412", "413", "415", "422", "500", "503", "504"];
    assert_eq!(answers, problems.into_iter().chain([success]).collect(), "{path}");
    for status in problems {
        let schema = &operation["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem", "{path} {status}");
    }
    assert!(operation["responses"][success]["headers"]["Daybook-Position"].is_object(), "{path}");
    assert_eq!(operation["responses"][success]["headers"]["Location"].is_object(), success == "201", "{path}");
    let parameters: BTreeSet<&str> = operation["parameters"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    let headers = ["Idempotency-Key", "Daybook-Actor", "If-Match", "Daybook-Correlation", "traceparent"];
    assert!(headers.iter().all(|header| parameters.contains(header)), "{path}: {parameters:?}");
    let may_be_null = |one: &Value| one["in"] == "header" && one["schema"]["type"] != "string";
    assert!(!operation["parameters"].as_array().unwrap().iter().any(may_be_null), "{path}: a header is a text");
    assert_eq!(parameters.contains("id"), path.contains("{id}"), "{path}");
}

/// Checks that the document holds everything that it refers to; answers the number of references.
pub fn refers_to_what_is_there(document: &Value) -> usize {
    let mut found = BTreeSet::new();
    references(document, &mut found);
    for reference in &found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    found.len()
}

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
