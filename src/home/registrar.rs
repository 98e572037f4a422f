//! The registrar (RFC 3261 §10): the bindings of every person, on many devices at once.
//!
//! With flows over streams (RFC 5626: `reg-id`, `+sip.instance`, the flow's end ends the binding), Path (RFC 3327) and
//! what devices say they take (RFC 3840). Requests to a binding go to where its REGISTER came from, whatever its Contact
//! says, unless the device is on a network of ours and its Contact has that same address: then the Contact's port counts,
//! as some send from another than they listen on. A mapping of a NAT on the way is kept alive from here, by an OPTIONS each 25 s. Outbound is not confirmed over
//! UDP, where it would need a STUN server on the same port. Leaves out GRUU.

use core::net::SocketAddr;

use heapless::Vec;

use crate::base::changed::Changed;
use crate::base::limits::{BINDINGS, BINDINGS_PER_PERSON, PEOPLE};
use crate::base::net::{Flow, NOWHERE, Port, Stream};
use crate::base::random::Purpose;
use crate::base::table::{Handle, Index, Table};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::binding::{Abilities, Binding, NO_PORT, TEXTS, Text};
use crate::home::people::People;
use crate::home::probe;
use crate::sip::stack::{Stack, Task};
use crate::sip::transport::{DEFAULT_PORT, Network};
use crate::wire::sip::{Contacts, Fault, Message, Name, NameAddr, SipUri, Uri, delta_seconds};

/// A binding's handle.
pub type BindingHandle = Handle<Binding>;

/// Shortest life of a binding that is accepted (§10.2.8).
pub const LEAST_EXPIRES_S: u32 = 60;
/// Longest life of a binding; longer ones are shortened.
const MOST_EXPIRES_S: u32 = 7200;
const DEFAULT_EXPIRES_S: u32 = 3600;
/// How often the mapping of a NAT is refreshed: most forget a quiet one after 30 s.
const PING_MS: u64 = 25_000;
/// What a device is told about how often to send (RFC 5626 §4.4.1).
const FLOW_TIMER_S: u32 = 120;

/// All bindings.
pub struct Registrar {
    pub(super) bindings: Table<Binding, BINDINGS>,
    /// The first binding of each person, plus one.
    first: [u16; PEOPLE],
    by_id: Index<{ 2 * BINDINGS }>,
    /// The slots whose record in the journal is not what they hold.
    changed: Changed<BINDINGS>,
}

/// Why a REGISTER is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Status and reason.
    pub fault: Fault,
    /// A field to be added, with its CRLF.
    pub field: &'static str,
}

/// What one Contact asks for.
struct Change<'b> {
    contact: NameAddr<'b>,
    uri: SipUri<'b>,
    expires_s: u32,
    q: u16,
    instance: u64,
    identity: u64,
    reg_id: bool,
    existing: Option<BindingHandle>,
}

impl Change<'_> {
    /// Whether both are about one binding, so that the later one counts.
    fn is_same(&self, other: &Self) -> bool {
        match (self.existing, other.existing) {
            (None, None) => match (self.identity, other.identity) {
                (0, 0) => Uri::Sip(self.uri).equals(&Uri::Sip(other.uri)),
                (one, other) => one == other,
            },
            (one, other) => one == other,
        }
    }
}

impl Registrar {
    /// No bindings.
    pub const fn new() -> Self {
        Self { bindings: Table::new(), first: [0; PEOPLE], by_id: Index::new(), changed: Changed::new() }
    }

