//! What people have set while the server runs, over what the configuration says of them: the text for who writes while
//! they are away, and what becomes of kept texts when they are back.
//!
//! One entry for each person who has set something; the journal keeps all of it as one record, and the newest record
//! counts as a whole. What was set to what the configuration says is not set any more: a change of the file counts again.
//!
//! Left out: greetings, which are records of the spool themselves, and presence by hand
//! ([`crate::home::presence::journal`]).

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::base::changed::Changed;
use crate::base::limits::{BUSY_BYTES, PEOPLE};
use crate::base::random::Random;
use crate::config::model::{BusyText, Missed, Model};
use crate::home::people::People;

/// What people have set.
pub struct Settings {
    entries: Vec<Entry, PEOPLE>,
    /// The people whose entry the journal has to be told of.
    pub changed: Changed<PEOPLE>,
}

/// What holds for a person now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective<'s> {
    /// What who writes while she is away is told; empty: the phrase of her language.
    pub busy: &'s str,
    /// What becomes of the texts that were kept when she is back.
    pub missed: Missed,
}

/// A text is longer than [`BUSY_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// What a person has set, as the journal keeps it (postcard), under the key [`record_id`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept<'b> {
    /// The person, as a seal.
    pub person: u32,
    /// Her text; empty: as configured.
    pub busy: &'b str,
    /// Her choice: 1 keep, 2 deliver; anything else: as configured.
    pub missed: u8,
}

/// What one person has set.
struct Entry {
    person: u16,
    busy: BusyText,
    missed: Option<Missed>,
    /// Whether `busy` and `missed` are newer than any record of them.
    is_settled: bool,
}

/// The id of a person's record among those of [`Kind::Setting`](crate::spool::Kind::Setting), by her seal. What she says of
/// herself by hand has the seal itself.
pub const fn record_id(seal: u32) -> u64 {
    seal as u64 | SORT
}

/// Whether a record of [`Kind::Setting`](crate::spool::Kind::Setting) with this id is one of a [`Kept`].
pub const fn is_record_id(id: u64) -> bool {
    id & !(u32::MAX as u64) == SORT
}

