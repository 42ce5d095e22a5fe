//! Properties of librdkafka's that an operator sets: how to reach secured brokers, compression, sizes of buffers. What the protocol rests on
//! is refused by name.

use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{BaseProducer, DefaultProducerContext},
    types::RDKafkaConfRes,
};
use std::fmt;

/// Further properties for each client of the brokers. Their values may be secrets, so they are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Why properties cannot be used. No error shows a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// The text begins as a path does.
    #[error("it begins as a path does: name a file of properties by the variable that ends with _FILE")]
    Path,
    /// There is no = in a property.
    #[error("property {number} has no name and no = before its value")]
    NoValue {
        /// The first one is 1.
        number: usize,
    },
    /// The property is given more than once.
    #[error("{name} is there twice")]
    Twice {
        /// The property's name.
        name: String,
    },
    /// Daybook sets it.
    #[error("{name} is set by Daybook and by nobody else: {why}")]
    Reserved {
        /// The property's name.
        name: String,
        /// What rests on it.
        why: &'static str,
    },
    /// librdkafka has no such property.
    #[error("{name} is no property of librdkafka's")]
    Unknown {
        /// The name as it was given.
        name: String,
    },
    /// The property has no such value.
    #[error("{name} has a value that it cannot have")]
    Value {
        /// The property's name.
        name: String,
    },
    /// The property needs TLS or SCRAM, which this build does not have.
    #[error("{name} asks for it, and this build has no TLS for Kafka: build with --features kafka-tls")]
    NoTls {
        /// The property's name.
        name: String,
    },
    /// Tokens would have to be fetched, and nobody fetches them.
    #[error("{name} asks for OAUTHBEARER, which Daybook cannot do yet: use SCRAM, PLAIN or client certificates")]
    NoTokens {
        /// The property's name.
        name: String,
    },
    /// Each property is right, and they are wrong together, or a file that they name is.
    #[error("librdkafka refuses them: {why}")]
    Refused {
        /// librdkafka's words.
        why: String,
    },
}

/// What the brokers are named by.
const PLACE: &str = "DAYBOOK_KAFKA names the brokers, and a node its clients";
/// What a promise rests on.
const DURABLE: &str = "a command is answered when every copy in sync has its records, once and in their order";
/// What a reader rests on.
const READ: &str = "a reader's place is its checkpoint, which is moved together with what it has made";
/// What the owners rest on.
const GROUP: &str = "the nodes place partitions by groups of their own";
/// What is tuned to the writer.
const PACE: &str = "batches form while earlier ones are on their way, and doubt begins at a time of ours";

/// What must not be set from outside, and why.
const RESERVED: [(&str, &[&str]); 5] = [
    (PLACE, &["bootstrap.servers", "metadata.broker.list", "client.id", "plugin.library.paths", "allow.auto.create.topics"]),
    (
        DURABLE,
        &[
            "acks",
            "request.required.acks",
            "enable.idempotence",
            "enable.gapless.guarantee",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "retries",
            "message.send.max.retries",
            "transactional.id",
            "transaction.timeout.ms",
            "partitioner",
            "queuing.strategy",
            "delivery.report.only.error",
        ],
    ),
    (
        READ,
        &[
            "isolation.level",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "auto.offset.reset",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
            "enable.partition.eof",
            "fetch.wait.max.ms",
            "fetch.queue.backoff.ms",
            "fetch.error.backoff.ms",
            "queued.min.messages",
        ],
    ),
    (
        GROUP,
        &[
            "group.id",
            "group.instance.id",
            "group.protocol",
            "group.protocol.type",
            "group.remote.assignor",
            "partition.assignment.strategy",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
        ],
    ),
    (
        PACE,
        &[
            "linger.ms",
            "queue.buffering.max.ms",
            "queue.buffering.max.messages",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "request.timeout.ms",
            "retry.backoff.ms",
        ],
    ),
];

