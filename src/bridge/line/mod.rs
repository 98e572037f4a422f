//! Lines of JSON: how anything that is no network of its own is attached, in either direction, by a script of ten lines.
//!
//! The other end listens, on TCP, on a socket of this machine, or as an HTTP server; the home connects to it. Each line is
//! one object of JSON (RFC 8259) in UTF-8 with a line feed at its end; its member `type` says what it is. Objects of other
//! types and members of other names are passed over, as are empty lines, so each end may say more than the other knows.
//! Addresses are any text of up to 80 bytes; they are compared as they are.
//!
//! # What the home says
//!
//! | object | when |
//! |---|---|
//! | `{"type":"hello","version":1,"account":"bell","address":"...","password":"...","bookmark":"..."}` | first of all; the last three only where there is one |
//! | `{"type":"message","id":7,"to":"door","text":"...","auto":true}` | a text for somebody; `auto` when a program wrote it. The same `id` again, on a later connection, is the same text again |
//! | `{"type":"presence","show":"away","text":"back at 6"}` | how she is: `available`, `busy`, `away`, `xa`, `offline` |
//! | `{"type":"typing","to":"door","on":true}` | she types, or has stopped |
//! | `{"type":"settled","id":"x1","taken":true}` | a message that had an `id` is with her, or kept for her; with `false` it is neither |
//! | `{"type":"add","who":"door","name":"Door"}`, `{"type":"remove","who":"door"}` | for who keeps a list |
//! | `{"type":"authorise","who":"door","allowed":true}` | her answer to a `request` |
//! | `{"type":"ping"}`, `{"type":"pong"}` | each minute after a hello; the answer to `ping` |
//! | `{"type":"error","why":"..."}` | a line was left out |
//! | `{"type":"bye"}` | before the connection is closed in order |
//!
//! # What the home understands
//!
//! | object | what it means |
//! |---|---|
//! | `{"type":"hello","keeps":true,"list":true,"hides":true,"acks":true,"pings":true}` | what it can do; what is left out, it can't. `keeps`: takes texts for who is not there. `list`: keeps a list of contacts. `hides`: shows her offline while texts come in. `acks`: answers each message by `sent` or `failed`. `pings`: answers `ping` |
//! | `{"type":"message","from":"door","text":"..."}` | a text. May have: `id`, a text of up to 36 bytes or a number, by which it is known again when it comes twice; `at`, when it was written, seconds since 1970 or as in RFC 3339; `auto`, a program wrote it; `own` with `to` instead of `from`: she wrote it herself elsewhere |
//! | `{"type":"sent","id":7}`, `{"type":"failed","id":7,"why":"...","final":true}` | what became of a text; without `final` another way or a later time may do |
//! | `{"type":"received","id":7,"read":true}` | it was delivered, or even read |
//! | `{"type":"typing","from":"door","on":true}` | he types, or has stopped |
//! | `{"type":"presence","who":"lamp","show":"available","text":"on"}` | how somebody is; may have `place`, which tells several places apart, and `priority`, -128 to 127 |
//! | `{"type":"contact","who":"lamp","name":"Lamp"}`, `{"type":"gone","who":"lamp"}` | the list; may have `"watched":false` or `"asked":true` |
//! | `{"type":"contacts","step":"begin"}`, `"end"` | around the whole list: what is not in between is gone |
//! | `{"type":"request","who":"door","text":"..."}` | he wants to have her on his list |
//! | `{"type":"notice","text":"..."}` | for her to read |
//! | `{"type":"bookmark","text":"..."}` | up to 64 bytes that the next hello brings back |
//! | `{"type":"ping"}`, `{"type":"pong"}` | is answered by `pong`; nothing |
//! | `{"type":"error","why":"...","stop":true}` | is logged; with `stop` the account stops until its section changes. `why` may be `password` or `elsewhere` |
//! | `{"type":"bye"}` | it goes: the home tries again later |
//!
//! The account is on with the first line, or after a second without any. Without `acks` a text counts as sent when it is
//! written. With `pings` the connection is given up when nothing comes for 90 seconds.
//!
//! A line may be of any length. One that does not fit into the receive window (2 KB at least, 8 KB as a rule) is read in
//! pieces: its `text` has to stand behind `type`, `from` and what else counts, it is cut with ` […]` where the window ends,
//! and what follows it is passed over. Other long members, a picture say, are passed over wherever they stand.
//!
//! # Over HTTP
//!
//! `GET PATH/stream` is answered by 200 and a body that does not end: what the other end says, in chunks or until the
//! connection ends. What the home says goes to `POST PATH/message`, one object each, on a second connection, the next when
//! the last is answered. 2xx: taken, and without `acks` sent. 429 and 5xx: failed for now, with Retry-After heeded; other
//! codes: failed. 401, 403 and redirects stop the account. The password goes as `Authorization: Bearer`, and not in the
//! hello. No `ping` is sent; with `pings` a line, an empty one will do, has to come every 90 seconds.
//!
//! Left out: files, groups, and texts in pieces.

