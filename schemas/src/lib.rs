//! The shop's contracts: an Avro schema for each event, with its history and a golden sample.
//!
//! This crate holds texts, ids and almost no code: how events become bytes is the engine's matter.

#![warn(missing_docs)]

use codec::{Codecs, RecordSchema, RecordSet, Schemas};
use domain::{notification::Notification, order::Order, payment::Payment, product::Product, reservation::Reservation, user::User};
use std::sync::LazyLock;

macro_rules! records {
    ($($id:literal $path:literal)*) => {
        /// The bundled ids. A new record takes the next number at the end, and so does a new version of one: without a registry, the id
        /// alone tells in which version bytes were written.
        const BUNDLED: &[RecordSchema] = &[$(RecordSchema { id: $id, text: include_str!(concat!("../avro/", $path, ".avsc")) }),*];
    };
}

// 1, 29 and 51 are the log's own. An id whose path begins with `history` is of an earlier version, in which old logs hold bytes: no other record
// may get it.
records! {
    2 "history/UserRegistered/v1"
    3 "history/UserProfileChanged/v1"
    4 "history/UserClosed/v1"
    5 "history/ProductListed/v1"
    6 "product/PriceChanged"
    7 "product/StockReceived"
    8 "product/StockReserved"
    9 "product/ReservationRejected"
    10 "product/StockReleased"
    11 "product/StockShipped"
    12 "history/ProductWithdrawn/v1"
    13 "history/OrderPlaced/v1"
    14 "order/OrderLineReserved"
    15 "order/OrderLineRejected"
    16 "order/OrderReserved"
    17 "order/OrderConfirmed"
    18 "order/OrderCancelled"
    19 "order/OrderExpired"
    20 "payment/PaymentRequested"
    21 "payment/PaymentAuthorised"
    22 "payment/PaymentDeclined"
    23 "payment/PaymentCaptured"
    24 "history/PaymentVoided/v1"
    25 "payment/PaymentRefunded"
    26 "notification/NotificationRequested"
    27 "notification/NotificationDelivered"
    28 "notification/NotificationFailed"
    30 "payment/PaymentCaptureFailed"
    31 "payment/PaymentRefundRequested"
    32 "payment/PaymentRefundSettled"
    33 "payment/PaymentRefundFailed"
    34 "payment/PaymentVoided"
    35 "order/OrderPlaced"
    36 "order/OrderAccepted"
    37 "user/CustomerVouched"
    38 "user/CustomerRefused"
    40 "user/UserRegistered"
    41 "user/UserProfileChanged"
    42 "user/UserClosed"
    43 "user/UserEmailForgone"
    44 "product/ProductListed"
    45 "product/ProductWithdrawn"
    46 "product/ProductSkuForgone"
    47 "reservation/ReservationMade"
    48 "reservation/ReservationEnded"
    49 "reservation/ReservationsOpened"
    50 "reservation/ReservationAwaited"
}

/// The records of the shop's events.
pub static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| RecordSet::parse(BUNDLED));

/// The shop's schemas, under the ids that are bundled with this build.
pub fn bundled() -> Schemas {
    Schemas::bundled(&RECORDS)
}

/// The codecs that read the events of the shop's services.
pub fn codecs(schemas: Schemas) -> Codecs {
    Codecs::new(schemas).with::<User>().with::<Product>().with::<Order>().with::<Payment>().with::<Notification>().with::<Reservation>()
}
