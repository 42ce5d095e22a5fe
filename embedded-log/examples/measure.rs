//! Measures the log: `cargo run --release -p embedded-log --example measure -- DIRECTORY`. The directory's disk is what counts.

use bytes::{BufMut, BytesMut};
use embedded_log::{Amount, Batch, NewTopic, Partition, Server, Store, TopicSettings};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use std::{
    error::Error,
    fs::File,
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const FOR: Duration = Duration::from_secs(3);
const RECORD: usize = 300;

/// A batch with records of so many bytes. The record's fields are as short as they can be, so that the bytes are the value's.
fn batch(records: usize, bytes: usize) -> Outcome<Batch> {
    let mut out = BytesMut::new();
    out.put_i64(0);
    out.put_i32(0);
    out.put_i32(-1);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(0);
    out.put_i32(records as i32 - 1);
    out.put_i64(0);
    out.put_i64(0);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(records as i32);
    for delta in 0..records {
        let mut body = BytesMut::new();
        body.put_slice(&[0, 0]);
        varint(&mut body, delta);
        body.put_u8(1);
        varint(&mut body, bytes);
        body.put_bytes(b'x', bytes);
        body.put_u8(0);
        varint(&mut out, body.len());
        out.unsplit(body);
    }
    let length = i32::try_from(out.len() - 12)?;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&checksum.to_be_bytes());
    Ok(Batch::parse(out.freeze())?)
}

fn varint(out: &mut BytesMut, value: usize) {
    let mut zigzag = value << 1;
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

async fn topic(store: &Store) -> Outcome<Arc<Partition>> {
    let new = NewTopic { name: "measured".into(), partitions: 1, settings: TopicSettings::new() };
    Ok(store.create_topic(new).await?.partitions[0].clone())
}

fn median(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).copied().unwrap_or_default()
}

fn report(what: &str, latencies: Vec<Duration>, took: Duration) {
    let rate = latencies.len() as f64 / took.as_secs_f64();
    println!("{what}: {rate:.0}/s, p50 {:.2} ms", median(latencies).as_secs_f64() * 1e3);
}

/// What the disk itself needs for one sync of 4 KiB behind what was synced before.
fn disk(directory: &Path) -> Outcome<()> {
    let (file, began, mut latencies) = (File::create(directory.join("sync"))?, Instant::now(), Vec::new());
    while began.elapsed() < FOR / 2 {
        let start = Instant::now();
        file.write_all_at(&[1; 4096], 4096 * latencies.len() as u64)?;
        file.sync_data()?;
        latencies.push(start.elapsed());
    }
    report("the disk: 4 KiB written and synced", latencies, began.elapsed());
    Ok(())
}

async fn appends(directory: &Path, clients: usize) -> Outcome<()> {
    let store = Arc::new(Store::open(directory)?);
    let partition = topic(&store).await?;
    let began = Instant::now();
    let client = || {
        let (store, key) = (store.clone(), partition.key());
        tokio::spawn(async move {
            let (batch, mut latencies) = (batch(1, RECORD)?, Vec::new());
            while began.elapsed() < FOR {
                let start = Instant::now();
                store.append(key, batch.clone()).await?;
                latencies.push(start.elapsed());
            }
            Outcome::Ok(latencies)
        })
    };
    let mut latencies = Vec::new();
    for client in (0..clients).map(|_| client()).collect::<Vec<_>>() {
        latencies.extend(client.await??);
    }
    report(&format!("the store, {clients} clients"), latencies, began.elapsed());
    Ok(())
}

async fn served_appends(address: SocketAddr, clients: usize, producers: usize) -> Outcome<()> {
    let producer = || {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", address.to_string()).set("linger.ms", "0").set("enable.idempotence", "true");
        client.create::<FutureProducer>()
    };
    let producers = (0..producers).map(|_| producer()).collect::<Result<Vec<_>, _>>()?;
    for producer in &producers {
        producer
            .send(FutureRecord::<(), _>::to("measured").partition(0).payload(&[b'x'; RECORD]), FOR)
            .await
            .map_err(|(error, _)| error)?;
    }
    let began = Instant::now();
    let client = |index: usize| {
        let producer = producers[index % producers.len()].clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while began.elapsed() < FOR {
                let start = Instant::now();
                let record = FutureRecord::<(), _>::to("measured").partition(0).payload(&[b'x'; RECORD]);
                producer.send(record, FOR).await.map_err(|(error, _)| error)?;
                latencies.push(start.elapsed());
            }
            Outcome::Ok(latencies)
        })
    };
    let mut latencies = Vec::new();
    for client in (0..clients).map(client).collect::<Vec<_>>() {
        latencies.extend(client.await??);
    }
    report(&format!("the server, {clients} clients on {} producers (rdkafka, acks=all)", producers.len()), latencies, began.elapsed());
    Ok(())
}

