//! The laws of the shop, held against random commands: whatever is asked, in whatever order, with whatever numbers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod commands;

use commands::{notification_commands, order_commands, payment_commands, product_commands, reservation_commands, user_commands};
use domain::notification::Notification;
use domain::order::{Order, OrderEvent, OrderLine};
use domain::payment::{Payment, PaymentCommand, PaymentEvent, PaymentRefundSettled, PaymentRefusal};
use domain::product::{Product, ProductCommand, ProductEvent, Stock};
use domain::reservation::{Kind, Reservation, ReservationCommand, ReservationEvent};
use domain::user::{User, UserEvent};
use domain::{Aggregate, Money, Timestamp, testing::fold};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

/// What a run of commands led to.
struct Run<A: Aggregate> {
    /// The state after each command, beginning with the state before the first.
    states: Vec<A>,
    /// What each command made; nothing where it was refused.
    groups: Vec<Vec<A::Event>>,
}

impl<A: Aggregate> Run<A> {
    fn of(commands: Vec<A::Command>) -> Self {
        let mut run = Self { states: vec![A::default()], groups: vec![] };
        let mut state = A::default();
        for command in commands {
            let events = state.handle(command).unwrap_or_default();
            events.iter().for_each(|event| state.apply(event));
            run.states.push(state.clone());
            run.groups.push(events);
        }
        run
    }

    fn events(&self) -> impl Iterator<Item = &A::Event> {
        self.groups.iter().flatten()
    }

    fn last(&self) -> &A {
        self.states.last().expect("a run begins with a state")
    }
}

/// The fold of all events is the state that deciding and applying step by step led to.
fn fold_is_state<A: Aggregate + PartialEq + Debug>(commands: Vec<A::Command>) -> Result<(), TestCaseError> {
    let run = Run::<A>::of(commands);
    prop_assert_eq!(&fold::<A>(run.events()), run.last());
    Ok(())
}

/// Asking again at once for what was just decided makes no event: nothing, or a refusal.
fn repeats_make_nothing<A: Aggregate>(commands: Vec<A::Command>) -> Result<(), TestCaseError>
where
    A::Command: Debug,
    A::Event: Debug + PartialEq,
{
    let mut state = A::default();
    for command in commands {
        let events = state.handle(command.clone()).unwrap_or_default();
        events.iter().for_each(|event| state.apply(event));
        let again = state.handle(command.clone()).unwrap_or_default();
        prop_assert_eq!(again, vec![], "{:?}", command);
    }
    Ok(())
}

/// Once `status` is one of `ends` it never changes, and nothing happens any more.
fn ends_are_final<A: Aggregate>(run: &Run<A>, ends: &[&str], status: impl Fn(&A) -> Option<&'static str>) -> Result<(), TestCaseError> {
    for (step, events) in run.groups.iter().enumerate() {
        let before = status(&run.states[step]);
        if before.is_some_and(|before| ends.contains(&before)) {
            prop_assert_eq!(status(&run.states[step + 1]), before);
            prop_assert!(events.is_empty());
        }
    }
    Ok(())
}

/// The pieces that the events received and shipped.
fn pieces_in_and_out<'a>(events: impl Iterator<Item = &'a ProductEvent>) -> (i64, i64) {
    let (mut received, mut shipped) = (0, 0);
    for event in events {
        match event {
            ProductEvent::StockReceived(event) => received += event.quantity.get(),
            ProductEvent::StockShipped(event) => shipped += event.quantity.get(),
            ProductEvent::Listed(_)
            | ProductEvent::PriceChanged(_)
            | ProductEvent::StockReserved(_)
            | ProductEvent::ReservationRejected(_)
            | ProductEvent::StockReleased(_)
            | ProductEvent::Withdrawn(_)
            | ProductEvent::SkuForgone(_) => {}
        }
    }
    (received, shipped)
}

