//! Texts of people to buddies on other networks: which way each takes ([`route`]), handed to the account that is on it, and
//! answered when the network has it; kept in the spool while nobody takes it. And how people are shown on their accounts.

use core::fmt::Write as _;

use super::bridges::{Address, Order, Standing};
use super::contract::{BlobStep, Output, Storage, StoreError};
use super::requests::Incoming;
use super::tickets::Waiter;
use super::{Core, agent::refused};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::bridge::TEXT_BYTES;
use crate::config::model::Language;
use crate::home::outbox::{self, Full, Kept, New, RecordStep, Step, TextHandle};
use crate::home::people::reach::{Facts, Reach, Route};
use crate::home::people::ways::AccountState;
use crate::home::phrases;
use crate::home::policy::{
    self, Asker, Decision, Delegation as Possible, Event, Kind as Wish, Snapshot, Stage, State, Target as Goal,
};
use crate::home::presence::list::URI_BYTES;
use crate::home::presence::watched::Watched;
use crate::home::proxy::context::{Delegation, Passage, Retarget};
use crate::home::proxy::veil::Crossing;
use crate::home::proxy::{ContextHandle, Job};
use crate::home::word::WORD_BYTES;
use crate::sip::stack::{Produced, Task};
use crate::spool::{Key, Kind};
use crate::wire::sip::{Fault, MediaType, Message, Method, Name, SipUri};
use crate::wire::{cpim, html, sign};

/// A text that an account can send now.
pub(super) struct Due {
    pub handle: TextHandle,
    pub id: u32,
    pub who: Address,
    pub is_automatic: bool,
    len: usize,
}

impl Due {
    pub fn text<'t>(&self, text: &'t [u8]) -> Option<&'t str> {
        core::str::from_utf8(text.get(..self.len)?).ok()
    }
}

/// Where a text goes now.
enum Way {
    /// By an account, to this address there.
    Account(usize, Address),
    /// By SIP.
    Sip,
    /// Nowhere yet.
    Keep,
    /// There is nobody of that name any more.
    Nowhere,
}

/// What the names of outcomes of texts that went by SIP have that those of accounts have not.
const OVER_SIP: u32 = outbox::IDS;
/// Without a disk, who waits for an answer is told after so long that it is on its way, if it was handed over.
const UNCONFIRMED_MS: u64 = 20_000;
/// What a network has not taken within so long of being on was cut off with the connection before.
const CUT_MS: u64 = 5_000;
/// Such a text goes again after so long.
const CUT_AGAIN_MS: u64 = 1_000;

/// Texts from devices and the page.
impl Core {
    /// Takes a message that a person of the home has sent to an address of a buddy. Whether it is one that goes by another
    /// network, or waits here: else it goes its way by SIP.
    pub(super) fn write_to_buddy(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        asker: Asker<'_>,
        person: usize,
        uri: &SipUri<'_>,
    ) -> bool {
        if incoming.method != Method::Message {
            return false;
        }
        let Some(reach) = self.people.reach(person, uri) else { return false };
        if !self.people.is_on_networks(&reach) {
            return false;
        }
        let message = incoming.message;
        let content_type = message.field(Name::ContentType).map_or(&b""[..], |field| field.value);
        let kind = if sign::is_sign(content_type, message.body()) { Wish::Sign } else { Wish::Message };
        if let Decision::Refuse(status, reason) = self.may_go_out(asker, kind) {
            self.refuse_asker(now, incoming, asker, status, reason);
            return true;
        }
        let way = self.way_to(person, &reach, 0);
        if let Way::Nowhere = way {
            self.refuse(now, incoming, 480, "No Account on His Network", "");
            return true;
        }
        if kind == Wish::Sign {
            if let Way::Sip = way {
                return false;
            }
            self.sign_to_buddy(way, message.body());
            self.answer_for_good(now, incoming, &refused(200, "OK", ""));
            return true;
        }
        if let Way::Sip = way {
            return false;
        }
        let mut room = [0; MESSAGE_TEXT_BYTES];
        let text = match text_in(message, &mut room) {
            Ok(text) => text,
            Err(fault) => {
                self.answer_for_good(now, incoming, &refused(fault.status, fault.reason, "Accept: text/plain\r\n"));
                return true;
            }
        };
        if text.is_empty() {
            self.answer_for_good(now, incoming, &refused(200, "OK", ""));
            return true;
        }
        let lasting = self.people.lasting_uri(&reach);
        let lasting =
            lasting.as_deref().and_then(|it| it.strip_prefix("sip:")).filter(|it| it.len() <= outbox::TO_BYTES);
        let Some(to) = lasting.or_else(|| address_text(uri)) else { return false };
        let seal = self.people.seal(&self.stack.random, person);
        if !self.outbox_has_room(seal, to, text) {
            self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 30\r\n");
            return true;
        }
        self.open_outgoing(now, incoming, asker, person, to, text);
        true
    }

