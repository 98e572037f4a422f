//! The way to other domains (RFC 3263): where their servers are, by the configuration or by DNS.

use core::net::{IpAddr, SocketAddr};

use crate::base::net::Transport;
use crate::base::text::Name;
use crate::base::time::Instant;
use crate::home::people::People;
use crate::sip::resolver::{Candidate, Candidates, Failure, Located, LookupHandle, Service, Wanted};
use crate::sip::stack::Stack;
use crate::sip::token::Token;
use crate::sip::transport::transport_of;
use crate::wire::sip::{Fault, SipUri};

/// The next hop outside the home.
#[derive(Clone, Copy)]
pub struct Onward<'b> {
    /// Its address.
    pub uri: SipUri<'b>,
    /// The hash of the domain that it has proven before, in a dialog; else 0.
    pub domain: u32,
    /// Whether it is within a dialog that passes here, sent by the person of the home who is on the other side of it.
    pub in_dialog: bool,
    /// Whether it has to go over TLS, as the dialog did so far.
    pub is_secure: bool,
}

/// Where a request for another domain goes.
// Without an allocator there is no smaller way to say it.
#[allow(clippy::large_enum_variant)]
pub enum Destination {
    /// To these servers, one after the other; over TLS they have to prove to be the domain.
    At(Candidates, Name),
    /// That is being looked up.
    Pending(LookupHandle, Name),
    /// Nowhere, for this reason.
    Nowhere(Fault),
}

/// Finds the way to the next hop.
pub fn destination(now: Instant, stack: &mut Stack, people: &People, onward: &Onward<'_>) -> Destination {
    let uri = &onward.uri;
    let Ok(host) = core::str::from_utf8(uri.host_raw) else { return Destination::Nowhere(BAD_DOMAIN) };
    // With a dot at the end it is the same domain, and has to be the same peer: else a pin would not count.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_secure = uri.secure || onward.is_secure;
    let peer = people.model.peers.iter().find(|peer| match onward.domain {
        0 => peer.domain.eq_ignore_ascii_case(host),
        domain => Token::domain(&stack.random, &peer.domain) == domain,
    });
    let (transport, port) = match (transport_of(uri), uri.transport()) {
        (None, Some(_)) => {
            return Destination::Nowhere(Fault { status: 404, reason: "Transport Not Known Here" });
        }
        _ if is_secure => (Some(Transport::Tls), uri.port),
        (transport, _) => (transport, uri.port),
    };
    match peer {
        Some(peer) => {
            let Ok(domain) = Name::try_from(peer.domain.as_str()) else { return Destination::Nowhere(BAD_DOMAIN) };
            let transport = if is_secure { Transport::Tls } else { peer.transport };
            let (host, port) = match &peer.address {
                Some(address) => (address.host.clone(), address.port),
                None => (domain.clone(), None),
            };
            servers_of(now, stack, &host, port, Some(transport), is_secure, domain)
        }
        None => match uri.host.ip() {
            Some(ip) => {
                let transport = transport.unwrap_or(Transport::Udp);
                let address = SocketAddr::new(ip, port.unwrap_or(transport.default_port()));
                let Ok(domain) = Name::try_from(host) else { return Destination::Nowhere(BAD_DOMAIN) };
                Destination::At(Candidates::from_iter([Candidate { transport, address }]), domain)
            }
            None => {
                let Ok(domain) = Name::try_from(host) else { return Destination::Nowhere(BAD_DOMAIN) };
                servers_of(now, stack, &domain.clone(), port, transport, is_secure, domain)
            }
        },
    }
}

/// The servers at a host, which may be an address.
fn servers_of(
    now: Instant,
    stack: &mut Stack,
    host: &Name,
    port: Option<u16>,
    transport: Option<Transport>,
    secure: bool,
    domain: Name,
) -> Destination {
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let transport = transport.unwrap_or(Transport::Udp);
        let address = SocketAddr::new(ip, port.unwrap_or(transport.default_port()));
        return Destination::At(Candidates::from_iter([Candidate { transport, address }]), domain);
    }
    let Stack { resolver, random, .. } = stack;
    let wanted = Wanted { service: Service::Sip, host: host.as_bytes(), port, transport, secure };
    let located = resolver.locate(now, random, &wanted);
    stack.wake_lookups();
    match located {
        Located::Ready(candidates) => Destination::At(candidates, domain),
        Located::Pending(lookup) => Destination::Pending(lookup, domain),
        Located::Failed(failure) => Destination::Nowhere(fault_of(failure)),
    }
}

/// Why a domain was not found, as an answer says it.
pub fn fault_of(failure: Failure) -> Fault {
    let (status, reason) = match failure {
        Failure::NoSuchName => (404, "No Such Domain"),
        Failure::BadName => (404, "Not a Domain"),
        Failure::NoAnswer => (504, "Name Server Timeout"),
        Failure::NoServers => (504, "No Name Server"),
        Failure::Busy => (503, "Too Many Lookups"),
    };
    Fault { status, reason }
}

const BAD_DOMAIN: Fault = Fault { status: 404, reason: "Not a Domain" };
