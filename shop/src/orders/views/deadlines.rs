//! The deadlines of the orders that are still open, so that expiry survives any restart.

use domain::{
    OrderId, Timestamp,
    order::{OrderEvent, OrderPlaced},
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// An open order and the moment by which it must be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The order.
    pub order_id: OrderId,
    /// From this moment on it is late.
    pub due_at: Timestamp,
}

impl Table for Deadline {
    const SPEC: TableSpec = TableSpec {
        name: "deadlines",
        key: "order_id",
        columns: &[Column::text("order_id"), Column::timestamp("due_at")],
        indexes: &[&["due_at", "order_id"]],
    };
}

/// The view.
pub struct Deadlines;

impl View for Deadlines {
    const NAME: &'static str = "deadlines";
    type Event = OrderEvent;
    type Key = OrderId;
    type Row = Deadline;

    fn keys(event: &Recorded<OrderEvent>) -> impl Iterator<Item = OrderId> {
        std::iter::once(OrderId(event.aggregate_id))
    }

    fn begins(event: &Recorded<OrderEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<Deadline>, record: &Recorded<OrderEvent>) -> Option<Deadline> {
        match &record.event {
            OrderEvent::Placed(OrderPlaced { expires_at, .. }) => {
                Some(Deadline { order_id: OrderId(record.aggregate_id), due_at: *expires_at })
            }
            OrderEvent::Accepted(_) | OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) | OrderEvent::Reserved(_) => row,
            OrderEvent::Confirmed(_) | OrderEvent::Cancelled(_) | OrderEvent::Expired(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        orders::views::orders::tests::{accepted, all_reserved, cancelled, line_reserved, placed},
        testing::folded,
    };

    #[test]
    fn an_order_has_a_deadline_as_long_as_it_is_open() {
        let row = folded::<Deadlines>([placed(), accepted(), line_reserved(0, 100), all_reserved()]).unwrap();
        assert_eq!(row.due_at, Timestamp(900_005));
        assert_eq!(folded::<Deadlines>([placed(), cancelled()]), None);
    }
}
