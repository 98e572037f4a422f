//! What `pcsctl status` and `pcsctl devices` show, as values that serialize (for `--json`) and display.

use core::fmt;
use core::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::{Core, Server};
use crate::base::limits::{PEERS, PORTS};
use crate::base::net::Transport;
use crate::base::text::Printable;
use crate::base::time::Instant;
use crate::home::binding::{Binding, Text};
use crate::sip::resolver;
use crate::sip::stack::Counters;

/// The state of the server as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct Status<'s> {
    /// Version of the program.
    pub version: &'static str,
    /// The home's domain.
    pub domain: &'s str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// People in the configuration.
    pub people: usize,
    /// Devices that are registered.
    pub bindings: usize,
    /// Requests on their way to devices now.
    pub forking: usize,
    /// Server transactions, finished ones included.
    pub server_transactions: usize,
    /// Client transactions, finished ones included.
    pub client_transactions: usize,
    /// TCP connections.
    pub streams: usize,
    /// Blocks of the message store in use, by size: bytes, used, of.
    pub blocks: [(usize, usize, usize); 4],
    /// Sockets.
    pub listening: heapless::Vec<Listening, PORTS>,
    /// Connections with peers that have proven who they are.
    pub proven: heapless::Vec<Proven<'s>, PEERS>,
    /// Names being looked up, and outcomes that are known.
    pub names: (usize, usize),
    /// Counts of lookups since the start.
    pub lookups: resolver::Counters,
    /// Counts since the start.
    pub counters: Counters,
}

/// A peer that is connected.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Proven<'s> {
    /// Its domain.
    pub domain: &'s str,
    /// Its address.
    pub address: Address,
}

/// An open socket.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Its transport.
    pub transport: Transport,
    /// Its address.
    pub address: SocketAddr,
}

/// One device.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Device<'s> {
    /// Whose it is.
    pub person: &'s str,
    /// The device section whose login it used.
    pub device: Option<&'s str>,
    /// Its Contact.
    pub contact: Shown<'s>,
    /// How it is reached.
    pub transport: Shown<'s>,
    /// Where its REGISTER came from.
    pub source: Option<Address>,
    /// What it calls itself.
    pub user_agent: Shown<'s>,
    /// Seconds until its registration ends.
    pub expires_s: u64,
    /// Preference, thousandths.
    pub q: u16,
    /// Whether there is a NAT between.
    pub behind_nat: bool,
    /// Seconds since anything came from it.
    pub quiet_s: u64,
    /// Whether it takes messages, as far as it says.
    pub takes_messages: bool,
    /// The types it accepts, as it says.
    pub accepts: Shown<'s>,
    /// Messages that it did not take.
    pub missed: u32,
}

/// An address, shown as text.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub SocketAddr);

/// Bytes from a device, shown as text: what is not printable ASCII is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'s>(pub &'s [u8]);

impl Server {
    /// The state of the server as a whole.
    pub fn status(&self, now: Instant) -> Status<'_> {
        let Core { stack, people, registrar, proxy, started, .. } = &self.core;
        let (server_transactions, client_transactions) = stack.transactions();
        let listening = stack.network.open_ports();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            domain: &people.model.main.domain,
            uptime_s: now.since(*started) / 1000,
            people: people.model.people.len(),
            bindings: registrar.len(),
            forking: proxy.len(),
            server_transactions,
            client_transactions,
            streams: stack.network.streams(),
            blocks: stack.store.usage(),
            listening: listening
                .map(|(_, port)| Listening { transport: port.transport, address: port.address })
                .collect(),
            proven: stack
                .network
                .proven()
                .map(|(domain, address)| Proven { domain, address: Address(address) })
                .take(PEERS)
                .collect(),
            names: stack.resolver.usage(),
            lookups: stack.resolver.counters(),
            counters: stack.counters,
        }
    }

    /// All devices, person by person.
    pub fn devices(&self, now: Instant) -> impl Iterator<Item = Device<'_>> {
        let people = 0..self.core.people.model.people.len();
        people.flat_map(move |person| {
            self.core.registrar.of(person).map(move |(_, binding)| self.core.device(now, binding))
        })
    }
}

impl Core {
    fn device<'s>(&'s self, now: Instant, binding: &'s Binding) -> Device<'s> {
        let model = &self.people.model;
        let text = |text| Shown(binding.text(&self.stack.store, text));
        let section = binding.device.and_then(|device| model.devices.get(usize::from(device)));
        Device {
            person: model.people.get(usize::from(binding.person)).map_or("", |person| &person.id),
            device: section.map(|device| device.id.as_str()),
            contact: text(Text::Uri),
            transport: Shown(self.stack.network.transport(binding.flow).parameter().as_bytes()),
            source: self.stack.network.remote(binding.source).map(Address),
            user_agent: text(Text::Agent),
            expires_s: binding.expires_at.seconds_from(now),
            q: binding.q,
            behind_nat: binding.is_natted,
            quiet_s: now.since(binding.heard_at) / 1000,
            takes_messages: binding.abilities.takes(crate::wire::sip::Method::Message),
            accepts: text(Text::Accept),
            missed: binding.missed,
        }
    }
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pcsd {} for {}, up {} s", self.version, self.domain, self.uptime_s)?;
        writeln!(f, "people        {}", self.people)?;
        writeln!(f, "devices       {}", self.bindings)?;
        writeln!(f, "forking       {}", self.forking)?;
        writeln!(f, "transactions  {} server, {} client", self.server_transactions, self.client_transactions)?;
        writeln!(f, "streams       {}", self.streams)?;
        for (bytes, used, all) in self.blocks {
            writeln!(f, "blocks        {used} of {all} of {bytes} bytes")?;
        }
        for port in &self.listening {
            writeln!(f, "listening     {}:{}", port.transport, port.address)?;
        }
        for peer in &self.proven {
            writeln!(f, "peer          {} at {}", peer.domain, peer.address.0)?;
        }
        let resolver::Counters { lookups, hits, timeouts, refused: unwilling, wrong, .. } = self.lookups;
        let (under_way, known) = self.names;
        writeln!(f, "names         {under_way} being looked up, {known} known; {lookups} lookups, {hits} from memory")?;
        writeln!(f, "name servers  {timeouts} timeouts, {unwilling} refusals, {wrong} wrong answers")?;
        let Counters { requests, responses, malformed, limited, stray, overloaded, refused, missed_messages } =
            self.counters;
        writeln!(f, "messages in   {requests} requests, {responses} answers")?;
        writeln!(
            f,
            "turned away   {malformed} malformed, {limited} over the limit, {stray} stray, {refused} wrong credentials"
        )?;
        writeln!(f, "overloaded    {overloaded}")?;
        write!(f, "not taken     {missed_messages} messages")
    }
}

impl fmt::Display for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.person, self.contact, self.transport)?;
        if let Some(Address(source)) = self.source {
            write!(f, ":{source}")?;
        }
        write!(f, " expires {} s, quiet {} s", self.expires_s, self.quiet_s)?;
        if self.q != 1000 {
            write!(f, ", q 0.{:03}", self.q)?;
        }
        if let Some(device) = self.device {
            write!(f, ", device {device}")?;
        }
        f.write_str(if self.behind_nat { ", behind NAT" } else { "" })?;
        f.write_str(if self.takes_messages { "" } else { ", no messages" })?;
        if self.missed > 0 {
            write!(f, ", {} messages missed", self.missed)?;
        }
        if !self.user_agent.0.is_empty() {
            write!(f, ", {}", self.user_agent)?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.0).fmt(f)
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Printable(self.0))
    }
}

impl Serialize for Listening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.transport, self.address))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
