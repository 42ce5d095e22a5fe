//! The orders of a file, each with the stock that it needs.
//!
//! An invoice becomes the orders `import/order/<invoice>`, `.../2` and so on. Those that are there by now, from this file before or from
//! another, are compared with the invoice's lines: only lines that are in none of them become a further order. So a corrected or longer
//! file adds what is new, and receives stock for nothing else.

use super::{
    api::{ACTOR, ApiError},
    catalogue::user_id,
    execute::{Ended, ImportError, Shop, bar, look},
};
use domain::OrderId;
use futures::{StreamExt, TryStreamExt, stream};
use invoices::{Line, Plan, PlannedOrder, keyed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most lines that the API takes in one order; a longer invoice becomes several.
const MOST_LINES: usize = 1000;
/// The largest stock receipt that the API takes.
const MOST_PIECES: i64 = domain::Quantity::MAX;
/// The refusals that say that an order was placed before, with other lines.
const PLACED: [&str; 2] = ["idempotency-key-reused", "already-placed"];
const OTHER_LINES: &str = "its invoice was imported before, with other lines";

/// Places the orders that are not there yet; answers how each line of each order ended.
pub async fn place_all(plan: &Plan, shop: &Shop<'_>) -> Result<Vec<Vec<Ended>>, ImportError> {
    let bar = bar("orders", plan.orders.len());
    let place = |order| {
        let bar = bar.clone();
        async move {
            let ended = Invoice { order, shop, ended: vec![None; order.lines.len()], parts: 0 }.place().await?;
            bar.inc(1);
            Ok::<_, ImportError>(ended)
        }
    };
    stream::iter(plan.orders.iter().map(place)).buffered(shop.limits.concurrency).try_collect().await
}

/// An invoice on its way into the shop.
struct Invoice<'a> {
    order: &'a PlannedOrder,
    shop: &'a Shop<'a>,
    /// How each of its lines ended; none for a line that is still to be ordered.
    ended: Vec<Option<Ended>>,
    /// How many orders of it are in the shop.
    parts: usize,
}

