//! The presence agent (RFC 3856): it gathers what is known of each person, and tells each watcher what he may see.
//!
//! What is known comes from PUBLISH (RFC 3903, [`publication`]), the registrar, calls in progress, devices that only know
//! peer-to-peer presence ([`watched`]), and her own word ([`compose::Manual`]). It is put together by the rule in
//! [`compose`], once for each change. Watchers ([`watch`]) are told by NOTIFY ([`notify`]): each as the front door says at
//! that moment, so that a rule, a state or an answer of hers counts from the next second on.
//!
//! Leaves out: partial PIDF (RFC 5263), watcher filters, XCAP, and conditional notification (RFC 5839).

mod buddies;
pub mod compose;
pub mod journal;
pub mod list;
mod naming;
pub mod notify;
pub mod publication;
pub mod verdict;
pub mod watch;
pub mod watched;

use core::net::SocketAddr;

use heapless::{String, Vec};

use crate::base::changed::Changed;
use crate::base::limits::{LISTS, PEOPLE, STRANGER_WATCHES, WATCHES, WATCHES_PER_SOURCE};
use crate::base::net::Flow;
use crate::base::store::Bytes;
use crate::base::table::{Handle, Table};
use crate::base::time::{Instant, UnixTime};
use crate::config::model::State;
use crate::home::binding::{Binding, Text};
use crate::home::calls::Calls;
use crate::home::inbox::Waiting;
use crate::home::policy::{self, Asker, ByHand, Decision, Delegation, Event, Kind, Snapshot, Stage, Target};
use crate::home::proxy::Around;
use crate::home::registrar::Refused;
use crate::sip::dialog::{Dialog, Part};
use crate::sip::limiter::source_of;
use crate::sip::resolver::LookupHandle;
use crate::sip::stack::{Stack, Task};
use crate::wire::pidf::{Format, PLACE_BYTES, Status, Takes};
use crate::wire::sip::{Fault, Message, Method, Name, SipUri, Uri};
use compose::Manual;
use list::{List, Lists};
use publication::Publications;
use verdict::{Known, Verdicts};
use watch::{EVENT_ID_BYTES, Package, Progress, Subject, Watch, WatchHandle, Watches};
use watched::{AllWatched, Role, WatchedHandle};

/// The presence of all people, and who sees it.
pub struct Presence {
    /// Calls in progress.
    pub calls: Calls,
    /// Answers about watchers.
    pub verdicts: Verdicts,
    /// Published documents.
    pub publications: Publications,
    /// Who watches.
    pub watches: Watches,
    /// Whom the home watches itself.
    pub watched: AllWatched,
    /// The people whose own word in the journal is not what they said last.
    pub words_changed: Changed<PEOPLE>,
    lists: Lists,
    people: Vec<One, PEOPLE>,
}

/// What is known of one person.
#[derive(Clone, Debug, Default)]
struct One {
    status: Status,
    manual: Option<Manual>,
    /// What waits for her.
    waiting: Waiting,
    /// When she last began to say what is no command, and how often since.
    babble: (Instant, u8),
    /// The name of the place where she is, and since when, if the clock knows.
    place: (String<PLACE_BYTES>, Option<UnixTime>),
}

/// A SUBSCRIBE that begins a watch.
pub struct Request<'a, 'b> {
    /// The request.
    pub message: &'a Message<'b>,
    /// The way it came.
    pub flow: Flow,
    /// Where it came from.
    pub from: SocketAddr,
    /// Who asks.
    pub asker: Asker<'a>,
    /// What of the subject.
    pub package: Package,
    /// Whom or what it is about.
    pub wanted: Wanted,
    /// How documents are written for this watcher.
    pub format: Format,
    /// How long, seconds; 0 for one NOTIFY.
    pub expires_s: u32,
    /// The `id` of its Event.
    pub event_id: String<EVENT_ID_BYTES>,
}