/// How fast one consumer reads everything.
fn served_reads(address: SocketAddr, end: i64) -> Outcome<()> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", address.to_string()).set("group.id", "reader").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("measured", 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let (began, mut bytes, mut records) = (Instant::now(), 0, 0);
    while records < end {
        if let Some(message) = consumer.poll(FOR) {
            (records, bytes) = (records + 1, bytes + message?.payload_len());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("one consumer: {:.0} records/s, {:.0} MB/s ({records} records)", records as f64 / seconds, bytes as f64 / seconds / 1e6);
    Ok(())
}

/// Processor time that this process has used, in clock ticks (hundredths of a second).
fn processor_ticks() -> Outcome<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

async fn served(directory: &Path) -> Outcome<()> {
    let store = Arc::new(Store::open(directory)?);
    let partition = topic(&store).await?;
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), store.clone()).await?;
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    let before = processor_ticks()?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("idle for 10 s: {} hundredths of a second of processor time", processor_ticks()? - before);
    for (clients, producers) in [(1, 1), (32, 1), (32, 32)] {
        served_appends(address, clients, producers).await?;
    }
    read_all(&store, &partition, "batches of one")?;
    let end = partition.end();
    tokio::task::spawn_blocking(move || served_reads(address, end)).await?
}

/// Fills a log with records of 500 bytes, 100 to a batch.
async fn fill(directory: &Path, records: usize) -> Outcome<()> {
    let store = Store::open(directory)?;
    let key = topic(&store).await?.key();
    let (began, batch) = (Instant::now(), batch(100, 500 - 10)?);
    for _ in 0..records / 100 / 500 {
        let appends: Vec<_> = (0..500).map(|_| store.append(key, batch.clone())).collect();
        for append in appends {
            append.await?;
        }
    }
    println!("{records} records appended in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn open(directory: &Path, how: &str) -> Outcome<Store> {
    let began = Instant::now();
    let store = Store::open(directory)?;
    let end = store.catalog().partition("measured", 0).map_or(0, |partition| partition.end());
    println!("opened {how} in {:.3} s: {end} records", began.elapsed().as_secs_f64());
    Ok(store)
}

/// How fast the store itself reads everything.
fn read_all(store: &Store, partition: &Partition, of: &str) -> Outcome<()> {
    let (began, mut from, mut bytes) = (Instant::now(), 0, 0);
    while from < partition.end() {
        let read = store.read_batches(partition, from, Amount { bytes: 1 << 20, at_least_one: true })?;
        bytes += read.len();
        let mut rest = &read[..];
        while let Some(header) = rest.first_chunk::<61>() {
            let field = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            from += i64::from(field(23)) + 1;
            rest = &rest[12 + field(8) as usize..];
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("the store reads {of}: {:.0} records/s, {:.0} MB/s", from as f64 / seconds, bytes as f64 / seconds / 1e6);
    Ok(())
}

/// Copies the log's file, and waits until the copy is on the disk: else the first sync of whoever opens it would wait for that.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    std::fs::create_dir_all(to)?;
    std::fs::copy(from.join("log.redb"), to.join("log.redb"))?;
    Ok(File::open(to.join("log.redb"))?.sync_all()?)
}

async fn opened(directory: &Path) -> Outcome<()> {
    fill(directory, 5_000_000).await?;
    let store = open(directory, "after a clean end")?;
    let partition = store.catalog().partition("measured", 0).ok_or("no topic")?.clone();
    read_all(&store, &partition, "batches of 100")?;
    let latency = |latencies: &mut Vec<Duration>, start: Instant| latencies.push(start.elapsed());
    let mut latencies = Vec::new();
    let began = Instant::now();
    for _ in 0..300 {
        let start = Instant::now();
        store.append(partition.key(), batch(1, RECORD)?).await?;
        latency(&mut latencies, start);
    }
    report("an append to the large log", latencies, began.elapsed());
    // A copy of the file as it is now is what a kill leaves behind.
    let killed = directory.join("killed");
    copy(directory, &killed)?;
    drop(store);
    drop(open(&killed, "after a kill")?);
    let size = std::fs::metadata(directory.join("log.redb"))?.len();
    println!("the file has {:.2} GB", size as f64 / 1e9);
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let root = PathBuf::from(std::env::args().nth(1).ok_or("usage: measure DIRECTORY")?);
    let fresh = |name: &str| {
        let directory = root.join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).map(|()| directory)
    };
    disk(&fresh("disk")?)?;
    // Twice in turns, since a shared disk's speed changes by the minute.
    for _ in 0..2 {
        for clients in [1, 32] {
            appends(&fresh("appends")?, clients).await?;
        }
    }
    served(&fresh("served")?).await?;
    opened(&fresh("large")?).await?;
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
