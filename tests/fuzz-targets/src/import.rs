//! A merchant's file gives an error that names the column, or a plan. In a plan each line has one place, the shop accepts everything that
//! it asks for, and the same file always gives the same plan.

use domain::{Quantity, Sku, Text};
use invoices::{HeaderError, Line, Plan};
use std::collections::{BTreeMap, BTreeSet};

const COLUMNS: [&str; 8] = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// The input is the file.
pub fn check(bytes: &[u8]) -> bool {
    let read = Plan::read(bytes);
    assert_eq!(Plan::read(bytes), read, "the same file made two plans");
    match read {
        Err(error @ HeaderError::Missing(column)) => {
            assert!(COLUMNS.contains(&column) && error.to_string().contains(column), "{error} names no column");
            false
        }
        Err(HeaderError::Unreadable(why)) => {
            assert!(!why.is_empty(), "a file is refused without a reason");
            false
        }
        Ok(plan) => {
            each_line_has_one_place(&plan, bytes);
            each_line_can_be_ordered(&plan);
            nothing_is_given_back_twice(&plan);
            the_catalogue_is_what_the_orders_speak_of(&plan);
            what_is_sold_makes_the_same_orders_again(&plan);
            !plan.orders.is_empty()
        }
    }
}

fn lines(plan: &Plan) -> impl Iterator<Item = &Line> {
    plan.orders.iter().flat_map(|order| &order.lines)
}

/// Sold, cancelled or skipped with a reason: each under a number of its own that is a line of the file.
fn each_line_has_one_place(plan: &Plan, bytes: &[u8]) {
    let cancelled: BTreeSet<u64> = plan.refunds.iter().map(|refund| refund.number).collect();
    let sold = lines(plan).map(|line| line.number);
    let skipped = plan.skipped.iter().map(|skipped| skipped.line);
    let numbers: Vec<u64> = sold.chain(skipped).chain(cancelled).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!((numbers.len() as u64, distinct.len()), (plan.lines, numbers.len()), "a line has no number of its own: {numbers:?}");
    let last = physical_lines(bytes);
    assert!(distinct.iter().all(|number| (2..=last).contains(number)), "{numbers:?} are not of the {last} lines");
    assert!(plan.skipped.iter().all(|skipped| !skipped.reason.is_empty()), "a line is skipped without a reason");
}

/// `\n`, `\r` and `\r\n` each end a line.
fn physical_lines(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().enumerate().filter(|(at, byte)| **byte == b'\n' || (**byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')));
    ends.count() as u64 + 1
}

/// Keys are used once, and lines are what the API takes.
fn each_line_can_be_ordered(plan: &Plan) {
    let keys: BTreeSet<&str> = plan.orders.iter().map(|order| order.key.as_str()).collect();
    assert_eq!(keys.len(), plan.orders.len(), "two orders have one key");
    for order in &plan.orders {
        assert!((1..=1000).contains(&order.lines.len()) && is_key(&order.key), "{}", order.key);
        assert!(order.lines.iter().all(|line| line.customer == order.customer && !line.cancels), "{} mixes", order.key);
    }
    for line in lines(plan) {
        assert!((1..=Quantity::MAX).contains(&line.quantity) && line.pence > 0, "{line:?}");
        assert!(line.quantity.checked_mul(line.pence).is_some_and(|amount| amount <= domain::Money::MAX), "{line:?}");
    }
}

/// True if a text can be part of an `Idempotency-Key`, with room for a prefix.
fn is_key(text: &str) -> bool {
    (1..=150).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A refund belongs to a line, is paid at its price, and all of them together are no more than was sold.
fn nothing_is_given_back_twice(plan: &Plan) {
    let mut left: BTreeMap<(usize, usize), i64> = BTreeMap::new();
    for refund in &plan.refunds {
        let line = &plan.orders[refund.order].lines[refund.line];
        let left = left.entry((refund.order, refund.line)).or_insert(line.quantity);
        *left -= refund.quantity;
        assert!(refund.quantity > 0 && *left >= 0, "more is given back than was sold: {refund:?}");
        assert_eq!(refund.pence, refund.quantity * line.pence);
        assert!(is_key(&refund.key), "{}", refund.key);
    }
    let keys: BTreeSet<&str> = plan.refunds.iter().map(|refund| refund.key.as_str()).collect();
    assert_eq!(keys.len(), plan.refunds.len(), "two refunds have one key");
}

/// Customers and products are those of the orders, and the shop takes their names.
fn the_catalogue_is_what_the_orders_speak_of(plan: &Plan) {
    let mut pieces: BTreeMap<&str, i64> = BTreeMap::new();
    lines(plan).for_each(|line| *pieces.entry(&line.product).or_default() += line.quantity);
    let planned = plan.products.iter().map(|(code, product)| (code.as_str(), product.pieces)).collect();
    assert_eq!(pieces, planned);
    let customers: BTreeSet<&String> = lines(plan).map(|line| &line.customer).collect();
    assert_eq!(customers, plan.customers.keys().collect());
    for (code, product) in &plan.products {
        code.parse::<Sku>().expect("the shop takes the stock code");
        product.name.parse::<Text>().expect("the shop takes the product's name");
    }
}

/// A file of the plan's own sales makes those sales: the same keys, so that nothing is ordered twice.
fn what_is_sold_makes_the_same_orders_again(plan: &Plan) {
    let file = written(plan).expect("memory takes it");
    let again = Plan::read(&file).expect("the header is right");
    assert_eq!((&again.skipped, &again.refunds), (&Vec::new(), &Vec::new()));
    assert_eq!((&again.customers, &again.products), (&plan.customers, &plan.products));
    let without_numbers = |plan: &Plan| {
        let mut orders = plan.orders.clone();
        orders.iter_mut().flat_map(|order| &mut order.lines).for_each(|line| line.number = 0);
        orders
    };
    assert_eq!(without_numbers(&again), without_numbers(plan));
}

fn written(plan: &Plan) -> Result<Vec<u8>, csv::Error> {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(COLUMNS)?;
    for line in lines(plan) {
        let (quantity, price) = (line.quantity.to_string(), format!("{}.{:02}", line.pence / 100, line.pence % 100));
        let fields = [&line.invoice, &line.product, &line.description, &quantity, &line.date, &price, &line.customer, &line.country];
        file.write_record(fields)?;
    }
    file.into_inner().map_err(|error| error.into_error().into())
}
