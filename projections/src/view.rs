//! The trait of a view, and its type-erased form, which the runner uses.

use crate::{
    shown::shown,
    table::{Table, TableSpec},
};
use event_sourcing::{AnyEvent, FromLog, Recorded, Sources};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Display,
    marker::PhantomData,
    sync::Arc,
};

/// A pure fold of events into rows, key by key.
///
/// The rule that keeps it exact: a view that folds several events into one row reads **one** service's log, in which all events of an
/// aggregate stand in one partition; a view that reads several logs has a row per event, whose key holds service, partition and offset. So
/// two partitions, which the runner reads concurrently, never write the same row.
pub trait View: Send + Sync + 'static {
    /// The view's name, under which its checkpoints stand.
    const NAME: &'static str;
    /// The services whose logs it reads.
    const SOURCES: Sources = <Self::Event as FromLog>::SOURCES;
    /// The version of the fold. Raise it whenever [`keys`](Self::keys) or [`apply`](Self::apply) make other rows of the same events: the
    /// view is then built anew beside the old rows. Columns and indexes need no such word: a change of theirs is noticed.
    const FOLD: u64 = 1;
    /// The events that it reads: one service's, or those of several ([`union!`](event_sourcing::union)), or all.
    type Event: FromLog;
    /// The key of a row; its `Display` text is the table's primary key.
    type Key: Display;
    /// A row.
    type Row: Table;

    /// The keys of the rows that the event touches.
    fn keys(event: &Recorded<Self::Event>) -> impl Iterator<Item = Self::Key>;

    /// True when this event creates its rows: the runner then skips the lookup and inserts them. Return true for the first event of the
    /// aggregate whose row it is, and for every event of a view that has a row per event.
    fn begins(_event: &Recorded<Self::Event>) -> bool {
        false
    }

    /// The row after the event; `None` deletes the row, or leaves it absent.
    fn apply(row: Option<Self::Row>, event: &Recorded<Self::Event>) -> Option<Self::Row>;
}

/// A type-erased view, so that one runner can hold views of many types.
pub trait Fold: Send + Sync {
    /// [`View::NAME`].
    fn name(&self) -> &'static str;
    /// [`View::SOURCES`].
    fn sources(&self) -> Sources;
    /// The view's table.
    fn table(&self) -> &'static TableSpec;
    /// [`View::FOLD`].
    fn fold_version(&self) -> u64;
    /// Selects from a batch the events that the view reads.
    fn read(&self, records: &[&Recorded<AnyEvent>]) -> Box<dyn Events>;
    /// Begins to fold the events of one aggregate, one by one, apart from the table.
    fn folding(&self) -> Box<dyn Folding>;
    /// The row that these events of one aggregate fold into, in the form in which the API shows it; none if they leave no row.
    fn as_of(&self, records: &[Recorded<AnyEvent>]) -> Option<Value> {
        let mut folding = self.folding();
        records.iter().for_each(|record| folding.fold(record));
        folding.shown()
    }
}

/// A row that events of one aggregate are folded into.
pub trait Folding: Send {
    /// Folds one more event.
    fn fold(&mut self, record: &Recorded<AnyEvent>);
    /// The row so far, in the form in which the API shows it; none if the events left no row.
    fn shown(&self) -> Option<Value>;
}

/// The events of a batch that one view reads, ready to be folded.
pub trait Events: Send {
    /// The keys of the rows that must be loaded before the fold, each once.
    fn keys(&self) -> Vec<String>;
    /// Folds the events into the loaded rows, which are JSON text.
    ///
    /// # Errors
    /// A loaded row does not fit the view's row type.
    fn fold(self: Box<Self>, loaded: Vec<String>) -> Result<Changes, serde_json::Error>;
}

/// The writes and deletions that a batch makes in a table.
pub struct Changes {
    /// How many rows are written.
    pub count: usize,
    /// How many of them, the last ones, are new rows: an event of the batch begins them.
    pub new: usize,
    /// The rows to write, each serialised when the iterator reaches it.
    pub written: Box<dyn Iterator<Item = Result<Value, serde_json::Error>> + Send>,
    /// The keys of the rows that are deleted.
    pub deleted: Vec<String>,
}

