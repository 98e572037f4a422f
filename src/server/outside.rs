//! The way to other domains (RFC 3263): where their servers are, by the configuration or by DNS, and the resolver's sockets.
//!
//! A lookup has a UDP socket of its own, with a port that the system chooses, for each try, and a stream where an answer
//! was truncated. What waits for it is in the proxy.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Core;
use super::requests::Onward;
use crate::base::limits::{LOOKUPS, NAME_SERVERS, PORTS};
use crate::base::net::{NOWHERE, Port, PortSet, Stream, Transport};
use crate::base::text::{Name, Writer};
use crate::base::time::Instant;
use crate::sip::resolver::{Candidate, Candidates, Failure, Families, Located, LookupHandle, Offered, Step, Wanted};
use crate::sip::stack::{Produced, Sending, Stack, Task};
use crate::sip::token::Token;
use crate::sip::transport::{StreamUser, transport_of};
use crate::wire::sip::Fault;

/// Where a request for another domain goes.
// Without an allocator there is no smaller way to say it.
#[allow(clippy::large_enum_variant)]
pub(super) enum Destination {
    /// To these servers, one after the other; over TLS they have to prove to be the domain.
    At(Candidates, Name),
    /// That is being looked up.
    Pending(LookupHandle, Name),
    /// Nowhere, for this reason.
    Nowhere(Fault),
}

