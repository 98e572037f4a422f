//! Who sees whom: phones of the home watch each other, Linphone publishes and watches, somebody in another domain is let
//! in, and the server is killed meanwhile. What people say to the home is seen by others.

use crate::baresip::{Baresip, Setup};
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::dns::Dns;
use crate::harness::{Place, step, wait_until};
use crate::kamailio::{Kamailio, OTHER_DOMAIN};
use crate::linphone::Linphone;
use crate::outside::{PROGRAMS, home_zone, resolv_option};
use std::net::Ipv4Addr;

/// Publishes what it says, for the usual time.
pub const PUBLISHES: &str = ";pubint=600";

/// A phone that watches its contact.
pub fn watcher(place: &Place, pcsd: &Daemon, user: &str, contact: &str, more: &str) -> Baresip {
    let phone = Setup { contact, watches: true, more, ..Setup::new(user, pcsd.address()) }.start(place, user);
    phone.await_registered();
    phone
}

/// A phone that writes to the home.
pub fn speaker(place: &Place, pcsd: &Daemon, user: &str) -> Baresip {
    let phone = Setup { contact: "pcs", ..Setup::new(user, pcsd.address()) }.start(place, user);
    phone.await_registered();
    phone
}

/// Says something to the home, and waits for a line of the answer.
pub fn say(phone: &mut Baresip, text: &str, answer: &str) {
    let from = phone.program.output.len();
    phone.write(text);
    let said = phone.await_trace(from, "MESSAGE sip:pcs@");
    phone.await_trace(said, "SIP/2.0 200 OK");
    let heard = phone.await_trace(said, &format!("From: <sip:pcs@{DOMAIN}>"));
    phone.await_trace(heard, answer);
}

