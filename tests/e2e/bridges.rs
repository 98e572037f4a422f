//! Accounts on other networks, against their real servers: prosody for Jabber (XMPP), seen by bitlbee and by a client that
//! the test plays, and ngircd for IRC. The people of the home have baresip.

use crate::baresip::{Baresip, Setup};
use crate::cable::Cable;
use crate::client::Client;
use crate::daemon::{Daemon, Person, sip};
use crate::harness::{Place, step, wait_until};
use crate::inbox::{AWAY, Home};
use crate::irc::{Bitlbee, Irc, Ngircd};
use crate::presence::{PUBLISHES, say, speaker};
use crate::prosody::{Jabber, PROGRAMS, Prosody, jid, password_of};
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::Duration;

#[test]
fn account_logs_in() {
    let Some(place) = Place::new("account_logs_in", &PROGRAMS) else { return };
    let prosody = Prosody::start(&place, &["alice"]);
    let mut pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, "");
    let mut alice = speaker(&place, &pcsd, "alice");

    step!(place, "with a wrong password the account is stopped, and she is told why");
    let account = prosody.account("alice", prosody.address);
    let wrong = account.replace(&password_of("alice"), "wrong");
    pcsd.reconfigure(&[Person::Md5("alice")], &wrong);
    pcsd.program.await_line(0, "account alice_xmpp is stopped: the server refuses the name or the password");
    let told = format!("Your account xmpp {} is off: the server refuses its name or password.", jid("alice"));
    alice.await_trace(0, &told);
    let stands = pcsd.pcsctl(&["accounts"]);
    let stopped =
        format!("alice_xmpp alice xmpp {} stopped: the server refuses the name or the password", jid("alice"));
    assert!(stands.starts_with(&stopped), "{stands}");
    let tried = prosody.program.output.count("mechanism='SCRAM-SHA-1'");
    sleep(RETRIED);
    assert_eq!(prosody.program.output.count("mechanism='SCRAM-SHA-1'"), tried, "a wrong password is not tried again");

    step!(place, "with the right one it is on: STARTTLS, and SCRAM within");
    let from = prosody.program.output.len();
    pcsd.reconfigure(&[Person::Md5("alice")], &account);
    pcsd.program.await_line(0, "account alice_xmpp is on");
    let encrypted = prosody.program.await_line(from, "Stream encrypted").0;
    let proven = prosody.program.await_line(encrypted, "mechanism='SCRAM-SHA-1'").0;
    prosody.program.await_line(proven, &format!("Authenticated as {}", jid("alice")));
    assert_eq!(prosody.program.output.count("mechanism='PLAIN'"), 0, "the password was never sent");
    let stands = pcsd.pcsctl(&["accounts"]);
    assert!(stands.contains("online since "), "{stands}");
    say(&mut alice, "status", "You are");
    pcsd.await_rest();
}

#[test]
fn server_is_another() {
    let Some(place) = Place::new("server_is_another", &PROGRAMS) else { return };
    step!(place, "a server whose certificate is for another name is told nothing");
    let prosody = Prosody::start_as(&place, &["alice"], "other.example");
    let account = prosody.account("alice", prosody.address);
    let mut pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &account);
    pcsd.program.await_line(0, "account alice_xmpp: the server has not proven who it is");
    let stands = pcsd.pcsctl(&["accounts"]);
    assert!(stands.contains("has not proven who it is"), "{stands}");
    assert_eq!(prosody.program.output.count("mechanism="), 0);
    assert_eq!(pcsd.program.output.count("alice_xmpp is on"), 0);

    step!(place, "by its pin it may have any name");
    let pinned = prosody.pinned_account("alice");
    pcsd.reconfigure(&[Person::Md5("alice")], &pinned);
    pcsd.program.await_line(0, "account alice_xmpp is on");
}

