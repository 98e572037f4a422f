//! Stream management (XEP-0198): what was sent and is not acknowledged, what came in and is not dealt with, and the name
//! of a session that may be taken up again.
//!
//! No text is kept here: of what was sent only names are, and who drives the connector sends a text again that was cut
//! off. Left out: `location`, and the server's `max`: it is the server that says whether a session is still there.

use heapless::{Deque, String, Vec};

use crate::wire::xml::Text;

/// Texts that were sent and are not acknowledged. More: they have to wait.
pub const TEXTS: usize = 32;
/// Messages that came in and are not settled. More: nothing is read until one is.
pub const UNSETTLED: usize = 8;
/// Bytes of the addresses and ids of these. Full: nothing is read until one is settled.
const POOL_BYTES: usize = 768;
/// Bytes of the longest address and id that are kept, together. Who writes from or with a longer one gets no receipt.
const SENDER_BYTES: usize = 300;
/// Bytes of a session's name. With a longer one it is not taken up again.
const SESSION_BYTES: usize = 128;

/// The two counts, and what hangs on them.
pub struct Acks {
    is_on: bool,
    session: String<SESSION_BYTES, u8>,
    /// Stanzas that we have sent, and that we have taken.
    sent: u32,
    handled: u32,
    /// The numbers of the last stanzas that the account is not as it should be without: what was asked for at the begin,
    /// and presence.
    setup: u32,
    shown: u32,
    /// The texts among the stanzas sent: their numbers and names.
    texts: Deque<(u32, u32), TEXTS>,
    /// How many of them, from the first on, are acknowledged; and how many behind those were cut off.
    acked: u8,
    cut: u8,
    unsettled: Vec<Unsettled, UNSETTLED>,
    /// Senders and ids of these, in the same order.
    pool: Vec<u8, POOL_BYTES>,
    token: u32,
}

struct Unsettled {
    token: u32,
    /// Stanzas that were taken before it.
    before: u32,
    is_settled: bool,
    wants_receipt: bool,
    from_len: u16,
    id_len: u16,
}

/// What a server does not have that has taken up a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Something that was asked for at the begin.
    pub setup: bool,
    /// Presence.
    pub shown: bool,
}

/// Something that has to be said of a text that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// It has arrived.
    Sent(u32),
    /// Nobody knows.
    Cut(u32),
}

/// Who wrote a message that is settled now.
pub struct Sender<'a> {
    /// His full JID; empty when nothing is to be sent to him.
    pub from: &'a str,
    /// The id he gave it.
    pub id: &'a str,
    /// Whether he asked for a receipt.
    pub wants_receipt: bool,
}

impl Default for Acks {
    fn default() -> Self {
        Self::new()
    }
}

impl Acks {
    /// Nothing was sent, nothing came in.
    pub const fn new() -> Self {
        Self {
            is_on: false,
            session: String::new(),
            sent: 0,
            handled: 0,
            setup: 0,
            shown: 0,
            texts: Deque::new(),
            acked: 0,
            cut: 0,
            unsettled: Vec::new(),
            pool: Vec::new(),
            token: 0,
        }
    }

    /// The connection is gone. What was not settled on it comes again if the session is taken up.
    pub fn lost(&mut self) {
        self.handled = self.settled();
        self.is_on = false;
        self.unsettled.clear();
        self.pool.clear();
    }

    /// The session that may be taken up again, and how many stanzas of it we have.
    pub fn session(&self) -> Option<(&str, u32)> {
        (!self.session.is_empty()).then_some((self.session.as_str(), self.settled()))
    }

    /// The session is over, in order or not.
    pub fn forget(&mut self) {
        self.session.clear();
    }

    /// A new session begins. Of what was sent in another one and not acknowledged nothing is said: who drives the
    /// connector takes it back when the account is on anew.
    pub fn begin(&mut self) {
        self.forget();
        (self.sent, self.handled, self.setup, self.shown) = (0, 0, 0, 0);
        self.cut = 0;
        self.texts.truncate(self.acked.into());
    }

    /// The server counts from now on.
    pub fn enabled(&mut self, session: Option<Text<'_>>) {
        (self.is_on, self.handled) = (true, 0);
        self.session.clear();
        if let Some(session) = session
            && session.chars().any(|c| self.session.push(c).is_err())
        {
            log::info!(
                "XMPP: a server names its session with more than {SESSION_BYTES} bytes: it is not taken up again"
            );
            self.session.clear();
        }
    }

    /// The session is taken up, and the server has so many of our stanzas: what it has not.
    pub fn resumed(&mut self, h: u32) -> Lost {
        self.acknowledged(h);
        self.cut = self.texts.len() as u8 - self.acked;
        let lost = Lost { setup: is_after(self.setup, h), shown: is_after(self.shown, h) };
        (self.is_on, self.sent, self.setup, self.shown) = (true, h, h, h);
        lost
    }

