//! IRC, for people as buddies: RFC 1459 and RFC 2812 with the capabilities of IRCv3 (`sasl`, `server-time`, `message-tags`,
//! `away-notify`, `extended-monitor`, `echo-message`), MONITOR, WATCH, ISON and USERHOST for presence, CTCP ACTION and VERSION.
//!
//! Who is to be watched is told by [`Command::Add`] after each [`Event::Online`]: no list is kept on a server. Who is away is
//! pushed where `extended-monitor` or WATCH do that; else those who are there are asked for by USERHOST, five each minute, and
//! who is away by WHOIS for his text.
//!
//! Texts are sent as soon as the pace of `outgoing::Pace` allows for all lines of one: up to five at once, then one each two
//! seconds; a text of more lines goes when five may, and the next waits the longer. A text counts as sent when it was not refused for
//! three seconds, or, where the server repeats it, when it has done so. A refusal names the nick only: it is taken for one of
//! what was sent to him first, be it a text or a question.
//!
//! Nicks are told in lower case by the rule of RFC 1459, as the home compares them. Where the server's own rule (CASEMAPPING)
//! is another, `a[` and `a{` are two people there and one here: of who is watched the spelling is kept in which he last wrote,
//! and that one is watched and written to.
//!
//! Left out: channels (what comes in for one is passed over), STARTTLS, SASL but PLAIN and without TLS, labels of responses,
//! DCC and other CTCP, services of networks, taking back a nick that is in use.

use core::fmt::Write as _;

use heapless::String;

use super::{Abilities, Command, End, Env, Event, Link, Outcome, Show, Step, Stop, Target};
use crate::base::random::Purpose;
use crate::base::text::{Printable, Writer, base64_encode};
use crate::base::time::{Instant, earliest};
use crate::config::model::{Account, Security};
use crate::wire::irc::{self, CaseMapping, Frame, Line, is_nick};
use outgoing::{Pace, Sent};
use watched::{Now, Watched};

mod incoming;
mod login;
mod outgoing;
mod sending;
mod watched;

#[cfg(test)]
mod tests;

/// The connector.
pub struct Irc {
    phase: Phase,
    is_tls: bool,
    /// Whether the line that comes in is passed over up to its end, and whether one was before.
    is_skipping: bool,
    has_skipped: bool,
    login: login::Login,
    /// What the server has agreed to: bits of [`login::CAPABILITIES`].
    capabilities: u8,
    /// Our nick, as the server has it.
    nick: String<NICK_BYTES, u8>,
    mapping: CaseMapping,
    /// Bytes of an away text at most.
    away_bytes: u16,
    /// A hash of the away text that is set; 0: none is.
    away: u64,
    watching: Watching,
    has_userhost: bool,
    watched: Watched,
    /// Where in the watched the next question for who is there begins, and for who is away.
    ask_from: usize,
    there_from: usize,
    /// When to ask, or to tell the server whom to watch.
    ask_at: Option<Instant>,
    pace: Pace,
    /// When a text that had to wait may go.
    ready_at: Option<Instant>,
    sent: Sent,
    heard_at: Instant,
    was_pinged: bool,
    version_at: Option<Instant>,
    typing_at: Option<Instant>,
}

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    /// Asked for capabilities; the server may not know what these are.
    Asked {
        until: Instant,
    },
    /// Said who we are.
    Login {
        until: Instant,
    },
    On,
    /// Said good-bye.
    Leaving {
        until: Instant,
    },
}

/// How presence is learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Watching {
    /// Asked for by ISON.
    Ison,
    /// Pushed, by MONITOR.
    Monitor,
    /// Pushed, by WATCH.
    Watch,
}

