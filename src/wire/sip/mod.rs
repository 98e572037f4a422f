//! SIP messages (RFC 3261 §7, §19, §20, §25): from bytes to values that borrow them, and back.
//!
//! [`Message::parse`] splits a datagram in one pass and reads what every element needs ([`Essentials`]); everything else
//! is read when it is asked for. A reader that accepts bytes may be liberal (line ends, white space, display names), but
//! never guesses: what two elements could read differently is a [`Fault`]. Forwarding is done by [`edit`], on the
//! original bytes; answers are written by [`response`]; streams are cut into messages by [`framer`].
//!
//! Left out: message bodies (they have their own readers), and header fields that only end points act on, which are
//! handed out as they came.

mod address;
mod auth;
pub mod date;
pub mod edit;
pub mod features;
pub mod framer;
mod fuzz;
mod header;
mod host;
mod lex;
mod message;
mod method;
mod params;
pub mod response;
mod uri;
mod values;
mod via;

pub use address::{ContactIter, ContactList, Contacts, NameAddr};
pub use auth::{Challenge, Credentials};
pub use fuzz::fuzz;
pub use header::Name;
pub use host::{Host, same_name};
pub use lex::{Fault, list, quoted_content, tokens, unescape, unescaped_eq};
pub use message::{Essentials, Field, Message, Start, fields, split_head};
pub use method::Method;
pub use params::Params;
pub use uri::{SipUri, TelUri, Uri};
pub use values::{
    CSeq, Event, MediaType, RAck, Reason, Refresher, Replaces, RetryAfter, SessionExpires, SubscriptionState, Substate,
    delta_seconds, q_value, rseq,
};
pub use via::Via;
