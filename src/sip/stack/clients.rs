//! Requests that go out: client transactions, found by the handle in our branch (RFC 3261 §17.1.3), with the CANCEL and
//! the ACK that belong to them.

use super::{Answered, ClientHandle, Due, Stack, Task};
use crate::base::limits::CLIENT_TRANSACTIONS;
use crate::base::net::{Flow, Stream};
use crate::base::store::{Bytes, Store};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::sip::branch::{Branch, Kind};
use crate::sip::own::{Outgoing, Own};
use crate::sip::transaction::client::{self, ClientTransaction, Owner, Received};
use crate::wire::sip::{Message, Method, Name, edit};

impl Stack {
    /// Makes room for a client transaction and names it: its handle and the secret of its branch.
    pub fn reserve_client(&mut self) -> Option<(ClientHandle, u32)> {
        if self.clients.is_full() && !self.evict_client() {
            self.counters.overloaded += 1;
            return None;
        }
        Some((self.clients.next_handle()?, self.random.number() as u32))
    }

    /// Begins the client transaction that was reserved just before: in that very slot, though others may have been freed
    /// meanwhile to make room for its bytes.
    pub fn start_client(&mut self, reserved: ClientHandle, client: ClientTransaction) -> Option<ClientHandle> {
        match self.clients.insert_at(reserved.index(), client) {
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

    /// Sends a request of our own, not an INVITE, which waits at most `limit_ms` for its final answer: `compose` writes
    /// all of it, with the end and the branch it is given. `None` when there is no room.
    pub fn send_own(
        &mut self,
        now: Instant,
        flow: Flow,
        (owner, object): (Owner, u32),
        limit_ms: u64,
        compose: impl FnOnce(&Store, &Outgoing<'_>, &mut Writer<'_>),
    ) -> Option<ClientHandle> {
        let (handle, secret) = self.reserve_client()?;
        let branch = Branch { kind: Kind::Transaction, handle: handle.to_bits(), secret, routing: 0 };
        let own = Own::of(&self.network, flow)?;
        let mut out = Writer::new(&mut self.scratch);
        compose(&self.store, &Outgoing { own, branch }, &mut out);
        let len = out.finish().ok()?;
        let request = self.freeze_scratch(len)?;
        let mut client = ClientTransaction::new(now, secret, flow, false, limit_ms);
        (client.request, client.owner, client.context) = (Some(request), owner, object);
        self.start_client(handle, client)
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
        // The method is part of the match (§17.1.3).
        if is_invite != (essentials.cseq.method == Method::Invite) {
            self.counters.stray += 1;
            return Answered::Nothing;
        }
        // Without another Via value it was meant for us alone, who asked for nothing: it can't go on (§16.7 step 3).
        let has_more = client.owner == Owner::Proxy && !client.is_masked;
        if status > 100 && has_more && message.values(Name::Via).nth(1).is_none() {
            self.counters.stray += 1;
            return Answered::Nothing;
        }
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
        let owner = self.clients.get(handle).map_or(Owner::Proxy, |client| client.owner);
        self.reschedule_client(handle);
        Answered::For(owner, handle)
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
        let is_accepted = client.is_accepted();
        let lives = |bits| self.clients.get(ClientHandle::from_bits(bits)).is_some();
        self.finished_clients.push(handle.to_bits(), is_accepted, lives);
    }

    /// Gives a branch up: nothing more is sent on it.
    pub fn abandon(&mut self, now: Instant, handle: ClientHandle) {
        let Some(client) = self.clients.get_mut(handle) else { return };
        client.abandon(now);
        self.finish_client(handle);
        self.reschedule_client(handle);
    }

    /// A message was kept for devices that were given up: what they answer late is for the inbox, which knows it by `letter`.
    pub fn hand_late_answers(&mut self, context: u32, letter: u32) {
        for index in 0..CLIENT_TRANSACTIONS {
            let Some(handle) = self.clients.handle_at(index) else { continue };
            let Some(client) = self.clients.get_mut(handle) else { continue };
            if client.hears_late && client.owner == Owner::Proxy && client.context == context && client.is_finished() {
                (client.owner, client.context) = (Owner::Letter, letter);
            }
        }
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
        let room = Companion { method, to, fields }.room(&Message::parse(&self.scratch[..len]).ok()?)?;
        let mut bytes = self.allocate(room)?;
        let mut out = Writer::new(self.store.get_mut(&bytes));
        let written = match Message::parse(&self.scratch[..len]) {
            Ok(message) => Companion { method, to, fields }.write(&message, &mut out),
            Err(_) => None,
        };
        match (written, out.finish()) {
            (Some(()), Ok(len)) => {
                self.store.resize(&mut bytes, len);
                Some(bytes)
            }
            _ => {
                self.store.release(bytes);
                None
            }
        }
    }

    pub(super) fn client_due(&mut self, now: Instant, handle: ClientHandle) -> Due {
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
                if client.give_way(now) {
                    self.reschedule_client(handle);
                } else {
                    self.abandon(now, handle);
                }
                self.clients.get(handle).map_or(Due::Nothing, |client| Due::TimedOut(client.owner, handle))
            }
            client::Due::RangTooLong => Due::RangTooLong(handle),
            _ => {
                self.reschedule_client(handle);
                Due::Nothing
            }
        }
    }

