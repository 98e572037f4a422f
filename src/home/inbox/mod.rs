//! The index of what is kept for people: texts, recordings, and calls that they missed. It is fixed memory and knows
//! everything but the content, which stays in the spool ([`kept`] is how).
//!
//! A letter's life: [`Inbox::admit`] reserves its place and number before anything is written. When its record is durable it
//! is [`settled`](Inbox::settled): its owner sees it, and it is counted. She reads it and may delete it; a day later, or when
//! the room is needed, it is [`removed`](Inbox::remove): it is gone at once for everybody, and its slot is free as soon as
//! the edge was told to forget the record ([`Inbox::next_forgotten`]). After a start, and when a disk comes, each record is
//! told again ([`Inbox::restore`]).
//!
//! Numbers grow and are never given twice, so that a number says up to where somebody was told what came. For that the
//! number she was last told has to be brought back after a restart too ([`Inbox::number_above`]): the letter that bore it may
//! be gone.
//!
//! Who only claims a name has a smaller share of everything, alone and together with all others who do. Leaves out: search,
//! folders, and letters that people send.

pub mod kept;
pub mod letter;
pub mod senders;

use heapless::Vec;

use crate::base::changed::Changed;
use crate::base::limits::{
    LEAVING_LETTERS, LETTERS, LETTERS_PER_SENDER, LETTERS_PER_STRANGER, PEOPLE, SENDERS, STRANGER_LETTERS,
};
use crate::base::table::{Index, Table};
use crate::base::time::Instant;
use crate::wire::summary::Counts;
pub use kept::{Kept, What};
use letter::Phase;
pub use letter::{Category, Codec, Letter, LetterHandle, State};
use senders::Senders;
pub use senders::{Sender, SenderHandle};

/// How long what was deleted can be had back, seconds. After a restart it counts from then.
pub const UNDO_S: u32 = 24 * 3600;

/// Letters, and those that are on their way out.
const SLOTS: usize = LETTERS + LEAVING_LETTERS;

/// What is kept for all people.
pub struct Inbox {
    letters: Table<Letter, SLOTS>,
    /// Slots by the low half of the id.
    by_id: Index<{ 2 * SLOTS }>,
    /// The slots of all letters but those on their way out, by number.
    order: Vec<u16, LETTERS>,
    senders: Senders,
    /// How many letters are from senders who only claim a name.
    strangers: usize,
    people: [Waiting; PEOPLE],
    changes: [u64; PEOPLE],
    /// Slots whose state differs from that of the record.
    amended: Changed<SLOTS>,
    /// Slots whose record is to be removed.
    forgotten: Changed<SLOTS>,
    last_number: u32,
    /// Nothing deleted is due before.
    purge_at_s: Option<u32>,
}

/// How many letters wait for a person; deleted ones are not among them, nor what is being recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Texts.
    pub text: Counts,
    /// Recordings.
    pub voice: Counts,
    /// Missed calls.
    pub call: Counts,
}

/// What came from one sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Who.
    pub sender: SenderHandle,
    /// How many texts.
    pub texts: u16,
    /// How many recordings.
    pub voices: u16,
    /// How many missed calls.
    pub calls: u16,
    /// The number of the newest of them.
    pub newest: u32,
}

/// Why nothing more is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// There is no room for letters: [`LETTERS`].
    Letters,
    /// There is none for another sender: [`SENDERS`].
    Senders,
    /// There is none for what comes from senders who only claim a name: [`STRANGER_LETTERS`], or
    /// [`STRANGER_SENDERS`](crate::base::limits::STRANGER_SENDERS).
    Strangers,
    /// Enough waits from this sender for this person: [`LETTERS_PER_SENDER`], [`LETTERS_PER_STRANGER`].
    Sender,
    /// The letter is there already, or the person is not in the model.
    Known,
}

impl Inbox {
    /// Nothing is kept.
    pub const fn new() -> Self {
        const NOTHING: Waiting = Waiting { text: NO_COUNTS, voice: NO_COUNTS, call: NO_COUNTS };
        const NO_COUNTS: Counts = Counts { new: 0, old: 0, new_urgent: 0, old_urgent: 0 };
        Self {
            letters: Table::new(),
            by_id: Index::new(),
            order: Vec::new(),
            senders: Senders::new(),
            strangers: 0,
            people: [NOTHING; PEOPLE],
            changes: [0; PEOPLE],
            amended: Changed::new(),
            forgotten: Changed::new(),
            last_number: 0,
            purge_at_s: None,
        }
    }

