//! A wrapper of any log, which makes it fail on demand.

use event_store::{Ack, Append, AppendError, Cursor, Log, LogError, NotQueued, Rejection, Tag, Unsent};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

type Queued = (i32, Append, Tag, UnboundedSender<Ack>);

#[derive(Default)]
struct Plan {
    paused: Option<Vec<Queued>>,
    full: bool,
    /// How many more records pass before all others are lost without a word, as when the process dies.
    passing: Option<usize>,
    lost_acks: usize,
    lost_records: usize,
    doubled: usize,
    /// The most bytes of a batch that the log takes.
    limit: Option<usize>,
}

fn bytes_of(Append { key, payload, headers }: &Append) -> usize {
    key.len() + payload.len() + headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// Wraps a log. Clones share the faults.
#[derive(Clone)]
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyLog {
    pub fn new(inner: Arc<dyn Log>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// The process stands still: the records that it appends stay in its queue.
    pub fn pause(&self) {
        self.plan.lock().paused = Some(Vec::new());
    }

    /// The process wakes up and its queue is flushed.
    pub fn wake(&self) {
        let queued = self.plan.lock().paused.take().unwrap_or_default();
        for (partition, record, tag, acks) in queued {
            let _ = self.inner.append(partition, record, tag, &acks);
        }
    }

    /// Whether the queue is full, and takes no record.
    pub fn set_full(&self, full: bool) {
        self.plan.lock().full = full;
    }

    /// Dies after so many more records.
    pub fn die_after(&self, records: usize) {
        self.plan.lock().passing = Some(records);
    }

    /// The next acknowledgements are lost, though the records arrive.
    pub fn lose_acks(&self, count: usize) {
        self.plan.lock().lost_acks = count;
    }

    /// The next records are lost, and their sender gets an error.
    pub fn lose_records(&self, count: usize) {
        self.plan.lock().lost_records = count;
    }

    /// The next records arrive twice.
    pub fn double(&self, count: usize) {
        self.plan.lock().doubled = count;
    }

    /// From now on a batch of more bytes is rejected as a whole, as a broker does it.
    pub fn take_at_most(&self, bytes: usize) {
        self.plan.lock().limit = Some(bytes);
    }

    fn swallow() -> UnboundedSender<Ack> {
        tokio::sync::mpsc::unbounded_channel().0
    }
}

#[async_trait::async_trait]
impl Log for FaultyLog {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        let mut plan = self.plan.lock();
        if plan.full {
            return Err(NotQueued::Full);
        }
        if let Some(queue) = &mut plan.paused {
            queue.push((partition, record, tag, acks.clone()));
            return Ok(());
        }
        if let Some(passing) = &mut plan.passing {
            if *passing == 0 {
                return Ok(());
            }
            *passing -= 1;
        }
        if plan.lost_records > 0 {
            plan.lost_records -= 1;
            let _ = acks.send(Ack { tag, offset: Err(AppendError::Unknown("timed out".into())) });
            return Ok(());
        }
        if plan.lost_acks > 0 {
            plan.lost_acks -= 1;
            self.inner.append(partition, record, tag, &Self::swallow())?;
            let _ = acks.send(Ack { tag, offset: Err(AppendError::Unknown("timed out".into())) });
            return Ok(());
        }
        if plan.doubled > 0 {
            plan.doubled -= 1;
            self.inner.append(partition, record.clone(), tag, acks)?;
            return self.inner.append(partition, record, tag, &Self::swallow());
        }
        self.inner.append(partition, record, tag, acks)
    }

    fn append_all(&self, partition: i32, records: Vec<(Append, Tag)>, acks: &UnboundedSender<Ack>) -> Result<(), Unsent> {
        let bytes = records.iter().map(|(record, _)| bytes_of(record)).sum::<usize>();
        let rejected = self.plan.lock().limit.is_some_and(|limit| bytes > limit);
        for (record, tag) in records {
            if rejected {
                let _ = acks.send(Ack { tag, offset: Err(AppendError::Never(Rejection::TooLarge)) });
            } else {
                self.append(partition, record, tag, acks).map_err(|why| Unsent { at: tag.at, why })?;
            }
        }
        Ok(())
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.inner.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        self.inner.read(partition, from).await
    }
}
