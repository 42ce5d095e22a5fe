//! A process's reader of the logs' ends: it keeps the newest records of each partition in a [`Ring`].
//!
//! One consumer reads the partitions that other processes write, and gets each record at once. The records that this process writes itself
//! come into the rings when they are acknowledged; a fetch for each of them would cost the broker as much as the append did. So a second
//! consumer reads those partitions, and lets the broker gather: it brings the records that no acknowledgement put into a ring, and those of
//! another process that wrote the partition meanwhile.

use super::{KafkaConfig, KafkaProducer, following::Following};
use crate::{
    LogError, PartitionId,
    bounded::Bounded,
    ring::{Ring, Rings},
    supervision::whatever_happens,
};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the broker gathers records of partitions that this process writes itself.
const PATIENCE_MILLIS: &str = "50";
/// The broker answers sooner once it has gathered this many bytes.
const WORTH_A_FETCH: &str = "500000";
/// How long a consumer waits for a record before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long both consumers read a partition that another process writes now: the first fetch of a new partition waits until the fetch
/// before it has ended.
const HANDED_OVER: Duration = Duration::from_secs(2);

/// The process's consumers at the logs' ends, and their threads.
pub struct KafkaTail {
    reading: Arc<Tailing>,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// The consumers, and which of them reads which partition.
struct Tailing {
    prompt: Following,
    patient: Option<Following>,
    rings: Rings,
    /// The partitions that this process writes.
    written: watch::Receiver<HashSet<PartitionId>>,
    /// Partitions that another process writes now, and until when both consumers read them. Locked while partitions come, go and change
    /// consumers.
    leaving: Mutex<Vec<(Instant, PartitionId)>>,
}

impl KafkaTail {
    /// Starts with no partition. The producer is the one with which this process appends.
    pub fn start(config: &KafkaConfig, producer: &KafkaProducer) -> Result<Self, LogError> {
        let prompt = Following::new(&config.reader())?;
        let (rings, written) = (Rings::default(), producer.written());
        Self::reading(Tailing { prompt, patient: None, rings, written, leaving: Mutex::default() })
    }

    /// Starts the tail whose rings get the producer's records as soon as they are acknowledged. A producer has only one such tail: call
    /// this once.
    pub fn shown(config: &KafkaConfig, producer: &KafkaProducer) -> Result<Self, LogError> {
        let mut gathering = config.reader();
        gathering.set("fetch.wait.max.ms", PATIENCE_MILLIS).set("fetch.min.bytes", WORTH_A_FETCH);
        let patient = Some(Following::new(&gathering)?);
        let (prompt, rings, written) = (Following::new(&config.reader())?, producer.rings(), producer.written());
        Self::reading(Tailing { prompt, patient, rings, written, leaving: Mutex::default() })
    }

    fn reading(reading: Tailing) -> Result<Self, LogError> {
        let (reading, stop) = (Arc::new(reading), CancellationToken::new());
        let (this, mended, until) = (reading.clone(), reading.clone(), stop.clone());
        let mut threads = vec![spawn("tail", move || this.follow(&until), move || mended.read_again(&mended.prompt))?];
        if reading.patient.is_some() {
            let (this, mended, until) = (reading.clone(), reading.clone(), stop.clone());
            let mend = move || mended.patient.iter().for_each(|patient| mended.read_again(patient));
            threads.push(spawn("patient tail", move || this.follow_patiently(&until), mend)?);
        }
        Ok(Self { reading, stop, threads })
    }

    /// The ring of a partition; it begins at `from` if the partition was not read before.
    pub fn ring(&self, source: &PartitionId, from: i64) -> Result<Arc<Ring>, LogError> {
        let _change = self.reading.leaving.lock();
        if let Some(ring) = self.reading.rings.lock().get(source) {
            return Ok(ring.clone());
        }
        let ring = Arc::new(Ring::new(from));
        self.reading.rings.lock().insert(source.clone(), ring.clone());
        let reader =
            self.reading.patient.as_ref().filter(|_| self.reading.written.borrow().contains(source)).unwrap_or(&self.reading.prompt);
        reader.begin(source, from).inspect_err(|_| {
            // The next call begins anew: a ring that nobody fills must not be found.
            self.reading.rings.lock().remove(source);
        })?;
        Ok(ring)
    }

