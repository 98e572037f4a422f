//! The worker and its disk on real directories. What needs a mount of its own is skipped, with a line, where mounting is
//! not permitted.

mod blobs;
mod taps;

use super::exchange::{Exchange, Report, Reports, Request};
use super::worker::{Finder, Folder, Worker};
use super::*;
use crate::runtime::disk::{Absence, DiskError};
use crate::runtime::state::StateDirectory;
use crate::spool::{Disk, Durable, FileName};
use embedded_io::Write;
use rustix::io::Errno;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::string::String;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant as Clock;
use std::vec::Vec;
use std::{eprintln, format};
use taps::{TappedFolder, Taps};

/// A directory that goes with the test, and what was mounted below it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pcsd-storage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            while unmount(&entry.path()) {}
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mount(words: &[&str], path: &Path) -> bool {
    let output = Command::new("mount").args(words).arg(path).output();
    let done = output.as_ref().is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("skipped: mount {words:?} is not permitted here");
    }
    done
}

fn unmount(path: &Path) -> bool {
    Command::new("umount").arg("-l").arg(path).output().is_ok_and(|output| output.status.success())
}

fn mount_memory(size: &str, path: &Path) -> bool {
    mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "pcsd-test"], path)
}

/// A worker at work, seen from the loop.
struct Client {
    exchange: Arc<Exchange>,
    thread: Option<JoinHandle<()>>,
    reports: Vec<Report>,
    next_ticket: u32,
}

impl Client {
    fn start<F: Finder + Send + 'static>(finder: F) -> Self {
        let exchange = Arc::new(Exchange::new(Limits::NONE, "test").unwrap());
        let worker = Worker::new(exchange.clone(), finder, 0);
        let thread = thread::spawn(move || worker.run(&mut Box::new(Memory::new())));
        Self { exchange, thread: Some(thread), reports: Vec::new(), next_ticket: 0 }
    }

    /// Asks for a text of its own to be kept; `false` when there is no room.
    fn put(&mut self, id: u64, payload: &[u8]) -> bool {
        let meta = Meta { key: text(id), owner: 1, at: 0, blob_bytes: 0 };
        self.ask(Request::Put(meta, payload.len(), BlobStep::None), payload)
    }

    fn ask(&mut self, request: Request, payload: &[u8]) -> bool {
        let ticket = Ticket(self.next_ticket);
        let is_taken = self.exchange.has_room() && self.exchange.ask(ticket, request, payload);
        self.next_ticket += u32::from(is_taken);
        is_taken
    }

    /// All reports up to the first that is `last`.
    fn until(&mut self, last: impl Fn(&Report) -> bool) -> Vec<Report> {
        let end = Clock::now() + PATIENCE;
        loop {
            if let Some(at) = self.reports.iter().position(&last) {
                return self.reports.drain(..=at).collect();
            }
            assert!(Clock::now() < end, "only {:?}", self.reports);
            self.exchange.await_report(Duration::from_millis(100));
            let mut reports = Reports::default();
            self.exchange.take_reports(&mut reports);
            self.reports.append(&mut reports.list);
        }
    }

    /// The outcomes of tickets `from` up to the newest, which must be answered in order.
    fn outcomes(&mut self, from: u32) -> Vec<Outcome> {
        let last = self.next_ticket - 1;
        let reports = self.until(|report| matches!(report, Report::Done(ticket, _) if ticket.0 == last));
        let mut expected = from..;
        let outcomes = reports.iter().filter_map(|report| match report {
            Report::Done(ticket, outcome) => {
                assert_eq!(Some(ticket.0), expected.next(), "in order, none twice, none left out");
                Some(*outcome)
            }
            _ => None,
        });
        outcomes.collect()
    }

    fn until_ready(&mut self) -> Vec<Report> {
        self.until(|report| *report == Report::Ready)
    }

    fn stop(mut self) {
        assert!(self.exchange.stop(PATIENCE), "it ends");
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Records that fit the smallest board's index.
const IDS: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(20);

fn text(id: u64) -> Key {
    Key { kind: crate::spool::Kind::Text, id }
}

fn setting(id: u64) -> Key {
    Key { kind: crate::spool::Kind::Setting, id }
}

/// The disk that nobody uses. A program that another test starts may have its lock for a moment, until it is itself.
fn take(path: &Path) -> disk::StdDisk {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        match disk::make(path) {
            Err(disk::Absence::InUse) if std::time::Instant::now() < end => std::thread::yield_now(),
            disk => return disk.unwrap(),
        }
    }
}

