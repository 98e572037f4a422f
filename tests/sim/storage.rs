//! What a simulated machine keeps records in: its memory, which outlives the program, and its disk, which outlives its
//! power. Records are handed over as the runtime's worker takes them: so many at a time, written as one group, answered
//! in their order.

use std::collections::{BTreeMap, VecDeque};

use crate::random::Rng;
use crate::world::{Event, World};
use pcsd::server::contract::{Input, Source, Storage, StoreError, Ticket};
use pcsd::spool::{Key, Kind};

/// Records by kind and id.
pub type Records = BTreeMap<(u8, u64), Vec<u8>>;

/// The storage of one machine.
pub struct Store {
    /// Where records go.
    pub place: Storage,
    /// What is in memory.
    pub memory: Records,
    /// What is on the disk.
    pub disk: Disk,
    /// How long one group takes, least and most ms.
    pub delay: (u64, u64),
    /// Whether nothing gets done.
    pub is_stalled: bool,
    /// Groups that fail, per mille.
    pub failing: u64,
    /// Records that may be on their way at once.
    pub room: usize,
    /// Whether any has.
    pub has_failed: bool,
    /// Groups that are durable.
    pub groups: u64,
    jobs: VecDeque<Job>,
    is_busy: bool,
    last: Option<Ticket>,
}

/// A disk.
#[allow(clippy::large_enum_variant, reason = "there is one for each simulated machine")]
pub enum Disk {
    /// One that does everything at once.
    Plain(Records),
    /// The spool's engine over a simulated one.
    Spool(Box<crate::stick::Stick>),
}

/// One record on its way: its bytes, or `None` to forget it.
#[derive(Clone)]
pub struct Job {
    /// To be named in the answer.
    pub ticket: Ticket,
    /// Its key.
    pub key: Key,
    /// Its bytes.
    pub bytes: Option<Vec<u8>>,
}

impl Store {
    /// An empty memory and an empty disk, both fast.
    pub fn new() -> Self {
        Self {
            place: Storage::Memory,
            memory: Records::new(),
            disk: Disk::Plain(Records::new()),
            delay: (0, 1),
            is_stalled: false,
            failing: 0,
            has_failed: false,
            room: 16,
            groups: 0,
            jobs: VecDeque::new(),
            is_busy: false,
            last: None,
        }
    }

    /// Whether another record may be handed over.
    pub fn has_room(&self) -> bool {
        self.jobs.len() < self.room
    }

    /// Records on their way.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Keys and bytes, in any order.
    pub fn records(&mut self, source: Source, random: &mut Rng) -> Vec<(Key, Vec<u8>)> {
        let records = match (source, &mut self.disk) {
            (Source::Memory, _) => self.memory.clone(),
            (Source::Disk, Disk::Plain(records)) => records.clone(),
            (Source::Disk, Disk::Spool(stick)) => stick.records(),
        };
        let key = |(kind, id)| Key { kind: Kind::from_byte(kind), id };
        let mut told: Vec<_> = records.into_iter().map(|(id, bytes)| (key(id), bytes)).collect();
        for index in (1..told.len()).rev() {
            told.swap(index, random.below(index as u64 + 1) as usize);
        }
        told
    }

    /// Where the newest records are.
    pub fn current(&mut self, random: &mut Rng) -> Vec<(Key, Vec<u8>)> {
        match self.place {
            Storage::Absent => Vec::new(),
            Storage::Memory => self.records(Source::Memory, random),
            Storage::Disk => self.records(Source::Disk, random),
        }
    }

    /// The program ends: of what was on its way some may have been written, though nobody was told.
    pub fn interrupt(&mut self, random: &mut Rng) {
        let written = random.below(self.jobs.len() as u64 + 1) as usize;
        let written: Vec<Job> = self.jobs.drain(..).take(written).collect();
        match &mut self.disk {
            Disk::Spool(stick) if self.place == Storage::Disk => stick.break_off(&written, random),
            _ => drop(self.write(&written)),
        }
        if let Disk::Spool(stick) = &mut self.disk {
            stick.restart();
        }
        (self.is_busy, self.last) = (false, None);
    }

