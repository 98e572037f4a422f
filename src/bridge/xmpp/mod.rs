//! Floor 3: XMPP (RFC 6120, RFC 6121), as one of its clients: Jabber, what was Google Talk, and whatever a server has a
//! gateway to.
//!
//! What it does: STARTTLS and TLS from the first byte (RFC 7590), SCRAM and PLAIN ([`sasl`]), stream management with
//! resumption (XEP-0198, [`acks`]), the roster and subscriptions, presence with capabilities (XEP-0115), chat messages
//! with receipts (XEP-0184), states (XEP-0085) and markers (XEP-0333, only those of others), carbons (XEP-0280), the archive
//! (XEP-0313), service discovery (XEP-0030), ping (XEP-0199), version (XEP-0092).
//!
//! The stream is cut into stanzas in the receive window ([`crate::wire::xml::stream`]) and read there; a roster is read item
//! by item, a text that fills the window part by part. A stanza that can't be read is left out; a stream that can't be
//! cut is closed. No text, contact or presence is kept.
//!
//! | file | what is in it |
//! |---|---|
//! | `login` | from the first byte to [`Event::Online`] |
//! | [`sasl`] | proving who one is |
//! | [`acks`] | what was sent and is not acknowledged, what came in and is not dealt with |
//! | `stanza` | what comes in, by kind; requests of others; lists that are read in pieces |
//! | `message`, `presence`, `archive` | these |
//! | `command` | what goes out |
//! | `own_id` | the names that this installation gives |
//!
//! Left out: rooms, roster versions (XEP-0237), encryption between clients, avatars, files, blocking, and pages of HTML in
//! messages (XEP-0071): the plain text that comes with them is taken.

use heapless::{String, Vec};

use super::{Abilities, End, Env, Event, Link, Show, Step, Target};
use crate::base::text::Name;
use crate::base::time::{Instant, earliest};
use crate::config::model::{Account, Security};
use crate::wire::xml::DEPTH;
use crate::wire::xml::stream::{Piece, Splitter};
use acks::{Acks, Told};
use archive::Archive;
use jid::Bare;
use login::Features;
use message::Large;
use room::Room;
use sasl::Sasl;
use typing::Peers;

pub mod acks;
mod archive;
mod command;
mod fuzz;
mod jid;
mod login;
mod message;
mod names;
mod own_id;
mod presence;
mod room;
pub mod sasl;
mod stanza;
#[cfg(test)]
mod tests;
mod typing;
mod write;

pub use fuzz::fuzz;

/// Milliseconds without a byte after which the server is asked whether it is there.
pub const SILENCE_MS: u64 = 60_000;
/// Milliseconds that it has to answer.
pub const ANSWER_MS: u64 = 20_000;
/// Milliseconds that a login may take.
pub const LOGIN_MS: u64 = 60_000;
/// Milliseconds that a server may take to say goodbye.
pub const GOODBYE_MS: u64 = 5_000;
/// Milliseconds from one look into the archive to the next while the person hides: messages do not come in then.
pub const HIDDEN_MS: u64 = 60_000;

/// Bytes of a status text that is shown again when the server did not get it. A longer one is cut then.
const STATUS_BYTES: usize = 160;
/// The port where none is said (RFC 6120 §14.7).
const PORT: u16 = 5222;
/// The port with TLS from the first byte.
const DIRECT_PORT: u16 = 5223;

/// The connector.
pub struct Xmpp {
    splitter: Splitter,
    phase: Phase,
    /// TLS is up.
    is_secure: bool,
    /// The password was accepted on this connection.
    is_authenticated: bool,
    features: Features,
    sasl: Sasl,
    /// The address that the server knows us by.
    own: Bare,
    acks: Acks,
    peers: Peers,
    archive: Archive,
    /// What the element is that is being read in pieces, the default namespace at each depth in it, and what is known of
    /// a message of which only the text is still to come.
    inside: Inside,
    defaults: Vec<names::Default, DEPTH, u8>,
    large: Large,
    /// How the person is shown in this session, once she is.
    shown: Option<(Show, String<STATUS_BYTES, u8>)>,
    /// When something was read last; before the account is on, when the connection came up.
    heard: Instant,
    /// The server was asked whether it is there.
    is_asked: bool,
    /// [`Event::Online`] is to be told, and what it says.
    online: Option<bool>,
    /// Where the server has asked to go.
    moved: Option<(jid::Place, u16)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// There is no connection, or it is being closed.
    Down,
    /// There is one, and it has not the TLS that it was to have.
    Bare,
    /// A stream was opened: its features are waited for.
    Features,
    /// TLS was asked for.
    Tls,
    /// The password is being checked.
    Login,
    /// An address was asked for.
    Bind,
    /// So was a session.
    Session,
    /// So was the last one.
    Resume,
    /// So was stream management.
    Enable,
    /// The account is on.
    On,
    /// Goodbye was said.
    Leaving,
}

