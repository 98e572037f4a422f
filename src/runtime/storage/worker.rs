//! The thread that owns the disk: finds it, mounts it, and writes what it is asked to in batches, each with one fsync.
//!
//! Nothing waits for this thread but those who wished to: when the disk stalls, the requests queue up in the
//! [`Exchange`], whose room is a credit of the core. A disk that fails or goes is looked for every `LOOK_INTERVAL`;
//! a cheap look, and after a mount that failed a rest that grows.

use super::exchange::{Exchange, PAYLOAD_BYTES_MAX, REQUESTS_MAX, Report, Request, Requests};
use super::job::Job;
use super::status::DiskStatus;
use super::{Outcome, is_fatal, store_error};
use crate::base::limits::SPOOL_SEGMENTS;
use crate::runtime::clock;
use crate::runtime::disk::{self, Absence, StdDisk};
use crate::runtime::state;
use crate::server::contract::{StoreError, Ticket};
use crate::spool::{self, Disk, FileName, Filter, Kind, Memory, Problem, Spool, backup};
use core::time::Duration;
use embedded_io::Read;
use std::boxed::Box;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

/// Where the worker finds its disk.
pub trait Finder {
    /// What it finds.
    type Disk: Disk;

    /// The disk, if it may be used.
    ///
    /// # Errors
    /// Why not.
    fn find(&mut self) -> Result<Self::Disk, Absence>;

    /// Whether `disk` still is what [`Finder::find`] would find.
    fn is_in_place(&self, disk: &Self::Disk) -> bool;

    /// Bytes that the file system has left.
    fn free_bytes(&self, disk: &Self::Disk) -> Option<u64>;

    /// What the marker says that the path leads to, as a number; `None` when there is none.
    fn mark(&self) -> Option<u64>;
}

/// A directory of a real file system.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The directory at `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }
}

impl Finder for Folder {
    type Disk = StdDisk;

    fn find(&mut self) -> Result<StdDisk, Absence> {
        disk::find(&self.path)
    }

    fn is_in_place(&self, disk: &StdDisk) -> bool {
        disk.is_in_place()
    }

    fn free_bytes(&self, disk: &StdDisk) -> Option<u64> {
        disk.free_bytes()
    }

    fn mark(&self) -> Option<u64> {
        let mut file = StdDisk::look_into(&self.path).ok()?.open(FileName::Marker).ok()??;
        let (mut bytes, mut len) = ([0; MARKER_BYTES_MAX], 0);
        while let read @ 1.. = file.read(&mut bytes[len..]).ok()? {
            len += read;
        }
        Some(state::fingerprint(&bytes[..len]))
    }
}

/// The worker.
pub struct Worker<F: Finder> {
    exchange: Arc<Exchange>,
    finder: F,
    spool_bytes: u64,
    requests: Requests,
    outcomes: Vec<(Ticket, Outcome)>,
    payload: Box<[u8]>,
    status: DiskStatus,
    /// What the marker said when the disk was mounted.
    mark: Option<u64>,
    looked_at: Instant,
    shown_at: Instant,
}

/// Why a disk is given up.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Lost {
    /// The server ends.
    Stopping,
    /// It failed, and says so.
    Failed(String),
    /// The path leads elsewhere, or nowhere.
    Gone,
}

impl<F: Finder> Worker<F> {
    /// A worker that writes what `exchange` brings to what `finder` finds. A new spool may have `spool_bytes`.
    pub fn new(exchange: Arc<Exchange>, finder: F, spool_bytes: u64) -> Self {
        Self {
            status: exchange.status(),
            exchange,
            finder,
            spool_bytes,
            requests: Requests::default(),
            outcomes: Vec::with_capacity(REQUESTS_MAX),
            payload: std::vec![0; PAYLOAD_BYTES_MAX + backup::BUFFER_BYTES].into_boxed_slice(),
            mark: None,
            looked_at: Instant::now(),
            shown_at: Instant::now(),
        }
    }

    /// Works until it is to stop.
    pub fn run(mut self, tables: &mut Memory) {
        let mut rest = LOOK_INTERVAL;
        while !self.exchange.is_stopping() {
            let why = match self.finder.find() {
                Ok(disk) => self.use_disk(disk, tables, &mut rest),
                Err(absence) => {
                    rest = LOOK_INTERVAL;
                    Lost::Failed(absence.to_string())
                }
            };
            if why != Lost::Stopping {
                self.is_absent(&why);
                self.rest(rest);
            }
        }
        self.exchange.end();
    }

