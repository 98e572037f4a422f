//! One question put to the name servers: sockets, attempts, and whether what came back is its answer (RFC 5452 §9).
//!
//! Each attempt has a fresh socket and a fresh id. A server that refuses is not asked this question again; one that is
//! silent is asked once more after the others were. An answer that did not fit is asked for over TCP (RFC 7766 §5).

use core::net::SocketAddr;

use heapless::Vec;

use super::Step;
use crate::base::limits::NAME_SERVERS;
use crate::base::net::NOWHERE;
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::wire::dns::{Kind, Message, Name, write_query};

/// A server has so long to answer, and a connection to it to come up.
pub(super) const ATTEMPT_MS: u64 = 2_000;
/// Silent attempts for each server.
const ROUNDS: u32 = 2;
/// Queries for one lookup, all its questions together.
pub(super) const QUERIES: u8 = 24;
/// Aliases from the name asked for to the one that has the records.
pub(super) const LINKS: u8 = 8;
/// Wrong datagrams on one socket: somebody is guessing ids, and a new socket makes him begin anew.
pub(super) const WRONG: u8 = 16;

/// The name servers, and which one was the last to answer.
pub(super) struct Servers {
    pub list: Vec<SocketAddr, NAME_SERVERS>,
    first: u8,
}

impl Servers {
    pub const fn new() -> Self {
        Self { list: Vec::new(), first: 0 }
    }

    pub fn replace(&mut self, list: Vec<SocketAddr, NAME_SERVERS>) {
        (self.list, self.first) = (list, 0);
    }

    fn at(&self, server: u8) -> SocketAddr {
        self.list.get(usize::from(server)).copied().unwrap_or(NOWHERE)
    }

    fn after(&self, server: u8) -> u8 {
        if usize::from(server) + 1 < self.list.len() { server + 1 } else { 0 }
    }
}

/// Why an attempt led to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Miss {
    /// Nothing came in time, or nothing could be sent.
    Silent,
    /// The server can't or won't answer.
    Refused,
}

/// A question, and the attempt that is under way.
pub(super) struct Query {
    pub name: Name,
    pub kind: Kind,
    /// Aliases followed since the name that was asked for first.
    pub links: u8,
    /// The least time to live among them.
    pub ttl_s: u32,
    /// Queries sent, for all questions so far.
    pub sent: u8,
    /// When the attempt is given up.
    pub deadline: Option<Instant>,
    /// Wrong datagrams on this socket.
    pub wrong: u8,
    phase: Phase,
    held: Held,
    is_to_close: bool,
    is_without_edns: bool,
    server: u8,
    silent: u8,
    refused: u8,
    id: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    ToOpen,
    Opening,
    ToSend,
    Waiting,
    ToConnect,
    Connecting,
    ToSendStream,
    WaitingStream,
}

/// What the world keeps open for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Held {
    Nothing,
    Socket,
    Stream,
}

impl Query {
    /// The first question of a lookup.
    pub fn new((name, kind): (Name, Kind), servers: &Servers) -> Self {
        Self {
            name,
            kind,
            links: 0,
            ttl_s: u32::MAX,
            sent: 0,
            deadline: None,
            wrong: 0,
            phase: Phase::ToOpen,
            held: Held::Nothing,
            is_to_close: false,
            is_without_edns: false,
            server: servers.first,
            silent: 0,
            refused: 0,
            id: 0,
        }
    }

    /// Asks another question.
    pub fn ask(&mut self, (name, kind): (Name, Kind), servers: &Servers) {
        (self.links, self.ttl_s) = (0, u32::MAX);
        self.follow(name, kind, servers);
    }

    /// Asks for what the name stands for.
    pub fn follow(&mut self, name: Name, kind: Kind, servers: &Servers) {
        (self.name, self.kind) = (name, kind);
        self.restart(servers);
    }

    /// Asks the same question anew, of whichever servers there are now.
    pub fn restart(&mut self, servers: &Servers) {
        (self.server, self.silent, self.refused, self.is_without_edns) = (servers.first, 0, 0, false);
        self.attempt(Phase::ToOpen);
    }

    /// Asks the same server over TCP.
    pub fn over_stream(&mut self) {
        self.attempt(Phase::ToConnect);
    }

    /// Asks the same server without OPT, if it was there; whether it was.
    pub fn without_edns(&mut self) -> bool {
        let was_with = !core::mem::replace(&mut self.is_without_edns, true);
        if was_with {
            self.attempt(Phase::ToOpen);
        }
        was_with
    }

    /// The server has answered: the next question goes to it first.
    pub fn is_answered(&self, servers: &mut Servers) {
        servers.first = self.server;
    }

