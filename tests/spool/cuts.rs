//! Power cuts: at every byte of short scripts, at any byte of long random ones, and again while mounting.

use pcsd::spool::{Kind, Problem, Report, Spool};

use crate::disk::{Fault, Faults, SimDisk};
use crate::model::{LIMITS, Model, Outcome, check_blobs, key};
use crate::random::Rng;
use crate::{Seed, formatted, is_refused, memory, mounted, nonce, seeds};

#[derive(Clone, Copy, Debug)]
enum Op {
    Put(Kind, u64, usize),
    Voice(usize),
    Remove(Kind, u64),
    Commit,
    Tend,
    Expire(u32),
    /// Opens the blob of a record.
    Open(Kind, u64),
    /// Appends to that of the n-th record whose blob is open.
    Append(usize, usize),
    /// Makes open blobs durable.
    Sync,
    Close(usize, usize),
    Amend(Kind, u64, u8),
}

use Op::{Amend, Append, Close, Commit, Expire, Open, Put, Remove, Sync, Tend, Voice};

const T: Kind = Kind::Text;
const B: Kind = Kind::Binding;
const V: Kind = Kind::Voice;
const G: Kind = Kind::Greeting;

fn apply(op: Op, spool: &mut Spool<'_, SimDisk>, model: &mut Model) -> Outcome<()> {
    match op {
        Put(kind, id, len) => model.put(spool, key(kind, id), len, 1 + (id % 5) as u32 * 500),
        Voice(len) => model.put_voice(spool, 20, len),
        Remove(kind, id) => model.remove(spool, key(kind, id)).map(drop),
        Commit => model.commit(spool),
        Tend => spool.tend().map(drop),
        Expire(now) => model.expire(spool, now),
        Open(kind, id) => model.open(spool, key(kind, id), 20),
        Append(nth, len) => match nth_open(model, nth) {
            Some(key) => model.append(spool, key, len),
            None => Ok(()),
        },
        Sync => model.sync_blobs(spool),
        Close(nth, len) => match nth_open(model, nth) {
            Some(key) => model.close(spool, key, len),
            None => Ok(()),
        },
        Amend(kind, id, state) => model.amend(spool, key(kind, id), state),
    }
}

fn nth_open(model: &Model, nth: usize) -> Option<pcsd::spool::Key> {
    let open = model.open_keys();
    open.get(nth.checked_rem(open.len())?).copied()
}

/// The smallest mixed load.
const FIRST_STEPS: &[Op] =
    &[Put(T, 1, 30), Commit, Put(T, 2, 10), Put(B, 1, 40), Put(T, 1, 20), Commit, Remove(T, 2), Commit, Put(T, 3, 1)];

/// Batches that cross from one segment to the next.
const CROSSING: &[Op] = &[
    Put(T, 1, 250),
    Put(T, 2, 250),
    Put(T, 3, 250),
    Remove(T, 2),
    Put(T, 1, 200),
    Commit,
    Put(T, 4, 200),
    Remove(T, 3),
    Put(B, 9, 290),
    Remove(T, 1),
    Commit,
    Put(B, 9, 280),
    Put(B, 9, 270),
    Commit,
];

/// The same keys over and over, so that segments are cleaned and begin again.
const TURNING: &[Op] = &[
    Put(T, 1, 100),
    Commit,
    Put(B, 1, 290),
    Put(B, 2, 250),
    Commit,
    Put(B, 1, 280),
    Put(B, 2, 290),
    Commit,
    Put(B, 1, 290),
    Tend,
    Put(B, 2, 290),
    Remove(B, 1),
    Commit,
    Put(B, 3, 290),
    Put(B, 2, 290),
    Commit,
    Put(B, 3, 290),
    Put(B, 2, 290),
    Tend,
    Tend,
    Put(B, 3, 200),
    Commit,
];

/// Blobs and age.
const VOICES: &[Op] = &[
    Voice(600),
    Commit,
    Put(T, 4, 50),
    Put(T, 0, 50),
    Voice(700),
    Commit,
    Expire(2900),
    Commit,
    Remove(Kind::Voice, 1000),
    Commit,
];

