//! The state of an order's saga: a pure fold of its timeline.

use super::{
    orders::OrderStatus,
    timeline::{StoryEvent, TimelineRow},
};
use domain::{Timestamp, notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// The meaning of an event to the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The order was placed.
    Placed,
    /// All its lines are reserved and priced.
    Reserved,
    /// It is paid for.
    Confirmed,
    /// It was called off.
    Cancelled,
    /// It was not confirmed in time.
    Expired,
    /// A product has reserved a line's pieces.
    StockReserved,
    /// A line's pieces are free again.
    StockReleased,
    /// A line's pieces have left the house.
    StockShipped,
    /// The money is asked for.
    PaymentRequested,
    /// The money is held.
    PaymentAuthorised,
    /// The gateway declined.
    PaymentDeclined,
    /// The money was taken.
    PaymentCaptured,
    /// The money is held and could not be taken.
    PaymentCaptureFailed,
    /// The hold was lifted.
    PaymentVoided,
    /// Money is to be given back.
    RefundRequested,
    /// Money could not be given back.
    RefundFailed,
    /// Money was given back.
    PaymentRefunded,
    /// The event does not change the saga's state.
    Noted,
}

impl Step {
    /// The meaning of this event.
    pub fn of(event: &StoryEvent) -> Self {
        match event {
            StoryEvent::Order(event) => Self::of_order(event),
            StoryEvent::Product(event) => Self::of_product(event),
            StoryEvent::Payment(event) => Self::of_payment(event),
            StoryEvent::Notification(NotificationEvent::Requested(_) | NotificationEvent::Delivered(_) | NotificationEvent::Failed(_)) => {
                Self::Noted
            }
        }
    }

    fn of_order(event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(_) => Self::Placed,
            OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) => Self::Noted,
            OrderEvent::Reserved(_) => Self::Reserved,
            OrderEvent::Confirmed(_) => Self::Confirmed,
            OrderEvent::Cancelled(_) => Self::Cancelled,
            OrderEvent::Expired(_) => Self::Expired,
        }
    }

    fn of_product(event: &ProductEvent) -> Self {
        match event {
            ProductEvent::StockReserved(_) => Self::StockReserved,
            ProductEvent::StockReleased(_) => Self::StockReleased,
            ProductEvent::StockShipped(_) => Self::StockShipped,
            ProductEvent::Listed(_)
            | ProductEvent::PriceChanged(_)
            | ProductEvent::StockReceived(_)
            | ProductEvent::ReservationRejected(_)
            | ProductEvent::Withdrawn(_)
            | ProductEvent::SkuForgone(_) => Self::Noted,
        }
    }

    fn of_payment(event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::Requested(_) => Self::PaymentRequested,
            PaymentEvent::Authorised(_) => Self::PaymentAuthorised,
            PaymentEvent::Declined(_) => Self::PaymentDeclined,
            PaymentEvent::Captured(_) => Self::PaymentCaptured,
            PaymentEvent::CaptureFailed(_) => Self::PaymentCaptureFailed,
            PaymentEvent::Voided(_) => Self::PaymentVoided,
            PaymentEvent::RefundRequested(_) => Self::RefundRequested,
            PaymentEvent::RefundFailed(_) => Self::RefundFailed,
            PaymentEvent::RefundSettled(_) | PaymentEvent::Refunded(_) => Self::PaymentRefunded,
        }
    }
}

/// What a saga waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// The products' answers to its lines.
    Stock,
    /// The gateway's answer.
    Payment,
    /// The order's own decision, now that the payment is settled.
    Decision,
    /// The money to be taken.
    Capture,
    /// The goods to leave the house.
    Shipment,
    /// The reserved stock to be released.
    Release,
    /// The money that is held or taken to be given back.
    Void,
}

/// The state of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saga {
    /// The order's own status.
    pub status: OrderStatus,
    /// What it waits for, if for anything.
    pub waiting_for: Option<Wait>,
    /// When an open order expires.
    pub until: Option<Timestamp>,
    /// The compensations that ran, each once, in order.
    pub compensations: Vec<Step>,
}

#[derive(Default)]
struct Facts {
    status: Option<OrderStatus>,
    expires_at: Option<Timestamp>,
    all_reserved: bool,
    /// The number of lines whose pieces are reserved now.
    kept: i64,
    payment: Option<Step>,
    compensations: Vec<Step>,
}

impl Facts {
    fn take(&mut self, entry: &TimelineRow) {
        match entry.step {
            Step::Placed => {
                self.status = Some(OrderStatus::Placed);
                self.expires_at = entry.data["expires_at"].as_i64().map(Timestamp);
            }
            Step::Reserved => self.all_reserved = true,
            Step::Confirmed => self.status = Some(OrderStatus::Confirmed),
            Step::Cancelled => self.status = Some(OrderStatus::Cancelled),
            Step::Expired => self.status = Some(OrderStatus::Expired),
            Step::StockReserved => self.kept += 1,
            Step::StockShipped => self.kept -= 1,
            Step::StockReleased => {
                self.kept -= 1;
                self.compensated(Step::StockReleased);
            }
            step @ (Step::PaymentRequested
            | Step::PaymentAuthorised
            | Step::PaymentDeclined
            | Step::PaymentCaptured
            | Step::PaymentCaptureFailed
            | Step::RefundRequested
            | Step::RefundFailed) => self.payment = Some(step),
            step @ (Step::PaymentVoided | Step::PaymentRefunded) => {
                self.payment = Some(step);
                self.compensated(step);
            }
            Step::Noted => {}
        }
    }

