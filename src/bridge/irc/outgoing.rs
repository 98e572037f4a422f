//! Texts on their way out: cut into lines, paced, and remembered for a while, because IRC refuses a text by the nick it was
//! for and by nothing else.

use heapless::Vec;

use crate::base::text::Writer;
use crate::base::time::Instant;

/// When how many lines may be sent: [`BURST`] at once, then one each [`LINE_MS`]. Servers drop who sends faster, or let
/// him wait.
pub struct Pace {
    /// When the whole burst may be sent again.
    full_at: Instant,
}

impl Pace {
    /// Nothing was sent yet.
    pub const fn new() -> Self {
        Self { full_at: Instant::ZERO }
    }

    /// When that many lines may be sent at once. More than a burst may when a whole one may: that is paid for by a longer
    /// pause after it.
    pub fn ready_at(&self, lines: usize) -> Instant {
        let spare_ms = BURST.saturating_sub(lines) as u64 * LINE_MS;
        Instant::from_millis(self.full_at.millis().saturating_sub(spare_ms))
    }

    /// That many lines are sent.
    pub fn spend(&mut self, now: Instant, lines: usize) {
        self.full_at = self.full_at.max(now).plus(lines as u64 * LINE_MS);
    }
}

/// The texts sent last.
pub struct Sent {
    texts: Vec<Text, SENT_TEXTS, u8>,
}

/// A text that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Its name.
    pub id: u32,
    /// A hash of the nick it is for.
    pub to: u32,
    /// A hash of its last line.
    pub line: u32,
    /// When it was sent.
    pub at: Instant,
    /// How far it is.
    pub stage: Stage,
}

/// How far a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The server will repeat it to us.
    Echo,
    /// It may be refused yet.
    Wait,
    /// It is to be told that it was sent.
    Done,
    /// It is no text but a question for somebody, which is refused as a text to him is.
    Asked,
}

impl Sent {
    /// None.
    pub const fn new() -> Self {
        Self { texts: Vec::new() }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.texts.clear();
    }

    /// Whether one more can be remembered.
    pub fn has_room(&self) -> bool {
        !self.texts.is_full()
    }

    /// Remembers one, if there is room.
    pub fn push(&mut self, text: Text) {
        _ = self.texts.push(text);
    }

    /// A question for somebody was answered.
    pub fn answered(&mut self, to: u32) {
        if let Some(at) = self.texts.iter().position(|text| text.stage == Stage::Asked && text.to == to) {
            self.texts.remove(at);
        }
    }

    /// Whether a text is to be told as sent.
    pub fn has_done(&self) -> bool {
        self.texts.iter().any(|text| text.stage == Stage::Done)
    }

    /// The name of one that is to be told as sent. Forgets it.
    pub fn next_done(&mut self) -> Option<u32> {
        let at = self.texts.iter().position(|text| text.stage == Stage::Done)?;
        Some(self.texts.remove(at).id)
    }

    /// The server repeats a line of ours to somebody: whether it is of a text that we wait for.
    pub fn echoed(&mut self, to: u32, line: u32) -> bool {
        let mut texts = self.texts.iter_mut().filter(|text| text.stage == Stage::Echo && text.to == to).peekable();
        let is_awaited = texts.peek().is_some();
        if let Some(text) = texts.find(|text| text.line == line) {
            text.stage = Stage::Done;
        }
        is_awaited
    }

    /// When the first of those that wait for an echo, or a refusal, has waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.texts.iter().filter_map(Text::until).min()
    }

    /// A server that says nothing of what was sent on a connection that lives has taken it.
    pub fn settle(&mut self, now: Instant) {
        self.texts.retain(|text| text.stage != Stage::Asked || text.until().is_some_and(|until| until > now));
        for text in self.texts.iter_mut().filter(|text| text.until().is_some_and(|until| until <= now)) {
            text.stage = Stage::Done;
        }
    }

    /// Nobody took what was sent to a nick, of which the oldest is refused first: the name of that text. Forgets it.
    pub fn refused(&mut self, to: u32) -> Option<u32> {
        let first = self.texts.iter().position(|text| text.to == to && text.stage != Stage::Done)?;
        let refused = self.texts.remove(first);
        (refused.stage != Stage::Asked).then_some(refused.id)
    }
}

impl Text {
    fn until(&self) -> Option<Instant> {
        Some(self.at.plus(match self.stage {
            Stage::Echo => ECHO_MS,
            Stage::Wait => NOT_FOUND_MS,
            Stage::Asked => ASKED_MS,
            Stage::Done => return None,
        }))
    }
}

/// How a text is cut into lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Each of its lines is one or more.
    Lines,
    /// It has too many lines: they are joined, with a bar for each end.
    Joined,
}

/// How a text has to be cut, and into how many lines of at most `room` bytes.
pub fn measure(text: &str, room: usize) -> (Cut, usize) {
    let lines = pieces(text, Cut::Lines, room).count();
    if lines <= LINES_MAX { (Cut::Lines, lines) } else { (Cut::Joined, pieces(text, Cut::Joined, room).count()) }
}