    /// The power goes.
    pub fn lose_power(&mut self, random: &mut Rng) {
        self.memory.clear();
        if let Disk::Spool(stick) = &mut self.disk {
            stick.cut_power(random);
        }
    }

    /// Another place; what was on its way to the old one.
    pub fn switch(&mut self, place: Storage) -> Vec<Job> {
        self.place = place;
        self.jobs.drain(..).collect()
    }

    /// What is handed over.
    pub fn take(&mut self, job: Job) {
        assert_ne!(self.place, Storage::Absent, "there is no storage");
        assert!(self.has_room(), "there was no room");
        assert!(self.last.is_none_or(|last| job.ticket.0 == last.0.wrapping_add(1)), "tickets count up by one");
        self.last = Some(job.ticket);
        self.jobs.push_back(job);
    }

    fn write(&mut self, jobs: &[Job]) -> Result<(), StoreError> {
        let records = match (self.place, &mut self.disk) {
            (Storage::Absent, _) => return Err(StoreError::NoDisk),
            (Storage::Memory, _) => &mut self.memory,
            (Storage::Disk, Disk::Plain(records)) => records,
            (Storage::Disk, Disk::Spool(stick)) => return stick.write(jobs),
        };
        for Job { key, bytes, .. } in jobs {
            let id = (key.kind.to_byte(), key.id);
            match bytes {
                Some(bytes) => records.insert(id, bytes.clone()),
                None => records.remove(&id),
            };
        }
        Ok(())
    }
}

impl World {
    /// A record was handed over: a group begins unless one is being written.
    pub(crate) fn store(&mut self, server: usize, job: Job) {
        self.note(format!(
            "server {server} stores {:?} {:?}: {:?}",
            job.ticket,
            job.key,
            job.bytes.as_ref().map(Vec::len)
        ));
        self.servers[server].store.take(job);
        self.begin_group(server);
    }

    /// Lets the storage of a machine work again.
    pub fn unstall(&mut self, server: usize) {
        self.servers[server].store.is_stalled = false;
        self.begin_group(server);
    }

    fn begin_group(&mut self, server: usize) {
        let (life, store) = (self.servers[server].lives, &mut self.servers[server].store);
        if store.is_busy || store.is_stalled || store.jobs.is_empty() {
            return;
        }
        store.is_busy = true;
        let (least, most) = store.delay;
        let (at, jobs) = (self.now + least, store.jobs.len());
        let at = at + self.random.below(most - least + 1);
        self.push(at, Event::Group { server, life, jobs });
    }

    /// A group of so many records is done.
    pub(crate) fn group_done(&mut self, server: usize, life: usize, jobs: usize) {
        if self.servers[server].lives != life || !self.servers[server].is_up {
            return;
        }
        let store = &mut self.servers[server].store;
        store.is_busy = false;
        if !store.is_stalled {
            let jobs: Vec<Job> = store.jobs.iter().take(jobs).cloned().collect();
            let mut outcome = if self.random.chance(store.failing) { Err(StoreError::Failed) } else { Ok(()) };
            outcome = outcome.and_then(|()| store.write(&jobs));
            store.has_failed |= outcome.is_err();
            store.groups += u64::from(outcome.is_ok());
            for job in jobs {
                let store = &mut self.servers[server].store;
                // What comes while these are answered is behind them.
                if store.jobs.front().map(|front| front.ticket) == Some(job.ticket) {
                    store.jobs.pop_front();
                    self.input(server, Input::Stored { ticket: job.ticket, outcome });
                }
            }
        }
        let store = &mut self.servers[server].store;
        if store.place == Storage::Disk && store.jobs.is_empty() {
            // All is on the disk: what memory has grows old.
            store.memory.clear();
        }
        self.begin_group(server);
    }
}
