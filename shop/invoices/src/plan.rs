//! The first pass: works out from the file alone what to ask of the shop.

use crate::line::{Columns, HeaderError, Line, parse};
use crate::places::Places;
use csv::{ByteRecord, ReaderBuilder};
use std::collections::{BTreeMap, HashMap};

/// The most lines that the API takes in one order; a longer invoice becomes several.
const MOST_LINES: usize = 1000;

/// A line that is not imported, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The physical line, the header being 1.
    pub line: u64,
    /// The reason, for the merchant.
    pub reason: String,
}

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOrder {
    /// The invoice, with `/2` and so on where it becomes several orders.
    pub key: String,
    /// The customer's number.
    pub customer: String,
    /// Its lines, in the file's order.
    pub lines: Vec<Line>,
}

/// Money to be given back for a cancelled line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRefund {
    /// Names this refund by the content of its line (invoice, stock code, pieces and price, and the count among lines with the same) and by
    /// the part, so that another sample of the same cancellation gives it the same name.
    pub key: String,
    /// The index of the order that it takes pieces back from.
    pub order: usize,
    /// The index of the cancelled line among the order's lines.
    pub line: usize,
    /// The cancelling line's number in the file.
    pub number: u64,
    /// Pieces taken back.
    pub quantity: i64,
    /// Pence given back.
    pub pence: i64,
}

/// A product as it first appears in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedProduct {
    /// The first description that is not empty, or the code.
    pub name: String,
    /// The first price, in pence.
    pub pence: i64,
    /// All pieces of it that the file sells.
    pub pieces: i64,
}

/// The plan of a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Lines of the file, the header not counted.
    pub lines: u64,
    /// Customers by number, with their country.
    pub customers: BTreeMap<String, String>,
    /// Products by stock code.
    pub products: BTreeMap<String, PlannedProduct>,
    /// Orders, in the order of their first lines in the file.
    pub orders: Vec<PlannedOrder>,
    /// Refunds, in the file's order.
    pub refunds: Vec<PlannedRefund>,
    /// The lines that are not imported.
    pub skipped: Vec<Skipped>,
    /// Distinguishes this file's stock receipts from another file's: the first 16 hexadecimal digits of the SHA-256 of its content.
    pub fingerprint: String,
}

