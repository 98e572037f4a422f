//! Floor 3: connectors to other networks, behind one contract. Each makes the home an ordinary client of a network, for one
//! account of one person.
//!
//! A connector is a machine without I/O: bytes and time go in, bytes, a deadline and neutral [`Event`]s come out. It holds
//! what its protocol needs and nothing else: who the contacts are, what waits to be sent, what was seen already, and when
//! to try again are the business of who drives it ([`crate::server`]), the same for all networks. So no service knows a
//! network's protocol, and no connector knows the home.
//!
//! # How it is driven
//!
//! For an account that is to be on, whoever drives it asks [`Connector::target`] where each of its [`Link`]s leads now, has
//! the connection made, and says so with [`Connector::connected`]. What comes in on it is handed to
//! [`Connector::received`], from the front of the receive window, again and again while the [`Step`] says that something was
//! read; at most one thing is made known for each call. What the connector has to send it writes to [`Env::out`], which is
//! queued on the link of that call as a whole. [`Connector::due`] is called when [`Connector::deadline`] has come, and
//! [`Connector::command`] when the connector said [`Event::Online`] and there is something to do.
//!
//! An element, line or object that does not fit into the largest window is read in pieces where it is a list, and passed
//! over with a log line where it is not. Nothing a server sends makes a connector keep more than it has fields for.

pub use connector::Connector;

use crate::base::random::Random;
use crate::base::text::{Name, Writer};
use crate::base::time::{Instant, UnixTime};
use crate::config::model::Account;

pub mod connector;
#[cfg(feature = "line")]
pub mod http;
#[cfg(feature = "irc")]
pub mod irc;
#[cfg(feature = "line")]
pub mod line;
#[cfg(feature = "xmpp")]
pub mod xmpp;

/// One of the connections of an account: 0 is the first, which every connector has; below
/// [`LINKS`](crate::base::limits::LINKS).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Link(pub u8);

/// What a connector is lent for one call.
pub struct Env<'a, 'o> {
    /// The moment.
    pub now: Instant,
    /// The time of day, when it is known.
    pub time: Option<UnixTime>,
    /// Numbers nobody can predict, and hashes.
    pub random: &'a mut Random,
    /// The account as configured.
    pub account: &'a Account,
    /// Takes what is to be sent on the link of this call (of [`Connector::command`] and [`Connector::due`]: on the link
    /// that [`Connector::speaks_on`] names). At least [`OUT_BYTES`] are free. What overflows it breaks the link.
    pub out: &'a mut Writer<'o>,
}

/// Bytes that one call may have to send at least.
pub const OUT_BYTES: usize = 16 * 1024;
/// Bytes of the scratch that texts of events are put in: no less than the largest window of a connector's link.
pub const SCRATCH_BYTES: usize = 10 * 1024;
/// Bytes of a text that is handed to [`Command::Send`] at most. Longer ones are sent in parts.
pub const TEXT_BYTES: usize = 4 * 1024;

/// Where a link leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// To the servers of a domain for clients of XMPP (RFC 6120 §3.2): by SRV records, else port 5222 of the domain itself.
    /// Those found by `_xmpps-client` (RFC 7590, XEP-0368) are spoken to over TLS from the first byte.
    Xmpp {
        /// The domain; also what its certificate has to be for.
        domain: Name,
    },
    /// To a host: a name that has addresses, or an address.
    Host {
        /// The host.
        host: Name,
        /// Its port.
        port: u16,
        /// Over TLS from the first byte; the certificate has to be for `domain`.
        is_tls: bool,
        /// What the certificate has to be for, with TLS now or later.
        domain: Name,
    },
    /// To a socket of this machine, at [`Account::path`].
    Local,
}

/// What a connector says after it has read something, or after time has passed.
#[derive(Debug)]
pub enum Step<'s> {
    /// All that could be read was read. More bytes are needed, or time.
    Nothing,
    /// Something was read, or done, that nobody needs to know of. There may be more.
    Quiet,
    /// Something was read that is to be known. There may be more.
    Event(Event<'s>),
    /// TLS is to begin on this link as soon as `out` is sent; what was received after this is dropped.
    /// [`Connector::connected`] is called again when it is up.
    StartTls,
    /// The link is to be closed, after `out`.
    End(End),
}

/// Why a connector ends its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It logged out, as it was told.
    Done,
    /// Something that may be better next time: try again, later each time.
    Retry(&'static str),
    /// The server asked to go elsewhere: [`Connector::target`] names the new place; try at once, but not for ever.
    Moved,
    /// This link alone is over, in order; [`Connector::target`] says whether it is wanted again.
    Link,
    /// Something that only a person can mend. Not tried again until the configuration changes, or she says so.
    Stop(Stop),
}

/// What only a person can mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The server refuses the name or the password.
    Password,
    /// Another client has logged in and put this one out.
    Elsewhere,
    /// The server refuses this client, for the reason given.
    Refused(&'static str),
}

/// What is known of how somebody is, on any network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Show {
    /// Not there.
    #[default]
    Offline,
    /// Away for a long time.
    ExtendedAway,
    /// Away.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// There.
    Available,
}

