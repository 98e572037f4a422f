//! What streams have received and not yet been read as messages.
//!
//! A stream has a window only while bytes wait in it; it begins small and grows to what the message needs. When no
//! window is free the stream is not read, which is back-pressure on its peer.

use crate::base::limits::{MESSAGE_BYTES, STREAMS, WINDOWS_2K, WINDOWS_8K, WINDOWS_64K};
use crate::base::net::Stream;
use crate::base::store::{Bytes, Store};
use crate::wire::sip::Fault;
use crate::wire::sip::framer::{self, Frame};

/// The receive windows of all streams.
pub struct Inbound {
    store: Store<0, WINDOWS_2K, WINDOWS_8K, WINDOWS_64K>,
    windows: heapless::Vec<Option<Bytes>, STREAMS>,
}

/// What is next in a stream.
#[derive(Debug)]
pub enum Next<'b> {
    /// Nothing whole; whether a message has begun.
    Nothing {
        /// Whether a message has begun.
        is_partial: bool,
    },
    /// A keep-alive of so many bytes, to be answered.
    Ping(usize),
    /// A message, and how many bytes it takes from the stream.
    Message(&'b [u8], usize),
    /// Framing is lost; what there is of the message.
    Broken(Fault, &'b [u8]),
}

/// Who reads a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Whole messages, which say how long they are.
    Sip,
    /// A connector, which reads in pieces what does not fit into [`ACCOUNT_BYTES`].
    Account,
    /// Anything else.
    Other,
}

const FIRST_BYTES: usize = 2048;
/// The largest window of a connector's stream: a server that sends one endless element must not keep the largest from SIP.
const ACCOUNT_BYTES: usize = 8 * 1024;

impl Inbound {
    /// No windows.
    pub const fn new() -> Self {
        Self { store: Store::new(), windows: heapless::Vec::new() }
    }

    /// Where a stream's next bytes go; empty when there is no room. A full window grows to what a SIP message needs, or,
    /// for another protocol, to the next larger one.
    pub fn window(&mut self, stream: Stream, reader: Reader) -> &mut [u8] {
        let index = usize::from(stream.index);
        while self.windows.len() <= index {
            if self.windows.push(None).is_err() {
                return &mut [];
            }
        }
        if self.windows[index].is_none() {
            self.windows[index] = self.store.allocate(FIRST_BYTES).map(|mut window| {
                self.store.resize(&mut window, 0);
                window
            });
        }
        self.grow(index, reader);
        match &self.windows[index] {
            Some(window) => {
                let len = self.store.get(window).len();
                &mut self.store.block_mut(window)[len..]
            }
            None => &mut [],
        }
    }

    /// Notes that so many bytes were read into the window.
    pub fn received(&mut self, stream: Stream, n: usize) {
        if let Some(Some(window)) = self.windows.get_mut(usize::from(stream.index)) {
            let len = self.store.get(window).len() + n;
            self.store.resize(window, len);
        }
    }

    /// All that waits in a stream's window, for who reads something else than SIP.
    pub fn waiting(&self, stream: Stream) -> &[u8] {
        match self.windows.get(usize::from(stream.index)) {
            Some(Some(window)) => self.store.get(window),
            _ => &[],
        }
    }

    /// Whether a connector's stream has a window that is full and can't grow now.
    pub fn is_stuck(&mut self, stream: Stream) -> bool {
        let index = usize::from(stream.index);
        if matches!(self.windows.get(index), Some(Some(_))) {
            self.grow(index, Reader::Account);
        }
        match self.windows.get(index) {
            Some(Some(window)) => self.store.get(window).len() == self.store.capacity(window),
            _ => false,
        }
    }

