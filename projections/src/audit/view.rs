//! Every event of every service, as it stands in the log: who, when, why, where.

use crate::{Column, Table, TableSpec, View};
use codec::Codecs;
use event_sourcing::{AnyEvent, Cause, Context, Position, Recorded, Timestamp, WrongRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One event. `type` is the Avro record's full name.
#[allow(missing_docs, reason = "the fields are those of an event in its circumstances")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditRow {
    pub position: String,
    pub service: String,
    pub partition: i32,
    pub offset: i64,
    pub aggregate: String,
    pub aggregate_id: Uuid,
    pub version: u64,
    pub event_id: String,
    pub r#type: String,
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    pub actor: String,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    #[schema(value_type = Object)]
    pub event: Value,
}

impl Table for AuditRow {
    const SPEC: TableSpec = TableSpec {
        name: "audit",
        key: "position",
        columns: &[
            Column::text("position"),
            Column::text("service"),
            Column::integer("partition"),
            Column::integer("offset"),
            Column::text("aggregate"),
            Column::text("aggregate_id"),
            Column::integer("version"),
            Column::text("event_id"),
            Column::text("type"),
            Column::timestamp("time"),
            Column::text("actor"),
            Column::text("correlation_id"),
            Column::text("causation_id"),
            Column::json("event"),
        ],
        indexes: &[
            &["aggregate_id", "version"],
            &["service", "partition", "offset"],
            &["actor", "service", "partition", "offset"],
            &["time"],
        ],
    };
}

/// The view, with a row for every event.
pub struct Audit;

impl View for Audit {
    const NAME: &'static str = "audit";
    type Event = AnyEvent;
    type Key = Position;
    type Row = AuditRow;

    fn keys(event: &Recorded<AnyEvent>) -> impl Iterator<Item = Position> {
        std::iter::once(event.position.clone())
    }

    fn begins(_: &Recorded<AnyEvent>) -> bool {
        true
    }

    fn apply(_: Option<AuditRow>, record: &Recorded<AnyEvent>) -> Option<AuditRow> {
        let Position { service, partition, offset } = &record.position;
        Some(AuditRow {
            position: record.position.to_string(),
            service: service.to_string(),
            partition: *partition,
            offset: *offset,
            aggregate: record.event.aggregate().to_owned(),
            aggregate_id: record.aggregate_id,
            version: record.version,
            event_id: record.event_id.clone(),
            r#type: record.type_name.to_string(),
            time: record.time,
            actor: record.cause.actor.clone(),
            correlation_id: record.cause.correlation_id.clone(),
            causation_id: record.cause.causation_id.clone(),
            event: record.event.to_json(),
        })
    }
}

/// Restores the event that a row of the audit holds.
///
/// # Errors
/// The row holds no event of its service.
pub fn recorded(row: AuditRow, codecs: &Codecs) -> Result<Recorded<AnyEvent>, WrongRecord> {
    let event = codecs.from_json(&row.service, &row.r#type, row.event)?;
    Ok(Recorded::new(
        Context {
            position: Position { service: row.service.into(), partition: row.partition, offset: row.offset },
            aggregate_id: row.aggregate_id,
            version: row.version,
            event_id: row.event_id,
            type_name: row.r#type.into(),
            time: row.time,
            cause: Cause { actor: row.actor, correlation_id: row.correlation_id, causation_id: row.causation_id, traceparent: None },
        },
        event,
    ))
}
