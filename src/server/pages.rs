//! The web page's connections, and what the page needs of the house ([`House`]): the inbox, who may log in, settings,
//! greetings, and texts that are sent from it.

use core::net::SocketAddr;

use super::contract::{BlobStep, Output, Storage, StoreError};
use super::tickets::Waiter;
use super::{Core, Server};
use crate::base::limits::{GREETING_SECONDS, STREAMS};
use crate::base::net::{Stream, Transport};
use crate::base::secret::Secret;
use crate::base::text::{Writer, same_secret};
use crate::base::time::{Instant, UnixTime};
use crate::config::model::{Missed, Model};
use crate::home::inbox::{Inbox, LetterHandle, State};
use crate::home::machine::{Greeting, KeptGreeting};
use crate::home::word::WORD_BYTES;
use crate::sip::stack::{Produced, Task};
use crate::sip::transport::StreamUser;
use crate::spool::{Key, Kind};
use crate::web::session::Kept;
use crate::web::{GREETING_PIECE_BYTES, GreetingStep, House, Progress, Settings, Step, Unavailable};
use crate::wire::pidf::Activities;

/// Bytes of a page that are made at once.
const PIECE_BYTES: usize = 8 * 1024;
/// Bytes of a greeting at most.
const GREETING_BYTES: u32 = GREETING_SECONDS as u32 * 8_000;
/// An upload of which nothing is heard any more gives way to another after so long.
const UPLOAD_MS: u64 = 60_000;

/// Connections.
impl Server {
    /// A listener of the page took a connection.
    pub(super) fn page_opened(&mut self, now: Instant, stream: Stream, from: SocketAddr) {
        let network = &mut self.core.stack.network;
        let Some(state) = network.stream(stream).filter(|state| state.user == StreamUser::Web) else { return };
        let is_secure = state.transport == Transport::Tls;
        let is_taken = self.web.opened(now, stream, from, is_secure);
        let refused = if is_taken { None } else { Some(stream) };
        while let Some(stream) = refused.or_else(|| self.web.next_leaving()) {
            self.core.stack.network.close(stream);
            self.core.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
            if Some(stream) == refused {
                break;
            }
        }
        self.await_page(stream);
    }

    /// A connection is gone.
    pub(super) fn page_closed(&mut self, now: Instant, stream: Stream) {
        self.web.closed(now, &mut self.core, stream);
    }

    /// What a page has waited for is there.
    pub(super) fn page_loaded(&mut self, stream: Stream, outcome: Result<&[u8], StoreError>) {
        self.web.loaded(stream, outcome.map_err(|_| Unavailable));
        self.core.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
    }

    /// The next of a connection: what came in is read, and a piece of the answer goes out.
    pub(super) fn produce_page(
        &mut self,
        now: Instant,
        index: usize,
        has_credit: bool,
        buffer: &mut [u8],
    ) -> Produced<Output> {
        let Some(stream) = self.core.stack.network.stream_at(index) else { return Produced::Nothing };
        let task = Task::Stream(index).id();
        let waiting = self.inbound.waiting(stream);
        let mut is_refused = false;
        if !waiting.is_empty() {
            let taken = self.web.received(now, &mut self.core, stream, waiting);
            self.inbound.consume(stream, taken);
            is_refused = taken == 0;
        }
        let core = &mut self.core;
        // A piece is made when the one before is on its way.
        if !core.stack.network.transmit_window(stream, &core.stack.store).is_empty() {
            self.await_page(stream);
            return Produced::Nothing;
        }
        if !core.can_store(has_credit) && core.has_disk() {
            return Produced::Blocked;
        }
        let step = self.web.produce(now, &mut self.core, stream, &mut buffer[..PIECE_BYTES]);
        let core = &mut self.core;
        let output = match step {
            Step::Bytes(len) => {
                core.stack.queue(now, stream, &buffer[..len]);
                core.stack.schedule.wake(task);
                None
            }
            Step::Load { key } if core.has_disk() => {
                let ticket = core.tickets.issue(Waiter::Page(stream));
                Some(Output::Load { ticket, key })
            }
            Step::Read { key, offset, len } if core.has_disk() => {
                let ticket = core.tickets.issue(Waiter::Page(stream));
                Some(Output::Read { ticket, key, offset, len })
            }
            Step::Load { .. } | Step::Read { .. } => {
                self.web.loaded(stream, Err(Unavailable));
                self.core.stack.schedule.wake(task);
                None
            }
            Step::Close => {
                core.stack.network.close(stream);
                core.stack.schedule.wake(task);
                None
            }
            Step::Nothing if is_refused => {
                // The request before it has been answered by now.
                core.stack.schedule.wake(task);
                None
            }
            Step::Wait | Step::Nothing => None,
        };
        self.await_page(stream);
        if !self.web.sessions.changed.is_empty() {
            self.core.stack.schedule.wake(Task::Journal.id());
        }
        output.map_or(Produced::Nothing, Produced::Output)
    }

