//! Events as records: which record each event is. How a record becomes bytes is left to writers and readers.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt::Debug;

/// Something that happened to an aggregate. Each variant is one record with a schema of its own; [`events!`](crate::events) makes
/// the implementation from the enum.
pub trait Event: Clone + Debug + Send + Sync + Sized + 'static {
    /// The service whose log these events live in: `orders`.
    const SERVICE: &'static str;
    /// The full names of the records, one for each kind of event: `daybook.order.OrderPlaced`.
    const TYPES: &'static [&'static str];

    /// The full name of the event's record, which is also its registry subject and its `ce_type`.
    fn type_name(&self) -> &'static str;

    /// Hands the event's record to `writer`.
    ///
    /// # Errors
    /// The writer's own.
    fn write<W: RecordWriter>(&self, writer: W) -> Result<W::Written, W::Error>;

    /// Reads the event whose record has this name.
    ///
    /// # Errors
    /// The reader's own; [`RecordReader::foreign`] where the name is not among [`Event::TYPES`].
    fn read<R: RecordReader>(type_name: &str, reader: R) -> Result<Self, R::Error>;
}

/// Serialises a record, to bytes or to JSON.
pub trait RecordWriter {
    /// The serialised record.
    type Written;
    /// Why a record could not be serialised.
    type Error;

    /// Writes a record of this full name.
    ///
    /// # Errors
    /// The record does not fit its schema.
    fn record<T: Serialize>(self, type_name: &'static str, record: &T) -> Result<Self::Written, Self::Error>;
}

/// A serialised record that is to be read.
pub trait RecordReader {
    /// Why it cannot be read.
    type Error;

    /// The record as `T`.
    ///
    /// # Errors
    /// The record does not fit `T`.
    fn record<T: DeserializeOwned>(self) -> Result<T, Self::Error>;

    /// The error for a record that is not among the events to be read.
    fn foreign(self) -> Self::Error;
}

/// Why a JSON value is no record of the wanted events.
#[derive(Debug, thiserror::Error)]
pub enum WrongRecord {
    /// No event has a record of this name.
    #[error("{0} is not a record of these events")]
    Foreign(String),
    /// The record has another shape.
    #[error("{type_name}: {reason}")]
    Shape {
        /// The record's full name.
        type_name: String,
        /// What serde said.
        reason: serde_json::Error,
    },
}

struct ToJson;

impl RecordWriter for ToJson {
    type Written = Value;
    type Error = serde_json::Error;

    fn record<T: Serialize>(self, _: &'static str, record: &T) -> Result<Value, serde_json::Error> {
        serde_json::to_value(record)
    }
}

struct FromJson<'a> {
    type_name: &'a str,
    value: Value,
}

impl RecordReader for FromJson<'_> {
    type Error = WrongRecord;

    fn record<T: DeserializeOwned>(self) -> Result<T, WrongRecord> {
        let type_name = self.type_name.to_owned();
        serde_json::from_value(self.value).map_err(|reason| WrongRecord::Shape { type_name, reason })
    }

    fn foreign(self) -> WrongRecord {
        WrongRecord::Foreign(self.type_name.to_owned())
    }
}

/// The fields of an event's record, as JSON.
pub fn to_json<E: Event>(event: &E) -> Value {
    event.write(ToJson).expect("a record is a struct of texts, numbers and lists, which is always JSON")
}

/// Reads an event from its record's fields in JSON: the inverse of [`to_json`].
///
/// # Errors
/// [`WrongRecord`] if the name or the shape does not fit.
pub fn from_json<E: Event>(type_name: &str, value: Value) -> Result<E, WrongRecord> {
    E::read(type_name, FromJson { type_name, value })
}

/// Declares an aggregate's events: the enum, the log they live in and the name space of their records. Each variant holds a struct
/// whose name, within the name space, is its record's full name.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// pub struct BookLent {
///     pub to: String,
/// }
///
/// event_sourcing::events! {
///     /// What may have happened to a book.
///     pub enum BookEvent in "books", "library.book" {
///         Lent(BookLent),
///     }
/// }
/// assert_eq!(event_sourcing::Event::type_name(&BookEvent::Lent(BookLent { to: "ada".into() })), "library.book.BookLent");
/// ```
#[macro_export]
macro_rules! events {
    (
        $(#[$meta:meta])*
        pub enum $event:ident in $service:literal, $space:literal {
            $($(#[$variant_meta:meta])* $variant:ident($record:ident)),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "a variant is documented by its record")]
        pub enum $event {
            $($(#[$variant_meta])* $variant($record)),*
        }

        impl $crate::Event for $event {
            const SERVICE: &'static str = $service;
            const TYPES: &'static [&'static str] = &[$(concat!($space, ".", stringify!($record))),*];

            fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => concat!($space, ".", stringify!($record)),)*
                }
            }

            fn write<W: $crate::RecordWriter>(&self, writer: W) -> Result<W::Written, W::Error> {
                match self {
                    $(Self::$variant(record) => writer.record(concat!($space, ".", stringify!($record)), record),)*
                }
            }

            fn read<R: $crate::RecordReader>(type_name: &str, reader: R) -> Result<Self, R::Error> {
                $(if type_name == concat!($space, ".", stringify!($record)) {
                    return reader.record().map(Self::$variant);
                })*
                Err(reader.foreign())
            }
        }
    };
}
