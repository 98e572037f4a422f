//! What nobody takes: texts that are kept, calls that the answering machine takes, calls that are missed. Conversations by
//! literal bytes, with a disk that answers when the test says so.

mod support;

use std::net::SocketAddr;
use std::thread;

use pcsd::base::limits::{CONTEXTS, LETTERS_PER_STRANGER};
use pcsd::base::net::{LocalAddress, Port, PortSet, Transport};
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Model;
use pcsd::server::Server;
use pcsd::server::contract::{BlobStep, Credits, Input, Output, PortError, Seed, Source, Storage, StoreError, Ticket};
use pcsd::spool::Kind;
use pcsd::web::GreetingStep;
use support::{LISTEN, PASSWORD, answer, find, status, value, with_credentials};

/// A caller elsewhere.
const EVE: &str = "198.51.100.7:5060";
/// Where she sends and hears RTP.
const EVES_SOUND: &str = "198.51.100.7:4000";
/// Alice's phone.
const ALICE: &str = "203.0.113.60:5060";

const HOUSE: &str = "
config pcsd 'main'
	option domain 'house.example'
	list listen 'udp:203.0.113.1:5060'
	option rtp_ports '16384-16483'

config person 'alice'
	option name 'Alice'
	option password 'secret'
	option answer_after '10'

config rule
	list who 'anyone'
	option messages 'deliver'
	option calls 'ring'
";

/// What the server asks of the disk.
struct Asked {
    ticket: Ticket,
    output: Output,
    bytes: Vec<u8>,
}

