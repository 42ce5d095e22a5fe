//! A process's reader of the logs' ends: it keeps the newest records of each partition in a [`Ring`].
//!
//! One consumer reads the partitions that other processes write, and gets each record at once. The records that this process writes itself
//! come into the rings when they are acknowledged; a fetch for each of them would cost the broker as much as the append did. So a second
//! consumer reads those partitions, and lets the broker gather: it brings the records that no acknowledgement put into a ring, and those of
//! another process that wrote the partition meanwhile.

use super::{KafkaConfig, KafkaProducer, following::Following};
use crate::{
    LogError, PartitionId,
    ring::{Ring, Rings},
};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
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
        let (this, until) = (reading.clone(), stop.clone());
        let mut threads = vec![spawn("tail", move || this.follow(&until))?];
        if reading.patient.is_some() {
            let (this, until) = (reading.clone(), stop.clone());
            threads.push(spawn("patient tail", move || this.follow_patiently(&until))?);
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
        reader.begin(source, from)?;
        Ok(ring)
    }

    /// The partition's log may have lost records: its ring is begun anew, and those who read it look first.
    pub fn doubt(&self, source: &PartitionId) {
        if let Some(ring) = self.reading.rings.lock().get(source) {
            ring.doubt();
        }
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

/// A thread that runs until it is done; a defect is said by the panic's hook, and it runs again.
fn spawn(name: &str, run: impl Fn() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let again = move || {
        while catch_unwind(AssertUnwindSafe(&run)).is_err() {
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(again).map_err(|error| LogError(error.to_string()))
}

impl Tailing {
    fn follow(&self, until: &CancellationToken) {
        while !until.is_cancelled() {
            self.prompt.step(&self.rings, LOOK);
            self.begin_doubted_anew();
        }
    }

    /// Begins those rings anew, at the log's end, whose log may have lost records. Their readers look at the log itself first.
    fn begin_doubted_anew(&self) {
        let doubted: Vec<(PartitionId, Arc<Ring>)> =
            self.rings.lock().iter().filter(|(_, ring)| ring.is_doubted()).map(|(source, ring)| (source.clone(), ring.clone())).collect();
        for (source, ring) in doubted {
            if let Err(error) = self.begin_anew(&source, &ring) {
                tracing::warn!(%source, %error, "the end of a log cannot be read anew yet");
                ring.doubt();
            }
        }
    }

    fn begin_anew(&self, source: &PartitionId, ring: &Ring) -> Result<(), LogError> {
        let end = self.prompt.end_of_log(source)?;
        let _change = self.leaving.lock();
        if !self.rings.lock().contains_key(source) {
            return Ok(());
        }
        let readers = [Some(&self.prompt), self.patient.as_ref()].into_iter().flatten().filter(|reader| reader.reads(source));
        let mut readers: Vec<&Following> = readers.collect();
        if readers.is_empty() {
            // The last attempt ended its reading and could not begin it.
            readers.push(&self.prompt);
        }
        readers.iter().try_for_each(|reader| reader.end(source))?;
        ring.begin_anew(end);
        readers.iter().try_for_each(|reader| reader.begin(source, end))
    }

    fn follow_patiently(&self, until: &CancellationToken) {
        let Some(patient) = &self.patient else { return };
        let mut written = self.written.clone();
        written.mark_changed();
        while !until.is_cancelled() {
            patient.step(&self.rings, LOOK);
            if let Err(error) = self.sort(patient, &mut written) {
                tracing::warn!(%error, "a partition cannot change its consumer");
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
