//! What was asked of the storage and who waits for it: a queue in the order of the tickets, which is that of the answers.

use heapless::Deque;

use super::Core;
use super::contract::{Storage, StoreError, Ticket};
use crate::base::limits::IN_FLIGHT;
use crate::base::net::Stream;
use crate::base::time::Instant;
use crate::home::inbox::LetterHandle;
use crate::home::outbox::TextHandle;

/// Who waits for an answer of the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    /// The journal: nobody in particular.
    Journal,
    /// A text that is kept: its sender, as handle bits of its letter.
    Text(u32),
    /// A missed call that is noted: handle bits of its letter.
    Noted(u32),
    /// A letter whose state was changed.
    Amended,
    /// A call of the answering machine, by name: the start of its record.
    Begun(u32),
    /// The same: a piece of sound.
    Sound(u32),
    /// The end of a recording: handle bits of its letter.
    Recorded(u32),
    /// A call by name: a piece of the greeting that it plays.
    Greeting(u32),
    /// A text that is delivered: handle bits of its letter.
    Delivery(u32),
    /// A page that shows it, on this connection.
    Page(Stream),
    /// The greeting that comes in.
    Upload,
    /// A text to another network that is kept, as handle bits.
    Outgoing(u32),
    /// The same: it is read, to be sent.
    OutgoingLoad(u32),
}

/// What was asked and is not answered.
pub(super) struct Tickets {
    issued: u32,
    waiters: Deque<(u32, Waiter), IN_FLIGHT>,
}

impl Tickets {
    pub const fn new() -> Self {
        Self { issued: 0, waiters: Deque::new() }
    }

    /// Whether there is room for another.
    pub fn has_room(&self) -> bool {
        !self.waiters.is_full()
    }

    /// The last one that was handed out.
    pub const fn issued(&self) -> u32 {
        self.issued
    }

    /// Whether all are answered.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// The next one; the caller has asked whether there is room.
    pub fn issue(&mut self, waiter: Waiter) -> Ticket {
        self.issued = self.issued.wrapping_add(1);
        let is_noted = self.waiters.push_back((self.issued, waiter)).is_ok();
        debug_assert!(is_noted, "asked for room before");
        Ticket(self.issued)
    }

    /// Who has waited for this answer.
    fn answer(&mut self, ticket: Ticket) -> Option<Waiter> {
        let (first, waiter) = *self.waiters.front()?;
        if first != ticket.0 {
            return None;
        }
        self.waiters.pop_front();
        Some(waiter)
    }

    /// Who waits for an answer before this one: it will not come any more.
    fn overtaken(&mut self, ticket: Ticket) -> Option<Waiter> {
        let (first, waiter) = *self.waiters.front()?;
        if (ticket.0.wrapping_sub(first) as i32) <= 0 {
            return None;
        }
        self.waiters.pop_front();
        Some(waiter)
    }
}

impl Core {
    /// Takes the outcome of a store, an amendment or an append.
    pub(super) fn stored(&mut self, now: Instant, ticket: Ticket, outcome: Result<(), StoreError>) {
        self.give_up_before(now, ticket);
        if let Some(waiter) = self.tickets.answer(ticket) {
            self.tell(now, waiter, outcome);
        }
        self.tickets_answered(ticket);
    }

    /// Takes what was loaded; gives back what a page waits for, with its connection.
    pub(super) fn loaded<'b>(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<&'b [u8], StoreError>,
    ) -> Option<(Stream, Result<&'b [u8], StoreError>)> {
        self.give_up_before(now, ticket);
        let mut for_page = None;
        match self.tickets.answer(ticket) {
            Some(Waiter::Greeting(call)) => self.greeting_loaded(call, outcome),
            Some(Waiter::Delivery(letter)) => self.delivery_loaded(now, letter, outcome),
            Some(Waiter::OutgoingLoad(text)) => self.outgoing_loaded(now, TextHandle::from_bits(text), outcome),
            Some(Waiter::Page(stream)) => for_page = Some((stream, outcome)),
            _ => {}
        }
        self.tickets_answered(ticket);
        for_page
    }

    /// Answers come in order: who waits for one that was left out, as the place it was for is gone, waits in vain.
    fn give_up_before(&mut self, now: Instant, ticket: Ticket) {
        while let Some(waiter) = self.tickets.overtaken(ticket) {
            self.tell(now, waiter, Err(StoreError::NoDisk));
        }
    }

    /// Tells who waited.
    fn tell(&mut self, now: Instant, waiter: Waiter, outcome: Result<(), StoreError>) {
        const NOTHING: Result<&[u8], StoreError> = Err(StoreError::NoDisk);
        match waiter {
            Waiter::Journal => self.journal_stored(outcome),
            Waiter::Text(letter) => self.text_stored(now, LetterHandle::from_bits(letter), outcome),
            Waiter::Noted(letter) => self.call_noted(LetterHandle::from_bits(letter), outcome),
            Waiter::Amended => self.amended(outcome),
            Waiter::Begun(call) => self.recording_begun(now, call, outcome),
            Waiter::Sound(call) => self.sound_stored(now, call, outcome),
            Waiter::Recorded(letter) => self.recording_stored(LetterHandle::from_bits(letter), outcome),
            Waiter::Upload => self.upload_stored(outcome),
            Waiter::Outgoing(text) => self.outgoing_stored(now, TextHandle::from_bits(text), outcome),
            Waiter::OutgoingLoad(text) => self.outgoing_loaded(now, TextHandle::from_bits(text), NOTHING),
            Waiter::Greeting(call) => self.greeting_loaded(call, NOTHING),
            Waiter::Delivery(letter) => self.delivery_loaded(now, letter, NOTHING),
            // A page gives up by itself.
            Waiter::Page(_) => {}
        }
    }

    /// Whether something can be handed to the storage now.
    pub(super) fn can_store(&self, has_credit: bool) -> bool {
        has_credit && self.tickets.has_room()
    }

    /// Whether there is a disk, so that messages can be kept.
    pub(super) fn has_disk(&self) -> bool {
        self.journal.storage() == Storage::Disk
    }
}
