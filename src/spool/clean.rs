//! Cleaning: the oldest segment's records that still count go to the head, then the segment is free.

use super::log::{self, Next};
use super::record;
use super::window::Window;
use super::{Disk, Durable, FileName, Key, Problem, Spool};

/// A segment that is being cleaned.
pub(super) struct Cleaning {
    pub slot: u16,
    pub serial: u32,
    /// Where to go on.
    offset: u32,
}

/// Records looked at in one step of [`Spool::tend`].
const STEP_RECORDS: usize = 16;
/// Bytes copied in one step, about.
const STEP_BYTES: u32 = 16 * 1024;
/// Segments that are kept free ahead of need.
const FREE_WANTED: usize = 2;

impl<D: Disk> Spool<'_, D> {
    /// Whether [`Spool::tend`] has something to do.
    pub fn is_clean_due(&self) -> bool {
        let used = self.memory.slots.iter().filter(|slot| slot.serial != 0).count();
        let gains = usize::from(self.cleaned_in_vain) <= used;
        self.usable().is_ok() && (self.cleaning.is_some() || (used > 1 && self.free_segments() < FREE_WANTED && gains))
    }

    /// Does a small step of cleaning ahead of need, when one is due: some 16 records or 16 KB, and now and then two
    /// fsyncs. Says whether there is more.
    pub fn tend(&mut self) -> Result<bool, Problem<D::Error>> {
        self.usable()?;
        if self.is_clean_due() {
            self.clean_some(STEP_RECORDS, STEP_BYTES)?;
        }
        Ok(self.is_clean_due())
    }

    /// Cleans the oldest segment to its end; `false` when that gained nothing for a whole round, or there is none.
    pub(super) fn clean_segment(&mut self) -> Result<bool, Problem<D::Error>> {
        let used = self.memory.slots.iter().filter(|slot| slot.serial != 0).count();
        if self.cleaning.is_none() && (used < 2 || usize::from(self.cleaned_in_vain) > used) {
            return Ok(false);
        }
        while !self.clean_some(usize::MAX, u32::MAX)? {}
        Ok(true)
    }

    /// Goes on with cleaning; says whether the segment is free now.
    fn clean_some(&mut self, records: usize, bytes: u32) -> Result<bool, Problem<D::Error>> {
        let Some((slot, mut offset)) = self.begin_cleaning() else { return Ok(true) };
        let state = self.memory.slots[usize::from(slot)];
        let end = if state.end == 0 { self.segment_bytes } else { state.end };
        let header_seed = record::header_seed(self.seed, state.life);
        let mut copied = 0;
        for _ in 0..records {
            if self.memory.slots[usize::from(slot)].live == 0 {
                self.recycle(slot)?;
                return Ok(true);
            }
            let source = log::source(&mut self.disk, &mut self.reader, slot).map_err(Problem::Disk)?;
            let next = match source {
                Some(file) => {
                    let mut window = Window::new(&mut self.memory.chunk);
                    log::next_record(&mut window, file, self.seed, header_seed, offset, end).map_err(Problem::Disk)?
                }
                None => Next::End,
            };
            let Next::Record { offset: at, header, .. } = next else {
                self.drop_lost(slot);
                continue;
            };
            let here = super::index::Place::new(slot, at);
            if self.memory.records.find(header.meta.key).is_some_and(|entry| entry.place() == here) {
                if !self.copy(slot, at, &header)? {
                    self.lose(header.meta.key);
                }
                copied += header.size();
            }
            offset = at + header.size();
            if let Some(cleaning) = self.cleaning.as_mut() {
                cleaning.offset = offset;
            }
            if copied >= bytes {
                break;
            }
        }
        Ok(false)
    }

    /// The segment to clean and where to go on.
    fn begin_cleaning(&mut self) -> Option<(u16, u32)> {
        if self.cleaning.is_none() {
            let head = self.head.as_ref().map(|head| head.serial);
            let used = self.memory.slots.iter().enumerate().filter(|(_, slot)| slot.serial != 0);
            let (slot, oldest) = used.filter(|(_, slot)| Some(slot.serial) != head).min_by_key(|(_, it)| it.serial)?;
            self.cleaning = Some(Cleaning { slot: slot as u16, serial: oldest.serial, offset: log::SEGMENT_START });
        }
        self.cleaning.as_ref().map(|cleaning| (cleaning.slot, cleaning.offset))
    }

    /// Frees a segment in which nothing counts any more: what took its place is durable first.
    fn recycle(&mut self, slot: u16) -> Result<(), Problem<D::Error>> {
        self.sync_head()?;
        self.reader = None;
        self.erase(slot)?;
        self.cleaning = None;
        self.cleaned_in_vain = self.cleaned_in_vain.saturating_add(1);
        Ok(())
    }

    /// Makes a segment free, durably.
    pub(super) fn erase(&mut self, slot: u16) -> Result<(), Problem<D::Error>> {
        let state = &mut self.memory.slots[usize::from(slot)];
        // One that is free already is made so again.
        let serial = state.serial.max(state.erased);
        *state = log::Slot { exists: state.exists, erased: serial, ..log::Slot::NONE };
        match self.disk.open(FileName::Segment(slot)) {
            Ok(Some(mut file)) => {
                let erased = log::SegmentHead { serial, ..log::SegmentHead::default() };
                let bytes = log::encode_segment_head(&erased, record::REMOVED, self.seed);
                let result = log::write_at(&mut file, 0, &bytes).and_then(|()| file.sync());
                result.map_err(|error| self.fail(error))
            }
            Ok(None) => {
                self.memory.slots[usize::from(slot)].exists = false;
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The medium has lost a record.
    fn lose(&mut self, key: Key) {
        if let Some(entry) = self.memory.records.find(key) {
            self.damaged_bytes += u64::from(entry.size());
        }
        self.died(key);
    }

    /// The medium has lost whatever the index still has in this segment.
    fn drop_lost(&mut self, slot: u16) {
        let lost = |entry: &&super::index::Entry| entry.place().slot() == slot;
        while let Some(key) = self.memory.records.entries().iter().find(lost).map(super::index::Entry::key) {
            self.lose(key);
        }
        self.memory.slots[usize::from(slot)].live = 0;
    }
}
