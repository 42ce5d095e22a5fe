//! Customers who are not there, or no longer: their orders are off before anything is reserved, and nobody writes to them.

use super::shop::Shop;
use serde_json::{Value, json};
use system_tests::{
    process::{Daybook, eventually, free_port, required},
    smtp::MailServer,
};

/// An order of two pieces for this user; answers its id.
async fn order(shop: &Shop, user: &str) -> String {
    let body = json!({"user_id": user, "lines": [{"product_id": shop.product, "quantity": 2}], "payment": {"method": "card"}});
    let placed = shop.client.must("/orders", &format!("order/{user}"), body).await;
    placed["id"].as_str().expect("an id").to_owned()
}

/// The user's only notification once it has failed.
async fn failed(shop: &Shop, user: &str) -> Value {
    eventually(&format!("the mail to {user} has failed"), async || {
        let (_, page) = shop.client.get(&format!("/notifications?user_id={user}")).await?;
        let items = page["items"].as_array()?;
        assert!(items.len() <= 1, "{page}");
        items.first().filter(|told| told["status"] == "failed").cloned()
    })
    .await
}

/// The order is off for that reason, no stock was reserved and no money asked for, and nothing is waited for.
async fn is_off_at_once(shop: &Shop, order: &str, reason: &str) {
    assert_eq!(shop.ended(order, "cancelled").await["reason"], reason);
    let story = eventually("its story is whole", async || {
        let (_, timeline) = shop.client.get(&format!("/orders/{order}/timeline")).await?;
        let events = timeline["entries"].as_array()?.iter().map(|entry| entry["event"].as_str().unwrap_or_default().to_owned());
        let events: Vec<String> = events.collect();
        events.contains(&"NotificationRequested".to_owned()).then_some((timeline, events))
    })
    .await;
    assert_eq!(story.1, ["OrderPlaced", "CustomerRefused", "OrderCancelled", "NotificationRequested"], "{}", story.0);
    assert_eq!((&story.0["waiting_for"], &story.0["compensations"]), (&Value::Null, &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_nobody_or_of_a_closed_account_is_off_before_anything_is_reserved() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let Some(daybook) = Daybook::embedded_with(&program, directory.path(), free_port(), &[]).await else { return };
    let shop = Shop::open(daybook.client(), "nobody", 10).await;
    let nobody = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f";
    let off = order(&shop, nobody).await;
    is_off_at_once(&shop, &off, "unknown-customer").await;
    shop.client.must(&format!("/users/{}/closure", shop.user), "close", json!({})).await;
    let off = order(&shop, &shop.user).await;
    is_off_at_once(&shop, &off, "closed-account").await;
    for user in [nobody, &*shop.user] {
        let told = failed(&shop, user).await;
        assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("the account is closed, or nobody registered it")), "{told}");
    }
    shop.stock(10, 0).await;
    let (_, letters) = shop.client.get("/dead-letters").await.expect("an answer");
    assert_eq!(letters["items"], json!([]), "nothing is tried on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_waits_is_not_sent_to_an_account_that_was_closed_meanwhile() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = MailServer::start().await;
    server.refuse("leaves@", "451 come back later");
    let settings = [("DAYBOOK_SMTP_URL", server.url.as_str()), ("DAYBOOK_EFFECT_LONGEST_PAUSE", "1")];
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let Some(daybook) = Daybook::embedded_with(&program, directory.path(), free_port(), &settings).await else { return };
    let shop = Shop::open(daybook.client(), "leaves", 10).await;
    let paid = shop.order("one", 1, "card").await;
    shop.ended(&paid, "confirmed").await;
    eventually("the server has refused the mail for now", async || (server.refusals() > 0).then_some(())).await;
    shop.client.must(&format!("/users/{}/closure", shop.user), "close", json!({})).await;
    server.refuse("somebody.else@", "451 come back later");
    failed(&shop, &shop.user).await;
    assert_eq!(server.taken().len(), 0, "an address that was given up is not written to");
}
