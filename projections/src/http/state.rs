//! The state of a service's query handlers.

use crate::{Database, Views};
use codec::Codecs;
use event_store::Aggregates;
use std::{sync::Arc, time::Duration};

/// A service's database and views, and how long its queries may wait for them. Cheap to clone, which axum does several times for each
/// request.
#[derive(Clone)]
pub struct ReadState(Arc<Read>);

#[derive(Clone)]
struct Read {
    service: Arc<str>,
    database: Database,
    views: Views,
    wait: Duration,
    aggregates: Option<Aggregates>,
    codecs: Option<Codecs>,
}

impl ReadState {
    /// How long `Daybook-At-Least` waits by default.
    pub const WAIT: Duration = Duration::from_secs(5);

    /// Reads the views that a service's database holds.
    pub fn new(service: &str, database: Database, views: impl Into<Views>) -> Self {
        let (service, views) = (service.into(), views.into());
        Self(Arc::new(Read { service, database, views, wait: Self::WAIT, aggregates: None, codecs: None }))
    }

    /// Enables strong reads, for which the handlers ask the owners of aggregates.
    #[must_use]
    pub fn with_aggregates(self, aggregates: Aggregates) -> Self {
        self.changed(|read| read.aggregates = Some(aggregates))
    }

    /// Waits at most so long for `Daybook-At-Least`.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        self.changed(|read| read.wait = wait)
    }

    /// Adds the codecs, which name the system's services and decode their events. A view that reads all logs needs them.
    #[must_use]
    pub fn with_codecs(self, codecs: Codecs) -> Self {
        self.changed(|read| read.codecs = Some(codecs))
    }

    /// The service whose database is read.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Its database.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// The services whose logs the views read.
    pub fn sources(&self) -> Vec<&'static str> {
        let all: Vec<&str> = self.0.codecs.iter().flat_map(Codecs::services).collect();
        self.0.views.sources(&all)
    }

    /// The codecs that decode stored events, where it has them.
    pub fn codecs(&self) -> Option<&Codecs> {
        self.0.codecs.as_ref()
    }

    pub(super) fn views(&self) -> &Views {
        &self.0.views
    }

    pub(super) fn wait(&self) -> Duration {
        self.0.wait
    }

    pub(super) fn aggregates(&self) -> Option<&Aggregates> {
        self.0.aggregates.as_ref()
    }

    fn changed(self, change: impl FnOnce(&mut Read)) -> Self {
        let mut read = Arc::unwrap_or_clone(self.0);
        change(&mut read);
        Self(Arc::new(read))
    }
}
