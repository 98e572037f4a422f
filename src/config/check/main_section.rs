//! Section `pcsd 'main'`: its defaults, and the values that more than their form is asked of.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::limits::{BINDINGS_PER_PERSON, EXTERNALS, LISTENERS, WEB_LISTENERS};
use crate::base::zone::Zone;
use crate::config::check::section::{Key, Kind, Shape};
use crate::config::check::{Check, MAIN, add, host, tls};
use crate::config::fault::Problem;
use crate::config::model::{Listen, LogLevel, Main, Transport, WebListen};
use crate::config::value;

pub(super) const OPTIONS: &[(&str, Shape)] = &[
    ("domain", Shape::One(Key::Domain)),
    ("listen", Shape::Many(Key::Listen)),
    ("external", Shape::Many(Key::External)),
    ("socket", Shape::One(Key::Socket)),
    ("unlimited", Shape::Many(Key::Unlimited)),
    ("log_level", Shape::One(Key::LogLevel)),
    ("syslog", Shape::One(Key::Syslog)),
    ("bindings_per_person", Shape::One(Key::BindingsPerPerson)),
    ("spool", Shape::One(Key::Spool)),
    ("spool_mb", Shape::One(Key::SpoolMb)),
    ("quota_mb", Shape::One(Key::QuotaMb)),
    ("keep_days", Shape::One(Key::KeepDays)),
    ("state", Shape::One(Key::State)),
    ("run_dir", Shape::One(Key::RunDir)),
    ("cert", Shape::One(Key::CertFile)),
    ("key", Shape::One(Key::PrivateKeyFile)),
    ("ca", Shape::One(Key::CaFile)),
    ("resolv_file", Shape::One(Key::ResolvFile)),
    ("web", Shape::OneOrMany(Key::Web)),
    ("url", Shape::One(Key::Url)),
    ("rtp_ports", Shape::One(Key::RtpPorts)),
    ("timezone", Shape::One(Key::Timezone)),
];

impl Check<'_> {
    pub(super) fn begin_main(&mut self, name: &str) -> Result<(), Problem<'static>> {
        if name != MAIN {
            return Err(Problem::OnlyName(MAIN));
        }
        if self.main {
            return Err(Problem::TakenName);
        }
        self.main = true;
        self.section.kind = Kind::Main;
        set_defaults(&mut self.model.main);
        Ok(())
    }

    pub(super) fn end_main(&mut self) {
        if !self.section.has(Key::Listen) {
            listen_everywhere(&mut self.model.main);
        }
        if !self.section.has(Key::Domain) {
            self.missing("option 'domain'");
        }
        match (self.section.has(Key::CertFile), self.section.has(Key::PrivateKeyFile)) {
            (true, false) => self.missing("option 'key' for the certificate"),
            (false, true) => self.missing("option 'cert' for the key"),
            _ => {}
        }
        self.check_web();
    }

    /// Whether the web page and SIP ask for the same socket: known when all of SIP's are.
    fn check_web(&mut self) {
        for (index, line) in self.section.web_lines.clone().into_iter().enumerate() {
            let Main { web, listen, .. } = &self.model.main;
            let web = web.get(index).map(stream);
            if listen.iter().any(|listen| web.is_some_and(|web| value::overlap(&web, listen))) {
                self.fault(line, "web", Problem::ListenerOfSip);
            }
        }
    }

    pub(super) fn web<'v>(&mut self, line: u32, value: &'v str) -> Result<(), Problem<'v>> {
        let listen = value::web(value).ok_or(Problem::Value { value, expected: WEB })?;
        if listen.is_secure {
            tls()?;
        }
        let list = &mut self.model.main.web;
        if list.iter().any(|other| *other != listen && value::overlap(&stream(other), &stream(&listen))) {
            return Err(Problem::Covered(value));
        }
        add(list, listen, value, "WEB_LISTENERS", WEB_LISTENERS)?;
        // It has the room that the list has.
        let _ = self.section.web_lines.push(line);
        Ok(())
    }

    pub(super) fn url<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        self.model.main.url = value::url(value).ok_or(Problem::Value { value, expected: URL })?;
        Ok(())
    }

    pub(super) fn rtp_ports<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        self.model.main.rtp_ports = value::rtp_ports(value).ok_or(Problem::Value { value, expected: RTP_PORTS })?;
        Ok(())
    }

    pub(super) fn timezone<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        self.model.main.timezone = Zone::parse(value.as_bytes()).ok_or(Problem::Value { value, expected: TIMEZONE })?;
        Ok(())
    }

    pub(super) fn listen<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let listen = value::listen(value).ok_or(Problem::Value { value, expected: LISTEN })?;
        if listen.transport == Transport::Tls {
            tls()?;
        }
        let list = &mut self.model.main.listen;
        if list.iter().any(|other| *other != listen && value::overlap(other, &listen)) {
            return Err(Problem::Covered(value));
        }
        add(list, listen, value, "LISTENERS", LISTENERS)
    }

    pub(super) fn external<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let host = host(value)?;
        if self.model.peer(host.as_bytes()).is_some() {
            return Err(Problem::DomainOfPeer(value));
        }
        add(&mut self.model.main.external, host, value, "EXTERNALS", EXTERNALS)
    }
}

/// Every default fits its place: the texts are constants, and limits.rs keeps the number small.
fn set_defaults(main: &mut Main) {
    main.socket = "/var/run/pcsd.sock".try_into().unwrap_or_default();
    main.log_level = LogLevel::Info;
    main.bindings_per_person = BINDINGS_PER_PERSON as u16;
    main.spool_mb = 64;
    main.quota_mb = 16;
    main.keep_days = 90;
    main.state = "/etc/pcsd".try_into().unwrap_or_default();
    main.run_dir = "/var/run/pcsd".try_into().unwrap_or_default();
    main.resolv_file = "/etc/resolv.conf".try_into().unwrap_or_default();
    main.rtp_ports = (16_384, 16_483);
}

/// Not over TLS: a port more that the world can reach is opened when it is asked for.
fn listen_everywhere(main: &mut Main) {
    for transport in [Transport::Udp, Transport::Tcp] {
        for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            // The list is empty, and has room for these.
            let _ = main.listen.push(Listen { transport, address: SocketAddr::new(ip, 5060) });
        }
    }
}

/// The socket of a listener of the web page, which is one of TCP.
fn stream(web: &WebListen) -> Listen {
    Listen { transport: Transport::Tcp, address: web.address }
}

const LISTEN: &str = "udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT";
const WEB: &str = "ADDRESS:PORT, http:ADDRESS:PORT or https:ADDRESS:PORT";
const URL: &str = "http://HOST, http://HOST:PORT, or https likewise";
const TIMEZONE: &str = "a rule such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3";
const RTP_PORTS: &str = "FIRST-LAST, 16 ports or more from 1024 to 65535, the first even";

const _: () = assert!(LISTENERS >= 4, "UDP and TCP over IPv4 and IPv6 are the default");
const _: () = assert!(BINDINGS_PER_PERSON <= 65_535, "the number is a u16");
