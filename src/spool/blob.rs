//! Blobs: what is too large for the log (the sound of a voice message or a greeting), in a file for each.
//!
//! A blob whose length is known is written and made durable first, then the record with its length is put. A recording
//! has no end yet: its record is put while its blob is open, and tells no length. Until [`Spool::blob_close`], what is
//! appended becomes durable with each [`Spool::blob_sync_all`]; when the power goes in between, the next mount adopts the
//! file as long as it is. A blob whose record was never durable is an orphan, which a mount removes. When the record is
//! removed, its blob goes after the commit.

use super::log::{self, Purpose};
use super::window::read_at;
use super::{Disk, Durable, FileName, Filter, Key, Kind, Limits, Memory, Meta, Problem, Report, Spool};
use embedded_io::{Seek, SeekFrom, Write};

/// What a store does with the blob of its record (a voice message or a greeting).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlobStep {
    /// Nothing: the record has none, or it stays as it is.
    None,
    /// An empty one is created, to be appended to; the record is kept with 0 bytes of it until it is closed.
    Open,
    /// What was appended is all: it becomes durable, then the record with its length.
    Close,
}

/// A blob that is being written.
pub(super) struct Open<F> {
    pub key: Key,
    length: u32,
    file: F,
    /// Something was appended since the last fsync.
    is_dirty: bool,
}

/// Listings of the folder that removing orphans costs at most, each for as many as the chunk holds keys of.
const ORPHAN_LISTINGS: usize = 16;
/// A record with a longer payload stays as it is when its blob is adopted, and is adopted by each mount.
const ADOPTED_PAYLOAD_BYTES: usize = 1024;