/// A type-erased view. Clones share it.
pub type ErasedView = Arc<dyn Fold>;

/// Erases the types of the view `V`.
pub fn erased<V: View>() -> ErasedView {
    Arc::new(Typed::<V>(PhantomData))
}

struct Typed<V>(PhantomData<V>);

impl<V: View> Fold for Typed<V> {
    fn name(&self) -> &'static str {
        V::NAME
    }

    fn sources(&self) -> Sources {
        V::SOURCES
    }

    fn table(&self) -> &'static TableSpec {
        &V::Row::SPEC
    }

    fn fold_version(&self) -> u64 {
        V::FOLD
    }

    fn read(&self, records: &[&Recorded<AnyEvent>]) -> Box<dyn Events> {
        Box::new(Read::<V>::new(records.iter().filter_map(|record| readable::<V>(record))))
    }

    fn folding(&self) -> Box<dyn Folding> {
        Box::new(Folded::<V>(None))
    }
}

struct Folded<V: View>(Option<V::Row>);

impl<V: View> Folding for Folded<V> {
    fn fold(&mut self, record: &Recorded<AnyEvent>) {
        if let Some(record) = readable::<V>(record) {
            self.0 = V::apply(self.0.take(), &record);
        }
    }

    fn shown(&self) -> Option<Value> {
        self.0.as_ref().and_then(|row| shown(row).ok())
    }
}

/// The record with its event in the view's type; none if the view does not read the event.
fn readable<V: View>(record: &Recorded<AnyEvent>) -> Option<Recorded<V::Event>> {
    V::Event::of(&record.event).map(|event| record.with(event))
}

struct Read<V: View> {
    /// Each event with the keys of the rows that it touches.
    events: Vec<(Recorded<V::Event>, Vec<String>)>,
    /// The keys of the rows that may exist already, and so must be loaded.
    older: BTreeSet<String>,
}

impl<V: View> Read<V> {
    fn new(records: impl Iterator<Item = Recorded<V::Event>>) -> Self {
        let with_keys = |record| {
            let keys = V::keys(&record).map(|key| key.to_string()).collect();
            (record, keys)
        };
        let events: Vec<(Recorded<V::Event>, Vec<String>)> = records.map(with_keys).collect();
        let (mut older, mut begun) = (BTreeSet::new(), HashSet::new());
        if events.iter().all(|(record, _)| V::begins(record)) {
            return Self { events, older };
        }
        for (record, keys) in &events {
            if V::begins(record) {
                begun.extend(keys);
            } else {
                older.extend(keys.iter().filter(|key| !begun.contains(key)).cloned());
            }
        }
        drop(begun);
        Self { events, older }
    }
}

impl<V: View> Events for Read<V> {
    fn keys(&self) -> Vec<String> {
        self.older.iter().cloned().collect()
    }

    fn fold(self: Box<Self>, loaded: Vec<String>) -> Result<Changes, serde_json::Error> {
        let Self { events, older } = *self;
        let mut rows: BTreeMap<String, Option<V::Row>> = BTreeMap::new();
        for text in loaded {
            let row: Value = serde_json::from_str(&text)?;
            let key = row[V::Row::SPEC.key].as_str().unwrap_or_default().to_owned();
            rows.insert(key, Some(serde_json::from_value(row)?));
        }
        let before: BTreeSet<String> = rows.keys().cloned().collect();
        for (record, keys) in events {
            for key in keys {
                let row = rows.entry(key).or_default();
                *row = V::apply(row.take(), &record);
            }
        }
        Ok(changes(rows, &older, &before))
    }
}

/// Divides the folded rows into rows to write, the new ones last, and keys of loaded rows to delete.
fn changes<R: Table>(rows: BTreeMap<String, Option<R>>, older: &BTreeSet<String>, before: &BTreeSet<String>) -> Changes {
    let (mut new, mut written, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for (key, row) in rows {
        match row {
            Some(row) if older.contains(&key) => written.push(row),
            Some(row) => new.push(row),
            None if before.contains(&key) => deleted.push(key),
            None => {}
        }
    }
    let begun = new.len();
    written.append(&mut new);
    Changes { count: written.len(), new: begun, written: Box::new(written.into_iter().map(serde_json::to_value)), deleted }
}
