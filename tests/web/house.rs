//! A house in memory: Alice and Bob, records and blobs in maps, settings in strings.

use std::collections::HashMap;

use pcsd::base::secret::Secret;
use pcsd::base::text::same_secret;
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Missed;
use pcsd::config::model::Model;
use pcsd::home::inbox::{Category, Codec, Inbox, LetterHandle, State, What};
use pcsd::spool::{Key, Kind};
use pcsd::web::{GreetingStep, House, Progress, Settings};

const CONFIG: &str = "config pcsd 'main'\n\toption domain 'home.example'\n\tlist listen 'udp:127.0.0.1:5060'\n\
    config person 'alice'\n\toption name 'Alice'\n\toption password 'wonder land'\n\
    config person 'bob'\n\toption name 'Bob'\n\toption password 'builder'\n";

/// What `time` says in tests: a Sunday in November 2026.
pub const TIME: u64 = 1_795_385_000;

pub struct Home {
    pub model: Box<Model>,
    pub time: Option<UnixTime>,
    pub inbox: Box<Inbox>,
    pub records: HashMap<u64, Vec<u8>>,
    pub blobs: HashMap<u64, Vec<u8>>,
    pub replies: Vec<(usize, String, String)>,
    pub busy_text: String,
    pub presence: String,
    pub missed: Missed,
    pub greeting: Option<Vec<u8>>,
    pub coming: Option<Vec<u8>>,
    /// So many steps of a greeting are answered with [`Progress::Wait`] before one is done.
    pub waits: usize,
    waited: usize,
    numbers: u64,
    next_id: u64,
}

impl Home {
    pub fn new() -> Self {
        let mut model = Box::new(Model::new());
        let faults = model.read(CONFIG.as_bytes(), &mut |fault| println!("{fault}"));
        assert_eq!(faults, 0);
        Self {
            model,
            time: Some(UnixTime(TIME)),
            inbox: Box::new(Inbox::new()),
            records: HashMap::new(),
            blobs: HashMap::new(),
            replies: Vec::new(),
            busy_text: String::new(),
            presence: String::new(),
            missed: Missed::Keep,
            greeting: None,
            coming: None,
            waits: 0,
            waited: 0,
            numbers: 0,
            next_id: 0x1000,
        }
    }

    fn admit(
        &mut self,
        person: u16,
        from: (&str, &str),
        is_stranger: bool,
        category: Category,
        at: u64,
    ) -> (u64, LetterHandle) {
        self.next_id += 1;
        let id = self.next_id;
        let sender = (from.0.as_bytes(), from.1.as_bytes());
        let handle = self.inbox.admit(person, sender, is_stranger, category, id, at as u32).unwrap();
        (id, handle)
    }

    fn keep(&mut self, id: u64, handle: LetterHandle, what: What<'_>) {
        let mut room = vec![0; 70_000];
        let len = self.inbox.keep(handle, 7, what).unwrap().write(&mut room).unwrap();
        room.truncate(len);
        self.records.insert(id, room);
        self.inbox.settled(handle);
    }

    pub fn text(&mut self, person: u16, from: (&str, &str), at: u64, content_type: &str, body: &[u8]) -> u64 {
        let (id, handle) = self.admit(person, from, false, Category::Text, at);
        self.inbox.measure(handle, body.len() as u32, 0);
        self.keep(id, handle, What::Text { content_type: content_type.as_bytes(), encoding: b"", body });
        id
    }

    pub fn voice(&mut self, person: u16, from: (&str, &str), at: u64, codec: Codec, blob: &[u8]) -> u64 {
        let (id, handle) = self.admit(person, from, false, Category::Voice, at);
        self.inbox.recording(handle, codec);
        self.inbox.recorded(handle, blob.len() as u32, codec.milliseconds_of(blob.len() as u32).unwrap_or(2000));
        self.keep(id, handle, What::Voice { codec, milliseconds: 0, lost_milliseconds: 0 });
        self.blobs.insert(id, blob.to_vec());
        id
    }