    /// Whether stanzas are counted on this connection.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// A stanza goes out.
    pub fn sends(&mut self) {
        self.sent = self.sent.wrapping_add(1);
    }

    /// A stanza goes out that asks for what is to be known at the begin.
    pub fn sends_setup(&mut self) {
        self.sends();
        self.setup = self.sent;
    }

    /// Presence goes out.
    pub fn sends_presence(&mut self) {
        self.sends();
        self.shown = self.sent;
    }

    /// How many stanzas were sent.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Whether a text may be sent.
    pub fn has_room(&self) -> bool {
        !self.texts.is_full()
    }

    /// A text goes out.
    pub fn sends_text(&mut self, id: u32) {
        self.sends();
        // Who has no room for another does not send one.
        let _ = self.texts.push_back((self.sent, id));
    }

    /// The server has so many of our stanzas.
    pub fn acknowledged(&mut self, h: u32) {
        // Nobody can have more than was sent.
        let h = if is_after(h, self.sent) { self.sent } else { h };
        let known = usize::from(self.acked + self.cut);
        let newly = self.texts.iter().skip(known).take_while(|(number, _)| !is_after(*number, h)).count();
        if self.cut == 0 {
            self.acked += newly as u8;
        }
    }

    /// His client has a text: so the server has it, and whatever was sent before it.
    pub fn received(&mut self, id: u32) {
        let known = usize::from(self.acked + self.cut);
        if let Some((number, _)) = self.texts.iter().skip(known).find(|(_, text)| *text == id).copied() {
            self.acknowledged(number);
        }
    }

    /// A text need not go out: it has arrived before.
    pub fn arrived(&mut self, id: u32) {
        // Who has no room for another does not come here.
        if self.texts.push_front((0, id)).is_ok() {
            self.acked += 1;
        }
    }

    /// Takes the next thing that is to be said of a text.
    pub fn told(&mut self) -> Option<Told> {
        if self.acked > 0 {
            self.acked -= 1;
            return self.texts.pop_front().map(|(_, id)| Told::Sent(id));
        }
        self.cut = self.cut.checked_sub(1)?;
        self.texts.pop_front().map(|(_, id)| Told::Cut(id))
    }

    /// Whether there is something to be said of a text.
    pub fn has_told(&self) -> bool {
        self.acked > 0 || self.cut > 0
    }

    /// A stanza has come in.
    pub fn handles(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// How many stanzas have come in before the first that is not dealt with.
    pub fn settled(&self) -> u32 {
        self.unsettled.first().map_or(self.handled, |first| first.before)
    }

    /// Whether nothing more may be read.
    pub fn is_full(&self) -> bool {
        self.unsettled.is_full() || self.pool.len() + SENDER_BYTES > POOL_BYTES
    }

    /// A message has come in: the token it is settled by. `from`, `id`: where an answer may go.
    pub fn unsettled(&mut self, from: Option<Text<'_>>, id: Option<Text<'_>>, wants_receipt: bool) -> u32 {
        self.token = self.token.checked_add(1).unwrap_or(1);
        let start = self.pool.len();
        let from_len = self.keep(from, SENDER_BYTES);
        let id_len = from_len.and_then(|from_len| self.keep(id, SENDER_BYTES - from_len));
        let (from_len, id_len) = from_len.zip(id_len).unwrap_or_else(|| {
            log::debug!("XMPP: who writes with so long an id gets no receipt");
            self.pool.truncate(start);
            (0, 0)
        });
        let entry = Unsettled {
            token: self.token,
            before: self.handled,
            is_settled: false,
            wants_receipt,
            from_len: from_len as u16,
            id_len: id_len as u16,
        };
        // There is room: nothing is read when there is not.
        if self.unsettled.push(entry).is_err() { 0 } else { self.token }
    }

    fn keep(&mut self, text: Option<Text<'_>>, most: usize) -> Option<usize> {
        let start = self.pool.len();
        for c in text.into_iter().flat_map(|text| text.chars()) {
            self.pool.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()).ok()?;
            if self.pool.len() - start > most {
                return None;
            }
        }
        Some(self.pool.len() - start)
    }