/// Whom or what a SUBSCRIBE is about.
#[derive(Debug)]
pub enum Wanted {
    /// The home itself.
    Home,
    /// A person of the home.
    Person(usize),
    /// A buddy of the asker's.
    Buddy(usize),
    /// All whom the asker has on his list.
    Named,
    /// The entries that the request brought, one a line.
    Given(Bytes),
}

impl Presence {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            calls: Calls::new(),
            verdicts: Verdicts::new(),
            publications: Publications::new(),
            watches: Watches::new(),
            watched: AllWatched::new(),
            words_changed: Changed::new(),
            lists: Table::new(),
            people: Vec::new(),
        }
    }

    /// The configuration has changed: says for each person and buddy where it is now, if it is still there. Watches of who
    /// or about whom is gone end; all others are judged anew.
    pub fn renumber(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        person: impl Fn(usize) -> Option<usize>,
        buddy: impl Fn(usize) -> Option<usize>,
    ) {
        // Before anybody is told of them: what is known of who is new has to be put together first.
        around.stack.schedule.wake(Task::People.id());
        let mut people: Vec<One, PEOPLE> = Vec::new();
        let _ = people.resize_default(around.people.model.people.len());
        for (index, one) in self.people.iter_mut().enumerate() {
            if let Some(place) = person(index).and_then(|moved| people.get_mut(moved)) {
                core::mem::swap(place, one);
            }
        }
        self.people = people;
        self.publications.renumber(around.stack, &person);
        self.watched.renumber(now, around.stack, &person);
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let Some(watch) = self.watches.get_mut(handle) else { continue };
            let subject = match watch.subject {
                Subject::Person(it) => person(usize::from(it)).map(|moved| Subject::Person(moved as u16)),
                Subject::Buddy(it) => {
                    buddies::moved(around.people, usize::from(it), &buddy).map(|moved| Subject::Buddy(moved as u16))
                }
                Subject::List(_) | Subject::Home => Some(watch.subject),
            };
            let watcher = watch.watcher.map(|it| person(usize::from(it)));
            match (subject, watcher) {
                (Some(subject), None) => watch.subject = subject,
                (Some(subject), Some(Some(moved))) => {
                    (watch.subject, watch.watcher) = (subject, Some(moved as u16));
                }
                _ => {
                    // Nobody is there to be seen, or to see: whoever has that number now is not meant.
                    watch.subject = match watch.subject {
                        Subject::List(list) => Subject::List(list),
                        _ => Subject::Person(u16::MAX),
                    };
                    watch.watcher = None;
                    self.end(now, around.stack, handle, "noresource");
                    continue;
                }
            }
            let (subject, watcher) = (watch.subject, watch.watcher);
            if let Subject::List(list) = subject {
                self.renew_list(around, list, watcher);
            }
            self.watches.mark(around.stack, handle);
            self.watches.touch(now, around.stack, handle);
        }
        self.drop_unwatched(now, around.stack);
    }

    /// Puts together anew what is known of everybody, and has those told who see a difference.
    pub fn gather(&mut self, now: Instant, around: &mut Around<'_>) {
        self.ask_devices(now, around);
        for person in 0..self.people.len() {
            let mut status = Status::new();
            self.compose(around, person, &mut status);
            let Some(one) = self.people.get_mut(person) else { return };
            if one.status != status {
                one.status = status;
                self.touch_person(now, around.stack, person);
            }
        }
    }

    /// Notes since when people are where they are.
    pub fn note_places(&mut self, clock: Option<UnixTime>) {
        for one in &mut self.people {
            let name = one.status.place.as_ref().map_or("", |place| place.name.as_str());
            if one.place.0 != name {
                one.place = (name.try_into().unwrap_or_default(), clock);
            }
        }
    }

    /// Since when a person is where she is.
    pub fn place_since(&self, person: usize) -> Option<UnixTime> {
        self.people.get(person)?.place.1
    }

    /// What is known of a person.
    pub fn status(&self, person: usize) -> &Status {
        const UNKNOWN: &Status = &Status::new();
        self.people.get(person).map_or(UNKNOWN, |one| &one.status)
    }

    /// What is known of a person, put together now.
    pub fn now(&self, around: &Around<'_>, person: usize) -> Status {
        let mut status = Status::new();
        self.compose(around, person, &mut status);
        status
    }

    /// Her state, as rules know it.
    pub fn state(&self, person: usize) -> State {
        compose::state_of(self.status(person))
    }

    /// Her own word, if she has said one.
    pub fn manual(&self, person: usize) -> Option<&Manual> {
        self.people.get(person)?.manual.as_ref()
    }

    /// Notes that she says something to the home; whether it is one of many within a minute that are no commands.
    pub fn is_babble(&mut self, now: Instant, person: usize, is_unknown: bool) -> bool {
        const WITHIN_MS: u64 = 60_000;
        const MOST: u8 = 5;
        let Some(one) = self.people.get_mut(person) else { return false };
        let (since, count) = one.babble;
        one.babble = match (is_unknown, now.since(since) < WITHIN_MS) {
            (false, _) => return false,
            (true, true) => (since, count.saturating_add(1)),
            (true, false) => (now, 1),
        };
        one.babble.1 > MOST
    }

    /// Takes her own word, or takes it back.
    pub fn set_manual(&mut self, stack: &mut Stack, person: usize, manual: Option<Manual>) {
        if let Some(one) = self.people.get_mut(person)
            && one.manual != manual
        {
            one.manual = manual;
            self.words_changed.mark(person);
            stack.schedule.wake(Task::Journal.id());
            stack.schedule.wake(Task::People.id());
        }
    }

    /// Her answers, or rules, have changed: everybody who watches her is judged anew.
    pub fn touch_person(&mut self, now: Instant, stack: &mut Stack, person: usize) {
        let Self { watches, lists, .. } = self;
        for index in 0..WATCHES {
            let Some(handle) = watches.handle_at(index) else { continue };
            let is_about = watches.get(handle).is_some_and(|watch| match watch.subject {
                Subject::Person(it) => usize::from(it) == person && watch.package == Package::Presence,
                Subject::Buddy(_) | Subject::Home => false,
                Subject::List(list) => lists.get_mut(list).is_some_and(|list| {
                    list.touch(|who| matches!(who, list::Who::Person(it) if usize::from(it) == person))
                }),
            });
            if is_about {
                watches.touch(now, stack, handle);
            }
        }
    }

    /// What the home watches has said something.
    pub fn watched_changed(&mut self, now: Instant, around: &mut Around<'_>, handle: WatchedHandle) {
        let Some(watched) = self.watched.get(handle) else { return };
        if let Role::Device(device) = watched.role {
            let id = around.registrar.get(device).map_or(0, |device| device.id);
            let person = usize::from(watched.person);
            match &watched.status {
                Some(status) => {
                    let (status, until) = (status.clone(), now.plus(DEVICE_STATUS_MS));
                    if self.publications.notified(around.stack, (person, id), status, until).is_err() {
                        log::warn!("no room for what a device says of its person");
                    }
                }
                None => {
                    self.publications.device_gone(around.stack, id);
                }
            }
            around.stack.schedule.wake(Task::People.id());
            return;
        }
        let uri = &watched.uri;
        let Self { watches, lists, .. } = self;
        for index in 0..WATCHES {
            let Some(it) = watches.handle_at(index) else { continue };
            let is_about = watches.get(it).is_some_and(|watch| match watch.subject {
                Subject::Buddy(buddy) => buddy_uri(around, usize::from(buddy)).is_some_and(|known| known == *uri),
                Subject::List(list) => {
                    lists.get_mut(list).is_some_and(|list| list.touch(|who| who.watched() == Some(handle)))
                }
                Subject::Person(_) | Subject::Home => false,
            });
            if is_about {
                watches.touch(now, around.stack, it);
            }
        }
    }

    /// Says how many letters wait for a person: those are told who watch that.
    pub fn set_waiting(&mut self, now: Instant, stack: &mut Stack, person: usize, waiting: Waiting) {
        match self.people.get_mut(person) {
            Some(one) if one.waiting != waiting => one.waiting = waiting,
            _ => return,
        }
        let is_about =
            |watch: &Watch| watch.package == Package::Summary && watch.subject == Subject::Person(person as u16);
        for index in 0..WATCHES {
            if let Some(handle) = self.watches.handle_at(index)
                && self.watches.get(handle).is_some_and(is_about)
            {
                self.watches.touch(now, stack, handle);
            }
        }
    }

    /// How many letters wait for a person.
    pub fn waiting(&self, person: usize) -> Waiting {
        self.people.get(person).map_or_else(Waiting::default, |one| one.waiting)
    }

    /// Who watches a person has changed: those are told who watch that.
    pub fn watchers_changed(&mut self, now: Instant, stack: &mut Stack, person: u16) {
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let is_about = |watch: &Watch| watch.package == Package::Winfo && watch.subject == Subject::Person(person);
            if self.watches.get(handle).is_some_and(is_about) {
                self.watches.touch(now, stack, handle);
            }
        }
    }

    /// Whether who asks is let in by a rule or an answer of hers: he does not stand behind those who wait for one.
    fn is_let_in(&self, around: &Around<'_>, request: &Request<'_, '_>) -> bool {
        match request.wanted {
            Wanted::Person(person) => {
                let source = request.from.ip().to_canonical();
                matches!(self.decide_for(around, &request.asker, source, person), Decision::Show(_))
            }
            _ => request.asker.proven_person().is_some(),
        }
    }

    /// Begins a watch, which the front door has let in; its handle and name.
    pub fn subscribe(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        request: Request<'_, '_>,
    ) -> Result<(WatchHandle, u64), Refused> {
        let watcher = request.asker.proven_person();
        let source = request.from.ip().to_canonical();
        if watcher.is_none() {
            let strangers = || self.watches.iter().filter(|(_, watch)| watch.is_strangers());
            let from_there = strangers().filter(|(_, watch)| source_of(watch.source) == source_of(source)).count();
            let is_full = strangers().count() >= STRANGER_WATCHES;
            if from_there >= WATCHES_PER_SOURCE
                || is_full && !(self.is_let_in(around, &request) && self.make_room(now, around))
            {
                around.stack.counters.overloaded += 1;
                self.release(around.stack, request.wanted);
                return Err(FULL);
            }
        }
        if self.watches.is_full() && !(self.is_let_in(around, &request) && self.make_room(now, around)) {
            around.stack.counters.overloaded += 1;
            self.release(around.stack, request.wanted);
            return Err(FULL);
        }
        let id = around.stack.random.number();
        let Some(dialog) = Dialog::from_request(around.stack, id, request.flow, request.message) else {
            self.release(around.stack, request.wanted);
            return Err(NO_DIALOG);
        };
        let subject = self.subject_of(around, watcher, request.wanted);
        let Some(subject) = subject else {
            dialog.release(&mut around.stack.store);
            around.stack.counters.overloaded += 1;
            return Err(FULL);
        };
        let watch = Watch {
            dialog,
            package: request.package,
            subject,
            format: request.format,
            assurance: request.asker.assurance,
            watcher: watcher.map(|person| person as u16),
            source,
            progress: if request.expires_s == 0 { Progress::Ending("timeout") } else { Progress::Active },
            expires_at: now.plus(u64::from(request.expires_s) * 1000),
            next_at: now,
            in_flight: None,
            is_dirty: true,
            is_asked: true,
            told: 0,
            lookup: None,
            event_id: request.event_id,
            is_announced: false,
            is_linphone: is_linphone(request.message),
        };
        let Some(handle) = self.watches.insert(around.stack, None, watch) else {
            self.drop_list(around.stack, subject);
            return Err(FULL);
        };
        self.judge(now, around, handle);
        self.watches.touch(now, around.stack, handle);
        if let Subject::Person(person) = subject
            && request.package == Package::Presence
        {
            self.watchers_changed(now, around.stack, person);
        }
        Ok((handle, id))
    }

    /// Refreshes a watch, or ends it when `expires_s` is 0 (RFC 6665 §4.2.1.2).
    pub fn refresh(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: WatchHandle,
        (message, flow): (&Message<'_>, Flow),
        expires_s: u32,
    ) -> Result<u64, Refused> {
        let Some(watch) = self.watches.get_mut(handle) else { return Err(NO_SUCH_DIALOG) };
        if matches!(watch.progress, Progress::Ending(_)) {
            return Err(NO_SUCH_DIALOG);
        }
        let cseq = message.essentials().map_or(0, |essentials| essentials.cseq.number);
        if !watch.dialog.admits(cseq) {
            return Err(OUT_OF_ORDER);
        }
        watch.dialog.refreshed(around.stack, flow, message);
        watch.expires_at = now.plus(u64::from(expires_s) * 1000);
        watch.is_asked = true;
        // An asker need not wait for its turn.
        watch.next_at = now;
        let (id, subject, watcher) = (watch.dialog.id, watch.subject, watch.watcher);
        if expires_s == 0 {
            // Who leaves was told of all of it before.
            self.end(now, around.stack, handle, "timeout");
            return Ok(id);
        }
        if let Subject::List(list) = subject {
            // There may be room now for those whom the home could not watch before.
            self.renew_list(around, list, watcher);
        }
        self.watches.mark(around.stack, handle);
        self.watches.touch(now, around.stack, handle);
        Ok(id)
    }

    /// Ends a watch: its watcher is told why, and then it goes.
    pub fn end(&mut self, now: Instant, stack: &mut Stack, handle: WatchHandle, reason: &'static str) {
        let Some(watch) = self.watches.get_mut(handle).filter(|watch| !watch.is_ending()) else { return };
        watch.progress = Progress::Ending(reason);
        (watch.is_dirty, watch.next_at) = (true, now);
        if let Subject::List(list) = watch.subject
            && let Some(list) = self.lists.get_mut(list)
        {
            list.tell_nothing();
        }
        self.watches.mark(stack, handle);
        self.watches.touch(now, stack, handle);
    }

    /// Takes a watch out without a word: its watcher is gone.
    pub fn drop_watch(&mut self, now: Instant, stack: &mut Stack, handle: WatchHandle) {
        let Some(watch) = self.watches.remove(now, stack, handle) else { return };
        self.drop_list(stack, watch.subject);
        watch.dialog.release(&mut stack.store);
        if matches!(watch.subject, Subject::List(_) | Subject::Buddy(_)) {
            self.drop_unwatched(now, stack);
        }
        if let (Subject::Person(person), Package::Presence) = (watch.subject, watch.package) {
            self.watchers_changed(now, stack, person);
        }
    }

    /// A watch's deadline has come.
    pub fn watch_due(&mut self, now: Instant, stack: &mut Stack, index: usize) {
        let Some(handle) = self.watches.handle_at(index) else { return };
        let is_over = self.watches.get(handle).is_some_and(|watch| watch.expires_at <= now);
        if is_over && !self.watches.get(handle).is_some_and(|it| matches!(it.progress, Progress::Ending(_))) {
            return self.end(now, stack, handle, "timeout");
        }
        if self.watches.get(handle).is_some_and(|watch| watch.may_go(now)) {
            stack.schedule.wake(Task::Watch(index).id());
        }
        self.watches.reschedule(stack, handle);
    }

    /// A lookup has ended.
    pub fn located(&mut self, now: Instant, stack: &mut Stack, lookup: LookupHandle, is_found: bool) {
        self.watched.located(now, stack, lookup, is_found);
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let Some(watch) = self.watches.get_mut(handle).filter(|it| it.lookup == Some(lookup)) else { continue };
            watch.lookup = None;
            match is_found {
                true => self.watches.touch(now, stack, handle),
                false => self.drop_watch(now, stack, handle),
            }
        }
    }

    /// What the front door says about a watch now, with her answer about its watcher.
    pub fn decide(&self, around: &Around<'_>, watch: &Watch, person: usize) -> Decision {
        let address = self.address_of(around.stack, watch);
        let asker = Asker { assurance: watch.assurance, person: watch.watcher.map(usize::from), address };
        self.decide_for(around, &asker, watch.source, person)
    }

    /// What the front door says about somebody who wants to see a person.
    pub fn decide_for(
        &self,
        around: &Around<'_>,
        asker: &Asker<'_>,
        from: core::net::IpAddr,
        person: usize,
    ) -> Decision {
        let snapshot = Snapshot {
            model: &around.people.model,
            person: Some(person),
            state: self.state(person),
            by_hand: self.by_hand(around, asker, from, person),
            devices: &[],
            kept: Delegation::NONE,
        };
        let event = Event { asker: *asker, kind: Kind::Presence, target: Target::Person, stage: Stage::Arrived };
        policy::decide(&event, &snapshot)
    }

    /// Her answer about somebody.
    pub fn by_hand(
        &self,
        around: &Around<'_>,
        asker: &Asker<'_>,
        from: core::net::IpAddr,
        person: usize,
    ) -> Option<ByHand> {
        let known = Known { address: asker.address, assurance: asker.assurance, from };
        self.verdicts.about(around.people.seal(&around.stack.random, person), &known)
    }

    /// The `USER@HOST` of a watcher.
    pub fn address_of<'s>(&self, stack: &'s Stack, watch: &Watch) -> &'s [u8] {
        match Uri::parse(watch.dialog.part(&stack.store, Part::Remote)) {
            Ok(Uri::Sip(uri)) => policy::address_of(&uri),
            _ => b"",
        }
    }

    /// Judges a watch anew: whether it waits for an answer. Who watches the watchers of that person is told.
    pub fn judge(&mut self, now: Instant, around: &mut Around<'_>, handle: WatchHandle) {
        let Some(watch) = self.watches.get(handle) else { return };
        let Subject::Person(person) = watch.subject else { return };
        if watch.package != Package::Presence || watch.is_ending() {
            return;
        }
        let progress = match self.decide(around, watch, usize::from(person)) {
            Decision::Pending => Progress::Pending,
            Decision::Refuse(..) => Progress::Ending("rejected"),
            _ => Progress::Active,
        };
        if let Some(watch) = self.watches.get_mut(handle)
            && core::mem::replace(&mut watch.progress, progress) != progress
        {
            self.watches.mark(around.stack, handle);
            self.watchers_changed(now, around.stack, person);
        }
    }

    /// Judges all who watch a person anew.
    pub fn judge_all(&mut self, now: Instant, around: &mut Around<'_>, person: usize) {
        for index in 0..WATCHES {
            if let Some(handle) = self.watches.handle_at(index)
                && self.watches.get(handle).is_some_and(|watch| watch.subject == Subject::Person(person as u16))
            {
                self.judge(now, around, handle);
            }
        }
    }

    /// The watches about a person that wait for her answer and of which she was not told. Who has not answered a NOTIFY yet
    /// may not know of it: a SUBSCRIBE in somebody else's name must not have her devices ring.
    pub fn unannounced(&self, person: usize) -> impl Iterator<Item = WatchHandle> {
        self.watches
            .iter()
            .filter(move |(_, watch)| {
                watch.subject == Subject::Person(person as u16)
                    && watch.progress == Progress::Pending
                    && !watch.is_announced
                    && watch.told != 0
                    && watch.in_flight.is_none()
            })
            .map(|(handle, _)| handle)
    }

    /// Name, capacity and bytes of each table.
    pub fn footprint() -> [(&'static str, usize, usize); 7] {
        [
            ("people as known", PEOPLE, size_of::<Vec<One, PEOPLE>>() + size_of::<Changed<PEOPLE>>()),
            Watches::footprint(),
            ("lists", LISTS, size_of::<Lists>()),
            Publications::footprint(),
            AllWatched::footprint(),
            Verdicts::footprint(),
            Calls::footprint(),
        ]
    }

    /// Blocks of the store that are in use.
    pub fn kept_blocks(&self) -> usize {
        let own = self.watched.iter().filter(|(_, watched)| watched.has_dialog()).count();
        self.watches.len() + self.lists.len() + own
    }

    fn compose(&self, around: &Around<'_>, person: usize, out: &mut Status) {
        let documents = self.publications.by_age(person);
        let publishes = |device: &Binding| documents.iter().any(|document| document.device == device.id);
        let mut takes = Takes::default();
        let mut has_silent_device = false;
        for (_, device) in around.registrar.of(person) {
            has_silent_device |= !publishes(device);
            takes = takes.union(&takes_of(around, device));
        }
        let known = compose::Known {
            has_silent_device,
            takes,
            is_on_phone: self.calls.has(around.people.seal(&around.stack.random, person)),
            manual: self.people.get(person).and_then(|one| one.manual.as_ref()),
        };
        compose::compose(&known, documents.iter().map(|document| &document.status), out);
    }

    /// Subscribes to devices that tell their presence only to who asks them; forgets those that are gone.
    fn ask_devices(&mut self, now: Instant, around: &mut Around<'_>) {
        let asked = |device| self.watched.iter().any(|(_, watched)| watched.role == Role::Device(device));
        let new: Vec<_, { crate::base::limits::BINDINGS_PER_PERSON }> = around
            .registrar
            .iter()
            .filter(|(handle, device)| is_peer_to_peer(around.stack, device) && !asked(*handle))
            .map(|(handle, device)| (handle, usize::from(device.person)))
            .take(crate::base::limits::BINDINGS_PER_PERSON)
            .collect();
        let mut has_more = new.is_full();
        for (device, person) in new {
            let mut uri: String<{ list::URI_BYTES }> = String::new();
            let id = around.people.model.people.get(person).map_or("", |person| person.id.as_str());
            let domain = around.people.model.main.domain.as_str();
            if core::fmt::write(&mut uri, format_args!("sip:{id}@{domain}")).is_ok()
                && self.watched.want(around.stack, person, Role::Device(device), uri.as_bytes()).is_none()
            {
                log::warn!("no room to ask a device of {id} for its presence");
                has_more = false;
            }
        }
        if has_more {
            around.stack.schedule.wake(Task::People.id());
        }
        let is_gone = |role: Role| matches!(role, Role::Device(device) if around.registrar.get(device).is_none());
        while let Some((gone, _)) = { self.watched.iter().find(|(_, it)| is_gone(it.role)) } {
            self.watched.remove(now, around.stack, gone);
        }
        let is_known = |id: u32| around.registrar.by_id(id).is_some();
        while let Some(device) = { self.publications.notified_devices().find(|id| *id != 0 && !is_known(*id)) } {
            self.publications.device_gone(around.stack, device);
        }
    }

    /// Lets the stranger's watch that ends first give way: of those that nobody has allowed.
    fn make_room(&mut self, now: Instant, around: &mut Around<'_>) -> bool {
        let waiting = |watch: &Watch| watch.is_strangers() && watch.progress == Progress::Pending;
        let first = self.watches.iter().filter(|(_, watch)| waiting(watch)).min_by_key(|(_, watch)| watch.expires_at);
        let Some(handle) = first.map(|(handle, _)| handle) else { return false };
        log::info!("a watcher whom nobody has allowed gives way to another");
        self.say_goodbye(now, around, handle, "giveup");
        self.drop_watch(now, around.stack, handle);
        true
    }

    fn release(&self, stack: &mut Stack, wanted: Wanted) {
        if let Wanted::Given(text) = wanted {
            stack.store.release(text);
        }
    }

    /// Leaves those whom nobody watches any more.
    fn drop_unwatched(&mut self, now: Instant, stack: &mut Stack) {
        if self.watched.is_empty() {
            return;
        }
        for index in 0..crate::base::limits::WATCHED {
            let Some(handle) = self.watched.handle_at(index) else { continue };
            let Some(watched) = self.watched.get(handle) else { continue };
            let is_listed = |list: &List| list.entries.iter().any(|entry| entry.who.watched() == Some(handle));
            let is_needed = watched.role != Role::Elsewhere
                || self.lists.iter().any(|(_, list)| is_listed(list))
                || self.watches.iter().any(|(_, watch)| {
                    matches!(watch.subject, Subject::Buddy(_)) && watch.watcher == Some(watched.person)
                });
            if !is_needed {
                self.watched.leave(now, stack, handle);
            }
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self::new()
    }
}

/// Whom an address of ours, or another, means for a person of the home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A person of the home.
    Person(usize),
    /// A buddy of hers.
    Buddy(usize),
    /// Somebody in another domain.
    Elsewhere,
    /// Nobody.
    Nobody,
}

