//! The values of options: hosts (RFC 3261 §25.1 `host`), listen addresses, the user parts of addresses, H(A1) as text.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::net::Transport;
use crate::base::text::hex_decode;
use crate::config::model::{Listen, Name, Secret};

/// A host name or address as the host of a URI: in lower case, an IPv6 address in its canonical form and in brackets
/// (which `text` may do without). `None` when it is none, or too long for a [`Name`].
pub fn host(text: &str) -> Option<Name> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut host = Name::new();
    if let Ok(address) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
        write!(host, "[{address}]").ok()?;
    } else if text.parse::<Ipv4Addr>().is_ok() || is_host_name(text) {
        host = lower(text)?;
    } else {
        return None;
    }
    Some(host)
}

/// Labels of letters, digits and inner hyphens, the last of them beginning with a letter.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let top = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_label) && top.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// A section's name that can be the user part of an address and a username: letters, digits, `-`, `_` and `.`; in lower
/// case.
pub fn id(text: &str) -> Option<Name> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        return None;
    }
    lower(text)
}

/// `text` in lower case; `None` when it is too long.
pub fn lower(text: &str) -> Option<Name> {
    let mut name = Name::try_from(text).ok()?;
    name.make_ascii_lowercase();
    Some(name)
}

/// `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT`.
pub fn listen(text: &str) -> Option<Listen> {
    let (transport, address) = text.split_once(':')?;
    let transport = [Transport::Udp, Transport::Tcp].into_iter().find(|known| known.parameter() == transport)?;
    let address: SocketAddr = address.parse().ok()?;
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
    if address.port() == 0 || address.ip().is_multicast() || scoped {
        return None;
    }
    Some(Listen { transport, address })
}

/// Whether both would open the same socket: a wildcard stands for every address of its family.
pub fn overlap(a: &Listen, b: &Listen) -> bool {
    let (x, y) = (a.address, b.address);
    let same_family = x.is_ipv4() == y.is_ipv4();
    let same_ip = x.ip() == y.ip() || same_family && (x.ip().is_unspecified() || y.ip().is_unspecified());
    a.transport == b.transport && x.port() == y.port() && same_ip
}

/// An address of a source; an IPv4 address that is written as an IPv6 one counts as IPv4.
pub fn source(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// H(A1) in hexadecimal: 32 digits for MD5, 64 for SHA-256, or both with a space between.
pub fn ha1(text: &str) -> Option<Secret> {
    let mut secret = Secret::NONE;
    for word in text.split_ascii_whitespace() {
        let (mut md5, mut sha256) = ([0; 16], [0; 32]);
        if secret.md5.is_none() && hex_decode(word.as_bytes(), &mut md5).is_some() {
            secret.md5 = Some(md5);
        } else if secret.sha256.is_none() && hex_decode(word.as_bytes(), &mut sha256).is_some() {
            secret.sha256 = Some(sha256);
        } else {
            return None;
        }
    }
    (secret != Secret::NONE).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let read = |text: &str| host(text).map(|host| std::string::String::from(host.as_str()));
        assert_eq!(read("Home.Example").as_deref(), Some("home.example"));
        assert_eq!(read("router").as_deref(), Some("router"));
        assert_eq!(read("3com.x--y1.example").as_deref(), Some("3com.x--y1.example"));
        assert_eq!(read("192.168.1.1").as_deref(), Some("192.168.1.1"));
        assert_eq!(read("2001:DB8:0::1").as_deref(), Some("[2001:db8::1]"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]"));
        let label = "a".repeat(64);
        let long = std::format!("{}.{}", &label[..40], &label[..24]);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "192.168.1",
            "192.168.1.256",
            "[::1",
            "[1.2.3.4]",
            "a:5060",
            "é.example",
            "a.1",
            &label,
            &long,
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
        assert!(host(&long[1..]).is_some());
    }

    #[test]
    fn listeners() {
        let tcp = listen("tcp:[2001:db8::1]:5070").unwrap();
        assert_eq!((tcp.transport, tcp.address), (Transport::Tcp, "[2001:db8::1]:5070".parse().unwrap()));
        for bad in [
            "",
            "udp",
            "udp:",
            "udp:5060",
            "udp:0.0.0.0",
            "udp:0.0.0.0:0",
            "udp:0.0.0.0:65536",
            "udp:::1:5060",
            "udp:router:5060",
            "UDP:0.0.0.0:5060",
            "sctp:0.0.0.0:5060",
            "udp:224.0.1.75:5060",
            "udp:[fe80::1%2]:5060",
        ] {
            assert_eq!(listen(bad), None, "{bad}");
        }
        let overlap = |a, b| overlap(&listen(a).unwrap(), &listen(b).unwrap());
        assert!(overlap("udp:192.0.2.1:5060", "udp:192.0.2.1:5060"));
        assert!(overlap("udp:192.0.2.1:5060", "udp:0.0.0.0:5060"));
        assert!(overlap("tcp:[::]:5060", "tcp:[::1]:5060"));
        assert!(!overlap("udp:0.0.0.0:5060", "udp:[::]:5060"));
        assert!(!overlap("udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"));
        assert!(!overlap("udp:0.0.0.0:5060", "udp:0.0.0.0:5061"));
        assert!(!overlap("udp:192.0.2.1:5060", "udp:192.0.2.2:5060"));
    }

    #[test]
    fn hashes() {
        let md5 = "00112233445566778899aAbBcCdDeEfF";
        let sha256 = "ff".repeat(32);
        assert_eq!(ha1(md5).unwrap().md5.unwrap()[10..12], [0xaa, 0xbb]);
        assert_eq!(ha1(&sha256), Some(Secret { md5: None, sha256: Some([0xff; 32]) }));
        let both = ha1(&std::format!("{sha256} {md5}")).unwrap();
        assert!(both.md5.is_some() && both.sha256.is_some());
        for bad in [
            "",
            " ",
            "0",
            &md5[1..],
            &std::format!("{md5} {md5}"),
            &std::format!("{md5} {sha256} {md5}"),
            &md5.replace('0', "g"),
            &std::format!("{md5},{sha256}"),
        ] {
            assert_eq!(ha1(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_and_sources() {
        assert_eq!(id("Anna-Maria_2.x").as_deref(), Some("anna-maria_2.x"));
        assert!(id("").is_none() && id("a b").is_none() && id("a@b").is_none() && id("é").is_none());
        assert!(id(&"a".repeat(64)).is_some() && id(&"a".repeat(65)).is_none());
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("192.0.2.0/24"), None);
    }
}
