//! The kinds of aggregate that an auditor may ask for.

use crate::ErasedView;

/// For each kind of aggregate the service in whose log its events stand, and the view that shows it.
#[derive(Clone)]
pub struct Catalogue(Vec<Kind>);

/// A kind of aggregate.
#[derive(Clone)]
pub(super) struct Kind {
    pub aggregate: &'static str,
    pub service: &'static str,
    /// None if no view shows such an aggregate; its events can be listed all the same.
    pub view: Option<ErasedView>,
}

impl Catalogue {
    /// From the kinds' names: `("order", ("orders", Some(erased::<Orders>())))`.
    pub fn new(kinds: Vec<(&'static str, (&'static str, Option<ErasedView>))>) -> Self {
        Self(kinds.into_iter().map(|(aggregate, (service, view))| Kind { aggregate, service, view }).collect())
    }

    pub(super) fn kind(&self, aggregate: &str) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.aggregate == aggregate)
    }

    /// The kinds' names, in the order in which they were given.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|kind| kind.aggregate).collect()
    }
}
