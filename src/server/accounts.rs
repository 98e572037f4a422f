//! The accounts on other networks, driven: names looked up, connections made, TLS begun, bytes handed to connectors and
//! from them, and tried again when something breaks, later each time (RFC 6120 §3.3 asks for the like). What they say is
//! dealt with in `inward`, what they are to send comes from `outward`.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use super::bridges::{Bridge, Order, Standing};
use super::contract::{Output, Reason};
use super::{Core, Server};
use crate::base::limits::{ACCOUNTS, CONTEXTS, LINKS};
use crate::base::net::{Stream, Transport};
use crate::base::text::{Name, Writer};
use crate::base::time::{Instant, earliest};
use crate::bridge::{Command, Connector, End, Env, Link, OUT_BYTES, Outcome, SCRATCH_BYTES, Step, Stop, Target};
use crate::config::model::{Account, Model};
use crate::sip::resolver::{Candidate, Candidates, Located, LookupHandle, Service, Wanted};
use crate::sip::stack::{Produced, Task};
use crate::sip::transport::StreamUser;

/// The connectors, in the order of the model.
pub(super) struct Accounts {
    slots: Vec<Slot, ACCOUNTS>,
    /// Where connectors put the texts of what they make known.
    scratch: [u8; SCRATCH_BYTES],
    /// Where they write what is to be sent.
    out: [u8; OUT_BYTES],
}

struct Slot {
    connector: Connector,
    phase: Phase,
    links: [LinkState; LINKS],
    /// Attempts in a row that did not last.
    failures: u8,
    /// How often the server sent it elsewhere since it was last on.
    moves: u8,
    /// Whether there may be more texts than it has had in one turn.
    has_more: bool,
    /// Whether its links are to be read again when the house has less to do.
    is_crowded_out: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// To be begun then.
    Waiting(Instant),
    /// Connections are made, or it logs in; given up then.
    Connecting(Instant),
    /// On since then.
    Online(Instant),
    /// Off until something is done about it.
    Stopped,
}

/// One connection of an account.
#[derive(Default)]
struct LinkState {
    stream: Option<Stream>,
    lookup: Option<LookupHandle>,
    /// Where it may lead, the best first, and how many of them were tried.
    places: Candidates,
    tried: u8,
    /// What the certificate has to be for.
    domain: Name,
    /// Whether the places are spoken to over TLS from the first byte, whatever was found.
    is_tls: bool,
    is_up: bool,
}

/// The first attempt after a start waits so long: phones are registered again by then, and nobody flashes.
const START_MS: u64 = 1_000;
/// The second attempt follows after so long, every further one after twice the time.
const FIRST_PAUSE_MS: u64 = 2_000;
/// But never later than that.
const LONGEST_PAUSE_MS: u64 = 600_000;
/// An attempt that is not on by then has failed.
const LOGIN_MS: u64 = 60_000;
/// Who was on so long has a connection that works: the next attempt is a first one.
const STEADY_MS: u64 = 60_000;
/// How often a server may send an account elsewhere in a row.
const MOST_MOVES: u8 = 5;
/// What is computed in steps goes on after so long, so that everything else has its turn.
const STEP_MS: u64 = 1;
/// Texts that are handed to one account before others have their turn.
const TEXTS_PER_TURN: usize = 4;
/// Response contexts that are left to phones: networks can wait.
const SPARE_CONTEXTS: usize = CONTEXTS / 4;
/// Where there is no other, a network is heard again after so long.
const CROWDED_MS: u64 = 200;
/// What was ordered and found no room is tried again after so long.
const LATER_MS: u64 = 500;

impl Accounts {
    pub const fn new() -> Self {
        Self { slots: Vec::new(), scratch: [0; SCRATCH_BYTES], out: [0; OUT_BYTES] }
    }

