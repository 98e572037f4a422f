//! What `pcsctl status` says of storage.

use super::Options;
use crate::server::contract::Storage;
use crate::spool::{self, Problem, State};
use core::fmt;
use serde::Serialize;
use std::format;
use std::string::{String, ToString};
use std::time::{Duration, Instant};

/// How storage is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Where records go: `disk`, `memory` or `absent`.
    pub place: &'static str,
    /// The disk, if there is to be one.
    pub disk: Option<DiskLine>,
    /// Records in memory, if that works.
    pub memory_records: Option<usize>,
    /// The directory in memory.
    pub run_dir: String,
}

/// The disk.
#[derive(Clone, Debug, Serialize)]
pub struct DiskLine {
    /// Its directory.
    pub directory: String,
    /// UUID of its spool, of the last one when it is absent.
    pub uuid: Option<String>,
    /// Records that count.
    pub records: usize,
    /// Their bytes, and those of blobs.
    pub bytes: u64,
    /// Bytes the spool can still take.
    pub free_bytes: u64,
    /// Bytes its file system has left.
    pub disk_free_bytes: Option<u64>,
    /// Bytes found damaged.
    pub damaged_bytes: u64,
    /// What went wrong last, and seconds since.
    pub last_error: Option<String>,
    /// Why it is not there.
    pub absent: Option<String>,
    /// For how many seconds it has not been there.
    pub absent_s: Option<u64>,
}

/// The disk as its worker sees it.
#[derive(Clone, Debug)]
pub struct DiskStatus {
    directory: String,
    uuid: Option<[u8; 16]>,
    /// What the spool has.
    pub state: State,
    /// Bytes its file system has left.
    pub free_bytes: Option<u64>,
    last_error: Option<(Instant, String)>,
    absent: Option<(Instant, String)>,
    is_new: bool,
    /// When there was no room last.
    full_at: Option<Instant>,
}

impl DiskStatus {
    /// Of a disk that was not looked for yet.
    pub fn new(directory: String) -> Self {
        Self {
            directory,
            uuid: None,
            state: State::default(),
            free_bytes: None,
            last_error: None,
            absent: None,
            is_new: true,
            full_at: None,
        }
    }

    /// Where it is looked for.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// UUID of the spool that was mounted last.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        self.uuid
    }

    /// What went wrong last.
    pub fn problem_text(&self) -> Option<&str> {
        self.last_error.as_ref().map(|(_, text)| text.as_str())
    }

    /// The disk is mounted.
    pub fn mounted(&mut self, uuid: [u8; 16], report: &spool::Report) {
        let (directory, name) = (&self.directory, uuid_text(&uuid));
        match self.uuid {
            Some(former) if former != uuid => {
                log::warn!(target: "spool", "{directory}: another disk: UUID {name}, was {}", uuid_text(&former));
            }
            _ => log::info!(target: "spool", "{directory}: UUID {name}"),
        }
        let is_damaged = report.damaged_bytes > 0 || report.lost_segments > 0 || report.gone_blobs > 0;
        let level = if is_damaged { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "{directory}: {report}");
        self.uuid = Some(uuid);
        self.absent = None;
        self.is_new = false;
        self.full_at = None;
    }

    /// Something was not kept.
    pub fn problem<E: fmt::Display>(&mut self, problem: &Problem<E>) {
        if matches!(problem, Problem::Failed) {
            // It was said what.
            return;
        }
        // Said once for each time the disk fills up: a full disk is asked often.
        let is_full = matches!(problem, Problem::Full | Problem::TooMany);
        let is_news = !(is_full && self.full_at.is_some_and(|at| at.elapsed() < FULL_QUIET));
        if is_full {
            self.full_at = Some(Instant::now());
        }
        if is_news {
            log::warn!(target: "spool", "{}: {problem}", self.directory);
        }
        self.last_error = Some((Instant::now(), problem.to_string()));
    }

    /// The disk is not there. Whether it was until now, or nobody knew.
    pub fn absent(&mut self, reason: String) -> bool {
        let was_absent = self.absent.take();
        let is_news = was_absent.as_ref().is_none_or(|(_, former)| *former != reason);
        if is_news {
            log::warn!(target: "spool", "{}: {reason}", self.directory);
        }
        let is_lost = was_absent.is_none();
        self.state = State::default();
        self.free_bytes = None;
        self.absent = Some((was_absent.map_or_else(Instant::now, |(since, _)| since), reason));
        is_lost
    }

    fn line(&self) -> DiskLine {
        DiskLine {
            directory: self.directory.clone(),
            uuid: self.uuid.as_ref().map(uuid_text),
            records: self.state.records,
            bytes: self.state.bytes + self.state.blob_bytes,
            free_bytes: self.state.free_bytes,
            disk_free_bytes: self.free_bytes,
            damaged_bytes: self.state.damaged_bytes,
            last_error: self.last_error.as_ref().map(|(at, text)| format!("{text}, {} s ago", at.elapsed().as_secs())),
            absent: self.absent.as_ref().map(|(_, reason)| reason.clone()),
            absent_s: self.absent.as_ref().map(|(since, _)| since.elapsed().as_secs()),
        }
    }
}

impl Status {
    /// From what the loop and the worker know.
    pub fn new(place: Storage, options: &Options, disk: Option<&DiskStatus>, memory: Option<State>) -> Self {
        let place = match place {
            Storage::Disk => "disk",
            Storage::Memory => "memory",
            Storage::Absent => "absent",
        };
        Self {
            place,
            disk: disk.map(DiskStatus::line),
            memory_records: memory.map(|state| state.records),
            run_dir: options.run_dir.display().to_string(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "storage       {}", self.place)?;
        match &self.disk {
            None => writeln!(f, "disk          none configured: no message is kept")?,
            Some(disk) => disk.fmt(f)?,
        }
        match self.memory_records {
            Some(records) => writeln!(f, "memory        {}: {records} records", self.run_dir),
            None => writeln!(f, "memory        {}: not usable", self.run_dir),
        }
    }
}

impl fmt::Display for DiskLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uuid = self.uuid.as_deref().unwrap_or("unknown");
        match (&self.absent, self.absent_s) {
            (Some(reason), Some(since_s)) => {
                writeln!(f, "disk          {}: absent for {since_s} s: {reason}; UUID {uuid}", self.directory)?;
            }
            _ => {
                writeln!(f, "disk          {}: UUID {uuid}", self.directory)?;
                write!(f, "spool         {} records, {} bytes, {} free", self.records, self.bytes, self.free_bytes)?;
                if let Some(free) = self.disk_free_bytes {
                    write!(f, ", {free} free on the disk")?;
                }
                writeln!(f, ", {} damaged", self.damaged_bytes)?;
            }
        }
        match &self.last_error {
            Some(error) => writeln!(f, "disk error    {error}"),
            None => Ok(()),
        }
    }
}

/// A disk that refused nothing for so long, and then does, has filled up again.
const FULL_QUIET: Duration = Duration::from_secs(60);

/// As everybody writes them: 8-4-4-4-12 digits.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::new();
    for (i, byte) in uuid.iter().enumerate() {
        let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
        text += &format!("{dash}{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_not_hidden_by_what_follows_from_it() {
        let mut status = DiskStatus::new("/mnt/usb/pcsd".into());
        status.problem(&Problem::Disk("Input/output error"));
        status.problem(&Problem::<&str>::Failed);
        assert_eq!(status.problem_text(), Some("Input/output error"));
    }
}
