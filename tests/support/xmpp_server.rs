//! An XMPP server in one process with the test, in virtual time and without I/O, that behaves as prosody 0.12 was seen to:
//! RFC 6120 (streams, STARTTLS, SASL, binding, stanza errors), RFC 6121 (roster, subscriptions, presence, messages, what is
//! kept offline), XEP-0198 with resumption, XEP-0280, XEP-0313, XEP-0030, XEP-0199. It is strict where a client might be
//! sloppy: XML that is not well-formed, a stanza before its time, too many stanzas acknowledged end the stream.
//!
//! There is one domain. TLS is played: after `<proceed/>` whoever carries the bytes says [`XmppServer::tls_started`].
//! Left out: federation, blocking, privacy lists, PEP, roster versions, SASLprep and stringprep but for lower case.
//!
//! - `xml`: the reader and the elements.
//! - `sasl`: SCRAM and PLAIN.
//! - `session`: stanzas of a bound session, and what is asked of the server.
//! - `message`: where messages go, carbons, what is kept.
//! - `presence`: rosters, subscriptions, presence.
//! - `management`: acknowledgements and resumption.
//! - `script`: users that a test plays without XML, and faults.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use management::Management;
use message::Kept;
use presence::Item;
use sasl::{First, Hash, KeyRing, Keys, Scram, base64, unbase64};
pub use script::{Fault, Got};
use xml::{CLIENT, Element, Piece, Reader, STREAMS};

#[path = "xmpp_server/management.rs"]
mod management;
#[path = "xmpp_server/message.rs"]
mod message;
#[path = "xmpp_server/presence.rs"]
mod presence;
#[path = "xmpp_server/sasl.rs"]
pub mod sasl;
#[path = "xmpp_server/script.rs"]
mod script;
#[path = "xmpp_server/session.rs"]
mod session;
#[path = "xmpp_server/xml.rs"]
pub mod xml;

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// A TCP connection to the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Conn(pub u32);

/// What the server offers. May be changed at any time; streams that are up keep what they were offered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether STARTTLS is offered, and required. Without it all goes in clear.
    pub has_tls: bool,
    pub scram_sha_1: bool,
    pub scram_sha_256: bool,
    pub plain: bool,
    /// Of SCRAM.
    pub iterations: u32,
    /// Whether a session has to be opened after binding, as old servers want it (RFC 3921 §3). Else it may be.
    pub wants_session: bool,
    pub has_management: bool,
    /// How long a session waits for its client to take it up again.
    pub hibernation_ms: u64,
    pub has_carbons: bool,
    pub has_archive: bool,
    /// Results in a page of the archive at most.
    pub page: usize,
    /// A server that does not know the password: the signature it sends at the end of SCRAM is wrong.
    pub has_wrong_signature: bool,
    /// The time of day at which the virtual clock begins, seconds since 1970.
    pub epoch_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            has_tls: true,
            scram_sha_1: true,
            scram_sha_256: false,
            plain: true,
            iterations: 4096,
            wants_session: false,
            has_management: true,
            hibernation_ms: 600_000,
            has_carbons: true,
            has_archive: true,
            page: 50,
            has_wrong_signature: false,
            epoch_s: 1_795_000_000,
        }
    }
}

/// The server.
pub struct XmppServer {
    pub options: Options,
    domain: String,
    now_ms: u64,
    serial: u64,
    users: BTreeMap<String, User>,
    connections: BTreeMap<Conn, Connection>,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that ended and could have been resumed: whose, and how many stanzas of theirs were handled.
    ended: BTreeMap<String, (String, u32)>,
}

/// An account.
#[derive(Default)]
struct User {
    password: String,
    keys: KeyRing,
    roster: BTreeMap<String, Item>,
    /// Who asked to see this user and was not answered, with the stanza that asked.
    requests: BTreeMap<String, Element>,
    /// Messages that wait for the user, and when they came.
    offline: Vec<(u64, Element)>,
    archive: Vec<Kept>,
    /// What the client got that the test plays.
    inbox: Vec<Got>,
    /// Whether that client acknowledges messages.
    is_silent: bool,
}

