//! `/etc/resolv.conf` (resolv.conf(5)): its `nameserver` lines. Search lists and options are left out: names in SIP are
//! whole.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use heapless::Vec;

use crate::base::limits::NAME_SERVERS;

/// The port of DNS.
const PORT: u16 = 53;

/// The name servers that the file has: the first [`NAME_SERVERS`]; none: the one on this machine, as every resolver does.
/// A link-local IPv6 address is left out, for its scope is the name of an interface; any other scope means nothing.
pub fn parse_resolv_conf(text: &[u8]) -> Vec<SocketAddr, NAME_SERVERS> {
    let mut servers = Vec::new();
    for server in text.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(nameserver) {
        let server = SocketAddr::new(server, PORT);
        if !servers.contains(&server) && servers.push(server).is_err() {
            break;
        }
    }
    if servers.is_empty() {
        // It is empty, so there is room.
        let _ = servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT));
    }
    servers
}

fn nameserver(line: &[u8]) -> Option<IpAddr> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    if words.next()? != b"nameserver" {
        return None;
    }
    let address = words.next()?.split(|byte| *byte == b'%').next()?;
    let ip = core::str::from_utf8(address).ok()?.parse::<IpAddr>().ok()?;
    let is_usable = match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unicast_link_local(),
    };
    is_usable.then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn servers(text: &str) -> std::vec::Vec<std::string::String> {
        parse_resolv_conf(text.as_bytes()).iter().map(|server| server.to_string()).collect()
    }

    #[test]
    fn files() {
        assert_eq!(servers("search lan\nnameserver 127.0.0.1\n"), ["127.0.0.1:53"]);
        let text = "# from upstream\n; nameserver 192.0.2.9\nnameserver\t192.0.2.1 # first\r\n  nameserver  2001:db8::1\n\
            options edns0\nnameserver fe80::1%br-lan\nnameserver 2001:db8::2%4\nnameserver 192.0.2.4\n";
        assert_eq!(servers(text), ["192.0.2.1:53", "[2001:db8::1]:53", "[2001:db8::2]:53"]);
        assert_eq!(servers("nameserver 192.0.2.1\nnameserver 192.0.2.1"), ["192.0.2.1:53"]);
        for none in ["", "nameserver", "nameserver dns.test", "nameservers 192.0.2.1", "nameserver 224.0.0.1", "\u{e5}"]
        {
            assert_eq!(servers(none), ["127.0.0.1:53"], "{none}");
        }
        assert_eq!(parse_resolv_conf(b"nameserver \xff\xfe\nnameserver 192.0.2.7").len(), 1);
    }
}
