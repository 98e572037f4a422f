//! The time zone of the machine, as a rule of POSIX: from the variable TZ, or OpenWrt's `/etc/TZ`. Elsewhere a zone has a
//! file (RFC 8536), whose last line is the rule for the time that the file does not list: TZ may name one, and
//! `/etc/localtime` is one.

use crate::base::zone::Zone;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::vec::Vec;

/// The zone of this machine; unknown when nothing says it.
pub fn of_machine() -> Zone {
    found(std::env::var_os("TZ").as_ref().map(|it| it.as_encoded_bytes()), Path::new("/"))
}

/// The zone by what TZ says and what is in the file system below `root`.
fn found(variable: Option<&[u8]>, root: &Path) -> Zone {
    let variable = variable.map(|text| text.strip_prefix(b":").unwrap_or(text)).filter(|text| !text.is_empty());
    let of_variable = || {
        let text = variable?;
        Zone::parse(text).or_else(|| of_file(&root.join(zone_file(text)?)))
    };
    let of_machine = || of_file(&root.join("etc/TZ")).or_else(|| of_file(&root.join("etc/localtime")));
    of_variable().or_else(of_machine).unwrap_or(Zone::UNKNOWN)
}

/// Where a zone has its file, from the root: as it is, or among those of all zones.
fn zone_file(name: &[u8]) -> Option<PathBuf> {
    let name = Path::new(core::str::from_utf8(name).ok()?);
    if let Ok(absolute) = name.strip_prefix("/") {
        return Some(absolute.into());
    }
    let is_below = name.components().all(|part| matches!(part, Component::Normal(_)));
    is_below.then(|| Path::new("usr/share/zoneinfo").join(name))
}

/// The rule in a file: its last line, which in a file for people is the only one.
fn of_file(path: &Path) -> Option<Zone> {
    // Nobody may be at the other end of a pipe.
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    File::open(path).ok().filter(|_| is_file)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    Zone::parse(line.trim_ascii())
}

const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn where_a_zone_is_found() {
        let root = std::env::temp_dir().join(std::format!("pcsd-zone-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("usr/share/zoneinfo/Asia")).unwrap();
        let rule = |text: &str| Zone::parse(text.as_bytes()).unwrap();
        let of = |variable: &str| found(Some(variable.as_bytes()), &root);
        assert_eq!(found(None, &root), Zone::UNKNOWN);
        fs::write(root.join("etc/localtime"), b"TZif2\0\x01binary\n\0\nCET-1CEST,M3.5.0,M10.5.0/3\n").unwrap();
        let central = rule("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!((found(None, &root), of(""), of("nonsense")), (central, central, central));
        fs::write(root.join("etc/TZ"), "EST5EDT,M3.2.0,M11.1.0\n").unwrap();
        assert_eq!(found(None, &root), rule("EST5EDT"));
        fs::write(root.join("usr/share/zoneinfo/Asia/Kolkata"), b"TZif2\0\nIST-5:30\n").unwrap();
        let india = rule("IST-5:30");
        assert_eq!((of("Asia/Kolkata"), of(":Asia/Kolkata"), of("IST-5:30")), (india, india, india));
        assert_eq!((of("/etc/localtime"), of("../../../etc/localtime")), (central, rule("EST5EDT")));
        // A file of the first version has no rule.
        fs::write(root.join("etc/TZ"), b"TZif\0\0\0\0binary").unwrap();
        assert_eq!(found(None, &root), central);
        fs::remove_dir_all(&root).unwrap();
    }
}
