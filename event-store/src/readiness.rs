//! Whether this process should be sent requests.

use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// Named conditions, all of which must hold before this process should be sent requests. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness {
    conditions: Arc<RwLock<BTreeMap<String, Option<String>>>>,
    notes: Arc<RwLock<BTreeMap<String, String>>>,
}

impl Readiness {
    /// Sets whether a condition holds.
    pub fn set(&self, condition: &str, holds: bool) {
        self.explain(condition, (!holds).then(String::new));
    }

    /// Sets why a condition does not hold; none where it does.
    pub fn explain(&self, condition: &str, why_not: Option<String>) {
        if self.conditions.read().get(condition) == Some(&why_not) {
            return;
        }
        let before = self.conditions.write().insert(condition.to_owned(), why_not.clone());
        match (before, why_not) {
            // It was said before that it does not hold; why may be put in other words at each attempt.
            (Some(Some(before)), Some(_)) if !before.is_empty() => {}
            (_, Some(why)) if !why.is_empty() => tracing::warn!(condition, why, "not ready"),
            (Some(Some(before)), None) if !before.is_empty() => tracing::info!(condition, "ready again"),
            (_, _) => {}
        }
    }

    /// The conditions that do not hold, each with the reason where one is known: `orders/views: the database does not answer`.
    pub fn missing(&self) -> Vec<String> {
        let shown = |(condition, why): (&String, &Option<String>)| {
            let why = why.as_ref()?;
            Some(if why.is_empty() { condition.clone() } else { format!("{condition}: {why}") })
        };
        self.conditions.read().iter().filter_map(shown).collect()
    }

    /// Says what goes on in this process that whoever watches it ought to know, though it can be sent requests; none once it is over.
    pub fn note(&self, what: &str, note: Option<String>) {
        let mut notes = self.notes.write();
        match note {
            Some(note) => drop(notes.insert(what.to_owned(), note)),
            None => drop(notes.remove(what)),
        }
    }

    /// What goes on: `view orders: it is being built, since ...`.
    pub fn notes(&self) -> Vec<String> {
        self.notes.read().iter().map(|(what, note)| format!("{what}: {note}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_named_with_its_reason() {
        let readiness = Readiness::default();
        readiness.set("a", false);
        readiness.set("b", true);
        readiness.explain("c", Some("it is away".to_owned()));
        assert_eq!(readiness.missing(), ["a", "c: it is away"]);
        readiness.explain("c", None);
        readiness.set("a", true);
        assert!(readiness.missing().is_empty());
        readiness.note("view orders", Some("it is being built".to_owned()));
        assert_eq!((readiness.missing().len(), readiness.clone().notes()), (0, vec!["view orders: it is being built".to_owned()]));
        readiness.note("view orders", None);
        assert!(readiness.notes().is_empty());
    }
}
