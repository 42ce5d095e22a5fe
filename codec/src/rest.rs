//! Answers the registry's own REST paths (Confluent's API), read only, so that tools that ask a registry can ask Daybook when there is
//! none.

use crate::{Schemas, record_set::Record};
use serde_json::{Value, json};

/// The registry API's answer for a path, subject, version or id that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotThere {
    /// Confluent's code: 40401 subject, 40402 version, 40403 schema.
    pub error_code: u32,
    /// For a person.
    pub message: String,
}

impl NotThere {
    fn new(error_code: u32, message: &str) -> Self {
        Self { error_code, message: message.to_owned() }
    }
}

/// The answer to a GET of a path below the registry's root: `subjects`, `schemas/ids/3`, `subjects/<record>/versions/latest`.
///
/// # Errors
/// There is no such path, subject, version or id.
pub fn answer(schemas: &Schemas, path: &str) -> Result<Value, NotThere> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        ["config"] => Ok(json!({"compatibilityLevel": "FULL_TRANSITIVE"})),
        ["subjects"] => Ok(json!(schemas.records().names().collect::<Vec<_>>())),
        ["schemas", "types"] => Ok(json!(["AVRO"])),
        ["schemas", "ids", id] => by_id(schemas, id),
        ["config", subject] => known(schemas, subject).map(|_| json!({"compatibilityLevel": "FULL_TRANSITIVE"})),
        ["subjects", subject, "versions"] => known(schemas, subject).map(|_| json!([1])),
        ["subjects", subject, "versions", "1" | "latest"] => version(schemas, subject),
        ["subjects", subject, "versions", _] => known(schemas, subject).and(Err(NotThere::new(40402, "Version not found."))),
        _ => Err(NotThere::new(404, "HTTP 404 Not Found")),
    }
}

fn known(schemas: &Schemas, subject: &str) -> Result<&'static Record, NotThere> {
    schemas.records().named(subject).ok_or_else(|| NotThere::new(40401, &format!("Subject '{subject}' not found.")))
}

fn by_id(schemas: &Schemas, id: &str) -> Result<Value, NotThere> {
    let missing = || NotThere::new(40403, &format!("Schema {id} not found"));
    let current = schemas.records().records().find(|record| schemas.id_of(&record.name).is_some_and(|known| known.to_string() == id));
    let record = current.or_else(|| schemas.records().older().find(|record| record.id.to_string() == id));
    record.map(|record| json!({"schema": record.text})).ok_or_else(missing)
}

fn version(schemas: &Schemas, subject: &str) -> Result<Value, NotThere> {
    let record = known(schemas, subject)?;
    Ok(json!({"subject": record.name, "version": 1, "id": schemas.id_of(&record.name), "schema": record.text}))
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::{RecordSchema, RecordSet, Schemas};

    #[test]
    fn each_path_of_the_registry_answers() {
        let moved = RecordSchema { id: 2, text: r#"{"type":"record","name":"Moved","namespace":"test","fields":[]}"# };
        let schemas = Schemas::bundled(&RecordSet::parse(&[moved]));
        let get = |path: &str| answer(&schemas, path).map_err(|missing| missing.error_code);
        assert_eq!(get("subjects").expect("it is there").as_array().map(Vec::len), Some(3));
        let latest = get("subjects/test.Moved/versions/latest").expect("it is there");
        assert_eq!(get(&format!("schemas/ids/{}", latest["id"])).expect("it is there")["schema"], latest["schema"]);
        assert_eq!(get("subjects/nobody/versions"), Err(40401));
        assert_eq!(get("subjects/test.Moved/versions/7"), Err(40402));
        assert_eq!(get("schemas/ids/9999"), Err(40403));
        assert_eq!(get("config").expect("it is there")["compatibilityLevel"], "FULL_TRANSITIVE");
    }
}
