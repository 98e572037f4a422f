//! A finder's disk with taps: syncs are counted, and can be held up or made to fail.

use crate::runtime::disk::{self, Absence, DiskError, DiskFile, StdDisk};
use crate::runtime::storage::worker::{Finder, Folder};
use crate::spool::{Disk, Durable, FileName};
use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};
use rustix::io::Errno;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// What is tapped: syncs are counted, and can be held up or made to fail.
#[derive(Default)]
pub struct Taps {
    pub syncs: AtomicUsize,
    pub fails: AtomicBool,
    is_stalled: Mutex<bool>,
    goes_on: Condvar,
}

impl Taps {
    pub fn stall(&self, is_stalled: bool) {
        *self.is_stalled.lock().unwrap() = is_stalled;
        self.goes_on.notify_all();
    }
}

pub struct Tapped {
    disk: StdDisk,
    taps: Arc<Taps>,
}

pub struct TappedFile {
    file: DiskFile,
    taps: Arc<Taps>,
}

impl Disk for Tapped {
    type Error = DiskError;
    type File = TappedFile;

    fn open(&mut self, name: FileName) -> Result<Option<TappedFile>, DiskError> {
        let file = self.disk.open(name)?;
        Ok(file.map(|file| TappedFile { file, taps: self.taps.clone() }))
    }

    fn create(&mut self, name: FileName) -> Result<TappedFile, DiskError> {
        Ok(TappedFile { file: self.disk.create(name)?, taps: self.taps.clone() })
    }

    fn remove(&mut self, name: FileName) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn list(&mut self, each: &mut dyn FnMut(FileName, u64)) -> Result<(), DiskError> {
        self.disk.list(each)
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        self.disk.sync_directory()
    }

    fn is_full(error: &DiskError) -> bool {
        StdDisk::is_full(error)
    }
}

impl ErrorType for TappedFile {
    type Error = DiskError;
}

impl Read for TappedFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read(buffer)
    }
}

impl Write for TappedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, DiskError> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.flush()
    }
}

impl Seek for TappedFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        self.file.seek(to)
    }
}

impl Durable for TappedFile {
    fn sync(&mut self) -> Result<(), DiskError> {
        self.taps.syncs.fetch_add(1, Ordering::Relaxed);
        let mut is_stalled = self.taps.is_stalled.lock().unwrap();
        while *is_stalled {
            is_stalled = self.taps.goes_on.wait(is_stalled).unwrap();
        }
        drop(is_stalled);
        if self.taps.fails.load(Ordering::Relaxed) { Err(DiskError(Errno::IO)) } else { self.file.sync() }
    }
}

pub struct TappedFolder(pub PathBuf, pub Arc<Taps>);

impl Finder for TappedFolder {
    type Disk = Tapped;

    fn find(&mut self) -> Result<Tapped, Absence> {
        Ok(Tapped { disk: disk::make(&self.0)?, taps: self.1.clone() })
    }

    fn is_in_place(&self, disk: &Tapped) -> bool {
        disk.disk.is_in_place()
    }

    fn free_bytes(&self, disk: &Tapped) -> Option<u64> {
        disk.disk.free_bytes()
    }

    fn mark(&self) -> Option<u64> {
        Folder::new(&self.0).mark()
    }
}
