//! Who is away and who is back: what is said to senders in somebody's name meanwhile, and what she is told on her return,
//! the texts themselves if she wants them (with the time they came, RFC 3862 or in words), and one line about the rest.

use core::fmt::Write as _;

use heapless::{String, Vec};

use super::contract::{Output, StoreError};
use super::delegation::from_address;
use super::tickets::Waiter;
use super::{Core, Server};
use crate::base::limits::{PEOPLE, SENDERS};
use crate::base::net::Flow;
use crate::base::random::Purpose;
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime, earliest};
use crate::config::model::{Missed, State};
use crate::home::binding::Text;
use crate::home::inbox::{self, Category, Kept, Letter, LetterHandle, What};
use crate::home::phrases;
use crate::home::policy::Assurance;
use crate::home::proxy::ContextHandle;
use crate::home::word::{self, WORD_BYTES, Word};
use crate::sip::stack::{Produced, Task};
use crate::sip::transaction::client::Owner;
use crate::spool::{Key, Kind};
use crate::wire::cpim::{self, Cpim};
use crate::wire::sip::{MediaType, Message, Name, list};

/// What is being told to people who are back.
pub(super) struct Returning {
    deliveries: Vec<Delivery, PEOPLE>,
    summaries: Vec<Told, PEOPLE>,
    /// Who has asked what is kept, and on which way.
    asked: Vec<(usize, Flow), PEOPLE>,
    /// Which state of the inbox watchers of message-summary were told.
    shown: [u64; PEOPLE],
}

/// Texts on their way to a person, one after the other.
struct Delivery {
    person: usize,
    /// The number of the last that was dealt with.
    done: u32,
    letter: u32,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The next is to be read.
    Next,
    Loading,
    /// It is on its way to so many devices, and whether the next is worth a try: one is there, whatever it said to this.
    Sent(u8, bool),
}

/// A summary on its way: the number of the newest letter in it.
struct Told {
    /// Who, as a seal.
    person: u32,
    number: u32,
}

impl Returning {
    pub const fn new() -> Self {
        Self { deliveries: Vec::new(), summaries: Vec::new(), asked: Vec::new(), shown: [0; PEOPLE] }
    }

    /// Whether nothing is on its way.
    pub fn is_at_rest(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The configuration has changed: what was on its way to whom is begun anew at the next return.
    pub fn forget(&mut self) {
        self.deliveries.clear();
        self.summaries.clear();
        self.asked.clear();
        self.shown = [u64::MAX; PEOPLE];
    }
}

impl Core {
    /// Takes notice of who is there, after what is known of people was put together anew.
    pub(super) fn watch_absences(&mut self, now: Instant) {
        for person in 0..self.people.model.people.len() {
            let is_available = self.presence.state(person) == State::Available;
            self.absences.update(now, person, is_available);
        }
        self.inbox_changed();
    }

    /// Something about the inbox is to be told or written.
    pub(super) fn inbox_changed(&mut self) {
        self.stack.schedule.wake(Task::Inbox.id());
    }

    /// A person asks what is kept for her; the answer goes to the device that a flow leads to.
    pub(super) fn ask_inbox(&mut self, person: usize, flow: Flow) {
        self.returning.asked.retain(|(other, _)| *other != person);
        // There is room for every person.
        let _ = self.returning.asked.push((person, flow));
        self.inbox_changed();
    }

    /// The disk is out of reach, and all that it holds.
    pub(super) fn inbox_gone(&mut self) {
        self.inbox.clear();
        self.returning.deliveries.clear();
        self.machines.greetings_gone();
        self.upload.fail();
        self.inbox_changed();
    }

