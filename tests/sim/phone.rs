//! The phones of the simulated world: a small SIP user agent of its own (RFC 3261 §8, §12, §13, §17), so that the server
//! is tried by something that shares no code with it.
//!
//! Client transactions repeat over UDP and time out, take challenges up, acknowledge; server transactions absorb
//! repetitions and repeat their answers; dialogs keep their route set. What a phone does with a call or a message is its
//! [`Manner`]. What is said in calls is in `voice.rs`, for the phones that have one.

mod incoming;
pub mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::digest::Nonce;
use crate::message::{Msg, address_of, uri_of};
use crate::random::Rng;
use crate::world::LAN;

const T1_MS: u64 = 500;
const T2_MS: u64 = 4_000;
const T64_MS: u64 = 32_000;

/// A phone, or any other user agent.
pub struct Phone {
    /// For the trace.
    pub name: String,
    /// Its own address, which a NAT may hide.
    pub address: SocketAddr,
    /// The NAT before it.
    pub nat: Option<usize>,
    /// Whether it uses TCP.
    pub is_tcp: bool,
    /// Whether that is TLS.
    pub is_tls: bool,
    /// Whether it takes connections.
    pub listens: bool,
    /// Whether it has no power.
    pub is_off: bool,
    /// Whether it is no device of a home of ours.
    pub is_outside: bool,
    /// Whether it ignores answers, because the test itself wrote what they answer.
    pub is_sink: bool,
    /// Where it sends what has no route.
    pub proxy: SocketAddr,
    /// Its address of record.
    pub aor: String,
    /// Its user part and password.
    pub login: (String, String),
    /// The digest algorithm it knows.
    pub algorithm: Option<&'static str>,
    /// Parameters behind its Contact when it registers.
    pub contact_params: String,
    /// What it calls itself.
    pub agent: String,
    /// Fields more in each REGISTER.
    pub register_fields: Vec<(String, String)>,
    /// Fields more in every request and answer.
    pub more_fields: Vec<(String, String)>,
    /// Whether its Call-IDs have its address behind an `@`, as many do.
    pub names_itself: bool,
    /// What it does.
    pub manner: Manner,
    /// What is to be sent.
    pub acts: VecDeque<Act>,
    /// Client transactions, in order.
    pub clients: Vec<Client>,
    /// Requests that came in, without repetitions, with the time.
    pub requests: Vec<(u64, Msg)>,
    /// Dialogs.
    pub dialogs: Vec<Dialog>,
    /// Keep-alive answers that came over streams.
    pub pongs: usize,
    /// Whether the same request may come by two ways (two flows of one instance).
    pub may_get_twice: bool,
    /// Whether it is a browser: what came in.
    pub page: Option<Vec<u8>>,
    /// What it speaks and hears with.
    pub voice: Option<voice::Voice>,
    /// Seconds it registers for, and when it does so next.
    pub registration: Option<(u32, u64)>,
    /// Call-ID and last CSeq of its REGISTERs.
    pub register_order: (String, u32),
    served: Vec<Served>,
    conns: BTreeMap<usize, Link>,
    nonces: BTreeMap<String, Nonce>,
    random: Rng,
    now: u64,
}

/// What a phone does by itself.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether it says 180.
    pub rings: bool,
    /// How it answers a call, and after how many ms; `None` leaves it ringing.
    pub answer: Option<(u64, u16)>,
    /// How it answers a MESSAGE; `None`: not at all.
    pub message: Option<u16>,
    /// So many ms after it came.
    pub message_ms: u64,
    /// How it answers a NOTIFY; `None`: not at all.
    pub notify: Option<u16>,
    /// Whether it answers a call 200 although the CANCEL was faster: the two crossed.
    pub races_cancel: bool,
    /// Whether it answers nothing that comes in.
    pub is_deaf: bool,
    /// Whether it takes up challenges.
    pub proves: bool,
    /// Whether it hangs up on every answer after the first, as §13.2.2.4 advises.
    pub drops_second: bool,
    /// Whether its ACKs to 2xx are never sent.
    pub loses_acks: bool,
}

