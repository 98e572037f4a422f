//! Backup and restore: all live records and their blobs as one stream.
//!
//! The stream: [`MAGIC`], the format version in one byte, then items. An item is its length (32 bits, little-endian), so
//! many bytes, and their CRC-32. The first byte says what it is: a part of a voice message's blob (id in 8 bytes, bytes),
//! of another kind's (kind in one byte, id in 8, bytes), a record (`Head` in postcard, payload), or the end (number of items before it in 8 bytes, the CRC-32 over their CRCs). The
//! parts of a blob stand before its record, as they are written to a disk. Restoring adds what is missing: a key that is
//! there stays as it is, and nothing is removed. The stream is read twice, first to see that it is whole. Quotas of owners
//! don't hold for it. Encryption is left to whoever keeps the file.

use core::fmt;

use embedded_io::{Read, Seek, SeekFrom, Write};
use serde::{Deserialize, Serialize};

use super::index::Entry;
use super::record::{Checksum, PAYLOAD_BYTES_MAX, SEGMENT_KIND};
use super::{BATCH, Disk, Filter, Key, Kind, Limits, Meta, NO_ENTRY, Problem, Spool};

/// How a backup begins.
pub const MAGIC: &[u8; 12] = b"pcsd backup\n";
/// The format that is written here.
pub const VERSION: u8 = 1;
/// Bytes of the buffer that [`write()`] and [`read`] need, beside the longest payload.
pub const BUFFER_BYTES: usize = 64;

/// What went through.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// Records written, or added.
    pub records: usize,
    /// Records that were there already, with their keys.
    pub present: usize,
    /// Records that the medium has lost, that are larger than the buffer, or whose blob is not there or not as long as
    /// they say: left out.
    pub damaged: usize,
}

/// Why a backup was not written or not read. `E` is the spool's, `F` the stream's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackupProblem<E, F> {
    /// The spool says. What was restored until then is kept; restoring again goes on.
    Spool(Problem<E>),
    /// The stream says.
    Stream(F),
    /// It is no backup.
    Foreign,
    /// A newer version wrote it.
    Newer,
    /// It ends too early.
    Truncated,
    /// Its bytes have changed.
    Damaged,
    /// A record is larger than the buffer or the spool takes.
    TooLarge,
}

impl<E: fmt::Display, F: fmt::Display> fmt::Display for BackupProblem<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spool(problem) => write!(f, "spool: {problem}"),
            Self::Stream(error) => write!(f, "backup file: {error}"),
            Self::Foreign => f.write_str("not a backup of pcsd"),
            Self::Newer => f.write_str("a backup of a newer version"),
            Self::Truncated => f.write_str("the backup is cut off"),
            Self::Damaged => f.write_str("the backup is damaged"),
            Self::TooLarge => f.write_str("the backup has a record that is too large"),
        }
    }
}

/// A record as a backup tells it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
struct Head {
    kind: u8,
    id: u64,
    owner: u32,
    at: u32,
    blob_bytes: u32,
}

const BLOB: u8 = b'b';
const BLOB_OF_KIND: u8 = b'k';
const RECORD: u8 = b'r';
const END: u8 = b'e';
/// Bytes of a postcard [`Head`] at most, with the byte that says what it is.
const HEAD_BYTES_MAX: usize = 1 + 2 + 10 + 5 + 5 + 5;

type Outcome<T, E, F> = Result<T, BackupProblem<E, F>>;
type Tell<'t, E, F> = dyn FnMut(Item<'_>) -> Outcome<(), E, F> + 't;

/// Writes a backup. `buffer` takes the longest payload and [`BUFFER_BYTES`].
pub fn write<D: Disk, W: Write>(
    spool: &mut Spool<'_, D>,
    out: &mut W,
    buffer: &mut [u8],
) -> Outcome<Count, D::Error, W::Error> {
    spool.usable().map_err(BackupProblem::Spool)?;
    if buffer.len() < BUFFER_BYTES {
        return Err(BackupProblem::TooLarge);
    }
    out.write_all(MAGIC).and_then(|()| out.write_all(&[VERSION])).map_err(BackupProblem::Stream)?;
    let mut items = Items::default();
    let mut count = Count::default();
    let (mut after, mut batch) = (None, [NO_ENTRY; BATCH]);
    loop {
        let len = spool.memory.records.next(after, &Filter::default(), &mut batch);
        for entry in &batch[..len] {
            if write_record(spool, entry, out, &mut items, buffer)? {
                count.records += 1;
            } else {
                count.damaged += 1;
            }
        }
        match batch[..len].last() {
            Some(last) => after = Some(last.sequence()),
            None => break,
        }
    }
    let mut end = [END; 13];
    end[1..9].copy_from_slice(&items.count.to_le_bytes());
    end[9..].copy_from_slice(&items.chain.to_le_bytes());
    items.put(out, &[&end]).map_err(BackupProblem::Stream)?;
    out.flush().map_err(BackupProblem::Stream)?;
    Ok(count)
}

