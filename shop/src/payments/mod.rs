//! Payments: the money for orders, and the gateway that moves it.

mod commands;
pub mod effects;
pub mod gateway;
mod queries;
pub mod reactors;
pub mod views;

use crate::Settings;
use consumers::{Destination, EffectKind};
use domain::payment::Payment;
use std::sync::Arc;
use system::{Failure, Service, Surroundings};
use utoipa_axum::router::OpenApiRouter;

/// The gateway's address when no setting names one; nothing connects to it before the first payment.
const NOWHERE: &str = "http://127.0.0.1:9300";

pub(crate) fn service(settings: &Settings) -> Service {
    let url = settings.gateway_url.clone().unwrap_or_else(|| NOWHERE.to_owned());
    let commands = |aggregates: &event_store::Aggregates| aggregates.typed::<Payment>().map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<Payment>()
        .view::<views::Payments>()
        .reactors(reactors::reactors())
        .effects(move |surroundings| kinds(&url, surroundings))
        .commands(commands)
        .queries(queries::queries)
}

/// The kinds of effects, which all go to the one gateway.
fn kinds(url: &str, surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
    let gateway = Arc::new(gateway::HttpGateway::new(url).map_err(Failure::usage)?);
    let performer = Arc::new(effects::Payments { gateway });
    let destination = Arc::new(Destination::new("the payment gateway", surroundings.destination));
    let kind = EffectKind { performer, destination, patience: surroundings.patience };
    Ok([effects::AUTHORISE, effects::CAPTURE, effects::VOID, effects::REFUND].map(|name| (name, kind.clone())).into())
}
