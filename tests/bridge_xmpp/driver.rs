//! Plays the core to one connector and carries bytes between it and the simulated server, in virtual time: connects,
//! begins TLS, keeps texts until they are known to have been sent, knows what was seen, tries again after a while.
//!
//! The connection is cut when [`Driver::fuel`] bytes have passed, both ways together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pcsd::base::random::Random;
use pcsd::base::text::Writer;
use pcsd::base::time::{Instant, UnixTime};
use pcsd::bridge::{
    Command, Connector, End, Env, Event, Link, OUT_BYTES, Outcome, SCRATCH_BYTES, Show, Step, Stop, Target,
};
use pcsd::config::model::{Account, LineWay, Network, Password, Security};

use crate::xmpp_server::{Conn, XmppServer};

const LINK: Link = Link(0);
/// Pause before the next attempt.
const PAUSE_MS: u64 = 1000;
/// Turns without time passing that are taken for an endless loop.
const ENDLESS: usize = 200_000;

/// A text on its way out.
struct Text {
    id: u32,
    to: String,
    text: String,
    /// Whether the connector has it.
    is_in_flight: bool,
}

/// A text that came in, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    pub who: String,
    pub text: String,
    pub is_own: bool,
    pub is_kept: bool,
}

/// Where the account stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// An attempt follows at that time.
    Pausing(u64),
    Connecting,
    Online,
    Stopped(Stop),
    Done,
}

pub struct Driver {
    pub state: State,
    /// Bytes of what is handed over at once, each way.
    pub chunk: usize,
    /// Bytes of the receive window.
    pub window_bytes: usize,
    /// Bytes until the connection is cut, once.
    pub fuel: Option<usize>,
    /// Bytes that have passed.
    pub passed: usize,
    pub attempts: usize,
    pub logins: usize,
    pub resumptions: usize,
    pub ends: Vec<End>,
    pub contacts: BTreeMap<String, (String, bool, bool)>,
    pub is_list_told: bool,
    pub places: BTreeMap<(String, u32), (Show, String)>,
    pub heard: Vec<Heard>,
    pub typing: Vec<(String, bool)>,
    pub sent: Vec<u32>,
    pub failed: Vec<(u32, bool)>,
    pub received: Vec<(u32, bool)>,
    pub requests: Vec<(String, String)>,
    pub notices: Vec<String>,
    pub bookmark: String,
    pub show: (Show, String),
    account: Account,
    connector: Connector,
    random: Random,
    now_ms: u64,
    conn: Option<Conn>,
    out: VecDeque<u8>,
    incoming: VecDeque<u8>,
    window: Vec<u8>,
    texts: Vec<Text>,
    names: BTreeSet<u64>,
    settled: VecDeque<u32>,
    is_shown: bool,
    /// Whether something was done since the window was last read: what it waited for may have come.
    is_changed: bool,
}

/// What a step means, without what it borrows.
enum Said {
    Nothing,
    Quiet,
    StartTls,
    End(End),
}

/// An account of alice's.
pub fn account(password: &str) -> Account {
    Account {
        id: "chat".try_into().unwrap(),
        person: 0,
        network: Network::Xmpp,
        address: "alice@example.org".try_into().unwrap(),
        login: Default::default(),
        password: Password(password.try_into().unwrap()),
        host: Default::default(),
        port: None,
        way: LineWay::default(),
        path: Default::default(),
        security: Security::Usual,
        pins: Default::default(),
        ca: Default::default(),
    }
}

impl Driver {
    pub fn new(account: Account) -> Self {
        let mut random = Random::new();
        random.seed([7; 16], [8; 16]);
        Self {
            state: State::Pausing(0),
            chunk: usize::MAX,
            window_bytes: 8192,
            fuel: None,
            passed: 0,
            attempts: 0,
            logins: 0,
            resumptions: 0,
            ends: Vec::new(),
            contacts: BTreeMap::new(),
            is_list_told: false,
            places: BTreeMap::new(),
            heard: Vec::new(),
            typing: Vec::new(),
            sent: Vec::new(),
            failed: Vec::new(),
            received: Vec::new(),
            requests: Vec::new(),
            notices: Vec::new(),
            bookmark: String::new(),
            show: (Show::Available, String::new()),
            connector: Connector::new(account.network),
            account,
            random,
            now_ms: 0,
            conn: None,
            out: VecDeque::new(),
            incoming: VecDeque::new(),
            window: Vec::new(),
            texts: Vec::new(),
            names: BTreeSet::new(),
            settled: VecDeque::new(),
            is_shown: false,
            is_changed: false,
        }
    }

