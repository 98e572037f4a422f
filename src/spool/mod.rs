//! Floor 3: the spool, which keeps what was acknowledged: messages and the journal, in one append-only log.
//!
//! Records stand one after the other in preallocated segments of fixed size ([`disk`] says what files those are). Of the
//! records with the same key the newest counts; a removal is a record too. [`Spool::commit`] makes all that was put and
//! removed since the last one durable, with one fsync. An index in fixed memory says where each record is; it is rebuilt
//! by a scan in [`Spool::mount`]. Space comes back by cleaning: what still counts in the oldest segment is copied to the
//! head of the log, made durable, and the segment begins again. Since segments are cleaned in the order in which they
//! were written, a removal that is dropped with its segment can't leave an older record behind that would count again.
//!
//! What is held against a disk:
//!
//! - Power may go at any byte and unsynced sectors may be lost in any order. Every header is bound to the spool and to the
//!   life of its segment, so nothing old passes for new; a scan goes on behind damage, and says how much there was.
//! - After a failed write or fsync all is refused until [`Spool::mount`], and that file is not trusted: the pages of
//!   a failed fsync may be read back and yet never reach the medium. What may be such is written anew elsewhere. A spool
//!   that another process left is not trusted either: what it can't have known to be durable is rewritten in place.
//! - One segment is always free for cleaning, and what is live is bounded so that cleaning always finds room: removing
//!   works on a full disk.
//!
//! The spool blocks as long as its disk does and has no clock: it belongs on a thread of its own. Left out: encryption,
//! several users of one folder at a time, repair of what the medium lost. A sector that can't be read fails the mount.

pub mod backup;
mod blob;
pub mod check;
mod clean;
pub mod disk;
mod index;
mod log;
mod mount;
mod record;
mod window;

use core::fmt;

use heapless::Vec;

pub use blob::BlobStep;
pub use disk::{Disk, Durable, FileName};
pub use index::{Filter, Usage};
pub use mount::Report;
pub use record::{Key, Kind, Meta};

use crate::base::limits::{SPOOL_RECORDS, SPOOL_SEGMENTS};
use index::{Entry, Place, Records};

/// A log of records on a disk. The calls: [`Spool::mount`], then any; after [`Problem::Disk`] from a call that writes,
/// [`Spool::mount`] again.
pub struct Spool<'m, D: Disk> {
    disk: D,
    memory: &'m mut Memory,
    limits: Limits,
    phase: Phase,
    /// From the marker file.
    uuid: [u8; 16],
    seed: u32,
    /// From the caller, new for each mount.
    nonce: u64,
    segment_bytes: u32,
    head: Option<log::Head<D::File>>,
    /// The segment that was read last.
    reader: Option<(u16, D::File)>,
    next_sequence: u64,
    /// Serial of the newest segment that ever was.
    newest_serial: u32,
    /// Something was written since the last fsync.
    is_dirty: bool,
    /// Serial of the segment in which a write or fsync failed.
    suspect: Option<u32>,
    cleaning: Option<clean::Cleaning>,
    /// Segments cleaned since a record died: after all of them, cleaning gains nothing.
    cleaned_in_vain: u16,
    /// No file could be created lately for want of room.
    has_no_room: bool,
    live_bytes: u64,
    blob_bytes: u64,
    /// Records and bytes that died by what is not durable yet: a power cut may bring them back.
    undead_records: usize,
    undead_bytes: u64,
    damaged_bytes: u64,
    /// Blobs to remove after the next commit, by their records.
    doomed_blobs: Vec<Key, DOOMED_BLOBS>,
    open_blobs: Vec<blob::Open<D::File>, OPEN_BLOBS>,
    /// Records whose blobs were open when the power went.
    adopted: Vec<Key, OPEN_BLOBS>,
    expiry_cursor: usize,
}

/// The tables of a spool: all zero bytes when new, so that a static one costs nothing until it is used.
pub struct Memory {
    records: Records,
    slots: [log::Slot; SPOOL_SEGMENTS],
    chunk: [u8; CHUNK_BYTES],
}

