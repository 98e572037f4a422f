//! Transport (RFC 3261 §18): the sockets on our addresses, the streams, and which of them leads where.
//!
//! A wildcard listener becomes one port on each local address, so that Via, Record-Route and answers always name the
//! address that is really used. Ports follow the addresses as these come and go. Framing of streams is in `wire`; what
//! a stream has received waits in [`Server`](crate::server::Server), what it has to send waits here. `maddr` is not
//! followed: answers only ever go back to where the request came from.

mod account;

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use crate::base::limits::{ADDRESSES, EXTERNALS, LISTENERS, PORTS, STREAMS, WEB_LISTENERS};
use crate::base::net::{Flow, Listen, LocalAddress, NOWHERE, Port, Stream, Transport, WebListen};
use crate::base::store::{Bytes, Store};
use crate::base::text::Name;
use crate::base::time::{Instant, earliest};
use crate::sip::limiter::source_of;
use crate::wire::sip::{Host, SipUri, same_name};

/// A stream without a binding may be silent for so long.
const IDLE_MS: u64 = 300_000;
/// A message on a stream has to be complete so long after its first byte, and what we send has to be taken so fast.
const STALL_MS: u64 = 30_000;
/// A connection has to be up so long after it was asked for.
const CONNECT_MS: u64 = 3_000;
/// The same for the server of an account, whose handshake is part of it: nobody waits for that as for a call.
const ACCOUNT_CONNECT_MS: u64 = 10_000;
/// A port that could not be opened is tried again after so long.
const REOPEN_MS: u64 = 5_000;
/// The port of SIP where none is said.
pub const DEFAULT_PORT: u16 = 5060;

/// The port that a URI means (RFC 3261 §19.1.2).
pub fn port_of(uri: &SipUri<'_>) -> u16 {
    uri.port.unwrap_or_else(|| transport_of(uri).unwrap_or(Transport::Udp).default_port())
}

/// The transport that a URI names; `None` when it names none, or one that we do not have. `sips:` means TLS.
pub fn transport_of(uri: &SipUri<'_>) -> Option<Transport> {
    let named = uri.transport();
    let is = |transport: Transport| named.is_some_and(|name| name.eq_ignore_ascii_case(transport.name().as_bytes()));
    match () {
        () if uri.secure || is(Transport::Tls) => Some(Transport::Tls),
        () => [Transport::Udp, Transport::Tcp].into_iter().find(|transport| is(*transport)),
    }
}

/// Our end of the network.
pub struct Network {
    addresses: Vec<LocalAddress, ADDRESSES>,
    listen: Vec<Listen, LISTENERS>,
    web: Vec<WebListen, WEB_LISTENERS>,
    external: Vec<Name, EXTERNALS>,
    ports: Vec<PortState, PORTS>,
    streams: Vec<StreamState, STREAMS>,
}

