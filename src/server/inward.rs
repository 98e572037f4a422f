//! What connectors make known, brought into the house: texts become MESSAGEs (RFC 3428) from the one address of a buddy and
//! pass the front door like all others, presence goes to the contacts, a wish to see somebody becomes a question to her.

use core::fmt::Write as _;

use heapless::String;

use super::bridges::{Address, Came, Ended, Kept, Order, Standing};
use super::tickets::Waiter;
use super::within::{Begun, Within};
use super::{Core, contract::BlobStep, contract::Output};
use crate::base::limits::ADDRESS_BYTES;
use crate::base::random::Purpose;
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime, earliest};
use crate::bridge::{Event, Incoming, Show, Stop};
use crate::config::model::Network;
use crate::home::outbox::TO_BYTES;
use crate::home::people::People;
use crate::home::people::contacts::{Heard, Seen};
use crate::home::phrases;
use crate::home::policy::{self, Asker, Assurance, Decision, Delegation, Kind, Snapshot, Stage, Target};
use crate::home::proxy::context::Context;
use crate::home::word::{self, WORD_BYTES, Word};
use crate::sip::stack::Task;
use crate::sip::transaction::client::Owner;
use crate::spool::{self, Key};
use crate::wire::sip::Message;

/// A text from a network is handed on in parts of so many bytes: what a datagram on most home networks still carries whole
/// is less, but what a device takes is more.
const PART_BYTES: usize = 3_000;
/// A text that was written so long before it came says when.
const LATE_S: u64 = 60;
/// An account has to be down for so long before she is told.
const DOWN_MS: u64 = 120_000;

impl Core {
    /// Takes what a connector makes known.
    pub(super) fn bridge_event(&mut self, now: Instant, index: usize, event: Event<'_>) {
        match event {
            Event::Online { is_resumed } => self.account_online(now, index, is_resumed),
            Event::ContactsBegin => self.people.contacts.begin_list(index),
            Event::Contact(contact) => {
                let People { contacts, model, .. } = &mut self.people;
                // Who does not fit was logged.
                let _ = contacts.upsert(now, model, index, &contact);
                self.contacts_changed(now, index);
            }
            Event::ContactsEnd => {
                self.people.contacts.end_list(index);
                if let Some(bridge) = self.bridges.get_mut(index) {
                    (bridge.is_list_told, bridge.next_watch) = (true, Some(0));
                }
                self.contacts_changed(now, index);
            }
            Event::ContactGone { who } => {
                self.people.contacts.remove(index, who);
                self.contacts_changed(now, index);
            }
            Event::Presence { who, place, show, priority, text } => {
                let People { contacts, model, .. } = &mut self.people;
                contacts.presence(now, model, index, who, &Seen { place, show, priority, text });
                self.contacts_changed(now, index);
            }
            Event::Message(incoming) => self.text_came(now, index, &incoming),
            Event::Typing { who, is_on } => self.typing_came(now, index, who, is_on),
            Event::Sent { id } => self.text_taken(now, id),
            Event::Failed { id, why, is_final } => self.text_failed(now, index, id, why, is_final),
            Event::Received { .. } => {}
            Event::Request { who, text } => self.asked_to_be_seen(index, who, text),
            Event::Notice(text) => self.tell_notice(now, index, text),
            Event::Bookmark(bookmark) => {
                if self.bridges.get_mut(index).is_some_and(|bridge| bridge.mark(bookmark)) {
                    self.bridges.changed.mark(index);
                    self.stack.schedule.wake(Task::Outgoing.id());
                }
            }
        }
    }

    /// What is known of contacts has changed: whoever watches them is told, and texts that wait may go.
    pub(super) fn contacts_changed(&mut self, now: Instant, index: usize) {
        self.show_contacts(now);
        self.stack.schedule.wake(Task::Account(index).id());
        // What waits on the disk is read before it can go, whether anybody watches its reader or not.
        if !self.outbox.is_empty() {
            self.stack.schedule.wake(Task::Outgoing.id());
        }
    }

    /// Has those told who watch buddies that look different now.
    pub(super) fn show_contacts(&mut self, now: Instant) {
        self.people.contacts.due(now);
        let mut is_news = false;
        while let Some(news) = self.people.contacts.next_news() {
            is_news = true;
            let (presence, mut around) = self.split_presence();
            presence.contacts_changed(now, &mut around, news);
        }
        if is_news {
            self.stack.schedule.wake(Task::Outgoing.id());
        }
        self.reschedule_outgoing();
    }

