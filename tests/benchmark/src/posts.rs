//! `post`: POST over HTTP, against servers that answer without work, and against a bare append at half load. `forwarded`: POST to the
//! wrong node, against POST to the right one.

use crate::{
    bare::Bare,
    figure::{Aim, Figure, Measure, Pair, Set},
    get::user,
    http::{Http, post},
    load::{closed_loop, paced},
    ours::records,
    process::{COMMANDS, Server},
    stage::Stage,
};
use anyhow::{Context, Result};
use domain::UserId;
use event_store::{Directory, kafka::OwnersTopic, partition_of};
use std::{net::SocketAddr, sync::Arc, time::Duration};

const CLIENTS: [usize; 3] = [1, 32, 128];
const PARTITIONS: i32 = 4;
/// How many users are made, with retries, before any is measured, so that each partition has some of them and its owner is settled.
const USERS_BEFORE: usize = 32;

/// POSTs of a new user each, under a key that was never used.
pub fn posts(address: SocketAddr, path: &'static str) -> Arc<Http> {
    Arc::new(Http::new(address, 201, move |_| post(path, &uuid::Uuid::new_v4().to_string(), &user())))
}

/// `post`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let (mut set, records) = (stage.set("post"), records(1_000).await?);
    let (daybook, nothing) = (Server::daybook(stage, &COMMANDS).await?, Server::nothing().await?);
    let ours = posts(daybook.address, "/users");
    for number in 0..USERS_BEFORE {
        ours.ask_patiently(&post("/users", &format!("before/{number}"), &user())).await?;
    }
    let peers = ["/users", "/least", "/append"].map(|path| posts(nothing.address, path));
    let against = [
        ("the same edge, its owner answering at once", Aim::AtLeast(0.5)),
        ("axum alone, answering at once", Aim::AtLeast(0.5)),
        ("axum alone, answering when a bare record is acknowledged", Aim::None),
    ];
    let cell = |(clients, (against, aim))| Figure::new(format!("POST /users, {clients} at once"), against, Measure::Rate, aim);
    set.figures = CLIENTS.into_iter().flat_map(|clients| against.map(|against| (clients, against))).map(cell).collect();
    set.figures.push(Figure::new("POST /users at half load", "a bare append at the same pace", Measure::P99, Aim::AtMost(3.0)));
    for _ in 0..stage.runs {
        let mut most = 0.0;
        for (index, clients) in CLIENTS.into_iter().enumerate() {
            let sample = closed_loop(clients, stage.span(), &ours).await?;
            most = f64::max(most, sample.rate);
            for (which, peer) in peers.iter().enumerate() {
                let peer = closed_loop(clients, stage.span(), peer).await?;
                set.figures[peers.len() * index + which].runs.push(Pair { ours: sample, peer });
            }
        }
        let sample = paced(most / 2.0, stage.span(), &ours).await?;
        let peer = paced(most / 2.0, stage.span(), &Arc::new(Bare::on_kafka(stage, &records, "0").await?)).await?;
        set.figures[CLIENTS.len() * peers.len()].runs.push(Pair { ours: sample, peer });
    }
    set.notes.push(
        "Daybook and its peer are processes of their own, and the load is made on the same processors; Daybook only takes commands".into(),
    );
    Ok(set)
}

/// Makes keys.
type Keys = Box<dyn Fn() -> String + Send + Sync>;

/// Keys of users that live in partitions which the node at this address owns.
async fn keys_of(directory: &Arc<OwnersTopic>, node: SocketAddr) -> Result<Keys> {
    let mut mine = Vec::new();
    for _ in 0..100 {
        let owns = |partition: &i32| directory.owner("users", *partition).is_some_and(|owner| owner.address == node.to_string());
        mine = (0..PARTITIONS).filter(owns).collect();
        if !mine.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (!mine.is_empty()).then_some(()).with_context(|| format!("{node} owns no partition"))?;
    let is_mine = move |key: &String| mine.contains(&partition_of(UserId::derive("anonymous", key).0.to_string().as_bytes(), PARTITIONS));
    Ok(Box::new(move || std::iter::repeat_with(|| uuid::Uuid::new_v4().to_string()).find(&is_mine).unwrap_or_default()))
}

/// `forwarded`.
pub async fn forwarded(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("forwarded");
    let arguments = [&COMMANDS[..], &["--standbys", "0"]].concat();
    let asked = Server::daybook(stage, &arguments).await?;
    let other = Server::daybook(stage, &arguments).await?;
    // The second node's arrival moves partitions; this waits until they are placed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let directory = Arc::new(OwnersTopic::new(stage.config.clone(), stage.producer()?));
    let (own, foreign) = (keys_of(&directory, asked.node).await?, keys_of(&directory, other.node).await?);
    let local = Arc::new(Http::new(asked.address, 201, move |_| post("/users", &own(), &user())));
    let forwarded = Arc::new(Http::new(asked.address, 201, move |_| post("/users", &foreign(), &user())));
    let cell =
        |clients| Figure::new(format!("POST to the wrong node, {clients} at once"), "POST to the owner", Measure::Rate, Aim::AtLeast(0.7));
    set.figures = CLIENTS.map(cell).into();
    for _ in 0..stage.runs {
        for (index, clients) in CLIENTS.into_iter().enumerate() {
            let ours = closed_loop(clients, stage.span(), &forwarded).await?;
            let peer = closed_loop(clients, stage.span(), &local).await?;
            set.figures[index].runs.push(Pair { ours, peer });
        }
    }
    set.notes
        .push("Two nodes and the load on the same processors, all POSTs to the same one; which partition a user lives in decides".into());
    Ok(set)
}
