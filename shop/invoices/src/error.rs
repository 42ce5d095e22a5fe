//! Why a file cannot be imported at all. Every text says what to do about it.

use crate::columns::Column;

/// The file cannot be imported. Nothing was asked of the shop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file is no text that could hold a table.
    #[error("this is {what}, not a CSV file: {advice}")]
    NotText {
        /// What it is: `an Excel workbook (.xlsx)`.
        what: String,
        /// What to do.
        advice: String,
    },
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// The header's own quotes are wrong.
    #[error("line {line}, the header, is unreadable: {why}")]
    Header {
        /// The line that the header should stand on.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The first line looks like data.
    #[error(
        "line {line} should name the columns, but reads: {found}. Put a header above it: InvoiceNo, StockCode, Description, Quantity, \
         InvoiceDate, UnitPrice, CustomerID, Country"
    )]
    NoHeader {
        /// The line that the header should stand on.
        line: u64,
        /// The beginning of what stands there.
        found: String,
    },
    /// Columns are missing.
    #[error(
        "no column is named {}. Separated by {delimiter}, the file has the columns {found}. Say which one it is, for example \
         --columns {}=NAME", names(missing), missing.first().map_or("invoice", |column| column.key())
    )]
    Missing {
        /// The columns that were not found.
        missing: Vec<Column>,
        /// The name of the delimiter, in the plural: `commas`.
        delimiter: &'static str,
        /// The names that were found.
        found: String,
    },
    /// Two columns could be the same one.
    #[error("two columns could be {}: {first} and {second}. Rename one of them{}", column.name(), choice(*column, first, second))]
    Twice {
        /// The column.
        column: Column,
        /// The name of the first that could be it.
        first: String,
        /// The name of the second.
        second: String,
    },
    /// All dates fit both orders.
    #[error(
        "line {line}: is {text} day/month or month/day? Every date of the file fits both. Say --dates day-first or --dates month-first"
    )]
    AmbiguousDates {
        /// The first such line.
        line: u64,
        /// Its date.
        text: String,
    },
    /// No order fits all dates.
    #[error(
        "the file's dates are written in two ways: line {day_first} can only be day/month, line {month_first} only month/day. Correct them, \
         or say --dates day-first or --dates month-first to leave out those that do not fit"
    )]
    ContradictoryDates {
        /// The first line that can only be day/month.
        day_first: u64,
        /// The first line that can only be month/day.
        month_first: u64,
    },
    /// A number could be a thousand times as large.
    #[error(
        "line {line}: does {text} have thousands or decimals behind its {}? No other number of the file tells. Say --decimal point or \
         --decimal comma", if text.contains(',') { "comma" } else { "point" }
    )]
    AmbiguousNumbers {
        /// The first such line.
        line: u64,
        /// Its number.
        text: String,
    },
    /// Some numbers have a decimal point, some a decimal comma.
    #[error(
        "the file's numbers are written in two ways: line {point} has a decimal point, line {comma} a decimal comma. Correct them, or say \
         --decimal point or --decimal comma to leave out those that do not fit"
    )]
    ContradictoryNumbers {
        /// The first line with a decimal point.
        point: u64,
        /// The first line with a decimal comma.
        comma: u64,
    },
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
}

fn choice(column: Column, first: &str, second: &str) -> String {
    if first == second { String::new() } else { format!(", or say which one it is: --columns {}={first}", column.key()) }
}
