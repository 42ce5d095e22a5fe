//! An aggregate as it was: its events up to a moment or a place of the log.

use event_sourcing::{Position, Recorded, Timestamp};

/// Up to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Everything before the first event that happened after this moment.
    Time(Timestamp),
    /// Everything up to this place, which is in the aggregate's own partition.
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

/// The events of one aggregate, which are in the log's order, up to then. All that follows the first event that is too late is too late
/// as well, whatever its clock said.
pub fn up_to<E>(records: Vec<Recorded<E>>, at: &AsOf) -> Vec<Recorded<E>> {
    records.into_iter().take_while(|record| at.includes(record)).collect()
}
