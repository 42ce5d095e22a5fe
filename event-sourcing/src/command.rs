//! Commands: their version and their intent.

use crate::canonical;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// A command to an aggregate.
///
/// Nodes send it to each other in its serde form, with a version, and recognise a repeat by its [`Intent`], which is a separate form. So a
/// field that a later build adds changes neither what an older node reads nor what a retry means.
pub trait Command: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The highest version that this build reads. Raise it when a command gains something that an older build would ignore.
    const VERSION: u32 = 1;

    /// The lowest version that can read everything that this command says: 1, unless it says something that was added later.
    fn version(&self) -> u32 {
        1
    }

    /// What the caller meant: the same for every delivery of the command, at any time and in every build. Two commands under one
    /// idempotency key are the same command if their intents are equal.
    fn intent(&self) -> Intent;
}

/// The canonical form of what a caller meant: the command's name and its fields, without those that are `None`. So a field that a later
/// build adds is absent from the intents of earlier builds, and of callers that do not set it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Intent(Vec<u8>);

impl Intent {
    /// Begins with the command's stable name in kebab case: `place-order`. Golden files hold it, not the name of a Rust type.
    pub fn of(name: &str) -> Self {
        let mut text = b"{\"command\":".to_vec();
        canonical::append(&mut text, &name);
        Self(text)
    }

    /// Adds a field, unless it is `None`.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Serialize) -> Self {
        canonical::append_field(&mut self.0, field, &value);
        self
    }

    /// The canonical bytes: JSON without white space, the fields in the order in which they were added.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))?;
        f.write_str("}")
    }
}

impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Intent;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Line {
        sku: &'static str,
        pieces: i64,
        agreed: Option<i64>,
    }

    #[test]
    fn what_is_not_said_leaves_no_trace() {
        let line = |agreed| Line { sku: "a\"b", pieces: 2, agreed };
        let before = Intent::of("place").with("lines", [line(None)]).with("rush", true);
        let after = Intent::of("place").with("lines", [line(None)]).with("rush", true).with("gift", None::<&str>);
        assert_eq!(before, after);
        assert_eq!(before.to_string(), r#"{"command":"place","lines":[{"sku":"a\"b","pieces":2}],"rush":true}"#);
        assert_ne!(before, Intent::of("place").with("lines", [line(Some(3))]).with("rush", true));
        assert_eq!(Intent::of("go").into_bytes(), br#"{"command":"go"}"#);
    }

    #[test]
    fn a_map_has_one_order_whatever_holds_it() {
        let maps = [[("b", 1), ("a", 2)], [("a", 2), ("b", 1)]].map(std::collections::HashMap::from);
        let texts = maps.map(|map| Intent::of("x").with("map", map).to_string());
        assert_eq!(texts, [r#"{"command":"x","map":{"a":2,"b":1}}"#; 2]);
    }
}
