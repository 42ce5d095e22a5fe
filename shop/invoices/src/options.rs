//! What a merchant says about a file, and what was recognised.

use crate::{Column, DayOrder, DecimalMark};
use encoding_rs::Encoding;
use std::{collections::BTreeMap, fmt};

/// What a merchant says about a file; what is not said is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the file calls some columns.
    pub columns: BTreeMap<Column, String>,
    /// How dates such as 3/4/2011 are read.
    pub dates: Option<DayOrder>,
    /// The mark between pounds and pence.
    pub decimal: Option<DecimalMark>,
    /// The file's encoding.
    pub encoding: Option<StatedEncoding>,
}

/// An encoding by its name: `windows-1252`, `latin1`, `utf-16le`, as the web names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedEncoding(pub(crate) &'static Encoding);

impl std::str::FromStr for StatedEncoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Encoding::for_label(text.trim().as_bytes()).map(Self);
        known.ok_or_else(|| format!("{text:?} is no encoding that is known; utf-8, utf-16le and windows-1252 are some that are"))
    }
}

impl std::str::FromStr for DayOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "day-first" => Ok(Self::DayFirst),
            "month-first" => Ok(Self::MonthFirst),
            other => Err(format!("must be day-first or month-first, is {other}")),
        }
    }
}

impl std::str::FromStr for DecimalMark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "point" => Ok(Self::Point),
            "comma" => Ok(Self::Comma),
            other => Err(format!("must be point or comma, is {other}")),
        }
    }
}

/// How a file was read, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAs {
    /// `UTF-8`, `windows-1252`.
    pub encoding: &'static str,
    /// `commas`, `semicolons`, `tabs`, `vertical bars`.
    pub separated_by: &'static str,
    /// `day/month/year`.
    pub dates: &'static str,
    /// `point` or `comma`.
    pub decimal: &'static str,
}

impl fmt::Display for ReadAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, separated_by, dates, decimal } = self;
        write!(f, "{encoding}, separated by {separated_by}, dates as {dates}, decimal {decimal}")
    }
}
