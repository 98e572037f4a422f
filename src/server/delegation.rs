//! What is for a person whom no device of hers takes it for: the front door is asked again ([`Stage`]), and then it is kept
//! (RFC 3428 §7: 202, and only once it is durable), answered by the machine, or noted as a missed call.
//!
//! The record is written from the request as it came, straight into the edge's buffer, when there is room for it; until it
//! is durable the response context keeps the request. A letter is named by who sent it to whom (From, Call-ID, CSeq): one
//! that is sent again, by whatever way, is the same.

use super::Core;
use super::chat::text_of;
use super::contract::{BlobStep, Output, StoreError};
use super::tickets::Waiter;
use crate::base::random::Purpose;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::config::model::Network;
use crate::home::inbox::{Category, Full, LetterHandle, What};
use crate::home::machine::Caller;
use crate::home::phrases;
use crate::home::policy::{
    self, Asker, Assurance, Decision, Delegation as Possible, Event, Kind, Snapshot, Stage, Target as Goal,
};
use crate::home::proxy::ContextHandle;
use crate::home::proxy::context::{Context, Delegation};
use crate::home::word::{self, WORD_BYTES};
use crate::sip::stack::Produced;
use crate::spool::{Key, Kind as Record};
use crate::wire::sip::{Essentials, Fault, Message, Name, Uri};

impl Core {
    /// What a response context has to do that is no device's business.
    pub(super) fn produce_context(
        &mut self,
        now: Instant,
        index: usize,
        has_credit: bool,
        buffer: &mut [u8],
    ) -> Produced<Output> {
        let Some((handle, context)) = self.proxy.at(index) else { return Produced::Nothing };
        // Without a disk there is nothing to wait for.
        let must_wait = self.has_disk() && !self.can_store(has_credit);
        match context.delegation {
            // Nothing of a text is begun before the disk has room for it: until then it may still come otherwise.
            Delegation::Asked(_) if must_wait && context.kind == Kind::Message => Produced::Blocked,
            Delegation::Asked(stage) => self.ask_again(now, handle, stage, buffer),
            Delegation::Noting if must_wait => Produced::Blocked,
            Delegation::Noting => self.note_call(now, handle, buffer),
            Delegation::Undelivered => {
                self.tell_undelivered(now, handle);
                Produced::Nothing
            }
            _ => Produced::Nothing,
        }
    }

    /// Asks the front door what becomes of a request now, and has it done.
    fn ask_again(&mut self, now: Instant, handle: ContextHandle, stage: Stage, buffer: &mut [u8]) -> Produced<Output> {
        let Some(context) = self.proxy.get(handle) else { return Produced::Nothing };
        let request = Message::parse(self.stack.store.get(&context.request));
        let (Some(person), Ok(message)) = (self.callee(context), request) else {
            self.nobody_takes(now, handle);
            return Produced::Nothing;
        };
        let kind = context.kind;
        let address = message.essentials().map_or(&b""[..], from_address);
        let there = self.address_there(context, person, &message);
        let address = there.as_ref().map_or(address, |there| there.as_bytes());
        let asker = Asker { assurance: context.assurance, person: self.caller(context), address };
        let possible = self.possible(person, kind);
        let state = self.presence.state(person);
        let snapshot = Snapshot {
            model: &self.people.model,
            person: Some(person),
            state,
            by_hand: None,
            devices: &[],
            kept: possible,
        };
        match policy::decide(&Event { asker, kind, target: Goal::Person, stage }, &snapshot) {
            Decision::Keep => return self.keep(now, handle, person, buffer),
            Decision::Answer => self.answer_by_machine(now, handle, person),
            Decision::Refuse(status, reason) if context.best.is_none() && context.pending().next().is_none() => {
                self.nobody_takes_because(now, handle, Fault { status, reason });
            }
            _ => self.nobody_takes(now, handle),
        }
        Produced::Nothing
    }

    /// What could be done with a request for a person.
    pub(super) fn possible(&self, person: usize, kind: Kind) -> Possible {
        let has_disk = self.has_disk();
        let is_answering = self.people.model.people.get(person).is_some_and(|person| person.answering);
        let voice = matches!(kind, Kind::Call { .. }) && has_disk && is_answering && self.machines.has_room();
        Possible { texts: has_disk, voice }
    }

    /// The person of the home that a request is for; `None` when she is not of it any more.
    fn callee(&self, context: &Context) -> Option<usize> {
        self.person_of_seal(context.passage.callee)
    }