/// The records in a spool that nobody uses, by kind and id.
fn records_in(path: &Path) -> Vec<(Key, Vec<u8>)> {
    let mut tables = Box::new(Memory::new());
    let mut spool = Spool::new(take(path), &mut tables, Limits::NONE);
    spool.mount(1).unwrap();
    let mut records = Vec::new();
    let mut buffer = std::vec![0; exchange::PAYLOAD_BYTES_MAX];
    spool
        .each(&Filter::default(), &mut buffer, &mut |meta, payload| records.push((meta.key, payload.to_vec())))
        .unwrap();
    records
}

fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_burst_costs_one_fsync_and_a_stall_holds_nobody_up() {
    let place = Place::new("burst");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    assert!(client.put(0, b"the first segment is made"));
    assert_eq!(client.outcomes(0), [Ok(())]);

    // The disk stalls in the middle of a commit.
    taps.stall(true);
    let syncs_before = taps.syncs.load(Ordering::Relaxed);
    assert!(client.put(1, b"stalls"));
    let end = Clock::now() + PATIENCE;
    while taps.syncs.load(Ordering::Relaxed) == syncs_before {
        assert!(Clock::now() < end);
        thread::sleep(Duration::from_millis(1));
    }
    // Asking goes on until the queue is full, and is refused at once then.
    let began = Clock::now();
    let mut taken = 0;
    while client.put(2 + taken % IDS, &[b'x'; 100]) {
        taken += 1;
    }
    assert_eq!(taken, exchange::REQUESTS_MAX as u64);
    assert!(!client.exchange.has_room());
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    client.exchange.bell.silence();

    // It goes on: the burst is one commit, everything is answered in order, and the loop is told of the room.
    taps.stall(false);
    assert_eq!(client.outcomes(1), std::vec![Ok(()); 1 + taken as usize]);
    assert_eq!(taps.syncs.load(Ordering::Relaxed) - syncs_before, 2, "one for the first, one for the burst");
    assert!(client.exchange.has_room());
    client.stop();
    assert_eq!(records_in(&place.0.join("spool")).len() as u64, 2 + IDS);
}

#[test]
fn reports_are_taken_without_waking_a_worker_that_has_nothing_to_do() {
    let exchange = Arc::new(Exchange::new(Limits::NONE, "test").unwrap());
    let worker = thread::spawn({
        let exchange = exchange.clone();
        move || (0..3).all(|_| exchange.take_requests(&mut Default::default(), PATIENCE))
    });
    // Each of these rounds of the worker is for a request; one that ended without would leave a request over.
    for number in 0..3 {
        let deadline = Clock::now() + Duration::from_millis(100);
        while Clock::now() < deadline {
            exchange.take_reports(&mut Reports::default());
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!worker.is_finished(), "woken for nothing before request {number}");
        assert!(exchange.ask(Ticket(number), Request::Remove(text(1)), &[]));
    }
    assert!(worker.join().unwrap());
    assert!(!exchange.is_wanted(), "all requests were taken");
}

#[test]
fn a_large_record_has_room_or_there_is_none() {
    let place = Place::new("large");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps));
    client.until_ready();
    for id in 0..50 {
        let len = if id % 2 == 0 { exchange::PAYLOAD_BYTES_MAX } else { 10 };
        let end = Clock::now() + PATIENCE;
        while !client.put(id % IDS, &std::vec![id as u8; len]) {
            assert!(Clock::now() < end);
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(client.outcomes(0).iter().all(Result::is_ok));
    client.stop();
}

#[test]
fn a_failed_fsync_answers_everything_and_the_disk_comes_back() {
    let place = Place::new("eio");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    let meta = Meta { key: setting(7), owner: 0, at: 0, blob_bytes: 0 };
    assert!(client.ask(Request::Put(meta, 2, BlobStep::None), b"on"));
    assert_eq!(client.outcomes(0), [Ok(())]);

    taps.stall(true);
    taps.fails.store(true, Ordering::Relaxed);
    (1..20).for_each(|id| assert!(client.put(id, b"lost")));
    taps.stall(false);
    let outcomes = client.outcomes(1);
    assert_eq!(outcomes.len(), 19);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(StoreError::Failed | StoreError::NoDisk))));
    client.until(|report| *report == Report::Absent);
    // What is asked meanwhile is refused, not forgotten.
    assert!(client.put(20, b"refused"));
    assert_eq!(client.outcomes(20), [Err(StoreError::NoDisk)]);
    assert!(client.exchange.status().problem_text().is_some_and(|text| text.contains("Input/output error")));

    taps.fails.store(false, Ordering::Relaxed);
    let told = client.until_ready();
    assert!(told.contains(&Report::Found(meta, 2)), "{told:?}");
    assert!(client.put(21, b"kept"));
    assert_eq!(client.outcomes(21), [Ok(())]);
    client.stop();
    let records = records_in(&place.0.join("spool"));
    assert!(records.contains(&(setting(7), b"on".to_vec())) && records.contains(&(text(21), b"kept".to_vec())));
}