    pub fn recording(&mut self, person: u16, from: (&str, &str), at: u64) -> u64 {
        let (id, handle) = self.admit(person, from, false, Category::Voice, at);
        self.inbox.recording(handle, Codec::Alaw);
        self.keep(id, handle, What::Voice { codec: Codec::Alaw, milliseconds: 0, lost_milliseconds: 0 });
        id
    }

    pub fn call(&mut self, person: u16, from: (&str, &str), is_stranger: bool, at: u64) -> u64 {
        let (id, handle) = self.admit(person, from, is_stranger, Category::Call, at);
        self.inbox.measure(handle, 0, 20_000);
        self.keep(id, handle, What::Call { rang_seconds: 20 });
        id
    }

    pub fn state(&self, id: u64) -> State {
        self.inbox.get(self.inbox.find(id).unwrap()).unwrap().state
    }

    pub fn number(&self, id: u64) -> u32 {
        self.inbox.get(self.inbox.find(id).unwrap()).unwrap().number
    }
}

impl House for Home {
    fn model(&self) -> &Model {
        &self.model
    }

    fn time(&self) -> Option<UnixTime> {
        self.time
    }

    fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    fn random(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn check_password(&self, person: &[u8], password: &[u8]) -> Option<usize> {
        let index = self.model.person(person)?;
        let person = &self.model.people[index];
        let secret = Secret::from_password(person.id.as_bytes(), self.model.main.domain.as_bytes(), password);
        same_secret(&secret.sha256?, &person.secret.sha256?).then_some(index)
    }

    fn set_state(&mut self, now: Instant, letter: LetterHandle, state: State) -> bool {
        self.inbox.set_state(now, letter, state);
        self.inbox.get(letter).is_some()
    }

    fn reply(&mut self, _: Instant, person: usize, to: &[u8], text: &[u8]) -> bool {
        let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.replies.push((person, words(to), words(text)));
        true
    }

    fn settings(&self, _: usize) -> Settings<'_> {
        let greeting = self.greeting.as_ref().map(|it| (Key { kind: Kind::Greeting, id: 1 }, it.len() as u32));
        Settings { busy_text: &self.busy_text, greeting, presence: presence_of(&self.presence), missed: self.missed }
    }

    fn set_busy_text(&mut self, _: Instant, _: usize, text: &str) -> bool {
        self.busy_text = text.to_string();
        true
    }

    fn set_presence(&mut self, _: Instant, _: usize, words: &str) -> bool {
        self.presence = words.to_string();
        true
    }

    fn set_missed(&mut self, _: Instant, _: usize, missed: Missed) -> bool {
        self.missed = missed;
        true
    }

    fn greeting(&mut self, _: Instant, _: usize, step: GreetingStep<'_>) -> Progress {
        if self.waited < self.waits {
            self.waited += 1;
            return Progress::Wait;
        }
        self.waited = 0;
        match (step, &mut self.coming) {
            (GreetingStep::Begin, coming) => *coming = Some(Vec::new()),
            (GreetingStep::Data(bytes), Some(coming)) => coming.extend_from_slice(bytes),
            (GreetingStep::Commit, Some(_)) => {
                self.greeting = self.coming.take();
                self.blobs.insert(1, self.greeting.clone().unwrap());
            }
            (GreetingStep::Abort, coming) => *coming = None,
            (GreetingStep::Remove, _) => self.greeting = None,
            (GreetingStep::Data(_) | GreetingStep::Commit, None) => return Progress::Failed("nothing was begun"),
        }
        Progress::Done
    }
}

/// State and text of what was set by hand.
fn presence_of(words: &str) -> (&'static str, &str) {
    let (state, note) = words.split_once(' ').unwrap_or((words, ""));
    let states = ["available", "away", "busy", "offline"];
    (states.into_iter().find(|known| *known == state).unwrap_or("auto"), note)
}
