use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The name space under which every derived identity of the shop is made (UUIDv5, RFC 9562).
const NAMESPACE: Uuid = Uuid::from_u128(0x6a1f_0c5e_53d2_5a0f_8d3b_9f6e_2c4b_7a10);

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Derives the identity from a caller's idempotency key, so that a retry names the same aggregate.
            pub fn derive(caller: &str, key: &str) -> Self {
                let name = format!("{}\u{1f}{caller}\u{1f}{key}", $kind);
                Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut buffer = Uuid::encode_buffer();
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut buffer))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identity!(
    /// Names a user.
    UserId,
    "user"
);
identity!(
    /// Names a product.
    ProductId,
    "product"
);
identity!(
    /// Names an order.
    OrderId,
    "order"
);
identity!(
    /// Names a payment.
    PaymentId,
    "payment"
);
identity!(
    /// Names a notification.
    NotificationId,
    "notification"
);

identity!(
    /// Names the reservation of an address or of a stock-keeping unit.
    ReservationId,
    "reservation"
);

identity!(
    /// Names whoever holds a reservation: a user or a product.
    HolderId,
    "holder"
);

impl PaymentId {
    /// The one payment of an order.
    pub fn for_order(order: OrderId) -> Self {
        Self::derive("order", &order.to_string())
    }
}
