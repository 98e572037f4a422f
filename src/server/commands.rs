//! What people say to the home, done: by a message to `sip:pcs@DOMAIN`, or with `pcsctl`.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr};

use heapless::Vec;

use super::buddies::write_networks;
use super::{Core, Server};
use crate::base::limits::{ADDRESSES_PER_BUDDY, BINDINGS_PER_PERSON, BUDDIES, BUSY_BYTES};
use crate::base::text::{OneLine, Writer};
use crate::base::time::Instant;
use crate::bridge::Show;
use crate::config::address::canonical;
use crate::config::model::{BuddyAddress, Missed, Network};
use crate::home::commands::{self, Command, Reply, Shown};
use crate::home::people::compose::TUPLES;
use crate::home::policy::{self, Asker, Assurance, Delegation, Event, Facts, Kind, Snapshot, Stage, State, Target};
use crate::home::presence::compose::{Manual, state_of};
use crate::home::presence::verdict::{self, Address, Verdict};
use crate::home::presence::watch::{Package, Progress, Subject, Watch};
use crate::home::registrar::Registrar;
use crate::sip::stack::Task;
use crate::wire::pidf::{Activities, Activity, Basic, Status};
use crate::wire::sip::Method;

/// Why what was said was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undone {
    /// Nobody of the home has that name.
    NoPerson,
    /// What was written says why.
    Said,
}

impl Server {
    /// Does what a person says, in the words that `sip:pcs@DOMAIN` takes from her, and writes the answer: lines of text,
    /// the last one without an end. `person` is the name of her section, in any case. What follows from it (a NOTIFY, a
    /// record) is fetched with [`Server::poll`], as after an input. An answer that does not fit is cut between two of its
    /// parts.
    ///
    /// # Errors
    /// When it was not done, or not understood.
    pub fn command(&mut self, now: Instant, person: &str, text: &str, out: &mut Writer<'_>) -> Result<(), Undone> {
        let person = self.core.people.model.person(person.as_bytes()).ok_or(Undone::NoPerson)?;
        self.core.now = now;
        if Command::parse(text) == Command::Inbox {
            self.tell_inbox(now, person, out);
            return Ok(());
        }
        if self.core.command(now, person, text, out) { Ok(()) } else { Err(Undone::Said) }
    }

    /// Writes what becomes of what somebody asks of a person, and why. `asker` is an address, as a URI or bare, or the name
    /// of a person of the home, or an alias of a buddy; [`Kind::Other`] asks for everything.
    ///
    /// # Errors
    /// When there is no such person, or that is no address.
    pub fn explain(&mut self, person: &str, asker: &str, kind: Kind, out: &mut Writer<'_>) -> Result<(), Undone> {
        let person = self.core.people.model.person(person.as_bytes()).ok_or(Undone::NoPerson)?;
        if self.core.explain(person, commands::address(asker), kind, out) { Ok(()) } else { Err(Undone::Said) }
    }
}

impl Core {
    /// Does what a person says, and writes the answer. Whether it was done.
    pub(super) fn command(&mut self, now: Instant, person: usize, text: &str, out: &mut Writer<'_>) -> bool {
        match Command::parse(text) {
            Command::Show(shown) => self.show(person, &shown, out),
            Command::Status => self.tell_status(person, out),
            Command::Who => self.tell_who(person, out),
            Command::Help => out.text(commands::HELP),
            Command::Allow(whom) => return self.answer_watcher(now, person, whom, true, out),
            Command::Deny(whom) => return self.answer_watcher(now, person, whom, false, out),
            Command::Explain(whom, kind) => return self.explain(person, whom, kind, out),
            Command::Reply(reply) => return self.settle_reply(person, reply, out),
            Command::Missed(missed) => self.settle_missed(person, missed, out),
            Command::HelpBuddies => out.text(commands::HELP_BUDDIES),
            Command::Accounts => self.tell_accounts(now, person, out),
            Command::Buddies => self.tell_buddies(person, out),
            Command::Add { alias, address, name } => return self.add_buddy(now, person, (alias, name), address, out),
            Command::Link { alias, address } => return self.link_buddy(now, person, alias, address, out),
            Command::Unlink { alias, address } => return self.unlink_buddy(now, person, alias, address, out),
            Command::Remove(alias) => return self.remove_buddy(now, person, alias, out),
            Command::Way(whom) => return self.explain_way(person, whom, out),
            // Who has the page answers it: `Server::tell_inbox`.
            Command::Inbox => {}
            Command::Unknown(_) => return no(commands::NOT_UNDERSTOOD, out),
        }
        true
    }

