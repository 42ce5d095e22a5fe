//! Matches the lines that cancel with the sales of the same file.

use crate::{Line, PlannedOrder, keyed};
use std::collections::HashMap;

/// A line that takes pieces back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The line.
    pub line: Line,
    /// Names its refunds by the content of the line (invoice, stock code, pieces and price, and the count among lines with the same), so
    /// that another sample of the same cancellation gives them the same names.
    pub key: String,
    /// The sales of this file that it takes back, in the order in which it takes them; none where the file has too few.
    pub parts: Vec<Part>,
}

/// Pieces that are taken back from one line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The index of the order.
    pub order: usize,
    /// The index of the line among the order's lines.
    pub line: usize,
    /// Pieces taken back.
    pub quantity: i64,
}

/// Customer, product and price: a cancellation and its sale agree in all three.
type What = (String, String, i64);

fn what(line: &Line) -> What {
    (line.customer.clone(), line.product.clone(), line.pence)
}

/// Matches each cancelling line with the sales that it takes back: earlier lines of the same customer, product and price with pieces
/// left, the last order first, several where one has too few.
pub fn matched(orders: &[PlannedOrder], lines: Vec<Line>) -> Vec<Cancellation> {
    let mut sold: HashMap<What, Vec<Part>> = HashMap::new();
    for (order, planned) in orders.iter().enumerate() {
        for (index, line) in planned.lines.iter().enumerate() {
            sold.entry(what(line)).or_default().push(Part { order, line: index, quantity: line.quantity });
        }
    }
    let mut alike: HashMap<String, u32> = HashMap::new();
    let matched = lines.into_iter().map(|line| {
        let name = format!("C{}/{}/{}x{}", line.invoice, keyed(&line.product), line.quantity, line.pence);
        let nth = alike.entry(name.clone()).or_default();
        *nth += 1;
        let earlier = |left: &&mut Part| left.quantity > 0 && orders[left.order].lines[left.line].date <= line.date;
        let matching: Vec<&mut Part> = sold.get_mut(&what(&line)).map(|sold| sold.iter_mut().filter(earlier).collect()).unwrap_or_default();
        Cancellation { key: format!("{name}/{nth}"), parts: spread(matching, line.quantity), line }
    });
    matched.collect()
}

/// Takes pieces from the matching sales, the last first; nothing when there are not enough.
fn spread(mut matching: Vec<&mut Part>, mut wanted: i64) -> Vec<Part> {
    let available: i64 = matching.iter().map(|left| left.quantity).sum();
    let mut parts = Vec::new();
    while let Some(left) = matching.pop().filter(|_| (1..=available).contains(&wanted)) {
        let quantity = wanted.min(left.quantity);
        (left.quantity, wanted) = (left.quantity - quantity, wanted - quantity);
        parts.push(Part { quantity, ..*left });
    }
    parts
}
