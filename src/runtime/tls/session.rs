//! One TLS session over a socket that does not block, in either role.
//!
//! The calls, in the order they come for a socket that is readable: [`Session::pull`] takes ciphertext from it (at most
//! one read of 4 KB), [`Session::advance`] works on that, [`Session::read`] gives the plaintext. What is to be sent goes
//! in by [`Session::write`] and leaves by [`Session::push`]; after `advance` there may be something to push as well. The
//! expensive steps of a handshake are [`Session::client`] and those calls of `advance` before the session is up.
//!
//! Memory: at most 16 KB of plaintext wait for `read` (one record's worth, as nothing is pulled before they are gone), at
//! most [`PENDING_BYTES`] for `push`, and one read or one record that is not complete. A handshake message may take 64 KB
//! for a moment.

use super::Endpoint;
use super::fault::Fault;
use super::verify::{Expected, Trust};
use crate::base::net::PeerIdentity;
use rustls::pki_types::UnixTime;
use rustls::{ClientConnection, Connection, ServerConnection};
use std::boxed::Box;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// One session.
pub struct Session {
    connection: Connection,
    role: Role,
    is_up: bool,
    has_ended: bool,
    /// The first byte that the peer sent: it tells TLS from what is not.
    first_byte: Option<u8>,
}

enum Role {
    Client(Expected),
    Server(Arc<Trust>),
}

/// What became of the bytes that were pulled.
#[derive(PartialEq, Eq, Debug)]
pub enum Progress {
    /// The handshake goes on.
    Handshaking,
    /// It has just ended well: this is the peer. Said once.
    Established(Box<PeerIdentity>),
    /// The session is up.
    Up,
}

/// What [`Session::pull`] found in the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pulled {
    /// Bytes.
    Some,
    /// None now.
    Nothing,
    /// The end of the connection.
    End,
}

impl Session {
    /// The end that connected, and says first who it wants to talk to.
    ///
    /// # Errors
    /// When the expected domain can't be named in TLS, or there are no random numbers.
    pub fn client(endpoint: &mut Endpoint, expected: &Expected) -> Result<Self, Fault> {
        let name = expected.server_name()?;
        let connection = ClientConnection::new(endpoint.client_config(expected)?, name)?;
        Ok(Self::new(connection.into(), Role::Client(expected.clone())))
    }

    /// The end that was connected to.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn server(endpoint: &Endpoint) -> Result<Self, Fault> {
        let connection = ServerConnection::new(endpoint.server.clone())?;
        Ok(Self::new(connection.into(), Role::Server(endpoint.trust.clone())))
    }

    /// Whether the session is not up yet.
    pub fn is_handshaking(&self) -> bool {
        !self.is_up
    }

    /// Whether [`pull`](Self::pull) has room. Otherwise read, or push first.
    pub fn wants_read(&self) -> bool {
        // In a handshake rustls would push before it reads. Two such ends wait for each other for ever when there is no
        // room between them.
        !self.is_up || self.connection.wants_read()
    }

    /// Whether something is there to [`push`](Self::push).
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes what one read of `socket` gives. Call [`advance`](Self::advance) after it, even at the end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn pull(&mut self, socket: &mut impl Read) -> io::Result<Pulled> {
        let mut tap = Tap { socket, first_byte: &mut self.first_byte };
        loop {
            return match self.connection.read_tls(&mut tap) {
                Ok(0) => {
                    self.has_ended = true;
                    Ok(Pulled::End)
                }
                Ok(_) => Ok(Pulled::Some),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Pulled::Nothing),
                Err(error) => Err(error),
            };
        }
    }

    /// Works on what was pulled.
    ///
    /// # Errors
    /// The session has failed: [`push`](Self::push) once more, so that the peer hears why, and close.
    pub fn advance(&mut self) -> Result<Progress, Fault> {
        self.connection.process_new_packets().map_err(|error| Fault::from_rustls(error, self.first_byte))?;
        if self.is_up {
            return Ok(Progress::Up);
        }
        if self.connection.is_handshaking() {
            return if self.has_ended { Err(Fault::Ended) } else { Ok(Progress::Handshaking) };
        }
        self.is_up = true;
        let chain = self.connection.peer_certificates().unwrap_or_default();
        let peer = match &self.role {
            Role::Client(expected) => chain.first().map(|first| expected.identity(first)).unwrap_or_default(),
            Role::Server(trust) => trust.identity(chain, UnixTime::now()),
        };
        Ok(Progress::Established(Box::new(peer)))
    }

    /// Reads plaintext into `window`: how many bytes, 0 when the peer has said that no more will come, `None` when more
    /// has to be pulled first.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection has ended and the peer did not say so.
    pub fn read(&mut self, window: &mut [u8]) -> io::Result<Option<usize>> {
        match self.connection.reader().read(window) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes as much of `bytes` as there is room for; perhaps none.
    ///
    /// # Errors
    /// When the session can't send any more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Until then rustls would keep them in the clear, beside the limit.
        if !self.is_up { Ok(0) } else { self.connection.writer().write(bytes) }
    }

    /// Gives `socket` what it takes; whether that was all.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn push(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tells the peer that no more will come; push after it.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether the handshake was shortened by what both ends kept of an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// What was agreed on, for the log: version and cipher suite.
    pub fn agreed(&self) -> impl core::fmt::Display {
        Agreed(self.connection.protocol_version(), self.connection.negotiated_cipher_suite().map(|suite| suite.suite()))
    }

    fn new(mut connection: Connection, role: Role) -> Self {
        connection.set_buffer_limit(Some(PENDING_BYTES));
        Self { connection, role, is_up: false, has_ended: false, first_byte: None }
    }
}

/// Looks at the first byte that passes.
struct Tap<'t, R> {
    socket: &'t mut R,
    first_byte: &'t mut Option<u8>,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.socket.read(buffer)?;
        if self.first_byte.is_none() {
            *self.first_byte = buffer[..len].first().copied();
        }
        Ok(len)
    }
}

struct Agreed(Option<rustls::ProtocolVersion>, Option<rustls::CipherSuite>);

impl core::fmt::Display for Agreed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (Some(version), Some(suite)) = (self.0, self.1) else { return f.write_str("nothing agreed") };
        write!(f, "{version:?} {suite:?}")
    }
}

/// How long a handshake may take, from the connection on.
pub const HANDSHAKE_MS: u64 = 10_000;
/// Most bytes that wait to be pushed; a little more when they are told in records.
pub const PENDING_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
