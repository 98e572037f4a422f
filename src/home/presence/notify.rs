//! The NOTIFYs of the presence agent (RFC 6665 §4.2.2): which way they take, what they say, and what their answers mean.
//!
//! Single documents are PIDF and its relatives; lists are `multipart/related` with RLMI (RFC 4662): the first names all
//! entries, further ones bring those whose documents fit, one NOTIFY after the other. Who watches is watcherinfo in full
//! (RFC 3858); what waits is a message summary (RFC 3842) of recordings and texts.
//!
//! To who only claims a name a NOTIFY goes back the way its SUBSCRIBE came, and nowhere else: whatever address he writes
//! into his Contact, nothing is sent there on his word.

use core::net::IpAddr;

use heapless::String;

use super::compose;
use super::list::{self, List, URI_BYTES};
use super::watch::{PACE_MS, Package, Progress, Subject, Watch, WatchHandle};
use super::watched::next_hop;
use super::{NOBODY, Presence};
use crate::base::net::{Flow, Transport};
use crate::base::random::{Purpose, Random};
use crate::base::store::Store;
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime};
use crate::bridge::Show;
use crate::home::inbox::Waiting;
use crate::home::outside::{self, Destination, Onward};
use crate::home::people::People;
use crate::home::people::compose::{Composed, Of, TUPLES, URI_BYTES as TUPLE_URI_BYTES};
use crate::home::policy::{Asker, Assurance, Decision};
use crate::home::proxy::{self, Around};
use crate::sip::dialog::Part;
use crate::sip::resolver::LookupHandle;
use crate::sip::stack::{ClientHandle, Stack, Task};
use crate::sip::transaction::T64_MS;
use crate::sip::transaction::client::Owner;
use crate::wire::pidf::{self, Basic, Document, Format, Status};
use crate::wire::sip::{Message, Method, Name, SubscriptionState, Substate, Uri};
use crate::wire::{multipart, rlmi, summary, winfo};

/// What of a list's entries goes into one NOTIFY: on UDP what most networks carry in one piece, on a stream what a block of
/// the store holds.
const LIST_DATAGRAM_BYTES: usize = 600;
const LIST_STREAM_BYTES: usize = 5_000;
/// A document in a list; a longer one is left out with a log line.
const DOCUMENT_BYTES: usize = 2_048;
/// The first NOTIFY to a stranger is given up after so long.
const UNPROVEN_MS: u64 = 8_000;
/// A NOTIFY that found no room is tried again so much later.
const AGAIN_MS: u64 = 1_000;
/// How long is waited for an address of ours to come back.
const CLOSED_MS: u64 = 5_000;
/// A watcher that asks for patience gets at most so much.
const MOST_PATIENCE_MS: u64 = 600_000;

enum Way {
    Flow(Flow),
    Pending(LookupHandle),
    /// The address it was on is not ours now, and may come back.
    Closed,
    Gone,
}

/// What a NOTIFY says besides its head.
// Without an allocator there is no smaller way to say it.
#[allow(clippy::large_enum_variant)]
enum Body {
    /// A document about one person.
    Single(Composed),
    /// Entries of a list: those with a bit set bring their documents. `is_last` when nothing of this state follows.
    List { with: u64, is_full: bool, is_last: bool },
    /// Who watches.
    Watchers,
    /// What waits.
    Summary(Waiting),
}

