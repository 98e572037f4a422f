//! Entry for fuzzing: bytes as another end would send them, before and after it has greeted, on a stream, in the body of an
//! answer and as an answer.

use heapless::String;

use super::Line;
use crate::base::random::Random;
use crate::base::text::{Name, Writer};
use crate::base::time::{Instant, UnixTime};
use crate::bridge::{Command, Env, Event, Link, OUT_BYTES, SCRATCH_BYTES, Show, Step};
use crate::config::model::{Account, LineWay, Network, Password, Path, Security, SocketPath};

/// Feeds `bytes` in several phases. Whatever they are, the connector ends, and reads on in a full window.
pub fn fuzz(bytes: &[u8]) {
    const HELLO: &[u8] = b"{\"type\":\"hello\",\"keeps\":true,\"list\":true,\"acks\":true,\"pings\":true}\n";
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = Link(0);
    run(LineWay::Tcp, &[(stream, bytes)], 2048);
    run(LineWay::Tcp, &[(stream, HELLO), (stream, bytes)], 64);
    run(LineWay::Http, &[(stream, bytes)], 8192);
    run(LineWay::Http, &[(stream, HEAD), (stream, bytes)], 2048);
    run(LineWay::Http, &[(stream, HEAD), (Link(1), bytes), (stream, bytes)], 2048);
}

fn run(way: LineWay, phases: &[(Link, &[u8])], window_bytes: usize) {
    let (account, mut random, mut line) = (account(way), Random::new(), Line::new());
    let (mut out, mut scratch) = ([0; OUT_BYTES], [0; SCRATCH_BYTES]);
    let mut now = Instant::from_millis(1);
    let mut with = |now, work: &mut dyn FnMut(&mut Env<'_, '_>)| {
        let mut out = Writer::new(&mut out);
        let time = Some(UnixTime(1_800_000_000));
        work(&mut Env { now, time, random: &mut random, account: &account, out: &mut out });
        assert!(out.finish().is_ok(), "more is said than there is room for");
    };
    with(now, &mut |env| line.begin(env));
    with(now, &mut |env| line.connected(env, Link(0), false));
    for (link, bytes) in phases {
        if link.0 == 1 {
            with(now, &mut |env| line.connected(env, Link(1), false));
        }
        let (mut start, mut calls, mut is_over) = (0, 0, false);
        while start < bytes.len() && !is_over {
            let window = &bytes[start..bytes.len().min(start + window_bytes)];
            let is_full = window.len() == window_bytes;
            let (mut taken, mut goes_on, mut came_online, mut token) = (0, false, false, 0);
            with(now, &mut |env| {
                let (read, step) = line.received(env, *link, (window, is_full), &mut scratch);
                taken = read;
                goes_on = !matches!(step, Step::Nothing);
                came_online = matches!(step, Step::Event(Event::Online { .. }));
                is_over |= matches!(step, Step::End(_));
                if let Step::Event(Event::Message(message)) = step {
                    token = message.token;
                }
            });
            with(now, &mut |env| _ = line.command(env, &Command::Settled { token, is_taken: true }));
            (start, calls) = (start + taken, calls + 1);
            assert!(calls <= 2 * bytes.len() + 8, "it does not get on");
            if taken == 0 && !came_online && !is_over {
                // Over HTTP nothing may be settled now.
                let waits = way == LineWay::Http && line.is_waiting();
                assert!(!is_full || goes_on || waits, "a full window is not read");
                break;
            }
        }
        if is_over {
            return;
        }
        now = now.plus(2_000);
        with(now, &mut |env| {
            for command in COMMANDS {
                let _ = line.command(env, command);
            }
        });
        for _ in 0..16 {
            let mut is_over = false;
            with(now, &mut |env| is_over = matches!(line.due(env, &mut scratch), Step::Nothing | Step::End(_)));
            if is_over {
                break;
            }
        }
    }
}

const COMMANDS: &[Command<'_>] = &[
    Command::Presence { show: Show::Away, text: "back at 6" },
    Command::Send { to: "door", text: "hello", id: 1, is_automatic: false },
    Command::Settled { token: 1, is_taken: true },
];

/// An account to try it with.
pub(super) fn account(way: LineWay) -> Account {
    Account {
        id: Name::try_from("bell").unwrap_or_default(),
        person: 0,
        network: Network::Line,
        address: String::new(),
        login: Name::new(),
        password: Password(String::try_from("s3cret").unwrap_or_default()),
        host: Name::try_from("box.home.example").unwrap_or_default(),
        port: core::num::NonZeroU16::new(7000),
        way,
        path: SocketPath::try_from("/api/").unwrap_or_default(),
        security: Security::Usual,
        pins: heapless::Vec::new(),
        ca: Path::new(),
    }
}