    fn compensated(&mut self, step: Step) {
        if !self.compensations.contains(&step) {
            self.compensations.push(step);
        }
    }

    fn waiting_for(&self, status: OrderStatus) -> Option<Wait> {
        match status {
            OrderStatus::Placed if !self.all_reserved => Some(Wait::Stock),
            OrderStatus::Placed if matches!(self.payment, None | Some(Step::PaymentRequested)) => Some(Wait::Payment),
            OrderStatus::Placed => Some(Wait::Decision),
            OrderStatus::Confirmed if matches!(self.payment, Some(Step::PaymentAuthorised | Step::PaymentCaptureFailed)) => {
                Some(Wait::Capture)
            }
            OrderStatus::Confirmed => (self.kept > 0).then_some(Wait::Shipment),
            OrderStatus::Cancelled | OrderStatus::Expired if self.kept > 0 => Some(Wait::Release),
            OrderStatus::Cancelled | OrderStatus::Expired => self.is_money_held().then_some(Wait::Void),
        }
    }
}

impl Facts {
    /// True where money is held, may yet be held or was taken, and is not given back.
    fn is_money_held(&self) -> bool {
        matches!(
            self.payment,
            Some(
                Step::PaymentRequested
                    | Step::PaymentAuthorised
                    | Step::PaymentCaptured
                    | Step::PaymentCaptureFailed
                    | Step::RefundRequested
                    | Step::RefundFailed
            )
        )
    }
}

/// The state of the saga of these entries; none before the order itself was placed. The entries are in [`story`]'s order.
pub fn saga(entries: &[TimelineRow]) -> Option<Saga> {
    let mut facts = Facts::default();
    entries.iter().for_each(|entry| facts.take(entry));
    let status = facts.status?;
    let off = matches!(status, OrderStatus::Cancelled | OrderStatus::Expired);
    // A refund for an order that stands is the merchant's own decision, no compensation of the saga.
    facts.compensations.retain(|step| off || *step != Step::PaymentRefunded);
    let until = facts.expires_at.filter(|_| status == OrderStatus::Placed);
    Some(Saga { status, waiting_for: facts.waiting_for(status), until, compensations: facts.compensations })
}

/// Sorts the entries into a story: by time, but never an event before its cause nor before its predecessor in the same log, whatever the
/// nodes' clocks say.
pub fn story(entries: Vec<TimelineRow>) -> Vec<TimelineRow> {
    let mut entries: Vec<Option<TimelineRow>> = in_log_order(entries).into_iter().map(Some).collect();
    let (after, mut waits) = followers(&entries);
    let mut ready: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let time = |entries: &[Option<TimelineRow>], i: usize| entries[i].as_ref().map_or(i64::MAX, |entry| entry.time.0);
    ready.extend((0..entries.len()).filter(|i| waits[*i] == 0).map(|i| Reverse((time(&entries, i), i))));
    let mut story = Vec::with_capacity(entries.len());
    while let Some(Reverse((_, i))) = ready.pop() {
        story.extend(entries[i].take());
        for &next in &after[i] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse((time(&entries, next), next)));
            }
        }
    }
    // Only entries whose causes form a circle, which no log holds, are left here: they are shown all the same.
    story.extend(entries.into_iter().flatten());
    story
}

fn in_log_order(mut entries: Vec<TimelineRow>) -> Vec<TimelineRow> {
    entries.sort_by(|a, b| (&a.service, a.partition, a.offset).cmp(&(&b.service, b.partition, b.offset)));
    entries
}

