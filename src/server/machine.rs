//! The answering machine at work: it takes calls that nobody took, talks and records ([`crate::home::machine`] has the table,
//! [`crate::sip::call`] the dialog, [`crate::media::session`] the media), and puts what it heard into the inbox.
//!
//! The record is begun before the greeting is said, so that who can't be recorded is told so; each piece of sound is handed
//! to the disk as it comes. A call in which nothing was said is a missed call.

use core::net::SocketAddr;

use super::Core;
use super::contract::{BlobStep, Credits, Output, PortError, StoreError};
use super::delegation::Missed;
use super::requests::Incoming;
use super::returning::key_of;
use super::tickets::Waiter;
use crate::base::limits::{BLOB_PART_BYTES, MEDIA_PORTS};
use crate::base::net::{Port, Transport};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::home::inbox::{Category, Codec as Coding, LetterHandle, What};
use crate::home::machine::{Machine, Record, Socket, SocketStep, Stage, codec_of, context_of};
use crate::home::proxy::ContextHandle;
use crate::media::Codec;
use crate::media::session::{Heard, Phase};
use crate::sip::call::{ALLOW, Call, Due};
use crate::sip::dialog;
use crate::sip::stack::{Produced, Task};
use crate::spool::{Key, Kind};
use crate::wire::sdp::{self, Offer};
use crate::wire::sip::{Fault, MediaType, Message, Method, Name};

use super::agent::refused;

/// A recording in which less than this was heard is none.
const SHORTEST_MS: u64 = 500;
/// Bytes of a session description of ours.
const DESCRIPTION_BYTES: usize = 1_024;

const NO_CODEC: Fault = Fault { status: 488, reason: "No Common Codec" };

/// Taking a call.
impl Core {
    /// Has the machine answer a call for a person.
    pub(super) fn answer_by_machine(&mut self, now: Instant, handle: ContextHandle, person: usize) {
        match self.begin_machine(now, handle, person) {
            Ok(()) => self.proxy.delegate(handle, crate::home::proxy::context::Delegation::Machine),
            // What a device has said tells the caller more.
            Err(Some(fault)) if self.proxy.get(handle).is_some_and(|context| context.best.is_none()) => {
                self.nobody_takes_because(now, handle, fault);
            }
            Err(_) => self.no_machine_for(now, handle),
        }
    }

    /// The machine can't take a call after all: who has no other answer is told that nobody is there.
    fn no_machine_for(&mut self, now: Instant, handle: ContextHandle) {
        const NOBODY: Fault = Fault { status: 480, reason: "Temporarily Unavailable" };
        let context = self.proxy.get(handle);
        match context.is_some_and(|context| context.best.is_none() && context.targets.is_empty()) {
            true => self.nobody_takes_because(now, handle, NOBODY),
            false => self.nobody_takes(now, handle),
        }
    }

    fn begin_machine(&mut self, now: Instant, handle: ContextHandle, person: usize) -> Result<(), Option<Fault>> {
        let context = self.proxy.get(handle).ok_or(None)?;
        let section = self.people.model.people.get(person).ok_or(None)?;
        let flow = self.stack.server(context.server).map(|tx| tx.flow).ok_or(None)?;
        let local = self.stack.network.local(flow).ok_or(None)?;
        let message = Message::parse(self.stack.store.get(&context.request)).map_err(|_| None)?;
        let essentials = message.essentials().ok_or(None)?;
        let chosen = match message.body() {
            [] => None,
            body => {
                const NOT_SDP: Fault = Fault { status: 415, reason: "Unsupported Media Type" };
                let content_type = message.field(Name::ContentType).map(|field| MediaType::parse(field.value));
                if !content_type.is_none_or(|media| media.is_ok_and(|media| media.is("application", "sdp"))) {
                    return Err(Some(NOT_SDP));
                }
                const UNREADABLE: Fault = Fault { status: 400, reason: "Malformed Session Description" };
                let offer = Offer::parse(body).map_err(|_| Some(UNREADABLE))?;
                Some(sdp::choose(&offer).map_err(|_| Some(NO_CODEC))?)
            }
        };
        let remote = self.stack.network.remote(flow).map(|remote| remote.ip());
        let external = remote.and_then(|ip| self.stack.network.advertised(ip)).and_then(|name| name.parse().ok());
        let shown = external.filter(|ip: &core::net::IpAddr| ip.is_ipv4() == local.is_ipv4()).unwrap_or(local.ip());
        let port = self.machines.vacant_port(&mut self.stack.random, self.people.model.main.rtp_ports);
        let machine = Machine {
            context: handle.to_bits(),
            person: context.passage.callee,
            caller: self.sender_of(context, essentials),
            began_at: context.began_at,
            stage: Stage::Opening,
            call: None,
            chosen,
            version: 1,
            session_id: self.stack.random.number() >> 2,
            own: SocketAddr::new(local.ip(), port),
            shown,
            sockets: [Socket::ToOpen; 2],
            failures: 0,
            limit_s: section.record_seconds,
            language: section.language,
            record: Record::None,
            letter: None,
            bytes: 0,
            is_reading: false,
            ends_at: None,
        };
        let index = self.machines.insert(machine).ok_or(None)?;
        log::info!("the answering machine takes a call for {}", section.id);
        self.wake_machine(index);
        let _ = now;
        Ok(())
    }