    pub fn footprint() -> [(&'static str, usize, usize); 2] {
        let shared = SCRATCH_BYTES + OUT_BYTES;
        [("connectors", ACCOUNTS, size_of::<Self>() - shared), ("what connectors read and write", 1, shared)]
    }
}

/// The configuration.
impl Server {
    /// Takes the accounts of a new configuration: those that are as they were go on, others begin anew.
    pub(super) fn configure_accounts(&mut self, now: Instant, old: &[Option<usize>; ACCOUNTS], had: usize) {
        let Self { accounts, core, .. } = self;
        let mut slots: Vec<Slot, ACCOUNTS> = Vec::new();
        for (index, account) in core.people.model.accounts.iter().enumerate() {
            let kept = (0..had).find(|before| old.get(*before).copied().flatten() == Some(index));
            let slot = match kept.and_then(|before| accounts.slots.get_mut(before)) {
                Some(slot) => core::mem::replace(slot, Slot::new(Connector::None, Phase::Stopped)),
                None => Slot::new(Connector::new(account.network), Phase::Waiting(now.plus(START_MS))),
            };
            let _ = slots.push(slot);
        }
        for slot in &accounts.slots {
            for link in &slot.links {
                if let Some(stream) = link.stream {
                    core.close_link(stream);
                }
            }
        }
        accounts.slots = slots;
        let moved = |before: usize| old.get(before).copied().flatten();
        core.bridges.renumber(now, accounts.slots.len(), moved);
        core.outbox.renumber(moved);
        // Other ways may lead to people now.
        core.stack.schedule.wake(Task::Outgoing.id());
        for (index, slot) in accounts.slots.iter_mut().enumerate() {
            if matches!(slot.connector, Connector::None)
                && let Some(bridge) = core.bridges.get_mut(index)
            {
                slot.phase = Phase::Stopped;
                bridge.stand(now, Standing::Missing);
            }
            core.stack.schedule.wake(Task::Account(index).id());
        }
        for index in accounts.slots.len()..ACCOUNTS {
            core.stack.schedule.set_deadline(Task::Account(index).id(), None);
        }
    }
}

/// Turns of an account.
impl Server {
    /// What an account has to do.
    pub(super) fn produce_account(&mut self, now: Instant, index: usize) -> Produced<Output> {
        self.turn_account(now, index);
        self.reschedule_account(now, index);
        Produced::Nothing
    }

    fn turn_account(&mut self, now: Instant, index: usize) {
        while let Some((lookup, found)) = self.core.located.pop() {
            self.account_located(now, lookup, found.as_ref().map_err(|fault| fault.reason));
        }
        let Self { accounts: Accounts { slots, out, .. }, core, .. } = self;
        let Some(slot) = slots.get_mut(index) else { return };
        match slot.phase {
            Phase::Stopped => return,
            Phase::Waiting(until) if until > now => return,
            // What it is to remember may still be on its way from the disk.
            Phase::Waiting(_) if !core.is_storage_told && now < core.storage_due_at() => {
                slot.phase = Phase::Waiting(now.plus(START_MS));
                return;
            }
            Phase::Waiting(_) => {
                slot.phase = Phase::Connecting(now.plus(LOGIN_MS));
                core.lend(now, index, out, |env| slot.connector.begin(env));
                if let Some(bridge) = core.bridges.get_mut(index) {
                    bridge.stand(now, Standing::Connecting);
                }
            }
            Phase::Connecting(until) if until <= now => {
                return self.end_account(now, index, End::Retry("it takes too long to log in"));
            }
            Phase::Connecting(_) | Phase::Online(_) => {}
        }
        self.connect_links(now, index);
        if !matches!(
            self.accounts.slots.get(index).map(|slot| slot.phase),
            Some(Phase::Connecting(_) | Phase::Online(_))
        ) {
            return;
        }
        if self.accounts.slots.get_mut(index).is_some_and(|slot| core::mem::take(&mut slot.is_crowded_out)) {
            self.wake_links(index);
        }
        self.pass_time(now, index);
        // What nobody is told of when it is settled makes room, too.
        if self.core.bridges.get_mut(index).is_some_and(Bridge::lets_in) {
            self.wake_links(index);
        }
        if self.core.bridges.is_online(index) {
            self.give_orders(now, index);
        }
    }

    fn reschedule_account(&mut self, now: Instant, index: usize) {
        let Some(slot) = self.accounts.slots.get(index) else { return };
        let deadline = match slot.phase {
            Phase::Stopped => None,
            Phase::Waiting(until) => Some(until),
            Phase::Connecting(until) => earliest(Some(until), slot.connector.deadline()),
            Phase::Online(_) => slot.connector.deadline(),
        };
        let later =
            self.core.bridges.get(index).is_some_and(Bridge::has_orders) && matches!(slot.phase, Phase::Online(_));
        let deadline = earliest(deadline, later.then(|| now.plus(LATER_MS)));
        // Who was not shown yet may be at once, or when all phones had time to come back.
        let unshown = self.core.bridges.get(index).is_some_and(|it| it.shown == 0 && it.standing == Standing::Online);
        let deadline = earliest(deadline, Some(self.core.settled_at()).filter(|at| unshown && *at > now));
        let deadline = earliest(deadline, slot.is_crowded_out.then(|| now.plus(CROWDED_MS)));
        let deadline = if slot.has_more { Some(now) } else { deadline };
        let deadline = deadline.map(|at| at.max(now.plus(STEP_MS)));
        self.core.stack.schedule.set_deadline(Task::Account(index).id(), deadline);
    }

