//! Messages and recordings on a disk that stalls, fills up, is pulled out and loses its power, as the edge keeps them
//! (runtime/storage.rs) over the spool's engine (spool/blob.rs).

use crate::stick::Stick;
use crate::storage::{Answer, Disk, OnDisk, What};
use crate::world::{World, seeds};
use pcsd::server::contract::{BlobStep, Storage, StoreError};
use pcsd::spool::{Key, Kind, Limits};

const VOICE: Key = Key { kind: Kind::Voice, id: 1 };
const TEXT: Key = Key { kind: Kind::Text, id: 1 };
/// Bytes of G.711 in a tenth of a second.
const TENTH: usize = 800;

/// A world whose home has a disk that may have faults.
fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.servers[0].store.disk = Disk::Spool(Box::new(Stick::with_segments(65_536)));
    world.servers[0].store.delay = (0, 30);
    world.keep_at(0, Storage::Disk);
    world
}

fn put(bytes: &[u8], blob: BlobStep) -> What {
    What::Put { owner: 1, bytes: bytes.to_vec(), blob }
}

/// Asks for something and waits for what becomes of it.
fn done(world: &mut World, key: Key, what: What) -> Answer {
    let before = world.servers[0].store.answers.len();
    world.ask_storage(0, key, what);
    assert!(world.run_until(10_000, |world| world.servers[0].store.answers.len() > before), "an answer");
    let (of, answer) = world.servers[0].store.answers.last().cloned().unwrap();
    assert_eq!(of, key);
    answer
}

/// Records so many tenths of a second; the n-th second is made of the byte n.
fn record(world: &mut World, key: Key, tenths: usize) {
    for tenth in 0..tenths {
        world.ask_storage(0, key, What::Append(vec![(tenth / 10) as u8 + 1; TENTH]));
        world.run(100);
    }
}

fn sound(seconds: usize) -> Vec<u8> {
    (0..seconds * 10 * TENTH).map(|at| (at / (10 * TENTH)) as u8 + 1).collect()
}

fn found(world: &mut World, key: Key) -> Option<OnDisk> {
    world.on_disk(0).into_iter().find(|record| record.key == key)
}

#[test]
fn a_recording_of_ten_seconds_has_at_least_nine_when_the_power_goes() {
    for seed in seeds(40) {
        let mut world = world(seed);
        assert_eq!(done(&mut world, VOICE, put(b"\0open", BlobStep::Open)), Ok(vec![]));
        record(&mut world, VOICE, 100);
        world.cut_power(0);
        world.run(5_000);
        world.start(0);
        let OnDisk { payload, blob, .. } = found(&mut world, VOICE).expect("the record is there");
        assert_eq!(payload, b"\0open");
        assert!(blob.len() >= 90 * TENTH, "seed {seed}: {} bytes", blob.len());
        assert_eq!(blob[..90 * TENTH], sound(9), "seed {seed}");
        // It stays as it is from now on.
        world.cut_power(0);
        world.start(0);
        assert_eq!(found(&mut world, VOICE).unwrap().blob, blob);
        world.finish();
    }
}

#[test]
fn a_recording_that_ended_in_order_is_whole() {
    for seed in seeds(20) {
        let mut world = world(seed);
        assert_eq!(done(&mut world, VOICE, put(b"\0open", BlobStep::Open)), Ok(vec![]));
        record(&mut world, VOICE, 20);
        assert_eq!(done(&mut world, VOICE, put(b"\0closed", BlobStep::Close)), Ok(vec![]));
        assert_eq!(done(&mut world, VOICE, What::Amend(1)), Ok(vec![]));
        assert_eq!(done(&mut world, VOICE, What::Read { offset: 15_990, len: 100 }), Ok(vec![2; 10]));
        world.cut_power(0);
        world.start(0);
        let expected = OnDisk { key: VOICE, payload: b"\x01closed".to_vec(), blob: sound(2) };
        assert_eq!(world.on_disk(0), [expected]);
        assert_eq!(done(&mut world, VOICE, What::Append(vec![1])), Err(StoreError::Unknown));
        assert_eq!(done(&mut world, VOICE, What::Forget), Ok(vec![]));
        assert_eq!(world.on_disk(0), []);
        world.finish();
    }
}

