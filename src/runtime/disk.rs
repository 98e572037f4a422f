//! A spool's disk on a real file system, and the question which directory may be one.
//!
//! A USB stick can be pulled out at any moment; what is left is its bare mount point, a directory of the router's flash,
//! into which nothing may ever be written. Two things keep us from that. Every file is opened relative to the directory
//! that was looked at ([`StdDisk`] holds it open), so a path that leads elsewhere meanwhile does not matter. And a
//! directory is only taken if it has a marker, or lies on a mounted file system of its own ([`find`]).
//!
//! What the kernel says of such disks: unplugging gives EIO and a read-only file system; vfat has no fsync for
//! directories (EINVAL), which counts as done.

use super::state::sync_directory;
use crate::spool::disk::{Disk, Durable, FileName};
use core::fmt;
use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::string::ToString;

/// One directory as a disk. While it exists, no other program of ours has the same one for writing.
#[derive(Debug)]
pub struct StdDisk {
    directory: OwnedFd,
    path: PathBuf,
    identity: Identity,
    is_read_only: bool,
    /// Nothing has to outlive the power: writing never waits for a medium.
    is_memory: bool,
}

/// Which directory it is, whatever its path leads to later: file system and inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
}

/// Why a directory can't be a disk now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Absence {
    /// There is no such directory, nor a mounted disk that it could be made on.
    NotThere,
    /// No marker, and no mounted file system of its own: likely a bare mount point.
    NotMounted,
    /// Mounted read-only, as after an error.
    ReadOnly,
    /// Another program has it.
    InUse,
    /// Anything else the system says.
    System(Errno),
}

/// What the system says, with its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskError(pub Errno);

/// Looks whether the directory at `path` may be used for a spool, and takes it. A directory that is missing is made if
/// its parent is the root of a mounted disk.
///
/// # Errors
/// See [`Absence`].
pub fn find(path: &Path) -> Result<StdDisk, Absence> {
    match rustix::fs::stat(path) {
        Err(Errno::NOENT) => make_on_mounted_disk(path)?,
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let disk = StdDisk::open(path)?;
    if disk.is_on_read_only()? {
        return Err(Absence::ReadOnly);
    }
    if !disk.has_marker()? && !disk.is_mounted() {
        return Err(Absence::NotMounted);
    }
    Ok(disk)
}

/// Takes the directory at `path` for what has to outlive the program, but not the machine's power. It should be on tmpfs;
/// wherever it is, writing to it does not wait.
///
/// # Errors
/// See [`Absence`].
pub fn memory(path: &Path) -> Result<StdDisk, Absence> {
    Ok(StdDisk { is_memory: true, ..make(path)? })
}

/// Takes the directory at `path` whatever it lies on, and makes it when it is missing.
///
/// # Errors
/// See [`Absence`].
pub fn make(path: &Path) -> Result<StdDisk, Absence> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        match Errno::from_io_error(&error) {
            // Of something else.
            Some(Errno::EXIST) => Absence::System(Errno::NOTDIR),
            error => Absence::System(error.unwrap_or(Errno::IO)),
        }
    })?;
    let disk = StdDisk::open(path)?;
    if disk.is_on_read_only()? { Err(Absence::ReadOnly) } else { Ok(disk) }
}

impl StdDisk {
    /// Opens the directory and takes the lock on it.
    fn open(path: &Path) -> Result<Self, Absence> {
        let disk = Self { is_read_only: false, ..Self::look_into(path)? };
        match rustix::fs::flock(&disk.directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => Err(Absence::InUse),
            // Some file systems have no locks.
            Ok(()) | Err(_) => Ok(disk),
        }
    }