    fn account_online(&mut self, now: Instant, index: usize, is_resumed: bool) {
        let Some(bridge) = self.bridges.get_mut(index) else { return };
        bridge.stand(now, Standing::Online);
        let was_told = core::mem::take(&mut bridge.is_told_down);
        bridge.down_since = None;
        if !is_resumed {
            bridge.begin_session();
            self.outbox.hand_back(index);
            // Who still waits is told anew by the network.
            self.bridges.requests.retain(|request| usize::from(request.account) != index);
        }
        self.people.contacts.online(now, index, is_resumed);
        if let Some(account) = self.people.model.accounts.get(index) {
            log::info!("account {} is on", account.id);
        }
        if was_told {
            self.tell_standing(now, index, State::On);
        }
        self.contacts_changed(now, index);
    }

    /// An account is down, or was stopped.
    pub(super) fn account_down(&mut self, now: Instant, index: usize, standing: Standing) {
        let Some(bridge) = self.bridges.get_mut(index) else { return };
        let was_online = bridge.standing == Standing::Online;
        bridge.stand(now, standing);
        bridge.give_up();
        let account = self.people.model.accounts.get(index).map_or("", |account| account.id.as_str());
        match standing {
            Standing::Waiting { why, .. } if was_online => log::info!("account {account} is down: {why}"),
            Standing::Waiting { why, .. } => log::debug!("account {account}: {why}"),
            Standing::Stopped(stop) => {
                log::warn!("account {account} is stopped: {}", reason_of(stop));
                bridge.is_told_down = false;
            }
            _ => {}
        }
        if matches!(standing, Standing::Waiting { .. } | Standing::Stopped(_)) {
            bridge.down_since.get_or_insert(now);
        }
        // She is told, of what may pass when it has not passed for long.
        self.stack.schedule.wake(Task::People.id());
        self.people.contacts.offline(now, index);
        self.contacts_changed(now, index);
    }

    /// Tells people whose account is off, or down for long, as soon as they have a device; when there is more to tell.
    pub(super) fn watch_accounts(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for index in 0..self.bridges.len() {
            let Some(bridge) = self.bridges.get(index).filter(|bridge| !bridge.is_told_down) else { continue };
            // However often it was tried meanwhile.
            let Some(since) = bridge.down_since else { continue };
            let state = match bridge.standing {
                Standing::Stopped(stop) => State::Off(stop),
                _ if since.plus(DOWN_MS) <= now => State::Down,
                _ => {
                    next = earliest(next, Some(since.plus(DOWN_MS)));
                    continue;
                }
            };
            let is_told = self.tell_standing(now, index, state);
            if let Some(bridge) = self.bridges.get_mut(index) {
                bridge.is_told_down = is_told;
            }
        }
        next
    }

    /// Tells a person how her account is. Whether she has a device that it goes to.
    fn tell_standing(&mut self, now: Instant, index: usize, state: State) -> bool {
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let Some(account) = self.people.model.accounts.get(index) else { return false };
        let person = usize::from(account.person);
        let language = self.language(person);
        let account = phrases::Account { network: account.network.name(), address: &account.address };
        match state {
            State::On => phrases::account_on(language, account, &mut out),
            State::Down => phrases::account_down(language, account, &mut out),
            State::Off(stop) => phrases::account_stopped(language, account, stop, &mut out),
        }
        self.tell_person(now, person, &out)
    }

    /// Says something to a person. Whether she has a device that it goes to.
    pub(super) fn tell_person(&mut self, now: Instant, person: usize, text: &Writer<'_>) -> bool {
        let (_, mut around) = self.split_presence();
        word::tell(now, &mut around, person, None, super::chat::text_of(text)) > 0
    }

    fn tell_notice(&mut self, now: Instant, index: usize, text: &str) {
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let Some(account) = self.people.model.accounts.get(index) else { return };
        let person = usize::from(account.person);
        let _ = write!(out, "{} {}: {text}", account.network.name(), account.address);
        self.tell_person(now, person, &out);
    }

    /// The account with a seal.
    pub(super) fn account_of_seal(&self, seal: u32) -> Option<usize> {
        (0..self.people.model.accounts.len()).find(|index| self.account_seal(*index) == seal)
    }

    /// A hash that names an account outside the core.
    fn account_seal(&self, index: usize) -> u32 {
        let mut hash = self.stack.random.hash(Purpose::Journal);
        if let Some(account) = self.people.model.accounts.get(index) {
            hash.put(account.id.as_bytes());
            hash.put(account.network.name().as_bytes());
            hash.put(account.address.as_bytes());
        }
        (hash.finish() as u32).max(1)
    }

