use super::Barrier;
use std::time::Duration;

/// The bounds of one partition's writer, and its barrier.
#[derive(Clone, Copy, Debug)]
pub struct WriterConfig {
    /// The most commands without an answer at a time; the writer answers further ones "unavailable" (503) at once.
    pub max_pending: usize,
    /// How many recent command ids are remembered, the oldest forgotten first.
    pub remembered_commands: usize,
    /// How many partitions the log has, by what the host knows; where there is none, claims state none and nothing is compared.
    pub partitions: Option<i32>,
    /// How the writer proves that an answer which leaves no record is not out of date.
    pub barrier: Barrier,
    /// With [`Barrier::Append`], the time between two proofs under a steady stream of strong reads, which share them; a quarter of it for
    /// refusals and repeats.
    pub proof_every: Duration,
    /// For how long a command id is remembered, by the records' own times; the newest 10,000 are in any case, since clocks go wrong.
    pub remembered_for: Duration,
    /// Of those that are remembered, how many are in memory; the others are looked up in the snapshots, where there are any.
    pub recent_commands: usize,
    /// How many aggregates are in memory; those that changed since the last save stay there in any case. The others are in the snapshots,
    /// where there are any.
    pub live_aggregates: usize,
    /// A save begins once this many aggregates have changed. Each save costs a commit and merges segments: few large ones are cheaper than
    /// many small ones.
    pub save_after: usize,
    /// A save of any change begins within this time.
    pub save_every: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            max_pending: 10_000,
            remembered_commands: 1_000_000,
            partitions: None,
            barrier: Barrier::End,
            proof_every: Duration::from_millis(200),
            remembered_for: Duration::from_secs(7 * 24 * 60 * 60),
            recent_commands: 100_000,
            live_aggregates: 100_000,
            save_after: 20_000,
            save_every: Duration::from_secs(5),
        }
    }
}
