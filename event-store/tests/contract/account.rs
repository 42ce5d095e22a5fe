//! A small aggregate of our own, so that the suite tests the engine and nothing of the shop.

use domain::{Aggregate, Refusal};
use schemas::{DecodeError, EncodeError, Schemas, WireEvent};
use serde::{Deserialize, Serialize};

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
    /// Makes the balance what it should be; there may be nothing to do.
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
}

impl WireEvent for Moved {
    const SERVICE: &'static str = "accounts";

    fn type_name(&self) -> &'static str {
        "test.Moved"
    }

    fn encode(&self, _: &Schemas) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(self).map_err(|error| EncodeError { type_name: "test.Moved", reason: error.to_string() })
    }

    fn decode(bytes: &[u8], _: &Schemas) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| DecodeError::Body { type_name: "test.Moved".into(), reason: error.to_string() })
    }
}
