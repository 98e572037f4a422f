//! Section `peer`: another home, where it is, and what its key is known by.

use crate::base::limits::{PEERS, PINS};
use crate::config::check::section::{Key, Kind, Shape};
use crate::config::check::{Check, add, choose, host, path, section_id, tls};
use crate::config::fault::Problem;
use crate::config::model::Transport;
use crate::config::value;

pub(super) const OPTIONS: &[(&str, Shape)] = &[
    ("domain", Shape::One(Key::PeerDomain)),
    ("address", Shape::One(Key::PeerAddress)),
    ("transport", Shape::One(Key::PeerTransport)),
    ("pin", Shape::OneOrMany(Key::PeerPin)),
    ("ca", Shape::One(Key::PeerCa)),
];

impl Check<'_> {
    /// The options of a peer whose name is refused are checked all the same.
    pub(super) fn begin_peer(&mut self, name: &str) -> Result<(), Problem<'static>> {
        self.section.kind = Kind::Peer;
        let id = section_id(name)?;
        if self.is_taken(&id) {
            return Err(Problem::TakenName);
        }
        if self.model.peers.is_full() {
            return Err(Problem::TooMany { limit: "PEERS", max: PEERS });
        }
        self.section.id = id;
        Ok(())
    }

    pub(super) fn end_peer(&mut self) {
        if !self.section.has(Key::PeerDomain) {
            self.missing("option 'domain'");
        }
        let is_known_by_key = self.section.has(Key::PeerPin) || self.section.has(Key::PeerCa);
        if !self.section.has(Key::PeerTransport) && !is_known_by_key {
            if self.section.has(Key::PeerAddress) {
                // There is nothing a certificate could be held to.
                self.section.peer.transport = Transport::Udp;
            } else if tls().is_err() {
                self.fault(self.section.line, "", Problem::NotBuilt("TLS, which leads to a peer without 'transport',"));
            }
        }
        if !self.section.id.is_empty() {
            self.section.peer.id = self.section.id.clone();
            // There is room: the section's beginning was refused otherwise.
            let _ = self.model.peers.push(self.section.peer.clone());
        }
    }

    pub(super) fn peer_domain<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let domain = host(value)?;
        // An external name that stands below is refused there.
        if domain == self.model.main.domain || self.model.main.external.contains(&domain) {
            return Err(Problem::OwnDomain(value));
        }
        if self.model.peer(domain.as_bytes()).is_some() {
            return Err(Problem::DomainOfPeer(value));
        }
        self.section.peer.domain = domain;
        Ok(())
    }

    pub(super) fn peer_address<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let address = value::peer_address(value).ok_or(Problem::Value { value, expected: ADDRESS })?;
        self.section.peer.address = Some(address);
        Ok(())
    }

    pub(super) fn peer_transport<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let transport = choose(value, value::TRANSPORTS, "udp, tcp or tls")?;
        if transport == Transport::Tls {
            tls()?;
        } else if self.section.has(Key::PeerPin) || self.section.has(Key::PeerCa) {
            return Err(Problem::NeedsTls);
        }
        self.section.peer.transport = transport;
        Ok(())
    }

    pub(super) fn peer_pin<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let pin = value::pin(value).ok_or(Problem::Value { value, expected: PIN })?;
        self.needs_tls()?;
        add(&mut self.section.peer.pins, pin, value, "PINS", PINS)
    }

    pub(super) fn peer_ca<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        self.section.peer.ca = path(value)?;
        self.needs_tls()
    }

    /// What a key or a CA is good for. A `transport` that stands below is refused there.
    fn needs_tls(&self) -> Result<(), Problem<'static>> {
        tls()?;
        if self.section.peer.transport == Transport::Tls { Ok(()) } else { Err(Problem::NeedsTls) }
    }
}

const ADDRESS: &str = "HOST or HOST:PORT, with an IPv6 address in brackets";
pub(super) const PIN: &str = "'sha256/' and 44 characters of base64";
