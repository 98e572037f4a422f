//! Readiness of the server's own sockets: one level-triggered epoll set.
//!
//! smol's reactor arms every source anew for each event and sets a timer for each wait: ten system calls for an echoed
//! datagram, where this needs four (wait, receive, send, receive nothing). Nothing is armed anew here, and the next
//! deadline is the argument of the wait.

use crate::base::net::{Port, Stream};
use crate::base::time::Instant;
use core::mem::MaybeUninit;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use std::io;

pub use rustix::event::epoll::EventFlags as Readiness;

/// The set.
pub struct Poller(OwnedFd);

/// Whose readiness an event tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// The bell that a service rings.
    Bell,
    /// The bell of the thread that owns the disk.
    Records,
    /// A UDP socket or listener.
    Port(Port),
    /// A stream. The generation keeps an event for a stream that was closed since from its slot's next user.
    Stream(Stream),
}

/// Room for the events of one wait.
pub type Events = [MaybeUninit<epoll::Event>; EVENTS];

/// Room for no event yet.
pub const NO_EVENTS: Events = [const { MaybeUninit::uninit() }; EVENTS];

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watches `socket`; it leaves the set when it is closed.
    pub fn add(&self, socket: impl AsFd, token: Token, interest: Readiness) -> io::Result<()> {
        Ok(epoll::add(&self.0, socket, epoll::EventData::new_u64(token.encode()), interest)?)
    }

    /// Changes what is waited for. Errors and hang-ups are always told.
    pub fn modify(&self, socket: impl AsFd, token: Token, interest: Readiness) {
        if let Err(error) = epoll::modify(&self.0, socket, epoll::EventData::new_u64(token.encode()), interest) {
            log::error!("epoll refuses {token:?}: {error}");
        }
    }

    /// Waits until something is ready or `deadline` passes, and gives what is ready.
    ///
    /// A deadline that has passed waits a millisecond all the same, so that one that the core can't meet costs no more
    /// than a thousand turns a second.
    pub fn wait<'e>(
        &self,
        events: &'e mut Events,
        now: Instant,
        deadline: Option<Instant>,
    ) -> io::Result<impl Iterator<Item = (Token, Readiness)> + use<'e>> {
        let timeout = deadline.map(|deadline| {
            let ms = deadline.since(now).clamp(1, WAIT_MS_MAX);
            Timespec { tv_sec: (ms / 1000) as _, tv_nsec: (ms % 1000 * 1_000_000) as _ }
        });
        let ready = match epoll::wait(&self.0, &mut events[..], timeout.as_ref()) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        Ok(ready.iter().filter_map(|event| Some((Token::decode(event.data.u64())?, event.flags))))
    }
}

impl Token {
    const fn encode(self) -> u64 {
        match self {
            Self::Bell => 0,
            Self::Records => 3 << 32,
            Self::Port(port) => 1 << 32 | port.0 as u64,
            Self::Stream(stream) => 2 << 32 | (stream.index as u64) << 16 | stream.generation as u64,
        }
    }

    const fn decode(bits: u64) -> Option<Self> {
        match bits >> 32 {
            0 => Some(Self::Bell),
            1 => Some(Self::Port(Port(bits as u8))),
            3 => Some(Self::Records),
            2 => Some(Self::Stream(Stream { index: (bits >> 16) as u16, generation: bits as u16 })),
            _ => None,
        }
    }
}

const EVENTS: usize = 32;
const WAIT_MS_MAX: u64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        let stream = Stream { index: 0xfffe, generation: 0xffff };
        for token in [Token::Bell, Token::Records, Token::Port(Port(0)), Token::Port(Port(63)), Token::Stream(stream)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
