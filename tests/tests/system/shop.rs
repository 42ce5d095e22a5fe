//! A shop in use: the steps that the tests share, on whatever parts.

use serde_json::{Value, json};
use system_tests::process::{Client, eventually};

/// A user and a product with stock.
pub struct Shop {
    pub client: Client,
    pub user: String,
    pub product: String,
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

impl Shop {
    pub async fn open(client: Client, name: &str, stock: i64) -> Self {
        let user = client.must("/users", &format!("{name}/user"), json!({"email": format!("{name}@example.com"), "name": name})).await;
        let price = json!({"amount": 295, "currency": "GBP"});
        let product =
            id(&client.must("/products", &format!("{name}/product"), json!({"sku": name, "name": "Heart", "price": price})).await);
        client.must(&format!("/products/{product}/stock-receipts"), &format!("{name}/stock"), json!({"quantity": stock})).await;
        Self { client, user: id(&user), product }
    }

    pub async fn order(&self, key: &str, quantity: i64, method: &str) -> String {
        let body =
            json!({"user_id": self.user, "lines": [{"product_id": self.product, "quantity": quantity}], "payment": {"method": method}});
        // The key holds the id of this shop's user, so another run of the test on the same brokers places new orders.
        id(&self.client.must("/orders", &format!("{}/{key}", self.user), body).await)
    }

    /// The order once its saga has ended in that status.
    pub async fn ended(&self, order: &str, status: &str) -> Value {
        eventually(&format!("order {order} is {status}"), async || {
            let (code, found) = self.client.get(&format!("/orders/{order}")).await?;
            let now = found["status"].as_str().unwrap_or_default().to_owned();
            assert!(code != 200 || now == status || now == "placed", "the order is {now}: {found}");
            (now == status).then_some(found)
        })
        .await
    }

    /// The product once so much of it is on hand and reserved.
    pub async fn stock(&self, on_hand: i64, reserved: i64) -> Value {
        let path = format!("/products/{}", self.product);
        eventually(&format!("{on_hand} on hand, {reserved} reserved"), async || {
            let (_, found) = self.client.get(&path).await?;
            (found["on_hand"] == on_hand && found["reserved"] == reserved).then_some(found)
        })
        .await
    }

    /// Every way that an order can go, from the public side.
    pub async fn every_way_an_order_can_go(&self) {
        let confirmed = self.order("confirmed", 2, "card").await;
        let found = self.ended(&confirmed, "confirmed").await;
        assert_eq!(found["total"], json!({"amount": 590, "currency": "GBP"}));
        let declined = self.order("declined", 3, "card-declined").await;
        assert_eq!(self.ended(&declined, "cancelled").await["reason"], "payment-declined");
        let too_many = self.order("too-many", 1_000, "card").await;
        assert_eq!(self.ended(&too_many, "cancelled").await["reason"], "insufficient-stock");
        let flaky = self.order("flaky", 1, "card-flaky").await;
        self.ended(&flaky, "confirmed").await;
        self.stock(7, 0).await;
        self.refund(found["payment_id"].as_str().expect("a payment")).await;
        self.told(&[("order-confirmed", 2), ("order-cancelled", 2)]).await;
        self.remembered(&confirmed).await;
    }

    async fn refund(&self, payment: &str) {
        let path = format!("/payments/{payment}");
        eventually("the payment is captured", async || self.client.get(&path).await.filter(|(_, payment)| payment["status"] == "captured"))
            .await;
        let amount = |pence: i64| json!({"amount": {"amount": pence, "currency": "GBP"}});
        self.client.must(&format!("{path}/refunds"), "refund", amount(90)).await;
        let again = self.client.post(&format!("{path}/refunds"), Some("refund"), amount(90)).await;
        assert_eq!(again.headers().get("idempotency-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
        let too_much = self.client.post(&format!("{path}/refunds"), Some("too-much"), amount(501)).await;
        assert_eq!(too_much.status(), 422);
        let other = self.client.post(&format!("{path}/refunds"), Some("refund"), amount(91)).await;
        assert_eq!(other.status(), 422, "the same key for another command");
        eventually("the refund shows", async || self.client.get(&path).await.filter(|(_, payment)| payment["refunded"]["amount"] == 90))
            .await;
    }

    async fn told(&self, kinds: &[(&str, usize)]) {
        let path = format!("/notifications?user_id={}", self.user);
        eventually("the customer was told", async || {
            let (_, page) = self.client.get(&path).await?;
            let items = page["items"].as_array()?;
            let delivered = |kind: &str| items.iter().filter(|item| item["kind"] == kind && item["status"] == "delivered").count();
            kinds.iter().all(|(kind, count)| delivered(kind) == *count).then_some(())
        })
        .await;
    }

    /// The audit has every event of the order, in order; the timeline says that nothing is waited for.
    async fn remembered(&self, order: &str) {
        eventually("the audit is complete", async || {
            let (_, page) = self.client.get(&format!("/audit/order/{order}")).await?;
            let versions: Vec<u64> = page["items"].as_array()?.iter().filter_map(|item| item["version"].as_u64()).collect();
            let mut sorted = versions.clone();
            sorted.sort_unstable();
            (sorted == [1, 2, 3, 4, 5]).then_some(())
        })
        .await;
        let (status, timeline) = self.client.get(&format!("/orders/{order}/timeline")).await.expect("an answer");
        assert_eq!((status, &timeline["status"], &timeline["waiting_for"]), (200, &json!("confirmed"), &Value::Null));
    }
}
