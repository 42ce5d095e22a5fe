//! The columns of a file: which are needed, what they are called, and where they stand.

use crate::FileError;
use csv::StringRecord;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A column that an import needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// The invoice's number.
    Invoice,
    /// The product's stock code.
    Code,
    /// The product's description.
    Description,
    /// Pieces.
    Quantity,
    /// When the invoice was made out.
    Date,
    /// The price of one piece.
    Price,
    /// The customer's number.
    Customer,
    /// The customer's country.
    Country,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Invoice, Self::Code, Self::Description, Self::Quantity, Self::Date, Self::Price, Self::Customer, Self::Country];

    /// Its name in the data set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "InvoiceNo",
            Self::Code => "StockCode",
            Self::Description => "Description",
            Self::Quantity => "Quantity",
            Self::Date => "InvoiceDate",
            Self::Price => "UnitPrice",
            Self::Customer => "CustomerID",
            Self::Country => "Country",
        }
    }

    /// Its name on the command line: `invoice` in `--columns invoice=Rechnung`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Code => "code",
            Self::Description => "description",
            Self::Quantity => "quantity",
            Self::Date => "date",
            Self::Price => "price",
            Self::Customer => "customer",
            Self::Country => "country",
        }
    }

    /// Its names in the editions of the data set, as [`plain`] makes them.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Invoice => &["invoiceno", "invoice"],
            Self::Code => &["stockcode"],
            Self::Description => &["description"],
            Self::Quantity => &["quantity"],
            Self::Date => &["invoicedate"],
            Self::Price => &["unitprice", "price"],
            Self::Customer => &["customerid"],
            Self::Country => &["country"],
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = || Self::ALL.map(Self::key).join(", ");
        let named = |column: &Self| column.key() == plain(text) || column.names().contains(&plain(text).as_str());
        Self::ALL.into_iter().find(named).ok_or_else(|| format!("{text:?} is none of the columns {}", keys()))
    }
}

/// The names that a merchant's file has for some columns.
pub type Wanted = BTreeMap<Column, String>;

/// A name without what editions and spreadsheets vary: case, spaces, underscores, hyphens and dots.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// The place of each column in a record.
#[derive(Clone, Debug)]
pub struct Columns {
    places: [usize; 8],
    width: usize,
}

impl Columns {
    /// Finds the columns by their names; `line` is the header's. The error comes with the number of columns that were recognised.
    pub fn find(header: &StringRecord, wanted: &Wanted, line: u64, delimiter: &'static str) -> Result<Self, (usize, FileError)> {
        let found = Column::ALL.map(|column| (column, matching(header, wanted, column)));
        let recognised = found.iter().filter(|(_, places)| !places.is_empty()).count();
        if recognised == 0 {
            return Err((0, FileError::NoHeader { line, found: shown(header) }));
        }
        let missing: Vec<Column> = found.iter().filter(|(_, places)| places.is_empty()).map(|(column, _)| *column).collect();
        if !missing.is_empty() {
            return Err((recognised, FileError::Missing { missing, delimiter, found: shown(header) }));
        }
        if let Some((column, places)) = found.iter().find(|(_, places)| places.len() > 1) {
            let name = |place: usize| header[place].trim().to_owned();
            return Err((recognised, FileError::Twice { column: *column, first: name(places[0]), second: name(places[1]) }));
        }
        Ok(Self { places: found.map(|(_, places)| places[0]), width: header.len() })
    }

    /// How many fields a record has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The trimmed fields of a record, in the order of [`Column::ALL`]; none where it has another number of fields than the header.
    pub fn fields<'r>(&self, record: &'r StringRecord) -> Option<[&'r str; 8]> {
        (record.len() == self.width).then(|| self.places.map(|place| record[place].trim()))
    }
}

/// The places of a column: where the merchant says what it is called, those of exactly that name, else of that name written otherwise.
fn matching(header: &StringRecord, wanted: &Wanted, column: Column) -> Vec<usize> {
    let places = |is: &dyn Fn(&str) -> bool| (0..header.len()).filter(|place| is(header[*place].trim())).collect::<Vec<_>>();
    match wanted.get(&column) {
        None => places(&|name| column.names().contains(&plain(name).as_str())),
        Some(wanted) => {
            let exactly = places(&|name| name == wanted.trim());
            if exactly.is_empty() { places(&|name| plain(name) == plain(wanted)) } else { exactly }
        }
    }
}

/// The beginning of a header, for people.
fn shown(header: &StringRecord) -> String {
    let names: Vec<String> = header.iter().take(20).map(|name| name.trim().chars().take(40).collect()).collect();
    let more = if header.len() > names.len() { ", ..." } else { "" };
    format!("{}{more}", names.join(", ")).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &[&str], wanted: &[(Column, &str)]) -> Result<[usize; 8], String> {
        let wanted = wanted.iter().map(|(column, name)| (*column, (*name).to_owned())).collect();
        let found = Columns::find(&StringRecord::from(header.to_vec()), &wanted, 1, "commas");
        found.map(|columns| columns.places).map_err(|(_, error)| error.to_string())
    }

    const FIRST: [&str; 8] = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];
    const SECOND: [&str; 8] = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"];

    #[test]
    fn both_editions_are_known_however_they_are_written() {
        let places = Ok([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((find(&FIRST, &[]), find(&SECOND, &[])), (places.clone(), places.clone()));
        let written = ["INVOICE_NO", "stock code", "Description ", "quantity", "Invoice-Date", "unit.price", "customer_id", "COUNTRY"];
        assert_eq!(find(&written, &[]), places);
    }

    #[test]
    fn other_names_are_said() {
        let german = ["Rechnung", "StockCode", "Description", "Quantity", "InvoiceDate", "Preis", "CustomerID", "Country"];
        let missing = find(&german, &[]).expect_err("two names are unknown");
        assert!(
            missing.contains("InvoiceNo, UnitPrice") && missing.contains("Rechnung") && missing.contains("--columns invoice="),
            "{missing}"
        );
        assert_eq!(find(&german, &[(Column::Invoice, "Rechnung"), (Column::Price, "preis")]), Ok([0, 1, 2, 3, 4, 5, 6, 7]));
        let wrong = find(&german, &[(Column::Invoice, "Rechnung"), (Column::Price, "Betrag")]).expect_err("there is no such column");
        assert!(wrong.contains("UnitPrice") && wrong.contains("Preis"), "{wrong}");
        assert_eq!("invoice".parse(), Ok(Column::Invoice));
        assert_eq!("Unit_Price".parse(), Ok(Column::Price));
        assert!("colour".parse::<Column>().is_err_and(|why| why.contains("colour") && why.contains("invoice, code")));
    }

    #[test]
    fn a_column_that_is_there_twice_is_a_question() {
        let twice = [&FIRST[..], &["Price"]].concat();
        let asked = find(&twice, &[]).expect_err("which price?");
        assert!(asked.contains("UnitPrice and Price") && asked.contains("--columns price="), "{asked}");
        assert_eq!(find(&twice, &[(Column::Price, "Price")]), Ok([0, 1, 2, 3, 4, 8, 6, 7]));
        let same = find(&[&FIRST[..], &["Country"]].concat(), &[]).expect_err("which country?");
        assert!(same.contains("Country and Country") && !same.contains("--columns"), "{same}");
    }

    #[test]
    fn data_is_no_header() {
        let data = ["536365", "85123A", "HEART", "6", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"];
        let none = find(&data, &[]).expect_err("there is no header");
        assert!(none.starts_with("line 1") && none.contains("536365, 85123A") && none.contains("InvoiceNo"), "{none}");
    }
}
