//! The reactors over batches: order is kept between two aggregates, everything else runs side by side, and no checkpoint waits for the
//! world outside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use consumers::{Deadline, Due, Fault, Overdue, Reactors, keep_deadlines};
use event_sourcing::{AnyCommand, Timestamp};
use event_store::{Aggregates, Anchor, Append, Batch, BatchHandler, Checkpoint, Headers, Log, MemoryLog, Tag};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use world::{Answers, Do, Thing, World, batch, id, reactors, record, until};

async fn take(reactors: &Reactors, batch: &Batch) {
    reactors.start(&batch.source).await.unwrap();
    reactors.apply(batch).await.unwrap();
}

async fn passed(world: &World, next: i64) {
    until(&format!("the checkpoint passes {next}"), || world.checkpoint.lock().unwrap().next == next).await;
}

#[tokio::test]
async fn what_one_aggregate_asks_of_another_is_asked_in_order_and_nobody_else_waits() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::NotNow);
    let reactors = reactors(&world, 0).await;
    let batch =
        batch(0, vec![record(0, "a", &["slow"], false), record(1, "a", &["slow", "quick"], false), record(2, "b", &["quick"], false)]);
    take(&reactors, &batch).await;
    passed(&world, 3).await;
    assert_eq!(
        world.asked(),
        [(id("quick"), "This".to_owned()), (id("quick"), "This".to_owned())],
        "the same source asked another target meanwhile"
    );
    world.answers.lock().unwrap().clear();
    until("what was put by is done", || world.rows.lock().unwrap().is_empty()).await;
    let commands = world.commands.lock().unwrap();
    let slow: Vec<&str> = commands
        .iter()
        .filter(|(target, ..)| *target == id("slow"))
        .filter_map(|(_, _, meta)| meta.cause.causation_id.as_deref())
        .collect();
    assert_eq!(slow.len(), 2);
    assert!(slow[0] < slow[1], "{slow:?}");
}

#[tokio::test]
async fn a_batch_whose_errands_wait_for_a_slow_one_among_them_lands_all_the_same() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::Slowly);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["slow"], false), record(1, "a", &["slow"], false), record(2, "a", &["slow"], false)]))
        .await;
    passed(&world, 3).await;
    until("all are done", || world.asked().len() == 3 && world.rows.lock().unwrap().is_empty()).await;
}

#[tokio::test]
async fn no_checkpoint_waits_behind_an_attempt_that_hangs_and_order_is_kept_all_the_same() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("silent"), Answers::Hangs);
    let reactors = reactors(&world, 0).await;
    let records = (0..3).map(|offset| record(offset, "a", &["silent"], false)).collect();
    take(&reactors, &batch(0, records)).await;
    passed(&world, 3).await;
    world.answers.lock().unwrap().clear();
    // Longer than until the row of the first is due, which the worker must not begin a second time.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(world.asked().is_empty(), "those behind it wait while it runs");
    assert_eq!(world.rows.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_was_put_by_by_a_clock_that_was_ahead_does_not_wait_until_the_others_are_there() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::NotNow);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["slow"], false)])).await;
    passed(&world, 1).await;
    world.rows.lock().unwrap().values_mut().for_each(|row| row.due = row.due.plus_millis(3_600_000));
    world.answers.lock().unwrap().clear();
    until("what was put by is done", || world.rows.lock().unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_second_delivery_asks_the_same_under_the_same_ids() {
    let world = Arc::new(World::default());
    let batch = batch(0, vec![record(0, "a", &["x"], false), record(1, "b", &["x"], false)]);
    for _ in 0..2 {
        *world.checkpoint.lock().unwrap() = Checkpoint::default();
        let reactors = reactors(&world, 0).await;
        take(&reactors, &batch).await;
        passed(&world, 2).await;
    }
    let commands = world.commands.lock().unwrap();
    let mut ids: Vec<_> = commands.iter().map(|(_, _, meta)| meta.command_id).collect();
    assert_eq!(ids.len(), 4);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2, "two commands, each asked twice");
    let cause = &commands[0].2.cause;
    assert_eq!((&*cause.actor, &*cause.correlation_id, cause.causation_id.is_some()), ("reactor/ask", "corr", true));
}

