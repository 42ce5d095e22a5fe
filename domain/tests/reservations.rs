//! The protocol between holders and reservations, in random schedules: every message may be delayed for ever, any client may stop at any step,
//! and a client that is asked for again begins anew. Whatever happens, no two accounts use one address.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use domain::reservation::{Held, Holder, Kind, Reservation, ReservationCommand, ReservationEvent, Reserved};
use domain::user::{User, UserCommand, UserEvent};
use domain::{Aggregate, Email, HolderId, Refusal, ReservationId, Timestamp, UserId};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use uuid::Uuid;

const ACCOUNTS: u8 = 3;
const ADDRESSES: [&str; 2] = ["a@example.com", "b@example.com"];
const CLIENTS: usize = 5;

/// What a client does next for the account that wants the address.
#[derive(Clone, Debug)]
enum Step {
    Idle,
    Reserve,
    /// The other account is asked to forgo its reservation.
    Ask(Held),
    /// It has recorded that; the reservation can be ended.
    End(Held),
    /// The account is told to use the address under this number.
    Use(i64),
}

#[derive(Clone, Debug)]
struct Client {
    account: Uuid,
    email: Email,
    step: Step,
}

#[derive(Clone, Debug)]
enum Move {
    /// A client begins for an account and an address, and forgets what it was at.
    Begin(usize, u8, usize),
    /// A client does its next step.
    Go(usize),
    /// An account is closed.
    Close(u8),
    /// The reactor ends what an account has left, as many events of it later as it likes.
    React(usize),
}

#[derive(Default)]
struct World {
    users: BTreeMap<Uuid, User>,
    reservations: BTreeMap<ReservationId, Reservation>,
    clients: Vec<Client>,
    /// What accounts have left, and the reactor has not ended yet.
    left: Vec<(Uuid, Reserved)>,
}

fn account(number: u8) -> Uuid {
    UserId::derive("laws", &number.to_string()).0
}

impl World {
    fn user(&mut self, id: Uuid, command: UserCommand) -> Result<(), &'static str> {
        let user = self.users.entry(id).or_default();
        let events = user.handle(command).map_err(|refusal| refusal.code())?;
        for event in &events {
            user.apply(event);
            let left = match event {
                UserEvent::ProfileChanged(changed) => changed.left,
                UserEvent::Closed(closed) => closed.left,
                UserEvent::EmailForgone(forgone) => Some(forgone.reserved),
                UserEvent::Registered(_) | UserEvent::Vouched(_) | UserEvent::Refused(_) => None,
            };
            self.left.extend(left.map(|left| (id, left)));
        }
        Ok(())
    }

    fn end(&mut self, id: ReservationId, holder: Uuid, number: i64) {
        let reservation = self.reservations.entry(id).or_default();
        let events = reservation.handle(ReservationCommand::End { holder: HolderId(holder), number }).unwrap();
        events.iter().for_each(|event| reservation.apply(event));
    }

    /// The reservation's answer: the number, or who holds it.
    fn reserve(&mut self, id: ReservationId, holder: Uuid) -> Result<i64, Held> {
        let reservation = self.reservations.entry(id).or_default();
        match reservation.handle(ReservationCommand::Reserve { kind: Kind::Email, holder: HolderId(holder), now: Timestamp(0) }) {
            Ok(events) => {
                events.iter().for_each(|event: &ReservationEvent| reservation.apply(event));
                Ok(reservation.held().unwrap().number)
            }
            Err(_) => Err(reservation.held().unwrap()),
        }
    }

    fn go(&mut self, index: usize) {
        let Some(Client { account, email, step }) = self.clients.get(index).cloned() else { return };
        let id = ReservationId::of_email(&email);
        self.clients[index].step = match step {
            Step::Idle => Step::Idle,
            Step::Reserve => self.reserve(id, account).map_or_else(Step::Ask, Step::Use),
            Step::Ask(held) => match self.user(held.holder.0, User::forgo(Reserved { reservation_id: id, number: held.number })) {
                Ok(()) => Step::End(held),
                Err(_) => Step::Idle,
            },
            Step::End(held) => {
                self.end(id, held.holder.0, held.number);
                Step::Reserve
            }
            Step::Use(number) => self.begin_to_use(account, email, Reserved { reservation_id: id, number }),
        };
    }

    fn begin_to_use(&mut self, account: Uuid, email: Email, reserved: Reserved) -> Step {
        let name: domain::Text = "a".parse().unwrap();
        let command = match self.users.get(&account).and_then(User::profile) {
            Some(_) => UserCommand::ChangeProfile { email: Some(email), name: None, address: None, reserved: Some(reserved) },
            None => UserCommand::Register { email, name, address: None, reserved: Some(reserved) },
        };
        match self.user(account, command) {
            Err("reservation-forgone") => Step::End(Held { holder: HolderId(account), number: reserved.number, since: Timestamp(0) }),
            Ok(()) | Err(_) => Step::Idle,
        }
    }

    fn step(&mut self, step: &Move) {
        match step {
            Move::Begin(client, number, address) => {
                let client = client % self.clients.len();
                self.clients[client] =
                    Client { account: account(*number), email: ADDRESSES[*address].parse().unwrap(), step: Step::Reserve };
            }
            Move::Go(client) => self.go(*client),
            Move::Close(number) => drop(self.user(account(*number), UserCommand::Close { reason: None })),
            Move::React(which) if !self.left.is_empty() => {
                let (holder, left) = self.left.swap_remove(which % self.left.len());
                self.end(left.reservation_id, holder, left.number);
            }
            Move::React(_) => {}
        }
    }

    fn users_of(&self, address: &str) -> usize {
        self.users.values().filter(|user| user.profile().is_some_and(|profile| profile.email.as_str() == address)).count()
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let begin = (0..CLIENTS, 0..ACCOUNTS, 0..ADDRESSES.len()).prop_map(|(client, account, address)| Move::Begin(client, account, address));
    let go = (0..CLIENTS).prop_map(Move::Go);
    let close = (0..ACCOUNTS).prop_map(Move::Close);
    vec(prop_oneof![20 => begin, 70 => go, 1 => close, 9 => (0..8_usize).prop_map(Move::React)], 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_two_accounts_use_one_address(moves in moves()) {
        let idle = Client { account: account(0), email: ADDRESSES[0].parse().unwrap(), step: Step::Idle };
        let mut world = World { clients: vec![idle; CLIENTS], ..World::default() };
        for step in &moves {
            world.step(step);
            for address in ADDRESSES {
                prop_assert!(world.users_of(address) <= 1, "{address} has two accounts");
            }
        }
    }
}
