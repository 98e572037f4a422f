//! TCP: listeners, and streams in both directions, all without waiting; TLS inside of them. And streams to sockets of this
//! machine.
//!
//! A stream's bytes lie in the core's windows; the edge only moves them between window and socket, through a [`Session`]
//! if they are encrypted. Left out: half-closed
//! connections (a peer that sends no more is gone, RFC 3261 §18 has no use for them).

use super::clock;
use super::poller::Readiness;
use super::tls::fault::Fault;
use super::tls::session::{HANDSHAKE_MS, Progress, Pulled, Session};
use super::udp::socket;
use crate::base::net::{NOWHERE, PeerIdentity, Stream, Transport};
use crate::base::time::Instant;
use crate::server::Server;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::boxed::Box;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

/// A socket that takes connections.
pub struct Listener {
    socket: TcpListener,
    /// What its connections speak.
    pub transport: Transport,
    /// Until when it rests, because the process or the machine had no room for another connection.
    pub resting_until: Option<Instant>,
}

/// What [`Listener::accept`] found.
pub enum Accepted {
    /// A connection.
    Connection(TcpStream, SocketAddr),
    /// One that was gone before it was taken.
    Gone,
    /// None.
    Nothing,
    /// No room: the listener has to rest, or it would be ready for ever.
    NoRoom(io::Error),
}

impl Listener {
    /// Opens a listener on exactly `address`.
    pub fn open(transport: Transport, address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = socket(address, SocketType::STREAM)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let socket = TcpListener::from(socket);
        let address = socket.local_addr()?;
        Ok((Self { socket, transport, resting_until: None }, address))
    }

    /// Takes one connection.
    pub fn accept(&self) -> Accepted {
        match self.socket.accept() {
            Ok((socket, from)) => Accepted::Connection(socket, from),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Nothing,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Accepted::NoRoom(error),
                _ => Accepted::Gone,
            },
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The socket of one stream.
pub struct Link {
    /// The core's name for it.
    pub stream: Stream,
    /// What it speaks.
    pub transport: Transport,
    socket: Socket,
    /// The encryption, once there is any.
    session: Option<Box<Session>>,
    /// Whether the core asked for it.
    pub is_outgoing: bool,
    /// Whether the core has been told that it is connected.
    pub is_told: bool,
    stage: Stage,
    /// Whether the core has no room for more bytes.
    pub is_read_paused: bool,
    /// Whether the socket has no room for more bytes.
    pub is_write_blocked: bool,
    /// What the poller waits for.
    watched: Readiness,
}

/// What a link reads and writes.
enum Socket {
    Tcp(TcpStream),
    Local(UnixStream),
}

/// How far a link has come; the stages before the last end at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It is not connected yet.
    Connecting(Instant),
    /// It was plain until now, and is to begin a handshake when it is its turn.
    Turning(Instant),
    /// It is connected; what is in it begins with a handshake.
    Shaking(Instant),
    /// It is up.
    Up,
}

/// Why a handshake failed.
pub enum Failure {
    /// By what the peer sent.
    Fault(Fault),
    /// The connection broke.
    Broken(io::Error),
}

impl Link {
    /// A connection that a listener took.
    pub fn accepted(stream: Stream, socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        set_options(&socket)?;
        Ok(Self::new(stream, Transport::Tcp, Socket::Tcp(socket)))
    }

    /// Begins to connect; the socket is writable when that has ended, well or not.
    pub fn connect(stream: Stream, transport: Transport, to: SocketAddr, now: Instant) -> io::Result<Self> {
        let socket = socket(to, SocketType::STREAM)?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        set_options(&socket)?;
        Ok(Self::connecting(Self::new(stream, transport, Socket::Tcp(socket)), now))
    }

