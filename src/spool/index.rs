//! The index of the spool in fixed memory: where the newest record of each key is, and what each owner has.
//!
//! 32 bytes of entry and 16 bytes of hash cells for each record. Finding, adding and removing cost the same however many
//! there are; going through them in the order in which they were put costs a pass for every 32.

use heapless::Vec;

use super::record::{Key, Kind, Meta};
use crate::base::limits::{SPOOL_OWNERS, SPOOL_RECORDS};
use crate::base::random::{Purpose, Random};
use crate::base::table::Index;

/// Where a record is: the number of its segment's file and its offset there, which is a multiple of 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(u32);

impl Place {
    /// Segments that can be told apart.
    pub const SEGMENTS: usize = 1 << (32 - Self::OFFSET_BITS);
    /// Bytes of a segment that can be reached.
    pub const SEGMENT_BYTES: u32 = 4 << Self::OFFSET_BITS;
    const OFFSET_BITS: u32 = 22;

    pub const fn new(slot: u16, offset: u32) -> Self {
        Self(((slot as u32) << Self::OFFSET_BITS) | (offset / 4))
    }

    pub const fn slot(self) -> u16 {
        (self.0 >> Self::OFFSET_BITS) as u16
    }

    pub const fn offset(self) -> u32 {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) * 4
    }
}

/// What is known of a record without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    id: u64,
    /// Sequence (40 bits), size of the record in units of 4 bytes (16), kind (8).
    packed: u64,
    owner: u32,
    at: u32,
    place: Place,
    blob_bytes: u32,
}

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    /// `size` is that of the whole record in its segment.
    pub const fn new(meta: &Meta, sequence: u64, size: u32, place: Place) -> Self {
        let units = (size / 4) as u16 as u64;
        Self {
            id: meta.key.id,
            packed: sequence << 24 | units << 8 | meta.key.kind.to_byte() as u64,
            owner: meta.owner,
            at: meta.at,
            place,
            blob_bytes: meta.blob_bytes,
        }
    }

    pub fn meta(&self) -> Meta {
        Meta { key: self.key(), owner: self.owner, at: self.at, blob_bytes: self.blob_bytes }
    }

    pub fn key(&self) -> Key {
        Key { kind: Kind::from_byte(self.packed as u8), id: self.id }
    }

    pub const fn sequence(&self) -> u64 {
        self.packed >> 24
    }

    /// Bytes of the record in its segment.
    pub const fn size(&self) -> u32 {
        (self.packed >> 8 & 0xffff) as u32 * 4
    }

    pub const fn place(&self) -> Place {
        self.place
    }

    /// The same with a blob of another length.
    const fn with_blob_bytes(self, blob_bytes: u32) -> Self {
        Self { blob_bytes, ..self }
    }

    /// What it takes of all that messages and blobs may take.
    fn bounded_bytes(&self) -> u64 {
        let own = if self.key().kind.is_message() { self.size() } else { 0 };
        u64::from(own) + u64::from(self.blob_bytes)
    }

    /// What it takes of its owner's quota.
    fn quota_bytes(&self) -> u64 {
        u64::from(self.size()) + u64::from(self.blob_bytes)
    }
}

/// Which records are meant: those of one owner, of one kind, or all.
#[derive(Clone, Copy, Default, Debug)]
pub struct Filter {
    /// Only this owner's.
    pub owner: Option<u32>,
    /// Only this kind.
    pub kind: Option<Kind>,
}

impl Filter {
    fn accepts(&self, entry: &Entry) -> bool {
        self.owner.is_none_or(|owner| owner == entry.owner) && self.kind.is_none_or(|kind| kind == entry.key().kind)
    }
}

/// What an owner's messages take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Messages.
    pub records: u32,
    /// Their bytes in the log, and those of their blobs.
    pub bytes: u64,
}

/// The newest record of every key.
pub(super) struct Records {
    entries: Vec<Entry, SPOOL_RECORDS>,
    cells: Index<{ 2 * SPOOL_RECORDS }>,
    owners: Vec<Owner, SPOOL_OWNERS>,
    owner_cells: Index<{ 2 * SPOOL_OWNERS }>,
    /// Ids come from strangers: their hashes depend on the spool's UUID.
    random: Random,
    /// There were more owners than the table holds: what they have is counted anew each time.
    is_crowded: bool,
    /// Bytes of all messages in the log and of all blobs.
    bounded_bytes: u64,
}

struct Owner {
    owner: u32,
    usage: Usage,
}

