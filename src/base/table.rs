//! Tables of fixed capacity with generation-checked handles, and hash indexes that hold handles only.
//!
//! An empty table is all zero bytes, so that a static one lives in `.bss` and costs no memory until used. Nothing here
//! frees by itself: who inserts, removes.

use core::fmt;
use core::marker::PhantomData;

use heapless::Vec;

/// Names one object of a [`Table`]; stays invalid after that object is removed, even when its slot is used again.
pub struct Handle<T> {
    index: u16,
    generation: u16,
    of: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    /// The slot, below the table's capacity.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The handle as one number, for a place outside the core (a branch parameter, a token).
    pub const fn to_bits(self) -> u32 {
        (self.generation as u32) << 16 | self.index as u32
    }

    /// The handle that [`Handle::to_bits`] made; checked like any other when it is used.
    pub const fn from_bits(bits: u32) -> Self {
        Self { index: bits as u16, generation: (bits >> 16) as u16, of: PhantomData }
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl<T> Eq for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// At most `N` objects, each in a slot of its own.
pub struct Table<T, const N: usize> {
    slots: Vec<Slot<T>, N>,
    /// The first vacant slot, plus one.
    vacant: u16,
    len: u16,
}

struct Slot<T> {
    generation: u16,
    /// The next vacant slot plus one, while this one is vacant.
    next: u16,
    value: Option<T>,
}

impl<T, const N: usize> Table<T, N> {
    /// An empty table.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), vacant: 0, len: 0 }
    }

    /// Puts `value` into a vacant slot, or gives it back when the table is full.
    pub fn insert(&mut self, value: T) -> Result<Handle<T>, T> {
        let index = match self.vacant {
            0 => {
                if self.slots.push(Slot { generation: 0, next: 0, value: None }).is_err() {
                    return Err(value);
                }
                self.slots.len() - 1
            }
            vacant => {
                let index = usize::from(vacant) - 1;
                self.vacant = self.slots[index].next;
                index
            }
        };
        let slot = &mut self.slots[index];
        slot.value = Some(value);
        self.len += 1;
        Ok(Handle { index: index as u16, generation: slot.generation, of: PhantomData })
    }

    /// Puts `value` into slot `index`, or gives it back when that is not vacant. Slower than [`Table::insert`].
    pub fn insert_at(&mut self, index: usize, value: T) -> Result<Handle<T>, T> {
        if index >= N || self.handle_at(index).is_some() {
            return Err(value);
        }
        while self.slots.len() <= index {
            if self.slots.push(Slot { generation: 0, next: self.vacant, value: None }).is_err() {
                return Err(value);
            }
            self.vacant = self.slots.len() as u16;
        }
        // To the front of the vacant ones, from where it is taken next.
        let number = index as u16 + 1;
        let mut before = self.vacant;
        while before != number && before != 0 {
            let (next, after) = (self.slots[usize::from(before) - 1].next, self.slots[index].next);
            if next == number {
                self.slots[usize::from(before) - 1].next = after;
                self.slots[index].next = core::mem::replace(&mut self.vacant, number);
                break;
            }
            before = next;
        }
        self.insert(value)
    }

    /// Puts `value` into slot `index` if that is vacant, else, or without one, where there is room.
    pub fn insert_near(&mut self, index: Option<usize>, value: T) -> Result<Handle<T>, T> {
        match index {
            Some(index) if index < N && self.handle_at(index).is_none() => self.insert_at(index, value),
            _ => self.insert(value),
        }
    }

    /// Takes the object out; its handles become invalid.
    pub fn remove(&mut self, handle: Handle<T>) -> Option<T> {
        let slot = self.slots.get_mut(handle.index()).filter(|slot| slot.generation == handle.generation)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.vacant;
        self.vacant = handle.index + 1;
        self.len -= 1;
        Some(value)
    }

    /// The object, if the handle is still valid.
    pub fn get(&self, handle: Handle<T>) -> Option<&T> {
        self.slots.get(handle.index()).filter(|slot| slot.generation == handle.generation)?.value.as_ref()
    }

    /// The object, to change it, if the handle is still valid.
    pub fn get_mut(&mut self, handle: Handle<T>) -> Option<&mut T> {
        self.slots.get_mut(handle.index()).filter(|slot| slot.generation == handle.generation)?.value.as_mut()
    }

    /// The handle of the object in slot `index` now.
    pub fn handle_at(&self, index: usize) -> Option<Handle<T>> {
        let slot = self.slots.get(index).filter(|slot| slot.value.is_some())?;
        Some(Handle { index: index as u16, generation: slot.generation, of: PhantomData })
    }

    /// Every object with its handle, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<T>, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let handle = Handle { index: index as u16, generation: slot.generation, of: PhantomData };
            Some((handle, slot.value.as_ref()?))
        })
    }

    /// The handle that the next [`Table::insert`] will give, or `None` when the table is full.
    pub fn next_handle(&self) -> Option<Handle<T>> {
        match self.vacant {
            0 if self.slots.len() < N => {
                Some(Handle { index: self.slots.len() as u16, generation: 0, of: PhantomData })
            }
            0 => None,
            vacant => {
                let generation = self.slots[usize::from(vacant) - 1].generation;
                Some(Handle { index: vacant - 1, generation, of: PhantomData })
            }
        }
    }

    /// Number of objects.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no object.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether no object fits any more.
    pub const fn is_full(&self) -> bool {
        self.len() == N
    }

    /// Bytes of memory, used or not.
    pub const fn bytes() -> usize {
        size_of::<Self>()
    }
}

