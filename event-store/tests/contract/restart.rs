//! The broker dies under a writer and comes back: all that was acknowledged is there, and the writer goes on.

use super::{Do, amounts, counted, own, persist, stores::*, writing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_is_killed_and_comes_back() {
    let Some(program) = required("DAYBOOK_EMBEDDED_BROKER") else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = Broker::start(&program, directory.path());
    let (port, log) = (broker.port, on_brokers(&broker.config()).await);
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    for id in 1..=20 {
        persist(&owner, 1, Do::Deposit(id), id as u128).await.expect("accepted");
    }
    broker.kill();
    let asked = owner.clone();
    let during = tokio::spawn(async move { persist(&asked, 1, Do::Deposit(21), 21).await });
    let broker = Broker::start_on(&program, directory.path(), port);
    during.await.expect("an answer").expect("accepted");
    persist(&owner, 1, Do::Deposit(22), 22).await.expect("accepted");
    assert_eq!(amounts(&counted(&log, 1).await), (1..=22).collect::<Vec<_>>());
    broker.kill();
}
