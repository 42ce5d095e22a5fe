//! `daybook topics create|check`.

use crate::{FOUND, Failure, System, cli::TopicsArguments};
use event_store::kafka::Topics;
use serde_json::json;
use std::process::ExitCode;

/// Makes the topics that are missing.
pub(crate) async fn create(system: &System, arguments: TopicsArguments) -> Result<ExitCode, Failure> {
    let topics = Topics::new(&arguments.kafka.config("daybook-topics")).map_err(Failure::failed)?;
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
    let topics = Topics::new(&arguments.kafka.config("daybook-topics")).map_err(Failure::failed)?;
    let violations = topics.check(&arguments.kafka.plan(system)).await.map_err(Failure::failed)?;
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
