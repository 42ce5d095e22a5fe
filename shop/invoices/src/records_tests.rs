use super::*;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// The records by line: the description, or the reason.
fn read(rows: &str) -> Vec<(u64, String)> {
    let text = format!("{HEADER}\n{rows}");
    let records = Records::find(&text, &Wanted::new()).expect("the header is right");
    let mut shown = Vec::new();
    records.for_each(|line, record| shown.push((line, record.map_or_else(str::to_owned, |record| record[2].to_owned()))));
    shown
}

fn row(description: &str) -> String {
    format!("1,10001,{description},2,2011-01-01 10:00:00,1.50,7,UK\n")
}

fn rows(descriptions: &[&str]) -> String {
    descriptions.iter().map(|description| row(description)).collect()
}

fn told(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

#[test]
fn an_unclosed_quote_costs_its_own_line() {
    assert_eq!(read(&rows(&["A", "\"B", "C", "D"])), told(&[(2, "A"), (3, UNCLOSED), (4, "C"), (5, "D")]));
    assert_eq!(read(&rows(&["A", "B", "\"C"])), told(&[(2, "A"), (3, "B"), (4, UNCLOSED)]), "on the last line");
    let two = read(&rows(&["\"A", "B", "\"C, RED\"", "\"D", "E"]));
    assert_eq!(two, told(&[(2, UNCLOSED), (3, "B"), (4, "C, RED"), (5, UNCLOSED), (6, "E")]), "a later quote does not close it");
    let inches = read(&rows(&["\"A", "B", "PLATE 5\"", "D"]));
    assert_eq!(inches, told(&[(2, UNCLOSED), (3, "B"), (4, "PLATE 5\""), (5, "D")]), "nor do inches that stand before a delimiter");
    let ends = rows(&["A", "\"B", "C"]).replace('\n', "\r\n");
    assert_eq!(read(&ends), told(&[(2, "A"), (3, UNCLOSED), (4, "C")]), "whatever ends the lines");
}

#[test]
fn a_quote_that_is_not_doubled_costs_its_own_line() {
    assert_eq!(read(&rows(&["\"A \"RED\" B\"", "C"])), told(&[(2, UNDOUBLED), (3, "C")]));
    assert_eq!(read(&rows(&["\"A \"\"RED\"\" B\"", "5\" C"])), told(&[(2, "A \"RED\" B"), (3, "5\" C")]));
}

#[test]
fn a_field_may_go_on_for_several_lines() {
    assert_eq!(read(&rows(&["\"two\nlines\"", "\"a, b\n\nc, d\"", "C"])), told(&[(2, "two\nlines"), (4, "a, b\n\nc, d"), (7, "C")]));
}

#[test]
fn a_header_whose_quotes_are_wrong_is_named() {
    let error = |text: &str| Records::find(text, &Wanted::new()).map(|_| ()).expect_err("it is wrong").to_string();
    let unclosed = error(&HEADER.replace("StockCode", "\"StockCode"));
    assert!(unclosed.contains("line 1") && unclosed.contains("quote"), "{unclosed}");
    let hinted = error("sep=;\nRechnung;Preis\n1;2\n");
    assert!(hinted.contains("line 2") && hinted.contains("Rechnung, Preis"), "{hinted}");
    let some = error("InvoiceNo;Preis;Country\n1;2;UK\n");
    assert!(some.contains("Separated by semicolons, the file has the columns InvoiceNo, Preis, Country"), "{some}");
}
