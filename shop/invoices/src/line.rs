//! One line of an invoice, parsed, or the reason why it cannot be.

use csv::{ByteRecord, StringRecord};
use jiff::civil::DateTime;

/// The columns that are needed, in any order; further ones are ignored.
const COLUMNS: [&str; 8] = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// The largest quantity of one line that the API takes.
const MOST_PIECES: i64 = domain::Quantity::MAX;

/// The file is no list of invoices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A column is missing.
    #[error(
        "the column {0} is missing; needed are InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID and Country"
    )]
    Missing(&'static str),
    /// The first line cannot be read.
    #[error("the header cannot be read: {0}")]
    Unreadable(String),
}

/// The place of each column in a record.
#[derive(Clone, Debug)]
pub struct Columns {
    places: [usize; 8],
    width: usize,
}

impl Columns {
    /// Finds the columns by their names.
    pub fn find(header: &ByteRecord) -> Result<Self, HeaderError> {
        let header = StringRecord::from_byte_record(header.clone()).map_err(|error| HeaderError::Unreadable(error.to_string()))?;
        let mut places = [0; 8];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            let is = |field: &str| field.trim_start_matches('\u{feff}').trim() == name;
            *place = header.iter().position(is).ok_or(HeaderError::Missing(name))?;
        }
        Ok(Self { places, width: header.len() })
    }
}

/// A line that may become part of an order, or that cancels part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The physical line that the record starts on, the header being 1.
    pub number: u64,
    /// The invoice, without the C of a cancellation.
    pub invoice: String,
    /// True where the invoice number begins with C.
    pub cancels: bool,
    /// The stock code in capitals: 85123a and 85123A are the same goods.
    pub product: String,
    /// The description, trimmed; it may be empty.
    pub description: String,
    /// Pieces, always positive.
    pub quantity: i64,
    /// The moment, as text that sorts by time.
    pub date: String,
    /// The price of one piece in pence.
    pub pence: i64,
    /// The customer's number: `13047`.
    pub customer: String,
    /// The customer's country, trimmed; it may be empty.
    pub country: String,
}

/// Parses a record; the error is the reason for the report.
pub fn parse(columns: &Columns, record: &ByteRecord, number: u64) -> Result<Line, String> {
    if record.len() != columns.width {
        return Err(format!("malformed: {} fields where the header has {}", record.len(), columns.width));
    }
    let text = StringRecord::from_byte_record(record.clone()).map_err(|_| "malformed: not UTF-8".to_owned())?;
    let [invoice, code, description, quantity, date, price, customer, country] = columns.places.map(|place| text[place].trim());
    let (cancels, invoice) = invoice_number(invoice)?;
    let product = stock_code(code)?;
    let quantity = pieces(quantity, cancels)?;
    let pence = pence(price)?;
    if pence == 0 {
        return Err("the price is 0: not a sale".into());
    }
    amount(quantity, pence)?;
    let customer = customer_number(customer)?;
    let own = |text: &str| text.to_owned();
    Ok(Line {
        number,
        invoice,
        cancels,
        product,
        description: own(description),
        quantity,
        date: moment(date)?,
        pence,
        customer,
        country: own(country),
    })
}

fn invoice_number(text: &str) -> Result<(bool, String), String> {
    let cancels = text.starts_with(['C', 'c']);
    let number = if cancels { &text[1..] } else { text };
    let sound = (1..=40).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match (sound, number.starts_with(|first: char| first.is_ascii_alphabetic())) {
        (true, false) => Ok((cancels, number.to_owned())),
        (true, true) => Err("not an invoice of a sale: its number begins with another letter than C".into()),
        (false, _) => Err("malformed: the invoice number must be 1 to 40 letters and digits".into()),
    }
}

/// Goods have at least four digits in their code; POST, D, M, C2, BANK CHARGES and the like are charges and discounts.
fn stock_code(text: &str) -> Result<String, String> {
    let code = text.to_uppercase();
    if code.is_empty() {
        return Err("malformed: no stock code".into());
    }
    if code.bytes().filter(u8::is_ascii_digit).count() < 4 {
        return Err("a charge or a discount, not goods".into());
    }
    match code.parse::<domain::Sku>() {
        Ok(_) if code.is_ascii() => Ok(code),
        Ok(_) => Err("malformed: the stock code must be ASCII".into()),
        Err(rule) => Err(format!("malformed: the stock code {rule}")),
    }
}

fn pieces(text: &str, cancels: bool) -> Result<i64, String> {
    let quantity: i64 = text.parse().map_err(|_| "malformed: the quantity is not a whole number".to_owned())?;
    match (cancels, quantity) {
        (_, 0) => Err("the quantity is 0".into()),
        (false, ..0) => Err("a negative quantity on an invoice that cancels nothing: a stock note".into()),
        (true, 1..) => Err("a positive quantity on a cancellation".into()),
        (_, quantity) if quantity.unsigned_abs() > MOST_PIECES as u64 => Err(format!("malformed: the quantity is more than {MOST_PIECES}")),
        (_, quantity) => Ok(quantity.abs()),
    }
}

