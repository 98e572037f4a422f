//! The values of options: hosts (RFC 3261 §25.1 `host`), addresses with ports, the user parts of addresses, H(A1) and
//! pins of keys as text.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::text::{base64url_decode, hex_decode};
use crate::config::model::{Listen, Name, PeerAddress, Secret, Transport, Url, WebListen};

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

/// The transports by the names they have in the file.
pub const TRANSPORTS: &[(&str, Transport)] =
    &[("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

/// `udp:ADDRESS:PORT`, and `tcp:` and `tls:` likewise.
pub fn listen(text: &str) -> Option<Listen> {
    let (transport, address) = text.split_once(':')?;
    let (_, transport) = *TRANSPORTS.iter().find(|(known, _)| *known == transport)?;
    Some(Listen { transport, address: local(address)? })
}

/// `http:ADDRESS:PORT`, which is meant without the `http:`, too, and `https:ADDRESS:PORT`.
pub fn web(text: &str) -> Option<WebListen> {
    let (is_secure, address) = match text.split_once(':') {
        Some(("https", address)) => (true, address),
        Some(("http", address)) => (false, address),
        _ => (false, text),
    };
    Some(WebListen { address: local(address)?, is_secure })
}

/// An address and port that can be listened at.
fn local(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
    (address.port() != 0 && !address.ip().is_multicast() && !scoped).then_some(address)
}

/// `http://HOST`, `http://HOST:PORT`, and `https` likewise. A slash at the end is taken off; there is no path.
pub fn url(text: &str) -> Option<Url> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let PeerAddress { host, port } = peer_address(rest.strip_suffix('/').unwrap_or(rest))?;
    let mut url = Url::new();
    write!(url, "{scheme}://{host}").ok()?;
    if let Some(port) = port {
        write!(url, ":{port}").ok()?;
    }
    Some(url)
}

/// `FIRST-LAST`: ports that need no privilege, the first even as RTP wants it (RFC 3550 §11), enough for eight calls.
pub fn rtp_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let port = |text| number(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port >= 1024);
    let (first, last) = (port(first)?, port(last)?);
    (first % 2 == 0 && last >= first && last - first >= 15).then_some((first, last))
}

/// Whether both would open the same socket: a wildcard stands for every address of its family.
pub fn overlap(a: &Listen, b: &Listen) -> bool {
    let (x, y) = (a.address, b.address);
    let same_family = x.is_ipv4() == y.is_ipv4();
    let same_ip = x.ip() == y.ip() || same_family && (x.ip().is_unspecified() || y.ip().is_unspecified());
    // TLS stands on a socket of TCP.
    a.transport.is_reliable() == b.transport.is_reliable() && x.port() == y.port() && same_ip
}

/// `HOST` or `HOST:PORT`, where an IPv6 address is in brackets.
pub fn peer_address(text: &str) -> Option<PeerAddress> {
    let (bare, port) = match text.rsplit_once(':') {
        Some((bare, port)) if !port.ends_with(']') => (bare, Some(port)),
        _ => (text, None),
    };
    // Without brackets the last group of an IPv6 address would pass for a port.
    if bare.contains(':') && !bare.starts_with('[') {
        return None;
    }
    let host = host(bare)?;
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    if ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
        return None;
    }
    let port = match port {
        Some(port) => Some(number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)?),
        None => None,
    };
    Some(PeerAddress { host, port })
}

