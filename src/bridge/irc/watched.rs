//! The nicks whose presence is wanted, and what is known of each: IRC has no list on the server.
//!
//! Kept one behind the other in few bytes, because nicks are short where they may be long: a byte for the length, one for
//! the state, then the nick as it was given.

use heapless::Vec;

use crate::wire::irc::CaseMapping;

/// Nicks and their states.
pub struct Watched {
    entries: Vec<u8, WATCHED_BYTES, u16>,
    is_changed: bool,
}

/// Where an entry is; holds until one is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At(usize);

/// How somebody is, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Now {
    /// Not known yet.
    Unknown,
    /// Not there.
    Offline,
    /// There, but away.
    Away,
    /// There.
    Here,
}

impl Watched {
    /// Nobody.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), is_changed: false }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.is_changed = false;
    }

    /// Whether nobody is watched.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a nick of at most [`WATCHED_NICK_BYTES`], of whom the server is to be told; whether there was room, or he is there.
    pub fn add(&mut self, mapping: CaseMapping, nick: &str) -> bool {
        if self.find(mapping, nick.as_bytes()).is_some() {
            return true;
        }
        let room = self.entries.capacity() - self.entries.len();
        if nick.len() > WATCHED_NICK_BYTES || nick.is_empty() || room < nick.len() + HEAD {
            return false;
        }
        _ = self.entries.extend_from_slice(&[nick.len() as u8, FRESH]);
        _ = self.entries.extend_from_slice(nick.as_bytes());
        true
    }

    /// Removes a nick; whether he was there.
    pub fn remove(&mut self, mapping: CaseMapping, nick: &[u8]) -> bool {
        let Some(At(at)) = self.find(mapping, nick) else { return false };
        let len = HEAD + nick.len();
        self.entries.copy_within(at + len.., at);
        self.entries.truncate(self.entries.len() - len);
        true
    }

    /// The entry of a nick.
    pub fn find(&self, mapping: CaseMapping, nick: &[u8]) -> Option<At> {
        self.all().find(|at| mapping.is_same(self.nick(*at).as_bytes(), nick))
    }

    /// The nick as it was given.
    pub fn nick(&self, At(at): At) -> &str {
        let len = self.entries.get(at).copied().unwrap_or(0).into();
        let bytes = self.entries.get(at + HEAD..).and_then(|rest| rest.get(..len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Writes the nick otherwise, in as many bytes; the server is to be told of him anew.
    pub fn respell(&mut self, At(at): At, nick: &[u8]) {
        let len = self.nick(At(at)).len();
        if let Some(place) = self.entries.get_mut(at + HEAD..at + HEAD + len)
            && len == nick.len()
            && str::from_utf8(nick).is_ok()
        {
            place.copy_from_slice(nick);
            self.put(At(at), FRESH | self.state(At(at)));
        }
    }

    /// How he is.
    pub fn now(&self, at: At) -> Now {
        Now::of(self.state(at))
    }

    /// Takes note of how he is; [`Watched::next_change`] tells, if it is news.
    pub fn set(&mut self, at: At, now: Now) {
        let state = self.state(at) & !NOW | now as u8;
        self.is_changed |= state & NOW != state >> TOLD_SHIFT & NOW;
        self.put(at, state);
    }

    /// Takes note of how he is, and that it was told.
    pub fn set_told(&mut self, at: At, now: Now) {
        self.put(at, self.state(at) & !(NOW | NOW << TOLD_SHIFT) | now as u8 | (now as u8) << TOLD_SHIFT);
    }

    /// Whether there may be a change to tell.
    pub fn has_change(&self) -> bool {
        self.is_changed
    }

    /// Somebody of whom something is to be told that was not; counts as told with this.
    pub fn next_change(&mut self) -> Option<At> {
        let is_news = |state: u8| state & NOW != state >> TOLD_SHIFT & NOW;
        let Some(at) = self.all().find(|at| is_news(self.state(*at))) else {
            self.is_changed = false;
            return None;
        };
        self.set_told(at, self.now(at));
        Some(at)
    }

    /// Whether the server is still to be told to watch somebody.
    pub fn has_fresh(&self) -> bool {
        self.all().any(|at| self.state(at) & FRESH != 0)
    }

    /// Names those of whom the server is to be told, in at most `room` bytes with one for each separator; the rest stays.
    pub fn take_fresh(&mut self, mut room: usize, mut name: impl FnMut(&str)) {
        self.each(0, |nick, state| {
            if state & FRESH != 0 {
                room = room.checked_sub(nick.len() + 2)?;
                name(nick);
            }
            Some(state & !FRESH)
        });
    }

    /// Names those who are to be asked for, from `from` on, in at most `room` bytes with one for each separator. Where to
    /// go on; `None` after the last.
    pub fn ask(&mut self, from: usize, mut room: usize, mut name: impl FnMut(&str)) -> Option<usize> {
        self.each(from, |nick, state| {
            room = room.checked_sub(nick.len() + 1)?;
            name(nick);
            Some(state & !SEEN | ASKED)
        })
    }

    /// Somebody who was asked for is there.
    pub fn see(&mut self, at: At) {
        self.put(at, self.state(at) | SEEN);
    }

    /// All who are there were named: who was asked for and is not is offline.
    pub fn asked(&mut self) {
        let mut is_changed = self.is_changed;
        self.each(0, |_, state| {
            if state & ASKED == 0 {
                return Some(state & !SEEN);
            }
            let now = match (state & SEEN != 0, Now::of(state)) {
                (true, Now::Away) => Now::Away,
                (true, _) => Now::Here,
                (false, _) => Now::Offline,
            };
            is_changed = true;
            Some(state & !(ASKED | SEEN | NOW) | now as u8)
        });
        self.is_changed = is_changed;
    }

    /// Names at most `count` of those who are there, from `from` on. Where to go on; `None` after the last.
    pub fn there(&mut self, from: usize, mut count: usize, mut name: impl FnMut(&str)) -> Option<usize> {
        self.each(from, |nick, state| {
            if matches!(Now::of(state), Now::Away | Now::Here) {
                count = count.checked_sub(1)?;
                name(nick);
            }
            Some(state)
        })
    }

    fn all(&self) -> impl Iterator<Item = At> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let at = next;
            next += HEAD + usize::from(*self.entries.get(at)?);
            Some(At(at))
        })
    }

    /// Changes states from an entry on, until `change` says `None`: where that was.
    fn each(&mut self, from: usize, mut change: impl FnMut(&str, u8) -> Option<u8>) -> Option<usize> {
        let mut at = from;
        while let Some(len) = self.entries.get(at).copied() {
            let Some(state) = change(self.nick(At(at)), self.state(At(at))) else { return Some(at) };
            self.put(At(at), state);
            at += HEAD + usize::from(len);
        }
        None
    }

    fn state(&self, At(at): At) -> u8 {
        self.entries.get(at + 1).copied().unwrap_or(0)
    }

    fn put(&mut self, At(at): At, state: u8) {
        if let Some(place) = self.entries.get_mut(at + 1) {
            *place = state;
        }
    }
}