    /// Reads the partition no more.
    pub fn forget(&self, source: &PartitionId) -> Result<(), LogError> {
        let _change = self.reading.leaving.lock();
        self.reading.rings.lock().remove(source);
        self.reading.prompt.end(source)?;
        self.reading.patient.as_ref().map_or(Ok(()), |patient| patient.end(source))
    }
}

impl Drop for KafkaTail {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thread that runs until it is done; after a defect it mends what it left half done, and runs again.
fn spawn(name: &str, run: impl Fn() + Send + 'static, mend: impl Fn() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let again = move || whatever_happens(run, mend);
    std::thread::Builder::new().name(name.into()).spawn(again).map_err(|error| LogError(error.to_string()))
}

impl Tailing {
    fn follow(&self, until: &CancellationToken) {
        while !until.is_cancelled() {
            self.prompt.step(&self.rings, LOOK);
        }
    }

    fn follow_patiently(&self, until: &CancellationToken) {
        let Some(patient) = &self.patient else { return };
        let mut written = self.written.clone();
        written.mark_changed();
        let troubles = Bounded::default();
        while !until.is_cancelled() {
            patient.step(&self.rings, LOOK);
            if let Err(error) = self.sort(patient, &mut written)
                && let Some(held_back) = troubles.admit()
            {
                tracing::warn!(%error, held_back, "a partition cannot change its consumer");
            }
        }
    }

    /// Reads each partition of a consumer again from its ring's end on: the records that a step took before it met a defect reached no
    /// ring, and a ring has no holes.
    fn read_again(&self, reader: &Following) {
        let _change = self.leaving.lock();
        let rings = self.rings.lock().clone();
        for (source, ring) in rings.iter().filter(|(source, _)| reader.reads(source)) {
            if let Err(error) = reader.end(source).and_then(|()| reader.begin(source, ring.end())) {
                tracing::error!(?source, %error, "a partition cannot be read again after a defect");
            }
        }
    }

    /// Gives each partition to the consumer that suits it, when the partitions that this process writes have changed.
    fn sort(&self, patient: &Following, written: &mut watch::Receiver<HashSet<PartitionId>>) -> Result<(), LogError> {
        let mut leaving = self.leaving.lock();
        // An error means that the producer is gone, and the process with it.
        if written.has_changed().unwrap_or(false) {
            let now = written.borrow_and_update().clone();
            let given = self.rings.lock().clone();
            let given = given.iter().try_for_each(|(source, ring)| self.give(patient, source, ring, now.contains(source), &mut leaving));
            given.inspect_err(|_| written.mark_changed())?;
        }
        let (over, both): (Vec<_>, _) = leaving.drain(..).partition(|(until, _)| *until < Instant::now());
        *leaving = both;
        let mut gone = over.iter().map(|(_, source)| source).filter(|source| !written.borrow().contains(source));
        gone.try_for_each(|source| patient.end(source))
    }

    fn give(
        &self,
        patient: &Following,
        source: &PartitionId,
        ring: &Ring,
        written: bool,
        leaving: &mut Vec<(Instant, PartitionId)>,
    ) -> Result<(), LogError> {
        if written {
            patient.begin(source, ring.end())?;
            return self.prompt.end(source);
        }
        if patient.reads(source) && !self.prompt.reads(source) {
            leaving.push((Instant::now() + HANDED_OVER, source.clone()));
        }
        self.prompt.begin(source, ring.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No broker listens there: only what the process keeps is looked at. No log has a negative offset.
    #[test]
    fn a_ring_that_could_not_be_begun_is_not_found_again() {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        let tail = KafkaTail::start(&config, &KafkaProducer::new(&config).expect("a producer")).expect("a tail");
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        assert!(tail.ring(&source, -7).is_err());
        assert_eq!(tail.ring(&source, 5).expect("it begins").end(), 5);
    }
}