    /// The next account whose record in the journal is to be written.
    pub(super) fn produce_bookmark(&mut self, buffer: &mut [u8]) -> Option<Output> {
        // All slots are marked when there is a new disk, whether there are accounts in them or not.
        let index = loop {
            let index = self.bridges.changed.pop()?;
            if self.bridges.get(index).is_some_and(|bridge| !bridge.bookmark.is_empty()) {
                break index;
            }
        };
        let (seal, bookmark) = (self.account_seal(index), &self.bridges.get(index)?.bookmark);
        let person = usize::from(self.people.model.accounts.get(index)?.person);
        let len = postcard::to_slice(&Kept { account: seal, bookmark }, buffer).ok()?.len();
        let owner = self.people.seal(&self.stack.random, person);
        let ticket = self.tickets.issue(Waiter::Journal);
        let key = Key { kind: spool::Kind::Account, id: seal.into() };
        Some(Output::Store { ticket, key, owner, len, blob: BlobStep::None })
    }
}

/// Texts.
impl Core {
    /// Somebody wants to have a person on his list: she is asked, but for whom she wants to hear nothing from.
    fn asked_to_be_seen(&mut self, index: usize, who: &str, text: &str) {
        let Some(account) = self.people.model.accounts.get(index) else { return };
        let (person, network) = (usize::from(account.person), account.network);
        let asker = Asker { assurance: Assurance::Account(network), person: None, address: who.as_bytes() };
        let snapshot = Snapshot {
            model: &self.people.model,
            person: Some(person),
            state: self.presence.state(person),
            by_hand: None,
            devices: &[],
            kept: Delegation { texts: true, voice: false },
        };
        let event = policy::Event { asker, kind: Kind::Message, target: Target::Person, stage: Stage::Arrived };
        if let Decision::Refuse(600..=699, _) = policy::decide(&event, &snapshot) {
            log::info!("a wish to see somebody of the home is refused by a rule");
            if let (Some(bridge), Ok(who)) = (self.bridges.get_mut(index), Address::try_from(who)) {
                bridge.order(Order::Authorise { who, is_allowed: false });
            }
            return self.stack.schedule.wake(Task::Account(index).id());
        }
        self.bridges.ask(index, who, text);
        self.stack.schedule.wake(Task::People.id());
    }

    /// A text has come in on an account.
    fn text_came(&mut self, now: Instant, index: usize, incoming: &Incoming<'_>) {
        let Incoming { who, text, name, token, .. } = *incoming;
        let Some(bridge) = self.bridges.get_mut(index) else { return };
        if bridge.is_known(name) {
            return bridge.settle(token, true);
        }
        let Some(account) = self.people.model.accounts.get(index) else { return };
        let (person, network) = (usize::from(account.person), account.network);
        if !incoming.is_own {
            let People { contacts, model, .. } = &mut self.people;
            let handle = contacts.heard(now, model, index, who, Heard::Wrote);
            let is_configured = handle.and_then(|it| contacts.get(it)).is_some_and(|it| it.buddy.is_some());
            if let Some(bridge) = self.bridges.get_mut(index).filter(|it| !it.abilities.has_list && !is_configured)
                && let Ok(who) = Address::try_from(who)
            {
                // Nobody told the network to look out for him, and he can only be answered while he is known to be there.
                bridge.order(Order::Add { who, name: String::new() });
            }
            self.contacts_changed(now, index);
        }
        if incoming.is_own {
            self.mirror(now, index, incoming);
            if let Some(bridge) = self.bridges.get_mut(index) {
                bridge.settle(token, true);
            }
            return;
        }
        let parts = parts_of(text, PART_BYTES).count().min(255) as u8;
        // A program is told nothing: two of them would go on for ever.
        let writer = if incoming.may_answer { who } else { "" };
        let origin = match self.bridges.get_mut(index) {
            Some(bridge) => {
                bridge.begin(index, &Came { token, name, is_late: incoming.at.is_some(), who: writer }, parts)
            }
            None => return,
        };
        let mut prefix = [0; 64];
        let mut prefix = Writer::new(&mut prefix);
        self.write_when(now, person, incoming.at, &mut prefix);
        let fields = if incoming.may_answer { "" } else { "Auto-Submitted: auto-generated\r\n" };
        for (number, part) in parts_of(text, PART_BYTES).take(usize::from(parts)).enumerate() {
            let mut room = [0; PART_BYTES + 64];
            let mut body = Writer::new(&mut room);
            if number == 0 {
                body.put(prefix.written());
            }
            body.text(part);
            let begun = self.bring_in(now, (person, network), who, (word::PLAIN, fields, body.written()), origin);
            if let Begun::Refused(status) = begun {
                self.came_to(now, origin, status);
            }
        }
        self.stack.schedule.wake(Task::Account(index).id());
    }