impl Core {
    /// Finds the way to the next hop.
    pub(super) fn destination(&mut self, now: Instant, onward: &Onward<'_>) -> Destination {
        let uri = &onward.uri;
        let Ok(host) = core::str::from_utf8(uri.host_raw) else { return Destination::Nowhere(BAD_DOMAIN) };
        // With a dot at the end it is the same domain, and has to be the same peer: else a pin would not count.
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_secure = uri.secure || onward.is_secure;
        let peer = self.people.model.peers.iter().find(|peer| match onward.domain {
            0 => peer.domain.eq_ignore_ascii_case(host),
            domain => Token::domain(&self.stack.random, &peer.domain) == domain,
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
                self.servers_of(now, &host, port, Some(transport), is_secure, domain)
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
                    self.servers_of(now, &domain.clone(), port, transport, is_secure, domain)
                }
            },
        }
    }

    /// The servers at a host, which may be an address.
    fn servers_of(
        &mut self,
        now: Instant,
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
        let Stack { resolver, random, .. } = &mut self.stack;
        let located = resolver.locate(now, random, &Wanted { host: host.as_bytes(), port, transport, secure });
        self.wake_lookups();
        match located {
            Located::Ready(candidates) => Destination::At(candidates, domain),
            Located::Pending(lookup) => Destination::Pending(lookup, domain),
            Located::Failed(failure) => Destination::Nowhere(fault_of(failure)),
        }
    }

    /// Takes the name servers.
    pub(super) fn set_nameservers(&mut self, now: Instant, servers: &[SocketAddr]) {
        self.nameservers = servers.iter().copied().take(NAME_SERVERS).collect();
        self.configure_resolver(now);
    }

    /// Tells the resolver what can be asked and what can be used.
    pub(super) fn configure_resolver(&mut self, now: Instant) {
        let ports = || self.stack.network.open_ports().map(|(_, state)| state);
        let can = Families {
            v4: ports().any(|port| port.address.is_ipv4() && !port.address.ip().is_loopback()),
            v6: ports().any(|port| port.address.is_ipv6() && !port.address.ip().is_loopback()),
        };
        // A home on the loopback alone has neither: then whatever it has will do.
        let can = Families {
            v4: can.v4 || !can.v6 && ports().any(|port| port.address.is_ipv4()),
            v6: can.v6 || !can.v4 && ports().any(|port| port.address.is_ipv6()),
        };
        let offered = Offered { udp: true, tcp: true, tls: cfg!(feature = "tls") };
        self.stack.resolver.configure(&self.nameservers, can, offered);
        // What is under way may ask others now, or have ended.
        self.lookups_went_on(now);
    }

    /// A socket of a lookup was opened, or not.
    pub(super) fn lookup_opened(&mut self, now: Instant, port: Port, is_open: bool) {
        self.stack.resolver.opened(now, usize::from(port.0) - PORTS, is_open);
        self.lookups_went_on(now);
    }

    /// A name server answered by datagram.
    pub(super) fn lookup_answered(&mut self, now: Instant, port: Port, from: SocketAddr, bytes: &[u8]) {
        self.stack.resolver.received(now, usize::from(port.0) - PORTS, from, bytes);
        self.lookups_went_on(now);
    }

    /// A connection to a name server is up.
    pub(super) fn lookup_connected(&mut self, now: Instant, index: usize) {
        self.stack.resolver.connected(now, index);
        self.lookups_went_on(now);
    }

    /// Bytes came on a connection to a name server: how many of them were taken.
    pub(super) fn lookup_received(&mut self, now: Instant, index: usize, bytes: &[u8]) -> usize {
        let taken = self.stack.resolver.stream_received(now, index, bytes);
        self.lookups_went_on(now);
        taken
    }

    /// A connection to a name server is gone.
    pub(super) fn lookup_closed(&mut self, now: Instant, index: usize, stream: Stream) {
        if self.lookup_streams[index] == Some(stream) {
            self.lookup_streams[index] = None;
            self.stack.resolver.stream_closed(now, index);
            self.lookups_went_on(now);
        }
    }

    /// A lookup's time has come.
    pub(super) fn lookup_due(&mut self, now: Instant, index: usize) {
        self.stack.resolver.due(now, index);
        self.lookups_went_on(now);
    }

    /// Hands out what was found, and has the rest go on.
    fn lookups_went_on(&mut self, now: Instant) {
        while let Some((lookup, found)) = self.stack.resolver.finished(now) {
            let found = found.map_err(fault_of);
            let (proxy, mut around) = self.split();
            proxy.located(now, &mut around, lookup, &found);
        }
        self.wake_lookups();
    }

    fn wake_lookups(&mut self) {
        for index in 0..LOOKUPS {
            if self.stack.resolver.is_ready(index) {
                self.stack.schedule.wake(Task::Lookup(index).id());
            }
            self.stack.schedule.set_deadline(Task::Lookup(index).id(), self.stack.resolver.deadline(index));
        }
    }

    /// The next output of a lookup.
    pub(super) fn produce_lookup(
        &mut self,
        now: Instant,
        index: usize,
        credits: PortSet,
        buffer: &mut [u8],
    ) -> Produced<Sending> {
        let port = Port((PORTS + index) as u8);
        if !credits.contains(port) {
            return Produced::Blocked;
        }
        let mut out = Writer::new(buffer);
        let step = self.stack.resolver.step(now, index, &mut out);
        let len = out.len();
        // A lookup is over when its last socket is closed.
        self.lookups_went_on(now);
        let Some(step) = step else { return Produced::Nothing };
        match step {
            Step::Open { to } if to.is_ipv4() => Produced::Output(Sending::Port(
                port,
                Transport::Udp,
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                true,
            )),
            Step::Open { .. } => Produced::Output(Sending::Port(
                port,
                Transport::Udp,
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                true,
            )),
            Step::Send { to } => Produced::Output(Sending::Datagram(port, to, len)),
            Step::Close => Produced::Output(Sending::Port(port, Transport::Udp, NOWHERE, false)),
            Step::Connect { to } => {
                let user = StreamUser::Lookup(index as u8);
                self.lookup_streams[index] = self.stack.connect(now, Transport::Tcp, to, "", user);
                if self.lookup_streams[index].is_none() {
                    self.stack.resolver.stream_closed(now, index);
                    self.lookups_went_on(now);
                }
                Produced::Nothing
            }
            Step::SendStream => {
                if let Some(stream) = self.lookup_streams[index] {
                    let Stack { network, store, schedule, .. } = &mut self.stack;
                    if !network.queue(now, stream, &buffer[..len], store) {
                        network.close(stream);
                    }
                    schedule.wake(Task::Stream(usize::from(stream.index)).id());
                }
                Produced::Nothing
            }
            Step::CloseStream => {
                if let Some(stream) = self.lookup_streams[index].take() {
                    self.stack.network.close(stream);
                    self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
                }
                Produced::Nothing
            }
        }
    }
}

fn fault_of(failure: Failure) -> Fault {
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
