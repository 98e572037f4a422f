//! The spool beside SQLite (WAL, synchronous=FULL) with the same records on the same disk, in turns: durable records per
//! second, bytes written for each, the scan at start, memory.
//!
//! `spool FOLDER [ROUNDS]`: works in a new folder in FOLDER, and prints lines of `case figure ours peer` with tabs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use pcsd::base::limits::SPOOL_RECORDS;
use pcsd::spool::{Disk, Durable, FileName, Key, Kind, Limits, Memory, Meta, Spool};
use rusqlite::{Connection, params};

/// Bytes of a text.
const TEXT: [u8; 100] = [b't'; 100];
/// Records of one turn.
const TURN: usize = 1024;
/// Keys in use: older texts are replaced, as in a spool that is emptied.
const KEYS: u64 = 2000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = PathBuf::from(arguments.next().expect("usage: spool FOLDER [ROUNDS]"));
    let rounds = arguments.next().map_or(7, |text| text.parse().expect("a number of rounds"));
    let folder = parent.join(format!("spool-bench.{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder to work in");
    measure(&folder, rounds);
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

fn measure(folder: &Path, rounds: usize) {
    let mut memory = Box::new(Memory::new());
    let mut ours = Ours::new(&folder.join("spool"), &mut memory);
    let mut sqlite = Sqlite::new(&folder.join("sqlite.db"));
    for in_flight in [1, 8, 64] {
        let (mut our_turns, mut their_turns) = (Vec::new(), Vec::new());
        // Fewer where each costs a whole fsync.
        let records = TURN.min(256 * in_flight);
        for round in 0..=rounds {
            let (a, b) = (turn(&mut ours, records, in_flight), turn(&mut sqlite, records, in_flight));
            // The first one creates files and warms up.
            if round > 0 {
                our_turns.push(a);
                their_turns.push(b);
            }
        }
        let case = format!("{in_flight} in flight");
        let (a, b) = (Turn::median(&our_turns), Turn::median(&their_turns));
        println!("{case}\tus / durable record\t{:.1}\t{:.1}", a.us, b.us);
        println!("{case}\tdurable records / s\t{:.0}\t{:.0}", 1e6 / a.us, 1e6 / b.us);
        println!("{case}\tbytes written / text\t{:.0}\t{:.0}", a.bytes, b.bytes);
        if in_flight > 1 {
            // Callers that know nothing of each other: to SQLite each is a transaction of its own.
            let alone: Vec<Turn> = (0..rounds).map(|_| turn(&mut sqlite, 128, 1)).collect();
            println!("{case}\tus / record, by itself\t{:.1}\t{:.1}", a.us, Turn::median(&alone).us);
        }
    }
    drop(ours);
    scan(&folder.join("scan"), &mut memory);
    println!("index\tbytes / record\t{}\t-", size_of::<Memory>() / SPOOL_RECORDS);
}

/// Microseconds and bytes of one record.
#[derive(Clone, Copy)]
struct Turn {
    us: f64,
    bytes: f64,
}

impl Turn {
    fn median(turns: &[Self]) -> Self {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            us: middle(turns.iter().map(|turn| turn.us).collect()),
            bytes: middle(turns.iter().map(|turn| turn.bytes).collect()),
        }
    }
}

/// What keeps texts.
trait Store {
    fn put(&mut self, id: u64, is_first: bool);
    fn commit(&mut self);
    fn next_id(&mut self) -> u64;
}

fn turn(store: &mut impl Store, records: usize, in_flight: usize) -> Turn {
    let (bytes, start) = (bytes_written(), Instant::now());
    for at in 0..records {
        let id = store.next_id() % KEYS;
        store.put(id, at % in_flight == 0);
        if (at + 1) % in_flight == 0 {
            store.commit();
        }
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / records as f64;
    Turn { us, bytes: (bytes_written() - bytes) as f64 / records as f64 }
}

/// What this process has sent towards the disk.
fn bytes_written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").expect("/proc/self/io");
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).expect("write_bytes")
}

/// The scan of 10,000 records, or as many as the index holds: that many are live, the others replaced.
fn scan(folder: &Path, memory: &mut Memory) {
    const SCANNED: u64 = 10_000;
    let live = SCANNED.min(SPOOL_RECORDS as u64);
    let mut ours = Ours::new(folder, memory);
    for at in 0..SCANNED {
        ours.put(at % live, false);
    }
    ours.commit();
    let start = Instant::now();
    let report = ours.spool.mount(2).expect("a mount");
    let ms = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(report.records as u64, live);
    println!("scan of {} records\tms\t{ms:.1}\t-", report.records + report.dead_records);
}