    /// Says or sets what who writes to her while she is away is told.
    fn settle_reply(&mut self, person: usize, reply: Reply<'_>, out: &mut Writer<'_>) -> bool {
        let text = match reply {
            Reply::Set(text) => Some(text),
            Reply::Default => Some(""),
            Reply::Tell => None,
        };
        if let Some(text) = text {
            if self.settings.set_busy(&self.people.model, person, text).is_err() {
                let _ = write!(out, "That is too long: {BUSY_BYTES} bytes are what there is room for.");
                return false;
            }
            self.stack.schedule.wake(Task::Journal.id());
        }
        out.text("Who writes to you while you are away is told: ");
        self.write_busy_text(person, out);
        true
    }

    /// Says or sets what becomes of her kept texts when she is back.
    fn settle_missed(&mut self, person: usize, missed: Option<Missed>, out: &mut Writer<'_>) {
        if let Some(missed) = missed {
            self.settings.set_missed(&self.people.model, person, missed);
            self.stack.schedule.wake(Task::Journal.id());
        }
        out.text(match self.settings.get(&self.people.model, person).missed {
            Missed::Keep => "Texts that are kept for you wait on the page.",
            Missed::Deliver => "Texts that are kept for you are sent to your devices when you are back.",
        });
    }

    fn show(&mut self, person: usize, shown: &Shown<'_>, out: &mut Writer<'_>) {
        let manual = shown.state.map(|state| {
            let mut activities = Activities::NONE;
            let named = Activity::from_name(shown.activity);
            let usual = match state {
                State::Away => Some(Activity::Away),
                State::Busy => Some(Activity::Busy),
                State::Available | State::Offline => None,
            };
            named.or(usual).into_iter().for_each(|activity| activities.insert(activity));
            let is_offline = state == State::Offline;
            Manual { is_offline, activities, note: shown.note.try_into().unwrap_or_default() }
        });
        self.presence.set_manual(&mut self.stack, person, manual);
        let _ = match shown.state {
            None => write!(out, "Others see what your devices say."),
            Some(state) if shown.note.is_empty() => {
                write!(out, "Others see you {}. Say auto to end that.", word_of(state))
            }
            Some(state) => write!(out, "Others see you {}: {}. Say auto to end that.", word_of(state), shown.note),
        };
    }

    fn tell_status(&mut self, person: usize, out: &mut Writer<'_>) {
        let (presence, around) = self.split_presence();
        // What has changed in this same turn counts already.
        let status = presence.now(&around, person);
        out.text("You are ");
        write_status(&status, out);
        if presence.manual(person).is_some() {
            out.text(", by your own word");
        }
        let about =
            |watch: &&Watch| watch.subject == Subject::Person(person as u16) && watch.package == Package::Presence;
        let watchers = || presence.watches.iter().map(|(_, watch)| watch).filter(about);
        let waiting = watchers().filter(|watch| watch.progress == Progress::Pending).count();
        let devices = around.registrar.of(person).count();
        let _ = write!(
            out,
            ".\n{devices} {} registered, {} {}.",
            if devices == 1 { "device is" } else { "devices are" },
            watchers().count() - waiting,
            if watchers().count() - waiting == 1 { "watches you" } else { "watch you" },
        );
        for watch in watchers().filter(|watch| watch.progress == Progress::Pending) {
            out.text("\nWaits for your answer: ");
            out.put(presence.address_of(around.stack, watch));
        }
    }

