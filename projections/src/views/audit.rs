//! Every event of every service, as it stands in the log: who, when, why, where.

use super::event_json::event_json;
use crate::{Column, Table, TableSpec, View};
use domain::Timestamp;
use event_store::{Position, Recorded};
use schemas::AnyEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One event. `type` is the Avro record's full name.
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
            &["time", "service", "partition", "offset"],
            &["actor", "time", "service", "partition", "offset"],
        ],
    };
}

/// The view.
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
            aggregate: aggregate_of(&record.event).to_owned(),
            aggregate_id: record.aggregate_id,
            version: record.version,
            event_id: record.event_id.clone(),
            r#type: record.type_name.to_string(),
            time: record.time,
            actor: record.cause.actor.clone(),
            correlation_id: record.cause.correlation_id.clone(),
            causation_id: record.cause.causation_id.clone(),
            event: event_json(&record.event),
        })
    }
}

/// The kinds of aggregate, as they stand in the audit.
pub const AGGREGATES: [&str; 5] = ["user", "product", "order", "payment", "notification"];

fn aggregate_of(event: &AnyEvent) -> &'static str {
    match event {
        AnyEvent::User(_) => "user",
        AnyEvent::Product(_) => "product",
        AnyEvent::Order(_) => "order",
        AnyEvent::Payment(_) => "payment",
        AnyEvent::Notification(_) => "notification",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{
        orders::tests::placed,
        testing::{ID, recorded},
    };

    #[test]
    fn an_event_is_kept_with_its_place_and_its_cause() {
        let record = recorded("orders", 7, AnyEvent::Order(placed()));
        let row = Audit::apply(None, &record).unwrap();
        assert_eq!((&*row.position, row.partition, row.offset, row.version), ("orders/2/7", 2, 7, 7));
        assert_eq!((&*row.aggregate, row.aggregate_id, &*row.actor), ("order", ID, "user/ada"));
        assert_eq!(row.event["lines"][0]["quantity"], 2);
        assert!(AGGREGATES.contains(&&*row.aggregate));
    }
}
