//! The configuration file: read at start and on SIGHUP, and printed fault by fault.

use super::zone;
use crate::config::model::{LogLevel, Model};
use core::fmt;
use log::LevelFilter;
use static_cell::ConstStaticCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::vec::Vec;

/// Why a configuration file can't be used.
#[derive(Debug)]
pub enum Refusal {
    /// It can't be read.
    Unreadable(io::Error),
    /// It is larger than [`FILE_BYTES_MAX`].
    TooLarge,
    /// It has so many faults; each was reported.
    Faulty(usize),
}

/// Reads the file into `model`, which is usable when there is no error; where the file names no time zone, it is the
/// machine's. `report` gets each fault as text.
///
/// # Errors
/// See [`Refusal`].
pub fn read(path: &Path, model: &mut Model, report: &mut dyn FnMut(fmt::Arguments<'_>)) -> Result<(), Refusal> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(Refusal::Unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(Refusal::Unreadable)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    *model = Model::new();
    match model.read(&text, &mut |fault| report(format_args!("{fault}"))) {
        0 => {
            if !model.main.timezone.is_known() {
                model.main.timezone = zone::of_machine();
            }
            Ok(())
        }
        faults => Err(Refusal::Faulty(faults)),
    }
}

/// The one place a configuration is read into; the server keeps a copy of what it uses. To be taken once.
pub fn model() -> &'static mut Model {
    static MODEL: ConstStaticCell<Model> = ConstStaticCell::new(Model::new());
    MODEL.take()
}

/// The log's filter for a configured level.
pub fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    }
}

/// Largest configuration file, bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "can't be read: {error}"),
            Self::TooLarge => write!(f, "is larger than {} KB", FILE_BYTES_MAX / 1024),
            Self::Faulty(1) => f.write_str("has 1 fault"),
            Self::Faulty(faults) => write!(f, "has {faults} faults"),
        }
    }
}
