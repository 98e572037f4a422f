//! The resolver's sockets, and what was found with them. A lookup has a UDP socket of its own, with a port that the system
//! chooses, for each try, and a stream where an answer was truncated. What waits for it is in the services.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Core;
use crate::base::limits::{NAME_SERVERS, PORTS};
use crate::base::net::{NOWHERE, Port, PortSet, Stream, Transport};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::outside::fault_of;
use crate::sip::resolver::{Families, Offered, Step};
use crate::sip::stack::{Produced, Sending, Stack, Task};
use crate::sip::transport::StreamUser;

impl Core {
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
            self.presence.located(now, &mut self.stack, lookup, found.is_ok());
            if self.bridges.len() > 0 {
                // Accounts are beside the core. There is room for all lookups.
                let _ = self.located.push((lookup, found));
                self.stack.schedule.wake(Task::Account(0).id());
            }
        }
        self.stack.wake_lookups();
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