/// What messages may take; the journal is not bound by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one owner's messages and their blobs.
    pub owner_bytes: u64,
    /// Messages of one owner.
    pub owner_records: u32,
    /// Bytes of all messages in the log and of all blobs, those of greetings too.
    pub total_bytes: u64,
    /// Seconds after which a message is dropped by [`Spool::expire`]; 0 for never.
    pub age_s: u32,
}

impl Limits {
    /// No limits but those of the disk.
    pub const NONE: Self = Self { owner_bytes: u64::MAX, owner_records: u32::MAX, total_bytes: u64::MAX, age_s: 0 };
}

/// Why something was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem<E> {
    /// No room now: nothing was kept. There may be room after something was removed.
    Full,
    /// Larger than any record can be.
    NeverFits,
    /// As many records, or blobs being written, as the memory holds.
    TooMany,
    /// The owner has all that the limits allow.
    Quota,
    /// No such record or blob.
    Unknown,
    /// It was there, and the medium has lost it.
    Damaged,
    /// The record is there, its blob is not, or not whole.
    BlobGone,
    /// The buffer is too small; so many bytes are needed.
    Small(usize),
    /// Not mounted.
    NotMounted,
    /// A write failed before: mount again.
    Failed,
    /// The folder has no marker file: it is not a spool.
    NoMarker,
    /// The folder has a marker file already, or files of a spool without one.
    NotEmpty,
    /// A newer version wrote it.
    Newer,
    /// The disk says.
    Disk(E),
}

/// What a spool has, for a line of status.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// Whether it can be used.
    pub is_mounted: bool,
    /// Whether a write failed and it has to be mounted again.
    pub is_failed: bool,
    /// Records that count.
    pub records: usize,
    /// Their bytes in the log.
    pub bytes: u64,
    /// Bytes of blobs.
    pub blob_bytes: u64,
    /// Bytes that messages could still take in the log, if all segments can be created, and under the limits.
    pub free_bytes: u64,
    /// Bytes found damaged since it was mounted, by the mount too.
    pub damaged_bytes: u64,
    /// Segments that exist.
    pub segments: usize,
    /// Of those, segments without records.
    pub free_segments: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unmounted,
    Mounted,
    Failed,
}

const DOOMED_BLOBS: usize = 16;
/// As many recordings as the answering machine makes at once, and a greeting.
const OPEN_BLOBS: usize = 9;
/// Bytes that are read or written at once.
const CHUNK_BYTES: usize = 4096;
/// Entries that are looked up at once when records are told in order.
const BATCH: usize = 32;
/// What the expiry looks at in one step.
const EXPIRY_STEP: usize = 256;
const EXPIRY_REMOVALS: u32 = 16;