/// Something a phone sends.
#[derive(Debug)]
pub enum Act {
    /// A datagram.
    Datagram(SocketAddr, Vec<u8>),
    /// Over the stream to there, opened if need be.
    Stream(SocketAddr, Vec<u8>),
    /// Over this stream.
    On(usize, Vec<u8>),
    /// A datagram of its voice, from there to there.
    Sound(SocketAddr, SocketAddr, Vec<u8>),
}

/// The way something came or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A datagram.
    Udp(SocketAddr),
    /// The stream to there.
    Tcp(SocketAddr),
    /// This stream.
    Conn(usize),
}

/// A request of the phone's.
#[derive(Debug)]
pub struct Client {
    /// The request.
    pub request: Msg,
    /// Provisional answers, with the time.
    pub provisional: Vec<(u64, Msg)>,
    /// The final answer, and every further 2xx with another tag, with the time.
    pub finals: Vec<(u64, Msg)>,
    /// Whether none came in time.
    pub timed_out: bool,
    /// The transaction that answered the challenge to this.
    pub successor: Option<usize>,
    way: Way,
    repeat: Option<(u64, u64)>,
    ends_at: Option<u64>,
    ack: Option<Msg>,
    wants_cancel: bool,
    was_lost: bool,
}

/// A request from outside, and its answer.
struct Served {
    request: Msg,
    way: Way,
    answer: Option<Msg>,
    to_tag: String,
    /// When the final answer is due, and its status.
    planned: Option<(u64, u16)>,
    repeat: Option<(u64, u64)>,
    ends_at: u64,
    is_acked: bool,
}

/// A dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Its Call-ID.
    pub call_id: String,
    /// Our side, with tag.
    pub local: String,
    /// The other side, with tag.
    pub remote: String,
    /// Where requests in it are addressed to.
    pub target: String,
    /// The route set.
    pub routes: Vec<String>,
    /// The last CSeq of ours.
    pub cseq: u32,
    /// Whether it has ended by a BYE.
    pub is_over: bool,
    ack: Option<Msg>,
}

#[derive(Default)]
struct Link {
    remote: Option<SocketAddr>,
    bytes: Vec<u8>,
    seen: BTreeSet<(String, String)>,
}

impl Manner {
    /// Rings, and is answered after a second; takes messages.
    pub const POLITE: Self = Self {
        rings: true,
        answer: Some((1_000, 200)),
        message: Some(200),
        message_ms: 0,
        notify: Some(200),
        races_cancel: false,
        is_deaf: false,
        proves: true,
        drops_second: true,
        loses_acks: false,
    };

    /// Answers calls so, after so many ms.
    pub fn answering(after_ms: u64, status: u16) -> Self {
        Self { answer: Some((after_ms, status)), ..Self::POLITE }
    }

    /// Rings for ever.
    pub fn ringing() -> Self {
        Self { answer: None, ..Self::POLITE }
    }

    /// Hears nothing.
    pub fn deaf() -> Self {
        Self { is_deaf: true, ..Self::POLITE }
    }
}

impl Phone {
    /// A phone of a person of the first home, on its LAN.
    pub fn new(user: &str, password: &str, address: &str) -> Self {
        Self {
            name: format!("{user}@{address}"),
            address: address.parse().unwrap(),
            nat: None,
            is_tcp: false,
            is_tls: false,
            listens: true,
            is_off: false,
            is_outside: false,
            is_sink: false,
            proxy: LAN.parse().unwrap(),
            aor: format!("sip:{user}@home.example"),
            login: (user.into(), password.into()),
            algorithm: None,
            contact_params: String::new(),
            agent: "simulated".into(),
            register_fields: Vec::new(),
            more_fields: Vec::new(),
            names_itself: false,
            manner: Manner::POLITE,
            acts: VecDeque::new(),
            clients: Vec::new(),
            requests: Vec::new(),
            dialogs: Vec::new(),
            pongs: 0,
            may_get_twice: false,
            page: None,
            voice: None,
            registration: None,
            register_order: (String::new(), 0),
            served: Vec::new(),
            conns: BTreeMap::new(),
            nonces: BTreeMap::new(),
            random: Rng::new(0),
            now: 0,
        }
    }

    /// The same over TCP.
    pub fn tcp(mut self) -> Self {
        self.is_tcp = true;
        self
    }