    /// A socket was opened, or not.
    pub(super) fn media_opened(&mut self, now: Instant, socket: usize, outcome: Result<SocketAddr, PortError>) {
        let range = self.people.model.main.rtp_ports;
        let Self { machines, stack, .. } = self;
        match machines.opened(&mut stack.random, range, socket, outcome.is_ok()) {
            Some(true) => self.answer_call(now, socket / 2),
            Some(false) => {
                log::warn!("no ports for media: the answering machine can't answer");
                let context = self.machines.get(socket / 2).map(context_of);
                self.drop_machine(socket / 2);
                context.into_iter().for_each(|context| self.no_machine_for(now, context));
            }
            None => {}
        }
        self.wake_machine(socket / 2);
    }

    /// The sockets are there: the call is answered, if it still waits for that.
    fn answer_call(&mut self, now: Instant, index: usize) {
        let Some(machine) = self.machines.get(index) else { return };
        let handle = context_of(machine);
        let waiting = self.proxy.get(handle).filter(|context| context.waits_for_delegate());
        let Some(context) = waiting else { return self.drop_machine(index) };
        let (server, request) = (context.server, self.stack.store.share(&context.request));
        let call = self.accept_call(now, index, server, &request);
        self.stack.store.release(request);
        let Some((machine, _)) = self.machines.get_mut(index) else { return };
        match call {
            Some(call) => {
                (machine.call, machine.stage) = (Some(call), Stage::Answered);
                let (proxy, mut around) = self.split();
                proxy.taken(now, &mut around, handle);
            }
            None => {
                self.drop_machine(index);
                self.no_machine_for(now, handle);
            }
        }
    }

    fn accept_call(
        &mut self,
        now: Instant,
        index: usize,
        server: crate::sip::stack::ServerHandle,
        request: &crate::base::store::Bytes,
    ) -> Option<Call> {
        let flow = self.stack.server(server)?.flow;
        let id = self.stack.random.number();
        let machine = self.machines.get(index)?;
        // Read from a copy: the answer is composed where the request lies.
        let mut room = [0; REQUEST_BYTES];
        let bytes = self.stack.store.get(request);
        let copy = room.get_mut(..bytes.len())?;
        copy.copy_from_slice(bytes);
        let message = Message::parse(copy).ok()?;
        let mut description = [0; DESCRIPTION_BYTES];
        let len = describe(machine, message.body(), &mut description)?;
        Call::answer(now, &mut self.stack, (server, flow), &message, id, &description[..len])
    }

    /// Gives a call up that was not answered.
    fn drop_machine(&mut self, index: usize) {
        if let Some((machine, _)) = self.machines.get_mut(index) {
            (machine.stage, machine.record) = (Stage::Over, Record::Done);
            close_sockets(machine);
            self.wake_machine(index);
        }
    }

    pub(super) fn wake_machine(&mut self, index: usize) {
        self.stack.schedule.wake(Task::Machine(index).id());
    }
}

