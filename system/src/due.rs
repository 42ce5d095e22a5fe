//! Deadlines as rows of a view.

use consumers::{Due, Overdue};
use event_sourcing::Timestamp;
use projections::{Compare, Database, Filter, Order, Query, View};

/// The rows of a view whose moment has passed.
pub(crate) struct DueRows<V: View> {
    pub database: Database,
    /// The columns by which the rows are sorted; the first holds the moment.
    pub by: &'static [&'static str],
    pub overdue: fn(&V::Row, Timestamp) -> Overdue,
}

#[async_trait::async_trait]
impl<V: View> Due for DueRows<V> {
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Overdue>, String> {
        let filters = vec![Filter { column: self.by[0], compare: Compare::Below, value: now.plus_millis(1).0.into() }];
        let query = Query { filters, by: self.by, order: Order::Rising, after: None, limit };
        let rows: Vec<V::Row> = self.database.select(&query).await.map_err(|error| error.to_string())?;
        Ok(rows.iter().map(|row| (self.overdue)(row, now)).collect())
    }
}
