//! What a holder will never use again.

use super::Reserved;
use crate::ReservationId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The highest number under which a holder has forgone each reservation. A command that bears one of these numbers, or a lower one, was
/// overtaken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgone(BTreeMap<ReservationId, i64>);

impl Forgone {
    /// True where the reservation was forgone under this number or a later one.
    pub fn includes(&self, reserved: Reserved) -> bool {
        self.0.get(&reserved.reservation_id).is_some_and(|number| reserved.number <= *number)
    }

    /// Adds one.
    pub fn add(&mut self, reserved: Reserved) {
        let number = self.0.entry(reserved.reservation_id).or_default();
        *number = reserved.number.max(*number);
    }
}
