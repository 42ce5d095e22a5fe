//! A partition without an owner, on the real parts: what is asked of it waits, and nothing else does.

use super::{
    reactions::Gateway,
    real::{ON_REAL_PARTS, Parts},
    shop::Shop,
};
use event_store::{
    PartitionId,
    kafka::{KafkaConfig, Placed, Placement},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use system_tests::process::{Daybook, free_port};

/// For how long nobody owns some of the orders.
const WITHOUT_AN_OWNER: Duration = Duration::from_secs(30);

/// A member of the nodes' group that writes none of the partitions which it is given.
#[derive(Default)]
struct Idle(Mutex<BTreeSet<i32>>);

impl Placed for Idle {
    fn gained(&self, source: &PartitionId) {
        self.0.lock().expect("nobody panicked").insert(source.partition);
    }

    fn lost(&self, source: &PartitionId) {
        self.0.lock().expect("nobody panicked").remove(&source.partition);
    }

    fn broken(&self, why: &str) {
        panic!("{why}");
    }
}

impl Idle {
    fn holds(&self) -> BTreeSet<i32> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// An order that was taken, and the partition of its events.
type Taken = (String, i32);

/// Places an order; none where its partition has no owner just now.
async fn place(shop: &Shop, key: String) -> Option<Taken> {
    let lines = json!([{"product_id": shop.product, "quantity": 1}]);
    let body = json!({"user_id": shop.user, "lines": lines, "payment": {"method": "card"}});
    let response = shop.client.post("/orders", Some(&format!("{}/{key}", shop.user)), body).await;
    let status = response.status().as_u16();
    assert!([201, 503].contains(&status), "{status}");
    let position = response.headers().get("daybook-position")?.to_str().expect("a text").to_owned();
    let partition = position.split('/').nth(1).and_then(|partition| partition.parse().ok()).expect("a position");
    let answer: serde_json::Value = response.json().await.expect("JSON");
    Some((answer["id"].as_str().expect("an id").to_owned(), partition))
}

/// Places orders, some in a second, until enough is done.
async fn place_until(shop: &Shop, name: &str, enough: impl Fn(&[Taken]) -> bool) -> Vec<Taken> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    for number in 0.. {
        taken.extend(place(shop, format!("{name}-{number}")).await);
        if enough(&taken) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{name}: {taken:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    taken
}

fn partitions(taken: &[Taken]) -> BTreeSet<i32> {
    taken.iter().map(|(_, partition)| *partition).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_without_an_owner_wait_alone() {
    let _alone = ON_REAL_PARTS.lock().await;
    let Some(parts) = Parts::named() else { return };
    let gateway_port = free_port();
    let url = format!("http://127.0.0.1:{gateway_port}");
    let mut settings = parts.settings();
    settings.extend([("DAYBOOK_GATEWAY_URL", url.as_str()), ("DAYBOOK_EFFECT_LONGEST_PAUSE", "1")]);
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let Some(all) = Daybook::start(directories[0].path(), &[], &settings, &[]).await else { return };
    let orders = Daybook::start(directories[1].path(), &["--service", "orders", "--role", "commands"], &settings, &[]).await;
    let shop = Shop::open(all.client(), &format!("ownerless-{}", uuid::Uuid::new_v4().simple()), 10_000).await;
    let mut before = place_until(&shop, "all", |taken| taken.len() >= 120 && partitions(taken).len() == 4).await;
    let idle = Arc::new(Idle::default());
    let member = Placement::join(&KafkaConfig::new(&parts.kafka, "idle"), "daybook.owners", &["orders"], idle.clone()).expect("it joins");
    before.extend(place_until(&shop, "joining", |_| idle.holds().len() == 2).await);
    let (held, since) = (idle.holds(), Instant::now());
    // Only now can they be paid, so none was confirmed before its owner went.
    let _gateway = Gateway::start(gateway_port).await.expect("the program was there before");
    let (stuck, fine): (Vec<Taken>, Vec<Taken>) = before.into_iter().partition(|(_, partition)| held.contains(partition));
    println!("{} orders without an owner, {} others", stuck.len(), fine.len());
    assert!(!stuck.is_empty() && !fine.is_empty());
    for (order, _) in &fine {
        shop.ended(order, "confirmed").await;
    }
    for (order, _) in place_until(&shop, "meanwhile", |taken| taken.len() == 20).await {
        shop.ended(&order, "confirmed").await;
    }
    println!("all others were confirmed {:?} after their owner had gone", since.elapsed());
    tokio::time::sleep(WITHOUT_AN_OWNER.saturating_sub(since.elapsed())).await;
    assert_eq!(idle.holds(), held, "nobody owned them all the while");
    for (order, _) in &stuck {
        let (_, found) = shop.client.get(&format!("/orders/{order}")).await.expect("an answer");
        assert_eq!(found["status"], "placed");
    }
    drop(member);
    for (order, _) in &stuck {
        shop.ended(order, "confirmed").await;
    }
    drop((all, orders));
}