    /// Has the connector do what is due.
    fn pass_time(&mut self, now: Instant, index: usize) {
        let Self { accounts: Accounts { slots, scratch, out }, core, .. } = self;
        let Some(slot) = slots.get_mut(index) else { return };
        if slot.connector.deadline().is_none_or(|at| at > now) {
            return;
        }
        let link = slot.connector.speaks_on();
        let (len, step) = core.lend(now, index, out, |env| slot.connector.due(env, scratch));
        let stream = slot.stream(link);
        let is_sent = core.send_on_link(now, stream, len.and_then(|len| out.get(..len)));
        let ending = core.take_step(now, index, (stream, is_sent), step);
        self.ended(now, index, link, ending);
    }

    /// Gives the connector of an account that is on what there is to do: what came in is settled first, so that more may
    /// come, then how she is shown, then the rest, then texts.
    fn give_orders(&mut self, now: Instant, index: usize) {
        while let Some((token, is_taken)) = self.core.bridges.get(index).and_then(Bridge::next_settled) {
            match self.tell_connector(now, index, &Command::Settled { token, is_taken }) {
                Some(Outcome::Later) | None => return,
                _ => {}
            }
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.settled_told();
            }
            // It may have stopped reading for that.
            self.wake_links(index);
        }
        if let Some((hash, show, text)) = self.core.showing(now, index) {
            match self.tell_connector(now, index, &Command::Presence { show, text: &text }) {
                Some(Outcome::Later) | None => return,
                _ => {}
            }
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.shown = hash;
            }
        }
        while let Some(order) = self.core.bridges.get(index).and_then(|it| it.next_order().cloned()) {
            let command = match &order {
                Order::Typing { to, is_on } => Command::Typing { to, is_on: *is_on },
                Order::Add { who, name } => Command::Add { who, name },
                Order::Remove { who } => Command::Remove { who },
                Order::Authorise { who, is_allowed } => Command::Authorise { who, is_allowed: *is_allowed },
            };
            match self.tell_connector(now, index, &command) {
                Some(Outcome::Later) | None => return,
                Some(Outcome::Unable(why)) => log::info!("an account can't do what it was told: {why}"),
                Some(Outcome::Done) => {}
            }
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.order_done();
            }
        }
        while let Some((buddy, who, name)) = self.core.next_to_watch(index) {
            match self.tell_connector(now, index, &Command::Add { who: &who, name: &name }) {
                Some(Outcome::Later) | None => return,
                _ => {}
            }
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.next_watch = Some(buddy + 1);
            }
        }
        let mut text = [0; crate::bridge::TEXT_BYTES];
        self.set_more(index, false);
        for _ in 0..TEXTS_PER_TURN {
            let Some(due) = self.core.next_text_for(index, &mut text) else { return };
            let Some(body) = due.text(&text) else { break };
            let command = Command::Send { to: &due.who, text: body, id: due.id, is_automatic: due.is_automatic };
            match self.tell_connector(now, index, &command) {
                Some(Outcome::Done) => self.core.text_handed(now, index, due.handle),
                // It would stand before all others to him for ever.
                Some(Outcome::Unable(why)) => self.core.text_failed(now, index, due.id, why, true),
                // Again when it has room, which its deadline or the next event tells.
                Some(Outcome::Later) | None => return,
            }
        }
        self.set_more(index, true);
    }

    fn set_more(&mut self, index: usize, has_more: bool) {
        if let Some(slot) = self.accounts.slots.get_mut(index) {
            slot.has_more = has_more;
        }
    }

    /// Has a connector do something; `None` when its connection is gone by that.
    fn tell_connector(&mut self, now: Instant, index: usize, command: &Command<'_>) -> Option<Outcome> {
        let Self { accounts: Accounts { slots, out, .. }, core, .. } = self;
        let slot = slots.get_mut(index)?;
        let link = slot.connector.speaks_on();
        let stream = slot.stream(link);
        if !core.has_room_for(stream) {
            return Some(Outcome::Later);
        }
        let (len, outcome) = core.lend(now, index, out, |env| slot.connector.command(env, command));
        if !core.send_on_link(now, stream, len.and_then(|len| out.get(..len))) {
            self.end_account(now, index, End::Retry("too much was to be sent at once"));
            return None;
        }
        Some(outcome)
    }

    fn wake_links(&mut self, index: usize) {
        let Some(slot) = self.accounts.slots.get(index) else { return };
        for stream in slot.links.iter().filter_map(|link| link.stream) {
            self.core.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        }
    }
}

