//! A small aggregate of our own, so that the suite tests the engine and nothing of the shop.

use codec::{RecordSchema, RecordSet, Schemas};
use event_sourcing::{Aggregate, Command, Event, Intent, RecordReader, RecordWriter, Refusal};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use uuid::Uuid;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub balance: i64,
    pub entries: Vec<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AccountCommand {
    Deposit(i64),
    Withdraw(i64),
    /// One event for each amount: they count together or not at all.
    DepositAll(Vec<i64>),
    /// Moves the balance to this amount; makes no event where it is so already.
    Settle(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved(pub i64);

#[derive(Debug, thiserror::Error)]
#[error("the balance is {balance}, {wanted} is wanted")]
pub struct Short {
    balance: i64,
    wanted: i64,
}

impl Refusal for Short {
    fn code(&self) -> &'static str {
        "short"
    }
}

impl Aggregate for Account {
    const NAME: &'static str = "account";
    const FOLD: u64 = 1;
    type Command = AccountCommand;
    type Event = Moved;
    type Error = Short;

    fn handle(&self, command: AccountCommand) -> Result<Vec<Moved>, Short> {
        match command {
            AccountCommand::Deposit(amount) => Ok(vec![Moved(amount)]),
            AccountCommand::Withdraw(wanted) if wanted > self.balance => Err(Short { balance: self.balance, wanted }),
            AccountCommand::Withdraw(wanted) => Ok(vec![Moved(-wanted)]),
            AccountCommand::DepositAll(amounts) => Ok(amounts.into_iter().map(Moved).collect()),
            AccountCommand::Settle(target) if target == self.balance => Ok(vec![]),
            AccountCommand::Settle(target) => Ok(vec![Moved(target - self.balance)]),
        }
    }

    fn apply(&mut self, event: &Moved) {
        self.balance += event.0;
        self.entries.push(event.0);
    }

    /// Each belongs to itself.
    fn belongs_to(&self, id: Uuid) -> Option<Uuid> {
        Some(id)
    }
}

impl Command for AccountCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Deposit(amount) => Intent::of("deposit").with("amount", amount),
            Self::Withdraw(amount) => Intent::of("withdraw").with("amount", amount),
            Self::DepositAll(amounts) => Intent::of("deposit-all").with("amounts", amounts),
            Self::Settle(balance) => Intent::of("settle").with("balance", balance),
        }
    }
}

/// The record of a [`Moved`]. A record and its struct share their name.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Moved")]
struct Fields {
    amount: i64,
}

impl Event for Moved {
    const SERVICE: &'static str = "accounts";
    const TYPES: &'static [&'static str] = &["test.Moved"];

    fn type_name(&self) -> &'static str {
        "test.Moved"
    }

    fn write<W: RecordWriter>(&self, writer: W) -> Result<W::Written, W::Error> {
        writer.record("test.Moved", &Fields { amount: self.0 })
    }

    fn read<R: RecordReader>(type_name: &str, reader: R) -> Result<Self, R::Error> {
        if type_name == "test.Moved" { reader.record().map(|Fields { amount }| Self(amount)) } else { Err(reader.foreign()) }
    }
}

static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| {
    let text = r#"{"type":"record","name":"Moved","namespace":"test","fields":[{"name":"amount","type":"long"}]}"#;
    RecordSet::parse(&[RecordSchema { id: 2, text }])
});

/// The schemas of accounts.
pub fn schemas() -> Schemas {
    Schemas::bundled(&RECORDS)
}