/// A log of some records, which say nothing.
fn log(names: &[&str]) -> MemoryLog {
    let log = MemoryLog::new(1);
    names.iter().for_each(|name| append(&log, name));
    log
}

fn append(log: &MemoryLog, name: &str) {
    let (acks, _heard) = tokio::sync::mpsc::unbounded_channel();
    let record = Append { key: name.to_owned(), payload: Vec::new(), headers: Headers::default() };
    log.append(0, record, Tag { epoch: 0, at: -1 }, &acks).unwrap();
}

#[tokio::test]
async fn where_the_log_has_lost_records_they_go_back_to_the_furthest_place_that_it_holds() {
    let (world, log) = (Arc::new(World::default()), log(&["a", "b", "c"]));
    let reactors = reactors(&world, 0).await;
    let anchored = |next: i64| Checkpoint { anchor: Some(Anchor::of(&log.records(0)[next as usize - 1])), ..Checkpoint::new(next, None) };
    let (one, three) = (anchored(1), anchored(3));
    let first = Batch { to: one, ..batch(0, vec![record(0, "a", &["x"], false)]) };
    let second = Batch { from: one, to: three, ..batch(1, vec![record(1, "b", &["x"], false), record(2, "c", &["slow"], false)]) };
    world.answers.lock().unwrap().insert(id("slow"), Answers::Slowly);
    take(&reactors, &first).await;
    passed(&world, 1).await;
    assert_eq!(*world.marks.lock().unwrap(), [one], "the first place that is passed is kept");
    reactors.apply(&second).await.unwrap();
    log.lose(0, 1);
    append(&log, "other");
    append(&log, "another");
    reactors.rewritten(&second.source, &log).await.unwrap();
    assert_eq!(*world.checkpoint.lock().unwrap(), one, "what was under way has not moved it on");
    assert_eq!(reactors.start(&second.source).await.unwrap(), one);
    log.lose(0, 0);
    reactors.rewritten(&second.source, &log).await.unwrap();
    assert_eq!(*world.checkpoint.lock().unwrap(), Checkpoint::default(), "nothing that was passed is there any more");
}

#[tokio::test]
async fn batches_that_are_done_soon_one_after_another_move_the_checkpoint_together() {
    let world = Arc::new(World::default());
    let reactors = reactors(&world, 0).await;
    reactors.start(&batch(0, Vec::new()).source).await.unwrap();
    for offset in 0..20 {
        reactors.apply(&batch(offset, vec![record(offset, &offset.to_string(), &["x"], false)])).await.unwrap();
    }
    passed(&world, 20).await;
    let steps = world.steps.lock().unwrap().clone();
    assert!(steps.len() < 20, "{steps:?}");
    assert_eq!(world.asked().len(), 20);
    assert!(world.rows.lock().unwrap().is_empty(), "what is done at once needs no row");
}

#[tokio::test]
async fn an_effect_that_never_succeeds_parks_alone_and_is_done_by_redrive() {
    let world = Arc::new(World::default());
    world.fails.lock().unwrap().insert("stuck".into(), Fault::Effect);
    let reactors = reactors(&world, 0).await;
    let mut records = vec![record(0, "a", &["stuck"], true)];
    records.extend((1..201).map(|offset| record(offset, &offset.to_string(), &[&*format!("t{offset}")], true)));
    take(&reactors, &batch(0, records)).await;
    passed(&world, 201).await;
    until("the others are done", || world.asked().iter().filter(|(_, what)| what == "Record").count() == 200).await;
    until("its attempts are used up", || !world.dead().is_empty()).await;
    let dead = world.dead().remove(0);
    assert_eq!((&*dead.reason, dead.attempts, dead.reactor.as_str()), ("it says no", 3, "do-outside"));
    assert!(world.asked().contains(&(id("stuck"), "GiveUp".to_owned())), "that it was given up is recorded");
    assert!(reactors.redrive(&dead.id).await.is_err(), "it fails as before");
    world.fails.lock().unwrap().clear();
    reactors.redrive(&dead.id).await.unwrap();
    assert!(world.asked().contains(&(id("stuck"), "Record".to_owned())));
    assert!(world.rows.lock().unwrap().is_empty());
    assert!(reactors.redrive(&dead.id).await.is_err(), "there is nothing more to redrive");
}