    /// What the front door says of a message that leaves the home.
    fn may_go_out(&self, asker: Asker<'_>, kind: Wish) -> Decision {
        let snapshot = Snapshot {
            model: &self.people.model,
            person: None,
            state: State::Offline,
            by_hand: None,
            devices: &[],
            kept: Possible::NONE,
        };
        policy::decide(&Event { asker, kind, target: Goal::Outside, stage: Stage::Arrived }, &snapshot)
    }

    /// Whether there is room for all parts of a text: one that is taken in part would be doubled when it is sent again.
    fn outbox_has_room(&self, person: u32, to: &str, text: &str) -> bool {
        self.outbox.has_room(person, to, super::inward::parts_of(text, TEXT_BYTES).count())
    }

    /// Begins a response context that waits for a network, and takes the text.
    fn open_outgoing(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        asker: Asker<'_>,
        person: usize,
        to: &str,
        text: &str,
    ) {
        let seal = self.people.seal(&self.stack.random, person);
        let passage = Passage {
            routing: 0,
            own_routes: incoming.routes.own,
            is_strict: false,
            pair: 0,
            caller: seal,
            caller_binding: 0,
            callee: 0,
            breadth: 1,
            records: false,
            retarget: Retarget::None,
            crossing: Crossing::Within,
        };
        let job = Job {
            message: incoming.message,
            keys: &incoming.keys,
            flow: incoming.flow,
            kind: Wish::Message,
            passage,
            targets: heapless::Vec::new(),
            lookup: None,
            domain: Default::default(),
            assurance: asker.assurance,
            delegation: Delegation::Outgoing,
        };
        let (proxy, mut around) = self.split();
        if proxy.start(now, &mut around, job).is_err() {
            return self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        }
        let server = self.stack.find_server(incoming.keys.transaction);
        let context = server.and_then(|server| self.stack.server(server)?.context);
        let parts = super::inward::parts_of(text, TEXT_BYTES).count();
        let mut taken: heapless::Vec<TextHandle, { MESSAGE_TEXT_BYTES / TEXT_BYTES * 2 }> = heapless::Vec::new();
        for (number, part) in super::inward::parts_of(text, TEXT_BYTES).enumerate() {
            // Who waits is answered by what becomes of the last.
            let context = context.filter(|_| number + 1 == parts);
            let outcome = self.take_text(now, (seal, to), part, false, context);
            if let Ok(handle) = outcome
                && taken.push(handle).is_ok()
            {
                continue;
            }
            log::warn!("a text to another network is refused: {:?}", outcome.err());
            // None of it goes: it will be sent again as a whole.
            for handle in taken {
                self.outbox.remove(handle, &mut self.stack.store);
            }
            let fault = Fault { status: 480, reason: "Too Many Messages Wait for Him" };
            if let Some(context) = server.and_then(|server| self.stack.server(server)?.context) {
                self.nobody_takes_because(now, ContextHandle::from_bits(context), fault);
            }
            return;
        }
        self.stack.schedule.wake(Task::Outgoing.id());
    }

    /// Takes a text on its way.
    pub(super) fn take_text(
        &mut self,
        now: Instant,
        (person, to): (u32, &str),
        text: &str,
        is_automatic: bool,
        context: Option<u32>,
    ) -> Result<TextHandle, Full> {
        let bytes = self.stack.store.freeze(text.as_bytes()).ok_or(Full::Texts)?;
        let (record, at) = (self.stack.random.number(), self.unix_time(now));
        let new = New { record, person, to, is_automatic, at, context };
        match self.outbox.admit(now, new, bytes) {
            Ok(handle) => {
                self.stack.schedule.wake(Task::Outgoing.id());
                Ok(handle)
            }
            Err((full, bytes)) => {
                self.stack.store.release(bytes);
                Err(full)
            }
        }
    }

