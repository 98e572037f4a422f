//! When people are away, who was told so, and up to where each was told what came meanwhile.
//!
//! An absence begins when somebody becomes unavailable (no device, or her presence says so) and ends when she is available
//! again, each [`DAMPED_MS`] after the change: what is shorter is none, and a device that registers again changes nothing.
//! After a start nobody's state is known. The first that is becomes so at once: unavailable is an absence, and available a
//! return, because the program may have ended between somebody's return and the word to her. What keeps her from being
//! told twice is the number of the last letter she was told of: it is in the journal ([`Kept`]), and only what is new and
//! has a higher one is worth a word. So returns are to be taken when the journal and all letters were told to us, not before;
//! those not taken wait.
//!
//! A sender is told once in each absence that what he sent is kept. While she is there (a rule keeps his messages, or she did
//! not answer) he is told once in [`PRESENT_MS`]. Nobody's senders together are told more than [`REPLIES_MOST`] times in
//! [`REPLIES_MS`]. Who was told so does not outlive a restart: then he may be told a second time.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::base::changed::Changed;
use crate::base::limits::{PEOPLE, REPLIED};
use crate::base::time::{Instant, earliest};

/// How long a change of availability has to last.
pub const DAMPED_MS: u64 = 5_000;
/// How often a sender is told that what he sent is kept, while its owner is there.
pub const PRESENT_MS: u64 = 4 * 3_600_000;
/// How many replies one person's senders get within [`REPLIES_MS`].
pub const REPLIES_MOST: u8 = 30;
/// What [`REPLIES_MOST`] is counted over.
pub const REPLIES_MS: u64 = 600_000;

/// The absences of all people.
pub struct Absence {
    people: [One; PEOPLE],
    /// The people whose record in the journal is not what is known.
    pub changed: Changed<PEOPLE>,
}

/// What the journal keeps of a person (postcard).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The person, as a seal.
    pub person: u32,
    /// The number of the last letter she was told of.
    pub told_number: u32,
}

struct One {
    phase: Phase,
    /// Whether she is back, and that was not taken notice of.
    is_back: bool,
    told_number: u32,
    /// Senders who were told, and when, oldest first.
    replied: Vec<(u64, Instant), REPLIED>,
    /// How many were told since when.
    replies: (Instant, u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unknown,
    Here,
    /// Unavailable, which counts from then on.
    Leaving(Instant),
    Away,
    /// Available, which counts from then on.
    Returning(Instant),
}

impl Absence {
    /// Nobody's state is known.
    pub const fn new() -> Self {
        Self { people: [const { One::new() }; PEOPLE], changed: Changed::new() }
    }

    /// Says whether a person is available now; the same again changes nothing.
    pub fn update(&mut self, now: Instant, person: usize, is_available: bool) {
        let Some(one) = self.people.get_mut(person) else { return };
        one.settle(now);
        match (one.phase, is_available) {
            (Phase::Unknown, true) => one.come_back(),
            (Phase::Unknown, false) => {
                one.go_away();
                one.replied.clear();
            }
            (Phase::Here, false) => one.phase = Phase::Leaving(now.plus(DAMPED_MS)),
            (Phase::Leaving(_), true) => one.phase = Phase::Here,
            (Phase::Away, true) => one.phase = Phase::Returning(now.plus(DAMPED_MS)),
            (Phase::Returning(_), false) => one.phase = Phase::Away,
            _ => {}
        }
    }

    /// Has changes count that have lasted.
    pub fn due(&mut self, now: Instant) {
        self.people.iter_mut().for_each(|one| one.settle(now));
    }

