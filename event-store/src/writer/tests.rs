//! What a schedule of the [simulation](crate::simulation) found once, told step by step.

use super::{Answer, Barrier, NodeName, Pending, Phase, Port, Writer, WriterConfig};
use crate::{
    Append, Cause, CommandError, CommandMeta, PartitionId,
    account::{Account, AccountCommand},
    fold::Fold,
    log::{Ack, NotQueued, Tag},
};
use domain::Timestamp;
use schemas::Schemas;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A port that keeps what it is given, as long as there is room.
struct Desk {
    room: usize,
    sent: Vec<(Append, Tag)>,
    claims: u32,
}

impl Port for Desk {
    fn append(&mut self, record: Append, tag: Tag) -> Result<(), NotQueued> {
        self.room = self.room.checked_sub(1).ok_or(NotQueued::Full)?;
        self.sent.push((record, tag));
        Ok(())
    }

    fn ask_end(&mut self, _: u64) {}

    fn read(&mut self, _: u64, _: i64) {}

    fn claim_later(&mut self, _: u32) {}

    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }

    fn nonce(&mut self) -> String {
        self.claims += 1;
        format!("claim-{}", self.claims)
    }
}

fn begin() -> (Writer<Account>, Desk) {
    begin_with(WriterConfig::default())
}

fn begin_with(config: WriterConfig) -> (Writer<Account>, Desk) {
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let node = NodeName { owner: "node".into(), address: "127.0.0.1:0".into() };
    let writer = Writer::new(Fold::new(source, Schemas::bundled(), config), node, config);
    (writer, Desk { room: usize::MAX, sent: Vec::new(), claims: 0 })
}

/// Claims, and finds nothing but the claim itself in the log, at `offset`.
fn claim(writer: &mut Writer<Account>, desk: &mut Desk, offset: i64, room_after: usize) {
    desk.room = usize::MAX;
    writer.claim(desk);
    let (record, tag) = desk.sent.pop().expect("a claim");
    desk.room = room_after;
    desk.sent.clear();
    writer.acked(Ack { tag, offset: Ok(offset) }, desk);
    let raw = record.at(offset);
    writer.replayed(writer.epoch(), Ok(vec![raw]), desk);
}

fn submit(writer: &mut Writer<Account>, desk: &mut Desk, id: u128, command: AccountCommand) -> oneshot::Receiver<Answer> {
    let (reply, answer) = oneshot::channel();
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    let meta = CommandMeta { command_id: Uuid::from_u128(id), time: Timestamp(0), expected_version: None, cause };
    writer.submit(Pending { id: Uuid::from_u128(0xa), command: Some(command), meta, fingerprint: id as u64, reply }, desk);
    answer
}

/// Once, what waited behind such a command took off without a record, and was acknowledged with the next one that arrived.
#[test]
fn a_command_behind_one_that_is_queued_in_part_waits_for_the_next_run() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let _pair = submit(&mut writer, &mut desk, 1, AccountCommand::DepositAll(vec![1, 2]));
    let mut behind = submit(&mut writer, &mut desk, 2, AccountCommand::Deposit(7));
    let lost = desk.sent[0].1;
    writer.acked(Ack { tag: lost, offset: Err("timed out".into()) }, &mut desk);
    claim(&mut writer, &mut desk, 1, 1);
    claim(&mut writer, &mut desk, 2, usize::MAX);
    let tags: Vec<Tag> = desk.sent.iter().map(|(_, tag)| *tag).collect();
    assert_eq!(tags.iter().map(|tag| tag.at).collect::<Vec<_>>(), [3, 4, 5]);
    for (tag, answered) in tags.into_iter().zip([false, false, true]) {
        writer.acked(Ack { tag, offset: Ok(tag.at) }, &mut desk);
        let answer = behind.try_recv().ok();
        assert_eq!(answer.is_some(), answered, "{answer:?} at {}", tag.at);
    }
}

/// The one record that was appended since: a proof, meant for its tag's offset.
fn proof(desk: &mut Desk) -> Tag {
    let (record, tag) = desk.sent.pop().expect("a proof");
    assert!(desk.sent.is_empty() && record.key == "owner");
    tag
}

fn on_copies() -> (Writer<Account>, Desk) {
    let (mut writer, mut desk) = begin_with(WriterConfig { barrier: Barrier::Append, ..WriterConfig::default() });
    claim(&mut writer, &mut desk, 0, usize::MAX);
    (writer, desk)
}

/// Where a partition has copies, its leader may have been deposed and go on telling its old end: only what the copies acknowledge
/// together proves that nobody else has claimed.
#[test]
fn on_copies_a_refusal_waits_for_a_record_of_ones_own_that_lands_where_it_should() {
    let (mut writer, mut desk) = on_copies();
    let mut refused = submit(&mut writer, &mut desk, 1, AccountCommand::Withdraw(5));
    let mut later = submit(&mut writer, &mut desk, 2, AccountCommand::Withdraw(6));
    let first = proof(&mut desk);
    assert_eq!(first.at, 1);
    writer.acked(Ack { tag: first, offset: Ok(1) }, &mut desk);
    assert!(matches!(refused.try_recv(), Ok(Err(CommandError::Refused(_)))), "0 are there");
    assert!(later.try_recv().is_err(), "that record was on its way before the question");
    let second = proof(&mut desk);
    writer.acked(Ack { tag: second, offset: Ok(3) }, &mut desk);
    assert!(later.try_recv().is_err(), "somebody else has claimed at 2: the log will tell");
    assert!(matches!(writer.phase, Phase::Claiming));
}

#[test]
fn on_copies_events_prove_what_was_asked_before_them() {
    let (mut writer, mut desk) = on_copies();
    let mut refused = submit(&mut writer, &mut desk, 1, AccountCommand::Withdraw(5));
    let mut later = submit(&mut writer, &mut desk, 2, AccountCommand::Withdraw(6));
    let mut done = submit(&mut writer, &mut desk, 3, AccountCommand::Deposit(7));
    assert_eq!(desk.sent.len(), 2, "a proof at 1, and the deposit behind it");
    for at in [1, 2] {
        let tag = desk.sent[at - 1].1;
        writer.acked(Ack { tag, offset: Ok(at as i64) }, &mut desk);
    }
    assert!(refused.try_recv().is_ok() && later.try_recv().is_ok() && done.try_recv().is_ok());
    assert_eq!(desk.sent.len(), 2, "the deposit proves the second refusal: no further record is needed");
    assert_eq!((writer.fold.checkpoint.next, writer.fold.checkpoint.claim), (3, Some(0)));
}

#[test]
fn a_command_that_had_nothing_to_do_stays_so_when_it_is_delivered_again() {
    let (mut writer, mut desk) = on_copies();
    let mut nothing = submit(&mut writer, &mut desk, 1, AccountCommand::Settle(0));
    let mut changed = submit(&mut writer, &mut desk, 2, AccountCommand::Deposit(7));
    for (_, tag) in std::mem::take(&mut desk.sent) {
        writer.acked(Ack { tag, offset: Ok(tag.at) }, &mut desk);
    }
    let first = nothing.try_recv().expect("an answer").expect("accepted");
    assert!(changed.try_recv().is_ok());
    let mut late = submit(&mut writer, &mut desk, 1, AccountCommand::Settle(0));
    let tag = proof(&mut desk);
    writer.acked(Ack { tag, offset: Ok(tag.at) }, &mut desk);
    let again = late.try_recv().expect("an answer").expect("accepted");
    assert_eq!((again.version, again.events, again.repeated), (first.version, 0, true));
}
