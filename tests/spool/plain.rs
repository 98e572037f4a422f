//! What a spool does on a disk that works: keys, quotas, age, order, blobs, foreign files, full tables.

use pcsd::base::limits::{SPOOL_RECORDS, SPOOL_SEGMENT_BYTES, SPOOL_SEGMENTS};
use pcsd::spool::{Filter, Key, Kind, Limits, Meta, Problem, Spool, Usage, check};

use crate::disk::SimDisk;
use crate::model::{LIMITS, key, read_all};
use crate::{UUID, formatted, memory, mounted, nonce};

fn text(id: u64, owner: u32, at: u32) -> Meta {
    Meta { key: key(Kind::Text, id), owner, at, blob_bytes: 0 }
}

/// Keys of the records in order.
fn ids(spool: &Spool<'_, SimDisk>, filter: &Filter) -> Vec<u64> {
    let mut ids = Vec::new();
    spool.list(filter, &mut |meta| ids.push(meta.key.id));
    ids
}

#[test]
fn newest_counts_and_order_survives_cleaning() {
    let disk = SimDisk::new();
    formatted(&disk, 1024);
    let (mut memory, mut memory_after) = (memory(), memory());
    let mut spool = mounted(&disk, &mut memory);
    spool.put(&text(1, 1, 0), b"first").unwrap();
    spool.put(&text(2, 1, 0), b"second").unwrap();
    let place = Meta { key: key(Kind::Other(99), 1), owner: 1, at: 0, blob_bytes: 0 };
    spool.put(&place, b"of a newer version").unwrap();
    // So much of it that all segments are cleaned several times.
    for round in 0..200u32 {
        let binding = Meta { key: key(Kind::Binding, 1), owner: 2, at: 0, blob_bytes: 0 };
        spool.put(&binding, &round.to_le_bytes().repeat(20)).unwrap();
        spool.commit().unwrap();
        while spool.tend().unwrap() {}
    }
    spool.put(&text(3, 1, 0), b"third").unwrap();
    spool.commit().unwrap();
    for spool in [&mut spool, &mut mounted(&disk, &mut memory_after)] {
        assert_eq!(ids(spool, &Filter { kind: Some(Kind::Text), owner: None }), [1, 2, 3]);
        let mut buffer = [0; 100];
        assert_eq!(spool.load(key(Kind::Text, 2), &mut buffer), Ok(6));
        assert_eq!(&buffer[..6], b"second");
        assert_eq!(spool.load(key(Kind::Other(99), 1), &mut buffer), Ok(18));
        assert_eq!(spool.load(key(Kind::Binding, 1), &mut buffer), Ok(80));
        assert_eq!(buffer[..4], 199u32.to_le_bytes());
        assert_eq!(spool.load(key(Kind::Text, 1), &mut buffer[..4]), Err(Problem::Small(5)));
        assert_eq!(spool.load(key(Kind::Text, 9), &mut buffer), Err(Problem::Unknown));
        assert_eq!(spool.state().segments, 4);
    }
}

#[test]
fn a_burst_costs_one_fsync_and_nothing_costs_none() {
    let disk = SimDisk::new();
    formatted(&disk, 65_536);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.put(&text(1, 1, 0), b"x").unwrap();
    spool.commit().unwrap();
    let before = disk.counts();
    (2..40).for_each(|id| spool.put(&text(id, 1, 0), &[7; 100]).unwrap());
    assert_eq!(spool.remove(key(Kind::Text, 1)), Ok(true));
    spool.commit().unwrap();
    let after = disk.counts();
    assert_eq!((after.syncs - before.syncs, after.writes - before.writes), (1, 39));
    assert_eq!(after.bytes_written - before.bytes_written, 38 * 144 + 44);
    assert_eq!(spool.remove(key(Kind::Text, 1)), Ok(false));
    spool.commit().unwrap();
    assert_eq!(disk.counts(), after);
}

#[test]
fn quota_is_for_messages_of_one_owner() {
    let disk = SimDisk::new();
    formatted(&disk, 4096);
    let mut memory = memory();
    let limits = Limits { owner_bytes: 500, owner_records: 3, total_bytes: u64::MAX, age_s: 0 };
    let mut spool = Spool::new(disk.clone(), &mut memory, limits);
    spool.mount(nonce()).unwrap();
    (1..=3).for_each(|id| spool.put(&text(id, 1, 0), &[0; 56]).unwrap());
    assert_eq!(spool.usage(1), Usage { records: 3, bytes: 300 });
    assert_eq!(spool.put(&text(4, 1, 0), b""), Err(Problem::Quota));
    spool.put(&text(4, 2, 0), b"").unwrap();
    // The same key again takes the place of the old one.
    spool.put(&text(3, 1, 0), &[0; 256]).unwrap();
    assert_eq!(spool.usage(1), Usage { records: 3, bytes: 500 });
    assert_eq!(spool.put(&text(3, 1, 0), &[0; 260]), Err(Problem::Quota));
    let binding = Meta { key: key(Kind::Binding, 1), owner: 1, at: 0, blob_bytes: 0 };
    spool.put(&binding, &[0; 900]).unwrap();
    spool.remove(key(Kind::Text, 3)).unwrap();
    let voice = Meta { key: key(Kind::Voice, 9), owner: 1, at: 0, blob_bytes: 257 };
    assert_eq!(spool.put(&voice, b""), Err(Problem::Quota));
    spool.put(&Meta { blob_bytes: 256, ..voice }, b"").unwrap();
    assert_eq!(spool.usage(1), Usage { records: 3, bytes: 500 });
    assert_eq!(spool.usage(7), Usage::default());
}

