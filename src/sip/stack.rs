//! The stack below the services: transactions in their tables, their bytes, and what is to be sent next.
//!
//! Matching follows RFC 3261 §17.1.3 and §17.2.3 (with the rule for RFC 2543 peers), §8.2.2.2 for merged requests and
//! RFC 6026 for stray answers, which are dropped. Finished transactions keep only their key and last answer, and give
//! way, oldest first, when a table or the store is full, so that only unfinished work can be refused.

use core::net::SocketAddr;

use heapless::Deque;

use crate::base::limits::{
    BINDINGS, CLIENT_TRANSACTIONS, CONTEXTS, MESSAGE_BYTES, PORTS, SERVER_TRANSACTIONS, STATELESS_BYTES, STREAMS,
};
use crate::base::net::{Flow, Port, PortSet, Stream, Transport};
use crate::base::random::{Purpose, Random};
use crate::base::schedule::Schedule;
use crate::base::store::{Bytes, Store};
use crate::base::table::{Handle, Index, Table};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::sip::branch::{Branch, Kind};
use crate::sip::transaction::client::{self, ClientTransaction, Received};
use crate::sip::transaction::server::{self, ServerTransaction};
use crate::sip::transport::{Network, StreamStep};
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Message, Method, Name, edit};

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
    /// What happened so far.
    pub counters: Counters,
    servers: Table<ServerTransaction, SERVER_TRANSACTIONS>,
    by_key: Index<{ 2 * SERVER_TRANSACTIONS }>,
    by_merge: Index<{ 2 * SERVER_TRANSACTIONS }>,
    finished_servers: Deque<u32, SERVER_TRANSACTIONS>,
    clients: Table<ClientTransaction, CLIENT_TRANSACTIONS>,
    finished_clients: Deque<u32, CLIENT_TRANSACTIONS>,
    slot: Slot,
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
struct Slot {
    flow: Option<Flow>,
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
}

const CLIENTS: usize = SERVER_TRANSACTIONS;
const CONTEXTS_FROM: usize = CLIENTS + CLIENT_TRANSACTIONS;
const BINDINGS_FROM: usize = CONTEXTS_FROM + CONTEXTS;
const STREAMS_FROM: usize = BINDINGS_FROM + BINDINGS;
const PORTS_FROM: usize = STREAMS_FROM + STREAMS;
/// Number of tasks.
pub const TASKS: usize = PORTS_FROM + PORTS;

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
            id => Self::Port(id - PORTS_FROM),
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
    /// An answer for the context that waits for it.
    ForContext(ClientHandle),
    /// A device answered a keep-alive; the handle bits are its binding's.
    KeptAlive(u32),
}

/// What came of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing for the services.
    Nothing,
    /// A branch got no answer in time.
    TimedOut(ClientHandle),
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

