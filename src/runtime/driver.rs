//! The loop: waits for readiness, makes turns, and does what the core asks for.
//!
//! A turn is: give the core one input, then take its outputs until there is none and perform each. Nothing waits inside
//! a turn, and the work one wake-up may cause is bounded for each socket, so that a flood on one does not starve the
//! others. Services ([`drive`]'s future) borrow the [`Driver`] for a turn and never hold it over an await.
//!
//! There is one buffer of 64 KB: a datagram is received into it, and once the core has seen it, outputs are written
//! there.

use super::clock;
use super::hush::Hush;
use super::poller::{NO_EVENTS, Poller, Readiness, Token};
use super::storage::{Event, RecordStore};
use super::stream::{Accepted, Failure, Link, Listener, Stage};
use super::tls::Endpoint;
use super::turnstile::Turnstile;
use super::udp::{Sent, UdpPort, port_error};
use crate::base::limits::{SOCKETS, STREAMS};
use crate::base::net::{Port, PortSet, Stream, Transport};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::server::Server;
use crate::server::commands::Undone;
use crate::server::contract::{Credits, Input, Output, PortError, Reason};
use core::cell::RefCell;
use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use std::boxed::Box;
use std::collections::VecDeque;
use std::format;
use std::io;
use std::net::TcpStream;
use std::string::String;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

/// The server with its sockets.
pub struct Driver {
    server: &'static mut Server,
    poller: Poller,
    ports: [Option<PortSocket>; SOCKETS],
    links: [Option<Link>; STREAMS],
    /// Links whose window is full. 0 spares the look at all of them after each turn.
    links_paused: usize,
    /// Whether a link may have bytes for which the core has room again, and of which its socket does not tell.
    has_readable: bool,
    /// No later than the first end of an attempt to connect, of a handshake, or of a listener's rest.
    socket_deadline: Option<Instant>,
    /// What TLS needs; without it there is none.
    endpoint: Option<Endpoint>,
    turnstile: Turnstile,
    /// Failed handshakes of those who came to us.
    strangers: Hush,
    credits: Credits,
    /// What the core is to be told about its outputs, once it has no more of them.
    answers: VecDeque<Answer>,
    /// Where records go; without it nothing is stored.
    records: Option<RecordStore>,
    buffer: Box<[u8]>,
    /// What the core was told last of a stream's end.
    #[cfg(test)]
    last_end: Option<Reason>,
}

enum PortSocket {
    Udp(UdpPort),
    Listener(Listener),
}

enum Answer {
    Opened(Port, Result<SocketAddr, PortError>),
    Closed(Stream, Reason),
}

/// Runs the server and, between its turns, the services, until these end.
///
/// # Errors
/// When the machine refuses the loop its own descriptors.
pub fn drive(driver: &RefCell<Driver>, mut services: Pin<&mut impl Future<Output = ()>>) -> io::Result<()> {
    let bell = Arc::new(Bell::new()?);
    driver.borrow().poller.add(&bell.descriptor, Token::Bell, Readiness::IN)?;
    let waker = Waker::from(bell.clone());
    let mut events = NO_EVENTS;
    bell.ring();
    loop {
        let deadline = driver.borrow().deadline();
        // The events live in a buffer of the loop, so the driver is free again while they are gone through.
        let ready = driver.borrow().poller.wait(&mut events, clock::now(), deadline)?;
        driver.borrow_mut().turnstile.reset();
        let mut is_ringing = false;
        for (token, readiness) in ready {
            match token {
                Token::Bell => is_ringing = true,
                Token::Records => driver.borrow_mut().records_ready(),
                Token::Port(port) => driver.borrow_mut().port_ready(port, readiness),
                Token::Stream(stream) => driver.borrow_mut().stream_ready(stream, readiness),
            }
        }
        driver.borrow_mut().read_readable();
        driver.borrow_mut().expire();
        if is_ringing {
            bell.silence();
            if services.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return Ok(());
            }
        }
    }
}

