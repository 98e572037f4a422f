//! The machine's own addresses, and which of them its default routes leave from.
//!
//! Looked at every few seconds: a kernel notification (rtnetlink) would save a little, at the price of a protocol. Left
//! out: link-local IPv6 addresses, which are no address without an interface.

use crate::base::net::LocalAddress;
use if_addrs::IfAddr;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::vec::Vec;

/// The addresses as they were when last looked at.
#[derive(Default)]
pub struct Addresses {
    known: Vec<LocalAddress>,
}

impl Addresses {
    /// Looks again: all addresses, if any of them has changed.
    ///
    /// # Errors
    /// When the system does not list them.
    pub fn check(&mut self) -> io::Result<Option<&[LocalAddress]>> {
        let found = list()?;
        if found == self.known {
            return Ok(None);
        }
        self.known = found;
        Ok(Some(&self.known))
    }
}

/// Every address of the machine once, loopback included.
fn list() -> io::Result<Vec<LocalAddress>> {
    let mut found: Vec<LocalAddress> = Vec::new();
    let sources = [route_source("192.0.2.1:9", "0.0.0.0:0"), route_source("[2001:db8::1]:9", "[::]:0")];
    for interface in if_addrs::get_if_addrs()? {
        let (ip, prefix) = match interface.addr {
            IfAddr::V4(address) => (IpAddr::V4(address.ip), u32::from(address.netmask).leading_ones()),
            IfAddr::V6(address) => (IpAddr::V6(address.ip), u128::from(address.netmask).leading_ones()),
        };
        let is_link_local = matches!(ip, IpAddr::V6(ip) if is_link_local(ip));
        if !is_link_local && found.iter().all(|known| known.ip != ip) {
            let default_route = sources.contains(&Some(ip));
            found.push(LocalAddress { ip, prefix: prefix as u8, default_route });
        }
    }
    Ok(found)
}

/// Where a packet to a far address would leave from. Connecting a UDP socket asks the routing table and sends nothing;
/// the destinations are for documentation (RFC 5737, RFC 3849), so no route but the default one leads there.
fn route_source(far: &str, any: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any.parse::<SocketAddr>().ok()?).ok()?;
    socket.connect(far.parse::<SocketAddr>().ok()?).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

/// fe80::/10 (RFC 4291 §2.5.6).
fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_and_told_once() {
        let mut addresses = Addresses::default();
        let found = addresses.check().unwrap().expect("the first look tells all");
        let loopback = found.iter().find(|address| address.ip == IpAddr::from([127, 0, 0, 1])).expect("127.0.0.1");
        assert_eq!((loopback.prefix, loopback.default_route), (8, false));
        assert!(found.iter().filter(|address| address.default_route).count() <= 2);
        assert!(addresses.check().unwrap().is_none());
    }

    #[test]
    fn link_local() {
        assert!(is_link_local("fe80::1".parse().unwrap()) && is_link_local("febf::1".parse().unwrap()));
        assert!(!is_link_local("fec0::1".parse().unwrap()) && !is_link_local("::1".parse().unwrap()));
    }
}