/// Writes a record and its blob; `false` when it can't be read.
fn write_record<D: Disk, W: Write>(
    spool: &mut Spool<'_, D>,
    entry: &Entry,
    out: &mut W,
    items: &mut Items,
    buffer: &mut [u8],
) -> Outcome<bool, D::Error, W::Error> {
    let meta = entry.meta();
    let mut done = 0;
    while done < meta.blob_bytes {
        // Whoever reads it has a byte for what it is and the id in the same buffer.
        let part_bytes = buffer.len() - BUFFER_BYTES / 2;
        match spool.blob_read(meta.key, done, &mut buffer[..part_bytes]) {
            Ok(len) => {
                let name = [BLOB_OF_KIND, meta.key.kind.to_byte()];
                let name = if meta.key.kind == Kind::Voice { &[BLOB][..] } else { &name };
                let part = [name, &meta.key.id.to_le_bytes(), &buffer[..len]];
                items.put(out, &part).map_err(BackupProblem::Stream)?;
                done += len as u32;
            }
            // The parts before it are skipped by whoever reads them.
            Err(Problem::BlobGone | Problem::Unknown) => return Ok(false),
            Err(problem) => return Err(BackupProblem::Spool(problem)),
        }
    }
    let length = match spool.read_payload(entry, buffer) {
        Ok(length) => length,
        Err(Problem::Damaged | Problem::Small(_)) => return Ok(false),
        Err(problem) => return Err(BackupProblem::Spool(problem)),
    };
    let Meta { key, owner, at, blob_bytes } = meta;
    let head = Head { kind: key.kind.to_byte(), id: key.id, owner, at, blob_bytes };
    let mut bytes = [0; HEAD_BYTES_MAX];
    let head = postcard::to_slice(&head, &mut bytes).map_or(0, |written| written.len());
    items.put(out, &[&[RECORD], &bytes[..head], &buffer[..length]]).map_err(BackupProblem::Stream)?;
    Ok(true)
}

/// Reads a backup and adds what the spool lacks, all durable at the end. The file is read through first: one that is
/// foreign, cut off or damaged changes nothing. `buffer` takes the longest payload and [`BUFFER_BYTES`].
pub fn read<D: Disk, R: Read + Seek>(
    spool: &mut Spool<'_, D>,
    input: &mut R,
    buffer: &mut [u8],
) -> Outcome<Count, D::Error, R::Error> {
    spool.usable().map_err(BackupProblem::Spool)?;
    let start = input.seek(SeekFrom::Current(0)).map_err(BackupProblem::Stream)?;
    let largest = spool.record_bytes_max();
    let longest = buffer.len().saturating_sub(BUFFER_BYTES);
    read_items(input, buffer, &mut |item| match item {
        Item::Record(meta, payload) => {
            let is_fine = meta.key.kind.to_byte() != SEGMENT_KIND
                && payload.len() <= longest
                && super::record::size(payload.len() as u32) <= largest;
            if is_fine { Ok(()) } else { Err(BackupProblem::TooLarge) }
        }
        Item::Blob(..) => Ok(()),
    })?;
    input.seek(SeekFrom::Start(start)).map_err(BackupProblem::Stream)?;
    let mut restore = Restore { spool, count: Count::default(), blob: None };
    let result = read_items(input, buffer, &mut |item| restore.item(&item).map_err(BackupProblem::Spool));
    let left = restore.abandon();
    let count = restore.count;
    // However it ended, what was added is there.
    let kept = left.and_then(|()| spool.commit()).map_err(BackupProblem::Spool);
    result.and(kept).map(|()| count)
}

/// A restore in progress.
struct Restore<'a, 'm, D: Disk> {
    spool: &'a mut Spool<'m, D>,
    count: Count,
    /// The blob that is being written.
    blob: Option<Key>,
}

impl<D: Disk> Restore<'_, '_, D> {
    fn item(&mut self, item: &Item<'_>) -> Result<(), Problem<D::Error>> {
        match item {
            Item::Blob(key, bytes) => self.blob(*key, bytes),
            Item::Record(meta, payload) => self.record(meta, payload),
        }
    }

    fn blob(&mut self, key: Key, bytes: &[u8]) -> Result<(), Problem<D::Error>> {
        // A kind of a newer version may have blobs where it has none here.
        if self.spool.find(key).is_some() || !key.kind.has_blob() {
            return Ok(());
        }
        if self.blob != Some(key) {
            self.abandon()?;
            self.spool.blob_create(key)?;
            self.blob = Some(key);
        }
        self.spool.blob_write(key, bytes)
    }

    fn record(&mut self, meta: &Meta, payload: &[u8]) -> Result<(), Problem<D::Error>> {
        if self.spool.find(meta.key).is_some() {
            self.count.present += 1;
            return Ok(());
        }
        if meta.blob_bytes == 0 {
            self.abandon()?;
        } else if !self.has_blob(meta)? {
            self.count.damaged += 1;
            return self.abandon();
        }
        let limits = Limits { total_bytes: self.spool.limits.total_bytes, ..Limits::NONE };
        self.spool.add(meta, payload, &limits)?;
        self.blob = None;
        self.count.records += 1;
        Ok(())
    }

