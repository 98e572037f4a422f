//! The inbox page: HTTP/1.1 on the server's own loop, and the pages it shows.

pub mod house;

use core::net::SocketAddr;

pub use house::{GREETING_PIECE_BYTES, GreetingStep, House, Missed, Progress, Settings};

use crate::base::net::Stream;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::spool::Key;

/// The machine.
pub struct Web {}

/// What comes next on a connection.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send the first so many bytes of the buffer.
    Bytes(usize),
    /// Load the payload of a record; answered by [`Web::loaded`].
    Load {
        /// Which.
        key: Key,
    },
    /// Read a part of the blob of a record; answered by [`Web::loaded`].
    Read {
        /// Which.
        key: Key,
        /// Where it begins.
        offset: u32,
        /// How many bytes at most.
        len: u32,
    },
    /// Something was asked for and has not come yet.
    Wait,
    /// Nothing is to be sent: the connection is read on.
    Nothing,
    /// Close the connection when all is sent.
    Close,
}

/// What was to be loaded is not there, or can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

impl Web {
    /// No connection, nobody logged in.
    pub const fn new() -> Self {
        Self {}
    }

    /// A connection was made. Whether it is taken; else it is to be closed.
    pub fn opened(&mut self, now: Instant, stream: Stream, from: SocketAddr, is_secure: bool) -> bool {
        let _ = (now, stream, from, is_secure);
        false
    }

    /// A connection is gone.
    pub fn closed(&mut self, now: Instant, house: &mut dyn House, stream: Stream) {
        let _ = (now, house, stream);
    }

    /// Takes bytes that came; how many. What is not taken is to be offered again, with what came since, after each
    /// [`Web::produce`] that says [`Step::Nothing`].
    pub fn received(&mut self, now: Instant, house: &mut dyn House, stream: Stream, bytes: &[u8]) -> usize {
        let _ = (now, house, stream, bytes);
        0
    }

    /// What comes next on a connection. `out` has at least [`PRODUCE_BYTES`].
    pub fn produce(&mut self, now: Instant, house: &mut dyn House, stream: Stream, out: &mut [u8]) -> Step {
        let _ = (now, house, stream, out);
        Step::Close
    }

    /// What a [`Step::Load`] or [`Step::Read`] asked for.
    pub fn loaded(&mut self, stream: Stream, outcome: Result<&[u8], Unavailable>) {
        let _ = (stream, outcome);
    }

    /// Makes a link to the letters of a person that are numbered so, and writes it: `URL/l/TOKEN`. It is valid for a day.
    /// Whether it was written.
    pub fn link(
        &mut self,
        now: Instant,
        house: &mut dyn House,
        person: usize,
        (first, last): (u32, u32),
        out: &mut Writer<'_>,
    ) -> bool {
        let _ = (now, house, person, first, last, out);
        false
    }

    /// When a connection is to be looked at.
    pub fn deadline(&self, stream: Stream) -> Option<Instant> {
        let _ = stream;
        None
    }

    /// The deadline of a connection has come. Whether it is to be closed.
    pub fn due(&mut self, now: Instant, stream: Stream) -> bool {
        let _ = (now, stream);
        true
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that [`Web::produce`] needs at least.
pub const PRODUCE_BYTES: usize = 4 * 1024;