impl<T, const N: usize> Default for Table<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds slot indexes by a hash: open addressing over `N` cells, of which the user fills at most half.
///
/// Several entries may have the same hash. Keys are compared by the caller, who has the objects.
pub struct Index<const N: usize> {
    cells: [Cell; N],
}

#[derive(Clone, Copy)]
struct Cell {
    hash: u32,
    /// The slot index plus one; 0 marks an empty cell.
    entry: u16,
}

impl<const N: usize> Index<N> {
    /// An empty index.
    pub const fn new() -> Self {
        Self { cells: [Cell { hash: 0, entry: 0 }; N] }
    }

    /// Empties it where it lies. Cells that are empty are only read: memory that was never written stays so.
    pub fn clear(&mut self) {
        self.cells.iter_mut().filter(|cell| cell.entry != 0).for_each(|cell| *cell = Cell { hash: 0, entry: 0 });
    }

    /// Adds slot `index` under `hash`. The caller keeps at most `N / 2` entries.
    pub fn insert(&mut self, hash: u32, index: usize) {
        let mut at = Self::home(hash);
        for _ in 0..N {
            if self.cells[at].entry == 0 {
                self.cells[at] = Cell { hash, entry: index as u16 + 1 };
                return;
            }
            at = Self::after(at);
        }
        unreachable!("an index holds at most as many entries as its table, which has half its cells");
    }

    /// The first slot index under `hash` that `matches` accepts.
    pub fn find(&self, hash: u32, mut matches: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut at = Self::home(hash);
        for _ in 0..N {
            let cell = self.cells[at];
            if cell.entry == 0 {
                return None;
            }
            if cell.hash == hash && matches(usize::from(cell.entry) - 1) {
                return Some(usize::from(cell.entry) - 1);
            }
            at = Self::after(at);
        }
        None
    }

    /// Takes slot `index` under `hash` out.
    pub fn remove(&mut self, hash: u32, index: usize) {
        let mut hole = Self::home(hash);
        loop {
            let cell = self.cells[hole];
            if cell.entry == 0 {
                return;
            }
            if cell.hash == hash && usize::from(cell.entry) - 1 == index {
                break;
            }
            hole = Self::after(hole);
        }
        // Close the gap: move back what a search would no longer reach across it.
        let mut at = Self::after(hole);
        while self.cells[at].entry != 0 {
            let distance = (at + N - Self::home(self.cells[at].hash)) % N;
            if distance >= (at + N - hole) % N {
                self.cells[hole] = self.cells[at];
                hole = at;
            }
            at = Self::after(at);
        }
        self.cells[hole].entry = 0;
    }

    fn home(hash: u32) -> usize {
        ((u64::from(hash) * N as u64) >> 32) as usize
    }

    fn after(at: usize) -> usize {
        if at + 1 == N { 0 } else { at + 1 }
    }
}

