//! What stands in the place of `tls` when the program is built without it: types of which there is no value.

use crate::base::net::PeerIdentity;
use crate::config::model::{Main, Model};
use crate::server::contract::Expected;
use std::io::{self, Write};

/// See `tls::fault`.
pub mod fault {
    /// Nothing goes wrong.
    pub type Fault = core::convert::Infallible;
}

/// See `tls::session`.
pub mod session {
    use super::PeerIdentity;
    use super::fault::Fault;
    use std::boxed::Box;
    use std::io::{self, Read, Write};

    /// No session.
    pub struct Session(pub(super) Fault);

    /// What never becomes of it.
    pub enum Progress {
        /// It goes on.
        Handshaking,
        /// It is up.
        Established(Box<PeerIdentity>),
        /// It has been.
        Up,
    }

    /// What is never pulled.
    #[derive(PartialEq, Eq)]
    pub enum Pulled {
        /// Bytes.
        Some,
        /// None.
        Nothing,
        /// The end.
        End,
    }

    #[allow(missing_docs, reason = "the same as in `tls::session`")]
    impl Session {
        pub fn is_handshaking(&self) -> bool {
            match self.0 {}
        }

        pub fn wants_read(&self) -> bool {
            match self.0 {}
        }

        pub fn wants_write(&self) -> bool {
            match self.0 {}
        }

        pub fn pull(&mut self, _socket: &mut impl Read) -> io::Result<Pulled> {
            match self.0 {}
        }

        pub fn advance(&mut self) -> Result<Progress, Fault> {
            match self.0 {}
        }

        pub fn read(&mut self, _window: &mut [u8]) -> io::Result<Option<usize>> {
            match self.0 {}
        }

        pub fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            match self.0 {}
        }

        pub fn push(&mut self, _socket: &mut impl Write) -> io::Result<bool> {
            match self.0 {}
        }

        pub fn close(&mut self) {
            match self.0 {}
        }

        pub fn agreed(&self) -> impl core::fmt::Display {
            self.0
        }
    }

    /// Nothing takes that long.
    pub const HANDSHAKE_MS: u64 = 0;
}

/// No endpoint.
pub struct Endpoint(fault::Fault);

#[allow(missing_docs, reason = "the same as in `tls`")]
impl Endpoint {
    pub fn configured(_model: &Model) -> Result<Option<Self>, fault::Fault> {
        Ok(None)
    }

    pub fn client(&mut self, _expected: &Expected<'_>) -> Result<session::Session, fault::Fault> {
        match self.0 {}
    }

    pub fn server(&self) -> Result<session::Session, fault::Fault> {
        match self.0 {}
    }
}

/// There is no key.
///
/// # Errors
/// Says so.
pub fn print_pin(_: &Main, _: &mut impl Write) -> io::Result<()> {
    Err(io::Error::other("this program is built without TLS"))
}