impl Presence {
    /// Sends the NOTIFY that is due to a watcher, as a client transaction.
    pub fn produce(&mut self, now: Instant, around: &mut Around<'_>, clock: Option<UnixTime>, index: usize) {
        let Some(handle) = self.watches.handle_at(index) else { return };
        if !self.watches.get(handle).is_some_and(|watch| watch.may_go(now)) {
            return;
        }
        self.judge(now, around, handle);
        let Some(watch) = self.watches.get(handle) else { return };
        let is_datagram = !matches!(open_flow(around.stack, watch), Some(Flow::Stream(_)));
        let (body, told) = self.body_for(around, watch, is_datagram);
        let is_ending = matches!(watch.progress, Progress::Ending(_));
        if !is_ending && !watch.is_asked && told == watch.told {
            if let (Body::List { with, .. }, Subject::List(list)) = (&body, watch.subject)
                && let Some(list) = self.lists.get_mut(list)
            {
                list.dirty &= !with;
            }
            if let Some(watch) = self.watches.get_mut(handle) {
                watch.is_dirty = false;
            }
            return self.watches.reschedule(around.stack, handle);
        }
        let flow = match self.way(now, around, handle) {
            Way::Flow(flow) => flow,
            Way::Pending(lookup) => {
                if let Some(watch) = self.watches.get_mut(handle) {
                    watch.lookup = Some(lookup);
                }
                return;
            }
            Way::Closed => {
                if let Some(watch) = self.watches.get_mut(handle) {
                    watch.next_at = now.plus(CLOSED_MS);
                }
                return self.watches.reschedule(around.stack, handle);
            }
            Way::Gone => {
                log::debug!("the way to a watcher is gone");
                return self.drop_watch(now, around.stack, handle);
            }
        };
        if let Some(watch) = self.watches.get_mut(handle) {
            watch.dialog.local_cseq += 1;
            if watch.dialog.needs_keeping() {
                self.watches.mark(around.stack, handle);
            }
        }
        let client = self.send(now, around, clock, (handle, flow), &body);
        self.sent(now, around, handle, client, (&body, told));
    }

    /// Notes what has become of a NOTIFY that was to go.
    fn sent(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: WatchHandle,
        client: Option<ClientHandle>,
        (body, told): (&Body, u64),
    ) {
        let mut has_more = false;
        if let (Some(_), Body::List { with, .. }, Some(watch)) = (client, body, self.watches.get(handle))
            && let Subject::List(list) = watch.subject
        {
            let (with, told) = (*with, self.entries_told(around, watch, Some(list)));
            if let Some(list) = self.lists.get_mut(list) {
                list.is_full_due = false;
                for (index, entry) in list.entries.iter_mut().enumerate().filter(|(index, _)| with & 1 << index != 0) {
                    entry.told = told.get(index).copied().unwrap_or_default();
                }
                list.dirty &= !with;
                has_more = list.dirty != 0;
            }
        }
        let Some(watch) = self.watches.get_mut(handle) else { return };
        match client {
            Some(client) => {
                watch.in_flight = Some(client);
                (watch.is_dirty, watch.is_asked, watch.told) = (has_more, false, told);
                // The parts of one state follow each other as soon as the one before is there.
                watch.next_at = if has_more { now } else { now.plus(PACE_MS) };
            }
            None => {
                around.stack.counters.overloaded += 1;
                // It is the version of a list as well: a number left out says that something was missed.
                watch.dialog.local_cseq -= 1;
                watch.next_at = now.plus(AGAIN_MS);
            }
        }
        self.watches.reschedule(around.stack, handle);
    }

    /// A NOTIFY was answered, or not: then there is no message.
    pub fn answered(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        handle: WatchHandle,
        client: ClientHandle,
        message: Option<&Message<'_>>,
    ) {
        let Some(watch) = self.watches.get_mut(handle).filter(|watch| watch.in_flight == Some(client)) else { return };
        let status = message.and_then(Message::status).unwrap_or(408);
        if status < 200 {
            return;
        }
        watch.in_flight = None;
        let patience_ms = message
            .and_then(|message| message.field(Name::RetryAfter))
            .and_then(|field| crate::wire::sip::RetryAfter::parse(field.value).ok())
            .map(|after| (u64::from(after.seconds) * 1000).min(MOST_PATIENCE_MS));
        match (status, patience_ms) {
            _ if matches!(watch.progress, Progress::Ending(_)) && watch.is_last_sent() => {
                return self.drop_watch(now, stack, handle);
            }
            (200..=299, _) => {
                if watch.progress == Progress::Pending && !watch.is_announced {
                    stack.schedule.wake(Task::People.id());
                }
            }
            // RFC 6665 §4.2.2: it may want the same again later.
            (_, Some(patience_ms)) => {
                watch.is_asked = true;
                watch.next_at = now.plus(patience_ms.max(PACE_MS));
                // Which of the entries it has taken in is not known.
                if let Some(list) = watch_list(watch).and_then(|list| self.lists.get_mut(list)) {
                    list.tell_all();
                }
            }
            _ => {
                log::debug!("a watcher is gone: it answered {status}");
                return self.drop_watch(now, stack, handle);
            }
        }
        if watch.wants_notify() {
            self.watches.touch(now, stack, handle);
        }
        self.watches.reschedule(stack, handle);
    }

