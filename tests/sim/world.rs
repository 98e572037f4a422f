//! The simulated world: servers, phones, and the network between them, in virtual time from one seed.
//!
//! [`World::step`] jumps to the next thing that happens: a datagram or piece of a stream arrives, a server's or phone's
//! deadline comes. The server is driven exactly as the runtime drives it: one input, then outputs until there is none.
//! Links lose, duplicate, delay and so reorder; NATs are symmetric and forget; streams cut their bytes anywhere, reset, and
//! stall. When a run fails its seed and the last messages are printed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::conns::Conn;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::message::Msg;
use crate::names::NameServer;
use crate::phone::{Act, Phone};
use crate::random::Rng;
use crate::services::Service;
use crate::storage::{Job, What};
use pcsd::base::limits::{BLOB_PART_BYTES, MEDIA_PORTS};
use pcsd::base::net::{Port, PortSet, Transport};
use pcsd::base::time::Instant;
use pcsd::home::calls::LONGEST_MS;
use pcsd::server::Server;
use pcsd::server::contract::{Credits, Input, Output, PortError};
use pcsd::spool::Kind;

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
    /// Connections to servers of other networks break after so many bytes from there.
    pub fuse: Option<usize>,
    /// Hosts that are cut off.
    pub cut: BTreeSet<IpAddr>,
    /// NATs.
    pub nats: Vec<Nat>,
    /// Servers.
    pub servers: Vec<Host>,
    /// Phones.
    pub phones: Vec<Phone>,
    /// Name servers.
    pub names: Vec<NameServer>,
    /// Servers of other networks.
    pub services: Vec<Service>,
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

