//! How a row is shown: as it is, with its moments as RFC 3339.

use super::asked::Asked;
use crate::table::{Kind, Table};
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::Timestamp;
use serde_json::Value;

/// Money, in the minor units of its currency.
#[derive(utoipa::ToSchema)]
#[schema(as = Money)]
#[expect(dead_code, reason = "it only describes what domain::Money looks like")]
pub(crate) struct MoneyShape {
    /// Minor units: 1250 is £12.50.
    amount: i64,
    /// ISO 4217.
    currency: String,
}

/// Headers that every read takes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes what the handlers read")]
pub(super) struct ReadHeaders {
    /// Positions, comma separated, such as `orders/3/1234`: the answer waits until the view has applied them.
    #[param(rename = "Daybook-At-Least")]
    at_least: Option<String>,
}

/// A moment as RFC 3339, always with three decimals so that the texts sort as the moments do; as milliseconds where it has more
/// than four digits of years.
pub(super) fn rfc3339(moment: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(moment.0).map_or_else(|_| moment.0.to_string(), |moment| format!("{moment:.3}"))
}

/// A row as JSON.
pub(crate) fn shown<T: Table>(row: &T) -> Result<Value, serde_json::Error> {
    let mut shown = serde_json::to_value(row)?;
    for column in T::SPEC.columns.iter().filter(|column| column.kind == Kind::Timestamp) {
        if let Some(millis) = shown[column.name].as_i64() {
            shown[column.name] = rfc3339(Timestamp(millis)).into();
        }
    }
    Ok(shown)
}

/// A row with its version as its tag, or 304 where the caller has that already.
pub(super) fn tagged(asked: &Asked, version: u64, body: Value) -> Response {
    let tag = format!("\"{version}\"");
    let same = |given: &String| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag;
    if asked.if_none_match.iter().any(same) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag)], Json(body)).into_response()
}
