//! One binding: a device of a person, how it is reached and what it takes (RFC 3261 §10, RFC 5626, RFC 3327, RFC 3840).

use core::net::SocketAddr;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::net::{Flow, Port, Transport};
use crate::base::store::{Bytes, Store};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::home::probe::ACCEPT_BYTES;
use crate::sip::stack::Stack;
use crate::sip::transport::Network;
use crate::wire::sip::{Message, Method, Name, NameAddr, quoted_content, tokens};

/// A device that is registered.
#[derive(Debug)]
pub struct Binding {
    /// The person, as an index in the model.
    pub person: u16,
    /// The device section whose login it used, as an index in the model.
    pub device: Option<u16>,
    /// Names the binding in tokens: a hash of the person and the device.
    pub id: u32,
    /// A hash of the instance (RFC 5626); 0 when the device has none.
    pub instance: u64,
    /// A hash of instance and `reg-id`; 0 when the device has none.
    pub identity: u64,
    /// The way requests to it take.
    pub flow: Flow,
    /// The way its REGISTER came.
    pub source: Flow,
    /// Our address on that way, which may go and come back, with another socket.
    pub local: SocketAddr,
    /// Preference, thousandths.
    pub q: u16,
    /// When it ends unless refreshed.
    pub expires_at: Instant,
    /// When it was last refreshed.
    pub refreshed_at: Instant,
    /// When anything last came from it.
    pub heard_at: Instant,
    /// Hash of the Call-ID of its REGISTER.
    pub call_id: u64,
    /// CSeq of its REGISTER.
    pub cseq: u32,
    /// What it says it takes.
    pub abilities: Abilities,
    /// Whether there is a NAT between, so that its mapping has to be kept alive from here.
    pub is_natted: bool,
    /// Whether the device keeps its flow alive itself and asked for that to be confirmed (RFC 5626).
    pub is_outbound: bool,
    /// When the next keep-alive is due.
    pub ping_at: Option<Instant>,
    /// Whether a keep-alive waits to be sent.
    pub is_ping_due: bool,
    /// When it is asked what it takes.
    pub probe_at: Option<Instant>,
    /// Messages that it did not take.
    pub missed: u32,
    /// The next binding of the same person, plus one.
    pub next: u16,
    /// Its texts, one after the other.
    pub text: Bytes,
    /// Where each text ends.
    pub ends: [u16; TEXTS],
}

/// A binding as the journal keeps it (postcard). What a start alone knows, such as slots and handles, is not in it.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Kept<'b> {
    /// The start that wrote it, and the boot that was in.
    pub epoch: Epoch,
    /// The person, as a seal.
    pub person: u32,
    /// Who registered it: person, device section and secrets, as a seal.
    pub login: u32,
    /// When it ends, milliseconds since the boot.
    pub expires_ms: u64,
    /// How long before that this was written.
    pub remaining_ms: u64,
    /// When it was last refreshed, milliseconds since the boot.
    pub refreshed_ms: u64,
    id: u32,
    instance: u64,
    identity: u64,
    local: SocketAddr,
    remote: SocketAddr,
    source: SocketAddr,
    q: u16,
    call_id: u64,
    cseq: u32,
    abilities: Abilities,
    is_natted: bool,
    is_pinged: bool,
    missed: u32,
    ends: [u16; TEXTS],
    text: &'b [u8],
}

/// When something was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Epoch {
    /// The boot of the machine: instants within one compare.
    pub boot: u64,
    /// The start of the program.
    pub start: u64,
}

impl<'b> Kept<'b> {
    /// What is kept of a binding; `None` when it is reached by a stream, which ends with the program.
    pub fn of(
        now: Instant,
        epoch: Epoch,
        (person, login): (u32, u32),
        binding: &Binding,
        store: &'b Store,
    ) -> Option<Self> {
        let (Flow::Datagram { remote, .. }, Flow::Datagram { remote: source, .. }) = (binding.flow, binding.source)
        else {
            return None;
        };
        Some(Self {
            epoch,
            person,
            login,
            expires_ms: binding.expires_at.millis(),
            remaining_ms: binding.expires_at.since(now),
            refreshed_ms: binding.refreshed_at.millis(),
            id: binding.id,
            instance: binding.instance,
            identity: binding.identity,
            local: binding.local,
            remote,
            source,
            q: binding.q,
            call_id: binding.call_id,
            cseq: binding.cseq,
            abilities: binding.abilities,
            is_natted: binding.is_natted,
            is_pinged: binding.ping_at.is_some(),
            missed: binding.missed,
            ends: binding.ends,
            text: store.get(&binding.text),
        })
    }

