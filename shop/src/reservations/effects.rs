//! Reserves what was in use before there were reservations.

use super::unique::{Reserving, Unique};
use consumers::{Effect, Fault, NotNow, Outcome, Perform};
use domain::{
    ReservationId,
    product::Product,
    reservation::{Holder, Kind},
    user::User,
};
use event_sourcing::{Cause, Timestamp};
use event_store::{Aggregates, CommandMeta};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kind of the effect, and the name of the reactor that asks for it.
pub const RESERVE_IN_USE: &str = "reserve-in-use";

/// How often another holder is asked to forgo before the effect is tried again later.
const ROUNDS: usize = 4;

/// The payload: who uses what the effect's target is the reservation of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Use {
    kind: Kind,
    holder: Uuid,
}

/// Performs the effect.
pub struct InUse {
    users: Option<Unique<User>>,
    products: Option<Unique<Product>>,
}

impl InUse {
    /// By these aggregates.
    pub fn of(aggregates: &Aggregates) -> Self {
        Self { users: Unique::of(aggregates), products: Unique::of(aggregates) }
    }

    /// The effect of reserving for a holder what it uses.
    pub fn effect(kind: Kind, holder: Uuid, reservation: ReservationId) -> Effect {
        Effect::new(RESERVE_IN_USE, reservation.0).keyed(&holder.to_string()).with(&Use { kind, holder })
    }
}

#[async_trait::async_trait]
impl Perform for InUse {
    async fn perform(&self, effect: &Effect) -> Outcome {
        let Use { kind, holder } = match serde_json::from_value(effect.payload.clone()) {
            Ok(uses) => uses,
            Err(error) => return not_now(Fault::Effect, format!("its payload cannot be read: {error}")),
        };
        match kind {
            Kind::Email => reserve(self.users.as_ref(), holder, ReservationId(effect.target)).await,
            Kind::Sku => reserve(self.products.as_ref(), holder, ReservationId(effect.target)).await,
        }
    }
}

async fn reserve<A: Holder>(unique: Option<&Unique<A>>, holder: Uuid, reservation: ReservationId) -> Outcome {
    let Some(unique) = unique else { return not_now(Fault::Effect, format!("{} are not of this system", A::NAME)) };
    let meta = meta();
    for _ in 0..ROUNDS {
        match unique.reserve_in_use(holder, reservation, &meta).await {
            Reserving::Reserved(_) | Reserving::Unused => return Outcome::Done(None),
            Reserving::Taken(_) => {
                tracing::warn!(%holder, %reservation, kind = A::KIND.as_str(), "two use the same: the other keeps the reservation");
                return Outcome::Done(None);
            }
            Reserving::Again => {}
            Reserving::Busy(reason) => return not_now(Fault::Ours, reason),
            Reserving::Failed(error) => return not_now(Fault::Ours, error.to_string()),
        }
    }
    not_now(Fault::Ours, "others reserve the same just now".to_owned())
}

fn not_now(fault: Fault, reason: String) -> Outcome {
    Outcome::NotNow(NotNow::new(fault, reason))
}

fn meta() -> CommandMeta {
    let (command_id, time) = (Uuid::now_v7(), Timestamp(jiff::Timestamp::now().as_millisecond()));
    let actor = format!("reactor/{RESERVE_IN_USE}");
    CommandMeta {
        command_id,
        time,
        expected_version: None,
        only_of: None,
        cause: Cause { actor, correlation_id: command_id.to_string(), causation_id: None, traceparent: None },
    }
}
