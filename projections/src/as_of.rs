//! An aggregate as it was: its events up to a moment or a position in the log.

use event_sourcing::{Position, Recorded, Timestamp};

/// The moment or the position up to which an aggregate's events are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Every event before the first one whose time is after this moment.
    Time(Timestamp),
    /// Every event up to this position, which is in the aggregate's own partition.
    Position(Position),
}

impl AsOf {
    fn includes<E>(&self, record: &Recorded<E>) -> bool {
        match self {
            Self::Time(moment) => record.time <= *moment,
            Self::Position(position) => record.position.offset <= position.offset,
        }
    }
}

/// Keeps the events of one aggregate up to `at`; `records` are in the log's order. The first event that is too late ends the list: the
/// events behind it are dropped even if their times are earlier.
pub fn up_to<E>(records: Vec<Recorded<E>>, at: &AsOf) -> Vec<Recorded<E>> {
    records.into_iter().take_while(|record| at.includes(record)).collect()
}
