//! The steps that may come next, and their execution.

use super::{
    SCHEMAS, Violation,
    book::Book,
    clients::Received,
    faults::Faults,
    history::History,
    node::{Deed, Node, Scene},
    topic::NodeId,
    weakness::Weakness,
    world::{MOST_NODES, World},
};
use crate::Barrier;

/// A step that may come next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Nothing: time passes.
    Wait,
    /// A record arrives at the log.
    Land,
    /// The node at this place gets on with something.
    Do(usize, Deed),
    /// A client asks.
    Give,
    /// A projector reads or hands on.
    Project,
    /// Something breaks, or a node begins.
    Strike,
}

impl World {
    /// Draws one of the steps that are possible now, by weight.
    pub fn draw(&mut self) -> Step {
        let may = self.may_happen();
        let all: usize = may.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.chance.below(all);
        for (weight, step) in may {
            if drawn < weight {
                return step;
            }
            drawn -= weight;
        }
        Step::Wait
    }

    fn may_happen(&mut self) -> Vec<(usize, Step)> {
        let mut may = vec![(1, Step::Wait)];
        may.extend(self.topic.wire.iter().any(|sent| self.moves(sent.by)).then_some((12, Step::Land)));
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.moves(self.step)) {
            may.extend(node.deeds(&self.topic, &self.faults, self.step).map(|(weight, deed)| (weight, Step::Do(index, deed))));
        }
        may.extend((!self.views.caught_up(self.topic.end())).then_some((4, Step::Project)));
        if self.orders_left > 0 {
            may.push((2, Step::Strike));
            may.extend((!self.nodes.is_empty()).then_some((4, Step::Give)));
        }
        may
    }

    pub fn take(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Wait => {}
            Step::Land => self.land(),
            Step::Do(index, deed) => self.get_on(index, deed),
            Step::Give => self.give(),
            Step::Project => self.views.step(&self.topic, &self.book, &mut self.chance, &self.faults)?,
            Step::Strike => self.strike(),
        }
        Ok(())
    }

    /// Whether the records of a node move: not those in the queue of one that stands still.
    fn moves(&self, by: NodeId) -> bool {
        self.nodes.iter().all(|node| node.id != by || node.moves(self.step))
    }

    /// Records of the node that died last are slow, so that they land when others have gone on.
    fn land(&mut self) {
        let Self { topic, chance, faults, nodes, history, step, slow, .. } = self;
        let still = |by: NodeId| nodes.iter().any(|node| node.id == by && !node.moves(*step));
        let hurried = chance.strikes(100);
        topic.land(chance, faults, |by| !still(by) && (hurried || by != *slow), history, *step);
    }

    /// The nodes, and where they act.
    fn scene(&mut self) -> (&mut Vec<Node>, Scene<'_>, &mut History) {
        let Self { topic, chance, faults, nodes, weakness, step, history, .. } = self;
        (nodes, Scene { topic, chance, faults, weakness: *weakness, step: *step }, history)
    }

    fn get_on(&mut self, index: usize, deed: Deed) {
        let (nodes, mut scene, history) = self.scene();
        let node = &mut nodes[index];
        let before = node.phase();
        node.get_on(deed, &mut scene);
        if before != node.phase() {
            history.note(scene.step, || format!("node {}: {deed:?}, now {:?}", node.id, node.phase()));
        }
    }

    /// Clients turn to a node, mostly to the one that they believe the owner.
    fn give(&mut self) {
        if self.chance.strikes(30) {
            self.routed = self.chance.below(MOST_NODES);
        }
        let routed = if self.chance.strikes(250) { self.chance.below(MOST_NODES) } else { self.routed };
        let index = routed % self.nodes.len();
        for _ in 0..self.orders_left.min(1 + self.chance.below(4)) {
            self.orders_left -= 1;
            let received = self.clients.give(self.nodes[index].id, &self.book, &mut self.chance);
            self.hand_in(received, index);
        }
    }

    /// Gives an order to the node at this place.
    pub fn deliver(&mut self, order: usize, index: usize) {
        let received = self.clients.deliver(order, self.nodes[index].id, self.book.length);
        self.hand_in(received, index);
    }

    fn hand_in(&mut self, received: Received, index: usize) {
        let (nodes, mut scene, history) = self.scene();
        let node = &mut nodes[index];
        history.note(scene.step, || {
            let meta = &received.meta;
            let (id, account, expected) = (meta.command_id.as_u128(), received.id.as_u128(), meta.expected_version);
            format!("client: command {id:x} {:?} of account {account:x}, version {expected:?}, to node {}", received.command, node.id)
        });
        node.receive(received, &mut scene);
    }

    fn strike(&mut self) {
        let Faults { crash, pause, stranger, lost_tail, .. } = self.faults;
        match self.nodes.len() {
            0 => self.boot(),
            nodes if nodes < MOST_NODES && self.chance.strikes(crash) => self.boot(),
            nodes if self.chance.strikes(crash) => self.crash(nodes),
            nodes if self.chance.strikes(pause) => self.pause(nodes),
            _standing if self.may_lose_its_tail() && self.chance.strikes(lost_tail) => self.lose_the_tail(),
            _standing if self.chance.strikes(stranger) => self.topic.intrude(),
            _calm => {}
        }
    }

    /// A node begins, and believes itself the owner.
    pub fn boot(&mut self) {
        self.born += 1;
        let (id, source) = (self.born, self.source.clone());
        let (nodes, mut scene, history) = self.scene();
        history.note(scene.step, || format!("node {id}: begins"));
        nodes.push(Node::boot(id, source, SCHEMAS.clone(), &mut scene));
    }

    fn crash(&mut self, nodes: usize) {
        let dead = self.nodes.remove(self.chance.below(nodes)).id;
        self.topic.bury(dead, &mut self.chance);
        self.slow = dead;
        self.history.note(self.step, || format!("node {dead}: dies, {} of its records are on their way", self.topic.waiting(dead)));
    }

    /// Where the log's end is the barrier, an owner that sleeps while others bring the log to just the length that it had is not told apart:
    /// such a partition has one copy, and a broker that comes back from the loss.
    fn may_lose_its_tail(&self) -> bool {
        let readers_see_all = matches!(self.weakness, Weakness::None | Weakness::NoAnchor);
        self.topic.barrier == Barrier::Append && readers_see_all && self.topic.end() > 0
    }

    fn lose_the_tail(&mut self) {
        let end = self.topic.end();
        let from = end - self.chance.between(1, end.min(12));
        self.topic.lose(from);
        self.topic.fence(self.nodes.iter().map(|node| node.id));
        self.nodes.iter_mut().for_each(|node| node.lose(from));
        self.clients.give_up_waiting();
        self.book = Book::default();
        self.history.note(self.step, || format!("the log loses its records from {from} to {end}"));
    }

    fn pause(&mut self, nodes: usize) {
        let index = self.chance.below(nodes);
        let until = self.step + self.chance.between(10, 150) as u64;
        self.nodes[index].paused_until = until;
        self.history.note(self.step, || format!("node {}: stands still until step {until}", self.nodes[index].id));
    }
}
