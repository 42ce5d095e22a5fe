//! Parses a request's plain fields into the domain's values, and collects all errors, so that one answer names them.

use crate::{Problem, problem::FieldError};
use std::{fmt::Display, str::FromStr};

/// The most fields that one answer names, so that an answer is never larger than what was sent.
const MOST_NAMED: usize = 100;

/// Collects the errors in a request.
#[derive(Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Notes the rule that a field breaks.
    pub fn wrong(&mut self, field: &str, rule: impl Into<String>) {
        if self.0.len() < MOST_NAMED {
            self.0.push(FieldError { field: field.to_owned(), rule: rule.into() });
        }
    }

    /// Answers a value that was parsed, or notes why it could not be.
    pub fn keep<T>(&mut self, field: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|invalid| self.wrong(field, invalid.to_string())).ok()
    }

    /// Parses a value from text; its error names the rule and its bounds.
    pub fn text<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.keep(field, text.parse())
    }

    /// The same for a field that may be left out.
    pub fn maybe<T: FromStr<Err: Display>>(&mut self, field: &str, text: Option<&str>) -> Option<T> {
        text.and_then(|text| self.text(field, text))
    }

    /// Parses an id in the only spelling that this system writes: hyphenated.
    pub fn id<T: FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        let parsed = Some(text).filter(|text| text.len() == 36).and_then(|text| text.parse().ok());
        if parsed.is_none() {
            self.wrong(field, "must be a UUID such as 0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f");
        }
        parsed
    }

    /// Answers the parsed value when there was no error.
    ///
    /// # Errors
    /// 400, with all errors, field by field.
    pub fn done<T>(self, parsed: Option<T>) -> Result<T, Problem> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            Some(_) | None => Err(Problem::invalid(self.0)),
        }
    }
}
