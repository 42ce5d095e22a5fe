//! The form in which the API shows a row: its fields as JSON, its timestamps as RFC 3339.

use crate::table::{Kind, Table};
use event_sourcing::Timestamp;
use serde_json::Value;

/// A moment as RFC 3339, always with three decimals so that the texts sort as the moments do; in milliseconds if its year has more than
/// four digits.
pub fn rfc3339(moment: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(moment.0).map_or_else(|_| moment.0.to_string(), |moment| format!("{moment:.3}"))
}

/// A row as JSON.
///
/// # Errors
/// The row has no JSON form: it holds a map whose keys are not strings, say.
pub fn shown<T: Table>(row: &T) -> Result<Value, serde_json::Error> {
    let mut shown = serde_json::to_value(row)?;
    for column in T::SPEC.columns.iter().filter(|column| column.kind == Kind::Timestamp) {
        if let Some(millis) = shown[column.name].as_i64() {
            shown[column.name] = rfc3339(Timestamp(millis)).into();
        }
    }
    Ok(shown)
}
