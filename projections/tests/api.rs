//! The tools of a query API over real HTTP, on views that were fed with batches.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use axum::{extract::State, response::Response};
use event_store::{Aggregates, BatchHandler};
use feed::Feed;
use library::{BookRow, Books, MemberRow, Members, book, codecs, joined, left, listed, member, received, renamed};
use projections::{
    Database, DatabaseError, ErasedView, Filter, Order, Problem, ReadState, ViewRunner, audit, erased,
    http::{Asked, List, current, settle, shown, tagged},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

#[utoipa::path(get, path = "/members/{id}")]
async fn one(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    settle(&read, &mut asked, id).await?;
    asked.finish(&["consistency"])?;
    let row: MemberRow = current(&read, &asked, "member", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

#[utoipa::path(get, path = "/members")]
async fn all(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let filters = vec![asked.short_text("name", 9).map(|name| Filter::is("name", name))];
    let list = List { filters, by: &["joined_at", "member_id"], order: Order::Falling, known: &["name"] };
    list.answer::<MemberRow>(&read, asked).await
}

/// A service's query API over its views, on a port of its own.
struct Api {
    base: String,
    client: reqwest::Client,
    database: Database,
    views: ViewRunner,
}

impl Api {
    async fn of(fresh: &support::Fresh, view: ErasedView, routes: impl FnOnce(ReadState) -> OpenApiRouter) -> Self {
        let database = fresh.open().await;
        let views = ViewRunner::new("library", database.clone(), vec![view.clone()], codecs()).await.unwrap();
        let state = ReadState::new("members", database.clone(), vec![view]).with_codecs(codecs()).with_aggregates(Aggregates::default());
        let (router, _) = routes(state.with_wait(Duration::from_millis(300))).split_for_parts();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        // An HTTP client needs rustls's provider chosen in the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, client: reqwest::Client::new(), database, views }
    }

    async fn of_members(fresh: &support::Fresh) -> Self {
        Self::of(fresh, erased::<Members>(), |state| OpenApiRouter::new().routes(routes!(one)).routes(routes!(all)).with_state(state)).await
    }

    async fn of_audit(fresh: &support::Fresh) -> Self {
        Self::of(fresh, erased::<audit::Audit>(), |state| audit::routes(state, catalogue())).await
    }

    async fn feed(&self, log: &mut Feed) {
        self.views.apply(&log.batch()).await.unwrap();
    }

    async fn get_with(&self, path: &str, header: &'static str, value: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.base)).header(header, value).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// The problem that a GET of a path is answered with, and the fields that it names.
    async fn problem(&self, path: &str, status: u16) -> (Value, Vec<String>) {
        problem(self.get(path).await, status).await
    }
}

fn catalogue() -> Arc<audit::Catalogue> {
    Arc::new(audit::Catalogue::new(vec![("member", ("members", Some(erased::<Members>()))), ("book", ("books", Some(erased::<Books>())))]))
}

async fn problem(response: reqwest::Response, status: u16) -> (Value, Vec<String>) {
    assert_eq!(response.status().as_u16(), status, "{}", response.url());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    let fields = body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
    (body, fields)
}

#[tokio::test]
async fn a_row_is_shown_with_its_version_as_its_tag() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 10, &joined("Ada")).write(member("a"), 12, &renamed("Countess"));
        api.feed(&mut log).await;
        let path = format!("/members/{}", member("a"));
        let response = api.get(&path).await;
        assert_eq!(response.headers()["etag"], "\"2\"", "{}", fresh.kind);
        let body: Value = response.json().await.unwrap();
        assert_eq!((&body["name"], &body["joined_at"]), (&json!("Countess"), &json!("1970-01-01T00:00:00.010Z")));
        assert_eq!(api.get_with(&path, "If-None-Match", "\"1\", W/\"2\"").await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(api.get_with(&path, "If-None-Match", "\"1\"").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn every_wrong_parameter_is_named_with_its_rule() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let (body, _) = api.problem(&format!("/members/{}", member("nobody")), 404).await;
        assert_eq!(body["type"], "urn:daybook:problem:not-found");
        let (body, fields) = api.problem("/members/17", 400).await;
        assert_eq!((body["type"].as_str(), fields), (Some("urn:daybook:problem:invalid-request"), vec!["id".to_owned()]));
        assert_eq!(api.problem("/members/%ff", 400).await.1, ["path"]);
        let (body, fields) = api.problem("/members?name=0123456789&limit=201&after=zz&colour=red", 400).await;
        let named: BTreeSet<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(named, BTreeSet::from(["name", "limit", "after", "colour"]), "{body}");
        assert!(body["errors"].to_string().contains("from 1 to 200"), "{body}");
        for wrong in ["limit=3&limit=4", "limit=0", "limit=-1", "limit=x", "limit=", "after=", "after=5b5d"] {
            let (_, fields) = api.problem(&format!("/members?{wrong}"), 400).await;
            assert_eq!(fields, [wrong.split('=').next().unwrap()], "{wrong}");
        }
        assert_eq!(api.problem(&format!("/members/{}?x=1&consistency=yes", member("a")), 400).await.1, ["consistency", "x"]);
    }
}

/// All pages of a list, glued together.
async fn pages(api: &Api, path: &str, limit: u32) -> Vec<Value> {
    let mut whole = Vec::new();
    let mut next = Some(format!("{path}limit={limit}"));
    while let Some(path) = next.take() {
        let response = api.get(&path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let body: Value = response.json().await.unwrap();
        let items = body["items"].as_array().unwrap();
        assert!(items.len() <= limit as usize);
        whole.extend(items.iter().cloned());
        assert_eq!(link.is_some(), body["next"].is_string(), "the header and the body agree");
        next = link.map(|link| link.trim_start_matches('<').split('>').next().unwrap().to_owned());
        assert!(next.is_none() || items.len() == limit as usize, "a page before the last is full");
    }
    whole
}

#[tokio::test]
async fn pages_glued_together_are_the_whole() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let mut log = Feed::new("members", 0);
        let mut random = TestRunner::deterministic();
        // Many members share few moments, so that pages end between rows with the same moment.
        let moments = proptest::collection::vec(0i64..6, 60).new_tree(&mut random).unwrap().current();
        for (i, moment) in moments.iter().enumerate() {
            log.write(member(&i.to_string()), *moment, &joined(if i % 3 == 0 { "Ada" } else { "Bob" }));
        }
        api.feed(&mut log).await;
        let everything = pages(&api, "/members?", 200).await;
        assert_eq!(everything.len(), 60, "{}", fresh.kind);
        let key = |row: &Value| (row["joined_at"].as_str().unwrap().to_owned(), row["member_id"].as_str().unwrap().to_owned());
        assert!(everything.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "{}: strictly newest first", fresh.kind);
        for limit in (1..=60u32).new_tree(&mut random).into_iter().map(|tree| tree.current()).chain([1, 7, 59, 60, 61]) {
            assert_eq!(pages(&api, "/members?", limit).await, everything, "{}: by {limit}", fresh.kind);
        }
        let adas: Vec<_> = everything.iter().filter(|row| row["name"] == "Ada").cloned().collect();
        assert_eq!((adas.len(), pages(&api, "/members?name=Ada&", 3).await), (20, adas), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_audit_answers_for_an_aggregate_an_actor_and_a_time() {
    for fresh in support::fresh() {
        let api = Api::of_audit(&fresh).await;
        let (mut members, mut books) = (Feed::new("members", 0), Feed::new("books", 0));
        members.write(member("a"), 86_400_000, &joined("Ada")).write(member("a"), 2 * 86_400_000, &left());
        books.write(book("b"), 5, &listed("Walden"));
        api.feed(&mut members).await;
        api.feed(&mut books).await;
        let history = pages(&api, &format!("/audit/member/{}?", member("a")), 1).await;
        assert_eq!(history.iter().map(|event| event["version"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)], "{}", fresh.kind);
        assert_eq!(history[0]["type"], "library.member.Joined");
        assert_eq!((&history[0]["service"], &history[0]["partition"], &history[0]["offset"]), (&json!("members"), &json!(0), &json!(1)));
        assert_eq!(history[0]["event"]["email"], "ada@example.com");
        assert_eq!(api.json(&format!("/audit/book/{}", member("a"))).await["items"], json!([]));
        let day = api.json("/audit?actor=user/ada&since=1970-01-02&until=1970-01-02").await;
        assert_eq!(day["items"], json!([history[0]]), "{}: the whole day, and that day alone", fresh.kind);
        assert_eq!(api.json("/audit?actor=user/bob").await["items"], json!([]));
        assert_eq!(pages(&api, "/audit?until=1970-01-03T00:00:00Z&", 1).await.len(), 2, "{}", fresh.kind);
        assert_eq!(api.problem("/audit?since=now&until=1970-13-01&actor=", 400).await.1, ["actor", "since", "until"]);
        let (body, fields) = api.problem("/audit/basket/1", 400).await;
        assert_eq!(fields, ["id", "aggregate"]);
        assert!(body["detail"].as_str().unwrap().contains("member, book"), "{body}");
        let waited = api.get_with("/audit", "Daybook-At-Least", "books/0/1,members/0/2").await;
        assert_eq!(waited.status(), StatusCode::OK, "{}: it reads all logs", fresh.kind);
    }
}

#[tokio::test]
async fn the_audit_shows_an_aggregate_as_it_was() {
    for fresh in support::fresh() {
        let api = Api::of_audit(&fresh).await;
        let (mut members, mut books) = (Feed::new("members", 0), Feed::new("books", 0));
        members.write(member("a"), 1_000, &joined("Ada")).write(member("a"), 2_000, &renamed("Countess"));
        books.write(book("b"), 1_000, &listed("Walden")).write(book("b"), 2_000, &received(3));
        api.feed(&mut members).await;
        api.feed(&mut books).await;
        let state = format!("/audit/member/{}/state", member("a"));
        assert_eq!(api.json(&state).await["name"], "Countess", "{}", fresh.kind);
        let then = api.json(&format!("{state}?at=1970-01-01T00:00:01Z")).await;
        assert_eq!(
            (&then["name"], &then["as_of"]),
            (&json!("Ada"), &json!({"position": "members/0/1", "time": "1970-01-01T00:00:01.000Z"}))
        );
        let place = api.get(&format!("/audit/book/{}/state?at=books/0/1", book("b"))).await;
        assert_eq!(place.headers()["daybook-position"], "books/0/1");
        let row: BookRow = {
            let mut body: Value = place.json().await.unwrap();
            body["listed_at"] = json!(0);
            serde_json::from_value(body).unwrap()
        };
        assert_eq!((row.on_hand, row.version), (0, 1), "{}", fresh.kind);
        api.problem(&format!("{state}?at=1970-01-01T00:00:00Z"), 404).await;
        for elsewhere in ["books/0/1", "members/7/999999999", "members/1/1"] {
            assert_eq!(api.problem(&format!("{state}?at={elsewhere}"), 400).await.1, ["at"], "another log's place: {elsewhere}");
        }
    }
}

#[tokio::test]
async fn an_event_whose_clock_is_behind_is_not_missed_by_who_has_read_on() {
    for fresh in support::fresh() {
        let api = Api::of_audit(&fresh).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 5_000, &joined("Ada")).write(member("b"), 6_000, &joined("Bob"));
        api.feed(&mut log).await;
        let page = api.json("/audit?limit=1").await;
        log.write(member("c"), 1_000, &joined("Cid"));
        api.feed(&mut log).await;
        let rest = api.json(&format!("/audit?after={}", page["next"].as_str().unwrap())).await;
        let names: Vec<_> = rest["items"].as_array().unwrap().iter().map(|event| event["event"]["email"].clone()).collect();
        assert_eq!(names, ["bob@example.com", "cid@example.com"], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn many_events_are_folded_some_at_a_time() {
    let fresh = support::fresh().remove(0);
    let api = Api::of_audit(&fresh).await;
    let mut log = Feed::new("books", 0);
    log.write(book("b"), 1_000, &listed("Walden"));
    for moment in 0..3_500 {
        log.write(book("b"), 2_000 + moment, &received(1));
    }
    api.feed(&mut log).await;
    let state = format!("/audit/book/{}/state", book("b"));
    assert_eq!(api.json(&state).await["on_hand"], 3_500);
    assert_eq!(api.json(&format!("{state}?at=books/0/1001")).await["on_hand"], 1_000);
    assert_eq!(api.json(&format!("{state}?at=books/0/2000")).await["on_hand"], 1_999);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let fresh = support::fresh().remove(0);
    let api = Api::of_members(&fresh).await;
    let mut log = Feed::new("members", 0);
    for name in ["a", "b", "c"] {
        log.write(member(name), 10, &joined("Ada"));
    }
    api.feed(&mut log).await;
    let next = api.json("/members?limit=1").await["next"].as_str().unwrap().to_owned();
    assert_eq!(api.problem(&format!("/members?name=Ada&after={next}"), 400).await.1, ["after"], "with another filter");
    let made_up = next.replacen("31", "32", 1);
    assert_eq!(api.problem(&format!("/members?after={made_up}"), 400).await.1, ["after"]);
}

#[tokio::test]
async fn what_the_view_has_put_aside_is_not_shown_as_though_it_were_up_to_date() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 10, &joined("Ada")).write(member("b"), 10, &joined("Bob"));
        api.feed(&mut log).await;
        log.write_bytes(member("a"), 11, "library.member.Renamed", b"nonsense".to_vec());
        api.feed(&mut log).await;
        let (position, path) = (log.end().to_string(), format!("/members/{}", member("a")));
        let (body, _) = problem(api.get_with(&path, "Daybook-At-Least", &position).await, 500).await;
        assert_eq!(body["type"], "urn:daybook:problem:view-parked", "{}", fresh.kind);
        assert!(body["detail"].as_str().unwrap().contains("members@members/0/3"), "{body}");
        assert_eq!(api.json(&path).await["name"], "Ada", "who asks for less gets what there is");
        let other = api.get_with(&format!("/members/{}", member("b")), "Daybook-At-Least", &position).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_view_that_is_being_built_shows_its_old_rows_to_those_alone_who_ask_for_no_more() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 10, &joined("Ada"));
        api.feed(&mut log).await;
        let (position, path) = (log.end().to_string(), format!("/members/{}", member("a")));
        assert_eq!(api.get_with(&path, "Daybook-At-Least", &position).await.status(), StatusCode::OK, "{}", fresh.kind);
        api.views.begin_anew(log.source(), "its log is another one");
        for path in [&*path, "/members"] {
            let refused = api.get_with(path, "Daybook-At-Least", &position).await;
            assert!(refused.headers().contains_key("retry-after"), "{}", fresh.kind);
            let (body, _) = problem(refused, 503).await;
            assert_eq!(body["type"], "urn:daybook:problem:view-building", "{}", fresh.kind);
            assert!(body["detail"].as_str().unwrap().contains("its log is another one"), "{body}");
        }
        assert_eq!(api.json(&path).await["name"], "Ada", "{}", fresh.kind);
        assert_eq!(api.json("/members").await["items"][0]["name"], "Ada", "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_description_names_the_kinds_of_aggregate() {
    let fresh = &support::fresh()[0];
    let state = ReadState::new("audit", fresh.open().await, vec![erased::<audit::Audit>()]);
    let (_, described) = audit::routes(state, catalogue()).split_for_parts();
    let described = serde_json::to_value(described).unwrap();
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/audit", "/audit/{aggregate}/{id}", "/audit/{aggregate}/{id}/state"]);
    for path in &paths[1..] {
        let parameters = &described["paths"][*path]["get"]["parameters"];
        assert_eq!((&parameters[0]["name"], &parameters[0]["description"]), (&json!("aggregate"), &json!("member or book")), "{path}");
    }
}

#[tokio::test]
async fn at_least_waits_for_the_view_and_says_when_it_is_behind() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        let mut log = Feed::new("members", 3);
        log.write(member("a"), 10, &joined("Ada"));
        let (path, position) = (format!("/members/{}", member("a")), log.end().to_string());
        let behind = api.get_with(&path, "Daybook-At-Least", &position).await;
        assert_eq!(behind.headers()["retry-after"], "1", "{}", fresh.kind);
        assert_eq!(problem(behind, 503).await.0["type"], "urn:daybook:problem:view-behind");
        let batch = log.batch();
        let (answer, applied) = tokio::join!(api.get_with(&path, "Daybook-At-Least", &position), api.views.apply(&batch));
        applied.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", fresh.kind);
        for wrong in ["members/3", "members/3/x", "", "books/0/1", "members/3/1,nonsense/0/1"] {
            let (body, fields) = problem(api.get_with(&path, "Daybook-At-Least", wrong).await, 400).await;
            assert_eq!(fields, ["Daybook-At-Least"], "{wrong}: {body}");
        }
        let both = api.get_with(&path, "Daybook-At-Least", "members/3/0, members/3/1").await;
        assert_eq!(both.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_strong_read_that_no_owner_answers_is_a_503() {
    let api = Api::of_members(&support::fresh()[0]).await;
    api.problem(&format!("/members/{}?consistency=strong", member("a")), 503).await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_503_that_tells_no_secrets() {
    for fresh in support::fresh() {
        let api = Api::of_members(&fresh).await;
        api.database.close().await;
        let (body, _) = api.problem("/members", 503).await;
        assert_eq!(body["detail"], "the view's database did not answer", "{}", fresh.kind);
    }
}
