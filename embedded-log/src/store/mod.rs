//! The log on the disk: one database in one directory.
//!
//! What [`Store`] acknowledges has been synced. One thread writes; any number read, each on a snapshot. After a failure of the storage the
//! database refuses everything, so the writer opens it again: what was waiting is refused, and the next request tries anew.

mod catalog;
mod changes;
mod disk;
mod draft;
mod error;
mod ledger;
mod owner;
mod producers;
mod reading;
mod tables;
mod writer;

pub use catalog::{Catalog, Partition, PartitionKey, Topic};
pub use changes::{Committed, NewTopic};
pub(crate) use changes::{check_growth, check_room};
pub use draft::Appended;
pub use error::{AppendError, OpenError, ReadError, StorageFailed, TopicError};
pub use reading::Amount;

use crate::{batch::Batch, settings::TopicSettings};
use disk::{LogFile, OpenDatabase, Opening};
use draft::Draft;
use ledger::Ledger;
use owner::Owner;
use parking_lot::RwLock;
use redb::{Database, StorageBackend};
use std::{
    fs::{File, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::SystemTime,
};
use tokio::sync::oneshot;
use uuid::Uuid;
use writer::{Answer, Job, Writer};

/// The database's file in the directory.
const FILE: &str = "log.redb";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// How many bytes of the file are kept in memory.
    pub cache_bytes: usize,
    /// Where the bytes are, if not in a file of the directory: for tests of failing disks.
    pub storage: Option<Arc<dyn StorageBackend>>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, storage: None }
    }
}

/// The log of one machine. Dropping it closes the file.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    _owner: Owner,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    storage: Arc<dyn StorageBackend>,
    settings: StoreSettings,
    /// None between a failure and the next opening.
    current: RwLock<Option<Current>>,
    catalog: RwLock<Arc<Catalog>>,
}

#[derive(Debug)]
struct Current {
    database: Arc<OpenDatabase>,
    opening: Opening,
}

impl Store {
    /// Whether a directory holds a log. Makes nothing.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(FILE).is_file()
    }

    /// The process that has a directory's log open; none where nobody has. Makes nothing.
    pub fn owner_of(directory: &Path) -> Option<String> {
        owner::owner_of(directory)
    }

    /// Opens the log in a directory, or makes it.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_with(directory, StoreSettings::default())
    }

    /// Opens the log with other settings than the usual ones.
    pub fn open_with(directory: &Path, settings: StoreSettings) -> Result<Self, OpenError> {
        let owner = Owner::of(directory)?;
        let storage = match &settings.storage {
            Some(storage) => storage.clone(),
            None => file_in(directory)?,
        };
        let shared = Shared { storage, settings, current: RwLock::default(), catalog: RwLock::default() };
        let (_, mut ledger) = shared.reopen()?;
        *shared.catalog.write() = Arc::new(ledger.catalog());
        ledger.publish_all();
        Self::start(Arc::new(shared), ledger, owner)
    }

    fn start(shared: Arc<Shared>, ledger: Ledger, owner: Owner) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel();
        let writer = Writer::new(shared.clone(), waiting, ledger);
        let thread = std::thread::Builder::new().name("log writer".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::Database(error.to_string()))?;
        Ok(Self { shared, jobs: Some(jobs), thread: Some(thread), _owner: owner })
    }

    /// All topics as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog.read().clone()
    }

    /// The log's own id, made once.
    pub fn cluster_id(&self) -> Result<Uuid, StorageFailed> {
        self.read(|read| Ok(read.open_table(tables::META)?.get(tables::CLUSTER_NAME)?.map_or(0, |id| id.value()))).map(Uuid::from_u128)
    }

    /// Appends a batch. The batches of one caller are appended in the order of the calls, even if it does not await one before the next: the
    /// call itself queues the batch.
    pub fn append(&self, key: PartitionKey, batch: Batch) -> impl Future<Output = Result<Appended, AppendError>> + Send + use<> {
        let outcome = self.submit(move |draft| draft.append(key, &batch));
        async { outcome.await? }
    }

    /// Creates a topic.
    pub async fn create_topic(&self, new: NewTopic) -> Result<Arc<Topic>, TopicError> {
        self.submit(move |draft| draft.create_topic(new)).await?
    }

    /// Deletes a topic and all its records.
    pub async fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        let name = name.to_owned();
        self.submit(move |draft| draft.delete_topic(&name)).await?
    }

    /// Gives a topic more partitions: `count` in all.
    pub async fn add_partitions(&self, name: &str, count: u32) -> Result<Arc<Topic>, TopicError> {
        let name = name.to_owned();
        self.submit(move |draft| draft.add_partitions(&name, count)).await?
    }

    /// Changes a topic's own settings.
    pub async fn set_topic_settings(
        &self,
        name: &str,
        change: impl FnOnce(&mut TopicSettings) + Send + 'static,
    ) -> Result<Arc<Topic>, TopicError> {
        let name = name.to_owned();
        self.submit(move |draft| draft.set_topic_settings(&name, change)).await?
    }

    /// An id for an idempotent producer, never given before.
    pub async fn new_producer(&self) -> Result<i64, StorageFailed> {
        self.submit(|draft| draft.new_producer()).await
    }

    /// Commits offsets of a group. Returns the partitions that do not exist.
    pub async fn commit_offsets(&self, group: &str, offsets: Vec<Committed>) -> Result<Vec<PartitionKey>, StorageFailed> {
        let group = group.to_owned();
        self.submit(move |draft| draft.commit_offsets(&group, &offsets)).await
    }

    /// Forgets what a group has committed: of some partitions, or all of it. Returns whether there was anything.
    pub async fn forget_offsets(&self, group: &str, of: Option<Vec<PartitionKey>>) -> Result<bool, StorageFailed> {
        let group = group.to_owned();
        self.submit(move |draft| draft.forget_offsets(&group, of.as_deref())).await
    }

    /// Queues work for the next transaction; its outcome comes when that is durable.
    fn submit<T, Work>(&self, work: Work) -> impl Future<Output = Result<T, StorageFailed>> + Send + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&mut Draft<'_>) -> Result<T, redb::Error> + Send + 'static,
    {
        let (to, outcome) = oneshot::channel();
        self.queue(Job::Write(Box::new(move |draft| {
            let done = work(draft)?;
            let answer: Answer = Box::new(move || drop(to.send(done)));
            Ok(answer)
        })));
        async { outcome.await.map_err(|_| StorageFailed) }
    }

    fn queue(&self, job: Job) {
        // Without a writer the job is dropped, which tells whoever waits for it that the storage has failed.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        *self.shared.current.write() = None;
    }
}

