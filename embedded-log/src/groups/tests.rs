//! The rules of a group, with a clock that the tests hold.

use super::{
    group::Group,
    member::{GroupError, Identity, Join, Joined, Sync, Synced},
};
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};

type Outcome<T> = Receiver<Result<T, GroupError>>;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

struct Test {
    group: Group,
    now: Instant,
}

pub(super) fn who(member: &str, instance: Option<&str>) -> Identity {
    Identity { member: member.to_owned(), instance: instance.map(str::to_owned) }
}

pub(super) fn wants(member: &str, instance: Option<&str>, metadata: &'static str) -> Join {
    Join {
        who: who(member, instance),
        client: "client".into(),
        session: SESSION,
        rebalance: REBALANCE,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(metadata.as_bytes()))],
        joins_twice: false,
        may_skip: true,
    }
}

fn waits<T: std::fmt::Debug>(outcome: &mut Outcome<T>) -> bool {
    matches!(outcome.try_recv(), Err(TryRecvError::Empty))
}

fn told<T: std::fmt::Debug>(outcome: &mut Outcome<T>) -> Result<T, GroupError> {
    outcome.try_recv().expect("an answer")
}

impl Test {
    fn new() -> Self {
        Self { group: Group::default(), now: Instant::now() }
    }

    fn join(&mut self, join: Join) -> Outcome<Joined> {
        let (reply, outcome) = oneshot::channel();
        self.group.join(join, reply, self.now);
        outcome
    }

