//! Follows how many copies the logs have: copies may be added while nodes run, and from then on a log's end proves nothing.

use event_store::{
    Barrier,
    kafka::{KafkaLog, Topics},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often it is looked. New copies are listed before they have caught up, and only a copy that has caught up can become the leader.
const EVERY: Duration = Duration::from_secs(1);
/// How long the brokers may be silent before it is supposed that they are cut off.
const WITHIN: Duration = Duration::from_secs(1);

/// The logs that this process writes.
pub(crate) struct Copies {
    topics: Arc<Topics>,
    logs: Vec<(&'static str, Arc<KafkaLog>)>,
    /// Those that were seen with several copies. They keep the barrier that is right everywhere.
    several: HashSet<&'static str>,
}

impl Copies {
    pub fn of(topics: Arc<Topics>, logs: Vec<(&'static str, Arc<KafkaLog>)>) -> Self {
        Self { topics, logs, several: HashSet::new() }
    }

    /// Follows them until the node stops.
    pub async fn follow(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    let found = self.look().await;
                    self.note(found.as_ref());
                }
            }
        }
    }

    async fn look(&self) -> Option<HashMap<&'static str, Barrier>> {
        let (topics, services): (_, Vec<&'static str>) = (self.topics.clone(), self.logs.iter().map(|(service, _)| *service).collect());
        let asked = tokio::task::spawn_blocking(move || topics.barriers(&services));
        tokio::time::timeout(WITHIN, asked).await.ok()?.ok()?.ok()
    }

    /// Where nobody knows how many copies a log has, it may have several.
    fn note(&mut self, found: Option<&HashMap<&'static str, Barrier>>) {
        for (service, log) in &self.logs {
            let barrier = found.and_then(|found| found.get(service)).copied();
            if found.is_some() && barrier == Some(Barrier::Append) {
                self.several.insert(service);
            }
            log.needs(if self.several.contains(service) { Barrier::Append } else { barrier.unwrap_or(Barrier::Append) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::{
        Log,
        kafka::{KafkaConfig, KafkaProducer},
    };

    #[test]
    fn a_log_that_is_given_copies_needs_records_as_proofs_and_so_does_one_of_which_nobody_knows() {
        let config = KafkaConfig::new("127.0.0.1:1", "copies");
        let producer = KafkaProducer::new(&config).expect("a producer");
        let log = Arc::new(KafkaLog::new(producer, "orders", config.clone()));
        let mut copies = Copies::of(Arc::new(Topics::new(&config).expect("a client")), vec![("orders", log.clone())]);
        let mut told = |found: Option<Barrier>| {
            copies.note(found.map(|barrier| HashMap::from([("orders", barrier)])).as_ref());
            log.barrier()
        };
        assert_eq!(told(Some(Barrier::End)), Some(Barrier::End));
        assert_eq!(told(None), Some(Barrier::Append), "the brokers are silent");
        assert_eq!(told(Some(Barrier::End)), Some(Barrier::End), "it has one copy all the same");
        assert_eq!(told(Some(Barrier::Append)), Some(Barrier::Append));
        assert_eq!(told(Some(Barrier::End)), Some(Barrier::Append), "a former leader may be cut off and not know it");
    }
}
