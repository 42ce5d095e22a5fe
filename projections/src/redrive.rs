//! Redriving dead letters: a view folds, in the log's order, the records of an aggregate that it had put aside.

use crate::{database::DeadLetterRow, runner::ViewRunner, writer::applied};
use event_store::BatchError;
use serde::Serialize;
use uuid::Uuid;

/// The outcome of a redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Redriven {
    /// How many letters succeeded this time.
    pub redriven: usize,
    /// How many letters are left: the one that failed again, and those behind it.
    pub left: usize,
    /// Why the first of those that are left failed.
    pub stopped_by: Option<String>,
}

impl Redriven {
    /// Adds the outcome of another redrive.
    pub(crate) fn add(&mut self, other: Self) {
        self.redriven += other.redriven;
        self.left += other.left;
        self.stopped_by = self.stopped_by.take().or(other.stopped_by);
    }
}

/// Redrives the dead letters of readers: records and, for reactors, dead errands.
#[async_trait::async_trait]
pub trait Redrive: Send + Sync + 'static {
    /// True if it redrives the letters of the reader of this name: a view, `reactors`, or one reactor, whose errands it keeps.
    fn redrives(&self, reader: &str) -> bool;

    /// Processes an aggregate's records in order, up to the first that fails again. A further call goes on from there.
    ///
    /// # Errors
    /// [`BatchError::Failed`]: call again. Records that an earlier call redrove stay redriven.
    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError>;

    /// Tries a dead errand again. The default implementation has no errands.
    ///
    /// # Errors
    /// [`BatchError::Failed`] if the errand was not tried.
    async fn redrive_errand(&self, _id: &str) -> Result<Redriven, BatchError> {
        Ok(Redriven::default())
    }

    /// Gives a dead errand up for good; false if there is none of this id. The default implementation has none.
    ///
    /// # Errors
    /// [`BatchError::Failed`] if the errand could not be given up; it is unchanged.
    async fn drop_errand(&self, _id: &str) -> Result<bool, BatchError> {
        Ok(false)
    }
}

#[async_trait::async_trait]
impl Redrive for ViewRunner {
    fn redrives(&self, reader: &str) -> bool {
        self.has_view(reader)
    }

    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError> {
        let (writer, database) = (self.writer(), self.writer().database());
        let building = || BatchError::Failed(database.building(reader).unwrap_or_else(|| format!("no view {reader} is kept here")));
        let kept = &writer.kept(reader).ok_or_else(building)?;
        let mut open = database.begin().await?;
        // The lock holds up the projector: when it writes further records of this aggregate, the letters must be either all there or
        // redriven.
        open.lock_checkpoints(&kept.reader).await?;
        let mut letters = open.letters_of(&kept.reader, aggregate).await?.into_iter();
        let (mut done, mut stopped_by) = (Vec::new(), None);
        for letter in letters.by_ref() {
            let failed = match writer.decode_one(&letter.counted()?).await? {
                Ok(event) => applied(open.try_keep(kept, &event).await)?,
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = failed {
                open.park(vec![DeadLetterRow { reason: why.clone(), ..letter }]).await?;
                stopped_by = Some(why);
                break;
            }
            done.push(letter.id);
        }
        let left = letters.len() + usize::from(stopped_by.is_some());
        let redriven = done.len();
        open.unpark(done).await?;
        open.commit().await?;
        Ok(Redriven { redriven, left, stopped_by })
    }
}