    /// The time for a letter: seconds since 1970, 0 while the clock can't be right.
    pub(super) fn unix_time(&self, now: Instant) -> u32 {
        /// 2025-01-01: this program is younger.
        const BUILT_AFTER: u64 = 1_735_689_600;
        let time = self.time(now).map_or(0, |UnixTime(time)| time);
        if time < BUILT_AFTER { 0 } else { u32::try_from(time).unwrap_or(u32::MAX) }
    }
}

impl Server {
    /// What there is to do about the inbox: one request to the storage at a time.
    pub(super) fn produce_inbox(&mut self, now: Instant, has_credit: bool, buffer: &mut [u8]) -> Produced<Output> {
        let core = &mut self.core;
        core.absences.due(now);
        core.inbox.due(now);
        let expiry = core.expire(now);
        core.show_waiting(now);
        while let Some((person, flow)) = self.core.returning.asked.pop() {
            self.answer_inbox(now, person, flow);
        }
        if self.core.has_disk() {
            while let Some(person) = self.core.absences.take_return(now) {
                self.came_back(now, person);
            }
            while let Some(person) = self.core.delivered_all() {
                self.summarise(now, person);
            }
        }
        let core = &mut self.core;
        let deadline = earliest(expiry, earliest(core.absences.deadline(), core.inbox.deadline()));
        core.stack.schedule.set_deadline(Task::Inbox.id(), deadline);
        let has_work = core.inbox.has_work() || core.upload.has_work() || core.next_delivery().is_some();
        if !has_work || !core.has_disk() {
            return Produced::Nothing;
        }
        if !core.can_store(has_credit) {
            return Produced::Blocked;
        }
        core.inbox_changed();
        core.produce_change(buffer).map_or(Produced::Nothing, Produced::Output)
    }

    /// A person is back.
    fn came_back(&mut self, now: Instant, person: usize) {
        let core = &mut self.core;
        if core.settings.get(&core.people.model, person).missed == Missed::Deliver
            && !core.returning.deliveries.iter().any(|delivery| delivery.person == person)
        {
            // There is room for every person.
            let _ = core.returning.deliveries.push(Delivery { person, done: 0, letter: 0, step: Step::Next });
            return core.inbox_changed();
        }
        self.summarise(now, person);
    }

    /// Tells a person what came while she was away, if anything did that she was not told of.
    fn summarise(&mut self, now: Instant, person: usize) {
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let told_number = self.core.absences.told_number(person);
        let Some(number) = self.write_summary(now, person, told_number, &mut out) else { return };
        let core = &mut self.core;
        let text = super::chat::text_of(&out);
        let seal = core.people.seal(&core.stack.random, person);
        let (_, mut around) = core.split_presence();
        if word::tell_as(now, &mut around, person, None, text, (Owner::Summary, seal)) == 0 {
            return;
        }
        core.returning.summaries.retain(|told| told.person != seal);
        let _ = core.returning.summaries.push(Told { person: seal, number });
    }

    /// Writes what is new for a person since she was told up to a number, with a link to it; the number of the newest.
    /// Nothing is written when there is nothing.
    fn write_summary(&mut self, now: Instant, person: usize, told_number: u32, out: &mut Writer<'_>) -> Option<u32> {
        let groups = self.core.inbox.groups(person, told_number);
        let number = groups.iter().map(|group| group.newest).max()?;
        let mut room = [0; URL_BYTES];
        let mut url = Writer::new(&mut room);
        let is_linked = self.write_link(now, person, (told_number + 1, number), &mut url);
        let url = if is_linked { super::chat::text_of(&url) } else { "" };
        let core = &mut self.core;
        let mut missed: Vec<phrases::Missed<'_>, SENDERS> = Vec::new();
        for group in &groups {
            let name = core.inbox.sender(group.sender).map_or("", |sender| sender.shown());
            let (texts, voices, calls) = (group.texts, group.voices, group.calls);
            let _ = missed.push(phrases::Missed { name, texts, voices, calls });
        }
        let language = core.people.model.people.get(person).map(|person| person.language).unwrap_or_default();
        phrases::summary(language, missed.into_iter(), url, out);
        Some(number)
    }

    /// Writes a link to the letters of a person that are numbered from the first to the last. Whether there is a page.
    pub(super) fn write_link(&mut self, now: Instant, person: usize, span: (u32, u32), out: &mut Writer<'_>) -> bool {
        let is_written = self.web.link(now, &mut self.core, person, span, out);
        self.core.stack.schedule.wake(Task::Journal.id());
        is_written
    }