/// The server, its sockets and its disk.
struct House {
    server: Box<Server>,
    now: Instant,
    ports: Vec<(Port, SocketAddr)>,
    /// Sockets that were asked for and are not told yet, while `holds_ports`.
    asked_ports: Vec<(Port, SocketAddr)>,
    holds_ports: bool,
    /// UDP ports that another program has.
    taken: Vec<u16>,
    /// Whether the disk has room for another request.
    has_credit: bool,
    asked: Vec<Asked>,
    sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl House {
    fn new(text: &str, storage: Storage) -> Self {
        let mut model = Box::new(Model::new());
        assert_eq!(model.read(text.as_bytes(), &mut |fault| panic!("{fault}")), 0);
        let big = thread::Builder::new().stack_size(64 << 20);
        let server = big.spawn(|| Box::new(Server::new())).unwrap().join().unwrap();
        let mut house = Self {
            server,
            now: Instant::from_millis(1_000_000),
            ports: Vec::new(),
            asked_ports: Vec::new(),
            holds_ports: false,
            taken: Vec::new(),
            has_credit: storage != Storage::Absent,
            asked: Vec::new(),
            sent: Vec::new(),
            buffer: vec![0; 65_536],
        };
        house.server.seed(house.now, &Seed { key: *b"a key for a test", lasting: *b"one that remains", boot: 1 });
        let own = LocalAddress { ip: "203.0.113.1".parse().unwrap(), prefix: 24, default_route: true };
        house.input(Input::Configuration(&model));
        house.input(Input::Addresses(&[own]));
        house.input(Input::WallClock(UnixTime(1_800_000_000)));
        house.input(Input::Storage(storage));
        house.written(Ok(()));
        house
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        loop {
            let credits = Credits { ports: PortSet::ALL, storage: self.has_credit };
            let Some(output) = self.server.poll(self.now, credits, &mut self.buffer) else { return };
            count += 1;
            assert!(count < 5_000, "no end of outputs: {output:?}");
            match output {
                Output::Datagram { port, to, len } => {
                    let local = self.ports.iter().find(|known| known.0 == port).expect("an open port").1;
                    self.sent.push((local, to, self.buffer[..len].to_vec()));
                }
                Output::OpenPort { port, transport, address } => {
                    assert!(self.ports.iter().all(|known| known.0 != port), "{port:?} is open");
                    match transport {
                        Transport::Udp if self.holds_ports => self.asked_ports.push((port, address)),
                        _ => self.open(port, address),
                    }
                }
                Output::ClosePort(port) => self.ports.retain(|known| known.0 != port),
                Output::Store { ticket, len, .. } | Output::Append { ticket, len, .. } => {
                    self.asked.push(Asked { ticket, output, bytes: self.buffer[..len].to_vec() });
                }
                Output::Forget { ticket, .. }
                | Output::Amend { ticket, .. }
                | Output::Load { ticket, .. }
                | Output::Read { ticket, .. } => self.asked.push(Asked { ticket, output, bytes: Vec::new() }),
                other => panic!("{other:?}"),
            }
        }
    }

    fn open(&mut self, port: Port, address: SocketAddr) {
        let outcome = if self.taken.contains(&address.port()) { Err(PortError::InUse) } else { Ok(address) };
        if outcome.is_ok() {
            self.ports.push((port, address));
        }
        self.server.handle(self.now, Input::Opened(port, outcome));
    }

    /// Answers everything that was asked of the disk and is not about sound; gives what was stored.
    fn written(&mut self, outcome: Result<(), StoreError>) -> Vec<(Kind, BlobStep, Vec<u8>)> {
        let mut stored = Vec::new();
        while !self.asked.is_empty() {
            for Asked { ticket, output, bytes } in std::mem::take(&mut self.asked) {
                match output {
                    Output::Load { .. } | Output::Read { .. } => {
                        self.input(Input::Loaded { ticket, outcome: Err(StoreError::Unknown) });
                        continue;
                    }
                    Output::Store { key, blob, .. } => stored.push((key.kind, blob, bytes)),
                    _ => {}
                }
                self.input(Input::Stored { ticket, outcome });
            }
        }
        stored
    }

    /// What was asked of the disk since the last time, by kind.
    fn kinds(&self) -> Vec<Kind> {
        let kind = |asked: &Asked| match asked.output {
            Output::Store { key, .. } => Some(key.kind),
            _ => None,
        };
        self.asked.iter().filter_map(kind).collect()
    }

    /// A datagram for the usual socket.
    fn send(&mut self, from: &str, bytes: &[u8]) {
        self.send_to(from, LISTEN, bytes);
    }

    fn send_to(&mut self, from: &str, to: &str, bytes: &[u8]) {
        let to: SocketAddr = to.parse().unwrap();
        let port = self.ports.iter().find(|known| known.1 == to).expect("an open socket").0;
        self.input(Input::Datagram { port, from: from.parse().unwrap(), bytes });
    }

    /// What was sent to an address since the last time.
    fn taken_by(&mut self, to: &str) -> Vec<Vec<u8>> {
        let to: SocketAddr = to.parse().unwrap();
        let (own, rest) = std::mem::take(&mut self.sent).into_iter().partition(|sent| sent.1 == to);
        self.sent = rest;
        let own: Vec<(SocketAddr, SocketAddr, Vec<u8>)> = own;
        own.into_iter().map(|(_, _, bytes)| bytes).collect()
    }

    /// The final statuses that went to an address since the last time.
    fn finals(&mut self, to: &str) -> Vec<u16> {
        self.taken_by(to).iter().filter_map(|bytes| status(bytes)).filter(|status| *status >= 200).collect()
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

    /// Everything is over after a while, whatever the disk is asked meanwhile.
    fn rest(&mut self) {
        for _ in 0..8 {
            self.written(Ok(()));
            self.pass(100_000);
        }
        self.written(Ok(()));
        assert!(self.server.is_at_rest(), "{:?}", self.server.status(self.now));
        assert_eq!(self.ports.len(), 1, "no socket for media is left: {:?}", self.ports);
    }

    /// Alice's phone registers.
    fn register(&mut self) {
        let request = format!(
            "REGISTER sip:house.example SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKreg\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@house.example>;tag=r\r\nTo: <sip:alice@house.example>\r\nCall-ID: reg\r\n\
             CSeq: 1 REGISTER\r\nContact: <sip:alice@{ALICE}>;expires=7200\r\nAllow: {}\r\nContent-Length: 0\r\n\r\n",
            support::ALLOW
        );
        self.send(ALICE, request.as_bytes());
        let challenge = self.taken_by(ALICE).pop().expect("a challenge");
        let proven = with_credentials(request.as_bytes(), &challenge, "alice", PASSWORD);
        self.send(ALICE, &proven);
        self.written(Ok(()));
        assert_eq!(self.finals(ALICE), [200]);
        self.pass(10_000);
        self.written(Ok(()));
        self.taken_by(ALICE);
    }
}

fn text(call: &str, branch: &str) -> Vec<u8> {
    format!(
        "MESSAGE sip:alice@house.example SIP/2.0\r\nVia: SIP/2.0/UDP {EVE};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: \"Eve\" <sip:eve@far.example>;tag=e\r\nTo: <sip:alice@house.example>\r\n\
         Call-ID: {call}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
    .into_bytes()
}

const SOUND: &str = "v=0\r\no=eve 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
                     m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A request of Eve's in or before a call; `to` is the address with its tag.
fn of_call(method: &str, to: &str, (call, cseq): (&str, u32), body: &str) -> Vec<u8> {
    let number = if method == "ACK" || method == "CANCEL" { "INVITE" } else { method };
    let content_type = if method == "INFO" { "application/dtmf-relay" } else { "application/sdp" };
    // A CANCEL and the ACK of a refusal are of the INVITE's transaction.
    let branch = if method == "CANCEL" { format!("{call}{cseq}INVITE") } else { format!("{call}{cseq}{method}") };
    let number = if method == "INVITE" || method == "CANCEL" { method } else { number };
    let number = if method == "ACK" { "ACK" } else { number };
    format!(
        "{method} sip:alice@house.example SIP/2.0\r\nVia: SIP/2.0/UDP {EVE};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: \"Eve\" <sip:eve@far.example>;tag=e\r\nTo: {to}\r\nCall-ID: {call}\r\n\
         CSeq: {cseq} {number}\r\nContact: <sip:eve@{EVE}>\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn invite(call: &str, body: &str) -> Vec<u8> {
    of_call("INVITE", "<sip:alice@house.example>", (call, 1), body)
}

/// The answer of the machine to a call.
fn accepted(house: &mut House) -> Vec<u8> {
    let answers = house.taken_by(EVE);
    answers.into_iter().rfind(|bytes| status(bytes) == Some(200)).expect("an answer")
}

fn to_of(bytes: &[u8]) -> String {
    String::from_utf8(value(bytes, "to").unwrap().to_vec()).unwrap()
}

/// The RTP port in a session description.
fn port_in(bytes: &[u8]) -> u16 {
    let at = find(bytes, b"m=audio ").expect("a stream") + b"m=audio ".len();
    let digits: Vec<u8> = bytes[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).unwrap().parse().unwrap()
}

/// Eve's call is answered and confirmed: To with the tag, and where her sound goes.
fn call(house: &mut House, id: &str) -> (String, String) {
    house.send(EVE, &invite(id, SOUND));
    let taken = accepted(house);
    assert_eq!(value(&taken, "content-type"), Some(&b"application/sdp"[..]));
    let to = to_of(&taken);
    house.send(EVE, &of_call("ACK", &to, (id, 1), ""));
    (to, format!("203.0.113.1:{}", port_in(&taken)))
}

/// 20 ms of a loud tone in A-law.
fn sound(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend((0..160).map(|at| if at % 16 < 8 { 0x25 } else { 0xa5 }));
    packet
}

/// Eve talks for so many packets of 20 ms; the disk takes everything.
fn talk(house: &mut House, to: &str, packets: std::ops::Range<u16>) -> Vec<(Kind, BlobStep, Vec<u8>)> {
    let mut stored = Vec::new();
    for number in packets {
        house.send_to(EVES_SOUND, to, &sound(number));
        stored.extend(house.written(Ok(())));
        house.pass(20);
    }
    stored
}

#[test]
fn a_text_is_acknowledged_when_it_is_on_the_disk() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &text("a", "a1"));
    assert_eq!((house.kinds(), house.finals(EVE)), (vec![Kind::Text], vec![]));
    let stored = house.written(Ok(()));
    assert!(find(&stored[0].2, b"hello").is_some());
    let sent = house.taken_by(EVE);
    assert_eq!(sent.iter().filter(|bytes| status(bytes) == Some(202)).count(), 1);
    let reply = sent.iter().find(|bytes| bytes.starts_with(b"MESSAGE ")).expect("a word in her name");
    assert_eq!(value(reply, "auto-submitted"), Some(&b"auto-replied"[..]));
    house.send(EVE, &answer(reply, 200, ""));
    // Sent again: it is the same, and neither stored nor replied to again.
    house.pass(40_000);
    house.send(EVE, &text("a", "a2"));
    assert_eq!((house.kinds(), house.finals(EVE)), (vec![], vec![202]));
    house.rest();
}

#[test]
fn a_text_that_the_disk_refuses_stays_with_its_sender() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &text("a", "a1"));
    house.written(Err(StoreError::Full));
    assert_eq!(house.finals(EVE), [480]);
    house.send(EVE, &text("a", "a2"));
    assert_eq!(house.kinds(), [Kind::Text], "it is tried anew");
    house.written(Ok(()));
    assert!(house.finals(EVE).contains(&202));
    house.rest();
}