    /// The same over TLS.
    pub fn tls(mut self) -> Self {
        (self.is_tcp, self.is_tls, self.listens) = (true, true, false);
        self.proxy.set_port(5061);
        self
    }

    /// The same with this manner.
    pub fn with(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// The same with these parameters behind its Contact.
    pub fn contact(mut self, params: &str) -> Self {
        self.contact_params = params.into();
        self
    }

    /// The same, of somebody from outside: another address of record, and the server's address in the world.
    pub fn stranger(mut self, aor: &str) -> Self {
        (self.aor, self.is_outside) = (aor.into(), true);
        self.proxy = crate::world::WAN.parse().unwrap();
        self
    }

    /// The same behind a NAT.
    pub fn behind(mut self, nat: usize) -> Self {
        self.nat = Some(nat);
        self.listens = false;
        self.proxy = crate::world::WAN.parse().unwrap();
        self
    }

    /// Takes its own chance.
    pub fn seed(&mut self, seed: u64) {
        self.random = Rng::new(seed);
        self.register_order.0 = self.token();
    }

    // --- what a test asks for --------------------------------------------------------------------------------------

    /// Registers for so many seconds, once; the transaction.
    pub fn register(&mut self, now: u64, expires_s: u32) -> usize {
        let contact = format!("<{}>{}", self.contact_uri(), self.contact_params);
        self.register_as(now, &contact, Some(expires_s))
    }

    /// Registers this Contact.
    pub fn register_as(&mut self, now: u64, contact: &str, expires_s: Option<u32>) -> usize {
        self.register_order.1 += 1;
        let domain = self.aor.split_once('@').map_or("", |(_, domain)| domain);
        let uri = format!("sip:{domain}");
        let mut request = self.request("REGISTER", &uri, &format!("<{}>", self.aor));
        request.set("Call-ID", &self.register_order.0.clone());
        request.set("CSeq", &format!("{} REGISTER", self.register_order.1));
        request.remove("Contact");
        if !contact.is_empty() {
            request.add("Contact", contact);
        }
        if let Some(expires_s) = expires_s {
            request.add("Expires", &expires_s.to_string());
        }
        for (name, value) in &self.register_fields {
            request.add(name, value);
        }
        self.send(now, request)
    }

    /// Registers for so many seconds, and again each time half of them are over.
    pub fn stay_registered(&mut self, now: u64, expires_s: u32) -> usize {
        self.registration = Some((expires_s, now + u64::from(expires_s) * 500));
        self.register(now, expires_s)
    }

    /// Calls an address.
    pub fn invite(&mut self, now: u64, uri: &str) -> usize {
        let mut request = self.request("INVITE", uri, &format!("<{uri}>"));
        request.add("Content-Type", "application/sdp");
        request.body =
            b"v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 192.0.2.99\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
                .to_vec();
        if let Some(voice) = &mut self.voice {
            request.body = if voice.is_late { Vec::new() } else { voice.description() };
            if voice.is_late {
                request.remove("Content-Type");
            }
        }
        self.send(now, request)
    }

    /// Writes to an address.
    pub fn message(&mut self, now: u64, uri: &str, text: &str) -> usize {
        let mut request = self.request("MESSAGE", uri, &format!("<{uri}>"));
        request.remove("Contact");
        request.add("Content-Type", "text/plain");
        request.body = text.as_bytes().to_vec();
        self.send(now, request)
    }

    /// Hangs up before the answer: now, or as soon as the first provisional answer comes (§9.1).
    pub fn cancel(&mut self, now: u64, client: usize) {
        let client = self.last_of(client);
        let branch = self.clients[client].request.branch();
        let is_it = |it: &Client| it.request.method() == "CANCEL" && it.request.branch() == branch;
        if self.clients[client].ends_at.is_none() || self.clients.iter().any(is_it) {
            return;
        }
        if self.clients[client].provisional.is_empty() {
            self.clients[client].wants_cancel = true;
        } else {
            self.send_cancel(now, client);
        }
    }

    /// A request in a dialog.
    pub fn in_dialog(&mut self, now: u64, dialog: usize, method: &str) -> usize {
        let request = self.dialog_request(dialog, method);
        if method == "BYE" {
            self.dialogs[dialog].is_over = true;
        }
        self.send(now, request)
    }

    /// A request in a dialog, not sent.
    pub fn dialog_request(&mut self, dialog: usize, method: &str) -> Msg {
        self.dialogs[dialog].cseq += 1;
        let known = self.dialogs[dialog].clone();
        let mut request = self.request(method, &known.target, &known.remote);
        request.set("From", &known.local);
        request.set("Call-ID", &known.call_id);
        request.set("CSeq", &format!("{} {method}", known.cseq));
        if method == "PRACK" {
            request.add("RAck", &format!("1 {} INVITE", known.cseq));
        }
        for route in &known.routes {
            request.add("Route", route);
        }
        request
    }

    /// A request with everything it needs.
    pub fn request(&mut self, method: &str, uri: &str, to: &str) -> Msg {
        let via = format!("SIP/2.0/{} {};branch=;rport", self.transport().to_uppercase(), self.address);
        let from_tag = self.token();
        let from = format!("<{}>;tag={from_tag}", self.aor);
        let (mut call_id, contact) = (self.token(), format!("<{}>{}", self.contact_uri(), self.contact_params));
        if self.names_itself {
            call_id += &format!("@{}", self.address);
        }
        let request = Msg::request(method, uri)
            .with("Via", &via)
            .with("Max-Forwards", "70")
            .with("From", &from)
            .with("To", to)
            .with("Call-ID", &call_id)
            .with("CSeq", &format!("1 {method}"))
            .with("Contact", &contact)
            .with("User-Agent", &self.agent);
        self.more_fields.iter().fold(request, |request, (name, value)| request.with(name, value))
    }

    /// Begins a client transaction, with credentials when a nonce is known.
    pub fn send(&mut self, now: u64, mut request: Msg) -> usize {
        let field = if request.start.starts_with("REGISTER") { "Authorization" } else { "Proxy-Authorization" };
        if request.get(field).is_empty()
            && let Some(nonce) = self.nonces.get_mut(field)
        {
            let (method, uri) = (request.method().to_string(), request.uri().to_string());
            let credentials = nonce.credentials(&method, &uri, &self.login.0, &self.login.1);
            request.add(field, &credentials);
        }
        self.send_as_is(now, request)
    }

    /// Begins a client transaction.
    pub fn send_as_is(&mut self, now: u64, mut request: Msg) -> usize {
        self.now = now;
        let branch = format!("z9hG4bK{}", self.token());
        let via = request.get("Via").replace("branch=;", &format!("branch={branch};"));
        request.set("Via", &via);
        let way = self.way_for(&request);
        let repeat = matches!(way, Way::Udp(_)).then_some((now + T1_MS, T1_MS));
        self.emit(way, &request);
        self.clients.push(Client {
            request,
            provisional: Vec::new(),
            finals: Vec::new(),
            timed_out: false,
            successor: None,
            way,
            repeat,
            ends_at: Some(now + T64_MS),
            ack: None,
            wants_cancel: false,
            was_lost: false,
        });
        self.clients.len() - 1
    }

    /// The final status of a request, after challenges.
    pub fn outcome(&self, client: usize) -> Option<u16> {
        let client = &self.clients[self.last_of(client)];
        client.finals.first().and_then(|(_, answer)| answer.status())
    }

    /// The final answer to a request, after challenges.
    pub fn answer(&self, client: usize) -> &Msg {
        &self.clients[self.last_of(client)].finals.first().expect("there is an answer").1
    }

    /// The transaction that a request came to after challenges.
    pub fn last_of(&self, mut client: usize) -> usize {
        while let Some(successor) = self.clients[client].successor {
            client = successor;
        }
        client
    }

    /// Requests of a method that came in.
    pub fn got(&self, method: &str) -> Vec<&Msg> {
        let got = self.requests.iter().map(|(_, request)| request);
        got.filter(|request| request.start.starts_with(&format!("{method} "))).collect()
    }

    /// Forgets the nonces it knows.
    pub fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    /// Lets go of everything: no more refreshing, and what rings is refused.
    pub fn retire(&mut self) {
        self.registration = None;
        self.voice.iter_mut().for_each(voice::Voice::hush);
        let now = self.now;
        for served in &mut self.served {
            if served.answer.as_ref().and_then(Msg::status).is_none_or(|status| status < 200) && !self.manner.is_deaf {
                served.planned.get_or_insert((now, 480));
            }
        }
    }

    /// Judges: every transaction ended, by one answer, or by a timeout when the links ate something of it.
    pub fn check(&self, eaten: &BTreeSet<String>) {
        for client in &self.clients {
            let what = format!("{}: {} {}", self.name, client.request.start, client.request.branch());
            assert!(client.ends_at.is_none(), "{what}: no end");
            let is_excused = eaten.contains(&client.request.branch()) || client.was_lost || self.is_off;
            assert!(!client.timed_out || is_excused, "{what}: timed out, but nothing was lost");
        }
    }

    // --- time ------------------------------------------------------------------------------------------------------

    /// When it has something to do.
    pub fn next_at(&self) -> Option<u64> {
        let clients = self.clients.iter().filter(|client| client.ends_at.is_some());
        let clients = clients.flat_map(|client| client.repeat.map(|(at, _)| at).into_iter().chain(client.ends_at));
        let served = self.served.iter().flat_map(|served| {
            served.repeat.map(|(at, _)| at).into_iter().chain(served.planned.map(|(at, _)| at)).chain([served.ends_at])
        });
        let registration = self.registration.map(|(_, at)| at);
        let voice = self.voice.as_ref().and_then(voice::Voice::next_at);
        clients.chain(served).chain(registration).chain(voice).filter(|at| *at != u64::MAX).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
        self.speak(now);
        if let Some((expires_s, at)) = self.registration
            && at <= now
        {
            self.stay_registered(now, expires_s);
        }
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let Some(ends_at) = client.ends_at else { continue };
            if ends_at <= now {
                client.ends_at = None;
                client.repeat = None;
                client.timed_out = client.finals.is_empty();
                continue;
            }
            if let Some((at, interval)) = client.repeat
                && at <= now
            {
                let is_invite = client.request.method() == "INVITE";
                let longest = if is_invite { u64::MAX } else { T2_MS };
                let interval = (interval * 2).min(longest);
                client.repeat = Some((now + interval, interval));
                let (way, request) = (client.way, client.request.clone());
                self.emit(way, &request);
            }
        }
        for index in 0..self.served.len() {
            let served = &mut self.served[index];
            if let Some((at, status)) = served.planned
                && at <= now
            {
                served.planned = None;
                self.reply(index, status);
                continue;
            }
            if let Some((at, interval)) = served.repeat
                && at <= now
            {
                let interval = (interval * 2).min(T2_MS);
                served.repeat = Some((now + interval, interval));
                let (way, answer) = (served.way, served.answer.clone());
                answer.iter().for_each(|answer| self.emit(way, answer));
            }
        }
        self.served.retain(|served| served.ends_at > now);
    }

