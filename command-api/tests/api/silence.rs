//! A peer that vanishes without ending its connection.

use crate::{
    nodes::node,
    note::{self, host, write},
    support::hosts::{Heard, own, routed},
};
use event_store::{CommandError, MemoryLog};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[path = "../../../tests/src/silence.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod peers;

use peers::{SilentProxy, silent_peer};

/// An HTTP/2 server's first words: it has no settings.
const SETTINGS: &str = "\0\0\0\u{4}\0\0\0\0\0";

#[tokio::test]
async fn commands_reach_an_owner_again_soon_after_the_connection_to_it_fell_silent() {
    let log = MemoryLog::new(2);
    let notes = host(&log);
    own(&notes).await;
    let (address, _serving) = node(notes, Heard(None)).await;
    let proxy = SilentProxy::start(&address).await;
    let router = routed(host(&MemoryLog::new(2)), Heard::at(&proxy.address.to_string()));
    let send = || router.execute(Uuid::now_v7(), write("milk"), note::meta(Uuid::now_v7()));
    send().await.expect("it is there");
    proxy.silence();
    let began = Instant::now();
    let first = send().await;
    assert!(matches!(&first, Err(CommandError::Unavailable(not_now)) if not_now.in_doubt), "{first:?}");
    while send().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(8), "the line is still the silent one");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_waited_for_within_the_deadline_at_every_stage() {
    for first in ["", SETTINGS] {
        let address = silent_peer(first).await.to_string();
        let router = routed(host(&MemoryLog::new(2)), Heard::at(&address));
        let began = Instant::now();
        let outcome = router.execute(Uuid::now_v7(), write("milk"), note::meta(Uuid::now_v7())).await;
        assert!(matches!(&outcome, Err(CommandError::Unavailable(_))), "{first:?}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{first:?}: {:?}", began.elapsed());
    }
}
