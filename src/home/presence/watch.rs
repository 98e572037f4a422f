//! Subscriptions to people of the home, as their notifier keeps them (RFC 6665 §4.2): who watches whom, by which package,
//! and what he was last told.
//!
//! A watch has at most one NOTIFY on its way, and one a second. What is on its way is frozen; what changes meanwhile marks
//! the watch, and the newest state follows. Leaves out: filters (RFC 4660), event throttling by the watcher (RFC 6446).

use core::net::{IpAddr, SocketAddr};

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::base::changed::Changed;
use crate::base::limits::WATCHES;
use crate::base::net::Flow;
use crate::base::table::{Handle, Index, Table};
use crate::base::time::{Instant, earliest};
use crate::home::binding::Epoch;
use crate::home::policy::Assurance;
use crate::home::presence::list::ListHandle;
use crate::sip::dialog::{self, Dialog};
use crate::sip::resolver::LookupHandle;
use crate::sip::stack::{ClientHandle, Stack, Task};
use crate::wire::pidf::Format;

/// A watch's handle.
pub type WatchHandle = Handle<Watch>;

/// Time between two NOTIFYs to one watcher at least.
pub const PACE_MS: u64 = 1_000;
/// Bytes of the `id` of an Event at most.
pub const EVENT_ID_BYTES: usize = 32;
/// The longest life of a watch; longer ones are shortened.
pub const MOST_EXPIRES_S: u32 = 3_600;

/// What can be subscribed to here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Package {
    /// `presence` (RFC 3856).
    Presence,
    /// `presence.winfo` (RFC 3857): who watches.
    Winfo,
    /// `message-summary` (RFC 3842): what waits.
    Summary,
}

impl Package {
    /// The package of this name, in any case: clients that compare names so are not to be asked instead of us.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let is_it = |package: &Self| package.name().as_bytes().eq_ignore_ascii_case(name);
        [Self::Presence, Self::Winfo, Self::Summary].into_iter().find(is_it)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Winfo => "presence.winfo",
            Self::Summary => "message-summary",
        }
    }
}

/// Whom or what a watch is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A person, as an index in the model.
    Person(u16),
    /// A buddy, by his number.
    Buddy(u16),
    /// A list of people.
    List(ListHandle),
    /// The home itself, as a buddy: there while it runs.
    Home,
}

/// How far a watch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Its watcher waits for an answer of the person's, and sees her offline.
    Pending,
    /// It shows what the front door lets it.
    Active,
    /// It has ended for this reason, which is to be told.
    Ending(&'static str),
}

/// A subscription.
#[derive(Debug)]
pub struct Watch {
    /// Its dialog.
    pub dialog: Dialog,
    /// What of the subject.
    pub package: Package,
    /// The subject.
    pub subject: Subject,
    /// How documents are written for this watcher.
    pub format: Format,
    /// Who asks, in the words of the front door.
    pub assurance: Assurance,
    /// The person of the home who watches.
    pub watcher: Option<u16>,
    /// Where the SUBSCRIBE came from.
    pub source: IpAddr,
    /// How far it is.
    pub progress: Progress,
    /// When it ends unless refreshed.
    pub expires_at: Instant,
    /// When the next NOTIFY may go.
    pub next_at: Instant,
    /// The NOTIFY that is on its way.
    pub in_flight: Option<ClientHandle>,
    /// Whether something may be told that was not.
    pub is_dirty: bool,
    /// Whether a NOTIFY is due even if nothing has changed (RFC 6665 §4.2.1.2).
    pub is_asked: bool,
    /// A hash of what was last told.
    pub told: u64,
    /// The lookup that will say which way it goes.
    pub lookup: Option<LookupHandle>,
    /// The `id` of its Event.
    pub event_id: String<EVENT_ID_BYTES>,
    /// Whether the person was told that this watcher waits.
    pub is_announced: bool,
    /// Whether a list is told as Linphone reads it: [`Watch::event_name`], and Content-ID in the cid.
    pub is_linphone: bool,
}

