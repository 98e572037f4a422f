//! What is known of the line being read: its members, gathered one by one, and what they mean together.

use core::ops::Range;

use heapless::String;

use super::{ID_BYTES, NAME_BYTES, Text};
use crate::base::limits::ADDRESS_BYTES;
use crate::base::random::Purpose;
use crate::base::text::Printable;
use crate::base::time::UnixTime;
use crate::bridge::{Contact, Env, Event, Incoming, Show};
use crate::wire::json::{self, Fault, Piece, Reader, Token};
use crate::wire::sip::date;

/// An address, as the draft keeps it.
type Address = String<ADDRESS_BYTES, u8>;

/// The name that the other end gives to a message.
#[derive(Clone, Default)]
pub(super) struct Id {
    /// Empty: none.
    pub text: String<ID_BYTES, u8>,
    /// Whether it was written as a number.
    pub is_number: bool,
}

impl Id {
    pub(super) const fn new() -> Self {
        Self { text: String::new(), is_number: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It was not said yet.
    None,
    /// Nothing that is known here.
    Other,
    Hello,
    Message,
    Sent,
    Failed,
    Received,
    Typing,
    Presence,
    Contact,
    Gone,
    Contacts,
    Request,
    Notice,
    Bookmark,
    Ping,
    Error,
    Bye,
}

impl Kind {
    const NAMES: [(&'static str, Self); 16] = [
        ("hello", Self::Hello),
        ("message", Self::Message),
        ("sent", Self::Sent),
        ("failed", Self::Failed),
        ("received", Self::Received),
        ("typing", Self::Typing),
        ("presence", Self::Presence),
        ("contact", Self::Contact),
        ("gone", Self::Gone),
        ("contacts", Self::Contacts),
        ("request", Self::Request),
        ("notice", Self::Notice),
        ("bookmark", Self::Bookmark),
        ("ping", Self::Ping),
        ("error", Self::Error),
        ("bye", Self::Bye),
    ];
}

/// A member of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Member {
    Unknown,
    Type,
    Who,
    To,
    Text,
    Id,
    Name,
    At,
    Show,
    Place,
    Priority,
    Step,
    Keeps,
    List,
    Hides,
    Acks,
    Pings,
    Own,
    Auto,
    On,
    Read,
    Final,
    Watched,
    Asked,
    Stop,
}

impl Member {
    const NAMES: [(&'static str, Self); 26] = [
        ("type", Self::Type),
        ("who", Self::Who),
        ("from", Self::Who),
        ("to", Self::To),
        ("text", Self::Text),
        ("why", Self::Text),
        ("id", Self::Id),
        ("name", Self::Name),
        ("at", Self::At),
        ("show", Self::Show),
        ("place", Self::Place),
        ("priority", Self::Priority),
        ("step", Self::Step),
        ("keeps", Self::Keeps),
        ("list", Self::List),
        ("hides", Self::Hides),
        ("acks", Self::Acks),
        ("pings", Self::Pings),
        ("own", Self::Own),
        ("auto", Self::Auto),
        ("on", Self::On),
        ("read", Self::Read),
        ("final", Self::Final),
        ("watched", Self::Watched),
        ("asked", Self::Asked),
        ("stop", Self::Stop),
    ];
}

/// How far a line was read.
pub(super) struct Taken {
    pub len: usize,
    /// Where its text lies, and whether more of it follows.
    pub text: Option<Text>,
}

impl Taken {
    /// Where the text lies; nowhere when there is none.
    pub(super) fn text(self) -> Text {
        self.text.unwrap_or((0..0, false))
    }
}

/// What is known of a line.
pub(super) struct Draft {
    pub kind: Kind,
    pub id: Id,
    /// The member whose value comes next.
    member: Member,
    who: Address,
    to: Address,
    name: String<NAME_BYTES, u8>,
    at: Option<UnixTime>,
    /// `None`: none that is known.
    show: Option<Show>,
    place: u64,
    priority: i8,
    /// Of `contacts`: whether they begin.
    begins: Option<bool>,
    /// Members that were said to be true or false, a bit for each, and those that are true.
    said: u32,
    yes: u32,
    /// Why the line can't count, if it is of a type that is known.
    fault: Option<Fault>,
}

impl Draft {
    /// Of a line of which nothing was read.
    pub(super) const fn new() -> Self {
        Self {
            kind: Kind::None,
            id: Id::new(),
            member: Member::Unknown,
            who: Address::new(),
            to: Address::new(),
            name: String::new(),
            at: None,
            show: None,
            place: 0,
            priority: 0,
            begins: None,
            said: 0,
            yes: 0,
            fault: None,
        }
    }

    /// Whether a member says true; `otherwise` when it says nothing.
    pub(super) fn says(&self, member: Member, otherwise: bool) -> bool {
        let bit = 1 << member as u8;
        if self.said & bit == 0 { otherwise } else { self.yes & bit != 0 }
    }

    /// Reads on in a line, of which `in_pieces` says that more is to follow. It stops where the object ends, where more is
    /// needed, and behind the text when that is not whole.
    pub(super) fn read(&mut self, reader: &mut Reader, line: &[u8], in_pieces: bool) -> Result<Taken, Fault> {
        let mut taken = Taken { len: 0, text: None };
        while !reader.is_done() {
            let depth = reader.depth();
            let (read, token) = reader.next(&line[taken.len..], in_pieces)?;
            taken.len += read;
            if depth == 0 && token == Token::Begin && line[taken.len - 1] != b'{' {
                return Err(Fault("it is no object"));
            }
            match token {
                Token::More => return Ok(taken),
                _ if depth > 1 => {}
                Token::Key(piece) => self.member = member(piece),
                Token::Text(piece) if depth == 1 => {
                    let end = taken.len - usize::from(piece.is_last);
                    self.text(piece, end, &mut taken.text);
                    if !piece.is_last && taken.text.is_some() && self.member == Member::Text {
                        return Ok(taken);
                    }
                }
                Token::Number(number) if depth == 1 => self.number(number, taken.len, &mut taken.text),
                Token::Bool(is) => {
                    let bit = 1 << self.member as u8;
                    self.said |= bit;
                    self.yes = if is { self.yes | bit } else { self.yes & !bit };
                }
                Token::Begin | Token::End | Token::Null if depth <= 1 => {}
                _ => return Err(Fault("it is no object")),
            }
        }
        if line[taken.len..].trim_ascii().is_empty() { Ok(taken) } else { Err(Fault("something follows the object")) }
    }

    /// Takes a string, or a part of one, that ends at `end` in the line.
    fn text(&mut self, piece: Piece<'_>, end: usize, text: &mut Option<Text>) {
        let is_whole = piece.is_first && piece.is_last;
        match self.member {
            // The rest of a text that was cut is passed over before it comes here.
            Member::Text => *text = Some((end - piece.raw.len()..end, !piece.is_last)),
            Member::Who | Member::To => {
                let address = if self.member == Member::Who { &mut self.who } else { &mut self.to };
                if !is_whole || !keep_address(piece.raw, address) {
                    self.fault = Some(Fault("an address is too long, or has control characters"));
                }
            }
            Member::Name => {
                if piece.is_first {
                    self.name.clear();
                }
                let _ = json::characters(piece.raw).map(blank).try_for_each(|character| self.name.push(character));
            }
            Member::Id => {
                self.id = Id::new();
                let fits = json::characters(piece.raw).try_for_each(|character| self.id.text.push(character)).is_ok();
                if !is_whole || !fits {
                    self.id = Id::new();
                }
            }
            _ if !is_whole => {}
            Member::Type => {
                let known = Kind::NAMES.into_iter().find(|(name, _)| json::says(piece.raw, name));
                self.kind = known.map_or(Kind::Other, |(_, kind)| kind);
            }
            Member::At => self.at = date::parse_internet(piece.raw),
            Member::Show => {
                self.show = SHOWS.into_iter().find(|(_, name)| json::says(piece.raw, name)).map(|(show, _)| show)
            }
            Member::Place => {
                // FNV-1a: it only has to tell the places of one address apart.
                self.place = json::characters(piece.raw).fold(0xcbf2_9ce4_8422_2325, |hash: u64, character| {
                    (hash ^ u64::from(character)).wrapping_mul(0x100_0000_01b3)
                });
            }
            Member::Step => {
                let step = ["begin", "end"].into_iter().position(|name| json::says(piece.raw, name));
                self.begins = step.map(|step| step == 0);
            }
            _ => {}
        }
    }

    /// Takes a number that ends at `end` in the line.
    fn number(&mut self, number: &[u8], end: usize, text: &mut Option<Text>) {
        let whole = core::str::from_utf8(number).ok().and_then(|digits| digits.split('.').next()?.parse::<i64>().ok());
        match self.member {
            Member::At => self.at = whole.and_then(|time| u64::try_from(time).ok()).and_then(time),
            Member::Priority => self.priority = whole.unwrap_or(0).clamp(i8::MIN.into(), i8::MAX.into()) as i8,
            // Who has a number for an address or a text may write it so.
            Member::Who | Member::To | Member::Text | Member::Id | Member::Place => {
                self.text(Piece { raw: number, is_first: true, is_last: true }, end, text);
                self.id.is_number |= self.member == Member::Id;
            }
            _ => {}
        }
    }

    /// What the line tells of the network; `None`: it is between the two ends only. `names` takes the addresses and names.
    pub(super) fn event<'s>(
        &self,
        env: &Env<'_, '_>,
        names: &'s mut [u8],
        text: &'s str,
    ) -> Option<Result<Event<'s>, Fault>> {
        match self.kind {
            Kind::None => return Some(Err(Fault("it has no type, or its text stands before it"))),
            Kind::Other | Kind::Hello | Kind::Ping | Kind::Error | Kind::Bye => return None,
            _ => {}
        }
        if let Some(fault) = self.fault {
            return Some(Err(fault));
        }
        let is_own = self.kind == Kind::Message && self.says(Member::Own, false);
        let who = if is_own && !self.to.is_empty() { &self.to } else { &self.who };
        let (addresses, rest) = names.split_at_mut(ADDRESS_BYTES.min(names.len()));
        let event = self.about(env, (copy(who, addresses), is_own), copy(&self.name, rest), text);
        Some(event)
    }

    fn about<'s>(
        &self,
        env: &Env<'_, '_>,
        (who, is_own): (&'s str, bool),
        name: &'s str,
        text: &'s str,
    ) -> Result<Event<'s>, Fault> {
        let id = || match self.id.text.parse() {
            Ok(0) | Err(_) => Err(Fault("the id is none of ours")),
            Ok(id) => Ok(id),
        };
        Ok(match self.kind {
            Kind::Sent => Event::Sent { id: id()? },
            Kind::Received => Event::Received { id: id()?, is_read: self.says(Member::Read, false) },
            Kind::Failed => {
                let (id, is_final) = (id()?, self.says(Member::Final, false));
                log::info!("account {}: text {id} failed: {}", env.account.id, Printable(text.as_bytes()));
                Event::Failed { id, why: "the other end could not send it", is_final }
            }
            Kind::Contacts => match self.begins.ok_or(Fault("the step is none"))? {
                true => Event::ContactsBegin,
                false => Event::ContactsEnd,
            },
            Kind::Notice | Kind::Bookmark | Kind::Message if text.is_empty() && self.kind != Kind::Bookmark => {
                return Err(Fault("it says nothing"));
            }
            Kind::Notice => Event::Notice(text),
            Kind::Bookmark => Event::Bookmark(text),
            _ if who.is_empty() => return Err(Fault("it does not say whom it is about, or too late")),
            Kind::Message => Event::Message(Incoming {
                who,
                is_own,
                text,
                name: self.name_of(env, who),
                token: 0,
                at: self.at,
                may_answer: !is_own && !self.says(Member::Auto, false),
            }),
            Kind::Typing => Event::Typing { who, is_on: self.says(Member::On, true) },
            Kind::Presence => {
                let show = self.show.ok_or(Fault("the show is none"))?;
                // 0 stands for all places at once.
                let place = match (self.place, show) {
                    (0, Show::Offline) => 0,
                    (0, _) => 1,
                    (place, _) => (place ^ place >> 32) as u32 | 1 << 31,
                };
                Event::Presence { who, place, show, priority: self.priority, text }
            }
            Kind::Contact => Event::Contact(Contact {
                who,
                name,
                is_watched: self.says(Member::Watched, true),
                is_asked: self.says(Member::Asked, false),
            }),
            Kind::Gone => Event::ContactGone { who },
            _ => Event::Request { who, text },
        })
    }