impl<const N: usize> Default for Index<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_die_with_their_object() {
        let mut table: Table<u8, 2> = Table::new();
        let a = table.insert(1).unwrap();
        let expected = table.next_handle();
        let b = table.insert(2).unwrap();
        assert_eq!(Some(b), expected);
        assert_eq!(table.insert(3), Err(3));
        assert_eq!(table.next_handle(), None);
        assert_eq!(table.remove(a), Some(1));
        assert_eq!(table.remove(a), None);
        let c = table.insert(4).unwrap();
        assert_eq!((table.get(a), table.get(b), table.get(c)), (None, Some(&2), Some(&4)));
        assert_eq!(Handle::<u8>::from_bits(c.to_bits()), c);
        assert_eq!(table.iter().map(|(_, value)| *value).sum::<u8>(), 6);
    }

    #[test]
    fn in_a_slot_of_ones_choice() {
        for order in [[3, 0, 1, 2], [0, 1, 2, 3], [1, 3, 2, 0], [2, 1, 0, 3]] {
            let mut table: Table<usize, 4> = Table::new();
            for (round, index) in order.into_iter().enumerate() {
                assert_eq!(table.insert_at(index, 10 + index).map(Handle::index), Ok(index));
                assert_eq!(
                    (table.insert_at(index, 1), table.insert_at(4, 1), table.len()),
                    (Err(1), Err(1), round + 1)
                );
            }
            assert!(table.is_full() && table.next_handle().is_none());
            assert_eq!(table.insert(1), Err(1));
            let handle = table.handle_at(order[1]).unwrap();
            assert_eq!(table.remove(handle), Some(10 + order[1]));
            assert_eq!(table.insert(7).map(Handle::index), Ok(order[1]));
        }
        // Those in between stay vacant.
        let mut table: Table<usize, 4> = Table::new();
        table.insert_at(2, 0).unwrap();
        let mut rest: std::vec::Vec<_> = (0..3).map(|_| table.insert(1).unwrap().index()).collect();
        rest.sort_unstable();
        assert_eq!((rest, table.insert(1)), (std::vec![0, 1, 3], Err(1)));
    }

    #[test]
    fn index_survives_collisions_and_removal() {
        let mut index: Index<8> = Index::new();
        // All in one cluster that wraps around the end.
        let hashes = [u32::MAX, u32::MAX, u32::MAX - 1, 0];
        for (slot, hash) in hashes.iter().enumerate() {
            index.insert(*hash, slot);
        }
        index.remove(u32::MAX, 0);
        assert_eq!(index.find(u32::MAX, |_| true), Some(1));
        assert_eq!(index.find(u32::MAX - 1, |_| true), Some(2));
        assert_eq!(index.find(0, |_| true), Some(3));
        for (slot, hash) in hashes.iter().enumerate().skip(1) {
            index.remove(*hash, slot);
        }
        assert!(index.cells.iter().all(|cell| cell.entry == 0));
        assert_eq!(index.find(0, |_| true), None);
    }

    #[test]
    fn cleared_index_is_as_new() {
        let mut index: Index<8> = Index::new();
        (0..4).for_each(|slot| index.insert(u32::MAX, slot));
        index.clear();
        assert_eq!(index.find(u32::MAX, |_| true), None);
        assert!(index.cells.iter().all(|cell| cell.entry == 0));
        // As many again as it takes.
        (0..4).for_each(|slot| index.insert(u32::MAX, slot));
        assert_eq!(index.find(u32::MAX, |slot| slot == 3), Some(3));
    }

    #[test]
    fn index_against_a_model() {
        let mut index: Index<64> = Index::new();
        let mut model: [Option<u32>; 32] = [None; 32];
        let mut state = 7u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (state >> 8) as usize % 32;
            match model[slot].take() {
                Some(hash) => index.remove(hash, slot),
                None => {
                    // Few distinct hashes, so that clusters are long.
                    let hash = (state >> 20) % 6 * 0x2aaa_aaaa;
                    index.insert(hash, slot);
                    model[slot] = Some(hash);
                }
            }
            for (slot, hash) in model.iter().enumerate() {
                if let Some(hash) = hash {
                    assert_eq!(index.find(*hash, |found| found == slot), Some(slot));
                }
            }
        }
    }
}
