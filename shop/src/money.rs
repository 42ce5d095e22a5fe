//! Money and pieces in a request, parsed into the domain's values.

use command_api::Checks;
use domain::{Currency, Money, Quantity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Money in a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneyBody {
    /// Minor units: 1250 is 12.50.
    #[schema(example = 1250, minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

/// A number of pieces.
pub(crate) fn quantity(checks: &mut Checks, field: &str, pieces: i64) -> Option<Quantity> {
    checks.keep(field, Quantity::new(pieces))
}

/// An amount of money.
pub(crate) fn money(checks: &mut Checks, field: &str, money: &MoneyBody) -> Option<Money> {
    let currency: Option<Currency> = checks.text(&format!("{field}.currency"), &money.currency);
    let amount = checks.keep(&format!("{field}.amount"), Money::new(money.amount, currency.clone().unwrap_or_else(placeholder)));
    currency.and(amount)
}

/// Stands in for a wrong currency, so that the amount is checked all the same.
fn placeholder() -> Currency {
    "XXX".parse().expect("three capital letters")
}
