//! Presence documents that devices have sent about their people: PUBLISH (RFC 3903), and what was caught or asked for of
//! those that know only to NOTIFY. Soft state, not kept over a restart: a client whose entity-tag is not known is told so
//! (412) and publishes anew.

use crate::base::limits::PUBLICATIONS;
use crate::base::table::{Handle, Table};
use crate::base::time::Instant;
use crate::home::registrar::Refused;
use crate::sip::stack::{Stack, Task};
use crate::wire::pidf::Status;
use crate::wire::sip::Fault;

/// Shortest life of a publication that is accepted.
pub const LEAST_EXPIRES_S: u32 = 60;
/// Longest life of a publication; longer ones are shortened.
pub const MOST_EXPIRES_S: u32 = 7_200;
/// Life of a publication that asks for none.
pub const DEFAULT_EXPIRES_S: u32 = 3_600;
/// Documents of one person. More: 503.
const OF_ONE_PERSON: usize = 8;

/// One document about a person.
#[derive(Debug)]
pub struct Publication {
    /// The person, as an index in the model.
    pub person: u16,
    /// The binding of the device it speaks for, as its id; 0 when none is known.
    pub device: u32,
    /// Who brought it.
    pub origin: Origin,
    /// What it says.
    pub status: Status,
    /// Counts up: which changed last.
    serial: u32,
    expires_at: Instant,
}

/// Who brought a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A PUBLISH, under this entity-tag.
    Published(u64),
    /// A NOTIFY of the device's, which knows nothing of entity-tags.
    Notified,
}

/// What a PUBLISH asks for.
#[derive(Debug)]
pub enum Change {
    /// A new document.
    Initial(Status),
    /// The same for longer.
    Refresh(u64),
    /// Another document in the place of one.
    Modify(u64, Status),
    /// None any more.
    Remove(u64),
}

/// All documents.
pub struct Publications {
    table: Table<Publication, PUBLICATIONS>,
    serial: u32,
}

impl Publications {
    /// None.
    pub const fn new() -> Self {
        Self { table: Table::new(), serial: 0 }
    }

    /// Carries out a PUBLISH; the entity-tag of what is there now, and whether anything is said anew.
    pub fn publish(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        (person, device): (usize, u32),
        change: Change,
        expires_s: u32,
    ) -> Result<(u64, bool), Refused> {
        let expires_at = now.plus(u64::from(expires_s) * 1000);
        let etag = stack.random.number();
        let (known, status) = match change {
            Change::Initial(status) => {
                // A client that was restarted has forgotten its tag: what its device says now is all it says.
                let forgotten = self.of(person).find(|(_, it)| device != 0 && it.device == device);
                let forgotten = forgotten.map(|(handle, _)| handle);
                let handle =
                    self.put(stack, forgotten, (person, device, Origin::Published(etag)), status, expires_at)?;
                self.reschedule(stack, handle);
                return Ok((etag, true));
            }
            Change::Refresh(known) => (known, None),
            Change::Modify(known, status) => (known, Some(status)),
            Change::Remove(known) => {
                let handle = self.find(person, known).ok_or(NOT_KNOWN)?;
                self.remove(stack, handle);
                return Ok((etag, true));
            }
        };
        let handle = self.find(person, known).ok_or(NOT_KNOWN)?;
        let mut is_news = status.is_some();
        self.serial += u32::from(is_news);
        if let Some(publication) = self.table.get_mut(handle) {
            publication.origin = Origin::Published(etag);
            publication.expires_at = expires_at;
            // A device that has registered anew is another binding, and no silent one.
            is_news |= device != 0 && publication.device != device;
            publication.device = if device == 0 { publication.device } else { device };
            if let Some(status) = status {
                publication.status = status;
                publication.serial = self.serial;
            }
        }
        self.reschedule(stack, handle);
        Ok((etag, is_news))
    }

