//! A merchant's file gives an error that says what to do, or a plan. In a plan each line has one place, the shop accepts everything that
//! it asks for, and the same file always gives the same plan.

use domain::{Quantity, Sku, Text};
use invoices::{FileError, Line, Options, Plan, decode};
use std::collections::{BTreeMap, BTreeSet};

const COLUMNS: [&str; 8] = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// The input is the file.
pub fn check(bytes: &[u8]) -> bool {
    let read = read(bytes);
    assert_eq!(self::read(bytes), read, "the same file made two plans");
    match read {
        Err(error) => {
            says_what_is_wrong(&error);
            false
        }
        Ok(plan) => {
            each_line_has_one_place(&plan, &decode(bytes, None).expect("it was decoded before").text);
            each_line_can_be_ordered(&plan);
            nothing_is_given_back_twice(&plan);
            the_catalogue_is_what_the_orders_speak_of(&plan);
            what_is_sold_makes_the_same_orders_again(&plan);
            !plan.orders.is_empty()
        }
    }
}

fn read(bytes: &[u8]) -> Result<Plan, FileError> {
    Plan::read(bytes, &Options::default())
}

/// A refusal is one line, and names what it is about: the columns, or the line, or what the file is.
fn says_what_is_wrong(error: &FileError) {
    let said = error.to_string();
    assert!(!said.is_empty() && !said.contains(['\n', '\r']), "{said:?} is not one line");
    match error {
        FileError::Missing { missing, .. } => assert!(missing.iter().all(|column| said.contains(column.name())), "{said}"),
        FileError::Twice { column, .. } => assert!(said.contains(column.name()), "{said}"),
        FileError::NotText { advice, .. } => assert!(said.contains("not a CSV file") && said.contains(advice), "{said}"),
        FileError::Empty => {}
        FileError::Header { .. }
        | FileError::NoHeader { .. }
        | FileError::AmbiguousDates { .. }
        | FileError::ContradictoryDates { .. }
        | FileError::AmbiguousNumbers { .. }
        | FileError::ContradictoryNumbers { .. } => assert!(said.contains("line "), "{said}"),
    }
}

fn lines(plan: &Plan) -> impl Iterator<Item = &Line> {
    plan.orders.iter().flat_map(|order| &order.lines)
}

/// Sold, cancelled or skipped with a reason: each under a number of its own that is a line of the file.
fn each_line_has_one_place(plan: &Plan, text: &str) {
    let cancelled = plan.cancellations.iter().map(|cancellation| cancellation.line.number);
    let sold = lines(plan).map(|line| line.number);
    let skipped = plan.skipped.iter().map(|skipped| skipped.line);
    let numbers: Vec<u64> = sold.chain(skipped).chain(cancelled).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!((numbers.len() as u64, distinct.len()), (plan.lines, numbers.len()), "a line has no number of its own: {numbers:?}");
    let last = physical_lines(text.as_bytes());
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
    let keys: BTreeSet<&str> = plan.orders.iter().map(|order| order.invoice.as_str()).collect();
    assert_eq!(keys.len(), plan.orders.len(), "two orders have one key");
    for order in &plan.orders {
        assert!(!order.lines.is_empty() && is_key(&order.invoice), "{}", order.invoice);
        let same = |line: &Line| line.customer == order.customer && line.invoice == order.invoice && !line.cancels;
        assert!(order.lines.iter().all(same), "{} mixes", order.invoice);
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

/// What a cancellation takes back in its file is all that it cancels or nothing, and all of them take no more than was sold.
fn nothing_is_given_back_twice(plan: &Plan) {
    let mut left: BTreeMap<(usize, usize), i64> = BTreeMap::new();
    for cancellation in &plan.cancellations {
        for part in &cancellation.parts {
            let line = &plan.orders[part.order].lines[part.line];
            let left = left.entry((part.order, part.line)).or_insert(line.quantity);
            *left -= part.quantity;
            assert!(part.quantity > 0 && *left >= 0, "more is given back than was sold: {part:?}");
            assert_eq!((line.pence, &line.product), (cancellation.line.pence, &cancellation.line.product));
        }
        let taken: i64 = cancellation.parts.iter().map(|part| part.quantity).sum();
        assert!(taken == 0 || taken == cancellation.line.quantity, "{cancellation:?} is given back in part");
        assert!(cancellation.line.cancels && is_key(&cancellation.key), "{}", cancellation.key);
    }
    let keys: BTreeSet<&str> = plan.cancellations.iter().map(|cancellation| cancellation.key.as_str()).collect();
    assert_eq!(keys.len(), plan.cancellations.len(), "two cancellations have one key");
}

/// Customers and products are those of the orders, and the shop takes their names.
fn the_catalogue_is_what_the_orders_speak_of(plan: &Plan) {
    let sold: BTreeSet<&String> = lines(plan).map(|line| &line.product).collect();
    assert_eq!(sold, plan.products.keys().collect());
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
    let again = read(&file).expect("the header is right");
    assert_eq!((&again.skipped, &again.cancellations), (&Vec::new(), &Vec::new()));
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
