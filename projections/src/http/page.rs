//! Pages: each begins after the last row of the page before, so that rows that are written meanwhile neither repeat nor hide a row.

use super::{Asked, ReadState, current::not_building};
use crate::{DatabaseError, Filter, Order, Problem, Query, Table, shown::shown};
use axum::{
    Json,
    http::{Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DEFAULT: u32 = 50;
const MOST: u32 = 200;
/// The bytes of a cursor's checksum.
const CHECKSUM: usize = 8;
/// What `after` must be.
pub(super) const AFTER_RULE: &str = "must be the `next` of a page of this list";

/// A page of a list.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes what a page looks like")]
pub struct Page<T> {
    /// The rows, in order.
    items: Vec<T>,
    /// What `after` takes for the next page; null on the last.
    next: Option<String>,
}

/// Parameters that every list takes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes what the handlers read")]
pub struct PageParams {
    /// The most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A list in pages. No two rows agree in all `by` columns.
pub struct List {
    /// Conditions, all of which must hold; none for a parameter that was not given.
    pub filters: Vec<Option<Filter>>,
    /// The columns that the rows are ordered by.
    pub by: &'static [&'static str],
    /// In which direction.
    pub order: Order,
    /// The names of the parameters that this list takes beside `limit` and `after`.
    pub known: &'static [&'static str],
}

impl List {
    /// Answers the page that the request asks for.
    ///
    /// # Errors
    /// 400 with all that is wrong with the request; 503 where the database does not answer.
    pub async fn answer<T: Table>(self, read: &ReadState, mut asked: Asked) -> Result<Response, Problem> {
        let limit = limit(&mut asked);
        let filters: Vec<Filter> = self.filters.into_iter().flatten().collect();
        let filters = [filters, asked.own_only::<T>()?.into_iter().collect()].concat();
        let list = format!("{} {filters:?}", T::SPEC.name);
        let after = after::<T>(&mut asked, &list, self.by);
        asked.finish(&[self.known, &["limit", "after"]].concat())?;
        not_building(read, &asked, T::SPEC.name)?;
        // One row more than is shown tells whether there is a next page.
        let query = Query { filters, by: self.by, order: self.order, after, limit: limit + 1 };
        let mut rows: Vec<T> = read.database().select(&query).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| cursor(&list, row, self.by)).transpose().map_err(DatabaseError::Row)?;
        let items: Vec<Value> = rows.iter().map(shown).collect::<Result<_, _>>().map_err(DatabaseError::Row)?;
        Ok(respond(&asked.uri, items, next))
    }
}

pub(super) fn limit(asked: &mut Asked) -> u32 {
    let Some(text) = asked.text("limit") else { return DEFAULT };
    match text.parse() {
        Ok(limit) if (1..=MOST).contains(&limit) => limit,
        Ok(_) | Err(_) => {
            asked.refuse("limit", format!("must be a whole number from 1 to {MOST}"));
            DEFAULT
        }
    }
}

fn after<T: Table>(asked: &mut Asked, list: &str, by: &[&str]) -> Option<Vec<Value>> {
    let text = asked.text("after")?;
    let values = uncursor(list, &text).filter(|values| Query::fits(&T::SPEC, by, values));
    if values.is_none() {
        asked.refuse("after", AFTER_RULE);
    }
    values
}

/// Names a row of a list by its `by` values.
fn cursor<T: Table>(list: &str, row: &T, by: &[&str]) -> Result<String, serde_json::Error> {
    let mut row = serde_json::to_value(row)?;
    Ok(cursor_of(list, by.iter().map(|name| row[*name].take()).collect()))
}

/// Names a place in a list: a JSON array and its checksum in hexadecimal digits, which need no escape in a URL.
pub(super) fn cursor_of(list: &str, place: Vec<Value>) -> String {
    let place = Value::from(place).to_string();
    hex::encode([place.as_bytes(), &checksum(list, place.as_bytes())].concat())
}

/// The place that [`cursor_of`] named; none for another list's cursor, or for one that was never given.
pub(super) fn uncursor(list: &str, text: &str) -> Option<Vec<Value>> {
    let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() <= 1024)?;
    let (place, sum) = bytes.split_last_chunk::<CHECKSUM>()?;
    serde_json::from_slice(place).ok().filter(|_| *sum == checksum(list, place))
}

/// Ties a place to its list and its filters.
fn checksum(list: &str, place: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(list).chain_update([0]).chain_update(place).finalize();
    std::array::from_fn(|index| digest[index])
}

pub(super) fn respond(uri: &Uri, items: Vec<Value>, next: Option<String>) -> Response {
    let link = next.as_ref().map(|next| format!("<{}>; rel=\"next\"", next_page(uri, next)));
    let mut response = Json(json!({ "items": items, "next": next })).into_response();
    if let Some(link) = link.and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The URL of the next page: the same query with another `after`.
fn next_page(uri: &Uri, next: &str) -> String {
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let pairs: Vec<String> = kept.map(str::to_owned).chain([format!("after={next}")]).collect();
    format!("{}?{}", uri.path(), pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_nobody_gave_is_no_cursor() {
        let cursor = cursor_of("orders", vec![json!(1), json!("a")]);
        assert_eq!(uncursor("orders", &cursor), Some(vec![json!(1), json!("a")]));
        assert_eq!(uncursor("payments", &cursor), None, "another list's");
        let made_up = cursor.replacen("31", "32", 1);
        for wrong in ["", "5", "zz", "5b", "+b", "7b7d", "5b312c2261225d", &made_up] {
            assert_eq!(uncursor("orders", wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let uri: Uri = "/orders?status=placed&after=aa&limit=2".parse().unwrap();
        assert_eq!(next_page(&uri, "bb"), "/orders?status=placed&limit=2&after=bb");
    }
}