    /// A word nobody else has.
    pub fn token(&mut self) -> String {
        format!("{:016x}", self.random.next())
    }

    /// Where it says it is.
    pub fn contact_uri(&self) -> String {
        let transport = if self.is_tcp { format!(";transport={}", self.transport()) } else { String::new() };
        format!("sip:{}@{}{transport}", self.login.0, self.address)
    }

    fn transport(&self) -> &'static str {
        match (self.is_tls, self.is_tcp) {
            (true, _) => "tls",
            (false, true) => "tcp",
            (false, false) => "udp",
        }
    }

    fn way_for(&self, request: &Msg) -> Way {
        let route = request.values("Route").into_iter().next();
        let next = route.as_deref().map(uri_of).and_then(address_of);
        match next {
            Some((to, true)) => Way::Tcp(to),
            Some((to, false)) if route.is_some_and(|route| !self.is_tcp || route.contains(";lr>")) => Way::Udp(to),
            _ if self.is_tcp => Way::Tcp(self.proxy),
            _ => Way::Udp(self.proxy),
        }
    }

    fn emit(&mut self, way: Way, msg: &Msg) {
        if self.is_off {
            return;
        }
        let bytes = msg.bytes();
        self.acts.push_back(match way {
            Way::Udp(to) => Act::Datagram(to, bytes),
            Way::Tcp(to) => Act::Stream(to, bytes),
            Way::Conn(conn) => Act::On(conn, bytes),
        });
    }
}