#[test]
fn a_text_that_never_got_to_the_disk_leaves_nothing() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.has_credit = false;
    house.send(EVE, &text("a", "a1"));
    house.pass(30_000);
    assert_eq!(house.finals(EVE), [480]);
    house.has_credit = true;
    house.pass(10);
    assert_eq!(house.kinds(), [], "its sender knows that it failed");
    house.send(EVE, &text("a", "a2"));
    assert_eq!(house.kinds(), [Kind::Text]);
    house.written(Ok(()));
    assert_eq!(house.finals(EVE), [202]);
    house.rest();
}

#[test]
fn an_answer_in_time_takes_the_text_back() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.register();
    house.send(EVE, &text("a", "a1"));
    let asked = house.taken_by(ALICE).pop().expect("a request");
    house.pass(9_000);
    assert_eq!(house.kinds(), [Kind::Text]);
    // Before it is durable: the sender hears the device's own answer, and nothing stays.
    house.send(ALICE, &answer(&asked, 200, ""));
    assert_eq!(house.finals(EVE), [200]);
    let ticket = house.asked.pop().unwrap().ticket;
    house.input(Input::Stored { ticket, outcome: Ok(()) });
    assert!(matches!(house.asked[..], [Asked { output: Output::Forget { .. }, .. }]));
    house.written(Ok(()));
    // And after: it is taken back all the same.
    house.send(EVE, &text("b", "b1"));
    let asked = house.taken_by(ALICE).pop().expect("a request");
    house.pass(9_000);
    house.written(Ok(()));
    assert!(house.finals(EVE).contains(&202));
    house.send(ALICE, &answer(&asked, 200, ""));
    assert!(matches!(house.asked[..], [Asked { output: Output::Forget { .. }, .. }]));
    house.rest();
}

