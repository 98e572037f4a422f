//! What `pcsctl` sees and does of what is kept for people: their letters, their greetings, and links to the page.
//!
//! Contents are not here: who asks gets the key of a record ([`Server::letter`], [`Server::greeting_of`]) and reads it from
//! the storage himself.

use core::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use super::commands::Undone;
use super::returning::key_of;
use super::status::Line;
use super::{Core, Server};
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime};
use crate::base::zone::Zone;
use crate::home::inbox::{Category, Letter, LetterHandle, State};
use crate::spool::Key;
use crate::web::{GreetingStep, House, Progress};
use crate::wire::sip::date;

/// Something that is kept for a person.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KeptLetter<'s> {
    /// Its number, by which it is named.
    pub number: u32,
    /// `text`, `voice` or `call`.
    pub kind: &'static str,
    /// `new`, `read`, `deleted`; or `recording`: it is not complete.
    pub state: &'static str,
    /// When it came.
    pub at: Moment,
    /// Who it is from: `USER@HOST`.
    pub from: Line<'s>,
    /// His display name; empty: none.
    pub name: Line<'s>,
    /// Whether he only claims to be that.
    pub is_claimed: bool,
    /// Bytes of a text as it came, or of the sound as it is kept.
    pub bytes: u32,
    /// How long a recording is, or a call rang; 0 for a text, and when it is not known.
    pub seconds: u32,
}

/// When something came, as clocks of the home showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Seconds since 1970; 0 when the clock was not sure.
    pub at: u32,
    /// The zone of the home.
    pub zone: Zone,
}

/// What is to become of a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// She has read or heard it.
    Read,
    /// It is deleted, and can be had back for a day.
    Delete,
    /// It is not deleted any more, and counts as read.
    Restore,
}

impl Server {
    /// All that is kept for a person, the oldest first; `None` when there is nobody of that name.
    pub fn letters(&self, person: &str) -> Option<impl Iterator<Item = KeptLetter<'_>>> {
        let core = &self.core;
        let person = core.person_named(person)?;
        Some(core.inbox.letters(person).rev().map(|(_, letter)| core.kept_letter(letter)))
    }

    /// The record of a letter whose content can be read.
    ///
    /// # Errors
    /// When there is none; `out` has the reason.
    pub fn letter(&self, person: &str, number: u32, out: &mut Writer<'_>) -> Result<Key, Undone> {
        let (_, letter) = self.core.letter_numbered(person, number, out)?;
        match letter.category {
            Category::Call => Err(refuse(out, "It is a call that was missed: nothing was said.")),
            _ => Ok(key_of(letter.category, letter.id)),
        }
    }

    /// Says what a person has done with a letter.
    ///
    /// # Errors
    /// When that can't be; `out` has the reason.
    pub fn mark_letter(
        &mut self,
        now: Instant,
        person: &str,
        number: u32,
        mark: Mark,
        out: &mut Writer<'_>,
    ) -> Result<(), Undone> {
        let (handle, letter) = self.core.letter_numbered(person, number, out)?;
        let state = match (mark, letter.state) {
            (Mark::Restore, State::Deleted) => State::Old,
            (Mark::Restore, _) => return Err(refuse(out, "It is not deleted.")),
            (Mark::Read | Mark::Delete, State::Deleted) => return Err(refuse(out, "It is deleted.")),
            (Mark::Read, _) => State::Old,
            (Mark::Delete, _) => State::Deleted,
        };
        House::set_state(&mut self.core, now, handle, state);
        Ok(())
    }

    /// Writes a link to all that is kept for a person; it is valid for a day, and for one opening.
    ///
    /// # Errors
    /// When there is no such person, or no page.
    pub fn link(&mut self, now: Instant, person: &str, out: &mut Writer<'_>) -> Result<(), Undone> {
        let person = self.core.person_named(person).ok_or(Undone::NoPerson)?;
        self.core.now = now;
        let is_written = self.write_link(now, person, (1, u32::MAX), out);
        is_written.then_some(()).ok_or_else(|| refuse(out, "There is no page: the configuration has no `web`."))
    }

    /// The record of a person's own greeting.
    ///
    /// # Errors
    /// When there is no such person, or she has none.
    pub fn greeting_of(&self, person: &str, out: &mut Writer<'_>) -> Result<Key, Undone> {
        let person = self.core.person_named(person).ok_or(Undone::NoPerson)?;
        let greeting = House::settings(&self.core, person).greeting;
        greeting.map(|(key, _)| key).ok_or_else(|| refuse(out, "There is no greeting but that of the house."))
    }

    /// A step of replacing or removing a person's greeting, for who does not come by the page.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn greeting(&mut self, now: Instant, person: &str, step: GreetingStep<'_>) -> Result<Progress, Undone> {
        let person = self.core.person_named(person).ok_or(Undone::NoPerson)?;
        Ok(House::greeting(&mut self.core, now, person, step))
    }
}