impl Shared {
    fn current(&self) -> Option<Arc<OpenDatabase>> {
        self.current.read().as_ref().map(|current| current.database.clone())
    }

    /// Gives a database up that has failed, unless another one has taken its place.
    fn discard(&self, failed: &Arc<OpenDatabase>) {
        let mut current = self.current.write();
        if let Some(gone) = current.take_if(|current| Arc::ptr_eq(&current.database, failed)) {
            gone.opening.give_up();
        }
    }

    /// Opens the database, in the place of the one before.
    fn reopen(&self) -> Result<(Arc<OpenDatabase>, Ledger), OpenError> {
        if let Some(gone) = self.current.write().take() {
            gone.opening.give_up();
        }
        let opening = Opening::new(self.storage.clone());
        // A damaged file can make the database panic where it does not expect it.
        let opened = catch_unwind(AssertUnwindSafe(|| self.load(opening.clone())));
        let (database, ledger) = opened.map_err(|_| OpenError::Database("the file is damaged".to_owned()))??;
        *self.current.write() = Some(Current { database: database.clone(), opening });
        Ok((database, ledger))
    }

    fn load(&self, opening: Opening) -> Result<(Arc<OpenDatabase>, Ledger), OpenError> {
        let mut builder = Database::builder();
        builder.set_cache_size(self.settings.cache_bytes);
        let database = OpenDatabase::new(builder.create_with_backend(opening).map_err(redb::Error::from)?);
        ledger::prepare(&database)?;
        let ledger = Ledger::load(&database, &self.catalog.read())?;
        Ok((Arc::new(database), ledger))
    }
}

fn file_in(directory: &Path) -> Result<Arc<dyn StorageBackend>, OpenError> {
    let unusable = |why| OpenError::Directory { directory: directory.to_owned(), why };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(FILE)).map_err(unusable)?;
    // A new file's name is on the disk only when its directory is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)?;
    Ok(Arc::new(LogFile(file)))
}

/// Now, in milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
