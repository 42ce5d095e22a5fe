//! Delivers messages, to a mail server or into a local folder.

use consumers::{Fault, NotNow};
use domain::{Email, NotificationId, Text, UserId};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, SinglePart},
    transport::smtp::{Error as SmtpError, response::Severity},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a mail server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the whole conversation about a mail may take. The client itself limits no answer of the server's.
const TALK_WITHIN: Duration = Duration::from_secs(15);

/// The reason of a failure where there is nobody to write to.
pub const NO_ADDRESS: &str = "no address is known: the account is closed, or nobody registered it";

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub email: Email,
    /// What the user is called.
    pub name: Text,
}

/// Looks up the addresses of users.
#[async_trait::async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// A user's address and name; none where the user does not exist, or had closed the account before this was asked.
    ///
    /// # Errors
    /// The reason, in words, why the address cannot be known now (the view of addresses may be behind).
    async fn recipient(&self, user: UserId) -> Result<Option<Recipient>, String>;
}

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mail server, or the folder, has it.
    Taken,
    /// It will never be delivered, for this reason.
    Impossible(String),
    /// It could not be handed over now.
    NotNow(NotNow),
}

/// The settings of the post office cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The folder cannot be made.
    #[error("the mailbox {folder} cannot be made: {reason}")]
    Folder {
        /// The folder's path.
        folder: String,
        /// The error of the operating system.
        reason: String,
    },
    /// The address is not that of a mail server.
    #[error("DAYBOOK_SMTP_URL must be the address of a mail server, such as smtp://host:25 or smtps://user:password@host: {0}")]
    Server(String),
    /// The sender is not an address.
    #[error("DAYBOOK_MAIL_FROM must be a sender, such as \"A shop <shop@example.com>\": {0}")]
    Sender(String),
}

enum Carrier {
    /// One file for each notification; a repeat writes the same file again.
    Folder(PathBuf),
    Server(AsyncSmtpTransport<Tokio1Executor>),
}

/// The post office: delivers messages to users.
pub struct Post {
    contacts: Arc<dyn Contacts>,
    carrier: Carrier,
    from: Mailbox,
}

fn sender(from: &str) -> Result<Mailbox, MailError> {
    from.parse().map_err(|error: lettre::address::AddressError| MailError::Sender(error.to_string()))
}

impl Post {
    /// Writes messages as `.eml` files into a folder.
    ///
    /// # Errors
    /// The folder cannot be made, or the sender is not an address.
    pub fn folder(folder: PathBuf, contacts: Arc<dyn Contacts>, from: &str) -> Result<Self, MailError> {
        let failed = |error: std::io::Error| MailError::Folder { folder: folder.display().to_string(), reason: error.to_string() };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self { contacts, carrier: Carrier::Folder(folder), from: sender(from)? })
    }

    /// Hands messages to a server: `smtp://host:port`, or `smtps://user:password@host`.
    ///
    /// # Errors
    /// The URL is not that of a mail server, or the sender is not an address.
    pub fn server(url: &str, contacts: Arc<dyn Contacts>, from: &str) -> Result<Self, MailError> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| MailError::Server(error.to_string()))?;
        Ok(Self { contacts, carrier: Carrier::Server(server.timeout(Some(CONNECT_WITHIN)).build()), from: sender(from)? })
    }

    /// Delivers one message. Its `Message-ID` is derived from the notification's id, so that a repeat can be recognised. Each attempt looks
    /// the address up anew: the account may have been closed since the last one.
    pub async fn deliver(&self, notification: NotificationId, user: UserId, subject: &str, body: &str) -> Delivery {
        let recipient = match self.contacts.recipient(user).await {
            Ok(Some(recipient)) => recipient,
            Ok(None) => return Delivery::Impossible(NO_ADDRESS.into()),
            Err(reason) => return Delivery::NotNow(NotNow::new(Fault::Ours, format!("the addresses cannot be read: {reason}"))),
        };
        match self.compose(notification, &recipient, subject, body) {
            Ok(message) => self.hand_over(notification, message).await,
            Err(reason) => Delivery::Impossible(reason),
        }
    }

    /// A whole message (RFC 5322, MIME): words beyond ASCII in its headers are encoded words, its text is UTF-8 in lines that every server
    /// takes. A name or a subject that an earlier build let in may have control characters; none of them reaches a header.
    fn compose(&self, notification: NotificationId, recipient: &Recipient, subject: &str, body: &str) -> Result<Message, String> {
        let address = recipient.email.as_str().parse().map_err(|error| format!("the address is not one: {error}"))?;
        let to = Mailbox::new(Some(one_line(recipient.name.as_str())), address);
        let message = Message::builder().message_id(Some(format!("<{notification}@daybook>"))).from(self.from.clone()).to(to);
        message.subject(one_line(subject)).singlepart(SinglePart::plain(body.to_owned())).map_err(|error| error.to_string())
    }

    async fn hand_over(&self, notification: NotificationId, message: Message) -> Delivery {
        match &self.carrier {
            Carrier::Folder(folder) => {
                let file = folder.join(format!("{notification}.eml"));
                match tokio::fs::write(&file, message.formatted()).await {
                    Ok(()) => Delivery::Taken,
                    Err(error) => Delivery::NotNow(NotNow::new(Fault::Destination, format!("{}: {error}", file.display()))),
                }
            }
            Carrier::Server(server) => match timeout(TALK_WITHIN, server.send(message)).await {
                Ok(Ok(_)) => Delivery::Taken,
                Ok(Err(error)) => refused(&error),
                // It may have taken the mail before it fell silent.
                Err(_elapsed) => {
                    let reason = format!("the mail server has not answered within {} s", TALK_WITHIN.as_secs());
                    Delivery::NotNow(NotNow::new(Fault::Unclear, reason))
                }
            },
        }
    }
}

/// The text with spaces in the place of control characters.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Codes by which a server refuses us, whatever the message: after a password was rotated, say (RFC 4954).
const NOT_LET_IN: [u16; 5] = [454, 530, 534, 535, 538];

/// Judges by a server's answer whether this message fails for good, or now, or whether the server itself is at fault.
fn refused(error: &SmtpError) -> Delivery {
    let says = format!("the mail server says: {error}");
    let Some(code) = error.status() else {
        // The client refuses by itself what the server does not offer, such as letters beyond ASCII in an address: that may be this mail's alone.
        let fault = if error.is_client() { Fault::Unclear } else { Fault::Destination };
        return Delivery::NotNow(NotNow::new(fault, format!("the mail server cannot be used: {error}")));
    };
    if NOT_LET_IN.contains(&u16::from(code)) || u16::from(code) == 421 {
        return Delivery::NotNow(NotNow::new(Fault::Destination, says));
    }
    match code.severity {
        Severity::PermanentNegativeCompletion => Delivery::Impossible(says),
        Severity::TransientNegativeCompletion | Severity::PositiveCompletion | Severity::PositiveIntermediate => {
            Delivery::NotNow(NotNow::new(Fault::Effect, says))
        }
    }
}