#[test]
fn old_messages_expire_and_those_without_a_time_stay() {
    let disk = SimDisk::new();
    formatted(&disk, 65_536);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    let total = 40.min(SPOOL_RECORDS as u64 - 2);
    (0..total).for_each(|id| spool.put(&text(id, 1, 1000 * (id as u32 % 2)), b"x").unwrap());
    let setting = Meta { key: key(Kind::Setting, 1), owner: 1, at: 1000, blob_bytes: 0 };
    spool.put(&setting, b"x").unwrap();
    assert_eq!(spool.expire(2000), Ok((0, true)));
    // Before the clock is set nothing is old.
    assert_eq!(spool.expire(5), Ok((0, true)));
    assert_eq!(spool.expire(2001), Ok((16, false)));
    while !spool.expire(2001).unwrap().1 {}
    assert_eq!(spool.state().records as u64, total / 2 + 1);
}

#[test]
fn refusals_say_whose_fault_it_is() {
    let disk = SimDisk::new();
    let mut memory = memory();
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    assert_eq!(spool.mount(nonce()), Err(Problem::NoMarker));
    assert_eq!(spool.put(&text(1, 1, 0), b""), Err(Problem::Failed));
    assert_eq!(spool.format_with(UUID, 1000), Err(Problem::NeverFits));
    spool.format_with(UUID, 3072).unwrap();
    assert_eq!(spool.format_with(UUID, 3072), Err(Problem::NotEmpty));
    spool.mount(nonce()).unwrap();
    assert_eq!(spool.put(&text(1, 1, 0), &[0; 1024 - 43]), Err(Problem::NeverFits));
    spool.put(&text(1, 1, 0), &[0; 1024 - 44]).unwrap();
    let reserved = Meta { key: key(Kind::Other(0), 1), owner: 0, at: 0, blob_bytes: 0 };
    assert_eq!(spool.put(&reserved, b""), Err(Problem::NeverFits));
    disk.set_file(&format!("log-{SPOOL_SEGMENTS:04}"), vec![0; 3072]);
    assert_eq!(spool.mount(nonce()), Err(Problem::TooMany));
}

#[test]
fn full_index_refuses_and_removal_makes_room() {
    let disk = SimDisk::new();
    formatted(&disk, SPOOL_SEGMENT_BYTES as u32);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    let binding = |id| Meta { key: key(Kind::Binding, id), owner: 0, at: 0, blob_bytes: 0 };
    for id in 0..SPOOL_RECORDS as u64 {
        spool.put(&binding(id), b"x").unwrap();
    }
    assert_eq!(spool.put(&binding(u64::MAX), b"x"), Err(Problem::TooMany));
    spool.put(&binding(3), b"y").unwrap();
    assert_eq!(spool.remove(key(Kind::Binding, 4)), Ok(true));
    spool.put(&binding(u64::MAX), b"x").unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.mount(nonce()).unwrap().records, SPOOL_RECORDS);
}

#[test]
fn full_disk_refuses_removes_and_takes_again() {
    for room in [3_000, 9_300, 14_500, 40_000] {
        let disk = SimDisk::new();
        formatted(&disk, 2048);
        disk.set_faults(crate::disk::Faults { room: Some(room), ..Default::default() });
        let mut memory = memory();
        if room < 9_216 {
            // Not even the least that a log needs.
            let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
            assert_eq!(spool.mount(nonce()).err(), Some(Problem::Full));
            assert_eq!(spool.put(&text(1, 1, 0), b"x"), Err(Problem::Failed));
            disk.set_faults(crate::disk::Faults::default());
            assert_eq!(spool.mount(nonce()).map(|report| report.records), Ok(0));
            continue;
        }
        let mut spool = mounted(&disk, &mut memory);
        let mut kept = Vec::new();
        let refused = loop {
            let id = kept.len() as u64;
            match spool.put(&text(id, 1, 0), &[id as u8; 200]) {
                Ok(()) => kept.push(id),
                Err(problem) => break problem,
            }
            spool.commit().unwrap();
        };
        let is_right = refused == Problem::Full || refused == Problem::TooMany;
        assert!(is_right, "room {room}: {refused}");
        assert!(!kept.is_empty(), "room {room}");
        assert_eq!(ids(&spool, &Filter::default()), kept);
        // The journal still has room, and each removal works.
        if refused == Problem::Full {
            let binding = Meta { key: key(Kind::Binding, 1), owner: 0, at: 0, blob_bytes: 0 };
            spool.put(&binding, &[1; 100]).unwrap();
            spool.remove(binding.key).unwrap();
        }
        for id in &kept {
            assert_eq!(spool.remove(key(Kind::Text, *id)), Ok(true), "room {room}, {:?}", spool.state());
            spool.commit().unwrap();
        }
        assert_eq!(spool.state().bytes, 0);
        for id in &kept {
            spool.put(&text(*id, 1, 0), &[9; 200]).unwrap();
        }
        assert_eq!(spool.mount(nonce()).map(|report| report.records), Ok(kept.len()));
    }
}

