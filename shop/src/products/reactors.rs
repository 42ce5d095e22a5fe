//! The reactors of products, by which stock follows orders: reserve when one is accepted, release when it is off, ship when it is paid.

use consumers::{Reaction, Reactor};
use domain::{
    OrderId,
    order::{OrderEvent, OrderLine},
    product::{Product, ProductCommand},
};
use event_sourcing::Recorded;

/// The product service's reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<OrderEvent>(on_order)]
}

fn on_order(event: &Recorded<OrderEvent>) -> Vec<Reaction> {
    let order = OrderId(event.aggregate_id);
    match &event.event {
        OrderEvent::Placed(placed) if placed.awaits_customer => Vec::new(),
        // An order of an earlier build, which nobody vouches for.
        OrderEvent::Placed(placed) => reserve(order, &placed.lines),
        OrderEvent::Accepted(accepted) => reserve(order, &accepted.lines),
        OrderEvent::Cancelled(cancelled) => each("release-stock", order, &cancelled.lines, release),
        OrderEvent::Expired(expired) => each("release-stock", order, &expired.lines, release),
        OrderEvent::Confirmed(confirmed) => each("ship-stock", order, &confirmed.lines, ship),
        OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) | OrderEvent::Reserved(_) => Vec::new(),
    }
}

fn reserve(order_id: OrderId, lines: &[OrderLine]) -> Vec<Reaction> {
    let wish = |(line, wanted): (i32, &OrderLine)| {
        let OrderLine { product_id, quantity, agreed_price } = wanted.clone();
        let command = ProductCommand::Reserve { order_id, line, quantity, agreed_price };
        Reaction::command::<Product>("reserve-stock", product_id.0, &command)
    };
    (0..).zip(lines).map(wish).collect()
}

fn each(reactor: &'static str, order: OrderId, lines: &[OrderLine], command: fn(OrderId, i32) -> ProductCommand) -> Vec<Reaction> {
    let ask = |(line, wanted): (i32, &OrderLine)| Reaction::command::<Product>(reactor, wanted.product_id.0, &command(order, line));
    (0..).zip(lines).map(ask).collect()
}

fn release(order_id: OrderId, line: i32) -> ProductCommand {
    ProductCommand::Release { order_id, line }
}

fn ship(order_id: OrderId, line: i32) -> ProductCommand {
    ProductCommand::Ship { order_id, line }
}