#[test]
fn missed_calls_without_a_disk_leave_nothing() {
    let mut house = House::new(HOUSE, Storage::Absent);
    house.register();
    for number in 0..80 {
        house.send(EVE, &invite(&format!("m{number}"), SOUND));
        let asked = house.taken_by(ALICE).pop().expect("a request");
        house.send(ALICE, &answer(&asked, 486, ""));
        assert_eq!(house.finals(EVE), [486], "call {number}");
        house.pass(1_000);
        house.finals(EVE);
    }
    house.rest();
}

#[test]
fn missed_calls_that_wait_for_the_disk_give_way() {
    let mut house =
        House::new(HOUSE.replace("option answer_after '10'", "option answering '0'").as_str(), Storage::Disk);
    house.has_credit = false;
    for number in 0..80 {
        house.send(EVE, &invite(&format!("m{number}"), SOUND));
        assert_eq!(house.finals(EVE), [480], "call {number}");
        house.pass(1_000);
        house.finals(EVE);
    }
    house.has_credit = true;
    house.pass(10);
    let most = CONTEXTS.min(LETTERS_PER_STRANGER);
    assert!(house.kinds().len() >= most.saturating_sub(4).max(1), "those that waited are noted");
    house.rest();
}

#[test]
fn a_call_is_answered_recorded_and_put_away() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (to, ours) = call(&mut house, "c");
    let mut stored = house.written(Ok(()));
    assert_eq!(stored.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(), [(Kind::Voice, BlobStep::Open)]);
    house.pass(6_000);
    let heard = house.taken_by(EVES_SOUND);
    assert!(heard.len() > 50 && heard.iter().all(|packet| packet[0] == 0x80), "the greeting");
    stored = talk(&mut house, &ours, 0..200);
    assert_eq!(stored.len(), 0);
    // Hold, and back.
    let held = format!("{SOUND}a=sendonly\r\n");
    house.send(EVE, &of_call("INVITE", &to, ("c", 2), &held));
    let answered = accepted(&mut house);
    assert!(find(&answered, b"a=recvonly").is_some(), "{}", answered.escape_ascii());
    house.send(EVE, &of_call("ACK", &to, ("c", 2), ""));
    house.pass(30_000);
    assert_eq!(house.finals(EVE), [], "it waits");
    house.send(EVE, &of_call("UPDATE", &to, ("c", 3), SOUND));
    assert_eq!(house.finals(EVE), [200]);
    talk(&mut house, &ours, 200..300);
    house.send(EVE, &of_call("BYE", &to, ("c", 4), ""));
    assert_eq!(house.finals(EVE), [200]);
    let stored = house.written(Ok(()));
    assert_eq!(stored.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(), [(Kind::Voice, BlobStep::Close)]);
    house.send(EVE, &of_call("INVITE", &to, ("c", 5), SOUND));
    assert!(!house.finals(EVE).contains(&200), "the call is over");
    house.rest();
}