/// A number in decimal digits.
pub fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The SHA-256 of a key: `sha256/` and base64 (RFC 4648 §4) of its 32 bytes.
pub fn pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256/")?.strip_suffix('=')?;
    let mut base64url: [u8; 43] = digits.as_bytes().try_into().ok()?;
    for digit in &mut base64url {
        *digit = match *digit {
            b'+' => b'-',
            b'/' => b'_',
            b'-' | b'_' => return None,
            other => other,
        };
    }
    let mut pin = [0; 32];
    (base64url_decode(&base64url, &mut pin)? == pin.len()).then_some(pin)
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
        assert!(overlap("tls:0.0.0.0:5060", "tcp:192.0.2.1:5060") && !overlap("tls:[::]:5060", "udp:[::]:5060"));
        assert!(!overlap("udp:0.0.0.0:5060", "udp:0.0.0.0:5061"));
        assert!(!overlap("udp:192.0.2.1:5060", "udp:192.0.2.2:5060"));
    }

    #[test]
    fn web_listeners() {
        let read = |text: &str| web(text).map(|web| (std::string::ToString::to_string(&web.address), web.is_secure));
        assert_eq!(read("0.0.0.0:8088"), Some(("0.0.0.0:8088".into(), false)));
        assert_eq!(read("http:[::1]:80"), Some(("[::1]:80".into(), false)));
        assert_eq!(read("https:192.0.2.1:443"), Some(("192.0.2.1:443".into(), true)));
        for bad in ["", "8088", ":8088", "http:", "https:0.0.0.0", "0.0.0.0:0", "http://0.0.0.0:80", "HTTP:0.0.0.0:80"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        for bad in ["router:80", "tcp:0.0.0.0:80", "https:http:0.0.0.0:80", "224.0.1.75:80", "[fe80::1%2]:80", "::1:80"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn urls() {
        let read = |text: &str| url(text).map(|url| std::string::String::from(url.as_str()));
        for (text, expected) in [
            ("http://router.lan:8088", "http://router.lan:8088"),
            ("https://Router.LAN/", "https://router.lan"),
            ("http://[2001:DB8:0::1]:080/", "http://[2001:db8::1]:80"),
            ("http://192.168.1.1", "http://192.168.1.1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "http://",
            "http:///",
            "router.lan",
            "router.lan:8088",
            "ftp://router.lan",
            "HTTP://router.lan",
            "http:router.lan",
            "http://router.lan//",
            "http://router.lan/pcs",
            "http://router.lan?x",
            "http://a@router.lan",
            "http://router.lan:0",
            "http://router.lan:65536",
            "http://0.0.0.0:80",
            "http://http://a",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let longest = std::format!("https://{}a:65535", "a.".repeat(31));
        assert_eq!(read(&longest).as_deref(), Some(longest.as_str()));
    }

    #[test]
    fn ports_for_media() {
        assert_eq!(rtp_ports("16384-16483"), Some((16_384, 16_483)));
        assert_eq!(rtp_ports("1024-1039"), Some((1024, 1039)));
        assert_eq!(rtp_ports("65520-65535"), Some((65_520, 65_535)));
        for bad in ["", "-", "16384", "16384-", "16385-16500", "16384-16398", "16500-16384", "1022-2000", "65000-65536"]
        {
            assert_eq!(rtp_ports(bad), None, "{bad}");
        }
        for bad in ["16384 - 16483", "+16384-16483", "16384-16483-16500", "16384:16483", "0-65535"] {
            assert_eq!(rtp_ports(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_of_peers() {
        let read = |text: &str| {
            let address = peer_address(text)?;
            Some((std::string::String::from(address.host.as_str()), address.port))
        };
        for (text, host, port) in [
            ("Pcs.Smith.example", "pcs.smith.example", None),
            ("router", "router", None),
            ("pcs.smith.example:1", "pcs.smith.example", Some(1)),
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:65535", "192.0.2.1", Some(65_535)),
            ("[2001:DB8:0::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:5061", "[2001:db8::1]", Some(5061)),
        ] {
            assert_eq!(read(text), Some((host.into(), port)), "{text}");
        }
        for bad in [
            "",
            ":",
            ":5060",
            "a.b:",
            "a.b:0",
            "a.b:65536",
            "a.b:+1",
            "a.b:5060:5060",
            "sip:a.b",
            "2001:db8::1",
            "2001:db8::1:5060",
            "[2001:db8::1",
            "[[2001:db8::1]]",
            "[2001:db8::1]5060",
            "[192.0.2.1]:5060",
            "0.0.0.0:5060",
            "[::]",
            "224.0.1.75",
            "[ff02::1]:5060",
            "a_b:5060",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn pins() {
        // SHA-256 of nothing (FIPS 180-4): e3b0c442 98fc1c14 .. 7852b855.
        let text = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let read = pin(text).unwrap();
        assert_eq!(read[..8], [0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14]);
        assert_eq!(read[28..], [0x78, 0x52, 0xb8, 0x55]);
        for bad in [
            "",
            "sha256/",
            &text[7..],
            &text[..text.len() - 1],
            &std::format!("{text}="),
            &text.replace("sha256", "SHA256"),
            &text.replace("sha256/", "sha256//"),
            &text.replace('+', "-"),
            &text.replace("/T", "_T"),
            &text.replace('D', " "),
            &text.replacen("47", "é", 1),
        ] {
            assert_eq!(pin(bad), None, "{bad}");
        }
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
