//! The spool's engine over the simulated disk, as a machine's disk in the simulated world.

use crate::disk::{Fault, Faults, SimDisk};
use crate::random::Rng;
use crate::storage::{Answer, Job, What};
use pcsd::server::contract::StoreError;
use pcsd::spool::{Filter, Limits, Memory, Meta, Problem, Spool};

/// A disk with a spool on it.
pub struct Stick {
    disk: SimDisk,
    /// The engine of this start; `None` before its first use, and after it failed.
    spool: Option<Spool<'static, SimDisk>>,
    /// Mounts so far.
    mounts: u64,
    limits: Limits,
    /// Bytes that its files may take.
    room: Option<u64>,
    is_plugged: bool,
    /// Whether it failed since that was asked last.
    has_failed: bool,
    /// Records that a mount said were damaged. None may be.
    pub damaged_bytes: u64,
}

/// Small enough for the log to be cleaned often.
const SEGMENT_BYTES: u32 = 4_096;
const UUID: [u8; 16] = [7; 16];
/// As much as the loop's buffer holds.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

impl Stick {
    /// A formatted, empty disk whose log is cleaned often. A record may have a third of a segment, 1,321 bytes.
    pub fn new() -> Self {
        Self::with_segments(SEGMENT_BYTES)
    }

    /// A formatted, empty disk with segments of so many bytes.
    pub fn with_segments(segment_bytes: u32) -> Self {
        let stick = Self {
            disk: SimDisk::new(),
            spool: None,
            mounts: 0,
            limits: Limits::NONE,
            room: None,
            is_plugged: true,
            has_failed: false,
            damaged_bytes: 0,
        };
        let mut spool = Spool::new(stick.disk.clone(), leak(), Limits::NONE);
        spool.format_with(UUID, segment_bytes).expect("an empty disk can be formatted");
        stick
    }