    fn sync(&mut self, member: &str, generation: i32, parts: &[(&str, &'static str)]) -> Outcome<Synced> {
        let assignments = parts.iter().map(|(member, part)| ((*member).to_owned(), Bytes::from_static(part.as_bytes()))).collect();
        let sync = Sync { who: who(member, None), generation, assignments, ..Sync::default() };
        let (reply, outcome) = oneshot::channel();
        self.group.sync(sync, usize::MAX, reply, self.now);
        outcome
    }

    fn heartbeat(&mut self, joined: &Joined) -> Result<(), GroupError> {
        self.group.heartbeat(&who(&joined.member, None), joined.generation, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.expire(self.now);
    }

    /// A group of two whose members have their parts; the first one leads.
    fn two() -> (Self, Joined, Joined) {
        let mut test = Self::new();
        let one = told(&mut test.join(wants("", None, "1"))).expect("joined");
        let mut two = test.join(wants("", None, "2"));
        assert!(waits(&mut two), "the first one must join again");
        assert_eq!(test.heartbeat(&one), Err(GroupError::RebalanceInProgress));
        let one = told(&mut test.join(wants(&one.member, None, "1"))).expect("joined");
        let two = told(&mut two).expect("joined");
        assert_eq!((one.generation, two.generation, &two.leader), (2, 2, &one.member));
        assert_eq!((one.members.len(), two.members.len()), (2, 0), "only the leader learns who there is");
        let mut part = test.sync(&two.member, 2, &[]);
        assert!(waits(&mut part), "the leader has not assigned yet");
        let parts = [(&*one.member, "p0"), (&*two.member, "p1")];
        assert_eq!(told(&mut test.sync(&one.member, 2, &parts)).expect("a part").assignment, "p0");
        assert_eq!(told(&mut part).expect("a part").assignment, "p1");
        (test, one, two)
    }
}

#[test]
fn members_share_and_the_others_take_over_when_one_leaves() {
    let (mut test, one, two) = Test::two();
    assert_eq!((test.heartbeat(&one), test.heartbeat(&two)), (Ok(()), Ok(())));
    test.group.leave(&who(&one.member, None), test.now).expect("it leaves");
    assert_eq!(test.heartbeat(&two), Err(GroupError::RebalanceInProgress));
    let two = told(&mut test.join(wants(&two.member, None, "2"))).expect("joined");
    assert_eq!((two.generation, &two.leader, two.members.len()), (3, &two.member, 1));
    assert_eq!(test.heartbeat(&one), Err(GroupError::UnknownMember));
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let (mut test, one, two) = Test::two();
    test.pass(SESSION / 2);
    assert_eq!(test.heartbeat(&two), Ok(()));
    test.pass(SESSION / 2);
    assert_eq!(test.heartbeat(&one), Err(GroupError::UnknownMember));
    assert_eq!(test.heartbeat(&two), Err(GroupError::RebalanceInProgress));
    assert_eq!(test.group.next_deadline(), Some(test.now + SESSION), "the survivor's session");
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let (mut test, one, two) = Test::two();
    let mut three = test.join(wants("", None, "3"));
    let mut one_again = test.join(wants(&one.member, None, "1"));
    for _ in 0..13 {
        test.pass(SESSION / 2);
        let _ = test.heartbeat(&two);
    }
    assert_eq!(told(&mut three).expect("joined").generation, 3);
    assert_eq!(told(&mut one_again).expect("joined").members.len(), 2, "the one who only said that it is alive is out");
    assert_eq!(test.heartbeat(&two), Err(GroupError::UnknownMember));
}

#[test]
fn who_waits_need_not_say_anything_and_who_has_gone_is_out() {
    let (mut test, one, _) = Test::two();
    let mut three = test.join(wants("", None, "3"));
    let gone = test.join(wants("", None, "4"));
    drop(gone);
    test.pass(SESSION / 2);
    assert!(waits(&mut three), "it waits for the two from before");
    test.pass(SESSION / 2);
    assert_eq!(told(&mut three).expect("joined").members.len(), 1, "those are silent, and one has gone; this one waited");
    assert_eq!(test.heartbeat(&one), Err(GroupError::UnknownMember));
}

#[test]
fn an_old_generation_and_a_stranger_are_refused() {
    let (mut test, one, two) = Test::two();
    let now = test.now;
    assert_eq!(test.group.heartbeat(&who(&one.member, None), 1, now), Err(GroupError::IllegalGeneration));
    assert_eq!(test.group.may_commit(&who(&two.member, None), 1, now), Err(GroupError::IllegalGeneration));
    assert_eq!(test.group.may_commit(&who("", None), -1, now), Err(GroupError::UnknownMember));
    assert_eq!(test.group.may_commit(&who(&two.member, None), 2, now), Ok(()));
    assert_eq!(told(&mut test.sync(&one.member, 1, &[])), Err(GroupError::IllegalGeneration));
    let mut other = wants("", None, "x");
    other.protocols[0].0 = "roundrobin".into();
    assert_eq!(told(&mut test.join(other)), Err(GroupError::InconsistentProtocol));
    assert_eq!(told(&mut test.join(wants("stranger", None, "x"))), Err(GroupError::UnknownMember));
}

#[test]
fn a_client_that_joins_twice_is_waited_for_between() {
    let mut test = Test::new();
    let join = |member: &str| Join { joins_twice: true, ..wants(member, None, "1") };
    let GroupError::MemberIdRequired(id) = told(&mut test.join(join(""))).expect_err("an id first") else { panic!("an id") };
    let mut other = test.join(wants("", None, "2"));
    assert!(waits(&mut other));
    let mut joined = test.join(join(&id));
    assert_eq!((told(&mut joined).expect("joined").member, told(&mut other).expect("joined").generation), (id, 1));
    // One that never comes back is waited for, but not for as long as it would like.
    told(&mut test.join(Join { session: SESSION * 100, ..join("") })).expect_err("an id first");
    let mut third = test.join(wants("", None, "3"));
    assert!(waits(&mut third));
    assert_eq!(test.group.given.len(), 1);
    test.pass(SESSION);
    assert_eq!(test.group.given.len(), 0);
}

#[test]
fn a_static_member_that_starts_again_keeps_its_part_and_fences_its_former_self() {
    let mut test = Test::new();
    let before = told(&mut test.join(wants("", Some("a"), "1"))).expect("joined");
    told(&mut test.sync(&before.member, 1, &[(&before.member, "p0")])).expect("a part");
    let after = told(&mut test.join(wants("", Some("a"), "1"))).expect("joined");
    assert_eq!((after.generation, after.skip_assignment), (1, true), "nobody had to join again");
    assert_eq!(told(&mut test.sync(&after.member, 1, &[])).expect("a part").assignment, "p0");
    let now = test.now;
    assert_eq!(test.group.heartbeat(&who(&before.member, Some("a")), 1, now), Err(GroupError::FencedInstance));
    assert_eq!(test.group.heartbeat(&who(&after.member, Some("a")), 1, now), Ok(()));
    // With other metadata the partitions are assigned anew.
    let changed = told(&mut test.join(wants("", Some("a"), "other"))).expect("joined");
    assert_eq!(changed.generation, 2);
    assert_eq!(test.group.leave(&who("", Some("a")), now), Ok(()), "an operator may remove it by its instance");
    assert!(test.group.is_unused());
}

#[test]
fn a_leader_that_never_assigns_is_out() {
    let mut test = Test::new();
    let leader = told(&mut test.join(wants("", None, "1"))).expect("joined");
    for _ in 0..13 {
        test.pass(SESSION / 2);
        let _ = test.heartbeat(&leader);
    }
    assert_eq!(test.heartbeat(&leader), Err(GroupError::UnknownMember));
}

#[test]
fn the_protocol_is_one_that_all_have() {
    let mut test = Test::new();
    let with = |member: &str, names: &[&str]| {
        let mut join = wants(member, None, "");
        join.protocols = names.iter().map(|name| ((*name).to_owned(), Bytes::from_static(b"m"))).collect();
        join
    };
    let one = told(&mut test.join(with("", &["cooperative-sticky", "range"]))).expect("joined");
    assert_eq!(one.protocol, "cooperative-sticky");
    let mut two = test.join(with("", &["range"]));
    let one = told(&mut test.join(with(&one.member, &["cooperative-sticky", "range"]))).expect("joined");
    assert_eq!((one.protocol, told(&mut two).expect("joined").protocol), ("range".to_owned(), "range".to_owned()));
}

#[test]
fn a_rebalance_that_gives_no_time_waits_a_moment_all_the_same() {
    let mut test = Test::new();
    let hasty = |member: &str, instance| Join { rebalance: Duration::ZERO, ..wants(member, instance, "1") };
    let one = told(&mut test.join(hasty("", Some("a")))).expect("joined");
    let mut other = test.join(hasty("", Some("b")));
    told(&mut test.join(hasty(&one.member, Some("a")))).expect("joined");
    told(&mut other).expect("joined");
    // One leaves, and the other one does not join again.
    test.group.leave(&who("", Some("b")), test.now).expect("it leaves");
    let (mut steps, begun) = (0, test.now);
    while let Some(next) = test.group.next_deadline() {
        (test.now, steps) = (next, steps + 1);
        test.group.expire(next);
        assert!(steps < 200, "it begins again at once: {steps} times within {:?}", test.now - begun);
    }
    assert!(test.group.is_unused(), "and ends when nobody is left");
}
