//! The history of a schedule, line by line. Kept only when a seed is replayed: it costs more than the schedule itself.

/// The lines, or nothing.
pub struct History(Option<Vec<String>>);

impl History {
    pub fn kept(kept: bool) -> Self {
        Self(kept.then(Vec::new))
    }

    pub fn note(&mut self, step: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(format!("{step:>6}  {}", line()));
        }
    }

    pub fn into_text(self) -> String {
        self.0.unwrap_or_default().join("\n")
    }
}
