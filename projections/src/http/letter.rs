//! A dead letter of either kind: a record that a reader could not process, or a reaction that never succeeded.

use crate::{
    Compare, Database, DatabaseError, DeadLetterRow, Envelope, ErrandRow, Filter, Order, Query,
    database::{DEAD, shown_id, view_of},
    shown::rfc3339,
};
use event_sourcing::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// A dead letter: a record or a reaction that was put aside.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetter)]
pub(super) struct Letter {
    /// Its id: `<reader>@<position>` for a record.
    #[schema(example = "orders@orders/3/17")]
    pub id: String,
    /// The key of its row, which names the version of the view, too.
    #[serde(skip)]
    #[schema(ignore)]
    pub key: String,
    /// The reader that put it aside: a view's name, `reactors` for a record that they cannot read, or the reactor whose reaction it is.
    pub reader: String,
    /// The service in whose log the event stands.
    service: String,
    partition: i32,
    offset: i64,
    /// The aggregate that waits for it: whose event the record is, or whom the reaction is about.
    aggregate_id: Uuid,
    /// The Avro record's full name, as its header says; of a reaction, what is to be done.
    r#type: String,
    /// Why it could not be processed, or that it waits behind one that could not.
    pub reason: String,
    /// When the record was put aside, or the reaction was asked for or redriven last.
    #[schema(value_type = String, format = DateTime)]
    parked_at: String,
    /// Which of its event's reactions it is; 0 for a record.
    #[serde(skip)]
    #[schema(ignore)]
    number: i64,
    /// The rest of the record; null for a reaction.
    record: Option<Envelope>,
    /// `parked_at` in milliseconds, by which letters are ordered.
    #[serde(skip)]
    #[schema(ignore)]
    parked: Timestamp,
}

impl From<DeadLetterRow> for Letter {
    fn from(row: DeadLetterRow) -> Self {
        let DeadLetterRow { id: key, reader, service, partition, offset, aggregate_id, r#type, reason, parked_at, record } = row;
        let (id, reader) = (shown_id(&key, &reader), view_of(&reader).to_owned());
        let (parked, parked_at) = (parked_at, rfc3339(parked_at));
        let (number, record) = (0, Some(record));
        Self { id, key, reader, service, partition, offset, aggregate_id, r#type, reason, parked_at, number, record, parked }
    }
}

impl From<ErrandRow> for Letter {
    fn from(row: ErrandRow) -> Self {
        let ErrandRow { id, reactor, kind, service, partition, offset, aggregate_id, reason, since, number, .. } = row;
        let (key, reader, r#type, parked_at) = (id.clone(), reactor, kind, rfc3339(since));
        Self { id, key, reader, service, partition, offset, aggregate_id, r#type, reason, parked_at, number, record: None, parked: since }
    }
}

impl Letter {
    /// True where it is a reaction.
    pub fn is_errand(&self) -> bool {
        self.record.is_none()
    }

    /// When it was put aside.
    pub fn parked(&self) -> Timestamp {
        self.parked
    }

    /// Its place among the letters of its reader and aggregate, as a cursor names it.
    pub fn place_of_aggregate(&self) -> Vec<Value> {
        vec![json!(self.is_errand()), json!(self.service), json!(self.partition), json!(self.offset), json!(self.number)]
    }

    /// Its place among the letters of its database.
    pub fn place(&self) -> [Value; 2] {
        [json!(self.parked), json!(self.key)]
    }
}

/// Letters of a database after a place: the oldest records first, then the oldest reactions.
pub(super) async fn letters_after(
    database: &Database,
    reader: Option<&str>,
    after: Option<&[Value]>,
    limit: u32,
) -> Result<Vec<Letter>, DatabaseError> {
    let filters = match reader {
        Some(reader) => vec![Filter::is("reader", database.reader_of(reader).await?)],
        None => {
            let hidden = database.hidden_readers().await?.into_iter();
            hidden.map(|reader| Filter { column: "reader", compare: Compare::IsNot, value: reader.into() }).collect()
        }
    };
    let query = Query { filters, by: &["parked_at", "id"], order: Order::Rising, after: after.map(<[Value]>::to_vec), limit };
    let records = database.select::<DeadLetterRow>(&query).await?.into_iter().map(Letter::from);
    let errands = database.dead_errands(reader, after.map(<[Value]>::to_vec), limit).await?.into_iter().map(Letter::from);
    Ok(records.chain(errands).collect())
}

/// The letters of this id.
pub(super) async fn letters_of_id(database: &Database, id: &str) -> Result<Vec<Letter>, DatabaseError> {
    let record: Option<DeadLetterRow> = database.row(id).await?;
    let errand = database.errand(id).await?.filter(|errand| errand.status == DEAD);
    Ok(record.map(Letter::from).into_iter().chain(errand.map(Letter::from)).collect())
}

/// Where a page of an aggregate's letters begins: after a record, or after a reaction (or before the first of them).
pub(super) enum Phase {
    Records(Option<Vec<Value>>),
    Errands(Option<Vec<Value>>),
}

impl Phase {
    pub const BEGINNING: Self = Self::Records(None);

    /// After the letter whose place a cursor names.
    pub fn after(place: Vec<Value>) -> Option<Self> {
        let [is_errand, service, partition, offset, number] = <[Value; 5]>::try_from(place).ok()?;
        Some(match is_errand.as_bool()? {
            true => Self::Errands(Some(vec![service, partition, offset, number])),
            false => Self::Records(Some(vec![service, partition, offset])),
        })
    }
}

/// So many letters of one reader and one aggregate: its records in the log's order, then the reactions.
pub(super) async fn page_of(
    database: &Database,
    (reader, aggregate): (&str, Uuid),
    from: Phase,
    limit: u32,
) -> Result<Vec<Letter>, DatabaseError> {
    let (mut letters, errands) = match from {
        Phase::Records(after) => {
            (database.letters_page(reader, aggregate, after, limit).await?.into_iter().map(Letter::from).collect(), None)
        }
        Phase::Errands(after) => (Vec::new(), after),
    };
    let left = limit.saturating_sub(u32::try_from(letters.len()).unwrap_or(limit));
    if left > 0 {
        letters.extend(database.dead_errands_page(reader, aggregate, errands, left).await?.into_iter().map(Letter::from));
    }
    Ok(letters)
}

/// The letters of one reader and one aggregate: its records in the log's order, then the reactions.
pub(super) async fn letters_of(database: &Database, reader: &str, aggregate: Uuid) -> Result<Vec<Letter>, DatabaseError> {
    let records = database.letters_of(reader, aggregate).await?.into_iter().map(Letter::from);
    let errands = database.dead_errands_of(reader, aggregate).await?.into_iter().map(Letter::from);
    Ok(records.chain(errands).collect())
}
