//! What the server has to do with each message, and the home that it meets.

use std::net::SocketAddr;

use crate::support::{Home, LISTEN, model};

/// Where messages come from, unless the case says otherwise.
pub const SENDER: &str = "198.51.100.7:5060";

/// What the server has to do with a message.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// It goes to the device of the first person, unchanged but for what a proxy changes; so many Routes are ours.
    Forwarded { own_routes: usize },
    /// It is answered with a status, after its sender has proven who he is if need be; this text is in the answer.
    Answered(u16, &'static str),
    /// It is challenged.
    Challenged,
    /// It registers: once its sender has proven who he is, these Contacts come back, less their `expires`.
    Registered(&'static [&'static str]),
    /// Nothing happens.
    Discarded,
    /// On a stream: answered with a status, then the connection is closed.
    Closed(u16),
    /// On a stream: the rest is waited for in vain, then the connection is closed.
    Awaited,
    /// On a stream: not tried, as its end can't be told there.
    Skipped,
}
use self::Expect::{Answered, Awaited, Challenged, Closed, Discarded, Forwarded, Registered, Skipped};

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub domain: &'static str,
    /// Who is called, and who calls, if that is somebody of the home.
    pub people: &'static [&'static str],
    /// Where the server listens besides [`LISTEN`] and the message arrives, and whence it comes.
    pub at: Option<(&'static str, &'static str)>,
    pub external: Option<&'static str>,
    pub datagram: Expect,
    pub stream: Expect,
}

const fn case(name: &'static str, domain: &'static str, people: &'static [&'static str], expect: Expect) -> Case {
    Case { name, domain, people, at: None, external: None, datagram: expect, stream: expect }
}

impl Case {
    const fn at(self, local: &'static str, from: &'static str) -> Self {
        Self { at: Some((local, from)), ..self }
    }

    const fn external(self, name: &'static str) -> Self {
        Self { external: Some(name), ..self }
    }

    const fn stream(self, expect: Expect) -> Self {
        Self { stream: expect, ..self }
    }

    /// Our socket that it arrives on.
    pub fn local(&self) -> SocketAddr {
        self.at.map_or(LISTEN, |at| at.0).parse().unwrap()
    }

    /// Its source.
    pub fn from(&self) -> SocketAddr {
        self.at.map_or(SENDER, |at| at.1).parse().unwrap()
    }

    /// The home that it is for.
    pub fn home(&self) -> Home {
        let mut listen = vec![LISTEN];
        listen.extend(self.at.map(|at| at.0));
        let mut model = model(self.domain, self.people, &listen);
        if let Some(external) = self.external {
            model.main.external.push(external.try_into().unwrap()).unwrap();
        }
        let mut home = Home::new(&model);
        // Devices listen for datagrams only, so that large requests come as such.
        home.takes_connections = false;
        home
    }
}

const FORWARDED: Expect = Forwarded { own_routes: 0 };
const BAD: Expect = Answered(400, "");
const V6: &str = "[2001:db8::10]:5060";
pub const V6_PEER: &str = "[2001:db8::9:1]:5060";