#[test]
fn at_the_end_what_was_handed_over_is_written_and_a_stuck_disk_is_not_waited_for() {
    let place = Place::new("end");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    (0..10).for_each(|id| assert!(client.put(id, b"last")));
    client.stop();
    assert_eq!(records_in(&place.0.join("spool")).len(), 10);

    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    taps.stall(true);
    assert!(client.put(11, b"stuck"));
    let began = Clock::now();
    assert!(!client.exchange.stop(Duration::from_millis(200)));
    assert!(began.elapsed() < Duration::from_secs(2));
    taps.stall(false);
    client.stop();
}

#[test]
fn a_bare_mount_point_is_never_written_to() {
    let place = Place::new("bare");
    let point = place.make("usb");
    if std::env::temp_dir() != Path::new("/tmp") {
        eprintln!("note: {} may lie on a file system of its own", std::env::temp_dir().display());
    }
    assert_eq!(disk::find(&point).err(), Some(Absence::NotMounted));
    assert_eq!(disk::find(&point.join("spool")).err(), Some(Absence::NotThere));
    assert_eq!(disk::find(&point.join("spool/deeper")).err(), Some(Absence::NotThere));
    assert_eq!(names_in(&point), [""; 0], "nothing was made");

    if !mount_memory("2m", &point) {
        return;
    }
    assert_eq!(disk::find(&point.join("spool/deeper")).err(), Some(Absence::NotThere), "one folder is made, no more");
    let mut client = Client::start(Folder::new(&point.join("spool")));
    client.until_ready();
    assert!(client.put(1, b"on the stick"));
    assert_eq!(client.outcomes(0), [Ok(())]);

    // Pulled out: the path leads to the bare mount point.
    assert!(unmount(&point));
    assert!(client.put(2, b"nowhere"));
    assert!(client.outcomes(1)[0].is_err());
    client.until(|report| *report == Report::Absent);
    assert!(client.put(3, b"nowhere"));
    assert_eq!(client.outcomes(2), [Err(StoreError::NoDisk)]);
    assert_eq!(names_in(&point), [""; 0]);

    // Another stick.
    let former = client.exchange.status().uuid();
    assert!(mount_memory("2m", &point));
    client.until_ready();
    assert_ne!(client.exchange.status().uuid(), former);
    assert!(client.put(4, b"on another"));
    assert_eq!(client.outcomes(3), [Ok(())]);
    client.stop();
    assert_eq!(records_in(&point.join("spool")), [(text(4), b"on another".to_vec())]);
    assert!(unmount(&point));
    assert_eq!(names_in(&point), [""; 0]);
}

#[test]
fn a_stick_that_is_put_back_is_known_again() {
    let place = Place::new("back");
    let (stick, point) = (place.make("stick"), place.make("usb"));
    if !mount_memory("4m", &stick) || !mount(&["--bind", stick.to_str().unwrap()], &point) {
        return;
    }
    let mut client = Client::start(Folder::new(&point.join("spool")));
    client.until_ready();
    let uuid = client.exchange.status().uuid();
    let meta = Meta { key: setting(1), owner: 2, at: 3, blob_bytes: 0 };
    assert!(client.ask(Request::Put(meta, 5, BlobStep::None), b"value"));
    assert_eq!(client.outcomes(0), [Ok(())]);
    assert!(unmount(&point));
    // Found out without anything being asked.
    client.until(|report| *report == Report::Absent);
    assert!(mount(&["--bind", stick.to_str().unwrap()], &point));
    assert_eq!(client.until_ready(), [Report::Found(meta, 5), Report::Journal, Report::Ready]);
    assert_eq!(client.exchange.status().uuid(), uuid);
    client.stop();
}

