//! A simulated issuer for one machine: it gives anybody a token for any name and role, and says so.
//!
//! It speaks what a real one speaks (discovery, a key set, a token endpoint), so that nothing but its address differs for who verifies. It listens on loopback only. Tests
//! use its [`Signer`], and [`forged`] for tokens that must be refused.

pub mod forged;
mod routes;
mod signer;

pub use signer::{Bearer, Signer, TOKEN_LIFE, Unsigned};

use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// A simulated issuer that listens, and has not begun to answer.
pub struct Simulated {
    listener: TcpListener,
    grants: Arc<Grants>,
}

/// What tokens may be had.
pub(crate) struct Grants {
    signer: Signer,
    roles: Vec<String>,
}

/// Why a simulated issuer does not start.
#[derive(Debug, thiserror::Error)]
pub enum NotSimulated {
    /// Others could reach it, and would be given any role.
    #[error("a simulated issuer listens on loopback only, not on {0}: it gives anybody any role")]
    NotLoopback(SocketAddr),
    /// The listener has no address.
    #[error("the simulated issuer's address cannot be read: {0}")]
    NoAddress(#[from] io::Error),
    /// There are no keys.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
}

impl Simulated {
    /// An issuer at the listener's address, which must be a loopback one, for this audience, and for these roles. It makes a new key.
    pub fn new(listener: TcpListener, audience: &str, roles: &[&str]) -> Result<Self, NotSimulated> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(NotSimulated::NotLoopback(address));
        }
        let signer = Signer::generate(&format!("http://{address}"), audience)?;
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Ok(Self { listener, grants: Arc::new(Grants { signer, roles }) })
    }

    /// Its URL: the `iss` of its tokens.
    pub fn url(&self) -> &str {
        self.grants.signer.issuer()
    }

    /// What signs its tokens.
    pub fn signer(&self) -> &Signer {
        &self.grants.signer
    }

    /// Answers until `end` comes.
    pub async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        axum::serve(self.listener, routes::router(self.grants)).with_graceful_shutdown(end).await
    }
}
