//! The contract of the event store, the same on every log: a command that is acknowledged is there once, in order, whole; one that is
//! refused was rightly refused.

mod account;
mod batches;
mod bounded;
mod faults;
mod restart;
mod snapshots;
mod stores;
mod tails;

use account::{Account, AccountCommand as Do};
use event_sourcing::Timestamp;
use event_store::{
    Accepted, Cause, CommandError, CommandMeta, Followed, Follower, Log, NodeName, OwnerParts, PartitionId, PartitionOwner, Unavailable,
    WriterConfig, run::Verdict,
};
use faults::FaultyLog;
use std::sync::Arc;
use stores::eventually;
use uuid::Uuid;

type Owner = PartitionOwner<Account>;
type Answer = Result<Accepted, CommandError>;

fn meta(command: u128) -> CommandMeta {
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    CommandMeta { command_id: Uuid::from_u128(command), time: Timestamp(1_700_000_000_000), expected_version: None, only_of: None, cause }
}

fn account(number: u128) -> Uuid {
    Uuid::from_u128(0xacc0_0000 + number)
}

/// A stand-in for the host's fingerprint: it needs only to differ where commands do.
fn fingerprint(command: &Do) -> u64 {
    format!("{command:?}").bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn own(log: Arc<dyn Log>, name: &str) -> Arc<Owner> {
    own_with(log, name, WriterConfig::default())
}

fn own_with(log: Arc<dyn Log>, name: &str, config: WriterConfig) -> Arc<Owner> {
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let node = NodeName { owner: name.into(), address: "127.0.0.1:0".into() };
    Arc::new(Owner::spawn(OwnerParts { log, source, schemas: account::schemas(), node, config, snapshots: None }))
}

async fn writing(owner: &Owner) -> i64 {
    let mut claim = owner.claim();
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), claim.wait_for(Option::is_some)).await;
    found.expect("the owner writes within 30 s").expect("the owner lives").expect("a claim")
}

async fn ask(owner: &Owner, on: u128, command: Do, id: u128) -> Answer {
    ask_meta(owner, on, command, meta(id)).await
}

async fn ask_meta(owner: &Owner, on: u128, command: Do, meta: CommandMeta) -> Answer {
    let print = fingerprint(&command);
    let answer = owner.execute(account(on), command, meta, print);
    tokio::time::timeout(std::time::Duration::from_secs(30), answer).await.expect("an answer within 30 s")
}

/// Asks again, as a careful client does, while the answer is "not now".
async fn persist(owner: &Owner, on: u128, command: Do, id: u128) -> Answer {
    let by = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match ask(owner, on, command.clone(), id).await {
            Err(CommandError::Unavailable(Unavailable { .. })) if tokio::time::Instant::now() < by => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await
            }
            answer => return answer,
        }
    }
}

/// The log from 0 to its end, as the run rule sees it.
async fn whole_log(log: &Arc<dyn Log>) -> Vec<Followed> {
    let end = log.end(0).await.expect("the log's end");
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let mut follower = Follower::start(log, source).await.expect("a follower");
    let mut all = Vec::new();
    while all.last().is_none_or(|last: &Followed| last.offset + 1 < end) {
        all.extend(follower.next().await.expect("records"));
    }
    all
}

/// The amounts of an account that count, in order, with the command that made each; checks the versions.
async fn counted(log: &Arc<dyn Log>, on: u128) -> Vec<(Uuid, i64)> {
    let mut held = Vec::new();
    let mut counted = Vec::new();
    for record in whole_log(log).await {
        match record.verdict {
            Verdict::Held => held.extend(record.event),
            Verdict::Counts => {
                counted.append(&mut held);
                counted.extend(record.event);
            }
            Verdict::Begins | Verdict::Ends => held.clear(),
        }
    }
    let mine: Vec<_> = counted.into_iter().filter(|event| event.aggregate_id == account(on)).collect();
    let versions: Vec<u64> = mine.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=mine.len() as u64).collect::<Vec<_>>(), "versions have no gap");
    let amount = |bytes: &[u8]| account::schemas().decode::<account::Moved>(bytes).expect("an event of ours").0;
    mine.iter().map(|event| (Uuid::parse_str(event.command_id()).expect("a command id"), amount(&event.event))).collect()
}