impl<D: Disk> Spool<'_, D> {
    /// Writes a record as [`Spool::put`] does, and does with its blob what `step` says. A message that is there already
    /// keeps the time when it came.
    ///
    /// Whatever has the key gives way to one that opens its blob. `Unknown`: the kind has no blob, or there is none to be
    /// closed. When the record of a blob that is to be closed is refused, the blob stays open, if there is anything in it.
    pub fn store(&mut self, meta: &Meta, payload: &[u8], step: BlobStep) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        if step != BlobStep::None && !meta.key.kind.has_blob() {
            return Err(Problem::Unknown);
        }
        let old = self.find(meta.key);
        let at = old.map(|old| old.at).filter(|at| *at != 0 && meta.key.kind.is_message()).unwrap_or(meta.at);
        let meta = Meta { at, blob_bytes: old.map_or(0, |old| old.blob_bytes), ..*meta };
        match step {
            BlobStep::None => self.put(&meta, payload),
            BlobStep::Open => self.store_open(&Meta { blob_bytes: 0, ..meta }, payload),
            BlobStep::Close if self.is_blob_open(meta.key) => self.store_closed(&meta, payload),
            // It was adopted since.
            BlobStep::Close if old.is_some() => self.put(&meta, payload),
            BlobStep::Close => Err(Problem::Unknown),
        }
    }

    fn store_open(&mut self, meta: &Meta, payload: &[u8]) -> Result<(), Problem<D::Error>> {
        if self.open_blobs.is_full() && !self.is_blob_open(meta.key) {
            return Err(Problem::TooMany);
        }
        self.remove(meta.key)?;
        self.blob_create(meta.key)?;
        let result = self.put(meta, payload);
        if result.is_err() && self.usable().is_ok() {
            self.blob_drop(meta.key)?;
        }
        result
    }

    fn store_closed(&mut self, meta: &Meta, payload: &[u8]) -> Result<(), Problem<D::Error>> {
        let open = self.end_blob(meta.key)?;
        let result = self.put(&Meta { blob_bytes: open.length, ..*meta }, payload);
        if result.is_err() && open.length > 0 {
            // There is room: it was there before. What has failed is begun anew by the next mount.
            let _ = self.open_blobs.push(open);
        }
        result
    }

    /// Begins the blob of a record that is put later, while it is open or when it is closed. `Unknown`: there is such a
    /// record, such a blob is being written, or the kind has none. A few can be written at the same time.
    pub fn blob_create(&mut self, key: Key) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let name = FileName::of_blob(key).ok_or(Problem::Unknown)?;
        if self.doomed_blobs.contains(&key) {
            self.commit()?;
        }
        if self.memory.records.find(key).is_some() || self.is_blob_open(key) {
            return Err(Problem::Unknown);
        }
        if self.open_blobs.is_full() {
            return Err(Problem::TooMany);
        }
        let result = self.disk.create(name);
        let file = self.written(result)?;
        // The record must not be there before this name, nor find a former file under it.
        if let Err(error) = self.disk.sync_directory() {
            return Err(self.fail(error));
        }
        // There is room, as was just seen.
        let _ = self.open_blobs.push(Open { key, length: 0, file, is_dirty: false });
        Ok(())
    }

    /// Appends to a blob; durable after [`Spool::blob_sync_all`] or [`Spool::blob_close`].
    ///
    /// `Full`, `Quota`: the blob can be closed as it was, or dropped. `Unknown`: it is not open.
    pub fn blob_write(&mut self, key: Key, bytes: &[u8]) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let at = self.open_blobs.iter().position(|open| open.key == key).ok_or(Problem::Unknown)?;
        let length = self.open_blobs[at].length;
        let total = u32::try_from(bytes.len()).ok().and_then(|more| length.checked_add(more));
        let total = total.ok_or(Problem::NeverFits)?;
        self.may_grow(key, bytes.len() as u64)?;
        let open = &mut self.open_blobs[at];
        // A write that found no room may have left a part behind.
        let result = open.file.seek(SeekFrom::Start(length.into())).and_then(|_| open.file.write_all(bytes));
        open.is_dirty = true;
        if result.is_ok() {
            open.length = total;
            if let Some(old) = self.memory.records.set_blob_bytes(key, total) {
                self.blob_bytes += u64::from(total - old);
            }
        }
        self.written(result)
    }

    /// Whether a blob may have so many bytes more.
    fn may_grow(&self, key: Key, more: u64) -> Result<(), Problem<D::Error>> {
        let Limits { owner_bytes, total_bytes, .. } = self.limits;
        let record = self.memory.records.find(key);
        let owner = record.filter(|_| key.kind.is_message()).map(|entry| entry.meta().owner);
        if owner.is_some_and(|owner| self.memory.records.usage(owner).bytes.saturating_add(more) > owner_bytes) {
            return Err(Problem::Quota);
        }
        // Those without a record are in no sum.
        let loose = self.open_blobs.iter().filter(|open| self.memory.records.find(open.key).is_none());
        let loose_bytes: u64 = loose.map(|open| u64::from(open.length)).sum();
        let bytes = self.memory.records.bounded_bytes().saturating_add(loose_bytes + more);
        if bytes > total_bytes { Err(Problem::Full) } else { Ok(()) }
    }

    /// Makes durable what was appended to open blobs: an fsync for each that has something new.
    pub fn blob_sync_all(&mut self) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        for at in 0..self.open_blobs.len() {
            let open = &mut self.open_blobs[at];
            if core::mem::take(&mut open.is_dirty)
                && let Err(error) = open.file.sync()
            {
                return Err(self.fail(error));
            }
        }
        Ok(())
    }

    /// Whether [`Spool::blob_sync_all`] has something to do.
    pub fn has_unsynced_blobs(&self) -> bool {
        self.open_blobs.iter().any(|open| open.is_dirty)
    }

    /// Makes a blob durable and ends it; says its length, which the record has to tell. The record is put
    /// next.
    pub fn blob_close(&mut self, key: Key) -> Result<u32, Problem<D::Error>> {
        self.usable()?;
        self.end_blob(key).map(|open| open.length)
    }

    fn end_blob(&mut self, key: Key) -> Result<Open<D::File>, Problem<D::Error>> {
        let at = self.open_blobs.iter().position(|open| open.key == key).ok_or(Problem::Unknown)?;
        let mut open = self.open_blobs.swap_remove(at);
        let result = match FileName::of_blob(key) {
            // An append that found no room may have left something, which a mount would take for what was recorded.
            Some(name) if open.length == 0 => self.disk.remove(name).and_then(|()| self.disk.sync_directory()),
            _ => open.file.sync(),
        };
        match result {
            Ok(()) => {
                open.is_dirty = false;
                Ok(open)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Removes a blob that has no record: one that is being written, or whose record was refused.
    pub fn blob_drop(&mut self, key: Key) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let name = FileName::of_blob(key).ok_or(Problem::Unknown)?;
        if self.memory.records.find(key).is_some() {
            return Err(Problem::Unknown);
        }
        self.open_blobs.retain(|open| open.key != key);
        self.has_no_room = false;
        let result = self.disk.remove(name);
        self.written(result)
    }

    /// Reads a part of a record's blob; says how many bytes, 0 at its end. What was appended to one that is open is read
    /// at once.
    pub fn blob_read(&mut self, key: Key, offset: u32, buffer: &mut [u8]) -> Result<usize, Problem<D::Error>> {
        self.usable()?;
        let name = FileName::of_blob(key).ok_or(Problem::Unknown)?;
        let entry = self.memory.records.find(key).ok_or(Problem::Unknown)?;
        let left = entry.meta().blob_bytes.saturating_sub(offset) as usize;
        let len = left.min(buffer.len());
        if len == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..len];
        let read = match self.open_blobs.iter_mut().find(|open| open.key == key) {
            Some(open) => read_at(&mut open.file, offset, buffer),
            None => match self.disk.open(name).map_err(Problem::Disk)? {
                Some(mut file) => read_at(&mut file, offset, buffer),
                None => return Err(Problem::BlobGone),
            },
        };
        if read.map_err(Problem::Disk)? < len { Err(Problem::BlobGone) } else { Ok(len) }
    }

    pub(super) fn is_blob_open(&self, key: Key) -> bool {
        self.open_blob_bytes(key).is_some()
    }

    pub(super) fn open_blob_bytes(&self, key: Key) -> Option<u32> {
        self.open_blobs.iter().find(|open| open.key == key).map(|open| open.length)
    }

    /// Removes the blobs whose records are gone for good.
    pub(super) fn remove_doomed_blobs(&mut self) -> Result<(), Problem<D::Error>> {
        while let Some(key) = self.doomed_blobs.pop() {
            // The same key may have come again in the same batch.
            let is_needed = self.memory.records.find(key).is_some();
            if let Some(name) = FileName::of_blob(key).filter(|_| !is_needed) {
                self.has_no_room = false;
                if let Err(error) = self.disk.remove(name) {
                    return Err(self.fail(error));
                }
            }
        }
        Ok(())
    }
}

