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

/// A thread that runs until it is done; after a defect it mends what it left half done, and runs again.
fn spawn(name: &str, run: impl Fn() + Send + 'static, mend: impl Fn() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let again = move || whatever_happens(run, mend);
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
    use crate::{
        Append, Headers, Log, Tag,
        kafka::{KafkaLog, Profile, TopicPlan, Topics},
        ring::Window,
        tripwire,
    };
    use std::{
        net::SocketAddr,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };
    use tokio::sync::mpsc::unbounded_channel;

    /// No broker listens there: only what the process keeps is looked at. No log has a negative offset.
    #[test]
    fn a_ring_that_could_not_be_begun_is_not_found_again() {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        let tail = KafkaTail::start(&config, &KafkaProducer::new(&config).expect("a producer")).expect("a tail");
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        assert!(tail.ring(&source, -7).is_err());
        assert_eq!(tail.ring(&source, 5).expect("it begins").end(), 5);
    }

    /// Each consumer panics once when it has taken records, before they are in the ring: all records are there in the end, in order.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tail_that_panics_reads_on_without_a_hole() {
        let (directory, partition, count) = (tempfile::tempdir().expect("a directory"), 6, 300);
        let store = Arc::new(embedded_log::Store::open(directory.path()).expect("a log"));
        let server = embedded_log::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), store).await.expect("a port");
        let config = KafkaConfig::new(&server.local_addr().to_string(), "test");
        tokio::spawn(server.run(std::future::pending()));
        let plan = TopicPlan { services: vec!["tailed"], partitions: partition + 1, profile: Profile { replication: 1, min_insync: 1 } };
        Topics::new(&config).expect("an admin client").create(&plan).await.expect("the topic is made");
        let (ours, foreign) = (KafkaProducer::new(&config).expect("a producer"), KafkaProducer::new(&config).expect("a producer"));
        let panics = Arc::new(AtomicUsize::new(0));
        let counted = panics.clone();
        tripwire::arm("tail", partition, move || assert!(!counted.fetch_add(1, SeqCst).is_multiple_of(3), "a tail's defect, for a test"));
        let tail = KafkaTail::shown(&config, &ours).expect("a tail");
        let ring = tail.ring(&PartitionId { service: "tailed".into(), partition }, 0).expect("a ring");
        let (log, (acks, mut heard)) = (KafkaLog::new(foreign, "tailed", config.clone()), unbounded_channel());
        for at in 0..count {
            let record = Append { key: at.to_string(), payload: Vec::new(), headers: Headers::default() };
            log.append(partition, record, Tag { epoch: 1, at }, &acks).expect("it is queued");
            heard.recv().await.expect("an answer").offset.expect("it is acknowledged");
        }
        let mut end = ring.watch();
        tokio::time::timeout(Duration::from_secs(30), end.wait_for(|end| *end == count))
            .await
            .expect("it reads on")
            .expect("the ring lives");
        let Window::Records(records) = ring.window(0, usize::MAX, ring.generation()) else { panic!("the ring has all of them") };
        assert!(records.iter().map(|record| record.raw.offset).eq(0..count), "without a hole");
        assert!(panics.load(SeqCst) > 1);
    }
}
