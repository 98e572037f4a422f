//! Servers that mean harm, or have gone mad: whatever they send, the home goes on answering phones, believes nothing, and
//! is on again when they have come to their senses.

use super::{ALICE, BUDDY, Nets, ON_IRC, ON_XMPP, PCS, ROMEO};
use crate::phone::Manner;
use crate::xmpp_server::Fault;
use pcsd::base::limits::CONTACTS_PER_ACCOUNT;

/// Bob's phone writes to Alice's, and is answered at once.
fn phones_go_on(nets: &mut Nets, bob: usize) {
    let before = nets.world.now;
    let call = nets.world.write(bob, ALICE, "still there?");
    assert_eq!(nets.world.outcome_of(call), Some(200));
    assert!(nets.world.now - before < 100, "phones wait for a network");
}

/// Both networks work.
fn networks_go_on(nets: &mut Nets, tag: &str) {
    nets.run(1_300_000);
    assert_eq!((nets.xmpp.conns().len(), nets.irc.conns().len()), (1, 1), "{tag}: {:?}", nets.told_by(PCS));
    nets.romeo_shows("", "");
    nets.run(3_000);
    let text = format!("after {tag}");
    nets.romeo_says(&text);
    nets.run(3_000);
    assert_eq!(nets.told_by(ROMEO).last(), Some(&text));
    assert_eq!(nets.writes(ROMEO, &text), 200, "{tag}");
    assert_eq!(nets.got("romeo").last(), Some(&text));
}

fn nets(sections: &str) -> (Nets, usize) {
    let mut nets = Nets::online(1, sections);
    let bob = nets.world.online("bob", 30, Manner::POLITE);
    (nets, bob)
}

#[test]
fn xml_that_is_none_or_too_much() {
    let (mut nets, bob) = nets(&[ON_XMPP, ON_IRC, BUDDY].concat());
    let deep = "<a>".repeat(60_000);
    let long_name = format!("<{} x='1'/>", "n".repeat(70_000));
    let long_value = format!("<message from='{}@jabber.test'><body>x</body></message>", "v".repeat(70_000));
    let many = format!("<message {}/>", (0..9_000).map(|n| format!("a{n}='' ")).collect::<String>());
    for (number, text) in [
        "\0\0\0\0",
        "<message><body>\0</body></message>",
        "]]>]]>",
        "<!DOCTYPE x SYSTEM 'http://evil.test/'><message/>",
        "<?xml version='1.0' encoding='UTF-16'?>",
        "<!-- a comment --><message/>",
        "<a:b/>",
        "</stream:stream></stream:stream>",
        "<stream:stream>",
        "<stream:error/>",
        "<message><body>&#0;&#x110000;&nothing;</body></message>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/><resumed xmlns='urn:xmpp:sm:3' h='4294967295'/>",
        "<a xmlns='urn:xmpp:sm:3' h='4000000000'/><a xmlns='urn:xmpp:sm:3' h='-1'/><r xmlns='urn:xmpp:sm:3'/>",
        &deep,
        &long_name,
        &long_value,
        &many,
    ]
    .into_iter()
    .enumerate()
    {
        nets.xmpp.say(&nets.world, text);
        phones_go_on(&mut nets, bob);
        nets.run(500);
        phones_go_on(&mut nets, bob);
        networks_go_on(&mut nets, &format!("case {number}"));
    }
    nets.finish();
}

#[test]
fn faults_of_every_kind() {
    let (mut nets, bob) = nets(&[ON_XMPP, ON_IRC, BUDDY].concat());
    let carbon = |from: &str| Fault::ForgedCarbon { from: from.into(), body: "send money".into() };
    let push = Fault::StrangerPush { from: "eve@evil.test".into(), jid: "forged@evil.test".into() };
    for fault in [
        Fault::Malformed,
        Fault::EntityBomb,
        carbon("eve@evil.test"),
        carbon("romeo@jabber.test"),
        carbon("romeo@jabber.test/script"),
        push,
        Fault::Oversized(1 << 20),
        Fault::Nested(4_000),
        Fault::SystemShutdown,
        Fault::SeeOtherHost("198.51.100.20".into()),
    ] {
        nets.xmpp.inject(&nets.world, &fault);
        phones_go_on(&mut nets, bob);
        nets.run(2_000);
        phones_go_on(&mut nets, bob);
        let tag = format!("{fault:?}");
        networks_go_on(&mut nets, &tag[..tag.len().min(20)]);
    }
    let texts: Vec<String> = nets.told().into_iter().map(|(_, text)| text).collect();
    assert!(!texts.iter().any(|text| text.contains("money") || text.contains("aaaa")), "believed: {texts:?}");
    let call = nets.world.watch(nets.phone, "sip:forged@home.example").call;
    assert_eq!(nets.world.outcome_of(call), Some(404), "nobody was put on her list");
    nets.finish();
}