    /// That she types is told where a text would go now.
    fn sign_to_buddy(&mut self, way: Way, body: &[u8]) {
        let (Way::Account(account, who), Some(is_on)) = (way, sign::is_composing(body)) else { return };
        if let Some(bridge) = self.bridges.get_mut(account) {
            bridge.order(Order::Typing { to: who, is_on });
        }
        self.stack.schedule.wake(Task::Account(account).id());
    }

    /// Where a text to somebody goes now. Accounts with a bit in `refused_by` are left out.
    fn way_to(&self, person: usize, reach: &Reach, refused_by: u32) -> Way {
        match self.with_facts(person, refused_by, |facts| self.people.route(person, reach, facts)) {
            Route::Account { account, address } => Way::Account(account, address),
            Route::Sip => Way::Sip,
            Route::Keep => Way::Keep,
            Route::Nowhere => Way::Nowhere,
        }
    }

    /// Asks something about the ways of a person's texts now. Accounts with a bit in `refused_by` are off.
    pub(super) fn with_facts<R>(&self, person: usize, refused_by: u32, ask: impl FnOnce(&Facts<'_>) -> R) -> R {
        let facts = |account: usize| AccountState {
            is_online: self.bridges.is_online(account) && refused_by & 1 << account == 0,
            keeps: self.bridges.get(account).is_some_and(|bridge| bridge.abilities.keeps),
        };
        let sip = |buddy: usize| {
            let uri = self.people.buddy_uri::<URI_BYTES>(buddy)?;
            let is_it = |it: &Watched| usize::from(it.person) == person && it.uri == uri;
            self.presence.watched.iter().find(|(_, it)| is_it(it))?.1.status.as_ref()
        };
        ask(&Facts { account: &facts, sip: &sip })
    }

    /// Where a text that waits goes now.
    fn way_of_text(&self, handle: TextHandle) -> Option<(usize, Way)> {
        let text = self.outbox.get(handle)?;
        // Whose it was may be back tomorrow: it stays.
        let person = self.person_of_seal(text.person)?;
        let way = match self.people.reach_text(person, &text.to) {
            Some(reach) => self.way_to(person, &reach, text.refused_by),
            None => Way::Nowhere,
        };
        Some((person, way))
    }
}

/// What an account does.
impl Core {
    /// The next text that an account can send, copied to `room`.
    pub(super) fn next_text_for(&self, account: usize, room: &mut [u8; TEXT_BYTES]) -> Option<Due> {
        for handle in self.outbox.firsts() {
            let Some(text) = self.outbox.get(handle) else { continue };
            if !matches!(text.step, Step::Waiting { is_paused: false }) || text.bytes.is_none() {
                continue;
            }
            let Some((_, Way::Account(index, who))) = self.way_of_text(handle) else { continue };
            if index != account {
                continue;
            }
            let text = self.outbox.get(handle)?;
            let bytes = self.stack.store.get(text.bytes.as_ref()?);
            // None is longer, but for a record of another build.
            let Some(place) = room.get_mut(..bytes.len()) else { continue };
            place.copy_from_slice(bytes);
            return Some(Due { handle, id: text.id, who, is_automatic: text.is_automatic, len: bytes.len() });
        }
        None
    }

    /// A text was handed to an account.
    pub(super) fn text_handed(&mut self, now: Instant, account: usize, handle: TextHandle) {
        if let Some(text) = self.outbox.get_mut(handle) {
            text.step = Step::Handed(account as u8);
            let wait_ms = if text.record_step == RecordStep::None { outbox::PATIENCE_MS } else { outbox::SILENCE_MS };
            text.deadline = now.plus(wait_ms);
        }
        self.reschedule_outgoing();
    }

    /// A network has a text.
    pub(super) fn text_taken(&mut self, now: Instant, id: u32) {
        if let Some(handle) = self.outbox.by_id(id) {
            self.end_text(now, handle, Ok(()));
        }
    }