impl Irc {
    /// Knows nothing yet.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Idle,
            is_tls: false,
            is_skipping: false,
            has_skipped: false,
            login: login::Login::new(),
            capabilities: 0,
            nick: String::new(),
            mapping: CaseMapping::Rfc1459,
            away_bytes: AWAY_BYTES,
            away: 0,
            watching: Watching::Ison,
            has_userhost: true,
            watched: Watched::new(),
            ask_from: 0,
            there_from: 0,
            ask_at: None,
            pace: Pace::new(),
            ready_at: None,
            sent: Sent::new(),
            heard_at: Instant::ZERO,
            was_pinged: false,
            version_at: None,
            typing_at: None,
        }
    }

    /// It keeps nothing for who is not there, and hides nobody.
    pub fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Nothing is remembered.
    pub fn restore(&mut self, _bookmark: &str) {}

    /// The configured host: by TLS on port 6697, unless security is off or the port is 6667.
    pub fn target(&self, account: &Account, link: Link) -> Option<Target> {
        if link != Link(0) || account.host.is_empty() {
            return None;
        }
        let port = account.port.map(u16::from);
        let is_tls = match account.security {
            Security::Off => false,
            Security::Usual => port != Some(PORT),
            Security::StartTls | Security::Direct => true,
        };
        let port = port.unwrap_or(if is_tls { TLS_PORT } else { PORT });
        Some(Target::Host { host: account.host.clone(), port, is_tls, domain: account.host.clone() })
    }

    /// Forgets the last connection. Whom to watch is told again; the pace is kept, as servers count it by address.
    pub fn begin(&mut self, _env: &mut Env<'_, '_>) {
        self.phase = Phase::Idle;
        (self.is_skipping, self.has_skipped) = (false, false);
        self.login = login::Login::new();
        self.capabilities = 0;
        self.nick.clear();
        (self.mapping, self.away_bytes, self.away) = (CaseMapping::Rfc1459, AWAY_BYTES, 0);
        (self.watching, self.has_userhost) = (Watching::Ison, true);
        self.watched.clear();
        (self.ask_from, self.there_from, self.ask_at, self.ready_at) = (0, 0, None, None);
        self.sent.clear();
        self.was_pinged = false;
        (self.version_at, self.typing_at) = (None, None);
    }

    /// The link is up: asks what the server can do.
    pub fn connected(&mut self, env: &mut Env<'_, '_>, _link: Link, is_tls: bool) {
        (self.is_tls, self.heard_at) = (is_tls, env.now);
        self.phase = Phase::Asked { until: env.now.plus(CAPABILITIES_MS) };
        env.out.text("CAP LS 302\r\n");
    }

    /// Reads one line, or passes one over.
    pub fn received<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        _link: Link,
        (bytes, is_full): (&[u8], bool),
        scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        if self.has_news() {
            return (0, self.news(scratch));
        }
        if bytes.is_empty() || self.phase == Phase::Idle {
            return (bytes.len(), Step::Nothing);
        }
        if self.is_skipping {
            return (self.skip(bytes), Step::Quiet);
        }
        let (line, taken) = match irc::frame(bytes) {
            Frame::Line(line, taken) => (line, taken),
            Frame::Partial if !is_full => return (0, Step::Nothing),
            Frame::Partial | Frame::TooLong => {
                if !self.has_skipped {
                    log::warn!("account {}: a line is too long and left out: {}", env.account.id, Printable(bytes));
                }
                (self.is_skipping, self.has_skipped) = (true, true);
                return (self.skip(bytes), Step::Quiet);
            }
        };
        (self.heard_at, self.was_pinged) = (env.now, false);
        let Some(line) = Line::parse(line) else { return (taken, Step::Quiet) };
        (taken, self.line(env, &line, scratch))
    }

    /// The connection is gone.
    pub fn closed(&mut self, _env: &mut Env<'_, '_>, _link: Link) -> Option<End> {
        let phase = core::mem::replace(&mut self.phase, Phase::Idle);
        Some(match phase {
            Phase::Leaving { .. } => End::Done,
            Phase::On => End::Retry("the connection was lost"),
            _ => End::Retry("the connection was lost while logging in"),
        })
    }

    /// Tells what there is, asks who is there, and looks after the connection.
    pub fn due<'s>(&mut self, env: &mut Env<'_, '_>, scratch: &'s mut [u8]) -> Step<'s> {
        if self.has_news() {
            return self.news(scratch);
        }
        match self.phase {
            Phase::Asked { until } if until <= env.now => {
                self.introduce(env);
                Step::Quiet
            }
            Phase::Login { until } if until <= env.now => Step::End(End::Retry("the login takes too long")),
            Phase::Leaving { until } if until <= env.now => Step::End(End::Done),
            Phase::On => self.due_online(env),
            _ => Step::Nothing,
        }
    }

    fn due_online<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        if self.alive_until() <= env.now {
            if self.was_pinged {
                return Step::End(End::Retry("the server does not answer"));
            }
            self.was_pinged = true;
            env.out.text("PING :pcsd\r\n");
            return Step::Quiet;
        }
        if self.ready_at.is_some_and(|at| at <= env.now) {
            self.ready_at = None;
            return Step::Quiet;
        }
        if self.ask_at.is_some_and(|at| at <= env.now) {
            self.ask(env);
            return Step::Quiet;
        }
        if self.sent.deadline().is_some_and(|at| at <= env.now) {
            self.sent.settle(env.now);
            return Step::Quiet;
        }
        Step::Nothing
    }

    /// When there is something to do.
    pub fn deadline(&self) -> Option<Instant> {
        if self.has_news() {
            return Some(Instant::ZERO);
        }
        match self.phase {
            Phase::Idle => None,
            Phase::Asked { until } | Phase::Login { until } | Phase::Leaving { until } => Some(until),
            Phase::On => {
                let times = [Some(self.alive_until()), self.ready_at, self.ask_at, self.sent.deadline()];
                times.into_iter().fold(None, earliest)
            }
        }
    }

    /// There is but one link.
    pub fn speaks_on(&self) -> Link {
        Link(0)
    }

    /// Does something, or says why not.
    pub fn command(&mut self, env: &mut Env<'_, '_>, command: &Command<'_>) -> Outcome {
        if self.phase != Phase::On && *command != Command::Quit {
            return Outcome::Later;
        }
        match *command {
            Command::Presence { show, text } => self.show(env, show, text),
            Command::Send { to, text, id, is_automatic } => self.send(env, to, text, id, is_automatic),
            Command::Typing { to, is_on } => self.typing(env, to, is_on),
            Command::Add { who, .. } => self.watch(env, who),
            Command::Remove { who } => self.unwatch(env, who),
            Command::Settled { .. } => Outcome::Done,
            Command::Authorise { .. } => Outcome::Unable("IRC asks nobody who may see whom"),
            Command::Quit => {
                env.out.text("QUIT :bye\r\n");
                self.phase = Phase::Leaving { until: env.now.plus(LEAVING_MS) };
                Outcome::Done
            }
        }
    }

    /// When the connection counts as dead, or is to be tried.
    fn alive_until(&self) -> Instant {
        self.heard_at.plus(if self.was_pinged { SILENCE_MS + PONG_MS } else { SILENCE_MS })
    }

    /// Passes over what belongs to a line that is too long.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.is_skipping = false;
                end + 1
            }
            None => bytes.len(),
        }
    }

    /// Whether something is to be told that no line says at once.
    fn has_news(&self) -> bool {
        self.phase == Phase::On && (self.sent.has_done() || self.watched.has_change())
    }

    /// Tells one of these.
    fn news<'s>(&mut self, scratch: &'s mut [u8]) -> Step<'s> {
        if let Some(id) = self.sent.next_done() {
            return Step::Event(Event::Sent { id });
        }
        let Some(at) = self.watched.next_change() else { return Step::Quiet };
        let show = show_of(self.watched.now(at));
        let who = canonical(self.watched.nick(at).as_bytes(), &mut Scratch(scratch));
        Step::Event(Event::Presence { who, place: place_of(show), show, priority: 0, text: "" })
    }

    /// A hash of a nick, the same for all its spellings.
    fn nick_hash(&self, env: &Env<'_, '_>, nick: &[u8]) -> u32 {
        let mut lower = [0; 64];
        let len = nick.len().min(lower.len());
        lower.iter_mut().zip(nick).for_each(|(lower, byte)| *lower = FOLDING.lower(*byte));
        let mut hash = env.random.hash(Purpose::Table);
        hash.put(&lower[..len]);
        hash.finish() as u32
    }

    /// Whether a nick is ours.
    fn is_me(&self, nick: &[u8]) -> bool {
        self.mapping.is_same(nick, self.nick.as_bytes())
    }
}