#[tokio::test]
async fn a_drop_takes_the_letter_that_it_names_and_lets_those_behind_it_go() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("x"), Answers::Defect);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], false), record(1, "a", &["x"], false), record(2, "a", &["y"], false)])).await;
    passed(&world, 3).await;
    until("the first is dead, and the second waits behind it", || world.dead().len() == 1 && world.rows.lock().unwrap().len() == 2).await;
    assert_eq!(world.asked(), [(id("y"), "This".to_owned())], "a defect in one command keeps no other target waiting");
    let first = world.dead().remove(0);
    world.answers.lock().unwrap().clear();
    assert!(reactors.drop_errand(&first.id).await.unwrap());
    assert!(!reactors.drop_errand(&first.id).await.unwrap(), "said again it takes no other");
    until("the second is done", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn a_letter_that_is_redriven_is_not_dropped_meanwhile() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("x"), Answers::Defect);
    let reactors = Arc::new(reactors(&world, 0).await);
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], false), record(1, "a", &["x"], false)])).await;
    until("the first is dead", || world.dead().len() == 1).await;
    world.answers.lock().unwrap().insert(id("x"), Answers::Slowly);
    let letter = world.dead().remove(0).id;
    let (redriven, dropped, again) = tokio::join!(reactors.redrive(&letter), reactors.drop_errand(&letter), reactors.redrive(&letter));
    assert_eq!(redriven, Ok(()));
    assert!(dropped.is_err(), "it is being tried: {dropped:?}");
    assert!(again.is_err(), "it is being tried: {again:?}");
    until("both are done, once", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn an_effect_whose_performer_panics_is_given_up_like_any_other() {
    let world = Arc::new(World::default());
    world.fails.lock().unwrap().insert("clumsy".into(), Fault::Effect);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["clumsy"], true)])).await;
    until("its attempts are used up", || world.dead().len() == 1).await;
}

#[tokio::test]
async fn a_destination_that_is_down_uses_up_no_attempts() {
    let world = Arc::new(World::default());
    world.fails.lock().unwrap().insert("x".into(), Fault::Destination);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], true)])).await;
    until("it was tried often", || world.performed("x") > 6).await;
    assert!(world.dead().is_empty());
    world.fails.lock().unwrap().clear();
    until("it is done", || world.asked().contains(&(id("x"), "Record".to_owned()))).await;
}

#[tokio::test]
async fn what_is_recorded_is_not_done_again_and_what_is_new_needs_no_question() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("done"), Answers::Refuses);
    let reactors = reactors(&world, 1).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["done"], true), record(1, "b", &["done"], true)])).await;
    passed(&world, 2).await;
    assert_eq!(world.performed("done"), 1, "of two events only the one that came after the start was not asked about");
}

#[tokio::test]
async fn another_command_under_its_id_is_settled_for_a_reactor() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("x"), Answers::Other);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], false)])).await;
    passed(&world, 1).await;
    assert!(world.rows.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_partition_is_given_up_with_nothing_half_done() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::NotNow);
    let reactors = reactors(&world, 0).await;
    let batch = batch(0, vec![record(0, "a", &["slow"], false), record(1, "b", &["quick"], false)]);
    take(&reactors, &batch).await;
    until("both are begun", || world.begun.load(Ordering::SeqCst) >= 2).await;
    reactors.finish(&batch.source).await;
    assert_eq!(world.checkpoint.lock().unwrap().next, 2);
    assert_eq!(world.rows.lock().unwrap().len(), 1);
    assert!(reactors.apply(&batch).await.is_err(), "it is given up");
}