/// A connection and the stream on it.
#[derive(Default)]
struct Connection {
    reader: Reader,
    out: Vec<u8>,
    is_tls: bool,
    wants_tls: bool,
    has_stream: bool,
    is_closed: bool,
    scram: Option<Scram>,
    user: Option<String>,
    session: Option<SessionId>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct SessionId(u64);

/// A resource that is bound.
struct Session {
    user: String,
    resource: String,
    outlet: Outlet,
    /// The presence it shows, and since when.
    presence: Option<(u64, Element)>,
    /// Whether it has asked for the roster, and is told of changes.
    is_interested: bool,
    has_carbons: bool,
    /// Whether it reads the archive, so that what it misses need not be kept elsewhere.
    reads_archive: bool,
    /// Who was sent presence directly.
    directed: BTreeSet<String>,
    management: Option<Management>,
    /// Requests of the server that were not answered.
    asked: BTreeSet<String>,
}

/// Where the stanzas of a session go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outlet {
    Connection(Conn),
    /// They wait in the queue: its connection was cut at that time.
    Hibernating(u64),
    /// To the inbox of the user.
    Script,
}

impl XmppServer {
    pub fn new(domain: &str) -> Self {
        Self {
            options: Options::default(),
            domain: domain.into(),
            now_ms: 0,
            serial: 0,
            users: BTreeMap::new(),
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    pub fn add_user(&mut self, name: &str, password: &str) {
        let user = User { password: password.into(), ..User::default() };
        assert!(self.users.insert(name.into(), user).is_none(), "{name} is there already");
    }

    /// The moment of the last call that said one.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub fn set_password(&mut self, name: &str, password: &str) {
        let user = self.users.get_mut(name).expect("a user");
        user.password = password.into();
        user.keys.clear();
    }

    /// A connection was accepted. Direct TLS (RFC 7590): [`Self::tls_started`] at once.
    pub fn connect(&mut self, now_ms: u64) -> Conn {
        self.tick(now_ms);
        let conn = Conn(self.connections.len() as u32);
        self.connections.insert(conn, Connection::default());
        conn
    }

    /// Bytes came in. Those between `<proceed/>` and TLS count for nothing.
    pub fn input(&mut self, now_ms: u64, conn: Conn, bytes: &[u8]) {
        self.tick(now_ms);
        self.connection(conn).reader.feed(bytes);
        loop {
            let connection = self.connection(conn);
            if connection.is_closed || connection.wants_tls {
                connection.reader.restart();
                break;
            }
            match connection.reader.next() {
                Ok(Some(piece)) => self.piece(conn, &piece),
                Ok(None) => break,
                Err(bad) => self.stream_error(conn, bad.0, ""),
            }
        }
        self.request_acknowledgements();
    }

    /// Takes what is to be sent. What is taken and does not arrive is lost.
    pub fn output(&mut self, conn: Conn) -> Vec<u8> {
        mem::take(&mut self.connection(conn).out)
    }

    /// Whether TLS is to begin, as soon as the output has been sent.
    pub fn wants_tls(&self, conn: Conn) -> bool {
        self.connections[&conn].wants_tls
    }

    /// TLS has begun.
    pub fn tls_started(&mut self, conn: Conn) {
        let connection = self.connection(conn);
        assert!(!connection.is_tls && !connection.is_closed, "TLS can begin once");
        *connection = Connection { is_tls: true, ..Connection::default() };
    }

    /// The connection was reset. What was not taken from [`Self::output`] is lost.
    pub fn cut(&mut self, now_ms: u64, conn: Conn) {
        self.tick(now_ms);
        let connection = self.connection(conn);
        connection.is_closed = true;
        connection.out.clear();
        if let Some(session) = connection.session.take() {
            self.lose(session);
        }
        self.request_acknowledgements();
    }

    /// Whether the server has closed the connection, after its last output.
    pub fn closed(&self, conn: Conn) -> bool {
        self.connections[&conn].is_closed
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) {
        assert!(now_ms >= self.now_ms, "time runs forward");
        self.now_ms = now_ms;
        let limit_ms = self.options.hibernation_ms;
        let is_over = |session: &Session| matches!(session.outlet, Outlet::Hibernating(at) if now_ms - at >= limit_ms);
        let over = self.sessions.iter().filter(|(_, session)| is_over(session)).map(|(id, _)| *id).collect::<Vec<_>>();
        over.into_iter().for_each(|id| self.end_session(id));
        self.request_acknowledgements();
    }

    /// Full JIDs of the sessions of a user, with those that hibernate.
    pub fn sessions(&self, name: &str) -> Vec<String> {
        self.sessions_of(name).into_iter().map(|id| self.full_jid(id)).collect()
    }

    /// Requests of the server that clients of a user left without an answer.
    pub fn unanswered(&self, name: &str) -> usize {
        self.sessions_of(name).into_iter().map(|id| self.sessions[&id].asked.len()).sum()
    }

    // ---- streams ----

    fn piece(&mut self, conn: Conn, piece: &Piece) {
        match piece {
            Piece::Open(header) => self.open(conn, header),
            Piece::Stanza(element) => self.element(conn, element),
            Piece::Close => self.close_in_order(conn),
        }
    }

    fn open(&mut self, conn: Conn, header: &Element) {
        if !header.is("stream", STREAMS) {
            return self.stream_error(conn, "invalid-namespace", "");
        }
        if header.get("to") != self.domain {
            return self.stream_error(conn, "host-unknown", "");
        }
        if header.get("version") != "1.0" {
            return self.stream_error(conn, "unsupported-version", "");
        }
        self.stream_header(conn);
        let features = self.features(conn);
        self.send(conn, &features);
    }

    fn stream_header(&mut self, conn: Conn) {
        let id = self.unique("stream");
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='{STREAMS}' version='1.0' from='{}' xml:lang='en' \
             xmlns='{CLIENT}' id='{id}'>",
            self.domain
        );
        self.send(conn, &header);
        self.connection(conn).has_stream = true;
    }

