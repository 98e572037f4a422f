//! The journal: what has to be known again after a restart, stored as it changes, and taken back at the next start.
//!
//! Nothing is queued: a service marks what has changed, and the newest state is written when the edge has room for it.
//! The answer to a REGISTER waits until the bindings it promises are durable, at most [`HOLD_MS`]: a disk that stalls must
//! not cost a phone its registration. Bindings are the only records so far.

use heapless::Vec;

use super::Core;
use super::contract::{Output, Source, Storage, StoreError, Ticket};
use crate::base::limits::{BINDINGS, HELD};
use crate::base::time::Instant;
use crate::home::binding::{Epoch, Kept};
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
        if self.journal.storage == Storage::Absent || self.registrar.changed() == 0 {
            return Produced::Nothing;
        }
        if !has_room {
            return Produced::Blocked;
        }
        let Self { registrar, stack, people, journal, .. } = self;
        let Some((index, binding)) = registrar.next_changed() else { return Produced::Nothing };
        let key = Key { kind: Kind::Binding, id: index as u64 };
        let record = binding.and_then(|binding| {
            let person = people.seal(&stack.random, usize::from(binding.person));
            let device = binding.device.map(usize::from);
            let login = people.login_seal(&stack.random, usize::from(binding.person), device);
            Kept::of(now, journal.epoch, (person, login), binding, &stack.store)
        });
        let ticket = journal.ticket();
        let output = match record {
            Some(record) => match postcard::to_slice(&record, buffer) {
                Ok(bytes) => Output::Store { ticket, key, owner: record.person, len: bytes.len() },
                Err(_) => Output::Forget { ticket, key },
            },
            None => Output::Forget { ticket, key },
        };
        self.stack.schedule.wake(Task::Journal.id());
        Produced::Output(output)
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
        // An answer that waited for the former place waits for this one.
        let until = self.journal.issued.wrapping_add(self.registrar.changed() as u32);
        self.journal.held.iter_mut().for_each(|held| held.until = until);
    }

    /// Takes back a record that was kept.
    pub(super) fn restored(&mut self, now: Instant, key: Key, bytes: &[u8], source: Source) {
        if key.kind != Kind::Binding {
            return;
        }
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