    fn caller(&self, context: &Context) -> Option<usize> {
        self.person_of_seal(context.passage.caller)
    }

    /// Who has sent a request: under the name that the one it is for, or the home, knows him by, else under his own.
    pub(super) fn sender_of(&self, context: &Context, essentials: &Essentials<'_>) -> Caller {
        let address = from_address(essentials);
        let model = &self.people.model;
        let known = match self.caller(context) {
            Some(person) => model.people.get(person).map(|person| person.name.as_str()),
            None => {
                let callee = self.callee(context).zip(core::str::from_utf8(address).ok());
                let buddy = callee.and_then(|(person, it)| self.people.buddy_at(person, Network::Sip, it));
                buddy.map(|buddy| self.people.buddy_name(buddy))
            }
        };
        let mut room = [0; NAME_BYTES];
        let name = match known.filter(|name| !name.is_empty()) {
            Some(name) => {
                let end = (0..=NAME_BYTES.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
                &name.as_bytes()[..end.unwrap_or_default()]
            }
            None => display_name(essentials, &mut room),
        };
        Caller {
            address: address.iter().copied().take(ADDRESS_BYTES).collect(),
            name: name.iter().copied().collect(),
            is_stranger: context.assurance == Assurance::Claimed,
        }
    }

    /// The person with a seal.
    pub(super) fn person_of_seal(&self, seal: u32) -> Option<usize> {
        let people = 0..self.people.model.people.len();
        people.into_iter().find(|person| seal != 0 && self.people.seal(&self.stack.random, *person) == seal)
    }

    pub(super) fn nobody_takes(&mut self, now: Instant, handle: ContextHandle) {
        let (proxy, mut around) = self.split();
        proxy.undelegated(now, &mut around, handle);
    }

    pub(super) fn nobody_takes_because(&mut self, now: Instant, handle: ContextHandle, fault: Fault) {
        let (proxy, mut around) = self.split();
        proxy.refuse(now, &mut around, handle, fault);
    }
}

/// Texts.
impl Core {
    /// Keeps a text for a person: hands it to the disk, which has room.
    fn keep(&mut self, now: Instant, handle: ContextHandle, person: usize, buffer: &mut [u8]) -> Produced<Output> {
        match self.store_text(now, handle, person, buffer) {
            Ok(output) => output.map_or(Produced::Nothing, Produced::Output),
            Err(fault) => {
                self.nobody_takes_because(now, handle, fault);
                Produced::Nothing
            }
        }
    }

    /// The request to the disk; `None` when the text is there already, or on its way there.
    fn store_text(
        &mut self,
        now: Instant,
        handle: ContextHandle,
        person: usize,
        buffer: &mut [u8],
    ) -> Result<Option<Output>, Fault> {
        const UNREADABLE: Fault = Fault { status: 400, reason: "Bad Request" };
        const TOO_LARGE: Fault = Fault { status: 413, reason: "Too Large to Be Kept" };
        let at = self.unix_time(now);
        let context = self.proxy.get(handle).ok_or(UNREADABLE)?;
        let (owner, is_stranger) = (context.passage.callee, context.assurance == Assurance::Claimed);
        let message = Message::parse(self.stack.store.get(&context.request)).map_err(|_| UNREADABLE)?;
        let essentials = message.essentials().ok_or(UNREADABLE)?;
        let id = self.letter_id(owner, essentials);
        if let Some(letter) = self.inbox.find(id) {
            // It was sent again: by another way while it is being written, or because the first answer was lost.
            if self.inbox.get(letter).is_some_and(|letter| letter.is_settled()) {
                let (proxy, mut around) = self.split();
                proxy.kept(now, &mut around, handle, letter.to_bits());
            } else {
                self.proxy.delegate(handle, Delegation::Keeping(letter.to_bits()));
            }
            return Ok(None);
        }
        let from = self.sender_of(context, essentials);
        let sender = (from_address(essentials), from.name.as_slice());
        let letter = self.inbox.admit(person as u16, sender, is_stranger, Category::Text, id, at);
        let letter = letter.map_err(|full| {
            log::warn!("a text for {} is refused: {full:?}", self.people.model.people[person].id);
            full_fault(full)
        })?;
        let field = |name| message.field(name).map_or(&b""[..], |field| field.value);
        let (content_type, encoding, body) = (field(Name::ContentType), field(Name::ContentEncoding), message.body());
        let what = What::Text { content_type, encoding, body };
        let Some(len) = self.inbox.keep(letter, owner, what).and_then(|kept| kept.write(buffer)) else {
            self.inbox.withdraw(letter);
            return Err(TOO_LARGE);
        };
        self.inbox.measure(letter, body.len() as u32, 0);
        self.proxy.delegate(handle, Delegation::Keeping(letter.to_bits()));
        let ticket = self.tickets.issue(Waiter::Text(letter.to_bits()));
        let key = Key { kind: Record::Text, id };
        Ok(Some(Output::Store { ticket, key, owner, len, blob: BlobStep::None }))
    }

