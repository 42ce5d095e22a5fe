//! The node protocol as another program's build sees it: generated from its description, not taken from the library.

#[allow(clippy::all, missing_docs, reason = "generated from proto/node.proto")]
mod generated {
    tonic::include_proto!("daybook.node.v1");
}

pub use generated::*;
