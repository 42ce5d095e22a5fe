//! The kinds of values that settings have. Each parser's error completes the sentence "the setting ...": `must be host:port, such as ...`.
//! No error repeats the value: it may be a mistyped secret.

use reqwest::Url;
use std::{
    fmt::{self, Display, Formatter},
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};
use tracing_subscriber::EnvFilter;

/// A host and a port: `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; 0 takes a free one where something listens.
    pub port: u16,
}

impl Display for HostPort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl HostPort {
    /// The host and the port, as sockets take them.
    pub fn pair(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Where a client on this machine reaches what listens here: an address that stands for all of them is none to connect to.
    pub fn reachable(&self) -> Self {
        let host = match &*self.host {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            named => named,
        };
        Self { host: host.to_owned(), port: self.port }
    }
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(known)
    };
    let numeric = host.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    host.len() <= 253 && if numeric { host.parse::<Ipv4Addr>().is_ok() } else { host.trim_end_matches('.').split('.').all(is_label) }
}

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.trim().rsplit_once(':').ok_or("the port is missing")?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let right = bracketed.map_or_else(|| is_host(host), |address| address.parse::<Ipv6Addr>().is_ok());
        if !right {
            return Err("the host is no name and no address");
        }
        // `parse` alone would take "+80".
        let digits = port.chars().all(|letter| letter.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or("the port is no number up to 65535")?;
        Ok(Self { host: bracketed.unwrap_or(host).to_owned(), port })
    }
}

/// A host and a port.
///
/// # Errors
/// What it must be.
pub fn host_port(text: &str) -> Result<HostPort, String> {
    text.parse().map_err(|why| format!("must be host:port, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080: {why}"))
}

/// Brokers, with commas between them.
///
/// # Errors
/// What they must be.
pub fn brokers(text: &str) -> Result<String, String> {
    let one = |text: &str| match text.parse::<HostPort>() {
        Ok(HostPort { port: 0, .. }) => Err("the port is 0"),
        parsed => parsed.map(|address| address.to_string()),
    };
    let all: Result<Vec<String>, &str> = text.split(',').map(one).collect();
    let must = "must be host:port[,host:port], without a scheme, such as kafka-1:9092,kafka-2:9092";
    all.map(|all| all.join(",")).map_err(|why| format!("{must}: {why}"))
}

/// A URL that begins in one of these ways, and has a host.
fn url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let text = text.trim();
    let begins = |scheme: &&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let rest = schemes.iter().find(|scheme| begins(scheme)).map(|scheme| &text[scheme.len()..]);
    let rest = rest.ok_or_else(|| format!("it does not begin with {}", schemes.join(" or ")))?;
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) && !schemes.iter().any(|scheme| scheme.starts_with("postgres")) {
        return Err("it names no host".to_owned());
    }
    if rest.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("there is a blank in it".to_owned());
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.host_str() {
        Some(host) if !host.starts_with('[') && !is_host(host) && !host.contains('%') => {
            Err("its host is no name and no address".to_owned())
        }
        _ if url.port() == Some(0) => Err("its port is 0".to_owned()),
        _ if url.fragment().is_some() => Err("there is a # in it".to_owned()),
        _ => Ok(url),
    }
}

/// The address of something that speaks HTTP, without a slash at its end.
///
/// # Errors
/// What it must be.
pub fn http_url(text: &str) -> Result<String, String> {
    let must =
        |why| format!("must be the address of an HTTP server, such as http://127.0.0.1:8081 or https://user:password@host/path: {why}");
    let parsed = url(text, &["http://", "https://"]).map_err(must)?;
    if parsed.query().is_some() {
        return Err(must("there is a ? in it".to_owned()));
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

/// The address of a PostgreSQL server, without a database.
///
/// # Errors
/// What it must be.
pub fn postgres_url(text: &str) -> Result<String, String> {
    let must = |why| format!("must be the address of a PostgreSQL server, such as postgres://user:password@host:5432: {why}");
    let parsed = url(text, &["postgres://", "postgresql://"]).map_err(must)?;
    if !parsed.path().trim_matches('/').is_empty() {
        return Err(must("it names a database, and each service has its own, daybook_<service>".to_owned()));
    }
    projections::Database::check_address(text.trim()).map_err(must)?;
    Ok(text.trim().to_owned())
}

/// A name that may stand in logs, metrics and addresses.
///
/// # Errors
/// What it must be.
pub fn name(text: &str) -> Result<String, String> {
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let right = (1..=64).contains(&text.len()) && text.chars().all(known);
    let must = "must be 1 to 64 letters, digits, dots, dashes and underscores, such as node-1";
    if right { Ok(text.to_owned()) } else { Err(must.to_owned()) }
}

/// Yes or no.
///
/// # Errors
/// What it must be.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false (or yes, no, on, off, 1, 0), such as true".to_owned()),
    }
}