#[test]
fn who_says_nothing_has_called() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (to, _) = call(&mut house, "c");
    house.written(Ok(()));
    house.pass(1_000);
    house.send(EVE, &of_call("BYE", &to, ("c", 2), ""));
    let stored = house.written(Ok(()));
    assert_eq!(stored.iter().map(|it| it.0).collect::<Vec<_>>(), [Kind::Call]);
    house.rest();
}

#[test]
fn hash_in_an_info_ends_a_recording() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (to, ours) = call(&mut house, "c");
    house.written(Ok(()));
    house.pass(6_000);
    talk(&mut house, &ours, 0..100);
    house.taken_by(EVE);
    house.send(EVE, &of_call("INFO", &to, ("c", 2), "Signal=#\r\nDuration=160\r\n"));
    let sent = house.taken_by(EVE);
    let bye = sent.iter().find(|bytes| bytes.starts_with(b"BYE ")).expect("a BYE");
    assert!(sent.iter().any(|bytes| status(bytes) == Some(200)));
    house.send(EVE, &answer(bye, 200, ""));
    let stored = house.written(Ok(()));
    assert!(stored.iter().any(|it| (it.0, it.1) == (Kind::Voice, BlobStep::Close)));
    house.rest();
}

#[test]
fn nobody_confirms() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &invite("c", SOUND));
    house.pass(33_000);
    let sent = house.taken_by(EVE);
    assert!(sent.iter().filter(|bytes| status(bytes) == Some(200)).count() > 5, "it is repeated");
    assert!(sent.iter().any(|bytes| bytes.starts_with(b"BYE ")));
    assert_eq!(house.written(Ok(())).iter().map(|it| it.0).collect::<Vec<_>>(), [Kind::Call]);
    house.rest();
}

#[test]
fn a_caller_who_gives_up_while_the_sockets_open() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.holds_ports = true;
    house.send(EVE, &invite("c", SOUND));
    let cancel = of_call("CANCEL", "<sip:alice@house.example>", ("c", 1), "");
    house.send(EVE, &cancel);
    let mut finals = house.finals(EVE);
    finals.sort_unstable();
    assert_eq!(finals, [200, 487]);
    assert_eq!(house.kinds(), [Kind::Call]);
    for (port, address) in std::mem::take(&mut house.asked_ports) {
        house.open(port, address);
        house.drain();
    }
    house.written(Ok(()));
    assert!(!house.finals(EVE).contains(&200), "nobody is there to be answered");
    house.rest();
}

#[test]
fn ports_that_others_have() {
    let mut house = House::new(HOUSE, Storage::Disk);
    // All but the last pair: some of these are tried first, in an order that nobody can guess.
    house.taken = (16_384..16_484).filter(|port| port % 4 == 0).collect();
    let (to, ours) = call(&mut house, "c");
    assert!(!house.taken.contains(&ours.parse::<SocketAddr>().unwrap().port()));
    house.send(EVE, &of_call("BYE", &to, ("c", 2), ""));
    house.rest();
    house.finals(EVE);
    // None at all: one final answer.
    house.taken = (16_384..16_484).collect();
    house.send(EVE, &invite("d", SOUND));
    let finals = house.finals(EVE);
    assert!(finals.len() == 1 && finals[0] >= 400, "{finals:?}");
    house.rest();
}

