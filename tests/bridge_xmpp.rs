//! The simulated XMPP server against scripts of raw XML, and the XMPP connector against that server ([`connector`]).

#[path = "bridge_xmpp/connector.rs"]
mod connector;
#[path = "bridge_xmpp/driver.rs"]
mod driver;
#[path = "bridge_xmpp/replay.rs"]
mod replay;
#[path = "support/xmpp_server.rs"]
mod xmpp_server;

use xmpp_server::sasl::{Hash, base64, unbase64};
use xmpp_server::{Conn, Fault, Got, XmppServer};

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
                    xmlns:stream='http://etherx.jabber.org/streams'>";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// A server with alice, bob and carol.
fn server() -> XmppServer {
    let mut server = XmppServer::new("example.org");
    for name in ["alice", "bob", "carol"] {
        server.add_user(name, &format!("{name}'s secret"));
    }
    server
}

/// A client that says literal bytes.
struct Raw {
    conn: Conn,
}

impl Raw {
    fn connect(server: &mut XmppServer, now_ms: u64) -> Self {
        Self { conn: server.connect(now_ms) }
    }

    /// Says something; what comes back.
    fn say(&self, server: &mut XmppServer, text: &str) -> String {
        let now_ms = server.now_ms();
        server.input(now_ms, self.conn, text.as_bytes());
        self.hear(server)
    }

    fn hear(&self, server: &mut XmppServer) -> String {
        String::from_utf8(server.output(self.conn)).expect("the server writes UTF-8")
    }

