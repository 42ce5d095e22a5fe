//! Values that are parsed once, at the edge, and trusted from there on. `Deserialize` does not check the rules again: values that an older
//! version wrote must stay readable when a rule gets stricter.

use crate::{email, shown};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a value was not accepted: the rule, in words, with its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// A currency by its ISO 4217 code: three capital letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Currency(String);

impl Currency {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let right = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid("must be an ISO 4217 code of three capital letters, such as GBP".into()))
        }
    }
}

/// An amount of money in the minor units of its currency (pence, cents).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: 1250 is £12.50.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

impl Money {
    /// The largest amount that is accepted, in minor units: ten thousand million pounds, in pence.
    pub const MAX: i64 = 1_000_000_000_000;

    /// An amount from 0 to [`Money::MAX`].
    pub fn new(amount: i64, currency: Currency) -> Result<Self, Invalid> {
        if (0..=Self::MAX).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(Invalid(format!("must be from 0 to {} minor units, is {amount}", Self::MAX)))
        }
    }

    /// This amount `times` over; none if that overflows.
    pub fn times(&self, times: i64) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(times)?, currency: self.currency.clone() })
    }

    /// The sum of both; none if the currencies differ or the sum overflows.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then(|| self.amount.checked_add(other.amount)).flatten().map(|amount| Self { amount, currency: self.currency.clone() })
    }
}

/// As people write it: `£5.90`, `-€5.90`, `JPY 590`, `KWD 0.590`. An amount whose currency has no known minor units is not divided:
/// `XYZ 590 minor units`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let minor = self.amount.unsigned_abs();
        let code = self.currency.as_str();
        match (code, digits_of(code)) {
            (_, None) => write!(f, "{code} {sign}{minor} minor units"),
            ("GBP", Some(digits)) => write!(f, "{sign}£{}", Decimal { minor, digits }),
            ("EUR", Some(digits)) => write!(f, "{sign}€{}", Decimal { minor, digits }),
            ("USD", Some(digits)) => write!(f, "{sign}${}", Decimal { minor, digits }),
            (_, Some(digits)) => write!(f, "{code} {sign}{}", Decimal { minor, digits }),
        }
    }
}

/// The digits after the point by ISO 4217; none if the standard gives no minor unit, or does not know the code.
fn digits_of(code: &str) -> Option<usize> {
    iso_currency::Currency::from_code(code)?.exponent().map(usize::from)
}

/// Minor units, written in major ones.
struct Decimal {
    minor: u64,
    /// The digits after the point.
    digits: usize,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minor, digits } = *self;
        if digits == 0 {
            return write!(f, "{minor}");
        }
        // The leading zeros are those of a number below one: 5 pence is 0.05.
        let text = format!("{minor:0width$}", width = digits + 1);
        let (major, rest) = text.split_at(text.len() - digits);
        write!(f, "{major}.{rest}")
    }
}

/// A number of pieces, from 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i64);

impl Quantity {
    /// The most pieces that one command may speak of.
    pub const MAX: i64 = 10_000_000;

    /// A quantity from 1 to [`Quantity::MAX`].
    pub fn new(pieces: i64) -> Result<Self, Invalid> {
        if (1..=Self::MAX).contains(&pieces) {
            Ok(Self(pieces))
        } else {
            Err(Invalid(format!("must be from 1 to {}, is {pieces}", Self::MAX)))
        }
    }

    /// The number of pieces.
    pub fn get(self) -> i64 {
        self.0
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// An address that mail can be sent to: `local@domain` in ASCII, at most 254 bytes (RFC 5321). A domain in another script is kept in its
    /// A-labels.
    Email
);
text!(
    /// A stock-keeping unit, in NFC: 1 to [`Sku::MAX`] letters, digits, dots, dashes, underscores or inner spaces, all of which can be seen.
    Sku
);
text!(
    /// A line of text for people, trimmed and in NFC: 1 to [`Text::MAX`] characters, at least one of which can be seen; none is a control
    /// character or turns the direction of the line around.
    Text
);

impl FromStr for Email {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        email::parse(text).map(Self)
    }
}

impl Sku {
    /// The most characters of a SKU.
    pub const MAX: usize = 64;
}

impl FromStr for Sku {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let sku = shown::composed(text);
        shown::check_length(&sku, Self::MAX)?;
        let allowed = |c: char| c == ' ' || !shown::is_invisible(c) && (c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if sku.chars().all(allowed) && sku.trim() == sku {
            Ok(Self(sku))
        } else {
            Err(Invalid(format!("must be 1 to {} letters, digits, dots, dashes, underscores or inner spaces", Self::MAX)))
        }
    }
}

impl Text {
    /// The most characters of a text.
    pub const MAX: usize = 200;
}

impl FromStr for Text {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        shown::line(text, Self::MAX).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    fn shown(amount: i64, code: &str) -> String {
        Money { amount, currency: code.parse().unwrap() }.to_string()
    }

    #[test]
    fn money_is_written_as_people_write_it() {
        assert_eq!([shown(590, "GBP"), shown(590, "EUR"), shown(590, "USD")], ["£5.90", "€5.90", "$5.90"]);
        assert_eq!([shown(0, "GBP"), shown(5, "GBP"), shown(100, "GBP")], ["£0.00", "£0.05", "£1.00"]);
        assert_eq!([shown(590, "JPY"), shown(590, "KWD"), shown(590, "CHF")], ["JPY 590", "KWD 0.590", "CHF 5.90"]);
    }

    #[test]
    fn an_amount_may_be_negative_and_as_large_as_there_is() {
        assert_eq!([shown(-590, "GBP"), shown(-5, "EUR"), shown(-590, "JPY")], ["-£5.90", "-€0.05", "JPY -590"]);
        assert_eq!(shown(i64::MIN, "USD"), "-$92233720368547758.08");
    }

    #[test]
    fn a_currency_that_nobody_knows_is_not_divided() {
        assert_eq!([shown(590, "XYZ"), shown(-590, "XYZ")], ["XYZ 590 minor units", "XYZ -590 minor units"]);
    }
}
