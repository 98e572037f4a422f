//! Alice watches her buddies, one of whom is on SIP and XMPP, and her list: what her phone is told.

use std::boxed::Box;
use std::string::{String as Owned, ToString};
use std::vec::Vec;

use super::*;
use crate::base::limits::LIST_ENTRIES;
use crate::base::net::{Flow, Listen, LocalAddress, Port, PortSet, Transport};
use crate::base::random::Random;
use crate::bridge::{self, Show};
use crate::home::people::contacts::Seen;
use crate::home::people::testing;
use crate::home::policy::{Asker, Assurance};
use crate::home::presence::watch::{Package, WatchHandle};
use crate::home::presence::{Request, Wanted};
use crate::home::registrar::Registrar;
use crate::sip::stack::{Produced, Sending, Task};
use crate::wire::pidf::{Basic, Format};
use crate::wire::sip::Message;

const PHONE: &str = "192.0.2.9:5060";
const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt\r\n\
    From: <sip:x@home.example>;tag=a\r\nTo: <sip:alice@home.example>;tag=b\r\nCall-ID: c\r\nCSeq: 1 NOTIFY\r\n\
    Content-Length: 0\r\n\r\n";

struct House {
    stack: Box<Stack>,
    registrar: Box<Registrar>,
    people: Box<People>,
    presence: Box<Presence>,
    now: Instant,
}

impl House {
    fn new() -> Self {
        let mut stack = Box::new(Stack::new());
        let address: core::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let listen = heapless::Vec::from_iter([Listen { transport: Transport::Udp, address }]);
        stack.network.configure(&listen, &heapless::Vec::new());
        stack.network.set_addresses(&[LocalAddress { ip: address.ip(), prefix: 24, default_route: true }], |_| {});
        stack.network.plan(|_| {});
        assert!(stack.network.port_step(Port(0)).is_some());
        stack.network.opened(Instant::ZERO, Port(0), Ok::<_, ()>(address));
        let registrar = Box::new(Registrar::new());
        let mut house = Self {
            stack,
            registrar,
            people: testing::people(),
            presence: Box::new(Presence::new()),
            now: Instant::ZERO,
        };
        house.with(|presence, now, around| presence.renumber(now, around, Some, Some));
        house
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Presence, Instant, &mut Around<'_>) -> T) -> T {
        let Self { stack, registrar, people, presence, now } = self;
        act(presence, *now, &mut Around { stack, registrar, people })
    }

    /// Her phone subscribes.
    fn subscribe(&mut self, wanted: Wanted, user: &str) -> WatchHandle {
        let text = std::format!(
            "SUBSCRIBE sip:{user}@home.example SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bK{user}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@home.example>;tag=t\r\nTo: <sip:{user}@home.example>\r\n\
             Call-ID: {user}\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:alice@{PHONE}>\r\nContent-Length: 0\r\n\r\n"
        );
        let remote = PHONE.parse().unwrap();
        let message = Message::parse(text.as_bytes()).unwrap();
        let request = Request {
            message: &message,
            flow: Flow::Datagram { port: Port(0), remote },
            from: remote,
            asker: Asker { assurance: Assurance::Digest, person: Some(0), address: b"alice@home.example" },
            package: Package::Presence,
            wanted,
            format: Format::Pidf,
            expires_s: 3600,
            event_id: heapless::String::new(),
        };
        match self.with(|presence, now, around| presence.subscribe(now, around, request)) {
            Ok((handle, _)) => handle,
            Err(refused) => panic!("{}", refused.fault.reason),
        }
    }

    /// What a watcher is told from now on; each NOTIFY is answered.
    fn told(&mut self, watch: WatchHandle) -> Vec<Owned> {
        let mut told = Vec::new();
        loop {
            self.now = self.now.plus(5_000);
            self.with(|presence, now, around| presence.produce(now, around, None, watch.index()));
            let Some(client) = self.presence.watches.get(watch).and_then(|watch| watch.in_flight) else { return told };
            let mut buffer = [0; 16_384];
            let task = Task::Client(client.index());
            let Produced::Output(Sending::Datagram(_, _, len)) =
                self.stack.produce(self.now, task, PortSet::ALL, &mut buffer)
            else {
                panic!("a NOTIFY goes out");
            };
            told.push(str::from_utf8(&buffer[..len]).unwrap().to_string());
            let answer = Message::parse(ANSWER).unwrap();
            self.with(|presence, now, around| presence.answered(now, around.stack, watch, client, Some(&answer)));
            assert!(told.len() < 20, "{told:?}");
        }
    }

    /// The account's list; `(who, name)`.
    fn list(&mut self, contacts: &[(&str, &str)]) {
        let people = &mut *self.people;
        people.contacts.begin_list(0);
        for (who, name) in contacts {
            let told = bridge::Contact { who, name, is_watched: true, is_asked: false };
            people.contacts.upsert(self.now, &people.model, 0, &told).unwrap();
        }
        people.contacts.end_list(0);
        self.spread();
    }

    fn see(&mut self, who: &str, show: Show, text: &str) {
        let people = &mut *self.people;
        let seen = Seen { place: 1, show, priority: 0, text };
        people.contacts.presence(self.now, &people.model, 0, who, &seen);
        self.spread();
    }

