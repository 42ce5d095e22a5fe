//! Dates: all of a file are read in one order of day and month, which the whole file shows.

use crate::FileError;
use jiff::civil::{Date, DateTime, Time};

/// Which number comes first in dates such as 3/4/2011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOrder {
    /// 3/4/2011 is the 3rd of April.
    DayFirst,
    /// 3/4/2011 is the 4th of March.
    MonthFirst,
}

/// How times of day are written.
const TIMES: [&str; 7] = ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"];

/// A date as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// The year comes first, or the month is a word: it can be read in one way only.
    YearFirst(DateTime),
    /// Two numbers that may be day and month, and the year.
    YearLast { numbers: (i8, i8), year: i16, time: Time, dots: bool },
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        if let Some(moment) = spelled_out(text) {
            return Some(Self::YearFirst(moment));
        }
        let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
        let time = time_of_day(time.trim())?;
        let separator = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '.' | '-'))?;
        if let Some(date) = with_a_month_name(date) {
            return Some(Self::YearFirst(date.to_datetime(time)));
        }
        let parts: Vec<&str> = date.trim_end_matches(',').split(separator).collect();
        let [first, second, third] = parts[..] else { return None };
        if first.len() == 4 {
            let date = Date::new(number(first)?, small(second)?, small(third)?).ok()?;
            return Some(Self::YearFirst(date.to_datetime(time)));
        }
        let year = match third.len() {
            4 => number(third)?,
            // The usual pivot: 69 is 1969, 68 is 2068.
            2 => number(third).map(|year| if year < 69 { 2000 + year } else { 1900 + year })?,
            _ => return None,
        };
        Some(Self::YearLast { numbers: (small(first)?, small(second)?), year, time, dots: separator == '.' })
    }

    /// The moment, read in an order of day and month; none where there is no such day.
    fn read(self, order: DayOrder) -> Option<DateTime> {
        match (self, order) {
            (Self::YearFirst(moment), _) => Some(moment),
            (Self::YearLast { numbers: (day, month), year, time, .. }, DayOrder::DayFirst)
            | (Self::YearLast { numbers: (month, day), year, time, .. }, DayOrder::MonthFirst) => {
                Some(Date::new(year, month, day).ok()?.to_datetime(time))
            }
        }
    }
}

/// 1-Dec-10, 1-Dec-2010, 1-December-2010.
fn with_a_month_name(date: &str) -> Option<Date> {
    ["%d-%b-%y", "%d-%b-%Y", "%d-%B-%Y"].into_iter().find_map(|form| Date::strptime(form, date).ok())
}

/// 1 Dec 2010 8:26; Dec 1, 2010 8:26; each with or without commas and a time.
fn spelled_out(text: &str) -> Option<DateTime> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [one, other, year, time @ ..] = &words[..] else { return None };
    let is_name = |word: &str| word.chars().all(char::is_alphabetic);
    let (day, month) = if is_name(one) { (other, one) } else { (one, other) };
    let date = with_a_month_name(&format!("{day}-{month}-{year}"))?;
    Some(date.to_datetime(time_of_day(&time.join(" "))?))
}

/// None or an empty text is midnight.
fn time_of_day(text: &str) -> Option<Time> {
    if text.is_empty() {
        return Some(Time::midnight());
    }
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text).to_uppercase().replace("A.M.", "AM").replace("P.M.", "PM");
    TIMES.into_iter().find_map(|form| Time::strptime(form, &text).ok())
}

fn number(text: &str) -> Option<i16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn small(text: &str) -> Option<i8> {
    number(text).filter(|_| text.len() <= 2).and_then(|number| number.try_into().ok())
}

/// What the dates of a file show about their order.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    only_day_first: Option<u64>,
    only_month_first: Option<u64>,
    either: Option<(u64, String)>,
    slashes: bool,
    year_first: bool,
}

impl Shown {
    /// Takes the date of a line into account; one that is no date shows nothing.
    pub fn see(&mut self, line: u64, text: &str) {
        let Some(written) = Written::parse(text) else { return };
        let Written::YearLast { dots, .. } = written else {
            self.year_first = true;
            return;
        };
        self.slashes |= !dots;
        match (written.read(DayOrder::DayFirst).is_some(), written.read(DayOrder::MonthFirst).is_some()) {
            (true, true) => drop(self.either.get_or_insert_with(|| (line, text.to_owned()))),
            (true, false) => drop(self.only_day_first.get_or_insert(line)),
            (false, true) => drop(self.only_month_first.get_or_insert(line)),
            (false, false) => {}
        }
    }

    /// The order that fits all dates, or the one that is stated; none where no date needs one.
    pub fn order(&self, stated: Option<DayOrder>) -> Result<Option<DayOrder>, FileError> {
        match (stated, self.only_day_first, self.only_month_first, &self.either) {
            (Some(stated), ..) => Ok(Some(stated)),
            (None, Some(day_first), Some(month_first), _) => Err(FileError::ContradictoryDates { day_first, month_first }),
            (None, Some(_), None, _) => Ok(Some(DayOrder::DayFirst)),
            (None, None, Some(_), _) => Ok(Some(DayOrder::MonthFirst)),
            // Wherever dates are written with dots, the day comes first.
            (None, None, None, Some(_)) if !self.slashes => Ok(Some(DayOrder::DayFirst)),
            (None, None, None, Some((line, text))) => Err(FileError::AmbiguousDates { line: *line, text: text.clone() }),
            (None, None, None, None) => Ok(None),
        }
    }