    /// Takes what a device has told a watcher directly, until `expires_at`.
    pub fn notified(
        &mut self,
        stack: &mut Stack,
        (person, device): (usize, u32),
        status: Status,
        expires_at: Instant,
    ) -> Result<(), Refused> {
        let known = self.of(person).find(|(_, it)| it.device == device && it.origin == Origin::Notified);
        let known = known.map(|(handle, _)| handle);
        let handle = self.put(stack, known, (person, device, Origin::Notified), status, expires_at)?;
        self.reschedule(stack, handle);
        Ok(())
    }

    fn put(
        &mut self,
        stack: &mut Stack,
        known: Option<Handle<Publication>>,
        (person, device, origin): (usize, u32, Origin),
        status: Status,
        expires_at: Instant,
    ) -> Result<Handle<Publication>, Refused> {
        self.serial += 1;
        let serial = self.serial;
        if let Some((handle, publication)) = known.and_then(|handle| Some((handle, self.table.get_mut(handle)?))) {
            *publication = Publication { person: person as u16, device, origin, status, serial, expires_at };
            return Ok(handle);
        }
        if self.of(person).count() >= OF_ONE_PERSON {
            stack.counters.overloaded += 1;
            return Err(NO_ROOM);
        }
        let publication = Publication { person: person as u16, device, origin, status, serial, expires_at };
        self.table.insert(publication).map_err(|_| {
            stack.counters.overloaded += 1;
            NO_ROOM
        })
    }

    /// A device is gone: what it has told watchers directly goes with it.
    pub fn device_gone(&mut self, stack: &mut Stack, device: u32) -> bool {
        let is_its = |it: &Publication| device != 0 && it.device == device && it.origin == Origin::Notified;
        let gone = self.table.iter().find(|(_, it)| is_its(it)).map(|(handle, _)| handle);
        gone.is_some_and(|handle| {
            self.remove(stack, handle);
            true
        })
    }

    /// A deadline has come. Whether a document is gone.
    pub fn due(&mut self, now: Instant, stack: &mut Stack, index: usize) -> bool {
        let Some(handle) = self.table.handle_at(index) else { return false };
        let is_over = self.table.get(handle).is_some_and(|it| it.expires_at <= now);
        if is_over {
            self.remove(stack, handle);
        } else {
            self.reschedule(stack, handle);
        }
        is_over
    }

    /// The documents of a person, the one that changed last at the end.
    pub fn by_age(&self, person: usize) -> heapless::Vec<&Publication, OF_ONE_PERSON> {
        let mut found: heapless::Vec<&Publication, OF_ONE_PERSON> = heapless::Vec::new();
        self.of(person).take(OF_ONE_PERSON).for_each(|(_, publication)| {
            let _ = found.push(publication);
        });
        found.sort_unstable_by_key(|publication| publication.serial);
        found
    }

    /// The configuration has changed: says for each person where it is now, if it is still there.
    pub fn renumber(&mut self, stack: &mut Stack, person: impl Fn(usize) -> Option<usize>) {
        for index in 0..PUBLICATIONS {
            let Some(handle) = self.table.handle_at(index) else { continue };
            let moved = self.table.get(handle).and_then(|it| person(usize::from(it.person)));
            match (moved, self.table.get_mut(handle)) {
                (Some(moved), Some(publication)) => publication.person = moved as u16,
                _ => self.remove(stack, handle),
            }
        }
    }

    /// The devices that have told watchers something directly.
    pub fn notified_devices(&self) -> impl Iterator<Item = u32> {
        let notified = self.table.iter().filter(|(_, it)| it.origin == Origin::Notified);
        notified.map(|(_, it)| it.device)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("publications", PUBLICATIONS, size_of::<Self>())
    }

    fn of(&self, person: usize) -> impl Iterator<Item = (Handle<Publication>, &Publication)> {
        self.table.iter().filter(move |(_, publication)| usize::from(publication.person) == person)
    }

