//! The views that one database holds.

use crate::view::ErasedView;
use event_sourcing::Sources;
use std::{collections::BTreeSet, sync::Arc};

/// The views of one database. Cheap to clone.
#[derive(Clone, Default)]
pub struct Views(Arc<Vec<ErasedView>>);

impl From<Vec<ErasedView>> for Views {
    fn from(views: Vec<ErasedView>) -> Self {
        Self::new(views)
    }
}

impl Views {
    /// These views.
    pub fn new(views: Vec<ErasedView>) -> Self {
        Self(Arc::new(views))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ErasedView> {
        self.0.iter()
    }

    /// The view of this name, where there is one.
    pub fn named(&self, name: &str) -> Option<&ErasedView> {
        self.0.iter().find(|view| view.name() == name)
    }

    /// The names of the views that read this service's log.
    pub fn names_reading(&self, service: &str) -> Vec<&'static str> {
        self.0.iter().filter(|view| view.sources().include(service)).map(|view| view.name()).collect()
    }

    /// The services whose logs the views read, in alphabetical order; `all` are the services of the system.
    pub fn sources(&self, all: &[&'static str]) -> Vec<&'static str> {
        let services = |view: &ErasedView| match view.sources() {
            Sources::All => all.to_vec(),
            Sources::Of(services) => services.to_vec(),
        };
        let sources: BTreeSet<&str> = self.0.iter().flat_map(services).collect();
        sources.into_iter().collect()
    }
}