impl Memory {
    /// Tables with nothing in them.
    pub const fn new() -> Self {
        Self { records: Records::new(), slots: [log::Slot::NONE; SPOOL_SEGMENTS], chunk: [0; CHUNK_BYTES] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl<'m, D: Disk> Spool<'m, D> {
    /// A spool that is not mounted yet.
    pub fn new(disk: D, memory: &'m mut Memory, limits: Limits) -> Self {
        Self {
            disk,
            memory,
            limits,
            phase: Phase::Unmounted,
            uuid: [0; 16],
            seed: 0,
            nonce: 0,
            segment_bytes: 0,
            head: None,
            reader: None,
            next_sequence: 1,
            newest_serial: 0,
            is_dirty: false,
            suspect: None,
            cleaning: None,
            cleaned_in_vain: 0,
            has_no_room: false,
            live_bytes: 0,
            blob_bytes: 0,
            undead_records: 0,
            undead_bytes: 0,
            damaged_bytes: 0,
            doomed_blobs: Vec::new(),
            open_blobs: Vec::new(),
            adopted: Vec::new(),
            expiry_cursor: 0,
        }
    }

    /// Writes a record; durable after [`Spool::commit`]. It takes the place of the one with its key. While its blob is
    /// open, the length of that counts instead of what `meta` says.
    ///
    /// `Full`, `NeverFits`, `TooMany`, `Quota`: nothing was kept, and what was there still is.
    pub fn put(&mut self, meta: &Meta, payload: &[u8]) -> Result<(), Problem<D::Error>> {
        self.add(meta, payload, &self.limits.clone())
    }

    /// [`Spool::put`] under other limits.
    fn add(&mut self, meta: &Meta, payload: &[u8], limits: &Limits) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let size = self.fitting(payload.len())?;
        if meta.key.kind.to_byte() == record::SEGMENT_KIND || self.next_sequence > record::SEQUENCE_MAX {
            return Err(Problem::NeverFits);
        }
        let meta = &Meta { blob_bytes: self.open_blob_bytes(meta.key).unwrap_or(meta.blob_bytes), ..*meta };
        let old = self.memory.records.find(meta.key).copied();
        if meta.key.kind.is_message() {
            self.within_quota(meta, size, old.as_ref(), limits)?;
        }
        self.within_total(meta, size, old.as_ref(), limits)?;
        if old.is_none() && self.memory.records.len() + self.undead_records >= SPOOL_RECORDS {
            self.commit()?;
            if self.memory.records.is_full() {
                return Err(Problem::TooMany);
            }
        }
        self.reserve(size, meta.key.kind)?;
        self.append(meta, payload, log::Purpose::Put)
    }

    /// Sets the first byte of a record's payload, and leaves everything else of it as it is; durable after
    /// [`Spool::commit`]. `buffer` takes the payload. As a removal, it works on a full disk. `Unknown`: there is no such
    /// record, or nothing in it.
    pub fn amend(&mut self, key: Key, state: u8, buffer: &mut [u8]) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let entry = *self.memory.records.find(key).ok_or(Problem::Unknown)?;
        let len = self.read_payload(&entry, buffer)?;
        let payload = &mut buffer[..len];
        match payload.first_mut() {
            None => Err(Problem::Unknown),
            Some(first) if *first == state => Ok(()),
            Some(first) => {
                *first = state;
                // Never more live than before: of the two, one counts after any accident.
                self.append(&entry.meta(), payload, log::Purpose::Put)
            }
        }
    }

    /// Removes a record; durable after [`Spool::commit`]. Says whether there was one: an unknown key writes nothing.
    pub fn remove(&mut self, key: Key) -> Result<bool, Problem<D::Error>> {
        self.usable()?;
        if self.memory.records.find(key).is_none() {
            return Ok(false);
        }
        let has_blob = key.kind.has_blob();
        if has_blob && self.doomed_blobs.is_full() {
            self.commit()?;
        }
        let meta = Meta { key, owner: 0, at: 0, blob_bytes: 0 };
        self.append(&meta, &[], log::Purpose::Remove)?;
        if has_blob {
            // There is room: a commit empties the list.
            let _ = self.doomed_blobs.push(key);
            self.open_blobs.retain(|open| open.key != key);
        }
        Ok(true)
    }

    /// Makes everything durable that was put and removed so far: one fsync, none when there was nothing.
    pub fn commit(&mut self) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        self.sync_head()?;
        self.remove_doomed_blobs()
    }

    /// Reads the payload of a record into `buffer`; says its length.
    pub fn load(&mut self, key: Key, buffer: &mut [u8]) -> Result<usize, Problem<D::Error>> {
        self.usable()?;
        let entry = *self.memory.records.find(key).ok_or(Problem::Unknown)?;
        self.read_payload(&entry, buffer)
    }

    /// What is known of a record without reading the disk.
    pub fn find(&self, key: Key) -> Option<Meta> {
        self.memory.records.find(key).map(Entry::meta)
    }

