//! What a simulated machine keeps records in: its memory, which outlives the program, and its disk, which outlives its
//! power. Requests are handed over as the runtime's worker takes them: so many at a time, done as one group, answered
//! in their order; what was appended to blobs is made durable within the second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::host::Host;
use crate::random::Rng;
use crate::world::{Event, World};
use pcsd::server::contract::{BlobStep, Input, Source, Storage, StoreError, Ticket};
use pcsd::spool::{Key, Kind, Meta};

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
    /// Requests that may be on their way at once.
    pub room: usize,
    /// Whether any has.
    pub has_failed: bool,
    /// Groups that are durable.
    pub groups: u64,
    /// Answers to what no server asked for, in order.
    pub answers: Vec<(Key, Answer)>,
    jobs: VecDeque<Job>,
    is_busy: bool,
    /// Whether blobs are to be made durable soon.
    is_sync_due: bool,
    /// Bindings and subscriptions in memory that the disk has taken or forgotten.
    taken: BTreeSet<(u8, u64)>,
    last: Option<Ticket>,
}

/// A disk.
#[allow(clippy::large_enum_variant, reason = "there is one for each simulated machine")]
pub enum Disk {
    /// One that does everything at once.
    Plain(Plain),
    /// The spool's engine over a simulated one.
    Spool(Box<crate::stick::Stick>),
}

/// A disk that does everything at once, and never fails.
#[derive(Default)]
pub struct Plain {
    records: Records,
    blobs: Records,
    /// Those that can be appended to.
    open: BTreeSet<(u8, u64)>,
}

/// One request on its way.
#[derive(Clone)]
pub struct Job {
    /// To be named in the answer; `None`: a test wants to know, not the server.
    pub ticket: Option<Ticket>,
    /// Its key.
    pub key: Key,
    /// What is wanted.
    pub what: What,
}

/// What may be wanted.
#[derive(Clone, Debug)]
pub enum What {
    /// A record is to be kept.
    Put { owner: u32, bytes: Vec<u8>, blob: BlobStep },
    /// And to be forgotten.
    Forget,
    /// Its first byte is to be this.
    Amend(u8),
    /// Its blob is to be longer.
    Append(Vec<u8>),
    /// It is to be read.
    Load,
    /// A part of its blob is.
    Read { offset: u32, len: u32 },
}

/// What became of a request, and what was read.
pub type Answer = Result<Vec<u8>, StoreError>;

/// A record as it is on a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnDisk {
    /// Its key.
    pub key: Key,
    /// Its payload.
    pub payload: Vec<u8>,
    /// What is in its blob.
    pub blob: Vec<u8>,
}

impl Job {
    fn is_load(&self) -> bool {
        matches!(self.what, What::Load | What::Read { .. })
    }

    /// Whether it is about the journal, which may be anywhere.
    pub fn is_journal(&self) -> bool {
        is_journal(self.key.kind) && !self.is_load()
    }
}

fn is_journal(kind: Kind) -> bool {
    !kind.is_message() && !kind.has_blob()
}

impl Plain {
    fn perform(&mut self, Job { key, what, .. }: &Job) -> Answer {
        let id = (key.kind.to_byte(), key.id);
        let mut nothing = Vec::new();
        match what {
            What::Put { bytes, blob, .. } => {
                match blob {
                    BlobStep::Open if key.kind.has_blob() => {
                        self.open.insert(id);
                        self.blobs.insert(id, Vec::new());
                    }
                    BlobStep::Open => return Err(StoreError::Unknown),
                    BlobStep::Close if !self.records.contains_key(&id) => return Err(StoreError::Unknown),
                    BlobStep::Close => drop(self.open.remove(&id)),
                    BlobStep::None => {}
                }
                self.records.insert(id, bytes.clone());
            }
            What::Forget => {
                self.records.remove(&id);
                self.blobs.remove(&id);
                self.open.remove(&id);
            }
            What::Amend(state) => {
                let record = self.records.get_mut(&id).ok_or(StoreError::Unknown)?;
                *record.first_mut().ok_or(StoreError::Unknown)? = *state;
            }
            What::Append(bytes) => {
                let blob = self.blobs.get_mut(&id).filter(|_| self.open.contains(&id)).ok_or(StoreError::Unknown)?;
                blob.extend_from_slice(bytes);
            }
            What::Load => nothing.clone_from(self.records.get(&id).ok_or(StoreError::Unknown)?),
            What::Read { offset, len } => {
                let _ = self.records.get(&id).filter(|_| key.kind.has_blob()).ok_or(StoreError::Unknown)?;
                let blob = self.blobs.get(&id).and_then(|blob| blob.get(*offset as usize..)).unwrap_or(&[]);
                nothing.extend_from_slice(&blob[..blob.len().min(*len as usize)]);
            }
        }
        Ok(nothing)
    }
}

