//! What is sent on a connection that is on: texts, away, typing, and the questions who is there.

use super::outgoing::{Cut, LINE_MS, Stage, Text, measure, pieces, write_piece};
use super::*;

impl Irc {
    /// A text: PRIVMSG, or NOTICE of what a program has written, which no program answers (RFC 2812 §3.3.2).
    pub(super) fn send(&mut self, env: &mut Env<'_, '_>, to: &str, text: &str, id: u32, is_automatic: bool) -> Outcome {
        if !is_nick(to.as_bytes()) || to.len() > NICK_BYTES {
            return Outcome::Unable("this is no nick");
        }
        let to = &self.spelling(to);
        let room = self.room(to);
        let (cut, lines) = measure(text, room);
        if lines == 0 {
            return Outcome::Unable("the text is blank");
        }
        let ready_at = self.pace.ready_at(lines);
        if ready_at > env.now {
            self.ready_at = earliest(self.ready_at.filter(|at| *at > env.now), Some(ready_at));
            return Outcome::Later;
        }
        if !self.sent.has_room() {
            return Outcome::Later;
        }
        let mut line = 0;
        for piece in pieces(text, cut, room) {
            line = self.send_line(env, to, piece, is_automatic, cut);
        }
        self.pace.spend(env.now, lines);
        let stage = if self.capabilities & login::ECHO_MESSAGE != 0 { Stage::Echo } else { Stage::Wait };
        self.sent.push(Text { id, to: self.nick_hash(env, to.as_bytes()), line, at: env.now, stage });
        Outcome::Done
    }

    /// One line of a text; a hash of it.
    fn send_line(&self, env: &mut Env<'_, '_>, to: &str, piece: &str, is_automatic: bool, cut: Cut) -> u32 {
        env.out.text(if is_automatic { "NOTICE " } else { "PRIVMSG " });
        env.out.text(to);
        env.out.text(" :");
        let begin = env.out.len();
        match piece.strip_prefix("/me ").filter(|_| cut == Cut::Lines && !is_automatic) {
            Some(action) => {
                env.out.text("\x01ACTION ");
                write_piece(action, env.out);
                env.out.text("\x01");
            }
            None => write_piece(piece, env.out),
        }
        let line = line_hash(env, env.out.written().get(begin..).unwrap_or_default());
        env.out.text("\r\n");
        line
    }

    /// A nick as it is to be written here.
    fn spelling(&self, nick: &str) -> String<NICK_BYTES> {
        let known = self.watched.find(FOLDING, nick.as_bytes()).map_or(nick, |at| self.watched.nick(at));
        String::try_from(known).unwrap_or_default()
    }

    /// Bytes of a text that a line to somebody has room for when the server relays it with our whole name.
    fn room(&self, to: &str) -> usize {
        let around = self.nick.len() + to.len() + AROUND_BYTES;
        TEXT_LINE_BYTES.min(irc::LINE_BYTES.saturating_sub(around))
    }

    /// Her presence: away with a text, or not. Only what is new is sent.
    pub(super) fn show(&mut self, env: &mut Env<'_, '_>, show: Show, text: &str) -> Outcome {
        let text = match (show, text.trim()) {
            (Show::Available, _) => "",
            (Show::Busy, "") => "busy",
            (Show::Offline, "") => "not here",
            (_, "") => "away",
            (_, text) => text,
        };
        let text = &text[..text.floor_char_boundary(text.len().min(self.away_bytes.into()))];
        let away = match text {
            "" => 0,
            _ => u64::from(line_hash(env, text.as_bytes())) + 1,
        };
        if away != self.away {
            self.away = away;
            env.out.text(if text.is_empty() { "AWAY" } else { "AWAY :" });
            text.chars().for_each(|c| _ = env.out.write_char(if c.is_control() { ' ' } else { c }));
            env.out.text("\r\n");
            self.pace.spend(env.now, 1);
        }
        Outcome::Done
    }

    /// She types, where the server carries that: not more often than each three seconds (IRCv3 `+typing`), and never at
    /// the cost of a text.
    pub(super) fn typing(&mut self, env: &mut Env<'_, '_>, to: &str, is_on: bool) -> Outcome {
        let is_early = is_on && self.typing_at.is_some_and(|at| env.now.since(at) < TYPING_MS);
        let can = self.capabilities & login::MESSAGE_TAGS != 0 && is_nick(to.as_bytes()) && to.len() <= NICK_BYTES;
        if can && !is_early && self.pace.ready_at(3) <= env.now {
            env.out.text(if is_on { "@+typing=active TAGMSG " } else { "@+typing=done TAGMSG " });
            env.out.text(&self.spelling(to));
            env.out.text("\r\n");
            self.pace.spend(env.now, 1);
            self.typing_at = Some(env.now);
        }
        Outcome::Done
    }

    /// Watches a nick. The server is told of all new ones together, a moment later.
    pub(super) fn watch(&mut self, env: &mut Env<'_, '_>, who: &str) -> Outcome {
        if !is_nick(who.as_bytes()) {
            return Outcome::Unable("this is no nick");
        }
        if !self.watched.add(FOLDING, who) {
            log::warn!("account {}: there is no room to watch {}", env.account.id, Printable(who.as_bytes()));
            return Outcome::Unable("too many nicks are watched");
        }
        self.ask_at = earliest(self.ask_at, Some(env.now.plus(GATHER_MS)));
        Outcome::Done
    }

