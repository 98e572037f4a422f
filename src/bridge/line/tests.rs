//! Conversations with another end, byte for byte.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::fuzz::{account, fuzz};
use super::{FAULTS_MAX, Line, UNSETTLED};
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime};
use crate::bridge::{
    Abilities, Command, End, Env, Event, Link, OUT_BYTES, Outcome, SCRATCH_BYTES, Show, Step, Stop, Target,
};
use crate::config::model::{Account, LineWay, Security};

const STREAM: Link = Link(0);
const POSTS: Link = Link(1);
const HELLO: &str = "{\"type\":\"hello\",\"version\":1,\"account\":\"bell\",\"password\":\"s3cret\"}\n";

struct Home {
    line: Line,
    account: Account,
    random: Random,
    now: Instant,
    windows: [Vec<u8>; 2],
    window_bytes: usize,
    said: Vec<u8>,
}

impl Home {
    fn new(way: LineWay) -> Self {
        let mut home = Self {
            line: Line::new(),
            account: account(way),
            random: Random::new(),
            now: Instant::from_millis(1_000_000),
            windows: [Vec::new(), Vec::new()],
            window_bytes: 2048,
            said: Vec::new(),
        };
        home.with(|line, env| line.begin(env));
        home.connected(STREAM);
        home
    }

    /// One that is on, and has said hello.
    fn online(way: LineWay, hello: &str) -> Self {
        let mut home = Self::new(way);
        if way == LineWay::Http {
            home.receive(STREAM, "HTTP/1.1 200 OK\r\n\r\n");
            home.connected(POSTS);
            home.receive(POSTS, "HTTP/1.1 204 No Content\r\n\r\n");
        }
        let told = home.receive(STREAM, hello);
        assert_eq!(told, ["Online { is_resumed: false }"]);
        home.wait(0);
        home.said();
        home
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Line, &mut Env<'_, '_>) -> T) -> T {
        let mut buffer = std::vec![0; OUT_BYTES];
        let mut out = Writer::new(&mut buffer);
        let time = Some(UnixTime(1_800_000_000));
        let mut env = Env { now: self.now, time, random: &mut self.random, account: &self.account, out: &mut out };
        let result = work(&mut self.line, &mut env);
        self.said.extend_from_slice(out.written());
        assert!(out.finish().is_ok());
        result
    }

    fn connected(&mut self, link: Link) {
        self.windows[usize::from(link.0)].clear();
        self.with(|line, env| line.connected(env, link, false));
    }

    fn receive(&mut self, link: Link, bytes: impl AsRef<[u8]>) -> Vec<String> {
        let bytes = bytes.as_ref();
        self.receive_in(link, bytes, bytes.len().max(1))
    }

    /// What is told of bytes that come so many at a time.
    fn receive_in(&mut self, link: Link, bytes: &[u8], part: usize) -> Vec<String> {
        let (mut told, mut scratch) = (Vec::new(), std::vec![0; SCRATCH_BYTES]);
        for mut piece in bytes.chunks(part) {
            while !piece.is_empty() {
                let window = &mut self.windows[usize::from(link.0)];
                let (now, later) = piece.split_at(piece.len().min(self.window_bytes - window.len()));
                window.extend_from_slice(now);
                piece = later;
                loop {
                    let window = self.windows[usize::from(link.0)].clone();
                    let is_full = window.len() == self.window_bytes;
                    let (taken, word) = self.with(|line, env| {
                        let (taken, step) = line.received(env, link, (&window, is_full), &mut scratch);
                        (taken, word(&step))
                    });
                    self.windows[usize::from(link.0)].drain(..taken);
                    if word == "nothing" {
                        assert!(!is_full || taken > 0, "a full window is not read");
                        break;
                    }
                    let is_over = word.starts_with("End");
                    told.extend(Some(word).filter(|word| word != "quiet"));
                    if is_over {
                        return told;
                    }
                }
            }
        }
        told
    }

    /// What is told while so much time passes.
    fn wait(&mut self, ms: u64) -> Vec<String> {
        let (mut told, mut scratch, end) = (Vec::new(), std::vec![0; SCRATCH_BYTES], self.now.plus(ms));
        for _ in 0..1000 {
            match self.line.deadline().filter(|deadline| *deadline <= end) {
                Some(deadline) => self.now = self.now.max(deadline),
                None => {
                    self.now = end;
                    return told;
                }
            }
            let word = self.with(|line, env| word(&line.due(env, &mut scratch)));
            let is_over = word.starts_with("End(") && word != "End(Link)";
            told.extend(Some(word).filter(|word| word != "quiet" && word != "nothing"));
            if is_over {
                return told;
            }
        }
        panic!("it is never done: {told:?}");
    }

    fn command(&mut self, command: Command<'_>) -> Outcome {
        self.with(|line, env| line.command(env, &command))
    }

    fn send(&mut self, id: u32) -> Outcome {
        self.command(Command::Send { to: "door", text: "come in", id, is_automatic: false })
    }

    fn said(&mut self) -> String {
        String::from_utf8(core::mem::take(&mut self.said)).unwrap()
    }
}