impl Driver {
    /// A driver with no socket open.
    ///
    /// # Errors
    /// When the machine refuses the descriptor to wait on.
    pub fn new(server: &'static mut Server) -> io::Result<Self> {
        Ok(Self {
            server,
            poller: Poller::new()?,
            ports: [const { None }; SOCKETS],
            links: [const { None }; STREAMS],
            links_paused: 0,
            has_readable: false,
            socket_deadline: None,
            endpoint: None,
            turnstile: Turnstile::default(),
            strangers: Hush::default(),
            credits: Credits { ports: PortSet::ALL, storage: false },
            answers: VecDeque::with_capacity(SOCKETS + STREAMS),
            records: None,
            buffer: std::vec![0; BUFFER_BYTES].into_boxed_slice(),
            #[cfg(test)]
            last_end: None,
        })
    }

    /// Gives the server a place for its records: tells what was kept there, for which it waits at most `limit`.
    ///
    /// # Errors
    /// When the machine refuses to watch it.
    pub fn keep_records(&mut self, mut records: RecordStore, limit: Duration) -> io::Result<()> {
        self.poller.add(&records.bell().descriptor, Token::Records, Readiness::IN)?;
        records.begin(limit);
        self.records = Some(records);
        self.drain(clock::now());
        Ok(())
    }

    /// Where records go.
    pub fn records(&mut self) -> Option<&mut RecordStore> {
        self.records.as_mut()
    }

    /// What a driver takes, its buffer included.
    pub const fn bytes() -> usize {
        size_of::<Self>() + BUFFER_BYTES
    }

    /// The server, to ask it about itself.
    pub fn server(&self) -> &Server {
        self.server
    }

    /// Lets sessions of TLS begin, from now on with this endpoint.
    pub fn secure(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
    }

    /// One turn: gives the core `input` and does all it then wants done.
    pub fn turn(&mut self, input: Input<'_>) {
        let now = clock::now();
        self.server.handle(now, input);
        self.drain(now);
    }

    /// A turn that a person's own words begin: see [`Server::command`].
    ///
    /// # Errors
    /// When it was not done.
    pub fn command(&mut self, person: &str, text: &str, out: &mut Writer<'_>) -> Result<(), Undone> {
        self.act(|server, now| server.command(now, person, text, out))
    }

