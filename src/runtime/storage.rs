//! Where records are kept: on the disk, which has a thread of its own, or in memory, which is a directory on tmpfs.
//!
//! A record goes to the disk when that is ready. Else the journal goes to memory, from where a restart of the daemon
//! takes it back, and messages, greetings and loads are refused: nobody is told that a message is kept when a power cut
//! would lose it.
//! Authorisations and settings are also kept in the state directory ([`super::state`]), for a reboot without a disk.
//!
//! [`RecordStore`] is the loop thread's side. It never blocks: the disk is asked through [`exchange`], whose room is a
//! credit of the core; memory is written at once. Answers come in the order of the tickets, whatever they went to.
//!
//! When a disk comes, its journal is told to the core, then its messages; the core then stores anew what it knows. What has
//! reached the disk is removed from memory, so that memory holds what the disk does not: record by record, but bindings and
//! subscriptions only when the disk has all of that kind. A start that finds one of them in memory takes all from there.
//! When the disk is lost, everything in flight is answered with an error before the core is told; it writes its journal to
//! memory then.

pub mod exchange;
pub mod job;
pub mod status;
#[cfg(test)]
mod tests;
pub mod worker;

use super::disk::{self, StdDisk};
use super::state::Remembered;
use super::{clock, driver::Bell};
use crate::base::time::Instant;
use crate::server::contract::{Source, Storage, StoreError, Ticket};
use crate::spool::{BlobStep, Filter, Key, Kind, Limits, Memory, Meta, Problem, Spool};
use exchange::{Exchange, Report, Reports, Request};
use job::Job;
use static_cell::ConstStaticCell;
use status::Status;
use std::boxed::Box;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::string::ToString;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::vec::Vec;
use worker::{Folder, Worker, mount_or_format};

/// What became of a request.
pub type Outcome = Result<(), StoreError>;

/// Where things are and how much they may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory on the disk, if there is to be one.
    pub spool: Option<PathBuf>,
    /// The directory in memory.
    pub run_dir: PathBuf,
    /// What messages may take.
    pub limits: Limits,
    /// Bytes that a new spool may take.
    pub spool_bytes: u64,
}

/// The records of the server, wherever they are.
pub struct RecordStore {
    exchange: Arc<Exchange>,
    /// Whether there is a worker at all.
    has_worker: bool,
    options: Options,
    memory: Option<Spool<'static, StdDisk>>,
    remembered: Remembered,
    place: Storage,
    /// Tickets that were not answered yet, in order.
    pending: VecDeque<Pending>,
    /// What memory held at the start, to be told.
    restored: VecDeque<(Key, Box<[u8]>)>,
    /// Reports of the worker and how far they were gone through: reports and bytes.
    reports: Reports,
    reports_done: (usize, usize),
    /// What was forgotten while there was no disk: a disk that comes may still have it.
    forgotten: Vec<Key>,
    /// What in memory the disk has taken or forgotten, of the kinds that leave memory as a whole.
    taken: Vec<Key>,
    /// At a start, until when the rest of what the disk holds is waited for.
    patient_until: Option<std::time::Instant>,
    /// To be told next.
    has_moved: bool,
}

struct Pending {
    /// `None`: nobody waits for it.
    ticket: Option<Ticket>,
    key: Key,
    /// Whether it is to be answered with bytes.
    is_load: bool,
    /// `None`: the worker has it.
    outcome: Option<Outcome>,
}

/// What the core is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A record that was kept: its payload is so many bytes of the buffer; and the bytes of its blob.
    Restored(Key, usize, Source, u32),
    /// A ticket is answered.
    Stored(Ticket, Outcome),
    /// One of a load is: with so many bytes of the buffer.
    Loaded(Ticket, Result<usize, StoreError>),
    /// Records are kept elsewhere now.
    Moved(Storage),
}

impl RecordStore {
    /// Mounts what is in memory and sends a worker to look for the disk. Nothing is told before
    /// [`RecordStore::begin`]. To be called once.
    ///
    /// # Errors
    /// When the machine refuses a thread or a descriptor. A directory that can't be used is none.
    pub fn start(options: Options, remembered: Remembered) -> io::Result<Self> {
        static TABLES: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
        Self::start_with(options, remembered, TABLES.take(), disk_tables())
    }