/// Something that has happened on a network. Texts are plain: no markup, no control characters but line ends and tabs.
/// Addresses are in the form of [`BuddyAddress::text`](crate::config::model::BuddyAddress::text) for the network: canonical,
/// so that equal ones are equal bytes.
#[derive(Debug)]
pub enum Event<'s> {
    /// The account is on: commands are taken from now on.
    Online {
        /// Whether everything is as it was before a cut: what was sent is still known, contacts need not be told anew.
        is_resumed: bool,
    },
    /// The list of contacts begins to be told anew. What is not told before [`Event::ContactsEnd`] is gone.
    ContactsBegin,
    /// A contact, at any time.
    Contact(Contact<'s>),
    /// All contacts were told.
    ContactsEnd,
    /// A contact is gone from the list.
    ContactGone {
        /// Who.
        who: &'s str,
    },
    /// How somebody is, at one of the places where he is logged in.
    Presence {
        /// Who.
        who: &'s str,
        /// Tells his places apart: a hash. 0 with [`Show::Offline`]: all of them.
        place: u32,
        /// How he is there.
        show: Show,
        /// Among equal ones the place with the higher priority counts.
        priority: i8,
        /// What he says of himself; may be empty.
        text: &'s str,
    },
    /// A text.
    Message(Incoming<'s>),
    /// Somebody types, or has stopped.
    Typing {
        /// Who.
        who: &'s str,
        /// Whether he types.
        is_on: bool,
    },
    /// A text of ours has reached the server, as far as the network can tell.
    Sent {
        /// The name it was given.
        id: u32,
    },
    /// A text of ours was refused or came back.
    Failed {
        /// The name it was given.
        id: u32,
        /// Why, for people.
        why: &'static str,
        /// Whether a later time will do no better on this network.
        is_final: bool,
    },
    /// A text of ours was seen by his client, or by himself.
    Received {
        /// The name it was given.
        id: u32,
        /// Whether it was read, and not only delivered.
        is_read: bool,
    },
    /// Somebody wants to have her on his list. Told again until [`Command::Authorise`].
    Request {
        /// Who.
        who: &'s str,
        /// What he says; may be empty.
        text: &'s str,
    },
    /// Something for the person to read.
    Notice(&'s str),
    /// To be remembered for the next start, instead of what was remembered before ([`Connector::restore`]). It counts only
    /// when all messages that came before it are settled.
    Bookmark(&'s str),
}

/// A contact as a network's list has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact<'s> {
    /// The address.
    pub who: &'s str,
    /// The name she gave him; may be empty.
    pub name: &'s str,
    /// Whether his presence is told to us.
    pub is_watched: bool,
    /// Whether he was asked for that and has not answered.
    pub is_asked: bool,
}

/// A text that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incoming<'s> {
    /// Who wrote it; of an own copy: whom it is for.
    pub who: &'s str,
    /// Whether she wrote it herself, with another client of this account.
    pub is_own: bool,
    /// The text. Never empty.
    pub text: &'s str,
    /// A hash of what names it on the network, the same when it comes again; 0 when nothing does.
    pub name: u64,
    /// Names it in [`Command::Settled`]; 0 when nobody waits for that.
    pub token: u32,
    /// When it was written, if it was kept meanwhile; seconds since 1970.
    pub at: Option<UnixTime>,
    /// Whether a program may answer it: not what programs have written themselves.
    pub may_answer: bool,
}

/// What a connector that is on is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'c> {
    /// Show the person so.
    Presence {
        /// How she is. [`Show::Offline`] hides her: messages still come in, if the network can do that.
        show: Show,
        /// What is said of her; may be empty.
        text: &'c str,
    },
    /// Send a text, at most [`TEXT_BYTES`].
    Send {
        /// To whom.
        to: &'c str,
        /// The text.
        text: &'c str,
        /// Names it in [`Event::Sent`] and its relatives; not 0. The same again is the same text sent again.
        id: u32,
        /// Whether a program has written it.
        is_automatic: bool,
    },
    /// Say that she types, or has stopped.
    Typing {
        /// To whom.
        to: &'c str,
        /// Whether she types.
        is_on: bool,
    },
    /// A message that came in is dealt with: delivered or kept, or neither, so that its sender has to be told.
    Settled {
        /// Its [`Incoming::token`].
        token: u32,
        /// Whether she has it, or will have.
        is_taken: bool,
    },
    /// Put somebody on the list, and ask for his presence.
    Add {
        /// Who.
        who: &'c str,
        /// What she calls him.
        name: &'c str,
    },
    /// Take somebody off the list.
    Remove {
        /// Who.
        who: &'c str,
    },
    /// Answer an [`Event::Request`].
    Authorise {
        /// Who.
        who: &'c str,
        /// Whether he may see her.
        is_allowed: bool,
    },
    /// Log out in order; ends in [`End::Done`].
    Quit,
}

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done, or will be; of a text, [`Event::Sent`] or [`Event::Failed`] follows.
    Done,
    /// There is no room for it now: to be tried again after the next event, or when the deadline has come.
    Later,
    /// This network, or this server, can't do that.
    Unable(&'static str),
}

/// What a network can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Abilities {
    /// It keeps texts for who is not there.
    pub keeps: bool,
    /// It has a list of contacts of its own.
    pub has_list: bool,
    /// It can hide the person while texts still come in.
    pub hides: bool,
}