#[test]
fn bitlbee_sees_her() {
    let Some(place) = Place::new("bitlbee_sees_her", &["prosody", "prosodyctl", "openssl", "baresip", "bitlbee"])
    else {
        return;
    };
    let prosody = Prosody::start(&place, &["alice", "carol"]);
    let account = prosody.account("alice", prosody.address);
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &account);
    let mut home = speaker(&place, &pcsd, "alice");
    pcsd.program.await_line(0, "account alice_xmpp is on");

    step!(place, "Carol has bitlbee, and asks to see Alice, who lets her and asks her back");
    let mut carol = Bitlbee::start(&place, &prosody, "carol");
    carol.irc.write("&bitlbee", &format!("add jabber {}", jid("alice")));
    home.await_trace(0, &format!("{} (xmpp) wants to be your buddy", jid("carol")));
    say(&mut home, &format!("allow {}", jid("carol")), "is your buddy now.");
    carol.irc.await_line(&["MODE &bitlbee +v alice"]);
    carol.irc.await_line(&[":root!", &jid("alice"), "wants to add you"]);
    carol.irc.write("root", "yes");

    step!(place, "each sees the other");
    let mut alice =
        Setup { contact: CAROL, watches: true, ..Setup::new("alice", pcsd.address()) }.start(&place, "phone");
    alice.await_registered();
    alice.await_contact("Online");

    step!(place, "Alice is away, and Carol sees why; and that she is back");
    say(&mut home, "away back at 6", "Others see you away: back at 6.");
    carol.irc.await_line(&["MODE &bitlbee -v alice"]);
    carol.irc.await_whois("alice", "back at 6");
    say(&mut home, "auto", "Others see what your devices say.");
    carol.irc.await_line(&["MODE &bitlbee +v alice"]);

    step!(place, "they talk, and each sees that the other types");
    alice.write("Hello from Alice");
    carol.irc.await_text("alice", "Hello from Alice");
    let heard = alice.program.output.len();
    carol.irc.write("alice", "\u{1}TYPING 1\u{1}");
    alice.await_trace(heard, "<state>active</state>");
    carol.irc.write("alice", "Hello from Carol");
    alice.await_trace(heard, "Hello from Carol");
    assert_eq!(sender_of(&alice, "Hello from Carol"), format!("sip:{CAROL}"));
    let mut typist = Client::new("alice", "test", &pcsd, LOCALHOST);
    sign(&mut typist, &format!("sip:{CAROL}"), "active");
    carol.irc.await_line(&[":alice!", "\u{1}TYPING 1\u{1}"]);

    step!(place, "Alice goes, and comes back to what Carol wrote meanwhile, which her server has kept");
    say(&mut home, "offline", "Others see you offline.");
    carol.irc.await_line(&[":alice!", "QUIT"]);
    carol.irc.write("alice", "Are you really gone?");
    say(&mut home, "auto", "Others see what your devices say.");
    carol.irc.await_line(&[":alice!", "JOIN"]);
    alice.await_trace(heard, "Are you really gone?");
    assert_eq!(received(&alice, "Are you really gone?"), 1);

    step!(place, "Carol goes");
    carol.irc.write("&bitlbee", "account jabber off");
    alice.await_contact("Offline");
    pcsd.await_rest();
}

#[test]
fn conversation_follows_him() {
    let Some(place) = Place::new("conversation_follows_him", &BOTH) else { return };
    let (prosody, ngircd) = (Prosody::start(&place, &["alice", "bob"]), Ngircd::start(&place));
    befriend(&prosody, "alice", "bob");
    let more = prosody.account("alice", prosody.address) + &ngircd.account("alice", "Alice") + BOB;
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &more);
    let mut home = speaker(&place, &pcsd, "alice");
    let setup = Setup { contact: "bob", watches: true, more: PUBLISHES, ..Setup::new("alice", pcsd.address()) };
    let mut alice = setup.start(&place, "phone");
    pcsd.program.await_line(0, "account alice_xmpp is on");
    pcsd.program.await_line(0, "account alice_irc is on");
    alice.await_contact("Offline");

    step!(place, "Bob comes by Jabber: each sees the other, with what they say of themselves");
    let mut bob = Jabber::online(&prosody, "bob");
    bob.await_element(&["<presence ", &format!("from='{}/", jid("alice"))]);
    alice.await_contact("Online");
    alice.await_trace(0, ">at my desk</");
    say(&mut home, "available in the garden", "Others see you");
    bob.await_element(&["<presence ", &format!("from='{}/", jid("alice")), "<status>in the garden</status>"]);
    say(&mut home, "busy cooking", "Others see you busy: cooking.");
    bob.await_element(&["<show>dnd</show>", "<status>cooking</status>"]);

    step!(place, "they talk");
    alice.write("Hello Bob");
    bob.await_text(&jid("alice"), "Hello Bob");
    bob.write(&jid("alice"), "Hello Alice &lt;3");
    alice.await_trace(0, "Hello Alice <3");
    assert_eq!(sender_of(&alice, "Hello Alice <3"), sip("bob"));

    step!(place, "he goes over to IRC, and the conversation goes with him");
    bob.quit();
    let mut bob = Irc::connect(ngircd.address, "bob");
    bob.write("Alice", "I am on IRC now");
    alice.await_trace(0, "I am on IRC now");
    assert_eq!(sender_of(&alice, "I am on IRC now"), sip("bob"));
    alice.write("I have followed you");
    bob.await_text("Alice", "I have followed you");
    alice.await_contact("Online");
    bob.await_whois("Alice", "cooking");

    step!(place, "and back again");
    let mut jabber = Jabber::online(&prosody, "bob");
    jabber.write(&jid("alice"), "Back at my desk");
    alice.await_trace(0, "Back at my desk");
    alice.write("There you are");
    jabber.await_text(&jid("alice"), "There you are");
    assert_eq!(bob.count("There you are"), 0, "it went one way only");
    for text in ["Hello Alice <3", "I am on IRC now", "Back at my desk"] {
        assert_eq!(received(&alice, text), 1, "{text}");
    }
    pcsd.await_rest();
}

