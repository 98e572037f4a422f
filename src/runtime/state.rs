//! The state directory (option `state`): what has to survive a reboot without any disk.
//!
//! It lies on the router's flash, which wears out by being written. Its files are replaced as a whole (temporary file,
//! fsync, rename, fsync of the directory). Besides those of TLS there are two:
//!
//! - `secret`: 32 random bytes in hexadecimal, made at the first start. Nonces and sealed routes of one run are good in
//!   the next one because of it.
//! - `remembered`: the newest authorisations and settings, one a line with a CRC of its own. Written at most once in
//!   [`WRITE_INTERVAL_MS`] and at the end of a run, and only when something changed.
//!
//! Left out: bindings and whatever else changes by itself; that would be a write each minute.

use crate::base::text::{hex_decode, hex_encode};
use crate::base::time::Instant;
use crate::spool::{Key, Kind, Meta};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::format;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

/// The state directory.
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// The directory at `path`, which is made when it is needed first.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// The secret of this server: the one of its first start, or, when it can't be kept, one for this run.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn secret(&self) -> io::Result<[u8; SECRET_BYTES]> {
        match self.read(SECRET_FILE, SECRET_FILE_BYTES_MAX).map(|text| secret_in(&text)) {
            Ok(Some(secret)) => return Ok(secret),
            Ok(None) => log::warn!("{}: no secret in it: a new one is made", self.file(SECRET_FILE)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Not replaced: it may be readable again next time.
            Err(error) => {
                log::warn!("{}: {error}: a secret for this run only", self.file(SECRET_FILE));
                return random();
            }
        }
        let secret = random()?;
        let mut text = [0; 2 * SECRET_BYTES + 1];
        hex_encode(&secret, &mut text);
        text[2 * SECRET_BYTES] = b'\n';
        if let Err(error) = self.replace(SECRET_FILE, &text) {
            log::warn!(
                "{}: {error}: after the next start phones are challenged anew, and calls of now can't be ended",
                self.file(SECRET_FILE)
            );
        }
        Ok(secret)
    }

    fn file(&self, name: &str) -> impl core::fmt::Display + use<> {
        let path = self.path.join(name);
        core::fmt::from_fn(move |f| write!(f, "{}", path.display()))
    }

    /// A file's bytes, if they are no more than `len_max`.
    fn read(&self, name: &str, len_max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path.join(name))?.take(len_max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > len_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
        }
        Ok(bytes)
    }

    /// Replaces a file: whenever the power is cut, there is the old one or the new one.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        make_directory(&self.path, 0o777)?;
        let directory =
            rustix::fs::open(&self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let temporary = format!("{name}.new");
        match rustix::fs::unlinkat(&directory, temporary.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        file.sync_all()?;
        rustix::fs::renameat(&directory, temporary.as_str(), &directory, name)?;
        sync_directory(&directory)?;
        Ok(())
    }
}

/// Makes a directory and those above it, if they are missing, and their names durable: what is durable in a directory
/// whose name is not may be gone after a power cut.
pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent, mode)?;
    match fs::DirBuilder::new().mode(mode).create(path) {
        // Made by somebody else meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        result => result?,
    }
    Ok(sync_directory(File::open(parent)?)?)
}

