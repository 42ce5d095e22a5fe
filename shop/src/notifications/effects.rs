//! Delivers a notification by mail, and records the outcome.

use super::mail::{Delivery, Post};
use consumers::{Effect, Fault, NotNow, Outcome, Perform};
use domain::{
    NotificationId, UserId,
    notification::{Notification, NotificationCommand},
};
use event_sourcing::AnyCommand;
use serde::{Deserialize, Serialize};

/// The kind of the effect that delivers a message to a user.
pub const DELIVER: &str = "deliver-mail";

/// The payload of a [`DELIVER`] effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver {
    /// The user, whose address is looked up at delivery.
    pub user: UserId,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// Hands messages to the post office.
pub struct Mails {
    /// The post office.
    pub post: Post,
}

#[async_trait::async_trait]
impl Perform for Mails {
    async fn perform(&self, effect: &Effect) -> Outcome {
        let record = |command| Some(AnyCommand::to::<Notification>(effect.target, &command));
        let Deliver { user, subject, body } = match serde_json::from_value(effect.payload.clone()) {
            Ok(payload) => payload,
            Err(error) => return Outcome::NotNow(NotNow::new(Fault::Effect, format!("its payload cannot be read: {error}"))),
        };
        match self.post.deliver(NotificationId(effect.target), user, &subject, &body).await {
            Delivery::Taken => Outcome::Done(record(NotificationCommand::RecordDelivery)),
            Delivery::Impossible(reason) => Outcome::Refused(record(NotificationCommand::RecordFailure { reason })),
            Delivery::NotNow(not_now) => Outcome::NotNow(not_now),
        }
    }
}
