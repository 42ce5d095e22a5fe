//! The handler of a subscription's batches that keeps the views of one database.

use crate::{
    building::Build,
    database::{Database, DatabaseError, OpenedVersion, VersionRow},
    joint::Joint,
    kept::Kept,
    metrics,
    views::Views,
    writer::BatchWriter,
};
use codec::Codecs;
use event_store::{Batch, BatchError, BatchHandler, Checkpoint, Log, PartitionId};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long a batch may take to be written.
const WITHIN: Duration = Duration::from_secs(60);

/// Folds batches into the views of one database.
pub struct ViewRunner {
    joint: Joint,
    codecs: Codecs,
    /// The version of each view that this build has.
    versions: HashMap<&'static str, VersionRow>,
    /// The versions that are not built yet, while another one answers.
    pending: Mutex<Vec<Build>>,
    /// Notified when there is something to build.
    pub(crate) wanted: Notify,
    /// The partitions that were written anew: where nobody keeps a view of one, its reading begins with its first record.
    written_anew: Mutex<HashSet<PartitionId>>,
}

impl ViewRunner {
    /// A runner of these views; makes their missing tables. The name (a service's) stands in metrics and logs. A view of which the database
    /// holds another version is kept by nobody before it is built: [`ViewRunner::start_building`].
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the tables cannot be made.
    pub async fn new(name: &str, database: Database, views: impl Into<Views>, codecs: Codecs) -> Result<Self, DatabaseError> {
        let (views, mut versions, mut kept, mut pending) = (views.into(), HashMap::new(), Vec::new(), Vec::new());
        for view in views.iter() {
            let OpenedVersion { own, until_built } = database.open_version(view).await?;
            match until_built {
                None => {
                    database.serve(&**view, &own, None);
                    kept.push(own.kept(view));
                }
                Some(other) => {
                    let build = Build::of_version(own.kept(view), own.clone());
                    database.serve(&**view, &other, Some(build.why.clone()));
                    pending.push(build);
                }
            }
            versions.insert(view.name(), own);
        }
        let joint = Joint::new(BatchWriter::new(name, database, kept, codecs.clone()).await?);
        let (pending, wanted, written_anew) = (Mutex::new(pending), Notify::new(), Mutex::default());
        Ok(Self { joint, codecs, versions, pending, wanted, written_anew })
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Whether it runs the view of this name, be it being built or not.
    pub(crate) fn has_view(&self, view: &str) -> bool {
        self.versions.contains_key(view)
    }

    /// What is to be built and is not begun yet.
    pub(crate) fn take_pending(&self) -> Vec<Build> {
        std::mem::take(&mut *self.pending.lock())
    }

    pub(crate) fn add_pending(&self, build: Build) {
        self.pending.lock().push(build);
        self.wanted.notify_one();
    }

    pub(crate) fn read_from_the_beginning(&self, source: &PartitionId) {
        self.written_anew.lock().insert(source.clone());
    }

    /// Takes a view off its readers; none where it is off already.
    pub(crate) fn take_off(&self, view: &str) -> Option<(Kept, VersionRow)> {
        Some((self.writer().detach(view)?, self.versions.get(view)?.clone()))
    }

    /// Gives a view that is built to its readers, and lets it answer.
    pub(crate) fn put_on(&self, build: &Build) {
        self.writer().attach(build.live.clone());
        self.writer().database().serve(&*build.live.view, &build.row, None);
    }

    /// The writer of single batches.
    pub(crate) fn writer(&self) -> &BatchWriter {
        self.joint.writer()
    }
}

#[async_trait::async_trait]
impl BatchHandler for ViewRunner {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        if let Some(checkpoint) = self.writer().start(source).await? {
            return Ok(checkpoint);
        }
        // Nobody needs what is read now: all views of the partition are being built.
        if self.written_anew.lock().contains(source) {
            return Ok(Checkpoint::default());
        }
        Ok(self.writer().furthest(source).await?)
    }

    async fn further(&self, source: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
        Ok(self.writer().places(source).await?)
    }

    /// Builds the views of the partition anew, beside their rows.
    async fn rewritten(&self, source: &PartitionId, _log: &dyn Log) -> Result<(), BatchError> {
        self.begin_anew_since_lost(source);
        Ok(())
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let began = Instant::now();
        // A connection that has gone silent never answers: the statement is given up, and tried again on another one.
        let kept = tokio::time::timeout(WITHIN, self.joint.keep(batch)).await;
        kept.unwrap_or_else(|_| Err(BatchError::Failed(format!("the database has not answered for {} s", WITHIN.as_secs()))))?;
        metrics::applied(self.writer().name(), batch, began.elapsed());
        Ok(())
    }
}
