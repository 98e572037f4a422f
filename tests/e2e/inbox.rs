//! Texts to somebody who is away: kept, answered for her once, delivered or summed up on her return; and never lost, once
//! their sender was told that they are kept.

use crate::baresip::Setup;
use crate::browser::Browser;
use crate::client::Client;
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::harness::{Place, free_port, step, wait_until};
use crate::restart::{new_spool, spool_option};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A server with a spool and a page.
pub struct Home {
    /// The server.
    pub pcsd: Daemon,
    /// Where its page is.
    pub page: SocketAddr,
}

impl Home {
    /// Starts it, with `more` options of the main section.
    pub fn start(place: &Place, people: &[Person<'_>], more: &str) -> Self {
        let page = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let spool = spool_option(&new_spool(place, "spool"));
        let more = format!("{spool}\tlist web '{page}'\n\tlist unlimited '127.0.0.1'\n{more}");
        let home = Self { pcsd: Daemon::start_with(place, people, false, &more), page };
        home.await_disk();
        home
    }

    /// Waits until what comes is kept.
    pub fn await_disk(&self) {
        wait_until("records go to the disk", || {
            self.pcsd.pcsctl(&["status"]).contains("storage       disk").then_some(())
        });
    }

    /// Ends it as a power cut would, and starts it again.
    pub fn kill_and_start(&mut self) {
        self.pcsd.program.kill();
        self.pcsd.start_again();
        self.await_disk();
    }
}

#[test]
fn written_to_while_away() {
    let Some(place) = Place::new("written_to_while_away", &["baresip"]) else { return };
    let people = [Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")];
    let home = Home::start(&place, &people, "");
    let mut bob = Setup { contact: "alice", ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    let mut carol = Client::new("carol", "test", &home.pcsd, LOCALHOST);
    carol.register("", 600);

    step!(place, "Bob writes twice, and is answered once");
    let from = bob.program.output.len();
    bob.write("Is anybody there?");
    let accepted = bob.await_trace(from, "SIP/2.0 202 ");
    bob.await_trace(from, AWAY);
    bob.write("It rains <in> & \\\"here\\\"");
    bob.await_trace(accepted + 1, "SIP/2.0 202 ");

    step!(place, "Carol writes, and that she writes is no message");
    let mut dialog = carol.dialog(&sip("alice"));
    let typing = "<?xml version=\"1.0\"?><isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
                  <state>active</state></isComposing>";
    let sign = carol.request("MESSAGE", &mut dialog, "Content-Type: application/im-iscomposing+xml\r\n", typing);
    assert_ne!(sign.status(), 202, "a sign is not kept");
    let mut dialog = carol.dialog(&sip("alice"));
    carol.request("MESSAGE", &mut dialog, TEXT, "Ring me").assert_status(202);
    let reply = carol.await_request("the reply for Alice", |it| it.method() == "MESSAGE");
    carol.answer(&reply, "200 OK", "");
    assert!(reply.text().contains(AWAY) && reply.field("Auto-Submitted").is_some(), "{}", reply.text());
    assert!(reply.field("From").is_some_and(|from| from.contains(&sip("alice"))), "{}", reply.text());

    step!(place, "a program writes, and is not answered");
    let mut robot = carol.dialog(&sip("alice"));
    let fields = format!("Auto-Submitted: auto-generated\r\n{TEXT}");
    carol.request("MESSAGE", &mut robot, &fields, "Battery low").assert_status(202);

    step!(place, "somebody from elsewhere writes, and is answered where he is");
    let mut dave = Stranger::new("dave", home.pcsd.address());
    assert_eq!(dave.write(1, "Hello from afar"), Some(202));
    dave.await_reply(AWAY);

    step!(place, "Alice comes: one message says what there is");
    let mut alice = Setup::new("alice", home.pcsd.address()).start(&place, "alice");
    let told = alice.await_trace(0, " missed IM");
    alice.await_trace(told, "/l/");
    let line = alice.program.output.since(told)[0].clone();
    for part in ["2 missed IMs from bob", "2 missed IMs from carol", "1 missed IM from dave"] {
        assert!(line.contains(part), "{line}");
    }
    let link = link_in(&alice.program.output.since(told));
    assert_eq!(bob.program.output.count(AWAY), 1, "Bob was told once");
    assert_eq!(carol.seen.iter().filter(|it| it.text().contains(AWAY)).count(), 1, "Carol was told once");

    step!(place, "its link opens, once, and not by looking at it");
    let mut browser = Browser::new(home.page);
    for _ in 0..2 {
        let page = browser.get(&link);
        page.assert_status(200);
        assert!(page.text().contains("Show messages") && !page.text().contains("Is anybody"), "{}", page.text());
    }
    browser.post(&link, &[]).assert_status(303);
    let page = browser.get("/");
    page.assert_status(200);
    let mut texts = page.texts();
    texts.sort();
    let expected = [
        "Battery low",
        "Hello from afar",
        "Is anybody there?",
        "It rains &lt;in&gt; &amp; &quot;here&quot;",
        "Ring me",
    ];
    assert_eq!(texts, expected, "{}", page.text());
    let mut second = Browser::new(home.page);
    second.post(&link, &[]).assert_status(404);
    second.get("/").assert_status(303);

    step!(place, "she goes and comes: nothing is new, nothing is said");
    alice.quit();
    home.pcsd.await_devices("alice", 0);
    std::thread::sleep(DAMPED);
    let mut alice = Setup::new("alice", home.pcsd.address()).start(&place, "again");
    alice.await_registered();
    std::thread::sleep(DAMPED);
    assert_eq!(alice.program.output.count(" missed IM"), 0, "she was told before");
    alice.quit();
    home.pcsd.await_devices("alice", 0);
    std::thread::sleep(DAMPED);

    step!(place, "another absence: one more is kept, answered and told");
    let from = bob.program.output.len();
    bob.write("Still raining");
    bob.await_trace(from, AWAY);
    let alice = Setup::new("alice", home.pcsd.address()).start(&place, "third");
    let told = alice.await_trace(0, " missed IM");
    let line = alice.program.output.since(told)[0].clone();
    assert!(line.contains("1 missed IM from bob") && !line.contains("carol"), "{line}");
    home.pcsd.await_rest();
}

#[test]
fn delivered_on_return() {
    let Some(place) = Place::new("delivered_on_return", &["baresip"]) else { return };
    let home = Home::start(&place, &[Person::With("alice", "\toption missed 'deliver'\n"), Person::Md5("bob")], "");
    let mut bob = Client::new("bob", "test", &home.pcsd, LOCALHOST);
    bob.register("", 600);
    for text in ["first", "second", "third"] {
        let mut dialog = bob.dialog(&sip("alice"));
        bob.request("MESSAGE", &mut dialog, TEXT, format!("the {text} text")).assert_status(202);
    }
    step!(place, "Alice comes: the texts follow in order, each with its time, from Bob");
    let alice = Setup::new("alice", home.pcsd.address()).start(&place, "alice");
    alice.await_trace(0, "the third text");
    let lines = alice.program.output.since(0);
    let found = lines.iter().filter(|line| line.contains("] the ")).collect::<Vec<_>>();
    let mut order = Vec::new();
    for line in found {
        let (prefix, text) = line.split_once("] the ").expect("it was found by that");
        let time = prefix.rsplit('[').next().unwrap_or_default();
        assert!(time.len() >= 5 && time.as_bytes()[time.len() - 3] == b':', "{line}");
        let word = text.split(' ').next().unwrap_or_default().to_string();
        if order.last() != Some(&word) {
            order.push(word);
        }
    }
    assert_eq!(order, ["first", "second", "third"]);
    let letters = alice.messages().into_iter().filter(|lines| lines.iter().any(|line| line.contains("] the ")));
    assert!(letters.clone().count() >= 3);
    assert!(
        letters.into_iter().all(|lines| lines.iter().any(|it| it.starts_with("From:") && it.contains(&sip("bob"))))
    );

    step!(place, "the page has them as read, and no summary was needed");
    let mut browser = Browser::logged_in(home.page, "alice");
    wait_until("all are read", || browser.get("/").text().contains("Nothing new").then_some(()));
    assert_eq!(browser.all_texts().len(), 3);
    std::thread::sleep(DAMPED);
    assert_eq!(alice.program.output.count(" missed IM"), 0);
    home.pcsd.await_rest();
}

#[test]
fn killed_under_texts() {
    let Some(place) = Place::new("killed_under_texts", &[]) else { return };
    let mut home = Home::start(&place, &[Person::Md5("alice")], "");
    let mut strangers =
        (0..STRANGERS).map(|number| Stranger::new(&format!("sender{number}"), home.pcsd.address())).collect::<Vec<_>>();
    let (mut number, mut kept) = (0, BTreeMap::new());
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let mut sent = Vec::new();
        // The kill comes in the middle, at another place each time.
        let kill_after = TEXTS_PER_ROUND / 2 + round * 5;
        for index in 0..TEXTS_PER_ROUND {
            let stranger = &mut strangers[index % STRANGERS];
            stranger.send(number, &format!("text {number}"));
            sent.push((index % STRANGERS, number));
            number += 1;
            // A few at a time are on their way.
            let end = Instant::now() + PATIENCE;
            while sent.iter().filter(|(_, number)| !kept.contains_key(number)).count() > ON_THEIR_WAY
                && index < kill_after
            {
                assert!(Instant::now() < end, "texts are answered");
                strangers.iter_mut().for_each(|it| it.take(Duration::ZERO, &mut kept));
            }
            if index == kill_after {
                home.pcsd.program.kill();
                strangers.iter_mut().for_each(|it| it.take(Duration::from_millis(5), &mut kept));
                let early = sent.iter().filter(|(_, number)| kept.contains_key(number)).count();
                step!(place, "killed when {early} of {} were acknowledged", sent.len());
                home.pcsd.start_again();
                home.await_disk();
                let texts = Browser::logged_in(home.page, "alice").all_texts();
                let there = texts.iter().cloned().collect::<BTreeSet<_>>();
                assert_eq!(there.len(), texts.len(), "nothing is there twice");
                for (number, status) in &kept {
                    assert_eq!(*status, 202, "text {number}");
                    assert!(there.contains(&format!("text {number}")), "text {number} was acknowledged and is lost");
                }
            }
        }
        // Clients repeat what was not answered, and here also what was: each is the same text as before.
        let end = Instant::now() + PATIENCE;
        while sent.iter().any(|(_, number)| !kept.contains_key(number)) {
            assert!(Instant::now() < end, "{} of {} are kept", kept.len(), number);
            for (stranger, number) in sent.iter().filter(|(_, number)| !kept.contains_key(number)) {
                strangers[*stranger].send(*number, &format!("text {number}"));
            }
            strangers.iter_mut().for_each(|it| it.take(Duration::from_millis(100), &mut kept));
        }
        for (stranger, number) in &sent {
            assert_eq!(strangers[*stranger].write(*number, &format!("text {number}")), Some(202), "a resend is known");
        }
    }
    let texts = Browser::logged_in(home.page, "alice").all_texts();
    step!(place, "{} texts of {} in {} s", texts.len(), number, begun.elapsed().as_secs());
    let expected = (0..number).map(|number| format!("text {number}")).collect::<BTreeSet<_>>();
    assert_eq!(texts.len(), number, "each is there once");
    assert_eq!(texts.into_iter().collect::<BTreeSet<_>>(), expected);
    home.kill_and_start();
    assert_eq!(Browser::logged_in(home.page, "alice").all_texts().len(), number, "and after one more start");
}

/// The path of the link in a summary.
pub fn link_in(lines: &[String]) -> String {
    let link =
        lines.iter().find_map(|line| Some(line[line.find("/l/")?..].to_string())).expect("the summary has a link");
    // The trace ends in colours.
    let is_token = |it: char| it.is_ascii_alphanumeric() || "/-_".contains(it);
    link.chars().take_while(|it| is_token(*it)).collect()
}

/// Somebody of another domain who writes to Alice.
struct Stranger {
    name: String,
    socket: UdpSocket,
    server: SocketAddr,
    branches: usize,
    /// Texts that he was sent.
    heard: Vec<String>,
}

impl Stranger {
    fn new(name: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((LOCALHOST, 0)).expect("a port on the loopback");
        Self { name: name.into(), socket, server, branches: 0, heard: Vec::new() }
    }

    /// Sends a text that has a number; the same again in a new transaction, as somebody who has heard nothing.
    fn send(&mut self, number: usize, text: &str) {
        self.branches += 1;
        let Self { name, branches, .. } = self;
        let local = self.socket.local_addr().expect("it is bound");
        let message = format!(
            "MESSAGE {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{name}.{branches}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@away.test>;tag=t{number}\r\nTo: <sip:alice@{DOMAIN}>\r\nCall-ID: {number}-{name}\r\n\
             CSeq: 7 MESSAGE\r\n{TEXT}Content-Length: {}\r\n\r\n{text}",
            sip("alice"),
            text.len()
        );
        self.socket.send_to(message.as_bytes(), self.server).expect("the loopback takes it");
    }

    /// Takes what has come, and waits so long for more: final answers by number.
    fn take(&mut self, patience: Duration, answers: &mut BTreeMap<usize, u16>) {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.socket.set_nonblocking(left.is_zero()).expect("it may or may not wait");
            if !left.is_zero() {
                self.socket.set_read_timeout(Some(left)).expect("a timeout");
            }
            let mut buffer = [0; 2048];
            let Ok(len) = self.socket.recv(&mut buffer) else { return };
            let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
            let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
            match message.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok()) {
                Some(100..200) => {}
                Some(status) => {
                    let number = field("Call-ID: ").and_then(|id| id.split('-').next()?.parse().ok());
                    answers.insert(number.expect("an answer has our Call-ID"), status);
                }
                None => {
                    let head = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
                    let head = head.map(|name| format!("{name}{}\r\n", field(name).unwrap_or_default())).concat();
                    let answer = format!("SIP/2.0 200 OK\r\n{head}Content-Length: 0\r\n\r\n");
                    self.socket.send_to(answer.as_bytes(), self.server).expect("the loopback takes it");
                    self.heard.push(message);
                }
            }
        }
    }

