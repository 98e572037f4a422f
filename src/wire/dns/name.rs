//! Domain names (RFC 1035 §3.1, §4.1.4): wire form, text form, and decompression with hard bounds.

use core::fmt;

use crate::base::text::{Printable, Writer};

/// Compression pointers followed in one name. Senders use one, hardly ever more; a chain of them is an attack.
pub const POINTERS_PER_NAME: usize = 16;
/// Bytes of a name in wire form, its root label included (RFC 1035 §2.3.4).
const NAME_BYTES: usize = 255;
/// Bytes of a label.
const LABEL_BYTES: usize = 63;

/// A domain name in wire form, not compressed. Names compare regardless of ASCII case.
#[derive(Clone)]
pub struct Name {
    /// Labels, each behind its length, without the root label at the end.
    labels: heapless::Vec<u8, { NAME_BYTES - 1 }, u8>,
}

/// A text that is no domain name, or whose name would be too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadName;

impl Name {
    /// The root.
    pub const ROOT: Self = Self { labels: heapless::Vec::new() };

    /// Reads a host name as text, with or without a dot at the end: letters, digits, hyphens and underscores.
    pub fn from_text(text: &[u8]) -> Result<Self, BadName> {
        let mut name = Self::ROOT;
        for label in text.strip_suffix(b".").unwrap_or(text).split(|byte| *byte == b'.') {
            if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return Err(BadName);
            }
            name.push(label)?;
        }
        Ok(name)
    }

    /// The name with `labels`, a text as [`Name::from_text`] reads it, in front: where a service is looked for.
    pub fn below(&self, labels: &str) -> Result<Self, BadName> {
        let mut name = Self::from_text(labels.as_bytes())?;
        name.labels.extend_from_slice(&self.labels).map_err(|_| BadName)?;
        Ok(name)
    }

    /// Whether it is the root: "there is no such service" as the target of an SRV record.
    pub fn is_root(&self) -> bool {
        self.labels.is_empty()
    }

    /// The labels, first to last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.labels[..];
        core::iter::from_fn(move || {
            let (len, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked((*len).into())?;
            rest = tail;
            Some(label)
        })
    }

    /// Writes the wire form.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(&self.labels);
        out.put(&[0]);
    }

    /// Reads the name at `at` of a message; with it where the bytes after it begin.
    pub(super) fn read(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut name = Self::ROOT;
        let (mut at, mut end, mut pointers) = (at, None, 0);
        // A pointer leads to before the place where the last run of labels began, so there is no way round.
        let mut limit = at;
        loop {
            match *message.get(at)? {
                0 => return Some((name, end.unwrap_or(at + 1))),
                len @ 1..=63 => {
                    let next = at + 1 + usize::from(len);
                    name.push(message.get(at + 1..next)?).ok()?;
                    at = next;
                }
                high @ 0xc0.. => {
                    let target = usize::from(high & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                    pointers += 1;
                    if target >= limit || pointers > POINTERS_PER_NAME {
                        return None;
                    }
                    end = end.or(Some(at + 2));
                    (at, limit) = (target, target);
                }
                _ => return None,
            }
        }
    }

    fn push(&mut self, label: &[u8]) -> Result<(), BadName> {
        if label.is_empty() || label.len() > LABEL_BYTES {
            return Err(BadName);
        }
        self.labels.push(label.len() as u8).map_err(|_| BadName)?;
        self.labels.extend_from_slice(label).map_err(|_| BadName)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // A length is below 64, which no letter is: only letters are folded.
        self.labels.eq_ignore_ascii_case(&other.labels)
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (i, label) in self.labels().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "." }, Printable(label))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes()).unwrap()
    }

    #[test]
    fn texts() {
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        name("sip.Other.test.").write(&mut out);
        assert_eq!(out.written(), b"\x03sip\x05Other\x04test\x00");
        assert_eq!(name("SIP.other.TEST"), name("sip.Other.test"));
        assert_ne!(name("a.b"), name("ab"));
        assert_eq!(name("other.test").below("_sip._udp"), Ok(name("_sip._udp.other.test")));
        assert_eq!(name("_sip._udp.other.test").to_string(), "_sip._udp.other.test");
        assert_eq!(name("x.y").labels().collect::<Vec<_>>(), [b"x", b"y"]);
        for bad in ["", ".", "a..b", ".a", "a b", "a/b", "\u{e5}.test", "a\0", "192.0.2.1:5060", "[::1]"] {
            assert_eq!(Name::from_text(bad.as_bytes()), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn limits_of_length() {
        let label = |len| "x".repeat(len);
        assert!(Name::from_text(label(63).as_bytes()).is_ok());
        assert_eq!(Name::from_text(label(64).as_bytes()), Err(BadName));
        // Three labels of 63 and one of 61: 3 x 64 + 62 + 1 = 255.
        let long = |last| [label(63), label(63), label(63), label(last)].join(".");
        let longest = name(&long(61));
        assert_eq!(Name::from_text(long(62).as_bytes()), Err(BadName));
        assert_eq!(longest.below("_sip"), Err(BadName));
        let mut bytes = [0; 255];
        let mut out = Writer::new(&mut bytes);
        longest.write(&mut out);
        assert_eq!(out.finish(), Ok(255));
        assert_eq!(Name::read(&bytes, 0), Some((longest, 255)));
    }

    #[test]
    fn compressed() {
        let message = b"\x04test\x00\x05other\xc0\x00\x03sip\xc0\x06\xc0\x0e";
        assert_eq!(Name::read(message, 0), Some((name("test"), 6)));
        assert_eq!(Name::read(message, 6), Some((name("other.test"), 14)));
        assert_eq!(Name::read(message, 14), Some((name("sip.other.test"), 20)));
        assert_eq!(Name::read(message, 20), Some((name("sip.other.test"), 22)));
    }

    #[test]
    fn bad_pointers() {
        // To itself, forwards, round a loop of two, past the end, and cut off.
        assert_eq!(Name::read(b"\xc0\x00", 0), None);
        assert_eq!(Name::read(b"\xc0\x02\x01a\x00", 0), None);
        assert_eq!(Name::read(b"\x01a\xc0\x04\x01b\xc0\x00", 4), None);
        assert_eq!(Name::read(b"\x01a\xc0\x00", 0), None);
        assert_eq!(Name::read(b"\x00\xff\xff", 1), None);
        assert_eq!(Name::read(b"\x00\xc0", 1), None);
        // Reserved kinds of labels (RFC 6891 §5).
        assert_eq!(Name::read(b"\x41a\x00", 0), None);
        assert_eq!(Name::read(b"\x80a\x00", 0), None);
        // Cut in a label, and before the root.
        assert_eq!(Name::read(b"\x05ab", 0), None);
        assert_eq!(Name::read(b"\x02ab", 0), None);
        assert_eq!(Name::read(b"", 0), None);
    }

    #[test]
    fn pointer_bombs() {
        // Pointer to pointer to pointer.
        let mut chain = Vec::from(*b"\x00");
        chain.extend_from_slice(b"\xc0\x00");
        for i in 0..100u8 {
            chain.extend_from_slice(&[0xc0, 1 + 2 * i]);
        }
        assert_eq!(Name::read(&chain, 1), Some((Name::ROOT, 3)));
        assert_eq!(Name::read(&chain, 1 + 2 * (POINTERS_PER_NAME - 1)).map(|(name, _)| name), Some(Name::ROOT));
        assert_eq!(Name::read(&chain, 1 + 2 * POINTERS_PER_NAME), None);
        // Five pointers, each before 63 bytes of label: 5 x 64 bytes would be too long.
        let label: String = "x".repeat(63);
        let mut bomb = Vec::from(*b"\x00");
        let mut starts = Vec::from([0usize]);
        for _ in 0..5 {
            let to = *starts.last().unwrap();
            starts.push(bomb.len());
            bomb.push(63);
            bomb.extend_from_slice(label.as_bytes());
            bomb.extend_from_slice(&[0xc0 | (to >> 8) as u8, to as u8]);
        }
        assert_eq!(Name::read(&bomb, starts[3]).unwrap().0.labels().count(), 3);
        assert_eq!(Name::read(&bomb, starts[4]), None);
        assert_eq!(Name::read(&bomb, starts[5]), None);
    }
}
