//! Whether this process should be sent requests.

use axum::{Json, extract::State, http::StatusCode};
use parking_lot::RwLock;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// Named conditions, all of which must hold. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<String, bool>>>);

impl Readiness {
    /// Says whether a condition holds.
    pub fn set(&self, condition: &str, holds: bool) {
        self.0.write().insert(condition.to_owned(), holds);
    }

    /// The conditions that do not hold.
    pub fn missing(&self) -> Vec<String> {
        self.0.read().iter().filter(|(_, holds)| !**holds).map(|(condition, _)| condition.clone()).collect()
    }
}

pub(super) async fn answer(State(readiness): State<Readiness>) -> (StatusCode, Json<serde_json::Value>) {
    let missing = readiness.missing();
    let (status, says) = if missing.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting") };
    (status, Json(json!({"status": says, "waiting_for": missing})))
}
