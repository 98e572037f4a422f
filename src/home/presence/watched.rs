//! Subscriptions of the home's own (RFC 6665 §4.1): to devices that know only peer-to-peer presence, and to people
//! elsewhere who are on a list that one of ours watches. One dialog each, refreshed in time and begun anew when it breaks.
//!
//! Leaves out: several notifiers behind one forked SUBSCRIBE (the first counts, the others are refused), and answering a
//! challenge of another domain's, for which there is no password.

use heapless::String;

use crate::base::limits::WATCHED;
use crate::base::net::Flow;
use crate::base::table::{Handle, Table};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::home::binding::Text;
use crate::home::outside::{self, Destination, Onward};
use crate::home::presence::list::URI_BYTES;
use crate::home::proxy::{self, Around};
use crate::home::registrar::BindingHandle;
use crate::sip::dialog::{self, Beginning, Dialog, Part};
use crate::sip::resolver::LookupHandle;
use crate::sip::stack::{ClientHandle, Stack, Task};
use crate::sip::transaction::T64_MS;
use crate::sip::transaction::client::Owner;
use crate::wire::pidf::{self, Format, Status};
use crate::wire::sip::{Message, Method, Name, NameAddr, SubscriptionState, Substate, Uri, delta_seconds};

/// A handle to something that is watched.
pub type WatchedHandle = Handle<Watched>;

