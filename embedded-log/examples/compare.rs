//! Compares brokers by one client: `cargo run --profile production -p embedded-log --example compare -- RECORDS NAME=HOST:PORT…`. In each of three rounds each
//! broker is asked for appends of 1 and of 32 clients that wait for each answer, and for a log of so many records, read from its beginning.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use std::{
    error::Error,
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: compare RECORDS NAME=HOST:PORT…";
const ROUNDS: usize = 3;
const APPENDING: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(30);
/// What a command's event comes to with its headers.
const RECORD: [u8; 500] = [b'x'; 500];

struct Broker {
    name: String,
    address: String,
}

impl Broker {
    fn parse(word: &str) -> Outcome<Self> {
        let (name, address) = word.split_once('=').ok_or(USAGE)?;
        Ok(Self { name: name.to_owned(), address: address.to_owned() })
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.address);
        client
    }

    /// A topic of one partition; topics are named anew in each round, since not every broker deletes.
    async fn topic(&self, name: &str) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        for result in admin.create_topics(&[NewTopic::new(name, 1, TopicReplication::Fixed(1))], &AdminOptions::new()).await? {
            result.map_err(|(topic, code)| format!("{}: {topic}: {code}", self.name))?;
        }
        Ok(())
    }

    /// One record of one client after the other's answer, as the writer of events sends them: idempotent, acknowledged by all.
    async fn appends(&self, topic: &str, clients: usize) -> Outcome<f64> {
        let mut config = self.client();
        let producer: FutureProducer = config.set("linger.ms", "0").set("enable.idempotence", "true").create()?;
        let began = Instant::now();
        let client = || {
            let (producer, topic) = (producer.clone(), topic.to_owned());
            tokio::spawn(async move {
                let mut appended = 0_u32;
                while began.elapsed() < APPENDING {
                    let record = FutureRecord::<(), _>::to(&topic).partition(0).payload(&RECORD[..]);
                    producer.send(record, WITHIN).await.map_err(|(error, _)| error)?;
                    appended += 1;
                }
                Outcome::Ok(appended)
            })
        };
        let mut appended = 0;
        for client in (0..clients).map(|_| client()).collect::<Vec<_>>() {
            appended += client.await??;
        }
        Ok(f64::from(appended) / began.elapsed().as_secs_f64())
    }

    async fn fill(&self, topic: &str, records: i64) -> Outcome<()> {
        let mut config = self.client();
        let producer: FutureProducer = config.set("linger.ms", "5").set("batch.num.messages", "100").create()?;
        let mut sent = Vec::with_capacity(10_000);
        for number in 0..records {
            let record = FutureRecord::<(), _>::to(topic).partition(0).payload(&RECORD[..]);
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
            if sent.len() == 10_000 || number + 1 == records {
                for delivery in sent.drain(..) {
                    delivery.await?.map_err(|(error, _)| error)?;
                }
            }
        }
        Ok(())
    }

    /// Records a second of one consumer that reads everything.
    fn reads(&self, topic: &str, wanted: i64) -> Outcome<f64> {
        let consumer: BaseConsumer = self.client().set("group.id", "compare").set("enable.auto.commit", "false").create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)?;
        consumer.assign(&list)?;
        let (began, mut records) = (Instant::now(), 0);
        while records < wanted {
            if let Some(message) = consumer.poll(WITHIN) {
                message?;
                records += 1;
            }
        }
        Ok(records as f64 / began.elapsed().as_secs_f64())
    }
}

/// A line of a broker's figures in all rounds, with their median last.
fn say(broker: &Broker, what: &str, mut figures: Vec<f64>) {
    let told: Vec<String> = figures.iter().map(|figure| format!("{figure:.0}")).collect();
    figures.sort_by(f64::total_cmp);
    println!("{what} | {} | {} | {:.0}", broker.name, told.join(", "), figures[figures.len() / 2]);
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let records: i64 = words.next().ok_or(USAGE)?.parse()?;
    let brokers: Vec<Broker> = words.map(|word| Broker::parse(&word)).collect::<Outcome<_>>()?;
    for broker in &brokers {
        broker.topic("compare-read").await?;
        broker.fill("compare-read", records).await?;
    }
    let mut figures = vec![[Vec::new(), Vec::new(), Vec::new()]; brokers.len()];
    for round in 0..ROUNDS {
        for (broker, figures) in brokers.iter().zip(&mut figures) {
            let topic = format!("compare-{round}");
            broker.topic(&topic).await?;
            figures[0].push(broker.appends(&topic, 1).await?);
            figures[1].push(broker.appends(&topic, 32).await?);
            figures[2].push(tokio::task::block_in_place(|| broker.reads("compare-read", records))?);
        }
    }
    println!("records a second | broker | rounds | median\n--- | --- | --- | ---");
    for (place, what) in ["1 client appends", "32 clients append", "one consumer reads"].into_iter().enumerate() {
        for (broker, figures) in brokers.iter().zip(&mut figures) {
            say(broker, what, std::mem::take(&mut figures[place]));
        }
    }
    Ok(())
}
