//! Against a live registry that speaks Confluent's API, at `SCHEMA_REGISTRY_URL` (`./test` starts one).

use schemas::Schemas;

#[tokio::test]
async fn the_registry_gives_the_ids_and_gives_them_again() {
    let Ok(url) = std::env::var("SCHEMA_REGISTRY_URL") else {
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "SCHEMA_REGISTRY_URL must be set");
        return eprintln!("passed over: SCHEMA_REGISTRY_URL is not set (./test sets it)");
    };
    let first = Schemas::connect(&url).await.expect("the registry answers");
    let second = Schemas::connect(&url).await.expect("the registry answers");
    for name in schemas::record_names() {
        assert!(first.id_of(name).is_some_and(|id| second.id_of(name) == Some(id)), "{name}");
    }
    assert!(!first.learn(2_000_000_000).await, "an id that was never given");
    let config: serde_json::Value =
        reqwest::get(format!("{url}/config/daybook.order.OrderPlaced")).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(config["compatibilityLevel"], "FULL_TRANSITIVE");
}
