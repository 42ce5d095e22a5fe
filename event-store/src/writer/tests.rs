//! What a schedule of the [simulation](crate::simulation) found once, told step by step.

use super::{Answer, NodeName, Pending, Port, Writer, WriterConfig};
use crate::{
    Append, Cause, CommandMeta, PartitionId, RawRecord,
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
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let node = NodeName { owner: "node".into(), address: "127.0.0.1:0".into() };
    let config = WriterConfig::default();
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
    let headers = record.headers.into_iter().map(|(key, value)| (key.to_owned(), value.into_bytes())).collect();
    let raw = RawRecord { offset, key: record.key.into_bytes(), payload: record.payload, headers };
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
