//! The settings of a topic that would lose or rewrite history, or make brokers refuse what nodes append. Whose time a record bears is not
//! among them: nothing rests on it (`ce_time` is a header).

use super::{OWNERS_TOPIC, Profile, Violation};

/// The most bytes that one batch of the producer has (librdkafka's `batch.size` and `message.max.bytes`), and so the largest record.
const LARGEST: i64 = 1_000_000;
/// How far a node's clock may be off, in milliseconds, without a broker's refusing its records: an hour, which is Kafka's own default.
const CLOCKS_DIFFER: i64 = 3_600_000;

/// A setting, whether a value of it is right, and what it must be in words.
struct Rule {
    setting: &'static str,
    holds: Box<dyn Fn(&str) -> bool>,
    must: String,
}

fn is(setting: &'static str, must: &'static str) -> Rule {
    Rule { setting, holds: Box::new(move |value| value == must), must: must.to_owned() }
}

fn at_least(setting: &'static str, least: i64) -> Rule {
    let holds = move |value: &str| value.parse::<i64>().is_ok_and(|value| value >= least);
    Rule { setting, holds: Box::new(holds), must: format!("at least {least}") }
}

/// Copies that must have a record: as many as are asked for, and no more than there are, or nothing can be appended.
fn min_insync(copies: i32, profile: Profile) -> Rule {
    let least = profile.min_insync;
    let holds = move |value: &str| value.parse::<i32>().is_ok_and(|value| (least..=copies).contains(&value));
    let must = format!("at least {least} and at most {copies}, the number of copies");
    Rule { setting: "min.insync.replicas", holds: Box::new(holds), must }
}

fn of_a_log(copies: i32, profile: Profile) -> Vec<Rule> {
    vec![
        is("cleanup.policy", "delete"),
        is("retention.ms", "-1"),
        is("retention.bytes", "-1"),
        is("unclean.leader.election.enable", "false"),
        at_least("max.message.bytes", LARGEST),
        at_least("message.timestamp.before.max.ms", CLOCKS_DIFFER),
        at_least("message.timestamp.after.max.ms", CLOCKS_DIFFER),
        min_insync(copies, profile),
    ]
}

/// The owners' topic may be compacted, and must be: it is read whole at each start, and each owner announces itself again and again.
fn of_the_owners(copies: i32) -> Vec<Rule> {
    vec![is("cleanup.policy", "compact"), min_insync(copies, Profile { replication: 1, min_insync: 1 })]
}

/// The settings that break a rule. One that the broker does not report is not judged.
pub(super) fn check_settings(topic: &str, copies: i32, profile: Profile, value: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    let rules = if topic == OWNERS_TOPIC { of_the_owners(copies) } else { of_a_log(copies, profile) };
    let judge = |Rule { setting, holds, must }: Rule| {
        let is = value(setting)?;
        (!holds(&is)).then(|| Violation { topic: topic.into(), setting: setting.into(), is, must })
    };
    rules.into_iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const PROFILE: Profile = Profile { replication: 3, min_insync: 2 };

    /// A log's settings as Kafka makes them, with some changed.
    fn broken(topic: &str, copies: i32, changed: &[(&str, &str)]) -> Vec<String> {
        let made = [
            ("cleanup.policy", if topic == OWNERS_TOPIC { "compact" } else { "delete" }),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "1048588"),
            ("message.timestamp.before.max.ms", "9223372036854775807"),
            ("message.timestamp.after.max.ms", "3600000"),
            ("min.insync.replicas", "2"),
        ];
        let settings: HashMap<&str, &str> = made.into_iter().chain(changed.iter().copied()).collect();
        let found = check_settings(topic, copies, PROFILE, |name| settings.get(name).map(|value| (*value).to_owned()));
        found.into_iter().map(|Violation { setting, is, must, .. }| format!("{setting} is {is}, must be {must}")).collect()
    }

    #[test]
    fn topics_as_kafka_makes_them_are_right() {
        assert_eq!(broken("orders.events", 3, &[]), Vec::<String>::new());
        assert_eq!(broken(OWNERS_TOPIC, 3, &[]), Vec::<String>::new());
    }

    #[test]
    fn each_dangerous_setting_is_named_with_its_value_and_the_right_one() {
        for (setting, value, must) in [
            ("cleanup.policy", "compact", "delete"),
            ("cleanup.policy", "compact,delete", "delete"),
            ("retention.ms", "604800000", "-1"),
            ("retention.bytes", "1", "-1"),
            ("unclean.leader.election.enable", "true", "false"),
            ("max.message.bytes", "1000", "at least 1000000"),
            ("message.timestamp.before.max.ms", "1000", "at least 3600000"),
            ("message.timestamp.after.max.ms", "0", "at least 3600000"),
            ("min.insync.replicas", "1", "at least 2 and at most 3, the number of copies"),
            ("min.insync.replicas", "4", "at least 2 and at most 3, the number of copies"),
        ] {
            assert_eq!(broken("orders.events", 3, &[(setting, value)]), [format!("{setting} is {value}, must be {must}")]);
        }
    }

    #[test]
    fn the_owners_topic_must_be_compacted() {
        assert_eq!(broken(OWNERS_TOPIC, 3, &[("cleanup.policy", "delete")]), ["cleanup.policy is delete, must be compact"]);
        assert_eq!(broken(OWNERS_TOPIC, 1, &[]), ["min.insync.replicas is 2, must be at least 1 and at most 1, the number of copies"]);
    }
}
