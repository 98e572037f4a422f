//! What somebody at the control socket wants of the disk, done on the worker's thread with the client's own socket, so
//! that whole backups pass in small pieces and never through the loop.
//!
//! Storing waits meanwhile, so a client has to be quick: each read and write has [`PIECE_TIMEOUT`], a check
//! [`CHECK_TIMEOUT`].
//!
//! On the socket, after the line that asks, numbers are big-endian:
//!
//! - `backup`: pieces, each with its length before it (32 bits), up to one of length 0. Then a line says how it went.
//! - `restore`: the server asks for parts of the backup, which it reads twice, by offset (64 bits) and length (32 bits,
//!   not 0); the client answers with a length, shorter only at the end, and so many bytes. Length 0 ends it. Then a line
//!   says how it went.
//! - `letter` and `greeting PERSON get`: the record in pieces as above, then its blob, each up to a piece of length 0; a record
//!   without a blob has one of length 0 alone. Then a line says how it went.
//! - `check`: the server says `ready` and its directory, and leaves the disk alone until the client closes.
//!
//! A line that begins with `error: ` says that it did not go well.

use crate::runtime::disk::DiskError;
use crate::spool::backup::{self, BackupProblem, Count};
use crate::spool::{Disk, Key, Problem, Spool};
use core::fmt;
use embedded_io::SeekFrom;
use rustix::io::Errno;
use std::format;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::string::String;
use std::time::Duration;

/// A wish and who has it.
pub struct Job {
    /// What is wished.
    pub wish: Wish,
    /// The client, who waits.
    pub client: UnixStream,
}

/// What can be wished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Something with all of it.
    Whole(Task),
    /// One record and its blob.
    Record(Key),
}