    /// A network could not take a text, or has lost it.
    pub(super) fn text_failed(&mut self, now: Instant, account: usize, id: u32, why: &'static str, is_final: bool) {
        let Some(handle) = self.outbox.by_id(id) else {
            // The server has taken it, and knows only now that nobody is there for it. Who wrote it was told that it was sent.
            if let Some(sent) = self.outbox.take_sent(account, id) {
                self.tell_not_sent(now, &sent.to, sent.person, why);
            }
            return;
        };
        let Some(text) = self.outbox.get_mut(handle) else { return };
        log::debug!("a text was not taken by its network: {why}");
        if is_final {
            text.refused_by |= 1 << account;
        }
        // It was silent for so long that the text went another way meanwhile.
        let is_elsewhere = match text.step {
            Step::Handed(other) => usize::from(other) != account,
            Step::OverSip | Step::Loading => true,
            // It was handed back when its session ended, and goes again with the next.
            Step::Waiting { .. } => !is_final,
        };
        if is_elsewhere {
            return;
        }
        let has_disk = self.journal.storage() == Storage::Disk;
        // What was cut off is told when the account is on again; it goes at once, or nearly so.
        let bridge = self.bridges.get(account);
        let online_ms = bridge.filter(|it| it.standing == Standing::Online).map(|it| now.since(it.since));
        let pause_ms = match online_ms {
            Some(..CUT_MS) => CUT_AGAIN_MS,
            _ => outbox::AGAIN_MS,
        };
        text.step = Step::Waiting { is_paused: !is_final && online_ms.is_some() };
        if !is_final {
            text.deadline = now.plus(pause_ms);
        }
        if !is_final && text.record_step == RecordStep::None && !text.is_automatic && has_disk {
            // Its sender does not wait for as long as that may take.
            text.record_step = RecordStep::Wanted;
        }
        // Another address of his may do.
        let has_other = matches!(self.way_of_text(handle), Some((_, Way::Account(..) | Way::Sip)));
        if is_final && !has_other {
            return self.end_text(now, handle, Err(why));
        }
        self.stack.schedule.wake(Task::Outgoing.id());
    }

    /// A text was taken, or never will be: who waits is answered, and else told.
    fn end_text(&mut self, now: Instant, handle: TextHandle, outcome: Result<(), &'static str>) {
        let Some(text) = self.outbox.remove(handle, &mut self.stack.store) else { return };
        if text.record_step != RecordStep::None {
            self.outbox.forget(text.record);
        }
        if let (Ok(()), Step::Handed(account), false) = (outcome, text.step, text.is_automatic) {
            self.outbox.note_sent(&text, account);
        }
        self.stack.schedule.wake(Task::Outgoing.id());
        let waits = text.context.map(ContextHandle::from_bits).filter(|it| self.is_waiting(*it));
        match (outcome, waits) {
            (Ok(()), Some(context)) => {
                let (proxy, mut around) = self.split();
                proxy.passed_on(now, &mut around, context, (200, "OK"));
            }
            (Ok(()), None) => {}
            (Err(_), Some(context)) => {
                self.nobody_takes_because(now, context, Fault { status: 480, reason: "Not Taken by His Network" });
            }
            (Err(_), None) if text.is_automatic => {}
            (Err(why), None) => self.tell_not_sent(now, &text.to, text.person, why),
        }
    }

    fn is_waiting(&self, context: ContextHandle) -> bool {
        self.proxy.get(context).is_some_and(|it| it.delegation == Delegation::Outgoing && it.waits_for_delegate())
    }

    fn tell_not_sent(&mut self, now: Instant, to: &str, person: u32, why: &str) {
        let Some(person) = self.person_of_seal(person) else { return };
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let language = self.language(person);
        phrases::undelivered(language, to.as_bytes(), &mut out);
        let _ = write!(out, " ({why})");
        self.tell_person(now, person, &out);
    }

    pub(super) fn language(&self, person: usize) -> Language {
        self.people.model.people.get(person).map(|person| person.language).unwrap_or_default()
    }
}

/// The outbox.
impl Core {
    /// What there is to do about texts on their way.
    pub(super) fn produce_outgoing(&mut self, now: Instant, has_credit: bool, buffer: &mut [u8]) -> Produced<Output> {
        self.show_contacts(now);
        while let Some((origin, status)) = self.stack.next_outcome() {
            match origin & OVER_SIP {
                0 => self.came_to(now, origin, status),
                _ => self.over_sip_ended(now, origin & !OVER_SIP, (200..300).contains(&status)),
            }
        }
        self.outgoing_due(now);
        self.send_what_can_go(now);
        let output = match self.outbox_has_work() || !self.bridges.changed.is_empty() {
            true if !self.has_disk() => None,
            true if !self.can_store(has_credit) => {
                self.reschedule_outgoing();
                return Produced::Blocked;
            }
            true => self.next_of_outbox(buffer),
            false => None,
        };
        self.reschedule_outgoing();
        match output {
            Some(output) => {
                self.stack.schedule.wake(Task::Outgoing.id());
                Produced::Output(output)
            }
            None => Produced::Nothing,
        }
    }

