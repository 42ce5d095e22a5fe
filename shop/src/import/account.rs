//! What a customer bought, in this file and in earlier ones, as far as its cancellations may take it back.

use super::{
    api::{ACTOR, Api, ApiError},
    catalogue::{product_id, user_id},
    execute::Shop,
};
use invoices::Line;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The pieces of a product that an order sold at a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The order's payment.
    pub payment: String,
    product: String,
    pence: i64,
    /// Pieces sold.
    pub sold: i64,
    /// Pieces that were not given back yet.
    pub left: i64,
}

/// A customer's confirmed sales, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The sales that some cancellation may take back.
    pub sales: Vec<Sale>,
    /// The ids of the products that the cancellations name.
    products: HashMap<String, BTreeSet<String>>,
}

impl Account {
    /// Finds the sales that these cancelling lines of the customer may be about.
    pub async fn find(shop: &Shop<'_>, customer: &str, lines: &[&Line]) -> Result<Self, ApiError> {
        let mut account = Self::default();
        for line in lines {
            if !account.products.contains_key(&line.product) {
                account.products.insert(line.product.clone(), products(shop, &line.product).await?);
            }
        }
        let orders = shop.api.list(&format!("/users/{}/orders", user_id(customer)), &[("status", "confirmed")]).await?;
        for order in orders.iter().filter(|order| order["total"]["currency"] == "GBP") {
            account.take(shop.api, order, lines).await?;
        }
        Ok(account)
    }

    async fn take(&mut self, api: &Api, order: &Value, lines: &[&Line]) -> Result<(), ApiError> {
        let mut sales = sales(order);
        if !lines.iter().any(|line| sales.iter().any(|sale| self.is_of(sale, line))) {
            return Ok(());
        }
        let path = format!("/orders/{}/timeline", order["order_id"].as_str().unwrap_or_default());
        let timeline = api.get(&path, &[]).await?.unwrap_or_default();
        give_back(&mut sales, &refunded(&timeline));
        self.sales.extend(sales);
        Ok(())
    }

    fn is_of(&self, sale: &Sale, line: &Line) -> bool {
        sale.pence == line.pence && self.products.get(&line.product).is_some_and(|ids| ids.contains(&sale.product))
    }

    /// The sales that a cancelling line may take back, the newest first.
    pub fn sales_of(&self, line: &Line) -> impl Iterator<Item = usize> {
        (0..self.sales.len()).filter(|index| self.is_of(&self.sales[*index], line))
    }

    /// The sale of a line's product and price by the order with this payment.
    pub fn sale(&self, payment: &str, line: &Line) -> Option<usize> {
        self.sales_of(line).find(|index| self.sales[*index].payment == payment)
    }
}

/// The ids of the products with a stock code: the one that imports list, and those that somebody listed by hand.
async fn products(shop: &Shop<'_>, code: &str) -> Result<BTreeSet<String>, ApiError> {
    let listed = shop.api.list("/products", &[("sku", code)]).await?;
    let ids = listed.iter().filter_map(|product| product["product_id"].as_str().map(str::to_owned));
    Ok(ids.chain([product_id(code)]).collect())
}

/// What an order sold, by product and price.
fn sales(order: &Value) -> Vec<Sale> {
    let mut sold: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for line in order["lines"].as_array().into_iter().flatten() {
        if let (Some(product), Some(pence)) = (line["product_id"].as_str(), line["unit_price"]["amount"].as_i64()) {
            *sold.entry((product, pence)).or_default() += line["quantity"].as_i64().unwrap_or_default();
        }
    }
    let payment = order["payment_id"].as_str().unwrap_or_default();
    let sale =
        |((product, pence), sold): ((&str, i64), i64)| Sale { payment: payment.into(), product: product.into(), pence, sold, left: sold };
    sold.into_iter().map(sale).collect()
}

/// The amounts that imports asked to give back and that did not fail, by the order's timeline.
fn refunded(timeline: &Value) -> Vec<i64> {
    let mut requested: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in timeline["entries"].as_array().into_iter().flatten() {
        let (data, ours) = (&entry["data"], entry["actor"] == ACTOR);
        match (entry["event"].as_str(), data["refund_id"].as_str(), data["amount"]["amount"].as_i64()) {
            (Some("PaymentRefundRequested" | "PaymentRefunded"), Some(id), Some(pence)) if ours => drop(requested.insert(id, pence)),
            (Some("PaymentRefundFailed"), Some(id), _) => drop(requested.remove(id)),
            (_, _, _) => {}
        }
    }
    requested.into_values().collect()
}

/// Takes refunds from the sales of an order. The shop books amounts only, so a refund counts as one of the dearest price that divides it and
/// has enough pieces left, and products of one price share what was given back at it.
fn give_back(sales: &mut [Sale], refunds: &[i64]) {
    let mut left: BTreeMap<i64, i64> = BTreeMap::new();
    sales.iter().for_each(|sale| *left.entry(sale.pence).or_default() += sale.sold);
    for amount in refunds {
        let fits = |(pence, left): &(&i64, &mut i64)| **pence > 0 && amount % **pence == 0 && amount / **pence <= **left;
        if let Some((pence, left)) = left.iter_mut().rev().find(fits) {
            *left -= amount / pence;
        }
    }
    sales.iter_mut().for_each(|sale| sale.left = sale.sold.min(left[&sale.pence]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(refunds: &[i64]) -> Vec<i64> {
        let sale = |product: &str, pence, sold| Sale { payment: "p".into(), product: product.into(), pence, sold, left: sold };
        let mut sales = vec![sale("heart", 150, 5), sale("mug", 150, 2), sale("lamp", 600, 3)];
        give_back(&mut sales, refunds);
        sales.into_iter().map(|sale| sale.left).collect()
    }

    #[test]
    fn a_refund_counts_at_the_price_that_it_was_most_probably_for() {
        assert_eq!(left(&[]), [5, 2, 3]);
        assert_eq!(left(&[600]), [5, 2, 2]);
        assert_eq!(left(&[450]), [4, 2, 3], "of seven pieces at this price four are left, whichever they are");
        assert_eq!(left(&[1800, 600]), [3, 2, 0], "no fourth lamp was sold");
        assert_eq!(left(&[7]), [5, 2, 3]);
    }
}
