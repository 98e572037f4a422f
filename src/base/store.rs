//! Frozen bytes: messages kept for retransmission and forwarding, in blocks of four sizes with a count of users.
//!
//! A [`Bytes`] is a share of one block. It is not `Clone`: [`Store::share`] makes another, [`Store::release`] gives one
//! back, and at rest every block is free again, which the tests check.

use crate::base::limits::{BLOCKS_2K, BLOCKS_8K, BLOCKS_64K, BLOCKS_512};

/// A share of frozen bytes. To be given back with [`Store::release`].
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a share that is dropped keeps its block for ever"]
pub struct Bytes {
    class: Class,
    index: u16,
    len: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    B512,
    B2K,
    B8K,
    B64K,
}

/// All blocks: so many of each size.
pub struct Store<
    const A: usize = BLOCKS_512,
    const B: usize = BLOCKS_2K,
    const C: usize = BLOCKS_8K,
    const D: usize = BLOCKS_64K,
> {
    b512: Blocks<512, A>,
    b2k: Blocks<2048, B>,
    b8k: Blocks<8192, C>,
    b64k: Blocks<65_536, D>,
}

impl<const A: usize, const B: usize, const C: usize, const D: usize> Store<A, B, C, D> {
    /// Number of blocks of all sizes.
    pub const BLOCKS: usize = A + B + C + D;

    /// A store in which every block is free.
    pub const fn new() -> Self {
        Self { b512: Blocks::new(), b2k: Blocks::new(), b8k: Blocks::new(), b64k: Blocks::new() }
    }

    /// A block for `len` bytes, of the smallest size that has one free; its content is whatever was there before.
    pub fn allocate(&mut self, len: usize) -> Option<Bytes> {
        let fits = [(512, Class::B512), (2048, Class::B2K), (8192, Class::B8K), (65_536, Class::B64K)];
        fits.into_iter().filter(|(size, _)| len <= *size).find_map(|(_, class)| {
            let index = match class {
                Class::B512 => self.b512.take(),
                Class::B2K => self.b2k.take(),
                Class::B8K => self.b8k.take(),
                Class::B64K => self.b64k.take(),
            }?;
            Some(Bytes { class, index, len: len as u32 })
        })
    }

    /// Freezes a copy of `bytes`.
    pub fn freeze(&mut self, bytes: &[u8]) -> Option<Bytes> {
        let frozen = self.allocate(bytes.len())?;
        self.get_mut(&frozen).copy_from_slice(bytes);
        Some(frozen)
    }

    /// The bytes.
    pub fn get(&self, bytes: &Bytes) -> &[u8] {
        &self.block(bytes)[..bytes.len as usize]
    }

    /// The bytes, to fill them in; only before they are shared.
    pub fn get_mut(&mut self, bytes: &Bytes) -> &mut [u8] {
        let len = bytes.len as usize;
        &mut self.block_mut(bytes)[..len]
    }

    /// The whole block behind the bytes, to read into.
    pub fn block_mut(&mut self, bytes: &Bytes) -> &mut [u8] {
        match bytes.class {
            Class::B512 => self.b512.get_mut(bytes.index),
            Class::B2K => self.b2k.get_mut(bytes.index),
            Class::B8K => self.b8k.get_mut(bytes.index),
            Class::B64K => self.b64k.get_mut(bytes.index),
        }
    }

    /// Size of the block behind the bytes.
    pub const fn capacity(&self, bytes: &Bytes) -> usize {
        match bytes.class {
            Class::B512 => 512,
            Class::B2K => 2048,
            Class::B8K => 8192,
            Class::B64K => 65_536,
        }
    }

    /// Sets the length within the block; the caller keeps it at most [`Store::capacity`].
    pub fn resize(&self, bytes: &mut Bytes, len: usize) {
        bytes.len = len.min(self.capacity(bytes)) as u32;
    }

    /// Copies what `from` holds after `start` to the front of `to`, as far as that reaches.
    pub fn copy(&mut self, from: &Bytes, start: usize, to: &Bytes) {
        let mut at = start;
        let mut buffer = [0; 256];
        loop {
            let rest = self.get(from).get(at..).unwrap_or_default();
            let part = &rest[..rest.len().min(buffer.len())];
            let len = part.len();
            buffer[..len].copy_from_slice(part);
            let Some(room) = self.get_mut(to).get_mut(at - start..at - start + len).filter(|_| len > 0) else { break };
            room.copy_from_slice(&buffer[..len]);
            at += len;
        }
    }