    fn features(&mut self, conn: Conn) -> String {
        let options = self.options.clone();
        let connection = self.connection(conn);
        let inner = if connection.user.is_some() {
            let session = if options.wants_session { "" } else { "<optional/>" };
            let management = if options.has_management {
                "<sm xmlns='urn:xmpp:sm:2'><optional/></sm><sm xmlns='urn:xmpp:sm:3'><optional/></sm>"
            } else {
                ""
            };
            format!(
                "<c hash='sha-1' xmlns='http://jabber.org/protocol/caps' node='http://prosody.im' \
                 ver='j/Y94sSrQ04HC31Dsn52+Z4ESGQ='/><csi xmlns='urn:xmpp:csi:0'/>\
                 <sub xmlns='urn:xmpp:features:pre-approval'/><bind xmlns='{BIND}'><required/></bind>\
                 <session xmlns='{SESSION}'>{session}</session>{management}"
            )
        } else if options.has_tls && !connection.is_tls {
            format!("<starttls xmlns='{TLS}'><required/></starttls>")
        } else {
            let names = mechanisms(&options).map(|name| format!("<mechanism>{name}</mechanism>"));
            format!("<mechanisms xmlns='{SASL}'>{}</mechanisms>", names.collect::<String>())
        };
        format!("<stream:features>{inner}</stream:features>")
    }

    fn element(&mut self, conn: Conn, element: &Element) {
        let connection = self.connection(conn);
        let (has_user, session) = (connection.user.is_some(), connection.session);
        match (element.ns.as_str(), session) {
            (TLS, _) => self.start_tls(conn, element),
            (SASL, _) if !has_user => self.sasl(conn, element),
            (management::NS | management::OLD_NS, _) if has_user => self.management(conn, element),
            (CLIENT, Some(session)) => self.stanza(session, element),
            (CLIENT, None) if has_user => self.bind(conn, element),
            (CLIENT, None) => self.stream_error(conn, "not-authorized", ""),
            ("urn:xmpp:csi:0", Some(_)) => {}
            (STREAMS, _) if element.name == "error" => self.close_in_order(conn),
            _ => self.stream_error(conn, "unsupported-stanza-type", ""),
        }
    }

    fn start_tls(&mut self, conn: Conn, element: &Element) {
        let is_offered = self.options.has_tls;
        let connection = self.connection(conn);
        if element.name != "starttls" || connection.is_tls || !is_offered {
            self.send(conn, &format!("<failure xmlns='{TLS}'/></stream:stream>"));
            self.connection(conn).is_closed = true;
            return;
        }
        connection.wants_tls = true;
        self.send(conn, &format!("<proceed xmlns='{TLS}'/>"));
    }

    /// The client ends its stream: its session ends with it, and cannot be resumed.
    fn close_in_order(&mut self, conn: Conn) {
        if let Some(session) = self.connection(conn).session.take() {
            self.acknowledge(session);
            self.end_session(session);
        }
        self.send(conn, "</stream:stream>");
        self.connection(conn).is_closed = true;
    }

