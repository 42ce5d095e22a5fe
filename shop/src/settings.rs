//! The shop's settings, beyond those of every system.

use clap::{Args, ValueEnum};
use lettre::{AsyncSmtpTransport, Tokio1Executor, message::Mailbox};
use reqwest::Url;
use std::time::Duration;
use system::{Failure, Role, RunArguments, http_url, visible, whole};

/// Where the customers' messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mail {
    /// To the mail server of `DAYBOOK_SMTP_URL`.
    Smtp,
    /// Nowhere: they become files in the folder `mailbox` of the data directory.
    Folder,
}

/// Which payment gateway is called where none is named by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gateway {
    /// One that this node starts beside itself. It moves no money, and its books are this node's own.
    Simulated,
}

/// The shop's own settings.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The payment gateway.
    #[arg(long, env = "DAYBOOK_GATEWAY_URL", hide_env_values = true, value_parser = http_url)]
    pub gateway_url: Option<String>,
    /// The bearer token for the payment gateway.
    #[arg(long, env = "DAYBOOK_GATEWAY_TOKEN", hide_env_values = true, value_parser = visible)]
    pub gateway_token: Option<String>,
    /// Where no `DAYBOOK_GATEWAY_URL` is set: start a simulated gateway beside this node. Default: on the embedded log only; with
    /// `DAYBOOK_KAFKA`, payments wait until a gateway is set.
    #[arg(long, env = "DAYBOOK_GATEWAY")]
    pub gateway: Option<Gateway>,
    /// Where messages go: to a mail server, or into the folder `mailbox` of the data directory. Default: to the server where one is named;
    /// else, on the embedded log only, into the folder.
    #[arg(long, env = "DAYBOOK_MAIL")]
    pub mail: Option<Mail>,
    /// The mail server, `smtps://user:password@host`, `smtp://user:password@host:587?tls=required` (STARTTLS) or `smtp://host:25`.
    #[arg(long, env = "DAYBOOK_SMTP_URL", hide_env_values = true, value_parser = smtp_url)]
    pub smtp_url: Option<String>,
    /// The sender of the messages.
    #[arg(long, env = "DAYBOOK_MAIL_FROM", default_value = Settings::MAIL_FROM, value_parser = sender)]
    pub mail_from: String,
    /// Seconds that an order may take to be confirmed before it expires.
    #[arg(long, env = "DAYBOOK_ORDER_DEADLINE", default_value_t = Settings::ORDER_DEADLINE, value_parser = whole::<u64>("seconds", 1..=31_536_000, 900))]
    pub order_deadline: u64,
}

impl Settings {
    const MAIL_FROM: &str = "Daybook <shop@daybook.example>";
    const ORDER_DEADLINE: u64 = 900;

    /// How long an order may take from being placed to being confirmed.
    pub fn order_deadline(&self) -> Duration {
        Duration::from_secs(self.order_deadline)
    }

    /// Whether a simulated gateway is to be started beside this node, which otherwise would ask one that is named, or none.
    pub fn simulates_gateway(&self, node: &RunArguments) -> bool {
        let is_wanted = self.gateway == Some(Gateway::Simulated) || node.store.kafka.is_embedded();
        is_wanted && self.gateway_url.is_none() && node.plays("payments", Role::Reactors)
    }

    /// Refuses settings of the mail that are wrong together, or wrong on this node.
    ///
    /// # Errors
    /// Which ones, and what to set instead.
    pub fn check(&self, node: &RunArguments) -> Result<(), Failure> {
        if self.gateway_token.is_some() && self.gateway_url.is_none() {
            return Err(Failure::usage(
                "DAYBOOK_GATEWAY_TOKEN needs a gateway: set DAYBOOK_GATEWAY_URL, such as https://gateway.example.com",
            ));
        }
        let sends = node.plays("notifications", Role::Reactors);
        let wrong = match (self.mail, &self.smtp_url) {
            (Some(Mail::Smtp), None) => "DAYBOOK_MAIL=smtp needs a mail server: set DAYBOOK_SMTP_URL, such as smtp://host:25",
            (Some(Mail::Folder), Some(_)) => "DAYBOOK_MAIL=folder and DAYBOOK_SMTP_URL exclude each other: unset one of them",
            (None, None) if sends && !node.store.kafka.is_embedded() => {
                "with DAYBOOK_KAFKA mail needs a server: set DAYBOOK_SMTP_URL, such as smtp://host:25, or DAYBOOK_MAIL=folder to write the \
                 messages into the data directory and send none"
            }
            (Some(Mail::Smtp), Some(_)) | (Some(Mail::Folder) | None, None) | (None, Some(_)) => return Ok(()),
        };
        Err(Failure::usage(wrong))
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (mail_from, order_deadline) = (Self::MAIL_FROM.to_owned(), Self::ORDER_DEADLINE);
        Self { gateway_url: None, gateway_token: None, gateway: None, mail: None, smtp_url: None, mail_from, order_deadline }
    }
}