/// What comes in a call.
impl Core {
    /// Takes an ACK of one of the machine's calls. Whether it was that.
    pub(super) fn machine_acknowledged(&mut self, now: Instant, message: &Message<'_>) -> bool {
        let Some(index) = self.machine_of(message) else { return false };
        let own_greeting = self.machines.get(index).and_then(|machine| self.machines.greeting(machine.person));
        let Self { machines, stack, .. } = self;
        let Some((machine, session)) = machines.get_mut(index) else { return false };
        let Some(call) = machine.call.as_mut() else { return false };
        if !call.acknowledged(stack, message) {
            return true;
        }
        if machine.stage == Stage::Over {
            return true;
        }
        if machine.chosen.is_none() || !message.body().is_empty() {
            // The answer to our offer. With another coding than the recording has, it can't go on.
            let was = machine.chosen.map(|chosen| chosen.codec);
            match sdp::choose_answer(message.body()) {
                Ok(chosen) if was.is_none_or(|codec| codec == chosen.codec) => machine.chosen = Some(chosen),
                _ => {
                    call.hang_up(now, stack, 0);
                    self.call_over(now, index);
                    return true;
                }
            }
        }
        if machine.stage == Stage::Answered
            && let Some(setup) = machine.setup(&mut stack.random)
        {
            machine.begin_to_talk(now);
            session.begin(now, &setup);
            session.hold(now, machine.chosen.is_some_and(|chosen| chosen.is_held));
            session.speak(now, machine.prompt(own_greeting));
        } else if machine.stage == Stage::Talking
            && let Some(setup) = machine.setup(&mut stack.random)
        {
            session.retarget(&setup);
            session.hold(now, machine.chosen.is_some_and(|chosen| chosen.is_held));
        }
        self.wake_machine(index);
        true
    }

    /// The slot of the call that a request is in.
    fn machine_of(&self, message: &Message<'_>) -> Option<usize> {
        let id = message.essentials()?.to.tag().and_then(dialog::id_of)?;
        let index = self.machines.find(id)?;
        let call = self.machines.get(index)?.call.as_ref()?;
        call.has(&self.stack.store, message).then_some(index)
    }

    /// Takes a request in one of the machine's calls. Whether it was that. Who knows both tags and the Call-ID is the caller:
    /// ours is a secret of the two.
    pub(super) fn ask_machine(&mut self, now: Instant, incoming: &Incoming<'_, '_>) -> bool {
        let Some(index) = self.machine_of(incoming.message) else { return false };
        let Some((machine, session)) = self.machines.get_mut(index) else { return false };
        let Some(call) = machine.call.as_mut() else { return false };
        if !call.admits(incoming.message) {
            self.answer_for_good(now, incoming, &refused(500, "Out of Order", ""));
            return true;
        }
        let is_over = machine.stage == Stage::Over;
        match incoming.method {
            // We have hung up, and a BYE has crossed ours, or what is recorded is being put away.
            method if is_over && method != Method::Bye => {
                self.answer_for_good(now, incoming, &refused(481, "Call/Transaction Does Not Exist", ""));
            }
            Method::Bye => {
                self.answer_for_good(now, incoming, &refused(200, "OK", ""));
                self.call_over(now, index);
            }
            Method::Invite if call.is_unconfirmed() => {
                self.answer_for_good(now, incoming, &refused(500, "Earlier INVITE Pending", "Retry-After: 2\r\n"));
            }
            // RFC 3311 §5.2: our own offer is not answered yet.
            Method::Update if machine.chosen.is_none() && !incoming.message.body().is_empty() => {
                self.answer_for_good(now, incoming, &refused(491, "Request Pending", ""));
            }
            Method::Invite | Method::Update => self.change_call(now, incoming, index),
            Method::Info => {
                let is_hash = dtmf_in(incoming.message.body()) == Some('#');
                if is_hash && session.phase() == Phase::Recording {
                    session.finish(now);
                }
                self.answer_for_good(now, incoming, &refused(200, "OK", ""));
                self.wake_machine(index);
            }
            Method::Options => self.answer_for_good(now, incoming, &refused(200, "OK", ALLOW)),
            _ => self.answer_for_good(now, incoming, &refused(405, "Method Not Allowed", ALLOW)),
        }
        true
    }

