//! Reading, and waiting for what is not there yet.

use super::broker::{Broker, ErrorCode};
use crate::{
    store::{Amount, Partition, ReadError, Store},
    wire::Share,
};
use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        FetchRequest, FetchResponse, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::{FetchableTopicResponse, PartitionData},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// An answer has at most so many bytes (and always one batch), whatever the client would take: it bounds the memory of a connection.
const MOST_BYTES: usize = 16 << 20;

/// A partition that a client wants, and from where.
#[derive(Clone)]
struct Wanted {
    number: i32,
    /// None if there is no such partition.
    partition: Option<Arc<Partition>>,
    /// Where the partition ended when this was looked at last.
    end: i64,
    from: i64,
    most: usize,
}

/// What was read of one partition.
struct Got {
    number: i32,
    end: i64,
    read: Result<Bytes, ResponseError>,
}

/// All that was read for a request.
struct Batch {
    topics: Vec<(TopicName, Vec<Got>)>,
    bytes: usize,
    has_error: bool,
}

impl Broker {
    /// Answers when there are as many bytes as the client wants at least, or when it would wait no longer.
    /// The answer comes with the share of the memory that it takes.
    pub async fn fetch(&self, request: FetchRequest) -> (FetchResponse, Share) {
        let until = Instant::now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let mut least = usize::try_from(request.min_bytes).unwrap_or(0).min(MOST_BYTES);
        let most = usize::try_from(request.max_bytes).unwrap_or(0).min(MOST_BYTES);
        loop {
            let wanted = self.wanted(&request.topics);
            let waiting = Waiting::on(&wanted);
            // Taken anew each time, since nothing is held while it waits.
            let mut share = self.answers.nothing();
            let got = self.read(wanted, share.grow_up_to(most)).await;
            if got.has_error || got.bytes >= least || Instant::now() >= until {
                let share = share.split(got.bytes);
                return (answer(got), share);
            }
            let before = got.bytes;
            drop((got, share));
            if !waiting.for_bytes(least - before, until).await {
                least = 0;
            }
        }
    }

    fn wanted(&self, topics: &[FetchTopic]) -> Vec<(TopicName, Vec<Wanted>)> {
        let catalog = self.store.catalog();
        let of_topic = |topic: &FetchTopic| {
            let wanted = |wanted: &FetchPartition| Wanted {
                number: wanted.partition,
                partition: catalog.partition(&topic.topic, wanted.partition).cloned(),
                end: -1,
                from: wanted.fetch_offset,
                most: usize::try_from(wanted.partition_max_bytes).unwrap_or(0),
            };
            (topic.topic.clone(), topic.partitions.iter().map(wanted).collect())
        };
        topics.iter().map(of_topic).collect()
    }

    /// Reads where it holds up no other connection; where there is nothing to read, which is so each time before a fetch waits, it answers
    /// without the store.
    async fn read(&self, mut wanted: Vec<(TopicName, Vec<Wanted>)>, most: usize) -> Batch {
        wanted.iter_mut().flat_map(|(_, partitions)| partitions).for_each(Wanted::look);
        if wanted.iter().flat_map(|(_, partitions)| partitions).all(|wanted| !wanted.has_something()) {
            return gather(wanted, |wanted, _| wanted.nothing());
        }
        let nothing = |_| Batch { topics: Vec::new(), bytes: 0, has_error: true };
        let read_all = move |store: &Store| gather(wanted, |wanted, bytes| wanted.read(store, most.saturating_sub(bytes), bytes == 0));
        self.reading(read_all, nothing).await
    }
}

impl Wanted {
    fn look(&mut self) {
        self.end = self.partition.as_ref().map_or(-1, |partition| partition.end());
    }

    /// Whether there is anything to read from the disk.
    fn has_something(&self) -> bool {
        (0..self.end).contains(&self.from)
    }

    /// The answer where there is nothing to read.
    fn nothing(&self) -> Got {
        let read = match &self.partition {
            None => Err(ResponseError::UnknownTopicOrPartition),
            Some(_) if self.from == self.end => Ok(Bytes::new()),
            Some(_) => Err(ResponseError::OffsetOutOfRange),
        };
        Got { number: self.number, end: self.end, read }
    }

    fn read(&self, store: &Store, left: usize, is_first: bool) -> Got {
        let Some(partition) = self.partition.as_ref().filter(|_| self.has_something()) else { return self.nothing() };
        let amount = Amount { bytes: self.most.min(left), at_least_one: is_first };
        let read = store.read_batches(partition, self.from, amount).map_err(|error: ReadError| error.error());
        // The end is read again: an answer must not hold records behind the end that it names.
        Got { number: self.number, end: partition.end(), read }
    }
}

/// Gets each partition in turn; `get` is told how many bytes there are already.
fn gather(wanted: Vec<(TopicName, Vec<Wanted>)>, get: impl Fn(&Wanted, usize) -> Got) -> Batch {
    let mut batch = Batch { topics: Vec::with_capacity(wanted.len()), bytes: 0, has_error: false };
    for (topic, partitions) in wanted {
        let mut of_topic = Vec::with_capacity(partitions.len());
        for wanted in partitions {
            let got = get(&wanted, batch.bytes);
            match &got.read {
                Ok(records) => batch.bytes += records.len(),
                Err(_) => batch.has_error = true,
            }
            of_topic.push(got);
        }
        batch.topics.push((topic, of_topic));
    }
    batch
}

fn answer(got: Batch) -> FetchResponse {
    let topic = |(name, partitions): (TopicName, Vec<Got>)| {
        FetchableTopicResponse::default().with_topic(name).with_partitions(partitions.into_iter().map(partition_data).collect())
    };
    // Session 0: this server keeps no fetch sessions, so each request names all its partitions.
    FetchResponse::default().with_responses(got.topics.into_iter().map(topic).collect())
}

fn partition_data(Got { number, end, read }: Got) -> PartitionData {
    let data = PartitionData::default().with_partition_index(number).with_high_watermark(end).with_aborted_transactions(None);
    // There are no transactions, so all that is durable is stable.
    let data = data.with_last_stable_offset(end).with_log_start_offset(if end < 0 { -1 } else { 0 });
    match read {
        Ok(records) => data.with_records(Some(records)),
        Err(error) => data.with_error_code(error.code()),
    }
}

/// Waits for new records of some partitions. It hears of all that come after it was made.
struct Waiting {
    partitions: Vec<Arc<Partition>>,
    bell: Arc<Notify>,
    before: u64,
}

impl Waiting {
    fn on(wanted: &[(TopicName, Vec<Wanted>)]) -> Self {
        let partitions = wanted.iter().flat_map(|(_, partitions)| partitions);
        let partitions: Vec<_> = partitions.filter_map(|wanted| wanted.partition.clone()).collect();
        let bell = Arc::new(Notify::new());
        partitions.iter().for_each(|partition| partition.ring_on_change(&bell));
        let before = bytes_of(&partitions);
        Self { partitions, bell, before }
    }

    /// Waits until so many bytes have come, or one of the partitions is gone. False when the time has passed first.
    async fn for_bytes(&self, bytes: usize, until: Instant) -> bool {
        let enough = async {
            while bytes_of(&self.partitions) - self.before < bytes as u64 && !self.partitions.iter().any(|partition| partition.is_gone()) {
                self.bell.notified().await;
            }
        };
        tokio::time::timeout_at(until, enough).await.is_ok()
    }
}

fn bytes_of(partitions: &[Arc<Partition>]) -> u64 {
    partitions.iter().map(|partition| partition.bytes()).sum()
}
