//! The login: capabilities (IRCv3 Capability Negotiation 302), SASL PLAIN (RFC 4616) or PASS, NICK and USER, and other nicks
//! while ours is in use.

use super::*;

/// How far the login is.
pub(super) struct Login {
    /// What the server offers: bits of [`CAPABILITIES`].
    offered: u8,
    /// Whether it knows what capabilities are, and whether it waits for `CAP END`.
    has_answered: bool,
    is_open: bool,
    /// Whether SASL alone was asked for, after all was refused.
    is_second: bool,
    /// Whether the password was asked for by `AUTHENTICATE`.
    is_authenticating: bool,
    /// Whether the server has said 001.
    is_welcome: bool,
    /// Nicks tried after the first.
    tries: u8,
    /// Bytes of a nick, once one was refused that may have been too long.
    nick_bytes: u8,
}

impl Login {
    pub(super) const fn new() -> Self {
        Self {
            offered: 0,
            has_answered: false,
            is_open: false,
            is_second: false,
            is_authenticating: false,
            is_welcome: false,
            tries: 0,
            nick_bytes: NICK_BYTES as u8,
        }
    }
}

impl Irc {
    /// Says who we are, after the server has said what it can do, or has not.
    pub(super) fn introduce(&mut self, env: &mut Env<'_, '_>) {
        let has_password = !env.account.password.0.is_empty();
        if !(self.is_tls && has_password) {
            self.login.offered &= !SASL;
        }
        if has_password && self.login.offered & SASL == 0 {
            env.out.text("PASS :");
            // It is the last parameter: blanks belong to it.
            env.account.password.0.bytes().filter(|byte| *byte >= b' ').for_each(|byte| env.out.put(&[byte]));
            env.out.text("\r\n");
        }
        self.nick.clear();
        let nick = &env.account.address;
        _ = self.nick.push_str(&nick[..nick.floor_char_boundary(NICK_BYTES.min(nick.len()))]);
        self.say_nick(env.out);
        env.out.text("USER ");
        // No server takes a longer one, and some refuse it.
        let user = login_name(env.account);
        word(&user[..user.floor_char_boundary(USER_BYTES.min(user.len()))], env.out);
        env.out.text(" 0 * :");
        word(&env.account.address, env.out);
        env.out.text("\r\n");
        if self.login.has_answered {
            self.login.is_open = true;
            self.request(env, self.login.offered);
        }
        self.phase = Phase::Login { until: env.now.plus(LOGIN_MS) };
    }

