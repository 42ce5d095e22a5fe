//! Redriving dead letters: an aggregate's records, put aside by a view, are folded after all, in the log's order.

use crate::{database::DeadLetterRow, runner::ViewRunner, writer::applied};
use event_store::BatchError;
use serde::Serialize;
use uuid::Uuid;

/// What a redrive came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Redriven {
    /// Letters that were taken after all.
    pub redriven: usize,
    /// Letters that are left: the one that could not be taken, and those behind it.
    pub left: usize,
    /// Why the first of those that are left could not be taken.
    pub stopped_by: Option<String>,
}

impl Redriven {
    /// Adds what another redrive came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.redriven += other.redriven;
        self.left += other.left;
        self.stopped_by = self.stopped_by.take().or(other.stopped_by);
    }
}

/// Takes up what readers have put aside: records, and, where the readers are reactors, errands that are dead.
#[async_trait::async_trait]
pub trait Redrive: Send + Sync + 'static {
    /// True where it takes up the letters of the reader of this name: a view, `reactors`, or a reactor whose errands are kept.
    fn redrives(&self, reader: &str) -> bool;

    /// Takes an aggregate's records in order, up to the first that still cannot be taken. Asking again goes on from there.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where it can be asked again; what was redriven before stays redriven.
    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError>;

    /// Tries a dead errand again. By default there are none.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where nothing was tried.
    async fn redrive_errand(&self, _id: &str) -> Result<Redriven, BatchError> {
        Ok(Redriven::default())
    }

    /// Gives a dead errand up for good; false where there is none of this id, as is the default.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where it is as it was.
    async fn drop_errand(&self, _id: &str) -> Result<bool, BatchError> {
        Ok(false)
    }
}

#[async_trait::async_trait]
impl Redrive for ViewRunner {
    fn redrives(&self, reader: &str) -> bool {
        self.writer().kept(reader).is_some()
    }

    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError> {
        let (writer, database) = (self.writer(), self.writer().database());
        let Some(kept) = writer.kept(reader) else { return Ok(Redriven::default()) };
        let mut open = database.begin().await?;
        // The projector waits: what it reads meanwhile of this aggregate must find it either parked or taken up.
        open.lock_checkpoints(reader).await?;
        let mut letters = database.letters_of(reader, aggregate).await?.into_iter();
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
