//! What a spool has to have: a model that follows each call and says, after any accident, what may be there.

use std::collections::BTreeMap;

use pcsd::spool::{BlobStep, Disk, FileName, Filter, Key, Kind, Limits, Meta, Problem, Report, Spool};

use crate::disk::{Fault, SimDisk};
use crate::is_refused;
use crate::random::Rng;

pub const AGE_S: u32 = 1000;
pub const LIMITS: Limits = Limits { owner_bytes: 1 << 40, owner_records: 1 << 20, total_bytes: 1 << 40, age_s: AGE_S };

pub type Outcome<T> = Result<T, Problem<Fault>>;

/// Kind and id.
type Name = (u8, u64);

/// A record with all that belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    pub owner: u32,
    pub at: u32,
    pub payload: Vec<u8>,
    pub blob: Vec<u8>,
    /// Which of [`Model::opens`] its blob is, as long as its record tells no length.
    open: Option<usize>,
}

/// A blob that is appended to.
#[derive(Clone, Default, Debug)]
struct Open {
    bytes: Vec<u8>,
    /// How many of them are durable.
    synced: usize,
    /// How many there may be, those of writes that failed included.
    longest: usize,
}

/// What is known of a key.
#[derive(Clone, Default, Debug)]
struct Track {
    /// What a commit has acknowledged.
    durable: Option<Value>,
    /// What came since: any of it may have reached the medium. The last is what a reader sees.
    since: Vec<Option<Value>>,
}

#[derive(Clone, Default)]
pub struct Model {
    tracks: BTreeMap<(u8, u64), Track>,
    /// Counts the values, so that no two are the same.
    version: u64,
    /// The keys in the order in which they were put.
    order: Vec<(u8, u64)>,
    opens: Vec<Open>,
}

pub fn key(kind: Kind, id: u64) -> Key {
    Key { kind, id }
}

impl Model {
    /// What a reader sees.
    pub fn visible(&self) -> BTreeMap<(u8, u64), Value> {
        self.tracks.keys().filter_map(|key| Some((*key, self.seen(key)?))).collect()
    }

    fn seen(&self, name: &Name) -> Option<Value> {
        let mut value = self.tracks.get(name)?.newest().clone()?;
        if let Some(open) = value.open.take() {
            value.blob.clone_from(&self.opens[open].bytes);
        }
        Some(value)
    }

    /// Keys whose blobs can be appended to.
    pub fn open_keys(&self) -> Vec<Key> {
        let open = |track: &Track| track.newest().as_ref().is_some_and(|value| value.open.is_some());
        let names = self.tracks.iter().filter(|(_, track)| open(track)).map(|(name, _)| *name);
        names.map(|(kind, id)| key(Kind::from_byte(kind), id)).collect()
    }

    fn open_of(&self, key: Key) -> Option<usize> {
        self.tracks.get(&(key.kind.to_byte(), key.id))?.newest().as_ref()?.open
    }

