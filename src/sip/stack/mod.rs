//! The stack below the services: transactions in their tables, their bytes, and what is to be sent next.
//!
//! Matching follows RFC 3261 §17.1.3 and §17.2.3 (with the rule for RFC 2543 peers), §8.2.2.2 for merged requests and
//! RFC 6026 for stray answers, which are dropped. Finished transactions keep only their key and last answer, and give
//! way, oldest first and calls last, when a table or the store is full, so that only unfinished work can be refused. What
//! comes in is in `servers`, what goes out in `clients`, and the way of both to the edge in `send`.

mod clients;
mod finished;
mod send;
mod servers;

use core::net::SocketAddr;

use heapless::Deque;

use crate::base::limits::{
    ACCOUNTS, BINDINGS, CLIENT_TRANSACTIONS, CONTEXTS, LOOKUPS, MESSAGE_BYTES, PORTS, PUBLICATIONS, RECORDINGS,
    SERVER_TRANSACTIONS, STATELESS_BYTES, STREAMS, WATCHED, WATCHES,
};
use crate::base::net::{NOWHERE, Port, Stream, Transport};
use crate::base::random::{Purpose, Random};
use crate::base::schedule::Schedule;
use crate::base::store::{Bytes, Store};
use crate::base::table::{Handle, Index, Table};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::sip::resolver::Resolver;
use crate::sip::transaction::client::{ClientTransaction, Owner};
use crate::sip::transaction::server::ServerTransaction;
use crate::sip::transport::{Network, StreamStep};
use crate::wire::sip::{Message, Name};
use finished::Finished;

/// A server transaction's handle.
pub type ServerHandle = Handle<ServerTransaction>;
/// A client transaction's handle.
pub type ClientHandle = Handle<ClientTransaction>;

/// Transactions, streams, ports, and the schedule they share with the services above.
pub struct Stack {
    /// Messages kept.
    pub store: Store,
    /// Deadlines and readiness of everything.
    pub schedule: Schedule<TASKS>,
    /// Sockets and streams.
    pub network: Network,
    /// Keyed hashes and random numbers.
    pub random: Random,
    /// Where other domains are.
    pub resolver: Resolver,
    /// What happened so far.
    pub counters: Counters,
    servers: Table<ServerTransaction, SERVER_TRANSACTIONS>,
    by_key: Index<{ 2 * SERVER_TRANSACTIONS }>,
    by_merge: Index<{ 2 * SERVER_TRANSACTIONS }>,
    finished_servers: Finished<{ 2 * SERVER_TRANSACTIONS }>,
    clients: Table<ClientTransaction, CLIENT_TRANSACTIONS>,
    finished_clients: Finished<{ 2 * CLIENT_TRANSACTIONS }>,
    slot: Slot,
    /// What has become of requests from within the house.
    outcomes: Deque<(u32, u16), SERVER_TRANSACTIONS>,
    /// Where a message is put together before its length is known.
    scratch: [u8; MESSAGE_BYTES + 1],
}

/// Counts since the start, for `pcsctl status`.
#[derive(Clone, Copy, Default, Debug, serde::Serialize)]
pub struct Counters {
    /// Requests read.
    pub requests: u64,
    /// Answers read.
    pub responses: u64,
    /// Packets that are not SIP, or broken beyond an answer.
    pub malformed: u64,
    /// Packets dropped unread because their source sent too many.
    pub limited: u64,
    /// Answers that belong to nothing.
    pub stray: u64,
    /// Requests refused because a table was full.
    pub overloaded: u64,
    /// Credentials that were wrong.
    pub refused: u64,
    /// Messages that a device did not take.
    pub missed_messages: u64,
}

/// A stateless answer, or an ACK that passes through: sent before the next input is read.
///
/// The address is no `Option`, whose `None` is not all zero: that would move the whole server from `.bss` to `.data`.
struct Slot {
    is_full: bool,
    port: Port,
    remote: SocketAddr,
    len: usize,
    bytes: [u8; STATELESS_BYTES],
}