    /// Over STARTTLS to the features that offer mechanisms.
    fn secured(server: &mut XmppServer, now_ms: u64) -> Self {
        let raw = Self::connect(server, now_ms);
        assert!(raw.say(server, OPEN).ends_with(
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
        ));
        let answer = raw.say(server, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><presence/>");
        assert_eq!(answer, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        assert!(server.wants_tls(raw.conn));
        server.tls_started(raw.conn);
        assert!(raw.say(server, OPEN).contains("<mechanism>"));
        raw
    }

    /// SCRAM; what the server says last, and the signature it should have.
    fn scram(&self, server: &mut XmppServer, hash: Hash, user: &str, password: &str) -> (String, String) {
        let name = if hash == Hash::Sha1 { "SCRAM-SHA-1" } else { "SCRAM-SHA-256" };
        let first = format!("n={user},r=abcdef");
        let auth = base64(format!("n,,{first}").as_bytes());
        let answer = self.say(server, &format!("<auth xmlns='{SASL}' mechanism='{name}'>{auth}</auth>"));
        let Some(challenge) = inner(&answer, "challenge") else { return (answer, String::new()) };
        let challenge = String::from_utf8(unbase64(challenge).unwrap()).unwrap();
        let mut fields = challenge.split(',').map(|field| &field[2..]);
        let (nonce, salt, count) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        assert!(nonce.len() > 6 && nonce.starts_with("abcdef"));
        let salted = hash.salted(password.as_bytes(), &unbase64(salt).unwrap(), count.parse().unwrap());
        let key = hash.hmac(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let signed = format!("{first},{challenge},{last}");
        let signature = hash.hmac(&hash.digest(&key), signed.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(k, s)| k ^ s).collect();
        let response = base64(format!("{last},p={}", base64(&proof)).as_bytes());
        let answer = self.say(server, &format!("<response xmlns='{SASL}'>{response}</response>"));
        let server_key = hash.hmac(&salted, b"Server Key");
        let expected = format!("v={}", base64(&hash.hmac(&server_key, signed.as_bytes())));
        (answer, format!("<success xmlns='{SASL}'>{}</success>", base64(expected.as_bytes())))
    }

    /// Logged in, with a new stream and nothing bound.
    fn logged_in(server: &mut XmppServer, now_ms: u64, user: &str) -> Self {
        let raw = Self::secured(server, now_ms);
        let auth = base64(format!("\0{user}\0{user}'s secret").as_bytes());
        let answer = raw.say(server, &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{auth}</auth>"));
        assert_eq!(answer, format!("<success xmlns='{SASL}'/>"));
        let features = raw.say(server, OPEN);
        assert!(features.contains("<sm xmlns='urn:xmpp:sm:3'>") && features.contains("<bind "), "{features}");
        raw
    }

    fn bound(server: &mut XmppServer, now_ms: u64, user: &str, resource: &str) -> Self {
        let raw = Self::logged_in(server, now_ms, user);
        let bind = format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        assert_eq!(
            raw.say(server, &bind),
            format!(
                "<iq id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <jid>{user}@example.org/{resource}</jid></bind></iq>"
            )
        );
        raw
    }
}

/// What is in an element without children.
fn inner<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}"))?;
    let (rest, _) = rest.split_once(&format!("</{name}>"))?;
    Some(rest.split_once('>')?.1)
}

#[test]
fn scram_by_either_hash() {
    let mut server = server();
    server.options.scram_sha_256 = true;
    for hash in [Hash::Sha1, Hash::Sha256] {
        let raw = Raw::secured(&mut server, 0);
        let (answer, expected) = raw.scram(&mut server, hash, "alice", "alice's secret");
        assert_eq!(answer, expected);
        assert!(raw.say(&mut server, OPEN).contains("urn:ietf:params:xml:ns:xmpp-bind"));
        let raw = Raw::secured(&mut server, 0);
        let (answer, _) = raw.scram(&mut server, hash, "alice", "wrong");
        assert_eq!(answer, format!("<failure xmlns='{SASL}'><not-authorized/></failure>"));
        let (answer, _) = raw.scram(&mut server, hash, "nobody", "wrong");
        assert_eq!(answer, format!("<failure xmlns='{SASL}'><not-authorized/></failure>"));
        // The same stream may try again.
        let (answer, expected) = raw.scram(&mut server, hash, "bob", "bob's secret");
        assert_eq!(answer, expected);
    }
    server.options.has_wrong_signature = true;
    let raw = Raw::secured(&mut server, 0);
    let (answer, expected) = raw.scram(&mut server, Hash::Sha1, "alice", "alice's secret");
    assert!(answer != expected && answer.contains("<success"), "{answer}");
}

#[test]
fn streams_that_are_wrong() {
    let mut server = server();
    let cases = [
        (OPEN.replace("example.org", "elsewhere"), "host-unknown"),
        (OPEN.replace("etherx", "ether"), "invalid-namespace"),
        (OPEN.replace(" version='1.0' xmlns=", " xmlns="), "unsupported-version"),
        (format!("{OPEN}<iq type='get' id='1'/>"), "not-authorized"),
        (format!("{OPEN}<a></b>"), "not-well-formed"),
        (format!("{OPEN}<!-- x -->"), "restricted-xml"),
    ];
    for (text, condition) in cases {
        let raw = Raw::connect(&mut server, 0);
        let answer = raw.say(&mut server, &text);
        let error = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
        assert!(answer.ends_with(&format!("{error}</stream:stream>")), "{text}: {answer}");
        assert!(server.closed(raw.conn));
    }
    let raw = Raw::connect(&mut server, 0);
    raw.say(&mut server, OPEN);
    let auth = base64(b"\0alice\0alice's secret");
    let answer = raw.say(&mut server, &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{auth}</auth>"));
    assert!(answer.contains("<encryption-required/>"), "{answer}");
}

#[test]
fn subscriptions_both_ways() {
    let mut server = server();
    server.user_presence("bob", "", "here");
    let alice = Raw::bound(&mut server, 0, "alice", "pcs");
    assert_eq!(
        alice.say(&mut server, "<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>"),
        "<iq to='alice@example.org/pcs' type='result' id='r1'><query xmlns='jabber:iq:roster'/></iq>"
    );
    let answer = alice.say(&mut server, "<presence><priority>5</priority></presence>");
    assert!(answer.starts_with("<presence from='alice@example.org/pcs'"), "{answer}");
    let answer = alice.say(
        &mut server,
        "<iq type='set' id='r2'><query xmlns='jabber:iq:roster'><item jid='bob@example.org' name='Bob'/></query></iq>",
    );
    assert!(answer.contains("name='Bob' subscription='none'") && answer.contains("id='r2'"), "{answer}");
    let answer = alice.say(&mut server, "<presence to='bob@example.org' type='subscribe'/>");
    assert!(answer.contains("ask='subscribe' subscription='none'"), "{answer}");
    let asked = Got::Subscription { from: "alice@example.org".into(), kind: "subscribe".into() };
    assert_eq!(server.inbox("bob").last(), Some(&asked));
    server.user_subscription("bob", "alice@example.org", "subscribed");
    let answer = alice.hear(&mut server);
    let parts = ["type='subscribed'", "subscription='to'", "<status>here</status>", "<delay "];
    let places: Vec<_> = parts.iter().map(|part| answer.find(part)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{answer}");
    server.user_subscription("bob", "alice@example.org", "subscribe");
    let answer = alice.hear(&mut server);
    assert!(
        answer.contains("<presence to='alice@example.org' type='subscribe' from='bob@example.org' xml:lang='en'/>"),
        "{answer}"
    );
    alice.say(&mut server, "<presence to='bob@example.org' type='subscribed'/>");
    let entry = server.roster_entry("alice", "bob@example.org").unwrap();
    assert_eq!(entry, ("Bob".into(), "both".into()));
    assert_eq!(server.roster_entry("bob", "alice@example.org").unwrap().1, "both");
    let got = server.inbox("bob");
    assert!(
        got.iter().any(
            |got| matches!(got, Got::Presence { from, show, .. } if from == "alice@example.org/pcs" && show.is_empty())
        ),
        "{got:?}"
    );
    alice.say(&mut server, "<iq type='set' id='r3'><query xmlns='jabber:iq:roster'><item jid='bob@example.org' subscription='remove'/></query></iq>");
    assert_eq!(server.roster_entry("alice", "bob@example.org"), None);
    assert_eq!(server.roster_entry("bob", "alice@example.org").unwrap().1, "none");
    let gone =
        Got::Presence { from: "alice@example.org/pcs".into(), show: "unavailable".into(), status: String::new() };
    assert!(server.inbox("bob").contains(&gone));
}

#[test]
fn messages_are_copied_kept_and_archived() {
    let mut server = server();
    server.user_says("bob", "alice@example.org", "before you came");
    assert_eq!(server.offline("alice"), ["before you came"]);
    let alice = Raw::bound(&mut server, 65_000, "alice", "pcs");
    let answer = alice.say(&mut server, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>");
    assert!(answer.contains("<body>before you came</body>"), "{answer}");
    assert!(
        answer.contains("<delay from='example.org' stamp='2026-11-18T11:06:40Z' xmlns='urn:xmpp:delay'/>"),
        "{answer}"
    );
    assert!(server.offline("alice").is_empty());
    alice.say(&mut server, "<message to='bob@example.org' type='chat' id='m1'><body>hi &lt;Bob&gt;</body><request xmlns='urn:xmpp:receipts'/></message>");
    let copy = Got::Copy { from: "alice@example.org/pcs".into(), body: "hi <Bob>".into() };
    assert_eq!(server.inbox("bob"), [copy], "his client is connected, and not available");
    server.user_presence("bob", "", "");
    let got = server.inbox("bob");
    let kept = Got::Message {
        from: "alice@example.org/pcs".into(),
        body: "hi <Bob>".into(),
        id: "m1".into(),
        is_delayed: true,
    };
    assert!(got.contains(&kept), "{got:?}");
    assert!(alice.hear(&mut server).contains("<received id='m1' xmlns='urn:xmpp:receipts'/>"));
    // Her other client speaks: this one is told.
    server.user_says("alice", "bob@example.org", "from my laptop");
    let answer = alice.hear(&mut server);
    assert!(
        answer.starts_with(
            "<message from='alice@example.org' to='alice@example.org/pcs' type='chat'><sent xmlns='urn:xmpp:carbons:2'>"
        ),
        "{answer}"
    );
    alice.say(&mut server, "<message to='bob@example.org' type='chat'><body>me too</body></message>");
    assert!(server.inbox("alice").contains(&Got::Own { to: "bob@example.org".into(), body: "me too".into() }));
    alice.say(&mut server, "<message to='bob@example.org' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>");
    let typing = Got::Typing { from: "alice@example.org/pcs".into(), state: "composing".into() };
    assert!(server.inbox("bob").contains(&typing));
    let query = |rest: &str| {
        format!(
            "<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2' queryid='q'><set xmlns='http://jabber.org/protocol/rsm'>{rest}</set></query></iq>"
        )
    };
    let page = alice.say(&mut server, &query("<max>2</max>"));
    assert_eq!(page.matches("<forwarded ").count(), 2);
    assert!(!page.contains("complete="), "{page}");
    let last = inner(&page, "last").unwrap().to_owned();
    let page = alice.say(&mut server, &query(&format!("<after>{last}</after>")));
    assert!(page.contains("complete='true'") && !page.contains("before you came"), "{page}");
    assert!(page.find("from my laptop") < page.find("me too"));
    let page = alice.say(&mut server, &query("<max>1</max><before/>"));
    assert!(page.matches("<forwarded ").count() == 1, "{page}");
    let page = alice.say(&mut server, &query("<after>nothing</after>"));
    assert!(page.contains("<item-not-found "), "{page}");
    let answer = alice.say(&mut server, "<message to='nobody@example.org' id='m9'><body>x</body></message>");
    assert!(
        answer.contains("<message from='nobody@example.org' to='alice@example.org/pcs' type='error' id='m9'>"),
        "{answer}"
    );
    let answer = alice.say(&mut server, "<message to='a@elsewhere' id='m9'><body>x</body></message>");
    assert!(answer.contains("<remote-server-not-found "), "{answer}");
}

#[test]
fn sessions_are_resumed() {
    let mut server = server();
    let alice = Raw::bound(&mut server, 0, "alice", "pcs");
    let answer = alice.say(&mut server, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert!(answer.contains("max='600' resume='true'"), "{answer}");
    let (_, rest) = answer.split_once("id='").unwrap();
    let id = rest.split_once('\'').unwrap().0.to_owned();
    let answer = alice.say(&mut server, "<presence/>");
    assert!(answer.ends_with("<r xmlns='urn:xmpp:sm:3'/>"), "{answer}");
    assert_eq!(alice.say(&mut server, "<r xmlns='urn:xmpp:sm:3'/>"), "<a h='1' xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(server.unacknowledged("alice"), 1);
    alice.say(&mut server, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert_eq!(server.unacknowledged("alice"), 0);
    server.cut(1000, alice.conn);
    server.user_says("bob", "alice@example.org", "while you were away");
    assert_eq!(server.sessions("alice"), ["alice@example.org/pcs"]);
    let resume = |h: u32| format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>");
    let again = Raw::logged_in(&mut server, 2000, "alice");
    let answer = again.say(&mut server, &resume(1));
    assert!(answer.starts_with(&format!("<resumed previd='{id}' h='1' xmlns='urn:xmpp:sm:3'/><message ")), "{answer}");
    assert!(answer.ends_with("<r xmlns='urn:xmpp:sm:3'/>"), "{answer}");
    // More than was sent.
    let answer = again.say(&mut server, "<a xmlns='urn:xmpp:sm:3' h='9'/>");
    assert!(answer.contains("<undefined-condition "), "{answer}");
    assert!(server.sessions("alice").is_empty());
    assert_eq!(server.offline("alice"), ["while you were away"], "nobody else has it");
    let late = Raw::logged_in(&mut server, 3000, "alice");
    let answer = late.say(&mut server, &resume(1));
    assert!(answer.starts_with("<failed h='1' xmlns='urn:xmpp:sm:3'><item-not-found "), "{answer}");
}

#[test]
fn hibernation_ends() {
    let mut server = server();
    server.befriend("alice", "bob");
    server.user_presence("bob", "", "");
    let alice = Raw::bound(&mut server, 0, "alice", "pcs");
    alice.say(&mut server, "<enable xmlns='urn:xmpp:sm:3' resume='true'/><presence/>");
    server.cut(1000, alice.conn);
    server.inbox("bob");
    server.tick(600_999);
    assert_eq!(server.inbox("bob"), []);
    server.tick(601_000);
    let gone =
        Got::Presence { from: "alice@example.org/pcs".into(), show: "unavailable".into(), status: String::new() };
    assert_eq!(server.inbox("bob"), [gone]);
    assert!(server.sessions("alice").is_empty());
}

#[test]
fn the_newer_of_one_name_stays() {
    let mut server = server();
    let first = Raw::bound(&mut server, 0, "alice", "pcs");
    let _second = Raw::bound(&mut server, 0, "alice", "pcs");
    assert!(first.hear(&mut server).contains("<conflict "));
    assert!(server.closed(first.conn));
    assert_eq!(server.sessions("alice").len(), 1);
}

#[test]
fn questions_and_their_answers() {
    let mut server = server();
    let alice = Raw::bound(&mut server, 0, "alice", "pcs");
    let ask = |payload: &str, to: &str| format!("<iq type='get' id='q'{to}>{payload}</iq>");
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    assert_eq!(
        alice.say(&mut server, &ask(ping, " to='example.org'")),
        "<iq from='example.org' to='alice@example.org/pcs' type='result' id='q'/>"
    );
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    assert!(alice.say(&mut server, &ask(info, " to='example.org'")).contains("var='urn:xmpp:carbons:2'"));
    assert!(alice.say(&mut server, &ask(info, " to='alice@example.org'")).contains("var='urn:xmpp:mam:2'"));
    assert!(alice.say(&mut server, &ask("<x xmlns='y'/>", "")).contains("<service-unavailable "));
    assert!(alice.say(&mut server, "<iq type='get'><x xmlns='y'/></iq>").contains("<bad-request "));
    server.ping("alice@example.org/pcs");
    assert_eq!(server.unanswered("alice"), 1);
    let asked = alice.hear(&mut server);
    let (_, rest) = asked.split_once(" id='").unwrap();
    let id = rest.split_once('\'').unwrap().0;
    alice.say(&mut server, &format!("<iq type='result' to='example.org' id='{id}'/>"));
    assert_eq!(server.unanswered("alice"), 0);
}

#[test]
fn faults_are_sent() {
    let mut server = server();
    let alice = Raw::bound(&mut server, 0, "alice", "pcs");
    server.inject(alice.conn, &Fault::ForgedCarbon { from: "eve@example.org".into(), body: "pay".into() });
    let carbon = alice.hear(&mut server);
    assert!(
        carbon.starts_with("<message from='eve@example.org' to='alice@example.org/pcs' type='chat'><received "),
        "{carbon}"
    );
    server.inject(alice.conn, &Fault::StrangerPush { from: "eve@example.org".into(), jid: "eve@example.org".into() });
    assert!(alice.hear(&mut server).starts_with("<iq type='set' id='forged' from='eve@example.org'>"));
    server.inject(alice.conn, &Fault::SeeOtherHost("other.example.org:5222".into()));
    assert!(
        alice.hear(&mut server).contains(">other.example.org:5222</see-other-host></stream:error></stream:stream>")
    );
    assert!(server.closed(alice.conn) && server.sessions("alice").is_empty());
}

/// Whatever a client says, the server goes on and its other users are served.
#[test]
fn mutated_clients() {
    const SAID: [&str; 12] = [
        "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='bob@example.org' name='B'/></query></iq>",
        "<presence><show>away</show><priority>5</priority></presence>",
        "<presence to='bob@example.org' type='subscribe'/>",
        "<presence to='bob@example.org' type='subscribed'/>",
        "<message to='bob@example.org/script' type='chat' id='m'><body>x &amp; y</body></message>",
        "<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>3</max><before/></set></query></iq>",
        "<iq type='set' id='t'><query xmlns='jabber:iq:roster'><item jid='bob@example.org' subscription='remove'/></query></iq>",
        "<a xmlns='urn:xmpp:sm:3' h='2'/><r xmlns='urn:xmpp:sm:3'/>",
        "<presence type='unavailable'/>",
        "</stream:stream>",
    ];
    const BYTES: &[u8] = b"<>/='\"&;: ax0-9\x00\xff";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % bound
    };
    let mut server = server();
    server.user_presence("bob", "", "");
    for run in 0..1500 {
        let alice = Raw::bound(&mut server, run, "alice", "pcs");
        for said in SAID {
            let mut bytes = said.as_bytes().to_vec();
            for _ in 0..random(3) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = BYTES[random(BYTES.len())],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, BYTES[random(BYTES.len())]),
                }
            }
            server.input(run, alice.conn, &bytes);
            alice.hear(&mut server);
        }
        if random(2) == 0 {
            server.cut(run, alice.conn);
        }
    }
    server.user_says("carol", "bob@example.org", "still here");
    let said = |got: &Got| matches!(got, Got::Message { body, .. } if body == "still here");
    assert_eq!(server.inbox("bob").iter().filter(|got| said(got)).count(), 1);
}
