//! The catalogue of the views' versions in a database: which tables there are, and which of them answer.

use super::{Bind, Database, DatabaseError, Dialect, Filter, Order, Query, There, Transaction, query::parsed, sql::index_names};
use crate::{
    kept::Kept,
    table::{Column, Relation, Table, TableSpec},
    versions::Version,
    view::ErasedView,
};
use event_sourcing::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// It holds all that its log holds, and answers.
pub(crate) const READY: &str = "ready";
/// It is being built.
const BUILDING: &str = "building";
/// Another version has taken its place. It is kept, as it stood, until the next one is built: who goes back to the build that made it
/// goes on from there.
const REPLACED: &str = "replaced";

/// A version of a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRow {
    pub reader: String,
    pub view: String,
    /// The table's name in the view's description.
    pub base: String,
    pub table_name: String,
    pub fingerprint: String,
    pub columns: Vec<String>,
    pub state: String,
    pub since: Timestamp,
}

impl Table for VersionRow {
    const SPEC: TableSpec = TableSpec {
        name: "view_versions",
        key: "reader",
        columns: &[
            Column::text("reader"),
            Column::text("view"),
            Column::text("base"),
            Column::text("table_name"),
            Column::text("fingerprint"),
            Column::json("columns"),
            Column::text("state"),
            Column::timestamp("since"),
        ],
        indexes: &[],
    };
}

static SPEC: TableSpec = VersionRow::SPEC;

fn relation() -> Relation {
    Relation::live(&SPEC)
}

fn versions_by(column: &'static str, name: &str) -> Query {
    Query { filters: vec![Filter::is(column, name)], by: &["since", "reader"], order: Order::Falling, after: None, limit: u32::MAX }
}

impl VersionRow {
    pub fn new(
        (view, base): (&str, &str),
        (reader, table_name): (String, String),
        fingerprint: String,
        columns: Vec<String>,
        state: &str,
    ) -> Self {
        let since = Timestamp(jiff::Timestamp::now().as_millisecond());
        Self { reader, view: view.to_owned(), base: base.to_owned(), table_name, fingerprint, columns, state: state.to_owned(), since }
    }

    fn is_ready(&self) -> bool {
        self.state == READY
    }

    pub fn kept(&self, view: &ErasedView) -> Kept {
        Kept::version(view.clone(), &self.table_name, &self.reader)
    }
}

/// A view as a database holds it.
pub(crate) struct OpenedVersion {
    /// The version of this build.
    pub own: VersionRow,
    /// The version that answers until that one is built; none where it is.
    pub until_built: Option<VersionRow>,
}

impl Database {
    pub(super) async fn create_versions(&self) -> Result<(), DatabaseError> {
        self.create([&relation()]).await
    }

    /// Makes what the database lacks of a view: a row of the catalogue, and the table. A table of an earlier build that had no versions is
    /// taken over as it is where it looks like this build's.
    pub(crate) async fn open_version(&self, view: &ErasedView) -> Result<OpenedVersion, DatabaseError> {
        let mut open = self.begin().await?;
        open.serialise_changes_of_tables().await?;
        let opened = open.open_version(self, view).await?;
        open.commit().await?;
        Ok(opened)
    }

    pub(super) async fn ready_version(&self, column: &'static str, name: &str) -> Result<Option<VersionRow>, DatabaseError> {
        let (statement, binds) = versions_by(column, name).statement(&self.dialect().row(&relation()), &relation());
        let versions: Vec<VersionRow> = parsed(self.texts(statement, binds).await?)?;
        Ok(versions.into_iter().find(VersionRow::is_ready))
    }

    /// The names under which the letters of versions stand that do not answer.
    pub(crate) async fn hidden_readers(&self) -> Result<Vec<String>, DatabaseError> {
        self.texts("SELECT \"reader\" FROM \"view_versions\" WHERE \"state\" <> 'ready'".to_owned(), Vec::new()).await
    }

    /// Takes all rows and checkpoints from a version that does not answer yet.
    pub(crate) async fn empty_version(&self, own: &VersionRow) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.serialise_changes_of_tables().await?;
        let found = open.versions_of(&own.view).await?.into_iter().find(|version| version.reader == own.reader);
        // Another process may have finished it; its readers look for themselves.
        if let Some(version) = found.filter(|version| !version.is_ready()) {
            open.remove_version(version.clone()).await?;
            open.put_version(version).await?;
        }
        open.commit().await
    }

    /// Puts a version in the place of the one that answered so far. That one is kept; those before it are removed.
    pub(crate) async fn finish_version(&self, own: &VersionRow) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.serialise_changes_of_tables().await?;
        let versions = open.versions_of(&own.view).await?;
        if versions.iter().any(|version| version.reader == own.reader && version.is_ready()) {
            // Another process has built it, too.
            return Ok(());
        }
        for version in versions {
            match &*version.state {
                READY if version.reader != own.reader => open.put_version(VersionRow { state: REPLACED.to_owned(), ..version }).await?,
                REPLACED if version.reader != own.reader => open.remove_version(version).await?,
                _ => {}
            }
        }
        let since = Timestamp(jiff::Timestamp::now().as_millisecond());
        open.put_version(VersionRow { state: READY.to_owned(), since, ..own.clone() }).await?;
        open.commit().await
    }
}

