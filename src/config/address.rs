//! Addresses on other networks in the one form that the home compares: equal addresses are equal bytes.
//!
//! - XMPP: a bare JID with a local part (RFC 7622 §3), in lower case. Left out: normalization (NFC), and A-labels for what
//!   a domain has beyond ASCII; a server sends both as they are to be compared.
//! - IRC: a nick (RFC 2812 §2.3.1, and letters beyond ASCII, which some servers have), in the lower case of §2.2.
//! - Lines: any text that can be printed, without the blanks around it.

use core::net::{Ipv4Addr, Ipv6Addr};

use heapless::String;

use crate::base::limits::ADDRESS_BYTES;
use crate::config::model::Network;

/// An address on a network, as [`BuddyAddress::text`](crate::config::model::BuddyAddress::text) has it.
pub type AddressText = String<ADDRESS_BYTES, u8>;

/// An address as it is written, without the name of the network before it, in the form that is compared. `None` when it is
/// no address there, or longer than [`ADDRESS_BYTES`]; of SIP always, whose addresses are URIs.
pub fn canonical(network: Network, text: &str) -> Option<AddressText> {
    match network {
        Network::Sip => None,
        Network::Xmpp => bare_jid(text),
        Network::Irc => nick(text),
        Network::Line => {
            let text = text.trim();
            let is_printable = !text.is_empty() && !text.contains(char::is_control);
            if is_printable { AddressText::try_from(text).ok() } else { None }
        }
    }
}

/// `USER@DOMAIN` in lower case. A resource is not part of it.
fn bare_jid(text: &str) -> Option<AddressText> {
    // What a local part may not have (RFC 7622 §3.3.1) is not in a domain, either.
    let (user, domain) = text.split_once('@')?;
    let is_user = |c: char| !c.is_whitespace() && !c.is_control() && !"\"&'/:<>@".contains(c);
    if user.is_empty() || !user.chars().all(is_user) || !is_domain(domain) {
        return None;
    }
    lower(text, |c, put| c.to_lowercase().try_for_each(put))
}

/// A host name, whose letters may be of any script, or an address; one of IPv6 in brackets.
fn is_domain(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(bare) = bare {
        return bare.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let inner = |c: char| c == '-' || is_letter(c) || c.is_ascii_digit();
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let top = text.rsplit('.').next().unwrap_or_default();
    text.parse::<Ipv4Addr>().is_ok() || text.split('.').all(is_label) && top.starts_with(is_letter)
}

/// A nick in lower case.
fn nick(text: &str) -> Option<AddressText> {
    let may_begin = |c: char| is_letter(c) || "[]\\`_^{|}~".contains(c);
    let may_follow = |c: char| may_begin(c) || c.is_ascii_digit() || c == '-';
    if !text.starts_with(may_begin) || !text.chars().all(may_follow) {
        return None;
    }
    lower(text, |c, put| {
        put(match c {
            '[' => '{',
            ']' => '}',
            '\\' => '|',
            '~' => '^',
            _ => c.to_ascii_lowercase(),
        })
    })
}

/// A letter of ASCII, or whatever is printed beyond it.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

/// The text with each character changed by `change`.
fn lower(text: &str, change: impl Fn(char, &mut dyn FnMut(char) -> Option<()>) -> Option<()>) -> Option<AddressText> {
    let mut lower = AddressText::new();
    text.chars().try_for_each(|c| change(c, &mut |c| lower.push(c).ok()))?;
    Some(lower)
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn read(network: Network, text: &str) -> Option<std::string::String> {
        canonical(network, text).map(|text| text.as_str().into())
    }

    #[test]
    fn bare_jids() {
        for (text, expected) in [
            ("bob@jabber.example", "bob@jabber.example"),
            ("Bob.B+x@Jabber.EXAMPLE", "bob.b+x@jabber.example"),
            ("ÅSA@Exämple.example", "åsa@exämple.example"),
            ("bob%icq.example@gateway.example", "bob%icq.example@gateway.example"),
            ("juliet@localhost", "juliet@localhost"),
            ("juliet@192.0.2.1", "juliet@192.0.2.1"),
            ("juliet@[2001:DB8::1]", "juliet@[2001:db8::1]"),
        ] {
            assert_eq!(read(Network::Xmpp, text).as_deref(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "@",
            "bob",
            "bob@",
            "@jabber.example",
            "jabber.example",
            "bob@jabber.example/home",
            "bob/x@jabber.example",
            "bob@jabber.example:5222",
            "bob@a@b.example",
            "bob b@jabber.example",
            "bob@jabber .example",
            "bob@jabber.example.",
            "bob@.example",
            "bob@-a.example",
            "bob@192.0.2",
            "bob@[192.0.2.1]",
            "bob@a_b.example",
            "bob\u{85}@jabber.example",
            "<bob@jabber.example>",
            "bob@jabber.example?message",
        ] {
            assert_eq!(read(Network::Xmpp, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nicks() {
        for (text, expected) in [
            ("Bob", "bob"),
            ("[Bob]\\~^-1", "{bob}|^^-1"),
            ("{bob}|^^-1", "{bob}|^^-1"),
            ("_b`b_", "_b`b_"),
            ("Åsa", "Åsa"),
        ] {
            assert_eq!(read(Network::Irc, text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "1bob", "-bob", "bo b", "#bob", "bob!u@h", "bob,x", ":bob", "*", "bob.", "b\u{7}", "@bob"] {
            assert_eq!(read(Network::Irc, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_of_lines() {
        assert_eq!(read(Network::Line, " +49 12345 ").as_deref(), Some("+49 12345"));
        assert_eq!(read(Network::Line, "The Door:1@x").as_deref(), Some("The Door:1@x"));
        for bad in ["", " ", "a\nb", "a\u{9b}b"] {
            assert_eq!(read(Network::Line, bad), None, "{bad:?}");
        }
    }

    /// What was read once reads as itself, so that it does not matter who has read it before; and nothing is cut.
    #[test]
    fn what_is_canonical_stays_so() {
        let pieces = ["a", "Z", "Å", "İ", "ß", "@", ".", "-", "[", "]", "~", "1", " ", "/", ":", "\u{9b}", "x.example"];
        let mut state = 0x5eed_u64;
        let mut count = 0;
        for _ in 0..20_000 {
            let mut text = std::string::String::new();
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += pieces[(state >> 33) as usize % pieces.len()];
            }
            for (_, network) in Network::NAMES {
                if let Some(once) = canonical(network, &text) {
                    count += 1;
                    assert_eq!(canonical(network, &once).as_ref(), Some(&once), "{text:?}");
                }
            }
        }
        assert!(count > 10_000, "{count}");
        for (network, long) in
            [(Network::Xmpp, format!("{}@x.example", "u".repeat(70))), (Network::Irc, "n".repeat(80))]
        {
            assert_eq!(canonical(network, &long).map(|text| text.len()), Some(80));
            assert_eq!(canonical(network, &format!("u{long}")), None);
        }
    }
}
