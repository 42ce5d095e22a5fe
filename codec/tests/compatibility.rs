//! A change that would break a reader or a writer is refused, and the field is named.

use apache_avro::Schema;
use codec::compatibility::check;

fn record(fields: &str) -> Schema {
    Schema::parse_str(&format!(r#"{{"type":"record","name":"Event","namespace":"test","fields":[{fields}]}}"#)).expect("it parses")
}

const ID: &str = r#"{"name":"id","type":"string"}"#;

fn refused(old: &str, new: &str) -> String {
    check(&record(old), &record(new)).expect_err("it is refused").field
}

#[test]
fn a_field_with_a_default_may_come_and_go() {
    let more = format!(r#"{ID},{{"name":"note","type":["null","string"],"default":null}}"#);
    check(&record(ID), &record(&more)).expect("it may come");
    check(&record(&more), &record(ID)).expect("it may go");
}

#[test]
fn what_breaks_is_named() {
    let note = format!(r#"{ID},{{"name":"note","type":"string"}}"#);
    assert_eq!(refused(ID, &note), "Event.note", "added without a default");
    assert_eq!(refused(&note, ID), "Event.note", "removed without a default");
    assert_eq!(refused(ID, r#"{"name":"id","type":"long"}"#), "Event.id", "another type");
    assert_eq!(refused(ID, r#"{"name":"key","type":"string"}"#), "Event.key", "renamed");
    let money = |amount: &str| {
        format!(r#"{{"name":"price","type":{{"type":"record","name":"Money","fields":[{{"name":"amount","type":"{amount}"}}]}}}}"#)
    };
    assert_eq!(refused(&money("long"), &money("string")), "Event.price.amount", "deep inside");
}

#[test]
fn what_fails_for_some_values_only_is_broken_too() {
    let (required, optional) = (r#"{"name":"note","type":"string"}"#, r#"{"name":"note","type":["null","string"]}"#);
    assert_eq!(refused(optional, required), "Event.note", "an optional field made required: a null that was written cannot be read");
    assert_eq!(refused(required, optional), "Event.note", "and back: an old reader meets a null");
    let status = |symbols: &str| format!(r#"{{"name":"status","type":{{"type":"enum","name":"Status","symbols":[{symbols}]}}}}"#);
    assert_eq!(refused(&status(r#""A""#), &status(r#""A","B""#)), "Event.status", "a symbol that old readers do not know");
}

#[test]
fn the_path_leads_through_lists_and_optional_records() {
    let line = |kind: &str| format!(r#"{{"type":"record","name":"Line","fields":[{{"name":"quantity","type":"{kind}"}}]}}"#);
    let lines = |kind: &str| format!(r#"{{"name":"lines","type":{{"type":"array","items":{}}}}}"#, line(kind));
    assert_eq!(refused(&lines("long"), &lines("string")), "Event.lines[].quantity");
    let optional = |kind: &str| format!(r#"{{"name":"line","type":["null",{}],"default":null}}"#, line(kind));
    assert_eq!(refused(&optional("long"), &optional("string")), "Event.line.quantity");
}