    /// Uses a disk as long as it is there. One that fails but is still there is mounted anew: it may have been a bad
    /// sector, and the spool knows which file not to trust.
    fn use_disk(&mut self, disk: F::Disk, tables: &mut Memory, rest: &mut Duration) -> Lost {
        let mut spool = Spool::new(disk, tables, self.exchange.limits());
        loop {
            // The four segments that a log needs at least shall leave half of a small disk to grow into.
            let free_bytes = self.finder.free_bytes(spool.disk()).unwrap_or(u64::MAX);
            let segment = segment_bytes(self.spool_bytes.min(free_bytes.saturating_mul(SPOOL_SEGMENTS as u64 / 8)));
            let report = match mount_or_format(&mut spool, segment) {
                Ok(report) => report,
                Err(problem) => {
                    // Room may come at any moment, and to look for it costs little.
                    let is_full = matches!(problem, Problem::Full);
                    *rest = if is_full { FULL_REST } else { (*rest * 2).min(REST_MAX) };
                    return Lost::Failed(problem.to_string());
                }
            };
            *rest = LOOK_INTERVAL;
            let lost = match self.tell(&mut spool, &report) {
                Ok(()) => self.serve(&mut spool),
                Err(problem) => Lost::Failed(problem.to_string()),
            };
            if !matches!(lost, Lost::Failed(_)) || !self.finder.is_in_place(spool.disk()) {
                return lost;
            }
            self.is_absent(&lost);
            self.rest(LOOK_INTERVAL);
            if self.exchange.is_stopping() || !self.finder.is_in_place(spool.disk()) {
                return Lost::Gone;
            }
        }
    }

    /// Tells the journal, then that the disk is ready.
    fn tell(&mut self, spool: &mut Spool<'_, F::Disk>, report: &spool::Report) -> Result<(), DiskProblem<F>> {
        self.mark = self.finder.mark();
        self.status.mounted(spool.uuid(), report);
        self.show(spool);
        self.tell_journal(spool)
    }