    /// `CAP`.
    pub(super) fn capability(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>) -> Step<'static> {
        let names = line.last();
        match (line.param(1), self.phase) {
            (b"LS", Phase::Asked { .. } | Phase::Login { .. }) => {
                let is_late = matches!(self.phase, Phase::Login { .. });
                if self.login.is_open || self.login.is_welcome {
                    return Step::Quiet;
                }
                self.login.offered |= bits(names);
                if line.param(2) == b"*" {
                    return Step::Quiet;
                }
                self.login.has_answered = true;
                if is_late {
                    // It was thought to have none, and we have said who we are: the password too.
                    env.out.text("CAP END\r\n");
                } else {
                    self.introduce(env);
                }
            }
            (b"ACK", Phase::Login { .. }) if self.login.is_open => {
                self.capabilities |= bits(names) & self.login.offered;
                if self.capabilities & SASL != 0 && !self.login.is_authenticating {
                    self.login.is_authenticating = true;
                    env.out.text("AUTHENTICATE PLAIN\r\n");
                } else {
                    self.end_capabilities(env);
                }
            }
            (b"NAK", Phase::Login { .. }) if self.login.is_open => {
                let sasl = if self.login.is_second { 0 } else { self.login.offered & SASL };
                self.login.is_second = true;
                self.request(env, sasl);
            }
            (b"DEL", _) => self.capabilities &= !bits(names),
            _ => {}
        }
        Step::Quiet
    }

    /// `AUTHENTICATE`: the server wants the password.
    pub(super) fn authenticate(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>) -> Step<'static> {
        if self.login.is_authenticating && self.login.is_open && self.is_tls && line.param(0) == b"+" {
            let mut plain = [0; 256];
            let mut out = Writer::new(&mut plain);
            for part in [login_name(env.account), &env.account.password.0] {
                out.put(b"\0");
                out.text(part);
            }
            // Less than 400 bytes, so it is whole in one line (IRCv3 SASL).
            env.out.text("AUTHENTICATE ");
            base64_encode(out.written(), env.out);
            env.out.text("\r\n");
        }
        Step::Quiet
    }

    /// A numeric reply that belongs to the login; `None`: it does not.
    pub(super) fn login_reply(&mut self, env: &mut Env<'_, '_>, line: &Line<'_>, number: u16) -> Option<Step<'static>> {
        let stop = |stop| Some(Step::End(End::Stop(stop)));
        match number {
            1 => {
                if !self.take_nick(line.param(0)) {
                    return Some(Step::End(End::Retry("the server gives a nick that is too long")));
                }
                (self.login.is_welcome, self.login.is_open) = (true, false);
                if let Phase::Asked { .. } = self.phase {
                    self.phase = Phase::Login { until: env.now.plus(LOGIN_MS) };
                }
            }
            376 | 422 if self.login.is_welcome => {
                self.phase = Phase::On;
                return Some(Step::Event(Event::Online { is_resumed: false }));
            }
            410 | 421 | 451 if matches!(self.phase, Phase::Asked { .. }) => self.introduce(env),
            432 | 433 | 436 | 437 if !self.login.is_welcome => return Some(self.other_nick(env, number)),
            463 | 465 | 466 => return stop(Stop::Refused("the server does not let us in")),
            464 | 904 | 905 => return stop(Stop::Password),
            902 => return stop(Stop::Refused("the name is locked")),
            903 | 907 => self.end_capabilities(env),
            906 if self.login.is_authenticating => return stop(Stop::Password),
            _ => return None,
        }
        Some(Step::Quiet)
    }

    /// `ERROR`: the server ends the connection.
    pub(super) fn error(&mut self, env: &Env<'_, '_>, line: &Line<'_>) -> Step<'static> {
        if let Phase::Leaving { .. } = self.phase {
            return Step::End(End::Done);
        }
        log::info!("account {}: the server ends the connection: {}", env.account.id, Printable(line.last()));
        let says = |what: &[u8]| line.last().windows(what.len()).any(|part| part.eq_ignore_ascii_case(what));
        if BANS.iter().any(|ban| says(ban)) {
            Step::End(End::Stop(Stop::Refused("the server has banned us")))
        } else if self.phase != Phase::On && says(b"bad password") {
            Step::End(End::Stop(Stop::Password))
        } else {
            Step::End(End::Retry("the server has ended the connection"))
        }
    }

    /// Takes a nick for ours; whether it fits.
    pub(super) fn take_nick(&mut self, nick: &[u8]) -> bool {
        let Ok(nick) = core::str::from_utf8(nick) else { return false };
        let is_fine = !nick.is_empty() && nick.len() <= NICK_BYTES;
        if is_fine {
            self.nick.clear();
            _ = self.nick.push_str(nick);
        }
        is_fine
    }

    /// Our nick is in use, or can't be: takes one with one more `_`, or one as long as before but ending in that.
    fn other_nick(&mut self, env: &mut Env<'_, '_>, number: u16) -> Step<'static> {
        if number == 432 {
            if self.login.tries == 0 {
                return Step::End(End::Stop(Stop::Refused("the server does not take the nick")));
            }
            // One that was made longer: too long now.
            self.login.nick_bytes = (self.nick.len() as u8).saturating_sub(1);
        }
        self.login.tries += 1;
        if self.login.tries > NICK_TRIES {
            return Step::End(End::Retry("the nick is in use"));
        }
        let tail = usize::from(self.login.tries);
        let base = &env.account.address;
        let len = base.len().min(usize::from(self.login.nick_bytes).saturating_sub(tail));
        self.nick.clear();
        _ = self.nick.push_str(&base[..base.floor_char_boundary(len)]);
        _ = self.nick.push_str(&"____"[..tail.min(4)]);
        self.say_nick(env.out);
        Step::Quiet
    }

    fn say_nick(&self, out: &mut Writer<'_>) {
        out.text("NICK ");
        word(&self.nick, out);
        out.text("\r\n");
    }

    /// Asks for capabilities, or ends that when there are none.
    fn request(&mut self, env: &mut Env<'_, '_>, wanted: u8) {
        if wanted == 0 {
            return self.end_capabilities(env);
        }
        env.out.text("CAP REQ :");
        let names = CAPABILITIES.iter().filter(|(_, bit)| wanted & bit != 0);
        for (i, (name, _)) in names.enumerate() {
            env.out.text(if i > 0 { " " } else { "" });
            env.out.text(name);
        }
        env.out.text("\r\n");
    }

    fn end_capabilities(&mut self, env: &mut Env<'_, '_>) {
        if core::mem::take(&mut self.login.is_open) {
            env.out.text("CAP END\r\n");
        }
    }
}

/// The name to log in with.
fn login_name(account: &Account) -> &str {
    if account.login.is_empty() { &account.address } else { &account.login }
}

/// Writes a text without blanks and what would end a line.
fn word(text: &str, out: &mut Writer<'_>) {
    text.bytes().filter(|byte| *byte > b' ').for_each(|byte| out.put(&[byte]));
}

/// The bits of the capabilities in a list of names with values; SASL only with PLAIN.
fn bits(names: &[u8]) -> u8 {
    names.split(|byte| *byte == b' ').fold(0, |bits, token| {
        let (name, value) = match memchr::memchr(b'=', token) {
            Some(at) => (&token[..at], Some(&token[at + 1..])),
            None => (token, None),
        };
        let bit = CAPABILITIES.iter().find(|(known, _)| known.as_bytes() == name).map_or(0, |(_, bit)| *bit);
        let has_plain = value.is_none_or(|value| value.split(|byte| *byte == b',').any(|way| way == b"PLAIN"));
        if bit == SASL && !has_plain { bits } else { bits | bit }
    })
}

/// What is asked for where it is offered.
pub(super) const CAPABILITIES: [(&str, u8); 6] = [
    ("sasl", SASL),
    ("server-time", 2),
    ("message-tags", MESSAGE_TAGS),
    ("away-notify", 8),
    ("extended-monitor", EXTENDED_MONITOR),
    ("echo-message", ECHO_MESSAGE),
];
const SASL: u8 = 1;
pub(super) const MESSAGE_TAGS: u8 = 4;
pub(super) const EXTENDED_MONITOR: u8 = 16;
pub(super) const ECHO_MESSAGE: u8 = 32;

/// How servers say in `ERROR` that they do not want us for good.
const BANS: [&[u8]; 6] = [b"k-lined", b"k:lined", b"g-lined", b"g:lined", b"z:lined", b"banned"];
/// Other nicks that are tried.
const NICK_TRIES: u8 = 4;
/// Bytes of a user name.
const USER_BYTES: usize = 10;