    /// Has the server do something that is no input, and sends what follows from it.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Server, Instant) -> T) -> T {
        let now = clock::now();
        let outcome = act(self.server, now);
        self.drain(now);
        outcome
    }

    /// The last turns: waits at most `limit` for what is being stored, takes no more connections, writes what goes at
    /// once, and closes every socket.
    pub fn stop(&mut self, limit: Duration) {
        self.turn(Input::Timeout);
        if let Some(records) = &mut self.records {
            records.stop(limit);
            self.records_ready();
        }
        self.ports = [const { None }; SOCKETS];
        for mut link in self.links.iter_mut().filter_map(Option::take) {
            if link.stage() == Stage::Up && !link.is_write_blocked {
                let _ = link.flush(self.server);
            }
            link.finish(&mut self.buffer);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let soon = self.has_readable.then_some(Instant::ZERO);
        earliest(soon, earliest(self.server.poll_timeout(), self.socket_deadline))
    }

    /// What is due by time alone.
    fn expire(&mut self) {
        let Some(deadline) = self.deadline() else { return };
        let now = clock::now();
        if now < deadline {
            return;
        }
        if self.server.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.turn(Input::Timeout);
        }
        if self.socket_deadline.is_some_and(|deadline| deadline <= now) {
            self.expire_sockets(now);
        }
    }

    /// Ends attempts to connect and handshakes that took too long, and lets rested listeners work again.
    fn expire_sockets(&mut self, now: Instant) {
        self.socket_deadline = None;
        for index in 0..self.links.len() {
            if let Some((stream, until)) = self.links[index].as_ref().and_then(|l| Some((l.stream, l.deadline()?))) {
                if until <= now {
                    self.not_up(stream, Reason::NotConnected, &"it took too long");
                } else {
                    self.socket_deadline = earliest(self.socket_deadline, Some(until));
                }
            }
        }
        for (index, socket) in self.ports.iter_mut().enumerate() {
            let Some(PortSocket::Listener(listener)) = socket else { continue };
            match listener.resting_until {
                Some(until) if until <= now => {
                    listener.resting_until = None;
                    self.poller.modify(&*listener, Token::Port(Port(index as u8)), Readiness::IN);
                }
                until => self.socket_deadline = earliest(self.socket_deadline, until),
            }
        }
        self.drain(now);
    }

    /// Takes the core's outputs until there is none, then tells it what became of them, and so on.
    fn drain(&mut self, now: Instant) {
        loop {
            self.update_storage_credit();
            while let Some(output) = self.server.poll(now, self.credits, &mut self.buffer) {
                self.perform(now, output);
            }
            let input = match self.answers.pop_front() {
                Some(Answer::Opened(port, result)) => Input::Opened(port, result),
                Some(Answer::Closed(stream, reason)) => Input::Closed(stream, reason),
                None => match self.records.as_mut().and_then(|records| records.next(&mut self.buffer)) {
                    Some(Event::Restored(key, len, source, blob_bytes)) => {
                        Input::Restored { key, bytes: &self.buffer[..len], source, blob_bytes }
                    }
                    Some(Event::Loaded(ticket, outcome)) => {
                        Input::Loaded { ticket, outcome: outcome.map(|len| &self.buffer[..len]) }
                    }
                    Some(Event::Stored(ticket, outcome)) => Input::Stored { ticket, outcome },
                    Some(Event::Moved(place)) => Input::Storage(place),
                    None => break,
                },
            };
            self.server.handle(now, input);
        }
        if self.links_paused > 0 {
            self.resume_reading();
        }
    }

    fn update_storage_credit(&mut self) {
        self.credits.storage = self.records.as_ref().is_some_and(RecordStore::has_room);
    }

    /// The thread that owns the disk has rung.
    fn records_ready(&mut self) {
        if let Some(records) = &mut self.records {
            records.collect();
            self.drain(clock::now());
        }
    }

    fn perform(&mut self, now: Instant, output: Output) {
        match output {
            Output::Datagram { port, to, len } => self.send(port, to, len),
            Output::Flush(stream) => self.flush(stream),
            Output::Connect { stream, to, transport } => {
                self.begun(stream, &to, Link::connect(stream, transport, to, now));
            }
            Output::ConnectLocal { stream } => {
                let path = self.server.local_path(stream).unwrap_or_default();
                let link = Link::connect_local(stream, path, now);
                let path = String::from(path);
                self.begun(stream, &path, link);
            }
            Output::StartTls(stream) => self.start_tls(now, stream),
            Output::Close(stream) => self.close(stream),
            Output::OpenPort { port, transport, address } => {
                let result = self.open(port, transport, address).map_err(|error| {
                    log::debug!("{transport}:{address} does not open: {error}");
                    port_error(&error)
                });
                self.answers.push_back(Answer::Opened(port, result));
            }
            Output::Store { .. }
            | Output::Forget { .. }
            | Output::Load { .. }
            | Output::Read { .. }
            | Output::Amend { .. }
            | Output::Append { .. } => {
                self.ask_storage(output);
                self.update_storage_credit();
            }
            Output::ClosePort(port) => {
                if let Some(socket) = self.ports.get_mut(usize::from(port.0)) {
                    *socket = None;
                }
            }
        }
    }
}

/// Storage.
impl Driver {
    fn ask_storage(&mut self, output: Output) {
        let Some(records) = &mut self.records else { return };
        let bytes = |len: usize| &self.buffer[..len.min(self.buffer.len())];
        match output {
            Output::Store { ticket, key, owner, len, blob } => records.store(ticket, key, owner, bytes(len), blob),
            Output::Forget { ticket, key } => records.forget(ticket, key),
            Output::Load { ticket, key } => records.load(ticket, key),
            Output::Read { ticket, key, offset, len } => records.read(ticket, key, offset, len),
            Output::Amend { ticket, key, state } => records.amend(ticket, key, state),
            Output::Append { ticket, key, len } => records.append(ticket, key, bytes(len)),
            _ => {}
        }
    }
}