    /// Watches a nick no longer.
    pub(super) fn unwatch(&mut self, env: &mut Env<'_, '_>, who: &str) -> Outcome {
        let who = &self.spelling(who);
        if self.watched.remove(FOLDING, who.as_bytes()) {
            // Entries have moved: a question that is not answered yet is asked anew.
            (self.ask_from, self.there_from) = (0, 0);
            let verb = match self.watching {
                Watching::Ison => return Outcome::Done,
                Watching::Monitor => "MONITOR - ",
                Watching::Watch => "WATCH -",
            };
            env.out.text(verb);
            env.out.text(who);
            env.out.text("\r\n");
            self.pace.spend(env.now, 1);
        }
        Outcome::Done
    }

    /// Tells the server whom to watch, or asks who is there; and who of them is away.
    pub(super) fn ask(&mut self, env: &mut Env<'_, '_>) {
        let mut lines = 0;
        let is_pushed = self.watching != Watching::Ison;
        if is_pushed && self.watched.has_fresh() {
            self.tell_fresh(env);
            lines += 1;
        } else if !is_pushed {
            let begin = env.out.len();
            env.out.text("ISON");
            let out = &mut *env.out;
            let mut count = 0;
            let next = self.watched.ask(self.ask_from, QUESTION_BYTES, |nick| {
                out.text(" ");
                out.text(nick);
                count += 1;
            });
            self.ask_from = next.unwrap_or(0);
            if count > 0 {
                env.out.text("\r\n");
                lines += 1;
            } else {
                env.out.truncate(begin);
            }
        }
        let is_round = self.ask_from == 0 && !(is_pushed && self.watched.has_fresh());
        if is_round && self.has_userhost && self.capabilities & login::EXTENDED_MONITOR == 0 {
            lines += usize::from(self.ask_away(env));
        }
        self.pace.spend(env.now, lines);
        let pause_ms = if is_round { ROUND_MS } else { LINE_MS };
        self.ask_at = (!self.watched.is_empty()).then_some(env.now.plus(pause_ms));
    }

    fn tell_fresh(&mut self, env: &mut Env<'_, '_>) {
        let (verb, between) = match self.watching {
            Watching::Watch => ("WATCH +", " +"),
            _ => ("MONITOR + ", ","),
        };
        env.out.text(verb);
        let out = &mut *env.out;
        let mut is_first = true;
        self.watched.take_fresh(QUESTION_BYTES, |nick| {
            out.text(if is_first { "" } else { between });
            is_first = false;
            out.text(nick);
        });
        env.out.text("\r\n");
    }

    /// Asks who of the next five who are there is away; whether there is anybody.
    fn ask_away(&mut self, env: &mut Env<'_, '_>) -> bool {
        let begin = env.out.len();
        env.out.text("USERHOST");
        let out = &mut *env.out;
        let mut count = 0;
        let next = self.watched.there(self.there_from, USERHOST_NICKS, |nick| {
            out.text(" ");
            out.text(nick);
            count += 1;
        });
        self.there_from = next.unwrap_or(0);
        if count > 0 {
            env.out.text("\r\n");
        } else {
            env.out.truncate(begin);
        }
        count > 0
    }

    /// Asks for the text of somebody who is away.
    pub(super) fn ask_text(&mut self, env: &mut Env<'_, '_>, nick: &[u8]) {
        if !self.sent.has_room() {
            // He is asked for again in a minute.
            return;
        }
        let to = self.nick_hash(env, nick);
        self.sent.push(Text { id: 0, to, line: 0, at: env.now, stage: Stage::Asked });
        env.out.text("WHOIS ");
        env.out.put(nick);
        env.out.text("\r\n");
        self.pace.spend(env.now, 1);
    }
}

/// A hash of a line as it was sent.
pub(super) fn line_hash(env: &Env<'_, '_>, line: &[u8]) -> u32 {
    let mut hash = env.random.hash(Purpose::Table);
    hash.put(line);
    hash.finish() as u32
}

/// Bytes of a text in a line at most.
const TEXT_LINE_BYTES: usize = 400;
/// What a server puts around a text beside both nicks: `:`, `!`, a user of 11 bytes, `@`, a host of 63, ` PRIVMSG `, ` :` and
/// the end; and five bytes by which an ACTION is longer than `/me`.
const AROUND_BYTES: usize = 1 + 1 + 11 + 1 + 63 + 9 + 2 + 2 + 5;
/// Bytes of nicks in one question.
const QUESTION_BYTES: usize = 400;
/// Nicks that USERHOST takes (RFC 2812 §4.8).
pub(super) const USERHOST_NICKS: usize = 5;
/// How long further nicks are waited for before the server is told, ms.
pub(super) const GATHER_MS: u64 = 300;
/// Time from one round of questions to the next, ms.
pub(super) const ROUND_MS: u64 = 60_000;
/// Time between two signs of typing, ms.
const TYPING_MS: u64 = 3_000;