#[test]
fn lists_and_presence_without_end() {
    let mut nets = Nets::new(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.xmpp.on(&nets.world).fill_roster("alice", 3 * CONTACTS_PER_ACCOUNT.min(700), 40);
    let bob = nets.world.online("bob", 30, Manner::POLITE);
    nets.log_in();
    phones_go_on(&mut nets, bob);
    // The one whom the configuration has is there, whoever came before him on the list.
    networks_go_on(&mut nets, "a long list");
    for number in 0..400 {
        let who = number % 40;
        let text = "t".repeat(900);
        nets.xmpp.send(
            &nets.world,
            &format!("<presence from='contact{who:05}@jabber.test/r{number}'><status>{text}</status></presence>"),
        );
    }
    nets.run(2_000);
    phones_go_on(&mut nets, bob);
    networks_go_on(&mut nets, "presence of many");
    nets.finish();
}

#[test]
fn lines_that_are_none_or_too_long() {
    let (mut nets, bob) = nets(&[ON_XMPP, ON_IRC, BUDDY].concat());
    let user = nets.irc_user("romeo");
    nets.run(70_000);
    let long = [&b":romeo!r@h PRIVMSG alice :"[..], &[b'x'; 100_000], b"\r\n"].concat();
    let blanks = [&[b' '; 30_000][..], b"\r\n"].concat();
    let tags = [&b"@"[..], &b"a=b;".repeat(10_000), b" PING :x\r\n"].concat();
    let cases: [&[u8]; 12] = [
        &[0; 5_000],
        &long,
        &blanks,
        &tags,
        b":\r\n: \r\n\n\n\r\r\r\n",
        b":romeo!r@h PRIVMSG alice :\xff\xfe\x00\x80\r\n",
        b":romeo PRIVMSG\r\n:romeo PRIVMSG alice\r\nPRIVMSG\r\n",
        b":irc.test 433 * alice :taken\r\n:irc.test 001 \r\n:irc.test 005 alice MONITOR=99999999999 NICKLEN=0 :x\r\n",
        b":irc.test 303 alice :a b c d e f romeo\r\n:irc.test 303 :\r\n:irc.test 730\r\n:irc.test 731 alice :\r\n",
        b":romeo!r@h PRIVMSG alice :\x01ACTION \x01\x01VERSION\x01\x01DCC SEND x 1 2 3\x01\r\n",
        b":alice!a@h NICK :eve\r\n:eve!a@h NICK alice\r\n",
        b"CAP * LS * :a b c\r\nCAP * ACK :\r\nAUTHENTICATE +\r\nPONG\r\nPING\r\n",
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        nets.irc.say(bytes);
        phones_go_on(&mut nets, bob);
        nets.run(5_000);
        phones_go_on(&mut nets, bob);
        nets.run(1_300_000);
        assert_eq!(nets.irc.conns().len(), 1, "case {number}: {:?}", nets.told_by(PCS));
        let text = format!("after case {number}");
        user.says("alice", &text);
        nets.run(3_000);
        assert_eq!(nets.told_by(ROMEO).last(), Some(&text), "case {number}");
    }
    user.leaves();
    nets.finish();
}

#[test]
fn a_reset_at_every_byte_of_a_login() {
    let (mut nets, bob) = nets(&[ON_XMPP, ON_IRC, BUDDY].concat());
    for fuse in (0..6_000).step_by(7) {
        nets.world.fuse = Some(fuse);
        nets.xmpp.cut(&mut nets.world);
        nets.irc.cut(&mut nets.world);
        let before = nets.world.conns.len();
        let is_tried = |world: &crate::world::World| world.conns[before..].iter().any(|conn| !conn.is_open);
        if !nets.world.run_until(1_000_000, is_tried) {
            break;
        }
        if fuse % 20 == 0 {
            phones_go_on(&mut nets, bob);
        }
    }
    nets.world.fuse = None;
    nets.xmpp.cut(&mut nets.world);
    nets.irc.cut(&mut nets.world);
    networks_go_on(&mut nets, "resets");
    nets.finish();
}
