//! Cases that a schedule of the [simulation](crate::simulation) found once, step by step.

mod anothers;

use super::{Answer, Barrier, NodeName, Pending, Phase, Port, Writer, WriterConfig};
use crate::{
    Append, Cause, CommandError, CommandMeta, Headers, PartitionId, RawRecord,
    account::{Account, AccountCommand},
    fold::Fold,
    log::{Ack, AppendError, NotQueued, Rejection, Tag},
};
use event_sourcing::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A port that keeps the records it is given, as long as there is room.
struct Desk {
    room: usize,
    why_full: NotQueued,
    sent: Vec<(Append, Tag)>,
    claims: u32,
    /// What stands in the log: claims, and strangers' records in the places of the others.
    log: Vec<RawRecord>,
    /// Where the writer reads, and how often it has said that the log went back.
    reads_from: i64,
    went_back: u32,
}

impl Port for Desk {
    fn append(&mut self, record: Append, tag: Tag) -> Result<(), NotQueued> {
        self.room = self.room.checked_sub(1).ok_or(self.why_full)?;
        self.sent.push((record, tag));
        Ok(())
    }

    fn ask_end(&mut self, _: u64) {}

    fn read(&mut self, _: u64, from: i64) {
        self.reads_from = from;
    }

    fn went_back(&mut self) {
        self.went_back += 1;
    }

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
    let writer = Writer::new(Fold::new(source, crate::account::schemas(), config), node, config);
    (
        writer,
        Desk { room: usize::MAX, why_full: NotQueued::Full, sent: Vec::new(), claims: 0, log: Vec::new(), reads_from: 0, went_back: 0 },
    )
}

fn stranger(offset: i64) -> RawRecord {
    Append { key: "stranger".into(), payload: Vec::new(), headers: Headers::default() }.at(offset)
}

/// Claims, and finds nothing but the claim itself in the log, at `offset`.
fn claim(writer: &mut Writer<Account>, desk: &mut Desk, offset: i64, room_after: usize) {
    desk.room = usize::MAX;
    writer.claim(desk);
    let (record, tag) = desk.sent.pop().expect("a claim");
    desk.room = room_after;
    desk.sent.clear();
    desk.log.truncate(offset as usize);
    while (desk.log.len() as i64) < offset {
        desk.log.push(stranger(desk.log.len() as i64));
    }
    desk.log.push(record.at(offset));
    writer.acked(Ack { tag, offset: Ok(offset) }, desk);
    read_on(writer, desk);
    writer.proceed(desk);
}

/// Gives the writer what it reads, until it reads no more.
fn read_on(writer: &mut Writer<Account>, desk: &mut Desk) {
    let mut read = -1;
    while matches!(writer.phase, Phase::Replaying { .. }) && read != desk.reads_from {
        read = desk.reads_from;
        let records = desk.log[read as usize..].to_vec();
        writer.replayed(writer.epoch(), Ok(records), desk);
    }
}

fn acked(writer: &mut Writer<Account>, desk: &mut Desk, tag: Tag, offset: Result<i64, AppendError>) {
    writer.acked(Ack { tag, offset }, desk);
    writer.proceed(desk);
}

/// Submits a command without deciding it, so that it is decided together with the next one.
fn hand_in(writer: &mut Writer<Account>, id: u128, command: AccountCommand) -> oneshot::Receiver<Answer> {
    hand_in_for(writer, id, command, None)
}

/// The same in the name of an account that may give commands to its own things only. The aggregate belongs to 0xa.
fn hand_in_for(writer: &mut Writer<Account>, id: u128, command: AccountCommand, only_of: Option<u128>) -> oneshot::Receiver<Answer> {
    let (reply, answer) = oneshot::channel();
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    let meta = CommandMeta {
        command_id: Uuid::from_u128(id),
        time: Timestamp(0),
        expected_version: None,
        only_of: only_of.map(Uuid::from_u128),
        cause,
    };
    writer.submit(Pending { id: Uuid::from_u128(0xa), command: Some(command), meta, fingerprint: id as u64, rejected: None, reply });
    answer
}

fn submit(writer: &mut Writer<Account>, desk: &mut Desk, id: u128, command: AccountCommand) -> oneshot::Receiver<Answer> {
    let answer = hand_in(writer, id, command);
    writer.proceed(desk);
    answer
}