    /// How the dates are read, for people.
    pub fn words(&self, order: Option<DayOrder>) -> &'static str {
        match (order, self.year_first) {
            (Some(DayOrder::DayFirst), false) => "day/month/year",
            (Some(DayOrder::MonthFirst), false) => "month/day/year",
            (Some(DayOrder::DayFirst), true) => "day/month/year or year-month-day",
            (Some(DayOrder::MonthFirst), true) => "month/day/year or year-month-day",
            (None, _) => "year-month-day",
        }
    }
}

/// Reads a date in the file's order, as text that sorts by time.
pub fn moment(text: &str, order: Option<DayOrder>) -> Result<String, String> {
    let read = |written: Written| match (written, order) {
        (Written::YearFirst(moment), _) => Some(moment),
        (written, order) => written.read(order?),
    };
    let sortable = Written::parse(text).and_then(read).filter(|moment| (0..=9999).contains(&moment.year()));
    sortable.map(|moment| moment.to_string()).ok_or_else(|| match order {
        None => "malformed: the date must be like 2010-12-01 08:34:00".to_owned(),
        Some(DayOrder::DayFirst) => "malformed: the date must be like 31/12/2010 8:34, as in the rest of the file".to_owned(),
        Some(DayOrder::MonthFirst) => "malformed: the date must be like 12/31/2010 8:34, as in the rest of the file".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: [DayOrder; 2] = [DayOrder::DayFirst, DayOrder::MonthFirst];

    fn order(dates: &[&str]) -> Result<Option<DayOrder>, FileError> {
        let mut shown = Shown::default();
        (2..).zip(dates).for_each(|(line, date)| shown.see(line, date));
        shown.order(None)
    }

    #[test]
    fn one_date_of_the_file_tells_how_all_are_read() {
        assert_eq!(order(&["1/12/2010 8:26", "13/12/2010 8:26"]), Ok(Some(DayOrder::DayFirst)));
        assert_eq!(order(&["12/1/2010 8:26", "12/13/2010 8:26", "nonsense", "40/40/2010 8:26"]), Ok(Some(DayOrder::MonthFirst)));
        assert_eq!(order(&["2010-12-01 08:26:00", "2010/12/01"]), Ok(None));
        assert_eq!(order(&["01.12.2010 08:26", "02.12.10"]), Ok(Some(DayOrder::DayFirst)), "dots are always day first");
        assert_eq!(order(&["12.13.2010"]), Ok(Some(DayOrder::MonthFirst)), "but what is there counts first");
    }

    #[test]
    fn dates_that_could_be_both_are_a_question_and_those_that_cannot_be_one_way_too() {
        assert_eq!(order(&["", "1/2/2011 10:00", "3/4/2011"]), Err(FileError::AmbiguousDates { line: 3, text: "1/2/2011 10:00".into() }));
        assert_eq!(order(&["1/2/2011", "13/2/2011", "2/13/2011"]), Err(FileError::ContradictoryDates { day_first: 3, month_first: 4 }));
        let mut shown = Shown::default();
        ["1/2/2011", "13/2/2011", "2/13/2011"].iter().for_each(|date| shown.see(2, date));
        assert_eq!(shown.order(Some(DayOrder::MonthFirst)), Ok(Some(DayOrder::MonthFirst)), "an answer settles it");
        assert!(moment("13/2/2011", Some(DayOrder::MonthFirst)).is_err(), "and what does not fit it is left out");
    }

    #[test]
    fn each_form_is_the_same_moment_and_sorts_by_time() {
        let iso = moment("2010-12-01 08:26:00", None).expect("a date");
        for text in [
            "2010-12-01T08:26:00Z",
            "2010-12-01 8:26",
            "2010/12/01 08:26",
            "01-Dec-2010 08:26",
            "1-DEC-10 8:26 AM",
            "1 Dec 2010 8:26",
            "01 December 2010, 08:26",
            "Dec 1, 2010 8:26 am",
            "2010-12-01 08:26:00.000",
        ] {
            assert_eq!(moment(text, None).as_ref(), Ok(&iso), "{text}");
        }
        let day_first =
            ["1/12/2010 8:26", "01.12.2010 08:26:00", "1-12-2010 8:26 AM", "1/12/10 08:26", "1/12/2010 8:26am", "1/12/2010 8:26 a.m."];
        day_first.iter().for_each(|text| assert_eq!(moment(text, Some(DayOrder::DayFirst)).as_ref(), Ok(&iso), "{text}"));
        assert_eq!(moment("12/1/2010 8:26", Some(DayOrder::MonthFirst)), Ok(iso));
        assert_eq!(moment("12/1/2010 1:26 PM", Some(DayOrder::MonthFirst)), moment("2010-12-01 13:26:00", None));
        assert_eq!(moment("12/1/2010 12:05 AM", Some(DayOrder::MonthFirst)), moment("2010-12-01 00:05", None));
        assert_eq!(moment("12/1/2010", Some(DayOrder::MonthFirst)), moment("2010-12-01 00:00", None));
        assert!(moment("2010-12-01 09:00:00", None) < moment("2010-12-01 10:00:00", None));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for nonsense in [
            "",
            "yesterday",
            "1 Smarch 2010",
            "31 Feb 2010 8:26",
            "Dec 2010",
            "13/13/2010 8:26",
            "2010-02-30 08:00:00",
            "-000001-01-01 00:00:00",
            "1/2/3",
            "1/1/2010 25:00",
            "1/1/2010 13:00 PM",
            "1/1.2010",
            "١/1/2010",
        ] {
            assert!(ORDERS.iter().all(|order| moment(nonsense, Some(*order)).is_err()), "{nonsense}");
        }
        assert!(moment("1/2/2011", None).is_err(), "without an order it is never guessed");
    }
}