    /// The binding again: within one boot it ends when it was to end; after a reboot, whose length nobody knows, it has
    /// as long as it had when it was written. `None` when it has ended, or the store has no room.
    pub fn restore(
        &self,
        now: Instant,
        epoch: Epoch,
        (person, device): (u16, Option<u16>),
        network: &Network,
        store: &mut Store,
    ) -> Option<Binding> {
        let is_same_boot = self.epoch.boot == epoch.boot;
        let expires_at = if is_same_boot { Instant::from_millis(self.expires_ms) } else { now.plus(self.remaining_ms) };
        let is_plausible = self.remaining_ms <= LONGEST_MS && expires_at.since(now) <= LONGEST_MS;
        let are_ends_right = self.ends.is_sorted() && self.ends.iter().all(|end| usize::from(*end) <= self.text.len());
        if expires_at <= now || !is_plausible || !are_ends_right {
            return None;
        }
        let port = network.port_at(Transport::Udp, self.local).unwrap_or(NO_PORT);
        Some(Binding {
            person,
            device,
            id: self.id,
            instance: self.instance,
            identity: self.identity,
            flow: Flow::Datagram { port, remote: self.remote },
            source: Flow::Datagram { port, remote: self.source },
            local: self.local,
            q: self.q,
            expires_at,
            refreshed_at: if is_same_boot { Instant::from_millis(self.refreshed_ms) } else { now },
            heard_at: now,
            call_id: self.call_id,
            cseq: self.cseq,
            abilities: self.abilities,
            is_natted: self.is_natted,
            is_outbound: false,
            ping_at: self.is_pinged.then_some(now),
            is_ping_due: false,
            probe_at: None,
            missed: self.missed,
            next: 0,
            text: store.freeze(self.text)?,
            ends: self.ends,
        })
    }
}

/// Stands in a flow while the address it was on is not ours.
pub const NO_PORT: Port = Port(u8::MAX);

/// No binding lives longer: what says so was not written here.
const LONGEST_MS: u64 = 7_200_000;

/// The texts of a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Text {
    /// The Contact URI.
    Uri,
    /// The other parameters of the Contact, each with its semicolon.
    Params,
    /// The values of Path, joined by commas.
    Path,
    /// User-Agent.
    Agent,
    /// The types it accepts.
    Accept,
}

/// Number of texts.
pub const TEXTS: usize = 5;

/// The methods a device takes, as far as it says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// Whether it said anything.
    pub is_known: bool,
    methods: u16,
}

const METHODS: [Method<'static>; 14] = [
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Options,
    Method::Register,
    Method::Message,
    Method::Subscribe,
    Method::Notify,
    Method::Publish,
    Method::Info,
    Method::Prack,
    Method::Update,
    Method::Refer,
];

impl Abilities {
    /// What an answer to OPTIONS says: its Allow.
    pub fn allowed(message: &Message<'_>) -> Self {
        let mut abilities = Self::default();
        message.values(Name::Allow).for_each(|name| abilities.add(name));
        abilities
    }

    /// What a REGISTER says: its Allow, and the `methods` parameter of the Contact (RFC 3840).
    pub fn of(message: &Message<'_>, contact: &NameAddr<'_>) -> Self {
        let mut abilities = Self::default();
        for name in message.values(Name::Allow) {
            abilities.add(name);
        }
        if let Some(list) = contact.params.value(b"methods") {
            // The list is one quoted string; its content is short, and what does not fit is not known.
            let mut buffer = [0; 256];
            let mut len = 0;
            for (room, byte) in buffer.iter_mut().zip(quoted_content(
                list.trim_ascii_start()
                    .strip_prefix(b"\"")
                    .map_or(list, |rest| rest.strip_suffix(b"\"").unwrap_or(rest)),
            )) {
                *room = byte;
                len += 1;
            }
            tokens(&buffer[..len]).for_each(|name| abilities.add(name));
        }
        abilities
    }

    /// Whether the device takes a method: yes, unless it gave a list without it.
    pub fn takes(&self, method: Method<'_>) -> bool {
        let bit = METHODS.iter().position(|known| *known == method);
        !self.is_known || bit.is_none_or(|bit| self.methods & 1 << bit != 0)
    }

    /// The methods it said.
    pub fn methods(&self) -> impl Iterator<Item = &'static [u8]> {
        let methods = self.methods;
        METHODS.iter().enumerate().filter(move |(bit, _)| methods & 1 << bit != 0).map(|(_, method)| method.as_bytes())
    }

    fn add(&mut self, name: &[u8]) {
        self.is_known = true;
        if let Some(bit) = METHODS.iter().position(|known| known.as_bytes() == name) {
            self.methods |= 1 << bit;
        }
    }
}

impl Binding {
    /// One of its texts.
    pub fn text<'s>(&self, store: &'s Store, text: Text) -> &'s [u8] {
        store.get(&self.text).get(self.range(text)).unwrap_or_default()
    }

    /// Takes the types that an answer to OPTIONS says it accepts, as far as there is room for them.
    pub fn learn_accept(&mut self, stack: &mut Stack, message: &Message<'_>) {
        let mut room = [0; ACCEPT_BYTES];
        let mut accept = Writer::new(&mut room);
        for (index, value) in message.values(Name::Accept).enumerate() {
            accept.text(if index == 0 { "" } else { ", " });
            accept.put(value);
        }
        let Ok(len) = accept.finish() else { return };
        let start = self.range(Text::Accept).start;
        let text = stack.compose(|store, out| {
            out.put(store.get(&self.text).get(..start).unwrap_or_default());
            out.put(&room[..len]);
        });
        if let Some(text) = text {
            stack.store.release(core::mem::replace(&mut self.text, text));
            self.ends[Text::Accept as usize] = (start + len) as u16;
        }
    }

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(Some(self.expires_at), earliest(self.ping_at, self.probe_at))
    }

    fn range(&self, text: Text) -> Range<usize> {
        let index = text as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        usize::from(start)..usize::from(self.ends[index])
    }
}
