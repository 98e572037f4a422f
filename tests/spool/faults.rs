//! What a medium may do to bytes at rest: flipped bits, random content, files of other versions and other spools.

use pcsd::spool::{Filter, Kind, Meta, Problem, Spool};

use crate::disk::{Faults, SimDisk};
use crate::model::{LIMITS, key};
use crate::random::Rng;
use crate::{UUID, formatted, memory, mounted, nonce, seeds};

const RECORDS: u64 = 30;

/// A spool with texts over several segments.
fn filled() -> SimDisk {
    let disk = SimDisk::new();
    formatted(&disk, 1024);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    for id in 0..RECORDS {
        let meta = Meta { key: key(Kind::Text, id), owner: 1, at: 0, blob_bytes: 0 };
        spool.put(&meta, &[id as u8; 40]).unwrap();
        spool.commit().unwrap();
    }
    disk
}

/// Ids of the records that can be read, with the right bytes.
fn readable(spool: &mut Spool<'_, SimDisk>) -> Vec<u64> {
    let mut ids = Vec::new();
    let _ = spool.each(&Filter::default(), &mut [0; 2000], &mut |meta, payload| {
        if meta.key.kind == Kind::Text {
            assert_eq!(payload, [meta.key.id as u8; 40]);
            ids.push(meta.key.id);
        }
    });
    ids
}

#[test]
fn a_flipped_bit_costs_one_record_and_is_counted() {
    let whole = filled();
    let names: Vec<String> = whole.names().into_iter().filter(|name| name.starts_with("log-")).collect();
    let mut memory = memory();
    let (mut lost_one, mut lost_segment) = (0, 0);
    for name in names {
        for at in (0..1024).step_by(7) {
            let disk = whole.snapshot();
            let mut bytes = disk.file(&name).unwrap();
            bytes[at] ^= 1 << (at % 8);
            disk.set_file(&name, bytes);
            let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
            let report = spool.mount(nonce()).unwrap();
            let lost = RECORDS as usize - readable(&mut spool).len();
            match lost {
                0 => {}
                1 => {
                    lost_one += 1;
                    // Nobody can tell the loss of the very last from a write that was not finished.
                    let is_told = report.damaged_bytes > 0 || report.records == RECORDS as usize - 1;
                    assert!(is_told, "{name} at {at}: {report}");
                }
                _ => {
                    lost_segment += 1;
                    assert!(at < 96, "{name} at {at}: {lost} lost, {report}");
                }
            }
        }
    }
    assert!(lost_one > 100 && lost_segment > 0, "{lost_one}, {lost_segment}");
}

#[test]
fn damage_under_a_mounted_spool_is_told() {
    let disk = filled();
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    let mut bytes = disk.file("log-0000").unwrap();
    let payload = bytes.windows(40).position(|bytes| bytes == [0; 40]).unwrap_or(150);
    bytes[payload.max(150)] ^= 255;
    disk.set_file("log-0000", bytes);
    let mut spool_again = {
        spool.mount(nonce()).unwrap();
        spool
    };
    let lost: Vec<u64> = (0..RECORDS).filter(|id| !readable(&mut spool_again).contains(id)).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(spool_again.load(key(Kind::Text, lost[0]), &mut [0; 100]), Err(Problem::Unknown));
    assert!(spool_again.state().damaged_bytes > 0);
}

#[test]
fn random_files_never_panic() {
    let whole = filled();
    let mut memory = memory();
    for seed in seeds(400) {
        let mut rng = Rng::new(seed);
        let disk = whole.snapshot();
        for name in disk.names() {
            if rng.chance(500) {
                continue;
            }
            let mut bytes = disk.file(&name).unwrap();
            match rng.below(4) {
                0 => bytes = (0..rng.below(3000)).map(|_| rng.next() as u8).collect(),
                // Magic numbers all over.
                1 => bytes = b"pS\x01\x01\xff\xff\x01\x00".repeat(128),
                2 => bytes.truncate(rng.below(1024) as usize),
                _ => {
                    for _ in 0..1 + rng.below(40) {
                        let (from, to) = (rng.below(1024) as usize, rng.below(1024) as usize);
                        if let [Some(byte), Some(_)] = [bytes.get(from).copied(), bytes.get(to).copied()] {
                            bytes[to] = byte;
                        }
                    }
                }
            }
            disk.set_file(&name, bytes);
        }
        let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
        match spool.mount(nonce()) {
            Ok(_) => {
                readable(&mut spool);
                let meta = Meta { key: key(Kind::Binding, 1), owner: 1, at: 0, blob_bytes: 0 };
                if spool.put(&meta, &[1; 50]).and_then(|()| spool.commit()).is_ok() {
                    spool.mount(nonce()).unwrap();
                    assert_eq!(spool.load(meta.key, &mut [0; 50]), Ok(50));
                }
            }
            Err(problem) => {
                assert!(matches!(problem, Problem::Damaged | Problem::Newer | Problem::TooMany), "{problem}")
            }
        }
    }
}

#[test]
fn another_version_and_another_spool() {
    let disk = filled();
    let marker = disk.file("pcsd-spool").unwrap();
    let mut memory = memory();
    // The same files under another UUID: not a record of them counts.
    disk.remove_file("pcsd-spool");
    assert_eq!(
        Spool::new(disk.clone(), &mut memory, LIMITS).format_with(*b"another spool's!", 1024),
        Err(Problem::NotEmpty)
    );
    let other = SimDisk::new();
    Spool::new(other.clone(), &mut memory, LIMITS).format_with(*b"another spool's!", 1024).unwrap();
    disk.set_file("pcsd-spool", other.file("pcsd-spool").unwrap());
    assert_eq!(mounted(&disk.snapshot(), &mut memory).state().records, 0);
    // One of the two copies of the marker is enough.
    let mut torn = marker.clone();
    torn[..512].fill(0);
    disk.set_file("pcsd-spool", torn);
    assert_eq!(mounted(&disk, &mut memory).state().records, RECORDS as usize);
    disk.set_file("pcsd-spool", vec![0; 1024]);
    assert_eq!(Spool::new(disk.clone(), &mut memory, LIMITS).mount(nonce()), Err(Problem::Damaged));
    assert_eq!(Spool::new(disk, &mut memory, LIMITS).format_with(UUID, 1024), Err(Problem::NotEmpty));
}

#[test]
fn a_stick_pulled_out_and_put_back() {
    let disk = filled();
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    let meta = Meta { key: key(Kind::Text, 3), owner: 1, at: 0, blob_bytes: 0 };
    disk.set_faults(Faults { is_gone: true, ..Faults::default() });
    assert!(matches!(spool.remove(meta.key), Err(Problem::Disk(_))));
    assert!(spool.state().is_failed);
    assert!(matches!(spool.load(meta.key, &mut [0; 40]), Err(Problem::Failed)));
    assert!(matches!(spool.mount(nonce()), Err(Problem::Disk(_))));
    disk.set_faults(Faults::default());
    let report = spool.mount(nonce()).unwrap();
    assert_eq!((report.records, report.damaged_bytes), (RECORDS as usize, 0));
    assert_eq!(readable(&mut spool).len(), RECORDS as usize);
}
