//! The real writer, the real reader and a view runner over a log where everything goes wrong, without processes, clocks or
//! threads: one seed, one schedule.
//!
//! A schedule draws its kinds of fault and then one step after the other: a record arrives (or not, twice, late, out of turn), an
//! acknowledgement or an answer of the log comes to a node, a node reads, claims, dies, stands still, begins; a client asks; a projector
//! reads or hands on a batch. Every node believes itself the owner. After each step [`promises`] compares the answers, and the groups that
//! count, with the [`book`]: the fold of the counted log at every moment so far. When there are no orders left the faults end, and within a
//! bound of steps every order must be answered and every view up to date.
//!
//! [`Weakness`] shows that it can fail: with any one part of the protocol left out, some schedule breaks a promise.

mod announcing;
mod book;
mod chance;
mod clients;
mod faults;
mod history;
mod node;
mod promises;
mod steps;
mod tests;
mod topic;
mod views;
mod weakness;
mod world;

use crate::account;
use codec::Schemas;
use history::History;
use std::sync::LazyLock;
use weakness::Weakness;
use world::{Figures, World};

/// The schemas of claims, proofs and the test aggregate's events.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(crate::account::schemas);

/// A promise that was not kept.
#[derive(Debug)]
struct Violation(String);

fn violation<T>(why: String) -> Result<T, Violation> {
    Err(Violation(why))
}

/// Runs the schedule of a seed.
fn schedule(seed: u64, weakness: Weakness) -> Result<Figures, Violation> {
    World::new(seed, weakness, History::kept(false)).run()
}

/// Runs it again, and returns its history and outcome.
fn told(seed: u64, weakness: Weakness) -> String {
    let mut world = World::new(seed, weakness, History::kept(true));
    let outcome = world.run();
    format!("{}\nseed {seed}: {outcome:?}", world.history.into_text())
}
