//! Our branch parameters (RFC 3261 §8.1.1.7, §16.6 step 8) and the loop check in them (RFC 5393 §4.2).
//!
//! `z9hG4bK` `p` KIND HANDLE(8) SECRET(8) LOOP(8), in hexadecimal: the handle finds the transaction without a search,
//! the secret proves that the answer belongs to it, and the loop part is a keyed hash of what decided the routing.

use crate::base::random::{Purpose, Random};
use crate::base::text::{Writer, hex_number};
use crate::wire::sip::{Message, Name};

/// What a branch of ours was made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A client transaction.
    Transaction,
    /// A request without one: an ACK to a 2xx.
    Stateless,
    /// A keep-alive; the handle is a binding's.
    KeepAlive,
}

/// A branch parameter of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    /// What for.
    pub kind: Kind,
    /// Handle bits, or a hash for a stateless one.
    pub handle: u32,
    /// The unguessable part.
    pub secret: u32,
    /// The loop check.
    pub routing: u32,
}

const PREFIX: &[u8] = b"z9hG4bKp";

impl Branch {
    /// Reads a branch parameter; `None` for one that is not of our making.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        if rest.len() != 25 {
            return None;
        }
        let kind = match rest[0] {
            b't' => Kind::Transaction,
            b's' => Kind::Stateless,
            b'k' => Kind::KeepAlive,
            _ => return None,
        };
        let part = |from: usize| hex_number(&rest[from..from + 8]).map(|value| value as u32);
        Some(Self { kind, handle: part(1)?, secret: part(9)?, routing: part(17)? })
    }

    /// Writes the branch parameter's value.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(PREFIX);
        out.put(match self.kind {
            Kind::Transaction => b"t",
            Kind::Stateless => b"s",
            Kind::KeepAlive => b"k",
        });
        out.hex(self.handle.into(), 8);
        out.hex(self.secret.into(), 8);
        out.hex(self.routing.into(), 8);
    }
}

/// Hash of everything that decides where a request goes: the same request with the same hash would go the same way again.
pub fn routing_hash(random: &Random, message: &Message<'_>) -> u32 {
    let mut hash = random.hash(Purpose::Branch);
    hash.put(message.request_uri().unwrap_or_default());
    if let Some(essentials) = message.essentials() {
        hash.put(essentials.from.tag().unwrap_or_default());
        hash.put(essentials.to.tag().unwrap_or_default());
        hash.put(essentials.call_id);
        hash.put(&essentials.cseq.number.to_le_bytes());
        hash.put(essentials.cseq.method.as_bytes());
    }
    for name in [Name::Route, Name::ProxyRequire, Name::ProxyAuthorization] {
        message.fields_named(name).for_each(|field| hash.put(field.value));
    }
    hash.finish() as u32
}

/// Whether the request has been here before and would go the same way again.
pub fn is_loop(message: &Message<'_>, routing: u32) -> bool {
    message.values(Name::Via).skip(1).chain(message.values(Name::Via).take(1)).any(|value| {
        // A cheap look for the prefix first: nearly no Via is ours.
        let ours = value.windows(PREFIX.len()).position(|window| window == PREFIX);
        ours.and_then(|at| value.get(at..at + PREFIX.len() + 25))
            .and_then(Branch::parse)
            .is_some_and(|branch| branch.kind == Kind::Transaction && branch.routing == routing)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let branch = Branch { kind: Kind::Transaction, handle: 0x0001_00ff, secret: 0xdead_beef, routing: 7 };
        let mut buffer = [0; 64];
        let mut out = Writer::new(&mut buffer);
        branch.write(&mut out);
        assert_eq!(out.written(), b"z9hG4bKpt000100ffdeadbeef00000007");
        assert_eq!(Branch::parse(out.written()), Some(branch));
        for foreign in
            ["z9hG4bK", "z9hG4bKpt", "z9hG4bKpx000100ffdeadbeef00000007", "z9hG4bKpt000100ffdeadbeeg00000007"]
        {
            assert_eq!(Branch::parse(foreign.as_bytes()), None);
        }
    }
}
