//! Checks whether two versions of a schema can read each other (FULL), and if not, names the field that breaks it.

use apache_avro::{
    Schema,
    schema::{RecordField, RecordSchema, UnionSchema},
    schema_compatibility::{Compatibility, SchemaCompatibility},
};

/// Two versions of a record that cannot both read what the other wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Incompatible {
    /// The field's path: `OrderPlaced.lines[].quantity`.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// Checks that each version reads everything that the other one wrote. The library gives only the verdict, so if that is bad we look for
/// the field.
pub fn check(old: &Schema, new: &Schema) -> Result<(), Incompatible> {
    match broken_rule(old, new) {
        None => Ok(()),
        Some(rule) => Err(find(name_of(new), old, new, rule)),
    }
}

/// The library's verdict in words; none where both read everything. It calls a change that fails for some values only "partial", such as an
/// optional field made required; for a log that is kept for ever such a change is broken, too.
fn broken_rule(old: &Schema, new: &Schema) -> Option<String> {
    match SchemaCompatibility::mutual_read(old, new) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("its type changed so that one version writes values that the other cannot read".into()),
        Err(error) => Some(format!("its type changed: {error}")),
    }
}

fn name_of(schema: &Schema) -> String {
    schema.name().map(|name| name.name().to_string()).unwrap_or_default()
}

/// The innermost place that breaks the rule, below `path`.
fn find(path: String, old: &Schema, new: &Schema, rule: String) -> Incompatible {
    match (old, new) {
        (Schema::Record(old), Schema::Record(new)) => find_in_record(&path, old, new),
        (Schema::Array(old), Schema::Array(new)) => find_below(format!("{path}[]"), &old.items, &new.items),
        (Schema::Map(old), Schema::Map(new)) => find_below(format!("{path}{{}}"), &old.types, &new.types),
        (Schema::Union(old), Schema::Union(new)) => find_in_union(&path, old, new),
        _ => None,
    }
    .unwrap_or(Incompatible { field: path, rule })
}

fn find_below(path: String, old: &Schema, new: &Schema) -> Option<Incompatible> {
    broken_rule(old, new).map(|rule| find(path, old, new, rule))
}

fn find_in_record(path: &str, old: &RecordSchema, new: &RecordSchema) -> Option<Incompatible> {
    let broken = |field: &RecordField, rule: &str| Incompatible { field: format!("{path}.{}", field.name), rule: rule.into() };
    for field in &new.fields {
        let below = match named(old, &field.name) {
            Some(before) => find_below(format!("{path}.{}", field.name), &before.schema, &field.schema),
            None if field.default.is_none() => Some(broken(field, "a field that is added needs a default, or old events cannot be read")),
            None => None,
        };
        if below.is_some() {
            return below;
        }
    }
    let gone = old.fields.iter().find(|field| field.default.is_none() && named(new, &field.name).is_none());
    gone.map(|gone| broken(gone, "a field that is removed must have had a default, or old readers cannot read new events"))
}

fn named<'a>(record: &'a RecordSchema, name: &str) -> Option<&'a RecordField> {
    record.fields.iter().find(|field| field.name == name)
}

/// Looks for a variant that both unions have by name and whose two versions break a rule.
fn find_in_union(path: &str, old: &UnionSchema, new: &UnionSchema) -> Option<Incompatible> {
    let same = |new: &Schema| old.variants().iter().find(|old| old.name().is_some() && old.name() == new.name());
    new.variants().iter().find_map(|new| same(new).and_then(|old| find_below(path.to_owned(), old, new)))
}
