//! The spool's engine over the simulated disk, as a machine's disk in the simulated world.

use crate::disk::{Faults, SimDisk};
use crate::random::Rng;
use crate::storage::{Job, Records};
use pcsd::server::contract::StoreError;
use pcsd::spool::{Filter, Limits, Memory, Meta, Problem, Spool};

/// A disk with a spool on it.
pub struct Stick {
    disk: SimDisk,
    /// The engine of this start; `None` before its first use.
    spool: Option<Spool<'static, SimDisk>>,
    /// Mounts so far.
    mounts: u64,
    /// Records that a mount said were damaged. None may be.
    pub damaged_bytes: u64,
}

/// Small enough for the log to be cleaned often.
const SEGMENT_BYTES: u32 = 4_096;
const UUID: [u8; 16] = [7; 16];

impl Stick {
    /// A formatted, empty disk.
    pub fn new() -> Self {
        let stick = Self { disk: SimDisk::new(), spool: None, mounts: 0, damaged_bytes: 0 };
        let mut spool = Spool::new(stick.disk.clone(), leak(), Limits::NONE);
        spool.format_with(UUID, SEGMENT_BYTES).expect("an empty disk can be formatted");
        stick
    }

    /// Writes a group: all of it is durable, or the disk has failed.
    pub fn write(&mut self, jobs: &[Job]) -> Result<(), StoreError> {
        let spool = self.mounted().map_err(error)?;
        for Job { key, bytes, .. } in jobs {
            let meta = Meta { key: *key, owner: 0, at: 0, blob_bytes: 0 };
            match bytes {
                Some(bytes) => spool.put(&meta, bytes).map_err(error)?,
                None => drop(spool.remove(*key).map_err(error)?),
            }
        }
        spool.commit().map_err(error)
    }

    /// Begins to write a group, and is broken off at any byte of it: before, in or after its fsync.
    pub fn break_off(&mut self, jobs: &[Job], random: &mut Rng) {
        let Ok(spool) = self.mounted() else { return };
        spool.disk().set_faults(Faults { fuel: Some(random.below(1_500)), ..Faults::default() });
        let _ = self.write(jobs);
    }

    /// All records.
    pub fn records(&mut self) -> Records {
        let mut records = Records::new();
        let mut buffer = vec![0; 4_096];
        let Ok(spool) = self.mounted() else { return records };
        let filter = Filter { owner: None, kind: None };
        let mut tell =
            |meta: &Meta, bytes: &[u8]| drop(records.insert((meta.key.kind.to_byte(), meta.key.id), bytes.to_vec()));
        let damaged = spool.each(&filter, &mut buffer, &mut tell).expect("the disk can be read");
        assert_eq!(damaged, 0, "records that were durable can't be read");
        records
    }

    /// The program ends; what it wrote is in the kernel's hands.
    pub fn restart(&mut self) {
        self.spool = None;
        self.disk = self.disk.after_restart();
    }

    /// The power goes: what was not synced is lost, torn or there.
    pub fn cut_power(&mut self, random: &mut Rng) {
        self.spool = None;
        self.disk = self.disk.after_power_cut(random);
    }

    fn mounted(&mut self) -> Result<&mut Spool<'static, SimDisk>, Problem<crate::disk::Fault>> {
        if self.spool.is_none() {
            let mut spool = Spool::new(self.disk.clone(), leak(), Limits::NONE);
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

fn error(problem: Problem<crate::disk::Fault>) -> StoreError {
    match problem {
        Problem::Full | Problem::TooMany => StoreError::Full,
        Problem::NeverFits => StoreError::TooLarge,
        Problem::Quota => StoreError::Quota,
        _ => StoreError::Failed,
    }
}