    /// Tells a watcher that its watch is over, without waiting for what it says: its slot goes to another.
    pub(super) fn say_goodbye(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: WatchHandle,
        reason: &'static str,
    ) {
        let Some(watch) = self.watches.get_mut(handle) else { return };
        watch.progress = Progress::Ending(reason);
        watch.dialog.local_cseq += 1;
        let flow = watch.dialog.flow;
        let Some(watch) = self.watches.get(handle) else { return };
        around.stack.send_own(now, flow, (Owner::Watch, NOBODY), T64_MS, |store, outgoing, out| {
            watch.dialog.write_request(store, outgoing, "pcs", Method::Notify, out);
            write_event(now, watch, true, out);
            out.text("Content-Length: 0\r\n\r\n");
        });
    }

    fn send(
        &self,
        now: Instant,
        around: &mut Around<'_>,
        clock: Option<UnixTime>,
        (handle, flow): (WatchHandle, Flow),
        body: &Body,
    ) -> Option<ClientHandle> {
        let watch = self.watches.get(handle)?;
        let Around { stack, registrar, people } = around;
        let boundary = boundary_of(watch);
        // The documents of a list are put together with the whole at hand, before the stack is asked to send.
        let documents = match (body, watch.subject) {
            (Body::List { with, .. }, Subject::List(list)) => {
                let around = Around { stack, registrar, people };
                self.documents(&around, watch, self.lists.get(list)?, *with)
            }
            _ => heapless::Vec::new(),
        };
        // Who has answered nothing yet may know nothing of it: a SUBSCRIBE is easily sent in somebody else's name.
        let limit_ms = if watch.is_strangers() && watch.told == 0 { UNPROVEN_MS } else { T64_MS };
        stack.send_own(now, flow, (Owner::Watch, handle.to_bits()), limit_ms, |store, outgoing, out| {
            watch.dialog.write_request(store, outgoing, "pcs", Method::Notify, out);
            let is_last = !matches!(body, Body::List { is_last: false, .. });
            write_event(now, watch, is_last, out);
            let content = Content { watch, store, people, clock, boundary: &boundary, documents: &documents };
            match body {
                Body::Single(seen) => content.single(seen, out),
                Body::List { is_full, .. } => {
                    let Subject::List(list) = watch.subject else { return };
                    let Some(list) = self.lists.get(list) else { return };
                    content.list(list, *is_full, out);
                }
                Body::Watchers => content.part(winfo::CONTENT_TYPE, out, |out| {
                    self.write_watchers(now, store, watch, out);
                }),
                Body::Summary(waiting) => content.part(summary::CONTENT_TYPE, out, |out| {
                    let account = watch.dialog.part(store, Part::Local);
                    summary::Summary { account, voice: waiting.voice, text: waiting.text }.write(out);
                }),
            }
        })
    }

