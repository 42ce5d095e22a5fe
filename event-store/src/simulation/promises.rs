//! Checks the store's promises on each answer and on each group that counts.

use super::{
    Violation,
    account::{Account, Moved},
    book::{Book, Group},
    clients::{Clients, Order},
    violation,
};
use crate::{Accepted, CommandError, Refused, writer::Answer};
use event_sourcing::Aggregate;

/// The right outcome of an order, at one moment.
#[derive(Debug, PartialEq, Eq)]
enum Right {
    Repeats { version: u64, offset: i64, events: u32 },
    KeyReused,
    Conflict { expected: u64, actual: u64 },
    Refused(Refused),
    Nothing { version: u64 },
    Writes(Vec<i64>),
}

/// The right outcome of an order when the log has this length, whatever the nodes did.
fn right(book: &Book, order: &Order, length: i64) -> Right {
    if let Some(group) = book.group(&order.id, length) {
        let Group { version, last, ref amounts, .. } = *group;
        let same = group.fingerprint == order.fingerprint;
        return if same { Right::Repeats { version, offset: last, events: amounts.len() as u32 } } else { Right::KeyReused };
    }
    let row = book.row(&order.account, length);
    if let Some(expected) = order.expected.filter(|expected| *expected != row.version) {
        return Right::Conflict { expected, actual: row.version };
    }
    match (Account { balance: row.balance, entries: Vec::new() }).handle(order.command.clone()) {
        Err(refusal) => Right::Refused(Refused::from(&refusal)),
        Ok(events) if events.is_empty() => Right::Nothing { version: row.version },
        Ok(events) => Right::Writes(events.into_iter().map(|Moved(amount)| amount).collect()),
    }
}

/// Checks a group that counts: a client ordered just this, and it was right where it stands.
pub fn judge_group(book: &Book, clients: &Clients, group: &Group) -> Result<(), Violation> {
    let mut orders = clients.orders.iter().map(|(order, _)| order);
    let Some(order) = orders.find(|order| order.id == group.command && order.fingerprint == group.fingerprint) else {
        return violation(format!("nobody ordered what counts at {}", group.last));
    };
    match right(book, order, group.last) {
        Right::Writes(amounts) if amounts == group.amounts && order.account == group.account => Ok(()),
        other => violation(format!("{:?} counts at {}, but right was {other:?}", group.amounts, group.last)),
    }
}

/// Checks an answer: it is right now, or was at some moment since the question.
pub fn judge_answer(book: &Book, clients: &Clients, order: &Order, asked: i64, answer: &Answer) -> Result<(), Violation> {
    let claimed = match answer {
        Ok(accepted) if accepted.repeated && accepted.events == 0 => return not_done(book, order, asked),
        Ok(accepted) if accepted.repeated => return judge_repeat(book, order, accepted),
        Ok(accepted) if accepted.events > 0 => return judge_accepted(book, order, asked, accepted),
        Ok(accepted) => Right::Nothing { version: nothing_to_do(book, order, accepted)? },
        Err(CommandError::Refused(refused)) => Right::Refused(refused.clone()),
        Err(CommandError::Conflict { expected, actual }) => Right::Conflict { expected: *expected, actual: *actual },
        Err(CommandError::KeyReused) if named_nothing(book, clients, order) => return Ok(()),
        Err(CommandError::KeyReused) => Right::KeyReused,
        Err(CommandError::Unavailable(_)) => return Ok(()),
        Err(CommandError::Rejected(_)) => return not_done(book, order, asked),
        Err(defect @ CommandError::Defect(_)) => return violation(format!("{defect}")),
    };
    let moments = asked..=book.length;
    if moments.clone().any(|length| right(book, order, length) == claimed) {
        return Ok(());
    }
    violation(format!("{claimed:?} was right at no moment of {moments:?}; now it is {:?}", right(book, order, book.length)))
}

/// The kinds of answer there are.
pub const KINDS: [&str; 8] = ["accepted", "conflict", "key reused", "nothing to do", "refused", "rejected", "repeated", "unavailable"];

/// The kind of an answer.
pub fn kind(answer: &Answer) -> &'static str {
    match answer {
        Ok(accepted) if accepted.repeated => "repeated",
        Ok(accepted) if accepted.events == 0 => "nothing to do",
        Ok(_) => "accepted",
        Err(CommandError::Refused(_)) => "refused",
        Err(CommandError::Conflict { .. }) => "conflict",
        Err(CommandError::KeyReused) => "key reused",
        Err(CommandError::Rejected(_)) => "rejected",
        Err(CommandError::Unavailable(_)) => "unavailable",
        Err(CommandError::Defect(_)) => "defect",
    }
}

/// Whether another order under the same id had nothing to do at some moment: an owner may remember that, though the log does not show it.
fn named_nothing(book: &Book, clients: &Clients, order: &Order) -> bool {
    let others =
        clients.orders.iter().map(|(other, _)| other).filter(|other| other.id == order.id && other.fingerprint != order.fingerprint);
    let nothing = |other: &Order| (0..=book.length).any(|length| matches!(right(book, other, length), Right::Nothing { .. }));
    others.into_iter().any(nothing)
}

/// Checks a repeat of "nothing to do": at some moment since the question no group of the command counted.
fn not_done(book: &Book, order: &Order, asked: i64) -> Result<(), Violation> {
    if (asked..=book.length).any(|length| book.group(&order.id, length).is_none()) {
        return Ok(());
    }
    violation(format!("{:?} was answered as nothing to do, but counted all the while", order.id))
}

fn judge_repeat(book: &Book, order: &Order, accepted: &Accepted) -> Result<(), Violation> {
    let Accepted { version, position, events, .. } = accepted;
    let claimed = Right::Repeats { version: *version, offset: position.offset, events: *events };
    match right(book, order, book.length) {
        now if now == claimed => Ok(()),
        now => violation(format!("repeated as {claimed:?}, but right is {now:?}")),
    }
}

/// Checks a command that was accepted as new: its records stand where the answer says, and were written since the question.
fn judge_accepted(book: &Book, order: &Order, asked: i64, accepted: &Accepted) -> Result<(), Violation> {
    judge_repeat(book, order, accepted)?;
    match book.group(&order.id, book.length) {
        Some(group) if group.first >= asked => Ok(()),
        found => violation(format!("accepted as new, but it is older than the question: {found:?}")),
    }
}

/// Checks the position of "nothing to do": a view that has applied it shows the answer's version at least. Returns that version.
fn nothing_to_do(book: &Book, order: &Order, accepted: &Accepted) -> Result<u64, Violation> {
    let Accepted { version, position, .. } = accepted;
    let shown = book.row(&order.account, position.offset + 1).version;
    if position.offset < book.length && shown >= *version {
        return Ok(*version);
    }
    violation(format!("nothing to do at version {version}, but {position} shows {shown}"))
}

/// Checks that every command that counts was accepted, or left its client in doubt.
pub fn judge_end(book: &Book, clients: &Clients) -> Result<(), Violation> {
    for group in book.groups() {
        let meant = |order: &Order| order.id == group.command && order.fingerprint == group.fingerprint;
        let heard = clients.orders.iter().find(|(order, _)| meant(order)).map(|(_, heard)| *heard).unwrap_or_default();
        if !heard.accepted && !heard.unknown {
            return violation(format!("command {:x} was never accepted, and counts at {}", group.command.as_u128(), group.last));
        }
    }
    Ok(())
}
