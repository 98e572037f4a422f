//! The name servers of the machine: resolv.conf(5), read again when it changes.
//!
//! Looked at every few seconds, as the addresses are: on a router the file is rewritten when the line to the provider
//! comes up.

use crate::sip::resolver::parse_resolv_conf;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;
use std::vec::Vec;

/// The file as it was when last looked at.
#[derive(Default)]
pub struct Nameservers {
    seen: Option<Seen>,
    known: Vec<SocketAddr>,
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
enum Seen {
    Nothing,
    File { modified: Option<SystemTime>, len: u64 },
    Unusable(io::ErrorKind),
}

impl Nameservers {
    /// Looks again: all name servers, if any of them has changed. Without a file it is the one on this machine.
    ///
    /// # Errors
    /// When the file can't be read, each time it has changed; what was known stays.
    pub fn check(&mut self, path: &Path) -> io::Result<Option<&[SocketAddr]>> {
        // Nobody may be at the other end of a pipe.
        let usable = fs::metadata(path).and_then(|metadata| {
            let refused = || io::Error::new(io::ErrorKind::InvalidInput, "not a file");
            if metadata.is_file() { Ok(metadata) } else { Err(refused()) }
        });
        let seen = match &usable {
            Ok(metadata) => Seen::File { modified: metadata.modified().ok(), len: metadata.len() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::Nothing,
            Err(error) => Seen::Unusable(error.kind()),
        };
        if self.seen.as_ref() == Some(&seen) {
            return Ok(None);
        }
        let is_there = seen != Seen::Nothing;
        self.seen = Some(seen);
        let mut text = Vec::new();
        if is_there {
            usable.and_then(|_| File::open(path))?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        }
        let found = parse_resolv_conf(&text);
        if self.known == found[..] {
            return Ok(None);
        }
        self.known = found.to_vec();
        Ok(Some(&self.known))
    }
}

const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_when_it_changes() {
        let path = std::env::temp_dir().join(std::format!("pcsd-resolv-{}", std::process::id()));
        let mut watch = Nameservers::default();
        let servers = |text: Option<&[SocketAddr]>| text.map(|it| it.iter().map(SocketAddr::ip).collect::<Vec<_>>());
        assert_eq!(servers(watch.check(&path).unwrap()).unwrap().len(), 1, "without a file this machine is asked");
        fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(servers(watch.check(&path).unwrap()), Some(std::vec!["192.0.2.1".parse().unwrap()]));
        assert!(watch.check(&path).unwrap().is_none());
        fs::write(&path, "# the same\nnameserver 192.0.2.1\n").unwrap();
        assert!(watch.check(&path).unwrap().is_none());
        fs::write(&path, "nameserver 192.0.2.1\nnameserver 2001:db8::1\n").unwrap();
        assert_eq!(servers(watch.check(&path).unwrap()).unwrap().len(), 2);
        fs::remove_file(&path).unwrap();
        assert!(watch.check(&path).unwrap().is_some());
    }

    #[test]
    fn what_is_no_file_is_said_once_and_not_waited_for() {
        let path = std::env::temp_dir().join(std::format!("pcsd-resolv-pipe-{}", std::process::id()));
        let (tell, hear) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap().success();
            assert!(made);
            let mut watch = Nameservers::default();
            for unusable in [path.clone(), path.join("below")] {
                assert!(watch.check(&unusable).is_err(), "{}", unusable.display());
                assert!(watch.check(&unusable).unwrap().is_none(), "said again each time");
            }
            fs::remove_file(&path).unwrap();
            assert!(watch.check(&path).unwrap().is_some(), "looked at again when it is better");
            let _ = tell.send(());
        });
        hear.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits for somebody to write");
    }
}
