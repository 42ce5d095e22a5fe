//! Record batches in Kafka's message format 2.
//!
//! The log keeps a batch as the producer sent it. It writes only the base offset and the leader's epoch, which stand before the bytes that
//! the checksum covers, so a compressed batch need not be opened.

use crate::varint::Reader;
use bytes::Bytes;

/// The bytes before the first record.
pub(crate) const HEADER: usize = 61;
/// The bytes that `batchLength` does not count: the base offset and the length itself.
const BEFORE_LENGTH: usize = 12;
/// Where the bytes begin that the checksum covers.
const CHECKED: usize = 21;
const COMPRESSION: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// Kafka numbers its codecs to 4 (zstd).
const LAST_CODEC: i16 = 4;

/// Why bytes are no batch that this log takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a batch's header has.
    #[error("{0} bytes are fewer than a batch's header has")]
    Short(usize),
    /// The length in the header is not that of the bytes: they are cut off, or hold more than one batch.
    #[error("the batch says that it has {said} bytes, and has {has}")]
    Length {
        /// What the header says.
        said: i64,
        /// How many there are.
        has: usize,
    },
    /// Another message format.
    #[error("the message format is {0}, and must be 2")]
    Format(i8),
    /// The checksum does not match: the bytes were damaged on their way or on the disk.
    #[error("the checksum does not match")]
    Checksum,
    /// A transactional or control batch, one with the log's time, or an unknown codec.
    #[error("the attributes {0:#06x} are not supported")]
    Attributes(i16),
    /// The header and the records contradict each other.
    #[error("{0}")]
    Records(&'static str),
}

/// Which batch of an idempotent producer this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer's id.
    pub producer: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub first: i32,
    /// The sequence number of the last record.
    pub last: i32,
}

/// A whole and sound batch.
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Bytes,
    count: u32,
    max_timestamp: i64,
    stamp: Option<Stamp>,
}

impl Batch {
    /// Checks the bytes: one batch of format 2, whole, with the right checksum and records that are numbered without a hole.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = Header::checked(&bytes)?;
        if header.attributes & (LOG_APPEND_TIME | TRANSACTIONAL | CONTROL) != 0 || header.attributes & COMPRESSION > LAST_CODEC {
            return Err(BatchError::Attributes(header.attributes));
        }
        let count = header.count()?;
        if header.attributes & COMPRESSION == 0 {
            check_records(&bytes[HEADER..], count)?;
        }
        Ok(Self { count, max_timestamp: header.max_timestamp, stamp: header.stamp(count)?, bytes })
    }

    /// How many records it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its place among its producer's batches, if the producer is idempotent.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The fields of a header that the log reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    attributes: i16,
    last_delta: i32,
    base_timestamp: i64,
    pub max_timestamp: i64,
    producer: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
}

impl Header {
    /// The header of a batch whose length, format and checksum are right.
    pub fn checked(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER {
            return Err(BatchError::Short(bytes.len()));
        }
        let said = i64::from(i32::from_be_bytes(field(bytes, 8))) + BEFORE_LENGTH as i64;
        if said != bytes.len() as i64 {
            return Err(BatchError::Length { said, has: bytes.len() });
        }
        let format = i8::from_be_bytes(field(bytes, 16));
        if format != 2 {
            return Err(BatchError::Format(format));
        }
        if crc32c::crc32c(&bytes[CHECKED..]) != u32::from_be_bytes(field(bytes, 17)) {
            return Err(BatchError::Checksum);
        }
        Ok(Self::read(bytes))
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            attributes: i16::from_be_bytes(field(bytes, 21)),
            last_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer: i64::from_be_bytes(field(bytes, 43)),
            epoch: i16::from_be_bytes(field(bytes, 51)),
            sequence: i32::from_be_bytes(field(bytes, 53)),
            count: i32::from_be_bytes(field(bytes, 57)),
        }
    }

    fn count(&self) -> Result<u32, BatchError> {
        match u32::try_from(self.count) {
            Ok(count) if count > 0 && self.last_delta == self.count - 1 => Ok(count),
            _ => Err(BatchError::Records("the number of records and the last offset do not agree")),
        }
    }

    fn stamp(&self, count: u32) -> Result<Option<Stamp>, BatchError> {
        match (self.producer, self.epoch, self.sequence) {
            (-1, _, _) => Ok(None),
            (producer, epoch, first) if producer >= 0 && epoch >= 0 && first >= 0 => {
                Ok(Some(Stamp { producer, epoch, first, last: sequence_after(first, count - 1) }))
            }
            _ => Err(BatchError::Records("the producer's id, epoch and sequence do not agree")),
        }
    }

    /// The offset behind the last record of a batch that begins at `base`.
    pub fn end(&self, base: i64) -> i64 {
        base + i64::from(self.last_delta) + 1
    }
}

/// The sequence number that stands `by` after another; after the largest comes 0.
pub(crate) fn sequence_after(sequence: i32, by: u32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (i64::from(i32::MAX) + 1)) as i32
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// The bytes of the batch as they stand in the log from `base` on. The only leader that there ever was has epoch 0.
pub(crate) fn place(batch: &mut [u8], base: i64) {
    batch[..8].copy_from_slice(&base.to_be_bytes());
    batch[12..16].copy_from_slice(&0_i32.to_be_bytes());
}

/// What the log needs of one record.
struct Record {
    offset_delta: i32,
    timestamp_delta: i64,
}

fn check_records(mut bytes: &[u8], count: u32) -> Result<(), BatchError> {
    for index in 0..count {
        let record = next_record(&mut bytes).ok_or(BatchError::Records("a record is cut off or has a wrong length"))?;
        if u32::try_from(record.offset_delta) != Ok(index) {
            return Err(BatchError::Records("the records are not numbered without a hole"));
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(BatchError::Records("there are bytes behind the last record")) }
}

/// Takes the next record off the bytes; none if it is not well formed.
fn next_record(bytes: &mut &[u8]) -> Option<Record> {
    let mut outer = Reader::new(bytes);
    let length = usize::try_from(outer.signed()?).ok()?;
    let body = outer.take(length)?;
    *bytes = outer.rest();
    let mut reader = Reader::new(body);
    reader.take(1)?;
    let (timestamp_delta, offset_delta) = (reader.signed()?, i32::try_from(reader.signed()?).ok()?);
    reader.nullable()?;
    reader.nullable()?;
    for _ in 0..usize::try_from(reader.signed()?).ok()? {
        let key = usize::try_from(reader.signed()?).ok()?;
        reader.take(key)?;
        reader.nullable()?;
    }
    reader.rest().is_empty().then_some(Record { offset_delta, timestamp_delta })
}

/// The offset and the time of the first record that is not older than `time`. Of a compressed batch it names the first record, with the
/// batch's newest time: a consumer that begins there skips nothing.
pub(crate) fn first_since(batch: &[u8], base: i64, time: i64) -> Option<(i64, i64)> {
    let header = Header::checked(batch).ok()?;
    if header.attributes & COMPRESSION != 0 {
        return (header.max_timestamp >= time).then_some((base, header.max_timestamp));
    }
    let mut bytes = &batch[HEADER..];
    std::iter::from_fn(|| next_record(&mut bytes))
        .map(|record| (base + i64::from(record.offset_delta), header.base_timestamp.saturating_add(record.timestamp_delta)))
        .find(|(_, timestamp)| *timestamp >= time)
        // The producer's word, which its records need not bear out.
        .or_else(|| (header.max_timestamp >= time).then_some((base, header.max_timestamp)))
}
