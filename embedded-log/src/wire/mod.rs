//! Kafka's protocol on the wire: frames, headers, and which requests are understood in which versions.

mod budget;
mod frame;
mod request;
#[cfg(test)]
pub(crate) mod sample;
mod shape;
mod shapes;

pub(crate) use budget::{Budget, Share};
pub(crate) use frame::{FrameError, FrameLimits, Frames};
pub(crate) use request::{OFFERED, Offer, Received, Request, RequestError, encode};
