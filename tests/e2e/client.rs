//! A client that the test plays itself over UDP, word for word: for what no packaged program says. It proves itself by
//! digest (MD5, `qop=auth`), repeats its requests, answers what is repeated to it in the same words, and takes any
//! OPTIONS. All else is up to the test.

use crate::daemon::{DOMAIN, Daemon, PASSWORD};
use crate::harness::PATIENCE;
use md5::{Digest, Md5};
use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A running client.
pub struct Client {
    user: String,
    agent: String,
    socket: UdpSocket,
    server: SocketAddr,
    number: u32,
    /// Requests that nobody has waited for yet.
    inbox: Vec<Received>,
    /// What was answered, by branch.
    answered: HashMap<String, String>,
    /// All that came.
    pub seen: Vec<Received>,
}

impl Client {
    /// One of a person of the home, on a port of its own.
    pub fn new(user: &str, agent: &str, pcsd: &Daemon, ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a port on the loopback");
        Self {
            user: user.into(),
            agent: agent.into(),
            socket,
            server: pcsd.address(),
            number: 0,
            inbox: Vec::new(),
            answered: HashMap::new(),
            seen: Vec::new(),
        }
    }

    /// Where it is.
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// Its Contact, without parameters.
    pub fn contact(&self) -> String {
        format!("<sip:{}>", self.local())
    }

    /// Registers, with parameters for its Contact.
    pub fn register(&mut self, parameters: &str, expires_s: u32) {
        let mut dialog = self.dialog(&format!("sip:{}@{DOMAIN}", self.user));
        dialog.target = format!("sip:{DOMAIN}");
        let fields = format!("Contact: {}{parameters}\r\nExpires: {expires_s}\r\n", self.contact());
        self.request("REGISTER", &mut dialog, &fields, "").assert_status(200);
    }

    /// The beginning of a dialog, or what it takes for one request outside of any.
    pub fn dialog(&mut self, to: &str) -> Dialog {
        self.number += 1;
        let local = self.local();
        Dialog {
            call_id: format!("{}.{}@{}", self.number, local.port(), local.ip()),
            own: format!("<sip:{}@{DOMAIN}>;tag=t{}", self.user, self.number),
            other: format!("<{to}>"),
            target: to.into(),
            cseq: 0,
        }
    }

    /// Sends a request, proves who it is when asked, and gives the final answer. The answer to a SUBSCRIBE
    /// completes the dialog. A body needs its Content-Type among the fields.
    pub fn request(&mut self, method: &str, dialog: &mut Dialog, fields: &str, body: impl AsRef<[u8]>) -> Received {
        let body = body.as_ref();
        let answer = self.send(method, dialog, fields, body);
        let answer = match answer.status() {
            401 | 407 => {
                let proof = self.proof(method, &dialog.target, &answer);
                self.send(method, dialog, &format!("{fields}{proof}"), body)
            }
            _ => answer,
        };
        if answer.status() < 300 && method == "SUBSCRIBE" {
            dialog.other = answer.field("To").expect("an answer has a To").into();
            if let Some(contact) = answer.field("Contact") {
                dialog.target = uri_of(contact).into();
            }
        }
        answer
    }

