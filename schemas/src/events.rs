//! Any event of the shop, for readers of several logs.

use crate::{DecodeError, Schemas, WireEvent};
use domain::{notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent, user::UserEvent};

/// The services that have a log.
pub const SERVICES: [&str; 5] = ["users", "products", "orders", "payments", "notifications"];

/// An event of any service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyEvent {
    /// Of `users`.
    User(UserEvent),
    /// Of `products`.
    Product(ProductEvent),
    /// Of `orders`.
    Order(OrderEvent),
    /// Of `payments`.
    Payment(PaymentEvent),
    /// Of `notifications`.
    Notification(NotificationEvent),
}

impl AnyEvent {
    /// The event that framed bytes of a service's log hold.
    pub fn decode(service: &str, bytes: &[u8], schemas: &Schemas) -> Result<Self, DecodeError> {
        match service {
            UserEvent::SERVICE => UserEvent::decode(bytes, schemas).map(Self::User),
            ProductEvent::SERVICE => ProductEvent::decode(bytes, schemas).map(Self::Product),
            OrderEvent::SERVICE => OrderEvent::decode(bytes, schemas).map(Self::Order),
            PaymentEvent::SERVICE => PaymentEvent::decode(bytes, schemas).map(Self::Payment),
            NotificationEvent::SERVICE => NotificationEvent::decode(bytes, schemas).map(Self::Notification),
            unknown => Err(DecodeError::ForeignRecord(format!("of service {unknown}"))),
        }
    }

    /// The event of a service's log that a JSON object in the shape of its Avro record holds.
    pub fn from_json(service: &str, type_name: &str, value: serde_json::Value) -> Result<Self, DecodeError> {
        match service {
            UserEvent::SERVICE => UserEvent::from_json(type_name, value).map(Self::User),
            ProductEvent::SERVICE => ProductEvent::from_json(type_name, value).map(Self::Product),
            OrderEvent::SERVICE => OrderEvent::from_json(type_name, value).map(Self::Order),
            PaymentEvent::SERVICE => PaymentEvent::from_json(type_name, value).map(Self::Payment),
            NotificationEvent::SERVICE => NotificationEvent::from_json(type_name, value).map(Self::Notification),
            unknown => Err(DecodeError::ForeignRecord(format!("of service {unknown}"))),
        }
    }
}

macro_rules! from {
    ($($event:ident $variant:ident)*) => {
        $(impl From<$event> for AnyEvent {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })*
    };
}

from! { UserEvent User ProductEvent Product OrderEvent Order PaymentEvent Payment NotificationEvent Notification }