/// Exact, from the digits: no price passes through a binary fraction.
fn pence(text: &str) -> Result<i64, String> {
    let malformed = || "malformed: the price is not a decimal number".to_owned();
    if let Some(rest) = text.strip_prefix('-') {
        return pence(rest).and(Err("a negative price: not a sale".into()));
    }
    let (pounds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(pounds) || !digits(fraction) || (pounds.is_empty() && fraction.is_empty()) || text.len() > 24 {
        return Err(malformed());
    }
    let (cents, rest) = fraction.split_at(fraction.len().min(2));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err("the price has a fraction of a penny".into());
    }
    let whole: i64 = if pounds.is_empty() { 0 } else { pounds.parse().map_err(|_| malformed())? };
    let cents: i64 = format!("{cents:0<2}").parse().map_err(|_| malformed())?;
    let total = whole.checked_mul(100).and_then(|pence| pence.checked_add(cents)).ok_or_else(malformed)?;
    if total <= domain::Money::MAX { Ok(total) } else { Err(format!("malformed: the price is more than {} pence", domain::Money::MAX)) }
}

/// Refuses a line for more than the API's largest amount: it is a slip, and its amount might overflow.
fn amount(quantity: i64, pence: i64) -> Result<(), String> {
    let most = domain::Money::MAX;
    let within = quantity.checked_mul(pence).is_some_and(|amount| amount <= most);
    if within { Ok(()) } else { Err(format!("malformed: quantity x price is more than {most} pence")) }
}

/// `13047.0` is what a spreadsheet makes of 13047.
fn customer_number(text: &str) -> Result<String, String> {
    let number = text.strip_suffix(".0").unwrap_or(text);
    match number.len() {
        0 => Err("no customer".into()),
        1..=20 if number.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(number.to_owned()),
        _ => Err("malformed: the customer must be 1 to 20 letters and digits".into()),
    }
}

/// `2010-12-01 08:34:00`, or `12/1/2010 8:34` with the month first as the source's own CSV has it; checked as a date.
fn moment(text: &str) -> Result<String, String> {
    let american = |form| DateTime::strptime(form, text).ok();
    let moment = text.parse().ok().or_else(|| american("%m/%d/%Y %H:%M")).or_else(|| american("%m/%d/%Y %H:%M:%S"));
    let sortable = moment.filter(|moment: &DateTime| (0..=9999).contains(&moment.year()));
    sortable.map(|moment| moment.to_string()).ok_or_else(|| "malformed: the date must be like 2010-12-01 08:34:00 or 12/1/2010 8:34".into())
}

#[cfg(test)]
mod tests {
    use super::{amount, customer_number, invoice_number, moment, pence, pieces, stock_code};

    #[test]
    fn prices_are_exact() {
        assert_eq!(pence("4.95"), Ok(495));
        assert_eq!(pence("0.1"), Ok(10));
        assert_eq!(pence("12"), Ok(1200));
        assert_eq!(pence(".5"), Ok(50));
        assert_eq!(pence("1.250"), Ok(125));
        assert!(pence("0.125").is_err_and(|why| why.contains("fraction of a penny")));
        assert!(pence("-11062.06").is_err_and(|why| why.contains("negative")));
        for nonsense in ["", ".", "1,5", "1e3", "NaN", "--1", "99999999999999999999"] {
            assert!(pence(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn charges_are_not_goods() {
        for goods in ["22914", "85123A", "85123a", "DCGS0076", "gift_0001_40"] {
            assert!(stock_code(goods).is_ok(), "{goods}");
        }
        for charge in ["POST", "D", "M", "C2", "BANK CHARGES", "DOT", "AMAZONFEE", "S"] {
            assert!(stock_code(charge).is_err_and(|why| why.contains("charge")), "{charge}");
        }
        assert_eq!(stock_code("85123a"), stock_code("85123A"));
    }

    #[test]
    fn signs_must_fit_the_kind_of_invoice() {
        assert_eq!(invoice_number("C536379"), Ok((true, "536379".into())));
        assert!(invoice_number("A563185").is_err());
        assert!(invoice_number("").is_err());
        assert_eq!((pieces("6", false), pieces("-6", true)), (Ok(6), Ok(6)));
        assert!(pieces("-6", false).is_err() && pieces("6", true).is_err() && pieces("0", false).is_err() && pieces("1.5", false).is_err());
        assert!(pieces("-9223372036854775808", true).is_err());
    }

    #[test]
    fn customers_have_whole_numbers() {
        assert_eq!(customer_number("13047.0"), customer_number("13047"));
        assert_eq!(customer_number(""), Err("no customer".into()));
    }

    #[test]
    fn an_amount_beyond_counting_is_refused_and_not_wrapped() {
        assert_eq!(amount(1, domain::Money::MAX), Ok(()));
        assert!(amount(2, domain::Money::MAX).is_err() && amount(super::MOST_PIECES, domain::Money::MAX).is_err());
    }

    #[test]
    fn dates_are_read_in_both_forms_and_sort_by_time() {
        assert_eq!(moment("12/1/2010 8:26"), moment("2010-12-01 08:26:00"));
        assert_eq!(moment("12/1/2010 8:26:30"), moment("2010-12-01 08:26:30"));
        assert!(moment("12/1/2010 8:26") < moment("1/4/2011 10:00") && moment("2010-12-01 09:00:00") < moment("2010-12-01 10:00:00"));
        for nonsense in ["", "yesterday", "13/13/2010 8:26", "2010-02-30 08:00:00", "-000001-01-01 00:00:00"] {
            assert!(moment(nonsense).is_err(), "{nonsense}");
        }
    }
}
