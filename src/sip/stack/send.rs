//! The way out: which flow a message takes, and the next one that can be sent.

use core::net::SocketAddr;

use super::{ClientHandle, Produced, Sending, ServerHandle, Slot, Stack, Task, Way};
use crate::base::net::{Flow, NOWHERE, Port, PortSet, Stream, Transport};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::sip::transport::StreamUser;
use crate::wire::sip::edit;

impl Stack {
    /// Sends an answer, or an ACK that passes through, without keeping anything.
    pub fn send_stateless(&mut self, now: Instant, flow: Flow, compose: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Writer::new(&mut self.slot.bytes);
        compose(&mut out);
        let Ok(len) = out.finish() else {
            self.counters.overloaded += 1;
            return;
        };
        match flow {
            // It came from within the house.
            Flow::Datagram { remote, .. } if remote == NOWHERE => {}
            Flow::Datagram { port, remote } => {
                (self.slot.is_full, self.slot.port, self.slot.remote) = (true, port, remote);
                self.slot.len = len;
            }
            Flow::Stream(stream) => {
                if !self.network.has_room(stream, len, &self.store) {
                    self.counters.overloaded += 1;
                    return;
                }
                while !self.network.queue(now, stream, &self.slot.bytes[..len], &mut self.store) {
                    if !self.evict_server() && !self.evict_client() {
                        self.counters.overloaded += 1;
                        return;
                    }
                }
                self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
            }
        }
    }

    /// Whether the slot for stateless messages is free, so that the next message may be read.
    pub fn is_slot_free(&self) -> bool {
        !self.slot.is_full
    }

    /// The flow to an address: an open stream there, a new one, or a datagram from the port nearest to it.
    /// Over TLS the other end has to prove to be `domain`.
    pub fn flow_to(&mut self, now: Instant, transport: Transport, remote: SocketAddr, domain: &str) -> Option<Flow> {
        match transport {
            Transport::Udp => {
                let port = self.network.port_towards(Transport::Udp, remote.ip())?;
                Some(Flow::Datagram { port, remote })
            }
            Transport::Tcp | Transport::Tls => {
                let stream = match self.network.stream_to(transport, remote, domain) {
                    Some(stream) => stream,
                    None => self.connect(now, transport, remote, domain, StreamUser::Sip)?,
                };
                Some(Flow::Stream(stream))
            }
        }
    }

    /// Begins a stream to a peer.
    pub fn connect(
        &mut self,
        now: Instant,
        transport: Transport,
        remote: SocketAddr,
        domain: &str,
        user: StreamUser,
    ) -> Option<Stream> {
        let stream = self.network.connect(now, transport, remote, domain, user)?;
        self.begun(stream);
        Some(stream)
    }

    /// Begins a link of an account; `domain` is what the server's certificate has to be for, with TLS now or later.
    pub fn connect_account(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        transport: Transport,
        domain: &str,
        account: u8,
        link: u8,
    ) -> Option<Stream> {
        self.connect(now, transport, remote, domain, StreamUser::Account { account, link })
    }

    /// Begins a link of an account to its local socket.
    pub fn connect_local(&mut self, now: Instant, account: u8, link: u8) -> Option<Stream> {
        let stream = self.network.connect_local(now, StreamUser::Account { account, link })?;
        self.begun(stream);
        Some(stream)
    }

    /// Has TLS begin on a link of an account once what it has to send is sent; whether that can be.
    pub fn start_tls(&mut self, now: Instant, stream: Stream) -> bool {
        let can_be = self.network.start_tls(now, stream);
        self.reschedule_stream(usize::from(stream.index));
        self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        can_be
    }

    /// Has a new stream opened.
    fn begun(&mut self, stream: Stream) {
        self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        // Nobody could come in any more if this was the last slot.
        if let Some(index) = self.network.make_room() {
            self.schedule.wake(Task::Stream(index).id());
        }
    }