#[test]
fn a_disk_that_becomes_read_only_is_lost_until_it_is_not() {
    let place = Place::new("readonly");
    let point = place.make("usb");
    if !mount_memory("4m", &point) {
        return;
    }
    // A file open for writing keeps tmpfs from becoming read-only: the look comes first, as after a reboot.
    drop(disk::find(&point.join("spool")).unwrap());
    assert!(mount(&["-o", "remount,ro"], &point));
    assert_eq!(disk::find(&point.join("spool")).err(), Some(Absence::ReadOnly));
    assert_eq!(disk::find(&point.join("other")).err(), Some(Absence::ReadOnly));
    let mut client = Client::start(Folder::new(&point.join("spool")));
    client.until(|report| *report == Report::Absent);
    assert!(mount(&["-o", "remount,rw"], &point));
    client.until_ready();
    assert!(client.put(1, b"again"));
    assert_eq!(client.outcomes(0), [Ok(())]);
    client.stop();
}

#[test]
fn a_small_disk_fills_up_keeps_what_it_has_and_takes_more_after_removals() {
    let place = Place::new("full");
    let point = place.make("usb");
    if !mount_memory("2m", &point) {
        return;
    }
    let mut client = Client::start(Folder::new(&point.join("spool")));
    client.until_ready();
    let mut kept = Vec::new();
    let refused = loop {
        let id = u64::from(client.next_ticket);
        assert!(client.put(id, &[id as u8; 40_000]));
        match client.outcomes(id as u32)[..] {
            [Ok(())] => kept.push(id),
            [outcome] => break outcome,
            _ => unreachable!(),
        }
    };
    assert_eq!(refused, Err(StoreError::Full));
    assert!(kept.len() > 10, "{} records", kept.len());
    // Full is not lost.
    assert!(!client.reports.contains(&Report::Absent));
    let from = client.next_ticket;
    kept.drain(..kept.len() / 2).for_each(|id| {
        while !client.ask(Request::Remove(text(id)), &[]) {
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(client.outcomes(from).iter().all(Result::is_ok), "removing works on a full disk");
    let from = client.next_ticket;
    assert!(client.put(99_999, b"fits"));
    assert_eq!(client.outcomes(from), [Ok(())]);
    client.stop();
    let ids: Vec<u64> = records_in(&point.join("spool")).iter().map(|(key, _)| key.id).collect();
    assert!(kept.iter().all(|id| ids.contains(id)) && ids.contains(&99_999) && ids.len() == kept.len() + 1);
}

#[test]
fn foreign_files_links_and_second_users_are_kept_out() {
    let place = Place::new("foreign");
    let (spool, outside) = (place.make("spool"), place.0.join("outside"));
    fs::write(&outside, "somebody's").unwrap();
    fs::write(spool.join("holiday.jpg"), "photo").unwrap();
    fs::create_dir(spool.join("log-0005")).unwrap();
    std::os::unix::fs::symlink(&outside, spool.join("log-0000")).unwrap();
    let mut disk = disk::make(&spool).unwrap();
    assert_eq!(disk::make(&spool).err(), Some(Absence::InUse));
    assert_eq!(disk.open(FileName::Segment(0)).err(), Some(DiskError(Errno::LOOP)));
    assert_eq!(disk.create(FileName::Segment(0)).err(), Some(DiskError(Errno::LOOP)));
    assert!(disk.open(FileName::Segment(5)).is_err());
    assert!(disk.open(FileName::Segment(6)).unwrap().is_none());
    let mut file = disk.create(FileName::Segment(6)).unwrap();
    file.write_all(b"12345").unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    let mut listed = Vec::new();
    disk.list(&mut |name, len| listed.push((name, len))).unwrap();
    assert_eq!(listed, [(FileName::Segment(6), 5)]);
    let mode = fs::metadata(spool.join("log-0006")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    disk.remove(FileName::Segment(6)).unwrap();
    disk.remove(FileName::Segment(6)).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"somebody's");
    assert_eq!(fs::read(spool.join("holiday.jpg")).unwrap(), b"photo");

    // For reading only, beside its user.
    let mut reader = StdDisk::look_into(&spool).unwrap();
    assert_eq!(reader.create(FileName::Segment(1)).err(), Some(DiskError(Errno::ROFS)));
    assert_eq!(reader.remove(FileName::Segment(1)).err(), Some(DiskError(Errno::ROFS)));
    assert!(StdDisk::is_full(&DiskError(Errno::NOSPC)) && !StdDisk::is_full(&DiskError(Errno::IO)));
    drop(disk);
    assert!(disk::make(&spool).is_ok(), "the lock goes with its holder");
}

/// The loop's side, with tables of its own.
struct Loop {
    records: RecordStore,
    buffer: Vec<u8>,
    next_ticket: u32,
}

impl Loop {
    fn start(place: &Place, spool: Option<PathBuf>) -> Self {
        let options = Options { spool, run_dir: place.0.join("run"), limits: Limits::NONE, spool_bytes: 0 };
        let remembered = Remembered::open(StateDirectory::new(&place.0.join("state")));
        let tables = || Box::leak(Box::new(Memory::new()));
        let records = RecordStore::start_with(options, remembered, tables(), tables()).unwrap();
        let mut this = Self { records, buffer: std::vec![0; exchange::PAYLOAD_BYTES_MAX], next_ticket: 0 };
        this.records.begin(PATIENCE);
        this
    }

    fn events(&mut self) -> Vec<(Event, Vec<u8>)> {
        let mut events = Vec::new();
        while let Some(event) = self.records.next(&mut self.buffer) {
            let len = match event {
                Event::Restored(_, len, ..) | Event::Loaded(_, Ok(len)) => len,
                _ => 0,
            };
            events.push((event, self.buffer[..len].to_vec()));
        }
        events
    }

    fn until(&mut self, last: Event) -> Vec<(Event, Vec<u8>)> {
        let (end, mut all) = (Clock::now() + PATIENCE, Vec::new());
        loop {
            all.append(&mut self.events());
            if all.iter().any(|(event, _)| *event == last) {
                return all;
            }
            assert!(Clock::now() < end, "{all:?}");
            self.records.exchange.await_report(Duration::from_millis(50));
            self.records.collect();
        }
    }

    fn store(&mut self, key: Key, payload: &[u8]) -> Outcome {
        let ticket = self.ticket();
        self.records.store(ticket, key, 1, payload, BlobStep::None);
        self.outcome(ticket)
    }

    fn forget(&mut self, key: Key) -> Outcome {
        let ticket = self.ticket();
        self.records.forget(ticket, key);
        self.outcome(ticket)
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// What is loaded.
    fn loaded(&mut self, ticket: Ticket) -> Result<Vec<u8>, StoreError> {
        let end = Clock::now() + PATIENCE;
        loop {
            let found = self.events().into_iter().find_map(|(event, bytes)| match event {
                Event::Loaded(answered, outcome) if answered == ticket => Some(outcome.map(|_| bytes)),
                _ => None,
            });
            if let Some(found) = found {
                return found;
            }
            assert!(Clock::now() < end);
            self.records.exchange.await_report(Duration::from_millis(50));
            self.records.collect();
        }
    }

    fn outcome(&mut self, ticket: Ticket) -> Outcome {
        let end = Clock::now() + PATIENCE;
        loop {
            let found = self.events().into_iter().find_map(|(event, _)| match event {
                Event::Stored(answered, outcome) if answered == ticket => Some(outcome),
                _ => None,
            });
            if let Some(outcome) = found {
                return outcome;
            }
            assert!(Clock::now() < end);
            self.records.exchange.await_report(Duration::from_millis(50));
            self.records.collect();
        }
    }
}

fn binding(id: u64) -> Key {
    Key { kind: crate::spool::Kind::Binding, id }
}

fn restored(key: Key, payload: &[u8], source: Source) -> (Event, Vec<u8>) {
    (Event::Restored(key, payload.len(), source, 0), payload.to_vec())
}

#[test]
fn without_a_disk_the_journal_outlives_a_restart_and_settings_a_reboot() {
    let place = Place::new("memory");
    let mut first = Loop::start(&place, None);
    assert_eq!(first.events(), [(Event::Moved(Storage::Memory), Vec::new())]);
    assert_eq!(first.store(text(1), b"hello"), Err(StoreError::NoDisk), "no message is acknowledged");
    assert_eq!(first.store(binding(1), b"phone"), Ok(()));
    assert_eq!(first.store(binding(2), b"tablet"), Ok(()));
    assert_eq!(first.store(setting(3), b"on"), Ok(()));
    assert_eq!(first.store(setting(4), b"off"), Ok(()));
    assert_eq!(first.forget(binding(2)), Ok(()));
    assert_eq!(first.forget(setting(4)), Ok(()));
    assert_eq!(first.forget(setting(5)), Ok(()), "nothing there is as good as forgotten");
    // Killed: nothing is flushed.
    drop(first);

    let mut second = Loop::start(&place, None);
    let told = second.events();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&restored(binding(1), b"phone", Source::Memory)));
    assert!(told.contains(&restored(setting(3), b"on", Source::Memory)));
    assert_eq!(told[2].0, Event::Moved(Storage::Memory));
    // Ended in order, then rebooted: what was in memory is gone.
    assert_eq!(second.store(setting(3), b"again"), Ok(()));
    second.records.stop(PATIENCE);
    drop(second);
    fs::remove_dir_all(place.0.join("run")).unwrap();

    let mut third = Loop::start(&place, None);
    let told = third.events();
    assert_eq!(told, [restored(setting(3), b"again", Source::Memory), (Event::Moved(Storage::Memory), Vec::new())]);
}

#[test]
fn a_disk_takes_over_from_memory_and_memory_from_a_lost_disk() {
    let place = Place::new("takeover");
    let spool = place.0.join("spool");
    let mut server = Loop::start(&place, Some(spool.clone()));
    assert_eq!(server.events(), [(Event::Moved(Storage::Memory), Vec::new())]);
    assert_eq!(server.store(binding(1), b"phone"), Ok(()));
    assert_eq!(server.store(binding(2), b"tablet"), Ok(()));

    assert_eq!(server.forget(setting(7)), Ok(()));
    // That slot is empty in this start, which says nothing of what another start kept there.
    assert_eq!(server.forget(binding(9)), Ok(()));

    // A disk comes, with something on it.
    begin_spool(&spool, &[(binding(9), b"old"), (setting(7), b"withdrawn"), (text(8), b"a message")]);
    let told = server.until(Event::Moved(Storage::Disk));
    assert!(told.contains(&restored(binding(9), b"old", Source::Disk)));
    assert!(!told.iter().any(|(event, _)| matches!(event, Event::Restored(key, ..) if *key == setting(7))));
    assert_eq!(told[told.len() - 2], restored(text(8), b"a message", Source::Disk), "messages come last");
    assert_eq!(server.store(text(1), b"hello"), Ok(()));
    assert_eq!(server.records.status().memory_records, Some(2), "kept until the disk has them");
    assert_eq!(server.store(binding(1), b"phone"), Ok(()));
    assert_eq!(server.records.status().memory_records, Some(2), "none leaves before the last is there");
    assert_eq!(server.forget(binding(2)), Ok(()));
    assert_eq!(server.records.status().memory_records, Some(0));

    // It is lost with things in flight: these are answered, in order, before the core is told.
    let away = place.0.join("away");
    fs::rename(&spool, &away).unwrap();
    let tickets: Vec<Ticket> = (0..5).map(|_| server.ticket()).collect();
    tickets.iter().for_each(|ticket| server.records.store(*ticket, binding(5), 1, b"late", BlobStep::None));
    let told = server.until(Event::Moved(Storage::Memory));
    let answered: Vec<Ticket> = told
        .iter()
        .filter_map(|(event, _)| match event {
            Event::Stored(ticket, outcome) => {
                assert!(outcome.is_err());
                Some(*ticket)
            }
            _ => None,
        })
        .collect();
    assert_eq!(answered, tickets);
    assert_eq!(server.store(binding(5), b"late"), Ok(()));
    assert_eq!(server.store(text(6), b"hello"), Err(StoreError::NoDisk));
    server.records.stop(PATIENCE);
    assert!(!spool.exists(), "nothing was made where the disk was");
    let records = records_in(&away);
    assert!(records.contains(&(text(1), b"hello".to_vec())));
    assert!(!records.iter().any(|(key, _)| *key == setting(7)), "forgotten while the disk was away");
}

/// Makes a spool with these records, and moves it into place.
fn begin_spool(path: &Path, records: &[(Key, &[u8])]) {
    let new = path.with_extension("new");
    let mut tables = Box::new(Memory::new());
    let mut spool = Spool::new(disk::make(&new).unwrap(), &mut tables, Limits::NONE);
    mount_or_format(&mut spool, worker::segment_bytes(0)).unwrap();
    for (key, payload) in records {
        spool.put(&Meta { key: *key, owner: 1, at: 0, blob_bytes: 0 }, payload).unwrap();
    }
    spool.commit().unwrap();
    drop(spool);
    fs::rename(new, path).unwrap();
}

#[test]
fn a_record_larger_than_any_of_ours_is_not_told() {
    let place = Place::new("too-large");
    let path = place.0.join("spool");
    let large = std::vec![7; exchange::PAYLOAD_BYTES_MAX + 1];
    begin_spool(&path, &[(setting(1), &large), (setting(2), b"two")]);
    let mut this = Loop::start(&place, Some(path));
    let events = this.until(Event::Moved(Storage::Disk));
    assert_eq!(events[0], restored(setting(2), b"two", Source::Disk));
    this.records.stop(PATIENCE);
}

/// What is done elsewhere, if it does not take for ever.
fn in_time<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, hear) = std::sync::mpsc::channel();
    thread::spawn(move || tell.send(act()));
    hear.recv_timeout(PATIENCE).expect("it hangs")
}