/// Who has something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// A server transaction's slot.
    Server(usize),
    /// A client transaction's slot.
    Client(usize),
    /// A response context's slot.
    Context(usize),
    /// A binding's slot.
    Binding(usize),
    /// A stream's slot.
    Stream(usize),
    /// A port.
    Port(usize),
    /// A lookup of the resolver.
    Lookup(usize),
    /// The journal.
    Journal,
    /// What the home knows of its people, which has to be put together anew.
    People,
    /// The calls that are counted.
    Calls,
    /// A publication's slot.
    Publication(usize),
    /// A watch's slot.
    Watch(usize),
    /// A slot of what the home itself watches.
    Watched(usize),
    /// What is kept for people, and who is away or back.
    Inbox,
    /// A slot of the answering machine.
    Machine(usize),
    /// An account on another network.
    Account(usize),
    /// Texts on their way to other networks, and what became of what came from there.
    Outgoing,
}

const CLIENTS: usize = SERVER_TRANSACTIONS;
const CONTEXTS_FROM: usize = CLIENTS + CLIENT_TRANSACTIONS;
const BINDINGS_FROM: usize = CONTEXTS_FROM + CONTEXTS;
const STREAMS_FROM: usize = BINDINGS_FROM + BINDINGS;
const PORTS_FROM: usize = STREAMS_FROM + STREAMS;
const LOOKUPS_FROM: usize = PORTS_FROM + PORTS;
const JOURNAL: usize = LOOKUPS_FROM + LOOKUPS;
const PEOPLE: usize = JOURNAL + 1;
const CALLS: usize = PEOPLE + 1;
const PUBLICATIONS_FROM: usize = CALLS + 1;
const WATCHES_FROM: usize = PUBLICATIONS_FROM + PUBLICATIONS;
const WATCHED_FROM: usize = WATCHES_FROM + WATCHES;
const INBOX: usize = WATCHED_FROM + WATCHED;
const MACHINES_FROM: usize = INBOX + 1;
const ACCOUNTS_FROM: usize = MACHINES_FROM + RECORDINGS;
const OUTGOING: usize = ACCOUNTS_FROM + ACCOUNTS;
/// Number of tasks.
pub const TASKS: usize = OUTGOING + 1;

impl Task {
    /// The task's number in the schedule.
    pub const fn id(self) -> usize {
        match self {
            Self::Server(index) => index,
            Self::Client(index) => CLIENTS + index,
            Self::Context(index) => CONTEXTS_FROM + index,
            Self::Binding(index) => BINDINGS_FROM + index,
            Self::Stream(index) => STREAMS_FROM + index,
            Self::Port(index) => PORTS_FROM + index,
            Self::Lookup(index) => LOOKUPS_FROM + index,
            Self::Journal => JOURNAL,
            Self::People => PEOPLE,
            Self::Calls => CALLS,
            Self::Publication(index) => PUBLICATIONS_FROM + index,
            Self::Watch(index) => WATCHES_FROM + index,
            Self::Watched(index) => WATCHED_FROM + index,
            Self::Inbox => INBOX,
            Self::Machine(index) => MACHINES_FROM + index,
            Self::Account(index) => ACCOUNTS_FROM + index,
            Self::Outgoing => OUTGOING,
        }
    }

    /// The task with a number.
    pub const fn from_id(id: usize) -> Self {
        match id {
            id if id < CLIENTS => Self::Server(id),
            id if id < CONTEXTS_FROM => Self::Client(id - CLIENTS),
            id if id < BINDINGS_FROM => Self::Context(id - CONTEXTS_FROM),
            id if id < STREAMS_FROM => Self::Binding(id - BINDINGS_FROM),
            id if id < PORTS_FROM => Self::Stream(id - STREAMS_FROM),
            id if id < LOOKUPS_FROM => Self::Port(id - PORTS_FROM),
            id if id < JOURNAL => Self::Lookup(id - LOOKUPS_FROM),
            JOURNAL => Self::Journal,
            PEOPLE => Self::People,
            CALLS => Self::Calls,
            id if id < WATCHES_FROM => Self::Publication(id - PUBLICATIONS_FROM),
            id if id < WATCHED_FROM => Self::Watch(id - WATCHES_FROM),
            id if id < INBOX => Self::Watched(id - WATCHED_FROM),
            INBOX => Self::Inbox,
            id if id < ACCOUNTS_FROM => Self::Machine(id - MACHINES_FROM),
            id if id < OUTGOING => Self::Account(id - ACCOUNTS_FROM),
            _ => Self::Outgoing,
        }
    }
}

/// What identifies a request, as keyed hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Its own transaction; for an ACK that of the INVITE.
    pub transaction: u64,
    /// The INVITE's transaction that a CANCEL means.
    pub invite: u64,
    /// The request itself, by whatever way it came; 0 in a dialog.
    pub merge: u64,
}