    fn start_with(
        options: Options,
        remembered: Remembered,
        memory: &'static mut Memory,
        disk: &'static mut Memory,
    ) -> io::Result<Self> {
        let directory = options.spool.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let exchange = Arc::new(Exchange::new(options.limits, &directory)?);
        if let Some(path) = &options.spool {
            let worker = Worker::new(exchange.clone(), Folder::new(path), options.spool_bytes);
            thread::Builder::new().name("spool".into()).stack_size(STACK_BYTES).spawn(move || worker.run(disk))?;
        }
        let has_worker = options.spool.is_some();
        let mut this = Self::new(exchange, has_worker, options, remembered);
        this.mount_memory(memory);
        Ok(this)
    }

    fn new(exchange: Arc<Exchange>, has_worker: bool, options: Options, remembered: Remembered) -> Self {
        Self {
            exchange,
            has_worker,
            options,
            memory: None,
            remembered,
            place: Storage::Absent,
            pending: VecDeque::new(),
            restored: VecDeque::new(),
            reports: Reports::default(),
            reports_done: (0, 0),
            forgotten: Vec::new(),
            taken: Vec::new(),
            patient_until: None,
            has_moved: false,
        }
    }

    /// Waits at most so long until it is known whether there is a disk. Afterwards [`RecordStore::next`] tells what was
    /// kept, and then where records go. When there is much to be told, it waits for the rest of it, as it comes, as long.
    pub fn begin(&mut self, limit: Duration) {
        let end = std::time::Instant::now() + limit;
        while self.has_worker && !self.is_disk_known() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                break;
            }
            self.exchange.await_report(left);
            self.collect();
        }
        let is_on_disk = |report: &Report| matches!(report, Report::Found(meta, _) if Remembered::takes(meta.key.kind));
        if self.reports.list.iter().any(is_on_disk) {
            // The disk knows better: what it does not have was withdrawn.
            self.remembered.clear();
        } else {
            self.restore_remembered();
        }
        // As of a disk: who watches a buddy is to find him.
        self.restored.make_contiguous().sort_by_key(|(key, _)| key.kind != Kind::Buddy);
        if self.is_disk_known() {
            self.patient_until = Some(end);
        } else {
            self.move_to_memory();
        }
    }

    fn is_disk_known(&self) -> bool {
        self.reports.list.iter().any(|report| matches!(report, Report::Journal | Report::Absent))
    }

    /// Rings when there is something for [`RecordStore::collect`].
    pub fn bell(&self) -> &Bell {
        &self.exchange.bell
    }

    /// Whether a record can be handed over.
    pub fn has_room(&self) -> bool {
        self.place != Storage::Disk || self.exchange.has_room()
    }

    /// Keeps a record, and does that with its blob; answered by [`Event::Stored`].
    pub fn store(&mut self, ticket: Ticket, key: Key, owner: u32, payload: &[u8], blob: BlobStep) {
        let meta = Meta { key, owner, at: clock::wall_clock_if_sure(), blob_bytes: 0 };
        if Remembered::takes(key.kind) {
            self.remembered.put(key, owner, meta.at, payload);
        }
        let outcome = match self.place {
            Storage::Disk => self.ask(ticket, Request::Put(meta, payload.len(), blob), payload),
            Storage::Memory if is_journal(key.kind) => Some(self.in_memory(|spool| spool.put(&meta, payload))),
            Storage::Memory | Storage::Absent => Some(Err(StoreError::NoDisk)),
        };
        if self.place != Storage::Disk && outcome == Some(Ok(())) {
            self.forgotten.retain(|forgotten| *forgotten != key);
        }
        self.pending.push_back(Pending { ticket: Some(ticket), key, is_load: false, outcome });
    }

    /// Forgets a record; answered by [`Event::Stored`].
    pub fn forget(&mut self, ticket: Ticket, key: Key) {
        if Remembered::takes(key.kind) {
            self.remembered.remove(key);
        }
        let outcome = match self.place {
            Storage::Disk => self.ask(ticket, Request::Remove(key), &[]),
            Storage::Memory => Some(self.in_memory(|spool| spool.remove(key).map(drop))),
            Storage::Absent => Some(Err(StoreError::NoDisk)),
        };
        // The key of most is a slot of this start. What the disk has under it is another's: the core tells which of those
        // it takes.
        let is_lasting = !matches!(key.kind, Kind::Binding | Kind::Subscription | Kind::Authorisation);
        if is_lasting && self.place != Storage::Disk && self.has_worker && !self.forgotten.contains(&key) {
            if self.forgotten.len() >= FORGOTTEN_MAX {
                self.forgotten.remove(0);
            }
            self.forgotten.push(key);
        }
        self.pending.push_back(Pending { ticket: Some(ticket), key, is_load: false, outcome });
    }

    /// Sets the first byte of a record; answered by [`Event::Stored`].
    pub fn amend(&mut self, ticket: Ticket, key: Key, state: u8) {
        let outcome = match self.place {
            Storage::Disk => self.ask(ticket, Request::Amend(key, state), &[]),
            Storage::Memory if is_journal(key.kind) => {
                let mut payload = std::vec![0; exchange::PAYLOAD_BYTES_MAX];
                Some(self.in_memory(|spool| spool.amend(key, state, &mut payload)))
            }
            Storage::Memory | Storage::Absent => Some(Err(StoreError::NoDisk)),
        };
        self.pending.push_back(Pending { ticket: Some(ticket), key, is_load: false, outcome });
    }

    /// Appends to the blob of a record; answered by [`Event::Stored`].
    pub fn append(&mut self, ticket: Ticket, key: Key, bytes: &[u8]) {
        self.ask_of_disk(ticket, key, Request::Append(key, bytes.len()), bytes);
    }

    /// Reads a record; answered by [`Event::Loaded`].
    pub fn load(&mut self, ticket: Ticket, key: Key) {
        self.ask_of_disk(ticket, key, Request::Load(key), &[]);
    }

    /// Reads a part of the blob of a record; answered by [`Event::Loaded`].
    pub fn read(&mut self, ticket: Ticket, key: Key, offset: u32, len: u32) {
        self.ask_of_disk(ticket, key, Request::Read(key, offset, len), &[]);
    }

    /// Asks for what only a disk can do.
    fn ask_of_disk(&mut self, ticket: Ticket, key: Key, request: Request, payload: &[u8]) {
        let is_load = matches!(request, Request::Load(_) | Request::Read(..));
        let outcome = match self.place {
            Storage::Disk => self.ask(ticket, request, payload),
            Storage::Memory | Storage::Absent => Some(Err(StoreError::NoDisk)),
        };
        self.pending.push_back(Pending { ticket: Some(ticket), key, is_load, outcome });
    }

    /// Hands a request to the worker; an outcome when that has no room for it.
    fn ask(&mut self, ticket: Ticket, request: Request, payload: &[u8]) -> Option<Outcome> {
        if self.exchange.ask(ticket, request, payload) { None } else { Some(Err(StoreError::Full)) }
    }

    /// Takes what the worker has to say, to be told by [`RecordStore::next`].
    pub fn collect(&mut self) {
        self.exchange.bell.silence();
        if self.reports_done.0 == self.reports.list.len() {
            self.reports_done = (0, 0);
            return self.exchange.take_reports(&mut self.reports);
        }
        // Only at the start: nothing is told yet.
        let mut more = Reports::default();
        self.exchange.take_reports(&mut more);
        self.reports.list.append(&mut more.list);
        self.reports.bytes.append(&mut more.bytes);
    }

    /// What the core is to be told next. `buffer` takes a record, which may have [`exchange::PAYLOAD_BYTES_MAX`] bytes.
    pub fn next(&mut self, buffer: &mut [u8]) -> Option<Event> {
        if let Some((key, payload)) = self.restored.pop_front() {
            buffer[..payload.len()].copy_from_slice(&payload);
            return Some(Event::Restored(key, payload.len(), Source::Memory, 0));
        }
        loop {
            if let Some(event) = self.next_answer() {
                return Some(event);
            }
            if core::mem::take(&mut self.has_moved) {
                return Some(Event::Moved(self.place));
            }
            let report = self.next_report()?;
            match report {
                Report::Done(ticket, outcome) => self.done(ticket, outcome),
                Report::Loaded(ticket, outcome) => {
                    let outcome = outcome.map(|len| self.take_payload(len, buffer));
                    self.done(ticket, outcome.map(drop));
                    // All before it were told.
                    self.pending.pop_front();
                    return Some(Event::Loaded(ticket, outcome));
                }
                Report::Found(meta, len) => {
                    self.take_payload(len, buffer);
                    if self.forgotten.contains(&meta.key) {
                        continue;
                    }
                    if Remembered::takes(meta.key.kind) {
                        self.remembered.put(meta.key, meta.owner, meta.at, &buffer[..len]);
                    }
                    return Some(Event::Restored(meta.key, len, Source::Disk, meta.blob_bytes));
                }
                Report::Journal => {}
                Report::Ready => {
                    self.patient_until = None;
                    self.place = Storage::Disk;
                    self.has_moved = true;
                    self.forget_on_disk();
                }
                Report::Absent => {
                    self.patient_until = None;
                    self.move_to_memory();
                }
            }
        }
    }

    /// The next report of the worker. At a start, while a disk tells what it holds, its reports are waited for.
    fn next_report(&mut self) -> Option<Report> {
        while self.reports_done.0 == self.reports.list.len() {
            let left = self.patient_until?.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                self.patient_until = None;
                return None;
            }
            self.exchange.await_report(left);
            self.collect();
        }
        let report = self.reports.list[self.reports_done.0];
        self.reports_done.0 += 1;
        Some(report)
    }

    /// Copies the payload of the report at hand; its length.
    fn take_payload(&mut self, len: usize, buffer: &mut [u8]) -> usize {
        let from = self.reports_done.1;
        self.reports_done.1 += len;
        buffer[..len].copy_from_slice(&self.reports.bytes[from..from + len]);
        len
    }

    /// What is done by the time, every few seconds.
    pub fn tend(&mut self, now: Instant) {
        self.remembered.tend(now);
        if let Some(spool) = self.memory.as_mut().filter(|spool| spool.is_clean_due()) {
            let result = spool.tend().map(drop);
            self.check_memory(result);
        }
    }

    /// Takes other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.exchange.set_limits(limits);
    }

    /// Has the worker do what somebody at the control socket wants.
    ///
    /// # Errors
    /// Gives it back when there is no disk, or another job is not done.
    pub fn give(&self, job: Job) -> Result<(), (Job, &'static str)> {
        if !self.has_worker {
            return Err((job, "no spool is configured"));
        }
        self.exchange.give(job).map_err(|job| (job, "the disk is busy for another client"))
    }

    /// Ends: everything handed over is written, if the disk takes it in time.
    pub fn stop(&mut self, limit: Duration) {
        if self.has_worker && !self.exchange.stop(limit) {
            log::warn!("spool: the disk does not take the last records");
        }
        self.remembered.flush(clock::now());
    }

    /// How storage is.
    pub fn status(&self) -> Status {
        let disk = self.has_worker.then(|| self.exchange.status());
        Status::new(self.place, &self.options, disk.as_ref(), self.memory.as_ref().map(Spool::state))
    }
}

