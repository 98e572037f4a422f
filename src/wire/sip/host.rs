//! Hosts and ports in URIs and Via (RFC 3261 §25.1 `hostport`, RFC 5118 §4).
//!
//! Accepted beyond the grammar: underscores in names, a trailing dot, and any label that does not make the name look
//! like an IPv4 address. Refused: three colons in a row in IPv6 (RFC 5118 §4.10).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lex::{self, HOST, Read, mismatch};
use crate::base::text::Writer;

/// A host: a name or an address.
///
/// Its tag is a whole word, or the addresses would stand unaligned behind one byte and make copies slow.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Host<'b> {
    /// A domain name as written; names compare regardless of case.
    Name(&'b [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, which stands in brackets in SIP.
    V6(Ipv6Addr),
}

impl<'b> Host<'b> {
    /// Reads all of `text`, an IPv6 address with its brackets; `None` when it is no host.
    pub fn parse(text: &'b [u8]) -> Option<Self> {
        match host(text) {
            Ok(([], (host, _))) => Some(host),
            _ => None,
        }
    }

    /// The address, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// Whether both are the same host: addresses by value, names regardless of case.
    pub fn eq_ignore_case(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::V4(a), Host::V4(b)) => a == b,
            (Self::V6(a), Host::V6(b)) => a == b,
            _ => false,
        }
    }

    /// Writes the host, IPv6 in brackets.
    pub fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Name(name) => out.put(name),
            Self::V4(address) => out.host(IpAddr::V4(*address)),
            Self::V6(address) => out.host(IpAddr::V6(*address)),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.eq_ignore_case(other)
    }
}

impl Eq for Host<'_> {}

/// An address without or with brackets, as the `received` parameter has it (RFC 5118 §4.5).
pub(super) fn ip(text: &[u8]) -> Option<IpAddr> {
    match text {
        [b'[', address @ .., b']'] => v6(address).map(IpAddr::V6),
        _ => v4(text).map(IpAddr::V4).or_else(|| v6(text).map(IpAddr::V6)),
    }
}

/// A host, and how it was written.
#[inline(always)]
pub(super) fn host(input: &[u8]) -> Read<'_, (Host<'_>, &[u8])> {
    if input.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', input) else { return mismatch() };
        let Some(address) = v6(&input[1..end]) else { return mismatch() };
        return Ok((&input[end + 1..], (Host::V6(address), &input[..=end])));
    }
    let (rest, text) = lex::run(HOST)(input)?;
    if let Some(address) = v4(text) {
        return Ok((rest, (Host::V4(address), text)));
    }
    if text[0] == b'.' || text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) {
        return mismatch();
    }
    Ok((rest, (Host::Name(text), text)))
}

/// A port number.
pub(super) fn port(input: &[u8]) -> Read<'_, u16> {
    let (rest, number) = lex::digits(input)?;
    match u16::try_from(number) {
        Ok(port) => Ok((rest, port)),
        Err(_) => mismatch(),
    }
}

/// Four decimal numbers of up to three digits; leading zeros don't make them octal.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    if text.len() > 15 || !text.first()?.is_ascii_digit() {
        return None;
    }
    let mut octets = [0u8; 4];
    let mut at = 0;
    let mut len = 0;
    let mut value = 0u32;
    for byte in text {
        match byte {
            b'0'..=b'9' if len < 3 => {
                value = value * 10 + u32::from(byte - b'0');
                len += 1;
            }
            b'.' if len > 0 && at < 3 => {
                octets[at] = u8::try_from(value).ok()?;
                (at, len, value) = (at + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if at != 3 || len == 0 {
        return None;
    }
    octets[3] = u8::try_from(value).ok()?;
    Some(Ipv4Addr::from(octets))
}

fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    if text.len() > 45 {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(Host::parse(b"Home.Example"), Some(Host::Name(b"home.example")));
        assert_eq!(Host::parse(b"192.0.2.001"), Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(Host::parse(b"[2001:DB8::10:5070]"), Some(Host::V6("2001:db8::10:5070".parse().unwrap())));
        assert_eq!(
            Host::parse(b"[2001:db8::192.0.2.1]").and_then(|host| host.ip()),
            "2001:db8::192.0.2.1".parse().ok()
        );
        assert_eq!(Host::parse(b"3com.example"), Some(Host::Name(b"3com.example")));
        for bad in [
            &b""[..],
            b"192.0.2",
            b"192.0.2.256",
            b"1.2.3.4.5",
            b"[::1",
            b"[2001:db8:::192.0.2.1]",
            b"::1",
            b"a b",
            b".a",
            b"a/b",
        ] {
            assert_eq!(Host::parse(bad), None, "{}", bad.escape_ascii());
        }
        assert!(Host::Name(b"::1") != Host::V6(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn received_addresses() {
        assert_eq!(ip(b"2001:db8::9:255"), ip(b"[2001:db8::9:255]"));
        assert_eq!(ip(b"192.0.2.129"), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 129))));
        assert!(ip(b"").is_none() && ip(b"[192.0.2.1]").is_none() && ip(b"host").is_none());
    }

    #[test]
    fn ports() {
        assert_eq!(port(b"05060;"), Ok((&b";"[..], 5060)));
        assert!(port(b"65536").is_err() && port(b"").is_err() && port(b"-1").is_err());
    }
}