/// For each entry, the entries that must come after it, and how many must come before it.
fn followers(entries: &[Option<TimelineRow>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let entries: Vec<&TimelineRow> = entries.iter().flatten().collect();
    let by_id: HashMap<&str, usize> = entries.iter().enumerate().map(|(i, entry)| (&*entry.event_id, i)).collect();
    let (mut after, mut waits) = (vec![Vec::new(); entries.len()], vec![0; entries.len()]);
    for (i, entry) in entries.iter().enumerate() {
        let cause = entry.causation_id.as_deref().and_then(|id| by_id.get(id).copied()).filter(|cause| *cause != i);
        let before =
            i.checked_sub(1).filter(|before| (&entries[*before].service, entries[*before].partition) == (&entry.service, entry.partition));
        for earlier in cause.into_iter().chain(before) {
            after[earlier].push(i);
            waits[i] += 1;
        }
    }
    (after, waits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::OrderId;
    use serde_json::json;

    fn entry(service: &str, offset: i64, time: i64, step: Step) -> TimelineRow {
        TimelineRow {
            position: format!("{service}/0/{offset}"),
            order_id: OrderId::derive("t", "o"),
            service: service.into(),
            partition: 0,
            offset,
            event_id: format!("{service}-{offset}/0"),
            causation_id: None,
            time: Timestamp(time),
            actor: "a".into(),
            event: format!("{step:?}"),
            step,
            data: json!({ "expires_at": 900 }),
        }
    }

    /// A saga of steps that follow one another.
    fn stands(steps: &[Step]) -> Option<Saga> {
        let entries: Vec<TimelineRow> = steps.iter().zip(0..).map(|(step, i)| entry("orders", i, i, *step)).collect();
        saga(&entries)
    }

    fn waits_for(steps: &[Step]) -> Option<Wait> {
        stands(steps).unwrap().waiting_for
    }

    #[test]
    fn an_order_waits_for_stock_then_payment_then_its_decision_until_its_deadline() {
        use Step::{PaymentAuthorised, PaymentRequested, Placed, Reserved, StockReserved};
        assert_eq!(waits_for(&[Placed, StockReserved]), Some(Wait::Stock));
        assert_eq!(waits_for(&[Placed, StockReserved, Reserved]), Some(Wait::Payment));
        assert_eq!(waits_for(&[Placed, StockReserved, Reserved, PaymentRequested]), Some(Wait::Payment));
        assert_eq!(waits_for(&[Placed, StockReserved, Reserved, PaymentRequested, PaymentAuthorised]), Some(Wait::Decision));
        assert_eq!(stands(&[Placed]).unwrap().until, Some(Timestamp(900)));
    }

    #[test]
    fn a_confirmed_order_waits_for_its_capture_and_its_shipment_and_then_for_nothing() {
        use Step::{Confirmed, PaymentAuthorised, PaymentCaptured, Placed, Reserved, StockReserved, StockShipped};
        let paid = [Placed, StockReserved, Reserved, PaymentAuthorised, Confirmed];
        assert_eq!(waits_for(&paid), Some(Wait::Capture));
        assert_eq!(waits_for(&[&paid[..], &[PaymentCaptured]].concat()), Some(Wait::Shipment));
        let done = stands(&[&paid[..], &[PaymentCaptured, StockShipped]].concat()).unwrap();
        assert_eq!((done.status, done.waiting_for, done.until), (OrderStatus::Confirmed, None, None));
        assert_eq!(done.compensations, []);
    }

    #[test]
    fn an_order_that_is_off_waits_for_its_compensations_and_shows_them() {
        use Step::{Expired, PaymentRequested, PaymentVoided, Placed, Reserved, StockReleased, StockReserved};
        let off = [Placed, StockReserved, StockReserved, Reserved, PaymentRequested, Expired];
        assert_eq!(waits_for(&off), Some(Wait::Release));
        let released = [&off[..], &[StockReleased, StockReleased]].concat();
        assert_eq!(waits_for(&released), Some(Wait::Void));
        let done = stands(&[&released[..], &[PaymentVoided]].concat()).unwrap();
        assert_eq!((done.status, done.waiting_for), (OrderStatus::Expired, None));
        assert_eq!(done.compensations, [StockReleased, PaymentVoided]);
    }

    #[test]
    fn what_could_not_be_done_is_still_waited_for() {
        use Step::{Cancelled, Confirmed, PaymentCaptureFailed, PaymentCaptured, PaymentRefunded, Placed, RefundFailed, RefundRequested};
        assert_eq!(waits_for(&[Placed, Confirmed, PaymentCaptureFailed]), Some(Wait::Capture));
        let off = [Placed, PaymentCaptured, Cancelled, RefundRequested];
        assert_eq!(waits_for(&off), Some(Wait::Void));
        assert_eq!(waits_for(&[&off[..], &[RefundFailed]].concat()), Some(Wait::Void));
        assert_eq!(waits_for(&[&off[..], &[PaymentRefunded]].concat()), None);
    }

    #[test]
    fn a_refund_of_an_order_that_stands_is_no_compensation() {
        use Step::{Cancelled, Confirmed, PaymentRefunded, Placed};
        assert_eq!(stands(&[Placed, Confirmed, PaymentRefunded]).unwrap().compensations, []);
        assert_eq!(stands(&[Placed, Cancelled, PaymentRefunded]).unwrap().compensations, [PaymentRefunded]);
    }

    #[test]
    fn nothing_is_known_before_the_order_itself() {
        assert_eq!(stands(&[Step::StockReserved]), None);
    }

    #[test]
    fn no_event_stands_before_its_cause_whatever_the_clocks_say() {
        let placed = entry("orders", 5, 100, Step::Placed);
        let reserved = TimelineRow { causation_id: Some(placed.event_id.clone()), ..entry("products", 1, 90, Step::StockReserved) };
        let confirmed = entry("orders", 6, 80, Step::Confirmed);
        let early = entry("payments", 0, 10, Step::PaymentRequested);
        let told: Vec<Step> = story(vec![confirmed, reserved, placed, early]).iter().map(|entry| entry.step).collect();
        assert_eq!(told, [Step::PaymentRequested, Step::Placed, Step::Confirmed, Step::StockReserved]);
    }
}