    /// Sets when the page has waited long enough for somebody.
    fn await_page(&mut self, stream: Stream) {
        let deadline = self.web.deadline(stream);
        let stack = &mut self.core.stack;
        stack.network.set_patience(stream, deadline);
        stack.reschedule_stream(usize::from(stream.index));
    }

    /// The next record of who is logged in.
    pub(super) fn produce_sessions(&mut self, has_credit: bool, buffer: &mut [u8]) -> Produced<Output> {
        let Self { web, core, .. } = self;
        if core.journal.storage() == Storage::Absent || web.sessions.changed.is_empty() {
            return Produced::Nothing;
        }
        if !core.can_store(has_credit) {
            return Produced::Blocked;
        }
        let Some(slot) = web.sessions.changed.pop() else { return Produced::Nothing };
        let seals = |person: usize| {
            let random = &core.stack.random;
            (core.people.seal(random, person), core.people.login_seal(random, person, None))
        };
        let kept = web.sessions.keep(core.now, slot, seals);
        let len = kept.and_then(|kept| postcard::to_slice(&kept, buffer).ok().map(|bytes| bytes.len()));
        core.stack.schedule.wake(Task::Journal.id());
        let key = Key { kind: Kind::Session, id: slot as u64 };
        let ticket = core.tickets.issue(Waiter::Journal);
        Produced::Output(match len {
            Some(len) => Output::Store { ticket, key, owner: 0, len, blob: BlobStep::None },
            None => Output::Forget { ticket, key },
        })
    }

    /// Takes a session back from the journal.
    pub(super) fn restore_session(&mut self, now: Instant, slot: u64, bytes: &[u8]) {
        let Ok(kept) = postcard::from_bytes::<Kept>(bytes) else {
            return log::warn!("a session in the journal can't be read and is left out");
        };
        let Self { web, core, .. } = self;
        // With another password than then it is not hers any more.
        let person = core.person_of_seal(kept.person);
        let is_same = |person: &usize| core.people.login_seal(&core.stack.random, *person, None) == kept.login;
        match person.filter(is_same) {
            Some(person) => web.sessions.restore(now, slot as usize, &kept, person as u16),
            None => web.sessions.changed.mark(slot as usize),
        }
    }
}

/// A greeting on its way to the disk, one at a time.
pub(super) struct Upload {
    /// Whose; a seal, 0 for none.
    person: u32,
    id: u64,
    step: UploadStep,
    bytes: u32,
    piece: [u8; GREETING_PIECE_BYTES],
    heard_at: Instant,
    /// A greeting that nobody has any more: its record, 0 for none.
    forgotten: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UploadStep {
    None,
    /// Its record is to be begun.
    Begin,
    /// So many bytes are to be appended.
    Append(usize),
    /// It is to be closed.
    Close,
    /// The disk is asked.
    Asked,
    /// The end is asked for.
    Closing,
    /// More may come.
    Idle,
    Done,
    Failed,
}

impl Upload {
    pub const fn new() -> Self {
        Self {
            person: 0,
            id: 0,
            step: UploadStep::None,
            bytes: 0,
            piece: [0; GREETING_PIECE_BYTES],
            heard_at: Instant::ZERO,
            forgotten: 0,
        }
    }

    /// Whether there is something for the disk.
    pub fn has_work(&self) -> bool {
        self.forgotten != 0 || matches!(self.step, UploadStep::Begin | UploadStep::Append(_) | UploadStep::Close)
    }

