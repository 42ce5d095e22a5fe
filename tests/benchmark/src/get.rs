//! `get`: GET by key over HTTP, against the same query by a bare client of the same PostgreSQL.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Set},
    http::{Http, get, post},
    load::{Call, closed_loop},
    process::Server,
    stage::Stage,
};
use anyhow::{Context, Result, ensure};
use projections::{Dialect, Relation, Table};
use shop::users::views::UserRow;
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};

/// How many users are asked for, in turn.
const USERS: u64 = 2_000;
/// As many connections as Daybook has to a database.
const CONNECTIONS: u32 = 8;
static SPEC: projections::TableSpec = UserRow::SPEC;

/// Registers users, and waits until the last of them can be read.
async fn users(server: &Server) -> Result<Vec<String>> {
    let posts = Http::new(server.address, 201, |_| String::new());
    let mut ids = Vec::new();
    for number in 0..USERS {
        let answer: serde_json::Value =
            serde_json::from_slice(&posts.ask_patiently(&post("/users", &format!("get/{number}"), &user())).await?)?;
        ids.push(answer["id"].as_str().context("no id")?.to_owned());
    }
    let gets = Http::new(server.address, 200, |_| String::new());
    for id in &ids {
        let mut patience = 1_000;
        while gets.ask(&get(&format!("/users/{id}"))).await.is_err() {
            patience -= 1;
            ensure!(patience > 0, "a user is not shown");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(ids)
}

/// A registration, with an address of its own.
pub fn user() -> String {
    let name = uuid::Uuid::new_v4().simple();
    format!("{{\"email\":\"{name}@example.com\",\"name\":\"Ada Lovelace\",\"address\":\"1 High Street, London\"}}")
}

/// Runs the view's statement on a pool like the view's, without a ping before it. It returns the row as the text that Daybook answers.
pub struct Bare {
    pool: PgPool,
    statement: String,
}

impl Bare {
    /// Connects when it is first asked.
    pub fn new(stage: &Stage) -> Result<Self> {
        let postgres = stage.postgres.as_ref().context("DAYBOOK_POSTGRES is not set: ./bench sets it")?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
        let pool = pool.connect_lazy(&format!("{postgres}/daybook_users"))?;
        Ok(Self { pool, statement: Dialect::Postgres.load(&Relation::live(&SPEC)) })
    }

    /// A row by its key.
    pub async fn row(&self, id: String) -> Result<String> {
        let row = sqlx::query(AssertSqlSafe(self.statement.clone())).bind(vec![id]).fetch_one(&self.pool).await?;
        Ok(row.try_get(0)?)
    }
}

/// Queries the rows directly.
struct Rows {
    bare: Bare,
    ids: Arc<[String]>,
}

impl Call for Rows {
    async fn call(&self, number: u64) -> Result<()> {
        let row = self.bare.row(self.ids[asked(number, self.ids.len())].clone()).await?;
        ensure!(!row.is_empty(), "an empty row");
        Ok(())
    }
}

/// Each client asks for other users than its neighbour, in turn.
fn asked(number: u64, of: usize) -> usize {
    ((number >> 32) * 61 + (number & 0xffff_ffff)) as usize % of
}

/// `get`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("get");
    let postgres = stage.postgres.as_ref().context("DAYBOOK_POSTGRES is not set: ./bench sets it")?;
    let server = Server::daybook(stage, &["--service", "users", "--postgres", postgres]).await?;
    let ids: Arc<[String]> = users(&server).await?.into();
    let (bare, peer) = (Arc::new(Rows { bare: Bare::new(stage)?, ids: ids.clone() }), Server::nothing().await?);
    let gets = |address, path: &'static str| {
        let ids = ids.clone();
        Arc::new(Http::new(address, 200, move |number| get(&format!("{path}/{}", ids[asked(number, ids.len())]))))
    };
    let (http, axum) = (gets(server.address, "/users"), gets(peer.address, "/rows"));
    let clients = [1, 32, 128];
    let against = [("the same query by bare sqlx", Aim::AtLeast(0.6)), ("the same query by axum and sqlx, nothing else", Aim::None)];
    let cell = |(clients, (against, aim))| Figure::new(format!("GET /users/{{id}}, {clients} at once"), against, Measure::Rate, aim);
    set.figures = clients.into_iter().flat_map(|clients| against.map(|against| (clients, against))).map(cell).collect();
    for _ in 0..stage.runs {
        for (index, clients) in clients.into_iter().enumerate() {
            let ours = closed_loop(clients, stage.span(), &http).await?;
            let peer = closed_loop(clients, stage.span(), &bare).await?;
            set.figures[2 * index].runs.push(Pair { ours, peer });
            let peer = closed_loop(clients, stage.span(), &axum).await?;
            set.figures[2 * index + 1].runs.push(Pair { ours, peer });
        }
    }
    set.notes.push(format!(
        "All have {CONNECTIONS} connections to the database; Daybook and axum are processes of their own, and the load is made on the same processors"
    ));
    Ok(set)
}