fn word(step: &Step<'_>) -> String {
    match step {
        Step::Nothing => "nothing".into(),
        Step::Quiet => "quiet".into(),
        Step::Event(Event::Message(message)) => {
            let at = message.at.map_or(String::new(), |at| format!(" at {}", at.0));
            let own = if message.is_own { " own" } else { "" };
            let auto = if message.may_answer { "" } else { " auto" };
            format!("{}: {}{at}{own}{auto} #{}", message.who, message.text, message.token)
        }
        Step::Event(Event::Presence { who, place, show, priority, text }) => {
            format!("{who} is {show:?} {text:?} {} {priority}", if *place > 1 { 2 } else { *place })
        }
        Step::Event(event) => format!("{event:?}"),
        step => format!("{step:?}"),
    }
}

#[test]
fn sizes() {
    std::println!("Line: {} bytes", size_of::<Line>());
    assert!(size_of::<Line>() <= 1280);
}

#[test]
fn a_conversation() {
    let theirs = concat!(
        "{\"type\":\"hello\",\"keeps\":true,\"list\":false,\"acks\":true,\"later\":[{\"x\":null}]}\r\n",
        "\n",
        "{\"type\":\"message\",\"from\":\"doorbell\",\"text\":\"Somebody is\\r\\nat the d\\u00f6\\u00f6r\\u0007\"}\n",
        "{\"text\":21.5,\"from\":4917,\"id\":12,\"type\":\"message\",\"at\":1700000000123,\"auto\":true}\n",
        "{\"type\":\"message\",\"own\":true,\"from\":\"me\",\"to\":\"door\",\"text\":\"x\",\"id\":\"a\\n\\\"b\",\"at\":\"2010-11-13T23:29:00Z\"}\n",
        "{\"type\":\"message\",\"from\":\"bob\",\"to\":\"alice\",\"text\":\"hi\"}\n",
        "{\"type\":\"presence\",\"who\":\"lamp\",\"show\":\"available\",\"text\":\"on\"}\n",
        "{\"type\":\"presence\",\"who\":\"lamp\",\"show\":\"xa\",\"place\":\"hall\",\"priority\":-200}\n",
        "{\"type\":\"presence\",\"who\":\"lamp\",\"show\":\"offline\"}\n",
        "{\"type\":\"contacts\",\"step\":\"begin\"}\n",
        "{\"type\":\"contact\",\"who\":\"lamp\",\"name\":\"The\\tlamp\"}\n",
        "{\"type\":\"contacts\",\"step\":\"end\"}\n",
        "{\"type\":\"gone\",\"who\":\"lamp\"}\n",
        "{\"type\":\"typing\",\"from\":\"bob\"}\n",
        "{\"type\":\"typing\",\"from\":\"bob\",\"on\":false}\n",
        "{\"type\":\"request\",\"who\":\"bob\",\"text\":\"it is me\"}\n",
        "{\"type\":\"notice\",\"text\":\"SIM card missing\"}\n",
        "{\"type\":\"sent\",\"id\":7}\n",
        "{\"type\":\"failed\",\"id\":\"8\",\"why\":\"no credit\",\"final\":true}\n",
        "{\"type\":\"received\",\"id\":7,\"read\":true}\n",
        "{\"type\":\"somersault\",\"who\":[1,2]}\n",
        "{\"type\":\"bookmark\",\"text\":\"b42\"}\n",
        "{\"type\":\"ping\"}\n",
    );
    let expected = [
        "Online { is_resumed: false }",
        "doorbell: Somebody is\nat the d\u{f6}\u{f6}r\u{fffd} #0",
        "4917: 21.5 at 1700000000 auto #1",
        "door: x at 1289690940 own auto #2",
        "bob: hi #0",
        "lamp is Available \"on\" 1 0",
        "lamp is ExtendedAway \"\" 2 -128",
        "lamp is Offline \"\" 0 0",
        "ContactsBegin",
        "Contact(Contact { who: \"lamp\", name: \"The lamp\", is_watched: true, is_asked: false })",
        "ContactsEnd",
        "ContactGone { who: \"lamp\" }",
        "Typing { who: \"bob\", is_on: true }",
        "Typing { who: \"bob\", is_on: false }",
        "Request { who: \"bob\", text: \"it is me\" }",
        "Notice(\"SIM card missing\")",
        "Sent { id: 7 }",
        "Failed { id: 8, why: \"the other end could not send it\", is_final: true }",
        "Received { id: 7, is_read: true }",
        "Bookmark(\"b42\")",
    ];
    for part in [theirs.len(), 1, 100] {
        let mut home = Home::new(LineWay::Tcp);
        assert_eq!(home.said(), HELLO);
        assert_eq!(home.receive_in(STREAM, theirs.as_bytes(), part), expected);
        assert_eq!(home.line.abilities(), Abilities { keeps: true, has_list: false, hides: false });
        assert_eq!(home.said(), "{\"type\":\"pong\"}\n");
        for token in [2, 1, 1] {
            assert_eq!(home.command(Command::Settled { token, is_taken: token == 1 }), Outcome::Done);
        }
        assert_eq!(
            home.said(),
            "{\"type\":\"settled\",\"id\":\"a\\n\\\"b\",\"taken\":false}\n{\"type\":\"settled\",\"id\":12,\"taken\":true}\n"
        );
        assert!(matches!(home.command(Command::Add { who: "x", name: "" }), Outcome::Unable(_)));
        // The next connection brings the bookmark back.
        home.with(|line, env| line.begin(env));
        home.connected(STREAM);
        assert_eq!(home.said(), HELLO.replace("\"}", "\",\"bookmark\":\"b42\"}"));
    }
}