/// A watch as the journal keeps it (postcard).
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Kept<'b> {
    /// When it was written.
    pub epoch: Epoch,
    /// When it ends, milliseconds since the boot.
    pub expires_ms: u64,
    /// How long before that this was written.
    pub remaining_ms: u64,
    /// What of the subject.
    pub package: Package,
    /// Whom it is about, as a seal of the person, the buddy, or whose list it is.
    pub subject: u32,
    /// What sort of subject that is.
    pub sort: Sort,
    /// The entries of a list that its request brought, a line each; empty for a list that has a name.
    #[serde(borrow)]
    pub entries: &'b [u8],
    /// The number of the format.
    pub format: u8,
    /// How sure it is who watches: whether proven by digest, by the connection, or not at all.
    pub assurance: u8,
    /// The person of the home who watches, as a seal; 0 for a stranger.
    pub watcher: u32,
    /// Where the SUBSCRIBE came from.
    pub source: IpAddr,
    /// Whether it waits for an answer.
    pub is_pending: bool,
    /// Whether the person was told so.
    pub is_announced: bool,
    /// Whether a list is told as Linphone reads it.
    pub is_linphone: bool,
    /// The `id` of its Event.
    #[serde(borrow)]
    pub event_id: &'b str,
    /// Its dialog.
    #[serde(borrow)]
    pub dialog: dialog::Kept<'b>,
}

/// What sort of subject is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Sort {
    /// A person.
    Person,
    /// A buddy.
    Buddy,
    /// The list of all buddies of a person.
    Named,
    /// A list from a request.
    Given,
    /// The home itself.
    Home,
}

/// All watches.
pub struct Watches {
    table: Table<Watch, WATCHES>,
    by_id: Index<{ 2 * WATCHES }>,
    /// The slots whose record in the journal is not what they hold.
    pub changed: Changed<WATCHES>,
}

impl Watches {
    /// None.
    pub const fn new() -> Self {
        Self { table: Table::new(), by_id: Index::new(), changed: Changed::new() }
    }

    /// Takes a watch, if there is room; else its dialog's bytes are given back. A slot of its own is where it was before a
    /// restart.
    pub fn insert(&mut self, stack: &mut Stack, slot: Option<usize>, watch: Watch) -> Option<WatchHandle> {
        let id = watch.dialog.id;
        match self.table.insert_near(slot, watch) {
            Ok(handle) => {
                self.by_id.insert(id as u32, handle.index());
                self.mark(stack, handle);
                self.reschedule(stack, handle);
                Some(handle)
            }
            Err(watch) => {
                watch.dialog.release(&mut stack.store);
                None
            }
        }
    }

    /// Takes a watch out. Its NOTIFY, if one is on its way, is given up.
    pub fn remove(&mut self, now: Instant, stack: &mut Stack, handle: WatchHandle) -> Option<Watch> {
        let watch = self.table.remove(handle)?;
        self.by_id.remove(watch.dialog.id as u32, handle.index());
        stack.schedule.set_deadline(Task::Watch(handle.index()).id(), None);
        if let Some(client) = watch.in_flight {
            stack.abandon(now, client);
        }
        self.changed.mark(handle.index());
        stack.schedule.wake(Task::Journal.id());
        Some(watch)
    }

    /// Has the journal told of a watch.
    pub fn mark(&mut self, stack: &mut Stack, handle: WatchHandle) {
        self.changed.mark(handle.index());
        stack.schedule.wake(Task::Journal.id());
    }

    /// Has the journal told of every watch.
    pub fn mark_live(&mut self) {
        self.table.iter().for_each(|(handle, _)| self.changed.mark(handle.index()));
    }

    /// A watch.
    pub fn get(&self, handle: WatchHandle) -> Option<&Watch> {
        self.table.get(handle)
    }

    /// A watch, to be changed.
    pub fn get_mut(&mut self, handle: WatchHandle) -> Option<&mut Watch> {
        self.table.get_mut(handle)
    }

    /// The watch in a slot.
    pub fn handle_at(&self, index: usize) -> Option<WatchHandle> {
        self.table.handle_at(index)
    }

    /// The watch whose dialog our tag names.
    pub fn by_id(&self, id: u64) -> Option<WatchHandle> {
        let is_it =
            |index| self.table.handle_at(index).and_then(|it| self.table.get(it)).is_some_and(|it| it.dialog.id == id);
        self.table.handle_at(self.by_id.find(id as u32, is_it)?)
    }

