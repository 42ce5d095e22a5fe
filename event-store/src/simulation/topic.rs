//! The faulty log: one partition, the records on their way to it, and the acknowledgements on their way back.

use super::{
    chance::Chance,
    faults::Faults,
    history::History,
    weakness::{Blindness, Lens, Weakness},
};
use crate::{
    Append, Barrier, RawRecord,
    log::{Ack, AppendError, Rejection, Tag},
};
use std::collections::HashSet;

/// A life of a node: a node that comes back after a crash is another.
pub type NodeId = u32;

/// A record on its way to the log, and its sender's tag, if the sender is to hear of it at all.
pub struct Sent {
    pub by: NodeId,
    pub record: Append,
    pub tag: Option<Tag>,
}

/// The fate of a record that arrives.
#[derive(Debug)]
enum Fate {
    Lost,
    AckLost,
    Late,
    Doubled,
    Rejected,
    Lands,
}

/// One partition.
pub struct Topic {
    records: Vec<RawRecord>,
    /// The records as views see them, where only views are weakened.
    shown: Option<(Lens, Vec<RawRecord>)>,
    lens: Option<Lens>,
    pub wire: Vec<Sent>,
    pub acks: Vec<(NodeId, Ack)>,
    /// The nodes whose producers the log does not know any more: it takes nothing of them but a claim, which comes from a new producer.
    fenced: HashSet<NodeId>,
    /// The barrier that its writers must use, as if it had one copy or several.
    pub barrier: Barrier,
}

impl Topic {
    pub fn new(weakness: Weakness, barrier: Barrier) -> Self {
        let of_views = |blindness: Blindness| (Lens::new(blindness), Vec::new());
        let (lens, shown) = match weakness {
            Weakness::OfAll(blindness) => (Some(Lens::new(blindness)), None),
            Weakness::OfViews(blindness) => (None, Some(of_views(blindness))),
            Weakness::None | Weakness::NoBarrier | Weakness::AnyOffset | Weakness::Forgetful | Weakness::NoGuard | Weakness::NoAnchor => {
                (None, None)
            }
        };
        Self { records: Vec::new(), shown, lens, wire: Vec::new(), acks: Vec::new(), fenced: HashSet::new(), barrier }
    }

    pub fn end(&self) -> i64 {
        self.records.len() as i64
    }

    /// The records, as writers read them.
    pub fn records(&self) -> &[RawRecord] {
        &self.records
    }

    /// The records, as views read them.
    pub fn shown(&self) -> &[RawRecord] {
        self.shown.as_ref().map_or(&self.records, |(_, records)| records)
    }

    /// How many records of a node are on their way.
    pub fn waiting(&self, by: NodeId) -> usize {
        self.wire.iter().filter(|sent| sent.by == by).count()
    }

    /// Appends a record that no writer made.
    pub fn intrude(&mut self) {
        self.append(Append { key: "stranger".to_owned(), payload: b"hello".to_vec(), headers: crate::Headers::default() });
    }

    /// Loses its last records from this offset on, and what is on the way to it. Like Kafka's brokers it then refuses the records of a
    /// producer whose last ones it has lost: their numbers do not follow on those that it knows.
    pub fn lose(&mut self, from: i64) {
        self.records.truncate(from as usize);
        for Sent { by, tag, .. } in self.wire.drain(..) {
            self.acks.extend(tag.map(|tag| (by, Ack { tag, offset: Err(AppendError::Unknown("the broker went away".to_owned())) })));
        }
    }

    /// Refuses the records of these nodes until they claim.
    pub fn fence(&mut self, nodes: impl Iterator<Item = NodeId>) {
        self.fenced.extend(nodes);
    }

    fn takes(&mut self, sent: &Sent) -> bool {
        let is_claim = sent.tag.is_some_and(|tag| tag.at < 0);
        if is_claim {
            self.fenced.remove(&sent.by);
        }
        !self.fenced.contains(&sent.by)
    }

    fn append(&mut self, record: Append) -> i64 {
        let offset = self.end();
        let raw = record.at(offset);
        if let Some((lens, shown)) = &mut self.shown {
            shown.push(lens.show(raw.clone()));
        }
        self.records.push(match &mut self.lens {
            Some(lens) => lens.show(raw),
            None => raw,
        });
        offset
    }