    /// The letter of this id, reserved ones included: by it a resend is recognised.
    pub fn find(&self, id: u64) -> Option<LetterHandle> {
        let handle = self.find_any(id)?;
        self.get(handle).map(|_| handle)
    }

    /// Reserves the place of a letter that is about to be written, new and with the next number. Nobody sees it before
    /// [`Inbox::settled`]. The caller has asked [`Inbox::find`] for this id. `sender` is address and name as they came.
    pub fn admit(
        &mut self,
        person: u16,
        sender: (&[u8], &[u8]),
        is_stranger: bool,
        category: Category,
        id: u64,
        at: u32,
    ) -> Result<LetterHandle, Full> {
        self.has_share(person, sender.0, is_stranger)?;
        let number = self.last_number.saturating_add(1);
        let handle = self.insert(id, number, person, sender, is_stranger, category)?;
        self.last_number = number;
        self.change(handle, |letter| letter.at = at);
        Ok(handle)
    }

    /// Says how long a letter is: bytes of its body or blob, and the time it takes or rang.
    pub fn measure(&mut self, handle: LetterHandle, size: u32, milliseconds: u32) {
        self.change(handle, |letter| (letter.size, letter.milliseconds) = (size, milliseconds));
    }

    /// Says that a recording begins. It is not counted before [`Inbox::recorded`].
    pub fn recording(&mut self, handle: LetterHandle, codec: Codec) {
        self.change(handle, |letter| (letter.voice, letter.is_open) = (Some(codec), true));
    }

    /// Says that a recording has ended.
    pub fn recorded(&mut self, handle: LetterHandle, size: u32, milliseconds: u32) {
        self.change(handle, |letter| {
            (letter.is_open, letter.size, letter.milliseconds) = (false, size, milliseconds);
        });
    }

    /// A letter's record is durable.
    pub fn settled(&mut self, handle: LetterHandle) {
        self.change(handle, |letter| letter.phase = Phase::Settled);
    }

    /// A letter was not written after all: its place is free, and the edge is told nothing.
    pub fn withdraw(&mut self, handle: LetterHandle) {
        self.leave(handle);
        self.free(handle);
    }

    /// Takes a letter back from its record, whose owner this person is; `blob_bytes` is the length of its blob.
    pub fn restore(
        &mut self,
        now: Instant,
        id: u64,
        kept: &Kept<'_>,
        person: u16,
        blob_bytes: u32,
    ) -> Result<LetterHandle, Full> {
        let sender = (kept.address, kept.name);
        let handle = self.insert(id, kept.number, person, sender, kept.is_stranger, kept.what.category())?;
        self.number_above(kept.number);
        // What no version of ours has written is shown rather than lost.
        let state = State::from_byte(kept.state).unwrap_or(State::New);
        self.change(handle, |letter| {
            (letter.at, letter.phase) = (kept.at, Phase::Settled);
            match kept.what {
                What::Text { body, .. } => letter.size = body.len() as u32,
                What::Voice { codec, milliseconds, .. } => {
                    let by_size = codec.milliseconds_of(blob_bytes).unwrap_or_default();
                    let milliseconds = if milliseconds == 0 { by_size } else { milliseconds };
                    (letter.voice, letter.size, letter.milliseconds) = (Some(codec), blob_bytes, milliseconds);
                }
                What::Call { rang_seconds } => letter.milliseconds = u32::from(rang_seconds) * 1000,
            }
        });
        self.put_state(now, handle, state);
        Ok(handle)
    }

    /// What the record of a letter says, given its owner's seal and its content.
    pub fn keep<'b>(&'b self, handle: LetterHandle, person: u32, what: What<'b>) -> Option<Kept<'b>> {
        let letter = self.get(handle)?;
        let sender = self.senders.get(letter.sender)?;
        Some(Kept {
            state: letter.state as u8,
            number: letter.number,
            at: letter.at,
            person,
            is_stranger: sender.is_stranger,
            address: sender.address.as_bytes(),
            name: sender.name.as_bytes(),
            what,
        })
    }

    /// The disk is out of reach: all letters are gone from here, and their handles are void. Numbers go on.
    pub fn clear(&mut self) {
        for index in 0..SLOTS {
            if let Some(handle) = self.letters.handle_at(index) {
                self.withdraw(handle);
            }
        }
        while self.amended.pop().is_some() || self.forgotten.pop().is_some() {}
        self.purge_at_s = None;
    }

