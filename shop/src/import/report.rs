//! The result of an import: the summary, and the lines that were left out.

use invoices::{Plan, ReadAs};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// Checks, before anything is imported, that the report can be written there.
pub fn check(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (path.is_dir(), folder.is_dir()) {
        (true, _) => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        (false, false) => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such directory")),
        (false, true) => Ok(()),
    }
}

/// Writes each line that was not imported, in the file's order: `{"line": n, "reason": "..."}`. The file appears whole or not at all.
pub fn write(path: &Path, plan: &Plan) -> io::Result<()> {
    // A pipe or a device cannot be replaced, so it is written to; renaming a file over /dev/null would even succeed for root.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return write_lines(fs::OpenOptions::new().write(true).open(path)?, plan).map(drop);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()));
    let written =
        fs::File::create(&unfinished).and_then(|file| write_lines(file, plan)?.sync_all()).and_then(|()| fs::rename(&unfinished, path));
    written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

fn write_lines(file: fs::File, plan: &Plan) -> io::Result<fs::File> {
    let mut skipped: Vec<_> = plan.skipped.iter().collect();
    skipped.sort_by_key(|skipped| skipped.line);
    let mut file = io::BufWriter::new(file);
    for line in skipped {
        writeln!(file, "{}", json!({"line": line.line, "reason": line.reason}))?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The most reasons that the summary shows on a terminal; the JSON has all.
const REASONS: usize = 12;

/// Lines, pieces and pence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    lines: u64,
    units: i64,
    pence: i64,
}

/// The figures of an import. `units` and `revenue` are net of cancellations: they are the sums over the file's lines that are not in the
/// report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    lines: u64,
    skipped: u64,
    orders: usize,
    users: usize,
    products: usize,
    sold: Sum,
    cancelled: Sum,
    /// Lines that were not imported, by reason.
    left_out: BTreeMap<String, u64>,
    read_as: ReadAs,
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
        let cancelled = plan.cancellations.iter().map(|cancellation| &cancellation.line).fold(Sum::default(), |sum, line| Sum {
            lines: sum.lines + 1,
            units: sum.units + line.quantity,
            pence: sum.pence + line.quantity * line.pence,
        });
        let mut left_out = BTreeMap::new();
        plan.skipped.iter().for_each(|skipped| *left_out.entry(skipped.reason.clone()).or_default() += 1);
        let orders = plan.orders.iter().filter(|order| !order.lines.is_empty()).count();
        let (users, products) = (plan.customers.len(), plan.products.len());
        let (lines, skipped, read_as) = (plan.lines, plan.skipped.len() as u64, plan.read_as.clone());
        Self { lines, skipped, orders, users, products, sold, cancelled, left_out, read_as, elapsed }
    }

    /// Whether the file has lines, and none of them was imported.
    pub fn is_of_nothing(&self) -> bool {
        self.lines > 0 && self.sold.lines + self.cancelled.lines == 0
    }

    /// One object, for scripts.
    pub fn json(&self) -> Value {
        let sum = |sum: Sum| json!({"lines": sum.lines, "units": sum.units, "revenue": {"GBP": sum.pence}});
        json!({
            "lines": self.lines, "imported_lines": self.sold.lines + self.cancelled.lines, "skipped_lines": self.skipped,
            "orders": self.orders, "units": self.sold.units - self.cancelled.units, "revenue": {"GBP": self.sold.pence - self.cancelled.pence},
            "sold": sum(self.sold), "cancelled": sum(self.cancelled), "users": self.users, "products": self.products,
            "left_out": self.left_out, "read_as": {
                "encoding": self.read_as.encoding, "separated_by": self.read_as.separated_by, "dates": self.read_as.dates,
                "decimal": self.read_as.decimal,
            },
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
        let mut reasons: Vec<_> = self.left_out.iter().collect();
        reasons.sort_by_key(|(_, lines)| std::cmp::Reverse(**lines));
        let (shown, others) = reasons.split_at(reasons.len().min(REASONS));
        shown.iter().try_for_each(|(reason, lines)| writeln!(f, "{lines:>8} {reason}"))?;
        if !others.is_empty() {
            writeln!(f, "{:>8} for {} other reasons", others.iter().map(|(_, lines)| **lines).sum::<u64>(), others.len())?;
        }
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
