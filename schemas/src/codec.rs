//! Which struct is which record: a line for each event.

use crate::{DecodeError, EncodeError, Schemas, WireEvent, bundle::decode};
use domain::{notification::*, order::*, payment::*, product::*, user::*};

macro_rules! wire {
    ($event:ident in $service:literal: $($variant:ident $record:ident $name:literal)*) => {
        impl WireEvent for $event {
            const SERVICE: &'static str = $service;

            fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
                match self {
                    $(Self::$variant(event) => schemas.encode($name, event),)*
                }
            }

            fn decode(bytes: &[u8], schemas: &Schemas) -> Result<Self, DecodeError> {
                let (known, body) = schemas.open(bytes)?;
                let record = known.record()?;
                match record.name {
                    $($name => decode::<$record>(&known, record, body).map(Self::$variant),)*
                    _ => Err(DecodeError::ForeignRecord(record.name.to_owned())),
                }
            }

            fn from_json(type_name: &str, value: serde_json::Value) -> Result<Self, DecodeError> {
                let failed = |error: serde_json::Error| DecodeError::Body { type_name: type_name.to_owned(), reason: error.to_string() };
                match type_name {
                    $($name => serde_json::from_value::<$record>(value).map(Self::$variant).map_err(failed),)*
                    _ => Err(DecodeError::ForeignRecord(type_name.to_owned())),
                }
            }
        }

    };
}

wire! { UserEvent in "users":
    Registered UserRegistered "daybook.user.UserRegistered"
    ProfileChanged UserProfileChanged "daybook.user.UserProfileChanged"
    Closed UserClosed "daybook.user.UserClosed"
}

wire! { ProductEvent in "products":
    Listed ProductListed "daybook.product.ProductListed"
    PriceChanged PriceChanged "daybook.product.PriceChanged"
    StockReceived StockReceived "daybook.product.StockReceived"
    StockReserved StockReserved "daybook.product.StockReserved"
    ReservationRejected ReservationRejected "daybook.product.ReservationRejected"
    StockReleased StockReleased "daybook.product.StockReleased"
    StockShipped StockShipped "daybook.product.StockShipped"
    Withdrawn ProductWithdrawn "daybook.product.ProductWithdrawn"
}

wire! { OrderEvent in "orders":
    Placed OrderPlaced "daybook.order.OrderPlaced"
    LineReserved OrderLineReserved "daybook.order.OrderLineReserved"
    LineRejected OrderLineRejected "daybook.order.OrderLineRejected"
    Reserved OrderReserved "daybook.order.OrderReserved"
    Confirmed OrderConfirmed "daybook.order.OrderConfirmed"
    Cancelled OrderCancelled "daybook.order.OrderCancelled"
    Expired OrderExpired "daybook.order.OrderExpired"
}

wire! { PaymentEvent in "payments":
    Requested PaymentRequested "daybook.payment.PaymentRequested"
    Authorised PaymentAuthorised "daybook.payment.PaymentAuthorised"
    Declined PaymentDeclined "daybook.payment.PaymentDeclined"
    Captured PaymentCaptured "daybook.payment.PaymentCaptured"
    Voided PaymentVoided "daybook.payment.PaymentVoided"
    Refunded PaymentRefunded "daybook.payment.PaymentRefunded"
}

wire! { NotificationEvent in "notifications":
    Requested NotificationRequested "daybook.notification.NotificationRequested"
    Delivered NotificationDelivered "daybook.notification.NotificationDelivered"
    Failed NotificationFailed "daybook.notification.NotificationFailed"
}
