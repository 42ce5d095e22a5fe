//! Splits a file into records, and keeps a wrong quote from taking the lines behind it with it.

use crate::{FileError, columns::Columns, columns::Wanted, places::Places};
use csv::{ReaderBuilder, StringRecord};

/// The delimiters that are recognised, and what people call them.
const DELIMITERS: [(u8, &str); 4] = [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "vertical bars")];

const UNCLOSED: &str = "malformed: a quote is opened on this line and never closed";
const UNDOUBLED: &str = "malformed: a quote inside a quoted field must be doubled";

/// The records of a file, below its header.
pub struct Records<'a> {
    text: &'a str,
    delimiter: u8,
    /// What people call the delimiter: `commas`.
    pub separated_by: &'static str,
    /// Where the needed columns are.
    pub columns: Columns,
    /// Where the first line behind the header begins.
    from: usize,
    /// Lines that cannot be read, in the file's order.
    broken: Vec<Broken>,
}

/// Lines whose quotes are wrong: those from the record's start to the one on which the quote was opened.
struct Broken {
    start: usize,
    end: usize,
    opened: usize,
    why: &'static str,
}

impl<'a> Records<'a> {
    /// Finds the delimiter under which the header names all needed columns, and the lines whose quotes are wrong.
    pub fn find(text: &'a str, wanted: &Wanted) -> Result<Self, FileError> {
        let (stated, begin) = stated_delimiter(text);
        let tried = DELIMITERS.into_iter().filter(|(delimiter, _)| stated.is_none_or(|stated| stated == *delimiter));
        let tried: Vec<_> = tried.map(|(delimiter, name)| Self::with(text, begin, delimiter, name, wanted)).collect();
        let (found, refused): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
        let failure = || refused.into_iter().filter_map(Result::err).max_by_key(|(recognised, _)| *recognised).map(|(_, error)| error);
        found.into_iter().flatten().next().ok_or_else(|| failure().unwrap_or(FileError::Empty))
    }

    /// The error comes with the number of columns that were recognised: the delimiter that shows most is the file's.
    fn with(text: &'a str, begin: usize, delimiter: u8, name: &'static str, wanted: &Wanted) -> Result<Self, (usize, FileError)> {
        let line = Places::new(text.as_bytes()).line_at(begin);
        let unreadable = |why: String| (1, FileError::Header { line, why });
        let first = begin + text[begin..].bytes().take_while(|byte| is_end(*byte)).count();
        record_end(text.as_bytes(), first, delimiter, usize::MAX).map_err(|(_, why)| unreadable(why.to_owned()))?;
        let mut reader = reader(delimiter, &text.as_bytes()[begin..]);
        let mut header = StringRecord::new();
        reader.read_record(&mut header).map_err(|error| unreadable(error.to_string()))?;
        let from = begin + usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let columns = Columns::find(&header, wanted, line, name)?;
        let broken = broken(text.as_bytes(), from, delimiter, columns.width());
        Ok(Self { text, delimiter, separated_by: name, columns, from, broken })
    }

    /// Shows each record, or the reason why it cannot be read, with the line that it starts on, in the file's order.
    pub fn for_each(&self, mut show: impl FnMut(u64, Result<&StringRecord, &'static str>)) {
        let (mut places, mut from) = (Places::new(self.text.as_bytes()), self.from);
        for broken in &self.broken {
            self.between(from, broken.start, &mut places, &mut show);
            show(places.line_at(broken.opened), Err(broken.why));
            from = broken.end;
        }
        self.between(from, self.text.len(), &mut places, &mut show);
    }

    fn between(&self, from: usize, to: usize, places: &mut Places<'_>, show: &mut impl FnMut(u64, Result<&StringRecord, &'static str>)) {
        let (mut reader, mut record) = (reader(self.delimiter, &self.text.as_bytes()[from..to]), StringRecord::new());
        while let Ok(true) = reader.read_record(&mut record) {
            let at = record.position().map_or(0, |position| position.byte());
            show(places.line_at(from + usize::try_from(at).unwrap_or(usize::MAX)), Ok(&record));
        }
    }
}

fn reader(delimiter: u8, bytes: &[u8]) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes)
}

/// Excel writes and reads a first line `sep=;`. Answers where the header begins behind it.
fn stated_delimiter(text: &str) -> (Option<u8>, usize) {
    let line = text.split(['\r', '\n']).next().unwrap_or_default();
    match line.trim_matches('"').strip_prefix("sep=").map(str::as_bytes) {
        Some([delimiter]) if DELIMITERS.iter().any(|(known, _)| known == delimiter) => (Some(*delimiter), line.len()),
        Some(_) | None => (None, 0),
    }
}

fn broken(bytes: &[u8], from: usize, delimiter: u8, width: usize) -> Vec<Broken> {
    let (mut at, mut broken) = (from, Vec::new());
    while at < bytes.len() {
        if is_end(bytes[at]) {
            at += 1;
            continue;
        }
        at = record_end(bytes, at, delimiter, width).unwrap_or_else(|(opened, why)| {
            let end = line_end(bytes, opened);
            broken.push(Broken { start: at, end, opened, why });
            end
        });
    }
    broken
}

/// The end of the record that starts here, or the place of a quote that is wrong, with the reason.
fn record_end(bytes: &[u8], start: usize, delimiter: u8, width: usize) -> Result<usize, (usize, &'static str)> {
    let mut at = start;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at = quoted_end(bytes, at, delimiter, width)?;
        } else {
            at += bytes[at..].iter().take_while(|byte| **byte != delimiter && !is_end(**byte)).count();
        }
        match bytes.get(at) {
            Some(byte) if *byte == delimiter => at += 1,
            Some(_) | None => return Ok(at),
        }
    }
}

/// The end of a quoted field. A quote that only closes behind a whole line with a record's delimiters was meant to be closed before it.
fn quoted_end(bytes: &[u8], opened: usize, delimiter: u8, width: usize) -> Result<usize, (usize, &'static str)> {
    let (mut at, mut lines, mut delimiters) = (opened + 1, 0, 0);
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => return Err((opened, UNCLOSED)),
            (Some(b'"'), Some(b'"')) => at += 1,
            (Some(b'"'), None) => return Ok(at + 1),
            (Some(b'"'), Some(next)) if *next == delimiter || is_end(*next) => return Ok(at + 1),
            (Some(b'"'), Some(_)) => return Err((opened, if lines == 0 { UNDOUBLED } else { UNCLOSED })),
            (Some(byte), _) if is_end(*byte) => {
                if lines > 0 && delimiters + 1 >= width {
                    return Err((opened, UNCLOSED));
                }
                (lines, delimiters) = (lines + 1, 0);
            }
            (Some(byte), _) => delimiters += usize::from(*byte == delimiter),
        }
        at += 1;
    }
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|byte| !is_end(**byte)).count()
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
