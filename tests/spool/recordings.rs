//! Blobs that are open for long: recordings that grow beside their records, greetings, and what bounds them.

use pcsd::spool::{BlobStep, Filter, Key, Kind, Limits, Meta, Problem, Spool, Usage};

use crate::disk::{Faults, SimDisk};
use crate::model::{LIMITS, key};
use crate::random::Rng;
use crate::{formatted, memory, mounted, nonce};

fn voice(id: u64) -> Meta {
    Meta { key: key(Kind::Voice, id), owner: 1, at: 7, blob_bytes: 0 }
}

fn greeting(id: u64) -> Meta {
    Meta { key: key(Kind::Greeting, id), owner: 1, at: 0, blob_bytes: 0 }
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    formatted(&disk, 2048);
    disk
}

/// All of a blob.
fn sound(spool: &mut Spool<'_, SimDisk>, key: Key) -> Vec<u8> {
    let mut bytes = vec![0; 5_000];
    let len = spool.blob_read(key, 0, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_recording_is_adopted_as_it_was_when_the_power_went() {
    let disk = disk();
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.store(&voice(1), b"\x00open", BlobStep::Open).unwrap();
    spool.store(&voice(2), b"\x00silent", BlobStep::Open).unwrap();
    spool.commit().unwrap();
    spool.blob_write(voice(1).key, &[1; 600]).unwrap();
    spool.blob_sync_all().unwrap();
    let before = disk.counts();
    spool.blob_sync_all().unwrap();
    assert_eq!(disk.counts(), before, "nothing new costs nothing");
    spool.blob_write(voice(1).key, &[2; 600]).unwrap();
    assert!(spool.has_unsynced_blobs());
    // What is not durable yet is read at once, and the record may change meanwhile.
    assert_eq!(sound(&mut spool, voice(1).key).len(), 1_200);
    spool.amend(voice(1).key, 1, &mut [0; 100]).unwrap();
    spool.commit().unwrap();
    drop(spool);
    for seed in 1..40 {
        let after = disk.after_power_cut(&mut Rng::new(seed));
        let mut spool = Spool::new(after.clone(), &mut memory, LIMITS);
        let report = spool.mount(nonce()).unwrap();
        assert_eq!((report.records, report.unfinished_blobs, report.gone_blobs), (2, 1, 0));
        let sound = sound(&mut spool, voice(1).key);
        assert!(sound.len() >= 600 && sound[..600] == [1; 600], "{} bytes", sound.len());
        let mut payload = [0; 100];
        assert_eq!(spool.load(voice(1).key, &mut payload), Ok(5));
        assert_eq!(&payload[..5], b"\x01open");
        assert_eq!(spool.blob_read(voice(2).key, 0, &mut payload), Ok(0));
        // It is over: nothing is appended any more, and closing it tells what there is.
        assert_eq!(spool.blob_write(voice(1).key, b"more"), Err(Problem::Unknown));
        spool.store(&Meta { at: 99, ..voice(1) }, b"closed", BlobStep::Close).unwrap();
        let closed = Meta { blob_bytes: sound.len() as u32, ..voice(1) };
        assert_eq!(spool.find(voice(1).key), Some(closed), "and keeps the time when it came");
        // The second mount has nothing to adopt.
        assert_eq!(spool.mount(nonce()).unwrap().unfinished_blobs, 0);
    }
}

#[test]
fn what_an_fsync_lost_is_written_again() {
    let disk = disk();
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.store(&voice(1), b"\x00", BlobStep::Open).unwrap();
    spool.commit().unwrap();
    spool.blob_write(voice(1).key, &[5; 900]).unwrap();
    disk.set_faults(Faults { fail_sync_in: Some(1), ..Faults::default() });
    assert!(matches!(spool.blob_sync_all(), Err(Problem::Disk(_))));
    disk.set_faults(Faults::default());
    // The cache has it, the medium has not, and no fsync would write it.
    spool.mount(nonce()).unwrap();
    assert_eq!(sound(&mut spool, voice(1).key), [5; 900]);
    drop(spool);
    for seed in 1..20 {
        let mut spool = Spool::new(disk.after_power_cut(&mut Rng::new(seed)), &mut memory, LIMITS);
        spool.mount(nonce()).unwrap();
        assert_eq!(sound(&mut spool, voice(1).key), [5; 900]);
    }
}

#[test]
fn eight_recordings_and_a_greeting_are_open_at_once() {
    let disk = disk();
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    spool.store(&greeting(1), b"old", BlobStep::Open).unwrap();
    spool.blob_write(greeting(1).key, b"hello").unwrap();
    spool.store(&greeting(1), b"old", BlobStep::Close).unwrap();
    (1..=8).for_each(|id| spool.store(&voice(id), b"v", BlobStep::Open).unwrap());
    // A voice message and a greeting with the same id are two.
    spool.store(&greeting(2), b"new", BlobStep::Open).unwrap();
    assert_eq!(spool.store(&voice(9), b"v", BlobStep::Open), Err(Problem::TooMany));
    assert_eq!(spool.store(&greeting(1), b"new", BlobStep::Open), Err(Problem::TooMany));
    assert_eq!(sound(&mut spool, greeting(1).key), b"hello", "what was refused costs nothing");
    for id in 1..=8 {
        spool.blob_write(voice(id).key, &[id as u8; 100]).unwrap();
        spool.store(&voice(id), b"done", BlobStep::Close).unwrap();
    }
    spool.store(&greeting(1), b"new", BlobStep::Open).unwrap();
    assert_eq!(sound(&mut spool, greeting(1).key), b"");
    spool.blob_write(greeting(1).key, b"good day").unwrap();
    spool.store(&greeting(1), b"new", BlobStep::Close).unwrap();
    spool.commit().unwrap();
    assert!(disk.names().contains(&"greeting-0000000000000001".to_string()));
    let report = spool.mount(nonce()).unwrap();
    assert_eq!((report.records, report.blobs, report.orphans), (10, 9, 0));
    assert_eq!(sound(&mut spool, greeting(1).key), b"good day");
    (1..=8).for_each(|id| assert_eq!(sound(&mut spool, voice(id).key), [id as u8; 100]));
    spool.remove(greeting(1).key).unwrap();
    spool.commit().unwrap();
    assert!(!disk.names().contains(&"greeting-0000000000000001".to_string()));
}

#[test]
fn texts_have_no_blob() {
    let mut memory = memory();
    let mut spool = mounted(&disk(), &mut memory);
    let text = Meta { key: key(Kind::Text, 1), ..voice(1) };
    assert_eq!(spool.store(&text, b"x", BlobStep::Open), Err(Problem::Unknown));
    assert_eq!(spool.store(&text, b"x", BlobStep::Close), Err(Problem::Unknown));
    assert_eq!(spool.store(&voice(1), b"x", BlobStep::Close), Err(Problem::Unknown), "it was never open");
    assert_eq!(spool.blob_create(text.key), Err(Problem::Unknown));
    spool.store(&text, b"x", BlobStep::None).unwrap();
    assert_eq!(spool.blob_write(text.key, b"x"), Err(Problem::Unknown));
    assert_eq!(spool.blob_read(text.key, 0, &mut [0; 9]), Err(Problem::Unknown));
    assert_eq!(spool.amend(voice(7).key, 1, &mut [0; 9]), Err(Problem::Unknown));
    assert_eq!(spool.amend(text.key, 1, &mut []), Err(Problem::Small(1)));
}

#[test]
fn open_blobs_count_for_their_owner_and_for_all() {
    let mut memory = memory();
    let limits = Limits { owner_bytes: 1_000, owner_records: 9, total_bytes: 1_500, age_s: 0 };
    let mut spool = Spool::new(disk(), &mut memory, limits);
    spool.mount(nonce()).unwrap();
    let other = Meta { owner: 2, ..voice(2) };
    spool.store(&voice(1), &[0; 56], BlobStep::Open).unwrap();
    spool.store(&other, &[0; 56], BlobStep::Open).unwrap();
    spool.blob_write(voice(1).key, &[1; 800]).unwrap();
    assert_eq!(spool.usage(1), Usage { records: 1, bytes: 900 });
    assert_eq!(spool.state().blob_bytes, 800);
    assert_eq!(spool.blob_write(voice(1).key, &[1; 101]), Err(Problem::Quota));
    spool.blob_write(voice(1).key, &[1; 100]).unwrap();
    assert_eq!(spool.blob_write(other.key, &[1; 401]), Err(Problem::Full));
    spool.blob_write(other.key, &[1; 300]).unwrap();
    assert_eq!(spool.state().free_bytes, 100);
    // A greeting has no owner's quota, but takes its part of the whole; the journal does not.
    spool.store(&greeting(1), &[0; 200], BlobStep::Open).unwrap();
    assert_eq!(spool.blob_write(greeting(1).key, &[1; 101]), Err(Problem::Full));
    spool.blob_write(greeting(1).key, &[1; 100]).unwrap();
    let text = Meta { key: key(Kind::Text, 1), owner: 3, ..voice(1) };
    assert_eq!(spool.put(&text, b""), Err(Problem::Full));
    spool.put(&Meta { key: key(Kind::Binding, 1), ..voice(1) }, &[0; 300]).unwrap();
    // Nothing is refused for being closed, marked, or heard.
    spool.store(&voice(1), &[0; 56], BlobStep::Close).unwrap();
    spool.amend(voice(1).key, 1, &mut [0; 100]).unwrap();
    spool.remove(voice(1).key).unwrap();
    spool.put(&text, b"").unwrap();
    assert_eq!((spool.usage(1), spool.usage(2).bytes), (Usage::default(), 400));
    assert_eq!(spool.state().blob_bytes, 400);
}

#[test]
fn on_a_full_disk_every_message_can_be_marked() {
    for room in [9_300, 14_500, 40_000] {
        let disk = disk();
        disk.set_faults(Faults { room: Some(room), ..Faults::default() });
        let mut memory = memory();
        let mut spool = mounted(&disk, &mut memory);
        let text = |id| Meta { key: key(Kind::Text, id), ..voice(1) };
        let mut count = 0;
        while spool.put(&text(count), &[9; 200]).is_ok() {
            spool.commit().unwrap();
            count += 1;
        }
        // The journal takes what is left.
        let mut bindings = 0;
        while spool.put(&Meta { key: key(Kind::Binding, bindings), ..voice(1) }, &[8; 100]).is_ok() {
            spool.commit().unwrap();
            bindings += 1;
        }
        assert!(count > 0, "room {room}: {count}");
        for state in 0..3 {
            for id in 0..count {
                let result = spool.amend(text(id).key, state, &mut [0; 300]);
                assert_eq!(result, Ok(()), "room {room}, {id} of {count}, {:?}", spool.state());
                if id % 3 == 0 {
                    spool.commit().unwrap();
                }
            }
        }
        spool.commit().unwrap();
        let report = spool.mount(nonce()).unwrap();
        assert_eq!(report.records as u64, count + bindings);
        let mut states = Vec::new();
        let filter = Filter { kind: Some(Kind::Text), owner: None };
        spool.each(&filter, &mut [0; 300], &mut |_, payload| states.push(payload[0])).unwrap();
        assert_eq!(states, vec![2; count as usize]);
    }
}
