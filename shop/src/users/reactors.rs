//! The reactor of users: an order that is placed asks its customer's account, before anything is reserved or charged.

use consumers::{Reaction, Reactor};
use domain::{
    OrderId,
    order::{OrderEvent, OrderPlaced},
    user::{User, UserCommand},
};
use event_sourcing::Recorded;

/// The user service's reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<OrderEvent>(on_order)]
}

fn on_order(event: &Recorded<OrderEvent>) -> Vec<Reaction> {
    match &event.event {
        OrderEvent::Placed(placed) => vouch_for(OrderId(event.aggregate_id), placed),
        OrderEvent::Accepted(_)
        | OrderEvent::LineReserved(_)
        | OrderEvent::LineRejected(_)
        | OrderEvent::Reserved(_)
        | OrderEvent::Confirmed(_)
        | OrderEvent::Cancelled(_)
        | OrderEvent::Expired(_) => Vec::new(),
    }
}

/// This reader meets an old log at its beginning. Nobody waits for an answer about an order of an earlier build, so none is asked for.
fn vouch_for(order_id: OrderId, placed: &OrderPlaced) -> Vec<Reaction> {
    let ask = || Reaction::command::<User>("vouch-for-customer", placed.user_id.0, &UserCommand::VouchFor { order_id });
    placed.awaits_customer.then(ask).into_iter().collect()
}
