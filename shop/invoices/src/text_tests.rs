use super::*;
use std::io::Write;

const LINE: &str = "1,10001,CAFÉ CUP £5 – “TRÈS” CHIC,1\n";

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn read(bytes: &[u8]) -> (String, &'static str) {
    let text = decode(bytes, None).expect("it is text");
    assert!(!text.spoilt);
    (text.text, text.encoding)
}

#[test]
fn unicode_is_recognised_with_and_without_a_byte_order_mark() {
    let marked = format!("\u{feff}{LINE}");
    for text in [LINE, &marked] {
        assert_eq!(read(text.as_bytes()), (LINE.into(), "UTF-8"));
        assert_eq!(read(&utf16(text, u16::to_le_bytes)), (LINE.into(), "UTF-16LE"));
        assert_eq!(read(&utf16(text, u16::to_be_bytes)), (LINE.into(), "UTF-16BE"));
    }
}

#[test]
fn western_text_of_windows_is_recognised() {
    for text in [LINE, "CAFÉ CUP £5,1\n", "POT £5\n", "HERR MÜLLER, GRÖSSE\n", "NIÑO €3\n"] {
        let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(text);
        assert_eq!(read(&bytes), (text.into(), "windows-1252"), "{text}");
    }
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(LINE);
    assert_eq!(decode(&bytes, Some(encoding_rs::MACINTOSH)).map(|text| text.encoding), Ok("macintosh"), "unless another is stated");
}

fn refusal(bytes: &[u8]) -> String {
    decode(bytes, None).expect_err("it is no text").to_string()
}

fn zip(first: &str) -> Vec<u8> {
    let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    zip[26..].copy_from_slice(&[]);
    zip.extend((first.len() as u16).to_le_bytes());
    zip.extend([0, 0]);
    zip.extend(first.as_bytes());
    zip
}

#[test]
fn what_is_no_text_is_named_with_what_to_do() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(LINE.as_bytes()).expect("memory takes it");
    let excel = [&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..], &[0; 600]].concat();
    for (bytes, what, advice) in [
        (zip("xl/workbook.xml"), "Excel workbook (.xlsx)", "CSV UTF-8"),
        (excel, "Excel workbook (.xls)", "CSV UTF-8"),
        (zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "OpenDocument spreadsheet", "CSV UTF-8"),
        (zip("invoices.csv"), "zip archive", "unpack it"),
        (gzip.finish().expect("memory takes it"), "gzip archive", "unpack it"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj".to_vec(), "a PDF", "export the invoices as CSV"),
        (b"%PDF-1.7\n\0\x01\x02".to_vec(), "a PDF", "export the invoices as CSV"),
        (b"\n<!DOCTYPE html>\n<html><title>Sign in</title>".to_vec(), "an HTML page", "download the file again"),
        (b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">".to_vec(), "an XML spreadsheet", "CSV"),
        (b"[{\"InvoiceNo\": \"1\"}]".to_vec(), "JSON", "export the invoices as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "image/png", "export the invoices as CSV"),
        ((0..=255).collect(), "binary data", "export the invoices as CSV"),
    ] {
        let said = refusal(&bytes);
        assert!(said.contains(what) && said.contains(advice) && said.contains("not a CSV file"), "{said}");
    }
    for nothing in [&b""[..], b"\xef\xbb\xbf", b"\r\n \n"] {
        assert_eq!(decode(nothing, None), Err(FileError::Empty));
    }
}

#[test]
fn a_stray_control_character_is_no_reason_to_refuse_a_file() {
    let text = format!("{LINE}{LINE}2,10001,HE\0ART\x1a,1\n");
    assert_eq!(decode(text.as_bytes(), None).expect("it is text").text, text);
}