/// The lines of a text: none is blank. After a blank if there is one near, and never within a character.
pub fn pieces(text: &str, cut: Cut, room: usize) -> impl Iterator<Item = &str> {
    let end = if cut == Cut::Lines { '\n' } else { '\0' };
    let lines = text.split(end).map(|line| line.trim_end_matches(['\r', '\n'])).filter(|line| !line.trim().is_empty());
    lines.flat_map(move |line| {
        let mut rest = line;
        core::iter::from_fn(move || {
            let (piece, after) = rest.split_at(cut_at(rest, room));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    })
}

/// Writes a line without what would end it, or pass for a code.
pub fn write_piece(piece: &str, out: &mut Writer<'_>) {
    for byte in piece.bytes() {
        out.put(&[match byte {
            b'\n' => b'|',
            0..=8 | 10..=31 | 127 => b' ',
            _ => byte,
        }]);
    }
}

fn cut_at(text: &str, room: usize) -> usize {
    if text.len() <= room {
        return text.len();
    }
    let end = text.floor_char_boundary(room.max(4));
    let near = text.floor_char_boundary(end.saturating_sub(BLANK_BYTES));
    text[near..end].rfind(' ').map_or(end, |blank| near + blank + 1)
}

/// Lines that may be sent at once.
pub const BURST: usize = 5;
/// Time that a line costs, ms.
pub const LINE_MS: u64 = 2000;
/// Texts that are remembered. Full of such as are not settled: the next waits.
pub const SENT_TEXTS: usize = 8;
/// How long a text can be refused after it was sent, ms; after that it has arrived.
pub const NOT_FOUND_MS: u64 = 3_000;
/// How long a question may take, ms.
const ASKED_MS: u64 = 10_000;
/// How long an echo may take, ms.
pub const ECHO_MS: u64 = 30_000;
/// Lines of a text that are kept apart. More: the lines are joined.
pub const LINES_MAX: usize = 12;
/// Bytes before the end of a line in which a blank is looked for to cut at.
const BLANK_BYTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec as Many;

    #[test]
    fn cutting() {
        let cut = |text, room| pieces(text, Cut::Lines, room).collect::<Many<_>>();
        assert_eq!(cut("one\r\n\n two\n\n", 400), ["one", " two"]);
        assert_eq!(cut("ääää", 5), ["ää", "ää"]);
        assert_eq!(cut("to be or not to be", 8), ["to be ", "or not ", "to be"]);
        assert_eq!(cut(" \n\t\n", 400), [""; 0]);
        let long = "x".repeat(1000);
        assert_eq!(cut(&long, 400).iter().map(|piece| piece.len()).collect::<Many<_>>(), [400, 400, 200]);
        let many = "x\n".repeat(2048);
        assert_eq!(measure(&many, 290), (Cut::Joined, 15));
        assert_eq!(measure(&"x\n".repeat(LINES_MAX), 290), (Cut::Lines, LINES_MAX));
        let mut room = [0; 512];
        let mut out = Writer::new(&mut room);
        write_piece("a\nb\x01\r\t\u{e4}", &mut out);
        assert_eq!(out.written(), "a|b  \t\u{e4}".as_bytes());
        let text: String = pieces("a b\u{20ac} c".repeat(300).as_str(), Cut::Joined, 299).collect();
        assert_eq!(text, "a b\u{20ac} c".repeat(300));
    }

    #[test]
    fn pacing() {
        let at = Instant::from_millis;
        let mut pace = Pace::new();
        for _ in 0..5 {
            assert!(pace.ready_at(1) <= at(10_000));
            pace.spend(at(10_000), 1);
        }
        assert_eq!((pace.ready_at(1), pace.ready_at(2)), (at(12_000), at(14_000)));
        assert_eq!((pace.ready_at(5), pace.ready_at(11)), (at(20_000), at(20_000)));
        pace.spend(at(20_000), 11);
        assert_eq!(pace.ready_at(1), at(34_000));
    }

    #[test]
    fn remembering() {
        let mut sent = Sent::new();
        let text = |id, stage| Text { id, to: id % 2, line: id, at: Instant::from_millis(1000), stage };
        (1..=8).for_each(|id| sent.push(text(id, Stage::Echo)));
        assert!(!sent.has_room() && !sent.has_done());
        assert!(sent.echoed(1, 99) && sent.echoed(1, 3) && !sent.echoed(7, 3));
        assert_eq!((sent.next_done(), sent.next_done()), (Some(3), None));
        assert!(sent.has_room());
        sent.push(text(9, Stage::Done));
        assert_eq!((sent.next_done(), sent.has_room()), (Some(9), true));
        assert_eq!((sent.refused(1), sent.refused(1), sent.refused(3)), (Some(1), Some(5), None));
        assert_eq!(sent.deadline(), Some(Instant::from_millis(31_000)));
        sent.settle(Instant::from_millis(31_000));
        assert_eq!(core::iter::from_fn(|| sent.next_done()).count(), 5);
        // What was asked first is refused first.
        sent.push(text(11, Stage::Asked));
        sent.push(text(13, Stage::Wait));
        assert_eq!(sent.deadline(), Some(Instant::from_millis(4000)));
        assert_eq!((sent.refused(1), sent.refused(1), sent.refused(1)), (None, Some(13), None));
        sent.push(text(15, Stage::Asked));
        sent.answered(1);
        sent.push(text(17, Stage::Wait));
        assert_eq!(sent.refused(1), Some(17));
        sent.push(text(19, Stage::Asked));
        sent.settle(Instant::from_millis(11_000));
        assert!(sent.deadline().is_none() && !sent.has_done());
    }
}