    /// What is next in a stream.
    pub fn next(&self, stream: Stream) -> Next<'_> {
        let Some(Some(window)) = self.windows.get(usize::from(stream.index)) else {
            return Next::Nothing { is_partial: false };
        };
        let bytes = self.store.get(window);
        // A lone line end is half a keep-alive, or all that some clients send as one.
        if bytes.is_empty() || bytes == b"\r\n" {
            return Next::Nothing { is_partial: false };
        }
        match framer::next(bytes, MESSAGE_BYTES) {
            Frame::Incomplete { .. } => Next::Nothing { is_partial: true },
            Frame::Ping { len } => Next::Ping(len),
            Frame::Blank { len } => Next::Message(&[], len),
            Frame::Message { len } => Next::Message(&bytes[..len], len),
            Frame::Broken(fault) => Next::Broken(fault, bytes),
        }
    }

    /// Takes bytes off the front; an empty window is given back.
    pub fn consume(&mut self, stream: Stream, n: usize) {
        let Some(slot) = self.windows.get_mut(usize::from(stream.index)) else { return };
        let Some(mut window) = slot.take() else { return };
        let len = self.store.get(&window).len();
        if n >= len {
            self.store.release(window);
            return;
        }
        self.store.get_mut(&window).copy_within(n.., 0);
        self.store.resize(&mut window, len - n);
        *slot = Some(window);
    }

    /// Forgets what a stream has received.
    pub fn clear(&mut self, stream: Stream) {
        self.consume(stream, usize::MAX);
    }

    /// Windows in use.
    pub fn len(&self) -> usize {
        self.windows.iter().flatten().count()
    }

    /// Whether no window is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("receive windows", WINDOWS_2K + WINDOWS_8K + WINDOWS_64K, size_of::<Self>())
    }

    /// Exchanges a full window for a larger one.
    fn grow(&mut self, index: usize, reader: Reader) {
        let Some(window) = &self.windows[index] else { return };
        let bytes = self.store.get(window);
        let (len, capacity) = (bytes.len(), self.store.capacity(window));
        if len < capacity {
            return;
        }
        let needed = match framer::next(bytes, MESSAGE_BYTES) {
            _ if reader == Reader::Account && capacity >= ACCOUNT_BYTES => return,
            _ if reader != Reader::Sip => capacity + 1,
            Frame::Incomplete { needed } => needed.unwrap_or(capacity + 1).max(capacity + 1),
            _ => return,
        };
        if let Some(mut larger) = self.store.allocate(needed) {
            let Some(window) = self.windows[index].take() else { return };
            self.store.resize(&mut larger, len);
            self.store.copy(&window, 0, &larger);
            self.store.release(window);
            self.windows[index] = Some(larger);
        }
    }
}

impl Default for Inbound {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    const STREAM: Stream = Stream { index: 0, generation: 0 };

    fn feed(inbound: &mut Inbound, bytes: &[u8]) -> usize {
        let window = inbound.window(STREAM, Reader::Sip);
        let n = window.len().min(bytes.len());
        window[..n].copy_from_slice(&bytes[..n]);
        inbound.received(STREAM, n);
        n
    }

    #[test]
    fn a_large_message_in_small_pieces() {
        let mut inbound = Box::new(Inbound::new());
        let mut message = b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 20000\r\n\r\n".to_vec();
        message.extend([b'x'; 20_000]);
        message.extend(b"\r\n\r\n");
        let mut rest = &message[..];
        while !rest.is_empty() {
            let n = feed(&mut inbound, &rest[..rest.len().min(700)]);
            assert!(n > 0);
            rest = &rest[n..];
        }
        match inbound.next(STREAM) {
            Next::Message(bytes, len) => {
                assert_eq!((bytes, len), (&message[..message.len() - 4], message.len() - 4));
                inbound.consume(STREAM, len);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(inbound.next(STREAM), Next::Ping(4)));
        inbound.consume(STREAM, 4);
        assert!(inbound.is_empty() && inbound.store.usage().iter().all(|(_, used, _)| *used == 0));
    }

    #[test]
    fn full_windows_are_back_pressure() {
        let mut inbound = Box::new(Inbound::new());
        let streams: Vec<_> = (0..STREAMS as u16).map(|index| Stream { index, generation: 0 }).collect();
        let open = streams.iter().filter(|stream| !inbound.window(**stream, Reader::Sip).is_empty()).count();
        assert!(open >= WINDOWS_2K.min(STREAMS));
        streams.iter().for_each(|stream| inbound.clear(*stream));
        assert!(inbound.is_empty());
    }
}