    /// Tells each record with its payload, in the order in which they were put; those that the medium has lost, or that
    /// `buffer` does not take, are left out, and their number is given back.
    pub fn each(
        &mut self,
        filter: &Filter,
        buffer: &mut [u8],
        tell: &mut dyn FnMut(&Meta, &[u8]),
    ) -> Result<usize, Problem<D::Error>> {
        self.usable()?;
        let (mut after, mut damaged) = (None, 0);
        let mut batch = [NO_ENTRY; BATCH];
        loop {
            let len = self.memory.records.next(after, filter, &mut batch);
            for entry in &batch[..len] {
                match self.read_payload(entry, buffer) {
                    Ok(length) => tell(&entry.meta(), &buffer[..length]),
                    Err(Problem::Damaged | Problem::Small(_)) => damaged += 1,
                    Err(problem) => return Err(problem),
                }
            }
            match batch[..len].last() {
                Some(last) => after = Some(last.sequence()),
                None => return Ok(damaged),
            }
        }
    }

    /// Tells each record without its payload, in the order in which they were put. Reads nothing.
    pub fn list(&self, filter: &Filter, tell: &mut dyn FnMut(&Meta)) {
        let mut after = None;
        let mut batch = [NO_ENTRY; BATCH];
        loop {
            let len = self.memory.records.next(after, filter, &mut batch);
            batch[..len].iter().for_each(|entry| tell(&entry.meta()));
            match batch[..len].last() {
                Some(last) => after = Some(last.sequence()),
                None => return,
            }
        }
    }

    /// What an owner's messages take.
    pub fn usage(&self, owner: u32) -> Usage {
        self.memory.records.usage(owner)
    }

    /// Removes messages that are older than the limit, a few at a time; `now` in seconds since 1970. Says how many; call
    /// it again after a commit until it is done with all, as the second value says. Those whose time is unknown stay.
    pub fn expire(&mut self, now: u32) -> Result<(u32, bool), Problem<D::Error>> {
        self.usable()?;
        self.has_no_room = false;
        let mut removed = 0;
        for _ in 0..EXPIRY_STEP {
            // From the end: a removal puts the last entry in the place of the removed one.
            let len = self.memory.records.len();
            if self.limits.age_s == 0 || self.expiry_cursor >= len {
                self.expiry_cursor = 0;
                return Ok((removed, true));
            }
            let meta = self.memory.records.entries()[len - 1 - self.expiry_cursor].meta();
            let is_old = meta.at != 0 && now.saturating_sub(meta.at) > self.limits.age_s;
            if !(meta.key.kind.is_message() && is_old) {
                self.expiry_cursor += 1;
                continue;
            }
            self.remove(meta.key)?;
            removed += 1;
            if removed == EXPIRY_REMOVALS {
                break;
            }
        }
        Ok((removed, false))
    }

    /// What the spool has.
    pub fn state(&self) -> State {
        let segments = self.memory.slots.iter().filter(|slot| slot.exists).count();
        State {
            is_mounted: self.phase == Phase::Mounted,
            is_failed: self.phase == Phase::Failed,
            records: self.memory.records.len(),
            bytes: self.live_bytes,
            blob_bytes: self.blob_bytes,
            free_bytes: self.free_bytes(),
            damaged_bytes: self.damaged_bytes,
            segments,
            free_segments: self.free_segments(),
        }
    }

    /// Which spool it is; all zero before the first mount.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Takes other limits; what is there already stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The disk, to look at or to tell it something.
    pub fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back; what was not committed may be lost.
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn free_bytes(&self) -> u64 {
        let in_log = self.capacity(SPOOL_SEGMENTS, true).saturating_sub(self.live_bytes);
        in_log.min(self.limits.total_bytes.saturating_sub(self.memory.records.bounded_bytes()))
    }

    fn usable(&self) -> Result<(), Problem<D::Error>> {
        match self.phase {
            Phase::Mounted => Ok(()),
            Phase::Unmounted => Err(Problem::NotMounted),
            Phase::Failed => Err(Problem::Failed),
        }
    }