    /// Carries out a REGISTER of a person who has proven to be that one; whether the flow is now one of RFC 5626.
    pub fn register(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        people: &People,
        who: (usize, Option<usize>),
        flow: Flow,
        message: &Message<'_>,
    ) -> Result<bool, Refused> {
        let (person, device) = who;
        let essentials = message.essentials().ok_or(bad("Incomplete REGISTER"))?;
        let mut hash = stack.random.hash(Purpose::Journal);
        hash.put(essentials.call_id);
        let (call_id, cseq) = (hash.finish(), essentials.cseq.number);
        let general_s = match message.field(Name::Expires) {
            // A value that can't be read counts as the default (§10.2.1.1).
            Some(field) => delta_seconds(field.value).unwrap_or(DEFAULT_EXPIRES_S),
            None => DEFAULT_EXPIRES_S,
        };
        match message.contacts().map_err(fault)? {
            Contacts::Star => {
                if message.field(Name::Expires).is_none() || general_s != 0 {
                    return Err(bad("Contact * Needs Expires 0"));
                }
                if self.of(person).any(|(_, binding)| binding.is_out_of_order(call_id, cseq)) {
                    return Err(OUT_OF_ORDER);
                }
                while let Some(handle) = self.first_of(person) {
                    self.remove(stack, handle);
                }
                Ok(false)
            }
            Contacts::List(list) => {
                let mut changes: Vec<Change<'_>, BINDINGS_PER_PERSON> = Vec::new();
                for contact in list {
                    let change = self.change(stack, people, person, message, contact, general_s, (call_id, cseq))?;
                    match changes.iter_mut().find(|earlier| earlier.is_same(&change)) {
                        Some(earlier) => *earlier = change,
                        None => changes.push(change).map_err(|_| TOO_MANY)?,
                    }
                }
                self.check_room(people, person, &changes)?;
                let is_outbound = changes.iter().any(|change| change.reg_id) && flow.is_reliable();
                for change in &changes {
                    self.apply(now, stack, people, (person, device), flow, message, change, (call_id, cseq))?;
                }
                Ok(is_outbound)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one REGISTER")]
    fn change<'b>(
        &self,
        stack: &Stack,
        people: &People,
        person: usize,
        message: &Message<'b>,
        contact: NameAddr<'b>,
        general_s: u32,
        order: (u64, u32),
    ) -> Result<Change<'b>, Refused> {
        let uri = contact.parsed_uri().map_err(fault)?;
        let Uri::Sip(uri) = uri else { return Err(bad("Contact Is Not a SIP URI")) };
        let expires_s = contact.expires().unwrap_or(None).unwrap_or(general_s).min(MOST_EXPIRES_S);
        if expires_s > 0 && expires_s < LEAST_EXPIRES_S {
            let fault = Fault { status: 423, reason: "Interval Too Brief" };
            return Err(Refused { fault, field: "Min-Expires: 60\r\n" });
        }
        let q = contact.q().map_err(fault)?.unwrap_or(1000);
        let (mut instance, mut identity) = (0, 0);
        let reg_id = contact.params.value(b"reg-id");
        if let Some(urn) = contact.params.value(b"+sip.instance") {
            let mut hash = stack.random.hash(Purpose::Journal);
            // By name: the place in the configuration may be another after a reload.
            hash.put(&people.seal(&stack.random, person).to_le_bytes());
            hash.put_lower(urn);
            instance = hash.clone().finish().max(1);
            hash.put(reg_id.unwrap_or_default());
            identity = hash.finish().max(1);
        }
        let same = |binding: &Binding| match (identity, binding.identity) {
            (0, 0) => {
                let known = binding.text(&stack.store, Text::Uri);
                known == uri.raw || Uri::parse(known).is_ok_and(|known| known.equals(&Uri::Sip(uri)))
            }
            (identity, known) => identity == known,
        };
        let existing = self.of(person).find(|(_, binding)| same(binding));
        if existing.is_some_and(|(_, binding)| binding.is_out_of_order(order.0, order.1)) {
            return Err(OUT_OF_ORDER);
        }
        let supports = message.lists_token(Name::Supported, b"outbound");
        let reg_id = reg_id.is_some() && instance != 0 && supports;
        let existing = existing.map(|(handle, _)| handle);
        Ok(Change { contact, uri, expires_s, q, instance, identity, reg_id, existing })
    }

    fn check_room(&self, people: &People, person: usize, changes: &[Change<'_>]) -> Result<(), Refused> {
        let added = changes.iter().filter(|change| change.existing.is_none() && change.expires_s > 0).count();
        let removed = changes.iter().filter(|change| change.existing.is_some() && change.expires_s == 0).count();
        let own = self.of(person).count() + added;
        if own > usize::from(people.model.main.bindings_per_person) + removed {
            return Err(TOO_MANY);
        }
        if self.bindings.len() + added > BINDINGS + removed {
            return Err(NO_ROOM);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one REGISTER")]
    fn apply(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        people: &People,
        who: (usize, Option<usize>),
        flow: Flow,
        message: &Message<'_>,
        change: &Change<'_>,
        order: (u64, u32),
    ) -> Result<(), Refused> {
        if change.expires_s == 0 {
            if let Some(handle) = change.existing {
                self.remove(stack, handle);
            }
            return Ok(());
        }
        let mut said = [0; probe::ACCEPT_BYTES];
        let known = change.existing.and_then(|handle| self.bindings.get(handle));
        let known = known.map_or(b"".as_slice(), |binding| binding.text(&stack.store, Text::Accept));
        let said = match said.get_mut(..known.len()) {
            Some(room) => {
                room.copy_from_slice(known);
                &*room
            }
            None => b"",
        };
        let (text, ends) = freeze_texts(stack, message, change, said).ok_or(NO_ROOM)?;
        let (reached, is_natted) = way_to(&stack.network, flow, &change.uri);
        // Some devices write the address that the NAT gave them into their Contact: far ones may all be behind one.
        let is_far = stack.network.remote(flow).is_some_and(|remote| !stack.network.is_near(remote.ip()));
        let needs_pings = (is_natted || is_far) && !flow.is_reliable();
        let mut hash = stack.random.hash(Purpose::Token);
        hash.put(&people.seal(&stack.random, who.0).to_le_bytes());
        hash.put(if change.identity == 0 { change.uri.raw } else { b"" });
        hash.put(&change.identity.to_le_bytes());
        let binding = Binding {
            person: who.0 as u16,
            device: who.1.map(|device| device as u16),
            id: (hash.finish() as u32).max(1),
            instance: change.instance,
            identity: change.identity,
            flow: reached,
            source: flow,
            local: stack.network.local(flow).unwrap_or(NOWHERE),
            q: change.q,
            expires_at: now.plus(u64::from(change.expires_s) * 1000),
            refreshed_at: now,
            heard_at: now,
            call_id: order.0,
            cseq: order.1,
            abilities: Abilities::of(message, &change.contact),
            is_natted,
            is_outbound: change.reg_id && flow.is_reliable(),
            ping_at: needs_pings.then(|| now.plus(PING_MS)),
            is_ping_due: false,
            probe_at: None,
            missed: 0,
            next: 0,
            text,
            ends,
        };
        match change.existing.and_then(|handle| Some((handle, self.bindings.get_mut(handle)?))) {
            Some((handle, existing)) => {
                self.by_id.remove(existing.id, handle.index());
                self.by_id.insert(binding.id, handle.index());
                let (next, missed) = (existing.next, existing.missed);
                // What it has said when it was asked counts while it says nothing by itself.
                let abilities = if binding.abilities.is_known { binding.abilities } else { existing.abilities };
                let old = core::mem::replace(existing, Binding { next, missed, abilities, ..binding });
                count_on_stream(stack, flow, true);
                count_on_stream(stack, old.flow, false);
                stack.store.release(old.text);
                self.reschedule(stack, handle);
                self.mark(stack, handle.index());
            }
            None => {
                let probe_at = (!binding.abilities.is_known).then(|| now.plus(probe::PAUSE_MS));
                self.insert(stack, None, Binding { probe_at, ..binding })?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, stack: &mut Stack, slot: Option<usize>, mut binding: Binding) -> Result<(), Refused> {
        let person = usize::from(binding.person);
        let Some(first) = self.first.get_mut(person) else { return Err(NO_ROOM) };
        binding.next = *first;
        let (flow, id) = (binding.flow, binding.id);
        match self.bindings.insert_near(slot, binding) {
            Ok(handle) => {
                *first = handle.index() as u16 + 1;
                self.by_id.insert(id, handle.index());
                count_on_stream(stack, flow, true);
                self.reschedule(stack, handle);
                self.mark(stack, handle.index());
                stack.schedule.wake(Task::People.id());
                Ok(())
            }
            Err(binding) => {
                stack.store.release(binding.text);
                Err(NO_ROOM)
            }
        }
    }

    /// Takes a binding out.
    pub fn remove(&mut self, stack: &mut Stack, handle: BindingHandle) {
        let Some(binding) = self.bindings.remove(handle) else { return };
        let number = handle.index() as u16 + 1;
        let person = usize::from(binding.person);
        if self.first[person] == number {
            self.first[person] = binding.next;
        } else {
            let mut at = self.first[person];
            while let Some(before) = self.at_number(at) {
                let Some(previous) = self.bindings.get_mut(before) else { break };
                if previous.next == number {
                    previous.next = binding.next;
                    break;
                }
                at = previous.next;
            }
        }
        self.by_id.remove(binding.id, handle.index());
        count_on_stream(stack, binding.flow, false);
        stack.schedule.set_deadline(Task::Binding(handle.index()).id(), None);
        stack.store.release(binding.text);
        self.mark(stack, handle.index());
        stack.schedule.wake(Task::People.id());
    }

    /// Notes that the journal has to be told of a slot.
    pub(super) fn mark(&mut self, stack: &mut Stack, index: usize) {
        self.changed.mark(index);
        stack.schedule.wake(Task::Journal.id());
    }

    /// Has the journal told of every slot.
    pub fn mark_all(&mut self, stack: &mut Stack) {
        (0..BINDINGS).for_each(|index| self.mark(stack, index));
    }

    /// Number of slots that the journal has to be told of.
    pub fn changed(&self) -> usize {
        self.changed.len()
    }

    /// The next slot that the journal has to be told of, and what it holds.
    pub fn next_changed(&mut self) -> Option<(usize, Option<&Binding>)> {
        let index = self.changed.pop()?;
        let binding = self.bindings.handle_at(index).and_then(|handle| self.bindings.get(handle));
        Some((index, binding))
    }

    /// Takes a binding that was kept over a restart, unless its device has registered again since. Its texts are given
    /// back when it is not taken. It comes back to the slot that its record is of: to write it anew then replaces nothing
    /// that is kept of another.
    pub fn restore(&mut self, stack: &mut Stack, people: &People, slot: usize, binding: Binding) {
        let person = usize::from(binding.person);
        let uri = binding.text(&stack.store, Text::Uri);
        let is_same = |known: &Binding| match (binding.identity, known.identity) {
            (0, 0) => known.text(&stack.store, Text::Uri) == uri,
            (one, other) => one == other,
        };
        let is_known = self.of(person).any(|(_, known)| is_same(known));
        let is_full = self.of(person).count() >= usize::from(people.model.main.bindings_per_person);
        if is_known || is_full {
            stack.store.release(binding.text);
            return;
        }
        // Without room in the table its text is given back there.
        let _ = self.insert(stack, Some(slot), binding);
    }

    /// The configuration has changed: says for each person and device section where it is now, if it is still there.
    pub fn renumber(
        &mut self,
        stack: &mut Stack,
        person: impl Fn(usize) -> Option<usize>,
        device: impl Fn(usize) -> Option<usize>,
    ) {
        for index in 0..BINDINGS {
            let Some(handle) = self.bindings.handle_at(index) else { continue };
            let is_kept = self.bindings.get(handle).is_some_and(|binding| {
                person(usize::from(binding.person)).is_some()
                    && binding.device.is_none_or(|section| device(usize::from(section)).is_some())
            });
            if !is_kept {
                self.remove(stack, handle);
            }
        }
        self.first = [0; PEOPLE];
        for index in 0..BINDINGS {
            let Some(binding) = self.bindings.handle_at(index).and_then(|handle| self.bindings.get_mut(handle)) else {
                continue;
            };
            let moved = person(usize::from(binding.person)).unwrap_or_default();
            binding.person = moved as u16;
            binding.device =
                binding.device.and_then(|section| device(usize::from(section))).map(|section| section as u16);
            binding.next = core::mem::replace(&mut self.first[moved], index as u16 + 1);
        }
    }

    /// A stream is gone: the bindings that only it could reach are too (RFC 5626 §3). Those of a device on our network
    /// that closed it in order stay if a new connection can be made to their Contact: not over TLS, on which no device
    /// could prove who it is.
    pub fn stream_closed(&mut self, stack: &mut Stack, stream: Stream, can_be_made_anew: bool) {
        for index in 0..BINDINGS {
            let Some(handle) = self.bindings.handle_at(index) else { continue };
            let Some(binding) = self.bindings.get_mut(handle).filter(|it| it.flow == Flow::Stream(stream)) else {
                continue;
            };
            let uri = binding.text(&stack.store, Text::Uri);
            let is_reachable = Uri::parse(uri).is_ok_and(|uri| uri.sip().is_some_and(|uri| uri.host.ip().is_some()));
            if binding.is_outbound || !can_be_made_anew || !is_reachable || binding.is_natted {
                log::info!("a device of person {} is gone: its connection ended", binding.person);
                self.remove(stack, handle);
            }
        }
    }

    /// A socket was opened: bindings that were on its address before are reached from it again.
    pub fn port_opened(&mut self, port: Port, address: SocketAddr) {
        self.move_port(|binding, known| known == NO_PORT && binding.local == address, port);
    }

    /// A socket was closed: its number may soon mean another address.
    pub fn port_closed(&mut self, port: Port) {
        self.move_port(|_, known| known == port, NO_PORT);
    }

    fn move_port(&mut self, applies: impl Fn(&Binding, Port) -> bool, to: Port) {
        for index in 0..BINDINGS {
            let Some(binding) = self.bindings.handle_at(index).and_then(|handle| self.bindings.get_mut(handle)) else {
                continue;
            };
            let is_moved = matches!(binding.flow, Flow::Datagram { port, .. } if applies(binding, port));
            for flow in [&mut binding.flow, &mut binding.source] {
                if let Flow::Datagram { port, .. } = flow
                    && is_moved
                {
                    *port = to;
                }
            }
        }
    }

    /// A binding.
    pub fn get(&self, handle: BindingHandle) -> Option<&Binding> {
        self.bindings.get(handle)
    }

    /// A binding, to change it.
    pub fn get_mut(&mut self, handle: BindingHandle) -> Option<&mut Binding> {
        self.bindings.get_mut(handle)
    }

    /// The bindings of a person, newest device first.
    pub fn of(&self, person: usize) -> impl Iterator<Item = (BindingHandle, &Binding)> {
        let mut at = self.first.get(person).copied().unwrap_or(0);
        core::iter::from_fn(move || {
            let handle = self.at_number(at)?;
            let binding = self.bindings.get(handle)?;
            at = binding.next;
            Some((handle, binding))
        })
    }

    /// The binding that a token names.
    pub fn by_id(&self, id: u32) -> Option<(BindingHandle, &Binding)> {
        let is_it =
            |index| self.bindings.handle_at(index).and_then(|it| self.bindings.get(it)).is_some_and(|it| it.id == id);
        let handle = self.bindings.handle_at(self.by_id.find(id, is_it)?)?;
        Some((handle, self.bindings.get(handle)?))
    }

    /// The binding of a person whose REGISTER came over a flow.
    pub fn on_flow(&self, person: usize, flow: Flow) -> Option<&Binding> {
        self.of(person).map(|(_, binding)| binding).find(|binding| binding.source == flow)
    }

    /// The binding whose Contact a Request-URI is.
    pub fn by_contact(&self, stack: &Stack, uri: &SipUri<'_>) -> Option<(BindingHandle, &Binding)> {
        self.bindings.iter().find(|(_, binding)| {
            let known = binding.text(&stack.store, Text::Uri);
            known == uri.raw || Uri::parse(known).is_ok_and(|known| known.equals(&Uri::Sip(*uri)))
        })
    }

    /// All bindings.
    pub fn iter(&self) -> impl Iterator<Item = (BindingHandle, &Binding)> {
        self.bindings.iter()
    }

    /// Number of bindings.
    pub const fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether there is no binding.
    pub const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// A device gave a sign of life on its flow.
    pub fn heard(&mut self, now: Instant, handle: BindingHandle) {
        if let Some(binding) = self.bindings.get_mut(handle) {
            binding.heard_at = now;
        }
    }

    /// Acts on a deadline of a binding.
    pub fn due(&mut self, now: Instant, stack: &mut Stack, people: &People, index: usize) {
        let Some(handle) = self.bindings.handle_at(index) else { return };
        let Some(binding) = self.bindings.get_mut(handle) else { return };
        if binding.expires_at <= now {
            log::debug!("a binding of person {} has expired", binding.person);
            self.remove(stack, handle);
            return;
        }
        if binding.probe_at.take_if(|at| *at <= now).is_some() {
            probe::ask(now, stack, people, handle, binding);
        }
        if binding.ping_at.is_some_and(|at| at <= now) {
            // Spread a little, so that the devices of a home do not stay in step.
            let spread_ms = u64::from(stack.random.below(2_000));
            binding.ping_at = Some(now.plus(PING_MS - spread_ms));
            binding.is_ping_due = true;
            stack.schedule.wake(Task::Binding(index).id());
        }
        self.reschedule(stack, handle);
    }

    /// Writes the Contact fields of the answer to a REGISTER: all bindings of the person (§10.3 step 8), those of this
    /// flow first, the others as far as there is room for them in `most` bytes. A device looks for its own.
    pub fn write_contacts(
        &self,
        now: Instant,
        stack: &Stack,
        person: usize,
        flow: Flow,
        most: usize,
        out: &mut Writer<'_>,
    ) {
        let most = out.len() + most;
        for is_own in [true, false] {
            for (_, binding) in self.of(person).filter(|(_, binding)| (binding.source == flow) == is_own) {
                let (uri, params) = (binding.text(&stack.store, Text::Uri), binding.text(&stack.store, Text::Params));
                if !is_own && out.len() + uri.len() + params.len() + 64 > most {
                    continue;
                }
                out.text("Contact: <");
                out.put(uri);
                out.text(">;expires=");
                out.number(binding.expires_at.seconds_from(now));
                if binding.q != 1000 {
                    let _ = core::fmt::Write::write_fmt(out, format_args!(";q=0.{:03}", binding.q));
                }
                out.put(params);
                out.text("\r\n");
            }
        }
    }

    /// The field that confirms RFC 5626, when the flow is one.
    pub fn write_outbound(out: &mut Writer<'_>) {
        out.text("Require: outbound\r\nFlow-Timer: ");
        out.number(FLOW_TIMER_S.into());
        out.text("\r\n");
    }

    fn reschedule(&self, stack: &mut Stack, handle: BindingHandle) {
        let deadline = self.bindings.get(handle).and_then(Binding::deadline);
        stack.schedule.set_deadline(Task::Binding(handle.index()).id(), deadline);
    }

    fn first_of(&self, person: usize) -> Option<BindingHandle> {
        self.of(person).next().map(|(handle, _)| handle)
    }

    fn at_number(&self, number: u16) -> Option<BindingHandle> {
        self.bindings.handle_at(usize::from(number).checked_sub(1)?)
    }

    /// Name, capacity and bytes of each table.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("bindings", BINDINGS, size_of::<Self>())
    }
}

impl Default for Registrar {
    fn default() -> Self {
        Self::new()
    }
}

impl Binding {
    /// Whether a REGISTER with this Call-ID and CSeq is older than the one this binding is from (§10.3 step 7).
    fn is_out_of_order(&self, call_id: u64, cseq: u32) -> bool {
        self.call_id == call_id && self.cseq >= cseq
    }
}

/// Freezes the texts of a binding.
fn freeze_texts(
    stack: &mut Stack,
    message: &Message<'_>,
    change: &Change<'_>,
    said: &[u8],
) -> Option<(crate::base::store::Bytes, [u16; TEXTS])> {
    let mut ends = [0; TEXTS];
    let text = stack.compose(|_, out| {
        let mut end = |text: Text, out: &Writer<'_>| ends[text as usize] = out.len().min(usize::from(u16::MAX)) as u16;
        out.put(change.uri.raw);
        end(Text::Uri, out);
        for (name, value) in change.contact.params.iter() {
            if name.eq_ignore_ascii_case(b"expires") || name.eq_ignore_ascii_case(b"q") {
                continue;
            }
            out.text(";");
            out.put(name);
            if let Some(value) = value {
                out.text("=");
                out.put(value);
            }
        }
        end(Text::Params, out);
        for (index, path) in message.values(Name::Path).enumerate() {
            out.text(if index == 0 { "" } else { ", " });
            out.put(path);
        }
        end(Text::Path, out);
        let agent = message.field(Name::UserAgent).map_or(&b""[..], |field| field.value);
        out.put(&agent[..agent.len().min(96)]);
        end(Text::Agent, out);
        for (index, accept) in message.values(Name::Accept).enumerate() {
            out.text(if index == 0 { "" } else { ", " });
            out.put(accept);
        }
        if message.field(Name::Accept).is_none() {
            out.put(said);
        }
        end(Text::Accept, out);
    })?;
    Some((text, ends))
}

/// The way to a device that registered over a flow, and whether there is a NAT between. It is the way the REGISTER came;
/// only a device on a network of ours, which no NAT separates from us, may listen on another port than it sends from.
fn way_to(network: &Network, flow: Flow, contact: &SipUri<'_>) -> (Flow, bool) {
    let Some(remote) = network.remote(flow) else { return (flow, false) };
    let is_same_host = contact.host.ip().is_some_and(|ip| ip.to_canonical() == remote.ip().to_canonical());
    let number = contact.port.unwrap_or(DEFAULT_PORT);
    match flow {
        Flow::Datagram { port, .. } if is_same_host && network.is_near(remote.ip()) => {
            (Flow::Datagram { port, remote: SocketAddr::new(remote.ip(), number) }, false)
        }
        Flow::Datagram { .. } => (flow, !is_same_host || number != remote.port()),
        Flow::Stream(_) => (flow, !is_same_host),
    }
}

/// Keeps the number of bindings that depend on a stream, so that it is not closed for being idle.
fn count_on_stream(stack: &mut Stack, flow: Flow, is_added: bool) {
    if let Flow::Stream(stream) = flow
        && let Some(state) = stack.network.stream_mut(stream)
    {
        state.bindings = if is_added { state.bindings + 1 } else { state.bindings.saturating_sub(1) };
        stack.reschedule_stream(usize::from(stream.index));
    }
}

const fn bad(reason: &'static str) -> Refused {
    Refused { fault: Fault { status: 400, reason }, field: "" }
}

const fn fault(fault: Fault) -> Refused {
    Refused { fault, field: "" }
}

const TOO_MANY: Refused = Refused { fault: Fault { status: 403, reason: "Too Many Devices" }, field: "" };
const NO_ROOM: Refused =
    Refused { fault: Fault { status: 503, reason: "Too Many Bindings" }, field: "Retry-After: 60\r\n" };
/// §10.3 step 7: the update fails. The device tries again with a higher CSeq.
const OUT_OF_ORDER: Refused = Refused { fault: Fault { status: 500, reason: "Out of Order" }, field: "" };