    /// Has later letters numbered above this.
    pub fn number_above(&mut self, number: u32) {
        self.last_number = self.last_number.max(number);
    }

    /// A letter; `None` when it is gone.
    pub fn get(&self, handle: LetterHandle) -> Option<&Letter> {
        self.letters.get(handle).filter(|letter| letter.phase != Phase::Leaving)
    }

    /// Who a letter is from.
    pub fn sender(&self, handle: SenderHandle) -> Option<&Sender> {
        self.senders.get(handle)
    }

    /// All that is kept for a person, newest first: deleted letters and what is being recorded too, and nothing that is not
    /// durable.
    pub fn letters(&self, person: usize) -> impl DoubleEndedIterator<Item = (LetterHandle, &Letter)> {
        let letters = self.order.iter().rev().filter_map(|slot| {
            let handle = self.letters.handle_at(usize::from(*slot))?;
            Some((handle, self.letters.get(handle)?))
        });
        letters.filter(move |(_, letter)| usize::from(letter.person) == person && letter.is_settled())
    }

    /// Says what its owner did with a letter. Whether that is new: then the edge is told ([`Inbox::next_amended`]).
    pub fn set_state(&mut self, now: Instant, handle: LetterHandle, state: State) -> bool {
        let is_new = self.get(handle).is_some_and(Letter::is_settled) && self.put_state(now, handle, state);
        if is_new {
            self.amended.mark(handle.index());
        }
        is_new
    }

    /// Takes a letter out for good.
    pub fn remove(&mut self, handle: LetterHandle) {
        if self.get(handle).is_some() {
            self.leave(handle);
            self.forgotten.mark(handle.index());
        }
    }

    /// The next letter whose record has another state. To be asked when the edge can take it; when it could not be written,
    /// [`Inbox::amend_again`].
    pub fn next_amended(&mut self) -> Option<LetterHandle> {
        loop {
            let handle = self.letters.handle_at(self.amended.pop()?);
            // One that goes altogether needs no state, and one that is not written yet is written with it.
            if let Some(handle) = handle.filter(|handle| self.get(*handle).is_some_and(Letter::is_settled)) {
                return Some(handle);
            }
        }
    }

    /// The state of a letter could not be written.
    pub fn amend_again(&mut self, handle: LetterHandle) {
        if self.get(handle).is_some() {
            self.amended.mark(handle.index());
        }
    }

    /// The next record that is to be removed. Its letter has no slot any more.
    pub fn next_forgotten(&mut self) -> Option<(Category, u64)> {
        loop {
            let Some(handle) = self.letters.handle_at(self.forgotten.pop()?) else { continue };
            if let Some(letter) = self.letters.get(handle).filter(|letter| letter.phase == Phase::Leaving) {
                let (category, id) = (letter.category, letter.id);
                self.free(handle);
                return Some((category, id));
            }
        }
    }

    /// Whether the edge is to be told something.
    pub fn has_work(&self) -> bool {
        !self.amended.is_empty() || !self.forgotten.is_empty()
    }

    /// How many letters wait for a person.
    pub fn counts(&self, person: usize) -> Waiting {
        self.people.get(person).copied().unwrap_or_default()
    }

    /// A number that is another whenever something of a person's letters is.
    pub fn changes(&self, person: usize) -> u64 {
        self.changes.get(person).copied().unwrap_or_default()
    }

    /// What is new for a person since she was told up to a number, by sender, the newest first.
    pub fn groups(&self, person: usize, told_number: u32) -> Vec<Group, SENDERS> {
        let is_new = |letter: &Letter| letter.number > told_number && letter.state == State::New && letter.is_counted();
        self.groups_of(person, is_new)
    }

    /// Those of a person's letters that `is_in` accepts by sender, who sent the newest first.
    pub fn groups_of(&self, person: usize, is_in: impl Fn(&Letter) -> bool) -> Vec<Group, SENDERS> {
        let mut groups: Vec<Group, SENDERS> = Vec::new();
        // Where the group of each sender is, plus one.
        let mut places = [0u16; SENDERS];
        for (_, letter) in self.letters(person).filter(|(_, letter)| is_in(letter)) {
            let Some(place) = places.get_mut(letter.sender.index()) else { continue };
            if *place == 0 {
                let new = Group { sender: letter.sender, texts: 0, voices: 0, calls: 0, newest: letter.number };
                // There is room for every sender once.
                let _ = groups.push(new);
                *place = groups.len() as u16;
            }
            let Some(group) = groups.get_mut(usize::from(*place) - 1) else { continue };
            match letter.category {
                Category::Text => group.texts += 1,
                Category::Voice => group.voices += 1,
                Category::Call => group.calls += 1,
            }
        }
        groups
    }

