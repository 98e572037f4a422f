//! Blobs: what is too large for the log (voice), in a file for each.
//!
//! A blob is written and made durable first, then the record with its id and its length is put. A blob whose record
//! was never durable is an orphan, which a mount removes. When the record is removed, its blob goes after the commit.

use super::{Disk, Durable, FileName, Key, Kind, Memory, Problem, Spool};
use embedded_io::{Seek, SeekFrom, Write};

/// A blob that is being written.
pub(super) struct Open<F> {
    id: u64,
    length: u32,
    file: F,
}

/// Listings of the folder that removing orphans costs at most, each for as many as the chunk holds ids of.
const ORPHAN_LISTINGS: usize = 16;

impl<D: Disk> Spool<'_, D> {
    /// Begins the blob of a voice message. `Unknown`: there is a record with that id, or such a blob is being written.
    /// A few can be written at the same time.
    pub fn blob_create(&mut self, id: u64) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        if self.doomed_blobs.contains(&id) {
            self.commit()?;
        }
        let is_taken = self.memory.records.find(Key { kind: Kind::Voice, id }).is_some();
        if is_taken || self.open_blobs.iter().any(|open| open.id == id) {
            return Err(Problem::Unknown);
        }
        if self.open_blobs.is_full() {
            return Err(Problem::TooMany);
        }
        let result = self.disk.create(FileName::Blob(id));
        let file = self.written(result)?;
        // There is room, as was just seen.
        let _ = self.open_blobs.push(Open { id, length: 0, file });
        Ok(())
    }

    /// Appends to a blob. `Full`: no room; the blob can be finished as it was, or dropped.
    pub fn blob_write(&mut self, id: u64, bytes: &[u8]) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        let open = self.open_blobs.iter_mut().find(|open| open.id == id).ok_or(Problem::Unknown)?;
        let total = u32::try_from(bytes.len()).ok().and_then(|length| open.length.checked_add(length));
        let total = total.ok_or(Problem::NeverFits)?;
        // A write that found no room may have left a part behind.
        let result = open.file.seek(SeekFrom::Start(open.length.into())).and_then(|_| open.file.write_all(bytes));
        if result.is_ok() {
            open.length = total;
        }
        self.written(result)
    }

    /// Makes a blob and its name durable; says its length, which the record has to tell. The record is put next.
    pub fn blob_finish(&mut self, id: u64) -> Result<u32, Problem<D::Error>> {
        self.usable()?;
        let at = self.open_blobs.iter().position(|open| open.id == id).ok_or(Problem::Unknown)?;
        let mut open = self.open_blobs.swap_remove(at);
        let result = open.file.sync().and_then(|()| self.disk.sync_directory());
        match result {
            Ok(()) => Ok(open.length),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Removes a blob that has no record: one that is being written, or whose record was refused.
    pub fn blob_drop(&mut self, id: u64) -> Result<(), Problem<D::Error>> {
        self.usable()?;
        if self.memory.records.find(Key { kind: Kind::Voice, id }).is_some() {
            return Err(Problem::Unknown);
        }
        self.open_blobs.retain(|open| open.id != id);
        self.has_no_room = false;
        let result = self.disk.remove(FileName::Blob(id));
        self.written(result)
    }

    /// Reads a part of a record's blob; says how many bytes, 0 at its end.
    pub fn blob_read(&mut self, id: u64, offset: u32, buffer: &mut [u8]) -> Result<usize, Problem<D::Error>> {
        self.usable()?;
        let entry = self.memory.records.find(Key { kind: Kind::Voice, id }).ok_or(Problem::Unknown)?;
        let left = entry.meta().blob_bytes.saturating_sub(offset) as usize;
        let len = left.min(buffer.len());
        if len == 0 {
            return Ok(0);
        }
        let file = self.disk.open(FileName::Blob(id)).map_err(Problem::Disk)?;
        let mut file = file.ok_or(Problem::BlobGone)?;
        let read = super::window::read_at(&mut file, offset, &mut buffer[..len]).map_err(Problem::Disk)?;
        if read < len { Err(Problem::BlobGone) } else { Ok(read) }
    }

    /// Removes the blobs whose records are gone for good.
    pub(super) fn remove_doomed_blobs(&mut self) -> Result<(), Problem<D::Error>> {
        while let Some(id) = self.doomed_blobs.pop() {
            // The same id may have come again in the same batch.
            if self.memory.records.find(Key { kind: Kind::Voice, id }).is_none() {
                self.has_no_room = false;
                if let Err(error) = self.disk.remove(FileName::Blob(id)) {
                    return Err(self.fail(error));
                }
            }
        }
        Ok(())
    }

    /// Removes the blobs that no record names: thousands at most, or a folder full of them would hold up the mount. Those
    /// that are left are removed by the next one.
    pub(super) fn remove_orphans(&mut self) -> Result<(), Problem<D::Error>> {
        for _ in 0..ORPHAN_LISTINGS {
            let Memory { records, chunk, .. } = &mut *self.memory;
            let mut ids = chunk.chunks_exact_mut(8);
            let mut count = 0;
            let mut tell = |name, _| {
                if let FileName::Blob(id) = name
                    && records.find(Key { kind: Kind::Voice, id }).is_none()
                    && let Some(place) = ids.next()
                {
                    place.copy_from_slice(&id.to_le_bytes());
                    count += 1;
                }
            };
            self.disk.list(&mut tell).map_err(Problem::Disk)?;
            if count == 0 {
                return Ok(());
            }
            for id in chunk.as_chunks().0.iter().take(count) {
                self.disk.remove(FileName::Blob(u64::from_le_bytes(*id))).map_err(Problem::Disk)?;
            }
        }
        Ok(())
    }
}