    /// Says what is kept for a person that she has not read, whether she was told of it or not, with a link.
    pub(super) fn tell_inbox(&mut self, now: Instant, person: usize, out: &mut Writer<'_>) {
        if self.write_summary(now, person, 0, out).is_none() {
            out.text("Nothing new is kept for you.");
        }
    }

    /// Answers who has asked the home what is kept, on the device that asked.
    fn answer_inbox(&mut self, now: Instant, person: usize, flow: Flow) {
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        self.tell_inbox(now, person, &mut out);
        let (_, mut around) = self.core.split_presence();
        word::tell(now, &mut around, person, Some(flow), super::chat::text_of(&out));
    }
}

impl Core {
    /// A device has taken a summary.
    pub(super) fn summary_taken(&mut self, seal: u32) {
        let told = self.returning.summaries.iter().position(|told| told.person == seal);
        let told = told.map(|index| self.returning.summaries.swap_remove(index));
        if let Some((told, person)) = told.zip(self.person_of_seal(seal)) {
            self.absences.told(person, told.number);
            self.stack.schedule.wake(Task::Journal.id());
        }
    }

    /// Removes what is older than messages are kept (`keep_days`); when the next is.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let (unix_s, days) = (self.unix_time(now), u32::from(self.people.model.main.keep_days));
        if unix_s == 0 || days == 0 {
            return None;
        }
        let age_s = days * DAY_S;
        let mut next = None;
        for person in 0..self.people.model.people.len() {
            let oldest = |inbox: &inbox::Inbox| {
                let mut letters = inbox.letters(person).rev();
                letters.find(|(_, letter)| letter.at != 0).map(|(handle, letter)| (handle, letter.at))
            };
            while let Some((handle, at)) = oldest(&self.inbox) {
                let left_s = at.saturating_add(age_s).saturating_sub(unix_s);
                if left_s > 0 {
                    // The clock may be set meanwhile: it is looked at each day at least.
                    next = earliest(next, Some(now.plus(u64::from(left_s.min(DAY_S)) * 1000)));
                    break;
                }
                self.inbox.remove(handle);
            }
        }
        next
    }

    /// Tells who watches how much waits (RFC 3842) what has changed.
    fn show_waiting(&mut self, now: Instant) {
        for person in 0..self.people.model.people.len() {
            let changes = self.inbox.changes(person);
            if core::mem::replace(&mut self.returning.shown[person], changes) != changes {
                let waiting = self.inbox.counts(person);
                self.presence.set_waiting(now, &mut self.stack, person, waiting);
            }
        }
    }

    /// The next record to be forgotten, changed or read.
    fn produce_change(&mut self, buffer: &mut [u8]) -> Option<Output> {
        if let Some(output) = self.produce_upload(buffer) {
            return Some(output);
        }
        if let Some((category, id)) = self.inbox.next_forgotten() {
            let ticket = self.tickets.issue(Waiter::Journal);
            return Some(Output::Forget { ticket, key: key_of(category, id) });
        }
        if let Some(handle) = self.inbox.next_amended()
            && let Some(letter) = self.inbox.get(handle)
        {
            let ticket = self.tickets.issue(Waiter::Amended);
            let (key, state) = (key_of(letter.category, letter.id), letter.state as u8);
            return Some(Output::Amend { ticket, key, state });
        }
        let index = self.next_delivery()?;
        let delivery = self.returning.deliveries.get(index)?;
        let handle = self.next_text(delivery)?;
        let letter = *self.inbox.get(handle)?;
        let delivery = self.returning.deliveries.get_mut(index)?;
        (delivery.done, delivery.letter, delivery.step) = (letter.number, handle.to_bits(), Step::Loading);
        let ticket = self.tickets.issue(Waiter::Delivery(handle.to_bits()));
        Some(Output::Load { ticket, key: key_of(Category::Text, letter.id) })
    }

