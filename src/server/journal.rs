//! The journal: what has to be known again after a restart, stored as it changes, and taken back at the next start.
//!
//! Nothing is queued: a service marks what has changed, and the newest state is written when the edge has room for it.
//! The answer to a REGISTER waits until the bindings it promises are durable, at most [`HOLD_MS`]: a disk that stalls must
//! not cost a phone its registration.

use heapless::Vec;
use serde::Serialize;

use super::Core;
use super::contract::{BlobStep, Output, Source, Storage, StoreError, Ticket};
use super::tickets::Waiter;
use crate::base::limits::{BINDINGS, HELD};
use crate::base::time::Instant;
use crate::home::binding::{Epoch, Kept};
use crate::home::presence::journal::KeptWord;
use crate::home::presence::verdict::Verdict;
use crate::home::presence::watch;
use crate::home::{absence, inbox, settings};
use crate::sip::stack::{Produced, ServerHandle, Task};
use crate::spool::{Key, Kind};

/// An answer waits so long for what it promises to become durable.
const HOLD_MS: u64 = 4_000;

/// What is on its way to storage, and who waits for it.
pub(super) struct Journal {
    /// Where records go now.
    storage: Storage,
    /// This start and boot.
    epoch: Epoch,
    held: Vec<Held, HELD>,
    /// Whether bindings of this boot came from memory: those on a disk are older then.
    has_memory: bool,
    /// The same of watches.
    has_watch_memory: bool,
    /// Whether it was said that records are lost.
    has_warned: bool,
    /// Whether it was said that the disk is slow.
    has_told_slow: bool,
}

struct Held {
    server: ServerHandle,
    /// The last ticket it waits for, once all that it waits for has one.
    until: Option<u32>,
    deadline: Instant,
}

/// A record that was written into the buffer; without a length what is kept under its key is to be forgotten.
struct Record {
    key: Key,
    owner: u32,
    len: Option<usize>,
}

impl Record {
    fn of<T: Serialize>(key: Key, kept: Option<(u32, &T)>, buffer: &mut [u8]) -> Self {
        let owner = kept.map_or(0, |(owner, _)| owner);
        let len = kept.and_then(|(_, kept)| postcard::to_slice(kept, buffer).ok().map(|bytes| bytes.len()));
        Self { key, owner, len }
    }
}

impl Journal {
    /// Nothing to store, and nowhere to.
    pub const fn new() -> Self {
        Self {
            storage: Storage::Absent,
            epoch: Epoch { boot: 0, start: 0 },
            held: Vec::new(),
            has_memory: false,
            has_watch_memory: false,
            has_warned: false,
            has_told_slow: false,
        }
    }

    /// Takes the names of this boot and this start.
    pub fn begin(&mut self, boot: u64, start: u64) {
        self.epoch = Epoch { boot, start };
    }

    /// Whether nothing waits.
    pub fn is_at_rest(&self) -> bool {
        self.held.is_empty()
    }

    /// Where records go now.
    pub const fn storage(&self) -> Storage {
        self.storage
    }
}

impl Core {
    /// Keeps the answer of a transaction back until all that has changed so far is durable.
    pub(super) fn hold_until_durable(&mut self, now: Instant, server: ServerHandle) {
        let journal = &mut self.journal;
        let waiting = self.registrar.changed();
        if journal.storage == Storage::Absent || waiting == 0 && self.tickets.is_empty() {
            return;
        }
        let until = (waiting == 0).then(|| self.tickets.issued());
        let held = Held { server, until, deadline: now.plus(HOLD_MS) };
        if journal.held.push(held).is_err() {
            log::warn!("a registration is confirmed before it is durable: too many wait");
            return;
        }
        self.stack.hold(server);
        self.reschedule_journal();
    }

    /// The next record to be stored.
    pub(super) fn produce_journal(&mut self, now: Instant, has_room: bool, buffer: &mut [u8]) -> Produced<Output> {
        let has_changed = self.registrar.changed() > 0
            || self.presence.has_changed()
            || !self.settings.changed.is_empty()
            || self.people.learned.has_changed()
            || !self.absences.changed.is_empty();
        if self.journal.storage == Storage::Absent || !has_changed {
            return Produced::Nothing;
        }
        if !self.can_store(has_room) {
            return Produced::Blocked;
        }
        let Some(record) = self.next_record(now, buffer) else { return Produced::Nothing };
        let ticket = self.tickets.issue(Waiter::Journal);
        if self.registrar.changed() == 0 {
            // All bindings are on their way: what has waited for one waits for this ticket at most.
            self.journal.held.iter_mut().for_each(|held| held.until = held.until.or(Some(ticket.0)));
        }
        self.stack.schedule.wake(Task::Journal.id());
        let Record { key, owner, len } = record;
        Produced::Output(match len {
            Some(len) => Output::Store { ticket, key, owner, len, blob: BlobStep::None },
            None => Output::Forget { ticket, key },
        })
    }

