//! The log: segments, their headers, and how a record gets to the head.
//!
//! A segment begins with a record of its own (kind 0, with a [`SegmentHead`] in postcard), and is free when that is not
//! valid. Its serial is higher than that of every segment before it.

use embedded_io::{Read, Seek, SeekFrom, Write};
use serde::{Deserialize, Serialize};

use super::index::{Entry, Place};
use super::record::{self, FIRST, HEADER_BYTES, Header, Kind, Meta, REMOVED};
use super::window::{Window, read_at};
use super::{Disk, Durable, FileName, Key, Problem, Spool};
use crate::base::limits::SPOOL_SEGMENTS;

/// The segment that is being written.
pub(super) struct Head<F> {
    pub slot: u16,
    pub serial: u32,
    /// For the headers of its records.
    pub seed: u32,
    /// Where the next record goes.
    pub offset: u32,
    pub file: F,
}

/// What is known of a segment's file.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Serial of the segment in it; 0 when it is free.
    pub serial: u32,
    /// Tells what it holds now from what it held before.
    pub life: u32,
    /// Bytes of records that count.
    pub live: u32,
    /// Where the records end, as the next segment says; 0 when that is not known.
    pub end: u32,
    /// Serial of the segment that was in it before it became free; 0 when it is new.
    pub erased: u32,
    /// Whether the file is there, preallocated and durable.
    pub exists: bool,
}

impl Slot {
    pub const NONE: Self = Self { serial: 0, life: 0, live: 0, end: 0, erased: 0, exists: false };
}

/// What a record is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Put,
    Remove,
    /// May take the last free segment.
    Clean,
}

/// The payload of a segment's header record.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct SegmentHead {
    pub serial: u32,
    /// No other that was ever begun has the same, even if its header was lost and its records were not.
    pub life: u32,
    /// The segment written before this one, and where its records end.
    pub previous_serial: u32,
    pub previous_end: u32,
    /// Set when this was the last free segment: the serial of the one being cleaned. As long as that is there, the
    /// records here are copies from it, but for those with sequences from `copies_below` on.
    pub cleaned_serial: u32,
    pub copies_below: u64,
}

/// Where the first record of a segment stands.
pub(super) const SEGMENT_START: u32 = 96;