    /// Another session description in a call: another address, or hold.
    fn change_call(&mut self, now: Instant, incoming: &Incoming<'_, '_>, index: usize) {
        let is_invite = incoming.method == Method::Invite;
        let body = incoming.message.body();
        let Some((machine, _)) = self.machines.get_mut(index) else { return };
        let before = (machine.chosen, machine.version);
        let mut chosen = machine.chosen;
        if !body.is_empty() {
            let offer = Offer::parse(body).ok();
            let again = offer.and_then(|offer| match machine.chosen {
                Some(before) => sdp::choose_again(&offer, before.codec).ok(),
                None => sdp::choose(&offer).ok(),
            });
            let Some(again) = again else {
                return self.answer_for_good(now, incoming, &refused(NO_CODEC.status, NO_CODEC.reason, ""));
            };
            chosen = Some(again);
        }
        (machine.chosen, machine.version) = (chosen, machine.version + 1);
        let mut description = [0; DESCRIPTION_BYTES];
        // An UPDATE without a description is a sign of life.
        let len = if is_invite || !body.is_empty() { describe(machine, body, &mut description) } else { Some(0) };
        let server = self.stack.open_server(now, &incoming.keys, incoming.flow, is_invite);
        let Self { machines, stack, .. } = self;
        let Some((machine, session)) = machines.get_mut(index) else { return };
        let is_accepted = len.zip(server).zip(machine.call.as_mut()).is_some_and(|((len, server), call)| {
            call.accept(now, stack, (server, incoming.flow), incoming.message, &description[..len])
        });
        if !is_accepted {
            // What was agreed on before holds (RFC 3261 §14.2).
            (machine.chosen, machine.version) = before;
            let answer = refused(503, "Service Unavailable", "Retry-After: 2\r\n");
            return match server {
                Some(server) => self.respond(now, incoming, server, &answer),
                None => self.refuse(now, incoming, answer.fault.status, answer.fault.reason, answer.field),
            };
        }
        if machine.stage == Stage::Talking
            && !body.is_empty()
            && let Some(setup) = machine.setup(&mut stack.random)
        {
            session.retarget(&setup);
            session.hold(now, machine.chosen.is_some_and(|chosen| chosen.is_held));
        }
        self.wake_machine(index);
    }

    /// A datagram for one of the media sockets.
    pub(super) fn media_received(&mut self, now: Instant, socket: usize, from: SocketAddr, bytes: &[u8]) {
        let Some((machine, session)) = self.machines.get_mut(socket / 2) else { return };
        if machine.stage != Stage::Talking {
            return;
        }
        let before = session.phase();
        let heard = match socket % 2 {
            0 => session.received(now, from, bytes),
            _ => session.rtcp_received(now, from, bytes),
        };
        if heard != Heard::Nothing || session.has_chunk() || session.phase() != before {
            self.wake_machine(socket / 2);
        }
        self.reschedule_machine(socket / 2);
    }

    /// The deadline of a call has come.
    pub(super) fn machine_due(&mut self, now: Instant, index: usize) {
        let Self { machines, stack, .. } = self;
        if let Some((machine, _)) = machines.get_mut(index) {
            let is_long = machine.stage == Stage::Talking && machine.ends_at.is_some_and(|at| at <= now);
            if let Some(call) = machine.call.as_mut()
                && (call.due(now, stack) == Due::Unconfirmed || is_long)
            {
                call.hang_up(now, stack, 0);
                self.call_over(now, index);
            }
        }
        self.wake_machine(index);
    }

    /// A call is over, by whomever: what was recorded is put away.
    fn call_over(&mut self, now: Instant, index: usize) {
        if let Some((machine, session)) = self.machines.get_mut(index)
            && machine.stage != Stage::Over
        {
            if machine.stage == Stage::Talking {
                session.finish(now);
                let counters = session.counters();
                log::info!(
                    "a call of {} s to the answering machine is over: {counters:?}",
                    now.since(machine.began_at) / 1000
                );
            }
            machine.stage = Stage::Over;
        }
        self.wake_machine(index);
    }

    fn reschedule_machine(&mut self, index: usize) {
        let deadline = self.machines.get_mut(index).and_then(|(machine, session)| {
            let media = if machine.stage == Stage::Talking { session.deadline() } else { None };
            earliest(machine.deadline(), media)
        });
        self.stack.schedule.set_deadline(Task::Machine(index).id(), deadline);
    }
}