    /// Opens the directory for reading only, and without the lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn look_into(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let identity = Identity::of(&rustix::fs::fstat(&directory)?);
        Ok(Self { directory, path: path.to_path_buf(), identity, is_read_only: true, is_memory: false })
    }

    /// Whether somebody has it for writing; if not, nobody will as long as this exists.
    pub fn is_in_use(&self) -> bool {
        rustix::fs::flock(&self.directory, FlockOperation::NonBlockingLockShared) == Err(Errno::AGAIN)
    }

    /// Whether the path still leads to this directory.
    pub fn is_in_place(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    /// Room for us on the file system, bytes.
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(&self.directory).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }

    fn is_on_read_only(&self) -> Result<bool, Errno> {
        Ok(rustix::fs::fstatvfs(&self.directory)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Whether a spool was begun here.
    ///
    /// # Errors
    /// What the system says.
    pub fn has_marker(&self) -> Result<bool, Errno> {
        match rustix::fs::statat(&self.directory, FileName::Marker.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(is_file(&stat)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it lies on a file system of its own that is not part of the running system.
    fn is_mounted(&self) -> bool {
        let Ok(path) = fs::canonicalize(&self.path) else { return false };
        let on_same = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.dev() == self.identity.device);
        let root = path.ancestors().take_while(|path| on_same(path)).last();
        root.is_some_and(|root| !is_of_the_system(root))
    }

    fn check_writable(&self) -> Result<(), Errno> {
        if self.is_read_only { Err(Errno::ROFS) } else { Ok(()) }
    }

    fn open_file(&self, name: FileName, flags: OFlags) -> Result<DiskFile, Errno> {
        // A pipe of that name is not waited for.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.directory, name.to_string(), flags, Mode::RUSR | Mode::WUSR)?;
        if !is_file(&rustix::fs::fstat(&file)?) {
            return Err(Errno::INVAL);
        }
        Ok(DiskFile { file, is_memory: self.is_memory })
    }
}

impl Disk for StdDisk {
    type Error = DiskError;
    type File = DiskFile;

    fn open(&mut self, name: FileName) -> Result<Option<DiskFile>, DiskError> {
        let mode = if self.is_read_only { OFlags::RDONLY } else { OFlags::RDWR };
        match self.open_file(name, mode) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(DiskError(error)),
        }
    }

    fn create(&mut self, name: FileName) -> Result<DiskFile, DiskError> {
        self.check_writable()?;
        Ok(self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC)?)
    }

    fn remove(&mut self, name: FileName) -> Result<(), DiskError> {
        self.check_writable()?;
        match rustix::fs::unlinkat(&self.directory, name.to_string(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(DiskError(error)),
        }
    }

    fn list(&mut self, each: &mut dyn FnMut(FileName, u64)) -> Result<(), DiskError> {
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().and_then(FileName::parse) else { continue };
            match rustix::fs::statat(&self.directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_file(&stat) => each(name, u64::try_from(stat.st_size).unwrap_or(0)),
                // Somebody else's, or gone since.
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(DiskError(error)),
            }
        }
        Ok(())
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        if self.is_memory {
            return Ok(());
        }
        Ok(sync_directory(&self.directory)?)
    }

    fn is_full(error: &DiskError) -> bool {
        matches!(error.0, Errno::NOSPC | Errno::DQUOT)
    }
}

/// An open file of a spool.
#[derive(Debug)]
pub struct DiskFile {
    file: OwnedFd,
    is_memory: bool,
}

impl ErrorType for DiskFile {
    type Error = DiskError;
}

impl Read for DiskFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DiskError> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.file, &mut *buffer))?)
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, DiskError> {
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.file, bytes))? {
            // What nothing was written of will not be written by asking again.
            0 if !bytes.is_empty() => Err(DiskError(Errno::IO)),
            len => Ok(len),
        }
    }

    /// Nothing is held back here; see [`Durable::sync`] for what is durable.
    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl Seek for DiskFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        Ok(rustix::fs::seek(
            &self.file,
            match to {
                SeekFrom::Start(offset) => rustix::fs::SeekFrom::Start(offset),
                SeekFrom::End(offset) => rustix::fs::SeekFrom::End(offset),
                SeekFrom::Current(offset) => rustix::fs::SeekFrom::Current(offset),
            },
        )?)
    }
}

impl Durable for DiskFile {
    /// The bytes and the length, not the times: in a preallocated segment no journal of the file system is written for
    /// it. Never tried twice: after a failure the kernel has forgotten what it could not write.
    fn sync(&mut self) -> Result<(), DiskError> {
        if self.is_memory {
            return Ok(());
        }
        Ok(rustix::fs::fdatasync(&self.file)?)
    }
}

impl Identity {
    #[allow(clippy::unnecessary_cast, reason = "the types are others on other machines")]
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Makes the directory if its parent is the root of a mounted disk: a new stick, for which the path names a folder.
fn make_on_mounted_disk(path: &Path) -> Result<(), Absence> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Absence::NotThere) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    // Asked of the open directory: the disk may go at any moment, and then its path is the bare mount point.
    let above = rustix::fs::statat(&directory, "..", AtFlags::empty())?;
    let is_mount_root = above.st_dev != rustix::fs::fstat(&directory)?.st_dev;
    if !is_mount_root || fs::canonicalize(parent).is_ok_and(|parent| is_of_the_system(&parent)) {
        return Err(Absence::NotThere);
    }
    match rustix::fs::mkdirat(&directory, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(sync_directory(&directory)?),
        Err(error) => Err(error.into()),
    }
}

/// Mount points that are no disk of the family's: the root, and what the system keeps in memory or flash.
fn is_of_the_system(mount_root: &Path) -> bool {
    let of_the_system = ["/", "/dev", "/dev/shm", "/overlay", "/rom", "/run", "/tmp", "/var", "/var/run", "/var/tmp"];
    of_the_system.iter().any(|path| mount_root == Path::new(path))
}

impl From<Errno> for Absence {
    fn from(error: Errno) -> Self {
        match error {
            Errno::ROFS => Self::ReadOnly,
            Errno::NOENT => Self::NotThere,
            error => Self::System(error),
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str(
                "no such directory, and no disk is mounted where it would be; `pcsd spool init DIR` makes one wherever it is",
            ),
            Self::NotMounted => {
                f.write_str("no disk is mounted there; `pcsd spool init DIR` makes a directory a spool wherever it is")
            }
            Self::ReadOnly => f.write_str("the disk is read-only"),
            Self::InUse => f.write_str("another program uses it"),
            Self::System(error) => std::io::Error::from(*error).fmt(f),
        }
    }
}

impl From<Errno> for DiskError {
    fn from(error: Errno) -> Self {
        Self(error)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from(self.0).fmt(f)
    }
}

impl core::error::Error for DiskError {}

impl embedded_io::Error for DiskError {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            Errno::NOENT => ErrorKind::NotFound,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::PermissionDenied,
            Errno::NOMEM => ErrorKind::OutOfMemory,
            _ => ErrorKind::Other,
        }
    }
}
