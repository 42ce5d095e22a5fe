//! Whether an aggregate is the caller's own, judged where its commands are decided.

use super::{acked, begin, claim, hand_in_for};
use crate::{CommandError, account::AccountCommand};
use uuid::Uuid;

#[test]
fn a_command_for_anothers_aggregate_is_answered_as_if_it_were_not_there() {
    let (mut writer, mut desk) = begin();
    claim(&mut writer, &mut desk, 0, usize::MAX);
    let mut own = hand_in_for(&mut writer, 1, AccountCommand::Deposit(7), Some(0xa));
    writer.proceed(&mut desk);
    let tag = desk.sent.pop().expect("one's own").1;
    acked(&mut writer, &mut desk, tag, Ok(1));
    assert!(matches!(own.try_recv(), Ok(Ok(accepted)) if accepted.version == 1));
    // What would make an event, what would make none, and what is refused by the state that it has.
    let commands = [AccountCommand::Deposit(1), AccountCommand::Settle(0), AccountCommand::Withdraw(9)];
    let answers: Vec<_> = (2..).zip(commands).map(|(id, command)| hand_in_for(&mut writer, id, command, Some(0xb))).collect();
    writer.proceed(&mut desk);
    writer.barrier(writer.epoch(), Ok(2), &mut desk);
    assert!(desk.sent.is_empty(), "nothing is appended");
    let told = answers.into_iter().map(|mut answer| match answer.try_recv() {
        Ok(Err(CommandError::Refused(refused))) => (refused.not_found, refused.message),
        other => panic!("it is refused: {other:?}"),
    });
    let nobody = format!("there is no account {}", Uuid::from_u128(0xa));
    let expected = [(true, nobody.clone()), (true, nobody), (false, "the balance is 0, 9 is wanted".to_owned())];
    assert_eq!(told.collect::<Vec<_>>(), expected, "the balance is 7, and nobody else learns it");
}