#[test]
fn what_the_home_says() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\",\"list\":true}\n");
    for command in [
        Command::Presence { show: Show::ExtendedAway, text: "\u{e5}\u{1}\"" },
        Command::Send { to: "door", text: "a\nb", id: 7, is_automatic: true },
        Command::Typing { to: "door", is_on: false },
        Command::Add { who: "door", name: "Door" },
        Command::Remove { who: "door" },
        Command::Authorise { who: "bob", is_allowed: true },
    ] {
        assert_eq!(home.command(command), Outcome::Done);
    }
    assert_eq!(
        home.said(),
        concat!(
            "{\"type\":\"presence\",\"show\":\"xa\",\"text\":\"\u{e5}\u{fffd}\\\"\"}\n",
            "{\"type\":\"message\",\"id\":7,\"to\":\"door\",\"text\":\"a\\nb\",\"auto\":true}\n",
            "{\"type\":\"typing\",\"to\":\"door\",\"on\":false}\n",
            "{\"type\":\"add\",\"who\":\"door\",\"name\":\"Door\"}\n",
            "{\"type\":\"remove\",\"who\":\"door\"}\n",
            "{\"type\":\"authorise\",\"who\":\"bob\",\"allowed\":true}\n",
        )
    );
    assert_eq!(home.wait(0), ["Sent { id: 7 }"], "without acks what is written is sent");
    assert_eq!(home.command(Command::Quit), Outcome::Done);
    assert_eq!((home.said().as_str(), home.wait(0)), ("{\"type\":\"bye\"}\n", std::vec!["End(Done)".to_string()]));
}

