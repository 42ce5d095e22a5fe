//! The circumstances of the commands that the system itself sends.

use event_sourcing::{Cause, Timestamp};
use event_store::CommandMeta;
use uuid::Uuid;

/// For a command that makes no event the second time.
pub(crate) fn of_system(service: &str, target: Uuid) -> CommandMeta {
    let time = Timestamp(jiff::Timestamp::now().as_millisecond());
    let cause = Cause { actor: format!("system/{service}"), correlation_id: target.to_string(), causation_id: None, traceparent: None };
    CommandMeta { command_id: Uuid::new_v4(), time, expected_version: None, only_of: None, cause }
}
