//! Stock follows orders: reserve when one is placed, release when it is off, ship when it is paid.

use super::{Reaction, order_of};
use crate::commands::Command;
use domain::{
    OrderId,
    order::{OrderEvent, OrderLine},
    product::ProductCommand,
};
use event_store::Recorded;
use schemas::AnyEvent;

pub(super) fn react(event: &Recorded<AnyEvent>) -> Vec<Reaction> {
    let order = order_of(event);
    match &event.event {
        AnyEvent::Order(happened) => match happened {
            OrderEvent::Placed(placed) => vec![Reaction::Commands("reserve-stock", reserve(order, &placed.lines))],
            OrderEvent::Cancelled(cancelled) => vec![Reaction::Commands("release-stock", each(order, &cancelled.lines, release))],
            OrderEvent::Expired(expired) => vec![Reaction::Commands("release-stock", each(order, &expired.lines, release))],
            OrderEvent::Confirmed(confirmed) => vec![Reaction::Commands("ship-stock", each(order, &confirmed.lines, ship))],
            OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) | OrderEvent::Reserved(_) => Vec::new(),
        },
        AnyEvent::User(_) | AnyEvent::Product(_) | AnyEvent::Payment(_) | AnyEvent::Notification(_) => Vec::new(),
    }
}

fn reserve(order_id: OrderId, lines: &[OrderLine]) -> Vec<Command> {
    let wish = |(line, wanted): (i32, &OrderLine)| {
        let OrderLine { product_id, quantity, agreed_price } = wanted.clone();
        Command::Product(product_id, ProductCommand::Reserve { order_id, line, quantity, agreed_price })
    };
    (0..).zip(lines).map(wish).collect()
}

fn each(order: OrderId, lines: &[OrderLine], command: fn(OrderId, i32) -> ProductCommand) -> Vec<Command> {
    (0..).zip(lines).map(|(line, wanted)| Command::Product(wanted.product_id, command(order, line))).collect()
}

fn release(order_id: OrderId, line: i32) -> ProductCommand {
    ProductCommand::Release { order_id, line }
}

fn ship(order_id: OrderId, line: i32) -> ProductCommand {
    ProductCommand::Ship { order_id, line }
}
