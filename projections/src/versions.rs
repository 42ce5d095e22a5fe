//! The version of a view: what its table looks like, and what its fold makes of an event.

use crate::{table::TableSpec, view::Fold};
use sha2::{Digest, Sha256};

/// A view's version as this build has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Tells versions apart: 32 bits in hexadecimal digits.
    pub fingerprint: String,
    /// The name of its table: `orders_1f2e3d4c`.
    pub table: String,
    /// The name under which its checkpoints and letters stand: `orders@1f2e3d4c`.
    pub reader: String,
}

impl Version {
    /// The version of this view.
    pub fn of(view: &dyn Fold) -> Self {
        let fingerprint = fingerprint(view.table(), view.fold_version());
        let (table, reader) = (format!("{}_{fingerprint}", view.table().name), format!("{}@{fingerprint}", view.name()));
        Self { fingerprint, table, reader }
    }
}

/// The order of columns and of indexes makes no difference to the rows; the order of an index's columns does.
fn fingerprint(table: &TableSpec, fold: u64) -> String {
    let mut columns: Vec<String> = table.columns.iter().map(|column| format!("{} {:?}", column.name, column.kind)).collect();
    let mut indexes: Vec<String> = table.indexes.iter().map(|index| index.join(" ")).collect();
    columns.sort_unstable();
    indexes.sort_unstable();
    let text = format!("{}\n{}\n{fold}\n{}\n{}", table.name, table.key, columns.join("\n"), indexes.join("\n"));
    hex::encode(&Sha256::digest(text)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    static SPEC: TableSpec =
        TableSpec { name: "things", key: "id", columns: &[Column::text("id"), Column::integer("count")], indexes: &[&["count", "id"]] };

    const TURNED: &[Column] = &[Column::integer("count"), Column::text("id")];
    const OTHER_KIND: &[Column] = &[Column::text("id"), Column::timestamp("count")];
    const ONE_MORE: &[Column] = &[Column::text("id"), Column::integer("count"), Column::text("more")];

    #[test]
    fn whatever_makes_other_rows_makes_another_version_and_nothing_else_does() {
        let version = fingerprint(&SPEC, 1);
        assert_eq!(version.len(), 8);
        assert_eq!(fingerprint(&TableSpec { columns: TURNED, ..SPEC }, 1), version, "the order of the columns");
        let others = [
            TableSpec { columns: OTHER_KIND, ..SPEC },
            TableSpec { columns: ONE_MORE, ..SPEC },
            TableSpec { indexes: &[], ..SPEC },
            TableSpec { indexes: &[&["id", "count"]], ..SPEC },
            TableSpec { name: "others", ..SPEC },
        ];
        for other in &others {
            assert_ne!(fingerprint(other, 1), version, "{other:?}");
        }
        assert_ne!(fingerprint(&SPEC, 2), version, "the fold");
    }
}