    /// What somebody on another network has sent came so far; `origin` is what [`Bridge::begin`](super::bridges::Bridge::begin)
    /// gave.
    pub(super) fn came_to(&mut self, now: Instant, origin: u32, status: u16) {
        let Some(Ended { account, untold }) = self.bridges.ended(origin, (200..300).contains(&status)) else { return };
        self.stack.schedule.wake(Task::Account(account).id());
        // Whom she wants to hear nothing from is not told that either.
        let Some(who) = untold.filter(|_| !(600..700).contains(&status)) else { return };
        // Nothing of his network's tells him that it was in vain.
        let Some(section) = self.people.model.accounts.get(account) else { return };
        let (person, network) = (usize::from(section.person), section.network);
        let Some(to) = self.people.uri_of(person, network, &who) else { return };
        let Some(she) = self.people.model.people.get(person) else { return };
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        phrases::undelivered(she.language, she.name.as_bytes(), &mut out);
        let seal = self.people.seal(&self.stack.random, person);
        let (to, text) = (to.strip_prefix("sip:").unwrap_or(&to), super::chat::text_of(&out));
        if let Err(full) = self.take_text(now, (seal, to), text, true, None) {
            log::warn!("who has written in vain is not told: {full:?}");
        }
    }

    /// Says when a text was written that comes late.
    fn write_when(&self, now: Instant, person: usize, at: Option<UnixTime>, out: &mut Writer<'_>) {
        let clock = self.time(now);
        let (Some(at), Some(clock)) = (at, clock) else { return };
        if clock.0.saturating_sub(at.0) < LATE_S {
            return;
        }
        let language = self.people.model.people.get(person).map(|person| person.language).unwrap_or_default();
        let at = u32::try_from(at.0).unwrap_or_default();
        phrases::time_prefix(language, at, Some(clock), &self.people.model.main.timezone, out);
    }

    /// Brings a message of somebody on another network to a person.
    fn bring_in(
        &mut self,
        now: Instant,
        (person, network): (usize, Network),
        who: &str,
        (content_type, fields, body): (&str, &str, &[u8]),
        origin: u32,
    ) -> Begun {
        let Some(from) = self.people.uri_of(person, network, who) else { return Begun::Refused(500) };
        let Some(to) = word::address(&self.people, person) else { return Begun::Refused(500) };
        let name: String<64> = self
            .people
            .buddy_at(person, network, who)
            .and_then(|buddy| self.people.buddy_name(buddy).try_into().ok())
            .unwrap_or_default();
        let within = Within {
            name: &name,
            from: &from,
            to: to.as_bytes().get(4..).unwrap_or_default(),
            fields,
            content_type,
            body,
            origin,
        };
        let address: String<ADDRESS_BYTES> = who.try_into().unwrap_or_default();
        let asker = Asker { assurance: Assurance::Account(network), person: None, address: address.as_bytes() };
        self.send_within(now, &within, asker)
    }

    /// Somebody on another network types, or has stopped.
    fn typing_came(&mut self, now: Instant, index: usize, who: &str, is_on: bool) {
        let Some(account) = self.people.model.accounts.get(index) else { return };
        let (person, network) = (usize::from(account.person), account.network);
        if !self.bridges.get_mut(index).is_some_and(|bridge| bridge.admits_typing(now)) {
            return;
        }
        let mut room = [0; 256];
        let mut body = Writer::new(&mut room);
        crate::wire::sign::write_composing(is_on, &mut body);
        self.bring_in(now, (person, network), who, (crate::wire::sign::COMPOSING_TYPE, "", body.written()), 0);
    }

