//! The one description of a view's table, from which the SQL of both databases is made.

use serde::{Serialize, de::DeserializeOwned};

/// The type of a column. Between a view and the database a row is a JSON object whose members are the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared byte by byte in both databases.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// True or false.
    Boolean,
    /// Any JSON.
    Json,
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Timestamp,
}

/// A column. It is nullable: a field that a row leaves out is stored as null.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The column's name, which is the name of the row's field.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
}

impl Column {
    /// A column of text.
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// A column of whole numbers.
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer }
    }

    /// A column of true and false.
    pub const fn boolean(name: &'static str) -> Self {
        Self { name, kind: Kind::Boolean }
    }

    /// A column of JSON.
    pub const fn json(name: &'static str) -> Self {
        Self { name, kind: Kind::Json }
    }

    /// A column of moments.
    pub const fn timestamp(name: &'static str) -> Self {
        Self { name, kind: Kind::Timestamp }
    }
}

/// A table. Its primary key is one column of text.
#[derive(Debug)]
pub struct TableSpec {
    /// The table's name.
    pub name: &'static str,
    /// The column that is the primary key.
    pub key: &'static str,
    /// All columns, the key among them.
    pub columns: &'static [Column],
    /// The columns of each index.
    pub indexes: &'static [&'static [&'static str]],
}

impl TableSpec {
    /// The column of this name, where there is one.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A table under its name in a database: that of a version of its view, or of a shadow during a rebuild.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its columns and indexes.
    pub spec: &'static TableSpec,
    /// Its name.
    pub name: String,
    /// The columns of the description that this table lacks: an earlier build has made it.
    pub absent: Vec<&'static str>,
}

impl Relation {
    /// The live table, under the spec's own name.
    pub fn live(spec: &'static TableSpec) -> Self {
        Self::named(spec, spec.name)
    }

    /// A table of this name.
    pub fn named(spec: &'static TableSpec, name: &str) -> Self {
        Self { spec, name: name.to_owned(), absent: Vec::new() }
    }

    /// The table's shadow, whose name is this one's with the prefix `<purpose>_`.
    pub fn shadow(&self, purpose: &str) -> Self {
        Self::named(self.spec, &format!("{purpose}_{}", self.name))
    }

    /// Whether the table has this column of its description.
    pub fn has(&self, column: &str) -> bool {
        !self.absent.contains(&column)
    }
}

/// A row type that describes its table: its fields are the table's columns.
pub trait Table: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The table.
    const SPEC: TableSpec;
    /// The column with the account that a row belongs to, where rows belong to accounts. Callers who may see their own only are shown the rows
    /// of their account, and none of a table that has no such column.
    const ACCOUNT: Option<&'static str> = None;
}