#[test]
fn nobody_waits_at_a_pipe() {
    let place = Place::new("pipe");
    let spool = place.make("spool");
    let pipe = |name: &str| assert!(Command::new("mkfifo").arg(spool.join(name)).status().unwrap().success());
    pipe("pcsd-spool");
    pipe("log-0000");
    let path = spool.clone();
    let opened = in_time(move || {
        let mut reader = StdDisk::look_into(&path).unwrap();
        [FileName::Marker, FileName::Segment(0)].map(|name| reader.open(name).err())
    });
    assert_eq!(opened, [Some(DiskError(Errno::INVAL)); 2]);
    let path = spool.clone();
    assert_eq!(in_time(move || Folder::new(&path).mark()), None);
}

#[test]
fn what_a_restore_added_before_it_failed_is_told() {
    let place = Place::new("partial");
    let (from, to) = (place.0.join("from"), place.make("to"));
    // The new disk has room for four segments, and they for two of these.
    let large = std::vec![7; 60_000];
    let all: Vec<_> = (0..10).map(|id| (setting(id), large.as_slice())).collect();
    begin_spool(&from, &all);
    if !mount_memory("1100k", &to) {
        return;
    }
    let file = place.0.join("backup");
    let mut tables = Box::new(Memory::new());
    let mut spool = Spool::new(disk::make(&from).unwrap(), &mut tables, Limits::NONE);
    spool.mount(1).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let writer = thread::spawn({
        let file = file.clone();
        move || job::copy_pieces(&mut { ours }, &mut fs::File::create(file).unwrap()).unwrap()
    });
    let mut buffer = std::vec![0; 100_000];
    Job { wish: job::Wish::Whole(job::Task::Backup), client: theirs }.work("", &mut spool, &mut buffer).unwrap();
    writer.join().unwrap();

    let mut this = Loop::start(&place, Some(to));
    this.until(Event::Moved(Storage::Disk));
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(this.records.give(Job { wish: job::Wish::Whole(job::Task::Restore), client: theirs }).is_ok());
    let reader = thread::spawn(move || {
        job::serve_parts(&mut ours, &mut fs::File::open(file).unwrap()).unwrap();
        let mut line = String::new();
        std::io::Read::read_to_string(&mut ours, &mut line).unwrap();
        line
    });
    let events = this.until(Event::Moved(Storage::Disk));
    assert!(reader.join().unwrap().starts_with("error: "));
    let told = events.iter().filter(|(event, _)| matches!(event, Event::Restored(..))).count();
    assert!(told > 0 && told == this.records.status().disk.unwrap().records, "{told} told");
    this.records.stop(PATIENCE);
}

#[test]
fn segments_are_as_large_as_the_spool_wants() {
    assert_eq!(worker::segment_bytes(0), 256 * 1024);
    assert_eq!(worker::segment_bytes(u64::MAX), 16 << 20);
    let segments = crate::base::limits::SPOOL_SEGMENTS as u64;
    assert_eq!(worker::segment_bytes(segments * 256 * 1024), 256 * 1024);
    assert_eq!(u64::from(worker::segment_bytes(segments << 20)), 1 << 20);
    assert!(u64::from(worker::segment_bytes((segments * 3) << 20)) <= 3 << 20);
}
