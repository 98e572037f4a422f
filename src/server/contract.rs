//! The contract between the core and the world: what goes in and what comes out.
//!
//! The caller (the runtime, or a simulated world) makes *turns*: [`Server::handle`](super::Server::handle) with one
//! input, then [`Server::poll`](super::Server::poll) until it says `None`, then a wait until
//! [`Server::poll_timeout`](super::Server::poll_timeout) or the next input. The core does nothing by itself.

use core::net::SocketAddr;

use crate::base::net::{LocalAddress, PeerIdentity, Port, PortSet, Stream, Transport};
use crate::base::time::UnixTime;
use crate::config::model::Model;
pub use crate::spool::BlobStep;
use crate::spool::Key;

/// What a start begins with.
#[derive(Clone, Debug)]
pub struct Seed {
    /// A key of this start alone.
    pub key: [u8; 16],
    /// A key that is the same in every start, so that what was sealed before a restart is known after it.
    pub lasting: [u8; 16],
    /// Names this boot of the machine: instants of two starts compare when it is the same.
    pub boot: u64,
}

/// What happened in the world.
#[derive(Debug)]
pub enum Input<'a> {
    /// The configuration, at start and after each reload. The model was checked before.
    Configuration(&'a Model),
    /// All addresses of the machine, at start and whenever they change. Link-local IPv6 addresses are left out.
    Addresses(&'a [LocalAddress]),
    /// The name servers, at start and whenever they change.
    Nameservers(&'a [SocketAddr]),
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
    /// A connection that the core asked for with [`Output::Connect`] or [`Output::ConnectLocal`] is up.
    Connected {
        /// The stream.
        stream: Stream,
        /// Our end's address; [`NOWHERE`](crate::base::net::NOWHERE) on a local socket.
        local: SocketAddr,
    },
    /// A stream over TLS is up (both ways of it): who the other end has proven to be. Comes before the first bytes, or
    /// after [`Output::StartTls`] before the first that were encrypted.
    Secured {
        /// The stream.
        stream: Stream,
        /// The proof.
        identity: &'a PeerIdentity,
    },
    /// So many bytes were read into [`Server::receive_window`](super::Server::receive_window).
    Received(Stream, usize),
    /// The stream is gone, by itself or because the core closed it. The handle is not used again.
    Closed(Stream, Reason),
    /// A record that was kept before this start, or on a disk that has come; all of them come before the
    /// [`Input::Storage`] that says so, the journal first.
    Restored {
        /// Its key.
        key: Key,
        /// What was stored.
        bytes: &'a [u8],
        /// Where it was.
        source: Source,
        /// Bytes of its blob: the length of the file for one that was being appended to when the power went; 0 for a
        /// kind that has none.
        blob_bytes: u32,
    },
    /// Where records are kept from now on. What was kept elsewhere is to be stored anew; what was told of messages and
    /// greetings is out of reach until a disk comes, and is told again then.
    Storage(Storage),
    /// The answer to [`Output::Store`], [`Output::Forget`], [`Output::Amend`] and [`Output::Append`]. All answers come in
    /// the order of their tickets, those of loads too.
    Stored {
        /// Which.
        ticket: Ticket,
        /// Whether it is done: durable, but for an append, which is written.
        outcome: Result<(), StoreError>,
    },
    /// The answer to [`Output::Load`] and [`Output::Read`].
    Loaded {
        /// Which.
        ticket: Ticket,
        /// What was read.
        outcome: Result<&'a [u8], StoreError>,
    },
    /// Nothing but time passed.
    Timeout,
}

/// Names one request to the storage until it is answered; counts up, one sequence for all of them.
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

/// Why something could not be stored or loaded.
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
    /// There is no such record, or no blob of it that could be appended to.
    Unknown,
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
    /// Open a connection; answered by [`Input::Connected`] or [`Input::Closed`]. For TLS the other end must prove to be
    /// [`Server::expected`](super::Server::expected), else it is closed.
    Connect {
        /// The handle it shall have.
        stream: Stream,
        /// Where to.
        to: SocketAddr,
        /// TCP or TLS.
        transport: Transport,
    },
    /// Open a connection to the local socket at [`Server::local_path`](super::Server::local_path); answered as
    /// [`Output::Connect`] is.
    ConnectLocal {
        /// The handle it shall have.
        stream: Stream,
    },
    /// Begin TLS on a connection over TCP that the core asked for and that is up, with
    /// [`Server::expected`](super::Server::expected) at its other end. Its transmit window is empty, and its receive
    /// window has no room until [`Input::Secured`] or [`Input::Closed`] answers. What the other end sent before it could
    /// know of this is never read as if it had been encrypted (RFC 6120 §5.4.3.3).
    StartTls(Stream),
    /// There is something in the stream's transmit window.
    Flush(Stream),
    /// Write what is in the transmit window if that goes at once, then close. Answered by [`Input::Closed`].
    Close(Stream),
    /// Open a UDP socket, or a listener for TCP or TLS, on exactly this address; answered by [`Input::Opened`]. Port 0 is
    /// any port, chosen so that nobody can guess it.
    OpenPort {
        /// The name it shall have, below [`SOCKETS`](crate::base::limits::SOCKETS).
        port: Port,
        /// UDP socket, or what the listener's connections speak.
        transport: Transport,
        /// The address to bind.
        address: SocketAddr,
    },
    /// Close a socket or listener. Not answered; nothing that arrives on it later reaches the core.
    ClosePort(Port),
    /// Keep the first `len` bytes of the buffer under a key, instead of what was kept under it; answered by
    /// [`Input::Stored`] when they are durable.
    Store {
        /// To be named in the answer.
        ticket: Ticket,
        /// Its key.
        key: Key,
        /// Whose it is: a hash, for the quota.
        owner: u32,
        /// How many bytes of the buffer.
        len: usize,
        /// What becomes of its blob.
        blob: BlobStep,
    },
    /// Forget what is kept under a key, if anything is, and its blob; answered as [`Output::Store`] is.
    Forget {
        /// To be named in the answer.
        ticket: Ticket,
        /// The key.
        key: Key,
    },
    /// Read what is kept under a key; answered by [`Input::Loaded`] with all of it.
    Load {
        /// To be named in the answer.
        ticket: Ticket,
        /// The key.
        key: Key,
    },
    /// Read a part of a record's blob; answered by [`Input::Loaded`], with less at its end and nothing behind it.
    Read {
        /// To be named in the answer.
        ticket: Ticket,
        /// The record: a voice message or a greeting.
        key: Key,
        /// Where in the blob, bytes.
        offset: u32,
        /// How many bytes, at most [`BLOB_PART_BYTES`](crate::base::limits::BLOB_PART_BYTES).
        len: u32,
    },
    /// Set the first byte of what is kept under a key, and leave the rest and the blob as they are; answered as
    /// [`Output::Store`] is, with [`StoreError::Unknown`] when nothing is kept under it.
    Amend {
        /// To be named in the answer.
        ticket: Ticket,
        /// The key.
        key: Key,
        /// The byte.
        state: u8,
    },
    /// Append the first `len` bytes of the buffer to the blob of a record that was stored with [`BlobStep::Open`]; answered
    /// by [`Input::Stored`] when they are written. They are durable within a second of that.
    Append {
        /// To be named in the answer.
        ticket: Ticket,
        /// The record.
        key: Key,
        /// How many bytes of the buffer, at most [`BLOB_PART_BYTES`](crate::base::limits::BLOB_PART_BYTES).
        len: usize,
    },
}

/// Who must be at the other end of a connection over TLS.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The domain its certificate has to be for, and the name to ask for (SNI).
    pub domain: &'a str,
    /// The keys it may have: SHA-256 of the SubjectPublicKeyInfo. When there are any, they decide.
    pub pins: &'a [[u8; 32]],
    /// The file of authorities that vouch for it; empty: those of the whole configuration.
    pub ca: &'a str,
    /// Whether it is the server of an account on another network: it is named as servers of the Internet are (RFC 9525),
    /// not as a SIP domain (RFC 5922), and gets no certificate of ours to see.
    pub is_account: bool,
}

/// What the edge has room for now. The core keeps everything else in its state.
#[derive(Clone, Copy, Debug)]
pub struct Credits {
    /// UDP sockets that can be written.
    pub ports: PortSet,
    /// Whether another request can be handed over to the storage.
    pub storage: bool,
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
    /// It was opened, but not over TLS as it had to be: the other end did not prove to be who it should be, or did not
    /// speak TLS as we do.
    Unsecured,
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