struct Ours<'m> {
    spool: Spool<'m, Folder>,
    id: u64,
}

impl<'m> Ours<'m> {
    fn new(folder: &Path, memory: &'m mut Memory) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let mut spool = Spool::new(Folder(folder.to_path_buf()), memory, Limits::NONE);
        spool.format(*b"pcsd's benchmark").expect("a new spool");
        spool.mount(1).expect("a mount");
        Self { spool, id: 0 }
    }
}

impl Store for Ours<'_> {
    fn put(&mut self, id: u64, _: bool) {
        let meta = Meta { key: Key { kind: Kind::Text, id }, owner: 1, at: 1, blob_bytes: 0 };
        self.spool.put(&meta, &TEXT).expect("a put");
    }

    fn commit(&mut self) {
        self.spool.commit().expect("a commit");
        // What the worker does when it is idle is a part of the price.
        while self.spool.tend().expect("cleaning") {}
    }

    fn next_id(&mut self) -> u64 {
        self.id += 1;
        self.id
    }
}

struct Sqlite {
    connection: Connection,
    id: u64,
}

impl Sqlite {
    fn new(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a database");
        let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).expect("WAL");
        assert_eq!(mode, "wal");
        let table = "PRAGMA synchronous=FULL;
            CREATE TABLE record (id INTEGER PRIMARY KEY, kind INTEGER, owner INTEGER, at INTEGER, payload BLOB)";
        connection.execute_batch(table).expect("a table");
        Self { connection, id: 0 }
    }
}

impl Store for Sqlite {
    fn put(&mut self, id: u64, is_first: bool) {
        if is_first {
            self.connection.execute_batch("BEGIN").expect("BEGIN");
        }
        let insert = "INSERT OR REPLACE INTO record VALUES (?1, 1, 1, 1, ?2)";
        let mut statement = self.connection.prepare_cached(insert).expect("a statement");
        statement.execute(params![id as i64, &TEXT[..]]).expect("an insert");
    }

    fn commit(&mut self) {
        self.connection.execute_batch("COMMIT").expect("COMMIT");
    }

    fn next_id(&mut self) -> u64 {
        self.id += 1;
        self.id
    }
}

/// A folder as the spool's disk.
struct Folder(PathBuf);

struct OpenFile(File);

#[derive(Debug)]
struct Failure(std::io::Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl embedded_io::Error for Failure {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error)
    }
}

impl ErrorType for OpenFile {
    type Error = Failure;
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        Ok(self.0.read(buffer)?)
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        Ok(self.0.write(bytes)?)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Failure> {
        let to = match to {
            SeekFrom::Start(at) => std::io::SeekFrom::Start(at),
            SeekFrom::End(by) => std::io::SeekFrom::End(by),
            SeekFrom::Current(by) => std::io::SeekFrom::Current(by),
        };
        Ok(self.0.seek(to)?)
    }
}

impl Durable for OpenFile {
    fn sync(&mut self) -> Result<(), Failure> {
        // As SQLite's: the size of a segment doesn't change.
        Ok(self.0.sync_data()?)
    }
}

impl Disk for Folder {
    type Error = Failure;
    type File = OpenFile;

    fn open(&mut self, name: FileName) -> Result<Option<OpenFile>, Failure> {
        match OpenOptions::new().read(true).write(true).open(self.0.join(name.to_string())) {
            Ok(file) => Ok(Some(OpenFile(file))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create(&mut self, name: FileName) -> Result<OpenFile, Failure> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(OpenFile(options.open(self.0.join(name.to_string()))?))
    }

    fn remove(&mut self, name: FileName) -> Result<(), Failure> {
        Ok(fs::remove_file(self.0.join(name.to_string()))?)
    }

    fn list(&mut self, each: &mut dyn FnMut(FileName, u64)) -> Result<(), Failure> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(FileName::parse) {
                each(name, entry.metadata()?.len());
            }
        }
        Ok(())
    }

    fn sync_directory(&mut self) -> Result<(), Failure> {
        Ok(File::open(&self.0)?.sync_all()?)
    }

    fn is_full(error: &Failure) -> bool {
        error.0.kind() == std::io::ErrorKind::StorageFull
    }
}