    /// All watches.
    pub fn iter(&self) -> impl Iterator<Item = (WatchHandle, &Watch)> {
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

    /// Whether there is no room for another.
    pub const fn is_full(&self) -> bool {
        self.table.is_full()
    }

    /// Notes that something about the subject may have changed for a watch, and has it told when its time has come. For one
    /// that ends nothing changes any more: what is told last is told once.
    pub fn touch(&mut self, now: Instant, stack: &mut Stack, handle: WatchHandle) {
        let Some(watch) = self.table.get_mut(handle) else { return };
        watch.is_dirty |= !watch.is_ending();
        if watch.may_go(now) {
            stack.schedule.wake(Task::Watch(handle.index()).id());
        }
        self.reschedule(stack, handle);
    }

    /// Sets a watch's deadline anew after something changed about it.
    pub fn reschedule(&self, stack: &mut Stack, handle: WatchHandle) {
        let deadline = self.table.get(handle).and_then(Watch::deadline);
        stack.schedule.set_deadline(Task::Watch(handle.index()).id(), deadline);
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("watches", WATCHES, size_of::<Self>())
    }
}

impl Default for Watches {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    /// Whether a NOTIFY is wanted.
    pub const fn wants_notify(&self) -> bool {
        self.is_dirty || self.is_asked || self.is_ending()
    }

    /// Whether it has ended, and its watcher is to be told so.
    pub const fn is_ending(&self) -> bool {
        matches!(self.progress, Progress::Ending(_))
    }

    /// Whether a NOTIFY may go now.
    pub fn may_go(&self, now: Instant) -> bool {
        self.wants_notify() && self.in_flight.is_none() && self.lookup.is_none() && self.next_at <= now
    }

    /// The package, as its NOTIFYs name it. Linphone asks for `presence` and takes a list only as `Presence`
    /// (`linphone_core_internal_notify_received`, up to 5.4 at least); anybody else compares byte by byte (RFC 6665 §8.2.1).
    pub fn event_name(&self) -> &'static str {
        match (self.package, self.subject) {
            (Package::Presence, Subject::List(_)) if self.is_linphone => "Presence",
            (package, _) => package.name(),
        }
    }

    /// Whether its watcher is nobody of the home.
    pub const fn is_strangers(&self) -> bool {
        self.watcher.is_none()
    }

    /// Where its watcher is, for the log.
    pub fn remote(&self, stack: &Stack) -> Option<SocketAddr> {
        stack.network.remote(self.dialog.flow)
    }

    /// Whether it goes over a stream.
    pub const fn is_on_stream(&self) -> bool {
        matches!(self.dialog.flow, Flow::Stream(_))
    }

