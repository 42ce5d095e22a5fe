//! Finds the line of a file on which a record starts, as an editor counts lines.

/// Walks through a file beside its CSV reader, whose own count ignores a `\r` without `\n`, is one behind after `\r\n`, and takes the blank
/// lines before a record for its beginning.
pub struct Places<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Places<'a> {
    /// Starts at the first line.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    /// The line that a record starts on, the file's first being 1; `from` is its first byte, or that of a blank line before it. Records
    /// must come in the file's order.
    pub fn line_at(&mut self, from: usize) -> u64 {
        while self.at < self.bytes.len() && (self.at < from || is_end(self.bytes[self.at])) {
            self.line += u64::from(self.ends_a_line());
            self.at += 1;
        }
        self.line
    }

    /// Whether the byte here ends a line: the `\r` of `\r\n` does not, its `\n` does.
    fn ends_a_line(&self) -> bool {
        is_end(self.bytes[self.at]) && self.bytes.get(self.at..self.at + 2) != Some(b"\r\n")
    }
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