    pub(super) fn reschedule_outgoing(&mut self) {
        let deadline = earliest(self.people.contacts.deadline(), self.outbox.deadline());
        self.stack.schedule.set_deadline(Task::Outgoing.id(), deadline);
    }

    /// Acts on texts whose time has come.
    fn outgoing_due(&mut self, now: Instant) {
        let due: heapless::Vec<TextHandle, { crate::base::limits::OUTGOING }> = self
            .outbox
            .iter()
            .filter(|(_, text)| text.has_deadline() && text.deadline <= now)
            .map(|(handle, _)| handle)
            .collect();
        let has_disk = self.has_disk();
        for handle in due {
            let Some(text) = self.outbox.get_mut(handle) else { continue };
            let is_handed = matches!(text.step, Step::Handed(_) | Step::OverSip);
            match (text.step, text.record_step) {
                (Step::Waiting { is_paused: true }, RecordStep::None) => {
                    text.step = Step::Waiting { is_paused: false };
                    text.deadline = now.plus(outbox::PATIENCE_MS);
                }
                (Step::Waiting { .. }, RecordStep::Wanted | RecordStep::Storing | RecordStep::Stored) => {
                    text.step = Step::Waiting { is_paused: false };
                }
                (_, RecordStep::None) if text.is_automatic => self.end_text(now, handle, Err("it is out of date")),
                (_, RecordStep::None) if has_disk => {
                    text.record_step = RecordStep::Wanted;
                    text.deadline = now.plus(outbox::SILENCE_MS);
                }
                (_, RecordStep::None) if is_handed && text.context.is_some() => {
                    // It may well have arrived: to have it sent again is worse than to say that it is on its way.
                    let context = text.context.take().map(ContextHandle::from_bits);
                    text.deadline = now.plus(UNCONFIRMED_MS);
                    if let Some(context) = context.filter(|it| self.is_waiting(*it)) {
                        let (proxy, mut around) = self.split();
                        proxy.passed_on(now, &mut around, context, (202, "Accepted"));
                    }
                }
                (_, RecordStep::None) => self.end_text(now, handle, Err("nobody was there to take it")),
                // Its account is on, and would know if it was lost: sent again it would come twice.
                (Step::Handed(account), _) if self.bridges.is_online(usize::from(account)) => {
                    text.deadline = now.plus(outbox::SILENCE_MS);
                }
                _ => {
                    text.step = Step::Waiting { is_paused: false };
                    text.deadline = now.plus(outbox::SILENCE_MS);
                }
            }
        }
    }

    /// Has what can go now go.
    fn send_what_can_go(&mut self, now: Instant) {
        for handle in self.outbox.firsts() {
            let Some((person, way)) = self.way_of_text(handle) else { continue };
            let has_disk = self.has_disk();
            let Some(text) = self.outbox.get_mut(handle) else { continue };
            if text.step != (Step::Waiting { is_paused: false }) {
                continue;
            }
            let has_bytes = text.bytes.is_some();
            match way {
                Way::Account(account, _) if has_bytes => self.stack.schedule.wake(Task::Account(account).id()),
                Way::Sip if has_bytes => self.send_over_sip(now, person, handle),
                // It is read first: `next_of_outbox`.
                Way::Account(..) | Way::Sip => text.deadline = now,
                Way::Keep if text.record_step == RecordStep::None && !text.is_automatic && has_disk => {
                    text.record_step = RecordStep::Wanted;
                }
                Way::Keep if text.record_step == RecordStep::None && !has_disk => {
                    // Within moments an account may be on that is about to be.
                    let is_hopeless = text.is_automatic || !self.has_hope(person);
                    if is_hopeless {
                        self.end_text(now, handle, Err("nobody is there, and nothing can be kept"));
                    }
                }
                // While a disk is being read, whom it is for may be still to come.
                Way::Nowhere if text.record_step == RecordStep::Stored && !has_disk => {}
                Way::Keep => {}
                Way::Nowhere => self.end_text(now, handle, Err("there is nobody of that name")),
            }
        }
    }

    /// Whether an account of a person may be on soon.
    fn has_hope(&self, person: usize) -> bool {
        let accounts = self.people.model.accounts.iter().enumerate();
        accounts.filter(|(_, account)| usize::from(account.person) == person).any(|(index, _)| {
            self.bridges
                .get(index)
                .is_some_and(|it| matches!(it.standing, Standing::Connecting | Standing::Waiting { .. }))
        })
    }

