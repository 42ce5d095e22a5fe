//! When nothing can be written: all who ask are told why at once, instead of waiting.

use super::{Phase, Port, Writer, unavailable};
use crate::log::Rejection;
use event_sourcing::Aggregate;

/// When to ask again, in milliseconds, where only an operator can help.
pub(super) const LASTING: u64 = 60_000;
/// When to ask again, in milliseconds, where the log takes no claim: the writer goes on trying.
const UNTIL_CLAIMED: u64 = 5_000;

impl<A: Aggregate> Writer<A> {
    /// The log has another number of partitions than this node counts: the writer never writes, and says why to all who ask.
    pub(super) fn refuse_all(&mut self) {
        self.epoch += 1;
        self.phase = Phase::Claiming;
        let Some(misfit) = self.fold.layout.misfit() else { return };
        tracing::error!(service = %self.fold.source.service, partition = self.fold.source.partition, %misfit, "this node does not write the partition");
        let why = misfit.to_string();
        self.answer_all(&why, LASTING);
    }

    /// The log does not take even a claim: those who wait are told so, and the writer claims again later.
    pub(super) fn claim_rejected(&mut self, rejection: Rejection, port: &mut impl Port) {
        let why = format!("the log does not take this node's claim: {rejection}");
        self.answer_all(&why, UNTIL_CLAIMED);
        self.retry_claim(&why, port);
    }

    fn answer_all(&mut self, why: &str, retry_after_millis: u64) {
        self.queue.drain(..).for_each(|(_, pending)| pending.answer(unavailable(why, retry_after_millis)));
    }
}
