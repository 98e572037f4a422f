//! A disk in memory that does what real ones do: keeps unsynced sectors back, loses and tears them when the power goes,
//! fills up, fails, and forgets what a failed fsync should have written while it still reads it back.
//!
//! Handles to the same disk share it. What a program reads is the cache; what a power cut leaves is the medium.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use pcsd::spool::{Disk, Durable, FileName};

use crate::random::Rng;

pub const SECTOR: usize = 512;

/// What goes wrong, and when. Numbers count down.
#[derive(Clone, Default, Debug)]
pub struct Faults {
    /// Bytes that can still be written before the power goes; creating, removing and syncing cost one each.
    pub fuel: Option<u64>,
    /// The n-th operation that writes or syncs from now on fails.
    pub fail_in: Option<u64>,
    /// The n-th fsync of a file from now on fails: its pages count as written and are not.
    pub fail_sync_in: Option<u64>,
    /// Every operation fails: the stick is pulled out.
    pub is_gone: bool,
    /// Bytes of all files together.
    pub room: Option<u64>,
}

/// What was asked of the disk.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    pub writes: u64,
    pub bytes_written: u64,
    pub syncs: u64,
    pub changes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No room.
    Full,
    /// An I/O error.
    Io,
    /// The power is gone.
    Cut,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl embedded_io::Error for Fault {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

#[derive(Clone, Default)]
struct Node {
    /// What programs read.
    cache: Vec<u8>,
    /// What the medium has.
    medium: Vec<u8>,
    /// Sectors of the cache that the medium lacks and an fsync would write.
    dirty: BTreeSet<usize>,
}

#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    /// What programs see.
    names: BTreeMap<String, usize>,
    /// What a power cut leaves for sure.
    durable_names: BTreeMap<String, usize>,
    faults: Faults,
    counts: Counts,
    listings: usize,
}

/// One simulated disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Rc<RefCell<World>>);

impl SimDisk {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub fn faults(&self) -> Faults {
        self.0.borrow().faults.clone()
    }

    pub fn counts(&self) -> Counts {
        self.0.borrow().counts.clone()
    }

    /// How often the folder was listed.
    pub fn listings(&self) -> usize {
        self.0.borrow().listings
    }

    /// The disk after the power came back: of what was not synced a part that `rng` chooses is there.
    pub fn after_power_cut(&self, rng: &mut Rng) -> Self {
        let world = self.0.borrow();
        let mut next = World::default();
        // Names that were not made durable may be there or not; so may removals.
        let mut names = world.durable_names.clone();
        for (name, node) in &world.names {
            if world.durable_names.get(name) != Some(node) && rng.chance(500) {
                names.insert(name.clone(), *node);
            }
        }
        for name in world.durable_names.keys() {
            if !world.names.contains_key(name) && rng.chance(500) {
                names.remove(name);
            }
        }
        let survival = [0, 200, 500, 800, 1000][rng.below(5) as usize];
        for (name, node) in names {
            let bytes = survivors(&world.nodes[node], survival, rng);
            next.add(&name, bytes);
        }
        Self(Rc::new(RefCell::new(next)))
    }

    /// The same disk seen by a new process: the cache is still there, faults are over.
    pub fn after_restart(&self) -> Self {
        self.0.borrow_mut().faults = Faults::default();
        self.clone()
    }

    /// A copy of what programs see, all of it durable.
    pub fn snapshot(&self) -> Self {
        let world = self.0.borrow();
        let mut next = World::default();
        world.names.iter().for_each(|(name, node)| next.add(name, world.nodes[*node].cache.clone()));
        Self(Rc::new(RefCell::new(next)))
    }

    /// A file's bytes, by any name.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.0.borrow();
        world.names.get(name).map(|node| world.nodes[*node].cache.clone())
    }

    /// Puts a durable file there, with any name.
    pub fn set_file(&self, name: &str, bytes: Vec<u8>) {
        self.0.borrow_mut().add(name, bytes);
    }

    pub fn remove_file(&self, name: &str) {
        let mut world = self.0.borrow_mut();
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }
}

fn survivors(node: &Node, survival: u64, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = node.medium.clone();
    for sector in &node.dirty {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(node.cache.len());
        if from >= to || !rng.chance(survival) {
            continue;
        }
        // One in four is torn at a byte, or rather at its front or its back.
        let (mut start, mut end) = (from, to);
        match rng.below(8) {
            0 => end = from + rng.below((to - from) as u64) as usize,
            1 => start = from + rng.below((to - from) as u64) as usize,
            _ => {}
        }
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(&node.cache[start..end]);
    }
    bytes
}