    /// Says who is there, of those whom a person may see.
    fn tell_who(&mut self, person: usize, out: &mut Writer<'_>) {
        let (presence, around) = self.split_presence();
        let model = &around.people.model;
        let mut is_first = true;
        let mut line = |name: &str, status: &Status, networks: &[Network], out: &mut Writer<'_>| {
            out.text(if core::mem::take(&mut is_first) { "" } else { "\n" });
            out.text(name);
            out.text(": ");
            write_status(status, out);
            write_networks(networks.iter().copied(), out);
        };
        for (index, other) in model.people.iter().enumerate().filter(|(index, _)| *index != person) {
            let asker = Asker { assurance: Assurance::Digest, person: Some(person), address: b"" };
            let seen = presence.would_see(&around, &asker, Ipv4Addr::UNSPECIFIED.into(), index);
            if let Some(seen) = seen {
                line(if other.name.is_empty() { &other.id } else { &other.name }, &seen, &[], out);
            }
        }
        for buddy in around.people.buddies_of(person) {
            let seen = presence.buddy_status(&around, person, buddy);
            // Of those on the lists of networks, who may be many, who is there.
            if buddy >= BUDDIES && seen.status.basic != Some(Basic::Open) {
                continue;
            }
            let mut networks: Vec<Network, TUPLES> = Vec::new();
            for tuple in seen.tuples.iter().filter(|tuple| tuple.show != Show::Offline) {
                if !networks.contains(&tuple.network) {
                    // There are no more than tuples.
                    let _ = networks.push(tuple.network);
                }
            }
            // Who is known by SIP alone has no tuples.
            if seen.tuples.is_empty() && seen.status.basic == Some(Basic::Open) {
                let _ = networks.push(Network::Sip);
            }
            line(around.people.buddy_name(buddy), &seen.status, &networks, out);
        }
        if is_first {
            out.text("You have nobody on your list.");
        }
    }

    /// Takes her answer about who may see her. Whether it is kept.
    fn answer_watcher(
        &mut self,
        now: Instant,
        person: usize,
        whom: Option<&str>,
        is_allowed: bool,
        out: &mut Writer<'_>,
    ) -> bool {
        // Who has asked on another network has no other address.
        if self.answers_request(person, whom)
            && let Some(who) = self.answer_request(person, whom, is_allowed)
        {
            let _ = write!(out, "{who} {}", if is_allowed { "is your buddy now." } else { "is not your buddy." });
            return true;
        }
        let whom = match whom.map(|whom| self.meant(person, whom)) {
            Some(Some(address)) => match self.family(&address) {
                Some(None) => {
                    let _ = write!(out, "{address} is nobody of the home.");
                    return false;
                }
                _ => address,
            },
            Some(None) => return no(commands::NOT_UNDERSTOOD, out),
            None => {
                let mut waiting = self.asked(person, true);
                let Some((first, ..)) = waiting.next() else { return no(commands::NOBODY_WAITS, out) };
                if waiting.any(|(other, ..)| !verdict::is_same(first.as_bytes(), other.as_bytes())) {
                    return no(commands::SEVERAL_WAIT, out);
                }
                first
            }
        };
        let is_family = self.family(&whom).is_some();
        let is_his = |address: &Address| verdict::is_same(address.as_bytes(), whom.as_bytes());
        let asked = self.asked(person, false).filter(|(address, ..)| is_his(address));
        let asked: Vec<(IpAddr, Assurance), SOURCES> =
            asked.map(|(_, source, how)| (source, how)).take(SOURCES).collect();
        let his = || asked.iter();
        let claims = |assurance: &Assurance| *assurance == Assurance::Claimed;
        let (presence, mut around) = self.split_presence();
        let seal = around.people.seal(&around.stack.random, person);
        if presence.verdicts.is_full() {
            // What people answered who have left the home makes room.
            let people = 0..around.people.model.people.len();
            let is_known = |seal: u32| people.clone().any(|it| around.people.seal(&around.stack.random, it) == seal);
            presence.verdicts.retain(is_known);
        }
        let mut put = |from| presence.verdicts.put(Verdict { person: seal, address: whom.clone(), from, is_allowed });
        // To deny is about the name, whoever bears it; to allow is about who asked, as far as he has not proven it.
        let mut outcome = Ok(());
        if !is_allowed || his().next().is_none() || his().any(|(_, assurance)| !claims(assurance)) {
            outcome = put(None);
        }
        if is_allowed {
            for (source, _) in his().filter(|(_, assurance)| claims(assurance)) {
                outcome = outcome.and_then(|()| put(Some(*source)));
            }
        }
        if outcome.is_err() {
            return no("There is no room for another answer. Who runs the home can make a rule.", out);
        }
        // Who is of the home has to prove it anyway.
        let is_known = his().next().is_some() || is_family;
        around.stack.schedule.wake(Task::Journal.id());
        presence.judge_all(now, &mut around, person);
        presence.touch_person(now, around.stack, person);
        let _ = match (is_allowed, is_known) {
            (true, true) => write!(out, "{whom} may see you."),
            (true, false) => {
                write!(out, "{whom} may see you once he proves who he is. If he only says so you are asked.")
            }
            (false, _) => write!(out, "{whom} sees you offline."),
        };
        true
    }

    /// Who watches a person: address, where from, and how sure that is; only those who wait, if so asked.
    pub(super) fn asked(
        &self,
        person: usize,
        only_waiting: bool,
    ) -> impl Iterator<Item = (Address, IpAddr, Assurance)> {
        let about = Subject::Person(person as u16);
        let watches = self.presence.watches.iter().map(|(_, watch)| watch);
        let hers = watches.filter(move |watch| watch.subject == about && watch.package == Package::Presence);
        let wanted = hers.filter(move |watch| !only_waiting || watch.progress == Progress::Pending);
        wanted.filter_map(|watch| {
            let address = core::str::from_utf8(self.presence.address_of(&self.stack, watch)).ok()?;
            Some((Address::try_from(address).ok()?, watch.source, watch.assurance))
        })
    }

    /// The address that a person means: as it is written, or that of a buddy of hers whose alias it is.
    fn meant(&self, person: usize, text: &str) -> Option<Address> {
        let address = address_of(text, &self.people.model.main.domain)?;
        let Some(None) = self.family(&address) else { return Some(address) };
        let alias = address.split('@').next().unwrap_or_default();
        let buddy = self.people.buddy(person, alias.as_bytes());
        match buddy.and_then(|buddy| self.people.buddy_uri::<160>(buddy)) {
            Some(uri) => commands::address(&uri).try_into().ok(),
            None => Some(address),
        }
    }

    /// The person that an address of the home is; `Some(None)` for one that is nobody's, `None` for one elsewhere.
    fn family(&self, address: &str) -> Option<Option<usize>> {
        let (user, host) = address.split_once('@')?;
        let is_here = host.eq_ignore_ascii_case(&self.people.model.main.domain);
        is_here.then(|| self.people.person(&self.stack.random, user.as_bytes()))
    }

    /// Says what becomes of what somebody asks for, of a buddy wherever he asks from. Whether that is an address.
    fn explain(&mut self, person: usize, whom: &str, kind: Kind, out: &mut Writer<'_>) -> bool {
        if let Some((network, name)) = commands::network_address(whom) {
            let Some(address) = canonical(network, name) else { return no(commands::NOT_UNDERSTOOD, out) };
            self.explain_account(person, (network, &address), kind, out);
            return true;
        }
        let Some(address) = self.meant(person, whom) else {
            return no(commands::NOT_UNDERSTOOD, out);
        };
        let elsewhere = self.addresses_elsewhere(person, whom);
        let family = self.family(&address);
        let assurances: &[Assurance] = match family {
            Some(Some(_)) => &[Assurance::Digest],
            Some(None) => &[],
            None => &[Assurance::Claimed, Assurance::Peer],
        };
        if assurances.is_empty() && elsewhere.is_empty() {
            let _ = write!(out, "{address} is nobody of the home.");
        }
        for assurance in assurances {
            let asker = Asker { assurance: *assurance, person: family.flatten(), address: address.as_bytes() };
            self.explain_asker(person, asker, kind, out);
        }
        for BuddyAddress { network, text, .. } in &elsewhere {
            self.explain_account(person, (*network, text), kind, out);
        }
        true
    }

    /// Says what becomes of what somebody on another network asks for, whose address there is canonical.
    fn explain_account(&mut self, person: usize, (network, name): (Network, &str), kind: Kind, out: &mut Writer<'_>) {
        let asker = Asker { assurance: Assurance::Account(network), person: None, address: name.as_bytes() };
        self.explain_asker(person, asker, kind, out);
    }

    fn explain_asker(&mut self, person: usize, asker: Asker<'_>, kind: Kind, out: &mut Writer<'_>) {
        let (presence, around) = self.split_presence();
        let method = if matches!(kind, Kind::Call { .. }) { Method::Invite } else { Method::Message };
        // Her answer about him, wherever he asks from.
        let seal = around.people.seal(&around.stack.random, person);
        let by_hand = presence.verdicts.by_name(seal, asker.address, asker.assurance);
        let facts = facts_in_general(around.registrar, person, method);
        let snapshot = Snapshot {
            model: &around.people.model,
            person: Some(person),
            state: presence.state(person),
            by_hand,
            devices: &facts,
            kept: Delegation::NONE,
        };
        policy::explain(&Event { asker, kind, target: Target::Person, stage: Stage::Arrived }, &snapshot, out);
    }

    /// The addresses on other networks of a buddy of hers, when it is his alias that she has written.
    fn addresses_elsewhere(&self, person: usize, whom: &str) -> Vec<BuddyAddress, ADDRESSES_PER_BUDDY> {
        let alias = match whom.split_once('@') {
            None => whom,
            Some((alias, _)) if self.family(whom) == Some(None) => alias,
            Some(_) => return Vec::new(),
        };
        let buddy = self.people.buddy(person, alias.as_bytes()).and_then(|buddy| self.people.model.buddies.get(buddy));
        let addresses = buddy.map_or(&[][..], |buddy| &buddy.addresses);
        addresses.iter().filter(|it| it.network != Network::Sip).cloned().collect()
    }
}