impl Properties {
    /// Reads `name=value`, one a line; a text of one line may have several with semicolons between them. Empty lines and those that begin
    /// with # are passed over. Makes a client of them that connects to nothing, so that a missing certificate is found here.
    ///
    /// # Errors
    /// The first property that cannot be used, by its name.
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        if text.trim_start().starts_with(['/', '.']) {
            return Err(PropertiesError::Path);
        }
        let between = if text.trim().contains('\n') { '\n' } else { ';' };
        let given = text.split(between).map(str::trim).filter(|part| !part.is_empty() && !part.starts_with('#'));
        let mut all: Vec<(String, String)> = Vec::new();
        for (index, part) in given.enumerate() {
            let named = part.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            let (name, value) = named.ok_or(PropertiesError::NoValue { number: index + 1 })?;
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            if all.iter().any(|(known, _)| *known == name) {
                return Err(PropertiesError::Twice { name });
            }
            allowed(&name, &value)?;
            all.push((name, value));
        }
        let properties = Self(all);
        properties.tried()?;
        Ok(properties)
    }

    /// The names, without the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn set(&self, client: &mut ClientConfig) {
        self.0.iter().for_each(|(name, value)| {
            client.set(name, value);
        });
    }

    fn tried(&self) -> Result<(), PropertiesError> {
        let mut client = ClientConfig::new();
        self.set(&mut client);
        match client.create::<BaseProducer<DefaultProducerContext>>() {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _)) => Err(PropertiesError::Unknown { name }),
            Err(KafkaError::ClientConfig(_, _, name, _)) => Err(PropertiesError::Value { name }),
            Err(KafkaError::ClientCreation(why)) => Err(PropertiesError::Refused { why }),
            Err(other) => Err(PropertiesError::Refused { why: other.to_string() }),
        }
    }
}

fn allowed(name: &str, value: &str) -> Result<(), PropertiesError> {
    if let Some((why, _)) = RESERVED.iter().find(|(_, names)| names.contains(&name)) {
        return Err(PropertiesError::Reserved { name: name.to_owned(), why });
    }
    let value = value.to_ascii_uppercase();
    let is_mechanism = matches!(name, "sasl.mechanism" | "sasl.mechanisms");
    if is_mechanism && value.contains("OAUTHBEARER") {
        return Err(PropertiesError::NoTokens { name: name.to_owned() });
    }
    let asks = name.starts_with("ssl.")
        || name == "enable.ssl.certificate.verification"
        || name == "security.protocol" && value.ends_with("SSL")
        || is_mechanism && value.starts_with("SCRAM")
        || matches!(name, "compression.codec" | "compression.type") && value == "ZSTD";
    if asks && !cfg!(feature = "kafka-tls") { Err(PropertiesError::NoTls { name: name.to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{KafkaConfig, current};

    fn wrong(text: &str) -> String {
        Properties::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn properties_stand_on_lines_or_between_semicolons() {
        let lines = Properties::parse("# brokers\nsocket.timeout.ms = 5000\n\ncompression.codec=lz4\n").expect("lines");
        assert_eq!(lines, Properties::parse("socket.timeout.ms=5000; compression.codec=lz4").expect("one line"));
        let semicolon = Properties::parse("# one\nsasl.password=a;b=c").expect("lines");
        assert_eq!(semicolon.0, [("sasl.password".to_owned(), "a;b=c".to_owned())]);
        assert_eq!(Properties::parse(" ").expect("none").names().count(), 0);
    }

    #[test]
    fn a_wrong_property_is_named_and_no_value_is_shown() {
        for (text, named) in [
            ("socket.timeout.ms", "property 1"),
            ("sasl.username=a;=canary", "property 2"),
            ("sasl.pasword=canary", "sasl.pasword"),
            ("sasl.password=canary;sasl.password=b", "sasl.password is there twice"),
            ("security.protocol=canary", "security.protocol has a value"),
            ("compression.codec=canary", "compression.codec has a value"),
            ("/run/secrets/canary", "_FILE"),
            ("sasl.mechanism=OAUTHBEARER", "OAUTHBEARER"),
        ] {
            let said = wrong(text);
            assert!(said.contains(named) && !said.contains("canary"), "{text}: {said}");
        }
        assert_eq!(format!("{:?}", Properties::parse("sasl.password=canary").expect("right")), "[\"sasl.password\"]");
    }

    #[test]
    fn what_the_protocol_rests_on_is_refused_with_why() {
        for (why, names) in RESERVED {
            for name in names {
                assert_eq!(Properties::parse(&format!("{name}=1")), Err(PropertiesError::Reserved { name: (*name).to_owned(), why }));
            }
        }
    }

    #[test]
    fn what_daybook_sets_itself_nobody_else_sets() {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        let reserved = |name: &str| RESERVED.iter().any(|(_, names)| names.contains(&name));
        for client in [config.reader(), current::settings(&config)] {
            for name in client.config_map().keys().filter(|name| !name.starts_with("reconnect.backoff")) {
                assert!(reserved(name), "{name} would be overruled without a word");
            }
        }
    }

    #[test]
    fn a_build_without_tls_says_so() {
        for text in ["security.protocol=SASL_SSL", "security.protocol=ssl", "sasl.mechanism=SCRAM-SHA-512", "ssl.ca.location=/ca.pem"] {
            let said = wrong(&format!("{text};socket.timeout.ms=x"));
            assert_eq!(said.contains("--features kafka-tls"), !cfg!(feature = "kafka-tls"), "{said}");
        }
    }
}