/// Something that happens at a time.
pub(crate) enum Event {
    Datagram { to: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
    Syn { conn: usize, listener: SocketAddr },
    Up { conn: usize, local: SocketAddr },
    Group { server: usize, life: usize, jobs: usize },
    Sync { server: usize, life: usize },
    Look { server: usize, life: usize },
    Opened { server: usize, life: usize, port: Port, address: SocketAddr },
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
            fuse: None,
            cut: BTreeSet::new(),
            nats: Vec::new(),
            servers: Vec::new(),
            phones: Vec::new(),
            names: Vec::new(),
            services: Vec::new(),
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
        if std::env::var("SIM_LOG").is_ok() {
            // Another test may have been faster.
            let _ = log::set_logger(&Printed);
            log::set_max_level(log::LevelFilter::Debug);
        }
        world.host(HOME, &[("192.168.1.1", 24, false), ("192.0.2.1", 24, true)]);
        world
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
        self.clock(0)
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
        for server in 0..self.servers.len() {
            self.servers[server].credits = PortSet::ALL;
            (self.servers[server].store.failing, self.servers[server].store.delay) = (0, (0, 1));
            self.unstall(server);
        }
        self.phones.iter_mut().for_each(Phone::retire);
        // Longer than the longest call rings.
        self.run(450_000);
        // Accounts that are on have always something due; without them nothing may be left.
        (0..self.servers.len()).for_each(|server| self.drop_accounts(server));
        let eaten = std::mem::take(&mut self.ledger.eaten);
        self.phones.iter().for_each(|phone| phone.check(&eaten));
        for conn in 0..self.conns.len() {
            self.conns[conn].stalled = [false; 2];
        }
        (0..self.servers.len()).for_each(|server| self.check_kept(server));
        self.ledger.check(|conn| self.conns[conn].is_open);
        // Longer than a call without a BYE is believed to be in progress.
        self.run(LONGEST_MS + 600_000);
        for server in 0..self.servers.len() {
            let now = self.clock(server);
            let host = &mut self.servers[server];
            let status = host.server.status(now);
            assert_eq!(status.bindings, 0, "bindings are left");
            assert!(host.server.is_at_rest(), "not at rest: {status}");
            // A watch, a list and a dialog of the server's own have a block each; what has none has a deadline.
            let blocks = status.blocks.iter().map(|(_, used, _)| used).sum::<usize>();
            assert_eq!(blocks, 0, "blocks are left: {status}");
            assert_eq!(host.store.waiting(), 0, "records are left on their way");
            // What people have answered and said of themselves stays; so do messages, greetings and sessions.
            let mut kept = host.store.current(&mut self.random);
            // A message is gone in the end, and no other deadline is so far off.
            let has_message = kept.iter().any(|(key, ..)| key.kind.is_message());
            let is_far = |at: Instant| has_message && at.since(now) >= 60_000;
            assert!(host.server.poll_timeout().is_none_or(is_far), "a deadline is left");
            kept.retain(|(key, ..)| matches!(key.kind, Kind::Binding | Kind::Subscription));
            assert!(kept.is_empty() || host.store.has_failed, "records are left: {kept:?}");
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
            assert!(next.is_none_or(|next| next > self.clock(server)), "a deadline that has come is left over");
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
        self.tend_services();
        for conn in 0..self.conns.len() {
            self.read_into_server(conn);
        }
    }

    /// Puts a datagram on its way to a server as if `from` had sent it.
    pub fn inject(&mut self, from: &str, to: &str, bytes: &[u8]) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        self.push(self.now, Event::Datagram { to, from, bytes: bytes.to_vec() });
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<u64> {
        let queued = self.queue.peek().map(|Reverse((at, _))| *at);
        let servers = (0..self.servers.len()).filter_map(|server| self.due_at(server));
        let phones = self.phones.iter().filter_map(Phone::next_at);
        queued.into_iter().chain(servers).chain(phones).min()
    }

    /// When a server has something to do by itself.
    fn due_at(&self, server: usize) -> Option<u64> {
        let host = self.servers.get(server).filter(|host| host.is_up)?;
        let since_boot = self.clock(server).millis();
        Some(self.now - since_boot + host.server.poll_timeout()?.millis())
    }

    fn due_server(&self) -> Option<usize> {
        (0..self.servers.len()).find(|server| self.due_at(*server).is_some_and(|at| at <= self.now))
    }

    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { to, from, bytes } => self.arrive(to, from, &bytes),
            Event::Syn { conn, listener } => self.accept(conn, listener),
            Event::Up { conn, local } => self.established(conn, local),
            Event::Group { server, life, jobs } => self.group_done(server, life, jobs),
            Event::Sync { server, life } => self.sync_blobs(server, life),
            Event::Look { server, life } => self.look_for_disk(server, life),
            Event::Opened { server, life, port, address } => self.port_opened(server, life, port, address),
            Event::Bytes { conn, end, bytes } => self.received(conn, end, bytes),
            Event::Fin { conn, end, is_reset } => self.ended(conn, end, is_reset),
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
            let is_it = |port: &(Transport, SocketAddr)| {
                let is_address = port.1 == to || port.1.ip().is_unspecified() && port.1.port() == to.port();
                port.0 == Transport::Udp && is_address
            };
            let port = self.servers[server].ports.iter().find(|(_, port)| is_it(port));
            let Some(port) = port.map(|(port, _)| Port(*port)) else { return self.eat(bytes) };
            if let Some((msg, _)) = readable(bytes) {
                self.ledger.reached(now, server, None, &msg);
            }
            return self.input(server, Input::Datagram { port, from, bytes });
        }
        if let Some(names) = self.names.iter().position(|names| names.address == to) {
            return self.ask(names, from, bytes);
        }
        let hears = |phone: &Phone| phone.voice.as_ref().is_some_and(|voice| voice.address == to);
        if let Some(phone) = self.phones.iter_mut().find(|phone| hears(phone) && !phone.is_off) {
            return phone.heard(now, bytes);
        }
        let phone = self.phones.iter().position(|phone| phone.address == to && !phone.is_off);
        match phone {
            Some(phone) => self.phones[phone].datagram(now, from, bytes),
            None => self.eat(bytes),
        }
    }

    /// One turn of a server.
    pub fn input(&mut self, server: usize, input: Input<'_>) {
        let now = self.clock(server);
        self.servers[server].server.handle(now, input);
        self.drain(server);
    }

    /// A port that takes its time is open.
    fn port_opened(&mut self, server: usize, life: usize, port: Port, address: SocketAddr) {
        if self.servers[server].lives == life && self.servers[server].is_up {
            self.input(server, Input::Opened(port, Ok(address)));
        }
    }

    /// Does what a server wants done.
    pub(crate) fn drain(&mut self, server: usize) {
        let now = self.clock(server);
        let mut buffer = std::mem::take(&mut self.buffer);
        for turn in 0.. {
            assert!(turn < 20_000, "a server that never comes to an end");
            let Host { credits: ports, store, .. } = &self.servers[server];
            let credits = Credits { ports: *ports, storage: store.has_room() };
            let Some(output) = self.servers[server].server.poll(now, credits, &mut buffer) else { break };
            match output {
                Output::Datagram { port, to, len } => {
                    let from = self.source_of(server, port, to);
                    if let Some((msg, _)) = readable(&buffer[..len]) {
                        self.ledger.left(self.now, server, &msg);
                        self.leaves(server, to, &msg);
                    }
                    self.transmit(from, to, &buffer[..len]);
                }
                Output::Connect { stream, to, transport } => self.connect_from(server, stream, to, transport),
                Output::ConnectLocal { stream } => self.connect_local(server, stream),
                Output::StartTls(stream) => self.start_tls(server, stream),
                Output::Flush(stream) => self.flush(server, stream),
                Output::Close(stream) => self.close_from(server, stream),
                Output::OpenPort { port, transport, address } => {
                    let number =
                        if address.port() == 0 { 50_000 + self.random.below(10_000) as u16 } else { address.port() };
                    let address = SocketAddr::new(address.ip(), number);
                    let host = &mut self.servers[server];
                    if host.busy_ports.contains(&number) {
                        host.server.handle(now, Input::Opened(port, Err(PortError::InUse)));
                        continue;
                    }
                    host.ports.insert(port.0, (transport, address));
                    if usize::from(port.0) >= MEDIA_PORTS && host.port_ms > 0 {
                        let (at, life) = (self.now + host.port_ms, host.lives);
                        self.push(at, Event::Opened { server, life, port, address });
                        continue;
                    }
                    self.servers[server].server.handle(now, Input::Opened(port, Ok(address)));
                }
                Output::Store { ticket, key, owner, len, blob } => {
                    let what = What::Put { owner, bytes: buffer[..len].to_vec(), blob };
                    self.store(server, Job { ticket: Some(ticket), key, what });
                }
                Output::Forget { ticket, key } => {
                    self.store(server, Job { ticket: Some(ticket), key, what: What::Forget });
                }
                Output::Load { ticket, key } => {
                    self.store(server, Job { ticket: Some(ticket), key, what: What::Load });
                }
                Output::Read { ticket, key, offset, len } => {
                    assert!(len as usize <= BLOB_PART_BYTES, "{len} bytes to be read at once");
                    self.store(server, Job { ticket: Some(ticket), key, what: What::Read { offset, len } });
                }
                Output::Amend { ticket, key, state } => {
                    self.store(server, Job { ticket: Some(ticket), key, what: What::Amend(state) });
                }
                Output::Append { ticket, key, len } => {
                    assert!(len <= BLOB_PART_BYTES, "{len} bytes appended at once");
                    let what = What::Append(buffer[..len].to_vec());
                    self.store(server, Job { ticket: Some(ticket), key, what });
                }
                Output::ClosePort(port) => {
                    self.servers[server].ports.remove(&port.0);
                }
            }
        }
        self.buffer = buffer;
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
            Act::Sound(from, to, bytes) => self.transmit(from, to, &bytes),
            Act::On(conn, bytes) => {
                if self.conns[conn].is_open {
                    self.note_bytes(&format!("{} => #{conn}", self.phones[phone].name), &bytes);
                    self.send_bytes(conn, self.end_of(conn, phone), &bytes);
                }
            }
        }
    }

    /// The address a server's datagram comes from.
    fn source_of(&self, server: usize, port: Port, to: SocketAddr) -> SocketAddr {
        let host = &self.servers[server];
        let (transport, bound) = host.ports[&port.0];
        assert_eq!(transport, Transport::Udp, "a datagram from a listener");
        let ip = host.ips.iter().find(|ip| same_net(**ip, to.ip())).or(host.ips.last()).copied().unwrap();
        if bound.ip().is_unspecified() { SocketAddr::new(ip, bound.port()) } else { bound }
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

    pub(crate) fn transmit(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        // Sound is not worth a line.
        if bytes.first().is_none_or(u8::is_ascii) {
            self.note_bytes(&format!("{from} -> {to}"), bytes);
        }
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

    pub(crate) fn note(&mut self, line: String) {
        let mut mixed = Rng::new(self.fingerprint ^ self.now);
        self.fingerprint =
            line.bytes().fold(mixed.next(), |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        if self.trace.len() >= self.kept_lines {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>8}.{:03} {line}", self.now / 1000, self.now % 1000));
    }
}

/// The log of the servers, for who looks into one run: `SIM_LOG=1`.
struct Printed;

impl log::Log for Printed {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("  {}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
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
pub(crate) fn messages(seen: &mut Vec<u8>) -> Vec<Msg> {
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

pub(crate) fn same_net(a: IpAddr, b: IpAddr) -> bool {
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