/// Whom an address means for a person of the home.
pub fn who_of(around: &Around<'_>, asker: usize, uri: &SipUri<'_>) -> Place {
    if around.people.network_of(uri).is_some() {
        return around.people.buddy_by_address(asker, uri).map_or(Place::Nobody, Place::Buddy);
    }
    if !(around.people.is_domain(uri) || around.stack.network.is_own(uri)) {
        return Place::Elsewhere;
    }
    let user = uri.user.unwrap_or_default();
    match around.people.person(&around.stack.random, user) {
        Some(person) => Place::Person(person),
        None => around.people.buddy(asker, user).map_or(Place::Nobody, Place::Buddy),
    }
}

/// The address of a buddy on SIP, as a URI.
pub fn buddy_uri(around: &Around<'_>, buddy: usize) -> Option<String<{ list::URI_BYTES }>> {
    around.people.buddy_uri(buddy)
}

/// How long what a device has told directly is believed without another word.
const DEVICE_STATUS_MS: u64 = 7_200_000;

/// Whether a device tells its presence only to who subscribes to it: the clients of Microsoft's RTC library.
fn is_peer_to_peer(stack: &Stack, device: &Binding) -> bool {
    let agent = device.text(&stack.store, Text::Agent);
    let begins = |name: &[u8]| agent.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    [b"Windows RTC/".as_slice(), b"RTC/", b"Windows Messenger", b"Portrait"].into_iter().any(begins)
}