    /// What a watcher is to be told, and a hash of it.
    fn body_for(&self, around: &Around<'_>, watch: &Watch, is_datagram: bool) -> (Body, u64) {
        let random = &around.stack.random;
        match (watch.package, watch.subject) {
            (Package::Winfo, _) => {
                // What is new in it is new for everybody who asks, so that it can be told by what is in it.
                let mut hash = random.hash(Purpose::Table);
                for (handle, other) in self.watchers_of(watch) {
                    hash.put(&handle.to_bits().to_le_bytes());
                    hash.put(&[substate(other.progress).as_bytes()[0]]);
                }
                (Body::Watchers, hash.finish())
            }
            (Package::Summary, subject) => {
                let waiting = match subject {
                    Subject::Person(person) => self.waiting(usize::from(person)),
                    _ => Waiting::default(),
                };
                let mut hash = random.hash(Purpose::Table);
                for counts in [waiting.voice, waiting.text] {
                    [counts.new, counts.old].into_iter().for_each(|count| hash.put(&count.to_le_bytes()));
                }
                (Body::Summary(waiting), hash.finish().max(1))
            }
            (Package::Presence, Subject::List(list)) => {
                let nothing = Body::List { with: 0, is_full: true, is_last: true };
                let Some(list) = self.lists.get(list) else { return (nothing, 0) };
                let (with, has_news) = self.choose(around, watch, list, is_datagram);
                // Each entry has a hash of its own; the list is told whenever one of them is.
                let told = watch.told ^ u64::from(has_news || list.is_full_due);
                (Body::List { with, is_full: list.is_full_due, is_last: list.dirty & !with == 0 }, told)
            }
            (Package::Presence, subject) => {
                let seen = self.seen_by(around, watch, subject);
                let told = hash_of(random, &seen, watch.progress);
                (Body::Single(seen), told)
            }
        }
    }

    /// What a watcher sees of somebody.
    fn seen_by(&self, around: &Around<'_>, watch: &Watch, subject: Subject) -> Composed {
        let status = match subject {
            Subject::Person(person) => match self.decide(around, watch, usize::from(person)) {
                Decision::Show(view) => compose::seen(self.status(usize::from(person)), &view, &around.people.model),
                _ => compose::hidden(),
            },
            Subject::Buddy(buddy) => {
                let watcher = watch.watcher.map(usize::from);
                let seen = watcher.map(|person| self.buddy_status(around, person, usize::from(buddy)));
                return seen.filter(Composed::is_known).unwrap_or_else(|| Composed::of(compose::hidden()));
            }
            Subject::Home => {
                let mut status = Status::new();
                (status.basic, status.takes.message) = (Some(Basic::Open), Some(true));
                status
            }
            Subject::List(_) => compose::hidden(),
        };
        Composed::of(status)
    }

    /// The entries of a list whose documents go into the next NOTIFY: those that have changed for this watcher, as many as
    /// fit. At least one, if there is any. And whether there is one: an entry may look to this watcher as it did before.
    fn choose(&self, around: &Around<'_>, watch: &Watch, list: &List, is_datagram: bool) -> (u64, bool) {
        let told = self.entries_told(around, watch, watch_list(watch));
        // What is asked for once is told at once, in as few as it takes.
        let is_datagram = is_datagram && !watch.is_ending();
        // The first on UDP names the entries only: it is long enough by that.
        if is_datagram && list.is_full_due && list.entries.len() > 1 {
            return (0, true);
        }
        let budget = if is_datagram { LIST_DATAGRAM_BYTES } else { LIST_STREAM_BYTES };
        let (mut with, mut spent, mut count) = (0, 0, 0);
        for index in list.waiting() {
            let entry = &list.entries[index];
            let hash = told.get(index).copied().unwrap_or_default();
            if entry.who == list::Who::Nobody || hash == entry.told {
                // Nothing to say: it counts as said.
                with |= 1 << index;
                continue;
            }
            let len = self.document(around, watch, list, index).1;
            if count > 0 && (spent + len > budget || count == MOST_DOCUMENTS) {
                break;
            }
            (spent, count) = (spent + len, count + 1);
            with |= 1 << index;
        }
        (with, count > 0)
    }

