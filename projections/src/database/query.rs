//! Keyset queries: a page of a table in a total order, after a row that the caller names by its values.

use super::{Bind, Database, DatabaseError, Served, Transaction, sql::quoted};
use crate::table::{Kind, Relation, Table, TableSpec};
use serde_json::Value;

/// How a filter compares a column with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Is,
    /// Anything else.
    IsNot,
    /// At this value or above.
    From,
    /// Below this value.
    Below,
}

/// A condition on one column.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The column.
    pub column: &'static str,
    /// The comparison.
    pub compare: Compare,
    /// A string or a whole number, according to the column's kind.
    pub value: Value,
}

impl Filter {
    /// The column is exactly this.
    pub fn is(column: &'static str, value: impl Into<Value>) -> Self {
        Self { column, compare: Compare::Is, value: value.into() }
    }
}

/// The direction in which all `by` columns of a query are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ascending.
    Rising,
    /// Descending.
    Falling,
}

/// A page of a table. No two rows may agree in all `by` columns.
#[derive(Clone, Debug)]
pub struct Query {
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// The columns that the rows are ordered by; none of them is ever null.
    pub by: &'static [&'static str],
    /// In which direction.
    pub order: Order,
    /// The `by` values of the row before the page; none for the first page.
    pub after: Option<Vec<Value>>,
    /// The most rows of the page.
    pub limit: u32,
}

impl Query {
    /// True if each value is of its `by` column's kind; a cursor is checked by this before it is used.
    pub fn fits(table: &TableSpec, by: &[&str], values: &[Value]) -> bool {
        let fits = |name: &str, value: &Value| match table.column(name).map(|column| column.kind) {
            Some(Kind::Text) => value.is_string(),
            Some(Kind::Integer | Kind::Timestamp) => value.is_i64(),
            Some(Kind::Boolean | Kind::Json) | None => false,
        };
        by.len() == values.len() && by.iter().zip(values).all(|(name, value)| fits(name, value))
    }

    /// Refuses a question about columns that the table lacks, since a new version of it is still being built.
    fn refuse_absent(&self, served: &Served) -> Result<(), DatabaseError> {
        let mut asked = self.filters.iter().map(|filter| filter.column).chain(self.by.iter().copied());
        if asked.all(|column| served.table.has(column)) { Ok(()) } else { Err(served.not_yet()) }
    }

    fn conditions(&self, binds: &mut Vec<Bind>) -> Vec<String> {
        let mut conditions: Vec<String> = Vec::new();
        for Filter { column, compare, value } in &self.filters {
            let sign = match compare {
                Compare::Is => "=",
                Compare::IsNot => "<>",
                Compare::From => ">=",
                Compare::Below => "<",
            };
            binds.push(bind(value));
            conditions.push(format!("{} {sign} ${}", quoted(column), binds.len()));
        }
        if let Some(after) = &self.after {
            let places: Vec<String> = (1..=after.len()).map(|i| format!("${}", binds.len() + i)).collect();
            binds.extend(after.iter().map(bind));
            let sign = if self.order == Order::Rising { ">" } else { "<" };
            let columns: Vec<String> = self.by.iter().map(|name| quoted(name)).collect();
            conditions.push(format!("({}) {sign} ({})", columns.join(", "), places.join(", ")));
        }
        conditions
    }

    pub(super) fn statement(&self, row: &str, table: &Relation) -> (String, Vec<Bind>) {
        let mut binds = Vec::new();
        let conditions = self.conditions(&mut binds);
        let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        let direction = if self.order == Order::Rising { "ASC" } else { "DESC" };
        let order: Vec<String> = self.by.iter().map(|name| format!("{} {direction}", quoted(name))).collect();
        binds.push(Bind::Integer(self.limit.into()));
        let (name, order, limit) = (quoted(&table.name), order.join(", "), binds.len());
        (format!("SELECT {row} FROM {name} WHERE {conditions} ORDER BY {order} LIMIT ${limit}"), binds)
    }
}

fn bind(value: &Value) -> Bind {
    match value {
        Value::Number(number) => Bind::Integer(number.as_i64().unwrap_or(i64::MAX)),
        Value::String(text) => Bind::Text(text.clone()),
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Bind::Text(other.to_string()),
    }
}

pub(super) fn parsed<T: Table>(rows: Vec<String>) -> Result<Vec<T>, DatabaseError> {
    rows.iter().map(|row| serde_json::from_str(row).map_err(DatabaseError::from)).collect()
}

impl Transaction {
    /// As [`Database::select`], within the transaction.
    pub(super) async fn select<T: Table>(&mut self, table: &Relation, query: &Query) -> Result<Vec<T>, DatabaseError> {
        let (statement, binds) = query.statement(&self.dialect().row(table), table);
        parsed(self.texts(statement, binds).await?)
    }
}

impl Database {
    /// The rows of a page, in order.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn select<T: Table>(&self, query: &Query) -> Result<Vec<T>, DatabaseError> {
        let served = self.served(&T::SPEC).await?;
        query.refuse_absent(&served)?;
        let (statement, binds) = query.statement(&self.dialect().row(&served.table), &served.table);
        served.understood(parsed(self.texts(statement, binds).await?))
    }

    /// The row of a key, where there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn row<T: Table>(&self, key: &str) -> Result<Option<T>, DatabaseError> {
        let served = self.served(&T::SPEC).await?;
        let row = self.text(&served.table, key).await?;
        served.understood(row.map(|row| serde_json::from_str(&row).map_err(DatabaseError::from)).transpose())
    }
}