impl Settings {
    /// Nobody has set anything.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), changed: Changed::new() }
    }

    /// What holds for a person.
    pub fn get<'s>(&'s self, model: &'s Model, person: usize) -> Effective<'s> {
        let configured = model.people.get(person);
        let configured_busy = configured.map_or("", |person| person.busy.as_str());
        let configured_missed = configured.map_or(Missed::Keep, |person| person.missed);
        let Some(entry) = self.entry(person) else {
            return Effective { busy: configured_busy, missed: configured_missed };
        };
        Effective {
            busy: if entry.busy.is_empty() { configured_busy } else { &entry.busy },
            missed: entry.missed.unwrap_or(configured_missed),
        }
    }

    /// Sets what who writes while she is away is told: one line, whatever controls come in it. Empty: as configured.
    pub fn set_busy(&mut self, model: &Model, person: usize, text: &str) -> Result<(), TooLong> {
        let busy = line(text).ok_or(TooLong)?;
        let configured = model.people.get(person).map(|person| &person.busy);
        let busy = if Some(&busy) == configured { BusyText::new() } else { busy };
        self.change(model, person, |entry| {
            let is_new = entry.busy != busy;
            entry.busy = busy;
            is_new
        });
        Ok(())
    }

    /// Sets what becomes of the texts that were kept when she is back.
    pub fn set_missed(&mut self, model: &Model, person: usize, missed: Missed) {
        let configured = model.people.get(person).map(|person| person.missed);
        let missed = Some(missed).filter(|missed| Some(*missed) != configured);
        self.change(model, person, |entry| core::mem::replace(&mut entry.missed, missed) != missed);
    }

    /// What the journal keeps of a person, and her seal; `None` when there is nothing to keep.
    pub fn keep<'s>(&'s self, random: &Random, people: &People, person: usize) -> Option<(u32, Kept<'s>)> {
        people.model.people.get(person)?;
        let Entry { busy, missed, .. } = self.entry(person)?;
        let seal = people.seal(random, person);
        let missed = missed.map_or(0, number_of);
        Some((seal, Kept { person: seal, busy, missed }))
    }

    /// Takes back what was kept of a person, but for what she has set since. The newest record has to
    /// come first: those behind it do not undo it.
    pub fn restore(&mut self, random: &Random, people: &People, kept: &Kept<'_>) {
        let mut all = 0..people.model.people.len();
        let Some(person) = all.find(|person| people.seal(random, *person) == kept.person) else { return };
        // A text that would be refused today is left out.
        let busy = line(kept.busy).unwrap_or_default();
        let Some(entry) = self.entry_mut(person) else { return };
        if !core::mem::replace(&mut entry.is_settled, true) {
            entry.busy = busy;
            entry.missed = CHOICES.iter().copied().find(|choice| number_of(*choice) == kept.missed);
        }
    }

    /// Has the journal told of everything that is there.
    pub fn mark_all(&mut self) {
        let Self { entries, changed } = self;
        entries.iter().for_each(|entry| changed.mark(usize::from(entry.person)));
    }

    /// The configuration has changed: says for each person where she is now, if she is still there. What is kept of who is
    /// gone stays in the journal, and counts when she comes back and the server starts anew.
    pub fn renumber(&mut self, person: impl Fn(usize) -> Option<usize>) {
        self.entries.retain_mut(|entry| {
            let moved = person(usize::from(entry.person)).filter(|moved| *moved < PEOPLE);
            moved.is_some_and(|moved| {
                entry.person = moved as u16;
                true
            })
        });
        // What was marked went by the old numbers.
        self.mark_all();
    }

    fn entry(&self, person: usize) -> Option<&Entry> {
        self.entries.iter().find(|entry| usize::from(entry.person) == person)
    }

    /// The entry of a person, a new one where there is none; `None` for nobody of the home.
    fn entry_mut(&mut self, person: usize) -> Option<&mut Entry> {
        let found = self.entries.iter().position(|entry| usize::from(entry.person) == person);
        let index = match found {
            Some(index) => index,
            None if person < PEOPLE => {
                let person = person as u16;
                let entry = Entry { person, busy: BusyText::new(), missed: None, is_settled: false };
                // There is room for everybody.
                self.entries.push(entry).ok()?;
                self.entries.len() - 1
            }
            None => return None,
        };
        self.entries.get_mut(index)
    }

    /// Changes the entry of a person; the journal is told when something is new.
    fn change(&mut self, model: &Model, person: usize, change: impl FnOnce(&mut Entry) -> bool) {
        if person >= model.people.len() {
            return;
        }
        let Some(entry) = self.entry_mut(person) else { return };
        entry.is_settled = true;
        if change(entry) {
            self.changed.mark(person);
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// A text as one line: a control is a space, and there is none at either end. `None` when it is too long.
fn line(text: &str) -> Option<BusyText> {
    let is_blank = |c: char| c.is_control() || c.is_whitespace();
    let mut line = BusyText::new();
    for c in text.trim_matches(is_blank).chars() {
        line.push(if c.is_control() { ' ' } else { c }).ok()?;
    }
    Some(line)
}

const fn number_of(missed: Missed) -> u8 {
    match missed {
        Missed::Keep => 1,
        Missed::Deliver => 2,
    }
}

const CHOICES: [Missed; 2] = [Missed::Keep, Missed::Deliver];

/// Tells these records from others of a person.
const SORT: u64 = 1 << 32;

const _: () = assert!(PEOPLE <= u16::MAX as usize, "an entry has its person as a u16");
const _: () = assert!(BUSY_BYTES <= 200, "a record is small enough to be kept in flash");

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::format;
    use std::string::String;

    use super::*;

    const RANDOM: Random = Random::new();

    /// A home of these people; the first has a text, and wants what she missed to be delivered.
    fn home(ids: &[&str]) -> Box<People> {
        let mut model = Box::new(Model::new());
        let mut text = String::from("config pcsd main\noption domain home.example\n");
        for (index, id) in ids.iter().enumerate() {
            text += &format!("config person {id}\noption password x\n");
            text += if index == 0 { "option busy 'At sea'\noption missed deliver\n" } else { "" };
        }
        assert_eq!(model.read(text.as_bytes(), &mut |fault| panic!("{fault}")), 0);
        let mut people = Box::new(People::new());
        people.configure(&model, &RANDOM);
        people
    }

    /// What holds for each of the home.
    fn effective<'s>(settings: &'s Settings, people: &'s People) -> std::vec::Vec<(&'s str, Missed)> {
        let of = |person| {
            let Effective { busy, missed } = settings.get(&people.model, person);
            (busy, missed)
        };
        (0..people.model.people.len()).map(of).collect()
    }

    fn drain(settings: &mut Settings) -> std::vec::Vec<usize> {
        core::iter::from_fn(|| settings.changed.pop()).collect()
    }

    #[test]
    fn over_the_configuration() {
        let people = home(&["alice", "bob"]);
        let model = &people.model;
        let mut settings = Settings::new();
        assert_eq!(effective(&settings, &people), [("At sea", Missed::Deliver), ("", Missed::Keep)]);
        settings.set_busy(model, 0, " In\tthe\r\nwoods \n").unwrap();
        settings.set_missed(model, 1, Missed::Deliver);
        assert_eq!(effective(&settings, &people), [("In the  woods", Missed::Deliver), ("", Missed::Deliver)]);
        assert_eq!(drain(&mut settings), [0, 1]);
        // What is so already is no change.
        settings.set_busy(model, 0, "In the  woods").unwrap();
        settings.set_missed(model, 1, Missed::Deliver);
        assert!(settings.changed.is_empty());
        // What the file says, or nothing: the file counts again.
        for text in ["At sea", "", "\u{7}\n"] {
            settings.set_busy(model, 0, "Else").unwrap();
            settings.set_busy(model, 0, text).unwrap();
            assert_eq!(settings.keep(&RANDOM, &people, 0).unwrap().1.busy, "");
            assert_eq!(settings.get(model, 0).busy, "At sea");
        }
        settings.set_missed(model, 1, Missed::Keep);
        assert_eq!(settings.keep(&RANDOM, &people, 1).unwrap().1.missed, 0);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let people = home(&["alice"]);
        let model = &people.model;
        let mut settings = Settings::new();
        let longest = "é".repeat(BUSY_BYTES / 2);
        assert_eq!(settings.set_busy(model, 0, &format!("{longest}.")), Err(TooLong));
        assert!(settings.changed.is_empty() && settings.keep(&RANDOM, &people, 0).is_none());
        assert_eq!(settings.set_busy(model, 0, &format!(" {longest}\n")), Ok(()));
        assert_eq!(settings.get(model, 0).busy, longest);
        drain(&mut settings);
        // Nobody of the home.
        for person in [1, PEOPLE, usize::MAX] {
            settings.set_busy(model, person, "x").unwrap();
            assert_eq!(settings.get(model, person), Effective { busy: "", missed: Missed::Keep });
            assert!(settings.keep(&RANDOM, &people, person).is_none() && settings.changed.is_empty());
        }
    }

    #[test]
    fn records_come_back() {
        let people = home(&["alice", "bob"]);
        let model = &people.model;
        let mut settings = Settings::new();
        settings.set_busy(model, 1, "Back at 6").unwrap();
        settings.set_missed(model, 0, Missed::Keep);
        let mut room = [0; 256];
        let (mut restored, mut ids) = (Settings::new(), std::vec::Vec::new());
        for person in 0..2 {
            let (seal, kept) = settings.keep(&RANDOM, &people, person).unwrap();
            ids.push(record_id(seal));
            let bytes = postcard::to_slice(&kept, &mut room).unwrap();
            restored.restore(&RANDOM, &people, &postcard::from_bytes(bytes).unwrap());
        }
        assert_eq!(effective(&restored, &people), [("At sea", Missed::Keep), ("Back at 6", Missed::Keep)]);
        assert!(restored.changed.is_empty(), "the journal has it already");
        restored.mark_all();
        assert_eq!(drain(&mut restored), [0, 1]);
        assert!(ids[0] != ids[1] && ids.iter().all(|id| is_record_id(*id)));
        assert!(!is_record_id(u64::from(people.seal(&RANDOM, 0))) && !is_record_id(1 << 33 | 1 << 32));
    }

    #[test]
    fn the_newest_record_counts() {
        let people = home(&["alice"]);
        let model = &people.model;
        let seal = people.seal(&RANDOM, 0);
        let old = Kept { person: seal, busy: "Old", missed: 1 };
        let mut settings = Settings::new();
        // Memory is told before the disk, which may be behind.
        settings.restore(&RANDOM, &people, &Kept { busy: "", missed: 0, ..old });
        settings.restore(&RANDOM, &people, &old);
        assert_eq!(effective(&settings, &people), [("At sea", Missed::Deliver)]);
        // What she has set since counts, too, and what she was told is told once.
        let mut settings = Settings::new();
        settings.set_busy(model, 0, "New").unwrap();
        settings.restore(&RANDOM, &people, &old);
        assert_eq!(effective(&settings, &people), [("New", Missed::Deliver)]);
        let mut settings = Settings::new();
        settings.restore(&RANDOM, &people, &old);
        assert_eq!(effective(&settings, &people), [("Old", Missed::Keep)]);
        // A stranger's, and one with what is not known.
        let mut settings = Settings::new();
        settings.restore(&RANDOM, &people, &Kept { person: seal ^ 1, ..old });
        assert!(settings.keep(&RANDOM, &people, 0).is_none());
        let long = "x".repeat(BUSY_BYTES + 1);
        settings.restore(&RANDOM, &people, &Kept { busy: &long, missed: 77, ..old });
        assert_eq!(effective(&settings, &people), [("At sea", Missed::Deliver)]);
    }

    #[test]
    fn people_move() {
        let before = home(&["alice", "bob", "carol"]);
        let mut settings = Settings::new();
        settings.set_busy(&before.model, 2, "Carol's").unwrap();
        settings.set_missed(&before.model, 0, Missed::Keep);
        drain(&mut settings);
        let after = home(&["dora", "carol", "alice"]);
        settings.renumber(|person| [Some(2), None, Some(1)][person]);
        assert_eq!(
            effective(&settings, &after),
            [("At sea", Missed::Deliver), ("Carol's", Missed::Keep), ("", Missed::Keep)]
        );
        assert_eq!(drain(&mut settings), [1, 2]);
        settings.renumber(|_| None);
        assert!(settings.entries.is_empty());
        // Everybody of a full home has room, again and again.
        for _ in 0..3 {
            (0..PEOPLE).for_each(|person| assert!(settings.entry_mut(person).is_some()));
        }
        assert!(settings.entry_mut(PEOPLE).is_none());
    }

    /// Whatever bytes a record has: no panic.
    #[test]
    fn damaged_records() {
        let people = home(&["alice"]);
        let mut room = [0; 64];
        let seal = people.seal(&RANDOM, 0);
        let good = postcard::to_slice(&Kept { person: seal, busy: "Back at 6", missed: 2 }, &mut room);
        let good = good.unwrap().to_vec();
        let (mut read, mut refused) = (0, 0);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                for bytes in [&bytes[..], &good[..at]] {
                    match postcard::from_bytes::<Kept<'_>>(bytes) {
                        Ok(kept) => {
                            read += 1;
                            Settings::new().restore(&RANDOM, &people, &kept);
                        }
                        Err(_) => refused += 1,
                    }
                }
            }
        }
        assert!(read > 50 && refused > 50, "{read} {refused}");
    }
}
