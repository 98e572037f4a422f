//! TLS 1.2 and 1.3 at the edge (RFC 5246, RFC 8446; for SIP RFC 3261 §26.3), by rustls with ring.
//!
//! The core sees plaintext and who the peer has proven to be ([`PeerIdentity`](crate::base::net::PeerIdentity)).
//! [`keys`] keeps our key and certificate, [`verify`] judges the peer's, [`session`] moves bytes. One [`Endpoint`] has
//! what all sessions share.
//!
//! Chosen for slow routers: ChaCha20-Poly1305 before AES (small CPUs have no instructions for AES, and ChaCha20 costs a
//! fraction of it), X25519 before P-256 and nothing larger, tickets, and one handshake's step in each turn of the loop
//! (the driver's turnstile). Left out: ALPN, early data, renegotiation, revocation lists, OCSP, certificate compression.

mod certificate;
pub mod fault;
pub mod keys;
pub mod session;
#[cfg(test)]
pub(super) mod testing;
pub mod verify;

use self::fault::Fault;
use self::keys::Keys;
use self::session::Session;
use self::verify::{ClientVerifier, Expected, ServerVerifier, Trust};
use crate::config::model::{Main, Model};
use crate::server::contract;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig};
use std::io::{self, Write};
use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

/// What the sessions of one server have in common: our key, whom we trust, what is remembered for resumption.
pub struct Endpoint {
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
    server: Arc<ServerConfig>,
    trust: Arc<Trust>,
    /// The last used come last. A session is resumed only under the expectation it began with.
    clients: Vec<(Expected, Arc<ClientConfig>)>,
    pin: [u8; 32],
}

impl Endpoint {
    /// The endpoint of this configuration, which is there when TLS is built in. At the first start it makes a key.
    ///
    /// # Errors
    /// When the key or certificate can't be read or made.
    pub fn configured(model: &Model) -> Result<Option<Self>, Fault> {
        Self::new(Keys::configured(&model.main)?, Trust::configured(model)).map(Some)
    }

    /// An endpoint with these keys. `trust` is whom incoming certificates are checked against.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn new(keys: Keys, trust: Trust) -> Result<Self, Fault> {
        let provider = Arc::new(provider());
        let certified = Arc::new(SingleCertAndKey::from(keys.certified));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_client_cert_verifier(Arc::new(ClientVerifier::new(&provider)))
            .with_cert_resolver(certified.clone());
        server.ignore_client_order = true;
        server.max_fragment_size = Some(FRAGMENT_BYTES);
        // The ticket is sealed with a key of this start and kept by the client: it costs no memory here. The cache is for
        // clients of TLS 1.2 that take no tickets.
        server.ticketer = ring::Ticketer::new()?;
        server.send_tls13_tickets = 1;
        server.session_storage = ServerSessionMemoryCache::new(SESSIONS_KEPT);
        Ok(Self {
            provider,
            certified,
            server: Arc::new(server),
            trust: Arc::new(trust),
            clients: Vec::new(),
            pin: keys.pin,
        })
    }

    /// The pin of our own key.
    pub fn pin(&self) -> &[u8; 32] {
        &self.pin
    }

    /// A session with a server that we connected to.
    ///
    /// # Errors
    /// As of [`Session::client`].
    pub fn client(&mut self, expected: &contract::Expected<'_>) -> Result<Session, Fault> {
        let expected = Expected::configured(expected, &self.trust.roots);
        Session::client(self, &expected)
    }

    /// A session with somebody who connected to us.
    ///
    /// # Errors
    /// As of [`Session::server`].
    pub fn server(&self) -> Result<Session, Fault> {
        Session::server(self)
    }

    /// Lets go what would shorten the next handshakes to servers.
    pub fn forget_sessions(&mut self) {
        self.clients.clear();
    }

    /// The configuration of sessions to `expected`. They share their tickets.
    fn client_config(&mut self, expected: &Expected) -> Result<Arc<ClientConfig>, Fault> {
        let known = self.clients.iter().position(|(known, _)| known == expected);
        let entry = match known {
            Some(index) => self.clients.remove(index),
            None => (expected.clone(), Arc::new(self.new_client_config(expected)?)),
        };
        if self.clients.len() >= EXPECTATIONS_KEPT {
            self.clients.remove(0);
        }
        let config = entry.1.clone();
        self.clients.push(entry);
        Ok(config)
    }

    fn new_client_config(&self, expected: &Expected) -> Result<ClientConfig, Fault> {
        let verifier = ServerVerifier::new(expected.clone(), &self.provider);
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        // Other homes know us by our key. To others it would only tell that several people's accounts are of one home.
        let mut config = match expected.is_account {
            true => config.with_no_client_auth(),
            false => config.with_client_cert_resolver(self.certified.clone()),
        };
        config.max_fragment_size = Some(FRAGMENT_BYTES);
        // rustls keeps up to eight tickets of one name; there is one name.
        config.resumption = Resumption::in_memory_sessions(1);
        Ok(config)
    }
}

/// Writes the pin of our key in a line, as the configuration of a peer takes it; makes the key if there is none.
///
/// # Errors
/// When there is no key, or the line can't be written.
pub fn print_pin(main: &Main, out: &mut impl Write) -> io::Result<()> {
    let keys = Keys::configured(main).map_err(|fault| io::Error::other(fault.to_string()))?;
    writeln!(out, "{}", keys::pin_text(keys.pin()))
}

fn provider() -> CryptoProvider {
    use ring::cipher_suite as suite;
    CryptoProvider {
        cipher_suites: std::vec![
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        kx_groups: std::vec![ring::kx_group::X25519, ring::kx_group::SECP256R1],
        ..ring::default_provider()
    }
}

/// Largest record we send. A peer may send 16 KB all the same.
const FRAGMENT_BYTES: usize = 4096;
/// Peers that we connect to and whose tickets are kept.
const EXPECTATIONS_KEPT: usize = 8;
/// Sessions of TLS 1.2 without tickets that are remembered.
const SESSIONS_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_expectations_are_kept() {
        let mut endpoint = testing::endpoint();
        let first = endpoint.client_config(&testing::expected("a.example")).unwrap();
        for i in 0..EXPECTATIONS_KEPT - 1 {
            endpoint.client_config(&testing::expected(&std::format!("{i}.example"))).unwrap();
        }
        // Used again, it is the youngest.
        assert!(Arc::ptr_eq(&first, &endpoint.client_config(&testing::expected("a.example")).unwrap()));
        for i in 0..EXPECTATIONS_KEPT + 1 {
            endpoint.client_config(&testing::expected(&std::format!("new{i}.example"))).unwrap();
        }
        assert_eq!(endpoint.clients.len(), EXPECTATIONS_KEPT);
        assert!(!Arc::ptr_eq(&first, &endpoint.client_config(&testing::expected("a.example")).unwrap()));
        let pinned = Expected { pins: std::vec![[1; 32]], ..testing::expected("a.example") };
        assert!(!Arc::ptr_eq(
            &endpoint.client_config(&pinned).unwrap(),
            &endpoint.client_config(&testing::expected("a.example")).unwrap()
        ));
    }
}