/// The settled refunds of a run. Fails where one was booked as earlier builds did.
fn settled<'a>(events: impl Iterator<Item = &'a PaymentEvent>) -> Result<Vec<&'a PaymentRefundSettled>, TestCaseError> {
    let mut settled = vec![];
    for event in events {
        match event {
            PaymentEvent::RefundSettled(event) => settled.push(event),
            PaymentEvent::Refunded(event) => return Err(TestCaseError::fail(format!("{event:?} was booked before it was done"))),
            PaymentEvent::Requested(_)
            | PaymentEvent::Authorised(_)
            | PaymentEvent::Declined(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundRequested(_)
            | PaymentEvent::RefundFailed(_) => {}
        }
    }
    Ok(settled)
}

/// The refunds that events leave waiting for the gateway, by name.
fn waiting<'a>(events: impl Iterator<Item = &'a PaymentEvent>) -> BTreeMap<&'a str, i64> {
    let mut waiting = BTreeMap::new();
    for event in events {
        match event {
            PaymentEvent::RefundRequested(event) => drop(waiting.insert(event.refund_id.as_str(), event.amount.amount)),
            PaymentEvent::RefundSettled(event) => drop(waiting.remove(event.refund_id.as_str())),
            PaymentEvent::RefundFailed(event) => drop(waiting.remove(event.refund_id.as_str())),
            PaymentEvent::Requested(_)
            | PaymentEvent::Authorised(_)
            | PaymentEvent::Declined(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::Refunded(_) => {}
        }
    }
    waiting
}