    /// A hash of the name of a message; 0 when it has none.
    fn name_of(&self, env: &Env<'_, '_>, who: &str) -> u64 {
        if self.id.is_empty() {
            return 0;
        }
        // The same after a restart: the other end may send it again then.
        let mut hash = env.random.hash(Purpose::Journal);
        [env.account.id.as_str(), who, &self.id.text].iter().for_each(|field| hash.put(field.as_bytes()));
        hash.finish().max(1)
    }
}

/// The words for how somebody is.
pub(super) const SHOWS: [(Show, &str); 5] = [
    (Show::Available, "available"),
    (Show::Busy, "busy"),
    (Show::Away, "away"),
    (Show::ExtendedAway, "xa"),
    (Show::Offline, "offline"),
];

/// A text as it is written in a line becomes, in its place, what it says: plain, with line feeds and tabs, and ` […]` at its
/// end when it is cut.
pub(super) fn decode(raw: &mut [u8], is_cut: bool) -> &str {
    let room = if is_cut { raw.len().saturating_sub(CUT.len()) } else { raw.len() };
    let (mut from, mut to, mut was_return) = (0, 0, false);
    while let Some((character, taken)) = json::character(&raw[from..]) {
        from += taken;
        let shown = match character {
            '\n' if was_return => None,
            '\r' => Some('\n'),
            '\n' | '\t' => Some(character),
            _ if character.is_control() => Some(char::REPLACEMENT_CHARACTER),
            _ => Some(character),
        };
        was_return = character == '\r';
        let Some(mut shown) = shown else { continue };
        // What stands for a wrong byte is longer than that.
        if to + shown.len_utf8() > from {
            shown = '?';
        }
        if to + shown.len_utf8() > room {
            break;
        }
        to += shown.encode_utf8(&mut raw[to..]).len();
    }
    if is_cut && let Some(end) = raw.get_mut(to..to + CUT.len()) {
        end.copy_from_slice(CUT.as_bytes());
        to += CUT.len();
    }
    core::str::from_utf8(&raw[..to]).unwrap_or_default()
}