/// Ports.
impl Driver {
    fn open(&mut self, port: Port, transport: Transport, address: SocketAddr) -> io::Result<SocketAddr> {
        let Some(slot) = self.ports.get_mut(usize::from(port.0)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // The old socket goes first: the new one may be on the same address.
        *slot = None;
        let (socket, address) = match transport {
            Transport::Udp => {
                let (socket, address) = UdpPort::open(address)?;
                self.poller.add(&socket, Token::Port(port), Readiness::IN)?;
                (PortSocket::Udp(socket), address)
            }
            Transport::Tls if self.endpoint.is_none() => return Err(io::ErrorKind::Unsupported.into()),
            Transport::Tcp | Transport::Tls => {
                let (listener, address) = Listener::open(transport, address)?;
                self.poller.add(&listener, Token::Port(port), Readiness::IN)?;
                (PortSocket::Listener(listener), address)
            }
        };
        *slot = Some(socket);
        self.credits.ports.insert(port);
        Ok(address)
    }

    fn port_ready(&mut self, port: Port, readiness: Readiness) {
        match self.ports.get(usize::from(port.0)) {
            Some(Some(PortSocket::Udp(socket))) => {
                if readiness.contains(Readiness::OUT) && !self.credits.ports.contains(port) {
                    self.credits.ports.insert(port);
                    self.poller.modify(socket, Token::Port(port), Readiness::IN);
                    self.turn(Input::Timeout);
                }
                self.receive(port);
            }
            Some(Some(PortSocket::Listener(_))) => self.accept(port),
            _ => {}
        }
    }

    fn receive(&mut self, port: Port) {
        for _ in 0..DATAGRAMS_PER_WAKE {
            // Looked up each time: a turn may close the port.
            let Some(Some(PortSocket::Udp(socket))) = self.ports.get(usize::from(port.0)) else { return };
            match socket.receive(&mut self.buffer) {
                Ok(Some((len, from))) => {
                    let now = clock::now();
                    self.server.handle(now, Input::Datagram { port, from, bytes: &self.buffer[..len] });
                    self.drain(now);
                }
                Ok(None) => return,
                Err(error) => log::debug!("port {}: {error}", port.0),
            }
        }
    }

    fn send(&mut self, port: Port, to: SocketAddr, len: usize) {
        let Some(Some(PortSocket::Udp(socket))) = self.ports.get(usize::from(port.0)) else {
            log::debug!("datagram to {to} for a port that is not open");
            return;
        };
        let len = len.min(self.buffer.len());
        if socket.send(&self.buffer[..len], to) == Sent::Full {
            log::debug!("port {} is full: datagram of {len} bytes to {to} lost", port.0);
            self.credits.ports.remove(port);
            self.poller.modify(socket, Token::Port(port), Readiness::IN | Readiness::OUT);
        }
    }

    fn accept(&mut self, port: Port) {
        for _ in 0..ACCEPTS_PER_WAKE {
            let Some(Some(PortSocket::Listener(listener))) = self.ports.get_mut(usize::from(port.0)) else { return };
            match listener.accept() {
                Accepted::Connection(socket, from) => {
                    let transport = listener.transport;
                    self.accepted(port, transport, socket, from);
                }
                Accepted::Gone => {}
                Accepted::Nothing => return,
                Accepted::NoRoom(error) => {
                    log::warn!("no room for another connection: {error}");
                    let until = clock::now().plus(LISTENER_REST_MS);
                    listener.resting_until = Some(until);
                    self.poller.modify(&*listener, Token::Port(port), Readiness::empty());
                    self.socket_deadline = earliest(self.socket_deadline, Some(until));
                    return;
                }
            }
        }
    }

    fn accepted(&mut self, listener: Port, transport: Transport, socket: TcpStream, from: SocketAddr) {
        let Some(stream) = self.server.vacant_stream() else {
            log::info!("connection from {from} refused: too many streams");
            return;
        };
        let now = clock::now();
        self.server.handle(now, Input::Accepted { stream, listener, from });
        let result = Link::accepted(stream, socket).and_then(|mut link| {
            if transport == Transport::Tls {
                let endpoint = self.endpoint.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                link.secure(endpoint.server().map_err(|fault| io::Error::other(format!("{fault}")))?, now);
            }
            self.watch(link)
        });
        if let Err(error) = result {
            log::debug!("connection from {from}: {error}");
            self.answers.push_back(Answer::Closed(stream, Reason::Broken));
        }
        self.drain(now);
    }
}

/// Streams.
impl Driver {
    fn link(&mut self, stream: Stream) -> Option<&mut Link> {
        self.links.get_mut(usize::from(stream.index))?.as_mut().filter(|link| link.stream == stream)
    }

