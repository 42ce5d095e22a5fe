//! A long history of orders, in the form in which an owner writes it, but appended by a producer that does not wait for acknowledgements.

use crate::{
    bare::{Answers, To, client, headers},
    ours::{meta, now, place},
    stage::Stage,
};
use anyhow::{Result, ensure};
use codec::{PartitionClaimed, Schemas};
use domain::{
    Money, PaymentId,
    order::{Order, OrderCommand},
};
use event_sourcing::{Aggregate, Event};
use event_store::{
    Append, CommandMeta,
    envelope::{EventHeaders, claim},
    kafka::topic_of,
    run::Place,
};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// The service whose events these are, whatever the topic is called.
const SERVICE: &str = "orders";
/// How many orders are placed between one command of an order and its next, so that its events do not stand side by side.
const APART: usize = 64;
/// The commands of an order: placed, its two lines reserved, confirmed.
const COMMANDS: usize = 4;
/// The events that these make: the second line's reservation is the order's, too.
pub const EVENTS: u64 = 5;

/// An order on its way to be confirmed.
struct Life {
    id: Uuid,
    state: Order,
    version: u64,
    commands: usize,
}

impl Life {
    fn begin() -> Self {
        Self { id: Uuid::new_v4(), state: Order::default(), version: 0, commands: 0 }
    }

    fn command(&self) -> Result<OrderCommand> {
        let reserve = |line| anyhow::Ok(OrderCommand::RecordReservation { line, unit_price: Money::new(295, "GBP".parse()?)? });
        match self.commands {
            0 => place(),
            1 => reserve(0),
            2 => reserve(1),
            _ => Ok(OrderCommand::Confirm { payment_id: PaymentId(self.id) }),
        }
    }

    /// The records of its next command, the first of which is to stand at `at` of the run.
    fn advance(&mut self, run: i64, at: i64, schemas: &Schemas) -> Result<Vec<Append>> {
        let (events, meta) = (self.state.handle(self.command()?)?, meta());
        let of = u32::try_from(events.len())?;
        let mut records = Vec::with_capacity(events.len());
        for (index, event) in (1..).zip(&events) {
            self.version += 1;
            self.state.apply(event);
            let place = Place { run, at: at + i64::from(index) - 1, index, of };
            records.push(self.headers(event.type_name(), place, &meta).append(schemas.encode(event)?));
        }
        self.commands += 1;
        Ok(records)
    }

    fn headers<'a>(&self, type_name: &'a str, place: Place, meta: &'a CommandMeta) -> EventHeaders<'a> {
        let CommandMeta { command_id, time, ref cause, .. } = *meta;
        let fingerprint = command_id.as_u64_pair().0;
        EventHeaders {
            service: SERVICE,
            type_name,
            aggregate_id: self.id,
            command_id,
            place,
            version: self.version,
            fingerprint,
            time,
            cause,
        }
    }
}

/// Orders one after another, several under way at once.
struct History {
    schemas: Schemas,
    lives: VecDeque<Life>,
    /// The first order that was confirmed, and the last.
    confirmed: Option<(Uuid, Uuid)>,
}

impl History {
    fn begin() -> Self {
        Self { schemas: schemas::bundled(), lives: VecDeque::new(), confirmed: None }
    }

    /// A new order, and a command of each that is due for one. The first record is to stand at `at` of the run.
    fn round(&mut self, run: i64, at: i64) -> Result<Vec<Append>> {
        self.lives.push_back(Life::begin());
        let mut records = Vec::with_capacity(EVENTS as usize);
        let newest = self.lives.len() - 1;
        for index in (0..COMMANDS).filter_map(|later| newest.checked_sub(later * APART)) {
            records.append(&mut self.lives[index].advance(run, at + records.len() as i64, &self.schemas)?);
        }
        if let Some(done) = self.lives.pop_front_if(|first| first.commands == COMMANDS) {
            self.confirmed = Some((self.confirmed.map_or(done.id, |(first, _)| first), done.id));
        }
        Ok(records)
    }
}

/// Makes a log longer.
pub struct Filler {
    producer: ThreadedProducer<Answers>,
    acked: Arc<AtomicU64>,
    topic: String,
    history: History,
}

impl Filler {
    /// Of a service's log.
    pub fn new(stage: &Stage, service: &str) -> Result<Self> {
        let context = Answers::default();
        let acked = context.acked();
        let producer = client(stage, "5").set("enable.idempotence", "true").create_with_context(context)?;
        Ok(Self { producer, acked, topic: topic_of(service), history: History::begin() })
    }

    /// Claims the log, which nobody else writes to, and appends until it has so many records, or a few more. Answers how many it has.
    pub fn fill(&mut self, until: i64) -> Result<i64> {
        let (run, acked) = (self.end()?, self.acked.load(Ordering::Relaxed));
        self.send(&self.claim()?)?;
        let mut at = run + 1;
        while at < until {
            for record in self.history.round(run, at)? {
                self.send(&record)?;
                at += 1;
            }
        }
        self.producer.flush(Duration::from_secs(60))?;
        let acked = self.acked.load(Ordering::Relaxed) - acked;
        ensure!(acked == (at - run) as u64 && self.end()? == at, "of {} records {acked} are acknowledged", at - run);
        Ok(at)
    }

    /// The first order that is confirmed in the log, and the last.
    pub fn confirmed(&self) -> Option<(Uuid, Uuid)> {
        self.history.confirmed
    }

    fn claim(&self) -> Result<Append> {
        let nonce = Uuid::new_v4().simple().to_string();
        let claimed = PartitionClaimed { owner: "bench".into(), address: "127.0.0.1:0".into(), nonce: nonce.clone(), partitions: Some(1) };
        Ok(claim(SERVICE, &nonce, now(), claimed.encode(&self.history.schemas)?))
    }

    fn end(&self) -> Result<i64> {
        Ok(self.producer.client().fetch_watermarks(&self.topic, 0, Duration::from_secs(10))?.1)
    }

    fn send(&self, record: &Append) -> Result<()> {
        let to = || BaseRecord::with_opaque_to(&self.topic, Box::new(To::Counted)).partition(0);
        let mut next = to().key(&record.key).payload(&record.payload).headers(headers(record));
        loop {
            match self.producer.send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => next = refused,
                Err((error, _)) => return Err(error.into()),
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::envelope::Entry;

    /// What an owner must find: every record at its place, every order at its version.
    #[test]
    fn a_history_is_one_that_an_owner_could_have_written() {
        let (mut history, mut at) = (History::begin(), 1);
        let (mut ids, mut orders) = (std::collections::HashSet::new(), std::collections::HashMap::new());
        for _ in 0..4 * APART {
            for record in history.round(0, at).unwrap() {
                let Entry::Event(event) = Entry::read(&SERVICE.into(), 0, &record.at(at)) else { panic!("no event at {at}") };
                let known = orders.entry(event.record.aggregate_id).or_insert(0);
                *known += 1;
                assert_eq!((event.place.run, event.place.at, event.record.version), (0, at, *known));
                ids.insert(event.command_id);
                at += 1;
            }
        }
        let (first, last) = history.confirmed.unwrap();
        assert_eq!((orders[&first], orders[&last], orders.len()), (EVENTS, EVENTS, 4 * APART));
        assert_eq!(ids.len(), APART * (1 + 2 + 3 + 4), "each command has an id of its own");
    }
}
