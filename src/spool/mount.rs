//! Finding again what is on a disk: the marker, the scan of all segments in the order in which they were written, and
//! what has to be written before the spool can be trusted.

use core::fmt;

use embedded_io::Write;
use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::index::{Entry, Place};
use super::log::{self, Head, Next, SEGMENT_START, SegmentHead, Slot};
use super::record::{self, FIRST, HEADER_BYTES, Header, Key, Kind, Meta, REMOVED, SEGMENT_KIND};
use super::window::{Window, read_at};
use super::{Disk, Durable, FileName, Phase, Problem, Spool};
use crate::base::limits::{SPOOL_SEGMENT_BYTES, SPOOL_SEGMENTS};

/// What a mount or a check found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Records that count.
    pub records: usize,
    /// Records in the log that count no more: replaced, removed, removals, copies.
    pub dead_records: usize,
    /// Segments with records.
    pub segments: usize,
    /// Bytes of the log that were durable once and are lost.
    pub damaged_bytes: u64,
    /// Segments that are lost as a whole.
    pub lost_segments: usize,
    /// Bytes of what was being written when the power went, or the daemon ended: nobody was told that they are kept.
    pub torn_bytes: u64,
    /// Blobs of live records.
    pub blobs: usize,
    /// Records whose blob is not there.
    pub gone_blobs: usize,
    /// Blobs without a record. A mount removes them.
    pub orphans: usize,
    /// Blobs that were still being appended to. A mount takes them as they are.
    pub unfinished_blobs: usize,
    /// Whether cleaning had been interrupted and begins again.
    pub is_cleaning_undone: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records in {} segments, {} blobs", self.records, self.segments, self.blobs)?;
        let findings = [
            (self.damaged_bytes, "damaged bytes"),
            (self.lost_segments as u64, "lost segments"),
            (self.gone_blobs as u64, "records without their blob"),
            (self.orphans as u64, "blobs without a record"),
            (self.unfinished_blobs as u64, "unfinished blobs"),
            (self.torn_bytes, "bytes of unfinished writes"),
        ];
        findings.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// The content of the marker file, in postcard behind [`MARKER_MAGIC`], followed by a CRC-32. It stands there twice.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
struct Marker {
    version: u8,
    uuid: [u8; 16],
    segment_bytes: u32,
}

/// A head, two with records, and one in reserve.
const SEGMENTS_LEAST: usize = 4;
const MARKER_MAGIC: &[u8; 16] = b"pcsd spool file\n";
/// Bytes of one of the two copies: a sector each.
const MARKER_BYTES: usize = 512;

/// Offset of a record, its header, and whether its payload is whole.
type Found = (u32, Header, bool);

/// What the survey found out about the newest segment.
#[derive(Clone, Copy, Default)]
pub(super) struct Survey {
    pub report: Report,
    newest: Option<Newest>,
    /// Serial of the segment before the oldest: the last one that was cleaned.
    before_oldest: u32,
    /// The newest segment only has copies from one that is still there.
    discarded: Option<u16>,
}

#[derive(Clone, Copy)]
struct Newest {
    slot: u16,
    /// Behind the last record.
    end: u32,
    /// All before was durable.
    unsure_from: u32,
    previous_serial: u32,
    previous_end: u32,
}