    /// What messages may take from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        if let Some(spool) = &mut self.spool {
            spool.set_limits(limits);
        }
    }

    /// Leaves its files so many bytes more than they have; `None`: as many as they want.
    pub fn leave_room(&mut self, bytes: Option<u64>) {
        let names = self.disk.names();
        let used: usize = names.iter().filter_map(|name| Some(self.disk.file(name)?.len())).sum();
        self.room = bytes.map(|bytes| used as u64 + bytes);
        self.set_faults(Faults::default());
    }

    /// Pulls it out, or puts it back.
    pub fn plug(&mut self, is_plugged: bool) {
        self.is_plugged = is_plugged;
        self.spool = None;
        self.set_faults(Faults::default());
    }

    /// Makes the n-th fsync from now on fail.
    pub fn fail_sync_in(&mut self, count: u64) {
        self.set_faults(Faults { fail_sync_in: Some(count), ..Faults::default() });
    }

    /// Whether it has failed since this was asked last, and has to be mounted anew.
    pub fn take_failure(&mut self) -> bool {
        std::mem::take(&mut self.has_failed)
    }

    /// Whether it can be mounted.
    pub fn is_usable(&mut self) -> bool {
        self.mounted().is_ok()
    }

    /// Does a group: what is answered as done is durable, what was appended is written.
    pub fn perform(&mut self, jobs: &[Job]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = jobs.iter().map(|job| self.one(job)).collect();
        let committed = self.mounted().and_then(Spool::commit);
        if let Err(problem) = committed {
            let is_load = |job: &Job| matches!(job.what, What::Load | What::Read { .. });
            let undone = answers.iter_mut().zip(jobs).filter(|(answer, job)| answer.is_ok() && !is_load(job));
            undone.for_each(|(answer, _)| *answer = Err(error(problem)));
        }
        self.look();
        answers
    }

    fn one(&mut self, job: &Job) -> Answer {
        let spool = self.mounted().map_err(error)?;
        let key = job.key;
        let none = |()| Vec::new();
        let mut buffer = vec![0; PAYLOAD_BYTES_MAX];
        let result = match &job.what {
            What::Put { owner, bytes, blob } => {
                spool.store(&Meta { key, owner: *owner, at: 0, blob_bytes: 0 }, bytes, *blob).map(none)
            }
            What::Forget => spool.remove(key).map(|_| Vec::new()),
            What::Amend(state) => spool.amend(key, *state, &mut buffer).map(none),
            What::Append(bytes) => spool.blob_write(key, bytes).map(none),
            What::Load => spool.load(key, &mut buffer).map(|len| buffer[..len].to_vec()),
            What::Read { offset, len } => {
                let read = spool.blob_read(key, *offset, &mut buffer[..*len as usize]);
                read.map(|len| buffer[..len].to_vec())
            }
        };
        result.map_err(error)
    }

    /// Makes durable what was appended; whether there was anything.
    pub fn sync_blobs(&mut self) {
        let _ = self.mounted().and_then(Spool::blob_sync_all);
        self.look();
    }

    /// Whether something was appended that is not durable.
    pub fn has_unsynced_blobs(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::has_unsynced_blobs)
    }

    /// Begins to write a group, and is broken off at any byte of it: before, in or after its fsync.
    pub fn break_off(&mut self, jobs: &[Job], random: &mut Rng) {
        let Ok(spool) = self.mounted() else { return };
        spool.disk().set_faults(Faults { fuel: Some(random.below(1_500)), ..Faults::default() });
        let _ = self.perform(jobs);
    }

    /// All records in the order in which they were put, with their payloads and what is in their blobs.
    pub fn records(&mut self) -> Vec<(Meta, Vec<u8>, Vec<u8>)> {
        let mut records = Vec::new();
        let mut buffer = vec![0; PAYLOAD_BYTES_MAX];
        let Ok(spool) = self.mounted() else { return records };
        let mut tell = |meta: &Meta, bytes: &[u8]| records.push((*meta, bytes.to_vec(), Vec::new()));
        let damaged = spool.each(&Filter::default(), &mut buffer, &mut tell).expect("the disk can be read");
        assert_eq!(damaged, 0, "records that were durable can't be read");
        for (meta, _, blob) in records.iter_mut().filter(|(meta, ..)| meta.key.kind.has_blob()) {
            blob.resize(meta.blob_bytes as usize, 0);
            assert_eq!(spool.blob_read(meta.key, 0, blob), Ok(blob.len()), "a blob that was durable can't be read");
        }
        records
    }

    /// The program ends; what it wrote is in the kernel's hands.
    pub fn restart(&mut self) {
        (self.spool, self.has_failed) = (None, false);
        self.disk = self.disk.after_restart();
        self.set_faults(Faults::default());
    }

    /// The power goes: what was not synced is lost, torn or there.
    pub fn cut_power(&mut self, random: &mut Rng) {
        (self.spool, self.has_failed) = (None, false);
        self.disk = self.disk.after_power_cut(random);
        self.set_faults(Faults::default());
    }

    fn set_faults(&mut self, faults: Faults) {
        self.disk.set_faults(Faults { room: self.room, is_gone: !self.is_plugged, ..faults });
    }

    /// Lets a spool go that has failed.
    fn look(&mut self) {
        if self.spool.as_ref().is_some_and(|spool| spool.state().is_failed) {
            (self.spool, self.has_failed) = (None, true);
        }
    }

    fn mounted(&mut self) -> Result<&mut Spool<'static, SimDisk>, Problem<Fault>> {
        if self.spool.is_none() {
            let mut spool = Spool::new(self.disk.clone(), leak(), self.limits);
            self.mounts += 1;
            self.damaged_bytes += spool.mount(self.mounts)?.damaged_bytes;
            self.spool = Some(spool);
        }
        self.spool.as_mut().ok_or(Problem::NotMounted)
    }
}

/// A spool lives as long as its machine, which here is the test.
fn leak() -> &'static mut Memory {
    Box::leak(Box::new(Memory::new()))
}

fn error(problem: Problem<Fault>) -> StoreError {
    match problem {
        Problem::Full | Problem::TooMany => StoreError::Full,
        Problem::NeverFits | Problem::Small(_) => StoreError::TooLarge,
        Problem::Quota => StoreError::Quota,
        Problem::Unknown => StoreError::Unknown,
        _ => StoreError::Failed,
    }
}
