//! Arbitrary bytes as those of a server, in several phases, in ways that take a number of steps bounded by the bytes.

use super::*;
use crate::base::random::Random;
use crate::base::text::Name;
use crate::bridge::SCRATCH_BYTES;
use crate::config::model::{LineWay, Network, Password};
use heapless::Vec;

/// Reads `bytes` in each phase, whole and byte by byte.
pub(super) fn run(bytes: &[u8]) {
    for (phase, opening) in OPENINGS.iter().enumerate() {
        for step_bytes in [usize::MAX, 1] {
            let mut random = Random::new();
            let account = account();
            let mut irc = Irc::new();
            let mut now = Instant::from_millis(1000);
            let mut room = [0; super::super::OUT_BYTES];
            let mut env =
                Env { now, time: None, random: &mut random, account: &account, out: &mut Writer::new(&mut room) };
            irc.begin(&mut env);
            irc.connected(&mut env, Link(0), phase % 2 == 0);
            if !feed(&mut irc, now, &account, opening, usize::MAX) {
                continue;
            }
            for command in COMMANDS {
                let mut env =
                    Env { now, time: None, random: &mut random, account: &account, out: &mut Writer::new(&mut room) };
                _ = irc.command(&mut env, &command);
            }
            if !feed(&mut irc, now, &account, bytes, step_bytes) {
                continue;
            }
            now = now.plus(61_000);
            let mut scratch = [0; SCRATCH_BYTES];
            for _ in 0..DUE_STEPS {
                let mut env =
                    Env { now, time: None, random: &mut random, account: &account, out: &mut Writer::new(&mut room) };
                if let Step::Nothing | Step::End(_) = irc.due(&mut env, &mut scratch) {
                    break;
                }
            }
        }
    }
}

/// Hands bytes over as they come; whether the connection goes on. Each line may have news of every nick that is watched.
fn feed(irc: &mut Irc, now: Instant, account: &Account, bytes: &[u8], step_bytes: usize) -> bool {
    let (mut begin, mut end) = (0, 0);
    let mut steps = 0;
    let mut random = Random::new();
    let mut scratch = [0; SCRATCH_BYTES];
    let mut room = [0; super::super::OUT_BYTES];
    while end < bytes.len() {
        end = end.saturating_add(step_bytes).min(bytes.len()).min(begin + WINDOW_BYTES);
        loop {
            let is_full = end - begin == WINDOW_BYTES;
            let mut out = Writer::new(&mut room);
            let mut env = Env { now, time: None, random: &mut random, account, out: &mut out };
            let (taken, step) = irc.received(&mut env, Link(0), (&bytes[begin..end], is_full), &mut scratch);
            assert!(taken <= end - begin && out.finish().is_ok());
            begin += taken;
            steps += 1;
            assert!(steps <= 4 * bytes.len() + 64, "a server's bytes are read in no end of steps");
            match step {
                Step::Nothing => break,
                Step::End(_) => return false,
                Step::Event(Event::Message(message)) => assert!(!message.text.is_empty() && !message.who.is_empty()),
                _ => {}
            }
        }
        assert!(end - begin < WINDOW_BYTES, "a full window is not read");
    }
    true
}

/// An account with a password.
pub(super) fn account() -> Account {
    Account {
        id: text("a"),
        person: 0,
        network: Network::Irc,
        address: text("alice"),
        login: Name::new(),
        password: Password(text("secret")),
        host: text("irc.example.org"),
        port: None,
        way: LineWay::Tcp,
        path: Default::default(),
        security: Security::Usual,
        pins: Vec::new(),
        ca: Default::default(),
    }
}

/// A text in a field.
pub(super) fn text<const N: usize, L: heapless::LenType>(text: &str) -> heapless::String<N, L> {
    heapless::String::try_from(text).unwrap_or_default()
}

/// What a server has said before: nothing, capabilities, that it takes the password, and that all is well.
const OPENINGS: [&[u8]; 4] = [
    b"",
    b":s CAP * LS :sasl message-tags echo-message\r\n",
    b":s CAP * LS :sasl echo-message\r\n:s CAP * ACK :sasl echo-message\r\nAUTHENTICATE +\r\n",
    b":s CAP * LS :message-tags\r\n:s CAP * ACK :message-tags\r\n:s 001 alice :x\r\n:s 422 alice :x\r\n",
];

/// What is under way then.
const COMMANDS: [Command<'static>; 4] = [
    Command::Add { who: "bob", name: "" },
    Command::Add { who: "carol", name: "" },
    Command::Send { to: "bob", text: "hi", id: 1, is_automatic: false },
    Command::Typing { to: "bob", is_on: true },
];

/// Bytes of the window.
const WINDOW_BYTES: usize = 2048;
/// Steps of what is due at one moment: less than there is to tell.
const DUE_STEPS: usize = 64;
