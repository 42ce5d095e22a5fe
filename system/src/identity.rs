//! Which log this machine's databases and snapshots were made of. What knows offsets of another log is refused: it would wait for records
//! that never come, or take foreign ones for its own.

use crate::{Failure, StoreArguments};
use event_store::{Log, LogError, PartitionId, log_identity};
use futures::{StreamExt, TryStreamExt, stream};
use projections::{Database, DatabaseError};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many partitions are looked at at once.
const AT_ONCE: usize = 16;
/// The file among the snapshots that says which logs they are of.
const FILE: &str = "logs.json";

/// The logs, by service.
pub(crate) type LogsByService = BTreeMap<&'static str, Arc<dyn Log>>;

/// A partition's log as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub identity: Option<String>,
    pub end: i64,
}

/// All logs as they are now; a partition that is not there is an empty one.
pub(crate) type Presents = HashMap<PartitionId, Present>;

/// All partitions of the logs.
pub(crate) fn sources(partitions: &HashMap<&'static str, i32>) -> Vec<PartitionId> {
    let of = |(service, count): (&&'static str, &i32)| {
        let service = *service;
        (0..*count).map(move |partition| PartitionId { service: service.into(), partition })
    };
    partitions.iter().flat_map(of).collect()
}

/// Looks at these partitions.
pub(crate) async fn look(logs: &LogsByService, sources: Vec<PartitionId>) -> Result<Presents, LogError> {
    let one = |source: PartitionId| async move {
        let Some(log) = logs.get(&*source.service) else { return Ok((source, Present::default())) };
        let identity = log_identity(&**log, source.partition).await?;
        let end = log.end(source.partition).await?;
        Ok((source, Present { identity, end }))
    };
    stream::iter(sources).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

/// Why something was not made of the logs that are there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("of {partition} it knows log {known}, and there is {}", present.as_deref().map_or_else(|| "none: it is empty".to_owned(), |id| format!("log {id}")))]
    Other { partition: String, known: String, present: Option<String> },
    #[error("it has read {partition} up to offset {read}, and that log ends at {end}: it is another log, or has lost its last records")]
    WentBack { partition: String, read: i64, end: i64 },
}

/// Compares what is known of the logs, and how far they were read, with the logs that are there.
pub(crate) fn compare(known: &HashMap<PartitionId, String>, read: &HashMap<PartitionId, i64>, now: &Presents) -> Result<(), Foreign> {
    let at = |source: &PartitionId| now.get(source).cloned().unwrap_or_default();
    let known_of = known;
    let mut known: Vec<_> = known.iter().collect();
    known.sort();
    for (source, known) in known {
        let present = at(source).identity;
        if present.as_ref() != Some(known) {
            return Err(Foreign::Other { partition: source.to_string(), known: known.clone(), present });
        }
    }
    let mut read: Vec<_> = read.iter().collect();
    read.sort();
    // Of a log that is known to be the same and has lost its last records, whoever reads it makes good what was made of them.
    let is_known = |source: &PartitionId| known_of.contains_key(source);
    for (source, read) in read.into_iter().filter(|(source, _)| !is_known(source)) {
        let end = at(source).end;
        if *read > end {
            return Err(Foreign::WentBack { partition: source.to_string(), read: *read, end });
        }
    }
    Ok(())
}

/// The identities of the logs that this machine's snapshots are of.
pub(crate) struct SnapshotLogs(PathBuf);

impl SnapshotLogs {
    /// Those of the snapshots in the data directory.
    pub fn of(data: &Path) -> Self {
        Self(data.join("snapshots").join(FILE))
    }

    /// What is known; nothing where there are no snapshots, or the file cannot be read.
    pub fn known(&self) -> HashMap<PartitionId, String> {
        let text = std::fs::read(&self.0).unwrap_or_default();
        let known: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
        let parse = |(name, identity): (String, String)| {
            let (service, partition) = name.rsplit_once('/')?;
            Some((PartitionId { service: service.into(), partition: partition.parse().ok()? }, identity))
        };
        known.into_iter().filter_map(parse).collect()
    }

    /// Keeps the identities of further logs. The file appears whole or not at all.
    pub fn adopt(&self, further: HashMap<PartitionId, String>) -> std::io::Result<()> {
        let mut known = self.known();
        for (source, identity) in further {
            known.entry(source).or_insert(identity);
        }
        let known: BTreeMap<String, String> = known.into_iter().map(|(source, identity)| (source.to_string(), identity)).collect();
        let (text, new) = (serde_json::to_vec_pretty(&known)?, self.0.with_extension("json.new"));
        std::fs::create_dir_all(self.0.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&new, text)?;
        std::fs::rename(new, &self.0)
    }
}

