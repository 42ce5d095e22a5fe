//! The log is cut off under a writer and comes back: all that was acknowledged is there, and the writer goes on.

use super::{Do, amounts, counted, own, persist, stores::*, writing};
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_is_cut_off_and_comes_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let served = start(directory.path(), 0).await;
    let (port, log) = (served.port, on_brokers(&served.config()).await);
    let owner = own(log.clone(), "a");
    writing(&owner).await;
    for id in 1..=20 {
        persist(&owner, 1, Do::Deposit(id), id as u128).await.expect("accepted");
    }
    served.cut_off();
    let asked = owner.clone();
    let during = tokio::spawn(async move { persist(&asked, 1, Do::Deposit(21), 21).await });
    let served = start(directory.path(), port).await;
    during.await.expect("an answer").expect("accepted");
    persist(&owner, 1, Do::Deposit(22), 22).await.expect("accepted");
    assert_eq!(amounts(&counted(&log, 1).await), (1..=22).collect::<Vec<_>>());
    served.cut_off();
}

async fn start(directory: &Path, port: u16) -> Served {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || Served::start(&directory, port)).await.expect("it starts")
}