/// Makes a directory's entries durable, where its file system knows such a thing (vfat does not).
pub(super) fn sync_directory(directory: impl rustix::fd::AsFd) -> Result<(), Errno> {
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

/// A number for this boot of the machine: another after each reboot. Random when the kernel does not say.
pub fn boot_id() -> u64 {
    let id = fs::read("/proc/sys/kernel/random/boot_id").or_else(|_| random().map(|bytes| bytes.to_vec()));
    fingerprint(&id.unwrap_or_default())
}

/// Bytes as a number that no others are likely to give.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A UUID nobody has (RFC 9562 §5.4, version 4).
///
/// # Errors
/// When there are no random numbers.
pub fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&random()?[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

/// What is kept in the file `remembered`.
pub struct Remembered {
    directory: StateDirectory,
    records: BTreeMap<(u8, u64), Record>,
    /// Bytes of all payloads.
    bytes: usize,
    is_changed: bool,
    /// When it was written last, well or not.
    written_at: Option<Instant>,
    has_complained: bool,
}

/// One remembered record.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Record {
    owner: u32,
    /// Unix seconds, 0 = unknown.
    at: u32,
    payload: Vec<u8>,
}

impl Remembered {
    /// What the file holds. Lines that are damaged are left out and logged; a file that can't be read is an empty one.
    pub fn open(directory: StateDirectory) -> Self {
        let mut this = Self {
            directory,
            records: BTreeMap::new(),
            bytes: 0,
            is_changed: false,
            written_at: None,
            has_complained: false,
        };
        match this.directory.read(REMEMBERED_FILE, FILE_BYTES_MAX) {
            Ok(text) => this.parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::warn!("{}: {error}", this.directory.file(REMEMBERED_FILE)),
        }
        this.is_changed = false;
        this
    }

    /// Whether records of this kind are kept here.
    pub const fn takes(kind: Kind) -> bool {
        matches!(kind, Kind::Authorisation | Kind::Setting | Kind::Buddy)
    }

    /// Keeps a record. One too many is left out: it is on the disk or in memory, but won't survive their loss.
    pub fn put(&mut self, key: Key, owner: u32, at: u32, payload: &[u8]) {
        let name = (key.kind.to_byte(), key.id);
        let former = self.records.get(&name);
        if former.is_some_and(|former| former.owner == owner && former.payload == payload) {
            return;
        }
        let former_bytes = former.map_or(0, |former| former.payload.len());
        let is_too_many = former.is_none() && self.records.len() >= RECORDS_MAX;
        if is_too_many || self.bytes - former_bytes + payload.len() > PAYLOADS_BYTES_MAX {
            log::warn!(
                "{}: full: {:?} {:016x} is not kept in it",
                self.directory.file(REMEMBERED_FILE),
                key.kind,
                key.id
            );
            return self.remove(key);
        }
        self.bytes = self.bytes - former_bytes + payload.len();
        self.records.insert(name, Record { owner, at, payload: payload.to_vec() });
        self.is_changed = true;
    }

    /// Forgets a record.
    pub fn remove(&mut self, key: Key) {
        if let Some(former) = self.records.remove(&(key.kind.to_byte(), key.id)) {
            self.bytes -= former.payload.len();
            self.is_changed = true;
        }
    }

    /// All records with their payloads.
    pub fn each(&self) -> impl Iterator<Item = (Meta, &[u8])> {
        self.records.iter().map(|((kind, id), record)| {
            let key = Key { kind: Kind::from_byte(*kind), id: *id };
            let meta = Meta { key, owner: record.owner, at: record.at, blob_bytes: 0 };
            (meta, record.payload.as_slice())
        })
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        self.is_changed |= !self.records.is_empty();
        self.records.clear();
        self.bytes = 0;
    }

    /// Writes what changed, if it is time. A change after a long quiet is written with the next call.
    pub fn tend(&mut self, now: Instant) {
        if self.written_at.is_none_or(|at| now.since(at) >= WRITE_INTERVAL_MS) {
            self.flush(now);
        }
    }

    /// Writes what changed.
    pub fn flush(&mut self, now: Instant) {
        if !self.is_changed {
            return;
        }
        self.written_at = Some(now);
        match self.directory.replace(REMEMBERED_FILE, self.text().as_bytes()) {
            Ok(()) => {
                self.is_changed = false;
                self.has_complained = false;
            }
            Err(error) if self.has_complained => log::debug!("{}: {error}", self.directory.file(REMEMBERED_FILE)),
            Err(error) => {
                self.has_complained = true;
                log::warn!(
                    "{}: {error}: authorisations will not survive a reboot",
                    self.directory.file(REMEMBERED_FILE)
                );
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(HEADER);
        for (meta, payload) in self.each() {
            let Meta { key, owner, at, .. } = meta;
            let mut hex = std::vec![0; 2 * payload.len()];
            hex_encode(payload, &mut hex);
            let hex = core::str::from_utf8(&hex).unwrap_or_default();
            let line = format!("{} {:016x} {owner:08x} {at} {hex} ", key.kind.to_byte(), key.id);
            text += &format!("{line}{:08x}\n", CRC.checksum(line.as_bytes()));
        }
        text + &format!("end {}\n", self.records.len())
    }

    fn parse(&mut self, text: &[u8]) {
        let Some(lines) = text.strip_prefix(HEADER.as_bytes()) else {
            return log::warn!("{}: not a file of this version: left out", self.directory.file(REMEMBERED_FILE));
        };
        let (mut damaged, mut is_complete) = (0, false);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if line.starts_with(b"end ") {
                is_complete = true;
            } else if let Some((key, record)) = record_in(line) {
                self.put(key, record.owner, record.at, &record.payload);
            } else {
                damaged += 1;
            }
        }
        if damaged > 0 || !is_complete {
            let end = if is_complete { "" } else { ", the end is missing" };
            log::warn!("{}: {damaged} damaged records left out{end}", self.directory.file(REMEMBERED_FILE));
        }
    }
}

/// A line of the file: kind, id, owner, time, payload and the CRC of all that.
fn record_in(line: &[u8]) -> Option<(Key, Record)> {
    let (body, crc) = line.split_at_checked(line.len().checked_sub(8)?)?;
    let body = core::str::from_utf8(body).ok()?;
    if u32::from_str_radix(core::str::from_utf8(crc).ok()?, 16).ok()? != CRC.checksum(body.as_bytes()) {
        return None;
    }
    let mut words = body.split(' ');
    let kind = words.next()?.parse::<u8>().ok()?;
    let id = u64::from_str_radix(words.next()?, 16).ok()?;
    let owner = u32::from_str_radix(words.next()?, 16).ok()?;
    let at = words.next()?.parse().ok()?;
    let hex = words.next()?;
    let mut payload = std::vec![0; hex.len() / 2];
    hex_decode(hex.as_bytes(), &mut payload)?;
    Some((Key { kind: Kind::from_byte(kind), id }, Record { owner, at, payload }))
}

/// The secret in a file's text.
fn secret_in(text: &[u8]) -> Option<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    hex_decode(text.trim_ascii(), &mut secret)?;
    Some(secret)
}

fn random() -> io::Result<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// Where the state directory is unless the configuration says otherwise.
pub const STATE_DEFAULT: &str = "/etc/pcsd";

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;

/// The file `remembered` is written no more often than this.
pub const WRITE_INTERVAL_MS: u64 = 600_000;

/// Records and bytes of payload that `remembered` holds at most.
const RECORDS_MAX: usize = 512;
const PAYLOADS_BYTES_MAX: usize = 32 * 1024;
/// Two digits a byte, and what is around the payloads.
const FILE_BYTES_MAX: usize = 2 * PAYLOADS_BYTES_MAX + 64 * RECORDS_MAX;
const SECRET_FILE_BYTES_MAX: usize = 256;

const SECRET_FILE: &str = "secret";
const REMEMBERED_FILE: &str = "remembered";
const HEADER: &str = "pcsd remembered 1\n";
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A state directory that goes with the test.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pcsd-state-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn state(&self) -> StateDirectory {
            StateDirectory::new(&self.0.join("state"))
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join("state").join(name)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const fn key(kind: Kind, id: u64) -> Key {
        Key { kind, id }
    }

    fn ids(remembered: &Remembered) -> Vec<u64> {
        remembered.each().map(|(meta, _)| meta.key.id).collect()
    }

    #[test]
    fn the_secret_lasts_and_is_for_the_owner_only() {
        let home = Home::new("secret");
        let secret = home.state().secret().unwrap();
        assert_eq!(home.state().secret().unwrap(), secret);
        let metadata = fs::metadata(home.file("secret")).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, 65));
        assert!(!home.file("secret.new").exists());
        // What is no secret is replaced.
        fs::write(home.file("secret"), "short").unwrap();
        let other = home.state().secret().unwrap();
        assert!(other != secret && home.state().secret().unwrap() == other);
    }

    #[test]
    fn without_a_directory_there_is_a_secret_for_this_run() {
        let home = Home::new("nowhere");
        fs::create_dir_all(&home.0).unwrap();
        fs::write(home.0.join("state"), "a file").unwrap();
        let secret = home.state().secret().unwrap();
        assert_ne!(secret, [0; SECRET_BYTES]);
        assert_ne!(home.state().secret().unwrap(), secret);
    }

    #[test]
    fn directories_are_made_with_those_above_and_nothing_is_replaced() {
        let home = Home::new("directories");
        let deep = home.0.join("a/b/c");
        make_directory(&deep, 0o700).unwrap();
        make_directory(&deep, 0o700).unwrap();
        for path in [&deep, &home.0.join("a")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(deep.join("file"), "").unwrap();
        let kind = |path: &str| make_directory(&deep.join(path), 0o700).unwrap_err().kind();
        assert_eq!(kind("file"), io::ErrorKind::AlreadyExists);
        assert_eq!(kind("file/below"), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn boot_id_is_the_same_within_a_boot() {
        assert_eq!(boot_id(), boot_id());
        assert_ne!(boot_id(), 0);
    }

    #[test]
    fn remembered_round_trips_and_is_written_rarely() {
        let home = Home::new("remembered");
        let mut remembered = Remembered::open(home.state());
        let at = Instant::from_millis;
        remembered.tend(at(0));
        assert!(!home.file("remembered").exists(), "nothing changed, nothing is written");
        remembered.put(key(Kind::Setting, 1), 0xdead_beef, 1_700_000_000, b"on \n\xff");
        remembered.put(key(Kind::Authorisation, 2), 7, 0, b"");
        remembered.tend(at(1000));
        let first = fs::read(home.file("remembered")).unwrap();
        remembered.put(key(Kind::Setting, 1), 0xdead_beef, 1_700_000_001, b"on \n\xff");
        remembered.flush(at(2000));
        assert_eq!(fs::read(home.file("remembered")).unwrap(), first, "the same value is no change");
        remembered.put(key(Kind::Setting, 3), 0, 0, b"new");
        remembered.tend(at(1000 + WRITE_INTERVAL_MS - 1));
        assert_eq!(fs::read(home.file("remembered")).unwrap(), first, "too soon");
        remembered.tend(at(1000 + WRITE_INTERVAL_MS));
        remembered.remove(key(Kind::Authorisation, 2));
        remembered.flush(at(1000 + WRITE_INTERVAL_MS));

        let again = Remembered::open(home.state());
        let records: Vec<_> = again.each().collect();
        let meta = Meta { key: key(Kind::Setting, 1), owner: 0xdead_beef, at: 1_700_000_000, blob_bytes: 0 };
        assert_eq!(records[0], (meta, &b"on \n\xff"[..]));
        assert_eq!(ids(&again), [1, 3]);
        assert!(!again.is_changed);
    }

    #[test]
    fn damage_costs_the_damaged_lines_only() {
        let home = Home::new("damaged");
        let mut remembered = Remembered::open(home.state());
        (0..4).for_each(|id| remembered.put(key(Kind::Setting, id), 0, 0, b"payload"));
        remembered.flush(Instant::ZERO);
        let whole = fs::read(home.file("remembered")).unwrap();
        for at in HEADER.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(home.file("remembered"), &damaged).unwrap();
            let read = Remembered::open(home.state());
            assert!(read.records.len() >= 2, "a changed line end costs two lines");
            assert!(read.each().all(|(meta, payload)| meta.key.id < 4 && payload == b"payload"), "byte {at}");
            fs::write(home.file("remembered"), &whole[..at]).unwrap();
            assert!(Remembered::open(home.state()).each().all(|(_, payload)| payload == b"payload"));
        }
        fs::write(home.file("remembered"), "pcsd remembered 2\n").unwrap();
        assert_eq!(ids(&Remembered::open(home.state())), [0; 0]);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let home = Home::new("full");
        let mut remembered = Remembered::open(home.state());
        remembered.put(key(Kind::Setting, 0), 0, 0, &[1; PAYLOADS_BYTES_MAX]);
        remembered.put(key(Kind::Setting, 1), 0, 0, b"too much");
        assert_eq!(ids(&remembered), [0]);
        remembered.flush(Instant::ZERO);
        assert_eq!(ids(&Remembered::open(home.state())), [0], "the fullest file can be read");
        // A new value that does not fit leaves no old one behind that would be wrong.
        remembered.put(key(Kind::Setting, 0), 0, 0, &[1; PAYLOADS_BYTES_MAX + 1]);
        assert_eq!(ids(&remembered), [0; 0]);
        for id in 0..2 * RECORDS_MAX as u64 {
            remembered.put(key(Kind::Setting, id), u32::MAX, u32::MAX, &[2; PAYLOADS_BYTES_MAX / RECORDS_MAX]);
        }
        assert_eq!(remembered.records.len(), RECORDS_MAX);
        remembered.flush(Instant::ZERO);
        assert_eq!(Remembered::open(home.state()).records.len(), RECORDS_MAX);
    }
}