    /// Keeps a link and waits for what it has to wait for.
    fn watch(&mut self, mut link: Link) -> io::Result<()> {
        self.socket_deadline = earliest(self.socket_deadline, link.deadline());
        let _ = link.changed_interest();
        let slot = self.links.get_mut(usize::from(link.stream.index)).ok_or(io::ErrorKind::InvalidInput)?;
        self.poller.add(&link, Token::Stream(link.stream), link.interest())?;
        // The core names no stream anew before it knows the old one closed; if it did, the count must stay right.
        let former = slot.replace(link);
        self.links_paused -= usize::from(former.is_some_and(|link| link.is_read_paused));
        Ok(())
    }

    /// Takes a link out, to be told to the core by the next drain.
    fn end(&mut self, stream: Stream, reason: Reason) -> Option<Link> {
        self.link(stream)?;
        let link = self.links[usize::from(stream.index)].take()?;
        #[cfg(test)]
        self.last_end.replace(reason);
        self.links_paused -= usize::from(link.is_read_paused);
        self.answers.push_back(Answer::Closed(stream, reason));
        Some(link)
    }

    fn stream_ready(&mut self, stream: Stream, readiness: Readiness) {
        let Some(link) = self.link(stream) else { return };
        match link.stage() {
            Stage::Connecting(_) => return self.connect_ended(stream),
            Stage::Turning(_) => {
                // To begin a handshake is one of its steps.
                if self.turnstile.enter() {
                    self.begin_handshake(stream);
                }
                return;
            }
            Stage::Shaking(_) => return self.shake_hands(stream, readiness),
            Stage::Up => {}
        }
        if link.is_write_blocked && readiness.contains(Readiness::OUT) {
            self.flush(stream);
            // The core may have waited for the room.
            self.turn(Input::Timeout);
        }
        let is_broken = readiness.intersects(Readiness::HUP | Readiness::ERR);
        if is_broken || readiness.contains(Readiness::IN) {
            self.read(stream, is_broken);
            // What was read may have been answered below the core's notice.
            self.update_interest(stream);
        }
    }

    /// Keeps a connection that has begun.
    fn begun(&mut self, stream: Stream, to: &dyn core::fmt::Display, link: io::Result<Link>) {
        if let Err(error) = link.and_then(|link| self.watch(link)) {
            log::debug!("no connection to {to}: {error}");
            self.answers.push_back(Answer::Closed(stream, Reason::NotConnected));
        }
    }

    fn connect_ended(&mut self, stream: Stream) {
        let Some(link) = self.links.get_mut(usize::from(stream.index)).and_then(Option::as_mut) else { return };
        // To begin a handshake is one of its steps. The socket stays ready until there is a turn for it.
        if link.transport == Transport::Tls && !self.turnstile.enter() {
            return;
        }
        match link.connected() {
            Ok(_) if link.transport == Transport::Tls => self.begin_handshake(stream),
            Ok(local) => {
                link.is_told = true;
                self.update_interest(stream);
                self.turn(Input::Connected { stream, local });
            }
            Err(error) => {
                log::debug!("stream {} not connected: {error}", stream.index);
                self.end(stream, Reason::NotConnected);
                self.drain(clock::now());
            }
        }
    }

