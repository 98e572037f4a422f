//! Text without allocation: a writer into a lent buffer, ASCII comparison, hexadecimal, base64 and base64url.

use core::fmt;

use crate::base::limits::NAME_BYTES;
use core::net::{IpAddr, SocketAddr};

/// A name that a person gave: at most [`NAME_BYTES`] of UTF-8 without control characters.
pub type Name = heapless::String<NAME_BYTES>;

/// Writes into a lent buffer and remembers when something did not fit, so that callers check once, at the end.
pub struct Writer<'o> {
    buffer: &'o mut [u8],
    len: usize,
    overflowed: bool,
}

/// The buffer was too small for what had to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl<'o> Writer<'o> {
    /// A writer at the start of `buffer`.
    pub fn new(buffer: &'o mut [u8]) -> Self {
        Self { buffer, len: 0, overflowed: false }
    }

    /// Appends `bytes`, or nothing of them when they do not fit.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if !self.overflowed => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflowed = true,
        }
    }

    /// Appends a text.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    /// Appends a number in decimal.
    pub fn number(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }

    /// Appends an IP address; one of IPv6 has no brackets.
    pub fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                for (i, octet) in ip.octets().into_iter().enumerate() {
                    self.text(if i == 0 { "" } else { "." });
                    self.number(octet.into());
                }
            }
            // A text that does not fit is remembered.
            IpAddr::V6(ip) => drop(fmt::Write::write_fmt(self, format_args!("{ip}"))),
        }
    }

    /// Appends a host as URIs and Via have it: an address of IPv6 in brackets (RFC 3261 §25.1 `hostport`).
    pub fn host(&mut self, ip: IpAddr) {
        let (open, close) = if ip.is_ipv6() { ("[", "]") } else { ("", "") };
        self.text(open);
        self.ip(ip);
        self.text(close);
    }

    /// Appends a host and its port.
    pub fn socket_address(&mut self, address: SocketAddr) {
        self.host(address.ip());
        self.text(":");
        self.number(address.port().into());
    }

    /// Appends the low `digits` hexadecimal digits of a number, in lower case.
    pub fn hex(&mut self, value: u64, digits: usize) {
        for i in (0..digits).rev() {
            self.put(&[HEX[(value >> (4 * i)) as usize & 15]]);
        }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Overwrites what was written at `at`; the patch must lie within it.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        match self.buffer[..self.len].get_mut(at..at + bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.overflowed = true,
        }
    }

    /// Takes back what was written after `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The number of bytes written, or [`Full`] when something did not fit.
    pub fn finish(self) -> Result<usize, Full> {
        if self.overflowed { Err(Full) } else { Ok(self.len) }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        if self.overflowed { Err(fmt::Error) } else { Ok(()) }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` as lower-case hexadecimal into `out`, which must be twice as long.
pub fn hex_encode<'o>(bytes: &[u8], out: &'o mut [u8]) -> &'o [u8] {
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    &out[..bytes.len() * 2]
}

/// The number that at most 16 hexadecimal digits say.
pub fn hex_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |value, digit| Some(value << 4 | u64::from((*digit as char).to_digit(16)?)))
}

/// Fills `out` from hexadecimal text of exactly twice its length.
pub fn hex_decode(text: &[u8], out: &mut [u8]) -> Option<()> {
    if text.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_number(pair)? as u8;
    }
    Some(())
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends `bytes` in base64url without padding (RFC 4648 §5): all of its characters may stand in a SIP user part.
pub fn base64url_encode(bytes: &[u8], out: &mut Writer<'_>) {
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for i in 0..=group.len() {
            out.put(&[BASE64URL[(bits >> (18 - 6 * i)) as usize & 63]]);
        }
    }
}

/// Decodes base64url without padding into `out`; the number of bytes, or `None` when it is not such text or too long.
pub fn base64url_decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    for group in text.chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0u32;
        for character in group {
            let value = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        // RFC 4648 §3.5: bits that say nothing are 0, so that no other text says the same.
        if group.len() < 4 && bits << (8 * group.len()) != 0 {
            return None;
        }
        for i in 0..group.len() - 1 {
            *out.get_mut(len)? = (bits >> (16 - 8 * i)) as u8;
            len += 1;
        }
    }
    Some(len)
}

/// Appends `bytes` in base64 with padding (RFC 4648 §4).
pub fn base64_encode(bytes: &[u8], out: &mut Writer<'_>) {
    let mut group = [0; 4];
    for three in bytes.chunks(3) {
        let mut writer = Writer::new(&mut group);
        base64url_encode(three, &mut writer);
        writer.text(&"=="[three.len() - 1..]);
        group.iter_mut().for_each(|byte| match *byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => (),
        });
        out.put(&group);
    }
}

/// Decodes base64 with padding; `None` when it is none, or more than there is room for.
pub fn base64_decode(text: &[u8], room: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut len = 0;
    for (i, four) in text.chunks(4).enumerate() {
        let is_last = (i + 1) * 4 == text.len();
        let padding = four.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 0 && !is_last || four.iter().any(|byte| matches!(byte, b'-' | b'_')) {
            return None;
        }
        let mut group = [0; 4];
        let digits = &mut group[..4 - padding];
        digits.iter_mut().zip(four).for_each(|(to, from)| {
            *to = match *from {
                b'+' => b'-',
                b'/' => b'_',
                byte => byte,
            }
        });
        len += base64url_decode(digits, room.get_mut(len..)?).filter(|decoded| *decoded > 0)?;
    }
    Some(len)
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Bytes from the network as text for a log line: what is not printable ASCII is escaped, and it is cut at 80 bytes.
pub struct Printable<'b>(pub &'b [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(80) {
            fmt::Display::fmt(&byte.escape_ascii(), f)?;
        }
        if self.0.len() > 80 { f.write_str("...") } else { Ok(()) }
    }
}

/// A text from the network as one line for a person's eyes, or a terminal's: control characters, C1 included, are blanks,
/// what is not UTF-8 is U+FFFD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OneLine<'b>(pub &'b [u8]);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for chunk in self.0.utf8_chunks() {
            for piece in chunk.valid().split_inclusive(char::is_control) {
                let text = piece.trim_end_matches(char::is_control);
                f.write_str(text)?;
                if text.len() < piece.len() {
                    f.write_char(' ')?;
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        for (bytes, expected) in [
            (&b"back at 6"[..], "back at 6"),
            ("p\u{e5} lunch".as_bytes(), "p\u{e5} lunch"),
            (b"a\r\nb\x1b[2J\x7f", "a  b [2J "),
            ("\u{9b}31m".as_bytes(), " 31m"),
            (b"x\xff\xc3", "x\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(std::format!("{}", OneLine(bytes)), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn writer_remembers_what_did_not_fit() {
        let mut buffer = [0; 8];
        let mut out = Writer::new(&mut buffer);
        out.text("ab");
        out.number(1050);
        assert_eq!(out.written(), b"ab1050");
        out.put(b"xyz");
        out.put(b"q");
        assert_eq!(out.finish(), Err(Full));
    }

    #[test]
    fn numbers() {
        let mut buffer = [0; 64];
        let mut out = Writer::new(&mut buffer);
        out.number(0);
        out.text(" ");
        out.number(u64::MAX);
        out.text(" ");
        out.hex(0xbeef, 6);
        assert_eq!(out.written(), b"0 18446744073709551615 00beef");
        assert_eq!(hex_number(b"00BeEf"), Some(0xbeef));
        assert_eq!(hex_number(b"+1"), None);
        assert_eq!(hex_number(b""), None);
    }

    #[test]
    fn addresses() {
        for text in ["192.0.2.1:5060", "0.10.255.99:0", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1"] {
            let mut buffer = [0; 64];
            let mut out = Writer::new(&mut buffer);
            out.socket_address(text.parse().unwrap());
            assert_eq!(out.written(), text.as_bytes());
        }
        let mut buffer = [0; 8];
        let mut out = Writer::new(&mut buffer);
        out.ip("2001:db8::1".parse().unwrap());
        assert_eq!(out.finish(), Err(Full));
    }

    #[test]
    fn base64url_round_trip() {
        for len in 0..20 {
            let bytes: [u8; 20] = core::array::from_fn(|i| (i * 37 + 250) as u8);
            let mut text = [0; 40];
            let mut out = Writer::new(&mut text);
            base64url_encode(&bytes[..len], &mut out);
            let written = out.finish().unwrap();
            let mut back = [0; 20];
            assert_eq!(base64url_decode(&text[..written], &mut back), Some(len));
            assert_eq!(back[..len], bytes[..len]);
        }
        assert_eq!(base64url_decode(b"A", &mut [0; 4]), None);
        assert_eq!(base64url_decode(b"AB+=", &mut [0; 4]), None);
        assert_eq!((base64url_decode(b"AB", &mut [0; 4]), base64url_decode(b"AAB", &mut [0; 4])), (None, None));
        assert_eq!(base64url_decode(b"AAAA", &mut [0; 2]), None);
    }

    #[test]
    fn hexadecimal_round_trip() {
        let mut text = [0; 8];
        assert_eq!(hex_encode(&[0, 0xff, 0x10, 9], &mut text), b"00ff1009");
        let mut back = [0; 4];
        assert_eq!(hex_decode(b"00ff1009", &mut back), Some(()));
        assert_eq!(back, [0, 0xff, 0x10, 9]);
        assert_eq!(hex_decode(b"00f", &mut back), None);
    }

    #[test]
    fn secrets() {
        assert!(same_secret(b"abc", b"abc") && !same_secret(b"abc", b"abd") && !same_secret(b"abc", b"ab"));
    }

    #[test]
    fn base64() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{3ff}~", "z79+")]
        {
            let mut out = [0; 8];
            let mut out = Writer::new(&mut out);
            base64_encode(plain.as_bytes(), &mut out);
            assert_eq!(out.written(), text.as_bytes());
            let mut room = [0; 8];
            let len = base64_decode(text.as_bytes(), &mut room).unwrap();
            assert_eq!(&room[..len], plain.as_bytes());
        }
        for none in ["Zg", "Zg=", "====", "Z===", "Zg==Zg==", "z79-", "Zh==", "Zm9vZm9vZm9v"] {
            assert_eq!(base64_decode(none.as_bytes(), &mut [0; 8]), None, "{none}");
        }
    }
}
