//! The POST side of the shop: a file for each service.

mod orders;
mod payments;
mod products;
mod users;

use crate::{Problem, answer::Done};
use domain::{order::Order, payment::Payment, product::Product, user::User};
use event_store::Execute;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use utoipa::{
    IntoResponses,
    openapi::{Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, schema::Type},
};
use utoipa_axum::router::OpenApiRouter;

/// What the routes are told.
#[derive(Clone, Copy, Debug)]
pub struct ApiConfig {
    /// How long an order may take from being placed to being confirmed, before it expires.
    pub order_deadline: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { order_deadline: Duration::from_secs(15 * 60) }
    }
}

/// The routes of the services that this process takes commands for.
#[derive(Default)]
pub struct Api {
    config: ApiConfig,
    users: Option<Arc<dyn Execute<User>>>,
    products: Option<Arc<dyn Execute<Product>>>,
    orders: Option<Arc<dyn Execute<Order>>>,
    payments: Option<Arc<dyn Execute<Payment>>>,
}

impl Api {
    /// No routes yet.
    pub fn new(config: ApiConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// With the routes of users.
    pub fn users(self, execute: Arc<dyn Execute<User>>) -> Self {
        Self { users: Some(execute), ..self }
    }

    /// With the routes of products.
    pub fn products(self, execute: Arc<dyn Execute<Product>>) -> Self {
        Self { products: Some(execute), ..self }
    }

    /// With the routes of orders.
    pub fn orders(self, execute: Arc<dyn Execute<Order>>) -> Self {
        Self { orders: Some(execute), ..self }
    }

    /// With the routes of payments.
    pub fn payments(self, execute: Arc<dyn Execute<Payment>>) -> Self {
        Self { payments: Some(execute), ..self }
    }

    /// The routes, with their description.
    pub fn routes(self) -> OpenApiRouter {
        let mut routes = OpenApiRouter::new();
        if let Some(execute) = self.users {
            routes = routes.merge(users::routes(execute));
        }
        if let Some(execute) = self.products {
            routes = routes.merge(products::routes(execute));
        }
        if let Some(execute) = self.orders {
            routes = routes.merge(orders::routes(execute, self.config));
        }
        if let Some(execute) = self.payments {
            routes = routes.merge(payments::routes(execute));
        }
        routes
    }
}

/// What any POST may answer besides success.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let says = [
            ("400", "The request breaks a rule that `errors` names"),
            ("403", "The caller may not say this"),
            ("404", "There is no such thing"),
            ("405", "The path knows other methods only"),
            ("408", "The request took too long to arrive"),
            ("412", "`If-Match` names another version than there is"),
            ("413", "The body is larger than this server accepts"),
            ("415", "The body is not declared as JSON"),
            ("422", "A business rule said no, or the idempotency key was used for another command"),
            ("503", "Not now; the same request with the same key may be sent again"),
        ];
        says.into_iter().map(|(status, says)| (status.to_owned(), RefOr::T(problem(says)))).collect()
    }
}

/// A problem as an answer of a route.
pub(crate) fn problem(says: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new().description(says).content("application/problem+json", Content::new(Some(schema))).build()
}

/// 201 with what was made, and where.
pub(crate) struct Made;

impl IntoResponses for Made {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let location = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).build();
        let response = ResponseBuilder::from(success("Made")).header("Location", location).build();
        [("201".to_owned(), RefOr::T(response))].into_iter().chain(Problems::responses()).collect()
    }
}

/// 200: done.
pub(crate) struct Changed;

impl IntoResponses for Changed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [("200".to_owned(), RefOr::T(success("Done")))].into_iter().chain(Problems::responses()).collect()
    }
}

fn success(says: &str) -> Response {
    let text = || HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).build();
    ResponseBuilder::new()
        .description(says)
        .content("application/json", Content::new(Some(Ref::from_schema_name("Done"))))
        .header("ETag", text())
        .header("Daybook-Position", text())
        .header("Idempotency-Replayed", text())
        .header("traceparent", text())
        .build()
}

/// The schemas that the answers above refer to.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem, crate::FieldError, Done, crate::MoneyBody)))]
pub(crate) struct Answers;

/// The headers that every POST takes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only described, never made")]
pub(crate) struct PostHeaders {
    /// Names the command: a repeat with the same key gets the first answer again.
    #[param(required = false, rename = "Idempotency-Key", min_length = 1, max_length = 200, pattern = "^[!-~]+$")]
    idempotency_key: String,
    /// Who asks, for the audit. Those whose name begins with `merchant/` may state agreed prices.
    #[param(required = false, rename = "Daybook-Actor", min_length = 1, max_length = 100, pattern = "^[!-~]+$")]
    daybook_actor: String,
    /// The version that the caller has seen: `"3"`; the command is not done (412) when it is another. `*` asks for no version.
    #[param(required = false, rename = "If-Match", example = "*", pattern = r#"^(\*|"(0|[1-9][0-9]{0,18})")$"#)]
    if_match: String,
    /// What this request belongs to, for the audit; the trace's id where it is left out.
    #[param(required = false, rename = "Daybook-Correlation", min_length = 1, max_length = 100, pattern = "^[!-~]+$")]
    daybook_correlation: String,
    /// W3C trace context; one that is malformed is ignored, and a new one is begun.
    #[param(required = false, rename = "traceparent", example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    traceparent: String,
}
