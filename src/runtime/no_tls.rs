//! What stands in the place of `tls` when the program is built without it: types that nobody can make one of.

use crate::base::net::PeerIdentity;
use crate::config::model::{Model, Peer};
use core::convert::Infallible;
use std::io::{self, Read, Write};

/// See `tls::fault`.
pub mod fault {
    /// Nothing can go wrong.
    pub type Fault = core::convert::Infallible;
}

/// See `tls::session`.
pub mod session {
    pub use super::{Progress, Pulled, Session};

    /// Nothing takes that long.
    pub const HANDSHAKE_MS: u64 = 0;
}

/// See `tls::Endpoint`.
pub struct Endpoint(Infallible);

impl Endpoint {
    /// There is none.
    pub fn configured(_model: &Model) -> Result<Option<Self>, Infallible> {
        Ok(None)
    }
}
