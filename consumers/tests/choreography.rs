//! The reactors over batches: order within an aggregate, aggregates side by side, the same ids at every delivery.

use consumers::{
    Checkpoints, Commands, DeadLetters, Effects, ReactorParts, Reactors,
    gateway::{Gateway, GatewayError},
    mail::{Contacts, Post},
};
use domain::{
    Aggregate, Email, Money, OrderId, PaymentId, ProductId, Quantity, Timestamp, UserId,
    order::{OrderCancelled, OrderEvent, OrderLine, OrderPlaced},
};
use event_store::{
    Accepted, Batch, BatchError, BatchHandler, Cause, Checkpoint, CommandError, CommandMeta, Context, Counted, Execute, PartitionId,
    Position, Recorded, Unavailable,
};
use schemas::{Schemas, WireEvent};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;

/// Takes commands, remembers them, and is "not now" for some at first.
#[derive(Default)]
struct Taken {
    commands: Mutex<Vec<(Uuid, String, CommandMeta)>>,
    not_now: Mutex<HashMap<Uuid, u32>>,
    checkpoint: Mutex<Checkpoint>,
    /// How far each step of the checkpoint went.
    steps: Mutex<Vec<(i64, i64)>>,
    letters: Mutex<Vec<Letter>>,
}

/// A record that was put aside, and why; none where it only waits behind another.
type Letter = (Counted, Option<String>);

