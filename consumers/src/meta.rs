//! The metadata of commands that reactors send: the same ids at every delivery of an event.

use crate::Errand;
use event_sourcing::{Cause, Timestamp};
use event_store::CommandMeta;
use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x8d13_70f5_1c44_5e0c_a3a5_6b21_9a77_0be1);

fn id(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

fn cause(errand: &Errand) -> Cause {
    Cause {
        actor: format!("reactor/{}", errand.reactor),
        correlation_id: errand.cause.correlation_id.clone(),
        causation_id: Some(errand.event_id.clone()),
        traceparent: errand.cause.traceparent.clone(),
    }
}

/// For the command that an errand is, or that records its effect's outcome: the same at every delivery, except for the time.
pub(crate) fn of_errand(errand: &Errand, now: Timestamp) -> CommandMeta {
    let name = format!("{}\u{1f}{}\u{1f}{}", errand.event_id, errand.reactor, errand.index);
    CommandMeta { command_id: id(&name), time: now, expected_version: None, only_of: None, cause: cause(errand) }
}

/// For the command that records that an effect is given up. The id holds `since`: an errand that begins anew may be given up again.
pub(crate) fn of_giving_up(errand: &Errand, now: Timestamp) -> CommandMeta {
    let name = format!("{}\u{1f}given up\u{1f}{}", errand.id, errand.since.0);
    CommandMeta { command_id: id(&name), time: now, expected_version: None, only_of: None, cause: cause(errand) }
}

/// For a question. It leaves no record and so is never a repeat: each has a new id.
pub(crate) fn of_question(errand: &Errand, now: Timestamp) -> CommandMeta {
    CommandMeta { command_id: Uuid::new_v4(), time: now, expected_version: None, only_of: None, cause: cause(errand) }
}

/// For the command of a deadline that has passed.
pub(crate) fn of_deadline(name: &str, target: Uuid, due: Timestamp, now: Timestamp) -> CommandMeta {
    let cause = Cause { actor: "reactor/deadline".into(), correlation_id: target.to_string(), causation_id: None, traceparent: None };
    CommandMeta { command_id: id(&format!("{target}\u{1f}{name}\u{1f}{}", due.0)), time: now, expected_version: None, only_of: None, cause }
}

/// The node's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