    /// Another share of the same bytes.
    pub fn share(&mut self, bytes: &Bytes) -> Bytes {
        *self.users(bytes) += 1;
        Bytes { class: bytes.class, index: bytes.index, len: bytes.len }
    }

    /// Gives a share back; the block is free after the last.
    pub fn release(&mut self, bytes: Bytes) {
        let users = self.users(&bytes);
        *users -= 1;
        if *users == 0 {
            match bytes.class {
                Class::B512 => self.b512.give(bytes.index),
                Class::B2K => self.b2k.give(bytes.index),
                Class::B8K => self.b8k.give(bytes.index),
                Class::B64K => self.b64k.give(bytes.index),
            }
        }
    }

    /// Blocks in use and blocks in all, by size.
    pub const fn usage(&self) -> [(usize, usize, usize); 4] {
        [
            (512, self.b512.used as usize, A),
            (2048, self.b2k.used as usize, B),
            (8192, self.b8k.used as usize, C),
            (65_536, self.b64k.used as usize, D),
        ]
    }

    fn block(&self, bytes: &Bytes) -> &[u8] {
        let index = usize::from(bytes.index);
        match bytes.class {
            Class::B512 => &self.b512.blocks[index],
            Class::B2K => &self.b2k.blocks[index],
            Class::B8K => &self.b8k.blocks[index],
            Class::B64K => &self.b64k.blocks[index],
        }
    }

    fn users(&mut self, bytes: &Bytes) -> &mut u16 {
        let index = usize::from(bytes.index);
        match bytes.class {
            Class::B512 => &mut self.b512.users[index],
            Class::B2K => &mut self.b2k.users[index],
            Class::B8K => &mut self.b8k.users[index],
            Class::B64K => &mut self.b64k.users[index],
        }
    }
}

impl<const A: usize, const B: usize, const C: usize, const D: usize> Default for Store<A, B, C, D> {
    fn default() -> Self {
        Self::new()
    }
}

struct Blocks<const SIZE: usize, const N: usize> {
    blocks: [[u8; SIZE]; N],
    users: [u16; N],
    /// A stack of free blocks that were used before: the last freed is warm, so it is taken first.
    freed: [u16; N],
    freed_len: u16,
    /// Blocks from here on were never used, so the system has not given memory for them yet.
    fresh: u16,
    used: u16,
}

impl<const SIZE: usize, const N: usize> Blocks<SIZE, N> {
    const fn new() -> Self {
        Self { blocks: [[0; SIZE]; N], users: [0; N], freed: [0; N], freed_len: 0, fresh: 0, used: 0 }
    }

    fn take(&mut self) -> Option<u16> {
        let index = if self.freed_len > 0 {
            self.freed_len -= 1;
            self.freed[usize::from(self.freed_len)]
        } else if usize::from(self.fresh) < N {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        self.users[usize::from(index)] = 1;
        self.used += 1;
        Some(index)
    }

    fn give(&mut self, index: u16) {
        self.freed[usize::from(self.freed_len)] = index;
        self.freed_len += 1;
        self.used -= 1;
    }

    fn get_mut(&mut self, index: u16) -> &mut [u8] {
        &mut self.blocks[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;

    #[test]
    fn shares_and_sizes() {
        let mut store: Box<Store> = Box::default();
        let a = store.freeze(b"INVITE").unwrap();
        let b = store.share(&a);
        store.release(a);
        assert_eq!(store.get(&b), b"INVITE");
        assert_eq!(store.usage()[0].1, 1);
        store.release(b);
        assert!(store.usage().iter().all(|(_, used, _)| *used == 0));
        assert!(store.allocate(65_537).is_none());
        let large = store.allocate(600).unwrap();
        assert_eq!(store.capacity(&large), 2048);
        store.release(large);
    }

    #[test]
    fn a_full_size_gives_way_to_the_next() {
        let mut store: Box<Store> = Box::default();
        let taken: std::vec::Vec<_> = (0..BLOCKS_512).map(|_| store.freeze(b"x").unwrap()).collect();
        let larger = store.freeze(b"y").unwrap();
        assert_eq!(store.capacity(&larger), 2048);
        for bytes in taken.into_iter().chain([larger]) {
            store.release(bytes);
        }
        assert!(store.usage().iter().all(|(_, used, _)| *used == 0));
    }
}
