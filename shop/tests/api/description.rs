//! `/openapi.json` describes the shop's routes as they are.

use crate::{
    shop::Shop,
    support::{
        answer::Answer,
        described::{refers_to_what_is_there, tells_all},
    },
};
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
    POSTS.iter().for_each(|(path, success)| tells_all(&document, path, success));
    let posts = document["paths"].as_object().unwrap().iter().filter(|(_, path)| path["post"].is_object());
    let known = POSTS.iter().map(|(path, _)| *path);
    assert_eq!(posts.map(|(path, _)| path.as_str()).collect::<BTreeSet<_>>(), known.collect(), "there are no others");
}

#[tokio::test]
async fn what_it_refers_to_is_there_and_nothing_unknown_is_taken() {
    let document = document().await;
    assert!(refers_to_what_is_there(&document) > 10);
    for name in ["Registration", "Listing", "Placement", "Line", "Refund", "MoneyBody"] {
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
    }
}
