//! `nodes`: several nodes that share the partitions, against one.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    http::Http,
    load::{Call, closed_loop},
    posts::posts,
    process::{COMMANDS, Server},
    stage::Stage,
};
use anyhow::{Result, ensure};
use event_store::{Directory, kafka::OwnersTopic};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How many nodes there are at last.
const MOST: usize = 3;
const PARTITIONS: i32 = 4;
const CLIENTS: usize = 128;
/// Nodes that share two processors answer late; with these arguments none of them sheds requests for that.
const PATIENT: [&str; 2] = ["--answer-within", "10000"];
/// How long the group may take to place the partitions anew: a node that was killed is missed after 6 s.
const PLACED_WITHIN: Duration = Duration::from_secs(40);

/// Sends calls to the nodes in turn, whichever node owns the partition.
struct Spread(Vec<Arc<Http>>);

impl Call for Spread {
    async fn call(&self, number: u64) -> Result<()> {
        self.0[turn(number, self.0.len())].call(number).await
    }
}

/// Which node a client's call goes to: another one each time, and not the same for all clients at once.
fn turn(number: u64, nodes: usize) -> usize {
    ((number >> 32) + (number & 0xffff_ffff)) as usize % nodes
}

/// Waits until each partition is written by one of these nodes, and each of them writes one.
async fn placed(directory: &OwnersTopic, nodes: &[Server]) -> Result<()> {
    let living: BTreeSet<String> = nodes.iter().map(|node| node.node.to_string()).collect();
    let owners = || -> BTreeSet<String> {
        (0..PARTITIONS).map(|partition| directory.owner("users", partition).map(|owner| owner.address).unwrap_or_default()).collect()
    };
    let until = tokio::time::Instant::now() + PLACED_WITHIN;
    while owners() != living {
        ensure!(tokio::time::Instant::now() < until, "the partitions are not with {living:?} but with {:?}", owners());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Standbys must find the new owners first: they look once a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Samples of all clients at once, and of one alone.
async fn load(stage: &Stage, nodes: &[Server]) -> Result<[Sample; 2]> {
    let spread = Arc::new(Spread(nodes.iter().map(|node| posts(node.address, "/users")).collect()));
    Ok([closed_loop(CLIENTS, stage.span(), &spread).await?, closed_loop(1, stage.span(), &spread).await?])
}

/// The samples of 1 node, 2 nodes and so on.
async fn grown(stage: &Stage, directory: &OwnersTopic) -> Result<Vec<[Sample; 2]>> {
    let (mut nodes, mut samples) = (Vec::new(), Vec::new());
    for _ in 0..MOST {
        nodes.push(Server::daybook(stage, &[&COMMANDS[..], &PATIENT].concat()).await?);
        placed(directory, &nodes).await?;
        samples.push(load(stage, &nodes).await?);
    }
    Ok(samples)
}

/// `nodes`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("nodes");
    let kinds = [(format!("POST /users, {CLIENTS} at once"), Measure::Rate), ("POST /users, 1 at once".to_owned(), Measure::P50)];
    let cell = |count: usize, (what, measure): &(String, Measure)| {
        Figure::new(format!("{what}, {count} nodes in turn"), "the same to 1 node", *measure, Aim::None)
    };
    set.figures = kinds.iter().flat_map(|kind| (2..=MOST).map(move |count| cell(count, kind))).collect();
    stage.services(PARTITIONS).await?;
    let directory = OwnersTopic::new(stage.config.clone(), stage.producer()?);
    for _ in 0..stage.runs {
        let samples = grown(stage, &directory).await?;
        for (more, ours) in samples[1..].iter().enumerate() {
            for kind in 0..kinds.len() {
                set.figures[kind * (MOST - 1) + more].runs.push(Pair { ours: ours[kind], peer: samples[0][kind] });
            }
        }
    }
    set.notes.push(format!(
        "All nodes, the broker and the load share the same processors, so this is what cooperation costs and not what a further machine gives: of n nodes n-1 in n POSTs are forwarded, and each partition ({PARTITIONS} in all) has a standby that folds it, too"
    ));
    Ok(set)
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_client_asks_another_node_each_time() {
        let asked = |client: u64| (0..3).map(|number| super::turn((client << 32) | number, 3)).collect::<Vec<_>>();
        assert_eq!((asked(0), asked(1)), (vec![0, 1, 2], vec![1, 2, 0]));
    }
}