/// What goes out.
impl Core {
    /// The next thing that a call has for the edge.
    pub(super) fn produce_machine(
        &mut self,
        now: Instant,
        index: usize,
        credits: Credits,
        buffer: &mut [u8],
    ) -> Produced<Output> {
        if let Some(step) = self.machines.socket_step(index) {
            self.wake_machine(index);
            return Produced::Output(match step {
                SocketStep::Open(port, address) => Output::OpenPort { port, transport: Transport::Udp, address },
                SocketStep::Close(port) => Output::ClosePort(port),
            });
        }
        if let Some(output) = self.produce_media(now, index, credits, buffer) {
            self.wake_machine(index);
            return Produced::Output(output);
        }
        self.follow_phase(now, index);
        let produced = self.produce_record(now, index, credits.storage, buffer);
        self.reschedule_machine(index);
        produced
    }

    fn produce_media(&mut self, now: Instant, index: usize, credits: Credits, buffer: &mut [u8]) -> Option<Output> {
        let (machine, session) = self.machines.get_mut(index)?;
        if !matches!(machine.stage, Stage::Talking | Stage::Over) || machine.sockets != [Socket::Open; 2] {
            return None;
        }
        while let Some(sending) = session.poll(now, buffer) {
            let port = Port((MEDIA_PORTS + 2 * index + usize::from(sending.is_rtcp)) as u8);
            // Sound that can't leave now is of no use later.
            if credits.ports.contains(port) {
                return Some(Output::Datagram { port, to: sending.to, len: sending.len });
            }
        }
        None
    }

    /// What the media have come to is told to the caller.
    fn follow_phase(&mut self, now: Instant, index: usize) {
        let Self { machines, stack, .. } = self;
        let Some((machine, session)) = machines.get_mut(index) else { return };
        if machine.stage == Stage::Talking
            && let Phase::Ended(why) = session.phase()
        {
            log::debug!("the answering machine hangs up: {why:?}");
            machine.call.iter_mut().for_each(|call| call.hang_up(now, stack, 0));
            self.call_over(now, index);
        }
    }

    /// The next request of a call to the storage.
    fn produce_record(&mut self, now: Instant, index: usize, has_credit: bool, buffer: &mut [u8]) -> Produced<Output> {
        let (can_store, has_disk) = (self.can_store(has_credit), self.has_disk());
        let Some((machine, session)) = self.machines.get_mut(index) else { return Produced::Nothing };
        let is_over = machine.stage == Stage::Over;
        let wants = match machine.record {
            Record::None if machine.stage == Stage::Talking => true,
            Record::None | Record::Failed => is_over,
            Record::Begun => false,
            Record::Open => is_over || session.has_chunk() || session.wanted().is_some() && !machine.is_reading,
            Record::Done => {
                let is_closed = is_over && close_sockets(machine);
                if is_closed {
                    let Self { machines, stack, .. } = self;
                    machines.remove(index, &mut stack.store);
                }
                // Its sockets are closed first.
                if !is_closed && self.machines.wants_sockets(index) {
                    self.wake_machine(index);
                }
                return Produced::Nothing;
            }
        };
        if !wants {
            return Produced::Nothing;
        }
        if !can_store && has_disk {
            return Produced::Blocked;
        }
        let record = machine.record;
        self.wake_machine(index);
        let output = match record {
            Record::None if !is_over => self.begin_record(now, index, buffer),
            Record::Open => self.go_on_recording(now, index, is_over, buffer),
            _ => self.note_missed(now, index, buffer),
        };
        output.map_or(Produced::Nothing, Produced::Output)
    }

    /// Begins the record of a call.
    fn begin_record(&mut self, now: Instant, index: usize, buffer: &mut [u8]) -> Option<Output> {
        let at = self.unix_time(now);
        let id = self.stack.random.number();
        let person = self.machines.get(index).map(|machine| machine.person)?;
        let name = self.machines.name(index);
        let slot = self.person_of_seal(person);
        let Self { machines, inbox, tickets, journal, .. } = self;
        let (machine, session) = machines.get_mut(index)?;
        machine.record = Record::Failed;
        let coding = machine.chosen.map(|chosen| coding_of(codec_of(chosen.codec)))?;
        let has_disk = journal.storage() == super::contract::Storage::Disk;
        let sender = (machine.caller.address.as_slice(), machine.caller.name.as_slice());
        let letter = slot.filter(|_| has_disk).and_then(|person| {
            let admitted = inbox.admit(person as u16, sender, machine.caller.is_stranger, Category::Voice, id, at);
            admitted.inspect_err(|full| log::warn!("a call can't be recorded: {full:?}")).ok()
        });
        let written = letter.and_then(|letter| {
            inbox.recording(letter, coding);
            let what = What::Voice { codec: coding, milliseconds: 0, lost_milliseconds: 0 };
            inbox.keep(letter, person, what)?.write(buffer)
        });
        let (Some(letter), Some(len)) = (letter, written) else {
            letter.into_iter().for_each(|letter| inbox.withdraw(letter));
            session.refuse(now);
            return None;
        };
        (machine.record, machine.letter) = (Record::Begun, Some(letter));
        let ticket = tickets.issue(Waiter::Begun(name));
        let key = key_of(Category::Voice, id);
        Some(Output::Store { ticket, key, owner: person, len, blob: BlobStep::Open })
    }

