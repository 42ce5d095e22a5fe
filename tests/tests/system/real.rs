//! On the real parts: Apache Kafka, PostgreSQL, a Confluent-compatible registry; services in processes of their own.

use super::shop::Shop;
use std::time::{Duration, Instant};
use system_tests::process::{Daybook, required};
use tokio::sync::Mutex;

/// Held by each test on the real parts: their nodes would share partitions and databases.
pub static ON_REAL_PARTS: Mutex<()> = Mutex::const_new(());

/// Where the real parts are.
pub struct Parts {
    pub kafka: String,
    pub postgres: String,
    registry: String,
}

impl Parts {
    pub fn named() -> Option<Self> {
        let (kafka, postgres, registry) = (required("DAYBOOK_KAFKA")?, required("DAYBOOK_POSTGRES")?, required("SCHEMA_REGISTRY_URL")?);
        Some(Self { kafka, postgres, registry })
    }

    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("DAYBOOK_KAFKA", &self.kafka),
            ("DAYBOOK_POSTGRES", &self.postgres),
            ("SCHEMA_REGISTRY_URL", &self.registry),
            ("DAYBOOK_MAIL", "folder"),
            ("DAYBOOK_GATEWAY", "simulated"),
        ]
    }
}

/// The services in three processes: commands, views, reactors. A request to one of them makes work for the others.
#[tokio::test(flavor = "multi_thread")]
async fn services_in_processes_of_their_own_confirm_an_order() {
    let _alone = ON_REAL_PARTS.lock().await;
    let Some(parts) = Parts::named() else { return };
    let settings = parts.settings();
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let writers = ["--role", "commands"];
    let Some(first) = Daybook::start(directories[0].path(), &writers, &settings, &[]).await else { return };
    let second = Daybook::start(directories[1].path(), &writers, &settings, &[]).await.expect("the program was there before");
    let readers = Daybook::start(directories[2].path(), &["--role", "views", "--role", "reactors"], &settings, &[])
        .await
        .expect("the program was there before");
    let name = format!("real-{}", uuid::Uuid::new_v4().simple());
    let shop = Shop::open(Split::client(&first, &readers), &name, 10).await;
    shop.every_way_an_order_can_go().await;
    takeover(first, &second, &readers, &shop).await;
}

/// GETs go to the readers, POSTs to a writer: a test's own little router.
struct Split;

impl Split {
    fn client(writer: &Daybook, reader: &Daybook) -> system_tests::process::Client {
        writer.client().reading_from(&reader.url)
    }
}

/// A group notices a member's death after its session timeout of 6 s, and no sooner.
const GROUP_NOTICES: Duration = Duration::from_secs(5);

/// A writer is killed; the other takes its partitions over, and nothing that was acknowledged is lost.
async fn takeover(first: Daybook, second: &Daybook, readers: &Daybook, shop: &Shop) {
    let before = shop.order("before-the-end", 1, "card").await;
    first.kill();
    let killed = Instant::now();
    let shop = Shop { client: Split::client(second, readers), user: shop.user.clone(), product: shop.product.clone() };
    // Enough users for every partition to get some: the dead process owned half of the partitions.
    for number in 0..16 {
        let body = serde_json::json!({"email": format!("{}-{number}@example.com", shop.user), "name": "Ada"});
        shop.client.must("/users", &format!("{}/{number}", shop.user), body).await;
    }
    let took = killed.elapsed();
    println!("16 users of all partitions were acknowledged within {took:?} of the kill");
    assert!(took < GROUP_NOTICES, "{took:?}: somebody waited for the group");
    let after = shop.order("after-the-end", 1, "card").await;
    shop.ended(&before, "confirmed").await;
    shop.ended(&after, "confirmed").await;
    assert_eq!(shop.order("before-the-end", 1, "card").await, before, "the successor remembers the key");
    shop.stock(5, 0).await;
}
