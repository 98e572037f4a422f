//! The spool beside SQLite (WAL, synchronous=FULL) with the same records on the same disk, in turns: durable records per
//! second, bytes written for each, the scan at start, memory. Beside them a bare write and fdatasync: less than that no
//! store can take on this medium.
//!
//! `spool FOLDER [ROUNDS]`: works in a new folder in FOLDER, and prints lines of `case figure ours peer` with tabs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pcsd::base::limits::SPOOL_RECORDS;
use pcsd::runtime::disk::{self, StdDisk};
use pcsd::spool::{Key, Kind, Limits, Memory, Meta, Spool};
use rusqlite::{Connection, params};

/// Bytes of a text.
const TEXT: [u8; 100] = [b't'; 100];
/// Records of one turn.
const TURN: usize = 1024;
/// Keys in use: older texts are replaced, as in a spool that is emptied.
const KEYS: u64 = 2000;
/// Records before any turn: the log has cleaned segments, and the WAL has been begun again.
const WARM_UP: usize = 10_240;

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
    let mut bare = Bare::new(&folder.join("bare"));
    // Files of both get the size that they keep: what a store does in its first minutes is not what it does for years.
    turn(&mut ours, WARM_UP, 64);
    sqlite.without_waiting(|sqlite| turn(sqlite, WARM_UP, 1));
    for in_flight in [1, 8, 64] {
        let (mut our_turns, mut their_turns, mut bare_turns) = (Vec::new(), Vec::new(), Vec::new());
        // Fewer where each costs a whole fsync.
        let records = TURN.min(256 * in_flight);
        for round in 0..=rounds {
            let (a, b) = (turn(&mut ours, records, in_flight), turn(&mut sqlite, records, in_flight));
            let c = turn(&mut bare, records, in_flight);
            // The first one warms up.
            if round > 0 {
                our_turns.push(a);
                their_turns.push(b);
                bare_turns.push(c);
            }
        }
        let case = format!("{in_flight} in flight");
        let (a, b) = (Turn::median(&our_turns), Turn::median(&their_turns));
        println!("{case}\tus / durable record\t{:.1}\t{:.1}", a.us, b.us);
        println!("{case}\tdurable records / s\t{:.0}\t{:.0}", 1e6 / a.us, 1e6 / b.us);
        println!("{case}\tbytes written / text\t{:.0}\t{:.0}", a.bytes, b.bytes);
        println!("{case}\tus, beside a bare write\t{:.1}\t{:.1}", a.us, Turn::median(&bare_turns).us);
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

/// The scan of 10,000 live records.
fn scan(folder: &Path, memory: &mut Memory) {
    const SCANNED: u64 = 10_000;
    const { assert!(SPOOL_RECORDS as u64 >= SCANNED, "build with PCSD_SPOOL_RECORDS, as .cargo/config.toml does") };
    let mut ours = Ours::new(folder, memory);
    for id in 0..SCANNED {
        ours.put(id, false);
    }
    ours.commit();
    let start = Instant::now();
    let report = ours.spool.mount(2).expect("a mount");
    let ms = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(report.records as u64, SCANNED);
    println!("scan of {SCANNED} records\tms\t{ms:.1}\t-");
}

struct Ours<'m> {
    spool: Spool<'m, StdDisk>,
    id: u64,
}

impl<'m> Ours<'m> {
    fn new(folder: &Path, memory: &'m mut Memory) -> Self {
        let disk = disk::make(folder).expect("a folder");
        let mut spool = Spool::new(disk, memory, Limits::NONE);
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

impl Sqlite {
    /// Does something without waiting for the disk.
    fn without_waiting<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.connection.execute_batch("PRAGMA synchronous=OFF").expect("OFF");
        let result = run(self);
        self.connection.execute_batch("PRAGMA synchronous=FULL").expect("FULL");
        result
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

/// What the medium itself takes: a file that is there already, one write and one fdatasync for all that are in flight.
struct Bare {
    file: File,
    pending: Vec<u8>,
    at: u64,
    id: u64,
}

impl Bare {
    /// Bytes of the file, as many as a segment has.
    const LENGTH: u64 = 256 * 1024;

    fn new(path: &Path) -> Self {
        fs::write(path, [0; Self::LENGTH as usize]).expect("a file");
        let file = File::options().write(true).open(path).expect("a file");
        file.sync_all().expect("zeros");
        Self { file, pending: Vec::new(), at: 0, id: 0 }
    }
}

impl Store for Bare {
    fn put(&mut self, id: u64, _: bool) {
        self.pending.extend(id.to_le_bytes());
        self.pending.extend(TEXT);
    }

    fn commit(&mut self) {
        if self.at + self.pending.len() as u64 > Self::LENGTH {
            self.at = 0;
        }
        self.file.write_all_at(&self.pending, self.at).expect("a write");
        self.file.sync_data().expect("fdatasync");
        self.at += self.pending.len() as u64;
        self.pending.clear();
    }

    fn next_id(&mut self) -> u64 {
        self.id += 1;
        self.id
    }
}
