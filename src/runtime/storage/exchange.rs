//! Between the loop thread and the worker: two bounded queues and one lock that is never held over I/O.
//!
//! Requests and reports are copied into buffers of fixed size and taken by swapping the whole buffer, so a record costs
//! no allocation and a burst one lock. The loop never waits here for room: it asks for it before ([`Exchange::has_room`])
//! and leaves its output in the state of the core otherwise. The worker does wait, for work and for room for reports.

use super::Outcome;
use super::job::Job;
use super::status::DiskStatus;
use crate::runtime::driver::Bell;
use crate::server::contract::{StoreError, Ticket};
use crate::spool::{BlobStep, Key, Limits, Meta};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// The two queues.
pub struct Exchange {
    shared: Mutex<Shared>,
    /// Something for the worker: a request, room for reports, the wish to stop.
    for_worker: Condvar,
    /// Something for a loop that waits, at its start and its end.
    for_loop: Condvar,
    /// Wakes the loop while it waits for its sockets.
    pub bell: Bell,
}

struct Shared {
    requests: Requests,
    reports: Reports,
    /// What somebody at the control socket wants, one thing at a time.
    job: Option<Job>,
    limits: Limits,
    status: DiskStatus,
    /// The worker waits for room for a report.
    is_crowded: bool,
    is_stopping: bool,
    has_ended: bool,
}

/// What the worker is asked.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Keep the next so many bytes of the batch, and do that with the blob.
    Put(Meta, usize, BlobStep),
    /// Forget a record.
    Remove(Key),
    /// Set the first byte of a record's payload.
    Amend(Key, u8),
    /// Append the next so many bytes of the batch to a blob.
    Append(Key, usize),
    /// Read a record's payload.
    Load(Key),
    /// Read a part of a record's blob: from where, and how many bytes.
    Read(Key, u32, u32),
}

/// A batch of requests with their payloads, in the order of their tickets.
#[derive(Default)]
pub struct Requests {
    /// The requests.
    pub list: Vec<(Ticket, Request)>,
    /// Their payloads, one behind the other.
    pub bytes: Vec<u8>,
}

/// What the worker says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// A request is done, or never will be.
    Done(Ticket, Outcome),
    /// What was to be read: the next so many bytes.
    Loaded(Ticket, Result<usize, StoreError>),
    /// A record that the disk holds; its payload is the next so many bytes.
    Found(Meta, usize),
    /// The disk is there, and its journal was told; messages follow.
    Journal,
    /// The disk is ready: all its records were told.
    Ready,
    /// The disk is not there, or no more: everything in flight was answered.
    Absent,
}

/// Reports with the payloads of what was found or loaded.
#[derive(Default)]
pub struct Reports {
    /// The reports.
    pub list: Vec<Report>,
    /// Their payloads, one behind the other.
    pub bytes: Vec<u8>,
}