/// Compares databases, and the snapshots, with the logs that are there.
///
/// # Errors
/// Exit code 2, with the first difference, everything that is of another log, and the command that removes it.
pub(crate) async fn check(
    arguments: &StoreArguments,
    databases: &BTreeMap<&'static str, Database>,
    snapshots: bool,
    (logs, sources): (&LogsByService, Vec<PartitionId>),
) -> Result<(), Failure> {
    let mut made = Vec::new();
    for (service, database) in databases {
        let failed = |error: DatabaseError| Failure::failed(format!("the database of {service}: {error}"));
        made.push((*service, database.log_identities().await.map_err(failed)?, database.furthest().await.map_err(failed)?));
    }
    // Other nodes read on meanwhile: a log that is looked at after the databases ends behind what they have read.
    let now = look(logs, sources).await.map_err(Failure::failed)?;
    let (mut foreign, mut first) = (Vec::new(), None);
    for (service, known, read) in made {
        if let Err(why) = compare(&known, &read, &now) {
            first.get_or_insert((format!("the database {}", shown(arguments, service)), why));
            foreign.push(service);
        }
    }
    let of_snapshots = SnapshotLogs::of(&arguments.data);
    if snapshots && let Err(why) = compare(&of_snapshots.known(), &HashMap::new(), &now) {
        first.get_or_insert((format!("the file {}", of_snapshots.0.display()), why));
    }
    first.map_or(Ok(()), |(what, why)| Err(refusal(arguments, &what, &why, &foreign)))
}

fn shown(arguments: &StoreArguments, service: &str) -> String {
    codec::shown_url(&arguments.database(service))
}

/// One line: what is of another log, the two logs, and the ways out.
pub(crate) fn refusal(arguments: &StoreArguments, what: &str, why: &Foreign, foreign: &[&str]) -> Failure {
    let data = arguments.data.display();
    let (log, setting) = match &arguments.kafka.kafka {
        Some(brokers) => (format!("the log on {brokers}"), "DAYBOOK_KAFKA"),
        None => (format!("the log in {data}"), "DAYBOOK_DATA"),
    };
    let snapshots = format!("rm -rf {data}/snapshots");
    let remove = match &arguments.postgres {
        Some(server) => {
            let server = codec::shown_url(server);
            let drop = |service: &&str| format!("psql {server} -c 'DROP DATABASE daybook_{service}'");
            foreign.iter().map(drop).chain([snapshots]).collect::<Vec<_>>().join(" && ")
        }
        None => format!("{snapshots} {data}/views"),
    };
    Failure::usage(format!(
        "{what} was not made of {log}: {why}; name the right log with {setting}, or remove what is of another one, to have it made anew: {remove}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(partition: i32) -> PartitionId {
        PartitionId { service: "orders".into(), partition }
    }

    fn presents(all: &[(i32, Option<&str>, i64)]) -> Presents {
        all.iter().map(|(partition, id, end)| (source(*partition), Present { identity: id.map(str::to_owned), end: *end })).collect()
    }

    #[test]
    fn a_log_is_known_by_its_identity_and_by_its_length() {
        let known: HashMap<_, _> = [(source(0), "a".to_owned())].into();
        let read: HashMap<_, _> = [(source(0), 7), (source(1), 3)].into();
        let check = |now: &[_]| compare(&known, &read, &presents(now));
        assert_eq!(check(&[(0, Some("a"), 7), (1, Some("b"), 9)]), Ok(()));
        let other = |present: Option<&str>| {
            Err(Foreign::Other { partition: "orders/0".into(), known: "a".into(), present: present.map(str::to_owned) })
        };
        assert_eq!(check(&[(0, Some("c"), 99), (1, Some("b"), 9)]), other(Some("c")), "however long it is");
        assert_eq!(check(&[(1, Some("b"), 9)]), other(None), "a log that is gone");
        let went_back = |partition: &str, read, end| Err(Foreign::WentBack { partition: partition.into(), read, end });
        assert_eq!(
            check(&[(0, Some("a"), 6), (1, Some("b"), 9)]),
            Ok(()),
            "the same log, which lost its last records: its readers see to that"
        );
        assert_eq!(check(&[(0, Some("a"), 7)]), went_back("orders/1", 3, 0), "nothing else is known of an old database");
    }

    #[test]
    fn snapshots_keep_what_they_know_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let logs = SnapshotLogs::of(directory.path());
        assert!(logs.known().is_empty());
        logs.adopt([(source(0), "a".to_owned())].into()).expect("it is written");
        logs.adopt([(source(0), "b".to_owned()), (source(1), "c".to_owned())].into()).expect("it is written");
        assert_eq!(logs.known(), [(source(0), "a".to_owned()), (source(1), "c".to_owned())].into());
    }
}
