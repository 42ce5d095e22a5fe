//! Fills in what an event of an earlier version lacks: Avro's own resolution does so for bytes, this does for JSON.

use apache_avro::Schema;
use serde_json::Value;

/// Gives each field of a record that is missing its schema's default, to any depth.
pub(crate) fn fill(schema: &Schema, value: &mut Value) {
    match (schema, value) {
        (Schema::Record(record), Value::Object(fields)) => {
            for field in &record.fields {
                match (fields.get_mut(&field.name), &field.default) {
                    (Some(value), _) => fill(&field.schema, value),
                    (None, Some(default)) => drop(fields.insert(field.name.clone(), default.clone())),
                    (None, None) => {}
                }
            }
        }
        (Schema::Array(array), Value::Array(items)) => items.iter_mut().for_each(|item| fill(&array.items, item)),
        (Schema::Map(map), Value::Object(fields)) => fields.values_mut().for_each(|value| fill(&map.types, value)),
        // Of several records nobody can tell which one it is.
        (Schema::Union(union), value @ Value::Object(_)) => {
            let mut records = union.variants().iter().filter(|variant| matches!(variant, Schema::Record(_)));
            if let (Some(record), None) = (records.next(), records.next()) {
                fill(record, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_earlier_version_lacks_has_its_default_to_any_depth() {
        let schema = r#"{"type":"record","name":"Order","fields":[
            {"name":"id","type":"string"},
            {"name":"channel","type":"string","default":"shop"},
            {"name":"note","type":["null","string"],"default":null},
            {"name":"gift","type":["null",{"type":"record","name":"Gift","fields":[{"name":"wrapped","type":"boolean","default":true}]}],"default":null},
            {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
                {"name":"sku","type":"string"},{"name":"tax","type":"long","default":0}]}}}]}"#;
        let schema = Schema::parse_str(schema).unwrap();
        let mut old = json!({"id": "a", "gift": {}, "lines": [{"sku": "tea"}, {"sku": "cup", "tax": 7}]});
        fill(&schema, &mut old);
        let lines = json!([{"sku": "tea", "tax": 0}, {"sku": "cup", "tax": 7}]);
        assert_eq!(old, json!({"id": "a", "channel": "shop", "note": null, "gift": {"wrapped": true}, "lines": lines}));
    }
}
