//! dnsmasq as the one name server, with records that a test writes.

use crate::harness::{Place, Program, find, free_address_for_names};
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The records of a test, in the words of dnsmasq's configuration.
#[derive(Default)]
pub struct Zone(String);

impl Zone {
    /// A domain whose server takes this transport only: NAPTR, SRV, A (RFC 3263 §4.1).
    pub fn domain(self, domain: &str, transport: &str, port: u16) -> Self {
        self.naptr(domain, transport, 10).server(domain, transport, 10, port).host(&format!("pbx.{domain}"))
    }

    /// Which transport a domain likes; less is better.
    pub fn naptr(mut self, domain: &str, transport: &str, order: u16) -> Self {
        let (service, name) = service_of(transport);
        let _ = writeln!(self.0, "naptr-record={domain},{order},10,s,{service},,{name}.{domain}");
        self
    }

    /// A server of a domain for a transport; a smaller priority is tried first.
    pub fn server(self, domain: &str, transport: &str, priority: u16, port: u16) -> Self {
        let target = format!("pbx.{domain}");
        self.server_at(domain, transport, priority, &target, port)
    }

    /// The same, with the name of the host.
    pub fn server_at(mut self, domain: &str, transport: &str, priority: u16, host: &str, port: u16) -> Self {
        let _ = writeln!(self.0, "srv-host={}.{domain},{host},{port},{priority},10", service_of(transport).1);
        self
    }

    /// A host, which is 127.0.0.1.
    pub fn host(mut self, name: &str) -> Self {
        let _ = writeln!(self.0, "host-record={name},127.0.0.1");
        self
    }
}

/// A name server. It knows what is below `test` and `example`, and has nobody to ask about the rest.
pub struct Dns {
    /// The resolv.conf(5) that names it.
    pub resolv_file: PathBuf,
    address: Ipv4Addr,
    config: PathBuf,
    program: Option<Program>,
}

impl Dns {
    /// One on an address of its own, which does not serve yet. `None` where nobody may have port 53, or a resolv.conf of
    /// his own: then the test is over.
    pub fn new(place: &Place) -> Option<Self> {
        if !place.may_mount() {
            return None;
        }
        let address = free_address_for_names().inspect_err(|reason| place.skip(reason)).ok()?;
        let directory = place.directory("dns");
        let (config, resolv_file) = (directory.join("dnsmasq.conf"), directory.join("resolv.conf"));
        fs::write(&resolv_file, format!("nameserver {address}\n")).expect("a resolv.conf can be written");
        Some(Self { resolv_file, address, config, program: None })
    }

    /// Lets it serve these records from now on.
    pub fn serve(&mut self, zone: &Zone) {
        self.stop();
        // Another user could not read this directory. Records that have no time to live are not kept by anybody.
        let text = format!(
            "port=53\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\ngroup=root\npid-file=\n\
             keep-in-foreground\nlog-facility=-\nlog-queries\nlocal=/test/\nlocal=/example/\nlocal-ttl=300\n{}",
            self.address, zone.0
        );
        fs::write(&self.config, text).expect("a file for dnsmasq can be written");
        let mut command = crate::network::command(None, &find("dnsmasq"));
        let program = Program::start("dnsmasq", command.arg(format!("--conf-file={}", self.config.display())));
        program.await_line(0, "started");
        self.program = Some(program);
    }

    /// Ends it: nobody answers any more.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// How often it was asked for something.
    pub fn asked(&self, what: &str) -> usize {
        self.program.as_ref().map_or(0, |program| program.output.count(what))
    }
}

/// The service of a NAPTR record and the name of the SRV records.
fn service_of(transport: &str) -> (&'static str, &'static str) {
    match transport {
        "udp" => ("SIP+D2U", "_sip._udp"),
        "tcp" => ("SIP+D2T", "_sip._tcp"),
        _ => ("SIPS+D2T", "_sips._tcp"),
    }
}