    /// Time passes.
    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.people.contacts.due(self.now);
        self.spread();
    }

    fn spread(&mut self) {
        while let Some(news) = self.people.contacts.next_news() {
            self.with(|presence, now, around| presence.contacts_changed(now, around, news));
        }
    }

    fn on_sip(&mut self, basic: Basic, note: &str) {
        let uri = "sip:smith@smith.example";
        let handle = self.presence.watched.iter().find(|(_, it)| it.uri == uri).map(|(handle, _)| handle);
        let handle = handle.expect("his address on SIP is watched");
        let status = Status { basic: Some(basic), note: note.try_into().unwrap(), ..Status::new() };
        self.presence.watched.get_mut(handle).unwrap().status = Some(status);
        self.with(|presence, now, around| presence.watched_changed(now, around, handle));
    }
}

#[test]
fn one_buddy_on_two_networks() {
    let mut house = House::new();
    let watch = house.subscribe(Wanted::Buddy(0), "smith");
    let told = house.told(watch);
    assert!(told.len() == 1 && told[0].contains("<basic>closed</basic>"), "{told:?}");
    house.list(&[("smith@x.example", "Smith"), ("carol@x.example", "Carol")]);
    house.see("smith@x.example", Show::Busy, "in a meeting");
    let told = house.told(watch);
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        "<rpid:busy/>",
        "<note>in a meeting</note>",
        "<contact>sip:smith@home.example</contact>",
        "<contact>xmpp:smith@x.example</contact>",
    ] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    house.see("carol@x.example", Show::Available, "");
    assert!(house.told(watch).is_empty(), "it is about somebody else");
    // He comes by SIP as well: that counts, and both are named.
    house.on_sip(Basic::Open, "free");
    let told = house.told(watch);
    assert!(told[0].contains("<note>free</note>") && told[0].contains("<tuple id=\"sip00000000-1\">"), "{told:?}");
    // He logs in again on XMPP: nobody sees that.
    house.see("smith@x.example", Show::Offline, "");
    house.wait(500);
    house.see("smith@x.example", Show::Busy, "in a meeting");
    house.wait(5_000);
    assert!(house.told(watch).is_empty());
    // And leaves.
    house.on_sip(Basic::Closed, "");
    house.told(watch);
    house.see("smith@x.example", Show::Offline, "");
    house.wait(1_000);
    let told = house.told(watch);
    assert!(told.len() == 1 && told[0].contains("<basic>closed</basic>") && !told[0].contains("xmpp:"), "{told:?}");
}

#[test]
fn a_contact_is_a_buddy_until_it_is_gone() {
    let mut house = House::new();
    house.list(&[("carol@x.example", "Carol")]);
    let carol = house.people.buddy(0, b"carol").unwrap();
    let watch = house.subscribe(Wanted::Buddy(carol), "carol");
    assert!(house.told(watch)[0].contains("<basic>closed</basic>"));
    assert!(house.presence.watched.is_empty(), "she has no address on SIP");
    house.see("carol@x.example", Show::Away, "tea");
    assert!(house.told(watch)[0].contains("<rpid:away/>"));
    // A new configuration moves nobody.
    let model = testing::model();
    house.people.configure(&model, &Random::new());
    house.with(|presence, now, around| presence.renumber(now, around, Some, Some));
    house.spread();
    assert!(house.told(watch).is_empty());
    house.list(&[]);
    let told = house.told(watch);
    assert!(told.len() == 1 && told[0].contains("terminated;reason=noresource"), "{told:?}");
    assert!(house.presence.watches.get(watch).is_none());
}

#[test]
fn her_list_has_contacts_too() {
    let mut house = House::new();
    house.list(&[("carol@x.example", "Carol C"), ("smith@x.example", "")]);
    let watch = house.subscribe(Wanted::Named, "alice-buddies");
    house.see("carol@x.example", Show::Available, "hello");
    let told = house.told(watch);
    let all: Owned = told.concat();
    for part in ["sip:bob@", "sip:smith@", "sip:aunt@", "sip:carol%40x.example@xmpp.home.example", ">Carol C<"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    assert!(all.contains("<note>hello</note>") && all.contains("<contact>xmpp:carol@x.example</contact>"), "{all}");
    if LIST_ENTRIES < 8 {
        std::println!("skipped: a list of this build has no room for one more");
        return;
    }
    // One more comes, and one changes.
    house.list(&[("carol@x.example", "Carol C"), ("smith@x.example", ""), ("dave@x.example", "Dave")]);
    let told = house.told(watch);
    assert!(
        told[0].contains("fullState=\"true\"") && told[0].contains("sip:dave%40x.example@xmpp.home.example"),
        "{told:?}"
    );
    house.see("dave@x.example", Show::Busy, "no");
    let told = house.told(watch);
    assert!(told.len() == 1 && told[0].contains("<note>no</note>") && !told[0].contains("hello"), "{told:?}");
    // Those of Smith's two addresses make one entry.
    house.on_sip(Basic::Open, "");
    house.see("smith@x.example", Show::Available, "both");
    let told = house.told(watch).concat();
    assert!(told.contains("<note>both</note>") && told.matches("resource uri").count() == 1, "{told}");
    let at_rest = house.presence.watched.len();
    house.with(|presence, now, around| presence.drop_watch(now, around.stack, watch));
    assert!(at_rest == 1 && house.presence.kept_blocks() <= 1);
}