#[test]
fn texts_wait_for_their_acknowledgement() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\",\"acks\":true}\n");
    assert_eq!(home.send(7), Outcome::Done);
    assert!(home.wait(10_000).is_empty());
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
    assert!((1..=8).all(|id| home.send(id) == Outcome::Done));
    assert_eq!(home.send(9), Outcome::Later);
    assert_eq!(home.wait(0).len(), 8);
    assert_eq!(home.send(9), Outcome::Done);
}

#[test]
fn the_longest_text_fits() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
    for text in ["\u{1}", "\"", "\n", "\u{85}", "\u{2028}", "\u{1f600}"] {
        let text = text.repeat(crate::bridge::TEXT_BYTES / text.len());
        assert_eq!(home.command(Command::Send { to: "x", text: &text, id: 1, is_automatic: true }), Outcome::Done);
        home.wait(0);
    }
}

#[test]
fn on_without_a_hello() {
    let mut home = Home::new(LineWay::Local);
    assert_eq!(home.send(1), Outcome::Later);
    assert!(home.wait(999).is_empty());
    assert_eq!(home.wait(1), ["Online { is_resumed: false }"]);
    assert!(home.wait(3_600_000).is_empty());
    assert_eq!(home.said(), HELLO, "who has not greeted is sent no ping");
    let mut home = Home::new(LineWay::Local);
    let told = home.receive(STREAM, "{\"type\":\"message\",\"from\":\"a\",\"text\":\"b\"}\n");
    assert_eq!(told, ["Online { is_resumed: false }", "a: b #0"]);
}

#[test]
fn silence() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
    assert!(home.wait(125_000).is_empty());
    assert_eq!(home.said(), "{\"type\":\"ping\"}\n".repeat(2));
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\",\"pings\":true}\n");
    assert!(home.wait(65_000).is_empty());
    assert!(home.receive(STREAM, "{\"type\":\"pong\"}\n").is_empty());
    assert!(home.wait(89_000).is_empty());
    assert_eq!(home.wait(1_000), ["End(Retry(\"nothing comes any more\"))"]);
}

#[test]
fn ends() {
    for (line, end) in [
        ("{\"type\":\"bye\"}", "End(Retry(\"the other end said goodbye\"))"),
        ("{\"type\":\"error\",\"why\":\"password\",\"stop\":true}", "End(Stop(Password))"),
        ("{\"why\":\"elsewhere\",\"stop\":true,\"type\":\"error\"}", "End(Stop(Elsewhere))"),
        ("{\"type\":\"error\",\"stop\":true}", "End(Stop(Refused(\"the other end wants no more of it\")))"),
    ] {
        let mut home = Home::new(LineWay::Tcp);
        assert_eq!(home.receive(STREAM, format!("{line}\n")), [end]);
    }
    let mut home = Home::new(LineWay::Tcp);
    assert_eq!(home.with(|line, env| line.closed(env, STREAM)), Some(End::Retry("the connection was closed")));
    assert_eq!(home.line.deadline(), None);
}

#[test]
fn lines_that_are_left_out() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
    let address = "x".repeat(81);
    let long = format!("{{\"type\":\"typing\",\"from\":\"{address}\"}}");
    for line in [
        "[1,2]",
        "42",
        "{\"type\":\"message\"",
        "{\"from\":\"a\",\"text\":\"b\"}",
        "{\"type\":\"message\",\"text\":\"b\"}",
        "{\"type\":\"message\",\"from\":\"a\"}",
        &long,
        "{\"type\":\"typing\",\"from\":\"a\\u0000b\"}",
        "{\"type\":\"presence\",\"who\":\"a\",\"show\":\"dancing\"}",
        "{\"type\":\"sent\",\"id\":\"x\"}",
        "{\"type\":\"sent\",\"id\":0}",
        "{} {}",
    ] {
        assert!(home.receive(STREAM, format!("{line}\n")).is_empty(), "{line}");
        assert!(home.said().starts_with("{\"type\":\"error\",\"why\":\"") || home.line.faults > 8, "{line}");
    }
    assert_eq!(home.receive(STREAM, "{\"type\":\"message\",\"from\":\"a\",\"text\":\"b\"}\n"), ["a: b #0"]);
    let rest = "nonsense\n".repeat(FAULTS_MAX.into());
    assert_eq!(home.receive(STREAM, rest), ["End(Retry(\"too many lines that can't be read\"))"]);
    assert_eq!(home.said(), "");
}

