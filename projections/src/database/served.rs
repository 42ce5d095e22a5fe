//! Which table answers the reads of a view: the version that is built, while another one may be under way.

use super::{Database, DatabaseError, versions::VersionRow};
use crate::{
    table::{Relation, TableSpec},
    versions::Version,
    view::Fold,
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a process that does not run a view itself believes which of its versions is the one to read.
const BELIEVED: Duration = Duration::from_secs(1);
/// The tables that belong to no view.
const OWN: [&str; 4] = ["dead_letters", "dropped_letters", "errands", "view_versions"];

/// The table that answers the reads of a view.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// The view's name.
    pub view: String,
    /// The name under which its checkpoints and letters stand.
    pub reader: String,
    /// The table.
    pub table: Relation,
    /// Why the view is being built, where it is. What was acknowledged last need not be in the table then.
    pub building: Option<Arc<str>>,
    /// When it was looked up, where no runner of this process has said it.
    looked: Option<Instant>,
}

impl Served {
    /// The table of a service that is no view's.
    fn own(spec: &'static TableSpec) -> Self {
        Self { view: spec.name.to_owned(), reader: spec.name.to_owned(), table: Relation::live(spec), building: None, looked: None }
    }

    /// The version in this row of the catalogue.
    pub fn version(spec: &'static TableSpec, row: &VersionRow, building: Option<Arc<str>>) -> Self {
        let lacks = |name: &&str| !row.columns.iter().any(|there| there == name);
        let absent = spec.columns.iter().map(|column| column.name).filter(lacks).collect();
        let table = Relation { absent, ..Relation::named(spec, &row.table_name) };
        Self { view: row.view.clone(), reader: row.reader.clone(), table, building, looked: None }
    }

    /// The error of a read that only the version that is being built can answer.
    pub fn not_yet(&self) -> DatabaseError {
        let why = self.building.as_deref().unwrap_or("another process builds it");
        DatabaseError::Building(format!("the view {} is being built: {why}", self.view))
    }

    /// A row of an earlier version that does not fit the type of this build's rows is no defect: the new version will fit.
    pub fn understood<T>(&self, read: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        match read {
            Err(DatabaseError::Row(_)) if self.building.is_some() || !self.table.absent.is_empty() => Err(self.not_yet()),
            read => read,
        }
    }
}

/// What answers the reads, by the name in the view's description of its table.
pub(super) type ServedTables = Arc<RwLock<HashMap<&'static str, Served>>>;

impl Database {
    /// Lets a version of a view answer its reads from now on.
    pub(crate) fn serve(&self, view: &dyn Fold, row: &VersionRow, building: Option<Arc<str>>) {
        let served = Served::version(view.table(), row, building);
        self.served.write().insert(view.table().name, served);
    }

    /// The table that answers the reads of this description.
    pub(crate) async fn served(&self, spec: &'static TableSpec) -> Result<Served, DatabaseError> {
        if OWN.contains(&spec.name) {
            return Ok(Served::own(spec));
        }
        let known = self.served.read().get(spec.name).cloned();
        match known {
            Some(known) if known.looked.is_none_or(|looked| looked.elapsed() < BELIEVED) => Ok(known),
            _ => self.look_up(spec).await,
        }
    }

    async fn look_up(&self, spec: &'static TableSpec) -> Result<Served, DatabaseError> {
        let row = self.ready_version("base", spec.name).await?;
        let served = row.map_or_else(|| Served::own(spec), |row| Served::version(spec, &row, None));
        let served = Served { looked: Some(Instant::now()), ..served };
        self.served.write().insert(spec.name, served.clone());
        Ok(served)
    }

    /// The name under which the checkpoints and letters of the version stand that answers this view's reads; of another reader, its own.
    pub(crate) async fn reader_of(&self, view: &str) -> Result<String, DatabaseError> {
        let known = self.served.read().values().find(|served| served.view == view).cloned();
        match known {
            Some(known) if known.looked.is_none() => Ok(known.reader),
            _ => Ok(self.ready_version("view", view).await?.map_or_else(|| view.to_owned(), |row| row.reader)),
        }
    }

    /// Why the view of this name is being built, where this process builds it.
    pub fn building(&self, view: &str) -> Option<String> {
        let served = self.served.read();
        let building = served.values().find(|served| served.view == view && served.building.is_some())?;
        Some(format!("the view {view} is being built: {}", building.building.as_deref().unwrap_or_default()))
    }

    /// The same by the name of the view's table.
    pub(crate) fn building_table(&self, table: &str) -> Option<String> {
        let view = self.served.read().get(table).filter(|served| served.building.is_some())?.view.clone();
        self.building(&view)
    }

    /// The row of the catalogue that describes a version of this build.
    pub(super) fn row_of(&self, view: &dyn Fold, state: &str) -> VersionRow {
        let Version { fingerprint, table, reader } = Version::of(view);
        let columns = view.table().columns.iter().map(|column| column.name.to_owned()).collect();
        VersionRow::new((view.name(), view.table().name), (reader, table), fingerprint, columns, state)
    }
}
