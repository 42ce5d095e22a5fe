//! One spelling for all that people take for the same: letters' case, compatibility forms (full-width, ligatures), composed or not.
//!
//! The ids of reservations are made from it, so it never changes for a text that was reserved; Unicode promises that of its foldings for
//! all characters that are assigned.

use crate::{Email, Sku};
use unicode_normalization::UnicodeNormalization;

/// An address in its one spelling: the local part folded, the domain as DNS asks for it (IDNA, ASCII). No rule of a mail provider is
/// applied: `a.b@` and `ab@` are two addresses.
pub fn folded_email(email: &Email) -> String {
    let text = email.as_str();
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    // A domain that IDNA refuses is none in DNS; it is folded as any text.
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| folded(domain));
    format!("{}@{domain}", folded(local))
}

/// A stock-keeping unit in its one spelling.
pub fn folded_sku(sku: &Sku) -> String {
    folded(sku.as_str())
}

/// Unicode's NFKC and default case folding, until nothing changes any more: each may undo the other once.
fn folded(text: &str) -> String {
    let step = |text: &str| caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect::<String>();
    let once = step(text);
    step(&once).trim().to_owned()
}