#[test]
fn lines_longer_than_the_window() {
    let (picture, text) = ("iVBORw0KGgo".repeat(2_000), "\u{e5}\\n".repeat(3_000));
    let theirs = [
        format!("{{\"type\":\"message\",\"from\":\"door\",\"picture\":[\"{picture}\"],\"text\":\"See\",\"more\":\"{picture}\"}}\n"),
        format!("{{\"{picture}\":{{\"{picture}\":1}},\"type\":\"typing\",\"from\":\"door\"}}\n"),
        format!("{{\"type\":\"message\",\"id\":\"x\",\"from\":\"door\",\"text\":\"{text}\"}}\n"),
        format!("{{\"text\":\"{text}\",\"type\":\"message\",\"from\":\"door\"}}\n"),
        format!("{{\"type\":\"message\",\"from\":\"{picture}\",\"text\":\"x\"}}\n"),
        format!("{{\"type\":\"ping\"}}{}\n", " ".repeat(20_000)),
        format!("{{\"type\":{}}}\n", "[".repeat(20_000)),
        "{\"type\":\"message\",\"from\":\"door\",\"text\":\"last\"}\n".to_string(),
    ]
    .concat();
    for (part, window_bytes) in [(theirs.len(), 2048), (1000, 2048), (7, 2048), (8192, 8192)] {
        let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
        home.window_bytes = window_bytes;
        let told = home.receive_in(STREAM, theirs.as_bytes(), part);
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!((told[0].as_str(), told[1].as_str()), ("door: See #0", "Typing { who: \"door\", is_on: true }"));
        let cut = told[2].strip_prefix("door: ").and_then(|text| text.strip_suffix(" [\u{2026}] #1")).unwrap();
        assert!(text.replace("\\n", "\n").starts_with(cut) && cut.len() > window_bytes / 2, "{}", cut.len());
        assert_eq!(told[3], "door: last #0");
        assert_eq!(home.said().matches("pong").count(), 1);
    }
}

#[test]
fn names_of_messages() {
    let mut home = Home::online(LineWay::Tcp, "{\"type\":\"hello\"}\n");
    let mut scratch = std::vec![0; SCRATCH_BYTES];
    let mut name = |line: &str| {
        home.with(|connector, env| match connector.received(env, STREAM, (line.as_bytes(), false), &mut scratch).1 {
            Step::Event(Event::Message(message)) => (message.name, message.token),
            step => panic!("{step:?}"),
        })
    };
    let line = |id: &str| format!("{{\"type\":\"message\",\"from\":\"a\",\"text\":\"b\"{id}}}\n");
    assert_eq!(name(&line("")), (0, 0));
    let (first, other) = (name(&line(",\"id\":1")), name(&line(",\"id\":2")));
    assert!(first.0 != 0 && first.0 != other.0 && first.1 != other.1);
    assert_eq!(name(&line(",\"id\":\"1\"")).0, first.0);
    assert_eq!(name(&line(&format!(",\"id\":\"{}\"", "x".repeat(37)))), (0, 0));
    // With so many that are not settled nothing is read, until one is.
    for id in 3..UNSETTLED {
        name(&line(&format!(",\"id\":{}", id + 100)));
    }
    home.said();
    let more = line(",\"id\":99");
    assert_eq!(home.receive(STREAM, &more), [""; 0]);
    assert_eq!(home.command(Command::Settled { token: first.1, is_taken: true }), Outcome::Done);
    assert_eq!(home.said(), "{\"type\":\"settled\",\"id\":1,\"taken\":true}\n");
    assert_eq!(home.receive(STREAM, "\n").len(), 1);
}