/// Ends a text that was cut.
const CUT: &str = " […]";

/// Milliseconds since 1970 begin to be later than seconds here: in the year 5138.
const SECONDS_MAX: u64 = 100_000_000_000;

/// A moment in seconds since 1970, or milliseconds, as many programs have it.
fn time(value: u64) -> Option<UnixTime> {
    let seconds = if value < SECONDS_MAX { value } else { value / 1000 };
    (1..SECONDS_MAX).contains(&seconds).then_some(UnixTime(seconds))
}

fn member(piece: Piece<'_>) -> Member {
    if !piece.is_first || !piece.is_last {
        return Member::Unknown;
    }
    let known = Member::NAMES.into_iter().find(|(name, _)| json::says(piece.raw, name));
    known.map_or(Member::Unknown, |(_, member)| member)
}

/// Whether it is an address: neither too long nor with control characters.
fn keep_address(raw: &[u8], address: &mut Address) -> bool {
    address.clear();
    json::characters(raw).all(|character| !character.is_control() && address.push(character).is_ok())
}

fn blank(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

/// Copies a text into a buffer, as far as it fits.
fn copy<'s>(text: &str, buffer: &'s mut [u8]) -> &'s str {
    let range: Range<usize> = 0..text.len();
    let Some(room) = buffer.get_mut(range) else { return "" };
    room.copy_from_slice(text.as_bytes());
    core::str::from_utf8(room).unwrap_or_default()
}
