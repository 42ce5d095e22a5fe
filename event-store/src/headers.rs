//! A record's headers, in one piece.

use std::{
    fmt::{self, Write},
    ops::Range,
};

/// Names and values of a record's headers, in their order. They stand in one buffer, since a record has some fifteen of them
/// and a reader that made two strings of each would do little else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    /// Where each name and each value ends.
    ends: Vec<(u32, u32)>,
}

impl Headers {
    /// No headers yet, with room for `headers` of them, which take `bytes` together.
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(headers) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds one behind the others.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_ends = self.bytes.len();
        self.bytes.extend_from_slice(value.as_ref());
        self.end(name_ends);
    }

    /// Adds one whose value is the text of `value`.
    pub fn push_shown(&mut self, name: &str, value: impl fmt::Display) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_ends = self.bytes.len();
        write!(Text(&mut self.bytes), "{value}").expect("writing to memory cannot fail");
        self.end(name_ends);
    }

    /// Gives all headers of that name another value.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        *self = self.iter().map(|(known, old)| (known, if known == name { value.as_ref() } else { old })).collect();
    }

    fn end(&mut self, name_ends: usize) {
        // Kafka's own length of a message is 31 bits.
        let fits = |end: usize| u32::try_from(end).expect("a record is shorter than 4 GiB");
        self.ends.push((fits(name_ends), fits(self.bytes.len())));
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.parts().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// The names and values, as bytes both.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        begins.zip(&self.ends).map(|(begin, (name_ends, end))| (self.part(begin..*name_ends), self.part(*name_ends..*end)))
    }

    fn part(&self, range: Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.parts().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    /// The same, as text; none where it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut made = Self::default();
        headers.into_iter().for_each(|(name, value)| made.push(name.as_ref(), value));
        made
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(headers: Vec<(String, Vec<u8>)>) {
            let made: Headers = headers.iter().map(|(name, value)| (name, value)).collect();
            let out: Vec<(String, Vec<u8>)> = made.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            prop_assert_eq!(&out, &headers);
            for (name, _) in &headers {
                let mut changed = made.clone();
                changed.set(name, "other");
                prop_assert_eq!((changed.get(name), changed.len()), (Some(&b"other"[..]), made.len()));
                let first = headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
                prop_assert_eq!(made.get(name), first);
            }
        }
    }

    #[test]
    fn what_is_shown_is_written_in_place() {
        let mut headers = Headers::with_capacity(2, 16);
        headers.push_shown("group", format_args!("{}/{}", 1, 2));
        headers.push("actor", [0xff]);
        assert_eq!((headers.text("group"), headers.text("actor"), headers.text("run"), headers.len()), (Some("1/2"), None, None, 2));
    }
}