    /// One record arrives, if there is any of a node whose records move.
    pub fn land(&mut self, chance: &mut Chance, faults: &Faults, moves: impl Fn(NodeId) -> bool, history: &mut History, step: u64) {
        let Some(index) = self.next_to_land(chance, faults, moves) else { return };
        let sent = self.wire.remove(index);
        let fate = if self.takes(&sent) { fate(chance, faults) } else { Fate::Lost };
        let (by, at) = (sent.by, sent.tag.map(|tag| tag.at));
        history.note(step, || format!("node {by}: a record meant for {at:?}: {fate:?}"));
        let doubt = Err(AppendError::Unknown("timed out".to_owned()));
        let outcome = match fate {
            Fate::Lost => doubt,
            Fate::AckLost => {
                self.append(sent.record);
                doubt
            }
            Fate::Late => {
                self.wire.insert(index, Sent { by, record: sent.record, tag: None });
                doubt
            }
            Fate::Rejected => Err(AppendError::Never(Rejection::TooLarge)),
            Fate::Doubled => Ok(self.land_twice(chance, by, sent.record)),
            Fate::Lands => Ok(self.append(sent.record)),
        };
        self.acks.extend(sent.tag.map(|tag| (by, Ack { tag, offset: outcome })));
    }

    fn next_to_land(&self, chance: &mut Chance, faults: &Faults, moves: impl Fn(NodeId) -> bool) -> Option<usize> {
        let moving: Vec<usize> = (0..self.wire.len()).filter(|index| moves(self.wire[*index].by)).collect();
        let chosen = *chance.pick(&moving)?;
        let by = self.wire[chosen].by;
        let first = moving.into_iter().find(|index| self.wire[*index].by == by);
        if chance.strikes(faults.overtaking) { Some(chosen) } else { first }
    }

    /// Both copies land, now or later, and the sender hears of one of them.
    fn land_twice(&mut self, chance: &mut Chance, by: NodeId, record: Append) -> i64 {
        let first = self.append(record.clone());
        if chance.strikes(500) {
            self.wire.push(Sent { by, record, tag: None });
            return first;
        }
        let second = self.append(record);
        if chance.strikes(500) { second } else { first }
    }

    /// The next acknowledgement of a node; now and then a later one.
    pub fn next_ack(&mut self, of: NodeId, chance: &mut Chance, faults: &Faults) -> Option<Ack> {
        let mine: Vec<usize> = (0..self.acks.len()).filter(|index| self.acks[*index].0 == of).collect();
        let index = if chance.strikes(faults.overtaking_ack) { chance.pick(&mine) } else { mine.first() };
        index.map(|index| self.acks.remove(*index).1)
    }

    /// Loses the records of a dead node from some place in its queue on; the others may still land, without an acknowledgement.
    pub fn bury(&mut self, dead: NodeId, chance: &mut Chance) {
        let mut left = chance.below(self.waiting(dead) + 1);
        self.wire.retain(|sent| {
            let kept = sent.by != dead || left > 0;
            left -= usize::from(sent.by == dead && kept);
            kept
        });
        self.wire.iter_mut().filter(|sent| sent.by == dead).for_each(|sent| sent.tag = None);
        self.acks.retain(|(of, _)| *of != dead);
    }
}

fn fate(chance: &mut Chance, faults: &Faults) -> Fate {
    if chance.strikes(faults.lost_record) {
        Fate::Lost
    } else if chance.strikes(faults.lost_ack) {
        Fate::AckLost
    } else if chance.strikes(faults.late_record) {
        Fate::Late
    } else if chance.strikes(faults.doubled) {
        Fate::Doubled
    } else if chance.strikes(faults.rejected) {
        Fate::Rejected
    } else {
        Fate::Lands
    }
}

/// A record in a line.
pub fn told(raw: &RawRecord) -> String {
    let text = |name: &str| raw.headers.get(name).map_or_else(|| "-".into(), |value| String::from_utf8_lossy(value).into_owned());
    let RawRecord { offset, payload, .. } = raw;
    match text("group").as_str() {
        "-" => format!("[{offset}] {} {}", text("ce_type"), text("ce_id")),
        group => {
            let id = |text: &str| text.trim_start_matches(['0', '-']).to_owned();
            let (run, at, version) = (text("run"), text("at"), text("version"));
            let payload = String::from_utf8_lossy(payload);
            format!(
                "[{offset}] run {run} at {at} group {group} account {} v{version} command {} moves {payload}",
                id(&text("ce_subject")),
                id(&text("ce_id"))
            )
        }
    }
}