impl<D: Disk> Spool<'_, D> {
    /// Makes a folder a spool by creating the marker file. Refused where there is one, or files of a spool without one.
    pub fn format(&mut self, uuid: [u8; 16]) -> Result<(), Problem<D::Error>> {
        self.format_with(uuid, SPOOL_SEGMENT_BYTES as u32)
    }

    /// [`Spool::format`] with segments of another size, in bytes: a multiple of 512 from 1 KB to 16 MB. A small one suits
    /// a file system in memory.
    pub fn format_with(&mut self, uuid: [u8; 16], segment_bytes: u32) -> Result<(), Problem<D::Error>> {
        if !is_segment_size(segment_bytes) {
            return Err(Problem::NeverFits);
        }
        let mut has_files = false;
        self.disk.list(&mut |name, _| has_files |= name != FileName::Marker).map_err(Problem::Disk)?;
        // A marker that is not whole is left by a power cut, if there is nothing else.
        let has_marker = !matches!(self.read_marker(), Err(Problem::NoMarker | Problem::Damaged));
        if has_files || has_marker {
            return Err(Problem::NotEmpty);
        }
        let marker = Marker { version: record::VERSION, uuid, segment_bytes };
        self.write_marker(&marker)
            .map_err(|error| if D::is_full(&error) { Problem::Full } else { Problem::Disk(error) })
    }

    /// Finds again what is on the disk, and makes the spool usable. After a failure it may be called again. A disk without
    /// room for the least a log needs is [`Problem::Full`]: it would take no record, and say so only to who trusts it
    /// with one.
    ///
    /// `nonce` is a random number, another one each time: by it the segments begun from now on are told from those that
    /// were begun before and whose headers were lost.
    pub fn mount(&mut self, nonce: u64) -> Result<Report, Problem<D::Error>> {
        // Whatever fails from here on, nothing can be done but mounting again.
        self.phase = Phase::Failed;
        self.nonce = nonce;
        let survey = self.survey()?;
        self.settle(&survey)?;
        self.remove_orphans()?;
        while self.memory.slots.iter().filter(|slot| slot.exists).count() < SEGMENTS_LEAST {
            if !self.grow()? {
                return Err(Problem::Full);
            }
        }
        self.suspect = None;
        self.phase = Phase::Mounted;
        self.damaged_bytes = survey.report.damaged_bytes;
        self.settle_adopted()?;
        Ok(survey.report)
    }

    /// Reads everything and writes nothing: fills the index and the table of segments.
    pub(super) fn survey(&mut self) -> Result<Survey, Problem<D::Error>> {
        self.forget();
        let marker = self.read_marker()?;
        self.uuid = marker.uuid;
        self.seed = record::spool_seed(&marker.uuid);
        self.segment_bytes = marker.segment_bytes;
        self.memory.records.clear(marker.uuid);
        self.find_segments()?;
        let mut survey = Survey::default();
        let mut order = self.read_heads(&mut survey)?;
        if let Some(copies) = self.copies_only(&order)? {
            order.pop();
            survey.discarded = Some(copies);
            survey.report.is_cleaning_undone = true;
        }
        for (at, slot) in order.iter().enumerate() {
            self.scan(*slot, at + 1 == order.len(), &mut survey)?;
        }
        self.survey_blobs(&mut survey.report)?;
        self.sum_up(&mut survey.report);
        survey.report.segments = order.len();
        Ok(survey)
    }

    /// Back to knowing nothing.
    fn forget(&mut self) {
        self.head = None;
        self.reader = None;
        self.next_sequence = 1;
        self.newest_serial = 0;
        self.is_dirty = false;
        self.cleaning = None;
        self.cleaned_in_vain = 0;
        self.has_no_room = false;
        self.live_bytes = 0;
        self.blob_bytes = 0;
        self.undead_records = 0;
        self.undead_bytes = 0;
        self.doomed_blobs.clear();
        self.open_blobs.clear();
        self.adopted.clear();
        self.expiry_cursor = 0;
        self.memory.slots = [Slot::NONE; SPOOL_SEGMENTS];
    }

    fn read_marker(&mut self) -> Result<Marker, Problem<D::Error>> {
        let file = self.disk.open(FileName::Marker).map_err(Problem::Disk)?;
        let mut file = file.ok_or(Problem::NoMarker)?;
        for copy in 0..2 {
            let mut bytes = [0; MARKER_BYTES];
            let len = read_at(&mut file, copy * MARKER_BYTES as u32, &mut bytes).map_err(Problem::Disk)?;
            match decode_marker(&bytes[..len]) {
                Some(marker) if marker.version != record::VERSION => return Err(Problem::Newer),
                Some(marker) if is_segment_size(marker.segment_bytes) => return Ok(marker),
                _ => {}
            }
        }
        Err(Problem::Damaged)
    }

    fn rewrite_marker(&mut self) -> Result<(), Problem<D::Error>> {
        let marker = Marker { version: record::VERSION, uuid: self.uuid, segment_bytes: self.segment_bytes };
        let Some(mut file) = self.disk.open(FileName::Marker).map_err(Problem::Disk)? else {
            return Err(Problem::NoMarker);
        };
        let result = log::write_at(&mut file, 0, &marker_file(&marker)).and_then(|()| file.sync());
        result.map_err(|error| self.fail(error))
    }

    fn write_marker(&mut self, marker: &Marker) -> Result<(), D::Error> {
        let mut file = self.disk.create(FileName::Marker)?;
        file.write_all(&marker_file(marker))?;
        file.sync()?;
        self.disk.sync_directory()
    }

    fn find_segments(&mut self) -> Result<(), Problem<D::Error>> {
        let slots = &mut self.memory.slots;
        let mut has_more = false;
        let mut tell = |name, length: u64| {
            if let FileName::Segment(number) = name {
                match slots.get_mut(usize::from(number)) {
                    Some(slot) => (slot.exists, slot.end) = (true, length.min(u32::MAX.into()) as u32),
                    None => has_more = true,
                }
            }
        };
        self.disk.list(&mut tell).map_err(Problem::Disk)?;
        if has_more { Err(Problem::TooMany) } else { Ok(()) }
    }

    /// Reads the header of each segment; gives the slots of those with records, oldest first.
    fn read_heads(&mut self, survey: &mut Survey) -> Result<Vec<u16, SPOOL_SEGMENTS>, Problem<D::Error>> {
        let mut order: Vec<u16, SPOOL_SEGMENTS> = Vec::new();
        for slot in 0..SPOOL_SEGMENTS as u16 {
            let head = self.segment_head(slot)?;
            let state = &mut self.memory.slots[usize::from(slot)];
            let length = core::mem::take(&mut state.end);
            // One that was not finished is created anew when it is needed.
            let is_finished = length >= self.segment_bytes && state.erased != 0;
            state.exists = state.exists && (head.is_some() || is_finished);
            if let Some(head) = head {
                let is_copied = self.memory.slots.iter().any(|other| other.serial == head.serial);
                if !is_copied {
                    let state = &mut self.memory.slots[usize::from(slot)];
                    (state.serial, state.life) = (head.serial, head.life);
                    // As many as there are slots.
                    let _ = order.push(slot);
                }
            }
        }
        order.sort_unstable_by_key(|slot| self.memory.slots[usize::from(*slot)].serial);
        let serial_of = |slots: &[Slot], slot: Option<&u16>| slot.map_or(0, |slot| slots[usize::from(*slot)].serial);
        let oldest = serial_of(&self.memory.slots, order.first());
        self.newest_serial = serial_of(&self.memory.slots, order.last());
        for slot in &order {
            let Some(head) = self.segment_head(*slot)? else { continue };
            if Some(slot) == order.first() {
                survey.before_oldest = head.previous_serial;
            }
            let limit = self.segment_bytes;
            let mut slots = self.memory.slots.iter_mut();
            match slots.find(|other| other.serial == head.previous_serial && other.serial != 0) {
                Some(previous) => previous.end = head.previous_end.clamp(SEGMENT_START, limit),
                None if head.previous_serial > oldest => survey.report.lost_segments += 1,
                None => {}
            }
        }
        Ok(order)
    }

    fn segment_head(&mut self, slot: u16) -> Result<Option<SegmentHead>, Problem<D::Error>> {
        if !self.memory.slots[usize::from(slot)].exists {
            return Ok(None);
        }
        let file = log::source(&mut self.disk, &mut self.reader, slot).map_err(Problem::Disk)?;
        let Some(file) = file else { return Ok(None) };
        match log::read_start(file, self.seed).map_err(Problem::Disk)? {
            log::Start::Used(head) => Ok(Some(head)),
            log::Start::Free(erased) => {
                self.memory.slots[usize::from(slot)].erased = erased;
                Ok(None)
            }
            log::Start::Newer => Err(Problem::Newer),
        }
    }

    /// The newest segment, if it has nothing but copies from one that is there.
    fn copies_only(&mut self, order: &[u16]) -> Result<Option<u16>, Problem<D::Error>> {
        let Some(slot) = order.last().copied() else { return Ok(None) };
        let Some(head) = self.segment_head(slot)? else { return Ok(None) };
        let is_source_there = self.memory.slots.iter().any(|other| other.serial == head.cleaned_serial);
        if head.cleaned_serial == 0 || head.cleaned_serial == head.serial || !is_source_there {
            return Ok(None);
        }
        let mut at = SEGMENT_START;
        while let Some((offset, header, _)) = self.next(slot, at, self.segment_bytes)? {
            if header.sequence >= head.copies_below {
                return Ok(None);
            }
            at = offset + header.size();
        }
        Ok(Some(slot))
    }

    /// The next record in a segment.
    fn next(&mut self, slot: u16, at: u32, end: u32) -> Result<Option<Found>, Problem<D::Error>> {
        let header_seed = record::header_seed(self.seed, self.memory.slots[usize::from(slot)].life);
        let file = log::source(&mut self.disk, &mut self.reader, slot).map_err(Problem::Disk)?;
        let file = file.ok_or(Problem::Damaged)?;
        let mut window = Window::new(&mut self.memory.chunk);
        match log::next_record(&mut window, file, self.seed, header_seed, at, end).map_err(Problem::Disk)? {
            Next::Record { offset, header, is_whole } => Ok(Some((offset, header, is_whole))),
            Next::End => Ok(None),
            Next::Newer => Err(Problem::Newer),
        }
    }

    /// Enters the records of one segment into the index.
    fn scan(&mut self, slot: u16, is_newest: bool, survey: &mut Survey) -> Result<(), Problem<D::Error>> {
        let state = self.memory.slots[usize::from(slot)];
        let known_end = if is_newest { 0 } else { state.end };
        let limit = if known_end == 0 { self.segment_bytes } else { known_end };
        let header_seed = record::header_seed(self.seed, state.life);
        let (mut at, mut end, mut unsure_from, mut hole_bytes) = (SEGMENT_START, SEGMENT_START, 0, 0);
        let file = log::source(&mut self.disk, &mut self.reader, slot).map_err(Problem::Disk)?;
        let file = file.ok_or(Problem::Damaged)?;
        let mut window = Window::new(&mut self.memory.chunk);
        loop {
            let next = log::next_record(&mut window, file, self.seed, header_seed, at, limit);
            let (offset, header, is_whole) = match next.map_err(Problem::Disk)? {
                Next::Record { offset, header, is_whole } => (offset, header, is_whole),
                Next::End => break,
                Next::Newer => return Err(Problem::Newer),
            };
            at = offset + header.size();
            let is_filler = header.meta.key.kind.to_byte() == SEGMENT_KIND;
            if !is_whole && !is_filler {
                continue;
            }
            hole_bytes += offset - end;
            end = at;
            if header.flags & FIRST != 0 {
                survey.report.damaged_bytes += u64::from(hole_bytes);
                (unsure_from, hole_bytes) = (offset, 0);
            }
            if is_filler {
                continue;
            }
            self.next_sequence = self.next_sequence.max(header.sequence + 1);
            survey.report.dead_records += 1;
            let known = self.memory.records.find(header.meta.key).map(Entry::sequence);
            if known.is_some_and(|known| known > header.sequence) {
                continue;
            }
            if header.is_removal() {
                self.memory.records.remove(header.meta.key);
                continue;
            }
            let entry = Entry::new(&header.meta, header.sequence, header.size(), Place::new(slot, offset));
            if self.memory.records.put(entry).is_err() {
                return Err(Problem::TooMany);
            }
        }
        if is_newest {
            survey.report.torn_bytes += u64::from(hole_bytes);
            let head = self.segment_head(slot)?;
            let head = head.ok_or(Problem::Damaged)?;
            let SegmentHead { previous_serial, previous_end, .. } = head;
            survey.newest = Some(Newest { slot, end, unsure_from, previous_serial, previous_end });
        } else if known_end > 0 {
            survey.report.damaged_bytes += u64::from(hole_bytes + (known_end - end));
        }
        Ok(())
    }

    fn sum_up(&mut self, report: &mut Report) {
        for entry in self.memory.records.entries() {
            self.memory.slots[usize::from(entry.place().slot())].live += entry.size();
            self.live_bytes += u64::from(entry.size());
            self.blob_bytes += u64::from(entry.meta().blob_bytes);
        }
        report.records = self.memory.records.len();
        report.dead_records -= report.records;
    }

    /// Writes what has to be written before the disk can be trusted.
    fn settle(&mut self, survey: &Survey) -> Result<(), Problem<D::Error>> {
        // Files that another process created, or this one when an fsync failed, may have no durable name.
        if let Err(error) = self.disk.sync_directory() {
            return Err(self.fail(error));
        }
        if survey.newest.is_none() && survey.discarded.is_none() {
            // Nor may the marker be more than in the cache, as long as there is nothing else.
            self.rewrite_marker()?;
        }
        if let Some(slot) = survey.discarded {
            self.reader = None;
            self.erase(slot)?;
        }
        let Some(newest) = survey.newest else { return Ok(()) };
        self.erase_again(survey.before_oldest)?;
        let serial = self.memory.slots[usize::from(newest.slot)].serial;
        if self.suspect == Some(serial) && self.free_segments() > 0 {
            return if self.free_segments() > 1 { self.move_unsure(&newest) } else { self.move_all(&newest) };
        }
        let file = self.disk.open(FileName::Segment(newest.slot)).map_err(Problem::Disk)?;
        let file = file.ok_or(Problem::Damaged)?;
        let seed = record::header_seed(self.seed, self.memory.slots[usize::from(newest.slot)].life);
        self.head = Some(Head { slot: newest.slot, serial, seed, offset: newest.end, file });
        self.rewrite_unsure(&newest)
    }

    /// Makes those segments durably free that were freed last: the one cleaned, and what a mount left. Others may only
    /// become free when these can't come back, with records in them whose removals are gone.
    fn erase_again(&mut self, before_oldest: u32) -> Result<(), Problem<D::Error>> {
        self.reader = None;
        for slot in 0..SPOOL_SEGMENTS {
            let Slot { serial, erased, exists, .. } = self.memory.slots[slot];
            if exists && serial == 0 && erased != 0 && erased >= before_oldest {
                self.memory.slots[slot].erased = erased.min(self.newest_serial);
                self.erase(slot as u16)?;
            }
        }
        Ok(())
    }

    /// Leaves a segment in which a write failed: what may not have reached the medium is written again in the next.
    fn move_unsure(&mut self, newest: &Newest) -> Result<(), Problem<D::Error>> {
        let slot = usize::from(newest.slot);
        if newest.unsure_from > 0 {
            self.begin_segment_after(self.memory.slots[slot].serial, newest.unsure_from, 0)?;
            self.memory.slots[slot].end = newest.unsure_from;
        } else {
            // Not even its header may be there.
            self.begin_segment_after(newest.previous_serial, newest.previous_end, 0)?;
            self.memory.slots[slot].end = newest.end;
        }
        self.copy_range(newest, newest.unsure_from.max(SEGMENT_START))
    }

    /// The same with the last free segment: takes all there is, so that the other becomes free.
    fn move_all(&mut self, newest: &Newest) -> Result<(), Problem<D::Error>> {
        let serial = self.memory.slots[usize::from(newest.slot)].serial;
        self.begin_segment_after(newest.previous_serial, newest.previous_end, serial)?;
        self.copy_range(newest, SEGMENT_START)?;
        self.reader = None;
        self.erase(newest.slot)
    }

    fn copy_range(&mut self, newest: &Newest, mut at: u32) -> Result<(), Problem<D::Error>> {
        while let Some((offset, header, is_whole)) = self.next(newest.slot, at, newest.end)? {
            if is_whole && header.meta.key.kind.to_byte() != SEGMENT_KIND {
                self.copy(newest.slot, offset, &header)?;
            }
            at = offset + header.size();
        }
        self.sync_head()
    }

    /// Writes the same bytes again over what another process may have left in the cache only, and closes the holes in it.
    fn rewrite_unsure(&mut self, newest: &Newest) -> Result<(), Problem<D::Error>> {
        let Some(head) = self.head.as_mut() else { return Ok(()) };
        let mut at = newest.unsure_from;
        while at < newest.end {
            let len = ((newest.end - at) as usize).min(self.memory.chunk.len());
            let chunk = &mut self.memory.chunk[..len];
            let read = read_at(&mut head.file, at, chunk).map_err(Problem::Disk)?;
            if read < len {
                return Err(Problem::Damaged);
            }
            if let Err(error) = log::write_at(&mut head.file, at, chunk) {
                return Err(self.fail(error));
            }
            at += len as u32;
        }
        self.is_dirty = true;
        self.fill_holes(newest)?;
        self.sync_head()
    }

    /// Lets the next scan know that what lies between the records of an interrupted write is no damage.
    fn fill_holes(&mut self, newest: &Newest) -> Result<(), Problem<D::Error>> {
        let mut end = newest.unsure_from.max(SEGMENT_START);
        let mut at = end;
        while let Some((offset, header, is_whole)) = self.next(newest.slot, at, newest.end)? {
            at = offset + header.size();
            if !is_whole && header.meta.key.kind.to_byte() != SEGMENT_KIND {
                continue;
            }
            if let Some(length) = (offset - end).checked_sub(HEADER_BYTES as u32) {
                self.write_filler(end, length)?;
            }
            end = at;
        }
        Ok(())
    }

    fn write_filler(&mut self, at: u32, length: u32) -> Result<(), Problem<D::Error>> {
        let Some(head) = self.head.as_mut() else { return Ok(()) };
        let key = Key { kind: Kind::Other(SEGMENT_KIND), id: 0 };
        let meta = Meta { key, owner: 0, at: 0, blob_bytes: 0 };
        let filler = Header { meta, flags: REMOVED, length, sequence: 0, payload_crc: 0 };
        let bytes = filler.encode(head.seed);
        log::write_at(&mut head.file, at, &bytes).map_err(|error| self.fail(error))
    }
}

