//! The issuer's keys: read from it, kept, and renewed.

mod fetch;
mod http;
mod kept;
mod set;

pub use fetch::{FetchKeys, Unfetched};
pub use http::{HttpKeys, system_authorities};
pub(crate) use kept::KeptKeys;
pub use kept::{COOL_DOWN, REFRESH_EVERY};
pub use set::KeySet;
pub(crate) use set::VerifyingKey;
