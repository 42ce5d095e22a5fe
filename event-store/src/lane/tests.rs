use super::*;
use crate::{Append, MemoryLog, envelope::claim, log::Tag};
use event_sourcing::Timestamp;
use parking_lot::Mutex;

/// A reader that keeps its checkpoint, and goes back to the beginning where the log was rewritten.
#[derive(Default)]
struct Standing {
    checkpoint: Mutex<Checkpoint>,
    told: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl BatchHandler for Standing {
    async fn start(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(*self.checkpoint.lock())
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        *self.checkpoint.lock() = batch.to;
        self.told.lock().push(format!("{}..{}", batch.from.next, batch.to.next));
        Ok(())
    }

    async fn rewritten(&self, _: &PartitionId, _: &dyn Log) -> Result<(), BatchError> {
        *self.checkpoint.lock() = Checkpoint::default();
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

    fn read(&self) -> CancellationToken {
        let stop = CancellationToken::new();
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let (log, handler): (Arc<dyn Log>, Arc<dyn BatchHandler>) = (Arc::new(self.log.clone()), self.standing.clone());
        let lane = Lane { name: "r".into(), source, handler, log, ring: self.ring.clone(), stop: stop.clone(), health: Arc::default() };
        tokio::spawn(lane.run());
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
