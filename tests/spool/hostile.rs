//! Folders and backups that somebody made up, with every checksum right: nothing panics, nothing takes for ever, and
//! what no spool of ours would have written is damage.

use pcsd::spool::backup::{self, BackupProblem, Count};
use pcsd::spool::{Filter, Kind, Meta, Problem, Spool};

use crate::backup::Stream;
use crate::disk::SimDisk;
use crate::model::{LIMITS, key};
use crate::{UUID, formatted, memory};

/// Where the first record of a segment stands.
const SEGMENT_START: usize = 96;
const SEGMENT_BYTES: u32 = 1 << 20;
const NONCE: u64 = 1000;

fn crc(parts: &[&[u8]]) -> u32 {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// A header with a right checksum, under this seed.
fn header(seed: u32, meta: &Meta, flags: u8, length: u32, sequence: u64, payload_crc: u32) -> Vec<u8> {
    let mut out = b"pS\x01".to_vec();
    out.push(meta.key.kind.to_byte());
    out.extend((length | u32::from(flags) << 24).to_le_bytes());
    out.extend(meta.key.id.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    [meta.owner, meta.at, meta.blob_bytes, payload_crc].iter().for_each(|word| out.extend(word.to_le_bytes()));
    let sum = crc(&[&seed.to_le_bytes(), &out]);
    out.extend(sum.to_le_bytes());
    out
}

fn record(life: u32, meta: &Meta, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let spool = crc(&[&UUID]).to_le_bytes();
    let seed = crc(&[&spool, b"record", &life.to_le_bytes()]);
    let payload_crc = crc(&[&spool, &sequence.to_le_bytes(), payload]);
    let mut out = header(seed, meta, 0, payload.len() as u32, sequence, payload_crc);
    out.extend(payload);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// The first bytes of a segment, whose life is 7.
fn segment_start(serial: u32) -> Vec<u8> {
    let spool = crc(&[&UUID]).to_le_bytes();
    let mut payload = [0; 52];
    let len = postcard::to_slice(&(serial, 7u32, 0u32, 0u32, 0u32, 0u64), &mut payload).unwrap().len();
    let meta = Meta { key: key(Kind::Other(0), serial.into()), ..setting(0) };
    let payload_crc = crc(&[&spool, &0u64.to_le_bytes(), &payload[..len]]);
    let mut out = header(crc(&[&spool, b"segment"]), &meta, 2, len as u32, 0, payload_crc);
    out.extend(payload);
    assert_eq!(out.len(), SEGMENT_START);
    out
}

fn setting(id: u64) -> Meta {
    Meta { key: key(Kind::Setting, id), owner: 0, at: 0, blob_bytes: 0 }
}

/// A spool of one segment with these records.
fn made_up(serial: u32, records: &[Vec<u8>]) -> SimDisk {
    let disk = SimDisk::new();
    formatted(&disk, SEGMENT_BYTES);
    let mut segment = [segment_start(serial), records.concat()].concat();
    segment.resize(SEGMENT_BYTES as usize, 0);
    disk.set_file("log-0000", segment);
    disk
}

fn ids(spool: &mut Spool<'_, SimDisk>, room: usize) -> (Vec<u64>, usize) {
    let mut ids = Vec::new();
    let lost = spool.each(&Filter::default(), &mut vec![0; room], &mut |meta, _| ids.push(meta.key.id)).unwrap();
    (ids, lost)
}

#[test]
fn a_made_up_segment_is_read_like_a_real_one() {
    let disk = made_up(1, &[record(7, &setting(1), 5, b"one"), record(7, &setting(2), 6, b"two")]);
    let mut memory = memory();
    let mut spool = Spool::new(disk, &mut memory, LIMITS);
    assert_eq!(spool.mount(NONCE).unwrap().records, 2);
    assert_eq!(ids(&mut spool, 100), (vec![1, 2], 0));
}

#[test]
fn numbers_that_none_of_ours_has_are_damage() {
    // Sequences are kept in 40 bits, and the longest payload is 262,096 bytes.
    let long = vec![1; 262_097];
    let wrong = [
        record(7, &setting(9), u64::MAX, b"last"),
        record(7, &setting(9), 1 << 40, b"too late"),
        record(7, &setting(9), 7, &long),
    ];
    for record_of_nobody in wrong {
        let records = [record(7, &setting(1), 5, b"one"), record_of_nobody, record(7, &setting(2), 8, b"two")];
        let disk = made_up(1, &records);
        let mut memory = memory();
        let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
        assert_eq!(spool.mount(NONCE).unwrap().records, 2);
        spool.put(&setting(3), b"three").unwrap();
        spool.commit().unwrap();
        assert_eq!(ids(&mut spool, 300_000), (vec![1, 2, 3], 0));
        spool.mount(NONCE + 1).unwrap();
        assert_eq!(ids(&mut spool, 300_000), (vec![1, 2, 3], 0));
    }
}

#[test]
fn the_last_serials_leave_no_segment_that_looks_free() {
    for serial in [u32::MAX, u32::MAX - 1] {
        let disk = made_up(serial, &[record(7, &setting(1), 5, b"one")]);
        let mut memory = memory();
        let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
        spool.mount(NONCE).unwrap();
        let mut kept = Vec::new();
        for id in 10..20 {
            if spool.put(&setting(id), &[1; 250_000]).and_then(|()| spool.commit()).is_ok() {
                kept.push(id);
            }
        }
        spool.mount(NONCE + 1).unwrap();
        let (found, lost) = ids(&mut spool, 300_000);
        assert!(kept.iter().all(|id| found.contains(id)) && lost == 0, "serial {serial}: {found:?} of {kept:?}");
    }
}

#[test]
fn what_does_not_fit_the_buffer_is_left_out_and_hides_nothing() {
    let disk = made_up(1, &[record(7, &setting(1), 5, &[1; 200]), record(7, &setting(2), 6, b"two")]);
    let mut memory = memory();
    let mut spool = Spool::new(disk, &mut memory, LIMITS);
    spool.mount(NONCE).unwrap();
    assert_eq!(ids(&mut spool, 100), (vec![2], 1));
}

#[test]
fn thousands_of_blobs_that_nobody_named_cost_few_listings() {
    let disk = made_up(1, &[]);
    (0..20_000).for_each(|id| disk.set_file(&format!("blob-{id:016x}"), Vec::new()));
    let mut memory = memory();
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    let mut mounts = 0;
    while disk.names().iter().any(|name| name.starts_with("blob-")) {
        let before = disk.listings();
        spool.mount(NONCE).unwrap();
        assert!(disk.listings() - before <= 20, "{} listings", disk.listings() - before);
        mounts += 1;
    }
    assert!(mounts <= 5, "{mounts} mounts");
}

/// A backup of these items.
fn backup_of(items: &[Vec<u8>]) -> Stream {
    let mut bytes = b"pcsd backup\n\x01".to_vec();
    let mut chain = 0u32;
    let mut end = vec![b'e'];
    end.extend((items.len() as u64).to_le_bytes());
    for item in items {
        let sum = crc(&[&[0; 4], item]);
        chain = crc(&[&chain.to_le_bytes(), &sum.to_le_bytes()]);
        bytes.extend((item.len() as u32).to_le_bytes());
        bytes.extend(item);
        bytes.extend(sum.to_le_bytes());
    }
    end.extend(chain.to_le_bytes());
    bytes.extend((end.len() as u32).to_le_bytes());
    bytes.extend(&end);
    bytes.extend(crc(&[&[0; 4], &end]).to_le_bytes());
    Stream { bytes, at: 0 }
}

fn item(meta: &Meta, payload: &[u8]) -> Vec<u8> {
    let head = (meta.key.kind.to_byte(), meta.key.id, meta.owner, meta.at, meta.blob_bytes);
    let mut bytes = [0; 40];
    let head = postcard::to_slice(&head, &mut bytes).unwrap();
    [&b"r"[..], head, payload].concat()
}

fn blob(id: u64, bytes: &[u8]) -> Vec<u8> {
    [&b"b"[..], &id.to_le_bytes(), bytes].concat()
}

fn restore(items: &[Vec<u8>], buffer_bytes: usize) -> (SimDisk, Result<Count, String>) {
    let disk = SimDisk::new();
    formatted(&disk, SEGMENT_BYTES);
    let mut memory = memory();
    let mut spool = Spool::new(disk.clone(), &mut memory, LIMITS);
    spool.mount(NONCE).unwrap();
    let result = backup::read(&mut spool, &mut backup_of(items), &mut vec![0; buffer_bytes]);
    (disk, result.map_err(|problem| problem.to_string()))
}

#[test]
fn a_restored_voice_has_the_sound_it_claims_or_is_left_out() {
    let voice = |id, blob_bytes| Meta { key: key(Kind::Voice, id), owner: 1, at: 0, blob_bytes };
    let items = [
        blob(1, b"sound"),
        item(&voice(1, 5), b"whole"),
        blob(2, b"so"),
        item(&voice(2, u32::MAX), b"cut"),
        item(&voice(3, 5), b"without"),
        // A text has none, whatever it claims.
        blob(4, b"sound"),
        [&b"k\x09"[..], &[5, 0, 0, 0, 0, 0, 0, 0], b"hello"].concat(),
        // Nor has a blob with the same id, of another kind, any part in it.
        item(&voice(5, 5), b"another"),
        [&b"k\x01"[..], &[6, 0, 0, 0, 0, 0, 0, 0], b"of a text"].concat(),
        [&b"k\xc8"[..], &[6, 0, 0, 0, 0, 0, 0, 0], b"of nobody"].concat(),
        item(&Meta { key: key(Kind::Text, 4), ..voice(4, 5) }, b"text"),
    ];
    let (disk, result) = restore(&items, 1000);
    assert_eq!(result, Ok(Count { records: 1, present: 0, damaged: 4 }));
    let mut memory = memory();
    let mut spool = Spool::new(disk, &mut memory, LIMITS);
    let report = spool.mount(NONCE + 1).unwrap();
    assert_eq!((report.records, report.blobs, report.gone_blobs, report.orphans), (1, 1, 0, 0));
}

#[test]
fn a_payload_longer_than_the_longest_is_not_restored() {
    let fits = 500 - backup::BUFFER_BYTES;
    assert_eq!(restore(&[item(&setting(1), &vec![1; fits])], 500).1, Ok(Count { records: 1, ..Count::default() }));
    let (disk, result) = restore(&[item(&setting(1), &vec![1; fits + 1])], 500);
    let too_large: BackupProblem<String, String> = BackupProblem::TooLarge;
    assert_eq!(result, Err(too_large.to_string()));
    let mut memory = memory();
    let mut spool = Spool::new(disk, &mut memory, LIMITS);
    assert_eq!(spool.mount(NONCE + 1).map(|report| report.records), Ok(0));
}

#[test]
fn what_was_restored_until_the_spool_was_full_is_durable() {
    let items: Vec<_> = (0..400).map(|id| item(&setting(id), &vec![1; 250_000])).collect();
    let (disk, result) = restore(&items, 300_000);
    let full: BackupProblem<String, String> = BackupProblem::Spool(Problem::Full);
    assert_eq!(result, Err(full.to_string()));
    let mut memory = memory();
    let mut spool = Spool::new(disk.snapshot(), &mut memory, LIMITS);
    let cached = spool.mount(NONCE + 1).unwrap().records;
    drop(spool);
    for seed in 1..20 {
        let after = disk.after_power_cut(&mut crate::random::Rng::new(seed));
        let mut spool = Spool::new(after, &mut memory, LIMITS);
        assert_eq!(spool.mount(NONCE + 1).unwrap().records, cached);
    }
}