    /// Whether the blob that was just written is the one that the record tells of.
    fn has_blob(&mut self, meta: &Meta) -> Result<bool, Problem<D::Error>> {
        Ok(self.blob == Some(meta.key) && self.spool.blob_close(meta.key)? == meta.blob_bytes)
    }

    /// Drops a blob whose record did not come.
    fn abandon(&mut self) -> Result<(), Problem<D::Error>> {
        match self.blob.take() {
            Some(key) if self.spool.usable().is_ok() => self.spool.blob_drop(key),
            _ => Ok(()),
        }
    }
}

/// Counts the items of a backup and chains their CRCs.
#[derive(Default)]
struct Items {
    count: u64,
    chain: u32,
    /// The chain without the last item.
    before_last: u32,
}

impl Items {
    fn put<W: Write>(&mut self, out: &mut W, parts: &[&[u8]]) -> Result<(), W::Error> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut crc = Checksum::new(0);
        out.write_all(&(length as u32).to_le_bytes())?;
        for part in parts {
            crc.add(part);
            out.write_all(part)?;
        }
        let crc = crc.finish();
        self.add(crc);
        out.write_all(&crc.to_le_bytes())
    }

    fn add(&mut self, crc: u32) {
        self.before_last = self.chain;
        let mut chain = Checksum::new(self.chain);
        chain.add(&crc.to_le_bytes());
        self.chain = chain.finish();
        self.count += 1;
    }
}

enum Item<'b> {
    Blob(Key, &'b [u8]),
    Record(Meta, &'b [u8]),
}

/// Reads a whole backup and tells its items. What is told has a right CRC.
fn read_items<E, R: Read>(
    input: &mut R,
    buffer: &mut [u8],
    tell: &mut Tell<'_, E, R::Error>,
) -> Outcome<(), E, R::Error> {
    let mut start = [0; MAGIC.len() + 1];
    let len = fill(input, &mut start)?;
    if start[..len.min(MAGIC.len())] != MAGIC[..len.min(MAGIC.len())] || len == 0 {
        return Err(BackupProblem::Foreign);
    }
    match start[MAGIC.len()] {
        _ if len < start.len() => return Err(BackupProblem::Truncated),
        VERSION => {}
        _ => return Err(BackupProblem::Newer),
    }
    let mut items = Items::default();
    loop {
        let bytes = read_item(input, buffer, &mut items)?;
        match bytes.split_first() {
            Some((&BLOB, rest)) => {
                let (id, bytes) = rest.split_first_chunk().ok_or(BackupProblem::Damaged)?;
                tell(Item::Blob(Key { kind: Kind::Voice, id: u64::from_le_bytes(*id) }, bytes))?;
            }
            Some((&BLOB_OF_KIND, [kind, rest @ ..])) => {
                let (id, bytes) = rest.split_first_chunk().ok_or(BackupProblem::Damaged)?;
                tell(Item::Blob(Key { kind: Kind::from_byte(*kind), id: u64::from_le_bytes(*id) }, bytes))?;
            }
            Some((&RECORD, rest)) => {
                let (head, payload) = postcard::take_from_bytes::<Head>(rest).map_err(|_| BackupProblem::Damaged)?;
                let key = Key { kind: Kind::from_byte(head.kind), id: head.id };
                let meta = Meta { key, owner: head.owner, at: head.at, blob_bytes: head.blob_bytes };
                tell(Item::Record(meta, payload))?;
            }
            Some((&END, rest)) => {
                let is_whole = rest.len() == 12
                    && rest[..8] == (items.count - 1).to_le_bytes()
                    && rest[8..] == items.before_last.to_le_bytes();
                let has_more = fill(input, &mut [0])? > 0;
                return if is_whole && !has_more { Ok(()) } else { Err(BackupProblem::Damaged) };
            }
            _ => return Err(BackupProblem::Damaged),
        }
    }
}

/// Reads one item and checks it.
fn read_item<'b, E, R: Read>(input: &mut R, buffer: &'b mut [u8], items: &mut Items) -> Outcome<&'b [u8], E, R::Error> {
    let mut word = [0; 4];
    if fill(input, &mut word)? < 4 {
        return Err(BackupProblem::Truncated);
    }
    let length = u32::from_le_bytes(word);
    if length as usize > HEAD_BYTES_MAX + PAYLOAD_BYTES_MAX as usize {
        return Err(BackupProblem::Damaged);
    }
    let bytes = buffer.get_mut(..length as usize).ok_or(BackupProblem::TooLarge)?;
    if fill(input, bytes)? < bytes.len() || fill(input, &mut word)? < 4 {
        return Err(BackupProblem::Truncated);
    }
    let mut crc = Checksum::new(0);
    crc.add(bytes);
    let crc = crc.finish();
    if crc != u32::from_le_bytes(word) {
        return Err(BackupProblem::Damaged);
    }
    items.add(crc);
    Ok(bytes)
}

/// Reads until `buffer` is full or the stream ends; says how many bytes.
fn fill<E, R: Read>(input: &mut R, buffer: &mut [u8]) -> Outcome<usize, E, R::Error> {
    let mut len = 0;
    while len < buffer.len() {
        match input.read(&mut buffer[len..]).map_err(BackupProblem::Stream)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}
