//! Parsing a request's plain fields into the domain's values, so that all that is wrong is said at once.

use crate::{Problem, problem::FieldError};
use domain::{Currency, Invalid, Money, Quantity};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
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

/// The most fields that one answer names, so that an answer is never larger than what was sent.
const MOST_NAMED: usize = 100;

/// Collects what is wrong with a request.
#[derive(Default)]
pub(crate) struct Checks(Vec<FieldError>);

impl Checks {
    /// Notes what is wrong with a field.
    pub fn wrong(&mut self, field: &str, rule: impl Into<String>) {
        if self.0.len() < MOST_NAMED {
            self.0.push(FieldError { field: field.to_owned(), rule: rule.into() });
        }
    }

    fn keep<T>(&mut self, field: &str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.wrong(field, invalid.to_string())).ok()
    }

    /// A value that is parsed from text.
    pub fn text<T: FromStr<Err = Invalid>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.keep(field, text.parse())
    }

    /// The same where it may be left out.
    pub fn maybe<T: FromStr<Err = Invalid>>(&mut self, field: &str, text: Option<&str>) -> Option<T> {
        text.and_then(|text| self.text(field, text))
    }

    /// A number of pieces.
    pub fn quantity(&mut self, field: &str, pieces: i64) -> Option<Quantity> {
        self.keep(field, Quantity::new(pieces))
    }

    /// An amount of money.
    pub fn money(&mut self, field: &str, money: &MoneyBody) -> Option<Money> {
        let currency: Option<Currency> = self.text(&format!("{field}.currency"), &money.currency);
        let amount = self.keep(&format!("{field}.amount"), Money::new(money.amount, currency.clone().unwrap_or_else(placeholder)));
        currency.and(amount)
    }

    /// An identity, in the one spelling that we write ourselves: hyphenated.
    pub fn id<T: FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        let parsed = Some(text).filter(|text| text.len() == 36).and_then(|text| text.parse().ok());
        if parsed.is_none() {
            self.wrong(field, "must be a UUID such as 0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f");
        }
        parsed
    }

    /// What was parsed, when nothing was wrong.
    pub fn done<T>(self, parsed: Option<T>) -> Result<T, Problem> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            Some(_) | None => Err(Problem::invalid(self.0)),
        }
    }
}

/// Only there so that the amount is judged even when the currency is wrong.
fn placeholder() -> Currency {
    "XXX".parse().expect("three capital letters")
}
