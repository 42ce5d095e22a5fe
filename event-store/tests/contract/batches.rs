//! The calls that a log gets: batches of records (group commit), and notes of which partitions are written.

use crate::{Do, account::Account, ask, own, stores::eventually, writing};
use event_store::{Ack, Append, Cursor, Host, Hosted, Log, LogError, MemoryLog, NodeName, NotQueued, Tag, Unsent, WriterConfig};
use futures::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Acknowledges one record after the other, as a broker's client does, and notes how many it was given at once.
#[derive(Clone)]
struct OneByOne {
    inner: MemoryLog,
    given: Arc<Mutex<Vec<usize>>>,
    written: Arc<Mutex<Option<bool>>>,
}

impl OneByOne {
    fn new() -> Self {
        Self { inner: MemoryLog::new(1), given: Arc::default(), written: Arc::default() }
    }
}

#[async_trait::async_trait]
impl Log for OneByOne {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        self.inner.append(partition, record, tag, acks)
    }

    fn append_all(&self, partition: i32, records: Vec<(Append, Tag)>, acks: &UnboundedSender<Ack>) -> Result<(), Unsent> {
        self.given.lock().push(records.len());
        let (inner, acks) = (self.inner.clone(), acks.clone());
        tokio::spawn(async move {
            for (record, tag) in records {
                tokio::task::yield_now().await;
                inner.append(partition, record, tag, &acks).expect("it is queued");
            }
        });
        Ok(())
    }

    fn written(&self, _: i32, written: bool) {
        *self.written.lock() = Some(written);
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.inner.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        self.inner.read(partition, from).await
    }
}

const CLIENTS: u128 = 16;
const COMMANDS: u128 = 20;

#[tokio::test]
async fn who_was_answered_together_goes_together() {
    let log = OneByOne::new();
    let owner = own(Arc::new(log.clone()), "a");
    writing(&owner).await;
    let client = |number| {
        let owner = owner.clone();
        async move {
            for command in 0..COMMANDS {
                ask(&owner, number, Do::Deposit(1), number * COMMANDS + command).await.expect("accepted");
            }
        }
    };
    join_all((0..CLIENTS).map(|number| tokio::spawn(client(number)))).await;
    let given = log.given.lock().clone();
    assert_eq!(given.iter().sum::<usize>() as u128, CLIENTS * COMMANDS);
    // One batch for each round, and one more where the first clients do not wait for the others. If every batch left without its last
    // client, there would be two more.
    assert!(given.len() as u128 <= COMMANDS + 1, "{given:?}");
}

#[tokio::test]
async fn a_log_is_told_while_its_partition_is_written_here() {
    let log = OneByOne::new();
    let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
    let host = Host::<Account>::new(Arc::new(log.clone()), 1, crate::account::schemas(), node, WriterConfig::default());
    for _ in 0..2 {
        host.start(0);
        eventually("it is written here", async || (*log.written.lock() == Some(true)).then_some(())).await;
        host.stop(0).await;
        eventually("it is not any more", async || (*log.written.lock() == Some(false)).then_some(())).await;
    }
}