/// Whether a request is of a program on Linphone's library, as its User-Agent says.
fn is_linphone(message: &Message<'_>) -> bool {
    let agent = message.field(Name::UserAgent).map_or(b"".as_slice(), |field| field.value);
    agent.windows(8).any(|part| part == b"Linphone")
}

/// What a device takes, as presence says it.
fn takes_of(around: &Around<'_>, device: &Binding) -> Takes {
    let section = device.device.and_then(|index| around.people.model.devices.get(usize::from(index)));
    let takes = |method| device.abilities.is_known.then(|| device.abilities.takes(method));
    let params = device.text(&around.stack.store, Text::Params);
    let video = crate::wire::sip::features::declared(params, b"video", b"TRUE");
    Takes {
        audio: takes(Method::Invite),
        video: video.or(section.and_then(|section| section.takes.video.then_some(true))),
        message: takes(Method::Message),
    }
}

/// A handle that is nobody's, for what is sent after its watch is gone.
const NOBODY: u32 = Handle::<Watch>::from_bits(u32::MAX).to_bits();

const FULL: Refused =
    Refused { fault: Fault { status: 503, reason: "Too Many Subscriptions" }, field: "Retry-After: 60\r\n" };
const NO_DIALOG: Refused = Refused { fault: Fault { status: 400, reason: "No Usable Contact" }, field: "" };
const NO_SUCH_DIALOG: Refused =
    Refused { fault: Fault { status: 481, reason: "Subscription Does Not Exist" }, field: "" };
const OUT_OF_ORDER: Refused = Refused { fault: Fault { status: 500, reason: "Out of Order" }, field: "" };
