//! The first pass: works out from the file alone what to ask of the shop.

use crate::{
    Cancellation, FileError, Options, ReadAs, cancellations, dates,
    line::{Form, Line, parse},
    numbers,
    numbers::DecimalMark,
    records::Records,
    text::decode,
};
use std::collections::{BTreeMap, HashMap};

/// A line that is not imported, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The physical line, the file's first being 1.
    pub line: u64,
    /// The reason, for the merchant.
    pub reason: String,
}

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOrder {
    /// The invoice's number.
    pub invoice: String,
    /// The customer's number.
    pub customer: String,
    /// Its lines, in the file's order.
    pub lines: Vec<Line>,
}

/// A product as it first appears in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedProduct {
    /// The first description that is not empty, or the code.
    pub name: String,
    /// The first price, in pence.
    pub pence: i64,
}

/// The plan of a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// How the file was read.
    pub read_as: ReadAs,
    /// Lines of the file, the header not counted.
    pub lines: u64,
    /// Customers by number, with their country.
    pub customers: BTreeMap<String, String>,
    /// Products by stock code.
    pub products: BTreeMap<String, PlannedProduct>,
    /// Orders, in the order of their first lines in the file.
    pub orders: Vec<PlannedOrder>,
    /// Lines that cancel, in the file's order.
    pub cancellations: Vec<Cancellation>,
    /// The lines that are not imported.
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// Reads a CSV file and makes its plan.
    pub fn read(bytes: &[u8], options: &Options) -> Result<Self, FileError> {
        let text = decode(bytes, options.encoding.map(|stated| stated.0))?;
        let records = Records::find(&text.text, &options.columns)?;
        let (dates, form) = form(&records, options, text.spoilt)?;
        let decimal = if form.decimal == DecimalMark::Point { "point" } else { "comma" };
        let (encoding, separated_by) = (text.encoding, records.separated_by);
        let read_as = ReadAs { encoding, separated_by, dates, decimal };
        let (mut plan, mut accepted) = (Self { read_as, ..Self::default() }, Vec::new());
        records.for_each(|number, record| {
            plan.lines += 1;
            match record.map_err(str::to_owned).and_then(|record| parse(&records.columns, form, record, number)) {
                Ok(line) => accepted.push(line),
                Err(reason) => plan.skip(number, reason),
            }
        });
        let (cancelling, selling): (Vec<Line>, Vec<Line>) = accepted.into_iter().partition(|line| line.cancels);
        plan.order(selling);
        plan.cancellations = cancellations::matched(&plan.orders, cancelling);
        plan.list();
        Ok(plan)
    }

    /// Notes that a line is not imported.
    pub fn skip(&mut self, line: u64, reason: impl Into<String>) {
        self.skipped.push(Skipped { line, reason: reason.into() });
    }

    /// Makes each invoice an order of its first line's customer; skips its lines of other customers.
    fn order(&mut self, lines: Vec<Line>) {
        let mut invoices: HashMap<String, usize> = HashMap::new();
        for line in lines {
            let index = *invoices.entry(line.invoice.clone()).or_insert_with(|| {
                let (invoice, customer) = (line.invoice.clone(), line.customer.clone());
                self.orders.push(PlannedOrder { invoice, customer, lines: Vec::new() });
                self.orders.len() - 1
            });
            if self.orders[index].customer == line.customer {
                self.orders[index].lines.push(line);
            } else {
                self.skip(line.number, "another customer than the invoice's first line");
            }
        }
    }

    /// Works out the customers and the products.
    fn list(&mut self) {
        for line in self.orders.iter().flat_map(|order| &order.lines) {
            self.customers.entry(line.customer.clone()).or_insert_with(|| line.country.clone());
            let first = || PlannedProduct { name: String::new(), pence: line.pence };
            let product = self.products.entry(line.product.clone()).or_insert_with(first);
            if product.name.is_empty() {
                product.name = name_of(&line.description);
            }
        }
        for (code, product) in &mut self.products {
            if product.name.is_empty() {
                product.name.clone_from(code);
            }
        }
    }
}

/// How all lines of the file are read, from what they show and from what the merchant says; and the form of its dates, for people.
fn form(records: &Records<'_>, options: &Options, spoilt: bool) -> Result<(&'static str, Form), FileError> {
    let (mut dates, mut numbers) = (dates::Shown::default(), numbers::Shown::default());
    records.for_each(|number, record| {
        if let Some([_, _, _, quantity, date, price, ..]) = record.ok().and_then(|record| records.columns.fields(record)) {
            dates.see(number, date);
            [quantity, price].into_iter().for_each(|text| numbers.see(number, text));
        }
    });
    let (order, decimal) = (dates.order(options.dates)?, numbers.mark(options.decimal)?);
    Ok((dates.words(order), Form { dates: order, decimal, spoilt }))
}

/// A stock code as part of an idempotency key, which may hold no spaces.
pub fn keyed(code: &str) -> String {
    code.replace(' ', "%20")
}

/// A description as a name that the domain accepts, without the characters that it does not; empty where nothing is left to be seen.
fn name_of(description: &str) -> String {
    let accepted = |c: &char| format!("x{c}x").parse::<domain::Text>().is_ok();
    let name = |text: &str| text.parse::<domain::Text>().map(|name| name.to_string());
    let left = || description.chars().filter(accepted).take(domain::Text::MAX).collect::<String>();
    name(description).or_else(|_| name(&left())).unwrap_or_default()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