fn places(desk: &Desk) -> Vec<i64> {
    desk.sent.iter().map(|(_, tag)| tag.at).collect()
}

#[test]
fn what_comes_while_records_are_on_their_way_makes_the_next_batch() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let mut answers: Vec<_> = (1..=3).map(|id| submit(&mut writer, &mut desk, id, AccountCommand::Deposit(1))).collect();
    assert_eq!(places(&desk), [1]);
    let first = desk.sent[0].1;
    acked(&mut writer, &mut desk, first, Ok(1));
    assert_eq!(places(&desk), [1, 2, 3]);
    assert!(answers[0].try_recv().is_ok() && answers[1].try_recv().is_err());
}

#[test]
fn a_command_that_cannot_be_queued_is_answered_and_all_others_are_decided_again() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, 1);
    let mut answers: Vec<_> = (1..=3).map(|id| hand_in(&mut writer, id, AccountCommand::Deposit(1))).collect();
    writer.proceed(&mut desk);
    assert!(matches!(answers[1].try_recv(), Ok(Err(CommandError::Unavailable(_)))));
    assert!(answers[0].try_recv().is_err() && answers[2].try_recv().is_err() && writer.phase == Phase::Claiming);
    claim(&mut writer, &mut desk, 1, usize::MAX);
    assert_eq!(places(&desk), [2, 3]);
}

#[test]
fn a_claim_below_what_was_folded_shows_that_the_log_went_back_and_it_is_read_anew() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 5, usize::MAX);
    assert_eq!((writer.fold.checkpoint.next, desk.went_back), (6, 0));
    claim(&mut writer, &mut desk, 3, usize::MAX);
    assert_eq!((writer.phase, desk.reads_from, desk.went_back), (Phase::Writing { claim: 3 }, 0, 1));
    assert_eq!(writer.fold.checkpoint.next, 4);
}

#[test]
fn a_log_that_lost_its_tail_and_grew_past_it_is_known_by_the_record_before_the_next_and_read_anew() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 2, usize::MAX);
    let mut deposit = submit(&mut writer, &mut desk, 1, AccountCommand::Deposit(1));
    let (record, tag) = desk.sent.pop().expect("a record");
    desk.log.push(record.at(3));
    acked(&mut writer, &mut desk, tag, Ok(3));
    assert!(matches!(deposit.try_recv(), Ok(Ok(accepted)) if accepted.version == 1));
    // The same log: nothing is read twice, nothing is forgotten.
    claim(&mut writer, &mut desk, 4, usize::MAX);
    assert_eq!((desk.reads_from, desk.went_back), (3, 0));
    // The deposit is lost, and strangers' records stand in its place and behind it.
    desk.log.truncate(3);
    claim(&mut writer, &mut desk, 9, usize::MAX);
    assert_eq!((writer.phase, desk.reads_from, desk.went_back), (Phase::Writing { claim: 9 }, 0, 1));
    let mut again = submit(&mut writer, &mut desk, 1, AccountCommand::Deposit(1));
    let tag = desk.sent.pop().expect("it is not done any more").1;
    acked(&mut writer, &mut desk, tag, Ok(10));
    assert!(matches!(again.try_recv(), Ok(Ok(accepted)) if accepted.version == 1 && !accepted.repeated));
}

/// A record that the log's client never takes must not be tried for ever.
#[test]
fn a_command_with_an_impossible_record_is_answered_though_the_first_of_its_records_left() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, 1);
    desk.why_full = NotQueued::Broken;
    let mut pair = submit(&mut writer, &mut desk, 1, AccountCommand::DepositAll(vec![1, 2]));
    assert!(matches!(pair.try_recv(), Ok(Err(CommandError::Unavailable(_)))));
    claim(&mut writer, &mut desk, 2, usize::MAX);
    assert!(desk.sent.is_empty() && writer.is_idle());
}

