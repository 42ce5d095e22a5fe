//! Against a live registry that speaks Confluent's API, at `SCHEMA_REGISTRY_URL` (`./test` starts one).

use codec::{Access, Learned, Registry, Schemas};
use schemas::RECORDS;

fn registry(url: &str) -> Registry {
    Registry::new(url, Access::default()).expect("an address")
}

#[tokio::test]
async fn the_registry_gives_the_ids_and_gives_them_again() {
    let Ok(url) = std::env::var("SCHEMA_REGISTRY_URL") else {
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "SCHEMA_REGISTRY_URL must be set");
        return eprintln!("passed over: SCHEMA_REGISTRY_URL is not set (./test sets it)");
    };
    let first = Schemas::connect(&RECORDS, &registry(&url)).await.expect("the registry answers");
    let second = Schemas::connect(&RECORDS, &registry(&url)).await.expect("the registry answers");
    for name in RECORDS.names() {
        assert!(first.id_of(name).is_some_and(|id| second.id_of(name) == Some(id)), "{name}");
    }
    assert_eq!(first.learn(2_000_000_000).await, Learned::NeverGiven);
    assert_eq!(first.learn(-1).await, Learned::NeverGiven);
    let config: serde_json::Value =
        reqwest::get(format!("{url}/config/daybook.order.OrderPlaced")).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(config["compatibilityLevel"], "FULL_TRANSITIVE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_all_come_to_the_same_ids() {
    let Ok(url) = std::env::var("SCHEMA_REGISTRY_URL") else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    for name in RECORDS.names() {
        // Setting a rule anew is what they race for.
        client.delete(format!("{url}/config/{name}")).send().await.expect("an answer");
    }
    let nodes: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { Schemas::connect(&RECORDS, &registry(&url)).await }
            })
        })
        .collect();
    let mut ids = Vec::new();
    for node in nodes {
        let schemas = node.await.expect("it does not panic").expect("it starts");
        ids.push(RECORDS.names().map(|name| schemas.id_of(name)).collect::<Vec<_>>());
    }
    assert!(ids.iter().all(|others| *others == ids[0]));
}
