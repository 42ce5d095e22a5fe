//! One account for an address, one product for a stock-keeping unit: as a caller sees it, without the reactors.

use crate::{shop::Shop, support::answer::Answer};
use consumers::{Outcome, Perform};
use domain::{
    HolderId, ReservationId, Timestamp, UserId,
    reservation::{Kind, Reservation, ReservationCommand, Reserved},
    user::UserCommand,
};
use event_store::{Accepted, Cause, CommandError, CommandMeta, Execute, Unavailable};
use futures::future::join_all;
use serde_json::{Value, json};
use shop::reservations::effects::InUse;
use std::sync::Arc;
use uuid::Uuid;

fn user(email: &str) -> Value {
    json!({"email": email, "name": "Ada"})
}

fn product(sku: &str) -> Value {
    json!({"sku": sku, "name": "Holder", "price": {"amount": 255, "currency": "GBP"}})
}

fn reservation_of(email: &str) -> ReservationId {
    ReservationId::of_email(&email.parse().unwrap())
}

pub fn meta() -> CommandMeta {
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    CommandMeta { command_id: Uuid::now_v7(), time: Timestamp(1), expected_version: None, only_of: None, cause }
}

/// What a request of an hour ago leaves that was cut off between its two steps: a reservation.
async fn left_behind(reservations: &dyn Execute<Reservation>, email: &str, holder: Uuid) -> Reserved {
    let command = ReservationCommand::Reserve { kind: Kind::Email, holder: HolderId(holder), now: Timestamp(1) };
    let made = reservations.execute(reservation_of(email).0, command, meta()).await.unwrap();
    Reserved { reservation_id: reservation_of(email), number: made.version as i64 }
}

async fn end(shop: &Shop, email: &str, holder: Uuid, number: i64) -> Accepted {
    let command = ReservationCommand::End { holder: HolderId(holder), number };
    shop.reservations.execute(reservation_of(email).0, command, meta()).await.unwrap()
}

#[tokio::test]
async fn what_another_has_is_refused_and_nothing_is_said_of_who() {
    let shop = Shop::open().await;
    let ada = shop.served.posted("/users", &user("ada@example.com"), 201).await;
    let refused = shop.served.posted("/users", &user("Ada@Example.COM"), 422).await;
    refused.is_problem("email-taken", "email", "is the address of an account already");
    assert!(!refused.body.to_string().contains(ada.id()), "{refused:#?}");
    let bob = shop.served.posted("/users", &user("bob@example.com"), 201).await;
    let change = format!("/users/{}/profile-changes", bob.id());
    shop.served.posted(&change, &json!({"email": "ADA@example.com"}), 422).await.is_problem("email-taken", "email", "");
    let respelled = shop.served.posted(&change, &json!({"email": "Bob@example.com"}), 200).await;
    assert_eq!(respelled.body["version"], 2);
    shop.served.posted("/products", &product("85123A"), 201).await;
    shop.served.posted("/products", &product("85123a"), 422).await.is_problem("sku-taken", "sku", "");
}