/// Tickets.
impl RecordStore {
    fn next_answer(&mut self) -> Option<Event> {
        loop {
            let outcome = self.pending.front()?.outcome?;
            let Pending { ticket, is_load, .. } = self.pending.pop_front()?;
            match (ticket, outcome) {
                (None, _) => {}
                // What is loaded is told by the report that brings it.
                (Some(ticket), Err(error)) if is_load => return Some(Event::Loaded(ticket, Err(error))),
                (Some(ticket), outcome) => return Some(Event::Stored(ticket, outcome)),
            }
        }
    }

    /// What was forgotten while there was no disk is forgotten on the one that came.
    fn forget_on_disk(&mut self) {
        for key in core::mem::take(&mut self.forgotten) {
            if self.exchange.ask(NOBODY, Request::Remove(key), &[]) {
                self.pending.push_back(Pending { ticket: None, key, is_load: false, outcome: None });
            }
        }
    }

    /// The worker has answered its oldest ticket.
    fn done(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.outcome.is_none()) else {
            return log::error!("spool: an answer to nothing asked");
        };
        debug_assert!(pending.ticket.is_none_or(|asked| asked == ticket), "answers come in order");
        pending.outcome = Some(outcome);
        let key = pending.key;
        let is_durable = outcome.is_ok() && !pending.is_load;
        if is_durable && self.memory.as_ref().is_some_and(|spool| spool.find(key).is_some()) {
            self.leave_memory(key);
        }
    }

    /// The disk has a record, or is to have it no more: what memory says of it is out of date.
    fn leave_memory(&mut self, key: Key) {
        if !is_moved_whole(key.kind) {
            let _ = self.in_memory(|spool| spool.remove(key).map(drop));
            return;
        }
        if !self.taken.contains(&key) {
            self.taken.push(key);
        }
        let Some(spool) = &self.memory else { return };
        let mut of_kind = Vec::new();
        spool.list(&Filter { kind: Some(key.kind), ..Filter::default() }, &mut |meta| of_kind.push(meta.key));
        if of_kind.iter().all(|key| self.taken.contains(key)) {
            self.taken.retain(|taken| taken.kind != key.kind);
            let _ = self.in_memory(|spool| of_kind.iter().try_for_each(|key| spool.remove(*key).map(drop)));
        }
    }
}

