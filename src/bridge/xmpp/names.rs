//! The namespaces, and the ids of our own requests.

/// Elements of the stream itself.
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Conditions of stream errors.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Stanzas.
pub const CLIENT: &str = "jabber:client";
/// STARTTLS.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding.
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Sessions of RFC 3921.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Conditions of stanza errors.
pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Stream management (XEP-0198).
pub const MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Subscriptions approved before they are asked for (RFC 6121 §3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// The roster.
pub const ROSTER: &str = "jabber:iq:roster";
/// Service discovery (XEP-0030).
pub const INFO: &str = "http://jabber.org/protocol/disco#info";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Chat states (XEP-0085).
pub const STATES: &str = "http://jabber.org/protocol/chatstates";
/// Receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Chat markers (XEP-0333).
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Forwarded stanzas (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// The archive (XEP-0313).
pub const ARCHIVE: &str = "urn:xmpp:mam:2";
/// Pages of results (XEP-0059).
pub const PAGES: &str = "http://jabber.org/protocol/rsm";
/// Ids that servers give stanzas (XEP-0359).
pub const STANZA_IDS: &str = "urn:xmpp:sid:0";
/// When a stanza was sent (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// A URL that comes with a message (XEP-0066).
pub const URL: &str = "jabber:x:oob";
/// What says of a message what a mail's fields would (XEP-0131).
pub const HEADERS: &str = "http://jabber.org/protocol/shim";
/// Rooms (XEP-0045).
pub const ROOMS: &str = "http://jabber.org/protocol/muc#user";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";

/// Namespaces that an element read in pieces may hand down to what is in it.
const HANDED_DOWN: [&str; 7] = [CLIENT, ROSTER, CARBONS, FORWARD, ARCHIVE, STREAMS, "?"];

/// A namespace as a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Default(u8);

impl Default {
    /// That of stanzas.
    pub const CLIENT: Self = Self(0);

    /// The one that a text names, or one of which nothing is known.
    pub fn of(namespace: crate::wire::xml::Text<'_>) -> Self {
        let last = HANDED_DOWN.len() - 1;
        Self(HANDED_DOWN.iter().position(|known| namespace == *known).unwrap_or(last) as u8)
    }

    /// The one of this name.
    pub fn of_name(namespace: &str) -> Self {
        Self(HANDED_DOWN.iter().position(|known| namespace == *known).unwrap_or(HANDED_DOWN.len() - 1) as u8)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        HANDED_DOWN.get(usize::from(self.0)).copied().unwrap_or("?")
    }
}

/// The ids of our requests.
pub mod ids {
    /// Resource binding.
    pub const BIND: &str = "pcs-bind";
    /// The session of RFC 3921.
    pub const SESSION: &str = "pcs-session";
    /// The roster.
    pub const ROSTER: &str = "pcs-roster";
    /// A change of the roster.
    pub const CHANGE: &str = "pcs-change";
    /// What the server can do.
    pub const SERVER: &str = "pcs-server";
    /// What the account can do.
    pub const ACCOUNT: &str = "pcs-account";
    /// A ping; behind it the number of stanzas sent before.
    pub const PING: &str = "pcs-ping-";
    /// The archive.
    pub const ARCHIVE: &str = "pcs-archive";
}