    fn find(&self, person: usize, etag: u64) -> Option<Handle<Publication>> {
        self.of(person).find(|(_, it)| it.origin == Origin::Published(etag)).map(|(handle, _)| handle)
    }

    fn remove(&mut self, stack: &mut Stack, handle: Handle<Publication>) {
        if self.table.remove(handle).is_some() {
            stack.schedule.set_deadline(Task::Publication(handle.index()).id(), None);
        }
    }

    fn reschedule(&self, stack: &mut Stack, handle: Handle<Publication>) {
        let deadline = self.table.get(handle).map(|it| it.expires_at);
        stack.schedule.set_deadline(Task::Publication(handle.index()).id(), deadline);
    }
}

impl Default for Publications {
    fn default() -> Self {
        Self::new()
    }
}

const NOT_KNOWN: Refused = Refused { fault: Fault { status: 412, reason: "Conditional Request Failed" }, field: "" };
const NO_ROOM: Refused =
    Refused { fault: Fault { status: 503, reason: "Too Many Publications" }, field: "Retry-After: 60\r\n" };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pidf::Basic;
    use std::boxed::Box;
    use std::vec::Vec;

    const ALICE: (usize, u32) = (0, 0);

    fn status(note: &str) -> Status {
        Status { basic: Some(Basic::Open), note: note.try_into().unwrap(), ..Status::new() }
    }

    fn notes(publications: &Publications, person: usize) -> Vec<&str> {
        publications.by_age(person).iter().map(|it| it.status.note.as_str()).collect()
    }

    fn both() -> (Box<Publications>, Box<Stack>) {
        let mut stack = Box::new(Stack::new());
        stack.random.seed([7; 16], [7; 16]);
        (Box::new(Publications::new()), stack)
    }

    #[test]
    fn its_life() {
        let (mut all, mut stack) = both();
        let now = Instant::ZERO;
        let (first, is_news) = all.publish(now, &mut stack, ALICE, Change::Initial(status("one")), 60).unwrap();
        assert!(is_news && notes(&all, 0) == ["one"] && notes(&all, 1).is_empty());
        assert_eq!(stack.schedule.next_deadline(), Some(now.plus(60_000)));

        let later = now.plus(30_000);
        let (second, is_news) = all.publish(later, &mut stack, ALICE, Change::Refresh(first), 60).unwrap();
        assert!(!is_news && second != first, "each answer has a tag of its own");
        assert_eq!(stack.schedule.next_deadline(), Some(now.plus(90_000)));
        for change in [Change::Refresh(first), Change::Modify(first, status("x")), Change::Remove(first)] {
            assert_eq!(all.publish(later, &mut stack, ALICE, change, 60).unwrap_err().fault.status, 412);
        }
        let bob = (1, 0);
        assert_eq!(all.publish(later, &mut stack, bob, Change::Remove(second), 60).unwrap_err().fault.status, 412);

        let (third, is_news) =
            all.publish(later, &mut stack, ALICE, Change::Modify(second, status("two")), 60).unwrap();
        assert!(is_news && notes(&all, 0) == ["two"]);
        assert!(all.publish(later, &mut stack, ALICE, Change::Remove(third), 0).unwrap().1);
        assert!(all.is_empty() && stack.schedule.next_deadline().is_none());
    }

    #[test]
    fn it_ends_in_time() {
        let (mut all, mut stack) = both();
        all.publish(Instant::ZERO, &mut stack, ALICE, Change::Initial(status("one")), 60).unwrap();
        assert!(!all.due(Instant::from_millis(59_999), &mut stack, 0));
        assert!(all.due(Instant::from_millis(60_000), &mut stack, 0));
        assert!(all.is_empty() && !all.due(Instant::from_millis(60_000), &mut stack, 0));
    }

    #[test]
    fn the_one_that_changed_last_is_last() {
        let (mut all, mut stack) = both();
        let mut publish = |change| all.publish(Instant::ZERO, &mut stack, ALICE, change, 60).unwrap().0;
        let first = publish(Change::Initial(status("one")));
        publish(Change::Initial(status("two")));
        let first = publish(Change::Refresh(first));
        assert_eq!(notes(&all, 0), ["one", "two"], "a refresh is no change");
        all.publish(Instant::ZERO, &mut stack, ALICE, Change::Modify(first, status("three")), 60).unwrap();
        assert_eq!(notes(&all, 0), ["two", "three"]);
    }

    #[test]
    fn one_document_for_a_device() {
        let (mut all, mut stack) = both();
        let (now, phone) = (Instant::ZERO, (0, 5));
        let (tag, _) = all.publish(now, &mut stack, phone, Change::Initial(status("before")), 60).unwrap();
        all.publish(now, &mut stack, phone, Change::Initial(status("after the restart")), 60).unwrap();
        assert_eq!(notes(&all, 0), ["after the restart"]);
        assert!(all.publish(now, &mut stack, phone, Change::Refresh(tag), 60).is_err());
        // Registered anew, the same device is another binding.
        let (tag, _) = all.publish(now, &mut stack, (0, 6), Change::Initial(status("tablet")), 60).unwrap();
        let (tag, is_news) = all.publish(now, &mut stack, (0, 7), Change::Refresh(tag), 60).unwrap();
        assert!(is_news && all.by_age(0).iter().any(|it| it.device == 7));
        assert!(!all.publish(now, &mut stack, (0, 0), Change::Refresh(tag), 60).unwrap().1);
        assert!(all.by_age(0).iter().any(|it| it.device == 7), "from elsewhere it is still the same device's");
    }

    #[test]
    fn what_devices_tell_directly() {
        let (mut all, mut stack) = both();
        let until = Instant::from_millis(9);
        all.notified(&mut stack, (0, 5), status("one"), until).unwrap();
        all.notified(&mut stack, (0, 5), status("two"), until).unwrap();
        all.notified(&mut stack, (1, 0), status("of no known device"), until).unwrap();
        assert_eq!(notes(&all, 0), ["two"]);
        assert!(!all.device_gone(&mut stack, 0), "no device is not one");
        assert!(all.device_gone(&mut stack, 5) && !all.device_gone(&mut stack, 5));
        assert_eq!((notes(&all, 0).len(), notes(&all, 1)), (0, [("of no known device")].to_vec()));
    }

    #[test]
    fn full_says_so() {
        let (mut all, mut stack) = both();
        let mut publish = |person: usize| {
            let outcome = all.publish(Instant::ZERO, &mut stack, (person, 0), Change::Initial(status("")), 60);
            outcome.map(|_| ()).map_err(|refused| (refused.fault.status, refused.field))
        };
        let own = OF_ONE_PERSON.min(PUBLICATIONS);
        for _ in 0..own {
            publish(0).unwrap();
        }
        assert_eq!(publish(0), Err((503, "Retry-After: 60\r\n")));
        for number in own..PUBLICATIONS {
            publish(number / OF_ONE_PERSON).unwrap();
        }
        assert_eq!(publish(1000), Err((503, "Retry-After: 60\r\n")));
        assert_eq!((all.len(), stack.counters.overloaded), (PUBLICATIONS, 2));
    }

    #[test]
    fn people_move() {
        let (mut all, mut stack) = both();
        for person in 0..3 {
            let note = ["alice", "bob", "carol"][person];
            all.publish(Instant::ZERO, &mut stack, (person, 0), Change::Initial(status(note)), 60).unwrap();
        }
        // Alice is gone; the others change places.
        all.renumber(&mut stack, |person| [None, Some(2), Some(1)][person]);
        assert_eq!((notes(&all, 0).len(), notes(&all, 1), notes(&all, 2)), (0, ["carol"].to_vec(), ["bob"].to_vec()));
        all.renumber(&mut stack, |_| None);
        assert!(all.is_empty() && stack.schedule.next_deadline().is_none());
    }
}
