//! Answers over HTTP.

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    pub fn expecting(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:#?}"))
    }

    /// The fields that the problem names, in alphabetical order.
    pub fn wrong_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = self.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        fields.sort_unstable();
        fields
    }

    /// Checks that this is a whole problem of this code; and that `field`, where it is named, broke a rule that says `rule`.
    pub fn is_problem(&self, code: &str, field: &str, rule: &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:#?}");
        assert_eq!(self.body["type"], format!("urn:daybook:problem:{code}"), "{self:#?}");
        assert_eq!(self.body["status"], self.status, "{self:#?}");
        assert!(["title", "detail"].iter().all(|name| self.body[name].as_str().is_some_and(|text| !text.is_empty())), "{self:#?}");
        let errors = self.body["errors"].as_array().unwrap();
        let says = |error: &Value| error["field"] == field && error["rule"].as_str().is_some_and(|said| said.contains(rule));
        assert!(field.is_empty() || errors.iter().any(says), "no {field:?} that says {rule:?} in {self:#?}");
    }
}

/// A body that must be refused, and the problem that is expected.
pub struct Bad {
    pub path: String,
    pub body: Vec<u8>,
    pub code: &'static str,
    pub field: &'static str,
    pub rule: &'static str,
}

impl Bad {
    /// A body that is not JSON of the route's shape.
    pub fn malformed(path: &str, body: impl Into<Vec<u8>>, field: &'static str, rule: &'static str) -> Self {
        Self { path: path.to_owned(), body: body.into(), code: "malformed-body", field, rule }
    }

    /// A body of the route's shape, whose fields break a rule.
    pub fn invalid(path: &str, body: &Value, field: &'static str, rule: &'static str) -> Self {
        Self { path: path.to_owned(), body: body.to_string().into(), code: "invalid-request", field, rule }
    }
}