    /// Sends a text that was kept to an address on SIP.
    fn send_over_sip(&mut self, now: Instant, person: usize, handle: TextHandle) {
        let Some(text) = self.outbox.get_mut(handle) else { return };
        let (id, to) = (text.id, text.to.clone());
        text.step = Step::OverSip;
        text.deadline = now.plus(outbox::SILENCE_MS);
        let Some(bytes) = text.bytes.as_ref() else { return };
        let mut room = [0; TEXT_BYTES];
        let kept = self.stack.store.get(bytes);
        let Some(place) = room.get_mut(..kept.len()) else { return };
        place.copy_from_slice(kept);
        let len = kept.len();
        let begun = self.send_as_from(now, person, to.as_bytes(), &room[..len], OVER_SIP | id);
        if matches!(begun, super::within::Begun::Refused(_)) {
            self.over_sip_ended(now, id, false);
        }
    }

    fn over_sip_ended(&mut self, now: Instant, id: u32, is_taken: bool) {
        let Some(handle) = self.outbox.by_id(id) else { return };
        if is_taken {
            return self.end_text(now, handle, Ok(()));
        }
        if let Some(text) = self.outbox.get_mut(handle) {
            text.step = Step::Waiting { is_paused: true };
            text.deadline = now.plus(outbox::AGAIN_MS);
        }
    }

    fn outbox_has_work(&self) -> bool {
        self.outbox.has_forgotten()
            || self.outbox.iter().any(|(_, text)| text.record_step == RecordStep::Wanted)
            || self.next_to_load().is_some()
    }

    /// A text that can go and has to be read before.
    fn next_to_load(&self) -> Option<TextHandle> {
        self.outbox.firsts().into_iter().find(|handle| {
            let is_out = self
                .outbox
                .get(*handle)
                .is_some_and(|text| text.bytes.is_none() && text.step == (Step::Waiting { is_paused: false }));
            is_out && matches!(self.way_of_text(*handle), Some((_, Way::Account(..) | Way::Sip)))
        })
    }

    /// The next request to the storage.
    fn next_of_outbox(&mut self, buffer: &mut [u8]) -> Option<Output> {
        if let Some(record) = self.outbox.next_forgotten() {
            let ticket = self.tickets.issue(Waiter::Journal);
            return Some(Output::Forget { ticket, key: key_of(record) });
        }
        let wanted = self.outbox.iter().find(|(_, text)| text.record_step == RecordStep::Wanted);
        if let Some(handle) = wanted.map(|(handle, _)| handle) {
            let text = self.outbox.get_mut(handle)?;
            text.record_step = RecordStep::Storing;
            let bytes = text.bytes.as_ref().map(|bytes| self.stack.store.get(bytes))?;
            let kept = Kept {
                order: text.order,
                person: text.person,
                at: text.at,
                to: &text.to,
                text: core::str::from_utf8(bytes).ok()?,
            };
            let len = postcard::to_slice(&kept, buffer).ok()?.len();
            let (key, owner) = (key_of(text.record), text.person);
            let ticket = self.tickets.issue(Waiter::Outgoing(handle.to_bits()));
            return Some(Output::Store { ticket, key, owner, len, blob: BlobStep::None });
        }
        if let Some(handle) = self.next_to_load() {
            let text = self.outbox.get_mut(handle)?;
            text.step = Step::Loading;
            let key = key_of(text.record);
            let ticket = self.tickets.issue(Waiter::OutgoingLoad(handle.to_bits()));
            return Some(Output::Load { ticket, key });
        }
        self.produce_bookmark(buffer)
    }