#[test]
fn an_offer_that_comes_late() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &invite("c", ""));
    let offer = accepted(&mut house);
    let to = to_of(&offer);
    assert!(find(&offer, b"m=audio ").is_some());
    house.send(EVE, &of_call("ACK", &to, ("c", 1), SOUND));
    assert_eq!(house.written(Ok(())).len(), 1);
    house.pass(500);
    assert!(!house.taken_by(EVES_SOUND).is_empty());
    house.send(EVE, &of_call("BYE", &to, ("c", 2), ""));
    assert_eq!(house.finals(EVE), [200]);
    house.written(Ok(()));
    // No answer in the ACK: there is nothing to say it to.
    house.send(EVE, &invite("d", ""));
    let to = to_of(&accepted(&mut house));
    house.send(EVE, &of_call("ACK", &to, ("d", 1), ""));
    let bye = house.taken_by(EVE).into_iter().find(|bytes| bytes.starts_with(b"BYE ")).expect("a BYE");
    house.send(EVE, &answer(&bye, 200, ""));
    house.rest();
}

#[test]
fn two_calls_at_once() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (first, one) = call(&mut house, "c");
    let (second, other) = call(&mut house, "d");
    assert!(one != other && first != second);
    house.send(EVE, &of_call("BYE", &first, ("d", 2), ""));
    assert!(!house.finals(EVE).contains(&200), "that is no call");
    house.send(EVE, &of_call("BYE", &first, ("c", 2), ""));
    house.send(EVE, &of_call("BYE", &second, ("d", 3), ""));
    assert_eq!(house.finals(EVE), [200, 200]);
    house.rest();
}

#[test]
fn a_text_that_is_kept_does_not_come_twice() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &text("a", "a1"));
    house.written(Ok(()));
    assert!(house.finals(EVE).contains(&202));
    house.pass(40_000);
    house.written(Ok(()));
    house.register();
    house.send(EVE, &text("a", "a2"));
    assert_eq!(house.finals(EVE), [202]);
    let heard = house.taken_by(ALICE);
    assert!(heard.iter().all(|bytes| !bytes.ends_with(b"hello")), "she is told of it, and once");
    house.send(EVE, &text("b", "b1"));
    let asked = house.taken_by(ALICE).into_iter().find(|bytes| bytes.ends_with(b"hello")).expect("another one");
    house.send(ALICE, &answer(&asked, 200, ""));
    assert_eq!(house.finals(EVE), [200]);
    house.pass(40_000);
    house.taken_by(ALICE);
    house.pass(7_200_000);
    house.rest();
}

#[test]
fn a_call_that_is_held_again_and_again_ends() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (to, ours) = call(&mut house, "c");
    house.written(Ok(()));
    house.pass(6_000);
    talk(&mut house, &ours, 0..50);
    let held = format!("{SOUND}a=sendonly\r\n");
    let mut cseq = 2u32;
    let mut is_over = false;
    while !is_over && cseq < 100 {
        let body = if cseq.is_multiple_of(2) { &held } else { SOUND };
        house.send(EVE, &of_call("UPDATE", &to, ("c", cseq), body));
        house.pass(if cseq.is_multiple_of(2) { 170_000 } else { 10 });
        house.written(Ok(()));
        is_over = house.taken_by(EVE).iter().any(|bytes| bytes.starts_with(b"BYE "));
        cseq += 1;
    }
    assert!(is_over && cseq < 12, "{cseq}");
    house.rest();
}

#[test]
fn a_disk_that_goes_ends_the_call() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let (_, ours) = call(&mut house, "c");
    house.written(Ok(()));
    house.pass(6_000);
    talk(&mut house, &ours, 0..50);
    house.has_credit = false;
    house.input(Input::Storage(Storage::Absent));
    house.pass(20);
    for number in 50..100 {
        if house.ports.len() == 1 {
            break;
        }
        house.send_to(EVES_SOUND, &ours, &sound(number));
        house.pass(20);
    }
    assert!(house.taken_by(EVE).iter().any(|bytes| bytes.starts_with(b"BYE ")), "who talks to nobody is told so");
    house.rest();
}