/// A filter of log lines.
///
/// # Errors
/// What it must be.
pub fn log_filter(text: &str) -> Result<String, String> {
    let must = |why: String| {
        format!(
            "must be a level (error, warn, info, debug, trace, off) or levels of targets, such as info or warn,event_store=debug: {why}"
        )
    };
    let is_level = |word: &str| ["error", "warn", "info", "debug", "trace", "off"].contains(&word.to_ascii_lowercase().as_str());
    // A word without a level would be taken as a target, all lines of which are shown: a mistyped level would show nothing.
    let bare = |part: &&str| !part.contains(['=', '[']) && !is_level(part);
    if let Some(part) = text.split(',').map(str::trim).find(bare) {
        return Err(must(format!("{part:?} is no level")));
    }
    let filter = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    EnvFilter::builder().parse(&filter).map_err(|error| must(error.to_string()))?;
    Ok(filter)
}

/// A whole number of something (`seconds`, or nothing) within bounds.
pub fn whole<T>(of: &'static str, bounds: RangeInclusive<i64>, example: i64) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: TryFrom<i64>,
{
    move |text| {
        let number = text.trim().parse::<i64>().ok().filter(|number| bounds.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let (least, most, of) = (bounds.start(), bounds.end(), if of.is_empty() { String::new() } else { format!(" of {of}") });
            format!("must be a whole number{of} from {least} to {most}, such as {example}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["127.0.0.1:80", "localhost:0", "[::1]:8080", "kafka-1.example.com:9092", "a_b:1"] {
            assert_eq!(host_port(right).map(|address| address.to_string()).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "8080",
            ":8080",
            "a:",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:80x",
            "::1:80",
            "[::1]",
            "[::g]:1",
            "1.2.3.256:1",
            "1.2:1",
            "a b:1",
            "http://a:1",
            "a..b:1",
            "-:x",
        ] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
        assert_eq!(host_port("0.0.0.0:1").expect("right").reachable().to_string(), "127.0.0.1:1");
        assert_eq!(host_port("[::]:1").expect("right").reachable().to_string(), "[::1]:1");
    }

    #[test]
    fn brokers_are_addresses_without_a_scheme() {
        assert_eq!(brokers("a:1, [::1]:2").as_deref(), Ok("a:1,[::1]:2"));
        for wrong in ["a", "a:1,", ",a:1", "kafka://a:1", "a:0", "a:1;b:2", "a:1 b:2", "user:secret@a:1", "PLAINTEXT://a:9092"] {
            let why = brokers(wrong).expect_err(wrong);
            assert!(why.contains("kafka-1:9092") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_a_host_and_no_garbage() {
        for right in ["http://a:1", "https://user:pass@a.b/c/d", "http://[::1]:80", "HTTP://a"] {
            assert!(http_url(right).is_ok(), "{right}");
        }
        assert_eq!(http_url(" http://a:1/ ").as_deref(), Ok("http://a:1"));
        for wrong in [
            "localhost:8081",
            "http://",
            "http:///a",
            "http://:80",
            "http:/a",
            "ftp://a",
            "http://a:port",
            "http://a:99999",
            "http://a:1 x",
            "http://a,http://b",
            "http://a?x=1",
            "http://a#b",
            "http://a:0",
            "http://a..b",
            "http//u:secret@a",
        ] {
            let why = http_url(wrong).expect_err(wrong);
            assert!(why.contains("http://127.0.0.1:8081") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_database_server_is_named_without_a_database_and_without_its_password() {
        for right in
            ["postgres://u:p@h:5432", "postgresql://u@h/", "postgres://u@h?options=-c%20jit%3Don", "postgres:///?host=/run/postgresql"]
        {
            assert_eq!(postgres_url(right).as_deref(), Ok(right));
        }
        for wrong in [
            "postgre://u:secret@h",
            "u:secret@h:5432",
            "postgres:/u:secret@h",
            "postgres://u:secret@h:port",
            "postgres://u:secret@h:99999",
            "postgres://u:secret@h/shop",
            "postgres://u:secret@",
            "postgres://u:sec ret@h",
            "postgres://u:p@h?pasword=secret",
            "postgres://u:p@h?sslmode=secret",
            "postgres://u:p@h?port=secret",
            "postgres://u:secret/x@h",
        ] {
            let why = postgres_url(wrong).expect_err(wrong);
            assert!(why.contains("postgres://user:password@host:5432") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_mistyped_level_is_no_target() {
        for right in ["info", "WARN", "off", "warn,event_store=debug", "warn, hyper=trace", "event_store[read]=debug"] {
            assert!(log_filter(right).is_ok(), "{right}");
        }
        for wrong in ["inof", "warn,debg", "event_store=loud", "info,,", "verbose"] {
            assert!(log_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_has_bounds() {
        let seconds = whole::<u64>("seconds", 1..=60, 5);
        assert_eq!(seconds(" 7 "), Ok(7));
        for wrong in ["0", "61", "-1", "1.5", "1s", "", "99999999999999999999", "1e3"] {
            assert_eq!(seconds(wrong), Err("must be a whole number of seconds from 1 to 60, such as 5".to_owned()), "{wrong}");
        }
    }
}