    /// The configuration has changed: says for each person where she is now. The letters of who is gone are not shown any
    /// more, and stay on the disk: they are told again at the next start, in case she comes back.
    pub fn renumber(&mut self, people: impl Fn(usize) -> Option<usize>) {
        for index in 0..SLOTS {
            let Some(handle) = self.letters.handle_at(index) else { continue };
            let Some(letter) = self.letters.get_mut(handle).filter(|it| it.phase != Phase::Leaving) else { continue };
            match people(usize::from(letter.person)).filter(|moved| *moved < PEOPLE) {
                Some(moved) => letter.person = moved as u16,
                None => self.withdraw(handle),
            }
        }
        self.people = [Waiting::default(); PEOPLE];
        for (_, letter) in self.letters.iter().filter(|(_, letter)| letter.is_counted()) {
            tally(&mut self.people, letter, |count| count.saturating_add(1));
        }
        self.changes.iter_mut().for_each(|changes| *changes += 1);
    }

    /// Takes out what was deleted a day ago.
    pub fn due(&mut self, now: Instant) {
        let now_s = seconds(now);
        if self.purge_at_s.is_none_or(|at_s| at_s > now_s) {
            return;
        }
        self.purge_at_s = None;
        for index in 0..SLOTS {
            let Some(handle) = self.letters.handle_at(index) else { continue };
            let Some(letter) = self.get(handle).filter(|letter| letter.state == State::Deleted) else { continue };
            let ends_at_s = letter.deleted_at_s.saturating_add(UNDO_S);
            if ends_at_s <= now_s {
                self.remove(handle);
            } else {
                self.purge_at_s = Some(self.purge_at_s.map_or(ends_at_s, |at_s| at_s.min(ends_at_s)));
            }
        }
    }