#[tokio::test]
async fn of_thirty_two_at_once_one_has_it() {
    let shop = Shop::open().await;
    for (path, body) in [("/users", user("race@example.com")), ("/products", product("RACE"))] {
        let all = join_all((0..32).map(|_| Answer::of(shop.served.post(path, &body)))).await;
        let with = |status| all.iter().filter(|answer| answer.status == status).count();
        assert_eq!((with(201), with(422)), (1, 31), "{path}");
    }
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_although_another_has_it_by_now() {
    let shop = Shop::open().await;
    let register = || shop.served.post("/users", &user_of_k()).header("idempotency-key", "k");
    let first = Answer::of(register()).await.expecting(201);
    let holder: Uuid = first.id().parse().unwrap();
    shop.served.posted(&format!("/users/{holder}/closure"), &json!({}), 200).await;
    assert_eq!(end(&shop, "k@example.com", holder, 1).await.events, 1);
    shop.served.posted("/users", &user_of_k(), 201).await;
    let again = Answer::of(register()).await.expecting(201);
    assert_eq!((&first.body, again.header("idempotency-replayed")), (&again.body, "true"));
    let other = Answer::of(shop.served.post("/users", &user("other@example.com")).header("idempotency-key", "k")).await;
    other.expecting(422).is_problem("idempotency-key-reused", "", "");
    shop.served.posted("/users", &user("other@example.com"), 201).await;
}

fn user_of_k() -> Value {
    user("k@example.com")
}

#[tokio::test]
async fn what_a_request_that_was_cut_off_has_reserved_goes_to_the_next_and_the_late_command_is_refused() {
    let shop = Shop::open().await;
    let late = UserId::derive("anonymous", "cut-off").0;
    let reserved = left_behind(&*shop.reservations, "cut@example.com", late).await;
    shop.served.posted("/users", &user("cut@example.com"), 201).await;
    let (email, name) = ("cut@example.com".parse().unwrap(), "Late".parse().unwrap());
    let register = UserCommand::Register { email, name, address: None, reserved: Some(reserved) };
    match shop.users.execute(late, register, meta()).await {
        Err(CommandError::Refused(refused)) => assert_eq!(refused.code, "reservation-forgone"),
        other => panic!("a second account: {other:?}"),
    }
    let retry = Answer::of(shop.served.post("/users", &user("cut@example.com")).header("idempotency-key", "cut-off")).await;
    retry.expecting(422).is_problem("email-taken", "email", "");
}

#[tokio::test]
async fn a_request_that_was_cut_off_goes_on_under_its_key() {
    let shop = Shop::open().await;
    let holder = UserId::derive("anonymous", "again").0;
    left_behind(&*shop.reservations, "again@example.com", holder).await;
    let made = Answer::of(shop.served.post("/users", &user("again@example.com")).header("idempotency-key", "again")).await;
    assert_eq!(made.expecting(201).id(), holder.to_string());
}

#[tokio::test]
async fn what_was_reserved_a_moment_ago_is_left_alone() {
    let shop = Shop::open().await;
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let command = ReservationCommand::Reserve { kind: Kind::Email, holder: HolderId(Uuid::now_v7()), now };
    shop.reservations.execute(reservation_of("new@example.com").0, command, meta()).await.unwrap();
    let not_now = shop.served.posted("/users", &user("new@example.com"), 503).await;
    assert_eq!(not_now.header("retry-after"), "1");
}

/// Reserves, and never says so: as an owner does that dies after it has appended.
struct Silent(Arc<dyn Execute<Reservation>>);

#[async_trait::async_trait]
impl Execute<Reservation> for Silent {
    async fn execute(&self, id: Uuid, command: ReservationCommand, meta: CommandMeta) -> Result<Accepted, CommandError> {
        let _ = self.0.execute(id, command, meta).await;
        Err(CommandError::Unavailable(Unavailable { reason: "gone".into(), retry_after_millis: 1, in_doubt: true }))
    }

    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError> {
        self.0.read(id).await
    }
}

/// 504 means that the account may be there; it is not: nothing was sent to it.
#[tokio::test]
async fn a_reservation_in_doubt_leaves_the_account_not_made() {
    let shop = Shop::reserving(|reservations| Arc::new(Silent(reservations))).await;
    let not_done = shop.served.posted("/users", &user("doubt@example.com"), 503).await;
    assert_eq!(not_done.header("retry-after"), "1");
}

#[tokio::test]
async fn an_address_that_is_left_can_be_had_again_by_the_same_account() {
    let shop = Shop::open().await;
    let made = shop.served.posted("/users", &user("one@example.com"), 201).await;
    let change = format!("/users/{}/profile-changes", made.id());
    for (email, version) in [("two@example.com", 2), ("one@example.com", 3), ("two@example.com", 4)] {
        let changed = shop.served.posted(&change, &json!({"email": email}), 200).await;
        assert_eq!(changed.body["version"], version, "{email}");
    }
}

/// As it is on a log that was begun before there were reservations: accounts use what nobody has reserved.
#[tokio::test]
async fn what_was_in_use_before_is_reserved_for_those_who_still_use_it() {
    let shop = Shop::open().await;
    let mut twins: Vec<Uuid> = Vec::new();
    for _ in 0..2 {
        let made = shop.served.posted("/users", &user("twin@example.com"), 201).await;
        twins.push(made.id().parse().unwrap());
        let number = if twins.len() == 1 { 1 } else { 3 };
        assert_eq!(end(&shop, "twin@example.com", twins[twins.len() - 1], number).await.events, 1);
    }
    let reserve = async |holder| {
        let effect = InUse::effect(Kind::Email, holder, reservation_of("twin@example.com"));
        assert_eq!(InUse::of(&shop.aggregates).perform(&effect).await, Outcome::Done(None));
    };
    for _ in 0..2 {
        reserve(twins[0]).await;
        reserve(twins[1]).await;
        reserve(Uuid::now_v7()).await;
    }
    for twin in twins {
        shop.served.posted("/users", &user("twin@example.com"), 422).await.is_problem("email-taken", "email", "");
        shop.served.posted(&format!("/users/{twin}/closure"), &json!({}), 200).await;
        let held = left_behind(&*shop.reservations, "twin@example.com", twin).await;
        assert!(end(&shop, "twin@example.com", twin, held.number).await.events > 0, "{twin} had it");
    }
    shop.served.posted("/users", &user("twin@example.com"), 201).await;
}

#[tokio::test]
async fn nothing_is_reserved_before_what_was_in_use_is() {
    let shop = Shop::closed().await;
    shop.served.posted("/users", &user("early@example.com"), 503).await.is_problem("unavailable", "", "");
    shop.served.posted("/products", &product("EARLY"), 503).await;
}
