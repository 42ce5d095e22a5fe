//! Compares two tables row by row: the rows that differ, and for each table a digest over the hashes of its rows.

use crate::{
    database::{Bind, DatabaseError, Transaction},
    table::Relation,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{cmp::Ordering, collections::VecDeque};

/// How many rows are fetched at once.
const PAGE: i64 = 1_000;

/// The outcome of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The view.
    pub view: &'static str,
    /// True if both tables stood at the same checkpoints; if not, the log has changed under a reader.
    pub same_place: bool,
    /// Rows of the live table.
    pub rows: u64,
    /// Rows of the rebuilt table.
    pub rebuilt_rows: u64,
    /// SHA-256 over the keys and hashes of the live rows, in the order of their keys.
    pub digest: String,
    /// The same of the rebuilt table.
    pub rebuilt_digest: String,
    /// How many keys have different rows, or a row on one side only.
    pub differing: u64,
    /// The first of these keys, with their rows.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// True if the live table equals the rebuilt one.
    pub fn is_equal(&self) -> bool {
        self.same_place && self.differing == 0 && self.digest == self.rebuilt_digest
    }
}

/// A key whose rows differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// The live row, if there is one.
    pub live: Option<Value>,
    /// The rebuilt row, if there is one.
    pub rebuilt: Option<Value>,
}

/// A table's rows in the order of their keys, a page at a time.
struct Rows<'a> {
    open: &'a mut Transaction,
    statement: String,
    page: VecDeque<(String, Value)>,
    after: Option<String>,
    count: u64,
    digest: Sha256,
}

impl<'a> Rows<'a> {
    fn of(open: &'a mut Transaction, table: &Relation) -> Self {
        let statement = open.dialect().page(table);
        Self { open, statement, page: VecDeque::new(), after: Some(String::new()), count: 0, digest: Sha256::new() }
    }

    async fn peek(&mut self) -> Result<Option<&(String, Value)>, DatabaseError> {
        if self.page.is_empty()
            && let Some(after) = self.after.take()
        {
            let texts = self.open.texts(self.statement.clone(), vec![Bind::Text(after), Bind::Integer(PAGE)]).await?;
            self.page = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
            self.after = self.page.back().map(|(key, _)| key.clone());
        }
        Ok(self.page.front())
    }

    fn next_row(&mut self) -> Option<(String, Value)> {
        let (key, row) = self.page.pop_front()?;
        self.count += 1;
        self.digest.update(key.as_bytes());
        self.digest.update(Sha256::digest(row.to_string().as_bytes()));
        Some((key, row))
    }

    fn finish(self) -> (u64, String) {
        (self.count, hex::encode(self.digest.finalize()))
    }
}

pub(super) async fn compare(
    (live, live_table): (&mut Transaction, &Relation),
    (shadow, shadow_table): (&mut Transaction, &Relation),
    examples: usize,
) -> Result<Comparison, DatabaseError> {
    let (mut live, mut rebuilt) = (Rows::of(live, live_table), Rows::of(shadow, shadow_table));
    let (mut differing, mut differences) = (0, Vec::new());
    while let Some(difference) = next_pair(&mut live, &mut rebuilt).await? {
        if difference.live != difference.rebuilt {
            differing += 1;
            differences.extend((differences.len() < examples).then_some(difference));
        }
    }
    let ((rows, digest), (rebuilt_rows, rebuilt_digest)) = (live.finish(), rebuilt.finish());
    Ok(Comparison { view: "", same_place: true, rows, rebuilt_rows, digest, rebuilt_digest, differing, differences })
}

/// Takes the least key that is left in either table, with its row in each.
async fn next_pair(live: &mut Rows<'_>, rebuilt: &mut Rows<'_>) -> Result<Option<Difference>, DatabaseError> {
    let order = match (live.peek().await?, rebuilt.peek().await?) {
        (None, None) => return Ok(None),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some((left, _)), Some((right, _))) => left.cmp(right),
    };
    let left = order.is_le().then(|| live.next_row()).flatten();
    let right = order.is_ge().then(|| rebuilt.next_row()).flatten();
    let key = left.as_ref().or(right.as_ref()).map(|(key, _)| key.clone()).unwrap_or_default();
    Ok(Some(Difference { key, live: left.map(|(_, row)| row), rebuilt: right.map(|(_, row)| row) }))
}
