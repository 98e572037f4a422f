//! The answering machine: the calls that it has taken, each with its dialog ([`crate::sip::call`]), its media
//! ([`crate::media::session`]) and its record, and the greetings of people. It may answer for anybody: what it says and where
//! what it hears goes is not decided here.
//!
//! A call goes through four stages: its sockets are opened; it is answered, and the ACK awaited; it is talked to; it is over,
//! and what was recorded is put away. Its place is free when all of that is done.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::base::limits::{MEDIA_PORTS, PEOPLE, RECORDINGS};
use crate::base::net::Port;
use crate::base::random::Random;
use crate::base::store::Store;
use crate::base::table::{Handle, Table};
use crate::base::time::{Instant, earliest};
use crate::config::model::Language;
use crate::home::inbox::LetterHandle;
use crate::media::session::{Prompt, Session, Setup};
use crate::media::{Codec, prompts};
use crate::sip::call::Call;
use crate::wire::sdp::{Audio, Chosen, RtcpWay};

/// All calls of the answering machine.
pub struct Machines {
    slots: Table<Machine, RECORDINGS>,
    sessions: [Session; RECORDINGS],
    greetings: Vec<Greeting, PEOPLE>,
}

/// A call that the machine takes.
#[derive(Debug)]
pub struct Machine {
    /// The response context that waits for the answer, as handle bits.
    pub context: u32,
    /// The person it answers for, as a seal.
    pub person: u32,
    /// Who calls.
    pub caller: Caller,
    /// When the call came.
    pub began_at: Instant,
    /// How far it is.
    pub stage: Stage,
    /// The call, once it is answered.
    pub call: Option<Call>,
    /// What was negotiated; `None` while our own offer is not answered.
    pub chosen: Option<Chosen>,
    /// The version of our session description.
    pub version: u32,
    /// Names the session in it.
    pub session_id: u64,
    /// Where our RTP socket is.
    pub own: SocketAddr,
    /// The address that peers are told.
    pub shown: IpAddr,
    /// The sockets for RTP and RTCP.
    pub sockets: [Socket; 2],
    /// How many pairs of ports could not be opened.
    pub failures: u8,
    /// Seconds that a recording may last.
    pub limit_s: u16,
    /// The language of the greeting.
    pub language: Language,
    /// What is on the disk.
    pub record: Record,
    /// Its letter.
    pub letter: Option<LetterHandle>,
    /// Bytes of sound that were handed to the disk.
    pub bytes: u32,
    /// Whether a part of the greeting is being read.
    pub is_reading: bool,
    /// When the call ends at the latest, whatever the caller does; `None` before the ACK.
    pub ends_at: Option<Instant>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `USER@HOST`.
    pub address: Vec<u8, 160>,
    /// The display name.
    pub name: Vec<u8, 48>,
    /// Whether it is only claimed.
    pub is_stranger: bool,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Its sockets are being opened.
    Opening,
    /// Answered; no ACK yet.
    Answered,
    /// The caller hears us.
    Talking,
    /// Over.
    Over,
}

/// A socket of a call's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Socket {
    /// To be opened.
    ToOpen,
    /// Being opened.
    Opening,
    /// Open.
    Open,
    /// To be closed.
    ToClose,
    /// Closed.
    Closed,
}

/// The record of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// None yet.
    None,
    /// On its way to the disk.
    Begun,
    /// There: sound can be appended.
    Open,
    /// It can't be written.
    Failed,
    /// Complete, or given up: nothing more is to be done.
    Done,
}

/// What a socket has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketStep {
    /// Open it at this address.
    Open(Port, SocketAddr),
    /// Close it.
    Close(Port),
}

/// A greeting of somebody's own: G.711 A-law in the blob of its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// Whose, as a seal.
    pub person: u32,
    /// Its record.
    pub id: u64,
    /// Bytes, and so samples.
    pub bytes: u32,
}

/// The record of a greeting (postcard).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptGreeting {
    /// Whose, as a seal.
    pub person: u32,
    /// How long it is, bytes; 0 while it comes in. One whose upload was cut off is told by that.
    pub bytes: u32,
}

/// Silence that ends a recording.
const SILENCE_MS: u32 = 10_000;
/// What a call may take besides its recording: the greeting, and time on hold.
const BESIDES_MS: u64 = 300_000;
/// Pairs of ports that are tried.
const PORT_TRIES: u8 = 8;