    pub fn conn(&self) -> Conn {
        self.conn.expect("there is a connection")
    }

    pub fn target(&self) -> Option<Target> {
        self.connector.target(&self.account, LINK)
    }

    /// Texts that are not known to have been sent.
    pub fn waiting(&self) -> usize {
        self.texts.len()
    }

    /// How somebody is at his best place.
    pub fn how_is(&self, who: &str) -> (Show, &str) {
        let places = self.places.iter().filter(|((w, _), _)| w == who).map(|(_, (show, text))| (*show, text.as_str()));
        places.max().unwrap_or_default()
    }

    /// A text to be sent, whenever that is possible.
    pub fn say(&mut self, id: u32, to: &str, text: &str) {
        self.texts.push(Text { id, to: to.into(), text: text.into(), is_in_flight: false });
    }

    /// The person is to be shown so.
    pub fn show(&mut self, show: Show, text: &str) {
        self.show = (show, text.into());
        self.is_shown = false;
    }

    pub fn command(&mut self, command: &Command<'_>) -> Outcome {
        self.with(|connector, env| connector.command(env, command))
    }

    /// Lets time pass.
    pub fn run(&mut self, server: &mut XmppServer, until_ms: u64) {
        let mut turns = 0;
        loop {
            server.tick(self.now_ms);
            while self.turn(server) {
                turns += 1;
                assert!(turns < ENDLESS, "endless at {} ms, {:?}", self.now_ms, self.state);
            }
            if self.now_ms >= until_ms {
                return;
            }
            let pause = if let State::Pausing(at) = self.state { Some(at) } else { None };
            let deadline = self.deadline();
            let next = [pause, deadline].into_iter().flatten().filter(|at| *at > self.now_ms).min();
            self.now_ms = next.unwrap_or(until_ms).min(until_ms);
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.conn?;
        self.connector.deadline().map(Instant::millis)
    }

    /// Does one thing; whether there was any.
    fn turn(&mut self, server: &mut XmppServer) -> bool {
        match (self.state, self.conn) {
            (State::Pausing(at), None) if at <= self.now_ms => return self.connect(server),
            (_, None) => return false,
            _ => {}
        }
        let conn = self.conn();
        if self.transmit(server, conn) || self.receive(server, conn) || self.conn.is_none() {
            return true;
        }
        if server.closed(conn) && self.incoming.is_empty() {
            self.lost();
            return true;
        }
        if self.state == State::Online && self.command_next() {
            self.is_changed = true;
            return true;
        }
        if self.deadline().is_some_and(|at| at <= self.now_ms) {
            let said = self.step(|connector, env, scratch| (0, connector.due(env, scratch))).1;
            let is_done = !self.follow(server, said);
            self.is_changed = !is_done;
            let is_late = self.deadline().is_some_and(|at| at <= self.now_ms);
            assert!(!(is_done && is_late), "nothing was done, and the deadline is still there");
            return !is_done;
        }
        false
    }

    fn connect(&mut self, server: &mut XmppServer) -> bool {
        let Some(target) = self.target() else { return false };
        let is_tls = match target {
            Target::Xmpp { domain } => {
                assert_eq!(domain.as_str(), "example.org");
                false
            }
            Target::Host { is_tls, .. } => is_tls,
            Target::Local => panic!("XMPP has no local sockets"),
        };
        self.attempts += 1;
        self.with(|connector, env| connector.begin(env));
        assert!(self.out.is_empty(), "nothing can be sent before there is a connection");
        self.state = State::Connecting;
        let conn = server.connect(self.now_ms);
        self.conn = Some(conn);
        if is_tls {
            server.tls_started(conn);
        }
        self.with(|connector, env| connector.connected(env, LINK, is_tls));
        true
    }

    /// So many bytes of a chunk may pass before the connection is cut.
    fn pass(&mut self, len: usize) -> usize {
        let len = len.min(self.chunk);
        let len = self.fuel.map_or(len, |fuel| len.min(fuel));
        self.fuel = self.fuel.map(|fuel| fuel - len);
        self.passed += len;
        len
    }

    fn cut(&mut self, server: &mut XmppServer, conn: Conn) {
        self.fuel = None;
        server.cut(self.now_ms, conn);
        self.incoming.clear();
        self.lost();
    }

    fn transmit(&mut self, server: &mut XmppServer, conn: Conn) -> bool {
        if self.out.is_empty() {
            return false;
        }
        let len = self.pass(self.out.len());
        let bytes: Vec<u8> = self.out.drain(..len).collect();
        server.input(self.now_ms, conn, &bytes);
        if self.fuel == Some(0) {
            self.cut(server, conn);
        }
        true
    }

    fn receive(&mut self, server: &mut XmppServer, conn: Conn) -> bool {
        self.incoming.extend(server.output(conn));
        let free = self.window_bytes - self.window.len();
        let is_changed = std::mem::take(&mut self.is_changed) && !self.window.is_empty();
        if (self.incoming.is_empty() || free == 0) && !is_changed {
            return false;
        }
        let len = self.pass(self.incoming.len().min(free));
        self.window.extend(self.incoming.drain(..len));
        while self.conn == Some(conn) {
            let window = std::mem::take(&mut self.window);
            let is_full = window.len() == self.window_bytes;
            let (read, said) =
                self.step(|connector, env, scratch| connector.received(env, LINK, (&window, is_full), scratch));
            self.window = window[read..].to_vec();
            let is_over = matches!(said, Said::Nothing);
            self.follow(server, said);
            if is_over {
                break;
            }
        }
        if self.fuel == Some(0) && self.conn == Some(conn) {
            self.cut(server, conn);
        }
        true
    }

    /// Does what a step asks for; whether it was anything.
    fn follow(&mut self, server: &mut XmppServer, said: Said) -> bool {
        match said {
            Said::Nothing => return false,
            Said::Quiet => {}
            Said::StartTls => {
                let conn = self.conn();
                while self.conn.is_some() && self.transmit(server, conn) {}
                if self.conn.is_some() {
                    assert!(server.wants_tls(conn), "TLS begins when the server has agreed");
                    server.tls_started(conn);
                    self.incoming.clear();
                    self.window.clear();
                    self.with(|connector, env| connector.connected(env, LINK, true));
                }
            }
            Said::End(end) => {
                let conn = self.conn();
                while self.conn.is_some() && self.transmit(server, conn) {}
                if self.conn.is_some() {
                    server.cut(self.now_ms, conn);
                    self.ended(end);
                }
            }
        }
        true
    }

    /// The server has cut the connection.
    pub fn cut_by_peer(&mut self) {
        self.lost();
    }

    /// The connection is gone without the connector having ended it.
    fn lost(&mut self) {
        self.window.clear();
        let end = self.with(|connector, env| connector.closed(env, LINK));
        self.ended(end.unwrap_or(End::Retry("the only link is gone")));
    }

    fn ended(&mut self, end: End) {
        self.ends.push(end);
        self.conn = None;
        self.window.clear();
        self.incoming.clear();
        self.out.clear();
        self.settled.clear();
        self.state = match end {
            End::Stop(stop) => State::Stopped(stop),
            End::Done => State::Done,
            End::Retry(_) | End::Moved | End::Link => State::Pausing(self.now_ms + PAUSE_MS),
        };
    }

    /// Gives the connector what is next to be done; whether it took it.
    fn command_next(&mut self) -> bool {
        if let Some(token) = self.settled.pop_front() {
            assert_eq!(self.command(&Command::Settled { token, is_taken: true }), Outcome::Done);
            return true;
        }
        if !self.is_shown {
            let (show, text) = self.show.clone();
            self.is_shown = self.command(&Command::Presence { show, text: &text }) == Outcome::Done;
            return self.is_shown;
        }
        let Some(at) = self.texts.iter().position(|text| !text.is_in_flight) else { return false };
        let Text { id, to, text, .. } = &self.texts[at];
        let (id, to, text) = (*id, to.clone(), text.clone());
        match self.command(&Command::Send { to: &to, text: &text, id, is_automatic: false }) {
            Outcome::Done => {
                self.texts[at].is_in_flight = true;
                true
            }
            Outcome::Later => false,
            Outcome::Unable(why) => panic!("XMPP can send texts: {why}"),
        }
    }

    fn with<T>(&mut self, call: impl FnOnce(&mut Connector, &mut Env<'_, '_>) -> T) -> T {
        let mut buffer = vec![0; OUT_BYTES];
        let mut out = Writer::new(&mut buffer);
        let mut env = Env {
            now: Instant::from_millis(self.now_ms),
            time: Some(UnixTime(1_795_000_000 + self.now_ms / 1000)),
            random: &mut self.random,
            account: &self.account,
            out: &mut out,
        };
        let result = call(&mut self.connector, &mut env);
        let len = out.finish().unwrap_or_else(|_| panic!("more than {OUT_BYTES} bytes were to be sent"));
        self.out.extend(&buffer[..len]);
        result
    }

    fn step(
        &mut self,
        call: impl for<'s> FnOnce(&mut Connector, &mut Env<'_, '_>, &'s mut [u8]) -> (usize, Step<'s>),
    ) -> (usize, Said) {
        let mut scratch = vec![0; SCRATCH_BYTES];
        let (read, step) = self.with(|connector, env| call(connector, env, &mut scratch));
        let said = match step {
            Step::Nothing => Said::Nothing,
            Step::Quiet => Said::Quiet,
            Step::StartTls => Said::StartTls,
            Step::End(end) => Said::End(end),
            Step::Event(event) => {
                self.event(&event);
                Said::Quiet
            }
        };
        (read, said)
    }

    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Online { is_resumed } => self.online(is_resumed),
            Event::ContactsBegin => self.contacts.clear(),
            Event::Contact(contact) => {
                let about = (contact.name.to_owned(), contact.is_watched, contact.is_asked);
                self.contacts.insert(contact.who.into(), about);
            }
            Event::ContactsEnd => self.is_list_told = true,
            Event::ContactGone { who } => drop(self.contacts.remove(who)),
            Event::Presence { who, place: 0, show: Show::Offline, .. } => self.places.retain(|(w, _), _| w != who),
            Event::Presence { who, place, show, text, .. } => {
                self.places.insert((who.into(), place), (show, text.into()));
            }
            Event::Message(incoming) => {
                assert!(!incoming.text.is_empty());
                if incoming.token != 0 {
                    self.settled.push_back(incoming.token);
                }
                if incoming.name == 0 || self.names.insert(incoming.name) {
                    let is_kept = incoming.at.is_some();
                    let (who, text) = (incoming.who.into(), incoming.text.into());
                    self.heard.push(Heard { who, text, is_own: incoming.is_own, is_kept });
                }
            }
            Event::Typing { who, is_on } => self.typing.push((who.into(), is_on)),
            Event::Sent { id } => {
                self.sent.push(id);
                self.texts.retain(|text| text.id != id);
            }
            Event::Failed { id, is_final, .. } => {
                self.failed.push((id, is_final));
                self.texts.retain(|text| text.id != id || !is_final);
                self.texts.iter_mut().filter(|text| text.id == id).for_each(|text| text.is_in_flight = false);
            }
            Event::Received { id, is_read } => self.received.push((id, is_read)),
            Event::Request { who, text } => self.requests.push((who.into(), text.into())),
            Event::Notice(text) => self.notices.push(text.into()),
            Event::Bookmark(text) => self.bookmark = text.into(),
        }
    }

    fn online(&mut self, is_resumed: bool) {
        self.state = State::Online;
        if is_resumed {
            self.resumptions += 1;
            return;
        }
        self.logins += 1;
        self.is_shown = false;
        self.places.clear();
        self.texts.iter_mut().for_each(|text| text.is_in_flight = false);
    }
}
