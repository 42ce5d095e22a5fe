//! Payments: the money for orders, and the gateway that moves it.

mod commands;
pub mod effects;
pub mod gateway;
mod queries;
pub mod reactors;
pub mod views;

use crate::Settings;
use consumers::{Destination, EffectKind, Perform};
use domain::payment::Payment;
use std::sync::Arc;
use system::{Failure, Service, Surroundings};
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn service(settings: &Settings) -> Service {
    let (url, token) = (settings.gateway_url.clone(), settings.gateway_token.clone());
    let commands = |aggregates: &event_store::Aggregates| aggregates.typed::<Payment>().map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<Payment>()
        .view::<views::Payments>()
        .reactors(reactors::reactors())
        .effects(move |surroundings| kinds(url.as_deref(), token.as_deref(), surroundings))
        .commands(commands)
        .queries(queries::queries)
}

/// The kinds of effects, which all go to the one gateway. Where none is named they wait: the shop takes orders all the same, and what was
/// paid by card is settled once a gateway is set.
fn kinds(url: Option<&str>, token: Option<&str>, surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
    let performer: Arc<dyn Perform> = match url {
        Some(url) => {
            let gateway = gateway::HttpGateway::new(url).map_err(Failure::usage)?.with_token(token);
            Arc::new(effects::Payments { gateway: Arc::new(gateway) })
        }
        None => {
            tracing::warn!("{}; until then payments wait", effects::NO_GATEWAY);
            Arc::new(effects::NoGateway)
        }
    };
    let destination = Arc::new(Destination::new("the payment gateway", surroundings.destination));
    let kind = EffectKind { performer, destination, patience: surroundings.patience };
    Ok([effects::AUTHORISE, effects::CAPTURE, effects::VOID, effects::REFUND].map(|name| (name, kind.clone())).into())
}
