//! Who asks: the access tokens of an OpenID Connect issuer, verified.
//!
//! A request shows a JWT. [`Verifier::admit`] says whom it speaks for ([`Principal`]), or why for nobody ([`Rejected`]). The issuer's keys are read by
//! [`FetchKeys`], kept and renewed beside the requests. [`simulated`] is an issuer for one machine and for tests.
//!
//! What a principal may do is the table of the system that they call ([`Policy`]); a request carries it as its [`Grant`]. This crate knows nothing
//! of events, commands or routes.

#![warn(missing_docs)]

mod bearer;
mod cache;
mod claims;
mod crypto;
mod grant;
mod issuer;
mod keys;
mod metadata;
mod metrics;
mod policy;
mod principal;
mod rejected;
pub mod simulated;
mod token;
mod verifier;

pub use bearer::{TOKEN_BOUND, bearer};
pub use grant::Grant;
pub use issuer::{Issuer, WrongSetting, WrongUrl};
pub use keys::{COOL_DOWN, FetchKeys, HttpKeys, KeySet, REFRESH_EVERY, Unfetched, system_authorities};
pub use metadata::{METADATA_PATH, ResourceMetadata};
pub use policy::{Policy, Reach};
pub use principal::{ACTOR_BOUND, Actor, NAME_BOUND, Principal};
pub use rejected::{Rejected, insufficient_scope};
pub use verifier::Verifier;