    fn reschedule_client(&mut self, handle: ClientHandle) {
        let deadline = self.clients.get(handle).and_then(ClientTransaction::deadline);
        self.schedule.set_deadline(Task::Client(handle.index()).id(), deadline);
    }

    pub(super) fn evict_client(&mut self) -> bool {
        while let Some(bits) = self.finished_clients.pop() {
            let handle = ClientHandle::from_bits(bits);
            if self.clients.get(handle).is_some() {
                self.drop_client(handle);
                return true;
            }
        }
        false
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
}

/// What a CANCEL or ACK has besides what it takes from the request as it was forwarded.
struct Companion<'a> {
    method: Method<'a>,
    to: Option<&'a [u8]>,
    fields: &'a [u8],
}

impl Companion<'_> {
    /// The bytes it needs, at most.
    fn room(&self, message: &Message<'_>) -> Option<usize> {
        let essentials = message.essentials()?;
        let to = self.to.unwrap_or(essentials.to.raw);
        let parts =
            [message.request_uri()?, essentials.via.raw, essentials.from.raw, to, essentials.call_id, self.fields];
        let routes = message.fields_named(Name::Route).map(|route| route.value.len() + 9);
        Some(COMPANION_BYTES + parts.iter().map(|part| part.len()).sum::<usize>() + routes.sum::<usize>())
    }

    fn write(&self, message: &Message<'_>, out: &mut Writer<'_>) -> Option<()> {
        let essentials = message.essentials()?;
        out.put(self.method.as_bytes());
        out.text(" ");
        out.put(message.request_uri()?);
        out.text(" SIP/2.0\r\nVia: ");
        out.put(essentials.via.raw);
        out.text("\r\n");
        for route in message.fields_named(Name::Route) {
            field(out, "Route", route.value);
        }
        out.text("Max-Forwards: 70\r\n");
        field(out, "From", essentials.from.raw);
        field(out, "To", self.to.unwrap_or(essentials.to.raw));
        field(out, "Call-ID", essentials.call_id);
        out.text("CSeq: ");
        out.number(essentials.cseq.number.into());
        out.text(" ");
        out.put(self.method.as_bytes());
        out.text("\r\n");
        out.put(self.fields);
        out.text("Content-Length: 0\r\n\r\n");
        Some(())
    }
}

/// The fixed text of a CANCEL or ACK, and its number.
const COMPANION_BYTES: usize = 160;

fn field(out: &mut Writer<'_>, name: &str, value: &[u8]) {
    out.text(name);
    out.text(": ");
    out.put(value);
    out.text("\r\n");
}