/// One of our sockets.
#[derive(Clone, Copy, Debug)]
pub struct PortState {
    /// UDP socket or TCP listener.
    pub transport: Transport,
    /// The address it has, or is to have.
    pub address: SocketAddr,
    /// Whether it is a listener for the web page, and not for SIP.
    pub is_web: bool,
    step: PortStep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PortStep {
    Vacant,
    ToOpen,
    Opening,
    Open,
    Failed { retry_at: Instant },
    ToClose,
}

/// One stream.
#[derive(Debug)]
pub struct StreamState {
    generation: u16,
    phase: Phase,
    /// What it speaks: TCP or TLS.
    pub transport: Transport,
    /// Who reads it.
    pub user: StreamUser,
    /// The domain that the peer has to prove, on a connection over TLS that we made, or on which TLS may begin later.
    pub domain: Name,
    /// Whether the handshake of TLS is over.
    pub is_secured: bool,
    /// The domain that the peer has proven.
    pub proved: Name,
    /// Whether the peer said that what is for its domain may come on this connection, which it made.
    pub is_alias: bool,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Our address as a Via names it: the listener's where there is one.
    pub local: SocketAddr,
    out: Option<Bytes>,
    out_start: usize,
    is_flush_due: bool,
    active_at: Instant,
    partial_since: Option<Instant>,
    stalled_since: Option<Instant>,
    /// Bindings that were registered over it.
    pub bindings: u16,
    /// When it is closed because who reads it has waited long enough.
    pub patience_ends_at: Option<Instant>,
    /// Whether it leads to a socket of this machine.
    is_local: bool,
}

/// Who reads what comes in on a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamUser {
    /// SIP.
    Sip,
    /// A lookup of the resolver.
    Lookup(u8),
    /// Somebody who looks at the web page.
    Web,
    /// The connector of an account on another network.
    Account {
        /// The account: an index in [`Model::accounts`](crate::config::model::Model::accounts).
        account: u8,
        /// Which of its links, below [`LINKS`](crate::base::limits::LINKS).
        link: u8,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Vacant,
    ToConnect,
    Connecting,
    Open,
    /// TLS is to begin when all that is to be sent before it has been.
    ToSecure,
    Securing,
    ToClose,
    Closing,
}

/// What a stream has for the edge to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamStep {
    /// Open the connection.
    Connect,
    /// Open the connection to a socket of this machine.
    ConnectLocal,
    /// Begin TLS.
    StartTls,
    /// Send what is in the transmit window.
    Flush,
    /// Close it.
    Close,
}