#[test]
fn two_networks_at_once() {
    let Some(place) = Place::new("two_networks_at_once", &BOTH) else { return };
    let (prosody, ngircd) = (Prosody::start(&place, &["alice", "bob"]), Ngircd::start(&place));
    befriend(&prosody, "alice", "bob");
    let carol = "config buddy\n\toption person 'alice'\n\toption alias 'carol'\n\tlist address 'irc:carol'\n\n";
    let more = prosody.account("alice", prosody.address) + &ngircd.account("alice", "alice") + BOB + carol;
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &more);
    let [mut phone, mut tablet] = [("phone", "bob"), ("tablet", "carol")].map(|(name, contact)| {
        let device = Setup { contact, ..Setup::new("alice", pcsd.address()) }.start(&place, name);
        device.await_registered();
        device
    });
    pcsd.program.await_line(0, "account alice_xmpp is on");
    pcsd.program.await_line(0, "account alice_irc is on");
    let mut bob = Jabber::online(&prosody, "bob");
    let mut carol = Irc::connect(ngircd.address, "carol");

    step!(place, "Bob by Jabber and Carol by IRC write to Alice, who has both on her phones");
    for round in 0..ROUNDS {
        bob.write(&jid("alice"), &format!("from Bob {round}"));
        carol.write("alice", &format!("from Carol {round}"));
    }
    for device in [&phone, &tablet] {
        for round in 0..ROUNDS {
            for (who, text) in [("bob", format!("from Bob {round}")), ("carol", format!("from Carol {round}"))] {
                device.await_trace(0, &text);
                assert_eq!(sender_of(device, &text), sip(who));
                assert_eq!(received(device, &text), 1, "{text}");
            }
        }
    }
    step!(place, "she writes to each of them");
    for round in 0..ROUNDS {
        phone.write(&format!("to Bob {round}"));
        tablet.write(&format!("to Carol {round}"));
    }
    for round in 0..ROUNDS {
        bob.await_text(&jid("alice"), &format!("to Bob {round}"));
        carol.await_text("alice", &format!("to Carol {round}"));
    }
    assert_eq!((bob.heard.count("to Carol"), carol.count("to Bob")), (0, 0), "each was told his own");
    pcsd.await_rest();
}

#[test]
fn absent_on_a_network() {
    let Some(place) = Place::new("absent_on_a_network", &PROGRAMS) else { return };
    let prosody = Prosody::start(&place, &["alice", "bob"]);
    befriend(&prosody, "alice", "bob");
    let home = Home::start(&place, &[Person::Md5("alice")], &(prosody.account("alice", prosody.address) + BOB));
    let mut alice = Setup::new("alice", home.pcsd.address()).start(&place, "alice");
    alice.await_registered();
    let mut bob = Jabber::online(&prosody, "bob");
    let hers = format!("from='{}/", jid("alice"));
    bob.await_element(&["<presence ", &hers]);

    step!(place, "Alice's phone is gone: Bob sees that, writes twice, and is answered once");
    alice.quit();
    bob.await_element(&["<presence ", &hers, "<show>xa</show>"]);
    bob.write(&jid("alice"), "Is anybody there?");
    bob.await_element(&["<message ", &hers, AWAY]);
    bob.write(&jid("alice"), "I ask again");
    wait_until("both are kept", || home.pcsd.pcsctl(&["inbox", "alice"]).lines().nth(1).map(drop));

    step!(place, "she comes: one message says what there is");
    let alice = Setup::new("alice", home.pcsd.address()).start(&place, "again");
    alice.await_trace(0, "2 missed IMs from bob");
    bob.await_element(&["<presence ", &hers]);
    assert_eq!(bob.heard.count(AWAY), 1, "Bob was told once");
    home.pcsd.await_rest();
}