impl<D: Disk> Spool<'_, D> {
    /// The largest record that fits this spool.
    pub(super) fn record_bytes_max(&self) -> u32 {
        self.segment_bytes / 3
    }

    /// Bytes of live records that so many segments hold with room to clean: after a round of cleaning each segment lacks
    /// at most the record that did not fit, and two segments beside the head are free. Messages leave an eighth to the
    /// journal.
    pub(super) fn capacity(&self, segments: usize, is_message: bool) -> u64 {
        let bytes = self.segment_bytes.saturating_sub(SEGMENT_START + self.record_bytes_max());
        let all = segments.saturating_sub(3) as u64 * u64::from(bytes);
        if is_message { all - all / 8 } else { all }
    }

    pub(super) fn free_segments(&self) -> usize {
        self.memory.slots.iter().filter(|slot| slot.exists && slot.serial == 0).count()
    }

    /// Makes sure that so many bytes more can live.
    pub(super) fn reserve(&mut self, size: u32, kind: Kind) -> Result<(), Problem<D::Error>> {
        loop {
            let segments = self.memory.slots.iter().filter(|slot| slot.exists).count();
            let wanted = self.live_bytes + self.undead_bytes + u64::from(size);
            if wanted <= self.capacity(segments, kind.is_message()) {
                return Ok(());
            }
            if self.undead_bytes > 0 {
                self.sync_head()?;
            } else if !self.grow()? {
                return Err(Problem::Full);
            }
        }
    }

    /// Writes a record at the head and enters it into the index.
    pub(super) fn append(&mut self, meta: &Meta, payload: &[u8], purpose: Purpose) -> Result<(), Problem<D::Error>> {
        let length = payload.len() as u32;
        let size = record::size(length);
        self.make_room(size, purpose)?;
        let sequence = self.next_sequence;
        let removed = if purpose == Purpose::Remove { REMOVED } else { 0 };
        let payload_crc = record::payload_crc(self.seed, sequence, payload);
        // One whose blob still grows is told by the length of the file.
        let blob_bytes = if self.is_blob_open(meta.key) { 0 } else { meta.blob_bytes };
        let header =
            Header { meta: Meta { blob_bytes, ..*meta }, flags: removed | self.first(), length, sequence, payload_crc };
        let place = self.write_record(&header, payload)?;
        self.next_sequence += 1;
        match purpose {
            Purpose::Remove => self.died(meta.key),
            _ => self.lives(Entry::new(meta, sequence, size, place)),
        }
        Ok(())
    }

    /// Writes the same record, of another segment's, again at the head; `false` when its payload can't be read any more.
    pub(super) fn copy(&mut self, slot: u16, offset: u32, header: &Header) -> Result<bool, Problem<D::Error>> {
        self.make_room(header.size(), Purpose::Clean)?;
        let copied = Header { flags: header.flags & !FIRST | self.first(), ..*header };
        let Some(head) = self.head.as_mut() else { return Err(Problem::NotMounted) };
        let place = Place::new(head.slot, head.offset);
        let bytes = copied.encode(head.seed);
        self.is_dirty = true;
        let result = write_at(&mut head.file, head.offset, &bytes);
        self.written(result)?;
        let mut crc = record::payload_checksum(self.seed, header.sequence);
        let (mut done, total) = (0, header.size() - HEADER_BYTES as u32);
        while done < total {
            let len = (total - done).min(self.memory.chunk.len() as u32) as usize;
            let from = offset + HEADER_BYTES as u32 + done;
            let Some(file) = source(&mut self.disk, &mut self.reader, slot).map_err(Problem::Disk)? else {
                return Ok(false);
            };
            if read_at(file, from, &mut self.memory.chunk[..len]).map_err(Problem::Disk)? < len {
                return Ok(false);
            }
            let is_payload = len.min((header.length.saturating_sub(done)) as usize);
            crc.add(&self.memory.chunk[..is_payload]);
            let Some(head) = self.head.as_mut() else { return Err(Problem::NotMounted) };
            let result = head.file.write_all(&self.memory.chunk[..len]);
            self.written(result)?;
            done += len as u32;
        }
        if crc.finish() != header.payload_crc {
            return Ok(false);
        }
        if let Some(head) = self.head.as_mut() {
            head.offset += header.size();
        }
        let old = self.memory.records.find(header.meta.key).copied();
        if let Some(old) = old.filter(|old| old.place() == Place::new(slot, offset)) {
            self.moved(&old, place);
        }
        Ok(true)
    }

    /// Makes what was written durable.
    pub(super) fn sync_head(&mut self) -> Result<(), Problem<D::Error>> {
        if self.is_dirty
            && let Some(head) = self.head.as_mut()
            && let Err(error) = head.file.sync()
        {
            return Err(self.fail(error));
        }
        self.is_dirty = false;
        self.undead_records = 0;
        self.undead_bytes = 0;
        Ok(())
    }

    /// Begins a segment in a free file. What is in the head is durable before.
    pub(super) fn begin_segment(&mut self) -> Result<(), Problem<D::Error>> {
        self.sync_head()?;
        let (previous_serial, previous_end) = self.head.as_ref().map_or((0, 0), |head| (head.serial, head.offset));
        let is_last = self.free_segments() == 1;
        let cleaned = self.cleaning.as_ref().filter(|_| is_last).map_or(0, |cleaning| cleaning.serial);
        self.begin_segment_after(previous_serial, previous_end, cleaned)
    }

    /// Begins a segment which says of another that it was the one before, and where that ends; and which is being cleaned.
    pub(super) fn begin_segment_after(&mut self, serial: u32, end: u32, cleaned: u32) -> Result<(), Problem<D::Error>> {
        let free = self.memory.slots.iter().position(|slot| slot.exists && slot.serial == 0).ok_or(Problem::Full)?;
        // None of ours gets there; 0 would be a free one.
        let new_serial = self.newest_serial.checked_add(1).filter(|serial| *serial < TORN).ok_or(Problem::Full)?;
        let result = self.disk.open(FileName::Segment(free as u16));
        let Some(file) = self.written(result)? else {
            self.memory.slots[free].exists = false;
            return Err(Problem::Full);
        };
        // Files whose only copy is open would be told twice.
        self.reader = self.reader.take().filter(|(slot, _)| usize::from(*slot) != free);
        self.newest_serial = new_serial;
        let head = SegmentHead {
            serial: self.newest_serial,
            life: record::life(self.nonce, self.newest_serial),
            previous_serial: serial,
            previous_end: end,
            cleaned_serial: cleaned,
            copies_below: self.next_sequence,
        };
        let bytes = encode_segment_head(&head, FIRST, self.seed);
        if let Some(old) = self.head.as_ref() {
            self.memory.slots[usize::from(old.slot)].end = old.offset;
        }
        self.memory.slots[free] = Slot { serial: head.serial, life: head.life, exists: true, ..Slot::NONE };
        let seed = record::header_seed(self.seed, head.life);
        let head = Head { slot: free as u16, serial: head.serial, seed, offset: SEGMENT_START, file };
        let head = self.head.insert(head);
        self.is_dirty = true;
        let result = write_at(&mut head.file, 0, &bytes);
        // Without a header nothing in it would count.
        result.map_err(|error| self.fail(error))
    }

    /// Creates one more segment: zeros, durable, and its name too. `false` when there is no room or no number for it.
    pub(super) fn grow(&mut self) -> Result<bool, Problem<D::Error>> {
        if self.has_no_room {
            return Ok(false);
        }
        let Some(slot) = self.memory.slots.iter().position(|slot| !slot.exists) else { return Ok(false) };
        let name = FileName::Segment(slot as u16);
        let result = self.preallocate(name);
        match result {
            Ok(()) => {
                // A header, durable after the zeros, says that they are.
                self.memory.slots[slot] = Slot { exists: true, erased: self.newest_serial.max(1), ..Slot::NONE };
                self.erase(slot as u16)?;
                Ok(true)
            }
            Err(error) if D::is_full(&error) => {
                self.has_no_room = true;
                let result = self.disk.remove(name);
                self.written(result)?;
                Ok(false)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn preallocate(&mut self, name: FileName) -> Result<(), D::Error> {
        let mut file = self.disk.create(name)?;
        self.memory.chunk.fill(0);
        let mut left = self.segment_bytes as usize;
        while left > 0 {
            let len = left.min(self.memory.chunk.len());
            file.write_all(&self.memory.chunk[..len])?;
            left -= len;
        }
        file.sync()?;
        self.disk.sync_directory()
    }

    /// Makes the head have room for a record.
    fn make_room(&mut self, size: u32, purpose: Purpose) -> Result<(), Problem<D::Error>> {
        for _ in 0..2 * SPOOL_SEGMENTS {
            if purpose != Purpose::Clean && self.free_segments() == 0 && self.cleaning.is_some() {
                // The head is the last segment: what it has is for cleaning.
                self.clean_segment()?;
                continue;
            }
            let fits = self.head.as_ref().is_some_and(|head| head.offset + size <= self.segment_bytes);
            if fits {
                return Ok(());
            }
            let enough = if purpose == Purpose::Clean { 1 } else { 2 };
            if self.free_segments() >= enough {
                self.begin_segment()?;
            } else if purpose == Purpose::Clean || !(self.clean_segment()? || self.grow()?) {
                return Err(Problem::Full);
            }
        }
        Err(Problem::Full)
    }

    /// Writes a record at the head, with one write if it is small.
    fn write_record(&mut self, header: &Header, payload: &[u8]) -> Result<Place, Problem<D::Error>> {
        let Some(head) = self.head.as_mut() else { return Err(Problem::NotMounted) };
        let bytes = header.encode(head.seed);
        let size = header.size() as usize;
        self.is_dirty = true;
        let result = if size <= self.memory.chunk.len() {
            let chunk = &mut self.memory.chunk[..size];
            chunk.fill(0);
            chunk[..HEADER_BYTES].copy_from_slice(&bytes);
            chunk[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
            write_at(&mut head.file, head.offset, chunk)
        } else {
            let padding = &[0; 4][..size - HEADER_BYTES - payload.len()];
            write_at(&mut head.file, head.offset, &bytes)
                .and_then(|()| head.file.write_all(payload))
                .and_then(|()| head.file.write_all(padding))
        };
        let place = Place::new(head.slot, head.offset);
        if result.is_ok() {
            head.offset += size as u32;
        }
        self.written(result)?;
        Ok(place)
    }

    /// [`FIRST`] when all before is durable.
    fn first(&self) -> u8 {
        if self.is_dirty { 0 } else { FIRST }
    }

    fn lives(&mut self, entry: Entry) {
        self.memory.slots[usize::from(entry.place().slot())].live += entry.size();
        self.live_bytes += u64::from(entry.size());
        self.blob_bytes += u64::from(entry.meta().blob_bytes);
        // Whoever puts has made sure that there is room.
        if let Ok(Some(old)) = self.memory.records.put(entry) {
            self.buried(&old);
        }
    }

    /// The record with this key counts no more.
    pub(super) fn died(&mut self, key: Key) {
        if let Some(old) = self.memory.records.remove(key) {
            self.undead_records += 1;
            self.buried(&old);
        }
    }

    fn buried(&mut self, old: &Entry) {
        let live = &mut self.memory.slots[usize::from(old.place().slot())].live;
        *live = live.saturating_sub(old.size());
        self.live_bytes -= u64::from(old.size());
        self.undead_bytes += u64::from(old.size());
        self.blob_bytes -= u64::from(old.meta().blob_bytes);
        self.cleaned_in_vain = 0;
    }

    /// The same record now stands elsewhere.
    fn moved(&mut self, old: &Entry, place: Place) {
        let new = Entry::new(&old.meta(), old.sequence(), old.size(), place);
        let live = &mut self.memory.slots[usize::from(old.place().slot())].live;
        *live = live.saturating_sub(old.size());
        self.memory.slots[usize::from(place.slot())].live += new.size();
        // It takes the place of the old one.
        let _ = self.memory.records.put(new);
    }

    /// Reads a payload and checks it.
    pub(super) fn read_payload(&mut self, entry: &Entry, buffer: &mut [u8]) -> Result<usize, Problem<D::Error>> {
        let place = entry.place();
        let header_seed = record::header_seed(self.seed, self.memory.slots[usize::from(place.slot())].life);
        let file = match self.head.as_mut().filter(|head| head.slot == place.slot()) {
            Some(head) => &mut head.file,
            None => source(&mut self.disk, &mut self.reader, place.slot())
                .map_err(Problem::Disk)?
                .ok_or(Problem::Damaged)?,
        };
        let mut window = Window::new(&mut self.memory.chunk);
        let bytes = window.get(file, place.offset(), entry.size() as usize).map_err(Problem::Disk)?;
        let header = Header::decode(bytes, header_seed).ok().filter(|header| header.sequence == entry.sequence());
        let header = header.ok_or(Problem::Damaged)?;
        let length = header.length as usize;
        let target = buffer.get_mut(..length).ok_or(Problem::Small(length))?;
        match bytes.get(HEADER_BYTES..HEADER_BYTES + length) {
            Some(payload) => target.copy_from_slice(payload),
            None => {
                let at = place.offset() + HEADER_BYTES as u32;
                if read_at(file, at, target).map_err(Problem::Disk)? < length {
                    return Err(Problem::Damaged);
                }
            }
        }
        let is_whole = record::payload_crc(self.seed, header.sequence, target) == header.payload_crc;
        if is_whole { Ok(length) } else { Err(Problem::Damaged) }
    }
}

/// The file of a segment that is only read, kept open.
pub(super) fn source<'f, D: Disk>(
    disk: &mut D,
    reader: &'f mut Option<(u16, D::File)>,
    slot: u16,
) -> Result<Option<&'f mut D::File>, D::Error> {
    if reader.as_ref().is_none_or(|(open, _)| *open != slot) {
        *reader = disk.open(FileName::Segment(slot))?.map(|file| (slot, file));
    }
    Ok(reader.as_mut().map(|(_, file)| file))
}

pub(super) fn write_at<F: Write + Seek>(file: &mut F, at: u32, bytes: &[u8]) -> Result<(), F::Error> {
    file.seek(SeekFrom::Start(at.into()))?;
    file.write_all(bytes)
}

pub(super) fn encode_segment_head(head: &SegmentHead, flags: u8, seed: u32) -> [u8; SEGMENT_START as usize] {
    let mut out = [0; SEGMENT_START as usize];
    let (front, back) = out.split_at_mut(HEADER_BYTES);
    // At most 5 bytes for each of five numbers and 10 for the sixth, and there are 52.
    let length = postcard::to_slice(head, back).map_or(0, |written| written.len());
    let key = Key { kind: Kind::Other(record::SEGMENT_KIND), id: head.serial.into() };
    let header = Header {
        meta: Meta { key, owner: 0, at: 0, blob_bytes: 0 },
        flags,
        length: length as u32,
        sequence: 0,
        payload_crc: record::payload_crc(seed, 0, &back[..length]),
    };
    front.copy_from_slice(&header.encode(record::segment_seed(seed)));
    out
}

/// What the first bytes of a segment's file say.
pub(super) enum Start {
    /// It is free; the serial of what was in it. 0 when nobody knows whether all its bytes are there, [`TORN`] when
    /// the header can't be read.
    Free(u32),
    Used(SegmentHead),
    Newer,
}

/// A serial that no segment has.
pub(super) const TORN: u32 = u32::MAX;

pub(super) fn read_start<F: Read + Seek>(file: &mut F, seed: u32) -> Result<Start, F::Error> {
    let mut bytes = [0; SEGMENT_START as usize];
    let len = read_at(file, 0, &mut bytes)?;
    let header = match Header::decode(&bytes[..len], record::segment_seed(seed)) {
        Ok(header) => header,
        Err(record::Bad::Version) => return Ok(Start::Newer),
        Err(record::Bad::Nothing) if bytes.iter().all(|byte| *byte == 0) => return Ok(Start::Free(0)),
        Err(record::Bad::Nothing) => return Ok(Start::Free(TORN)),
    };
    let payload = bytes[HEADER_BYTES..len].get(..header.length as usize);
    let payload = payload.filter(|payload| record::payload_crc(seed, 0, payload) == header.payload_crc);
    let head: Option<SegmentHead> = payload.and_then(|payload| postcard::from_bytes(payload).ok());
    Ok(match head.filter(|head| head.serial != 0 && head.serial != TORN) {
        Some(head) if header.is_removal() => Start::Free(head.serial),
        Some(head) => Start::Used(head),
        None => Start::Free(TORN),
    })
}

/// What a search in a segment finds.
pub(super) enum Next {
    /// A record at this offset; `is_whole` says whether its payload is what was written.
    Record { offset: u32, header: Header, is_whole: bool },
    /// Nothing more.
    End,
    /// A record of a newer version.
    Newer,
}

/// The first record from `at` on, also behind damage.
pub(super) fn next_record<F: Read + Seek>(
    window: &mut Window<'_>,
    file: &mut F,
    spool_seed: u32,
    header_seed: u32,
    mut at: u32,
    end: u32,
) -> Result<Next, F::Error> {
    loop {
        let bytes = window.get(file, at, HEADER_BYTES)?;
        if at + HEADER_BYTES as u32 > end || bytes.len() < HEADER_BYTES {
            return Ok(Next::End);
        }
        match Header::decode(bytes, header_seed) {
            Ok(header) if header.is_possible() && at + header.size() <= end => {
                let is_whole = is_payload_whole(window, file, spool_seed, at, &header)?;
                return Ok(Next::Record { offset: at, header, is_whole });
            }
            Err(record::Bad::Version) => return Ok(Next::Newer),
            _ => {}
        }
        let bytes = window.get(file, at, SEARCH_BYTES)?;
        let ahead = bytes.chunks_exact(4).skip(1).position(|word| word[..2] == record::MAGIC);
        at += ahead.map_or((bytes.len() / 4).max(1), |words| words + 1) as u32 * 4;
    }
}

/// Bytes that are searched at once: less than a window, so that they are not read again and again.
const SEARCH_BYTES: usize = 512;

fn is_payload_whole<F: Read + Seek>(
    window: &mut Window<'_>,
    file: &mut F,
    spool_seed: u32,
    at: u32,
    header: &Header,
) -> Result<bool, F::Error> {
    let mut crc = record::payload_checksum(spool_seed, header.sequence);
    let (mut at, mut left) = (at + HEADER_BYTES as u32, header.length as usize);
    while left > 0 {
        let bytes = window.get(file, at, left)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        crc.add(bytes);
        at += bytes.len() as u32;
        left -= bytes.len();
    }
    Ok(crc.finish() == header.payload_crc)
}