    /// A text is on the disk, or will not be: its sender is told.
    pub(super) fn text_stored(&mut self, now: Instant, letter: LetterHandle, outcome: Result<(), StoreError>) {
        let waits = |context: &Context| {
            matches!(context.delegation, Delegation::Keeping(bits) if bits == letter.to_bits())
                && context.waits_for_delegate()
        };
        if let Err(error) = outcome {
            log::warn!("a text could not be kept: {error:?}");
            self.inbox.withdraw(letter);
            while let Some(handle) = self.proxy.find(waits) {
                self.nobody_takes_because(now, handle, store_fault(error));
            }
            return;
        }
        let Some(first) = self.proxy.find(waits) else {
            // A device has taken it meanwhile, or its sender was told that it failed.
            self.inbox.remove(letter);
            return self.inbox_changed();
        };
        self.inbox.settled(letter);
        self.inbox_changed();
        let reply = self.reply_for(now, first);
        while let Some(handle) = self.proxy.find(waits) {
            let (proxy, mut around) = self.split();
            proxy.kept(now, &mut around, handle, letter.to_bits());
        }
        if let Some(reply) = reply {
            self.send_reply(now, &reply);
        }
    }

    /// A device has taken a text after all that was kept meanwhile.
    pub(super) fn taken_late(&mut self, letter: LetterHandle) {
        log::info!("a device took a text late: it is not kept");
        self.inbox.remove(letter);
        self.inbox_changed();
    }

    /// Tells a person that what she wrote on the page did not arrive.
    fn tell_undelivered(&mut self, now: Instant, handle: ContextHandle) {
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let person = self.proxy.get(handle).and_then(|context| {
            let person = self.caller(context)?;
            let message = Message::parse(self.stack.store.get(&context.request)).ok()?;
            let to = message.essentials()?.to.parsed_uri().ok()?;
            let language = self.people.model.people.get(person)?.language;
            phrases::undelivered(language, policy::address_of(to.sip()?), &mut out);
            Some(person)
        });
        let Self { proxy, stack, .. } = self;
        proxy.remove(stack, handle);
        if let Some(person) = person {
            let (_, mut around) = self.split_presence();
            word::tell(now, &mut around, person, None, text_of(&out));
        }
    }

    /// The name of a text.
    fn letter_id(&self, person: u32, essentials: &Essentials<'_>) -> u64 {
        let mut hash = self.stack.random.hash(Purpose::Journal);
        hash.put(b"text");
        hash.put(&person.to_le_bytes());
        for part in [from_address(essentials), essentials.from.tag().unwrap_or_default(), essentials.call_id] {
            hash.put(&(part.len() as u32).to_le_bytes());
            hash.put(part);
        }
        hash.put(&essentials.cseq.number.to_le_bytes());
        hash.finish()
    }

    /// Whether a text for a person is kept, or is being written.
    pub(super) fn is_kept(&self, person: usize, essentials: &Essentials<'_>) -> bool {
        let seal = self.people.seal(&self.stack.random, person);
        self.inbox.find(self.letter_id(seal, essentials)).is_some()
    }
}

/// Missed calls.
impl Core {
    /// Notes a call that nobody took.
    fn note_call(&mut self, now: Instant, handle: ContextHandle, buffer: &mut [u8]) -> Produced<Output> {
        let Some(context) = self.proxy.get(handle) else { return Produced::Nothing };
        let rang_seconds = (now.since(context.began_at) / 1000).min(u64::from(u16::MAX)) as u16;
        let owner = context.passage.callee;
        let message = Message::parse(self.stack.store.get(&context.request)).ok();
        let caller = message.as_ref().and_then(Message::essentials).map(|it| self.sender_of(context, it));
        let noted = self.person_of_seal(owner).zip(caller).and_then(|(person, caller)| {
            let missed = Missed { person, owner, caller: &caller, at: self.unix_time(now), rang_seconds };
            self.write_missed(&missed, buffer)
        });
        let Self { proxy, stack, .. } = self;
        proxy.remove(stack, handle);
        noted.map_or(Produced::Nothing, Produced::Output)
    }

