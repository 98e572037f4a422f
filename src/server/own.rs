//! What the home does by itself: the presence of its people gathered and told, calls counted, and the answers to its own
//! requests, each of which goes to the service that asked.

use super::Core;
use super::contract::Output;
use crate::base::table::Handle;
use crate::base::time::{Instant, UnixTime, earliest};
use crate::home::registrar::BindingHandle;
use crate::sip::route::Routes;
use crate::sip::stack::{ClientHandle, Produced, Task};
use crate::sip::transaction::client::Owner;
use crate::wire::sip::{Message, Method, Name, SessionExpires};

impl Core {
    /// A request of ours was answered, or will not be: then there is no message.
    pub(super) fn own_answered(
        &mut self,
        now: Instant,
        owner: Owner,
        client: ClientHandle,
        message: Option<&Message<'_>>,
    ) {
        let Some(bits) = self.stack.client(client).map(|client| client.context) else { return };
        match owner {
            Owner::Proxy => {}
            Owner::Watch => {
                let handle = Handle::from_bits(bits);
                self.presence.answered(now, &mut self.stack, handle, client, message);
            }
            Owner::Watched => {
                let (presence, mut around) = self.split_presence();
                let handle = Handle::from_bits(bits);
                if let Some(changed) = presence.watched.answered(now, around.stack, handle, client, message) {
                    presence.watched_changed(now, &mut around, changed);
                }
            }
            Owner::Probe => self.registrar.probed(&mut self.stack, Handle::from_bits(bits), message),
            Owner::Letter => {
                if message.and_then(Message::status).is_some_and(|status| (200..300).contains(&status)) {
                    self.taken_late(Handle::from_bits(bits));
                }
            }
            Owner::Delivery => match message.and_then(Message::status) {
                Some(100..=199) => {}
                status => self.delivery_answered(now, bits, status),
            },
            Owner::Summary => {
                if message.and_then(Message::status).is_some_and(|status| (200..300).contains(&status)) {
                    self.summary_taken(bits);
                }
            }
            // Whatever it says, the call is over.
            Owner::Call => {}
            Owner::Word => {
                let device: BindingHandle = Handle::from_bits(bits);
                match message.and_then(Message::status) {
                    Some(200..=299) => self.registrar.heard(now, device),
                    Some(100..=199) => {}
                    status => log::debug!("a device has not taken a word from the home: {status:?}"),
                }
            }
        }
    }

    /// Puts together what is known of everybody, and tells those who wait what has changed for them.
    pub(super) fn gather(&mut self, now: Instant) -> Produced<Output> {
        let (presence, mut around) = self.split_presence();
        presence.gather(now, &mut around);
        self.presence.note_places(self.time(now));
        self.watch_absences(now);
        let deadline = earliest(self.announce(now), self.watch_accounts(now));
        self.stack.schedule.set_deadline(Task::People.id(), deadline);
        // How people are shown on other networks may have changed with that.
        for index in 0..self.bridges.len() {
            self.stack.schedule.wake(Task::Account(index).id());
        }
        Produced::Nothing
    }

    /// Sends the NOTIFY that is due to a watcher.
    pub(super) fn produce_notify(&mut self, now: Instant, index: usize) -> Produced<Output> {
        let clock = self.time(now);
        let (presence, mut around) = self.split_presence();
        presence.produce(now, &mut around, clock, index);
        Produced::Nothing
    }

    /// The time of day, if it is known.
    pub(super) fn time(&self, now: Instant) -> Option<UnixTime> {
        self.clock.map(|(UnixTime(time), told_at)| UnixTime(time + now.since(told_at) / 1000))
    }

    /// Counts a call whose 2xx passes.
    pub(super) fn count_call(&mut self, now: Instant, message: &Message<'_>) {
        let is_accepted = message.status().is_some_and(|status| (200..300).contains(&status));
        let is_invite = message.essentials().is_some_and(|essentials| essentials.cseq.method == Method::Invite);
        if !(is_accepted && is_invite) {
            return;
        }
        let Some((callee, caller)) = Routes::recorded(message, &self.stack.random) else { return };
        let session_s = message.field(Name::SessionExpires).and_then(|it| SessionExpires::parse(it.value).ok());
        let session_s = session_s.map(|session| session.seconds);
        if self.presence.calls.began(now, (&caller, &callee), session_s) {
            self.stack.schedule.wake(Task::People.id());
        }
        self.reschedule_calls();
    }

    /// Something was said in a dialog that passes here.
    pub(super) fn count_dialog(&mut self, now: Instant, pair: u32, method: Method<'_>) {
        match method {
            Method::Bye => {
                if self.presence.calls.ended(pair) {
                    self.stack.schedule.wake(Task::People.id());
                }
            }
            _ => self.presence.calls.heard(now, pair),
        }
        self.reschedule_calls();
    }

    /// Forgets calls of which nothing was heard for too long.
    pub(super) fn calls_due(&mut self, now: Instant) {
        if self.presence.calls.expire(now) {
            self.stack.schedule.wake(Task::People.id());
        }
        self.reschedule_calls();
    }

    fn reschedule_calls(&mut self) {
        let deadline = self.presence.calls.deadline();
        self.stack.schedule.set_deadline(Task::Calls.id(), deadline);
    }
}
