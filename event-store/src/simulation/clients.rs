//! The clients: they give each command an id, ask again under the same id, and now and then use an id for another command.

use super::{
    account::{Account, AccountCommand},
    book::Book,
    chance::Chance,
    topic::NodeId,
};
use crate::{
    Cause, CommandMeta,
    writer::{Answer, Pending},
};
use event_sourcing::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A command with its id. It is the same however often it is delivered.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: Uuid,
    pub account: Uuid,
    pub command: AccountCommand,
    pub expected: Option<u64>,
    pub fingerprint: u64,
}

/// An order that was given to a node.
pub struct Delivery {
    pub order: usize,
    pub node: NodeId,
    /// The log's length at that moment.
    pub asked: i64,
    pub reply: oneshot::Receiver<Answer>,
}

/// The node's half of a delivery.
pub type Received = Pending<Account>;

/// The outcome of an order, as far as the clients heard it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Accepted at least once.
    pub accepted: bool,
    /// Given to a node that died before it answered, or that answered `Unavailable`.
    pub unknown: bool,
}

/// All orders, and the deliveries without an answer.
#[derive(Default)]
pub struct Clients {
    pub orders: Vec<(Order, Heard)>,
    pub open: Vec<Delivery>,
}

const ACCOUNTS: i64 = 3;

impl Clients {
    /// The next delivery: mostly of a new order, else of one that was given before.
    pub fn give(&mut self, node: NodeId, book: &Book, chance: &mut Chance) -> Received {
        let order = match chance.below(10) {
            0..2 => match self.unsettled(chance) {
                Some(order) => order,
                None => self.add(book, chance),
            },
            2 if !self.orders.is_empty() => chance.below(self.orders.len()),
            3 if !self.orders.is_empty() => self.misuse(chance),
            _new => self.add(book, chance),
        };
        self.deliver(order, node, book.length)
    }

    /// Gives an order to a node.
    pub fn deliver(&mut self, order: usize, node: NodeId, asked: i64) -> Received {
        let (reply, answer) = oneshot::channel();
        self.open.push(Delivery { order, node, asked, reply: answer });
        let Order { id, account, command, expected, fingerprint } = self.orders[order].0.clone();
        let cause = Cause { actor: "client".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let meta = CommandMeta { command_id: id, time: Timestamp(1_700_000_000_000), expected_version: expected, only_of: None, cause };
        Pending { id: account, command: Some(command), meta, fingerprint, rejected: None, reply }
    }

    /// The log has lost records: whatever is answered to those who wait may rest on what is lost.
    pub fn give_up_waiting(&mut self) {
        self.open.drain(..).for_each(|delivery| self.orders[delivery.order].1.unknown = true);
    }

    /// An order whose outcome no client knows.
    fn unsettled(&self, chance: &mut Chance) -> Option<usize> {
        let unsettled = |index: &usize| self.orders[*index].1.unknown && !self.orders[*index].1.accepted;
        chance.pick(&(0..self.orders.len()).filter(unsettled).collect::<Vec<_>>()).copied()
    }

    /// Another command under an id that was used.
    fn misuse(&mut self, chance: &mut Chance) -> usize {
        let used = self.orders[chance.below(self.orders.len())].0.id;
        let other = AccountCommand::Deposit(1_000 + self.orders.len() as i64);
        self.push(used, account(chance), other, None)
    }

    fn add(&mut self, book: &Book, chance: &mut Chance) -> usize {
        let account = account(chance);
        let version = book.row(&account, book.length).version;
        let expected = match chance.below(6) {
            0 | 1 => Some(version),
            2 => Some(chance.between(0, version as i64 + 1) as u64),
            _any => None,
        };
        let command = command(chance);
        self.push(self.new_id(), account, command, expected)
    }

    /// An order that must be accepted.
    pub fn push_probe(&mut self) -> usize {
        self.push(self.new_id(), Uuid::from_u128(0xa1), AccountCommand::Deposit(1), None)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(0x1000 + self.orders.len() as u128)
    }

    fn push(&mut self, id: Uuid, account: Uuid, command: AccountCommand, expected: Option<u64>) -> usize {
        let meant = format!("{account} {command:?}");
        let fingerprint = meant.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        self.orders.push((Order { id, account, command, expected, fingerprint }, Heard::default()));
        self.orders.len() - 1
    }
}

fn account(chance: &mut Chance) -> Uuid {
    Uuid::from_u128(0xa0 + chance.between(1, ACCOUNTS) as u128)
}

/// Small amounts, so that a withdrawal often finds too little, and a settlement often nothing to do.
fn command(chance: &mut Chance) -> AccountCommand {
    match chance.below(10) {
        0..2 => AccountCommand::Deposit(chance.between(1, 5)),
        2..5 => AccountCommand::Withdraw(chance.between(1, 8)),
        5..8 => AccountCommand::DepositAll((0..chance.between(2, 4)).map(|_| chance.between(1, 3)).collect()),
        _settle => AccountCommand::Settle(chance.between(0, 3)),
    }
}
