//! The spool on a simulated disk: power cuts at every byte, failing and full disks, other people's files, and what was
//! acknowledged is there.
//!
//! A failing run prints its seed: `SIM_SEED=N` runs that one alone, `SIM_RUNS=N` tries seeds 1 to N.

mod backup;
mod cuts;
mod disk;
mod faults;
mod hostile;
mod model;
mod plain;
#[path = "../sim/random.rs"]
mod random;
mod recordings;

use disk::SimDisk;
use model::{LIMITS, Outcome};
use pcsd::spool::{Memory, Spool};

const UUID: [u8; 16] = *b"a spool's number";

/// The tables of a spool; large, so not on the stack.
fn memory() -> Box<Memory> {
    Box::new(Memory::new())
}

/// A new spool with segments of so many bytes.
fn formatted(disk: &SimDisk, segment_bytes: u32) {
    Spool::new(disk.clone(), &mut memory(), LIMITS).format_with(UUID, segment_bytes).unwrap();
}

/// A spool on `disk`, mounted.
fn mounted<'m>(disk: &SimDisk, memory: &'m mut Memory) -> Spool<'m, SimDisk> {
    let mut spool = Spool::new(disk.clone(), memory, LIMITS);
    spool.mount(nonce()).unwrap();
    spool
}

/// Another number for each mount.
fn nonce() -> u64 {
    thread_local!(static LAST: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    LAST.replace(LAST.get() + 1)
}

/// The seeds to try: `SIM_SEED` alone, else the first `SIM_RUNS` ones, else so many.
fn seeds(default: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_RUNS")) {
        (Some(seed), _) => vec![seed],
        (None, runs) => (1..=runs.unwrap_or(default)).collect(),
    }
}

/// Prints the seed when the run it is for fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} failed; SIM_SEED={} runs it again", self.0, self.0);
        }
    }
}

fn is_refused<T>(result: &Outcome<T>) -> bool {
    use pcsd::spool::Problem::{Full, NeverFits, Quota, TooMany};
    matches!(result, Err(Full | NeverFits | Quota | TooMany))
}