#[test]
fn phones_watch_each_other() {
    let Some(place) = Place::new("phones_watch_each_other", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    step!(place, "Alice's phone publishes nothing: it is there because it is registered");
    let mut alice = watcher(&place, &pcsd, "alice", "bob", "");
    alice.await_contact("Offline");
    step!(place, "Bob's phone publishes");
    let setup =
        Setup { contact: "alice", watches: true, more: PUBLISHES, answers: true, ..Setup::new("bob", pcsd.address()) };
    let mut bob = setup.start(&place, "bob");
    bob.await_contact("Online");
    alice.await_contact("Online");

    for _ in 0..2 {
        step!(place, "Bob goes offline and comes back, with his phone registered");
        bob.publish(false);
        alice.await_contact("Offline");
        pcsd.await_devices("bob", 1);
        bob.publish(true);
        alice.await_contact("Online");
    }

    step!(place, "in a call both are busy");
    alice.dial(&sip("bob"));
    alice.await_event("CALL_ESTABLISHED");
    alice.await_contact("Busy");
    bob.await_contact("Busy");
    assert!(bob.program.output.count("<rpid:on-the-phone/>") > 0);
    alice.hang_up();
    bob.await_event("CALL_CLOSED");
    alice.await_contact("Online");
    bob.await_contact("Online");

    step!(place, "Bob's phone signs off");
    bob.quit();
    pcsd.await_devices("bob", 0);
    alice.await_contact("Offline");
    assert_eq!(alice.program.output.count("Subscription-State: terminated"), 0);
    pcsd.await_rest();
}

#[test]
fn said_to_the_home() {
    let Some(place) = Place::new("said_to_the_home", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")]);
    let mut alice = speaker(&place, &pcsd, "alice");
    let mut bob = watcher(&place, &pcsd, "bob", "alice", PUBLISHES);
    bob.await_contact("Online");

    step!(place, "Alice is away, and Bob sees why");
    let from = bob.program.output.len();
    say(&mut alice, "away back at 6", "Others see you away: back at 6. Say auto to end that.");
    bob.await_away(from);
    bob.await_trace(from, ">back at 6</");

    step!(place, "she asks how she is, who is there, and what she can say");
    say(&mut alice, "status", "You are away: back at 6, by your own word");
    say(&mut alice, "status", "1 device is registered, 1 watches you.");
    say(&mut alice, "who", "bob: available");
    say(&mut alice, "who", "carol: offline");
    say(&mut alice, "help", "available, away, busy, offline - what others see");
    say(&mut alice, "How are you?", "I don't understand that. Write: help");

    step!(place, "she is not to be seen, and then what her phone says");
    say(&mut alice, "offline", "Others see you offline.");
    bob.await_contact("Offline");
    say(&mut alice, "auto", "Others see what your devices say.");
    bob.await_contact("Online");
    say(&mut alice, "in a meeting", "Others see you busy.");
    let from = bob.program.output.len();
    step!(place, "a call does not hide that");
    alice.dial(&sip("bob"));
    bob.await_event("CALL_INCOMING");
    bob.accept();
    bob.await_contact("Busy");
    bob.await_trace(from, "on-the-phone");
    bob.hang_up();
    alice.await_event("CALL_CLOSED");
    pcsd.await_rest();
    assert_eq!(pcsd.devices().iter().map(|device| device.missed).sum::<u32>(), 0);
}

#[test]
fn linphone_publishes_and_watches() {
    let Some(place) = Place::new("linphone_publishes_and_watches", &["linphonec", "baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Modern("carol"), Person::Md5("bob"), Person::Md5("alice")]);
    let mut bob = watcher(&place, &pcsd, "bob", "carol", PUBLISHES);
    bob.await_contact("Offline");
    step!(place, "Carol's Linphone publishes, and Bob sees her");
    let mut carol = Linphone::start_publishing(&place, "carol", pcsd.address());
    bob.await_contact("Online");
    let published = carol.program.await_line(0, "PUBLISH sip:carol@").0;
    carol.program.await_line(published, "SIP-ETag: ");

    step!(place, "she watches Bob, who is there, and Alice, who is not");
    let from = carol.program.output.len();
    carol.command(&format!("friend add Bob {}", sip("bob")));
    carol.command(&format!("friend add Alice {}", sip("alice")));
    let seen = carol.await_friend(from, "bob", "Online");
    carol.await_friend(from, "alice", "Offline");
    bob.publish(false);
    let seen = carol.await_friend(seen + 1, "bob", "Offline");
    bob.publish(true);
    let seen = carol.await_friend(seen + 1, "bob", "Online");
    let alice = Setup { answers: true, ..Setup::new("alice", pcsd.address()) }.start(&place, "alice");
    alice.await_registered();
    carol.await_friend(seen, "alice", "Online");

    step!(place, "Bob is on the phone with Alice");
    let seen = carol.program.output.len();
    bob.dial(&sip("alice"));
    let seen = carol.await_friend(seen, "bob", "On the phone");
    bob.hang_up();
    carol.await_friend(seen + 1, "bob", "Online");

    step!(place, "Linphone ends, and takes its presence along");
    carol.command("quit");
    bob.await_contact("Offline");
    pcsd.await_devices("carol", 0);
    pcsd.await_rest();
}

#[test]
fn presence_across_domains() {
    let Some(place) = Place::new("presence_across_domains", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let people = [Person::Md5("alice"), Person::Md5("bob")];
    let pcsd = Daemon::start_with(&place, &people, false, &resolv_option(&dns));
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[], None);
    dns.serve(&home_zone("udp", pcsd.port).domain(OTHER_DOMAIN, "udp", kamailio.address().port()));
    step!(place, "Alice's phone is at {DEVICE}, and watches the home");
    let alice = Setup {
        contact: "pcs",
        ip: DEVICE.into(),
        more: PUBLISHES,
        watches: true,
        ..Setup::new("alice", pcsd.address())
    };
    let mut alice = alice.start(&place, "alice");
    alice.await_registered();
    let device = pcsd.await_devices("alice", 1).remove(0);
    assert!(device.contact.contains(&DEVICE.to_string()), "{device:?}");

    step!(place, "Carl in another domain asks to see her, and waits");
    let carl =
        Setup { domain: OTHER_DOMAIN, contact: "alice", watches: true, ..Setup::new("carl", kamailio.address()) };
    let mut carl = carl.start(&place, "carl");
    let asked = alice.await_trace(0, &format!("carl@{OTHER_DOMAIN} wants to see when you are there"));
    carl.await_trace(0, "Subscription-State: pending");
    carl.await_contact("Offline");
    kamailio.program.await_line(0, ">> NOTIFY carl");
    assert!(carl.program.output.count("Subscription-State: active") == 0 && asked > 0);

    step!(place, "she lets him");
    say(&mut alice, &format!("allow carl@{OTHER_DOMAIN}"), "may see you.");
    carl.await_trace(0, "Subscription-State: active");
    carl.await_contact("Online");
    step!(place, "he sees what becomes of her");
    let from = carl.program.output.len();
    say(&mut alice, "away back at 6", "Others see you away: back at 6.");
    carl.await_away(from);
    carl.await_trace(from, ">back at 6</");
    say(&mut alice, "auto", "Others see what your devices say.");
    carl.await_contact("Online");
    alice.publish(false);
    carl.await_contact("Offline");
    alice.publish(true);
    carl.await_contact("Online");

    step!(place, "they talk");
    alice.dial(&format!("sip:carl@{OTHER_DOMAIN}"));
    carl.await_event("CALL_INCOMING");
    carl.accept();
    carl.await_contact("Busy");
    alice.hang_up();
    carl.await_event("CALL_CLOSED");
    carl.await_contact("Online");

    step!(place, "she does not let him any more: that looks as if she were gone");
    say(&mut alice, &format!("deny carl@{OTHER_DOMAIN}"), "sees you offline.");
    carl.await_contact("Offline");
    let from = carl.program.output.len();
    say(&mut alice, "busy", "Others see you busy.");
    say(&mut alice, &format!("allow carl@{OTHER_DOMAIN}"), "may see you.");
    carl.await_contact("Busy");
    let told = carl.program.output.since(from);
    assert_eq!(told.iter().filter(|line| line.contains("NOTIFY sip:")).count(), 1, "he was told what he may not see");

    step!(place, "her phone signs off");
    say(&mut alice, "auto", "Others see what your devices say.");
    carl.await_contact("Online");
    alice.quit();
    carl.await_contact("Offline");
    let seen = carl.messages();
    let came = |begin: &str| seen.iter().filter(|lines| lines[0].starts_with(begin)).count();
    let (told, called) = (came("NOTIFY sip:"), came("INVITE sip:"));
    assert!(told >= 10 && called == 1, "told {told} times and called {called} times");
    // Media goes from phone to phone.
    let is_of_media = |line: &str| line.starts_with("c=IN ") || line.starts_with("o=");
    let lines = seen.iter().flatten().filter(|line| !is_of_media(line));
    let showing = lines.filter(|line| line.contains(&DEVICE.to_string())).collect::<Vec<_>>();
    assert!(showing.is_empty(), "a device's address has left the home: {showing:#?}");
    pcsd.await_rest();
}

#[test]
fn watches_outlive_a_restart() {
    let Some(place) = Place::new("watches_outlive_a_restart", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let people = [Person::Md5("alice"), Person::Md5("bob")];
    let mut pcsd = Daemon::start_with(&place, &people, false, &resolv_option(&dns));
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[], None);
    dns.serve(&home_zone("udp", pcsd.port).domain(OTHER_DOMAIN, "udp", kamailio.address().port()));
    let mut alice = speaker(&place, &pcsd, "alice");
    let mut bob = watcher(&place, &pcsd, "bob", "alice", "");
    let carl =
        Setup { domain: OTHER_DOMAIN, contact: "alice", watches: true, ..Setup::new("carl", kamailio.address()) };
    let mut carl = carl.start(&place, "carl");
    alice.await_trace(0, "wants to see when you are there");
    bob.await_contact("Online");
    carl.await_contact("Offline");
    for (round, (word, seen)) in [("busy till 6", "Busy"), ("offline", "Offline")].into_iter().enumerate() {
        if round == 0 {
            step!(place, "Alice lets Carl see her");
            say(&mut alice, &format!("allow carl@{OTHER_DOMAIN}"), "may see you.");
        }
        say(&mut alice, word, "Others see you");
        bob.await_contact(seen);
        carl.await_contact(seen);

        step!(place, "the server is killed, and knows after that who watches, who may, and what she said: {word}");
        let before = [&bob, &carl].map(|phone| phone.program.output.len());
        pcsd.program.kill();
        pcsd.start_again();
        pcsd.await_devices("alice", 1);
        say(&mut alice, "status", ", by your own word");
        say(&mut alice, "auto", "Others see what your devices say.");
        bob.await_contact("Online");
        carl.await_contact("Online");
        for (phone, from) in [&bob, &carl].into_iter().zip(before) {
            let since = phone.program.output.since(from);
            let asked = since.iter().filter(|line| line.starts_with("SUBSCRIBE sip:")).count();
            let told = since.iter().filter(|line| line.starts_with("NOTIFY sip:")).count();
            assert!(asked == 0 && told > 0, "asked again {asked} times, told {told} times");
        }
    }
    step!(place, "what was denied stays denied");
    say(&mut alice, &format!("deny carl@{OTHER_DOMAIN}"), "sees you offline.");
    carl.await_contact("Offline");
    pcsd.program.kill();
    pcsd.start_again();
    let from = carl.program.output.len();
    say(&mut alice, "busy", "Others see you busy.");
    bob.await_contact("Busy");
    let told = carl.program.output.since(from);
    assert!(!told.iter().any(|line| line.contains("<basic>open")), "he sees her");
    carl.await_contact("Offline");
    wait_until("nothing is left to do", || (pcsd.status().forking == 0).then_some(()));
}

/// Where a device is that nobody outside may know of.
const DEVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