    fn read(&mut self, stream: Stream, is_broken: bool) {
        let mut reads = 0;
        loop {
            let Some(link) = self.links.get_mut(usize::from(stream.index)).and_then(Option::as_mut) else { return };
            // What was decrypted has left its socket, which will not tell of it again.
            let is_readable = link.is_readable();
            if link.stream != stream || reads >= READS_PER_WAKE && !is_readable {
                return;
            }
            reads += 1;
            let window = self.server.receive_window(stream);
            if window.is_empty() {
                if is_broken {
                    self.end(stream, Reason::Broken);
                    self.drain(clock::now());
                } else if !link.is_read_paused {
                    link.is_read_paused = true;
                    self.links_paused += 1;
                    self.update_interest(stream);
                }
                return;
            }
            let room = window.len();
            let ended = match link.read(window) {
                Ok(Some(0)) => Reason::PeerClosed,
                Ok(Some(len)) => {
                    self.turn(Input::Received(stream, len));
                    // A short read has emptied the socket: no need to ask again. A hang-up comes out by reading on.
                    if len < room && !is_broken && !self.link(stream).is_some_and(|link| link.is_readable()) {
                        return;
                    }
                    continue;
                }
                Ok(None) => return,
                Err(_) => Reason::Broken,
            };
            self.end(stream, ended);
            return self.drain(clock::now());
        }
    }

    /// Reads on where the core has made room.
    fn resume_reading(&mut self) {
        for index in 0..self.links.len() {
            let Some(link) = &mut self.links[index] else { continue };
            if link.is_read_paused && !self.server.receive_window(link.stream).is_empty() {
                link.is_read_paused = false;
                self.links_paused -= 1;
                self.has_readable |= link.is_readable();
                let stream = link.stream;
                self.update_interest(stream);
            }
        }
    }

    fn flush(&mut self, stream: Stream) {
        let Some(link) = self.links.get_mut(usize::from(stream.index)).and_then(Option::as_mut) else { return };
        if link.stream != stream || link.stage() != Stage::Up {
            return;
        }
        match link.flush(self.server) {
            Ok(()) => self.update_interest(stream),
            Err(error) => {
                log::debug!("stream {}: {error}", stream.index);
                self.end(stream, Reason::Broken);
            }
        }
    }

    fn close(&mut self, stream: Stream) {
        self.flush(stream);
        if let Some(link) = self.end(stream, Reason::Asked) {
            link.finish(&mut self.buffer);
        }
    }

    fn update_interest(&mut self, stream: Stream) {
        if let Some(Some(link)) = self.links.get_mut(usize::from(stream.index))
            && let Some(interest) = link.changed_interest()
        {
            self.poller.modify(&*link, Token::Stream(link.stream), interest);
        }
    }
}

/// TLS.
impl Driver {
    /// A plain connection is to have TLS from now on.
    fn start_tls(&mut self, now: Instant, stream: Stream) {
        let Some(link) = self.link(stream) else { return };
        if !link.turn_secure(now) {
            log::debug!("stream {}: TLS can't begin on it", stream.index);
            self.end(stream, Reason::Unsecured);
            return;
        }
        // It was not read since the core waits for this.
        let was_paused = core::mem::take(&mut link.is_read_paused);
        let until = link.deadline();
        self.links_paused -= usize::from(was_paused);
        self.socket_deadline = earliest(self.socket_deadline, until);
        self.update_interest(stream);
    }

    /// The connection is there: says who we want to talk to.
    fn begin_handshake(&mut self, stream: Stream) {
        let Some(link) = self.links.get_mut(usize::from(stream.index)).and_then(Option::as_mut) else { return };
        let (Some(endpoint), Some(expected)) = (&mut self.endpoint, self.server.expected(stream)) else {
            return self.not_up(stream, Reason::Unsecured, &"there is nobody it should be");
        };
        match endpoint.client(&expected) {
            Ok(session) => {
                link.secure(session, clock::now());
                self.socket_deadline = earliest(self.socket_deadline, link.deadline());
                self.step(stream);
            }
            Err(fault) => self.not_up(stream, Reason::Unsecured, &fault),
        }
    }

