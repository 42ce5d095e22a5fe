//! Hosts of an aggregate over a log in memory, and routers to them.

use super::PATIENCE;
use codec::Schemas;
use command_api::node::Routed;
use event_sourcing::{Aggregate, Event};
use event_store::{Directory, Execute, Host, Hosted, LocalOwner, MemoryLog, NodeName, Owner, WriterConfig};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The number of partitions of every log here.
pub const PARTITIONS: i32 = 2;

/// A directory that has heard of one owner of everything, or of none.
pub struct Heard(pub Option<Owner>);

impl Heard {
    /// Has heard that a node at this address owns everything.
    pub fn at(address: &str) -> Self {
        Self(Some(Owner { node: "other".into(), address: address.into(), run: 0 }))
    }
}

impl Directory for Heard {
    fn owner(&self, _: &str, _: i32) -> Option<Owner> {
        self.0.clone()
    }

    fn nodes(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|owner| (owner.node.clone(), owner.address.clone())).collect()
    }
}

/// A host that owns nothing yet.
pub fn unshared<A: Aggregate>(log: &MemoryLog, schemas: &Schemas) -> Host<A> {
    let node = NodeName { owner: "test".into(), address: "127.0.0.1:1".into() };
    Host::new(Arc::new(log.clone()), PARTITIONS, schemas.clone(), node, WriterConfig::default())
}

/// Makes the host the owner of all its partitions, and waits until it is.
pub async fn own<A: Aggregate>(host: &Host<A>) {
    let mut changes = host.changes();
    (0..PARTITIONS).for_each(|partition| host.start(partition));
    let owned = async {
        while host.claims().iter().any(|(_, claim)| claim.is_none()) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, owned).await.expect("the partitions are claimed in time");
}

/// A router to aggregates whose partitions this node owns, all of them.
pub async fn owned<A: Aggregate>(log: &MemoryLog, schemas: &Schemas) -> Arc<dyn Execute<A>> {
    let host = unshared::<A>(log, schemas);
    own(&host).await;
    routed(Arc::new(host), Heard(None))
}

/// A router to aggregates that are owned here, or by the heard owner.
pub fn routed<A: Aggregate>(local: Arc<dyn LocalOwner<A>>, heard: Heard) -> Arc<dyn Execute<A>> {
    Arc::new(Routed::new(A::Event::SERVICE, "test", local, Arc::new(heard), Duration::from_millis(500)))
}