    /// A text is on the disk, or will not be.
    pub(super) fn outgoing_stored(&mut self, now: Instant, handle: TextHandle, outcome: Result<(), StoreError>) {
        let Some(text) = self.outbox.get_mut(handle) else { return };
        let context = text.context.map(ContextHandle::from_bits);
        self.stack.schedule.wake(Task::Outgoing.id());
        if let Err(error) = outcome {
            log::warn!("a text to another network could not be kept: {error:?}");
            text.record_step = RecordStep::None;
            // What was handed over may still arrive.
            if !matches!(text.step, Step::Handed(_)) {
                self.end_text(now, handle, Err("it could not be kept"));
            }
            return;
        }
        text.record_step = RecordStep::Stored;
        text.context = None;
        match context {
            Some(context) if !self.is_waiting(context) => {
                // Its sender was told that it failed.
                self.end_text(now, handle, Ok(()));
            }
            Some(context) => {
                let (proxy, mut around) = self.split();
                proxy.passed_on(now, &mut around, context, (202, "Accepted"));
            }
            None => {}
        }
        // What is on the disk need not be in memory while it waits.
        if let Some(text) = self.outbox.get_mut(handle).filter(|text| matches!(text.step, Step::Waiting { .. }))
            && let Some(bytes) = text.bytes.take()
        {
            self.stack.store.release(bytes);
        }
    }

    /// A text was read that is to go.
    pub(super) fn outgoing_loaded(&mut self, now: Instant, handle: TextHandle, outcome: Result<&[u8], StoreError>) {
        let Some(text) = self.outbox.get_mut(handle).filter(|text| text.step == Step::Loading) else { return };
        text.step = Step::Waiting { is_paused: false };
        self.stack.schedule.wake(Task::Outgoing.id());
        match outcome.ok().and_then(|bytes| postcard::from_bytes::<Kept<'_>>(bytes).ok()) {
            Some(kept) => match self.stack.store.freeze(kept.text.as_bytes()) {
                Some(bytes) => text.bytes = Some(bytes),
                None => {
                    text.step = Step::Waiting { is_paused: true };
                    text.deadline = now.plus(outbox::AGAIN_MS);
                }
            },
            None if outcome == Err(StoreError::NoDisk) => {}
            None => {
                log::error!("a text to another network can't be read from the disk any more");
                self.end_text(now, handle, Err("it can't be read any more"));
            }
        }
    }

    /// Takes a text back that was kept.
    pub(super) fn restore_outgoing(&mut self, now: Instant, record: u64, bytes: &[u8]) {
        match postcard::from_bytes::<Kept<'_>>(bytes) {
            Ok(kept) => {
                if let Err(full) = self.outbox.restore(now, record, &kept) {
                    log::warn!("a text to another network stays on the disk: {full:?}");
                }
                self.stack.schedule.wake(Task::Outgoing.id());
            }
            Err(_) => log::warn!("a text to another network can't be read and is left out"),
        }
    }
}

/// The text of a message as networks take it: plain.
fn text_in<'o>(message: &Message<'_>, room: &'o mut [u8; MESSAGE_TEXT_BYTES]) -> Result<&'o str, Fault> {
    const NO_TEXT: Fault = Fault { status: 415, reason: "Text Only" };
    const TOO_LONG: Fault = Fault { status: 413, reason: "Too Long" };
    let mut content_type = message.field(Name::ContentType).map_or(&b""[..], |field| field.value);
    let mut body = message.body();
    if message.field(Name::ContentEncoding).is_some_and(|it| !it.value.eq_ignore_ascii_case(b"identity")) {
        return Err(NO_TEXT);
    }
    let is = |content_type: &[u8], main, sub| MediaType::parse(content_type).is_ok_and(|media| media.is(main, sub));
    if is(content_type, "message", "cpim")
        && let Some(wrapped) = cpim::Cpim::parse(body)
    {
        (content_type, body) = (wrapped.content_type, wrapped.body);
    }
    let mut out = Writer::new(room);
    match () {
        () if content_type.is_empty() || is(content_type, "text", "plain") => {
            let text = core::str::from_utf8(body).map_err(|_| NO_TEXT)?;
            text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).for_each(|c| {
                let _ = out.write_char(c);
            });
        }
        () if is(content_type, "text", "html") => html::to_text(body, &mut out),
        () => return Err(NO_TEXT),
    }
    let len = out.finish().map_err(|_| TOO_LONG)?;
    core::str::from_utf8(&room[..len]).map_err(|_| NO_TEXT)
}

/// `USER@HOST` as written.
fn address_text<'b>(uri: &SipUri<'b>) -> Option<&'b str> {
    core::str::from_utf8(crate::home::policy::address_of(uri)).ok()
}

const fn key_of(record: u64) -> Key {
    Key { kind: Kind::Outgoing, id: record }
}

/// Bytes of a text that is taken from a device at once.
const MESSAGE_TEXT_BYTES: usize = 16 * 1024;

const _: () = assert!(crate::base::limits::ACCOUNTS <= 32, "who has refused a text is a 32-bit set");