    fn deadline(&self) -> Option<Instant> {
        let may_wait = self.wants_notify() && self.in_flight.is_none() && self.lookup.is_none();
        let ends = if self.is_ending() { None } else { Some(self.expires_at) };
        earliest(ends, may_wait.then_some(self.next_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::{Listen, LocalAddress, Port, Transport};
    use crate::sip::dialog::Beginning;
    use std::boxed::Box;

    fn stack() -> (Box<Stack>, Flow) {
        let mut stack = Box::new(Stack::new());
        let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let listen = heapless::Vec::from_iter([Listen { transport: Transport::Udp, address }]);
        stack.network.configure(&listen, &heapless::Vec::new());
        stack.network.set_addresses(&[LocalAddress { ip: address.ip(), prefix: 24, default_route: true }], |_| {});
        stack.network.plan(|_| {});
        assert!(stack.network.port_step(Port(0)).is_some());
        stack.network.opened(Instant::ZERO, Port(0), Ok::<_, ()>(address));
        (stack, Flow::Datagram { port: Port(0), remote: "198.51.100.7:5060".parse().unwrap() })
    }

    fn watch(stack: &mut Stack, flow: Flow, id: u64) -> Watch {
        let beginning = Beginning {
            id,
            call_id: b"c",
            remote_tag: b"t",
            local: b"sip:alice@x.test",
            remote: b"sip:eve@y.test",
            target: b"sip:eve@198.51.100.7",
        };
        Watch {
            dialog: Dialog::begin(stack, flow, &beginning).unwrap(),
            package: Package::Presence,
            subject: Subject::Person(0),
            format: Format::Pidf,
            assurance: Assurance::Claimed,
            watcher: None,
            source: "198.51.100.7".parse().unwrap(),
            progress: Progress::Active,
            expires_at: Instant::from_millis(3_600_000),
            next_at: Instant::ZERO,
            in_flight: None,
            is_dirty: false,
            is_asked: false,
            told: 0,
            lookup: None,
            event_id: String::new(),
            is_announced: false,
            is_linphone: false,
        }
    }

    #[test]
    fn packages_have_their_names() {
        for package in [Package::Presence, Package::Winfo, Package::Summary] {
            assert_eq!(Package::from_name(package.name().as_bytes()), Some(package));
            assert_eq!(Package::from_name(package.name().to_ascii_uppercase().as_bytes()), Some(package));
        }
        for other in [&b""[..], b"presences", b"presence.winfo.winfo", b"dialog"] {
            assert_eq!(Package::from_name(other), None);
        }
    }

    #[test]
    fn found_by_our_tag() {
        let (mut stack, flow) = stack();
        let mut watches = Box::new(Watches::new());
        // The low half, which the index knows, is the same.
        let ids = [1, 1 << 40 | 1, 2];
        let handles = ids.map(|id| {
            let watch = watch(&mut stack, flow, id);
            watches.insert(&mut stack, None, watch).unwrap()
        });
        for (id, handle) in ids.into_iter().zip(handles) {
            assert_eq!(watches.by_id(id), Some(handle));
        }
        assert_eq!(watches.by_id(2 << 40 | 1), None);
        for handle in handles {
            let gone = watches.remove(Instant::ZERO, &mut stack, handle).unwrap();
            assert_eq!(watches.by_id(gone.dialog.id), None);
            gone.dialog.release(&mut stack.store);
        }
        assert!(watches.is_empty() && stack.schedule.next_deadline().is_none());
        assert_eq!(stack.store.usage().iter().map(|(_, used, _)| used).sum::<usize>(), 0);
    }

    #[test]
    fn full_gives_its_bytes_back() {
        let (mut stack, flow) = stack();
        let mut watches = Box::new(Watches::new());
        for id in 0..WATCHES as u64 {
            let watch = watch(&mut stack, flow, id);
            // Two slots of one number, as after a restart: the second takes another.
            assert!(watches.insert(&mut stack, Some(5), watch).is_some());
        }
        let one_more = watch(&mut stack, flow, 1000);
        assert!(watches.is_full() && watches.insert(&mut stack, None, one_more).is_none());
        assert_eq!(stack.store.usage().iter().map(|(_, used, _)| used).sum::<usize>(), WATCHES);
    }

    #[test]
    fn when_it_is_told() {
        let (mut stack, flow) = stack();
        let mut watches = Box::new(Watches::new());
        let watch = watch(&mut stack, flow, 1);
        let ends_at = watch.expires_at;
        let handle = watches.insert(&mut stack, None, watch).unwrap();
        while stack.schedule.pop_ready().is_some() {}
        assert_eq!(stack.schedule.next_deadline(), Some(ends_at));

        watches.touch(Instant::ZERO, &mut stack, handle);
        assert_eq!(stack.schedule.pop_ready(), Some(Task::Watch(handle.index()).id()));
        assert!(watches.get(handle).unwrap().may_go(Instant::ZERO));

        // Within the second after the one before it waits.
        watches.get_mut(handle).unwrap().next_at = Instant::from_millis(1_000);
        watches.touch(Instant::from_millis(999), &mut stack, handle);
        assert_eq!(stack.schedule.pop_ready(), None);
        assert_eq!(stack.schedule.next_deadline(), Some(Instant::from_millis(1_000)));

        // While one is on its way nothing but its answer matters.
        watches.get_mut(handle).unwrap().in_flight = Some(ClientHandle::from_bits(0));
        watches.touch(Instant::from_millis(2_000), &mut stack, handle);
        assert_eq!(stack.schedule.pop_ready(), None);
        assert_eq!(stack.schedule.next_deadline(), Some(ends_at));
    }

    #[test]
    fn what_ends_does_not_change() {
        let (mut stack, flow) = stack();
        let mut watches = Box::new(Watches::new());
        let mut watch = watch(&mut stack, flow, 1);
        watch.progress = Progress::Ending("timeout");
        let handle = watches.insert(&mut stack, None, watch).unwrap();
        watches.touch(Instant::ZERO, &mut stack, handle);
        let watch = watches.get(handle).unwrap();
        assert!(watch.wants_notify() && !watch.is_dirty, "its end is told, and nothing after that");
    }
}