    /// The size of a record with such a payload.
    fn fitting(&self, payload: usize) -> Result<u32, Problem<D::Error>> {
        let length = u32::try_from(payload).ok().filter(|length| *length <= record::PAYLOAD_BYTES_MAX);
        length.map(record::size).filter(|size| *size <= self.record_bytes_max()).ok_or(Problem::NeverFits)
    }

    fn within_quota(
        &self,
        meta: &Meta,
        size: u32,
        old: Option<&Entry>,
        limits: &Limits,
    ) -> Result<(), Problem<D::Error>> {
        let new_bytes = u64::from(size) + u64::from(meta.blob_bytes);
        let Usage { mut records, mut bytes } = self.memory.records.usage(meta.owner);
        if let Some(old) = old.map(Entry::meta).filter(|old| old.owner == meta.owner) {
            records -= 1;
            let size = self.memory.records.find(old.key).map_or(0, Entry::size);
            bytes -= u64::from(size) + u64::from(old.blob_bytes);
        }
        let is_within = records < limits.owner_records && bytes.saturating_add(new_bytes) <= limits.owner_bytes;
        if is_within { Ok(()) } else { Err(Problem::Quota) }
    }

    /// Whether all messages and blobs together have room for a record, and its blob.
    fn within_total(
        &self,
        meta: &Meta,
        size: u32,
        old: Option<&Entry>,
        limits: &Limits,
    ) -> Result<(), Problem<D::Error>> {
        let bytes = |size: u32, blob_bytes: u32| {
            u64::from(if meta.key.kind.is_message() { size } else { 0 }) + u64::from(blob_bytes)
        };
        let new_bytes = bytes(size, meta.blob_bytes);
        let old_bytes = old.map_or(0, |old| bytes(old.size(), old.meta().blob_bytes));
        let total = self.memory.records.bounded_bytes() - old_bytes;
        // What is there already may be replaced, whatever the limit is now.
        let is_within = new_bytes <= old_bytes || total.saturating_add(new_bytes) <= limits.total_bytes;
        if is_within { Ok(()) } else { Err(Problem::Full) }
    }

    /// What a call that writes makes of an error: no room is no harm, everything else fails the spool.
    fn written<T>(&mut self, result: Result<T, D::Error>) -> Result<T, Problem<D::Error>> {
        match result {
            Ok(value) => Ok(value),
            Err(error) if D::is_full(&error) => Err(Problem::Full),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// A write or fsync failed: nobody knows what is on the medium.
    fn fail(&mut self, error: D::Error) -> Problem<D::Error> {
        self.phase = Phase::Failed;
        if let Some(head) = &self.head {
            self.suspect = Some(head.serial);
        }
        Problem::Disk(error)
    }
}

const NO_ENTRY: Entry = Entry::new(
    &Meta { key: Key { kind: Kind::Other(0), id: 0 }, owner: 0, at: 0, blob_bytes: 0 },
    0,
    0,
    Place::new(0, 0),
);

impl<E: fmt::Display> fmt::Display for Problem<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no room now"),
            Self::NeverFits => f.write_str("larger than a record can be"),
            Self::TooMany => f.write_str("as many as the memory holds"),
            Self::Quota => f.write_str("over the owner's quota"),
            Self::Unknown => f.write_str("no such record"),
            Self::Damaged => f.write_str("damaged on the disk"),
            Self::BlobGone => f.write_str("its blob is gone"),
            Self::Small(bytes) => write!(f, "the buffer needs {bytes} bytes"),
            Self::NotMounted => f.write_str("not mounted"),
            Self::Failed => f.write_str("a write failed before"),
            Self::NoMarker => f.write_str("the folder is not a spool: it has no file pcsd-spool"),
            Self::NotEmpty => f.write_str("the folder has files of a spool"),
            Self::Newer => f.write_str("written by a newer version"),
            Self::Disk(error) => write!(f, "{error}"),
        }
    }
}