/// Memory.
impl RecordStore {
    fn mount_memory(&mut self, tables: &'static mut Memory) {
        let directory = self.options.run_dir.display();
        let disk = match disk::memory(&self.options.run_dir) {
            Ok(disk) => disk,
            Err(absence) => return log::warn!("{directory}: {absence}: without a disk, nothing outlives a restart"),
        };
        let mut spool = Spool::new(disk, tables, Limits::NONE);
        let restored = &mut self.restored;
        let mut payload = std::vec![0; exchange::PAYLOAD_BYTES_MAX];
        let result = mount_or_format(&mut spool, MEMORY_SEGMENT_BYTES).and_then(|_| {
            spool.each(&Filter::default(), &mut payload, &mut |meta, payload| {
                restored.push_back((meta.key, Box::from(payload)));
            })
        });
        match result {
            Ok(_) => self.memory = Some(spool),
            Err(problem) => log::warn!("{directory}: {problem}: without a disk, nothing outlives a restart"),
        }
    }

    /// After a reboot memory is empty, and the file in the state directory is the newest there is.
    fn restore_remembered(&mut self) {
        if self.restored.iter().any(|(key, _)| Remembered::takes(key.kind)) {
            return;
        }
        let mut result = Ok(());
        for (meta, payload) in self.remembered.each() {
            if let Some(spool) = &mut self.memory {
                result = result.and_then(|()| spool.put(&meta, payload));
            }
            self.restored.push_back((meta.key, payload.into()));
        }
        if let Some(spool) = &mut self.memory {
            result = result.and_then(|()| spool.commit());
        }
        self.check_memory(result);
    }