    /// Begins to connect to a socket of this machine.
    pub fn connect_local(stream: Stream, path: &str, now: Instant) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // At once or not at all: a listener whose queue is full does not make anybody wait.
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self::connecting(Self::new(stream, Transport::Tcp, Socket::Local(socket.into())), now))
    }

    fn connecting(mut link: Self, now: Instant) -> Self {
        link.is_outgoing = true;
        link.stage = Stage::Connecting(now.plus(CONNECT_MS));
        link
    }

    /// Whether the attempt to connect went well; our end's address if so.
    pub fn connected(&mut self) -> io::Result<SocketAddr> {
        if let Socket::Tcp(socket) = &self.socket {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            // Only a connected socket has a peer.
            socket.peer_addr()?;
        }
        self.stage = Stage::Up;
        self.local()
    }

    /// Our end's address.
    pub fn local(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr(),
            Socket::Local(_) => Ok(NOWHERE),
        }
    }

    /// The peer's address, while there is a connection.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.peer_addr().ok(),
            Socket::Local(_) => None,
        }
    }

    /// Has TLS begin when it is this link's turn: the socket is ready at once. Whether that can be.
    pub fn turn_secure(&mut self, now: Instant) -> bool {
        let can_be = self.stage == Stage::Up && self.session.is_none() && self.is_outgoing;
        if can_be {
            self.stage = Stage::Turning(now.plus(HANDSHAKE_MS));
        }
        can_be
    }

    /// Has all bytes go through `session` from now on. It shakes hands first.
    pub fn secure(&mut self, session: Session, now: Instant) {
        self.transport = Transport::Tls;
        self.session = Some(Box::new(session));
        self.stage = Stage::Shaking(now.plus(HANDSHAKE_MS));
    }

    /// Takes one step of the handshake. Who the peer is, once it is over. What is to be sent is sent as far as that goes.
    pub fn shake_hands(&mut self) -> Result<Option<Box<PeerIdentity>>, Failure> {
        let Some(session) = &mut self.session else { return Ok(None) };
        let mut progress = Ok(Progress::Handshaking);
        if session.pull(&mut self.socket).map_err(Failure::Broken)? != Pulled::Nothing {
            progress = session.advance();
        }
        // When it has failed, the peer hears why.
        let pushed = session.push(&mut self.socket);
        let progress = progress.map_err(Failure::Fault)?;
        self.is_write_blocked = !pushed.map_err(Failure::Broken)?;
        let Progress::Established(peer) = progress else { return Ok(None) };
        self.stage = Stage::Up;
        log::debug!("stream {}: {}", self.stream.index, session.agreed());
        Ok(Some(peer))
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When it has to have come further.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Connecting(until) | Stage::Turning(until) | Stage::Shaking(until) => Some(until),
            Stage::Up => None,
        }
    }

    /// Whether there are bytes to read, or the news of their end, that the socket does not tell of.
    pub fn is_readable(&self) -> bool {
        self.stage == Stage::Up && self.session.as_ref().is_some_and(|session| !session.wants_read())
    }

    /// What to wait for.
    pub fn interest(&self) -> Readiness {
        let mut interest = Readiness::empty();
        // Before the handshake what comes in is left where it is.
        let is_waiting = matches!(self.stage, Stage::Connecting(_) | Stage::Turning(_));
        interest.set(Readiness::IN, !is_waiting && !self.is_read_paused);
        interest.set(Readiness::OUT, is_waiting || self.is_write_blocked);
        interest
    }

    /// What to wait for, if that is not what was told last time.
    pub fn changed_interest(&mut self) -> Option<Readiness> {
        let interest = self.interest();
        (core::mem::replace(&mut self.watched, interest) != interest).then_some(interest)
    }

    /// Reads into the core's window: how many bytes, 0 at the end, `None` when nothing waits. Of what is encrypted, at most
    /// one read of the socket is looked at.
    pub fn read(&mut self, window: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(session) = &mut self.session else { return read(&mut self.socket, window) };
        if let Some(len) = session.read(window)? {
            return Ok(Some(len));
        }
        if session.pull(&mut self.socket)? == Pulled::Nothing {
            return Ok(None);
        }
        let progress = session.advance();
        self.is_write_blocked |= !session.push(&mut self.socket)?;
        match progress {
            Ok(_) => session.read(window),
            Err(fault) => {
                log::debug!("stream {}: {fault}", self.stream.index);
                Err(ErrorKind::InvalidData.into())
            }
        }
    }

    /// Writes what the core's window holds, as far as that goes at once.
    pub fn flush(&mut self, server: &mut Server) -> io::Result<()> {
        for _ in 0..WRITES_PER_TURN {
            if let Some(session) = &mut self.session
                && !session.push(&mut self.socket)?
            {
                break;
            }
            let window = server.transmit_window(self.stream);
            if window.is_empty() {
                self.is_write_blocked = false;
                return Ok(());
            }
            let written = match &mut self.session {
                Some(session) => session.write(window),
                None => self.socket.write(window),
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => server.transmitted(clock::now(), self.stream, n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.is_write_blocked = true;
        Ok(())
    }

    /// Says goodbye. What the peer has sent meanwhile is read away: closing with bytes unread resets the connection,
    /// and the peer would lose our last ones.
    pub fn finish(mut self, scratch: &mut [u8]) {
        if matches!(self.stage, Stage::Connecting(_)) {
            return;
        }
        if let Some(session) = &mut self.session
            && self.stage == Stage::Up
        {
            session.close();
            let _ = session.push(&mut self.socket);
        }
        if self.socket.shutdown().is_ok() {
            let _ = read(&mut self.socket, scratch);
        }
    }

    const fn new(stream: Stream, transport: Transport, socket: Socket) -> Self {
        Self {
            stream,
            transport,
            socket,
            session: None,
            is_outgoing: false,
            is_told: false,
            stage: Stage::Up,
            is_read_paused: false,
            is_write_blocked: false,
            watched: Readiness::empty(),
        }
    }
}

impl Socket {
    /// Says that no more will be sent.
    fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Local(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(window),
            Self::Local(socket) => socket.read(window),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Local(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Local(socket) => socket.as_fd(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Messages are small and answered at once, and a peer that vanished shall be noticed within minutes: the system's own two
/// hours are longer than any registration.
fn set_options(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    Ok(sockopt::set_socket_keepalive(socket, true)?)
}

fn read(socket: &mut Socket, window: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match socket.read(window) {
            Ok(n) => return Ok(Some(n)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

const BACKLOG: i32 = 64;
const CONNECT_MS: u64 = 10_000;
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;
const WRITES_PER_TURN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags};

    const STREAM: Stream = Stream { index: 3, generation: 7 };

    /// Waits as the loop does.
    fn await_readiness(socket: &impl AsFd, flags: PollFlags) {
        let mut ready = [PollFd::new(socket, flags)];
        assert_eq!(rustix::event::poll(&mut ready, None), Ok(1));
    }

    fn pair() -> (Link, Link) {
        let (listener, address) = Listener::open(Transport::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(matches!(listener.accept(), Accepted::Nothing));
        let mut out = Link::connect(STREAM, Transport::Tcp, address, Instant::ZERO).unwrap();
        assert_eq!(out.deadline(), Some(Instant::from_millis(10_000)));
        assert_eq!(out.interest(), Readiness::OUT);
        await_readiness(&listener, PollFlags::IN);
        let Accepted::Connection(socket, from) = listener.accept() else { panic!("a connection waits") };
        await_readiness(&out, PollFlags::OUT);
        assert_eq!(out.connected().unwrap(), from);
        assert_eq!(out.deadline(), None);
        assert_eq!(out.interest(), Readiness::IN);
        (out, Link::accepted(STREAM, socket).unwrap())
    }

    #[test]
    fn both_ends() {
        let (mut a, mut b) = pair();
        let mut window = [0; 8];
        assert_eq!(b.read(&mut window).unwrap(), None);
        a.socket.write_all(b"REGISTER").unwrap();
        // Unread bytes at the end that closes must not cost the other its last ones.
        b.socket.write_all(b"513").unwrap();
        await_readiness(&b, PollFlags::IN);
        b.finish(&mut [0; 64]);
        await_readiness(&a, PollFlags::IN);
        assert_eq!(a.read(&mut window).unwrap(), Some(3));
        assert_eq!(&window[..3], b"513");
        await_readiness(&a, PollFlags::IN);
        assert_eq!(a.read(&mut window).unwrap(), Some(0));
    }

    #[test]
    fn interest_follows_the_windows() {
        let (mut a, _b) = pair();
        a.is_write_blocked = true;
        assert_eq!(a.interest(), Readiness::IN | Readiness::OUT);
        a.is_read_paused = true;
        assert_eq!(a.interest(), Readiness::OUT);
        a.is_write_blocked = false;
        assert_eq!(a.interest(), Readiness::empty());
        assert!(sockopt::tcp_nodelay(&a).unwrap() && sockopt::socket_keepalive(&a).unwrap());
    }

    #[test]
    fn refused() {
        let (listener, address) = Listener::open(Transport::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        drop(listener);
        // Loopback may refuse at once or later.
        if let Ok(mut link) = Link::connect(STREAM, Transport::Tcp, address, Instant::ZERO) {
            await_readiness(&link, PollFlags::OUT);
            assert_eq!(link.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn ipv6_is_ipv6_only() {
        match Listener::open(Transport::Tcp, "[::1]:0".parse().unwrap()) {
            Ok((listener, _)) => assert!(sockopt::ipv6_v6only(&listener).unwrap()),
            Err(error) => std::eprintln!("skipped: this machine has no IPv6 ({error})"),
        }
    }
}