/// Recordings, a greeting that is replaced, and records that change while their blobs are open.
const RECORDINGS: &[Op] = &[
    Open(V, 1),
    Commit,
    Append(0, 90),
    Sync,
    Open(G, 1),
    Append(0, 60),
    Append(1, 50),
    Commit,
    Amend(V, 1, 1),
    Sync,
    Append(1, 40),
    Put(T, 1, 30),
    Amend(T, 1, 2),
    Commit,
    Close(1, 10),
    Append(0, 30),
    Close(0, 25),
    Commit,
    Amend(V, 1, 2),
    Open(G, 1),
    Append(0, 20),
    Sync,
    Commit,
    Remove(V, 1),
    Append(0, 20),
    Commit,
    Remove(G, 1),
    Commit,
];

#[test]
fn cut_at_every_byte() {
    for (name, script) in [
        ("first steps", FIRST_STEPS),
        ("crossing", CROSSING),
        ("turning", TURNING),
        ("voices", VOICES),
        ("recordings", RECORDINGS),
    ] {
        let start = SimDisk::new();
        formatted(&start, 1024);
        prepare(&start);
        let total = {
            let disk = start.snapshot();
            disk.set_faults(Faults { fuel: Some(1 << 40), ..Faults::default() });
            run(&disk, script, &mut Model::default());
            (1 << 40) - disk.faults().fuel.unwrap()
        };
        assert!(total > 500, "{name}: only {total} bytes to cut at");
        for fuel in 0..=total {
            let _shown = Case(name, fuel);
            let disk = start.snapshot();
            disk.set_faults(Faults { fuel: Some(fuel), ..Faults::default() });
            let mut model = Model::default();
            run(&disk, script, &mut model);
            for round in 0..2 {
                let mut rng = Rng::new(fuel * 7 + round);
                recover(&disk.after_power_cut(&mut rng), &mut model.clone(), &mut rng);
            }
            recover(&disk.after_restart(), &mut model, &mut Rng::new(fuel));
        }
    }
}

struct Case(&'static str, u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("script '{}' failed when cut after {} bytes", self.0, self.1);
        }
    }
}

/// Creates the segments, so that scripts are not mostly about zeros.
fn prepare(disk: &SimDisk) {
    let mut memory = memory();
    let mut spool = mounted(disk, &mut memory);
    let mut model = Model::default();
    model.put(&mut spool, key(B, 77), 1, 0).unwrap();
    model.remove(&mut spool, key(B, 77)).unwrap();
    spool.commit().unwrap();
}

fn run(disk: &SimDisk, script: &[Op], model: &mut Model) {
    let mut memory = memory();
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    if spool.mount(nonce()).is_err() {
        return;
    }
    for op in script {
        let result = apply(*op, &mut spool, model);
        match result {
            Ok(()) => model.check(&mut spool),
            refused if is_refused(&refused) => {}
            Err(Problem::Disk(_)) => {
                assert_eq!(spool.commit(), Err(Problem::Failed));
                return;
            }
            Err(other) => panic!("{op:?}: {other}"),
        }
    }
}

/// Mounts what an accident left, perhaps with another one in between, compares it with the model, and goes on.
fn recover(disk: &SimDisk, model: &mut Model, rng: &mut Rng) {
    let mut disk = disk.clone();
    if rng.chance(300) {
        disk.set_faults(Faults { fuel: Some(rng.below(600)), ..Faults::default() });
        let _ = Spool::new(disk.clone(), &mut memory(), LIMITS).mount(nonce());
        disk = disk.after_power_cut(rng);
    }
    let mut memory = memory();
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    let report = spool.mount(nonce()).expect("what a power cut left can be mounted");
    model.check_after_accident(&mut spool, &report);
    check_blobs(&disk, model);
    for op in [Put(T, 50, 120), Remove(T, 1), Commit, Put(B, 2, 250), Put(T, 51, 250), Commit] {
        apply(op, &mut spool, model).unwrap();
        model.check(&mut spool);
    }
    drop(spool);
    // What was written after the accident holds against another one.
    let disk = disk.after_power_cut(rng);
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    let report: Report = spool.mount(nonce()).unwrap();
    model.check(&mut spool);
    model.check_after_accident(&mut spool, &report);
    assert_eq!((report.torn_bytes, report.unfinished_blobs), (0, 0));
}