    /// Gives the attempt up and begins the next. `Err` when all were made: whether the last resort refused or is silent.
    pub fn missed(&mut self, miss: Miss, servers: &Servers) -> Result<(), Miss> {
        match miss {
            Miss::Silent => self.silent = self.silent.saturating_add(1),
            Miss::Refused => self.refused |= 1 << self.server,
        }
        let willing = servers.list.len() as u32 - self.refused.count_ones().min(servers.list.len() as u32);
        if willing == 0 {
            return Err(Miss::Refused);
        }
        if u32::from(self.silent) >= ROUNDS * willing || self.sent >= QUERIES {
            return Err(Miss::Silent);
        }
        for _ in 0..servers.list.len() {
            self.server = servers.after(self.server);
            if self.refused & 1 << self.server == 0 {
                break;
            }
        }
        self.attempt(Phase::ToOpen);
        Ok(())
    }

    /// Asks nothing more.
    pub fn end(&mut self) {
        self.attempt(Phase::Idle);
    }

    /// Whether nothing is open.
    pub fn is_closed(&self) -> bool {
        self.held == Held::Nothing
    }

    /// Whether [`Query::step`] has something to be done.
    pub fn is_ready(&self) -> bool {
        self.is_to_close || matches!(self.phase, Phase::ToOpen | Phase::ToSend | Phase::ToConnect | Phase::ToSendStream)
    }

    /// The next thing to be done.
    pub fn step(&mut self, now: Instant, servers: &Servers, random: &mut Random, out: &mut Writer<'_>) -> Option<Step> {
        if core::mem::take(&mut self.is_to_close) {
            match core::mem::replace(&mut self.held, Held::Nothing) {
                Held::Socket => return Some(Step::Close),
                Held::Stream => return Some(Step::CloseStream),
                Held::Nothing => {}
            }
        }
        let to = servers.at(self.server);
        let (phase, step) = match self.phase {
            Phase::ToOpen => {
                self.held = Held::Socket;
                (Phase::Opening, Step::Open { to })
            }
            Phase::ToConnect => {
                self.held = Held::Stream;
                (Phase::Connecting, Step::Connect { to })
            }
            Phase::ToSend => {
                self.write(random, out);
                (Phase::Waiting, Step::Send { to })
            }
            Phase::ToSendStream => {
                let at = out.len();
                out.put(&[0; 2]);
                self.write(random, out);
                let len = out.len() - at - 2;
                out.patch(at, &(len as u16).to_be_bytes());
                (Phase::WaitingStream, Step::SendStream)
            }
            _ => return None,
        };
        self.phase = phase;
        self.deadline = Some(now.plus(ATTEMPT_MS));
        Some(step)
    }

    /// The socket is open, or can't be: false when it was waited for and can't be.
    pub fn opened(&mut self, ok: bool) -> bool {
        if self.phase != Phase::Opening || self.is_to_close {
            return true;
        }
        (self.phase, self.held) = if ok { (Phase::ToSend, Held::Socket) } else { (Phase::Opening, Held::Nothing) };
        ok
    }

    /// The connection is up.
    pub fn connected(&mut self) {
        if self.phase == Phase::Connecting && !self.is_to_close {
            self.phase = Phase::ToSendStream;
        }
    }

    /// The stream is gone; whether something was still expected of it.
    pub fn stream_closed(&mut self) -> bool {
        if self.held != Held::Stream {
            return false;
        }
        (self.held, self.is_to_close) = (Held::Nothing, false);
        matches!(self.phase, Phase::Connecting | Phase::ToSendStream | Phase::WaitingStream)
    }

    /// Whether a datagram is waited for.
    pub fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Whether bytes of a stream are waited for.
    pub fn is_waiting_for_stream(&self) -> bool {
        self.phase == Phase::WaitingStream
    }

    /// The answer to this question, if the bytes are that and come from the server that was asked.
    pub fn accept<'b>(&self, servers: &Servers, from: Option<SocketAddr>, bytes: &'b [u8]) -> Option<Message<'b>> {
        let server = servers.at(self.server);
        let same = |from: SocketAddr| (from.ip().to_canonical(), from.port());
        if from.is_some_and(|from| same(from) != same(server)) {
            return None;
        }
        let message = Message::parse(bytes).ok()?;
        message.is_answer_to(self.id, &self.name, self.kind).then_some(message)
    }

    fn attempt(&mut self, phase: Phase) {
        (self.phase, self.deadline, self.wrong) = (phase, None, 0);
        self.is_to_close = self.held != Held::Nothing;
    }

    fn write(&mut self, random: &mut Random, out: &mut Writer<'_>) {
        self.id = random.number() as u16;
        self.sent = self.sent.saturating_add(1);
        write_query(self.id, &self.name, self.kind, !self.is_without_edns, out);
    }
}