fn amounts(counted: &[(Uuid, i64)]) -> Vec<i64> {
    counted.iter().map(|(_, amount)| *amount).collect()
}

async fn a_stale_version_is_a_conflict(log: Arc<dyn Log>) {
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    assert_eq!(ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted").version, 1);
    let stale = CommandMeta { expected_version: Some(0), ..meta(2) };
    let refused = ask_meta(&owner, 1, Do::Deposit(5), stale).await;
    assert!(matches!(refused, Err(CommandError::Conflict { expected: 0, actual: 1 })), "{refused:?}");
    let fresh = CommandMeta { expected_version: Some(1), ..meta(3) };
    assert_eq!(ask_meta(&owner, 1, Do::Deposit(5), fresh).await.expect("accepted").version, 2);
    assert_eq!(amounts(&counted(&log, 1).await), [10, 5]);
}

async fn a_repeated_command_gets_the_first_answer(log: Arc<dyn Log>) {
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    let first = ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    ask(&owner, 1, Do::Deposit(1), 2).await.expect("accepted");
    let again = ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    assert_eq!(again, Accepted { repeated: true, ..first.clone() });
    owner.drain().await;
    let successor = own(log.clone(), "b");
    writing(&successor).await;
    let after = ask(&successor, 1, Do::Deposit(10), 1).await.expect("accepted");
    assert_eq!(after, Accepted { repeated: true, ..first }, "a successor remembers it from the log");
    assert_eq!(amounts(&counted(&log, 1).await), [10, 1]);
}

async fn a_key_used_for_another_command_is_refused(log: Arc<dyn Log>) {
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    assert!(matches!(ask(&owner, 1, Do::Deposit(11), 1).await, Err(CommandError::KeyReused)));
    owner.drain().await;
    let successor = own(log.clone(), "b");
    writing(&successor).await;
    assert!(matches!(ask(&successor, 1, Do::Deposit(11), 1).await, Err(CommandError::KeyReused)), "the fingerprint is in the log");
    assert_eq!(amounts(&counted(&log, 1).await), [10]);
}

async fn a_refusal_and_a_command_that_changes_nothing_leave_no_record(log: Arc<dyn Log>) {
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    let end = log.end(0).await.expect("the end");
    let refused = ask(&owner, 1, Do::Withdraw(11), 2).await;
    assert!(matches!(&refused, Err(CommandError::Refused(refusal)) if refusal.code == "short"), "{refused:?}");
    let settled = ask(&owner, 1, Do::Settle(10), 3).await.expect("accepted");
    assert_eq!((settled.events, settled.version), (0, 1));
    assert_eq!(log.end(0).await.expect("the end"), end);
}

async fn pipelined_commands_are_decided_one_on_the_other(log: Arc<dyn Log>) {
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    ask(&owner, 1, Do::Deposit(100), 0).await.expect("accepted");
    let answers: Vec<Answer> = futures::future::join_all((1..=200).map(|id| ask(&owner, 1, Do::Withdraw(1), id))).await;
    let (done, short): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert_eq!((done.len(), short.len()), (100, 100));
    assert_eq!(counted(&log, 1).await.iter().map(|(_, amount)| amount).sum::<i64>(), 0);
}

async fn two_writers_racing_for_one_aggregate_never_break_it(log: Arc<dyn Log>) {
    let (one, two) = (own(log.clone(), "a"), own(log.clone(), "b"));
    writing(&one).await;
    writing(&two).await;
    let race = |owner: Arc<Owner>, ids: std::ops::Range<u128>| async move {
        let mut done = Vec::new();
        for id in ids {
            persist(&owner, 1, Do::Deposit(id as i64), id).await.expect("accepted");
            done.push(Uuid::from_u128(id));
        }
        done
    };
    let (first, second) = tokio::join!(race(one, 1..26), race(two, 101..126));
    let counted = counted(&log, 1).await;
    for acknowledged in first.iter().chain(&second) {
        assert_eq!(counted.iter().filter(|(command, _)| command == acknowledged).count(), 1, "{acknowledged} is there once");
    }
    assert_eq!(counted.len(), 50);
}

async fn a_paused_owner_that_wakes_flushes_refuses_and_repeats(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let zombie = own(Arc::new(faulty.clone()), "zombie");
    writing(&zombie).await;
    ask(&zombie, 1, Do::Deposit(10), 1).await.expect("accepted");
    faulty.pause();
    let (sleeping, refusing) = (zombie.clone(), zombie.clone());
    let flushed = tokio::spawn(async move { ask(&sleeping, 1, Do::Withdraw(10), 2).await });
    let refused = tokio::spawn(async move { ask(&refusing, 1, Do::Withdraw(5), 3).await });
    let successor = own(log.clone(), "successor");
    writing(&successor).await;
    ask(&successor, 1, Do::Withdraw(7), 4).await.expect("the successor has the 10");
    faulty.wake();
    let flushed = flushed.await.expect("an answer");
    assert!(matches!(&flushed, Err(CommandError::Refused(_))), "there were 3 left when it was settled: {flushed:?}");
    let refused = refused.await.expect("an answer");
    assert!(matches!(&refused, Err(CommandError::Refused(_))), "5 of 3: {refused:?}");
    let repeated = persist(&zombie, 1, Do::Withdraw(7), 4).await.expect("the zombie learned it from the log");
    assert!(repeated.repeated);
    assert_eq!(persist(&successor, 1, Do::Withdraw(3), 5).await.expect("accepted").version, 3);
    assert_eq!(amounts(&counted(&log, 1).await), [10, -7, -3]);
}

async fn a_paused_owner_never_refuses_from_the_past(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let old = own(Arc::new(faulty.clone()), "old");
    writing(&old).await;
    let successor = own(log.clone(), "successor");
    writing(&successor).await;
    ask(&successor, 1, Do::Deposit(10), 1).await.expect("accepted");
    let answer = ask(&old, 1, Do::Withdraw(10), 2).await;
    assert!(answer.is_ok(), "its memory says 0, the log says 10: {answer:?}");
    assert_eq!(amounts(&counted(&log, 1).await), [10, -10]);
}

async fn a_command_that_was_cut_in_the_middle_does_not_count(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let dying = own(Arc::new(faulty.clone()), "dying");
    writing(&dying).await;
    ask(&dying, 1, Do::Deposit(1), 1).await.expect("accepted");
    faulty.die_after(2);
    let asked = dying.clone();
    let lost = tokio::spawn(async move { ask(&asked, 1, Do::DepositAll(vec![2, 3, 4]), 2).await });
    let base = log.clone();
    eventually("two of three records", async || (base.end(0).await.ok()? >= 4).then_some(())).await;
    dying.abort();
    lost.abort();
    let successor = own(log.clone(), "successor");
    writing(&successor).await;
    assert_eq!(amounts(&counted(&log, 1).await), [1]);
    let again = ask(&successor, 1, Do::DepositAll(vec![2, 3, 4]), 2).await.expect("accepted");
    assert_eq!((again.version, again.repeated), (4, false));
    assert_eq!(amounts(&counted(&log, 1).await), [1, 2, 3, 4]);
}

async fn a_lost_acknowledgement_is_settled_from_the_log(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let owner = own(Arc::new(faulty.clone()), "a");
    writing(&owner).await;
    faulty.lose_acks(1);
    let answer = ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    assert!(answer.repeated, "it was found in the log");
    faulty.lose_records(1);
    let answer = ask(&owner, 1, Do::Deposit(5), 2).await.expect("accepted");
    assert!(!answer.repeated, "it was not there, so it was decided again");
    assert_eq!(amounts(&counted(&log, 1).await), [10, 5]);
}

async fn a_doubled_record_counts_once(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let owner = own(Arc::new(faulty.clone()), "a");
    writing(&owner).await;
    faulty.double(1);
    ask(&owner, 1, Do::Deposit(10), 1).await.expect("accepted");
    let answers = futures::future::join_all((2..20).map(|id| ask(&owner, 1, Do::Deposit(1), id))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(counted(&log, 1).await.len(), 19);
}

async fn a_full_queue_is_said_at_once_and_loses_nothing(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let owner = own(Arc::new(faulty.clone()), "a");
    writing(&owner).await;
    faulty.set_full(true);
    assert!(matches!(ask(&owner, 1, Do::Deposit(1), 1).await, Err(CommandError::Unavailable(_))));
    faulty.set_full(false);
    assert_eq!(ask(&owner, 1, Do::Deposit(1), 1).await.expect("accepted").version, 1);
    assert_eq!(amounts(&counted(&log, 1).await), [1]);
}

async fn what_the_log_never_takes_is_an_answer_to_its_command_alone(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let owner = own(Arc::new(faulty.clone()), "a");
    writing(&owner).await;
    faulty.take_at_most(2_000);
    let mut large = meta(1);
    large.cause.actor = "x".repeat(2_000);
    let small = futures::future::join_all((2..34).map(|id| ask(&owner, 1, Do::Deposit(1), id)));
    let (rejected, small) = tokio::join!(ask_meta(&owner, 1, Do::Deposit(5), large.clone()), small);
    assert!(matches!(&rejected, Err(CommandError::Rejected(why)) if why.code == "event-too-large"), "{rejected:?}");
    assert!(small.iter().all(Result::is_ok), "32 small ones are too large together, and none of them is alone: {small:?}");
    let many = ask(&owner, 1, Do::DepositAll(vec![1; 20]), 40).await;
    assert_eq!(many.expect("a command of many small records").events, 20);
    assert_eq!(amounts(&counted(&log, 1).await), [1; 52]);
    let again = ask_meta(&owner, 1, Do::Deposit(5), large.clone()).await;
    assert!(matches!(again, Err(CommandError::Rejected(_))), "{again:?}");
    faulty.take_at_most(1_000_000);
    assert!(ask_meta(&owner, 1, Do::Deposit(5), large).await.is_ok_and(|answer| !answer.repeated), "the limit was raised");
}

async fn more_than_can_wait_is_refused_at_once(log: Arc<dyn Log>) {
    let faulty = FaultyLog::new(log.clone());
    let owner = own_with(Arc::new(faulty.clone()), "a", WriterConfig { max_pending: 8, ..WriterConfig::default() });
    writing(&owner).await;
    faulty.pause();
    let asked: Vec<_> = (1..=20)
        .map(|id| {
            let owner = owner.clone();
            tokio::spawn(async move { ask(&owner, 1, Do::Deposit(1), id).await })
        })
        .collect();
    let shed = futures::future::join_all(asked.into_iter().map(|task| async {
        let mut task = task;
        tokio::select! {
            answer = &mut task => Ok(answer.expect("an answer")),
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => Err(task),
        }
    }))
    .await;
    let (shed, waiting): (Vec<_>, Vec<_>) = shed.into_iter().partition(Result::is_ok);
    assert_eq!((shed.len(), waiting.len()), (12, 8));
    assert!(shed.into_iter().flatten().all(|answer| matches!(answer, Err(CommandError::Unavailable(_)))));
    faulty.wake();
    for task in waiting.into_iter().filter_map(Result::err) {
        task.await.expect("an answer").expect("accepted");
    }
    assert_eq!(counted(&log, 1).await.len(), 8);
}

macro_rules! contract {
    ($store:ident: $($test:ident)*) => {
        mod $store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(log) = super::stores::$store().await {
                    super::$test(log).await;
                }
            })*
        }
    };
}

macro_rules! on_every_store {
    ($($test:ident)*) => {
        contract!(memory: $($test)*);
        contract!(embedded: $($test)*);
        contract!(kafka: $($test)*);
    };
}

on_every_store! {
    a_stale_version_is_a_conflict
    a_repeated_command_gets_the_first_answer
    a_key_used_for_another_command_is_refused
    a_refusal_and_a_command_that_changes_nothing_leave_no_record
    pipelined_commands_are_decided_one_on_the_other
    two_writers_racing_for_one_aggregate_never_break_it
    a_paused_owner_that_wakes_flushes_refuses_and_repeats
    a_paused_owner_never_refuses_from_the_past
    a_command_that_was_cut_in_the_middle_does_not_count
    a_lost_acknowledgement_is_settled_from_the_log
    a_doubled_record_counts_once
    a_full_queue_is_said_at_once_and_loses_nothing
    what_the_log_never_takes_is_an_answer_to_its_command_alone
    more_than_can_wait_is_refused_at_once
}
