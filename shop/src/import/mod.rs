//! `daybook import`: a merchant's invoices become users, products, stock and orders, through the public HTTP API.
//!
//! Two passes. The first works out a [`Plan`](invoices::Plan) from the file alone; the second carries the plan out. Every request's
//! idempotency key is derived from the file's content, so a second run changes nothing, and one that was killed is simply run again.

mod account;
mod api;
mod catalogue;
mod execute;
mod orders;
mod refunds;
mod report;

use clap::Args;
use invoices::{Column, DayOrder, DecimalMark, Options, StatedEncoding};
use std::{
    fmt::Display,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use system::{ApiArguments, Failure};

/// The text that `import --help` shows after its arguments.
pub const HELP: &str = "\
The first line names the columns, in any order: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice (GBP), CustomerID, Country;
or Invoice, Price and Customer ID, as the later edition has them. Case, spaces and underscores do not matter; --columns tells other names.

Recognised, and said before anything is imported: UTF-8, UTF-16, Windows-1252 and its like; commas, semicolons, tabs or vertical bars; a decimal
point or comma; dates with the year, the day or the month first. Each holds for the whole file. What fits two ways is asked: --dates, --decimal.

An invoice becomes an order of its customer at the invoice's prices. An invoice that begins with C cancels: each of its lines becomes a refund
of earlier lines of the same customer, product and price, in this file or in one that was imported before. Left out, counted and reported:
charges (fewer than four digits in the stock code), prices of 0 or less or with a fraction of a penny, quantities of 0 or less on a sale, lines
without a customer, malformed lines, cancellations of nothing that was imported, orders that the shop did not confirm, invoices imported
before with other lines, and what is ordered by a closed account or of a withdrawn product.

`units` and `revenue` are net: the sums over the file's lines that are not in the report. A second run changes nothing, one that was cut off is
simply run again, and a corrected or longer file adds what is new in it.

Exit codes: 0 everything that can be imported is, though lines may have been skipped; 1 failed, run it again to go on; 2 wrong usage: the
arguments, the file, a column that is missing, a question to answer. Nothing was changed then.";

/// What is imported, and where to.
#[derive(Args)]
pub struct ImportArguments {
    /// A CSV file of invoices, plain or compressed with gzip (`.gz`).
    pub file: PathBuf,
    /// What the file calls its columns, where that is not recognised: `invoice=Rechnung,price=Preis`. The keys are invoice, code,
    /// description, quantity, date, price, customer and country.
    #[arg(long, value_delimiter = ',', value_parser = named, value_name = "COLUMN=NAME")]
    pub columns: Vec<(Column, String)>,
    /// How dates such as 3/4/2011 are read: `day-first` or `month-first`. Without it, as all dates of the file fit.
    #[arg(long, value_name = "ORDER")]
    pub dates: Option<DayOrder>,
    /// The mark between pounds and pence: `point` or `comma`. Without it, as all numbers of the file fit.
    #[arg(long, value_name = "MARK")]
    pub decimal: Option<DecimalMark>,
    /// The file's encoding, such as `windows-1252`. Without it, it is recognised.
    #[arg(long)]
    pub encoding: Option<StatedEncoding>,
    /// Where Daybook is.
    #[command(flatten)]
    pub api: ApiArguments,
    /// End with one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// Write each line that was not imported, with the reason, as JSON lines.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
}

/// Parses `invoice=Rechnung`.
fn named(text: &str) -> Result<(Column, String), String> {
    let (column, name) = text.split_once('=').ok_or_else(|| "must be a column and its name in the file: invoice=Rechnung".to_owned())?;
    if name.trim().is_empty() {
        Err(format!("{column} needs a name: {column}=Rechnung"))
    } else {
        Ok((column.trim().parse()?, name.into()))
    }
}

impl ImportArguments {
    /// What the merchant says about the file.
    fn options(&self) -> Result<Options, String> {
        let mut columns = std::collections::BTreeMap::new();
        for (column, name) in &self.columns {
            if columns.insert(*column, name.clone()).is_some() {
                return Err(format!("--columns names {} twice", column.key()));
            }
        }
        Ok(Options { columns, dates: self.dates, decimal: self.decimal, encoding: self.encoding })
    }
}

/// How long the import waits for one order: longer than the 15 minutes after which an unconfirmed order expires by default.
const SETTLE: Duration = Duration::from_secs(20 * 60);

/// Imports a file; the exit code is 0 when everything that could be imported was, though lines may have been skipped; 2 where all were.
pub async fn run(arguments: ImportArguments) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let wrong = |path: &Path, error: &dyn Display| Failure::usage(format!("{}: {error}", path.display()));
    if let Some(path) = &arguments.report {
        report::check(path).map_err(|error| wrong(path, &error))?;
    }
    if arguments.api.bears_token() {
        return Err(Failure::usage("an import cannot bear an access token yet: it needs a Daybook in open mode; unset DAYBOOK_TOKEN"));
    }
    let options = arguments.options().map_err(Failure::usage)?;
    let url = arguments.api.url();
    // An error names the URL of its request, which may hold a password.
    let shown = |error: api::ApiError| error.to_string().replace(&url, &codec::shown_url(&url));
    let api = api::Api::new(&url, usize::from(arguments.concurrency)).map_err(|error| Failure::usage(shown(error)))?;
    let bytes = read(&arguments.file).map_err(|error| wrong(&arguments.file, &error))?;
    let mut plan = invoices::Plan::read(&bytes, &options).map_err(|error| wrong(&arguments.file, &error))?;
    drop(bytes);
    eprintln!("{}: {}", arguments.file.display(), plan.read_as);
    api.greet().await.map_err(|error| Failure::failed(format!("{}; does Daybook run there? --url says where it is", shown(error))))?;
    let limits = execute::Limits { concurrency: usize::from(arguments.concurrency), settle: SETTLE };
    execute::execute(&mut plan, &api, limits).await.map_err(|error| Failure::failed(format!("{error}; run it again to go on")))?;
    if let Some(path) = &arguments.report {
        report::write(path, &plan).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    let summary = report::Summary::of(&plan, begun.elapsed());
    if arguments.json {
        println!("{}", summary.json())
    } else {
        print!("{summary}")
    }
    if summary.is_of_nothing() {
        return Err(Failure::usage(format!("{}: none of its lines could be imported", arguments.file.display())));
    }
    Ok(ExitCode::SUCCESS)
}

/// The file's bytes, unpacked where they are gzip, whatever the file's name.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let packed = std::fs::read(path)?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod tests;