    /// The disk has gone: what was on its way is lost.
    pub fn fail(&mut self) {
        if self.step != UploadStep::None {
            self.step = UploadStep::Failed;
        }
        self.forgotten = 0;
    }
}

impl Core {
    /// The next request to the storage about a greeting.
    pub(super) fn produce_upload(&mut self, buffer: &mut [u8]) -> Option<Output> {
        let upload = &mut self.upload;
        if upload.forgotten != 0 {
            let key = greeting_key(core::mem::take(&mut upload.forgotten));
            let ticket = self.tickets.issue(Waiter::Journal);
            return Some(Output::Forget { ticket, key });
        }
        let key = greeting_key(upload.id);
        let step = upload.step;
        let bytes = if step == UploadStep::Close { upload.bytes } else { 0 };
        let kept = KeptGreeting { person: upload.person, bytes };
        let blob = match step {
            UploadStep::Append(len) => {
                upload.step = UploadStep::Asked;
                buffer[..len].copy_from_slice(&upload.piece[..len]);
                let ticket = self.tickets.issue(Waiter::Upload);
                return Some(Output::Append { ticket, key, len });
            }
            UploadStep::Begin => BlobStep::Open,
            UploadStep::Close => BlobStep::Close,
            _ => return None,
        };
        upload.step = if step == UploadStep::Close { UploadStep::Closing } else { UploadStep::Asked };
        let len = postcard::to_slice(&kept, buffer).map_or(0, |bytes| bytes.len());
        let ticket = self.tickets.issue(Waiter::Upload);
        Some(Output::Store { ticket, key, owner: kept.person, len, blob })
    }

    /// A step of an upload is done.
    pub(super) fn upload_stored(&mut self, outcome: Result<(), StoreError>) {
        let upload = &mut self.upload;
        upload.step = match (upload.step, outcome) {
            (UploadStep::Asked, Ok(())) => UploadStep::Idle,
            (UploadStep::Closing, Ok(())) => {
                let greeting = Greeting { person: upload.person, id: upload.id, bytes: upload.bytes };
                let old = self.machines.set_greeting(greeting);
                upload.forgotten = old.map_or(0, |old| old.id);
                UploadStep::Done
            }
            (UploadStep::Asked | UploadStep::Closing, Err(error)) => {
                log::warn!("a greeting could not be written: {error:?}");
                upload.forgotten = upload.id;
                UploadStep::Failed
            }
            // It was given up meanwhile.
            (step, _) => step,
        };
        self.inbox_changed();
        for index in 0..STREAMS {
            if self.stack.network.is_web(index) {
                self.stack.schedule.wake(Task::Stream(index).id());
            }
        }
    }

    /// Takes a greeting back from its record.
    pub(super) fn restore_greeting(&mut self, id: u64, bytes: &[u8], blob_bytes: u32) {
        let Ok(KeptGreeting { person, bytes: whole }) = postcard::from_bytes(bytes) else {
            return log::warn!("a greeting in the spool can't be read and is left out");
        };
        let is_coming = self.upload.id == id && !matches!(self.upload.step, UploadStep::None | UploadStep::Done);
        if is_coming || self.person_of_seal(person).is_none() {
            return;
        }
        // Of two the one that was stored later counts, which is told later.
        let old = match whole > 0 && whole == blob_bytes {
            true => self.machines.set_greeting(Greeting { person, id, bytes: blob_bytes }).map(|old| old.id),
            false => Some(id),
        };
        // One that was cut off, or that another took the place of, is of no use. The next start finds what is left.
        if let Some(old) = old.filter(|old| *old != id || whole != blob_bytes)
            && self.upload.forgotten == 0
        {
            self.upload.forgotten = old;
        }
    }
}

const fn greeting_key(id: u64) -> Key {
    Key { kind: Kind::Greeting, id }
}

impl House for Core {
    fn model(&self) -> &Model {
        &self.people.model
    }

    fn time(&self) -> Option<UnixTime> {
        Some(UnixTime(self.unix_time(self.now).into())).filter(|time| time.0 != 0)
    }

    fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    fn random(&mut self) -> u64 {
        self.stack.random.number()
    }

    fn check_password(&self, person: &[u8], password: &[u8]) -> Option<usize> {
        let model = &self.people.model;
        let found = model.person(person);
        // Who is not known costs the same time.
        let id =
            found.and_then(|person| model.people.get(person)).map_or(&b"nobody"[..], |person| person.id.as_bytes());
        let given = Secret::from_password(id, model.main.domain.as_bytes(), password);
        let kept = found.and_then(|person| model.people.get(person)).map_or(&Secret::NONE, |person| &person.secret);
        let is_right = match (&kept.sha256, &kept.md5, &given.sha256, &given.md5) {
            (Some(kept), _, Some(given), _) => same_secret(kept, given),
            (None, Some(kept), _, Some(given)) => same_secret(kept, given),
            _ => false,
        };
        found.filter(|_| is_right)
    }

