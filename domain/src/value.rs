//! Values that are parsed once, at the edge, and trusted from there on. `Deserialize` does not parse again: what an
//! older version wrote must stay readable when a rule gets stricter.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a value was not accepted: the rule, in words, with its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment moved by `millis` milliseconds.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

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

    /// This much, `times` over; none where that passes what can be counted.
    pub fn times(&self, times: i64) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(times)?, currency: self.currency.clone() })
    }

    /// Both together; none where the currencies differ or the sum passes what can be counted.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then(|| self.amount.checked_add(other.amount)).flatten().map(|amount| Self { amount, currency: self.currency.clone() })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency.0)
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
    /// An address for electronic mail: something, one `@`, a domain; at most 254 bytes (RFC 5321).
    Email
);
text!(
    /// A stock-keeping unit: 1 to 64 letters, digits, dots, dashes, underscores or spaces.
    Sku
);
text!(
    /// A line of text for people: 1 to 200 characters after trimming, no control characters.
    Text
);

impl FromStr for Email {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let parts = text
            .split_once('@')
            .is_some_and(|(who, at)| !who.is_empty() && !at.contains('@') && at.split('.').all(|label| !label.is_empty()));
        if plain && parts {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid("must be an e-mail address such as ada@example.com, of at most 254 bytes".into()))
        }
    }
}

impl FromStr for Sku {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
        let right = (1..=64).contains(&text.chars().count()) && text.chars().all(allowed) && text.trim() == text;
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid("must be 1 to 64 letters, digits, dots, dashes, underscores or inner spaces".into()))
        }
    }
}

impl FromStr for Text {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let trimmed = text.trim();
        let right = (1..=200).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
        if right {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(Invalid("must be 1 to 200 characters, none of them a control character".into()))
        }
    }
}
