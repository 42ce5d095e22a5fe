//! `/openapi.json` describes each route, and the process, as they are.

use crate::{
    api,
    support::{
        answer::Answer,
        described::{refers_to_what_is_there, tells_all},
    },
};
use serde_json::Value;

async fn document() -> Value {
    let (served, _) = api::open().await;
    Answer::read(served.get("/openapi.json").await).await.expecting(200).body
}

#[tokio::test]
async fn each_route_tells_each_answer_and_each_header() {
    let document = document().await;
    for (path, success) in [("/notes", "201"), ("/notes/{id}/text", "200"), ("/notes/{id}/burning", "200")] {
        tells_all(&document, path, success);
    }
}

#[tokio::test]
async fn what_it_refers_to_is_there_and_nothing_unknown_is_taken() {
    let document = document().await;
    assert!(refers_to_what_is_there(&document) > 5);
    for name in ["Writing", "Place", "Link"] {
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
