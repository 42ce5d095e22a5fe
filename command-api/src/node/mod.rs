//! Between nodes: a command that arrives at a node which does not own its partition is forwarded, once.

mod line;
mod routed;
mod server;
mod who;

/// The node protocol's messages.
#[allow(clippy::all, missing_docs, reason = "generated from proto/node.proto")]
mod wire {
    tonic::include_proto!("daybook.node.v1");
}

pub use routed::Routed;
pub use server::NodeServer;
pub use who::life_at;

use self::wire::{self as node, ExecuteReply, ExecuteRequest, execute_reply::Outcome};
use event_store::{Accepted, Cause, CommandError, CommandMeta, Details, Position, Refused, Rejected, Unavailable};
use uuid::Uuid;

/// When to ask again, in milliseconds.
const RETRY_AFTER: u64 = 200;

/// The error "not done, not now", with its `reason` for a person.
fn unavailable(reason: impl Into<String>) -> CommandError {
    CommandError::Unavailable(Unavailable { reason: reason.into(), retry_after_millis: RETRY_AFTER, in_doubt: false })
}

/// The error "perhaps done".
fn in_doubt(reason: impl Into<String>) -> CommandError {
    CommandError::Unavailable(Unavailable { reason: reason.into(), retry_after_millis: RETRY_AFTER, in_doubt: true })
}

fn request(service: &str, id: Uuid, (command_version, command_json): (u32, Vec<u8>), meta: &CommandMeta, known_run: i64) -> ExecuteRequest {
    let Cause { actor, correlation_id, causation_id, traceparent } = meta.cause.clone();
    ExecuteRequest {
        service: service.to_owned(),
        aggregate_id: id.to_string(),
        command_json,
        command_version,
        command_id: meta.command_id.to_string(),
        time_millis: meta.time.0,
        expected_version: meta.expected_version,
        only_of: meta.only_of.map(|account| account.to_string()),
        actor,
        correlation_id,
        causation_id,
        traceparent,
        known_run,
        ..ExecuteRequest::default()
    }
}

/// A request for an aggregate's version.
fn question(service: &str, id: Uuid, known_run: i64) -> ExecuteRequest {
    let command_id = Uuid::nil().to_string();
    ExecuteRequest {
        service: service.to_owned(),
        aggregate_id: id.to_string(),
        command_id,
        known_run,
        question: true,
        ..ExecuteRequest::default()
    }
}

fn meta_of(request: &ExecuteRequest) -> Result<(Uuid, CommandMeta), uuid::Error> {
    let cause = Cause {
        actor: request.actor.clone(),
        correlation_id: request.correlation_id.clone(),
        causation_id: request.causation_id.clone(),
        traceparent: request.traceparent.clone(),
    };
    let command_id = request.command_id.parse()?;
    let only_of = request.only_of.as_deref().map(str::parse).transpose()?;
    let (time, expected_version) = (event_sourcing::Timestamp(request.time_millis), request.expected_version);
    let meta = CommandMeta { command_id, time, expected_version, only_of, cause };
    Ok((request.aggregate_id.parse()?, meta))
}

fn to_wire(outcome: Result<Accepted, CommandError>) -> ExecuteReply {
    let outcome = match outcome {
        Ok(Accepted { version, position, events, repeated }) => {
            let Position { service, partition, offset } = position;
            Outcome::Accepted(node::Accepted { version, service: service.to_string(), partition, offset, events, repeated })
        }
        Err(CommandError::Refused(Refused { code, message, field, not_found, details })) => {
            let details = details.map(|details| details.to_json());
            Outcome::Refused(node::Refused { code, message, field, not_found, details })
        }
        Err(CommandError::Conflict { expected, actual }) => Outcome::Conflict(node::Conflict { expected, actual }),
        Err(CommandError::KeyReused) => Outcome::KeyReused(node::KeyReused {}),
        Err(CommandError::Defect(what)) => Outcome::Defect(node::Defect { what }),
        Err(CommandError::Rejected(Rejected { code, message })) => Outcome::Rejected(node::Rejected { code, message }),
        Err(CommandError::Unavailable(Unavailable { reason, retry_after_millis, in_doubt })) => {
            Outcome::Unavailable(node::Unavailable { reason, retry_after_millis, not_done: !in_doubt })
        }
    };
    ExecuteReply { outcome: Some(outcome), number: 0 }
}

/// Reads a reply: the outcome, or who owns the partition instead.
fn from_wire(reply: ExecuteReply) -> Result<Result<Accepted, CommandError>, node::Moved> {
    Ok(match reply.outcome {
        Some(Outcome::Accepted(node::Accepted { version, service, partition, offset, events, repeated })) => {
            Ok(Accepted { version, position: Position { service: service.into(), partition, offset }, events, repeated })
        }
        Some(Outcome::Refused(node::Refused { code, message, field, not_found, details })) => {
            let details = details.and_then(|json| Details::from_json(&json));
            Err(CommandError::Refused(Refused { code, message, field, not_found, details }))
        }
        Some(Outcome::Conflict(node::Conflict { expected, actual })) => Err(CommandError::Conflict { expected, actual }),
        Some(Outcome::KeyReused(node::KeyReused {})) => Err(CommandError::KeyReused),
        Some(Outcome::Defect(node::Defect { what })) => Err(CommandError::Defect(what)),
        Some(Outcome::Rejected(node::Rejected { code, message })) => Err(CommandError::Rejected(Rejected { code, message })),
        Some(Outcome::Unavailable(node::Unavailable { reason, retry_after_millis, not_done })) => {
            Err(CommandError::Unavailable(Unavailable { reason, retry_after_millis, in_doubt: !not_done }))
        }
        Some(Outcome::Moved(moved)) => return Err(moved),
        None => Err(in_doubt("the owner's answer is empty: it runs another version")),
    })
}
