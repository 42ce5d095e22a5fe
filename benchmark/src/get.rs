//! `get`: GET by key over HTTP, against the same query by a bare client of the same PostgreSQL.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Set},
    http::{Http, get, post},
    load::{Call, closed_loop},
    process::Server,
    stage::Stage,
};
use anyhow::{Context, Result, ensure};
use projections::{Dialect, Relation, Table, views::users::UserRow};
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
        let answer: serde_json::Value = serde_json::from_slice(&posts.ask(&post("/users", &format!("get/{number}"), USER)).await?)?;
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

/// The user that is registered again and again.
pub const USER: &str = "{\"email\":\"ada@example.com\",\"name\":\"Ada Lovelace\",\"address\":\"1 High Street, London\"}";

/// The statement of the view, on a pool like the view's that asks nothing before it; the row comes as the text that Daybook answers.
struct Bare {
    pool: PgPool,
    statement: String,
    ids: Arc<[String]>,
}

impl Call for Bare {
    async fn call(&self, number: u64) -> Result<()> {
        let keys = vec![self.ids[asked(number, self.ids.len())].clone()];
        let row = sqlx::query(AssertSqlSafe(self.statement.clone())).bind(keys).fetch_one(&self.pool).await?;
        ensure!(!row.try_get::<String, _>(0)?.is_empty(), "an empty row");
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
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false).connect(&format!("{postgres}/daybook_users")).await?;
    let bare = Arc::new(Bare { pool, statement: Dialect::Postgres.load(&Relation::live(&SPEC)), ids: ids.clone() });
    let http = Arc::new(Http::new(server.address, 200, move |number| get(&format!("/users/{}", ids[asked(number, ids.len())]))));
    let clients = [1, 32, 128];
    set.figures = clients
        .map(|clients| {
            Figure::new(format!("GET /users/{{id}}, {clients} at once"), "the same query by bare sqlx", Measure::Rate, Aim::AtLeast(0.6))
        })
        .into();
    for _ in 0..stage.runs {
        for (index, clients) in clients.into_iter().enumerate() {
            let ours = closed_loop(clients, stage.span(), &http).await?;
            let peer = closed_loop(clients, stage.span(), &bare).await?;
            set.figures[index].runs.push(Pair { ours, peer });
        }
    }
    set.notes.push(format!(
        "Both have {CONNECTIONS} connections to the database; Daybook is a process of its own, and the load is made on the same processors"
    ));
    Ok(set)
}
