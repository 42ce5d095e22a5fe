//! What a view is.

use crate::table::{Table, TableSpec};
use domain::{notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent, user::UserEvent};
use event_store::Recorded;
use schemas::{AnyEvent, SERVICES, WireEvent};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    marker::PhantomData,
    sync::Arc,
};

/// Events that a view reads: those of one service, or those of all.
pub trait LogEvent: Clone + Send + Sync + 'static {
    /// The services in whose logs they stand.
    const SOURCES: &'static [&'static str];

    /// The event, where it is one of these.
    fn of(event: &AnyEvent) -> Option<&Self>;
}

impl LogEvent for AnyEvent {
    const SOURCES: &'static [&'static str] = &SERVICES;

    fn of(event: &AnyEvent) -> Option<&Self> {
        Some(event)
    }
}

macro_rules! events_of_one_service {
    ($($variant:ident $event:ty;)*) => {
        $(impl LogEvent for $event {
            const SOURCES: &'static [&'static str] = &[<$event as WireEvent>::SERVICE];

            fn of(event: &AnyEvent) -> Option<&Self> {
                if let AnyEvent::$variant(event) = event { Some(event) } else { None }
            }
        })*
    };
}

events_of_one_service! {
    User UserEvent;
    Product ProductEvent;
    Order OrderEvent;
    Payment PaymentEvent;
    Notification NotificationEvent;
}

/// A pure fold of events into rows, key by key.
///
/// The rule that keeps it exact: a view that folds several events into one row reads **one** service's log, in which all
/// events of an aggregate stand in one partition; a view that reads several logs has a row per event, whose key holds
/// service, partition and offset. So two partitions, which are read side by side, never want the same row.
pub trait View: Send + Sync + 'static {
    /// The view's name, which is its reader's name among the checkpoints.
    const NAME: &'static str;
    /// The services whose logs it reads.
    const SOURCES: &'static [&'static str] = <Self::Event as LogEvent>::SOURCES;
    /// What it reads.
    type Event: LogEvent;
    /// What tells its rows apart; shown as text it is the table's primary key.
    type Key: Display;
    /// A row.
    type Row: Table;

    /// The keys of the rows that the event touches.
    fn keys(event: &Recorded<Self::Event>) -> impl Iterator<Item = Self::Key>;

    /// The row after the event; none where there is none (any more).
    fn apply(row: Option<Self::Row>, event: &Recorded<Self::Event>) -> Option<Self::Row>;
}

/// What a batch does to a table.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) written: Vec<Value>,
    pub(crate) deleted: Vec<String>,
}

/// A view whose types are forgotten, so that the runner keeps many.
pub trait Fold: Send + Sync {
    /// [`View::NAME`].
    fn name(&self) -> &'static str;
    /// [`View::SOURCES`].
    fn sources(&self) -> &'static [&'static str];
    /// The view's table.
    fn table(&self) -> &'static TableSpec;
    /// The keys that a batch touches, each once.
    fn keys(&self, records: &[&Recorded<AnyEvent>]) -> Vec<String>;
    #[doc(hidden)]
    fn fold(&self, loaded: Vec<String>, records: &[&Recorded<AnyEvent>]) -> Result<Folded, serde_json::Error>;
}

/// What a fold came to; only the runner looks inside.
pub struct Folded(pub(crate) Changes);

/// A view in the registry.
pub type ErasedView = Arc<dyn Fold>;

/// The view `V`, its types forgotten.
pub fn erased<V: View>() -> ErasedView {
    Arc::new(Typed::<V>(PhantomData))
}

struct Typed<V>(PhantomData<V>);

fn readable<'a, V: View>(records: &'a [&Recorded<AnyEvent>]) -> impl Iterator<Item = Recorded<V::Event>> + 'a {
    records.iter().filter_map(|record| V::Event::of(&record.event).map(|event| record.with(event.clone())))
}

impl<V: View> Fold for Typed<V> {
    fn name(&self) -> &'static str {
        V::NAME
    }

    fn sources(&self) -> &'static [&'static str] {
        V::SOURCES
    }

    fn table(&self) -> &'static TableSpec {
        &V::Row::SPEC
    }

    fn keys(&self, records: &[&Recorded<AnyEvent>]) -> Vec<String> {
        let mut keys = BTreeSet::new();
        for record in readable::<V>(records) {
            keys.extend(V::keys(&record).map(|key| key.to_string()));
        }
        keys.into_iter().collect()
    }

    fn fold(&self, loaded: Vec<String>, records: &[&Recorded<AnyEvent>]) -> Result<Folded, serde_json::Error> {
        let mut rows: BTreeMap<String, Option<V::Row>> = BTreeMap::new();
        for text in loaded {
            let row: Value = serde_json::from_str(&text)?;
            let key = row[V::Row::SPEC.key].as_str().unwrap_or_default().to_owned();
            rows.insert(key, Some(serde_json::from_value(row)?));
        }
        let before: BTreeSet<String> = rows.keys().cloned().collect();
        for record in readable::<V>(records) {
            for key in V::keys(&record) {
                let row = rows.entry(key.to_string()).or_default();
                *row = V::apply(row.take(), &record);
            }
        }
        changes(rows, &before).map(Folded)
    }
}

/// What there is to write, and what of that which was there is to be deleted.
fn changes<R: Table>(rows: BTreeMap<String, Option<R>>, before: &BTreeSet<String>) -> Result<Changes, serde_json::Error> {
    let mut changes = Changes::default();
    for (key, row) in rows {
        match row {
            Some(row) => changes.written.push(serde_json::to_value(row)?),
            None if before.contains(&key) => changes.deleted.push(key),
            None => {}
        }
    }
    Ok(changes)
}
