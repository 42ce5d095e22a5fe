//! What became of the file: the summary, and the lines that were left out.

use super::plan::Plan;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt, fs, io::Write, path::Path, time::Duration};

/// Writes each line that was not imported, in the file's order: `{"line": n, "reason": "..."}`. The file appears whole or not at all.
pub fn write(path: &Path, plan: &Plan) -> std::io::Result<()> {
    let mut skipped = plan.skipped.clone();
    skipped.sort_by_key(|skipped| skipped.line);
    let unfinished = path.with_extension("unfinished");
    let mut file = std::io::BufWriter::new(fs::File::create(&unfinished)?);
    for line in &skipped {
        writeln!(file, "{}", json!({"line": line.line, "reason": line.reason}))?;
    }
    file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    fs::rename(unfinished, path)
}

/// Lines, pieces and pence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    lines: u64,
    units: i64,
    pence: i64,
}

/// The figures of an import. `units` and `revenue` are net: cancellations count with their minus, so that they are the sums over
/// the file's lines that are not in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    lines: u64,
    skipped: u64,
    orders: usize,
    users: usize,
    products: usize,
    sold: Sum,
    cancelled: Sum,
    elapsed: Duration,
}

impl Summary {
    /// The figures of a plan that was carried out.
    pub fn of(plan: &Plan, elapsed: Duration) -> Self {
        let lines = || plan.orders.iter().flat_map(|order| &order.lines);
        let sold = lines().fold(Sum::default(), |sum, line| Sum {
            lines: sum.lines + 1,
            units: sum.units + line.quantity,
            pence: sum.pence + line.quantity * line.pence,
        });
        let numbers: BTreeSet<u64> = plan.refunds.iter().map(|refund| refund.number).collect();
        let back = plan.refunds.iter().fold((0, 0), |(units, pence), refund| (units + refund.quantity, pence + refund.pence));
        let cancelled = Sum { lines: numbers.len() as u64, units: back.0, pence: back.1 };
        let orders = plan.orders.iter().filter(|order| !order.lines.is_empty()).count();
        let (users, products) = (plan.customers.len(), plan.products.len());
        Self { lines: plan.lines, skipped: plan.skipped.len() as u64, orders, users, products, sold, cancelled, elapsed }
    }

    /// One object, for scripts.
    pub fn json(&self) -> Value {
        let sum = |sum: Sum| json!({"lines": sum.lines, "units": sum.units, "revenue": {"GBP": sum.pence}});
        json!({
            "lines": self.lines, "imported_lines": self.sold.lines + self.cancelled.lines, "skipped_lines": self.skipped,
            "orders": self.orders, "units": self.sold.units - self.cancelled.units, "revenue": {"GBP": self.sold.pence - self.cancelled.pence},
            "sold": sum(self.sold), "cancelled": sum(self.cancelled), "users": self.users, "products": self.products,
            "seconds": self.elapsed.as_secs_f64(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pounds = |pence: i64| format!("{}{}.{:02}", if pence < 0 { "-" } else { "" }, pence.abs() / 100, pence.abs() % 100);
        let net = Sum {
            lines: self.sold.lines + self.cancelled.lines,
            units: self.sold.units - self.cancelled.units,
            pence: self.sold.pence - self.cancelled.pence,
        };
        writeln!(f, "{} lines: {} imported, {} skipped", self.lines, net.lines, self.skipped)?;
        writeln!(f, "{} orders of {} customers for {} products", self.orders, self.users, self.products)?;
        writeln!(
            f,
            "{} units, GBP {} (sold GBP {}, cancelled GBP {})",
            net.units,
            pounds(net.pence),
            pounds(self.sold.pence),
            pounds(self.cancelled.pence)
        )?;
        writeln!(f, "in {:.1} s", self.elapsed.as_secs_f64())
    }
}