impl Network {
    /// No addresses, no ports.
    pub const fn new() -> Self {
        Self {
            addresses: Vec::new(),
            listen: Vec::new(),
            web: Vec::new(),
            external: Vec::new(),
            ports: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// Takes where to listen, and the names the world knows us by.
    pub fn configure(&mut self, listen: &Vec<Listen, LISTENERS>, external: &Vec<Name, EXTERNALS>) {
        self.listen.clone_from(listen);
        self.external.clone_from(external);
    }

    /// Takes the addresses of the machine. A stream on one that is gone can't carry anything any more, though it may take
    /// minutes until it notices: it is closed; `changed` is told its slot.
    pub fn set_addresses(&mut self, addresses: &[LocalAddress], mut changed: impl FnMut(usize)) {
        for (index, state) in self.streams.iter_mut().enumerate() {
            let is_known = |list: &[LocalAddress]| list.iter().any(|own| own.ip == state.local.ip());
            if state.is_usable() && is_known(&self.addresses) && !is_known(addresses) {
                log::info!("the connection with {} is closed: {} is not ours any more", state.remote, state.local.ip());
                state.phase = Phase::ToClose;
                changed(index);
            }
        }
        self.addresses.clear();
        for address in addresses {
            if self.addresses.push(*address).is_err() {
                log::warn!("address {} is left out: at most {ADDRESSES} are used", address.ip);
            }
        }
    }

    /// Takes where the web page is served.
    pub fn configure_web(&mut self, web: &Vec<WebListen, WEB_LISTENERS>) {
        self.web.clone_from(web);
    }

    /// Works out which ports there shall be; `changed` is told each one that has something to do.
    pub fn plan(&mut self, mut changed: impl FnMut(Port)) {
        let mut wanted: Vec<(Transport, SocketAddr, bool), PORTS> = Vec::new();
        let sip = self.listen.iter().map(|listen| (listen.transport, listen.address, false));
        let web = self
            .web
            .iter()
            .map(|listen| (if listen.is_secure { Transport::Tls } else { Transport::Tcp }, listen.address, true));
        for (transport, listen, is_web) in sip.chain(web) {
            let is_any = listen.ip().is_unspecified();
            let own = self.addresses.iter().map(|local| local.ip);
            let fixed = (!is_any).then(|| listen.ip());
            let expanded = own.filter(|ip| is_any && ip.is_ipv4() == listen.is_ipv4());
            for ip in fixed.into_iter().chain(expanded) {
                let port = (transport, SocketAddr::new(ip, listen.port()), is_web);
                if !wanted.contains(&port) && wanted.push(port).is_err() {
                    log::warn!("not listening on {transport}:{}: at most {PORTS} sockets", port.1);
                }
            }
        }
        for (index, port) in self.ports.iter_mut().enumerate() {
            let is_wanted = wanted.contains(&(port.transport, port.address, port.is_web));
            match port.step {
                PortStep::Open | PortStep::Opening if !is_wanted => port.step = PortStep::ToClose,
                PortStep::ToOpen | PortStep::Failed { .. } if !is_wanted => port.step = PortStep::Vacant,
                PortStep::Failed { .. } => port.step = PortStep::ToOpen,
                _ => continue,
            }
            changed(Port(index as u8));
        }
        for (transport, address, is_web) in wanted {
            let is_there = |port: &PortState| {
                !matches!(port.step, PortStep::Vacant | PortStep::ToClose)
                    && (port.transport, port.address, port.is_web) == (transport, address, is_web)
            };
            if self.ports.iter().any(is_there) {
                continue;
            }
            let state = PortState { transport, address, is_web, step: PortStep::ToOpen };
            let vacant = self.ports.iter().position(|port| port.step == PortStep::Vacant);
            match vacant {
                Some(index) => self.ports[index] = state,
                None if self.ports.push(state).is_ok() => {}
                None => {
                    log::warn!("not listening on {transport}:{address}: at most {PORTS} sockets");
                    continue;
                }
            }
            changed(Port(vacant.unwrap_or(self.ports.len() - 1) as u8));
        }
    }

    /// The next thing to do about a port: `Some((state, true))` to open it, `Some((state, false))` to close it.
    pub fn port_step(&mut self, port: Port) -> Option<(PortState, bool)> {
        let state = self.ports.get_mut(usize::from(port.0))?;
        match state.step {
            PortStep::ToOpen => state.step = PortStep::Opening,
            PortStep::ToClose => {
                state.step = PortStep::Vacant;
                return Some((*state, false));
            }
            _ => return None,
        }
        Some((*state, true))
    }

    /// Takes the outcome of opening a port.
    pub fn opened(&mut self, now: Instant, port: Port, outcome: Result<SocketAddr, impl core::fmt::Debug>) {
        let Some(state) = self.ports.get_mut(usize::from(port.0)) else { return };
        match outcome {
            Ok(address) if state.step == PortStep::Opening => {
                state.address = address;
                state.step = PortStep::Open;
                log::info!("listening on {}:{address}{}", state.transport, if state.is_web { " (web)" } else { "" });
            }
            Err(error) if state.step == PortStep::Opening => {
                log::warn!("cannot listen on {}:{}: {error:?}", state.transport, state.address);
                state.step = PortStep::Failed { retry_at: now.plus(REOPEN_MS) };
            }
            _ => {}
        }
    }

    /// When to try again to open a port.
    pub fn port_deadline(&self, port: Port) -> Option<Instant> {
        match self.ports.get(usize::from(port.0))?.step {
            PortStep::Failed { retry_at } => Some(retry_at),
            _ => None,
        }
    }

    /// Tries again to open a port; whether there is something to do.
    pub fn reopen(&mut self, port: Port) -> bool {
        let Some(state) = self.ports.get_mut(usize::from(port.0)) else { return false };
        let failed = matches!(state.step, PortStep::Failed { .. });
        if failed {
            state.step = PortStep::ToOpen;
        }
        failed
    }

    /// A port that is open.
    pub fn port(&self, port: Port) -> Option<&PortState> {
        self.ports.get(usize::from(port.0)).filter(|state| state.step == PortStep::Open)
    }

    /// All open ports that speak SIP.
    pub fn open_ports(&self) -> impl Iterator<Item = (Port, &PortState)> {
        let is_sip = |state: &PortState| state.step == PortStep::Open && !state.is_web;
        let ports = self.ports.iter().enumerate().filter(move |(_, state)| is_sip(state));
        ports.map(|(index, state)| (Port(index as u8), state))
    }

    /// All open listeners for the web page.
    pub fn open_web_ports(&self) -> impl Iterator<Item = &PortState> {
        self.ports.iter().filter(|state| state.step == PortStep::Open && state.is_web)
    }

    /// The port from which a peer is best reached: on its network, else where the default route leaves, else any.
    pub fn port_towards(&self, transport: Transport, remote: IpAddr) -> Option<Port> {
        let rank = |ip: IpAddr| {
            let local = self.addresses.iter().filter(|local| local.ip == ip);
            let rank = local.map(|local| match () {
                () if local.reaches(remote) => 2 + u16::from(local.prefix),
                () => u16::from(local.default_route && !ip.is_loopback()),
            });
            rank.max().unwrap_or(0)
        };
        let usable = self
            .open_ports()
            .filter(|(_, state)| state.transport == transport && state.address.is_ipv4() == remote.is_ipv4());
        usable.max_by_key(|(port, state)| (rank(state.address.ip()), core::cmp::Reverse(port.0))).map(|(port, _)| port)
    }

    /// The open port with exactly this address.
    pub fn port_at(&self, transport: Transport, address: SocketAddr) -> Option<Port> {
        let mut ports = self.open_ports();
        ports.find(|(_, state)| state.transport == transport && state.address == address).map(|(port, _)| port)
    }

    /// Whether a port is (still) a UDP socket that reaches addresses of that family.
    pub fn can_send(&self, port: Port, remote: SocketAddr) -> bool {
        self.port(port)
            .is_some_and(|state| state.transport == Transport::Udp && state.address.is_ipv4() == remote.is_ipv4())
    }

    /// Our address on a flow, as Via and Record-Route write it.
    pub fn local(&self, flow: Flow) -> Option<SocketAddr> {
        match flow {
            Flow::Datagram { port, .. } => self.port(port).map(|state| state.address),
            Flow::Stream(stream) => self.stream(stream).map(|state| state.local),
        }
    }

    /// The address of the peer on a flow.
    pub fn remote(&self, flow: Flow) -> Option<SocketAddr> {
        match flow {
            Flow::Datagram { remote, .. } => Some(remote),
            Flow::Stream(stream) => self.stream(stream).map(|state| state.remote),
        }
    }

    /// The name to give to a peer instead of our address: when it is beyond the default route and the world knows us so.
    pub fn advertised(&self, remote: IpAddr) -> Option<&str> {
        if self.is_near(remote) { None } else { self.external.first().map(|name| name.as_str()) }
    }

    /// Whether an address is on a network of ours, so that nothing can be between.
    pub fn is_near(&self, remote: IpAddr) -> bool {
        remote.is_loopback() || self.addresses.iter().any(|local| local.prefix > 0 && local.reaches(remote))
    }

    /// Whether an address is one of ours.
    pub fn is_own_ip(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|local| local.ip == ip)
            || self.open_ports().any(|(_, state)| state.address.ip() == ip)
    }

    /// Whether an address is on a network of ours that is not the way out into the world.
    pub fn is_within(&self, ip: IpAddr) -> bool {
        let mut within = self.addresses.iter().filter(|local| local.prefix > 0 && !local.default_route);
        within.any(|local| local.reaches(ip))
    }

    /// Whether a URI's host and port mean this server by one of its addresses or names.
    pub fn is_own(&self, uri: &SipUri<'_>) -> bool {
        let number = port_of(uri);
        let is_address =
            |ip| self.open_ports().any(|(_, state)| state.address.ip() == ip && state.address.port() == number);
        uri.host.ip().is_some_and(is_address) || self.is_external(&uri.host) && self.has_port_number(number)
    }

    /// Whether a host is one of our addresses or external names, whatever the port.
    pub fn is_own_host(&self, host: &Host<'_>) -> bool {
        host.ip().is_some_and(|ip| self.open_ports().any(|(_, state)| state.address.ip() == ip))
            || self.is_external(host)
    }

    fn is_external(&self, host: &Host<'_>) -> bool {
        self.external.iter().any(|name| match host {
            Host::Name(text) => same_name(text, name.as_bytes()),
            _ => host.ip().is_some_and(|ip| name.trim_matches(['[', ']']).parse() == Ok(ip)),
        })
    }

    fn has_port_number(&self, number: u16) -> bool {
        self.open_ports().any(|(_, state)| state.address.port() == number)
    }

    /// A vacant stream slot's handle, if there is one.
    pub fn vacant_stream(&mut self) -> Option<Stream> {
        let vacant = self.streams.iter().position(|state| state.phase == Phase::Vacant);
        let index = match vacant {
            Some(index) => index,
            None => {
                self.streams.push(StreamState::vacant()).ok()?;
                self.streams.len() - 1
            }
        };
        Some(Stream { index: index as u16, generation: self.streams[index].generation })
    }

    /// Number of streams in use.
    pub fn streams(&self) -> usize {
        self.streams.iter().filter(|state| state.phase != Phase::Vacant).count()
    }

    /// Number of streams with a source: an address, or an IPv6 network. Those of accounts are our own wish.
    pub fn streams_from(&self, ip: IpAddr) -> usize {
        let source = source_of(ip);
        let counts = |state: &&StreamState| {
            state.is_usable() && !state.user.is_account() && source_of(state.remote.ip()) == source
        };
        self.streams.iter().filter(counts).count()
    }

    /// Begins a stream that a listener took.
    pub fn accept(&mut self, now: Instant, stream: Stream, listener: Port, remote: SocketAddr) {
        let Some(PortState { transport, address: local, is_web, .. }) = self.port(listener).copied() else { return };
        let (user, vacant) = (if is_web { StreamUser::Web } else { StreamUser::Sip }, StreamState::vacant());
        self.begin(
            stream,
            StreamState { phase: Phase::Open, transport, user, remote, local, active_at: now, ..vacant },
        );
    }

    /// Begins a stream to a peer; over TLS the peer has to prove to be `domain`. That of an account counts for TLS that
    /// begins later, too.
    pub fn connect(
        &mut self,
        now: Instant,
        transport: Transport,
        remote: SocketAddr,
        domain: &str,
        user: StreamUser,
    ) -> Option<Stream> {
        // A Via names a listener's address where there is one, so that the peer can come back to it.
        let order = [transport, Transport::Tcp, Transport::Udp];
        let port = order.into_iter().find_map(|transport| self.port_towards(transport, remote.ip()));
        let local = match (port, user) {
            (Some(port), _) => self.port(port)?.address,
            (None, StreamUser::Lookup(_) | StreamUser::Account { .. }) => NOWHERE,
            (None, StreamUser::Sip | StreamUser::Web) => return None,
        };
        // Only TLS proves one.
        let is_proven = transport == Transport::Tls || user.is_account();
        let domain = if is_proven { Name::try_from(domain).ok()? } else { Name::new() };
        let stream = self.vacant_stream()?;
        let (phase, vacant) = (Phase::ToConnect, StreamState::vacant());
        let state = StreamState { phase, transport, user, domain, remote, local, active_at: now, ..vacant };
        self.begin(stream, state);
        Some(stream)
    }

    fn begin(&mut self, stream: Stream, begun: StreamState) {
        if let Some(state) = self.streams.get_mut(usize::from(stream.index)) {
            *state = StreamState { generation: stream.generation, ..begun };
        }
    }

    /// The stream that is open, or being opened, to a peer; over TLS to one that is, or has to be, `domain`.
    pub fn stream_to(&self, transport: Transport, remote: SocketAddr, domain: &str) -> Option<Stream> {
        let fits = |state: &StreamState| match transport {
            Transport::Tls => {
                let is_same = |name: &Name| !domain.is_empty() && name.eq_ignore_ascii_case(domain);
                // RFC 5923 §4: the other end of one that it made is another port, but as well the domain itself.
                is_same(&state.domain) && state.remote == remote || state.is_alias && is_same(&state.proved)
            }
            _ => state.remote == remote,
        };
        let usable = |state: &StreamState| {
            state.transport == transport && state.user == StreamUser::Sip && state.is_usable() && fits(state)
        };
        let index = self.streams.iter().position(usable)?;
        Some(Stream { index: index as u16, generation: self.streams[index].generation })
    }

    /// What a flow speaks.
    pub fn transport(&self, flow: Flow) -> Transport {
        match flow {
            Flow::Datagram { .. } => Transport::Udp,
            Flow::Stream(stream) => self.stream(stream).map_or(Transport::Tcp, |state| state.transport),
        }
    }

    /// The domain that the other end of a flow has proven, or has to prove. Those of accounts are no flows of SIP.
    pub fn domain_of(&self, flow: Flow) -> Option<&str> {
        let Flow::Stream(stream) = flow else { return None };
        let state = self.stream(stream).filter(|state| !state.user.is_account())?;
        let names = [&state.domain, &state.proved];
        names.into_iter().find(|name| !name.is_empty()).map(|name| name.as_str())
    }

    /// The peers that have proven who they are, by domain, with their addresses.
    pub fn proven(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let up = self.streams.iter().filter(|state| state.is_usable() && !state.proved.is_empty());
        up.map(|state| (state.proved.as_str(), state.remote))
    }

    /// What proves a domain may be something else now: what was proven otherwise counts no more, and connections on which
    /// it does are closed; `changed` is told their slots.
    pub fn prove_anew(&mut self, is_as_before: impl Fn(StreamUser, &str) -> bool, mut changed: impl FnMut(usize)) {
        for (index, state) in self.streams.iter_mut().enumerate() {
            let mut names = [&state.domain, &state.proved].into_iter().filter(|name| !name.is_empty());
            if state.is_usable() && names.any(|name| !is_as_before(state.user, name)) {
                log::info!("the connection with {} is closed: it has to prove itself anew", state.remote);
                state.phase = Phase::ToClose;
                changed(index);
            }
        }
    }

    /// Whether the stream in a slot is of somebody who looks at the web page.
    pub fn is_web(&self, index: usize) -> bool {
        self.streams.get(index).is_some_and(|state| state.user == StreamUser::Web)
    }

    /// Says when a stream is closed because who reads it has waited long enough.
    pub fn set_patience(&mut self, stream: Stream, ends_at: Option<Instant>) {
        if let Some(state) = self.stream_mut(stream) {
            state.patience_ends_at = ends_at;
        }
    }

    /// The stream in a slot, while it can carry messages.
    pub fn stream_at(&self, index: usize) -> Option<Stream> {
        let state = self.streams.get(index).filter(|state| state.is_usable())?;
        Some(Stream { index: index as u16, generation: state.generation })
    }

    /// A stream's state, while it can carry messages.
    pub fn stream(&self, stream: Stream) -> Option<&StreamState> {
        let state = self.streams.get(usize::from(stream.index))?;
        (state.generation == stream.generation && state.is_usable()).then_some(state)
    }

    /// A stream's state to change it, while it can carry messages.
    pub fn stream_mut(&mut self, stream: Stream) -> Option<&mut StreamState> {
        let state = self.streams.get_mut(usize::from(stream.index))?;
        (state.generation == stream.generation && state.is_usable()).then_some(state)
    }

    /// The connection is up; our end's address.
    pub fn connected(&mut self, now: Instant, stream: Stream, local: SocketAddr) {
        if let Some(state) = self.stream_mut(stream)
            && state.phase == Phase::Connecting
        {
            // No Via names it, and the connection breaks when that address goes.
            if state.user.is_account() {
                state.local = local;
            }
            state.phase = Phase::Open;
            state.active_at = now;
            state.is_flush_due = state.out.is_some();
        }
    }

    /// Who began a stream over TLS and has not come through the handshake.
    pub fn unsecured(&self, stream: Stream) -> Option<IpAddr> {
        let state = self.streams.get(usize::from(stream.index)).filter(|it| it.generation == stream.generation)?;
        let is_unsecured = state.transport == Transport::Tls && state.domain.is_empty() && !state.is_secured;
        (is_unsecured && state.phase != Phase::Vacant).then_some(state.remote.ip())
    }

    /// The stream is gone; whether it was one of ours until now.
    pub fn closed(&mut self, stream: Stream, store: &mut Store) -> bool {
        let Some(state) = self.streams.get_mut(usize::from(stream.index)) else { return false };
        if state.generation != stream.generation || state.phase == Phase::Vacant {
            return false;
        }
        if let Some(out) = state.out.take() {
            store.release(out);
        }
        *state = StreamState { generation: stream.generation.wrapping_add(1), ..StreamState::vacant() };
        true
    }

    /// Asks for a stream to be closed.
    pub fn close(&mut self, stream: Stream) {
        if let Some(state) = self.stream_mut(stream) {
            state.phase = Phase::ToClose;
        }
    }

    /// The next thing the edge has to do about a stream.
    pub fn stream_step(&mut self, index: usize) -> Option<(Stream, StreamStep)> {
        let state = self.streams.get_mut(index)?;
        let stream = Stream { index: index as u16, generation: state.generation };
        match state.phase {
            Phase::ToConnect => {
                state.phase = Phase::Connecting;
                Some((stream, if state.is_local { StreamStep::ConnectLocal } else { StreamStep::Connect }))
            }
            Phase::Open | Phase::ToSecure if state.is_flush_due => {
                state.is_flush_due = false;
                Some((stream, StreamStep::Flush))
            }
            Phase::ToSecure if state.out.is_none() => {
                state.phase = Phase::Securing;
                Some((stream, StreamStep::StartTls))
            }
            Phase::ToClose => {
                state.phase = Phase::Closing;
                Some((stream, StreamStep::Close))
            }
            _ => None,
        }
    }

    /// Whether `len` more bytes can be queued on a stream.
    pub fn has_room(&self, stream: Stream, len: usize, store: &Store) -> bool {
        self.stream(stream).filter(|state| !state.is_securing()).is_some_and(|state| match &state.out {
            Some(out) => store.get(out).len() - state.out_start + len <= QUEUE_BYTES,
            None => true,
        })
    }

    /// Queues bytes on a stream; false when there is no room for them now.
    pub fn queue(&mut self, now: Instant, stream: Stream, bytes: &[u8], store: &mut Store) -> bool {
        let Some(state) = self.stream_mut(stream) else { return false };
        state.queue(now, bytes, store)
    }

    /// What a stream has to send.
    pub fn transmit_window<'s>(&self, stream: Stream, store: &'s Store) -> &'s [u8] {
        let state = self.streams.get(usize::from(stream.index)).filter(|state| state.generation == stream.generation);
        match state.and_then(|state| Some((state.out.as_ref()?, state.out_start))) {
            Some((out, start)) => &store.get(out)[start..],
            None => &[],
        }
    }

    /// Notes that the edge has sent so much of the window.
    pub fn transmitted(&mut self, now: Instant, stream: Stream, n: usize, store: &mut Store) {
        let Some(state) = self.streams.get_mut(usize::from(stream.index)) else { return };
        if state.generation != stream.generation {
            return;
        }
        state.out_start += n;
        state.active_at = now;
        let is_all = state.out.as_ref().is_some_and(|out| state.out_start >= store.get(out).len());
        if is_all {
            state.out_start = 0;
            state.out.take().into_iter().for_each(|out| store.release(out));
        }
        state.stalled_since = (!is_all).then_some(now);
    }

    /// Notes that bytes came in; `is_partial` when they end inside a message.
    pub fn received(&mut self, now: Instant, stream: Stream, is_partial: bool) {
        if let Some(state) = self.stream_mut(stream) {
            state.active_at = now;
            state.partial_since = is_partial.then(|| state.partial_since.unwrap_or(now));
        }
    }

    /// When a stream has been idle, slow or stalled for too long.
    pub fn stream_deadline(&self, index: usize) -> Option<Instant> {
        let state = self.streams.get(index)?;
        let is_account = state.user.is_account();
        match state.phase {
            Phase::Open => {}
            Phase::ToConnect | Phase::Connecting | Phase::ToSecure | Phase::Securing => {
                return Some(state.active_at.plus(if is_account { ACCOUNT_CONNECT_MS } else { CONNECT_MS }));
            }
            _ => return None,
        }
        let idle = (state.bindings == 0 && !is_account).then(|| state.active_at.plus(IDLE_MS));
        let partial = state.partial_since.map(|since| since.plus(STALL_MS));
        let stalled = state.stalled_since.map(|since| since.plus(STALL_MS));
        earliest(earliest(idle, state.patience_ends_at), earliest(partial, stalled))
    }

    /// Closes a stream whose deadline has come; whether it had.
    pub fn stream_due(&mut self, now: Instant, index: usize) -> bool {
        if self.stream_deadline(index).is_none_or(|deadline| deadline > now) {
            return false;
        }
        self.streams[index].phase = Phase::ToClose;
        true
    }

    /// When all slots are taken, asks for the one that was idle longest without a binding to be closed.
    pub fn make_room(&mut self) -> Option<usize> {
        let is_full = self.streams.is_full() && self.streams.iter().all(|state| state.phase != Phase::Vacant);
        if !is_full || self.streams.iter().any(|state| matches!(state.phase, Phase::ToClose | Phase::Closing)) {
            return None;
        }
        let is_idle =
            |state: &StreamState| state.phase == Phase::Open && state.bindings == 0 && !state.user.is_account();
        let idle = self.streams.iter().enumerate().filter(|(_, state)| is_idle(state));
        let (index, _) = idle.min_by_key(|(_, state)| state.active_at)?;
        self.streams[index].phase = Phase::ToClose;
        Some(index)
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamUser {
    /// Whether it is the connector of an account.
    pub const fn is_account(self) -> bool {
        matches!(self, Self::Account { .. })
    }
}

impl StreamState {
    const fn vacant() -> Self {
        Self {
            generation: 0,
            phase: Phase::Vacant,
            transport: Transport::Tcp,
            user: StreamUser::Sip,
            domain: Name::new(),
            is_secured: false,
            proved: Name::new(),
            is_alias: false,
            remote: NOWHERE,
            local: NOWHERE,
            out: None,
            out_start: 0,
            is_flush_due: false,
            active_at: Instant::ZERO,
            partial_since: None,
            stalled_since: None,
            bindings: 0,
            patience_ends_at: None,
            is_local: false,
        }
    }

    /// Whether the connection is up.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether TLS is about to begin on it, so that what comes in or goes out now is neither read nor taken.
    pub fn is_securing(&self) -> bool {
        matches!(self.phase, Phase::ToSecure | Phase::Securing)
    }

    fn is_usable(&self) -> bool {
        matches!(self.phase, Phase::ToConnect | Phase::Connecting | Phase::Open) || self.is_securing()
    }

    fn queue(&mut self, now: Instant, bytes: &[u8], store: &mut Store) -> bool {
        let mut out = match self.out.take() {
            Some(out) => out,
            None => {
                self.out_start = 0;
                let Some(mut out) = store.allocate(bytes.len()) else { return false };
                store.resize(&mut out, 0);
                self.stalled_since = Some(now);
                out
            }
        };
        let len = store.get(&out).len();
        let total = len - self.out_start + bytes.len();
        if len + bytes.len() > store.capacity(&out) {
            // Move what is left to the front of a block that is large enough.
            let Some(larger) = (total <= QUEUE_BYTES).then(|| store.allocate(total)).flatten() else {
                self.out = Some(out);
                return false;
            };
            store.copy(&out, self.out_start, &larger);
            store.release(core::mem::replace(&mut out, larger));
            self.out_start = 0;
        } else {
            store.resize(&mut out, len + bytes.len());
        }
        let end = store.get(&out).len();
        store.get_mut(&out)[end - bytes.len()..].copy_from_slice(bytes);
        self.out = Some(out);
        self.is_flush_due = true;
        true
    }
}

/// A stream holds at most so many unsent bytes; more waits in the transactions.
const QUEUE_BYTES: usize = 65_536;
