//! One line of an invoice, parsed, or the reason why it cannot be.

use crate::{
    columns::Columns,
    dates::{DayOrder, moment},
    numbers::{DecimalMark, plain},
};
use csv::StringRecord;

/// The largest quantity of one line that the API takes.
const MOST_PIECES: i64 = domain::Quantity::MAX;

/// How the lines of a file are read.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The order of day and month; none where every date begins with the year.
    pub dates: Option<DayOrder>,
    /// The mark between pounds and pence.
    pub decimal: DecimalMark,
    /// True where some bytes of the file were no text.
    pub spoilt: bool,
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
pub fn parse(columns: &Columns, form: Form, record: &StringRecord, number: u64) -> Result<Line, String> {
    let width = || format!("malformed: {} fields where the header has {}", record.len(), columns.width());
    let fields = columns.fields(record).ok_or_else(width)?;
    if form.spoilt && fields.iter().any(|field| field.contains(char::REPLACEMENT_CHARACTER)) {
        return Err("malformed: some of its bytes are no text in the file's encoding".into());
    }
    let [invoice, code, description, quantity, date, price, customer, country] = fields;
    let (cancels, invoice) = invoice_number(invoice)?;
    let product = stock_code(code)?;
    let quantity = pieces(quantity, form.decimal, cancels)?;
    let pence = pence(price, form.decimal)?;
    if pence == 0 {
        return Err("the price is 0: not a sale".into());
    }
    amount(quantity, pence)?;
    let (customer, date) = (customer_number(customer)?, moment(date, form.dates)?);
    let (description, country) = (description.to_owned(), country.to_owned());
    Ok(Line { number, invoice, cancels, product, description, quantity, date, pence, customer, country })
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

/// `6.0` is what a spreadsheet makes of 6.
fn pieces(text: &str, mark: DecimalMark, cancels: bool) -> Result<i64, String> {
    let whole = |number: String| match number.split_once('.') {
        Some((whole, fraction)) => fraction.bytes().all(|byte| byte == b'0').then(|| whole.to_owned()),
        None => Some(number),
    };
    let quantity = plain(text, mark).and_then(whole).and_then(|number| number.parse::<i64>().ok());
    let quantity = quantity.ok_or_else(|| "malformed: the quantity is not a whole number".to_owned())?;
    match (cancels, quantity) {
        (_, 0) => Err("the quantity is 0".into()),
        (false, ..0) => Err("a negative quantity on an invoice that cancels nothing: a stock note".into()),
        (true, 1..) => Err("a positive quantity on a cancellation".into()),
        (_, quantity) if quantity.unsigned_abs() > MOST_PIECES as u64 => Err(format!("malformed: the quantity is more than {MOST_PIECES}")),
        (_, quantity) => Ok(quantity.abs()),
    }
}

/// Exact, from the digits: no price passes through a binary fraction.
fn pence(text: &str, mark: DecimalMark) -> Result<i64, String> {
    let malformed = || "malformed: the price is not a decimal number".to_owned();
    let number = plain(text, mark).ok_or_else(malformed)?;
    if number.starts_with('-') {
        return Err("a negative price: not a sale".into());
    }
    let (pounds, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let (cents, rest) = fraction.split_at(fraction.len().min(2));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err("the price has a fraction of a penny".into());
    }
    let total: Option<i64> = format!("{pounds}{cents:0<2}").parse().ok();
    let most = domain::Money::MAX;
    total.filter(|pence| *pence <= most).ok_or_else(|| format!("malformed: the price is more than {most} pence"))
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

#[cfg(test)]
mod tests {
    use super::{DecimalMark, amount, customer_number, invoice_number, stock_code};

    fn pence(text: &str) -> Result<i64, String> {
        super::pence(text, DecimalMark::Point)
    }

    fn pieces(text: &str, cancels: bool) -> Result<i64, String> {
        super::pieces(text, DecimalMark::Point, cancels)
    }

    #[test]
    fn prices_are_exact() {
        assert_eq!(pence("4.95"), Ok(495));
        assert_eq!(pence("0.1"), Ok(10));
        assert_eq!(pence("12"), Ok(1200));
        assert_eq!(pence(".5"), Ok(50));
        assert_eq!(pence("1.250"), Ok(125));
        assert!(pence("0.125").is_err_and(|why| why.contains("fraction of a penny")));
        assert!(pence("-11062.06").is_err_and(|why| why.contains("negative")));
        assert_eq!((pence("1,234.50"), super::pence("1.234,50", DecimalMark::Comma)), (Ok(123_450), Ok(123_450)));
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
        assert_eq!((pieces("6.0", false), pieces("1,200", false), pieces("-1,200.00", true)), (Ok(6), Ok(1200), Ok(1200)));
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
}