    /// The next part of the greeting to be read, the next piece of sound, or the end of the record.
    fn go_on_recording(&mut self, now: Instant, index: usize, is_over: bool, buffer: &mut [u8]) -> Option<Output> {
        let Self { machines, inbox, tickets, stack, .. } = self;
        let greeting = machines.get(index).and_then(|machine| machines.greeting(machine.person));
        let name = machines.name(index);
        let (machine, session) = machines.get_mut(index)?;
        let letter = machine.letter?;
        let Some(id) = inbox.get(letter).map(|letter| letter.id) else {
            // The disk has gone, or she is not of the home any more: nobody will hear what is said from here on.
            machine.record = Record::Failed;
            if !is_over {
                log::warn!("a recording is cut off: its letter is gone");
                machine.call.iter_mut().for_each(|call| call.hang_up(now, stack, 0));
                self.call_over(now, index);
            }
            return None;
        };
        let key = key_of(Category::Voice, id);
        if let Some((offset, len)) = session.wanted().filter(|_| !machine.is_reading && !is_over) {
            let Some(greeting) = greeting else {
                session.prompt(offset, &[]);
                return None;
            };
            machine.is_reading = true;
            let ticket = tickets.issue(Waiter::Greeting(name));
            let key = Key { kind: Kind::Greeting, id: greeting.id };
            return Some(Output::Read { ticket, key, offset, len: len.min(BLOB_PART_BYTES as u32) });
        }
        let len = session.take_chunk(is_over, &mut buffer[..BLOB_PART_BYTES]);
        if len > 0 {
            machine.bytes = machine.bytes.saturating_add(len as u32);
            let ticket = tickets.issue(Waiter::Sound(name));
            return Some(Output::Append { ticket, key, len });
        }
        if !is_over {
            return None;
        }
        let (recorded_ms, lost_ms) = (session.recorded_ms(), session.lost_ms());
        if session.heard_ms() < SHORTEST_MS {
            // Nothing was said: it is forgotten, and noted as a missed call.
            machine.record = Record::Failed;
            inbox.remove(letter);
            self.inbox_changed();
            return None;
        }
        let coding = machine.chosen.map(|chosen| coding_of(codec_of(chosen.codec)))?;
        let milliseconds = u32::try_from(recorded_ms).unwrap_or(u32::MAX);
        let lost_milliseconds = u32::try_from(lost_ms).unwrap_or(u32::MAX);
        let what = What::Voice { codec: coding, milliseconds, lost_milliseconds };
        machine.record = Record::Done;
        inbox.measure(letter, machine.bytes, milliseconds);
        let len = inbox.keep(letter, machine.person, what)?.write(buffer)?;
        let ticket = tickets.issue(Waiter::Recorded(letter.to_bits()));
        Some(Output::Store { ticket, key, owner: machine.person, len, blob: BlobStep::Close })
    }

    /// Notes that a call was missed in which nothing was said.
    fn note_missed(&mut self, now: Instant, index: usize, buffer: &mut [u8]) -> Option<Output> {
        let at = self.unix_time(now);
        let (machine, _) = self.machines.get_mut(index)?;
        machine.record = Record::Done;
        let (owner, caller) = (machine.person, machine.caller.clone());
        let rang_seconds = (now.since(machine.began_at) / 1000).min(u64::from(u16::MAX)) as u16;
        let person = self.person_of_seal(owner)?;
        self.write_missed(&Missed { person, owner, caller: &caller, at, rang_seconds }, buffer)
    }
}

