//! Parses a request's path segments and query parameters, and reports all faults at once.

use super::{at_least, state::ReadState};
use crate::{AsOf, FieldError, Filter, Problem, Table};
use access::Grant;
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{Uri, request::Parts},
};
use event_sourcing::{Position, Timestamp};
use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::HashMap, str::FromStr};
use uuid::Uuid;

const UUID_RULE: &str = "must be a UUID such as 018f2f3a-7c1e-7b6a-9d53-0f4c8c7f2a11";
const MOMENT_RULE: &str = "must be a date such as 2026-01-31 or an RFC 3339 time such as 2026-01-31T12:00:00Z";

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The view as it is: some tens of milliseconds behind, as a rule.
    Eventual,
    /// The answer shows everything that was acknowledged before the request: the owner of the aggregate is asked first.
    Strong,
}

/// A request's path segments, query parameters and tags. As an axum extractor it also waits until the views have applied the positions in
/// `Daybook-At-Least`.
pub struct Asked {
    pub(super) uri: Uri,
    if_none_match: Vec<String>,
    segments: HashMap<String, String>,
    parameters: Vec<(String, String)>,
    errors: Vec<FieldError>,
    /// Whether the answer must show what the caller knows to have happened.
    demanding: bool,
    /// The account whose rows alone the caller may see; none where they may see everybody's.
    only_of: Option<Uuid>,
}

/// Parses a request once the views have applied the positions that it names.
impl FromRequestParts<ReadState> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, read: &ReadState) -> Result<Self, Problem> {
        let demanding = at_least::reached(read, &parts.headers).await?;
        Ok(Self { demanding, ..Self::of(parts).await? })
    }
}

