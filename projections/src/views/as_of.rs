//! An aggregate as it was: its view's row, folded from its events up to a moment or a place of the log.

use super::{
    audit::AuditRow, notifications::Notifications, orders::Orders, payments::Payments, products::Products, timeline::TimelineRow,
    users::Users,
};
use crate::{
    http::shown,
    view::{LogEvent, View},
};
use domain::Timestamp;
use event_store::{Cause, Context, Position, Recorded};
use schemas::{AnyEvent, DecodeError};
use serde_json::Value;

/// Up to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Everything before the first event that happened after this moment.
    Time(Timestamp),
    /// Everything up to this place, which is in the aggregate's own partition.
    Position(Position),
}

impl AsOf {
    fn includes(&self, record: &Recorded<AnyEvent>) -> bool {
        match self {
            Self::Time(moment) => record.time <= *moment,
            Self::Position(position) => record.position.offset <= position.offset,
        }
    }
}

/// The events of one aggregate, in the log's order, up to then. Events are kept in the log's order, so what comes behind one that is
/// too late is too late as well, whatever its clock said.
pub fn up_to(records: Vec<Recorded<AnyEvent>>, at: &AsOf) -> Vec<Recorded<AnyEvent>> {
    records.into_iter().take_while(|record| at.includes(record)).collect()
}

/// What a view shows after these events of one aggregate.
fn row<V: View>(records: &[Recorded<AnyEvent>]) -> Option<Value> {
    let readable = records.iter().filter_map(|record| V::Event::of(&record.event).map(|event| record.with(event.clone())));
    let row = readable.fold(None, |row, record| V::apply(row, &record))?;
    shown(&row).ok()
}

/// The row of an aggregate after its events; none where it does not exist then.
pub fn row_of(records: &[Recorded<AnyEvent>]) -> Option<Value> {
    match records.first()?.event {
        AnyEvent::User(_) => row::<Users>(records),
        AnyEvent::Product(_) => row::<Products>(records),
        AnyEvent::Order(_) => row::<Orders>(records),
        AnyEvent::Payment(_) => row::<Payments>(records),
        AnyEvent::Notification(_) => row::<Notifications>(records),
    }
}

/// The event that a row of the audit keeps.
pub fn of_audit(row: AuditRow) -> Result<Recorded<AnyEvent>, DecodeError> {
    let event = AnyEvent::from_json(&row.service, &row.r#type, row.event)?;
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

/// The events of the order itself that its timeline keeps, whose rows come in the log's order.
pub fn of_timeline(rows: Vec<TimelineRow>) -> Result<Vec<Recorded<AnyEvent>>, DecodeError> {
    let own = rows.into_iter().filter(|row| row.service == "orders");
    own.zip(1..).map(|(row, version)| of_entry(row, version)).collect()
}

fn of_entry(row: TimelineRow, version: u64) -> Result<Recorded<AnyEvent>, DecodeError> {
    let type_name = format!("daybook.order.{}", row.event);
    let event = AnyEvent::from_json(&row.service, &type_name, row.data)?;
    Ok(Recorded::new(
        Context {
            position: Position { service: row.service.into(), partition: row.partition, offset: row.offset },
            aggregate_id: row.order_id.0,
            version,
            event_id: row.event_id,
            type_name: type_name.into(),
            time: row.time,
            cause: Cause { actor: row.actor, correlation_id: String::new(), causation_id: row.causation_id, traceparent: None },
        },
        event,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{
        audit::Audit,
        orders::tests::{all_reserved, cancelled, line_reserved, placed},
        testing::recorded,
    };
    use domain::order::OrderEvent;
    use schemas::WireEvent;

    /// The n-th event happens at n seconds.
    fn story() -> Vec<Recorded<AnyEvent>> {
        let events = [placed(), line_reserved(0, 250), line_reserved(1, 200), all_reserved(), cancelled()];
        let written = |(version, event): (u64, OrderEvent)| {
            let (type_name, record) = (event.type_name().into(), recorded("orders", version, ()));
            Recorded::new(Context { type_name, ..(*record.context).clone() }, AnyEvent::Order(event))
        };
        (1..).zip(events).map(written).collect()
    }

    fn status(at: &AsOf) -> Option<(String, u64)> {
        let row = row_of(&up_to(story(), at))?;
        Some((row["status"].as_str()?.to_owned(), row["version"].as_u64()?))
    }

    #[test]
    fn an_order_is_shown_as_it_was_at_a_moment_or_a_place() {
        let place = |offset| AsOf::Position(Position { service: "orders".into(), partition: 2, offset });
        assert_eq!(status(&AsOf::Time(Timestamp(999))), None, "it was not there yet");
        assert_eq!(status(&AsOf::Time(Timestamp(4_999))), Some(("placed".into(), 4)));
        assert_eq!(status(&AsOf::Time(Timestamp(5_000))), Some(("cancelled".into(), 5)));
        assert_eq!(status(&place(3)), Some(("placed".into(), 3)));
        assert_eq!(status(&place(0)), None);
    }

    #[test]
    fn what_the_audit_keeps_is_the_event_again() {
        for record in story() {
            let again = of_audit(Audit::apply(None, &record).unwrap()).unwrap();
            assert_eq!((&again.event, again.version, &again.position), (&record.event, record.version, &record.position));
        }
    }
}
