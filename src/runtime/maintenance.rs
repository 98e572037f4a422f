//! What is done to a spool by hand: begun, checked, backed up, restored. The commands of `pcsd` work on a directory that
//! nobody uses; those of `pcsctl` have the running server do it, or keep still meanwhile.

use super::control::{self, Subject};
use super::disk::{self, Absence, StdDisk};
use super::state::{random_uuid, sync_directory};
use super::storage::job::{Failure, Task, copy_pieces, serve_parts};
use super::storage::status::uuid_text;
use super::storage::{disk_tables, worker::segment_bytes};
use crate::spool::{Limits, Problem, Spool, check};
use rustix::fs::{Mode, OFlags};
use std::format;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::string::String;

/// `pcsd spool init`: makes a directory a spool, wherever it lies, so that the server takes it.
///
/// # Errors
/// With the directory and the reason in words; an existing spool is left alone.
pub fn init(directory: &Path, out: &mut impl Write) -> io::Result<()> {
    let explain = |reason: &dyn core::fmt::Display| io::Error::other(format!("{}: {reason}", directory.display()));
    let disk = disk::make(directory).map_err(|absence| match absence {
        Absence::InUse => explain(&"the server uses it"),
        absence => explain(&absence),
    })?;
    let has_marker = disk.has_marker().unwrap_or(false);
    let uuid = random_uuid()?;
    let mut spool = Spool::new(disk, disk_tables(), Limits::NONE);
    match spool.format_with(uuid, segment_bytes(0)) {
        Ok(()) => writeln!(out, "{}: a spool now, UUID {}", directory.display(), uuid_text(&uuid)),
        Err(Problem::NotEmpty) if has_marker => Err(explain(&"it is a spool already")),
        Err(Problem::NotEmpty) => {
            Err(explain(&"it has files of a spool, log-*, blob-* or greeting-*, whose file pcsd-spool is gone"))
        }
        Err(problem) => Err(explain(&problem)),
    }
}

/// `spool check DIR`: says what there is in a spool that nobody uses. Writes nothing; whether nothing is damaged.
///
/// # Errors
/// When there is no spool that can be read, with the reason in words.
pub fn check(directory: &Path, out: &mut impl Write) -> io::Result<bool> {
    let disk = look_into(directory)?;
    if disk.is_in_use() {
        let reason = "the server uses it: `pcsctl spool check` has it keep still meanwhile";
        return Err(io::Error::other(format!("{}: {reason}", directory.display())));
    }
    look_through(directory, disk, out)
}

fn look_into(directory: &Path) -> io::Result<StdDisk> {
    StdDisk::look_into(directory).map_err(|error| of_file(directory, &error.into()))
}

fn look_through(directory: &Path, disk: StdDisk, out: &mut impl Write) -> io::Result<bool> {
    let explain = |reason: &dyn core::fmt::Display| io::Error::other(format!("{}: {reason}", directory.display()));
    let (_, result) = check::check(disk, disk_tables());
    let report = result.map_err(|problem| explain(&problem))?;
    writeln!(out, "{}: {report}", directory.display())?;
    Ok(report.damaged_bytes == 0 && report.lost_segments == 0 && report.gone_blobs == 0)
}

/// `pcsctl spool check`: has the server keep still, and checks the directory it uses.
///
/// # Errors
/// As [`check()`], and what the server says.
pub fn check_running(socket: &Path, out: &mut impl Write) -> io::Result<bool> {
    let mut server = BufReader::new(knock(socket, Task::Check)?);
    let line = last_line(socket, &mut server)?;
    let directory = line.strip_prefix("ready ").ok_or(io::ErrorKind::InvalidData)?;
    // The server goes on when the connection is closed.
    let directory = Path::new(directory);
    look_through(directory, look_into(directory)?, out)
}

/// `pcsctl backup FILE`: the file appears when the backup is complete.
///
/// # Errors
/// With the reason in words.
pub fn backup(socket: &Path, file: &Path, out: &mut impl Write) -> io::Result<()> {
    let line = write_file(file, |backup| backup_to(socket, file, backup))?;
    writeln!(out, "{}: {line}", file.display())
}

/// Makes a file that appears when it is complete, instead of what was there.
///
/// # Errors
/// What `fill` says, or with the file and the reason in words.
pub fn write_file<T>(file: &Path, fill: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other(format!("{}: not a file", file.display())));
    }
    let mut name = std::ffi::OsString::from(file);
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    // What people wrote to each other is for the owner's eyes, and nobody else has made the file.
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary);
    let result = created.map_err(|error| of_file(file, &error)).and_then(|mut created| {
        let filled = fill(&mut created)?;
        let is_safe = created.sync_all().and_then(|()| fs::rename(temporary, file)).and_then(|()| sync_parent(file));
        is_safe.map(|()| filled).map_err(|error| of_file(file, &error))
    });
    if result.is_err() {
        let _ = fs::remove_file(temporary);
    }
    result
}

fn backup_to(socket: &Path, file: &Path, backup: &mut File) -> io::Result<String> {
    let mut server = BufReader::new(knock(socket, Task::Backup)?);
    copy_pieces(&mut server, backup).map_err(|failure| of_either(socket, file, failure))?;
    last_line(socket, &mut server)
}

/// `pcsctl restore FILE`: adds what is missing.
///
/// # Errors
/// With the reason in words.
pub fn restore(socket: &Path, file: &Path, out: &mut impl Write) -> io::Result<()> {
    // Looked at before it is opened: a pipe would be waited for.
    let is_file = fs::metadata(file).map_err(|error| of_file(file, &error))?.is_file();
    if !is_file {
        return Err(io::Error::other(format!("{}: not a file", file.display())));
    }
    let mut backup = File::open(file).map_err(|error| of_file(file, &error))?;
    let mut server = knock(socket, Task::Restore)?;
    serve_parts(&mut server, &mut backup).map_err(|failure| of_either(socket, file, failure))?;
    let line = last_line(socket, &mut BufReader::new(server))?;
    writeln!(out, "{}: {line}", file.display())
}

fn knock(socket: &Path, task: Task) -> io::Result<std::os::unix::net::UnixStream> {
    control::knock(socket, &Subject::Spool(task).into())
}

/// The line by which the server says how it went.
///
/// # Errors
/// When it did not go well.
pub fn last_line(socket: &Path, server: &mut BufReader<impl Read>) -> io::Result<String> {
    let mut line = String::new();
    server.take(LINE_BYTES_MAX).read_line(&mut line).map_err(|error| control::explain(socket, &error))?;
    let line = line.trim_end();
    match line.strip_prefix("error: ") {
        Some(reason) => Err(io::Error::other(String::from(reason))),
        None if line.is_empty() => Err(control::explain(socket, &io::ErrorKind::UnexpectedEof.into())),
        None => Ok(line.into()),
    }
}

fn sync_parent(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(sync_directory(rustix::fs::open(parent, flags, Mode::empty())?)?)
}

/// What ended a copy, in words.
pub fn of_either(socket: &Path, file: &Path, failure: Failure) -> io::Error {
    match failure {
        Failure::Server(error) => control::explain(socket, &error),
        Failure::File(error) => of_file(file, &error),
    }
}

/// An error of a file, with its name.
pub fn of_file(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

const LINE_BYTES_MAX: u64 = 1024;