    /// Ends a stream by an error (RFC 6120 §4.9), and the session with it.
    fn stream_error(&mut self, conn: Conn, condition: &str, text: &str) {
        let inner = if text.is_empty() {
            format!("<{condition} xmlns='{STREAM_ERRORS}'/>")
        } else if condition == "see-other-host" {
            format!("<{condition} xmlns='{STREAM_ERRORS}'>{text}</{condition}>")
        } else {
            format!("<{condition} xmlns='{STREAM_ERRORS}'/><text xmlns='{STREAM_ERRORS}'>{text}</text>")
        };
        if !self.connection(conn).has_stream {
            self.stream_header(conn);
        }
        self.send(conn, &format!("<stream:error>{inner}</stream:error></stream:stream>"));
        let connection = self.connection(conn);
        connection.is_closed = true;
        if let Some(session) = connection.session.take() {
            self.end_session(session);
        }
    }

    // ---- login ----

    fn sasl(&mut self, conn: Conn, element: &Element) {
        if self.options.has_tls && !self.connection(conn).is_tls {
            return self.sasl_failure(conn, "encryption-required");
        }
        let text = element.text();
        let waiting = self.connection(conn).scram.take();
        let Some(data) = (if text == "=" { Some(Vec::new()) } else { unbase64(&text) }) else {
            return self.sasl_failure(conn, "incorrect-encoding");
        };
        match (element.name.as_str(), waiting) {
            ("auth", _) => {
                let mechanism = mechanisms(&self.options).find(|name| *name == element.get("mechanism"));
                match (mechanism, String::from_utf8(data)) {
                    (None, _) => self.sasl_failure(conn, "invalid-mechanism"),
                    (_, Err(_)) => self.sasl_failure(conn, "malformed-request"),
                    (Some("PLAIN"), Ok(data)) => self.plain(conn, &data),
                    (Some("SCRAM-SHA-256"), Ok(data)) => self.scram(conn, Hash::Sha256, &data),
                    (Some(_), Ok(data)) => self.scram(conn, Hash::Sha1, &data),
                }
            }
            ("response", Some(scram)) => {
                let last = String::from_utf8(data).ok().and_then(|message| scram.finish(&message));
                match last.filter(|_| self.users.contains_key(&scram.user)) {
                    Some(last) => self.logged_in(conn, &scram.user, &last),
                    None => self.sasl_failure(conn, "not-authorized"),
                }
            }
            ("abort", _) => self.sasl_failure(conn, "aborted"),
            _ => self.sasl_failure(conn, "malformed-request"),
        }
    }

    fn plain(&mut self, conn: Conn, data: &str) {
        match sasl::plain(data.as_bytes()) {
            None => self.sasl_failure(conn, "malformed-request"),
            Some((user, password)) if self.users.get(&user).is_some_and(|u| u.password == password) => {
                self.logged_in(conn, &user, "");
            }
            Some(_) => self.sasl_failure(conn, "not-authorized"),
        }
    }

    fn scram(&mut self, conn: Conn, hash: Hash, data: &str) {
        let Some(first) = First::read(data) else { return self.sasl_failure(conn, "malformed-request") };
        let iterations = self.options.iterations;
        let salt = format!("salt of {}", first.user);
        let keys = match self.users.get_mut(&first.user) {
            None => return self.sasl_failure(conn, "not-authorized"),
            Some(user) => {
                let new = || Keys::new(hash, &user.password, salt.as_bytes(), iterations);
                user.keys.entry((hash, iterations)).or_insert_with(new).clone()
            }
        };
        let nonce = self.unique("nonce");
        let (scram, challenge) = first.challenge(hash, keys, salt.as_bytes(), &nonce);
        self.connection(conn).scram = Some(scram);
        self.send(conn, &format!("<challenge xmlns='{SASL}'>{}</challenge>", base64(challenge.as_bytes())));
    }

    fn logged_in(&mut self, conn: Conn, user: &str, last: &str) {
        let last = if self.options.has_wrong_signature && !last.is_empty() {
            format!("v={}", base64(&Hash::Sha1.digest(last.as_bytes())))
        } else {
            last.to_owned()
        };
        let success = if last.is_empty() {
            format!("<success xmlns='{SASL}'/>")
        } else {
            format!("<success xmlns='{SASL}'>{}</success>", base64(last.as_bytes()))
        };
        self.send(conn, &success);
        let connection = self.connection(conn);
        connection.user = Some(user.to_owned());
        connection.has_stream = false;
        connection.reader.restart();
    }

    fn sasl_failure(&mut self, conn: Conn, condition: &str) {
        self.send(conn, &format!("<failure xmlns='{SASL}'><{condition}/></failure>"));
    }

