//! A message to a user: requested, then delivered or failed. The address is looked up at delivery and never stored here.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

use crate::{Aggregate, Command, Intent, OrderId, Refusal, UserId};
use serde::{Deserialize, Serialize};

/// A message to a user. Every state keeps the request, so that the same request again is recognised as a repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// Nobody has asked for it.
    #[default]
    NotRequested,
    /// It waits to be sent.
    Requested(NotificationRequested),
    /// The mail server took it.
    Delivered(NotificationRequested),
    /// It could not be delivered.
    Failed(NotificationRequested),
}

impl Notification {
    /// The request; none before there was one.
    pub fn request(&self) -> Option<&NotificationRequested> {
        match self {
            Self::NotRequested => None,
            Self::Requested(request) | Self::Delivered(request) | Self::Failed(request) => Some(request),
        }
    }

    /// `requested`, `delivered` or `failed`; none before it was asked for.
    pub fn status(&self) -> Option<&'static str> {
        match self {
            Self::NotRequested => None,
            Self::Requested(_) => Some("requested"),
            Self::Delivered(_) => Some("delivered"),
            Self::Failed(_) => Some("failed"),
        }
    }
}

/// The commands to a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationCommand {
    /// Asks for a message to be sent.
    Request { user_id: UserId, order_id: Option<OrderId>, kind: String, subject: String, body: String },
    /// The mail server took it.
    RecordDelivery,
    /// It cannot be delivered.
    RecordFailure { reason: String },
    /// May the mail server be asked? A question: accepted while the message waits, refused afterwards; it never makes an event.
    MayDeliver,
}

impl Command for NotificationCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Request { user_id, order_id, kind, subject, body } => {
                let whom = Intent::of("request-notification").with("user_id", user_id).with("order_id", order_id);
                whom.with("kind", kind).with("subject", subject).with("body", body)
            }
            Self::RecordDelivery => Intent::of("record-delivery"),
            Self::RecordFailure { reason } => Intent::of("record-failure").with("reason", reason),
            Self::MayDeliver => Intent::of("may-deliver"),
        }
    }
}

event_sourcing::events! {
    /// The events of a notification.
    pub enum NotificationEvent in "notifications", "daybook.notification" {
        Requested(NotificationRequested),
        Delivered(NotificationDelivered),
        Failed(NotificationFailed),
    }
}

/// A message is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRequested {
    pub user_id: UserId,
    pub order_id: Option<OrderId>,
    /// `order-confirmed`, `order-cancelled`, `order-expired`.
    pub kind: String,
    pub subject: String,
    pub body: String,
}

/// The mail server took the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDelivered {
    pub user_id: UserId,
}

/// The message could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFailed {
    pub user_id: UserId,
    pub reason: String,
}

/// Why a notification's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationRefusal {
    /// Nobody has asked for it.
    #[error("the notification does not exist: request it first")]
    Unknown,
    /// The identity is taken by another message.
    #[error("the notification was already requested with other content: an identity names one message")]
    AlreadyRequested,
    /// The mail server has answered already.
    #[error("the notification was already {status}: it is sent once")]
    AlreadySettled {
        /// The notification's status.
        status: &'static str,
    },
}

impl Refusal for NotificationRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-notification",
            Self::AlreadyRequested => "already-requested",
            Self::AlreadySettled { .. } => "already-settled",
        }
    }

    fn is_not_found(&self) -> bool {
        *self == Self::Unknown
    }
}

impl Aggregate for Notification {
    const NAME: &'static str = "notification";
    const FOLD: u64 = crate::SOURCES;
    type Command = NotificationCommand;
    type Event = NotificationEvent;
    type Error = NotificationRefusal;

    fn handle(&self, command: NotificationCommand) -> Result<Vec<NotificationEvent>, NotificationRefusal> {
        match command {
            NotificationCommand::Request { user_id, order_id, kind, subject, body } => {
                self.ask(NotificationRequested { user_id, order_id, kind, subject, body })
            }
            NotificationCommand::RecordDelivery => self.settle(|user_id| NotificationEvent::Delivered(NotificationDelivered { user_id })),
            NotificationCommand::RecordFailure { reason } => {
                self.settle(|user_id| NotificationEvent::Failed(NotificationFailed { user_id, reason }))
            }
            NotificationCommand::MayDeliver => self.may_deliver(),
        }
    }

    fn apply(&mut self, event: &NotificationEvent) {
        match event {
            NotificationEvent::Requested(request) => *self = Self::Requested(request.clone()),
            NotificationEvent::Delivered(NotificationDelivered { user_id: _ }) => self.turn(Self::Delivered),
            NotificationEvent::Failed(NotificationFailed { user_id: _, reason: _ }) => self.turn(Self::Failed),
        }
    }
}