#[test]
fn full_disk_for_a_blob() {
    let disk = SimDisk::new();
    formatted(&disk, 1024);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.put(&text(1, 1, 0), b"x").unwrap();
    spool.commit().unwrap();
    disk.set_faults(crate::disk::Faults { room: Some(6_000), ..Default::default() });
    spool.blob_create(key(Kind::Voice, 5)).unwrap();
    assert_eq!(spool.blob_create(key(Kind::Voice, 5)), Err(Problem::Unknown));
    spool.blob_write(key(Kind::Voice, 5), &[1; 500]).unwrap();
    assert_eq!(spool.blob_write(key(Kind::Voice, 5), &[2; 600]), Err(Problem::Full));
    // What did not fit is not a part of it.
    assert_eq!(spool.blob_close(key(Kind::Voice, 5)), Ok(500));
    let voice = Meta { key: key(Kind::Voice, 5), owner: 1, at: 0, blob_bytes: 500 };
    spool.put(&voice, b"").unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.blob_drop(key(Kind::Voice, 5)), Err(Problem::Unknown));
    let mut buffer = [0; 400];
    assert_eq!(spool.blob_read(key(Kind::Voice, 5), 200, &mut buffer), Ok(300));
    assert_eq!((buffer[299], spool.blob_read(key(Kind::Voice, 5), 500, &mut buffer)), (1, Ok(0)));
    spool.remove(voice.key).unwrap();
    assert!(disk.names().contains(&"blob-0000000000000005".to_string()));
    spool.commit().unwrap();
    assert!(!disk.names().contains(&"blob-0000000000000005".to_string()));
}

#[test]
fn foreign_files_are_left_alone_and_a_check_writes_nothing() {
    let disk = SimDisk::new();
    let foreign = ["lost+found", "log-1", "blob-af", "photo.jpg", "pcsd-spool.bak", "log-0001~"];
    foreign.iter().for_each(|name| disk.set_file(name, name.as_bytes().repeat(9)));
    formatted(&disk, 1024);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    for id in 0..300 {
        spool.put(&text(id % 7, 1, 0), &[3; 60]).unwrap();
        spool.commit().unwrap();
    }
    spool.mount(nonce()).unwrap();
    disk.set_file("blob-00000000000000aa", vec![1; 30]);
    let before = disk.counts();
    let (_, report) = check::check(disk.clone(), &mut memory);
    let report = report.unwrap();
    assert_eq!((report.records, report.orphans, report.damaged_bytes), (7, 1, 0));
    assert_eq!(disk.counts(), before);
    assert!(disk.names().contains(&"blob-00000000000000aa".to_string()));
    mounted(&disk, &mut memory);
    assert!(!disk.names().contains(&"blob-00000000000000aa".to_string()));
    for name in foreign {
        assert_eq!(disk.file(name), Some(name.as_bytes().repeat(9)));
    }
}

#[test]
fn a_blob_that_is_gone_is_said() {
    let disk = SimDisk::new();
    formatted(&disk, 1024);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.blob_create(key(Kind::Voice, 5)).unwrap();
    spool.blob_write(key(Kind::Voice, 5), b"sound").unwrap();
    let blob_bytes = spool.blob_close(key(Kind::Voice, 5)).unwrap();
    let voice = Meta { key: Key { kind: Kind::Voice, id: 5 }, owner: 1, at: 0, blob_bytes };
    spool.put(&voice, b"envelope").unwrap();
    spool.commit().unwrap();
    disk.set_file("blob-0000000000000005", b"sou".to_vec());
    for _ in 0..2 {
        let report = spool.mount(nonce()).unwrap();
        assert_eq!((report.records, report.blobs, report.gone_blobs), (1, 0, 1));
        assert_eq!(spool.blob_read(key(Kind::Voice, 5), 0, &mut [0; 10]), Err(Problem::BlobGone));
        assert_eq!(spool.load(voice.key, &mut [0; 10]), Ok(8));
        disk.remove_file("blob-0000000000000005");
    }
    disk.set_file("blob-0000000000000005", b"sound".to_vec());
    spool.mount(nonce()).unwrap();
    assert_eq!(read_all(&mut spool).0.len(), 1);
}
