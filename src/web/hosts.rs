//! Which names the pages answer to. A page that a stranger's site opened under a name of its own, which it has made lead
//! here (DNS rebinding), is not shown.

use core::net::IpAddr;

use crate::config::model::{Model, WebListen};

/// Whether a Host field names the home: the host in option `url`, the domain, an address that the pages are served at, or
/// this machine. Any address will do where they are served at all: nobody can make an address be somewhere else.
pub(super) fn is_ours(model: &Model, host: &[u8]) -> bool {
    let Some(name) = without_port(host) else { return false };
    let same = |known: &str| !known.is_empty() && known.as_bytes().eq_ignore_ascii_case(name);
    let is_served = |ip: IpAddr| {
        let at = |listen: &WebListen| listen.address.ip().is_unspecified() || listen.address.ip() == ip;
        ip.is_loopback() || model.main.web.iter().any(at)
    };
    same("localhost")
        || same(&model.main.domain)
        || same(url_host(&model.main.url))
        || address(name).is_some_and(is_served)
}

/// The host in a URL.
fn url_host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    without_port(authority.as_bytes()).and_then(|host| core::str::from_utf8(host).ok()).unwrap_or_default()
}

/// A host without its port, of which only digits are taken. An IPv6 address keeps its brackets.
fn without_port(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| matches!(byte, b':' | b']')).filter(|at| host[*at] == b':');
    let (name, port) = host.split_at(colon.unwrap_or(host.len()));
    let digits = port.strip_prefix(b":").unwrap_or_default();
    (!name.is_empty() && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit)).then_some(name)
}

fn address(name: &[u8]) -> Option<IpAddr> {
    let bare = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"));
    let text = core::str::from_utf8(bare.unwrap_or(name)).ok()?;
    text.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() == bare.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let mut model = std::boxed::Box::new(Model::new());
        model.main.domain = "home.example".try_into().unwrap();
        model.main.url = "http://router.lan:8088".try_into().unwrap();
        let listen = |address: &str| WebListen { address: address.parse().unwrap(), is_secure: false };
        model.main.web.push(listen("192.168.1.1:8088")).unwrap();
        for good in [
            "home.example",
            "HOME.example:8088",
            "router.lan",
            "localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]:8088",
            "192.168.1.1",
        ] {
            assert!(is_ours(&model, good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "evil.example",
            "home.example.evil.example",
            "192.168.1.2",
            "::1",
            "[192.168.1.1]",
            "home.example:x",
            "home.example:",
            "home.example:123456",
            "home.example:80:80",
            "http://home.example",
            "user@home.example",
            "[::1",
        ] {
            // An empty port is allowed by RFC 3986 §3.2.3, and harmless.
            assert_eq!(is_ours(&model, bad.as_bytes()), bad == "home.example:", "{bad}");
        }
        model.main.web.push(listen("[::]:8089")).unwrap();
        assert!(is_ours(&model, b"192.168.1.2") && is_ours(&model, b"[2001:db8::1]:8089"));
        assert!(!is_ours(&model, b"evil.example"));
    }
}
