//! One schedule: steps drawn by chance until it is quiet; after each, the promises are checked.

use super::{
    Violation,
    book::Book,
    chance::Chance,
    clients::{Clients, Delivery},
    faults::Faults,
    history::History,
    node::Node,
    promises::{judge_answer, judge_end, judge_group, kind},
    topic::{NodeId, Topic, told},
    views::Views,
    violation,
    weakness::Weakness,
};
use crate::{Barrier, CommandError, PartitionId};
use std::collections::BTreeMap;
use tokio::sync::oneshot::error::TryRecvError;

/// Within this many steps without a fault every order is answered and every view has caught up.
const CALM: u64 = 10_000;

/// The most nodes at once.
pub const MOST_NODES: usize = 3;

/// The figures of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub steps: u64,
    pub calm: u64,
    pub records: u64,
    pub counted: u64,
    pub answers: BTreeMap<&'static str, u64>,
}

/// The whole state of a schedule.
pub struct World {
    pub source: PartitionId,
    pub topic: Topic,
    pub book: Book,
    pub nodes: Vec<Node>,
    pub born: NodeId,
    pub clients: Clients,
    pub views: Views,
    pub faults: Faults,
    pub weakness: Weakness,
    pub chance: Chance,
    pub step: u64,
    pub orders_left: usize,
    answers: BTreeMap<&'static str, u64>,
    /// The node that died last: its records land slowly.
    pub slow: NodeId,
    /// The node that clients believe the owner, right or wrong.
    pub routed: usize,
    pub history: History,
}

/// Every other schedule is on a partition with copies, but none without the barrier: that weakness fakes the log's end, for which such a
/// partition's writer never asks.
fn barrier_of(seed: u64, weakness: Weakness) -> Barrier {
    if seed % 2 == 1 && weakness != Weakness::NoBarrier { Barrier::Append } else { Barrier::End }
}

impl World {
    pub fn new(seed: u64, weakness: Weakness, history: History) -> Self {
        let mut chance = Chance::seeded(seed);
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let faults = Faults::drawn(&mut chance);
        let views = Views::new(source.clone(), weakness, &mut chance);
        let orders_left = 10 + chance.below(40);
        Self {
            source,
            topic: Topic::new(weakness, barrier_of(seed, weakness)),
            book: Book::default(),
            nodes: Vec::new(),
            born: 0,
            clients: Clients::default(),
            views,
            faults,
            weakness,
            chance,
            step: 0,
            orders_left,
            answers: BTreeMap::new(),
            slow: 0,
            routed: 0,
            history,
        }
    }

    /// Runs the schedule: faults while there are orders, then calm, then a check of the whole log.
    pub fn run(&mut self) -> Result<Figures, Violation> {
        let faults = self.faults;
        self.history.note(0, || format!("{faults:?}"));
        (0..1 + self.chance.below(MOST_NODES)).for_each(|_| self.boot());
        while self.orders_left > 0 {
            self.turn()?;
        }
        self.heal();
        let begun = self.step;
        while !self.is_quiet() {
            self.turn()?;
            if self.step > begun + CALM {
                return violation(format!("not quiet after {CALM} steps without a fault: {}", self.unfinished()));
            }
        }
        judge_end(&self.book, &self.clients)?;
        Ok(self.figures(begun))
    }

    fn figures(&self, begun: u64) -> Figures {
        let counted = self.book.groups().count() as u64;
        Figures { steps: self.step, calm: self.step - begun, records: self.topic.end() as u64, counted, answers: self.answers.clone() }
    }

    /// Ends the faults, and gives some nodes one more command, which they cannot refuse.
    fn heal(&mut self) {
        self.faults = Faults::none();
        self.history.note(self.step, || "calm".to_owned());
        self.nodes.iter_mut().for_each(|node| node.paused_until = 0);
        if self.nodes.is_empty() {
            self.boot();
        }
        let probed = self.chance.below(self.nodes.len() + 1);
        for index in 0..probed {
            let probe = self.clients.push_probe();
            self.deliver(probe, index);
        }
    }

    fn is_quiet(&self) -> bool {
        self.clients.open.is_empty() && self.topic.wire.is_empty() && self.views.caught_up(self.topic.end())
    }

    fn unfinished(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(Node::told).collect();
        let open: Vec<_> = self.clients.open.iter().map(|delivery| (delivery.order, delivery.node)).collect();
        let (wire, views) = (self.topic.wire.len(), self.views.told());
        format!("nodes {nodes:?}, open {open:?}, {wire} records on the wire, the log ends at {}, {views}", self.topic.end())
    }

    /// One step, and its consequences.
    fn turn(&mut self) -> Result<(), Violation> {
        self.step += 1;
        let step = self.draw();
        self.take(step)?;
        self.enter_in_the_book()?;
        self.hear_answers()
    }

    fn enter_in_the_book(&mut self) -> Result<(), Violation> {
        while self.book.length < self.topic.end() {
            let raw = &self.topic.records()[self.book.length as usize];
            let group = self.book.take(&self.source.service, raw.clone())?;
            self.history.note(self.step, || format!("log: {}{}", told(raw), if group.is_some() { ", counts" } else { "" }));
            group.map_or(Ok(()), |group| judge_group(&self.book, &self.clients, &group))?;
        }
        Ok(())
    }

    /// Takes the answers that have come, and judges them.
    fn hear_answers(&mut self) -> Result<(), Violation> {
        let mut index = 0;
        while index < self.clients.open.len() {
            match self.clients.open[index].reply.try_recv() {
                Err(TryRecvError::Empty) => index += 1,
                heard => {
                    let delivery = self.clients.open.remove(index);
                    self.hear(&delivery, heard.ok())?;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, delivery: &Delivery, answer: Option<crate::writer::Answer>) -> Result<(), Violation> {
        let (order, heard) = &mut self.clients.orders[delivery.order];
        self.history.note(self.step, || format!("node {}: answers command {:x}: {answer:?}", delivery.node, order.id.as_u128()));
        let Some(answer) = answer else {
            heard.unknown = true;
            return Ok(());
        };
        *self.answers.entry(kind(&answer)).or_default() += 1;
        heard.accepted |= answer.is_ok();
        heard.unknown |= matches!(answer, Err(CommandError::Unavailable(_)));
        let order = order.clone();
        judge_answer(&self.book, &self.clients, &order, delivery.asked, &answer)
    }
}