impl Default for Irc {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of the scratch: each text takes a piece of it.
struct Scratch<'s>(&'s mut [u8]);

impl<'s> Scratch<'s> {
    /// What `write` writes, as far as it fits; empty when it is not UTF-8.
    fn put(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> &'s str {
        let buffer = core::mem::take(&mut self.0);
        let mut out = Writer::new(buffer);
        write(&mut out);
        let len = out.len();
        let (text, rest) = buffer.split_at_mut(len);
        self.0 = rest;
        core::str::from_utf8(text).unwrap_or_default()
    }
}

/// A nick as it is told.
fn canonical<'s>(nick: &[u8], scratch: &mut Scratch<'s>) -> &'s str {
    let mut lower = [0; irc::LINE_BYTES];
    lower.iter_mut().zip(nick).for_each(|(lower, byte)| *lower = FOLDING.lower(*byte));
    scratch.put(|out| irc::plain(&lower[..nick.len().min(lower.len())], out, irc::LINE_BYTES * 3))
}

/// How somebody is shown.
fn show_of(now: Now) -> Show {
    match now {
        Now::Unknown | Now::Offline => Show::Offline,
        Now::Away => Show::Away,
        Now::Here => Show::Available,
    }
}

/// On IRC everybody is at one place.
fn place_of(show: Show) -> u32 {
    u32::from(show != Show::Offline)
}

/// How nicks are compared in the home ([`crate::config::address`]).
const FOLDING: CaseMapping = CaseMapping::Rfc1459;
/// Bytes of our own nick at most; a server that gives a longer one is left.
const NICK_BYTES: usize = 63;
/// Bytes of an away text, where the server does not say less.
const AWAY_BYTES: u16 = 300;
/// The port for TLS from the first byte.
const TLS_PORT: u16 = 6697;
/// The port without.
const PORT: u16 = 6667;
/// How long a server may take to say its capabilities before it counts as one that has none, ms.
const CAPABILITIES_MS: u64 = 5_000;
/// How long a login may take, ms: servers look up names and ask the other end who it is.
const LOGIN_MS: u64 = 60_000;
/// After so long a silence the server is asked for a sign of life, ms.
const SILENCE_MS: u64 = 90_000;
/// How long it may take for that, ms.
const PONG_MS: u64 = 30_000;
/// How long a server may take to end the connection after our good-bye, ms.
const LEAVING_MS: u64 = 5_000;

/// Entry for fuzzing: `bytes` as a server's, before, in and after the login, whole and byte by byte. Loops are bounded by
/// the bytes: each step takes some, or tells one of the watched or one of the sent texts.
pub fn fuzz(bytes: &[u8]) {
    irc::fuzz(bytes);
    fuzzing::run(bytes);
}

mod fuzzing;
