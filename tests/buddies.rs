//! Lists that people change while the server runs, and what is said of accounts: conversations with `sip:pcs` in literal
//! words, with a network of lines at the other end, and a disk that keeps what it is given.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use pcsd::base::limits::{ADDRESSES_PER_BUDDY, BUDDIES};
use pcsd::base::net::{LocalAddress, NOWHERE, PortSet, Stream};
use pcsd::base::text::Writer;
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Model;
use pcsd::server::Server;
use pcsd::server::commands::Undone;
use pcsd::server::contract::{Credits, Input, Output, Reason, Seed, Source, Storage, StoreError};
use pcsd::spool::{Key, Kind};
use support::{Home, LISTEN, answer, by_datagram, find, model, status};

const HOUSE: &str = "
config pcsd 'main'
	option domain 'house.example'
	list listen 'udp:203.0.113.1:5060'

config person 'alice'
	option password 'secret'

config person 'bob'
	option password 'secret'

config account 'alice_lines'
	option person 'alice'
	option network 'line'
	option server 'unix:/run/lines'

config account 'alice_jabber'
	option person 'alice'
	option network 'xmpp'
	option address 'alice@jabber.example'
	option password 'x'
	option server '203.0.113.9'
	option tls 'off'

config buddy
	option person 'alice'
	option alias 'carl'
	option name 'Carl'
	list address 'sip:carl@his.example'
	list address 'line:carl'

config buddy
	option alias 'aunt'
	list address 'xmpp:aunt@jabber.example'
";

