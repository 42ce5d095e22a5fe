//! A PostgreSQL that vanishes without ending its connections, in the middle of a shop's work.

use super::{
    real::{ON_REAL_PARTS, Parts},
    shop::Shop,
};
use std::time::{Duration, Instant};
use system_tests::{
    process::{Client, Daybook, eventually},
    silence::SilentProxy,
};

/// How long views and reactors may stand still once the database is back.
const MOST: Duration = Duration::from_secs(10);

/// Places orders while the database vanishes again and again.
async fn orders_while_it_vanishes(shop: &Shop, proxy: &SilentProxy) -> Vec<String> {
    let mut orders = Vec::new();
    for number in 0..12 {
        if number % 4 == 2 {
            // With the rows of orders in flight: the answer is lost.
            proxy.silence_after("\"order_id\"");
        }
        orders.push(shop.order(&format!("silent-{number}"), 1, "card").await);
    }
    orders
}

async fn readiness(client: &Client) -> (u16, serde_json::Value) {
    client.get("/health/ready").await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_goes_on_soon_after_its_database_vanished() {
    let _alone = ON_REAL_PARTS.lock().await;
    let Some(parts) = Parts::named() else { return };
    let (scheme, server) = parts.postgres.split_once('@').expect("an address with a user");
    let proxy = SilentProxy::start(server).await;
    let (by_proxy, directory) = (format!("{scheme}@{}", proxy.address), tempfile::tempdir().expect("a directory"));
    let mut settings = parts.settings();
    settings.retain(|(name, _)| *name != "DAYBOOK_POSTGRES");
    settings.push(("DAYBOOK_POSTGRES", &by_proxy));
    let Some(daybook) = Daybook::start(directory.path(), &[], &settings, &[]).await else { return };
    let shop = Shop::open(daybook.client(), &format!("silent-{}", uuid::Uuid::new_v4().simple()), 1_000).await;
    let orders = orders_while_it_vanishes(&shop, &proxy).await;
    tokio::time::timeout(MOST, proxy.silenced()).await.expect("it vanished");
    let began = Instant::now();
    for order in &orders {
        shop.ended(order, "confirmed").await;
    }
    assert!(began.elapsed() < MOST * 2, "{:?}", began.elapsed());
    shop.stock(1_000 - 12, 0).await;

    proxy.cut();
    let cut_off = shop.order("cut-off", 1, "card").await;
    // Its readers notice one after the other.
    let told = eventually("it tells that the database of its orders is away", async || {
        let (status, body) = readiness(&daybook.client()).await;
        Some(body.to_string()).filter(|told| status == 503 && told.contains("orders/"))
    });
    let told = told.await;
    assert!(told.contains("failing") && told.contains(", since 20"), "{told}");
    proxy.mend();
    let began = Instant::now();
    shop.ended(&cut_off, "confirmed").await;
    println!("confirmed {:?} after the database was back", began.elapsed());
    assert!(began.elapsed() < MOST, "{:?}", began.elapsed());
    eventually("it is ready again", async || (readiness(&daybook.client()).await.0 == 200).then_some(())).await;
}