mod draft;
mod fuzz;
mod post;
mod say;
#[cfg(test)]
mod tests;

pub use fuzz::fuzz;

use heapless::{String, Vec};

use super::http::{Client, Piece};
use super::{Abilities, Command, End, Env, Event, Link, Outcome, Step, Stop, Target};
use crate::base::limits::ADDRESS_BYTES;
use crate::base::text::{Printable, Writer};
use crate::base::time::{Instant, earliest};
use crate::config::model::{Account, LineWay, Security};
use crate::wire::json::{Fault, Reader};
use draft::{Draft, Kind, Member};
use post::{ANSWER_MS, Post, Poster, What};

/// Bytes of the name that the other end gives to a message. A message with a longer one counts as one without.
pub const ID_BYTES: usize = 36;
/// Messages with a name that are not settled. More: nothing is read until one is.
pub const UNSETTLED: usize = 8;
/// Texts whose fate is still to be told. More: a text has to wait.
const TOLD: usize = 8;
/// Bytes of what is to be remembered for the other end. More: left out with a log line.
pub const BOOKMARK_BYTES: usize = 64;
/// Bytes of a contact's name. More: cut.
const NAME_BYTES: usize = 64;
/// Bytes of the scratch for names.
const NAMES_BYTES: usize = ADDRESS_BYTES + NAME_BYTES;
/// Without a line for so long it counts as on all the same.
const GREETING_MS: u64 = 1_000;
/// From ping to ping.
const PING_MS: u64 = 60_000;
/// When nothing came for so long from who said that it answers pings, it is gone.
const SILENCE_MS: u64 = PING_MS + 30_000;
/// Lines left out, and errors, that are logged and answered, of one connection.
const FAULTS_LOGGED: u8 = 8;
/// Lines left out that end a connection.
const FAULTS_MAX: u8 = 64;

/// The connector.
pub struct Line {
    stage: Stage,
    is_http: bool,
    /// How the stream's bytes are framed.
    stream: Client,
    reading: Reading,
    reader: Reader,
    draft: Draft,
    abilities: Abilities,
    has_greeted: bool,
    acks: bool,
    pings: bool,
    faults: u8,
    /// Something has changed: commands may be tried again.
    wakes: bool,
    told: Vec<(u32, Told), TOLD, u8>,
    unsettled: Vec<Unsettled, UNSETTLED, u8>,
    last_token: u32,
    bookmark: String<BOOKMARK_BYTES, u8>,
    /// When the stage began.
    since: Instant,
    heard_at: Instant,
    pinged_at: Instant,
    /// The stream is not asked for before.
    not_before: Instant,
    post: Poster,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Down,
    /// The HTTP server wants to be asked later.
    Waiting,
    /// The stream was asked for.
    Asked,
    /// Lines come.
    Open,
    Online,
    Ending(End),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// At the beginning of a line.
    Begin,
    /// Within a line that is longer than the window.
    Within,
    /// In what is passed over.
    Rest,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Sent,
    Broken,
    Busy,
    Refused,
}

