//! What servers and people say: one line, and what comes of it.

use super::sending::line_hash;
use super::*;
use crate::bridge::Incoming;
use crate::wire::sip::date::parse_internet;

impl Irc {
    /// Reads one line.
    pub(super) fn line<'s>(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>, scratch: &'s mut [u8]) -> Step<'s> {
        let scratch = Scratch(scratch);
        if let Some(number) = line.numeric() {
            return match self.login_reply(env, line, number) {
                Some(step) => step,
                None => self.reply(env, line, number, scratch),
            };
        }
        match line.command {
            b"PING" => {
                env.out.text("PONG :");
                env.out.put(line.last());
                env.out.text("\r\n");
            }
            b"CAP" => return self.capability(env, line),
            b"AUTHENTICATE" => return self.authenticate(env, line),
            b"ERROR" => return self.error(env, line),
            b"KILL" if self.is_me(line.param(0)) => return Step::End(End::Retry("the server has put us out")),
            b"NICK" => return self.renamed(line),
            b"PRIVMSG" | b"NOTICE" if line.is_of_user() => return self.message(env, line, scratch),
            b"NOTICE" => log::debug!("account {}: {}", env.account.id, Printable(line.last())),
            b"TAGMSG" => return self.tag_message(line, scratch),
            b"AWAY" if line.is_of_user() => {
                let (now, text) =
                    if line.params().is_empty() { (Now::Here, &b""[..]) } else { (Now::Away, line.last()) };
                return self.presence(line.nick(), now, text, scratch);
            }
            b"QUIT" if line.is_of_user() => self.note(line.nick(), Now::Offline),
            _ => {}
        }
        Step::Quiet
    }

    /// A numeric reply on a connection that is on.
    fn reply<'s>(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>, number: u16, scratch: Scratch<'s>) -> Step<'s> {
        match number {
            5 => line.params().iter().skip(1).for_each(|token| self.supported(token)),
            301 => return self.presence(line.param(1), Now::Away, line.last(), scratch),
            318 => {
                let to = self.nick_hash(env, line.param(1));
                self.sent.answered(to);
            }
            302 => self.userhosts(env, line),
            303 => self.ison(env, line),
            401 | 404 | 407 | 439 | 477 | 486 | 492 | 531 | 707 | 716 => {
                if number == 401 {
                    self.note(line.param(1), Now::Offline);
                }
                let to = self.nick_hash(env, line.param(1));
                if let Some(id) = self.sent.refused(to) {
                    let why = if number == 401 {
                        "nobody has this nick now"
                    } else {
                        "the server does not let this text through"
                    };
                    return Step::Event(Event::Failed { id, why, is_final: false });
                }
            }
            421 => self.unknown(env, line.param(1)),
            // Lists are full: of WATCH, of MONITOR.
            512 | 734 => {
                log::warn!("account {}: the server watches no more nicks: they are asked for", env.account.id);
                self.poll(env);
            }
            597 | 599 | 600 | 604 => self.note(line.param(1), Now::Here),
            601 | 605 => self.note(line.param(1), Now::Offline),
            598 | 609 => return self.presence(line.param(1), Now::Away, line.last(), scratch),
            730 | 731 => {
                let now = if number == 730 { Now::Here } else { Now::Offline };
                line.last().split(|byte| *byte == b',').for_each(|who| self.note(irc::nick_of(who), now));
            }
            _ => {}
        }
        Step::Quiet
    }

    /// A text from somebody, or one of ours that the server repeats.
    fn message<'s>(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>, mut scratch: Scratch<'s>) -> Step<'s> {
        let (from, to, text) = (line.nick(), line.param(0), line.param(1));
        let is_own = self.is_me(from);
        let is_notice = line.command == b"NOTICE";
        if is_own {
            if self.sent.echoed(self.nick_hash(env, to), line_hash(env, text)) || !is_nick(to) {
                return Step::Quiet;
            }
        } else if !self.is_me(to) {
            return Step::Quiet;
        }
        let (action, text) = match ctcp(text) {
            None => ("", text),
            Some(("ACTION", text)) => ("/me ", text),
            Some((verb, _)) => {
                if verb == "VERSION" && !is_notice && !is_own {
                    self.version(env, from);
                }
                return Step::Quiet;
            }
        };
        let who = canonical(if is_own { to } else { from }, &mut scratch);
        let text = scratch.put(|out| {
            out.text(action);
            irc::plain(text, out, TEXT_BYTES);
        });
        if text.trim().is_empty() || who.is_empty() {
            return Step::Quiet;
        }
        if !is_own {
            self.spelled(env, from);
        }
        if !is_own && !is_notice {
            // Who writes is back; where that is pushed, it would have been.
            if self.capabilities & login::EXTENDED_MONITOR == 0 {
                self.note(from, Now::Here);
            }
        }
        let name = match line.tag(b"msgid") {
            Some(id) if !id.is_empty() => {
                let mut hash = env.random.hash(Purpose::Journal);
                hash.put(id);
                hash.finish().max(1)
            }
            _ => 0,
        };
        let at = line.tag(b"time").and_then(parse_internet);
        let is_old = |at: &crate::base::time::UnixTime| env.time.is_some_and(|now| now.0.saturating_sub(at.0) > OLD_S);
        let at = at.filter(is_old);
        Step::Event(Event::Message(Incoming {
            who,
            is_own,
            text,
            name,
            token: 0,
            at,
            may_answer: !is_notice && !is_own,
        }))
    }

    /// Says what we are, to one who asks, but not to a crowd.
    fn version(&mut self, env: &mut Env<'_, '_>, to: &[u8]) {
        if is_nick(to) && self.version_at.is_none_or(|at| env.now.since(at) >= VERSION_MS) {
            self.version_at = Some(env.now);
            env.out.text("NOTICE ");
            env.out.put(to);
            env.out.text(concat!(" :\x01VERSION pcsd ", env!("CARGO_PKG_VERSION"), "\x01\r\n"));
            self.pace.spend(env.now, 1);
        }
    }

    /// Somebody types, or not (IRCv3 `+typing`).
    fn tag_message<'s>(&mut self, line: &Line<'_>, mut scratch: Scratch<'s>) -> Step<'s> {
        let is_on = match line.tag(b"+typing") {
            Some(b"active") => true,
            Some(b"paused" | b"done") => false,
            _ => return Step::Quiet,
        };
        if !line.is_of_user() || self.is_me(line.nick()) || !self.is_me(line.param(0)) {
            return Step::Quiet;
        }
        Step::Event(Event::Typing { who: canonical(line.nick(), &mut scratch), is_on })
    }

    /// Somebody writes whose nick the home may know in another spelling, which is somebody else's here.
    fn spelled(&mut self, env: &Env<'_, '_>, nick: &[u8]) {
        if let Some(at) = self.watched.find(FOLDING, nick)
            && !self.mapping.is_same(self.watched.nick(at).as_bytes(), nick)
        {
            self.watched.respell(at, nick);
            self.ask_at = earliest(self.ask_at, Some(env.now.plus(sending::GATHER_MS)));
        }
    }

    /// Somebody has another nick: we, or one we watch.
    fn renamed(&mut self, line: &Line<'_>) -> Step<'static> {
        let (old, new) = (line.nick(), line.param(0));
        if self.is_me(old) {
            if !self.take_nick(new) {
                return Step::End(End::Retry("the server gives a nick that is too long"));
            }
        } else if line.is_of_user() && !self.mapping.is_same(old, new) {
            self.note(old, Now::Offline);
            self.note(new, Now::Here);
        }
        Step::Quiet
    }

    /// A token of RPL_ISUPPORT.
    fn supported(&mut self, token: &[u8]) {
        let (name, value) = match memchr::memchr(b'=', token) {
            Some(at) => (&token[..at], &token[at + 1..]),
            None => (token, &b""[..]),
        };
        match name {
            b"CASEMAPPING" => self.mapping = CaseMapping::of_name(value),
            b"AWAYLEN" => {
                let number = core::str::from_utf8(value).ok().and_then(|value| value.parse::<u16>().ok());
                self.away_bytes = number.filter(|bytes| *bytes > 0).unwrap_or(AWAY_BYTES).min(AWAY_BYTES);
            }
            b"MONITOR" => self.watching = Watching::Monitor,
            b"WATCH" if self.watching == Watching::Ison => self.watching = Watching::Watch,
            _ => {}
        }
    }

    /// Who of those we asked for is there: the next are asked for, or all again a minute later.
    fn ison(&mut self, env: &Env<'_, '_>, line: &Line<'_>) {
        for nick in line.last().split(|byte| *byte == b' ') {
            if let Some(at) = self.watched.find(self.mapping, nick) {
                self.watched.see(at);
            }
        }
        self.watched.asked();
        // Who is there now is asked how he is before the next round.
        if self.ask_from == 0 && self.there_from == 0 && self.watched.has_change() && self.has_userhost {
            self.ask_at = earliest(self.ask_at, Some(env.now.plus(sending::ROUND_MS / 4)));
        }
    }

    /// Who is away: `nick*=-user@host`, and `+` where he is not (RFC 2812 §5.1, RPL_USERHOST).
    fn userhosts(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>) {
        for reply in line.last().split(|byte| *byte == b' ').take(sending::USERHOST_NICKS) {
            let Some(equals) = memchr::memchr(b'=', reply) else { continue };
            let nick = reply[..equals].strip_suffix(b"*").unwrap_or(&reply[..equals]);
            let Some(at) = self.watched.find(self.mapping, nick) else { continue };
            match reply.get(equals + 1) {
                Some(b'+') => self.watched.set(at, Now::Here),
                // The answer to this brings his text.
                Some(b'-') if self.watched.now(at) != Now::Away => self.ask_text(env, nick),
                _ => {}
            }
        }
    }

    /// The server does not know what we asked.
    fn unknown(&mut self, env: &Env<'_, '_>, command: &[u8]) {
        match command {
            b"MONITOR" | b"WATCH" => self.poll(env),
            b"USERHOST" => self.has_userhost = false,
            _ => {}
        }
    }

    /// From now on the server is asked who is there.
    fn poll(&mut self, env: &Env<'_, '_>) {
        self.watching = Watching::Ison;
        self.ask_from = 0;
        self.ask_at = (!self.watched.is_empty()).then_some(env.now.plus(outgoing::LINE_MS));
    }

    /// Takes note of how somebody is, if he is watched.
    fn note(&mut self, nick: &[u8], now: Now) {
        if let Some(at) = self.watched.find(self.mapping, nick) {
            self.watched.set(at, now);
        }
    }

    /// How somebody is, with his own words, if he is watched.
    fn presence<'s>(&mut self, nick: &[u8], now: Now, text: &[u8], mut scratch: Scratch<'s>) -> Step<'s> {
        let Some(at) = self.watched.find(self.mapping, nick) else { return Step::Quiet };
        self.watched.set_told(at, now);
        let show = show_of(now);
        let who = canonical(self.watched.nick(at).as_bytes(), &mut scratch);
        let text = scratch.put(|out| irc::plain(text, out, TEXT_BYTES));
        Step::Event(Event::Presence { who, place: place_of(show), show, priority: 0, text })
    }
}

/// The verb and the rest of a CTCP request or reply; the closing mark may be missing.
fn ctcp(text: &[u8]) -> Option<(&str, &[u8])> {
    let inner = text.strip_prefix(b"\x01")?;
    let inner = inner.strip_suffix(b"\x01").unwrap_or(inner);
    let end = memchr::memchr(b' ', inner).unwrap_or(inner.len());
    Some((core::str::from_utf8(&inner[..end]).unwrap_or_default(), inner.get(end + 1..).unwrap_or_default()))
}

/// Bytes that a text of one line takes as UTF-8 at most.
const TEXT_BYTES: usize = 3 * irc::LINE_BYTES;
/// A text that is older was kept meanwhile, s.
const OLD_S: u64 = 60;
/// Time between two answers to VERSION, ms.
const VERSION_MS: u64 = 10_000;
