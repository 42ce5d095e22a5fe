//! The protocol with one part left out: the simulation must find each of these.
//!
//! The real code is never touched. A rule is weakened by showing it the log through a [`Lens`] that hides just what the missing part looks
//! at; a writer, by a world that gives it the answers it expects.

use crate::{
    RawRecord,
    envelope::{CLAIM_TYPE, Entry},
    run::Place,
};

/// The part that is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakness {
    #[default]
    None,
    /// Of the run rule, by views alone.
    OfViews(Blindness),
    /// Of the run rule, by all who read.
    OfAll(Blindness),
    /// Answers that leave no record do not wait for the log's end.
    NoBarrier,
    /// Any offset will do for an acknowledgement.
    AnyOffset,
    /// A command id is forgotten at once.
    Forgetful,
    /// A reader does not look whether the log still holds what it has read.
    NoAnchor,
    /// A view takes a batch even where its checkpoint is not where the batch begins.
    NoGuard,
}

/// The part of a record that the run rule does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// `at`: a record counts wherever it stands in its run.
    Places,
    /// That the run was broken: the next record that fits by itself counts again.
    Breaks,
    /// `group`: each record counts by itself.
    Groups,
}

/// Rewrites a log so that its readers do not see a part of it.
pub struct Lens {
    blindness: Blindness,
    /// The claim that a record must name, and the run as which it is shown.
    run: Option<(i64, i64)>,
    held: u32,
}

impl Lens {
    pub fn new(blindness: Blindness) -> Self {
        Self { blindness, run: None, held: 0 }
    }

    /// The next record of the log, rewritten.
    pub fn show(&mut self, mut raw: RawRecord) -> RawRecord {
        let offset = raw.offset;
        match (self.blindness, Entry::read(&"accounts".into(), 0, &raw)) {
            (Blindness::Places, Entry::Event(_) | Entry::Proof(_)) => set(&mut raw, "at", offset.to_string()),
            (Blindness::Groups, Entry::Event(_) | Entry::Proof(_)) => set(&mut raw, "group", "1/1".to_owned()),
            (Blindness::Breaks, Entry::Claim { .. }) => (self.run, self.held) = (Some((offset, offset)), 0),
            (Blindness::Breaks, Entry::Event(event)) => self.mend(&mut raw, Some(event.place)),
            (Blindness::Breaks, Entry::Proof(place)) => self.mend(&mut raw, Some(place)),
            (Blindness::Breaks, Entry::Foreign(_)) => self.mend(&mut raw, None),
            (Blindness::Places | Blindness::Groups, Entry::Claim { .. } | Entry::Foreign(_)) => {}
        }
        raw
    }

    /// Shows a record that breaks the run as a claim, and the records that fit after it as of the run that this claim begins: so the run
    /// goes on.
    fn mend(&mut self, raw: &mut RawRecord, place: Option<Place>) {
        let Some((claim, shown)) = self.run else { return };
        let offset = raw.offset;
        let fits = |place: Place| place.run == claim && place.at == offset && place.index == self.held + 1;
        match place.filter(|place| fits(*place)) {
            Some(place) => {
                set(raw, "run", shown.to_string());
                self.held = if place.index == place.of { 0 } else { place.index };
            }
            None => {
                (self.run, self.held) = (Some((claim, offset)), 0);
                raw.headers = [("ce_type", CLAIM_TYPE), ("ce_id", "mended")].into_iter().collect();
            }
        }
    }
}

fn set(raw: &mut RawRecord, header: &str, value: String) {
    raw.headers.set(header, value);
}