    /// Waits for the next request that passes; others stay for those who wait later.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn await_request(&mut self, what: &str, passes: impl Fn(&Received) -> bool) -> Received {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.inbox.iter().position(&passes) {
                return self.inbox.remove(at);
            }
            if Instant::now() > end {
                self.print_all();
                panic!("{}: {what}: not within {} s", self.user, PATIENCE.as_secs());
            }
            self.receive(Instant::now() + STEP);
        }
    }

    /// Waits for a NOTIFY of a dialog of its own whose body has `part` in it, and takes all before it. Each gets a 200.
    pub fn await_notify(&mut self, dialog: &Dialog, part: &str) -> Received {
        loop {
            let what = format!("a NOTIFY with '{part}'");
            let notify = self.await_request(&what, |it| it.method() == "NOTIFY" && it.is_in(dialog));
            self.answer(&notify, "200 OK", "");
            if notify.text().contains(part) {
                return notify;
            }
        }
    }

    /// Answers a request, with fields of its own.
    pub fn answer(&mut self, request: &Received, status: &str, fields: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in request.fields(name) {
                let is_new = name == "To" && !value.contains(";tag=");
                let tag = if is_new { format!(";tag=a{}", self.local().port()) } else { String::new() };
                let _ = write!(text, "{name}: {value}{tag}\r\n");
            }
        }
        let _ = write!(text, "{fields}Content-Length: 0\r\n\r\n");
        self.socket.send_to(text.as_bytes(), self.server).expect("the loopback takes it");
        self.answered.insert(request.key(), text);
    }

    fn send(&mut self, method: &str, dialog: &mut Dialog, fields: &str, body: &[u8]) -> Received {
        dialog.cseq += 1;
        let text = self.text(method, dialog, dialog.cseq, fields, body);
        let cseq = format!("{} {method}", dialog.cseq);
        let end = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(500);
        while Instant::now() < end {
            self.socket.send_to(&text, self.server).expect("the loopback takes it");
            let next = Instant::now() + pause;
            pause = (pause * 2).min(Duration::from_secs(4));
            while Instant::now() < next {
                let Some(answer) = self.receive(next) else { continue };
                if answer.is_in(dialog) && answer.field("CSeq") == Some(&cseq) && answer.status() >= 200 {
                    return answer;
                }
            }
        }
        self.print_all();
        panic!("{}: no answer to its {method}", self.user);
    }

    fn text(&mut self, method: &str, dialog: &Dialog, cseq: u32, fields: &str, body: &[u8]) -> Vec<u8> {
        self.number += 1;
        let Dialog { call_id, own, other, target, .. } = dialog;
        let branch = format!("z9hG4bK{}.{}", self.local().port(), self.number);
        let mut text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: {own}\r\nTo: {other}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nUser-Agent: {}\r\n{fields}\
             Content-Length: {}\r\n\r\n",
            self.local(),
            self.agent,
            body.len(),
        )
        .into_bytes();
        text.extend_from_slice(body);
        text
    }

    /// Takes one datagram. An answer is given back; a request goes to those that wait, unless it is answered already.
    fn receive(&mut self, until: Instant) -> Option<Received> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left)).expect("a timeout");
        let mut buffer = [0; 65_536];
        let len = self.socket.recv(&mut buffer).ok()?;
        let message = Received(buffer[..len].to_vec());
        self.seen.push(message.clone());
        if message.is_answer() {
            return Some(message);
        }
        if let Some(text) = self.answered.get(&message.key()) {
            self.socket.send_to(text.as_bytes(), self.server).expect("the loopback takes it");
        } else if message.method() == "OPTIONS" {
            self.answer(&message, "200 OK", "");
        } else if !self.inbox.iter().any(|known| known.key() == message.key()) {
            self.inbox.push(message);
        }
        None
    }

    /// The field that proves who it is (RFC 7616 §3.4, RFC 2617).
    fn proof(&self, method: &str, uri: &str, challenge: &Received) -> String {
        let is_proxy = challenge.status() == 407;
        let asks = if is_proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let offer = challenge.fields(asks).find(|it| !it.contains("SHA-")).expect("a challenge for MD5");
        let of = |name: &str| {
            let (_, rest) = offer.split_once(&format!("{name}=\"")).expect("the challenge has it");
            rest.split('"').next().unwrap_or_default()
        };
        let hash = |text: &str| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (realm, nonce, user) = (of("realm"), of("nonce"), &self.user);
        let first = hash(&format!("{user}:{realm}:{PASSWORD}"));
        let second = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{first}:{nonce}:00000001:c0ffee:auth:{second}"));
        let field = if is_proxy { "Proxy-Authorization" } else { "Authorization" };
        format!(
            "{field}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5, cnonce=\"c0ffee\", nc=00000001, qop=auth\r\n"
        )
    }

    fn print_all(&self) {
        println!("---- all that came to {}:", self.user);
        self.seen.iter().for_each(|message| println!("{}\n", message.text()));
    }
}

/// A dialog as the client sees it.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: String,
    own: String,
    other: String,
    target: String,
    cseq: u32,
}

impl Dialog {
    /// The one that a request to `client` began and that [`Client::answer`] has accepted.
    pub fn of(client: &Client, request: &Received) -> Self {
        let field = |name: &'static str| request.field(name).expect("every request has it").to_string();
        Self {
            call_id: field("Call-ID"),
            own: format!("{};tag=a{}", field("To"), client.local().port()),
            other: field("From"),
            target: uri_of(&field("Contact")).into(),
            cseq: 0,
        }
    }
}

/// A message that came.
#[derive(Clone)]
pub struct Received(Vec<u8>);

impl Received {
    /// All of it.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The first field of a name, which is written in full.
    pub fn field(&self, name: &'static str) -> Option<&str> {
        self.fields(name).next()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.head().split(' ').next().unwrap_or_default()
    }

    /// The status of an answer, else 0.
    pub fn status(&self) -> u16 {
        let code = self.head().strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Fails unless it is this answer.
    pub fn assert_status(&self, status: u16) {
        assert_eq!(self.status(), status, "{}", self.text());
    }

    fn is_answer(&self) -> bool {
        self.0.starts_with(b"SIP/2.0 ")
    }

    fn is_in(&self, dialog: &Dialog) -> bool {
        self.field("Call-ID") == Some(&dialog.call_id)
    }

    /// What its repetitions have in common.
    fn key(&self) -> String {
        let via = self.field("Via").unwrap_or_default();
        let branch = via.split(";branch=").nth(1).unwrap_or_default();
        format!("{} {}", branch.split(';').next().unwrap_or_default(), self.method())
    }

    fn fields(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.head().lines().skip(1).filter_map(move |line| {
            let (field, value) = line.split_once(':')?;
            field.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn head(&self) -> &str {
        let end = self.0.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).expect("a head is text")
    }
}

/// The URI in a Contact, To or From.
fn uri_of(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, rest)| rest);
    inner.split(['>']).next().unwrap_or(inner)
}

const STEP: Duration = Duration::from_millis(200);
