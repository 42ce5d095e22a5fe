//! Type-erased events, and how a reader selects those of its own types.

use crate::{Aggregate, Event, to_json};
use serde_json::Value;
use std::{any::Any, fmt, sync::Arc};

/// An event of some service. Clones share it.
#[derive(Clone)]
pub struct AnyEvent {
    event: Arc<dyn Erased>,
    aggregate: &'static str,
}

trait Erased: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn service(&self) -> &'static str;
    fn type_name(&self) -> &'static str;
    fn to_json(&self) -> Value;
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<E: Event> Erased for E {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn service(&self) -> &'static str {
        E::SERVICE
    }

    fn type_name(&self) -> &'static str {
        Event::type_name(self)
    }

    fn to_json(&self) -> Value {
        to_json(self)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl AnyEvent {
    /// Erases the type of an event; the kind of its aggregate is left empty.
    pub fn new<E: Event>(event: E) -> Self {
        Self { event: Arc::new(event), aggregate: "" }
    }

    /// Erases the types of an event and of its aggregate `A`; the kind of aggregate stays known.
    pub fn of<A: Aggregate>(event: A::Event) -> Self {
        Self { event: Arc::new(event), aggregate: A::NAME }
    }

    /// The kind of aggregate whose event it is: `order`. Empty for an event of [`AnyEvent::new`].
    pub fn aggregate(&self) -> &'static str {
        self.aggregate
    }

    /// The event as an `E`, if it is one.
    pub fn downcast<E: Event>(&self) -> Option<&E> {
        self.event.as_any().downcast_ref()
    }

    /// The service in whose log it lives.
    pub fn service(&self) -> &'static str {
        self.event.service()
    }

    /// The full name of its record.
    pub fn type_name(&self) -> &'static str {
        self.event.type_name()
    }

    /// Its record's fields as JSON.
    pub fn to_json(&self) -> Value {
        self.event.to_json()
    }
}

impl fmt::Debug for AnyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.debug(f)
    }
}

impl<E: Event> From<E> for AnyEvent {
    fn from(event: E) -> Self {
        Self::new(event)
    }
}

/// The logs that a view or a reactor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Those of every service of the system.
    All,
    /// Those of these services.
    Of(&'static [&'static str]),
}

impl Sources {
    /// True where this service's log is among them.
    pub fn include(self, service: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(services) => services.contains(&service),
        }
    }
}

/// What a view or a reactor reads: the events of one service, of some ([`union!`](crate::union)), or of all.
pub trait FromLog: Clone + Send + Sync + 'static {
    /// The services in whose logs they live.
    const SOURCES: Sources;

    /// The event in this type, if it is one of these.
    fn of(event: &AnyEvent) -> Option<Self>;
}

impl FromLog for AnyEvent {
    const SOURCES: Sources = Sources::All;

    fn of(event: &AnyEvent) -> Option<Self> {
        Some(event.clone())
    }
}

impl<E: Event> FromLog for E {
    const SOURCES: Sources = Sources::Of(&[E::SERVICE]);

    fn of(event: &AnyEvent) -> Option<Self> {
        event.downcast::<E>().cloned()
    }
}

/// Declares the events of several services that a view or a reactor reads together.
///
/// ```ignore
/// event_sourcing::union! {
///     /// What an order's story is made of.
///     pub enum StoryEvent { Order(OrderEvent), Payment(PaymentEvent) }
/// }
/// ```
#[macro_export]
macro_rules! union {
    ($(#[$meta:meta])* $visibility:vis enum $union:ident { $($variant:ident($event:ty)),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "a variant is documented by its events")]
        $visibility enum $union {
            $($variant($event)),*
        }

        impl $crate::FromLog for $union {
            const SOURCES: $crate::Sources = $crate::Sources::Of(&[$(<$event as $crate::Event>::SERVICE),*]);

            fn of(event: &$crate::AnyEvent) -> Option<Self> {
                $(if let Some(event) = event.downcast::<$event>() {
                    return Some(Self::$variant(event.clone()));
                })*
                None
            }
        }

        $(impl From<$event> for $union {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })*
    };
}
