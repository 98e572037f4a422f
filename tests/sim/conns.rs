//! Streams of the simulated world: between phones, servers and name servers, in pieces, with resets, and the TLS on them.
//!
//! TLS is played by the world as an edge does it: who makes the connection gets it only when the other end proves to be
//! [`Server::expected`](pcsd::server::Server::expected), and both learn who the other has proven to be. Its bytes are
//! plain here.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::world::{Event, Link, World, messages, same_net};
use pcsd::base::net::{PeerIdentity, Port, Stream, Transport};
use pcsd::server::contract::{Input, Reason};

/// A stream between two ends.
pub struct Conn {
    /// Who.
    pub ends: [End; 2],
    /// As each end sees the other.
    pub remotes: [SocketAddr; 2],
    /// TCP or TLS.
    pub transport: Transport,
    /// Whether it is there still.
    pub is_open: bool,
    /// Whether an end takes nothing more.
    pub stalled: [bool; 2],
    /// Bytes that still come from a server of another network before it breaks.
    fuse: Option<usize>,
    inbox: [VecDeque<u8>; 2],
    seen: [Vec<u8>; 2],
    last_at: [u64; 2],
}

/// An end of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A server, with its handle.
    Server(usize, Stream),
    /// A phone.
    Phone(usize),
    /// A name server.
    Names(usize),
    /// A server of another network.
    Service(usize),
    /// Nobody yet, or nobody any more.
    Nobody,
}

impl Conn {
    /// Bytes that have come to an end and were not read there.
    pub fn unread(&self, end: usize) -> usize {
        self.inbox[end].len()
    }
}

impl World {
    /// Opens a connection from a phone to a server's listener; its index.
    pub fn connect(&mut self, phone: usize, to: SocketAddr) -> usize {
        let port = 30_000 + self.conns.len() as u16;
        let from = match self.phones[phone].nat {
            Some(nat) => SocketAddr::new(self.nats[nat].ip, port),
            None => SocketAddr::new(self.phones[phone].address.ip(), port),
        };
        let transport = if self.phones[phone].is_tls { Transport::Tls } else { Transport::Tcp };
        let conn = self.open([End::Phone(phone), End::Nobody], [to, from], transport);
        let at = self.now + self.link.delay.0;
        self.conns[conn].last_at = [at; 2];
        self.push(at, Event::Syn { conn, listener: to });
        self.phones[phone].connected(conn, to);
        conn
    }

    /// Ends a connection from one end, in order or by a reset. The other end learns of it.
    pub fn hang_up(&mut self, conn: usize, end: usize, is_reset: bool) {
        if is_reset {
            self.conns[conn].inbox[1 - end].clear();
        }
        let at = (self.now + self.link.delay.0).max(self.conns[conn].last_at[1 - end]);
        self.conns[conn].last_at[1 - end] = at;
        if let End::Phone(phone) = self.conns[conn].ends[end] {
            self.phones[phone].disconnected(conn);
        }
        self.push(at, Event::Fin { conn, end: 1 - end, is_reset });
    }

    /// A phone ends a connection of its own.
    pub fn hang_up_of(&mut self, phone: usize, conn: usize, is_reset: bool) {
        self.hang_up(conn, self.end_of(conn, phone), is_reset);
    }

    /// All streams of a server that has ended are reset; nothing on them reaches the next one.
    pub(crate) fn reset_streams_of(&mut self, server: usize) {
        for conn in 0..self.conns.len() {
            for end in 0..2 {
                if self.conns[conn].is_open && matches!(self.conns[conn].ends[end], End::Server(it, _) if it == server)
                {
                    self.conns[conn].ends[end] = End::Nobody;
                    self.conns[conn].inbox[end].clear();
                    self.hang_up(conn, end, true);
                }
            }
        }
    }

