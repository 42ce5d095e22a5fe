//! Checks the shape of a request before it is decoded.
//!
//! The decoder of `kafka-protocol` reserves memory for as many elements as a list announces, so that five bytes can make it ask for hundreds
//! of gigabytes, which ends the process. This walk over the same bytes needs no memory: it sees that each announced element is there, and
//! that there are not more of them than any honest request has.

use crate::varint::Reader;

/// More elements (of lists, or tagged fields) than a request of any client has.
const MOST_ELEMENTS: usize = 200_000;

/// What a field is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// So many bytes: a number, a truth value, an id.
    Fixed(usize),
    /// Text, or none.
    Text,
    /// Bytes, or none.
    Blob,
    /// A list of numbers or texts.
    Values(&'static Kind),
    /// A list of structures.
    Structs(&'static [Field]),
}

/// A field of a request, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub kind: Kind,
    pub since: i16,
    pub until: i16,
}

/// A field that each version has.
pub(crate) const fn always(kind: Kind) -> Field {
    Field { kind, since: 0, until: i16::MAX }
}

/// A field that came with a version.
pub(crate) const fn since(since: i16, kind: Kind) -> Field {
    Field { kind, since, until: i16::MAX }
}

/// A field that went with a version; this is the last one that has it.
pub(crate) const fn until(until: i16, kind: Kind) -> Field {
    Field { kind, since: 0, until }
}

/// Whether the bytes have this shape. Bytes may follow it.
pub(crate) fn fits(bytes: &[u8], fields: &[Field], version: i16, is_flexible: bool) -> bool {
    Walk { reader: Reader::new(bytes), version, is_flexible, left: MOST_ELEMENTS }.structure(fields).is_some()
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    is_flexible: bool,
    /// How many more elements may come.
    left: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Option<()> {
        let version = self.version;
        for field in fields.iter().filter(|field| (field.since..=field.until).contains(&version)) {
            self.field(field.kind)?;
        }
        if self.is_flexible { self.tagged() } else { Some(()) }
    }

    fn field(&mut self, kind: Kind) -> Option<()> {
        match kind {
            Kind::Fixed(size) => self.reader.take(size).map(drop),
            Kind::Text => self.sized(2),
            Kind::Blob => self.sized(4),
            Kind::Values(kind) => self.list(|walk| walk.field(*kind)),
            Kind::Structs(fields) => self.list(|walk| walk.structure(fields)),
        }
    }

    fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        for _ in 0..self.length(4)?.unwrap_or(0) {
            self.count()?;
            element(self)?;
        }
        Some(())
    }

    /// Bytes behind their length, which has so many bytes itself where the version is not flexible.
    fn sized(&mut self, width: usize) -> Option<()> {
        match self.length(width)? {
            Some(length) => self.reader.take(length).map(drop),
            None => Some(()),
        }
    }

    /// A length; the inner `None` stands for "none".
    fn length(&mut self, width: usize) -> Option<Option<usize>> {
        let length = match (self.is_flexible, width) {
            (true, _) => i64::from(self.reader.unsigned()?) - 1,
            (false, 2) => i64::from(i16::from_be_bytes(self.reader.array()?)),
            (false, _) => i64::from(i32::from_be_bytes(self.reader.array()?)),
        };
        if length == -1 { Some(None) } else { usize::try_from(length).ok().map(Some) }
    }

    /// The fields behind each structure of a flexible version, each behind its tag and its length.
    fn tagged(&mut self) -> Option<()> {
        for _ in 0..self.reader.unsigned()? {
            self.count()?;
            self.reader.unsigned()?;
            let size = usize::try_from(self.reader.unsigned()?).ok()?;
            self.reader.take(size)?;
        }
        Some(())
    }

    fn count(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[always(Kind::Text), since(1, Kind::Structs(&[always(Kind::Fixed(4))]))];

    #[test]
    fn a_list_that_announces_more_than_there_is_does_not_fit() {
        assert!(fits(&[0, 1, b'a', 0, 0, 0, 1, 9, 9, 9, 9], FIELDS, 1, false));
        assert!(!fits(&[0, 1, b'a', 0, 0, 0, 2, 9, 9, 9, 9], FIELDS, 1, false));
        assert!(!fits(&[0, 1, b'a', 0x7f, 0xff, 0xff, 0xff], FIELDS, 1, false));
        assert!(fits(&[0xff, 0xff], FIELDS, 0, false), "no text, and no list yet");
    }

    #[test]
    fn a_flexible_structure_has_compact_lengths_and_tagged_fields() {
        assert!(fits(&[2, b'a', 2, 9, 9, 9, 9, 0, 1, 0, 1, 5], FIELDS, 1, true));
        assert!(!fits(&[2, b'a', 2, 9, 9, 9, 9, 0, 1, 0, 2, 5], FIELDS, 1, true), "a tagged field that is cut off");
        assert!(!fits(&[2, b'a', 0xff, 0xff, 0xff, 0xff, 0x0f], FIELDS, 1, true));
    }
}
