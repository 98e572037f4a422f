//! One binding: a device of a person, how it is reached and what it takes (RFC 3261 §10, RFC 5626, RFC 3327, RFC 3840).

use core::ops::Range;

use crate::base::net::Flow;
use crate::base::store::{Bytes, Store};
use crate::base::time::{Instant, earliest};
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
    /// Messages that it did not take.
    pub missed: u32,
    /// The next binding of the same person, plus one.
    pub next: u16,
    /// Its texts, one after the other.
    pub text: Bytes,
    /// Where each text ends.
    pub ends: [u16; TEXTS],
}

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(Some(self.expires_at), self.ping_at)
    }

    fn range(&self, text: Text) -> Range<usize> {
        let index = text as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        usize::from(start)..usize::from(self.ends[index])
    }
}
