//! Signals: SIGTERM and SIGINT stop the server, SIGHUP makes it look at its configuration and addresses again.

use async_signal::{Signal, Signals};
use smol::stream::StreamExt;
use std::io;

/// What the operator wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Stop.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// The signals that are listened to; from when this exists on, none of them kills the program.
pub struct Wishes(Signals);

impl Wishes {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Signals::new([Signal::Term, Signal::Int, Signal::Hup])?))
    }

    /// The next wish. Signals that can't be listened to any more are a wish to stop.
    pub async fn next(&mut self) -> Wish {
        match self.0.next().await {
            Some(Ok(Signal::Hup)) => Wish::Reload,
            Some(Ok(_)) | None => Wish::Stop,
            Some(Err(error)) => {
                log::error!("signals: {error}");
                Wish::Stop
            }
        }
    }
}
