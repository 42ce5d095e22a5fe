//! An issuer over HTTPS: only one whose certificate is vouched for, under the name that the setting has, is read.

use crate::{key_set, signer};
use access::{FetchKeys, HttpKeys, Issuer, Unfetched, simulated::Signer};
use axum::{Json, Router, routing::get, serve::Listener};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::json;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // Who does not trust the certificate hangs up.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// An issuer at this host, with a certificate for `localhost`; and the authority that vouches for it.
async fn issuer_at(host: &str, keys: &Signer) -> (Issuer, RootCertStore) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{host}:{}", tcp.local_addr().unwrap().port());
    let (metadata, keys) = (json!({"issuer": url, "jwks_uri": format!("{url}/keys")}), keys.key_set());
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(|| async { Json(metadata) }))
        .route("/keys", get(|| async { Json(keys) }));
    tokio::spawn(axum::serve(TlsListener { tcp, tls: TlsAcceptor::from(Arc::new(tls)) }, router).into_future());
    let mut authority = RootCertStore::empty();
    authority.add(cert.der().clone()).unwrap();
    (Issuer::new(&url, "daybook").unwrap(), authority)
}

#[tokio::test]
async fn an_issuer_that_is_vouched_for_is_read() {
    let signer = signer();
    let (issuer, authority) = issuer_at("localhost", &signer).await;
    assert!(HttpKeys::new(&issuer, authority).unwrap().fetch().await.unwrap() == key_set(&[signer.jwk()]));
}

#[tokio::test]
async fn a_foreign_authority_or_another_name_is_refused() {
    let signer = signer();
    let (issuer, _) = issuer_at("localhost", &signer).await;
    let (_, foreign) = issuer_at("localhost", &signer).await;
    let (elsewhere, authority) = issuer_at("127.0.0.1", &signer).await;
    for (issuer, authority) in [(&issuer, foreign), (&issuer, RootCertStore::empty()), (&elsewhere, authority)] {
        let told = HttpKeys::new(issuer, authority).unwrap().fetch().await;
        assert!(matches!(&told, Err(Unfetched::Unreachable { reason, .. }) if reason.contains("certificate")), "{told:?}");
    }
}
