//! Numbers: a file has a decimal point or a decimal comma, which the whole file shows.

use crate::FileError;

/// The mark between a number's whole part and its fraction; the other one separates thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalMark {
    /// 1,234.50
    Point,
    /// 1.234,50
    Comma,
}

impl DecimalMark {
    fn of(c: char) -> Self {
        if c == '.' { Self::Point } else { Self::Comma }
    }

    fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }

    fn mark(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// What one number shows.
enum Sign {
    Nothing,
    Decimal(DecimalMark),
    /// `1.250`: one and a quarter, or over a thousand.
    Either,
}

/// What the numbers of a file show about their decimal mark.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    point: Option<u64>,
    comma: Option<u64>,
    either: Option<(u64, String)>,
}

impl Shown {
    /// Takes a number of a line into account; what is no number shows nothing.
    pub fn see(&mut self, line: u64, text: &str) {
        match sign(&bare(text)) {
            Sign::Nothing => {}
            Sign::Decimal(DecimalMark::Point) => drop(self.point.get_or_insert(line)),
            Sign::Decimal(DecimalMark::Comma) => drop(self.comma.get_or_insert(line)),
            Sign::Either => drop(self.either.get_or_insert_with(|| (line, text.to_owned()))),
        }
    }

    /// The mark that fits all numbers, or the one that is stated; a point where no number has a mark.
    pub fn mark(&self, stated: Option<DecimalMark>) -> Result<DecimalMark, FileError> {
        match (stated, self.point, self.comma, &self.either) {
            (Some(stated), ..) => Ok(stated),
            (None, Some(point), Some(comma), _) => Err(FileError::ContradictoryNumbers { point, comma }),
            (None, None, Some(_), _) => Ok(DecimalMark::Comma),
            (None, None, None, Some((line, text))) => Err(FileError::AmbiguousNumbers { line: *line, text: text.clone() }),
            (None, Some(_), None, _) | (None, None, None, None) => Ok(DecimalMark::Point),
        }
    }
}

/// A number without its sign, its pound sign, and the marks of thousands that are never decimal ones: spaces and apostrophes.
fn bare(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix(['-', '\u{2212}']).unwrap_or(text);
    let text = text.trim_start_matches("GBP").trim_end_matches("GBP").trim_start_matches('£').trim_end_matches('£').trim();
    text.chars().filter(|c| !matches!(c, '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}' | ' ')).collect()
}

fn sign(number: &str) -> Sign {
    if !number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        return Sign::Nothing;
    }
    let Some(last) = number.chars().rev().find(|c| !c.is_ascii_digit()).map(DecimalMark::of) else { return Sign::Nothing };
    let count = |mark: DecimalMark| number.matches(mark.mark()).count();
    let groups: Vec<&str> = number.split(last.mark()).collect();
    match (count(last), count(last.other())) {
        (1, 0) if groups[1].len() == 3 && (1..=3).contains(&groups[0].len()) && groups[0] != "0" => Sign::Either,
        (1, _) => Sign::Decimal(last),
        (_, 0) if groups[1..].iter().all(|group| group.len() == 3) => Sign::Decimal(last.other()),
        (_, _) => Sign::Nothing,
    }
}

/// A number as digits with at most one point, and a minus in front where there was one; none where it is no number under this mark.
pub fn plain(text: &str, mark: DecimalMark) -> Option<String> {
    let minus = if text.trim().starts_with(['-', '\u{2212}']) { "-" } else { "" };
    let bare = bare(text);
    let (whole, fraction) = bare.split_once(mark.mark()).map_or((&*bare, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.split(mark.other().mark());
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let grouped = rest.is_empty() || ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3));
    let digits: String = std::iter::once(first).chain(rest).collect();
    let sound = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let empty = digits.is_empty() && fraction.is_none_or(str::is_empty);
    let fraction = fraction.unwrap_or_default();
    let point = if fraction.is_empty() { "" } else { "." };
    (grouped && !empty && sound(&digits) && sound(fraction)).then(|| format!("{minus}{digits}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(numbers: &[&str]) -> Result<DecimalMark, FileError> {
        let mut shown = Shown::default();
        (2..).zip(numbers).for_each(|(line, number)| shown.see(line, number));
        shown.mark(None)
    }

    #[test]
    fn one_number_of_the_file_tells_how_all_are_read() {
        for point in [&["1", "2.55"][..], &["1,250", "2.55"], &["1,234.50"], &["1,234,567"], &["12"], &["0.125"], &["x,5"]] {
            assert_eq!(mark(point), Ok(DecimalMark::Point), "{point:?}");
        }
        for comma in [&["1", "2,55"][..], &["1.250", "2,5"], &["1.234,50"], &["1.234.567"], &["£ 0,125"], &["1 234,5"]] {
            assert_eq!(mark(comma), Ok(DecimalMark::Comma), "{comma:?}");
        }
    }

    #[test]
    fn a_number_that_could_be_a_thousand_times_as_large_is_a_question() {
        assert_eq!(mark(&["3", "1.250"]), Err(FileError::AmbiguousNumbers { line: 3, text: "1.250".into() }));
        assert!(
            mark(&["12,500"]).is_err_and(|error| error.to_string().contains("behind its comma") && error.to_string().contains("--decimal"))
        );
        assert_eq!(mark(&["1.5", "2.5", "2,5"]), Err(FileError::ContradictoryNumbers { point: 2, comma: 4 }));
        let mut shown = Shown::default();
        shown.see(2, "1.250");
        assert_eq!(shown.mark(Some(DecimalMark::Comma)), Ok(DecimalMark::Comma), "an answer settles it");
    }

    #[test]
    fn marks_are_taken_out_where_they_are_right() {
        let point = |text| plain(text, DecimalMark::Point);
        let comma = |text| plain(text, DecimalMark::Comma);
        for (text, number) in
            [("4.95", "4.95"), ("1,234.50", "1234.50"), (".5", ".5"), ("£12", "12"), ("-3", "-3"), ("1'234.5", "1234.5"), ("5.", "5")]
        {
            assert_eq!(point(text).as_deref(), Some(number), "{text}");
        }
        for (text, number) in [("4,95", "4.95"), ("1.234,50", "1234.50"), ("1 234,50", "1234.50"), ("1.250", "1250"), ("-0,5 £", "-0.5")] {
            assert_eq!(comma(text).as_deref(), Some(number), "{text}");
        }
        for nonsense in ["", ".", "1,5", "1e3", "NaN", "--1", "1.2.3", "1,23,456", "12,34.5", ",5", "1,2345"] {
            assert_eq!(point(nonsense), None, "{nonsense}");
        }
    }
}