impl Asked {
    /// Parses a request without waiting for a position.
    pub(super) async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let segments = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
        let Path(segments) = segments.map_err(|rejection| Problem::field("path", rejection.body_text()))?;
        let parameters = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(parameters) = parameters.map_err(|rejection| Problem::field("query", rejection.body_text()))?;
        let uri = parts.uri.clone();
        let tags = parts.headers.get_all("if-none-match").iter().filter_map(|value| value.to_str().ok());
        let if_none_match = tags.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().to_owned()).collect();
        // Without an edge before it, as in a test of a handler, a request has no grant and nobody is asked.
        let only_of = parts.extensions.get::<Grant>().and_then(Grant::only_of);
        Ok(Self { uri, if_none_match, segments, parameters, errors: Vec::new(), demanding: false, only_of })
    }

    /// Notes that a field breaks a rule.
    pub fn refuse(&mut self, field: &str, rule: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), rule: rule.into() });
    }

    /// True if the caller has the version with this tag already (`If-None-Match`).
    pub(super) fn has(&self, tag: &str) -> bool {
        self.if_none_match.iter().any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
    }

    /// True if the caller names what the answer must show at least, or asks for a strong read.
    pub(super) fn is_demanding(&self) -> bool {
        self.demanding
    }

    /// True if the caller may see the rows of their own account only.
    pub fn sees_own_only(&self) -> bool {
        self.only_of.is_some()
    }

    /// The condition on the rows that the caller may see; none where they may see everybody's.
    ///
    /// # Errors
    /// 403 where the rows of the table belong to nobody, and the caller may see their own only.
    pub(super) fn own_only<T: Table>(&self) -> Result<Option<Filter>, Problem> {
        let Some(account) = self.only_of else { return Ok(None) };
        let column = T::ACCOUNT.ok_or_else(|| Problem::forbidden(format!("{} belong to no account", T::SPEC.name)))?;
        Ok(Some(Filter::is(column, account.to_string())))
    }

    /// True if the caller may see this row.
    pub(super) fn may_see<T: Table>(&self, row: &T) -> bool {
        let Some(account) = self.only_of else { return true };
        let shown = T::ACCOUNT.and_then(|column| serde_json::to_value(row).ok()?.get(column).cloned());
        shown.is_some_and(|value| value == account.to_string())
    }

    /// A path segment.
    pub fn segment(&self, name: &str) -> &str {
        self.segments.get(name).map_or("", String::as_str)
    }

    /// A path segment that is a UUID.
    pub fn segment_id(&mut self, name: &'static str) -> Uuid {
        let parsed = hyphenated(self.segment(name));
        if parsed.is_none() {
            self.refuse(name, UUID_RULE);
        }
        parsed.unwrap_or_default()
    }

    /// A parameter's text; given twice it is refused.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let (mut given, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parameters).into_iter().partition(|(key, _)| key == name);
        self.parameters = others;
        if given.len() > 1 {
            self.refuse(name, "must be given at most once");
        }
        given.pop().map(|(_, value)| value)
    }

    /// A parameter of 1 to `most` characters.
    pub fn short_text(&mut self, name: &str, most: usize) -> Option<String> {
        let text = self.text(name)?;
        let right = (1..=most).contains(&text.chars().count()) && !text.contains('\0');
        if !right {
            self.refuse(name, format!("must be 1 to {most} characters, none of them U+0000"));
        }
        right.then_some(text)
    }

    /// A parameter that is a UUID, in the form in which the views store it.
    pub fn id(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let parsed = hyphenated(&text);
        if parsed.is_none() {
            self.refuse(name, UUID_RULE);
        }
        parsed.map(|id| id.to_string())
    }

    /// A parameter that is one of an enum's names.
    pub fn one_of<T: DeserializeOwned>(&mut self, name: &str, names: &[&str]) -> Option<T> {
        let text = self.text(name)?;
        let parsed = serde_json::from_value(Value::String(text)).ok();
        if parsed.is_none() {
            self.refuse(name, format!("must be one of {}", names.join(", ")));
        }
        parsed
    }

    /// The moment from which on events count: a date means its beginning in UTC.
    pub fn since(&mut self, name: &str) -> Option<Timestamp> {
        self.moment(name, 0)
    }

    /// The moment before which events count: a date means the beginning of the next day in UTC, so that the whole day counts.
    pub fn until(&mut self, name: &str) -> Option<Timestamp> {
        self.moment(name, 1)
    }

    /// A moment, or a position in a service's log.
    pub fn as_of(&mut self, name: &str, service: &str) -> Option<AsOf> {
        let text = self.text(name)?;
        let position = text.parse::<Position>().ok().filter(|position| &*position.service == service).map(AsOf::Position);
        let parsed = position.or_else(|| text.parse::<jiff::Timestamp>().ok().map(|at| AsOf::Time(Timestamp(at.as_millisecond()))));
        if parsed.is_none() {
            self.refuse(name, format!("must be an RFC 3339 time such as 2026-01-31T12:00:00Z or a position such as {service}/0/17"));
        }
        parsed
    }

    /// Whether the answer must show everything that was acknowledged before the question: `consistency=strong`.
    pub fn strong(&mut self) -> bool {
        let strong = self.one_of::<Consistency>("consistency", &["strong", "eventual"]) == Some(Consistency::Strong);
        self.demanding |= strong;
        strong
    }

    fn moment(&mut self, name: &str, days: i64) -> Option<Timestamp> {
        let text = self.text(name)?;
        let parsed = moment(&text, days);
        if parsed.is_none() {
            self.refuse(name, MOMENT_RULE);
        }
        parsed
    }

    /// To be called when all parameters of the resource, `known`, have been read: reports every fault found so far, and the parameters that
    /// are left over.
    ///
    /// # Errors
    /// 400 with all the faults.
    pub fn finish(&mut self, known: &[&str]) -> Result<(), Problem> {
        let rule = if known.is_empty() {
            "is not known here: no query parameter is".to_owned()
        } else {
            format!("is not known here: the parameters are {}", known.join(", "))
        };
        let unknown = std::mem::take(&mut self.parameters);
        self.errors.extend(unknown.into_iter().map(|(field, _)| FieldError { field, rule: rule.clone() }));
        match std::mem::take(&mut self.errors) {
            none if none.is_empty() => Ok(()),
            errors => Err(Problem::invalid(errors)),
        }
    }
}

/// Parses a UUID in its hyphenated form only, so that a thing has one name.
fn hyphenated(text: &str) -> Option<Uuid> {
    Uuid::from_str(text).ok().filter(|_| text.len() == 36)
}

/// A moment to the millisecond; a date means the beginning of the day that is `days` later.
fn moment(text: &str, days: i64) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    // Only a bare date: jiff would also parse the date of a time without a zone, which is no moment.
    let date = text.parse::<Date>().ok().filter(|_| text.len() == 10)?;
    let midnight = date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(Timestamp(midnight).plus_millis(days * 86_400_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_begins_at_midnight_and_as_an_end_includes_its_day() {
        assert_eq!(moment("1970-01-02", 0), Some(Timestamp(86_400_000)));
        assert_eq!(moment("1970-01-02", 1), Some(Timestamp(172_800_000)));
        assert_eq!(moment("1970-01-01T01:00:00+01:00", 1), Some(Timestamp(0)));
        for wrong in ["", "yesterday", "1970-13-01", "1970-01-01T00:00:00"] {
            assert_eq!(moment(wrong, 0), None, "{wrong:?}");
        }
    }
}