fn is_segment_size(bytes: u32) -> bool {
    (1024..=Place::SEGMENT_BYTES).contains(&bytes) && bytes.is_multiple_of(512)
}

const _: () = assert!(SPOOL_SEGMENTS <= Place::SEGMENTS);

fn marker_file(marker: &Marker) -> [u8; 2 * MARKER_BYTES] {
    let mut bytes = [0; 2 * MARKER_BYTES];
    let (first, second) = bytes.split_at_mut(MARKER_BYTES);
    encode_marker(marker, first);
    second.copy_from_slice(first);
    bytes
}

fn encode_marker(marker: &Marker, out: &mut [u8]) {
    let at = MARKER_MAGIC.len();
    out[..at].copy_from_slice(MARKER_MAGIC);
    // 1 + 16 + at most 5 bytes in a sector.
    let length = postcard::to_slice(marker, &mut out[at..]).map_or(0, |written| written.len());
    let mut crc = record::Checksum::new(0);
    crc.add(&out[..at + length]);
    out[at + length..at + length + 4].copy_from_slice(&crc.finish().to_le_bytes());
}

fn decode_marker(bytes: &[u8]) -> Option<Marker> {
    let body = bytes.strip_prefix(MARKER_MAGIC)?;
    let (marker, rest) = postcard::take_from_bytes::<Marker>(body).ok()?;
    let mut crc = record::Checksum::new(0);
    crc.add(&bytes[..bytes.len() - rest.len()]);
    (rest.first_chunk() == Some(&crc.finish().to_le_bytes())).then_some(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_round_trip() {
        let marker = Marker { version: 1, uuid: [7; 16], segment_bytes: 262_144 };
        let mut bytes = [0; MARKER_BYTES];
        encode_marker(&marker, &mut bytes);
        assert_eq!(decode_marker(&bytes), Some(marker));
        assert_eq!(&bytes[..18], b"pcsd spool file\n\x01\x07");
        for len in 0..40 {
            assert_eq!(decode_marker(&bytes[..len]), None);
        }
        bytes[20] ^= 1;
        assert_eq!(decode_marker(&bytes), None);
    }

    #[test]
    fn report_says_what_there_is() {
        use std::string::ToString;
        let report = Report { records: 3, segments: 1, damaged_bytes: 9, ..Report::default() };
        assert_eq!(report.to_string(), "3 records in 1 segments, 0 blobs, 9 damaged bytes");
    }
}