    /// Opens the blob of a record, whatever was under its key before.
    pub fn open<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key, len: usize) -> Outcome<()> {
        let name = (key.kind.to_byte(), key.id);
        let was_there = self.seen(&name).is_some();
        let mut value = self.value(key, len, 0, 0);
        value.open = Some(self.opens.len());
        let meta = Meta { key, owner: value.owner, at: value.at, blob_bytes: 0 };
        let result = spool.store(&meta, &value.payload, BlobStep::Open);
        if was_there && (matches!(result, Ok(()) | Err(Problem::Disk(_))) || spool.find(key).is_none()) {
            self.note(key, None);
        }
        if matches!(result, Ok(()) | Err(Problem::Disk(_))) {
            self.opens.push(Open::default());
            self.note(key, Some(value));
        }
        result
    }

    /// Appends to an open blob.
    pub fn append<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key, len: usize) -> Outcome<()> {
        let Some(open) = self.open_of(key) else {
            assert_eq!(spool.blob_write(key, &[0; 9]), Err(Problem::Unknown));
            return Ok(());
        };
        self.version += 1;
        let mut rng = Rng::new(self.version);
        let bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8 | 1).collect();
        let open = &mut self.opens[open];
        open.longest = open.longest.max(open.bytes.len() + len);
        spool.blob_write(key, &bytes)?;
        open.bytes.extend(bytes);
        Ok(())
    }

    /// Makes all open blobs durable.
    pub fn sync_blobs<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>) -> Outcome<()> {
        spool.blob_sync_all()?;
        assert!(!spool.has_unsynced_blobs());
        for key in self.open_keys() {
            if let Some(open) = self.open_of(key) {
                self.opens[open].synced = self.opens[open].bytes.len();
            }
        }
        Ok(())
    }

    /// Ends an open blob.
    pub fn close<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key, len: usize) -> Outcome<()> {
        let Some(open) = self.open_of(key) else { return Ok(()) };
        let blob = self.opens[open].bytes.clone();
        let value = Value { blob, ..self.value(key, len, 0, 0) };
        let meta = Meta { key, owner: value.owner, at: value.at, blob_bytes: 9 };
        let result = spool.store(&meta, &value.payload, BlobStep::Close);
        if result.is_ok() {
            self.opens[open].synced = value.blob.len();
        }
        match result {
            Ok(()) | Err(Problem::Disk(_)) => self.note(key, Some(value)),
            // It is still open, and durable.
            Err(_) if !value.blob.is_empty() => self.opens[open].synced = value.blob.len(),
            Err(_) => {
                let former = self.seen(&(key.kind.to_byte(), key.id));
                let order = self.order.clone();
                self.note(key, former);
                self.order = order;
            }
        }
        result
    }

    /// Changes the first byte of a record.
    pub fn amend<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key, state: u8) -> Outcome<()> {
        let result = spool.amend(key, state, &mut [0; 2000]);
        let newest = self.tracks.get(&(key.kind.to_byte(), key.id)).and_then(|track| track.newest().clone());
        let Some(mut value) = newest.filter(|value| !value.payload.is_empty()) else {
            assert!(matches!(result, Err(Problem::Unknown | Problem::Disk(_))), "{result:?}");
            return if result == Err(Problem::Unknown) { Ok(()) } else { result };
        };
        if value.payload[0] != state && matches!(result, Ok(()) | Err(Problem::Disk(_))) {
            value.payload[0] = state;
            self.note(key, Some(value));
        }
        result
    }

    pub fn put<D: Disk<Error = Fault>>(
        &mut self,
        spool: &mut Spool<'_, D>,
        key: Key,
        len: usize,
        at: u32,
    ) -> Outcome<()> {
        let value = self.value(key, len, at, 0);
        self.put_value(spool, key, value)
    }

    /// A voice message with a new id.
    pub fn put_voice<D: Disk<Error = Fault>>(
        &mut self,
        spool: &mut Spool<'_, D>,
        len: usize,
        blob: usize,
    ) -> Outcome<()> {
        let key = key(Kind::Voice, self.version + 1000);
        let value = self.value(key, len, 0, blob);
        spool.blob_create(key)?;
        for part in value.blob.chunks(100) {
            spool.blob_write(key, part)?;
        }
        assert_eq!(spool.blob_close(key)? as usize, blob);
        let result = self.put_value(spool, key, value);
        if is_refused(&result) {
            spool.blob_drop(key)?;
        }
        result
    }

    fn value(&mut self, key: Key, len: usize, at: u32, blob: usize) -> Value {
        self.version += 1;
        let mut rng = Rng::new(self.version);
        let payload = (0..len).map(|_| rng.next() as u8).collect();
        let blob = (0..blob).map(|_| rng.next() as u8).collect();
        Value { owner: (key.id % 3) as u32, at, payload, blob, open: None }
    }

    fn put_value<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key, value: Value) -> Outcome<()> {
        let meta = Meta { key, owner: value.owner, at: value.at, blob_bytes: value.blob.len() as u32 };
        let result = spool.put(&meta, &value.payload);
        // After an error of the disk it may be there; what was refused for another reason is not.
        if matches!(result, Ok(()) | Err(Problem::Disk(_))) {
            self.note(key, Some(value));
        }
        result
    }

    pub fn remove<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, key: Key) -> Outcome<bool> {
        let is_there = self.visible().contains_key(&(key.kind.to_byte(), key.id));
        let result = spool.remove(key);
        if is_there && matches!(result, Ok(_) | Err(Problem::Disk(_))) {
            self.note(key, None);
        }
        if let Ok(was_there) = result {
            assert_eq!(was_there, is_there, "removal of {key:?}");
        }
        result
    }

    pub fn commit<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>) -> Outcome<()> {
        spool.commit()?;
        for track in self.tracks.values_mut() {
            if let Some(last) = track.since.pop() {
                track.durable = last;
                track.since.clear();
            }
        }
        Ok(())
    }

    pub fn expire<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, now: u32) -> Outcome<()> {
        let is_old = |value: &Value| value.at != 0 && now.saturating_sub(value.at) > AGE_S;
        let visible = self.visible();
        let old = visible.iter().filter(|(key, value)| Kind::from_byte(key.0).is_message() && is_old(value));
        let old: Vec<(u8, u64)> = old.map(|(key, _)| *key).collect();
        let (mut removed, mut error) = (0, None);
        loop {
            match spool.expire(now) {
                Ok((some, is_done)) => {
                    removed += some;
                    if is_done {
                        break;
                    }
                }
                Err(problem) => {
                    error = Some(problem);
                    break;
                }
            }
        }
        for (kind, id) in &old {
            self.note(key(Kind::from_byte(*kind), *id), None);
        }
        match error {
            Some(problem) => Err(problem),
            None => {
                assert_eq!(removed as usize, old.len(), "expired");
                Ok(())
            }
        }
    }

    fn note(&mut self, key: Key, value: Option<Value>) {
        let name = (key.kind.to_byte(), key.id);
        self.order.retain(|other| *other != name);
        if value.is_some() {
            self.order.push(name);
        }
        self.tracks.entry(name).or_default().since.push(value);
    }

    /// Reads the whole spool; while nothing happened it is exactly what the model sees.
    pub fn check<D: Disk<Error = Fault>>(&self, spool: &mut Spool<'_, D>) {
        let (found, order) = read_all(spool);
        assert_eq!(found.keys().collect::<Vec<_>>(), self.visible().keys().collect::<Vec<_>>(), "the keys");
        assert_eq!(found, self.visible());
        assert_eq!(order, self.order, "the order");
    }

    /// After an accident and a mount: all that was acknowledged is there, and nothing but what was asked for. What is
    /// there now counts as acknowledged.
    pub fn check_after_accident<D: Disk<Error = Fault>>(&mut self, spool: &mut Spool<'_, D>, report: &Report) {
        assert_eq!((report.damaged_bytes, report.lost_segments, report.gone_blobs), (0, 0, 0), "false alarm: {report}");
        let (found, order) = read_all(spool);
        for (key, value) in &found {
            assert!(self.tracks.contains_key(key), "{key:?} was never put, and is {value:?}");
        }
        for (key, track) in &mut self.tracks {
            let now = found.get(key).cloned();
            let opens = &self.opens;
            let fits = track.since.iter().chain([&track.durable]).any(|it| fits(&now, it, opens));
            assert!(fits, "{key:?}: found {now:?}\n durable {:?}\n since {:?}", track.durable, track.since);
            *track = Track { durable: now, since: Vec::new() };
        }
        self.tracks.retain(|_, track| track.durable.is_some());
        self.order = order;
        self.opens.clear();
    }
}