#[test]
fn a_stall_holds_answers_up_and_loses_nothing() {
    let mut world = world(1);
    assert_eq!(done(&mut world, VOICE, put(b"\0", BlobStep::Open)), Ok(vec![]));
    world.servers[0].store.is_stalled = true;
    record(&mut world, VOICE, 30);
    world.ask_storage(0, TEXT, put(b"\0hello", BlobStep::None));
    world.ask_storage(0, TEXT, What::Load);
    world.run(5_000);
    assert_eq!(world.servers[0].store.answers.len(), 1, "nothing is answered");
    world.unstall(0);
    world.run(1_000);
    let answers = world.servers[0].store.answers.split_off(1);
    assert_eq!(answers[..30], vec![(VOICE, Ok(vec![])); 30]);
    assert_eq!(answers[30..], [(TEXT, Ok(vec![])), (TEXT, Ok(b"\0hello".to_vec()))]);
    world.cut_power(0);
    world.start(0);
    assert_eq!(found(&mut world, VOICE).unwrap().blob, sound(3));
    world.finish();
}

#[test]
fn a_full_disk_refuses_and_what_it_has_can_be_marked_and_forgotten() {
    let mut world = world(1);
    assert_eq!(done(&mut world, VOICE, put(b"\0", BlobStep::Open)), Ok(vec![]));
    assert_eq!(done(&mut world, TEXT, put(b"\0hello", BlobStep::None)), Ok(vec![]));
    world.servers[0].store.stick().leave_room(Some(20_000));
    record(&mut world, VOICE, 30);
    let answers = world.servers[0].store.answers.split_off(2);
    assert_eq!(answers[24].1, Ok(vec![]));
    assert_eq!(answers[25].1, Err(StoreError::Full));
    assert_eq!(done(&mut world, TEXT, What::Amend(1)), Ok(vec![]));
    assert_eq!(done(&mut world, VOICE, put(b"\0", BlobStep::Close)), Ok(vec![]));
    assert_eq!(done(&mut world, TEXT, What::Forget), Ok(vec![]));
    world.cut_power(0);
    world.start(0);
    let records = world.on_disk(0);
    assert_eq!(records, [OnDisk { key: VOICE, payload: vec![0], blob: sound(3)[..20_000].to_vec() }]);
    // What one may have is a limit of its own.
    world.servers[0].store.stick().leave_room(None);
    world.servers[0].store.stick().limit(Limits { owner_bytes: 20_100, ..Limits::NONE });
    assert_eq!(done(&mut world, TEXT, put(&[0; 100], BlobStep::None)), Err(StoreError::Quota));
    world.finish();
}

#[test]
fn a_disk_that_is_pulled_out_fails_and_comes_back_with_what_it_had() {
    let mut world = world(1);
    assert_eq!(done(&mut world, VOICE, put(b"\0", BlobStep::Open)), Ok(vec![]));
    record(&mut world, VOICE, 20);
    world.run(1_000);
    world.servers[0].store.answers.clear();
    world.servers[0].store.is_stalled = true;
    world.ask_storage(0, VOICE, What::Append(vec![9]));
    world.ask_storage(0, VOICE, What::Load);
    world.unplug(0);
    world.unstall(0);
    let no_disk = || (VOICE, Err(StoreError::NoDisk));
    assert_eq!(world.servers[0].store.answers, [no_disk(), no_disk()], "at once, in order");
    assert_eq!(done(&mut world, TEXT, put(b"\0", BlobStep::None)), Err(StoreError::NoDisk));
    assert_eq!(done(&mut world, TEXT, What::Load), Err(StoreError::NoDisk));
    assert_eq!(world.servers[0].store.place, Storage::Memory);
    world.run(10_000);
    world.plug(0);
    world.run(5_000);
    assert_eq!(world.servers[0].store.place, Storage::Disk);
    assert_eq!(found(&mut world, VOICE).unwrap().blob, sound(2));
    world.finish();
}

#[test]
fn after_a_failed_fsync_the_disk_is_mounted_anew() {
    for count in 1..4 {
        let mut world = world(count);
        assert_eq!(done(&mut world, VOICE, put(b"\0", BlobStep::Open)), Ok(vec![]));
        record(&mut world, VOICE, 20);
        world.servers[0].store.stick().fail_sync_in(count);
        record(&mut world, VOICE, 40);
        assert!(world.servers[0].store.answers.iter().any(|(_, answer)| answer.is_err()));
        world.run(5_000);
        assert_eq!(world.servers[0].store.place, Storage::Disk);
        world.cut_power(0);
        world.start(0);
        let blob = found(&mut world, VOICE).unwrap().blob;
        assert!(blob.len() >= 20 * TENTH && blob[..20 * TENTH] == sound(2), "{} bytes", blob.len());
        world.finish();
    }
}
