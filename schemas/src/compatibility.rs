//! Whether two versions of a schema can read each other (FULL), and if not, which field it is.

use apache_avro::{
    Schema,
    error::CompatibilityError,
    schema::{RecordField, RecordSchema},
    schema_compatibility::SchemaCompatibility,
};

/// Two versions of a record that cannot both read what the other wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Incompatible {
    /// The field's path: `OrderPlaced.user_id`.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// Checks that each version reads what the other wrote.
pub fn check(old: &Schema, new: &Schema) -> Result<(), Incompatible> {
    if let (Schema::Record(old), Schema::Record(new)) = (old, new) {
        check_records(old, new)?;
    }
    SchemaCompatibility::mutual_read(old, new).map(drop).map_err(|error| Incompatible { field: name_of(new), rule: error.to_string() })
}

fn name_of(schema: &Schema) -> String {
    schema.name().map(|name| name.name().to_string()).unwrap_or_default()
}

fn check_records(old: &RecordSchema, new: &RecordSchema) -> Result<(), Incompatible> {
    let broken = |field: &str, rule: &str| Err(Incompatible { field: format!("{}.{field}", new.name.name()), rule: rule.to_owned() });
    for field in &new.fields {
        match find(old, &field.name) {
            None if field.default.is_none() => {
                return broken(&field.name, "a field that is added needs a default, or old events cannot be read");
            }
            Some(before) => check_field(new.name.name(), before, field)?,
            None => {}
        }
    }
    match old.fields.iter().find(|field| find(new, &field.name).is_none() && field.default.is_none()) {
        Some(gone) => broken(&gone.name, "a field that is removed must have had a default, or old readers cannot read new events"),
        None => Ok(()),
    }
}

fn find<'a>(record: &'a RecordSchema, name: &str) -> Option<&'a RecordField> {
    record.fields.iter().find(|field| field.name == name)
}

fn check_field(record: &str, old: &RecordField, new: &RecordField) -> Result<(), Incompatible> {
    if let (Schema::Record(old), Schema::Record(new)) = (&old.schema, &new.schema) {
        check_records(old, new)?;
    }
    let explain =
        |error: CompatibilityError| Incompatible { field: format!("{record}.{}", new.name), rule: format!("its type changed: {error}") };
    SchemaCompatibility::mutual_read(&old.schema, &new.schema).map(drop).map_err(explain)
}
