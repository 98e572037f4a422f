//! Requests that come in: server transactions, found by what identifies a request (RFC 3261 §17.2.3, §8.2.2.2), and their
//! answers.

use super::{Keys, ServerHandle, Stack, Task, tag_of};
use crate::base::net::Flow;
use crate::base::random::Purpose;
use crate::base::store::Bytes;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::sip::transaction::server::{Due, ServerTransaction};
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Message, Method};

impl Stack {
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
        // Requests in a dialog are not merged. All under one hash, they would also be one cluster to walk along.
        if keys.merge != 0 {
            self.by_merge.insert(keys.merge as u32, handle.index());
        }
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

    /// Notes that a request crosses the border of the home: whether who asks is outside, and whether each of its answers
    /// takes from the request what it does not have itself.
    pub fn mark_border(&mut self, handle: ServerHandle, is_outside: bool, restores: bool) {
        if let Some(tx) = self.servers.get_mut(handle) {
            (tx.is_outside, tx.keeps_request) = (is_outside, restores);
        }
    }

    /// A share of the request of a server transaction, while it has it.
    pub fn request_of(&mut self, handle: ServerHandle) -> Option<Bytes> {
        let request = self.servers.get(handle)?.request.as_ref()?;
        Some(self.store.share(request))
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
                self.unanswerable(handle, status);
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
        // The stream that it came on may be gone, and with it whoever waits for the answer.
        let source = self.servers.get(handle).and_then(|tx| self.network.remote(tx.flow));
        let (Some(source), Ok(message)) = (source, Message::parse(self.store.get(request))) else {
            return self.unanswerable(handle, status);
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
            Err(_) => self.unanswerable(handle, status),
        }
    }

