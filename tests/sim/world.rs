//! The simulated world: servers, phones, and the network between them, in virtual time from one seed.
//!
//! [`World::step`] jumps to the next thing that happens: a datagram or piece of a stream arrives, a server's or phone's
//! deadline comes. The server is driven exactly as the runtime drives it: one input, then outputs until there is none.
//! Links lose, duplicate, delay and so reorder; NATs are symmetric and forget; streams cut their bytes anywhere, reset, and
//! stall. When a run fails its seed and the last messages are printed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::ledger::Ledger;
use crate::message::Msg;
use crate::phone::{Act, Phone};
use crate::random::Rng;
use pcsd::base::net::{LocalAddress, Port, PortSet, Stream, Transport};
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Model;
use pcsd::server::Server;
use pcsd::server::contract::{Credits, Input, Output, Reason, Seed};

/// The home server's address on its LAN and towards the world.
pub const LAN: &str = "192.168.1.1:5060";
/// The same towards the world.
pub const WAN: &str = "192.0.2.1:5060";

/// Everything there is.
pub struct World {
    /// Milliseconds since the world began.
    pub now: u64,
    /// Chance.
    pub random: Rng,
    /// How links are.
    pub link: Link,
    /// Hosts that are cut off.
    pub cut: BTreeSet<IpAddr>,
    /// NATs.
    pub nats: Vec<Nat>,
    /// Servers.
    pub servers: Vec<Host>,
    /// Phones.
    pub phones: Vec<Phone>,
    /// Streams.
    pub conns: Vec<Conn>,
    /// What must hold.
    pub ledger: Ledger,
    seed: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    trace: VecDeque<String>,
    fingerprint: u64,
    kept_lines: usize,
    buffer: Vec<u8>,
}

/// What happens to what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Datagrams lost, per mille.
    pub loss: u64,
    /// Datagrams that arrive twice, per mille.
    pub duplicate: u64,
    /// Shortest and longest time on the way, ms: what differs is reordered.
    pub delay: (u64, u64),
    /// Largest piece that a stream's bytes arrive in.
    pub piece: usize,
}

impl Link {
    /// Nothing goes wrong.
    pub const GOOD: Self = Self { loss: 0, duplicate: 0, delay: (2, 2), piece: usize::MAX };
    /// A bad wireless network.
    pub const BAD: Self = Self { loss: 120, duplicate: 100, delay: (1, 120), piece: 700 };
}

/// A router that hides phones: another outer port for each remote address, forgotten after 30 s without anything sent.
pub struct Nat {
    /// Its outer address.
    pub ip: IpAddr,
    mappings: Vec<Mapping>,
    next_port: u16,
}

struct Mapping {
    inner: SocketAddr,
    outer: u16,
    remote: SocketAddr,
    used_at: u64,
}

const MAPPING_MS: u64 = 30_000;

/// A machine with a server on it.
pub struct Host {
    /// The server.
    pub server: Box<Server>,
    /// Its sockets.
    pub ports: BTreeMap<u8, (Transport, SocketAddr)>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Sockets that can be written.
    pub credits: PortSet,
}

/// A stream between two ends.
pub struct Conn {
    /// Who.
    pub ends: [End; 2],
    /// As each end sees the other.
    pub remotes: [SocketAddr; 2],
    /// Whether it is there still.
    pub is_open: bool,
    /// Whether an end takes nothing more.
    pub stalled: [bool; 2],
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
}