impl Core {
    fn person_named(&self, name: &str) -> Option<usize> {
        self.people.model.person(name.as_bytes())
    }

    /// A letter that is complete.
    fn letter_numbered(
        &self,
        person: &str,
        number: u32,
        out: &mut Writer<'_>,
    ) -> Result<(LetterHandle, &Letter), Undone> {
        let person = self.person_named(person).ok_or(Undone::NoPerson)?;
        let found = self.inbox.letters(person).find(|(_, letter)| letter.number == number);
        match found {
            Some((_, letter)) if letter.is_open => Err(refuse(out, "It is being recorded.")),
            Some(found) => Ok(found),
            None => {
                let _ = write!(out, "There is no letter {number}.");
                Err(Undone::Said)
            }
        }
    }

    fn kept_letter(&self, letter: &Letter) -> KeptLetter<'_> {
        let sender = self.inbox.sender(letter.sender);
        KeptLetter {
            number: letter.number,
            kind: match letter.category {
                Category::Text => "text",
                Category::Voice => "voice",
                Category::Call => "call",
            },
            state: match letter.state {
                _ if letter.is_open => "recording",
                State::New => "new",
                State::Old => "read",
                State::Deleted => "deleted",
            },
            at: Moment { at: letter.at, zone: self.people.model.main.timezone },
            from: Line(sender.map_or(b"", |sender| sender.address.as_bytes())),
            name: Line(sender.map_or(b"", |sender| sender.name.as_bytes())),
            is_claimed: sender.is_some_and(|sender| sender.is_stranger),
            bytes: letter.size,
            seconds: letter.milliseconds.div_ceil(1000),
        }
    }
}

fn refuse(out: &mut Writer<'_>, why: &str) -> Undone {
    out.text(why);
    Undone::Said
}

impl fmt::Display for KeptLetter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {:<9} {:<5} {}  ", self.number, self.state, self.kind, self.at)?;
        let (minutes, seconds) = (self.seconds / 60, self.seconds % 60);
        match self.kind {
            "text" => write!(f, "{} bytes", self.bytes)?,
            "call" => write!(f, "rang {} s", self.seconds)?,
            _ => write!(f, "{minutes}:{seconds:02}")?,
        }
        f.write_str(" from ")?;
        if !self.name.0.is_empty() {
            write!(f, "{} ", self.name)?;
        }
        write!(f, "<{}>", self.from)?;
        f.write_str(if self.is_claimed { ", as he says" } else { "" })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at == 0 {
            return f.write_str("earlier");
        }
        let mut room = [0; 32];
        let mut out = Writer::new(&mut room);
        date::write_internet(self.zone.local(UnixTime(self.at.into())), &mut out);
        // `2010-11-13T23:29:00Z` without the seconds.
        let text = core::str::from_utf8(out.written()).unwrap_or_default();
        let (day, time) = (text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default());
        write!(f, "{day} {time}{}", if self.zone.is_known() { "" } else { " UTC" })
    }
}

impl Serialize for Moment {
    /// Seconds since 1970, or null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.at {
            0 => serializer.serialize_none(),
            at => serializer.serialize_u32(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    fn json(value: &impl Serialize) -> String {
        serde_json_core::to_string::<_, 1024>(value).unwrap().as_str().into()
    }

    #[test]
    fn letters_in_words() {
        let zone = Zone::parse(b"CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let voice = KeptLetter {
            number: 12,
            kind: "voice",
            state: "new",
            at: Moment { at: 1_777_888_800, zone },
            from: Line(b"bob@away.test"),
            name: Line("B\u{f6}b\x1b".as_bytes()),
            is_claimed: true,
            bytes: 520_000,
            seconds: 65,
        };
        assert_eq!(
            voice.to_string(),
            "12    new       voice 2026-05-04 12:00  1:05 from B\u{f6}b  <bob@away.test>, as he says"
        );
        assert_eq!(
            json(&voice),
            "{\"number\":12,\"kind\":\"voice\",\"state\":\"new\",\"at\":1777888800,\"from\":\"bob@away.test\",\
             \"name\":\"B\u{f6}b \",\"is_claimed\":true,\"bytes\":520000,\"seconds\":65}"
        );
        let text = KeptLetter { kind: "text", state: "read", name: Line(b""), is_claimed: false, bytes: 2, ..voice };
        let text = KeptLetter { at: Moment { at: 1_777_888_800, zone: Zone::UNKNOWN }, ..text };
        assert_eq!(text.to_string(), "12    read      text  2026-05-04 10:00 UTC  2 bytes from <bob@away.test>");
        let call = KeptLetter { kind: "call", state: "deleted", at: Moment { at: 0, zone }, seconds: 20, ..text };
        assert_eq!(call.to_string(), "12    deleted   call  earlier  rang 20 s from <bob@away.test>");
        assert!(json(&call).contains("\"at\":null,"));
    }
}