    /// A message is dealt with; `tell` is shown who wrote it, when the token is known.
    pub fn settle(&mut self, token: u32, tell: impl FnOnce(Sender<'_>)) {
        let Some(at) = self.unsettled.iter().position(|it| it.token == token && !it.is_settled) else { return };
        let start: usize = self.unsettled[..at].iter().map(Unsettled::len).sum();
        let entry = &mut self.unsettled[at];
        entry.is_settled = true;
        let (from, id) = self.pool[start..start + entry.len()].split_at(entry.from_len.into());
        if let (Ok(from), Ok(id)) = (str::from_utf8(from), str::from_utf8(id)) {
            tell(Sender { from, id, wants_receipt: entry.wants_receipt });
        }
        while self.unsettled.first().is_some_and(|first| first.is_settled) {
            let len = self.unsettled.remove(0).len();
            self.pool.copy_within(len.., 0);
            self.pool.truncate(self.pool.len() - len);
        }
    }
}

impl Unsettled {
    fn len(&self) -> usize {
        usize::from(self.from_len) + usize::from(self.id_len)
    }
}

/// Whether one number comes after another; they count round.
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(acks: &mut Acks) -> std::vec::Vec<Told> {
        core::iter::from_fn(|| acks.told()).collect()
    }

    #[test]
    fn what_was_sent() {
        let mut acks = Acks::new();
        acks.begin();
        acks.sends_text(1);
        assert!(!acks.has_told(), "nobody has said so");
        acks.acknowledged(acks.sent());
        assert_eq!(told(&mut acks), [Told::Sent(1)]);
        acks.begin();
        acks.enabled(Text::of(b"s1").ok());
        acks.sends_setup();
        (2..5).for_each(|id| acks.sends_text(id));
        acks.acknowledged(2);
        assert_eq!(told(&mut acks), [Told::Sent(2)]);
        acks.acknowledged(2);
        assert!(!acks.has_told());
        acks.lost();
        assert_eq!(acks.session(), Some(("s1", 0)));
        assert_eq!(acks.resumed(3), Lost { setup: false, shown: false });
        assert_eq!(told(&mut acks), [Told::Sent(3), Told::Cut(4)]);
        // The same text again has the number of the one that was lost.
        acks.sends_text(4);
        acks.acknowledged(4);
        assert_eq!(told(&mut acks), [Told::Sent(4)]);
        acks.sends_presence();
        acks.sends_text(5);
        acks.lost();
        assert_eq!(acks.resumed(4), Lost { setup: false, shown: true });
        acks.sends_setup();
        acks.lost();
        assert_eq!(acks.resumed(4), Lost { setup: true, shown: false });
        acks.sends_text(6);
        acks.acknowledged(u32::MAX / 2);
        assert_eq!(told(&mut acks), [Told::Cut(5)]);
        acks.acknowledged(1000);
        assert_eq!(told(&mut acks), [Told::Sent(6)]);
        (7..10).for_each(|id| acks.sends_text(id));
        acks.received(99);
        assert!(!acks.has_told());
        acks.received(8);
        acks.arrived(70);
        assert_eq!(told(&mut acks), [Told::Sent(70), Told::Sent(7), Told::Sent(8)]);
        (10..9 + TEXTS as u32).for_each(|id| acks.sends_text(id));
        assert!(!acks.has_room());
        acks.received(9);
        acks.begin();
        assert_eq!(told(&mut acks), [Told::Sent(9)], "who drives it takes back the others");
        assert!(acks.has_room() && acks.session().is_none());
    }

    #[test]
    fn what_came_in() {
        let text = |text: &'static str| Text::of(text.as_bytes()).ok();
        let mut acks = Acks::new();
        acks.enabled(text("s"));
        acks.handles();
        let first = acks.unsettled(text("a@x/1"), text("i1"), true);
        acks.handles();
        let second = acks.unsettled(text("b@x/&amp;"), text("i2"), false);
        acks.handles();
        acks.handles();
        assert_eq!(acks.settled(), 1);
        let mut seen = std::string::String::new();
        let mut settle = |acks: &mut Acks, token| {
            acks.settle(token, |it| seen = std::format!("{} {} {}", it.from, it.id, it.wants_receipt));
            core::mem::take(&mut seen)
        };
        assert_eq!(settle(&mut acks, second), "b@x/& i2 false");
        assert_eq!((settle(&mut acks, second).as_str(), settle(&mut acks, 99).as_str()), ("", ""));
        assert_eq!(acks.settled(), 1);
        assert_eq!(settle(&mut acks, first), "a@x/1 i1 true");
        assert_eq!(acks.settled(), 4);
        assert!(acks.pool.is_empty() && acks.unsettled.is_empty());
        while !acks.is_full() {
            acks.unsettled(text("somebody@example.org/resource"), text("an id of his"), true);
        }
        assert_eq!(acks.unsettled.len(), UNSETTLED);
        acks.lost();
        assert!(!acks.is_full() && acks.settled() == 4);
        let long = "x".repeat(SENDER_BYTES + 1);
        let token = acks.unsettled(Text::of(long.as_bytes()).ok(), None, true);
        acks.settle(token, |it| assert!(it.from.is_empty()));
    }
}
