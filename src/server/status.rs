//! What `pcsctl` shows of the server, its devices, people and watchers, as values that serialize (for `--json`) and display.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

use super::commands::word_of;
use super::standing::AccountStatus;
use super::{Core, Server};
use crate::base::limits::{ACCOUNTS, PEERS, PORTS, RECORDINGS};
use crate::base::net::Transport;
use crate::base::text::{OneLine, Printable};
use crate::base::time::Instant;
use crate::home::binding::{Binding, Text};
use crate::home::inbox::Category;
use crate::home::machine::{Machine, Record};
use crate::home::presence::compose::state_of;
use crate::home::presence::watch::{Package, Progress, Subject, Watch};
use crate::sip::resolver;
use crate::sip::stack::Counters;
use crate::wire::pidf::{Activities, Format};

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
    /// Subscriptions to people of the home.
    pub watches: usize,
    /// Those of them that wait for the person's answer.
    pub pending: usize,
    /// Presence documents that devices have sent.
    pub publications: usize,
    /// Devices and people elsewhere that the home itself is subscribed to.
    pub watched: usize,
    /// Calls in progress that make somebody be on the phone.
    pub calls: usize,
    /// Answers of people about who may see them.
    pub verdicts: usize,
    /// What is kept for all people.
    pub kept: Kept,
    /// Calls that the answering machine has taken and that go on.
    pub answering: usize,
    /// Recordings that are being made.
    pub recording: usize,
    /// Connections to the web page.
    pub web: usize,
    /// Blocks of the message store in use, by size: bytes, used, of.
    pub blocks: [(usize, usize, usize); 4],
    /// Sockets.
    pub listening: heapless::Vec<Listening, PORTS>,
    /// The accounts on other networks.
    pub accounts: heapless::Vec<AccountStatus<'s>, ACCOUNTS>,
    /// Connections with peers that have proven who they are.
    pub proven: heapless::Vec<Proven<'s>, PEERS>,
    /// Names being looked up, and outcomes that are known.
    pub names: (usize, usize),
    /// Counts of lookups since the start.
    pub lookups: resolver::Counters,
    /// Counts since the start.
    pub counters: Counters,
}

/// What is kept, deleted letters that can still be had back included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Kept {
    /// Texts.
    pub texts: usize,
    /// Recordings, unfinished ones too.
    pub recordings: usize,
    /// Missed calls.
    pub calls: usize,
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
    /// Whether the web page is served there, and no SIP.
    pub is_web: bool,
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

/// What is known of one person: what others see who may see all.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PersonStatus<'s> {
    /// Who it is.
    pub person: &'s str,
    /// Her state, as rules name it: `available`, `away`, `busy` or `offline`.
    pub state: &'static str,
    /// What she does, as RPID calls it (RFC 4480 §3.2).
    pub activities: Doing,
    /// Her words, at most 160 bytes; empty: none.
    pub note: Line<'s>,
    /// Whether she has said so herself, to `sip:pcs` or with `pcsctl`; else her devices have, or the home knows.
    pub by_hand: bool,
}

/// Somebody who watches: a subscription.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Watcher<'s> {
    /// Who is watched: a person, or the alias of a buddy; of a list, whose it is; `pcs`, the home itself.
    pub person: &'s str,
    /// Which of these it is: `person`, `buddy`, `list` or `home`.
    pub subject: &'static str,
    /// What of it: the event package.
    pub package: &'static str,
    /// Who watches: `USER@HOST`, as `pcsctl allow` takes it.
    pub watcher: Line<'s>,
    /// `pending`: waits for her answer and sees her offline; `active`; `ending`.
    pub state: &'static str,
    /// Seconds until it ends unless refreshed.
    pub expires_s: u64,
    /// The format of what the watcher gets.
    pub format: &'static str,
    /// Where the SUBSCRIBE came from.
    pub from: IpAddr,
}

/// A text from the network, shown as one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'s>(pub &'s [u8]);

/// What somebody does, as a list of words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doing(pub Activities);

/// An address, shown as text.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub SocketAddr);