    /// Writes the next record that has changed: bindings first, whose REGISTERs wait for it.
    fn next_record(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Record> {
        if self.registrar.changed() == 0
            && let Some((key, owner, len)) = self.next_buddy_record(buffer)
        {
            return Some(Record { key, owner, len });
        }
        let Self { registrar, stack, people, journal, presence, settings, absences, .. } = self;
        if let Some((index, binding)) = registrar.next_changed() {
            let key = Key { kind: Kind::Binding, id: index as u64 };
            let kept = binding.and_then(|binding| {
                let person = people.seal(&stack.random, usize::from(binding.person));
                let device = binding.device.map(usize::from);
                let login = people.login_seal(&stack.random, usize::from(binding.person), device);
                Kept::of(now, journal.epoch, (person, login), binding, &stack.store)
            });
            return Some(Record::of(key, kept.as_ref().map(|kept| (kept.person, kept)), buffer));
        }
        if let Some(index) = presence.watches.changed.pop() {
            let key = Key { kind: Kind::Subscription, id: index as u64 };
            let kept = presence.keep_watch(now, journal.epoch, (stack, people), index);
            return Some(Record::of(key, kept.as_ref().map(|kept| (kept.subject, kept)), buffer));
        }
        if let Some(index) = presence.verdicts.changed.pop() {
            let key = Key { kind: Kind::Authorisation, id: index as u64 };
            let kept = presence.verdicts.at(index);
            return Some(Record::of(key, kept.map(|kept| (kept.person, kept)), buffer));
        }
        while let Some(person) = presence.words_changed.pop() {
            if let Some((seal, kept)) = presence.keep_word(stack, people, person) {
                let key = Key { kind: Kind::Setting, id: u64::from(seal) };
                return Some(Record::of(key, kept.as_ref().map(|kept| (seal, kept)), buffer));
            }
        }
        while let Some(person) = settings.changed.pop() {
            if let Some((seal, kept)) = settings.keep(&stack.random, people, person) {
                let key = Key { kind: Kind::Setting, id: settings::record_id(seal) };
                return Some(Record::of(key, Some((seal, &kept)), buffer));
            }
        }
        while let Some(person) = absences.changed.pop() {
            if person < people.model.people.len() {
                let seal = people.seal(&stack.random, person);
                let (key, kept) = (Key { kind: Kind::Absence, id: seal.into() }, absences.keep(person, seal));
                return Some(Record::of(key, kept.as_ref().map(|kept| (seal, kept)), buffer));
            }
        }
        None
    }

    /// Takes the outcome of a record of the journal.
    pub(super) fn journal_stored(&mut self, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => (self.journal.has_warned, self.journal.has_told_slow) = (false, false),
            Err(error) if !core::mem::replace(&mut self.journal.has_warned, true) => {
                log::warn!("what is registered now may be lost by a restart: {error:?}");
            }
            Err(_) => {}
        }
    }

    /// A ticket, and all before it, is answered.
    pub(super) fn tickets_answered(&mut self, ticket: Ticket) {
        self.let_go(|held| held.until.is_some_and(|until| ticket.0.wrapping_sub(until) as i32 >= 0));
    }

    /// Takes a new place for records. What it holds may be old: everything is stored anew.
    pub(super) fn set_storage(&mut self, storage: Storage) {
        self.journal.storage = storage;
        self.is_storage_told = true;
        if storage != Storage::Disk {
            self.inbox_gone();
            self.outbox.disk_gone();
        } else {
            self.bridges.changed.mark_all();
        }
        self.stack.schedule.wake(Task::Outgoing.id());
        if storage == Storage::Absent {
            return self.let_go(|_| true);
        }
        self.registrar.mark_all(&mut self.stack);
        self.presence.mark_all(&mut self.stack);
        self.settings.mark_all();
        self.people.learned.mark_all();
        self.absences.mark_live();
        self.inbox_changed();
        // An answer that waited for the former place waits for this one.
        let until = (self.registrar.changed() == 0).then(|| self.tickets.issued());
        self.journal.held.iter_mut().for_each(|held| held.until = until);
    }