/// When a disk is mounted.
impl<D: Disk> Spool<'_, D> {
    /// Compares the blobs with their records. One whose record tells no length was open: it is as long as its file.
    pub(super) fn survey_blobs(&mut self, report: &mut Report) -> Result<(), Problem<D::Error>> {
        let Memory { records, .. } = &mut *self.memory;
        let adopted = &mut self.adopted;
        let (mut blobs, mut orphans, mut unfinished) = (0, 0, 0);
        let mut tell = |name: FileName, length: u64| {
            let Some(key) = name.blob_key() else { return };
            match records.find(key).map(|entry| entry.meta().blob_bytes) {
                Some(0) if length > 0 => {
                    records.set_blob_bytes(key, length.min(u32::MAX.into()) as u32);
                    // The next mount adopts what does not fit this list.
                    let _ = adopted.push(key);
                    blobs += 1;
                    unfinished += 1;
                }
                Some(bytes) => blobs += usize::from(bytes > 0 && u64::from(bytes) <= length),
                None => orphans += 1,
            }
        };
        self.disk.list(&mut tell).map_err(Problem::Disk)?;
        let mut wanted = 0;
        self.list(&Filter::default(), &mut |meta| {
            wanted += usize::from(meta.key.kind.has_blob() && meta.blob_bytes > 0);
        });
        (report.blobs, report.orphans, report.unfinished_blobs) = (blobs, orphans, unfinished);
        report.gone_blobs = wanted - blobs.min(wanted);
        Ok(())
    }

    /// Writes again what was appended to blobs that were open and may be in the cache only, and lets their records tell
    /// how long they are. What there is no room for is left to the next mount.
    pub(super) fn settle_adopted(&mut self) -> Result<(), Problem<D::Error>> {
        while let Some(key) = self.adopted.pop() {
            let Some(meta) = self.find(key) else { continue };
            let mut payload = [0; ADOPTED_PAYLOAD_BYTES];
            let has_payload = self.load(key, &mut payload);
            let Ok(len) = has_payload else { continue };
            if !self.rewrite_blob(key, meta.blob_bytes)? {
                continue;
            }
            match self.append(&meta, &payload[..len], Purpose::Put) {
                Ok(()) | Err(Problem::Full) => {}
                Err(problem) => return Err(problem),
            }
        }
        self.sync_head()
    }

    /// Writes the same bytes over a blob; `false` when it can't be read, or there is no room.
    fn rewrite_blob(&mut self, key: Key, length: u32) -> Result<bool, Problem<D::Error>> {
        let Some(name) = FileName::of_blob(key) else { return Ok(false) };
        let Ok(Some(mut file)) = self.disk.open(name) else { return Ok(false) };
        let mut at = 0;
        while at < length {
            let len = ((length - at) as usize).min(self.memory.chunk.len());
            let chunk = &mut self.memory.chunk[..len];
            // A bad sector in one recording does not cost the disk.
            if !read_at(&mut file, at, chunk).is_ok_and(|read| read == len) {
                return Ok(false);
            }
            let result = log::write_at(&mut file, at, chunk);
            match self.written(result) {
                Err(Problem::Full) => return Ok(false),
                result => result?,
            }
            at += len as u32;
        }
        match file.sync() {
            Ok(()) => Ok(true),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Removes the blobs that no record names: thousands at most, or a folder full of them would hold up the mount. Those
    /// that are left are removed by the next one.
    pub(super) fn remove_orphans(&mut self) -> Result<(), Problem<D::Error>> {
        for _ in 0..ORPHAN_LISTINGS {
            let Memory { records, chunk, .. } = &mut *self.memory;
            let mut places = chunk.chunks_exact_mut(ORPHAN_BYTES);
            let mut count = 0;
            let mut tell = |name: FileName, _| {
                if let Some(Key { kind, id }) = name.blob_key()
                    && records.find(Key { kind, id }).is_none()
                    && let Some(place) = places.next()
                {
                    place[0] = kind.to_byte();
                    place[1..].copy_from_slice(&id.to_le_bytes());
                    count += 1;
                }
            };
            self.disk.list(&mut tell).map_err(Problem::Disk)?;
            if count == 0 {
                return Ok(());
            }
            for [kind, id @ ..] in chunk.as_chunks::<ORPHAN_BYTES>().0.iter().take(count) {
                let key = Key { kind: Kind::from_byte(*kind), id: u64::from_le_bytes(*id) };
                if let Some(name) = FileName::of_blob(key) {
                    self.disk.remove(name).map_err(Problem::Disk)?;
                }
            }
        }
        Ok(())
    }
}

/// A kind and an id.
const ORPHAN_BYTES: usize = 9;
