//! Decodes the events of each service of a system, for readers that do not know their types.

use crate::{DecodeError, Schemas, defaults::fill};
use event_sourcing::{Aggregate, AnyEvent, Event, WrongRecord, from_json};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The services of a system, and the decoders of their events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Codecs {
    schemas: Schemas,
    services: Arc<BTreeMap<&'static str, ServiceCodec>>,
}

#[derive(Clone, Copy, Debug)]
struct ServiceCodec {
    aggregate: &'static str,
    decode: fn(&Schemas, &[u8]) -> Result<AnyEvent, DecodeError>,
    from_json: fn(&str, Value) -> Result<AnyEvent, WrongRecord>,
}

impl Codecs {
    /// No service yet.
    pub fn new(schemas: Schemas) -> Self {
        Self { schemas, services: Arc::default() }
    }

    /// Adds the service whose log holds the events of `A`.
    #[must_use]
    pub fn with<A: Aggregate>(mut self) -> Self {
        let codec = ServiceCodec {
            aggregate: A::NAME,
            decode: |schemas, bytes| schemas.decode::<A::Event>(bytes).map(AnyEvent::of::<A>),
            from_json: |type_name, value| from_json::<A::Event>(type_name, value).map(AnyEvent::of::<A>),
        };
        Arc::make_mut(&mut self.services).insert(A::Event::SERVICE, codec);
        self
    }

    /// The schemas by which events are read.
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The services that have a log, in alphabetical order.
    pub fn services(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.services.keys().copied()
    }

    /// The kind of aggregate whose events a service's log holds: `order` for `orders`.
    pub fn aggregate_of(&self, service: &str) -> Option<&'static str> {
        self.services.get(service).map(|codec| codec.aggregate)
    }

    /// The service whose log holds the events of this kind of aggregate: `orders` for `order`.
    pub fn service_of(&self, aggregate: &str) -> Option<&'static str> {
        self.services.iter().find(|(_, codec)| codec.aggregate == aggregate).map(|(service, _)| *service)
    }

    /// Decodes the event in framed bytes of a service's log.
    ///
    /// # Errors
    /// The bytes are no event of that service.
    pub fn decode(&self, service: &str, bytes: &[u8]) -> Result<AnyEvent, DecodeError> {
        match self.services.get(service) {
            Some(codec) => (codec.decode)(&self.schemas, bytes),
            None => Err(DecodeError::ForeignRecord(format!("of service {service}"))),
        }
    }

    /// Reads an event of a service from a JSON object in the shape of its record, or of an earlier version of it: what that lacked has the
    /// schema's default.
    ///
    /// # Errors
    /// The name or the shape is that of no event of the service.
    pub fn from_json(&self, service: &str, type_name: &str, value: Value) -> Result<AnyEvent, WrongRecord> {
        let mut value = value;
        if let Some(record) = self.schemas.records().named(type_name) {
            fill(record.schema, &mut value);
        }
        match self.services.get(service) {
            Some(codec) => (codec.from_json)(type_name, value),
            None => Err(WrongRecord::Foreign(format!("{type_name} of service {service}"))),
        }
    }
}
