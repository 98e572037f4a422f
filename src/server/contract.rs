//! The contract between the core and the world: what goes in and what comes out.
//!
//! The caller (the runtime, or a simulated world) makes *turns*: [`Server::handle`](super::Server::handle) with one
//! input, then [`Server::poll`](super::Server::poll) until it says `None`, then a wait until
//! [`Server::poll_timeout`](super::Server::poll_timeout) or the next input. The core does nothing by itself.

use core::net::SocketAddr;

use crate::base::net::{LocalAddress, Port, PortSet, Stream, Transport};
use crate::base::time::UnixTime;
use crate::config::model::Model;

/// What happened in the world.
#[derive(Debug)]
pub enum Input<'a> {
    /// The configuration, at start and after each reload. The model was checked before.
    Configuration(&'a Model),
    /// All addresses of the machine, at start and whenever they change. Link-local IPv6 addresses are left out.
    Addresses(&'a [LocalAddress]),
    /// The time of day, at start and whenever the clock was set.
    WallClock(UnixTime),
    /// The answer to [`Output::OpenPort`]: the address the socket got, or that it could not be opened (the core tries
    /// again later).
    Opened(Port, Result<SocketAddr, PortError>),
    /// A datagram came in.
    Datagram {
        /// The socket it came in on.
        port: Port,
        /// Who sent it.
        from: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A listener took a connection; the caller got the handle from
    /// [`Server::vacant_stream`](super::Server::vacant_stream) in this same turn.
    Accepted {
        /// The new stream.
        stream: Stream,
        /// The listener.
        listener: Port,
        /// The peer.
        from: SocketAddr,
    },
    /// A connection that the core asked for with [`Output::Connect`] is up.
    Connected {
        /// The stream.
        stream: Stream,
        /// Our end's address.
        local: SocketAddr,
    },
    /// So many bytes were read into [`Server::receive_window`](super::Server::receive_window).
    Received(Stream, usize),
    /// The stream is gone, by itself or because the core closed it. The handle is not used again.
    Closed(Stream, Reason),
    /// Nothing but time passed.
    Timeout,
}

/// Names one `Output::Store` or `Output::Forget` until it is answered; counts up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u32);

/// Where records are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// Nowhere: nothing may be stored.
    Absent,
    /// In memory, which outlives the program but not the machine's power. Only the journal goes there.
    Memory,
    /// On the disk.
    Disk,
}

/// Where a record was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// In memory, since this boot.
    Memory,
    /// On the disk.
    Disk,
}

/// Why something could not be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// There is no disk.
    NoDisk,
    /// The disk is full.
    Full,
    /// Its owner has had as much as one may.
    Quota,
    /// It is larger than anything that fits.
    TooLarge,
    /// The disk failed.
    Failed,
}

/// What the core wants done.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send the first `len` bytes of the buffer as one datagram. If the socket can't take it now it is lost, and the
    /// caller takes the port out of the credits until it can.
    Datagram {
        /// The socket to send from.
        port: Port,
        /// Where to.
        to: SocketAddr,
        /// How many bytes of the buffer.
        len: usize,
    },
    /// Open a connection; answered by [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// The handle it shall have.
        stream: Stream,
        /// Where to.
        to: SocketAddr,
    },
    /// There is something in the stream's transmit window.
    Flush(Stream),
    /// Write what is in the transmit window if that goes at once, then close. Answered by [`Input::Closed`].
    Close(Stream),
    /// Open a UDP socket or a TCP listener on exactly this address; answered by [`Input::Opened`]. Port 0 is any port.
    OpenPort {
        /// The name it shall have.
        port: Port,
        /// UDP socket or TCP listener.
        transport: Transport,
        /// The address to bind.
        address: SocketAddr,
    },
    /// Close a socket or listener. Not answered; nothing that arrives on it later reaches the core.
    ClosePort(Port),
}

/// What the edge has room for now. The core keeps everything else in its state.
#[derive(Clone, Copy, Debug)]
pub struct Credits {
    /// UDP sockets that can be written.
    pub ports: PortSet,
}

/// Why a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The peer closed it in order.
    PeerClosed,
    /// It broke: reset, timed out, unreachable.
    Broken,
    /// It could not be opened.
    NotConnected,
    /// The core asked for it.
    Asked,
}

/// Why a port could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortError {
    /// Another program has it.
    InUse,
    /// The address is not (yet) one of ours.
    NoAddress,
    /// Not allowed.
    Denied,
    /// Anything else.
    Other,
}
