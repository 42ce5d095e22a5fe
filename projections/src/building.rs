//! Builds a view beside the one that answers, inside the running process, and then puts it in that one's place.
//!
//! There are two occasions. A build whose version of a view the database does not have yet makes it in a table of its own, while the version
//! of the build before answers. And a log that was written anew below a view's checkpoint makes all that was folded of it doubtful: a shadow
//! is folded from the beginning, while the old rows answer. In both cases the view's readers are taken off it meanwhile, so that the other
//! views of the database go on.

use crate::{
    database::{Database, DatabaseError, VersionRow},
    kept::Kept,
    rebuild::{Logs, Progress, RebuildError, discard, read_up_to, replace},
    runner::ViewRunner,
    writer::BatchWriter,
};
use codec::Codecs;
use event_store::{BatchError, LogError, PartitionId, ReplayError};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A pass over the log that has read no more than so many offsets is followed by the swap.
const LITTLE: u64 = 1_000;
/// The pause before a build that failed goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// Is told the name of a view and why it is being built; none once it is.
pub type Tell = Arc<dyn Fn(&str, Option<String>) + Send + Sync>;

/// What views are built of.
#[derive(Clone)]
pub struct BuildingParts {
    /// The logs, by service.
    pub logs: Logs,
    /// How many partitions each log has.
    pub partitions: HashMap<&'static str, i32>,
    /// Ends the building; it goes on at the next start.
    pub stop: CancellationToken,
    /// Hears which views are being built.
    pub tell: Tell,
}

/// What is to be built.
#[derive(Clone)]
pub(crate) struct Build {
    /// The version, and its row of the catalogue.
    pub live: Kept,
    pub row: VersionRow,
    /// The shadow in which it is built; none where it is built in its own table, since another version answers.
    pub shadow: Option<Kept>,
    /// Why, in words.
    pub why: Arc<str>,
}

impl Build {
    /// The version that the database does not have yet.
    pub fn of_version(live: Kept, row: VersionRow) -> Self {
        Self { live, row, shadow: None, why: "this build has another version of it than the rows that answer until then".into() }
    }

    fn of_log(live: Kept, row: VersionRow, why: &str) -> Self {
        Self { shadow: Some(live.shadow("anew")), live, row, why: why.into() }
    }

    /// What the log is folded into.
    fn target(&self) -> &Kept {
        self.shadow.as_ref().unwrap_or(&self.live)
    }
}