impl Transaction {
    async fn open_version(&mut self, database: &Database, view: &ErasedView) -> Result<OpenedVersion, DatabaseError> {
        let mut versions = self.versions_of(view.name()).await?;
        if versions.is_empty()
            && let Some(found) = self.take_over(view).await?
        {
            self.put_version(found.clone()).await?;
            versions.push(found);
        }
        let fingerprint = Version::of(&**view).fingerprint;
        let (own, others): (Vec<_>, Vec<_>) = versions.into_iter().partition(|version| version.fingerprint == fingerprint);
        let until_built = others.into_iter().find(VersionRow::is_ready);
        let own = own.into_iter().next().unwrap_or_else(|| database.row_of(&**view, BUILDING));
        // Where nothing else answers, it does, from its first row on.
        let state = if until_built.is_some() { own.state.clone() } else { READY.to_owned() };
        let own = VersionRow { state, ..own };
        self.put_version(own.clone()).await?;
        for statement in self.dialect().create(&own.kept(view).table) {
            self.execute(statement, Vec::new()).await?;
        }
        Ok(OpenedVersion { until_built: until_built.filter(|_| !own.is_ready()), own })
    }

    pub(crate) async fn versions_of(&mut self, view: &str) -> Result<Vec<VersionRow>, DatabaseError> {
        self.select(&relation(), &versions_by("view", view)).await
    }

    async fn put_version(&mut self, row: VersionRow) -> Result<(), DatabaseError> {
        self.put(&relation(), There::Replaced, 1, std::iter::once(Ok(serde_json::to_value(row)?))).await
    }

    /// Removes a version with all that it has made.
    pub(crate) async fn remove_version(&mut self, version: VersionRow) -> Result<(), DatabaseError> {
        let statement = format!("DROP TABLE IF EXISTS {}", super::sql::quoted(&version.table_name));
        self.execute(statement, Vec::new()).await?;
        self.forget_checkpoints(&version.reader).await?;
        self.forget_letters(&version.reader).await?;
        self.delete(&relation(), vec![version.reader]).await.map(drop)
    }

    /// The table of a build that knew no versions, where there is one.
    async fn take_over(&mut self, view: &ErasedView) -> Result<Option<VersionRow>, DatabaseError> {
        let table = Relation::live(view.table());
        let columns = self.columns_of(&table.name).await?;
        if columns.is_empty() {
            return Ok(None);
        }
        let dialect = self.dialect();
        let expected = table.spec.columns.iter().map(|column| (column.name.to_owned(), dialect.stored_type(column.kind).to_owned()));
        let same_columns = columns == expected.collect();
        let indexes = self.indexes_of(&table.name).await?;
        let same = same_columns && index_names(&table).iter().all(|name| indexes.contains(name));
        let fingerprint = if same { Version::of(&**view).fingerprint } else { "before versions".to_owned() };
        let names = (view.name().to_owned(), table.name.clone());
        Ok(Some(VersionRow::new((view.name(), table.spec.name), names, fingerprint, columns.into_keys().collect(), READY)))
    }

    /// The columns of a table with their types; none where there is no such table.
    async fn columns_of(&mut self, table: &str) -> Result<HashMap<String, String>, DatabaseError> {
        let statement = match self.dialect() {
            Dialect::Sqlite => "SELECT json_array(name, type) FROM pragma_table_info($1)",
            Dialect::Postgres => {
                "SELECT json_build_array(column_name, data_type)::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1"
            }
        };
        let texts = self.texts(statement.to_owned(), vec![Bind::Text(table.to_owned())]).await?;
        texts.iter().map(|text| serde_json::from_str(text).map_err(DatabaseError::from)).collect()
    }

    async fn indexes_of(&mut self, table: &str) -> Result<Vec<String>, DatabaseError> {
        let statement = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM pragma_index_list($1)",
            Dialect::Postgres => "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = $1",
        };
        self.texts(statement.to_owned(), vec![Bind::Text(table.to_owned())]).await
    }
}