/// Bytes from a device, shown as text: what is not printable ASCII is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'s>(pub &'s [u8]);

impl Server {
    /// The state of the server as a whole.
    pub fn status(&self, now: Instant) -> Status<'_> {
        let Core { stack, people, registrar, proxy, presence, started, machines, .. } = &self.core;
        let is_pending = |watch: &Watch| watch.progress == Progress::Pending;
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
            watches: presence.watches.len(),
            pending: presence.watches.iter().filter(|(_, watch)| is_pending(watch)).count(),
            publications: presence.publications.len(),
            watched: presence.watched.len(),
            calls: presence.calls.len(),
            verdicts: presence.verdicts.len(),
            kept: self.core.kept(),
            answering: machines.len(),
            recording: (0..RECORDINGS).filter(|index| is_recording(machines.get(*index))).count(),
            web: self.web.len(),
            blocks: stack.store.usage(),
            listening: listening
                .map(|(_, port)| Listening { transport: port.transport, address: port.address, is_web: port.is_web })
                .collect(),
            accounts: self.accounts(now).collect(),
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

    /// The presence of all people, as of the last [`Server::poll`].
    pub fn presence(&self) -> impl Iterator<Item = PersonStatus<'_>> {
        let presence = &self.core.presence;
        self.core.people.model.people.iter().enumerate().map(move |(index, person)| {
            let status = presence.status(index);
            PersonStatus {
                person: &person.id,
                state: word_of(state_of(status)),
                activities: Doing(status.activities),
                note: Line(status.note.as_bytes()),
                by_hand: presence.manual(index).is_some(),
            }
        })
    }

    /// All subscriptions to people of the home, in no order.
    pub fn watchers(&self, now: Instant) -> impl Iterator<Item = Watcher<'_>> {
        self.core.presence.watches.iter().map(move |(_, watch)| self.core.watcher(now, watch))
    }
}

impl Core {
    fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for person in 0..self.people.model.people.len() {
            for (_, letter) in self.inbox.letters(person) {
                *match letter.category {
                    Category::Text => &mut kept.texts,
                    Category::Voice => &mut kept.recordings,
                    Category::Call => &mut kept.calls,
                } += 1;
            }
        }
        kept
    }

    fn watcher<'s>(&'s self, now: Instant, watch: &Watch) -> Watcher<'s> {
        let model = &self.people.model;
        let id = |person: u16| model.people.get(usize::from(person)).map_or("", |it| it.id.as_str());
        let (person, subject) = match watch.subject {
            Subject::Person(person) => (id(person), "person"),
            Subject::Buddy(buddy) => (self.people.buddy_alias(usize::from(buddy)), "buddy"),
            Subject::List(_) => (watch.watcher.map_or("", id), "list"),
            Subject::Home => ("pcs", "home"),
        };
        Watcher {
            person,
            subject,
            package: watch.package.name(),
            watcher: Line(self.presence.address_of(&self.stack, watch)),
            state: match watch.progress {
                Progress::Pending => "pending",
                Progress::Active => "active",
                Progress::Ending(_) => "ending",
            },
            expires_s: watch.expires_at.seconds_from(now),
            format: match (watch.package, watch.format) {
                (Package::Winfo, _) => "watcherinfo",
                (Package::Summary, _) => "simple-message-summary",
                (Package::Presence, Format::Pidf) => "pidf",
                (Package::Presence, Format::Xpidf) => "xpidf",
                (Package::Presence, Format::Msrtc) => "msrtc",
            },
            from: watch.source,
        }
    }

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