    /// When [`Inbox::due`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.purge_at_s.map(|at_s| Instant::from_millis(u64::from(at_s) * 1000))
    }

    /// How many letters there are, reserved ones included.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many senders they are from.
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Name, capacity and bytes of each table.
    pub const fn footprint() -> [(&'static str, usize, usize); 2] {
        let senders = size_of::<Senders>();
        [("letters", LETTERS, size_of::<Self>() - senders), ("senders of letters", SENDERS, senders)]
    }

    /// Whether this sender may leave another letter with this person.
    fn has_share(&self, person: u16, address: &[u8], is_stranger: bool) -> Result<(), Full> {
        if is_stranger && self.strangers >= STRANGER_LETTERS {
            return Err(Full::Strangers);
        }
        let Some(sender) = self.senders.find(address, is_stranger) else { return Ok(()) };
        let is_it = |it: &Letter| {
            it.sender == sender && it.person == person && it.phase != Phase::Leaving && it.state != State::Deleted
        };
        let most = if is_stranger { LETTERS_PER_STRANGER } else { LETTERS_PER_SENDER };
        let count = self.letters.iter().filter(|(_, letter)| is_it(letter)).count();
        if count >= most { Err(Full::Sender) } else { Ok(()) }
    }

    fn insert(
        &mut self,
        id: u64,
        number: u32,
        person: u16,
        sender: (&[u8], &[u8]),
        is_stranger: bool,
        category: Category,
    ) -> Result<LetterHandle, Full> {
        if usize::from(person) >= PEOPLE || self.find(id).is_some() {
            return Err(Full::Known);
        }
        if let Some(leaving) = self.find_any(id) {
            // The record is written anew: to forget it afterwards would lose that.
            self.free(leaving);
        }
        // Who is refused has nothing give way for him.
        let no_room = if is_stranger { Full::Strangers } else { Full::Senders };
        let sender = self.senders.refer(sender, is_stranger, number).ok_or(no_room)?;
        if let Err(full) = self.make_room() {
            self.senders.release(sender);
            return Err(full);
        }
        let letter = Letter {
            id,
            number,
            at: 0,
            size: 0,
            milliseconds: 0,
            sender,
            person,
            category,
            state: State::New,
            voice: None,
            is_open: false,
            phase: Phase::Reserved,
            deleted_at_s: 0,
        };
        let Ok(handle) = self.letters.insert(letter) else {
            self.senders.release(sender);
            return Err(Full::Letters);
        };
        self.by_id.insert(id as u32, handle.index());
        let place = self.place_after(number);
        // `make_room` has seen to it that one fits.
        let _ = self.order.insert(place, handle.index() as u16);
        self.strangers += usize::from(is_stranger);
        Ok(handle)
    }

    /// Sees to it that one more letter fits: of those deleted, the oldest gives way.
    fn make_room(&mut self) -> Result<(), Full> {
        if self.letters.is_full() {
            return Err(Full::Letters);
        }
        if !self.order.is_full() {
            return Ok(());
        }
        let mut handles = self.order.iter().filter_map(|slot| self.letters.handle_at(usize::from(*slot)));
        let is_deleted = |letter: &Letter| letter.state == State::Deleted && letter.is_settled();
        let oldest = handles.find(|handle| self.get(*handle).is_some_and(is_deleted)).ok_or(Full::Letters)?;
        self.remove(oldest);
        Ok(())
    }

    /// The letter of this id, on its way out or not.
    fn find_any(&self, id: u64) -> Option<LetterHandle> {
        let at = |index| self.letters.handle_at(index);
        let is_it = |index| at(index).and_then(|handle| self.letters.get(handle)).is_some_and(|it| it.id == id);
        at(self.by_id.find(id as u32, is_it)?)
    }

    /// Where in the order a letter of this number belongs.
    fn place_after(&self, number: u32) -> usize {
        let number_of = |slot: u16| {
            let letter = self.letters.handle_at(usize::from(slot)).and_then(|handle| self.letters.get(handle));
            letter.map_or(0, |letter| letter.number)
        };
        self.order.partition_point(|slot| number_of(*slot) <= number)
    }

    /// Changes a letter, and with it what is counted.
    fn change<R>(&mut self, handle: LetterHandle, change: impl FnOnce(&mut Letter) -> R) {
        let Some(letter) = self.letters.get_mut(handle).filter(|it| it.phase != Phase::Leaving) else { return };
        if letter.is_counted() {
            tally(&mut self.people, letter, |count| count.saturating_sub(1));
        }
        change(letter);
        if letter.is_counted() {
            tally(&mut self.people, letter, |count| count.saturating_add(1));
        }
        if let Some(changes) = self.changes.get_mut(usize::from(letter.person)) {
            *changes += 1;
        }
    }

    fn put_state(&mut self, now: Instant, handle: LetterHandle, state: State) -> bool {
        if self.get(handle).is_none_or(|letter| letter.state == state) {
            return false;
        }
        let now_s = seconds(now);
        self.change(handle, |letter| (letter.state, letter.deleted_at_s) = (state, now_s));
        if state == State::Deleted && self.purge_at_s.is_none() {
            self.purge_at_s = Some(now_s.saturating_add(UNDO_S));
        }
        true
    }

    /// Takes a letter out of everything but its slot.
    fn leave(&mut self, handle: LetterHandle) {
        let Some(letter) = self.get(handle).copied() else { return };
        self.change(handle, |letter| letter.phase = Phase::Leaving);
        let end = self.place_after(letter.number);
        // Numbers that were kept by two disks may be equal.
        if let Some(place) = self.order[..end].iter().rposition(|slot| usize::from(*slot) == handle.index()) {
            self.order.remove(place);
        }
        self.strangers -= usize::from(self.senders.get(letter.sender).is_some_and(|sender| sender.is_stranger));
        self.senders.release(letter.sender);
    }

    fn free(&mut self, handle: LetterHandle) {
        if let Some(letter) = self.letters.remove(handle) {
            self.by_id.remove(letter.id as u32, handle.index());
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Changes the count that a letter is in.
fn tally(people: &mut [Waiting; PEOPLE], letter: &Letter, change: impl Fn(u32) -> u32) {
    let Some(waiting) = people.get_mut(usize::from(letter.person)) else { return };
    let counts = match letter.category {
        Category::Text => &mut waiting.text,
        Category::Voice => &mut waiting.voice,
        Category::Call => &mut waiting.call,
    };
    let count = if letter.state == State::New { &mut counts.new } else { &mut counts.old };
    *count = change(*count);
}

/// A moment in seconds.
fn seconds(now: Instant) -> u32 {
    u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