/// The server, its disk, and the other end of the line.
struct House {
    server: Box<Server>,
    now: Instant,
    /// The connection of the line, while it is up.
    line: Option<Stream>,
    /// What came over it and is not taken yet.
    heard: String,
    records: BTreeMap<(u8, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl House {
    fn new(text: &str) -> Self {
        Self::with_records(text, BTreeMap::new())
    }

    /// A server that starts with what a disk has.
    fn with_records(text: &str, records: BTreeMap<(u8, u64), Vec<u8>>) -> Self {
        let big = thread::Builder::new().stack_size(64 << 20);
        let server = big.spawn(|| Box::new(Server::new())).unwrap().join().unwrap();
        let now = Instant::from_millis(1_000_000);
        let mut house = Self { server, now, line: None, heard: String::new(), records, buffer: vec![0; 65_536] };
        house.server.seed(now, &Seed { key: *b"a key for a test", lasting: *b"one that remains", boot: 1 });
        house.configure(text);
        let own = LocalAddress { ip: "203.0.113.1".parse().unwrap(), prefix: 24, default_route: true };
        house.input(Input::Addresses(&[own]));
        house.input(Input::WallClock(UnixTime(1_800_000_000)));
        for ((kind, id), bytes) in house.records.clone() {
            let key = Key { kind: Kind::from_byte(kind), id };
            house.input(Input::Restored { key, bytes: &bytes, source: Source::Disk, blob_bytes: 0 });
        }
        house.input(Input::Storage(Storage::Disk));
        house
    }

    /// Starts anew with what is on the disk.
    fn restart(self, text: &str) -> Self {
        Self::with_records(text, self.records)
    }

    fn configure(&mut self, text: &str) {
        let mut model = Box::new(Model::new());
        assert_eq!(model.read(text.as_bytes(), &mut |fault| panic!("{fault}")), 0);
        self.input(Input::Configuration(&model));
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        loop {
            let credits = Credits { ports: PortSet::ALL, storage: true };
            let Some(output) = self.server.poll(self.now, credits, &mut self.buffer) else { return };
            count += 1;
            assert!(count < 5_000, "no end of outputs: {output:?}");
            match output {
                Output::Datagram { .. } | Output::ClosePort(_) => {}
                Output::OpenPort { port, address, .. } => {
                    self.server.handle(self.now, Input::Opened(port, Ok(address)));
                }
                Output::ConnectLocal { stream } => {
                    assert_eq!(self.server.local_path(stream), Some("/run/lines"));
                    self.line = Some(stream);
                    self.server.handle(self.now, Input::Connected { stream, local: NOWHERE });
                }
                Output::Connect { stream, to, .. } => {
                    assert_eq!(to, SocketAddr::from(([203, 0, 113, 9], 5222)), "the Jabber server is down");
                    self.server.handle(self.now, Input::Closed(stream, Reason::NotConnected));
                }
                Output::Flush(stream) => {
                    let bytes = self.server.transmit_window(stream).to_vec();
                    self.heard += std::str::from_utf8(&bytes).unwrap();
                    self.server.transmitted(self.now, stream, bytes.len());
                }
                Output::Close(stream) => self.server.handle(self.now, Input::Closed(stream, Reason::Asked)),
                Output::Store { ticket, key, len, .. } => {
                    self.records.insert((key.kind.to_byte(), key.id), self.buffer[..len].to_vec());
                    self.server.handle(self.now, Input::Stored { ticket, outcome: Ok(()) });
                }
                Output::Forget { ticket, key } => {
                    self.records.remove(&(key.kind.to_byte(), key.id));
                    self.server.handle(self.now, Input::Stored { ticket, outcome: Ok(()) });
                }
                Output::Load { ticket, .. } => {
                    let outcome = Err(StoreError::Unknown);
                    self.server.handle(self.now, Input::Loaded { ticket, outcome });
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
        self.input(Input::Timeout);
    }

    /// The other end of the line says something.
    fn line_says(&mut self, line: &str) {
        let stream = self.line.expect("a line");
        let line = format!("{line}\n");
        self.server.receive_window(stream)[..line.len()].copy_from_slice(line.as_bytes());
        self.input(Input::Received(stream, line.len()));
    }

    /// The account of the line is on, and its list is that.
    fn line_is_on(&mut self, list: &[(&str, &str)]) {
        // It says what it can before it is taken for one that can do nothing.
        self.pass(1_200);
        self.line_says(r#"{"type":"hello","list":true,"keeps":true}"#);
        self.line_says(r#"{"type":"contacts","step":"begin"}"#);
        for (who, name) in list {
            self.line_says(&format!(r#"{{"type":"contact","who":"{who}","name":"{name}"}}"#));
        }
        self.line_says(r#"{"type":"contacts","step":"end"}"#);
        self.heard();
    }

    /// What the other end of the line was told about its list, or all else, since the last time.
    fn heard(&mut self) -> Vec<String> {
        let heard = std::mem::take(&mut self.heard);
        let of_list = |line: &&str| line.contains("\"add\"") || line.contains("\"remove\"");
        heard.lines().filter(of_list).map(String::from).collect()
    }

    /// What the home answers when somebody says that to it, and whether it was done.
    fn tell(&mut self, person: &str, text: &str) -> (bool, String) {
        let mut room = vec![0; 8192];
        let mut out = Writer::new(&mut room);
        let outcome = self.server.command(self.now, person, text, &mut out);
        assert_ne!(outcome, Err(Undone::NoPerson), "{person}");
        let answer = String::from_utf8(out.written().to_vec()).unwrap();
        self.drain();
        (outcome.is_ok(), answer)
    }

    fn yes(&mut self, person: &str, text: &str) -> String {
        let (is_done, answer) = self.tell(person, text);
        assert!(is_done, "{text}: {answer}");
        answer
    }

    fn no(&mut self, person: &str, text: &str) -> String {
        let (is_done, answer) = self.tell(person, text);
        assert!(!is_done, "{text}: {answer}");
        answer
    }

    /// How many records of learned buddies are on the disk.
    fn kept(&self) -> usize {
        self.records.keys().filter(|(kind, _)| *kind == Kind::Buddy.to_byte()).count()
    }
}

#[test]
fn a_list_is_changed_and_kept() {
    let mut house = House::new(HOUSE);
    let configured = "carl (Carl): offline\n  sip:carl@his.example not known, configuration\n  \
                      line:carl offline, configuration\n";
    let aunt = "aunt: offline\n  xmpp:aunt@jabber.example offline, configuration";
    let before = house.yes("alice", "buddies");
    assert_eq!(before, format!("{configured}{aunt}"));

    assert_eq!(
        house.yes("alice", "add Dora xmpp:Dora@jabber.example Dora D"),
        "Dora D is on your list: xmpp:dora@jabber.example. Your account there is not on now."
    );
    assert_eq!(
        house.yes("alice", "link dora sip:dora@her.example:5062"),
        "sip:dora@her.example:5062 is an address of Dora D now."
    );
    let dora = "dora (Dora D): offline\n  xmpp:dora@jabber.example offline, learned\n  \
                sip:dora@her.example:5062 not known, learned\n";
    assert_eq!(house.yes("alice", "buddies"), format!("{configured}{dora}{aunt}"));
    assert_eq!(
        house.yes("bob", "buddies"),
        "aunt: offline\n  xmpp:aunt@jabber.example no account there, configuration",
        "a list is hers alone"
    );
    assert_eq!(house.kept(), 1);

    let mut house = house.restart(HOUSE);
    assert_eq!(house.yes("alice", "buddies"), format!("{configured}{dora}{aunt}"), "it survives a restart");
    assert_eq!(
        house.yes("alice", "unlink dora xmpp:dora@jabber.example"),
        "xmpp:dora@jabber.example is not an address of Dora D any more."
    );
    let mut house = house.restart(HOUSE);
    assert!(!house.yes("alice", "buddies").contains("xmpp:dora"));
    assert_eq!(house.yes("alice", "remove dora"), "dora is not on your list any more.");
    assert_eq!(house.kept(), 0, "nothing of it is left");
    let mut house = house.restart(HOUSE);
    assert_eq!(house.yes("alice", "buddies"), before);
    assert_eq!(house.no("alice", "remove dora"), "Nobody on your list is called so.");
}

#[test]
fn a_configured_buddy_has_more_addresses() {
    let mut house = House::new(HOUSE);
    assert_eq!(
        house.yes("alice", "link carl xmpp:carl@jabber.example"),
        "xmpp:carl@jabber.example is an address of Carl now. Your account there is not on now."
    );
    house.yes("alice", "add dora line:dora");
    assert_eq!(house.no("alice", "remove carl"), "It is in the configuration.");
    assert_eq!(house.no("alice", "unlink carl line:carl"), "It is in the configuration.");
    assert_eq!(house.no("alice", "unlink carl irc:carl"), "The buddy has no such address.");
    assert_eq!(house.no("alice", "link dora line:carl"), "That is an address of carl.");
    assert_eq!(house.no("alice", "link carl line:carl"), "The buddy has that address already.");
    assert_eq!(
        house.yes("alice", "link dora xmpp:carl@jabber.example"),
        "xmpp:carl@jabber.example is an address of dora now, and not of Carl any more. Your account there is not on now."
    );
    assert!(!house.yes("alice", "buddies").starts_with("carl (Carl): offline\n  sip:carl@his.example not known, configuration\n  line:carl offline, configuration\n  xmpp"));
    house.yes("alice", "link carl irc:carl");
    // The configuration changes: others stand before him, he is called otherwise, and another is called as one was learned.
    let newer = HOUSE
        .replace("config account 'alice_lines'", "config buddy\n\toption alias 'zoe'\n\nconfig account 'alice_lines'");
    let newer = newer
        + "\nconfig buddy\n\toption person 'alice'\n\toption alias 'dora'\n\toption name 'Dora D'\n\tlist address 'sip:d@x.example'\n";
    house.configure(&newer);
    let after = "carl (Carl): offline\n  sip:carl@his.example not known, configuration\n  line:carl offline, \
                 configuration\n  irc:carl no account there, learned\ndora (Dora D): offline\n  sip:d@x.example not \
                 known, configuration\n  line:dora offline, learned\n  xmpp:carl@jabber.example offline, learned\nzoe: \
                 offline\naunt: offline\n  xmpp:aunt@jabber.example offline, configuration";
    assert_eq!(house.yes("alice", "buddies"), after);
    let mut house = house.restart(&newer);
    assert_eq!(house.yes("alice", "buddies"), after, "after a restart, too");
    house.configure(&HOUSE.replace("option alias 'carl'", "option alias 'carlo'"));
    let answer = house.yes("alice", "buddies");
    assert!(answer.contains("carlo (Carl): ") && answer.contains("\ncarl: offline\n  irc:carl "), "{answer}");
    assert_eq!(house.yes("alice", "remove carl"), "carl is not on your list any more.");
    assert_eq!(house.kept(), 1, "dora");
}

#[test]
fn the_network_is_told() {
    let mut house = House::new(HOUSE);
    house.yes("alice", "add early line:early");
    house.line_is_on(&[("lamp", "Lamp")]);
    // Whom the configuration has, and whom she added before, is put on its list.
    house.heard();
    house.yes("alice", "add dora line:dora Dora D");
    assert_eq!(house.heard(), [r#"{"type":"add","who":"dora","name":"Dora D"}"#]);
    house.line_says(r#"{"type":"contact","who":"dora","name":"Dora D"}"#);
    assert_eq!(
        house.yes("alice", "link dora line:lamp"),
        "line:lamp is an address of Dora D now.",
        "it is on the list there already"
    );
    assert_eq!(house.heard(), [""; 0]);
    house.yes("alice", "unlink dora line:lamp");
    assert_eq!(house.heard(), [""; 0], "and stays there");
    house.yes("alice", "remove dora");
    assert_eq!(house.heard(), [r#"{"type":"remove","who":"dora"}"#]);
    assert!(house.yes("alice", "buddies").contains("dora-d (Dora D)"), "until the network says so");
    house.line_says(r#"{"type":"gone","who":"dora"}"#);
    assert!(!house.yes("alice", "buddies").contains("dora"));
    assert_eq!(house.yes("alice", "remove lamp"), "line:lamp is taken off the list of your account there.");
    assert_eq!(house.heard(), [r#"{"type":"remove","who":"lamp"}"#]);
}

#[test]
fn who_was_added_while_it_was_off_is_told_when_it_is_on() {
    let mut house = House::new(HOUSE);
    house.yes("alice", "add early line:early");
    house.pass(1_200);
    house.line_says(r#"{"type":"hello","list":true}"#);
    house.line_says(r#"{"type":"contacts","step":"begin"}"#);
    house.line_says(r#"{"type":"contacts","step":"end"}"#);
    // Whom the configuration has and that list has not is put on it, too.
    let expected = [r#"{"type":"add","who":"carl","name":"Carl"}"#, r#"{"type":"add","who":"early","name":"early"}"#];
    assert_eq!(house.heard(), expected);
}

#[test]
fn of_a_networks_list() {
    let mut house = House::new(HOUSE);
    house.line_is_on(&[("lamp", "Lamp"), ("bell", "Bell")]);
    house.line_says(r#"{"type":"presence","who":"lamp","show":"available","text":"on"}"#);
    let listed = "bell (Bell): offline\n  line:bell offline, network's list";
    let answer = house.yes("alice", "buddies");
    assert!(
        answer.ends_with(&format!("lamp (Lamp): available\n  line:lamp available, network's list\n{listed}")),
        "{answer}"
    );
    assert_eq!(house.no("alice", "unlink lamp line:lamp"), "It is on the list of the network.");
    assert_eq!(house.yes("alice", "who").lines().last(), Some("Lamp: available: on [line]"));

    // One who is on the list becomes a buddy of several addresses by a link.
    house.yes("alice", "link lamp xmpp:lamp@jabber.example");
    let answer = house.yes("alice", "buddies");
    let lamp = "lamp (Lamp): available\n  line:lamp available, learned\n  xmpp:lamp@jabber.example offline, learned\n";
    assert!(answer.contains(lamp) && answer.ends_with(listed), "{answer}");
    // And one who is given to another is no buddy of his own any more.
    house.yes("alice", "link carl line:bell");
    let answer = house.yes("alice", "buddies");
    assert!(answer.contains("  line:bell offline, learned\nlamp ") && !answer.contains("Bell"), "{answer}");
    house.line_says(r#"{"type":"presence","who":"bell","show":"busy","text":"ringing"}"#);
    assert!(house.yes("alice", "who").contains("Carl: busy: ringing [line]"));
    house.yes("alice", "unlink carl line:bell");
    assert!(house.yes("alice", "who").contains("Bell: busy: ringing [line]"));
}

#[test]
fn which_way_a_text_goes() {
    let mut house = House::new(HOUSE);
    house.line_is_on(&[("carl", "")]);
    house.line_says(r#"{"type":"presence","who":"carl","show":"away"}"#);
    let expected = "sip:carl@his.example: it is not known how he is there\nline:carl by alice_lines: he is away\n\
                    It goes to line:carl by alice_lines: he is most available there.";
    for whom in ["carl", "carl@house.example", "line:carl", "sip:carl@his.example"] {
        assert_eq!(house.yes("alice", &format!("explain to {whom}")), expected, "{whom}");
    }
    assert_eq!(
        house.yes("alice", "explain to aunt"),
        "xmpp:aunt@jabber.example by alice_jabber: the account is not on\nIt is kept here until he shows up."
    );
    assert_eq!(
        house.yes("alice", "explain to line:nobody"),
        "line:nobody by alice_lines: he is not there, and the network keeps texts\n\
         It goes to line:nobody by alice_lines: he is nowhere, and that network keeps it for him."
    );
    assert_eq!(house.yes("alice", "explain to bob"), "bob is of the home: it goes to the devices of bob.");
    assert_eq!(
        house.yes("alice", "explain to eve@x.example"),
        "It goes to sip:eve@x.example: nobody on your list has that address."
    );
    assert_eq!(house.yes("bob", "explain to aunt"), "It goes nowhere: he has no address.");
    assert_eq!(house.no("bob", "explain to carl"), "Nobody on your list is called so.");
    assert_eq!(house.no("alice", "explain to xmpp:nobody"), "Nobody on your list is called so.");
}

#[test]
fn what_is_refused() {
    let mut house = House::new(HOUSE);
    for (text, answer) in [
        ("add bob xmpp:bob@jabber.example", "Somebody is called so already."),
        ("add pcs xmpp:bob@jabber.example", "Somebody is called so already."),
        ("add bob-buddies irc:b", "Somebody is called so already."),
        ("add Carl irc:b", "Somebody is called so already."),
        ("add aunt irc:b", "Somebody is called so already."),
        ("add dora line:carl", "That is an address of carl."),
        ("add dora xmpp:dora", "'xmpp:dora' is not xmpp:USER@DOMAIN."),
        ("add dora sip:dora", "'sip:dora' is not sip:USER@HOST or sip:USER@HOST:PORT."),
        ("link dora irc:b", "Nobody on your list is called so."),
        ("add bob", "I don't understand that. Write: help"),
        ("add milk to the list", "I don't understand that. Write: help"),
        ("remove that", "Nobody on your list is called so."),
    ] {
        assert_eq!(house.no("alice", text), answer, "{text}");
    }
    for number in 0..ADDRESSES_PER_BUDDY - 2 {
        house.yes("alice", &format!("link carl irc:c{number}"));
    }
    let answer = house.no("alice", "link carl irc:more");
    assert_eq!(answer, format!("There is no room: a buddy has {ADDRESSES_PER_BUDDY} addresses at most."));
    for number in 0..BUDDIES - 2 {
        house.yes("alice", &format!("add b{number} irc:b{number}"));
    }
    let answer = house.no("alice", "add more irc:more");
    assert_eq!(answer, format!("There is no room: {BUDDIES} buddies of all lists are the limit."));
    house.yes("alice", "remove b7");
    house.yes("alice", "add more irc:more");
    assert!(house.yes("alice", "explain to more").starts_with("It goes nowhere"), "she has no account there");
    assert_eq!(house.kept(), BUDDIES - 1, "one of them is carl's");
    let mut house = house.restart(HOUSE);
    assert_eq!(house.kept(), BUDDIES - 1);
    assert!(house.yes("alice", "buddies").contains("\nmore: offline\n  irc:more no account there, learned"));
    // With more in the configuration there is room for fewer.
    house.configure(&(String::from(HOUSE) + "\nconfig buddy\n\toption alias 'zoe'\n"));
    assert_eq!(house.yes("alice", "buddies").matches(" learned").count(), BUDDIES - 3 + ADDRESSES_PER_BUDDY - 2);
    assert_eq!(house.kept(), BUDDIES - 1, "who has no room is kept all the same");
}

#[test]
fn accounts_in_words() {
    let mut house = House::new(HOUSE);
    house.line_is_on(&[("lamp", "Lamp")]);
    house.pass(1_000);
    let shown: Vec<String> = house.server.accounts(house.now).map(|account| account.to_string()).collect();
    assert_eq!(shown[0], "alice_lines alice line alice_lines online since 1 s, 1 contact");
    let waits = "alice_jabber alice xmpp alice@jabber.example waiting ";
    assert!(
        shown[1].starts_with(waits) && shown[1].ends_with(" s: the server can't be reached, 0 contacts"),
        "{}",
        shown[1]
    );
    let answer = house.yes("alice", "accounts");
    assert!(answer.starts_with("line alice_lines: online since 1 s, 1 contact\nxmpp alice@jabber.example: waiting "));
    assert_eq!(house.yes("bob", "accounts"), "You have no account on another network.");
    assert!(house.server.status(house.now).to_string().contains("\naccount       alice_lines alice line "));

    let retry = |house: &mut House, name: &str| {
        let mut room = [0; 100];
        let mut out = Writer::new(&mut room);
        let outcome = house.server.retry(house.now, name, &mut out);
        (outcome.is_ok(), String::from_utf8(out.written().to_vec()).unwrap())
    };
    assert_eq!(retry(&mut house, "x\ny"), (false, "there is no account 'x y'".into()));
    assert_eq!(retry(&mut house, "alice_lines"), (false, "the account is on".into()));
    assert_eq!(retry(&mut house, "Alice_Jabber"), (true, "The account is tried now.".into()));
    let state = |house: &House| house.server.accounts(house.now).nth(1).unwrap().state;
    assert_eq!(state(&house), "connecting");
    house.drain();
    assert_eq!(state(&house), "waiting", "it failed at once");
}

/// Bob's phone.
const BOB: &str = "203.0.113.60:5060";
/// Where a buddy of his is on SIP, first and later.
const DORA: [&str; 2] = ["198.51.100.8:5060", "198.51.100.9:5060"];

/// Bob's phone subscribes to the presence of somebody.
fn subscribe(home: &mut Home, to: &str, call: &str) {
    let request = format!(
        "SUBSCRIBE sip:{to}@house.example SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@house.example>;tag=w\r\nTo: <sip:{to}@house.example>\r\nCall-ID: {call}\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:w@{BOB}>\r\nEvent: presence\r\nSupported: eventlist\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let accepted = home.send_proven(by_datagram(BOB), request.as_bytes(), "bob");
    assert_eq!(status(&accepted), Some(200), "{}", accepted.escape_ascii());
}

/// What Bob says to the home, and which requests that sends within seconds: those of his phone are answered.
fn bob_says(home: &mut Home, text: &str) -> Vec<Vec<u8>> {
    if !text.is_empty() {
        let mut room = [0; 1000];
        let mut out = Writer::new(&mut room);
        let outcome = home.server.command(home.now, "bob", text, &mut out);
        assert_eq!(outcome, Ok(()), "{}", out.written().escape_ascii());
    }
    let mut all = Vec::new();
    for _ in 0..8 {
        home.pass(500);
        let bob: SocketAddr = BOB.parse().unwrap();
        for sent in home.take() {
            if sent.is_to(bob) && sent.bytes().starts_with(b"NOTIFY ") && !all.contains(&sent.bytes().to_vec()) {
                home.send(by_datagram(BOB), &answer(sent.bytes(), 200, ""));
            }
            all.push(sent.bytes().to_vec());
        }
    }
    all
}

fn any(sent: &[Vec<u8>], parts: &[&str]) -> bool {
    sent.iter().any(|bytes| parts.iter().all(|part| find(bytes, part.as_bytes()).is_some()))
}

#[test]
fn who_watches_is_told() {
    let mut home = Home::new(&model("house.example", &["olof", "bob"], &[LISTEN]));
    subscribe(&mut home, "bob-buddies", "c1");
    let first = bob_says(&mut home, "");
    assert!(any(&first, &["NOTIFY ", "sip:olof@house.example"]) && !any(&first, &["sip:dora@house.example"]));
    let sent = bob_says(&mut home, &format!("add dora sip:dora@{}", DORA[0]));
    assert!(any(&sent, &["NOTIFY ", "Call-ID: c1", "sip:dora@house.example"]), "his list has her");
    let asked = |number: usize| format!("SUBSCRIBE sip:dora@{} ", DORA[number]);
    assert!(any(&sent, &[&asked(0)]), "and the home asks how she is");
    subscribe(&mut home, "dora", "c2");
    bob_says(&mut home, "");
    bob_says(&mut home, &format!("link dora sip:dora@{}", DORA[1]));
    let sent = bob_says(&mut home, &format!("unlink dora sip:dora@{}", DORA[0]));
    assert!(any(&sent, &[&asked(1)]), "it asks where she is now");
    let sent = bob_says(&mut home, "remove dora");
    assert!(any(&sent, &["NOTIFY ", "Call-ID: c2", "Subscription-State: terminated;reason=noresource"]));
    assert!(any(&sent, &["NOTIFY ", "Call-ID: c1", "sip:olof@house.example"]), "the list is told anew");
    assert!(!any(&sent, &["NOTIFY ", "Call-ID: c1", "sip:dora@house.example"]));
}