impl Track {
    fn newest(&self) -> &Option<Value> {
        self.since.last().unwrap_or(&self.durable)
    }
}

/// Whether what was found may have come of this: of an open blob, what was synced is there, and no more than was written.
fn fits(found: &Option<Value>, expected: &Option<Value>, opens: &[Open]) -> bool {
    let (Some(found), Some(expected)) = (found, expected) else { return found == expected };
    let Some(open) = expected.open.map(|open| &opens[open]) else { return found == expected };
    let is_same = (found.owner, found.at, &found.payload) == (expected.owner, expected.at, &expected.payload);
    let is_there = found.blob.get(..open.synced) == Some(&open.bytes[..open.synced]);
    is_same && is_there && found.blob.len() <= open.longest
}

/// All records, and their order. No key is told twice, and every blob is whole.
pub fn read_all<D: Disk<Error = Fault>>(spool: &mut Spool<'_, D>) -> (BTreeMap<Name, Value>, Vec<Name>) {
    let (mut found, mut order) = (BTreeMap::new(), Vec::new());
    let mut buffer = vec![0; 100_000];
    let damaged = spool.each(&Filter::default(), &mut buffer, &mut |meta, payload| {
        let name = (meta.key.kind.to_byte(), meta.key.id);
        let blob = vec![0; meta.blob_bytes as usize];
        let value = Value { owner: meta.owner, at: meta.at, payload: payload.to_vec(), blob, open: None };
        assert!(found.insert(name, value).is_none(), "{name:?} twice");
        order.push(name);
    });
    assert_eq!(damaged, Ok(0), "records that can't be read");
    for ((kind, id), value) in &mut found {
        let key = key(Kind::from_byte(*kind), *id);
        if key.kind.has_blob() {
            let len = value.blob.len();
            assert_eq!(spool.blob_read(key, 0, &mut value.blob), Ok(len));
        }
    }
    (found, order)
}

/// The blobs on the disk are those that records name.
pub fn check_blobs(disk: &SimDisk, model: &Model) {
    let visible = model.visible();
    let on_disk: Vec<Name> = disk
        .names()
        .iter()
        .filter_map(|name| FileName::parse(name)?.blob_key())
        .map(|key| (key.kind.to_byte(), key.id))
        .collect();
    assert!(on_disk.iter().all(|name| visible.contains_key(name)), "blobs without records: {on_disk:?}");
    let named = visible.iter().filter(|(_, value)| !value.blob.is_empty());
    named.for_each(|(name, _)| assert!(on_disk.contains(name), "{name:?} has no blob"));
}
