//! The faults of a schedule, and how often they occur.

use super::chance::Chance;

/// Rates in a thousand. Each schedule has some kinds of fault and not others, at rates of its own: where everything goes
/// wrong at once, nothing gets far enough to go wrong in an interesting way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Of records: they are lost, and their sender gets an error.
    pub lost_record: u32,
    /// Of records: they stand in the log, but their sender gets an error.
    pub lost_ack: u32,
    /// Of records: their sender gets an error, and they arrive later.
    pub late_record: u32,
    /// Of records: they arrive twice.
    pub doubled: u32,
    /// Of records: the log takes them never.
    pub rejected: u32,
    /// Of records: they overtake what the same node sent before.
    pub overtaking: u32,
    /// Of acknowledgements: they overtake others.
    pub overtaking_ack: u32,
    /// Of appends: the queue is full.
    pub full: u32,
    /// How many records of a node wait at most in its queue; 0 when there is no bound.
    pub queue: usize,
    /// Of questions for the log's end: no answer.
    pub end_fails: u32,
    /// Of questions for the log's end: an answer below the asker's acknowledged records.
    pub end_lags: u32,
    /// Whether questions for the log's end, and the answers, are long on their way.
    pub slow_end: bool,
    /// How many records a node is given at once at most.
    pub fetched: usize,
    /// Of reads: they fail.
    pub read_fails: u32,
    /// Of strikes: a node dies.
    pub crash: u32,
    /// Of strikes: a node stands still for a while.
    pub pause: u32,
    /// Of strikes: somebody else writes to the topic.
    pub stranger: u32,
    /// Of strikes: the log loses its last records.
    pub lost_tail: u32,
    /// Of batches: the view does not take them, or takes them and the projector does not hear of it.
    pub batch_fails: u32,
    /// Of a projector's steps: it dies.
    pub projector_dies: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self { fetched: 40, ..Self::default() }
    }

    pub fn drawn(chance: &mut Chance) -> Self {
        let mut rate = |most: i64| if chance.strikes(500) { chance.between(1, most) as u32 } else { 0 };
        Self {
            lost_record: rate(60),
            lost_ack: rate(60),
            late_record: rate(60),
            doubled: rate(80),
            rejected: rate(60),
            overtaking: rate(60),
            overtaking_ack: rate(20),
            full: rate(60),
            queue: rate(8) as usize,
            end_fails: rate(150),
            end_lags: rate(150),
            slow_end: rate(1) == 1,
            fetched: if rate(1) == 1 { 3 } else { 40 },
            read_fails: rate(200),
            crash: rate(60),
            pause: rate(60),
            stranger: rate(60),
            batch_fails: rate(200),
            projector_dies: rate(60),
            lost_tail: rate(40),
        }
    }
}
