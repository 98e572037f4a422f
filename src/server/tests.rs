//! A link of an account by hand instead of by a connector: for unit tests of other floors, and tested here.

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use super::Server;
use super::contract::{Credits, Input, Output, Reason, Seed};
use crate::base::limits::STREAMS;
use crate::base::net::{NOWHERE, PeerIdentity, PortSet, Stream, Transport};
use crate::base::time::Instant;
use crate::config::model::{Account, LineWay, Model, Network, Password, Security};
use crate::sip::stack::Task;
use core::net::SocketAddr;

/// An account that says nothing but its name.
pub fn account(id: &str) -> Account {
    Account {
        id: id.try_into().unwrap(),
        person: 0,
        network: Network::Xmpp,
        address: "alice@chat.example".try_into().unwrap(),
        login: Default::default(),
        password: Password::default(),
        host: Default::default(),
        port: None,
        way: LineWay::Local,
        path: Default::default(),
        security: Security::Usual,
        pins: Default::default(),
        ca: Default::default(),
    }
}

/// A server with one person, whose account 0 is `account`.
pub fn server(now: Instant, account: Account) -> Box<Server> {
    let mut server = Box::new(Server::new());
    server.seed(now, &Seed { key: [1; 16], lasting: [2; 16], boot: 1 });
    server.handle(now, Input::Configuration(&model_of(account)));
    server
}

/// The configuration of such a server.
pub fn model_of(account: Account) -> Box<Model> {
    let mut model = Box::new(Model::new());
    let text =
        b"config pcsd 'main'\n\toption domain 'home.example'\nconfig person 'alice'\n\toption password 'wonder'\n";
    let mut faults = String::new();
    model.read(text, &mut |fault| faults.push_str(&std::format!("{fault}\n")));
    assert_eq!(faults, "");
    model.accounts.push(account).unwrap();
    model
}

impl Server {
    /// Begins link 0 of account 0.
    pub fn begin_link(&mut self, now: Instant, to: Option<(SocketAddr, Transport)>, domain: &str) -> Stream {
        let stack = &mut self.core.stack;
        match to {
            Some((to, transport)) => stack.connect_account(now, to, transport, domain, 0, 0).unwrap(),
            None => stack.connect_local(now, 0, 0).unwrap(),
        }
    }

    /// Sends on a link.
    pub fn say(&mut self, now: Instant, stream: Stream, bytes: &[u8]) {
        self.core.stack.queue(now, stream, bytes);
    }

    /// Takes so much of what a link has received; the rest waits.
    pub fn take(&mut self, stream: Stream, len: usize) -> Vec<u8> {
        let waiting = self.inbound.waiting(stream);
        let taken = waiting[..len.min(waiting.len())].to_vec();
        self.inbound.consume(stream, taken.len());
        taken
    }

    /// Has TLS begin on a link.
    pub fn begin_tls(&mut self, now: Instant, stream: Stream) -> bool {
        self.core.stack.start_tls(now, stream)
    }

    /// What a link speaks, and whether it is up; `None` when it is gone.
    pub fn link_state(&self, stream: Stream) -> Option<(Transport, bool)> {
        self.core.stack.network.stream(stream).map(|state| (state.transport, state.is_open()))
    }

    /// When a link is closed if nothing happens on it.
    pub fn link_deadline(&self, stream: Stream) -> Option<Instant> {
        self.core.stack.network.stream_deadline(usize::from(stream.index))
    }

    /// Has the loop look at a link.
    pub fn wake_link(&mut self, stream: Stream) {
        self.core.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
    }
}

const DOMAIN: &str = "chat.example";

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn place() -> SocketAddr {
    "203.0.113.5:5222".parse().unwrap()
}

/// All outputs; what there is to flush is sent, unless it stalls.
fn poll(server: &mut Server, now: Instant, stalls: bool) -> Vec<Output> {
    let (mut all, mut buffer) = (Vec::new(), std::vec![0; 65_536]);
    while let Some(output) = server.poll(now, Credits { ports: PortSet::ALL, storage: false }, &mut buffer) {
        all.push(output);
        if let Output::Flush(stream) = output
            && !stalls
        {
            let len = server.transmit_window(stream).len();
            server.transmitted(now, stream, len);
        }
    }
    all
}

/// A link that is up, over TCP.
fn up(server: &mut Server) -> Stream {
    let stream = server.begin_link(at(0), Some((place(), Transport::Tcp)), DOMAIN);
    assert_eq!(poll(server, at(0), false), [Output::Connect { stream, to: place(), transport: Transport::Tcp }]);
    server.handle(at(5), Input::Connected { stream, local: "192.0.2.1:40000".parse().unwrap() });
    assert_eq!(poll(server, at(5), false), []);
    stream
}

fn receive(server: &mut Server, now: Instant, stream: Stream, bytes: &[u8]) {
    server.receive_window(stream)[..bytes.len()].copy_from_slice(bytes);
    server.handle(now, Input::Received(stream, bytes.len()));
}