impl Notification {
    fn ask(&self, request: NotificationRequested) -> Result<Vec<NotificationEvent>, NotificationRefusal> {
        match self.request() {
            None => Ok(vec![NotificationEvent::Requested(request)]),
            Some(known) if *known == request => Ok(vec![]),
            Some(_) => Err(NotificationRefusal::AlreadyRequested),
        }
    }

    /// The first answer of the mail server stands: a later one makes no event.
    fn settle(&self, answer: impl FnOnce(UserId) -> NotificationEvent) -> Result<Vec<NotificationEvent>, NotificationRefusal> {
        match self {
            Self::NotRequested => Err(NotificationRefusal::Unknown),
            Self::Requested(request) => Ok(vec![answer(request.user_id)]),
            Self::Delivered(_) | Self::Failed(_) => Ok(vec![]),
        }
    }

    fn may_deliver(&self) -> Result<Vec<NotificationEvent>, NotificationRefusal> {
        match self {
            Self::NotRequested => Err(NotificationRefusal::Unknown),
            Self::Requested(_) => Ok(vec![]),
            Self::Delivered(_) => Err(NotificationRefusal::AlreadySettled { status: "delivered" }),
            Self::Failed(_) => Err(NotificationRefusal::AlreadySettled { status: "failed" }),
        }
    }

    fn turn(&mut self, into: impl FnOnce(NotificationRequested) -> Self) {
        if let Some(request) = self.request().cloned() {
            *self = into(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn user() -> UserId {
        UserId::derive("test", "ada")
    }

    fn request(subject: &str) -> NotificationCommand {
        let order_id = Some(OrderId::derive("test", "1"));
        let (kind, subject, body) = ("order-confirmed".into(), subject.into(), "Thank you.".into());
        NotificationCommand::Request { user_id: user(), order_id, kind, subject, body }
    }

    fn requested() -> NotificationEvent {
        NotificationEvent::Requested(NotificationRequested {
            user_id: user(),
            order_id: Some(OrderId::derive("test", "1")),
            kind: "order-confirmed".into(),
            subject: "Your order".into(),
            body: "Thank you.".into(),
        })
    }

    fn delivered() -> NotificationEvent {
        NotificationEvent::Delivered(NotificationDelivered { user_id: user() })
    }

    fn failed() -> NotificationEvent {
        NotificationEvent::Failed(NotificationFailed { user_id: user(), reason: "no such mailbox".into() })
    }

    fn failure() -> NotificationCommand {
        NotificationCommand::RecordFailure { reason: "no such mailbox".into() }
    }

    #[test]
    fn a_message_is_requested_once() {
        let given = given::<Notification>([]).when(request("Your order")).then([requested()]);
        assert_eq!(given.state().status(), Some("requested"));
        given.when(request("Your order")).then_nothing();
    }

    #[test]
    fn a_repeated_request_changes_nothing_however_it_ended() {
        given::<Notification>([requested(), delivered()]).when(request("Your order")).then_nothing();
        given::<Notification>([requested(), failed()]).when(request("Your order")).then_nothing();
    }

    #[test]
    fn an_identity_names_one_message() {
        given::<Notification>([requested()]).when(request("Another")).refused("already-requested");
        given::<Notification>([requested(), delivered()]).when(request("Another")).refused("already-requested");
    }

    #[test]
    fn the_first_answer_of_the_mail_server_stands() {
        let sent = given::<Notification>([requested()]).when(NotificationCommand::RecordDelivery).then([delivered()]);
        assert_eq!(sent.state().status(), Some("delivered"));
        sent.when(NotificationCommand::RecordDelivery).then_nothing().when(failure()).then_nothing();

        let lost = given::<Notification>([requested()]).when(failure()).then([failed()]);
        assert_eq!(lost.state().status(), Some("failed"));
        lost.when(failure()).then_nothing().when(NotificationCommand::RecordDelivery).then_nothing();
    }

    #[test]
    fn the_mail_server_is_asked_while_the_message_waits() {
        let may_deliver = NotificationCommand::MayDeliver;
        given::<Notification>([requested()]).when(may_deliver.clone()).then_nothing();
        let words = "the notification was already delivered: it is sent once";
        given::<Notification>([requested(), delivered()]).when(may_deliver.clone()).refused("already-settled").saying(words);
        given::<Notification>([requested(), failed()]).when(may_deliver).refused("already-settled");
    }

    #[test]
    fn what_nobody_asked_for_is_not_found() {
        given::<Notification>([]).when(NotificationCommand::MayDeliver).not_found("unknown-notification");
        given::<Notification>([]).when(NotificationCommand::RecordDelivery).not_found("unknown-notification");
        given::<Notification>([]).when(failure()).not_found("unknown-notification");
    }
}
