//! Delivering notifications: to a mail server, or into a local folder.

use domain::{Email, NotificationId, UserId};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Knows where users want their mail.
#[async_trait::async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// A user's address; none where there is no such user, or no more. While that cannot be known (the view of addresses may be behind)
    /// this fails, and is asked again.
    async fn email_of(&self, user: UserId) -> Result<Option<Email>, String>;
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mail server, or the folder, has it.
    Taken,
    /// It will never be delivered, for this reason.
    Impossible(String),
}

/// The message could not be handed over now.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The view of addresses cannot be read.
    #[error("the addresses cannot be read: {0}")]
    Contacts(String),
    /// The mail server, or the folder, fails.
    #[error("the message cannot be handed over: {0}")]
    Transport(String),
    /// The settings name no mail server.
    #[error("DAYBOOK_SMTP_URL: {0}")]
    Settings(String),
}

enum Carrier {
    /// One file for each notification: a repeat writes the same file again.
    Folder(PathBuf),
    Server(AsyncSmtpTransport<Tokio1Executor>),
}

/// The post office.
pub struct Post {
    contacts: Arc<dyn Contacts>,
    carrier: Carrier,
    from: String,
}

impl Post {
    /// Writes messages as `.eml` files into a folder.
    pub fn folder(folder: PathBuf, contacts: Arc<dyn Contacts>, from: &str) -> Result<Self, MailError> {
        std::fs::create_dir_all(&folder).map_err(|error| MailError::Transport(format!("{}: {error}", folder.display())))?;
        Ok(Self { contacts, carrier: Carrier::Folder(folder), from: from.to_owned() })
    }

    /// Hands messages to a server: `smtp://host:port`, or `smtps://user:password@host`.
    pub fn server(url: &str, contacts: Arc<dyn Contacts>, from: &str) -> Result<Self, MailError> {
        let settings = |error: lettre::transport::smtp::Error| MailError::Settings(error.to_string());
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(settings)?.timeout(Some(Duration::from_secs(5))).build();
        Ok(Self { contacts, carrier: Carrier::Server(server), from: from.to_owned() })
    }

    /// Delivers one message. The `Message-ID` is the notification's, so that a repeat can be told.
    pub async fn deliver(&self, notification: NotificationId, user: UserId, subject: &str, body: &str) -> Result<Delivery, MailError> {
        let Some(address) = self.contacts.email_of(user).await.map_err(MailError::Contacts)? else {
            return Ok(Delivery::Impossible("no address is known".into()));
        };
        let message = Message::builder()
            .message_id(Some(format!("<{notification}@daybook>")))
            .from(self.from.parse().map_err(|error: lettre::address::AddressError| MailError::Settings(error.to_string()))?)
            .to(match address.as_str().parse() {
                Ok(to) => to,
                Err(error) => return Ok(Delivery::Impossible(format!("the address is not one: {error}"))),
            })
            .subject(subject)
            .body(body.to_owned());
        match message {
            Ok(message) => self.hand_over(notification, message).await,
            Err(error) => Ok(Delivery::Impossible(error.to_string())),
        }
    }

    async fn hand_over(&self, notification: NotificationId, message: Message) -> Result<Delivery, MailError> {
        match &self.carrier {
            Carrier::Folder(folder) => {
                let file = folder.join(format!("{notification}.eml"));
                tokio::fs::write(file, message.formatted()).await.map_err(|error| MailError::Transport(error.to_string()))?;
                Ok(Delivery::Taken)
            }
            Carrier::Server(server) => match server.send(message).await {
                Ok(_) => Ok(Delivery::Taken),
                Err(error) if error.is_permanent() => Ok(Delivery::Impossible(error.to_string())),
                Err(error) => Err(MailError::Transport(error.to_string())),
            },
        }
    }
}
