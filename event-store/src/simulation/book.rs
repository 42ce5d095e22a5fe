//! The records of the log that count, worked out from its beginning by the words of the rule and sharing no code with
//! [`RunRule`](crate::run::RunRule); and the accounts as they were at every length of the log.

use super::{SCHEMAS, Violation, account::Moved, violation};
use crate::{
    Checkpoint, RawRecord,
    envelope::{Entry, EventEntry},
    run::Place,
};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// An account as its events make it; their order shows in the digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub version: u64,
    pub balance: i64,
    pub digest: i64,
}

impl Row {
    pub fn moved(self, amount: i64, version: u64) -> Self {
        Self { version, balance: self.balance + amount, digest: self.digest.wrapping_mul(31).wrapping_add(amount) }
    }
}

/// The events of one command, as they count.
#[derive(Clone, Debug)]
pub struct Group {
    pub command: Uuid,
    pub fingerprint: u64,
    pub account: Uuid,
    pub first: i64,
    pub last: i64,
    pub version: u64,
    pub amounts: Vec<i64>,
}

/// The fold of the counted log.
#[derive(Default)]
pub struct Book {
    /// The log's length.
    pub length: i64,
    /// The claim of the run, and the offset of its next record.
    run: Option<(i64, i64)>,
    open: Vec<EventEntry>,
    groups: BTreeMap<Uuid, Group>,
    /// The rows of each account, with the length of the log from which on each is right.
    rows: BTreeMap<Uuid, Vec<(i64, Row)>>,
    /// The claims of the runs, in the same way.
    runs: Vec<(i64, Option<i64>)>,
}

impl Book {
    /// Takes the next record; returns the group that counts now, if one does.
    pub fn take(&mut self, service: &Arc<str>, raw: RawRecord) -> Result<Option<Group>, Violation> {
        let offset = raw.offset;
        self.length = offset + 1;
        let counts = match Entry::read(service, 0, &raw) {
            Entry::Claim { .. } => {
                self.open.clear();
                self.run = Some((offset, offset + 1));
                None
            }
            Entry::Event(event) if self.fits(event.place, offset) => self.hold(*event),
            Entry::Proof(place) if self.fits(place, offset) => {
                self.run = self.run.map(|(claim, next)| (claim, next + 1));
                None
            }
            Entry::Event(_) | Entry::Proof(_) | Entry::Foreign(_) => {
                self.open.clear();
                self.run = None;
                None
            }
        };
        let claim = self.run.map(|(claim, _)| claim);
        if self.runs.last().is_none_or(|(_, last)| *last != claim) {
            self.runs.push((self.length, claim));
        }
        counts.map(|group| self.count(&group)).transpose()
    }

    fn fits(&self, place: Place, offset: i64) -> bool {
        let next_of_group = place.index as usize == self.open.len() + 1 && place.index <= place.of;
        place.at == offset && self.run == Some((place.run, offset)) && next_of_group
    }

    fn hold(&mut self, event: EventEntry) -> Option<Vec<EventEntry>> {
        let whole = event.place.index == event.place.of;
        self.run = self.run.map(|(claim, next)| (claim, next + 1));
        self.open.push(event);
        whole.then(|| std::mem::take(&mut self.open))
    }

    fn count(&mut self, whole: &[EventEntry]) -> Result<Group, Violation> {
        let group = one_command(whole)?;
        let row = &mut self.row(&group.account, self.length);
        for (event, amount) in whole.iter().zip(&group.amounts) {
            let due = row.version + 1;
            if event.record.version != due {
                return violation(format!("{} has version {}, {due} was due", event.record.position, event.record.version));
            }
            *row = row.moved(*amount, due);
        }
        self.rows.entry(group.account).or_default().push((self.length, *row));
        if let Some(before) = self.groups.insert(group.command, group.clone()) {
            return violation(format!("command {:x} counts at {} and again at {}", group.command.as_u128(), before.last, group.last));
        }
        Ok(group)
    }

    /// The row of an account when the log had this length.
    pub fn row(&self, account: &Uuid, length: i64) -> Row {
        self.rows.get(account).and_then(|rows| at(rows, length)).copied().unwrap_or_default()
    }

    /// The rows of all accounts when the log had this length.
    pub fn rows(&self, length: i64) -> BTreeMap<Uuid, Row> {
        self.rows.iter().filter_map(|(account, rows)| at(rows, length).map(|row| (*account, *row))).collect()
    }

    /// The group of a command, if it counted when the log had this length.
    pub fn group(&self, command: &Uuid, length: i64) -> Option<&Group> {
        self.groups.get(command).filter(|group| group.last < length)
    }

    /// All groups that count.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The checkpoint of a reader that stands before `next`.
    pub fn checkpoint(&self, next: i64) -> Checkpoint {
        Checkpoint::new(next, at(&self.runs, next).copied().flatten())
    }
}

/// The entry that was right when the log had this length.
fn at<T>(moments: &[(i64, T)], length: i64) -> Option<&T> {
    let after = moments.partition_point(|(from, _)| *from <= length);
    moments[..after].last().map(|(_, what)| what)
}

/// The amount of an event.
pub fn amount(payload: &[u8]) -> Result<i64, Violation> {
    let decoded = SCHEMAS.decode::<Moved>(payload);
    decoded.map(|moved| moved.0).map_err(|error| Violation(format!("a record counts that is none of ours: {error}")))
}

fn one_command(whole: &[EventEntry]) -> Result<Group, Violation> {
    let (first, last) = (&whole[0], &whole[whole.len() - 1]);
    let group = Group {
        command: first.command_id,
        fingerprint: first.fingerprint,
        account: first.record.aggregate_id,
        first: first.record.position.offset,
        last: last.record.position.offset,
        version: last.record.version,
        amounts: whole.iter().map(|event| amount(&event.record.event)).collect::<Result<_, _>>()?,
    };
    let same = |event: &EventEntry| {
        (event.command_id, event.fingerprint, event.record.aggregate_id) == (group.command, group.fingerprint, group.account)
    };
    if whole.iter().all(same) { Ok(group) } else { violation(format!("the group at {} is of several commands", group.last)) }
}