/// What the storage answers.
impl Core {
    /// The record of a call was begun, or could not be.
    pub(super) fn recording_begun(&mut self, now: Instant, name: u32, outcome: Result<(), StoreError>) {
        let Some(index) = self.machines.named(name) else { return };
        let Self { machines, inbox, .. } = self;
        let Some((machine, session)) = machines.get_mut(index) else { return };
        if machine.record != Record::Begun {
            return;
        }
        match (outcome, machine.letter) {
            (Ok(()), Some(letter)) => {
                machine.record = Record::Open;
                inbox.settled(letter);
            }
            (outcome, letter) => {
                log::warn!("a call can't be recorded: {outcome:?}");
                letter.into_iter().for_each(|letter| inbox.withdraw(letter));
                machine.record = Record::Failed;
                session.refuse(now);
            }
        }
        self.inbox_changed();
        self.wake_machine(index);
    }

    /// A piece of sound was written, or not.
    pub(super) fn sound_stored(&mut self, now: Instant, name: u32, outcome: Result<(), StoreError>) {
        let (Err(error), Some(index)) = (outcome, self.machines.named(name)) else { return };
        let Self { machines, stack, .. } = self;
        let Some((machine, _)) = machines.get_mut(index) else { return };
        if machine.stage == Stage::Talking {
            log::warn!("a recording is cut off: {error:?}");
            machine.call.iter_mut().for_each(|call| call.hang_up(now, stack, 0));
            self.call_over(now, index);
        }
    }

    /// A record is complete.
    pub(super) fn recording_stored(&mut self, letter: LetterHandle, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            log::warn!("the end of a recording could not be written: {error:?}");
        }
        let measured = self.inbox.get(letter).map(|letter| (letter.size, letter.milliseconds));
        if let Some((size, milliseconds)) = measured {
            self.inbox.recorded(letter, size, milliseconds);
        }
        self.inbox_changed();
    }

    /// A part of a greeting was read.
    pub(super) fn greeting_loaded(&mut self, name: u32, outcome: Result<&[u8], StoreError>) {
        let Some(index) = self.machines.named(name) else { return };
        if let Some((machine, session)) = self.machines.get_mut(index) {
            machine.is_reading = false;
            if let Some((offset, _)) = session.wanted() {
                session.prompt(offset, outcome.unwrap_or_default());
            }
        }
        self.wake_machine(index);
    }
}

/// Closes the sockets of a call; whether they are closed.
fn close_sockets(machine: &mut Machine) -> bool {
    for socket in &mut machine.sockets {
        *socket = match *socket {
            Socket::Open | Socket::ToClose => Socket::ToClose,
            // What is being opened is closed when that is told.
            Socket::Opening => Socket::ToClose,
            Socket::ToOpen | Socket::Closed => Socket::Closed,
        };
    }
    machine.sockets == [Socket::Closed; 2]
}

/// Writes our session description: the answer to an offer, or an offer.
fn describe(machine: &Machine, offer: &[u8], room: &mut [u8]) -> Option<usize> {
    let own = SocketAddr::new(machine.shown, machine.own.port());
    let session = (machine.session_id, machine.version);
    let mut out = Writer::new(room);
    match (machine.chosen, offer) {
        (Some(chosen), [_, ..]) => {
            sdp::write_answer(&Offer::parse(offer).ok()?, &chosen, own, session, &mut out);
        }
        _ => sdp::write_offer(own, session, &mut out),
    }
    out.finish().ok()
}

const fn coding_of(codec: Codec) -> Coding {
    match codec {
        Codec::Alaw => Coding::Alaw,
        Codec::Ulaw => Coding::Ulaw,
        Codec::Opus => Coding::Opus,
    }
}

/// The key that an INFO says was pressed (application/dtmf-relay: `Signal=#`; application/dtmf: the key alone).
fn dtmf_in(body: &[u8]) -> Option<char> {
    let text = core::str::from_utf8(body).ok()?;
    let signal = text.lines().find_map(|line| line.trim().strip_prefix("Signal"));
    let key = signal.map_or(text.trim(), |rest| rest.trim_start().trim_start_matches('=').trim());
    let mut characters = key.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Bytes of an INVITE that the machine answers at most.
const REQUEST_BYTES: usize = 8 * 1024;
