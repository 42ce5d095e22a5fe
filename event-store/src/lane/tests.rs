use super::*;
use crate::{Append, MemoryLog, envelope::claim, log::Tag};
use event_sourcing::Timestamp;
use parking_lot::Mutex;

/// A reader that keeps its checkpoint, and goes back to the beginning where the log was rewritten.
#[derive(Default)]
struct Standing {
    checkpoint: Mutex<Checkpoint>,
    told: Mutex<Vec<String>>,
    /// Where a part of it stands further on.
    further: Mutex<Vec<Checkpoint>>,
}

#[async_trait::async_trait]
impl BatchHandler for Standing {
    async fn start(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(*self.checkpoint.lock())
    }

    async fn further(&self, _: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
        Ok(self.further.lock().clone())
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        *self.checkpoint.lock() = batch.to;
        self.told.lock().push(format!("{}..{}", batch.from.next, batch.to.next));
        Ok(())
    }

    async fn rewritten(&self, _: &PartitionId, _: &dyn Log) -> Result<(), BatchError> {
        *self.checkpoint.lock() = Checkpoint::default();
        self.further.lock().clear();
        self.told.lock().push("rewritten".to_owned());
        Ok(())
    }
}

struct Scene {
    log: MemoryLog,
    ring: Arc<Ring>,
    standing: Arc<Standing>,
}

impl Scene {
    /// A log of these claims, and a ring that has them.
    fn of(claims: &[&str]) -> Self {
        let scene = Self { log: MemoryLog::new(1), ring: Arc::new(Ring::new(0)), standing: Arc::default() };
        claims.iter().for_each(|nonce| scene.append(nonce));
        scene.show();
        scene
    }

    fn append(&self, nonce: &str) {
        let (acks, _heard) = tokio::sync::mpsc::unbounded_channel();
        let record: Append = claim("accounts", nonce, Timestamp(1), Vec::new());
        self.log.append(0, record, Tag { epoch: 1, at: -1 }, &acks).expect("it is queued");
    }

    /// The ring gets the records that it has not.
    fn show(&self) {
        let records = self.log.records(0).into_iter().map(|raw| Arc::new(SharedRecord::new(raw))).collect();
        self.ring.push(records, self.ring.generation());
    }

    fn lane(&self, stop: CancellationToken) -> Lane {
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let (log, handler): (Arc<dyn Log>, Arc<dyn BatchHandler>) = (Arc::new(self.log.clone()), self.standing.clone());
        Lane { name: "r".into(), source, handler, log, ring: self.ring.clone(), stop, health: Arc::default() }
    }

    fn read(&self) -> CancellationToken {
        let stop = CancellationToken::new();
        tokio::spawn(self.lane(stop.clone()).run());
        stop
    }

    async fn told(&self, last: &str) -> Vec<String> {
        let until = async {
            while self.standing.told.lock().last().is_none_or(|told| told != last) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(10), until).await;
        self.standing.told.lock().clone()
    }
}

#[tokio::test]
async fn a_reader_whose_last_record_is_another_now_is_told_before_it_reads_on() {
    let scene = Scene::of(&["a", "b"]);
    let stop = scene.read();
    assert_eq!(scene.told("0..2").await, ["0..2"]);
    stop.cancel();
    scene.log.lose(0, 1);
    ["c", "d"].iter().for_each(|nonce| scene.append(nonce));
    scene.ring.begin_anew(3);
    let _stop = scene.read();
    assert_eq!(scene.told("0..3").await, ["0..2", "rewritten", "0..3"]);
}

#[tokio::test]
async fn a_reader_that_slept_while_the_log_was_rewritten_is_told_at_the_next_claim() {
    let scene = Scene::of(&["a", "b"]);
    let _stop = scene.read();
    assert_eq!(scene.told("0..2").await, ["0..2"]);
    scene.log.lose(0, 1);
    ["c", "d"].iter().for_each(|nonce| scene.append(nonce));
    scene.show();
    assert_eq!(scene.told("rewritten").await, ["0..2", "rewritten"], "what follows is not folded onto what is lost");
}

#[tokio::test]
async fn a_ring_that_begins_anew_on_the_same_log_costs_a_reader_nothing() {
    let scene = Scene::of(&["a", "b"]);
    let _stop = scene.read();
    assert_eq!(scene.told("0..2").await, ["0..2"]);
    scene.append("c");
    scene.ring.begin_anew(3);
    scene.append("d");
    scene.show();
    let until = async {
        while scene.standing.checkpoint.lock().next < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until).await.expect("it reads on");
    let told = scene.standing.told.lock().clone();
    assert!(!told.contains(&"rewritten".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_part_of_a_reader_that_stands_further_on_is_told_of_what_it_has_read_and_the_log_has_lost() {
    let scene = Scene::of(&["a", "b"]);
    let stop = scene.read();
    assert_eq!(scene.told("0..2").await, ["0..2"]);
    stop.cancel();
    scene.append("c");
    let anchor = scene.log.records(0).last().map(Anchor::of);
    scene.standing.further.lock().push(Checkpoint { anchor, ..Checkpoint::new(3, Some(2)) });
    scene.log.lose(0, 2);
    ["d", "e"].iter().for_each(|nonce| scene.append(nonce));
    scene.ring.begin_anew(4);
    let _stop = scene.read();
    assert_eq!(scene.told("0..4").await, ["0..2", "rewritten", "0..4"]);
}

#[tokio::test]
async fn a_reader_that_is_far_behind_looks_at_each_claim_too() {
    let scene = Scene::of(&["a", "b"]);
    let stop = scene.read();
    assert_eq!(scene.told("0..2").await, ["0..2"]);
    scene.log.lose(0, 1);
    ["c", "d"].iter().for_each(|nonce| scene.append(nonce));
    // What the ring has begins behind what the reader reads next.
    let (ring, reading) = (Arc::new(Ring::new(3)), scene.standing.clone());
    stop.cancel();
    let scene = Scene { ring, ..scene };
    let lane = scene.lane(CancellationToken::new());
    let mut stands = RunReader::at(*reading.checkpoint.lock());
    assert!(matches!(lane.catch_up(&mut stands, 2).await, Err(BatchError::Moved(_))));
    assert_eq!(scene.told("rewritten").await, ["0..2", "rewritten"]);
}

#[test]
fn a_batch_knows_who_among_its_records_has_read_the_same() {
    let scene = Scene::of(&["a", "b", "c"]);
    let records = scene.log.records(0);
    let at = |next: i64, of: usize| Checkpoint { anchor: Some(Anchor::of(&records[of])), ..Checkpoint::new(next, None) };
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let batch = RunReader::at(at(1, 0)).read(&source, records[1..].to_vec()).expect("claims move it");
    assert_eq!((batch.from.next, batch.to.next), (1, 3));
    for next in 1..=3 {
        assert!(batch.passes(at(next, next as usize - 1)), "{next}");
        assert!(!batch.passes(at(next, next as usize % 3)), "{next}: another record");
        assert!(batch.passes(Checkpoint::new(next, None)), "{next}: it is not known");
    }
    assert!(batch.passes(at(4, 0)), "it is not known");
}
