//! The journal: what has to be known again after a restart, stored as it changes, and taken back at the next start.
//!
//! Nothing is queued: a service marks what has changed, and the newest state is written when the edge has room for it.
//! The answer to a REGISTER waits until the bindings it promises are durable, at most [`HOLD_MS`]: a disk that stalls must
//! not cost a phone its registration.

use heapless::Vec;
use serde::Serialize;

use super::Core;
use super::contract::{BlobStep, Output, Source, Storage, StoreError, Ticket};
use crate::base::limits::{BINDINGS, HELD};
use crate::base::time::Instant;
use crate::home::binding::{Epoch, Kept};
use crate::home::presence::journal::KeptWord;
use crate::home::presence::verdict::Verdict;
use crate::home::presence::watch;
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
    /// Tickets handed out so far, and how many of these are answered.
    issued: u32,
    answered: u32,
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
    /// The last ticket it waits for.
    until: u32,
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
            issued: 0,
            answered: 0,
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
        self.held.is_empty() && self.issued == self.answered
    }

    fn ticket(&mut self) -> Ticket {
        self.issued = self.issued.wrapping_add(1);
        Ticket(self.issued)
    }
}

impl Core {
    /// Keeps the answer of a transaction back until all that has changed so far is durable.
    pub(super) fn hold_until_durable(&mut self, now: Instant, server: ServerHandle) {
        let journal = &mut self.journal;
        let waiting = self.registrar.changed() as u32;
        if journal.storage == Storage::Absent || waiting == 0 && journal.issued == journal.answered {
            return;
        }
        let held = Held { server, until: journal.issued.wrapping_add(waiting), deadline: now.plus(HOLD_MS) };
        if journal.held.push(held).is_err() {
            log::warn!("a registration is confirmed before it is durable: too many wait");
            return;
        }
        self.stack.hold(server);
        self.reschedule_journal();
    }

    /// The next record to be stored.
    pub(super) fn produce_journal(&mut self, now: Instant, has_room: bool, buffer: &mut [u8]) -> Produced<Output> {
        let has_changed = self.registrar.changed() > 0 || self.presence.has_changed();
        if self.journal.storage == Storage::Absent || !has_changed {
            return Produced::Nothing;
        }
        if !has_room {
            return Produced::Blocked;
        }
        let Some(record) = self.next_record(now, buffer) else { return Produced::Nothing };
        let ticket = self.journal.ticket();
        self.stack.schedule.wake(Task::Journal.id());
        let Record { key, owner, len } = record;
        Produced::Output(match len {
            Some(len) => Output::Store { ticket, key, owner, len, blob: BlobStep::None },
            None => Output::Forget { ticket, key },
        })
    }

    /// Writes the next record that has changed: bindings first, whose REGISTERs wait for it.
    fn next_record(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Record> {
        let Self { registrar, stack, people, journal, presence, .. } = self;
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
        None
    }

    /// Takes the outcome of a store.
    pub(super) fn stored(&mut self, ticket: Ticket, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => (self.journal.has_warned, self.journal.has_told_slow) = (false, false),
            Err(error) if !core::mem::replace(&mut self.journal.has_warned, true) => {
                log::warn!("what is registered now may be lost by a restart: {error:?}");
            }
            Err(_) => {}
        }
        self.answered(ticket);
    }

    /// Takes what was loaded.
    pub(super) fn loaded(&mut self, ticket: Ticket, _outcome: Result<&[u8], StoreError>) {
        self.answered(ticket);
    }

    /// Counts a ticket, and all before it, as answered.
    fn answered(&mut self, ticket: Ticket) {
        // Those of a place that is gone may still be answered.
        if ticket.0.wrapping_sub(self.journal.answered) as i32 > 0 {
            self.journal.answered = ticket.0;
        }
        self.let_go(|held| ticket.0.wrapping_sub(held.until) as i32 >= 0);
    }

    /// Takes a new place for records. What it holds may be old: everything is stored anew.
    pub(super) fn set_storage(&mut self, storage: Storage) {
        self.journal.storage = storage;
        // What was on its way to the former place is not answered for any more.
        self.journal.answered = self.journal.issued;
        if storage == Storage::Absent {
            return self.let_go(|_| true);
        }
        self.registrar.mark_all(&mut self.stack);
        self.presence.mark_all(&mut self.stack);
        // An answer that waited for the former place waits for this one.
        let until = self.journal.issued.wrapping_add(self.registrar.changed() as u32);
        self.journal.held.iter_mut().for_each(|held| held.until = until);
    }

    /// Takes back a record that was kept.
    pub(super) fn restored(&mut self, now: Instant, key: Key, bytes: &[u8], source: Source) {
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