/// Something for the edge, as the stack knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sending {
    /// A datagram of so many bytes of the buffer.
    Datagram(Port, SocketAddr, usize),
    /// A step of a stream, with the peer's address.
    Stream(Stream, StreamStep, SocketAddr),
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
            finished_servers: Deque::new(),
            clients: Table::new(),
            finished_clients: Deque::new(),
            slot: Slot { flow: None, len: 0, bytes: [0; STATELESS_BYTES] },
            scratch: [0; MESSAGE_BYTES + 1],
        }
    }

    // --- requests that come in -------------------------------------------------------------------------------------

    /// What identifies a request (§17.2.3, §8.2.2.2). The message has its essentials.
    pub fn keys(&self, message: &Message<'_>) -> Option<Keys> {
        let essentials = message.essentials()?;
        let method = message.method()?;
        let own = if method == Method::Ack { Method::Invite } else { method };
        let mut hash = self.random.hash(Purpose::Table);
        match essentials.via.branch().and_then(|branch| branch.strip_prefix(b"z9hG4bK")) {
            Some(unique) if !unique.is_empty() => {
                hash.put(unique);
                hash.put_lower(essentials.via.host_raw);
                hash.put(&essentials.via.port.unwrap_or(0).to_le_bytes());
            }
            // A peer of RFC 2543: the whole request identifies it, but for the To tag, which an ACK has and its INVITE not.
            _ => {
                hash.put(message.request_uri()?);
                hash.put(essentials.from.tag().unwrap_or_default());
                hash.put(essentials.call_id);
                hash.put(&essentials.cseq.number.to_le_bytes());
                hash.put(essentials.via.raw);
            }
        }
        let mut invite = hash.clone();
        hash.put(own.as_bytes());
        invite.put(Method::Invite.as_bytes());
        let merge = if essentials.to.tag().is_some() {
            0
        } else {
            let mut hash = self.random.hash(Purpose::Table);
            hash.put(message.request_uri()?);
            hash.put(essentials.from.tag().unwrap_or_default());
            hash.put(essentials.call_id);
            hash.put(&essentials.cseq.number.to_le_bytes());
            hash.put(method.as_bytes());
            hash.finish()
        };
        Some(Keys { transaction: hash.finish(), invite: invite.finish(), merge })
    }

    /// The server transaction with this key.
    pub fn find_server(&self, key: u64) -> Option<ServerHandle> {
        let at = |index| self.servers.handle_at(index).and_then(|handle| self.servers.get(handle));
        let found = self.by_key.find(key as u32, |index| at(index).is_some_and(|tx| tx.key == key))?;
        self.servers.handle_at(found)
    }

    /// Whether the same request is being worked on, come by another way.
    pub fn is_merged(&self, keys: &Keys) -> bool {
        let same = |index| {
            let tx = self.servers.handle_at(index).and_then(|handle| self.servers.get(handle));
            tx.is_some_and(|tx| tx.merge == keys.merge && tx.key != keys.transaction && !tx.is_finished())
        };
        keys.merge != 0 && self.by_merge.find(keys.merge as u32, same).is_some()
    }

    /// A server transaction.
    pub fn server(&self, handle: ServerHandle) -> Option<&ServerTransaction> {
        self.servers.get(handle)
    }

    /// Begins a server transaction; `None` when the table is full of unfinished ones.
    pub fn open_server(&mut self, now: Instant, keys: &Keys, flow: Flow, is_invite: bool) -> Option<ServerHandle> {
        if self.servers.is_full() && !self.evict_server() {
            self.counters.overloaded += 1;
            return None;
        }
        let tx = ServerTransaction::new(now, keys.transaction, keys.merge, flow, is_invite);
        let handle = self.servers.insert(tx).ok()?;
        self.by_key.insert(keys.transaction as u32, handle.index());
        self.by_merge.insert(keys.merge as u32, handle.index());
        self.reschedule_server(handle);
        Some(handle)
    }

    /// Hands a server transaction to a response context, with the request it may have to make a 100 from.
    pub fn attach(&mut self, handle: ServerHandle, context: u32, request: &Bytes) {
        let share = self.store.share(request);
        if let Some(tx) = self.servers.get_mut(handle) {
            tx.context = Some(context);
            tx.request = Some(share);
        } else {
            self.store.release(share);
        }
    }

    /// The request came again: repeats the last answer, or says that we are at it.
    pub fn absorb(&mut self, handle: ServerHandle) {
        if let Some(tx) = self.servers.get_mut(handle)
            && tx.repeats_answer()
        {
            tx.is_unsent = true;
            self.schedule.wake(Task::Server(handle.index()).id());
        }
    }

    /// Takes an ACK; whether it was for a refused INVITE, and so ends here.
    pub fn acknowledge(&mut self, now: Instant, handle: ServerHandle) -> bool {
        let Some(tx) = self.servers.get_mut(handle) else { return false };
        if !tx.acknowledged(now) {
            return false;
        }
        tx.is_unsent = false;
        let response = tx.response.take();
        response.into_iter().for_each(|response| self.store.release(response));
        self.reschedule_server(handle);
        true
    }

    /// Answers a server transaction with what `compose` writes.
    pub fn respond(&mut self, now: Instant, handle: ServerHandle, status: u16, compose: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Writer::new(&mut self.scratch);
        compose(&mut out);
        match out.finish() {
            Ok(len) => self.send_response(now, handle, status, len),
            Err(_) => {
                log::error!("an answer with {status} is larger than any message and is not sent");
                self.counters.overloaded += 1;
                self.not_answered(handle, status);
            }
        }
    }

    /// Answers a server transaction from its own request, for the services that have no message at hand.
    pub fn respond_from_request(
        &mut self,
        now: Instant,
        handle: ServerHandle,
        request: &Bytes,
        status: u16,
        reason: &str,
        fields: &str,
    ) {
        let source = self.servers.get(handle).and_then(|tx| self.network.remote(tx.flow));
        let (Some(source), Ok(message)) = (source, Message::parse(self.store.get(request))) else {
            // The stream it came by is gone, and the answer with it.
            return self.not_answered(handle, status);
        };
        let mut tag = [0; 16];
        let to_tag = tag_of(&self.random, &message, &mut tag);
        let to_tag = (status > 100).then_some(to_tag);
        let mut out = Writer::new(&mut self.scratch);
        let head = Head { status, reason, to_tag, source: Some(source), record_route: false };
        response::write_head(&message, &head, &mut out);
        out.text(fields);
        response::finish(&mut out, None);
        match out.finish() {
            Ok(len) => self.send_response(now, handle, status, len),
            Err(_) => self.not_answered(handle, status),
        }
    }

    /// Answers a server transaction with an answer that was frozen before.
    pub fn respond_frozen(&mut self, now: Instant, handle: ServerHandle, status: u16, bytes: Bytes) {
        let Some(tx) = self.servers.get_mut(handle).filter(|tx| tx.admits(status)) else {
            self.store.release(bytes);
            return;
        };
        let was_finished = tx.is_finished();
        tx.responded(now, status);
        let replaced = tx.response.replace(bytes);
        tx.is_unsent = true;
        let request = if tx.is_finished() { tx.request.take() } else { None };
        for old in replaced.into_iter().chain(request) {
            self.store.release(old);
        }
        if !was_finished && status >= 200 {
            push_finished(&mut self.finished_servers, handle.to_bits());
        }
        self.schedule.wake(Task::Server(handle.index()).id());
        self.reschedule_server(handle);
    }

    fn send_response(&mut self, now: Instant, handle: ServerHandle, status: u16, len: usize) {
        match self.freeze_scratch(len) {
            Some(bytes) => self.respond_frozen(now, handle, status, bytes),
            None => {
                log::error!("no memory for an answer with {status}");
                self.counters.overloaded += 1;
                self.not_answered(handle, status);
            }
        }
    }

    /// There is no memory for the final answer of a device: the transaction counts as answered, so that it ends, and a 2xx
    /// to INVITE passes when the device repeats it.
    pub fn answered_in_vain(&mut self, now: Instant, handle: ServerHandle, status: u16) {
        let Some(tx) = self.servers.get_mut(handle).filter(|tx| status >= 200 && !tx.is_finished()) else { return };
        tx.responded(now, status);
        tx.request.take().into_iter().for_each(|request| self.store.release(request));
        push_finished(&mut self.finished_servers, handle.to_bits());
        self.reschedule_server(handle);
    }

    /// An answer could not be made: after a final one nothing would ever end the transaction.
    fn not_answered(&mut self, handle: ServerHandle, status: u16) {
        if status >= 200 {
            self.drop_server(handle);
        }
    }

    /// Freezes the answer of a device with our Via taken off, ready to go back the way the request came.
    pub fn freeze_without_via(&mut self, message: &Message<'_>, added: &str) -> Option<Bytes> {
        let mut out = Writer::new(&mut self.scratch);
        write_without_via(message, added, &mut out);
        let len = out.finish().ok()?;
        self.freeze_scratch(len)
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

    /// Sends an answer, or an ACK that passes through, without keeping anything.
    pub fn send_stateless(&mut self, now: Instant, flow: Flow, compose: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Writer::new(&mut self.slot.bytes);
        compose(&mut out);
        let Ok(len) = out.finish() else {
            self.counters.overloaded += 1;
            return;
        };
        match flow {
            Flow::Datagram { .. } => {
                self.slot.flow = Some(flow);
                self.slot.len = len;
            }
            Flow::Stream(stream) => {
                if self.network.queue(now, stream, &self.slot.bytes[..len], &mut self.store) {
                    self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
                }
            }
        }
    }

    /// Whether the slot for stateless messages is free, so that the next message may be read.
    pub fn is_slot_free(&self) -> bool {
        self.slot.flow.is_none()
    }

    // --- requests that go out --------------------------------------------------------------------------------------

    /// Makes room for a client transaction and names it: its handle and the secret of its branch.
    pub fn reserve_client(&mut self) -> Option<(ClientHandle, u32)> {
        if self.clients.is_full() && !self.evict_client() {
            self.counters.overloaded += 1;
            return None;
        }
        Some((self.clients.next_handle()?, self.random.number() as u32))
    }

    /// Begins the client transaction that was reserved just before.
    pub fn start_client(&mut self, client: ClientTransaction) -> Option<ClientHandle> {
        match self.clients.insert(client) {
            Ok(handle) => {
                self.schedule.wake(Task::Client(handle.index()).id());
                self.reschedule_client(handle);
                Some(handle)
            }
            Err(client) => {
                self.release_client(client);
                None
            }
        }
    }

    /// A client transaction.
    pub fn client(&self, handle: ClientHandle) -> Option<&ClientTransaction> {
        self.clients.get(handle)
    }

    /// Asks for a branch to be cancelled.
    pub fn cancel(&mut self, now: Instant, handle: ClientHandle, reason: &[u8]) {
        let Some(client) = self.clients.get_mut(handle) else { return };
        if client.cancel(now) {
            self.send_cancel(handle, reason);
        }
        self.reschedule_client(handle);
    }

    fn send_cancel(&mut self, handle: ClientHandle, reason: &[u8]) {
        let Some(cancel) = self.companion(handle, Method::Cancel, None, reason) else { return };
        if let Some(client) = self.clients.get_mut(handle) {
            client.unsent.companion = true;
            let old = client.companion.replace(cancel);
            old.into_iter().for_each(|old| self.store.release(old));
            self.schedule.wake(Task::Client(handle.index()).id());
        }
    }

    /// Takes an answer from the network. The message has its essentials.
    pub fn answered(&mut self, now: Instant, message: &Message<'_>) -> Answered {
        let (Some(essentials), Some(status)) = (message.essentials(), message.status()) else {
            return Answered::Nothing;
        };
        let Some(branch) = essentials.via.branch().and_then(Branch::parse) else {
            self.counters.stray += 1;
            return Answered::Nothing;
        };
        if branch.kind == Kind::KeepAlive {
            return Answered::KeptAlive(branch.handle);
        }
        let handle = ClientHandle::from_bits(branch.handle);
        let client = self.clients.get_mut(handle).filter(|client| client.secret == branch.secret);
        let Some(client) = client.filter(|_| branch.kind == Kind::Transaction) else {
            self.counters.stray += 1;
            return Answered::Nothing;
        };
        if essentials.cseq.method == Method::Cancel {
            if status >= 200 {
                client.cancel_answered();
                self.reschedule_client(handle);
            }
            return Answered::Nothing;
        }
        let (was_finished, is_invite) = (client.is_finished(), client.is_invite);
        let received = client.received(now, status);
        let wants_cancel = client.wants_cancel();
        match received {
            Received::Absorbed => return Answered::Nothing,
            Received::Acknowledge => {
                client.unsent.companion = client.companion.is_some();
                self.schedule.wake(Task::Client(handle.index()).id());
                return Answered::Nothing;
            }
            Received::Provisional if wants_cancel => {
                if client.cancel(now) {
                    self.send_cancel(handle, b"");
                }
            }
            Received::Provisional => {}
            Received::Final if !was_finished => {
                if is_invite && status >= 300 {
                    self.send_ack(handle, essentials.to.raw);
                }
                self.finish_client(handle);
            }
            Received::Final => {}
        }
        self.reschedule_client(handle);
        Answered::ForContext(handle)
    }

    fn send_ack(&mut self, handle: ClientHandle, to: &[u8]) {
        let ack = self.companion(handle, Method::Ack, Some(to), b"");
        let Some(client) = self.clients.get_mut(handle) else { return };
        client.unsent.companion = ack.is_some();
        let old = core::mem::replace(&mut client.companion, ack);
        old.into_iter().for_each(|old| self.store.release(old));
        self.schedule.wake(Task::Client(handle.index()).id());
    }

    fn finish_client(&mut self, handle: ClientHandle) {
        let Some(client) = self.clients.get_mut(handle) else { return };
        client.unsent.request = false;
        for bytes in client.request.take().into_iter().chain(client.edits.take()) {
            self.store.release(bytes);
        }
        push_finished(&mut self.finished_clients, handle.to_bits());
    }

    /// Gives a branch up: nothing more is sent on it.
    pub fn abandon(&mut self, now: Instant, handle: ClientHandle) {
        let Some(client) = self.clients.get_mut(handle) else { return };
        client.abandon(now);
        self.finish_client(handle);
        self.reschedule_client(handle);
    }

    /// The branches that depend on a stream and have no final answer.
    pub fn clients_on(&self, stream: Stream) -> impl Iterator<Item = ClientHandle> {
        let on =
            self.clients.iter().filter(move |(_, client)| client.flow == Flow::Stream(stream) && !client.is_finished());
        on.map(|(handle, _)| handle)
    }

    /// Freezes the CANCEL, or the ACK of a refusal, that belongs to a branch (§9.1, §17.1.1.3).
    fn companion(
        &mut self,
        handle: ClientHandle,
        method: Method<'_>,
        to: Option<&[u8]>,
        fields: &[u8],
    ) -> Option<Bytes> {
        let client = self.clients.get(handle)?;
        let mut forwarded = Writer::new(&mut self.scratch);
        edit::apply(self.store.get(client.request.as_ref()?), self.store.get(client.edits.as_ref()?), &mut forwarded);
        let len = forwarded.finish().ok()?;
        let message = Message::parse(&self.scratch[..len]).ok()?;
        let essentials = message.essentials()?;
        let room = message.head_end() + fields.len() + to.map_or(0, <[u8]>::len) + 64;
        let mut bytes = self.store.allocate(room)?;
        let mut out = Writer::new(self.store.get_mut(&bytes));
        out.put(method.as_bytes());
        out.text(" ");
        out.put(message.request_uri()?);
        out.text(" SIP/2.0\r\nVia: ");
        out.put(essentials.via.raw);
        out.text("\r\n");
        for route in message.fields_named(Name::Route) {
            field(&mut out, "Route", route.value);
        }
        out.text("Max-Forwards: 70\r\n");
        field(&mut out, "From", essentials.from.raw);
        field(&mut out, "To", to.unwrap_or(essentials.to.raw));
        field(&mut out, "Call-ID", essentials.call_id);
        out.text("CSeq: ");
        out.number(essentials.cseq.number.into());
        out.text(" ");
        out.put(method.as_bytes());
        out.text("\r\n");
        out.put(fields);
        out.text("Content-Length: 0\r\n\r\n");
        match out.finish() {
            Ok(len) => {
                self.store.resize(&mut bytes, len);
                Some(bytes)
            }
            Err(_) => {
                self.store.release(bytes);
                None
            }
        }
    }

    // --- the way out -----------------------------------------------------------------------------------------------

    /// The flow to an address: an open stream there, a new one, or a datagram from the port nearest to it.
    pub fn flow_to(&mut self, now: Instant, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        match transport {
            Transport::Udp => {
                let port = self.network.port_towards(Transport::Udp, remote.ip())?;
                Some(Flow::Datagram { port, remote })
            }
            Transport::Tcp => {
                let stream = match self.network.stream_to(remote) {
                    Some(stream) => stream,
                    None => {
                        let stream = self.network.connect(now, remote)?;
                        self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
                        stream
                    }
                };
                Some(Flow::Stream(stream))
            }
        }
    }

    /// The stateless message in the slot, if there is credit for it.
    pub fn produce_slot(&mut self, credits: PortSet, buffer: &mut [u8]) -> Option<Sending> {
        let Some(Flow::Datagram { port, remote }) = self.slot.flow else { return None };
        if !credits.contains(port) {
            return None;
        }
        self.slot.flow = None;
        let room = buffer.get_mut(..self.slot.len)?;
        room.copy_from_slice(&self.slot.bytes[..self.slot.len]);
        Some(Sending::Datagram(port, remote, self.slot.len))
    }

    /// The next message of a task.
    pub fn produce(&mut self, now: Instant, task: Task, credits: PortSet, buffer: &mut [u8]) -> Produced<Sending> {
        match task {
            Task::Server(index) => match self.servers.handle_at(index) {
                Some(handle) => self.produce_response(now, handle, credits, buffer),
                None => Produced::Nothing,
            },
            Task::Client(index) => match self.clients.handle_at(index) {
                Some(handle) => self.produce_request(now, handle, credits, buffer),
                None => Produced::Nothing,
            },
            Task::Stream(index) => {
                let step = self.network.stream_step(index);
                self.reschedule_stream(index);
                let remote = step.and_then(|(stream, _)| self.network.stream(stream).map(|state| state.remote));
                match step {
                    Some((stream, StreamStep::Connect)) => match remote {
                        Some(remote) => Produced::Output(Sending::Stream(stream, StreamStep::Connect, remote)),
                        None => Produced::Nothing,
                    },
                    Some((stream, step)) => {
                        const NOWHERE: SocketAddr =
                            SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);
                        Produced::Output(Sending::Stream(stream, step, remote.unwrap_or(NOWHERE)))
                    }
                    None => Produced::Nothing,
                }
            }
            Task::Port(index) => match self.network.port_step(Port(index as u8)) {
                Some((state, opens)) => {
                    Produced::Output(Sending::Port(Port(index as u8), state.transport, state.address, opens))
                }
                None => Produced::Nothing,
            },
            Task::Context(_) | Task::Binding(_) => Produced::Nothing,
        }
    }

    fn produce_response(
        &mut self,
        now: Instant,
        handle: ServerHandle,
        credits: PortSet,
        buffer: &mut [u8],
    ) -> Produced<Sending> {
        let Some(tx) = self.servers.get(handle).filter(|tx| tx.is_unsent) else { return Produced::Nothing };
        let (flow, is_accepted) = (tx.flow, tx.is_accepted());
        let Some(response) = tx.response.as_ref() else { return Produced::Nothing };
        let len = self.store.get(response).len();
        let way = self.way(flow, len, credits);
        if way == Way::Blocked {
            return Produced::Blocked;
        }
        if way == Way::Free {
            buffer[..len].copy_from_slice(self.store.get(response));
        }
        if let Some(tx) = self.servers.get_mut(handle) {
            tx.is_unsent = false;
            // Repetitions of a 2xx to INVITE come from the device; ours to keep is nothing.
            let sent = if is_accepted { tx.response.take() } else { None };
            sent.into_iter().for_each(|sent| self.store.release(sent));
        }
        self.deliver(now, way, flow, &buffer[..len])
    }

    fn produce_request(
        &mut self,
        now: Instant,
        handle: ClientHandle,
        credits: PortSet,
        buffer: &mut [u8],
    ) -> Produced<Sending> {
        let Some(client) = self.clients.get(handle) else { return Produced::Nothing };
        let (flow, unsent) = (client.flow, client.unsent);
        let mut out = Writer::new(buffer);
        if unsent.request {
            let (Some(request), Some(edits)) = (&client.request, &client.edits) else { return Produced::Nothing };
            edit::apply(self.store.get(request), self.store.get(edits), &mut out);
        } else if unsent.companion {
            let Some(companion) = &client.companion else { return Produced::Nothing };
            out.put(self.store.get(companion));
        } else {
            return Produced::Nothing;
        }
        let Ok(len) = out.finish() else {
            log::error!("a request grew larger than any message and is not sent");
            self.counters.overloaded += 1;
            return Produced::Nothing;
        };
        let way = self.way(flow, len, credits);
        if way == Way::Blocked {
            return Produced::Blocked;
        }
        if let Some(client) = self.clients.get_mut(handle) {
            if unsent.request {
                client.unsent.request = false;
            } else {
                client.unsent.companion = false;
            }
            if client.unsent.request || client.unsent.companion {
                self.schedule.wake(Task::Client(handle.index()).id());
            }
        }
        self.deliver(now, way, flow, &buffer[..len])
    }

    /// Sends a message that needs no transaction, composed into the edge's buffer: a keep-alive.
    pub fn produce_composed(
        &mut self,
        now: Instant,
        flow: Flow,
        credits: PortSet,
        buffer: &mut [u8],
        compose: impl FnOnce(&Self, &mut Writer<'_>),
    ) -> Produced<Sending> {
        let mut out = Writer::new(buffer);
        compose(self, &mut out);
        let Ok(len) = out.finish() else { return Produced::Nothing };
        match self.way(flow, len, credits) {
            Way::Blocked => Produced::Blocked,
            way => self.deliver(now, way, flow, &buffer[..len]),
        }
    }

    fn way(&self, flow: Flow, len: usize, credits: PortSet) -> Way {
        match flow {
            Flow::Datagram { port, .. } if self.network.port(port).is_none() => Way::Gone,
            Flow::Datagram { port, .. } if credits.contains(port) => Way::Free,
            Flow::Datagram { .. } => Way::Blocked,
            Flow::Stream(stream) => match self.network.stream(stream) {
                None => Way::Gone,
                Some(_) if self.network.has_room(stream, len, &self.store) => Way::Free,
                Some(_) => Way::Blocked,
            },
        }
    }

    fn deliver(&mut self, now: Instant, way: Way, flow: Flow, bytes: &[u8]) -> Produced<Sending> {
        match flow {
            Flow::Datagram { port, remote } if way == Way::Free => {
                Produced::Output(Sending::Datagram(port, remote, bytes.len()))
            }
            Flow::Stream(stream) if way == Way::Free => {
                if self.network.queue(now, stream, bytes, &mut self.store) {
                    self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
                } else {
                    log::warn!("no memory to send on a stream: it is closed");
                    self.counters.overloaded += 1;
                    self.network.close(stream);
                    self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
                }
                Produced::Nothing
            }
            _ => Produced::Nothing,
        }
    }

    // --- time ------------------------------------------------------------------------------------------------------

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
            Task::Context(_) | Task::Binding(_) => Due::Nothing,
        }
    }

    fn server_due(&mut self, now: Instant, handle: ServerHandle) {
        let Some(tx) = self.servers.get_mut(handle) else { return };
        match tx.due(now) {
            server::Due::Nothing => {}
            server::Due::Trying => {
                tx.responded(now, 100);
                if let Some(request) = tx.request.take() {
                    self.respond_from_request(now, handle, &request, 100, "Trying", "");
                    match self.servers.get_mut(handle) {
                        Some(tx) => tx.request = Some(request),
                        None => self.store.release(request),
                    }
                }
            }
            server::Due::Resend => {
                tx.is_unsent = tx.response.is_some();
                self.schedule.wake(Task::Server(handle.index()).id());
            }
            // An answer that still waits for room on a stream goes out first.
            server::Due::Ended if tx.is_unsent && self.network.remote(tx.flow).is_some() => {
                self.schedule.set_deadline(Task::Server(handle.index()).id(), Some(now.plus(1_000)));
                return;
            }
            server::Due::Ended => {
                self.drop_server(handle);
                return;
            }
        }
        self.reschedule_server(handle);
    }

    fn client_due(&mut self, now: Instant, handle: ClientHandle) -> Due {
        let Some(client) = self.clients.get_mut(handle) else { return Due::Nothing };
        let due = client.due(now);
        match due {
            client::Due::Resend => client.unsent.request = true,
            client::Due::ResendCancel => client.unsent.companion = true,
            client::Due::Ended => {
                self.drop_client(handle);
                return Due::Nothing;
            }
            client::Due::Nothing | client::Due::TimedOut | client::Due::RangTooLong => {}
        }
        match due {
            client::Due::Resend | client::Due::ResendCancel => {
                self.schedule.wake(Task::Client(handle.index()).id());
                self.reschedule_client(handle);
                Due::Nothing
            }
            client::Due::TimedOut => {
                self.abandon(now, handle);
                Due::TimedOut(handle)
            }
            client::Due::RangTooLong => Due::RangTooLong(handle),
            _ => {
                self.reschedule_client(handle);
                Due::Nothing
            }
        }
    }

    fn reschedule_server(&mut self, handle: ServerHandle) {
        let deadline = self.servers.get(handle).and_then(ServerTransaction::deadline);
        self.schedule.set_deadline(Task::Server(handle.index()).id(), deadline);
    }

    fn reschedule_client(&mut self, handle: ClientHandle) {
        let deadline = self.clients.get(handle).and_then(ClientTransaction::deadline);
        self.schedule.set_deadline(Task::Client(handle.index()).id(), deadline);
    }

    /// Sets a stream's deadline anew after something changed about it.
    pub fn reschedule_stream(&mut self, index: usize) {
        let deadline = self.network.stream_deadline(index);
        self.schedule.set_deadline(Task::Stream(index).id(), deadline);
    }

    // --- making room -----------------------------------------------------------------------------------------------

    fn evict_server(&mut self) -> bool {
        while let Some(bits) = self.finished_servers.pop_front() {
            let handle = ServerHandle::from_bits(bits);
            if self.servers.get(handle).is_some() {
                self.drop_server(handle);
                return true;
            }
        }
        false
    }

    fn evict_client(&mut self) -> bool {
        while let Some(bits) = self.finished_clients.pop_front() {
            let handle = ClientHandle::from_bits(bits);
            if self.clients.get(handle).is_some() {
                self.drop_client(handle);
                return true;
            }
        }
        false
    }

    fn drop_server(&mut self, handle: ServerHandle) {
        let Some(tx) = self.servers.remove(handle) else { return };
        self.by_key.remove(tx.key as u32, handle.index());
        self.by_merge.remove(tx.merge as u32, handle.index());
        self.schedule.set_deadline(Task::Server(handle.index()).id(), None);
        for bytes in tx.request.into_iter().chain(tx.response) {
            self.store.release(bytes);
        }
    }

    fn drop_client(&mut self, handle: ClientHandle) {
        self.schedule.set_deadline(Task::Client(handle.index()).id(), None);
        if let Some(client) = self.clients.remove(handle) {
            self.release_client(client);
        }
    }

    fn release_client(&mut self, client: ClientTransaction) {
        for bytes in client.request.into_iter().chain(client.edits).chain(client.companion) {
            self.store.release(bytes);
        }
    }

    /// Server transactions and client transactions now, finished ones included.
    pub fn transactions(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }

    /// Server transactions without a final answer.
    pub fn unfinished(&self) -> usize {
        self.servers.iter().filter(|(_, tx)| !tx.is_finished()).count()
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

/// Writes an answer without its topmost Via value, with `added` fields at the end of its head.
fn write_without_via(message: &Message<'_>, added: &str, out: &mut Writer<'_>) {
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
        None => (usize::from(first.line.start), usize::from(first.line.end)),
    };
    let end = message.head_end();
    out.put(&bytes[..from]);
    out.put(&bytes[to..end]);
    out.text(added);
    out.put(&bytes[end..]);
}

fn field(out: &mut Writer<'_>, name: &str, value: &[u8]) {
    out.text(name);
    out.text(": ");
    out.put(value);
    out.text("\r\n");
}

/// Remembers a finished transaction for eviction. Entries of those that ended by themselves are at the front and give way.
fn push_finished<const N: usize>(queue: &mut Deque<u32, N>, bits: u32) {
    if queue.is_full() {
        queue.pop_front();
    }
    let _ = queue.push_back(bits);
}