    /// A hash of what a watcher sees of each entry of a list.
    fn entries_told(
        &self,
        around: &Around<'_>,
        watch: &Watch,
        list: Option<list::ListHandle>,
    ) -> heapless::Vec<u64, { crate::base::limits::LIST_ENTRIES }> {
        let Some(list) = list.and_then(|list| self.lists.get(list)) else { return heapless::Vec::new() };
        let entries = (0..list.entries.len()).map(|index| {
            let status = self.entry_status(around, watch, list, index);
            status.map_or(0, |status| hash_of(&around.stack.random, &status, Progress::Active))
        });
        entries.collect()
    }

    /// What a watcher sees of an entry; `None` when nothing is known, and nothing was.
    fn entry_status(&self, around: &Around<'_>, watch: &Watch, list: &List, index: usize) -> Option<Composed> {
        let entry = list.entries.get(index)?;
        match entry.who {
            list::Who::Person(person) => Some(self.seen_by(around, watch, Subject::Person(person))),
            list::Who::Watched(handle) => {
                let known = self.watched.get(handle).and_then(|it| it.status.clone());
                // What is not known any more must not look as it did.
                known.or_else(|| (entry.told != 0).then(compose::hidden)).map(Composed::of)
            }
            list::Who::Buddy(buddy, _) => {
                let known = self.buddy_status(around, usize::from(list.person), usize::from(buddy));
                let gone = || (entry.told != 0).then(|| Composed::of(compose::hidden()));
                Some(known).filter(Composed::is_known).or_else(gone)
            }
            list::Who::Nobody => None,
        }
    }

    /// The document about an entry, and about what it takes in a NOTIFY.
    fn document(&self, around: &Around<'_>, watch: &Watch, list: &List, index: usize) -> (Option<Composed>, usize) {
        let seen = self.entry_status(around, watch, list, index);
        let entity = list.uri(&around.stack.store, index);
        let mut room = [0; DOCUMENT_BYTES];
        let mut out = Writer::new(&mut room);
        if let Some(seen) = &seen {
            write_document(around.people, watch.format, (entity, index as u32), (seen, None), &mut out);
        }
        let len = out.finish().unwrap_or(DOCUMENT_BYTES);
        (seen, len + ENTRY_BYTES + 2 * entity.len())
    }

    fn documents(&self, around: &Around<'_>, watch: &Watch, list: &List, with: u64) -> Documents {
        let wanted = list.waiting().filter(|index| with & 1 << index != 0);
        wanted
            .filter_map(|index| {
                let status = self.entry_status(around, watch, list, index)?;
                let hash = hash_of(&around.stack.random, &status, Progress::Active);
                (hash != list.entries[index].told).then_some((index, status))
            })
            .take(MOST_DOCUMENTS)
            .collect()
    }