    fn set_state(&mut self, now: Instant, letter: LetterHandle, state: State) -> bool {
        let is_there = self.inbox.get(letter).is_some();
        self.inbox.set_state(now, letter, state);
        self.inbox_changed();
        is_there
    }

    fn reply(&mut self, now: Instant, person: usize, to: &[u8], text: &[u8]) -> bool {
        self.send_as(now, person, to, text)
    }

    fn settings(&self, person: usize) -> Settings<'_> {
        let effective = self.settings.get(&self.people.model, person);
        let greeting = self.machines.greeting(self.people.seal(&self.stack.random, person));
        let presence = self.presence.manual(person).map_or(("auto", ""), |manual| {
            let activities = manual.activities;
            let state = match () {
                () if manual.is_offline => "offline",
                () if activities == Activities::NONE => "available",
                () if activities.has_any(Activities::AWAY) => "away",
                () => "busy",
            };
            (state, manual.note.as_str())
        });
        Settings {
            busy_text: effective.busy,
            greeting: greeting.map(|greeting| (greeting_key(greeting.id), greeting.bytes)),
            presence,
            missed: effective.missed,
        }
    }

    fn set_busy_text(&mut self, _: Instant, person: usize, text: &str) -> bool {
        let is_set = self.settings.set_busy(&self.people.model, person, text).is_ok();
        self.stack.schedule.wake(Task::Journal.id());
        is_set
    }

    fn set_presence(&mut self, now: Instant, person: usize, words: &str) -> bool {
        let mut room = [0; WORD_BYTES];
        self.command(now, person, words, &mut Writer::new(&mut room));
        true
    }

    fn set_missed(&mut self, _: Instant, person: usize, missed: Missed) -> bool {
        self.settings.set_missed(&self.people.model, person, missed);
        self.stack.schedule.wake(Task::Journal.id());
        true
    }

    fn greeting(&mut self, now: Instant, person: usize, step: GreetingStep<'_>) -> Progress {
        let seal = self.people.seal(&self.stack.random, person);
        if !self.has_disk() {
            return Progress::Failed("there is no disk");
        }
        self.inbox_changed();
        let is_own = self.upload.person == seal;
        let is_idle = self.upload.step == UploadStep::None || now.since(self.upload.heard_at) > UPLOAD_MS;
        match step {
            GreetingStep::Remove => {
                if self.upload.forgotten != 0 {
                    return Progress::Wait;
                }
                if let Some(greeting) = self.machines.remove_greeting(seal) {
                    self.upload.forgotten = greeting.id;
                }
                return Progress::Done;
            }
            GreetingStep::Begin if !is_idle && !is_own => return Progress::Failed("another greeting is being stored"),
            GreetingStep::Begin => {
                if self.upload.forgotten != 0 {
                    return Progress::Wait;
                }
                if !matches!(self.upload.step, UploadStep::None | UploadStep::Done) {
                    self.upload.forgotten = self.upload.id;
                }
                (self.upload.person, self.upload.id) = (seal, self.stack.random.number() | 1);
                (self.upload.step, self.upload.bytes, self.upload.heard_at) = (UploadStep::Begin, 0, now);
                return Progress::Done;
            }
            _ if !is_own => return Progress::Failed("it gave way to another"),
            _ => {}
        }
        self.upload.heard_at = now;
        let upload = &mut self.upload;
        match (step, upload.step) {
            (GreetingStep::Abort, step) => {
                // One that was stored before its sender heard of it stays.
                if step != UploadStep::Done {
                    upload.forgotten = upload.id;
                }
                (upload.person, upload.step) = (0, UploadStep::None);
                Progress::Done
            }
            (_, UploadStep::Failed) => Progress::Failed("the disk could not take it"),
            (GreetingStep::Data(bytes), UploadStep::Idle) => {
                let Some(room) = upload.piece.get_mut(..bytes.len()) else {
                    return Progress::Failed("too much at once");
                };
                room.copy_from_slice(bytes);
                upload.bytes += bytes.len() as u32;
                if upload.bytes > GREETING_BYTES {
                    return Progress::Failed("it is too long");
                }
                upload.step = UploadStep::Append(bytes.len());
                Progress::Done
            }
            (GreetingStep::Commit, UploadStep::Idle) => {
                upload.step = UploadStep::Close;
                Progress::Wait
            }
            (GreetingStep::Commit, UploadStep::Done) => {
                (upload.person, upload.step) = (0, UploadStep::None);
                Progress::Done
            }
            _ => Progress::Wait,
        }
    }
}
