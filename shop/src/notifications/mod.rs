//! Notifications: messages to customers, and the post office that delivers them.

pub mod effects;
pub mod mail;
mod queries;
pub mod reactors;
pub mod views;

use crate::Settings;
use consumers::{Destination, DestinationConfig, EffectKind};
use domain::{UserId, notification::Notification};
use event_sourcing::Event;
use event_store::Aggregates;
use mail::{Contacts, Post, Recipient};
use projections::{Database, View};
use std::{sync::Arc, time::Duration};
use system::{Failure, Service, Surroundings};

/// How long a delivery waits for the view of addresses before it is put off.
const VIEW_WITHIN: Duration = Duration::from_secs(1);
/// The least time for an attempt: a conversation with a mail server has several answers, each with a time limit of its own.
const MAIL_WITHIN: Duration = Duration::from_secs(15);

pub(crate) fn service(settings: &Settings) -> Service {
    let settings = settings.clone();
    Service::of::<Notification>()
        .view::<views::notifications::Notifications>()
        .view::<views::contacts::Contacts>()
        .reactors(reactors::reactors())
        .effects(move |surroundings| kinds(&settings, surroundings))
        .queries(queries::queries)
}

fn kinds(settings: &Settings, surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
    let contacts = Arc::new(Addresses { database: surroundings.database.clone(), aggregates: surroundings.aggregates.clone() });
    let from = &settings.mail_from;
    let post = match &settings.smtp_url {
        Some(url) => Post::server(url, contacts, from),
        None => Post::folder(surroundings.data.join("mailbox"), contacts, from),
    };
    let timeout = surroundings.destination.timeout.max(MAIL_WITHIN);
    let performer = Arc::new(effects::Mails { post: post.map_err(Failure::usage)?.talking_within(timeout) });
    let destination = Arc::new(Destination::new("the mail server", DestinationConfig { timeout, ..surroundings.destination }));
    Ok(vec![(effects::DELIVER, EffectKind { performer, destination, patience: surroundings.patience })])
}

/// Looks up addresses in a view, after it has come as far as the user's owner says: the account may be closed, and its address must not be
/// written to from the moment on when that was acknowledged.
struct Addresses {
    database: Database,
    aggregates: Aggregates,
}

#[async_trait::async_trait]
impl Contacts for Addresses {
    async fn recipient(&self, user: UserId) -> Result<Option<Recipient>, String> {
        let service = domain::user::UserEvent::SERVICE;
        let settled = self.aggregates.read(service, user.0).await.map_err(|error| error.to_string())?.position;
        let view = <views::contacts::Contacts as View>::NAME;
        let shows = self.database.wait_until_view_applied(view, &settled, VIEW_WITHIN).await.map_err(|error| error.to_string())?;
        if !shows {
            return Err(format!("the view of addresses has not applied {settled} yet"));
        }
        let contact = views::contacts::contact_of(&self.database, user).await.map_err(|error| error.to_string())?;
        Ok(contact.map(|contact| Recipient { email: contact.email, name: contact.name }))
    }
}