impl Store {
    /// An empty memory and an empty disk, both fast.
    pub fn new() -> Self {
        Self {
            place: Storage::Memory,
            memory: Records::new(),
            disk: Disk::Plain(Plain::default()),
            delay: (0, 1),
            is_stalled: false,
            failing: 0,
            has_failed: false,
            room: 16,
            groups: 0,
            answers: Vec::new(),
            jobs: VecDeque::new(),
            is_busy: false,
            is_sync_due: false,
            taken: BTreeSet::new(),
            last: None,
        }
    }

    /// Whether another request may be handed over.
    pub fn has_room(&self) -> bool {
        self.jobs.len() < self.room
    }

    /// Requests on their way.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Keys, payloads and lengths of blobs: the journal, then messages, both in any order.
    pub fn records(&mut self, source: Source, random: &mut Rng) -> Vec<(Key, Vec<u8>, u32)> {
        let key = |(kind, id)| Key { kind: Kind::from_byte(kind), id };
        let mut told: Vec<_> = match source {
            Source::Memory => self.memory.iter().map(|(id, bytes)| (key(*id), bytes.clone(), 0)).collect(),
            Source::Disk => {
                let records = self.on_disk().into_iter();
                records.map(|OnDisk { key, payload, blob }| (key, payload, blob.len() as u32)).collect()
            }
        };
        told.sort_by_key(|(key, ..)| (key.kind.to_byte(), key.id));
        for index in (1..told.len()).rev() {
            told.swap(index, random.below(index as u64 + 1) as usize);
        }
        told.sort_by_key(|(key, ..)| !is_journal(key.kind) || key.kind == Kind::Session);
        told
    }

    /// Where the newest records are.
    pub fn current(&mut self, random: &mut Rng) -> Vec<(Key, Vec<u8>, u32)> {
        match self.place {
            Storage::Absent => Vec::new(),
            Storage::Memory => self.records(Source::Memory, random),
            Storage::Disk => self.records(Source::Disk, random),
        }
    }

    /// What is on the disk.
    pub fn on_disk(&mut self) -> Vec<OnDisk> {
        match &mut self.disk {
            Disk::Plain(Plain { records, blobs, .. }) => {
                let record = |(id, payload): (&(u8, u64), &Vec<u8>)| OnDisk {
                    key: Key { kind: Kind::from_byte(id.0), id: id.1 },
                    payload: payload.clone(),
                    blob: blobs.get(id).cloned().unwrap_or_default(),
                };
                records.iter().map(record).collect()
            }
            Disk::Spool(stick) => {
                let record = |(Meta { key, .. }, payload, blob)| OnDisk { key, payload, blob };
                stick.records().into_iter().map(record).collect()
            }
        }
    }

    /// The disk, which must be one with a spool.
    pub fn stick(&mut self) -> &mut crate::stick::Stick {
        match &mut self.disk {
            Disk::Spool(stick) => stick,
            Disk::Plain(_) => panic!("this disk has no faults"),
        }
    }

    /// The program ends: of what was on its way some may have been written, though nobody was told.
    pub fn interrupt(&mut self, random: &mut Rng) {
        let written = random.below(self.jobs.len() as u64 + 1) as usize;
        let written: Vec<Job> = self.jobs.drain(..).take(written).collect();
        match &mut self.disk {
            Disk::Spool(stick) if self.place == Storage::Disk => stick.break_off(&written, random),
            _ => drop(self.perform(&written)),
        }
        if let Disk::Spool(stick) = &mut self.disk {
            stick.restart();
        }
        if let Disk::Plain(plain) = &mut self.disk {
            plain.open.clear();
        }
        (self.is_busy, self.is_sync_due, self.last) = (false, false, None);
        self.taken.clear();
    }

