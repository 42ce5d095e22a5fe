//! Folds events into a row, for tests.

use domain::{Currency, Money, Quantity};
use event_sourcing::{Cause, Context, FromLog, Position, Recorded, Sources, Timestamp};
use projections::View;
use std::str::FromStr;
use uuid::Uuid;

/// The aggregate of all test events.
pub(crate) const ID: Uuid = Uuid::from_u128(0xa11ce);

/// The `version`th event of [`ID`], at offset `version`, `version` seconds after the epoch.
pub(crate) fn recorded<E>(service: &str, version: u64, event: E) -> Recorded<E> {
    Recorded::new(
        Context {
            position: Position { service: service.into(), partition: 2, offset: version as i64 },
            aggregate_id: ID,
            version,
            event_id: format!("{service}-{version}/0"),
            type_name: "daybook.test.Event".into(),
            time: Timestamp(version as i64 * 1000),
            cause: Cause { actor: "user/ada".into(), correlation_id: "c".into(), causation_id: None, traceparent: None },
        },
        event,
    )
}

/// The row that a view makes of one aggregate's events.
pub(crate) fn folded<V: View>(events: impl IntoIterator<Item = V::Event>) -> Option<V::Row> {
    let Sources::Of([service]) = <V::Event as FromLog>::SOURCES else { panic!("{} reads several logs", V::NAME) };
    let records = events.into_iter().zip(1..).map(|(event, version)| recorded(service, version, event));
    records.fold(None, |row, record| V::apply(row, &record))
}

pub(crate) fn text<T: FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub(crate) fn gbp(pence: i64) -> Money {
    Money::new(pence, Currency::from_str("GBP").unwrap()).unwrap()
}

pub(crate) fn pieces(count: i64) -> Quantity {
    Quantity::new(count).unwrap()
}