    /// When [`Absence::due`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = self.people.iter().map(|one| match one.phase {
            Phase::Leaving(at) | Phase::Returning(at) => Some(at),
            _ => None,
        });
        deadlines.fold(None, earliest)
    }

    /// Whether a person is away. Unknown is not.
    pub fn is_absent(&self, person: usize) -> bool {
        self.people.get(person).is_some_and(|one| matches!(one.phase, Phase::Away | Phase::Returning(_)))
    }

    /// Somebody who has come back; each return is given once. If there is something new beyond
    /// [`Absence::told_number`] she is to be told, and then [`Absence::told`] is to be called; if she can't be, her next
    /// return is for all of it.
    pub fn take_return(&mut self, now: Instant) -> Option<usize> {
        self.due(now);
        let person = self.people.iter().position(|one| one.is_back)?;
        self.people[person].is_back = false;
        Some(person)
    }

    /// The number of the last letter that a person was told of; 0 when there was none.
    pub fn told_number(&self, person: usize) -> u32 {
        self.people.get(person).map_or(0, |one| one.told_number)
    }

    /// A person was told of everything up to a number.
    pub fn told(&mut self, person: usize, number: u32) {
        if let Some(one) = self.people.get_mut(person).filter(|one| one.told_number < number) {
            one.told_number = number;
            self.changed.mark(person);
        }
    }

    /// Whether a sender, named by a hash, is to be told that what he sent to a person is kept. If so, it is noted that he
    /// was.
    pub fn replied(&mut self, now: Instant, person: usize, sender: u64) -> bool {
        let Some(one) = self.people.get_mut(person) else { return false };
        one.settle(now);
        let is_absent = matches!(one.phase, Phase::Away | Phase::Returning(_));
        let counts = |at: Instant| is_absent || now.since(at) < PRESENT_MS;
        if one.replied.iter().any(|(known, at)| *known == sender && counts(*at)) {
            return false;
        }
        let (since, count) = one.replies;
        one.replies = match count {
            // The first of a new span.
            _ if count == 0 || now.since(since) >= REPLIES_MS => (now, 1),
            _ if count < REPLIES_MOST => (since, count + 1),
            _ => return false,
        };
        one.replied.retain(|(known, _)| *known != sender);
        if one.replied.is_full() {
            one.replied.remove(0);
        }
        one.replied.push((sender, now)).is_ok()
    }

    /// What the journal keeps of a person, given her seal; `None` when it is to keep nothing.
    pub fn keep(&self, person: usize, seal: u32) -> Option<Kept> {
        let told_number = self.told_number(person);
        (told_number != 0).then_some(Kept { person: seal, told_number })
    }

    /// Takes back what the journal has kept of a person.
    pub fn restore(&mut self, person: usize, kept: &Kept) {
        if let Some(one) = self.people.get_mut(person) {
            one.told_number = one.told_number.max(kept.told_number);
        }
    }

    /// Has the journal told of everybody.
    pub fn mark_live(&mut self) {
        self.changed.mark_all();
    }

    /// The configuration has changed: says for each person where she is now. Of who is gone nothing is known any more.
    pub fn renumber(&mut self, people: impl Fn(usize) -> Option<usize>) {
        let mut moved = [const { One::new() }; PEOPLE];
        for (index, one) in self.people.iter_mut().enumerate() {
            if let Some(place) = people(index).and_then(|place| moved.get_mut(place)) {
                core::mem::swap(place, one);
            }
        }
        self.people = moved;
        self.changed.mark_all();
    }

    /// Name, capacity and bytes.
    pub const fn footprint() -> (&'static str, usize, usize) {
        ("absences", PEOPLE, size_of::<Self>())
    }
}

impl Default for Absence {
    fn default() -> Self {
        Self::new()
    }
}

impl One {
    const fn new() -> Self {
        Self { phase: Phase::Unknown, is_back: false, told_number: 0, replied: Vec::new(), replies: (Instant::ZERO, 0) }
    }

    fn settle(&mut self, now: Instant) {
        match self.phase {
            Phase::Leaving(at) if at <= now => {
                self.go_away();
                // Who was told since she left was told in this absence.
                self.replied.retain(|(_, told_at)| told_at.plus(DAMPED_MS) >= at);
            }
            Phase::Returning(at) if at <= now => self.come_back(),
            _ => {}
        }
    }

    fn go_away(&mut self) {
        self.phase = Phase::Away;
        // What she was not told of before she left she is told when she is back again.
        self.is_back = false;
    }