#[tokio::test]
async fn a_partition_is_given_up_once_the_attempts_of_what_was_put_by_have_ended() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::Slowly);
    let reactors = reactors(&world, 0).await;
    let batch = batch(0, vec![record(0, "a", &["slow"], false)]);
    take(&reactors, &batch).await;
    until("it is begun", || world.begun.load(Ordering::SeqCst) == 1).await;
    reactors.finish(&batch.source).await;
    assert_eq!(world.asked().len(), 1, "nobody else does it again meanwhile");
    assert!(world.rows.lock().unwrap().is_empty());
}

/// Deadlines that stay due for ever, since no view removes them.
struct Standing(Vec<Overdue>);

#[async_trait::async_trait]
impl Due for Standing {
    async fn due(&self, _: Timestamp, limit: u32) -> Result<Vec<Overdue>, String> {
        Ok(self.0.iter().take(limit as usize).cloned().collect())
    }
}

/// Keeps 500 deadlines, of which nobody answers the first 450 in this way, until the others are asked for and `until` holds.
async fn keep_five_hundred(world: &Arc<World>, answers: Answers, what: &str, enough: impl Fn() -> bool) {
    let overdue = |number: i64| {
        let command = AnyCommand::to::<Thing>(id(&number.to_string()), &Do::This);
        Overdue { due: Timestamp(number), command }
    };
    world.answers.lock().unwrap().extend((0..450).map(|number| (id(&number.to_string()), answers)));
    let deadline = Deadline { name: "pass", due: Arc::new(Standing((0..500).map(overdue).collect())) };
    let (aggregates, stop) = (Aggregates::default().with::<Thing>(world.clone()), CancellationToken::new());
    let keeping = tokio::spawn(keep_deadlines(deadline, aggregates, Duration::from_secs(60), stop.clone()));
    until(what, enough).await;
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test]
async fn deadlines_whose_owner_is_away_hold_back_no_other() {
    let world = Arc::new(World::default());
    keep_five_hundred(&world, Answers::NotNow, "the last fifty are asked for", || world.asked().len() == 50).await;
}

#[tokio::test]
async fn deadlines_of_a_partition_whose_owner_says_nothing_hold_back_no_other() {
    let world = Arc::new(World::default());
    world.partitions.lock().unwrap().extend((0..500).map(|number| (id(&number.to_string()), i32::from(number >= 450))));
    keep_five_hundred(&world, Answers::Hangs, "the last fifty are asked for", || world.asked().len() == 50).await;
    assert!(world.begun.load(Ordering::SeqCst) <= 50 + 8, "few wait for the owner that says nothing");
}