    fn tell_journal(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<(), DiskProblem<F>> {
        for kind in JOURNAL {
            let filter = Filter { kind: Some(kind), owner: None };
            let exchange = &self.exchange;
            let told = spool.each(&filter, &mut self.payload[..PAYLOAD_BYTES_MAX], &mut |meta, payload| {
                exchange.report(Report::Found(*meta, payload.len()), payload);
            });
            if harmless(told)? != Some(0) {
                log::warn!("spool: not all of {kind:?} can be read");
            }
        }
        self.exchange.report(Report::Ready, &[]);
        Ok(())
    }

    /// Writes what comes, and does what is due in between.
    fn serve(&mut self, spool: &mut Spool<'_, F::Disk>) -> Lost {
        let mut has_more = false;
        loop {
            let patience = if has_more { Duration::ZERO } else { IDLE_INTERVAL };
            let goes_on = self.exchange.take_requests(&mut self.requests, patience);
            if let Err(lost) = self.look(spool, !self.requests.list.is_empty()) {
                self.refuse(StoreError::Failed);
                return lost;
            }
            let result = if self.requests.list.is_empty() {
                self.tend(spool).map(|more| has_more = more)
            } else {
                self.write(spool)
            };
            if let Err(problem) = result {
                return Lost::Failed(problem.to_string());
            }
            if let Some(job) = self.exchange.take_job()
                && let Err(lost) = self.work(spool, job)
            {
                return lost;
            }
            if !goes_on {
                return Lost::Stopping;
            }
        }
    }

    /// Looks whether the disk is still where it was: before each batch, and now and then.
    fn look(&mut self, spool: &mut Spool<'_, F::Disk>, is_needed: bool) -> Result<(), Lost> {
        let is_due = self.looked_at.elapsed() >= LOOK_INTERVAL;
        if is_due {
            self.looked_at = Instant::now();
        }
        let is_there = !(is_due || is_needed) || self.finder.is_in_place(spool.disk());
        let is_same = !is_due || self.finder.mark() == self.mark;
        if is_there && is_same { Ok(()) } else { Err(Lost::Gone) }
    }

    /// Writes the batch with one commit, and answers it.
    fn write(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<(), DiskProblem<F>> {
        let mut result = Ok(());
        let mut payloads = self.requests.bytes.as_slice();
        for &(ticket, request) in &self.requests.list {
            let written = match request {
                Request::Put(meta, len) => {
                    let (payload, rest) = payloads.split_at(len);
                    payloads = rest;
                    spool.put(&meta, payload)
                }
                Request::Remove(key) => spool.remove(key).map(drop),
            };
            self.outcomes.push((ticket, written.as_ref().map(drop).map_err(store_error)));
            if let Err(problem) = written {
                self.status.problem(&problem);
                if is_fatal(&problem) {
                    result = Err(problem);
                }
            }
        }
        result = result.and_then(|()| spool.commit());
        if let Err(problem) = &result {
            self.status.problem(problem);
            // What was written but not made durable is not there.
            for (_, outcome) in self.outcomes.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                *outcome = Err(store_error(problem));
            }
        }
        self.exchange.answer(&mut self.outcomes.drain(..));
        self.requests.clear();
        if self.shown_at.elapsed() >= IDLE_INTERVAL {
            self.show(spool);
        }
        // A commit that found no room has lost the batch, not the disk.
        result.or_else(|problem| if is_fatal(&problem) { Err(problem) } else { Ok(()) })
    }

    /// What is due when nothing is asked: cleaning ahead of need, messages that are too old. Whether there is more.
    fn tend(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<bool, DiskProblem<F>> {
        spool.set_limits(self.exchange.limits());
        let mut has_more = harmless(spool.tend())?.unwrap_or(false);
        // Without the time of day nothing is too old, but a disk that was full is tried again.
        if let Some((removed, is_done)) = harmless(spool.expire(clock::wall_clock_if_sure()))? {
            harmless(if removed > 0 { spool.commit() } else { Ok(()) })?;
            has_more |= !is_done;
        }
        if self.shown_at.elapsed() >= IDLE_INTERVAL {
            self.show(spool);
        }
        Ok(has_more)
    }

    fn work(&mut self, spool: &mut Spool<'_, F::Disk>, job: Job) -> Result<(), Lost> {
        let records = spool.state().records;
        let done = job.work(self.status.directory(), spool, &mut self.payload);
        // What is new the core does not know, though it may not be all that was wished.
        let told = harmless(done).and_then(|_| {
            self.show(spool);
            if spool.state().records > records { self.tell_journal(spool) } else { Ok(()) }
        });
        told.map_err(|problem| Lost::Failed(problem.to_string()))
    }

    /// Answers the batch at hand.
    fn refuse(&mut self, why: StoreError) {
        self.exchange.answer(&mut self.requests.list.drain(..).map(|(ticket, _)| (ticket, Err(why))));
        self.requests.clear();
    }

    /// Says that there is no disk: to the loop and to the log, when that is news.
    fn is_absent(&mut self, why: &Lost) {
        self.exchange.take_requests(&mut self.requests, Duration::ZERO);
        self.refuse(StoreError::Failed);
        let reason = match why {
            Lost::Failed(reason) => reason.clone(),
            Lost::Gone | Lost::Stopping => "the disk was taken away".to_string(),
        };
        let is_lost = self.status.absent(reason);
        self.exchange.show(&self.status);
        if is_lost {
            self.exchange.report(Report::Absent, &[]);
        }
    }

    /// Lets time pass; what is asked meanwhile is refused.
    fn rest(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.exchange.take_requests(&mut self.requests, left) {
                return;
            }
            self.refuse(StoreError::NoDisk);
            if let Some(job) = self.exchange.take_job() {
                job.refuse("there is no disk");
            }
        }
    }

    fn show(&mut self, spool: &mut Spool<'_, F::Disk>) {
        self.shown_at = Instant::now();
        self.status.state = spool.state();
        self.status.free_bytes = self.finder.free_bytes(spool.disk());
        self.exchange.show(&self.status);
    }
}

type DiskProblem<F> = Problem<<<F as Finder>::Disk as Disk>::Error>;

/// Mounts a spool; a directory without a marker becomes one, and so does one whose marker was being written when the
/// power went. Nothing is done to a directory with anything else of a spool in it.
///
/// # Errors
/// What the spool says.
pub fn mount_or_format<D: Disk>(
    spool: &mut Spool<'_, D>,
    segment_bytes: u32,
) -> Result<spool::Report, Problem<D::Error>> {
    let problem = match spool.mount(nonce()) {
        Err(problem @ (Problem::NoMarker | Problem::Damaged)) => problem,
        result => return result,
    };
    // Without random numbers there is no UUID that only this disk has.
    let Ok(uuid) = state::random_uuid() else { return Err(problem) };
    match spool.format_with(uuid, segment_bytes) {
        Ok(()) => spool.mount(nonce()),
        Err(Problem::NotEmpty) => Err(problem),
        Err(problem) => Err(problem),
    }
}

/// Another number each time; where there are no random ones, the time serves.
fn nonce() -> u64 {
    getrandom::u64().unwrap_or_else(|_| clock::now().millis())
}

/// A problem that is none of the disk's own is none here.
fn harmless<T, E>(result: Result<T, Problem<E>>) -> Result<Option<T>, Problem<E>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(problem) if is_fatal(&problem) => Err(problem),
        Err(_) => Ok(None),
    }
}

/// What a segment of a new spool has to have so that all of them together have `spool_bytes`: a power of two of KB.
pub fn segment_bytes(spool_bytes: u64) -> u32 {
    let wanted = spool_bytes / SPOOL_SEGMENTS as u64;
    let power = wanted.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_power_of_two();
    (if power > wanted.max(SEGMENT_BYTES_MIN) { power / 2 } else { power }) as u32
}

/// The kinds that are told when a disk comes; messages stay where they are.
const JOURNAL: [Kind; 5] = [Kind::Setting, Kind::Authorisation, Kind::Place, Kind::Subscription, Kind::Binding];

/// A disk is looked for, and looked after, this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The longest rest after mounts that failed.
const REST_MAX: Duration = Duration::from_secs(60);
const FULL_REST: Duration = Duration::from_secs(5);
/// More than a marker has.
const MARKER_BYTES_MAX: usize = 4096;
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// A record may take a third of a segment, and the largest message is to fit.
const SEGMENT_BYTES_MIN: u64 = 256 * 1024;
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