    /// The state of a letter was written, or not.
    pub(super) fn amended(&mut self, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) | Err(StoreError::Unknown | StoreError::NoDisk) => {}
            // A full disk does not get emptier by trying; the next change of the letter is written again.
            Err(error) => log::warn!("that a message was read or deleted could not be written: {error:?}"),
        }
    }
}

/// Texts that are delivered.
impl Core {
    /// A delivery that can go on.
    fn next_delivery(&self) -> Option<usize> {
        let can_go_on = |delivery: &Delivery| delivery.step == Step::Next && self.next_text(delivery).is_some();
        self.returning.deliveries.iter().position(can_go_on)
    }

    /// A person to whom all texts were delivered.
    fn delivered_all(&mut self) -> Option<usize> {
        let is_done = |delivery: &Delivery| delivery.step == Step::Next && self.next_text(delivery).is_none();
        let index = self.returning.deliveries.iter().position(is_done)?;
        Some(self.returning.deliveries.swap_remove(index).person)
    }

    /// The oldest new text behind the one that was delivered last. What fills more than a few datagrams stays for the page.
    fn next_text(&self, delivery: &Delivery) -> Option<LetterHandle> {
        let is_due = |letter: &Letter| {
            letter.category == Category::Text
                && letter.state == inbox::State::New
                && letter.number > delivery.done
                && letter.size as usize <= DELIVERED_BYTES
        };
        let mut letters = self.inbox.letters(delivery.person).rev();
        letters.find(|(_, letter)| is_due(letter)).map(|(handle, _)| handle)
    }

    /// A text was read that is to be delivered.
    pub(super) fn delivery_loaded(&mut self, now: Instant, letter: u32, outcome: Result<&[u8], StoreError>) {
        let kept = outcome.ok().and_then(Kept::read);
        // By its letter: people have other numbers after a reload, and a delivery that was begun before is none any more.
        let waits = |delivery: &Delivery| delivery.letter == letter && delivery.step == Step::Loading;
        let Some(index) = self.returning.deliveries.iter().position(waits) else { return };
        let person = self.returning.deliveries[index].person;
        let sent = match kept {
            Some(Kept { at, address, name, what: What::Text { content_type, encoding, body }, .. }) => {
                let text = Delivered { at, address, name, content_type, encoding, body };
                self.deliver(now, person, letter, &text)
            }
            // It can't be read: the summary says that it is there.
            _ => None,
        };
        let Some(delivery) = self.returning.deliveries.get_mut(index) else { return };
        match sent {
            // One that can't be sent must not keep those behind it.
            None => delivery.step = Step::Next,
            Some(0) => (delivery.done, delivery.step) = (u32::MAX, Step::Next),
            Some(sent) => delivery.step = Step::Sent(sent as u8, false),
        }
        self.inbox_changed();
    }

    /// Sends a text to all devices of a person; to how many. `None`: it fits none of them, and is read on the page.
    fn deliver(&mut self, now: Instant, person: usize, letter: u32, text: &Delivered<'_>) -> Option<usize> {
        let clock = self.time(now);
        let language = self.people.model.people.get(person).map(|person| person.language).unwrap_or_default();
        let zone = self.people.model.main.timezone;
        let (_, mut around) = self.split_presence();
        let to = word::address(around.people, person)?;
        let mut from: String<FROM_BYTES> = String::new();
        write!(from, "sip:{}", core::str::from_utf8(text.address).ok()?).ok()?;
        let devices = word::devices(&around, person, None);
        let (mut sent, mut fits) = (0, devices.is_empty());
        for device in devices {
            let accept = around.registrar.get(device).map(|it| it.text(&around.stack.store, Text::Accept));
            let mut room = [0; DELIVERED_BYTES + WORD_BYTES];
            let mut out = Writer::new(&mut room);
            let is_wrapped = accept.is_some_and(takes_cpim) && !text.is_cpim();
            if !is_wrapped && !text.encoding.is_empty() {
                continue;
            }
            let content_type = if is_wrapped {
                text.write_cpim((from.as_bytes(), to.as_bytes()), &mut out);
                &b"message/cpim"[..]
            } else {
                if text.is_plain() {
                    phrases::time_prefix(language, text.at, clock, &zone, &mut out);
                }
                out.put(text.body);
                if text.content_type.is_empty() { b"text/plain" } else { text.content_type }
            };
            let Ok(len) = out.finish() else { continue };
            fits = true;
            let word = Word { from: from.as_bytes(), to: to.as_bytes(), fields: "", content_type, body: &room[..len] };
            sent += usize::from(word::send(now, &mut around, device, &word, (Owner::Delivery, letter)));
        }
        fits.then_some(sent)
    }