    /// An answer can't be given. When it would have been the final one the transaction is over: no other comes, and
    /// nothing else would end it.
    pub fn unanswerable(&mut self, handle: ServerHandle, status: u16) {
        if status >= 200
            && let Some(tx) = self.servers.get(handle).filter(|tx| !tx.is_finished())
        {
            self.ended_inside(tx.origin, status);
            self.drop_server(handle);
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
        tx.is_unsent = !tx.is_mute();
        let origin = tx.origin;
        let is_accepted = tx.is_accepted();
        // Further 2xx may come.
        let is_done = tx.is_finished() && !(tx.keeps_request && is_accepted);
        let request = if is_done { tx.request.take() } else { None };
        for old in replaced.into_iter().chain(request) {
            self.store.release(old);
        }
        if !was_finished && status >= 200 {
            self.ended_inside(origin, status);
            let lives = |bits| self.servers.get(ServerHandle::from_bits(bits)).is_some();
            self.finished_servers.push(handle.to_bits(), is_accepted, lives);
        }
        self.schedule.wake(Task::Server(handle.index()).id());
        self.reschedule_server(handle);
    }

    /// Keeps the answer of a transaction back, until [`Stack::let_go`].
    pub fn hold(&mut self, handle: ServerHandle) {
        if let Some(tx) = self.servers.get_mut(handle) {
            tx.is_held = true;
        }
    }

    /// Has the answers of a transaction go nowhere: the request came from within the house. Who has sent it has a name other
    /// than 0 if the final status is to be told ([`Stack::next_outcome`]).
    pub fn mute(&mut self, handle: ServerHandle, origin: u32) {
        if let Some(tx) = self.servers.get_mut(handle) {
            (tx.origin, tx.is_unsent) = (Some(origin), false);
        }
    }

    /// What has become of a request that came from within the house: who has sent it, and the final status.
    pub fn next_outcome(&mut self) -> Option<(u32, u16)> {
        self.outcomes.pop_front()
    }

    /// The final status that a transaction has been answered with.
    pub fn final_status(&self, handle: ServerHandle) -> Option<u16> {
        let tx = self.servers.get(handle).filter(|tx| tx.is_finished())?;
        Message::parse(self.store.get(tx.response.as_ref()?)).ok()?.status()
    }

    /// Tells whoever has sent a request from within the house what became of it.
    pub fn tell_outcome(&mut self, origin: u32, status: u16) {
        self.ended_inside(Some(origin), status);
    }

    fn ended_inside(&mut self, origin: Option<u32>, status: u16) {
        if let Some(origin) = origin.filter(|origin| *origin != 0) {
            // There is room for all transactions.
            let _ = self.outcomes.push_back((origin, status));
            self.schedule.wake(Task::Outgoing.id());
        }
    }

    /// Lets an answer that was kept back go.
    pub fn let_go(&mut self, handle: ServerHandle) {
        if let Some(tx) = self.servers.get_mut(handle)
            && core::mem::take(&mut tx.is_held)
        {
            self.schedule.wake(Task::Server(handle.index()).id());
        }
    }

    fn send_response(&mut self, now: Instant, handle: ServerHandle, status: u16, len: usize) {
        match self.freeze_scratch(len) {
            Some(bytes) => self.respond_frozen(now, handle, status, bytes),
            None => {
                log::error!("no memory for an answer with {status}");
                self.counters.overloaded += 1;
                self.unanswerable(handle, status);
            }
        }
    }

    pub(super) fn server_due(&mut self, now: Instant, handle: ServerHandle) {
        let Some(tx) = self.servers.get_mut(handle) else { return };
        match tx.due(now) {
            Due::Nothing => {}
            Due::Trying => {
                tx.responded(now, 100);
                if let Some(request) = tx.request.take() {
                    self.respond_from_request(now, handle, &request, 100, "Trying", "");
                    match self.servers.get_mut(handle) {
                        Some(tx) => tx.request = Some(request),
                        None => self.store.release(request),
                    }
                }
            }
            Due::Resend => {
                tx.is_unsent = tx.response.is_some();
                self.schedule.wake(Task::Server(handle.index()).id());
            }
            // An answer that still waits for room on a stream goes out first.
            Due::Ended if tx.is_unsent && self.network.remote(tx.flow).is_some() => {
                self.schedule.set_deadline(Task::Server(handle.index()).id(), Some(now.plus(1_000)));
                return;
            }
            Due::Ended => {
                self.drop_server(handle);
                return;
            }
        }
        self.reschedule_server(handle);
    }

    fn reschedule_server(&mut self, handle: ServerHandle) {
        let deadline = self.servers.get(handle).and_then(ServerTransaction::deadline);
        self.schedule.set_deadline(Task::Server(handle.index()).id(), deadline);
    }

    pub(super) fn evict_server(&mut self) -> bool {
        while let Some(bits) = self.finished_servers.pop() {
            let handle = ServerHandle::from_bits(bits);
            if self.servers.get(handle).is_some() {
                self.drop_server(handle);
                return true;
            }
        }
        false
    }

    fn drop_server(&mut self, handle: ServerHandle) {
        let Some(tx) = self.servers.remove(handle) else { return };
        self.by_key.remove(tx.key as u32, handle.index());
        if tx.merge != 0 {
            self.by_merge.remove(tx.merge as u32, handle.index());
        }
        self.schedule.set_deadline(Task::Server(handle.index()).id(), None);
        for bytes in tx.request.into_iter().chain(tx.response) {
            self.store.release(bytes);
        }
    }

    /// Server transactions without a final answer.
    pub fn unfinished(&self) -> usize {
        self.servers.iter().filter(|(_, tx)| !tx.is_finished()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::SERVER_TRANSACTIONS;
    use crate::base::net::{NOWHERE, Port};

    #[test]
    fn a_finished_transaction_gives_way_after_many_short_ones() {
        let mut stack = Stack::new();
        let keys = |number: usize| Keys { transaction: number as u64, invite: 0, merge: 0 };
        let datagram = Flow::Datagram { port: Port(0), remote: NOWHERE };
        let stream = Flow::Stream(crate::base::net::Stream { index: 0, generation: 0 });
        let finish = |stack: &mut Stack, number: usize, flow: Flow| {
            let handle = stack.open_server(Instant::ZERO, &keys(number), flow, false)?;
            stack.respond(Instant::ZERO, handle, 200, |out| out.text("x"));
            Some(handle)
        };
        for number in 1..SERVER_TRANSACTIONS {
            assert!(finish(&mut stack, number, datagram).is_some());
        }
        // On a stream they end at once, and leave their entries.
        for number in 1..=2 * SERVER_TRANSACTIONS {
            let handle = finish(&mut stack, 10_000 + number, stream).unwrap();
            stack.server_due(Instant::ZERO, handle);
            stack.drop_server(handle);
        }
        for number in 1..=SERVER_TRANSACTIONS {
            let unfinished = stack.open_server(Instant::ZERO, &keys(100_000 + number), datagram, false);
            assert!(unfinished.is_some(), "{number}");
        }
    }

    #[test]
    fn requests_in_a_dialog_are_in_no_cluster() {
        let mut stack = Stack::new();
        let flow = Flow::Datagram { port: Port(0), remote: NOWHERE };
        let keys = |number: usize| Keys { transaction: number as u64, invite: 0, merge: (number % 2) as u64 };
        for number in 1..=SERVER_TRANSACTIONS {
            assert!(stack.open_server(Instant::ZERO, &keys(number), flow, false).is_some());
        }
        assert_eq!(stack.by_merge.find(0, |_| true), None);
        assert!(stack.is_merged(&Keys { transaction: 0, invite: 0, merge: 1 }));
        for number in 1..=SERVER_TRANSACTIONS {
            let handle = stack.find_server(number as u64).unwrap();
            stack.drop_server(handle);
        }
        assert_eq!(stack.by_merge.find(1, |_| true), None);
        assert_eq!(stack.transactions().0, 0);
    }
}