/// What the lines cost at their agreed prices, in numbers that cannot overflow; none where a price is missing.
fn cost(lines: &[OrderLine]) -> Option<i128> {
    lines.iter().map(|line| Some(i128::from(line.quantity.get()) * i128::from(line.agreed_price.as_ref()?.amount))).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn stock_is_never_negative_and_pieces_are_conserved(commands in product_commands()) {
        let run = Run::<Product>::of(commands);
        for step in 0..run.states.len() {
            let stock = run.states[step].stock();
            let (received, shipped) = pieces_in_and_out(run.groups[..step].iter().flatten());
            prop_assert_eq!(received, stock.on_hand() + shipped);
            prop_assert!((0..=Stock::MAX).contains(&stock.on_hand()));
            prop_assert!((0..=stock.on_hand()).contains(&stock.reserved()));
            prop_assert_eq!(stock.available(), stock.on_hand() - stock.reserved());
        }
    }

    #[test]
    fn every_reservation_request_is_answered_once(commands in product_commands()) {
        let run = Run::<Product>::of(commands);
        let mut answered = BTreeSet::new();
        for event in run.events() {
            match event {
                ProductEvent::StockReserved(event) => prop_assert!(answered.insert((event.order_id, event.line))),
                ProductEvent::ReservationRejected(event) => prop_assert!(answered.insert((event.order_id, event.line))),
                ProductEvent::Listed(_) | ProductEvent::PriceChanged(_) | ProductEvent::StockReceived(_)
                | ProductEvent::StockReleased(_) | ProductEvent::StockShipped(_) | ProductEvent::Withdrawn(_)
                | ProductEvent::SkuForgone(_) => {}
            }
        }
    }

    #[test]
    fn a_withdrawn_product_stays_withdrawn(commands in product_commands()) {
        let run = Run::<Product>::of(commands);
        let withdrawn = |product: &Product| product.status() == Some("withdrawn");
        prop_assert!(run.states.windows(2).all(|pair| !withdrawn(&pair[0]) || withdrawn(&pair[1])));
    }

    #[test]
    fn an_ended_order_stays_ended(commands in order_commands()) {
        let run = Run::<Order>::of(commands);
        ends_are_final(&run, &["confirmed", "cancelled", "expired"], Order::status)?;
    }

    /// Whatever comes when: stock is asked for once, and never for an order that has ended.
    #[test]
    fn an_order_is_accepted_once_and_while_it_is_open(commands in order_commands()) {
        let run = Run::<Order>::of(commands);
        let accepted = |events: &[OrderEvent]| events.iter().any(|event| matches!(event, OrderEvent::Accepted(_)));
        prop_assert!(run.groups.iter().filter(|events| accepted(events)).count() <= 1);
        for (before, events) in run.states.iter().zip(&run.groups) {
            prop_assert!(!accepted(events) || before.open().is_some_and(domain::order::OpenOrder::awaits_customer));
        }
    }

    #[test]
    fn a_customer_is_answered_for_once_for_each_order(commands in user_commands()) {
        let run = Run::<User>::of(commands);
        let mut answered = BTreeSet::new();
        for event in run.events() {
            match event {
                UserEvent::Vouched(event) => prop_assert!(answered.insert(event.order_id)),
                UserEvent::Refused(event) => prop_assert!(answered.insert(event.order_id)),
                UserEvent::Registered(_) | UserEvent::ProfileChanged(_) | UserEvent::Closed(_) | UserEvent::EmailForgone(_) => {}
            }
        }
    }

    #[test]
    fn an_order_is_charged_what_its_lines_cost(commands in order_commands()) {
        let run = Run::<Order>::of(commands);
        let mut wanted = None;
        for event in run.events() {
            match event {
                OrderEvent::Reserved(event) => {
                    prop_assert!(wanted.is_none());
                    prop_assert!((0..=Money::MAX).contains(&event.total.amount));
                    wanted = Some(event.total.clone());
                }
                OrderEvent::Confirmed(event) => {
                    prop_assert_eq!(Some(&event.total), wanted.as_ref());
                    prop_assert_eq!(cost(&event.lines), Some(i128::from(event.total.amount)));
                    let one_currency = |line: &OrderLine| line.agreed_price.as_ref().map(|price| &price.currency) == Some(&event.total.currency);
                    prop_assert!(event.lines.iter().all(one_currency));
                }
                OrderEvent::Placed(_) | OrderEvent::Accepted(_) | OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_)
                | OrderEvent::Cancelled(_) | OrderEvent::Expired(_) => {}
            }
        }
    }

    #[test]
    fn money_is_conserved(commands in payment_commands()) {
        let run = Run::<Payment>::of(commands);
        let asked = run.last().request().map(|request| request.amount.clone());
        for event in run.events() {
            match event {
                PaymentEvent::Requested(event) => prop_assert_eq!(Some(&event.amount), asked.as_ref()),
                PaymentEvent::Captured(event) => prop_assert_eq!(Some(&event.amount), asked.as_ref()),
                PaymentEvent::CaptureFailed(event) => prop_assert_eq!(Some(&event.amount), asked.as_ref()),
                PaymentEvent::Voided(event) => prop_assert_eq!(event.amount.as_ref(), asked.as_ref()),
                PaymentEvent::RefundRequested(event) => prop_assert!(event.amount.amount > 0),
                PaymentEvent::Authorised(_) | PaymentEvent::Declined(_) | PaymentEvent::RefundSettled(_)
                | PaymentEvent::RefundFailed(_) | PaymentEvent::Refunded(_) => {}
            }
        }
        let settled = settled(run.events())?;
        let sum: i64 = settled.iter().map(|refund| refund.amount.amount).sum();
        prop_assert_eq!(settled.last().map_or(0, |refund| refund.refunded.amount), sum);
        prop_assert_eq!(run.last().refunds().map_or(0, |refunds| refunds.refunded()), sum);
        prop_assert!(sum == 0 || run.last().status() == Some("captured"));
        let names: BTreeSet<_> = settled.iter().map(|refund| &refund.refund_id).collect();
        prop_assert_eq!(names.len(), settled.len());
    }

    #[test]
    fn no_refund_is_requested_beyond_what_is_left_of_the_captured(commands in payment_commands()) {
        let run = Run::<Payment>::of(commands);
        for (step, state) in run.states.iter().enumerate() {
            let Some((request, refunds)) = state.request().zip(state.refunds()) else { continue };
            let reserved: i64 = waiting(run.groups[..step].iter().flatten()).values().sum();
            prop_assert_eq!(refunds.reserved(), reserved);
            prop_assert!(refunds.refunded() >= 0 && reserved >= 0);
            let requests = run.groups.get(step).into_iter().flatten().any(|event| matches!(event, PaymentEvent::RefundRequested(_)));
            let after = run.states.get(step + 1).and_then(Payment::refunds).filter(|_| requests);
            prop_assert!(after.is_none_or(|after| after.refunded() + after.reserved() <= request.amount.amount));
        }
    }

    #[test]
    fn what_the_gateway_may_be_asked_for_can_be_recorded(commands in payment_commands(), refund_id in "[a-h]|void") {
        let run = Run::<Payment>::of(commands);
        let records = [
            (PaymentCommand::MayAuthorise, PaymentCommand::RecordAuthorisation { reference: "a".into() }),
            (PaymentCommand::MayCapture, PaymentCommand::RecordCapture),
            (PaymentCommand::MayRefund { refund_id: refund_id.clone() }, PaymentCommand::RecordRefund { refund_id }),
        ];
        for (question, record) in records {
            for state in &run.states {
                match state.handle(question.clone()) {
                    Ok(events) => {
                        prop_assert_eq!(events, vec![]);
                        prop_assert_eq!(state.handle(record.clone()).map(|events| events.len()), Ok(1));
                    }
                    // Others have its amount by now. Where the gateway has paid it all the same, that is booked.
                    Err(PaymentRefusal::RefundExceedsCaptured { .. }) => {}
                    Err(_) => prop_assert_eq!(state.handle(record.clone()).unwrap_or_default(), vec![]),
                }
            }
        }
    }

    #[test]
    fn a_declined_or_voided_payment_stays_so(commands in payment_commands()) {
        let run = Run::<Payment>::of(commands);
        ends_are_final(&run, &["declined", "voided"], Payment::status)?;
    }

    #[test]
    fn a_notification_ends_once(commands in notification_commands()) {
        let run = Run::<Notification>::of(commands);
        ends_are_final(&run, &["delivered", "failed"], Notification::status)?;
    }

    #[test]
    fn a_closed_account_stays_closed(commands in user_commands()) {
        let run = Run::<User>::of(commands);
        let closed = run.states.iter().position(User::is_closed).unwrap_or(run.states.len());
        prop_assert!(run.states[closed..].iter().all(User::is_closed));
        // It still answers for orders, with no.
        let later = run.groups.iter().skip(closed).flatten();
        prop_assert!(later.into_iter().all(|event| matches!(event, UserEvent::Refused(_))));
    }

    #[test]
    fn a_reservation_is_numbered_by_the_version_at_which_it_was_made(commands in reservation_commands()) {
        let run = Run::<Reservation>::of(commands);
        let mut version = 0;
        for (group, state) in run.groups.iter().zip(&run.states[1..]) {
            version += i64::try_from(group.len()).unwrap();
            let made = group.iter().any(|event| matches!(event, ReservationEvent::Made(_)));
            prop_assert!(!made || state.held().map(|held| held.number) == Some(version));
            // Whoever holds it and asks is answered the version.
            if let Some(held) = state.held() {
                let again = ReservationCommand::Reserve { kind: Kind::Sku, holder: held.holder, now: Timestamp(0) };
                prop_assert!(state.handle(again).is_ok_and(|events| events.len() == 1 || held.number == version));
            }
        }
    }

    #[test]
    fn the_fold_of_the_events_is_the_state(
        users in user_commands(), products in product_commands(), orders in order_commands(),
        payments in payment_commands(), notifications in notification_commands(), reservations in reservation_commands(),
    ) {
        fold_is_state::<User>(users)?;
        fold_is_state::<Product>(products)?;
        fold_is_state::<Order>(orders)?;
        fold_is_state::<Payment>(payments)?;
        fold_is_state::<Notification>(notifications)?;
        fold_is_state::<Reservation>(reservations)?;
    }

    #[test]
    fn a_command_repeated_at_once_makes_no_event(
        users in user_commands(), products in product_commands(), orders in order_commands(),
        payments in payment_commands(), notifications in notification_commands(), reservations in reservation_commands(),
    ) {
        // Receiving goods is the one command that means something again each time; its retries are known by their command id.
        let products = products.into_iter().filter(|command| !matches!(command, ProductCommand::ReceiveStock { .. })).collect();
        repeats_make_nothing::<User>(users)?;
        repeats_make_nothing::<Product>(products)?;
        repeats_make_nothing::<Order>(orders)?;
        repeats_make_nothing::<Payment>(payments)?;
        repeats_make_nothing::<Notification>(notifications)?;
        repeats_make_nothing::<Reservation>(reservations)?;
    }
}