/// Once, the command behind such a one took off without a record, and was acknowledged with the next record that arrived.
#[test]
fn a_command_behind_one_that_is_queued_in_part_waits_for_the_next_run() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let _pair = submit(&mut writer, &mut desk, 1, AccountCommand::DepositAll(vec![1, 2]));
    let mut behind = submit(&mut writer, &mut desk, 2, AccountCommand::Deposit(7));
    let lost = desk.sent[0].1;
    acked(&mut writer, &mut desk, lost, Err(AppendError::Unknown("timed out".into())));
    claim(&mut writer, &mut desk, 1, 1);
    claim(&mut writer, &mut desk, 2, usize::MAX);
    assert_eq!(places(&desk), [3, 4, 5]);
    let tags: Vec<Tag> = desk.sent.iter().map(|(_, tag)| *tag).collect();
    for (tag, answered) in tags.into_iter().zip([false, false, true]) {
        acked(&mut writer, &mut desk, tag, Ok(tag.at));
        let answer = behind.try_recv().ok();
        assert_eq!(answer.is_some(), answered, "{answer:?} at {}", tag.at);
    }
}

/// The tag of the one record that was appended since: a proof.
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

/// Where a partition has copies, its leader may have been deposed and go on reporting its old end: only an acknowledgement by the copies
/// together proves that nobody else has claimed.
#[test]
fn on_copies_a_refusal_waits_for_a_record_of_ones_own_that_lands_where_it_should() {
    let (mut writer, mut desk) = on_copies();
    let mut refused = submit(&mut writer, &mut desk, 1, AccountCommand::Withdraw(5));
    let mut later = submit(&mut writer, &mut desk, 2, AccountCommand::Withdraw(6));
    let first = proof(&mut desk);
    assert_eq!(first.at, 1);
    acked(&mut writer, &mut desk, first, Ok(1));
    assert!(matches!(refused.try_recv(), Ok(Err(CommandError::Refused(_)))), "0 are there");
    assert!(later.try_recv().is_err(), "that record was on its way before the question");
    let second = proof(&mut desk);
    acked(&mut writer, &mut desk, second, Ok(3));
    assert!(later.try_recv().is_err(), "somebody else has claimed at 2: the log will tell");
    assert!(matches!(writer.phase, Phase::Claiming));
}

#[test]
fn on_copies_events_prove_what_is_asked_beside_them() {
    let (mut writer, mut desk) = on_copies();
    let refused = [1, 2].map(|id| hand_in(&mut writer, id, AccountCommand::Withdraw(5)));
    let done = hand_in(&mut writer, 3, AccountCommand::Deposit(7));
    writer.proceed(&mut desk);
    let [(_, tag)] = &desk.sent[..] else { panic!("the deposit proves the refusals: no further record is needed") };
    let tag = *tag;
    acked(&mut writer, &mut desk, tag, Ok(1));
    assert!(refused.into_iter().chain([done]).all(|mut answer| answer.try_recv().is_ok()));
    assert_eq!((writer.fold.checkpoint.next, writer.fold.checkpoint.claim), (2, Some(0)));
}

#[test]
fn a_command_that_had_nothing_to_do_stays_so_when_it_is_delivered_again() {
    let (mut writer, mut desk) = on_copies();
    let mut nothing = hand_in(&mut writer, 1, AccountCommand::Settle(0));
    let mut changed = submit(&mut writer, &mut desk, 2, AccountCommand::Deposit(7));
    for (_, tag) in std::mem::take(&mut desk.sent) {
        acked(&mut writer, &mut desk, tag, Ok(tag.at));
    }
    let first = nothing.try_recv().expect("an answer").expect("accepted");
    assert!(changed.try_recv().is_ok());
    let mut late = submit(&mut writer, &mut desk, 1, AccountCommand::Settle(0));
    let tag = proof(&mut desk);
    acked(&mut writer, &mut desk, tag, Ok(tag.at));
    let again = late.try_recv().expect("an answer").expect("accepted");
    assert_eq!((again.version, again.events, again.repeated), (first.version, 0, true));
}

const TOO_LARGE: AppendError = AppendError::Never(Rejection::TooLarge);

fn rejects(writer: &mut Writer<Account>, desk: &mut Desk) {
    let tag = desk.sent.first().expect("a record").1;
    acked(writer, desk, tag, Err(TOO_LARGE));
    assert_eq!(writer.phase, Phase::Claiming, "the run ends at what was rejected");
}

