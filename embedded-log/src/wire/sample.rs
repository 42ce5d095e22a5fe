//! Makes up requests that have the right shape and any content, for tests.

use super::{
    request::shape_in,
    shape::{Field, Kind},
};
use bytes::{BufMut, Bytes, BytesMut};

/// Numbers from a seed.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % below
    }
}

/// A frame without its length.
pub(crate) fn frame(key: i16, version: i16, correlation: i32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(correlation);
    frame.put_i16(4);
    frame.put_slice(b"test");
    if shape_in(key, version).1 {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame.freeze()
}

/// A body for a request in a version.
pub(crate) fn body(numbers: &mut Numbers, key: i16, version: i16) -> Vec<u8> {
    let (fields, is_flexible) = shape_in(key, version);
    let mut sample = Sample { numbers, version, is_flexible, out: Vec::new() };
    sample.structure(fields);
    sample.out
}

struct Sample<'a> {
    numbers: &'a mut Numbers,
    version: i16,
    is_flexible: bool,
    out: Vec<u8>,
}

impl Sample<'_> {
    fn structure(&mut self, fields: &[Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| (field.since..=field.until).contains(&version)) {
            self.field(field.kind);
        }
        if self.is_flexible {
            self.tagged();
        }
    }

    fn field(&mut self, kind: Kind) {
        match kind {
            Kind::Fixed(size) => self.number(size),
            Kind::Text => {
                let words = ["orders", "readers", "", "consumer", "retention.ms", "-1", "1", "nobody"];
                let word = words[self.numbers.next(words.len() as u64) as usize];
                self.length(2, word.len());
                self.out.extend_from_slice(word.as_bytes());
            }
            Kind::Blob => {
                let length = self.numbers.next(100) as usize;
                self.length(4, length);
                let bytes = (0..length).map(|_| self.numbers.next(256) as u8).collect::<Vec<_>>();
                self.out.extend(bytes);
            }
            Kind::Values(kind) => self.list(|sample| sample.field(*kind)),
            Kind::Structs(fields) => self.list(|sample| sample.structure(fields)),
        }
    }

    /// Small numbers mostly, so that they name something; and the extremes.
    fn number(&mut self, size: usize) {
        let value = match self.numbers.next(10) {
            0 => -1,
            1 => i64::MAX >> (64 - 8 * size.min(8)),
            2 => i64::MIN >> (64 - 8 * size.min(8)),
            3 => 1_000,
            _ => self.numbers.next(3) as i64,
        };
        let mut bytes = vec![0; size.saturating_sub(8)];
        bytes.extend_from_slice(&value.to_be_bytes()[8 - size.min(8)..]);
        self.out.extend(bytes);
    }

    fn list(&mut self, mut element: impl FnMut(&mut Self)) {
        let count = self.numbers.next(4) as usize;
        self.length(4, count);
        (0..count).for_each(|_| element(self));
    }

    fn length(&mut self, width: usize, length: usize) {
        match (self.is_flexible, width) {
            (true, _) => self.out.push(length as u8 + 1),
            (false, 2) => self.out.extend_from_slice(&(length as i16).to_be_bytes()),
            (false, _) => self.out.extend_from_slice(&(length as i32).to_be_bytes()),
        }
    }

    fn tagged(&mut self) {
        // A tag that no message has.
        if self.numbers.next(4) == 0 { self.out.extend_from_slice(&[1, 77, 2, 1, 2]) } else { self.out.push(0) }
    }
}