    /// A device has answered a text that was delivered, or not.
    pub(super) fn delivery_answered(&mut self, now: Instant, letter: u32, status: Option<u16>) {
        if status.is_some_and(|status| status < 300) {
            // Whatever became of the delivery meanwhile: she has it.
            self.inbox.set_state(now, LetterHandle::from_bits(letter), inbox::State::Old);
        }
        self.inbox_changed();
        let waits = |delivery: &&mut Delivery| delivery.letter == letter && matches!(delivery.step, Step::Sent(..));
        let Some(delivery) = self.returning.deliveries.iter_mut().find(waits) else { return };
        let Step::Sent(pending, is_worth_it) = delivery.step else { return };
        // What it says of this text (its type, its size) says nothing of the next.
        let is_there = matches!(status, Some(200..=299 | 400 | 406 | 413 | 415 | 420 | 488 | 493 | 606));
        delivery.step = Step::Sent(pending.saturating_sub(1), is_worth_it || is_there);
        if pending <= 1 {
            delivery.step = Step::Next;
            // Nobody is there for the next either: all of them stay as they are.
            if !(is_worth_it || is_there) {
                delivery.done = u32::MAX;
            }
        }
    }
}

/// The answer in her name.
impl Core {
    /// Whether who has sent a text is to be told that it is kept, and by whom: once in an absence, never a program.
    pub(super) fn reply_for(&mut self, now: Instant, context: ContextHandle) -> Option<Reply> {
        let context = self.proxy.get(context)?;
        let person = self.person_of_seal(context.passage.callee)?;
        let caller = self.person_of_seal(context.passage.caller).filter(|_| context.assurance == Assurance::Digest);
        let flow = self.stack.server(context.server).map(|tx| tx.flow)?;
        let message = Message::parse(self.stack.store.get(&context.request)).ok()?;
        let essentials = message.essentials()?;
        if caller == Some(person) || is_automatic(&message) {
            return None;
        }
        let asker = Vec::from_slice(essentials.from.uri).ok()?;
        let mut who = self.stack.random.hash(Purpose::Table);
        who.put_lower(from_address(essentials));
        let who = who.finish();
        let is_from_network = matches!(context.assurance, Assurance::Account(_));
        self.absences.replied(now, person, who).then_some(Reply { person, caller, flow, asker, is_from_network })
    }

    /// What who writes to a person while she is away is told: in her own words, or those of the house in her language.
    pub(super) fn write_busy_text(&self, person: usize, out: &mut Writer<'_>) {
        let model = &self.people.model;
        let Some(section) = model.people.get(person) else { return };
        match self.settings.get(model, person).busy {
            "" => {
                let name = if section.name.is_empty() { &section.id } else { &section.name };
                phrases::busy_reply(section.language, name, out);
            }
            own => out.text(own),
        }
    }