#[test]
fn a_greeting_comes_back_with_its_disk() {
    let mut house = House::new(HOUSE, Storage::Disk);
    let mut keys = Vec::new();
    for step in [GreetingStep::Begin, GreetingStep::Data(&[0x55; 1_000]), GreetingStep::Commit, GreetingStep::Commit] {
        let now = house.now;
        let _ = house.server.greeting(now, "alice", step);
        house.drain();
        keys.extend(house.asked.iter().filter_map(|asked| match asked.output {
            Output::Store { key, .. } => Some((key, asked.bytes.clone())),
            _ => None,
        }));
        house.written(Ok(()));
    }
    let (key, record) = keys.pop().expect("a record");
    // Whoever has sent it goes before he heard that it is stored: it stays.
    let now = house.now;
    let _ = house.server.greeting(now, "alice", GreetingStep::Abort);
    house.drain();
    assert!(house.asked.is_empty());
    house.input(Input::Storage(Storage::Absent));
    house.input(Input::Restored { key, bytes: &record, source: Source::Disk, blob_bytes: 1_000 });
    house.input(Input::Storage(Storage::Disk));
    house.written(Ok(()));
    house.send(EVE, &invite("c", SOUND));
    let to = to_of(&accepted(&mut house));
    house.send(EVE, &of_call("ACK", &to, ("c", 1), ""));
    let begun = house.asked.pop().expect("a record").ticket;
    house.input(Input::Stored { ticket: begun, outcome: Ok(()) });
    let read = |asked: &Asked| matches!(asked.output, Output::Read { key: read, .. } if read == key);
    assert!(house.asked.iter().any(read), "it is said");
    house.send(EVE, &of_call("BYE", &to, ("c", 2), ""));
    house.rest();
}

#[test]
fn a_text_that_no_device_can_show_keeps_no_other_back() {
    let mut house = House::new(
        &HOUSE.replace("option answer_after", "option missed 'deliver'\n\toption answer_after"),
        Storage::Disk,
    );
    let odd = String::from_utf8(text("a", "a1")).unwrap().replace("text/plain", "text/x-odd");
    house.send(EVE, odd.as_bytes());
    let stored = house.written(Ok(()));
    house.pass(10_000);
    house.send(EVE, &text("b", "b1"));
    let later = house.written(Ok(()));
    let records = [&stored[0].2, &later[0].2];
    // She comes back.
    let request = format!(
        "REGISTER sip:house.example SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKreg\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@house.example>;tag=r\r\nTo: <sip:alice@house.example>\r\nCall-ID: reg\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:alice@{ALICE}>;expires=7200\r\nAllow: {}\r\nContent-Length: 0\r\n\r\n",
        support::ALLOW
    );
    house.send(ALICE, request.as_bytes());
    let challenge = house.taken_by(ALICE).pop().expect("a challenge");
    house.send(ALICE, &with_credentials(request.as_bytes(), &challenge, "alice", PASSWORD));
    house.written(Ok(()));
    house.pass(6_000);
    let mut texts = Vec::new();
    for _ in 0..4 {
        for Asked { ticket, output, .. } in std::mem::take(&mut house.asked) {
            match output {
                Output::Load { .. } => {
                    let record = records[texts.len().min(1)].clone();
                    house.input(Input::Loaded { ticket, outcome: Ok(&record) });
                }
                _ => house.input(Input::Stored { ticket, outcome: Ok(()) }),
            }
        }
        let sent: Vec<_> = house.taken_by(ALICE).into_iter().filter(|it| it.starts_with(b"MESSAGE ")).collect();
        for request in sent {
            let is_odd = find(&request, b"text/x-odd").is_some();
            house.send(ALICE, &answer(&request, if is_odd { 415 } else { 200 }, ""));
            texts.push(request);
        }
    }
    let has = |part: &[u8]| texts.iter().any(|text| find(text, part).is_some());
    assert!(has(b"text/x-odd"));
    assert!(texts.iter().any(|it| it.ends_with(b"hello") && find(it, b"text/plain").is_some()), "{}", texts.len());
    house.pass(7_200_000);
    house.rest();
}

#[test]
fn nothing_in_common() {
    let mut house = House::new(HOUSE, Storage::Disk);
    house.send(EVE, &invite("c", &SOUND.replace("RTP/AVP 8 101", "RTP/AVP 18")));
    assert_eq!(house.finals(EVE), [488]);
    let parts = String::from_utf8(invite("d", SOUND)).unwrap().replace("application/sdp", "multipart/mixed;boundary=b");
    house.send(EVE, parts.as_bytes());
    assert_eq!(house.finals(EVE), [415]);
    house.send(EVE, &invite("e", "v=1\r\n"));
    assert_eq!(house.finals(EVE), [400]);
    house.rest();
}