/// Whether a call is being recorded: sound can be appended to its record.
fn is_recording(machine: Option<&Machine>) -> bool {
    machine.is_some_and(|machine| machine.record == Record::Open)
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pcsd {} for {}, up {} s", self.version, self.domain, self.uptime_s)?;
        writeln!(f, "people        {}", self.people)?;
        writeln!(f, "devices       {}", self.bindings)?;
        writeln!(f, "forking       {}", self.forking)?;
        writeln!(f, "transactions  {} server, {} client", self.server_transactions, self.client_transactions)?;
        writeln!(f, "streams       {}", self.streams)?;
        writeln!(
            f,
            "watchers      {}, of them {} waiting; {} documents, {} watched elsewhere",
            self.watches, self.pending, self.publications, self.watched
        )?;
        writeln!(f, "calls         {}", self.calls)?;
        writeln!(f, "answers       {} about watchers", self.verdicts)?;
        let Kept { texts, recordings, calls } = self.kept;
        writeln!(f, "kept          {texts} texts, {recordings} recordings, {calls} missed calls")?;
        writeln!(f, "answering     {} calls, {} being recorded", self.answering, self.recording)?;
        writeln!(f, "web           {} connections", self.web)?;
        for (bytes, used, all) in self.blocks {
            writeln!(f, "blocks        {used} of {all} of {bytes} bytes")?;
        }
        for port in &self.listening {
            writeln!(f, "{}  {port}", if port.is_web { "page        " } else { "listening   " })?;
        }
        for account in &self.accounts {
            writeln!(f, "account       {account}")?;
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

impl fmt::Display for PersonStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.person, self.state)?;
        for word in self.activities.0.names().filter(|word| *word != self.state) {
            write!(f, ", {word}")?;
        }
        f.write_str(if self.by_hand { ", by hand" } else { "" })?;
        if self.note.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.note) }
    }
}

impl fmt::Display for Watcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.person)?;
        if matches!(self.subject, "buddy" | "list") {
            write!(f, " ({})", self.subject)?;
        }
        write!(f, " {} {} {}", self.package, self.watcher, self.state)?;
        write!(f, ", expires {} s, {}, from {}", self.expires_s, self.format, self.from)
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(self.0).fmt(f)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&OneLine(self.0))
    }
}

impl Serialize for Doing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.names())
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

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_web, self.transport) {
            (true, Transport::Tls) => write!(f, "https:{}", self.address),
            (true, _) => write!(f, "http:{}", self.address),
            (false, transport) => write!(f, "{transport}:{}", self.address),
        }
    }
}

impl Serialize for Listening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;
    use crate::wire::pidf::Activity;

    fn json(value: &impl Serialize) -> String {
        serde_json_core::to_string::<_, 1024>(value).unwrap().as_str().into()
    }

    #[test]
    fn people_in_words() {
        let mut status = PersonStatus {
            person: "alice",
            state: "away",
            activities: Doing(Activities::of(&[Activity::Away, Activity::Meal])),
            note: Line("p\u{e5} \"lunch\"\x1b\n".as_bytes()),
            by_hand: true,
        };
        assert_eq!(status.to_string(), "alice away, meal, by hand: p\u{e5} \"lunch\"  ");
        assert_eq!(
            json(&status),
            "{\"person\":\"alice\",\"state\":\"away\",\"activities\":[\"away\",\"meal\"],\
             \"note\":\"p\u{e5} \\\"lunch\\\"  \",\"by_hand\":true}"
        );
        status = PersonStatus {
            state: "offline",
            activities: Doing(Activities::NONE),
            note: Line(b""),
            by_hand: false,
            ..status
        };
        assert_eq!(status.to_string(), "alice offline");
    }

    #[test]
    fn watchers_in_words() {
        let watcher = Watcher {
            person: "alice",
            subject: "person",
            package: "presence",
            watcher: Line(b"bob@x.test"),
            state: "pending",
            expires_s: 300,
            format: "pidf",
            from: "2001:db8::7".parse().unwrap(),
        };
        assert_eq!(watcher.to_string(), "alice presence bob@x.test pending, expires 300 s, pidf, from 2001:db8::7");
        let list = Watcher { subject: "list", watcher: Line(b"alice@home.example"), state: "active", ..watcher };
        assert!(list.to_string().starts_with("alice (list) presence alice@home.example active, "), "{list}");
        assert!(json(&watcher).ends_with(
            "\"watcher\":\"bob@x.test\",\"state\":\"pending\",\"expires_s\":300,\"format\":\"pidf\",\
             \"from\":\"2001:db8::7\"}"
        ));
    }
}