impl Records {
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            cells: Index::new(),
            owners: Vec::new(),
            owner_cells: Index::new(),
            random: Random::new(),
            is_crowded: false,
            bounded_bytes: 0,
        }
    }

    /// Forgets everything; hashes depend on `key` from now on.
    pub fn clear(&mut self, key: [u8; 16]) {
        self.entries.clear();
        self.cells.clear();
        self.owners.clear();
        self.owner_cells.clear();
        self.random.seed(key, key);
        self.is_crowded = false;
        self.bounded_bytes = 0;
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_full(&self) -> bool {
        self.entries.is_full()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn find(&self, key: Key) -> Option<&Entry> {
        self.position(key).map(|at| &self.entries[at])
    }

    /// Adds an entry or puts it in the place of the one with its key, which is given back; `Err` when all are in use.
    pub fn put(&mut self, entry: Entry) -> Result<Option<Entry>, Entry> {
        let old = match self.position(entry.key()) {
            Some(at) => Some(core::mem::replace(&mut self.entries[at], entry)),
            None => {
                self.entries.push(entry)?;
                self.cells.insert(self.hash(entry.key()), self.entries.len() - 1);
                None
            }
        };
        if let Some(old) = &old {
            self.count(old, false);
        }
        self.count(&entry, true);
        Ok(old)
    }

    /// Sets the length of a record's blob, if there is such a record; gives the former one.
    pub fn set_blob_bytes(&mut self, key: Key, blob_bytes: u32) -> Option<u32> {
        let at = self.position(key)?;
        let old = self.entries[at];
        self.entries[at] = old.with_blob_bytes(blob_bytes);
        // In this order, so that the owner of this one record is not forgotten in between.
        self.count(&old.with_blob_bytes(blob_bytes), true);
        self.count(&old, false);
        Some(old.blob_bytes)
    }

    /// Takes the entry with this key out.
    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        let at = self.position(key)?;
        self.cells.remove(self.hash(key), at);
        let last = self.entries.len() - 1;
        if at != last {
            let hash = self.hash(self.entries[last].key());
            self.cells.remove(hash, last);
            self.cells.insert(hash, at);
        }
        let old = self.entries.swap_remove(at);
        self.count(&old, false);
        Some(old)
    }

    /// Fills `batch` with the next entries after that with sequence `after`, in the order of their sequences; says how
    /// many there are.
    pub fn next(&self, after: Option<u64>, filter: &Filter, batch: &mut [Entry]) -> usize {
        let mut len = 0;
        for entry in &self.entries {
            let sequence = entry.sequence();
            if after.is_some_and(|after| sequence <= after) || !filter.accepts(entry) {
                continue;
            }
            if len == batch.len() && batch.last().is_none_or(|last| last.sequence() <= sequence) {
                continue;
            }
            let at = batch[..len].partition_point(|other| other.sequence() < sequence);
            len = (len + 1).min(batch.len());
            batch[at..len].rotate_right(1);
            batch[at] = *entry;
        }
        len
    }

    /// What an owner's messages take.
    pub fn usage(&self, owner: u32) -> Usage {
        if self.is_crowded {
            let own = self.entries.iter().filter(|entry| entry.owner == owner && entry.key().kind.is_message());
            return own.fold(Usage::default(), |sum, entry| Usage {
                records: sum.records + 1,
                bytes: sum.bytes + entry.quota_bytes(),
            });
        }
        self.owner(owner).map_or(Usage::default(), |at| self.owners[at].usage)
    }

    /// Bytes of all messages in the log and of all blobs.
    pub fn bounded_bytes(&self) -> u64 {
        self.bounded_bytes
    }

    fn count(&mut self, entry: &Entry, is_added: bool) {
        if is_added {
            self.bounded_bytes += entry.bounded_bytes();
        } else {
            self.bounded_bytes -= entry.bounded_bytes();
        }
        if !entry.key().kind.is_message() || self.is_crowded {
            return;
        }
        let at = match self.owner(entry.owner) {
            Some(at) => at,
            None => {
                if self.owners.push(Owner { owner: entry.owner, usage: Usage::default() }).is_err() {
                    self.is_crowded = true;
                    return;
                }
                self.owner_cells.insert(self.owner_hash(entry.owner), self.owners.len() - 1);
                self.owners.len() - 1
            }
        };
        let usage = &mut self.owners[at].usage;
        if is_added {
            usage.records += 1;
            usage.bytes += entry.quota_bytes();
            return;
        }
        usage.records -= 1;
        usage.bytes -= entry.quota_bytes();
        if usage.records == 0 {
            self.forget_owner(at);
        }
    }

    fn forget_owner(&mut self, at: usize) {
        self.owner_cells.remove(self.owner_hash(self.owners[at].owner), at);
        let last = self.owners.len() - 1;
        if at != last {
            let hash = self.owner_hash(self.owners[last].owner);
            self.owner_cells.remove(hash, last);
            self.owner_cells.insert(hash, at);
        }
        self.owners.swap_remove(at);
    }

    fn position(&self, key: Key) -> Option<usize> {
        self.cells.find(self.hash(key), |at| self.entries[at].key() == key)
    }

    fn owner(&self, owner: u32) -> Option<usize> {
        self.owner_cells.find(self.owner_hash(owner), |at| self.owners[at].owner == owner)
    }

    fn hash(&self, key: Key) -> u32 {
        let mut hash = self.random.hash(Purpose::Table);
        hash.put(&key.id.to_le_bytes());
        hash.put(&[key.kind.to_byte()]);
        hash.finish() as u32
    }

    fn owner_hash(&self, owner: u32) -> u32 {
        let mut hash = self.random.hash(Purpose::Table);
        hash.put(&owner.to_le_bytes());
        hash.finish() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::record::SEQUENCE_MAX;
    use std::boxed::Box;

    fn entry(kind: Kind, id: u64, owner: u32, sequence: u64) -> Entry {
        let meta = Meta { key: Key { kind, id }, owner, at: 5, blob_bytes: 100 };
        Entry::new(&meta, sequence, 60, Place::new(3, 4096))
    }

    #[test]
    fn entries_are_packed_without_loss() {
        let meta = Meta { key: Key { kind: Kind::Other(255), id: u64::MAX }, owner: 7, at: 8, blob_bytes: 9 };
        let place = Place::new(1023, Place::SEGMENT_BYTES - 4);
        let entry = Entry::new(&meta, SEQUENCE_MAX, 4 * 65_535, place);
        assert_eq!((entry.meta(), entry.sequence(), entry.size()), (meta, SEQUENCE_MAX, 4 * 65_535));
        assert_eq!((entry.place().slot(), entry.place().offset()), (1023, Place::SEGMENT_BYTES - 4));
    }

    #[test]
    fn order_is_that_of_sequences() {
        let mut records = Box::new(Records::new());
        for sequence in [5, 1, 4, 2, 3] {
            records.put(entry(Kind::Text, sequence, 1, sequence)).unwrap();
        }
        records.put(entry(Kind::Binding, 9, 1, 9)).unwrap();
        let filter = Filter { owner: Some(1), kind: Some(Kind::Text) };
        let mut batch = [entry(Kind::Text, 0, 0, 0); 2];
        let (mut after, mut seen) = (None, std::vec::Vec::new());
        loop {
            let len = records.next(after, &filter, &mut batch);
            if len == 0 {
                break;
            }
            seen.extend(batch[..len].iter().map(|entry| entry.sequence()));
            after = seen.last().copied();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn against_a_model() {
        let mut records = Box::new(Records::new());
        let mut model = std::collections::BTreeMap::new();
        let mut state = 7u64;
        for sequence in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = state >> 33 & 31;
            // More owners than a small board's table holds.
            let owner = (state >> 40) as u32 % (SPOOL_OWNERS as u32 / 2 + 1);
            if state >> 63 == 0 {
                let new = entry(Kind::Text, id, owner, sequence);
                if let Ok(old) = records.put(new) {
                    assert_eq!(old, model.insert(id, new));
                }
            } else {
                assert_eq!(records.remove(Key { kind: Kind::Text, id }), model.remove(&id));
            }
            assert_eq!(records.find(Key { kind: Kind::Text, id }), model.get(&id));
            let count = model.values().filter(|entry| entry.owner == owner).count() as u32;
            assert_eq!(records.usage(owner), Usage { records: count, bytes: u64::from(count) * 160 });
            assert_eq!(records.bounded_bytes(), model.len() as u64 * 160);
        }
    }

    #[test]
    fn a_blob_that_grows_counts() {
        let mut records = Box::new(Records::new());
        records.put(entry(Kind::Voice, 1, 7, 1)).unwrap();
        records.put(entry(Kind::Greeting, 2, 7, 2)).unwrap();
        records.put(entry(Kind::Binding, 3, 7, 3).with_blob_bytes(0)).unwrap();
        assert_eq!(records.set_blob_bytes(Key { kind: Kind::Voice, id: 1 }, 500), Some(100));
        assert_eq!(records.set_blob_bytes(Key { kind: Kind::Greeting, id: 2 }, 50), Some(100));
        assert_eq!(records.set_blob_bytes(Key { kind: Kind::Voice, id: 9 }, 50), None);
        assert_eq!(records.usage(7), Usage { records: 1, bytes: 560 });
        assert_eq!(records.bounded_bytes(), 560 + 50);
    }

    #[test]
    fn more_owners_than_the_table_holds() {
        let mut records = Box::new(Records::new());
        let owners = (SPOOL_OWNERS as u32 + 3).min(SPOOL_RECORDS as u32);
        for owner in 0..owners {
            records.put(entry(Kind::Text, owner.into(), owner, owner.into())).unwrap();
        }
        for owner in 0..owners {
            assert_eq!(records.usage(owner).records, 1);
            records.remove(Key { kind: Kind::Text, id: owner.into() });
            assert_eq!(records.usage(owner).records, 0);
        }
    }
}