    /// Shows a person's devices what she has written with another client of hers.
    fn mirror(&mut self, now: Instant, index: usize, incoming: &Incoming<'_>) {
        let Some(account) = self.people.model.accounts.get(index) else { return };
        let (person, network) = (usize::from(account.person), account.network);
        let Some(from) = self.people.uri_of(person, network, incoming.who) else { return };
        let Some(to) = word::address(&self.people, person) else { return };
        let language = self.people.model.people.get(person).map(|person| person.language).unwrap_or_default();
        for part in parts_of(incoming.text, PART_BYTES) {
            let mut room = [0; PART_BYTES + 128];
            let mut body = Writer::new(&mut room);
            self.write_when(now, person, incoming.at, &mut body);
            phrases::own_copy(language, &mut body);
            body.text(part);
            let word = Word {
                from: from.as_bytes(),
                to: to.as_bytes(),
                fields: "Auto-Submitted: auto-generated\r\n",
                content_type: word::PLAIN.as_bytes(),
                body: body.written(),
            };
            let (_, mut around) = self.split_presence();
            for device in word::devices(&around, person, None) {
                word::send(now, &mut around, device, &word, (Owner::Word, device.to_bits()));
            }
        }
    }

    /// The address on his own network of who has sent a request from there to a person.
    pub(super) fn address_there(&self, context: &Context, person: usize, message: &Message<'_>) -> Option<Address> {
        let Assurance::Account(network) = context.assurance else { return None };
        let from = message.essentials()?.from.parsed_uri().ok()?;
        let reach = self.people.reach(person, from.sip()?)?;
        self.people.address_of(&reach, network)
    }

    /// Whether somebody waits on another network for what she answers: by name, or when nobody else waits at all.
    pub(super) fn answers_request(&self, person: usize, whom: Option<&str>) -> bool {
        let is_hers = |account: u8| {
            let account = self.people.model.accounts.get(usize::from(account));
            account.is_some_and(|account| usize::from(account.person) == person)
        };
        let mut hers = self.bridges.requests.iter().filter(|request| is_hers(request.account));
        match whom {
            Some(whom) => hers.any(|request| request.who.eq_ignore_ascii_case(whom)),
            None => hers.next().is_some() && self.asked(person, true).next().is_none(),
        }
    }

    /// Answers somebody who wants to have a person on his list; whether there is one with this address.
    pub(super) fn answer_request(&mut self, person: usize, whom: Option<&str>, is_allowed: bool) -> Option<Address> {
        let model = &self.people.model;
        let is_hers = |account: u8| {
            model.accounts.get(usize::from(account)).is_some_and(|account| usize::from(account.person) == person)
        };
        let requests = &self.bridges.requests;
        let mut fitting = requests.iter().enumerate().filter(|(_, request)| {
            is_hers(request.account) && whom.is_none_or(|whom| request.who.eq_ignore_ascii_case(whom))
        });
        let (index, _) = fitting.next()?;
        if whom.is_none() && fitting.next().is_some() {
            return None;
        }
        let request = self.bridges.requests.get(index)?;
        let (account, who) = (usize::from(request.account), request.who.clone());
        // Her answer is not taken before there is room for it.
        if !self.bridges.get_mut(account)?.order(Order::Authorise { who: who.clone(), is_allowed }) {
            return None;
        }
        let request = self.bridges.requests.remove(index);
        if let Some(bridge) = self.bridges.get_mut(account).filter(|_| is_allowed) {
            bridge.order(Order::Add { who, name: String::new() });
        }
        self.stack.schedule.wake(Task::Account(account).id());
        Some(request.who)
    }
}

/// A text in parts of at most so many bytes, cut between characters, at blanks where there are any near the end.
pub(super) fn parts_of(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if rest.len() <= most {
            return Some(core::mem::take(&mut rest));
        }
        let end = (0..=most).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(most);
        let end = rest[..end].rfind(char::is_whitespace).filter(|at| *at > most / 2).map_or(end, |at| at + 1);
        let (part, others) = rest.split_at(end);
        rest = others;
        Some(part)
    })
}

/// How an account is, as its person is told.
enum State {
    On,
    Down,
    Off(Stop),
}

/// Why an account was stopped, for the log.
pub(super) const fn reason_of(stop: Stop) -> &'static str {
    match stop {
        Stop::Password => "the server refuses the name or the password",
        Stop::Elsewhere => "another client has logged in",
        Stop::Refused(why) => why,
    }
}

const _: () = assert!(TO_BYTES >= ADDRESS_BYTES + 64);

/// How a state is shown, as a word.
pub(super) const fn word_of(show: Show) -> &'static str {
    match show {
        Show::Offline => "offline",
        Show::ExtendedAway => "xa",
        Show::Away => "away",
        Show::Busy => "busy",
        Show::Available => "available",
    }
}