/// What can be done with all of a spool.
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
    /// Does it, and tells the client how it went. `buffer` takes the longest payload and
    /// [`backup::BUFFER_BYTES`].
    ///
    /// # Errors
    /// What the spool says. A client that fails is no error.
    pub fn work<D: Disk>(
        mut self,
        directory: &str,
        spool: &mut Spool<'_, D>,
        buffer: &mut [u8],
    ) -> Result<(), Problem<D::Error>> {
        match self.prepare() {
            Ok(()) => match self.wish {
                Wish::Whole(Task::Backup) => self.backup(spool, buffer),
                Wish::Whole(Task::Restore) => self.restore(spool, buffer),
                Wish::Whole(Task::Check) => self.hold(directory, spool),
                Wish::Record(key) => self.fetch(key, spool, buffer),
            },
            Err(error) => {
                log::debug!("control client: {error}");
                Ok(())
            }
        }
    }

    fn backup<D: Disk>(&mut self, spool: &mut Spool<'_, D>, buffer: &mut [u8]) -> Result<(), Problem<D::Error>> {
        let mut pieces = Pieces::new(&self.client);
        let result = backup::write(spool, &mut pieces, buffer);
        let result = result.and_then(|count| pieces.finish().map(|()| count).map_err(BackupProblem::Stream));
        if result.is_err() {
            // Whatever was sent, it is not all; the line says why.
            let _ = self.client.write_all(&[0; 4]);
        }
        self.conclude(result, |Count { records, damaged, .. }| {
            format!("{records} records backed up, {damaged} damaged")
        })
    }

    fn restore<D: Disk>(&mut self, spool: &mut Spool<'_, D>, buffer: &mut [u8]) -> Result<(), Problem<D::Error>> {
        let result = backup::read(spool, &mut Parts::new(&self.client), buffer);
        let _ = self.client.write_all(&[0; ASK_BYTES]);
        self.conclude(result, |Count { records, present, damaged }| {
            format!("{records} records added, {present} were there, {damaged} damaged")
        })
    }

    fn fetch<D: Disk>(
        &mut self,
        key: Key,
        spool: &mut Spool<'_, D>,
        buffer: &mut [u8],
    ) -> Result<(), Problem<D::Error>> {
        let sent = match spool.load(key, buffer) {
            Ok(len) => self.send_all(&buffer[..len]),
            Err(problem) => {
                let _ = self.client.write_all(&[0; 8]);
                return self.fail(problem);
            }
        };
        if let Err(error) = sent.and_then(|()| self.send_blob(key, spool, &mut buffer[..PIECE_BYTES])) {
            match error {
                BackupProblem::Spool(problem) => {
                    let _ = self.client.write_all(&[0; 4]);
                    return self.fail(problem);
                }
                error => log::debug!("control client: {error}"),
            }
        }
        self.say(format_args!("complete"));
        Ok(())
    }

    fn send_all<E>(&mut self, bytes: &[u8]) -> Result<(), BackupProblem<E, DiskError>> {
        let mut pieces = Pieces::new(&self.client);
        let sent = embedded_io::Write::write_all(&mut pieces, bytes);
        sent.and_then(|()| pieces.finish()).map_err(BackupProblem::Stream)
    }

    fn send_blob<D: Disk>(
        &mut self,
        key: Key,
        spool: &mut Spool<'_, D>,
        buffer: &mut [u8],
    ) -> Result<(), BackupProblem<D::Error, DiskError>> {
        let (mut pieces, mut offset) = (Pieces::new(&self.client), 0);
        while key.kind.has_blob() {
            let len = spool.blob_read(key, offset, buffer).map_err(BackupProblem::Spool)?;
            if len == 0 {
                break;
            }
            embedded_io::Write::write_all(&mut pieces, &buffer[..len]).map_err(BackupProblem::Stream)?;
            offset = offset.saturating_add(len as u32);
        }
        pieces.finish().map_err(BackupProblem::Stream)
    }

    /// The last line when the spool has a problem.
    fn fail<E: fmt::Display>(&mut self, problem: Problem<E>) -> Result<(), Problem<E>> {
        self.say(format_args!("error: {problem}"));
        Err(problem)
    }

    /// The last line: how it went.
    fn conclude<E: fmt::Display>(
        &mut self,
        result: Result<Count, BackupProblem<E, DiskError>>,
        tell: fn(Count) -> String,
    ) -> Result<(), Problem<E>> {
        match result {
            Ok(count) => {
                self.say(format_args!("{}", tell(count)));
                Ok(())
            }
            Err(problem) => {
                self.say(format_args!("error: {problem}"));
                match problem {
                    BackupProblem::Spool(problem) => Err(problem),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Tells the client that nothing was done.
    pub fn refuse(mut self, why: &str) {
        if self.prepare().is_ok() {
            // A client that expects something else before the line is told that there is none.
            let none: &[u8] = match self.wish {
                Wish::Whole(Task::Backup) => &[0; 4],
                Wish::Whole(Task::Restore) => &[0; ASK_BYTES],
                Wish::Whole(Task::Check) => &[],
                Wish::Record(_) => &[0; 8],
            };
            let _ = self.client.write_all(none);
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

    fn hold<D: Disk>(&mut self, directory: &str, spool: &mut Spool<'_, D>) -> Result<(), Problem<D::Error>> {
        if let Err(problem) = spool.commit() {
            self.say(format_args!("error: {problem}"));
            return Err(problem);
        }
        self.say(format_args!("ready {directory}"));
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
    pub fn finish(mut self) -> Result<(), DiskError> {
        self.send().and_then(|()| self.client.write_all(&[0; 4])).map_err(|error| of_client(&error))
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

/// What ended a copy.
#[derive(Debug)]
pub enum Failure {
    /// The server, or the way to it.
    Server(io::Error),
    /// The file of the backup.
    File(io::Error),
}

/// Copies a backup that comes in pieces to `out`.
///
/// # Errors
/// When the server ends early, or `out` takes no more.
pub fn copy_pieces(server: &mut impl Read, out: &mut impl Write) -> Result<(), Failure> {
    let mut piece = [0; PIECE_BYTES];
    loop {
        let mut len = [0; 4];
        server.read_exact(&mut len).map_err(Failure::Server)?;
        let len = u32::from_be_bytes(len) as usize;
        let Some(piece) = piece.get_mut(..len) else { return Err(Failure::Server(io::ErrorKind::InvalidData.into())) };
        if len == 0 {
            return Ok(());
        }
        server.read_exact(piece).map_err(Failure::Server)?;
        out.write_all(piece).map_err(Failure::File)?;
    }
}

/// A file that the client reads for us, part by part.
pub struct Parts<'c> {
    client: &'c UnixStream,
    offset: u64,
}

impl<'c> Parts<'c> {
    /// From its start.
    pub fn new(client: &'c UnixStream) -> Self {
        Self { client, offset: 0 }
    }

    fn ask(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(PIECE_BYTES);
        let mut ask = [0; ASK_BYTES];
        ask[..8].copy_from_slice(&self.offset.to_be_bytes());
        ask[8..].copy_from_slice(&(wanted as u32).to_be_bytes());
        self.client.write_all(&ask)?;
        let mut len = [0; 4];
        self.client.read_exact(&mut len)?;
        let part = buffer.get_mut(..u32::from_be_bytes(len) as usize).ok_or(io::ErrorKind::InvalidData)?;
        self.client.read_exact(part)?;
        self.offset += part.len() as u64;
        Ok(part.len())
    }
}

impl embedded_io::ErrorType for Parts<'_> {
    type Error = DiskError;
}

impl embedded_io::Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DiskError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.ask(buffer).map_err(|error| of_client(&error))
    }
}

impl embedded_io::Seek for Parts<'_> {
    /// The end is not known.
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.offset = offset.ok_or(DiskError(Errno::INVAL))?;
        Ok(self.offset)
    }
}

/// Answers the server's asking for parts of a backup.
///
/// # Errors
/// When the server ends early, or `file` can't be read.
pub fn serve_parts(server: &mut (impl Read + Write), file: &mut (impl Read + io::Seek)) -> Result<(), Failure> {
    let mut part = [0; 4 + PIECE_BYTES];
    loop {
        let mut ask = [0; ASK_BYTES];
        server.read_exact(&mut ask).map_err(Failure::Server)?;
        let offset = ask[..8].iter().fold(0, |offset, byte| offset << 8 | u64::from(*byte));
        let wanted = ask[8..].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        if wanted == 0 {
            return Ok(());
        }
        file.seek(io::SeekFrom::Start(offset)).map_err(Failure::File)?;
        let mut len = 0;
        while len < wanted.min(PIECE_BYTES) {
            match file.read(&mut part[4 + len..4 + wanted.min(PIECE_BYTES)]).map_err(Failure::File)? {
                0 => break,
                read => len += read,
            }
        }
        part[..4].copy_from_slice(&(len as u32).to_be_bytes());
        server.write_all(&part[..4 + len]).map_err(Failure::Server)?;
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
/// Offset and length.
const ASK_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A file on a disk that is full and can't be read.
    struct BadFile;

    impl Write for BadFile {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whose_fault_it_is() {
        let backup = [&4u32.to_be_bytes()[..], b"abcd", &[0; 4]].concat();
        let full = copy_pieces(&mut backup.as_slice(), &mut BadFile);
        assert!(matches!(full, Err(Failure::File(error)) if error.kind() == io::ErrorKind::StorageFull));
        for len in 0..backup.len() {
            let cut = copy_pieces(&mut &backup[..len], &mut io::sink());
            assert!(matches!(cut, Err(Failure::Server(_))), "cut after {len}");
        }
        assert!(copy_pieces(&mut backup.as_slice(), &mut io::sink()).is_ok());
    }
}