    /// Binds a resource (RFC 6120 §7); one of the same name gives way.
    fn bind(&mut self, conn: Conn, iq: &Element) {
        let (Some(bind), "set", true) = (iq.child("bind", BIND), iq.get("type"), iq.name == "iq") else {
            return self.stream_error(conn, "not-authorized", "");
        };
        let user = self.connection(conn).user.clone().expect("only who has logged in binds");
        let wanted = bind.text_of("resource");
        let resource = if wanted.is_empty() { self.unique("resource") } else { wanted };
        if let Some(old) = self.session_at(&user, &resource) {
            self.replace(old, "Replaced by new connection");
        }
        let id = self.new_session(&user, &resource, Outlet::Connection(conn));
        self.connection(conn).session = Some(id);
        let jid = Element::new("jid", BIND).says(&self.full_jid(id));
        let result = Element::new("iq", CLIENT).with("id", iq.get("id")).with("type", "result");
        self.send(conn, &result.and(Element::new("bind", BIND).and(jid)).write(CLIENT));
    }

    fn new_session(&mut self, user: &str, resource: &str, outlet: Outlet) -> SessionId {
        self.serial += 1;
        let session = Session {
            user: user.into(),
            resource: resource.into(),
            outlet,
            presence: None,
            is_interested: false,
            has_carbons: false,
            reads_archive: false,
            directed: BTreeSet::new(),
            management: None,
            asked: BTreeSet::new(),
        };
        self.sessions.insert(SessionId(self.serial), session);
        SessionId(self.serial)
    }

    /// A session gives way to another.
    fn replace(&mut self, session: SessionId, why: &str) {
        match self.sessions[&session].outlet {
            Outlet::Connection(conn) => self.stream_error(conn, "conflict", why),
            Outlet::Hibernating(_) | Outlet::Script => self.end_session(session),
        }
    }

    // ---- what all parts use ----

    fn connection(&mut self, conn: Conn) -> &mut Connection {
        self.connections.get_mut(&conn).expect("the connection was made")
    }

    fn send(&mut self, conn: Conn, text: &str) {
        let connection = self.connection(conn);
        if !connection.is_closed {
            connection.out.extend_from_slice(text.as_bytes());
        }
    }

    /// A name that was not given before; the same in each run.
    fn unique(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{what}-{:08x}", self.serial.wrapping_mul(0x9e37_79b9) & 0xffff_ffff)
    }

    fn bare_jid(&self, user: &str) -> String {
        format!("{user}@{}", self.domain)
    }

    fn full_jid(&self, id: SessionId) -> String {
        let session = &self.sessions[&id];
        format!("{}@{}/{}", session.user, self.domain, session.resource)
    }

    fn sessions_of(&self, user: &str) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, session)| session.user == user).map(|(id, _)| *id).collect()
    }

    fn session_at(&self, user: &str, resource: &str) -> Option<SessionId> {
        self.sessions_of(user).into_iter().find(|id| self.sessions[id].resource == resource)
    }

    fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions.get_mut(&id).expect("the session is there")
    }

    /// The time of day as stamps have it (XEP-0082).
    fn stamp(&self, at_ms: u64) -> String {
        let seconds = self.options.epoch_s + at_ms / 1000;
        let (days, of_day) = ((seconds / 86_400) as i64, seconds % 86_400);
        // The days of 400 years are always the same; years begin in March here.
        let (mut z, mut year) = (days + 719_468, 0);
        year += z / 146_097 * 400;
        z %= 146_097;
        let of_era = (z - z / 1460 + z / 36_524 - z / 146_096) / 365;
        let of_year = z - (365 * of_era + of_era / 4 - of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 { (year + of_era, month + 3) } else { (year + of_era + 1, month - 9) };
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
    }

    fn delay(&self, from: &str, at_ms: u64) -> Element {
        Element::new("delay", "urn:xmpp:delay").with("from", from).with("stamp", &self.stamp(at_ms))
    }
}

fn mechanisms(options: &Options) -> impl Iterator<Item = &'static str> {
    let all =
        [(options.scram_sha_256, "SCRAM-SHA-256"), (options.scram_sha_1, "SCRAM-SHA-1"), (options.plain, "PLAIN")];
    all.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name)
}

/// A JID without its resource.
fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// The resource of a JID; empty when it has none.
fn resource(jid: &str) -> &str {
    jid.split_once('/').map_or("", |(_, resource)| resource)
}

/// The domain of a JID.
fn domain(jid: &str) -> &str {
    bare(jid).rsplit_once('@').map_or(bare(jid), |(_, domain)| domain)
}

/// The user of a JID; empty when it is that of a server.
fn user(jid: &str) -> &str {
    bare(jid).rsplit_once('@').map_or("", |(user, _)| user)
}