    /// Says in a person's name that what was sent to her is kept, only on the way that it came.
    pub(super) fn send_reply(&mut self, now: Instant, reply: &Reply) {
        let Reply { person, caller, flow, ref asker, is_from_network } = *reply;
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        self.write_busy_text(person, &mut out);
        let Some(from) = word::address(&self.people, person) else { return };
        let body = super::chat::text_of(&out);
        if is_from_network {
            let to = core::str::from_utf8(asker).unwrap_or_default();
            let seal = self.people.seal(&self.stack.random, person);
            let taken = self.take_text(now, (seal, to.strip_prefix("sip:").unwrap_or(to)), body, true, None);
            return taken
                .map(drop)
                .unwrap_or_else(|full| log::warn!("an answer in somebody's name is not sent: {full:?}"));
        }
        let (body, content_type) = (body.as_bytes(), word::PLAIN.as_bytes());
        let word = Word { from: from.as_bytes(), to: asker, fields: word::AUTOMATIC, content_type, body };
        let (_, mut around) = self.split_presence();
        match caller {
            Some(caller) => {
                for device in word::devices(&around, caller, None) {
                    word::send(now, &mut around, device, &word, (Owner::Word, device.to_bits()));
                }
            }
            None => {
                word::answer(now, around.stack, flow, &word);
            }
        }
    }
}

/// An answer in somebody's name.
pub(super) struct Reply {
    person: usize,
    /// Who is answered, when it is somebody of the home.
    caller: Option<usize>,
    flow: Flow,
    /// The address that is answered, a URI.
    asker: Vec<u8, FROM_BYTES>,
    /// Whether it came from another network, and the answer goes back there.
    is_from_network: bool,
}

/// A text as it is delivered.
struct Delivered<'b> {
    at: u32,
    address: &'b [u8],
    name: &'b [u8],
    content_type: &'b [u8],
    encoding: &'b [u8],
    body: &'b [u8],
}

impl Delivered<'_> {
    fn is(&self, main: &str, sub: &str) -> bool {
        MediaType::parse(self.content_type).is_ok_and(|media| media.is(main, sub))
    }

    fn is_cpim(&self) -> bool {
        self.is("message", "cpim")
    }

    fn is_plain(&self) -> bool {
        self.encoding.is_empty() && (self.content_type.is_empty() || self.is("text", "plain"))
    }

    fn write_cpim(&self, (from, to): (&[u8], &[u8]), out: &mut Writer<'_>) {
        let (mut from_room, mut to_room) = ([0; 2 * FROM_BYTES], [0; FROM_BYTES]);
        let mut party = Writer::new(&mut from_room);
        cpim::party(core::str::from_utf8(self.name).unwrap_or_default(), from, &mut party);
        let mut other = Writer::new(&mut to_room);
        cpim::party("", to, &mut other);
        Cpim {
            from: party.written(),
            to: other.written(),
            at: (self.at != 0).then_some(UnixTime(self.at.into())),
            content_type: self.content_type,
            encoding: self.encoding,
            body: self.body,
        }
        .write(out);
    }
}

/// Whether a device says that it takes wrapped messages.
fn takes_cpim(accept: &[u8]) -> bool {
    list(accept).any(|value| MediaType::parse(value).is_ok_and(|media| media.is("message", "cpim")))
}

/// Whether a message was sent by a program, which must not be answered by another (in the sense of RFC 3834 §2).
fn is_automatic(message: &Message<'_>) -> bool {
    let says_so = message.fields_named(Name::AutoSubmitted).any(|field| !field.value.eq_ignore_ascii_case(b"no"));
    let essentials = message.essentials();
    let user = essentials.and_then(|it| it.from.parsed_uri().ok()).and_then(|uri| uri.sip().and_then(|uri| uri.user));
    says_so || user.is_none_or(|user| user.eq_ignore_ascii_case(b"pcs"))
}

/// The record of a letter.
pub(super) const fn key_of(category: Category, id: u64) -> Key {
    let kind = match category {
        Category::Text => Kind::Text,
        Category::Voice => Kind::Voice,
        Category::Call => Kind::Call,
    };
    Key { kind, id }
}

/// Seconds of a day.
const DAY_S: u32 = 86_400;
/// Bytes of a link.
const URL_BYTES: usize = 256;
/// Bytes of an address as a URI.
const FROM_BYTES: usize = 160;
/// Bytes of a text that is delivered to a device at most; larger ones are read on the page.
const DELIVERED_BYTES: usize = 4_096;