#[test]
fn tls_begins_after_all_is_sent() {
    let mut pinned = account("a");
    pinned.pins.push([7; 32]).unwrap();
    pinned.ca = "/etc/chat.pem".try_into().unwrap();
    let mut server = server(at(0), pinned);
    let stream = up(&mut server);
    receive(&mut server, at(6), stream, b"<proceed/>");
    assert_eq!(poll(&mut server, at(6), false), []);
    assert_eq!(server.take(stream, 10), b"<proceed/>");
    server.say(at(6), stream, b"last words");
    assert!(server.begin_tls(at(6), stream) && !server.begin_tls(at(6), stream));
    assert_eq!(server.receive_window(stream).len(), 0);
    // The socket takes a part of it.
    assert_eq!(poll(&mut server, at(6), true), [Output::Flush(stream)]);
    server.transmitted(at(7), stream, 4);
    assert_eq!(poll(&mut server, at(7), true), []);
    assert_eq!(server.transmit_window(stream), b" words");
    server.transmitted(at(8), stream, 6);
    assert_eq!(poll(&mut server, at(8), true), [Output::StartTls(stream)]);
    assert_eq!(server.receive_window(stream).len(), 0);
    let expected = server.expected(stream).unwrap();
    assert_eq!((expected.domain, expected.pins, expected.ca), (DOMAIN, &[[7; 32]][..], "/etc/chat.pem"));
    assert!(expected.is_account);
    server.handle(at(90), Input::Secured { stream, identity: &PeerIdentity::default() });
    assert_eq!(server.link_state(stream), Some((Transport::Tls, true)));
    assert!(!server.receive_window(stream).is_empty());
    // A second time is none.
    assert!(!server.begin_tls(at(90), stream));
    server.say(at(91), stream, b"hello");
    assert_eq!(poll(&mut server, at(91), false), [Output::Flush(stream)]);
    // Nobody closes it because nothing is said.
    assert_eq!(server.link_deadline(stream), None);
    server.handle(at(99), Input::Closed(stream, Reason::PeerClosed));
    assert!(poll(&mut server, at(99), false).is_empty() && server.is_at_rest());
}

#[test]
fn what_was_put_before_tls_ends_the_connection() {
    let mut server = server(at(0), account("a"));
    let stream = up(&mut server);
    receive(&mut server, at(6), stream, b"<proceed/><message/>");
    assert_eq!(server.take(stream, 10), b"<proceed/>");
    assert!(server.begin_tls(at(6), stream));
    assert_eq!(poll(&mut server, at(6), false), [Output::Close(stream)]);
    server.handle(at(7), Input::Closed(stream, Reason::Asked));
    assert!(poll(&mut server, at(7), false).is_empty() && server.is_at_rest());
}

#[test]
fn handshakes_and_connections_take_ten_seconds_at_most() {
    let mut server = server(at(0), account("a"));
    let stream = server.begin_link(at(0), Some((place(), Transport::Tls)), DOMAIN);
    assert_eq!(poll(&mut server, at(9_999), false).len(), 1);
    assert_eq!(poll(&mut server, at(10_000), false), [Output::Close(stream)]);
    server.handle(at(10_000), Input::Closed(stream, Reason::Asked));
    let stream = up(&mut server);
    assert!(server.begin_tls(at(20_000), stream));
    assert_eq!(poll(&mut server, at(29_999), false), [Output::StartTls(stream)]);
    assert_eq!(poll(&mut server, at(30_000), false), [Output::Close(stream)]);
}

#[test]
fn local_sockets() {
    let path = "/tmp/line.sock";
    let mut server = server(at(0), Account { path: path.try_into().unwrap(), ..account("a") });
    let stream = server.begin_link(at(0), None, "");
    assert_eq!(poll(&mut server, at(0), false), [Output::ConnectLocal { stream }]);
    assert_eq!(server.local_path(stream), Some(path));
    server.handle(at(1), Input::Connected { stream, local: NOWHERE });
    assert!(!server.begin_tls(at(1), stream));
    server.handle(at(1), Input::Addresses(&[]));
    assert_eq!(server.link_state(stream), Some((Transport::Tcp, true)));
}

#[test]
fn accounts_that_change_lose_their_links_and_others_only_their_numbers() {
    let mut server = server(at(0), account("a"));
    let stream = up(&mut server);
    let mut model = model_of(Account { ca: "/etc/other.pem".try_into().unwrap(), ..account("b") });
    model.accounts.push(account("a")).unwrap();
    server.handle(at(6), Input::Configuration(&model));
    assert_eq!(server.expected(stream).unwrap().ca, "");
    assert_eq!(poll(&mut server, at(6), false), []);
    let mut other = account("a");
    other.pins.push([1; 32]).unwrap();
    server.handle(at(7), Input::Configuration(&model_of(other)));
    assert!(server.expected(stream).is_none());
    assert_eq!(poll(&mut server, at(7), false), [Output::Close(stream)]);
}

#[test]
fn an_account_gives_no_room_and_takes_none_from_its_neighbour() {
    let mut server = server(at(0), account("a"));
    for _ in 0..STREAMS {
        server.begin_link(at(0), Some((place(), Transport::Tcp)), DOMAIN);
    }
    assert_eq!(server.vacant_stream(), None);
    let outputs = poll(&mut server, at(0), false);
    assert!(outputs.len() == STREAMS && outputs.iter().all(|it| matches!(it, Output::Connect { .. })));
}
