//! What somebody at the control socket wants of the disk, done on the worker's thread with the client's own socket, so
//! that whole backups pass in small pieces and never through the loop.
//!
//! Storing waits meanwhile, so a client has to be quick: each read and write has [`PIECE_TIMEOUT`], a check
//! [`CHECK_TIMEOUT`].
//!
//! On the socket, after the line that asks: a backup comes in pieces, each with its length before it (32 bits,
//! big-endian), up to one of length 0; then a line says how it went. Before a backup is sent to be restored, and before a
//! directory is read for a check, the server says `ready`. A line that begins with `error: ` is the last.

use crate::runtime::disk::DiskError;
use crate::spool::{Disk, Problem, Spool};
use core::fmt;
use rustix::io::Errno;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A wish and who has it.
pub struct Job {
    /// What is wished.
    pub task: Task,
    /// The client, who waits. Its socket blocks.
    pub client: UnixStream,
}

/// What can be wished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// All records and blobs.
    Backup,
    /// The client sends a backup; what is missing is added.
    Restore,
    /// The client reads the directory itself, and nothing is to change until it is done.
    Check,
}

impl Job {
    /// Does it, and tells the client how it went. Says how many records are new.
    ///
    /// # Errors
    /// What the spool says. A client that fails is no error.
    pub fn work<D: Disk>(mut self, spool: &mut Spool<'_, D>) -> Result<usize, Problem<D::Error>> {
        let result = match self.prepare() {
            Ok(()) => match self.task {
                Task::Backup | Task::Restore => Err(Problem::Newer),
                Task::Check => self.hold(spool).map(|()| 0),
            },
            Err(error) => {
                log::debug!("control client: {error}");
                Ok(0)
            }
        };
        if let Err(problem) = &result {
            self.say(format_args!("error: {problem}"));
        }
        result
    }

    /// Tells the client that nothing was done.
    pub fn refuse(mut self, why: &str) {
        if self.prepare().is_ok() {
            // A client that expects pieces gets none.
            if self.task == Task::Backup {
                let _ = self.client.write_all(&[0; 4]);
            }
            self.say(format_args!("error: {why}"));
        }
    }

    fn prepare(&self) -> io::Result<()> {
        self.client.set_nonblocking(false)?;
        self.client.set_write_timeout(Some(PIECE_TIMEOUT))?;
        self.client.set_read_timeout(Some(PIECE_TIMEOUT))
    }

    fn say(&mut self, line: fmt::Arguments<'_>) {
        if let Err(error) = writeln!(self.client, "{line}") {
            log::debug!("control client: {error}");
        }
    }

    fn hold<D: Disk>(&mut self, spool: &mut Spool<'_, D>) -> Result<(), Problem<D::Error>> {
        spool.commit()?;
        self.say(format_args!("ready"));
        // The client closes when it has read everything.
        let _ = self.client.set_read_timeout(Some(CHECK_TIMEOUT));
        let _ = self.client.read(&mut [0]);
        Ok(())
    }
}

/// Writes pieces with their lengths.
pub struct Pieces<'c> {
    client: &'c UnixStream,
    piece: [u8; 4 + PIECE_BYTES],
    len: usize,
}

impl<'c> Pieces<'c> {
    /// To this client.
    pub fn new(client: &'c UnixStream) -> Self {
        Self { client, piece: [0; 4 + PIECE_BYTES], len: 0 }
    }

    /// Sends what is left, and that this is all.
    ///
    /// # Errors
    /// When the client does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.client.write_all(&[0; 4])
    }

    fn send(&mut self) -> io::Result<()> {
        if self.len > 0 {
            self.piece[..4].copy_from_slice(&(self.len as u32).to_be_bytes());
            self.client.write_all(&self.piece[..4 + self.len])?;
            self.len = 0;
        }
        Ok(())
    }
}

impl embedded_io::ErrorType for Pieces<'_> {
    type Error = DiskError;
}

impl embedded_io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, DiskError> {
        if self.len == PIECE_BYTES {
            self.send().map_err(|error| of_client(&error))?;
        }
        let len = bytes.len().min(PIECE_BYTES - self.len);
        self.piece[4 + self.len..][..len].copy_from_slice(&bytes[..len]);
        self.len += len;
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.send().map_err(|error| of_client(&error))
    }
}

/// Copies a backup that comes in pieces to `out`.
///
/// # Errors
/// When the server ends early, or `out` takes no more.
pub fn copy_pieces(server: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut piece = [0; PIECE_BYTES];
    loop {
        let mut len = [0; 4];
        server.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        let Some(piece) = piece.get_mut(..len) else { return Err(io::ErrorKind::InvalidData.into()) };
        if len == 0 {
            return Ok(());
        }
        server.read_exact(piece)?;
        out.write_all(piece)?;
    }
}

/// The client's bytes as they come.
pub struct FromClient<'c>(pub &'c UnixStream);

impl embedded_io::ErrorType for FromClient<'_> {
    type Error = DiskError;
}

impl embedded_io::Read for FromClient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.0.read(buffer).map_err(|error| of_client(&error))
    }
}

fn of_client(error: &io::Error) -> DiskError {
    DiskError(Errno::from_io_error(error).unwrap_or(Errno::IO))
}

/// A client that does not go on for so long is given up.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(3);
/// Reading a whole spool takes no longer than that, or is not waited for.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
const PIECE_BYTES: usize = 4096;