impl Plan {
    /// Reads a CSV file and makes its plan.
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut record = ByteRecord::new();
        let read = reader.read_byte_record(&mut record).map_err(|error| HeaderError::Unreadable(error.to_string()))?;
        let columns = if read { Columns::find(&record)? } else { return Err(HeaderError::Unreadable("the file is empty".into())) };
        let mut plan = Self { fingerprint: fingerprint(bytes), ..Self::default() };
        let (mut accepted, mut places) = (Vec::new(), Places::new(bytes));
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(false) => break,
                Ok(true) => plan.take(&columns, &record, places.line_of(&record), &mut accepted),
                Err(error) => return Err(HeaderError::Unreadable(error.to_string())),
            }
        }
        let (cancelling, selling): (Vec<Line>, Vec<Line>) = accepted.into_iter().partition(|line| line.cancels);
        plan.order(selling);
        plan.cancel(cancelling);
        plan.stock();
        Ok(plan)
    }

    fn take(&mut self, columns: &Columns, record: &ByteRecord, number: u64, accepted: &mut Vec<Line>) {
        self.lines += 1;
        match parse(columns, record, number) {
            Ok(line) => accepted.push(line),
            Err(reason) => self.skip(number, reason),
        }
    }

    /// Notes that a line is not imported.
    pub fn skip(&mut self, line: u64, reason: impl Into<String>) {
        self.skipped.push(Skipped { line, reason: reason.into() });
    }

    /// Makes each invoice an order (a long one, several) of its first line's customer; skips its lines of other customers.
    fn order(&mut self, lines: Vec<Line>) {
        let mut invoices: HashMap<String, Vec<usize>> = HashMap::new();
        for line in lines {
            let orders = invoices.entry(line.invoice.clone()).or_default();
            let customer = orders.first().map(|first| self.orders[*first].customer.clone());
            if customer.is_some_and(|customer| customer != line.customer) {
                self.skip(line.number, "another customer than the invoice's first line");
                continue;
            }
            let open = orders.last().copied().filter(|last| self.orders[*last].lines.len() < MOST_LINES);
            let index = open.unwrap_or_else(|| {
                let key = if orders.is_empty() { line.invoice.clone() } else { format!("{}/{}", line.invoice, orders.len() + 1) };
                self.orders.push(PlannedOrder { key, customer: line.customer.clone(), lines: Vec::new() });
                orders.push(self.orders.len() - 1);
                self.orders.len() - 1
            });
            self.orders[index].lines.push(line);
        }
    }

    /// Matches each cancelling line with the sales that it takes back: earlier lines of the same customer, product and price with pieces
    /// left, the last order first, several where one has too few.
    fn cancel(&mut self, lines: Vec<Line>) {
        let mut sold: HashMap<What, Vec<Left>> = HashMap::new();
        for (order, planned) in self.orders.iter().enumerate() {
            for (index, line) in planned.lines.iter().enumerate() {
                sold.entry(what(line)).or_default().push((order, index, line.quantity));
            }
        }
        let mut alike: HashMap<String, u32> = HashMap::new();
        for line in lines {
            let name = format!("C{}/{}/{}x{}", line.invoice, keyed(&line.product), line.quantity, line.pence);
            let nth = alike.entry(name.clone()).or_default();
            *nth += 1;
            let earlier = |(order, index, left): &&mut Left| *left > 0 && self.orders[*order].lines[*index].date <= line.date;
            let matching: Vec<&mut Left> =
                sold.get_mut(&what(&line)).map(|sold| sold.iter_mut().filter(earlier).collect()).unwrap_or_default();
            match spread(matching, &line, &format!("{name}/{nth}")) {
                Some(refunds) => self.refunds.extend(refunds),
                None => self.skip(
                    line.number,
                    "cancels nothing that is imported: no earlier line of this customer, product and price with enough pieces",
                ),
            }
        }
    }

    /// Works out the customers, the products, and the pieces that the orders need in stock.
    fn stock(&mut self) {
        for order in &self.orders {
            for line in &order.lines {
                self.customers.entry(line.customer.clone()).or_insert_with(|| line.country.clone());
                let first = || PlannedProduct { name: String::new(), pence: line.pence, pieces: 0 };
                let product = self.products.entry(line.product.clone()).or_insert_with(first);
                product.pieces = product.pieces.saturating_add(line.quantity);
                if product.name.is_empty() {
                    product.name = name_of(&line.description);
                }
            }
        }
        for (code, product) in &mut self.products {
            if product.name.is_empty() {
                product.name.clone_from(code);
            }
        }
    }
}

/// Customer, product and price: a cancellation and its sale agree in all three.
type What = (String, String, i64);
/// An order's index, a line's index within it, and the pieces of it that are not cancelled yet.
type Left = (usize, usize, i64);

fn what(line: &Line) -> What {
    (line.customer.clone(), line.product.clone(), line.pence)
}

/// A stock code as part of an idempotency key, which may hold no spaces.
pub fn keyed(code: &str) -> String {
    code.replace(' ', "%20")
}

/// Takes the line's pieces from the matching sales, the last first; none when there are not enough. `name` begins the refunds' keys.
fn spread(mut matching: Vec<&mut Left>, line: &Line, name: &str) -> Option<Vec<PlannedRefund>> {
    let available: i64 = matching.iter().map(|(_, _, left)| *left).sum();
    if available < line.quantity {
        return None;
    }
    let mut wanted = line.quantity;
    let mut refunds = Vec::new();
    while let Some((order, index, left)) = matching.pop().filter(|_| wanted > 0) {
        let quantity = wanted.min(*left);
        (*left, wanted) = (*left - quantity, wanted - quantity);
        let key = format!("{name}/{}", refunds.len() + 1);
        refunds.push(PlannedRefund { key, order: *order, line: *index, number: line.number, quantity, pence: quantity * line.pence });
    }
    Some(refunds)
}

/// A description as a name that the domain accepts, without the characters that it does not; empty where nothing is left to be seen.
fn name_of(description: &str) -> String {
    let accepted = |c: &char| format!("x{c}x").parse::<domain::Text>().is_ok();
    let name = |text: &str| text.parse::<domain::Text>().map(|name| name.to_string());
    let left = || description.chars().filter(accepted).take(domain::Text::MAX).collect::<String>();
    name(description).or_else(|_| name(&left())).unwrap_or_default()
}

fn fingerprint(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