impl Machines {
    /// No calls.
    pub const fn new() -> Self {
        Self { slots: Table::new(), sessions: [const { Session::empty() }; RECORDINGS], greetings: Vec::new() }
    }

    /// Whether it can take another call.
    pub const fn has_room(&self) -> bool {
        !self.slots.is_full()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many it has.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Takes a call; its slot. `None` when there is no room.
    pub fn insert(&mut self, machine: Machine) -> Option<usize> {
        let handle = self.slots.insert(machine).ok()?;
        Some(handle.index())
    }

    /// The call in a slot.
    pub fn get(&self, index: usize) -> Option<&Machine> {
        self.slots.get(self.slots.handle_at(index)?)
    }

    /// The name of the call in a slot, for what is asked on its behalf: another call in that slot has another.
    pub fn name(&self, index: usize) -> u32 {
        self.slots.handle_at(index).map_or(u32::MAX, Handle::to_bits)
    }

    /// The slot of a call by its name, while it is there.
    pub fn named(&self, name: u32) -> Option<usize> {
        let handle = Handle::from_bits(name);
        self.slots.get(handle).map(|_| handle.index())
    }

    /// The call in a slot and its media.
    pub fn get_mut(&mut self, index: usize) -> Option<(&mut Machine, &mut Session)> {
        let handle = self.slots.handle_at(index)?;
        Some((self.slots.get_mut(handle)?, self.sessions.get_mut(index)?))
    }

    /// The slot of the call that a To tag names.
    pub fn find(&self, id: u64) -> Option<usize> {
        let is_it = |machine: &Machine| machine.call.as_ref().is_some_and(|call| call.dialog().id == id);
        self.slots.iter().find(|(_, machine)| is_it(machine)).map(|(handle, _)| handle.index())
    }

    /// The slot whose letter this is.
    pub fn of_letter(&self, letter: LetterHandle) -> Option<usize> {
        let found = self.slots.iter().find(|(_, machine)| machine.letter == Some(letter));
        found.map(|(handle, _)| handle.index())
    }

    /// Forgets a call.
    pub fn remove(&mut self, index: usize, store: &mut Store) {
        let Some(machine) = self.slots.handle_at(index).and_then(|handle| self.slots.remove(handle)) else { return };
        machine.call.into_iter().for_each(|call| call.release(store));
        if let Some(session) = self.sessions.get_mut(index) {
            *session = Session::empty();
        }
    }

    /// The blocks of the store that its calls keep.
    pub fn kept_blocks(&self) -> usize {
        self.slots.iter().filter_map(|(_, machine)| machine.call.as_ref()).map(Call::kept_blocks).sum()
    }

    /// A pair of ports of this range that no call has, the even one.
    pub fn vacant_port(&self, random: &mut Random, (first, last): (u16, u16)) -> u16 {
        let pairs = (last.saturating_sub(first).saturating_add(1) / 2).max(1);
        let start = random.below(pairs.into()) as u16;
        let ports = (0..pairs).map(|index| first + (start + index) % pairs * 2);
        let is_free = |port: &u16| self.slots.iter().all(|(_, machine)| machine.own.port() != *port);
        ports.into_iter().find(is_free).unwrap_or(first)
    }

    /// Takes the outcome of opening a socket. `Some(true)`: both are open. `Some(false)`: no more pairs are tried.
    pub fn opened(&mut self, random: &mut Random, range: (u16, u16), socket: usize, is_open: bool) -> Option<bool> {
        let (index, side) = (socket / 2, socket % 2);
        let port = self.vacant_port(random, range);
        let (machine, _) = self.get_mut(index)?;
        if machine.sockets[side] != Socket::Opening {
            return None;
        }
        machine.sockets[side] = if is_open { Socket::Open } else { Socket::Closed };
        match machine.sockets {
            [Socket::Open, Socket::Open] => Some(true),
            [Socket::Open | Socket::Closed, Socket::Open | Socket::Closed] if machine.failures >= PORT_TRIES => {
                Some(false)
            }
            // Another program has one of them: the other goes, and another pair is tried.
            [first @ (Socket::Open | Socket::Closed), second @ (Socket::Open | Socket::Closed)] => {
                machine.failures += 1;
                machine.own.set_port(port);
                let again = |socket| if socket == Socket::Open { Socket::ToClose } else { Socket::ToOpen };
                machine.sockets = [again(first), again(second)];
                None
            }
            _ => None,
        }
    }

    /// Whether a call's sockets have something to do.
    pub fn wants_sockets(&self, index: usize) -> bool {
        self.get(index).is_some_and(|machine| machine.sockets.contains(&Socket::ToClose))
    }

    /// What a call's sockets have to do.
    pub fn socket_step(&mut self, index: usize) -> Option<SocketStep> {
        let (machine, _) = self.get_mut(index)?;
        let own = machine.own;
        let is_opening = machine.stage == Stage::Opening;
        for (side, socket) in machine.sockets.iter_mut().enumerate() {
            let port = Port((MEDIA_PORTS + 2 * index + side) as u8);
            match *socket {
                Socket::ToClose => {
                    *socket = if is_opening { Socket::ToOpen } else { Socket::Closed };
                    return Some(SocketStep::Close(port));
                }
                Socket::ToOpen if is_opening => {
                    *socket = Socket::Opening;
                    return Some(SocketStep::Open(port, SocketAddr::new(own.ip(), own.port() + side as u16)));
                }
                _ => {}
            }
        }
        None
    }

    /// The greeting of a person's own.
    pub fn greeting(&self, person: u32) -> Option<Greeting> {
        self.greetings.iter().find(|greeting| greeting.person == person).copied()
    }

    /// A greeting is there; the one that it takes the place of.
    pub fn set_greeting(&mut self, greeting: Greeting) -> Option<Greeting> {
        let old = self.remove_greeting(greeting.person);
        // There is room for every person's; those of people who are gone are not taken in.
        let _ = self.greetings.push(greeting);
        old
    }

    /// Takes a person's greeting out.
    pub fn remove_greeting(&mut self, person: u32) -> Option<Greeting> {
        let index = self.greetings.iter().position(|greeting| greeting.person == person)?;
        Some(self.greetings.swap_remove(index))
    }

    /// The disk is out of reach.
    pub fn greetings_gone(&mut self) {
        self.greetings.clear();
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("calls of the answering machine", RECORDINGS, size_of::<Self>())
    }
}

impl Default for Machines {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// When it has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let ends_at = self.ends_at.filter(|_| self.stage == Stage::Talking);
        earliest(self.call.as_ref().and_then(Call::deadline), ends_at)
    }