#[test]
fn over_http() {
    let mut home = Home::new(LineWay::Http);
    assert_eq!(
        home.said(),
        concat!(
            "GET /api/stream HTTP/1.1\r\nHost: box.home.example:7000\r\nAuthorization: Bearer s3cret\r\n",
            "User-Agent: pcsd/0.1.0\r\nAccept: application/x-ndjson, */*\r\n\r\n"
        )
    );
    assert_eq!(home.line.target(&home.account, POSTS), None);
    let stream = concat!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "19\r\n{\"type\":\"hello\",\"keeps\":t\r\n",
        "5\r\nrue}\n\r\n",
        "1\r\n\n\r\n",
        "31\r\n{\"type\":\"message\",\"from\":\"a\",\"text\":\"\u{e5}\"}\n{\"type\"\r\n",
        "21;x\r\n:\"typing\",\"from\":\"a\",\"on\":false}\n\r\n",
        "0\r\n\r\n",
    );
    let expected = [
        "Online { is_resumed: false }",
        "a: \u{e5} #0",
        "Typing { who: \"a\", is_on: false }",
        "End(Retry(\"the stream has ended\"))",
    ];
    for part in [1, 9, stream.len()] {
        let mut home = Home::new(LineWay::Http);
        assert_eq!(home.receive_in(STREAM, stream.as_bytes(), part), expected);
    }
    assert_eq!(home.receive(STREAM, "HTTP/1.1 200 OK\r\n\r\n{\"type\":\"hello\"}\n"), ["Online { is_resumed: false }"]);
    assert!(home.line.target(&home.account, POSTS).is_some());
    assert_eq!((home.line.speaks_on(), home.send(7)), (STREAM, Outcome::Later));
    home.connected(POSTS);
    assert_eq!(home.line.speaks_on(), POSTS);
    let post = "POST /api/message HTTP/1.1\r\nHost: box.home.example:7000\r\nAuthorization: Bearer s3cret\r\nUser-Agent: pcsd/0.1.0\r\nContent-Type: application/json\r\n";
    let hello = "{\"type\":\"hello\",\"version\":1,\"account\":\"bell\"}\n";
    assert_eq!(home.said(), format!("{post}Content-Length: {:05}\r\n\r\n{hello}", hello.len()));
    assert_eq!(home.send(7), Outcome::Later, "one at a time");
    assert!(home.receive(POSTS, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_empty());
    assert_eq!(home.send(7), Outcome::Done);
    let text = "{\"type\":\"message\",\"id\":7,\"to\":\"door\",\"text\":\"come in\"}\n";
    assert_eq!(home.said(), format!("{post}Content-Length: {:05}\r\n\r\n{text}", text.len()));
    home.receive_in(POSTS, b"HTTP/1.1 204 No Content\r\n\r\n", 1);
    assert_eq!(home.wait(0), ["Sent { id: 7 }"]);
}

