//! The names of nodes. Two that live under one name would take each other's partitions for their own, and neither would stand by for them.
//!
//! Who says no name gets one that nobody else has: the host's name and a random part, made anew at each start. (A process id is 1 in every
//! container; a name kept in the data directory would be copied with it, or shared by two nodes.) A name that is said is looked up in the
//! owners' topic at the start: where a node answers at the address of its last life, the second one is refused. No lock is held, so a node
//! that was killed starts again at once under its name. Of two that start together, or of one that stood still while another took its name,
//! the life that appeared last in the topic keeps the name, and the other ends.

use crate::{Failure, watch::Ended};
use command_api::node::life_at;
use event_store::kafka::{OwnersTopic, Presence};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The longest part of a host's name that is taken.
const HOST: usize = 40;
/// How often a node looks whether another has taken its name.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether its own appearance has come back to it.
const SOON: Duration = Duration::from_millis(10);
/// How long it waits for its own appearance to come back to it, before it appears again.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);

/// The name of a node that was given none; the same whenever it is asked for.
pub(crate) fn of_this_process() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| made_of(&host_name())).clone()
}

fn host_name() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    told.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default()
}

fn made_of(host: &str) -> String {
    let known = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let host: String = host.trim().chars().filter(known).take(HOST).collect();
    let random = Uuid::new_v4().simple().to_string();
    format!("{}-{}", if host.is_empty() { "node" } else { &host }, &random[..8])
}

/// A name that was said, and this node's life under it.
pub(crate) struct Name {
    pub owners: Arc<OwnersTopic>,
    pub presence: Presence,
}

impl Name {
    /// This node's life under a name, at the address that other nodes are told.
    pub fn new(owners: Arc<OwnersTopic>, node: &str, address: &str) -> Self {
        let presence = Presence { node: node.to_owned(), address: address.to_owned(), life: Uuid::new_v4().simple().to_string() };
        Self { owners, presence }
    }

    /// Takes the name.
    ///
    /// # Errors
    /// Exit code 2: another node lives under it.
    pub async fn take(&self) -> Result<(), Failure> {
        self.owners.read_to_the_end().await.map_err(Failure::failed)?;
        let Presence { node, address, .. } = &self.presence;
        // Where this node listens itself, nobody else does.
        if let Some(before) = self.owners.present(node).filter(|before| before.address != *address)
            && life_at(&before.address).await == Some((before.node, before.life))
        {
            return Err(Failure::usage(format!(
                "DAYBOOK_NAME (--name) must be a name that no other node has: a node at {} lives under the name {node}; give this one \
                 another, or none",
                before.address
            )));
        }
        self.owners.appear(&self.presence);
        // From here on a life that is read later is a later one.
        let appeared = Instant::now();
        while appeared.elapsed() < APPEARS_WITHIN && self.owners.present(node).as_ref() != Some(&self.presence) {
            tokio::time::sleep(SOON).await;
        }
        Ok(())
    }

    /// Watches, until the node stops, whether another has taken its name since. If so, this one ends.
    pub async fn keep(&self, failure: &Ended, stop: &CancellationToken) {
        let present = self.owners.present(&self.presence.node);
        let (mut was_seen, mut appeared) = (present.as_ref() == Some(&self.presence), Instant::now());
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let present = self.owners.present(&self.presence.node);
            let is_mine = present.as_ref() == Some(&self.presence);
            match present {
                Some(_) if is_mine => was_seen = true,
                Some(other) if was_seen => {
                    *failure.lock() = Some(lost_to(&other));
                    stop.cancel();
                }
                _ if appeared.elapsed() >= APPEARS_WITHIN => {
                    appeared = Instant::now();
                    self.owners.appear(&self.presence);
                }
                _ => {}
            }
        }
    }
}

fn lost_to(other: &Presence) -> Failure {
    let Presence { node, address, .. } = other;
    let failure = Failure::usage(format!(
        "another node, at {address}, lives under the name {node} since this one stood still or while it started: give each node a \
         DAYBOOK_NAME (--name) of its own, or none"
    ));
    tracing::error!(%failure, "this node ends");
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::name;

    #[test]
    fn a_name_that_nobody_gave_is_a_right_one_and_nobody_elses() {
        for host in ["ip-10-0-0-1.ec2.internal", "", "a host\n", "n\u{e4}he", &"x".repeat(300)] {
            let (one, other) = (made_of(host), made_of(host));
            assert!(name(&one).is_ok(), "{one}");
            assert_ne!(one, other);
        }
        assert!(made_of("web-1\n").starts_with("web-1-"));
        assert_eq!(of_this_process(), of_this_process());
    }
}
