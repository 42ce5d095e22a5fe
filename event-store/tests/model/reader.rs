//! The events that readers count in a log: by the real rule, and by rules that leave out a part of it.

use event_store::run::{Mark, Place, RunRule, Verdict};

/// The rule that readers and writers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The real run rule.
    Real,
    /// A record counts if it carries the current run, wherever it stands; a writer takes any offset for an answer.
    NoAt,
    /// A record that does not fit is passed over, and the run goes on.
    NoUnbrokenRun,
    /// Each record counts by itself.
    NoGroup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    Claim,
    Event(Event),
    /// Somebody else's record, without our headers.
    Foreign,
}

/// One event of a command, and the version that its writer expected after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub command: u8,
    pub version: u8,
    pub place: Place,
}

/// A reader somewhere in a log.
#[derive(Clone)]
pub struct Reader {
    rule: Rule,
    real: RunRule,
    run: Option<i64>,
    held: Vec<Event>,
    pub counted: Vec<Event>,
}

impl Reader {
    /// A reader that goes on before `next`, in the run of `claim`, with nothing held back.
    pub fn resume(rule: Rule, claim: Option<i64>, next: i64) -> Self {
        Self { rule, real: RunRule::resume(claim, next), run: claim, held: Vec::new(), counted: Vec::new() }
    }

    /// The claim of the run to resume in, if there is a run; none where events are held back, since a reader cannot resume there.
    pub fn checkpoint(&self) -> Option<Option<i64>> {
        let claim = match self.rule {
            Rule::Real | Rule::NoGroup => self.real.run().map(|run| run.claim),
            Rule::NoAt | Rule::NoUnbrokenRun => self.run,
        };
        self.held.is_empty().then_some(claim)
    }

    pub fn take(&mut self, offset: i64, record: Record) {
        match record {
            Record::Claim => {
                self.run = Some(offset);
                let verdict = self.real.step(offset, Mark::Claim);
                self.judged(verdict, None);
            }
            Record::Foreign => self.foreign(offset),
            Record::Event(event) => self.event(offset, event),
        }
    }

    fn foreign(&mut self, offset: i64) {
        let verdict = self.real.step(offset, Mark::Foreign);
        if matches!(self.rule, Rule::Real | Rule::NoGroup) {
            self.judged(verdict, None);
        }
    }

    fn event(&mut self, offset: i64, event: Event) {
        let place = event.place;
        match self.rule {
            Rule::Real => {
                let verdict = self.real.step(offset, Mark::Event(place));
                self.judged(verdict, Some(event));
            }
            Rule::NoGroup => {
                let verdict = self.real.step(offset, Mark::Event(Place { index: 1, of: 1, ..place }));
                self.judged(verdict, Some(event));
            }
            Rule::NoAt => self.loosely(self.run == Some(place.run), event),
            Rule::NoUnbrokenRun => self.loosely(self.run == Some(place.run) && place.at == offset, event),
        }
    }

    fn judged(&mut self, verdict: Verdict, event: Option<Event>) {
        match verdict {
            Verdict::Begins | Verdict::Ends => self.held.clear(),
            Verdict::Held => self.held.extend(event),
            Verdict::Counts => {
                self.counted.append(&mut self.held);
                self.counted.extend(event);
            }
        }
    }

    fn loosely(&mut self, fits: bool, event: Event) {
        if fits {
            self.held.push(event);
            if event.place.index == event.place.of {
                self.counted.append(&mut self.held);
            }
        }
    }
}

/// The events that count in a log that is read from its beginning.
pub fn counted(rule: Rule, log: &[Record]) -> Vec<Event> {
    read(Reader::resume(rule, None, 0), 0, log).counted
}

fn read(mut reader: Reader, from: usize, log: &[Record]) -> Reader {
    (from..log.len()).for_each(|at| reader.take(at as i64, log[at]));
    reader
}

/// Whether a reader that stops and resumes, at any place that allows it, counts the same events as one that reads all in one go.
pub fn resumes(rule: Rule, log: &[Record]) -> bool {
    let whole = counted(rule, log);
    let mut reader = Reader::resume(rule, None, 0);
    (0..log.len()).all(|begin| {
        let same = reader.checkpoint().is_none_or(|claim| {
            let rest = read(Reader::resume(rule, claim, begin as i64), begin, log).counted;
            whole.len() == reader.counted.len() + rest.len() && whole.ends_with(&rest) && whole.starts_with(&reader.counted)
        });
        reader.take(begin as i64, log[begin]);
        same
    })
}