#[test]
fn posts_that_fail() {
    let failed = |why: &str, is_final| format!("Failed {{ id: 7, why: \"{why}\", is_final: {is_final} }}");
    let posted = || {
        let mut home = Home::online(LineWay::Http, "{\"type\":\"hello\"}\n");
        assert_eq!(home.send(7), Outcome::Done);
        home
    };
    let mut home = posted();
    home.receive(POSTS, "HTTP/1.1 429 Slow\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(home.wait(19_999), [failed("the server takes nothing now", false)]);
    assert_eq!((home.send(8), home.wait(1)), (Outcome::Later, Vec::new()));
    assert_eq!(home.send(8), Outcome::Done);

    let mut home = posted();
    home.receive(POSTS, "HTTP/1.1 400 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(home.wait(0), [failed("the server refused it", true), "End(Link)".into()]);
    assert_eq!(home.send(8), Outcome::Later);
    assert!(home.line.target(&home.account, POSTS).is_some());

    let mut home = posted();
    assert_eq!(home.wait(30_000), [failed("the connection broke", false), "End(Link)".into()]);
    assert_eq!((home.send(8), home.line.target(&home.account, POSTS)), (Outcome::Later, None));
    assert!(home.wait(5_000).is_empty());
    assert_eq!(home.send(8), Outcome::Later);
    assert!(home.line.target(&home.account, POSTS).is_some());

    let mut home = posted();
    assert_eq!(home.with(|line, env| line.closed(env, POSTS)), None);
    assert_eq!(home.wait(0), [failed("the connection broke", false)]);
    // Without her presence the other end would have a wrong picture: all begins anew.
    let mut home = Home::online(LineWay::Http, "{\"type\":\"hello\"}\n");
    assert_eq!(home.command(Command::Presence { show: Show::Away, text: "" }), Outcome::Done);
    home.with(|line, env| line.closed(env, POSTS));
    assert_eq!(home.wait(0), ["End(Retry(\"a POST failed\"))"]);

    for (status, end) in [(401, Stop::Password), (302, Stop::Refused("the server sends us elsewhere"))] {
        let mut home = posted();
        let told = home.receive(POSTS, format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(told, [format!("End(Stop({end:?}))")]);
    }
}

#[test]
fn a_stream_that_is_refused() {
    for (status, end) in [
        ("403 No", "End(Stop(Password))"),
        ("301 Moved", "End(Stop(Refused(\"the server sends us elsewhere\")))"),
        ("404 No", "End(Retry(\"the server does not give the stream\"))"),
    ] {
        let mut home = Home::new(LineWay::Http);
        assert_eq!(home.receive(STREAM, format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")), [end]);
    }
    let mut home = Home::new(LineWay::Http);
    assert_eq!(home.receive(STREAM, "SSH-2.0-x\r\n"), ["End(Retry(\"that is not HTTP\"))"]);
    let mut home = Home::new(LineWay::Http);
    home.said();
    home.receive(STREAM, "HTTP/1.1 503 Later\r\nRetry-After: 10\r\n\r\n");
    home.with(|line, env| line.begin(env));
    home.connected(STREAM);
    assert_eq!((home.wait(9_999), home.said()), (Vec::new(), String::new()), "asked too early");
    assert!(home.wait(1).is_empty() && home.said().starts_with("GET "));
    assert_eq!(home.wait(30_000), ["End(Retry(\"no answer\"))"]);
}

#[test]
fn where_links_lead() {
    let mut home = Home::new(LineWay::Http);
    let target = |home: &Home, link| home.line.target(&home.account, link);
    assert!(matches!(target(&home, STREAM), Some(Target::Host { port: 7000, is_tls: false, .. })));
    (home.account.port, home.account.security) = (None, Security::Direct);
    assert!(matches!(target(&home, STREAM), Some(Target::Host { port: 443, is_tls: true, .. })));
    let home = Home::online(LineWay::Local, "{\"type\":\"hello\"}\n");
    assert_eq!((target(&home, STREAM), target(&home, POSTS)), (Some(Target::Local), None));
}

#[test]
fn mutated() {
    let seeds: [&[u8]; 4] = [
        b"{\"type\":\"message\",\"from\":\"door\",\"id\":12,\"text\":\"\\ud83d\\ude00 a\\nb\",\"at\":\"2010-11-13T23:29:00Z\"}\n{\"type\":\"sent\",\"id\":1}\n",
        b"{\"type\":\"presence\",\"who\":\"lamp\",\"show\":\"xa\",\"place\":\"hall\",\"priority\":-200}\n{\"type\":\"bookmark\",\"text\":\"x\"}\n",
        b"36\r\n{\"type\":\"message\",\"from\":\"a\",\"text\":\"bbbbbbbbbbbb\"}\n{\"\r\n19\r\ntype\":\"typing\",\"from\":1}\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n{\"type\":\"hello\",\"acks\":true}\n{\"type\":\"ping\"}\n",
    ];
    let mut state = 0x5eed_0006_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..10_000 {
        let mut bytes = seeds[random(seeds.len())].to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes[at] = random(256) as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\"\\{}[],:\n\xf0"[random(10)]),
                3 => bytes.splice(at..at, std::iter::repeat_n(b'x', random(3000))).for_each(drop),
                _ => bytes.truncate(at.max(1)),
            }
        }
        fuzz(&bytes);
    }
}