#[test]
fn long_loads_with_accidents() {
    for seed in seeds(1500) {
        let _shown = Seed(seed);
        long_load(seed);
    }
}

/// Rounds of a random load, each ended by an accident: a power cut, a killed process, a failed write or fsync.
fn long_load(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut disk = SimDisk::new();
    formatted(&disk, [1024, 1536, 4096][rng.below(3) as usize]);
    let mut model = Model::default();
    for _ in 0..4 + rng.below(8) {
        let mut memory = memory();
        let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
        let report = spool.mount(nonce()).expect("a mount without faults");
        model.check_after_accident(&mut spool, &report);
        check_blobs(&disk, &model);
        disk.set_faults(faults(&mut rng));
        let mut remounts = 0;
        for _ in 0..rng.below(160) {
            let op = random_op(&mut rng);
            match apply(op, &mut spool, &mut model) {
                Ok(()) => {}
                refused if is_refused(&refused) => assert!(
                    !matches!(op, Remove(..) | Expire(_) | Tend | Commit | Amend(..) | Sync),
                    "{op:?}: {refused:?} {:?}",
                    spool.state()
                ),
                Err(Problem::Disk(fault)) => {
                    assert_eq!(spool.commit(), Err(Problem::Failed), "after {fault}");
                    if fault == Fault::Cut || remounts == 3 || rng.chance(300) {
                        break;
                    }
                    remounts += 1;
                    match spool.mount(nonce()) {
                        Ok(report) => model.check_after_accident(&mut spool, &report),
                        Err(_) => break,
                    }
                }
                Err(other) => panic!("{op:?}: {other}"),
            }
            if rng.chance(50) {
                model.check(&mut spool);
            }
        }
        drop(spool);
        disk = if rng.chance(650) { disk.after_power_cut(&mut rng) } else { disk.after_restart() };
        disk.set_faults(Faults::default());
    }
}

fn faults(rng: &mut Rng) -> Faults {
    let mut faults = Faults::default();
    match rng.below(6) {
        0 | 1 => faults.fuel = Some(rng.below(30_000)),
        2 => faults.fail_in = Some(1 + rng.below(120)),
        3 => faults.fail_sync_in = Some(1 + rng.below(40)),
        4 => faults.room = Some(rng.below(40_000)),
        _ => {}
    }
    faults
}

fn random_op(rng: &mut Rng) -> Op {
    let kind = [T, B, Kind::Setting, Kind::Other(200)][rng.below(4) as usize];
    let id = rng.below(6);
    let blob = [(V, id), (G, id % 2)][rng.below(2) as usize];
    match rng.below(27) {
        20 => Open(blob.0, blob.1),
        21 | 22 => Append(rng.below(9) as usize, 1 + rng.below(700) as usize),
        23 => Sync,
        24 => Close(rng.below(9) as usize, rng.below(100) as usize),
        25 => Amend(kind, id, rng.below(3) as u8),
        26 => Amend(blob.0, blob.1, rng.below(3) as u8),
        0..=8 => {
            let longest = [20, 100, 300, 290][rng.below(4) as usize];
            Put(kind, id, rng.below(longest) as usize)
        }
        9..=12 => Remove(kind, id),
        13 => Voice(1 + rng.below(900) as usize),
        14 if rng.chance(500) => Remove(Kind::Voice, 1000 + rng.below(300)),
        14 => Remove(blob.0, blob.1),
        15 => Tend,
        16 => Expire(rng.below(3000) as u32),
        _ => Commit,
    }
}