impl Now {
    fn of(state: u8) -> Self {
        match state & NOW {
            0 => Self::Unknown,
            1 => Self::Offline,
            2 => Self::Away,
            _ => Self::Here,
        }
    }
}

/// Bytes for all watched nicks: 128 of 11 bytes, or 45 of 32. What does not fit is not watched.
pub const WATCHED_BYTES: usize = 1664;
/// Bytes of a watched nick at most.
pub const WATCHED_NICK_BYTES: usize = 63;

/// Bytes of an entry before the nick.
const HEAD: usize = 2;
/// How he is.
const NOW: u8 = 3;
/// How he was told to be is this much higher.
const TOLD_SHIFT: u8 = 2;
/// The server was not told yet to watch him.
const FRESH: u8 = 16;
/// He was asked for and there is no answer yet.
const ASKED: u8 = 32;
/// He is in the answer.
const SEEN: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec as Many;

    const M: CaseMapping = CaseMapping::Rfc1459;

    fn changes(watched: &mut Watched) -> Many<(String, Now)> {
        core::iter::from_fn(|| {
            let at = watched.next_change()?;
            Some((watched.nick(at).to_string(), watched.now(at)))
        })
        .collect()
    }

    #[test]
    fn asked_and_seen() {
        let mut watched = Watched::new();
        for nick in ["bob", "carol", "dave"] {
            assert!(watched.add(M, nick) && watched.add(M, nick));
        }
        assert!(watched.remove(M, b"CAROL") && !watched.remove(M, b"carol"));
        let mut named = Many::new();
        assert_eq!(watched.ask(0, 5, |nick| named.push(nick.to_string())), Some(5));
        watched.see(watched.find(M, b"Bob").unwrap());
        watched.asked();
        assert!(watched.has_change());
        assert_eq!(changes(&mut watched), [("bob".to_string(), Now::Here)]);
        assert!(!watched.has_change());
        assert_eq!(watched.ask(5, 100, |nick| named.push(nick.to_string())), None);
        watched.asked();
        assert_eq!(changes(&mut watched), [("dave".to_string(), Now::Offline)]);
        assert_eq!(named, ["bob", "dave"]);
        watched.set_told(watched.find(M, b"bob").unwrap(), Now::Away);
        watched.set(watched.find(M, b"dave").unwrap(), Now::Here);
        watched.set(watched.find(M, b"dave").unwrap(), Now::Offline);
        assert_eq!(changes(&mut watched), []);
        named.clear();
        assert_eq!(watched.there(0, 5, |nick| named.push(nick.to_string())), None);
        assert_eq!(named, ["bob"]);
    }

    #[test]
    fn full() {
        let mut watched = Watched::new();
        assert!(!watched.add(M, &"x".repeat(64)) && !watched.add(M, ""));
        let count = (0..).take_while(|i| watched.add(M, &std::format!("nick{i:06}"))).count();
        assert_eq!(count, WATCHED_BYTES / (HEAD + 10));
        let mut lines = 0;
        while watched.has_fresh() {
            let mut bytes = 0;
            watched.take_fresh(400, |nick| bytes += nick.len() + 2);
            assert!(bytes <= 400 && bytes > 0);
            lines += 1;
        }
        assert_eq!(lines, count.div_ceil(400 / 12));
        for i in (0..count).rev() {
            assert!(watched.remove(M, std::format!("NICK{i:06}").as_bytes()));
        }
        assert!(watched.entries.is_empty());
    }
}