    /// The watches that a watcher of watchers is told of.
    fn watchers_of<'s>(&'s self, watch: &Watch) -> impl Iterator<Item = (WatchHandle, &'s Watch)> + use<'s> {
        let subject = watch.subject;
        self.watches.iter().filter(move |(_, it)| {
            it.subject == subject && it.package == Package::Presence && !matches!(it.progress, Progress::Ending(_))
        })
    }

    fn write_watchers(&self, now: Instant, store: &Store, watch: &Watch, out: &mut Writer<'_>) {
        winfo::begin(watch.dialog.local_cseq - 1, true, out);
        winfo::begin_list(watch.dialog.part(store, Part::Local), Package::Presence.name().as_bytes(), out);
        for (_, other) in self.watchers_of(watch) {
            let mut id = [0; 16];
            let mut text = Writer::new(&mut id);
            text.hex(other.dialog.id, 16);
            let is_pending = other.progress == Progress::Pending;
            let watcher = winfo::Watcher {
                id: text.written(),
                status: if is_pending { winfo::Status::Pending } else { winfo::Status::Active },
                event: if is_pending { winfo::Event::Subscribe } else { winfo::Event::Approved },
                expiration_s: Some(other.expires_at.seconds_from(now) as u32),
                uri: other.dialog.part(store, Part::Remote),
                name: "",
            };
            watcher.write(out);
        }
        winfo::end_list(out);
        winfo::end(out);
    }

    /// The way to a watcher: that of its last request; else that of the device whose Contact it is; else, for who has
    /// proven who he is, by what his Contact or his proxies say.
    fn way(&mut self, now: Instant, around: &mut Around<'_>, handle: WatchHandle) -> Way {
        let Around { stack, registrar, people } = around;
        let Some(watch) = self.watches.get_mut(handle) else { return Way::Gone };
        let known = open_flow(stack, watch);
        if let Some(flow) = known {
            if let (Flow::Datagram { .. }, Flow::Datagram { .. }) = (watch.dialog.flow, flow) {
                watch.dialog.flow = flow;
            }
            return Way::Flow(flow);
        }
        if let Ok(Uri::Sip(uri)) = Uri::parse(watch.dialog.part(&stack.store, Part::Target))
            && let Some((_, device)) = registrar.by_contact(stack, &uri)
            && watch.watcher == Some(device.person)
        {
            return proxy::flow_of(now, stack, device).map_or(Way::Gone, Way::Flow);
        }
        if !watch.is_on_stream() && watch.watcher.is_none() {
            return Way::Closed;
        }
        if watch.assurance == Assurance::Claimed {
            return Way::Gone;
        }
        let mut text = [0; 4 * URI_BYTES];
        let next = next_hop(&watch.dialog, stack);
        let Some(room) = text.get_mut(..next.len()) else { return Way::Gone };
        room.copy_from_slice(next);
        let Ok(Uri::Sip(uri)) = Uri::parse(room) else { return Way::Gone };
        let onward = Onward { uri, domain: 0, in_dialog: false, is_secure: false };
        match outside::destination(now, stack, people, &onward) {
            Destination::At(servers, domain) => {
                let flow =
                    servers.first().and_then(|server| stack.flow_to(now, server.transport, server.address, &domain));
                flow.map_or(Way::Gone, Way::Flow)
            }
            Destination::Pending(lookup, _) => Way::Pending(lookup),
            Destination::Nowhere(_) => Way::Gone,
        }
    }

    /// What somebody would see who asks now, for [`Presence::decide_for`]; `None` when he would be refused.
    pub fn would_see(&self, around: &Around<'_>, asker: &Asker<'_>, from: IpAddr, person: usize) -> Option<Status> {
        match self.decide_for(around, asker, from, person) {
            Decision::Show(view) => Some(compose::seen(self.status(person), &view, &around.people.model)),
            Decision::Pending => Some(compose::hidden()),
            _ => None,
        }
    }
}

/// Documents that go into one NOTIFY.
type Documents = heapless::Vec<(usize, Composed), MOST_DOCUMENTS>;
const MOST_DOCUMENTS: usize = 12;
/// What an entry takes besides its document: RLMI and the head of its part.
const ENTRY_BYTES: usize = 260;

/// What the body of a NOTIFY is written from.
struct Content<'a> {
    watch: &'a Watch,
    store: &'a Store,
    people: &'a People,
    clock: Option<UnixTime>,
    boundary: &'a String<24>,
    documents: &'a Documents,
}