    fn shake_hands(&mut self, stream: Stream, readiness: Readiness) {
        // To write what waits is no work; to read is, and what is not read now keeps the socket ready.
        let is_step = readiness.intersects(Readiness::IN | Readiness::HUP | Readiness::ERR);
        if !is_step || self.turnstile.enter() {
            self.step(stream);
        }
    }

    /// One step of a handshake, and what follows when it was the last.
    fn step(&mut self, stream: Stream) {
        let Some(link) = self.link(stream) else { return };
        match link.shake_hands() {
            Ok(None) => self.update_interest(stream),
            Ok(Some(identity)) => {
                if link.is_outgoing && !core::mem::replace(&mut link.is_told, true) {
                    // A socket that has just been read from has an address.
                    let Ok(local) = link.local() else {
                        return self.not_up(stream, Reason::NotConnected, &"the connection broke");
                    };
                    self.turn(Input::Connected { stream, local });
                }
                self.turn(Input::Secured { stream, identity: &identity });
                self.update_interest(stream);
                // The first bytes may have come with the last of the handshake.
                self.read(stream, false);
                self.update_interest(stream);
            }
            Err(failure) => {
                let is_fault = matches!(failure, Failure::Fault(_));
                self.not_up(stream, if is_fault { Reason::Unsecured } else { Reason::NotConnected }, &failure);
            }
        }
    }

    /// Ends a link that never came up, or never as it had to be, and says why.
    fn not_up(&mut self, stream: Stream, reason: Reason, why: &dyn core::fmt::Display) {
        let Some(link) = self.link(stream) else { return };
        let reason = if link.is_outgoing { reason } else { Reason::Broken };
        if link.transport == Transport::Tls || matches!(link.stage(), Stage::Turning(_)) {
            let (peer, is_outgoing) = (link.peer(), link.is_outgoing);
            let expected = self.server.expected(stream).map(|expected| expected.domain).unwrap_or_default();
            match peer {
                // Whoever scans the ports of the world fails here, too.
                Some(peer) if !is_outgoing => {
                    if let Some(untold) = self.strangers.admit(clock::now()) {
                        let more = if untold > 0 { std::format!(" (and {untold} others)") } else { String::new() };
                        log::warn!("no TLS with {peer}: {why}{more}");
                    }
                }
                Some(peer) => log::warn!("no TLS with {expected} at {peer}: {why}"),
                None => log::warn!("no TLS with {expected}: {why}"),
            }
        }
        if let Some(link) = self.end(stream, reason) {
            link.finish(&mut self.buffer);
        }
        self.drain(clock::now());
    }

    /// Reads what was decrypted earlier and found no room then.
    fn read_readable(&mut self) {
        if !core::mem::take(&mut self.has_readable) {
            return;
        }
        for index in 0..self.links.len() {
            if let Some(link) = &self.links[index]
                && link.is_readable()
                && !link.is_read_paused
            {
                let stream = link.stream;
                self.read(stream, false);
            }
        }
    }
}

/// Wakes the loop: services ring it, from whatever thread.
pub struct Bell {
    /// Readable while it rings.
    pub descriptor: OwnedFd,
    is_ringing: AtomicBool,
}

impl Bell {
    /// A bell that is silent.
    ///
    /// # Errors
    /// When the machine refuses the descriptor.
    pub fn new() -> io::Result<Self> {
        let descriptor = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { descriptor, is_ringing: AtomicBool::new(false) })
    }

    /// Rings until it is silenced.
    pub fn ring(&self) {
        if !self.is_ringing.swap(true, Ordering::AcqRel) {
            // Can't fail: the counter is at most 1.
            let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
        }
    }

    /// To be called before what rings it is looked at, so that what rings meanwhile is heard.
    pub fn silence(&self) {
        let _ = rustix::io::read(&self.descriptor, &mut [0; 8]);
        self.is_ringing.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests;

/// More than any datagram.
const BUFFER_BYTES: usize = 64 * 1024;
const DATAGRAMS_PER_WAKE: usize = 32;
const ACCEPTS_PER_WAKE: usize = 8;
const READS_PER_WAKE: usize = 4;
const LISTENER_REST_MS: u64 = 1000;
