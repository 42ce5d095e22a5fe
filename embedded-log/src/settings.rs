//! The settings of topics: which there are, what they may say, and what they mean here.

use std::collections::BTreeMap;

/// A topic's own settings, by name. What is not there has its default.
pub type TopicSettings = BTreeMap<String, String>;

/// How Kafka's protocol calls the type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum ValueType {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// A setting that a topic may have.
pub(crate) struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub value_type: ValueType,
}

const fn setting(name: &'static str, default: &'static str, value_type: ValueType) -> Setting {
    Setting { name, default, value_type }
}

pub(crate) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const RETENTION: [&str; 2] = ["retention.ms", "retention.bytes"];
const COMPRESSION_TYPE: &str = "compression.type";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// Settings that Kafka has and whose names a tool may use. Those about segments, flushing and replicas are kept and shown, and change
/// nothing: this log has one file, syncs before it acknowledges and has one copy.
pub(crate) const KNOWN: &[Setting] = &[
    setting(CLEANUP_POLICY, "delete", ValueType::List),
    setting(COMPRESSION_TYPE, "producer", ValueType::Text),
    setting("delete.retention.ms", "86400000", ValueType::Long),
    setting("file.delete.delay.ms", "60000", ValueType::Long),
    setting("flush.messages", "1", ValueType::Long),
    setting("flush.ms", "0", ValueType::Long),
    setting("index.interval.bytes", "4096", ValueType::Int),
    setting("max.compaction.lag.ms", "9223372036854775807", ValueType::Long),
    setting(MAX_MESSAGE_BYTES, "1048588", ValueType::Int),
    setting("message.timestamp.after.max.ms", "9223372036854775807", ValueType::Long),
    setting("message.timestamp.before.max.ms", "9223372036854775807", ValueType::Long),
    setting(TIMESTAMP_TYPE, "CreateTime", ValueType::Text),
    setting("min.cleanable.dirty.ratio", "0.5", ValueType::Double),
    setting("min.compaction.lag.ms", "0", ValueType::Long),
    setting("min.insync.replicas", "1", ValueType::Int),
    setting("preallocate", "false", ValueType::Boolean),
    setting(RETENTION[1], "-1", ValueType::Long),
    setting(RETENTION[0], "-1", ValueType::Long),
    setting("segment.bytes", "1073741824", ValueType::Int),
    setting("segment.index.bytes", "10485760", ValueType::Int),
    setting("segment.jitter.ms", "0", ValueType::Long),
    setting("segment.ms", "604800000", ValueType::Long),
    setting("unclean.leader.election.enable", "false", ValueType::Boolean),
];

/// Why a topic cannot have a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No topic has a setting of this name.
    #[error("there is no setting {0}")]
    Unknown(String),
    /// The value is not of the setting's type.
    #[error("{name} cannot be {value:?}")]
    Value {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
    },
    /// The log would have to do something that it does not do.
    #[error("{name}={value}: this log {does}")]
    Unsupported {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
        /// What the log does instead.
        does: &'static str,
    },
}

/// The definition of a setting.
pub(crate) fn known(name: &str) -> Option<&'static Setting> {
    KNOWN.iter().find(|setting| setting.name == name)
}

/// The value that a topic has, its own or the default; empty for an unknown name.
pub(crate) fn value<'a>(settings: &'a TopicSettings, name: &str) -> &'a str {
    settings.get(name).map_or_else(|| known(name).map_or("", |setting| setting.default), String::as_str)
}

/// The largest batch that a topic takes.
pub(crate) fn max_batch_bytes(settings: &TopicSettings) -> usize {
    value(settings, MAX_MESSAGE_BYTES).parse().unwrap_or(0)
}

/// Checks each setting, and what they mean together.
pub(crate) fn check(settings: &TopicSettings) -> Result<(), SettingError> {
    settings.iter().try_for_each(|(name, value)| check_one(name, value))?;
    let policies = list(value(settings, CLEANUP_POLICY));
    if !policies.contains(&"delete") {
        return Ok(());
    }
    RETENTION.iter().try_for_each(|name| match value(settings, name) {
        "-1" => Ok(()),
        finite => Err(unsupported(name, finite, "keeps records for ever")),
    })
}

fn check_one(name: &str, value: &str) -> Result<(), SettingError> {
    let setting = known(name).ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
    if !is_of_type(setting.value_type, value) || !is_in_range(name, value) {
        return Err(SettingError::Value { name: name.to_owned(), value: value.to_owned() });
    }
    match (name, value) {
        (COMPRESSION_TYPE, "producer") | (TIMESTAMP_TYPE, "CreateTime") => Ok(()),
        (COMPRESSION_TYPE, _) => Err(unsupported(name, value, "keeps batches as their producer compressed them")),
        (TIMESTAMP_TYPE, _) => Err(unsupported(name, value, "keeps the times that producers give")),
        _ => Ok(()),
    }
}

fn unsupported(name: &str, value: &str, does: &'static str) -> SettingError {
    SettingError::Unsupported { name: name.to_owned(), value: value.to_owned(), does }
}

fn is_of_type(value_type: ValueType, value: &str) -> bool {
    match value_type {
        ValueType::Boolean => matches!(value, "true" | "false"),
        ValueType::Int => value.parse::<i32>().is_ok(),
        ValueType::Long => value.parse::<i64>().is_ok(),
        ValueType::Double => value.parse::<f64>().is_ok(),
        ValueType::Text | ValueType::List => true,
    }
}

fn is_in_range(name: &str, value: &str) -> bool {
    let number = value.parse::<i64>();
    match name {
        CLEANUP_POLICY => {
            let policies = list(value);
            !policies.is_empty() && policies.iter().all(|policy| matches!(*policy, "delete" | "compact"))
        }
        "min.insync.replicas" => number.is_ok_and(|number| number >= 1),
        name if RETENTION.contains(&name) => number.is_ok_and(|number| number >= -1),
        MAX_MESSAGE_BYTES => number.is_ok_and(|number| number >= 0),
        _ => true,
    }
}

/// The words of a list, as a setting writes it.
pub(crate) fn list(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> TopicSettings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_log_that_is_kept_for_ever_is_taken_and_one_that_forgets_is_refused() {
        assert_eq!(check(&settings(&[("retention.ms", "-1"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")])), Ok(()));
        for (name, value) in [("retention.ms", "604800000"), ("retention.bytes", "1")] {
            assert!(matches!(check(&settings(&[(name, value)])), Err(SettingError::Unsupported { .. })), "{name}={value}");
            assert_eq!(check(&settings(&[(name, value), ("cleanup.policy", "compact")])), Ok(()));
            assert!(check(&settings(&[(name, value), ("cleanup.policy", "compact,delete")])).is_err());
        }
    }

    #[test]
    fn unknown_names_and_wrong_values_are_refused() {
        assert_eq!(check(&settings(&[("retention", "1")])), Err(SettingError::Unknown("retention".into())));
        for (name, value) in [
            ("retention.ms", "ever"),
            ("retention.ms", "-2"),
            ("cleanup.policy", "burn"),
            ("cleanup.policy", ""),
            ("max.message.bytes", "-1"),
            ("min.insync.replicas", "0"),
            ("preallocate", "perhaps"),
        ] {
            assert!(matches!(check(&settings(&[(name, value)])), Err(SettingError::Value { .. })), "{name}={value}");
        }
        assert!(check(&settings(&[("compression.type", "zstd")])).is_err());
        assert!(check(&settings(&[("message.timestamp.type", "LogAppendTime")])).is_err());
    }
}