    fn move_to_memory(&mut self) {
        self.place = if self.memory.is_some() { Storage::Memory } else { Storage::Absent };
        self.has_moved = true;
        // What memory gets now the next disk has to take.
        self.taken.clear();
    }

    /// Does something in memory and makes it last.
    fn in_memory(&mut self, act: impl FnOnce(&mut Spool<'static, StdDisk>) -> Result<(), MemoryProblem>) -> Outcome {
        let spool = self.memory.as_mut().ok_or(StoreError::NoDisk)?;
        let result = act(spool).and_then(|()| spool.commit());
        let outcome = result.map_err(|problem| store_error(&problem));
        self.check_memory(result);
        outcome
    }

    /// Gives memory up when it failed: tmpfs has no bad sectors, so somebody has taken it away.
    fn check_memory(&mut self, result: Result<(), MemoryProblem>) {
        let Err(problem) = result else { return };
        if is_fatal(&problem) {
            log::error!("{}: {problem}: nothing outlives a restart without a disk", self.options.run_dir.display());
            self.memory = None;
            if self.place == Storage::Memory {
                self.move_to_memory();
            }
        }
    }
}

/// The tables of the spool on the disk. To be taken once.
pub fn disk_tables() -> &'static mut Memory {
    static TABLES: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    TABLES.take()
}

type MemoryProblem = Problem<disk::DiskError>;

/// Whether memory may keep it: what it holds is lost with the power.
fn is_journal(kind: Kind) -> bool {
    !kind.is_message() && !kind.has_blob()
}

/// Whether a start takes all records of a kind from memory when one is there ([`Source::Memory`] is the newer). So none of
/// them may leave before the disk has the last.
fn is_moved_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Binding | Kind::Subscription)
}

/// What the core is told of a problem.
fn store_error<E>(problem: &Problem<E>) -> StoreError {
    match problem {
        Problem::Full | Problem::TooMany => StoreError::Full,
        Problem::NeverFits => StoreError::TooLarge,
        Problem::Quota => StoreError::Quota,
        Problem::Unknown => StoreError::Unknown,
        Problem::Small(_) => StoreError::TooLarge,
        _ => StoreError::Failed,
    }
}

/// Whether the spool has to be mounted anew.
fn is_fatal<E>(problem: &Problem<E>) -> bool {
    matches!(problem, Problem::Disk(_) | Problem::Failed | Problem::NotMounted)
}

/// The ticket of what nobody waits for.
const NOBODY: Ticket = Ticket(u32::MAX);
/// Fewer than fit the queue to the worker, which is empty when a disk comes.
const FORGOTTEN_MAX: usize = exchange::REQUESTS_MAX / 2;
/// Segments in memory are small: memory is dear.
const MEMORY_SEGMENT_BYTES: u32 = 16 * 1024;
/// The worker goes deep nowhere.
const STACK_BYTES: usize = 128 * 1024;