    /// Takes back a record that was kept.
    pub(super) fn restored(&mut self, now: Instant, key: Key, bytes: &[u8], source: Source, blob_bytes: u32) {
        // Whatever becomes of the record of a slot, the journal is to hold what the slot holds.
        match key.kind {
            Kind::Subscription => self.presence.watches.changed.mark(key.id as usize),
            Kind::Authorisation => self.presence.verdicts.changed.mark(key.id as usize),
            _ => {}
        }
        match key.kind {
            Kind::Binding => self.restore_binding(now, key, bytes, source),
            Kind::Subscription => self.restore_watch(now, key, bytes, source),
            Kind::Authorisation => match postcard::from_bytes::<Verdict>(bytes) {
                Ok(verdict) => self.presence.verdicts.restore(key.id as usize, verdict),
                Err(_) => log::warn!("an answer about a watcher in the journal can't be read and is left out"),
            },
            Kind::Setting if settings::is_record_id(key.id) => {
                match postcard::from_bytes::<settings::Kept<'_>>(bytes) {
                    Ok(kept) => self.settings.restore(&self.stack.random, &self.people, &kept),
                    Err(_) => log::warn!("a setting in the journal can't be read and is left out"),
                }
            }
            Kind::Absence => match postcard::from_bytes::<absence::Kept>(bytes) {
                Ok(kept) => {
                    self.inbox.number_above(kept.told_number);
                    if let Some(person) = self.person_of_seal(kept.person) {
                        self.absences.restore(person, &kept);
                    }
                }
                Err(_) => log::warn!("an absence in the journal can't be read and is left out"),
            },
            Kind::Text | Kind::Voice | Kind::Call => self.restore_letter(now, key, bytes, blob_bytes),
            Kind::Greeting => self.restore_greeting(key.id, bytes, blob_bytes),
            Kind::Buddy => self.restore_buddy(now, bytes),
            Kind::Outgoing => self.restore_outgoing(now, key.id, bytes),
            Kind::Setting => match postcard::from_bytes::<KeptWord>(bytes) {
                Ok(kept) => {
                    let (presence, mut around) = self.split_presence();
                    presence.restore_word(&mut around, kept);
                }
                Err(_) => log::warn!("a setting in the journal can't be read and is left out"),
            },
            _ => {}
        }
    }

    fn restore_letter(&mut self, now: Instant, key: Key, bytes: &[u8], blob_bytes: u32) {
        let Some(kept) = inbox::Kept::read(bytes) else {
            return log::warn!("a message in the spool can't be read and is left out");
        };
        // Whose it was may be back tomorrow: it stays on the disk.
        let Some(person) = self.person_of_seal(kept.person) else { return };
        match self.inbox.restore(now, key.id, &kept, person as u16, blob_bytes) {
            Ok(_) | Err(inbox::Full::Known) => {}
            Err(full) => log::warn!("a message in the spool is not shown: {full:?}"),
        }
    }

    fn restore_watch(&mut self, now: Instant, key: Key, bytes: &[u8], source: Source) {
        let Ok(kept) = postcard::from_bytes::<watch::Kept<'_>>(bytes) else {
            log::warn!("a subscription in the journal can't be read and is left out");
            return;
        };
        let epoch = self.journal.epoch;
        match source {
            Source::Memory => self.journal.has_watch_memory = true,
            Source::Disk if kept.epoch == epoch || self.journal.has_watch_memory => return,
            Source::Disk => {}
        }
        let (presence, mut around) = self.split_presence();
        let _ = presence.restore_watch(now, epoch, &mut around, key.id as usize, &kept);
    }

    fn restore_binding(&mut self, now: Instant, key: Key, bytes: &[u8], source: Source) {
        let Ok(kept) = postcard::from_bytes::<Kept<'_>>(bytes) else {
            log::warn!("a binding in the journal can't be read and is left out");
            return;
        };
        let Self { registrar, stack, people, journal, .. } = self;
        match source {
            Source::Memory => journal.has_memory = true,
            // Of this very run, or of a time that memory knows more of.
            Source::Disk if kept.epoch == journal.epoch || journal.has_memory => return,
            Source::Disk => {}
        }
        let count = people.model.people.len();
        let Some(person) = (0..count).find(|index| people.seal(&stack.random, *index) == kept.person) else { return };
        // A device that is another person's now, or whoever has a new password, has to prove it.
        let devices = people.model.devices.iter().enumerate();
        let own = devices.filter(|(_, device)| usize::from(device.person) == person).map(|(index, _)| Some(index));
        let mut logins = core::iter::once(None).chain(own);
        let Some(device) = logins.find(|it| people.login_seal(&stack.random, person, *it) == kept.login) else {
            return;
        };
        let device = device.map(|device| device as u16);
        let restored = kept.restore(now, journal.epoch, (person as u16, device), &stack.network, &mut stack.store);
        if let Some(binding) = restored {
            registrar.restore(stack, people, key.id as usize, binding);
        }
    }

    /// Lets answers go that have waited long enough.
    pub(super) fn journal_due(&mut self, now: Instant) {
        let is_slow = self.journal.held.iter().any(|held| held.deadline <= now);
        if is_slow && !core::mem::replace(&mut self.journal.has_told_slow, true) {
            log::warn!("the disk is slow: registrations are confirmed before they are durable");
        }
        self.let_go(|held| held.deadline <= now);
    }

    fn let_go(&mut self, may_go: impl Fn(&Held) -> bool) {
        let Self { journal, stack, .. } = self;
        journal.held.retain(|held| {
            let goes = may_go(held);
            if goes {
                stack.let_go(held.server);
            }
            !goes
        });
        self.reschedule_journal();
    }

    fn reschedule_journal(&mut self) {
        let deadline = self.journal.held.iter().map(|held| held.deadline).min();
        self.stack.schedule.set_deadline(Task::Journal.id(), deadline);
    }
}

const _: () = assert!(BINDINGS <= u16::MAX as usize);
