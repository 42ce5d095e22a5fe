//! The headers and answers that any POST has, for the description (OpenAPI).

use crate::{Problem, answer::Done};
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses,
    openapi::{Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, schema::Type},
};

/// The answers that any POST may give besides success.
pub struct Problems;

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
            ("503", "Not done; the same request may be sent again after `Retry-After`"),
            ("504", "Perhaps done; the same request with the same key tells"),
        ];
        says.into_iter().map(|(status, says)| (status.to_owned(), RefOr::T(problem(says)))).collect()
    }
}

/// A problem as an answer of a route.
pub(crate) fn problem(says: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new().description(says).content("application/problem+json", Content::new(Some(schema))).build()
}

/// 201 with the new aggregate's id, version and location.
pub struct Made;

impl IntoResponses for Made {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let location = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).build();
        let response = ResponseBuilder::from(success("Made")).header("Location", location).build();
        [("201".to_owned(), RefOr::T(response))].into_iter().chain(Problems::responses()).collect()
    }
}

/// 200: done.
pub struct Changed;

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
#[openapi(components(schemas(Problem, crate::FieldError, Done)))]
pub(crate) struct Answers;

/// The headers that every POST takes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only described, never made")]
pub struct PostHeaders {
    /// Names the command: a repeat with the same key gets the first answer again.
    #[param(required = false, rename = "Idempotency-Key", min_length = 1, max_length = 200, pattern = "^[!-~]+$")]
    idempotency_key: String,
    /// Who asks, for the audit; each operation says what that allows.
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