    /// Sends a text until it is answered.
    fn write(&mut self, number: usize, text: &str) -> Option<u16> {
        let mut answers = BTreeMap::new();
        let end = Instant::now() + PATIENCE;
        while !answers.contains_key(&number) && Instant::now() < end {
            self.send(number, text);
            let again = Instant::now() + Duration::from_secs(1);
            while !answers.contains_key(&number) && Instant::now() < again {
                self.take(Duration::from_millis(5), &mut answers);
            }
        }
        answers.get(&number).copied()
    }

    /// Waits for a text to him.
    fn await_reply(&mut self, part: &str) {
        wait_until("the reply", || {
            self.take(Duration::from_millis(50), &mut BTreeMap::new());
            self.heard.iter().any(|text| text.contains(part)).then_some(())
        });
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = crate::harness::PATIENCE;
/// What is said for Alice.
/// What who writes to the absent is told.
pub const AWAY: &str = "is away; your message is kept";
const TEXT: &str = "Content-Type: text/plain\r\n";
/// Longer than a change of availability has to last.
const DAMPED: Duration = Duration::from_millis(6_500);
const STRANGERS: usize = 8;
const ROUNDS: usize = 6;
const TEXTS_PER_ROUND: usize = 80;
/// Texts that wait for their answer.
const ON_THEIR_WAY: usize = 16;