    /// The stateless message in the slot, if there is credit for it.
    pub fn produce_slot(&mut self, credits: PortSet, buffer: &mut [u8]) -> Option<Sending> {
        let Slot { port, remote, .. } = self.slot;
        // Its port may have been closed meanwhile; waiting for that one's credit would keep all streams from being read.
        if self.slot.is_full && self.network.port(port).is_none() {
            self.slot.is_full = false;
        }
        if !self.slot.is_full || !credits.contains(port) {
            return None;
        }
        self.slot.is_full = false;
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
                let Some((stream, step)) = step else { return Produced::Nothing };
                let state = self.network.stream(stream);
                let (remote, transport) = state.map_or((NOWHERE, Transport::Tcp), |it| (it.remote, it.transport));
                Produced::Output(Sending::Stream(stream, step, remote, transport))
            }
            Task::Port(index) => match self.network.port_step(Port(index as u8)) {
                Some((state, opens)) => {
                    Produced::Output(Sending::Port(Port(index as u8), state.transport, state.address, opens))
                }
                None => Produced::Nothing,
            },
            // These are produced by the services.
            _ => Produced::Nothing,
        }
    }

    fn produce_response(
        &mut self,
        now: Instant,
        handle: ServerHandle,
        credits: PortSet,
        buffer: &mut [u8],
    ) -> Produced<Sending> {
        let Some(tx) = self.servers.get(handle).filter(|tx| tx.is_unsent && !tx.is_held) else {
            return Produced::Nothing;
        };
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
            let Some(request) = &client.request else { return Produced::Nothing };
            match &client.edits {
                Some(edits) => edit::apply(self.store.get(request), self.store.get(edits), &mut out),
                None => out.put(self.store.get(request)),
            }
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

    /// Queues bytes on a stream that has room for them. Without memory it is closed: half a message is none.
    pub fn queue(&mut self, now: Instant, stream: Stream, bytes: &[u8]) {
        while !self.network.queue(now, stream, bytes, &mut self.store) {
            if !self.evict_server() && !self.evict_client() {
                log::warn!("no memory to send on a stream: it is closed");
                self.counters.overloaded += 1;
                self.network.close(stream);
                break;
            }
        }
        self.schedule.wake(Task::Stream(usize::from(stream.index)).id());
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
                self.queue(now, stream, bytes);
                Produced::Nothing
            }
            _ => Produced::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{STREAMS, STREAMS_PER_SOURCE};
    use crate::base::net::{Listen, LocalAddress};
    use std::boxed::Box;

    /// A stack that listens.
    fn stack(address: &str) -> (Box<Stack>, Port) {
        let mut stack = Box::new(Stack::new());
        let address: SocketAddr = address.parse().unwrap();
        let listen = heapless::Vec::from_iter([Listen { transport: Transport::Tcp, address }]);
        stack.network.configure(&listen, &heapless::Vec::new());
        stack.network.set_addresses(&[LocalAddress { ip: address.ip(), prefix: 24, default_route: true }], |_| {});
        stack.network.plan(|_| {});
        assert!(stack.network.port_step(Port(0)).is_some());
        stack.network.opened(Instant::ZERO, Port(0), Ok::<_, ()>(address));
        (stack, Port(0))
    }

    #[test]
    fn the_last_slot_taken_by_ourselves_leaves_room_for_others() {
        let (mut stack, listener) = stack("192.0.2.1:5060");
        for number in 1..STREAMS {
            let stream = stack.network.vacant_stream().unwrap();
            stack.network.accept(
                Instant::from_millis(number as u64),
                stream,
                listener,
                ([198, 51, 100, number as u8], 1).into(),
            );
        }
        assert!(stack.flow_to(Instant::ZERO, Transport::Tcp, ([203, 0, 113, 1], 5060).into(), "").is_some());
        assert_eq!(stack.network.vacant_stream(), None);
        assert_eq!(stack.network.stream_step(0).map(|(_, step)| step), Some(crate::sip::transport::StreamStep::Close));
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let (mut stack, listener) = stack("[2001:db8::1]:5060");
        for number in 0..STREAMS_PER_SOURCE {
            let stream = stack.network.vacant_stream().unwrap();
            let from = std::format!("[2001:db8:1:2::{number:x}]:5060").parse().unwrap();
            stack.network.accept(Instant::ZERO, stream, listener, from);
        }
        assert_eq!(stack.network.streams_from("2001:db8:1:2::ffff".parse().unwrap()), STREAMS_PER_SOURCE);
        assert_eq!(stack.network.streams_from("2001:db8:1:3::1".parse().unwrap()), 0);
    }
}
