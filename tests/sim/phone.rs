//! The phones of the simulated world: a small SIP user agent of its own (RFC 3261 §8, §12, §13, §17), so that the server
//! is tried by something that shares no code with it.
//!
//! Client transactions repeat over UDP and time out, take challenges up, acknowledge; server transactions absorb
//! repetitions and repeat their answers; dialogs keep their route set. What a phone does with a call or a message is its
//! [`Manner`]. Leaves out what only people notice: media.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::digest::{Nonce, quoted};
use crate::message::{Msg, address_of, param, uri_of};
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
    /// Whether it takes connections.
    pub listens: bool,
    /// Whether it has no power.
    pub is_off: bool,
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
    /// Fields more in each REGISTER.
    pub register_fields: Vec<(String, String)>,
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
    /// Whether it answers a call 200 although the CANCEL was faster: the two crossed.
    pub races_cancel: bool,
    /// Whether it answers nothing that comes in.
    pub is_deaf: bool,
    /// Whether it takes up challenges.
    pub proves: bool,
    /// Whether it hangs up on every answer after the first, as §13.2.2.4 advises.
    pub drops_second: bool,
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
        races_cancel: false,
        is_deaf: false,
        proves: true,
        drops_second: true,
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
            listens: true,
            is_off: false,
            is_sink: false,
            proxy: LAN.parse().unwrap(),
            aor: format!("sip:{user}@home.example"),
            login: (user.into(), password.into()),
            algorithm: None,
            contact_params: String::new(),
            register_fields: Vec::new(),
            manner: Manner::POLITE,
            acts: VecDeque::new(),
            clients: Vec::new(),
            requests: Vec::new(),
            dialogs: Vec::new(),
            pongs: 0,
            may_get_twice: false,
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
        self.aor = aor.into();
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
        request.body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 192.0.2.99\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n".to_vec();
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
        let via = format!("SIP/2.0/{} {};branch=;rport", if self.is_tcp { "TCP" } else { "UDP" }, self.address);
        let from_tag = self.token();
        let from = format!("<{}>;tag={from_tag}", self.aor);
        let (call_id, contact) = (self.token(), format!("<{}>", self.contact_uri()));
        Msg::request(method, uri)
            .with("Via", &via)
            .with("Max-Forwards", "70")
            .with("From", &from)
            .with("To", to)
            .with("Call-ID", &call_id)
            .with("CSeq", &format!("1 {method}"))
            .with("Contact", &contact)
            .with("User-Agent", "simulated")
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
        clients.chain(served).chain(registration).filter(|at| *at != u64::MAX).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
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

    // --- what comes in ---------------------------------------------------------------------------------------------

    /// A datagram came in.
    pub fn datagram(&mut self, now: u64, from: SocketAddr, bytes: &[u8]) {
        self.now = now;
        if self.is_off {
            return;
        }
        if let Some((msg, _)) = Msg::read(bytes) {
            self.take(Way::Udp(from), msg);
        }
    }

    /// A stream is up.
    pub fn connected(&mut self, conn: usize, remote: SocketAddr) {
        self.conns.insert(conn, Link { remote: Some(remote), ..Link::default() });
    }

    /// A stream is gone.
    pub fn disconnected(&mut self, conn: usize) {
        let Some(link) = self.conns.remove(&conn) else { return };
        for client in &mut self.clients {
            let was_on_it = client.way == Way::Conn(conn) || link.remote.is_some_and(|it| client.way == Way::Tcp(it));
            if was_on_it && client.ends_at.is_some() {
                // A transport error ends the transaction (§17.1.4).
                client.was_lost = true;
                client.ends_at = None;
                client.repeat = None;
                client.timed_out = client.finals.is_empty();
            }
        }
    }

    /// Bytes came in on a stream.
    pub fn streamed(&mut self, now: u64, conn: usize, bytes: &[u8]) {
        self.now = now;
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.bytes.extend(bytes);
        loop {
            let Some(link) = self.conns.get_mut(&conn) else { return };
            if link.bytes.starts_with(b"\r\n") {
                link.bytes.drain(..2);
                self.pongs += 1;
                continue;
            }
            let Some((msg, len)) = Msg::read(&link.bytes) else { return };
            link.bytes.drain(..len);
            // An ACK comes again with each repetition of the 2xx.
            if msg.status().is_none() && msg.method() != "ACK" {
                let is_new = link.seen.insert((msg.branch(), msg.method().into()));
                assert!(is_new, "{}: the same request twice on a stream: {}", self.name, msg.start);
            }
            self.take(Way::Conn(conn), msg);
        }
    }

    /// The open stream to an address.
    pub fn conn_to(&self, to: SocketAddr) -> Option<usize> {
        self.conns.iter().find(|(_, link)| link.remote == Some(to)).map(|(conn, _)| *conn)
    }

    /// All open streams.
    pub fn open_conns(&self) -> Vec<usize> {
        self.conns.keys().copied().collect()
    }

    fn take(&mut self, way: Way, msg: Msg) {
        match msg.status() {
            Some(_) if self.is_sink => {}
            Some(status) => self.take_answer(msg, status),
            None if self.manner.is_deaf => {}
            None => self.take_request(way, msg),
        }
    }

    fn take_answer(&mut self, answer: Msg, status: u16) {
        let (branch, method) = (answer.branch(), answer.method().to_string());
        let is_it = |client: &Client| client.request.branch() == branch && client.request.method() == method;
        let Some(index) = self.clients.iter().position(is_it) else {
            panic!("{}: an answer to nothing: {} {branch}", self.name, answer.start);
        };
        let now = self.now;
        let client = &mut self.clients[index];
        assert_eq!(answer.values("Via").len(), client.request.values("Via").len(), "{}: not our Vias", self.name);
        let is_invite = method == "INVITE";
        if status < 200 {
            client.provisional.push((now, answer));
            if client.finals.is_empty() && is_invite {
                client.repeat = None;
                // A call may ring; the proxy's timer C ends it.
                client.ends_at = client.ends_at.map(|_| now + 400_000);
                if std::mem::take(&mut client.wants_cancel) {
                    self.send_cancel(now, index);
                }
            }
            return;
        }
        let is_known = client.finals.iter().any(|(_, known)| known.tag("To") == answer.tag("To"));
        let is_first = client.finals.is_empty();
        if is_invite && (200..300).contains(&status) {
            if is_known {
                return self.repeat_ack(&answer);
            }
            client.repeat = None;
            client.ends_at = client.ends_at.map(|_| now + T64_MS);
            client.finals.push((now, answer.clone()));
            return self.answered(index, &answer, is_first);
        }
        if is_invite {
            if is_first {
                let ack = self.ack_of(index, &answer);
                self.clients[index].ack = Some(ack);
            }
            if let Some(ack) = self.clients[index].ack.clone() {
                self.emit(self.clients[index].way, &ack);
            }
        }
        let client = &mut self.clients[index];
        if !is_first {
            return;
        }
        client.repeat = None;
        client.ends_at = client.ends_at.map(|_| now + if is_invite { T64_MS } else { 5_000 });
        client.finals.push((now, answer.clone()));
        if matches!(status, 401 | 407) {
            self.prove(index, &answer);
        }
    }

    /// Asks again with credentials, unless these were tried already.
    fn prove(&mut self, index: usize, answer: &Msg) {
        let request = self.clients[index].request.clone();
        let field = if answer.status() == Some(401) { "Authorization" } else { "Proxy-Authorization" };
        let challenge = answer.lines("WWW-Authenticate").chain(answer.lines("Proxy-Authenticate")).next().unwrap_or("");
        let is_stale = challenge.contains("stale=true");
        let was_tried = !request.get(field).is_empty() && !is_stale;
        let is_ours = self.aor.ends_with(&format!("@{}", quoted(challenge, "realm")));
        if !self.manner.proves || was_tried || !is_ours {
            return;
        }
        let Some(nonce) = Nonce::of(answer, self.algorithm) else { return };
        self.nonces.insert(field.into(), nonce);
        let mut again = request;
        again.remove(field);
        let (number, method) = (again.cseq() + 1, again.method().to_string());
        again.set("CSeq", &format!("{number} {method}"));
        if method == "REGISTER" {
            self.register_order.1 = self.register_order.1.max(number);
        }
        if let Some(dialog) = self.dialogs.iter_mut().find(|dialog| dialog.call_id == again.get("Call-ID")) {
            dialog.cseq = dialog.cseq.max(number);
        }
        let via = again.get("Via").to_string();
        let old = param(&via, "branch").unwrap_or("").to_string();
        again.set("Via", &via.replace(&old, ""));
        let successor = self.send(self.now, again);
        self.clients[successor].wants_cancel = std::mem::take(&mut self.clients[index].wants_cancel);
        self.clients[index].successor = Some(successor);
    }

    /// A call of ours is answered: a dialog begins, and its ACK goes out.
    fn answered(&mut self, index: usize, answer: &Msg, is_first: bool) {
        let request = self.clients[index].request.clone();
        let known = self.dialogs.iter().position(|it| it.call_id == request.get("Call-ID") && it.remote == answer.get("To"));
        let mut routes = answer.values("Record-Route");
        routes.reverse();
        let dialog = known.unwrap_or_else(|| {
            self.dialogs.push(Dialog {
                call_id: request.get("Call-ID").into(),
                local: request.get("From").into(),
                remote: answer.get("To").into(),
                target: uri_of(answer.get("Contact")).into(),
                routes,
                cseq: request.cseq(),
                is_over: false,
                ack: None,
            });
            self.dialogs.len() - 1
        });
        self.dialogs[dialog].target = uri_of(answer.get("Contact")).into();
        self.dialogs[dialog].cseq = self.dialogs[dialog].cseq.max(request.cseq());
        let mut ack = self.dialog_request(dialog, "ACK");
        self.dialogs[dialog].cseq -= 1;
        ack.set("CSeq", &format!("{} ACK", request.cseq()));
        let branch = format!("z9hG4bK{}", self.token());
        let via = ack.get("Via").replace("branch=;", &format!("branch={branch};"));
        ack.set("Via", &via);
        self.emit(self.way_for(&ack), &ack);
        self.dialogs[dialog].ack = Some(ack);
        if !is_first && self.manner.drops_second {
            self.in_dialog(self.now, dialog, "BYE");
        }
    }

    fn repeat_ack(&mut self, answer: &Msg) {
        let mut dialogs = self.dialogs.iter();
        let dialog = dialogs.find(|it| it.call_id == answer.get("Call-ID") && it.remote == answer.get("To"));
        if let Some(ack) = dialog.and_then(|dialog| dialog.ack.clone()) {
            self.emit(self.way_for(&ack), &ack);
        }
    }

    /// The ACK of a refusal (§17.1.1.3).
    fn ack_of(&self, index: usize, answer: &Msg) -> Msg {
        let request = &self.clients[index].request;
        let mut ack = Msg::request("ACK", request.uri())
            .with("Via", request.get("Via"))
            .with("Max-Forwards", "70")
            .with("From", request.get("From"))
            .with("To", answer.get("To"))
            .with("Call-ID", request.get("Call-ID"))
            .with("CSeq", &format!("{} ACK", request.cseq()));
        for route in request.lines("Route") {
            ack.add("Route", route);
        }
        ack
    }

    fn send_cancel(&mut self, now: u64, index: usize) {
        let request = &self.clients[index].request;
        let mut cancel = Msg::request("CANCEL", request.uri())
            .with("Via", request.get("Via"))
            .with("Max-Forwards", "70")
            .with("From", request.get("From"))
            .with("To", request.get("To"))
            .with("Call-ID", request.get("Call-ID"))
            .with("CSeq", &format!("{} CANCEL", request.cseq()));
        for route in request.lines("Route") {
            cancel.add("Route", route);
        }
        self.send_as_is(now, cancel);
    }

    fn take_request(&mut self, way: Way, request: Msg) {
        let (branch, method) = (request.branch(), request.method().to_string());
        if method == "ACK" {
            return self.take_ack(request);
        }
        let is_it = |served: &Served| served.request.branch() == branch && served.request.method() == method;
        if let Some(served) = self.served.iter().find(|served| is_it(served)) {
            let (way, answer) = (served.way, served.answer.clone());
            answer.iter().for_each(|answer| self.emit(way, answer));
            return;
        }
        let key = |msg: &Msg| (msg.get("Call-ID").to_string(), msg.get("CSeq").to_string(), msg.tag("From").to_string());
        let is_again = method != "CANCEL" && self.requests.iter().any(|(_, known)| key(known) == key(&request));
        assert!(!is_again || self.may_get_twice, "{}: delivered twice: {}", self.name, request.start);
        self.requests.push((self.now, request.clone()));
        let to_tag = match request.tag("To") {
            "" => self.token(),
            known => known.into(),
        };
        let ends_at = self.now + if method == "INVITE" { 1_000_000 } else { T64_MS };
        self.served.push(Served {
            request: request.clone(),
            way,
            answer: None,
            to_tag,
            planned: None,
            repeat: None,
            ends_at,
            is_acked: false,
        });
        let index = self.served.len() - 1;
        match method.as_str() {
            "INVITE" if request.tag("To").is_empty() => {
                if self.manner.rings {
                    self.reply(index, 180);
                }
                self.served[index].planned = self.manner.answer.map(|(after, status)| (self.now + after, status));
            }
            "MESSAGE" => match self.manner.message {
                Some(status) => self.reply(index, status),
                None => {}
            },
            "CANCEL" => self.take_cancel(index),
            _ => self.reply(index, 200),
        }
    }

    fn take_cancel(&mut self, index: usize) {
        let branch = self.served[index].request.branch();
        let invite = self.served.iter().position(|it| it.request.branch() == branch && it.request.method() == "INVITE");
        let Some(invite) = invite else { return self.reply(index, 481) };
        self.reply(index, 200);
        let is_open = self.served[invite].answer.as_ref().and_then(Msg::status).is_none_or(|status| status < 200);
        if is_open {
            self.reply(invite, if self.manner.races_cancel { 200 } else { 487 });
        }
    }

    fn take_ack(&mut self, ack: Msg) {
        let is_it = |served: &&mut Served| {
            served.request.method() == "INVITE"
                && served.request.get("Call-ID") == ack.get("Call-ID")
                && served.request.cseq() == ack.cseq()
                && (served.to_tag == ack.tag("To"))
        };
        for served in self.served.iter_mut().filter(is_it) {
            served.repeat = None;
            if !served.is_acked {
                served.is_acked = true;
                served.ends_at = self.now + T64_MS;
            }
        }
        self.requests.push((self.now, ack));
    }

    /// Answers a request.
    fn reply(&mut self, index: usize, status: u16) {
        let served = &self.served[index];
        let (way, to_tag, request) = (served.way, served.to_tag.clone(), served.request.clone());
        let mut answer = Msg::answer(&request, status, &to_tag);
        let is_invite = request.method() == "INVITE";
        if is_invite && status < 300 && status > 100 {
            answer.add("Contact", &format!("<{}>", self.contact_uri()));
        }
        let served = &mut self.served[index];
        served.answer = Some(answer.clone());
        if status >= 200 {
            served.planned = None;
            served.ends_at = self.now + if is_invite { 2 * T64_MS } else { T64_MS };
            let is_repeated = is_invite && (status < 300 || matches!(way, Way::Udp(_)));
            served.repeat = is_repeated.then_some((self.now + T1_MS, T1_MS));
            if is_invite {
                // Without an ACK the repetition ends after 64 T1.
                served.ends_at = self.now + T64_MS;
            }
        }
        let begins_dialog = is_invite && (200..300).contains(&status) && request.tag("To").is_empty();
        if begins_dialog {
            self.dialogs.push(Dialog {
                call_id: request.get("Call-ID").into(),
                local: answer.get("To").into(),
                remote: request.get("From").into(),
                target: uri_of(request.get("Contact")).into(),
                routes: request.values("Record-Route"),
                cseq: 0,
                is_over: false,
                ack: None,
            });
        }
        if request.method() == "BYE"
            && let Some(dialog) = self.dialogs.iter_mut().find(|dialog| dialog.call_id == request.get("Call-ID"))
        {
            dialog.is_over = true;
        }
        self.emit(way, &answer);
    }

    /// A word nobody else has.
    pub fn token(&mut self) -> String {
        format!("{:016x}", self.random.next())
    }

    /// Where it says it is.
    pub fn contact_uri(&self) -> String {
        let transport = if self.is_tcp { ";transport=tcp" } else { "" };
        format!("sip:{}@{}{transport}", self.login.0, self.address)
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