impl Content<'_> {
    fn single(&self, seen: &Composed, out: &mut Writer<'_>) {
        let entity = self.watch.dialog.part(self.store, Part::Local);
        self.part(self.watch.format.content_type(), out, |out| {
            write_document(self.people, self.watch.format, (entity, 0), (seen, self.clock), out);
        });
    }

    fn list(&self, list: &List, is_full: bool, out: &mut Writer<'_>) {
        let boundary = self.boundary.as_bytes();
        out.text("Require: eventlist\r\n");
        let mut content_type: String<160> = String::new();
        let domain = &self.people.model.main.domain;
        let _ = core::fmt::write(
            &mut content_type,
            format_args!(
                "multipart/related;type=\"application/rlmi+xml\";start=\"<list@{domain}>\";boundary={}",
                self.boundary
            ),
        );
        self.part(&content_type, out, |out| {
            multipart::begin_first_part(boundary, rlmi::CONTENT_TYPE, Some(self.cid("list").as_bytes()), out);
            let list_uri = self.watch.dialog.part(self.store, Part::Local);
            rlmi::begin(list_uri, self.watch.dialog.local_cseq - 1, is_full, out);
            for index in 0..list.entries.len() {
                let has_document = self.documents.iter().any(|(it, _)| *it == index);
                if !is_full && !has_document {
                    continue;
                }
                let cid = self.named_cid(&number(index));
                let instance =
                    rlmi::Instance { id: b"1", state: Substate::Active, reason: None, cid: Some(cid.as_bytes()) };
                let uri = list.uri(self.store, index);
                rlmi::resource(uri, self.name_of(list, index), has_document.then_some(&instance), out);
            }
            rlmi::end(out);
            for (index, seen) in self.documents {
                let cid = self.cid(&number(*index));
                multipart::begin_part(boundary, self.watch.format.content_type(), Some(cid.as_bytes()), out);
                let entity = list.uri(self.store, *index);
                let (format, id) = (self.watch.format, *index as u32);
                write_document(self.people, format, (entity, id), (seen, self.clock), out);
            }
            multipart::end(boundary, out);
        });
    }

    /// Writes the fields of a body, and the body.
    fn part(&self, content_type: &str, out: &mut Writer<'_>, write: impl FnOnce(&mut Writer<'_>)) {
        out.text("Content-Type: ");
        out.text(content_type);
        out.text("\r\nContent-Length: ");
        let at = out.len();
        out.text("     \r\n\r\n");
        let start = out.len();
        write(out);
        let mut digits = [b' '; 5];
        let mut number = Writer::new(&mut digits);
        number.number((out.len() - start) as u64);
        let len = number.len();
        // White space may stand before the number, and not behind it.
        out.patch(at + 5 - len, number.written());
    }

    /// The name of an entry; none in a list of the watcher's own: Linphone puts it over the name that he has given.
    fn name_of(&self, list: &List, index: usize) -> &str {
        let model = &self.people.model;
        match list.entries.get(index).map(|entry| entry.who) {
            Some(_) if !list.is_named => "",
            Some(list::Who::Person(person)) => {
                model.people.get(usize::from(person)).map_or("", |person| person.name.as_str())
            }
            Some(list::Who::Buddy(buddy, _)) => self.people.buddy_name(usize::from(buddy)),
            _ => "",
        }
    }

    /// A Content-ID as the list names it: without its angle brackets (RFC 4662 §5.5), but for Linphone, which compares the
    /// two letter by letter.
    fn named_cid(&self, local: &str) -> String<96> {
        let cid = self.cid(local);
        if !self.watch.is_linphone {
            return cid;
        }
        let mut bracketed = String::new();
        let _ = core::fmt::write(&mut bracketed, format_args!("<{cid}>"));
        bracketed
    }

    fn cid(&self, local: &str) -> String<96> {
        let mut cid = String::new();
        let _ = core::fmt::write(&mut cid, format_args!("{local}@{}", self.people.model.main.domain));
        cid
    }
}

/// Writes a document about somebody, with the networks where he is.
fn write_document(
    people: &People,
    format: Format,
    (entity, id): (&[u8], u32),
    (seen, at): (&Composed, Option<UnixTime>),
    out: &mut Writer<'_>,
) {
    let uris: heapless::Vec<String<TUPLE_URI_BYTES>, TUPLES> =
        seen.tuples.iter().map(|tuple| people.tuple_uri(tuple).unwrap_or_default()).collect();
    let tuples: heapless::Vec<pidf::Tuple<'_>, TUPLES> = seen
        .tuples
        .iter()
        .zip(&uris)
        .map(|(tuple, uri)| pidf::Tuple {
            label: tuple.network.name(),
            is_open: tuple.show != Show::Offline && !uri.is_empty(),
            contact: uri.as_bytes(),
        })
        .collect();
    pidf::write(format, &Document { entity, status: &seen.status, at, id, tuples: &tuples }, out);
}

