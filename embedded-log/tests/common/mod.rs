//! What the tests share: batches, and a disk that fails as real ones do.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses a part of this")]

pub mod disk;

use bytes::{BufMut, Bytes, BytesMut};
use embedded_log::{Amount, Batch, NewTopic, Partition, ReadError, Store, Topic, TopicSettings};
use std::sync::Arc;

/// A producer's id and epoch, and the sequence number of the first record.
pub type Stamp = (i64, i16, i32);

fn varint(out: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

fn record(delta: usize, time_delta: i64, value: &[u8]) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u8(0);
    varint(&mut body, time_delta);
    varint(&mut body, delta as i64);
    varint(&mut body, -1);
    varint(&mut body, value.len() as i64);
    body.put_slice(value);
    varint(&mut body, 0);
    let mut record = BytesMut::new();
    varint(&mut record, body.len() as i64);
    record.unsplit(body);
    record
}

/// Sets the length and the checksum that the bytes must have.
pub fn sealed(mut bytes: BytesMut) -> Bytes {
    let length = i32::try_from(bytes.len() - 12).expect("a small batch");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.freeze()
}

/// A batch in format 2, not compressed, with a record for each value; the times rise by 1 from `time` on.
pub fn batch_bytes(values: &[&[u8]], stamp: Option<Stamp>, time: i64) -> BytesMut {
    let (producer, epoch, sequence) = stamp.unwrap_or((-1, -1, -1));
    let mut bytes = BytesMut::new();
    bytes.put_i64(0);
    bytes.put_i32(0);
    bytes.put_i32(-1);
    bytes.put_i8(2);
    bytes.put_u32(0);
    bytes.put_i16(0);
    bytes.put_i32(values.len() as i32 - 1);
    bytes.put_i64(time);
    bytes.put_i64(time + values.len() as i64 - 1);
    bytes.put_i64(producer);
    bytes.put_i16(epoch);
    bytes.put_i32(sequence);
    bytes.put_i32(values.len() as i32);
    for (index, value) in values.iter().enumerate() {
        bytes.unsplit(record(index, index as i64, value));
    }
    bytes
}

/// A sound batch.
pub fn batch(values: &[&[u8]], stamp: Option<Stamp>) -> Batch {
    Batch::parse(sealed(batch_bytes(values, stamp, 1_000))).expect("a sound batch")
}

/// A batch of one record.
pub fn one(value: &str) -> Batch {
    batch(&[value.as_bytes()], None)
}

/// Creates a topic with the usual settings.
pub async fn create(store: &Store, name: &str, partitions: u32) -> Arc<Topic> {
    let new = NewTopic { name: name.to_owned(), partitions, settings: TopicSettings::new() };
    store.create_topic(new).await.expect("the topic is created")
}

/// The only partition of a topic.
pub fn partition(store: &Store, topic: &str) -> Arc<Partition> {
    store.catalog().partition(topic, 0).expect("the topic is there").clone()
}

/// Where the records of a batch begin, and the batches that follow.
fn split(bytes: &[u8]) -> (i64, &[u8], &[u8]) {
    let base = i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
    let length = 12 + i32::from_be_bytes(bytes[8..12].try_into().expect("four bytes")) as usize;
    (base, &bytes[..length], &bytes[length..])
}

/// The batches in a stretch of a log, each with its base offset.
pub fn batches(mut bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (base, batch, rest) = split(bytes);
        found.push((base, batch.to_vec()));
        bytes = rest;
    }
    found
}

/// The value of the first record of each batch, and its offset; for batches that [`batch`] made.
pub fn values(bytes: &[u8]) -> Vec<(i64, String)> {
    let value = |(base, batch): (i64, Vec<u8>)| {
        let mut at = 61;
        let mut number = || {
            let (mut value, mut shift) = (0_u64, 0);
            loop {
                let byte = u64::from(batch[at]);
                at += 1;
                value |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return (value >> 1) as i64 ^ -((value & 1) as i64);
                }
            }
        };
        // Length, attributes (one byte, which is zero), time, offset, key, length of the value.
        let fields: Vec<i64> = (0..6).map(|_| number()).collect();
        let length = fields[5] as usize;
        (base, String::from_utf8_lossy(&batch[at..at + length]).into_owned())
    };
    batches(bytes).into_iter().map(value).collect()
}

/// Everything that a partition holds from an offset on.
pub fn read(store: &Store, partition: &Partition, from: i64) -> Result<Vec<(i64, String)>, ReadError> {
    Ok(values(&store.read_batches(partition, from, Amount { bytes: usize::MAX, at_least_one: true })?))
}
