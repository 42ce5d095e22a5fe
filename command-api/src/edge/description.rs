//! `/openapi.json`: the descriptions that the routes give of themselves, and the answers that the edge may give in their place.

use crate::answers::{Answers, problem};
use utoipa::{
    OpenApi,
    openapi::{OpenApi as Document, path::Operation},
};

/// The answers that the edge may give in place of any route.
const EDGE_ANSWERS: [(&str, &str); 2] =
    [("500", "An unforeseen error, which was logged"), ("503", "Not done; `Retry-After` says when to ask again")];

/// And the one that it may give in place of a POST.
const UNKNOWN: (&str, &str) = ("504", "Perhaps done; the same request tells");

#[derive(OpenApi)]
#[openapi(info(
    title = "Daybook",
    description = "Commands append facts; everything else is a fold over them. Every error is a problem (RFC 9457). \
    An answer to a POST names, in `Daybook-Position`, what a GET may ask its view to have applied, in `Daybook-At-Least`."
))]
struct Heading;

/// Completes the description of routes that described themselves.
pub(super) fn complete(mut document: Document) -> Document {
    document.info = Heading::openapi().info;
    document.merge(Answers::openapi());
    for item in document.paths.paths.values_mut() {
        [&mut item.get, &mut item.post].into_iter().flatten().for_each(|operation| add(operation, &EDGE_ANSWERS));
        item.post.iter_mut().for_each(|operation| add(operation, &[UNKNOWN]));
    }
    document
}

fn add(operation: &mut Operation, answers: &[(&str, &str)]) {
    for (status, says) in answers {
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| problem(says).into());
    }
}