/// A message that came in and is not settled.
struct Unsettled {
    token: u32,
    id: draft::Id,
}

impl Line {
    /// One that knows nothing yet.
    pub const fn new() -> Self {
        Self {
            stage: Stage::Down,
            is_http: false,
            stream: Client::bare(),
            reading: Reading::Begin,
            reader: Reader::new(),
            draft: Draft::new(),
            abilities: Abilities { keeps: false, has_list: false, hides: false },
            has_greeted: false,
            acks: false,
            pings: false,
            faults: 0,
            wakes: false,
            told: Vec::new(),
            unsettled: Vec::new(),
            last_token: 0,
            bookmark: String::new(),
            since: Instant::ZERO,
            heard_at: Instant::ZERO,
            pinged_at: Instant::ZERO,
            not_before: Instant::ZERO,
            post: Poster::new(),
        }
    }

    /// What the other end has said that it can do.
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Takes back the last `bookmark`.
    pub fn restore(&mut self, bookmark: &str) {
        self.bookmark = String::try_from(bookmark).unwrap_or_default();
    }

    /// The stream is always wanted, the link for POSTs when there is something to post, and as long as it is there.
    pub fn target(&self, account: &Account, link: Link) -> Option<Target> {
        let is_open = matches!(self.stage, Stage::Open | Stage::Online);
        let has_post = self.post.is_wanted || !matches!(self.post.state, Post::Down | Post::Spent);
        match (account.way, link) {
            (LineWay::Local, Link(0)) => return Some(Target::Local),
            (LineWay::Tcp | LineWay::Http, Link(0)) => {}
            (LineWay::Http, Link(1)) if is_open && has_post => {}
            _ => return None,
        }
        Some(Target::Host {
            host: account.host.clone(),
            port: port(account)?,
            is_tls: account.security == Security::Direct,
            domain: account.host.clone(),
        })
    }

    /// Forgets the last connection, but for what outlasts it: the bookmark, and when to ask again.
    pub fn begin(&mut self, env: &mut Env<'_, '_>) {
        let fresh = Self {
            is_http: env.account.way == LineWay::Http,
            last_token: self.last_token,
            bookmark: core::mem::take(&mut self.bookmark),
            not_before: self.not_before,
            ..Self::new()
        };
        *self = fresh;
    }

    /// Greets, or asks for the stream.
    pub fn connected(&mut self, env: &mut Env<'_, '_>, link: Link, _is_tls: bool) {
        if link == Link(0) {
            (self.since, self.heard_at, self.pinged_at) = (env.now, env.now, env.now);
            if !self.is_http {
                self.stage = Stage::Open;
                say::hello(env.account, &self.bookmark, true, env.out);
                env.out.text("\n");
            } else if env.now < self.not_before {
                self.stage = Stage::Waiting;
            } else {
                self.ask(env);
            }
        } else if self.is_http {
            self.post.connected();
            self.wakes = true;
            if !self.post.has_greeted {
                self.post.has_greeted = true;
                let bookmark = self.bookmark.clone();
                self.post(env, What::State, |account, out| say::hello(account, &bookmark, false, out));
            }
        }
    }