impl Invoice<'_> {
    async fn place(mut self) -> Result<Vec<Ended>, ImportError> {
        self.recognise().await?;
        self.bar();
        for lines in self.open().chunks(MOST_LINES) {
            self.order_part(lines).await?;
        }
        Ok(self.ended.into_iter().map(|ended| ended.unwrap_or_else(|| Ended::Not("it was not ordered".into()))).collect())
    }

    /// The key of its next order, without the prefix.
    fn key(&self) -> String {
        let invoice = &self.order.invoice;
        if self.parts == 0 { invoice.clone() } else { format!("{invoice}/{}", self.parts + 1) }
    }

    /// The lines that are still to be ordered.
    fn open(&self) -> Vec<usize> {
        (0..self.ended.len()).filter(|index| self.ended[*index].is_none()).collect()
    }

    fn end(&mut self, lines: &[usize], ended: &Ended) {
        lines.iter().for_each(|index| self.ended[*index] = Some(ended.clone()));
    }

    /// Finds the orders of this invoice that are there by now, and the lines that they hold.
    async fn recognise(&mut self) -> Result<(), ImportError> {
        let mut other_lines = false;
        loop {
            let id = OrderId::derive(ACTOR, &format!("import/order/{}", self.key())).to_string();
            if self.shop.api.get_strong(&format!("/orders/{id}")).await?.is_none() {
                break;
            }
            let (order, ended) = end_of(self.shop, &id).await?;
            other_lines |= !self.holds(&order, &ended);
            self.parts += 1;
        }
        if other_lines {
            self.end(&self.open(), &Ended::Not(OTHER_LINES.into()));
        }
        Ok(())
    }

    /// Gives the invoice's lines that an order holds the order's end. False where the order holds lines that the invoice has not.
    fn holds(&mut self, order: &Value, ended: &Ended) -> bool {
        let ours = order["user_id"].as_str() == Some(&user_id(&self.order.customer));
        let mut all = ours;
        for line in order["lines"].as_array().into_iter().flatten().filter(|_| ours) {
            match self.open().into_iter().find(|index| self.is(*index, line)) {
                Some(index) => self.ended[index] = Some(ended.clone()),
                None => all = false,
            }
        }
        all
    }

    /// True where a line of an order is this line of the invoice. An order that was never reserved does not show its prices.
    fn is(&self, index: usize, line: &Value) -> bool {
        let ours = &self.order.lines[index];
        let product = self.shop.products.get(&ours.product).and_then(|entry| entry.id.as_deref());
        let price = line["unit_price"]["amount"].as_i64();
        product.is_some()
            && line["product_id"].as_str() == product
            && line["quantity"].as_i64() == Some(ours.quantity)
            && price.is_none_or(|price| price == ours.pence)
    }

    /// Leaves out the lines of a closed account or of products that cannot be ordered.
    fn bar(&mut self) {
        let customer = self.shop.users.get(&self.order.customer).and_then(|entry| entry.barred.clone());
        for index in self.open() {
            let product = self.shop.products.get(&self.order.lines[index].product).and_then(|entry| entry.barred.clone());
            self.ended[index] = customer.clone().or(product).map(Ended::Not);
        }
    }

    /// Receives the stock of some lines and orders them.
    async fn order_part(&mut self, lines: &[usize]) -> Result<(), ImportError> {
        let key = self.key();
        for (code, why) in self.receive(lines, &key).await? {
            let of_it: Vec<usize> = lines.iter().copied().filter(|index| self.order.lines[*index].product == code).collect();
            self.end(&of_it, &Ended::Not(format!("its stock was refused: {why}")));
        }
        let lines: Vec<usize> = lines.iter().copied().filter(|index| self.ended[*index].is_none()).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let ended = match self.shop.api.post("/orders", &format!("import/order/{key}"), self.body(&lines)).await {
            Ok(made) => end_of(self.shop, &made.id).await?.1,
            Err(error) if error.is_one_of(&PLACED) => Ended::Not(OTHER_LINES.into()),
            Err(error) => Ended::Not(format!("its order was refused: {}", error.rule().map(str::to_owned).ok_or(error)?)),
        };
        self.parts += 1;
        self.end(&lines, &ended);
        Ok(())
    }

    /// Receives the pieces that some lines sell, under keys that follow from the order's; answers the products that refuse them, with the
    /// reason.
    async fn receive(&self, lines: &[usize], key: &str) -> Result<Vec<(String, String)>, ImportError> {
        let mut pieces: BTreeMap<&str, i64> = BTreeMap::new();
        for index in lines {
            let line = &self.order.lines[*index];
            *pieces.entry(&line.product).or_default() += line.quantity;
        }
        let receive = |(code, pieces)| async move {
            let key = format!("import/receipt/{key}/{}", keyed(code));
            Ok::<_, ImportError>(self.receive_one(code, pieces, &key).await?.map(|why| (code.to_owned(), why)))
        };
        let refused: Vec<Option<_>> =
            stream::iter(pieces).map(receive).buffer_unordered(self.shop.limits.concurrency).try_collect().await?;
        Ok(refused.into_iter().flatten().collect())
    }

    async fn receive_one(&self, code: &str, pieces: i64, key: &str) -> Result<Option<String>, ApiError> {
        let id = self.shop.products.get(code).and_then(|entry| entry.id.as_deref()).unwrap_or_default();
        let (mut left, mut part) = (pieces, 0);
        while left > 0 {
            part += 1;
            let quantity = left.min(MOST_PIECES);
            let key = format!("{key}/{part}");
            match self.shop.api.post(&format!("/products/{id}/stock-receipts"), &key, json!({"quantity": quantity})).await {
                Ok(_) => {}
                // They were received for this invoice before, in another number, by an import that was cut off: the order shows whether
                // they are enough.
                Err(error) if error.is_one_of(&["idempotency-key-reused"]) => {}
                Err(error) => return error.rule().map(|rule| Some(rule.to_owned())).ok_or(error),
            }
            left -= quantity;
        }
        Ok(None)
    }

    fn body(&self, lines: &[usize]) -> Value {
        let id = |entry: Option<&super::catalogue::Entry>| entry.and_then(|entry| entry.id.clone());
        let line = |line: &Line| {
            let agreed_price = json!({"amount": line.pence, "currency": "GBP"});
            json!({"product_id": id(self.shop.products.get(&line.product)), "quantity": line.quantity, "agreed_price": agreed_price})
        };
        let lines: Vec<Value> = lines.iter().map(|index| line(&self.order.lines[*index])).collect();
        json!({"user_id": id(self.shop.users.get(&self.order.customer)), "lines": lines, "payment": {"method": "invoice"}})
    }
}

/// Waits until an order's saga has ended, in one way or another; answers the order, and how.
async fn end_of(shop: &Shop<'_>, id: &str) -> Result<(Value, Ended), ImportError> {
    let path = format!("/orders/{id}");
    let seen = async || Ok(shop.api.get(&path, &[]).await?.and_then(|order| ended(&order).map(|ended| (order, ended))));
    look(shop.limits, format!("the order {id} is neither confirmed nor off"), seen).await
}

fn ended(order: &Value) -> Option<Ended> {
    match (order["status"].as_str()?, order["payment_id"].as_str()) {
        ("confirmed", payment) => Some(Ended::Confirmed { payment: payment?.to_owned() }),
        ("placed", _) => None,
        (off, _) => Some(Ended::Not(match order["reason"].as_str() {
            Some(reason) => format!("its order was {off}: {reason}"),
            None => format!("its order was {off}"),
        })),
    }
}