/// The errors do not repeat the address: it may hold a password.
fn smtp_url(text: &str) -> Result<String, String> {
    let must = |why: &str| format!("must be the address of a mail server, such as smtp://host:25 or smtps://user:password@host: {why}");
    let text = text.trim();
    if text.contains(char::is_whitespace) {
        return Err(must("there is a blank in it"));
    }
    let url = Url::parse(text).map_err(|error| must(&error.to_string()))?;
    match url.scheme() {
        "smtp" | "smtps" => {}
        _ => return Err(must("it does not begin with smtp:// or smtps://")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(must("it names no host"));
    }
    if !url.path().trim_matches('/').is_empty() || url.fragment().is_some() || url.port() == Some(0) {
        return Err(must("there is more in it than a user, a host and a port, or the port is 0"));
    }
    match AsyncSmtpTransport::<Tokio1Executor>::from_url(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(must("its options are none of a mail server's; there is one, tls=opportunistic or tls=required, for smtp://")),
    }
}

fn sender(text: &str) -> Result<String, String> {
    let parsed: Result<Mailbox, _> = text.trim().parse();
    let must = "must be a sender, such as \"A shop <shop@example.com>\"";
    parsed.map(|_| text.trim().to_owned()).map_err(|error| format!("{must}: {}", error.to_string().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser, builder::Resettable};

    #[derive(Parser)]
    struct Asked {
        #[command(flatten)]
        node: RunArguments,
        #[command(flatten)]
        shop: Settings,
    }

    #[test]
    fn a_simulated_gateway_is_started_on_one_machine_or_when_it_is_asked_for() {
        let simulates = |arguments: &[&str]| {
            // Without the variables of whoever runs the test.
            let command = Asked::command().mut_args(|argument| argument.env(Resettable::Reset));
            let matches = command.get_matches_from([&["asked"], arguments].concat());
            let Asked { node, shop } = Asked::from_arg_matches(&matches).expect("they were parsed");
            shop.simulates_gateway(&node)
        };
        let (kafka, named) = (["--kafka", "a:1"], ["--gateway", "simulated"]);
        let url = ["--gateway-url", "http://a:1"];
        assert!(simulates(&[]) && simulates(&[kafka, named].concat()));
        assert!(!simulates(&kafka) && !simulates(&url) && !simulates(&[kafka, named, url].concat()));
        assert!(!simulates(&["--role", "views"]) && !simulates(&["--service", "orders"]), "nothing here would ask it");
    }

    #[test]
    fn a_mail_server_is_an_address_and_a_wrong_one_keeps_its_password_to_itself() {
        for right in ["smtp://host:25", "smtps://user:password@host", "smtp://[::1]:1025", "smtp://host:587?tls=required"] {
            assert_eq!(smtp_url(right).as_deref(), Ok(right));
        }
        for wrong in [
            "host:25",
            "smtp://",
            "smtp:host",
            "http://u:secret@host",
            "smtp//u:secret@host",
            "smtp://u:secret@host:port",
            "smtp://u:secret@host:99999",
            "smtp://u:secret@host:0",
            "smtp://u:secret@host/x",
            "smtp://u:sec ret@host",
            "smtp://u:secret@host?tls=secret",
        ] {
            let said = smtp_url(wrong).expect_err(wrong);
            assert!(said.contains("smtp://host:25") && !said.contains("secret") && said.lines().count() == 1, "{said}");
        }
    }

    #[test]
    fn a_sender_is_an_address() {
        assert!(sender("A shop <shop@example.com>").is_ok() && sender("shop@example.com").is_ok());
        for wrong in ["not an address", "shop@", "@example.com", "A shop <shop>", "<>"] {
            assert!(sender(wrong).expect_err(wrong).contains("shop@example.com"));
        }
    }
}
