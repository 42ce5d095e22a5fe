//! Recognises what a file is, and decodes its text.

use crate::FileError;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// So many bytes of lines that are not ASCII are enough to tell their encoding.
const TELLING: usize = 65_536;
/// The beginning that shows whether a file is text.
const BEGINNING: usize = 4_096;

/// The text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Without its byte order mark. Bytes that are no text became U+FFFD.
    pub text: String,
    /// The encoding, for people: `UTF-8`, `windows-1252`.
    pub encoding: &'static str,
    /// True where some bytes were no text in this encoding.
    pub spoilt: bool,
}

/// Decodes a file, as `stated` or else in the encoding that its bytes show.
pub fn decode(bytes: &[u8], stated: Option<&'static Encoding>) -> Result<Text, FileError> {
    let encoding = match stated.or_else(|| unicode(bytes)) {
        Some(encoding) => encoding,
        None => {
            refuse_binary(bytes)?;
            if is_utf8(bytes) { UTF_8 } else { detected(bytes) }
        }
    };
    let (text, spoilt) = encoding.decode_with_bom_removal(bytes);
    refuse_markup(&text)?;
    if text.trim().is_empty() {
        return Err(FileError::Empty);
    }
    Ok(Text { text: text.into_owned(), encoding: encoding.name(), spoilt })
}

/// The encoding that a byte order mark names, or UTF-16 where every other byte of the beginning is 0, as it is in Western text.
fn unicode(bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Some(encoding);
    }
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    let zeros = |odd: usize| beginning.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let most = |zeros: usize| zeros > 4 && zeros * 5 >= beginning.len() * 2;
    match (zeros(0), zeros(1)) {
        (0, odd) if most(odd) => Some(UTF_16LE),
        (even, 0) if most(even) => Some(UTF_16BE),
        _ => None,
    }
}

/// Text in another encoding hardly ever holds valid sequences of UTF-8 that are not ASCII. So a file that holds more of them than
/// invalid ones is UTF-8 with some spoilt lines, such as two exports that somebody put together.
fn is_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    invalid == 0 || valid > invalid
}

fn detected(bytes: &[u8]) -> &'static Encoding {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.is_ascii());
    let mut telling: Vec<u8> = lines.flatten().copied().take(TELLING).collect();
    // Without a line's end the detector takes the last word for one that goes on.
    telling.push(b'\n');
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&telling, true);
    // Amounts are pounds: of two encodings that fit as well, such as £ and Ł for the same byte, the British one is meant.
    detector.guess(Some(b"uk"), Utf8Detection::Deny)
}

fn refuse_binary(bytes: &[u8]) -> Result<(), FileError> {
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    let controls = beginning.iter().filter(|byte| matches!(byte, 0..=8 | 14..=25 | 28..=31)).count();
    let kind = if controls > 0 { infer::get(bytes).map(|kind| kind.mime_type()) } else { None };
    match kind {
        Some("application/zip") => Err(archive(bytes)),
        Some(kind) if !kind.starts_with("text/") => Err(named(kind)),
        // A stray control character costs its line at most.
        Some(_) | None if controls > 2 && controls * 50 > beginning.len() => Err(other("binary data")),
        Some(_) | None => Ok(()),
    }
}

fn named(kind: &str) -> FileError {
    match kind {
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => spreadsheet("an Excel workbook (.xlsx)"),
        "application/vnd.ms-excel" | "application/x-ole-storage" | "application/msword" => spreadsheet("an Excel workbook (.xls)"),
        "application/vnd.oasis.opendocument.spreadsheet" => spreadsheet("an OpenDocument spreadsheet (.ods)"),
        "application/gzip"
        | "application/x-bzip2"
        | "application/x-xz"
        | "application/zstd"
        | "application/x-7z-compressed"
        | "application/vnd.rar"
        | "application/x-tar" => packed(kind.rsplit(['/', '-', '.']).next().unwrap_or(kind)),
        "application/pdf" => other("a PDF"),
        kind => other(kind),
    }
}

/// Excel and OpenDocument files are zip archives: what is in one tells them from others.
fn archive(bytes: &[u8]) -> FileError {
    let holds = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    if holds(b"xl/workbook") || holds(b"xl/worksheets") || holds(b"xl/sharedStrings") {
        spreadsheet("an Excel workbook (.xlsx)")
    } else if holds(b"opendocument.spreadsheet") {
        spreadsheet("an OpenDocument spreadsheet (.ods)")
    } else {
        packed("zip")
    }
}

fn refuse_markup(text: &str) -> Result<(), FileError> {
    let start: String = text.trim_start().chars().take(BEGINNING).collect::<String>().to_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head") || start.starts_with("<body") {
        let advice = "it may be the error or sign-in page of the place that it was downloaded from; download the file again".to_owned();
        return Err(FileError::NotText { what: "an HTML page".into(), advice });
    }
    let kind = match () {
        () if start.starts_with('<') && start.contains("spreadsheet") => return Err(spreadsheet("an XML spreadsheet")),
        () if start.starts_with('<') => "XML",
        () if start.starts_with("%pdf-") => "a PDF",
        () if start.starts_with("{\\rtf") => "a rich text document",
        () if start.starts_with('{') || (start.starts_with('[') && start[1..].trim_start().starts_with(['{', '['])) => "JSON",
        () => return Ok(()),
    };
    Err(other(kind))
}

fn spreadsheet(what: &str) -> FileError {
    let advice = "open it and save it as CSV UTF-8 (File > Save As > CSV UTF-8), then import that file".to_owned();
    FileError::NotText { what: what.to_owned(), advice }
}

fn packed(form: &str) -> FileError {
    FileError::NotText { what: format!("a {form} archive"), advice: "unpack it, then import the CSV file in it".into() }
}

fn other(what: &str) -> FileError {
    let advice = "export the invoices as CSV (UTF-8), then import that file".to_owned();
    FileError::NotText { what: what.to_owned(), advice }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
