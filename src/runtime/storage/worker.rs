//! The thread that owns the disk: finds it, mounts it, and does what it is asked to in batches, each with one fsync.
//!
//! Nothing waits for this thread but those who wished to: when the disk stalls, the requests queue up in the
//! [`Exchange`], whose room is a credit of the core. A disk that fails or goes is looked for every `LOOK_INTERVAL`;
//! a cheap look, and after a mount that failed a rest that grows.

use super::exchange::{Exchange, PAYLOAD_BYTES_MAX, Report, Reports, Request, Requests};
use super::job::Job;
use super::status::DiskStatus;
use super::{is_fatal, store_error};
use crate::base::limits::{BLOB_PART_BYTES, SPOOL_SEGMENTS};
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
    /// Answers that were not told yet, with what was loaded.
    answers: Reports,
    /// Whether they wait for a commit.
    is_uncommitted: bool,
    /// Since when there may be bytes in open blobs that are not durable.
    unsynced_since: Option<Instant>,
    tended_at: Instant,
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
            answers: Reports::default(),
            is_uncommitted: false,
            unsynced_since: None,
            tended_at: Instant::now(),
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

    /// Tells the journal and the messages, then that the disk is ready.
    fn tell(&mut self, spool: &mut Spool<'_, F::Disk>, report: &spool::Report) -> Result<(), DiskProblem<F>> {
        self.mark = self.finder.mark();
        self.status.mounted(spool.uuid(), report);
        self.unsynced_since = None;
        self.show(spool);
        self.tell_records(spool)
    }

    fn tell_records(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<(), DiskProblem<F>> {
        self.tell_kinds(spool, &JOURNAL)?;
        self.exchange.report(Report::Journal, &[]);
        self.tell_kinds(spool, &MESSAGES)?;
        self.exchange.report(Report::Ready, &[]);
        Ok(())
    }

    fn tell_kinds(&mut self, spool: &mut Spool<'_, F::Disk>, kinds: &[Kind]) -> Result<(), DiskProblem<F>> {
        for &kind in kinds {
            let filter = Filter { kind: Some(kind), owner: None };
            let exchange = &self.exchange;
            let told = spool.each(&filter, &mut self.payload[..PAYLOAD_BYTES_MAX], &mut |meta, payload| {
                exchange.report(Report::Found(*meta, payload.len()), payload);
            });
            if harmless(told)? != Some(0) {
                log::warn!("spool: not all of {kind:?} can be read");
            }
        }
        Ok(())
    }

    /// Writes what comes, and does what is due in between.
    fn serve(&mut self, spool: &mut Spool<'_, F::Disk>) -> Lost {
        let mut has_more = false;
        loop {
            let patience = if has_more { Duration::ZERO } else { IDLE_INTERVAL.min(self.sync_patience()) };
            let goes_on = self.exchange.take_requests(&mut self.requests, patience);
            if let Err(lost) = self.look(spool, !self.requests.list.is_empty()) {
                self.refuse(StoreError::Failed);
                return lost;
            }
            let is_idle = self.requests.list.is_empty();
            let mut result = self.work_off(spool).and_then(|()| self.sync_blobs(spool));
            // A disk that is never idle is tended, too.
            if result.is_ok() && (is_idle || self.tended_at.elapsed() >= IDLE_INTERVAL) {
                result = self.tend(spool).map(|more| has_more = more);
            }
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

    /// Does what the batch asks, with one commit, and answers it in its order.
    fn work_off(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<(), DiskProblem<F>> {
        let requests = core::mem::take(&mut self.requests);
        let (mut result, mut payloads) = (Ok(()), requests.bytes.as_slice());
        for &(ticket, request) in &requests.list {
            let mut payload = |len| payloads.split_off(..len).unwrap_or_default();
            let done = match request {
                Request::Put(meta, len, blob) => spool.store(&meta, payload(len), blob),
                Request::Remove(key) => spool.remove(key).map(drop),
                Request::Amend(key, state) => spool.amend(key, state, &mut self.payload[..PAYLOAD_BYTES_MAX]),
                Request::Append(key, len) => {
                    let appended = spool.blob_write(key, payload(len));
                    self.unsynced_since = self.unsynced_since.or(Some(Instant::now()));
                    appended
                }
                Request::Load(_) | Request::Read(..) => {
                    result = self.load(spool, ticket, request, result);
                    continue;
                }
            };
            // What was appended is answered when it is written: it needs no commit, but an answer in its order.
            self.is_uncommitted |= !matches!(request, Request::Append(..));
            self.note(&done);
            self.answers.list.push(Report::Done(ticket, done.as_ref().map(drop).map_err(store_error)));
            result = fatal(result, done);
        }
        self.requests = requests;
        self.requests.clear();
        result = self.settle(spool, result);
        if self.shown_at.elapsed() >= IDLE_INTERVAL {
            self.show(spool);
        }
        result
    }

    /// Reads what is wanted. It is told at once unless it has to wait for the answers before it: what is read then is kept
    /// until the commit, as long as it is not too much.
    fn load(
        &mut self,
        spool: &mut Spool<'_, F::Disk>,
        ticket: Ticket,
        request: Request,
        mut result: Result<(), DiskProblem<F>>,
    ) -> Result<(), DiskProblem<F>> {
        let loaded = match request {
            Request::Read(key, offset, len) => {
                let len = (len as usize).min(BLOB_PART_BYTES);
                spool.blob_read(key, offset, &mut self.payload[..len])
            }
            Request::Load(key) => spool.load(key, &mut self.payload[..PAYLOAD_BYTES_MAX]),
            _ => return result,
        };
        self.note(&loaded);
        let outcome = loaded.as_ref().map(|len| *len).map_err(store_error);
        let payload_bytes = outcome.unwrap_or(0);
        if !self.is_uncommitted || self.answers.bytes.len() + payload_bytes > LOADED_BYTES_MAX {
            result = self.settle(spool, result);
            self.exchange.report(Report::Loaded(ticket, outcome), &self.payload[..payload_bytes]);
        } else {
            self.answers.list.push(Report::Loaded(ticket, outcome));
            self.answers.bytes.extend_from_slice(&self.payload[..payload_bytes]);
        }
        fatal(result, loaded)
    }

    /// Makes durable what was done so far of the batch, and answers it.
    fn settle(
        &mut self,
        spool: &mut Spool<'_, F::Disk>,
        result: Result<(), DiskProblem<F>>,
    ) -> Result<(), DiskProblem<F>> {
        let result = result.and_then(|()| if self.is_uncommitted { spool.commit() } else { Ok(()) });
        self.is_uncommitted = false;
        if let Err(problem) = &result {
            self.status.problem(problem);
            // What was written but not made durable is not there.
            for report in &mut self.answers.list {
                if let Report::Done(_, outcome @ Ok(())) = report {
                    *outcome = Err(store_error(problem));
                }
            }
        }
        self.tell_answers();
        // A commit that found no room has lost these, not the disk.
        fatal(Ok(()), result)
    }

    /// Tells the answers at hand.
    fn tell_answers(&mut self) {
        let mut bytes = self.answers.bytes.as_slice();
        for answers in self.answers.list.chunk_by(|_, next| matches!(next, Report::Done(..))) {
            let (first, others) = answers.split_at(1);
            if let [report @ Report::Loaded(_, outcome)] = first {
                let payload = bytes.split_off(..outcome.unwrap_or(0)).unwrap_or_default();
                self.exchange.report(*report, payload);
                self.exchange.answer(others);
            } else {
                self.exchange.answer(answers);
            }
        }
        self.answers.clear();
    }

    /// Lets the status tell of a problem.
    fn note<T>(&mut self, done: &Result<T, DiskProblem<F>>) {
        match done {
            Err(Problem::Unknown) | Ok(_) => {}
            Err(problem) => self.status.problem(problem),
        }
    }

    /// Makes open blobs durable, when that is due.
    fn sync_blobs(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<(), DiskProblem<F>> {
        if self.sync_patience() > Duration::ZERO {
            return Ok(());
        }
        self.unsynced_since = None;
        let result = spool.blob_sync_all();
        self.note(&result);
        result
    }

    /// How long blobs may stay as they are.
    fn sync_patience(&self) -> Duration {
        self.unsynced_since.map_or(IDLE_INTERVAL, |since| SYNC_INTERVAL.saturating_sub(since.elapsed()))
    }

    /// What is due when nothing is asked: cleaning ahead of need, messages that are too old. Whether there is more.
    fn tend(&mut self, spool: &mut Spool<'_, F::Disk>) -> Result<bool, DiskProblem<F>> {
        self.tended_at = Instant::now();
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
            if spool.state().records > records { self.tell_records(spool) } else { Ok(()) }
        });
        told.map_err(|problem| Lost::Failed(problem.to_string()))
    }

    /// Answers the batch at hand.
    fn refuse(&mut self, why: StoreError) {
        self.answers.list.extend(self.requests.list.iter().map(|(ticket, _)| Report::Done(*ticket, Err(why))));
        self.requests.clear();
        self.tell_answers();
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

/// The first problem after which the spool has to be mounted anew.
fn fatal<T, E>(former: Result<(), Problem<E>>, result: Result<T, Problem<E>>) -> Result<(), Problem<E>> {
    former.and_then(|()| harmless(result).map(drop))
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

/// The kinds that are told when a disk comes, before the first packet is read at a start.
const JOURNAL: [Kind; 8] = [
    // Who watches one of these is to find him.
    Kind::Buddy,
    Kind::Setting,
    Kind::Account,
    Kind::Absence,
    Kind::Authorisation,
    Kind::Place,
    Kind::Subscription,
    Kind::Binding,
];
/// Those that are told after the journal.
const MESSAGES: [Kind; 6] = [Kind::Session, Kind::Outgoing, Kind::Greeting, Kind::Text, Kind::Voice, Kind::Call];

/// A disk is looked for, and looked after, this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The longest rest after mounts that failed.
const REST_MAX: Duration = Duration::from_secs(60);
const FULL_REST: Duration = Duration::from_secs(5);
/// More than a marker has.
const MARKER_BYTES_MAX: usize = 4096;
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// What is appended to a blob is made durable so long after, which leaves the disk some time for it within the second.
const SYNC_INTERVAL: Duration = Duration::from_millis(700);
/// What is kept of loads until the answers before them are durable.
const LOADED_BYTES_MAX: usize = 64 * 1024;
/// A record may take a third of a segment, and the largest message is to fit.
const SEGMENT_BYTES_MIN: u64 = 256 * 1024;
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_once() {
        let known = (0..=u8::MAX).map(Kind::from_byte).filter(|kind| !matches!(kind, Kind::Other(_)));
        for kind in known {
            let told = JOURNAL.iter().chain(&MESSAGES).filter(|it| **it == kind).count();
            assert_eq!(told, 1, "{kind:?}");
        }
    }
}