    /// Sends bytes from one end of a connection.
    pub fn send_bytes(&mut self, conn: usize, end: usize, bytes: &[u8]) {
        let Link { delay, piece, .. } = self.link;
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = rest.len().min(piece);
            let len = if piece == usize::MAX { most } else { 1 + self.random.below(most as u64) as usize };
            let at = self.now + delay.0 + self.random.below(delay.1 - delay.0 + 1);
            let at = at.max(self.conns[conn].last_at[1 - end]);
            self.conns[conn].last_at[1 - end] = at;
            self.push(at, Event::Bytes { conn, end: 1 - end, bytes: rest[..len].to_vec() });
            rest = &rest[len..];
        }
    }

    /// Bytes have arrived at an end.
    pub(crate) fn received(&mut self, conn: usize, end: usize, mut bytes: Vec<u8>) {
        if !self.conns[conn].is_open {
            return;
        }
        if let Some(left) = self.conns[conn].fuse.filter(|_| end == 0) {
            if left < bytes.len() {
                bytes.truncate(left);
                self.conns[conn].fuse = None;
                self.received(conn, end, bytes);
                return self.break_conn(conn);
            }
            self.conns[conn].fuse = Some(left - bytes.len());
        }
        self.conns[conn].inbox[end].extend(bytes);
        let take = |inbox: &mut VecDeque<u8>| inbox.drain(..).collect::<Vec<u8>>();
        match self.conns[conn].ends[end] {
            End::Phone(phone) => {
                let bytes = take(&mut self.conns[conn].inbox[end]);
                self.phones[phone].streamed(self.now, conn, &bytes);
            }
            End::Server(..) => self.read_into_server(conn),
            End::Names(names) => {
                let inbox = &mut self.conns[conn].inbox[end];
                let (bytes, used) = self.names[names].answer_stream(inbox.make_contiguous());
                inbox.drain(..used);
                self.send_bytes(conn, end, &bytes);
            }
            End::Service(service) => {
                let bytes = take(&mut self.conns[conn].inbox[end]);
                self.note_text(conn, "hears", &bytes);
                let said = self.services[service].play.received(self.now, conn, &bytes);
                self.say(said);
            }
            End::Nobody => self.conns[conn].inbox[end].clear(),
        }
    }

    /// An end learns that the other has gone.
    pub(crate) fn ended(&mut self, conn: usize, end: usize, is_reset: bool) {
        if !std::mem::take(&mut self.conns[conn].is_open) {
            return;
        }
        if self.conns[conn].ends.iter().any(|end| matches!(end, End::Service(_))) {
            self.note(format!("#{conn} is over{}", if is_reset { ", reset" } else { "" }));
        }
        match self.conns[conn].ends[end] {
            End::Phone(phone) => self.phones[phone].disconnected(conn),
            End::Server(server, stream) => {
                let reason = if is_reset { Reason::Broken } else { Reason::PeerClosed };
                self.input(server, Input::Closed(stream, reason));
            }
            End::Service(service) => self.services[service].play.closed(self.now, conn),
            End::Names(_) | End::Nobody => {}
        }
    }

    /// A connection breaks in the middle: both ends learn of it at once.
    pub fn break_conn(&mut self, conn: usize) {
        self.ended(conn, 0, true);
        self.conns[conn].is_open = true;
        self.ended(conn, 1, true);
    }

    fn open(&mut self, ends: [End; 2], remotes: [SocketAddr; 2], transport: Transport) -> usize {
        self.conns.push(Conn {
            ends,
            remotes,
            transport,
            is_open: true,
            stalled: [false; 2],
            fuse: None,
            inbox: Default::default(),
            seen: Default::default(),
            last_at: [self.now; 2],
        });
        self.conns.len() - 1
    }

    /// The server that listens there, and its listener.
    fn listener_at(&self, transport: Transport, address: SocketAddr) -> Option<(usize, Port)> {
        let listener = |host: &crate::host::Host| {
            host.ports.iter().find(|(_, it)| **it == (transport, address)).map(|(port, _)| Port(*port))
        };
        if self.cut.contains(&address.ip()) {
            return None;
        }
        self.servers.iter().enumerate().find_map(|(index, host)| Some((index, listener(host)?)))
    }

    /// A phone's connection has come to a listener, or to nobody.
    pub(crate) fn accept(&mut self, conn: usize, listener: SocketAddr) {
        let transport = self.conns[conn].transport;
        let Some(stream) = self.take_connection(conn, listener) else {
            self.note(format!("connection {conn} is refused"));
            self.conns[conn].is_open = false;
            if let End::Phone(phone) = self.conns[conn].ends[0] {
                self.phones[phone].disconnected(conn);
            }
            return;
        };
        if transport == Transport::Tls
            && let End::Server(server, _) = self.conns[conn].ends[1]
        {
            // Phones have no certificate.
            self.input(server, Input::Secured { stream, identity: &PeerIdentity::default() });
        }
    }

    /// The server at that address takes a connection.
    fn take_connection(&mut self, conn: usize, listener: SocketAddr) -> Option<Stream> {
        let (server, port) = self.listener_at(self.conns[conn].transport, listener)?;
        let stream = self.servers[server].server.vacant_stream()?;
        self.conns[conn].ends[1] = End::Server(server, stream);
        let from = self.conns[conn].remotes[1];
        self.input(server, Input::Accepted { stream, listener: port, from });
        Some(stream)
    }

    /// A server's connection has come to where it was to go.
    pub(crate) fn established(&mut self, conn: usize, local: SocketAddr) {
        let End::Server(server, stream) = self.conns[conn].ends[0] else { return };
        let (to, transport) = (self.conns[conn].remotes[0], self.conns[conn].transport);
        let is_cut = self.cut.contains(&to.ip());
        let is_phone = |phone: &crate::phone::Phone| phone.address == to && phone.listens && !phone.is_off && !is_cut;
        let phone = self.phones.iter().position(is_phone).filter(|_| transport == Transport::Tcp);
        let names = self.names.iter().position(|it| it.address == to && !it.manner.is_silent && !is_cut);
        let service = self.services.iter().position(|it| it.address == to && !it.is_off && !is_cut);
        let mut identity = None;
        if let Some(phone) = phone {
            self.conns[conn].ends[1] = End::Phone(phone);
            self.phones[phone].connected(conn, local);
        } else if let Some(names) = names {
            self.conns[conn].ends[1] = End::Names(names);
        } else if let Some(service) = service {
            self.conns[conn].ends[1] = End::Service(service);
            self.conns[conn].fuse = self.fuse;
            if transport == Transport::Tls {
                let proof = self.services[service].identity.clone();
                if !self.is_expected(server, stream, &proof) {
                    return self.refused(conn, (server, stream), Reason::Unsecured);
                }
                identity = Some(proof);
            }
        } else {
            let Some(theirs) = self.take_connection(conn, to) else {
                return self.refused(conn, (server, stream), Reason::NotConnected);
            };
            if transport == Transport::Tls {
                let End::Server(other, _) = self.conns[conn].ends[1] else { return };
                let proof = self.servers[other].identity.clone();
                if !self.is_expected(server, stream, &proof) {
                    self.note(format!("connection {conn}: the other end is somebody else"));
                    self.refused(conn, (server, stream), Reason::Unsecured);
                    return self.input(other, Input::Closed(theirs, Reason::Broken));
                }
                let ours = self.servers[server].identity.clone();
                self.input(other, Input::Secured { stream: theirs, identity: &ours });
                identity = Some(proof);
            }
        }
        self.input(server, Input::Connected { stream, local });
        if let Some(identity) = &identity {
            self.input(server, Input::Secured { stream, identity });
        }
        if let Some(service) = service.filter(|_| self.conns[conn].is_open) {
            let said = self.services[service].play.opened(self.now, conn);
            self.say(said);
        }
    }

    fn refused(&mut self, conn: usize, (server, stream): (usize, Stream), reason: Reason) {
        self.conns[conn].is_open = false;
        self.input(server, Input::Closed(stream, reason));
    }

    /// Whether the far end is who the server wants: by the peer's keys when it has any, else by the names in a certificate.
    pub(crate) fn is_expected(&self, server: usize, stream: Stream, proof: &PeerIdentity) -> bool {
        let Some(expected) = self.servers[server].server.expected(stream) else { return false };
        match expected.pins {
            [] => proof.names.iter().any(|name| name.as_str() == expected.domain),
            pins => proof.key.is_some_and(|key| pins.contains(&key)),
        }
    }

    /// Gives the server what has arrived, as far as it takes it.
    pub(crate) fn read_into_server(&mut self, conn: usize) {
        for end in 0..2 {
            let End::Server(server, stream) = self.conns[conn].ends[end] else { continue };
            while self.conns[conn].is_open && !self.conns[conn].inbox[end].is_empty() {
                let inbox = &mut self.conns[conn].inbox[end];
                let window = self.servers[server].server.receive_window(stream);
                let n = window.len().min(inbox.len()).min(self.link.piece);
                if n == 0 {
                    break;
                }
                let bytes: Vec<u8> = inbox.drain(..n).collect();
                window[..n].copy_from_slice(&bytes);
                if !matches!(self.conns[conn].ends[1 - end], End::Names(_) | End::Service(_)) {
                    self.read_message(conn, end, server, &bytes);
                }
                self.input(server, Input::Received(stream, n));
            }
        }
    }

    /// Shows the ledger what a server reads.
    fn read_message(&mut self, conn: usize, end: usize, server: usize, bytes: &[u8]) {
        self.conns[conn].seen[end].extend(bytes);
        for msg in messages(&mut self.conns[conn].seen[end]) {
            self.note(format!("#{conn} read {} ({}) {}", msg.start, msg.get("CSeq"), msg.branch()));
            if let End::Server(other, _) = self.conns[conn].ends[1 - end] {
                self.ledger.left(self.now, other, &msg);
                self.leaves(other, self.conns[conn].remotes[1 - end], &msg);
            }
            self.ledger.reached(self.now, server, Some(conn), &msg);
        }
    }

    pub(crate) fn flush(&mut self, server: usize, stream: Stream) {
        let now = self.clock(server);
        let Some((conn, end)) = self.conn_of(server, stream) else { return };
        while !self.conns[conn].stalled[1 - end] {
            let window = self.servers[server].server.transmit_window(stream);
            if window.is_empty() {
                break;
            }
            let n = window.len().min(self.link.piece);
            let bytes = window[..n].to_vec();
            self.servers[server].server.transmitted(now, stream, n);
            if let End::Phone(phone) = self.conns[conn].ends[1 - end] {
                let to = self.phones[phone].address;
                self.conns[conn].seen[1 - end].extend(&bytes);
                for msg in messages(&mut self.conns[conn].seen[1 - end]) {
                    self.note(format!("#{conn} <= {} ({})", msg.start, msg.get("CSeq")));
                    self.ledger.left(self.now, server, &msg);
                    self.leaves(server, to, &msg);
                }
            }
            self.send_bytes(conn, end, &bytes);
        }
    }

    /// A server closes a stream.
    pub(crate) fn close_from(&mut self, server: usize, stream: Stream) {
        let now = self.clock(server);
        self.flush(server, stream);
        if let Some((conn, end)) = self.conn_of(server, stream) {
            self.conns[conn].inbox[end].clear();
            self.hang_up(conn, end, false);
        }
        self.servers[server].server.handle(now, Input::Closed(stream, Reason::Asked));
    }

    pub(crate) fn conn_of(&self, server: usize, stream: Stream) -> Option<(usize, usize)> {
        let is_it = |end: &End| *end == End::Server(server, stream);
        let found = self.conns.iter().enumerate().rev().filter(|(_, conn)| conn.is_open);
        found.filter_map(|(index, conn)| Some((index, conn.ends.iter().position(is_it)?))).next()
    }

    /// A server opens a connection.
    pub(crate) fn connect_from(&mut self, server: usize, stream: Stream, to: SocketAddr, transport: Transport) {
        let ip = self.servers[server].ips.iter().find(|ip| same_net(**ip, to.ip()));
        let ip = *ip.unwrap_or(self.servers[server].ips.last().unwrap());
        let local = SocketAddr::new(ip, 40_000 + self.conns.len() as u16);
        let at = self.now + self.link.delay.0;
        let conn = self.open([End::Server(server, stream), End::Nobody], [to, local], transport);
        self.conns[conn].last_at = [at; 2];
        self.note(format!("connection {conn} from {local} to {transport}:{to}"));
        // Nobody answers where nothing is; somebody refuses where nothing listens.
        self.push(at, Event::Up { conn, local });
    }

    /// Which end of a connection a phone is.
    pub fn end_of(&self, conn: usize, phone: usize) -> usize {
        self.conns[conn].ends.iter().position(|end| *end == End::Phone(phone)).expect("the phone's own connection")
    }
}