/// What came of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// Nothing for the services.
    Nothing,
    /// An answer for the service that waits for it.
    For(Owner, ClientHandle),
    /// A device answered a keep-alive; the handle bits are its binding's.
    KeptAlive(u32),
}

/// What came of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing for the services.
    Nothing,
    /// A request of a service's got no answer in time.
    TimedOut(Owner, ClientHandle),
    /// A branch rang for too long.
    RangTooLong(ClientHandle),
    /// A stream's deadline has come: it is being closed.
    StreamClosing,
}

/// What a task had to send.
pub enum Produced<T> {
    /// Something for the edge.
    Output(T),
    /// Nothing, or it went into a stream's window.
    Nothing,
    /// Something that there is no room for now: it stays.
    Blocked,
}

impl<T> Produced<T> {
    /// The same, as something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Produced<U> {
        match self {
            Self::Output(output) => Produced::Output(f(output)),
            Self::Nothing => Produced::Nothing,
            Self::Blocked => Produced::Blocked,
        }
    }
}

/// Something for the edge, as the stack knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sending {
    /// A datagram of so many bytes of the buffer.
    Datagram(Port, SocketAddr, usize),
    /// A step of a stream, with the peer's address and what the stream speaks.
    Stream(Stream, StreamStep, SocketAddr, Transport),
    /// A port to open or to close.
    Port(Port, Transport, SocketAddr, bool),
}

/// Whether a flow takes a message now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Free,
    Blocked,
    Gone,
}

impl Stack {
    /// Nothing going on.
    pub const fn new() -> Self {
        Self {
            store: Store::new(),
            schedule: Schedule::new(),
            network: Network::new(),
            random: Random::new(),
            resolver: Resolver::new(),
            counters: Counters {
                requests: 0,
                responses: 0,
                malformed: 0,
                limited: 0,
                stray: 0,
                overloaded: 0,
                refused: 0,
                missed_messages: 0,
            },
            servers: Table::new(),
            by_key: Index::new(),
            by_merge: Index::new(),
            finished_servers: Finished::new(),
            clients: Table::new(),
            finished_clients: Finished::new(),
            slot: Slot { is_full: false, port: Port(0), remote: NOWHERE, len: 0, bytes: [0; STATELESS_BYTES] },
            outcomes: Deque::new(),
            scratch: [0; MESSAGE_BYTES + 1],
        }
    }

    /// Freezes the answer of a device with our Via taken off, ready to go back the way the request came.
    pub fn freeze_without_via(&mut self, message: &Message<'_>) -> Option<Bytes> {
        let mut out = Writer::new(&mut self.scratch);
        write_without_via(message, &mut out);
        let len = out.finish().ok()?;
        self.freeze_scratch(len)
    }

