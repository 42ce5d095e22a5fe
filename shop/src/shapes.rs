//! The form of the texts in a request, for the description alone; the domain checks them.
#![allow(dead_code, reason = "only described, never made")]

use utoipa::ToSchema;

/// A line of text for people: at least one character that can be seen, no control character, none that turns the direction of the line
/// around. Compared and kept in NFC.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 200,
    pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]*[^\\s\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8\u{16fe4}\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}][^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]*$"
)]
pub(crate) struct LineOfText(String);

/// An address that mail can be sent to, of at most 254 bytes, 64 of them before the `@`. A domain in another script may also be given as it
/// is read (`ada@bücher.example`); it is kept in its ASCII form.
#[derive(ToSchema)]
#[schema(
    max_length = 254,
    example = "ada@example.com",
    pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*@([A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?$"
)]
pub(crate) struct EmailAddress(String);

/// A stock-keeping unit: letters, digits, dots, dashes, underscores and inner spaces.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, example = "85123A", pattern = r"^[\p{L}\p{N}._\-]([\p{L}\p{N}._ \-]*[\p{L}\p{N}._\-])?$")]
pub(crate) struct SkuCode(String);