/// A log that never takes one record must not stop the others on the partition, nor be tried for ever.
#[test]
fn a_batch_that_the_log_does_not_take_is_halved_until_the_culprit_stands_alone() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let mut answers: Vec<_> = (1..=4).map(|id| hand_in(&mut writer, id, AccountCommand::Deposit(1))).collect();
    writer.proceed(&mut desk);
    assert_eq!(places(&desk), [1, 2, 3, 4], "all at once");
    rejects(&mut writer, &mut desk);
    claim(&mut writer, &mut desk, 1, usize::MAX);
    assert_eq!(places(&desk), [2, 3], "half of them");
    rejects(&mut writer, &mut desk);
    claim(&mut writer, &mut desk, 2, usize::MAX);
    assert_eq!(places(&desk), [3], "one alone");
    let tag = desk.sent.remove(0).1;
    acked(&mut writer, &mut desk, tag, Ok(3));
    assert!(matches!(answers[0].try_recv(), Ok(Ok(_))), "it is not the culprit");
    rejects(&mut writer, &mut desk);
    assert!(answers[1].try_recv().is_err(), "the log has not shown yet whether it holds the command");
    claim(&mut writer, &mut desk, 4, usize::MAX);
    match answers[1].try_recv() {
        Ok(Err(CommandError::Rejected(rejected))) => {
            assert_eq!(rejected.code, "event-too-large");
            assert!(rejected.message.contains(" bytes"), "{rejected}");
        }
        other => panic!("the culprit is answered: {other:?}"),
    }
    assert_eq!(places(&desk), [5], "the others go on");
}

#[test]
fn a_command_that_was_rejected_but_counts_in_the_log_after_all_is_accepted() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let claimed = writer.nonce.clone();
    let mut answer = submit(&mut writer, &mut desk, 1, AccountCommand::Deposit(7));
    let record = desk.sent[0].0.clone();
    rejects(&mut writer, &mut desk);
    desk.sent.clear();
    writer.claim(&mut desk);
    assert_ne!(claimed, writer.nonce);
    let (again, tag) = desk.sent.pop().expect("a claim");
    // The first attempt had arrived; only its repeat was rejected, since the topic's limit was lowered meanwhile.
    desk.log.extend([record.at(1), again.at(2)]);
    writer.acked(Ack { tag, offset: Ok(2) }, &mut desk);
    read_on(&mut writer, &mut desk);
    writer.proceed(&mut desk);
    writer.barrier(writer.epoch(), Ok(3), &mut desk);
    assert!(matches!(answer.try_recv(), Ok(Ok(accepted)) if accepted.repeated && accepted.position.offset == 1));
}

#[test]
fn a_log_that_takes_no_claim_keeps_nobody_waiting() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let mut answer = submit(&mut writer, &mut desk, 1, AccountCommand::Deposit(7));
    rejects(&mut writer, &mut desk);
    writer.claim(&mut desk);
    let tag = desk.sent.pop().expect("a claim").1;
    acked(&mut writer, &mut desk, tag, Err(AppendError::Never(Rejection::NotAllowed)));
    match answer.try_recv() {
        Ok(Err(CommandError::Unavailable(not_now))) => {
            assert!(!not_now.in_doubt && not_now.reason.contains("may not write"), "{not_now:?}")
        }
        other => panic!("it is told that nothing can be written: {other:?}"),
    }
}

#[test]
fn an_owner_does_not_write_a_log_whose_claims_state_another_number_of_partitions() {
    let counts = |partitions| WriterConfig { partitions: Some(partitions), ..WriterConfig::default() };
    let (mut first, mut desk) = begin_with(counts(4));
    first.claim(&mut desk);
    let stated = desk.sent.pop().expect("a claim").0.at(0);
    let (mut other, mut desk) = begin_with(counts(8));
    other.claim(&mut desk);
    let (claim, tag) = desk.sent.pop().expect("a claim");
    other.acked(Ack { tag, offset: Ok(1) }, &mut desk);
    other.replayed(other.epoch(), Ok(vec![stated, claim.at(1)]), &mut desk);
    let mut answer = submit(&mut other, &mut desk, 1, AccountCommand::Deposit(7));
    assert!(desk.sent.is_empty() && other.phase == Phase::Claiming);
    match answer.try_recv() {
        Ok(Err(CommandError::Unavailable(not_now))) => {
            assert!(not_now.reason.contains("the log has 4 partitions, and this node counts 8"), "{not_now:?}");
            assert!(not_now.retry_after_millis >= 60_000);
        }
        answer => panic!("it is refused: {answer:?}"),
    }
}