    /// A block for so many bytes, letting finished transactions give way if need be.
    fn allocate(&mut self, len: usize) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.store.allocate(len) {
                return Some(bytes);
            }
            if !self.evict_server() && !self.evict_client() {
                self.counters.overloaded += 1;
                return None;
            }
        }
    }

    /// Freezes bytes, letting finished transactions give way if need be.
    pub fn freeze(&mut self, bytes: &[u8]) -> Option<Bytes> {
        loop {
            if let Some(frozen) = self.store.freeze(bytes) {
                return Some(frozen);
            }
            if !self.evict_server() && !self.evict_client() {
                self.counters.overloaded += 1;
                return None;
            }
        }
    }

    /// Freezes what `compose` writes; it may read what is kept.
    pub fn compose(&mut self, compose: impl FnOnce(&Store, &mut Writer<'_>)) -> Option<Bytes> {
        let mut out = Writer::new(&mut self.scratch);
        compose(&self.store, &mut out);
        let len = out.finish().ok()?;
        self.freeze_scratch(len)
    }

    /// Freezes what `compose` writes; it may read what is kept, our networks, and the keys.
    pub fn compose_with(&mut self, compose: impl FnOnce(&Store, &Network, &Random, &mut Writer<'_>)) -> Option<Bytes> {
        let mut out = Writer::new(&mut self.scratch);
        compose(&self.store, &self.network, &self.random, &mut out);
        let len = out.finish().ok()?;
        self.freeze_scratch(len)
    }

    fn freeze_scratch(&mut self, len: usize) -> Option<Bytes> {
        loop {
            if let Some(frozen) = self.store.freeze(&self.scratch[..len]) {
                return Some(frozen);
            }
            if !self.evict_server() && !self.evict_client() {
                self.counters.overloaded += 1;
                return None;
            }
        }
    }

    /// Has every lookup go on that can.
    pub fn wake_lookups(&mut self) {
        for index in 0..LOOKUPS {
            if self.resolver.is_ready(index) {
                self.schedule.wake(Task::Lookup(index).id());
            }
            self.schedule.set_deadline(Task::Lookup(index).id(), self.resolver.deadline(index));
        }
    }

    /// Acts on a task whose deadline has come.
    pub fn due(&mut self, now: Instant, task: Task) -> Due {
        match task {
            Task::Server(index) => {
                if let Some(handle) = self.servers.handle_at(index) {
                    self.server_due(now, handle);
                }
                Due::Nothing
            }
            Task::Client(index) => match self.clients.handle_at(index) {
                Some(handle) => self.client_due(now, handle),
                None => Due::Nothing,
            },
            Task::Stream(index) => {
                if self.network.stream_due(now, index) {
                    self.schedule.wake(task.id());
                    return Due::StreamClosing;
                }
                self.reschedule_stream(index);
                Due::Nothing
            }
            Task::Port(index) => {
                if self.network.reopen(Port(index as u8)) {
                    self.schedule.wake(task.id());
                }
                Due::Nothing
            }
            _ => Due::Nothing,
        }
    }

    /// Sets a stream's deadline anew after something changed about it.
    pub fn reschedule_stream(&mut self, index: usize) {
        let deadline = self.network.stream_deadline(index);
        self.schedule.set_deadline(Task::Stream(index).id(), deadline);
    }

    /// Server transactions and client transactions now, finished ones included.
    pub fn transactions(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }

    /// Name, capacity and bytes of each table.
    pub fn footprint() -> [(&'static str, usize, usize); 8] {
        [
            ("server transactions", SERVER_TRANSACTIONS, size_of::<Table<ServerTransaction, SERVER_TRANSACTIONS>>()),
            ("server indexes", 4 * SERVER_TRANSACTIONS, 2 * size_of::<Index<{ 2 * SERVER_TRANSACTIONS }>>()),
            ("client transactions", CLIENT_TRANSACTIONS, size_of::<Table<ClientTransaction, CLIENT_TRANSACTIONS>>()),
            ("message blocks", <Store>::BLOCKS, size_of::<Store>()),
            ("schedule", TASKS, size_of::<Schedule<TASKS>>()),
            ("streams and ports", STREAMS + PORTS, size_of::<Network>()),
            ("stateless answer", 1, size_of::<Slot>()),
            ("scratch message", 1, MESSAGE_BYTES + 1),
        ]
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

/// The tag of answers that are given without a transaction: the same for the same request (RFC 3261 §8.2.7).
pub fn tag_of<'t>(random: &Random, message: &Message<'_>, buffer: &'t mut [u8; 16]) -> &'t [u8] {
    let mut hash = random.hash(Purpose::Tag);
    if let Some(essentials) = message.essentials() {
        hash.put(essentials.via.branch().unwrap_or_default());
        hash.put(essentials.call_id);
        hash.put(essentials.from.tag().unwrap_or_default());
    }
    let mut out = Writer::new(buffer);
    out.hex(hash.finish(), 16);
    &buffer[..]
}

/// Writes an answer without its topmost Via value. One from a datagram may lack Content-Length, which the stream it goes
/// back on needs (§18.3).
fn write_without_via(message: &Message<'_>, out: &mut Writer<'_>) {
    let bytes = message.bytes();
    let (Some(essentials), Some(first)) = (message.essentials(), message.field(Name::Via)) else {
        out.put(bytes);
        return;
    };
    let value = message.span(first.value);
    let own = message.span(essentials.via.raw);
    let mut values = message.values(Name::Via);
    let second = values.nth(1).map(|second| message.span(second)).filter(|second| second.end <= value.end);
    let (from, to) = match second {
        Some(second) => (own.start, second.start),
        None => (first.line.start, first.line.end),
    };
    let end = message.head_end();
    out.put(&bytes[..from]);
    out.put(&bytes[to..end]);
    if message.field(Name::ContentLength).is_none() {
        out.text("Content-Length: ");
        out.number(message.body().len() as u64);
        out.text("\r\n");
    }
    out.put(&bytes[end..]);
}