/// How long a subscription is asked for.
const EXPIRES_S: u32 = 3_600;
/// The shortest life that is believed in an answer.
const LEAST_EXPIRES_S: u32 = 60;
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE_MS`].
const PAUSE_MS: u64 = 30_000;
const LONGEST_PAUSE_MS: u64 = 3_600_000;
/// How long is waited for a refusal that will hardly change.
const REFUSED_PAUSE_MS: u64 = 3_600_000;

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A device of a person's, for her.
    Device(BindingHandle),
    /// Somebody elsewhere, for a person who watches him.
    Elsewhere,
}

/// A subscription of the home's own.
#[derive(Debug)]
pub struct Watched {
    /// The person it is for, as an index in the model.
    pub person: u16,
    /// What is watched.
    pub role: Role,
    /// Its address.
    pub uri: String<URI_BYTES>,
    /// What it last said; `None` while nothing is known.
    pub status: Option<Status>,
    dialog: Option<Dialog>,
    phase: Phase,
    in_flight: Option<ClientHandle>,
    lookup: Option<LookupHandle>,
    failures: u8,
    expires_s: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// A SUBSCRIBE is to go.
    Due,
    /// One is on its way.
    Asked,
    /// It is tried again then.
    Paused(Instant),
    /// It holds until then, and is refreshed before.
    Active { refresh_at: Instant, ends_at: Instant },
    /// Nobody needs it any more: that is to be said, and then it goes.
    Leaving,
}

/// What came of a NOTIFY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notified {
    /// The answer to it.
    pub status: u16,
    /// What may have changed.
    pub changed: Option<WatchedHandle>,
}

/// All of them.
pub struct AllWatched {
    table: Table<Watched, WATCHED>,
}

impl AllWatched {
    /// None.
    pub const fn new() -> Self {
        Self { table: Table::new() }
    }

    /// Has somebody watched for a person. `None` when there is no room.
    pub fn want(&mut self, stack: &mut Stack, person: usize, role: Role, uri: &[u8]) -> Option<WatchedHandle> {
        let uri: String<URI_BYTES> = core::str::from_utf8(uri).ok()?.try_into().ok()?;
        let is_it = |it: &Watched| usize::from(it.person) == person && it.role == role && it.uri == uri;
        let known = self.table.iter().find(|(_, it)| is_it(it)).map(|(handle, _)| handle);
        if let Some(handle) = known {
            if let Some(known) = self.table.get_mut(handle)
                && known.phase == Phase::Leaving
            {
                known.phase = Phase::Due;
            }
            self.wake(stack, handle);
            return Some(handle);
        }
        let watched = Watched {
            person: person as u16,
            role,
            uri,
            status: None,
            dialog: None,
            phase: Phase::Due,
            in_flight: None,
            lookup: None,
            failures: 0,
            expires_s: EXPIRES_S,
        };
        let handle = self.table.insert(watched).ok()?;
        self.wake(stack, handle);
        Some(handle)
    }

    /// One of them.
    pub fn get(&self, handle: WatchedHandle) -> Option<&Watched> {
        self.table.get(handle)
    }

    /// One of them, to say what it has said.
    #[cfg(test)]
    pub(super) fn get_mut(&mut self, handle: WatchedHandle) -> Option<&mut Watched> {
        self.table.get_mut(handle)
    }

    /// The one in a slot.
    pub fn handle_at(&self, index: usize) -> Option<WatchedHandle> {
        self.table.handle_at(index)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (WatchedHandle, &Watched)> {
        self.table.iter()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Nobody needs one any more.
    pub fn leave(&mut self, now: Instant, stack: &mut Stack, handle: WatchedHandle) {
        let Some(watched) = self.table.get_mut(handle) else { return };
        match (watched.phase, watched.in_flight) {
            (Phase::Leaving, _) => {}
            // A device that is gone can't be told.
            (Phase::Active { .. } | Phase::Asked, _) if matches!(watched.role, Role::Elsewhere) => {
                watched.phase = Phase::Leaving;
                self.wake(stack, handle);
            }
            _ => self.remove(now, stack, handle),
        }
    }

    /// Takes one out without a word.
    pub fn remove(&mut self, now: Instant, stack: &mut Stack, handle: WatchedHandle) {
        let Some(watched) = self.table.remove(handle) else { return };
        stack.schedule.set_deadline(Task::Watched(handle.index()).id(), None);
        if let Some(client) = watched.in_flight {
            stack.abandon(now, client);
        }
        if let Some(dialog) = watched.dialog {
            dialog.release(&mut stack.store);
        }
    }

    /// Acts on a deadline. Whether something is not known any more.
    pub fn due(&mut self, now: Instant, stack: &mut Stack, index: usize) -> Option<WatchedHandle> {
        let handle = self.table.handle_at(index)?;
        let watched = self.table.get_mut(handle)?;
        let mut changed = None;
        match watched.phase {
            Phase::Paused(until) if until <= now => watched.phase = Phase::Due,
            Phase::Active { ends_at, .. } if ends_at <= now => {
                changed = watched.status.take().map(|_| handle);
                watched.forget_dialog(stack);
                watched.phase = Phase::Due;
            }
            Phase::Active { refresh_at, .. } if refresh_at <= now && watched.in_flight.is_none() => {
                watched.phase = Phase::Due;
            }
            _ => {}
        }
        self.wake(stack, handle);
        changed
    }

    /// Sends the SUBSCRIBE that is due. What is not known any more, because there is no way to ask.
    pub fn produce(&mut self, now: Instant, around: &mut Around<'_>, index: usize) -> Option<WatchedHandle> {
        let handle = self.table.handle_at(index)?;
        let watched = self.table.get_mut(handle)?;
        let is_leaving = watched.phase == Phase::Leaving;
        if watched.in_flight.is_some() || watched.lookup.is_some() || !(is_leaving || watched.phase == Phase::Due) {
            return None;
        }
        if is_leaving && watched.dialog.is_none() {
            self.remove(now, around.stack, handle);
            return None;
        }
        let mut changed = None;
        match watched.ask(now, around, handle) {
            Sent::Yes(client) => {
                watched.in_flight = Some(client);
                if !is_leaving {
                    watched.phase = Phase::Asked;
                }
            }
            Sent::Pending(lookup) => watched.lookup = Some(lookup),
            Sent::No if is_leaving => {
                self.remove(now, around.stack, handle);
                return None;
            }
            // What can't be refreshed ends, and is begun anew where it began.
            Sent::No => {
                changed = watched.status.take().map(|_| handle);
                watched.forget_dialog(around.stack);
                watched.pause(now, None);
            }
        }
        self.reschedule(around.stack, handle);
        changed
    }

    /// A lookup has ended.
    pub fn located(&mut self, now: Instant, stack: &mut Stack, lookup: LookupHandle, is_found: bool) {
        for index in 0..WATCHED {
            let Some(handle) = self.table.handle_at(index) else { continue };
            let Some(watched) = self.table.get_mut(handle).filter(|it| it.lookup == Some(lookup)) else { continue };
            watched.lookup = None;
            if !is_found && watched.phase == Phase::Due {
                watched.pause(now, None);
            }
            self.wake(stack, handle);
        }
    }

    /// A SUBSCRIBE was answered, or not: then there is no message. What is not known any more.
    pub fn answered(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        handle: WatchedHandle,
        client: ClientHandle,
        message: Option<&Message<'_>>,
    ) -> Option<WatchedHandle> {
        let watched = self.table.get_mut(handle).filter(|it| it.in_flight == Some(client))?;
        let status = message.and_then(Message::status).unwrap_or(408);
        if status < 200 {
            return None;
        }
        watched.in_flight = None;
        if watched.phase == Phase::Leaving {
            self.remove(now, stack, handle);
            return None;
        }
        let retry_ms = message.and_then(retry_after_ms);
        let mut changed = None;
        match (status, message) {
            (200..=299, Some(message)) => {
                watched.failures = 0;
                if let Some(dialog) = &mut watched.dialog
                    && dialog.part(&stack.store, Part::RemoteTag).is_empty()
                {
                    dialog.established(stack, message);
                }
                let given = message.field(Name::Expires).and_then(|field| delta_seconds(field.value).ok());
                let expires_s = given.unwrap_or(watched.expires_s).min(watched.expires_s);
                // It may have ended already, before the answer came.
                if watched.dialog.is_some() {
                    watched.phase = active(now, expires_s);
                }
            }
            (423, Some(message)) if watched.failures < 3 => {
                watched.failures += 1;
                let least = message.field(Name::MinExpires).and_then(|field| delta_seconds(field.value).ok());
                watched.expires_s = least.unwrap_or(EXPIRES_S).clamp(EXPIRES_S, 24 * EXPIRES_S);
                watched.phase = Phase::Due;
            }
            // Its other end knows nothing of the dialog: a new one.
            (481, _) if watched.dialog.as_ref().is_some_and(|it| it.local_cseq > 1) => {
                watched.forget_dialog(stack);
                watched.pause_for(now, 1_000);
            }
            (408 | 480 | 500..=599, _) => {
                changed = watched.status.take().map(|_| handle);
                watched.forget_dialog(stack);
                watched.pause(now, retry_ms);
            }
            _ => {
                log::debug!("{} can't be watched: {status}", watched.uri);
                changed = watched.status.take().map(|_| handle);
                watched.forget_dialog(stack);
                watched.pause_for(now, REFUSED_PAUSE_MS);
            }
        }
        self.wake(stack, handle);
        changed
    }

    /// Takes a NOTIFY whose To tag is ours. `None` when it belongs to nothing here.
    pub fn notified(&mut self, now: Instant, stack: &mut Stack, message: &Message<'_>) -> Option<Notified> {
        let essentials = message.essentials()?;
        let id = dialog::id_of(essentials.to.tag()?)?;
        let is_it = |it: &Watched| it.dialog.as_ref().is_some_and(|dialog| dialog.id == id);
        let handle = self.table.iter().find(|(_, it)| is_it(it)).map(|(handle, _)| handle)?;
        let watched = self.table.get_mut(handle)?;
        let known = watched.dialog.as_mut()?;
        if known.part(&stack.store, Part::CallId) != essentials.call_id {
            return None;
        }
        if known.part(&stack.store, Part::RemoteTag).is_empty() {
            // It came before the answer that makes the dialog.
            known.established(stack, message);
        }
        if !known.has(&stack.store, message) {
            return None;
        }
        if !known.admits(essentials.cseq.number) {
            return Some(Notified { status: 500, changed: None });
        }
        let answer = |status| Some(Notified { status, changed: None });
        let Ok(state) = SubscriptionState::parse(message.field(Name::SubscriptionState).map_or(b"", |it| it.value))
        else {
            return answer(400);
        };
        let mut changed = None;
        match read_document(message) {
            Ok(Some(status)) if watched.status.as_ref() != Some(&status) => {
                watched.status = Some(status);
                changed = Some(handle);
            }
            Ok(_) => {}
            // That it is over counts, whatever else is said.
            Err(status) if state.state != Substate::Terminated => return answer(status),
            Err(_) => {}
        }
        match state.state {
            Substate::Terminated => {
                watched.forget_dialog(stack);
                changed = watched.status.take().map(|_| handle).or(changed);
                if watched.phase == Phase::Leaving {
                    self.remove(now, stack, handle);
                    return Some(Notified { status: 200, changed });
                }
                let pause_ms = match (state.reason, state.retry_after) {
                    (_, Some(seconds)) => u64::from(seconds) * 1000,
                    (Some(b"deactivated" | b"timeout"), None) => 1_000,
                    (Some(b"rejected" | b"noresource" | b"invariant"), None) => REFUSED_PAUSE_MS,
                    _ => PAUSE_MS,
                };
                watched.pause_for(now, pause_ms.min(LONGEST_PAUSE_MS));
            }
            _ => {
                if let (Some(expires_s), Phase::Active { .. }) = (state.expires, watched.phase) {
                    watched.phase = active(now, expires_s.min(watched.expires_s));
                }
            }
        }
        self.wake(stack, handle);
        Some(Notified { status: 200, changed })
    }

    /// The configuration has changed: says for each person where it is now, if it is still there.
    pub fn renumber(&mut self, now: Instant, stack: &mut Stack, person: impl Fn(usize) -> Option<usize>) {
        for index in 0..WATCHED {
            let Some(handle) = self.table.handle_at(index) else { continue };
            let moved = self.table.get(handle).and_then(|it| person(usize::from(it.person)));
            match (moved, self.table.get_mut(handle)) {
                (Some(moved), Some(watched)) => watched.person = moved as u16,
                _ => self.remove(now, stack, handle),
            }
        }
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("watched by the home", WATCHED, size_of::<Self>())
    }

    fn wake(&mut self, stack: &mut Stack, handle: WatchedHandle) {
        if self.table.get(handle).is_some_and(|it| matches!(it.phase, Phase::Due | Phase::Leaving)) {
            stack.schedule.wake(Task::Watched(handle.index()).id());
        }
        self.reschedule(stack, handle);
    }

    fn reschedule(&self, stack: &mut Stack, handle: WatchedHandle) {
        let deadline = self.table.get(handle).and_then(Watched::deadline);
        stack.schedule.set_deadline(Task::Watched(handle.index()).id(), deadline);
    }
}

impl Default for AllWatched {
    fn default() -> Self {
        Self::new()
    }
}

enum Sent {
    Yes(ClientHandle),
    Pending(LookupHandle),
    No,
}

impl Watched {
    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Paused(until) => Some(until),
            Phase::Active { refresh_at, ends_at } if self.in_flight.is_none() => {
                earliest(Some(refresh_at), Some(ends_at))
            }
            _ => None,
        }
    }

    fn pause(&mut self, now: Instant, retry_ms: Option<u64>) {
        let pause_ms = (PAUSE_MS << self.failures.min(7)).min(LONGEST_PAUSE_MS);
        self.failures = self.failures.saturating_add(1);
        self.pause_for(now, retry_ms.unwrap_or(0).clamp(pause_ms, LONGEST_PAUSE_MS));
    }

    fn pause_for(&mut self, now: Instant, pause_ms: u64) {
        self.phase = Phase::Paused(now.plus(pause_ms.max(1_000)));
    }

    /// Whether a dialog is kept for it.
    pub const fn has_dialog(&self) -> bool {
        self.dialog.is_some()
    }

    fn forget_dialog(&mut self, stack: &mut Stack) {
        if let Some(dialog) = self.dialog.take() {
            dialog.release(&mut stack.store);
        }
    }

    fn ask(&mut self, now: Instant, around: &mut Around<'_>, handle: WatchedHandle) -> Sent {
        let flow = match self.role {
            Role::Device(device) => {
                let Some(device) = around.registrar.get(device) else { return Sent::No };
                let Some(flow) = proxy::flow_of(now, around.stack, device) else { return Sent::No };
                flow
            }
            Role::Elsewhere => {
                let next = match &self.dialog {
                    Some(dialog) => next_hop(dialog, around.stack),
                    None => self.uri.as_bytes(),
                };
                let Ok(Uri::Sip(uri)) = Uri::parse(next) else { return Sent::No };
                let mut kept = [0; 4 * URI_BYTES];
                let Some(room) = kept.get_mut(..uri.raw.len()) else { return Sent::No };
                room.copy_from_slice(uri.raw);
                let Ok(Uri::Sip(uri)) = Uri::parse(room) else { return Sent::No };
                let onward = Onward { uri, domain: 0, in_dialog: false, is_secure: false };
                match outside::destination(now, around.stack, around.people, &onward) {
                    Destination::At(servers, domain) => {
                        let Some(server) = servers.first() else { return Sent::No };
                        let flow = around.stack.flow_to(now, server.transport, server.address, &domain);
                        let Some(flow) = flow else { return Sent::No };
                        flow
                    }
                    Destination::Pending(lookup, _) => return Sent::Pending(lookup),
                    Destination::Nowhere(_) => return Sent::No,
                }
            }
        };
        if self.dialog.is_none() {
            self.dialog = self.begin(around, flow);
        }
        let Some(dialog) = &mut self.dialog else { return Sent::No };
        dialog.local_cseq += 1;
        (dialog.flow, dialog.local) = (flow, around.stack.network.local(flow).unwrap_or(dialog.local));
        let expires_s = if self.phase == Phase::Leaving { 0 } else { self.expires_s };
        let sent =
            around.stack.send_own(now, flow, (Owner::Watched, handle.to_bits()), T64_MS, |store, outgoing, out| {
                dialog.write_request(store, outgoing, "pcs", Method::Subscribe, out);
                out.text("Event: presence\r\nAccept: ");
                for (index, format) in Format::ALL.into_iter().enumerate() {
                    out.text(if index == 0 { "" } else { ", " });
                    out.text(format.content_type());
                }
                out.text("\r\nExpires: ");
                out.number(expires_s.into());
                out.text("\r\nContent-Length: 0\r\n\r\n");
            });
        sent.map_or(Sent::No, Sent::Yes)
    }

    /// The dialog that the first SUBSCRIBE begins. A device is asked by the home, under its Contact; somebody elsewhere by
    /// the person who wants to see him.
    fn begin(&self, around: &mut Around<'_>, flow: Flow) -> Option<Dialog> {
        let (id, number) = (around.stack.random.number(), around.stack.random.number());
        let (mut call_id, mut local, mut target) = ([0; 16], [0; 2 * URI_BYTES], [0; 4 * URI_BYTES]);
        let mut text = Writer::new(&mut call_id);
        text.hex(number, 16);
        text.finish().ok()?;
        let person = around.people.model.people.get(usize::from(self.person))?;
        let mut text = Writer::new(&mut local);
        text.text("sip:");
        text.text(if self.role != Role::Elsewhere { "pcs" } else { &person.id });
        text.text("@");
        text.text(&around.people.model.main.domain);
        let local_len = text.finish().ok()?;
        let target: &[u8] = match self.role {
            Role::Device(device) => {
                let uri = around.registrar.get(device)?.text(&around.stack.store, Text::Uri);
                let room = target.get_mut(..uri.len())?;
                room.copy_from_slice(uri);
                room
            }
            Role::Elsewhere => self.uri.as_bytes(),
        };
        let beginning = Beginning {
            id,
            call_id: &call_id,
            remote_tag: b"",
            local: &local[..local_len],
            remote: self.uri.as_bytes(),
            target,
        };
        Dialog::begin(around.stack, flow, &beginning)
    }
}

/// Where the next request of a dialog goes: its first route, else its target.
pub fn next_hop<'s>(dialog: &Dialog, stack: &'s Stack) -> &'s [u8] {
    let routes = dialog.part(&stack.store, Part::Routes);
    let first = crate::wire::sip::list(routes).next().and_then(|route| NameAddr::parse(route).ok());
    first.map_or_else(|| dialog.part(&stack.store, Part::Target), |route| route.uri)
}

/// The document in a NOTIFY; `Ok(None)` when it has none. `Err` with the status that refuses it.
pub fn read_document(message: &Message<'_>) -> Result<Option<Status>, u16> {
    if message.body().is_empty() {
        return Ok(None);
    }
    let content_type = message.field(Name::ContentType).map_or(b"".as_slice(), |field| field.value);
    let format = if content_type.is_empty() { Some(Format::Pidf) } else { Format::of_type(content_type) };
    let format = format.ok_or(415u16)?;
    if message.field(Name::ContentEncoding).is_some_and(|it| !it.value.eq_ignore_ascii_case(b"identity")) {
        return Err(415);
    }
    pidf::read(format, message.body()).map(Some).map_err(|fault| {
        log::debug!("a presence document can't be read: {}", fault.reason);
        400
    })
}

fn active(now: Instant, expires_s: u32) -> Phase {
    let life_ms = u64::from(expires_s.max(LEAST_EXPIRES_S)) * 1000;
    Phase::Active { refresh_at: now.plus(life_ms * 9 / 10), ends_at: now.plus(life_ms) }
}

fn retry_after_ms(message: &Message<'_>) -> Option<u64> {
    let field = message.field(Name::RetryAfter)?;
    let seconds = crate::wire::sip::RetryAfter::parse(field.value).ok()?.seconds;
    Some(u64::from(seconds) * 1000)
}