/// Places that one name has asked from which are looked at.
const SOURCES: usize = 16;

/// Says why something is not done.
fn no(why: &str, out: &mut Writer<'_>) -> bool {
    out.text(why);
    false
}

/// Writes how somebody is, in words.
fn write_status(status: &Status, out: &mut Writer<'_>) {
    out.text(word_of(state_of(status)));
    for activity in status.activities.iter().filter(|it| !matches!(it, Activity::Away | Activity::Busy)) {
        out.text(", ");
        out.text(activity.name());
    }
    if !status.note.is_empty() {
        // A note with line ends in it would add lines to the answer.
        let _ = write!(out, ": {}", OneLine(status.note.as_bytes()));
    }
}

pub(super) const fn word_of(state: State) -> &'static str {
    match state {
        State::Available => "available",
        State::Away => "away",
        State::Busy => "busy",
        State::Offline => "offline",
    }
}

/// The address that somebody wrote: a name alone is one of the home.
fn address_of(text: &str, domain: &str) -> Option<Address> {
    let mut address = Address::new();
    match text.contains('@') {
        true => address.push_str(text).ok()?,
        false => core::fmt::write(&mut address, format_args!("{text}@{domain}")).ok()?,
    }
    let is_clean = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
    is_clean.then_some(address)
}

/// What is known of a person's devices when no request is at hand.
fn facts_in_general(registrar: &Registrar, person: usize, method: Method<'_>) -> Vec<Facts, BINDINGS_PER_PERSON> {
    let facts = registrar.of(person).map(|(_, device)| Facts {
        takes_method: device.abilities.is_known.then(|| device.abilities.takes(method)),
        q: device.q,
        ..Facts::UNKNOWN
    });
    facts.take(BINDINGS_PER_PERSON).collect()
}