#[test]
fn cable_is_pulled() {
    let Some(place) = Place::new("cable_is_pulled", &PROGRAMS) else { return };
    let prosody = Prosody::start(&place, &["alice", "bob"]);
    befriend(&prosody, "alice", "bob");
    let cable = Cable::to(prosody.address);
    let home = Home::start(&place, &[Person::Md5("alice")], &(prosody.account("alice", cable.address) + BOB));
    let mut alice = Setup { contact: "bob", ..Setup::new("alice", home.pcsd.address()) }.start(&place, "alice");
    alice.await_registered();
    let mut bob = Jabber::online(&prosody, "bob");
    bob.await_element(&["<presence ", &format!("from='{}/", jid("alice"))]);
    bob.write(&jid("alice"), "Good morning");
    alice.await_trace(0, "Good morning");
    let (pcsd, came) = (&home.pcsd.program, bob.heard.len());
    let mut texts = Vec::new();
    for round in 0..2 {
        step!(place, "the cable is pulled while they talk");
        let from = pcsd.output.len();
        let (before, out) = (format!("before the cut {round}"), format!("in the cut {round}"));
        bob.write(&jid("alice"), &before);
        cable.pull();
        bob.write(&jid("alice"), &out);
        pcsd.await_line(from, "account alice_xmpp is down");
        let hers = format!("from Alice in the cut {round}");
        let sent = alice.program.output.len();
        alice.write(&hers);
        alice.await_trace(sent, "SIP/2.0 202 ");
        let tried = prosody.program.output.len();
        cable.plug();
        step!(place, "it is in again: the session goes on, and nothing is lost or there twice");
        pcsd.await_line(from, "account alice_xmpp is on");
        prosody.program.await_line(tried, "<resume ");
        alice.await_trace(0, &before);
        alice.await_trace(0, &out);
        bob.await_text(&jid("alice"), &hers);
        texts.extend([(before, out, hers)]);
    }
    bob.write(&jid("alice"), "the last one");
    alice.await_trace(0, "the last one");
    assert_eq!(cable.connections(), 3);
    let seen = bob.heard.since(came);
    assert!(!seen.iter().any(|line| line.contains("type='unavailable'")), "Bob has seen it: {seen:#?}");
    for (before, out, hers) in &texts {
        assert_eq!((received(&alice, before), received(&alice, out), bob.count(hers)), (1, 1, 1));
    }
    assert_eq!(prosody.program.output.count("<failed "), 0);
    home.pcsd.await_rest();
}

