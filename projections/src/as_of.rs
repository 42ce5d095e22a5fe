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
    /// Whether an event of the aggregate counts. After the first that does not, none does, even if its time is earlier.
    pub(crate) fn includes<E>(&self, record: &Recorded<E>) -> bool {
        match self {
            Self::Time(moment) => record.time <= *moment,
            Self::Position(position) => record.position.offset <= position.offset,
        }
    }
}