enum Event {
    Datagram { to: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
    Syn { conn: usize, listener: SocketAddr },
    Up { conn: usize, local: SocketAddr },
    Refused { server: usize, stream: Stream },
    Bytes { conn: usize, end: usize, bytes: Vec<u8> },
    Fin { conn: usize, end: usize, is_reset: bool },
}

/// The configuration of the first home.
pub const HOME: &str = "
config pcsd 'main'
    option domain 'home.example'
    list listen 'udp:0.0.0.0:5060'
    list listen 'tcp:0.0.0.0:5060'
config person 'alice'
    option password 'wonderland'
config person 'bob'
    option password 'builder'
config person 'carol'
    option password 'singer'
config device 'tv'
    option person 'carol'
    option password 'channel'
    list takes 'video'
";

impl World {
    /// A world with the first home's server, open on its LAN and towards the world.
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            now: 1_000,
            random: Rng::new(seed),
            link: Link::GOOD,
            cut: BTreeSet::new(),
            nats: Vec::new(),
            servers: Vec::new(),
            phones: Vec::new(),
            conns: Vec::new(),
            ledger: Ledger::default(),
            seed,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            trace: VecDeque::new(),
            fingerprint: 0,
            // Who runs one seed again wants to see all of it.
            kept_lines: if std::env::var("SIM_SEED").is_ok() { usize::MAX } else { 80 },
            buffer: vec![0; 70_000],
        };
        world.host(HOME, &[("192.168.1.1", 24, false), ("192.0.2.1", 24, true)]);
        world
    }

    /// Adds a server with this configuration and these addresses (with prefix, and whether the world is there).
    pub fn host(&mut self, text: &str, addresses: &[(&str, u8, bool)]) -> usize {
        let mut model = Box::new(Model::new());
        let faults = model.read(text.as_bytes(), &mut |fault| eprintln!("{fault}"));
        assert_eq!(faults, 0, "the configuration is right");
        let locals: Vec<LocalAddress> = addresses
            .iter()
            .map(|(ip, prefix, default_route)| LocalAddress {
                ip: ip.parse().unwrap(),
                prefix: *prefix,
                default_route: *default_route,
            })
            .collect();
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.random.next().to_le_bytes());
        key[8..].copy_from_slice(&self.random.next().to_le_bytes());
        let now = Instant::from_millis(self.now);
        let mut server = Box::new(Server::new());
        server.seed(now, &Seed { key, lasting: key, boot: 1 });
        server.handle(now, Input::WallClock(UnixTime(1_700_000_000)));
        server.handle(now, Input::Configuration(&model));
        server.handle(now, Input::Addresses(&locals));
        let ips = locals.iter().map(|local| local.ip).collect();
        self.servers.push(Host { server, ports: BTreeMap::new(), ips, credits: PortSet::ALL });
        let index = self.servers.len() - 1;
        self.drain(index);
        index
    }

    /// Gives a server another configuration.
    pub fn configure(&mut self, index: usize, text: &str) {
        let mut model = Box::new(Model::new());
        assert_eq!(model.read(text.as_bytes(), &mut |fault| eprintln!("{fault}")), 0);
        self.input(index, Input::Configuration(&model));
    }

    /// Adds a phone; its index.
    pub fn add(&mut self, mut phone: Phone) -> usize {
        phone.seed(self.random.next());
        self.phones.push(phone);
        self.phones.len() - 1
    }

    /// Adds a NAT; its index.
    pub fn add_nat(&mut self, ip: &str) -> usize {
        self.nats.push(Nat { ip: ip.parse().unwrap(), mappings: Vec::new(), next_port: 20_000 });
        self.nats.len() - 1
    }

    /// A NAT forgets everything, and takes other ports from now on.
    pub fn rebind(&mut self, nat: usize) {
        self.nats[nat].mappings.clear();
        self.nats[nat].next_port += 1_000;
    }

    /// The first server.
    pub fn home(&self) -> &Server {
        &self.servers[0].server
    }

    /// The present as the server knows it.
    pub fn instant(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// Number of bindings of the first server.
    pub fn bindings(&self) -> usize {
        self.home().status(self.instant()).bindings
    }

    /// Lets so much time pass.
    pub fn run(&mut self, ms: u64) {
        self.settle();
        let end = self.now + ms;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until `is_done`, at most `ms`; whether it came to be.
    pub fn run_until(&mut self, ms: u64, is_done: impl Fn(&Self) -> bool) -> bool {
        self.settle();
        let end = self.now + ms;
        while !is_done(self) {
            match self.next_at() {
                Some(at) if at <= end => self.step(),
                _ => {
                    self.now = end;
                    return is_done(self);
                }
            }
        }
        true
    }

    /// Ends the run: the phones let go of everything, all deadlines pass, and nothing may be left.
    pub fn finish(mut self) {
        self.link = Link::GOOD;
        self.servers.iter_mut().for_each(|host| host.credits = PortSet::ALL);
        self.phones.iter_mut().for_each(Phone::retire);
        // Longer than the longest call rings.
        self.run(450_000);
        let eaten = std::mem::take(&mut self.ledger.eaten);
        self.phones.iter().for_each(|phone| phone.check(&eaten));
        for conn in 0..self.conns.len() {
            self.conns[conn].stalled = [false; 2];
        }
        self.ledger.check(|conn| self.conns[conn].is_open);
        self.run(8_000_000);
        for host in &self.servers {
            let status = host.server.status(Instant::from_millis(self.now));
            assert_eq!(status.bindings, 0, "bindings are left");
            assert!(host.server.is_at_rest(), "not at rest: {status}");
            assert_eq!(host.server.poll_timeout(), None, "a deadline is left");
        }
    }

    /// Jumps to the next thing that happens.
    pub fn step(&mut self) {
        let Some(at) = self.next_at() else { return };
        self.now = self.now.max(at);
        if let Some(Reverse((due, id))) = self.queue.peek().copied()
            && due <= self.now
        {
            self.queue.pop();
            if let Some(event) = self.events.remove(&id) {
                self.happen(event);
            }
        } else if let Some(server) = self.due_server() {
            self.input(server, Input::Timeout);
            let next = self.servers[server].server.poll_timeout();
            assert!(next.is_none_or(|next| next.millis() > self.now), "a deadline that has come is left over");
        } else if let Some(phone) =
            self.phones.iter().position(|phone| phone.next_at().is_some_and(|at| at <= self.now))
        {
            self.phones[phone].tick(self.now);
        }
        self.settle();
    }

    /// Sends what the phones have to send.
    pub fn settle(&mut self) {
        for phone in 0..self.phones.len() {
            while let Some(act) = self.phones[phone].acts.pop_front() {
                self.act(phone, act);
            }
        }
        for conn in 0..self.conns.len() {
            self.read_into_server(conn);
        }
    }

    /// Puts a datagram on its way to a server as if `from` had sent it.
    pub fn inject(&mut self, from: &str, to: &str, bytes: &[u8]) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        self.push(self.now, Event::Datagram { to, from, bytes: bytes.to_vec() });
    }

    /// Opens a connection from a phone to a server's listener; its index.
    pub fn connect(&mut self, phone: usize, to: SocketAddr) -> usize {
        let port = 30_000 + self.conns.len() as u16;
        let from = match self.phones[phone].nat {
            Some(nat) => SocketAddr::new(self.nats[nat].ip, port),
            None => SocketAddr::new(self.phones[phone].address.ip(), port),
        };
        let nobody = End::Phone(usize::MAX);
        let conn = self.open([End::Phone(phone), nobody], [to, from]);
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

    fn open(&mut self, ends: [End; 2], remotes: [SocketAddr; 2]) -> usize {
        self.conns.push(Conn {
            ends,
            remotes,
            is_open: true,
            stalled: [false; 2],
            inbox: Default::default(),
            seen: Default::default(),
            last_at: [self.now; 2],
        });
        self.conns.len() - 1
    }

    fn next_at(&self) -> Option<u64> {
        let queued = self.queue.peek().map(|Reverse((at, _))| *at);
        let servers = self.servers.iter().filter_map(|host| host.server.poll_timeout().map(Instant::millis));
        let phones = self.phones.iter().filter_map(Phone::next_at);
        queued.into_iter().chain(servers).chain(phones).min()
    }

    fn due_server(&self) -> Option<usize> {
        let is_due = |host: &Host| host.server.poll_timeout().is_some_and(|at| at.millis() <= self.now);
        self.servers.iter().position(is_due)
    }

    fn push(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { to, from, bytes } => self.arrive(to, from, &bytes),
            Event::Syn { conn, listener } => self.accept(conn, listener),
            Event::Up { conn, local } => self.established(conn, local),
            Event::Refused { server, stream } => self.input(server, Input::Closed(stream, Reason::NotConnected)),
            Event::Bytes { conn, end, bytes } if self.conns[conn].is_open => {
                self.conns[conn].inbox[end].extend(bytes);
                match self.conns[conn].ends[end] {
                    End::Phone(phone) => {
                        let bytes: Vec<u8> = self.conns[conn].inbox[end].drain(..).collect();
                        self.phones[phone].streamed(self.now, conn, &bytes);
                    }
                    End::Server(..) => self.read_into_server(conn),
                }
            }
            Event::Bytes { .. } => {}
            Event::Fin { conn, end, is_reset } if self.conns[conn].is_open => {
                self.conns[conn].is_open = false;
                match self.conns[conn].ends[end] {
                    End::Phone(phone) => self.phones[phone].disconnected(conn),
                    End::Server(server, stream) => {
                        let reason = if is_reset { Reason::Broken } else { Reason::PeerClosed };
                        self.input(server, Input::Closed(stream, reason));
                    }
                }
            }
            Event::Fin { .. } => {}
        }
    }

    fn arrive(&mut self, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        let inner = self.nats.iter().find(|nat| nat.ip == to.ip()).map(|nat| {
            let is_it = |it: &&Mapping| it.outer == to.port() && it.remote == from && now - it.used_at < MAPPING_MS;
            nat.mappings.iter().find(is_it).map(|mapping| mapping.inner)
        });
        let to = match inner {
            Some(None) => {
                self.note(format!("{from} -> {to}: stopped by the NAT"));
                return self.eat(bytes);
            }
            Some(Some(inner)) => inner,
            None => to,
        };
        let server = self.servers.iter().position(|host| host.ips.contains(&to.ip()));
        if let Some(server) = server {
            let port = self.servers[server].ports.iter().find(|(_, port)| **port == (Transport::Udp, to));
            let Some(port) = port.map(|(port, _)| Port(*port)) else { return };
            if let Some((msg, _)) = readable(bytes) {
                self.ledger.reached(now, server, None, &msg);
            }
            return self.input(server, Input::Datagram { port, from, bytes });
        }
        let phone = self.phones.iter().position(|phone| phone.address == to && !phone.is_off);
        match phone {
            Some(phone) => self.phones[phone].datagram(now, from, bytes),
            None => self.eat(bytes),
        }
    }

    fn accept(&mut self, conn: usize, listener: SocketAddr) {
        let server =
            self.servers.iter().position(|host| host.ports.values().any(|it| *it == (Transport::Tcp, listener)));
        let is_cut = self.cut.contains(&listener.ip());
        let stream = server.filter(|_| !is_cut).and_then(|server| self.servers[server].server.vacant_stream());
        let (Some(server), Some(stream)) = (server, stream) else {
            self.note(format!("connection {conn} is refused"));
            self.conns[conn].is_open = false;
            if let End::Phone(phone) = self.conns[conn].ends[0] {
                self.phones[phone].disconnected(conn);
            }
            return;
        };
        self.conns[conn].ends[1] = End::Server(server, stream);
        let from = self.conns[conn].remotes[1];
        let ports = &self.servers[server].ports;
        let port =
            ports.iter().find(|(_, it)| **it == (Transport::Tcp, listener)).map(|(port, _)| Port(*port)).unwrap();
        self.input(server, Input::Accepted { stream, listener: port, from });
    }

    fn established(&mut self, conn: usize, local: SocketAddr) {
        let End::Server(server, stream) = self.conns[conn].ends[0] else { return };
        match self.conns[conn].ends[1] {
            End::Phone(phone) => self.phones[phone].connected(conn, local),
            End::Server(other, listener_stream) => {
                let to = self.conns[conn].remotes[0];
                let ports = &self.servers[other].ports;
                let port =
                    ports.iter().find(|(_, it)| **it == (Transport::Tcp, to)).map(|(port, _)| Port(*port)).unwrap();
                self.input(other, Input::Accepted { stream: listener_stream, listener: port, from: local });
            }
        }
        self.input(server, Input::Connected { stream, local });
    }

    /// Gives the server what has arrived, as far as it takes it.
    fn read_into_server(&mut self, conn: usize) {
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
                self.conns[conn].seen[end].extend(&bytes);
                for msg in messages(&mut self.conns[conn].seen[end]) {
                    self.note(format!("#{conn} read {} ({}) {}", msg.start, msg.get("CSeq"), msg.branch()));
                    if let End::Server(other, _) = self.conns[conn].ends[1 - end] {
                        self.ledger.left(self.now, other, &msg);
                    }
                    self.ledger.reached(self.now, server, Some(conn), &msg);
                }
                self.input(server, Input::Received(stream, n));
            }
        }
    }

    /// One turn of a server.
    pub fn input(&mut self, server: usize, input: Input<'_>) {
        let now = Instant::from_millis(self.now);
        self.servers[server].server.handle(now, input);
        self.drain(server);
    }

    fn drain(&mut self, server: usize) {
        let now = Instant::from_millis(self.now);
        let mut buffer = std::mem::take(&mut self.buffer);
        for turn in 0.. {
            assert!(turn < 20_000, "a server that never comes to an end");
            let credits = Credits { ports: self.servers[server].credits, storage: true };
            let Some(output) = self.servers[server].server.poll(now, credits, &mut buffer) else { break };
            match output {
                Output::Datagram { port, to, len } => {
                    let (_, from) = self.servers[server].ports[&port.0];
                    if let Some((msg, _)) = readable(&buffer[..len]) {
                        self.ledger.left(self.now, server, &msg);
                    }
                    self.transmit(from, to, &buffer[..len]);
                }
                Output::Connect { stream, to, .. } => self.connect_from(server, stream, to),
                Output::Flush(stream) => self.flush(server, stream),
                Output::Close(stream) => {
                    self.flush(server, stream);
                    if let Some((conn, end)) = self.conn_of(server, stream) {
                        self.conns[conn].inbox[end].clear();
                        self.hang_up(conn, end, false);
                    }
                    self.servers[server].server.handle(now, Input::Closed(stream, Reason::Asked));
                }
                Output::OpenPort { port, transport, address } => {
                    self.servers[server].ports.insert(port.0, (transport, address));
                    self.servers[server].server.handle(now, Input::Opened(port, Ok(address)));
                }
                Output::Store { .. } | Output::Forget { .. } => panic!("there is no storage"),
                Output::ClosePort(port) => {
                    self.servers[server].ports.remove(&port.0);
                }
            }
        }
        self.buffer = buffer;
    }

    fn flush(&mut self, server: usize, stream: Stream) {
        let now = Instant::from_millis(self.now);
        let Some((conn, end)) = self.conn_of(server, stream) else { return };
        while !self.conns[conn].stalled[1 - end] {
            let window = self.servers[server].server.transmit_window(stream);
            if window.is_empty() {
                break;
            }
            let n = window.len().min(self.link.piece);
            let bytes = window[..n].to_vec();
            self.servers[server].server.transmitted(now, stream, n);
            if let End::Phone(_) = self.conns[conn].ends[1 - end] {
                self.conns[conn].seen[1 - end].extend(&bytes);
                for msg in messages(&mut self.conns[conn].seen[1 - end]) {
                    self.note(format!("#{conn} <= {} ({})", msg.start, msg.get("CSeq")));
                    self.ledger.left(self.now, server, &msg);
                }
            }
            self.send_bytes(conn, end, &bytes);
        }
    }

    fn conn_of(&self, server: usize, stream: Stream) -> Option<(usize, usize)> {
        let is_it = |end: &End| *end == End::Server(server, stream);
        let found = self.conns.iter().enumerate().rev().filter(|(_, conn)| conn.is_open);
        found.filter_map(|(index, conn)| Some((index, conn.ends.iter().position(is_it)?))).next()
    }

    fn connect_from(&mut self, server: usize, stream: Stream, to: SocketAddr) {
        let ip = self.servers[server].ips.iter().find(|ip| same_net(**ip, to.ip()));
        let ip = *ip.unwrap_or(self.servers[server].ips.last().unwrap());
        let local = SocketAddr::new(ip, 40_000 + self.conns.len() as u16);
        let at = self.now + self.link.delay.0;
        let is_cut = self.cut.contains(&to.ip());
        let phone =
            self.phones.iter().position(|phone| phone.address == to && phone.listens && !phone.is_off && !is_cut);
        let other = self.servers.iter().position(|host| host.ports.values().any(|it| *it == (Transport::Tcp, to)));
        let other = other.filter(|other| *other != server && !is_cut);
        let other = other.and_then(|other| Some((other, self.servers[other].server.vacant_stream()?)));
        let end = match (phone, other) {
            (Some(phone), _) => End::Phone(phone),
            (_, Some((other, handle))) => End::Server(other, handle),
            _ => return self.push(at, Event::Refused { server, stream }),
        };
        let conn = self.open([End::Server(server, stream), end], [to, local]);
        self.conns[conn].last_at = [at; 2];
        self.push(at, Event::Up { conn, local });
    }

    fn act(&mut self, phone: usize, act: Act) {
        match act {
            Act::Datagram(to, bytes) => {
                let from = self.outside_of(phone, to);
                self.transmit(from, to, &bytes);
            }
            Act::Stream(to, bytes) => {
                let known = self.phones[phone].conn_to(to).filter(|conn| self.conns[*conn].is_open);
                let conn = known.unwrap_or_else(|| self.connect(phone, to));
                self.note_bytes(&format!("{} => {to}", self.phones[phone].name), &bytes);
                self.send_bytes(conn, self.end_of(conn, phone), &bytes);
            }
            Act::On(conn, bytes) => {
                if self.conns[conn].is_open {
                    self.note_bytes(&format!("{} => #{conn}", self.phones[phone].name), &bytes);
                    self.send_bytes(conn, self.end_of(conn, phone), &bytes);
                }
            }
        }
    }

    fn end_of(&self, conn: usize, phone: usize) -> usize {
        self.conns[conn].ends.iter().position(|end| *end == End::Phone(phone)).expect("the phone's own connection")
    }

    /// The address a phone's datagram seems to come from.
    fn outside_of(&mut self, phone: usize, remote: SocketAddr) -> SocketAddr {
        let inner = self.phones[phone].address;
        let Some(nat) = self.phones[phone].nat.map(|nat| &mut self.nats[nat]) else { return inner };
        nat.mappings.retain(|mapping| self.now - mapping.used_at < MAPPING_MS);
        let known = nat.mappings.iter_mut().find(|mapping| mapping.inner == inner && mapping.remote == remote);
        let outer = match known {
            Some(mapping) => {
                mapping.used_at = self.now;
                mapping.outer
            }
            None => {
                nat.next_port += 1;
                nat.mappings.push(Mapping { inner, outer: nat.next_port, remote, used_at: self.now });
                nat.next_port
            }
        };
        SocketAddr::new(nat.ip, outer)
    }

    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.note_bytes(&format!("{from} -> {to}"), bytes);
        let Link { loss, duplicate, delay, .. } = self.link;
        if self.cut.contains(&from.ip()) || self.cut.contains(&to.ip()) || self.random.chance(loss) {
            self.note("  (lost)".into());
            return self.eat(bytes);
        }
        let copies = 1 + u64::from(self.random.chance(duplicate));
        for _ in 0..copies {
            let at = self.now + delay.0 + self.random.below(delay.1 - delay.0 + 1);
            self.push(at, Event::Datagram { to, from, bytes: bytes.to_vec() });
        }
    }

    fn eat(&mut self, bytes: &[u8]) {
        if let Some((msg, _)) = readable(bytes) {
            let branches = msg.values("Via");
            let branches = branches.iter().filter_map(|via| crate::message::param(via, "branch"));
            self.ledger.eaten.extend(branches.map(String::from));
        }
    }

    fn note_bytes(&mut self, way: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]);
        let start = text.lines().next().unwrap_or("");
        let cseq = text.lines().find(|line| line.starts_with("CSeq")).unwrap_or("");
        self.note(format!("{way}: {start} ({cseq}, {} bytes)", bytes.len()));
    }

    /// A number that stands for everything that was sent so far.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn note(&mut self, line: String) {
        let mut mixed = Rng::new(self.fingerprint ^ self.now);
        self.fingerprint =
            line.bytes().fold(mixed.next(), |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        if self.trace.len() >= self.kept_lines {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>8}.{:03} {line}", self.now / 1000, self.now % 1000));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} failed; SIM_SEED={} runs it again. The last messages:", self.seed, self.seed);
            self.trace.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The message in bytes that may be anything.
fn readable(bytes: &[u8]) -> Option<(Msg, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let mut lines = text.split("\r\n");
    let is_sip = lines.next().is_some_and(|line| line.contains("SIP/2.0")) && lines.all(|line| line.contains(':'));
    if is_sip { Msg::read(bytes) } else { None }
}

/// Takes the whole messages off the front.
fn messages(seen: &mut Vec<u8>) -> Vec<Msg> {
    let mut found = Vec::new();
    loop {
        let blank = seen.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        seen.drain(..blank);
        match readable(seen) {
            Some((msg, len)) => {
                found.push(msg);
                seen.drain(..len);
            }
            None => return found,
        }
    }
}

fn same_net(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        _ => false,
    }
}

/// The seeds to try: `SIM_SEED` alone, else the first `SIM_RUNS` ones, else so many.
pub fn seeds(default: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_RUNS")) {
        (Some(seed), _) => vec![seed],
        (None, runs) => (1..=runs.unwrap_or(default)).collect(),
    }
}