impl Exchange {
    /// Empty queues.
    ///
    /// # Errors
    /// When the machine refuses the descriptor of the bell.
    pub fn new(limits: Limits, directory: &str) -> io::Result<Self> {
        let shared = Shared {
            requests: Requests::default(),
            reports: Reports::default(),
            job: None,
            limits,
            status: DiskStatus::new(directory.into()),
            is_crowded: false,
            is_stopping: false,
            has_ended: false,
        };
        let (for_worker, for_loop) = (Condvar::new(), Condvar::new());
        Ok(Self { shared: Mutex::new(shared), for_worker, for_loop, bell: Bell::new()? })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing that can panic happens under the lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's side.
impl Exchange {
    /// Whether one more record finds room, as large as one may be.
    pub fn has_room(&self) -> bool {
        self.lock().requests.have_room(PAYLOAD_BYTES_MAX)
    }

    /// Hands a request over. `false`: there is no room, and nothing happened.
    #[must_use]
    pub fn ask(&self, ticket: Ticket, request: Request, payload: &[u8]) -> bool {
        let mut shared = self.lock();
        let requests = &mut shared.requests;
        if !requests.have_room(payload.len()) {
            return false;
        }
        requests.list.push((ticket, request));
        requests.bytes.extend_from_slice(payload);
        let is_first = requests.list.len() == 1;
        drop(shared);
        if is_first {
            self.for_worker.notify_one();
        }
        true
    }

    /// Hands over what somebody at the control socket wants; gives it back when there is something already.
    pub fn give(&self, job: Job) -> Result<(), Job> {
        let mut shared = self.lock();
        if shared.job.is_some() || shared.is_stopping {
            return Err(job);
        }
        shared.job = Some(job);
        drop(shared);
        self.for_worker.notify_one();
        Ok(())
    }

    /// The disk as the worker saw it last.
    pub fn status(&self) -> DiskStatus {
        self.lock().status.clone()
    }

    /// What messages may take from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Takes all reports, in exchange for an empty buffer.
    pub fn take_reports(&self, reports: &mut Reports) {
        reports.clear();
        let mut shared = self.lock();
        core::mem::swap(&mut shared.reports, reports);
        let is_awaited = core::mem::take(&mut shared.is_crowded);
        drop(shared);
        // A worker that waits for requests would take this for a second in which nothing was asked.
        if is_awaited {
            self.for_worker.notify_one();
        }
    }

    /// Waits until there is a report.
    pub fn await_report(&self, limit: Duration) {
        self.await_until(limit, |shared| !shared.reports.list.is_empty());
    }

    /// Wishes the worker to end once it has done what was asked, and waits for that. Whether it has.
    pub fn stop(&self, limit: Duration) -> bool {
        self.lock().is_stopping = true;
        self.for_worker.notify_one();
        self.await_until(limit, |shared| shared.has_ended)
    }

    fn await_until(&self, limit: Duration, is_met: impl Fn(&Shared) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut shared = self.lock();
        while !is_met(&shared) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            shared = self.for_loop.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// The worker's side.
impl Exchange {
    /// Takes all requests, in exchange for an empty buffer; waits at most `limit` for the first. `false`: the worker is
    /// to end, and there is nothing left.
    pub fn take_requests(&self, requests: &mut Requests, limit: Duration) -> bool {
        requests.clear();
        let mut shared = self.lock();
        if shared.requests.list.is_empty() && shared.job.is_none() && !shared.is_stopping {
            shared = self.for_worker.wait_timeout(shared, limit).unwrap_or_else(PoisonError::into_inner).0;
        }
        let was_full = !shared.requests.have_room(PAYLOAD_BYTES_MAX);
        core::mem::swap(&mut shared.requests, requests);
        let goes_on = !(shared.is_stopping && requests.list.is_empty());
        drop(shared);
        if was_full {
            // The core waits for the room.
            self.bell.ring();
        }
        goes_on
    }

    /// What messages may take.
    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    /// Tells how the disk is.
    pub fn show(&self, status: &DiskStatus) {
        self.lock().status.clone_from(status);
    }

    /// What somebody at the control socket wants.
    pub fn take_job(&self) -> Option<Job> {
        self.lock().job.take()
    }

    /// Whether something was asked that the worker has not taken yet, or it is to stop.
    pub fn is_wanted(&self) -> bool {
        let shared = self.lock();
        shared.is_stopping || shared.job.is_some() || !shared.requests.list.is_empty()
    }

    /// Whether the worker is to stop.
    pub fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Tells the loop, once it has room for that.
    pub fn report(&self, report: Report, payload: &[u8]) {
        let mut shared = self.lock();
        while !shared.reports.have_room(payload.len()) {
            if shared.is_stopping {
                // Such a loop listens to nothing any more.
                return;
            }
            shared.is_crowded = true;
            shared = self.for_worker.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        shared.reports.list.push(report);
        shared.reports.bytes.extend_from_slice(payload);
        drop(shared);
        self.for_loop.notify_one();
        self.bell.ring();
    }

    /// Answers several at once, all without a payload.
    pub fn answer(&self, answers: &[Report]) {
        if answers.is_empty() {
            return;
        }
        let mut shared = self.lock();
        // At most as many as requests are in flight: the loop bounds them.
        shared.reports.list.extend_from_slice(answers);
        drop(shared);
        self.for_loop.notify_one();
        self.bell.ring();
    }

    /// The worker's last word.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.for_loop.notify_one();
        self.bell.ring();
    }
}

impl Requests {
    /// Empties it; most of its memory goes.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    fn have_room(&self, len: usize) -> bool {
        self.list.len() < REQUESTS_MAX && self.bytes.len() + len <= REQUEST_BYTES_MAX
    }
}

impl Reports {
    /// Empties it; most of its memory goes.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    fn have_room(&self, len: usize) -> bool {
        self.list.is_empty() || self.list.len() < REPORTS_MAX && self.bytes.len() + len <= REPORT_BYTES_MAX
    }
}

/// Bytes of the longest payload: as much as the loop's buffer holds.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Requests that wait for the worker at most, and the bytes of their payloads.
pub const REQUESTS_MAX: usize = 64;
const REQUEST_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// Reports of records, found or loaded, that wait for the loop at most, and the bytes of their payloads.
const REPORTS_MAX: usize = 64;
const REPORT_BYTES_MAX: usize = 16 * 1024;
/// What a buffer keeps of its memory when it is empty.
const KEPT_BYTES: usize = 16 * 1024;