/// What an element is that is read in pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inside {
    /// Nothing that is of interest.
    Nothing,
    /// A stanza of which nothing is of interest but that it came.
    Stanza,
    /// The features of the stream.
    Features,
    /// The answer that holds the roster; then its list.
    Answer,
    Roster,
    /// A message with a long text.
    Message,
}

impl Xmpp {
    /// One that knows nothing yet.
    pub const fn new() -> Self {
        Self {
            splitter: Splitter::new(),
            phase: Phase::Down,
            is_secure: false,
            is_authenticated: false,
            features: Features::NONE,
            sasl: Sasl::new(),
            own: String::new(),
            acks: Acks::new(),
            peers: Peers::new(),
            archive: Archive::new(),
            inside: Inside::Nothing,
            defaults: Vec::new(),
            large: Large::NONE,
            shown: None,
            heard: Instant::ZERO,
            is_asked: false,
            online: None,
            moved: None,
        }
    }

    /// Servers keep texts for who is not there, and the roster. One with an archive lets a person hide and still get texts.
    pub fn abilities(&self) -> Abilities {
        Abilities { keeps: true, has_list: true, hides: self.archive.is_there() }
    }

    /// The bookmark is the id of the last message of the archive that was seen.
    pub fn restore(&mut self, bookmark: &str) {
        self.archive.restore(bookmark);
    }

    /// Its only link leads to where the account says, else to where the server has asked to go, else to what DNS says of
    /// the address's domain.
    pub fn target(&self, account: &Account, link: Link) -> Option<Target> {
        if link != Link(0) {
            return None;
        }
        let domain = Name::try_from(jid::domain(&account.address)).ok().filter(|domain| !domain.is_empty())?;
        let is_tls = account.security == Security::Direct;
        let usual = if is_tls { DIRECT_PORT } else { PORT };
        if let Some((host, port)) = &self.moved {
            let host = Name::try_from(host.as_str()).ok()?;
            return Some(Target::Host { host, port: *port, is_tls, domain });
        }
        let port = account.port.map(core::num::NonZeroU16::get);
        if account.host.is_empty() && port.is_none() {
            return Some(Target::Xmpp { domain });
        }
        let host = if account.host.is_empty() { domain.clone() } else { account.host.clone() };
        Some(Target::Host { host, port: port.unwrap_or(usual), is_tls, domain })
    }

    /// A new attempt begins.
    pub fn begin(&mut self, _env: &mut Env<'_, '_>) {
        self.acks.lost();
        self.phase = Phase::Down;
        (self.is_secure, self.is_authenticated, self.is_asked) = (false, false, false);
        self.online = None;
    }

    /// The link is up, or TLS has begun on it: a stream is opened.
    pub fn connected(&mut self, env: &mut Env<'_, '_>, link: Link, is_tls: bool) {
        if link != Link(0) {
            return;
        }
        let wants_tls = self.phase == Phase::Tls || env.account.security == Security::Direct;
        (self.is_secure, self.heard) = (is_tls, env.now);
        if wants_tls && !is_tls {
            self.phase = Phase::Bare;
        } else {
            self.open_stream(env);
        }
    }