    fn come_back(&mut self) {
        self.phase = Phase::Here;
        self.is_back = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// Somebody who was there when the program started, and was told.
    fn here() -> Absence {
        let mut absence = Absence::new();
        absence.update(at(0), 1, true);
        assert_eq!((absence.take_return(at(0)), absence.take_return(at(0))), (Some(1), None));
        absence
    }

    #[test]
    fn an_absence_from_its_begin_to_its_end() {
        let mut absence = here();
        absence.update(at(1_000), 1, false);
        assert_eq!((absence.is_absent(1), absence.deadline()), (false, Some(at(6_000))));
        absence.due(at(5_999));
        assert!(!absence.is_absent(1));
        absence.due(at(6_000));
        assert_eq!((absence.is_absent(1), absence.deadline()), (true, None));
        absence.update(at(9_000), 1, false);
        absence.update(at(60_000), 1, true);
        assert_eq!((absence.is_absent(1), absence.take_return(at(64_999))), (true, None));
        absence.update(at(64_999), 1, true);
        assert_eq!((absence.take_return(at(65_000)), absence.is_absent(1)), (Some(1), false));
        assert_eq!((absence.take_return(at(70_000)), absence.deadline()), (None, None));
    }

    #[test]
    fn who_writes_as_she_leaves_is_told_once() {
        let mut absence = here();
        assert!(absence.replied(at(500), 1, 7), "a rule keeps his texts");
        absence.update(at(1_000), 1, false);
        assert!(absence.replied(at(3_000), 1, 8));
        absence.due(at(6_000));
        assert!(!absence.replied(at(7_000), 1, 8), "in the same absence");
        assert!(absence.replied(at(7_000), 1, 7), "he was told before it");
    }

    #[test]
    fn what_is_short_is_none() {
        let mut absence = here();
        absence.update(at(1_000), 1, false);
        absence.update(at(5_999), 1, true);
        assert_eq!((absence.deadline(), absence.take_return(at(20_000))), (None, None));
        absence.update(at(21_000), 1, false);
        absence.update(at(30_000), 1, true);
        absence.update(at(34_000), 1, false);
        assert_eq!((absence.is_absent(1), absence.deadline(), absence.take_return(at(50_000))), (true, None, None));
        absence.update(at(60_000), 1, true);
        assert_eq!(absence.take_return(at(65_000)), Some(1));
    }

    #[test]
    fn a_change_counts_though_nobody_looked() {
        let mut absence = here();
        absence.update(at(1_000), 1, false);
        absence.update(at(7_000), 1, true);
        assert_eq!((absence.is_absent(1), absence.deadline()), (true, Some(at(12_000))));
        assert_eq!(absence.take_return(at(12_000)), Some(1));
    }

    #[test]
    fn a_start_in_the_middle() {
        let mut absence = Absence::new();
        absence.restore(1, &Kept { person: 7, told_number: 40 });
        assert!(!absence.is_absent(1) && absence.take_return(at(0)).is_none());
        absence.update(at(0), 1, false);
        assert!(absence.is_absent(1) && absence.take_return(at(0)).is_none());
        absence.update(at(1_000), 1, true);
        assert_eq!((absence.take_return(at(6_000)), absence.told_number(1)), (Some(1), 40));
        absence.told(1, 42);
        absence.told(1, 41);
        assert_eq!((absence.keep(1, 7), absence.keep(0, 6)), (Some(Kept { person: 7, told_number: 42 }), None));
        assert_eq!((absence.changed.pop(), absence.changed.pop()), (Some(1), None));
    }

    #[test]
    fn who_left_again_is_told_when_she_is_back() {
        let mut absence = Absence::new();
        absence.update(at(0), 1, true);
        absence.update(at(1), 1, false);
        assert_eq!(absence.take_return(at(10_000)), None);
        absence.update(at(20_000), 1, true);
        assert_eq!(absence.take_return(at(25_000)), Some(1));
    }

    #[test]
    fn one_reply_in_an_absence() {
        let mut absence = Absence::new();
        absence.update(at(0), 1, false);
        assert!(absence.replied(at(1), 1, 100) && !absence.replied(at(2), 1, 100) && absence.replied(at(2), 1, 101));
        assert!(!absence.replied(at(2 * PRESENT_MS), 1, 100), "however long it is");
        let back = 2 * PRESENT_MS + 1_000;
        absence.update(at(back), 1, true);
        absence.update(at(back + 6_000), 1, false);
        absence.due(at(back + 12_000));
        assert!(absence.replied(at(back + 12_000), 1, 100), "another absence");
        assert!(!absence.replied(at(0), PEOPLE, 1));
    }

    #[test]
    fn while_she_is_there() {
        let mut absence = here();
        assert!(absence.replied(at(1_000), 1, 100) && !absence.replied(at(PRESENT_MS + 999), 1, 100));
        assert!(absence.replied(at(PRESENT_MS + 1_000), 1, 100));
        assert_eq!(absence.people[1].replied.len(), 1);
    }

    #[test]
    fn replies_are_limited() {
        let mut absence = Absence::new();
        absence.update(at(0), 1, false);
        let told = (0..100).filter(|sender| absence.replied(at(*sender), 1, *sender)).count();
        assert_eq!(told, usize::from(REPLIES_MOST));
        assert!(!absence.replied(at(REPLIES_MS - 1), 1, 200) && absence.replied(at(REPLIES_MS), 1, 200));
        // The oldest is forgotten, the newest is not.
        assert!(
            absence.replied(at(REPLIES_MS), 1, 0) && !absence.replied(at(REPLIES_MS), 1, u64::from(REPLIES_MOST) - 1)
        );
        assert_eq!(absence.people[1].replied.len(), REPLIED);
    }

    #[test]
    fn people_move() {
        let mut absence = here();
        absence.told(1, 5);
        absence.update(at(0), 0, false);
        absence.renumber(|person| [None, Some(3)].get(person).copied().flatten());
        assert_eq!((absence.told_number(3), absence.told_number(1), absence.is_absent(0)), (5, 0, false));
        absence.update(at(0), 3, true);
        assert_eq!(absence.take_return(at(0)), None, "she was there");
    }
}