    /// The power goes.
    pub fn lose_power(&mut self, random: &mut Rng) {
        self.memory.clear();
        if let Disk::Spool(stick) = &mut self.disk {
            stick.cut_power(random);
        }
    }

    /// Another place; what was on its way to the old one. Recordings end with their disk.
    pub fn switch(&mut self, place: Storage) -> Vec<Job> {
        self.place = place;
        self.taken.clear();
        if let Disk::Plain(plain) = &mut self.disk {
            plain.open.clear();
        }
        self.jobs.drain(..).collect()
    }

    /// What is handed over.
    pub fn take(&mut self, job: Job) {
        assert_ne!(self.place, Storage::Absent, "there is no storage");
        assert!(self.has_room() || job.ticket.is_none(), "there was no room");
        if let Some(ticket) = job.ticket {
            assert!(self.last.is_none_or(|last| ticket.0 == last.0.wrapping_add(1)), "tickets count up by one");
            self.last = Some(ticket);
        }
        self.jobs.push_back(job);
    }

    fn perform(&mut self, jobs: &[Job]) -> Vec<Answer> {
        if let (Storage::Disk, Disk::Spool(stick)) = (self.place, &mut self.disk) {
            return stick.perform(jobs);
        }
        jobs.iter().map(|job| self.perform_one(job)).collect()
    }

    fn perform_one(&mut self, job: &Job) -> Answer {
        match (self.place, &mut self.disk) {
            (Storage::Disk, Disk::Plain(plain)) => plain.perform(job),
            (Storage::Memory, _) if job.is_journal() => {
                let mut memory = Plain { records: std::mem::take(&mut self.memory), ..Plain::default() };
                let answer = memory.perform(job);
                self.memory = memory.records;
                answer
            }
            _ => Err(StoreError::NoDisk),
        }
    }

    /// What the disk has done is out of date in memory: of bindings and of subscriptions all go when the disk has the last.
    fn leave_memory(&mut self, job: &Job, answer: &Answer) {
        let id = (job.key.kind.to_byte(), job.key.id);
        if self.place != Storage::Disk || answer.is_err() || job.is_load() || !self.memory.contains_key(&id) {
            return;
        }
        if !matches!(job.key.kind, Kind::Binding | Kind::Subscription) {
            self.memory.remove(&id);
            return;
        }
        self.taken.insert(id);
        let is_same = |other: &(u8, u64)| other.0 == id.0;
        if self.memory.keys().filter(|other| is_same(other)).all(|other| self.taken.contains(other)) {
            self.memory.retain(|other, _| !is_same(other));
        }
    }

    fn has_unsynced_blobs(&self) -> bool {
        match &self.disk {
            Disk::Spool(stick) => self.place == Storage::Disk && stick.has_unsynced_blobs(),
            Disk::Plain(_) => false,
        }
    }
}

impl World {
    /// A request was handed over: a group begins unless one is being done.
    pub(crate) fn store(&mut self, server: usize, job: Job) {
        let what = match &job.what {
            What::Put { bytes, blob, .. } => format!("stores {} bytes, blob {blob:?}", bytes.len()),
            What::Append(bytes) => format!("appends {} bytes", bytes.len()),
            what => format!("{what:?}"),
        };
        self.note(format!("server {server} {:?} {:?}: {what}", job.ticket, job.key));
        self.servers[server].store.take(job);
        self.begin_group(server);
    }

    /// Asks the storage of a machine for something by itself; what becomes of it is in [`Store::answers`].
    pub fn ask_storage(&mut self, server: usize, key: Key, what: What) {
        self.store(server, Job { ticket: None, key, what });
    }

    /// What is on the disk of a machine, wherever its records go now.
    pub fn on_disk(&mut self, server: usize) -> Vec<OnDisk> {
        self.servers[server].store.on_disk()
    }

    /// Lets the storage of a machine work again.
    pub fn unstall(&mut self, server: usize) {
        self.servers[server].store.is_stalled = false;
        self.begin_group(server);
    }