    /// Reads lines from the stream, and answers to POSTs.
    pub fn received<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        link: Link,
        (bytes, is_full): (&[u8], bool),
        scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        if link != Link(0) {
            return self.answered(env, bytes, is_full);
        }
        self.heard_at = env.now;
        match self.stage {
            Stage::Asked => self.stream_head(env, bytes, is_full),
            Stage::Online if self.is_waiting() => (0, Step::Nothing),
            Stage::Open | Stage::Online => self.lines(env, bytes, is_full, scratch),
            Stage::Down | Stage::Waiting | Stage::Ending(_) => (bytes.len(), Step::Nothing),
        }
    }

    /// Without the stream there is nothing left; without the link for POSTs, that a text has not arrived.
    pub fn closed(&mut self, env: &mut Env<'_, '_>, link: Link) -> Option<End> {
        if link != Link(0) {
            self.post_failed(env.now, Told::Broken, None);
            self.post.state = Post::Down;
            return None;
        }
        match core::mem::replace(&mut self.stage, Stage::Down) {
            Stage::Ending(end) => Some(end),
            _ => Some(End::Retry("the connection was closed")),
        }
    }

    /// Tells what became of texts, pings, and gives up what does not answer.
    pub fn due<'s>(&mut self, env: &mut Env<'_, '_>, _scratch: &'s mut [u8]) -> Step<'s> {
        if let Some((id, told)) = self.told.first().copied() {
            self.told.remove(0);
            return Step::Event(told.event(id));
        }
        let now = env.now;
        match self.stage {
            Stage::Ending(end) => return Step::End(end),
            Stage::Down => return Step::Nothing,
            Stage::Waiting if now >= self.not_before => {
                self.ask(env);
                return Step::Quiet;
            }
            Stage::Waiting => return Step::Nothing,
            Stage::Asked if now >= self.since.plus(ANSWER_MS) => return self.end(End::Retry("no answer")),
            Stage::Asked => return Step::Nothing,
            Stage::Open if now >= self.since.plus(GREETING_MS) => return self.come_online(),
            Stage::Open | Stage::Online => {}
        }
        if self.pings && now >= self.heard_at.plus(SILENCE_MS) {
            return self.end(End::Retry("nothing comes any more"));
        }
        if self.is_pinging() && now >= self.pinged_at.plus(PING_MS) {
            self.pinged_at = now;
            env.out.text("{\"type\":\"ping\"}\n");
            return Step::Quiet;
        }
        self.post_due(now)
    }

    /// The next moment that something is to be told or done.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.told.is_empty() || self.wakes || self.post.state == Post::Spent {
            return Some(Instant::ZERO);
        }
        let stage = match self.stage {
            Stage::Down => return None,
            Stage::Ending(_) => return Some(Instant::ZERO),
            Stage::Waiting => return Some(self.not_before),
            Stage::Asked => return Some(self.since.plus(ANSWER_MS)),
            Stage::Open => Some(self.since.plus(GREETING_MS)),
            Stage::Online => None,
        };
        let silence = self.pings.then(|| self.heard_at.plus(SILENCE_MS));
        let ping = self.is_pinging().then(|| self.pinged_at.plus(PING_MS));
        [silence, ping, self.post.deadline(self.is_http)].into_iter().fold(stage, earliest)
    }

    /// The link for POSTs while it is there. Until then nothing is said, but commands are heard, to know that it is wanted.
    pub fn speaks_on(&self) -> Link {
        if self.is_http && self.post.state != Post::Down { Link(1) } else { Link(0) }
    }

    /// Says what is to be done, or that it can't be said now.
    pub fn command(&mut self, env: &mut Env<'_, '_>, command: &Command<'_>) -> Outcome {
        if *command == Command::Quit {
            if self.stage == Stage::Online {
                let _ = self.say(env, What::Trifle, |_, out| say::command(command, out));
            }
            self.stage = Stage::Ending(End::Done);
            return Outcome::Done;
        }
        if self.stage != Stage::Online {
            return Outcome::Later;
        }
        match *command {
            Command::Send { id, .. } => {
                // What is written counts as sent, for who does not say so himself.
                let counts = !self.acks && !self.is_http;
                if self.told.is_full() {
                    return Outcome::Later;
                }
                let outcome = self.say(env, What::Text(id), |_, out| say::command(command, out));
                if counts && outcome == Outcome::Done {
                    self.tell(id, Told::Sent);
                }
                outcome
            }
            Command::Settled { token, is_taken } => {
                let Some(index) = self.unsettled.iter().position(|known| known.token == token) else {
                    return Outcome::Done;
                };
                let id = self.unsettled[index].id.clone();
                let outcome = self.say(env, What::Trifle, |_, out| say::settled(&id, is_taken, out));
                if outcome == Outcome::Done {
                    self.unsettled.remove(index);
                }
                outcome
            }
            Command::Add { .. } | Command::Remove { .. } if !self.abilities.has_list => {
                Outcome::Unable("the other end keeps no list")
            }
            Command::Typing { .. } => self.say(env, What::Trifle, |_, out| say::command(command, out)),
            _ => self.say(env, What::State, |_, out| say::command(command, out)),
        }
    }

    /// Says one object: on the stream, or by a POST.
    fn say(&mut self, env: &mut Env<'_, '_>, what: What, write: impl FnOnce(&Account, &mut Writer<'_>)) -> Outcome {
        if !self.is_http {
            write(env.account, env.out);
            env.out.text("\n");
            return Outcome::Done;
        }
        match self.post.state {
            Post::Idle if env.now >= self.post.not_before => {
                self.post(env, what, write);
                Outcome::Done
            }
            Post::Down if env.now >= self.post.not_before => {
                self.wakes |= !self.post.is_wanted;
                self.post.is_wanted = true;
                Outcome::Later
            }
            _ => Outcome::Later,
        }
    }

    fn tell(&mut self, id: u32, told: Told) {
        // There is room: a text is only taken when there is, and but one is on its way at a time.
        let _ = self.told.push((id, told));
    }

    fn come_online<'s>(&mut self) -> Step<'s> {
        self.stage = Stage::Online;
        self.wakes = true;
        Step::Event(Event::Online { is_resumed: false })
    }

    fn end<'s>(&mut self, end: End) -> Step<'s> {
        self.stage = Stage::Ending(end);
        Step::End(end)
    }

    /// Whether a message has to be settled before more is read.
    fn is_waiting(&self) -> bool {
        self.unsettled.is_full()
    }

    fn is_pinging(&self) -> bool {
        self.has_greeted && !self.is_http
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

/// What comes in on the stream.
impl Line {
    fn lines<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        bytes: &[u8],
        is_full: bool,
        scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        let (names, line) = scratch.split_at_mut(NAMES_BYTES.min(scratch.len()));
        let mut got = Gathered::new(self.stream, bytes, line, usize::MAX);
        let is_full = is_full || got.len == line.len();
        let step = match got.end {
            _ if self.reading == Reading::Rest && got.taken > 0 => {
                if got.end == Ended::Line {
                    self.reading = Reading::Begin;
                }
                Step::Quiet
            }
            Ended::Line => match self.line(&line[..got.len]) {
                None => return (0, self.come_online()),
                Some(Ok(text)) => self.event(env, names, &mut line[text.0], text.1),
                Some(Err(fault)) => self.left_out(env, fault),
            },
            Ended::Dry if !is_full => return (0, Step::Nothing),
            Ended::Dry if self.stage != Stage::Online => return (0, self.come_online()),
            Ended::Dry => match self.part(&line[..got.len]) {
                Ok(Part::Read(0)) | Err(_) if got.len == 0 => {
                    return (bytes.len(), self.end(End::Retry("that is no stream")));
                }
                Ok(Part::Read(len)) => {
                    got = Gathered::new(self.stream, bytes, line, len);
                    Step::Quiet
                }
                Ok(Part::Made(text)) => self.event(env, names, &mut line[text.0], text.1),
                Err(fault) => self.left_out(env, fault),
            },
            Ended::Over => self.end(End::Retry("the stream has ended")),
            Ended::Broken(why) => self.end(End::Retry(why)),
        };
        self.stream = got.client;
        (got.taken, step)
    }

    /// Reads a line, or the rest of one: where its text is, and whether that is cut. `None`: it is not to be read before the
    /// account counts as on.
    fn line(&mut self, line: &[u8]) -> Option<Result<Text, Fault>> {
        if self.reading == Reading::Begin {
            (self.reader, self.draft) = (Reader::new(), Draft::new());
            if line.trim_ascii().is_empty() {
                self.draft.kind = Kind::Other;
                return Some(Ok((0..0, false)));
            }
        }
        self.reading = Reading::Begin;
        let taken = match self.draft.read(&mut self.reader, line, false) {
            Ok(taken) => taken,
            Err(fault) => return Some(Err(fault)),
        };
        if self.stage == Stage::Open && !matches!(self.draft.kind, Kind::Hello | Kind::Error | Kind::Bye) {
            return None;
        }
        Some(if self.reader.is_done() { Ok(taken.text()) } else { Err(Fault("it is cut")) })
    }

    /// Reads what is there of a line that is longer than the window.
    fn part(&mut self, line: &[u8]) -> Result<Part, Fault> {
        if self.reading == Reading::Begin {
            (self.reader, self.draft) = (Reader::new(), Draft::new());
        }
        // Should it be none, the rest of it is passed over.
        self.reading = Reading::Rest;
        let taken = self.draft.read(&mut self.reader, line, true)?;
        if taken.text.is_some() || self.reader.is_done() {
            return Ok(Part::Made(taken.text()));
        }
        if taken.len == 0 {
            return Err(Fault("it does not fit"));
        }
        self.reading = Reading::Within;
        Ok(Part::Read(taken.len))
    }

    /// What a line that was read means. `text` is where its text lies as it is written.
    fn event<'s>(&mut self, env: &mut Env<'_, '_>, names: &'s mut [u8], text: &'s mut [u8], is_cut: bool) -> Step<'s> {
        let text = draft::decode(text, is_cut);
        let draft = &self.draft;
        if let Some(event) = draft.event(env, names, text) {
            return match event {
                Ok(Event::Message(message)) => Step::Event(Event::Message(self.with_token(message))),
                Ok(Event::Bookmark(text)) => match String::try_from(text) {
                    Ok(bookmark) => {
                        self.bookmark = bookmark;
                        Step::Event(Event::Bookmark(text))
                    }
                    Err(_) => self.left_out(env, Fault("the bookmark is too long")),
                },
                Ok(event) => Step::Event(event),
                Err(fault) => self.left_out(env, fault),
            };
        }
        match draft.kind {
            Kind::Hello => {
                let can = |member| draft.says(member, false);
                self.abilities =
                    Abilities { keeps: can(Member::Keeps), has_list: can(Member::List), hides: can(Member::Hides) };
                (self.acks, self.pings, self.has_greeted) = (can(Member::Acks), can(Member::Pings), true);
                if self.stage == Stage::Open { self.come_online() } else { Step::Quiet }
            }
            Kind::Ping => {
                if !self.is_http {
                    env.out.text("{\"type\":\"pong\"}\n");
                }
                Step::Quiet
            }
            Kind::Error => self.error(env, text),
            Kind::Bye => self.end(End::Retry("the other end said goodbye")),
            _ => Step::Quiet,
        }
    }

    /// Has the other end be told when a message is settled.
    fn with_token<'s>(&mut self, mut message: super::Incoming<'s>) -> super::Incoming<'s> {
        if self.draft.id.is_empty() {
            return message;
        }
        self.last_token = self.last_token.checked_add(1).unwrap_or(1);
        message.token = self.last_token;
        // There is room: else the line would not have been read.
        let _ = self.unsettled.push(Unsettled { token: message.token, id: self.draft.id.clone() });
        message
    }

    fn error<'s>(&mut self, env: &Env<'_, '_>, why: &str) -> Step<'s> {
        self.faults = self.faults.saturating_add(1);
        if self.faults <= FAULTS_LOGGED {
            log::warn!("account {}: the other end says: {}", env.account.id, Printable(why.as_bytes()));
        }
        if !self.draft.says(Member::Stop, false) {
            return Step::Quiet;
        }
        self.end(End::Stop(match why {
            "password" => Stop::Password,
            "elsewhere" => Stop::Elsewhere,
            _ => Stop::Refused("the other end wants no more of it"),
        }))
    }

    /// A line was left out.
    fn left_out<'s>(&mut self, env: &mut Env<'_, '_>, Fault(why): Fault) -> Step<'s> {
        self.faults = self.faults.saturating_add(1);
        if self.faults >= FAULTS_MAX {
            return self.end(End::Retry("too many lines that can't be read"));
        }
        if self.faults <= FAULTS_LOGGED {
            log::warn!("account {}: a line is left out: {why}", env.account.id);
            if !self.is_http {
                say::error(why, env.out);
                env.out.text("\n");
            }
        }
        Step::Quiet
    }
}

