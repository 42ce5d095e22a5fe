//! `daybook topics create|check`.

use crate::{FOUND, Failure, KafkaArguments, System, cli::TopicsArguments};
use event_store::kafka::{OWNERS_TOPIC, Topics, TopicsError, Violation};
use serde_json::json;
use std::process::ExitCode;

/// Where it is told what to do about a wrong setting.
const RUNBOOK: &str = "docs/runbooks/topic-settings.md";

/// Makes the topics that are missing.
pub(crate) async fn create(system: &System, arguments: TopicsArguments) -> Result<ExitCode, Failure> {
    let topics = Topics::connect(&arguments.kafka.config("daybook-topics")).await.map_err(Failure::failed)?;
    let created = topics.create(&arguments.kafka.plan(system)).await.map_err(Failure::failed)?;
    if arguments.json {
        println!("{}", json!({"created": created}));
    } else if created.is_empty() {
        println!("nothing to do: all topics are there");
    } else {
        created.iter().for_each(|topic| println!("created {topic}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints each violation on a line; exit code 4 when there is any.
pub(crate) async fn check(system: &System, arguments: TopicsArguments) -> Result<ExitCode, Failure> {
    let topics = Topics::connect(&arguments.kafka.config("daybook-topics")).await.map_err(Failure::failed)?;
    let violations = violations(system, &arguments.kafka, &topics).await.map_err(Failure::failed)?;
    if arguments.json {
        println!("{}", json!({"violations": violations}));
    } else {
        violations.iter().for_each(|wrong| println!("{}: {} is {}, must be {}", wrong.topic, wrong.setting, wrong.is, wrong.must));
        if violations.is_empty() {
            println!("all topics are as they must be");
        }
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// The deviations from the arguments. Where no number of partitions is asked for, that of the topics is right.
async fn violations(system: &System, kafka: &KafkaArguments, topics: &Topics) -> Result<Vec<Violation>, TopicsError> {
    let mut found = topics.check(&kafka.plan(system)).await?;
    found.retain(|wrong| wrong.setting != "partitions" || wrong.topic == OWNERS_TOPIC || kafka.partitions.is_some());
    Ok(found)
}

/// Refuses topics that are not as they must be, before anything is decided on them; one that is missing is going to be made.
///
/// # Errors
/// Exit code 2, with the first setting that is wrong, its value and the right one.
pub(crate) async fn refuse_dangerous(system: &System, kafka: &KafkaArguments, topics: &Topics) -> Result<(), Failure> {
    match violations(system, kafka, topics).await {
        Ok(mut found) => {
            found.retain(|wrong| wrong.setting != "topic");
            found.first().map_or(Ok(()), |first| Err(Failure::usage(refusal(first, found.len() - 1))))
        }
        Err(error @ TopicsError::NotShown { .. }) => {
            tracing::warn!(%error, "the topics' settings are not checked: give this user DESCRIBE_CONFIGS on them");
            Ok(())
        }
        Err(error) => Err(Failure::failed(error)),
    }
}

/// One line: topic, setting, value, the right value, what to do.
fn refusal(Violation { topic, setting, is, must }: &Violation, more: usize) -> String {
    let remedy = match setting.as_str() {
        "partitions" => format!(
            "if the topic was made with {is}, set DAYBOOK_PARTITIONS (--partitions) to {is}; if partitions were added, see docs/runbooks/partitions-added.md"
        ),
        "replication" => {
            format!("add copies with kafka-reassign-partitions, or set DAYBOOK_REPLICATION (--replication) to {is}; see {RUNBOOK}")
        }
        setting => format!(
            "change it with kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {setting}=...; see {RUNBOOK}"
        ),
    };
    let further = if more == 0 { String::new() } else { format!(" ({more} more: `daybook topics check` lists all)") };
    format!("topic {topic}: {setting} is {is}, must be {must}: {remedy}{further}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_topic_setting_value_and_what_to_do() {
        let wrong = |setting: &str, is: &str, must: &str| Violation {
            topic: "orders.events".into(),
            setting: setting.into(),
            is: is.into(),
            must: must.into(),
        };
        let said = refusal(&wrong("partitions", "8", "4"), 2);
        assert!(said.starts_with("topic orders.events: partitions is 8, must be 4: "), "{said}");
        assert!(said.contains("DAYBOOK_PARTITIONS") && said.ends_with("(2 more: `daybook topics check` lists all)"), "{said}");
        let said = refusal(&wrong("retention.ms", "1000", "-1"), 0);
        assert!(said.contains("--entity-name orders.events --add-config retention.ms=") && !said.contains("more:"), "{said}");
    }
}