    /// Pulls the disk of a machine out: what is on its way fails, and the server is told.
    pub fn unplug(&mut self, server: usize) {
        self.servers[server].store.stick().plug(false);
        self.lose_disk(server);
    }

    /// Puts the disk back; it is found by the next look.
    pub fn plug(&mut self, server: usize) {
        self.servers[server].store.stick().plug(true);
    }

    /// The disk failed or is gone: it is looked for from now on.
    fn lose_disk(&mut self, server: usize) {
        self.note(format!("server {server} has no disk"));
        self.servers[server].store.has_failed = true;
        self.keep_at(server, Storage::Memory);
        let life = self.servers[server].lives;
        self.push(self.now + LOOK_INTERVAL_MS, Event::Look { server, life });
    }

    /// Looks for a disk that was lost.
    pub(crate) fn look_for_disk(&mut self, server: usize, life: usize) {
        if self.servers[server].lives != life || !self.servers[server].is_up {
            return;
        }
        if self.servers[server].store.stick().is_usable() {
            self.keep_at(server, Storage::Disk);
        } else {
            self.push(self.now + LOOK_INTERVAL_MS, Event::Look { server, life });
        }
    }

    /// Makes durable what was appended to blobs.
    pub(crate) fn sync_blobs(&mut self, server: usize, life: usize) {
        let Host { lives, is_up, store, .. } = &mut self.servers[server];
        if *lives != life || !*is_up {
            return;
        }
        if !store.has_unsynced_blobs() {
            store.is_sync_due = false;
            return;
        }
        if store.is_stalled {
            return self.push(self.now + 10, Event::Sync { server, life });
        }
        store.is_sync_due = false;
        store.stick().sync_blobs();
        self.check_disk(server);
    }

    fn check_disk(&mut self, server: usize) {
        let store = &mut self.servers[server].store;
        if store.place != Storage::Disk {
            return;
        }
        if let Disk::Spool(stick) = &mut store.disk
            && stick.take_failure()
        {
            return self.lose_disk(server);
        }
        if store.has_unsynced_blobs() && !std::mem::replace(&mut store.is_sync_due, true) {
            let life = self.servers[server].lives;
            self.push(self.now + SYNC_INTERVAL_MS, Event::Sync { server, life });
        }
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

    /// A group of so many requests is done.
    pub(crate) fn group_done(&mut self, server: usize, life: usize, jobs: usize) {
        if self.servers[server].lives != life || !self.servers[server].is_up {
            return;
        }
        let store = &mut self.servers[server].store;
        store.is_busy = false;
        if !store.is_stalled {
            let jobs: Vec<Job> = store.jobs.iter().take(jobs).cloned().collect();
            let answers = if self.random.chance(store.failing) {
                jobs.iter().map(|_| Err(StoreError::Failed)).collect()
            } else {
                store.perform(&jobs)
            };
            store.has_failed |= answers.iter().any(Result::is_err);
            store.groups += u64::from(answers.iter().any(Result::is_ok));
            for (job, answer) in jobs.into_iter().zip(answers) {
                let store = &mut self.servers[server].store;
                // What comes while these are answered is behind them.
                let is_next = store.jobs.front().is_some_and(|front| front.ticket == job.ticket);
                if is_next && store.jobs.pop_front().is_some() {
                    store.leave_memory(&job, &answer);
                    self.tell_answer(server, &job, answer);
                }
            }
            self.check_disk(server);
        }
        self.begin_group(server);
    }

    /// Tells the server, or the test.
    pub(crate) fn tell_answer(&mut self, server: usize, job: &Job, answer: Answer) {
        match job.ticket {
            None => self.servers[server].store.answers.push((job.key, answer)),
            Some(ticket) if job.is_load() => {
                let outcome = answer.as_deref().map_err(|error| *error);
                self.input(server, Input::Loaded { ticket, outcome });
            }
            Some(ticket) => self.input(server, Input::Stored { ticket, outcome: answer.map(drop) }),
        }
    }
}

/// A lost disk is looked for this often, ms.
const LOOK_INTERVAL_MS: u64 = 2_000;
/// What is appended to a blob is made durable so long after, ms.
const SYNC_INTERVAL_MS: u64 = 700;
