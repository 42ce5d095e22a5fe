//! The kinds of values that secrets and files have. As with the others, each parser's error completes the sentence "the setting ...", and
//! repeats no value.

use event_store::kafka::Properties;
use std::path::PathBuf;

/// Properties of librdkafka's.
///
/// # Errors
/// Which one is wrong, and why.
pub fn kafka_properties(text: &str) -> Result<Properties, String> {
    let must = "must be properties of Kafka's client library, with semicolons or line breaks between them, such as \
                security.protocol=SASL_SSL;ssl.ca.location=/etc/ssl/kafka.pem";
    Properties::parse(text).map_err(|why| format!("{must}: {why}"))
}

/// A name or a token that goes into a header: visible letters of ASCII.
///
/// # Errors
/// What it must be.
pub fn visible(text: &str) -> Result<String, String> {
    let text = text.trim();
    let right = !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic());
    if right { Ok(text.to_owned()) } else { Err("must be letters, digits and signs of ASCII without blanks, such as aB3-x_9".to_owned()) }
}

/// A password: any text without control characters.
///
/// # Errors
/// What it must be.
pub fn secret(text: &str) -> Result<String, String> {
    let right = !text.chars().any(char::is_control);
    if right { Ok(text.to_owned()) } else { Err("must be text without control characters, such as aB3-x_9".to_owned()) }
}

/// A file that can be read.
///
/// # Errors
/// What it must be.
pub fn readable(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text.trim());
    let must = |why: String| format!("must be the path of a file that can be read, such as /etc/ssl/ca.pem: {why}");
    match std::fs::File::open(&path).and_then(|file| file.metadata()) {
        Ok(file) if file.is_file() => Ok(path),
        Ok(_) => Err(must("it is no file".to_owned())),
        Err(error) => Err(must(error.to_string())),
    }
}