    /// Reads the next piece of the stream.
    pub fn received<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        link: Link,
        (bytes, is_full): (&[u8], bool),
        scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        if link != Link(0) || self.phase == Phase::Down {
            return (bytes.len(), Step::Nothing);
        }
        if self.phase == Phase::Bare {
            return (bytes.len(), self.end(env, NO_TLS));
        }
        if self.has_pending() {
            return (0, self.pending(env, scratch));
        }
        if self.acks.is_full() {
            return (0, Step::Nothing);
        }
        match self.splitter.next(bytes, is_full) {
            Ok(None) => (0, Step::Nothing),
            Ok(Some(piece)) => {
                let is_inside = self.splitter.depth() > 1
                    || matches!(piece, Piece::Opened { .. } | Piece::Skipped { is_last: false, .. });
                // Something that never ends has no answers in it.
                if self.phase == Phase::On && !(is_inside && self.is_asked) {
                    (self.heard, self.is_asked) = (env.now, false);
                }
                self.piece(env, piece, bytes, Room::new(scratch))
            }
            Err(fault) => {
                log::warn!("XMPP {}: the server's stream can't be read: {}", env.account.id, fault.reason);
                env.out.text(
                    "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
                );
                // What broke the stream would come again if the session was taken up.
                self.acks.forget();
                (bytes.len(), self.end(env, End::Retry(fault.reason)))
            }
        }
    }

    /// The link is gone.
    pub fn closed(&mut self, _env: &mut Env<'_, '_>, link: Link) -> Option<End> {
        if link != Link(0) {
            return None;
        }
        let was = core::mem::replace(&mut self.phase, Phase::Down);
        self.moved = None;
        Some(match was {
            Phase::Leaving => End::Done,
            Phase::On => End::Retry("the connection was cut"),
            _ => End::Retry("the server closed the connection"),
        })
    }

    /// Time has passed.
    pub fn due<'s>(&mut self, env: &mut Env<'_, '_>, scratch: &'s mut [u8]) -> Step<'s> {
        if self.has_pending() {
            return self.pending(env, scratch);
        }
        if self.phase == Phase::Login && self.sasl.is_working() {
            self.work(env);
            return Step::Quiet;
        }
        if self.deadline().is_none_or(|deadline| env.now < deadline) {
            return Step::Nothing;
        }
        match self.phase {
            Phase::Down => Step::Nothing,
            Phase::Bare => self.end(env, NO_TLS),
            Phase::Leaving => self.end(env, End::Done),
            // It is not the server that is silent: nothing is read.
            Phase::On if self.acks.is_full() && self.silent_until() <= env.now => {
                (self.heard, self.is_asked) = (env.now, false);
                Step::Quiet
            }
            Phase::On if self.is_asked && self.silent_until() <= env.now => {
                if self.splitter.is_within() {
                    // What can't be read to its end would come again with the session.
                    self.acks.forget();
                }
                self.end(env, End::Retry("the server does not answer"))
            }
            Phase::On if self.archive.is_due(env.now) => {
                if self.archive.is_holding() {
                    log::info!("XMPP {}: the archive takes long: texts go out", env.account.id);
                    self.archive.release();
                } else {
                    self.ask_archive(env);
                }
                Step::Quiet
            }
            Phase::On => {
                self.ask_server(env);
                Step::Quiet
            }
            _ => self.end(env, End::Retry("the login took too long")),
        }
    }

    /// When there is something to do.
    pub fn deadline(&self) -> Option<Instant> {
        if self.has_pending() || self.phase == Phase::Login && self.sasl.is_working() {
            return Some(Instant::ZERO);
        }
        match self.phase {
            Phase::Down => None,
            Phase::Bare => Some(Instant::ZERO),
            Phase::Leaving => Some(self.heard.plus(GOODBYE_MS)),
            Phase::On => earliest(Some(self.silent_until()), self.archive.next()),
            _ => Some(self.heard.plus(LOGIN_MS)),
        }
    }

    /// When the server has been silent for too long.
    fn silent_until(&self) -> Instant {
        self.heard.plus(if self.is_asked { SILENCE_MS + ANSWER_MS } else { SILENCE_MS })
    }

    /// Its only link.
    pub fn speaks_on(&self) -> Link {
        Link(0)
    }

    /// Whether there is something to tell that waits for nothing.
    fn has_pending(&self) -> bool {
        self.phase >= Phase::On && (self.online.is_some() || self.acks.has_told() || self.archive.has_news())
    }

    /// Tells it.
    fn pending<'s>(&mut self, env: &mut Env<'_, '_>, scratch: &'s mut [u8]) -> Step<'s> {
        // What became of texts is told first: those that were cut off go out again at once when the account is on.
        match self.acks.told() {
            Some(Told::Sent(id)) => return Step::Event(Event::Sent { id }),
            Some(Told::Cut(id)) => {
                return Step::Event(Event::Failed { id, why: "the connection was cut", is_final: false });
            }
            None => (),
        }
        if let Some(is_resumed) = self.online.take() {
            log::debug!("XMPP {}: on as {}", env.account.id, self.own);
            return Step::Event(Event::Online { is_resumed });
        }
        if self.archive.was_released() {
            return Step::Quiet;
        }
        let mut room = [0; archive::ID_BYTES];
        match self.archive.news(&mut room) {
            Some(bookmark) => Step::Event(Event::Bookmark(Room::new(scratch).text(bookmark.chars()))),
            None => Step::Quiet,
        }
    }

    /// Closes the stream.
    fn end<'s>(&mut self, env: &mut Env<'_, '_>, end: End) -> Step<'s> {
        if self.phase > Phase::Bare && self.phase != Phase::Leaving {
            env.out.text("</stream:stream>");
        }
        self.phase = Phase::Down;
        if end != End::Moved {
            self.moved = None;
        }
        Step::End(end)
    }
}

const NO_TLS: End = End::Retry("TLS did not begin");

impl Default for Xmpp {
    fn default() -> Self {
        Self::new()
    }
}
