use super::*;
use crate::testing::given;
use uuid::Uuid;

const ADA: HolderId = HolderId(Uuid::from_u128(1));
const BOB: HolderId = HolderId(Uuid::from_u128(2));

fn reserve(holder: HolderId) -> ReservationCommand {
    ReservationCommand::Reserve { kind: Kind::Email, holder, now: Timestamp(7) }
}

fn made(holder: HolderId) -> ReservationEvent {
    ReservationEvent::Made(ReservationMade { kind: Kind::Email, holder, reserved_at: Timestamp(7) })
}

fn end(holder: HolderId, number: i64) -> ReservationCommand {
    ReservationCommand::End { holder, number }
}

fn ended(holder: HolderId, number: i64) -> ReservationEvent {
    ReservationEvent::Ended(ReservationEnded { holder, number })
}

fn email(text: &str) -> ReservationId {
    ReservationId::of_email(&text.parse().unwrap())
}

fn sku(text: &str) -> ReservationId {
    ReservationId::of_sku(&text.parse().unwrap())
}

#[test]
fn one_holder_has_it_and_asks_as_often_as_it_likes() {
    let given = given::<Reservation>([]).when(reserve(ADA)).then([made(ADA)]).when(reserve(ADA)).then_nothing();
    assert_eq!(given.state().held(), Some(Held { holder: ADA, number: 1, since: Timestamp(7) }));
    given.when(reserve(BOB)).refused(ReservationRefusal::HELD).saying("another holds it");
}

#[test]
fn it_ends_for_the_one_for_whom_it_was_made_and_under_its_number_only() {
    let free = given::<Reservation>([made(ADA)]).when(end(ADA, 1)).then([ended(ADA, 1)]);
    let next = free.when(reserve(BOB)).then([made(BOB)]);
    assert_eq!(next.state().held().map(|held| held.number), Some(3));
    let late = next.when(end(ADA, 1)).then_nothing().when(end(BOB, 1)).then_nothing().when(end(ADA, 3)).then_nothing();
    late.when(end(BOB, 3)).then([ended(BOB, 3)]).when(end(BOB, 3)).then_nothing();
}

#[test]
fn two_who_used_the_same_before_have_it_one_after_the_other() {
    let wait = |holder| ReservationCommand::Await { kind: Kind::Email, holder, now: Timestamp(9) };
    let awaited = ReservationEvent::Awaited(ReservationAwaited { kind: Kind::Email, holder: BOB });
    let both = given::<Reservation>([made(ADA)]).when(wait(ADA)).then_nothing().when(wait(BOB)).then([awaited]);
    let handed_on = both.when(wait(BOB)).then_nothing().when(end(ADA, 1)).then([ended(ADA, 1), made(BOB)]);
    assert_eq!(handed_on.state().held(), Some(Held { holder: BOB, number: 4, since: Timestamp(7) }));
    handed_on.when(end(BOB, 4)).then([ended(BOB, 4)]).when(reserve(ADA)).then([made(ADA)]);
}

#[test]
fn the_number_is_the_version_although_another_awaits_it() {
    let awaited = ReservationEvent::Awaited(ReservationAwaited { kind: Kind::Email, holder: BOB });
    let renewed = given::<Reservation>([made(ADA), awaited]).when(reserve(ADA)).then([made(ADA)]).when(reserve(ADA)).then_nothing();
    assert_eq!(renewed.state().held().map(|held| held.number), Some(3));
    renewed.when(end(ADA, 1)).then_nothing().when(end(ADA, 3)).then([ended(ADA, 3), made(BOB)]);
}

#[test]
fn the_gate_opens_once() {
    let opened = ReservationEvent::Opened(ReservationsOpened {});
    given::<Reservation>([]).when(ReservationCommand::MayReserve).refused("reservations-not-open");
    let open = given::<Reservation>([]).when(ReservationCommand::Open).then([opened]);
    open.when(ReservationCommand::Open).then_nothing().when(ReservationCommand::MayReserve).then_nothing();
}

#[test]
fn a_refusal_tells_a_program_who_holds_it_and_a_person_does_not_read_it() {
    let held = Held { holder: ADA, number: 12, since: Timestamp(1_700_000_000_000) };
    let refusal = ReservationRefusal::Held(held);
    assert_eq!(refusal.details().and_then(|details| details.read()), Some(held));
    assert!(!refusal.to_string().contains(&ADA.to_string()), "{refusal}");
}

#[test]
fn spellings_that_people_take_for_one_are_one() {
    let same = [
        ("ada@example.com", "Ada@Example.COM"),
        ("ada@m\u{fc}ller.example", "ada@XN--MLLER-KVA.example"),
        ("ada@mu\u{308}ller.example", "ada@M\u{dc}LLER.example"),
        ("ada@\u{ff45}xample.com", "ada@example.com"),
    ];
    same.iter().for_each(|(one, other)| assert_eq!(email(one), email(other), "{one} {other}"));
    // Old logs hold addresses that are not taken any more.
    let old = [
        ("jos\u{e9}@example.com", "jose\u{301}@example.com"),
        ("stra\u{df}e@example.com", "STRASSE@example.com"),
        ("\u{ff41}da@example.com", "ada@example.com"),
        ("\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}@example.com", "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}@example.com"),
    ];
    let read = |text: &str| ReservationId::of_email(&serde_json::from_value(text.into()).unwrap());
    old.iter().for_each(|(one, other)| assert_eq!(read(one), read(other), "{one} {other}"));
    assert_eq!(sku("85123A"), sku("85123a"));
    assert_eq!(sku("\u{ff21}-1"), sku("a-1"));
}

#[test]
fn what_a_provider_takes_for_one_is_not_our_matter() {
    let base = email("adalovelace@gmail.com");
    for other in ["ada.lovelace@gmail.com", "adalovelace+shop@gmail.com", "adalovelace@googlemail.com"] {
        assert_ne!(base, email(other), "{other}");
    }
    assert_ne!(sku("A 1"), sku("A1"));
}

#[test]
fn an_address_and_a_sku_of_the_same_letters_are_two() {
    assert_ne!(ReservationId::derive(Kind::Email.as_str(), "a"), sku("a"));
}