#[test]
fn both_ends_restart() {
    let Some(place) = Place::new("both_ends_restart", &PROGRAMS) else { return };
    let mut prosody = Prosody::start(&place, &["alice", "bob"]);
    befriend(&prosody, "alice", "bob");
    let mut home = Home::start(&place, &[Person::Md5("alice")], &(prosody.account("alice", prosody.address) + BOB));
    let mut alice = Setup { contact: "bob", ..Setup::new("alice", home.pcsd.address()) }.start(&place, "alice");
    alice.await_registered();
    home.pcsd.program.await_line(0, "account alice_xmpp is on");
    let mut bob = Jabber::online(&prosody, "bob");
    bob.await_element(&["<presence ", &format!("from='{}/", jid("alice"))]);
    bob.write(&jid("alice"), "before all that");
    alice.await_trace(0, "before all that");

    step!(place, "the server of Jabber is restarted, and what she writes meanwhile waits for it");
    drop(bob);
    let from = home.pcsd.program.output.len();
    prosody.program.signal(rustix::process::Signal::TERM);
    prosody.program.wait(Duration::from_secs(10));
    home.pcsd.program.await_line(from, "account alice_xmpp is down");
    let sent = alice.program.output.len();
    alice.write("while it was down");
    alice.await_trace(sent, "SIP/2.0 202 ");
    prosody.start_again();
    home.pcsd.program.await_line(from, "account alice_xmpp is on");
    let mut bob = Jabber::online(&prosody, "bob");
    bob.await_text(&jid("alice"), "while it was down");

    step!(place, "the home is restarted, in order and by a power cut: what Bob writes meanwhile is there once");
    for (round, is_killed) in [false, true].into_iter().enumerate() {
        bob.write(&jid("alice"), &format!("seen before restart {round}"));
        alice.await_trace(0, &format!("seen before restart {round}"));
        // What is settled in the very moment of the end may come again: rather twice than never.
        sleep(DURABLE);
        if is_killed {
            home.pcsd.program.kill();
        } else {
            home.pcsd.program.signal(rustix::process::Signal::TERM);
            home.pcsd.program.wait(Duration::from_secs(20));
        }
        for number in 0..ROUNDS {
            bob.write(&jid("alice"), &format!("in restart {round} text {number}"));
        }
        home.pcsd.start_again();
        for number in 0..ROUNDS {
            alice.await_trace(0, &format!("in restart {round} text {number}"));
        }
    }
    bob.write(&jid("alice"), "after all that");
    alice.await_trace(0, "after all that");
    for round in 0..2 {
        assert_eq!(
            received(&alice, &format!("seen before restart {round}")),
            1,
            "what was settled does not come again"
        );
        for number in 0..ROUNDS {
            let text = format!("in restart {round} text {number}");
            assert_eq!(received(&alice, &text), 1, "{text}");
        }
    }
    assert_eq!(bob.count("while it was down"), 1);
    home.pcsd.await_rest();
}

/// Has two users on each other's lists.
fn befriend(prosody: &Prosody, one: &str, other: &str) {
    let [mut first, mut second] = [one, other].map(|user| Jabber::online(prosody, user));
    for (asks, who, lets, whom) in [(0, other, 1, one), (1, one, 0, other)] {
        let both = [&mut first, &mut second];
        both[asks].say(&format!("<presence to='{}' type='subscribe'/>", jid(who)));
        both[lets].await_element(&["<presence ", "type='subscribe'", &jid(whom)]);
        both[lets].say(&format!("<presence to='{}' type='subscribed'/>", jid(whom)));
        both[asks].await_element(&["<presence ", "type='subscribed'", &jid(who)]);
    }
    first.quit();
    second.quit();
}

/// The messages that came to a phone with a text in them.
fn texts_with(phone: &Baresip, text: &str) -> Vec<Vec<String>> {
    let is_it = |lines: &Vec<String>| {
        let is_text = lines[0].starts_with("MESSAGE sip:") && lines.iter().any(|line| line.contains(text));
        is_text && lines.iter().any(|line| line.starts_with("To: <sip:alice@"))
    };
    phone.messages().into_iter().filter(is_it).collect()
}

/// How often a text came to Alice's phone.
pub fn received(phone: &Baresip, text: &str) -> usize {
    texts_with(phone, text).len()
}

/// Whom a text came from.
pub fn sender_of(phone: &Baresip, text: &str) -> String {
    wait_until(&format!("a message with '{text}'"), || {
        let message = texts_with(phone, text).pop()?;
        let from = message.iter().find(|line| line.starts_with("From:"))?;
        Some(from.split_once('<')?.1.split_once('>')?.0.to_string())
    })
}

/// Tells somebody on her list that Alice types, or has stopped.
fn sign(client: &mut Client, to: &str, state: &str) {
    let mut dialog = client.dialog(to);
    let body = format!(
        "<?xml version=\"1.0\"?><isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>{state}</state>\
         </isComposing>"
    );
    let fields = "Content-Type: application/im-iscomposing+xml\r\n";
    client.request("MESSAGE", &mut dialog, fields, body).assert_status(200);
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Carol, who is on no list but that of Jabber, as Alice's phones know her.
const CAROL: &str = "carol%40jabber.example@xmpp.home.example";
/// A Bob who has two networks.
const BOB: &str = "config buddy\n\toption person 'alice'\n\toption alias 'bob'\n\
                   \tlist address 'xmpp:bob@jabber.example'\n\tlist address 'irc:bob'\n\n";
const BOTH: [&str; 5] = ["prosody", "prosodyctl", "openssl", "baresip", "ngircd"];
const ROUNDS: usize = 5;
/// What was settled is on the disk by then.
const DURABLE: Duration = Duration::from_millis(1_500);
/// What is tried again at all is tried within so long.
const RETRIED: Duration = Duration::from_millis(3_500);