fn number(index: usize) -> String<8> {
    let mut text = String::new();
    let _ = core::fmt::write(&mut text, format_args!("e{index}"));
    text
}

impl Watch {
    /// Whether the NOTIFY that was just answered was the last one.
    fn is_last_sent(&self) -> bool {
        !self.is_dirty && !self.is_asked
    }
}

/// The flow that a watcher's last request came by, as it is now: a larger NOTIFY fits a stream that is open to the same
/// address (§18.1.1).
fn open_flow(stack: &Stack, watch: &Watch) -> Option<Flow> {
    match watch.dialog.flow {
        Flow::Stream(stream) => stack.network.stream(stream).map(|_| watch.dialog.flow),
        Flow::Datagram { port, remote } => {
            let is_list = matches!(watch.subject, Subject::List(_));
            let stream = if is_list { stack.network.stream_to(Transport::Tcp, remote, "") } else { None };
            let again = stack.network.port_at(Transport::Udp, watch.dialog.local);
            let open = Some(port).filter(|port| stack.network.can_send(*port, remote)).or(again);
            stream.map(Flow::Stream).or(open.map(|port| Flow::Datagram { port, remote }))
        }
    }
}

fn watch_list(watch: &Watch) -> Option<list::ListHandle> {
    if let Subject::List(list) = watch.subject { Some(list) } else { None }
}

fn substate(progress: Progress) -> Substate<'static> {
    match progress {
        Progress::Pending => Substate::Pending,
        Progress::Active => Substate::Active,
        Progress::Ending(_) => Substate::Terminated,
    }
}

/// A boundary that is in no document: what a document has of such a number is hexadecimal and not after two hyphens.
fn boundary_of(watch: &Watch) -> String<24> {
    let mut boundary = String::new();
    let _ = core::fmt::write(&mut boundary, format_args!("pcs-{:016x}", watch.dialog.id.rotate_left(17)));
    boundary
}

fn write_event(now: Instant, watch: &Watch, is_last: bool, out: &mut Writer<'_>) {
    out.text("Event: ");
    out.text(watch.event_name());
    if !watch.event_id.is_empty() {
        out.text(";id=");
        out.text(&watch.event_id);
    }
    out.text("\r\nSubscription-State: ");
    let expires_s = watch.expires_at.seconds_from(now) as u32;
    let state = match watch.progress {
        Progress::Pending => SubscriptionState::pending(expires_s),
        Progress::Active => SubscriptionState::active(expires_s),
        // A list that is asked for once may take several: the last of them ends it.
        Progress::Ending(_) if !is_last => SubscriptionState::active(expires_s.max(1)),
        Progress::Ending(reason) => SubscriptionState::terminated(reason.as_bytes(), None),
    };
    state.write(out);
    out.text("\r\n");
}

/// A hash of what a watcher is told, with the state of his subscription.
fn hash_of(random: &Random, seen: &Composed, progress: Progress) -> u64 {
    let mut room = [0; 512];
    let mut hash = random.hash(Purpose::Table);
    match postcard::to_slice(&seen.status, &mut room) {
        Ok(bytes) => hash.put(bytes),
        Err(_) => hash.put(seen.status.note.as_bytes()),
    }
    for tuple in &seen.tuples {
        let of = match tuple.of {
            Of::Buddy(buddy) => u32::from(buddy),
            Of::Contact(contact) => contact.to_bits(),
        };
        hash.put(tuple.network.name().as_bytes());
        hash.put(&[u8::from(tuple.show != Show::Offline)]);
        hash.put(&of.to_le_bytes());
    }
    hash.put(substate(progress).as_bytes());
    hash.finish().max(1)
}
