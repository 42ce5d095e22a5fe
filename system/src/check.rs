//! What a service promises of all events of its log together, beyond the log's own promises.

use crate::store::Store;
use event_sourcing::{AnyEvent, Recorded};
use event_store::{Checkpoint, PartitionId, Replay, ReplayError};

/// A check over the events of one service's log: `verify` hands it all that count, partition by partition.
pub trait Check: Send {
    /// Takes the next event.
    fn take(&mut self, event: &Recorded<AnyEvent>);

    /// The broken promises, in words, without personal data.
    fn findings(&self) -> Vec<String>;
}

/// Hands a check all events of a service's log that count. Those that cannot be decoded are left out: `verify` reports them by themselves.
pub(crate) async fn findings(store: &Store, service: &'static str, mut check: Box<dyn Check>) -> Result<Vec<String>, ReplayError> {
    let Some(log) = store.logs.get(service) else { return Ok(Vec::new()) };
    for partition in 0..store.partitions.get(service).copied().unwrap_or(0) {
        let source = PartitionId { service: service.into(), partition };
        let end = log.end(partition).await?;
        let Some(mut replay) = Replay::open(log, source, Checkpoint::default(), end).await? else { continue };
        while let Some(batch) = replay.next().await? {
            for record in &batch.records {
                if let Ok(event) = store.codecs.decode(service, &record.event) {
                    check.take(&record.with(event));
                }
            }
        }
    }
    Ok(check.findings())
}