#[async_trait::async_trait]
impl<A: Aggregate> Execute<A> for Taken
where
    A::Command: std::fmt::Debug,
{
    async fn execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Result<Accepted, CommandError> {
        if let Some(left) = self.not_now.lock().expect("not poisoned").get_mut(&id).filter(|left| **left > 0) {
            *left -= 1;
            return Err(CommandError::Unavailable(Unavailable { reason: "not now".into(), retry_after_millis: 1 }));
        }
        let what = format!("{command:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned();
        self.commands.lock().expect("not poisoned").push((id, what, meta));
        let position = Position { service: "x".into(), partition: 0, offset: 0 };
        Ok(Accepted { version: 1, position, events: 1, repeated: false })
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        unreachable!("reactors ask no questions")
    }
}

#[async_trait::async_trait]
impl Checkpoints for Taken {
    async fn checkpoint(&self, _: &str, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(*self.checkpoint.lock().expect("not poisoned"))
    }

    async fn advance(&self, _: &str, batch: &Batch) -> Result<(), BatchError> {
        let from = std::mem::replace(&mut *self.checkpoint.lock().expect("not poisoned"), batch.to);
        assert_eq!(from, batch.from, "nobody else moves it");
        self.steps.lock().expect("not poisoned").push((batch.from.next, batch.to.next));
        Ok(())
    }

    async fn advance_all(&self, reader: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, BatchError> {
        let mut moved = Vec::new();
        for batch in batches {
            self.advance(reader, batch).await?;
            moved.push(batch.source.clone());
        }
        Ok(moved)
    }
}

#[async_trait::async_trait]
impl DeadLetters for Taken {
    async fn parked(&self, _: &PartitionId) -> Result<HashSet<Uuid>, String> {
        Ok(self.letters.lock().expect("not poisoned").iter().map(|(record, _)| record.aggregate_id).collect())
    }
    async fn has(&self, aggregate: Uuid) -> Result<bool, String> {
        Ok(self.letters.lock().expect("not poisoned").iter().any(|(record, _)| record.aggregate_id == aggregate))
    }
    async fn park(&self, record: &Counted, reason: Option<&str>) -> Result<(), String> {
        self.letters.lock().expect("not poisoned").push((record.clone(), reason.map(str::to_owned)));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Gateway for Taken {
    async fn authorise(&self, _: PaymentId, _: &Money, _: &str) -> Result<Result<String, String>, GatewayError> {
        Ok(Ok("reference".into()))
    }
    async fn capture(&self, _: PaymentId) -> Result<(), GatewayError> {
        Ok(())
    }
    async fn void(&self, _: PaymentId) -> Result<(), GatewayError> {
        Ok(())
    }
    async fn refund(&self, _: PaymentId, _: &str, _: &Money) -> Result<(), GatewayError> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Contacts for Taken {
    async fn email_of(&self, _: UserId) -> Result<Option<Email>, String> {
        Ok(None)
    }
}

fn reactors(service: &'static str, taken: &Arc<Taken>, mailbox: &std::path::Path) -> Reactors {
    let commands = Commands { products: taken.clone(), orders: taken.clone(), payments: taken.clone(), notifications: taken.clone() };
    let post = Post::folder(mailbox.to_owned(), taken.clone(), "shop@example.com").expect("a folder");
    let effects = Effects { gateway: taken.clone(), post: Arc::new(post) };
    Reactors::new(ReactorParts {
        service,
        commands,
        effects,
        checkpoints: taken.clone(),
        dead_letters: taken.clone(),
        schemas: Schemas::bundled(),
        concurrency: 8,
    })
}

fn record(offset: i64, order: OrderId, event: &OrderEvent) -> Counted {
    Recorded::new(
        Context {
            position: Position { service: "orders".into(), partition: 0, offset },
            aggregate_id: order.0,
            version: 1,
            event_id: format!("{}/1", Uuid::from_u128(offset as u128)),
            type_name: event.type_name().into(),
            time: Timestamp(1),
            cause: Cause { actor: "ada".into(), correlation_id: "corr".into(), causation_id: None, traceparent: None },
        },
        event.encode(&Schemas::bundled()).expect("it fits its schema").into(),
    )
}

fn lines(product: ProductId) -> Vec<OrderLine> {
    vec![OrderLine { product_id: product, quantity: Quantity::new(1).expect("a quantity"), agreed_price: None }]
}

fn placed(product: ProductId) -> OrderEvent {
    let user_id = UserId::derive("t", "u");
    OrderEvent::Placed(OrderPlaced {
        user_id,
        lines: lines(product),
        payment_method: "card".parse().expect("a text"),
        placed_at: Timestamp(1),
        expires_at: Timestamp(2),
    })
}

fn cancelled(product: ProductId) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { user_id: UserId::derive("t", "u"), lines: lines(product), reason: "changed my mind".into() })
}

fn batch(records: Vec<Counted>) -> Batch {
    batch_from(0, records)
}

fn batch_from(next: i64, records: Vec<Counted>) -> Batch {
    let (from, to) = (Checkpoint { next, claim: None }, Checkpoint { next: next + records.len() as i64, claim: None });
    Batch { source: PartitionId { service: "orders".into(), partition: 0 }, from, to, records }
}

async fn done(taken: &Taken, next: i64) {
    let reached = async {
        while taken.checkpoint.lock().expect("not poisoned").next != next {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the checkpoint follows");
}

#[tokio::test]
async fn the_events_of_an_order_are_done_in_order_and_those_of_others_do_not_wait() {
    let (taken, mailbox) = (Arc::new(Taken::default()), tempfile::tempdir().expect("a directory"));
    let reactors = reactors("products", &taken, mailbox.path());
    let (slow, quick) = (ProductId::derive("t", "slow"), ProductId::derive("t", "quick"));
    taken.not_now.lock().expect("not poisoned").insert(slow.0, 4);
    let (one, two) = (OrderId::derive("t", "1"), OrderId::derive("t", "2"));
    let records = vec![record(0, one, &placed(slow)), record(1, one, &cancelled(slow)), record(2, two, &placed(quick))];
    let batch = batch(records);
    reactors.start(&batch.source).await.expect("a checkpoint");
    reactors.apply(&batch).await.expect("it is taken");
    done(&taken, 3).await;
    let commands: Vec<(Uuid, String)> =
        taken.commands.lock().expect("not poisoned").iter().map(|(id, what, _)| (*id, what.clone())).collect();
    let what: Vec<(Uuid, &str)> = commands.iter().map(|(id, what)| (*id, what.as_str())).collect();
    assert_eq!(what, [(quick.0, "Reserve"), (slow.0, "Reserve"), (slow.0, "Release")]);
}

#[tokio::test]
async fn a_second_delivery_asks_the_same_under_the_same_ids() {
    let (taken, mailbox) = (Arc::new(Taken::default()), tempfile::tempdir().expect("a directory"));
    let product = ProductId::derive("t", "p");
    let (one, two) = (OrderId::derive("t", "1"), OrderId::derive("t", "2"));
    let batch = batch(vec![record(0, one, &placed(product)), record(1, two, &placed(product))]);
    for _ in 0..2 {
        let reactors = reactors("products", &taken, mailbox.path());
        reactors.start(&batch.source).await.expect("a checkpoint");
        *taken.checkpoint.lock().expect("not poisoned") = Checkpoint::default();
        reactors.apply(&batch).await.expect("it is taken");
        done(&taken, 2).await;
    }
    let commands = taken.commands.lock().expect("not poisoned");
    let mut ids: Vec<Uuid> = commands.iter().map(|(_, _, meta)| meta.command_id).collect();
    assert_eq!(ids.len(), 4);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2, "two commands, each asked twice");
    let meta = &commands[0].2;
    assert_eq!((meta.cause.actor.as_str(), meta.cause.correlation_id.as_str()), ("reactor/reserve-stock", "corr"));
    assert!(meta.cause.causation_id.is_some());
}

#[tokio::test]
async fn batches_that_are_done_soon_one_after_another_move_the_checkpoint_together() {
    let (taken, mailbox) = (Arc::new(Taken::default()), tempfile::tempdir().expect("a directory"));
    let reactors = reactors("products", &taken, mailbox.path());
    let product = ProductId::derive("t", "p");
    reactors.start(&batch(Vec::new()).source).await.expect("a checkpoint");
    for offset in 0..20 {
        let order = OrderId::derive("t", &offset.to_string());
        reactors.apply(&batch_from(offset, vec![record(offset, order, &placed(product))])).await.expect("it is taken");
    }
    done(&taken, 20).await;
    let steps = taken.steps.lock().expect("not poisoned").clone();
    assert!(steps.len() < 20, "{steps:?}");
    assert_eq!(taken.commands.lock().expect("not poisoned").len(), 20);
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_parks_its_aggregate_alone() {
    let (taken, mailbox) = (Arc::new(Taken::default()), tempfile::tempdir().expect("a directory"));
    let reactors = reactors("products", &taken, mailbox.path());
    let (one, two, product) = (OrderId::derive("t", "1"), OrderId::derive("t", "2"), ProductId::derive("t", "p"));
    let broken = record(0, one, &placed(product)).with(b"nonsense".as_slice().into());
    let batch = batch(vec![broken.clone(), record(1, one, &cancelled(product)), record(2, two, &placed(product))]);
    reactors.start(&batch.source).await.expect("a checkpoint");
    reactors.apply(&batch).await.expect("it is taken");
    done(&taken, 3).await;
    let commands: Vec<String> = taken.commands.lock().expect("not poisoned").iter().map(|(_, what, _)| what.clone()).collect();
    assert_eq!(commands, ["Reserve"], "of the second order only");
    let letters: Vec<(i64, bool)> =
        taken.letters.lock().expect("not poisoned").iter().map(|(record, reason)| (record.position.offset, reason.is_some())).collect();
    assert_eq!(letters, [(0, true), (1, false)], "the broken record with its reason, and what stands behind it");
    assert!(reactors.take_up(&broken).await.is_err(), "it is as broken as before");
    let mended = record(0, one, &placed(product));
    reactors.take_up(&mended).await.expect("once it can be decoded it is taken up");
    assert_eq!(taken.commands.lock().expect("not poisoned").len(), 2);
}
