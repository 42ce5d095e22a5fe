//! The form of the texts in a request, for the description alone; the domain checks them.
#![allow(dead_code, reason = "only described, never made")]

use utoipa::ToSchema;

/// A line of text for people: not blank, no control characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
pub(crate) struct LineOfText(String);

/// An address for electronic mail, of at most 254 bytes.
#[derive(ToSchema)]
#[schema(
    max_length = 254,
    example = "ada@example.com",
    pattern = r"^[^\s\x00-\x1f\x7f-\x9f@]+@[^\s\x00-\x1f\x7f-\x9f@.]+(\.[^\s\x00-\x1f\x7f-\x9f@.]+)*$"
)]
pub(crate) struct EmailAddress(String);

/// A stock-keeping unit: letters, digits, dots, dashes, underscores and inner spaces.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, example = "85123A", pattern = r"^[\p{L}\p{N}._\-]([\p{L}\p{N}._ \-]*[\p{L}\p{N}._\-])?$")]
pub(crate) struct SkuCode(String);