/// Connections.
impl Server {
    /// Makes the connections that the connector wants, and closes those that it does not.
    fn connect_links(&mut self, now: Instant, index: usize) {
        for number in 0..LINKS {
            let Some((slot, account)) =
                self.accounts.slots.get_mut(index).zip(self.core.people.model.accounts.get(index))
            else {
                return;
            };
            let target = slot.connector.target(account, Link(number as u8));
            let state = &mut slot.links[number];
            match target {
                None => {
                    if let Some(stream) = state.stream.take() {
                        self.core.close_link(stream);
                    }
                    *state = LinkState::default();
                }
                Some(target) if state.stream.is_none() && state.lookup.is_none() => {
                    if let Err(why) = self.core.open_link(now, index, number, state, &target) {
                        return self.end_account(now, index, End::Retry(why));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// A lookup has ended that links wait for.
    pub(super) fn account_located(
        &mut self,
        now: Instant,
        lookup: LookupHandle,
        found: Result<&Candidates, &'static str>,
    ) {
        for index in 0..self.accounts.slots.len() {
            for number in 0..LINKS {
                let state = &mut self.accounts.slots[index].links[number];
                if state.lookup != Some(lookup) {
                    continue;
                }
                state.lookup = None;
                let outcome = match found {
                    Ok(candidates) => {
                        (state.places, state.tried) = (candidates.clone(), 0);
                        self.core.try_next(now, index, number, state)
                    }
                    Err(why) => Err(why),
                };
                if let Err(why) = outcome {
                    self.end_account(now, index, End::Retry(why));
                }
                self.reschedule_account(now, index);
            }
        }
    }

    /// A link is up.
    pub(super) fn link_connected(&mut self, now: Instant, stream: Stream, is_tls: bool) {
        let Some((index, link)) = self.link_of(stream) else { return };
        let Self { accounts: Accounts { slots, out, .. }, core, .. } = self;
        let Some(slot) = slots.get_mut(index) else { return };
        if let Some(state) = slot.links.get_mut(usize::from(link.0)) {
            state.is_up = true;
        }
        let (len, ()) = core.lend(now, index, out, |env| slot.connector.connected(env, link, is_tls));
        if !core.send_on_link(now, Some(stream), len.and_then(|len| out.get(..len))) {
            self.end_account(now, index, End::Retry("too much was to be sent at once"));
        }
        self.reschedule_account(now, index);
    }

    /// A link is gone. Whether the stream was one.
    pub(super) fn link_closed(&mut self, now: Instant, stream: Stream, reason: Reason) {
        let Self { accounts: Accounts { slots, out, .. }, core, .. } = self;
        let place = slots.iter().enumerate().find_map(|(index, slot)| {
            let number = slot.links.iter().position(|link| link.stream == Some(stream))?;
            Some((index, number))
        });
        let Some((index, number)) = place else { return };
        let slot = &mut slots[index];
        let state = &mut slot.links[number];
        state.stream = None;
        let was_up = core::mem::take(&mut state.is_up);
        // Of several places the next is tried, until one is there.
        if !was_up && usize::from(state.tried) < state.places.len() {
            if core.try_next(now, index, number, state).is_err() {
                self.end_account(now, index, End::Retry("there is no room for another connection"));
            }
            return self.reschedule_account(now, index);
        }
        let why = match reason {
            Reason::Unsecured => "the server has not proven who it is, or speaks no TLS",
            Reason::NotConnected => "the server can't be reached",
            Reason::PeerClosed => "the server has closed the connection",
            Reason::Broken | Reason::Asked => "the connection broke",
        };
        let link = Link(number as u8);
        let (_, end) = core.lend(now, index, out, |env| slot.connector.closed(env, link));
        match end {
            _ if !was_up => self.end_account(now, index, End::Retry(why)),
            // The connector knows better than to say that it broke.
            Some(End::Retry(_)) => self.end_account(now, index, End::Retry(why)),
            Some(end) => self.end_account(now, index, end),
            None => self.core.stack.schedule.wake(Task::Account(index).id()),
        }
        self.reschedule_account(now, index);
    }

    /// Reads what has come in on a link.
    pub(super) fn read_link(&mut self, now: Instant, stream: Stream) {
        let Some((index, link)) = self.link_of(stream) else { return };
        let task = Task::Stream(usize::from(stream.index)).id();
        // Read again when what waits was sent, or settled.
        if !self.core.has_room_for(Some(stream)) {
            return;
        }
        let Some(bridge) = self.core.bridges.get_mut(index) else { return };
        if !bridge.has_room() {
            bridge.is_held_back = true;
            return;
        }
        let Self { inbound, accounts: Accounts { slots, scratch, out }, core, .. } = self;
        let Some(slot) = slots.get_mut(index) else { return };
        // A text that finds no room would be refused. The network keeps it until there is.
        if core.proxy.len() + SPARE_CONTEXTS >= CONTEXTS {
            slot.is_crowded_out = true;
            return self.reschedule_account(now, index);
        }
        let is_full = inbound.is_stuck(stream);
        let bytes = inbound.waiting(stream);
        if bytes.is_empty() {
            return;
        }
        let bytes_len = bytes.len();
        let (len, (taken, step)) =
            core.lend(now, index, out, |env| slot.connector.received(env, link, (bytes, is_full), scratch));
        let is_sent = core.send_on_link(now, Some(stream), len.and_then(|len| out.get(..len)));
        let has_more = !matches!(step, Step::Nothing) || taken > 0 && taken < bytes.len();
        let ending = core.take_step(now, index, (Some(stream), is_sent), step);
        inbound.consume(stream, taken);
        // An element that never ends must not keep its window for ever.
        let is_partial = taken < bytes_len && !has_more;
        core.stack.network.received(now, stream, is_partial);
        core.stack.reschedule_stream(usize::from(stream.index));
        if has_more {
            core.stack.schedule.wake(task);
        }
        self.ended(now, index, link, ending);
        self.reschedule_account(now, index);
    }

    fn link_of(&self, stream: Stream) -> Option<(usize, Link)> {
        let StreamUser::Account { account, link } = self.core.stack.network.stream(stream)?.user else { return None };
        let slot = self.accounts.slots.get(usize::from(account))?;
        let state = slot.links.get(usize::from(link))?;
        (state.stream == Some(stream)).then_some((usize::from(account), Link(link)))
    }

    /// Acts on what a step of a connector has ended.
    fn ended(&mut self, now: Instant, index: usize, link: Link, end: Option<End>) {
        let Some(slot) = self.accounts.slots.get_mut(index) else { return };
        if self.core.bridges.is_online(index) && !matches!(slot.phase, Phase::Online(_)) {
            slot.phase = Phase::Online(now);
            slot.moves = 0;
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.abilities = slot.connector.abilities();
            }
            self.core.stack.schedule.wake(Task::Account(index).id());
        } else if let Some(bridge) = self.core.bridges.get_mut(index) {
            bridge.abilities = slot.connector.abilities();
        }
        match end {
            None => {}
            Some(End::Link) => {
                if let Some(state) = slot.links.get_mut(usize::from(link.0)) {
                    if let Some(stream) = state.stream.take() {
                        self.core.close_link(stream);
                    }
                    *state = LinkState::default();
                }
                self.core.stack.schedule.wake(Task::Account(index).id());
            }
            Some(end) => self.end_account(now, index, end),
        }
    }

    /// Ends the connections of an account, and says when it is tried again.
    fn end_account(&mut self, now: Instant, index: usize, end: End) {
        let Some(slot) = self.accounts.slots.get_mut(index) else { return };
        for state in &mut slot.links {
            if let Some(stream) = state.stream.take() {
                self.core.close_link(stream);
            }
            *state = LinkState::default();
        }
        if let Phase::Online(since) = slot.phase
            && now.since(since) >= STEADY_MS
        {
            slot.failures = 0;
        }
        let standing = match end {
            End::Stop(stop) => {
                slot.phase = Phase::Stopped;
                Standing::Stopped(stop)
            }
            End::Done => {
                slot.phase = Phase::Stopped;
                Standing::Stopped(Stop::Refused("logged out"))
            }
            End::Moved if slot.moves < MOST_MOVES => {
                slot.moves += 1;
                slot.phase = Phase::Waiting(now);
                Standing::Connecting
            }
            End::Retry(_) | End::Moved | End::Link => {
                let why = if let End::Retry(why) = end { why } else { "the server sends it elsewhere again and again" };
                let pause_ms = (FIRST_PAUSE_MS << slot.failures.min(12)).min(LONGEST_PAUSE_MS);
                slot.failures = slot.failures.saturating_add(1);
                // Whatever cut many off at once is not to have them all back at once.
                let pause_ms = pause_ms / 2 + u64::from(self.core.stack.random.below(pause_ms as u32));
                let until = now.plus(pause_ms);
                slot.phase = Phase::Waiting(until);
                Standing::Waiting { until, why }
            }
        };
        self.core.account_down(now, index, standing);
        self.reschedule_account(now, index);
    }

    /// Tries an account again at once. Whether there is one that is off.
    pub(super) fn retry_account(&mut self, now: Instant, index: usize) -> bool {
        let Some(slot) = self.accounts.slots.get_mut(index) else { return false };
        if matches!(slot.phase, Phase::Online(_)) || matches!(slot.connector, Connector::None) {
            return false;
        }
        if matches!(slot.phase, Phase::Waiting(_) | Phase::Stopped) {
            (slot.phase, slot.failures) = (Phase::Waiting(now), 0);
            if let Some(bridge) = self.core.bridges.get_mut(index) {
                bridge.stand(now, Standing::Connecting);
            }
        }
        self.core.stack.schedule.wake(Task::Account(index).id());
        true
    }

    /// Brings back what an account was to remember.
    pub(super) fn restore_account(&mut self, bytes: &[u8]) {
        let Ok(kept) = postcard::from_bytes::<super::bridges::Kept<'_>>(bytes) else {
            return log::warn!("what an account remembered can't be read and is left out");
        };
        let Some(index) = self.core.account_of_seal(kept.account) else { return };
        if let (Some(slot), Some(bridge)) = (self.accounts.slots.get_mut(index), self.core.bridges.get_mut(index))
            // What a disk holds that comes late is older than what was seen meanwhile.
            && bridge.bookmark.is_empty()
            && bridge.standing != Standing::Online
        {
            slot.connector.restore(kept.bookmark);
            bridge.bookmark = kept.bookmark.try_into().unwrap_or_default();
        }
    }
}

impl Slot {
    fn new(connector: Connector, phase: Phase) -> Self {
        Self {
            connector,
            phase,
            links: Default::default(),
            failures: 0,
            moves: 0,
            has_more: false,
            is_crowded_out: false,
        }
    }

    fn stream(&self, link: Link) -> Option<Stream> {
        self.links.get(usize::from(link.0))?.stream
    }
}

/// What of the core connectors are driven with.
impl Core {
    /// Lends a connector what it needs for one call; how much it wrote, `None` when that was too much.
    fn lend<R>(
        &mut self,
        now: Instant,
        index: usize,
        out: &mut [u8; OUT_BYTES],
        call: impl FnOnce(&mut Env<'_, '_>) -> R,
    ) -> (Option<usize>, R) {
        let time = self.time(now);
        let mut out = Writer::new(out);
        // There is a section for each slot.
        const NOBODY: &Account = &Account::NONE;
        let account = self.people.model.accounts.get(index).unwrap_or(NOBODY);
        let result = call(&mut Env { now, time, random: &mut self.stack.random, account, out: &mut out });
        (out.finish().ok(), result)
    }

    /// Whether a connector may say something: what it said before is on its way.
    fn has_room_for(&self, stream: Option<Stream>) -> bool {
        stream.is_some_and(|stream| {
            self.stack.network.stream(stream).is_some_and(|it| it.is_open())
                && self.stack.network.transmit_window(stream, &self.stack.store).len() < BACKLOG_BYTES
        })
    }

    /// Sends what a connector has written; false when that can't be.
    fn send_on_link(&mut self, now: Instant, stream: Option<Stream>, bytes: Option<&[u8]>) -> bool {
        let Some(bytes) = bytes else { return false };
        if bytes.is_empty() {
            return true;
        }
        let Some(stream) = stream else { return false };
        let stack = &mut self.stack;
        let is_queued = stack.network.queue(now, stream, bytes, &mut stack.store);
        stack.reschedule_stream(usize::from(stream.index));
        stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        is_queued
    }

    /// Does what a step of a connector asks for.
    fn take_step(
        &mut self,
        now: Instant,
        index: usize,
        (stream, is_sent): (Option<Stream>, bool),
        step: Step<'_>,
    ) -> Option<End> {
        let end = match step {
            Step::Nothing | Step::Quiet => None,
            Step::Event(event) => {
                self.bridge_event(now, index, event);
                None
            }
            Step::StartTls => {
                let has_begun = stream.is_some_and(|stream| self.stack.start_tls(now, stream));
                (!has_begun).then_some(End::Retry("TLS can't begin on this connection"))
            }
            Step::End(end) => Some(end),
        };
        end.or((!is_sent).then_some(End::Retry("too much was to be sent at once")))
    }

    fn close_link(&mut self, stream: Stream) {
        self.stack.network.close(stream);
        self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
    }

    /// Begins a connection.
    fn open_link(
        &mut self,
        now: Instant,
        index: usize,
        number: usize,
        state: &mut LinkState,
        target: &Target,
    ) -> Result<(), &'static str> {
        const NO_ROOM: &str = "there is no room for another connection";
        let (host, domain, port, service, is_tls) = match target {
            Target::Local => {
                state.stream = self.stack.connect_local(now, index as u8, number as u8);
                return state.stream.map(drop).ok_or(NO_ROOM);
            }
            Target::Xmpp { domain } => (domain, domain, None, Service::XmppClient, false),
            Target::Host { host, port, is_tls, domain } => (host, domain, Some(*port), Service::Host, *is_tls),
        };
        (state.domain, state.is_tls) = (domain.clone(), is_tls);
        let transport = if is_tls { Transport::Tls } else { Transport::Tcp };
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let address = SocketAddr::new(ip, port.unwrap_or(XMPP_PORT));
            (state.places, state.tried) = (Candidates::from_iter([Candidate { transport, address }]), 0);
            return self.try_next(now, index, number, state);
        }
        let wanted = Wanted { host: host.as_bytes(), port, transport: Some(transport), secure: false, service };
        let located = self.stack.resolver.locate(now, &mut self.stack.random, &wanted);
        self.stack.wake_lookups();
        match located {
            Located::Ready(places) => {
                (state.places, state.tried) = (places, 0);
                self.try_next(now, index, number, state)
            }
            Located::Pending(lookup) => {
                state.lookup = Some(lookup);
                Ok(())
            }
            Located::Failed(failure) => Err(crate::home::outside::fault_of(failure).reason),
        }
    }

    /// Connects to the next of the places that a link may lead to.
    fn try_next(
        &mut self,
        now: Instant,
        index: usize,
        number: usize,
        state: &mut LinkState,
    ) -> Result<(), &'static str> {
        let Some(place) = state.places.get(usize::from(state.tried)).copied() else {
            return Err("the server can't be reached");
        };
        state.tried += 1;
        let stream =
            self.stack.connect_account(now, place.address, place.transport, &state.domain, index as u8, number as u8);
        state.stream = stream;
        stream.map(drop).ok_or("there is no room for another connection")
    }
}

/// The accounts of an old configuration in a new one: those that log in as they did.
pub(super) fn moved_accounts(old: &Model, new: &Model) -> [Option<usize>; ACCOUNTS] {
    let mut moved = [None; ACCOUNTS];
    for (index, account) in old.accounts.iter().enumerate() {
        let owner =
            |model: &Model, it: &Account| model.people.get(usize::from(it.person)).map(|person| person.id.clone());
        moved[index] = new.accounts.iter().position(|other| {
            let person = other.person;
            owner(old, account) == owner(new, other) && Account { person, ..account.clone() } == *other
        });
    }
    moved
}

/// The port of XMPP where none is said (RFC 6120 §3.2.2).
const XMPP_PORT: u16 = 5222;
/// A connector whose link has so much to send is not heard, and not told anything.
const BACKLOG_BYTES: usize = 8 * 1024;