#[tokio::test]
async fn deadlines_of_a_partition_are_sent_soon_after_it_has_an_owner_again() {
    let world = Arc::new(World::default());
    world.partitions.lock().unwrap().extend((0..500).map(|number| (id(&number.to_string()), i32::from(number >= 450))));
    keep_five_hundred(&world, Answers::NotNow, "all are asked for", || {
        if world.asked().len() == 50 {
            assert!(world.begun.load(Ordering::SeqCst) <= 50 + 8 + 4, "the partition without an owner rests");
            world.answers.lock().unwrap().clear();
        }
        world.asked().len() == 500
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_parks_its_aggregate_alone() {
    let world = Arc::new(World::default());
    let reactors = reactors(&world, 0).await;
    let broken = record(0, "a", &["x"], false).with(b"nonsense".as_slice().into());
    let records = vec![broken.clone(), record(1, "a", &["x"], false), record(2, "b", &["x"], false), record(3, "c", &["defect"], false)];
    take(&reactors, &batch(0, records)).await;
    passed(&world, 4).await;
    assert_eq!(world.asked().len(), 1, "of the second aggregate only");
    let letters: Vec<(i64, bool)> =
        world.letters.lock().unwrap().iter().map(|(record, reason)| (record.position.offset, reason.is_some())).collect();
    assert_eq!(
        letters,
        [(0, true), (1, false), (3, true)],
        "the broken record, what stands behind it, and the one on which the reactor panics"
    );
    assert!(reactors.take_up(&broken).await.is_err(), "it is as broken as before");
    reactors.take_up(&record(0, "a", &["x"], false)).await.unwrap();
    until("once it can be read it is taken up", || world.asked().len() == 2).await;
}

#[tokio::test]
async fn a_record_that_was_dropped_for_good_is_skipped_and_its_aggregate_goes_on() {
    let world = Arc::new(World::default());
    let broken = record(0, "a", &["x"], false).with(b"nonsense".as_slice().into());
    let dropped = record(1, "a", &["y"], false);
    for record in [&broken, &dropped] {
        world.dropped.lock().unwrap().insert((record.position.offset, record.event_id.clone()));
    }
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![broken, dropped, record(2, "a", &["z"], false)])).await;
    passed(&world, 3).await;
    assert_eq!(world.asked().len(), 1, "of the third alone, though the second could be read");
    assert!(world.letters.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_put_by_is_tried_on_though_the_answer_to_its_commit_is_lost() {
    let world = Arc::new(World::default());
    world.loses_answers.store(true, Ordering::SeqCst);
    world.answers.lock().unwrap().insert(id("away"), Answers::NotNow);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["away"], false)])).await;
    passed(&world, 1).await;
    world.answers.lock().unwrap().clear();
    until("it is done", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn what_a_record_that_is_taken_up_leads_to_is_put_by_before_its_letter_may_go() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("away"), Answers::NotNow);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], false)])).await;
    passed(&world, 1).await;
    let letter = record(0, "b", &["away"], false);
    world.down.store(true, Ordering::SeqCst);
    assert!(reactors.take_up(&letter).await.is_err(), "the letter has to stay while nothing can be put by");
    world.down.store(false, Ordering::SeqCst);
    reactors.take_up(&letter).await.unwrap();
    assert_eq!(world.rows.lock().unwrap().len(), 1, "a restart now would find it");
    assert_eq!(world.checkpoint.lock().unwrap().next, 1, "the checkpoint stays");
    world.answers.lock().unwrap().clear();
    until("it is done once its target answers", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn reactors_tell_that_their_checkpoint_cannot_be_moved_until_it_moves() {
    let world = Arc::new(World::default());
    let reactors = reactors(&world, 0).await;
    let batch = batch(0, vec![record(0, "a", &["x"], false)]);
    reactors.start(&batch.source).await.unwrap();
    assert!(reactors.waits(&batch.source).is_none());
    world.down.store(true, Ordering::SeqCst);
    reactors.apply(&batch).await.unwrap();
    until("they tell", || reactors.waits(&batch.source).is_some()).await;
    let before = reactors.waits(&batch.source).unwrap().lasted();
    until("since the first failure", || reactors.waits(&batch.source).unwrap().lasted() > before + Duration::from_millis(500)).await;
    world.down.store(false, Ordering::SeqCst);
    passed(&world, 1).await;
    until("they wait no more", || reactors.waits(&batch.source).is_none()).await;
}

#[tokio::test]
async fn what_a_reader_that_is_cut_off_has_begun_is_finished_before_its_partition_goes() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::Slowly);
    let reactors = reactors(&world, 0).await;
    let first = batch(0, vec![record(0, "a", &["slow"], false)]);
    reactors.start(&first.source).await.unwrap();
    reactors.apply(&first).await.unwrap();
    // More batches than may be unfinished, so the reader waits in the middle of one.
    let rest = async {
        for offset in 1..200 {
            reactors.apply(&batch(offset, vec![record(offset, &format!("b{offset}"), &["quick"], false)])).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(100), rest).await.is_err(), "it waits for room");
    let began = tokio::time::Instant::now();
    reactors.finish(&first.source).await;
    assert!(began.elapsed() < Duration::from_secs(5), "all that was begun is known: {:?}", began.elapsed());
    let (begun, next) = (world.begun.load(Ordering::SeqCst), world.checkpoint.lock().unwrap().next);
    let put_by = world.rows.lock().unwrap().len();
    assert_eq!(begun + put_by, usize::try_from(next).unwrap(), "the checkpoint passes what was done or is put by, and nothing else");
}