    /// Writes the record of a missed call.
    pub(super) fn write_missed(&mut self, missed: &Missed<'_>, buffer: &mut [u8]) -> Option<Output> {
        let Missed { person, owner, caller, at, rang_seconds } = *missed;
        let (sender, is_stranger) = ((caller.address.as_slice(), caller.name.as_slice()), caller.is_stranger);
        if !self.has_disk() {
            return None;
        }
        let id = self.stack.random.number();
        let letter = self.inbox.admit(person as u16, sender, is_stranger, Category::Call, id, at);
        let letter = letter.inspect_err(|full| log::warn!("a missed call is not noted: {full:?}")).ok()?;
        self.inbox.measure(letter, 0, u32::from(rang_seconds) * 1000);
        let what = What::Call { rang_seconds };
        let Some(len) = self.inbox.keep(letter, owner, what).and_then(|kept| kept.write(buffer)) else {
            self.inbox.withdraw(letter);
            return None;
        };
        let ticket = self.tickets.issue(Waiter::Noted(letter.to_bits()));
        let key = Key { kind: Record::Call, id };
        Some(Output::Store { ticket, key, owner, len, blob: BlobStep::None })
    }

    /// A missed call is on the disk, or will not be.
    pub(super) fn call_noted(&mut self, letter: LetterHandle, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => self.inbox.settled(letter),
            Err(error) => {
                log::warn!("a missed call could not be noted: {error:?}");
                self.inbox.withdraw(letter);
            }
        }
        self.inbox_changed();
    }
}

/// A call that nobody took.
pub(super) struct Missed<'a> {
    /// For whom it was.
    pub person: usize,
    /// The same, as a seal.
    pub owner: u32,
    /// Who called.
    pub caller: &'a Caller,
    /// When, seconds since 1970 or 0.
    pub at: u32,
    /// How long it rang.
    pub rang_seconds: u16,
}

/// The display name in From, as it is read out; empty without one.
fn display_name<'o>(essentials: &Essentials<'_>, out: &'o mut [u8; NAME_BYTES]) -> &'o [u8] {
    let shown = essentials.from.display.unwrap_or_default();
    let content = shown.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(shown);
    let mut len = 0;
    let mut is_escaped = false;
    for byte in content.iter().copied() {
        if byte == b'\\' && !is_escaped {
            is_escaped = true;
            continue;
        }
        is_escaped = false;
        let Some(place) = out.get_mut(len) else { break };
        *place = byte;
        len += 1;
    }
    let whole = match core::str::from_utf8(&out[..len]) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    &out[..whole]
}

/// Bytes of a sender's address at most.
const ADDRESS_BYTES: usize = 160;
/// Bytes of a sender's name at most.
pub(super) const NAME_BYTES: usize = 48;

/// The `USER@HOST` of From; the URI as it is where that is no SIP URI.
pub(super) fn from_address<'b>(essentials: &Essentials<'b>) -> &'b [u8] {
    match essentials.from.parsed_uri() {
        Ok(Uri::Sip(uri)) => policy::address_of(&uri),
        _ => essentials.from.uri,
    }
}

/// What a sender is told when there is no room for his letter.
const fn full_fault(full: Full) -> Fault {
    match full {
        Full::Sender => Fault { status: 480, reason: "Not Kept: Too Many Messages From You Wait" },
        _ => Fault { status: 480, reason: "Not Kept: the Inbox Is Full" },
    }
}

/// What a sender is told when his letter could not be written.
const fn store_fault(error: StoreError) -> Fault {
    match error {
        StoreError::Full => Fault { status: 480, reason: "Not Kept: the Disk Is Full" },
        StoreError::Quota => Fault { status: 480, reason: "Not Kept: the Inbox Is Full" },
        StoreError::TooLarge => Fault { status: 413, reason: "Too Large to Be Kept" },
        StoreError::NoDisk | StoreError::Failed | StoreError::Unknown => {
            Fault { status: 480, reason: "Not Kept: No Disk" }
        }
    }
}
