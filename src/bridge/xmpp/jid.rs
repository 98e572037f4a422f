//! Addresses of XMPP (RFC 7622): the bare JID in lower case, which is how people are known here, and where a server asks
//! to go.
//!
//! Left out: PRECIS beyond case mapping. What a server hands out is in its own canonical form already, and a form that
//! the server would not take for the same makes two people of one at worst.

use heapless::String;

use crate::base::limits::ADDRESS_BYTES;
use crate::wire::xml::Text;

/// A bare JID.
pub type Bare = String<ADDRESS_BYTES, u8>;
/// A host that a server asks to go to. A longer one is not gone to.
pub type Place = String<64, u8>;

/// The bare JID in an attribute; `None` when it is none, or has more than [`ADDRESS_BYTES`].
pub fn bare(jid: Text<'_>) -> Option<Bare> {
    of_chars(jid.chars())
}

/// The bare JID in a text.
pub fn of_text(jid: &str) -> Option<Bare> {
    of_chars(jid.chars())
}

fn of_chars(chars: impl Iterator<Item = char>) -> Option<Bare> {
    let mut bare = Bare::new();
    for c in chars.take_while(|c| *c != '/').flat_map(char::to_lowercase) {
        if c.is_control() || c.is_whitespace() {
            return None;
        }
        bare.push(c).ok()?;
    }
    if bare.is_empty() || bare.starts_with('@') || bare.ends_with('@') { None } else { Some(bare) }
}

/// The characters of the resource of a full JID; `None` without one.
pub fn resource(jid: Text<'_>) -> Option<impl Iterator<Item = char>> {
    let mut chars = jid.chars();
    chars.find(|c| *c == '/').map(|_| chars)
}

/// The user of an address, empty when there is none.
pub fn user(address: &str) -> &str {
    address.split_once('@').map_or("", |(user, _)| user)
}

/// The domain of an address.
pub fn domain(address: &str) -> &str {
    address.split_once('@').map_or(address, |(_, domain)| domain)
}

/// The host and port that a server asks to go to (RFC 6120 §4.9.3.19).
pub fn place(text: &str, port: u16) -> Option<(Place, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().ok().filter(|port| *port != 0)?),
        _ => (text, port),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if is_bracketed {
        host.trim_matches(['[', ']']).parse::<core::net::Ipv6Addr>().ok()?;
    } else if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let mut name = Place::try_from(host).ok()?;
    name.make_ascii_lowercase();
    Some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_addresses() {
        assert_eq!(of_text("Bob@Example.ORG/Phone").as_deref(), Some("bob@example.org"));
        assert_eq!(of_text("B\u{d6}B@x/a/b").as_deref(), Some("b\u{f6}b@x"));
        assert_eq!(of_text("example.org").as_deref(), Some("example.org"));
        for none in ["", "/x", "@x", "x@", "a b@x", "a\n@x"] {
            assert_eq!(of_text(none), None, "{none}");
        }
        let long = "x".repeat(ADDRESS_BYTES);
        assert!(of_text(&long).is_some() && of_text(&std::format!("{long}x")).is_none());
        assert_eq!((user("a@b"), domain("a@b"), user("b"), domain("b")), ("a", "b", "", "b"));
    }

    #[test]
    fn places() {
        let shown = |text| place(text, 5222).map(|(host, port)| std::format!("{host} {port}"));
        assert_eq!(shown("Other.Example").as_deref(), Some("other.example 5222"));
        assert_eq!(shown("192.0.2.1:5555").as_deref(), Some("192.0.2.1 5555"));
        assert_eq!(shown("[2001:db8::1]:1").as_deref(), Some("[2001:db8::1] 1"));
        for none in ["", ":1", "x:0", "x:99999", "x y", "[zz]", "x/y"] {
            assert_eq!(shown(none), None, "{none}");
        }
    }
}