#[tokio::test]
async fn a_partition_that_is_given_up_leaves_to_the_next_process_what_has_not_begun() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("slow"), Answers::Slowly);
    let reactors = reactors(&world, 0).await;
    // One after another, these would take five seconds.
    let batch = batch(0, (0..10).map(|offset| record(offset, "a", &["slow"], false)).collect());
    take(&reactors, &batch).await;
    until("the first is begun", || world.begun.load(Ordering::SeqCst) == 1).await;
    reactors.finish(&batch.source).await;
    assert_eq!(world.begun.load(Ordering::SeqCst), 1);
    assert_eq!(world.asked().len(), 1, "what was begun is finished");
    assert_eq!((world.rows.lock().unwrap().len(), world.checkpoint.lock().unwrap().next), (9, 10));
}

/// Takes the event of "a" that asks "x" for an effect, and has it put by: it fails for a while.
async fn put_by(world: &Arc<World>) -> Reactors {
    world.fails.lock().unwrap().insert("x".into(), Fault::Ours);
    let reactors = reactors(world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], true)])).await;
    until("it is put by", || world.rows.lock().unwrap().len() == 1).await;
    reactors
}

#[tokio::test]
async fn what_was_done_while_the_database_looked_up_what_is_due_is_not_done_again() {
    let world = Arc::new(World::default());
    let _reactors = put_by(&world).await;
    // The worker looks again while its attempt still runs, and is answered after that has ended: what it found is an effect to be done.
    world.looks_for.store(300, Ordering::SeqCst);
    world.lasts.lock().unwrap().insert("x".into(), Duration::from_millis(400));
    world.answers.lock().unwrap().insert(id("x"), Answers::OnlyQuestions);
    world.fails.lock().unwrap().clear();
    until("it is done, and nobody takes the record of that", || world.done("x") == 1).await;
    let begun = world.begun.load(Ordering::SeqCst);
    until("it is tried again", || world.begun.load(Ordering::SeqCst) >= begun + 3).await;
    world.answers.lock().unwrap().clear();
    until("it is recorded", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!(world.done("x"), 1);
}

/// Waits until "x" is done and its record hangs; then another process takes the partition over, which has to record it and nothing else.
async fn is_recorded_by_the_next_process(world: &Arc<World>) {
    until("it is done, and the record of that hangs", || world.done("x") == 1).await;
    until("its row says so", || world.row_is_a_command()).await;
    world.answers.lock().unwrap().clear();
    let next = reactors(world, 1).await;
    next.start(&batch(0, Vec::new()).source).await.unwrap();
    until("it is recorded", || world.rows.lock().unwrap().is_empty()).await;
    assert_eq!((world.done("x"), world.asked()), (1, vec![(id("x"), "Record".to_owned())]));
}

#[tokio::test]
async fn a_fresh_effect_that_was_done_after_it_was_put_by_is_recorded_by_the_next_process_and_not_done_again() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("x"), Answers::HangsAtCommands);
    // Longer than a batch waits for an attempt.
    world.lasts.lock().unwrap().insert("x".into(), Duration::from_millis(500));
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], true)])).await;
    is_recorded_by_the_next_process(&world).await;
}

#[tokio::test]
async fn an_effect_that_was_done_before_it_is_put_by_is_recorded_by_the_next_process_and_not_done_again() {
    let world = Arc::new(World::default());
    world.answers.lock().unwrap().insert(id("x"), Answers::HangsAtCommands);
    let reactors = reactors(&world, 0).await;
    take(&reactors, &batch(0, vec![record(0, "a", &["x"], true)])).await;
    is_recorded_by_the_next_process(&world).await;
}

#[tokio::test]
async fn an_effect_that_was_done_at_a_later_attempt_is_recorded_by_the_next_process_and_not_done_again() {
    let world = Arc::new(World::default());
    let _reactors = put_by(&world).await;
    world.answers.lock().unwrap().insert(id("x"), Answers::HangsAtCommands);
    world.fails.lock().unwrap().clear();
    is_recorded_by_the_next_process(&world).await;
}