impl ViewRunner {
    /// Begins to build, in tasks of their own, the versions of views that the database does not have yet, and from now on what
    /// [`begin_anew`](Self::begin_anew) asks for. Call it once, inside the runtime.
    pub fn start_building(self: &Arc<Self>, parts: BuildingParts) {
        let (runner, stop) = (self.clone(), parts.stop.clone());
        tokio::spawn(async move {
            let mut under_way = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = runner.wanted.notified() => {
                        for build in runner.take_pending() {
                            under_way.spawn(runner.clone().build(build, parts.clone()));
                        }
                    }
                }
            }
        });
        self.wanted.notify_one();
    }

    /// Lets the views that read this log be built anew from its beginning, beside their rows, since it was written anew below their
    /// checkpoints. Until then the old rows answer, strong reads are refused, and the readers of these views rest. Does nothing where that is
    /// under way already.
    pub fn begin_anew(&self, source: &PartitionId, why: &str) {
        self.read_from_the_beginning(source);
        for kept in self.writer().views().iter().filter(|kept| kept.reads(&source.service)) {
            let Some((kept, row)) = self.take_off(kept.view.name()) else { continue };
            let build = Build::of_log(kept, row, why);
            self.writer().database().serve(&*build.live.view, &build.row, Some(build.why.clone()));
            self.add_pending(build);
        }
    }

    /// The same, since the log has lost records.
    pub(crate) fn begin_anew_since_lost(&self, source: &PartitionId) {
        self.begin_anew(source, &format!("{source} has lost records that it was made of"));
    }

    async fn build(self: Arc<Self>, build: Build, parts: BuildingParts) {
        let (name, view) = (self.writer().name().to_owned(), build.live.view.name());
        (parts.tell)(view, Some(build.why.to_string()));
        tracing::info!(database = name, view, table = build.target().table.name, why = &*build.why, "a view is being built");
        let building = Building { database: self.writer().database(), codecs: self.codecs(), name: &name, build: &build, parts: &parts };
        let mut stage = Stage::Nothing;
        let lost = loop {
            match building.run(&self, &mut stage).await {
                Ok(()) => break None,
                // What was put on was folded of records that the log has lost meanwhile.
                Err(RebuildError::Replay(ReplayError::Rewritten(source))) if matches!(stage, Stage::Swapped) => break Some(source),
                Err(error) => {
                    tracing::warn!(database = name, view, %error, "the building of a view goes on in a second");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        tracing::info!(database = name, view, table = build.live.table.name, "the view is built, and answers");
        (parts.tell)(view, None);
        if let Some(source) = lost {
            self.begin_anew_since_lost(&source);
        }
    }
}

/// How far a building has come.
enum Stage {
    Nothing,
    Begun,
    /// What was folded is of records that the log has lost.
    Unfounded,
    Swapped,
}

/// A building under way.
struct Building<'a> {
    database: &'a Database,
    codecs: &'a Codecs,
    name: &'a str,
    build: &'a Build,
    parts: &'a BuildingParts,
}

impl Building<'_> {
    /// Catches up, swaps, and hands the view to the readers. After an error another call goes on from where this one stood.
    async fn run(&self, runner: &ViewRunner, stage: &mut Stage) -> Result<(), RebuildError> {
        match (&stage, &self.build.shadow) {
            (Stage::Nothing | Stage::Unfounded, Some(shadow)) => discard(self.database, shadow).await?,
            (Stage::Unfounded, None) => self.database.empty_version(&self.build.row).await?,
            (Stage::Nothing | Stage::Begun | Stage::Swapped, _) => {}
        }
        if !matches!(stage, Stage::Swapped) {
            *stage = Stage::Begun;
            let writer = self.writer(self.build.target()).await?;
            while self.founded_pass(&writer, stage).await? > LITTLE {}
            self.swap().await?;
            self.database.tell_set_back();
            *stage = Stage::Swapped;
        }
        runner.put_on(self.build);
        self.follow().await
    }

    async fn writer(&self, kept: &Kept) -> Result<Arc<BatchWriter>, DatabaseError> {
        Ok(Arc::new(BatchWriter::new(self.name, self.database.clone(), vec![kept.clone()], self.codecs.clone()).await?))
    }

    /// A pass. Where the log has lost what was folded, another call begins with nothing.
    async fn founded_pass(&self, writer: &Arc<BatchWriter>, stage: &mut Stage) -> Result<u64, RebuildError> {
        let read = self.pass(writer).await;
        if let Err(RebuildError::Replay(ReplayError::Rewritten(_))) = &read {
            *stage = Stage::Unfounded;
        }
        read
    }

    /// Reads up to the ends of the logs as they are now; answers how many offsets that were.
    async fn pass(&self, writer: &Arc<BatchWriter>) -> Result<u64, RebuildError> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = read.clone();
        let progress: Progress = Arc::new(move |count| {
            counted.fetch_add(count, Ordering::Relaxed);
        });
        match read_up_to(writer, &self.parts.logs, self.ends().await?, &progress).await {
            // Another process builds the same, or a reader has gone on: read on from where it stands.
            Err(RebuildError::Database(DatabaseError::Moved(_)) | RebuildError::Batch(BatchError::Moved(_))) => Ok(u64::MAX),
            Err(error) => Err(error),
            Ok(()) => Ok(read.load(Ordering::Relaxed)),
        }
    }

    /// The ends of all partitions that the view reads.
    async fn ends(&self) -> Result<Vec<(PartitionId, i64)>, LogError> {
        let mut ends = Vec::new();
        for (service, count) in self.parts.partitions.iter().filter(|(service, _)| self.build.live.reads(service)) {
            let Some(log) = self.parts.logs.get(service) else { continue };
            for partition in 0..*count {
                ends.push((PartitionId { service: (*service).into(), partition }, log.end(partition).await?));
            }
        }
        Ok(ends)
    }

    async fn swap(&self) -> Result<(), DatabaseError> {
        if let Some(shadow) = &self.build.shadow {
            let mut open = self.database.begin().await?;
            open.lock_checkpoints(&self.build.live.reader).await?;
            replace(&mut open, &self.build.live, shadow).await?;
            // What other versions hold was folded of the log that is gone.
            for other in open.versions_of(self.build.live.view.name()).await? {
                if other.reader != self.build.live.reader {
                    open.remove_version(other).await?;
                }
            }
            return open.commit().await;
        }
        self.database.finish_version(&self.build.row).await
    }

    /// Reads what the readers handed on while the view was not theirs yet: the ends are asked for after it is, so nothing is left out. A quiet
    /// log would not tell them.
    async fn follow(&self) -> Result<(), RebuildError> {
        let (writer, ends) = (self.writer(&self.build.live).await?, self.ends().await?);
        let nobody: Progress = Arc::new(|_| {});
        loop {
            match read_up_to(&writer, &self.parts.logs, ends.clone(), &nobody).await {
                // A reader has the view already, and has gone on.
                Err(RebuildError::Database(DatabaseError::Moved(_)) | RebuildError::Batch(BatchError::Moved(_))) => {}
                settled => return settled,
            }
        }
    }
}