    /// The caller hears us from now on. A caller who holds and resumes again and again has a place for so long and no longer.
    pub fn begin_to_talk(&mut self, now: Instant) {
        self.stage = Stage::Talking;
        self.ends_at = Some(now.plus(u64::from(self.limit_s) * 1000 + BESIDES_MS));
    }

    /// Where media are sent, by what was negotiated.
    pub fn setup(&self, random: &mut Random) -> Option<Setup> {
        let chosen = self.chosen?;
        let number = random.number();
        Some(Setup {
            codec: codec_of(chosen.codec),
            payload_type: chosen.payload_type,
            dtmf: chosen.dtmf,
            ssrc: number as u32,
            sequence: (number >> 32) as u16,
            timestamp: random.number() as u32,
            remote: chosen.remote,
            remote_rtcp: Some(match chosen.rtcp {
                RtcpWay::Port(address) => address,
                RtcpWay::Mux => chosen.remote,
            }),
            limit_ms: u32::from(self.limit_s) * 1000,
            silence_ms: SILENCE_MS,
        })
    }

    /// What it says: the person's own greeting, or the one of her language.
    pub fn prompt(&self, greeting: Option<Greeting>) -> Prompt {
        let opus = prompts::greeting_opus(self.language);
        match greeting {
            Some(greeting) => Prompt::Stored { samples: greeting.bytes, opus },
            None => Prompt::BuiltIn { adpcm: prompts::greeting(self.language), opus },
        }
    }
}

/// A coding as the media know it.
pub const fn codec_of(audio: Audio) -> Codec {
    match audio {
        Audio::Alaw => Codec::Alaw,
        Audio::Ulaw => Codec::Ulaw,
        Audio::Opus => Codec::Opus,
    }
}

/// The handle of a response context.
pub fn context_of(machine: &Machine) -> crate::home::proxy::ContextHandle {
    Handle::from_bits(machine.context)
}