impl World {
    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.nodes.push(Node { cache: bytes.clone(), medium: bytes, dirty: BTreeSet::new() });
        self.names.insert(name.to_string(), self.nodes.len() - 1);
        self.durable_names.insert(name.to_string(), self.nodes.len() - 1);
    }

    /// Before an operation that changes something.
    fn change(&mut self) -> Result<(), Fault> {
        self.counts.changes += 1;
        if self.faults.is_gone {
            return Err(Fault::Io);
        }
        if let Some(left) = self.faults.fail_in.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.faults.fail_in = None;
                return Err(Fault::Io);
            }
        }
        Ok(())
    }

    /// Takes fuel for so many bytes; says how many there was fuel for.
    fn burn(&mut self, bytes: u64) -> u64 {
        match self.faults.fuel.as_mut() {
            None => bytes,
            Some(fuel) => {
                let burnt = bytes.min(*fuel);
                *fuel -= burnt;
                if burnt < bytes {
                    self.faults.is_gone = true;
                }
                burnt
            }
        }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|node| self.nodes[*node].cache.len() as u64).sum()
    }

    fn write(&mut self, node: usize, at: usize, bytes: &[u8]) -> Result<usize, Fault> {
        self.change()?;
        let mut len = bytes.len();
        let growth = (at + len).saturating_sub(self.nodes[node].cache.len()) as u64;
        if let Some(room) = self.faults.room {
            let left = room.saturating_sub(self.used());
            if growth > left {
                len -= (growth - left).min(len as u64) as usize;
                if len == 0 {
                    return Err(Fault::Full);
                }
            }
        }
        let burnt = self.burn(len as u64) as usize;
        let file = &mut self.nodes[node];
        if file.cache.len() < at + burnt {
            file.cache.resize(at + burnt, 0);
        }
        file.cache[at..at + burnt].copy_from_slice(&bytes[..burnt]);
        if burnt > 0 {
            file.dirty.extend(at / SECTOR..=(at + burnt - 1) / SECTOR);
        }
        self.counts.writes += 1;
        self.counts.bytes_written += burnt as u64;
        if burnt < len { Err(Fault::Cut) } else { Ok(len) }
    }

    fn sync(&mut self, node: usize) -> Result<(), Fault> {
        self.change()?;
        self.counts.syncs += 1;
        if self.burn(1) == 0 {
            return Err(Fault::Cut);
        }
        let file = &mut self.nodes[node];
        if let Some(left) = self.faults.fail_sync_in.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.faults.fail_sync_in = None;
                // The pages stay in the cache and are clean: no later fsync writes them.
                file.dirty.clear();
                return Err(Fault::Io);
            }
        }
        let dirty = std::mem::take(&mut file.dirty);
        for sector in dirty {
            let to = ((sector + 1) * SECTOR).min(file.cache.len());
            if file.medium.len() < to {
                file.medium.resize(to, 0);
            }
            file.medium[sector * SECTOR..to].copy_from_slice(&file.cache[sector * SECTOR..to]);
        }
        Ok(())
    }
}

pub struct SimFile {
    world: Rc<RefCell<World>>,
    node: usize,
    at: usize,
}

impl ErrorType for SimFile {
    type Error = Fault;
}

impl Read for SimFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let world = self.world.borrow();
        if world.faults.is_gone {
            return Err(Fault::Io);
        }
        let bytes = world.nodes[self.node].cache.get(self.at..).unwrap_or(&[]);
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let len = self.world.borrow_mut().write(self.node, self.at, bytes)?;
        self.at += len;
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Seek for SimFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Fault> {
        let len = self.world.borrow().nodes[self.node].cache.len() as i64;
        let at = match to {
            SeekFrom::Start(at) => at as i64,
            SeekFrom::End(by) => len + by,
            SeekFrom::Current(by) => self.at as i64 + by,
        };
        self.at = at as usize;
        Ok(at as u64)
    }
}

impl Durable for SimFile {
    fn sync(&mut self) -> Result<(), Fault> {
        self.world.borrow_mut().sync(self.node)
    }
}

impl Disk for SimDisk {
    type Error = Fault;
    type File = SimFile;

    fn open(&mut self, name: FileName) -> Result<Option<SimFile>, Fault> {
        let world = self.0.borrow();
        if world.faults.is_gone {
            return Err(Fault::Io);
        }
        Ok(world.names.get(&name.to_string()).map(|node| SimFile { world: self.0.clone(), node: *node, at: 0 }))
    }

    fn create(&mut self, name: FileName) -> Result<SimFile, Fault> {
        let mut world = self.0.borrow_mut();
        world.change()?;
        if world.faults.room.is_some_and(|room| world.used() >= room) {
            return Err(Fault::Full);
        }
        if world.burn(1) == 0 {
            return Err(Fault::Cut);
        }
        world.nodes.push(Node::default());
        let node = world.nodes.len() - 1;
        world.names.insert(name.to_string(), node);
        Ok(SimFile { world: self.0.clone(), node, at: 0 })
    }

    fn remove(&mut self, name: FileName) -> Result<(), Fault> {
        let mut world = self.0.borrow_mut();
        world.change()?;
        if world.burn(1) == 0 {
            return Err(Fault::Cut);
        }
        world.names.remove(&name.to_string());
        Ok(())
    }

    fn list(&mut self, each: &mut dyn FnMut(FileName, u64)) -> Result<(), Fault> {
        let mut world = self.0.borrow_mut();
        world.listings += 1;
        if world.faults.is_gone {
            return Err(Fault::Io);
        }
        for (name, node) in &world.names {
            if let Some(name) = FileName::parse(name) {
                each(name, world.nodes[*node].cache.len() as u64);
            }
        }
        Ok(())
    }

    fn sync_directory(&mut self) -> Result<(), Fault> {
        let mut world = self.0.borrow_mut();
        world.change()?;
        world.counts.syncs += 1;
        if world.burn(1) == 0 {
            return Err(Fault::Cut);
        }
        world.durable_names = world.names.clone();
        Ok(())
    }

    fn is_full(error: &Fault) -> bool {
        *error == Fault::Full
    }
}
