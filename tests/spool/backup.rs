//! Backups: what is written comes back, and nothing but that; every cut and every changed byte is found.

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use pcsd::spool::backup::{self, BackupProblem, Count};
use pcsd::spool::{Kind, Meta, Problem, Spool};

use crate::disk::{Faults, SimDisk};
use crate::model::{LIMITS, Model, key, read_all};
use crate::{formatted, memory, mounted};

/// A file in memory.
#[derive(Clone, Default)]
pub struct Stream {
    pub bytes: Vec<u8>,
    pub at: usize,
}

impl ErrorType for Stream {
    type Error = ErrorKind;
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        // Short reads, as files may have.
        let len = buffer.len().min(self.bytes.len() - self.at).min(50);
        buffer[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
        match to {
            SeekFrom::Start(at) => self.at = at as usize,
            SeekFrom::Current(0) => {}
            _ => return Err(ErrorKind::Unsupported),
        }
        Ok(self.at as u64)
    }
}

/// A spool with records and three blobs, and its backup.
fn saved() -> (SimDisk, Model, Vec<u8>) {
    let disk = SimDisk::new();
    formatted(&disk, 2048);
    let mut memory = memory();
    let mut spool = mounted(&disk, &mut memory);
    let mut model = Model::default();
    for id in 0..4 {
        model.put(&mut spool, key(Kind::Text, id), 30, 5).unwrap();
        model.put(&mut spool, key(Kind::Other(77), id), 50, 0).unwrap();
    }
    model.put_voice(&mut spool, 10, 700).unwrap();
    model.put_voice(&mut spool, 0, 1).unwrap();
    model.open(&mut spool, key(Kind::Greeting, 3), 12).unwrap();
    model.append(&mut spool, key(Kind::Greeting, 3), 400).unwrap();
    model.close(&mut spool, key(Kind::Greeting, 3), 12).unwrap();
    model.remove(&mut spool, key(Kind::Text, 2)).unwrap();
    model.commit(&mut spool).unwrap();
    let mut out = Stream::default();
    let count = backup::write(&mut spool, &mut out, &mut [0; 300]).unwrap();
    assert_eq!(count, Count { records: 10, ..Count::default() });
    (disk, model, out.bytes)
}

type Restored = Result<Count, BackupProblem<crate::disk::Fault, ErrorKind>>;

fn restore(spool: &mut Spool<'_, SimDisk>, bytes: &[u8]) -> Restored {
    backup::read(spool, &mut Stream { bytes: bytes.to_vec(), at: 0 }, &mut [0; 400])
}

fn empty() -> SimDisk {
    let disk = SimDisk::new();
    formatted(&disk, 1536);
    disk
}

#[test]
fn round_trip() {
    let (_, model, bytes) = saved();
    assert_eq!(&bytes[..13], b"pcsd backup\n\x01");
    let (disk, mut memory) = (empty(), memory());
    let mut spool = mounted(&disk, &mut memory);
    assert_eq!(restore(&mut spool, &bytes), Ok(Count { records: 10, ..Count::default() }));
    model.check(&mut spool);
    assert_eq!(restore(&mut spool, &bytes), Ok(Count { present: 10, ..Count::default() }));
    // All of it is durable.
    let disk = disk.after_power_cut(&mut crate::random::Rng::new(1));
    let mut spool = mounted(&disk, &mut memory);
    model.check(&mut spool);
    let mut again = Stream::default();
    backup::write(&mut spool, &mut again, &mut [0; 300]).unwrap();
    assert_eq!(again.bytes, bytes);
}

#[test]
fn what_is_there_is_not_replaced() {
    let (_, model, bytes) = saved();
    let (disk, mut memory) = (empty(), memory());
    let mut spool = mounted(&disk, &mut memory);
    let meta = Meta { key: key(Kind::Text, 1), owner: 9, at: 9, blob_bytes: 0 };
    spool.put(&meta, b"newer").unwrap();
    spool.put(&Meta { key: key(Kind::Text, 50), ..meta }, b"other").unwrap();
    assert_eq!(restore(&mut spool, &bytes), Ok(Count { records: 9, present: 1, damaged: 0 }));
    let (found, _) = read_all(&mut spool);
    assert_eq!(found.len(), model.visible().len() + 1);
    assert_eq!(found[&(Kind::Text.to_byte(), 1)].payload, b"newer");
}

#[test]
fn every_cut_and_every_changed_byte_is_refused_and_changes_nothing() {
    let (_, _, bytes) = saved();
    let (disk, mut memory) = (empty(), memory());
    let mut spool = mounted(&disk, &mut memory);
    let before = disk.counts();
    for len in 0..bytes.len() {
        let expected = if len == 0 { BackupProblem::Foreign } else { BackupProblem::Truncated };
        assert_eq!(restore(&mut spool, &bytes[..len]), Err(expected), "cut after {len}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        let problem = restore(&mut spool, &changed).expect_err("a changed byte");
        let is_right = match at {
            0..12 => problem == BackupProblem::Foreign,
            12 => problem == BackupProblem::Newer,
            _ => matches!(problem, BackupProblem::Damaged | BackupProblem::Truncated | BackupProblem::TooLarge),
        };
        assert!(is_right, "changed at {at}: {problem}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(restore(&mut spool, &longer), Err(BackupProblem::Damaged));
    // An item left out.
    let first = 13 + 8 + u32::from_le_bytes(bytes[13..17].try_into().unwrap()) as usize;
    let shorter = [&bytes[..13], &bytes[first..]].concat();
    assert_eq!(restore(&mut spool, &shorter), Err(BackupProblem::Damaged));
    assert_eq!(disk.counts(), before);
    assert_eq!(spool.state().records, 0);
}

#[test]
fn a_full_disk_stops_a_restore_and_it_can_go_on() {
    let (_, model, bytes) = saved();
    let (disk, mut memory) = (empty(), memory());
    let mut spool = mounted(&disk, &mut memory);
    disk.set_faults(Faults { room: Some(1024 + 4 * 1536 + 300), ..Faults::default() });
    assert_eq!(restore(&mut spool, &bytes), Err(BackupProblem::Spool(Problem::Full)));
    assert!(
        disk.names().iter().all(|name| !name.starts_with("blob-") && !name.starts_with("greeting-")),
        "{:?}",
        disk.names()
    );
    disk.set_faults(Faults::default());
    restore(&mut spool, &bytes).unwrap();
    let (found, _) = read_all(&mut spool);
    assert_eq!(found, model.visible());
    drop(spool);
    assert_eq!(Spool::new(disk, &mut memory, LIMITS).mount(99).unwrap().orphans, 0);
}
