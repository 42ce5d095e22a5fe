//! What clients make the coordinator remember has limits, and those who reach them lock nobody else out.

use super::{
    Coordinator, GroupError, Join, Joined, Sync,
    coordinator::Limits,
    tests::{wants, who},
};
use bytes::Bytes;
use std::time::Duration;

fn coordinator(limits: Limits) -> Coordinator {
    let mut coordinator = Coordinator::default();
    coordinator.limits = limits;
    coordinator
}

/// A request with so many bytes of metadata.
fn of_size(member: &str, bytes: usize) -> Join {
    Join { protocols: vec![("range".into(), Bytes::from(vec![0; bytes]))], ..wants(member, None, "") }
}

/// Joins; nobody in these tests waits for anybody else.
async fn join(coordinator: &Coordinator, group: &str, join: Join) -> Result<Joined, GroupError> {
    tokio::time::timeout(Duration::from_secs(5), coordinator.join(group, join)).await.expect("an answer at once")
}

async fn alone(coordinator: &Coordinator, group: &str, bytes: usize) -> Result<Joined, GroupError> {
    join(coordinator, group, of_size("", bytes)).await
}

fn part(joined: &Joined, bytes: usize) -> Sync {
    let assignments = vec![(joined.member.clone(), Bytes::from(vec![0; bytes])), ("nobody".into(), Bytes::from(vec![0; 5_000]))];
    Sync { who: who(&joined.member, None), generation: joined.generation, assignments, ..Sync::default() }
}

#[tokio::test]
async fn the_members_of_a_group_keep_so_many_bytes_at_most() {
    let coordinator = coordinator(Limits { group_bytes: 10_000, ..Limits::default() });
    assert_eq!(alone(&coordinator, "large", 10_000).await, Err(GroupError::TooLarge));
    let one = alone(&coordinator, "readers", 5_000).await.expect("joined");
    assert_eq!(alone(&coordinator, "readers", 5_000).await, Err(GroupError::TooLarge), "two of them are too large");
    let again = join(&coordinator, "readers", of_size(&one.member, 9_000)).await.expect("it takes its own place");
    assert_eq!(coordinator.sync("readers", part(&again, 1_000)).await, Err(GroupError::TooLarge));
    let synced = coordinator.sync("readers", part(&again, 500)).await.expect("a part of those that are members");
    assert_eq!(synced.assignment.len(), 500);
    let larger = join(&coordinator, "readers", of_size(&one.member, 9_500)).await;
    assert_eq!(larger, Err(GroupError::TooLarge), "its part counts, too");
    assert!(alone(&coordinator, "others", 9_000).await.is_ok(), "another group has its own room");
}

#[tokio::test]
async fn the_members_of_all_groups_keep_so_many_bytes_at_most() {
    let coordinator = coordinator(Limits { bytes: 10_000, ..Limits::default() });
    let one = alone(&coordinator, "one", 4_000).await.expect("joined");
    alone(&coordinator, "two", 4_000).await.expect("joined");
    assert_eq!(alone(&coordinator, "three", 4_000).await, Err(GroupError::TooLarge));
    assert_eq!(alone(&coordinator, &"x".repeat(3_000), 1).await, Err(GroupError::TooLarge), "names take room");
    assert_eq!(coordinator.sync("one", part(&one, 3_000)).await, Err(GroupError::TooLarge));
    coordinator.leave("two", &who(&coordinator.describe("two").expect("a group").members[0].member, None)).expect("it leaves");
    assert!(alone(&coordinator, "three", 4_000).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn who_asks_for_ids_and_never_joins_locks_nobody_out() {
    let coordinator = coordinator(Limits { given: 10, ..Limits::default() });
    let asks = |member: &str| Join { joins_twice: true, ..wants(member, None, "1") };
    let given = async |group: &str| match join(&coordinator, group, asks("")).await {
        Err(GroupError::MemberIdRequired(id)) => id,
        other => panic!("an id, and not {other:?}"),
    };
    let first = given("flood").await;
    for _ in 0..30 {
        given("flood").await;
    }
    assert_eq!(join(&coordinator, "flood", asks(&first)).await, Err(GroupError::UnknownMember), "the oldest are taken back");
    let id = given("readers").await;
    assert_eq!(join(&coordinator, "readers", asks(&id)).await.expect("joined").member, id);
    for _ in 0..10 {
        given("elsewhere").await;
    }
    assert!(coordinator.describe("flood").is_none(), "nobody is in it, or about to be");
}

#[tokio::test]
async fn members_and_those_who_were_given_an_id_join_when_there_is_no_place_for_others() {
    let coordinator = coordinator(Limits { members: 1, ..Limits::default() });
    let asks = |member: &str, instance| Join { joins_twice: true, ..wants(member, instance, "1") };
    let Err(GroupError::MemberIdRequired(id)) = join(&coordinator, "one", asks("", None)).await else { panic!("an id") };
    let fixed = join(&coordinator, "two", asks("", Some("a"))).await.expect("joined");
    assert_eq!(join(&coordinator, "three", asks("", None)).await, Err(GroupError::TooMany));
    assert!(join(&coordinator, "one", asks(&id, None)).await.is_ok(), "it was given an id");
    assert!(join(&coordinator, "one", asks(&id, None)).await.is_ok(), "it is a member");
    let again = join(&coordinator, "two", asks("", Some("a"))).await.expect("it takes its own place");
    assert_ne!(again.member, fixed.member);
}