/// The messages of RFC 4475 and RFC 5118.
pub const TORTURE: &[Case] = &[
    // RFC 4475 §3.1.1: valid, however it looks.
    case("rfc4475/wsinv", "chair-dnrc.example.com", &["vivekg"], Forwarded { own_routes: 1 })
        .external("services.example.com"),
    case("rfc4475/intmeth", "example.com", &["1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "mundane"], FORWARDED),
    case("rfc4475/esc01", "example.net", &["sips:user@example.com", "I have spaces"], FORWARDED),
    case(
        "rfc4475/escnull",
        "example.com",
        &["null-\0-null"],
        Registered(&["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]),
    ),
    // Not REGISTER, whatever it reads unescaped.
    case("rfc4475/esc02", "example.com", &["resource"], Answered(501, "\r\nAllow: ")).external("registrar.example.com"),
    case("rfc4475/lwsdisp", "example.com", &["user", "caller"], FORWARDED),
    case("rfc4475/longreq", "example.com", &["user"], FORWARDED),
    case("rfc4475/dblreq", "example.com", &["j.user"], Registered(&["<sip:j.user@host.example.com>"])),
    case("rfc4475/semiuri", "example.com", &["user;par=u@example.net"], FORWARDED),
    case("rfc4475/transports", "example.com", &["user", "caller"], FORWARDED),
    case("rfc4475/mpart01", "example.org", &["kumiko"], Forwarded { own_routes: 1 })
        .at("127.0.0.1:5080", "127.0.0.1:5070"),
    case("rfc4475/unreason", "example.com", &[], Discarded),
    case("rfc4475/noreason", "example.com", &[], Discarded),
    // §3.1.2: invalid.
    case("rfc4475/badinv01", "example.com", &["user"], BAD),
    case("rfc4475/clerr", "example.com", &["user"], BAD).stream(Awaited),
    case("rfc4475/ncl", "example.com", &["user"], BAD).stream(Closed(400)),
    case("rfc4475/scalar02", "example.com", &["user"], BAD),
    case("rfc4475/scalarlg", "example.com", &["user"], Discarded),
    case("rfc4475/quotbal", "example.com", &["user"], BAD),
    case("rfc4475/ltgtruri", "example.com", &["user"], BAD),
    case("rfc4475/lwsruri", "example.com", &["user"], BAD),
    case("rfc4475/lwsstart", "example.com", &["user"], BAD),
    case("rfc4475/trws", "example.com", &["remote-target"], BAD),
    case("rfc4475/escruri", "example.com", &["user"], BAD),
    // A proxy does not look at what it has no use for.
    case("rfc4475/baddate", "example.com", &["user"], FORWARDED),
    case("rfc4475/badaspec", "example.org", &["user"], FORWARDED),
    case("rfc4475/baddn", "example.org", &["t.watson"], FORWARDED),
    case("rfc4475/regbadct", "example.com", &["user"], BAD),
    case("rfc4475/badvers", "example.org", &["t.watson"], Answered(505, "")),
    case("rfc4475/mismatch01", "example.com", &["user"], BAD),
    case("rfc4475/mismatch02", "example.com", &["user"], BAD),
    case("rfc4475/bigcode", "example.com", &["user"], Discarded),
    // §3.2: transactions.
    case("rfc4475/badbranch", "example.com", &["user"], FORWARDED),
    // §3.3: what the application has to say.
    case("rfc4475/insuf", "example.com", &["user"], BAD),
    case("rfc4475/unkscm", "example.com", &["user"], Answered(416, "")),
    case("rfc4475/novelsc", "example.com", &["user"], Answered(416, "")),
    case("rfc4475/unksm2", "example.com", &["user"], BAD),
    case(
        "rfc4475/bext01",
        "example.com",
        &["user"],
        Answered(420, "\r\nUnsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n"),
    ),
    case("rfc4475/invut", "example.com", &["user"], FORWARDED),
    case("rfc4475/regaut01", "example.com", &["j.user"], Challenged),
    case("rfc4475/multi01", "company.com", &["user"], BAD),
    case("rfc4475/mcl01", "example.com", &["user"], BAD).stream(Closed(400)),
    case("rfc4475/bcast", "example.com", &["user"], Discarded),
    case("rfc4475/zeromf", "example.com", &["user"], Answered(483, "")),
    case(
        "rfc4475/cparam01",
        "example.com",
        &["watson"],
        Registered(&["<sip:+19725552222@gw1.example.net>;unknownparam"]),
    ),
    case(
        "rfc4475/cparam02",
        "example.com",
        &["watson"],
        Registered(&["<sip:+19725552222@gw1.example.net;unknownparam>"]),
    ),
    case(
        "rfc4475/regescrt",
        "example.com",
        &["user"],
        Registered(&["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]),
    ),
    case("rfc4475/sdp01", "example.com", &["user"], FORWARDED),
    // §3.4: the former RFC. Without Content-Length there is no body on a stream.
    case("rfc4475/inv2543", "example.com", &["UserB"], FORWARDED).stream(Skipped),
    // RFC 5118.
    case("rfc5118/ipv6-good", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"])).at(V6, V6_PEER),
    case("rfc5118/ipv6-bad", "example.com", &["user"], BAD).at(V6, V6_PEER),
    case("rfc5118/port-ambiguous", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"]))
        .at("[2001:db8::10:5070]:5060", V6_PEER),
    case("rfc5118/port-unambiguous", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"]))
        .at("[2001:db8::10]:5070", V6_PEER),
    // The source as it is, without brackets.
    case(
        "rfc5118/via-received-param-with-delim",
        "example.com",
        &["user"],
        Answered(481, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-111\r\n"),
    )
    .at(V6, "[2001:db8::9:255]:5060"),
    case(
        "rfc5118/via-received-param-no-delim",
        "example.com",
        &["user"],
        Answered(200, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3\r\n"),
    )
    .at(V6, "[2001:db8::9:255]:5060"),
    case("rfc5118/ipv6-in-sdp", "example.com", &["user"], BAD).at(V6, "[2001:db8::20]:5060").stream(Awaited),
    case("rfc5118/ipv6-in-sdp.fixed", "example.com", &["user"], FORWARDED).at(V6, "[2001:db8::20]:5060"),
    case("rfc5118/mult-ip-in-header", "host.example.net", &["user"], FORWARDED).at(V6, "[2001:db8::9:1]:6050"),
    case("rfc5118/mult-ip-in-sdp", "example.com", &["user"], FORWARDED).at(V6, V6_PEER),
    case("rfc5118/ipv4-mapped-ipv6", "example.com", &["user"], FORWARDED).at("192.0.2.1:5060", "192.0.2.10:19823"),
    case("rfc5118/ipv6-bug-abnf-3-colons", "example.com", &["user"], BAD).at(V6, V6_PEER),
    case("rfc5118/ipv6-correct-abnf-2-colons", "example.com", &["user"], FORWARDED)
        .at("[2001:db8::192.0.2.1]:5060", V6_PEER),
];

pub const HOUSE: &str = "house.example";
pub const OLOF: &[&str] = &["olof", "vera"];
const V6_HOUSE: &str = "[2001:db8::5070]:5090";

/// The messages in `tests/data/sip`.
pub const OWN: &[Case] = &[
    case("folded", HOUSE, OLOF, FORWARDED),
    case("anymethod", HOUSE, OLOF, FORWARDED),
    case("escapes", HOUSE, &["olof;x@y", "vera"], FORWARDED),
    case("nulescape", HOUSE, OLOF, Registered(&["<sip:ve%00ra@192.0.2.40>", "<sip:%00@192.0.2.40>"])),
    case("escmethod", HOUSE, OLOF, Answered(501, "\r\nAllow: ")),
    case("nospace", HOUSE, OLOF, FORWARDED),
    case("longvalues", HOUSE, OLOF, FORWARDED),
    case("surplus", HOUSE, OLOF, Answered(200, "\r\nAllow: ")),
    case("tworequests", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40>"])),
    case("semicolon", HOUSE, &["olof;room=2@attic"], FORWARDED),
    case("manyvias", HOUSE, OLOF, FORWARDED),
    case("binary", HOUSE, OLOF, FORWARDED),
    case("multipart", HOUSE, OLOF, FORWARDED),
    case("utf8reason", HOUSE, OLOF, Discarded),
    case("noreason", HOUSE, OLOF, Discarded),
    case("emptyvia", HOUSE, OLOF, BAD),
    case("shortbody", HOUSE, OLOF, BAD).stream(Awaited),
    case("minuslength", HOUSE, OLOF, BAD).stream(Closed(400)),
    case("twolengths", HOUSE, OLOF, BAD).stream(Closed(400)),
    case("hugecseq", HOUSE, OLOF, BAD),
    case("hugeanswer", HOUSE, OLOF, Discarded),
    case("manyhops", HOUSE, OLOF, BAD),
    case("openquote", HOUSE, OLOF, BAD),
    case("bracketed", HOUSE, OLOF, BAD),
    case("spaced", HOUSE, OLOF, BAD),
    case("twospaces", HOUSE, OLOF, BAD),
    case("trailing", HOUSE, OLOF, BAD),
    case("urihead", HOUSE, OLOF, BAD),
    case("est", HOUSE, OLOF, FORWARDED),
    case("badcontact", HOUSE, OLOF, BAD),
    case("starplus", HOUSE, OLOF, BAD),
    case("spaceuri", HOUSE, OLOF, FORWARDED),
    case("commaname", HOUSE, OLOF, FORWARDED),
    case("version3", HOUSE, OLOF, Answered(505, "")),
    case("othermethod", HOUSE, OLOF, BAD),
    case("newmismatch", HOUSE, OLOF, BAD),
    case("code1000", HOUSE, OLOF, Discarded),
    case("cookieonly", HOUSE, OLOF, FORWARDED),
    case("nocallid", HOUSE, OLOF, BAD),
    case("schemes", HOUSE, OLOF, Answered(416, "")),
    case("notsipaor", HOUSE, OLOF, BAD),
    case("requires", HOUSE, OLOF, Answered(420, "\r\nUnsupported: cellar-1, cellar-2\r\n")),
    case("requiresself", HOUSE, OLOF, Answered(420, "\r\nUnsupported: attic-1\r\n")),
    case("oddbody", HOUSE, OLOF, FORWARDED),
    case("oddaccept", HOUSE, OLOF, FORWARDED),
    case("oddauth", HOUSE, OLOF, Challenged),
    case("twofroms", HOUSE, OLOF, BAD),
    case("barecr", HOUSE, OLOF, BAD),
    case("broadcast", HOUSE, OLOF, Discarded),
    case("zerohops", HOUSE, OLOF, Answered(483, "")),
    case("zeroself", HOUSE, OLOF, Answered(200, "\r\nAllow: ")),
    case("paramafter", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40>;attic=\"a,b\""])),
    case("paraminside", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40;attic=a>"])),
    case("routecontact", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40?Route=%3Csip:192.0.2.66%3Blr%3E>"])),
    case("oldstyle", HOUSE, OLOF, FORWARDED),
    case("oldinvite", HOUSE, OLOF, FORWARDED).stream(Skipped),
    case("lfonly", HOUSE, OLOF, FORWARDED),
    case("notsip", HOUSE, OLOF, Discarded),
    case("v6", HOUSE, OLOF, FORWARDED).at("[2001:db8::5070]:5090", "[2001:db8::40]:5091"),
    case("v6register", HOUSE, OLOF, Registered(&["<sip:olof@[2001:db8::9:1]>"])).at(V6_HOUSE, V6_PEER),
    case("v6default", HOUSE, OLOF, Registered(&["<sip:olof@[2001:db8::9:1]>"]))
        .at("[2001:db8::5070:5090]:5060", V6_PEER),
    case(
        "v6received",
        HOUSE,
        OLOF,
        Answered(200, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:1;branch=z9hG4bKattic6\r\n"),
    )
    .at(V6_HOUSE, V6_PEER),
    case("v6mixed", HOUSE, OLOF, FORWARDED).at(V6_HOUSE, "[2001:db8::9:1]:6050"),
    case("v6body", HOUSE, OLOF, FORWARDED),
    case("barev6", HOUSE, OLOF, BAD),
    case("v6colons", HOUSE, OLOF, BAD).at(V6_HOUSE, V6_PEER),
    case("v6dotted", HOUSE, OLOF, FORWARDED).at("[2001:db8::192.0.2.1]:5060", V6_PEER),
];