impl Told {
    const fn event(self, id: u32) -> Event<'static> {
        let (why, is_final) = match self {
            Self::Sent => return Event::Sent { id },
            Self::Broken => ("the connection broke", false),
            Self::Busy => ("the server takes nothing now", false),
            Self::Refused => ("the server refused it", true),
        };
        Event::Failed { id, why, is_final }
    }
}

/// Where a text lies in what was read, as it is written, and whether it is cut.
type Text = (core::ops::Range<usize>, bool);

/// What came of a part of a line.
enum Part {
    /// So many bytes were read, and nothing came of it yet.
    Read(usize),
    /// All that counts is known. What follows in the line is passed over.
    Made(Text),
}

/// What of a body is in the window: up to a line end, or as far as it goes.
struct Gathered {
    /// What frames it, behind what was taken.
    client: Client,
    taken: usize,
    len: usize,
    end: Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Line,
    Dry,
    Over,
    Broken(&'static str),
}

impl Gathered {
    /// Copies a line from the front of the window to `out`, without its end, and without what frames the body; at most
    /// `limit` bytes, and what fits.
    fn new(mut client: Client, bytes: &[u8], out: &mut [u8], limit: usize) -> Self {
        let (mut taken, mut len, limit) = (0, 0, limit.min(out.len()));
        let end = loop {
            let before = client;
            let (read, piece) = client.received(&bytes[taken..], false);
            match piece {
                Piece::Body(range) => {
                    let body = &bytes[taken + range.start..taken + range.end];
                    let line_end = memchr::memchr(b'\n', body).filter(|at| len + at <= limit);
                    let fits = line_end.unwrap_or(body.len()).min(limit - len);
                    out[len..len + fits].copy_from_slice(&body[..fits]);
                    len += fits;
                    let wanted = fits + usize::from(line_end.is_some());
                    if wanted < body.len() {
                        // Only so far: the frame is to know no more.
                        client = before;
                        let (read, _) = client.received(&bytes[taken..taken + range.start + wanted], false);
                        taken += read;
                    } else {
                        taken += read;
                    }
                    if line_end.is_some() || wanted < body.len() {
                        break if line_end.is_some() { Ended::Line } else { Ended::Dry };
                    }
                }
                Piece::Nothing => {
                    taken += read;
                    break Ended::Dry;
                }
                Piece::Head(_) => taken += read,
                Piece::End => break Ended::Over,
                Piece::Broken(why) => break Ended::Broken(why),
            }
        };
        Self { client, taken, len, end }
    }
}

/// The port of the other end; of HTTP there is a usual one.
fn port(account: &Account) -> Option<u16> {
    match (account.port, account.way) {
        (Some(port), _) => Some(port.get()),
        (None, LineWay::Http) => Some(usual_port(account)),
        (None, _) => None,
    }
}

fn usual_port(account: &Account) -> u16 {
    if account.security == Security::Direct { 443 } else { 80 }
}
