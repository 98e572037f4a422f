//! The pages: HTML made piece by piece, as the connection takes it, from what the house is at that moment.
//!
//! A page is a row of parts. A part is written whole into the room there is, or waits for the next; only the text of a
//! letter goes over several pieces. What strangers wrote goes through [`escape`] and nothing else does: markup and words are
//! our own.

mod frame;
mod html;
mod inbox;
mod settings;

use crate::base::text::Writer;
use crate::base::time::UnixTime;
use crate::config::model::Language;
use crate::spool::Key;
use crate::web::house::House;
use crate::web::session::{Scope, Token};
use crate::web::words::Words;

pub(super) use html::escape_some;
pub(super) use inbox::{Content, Letters, key_of, readable};
pub(super) use settings::state_named;

/// A page in the making.
#[derive(Debug)]
pub(super) struct Page {
    pub view: View,
    pub language: Language,
    /// Who sees it; `None`: nobody is logged in.
    pub viewer: Option<Viewer>,
    /// What is said above everything else.
    pub notice: Notice,
    /// The next part.
    part: Part,
}

/// What a page shows.
// There is no allocator to make them smaller with.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(super) enum View {
    Login,
    /// What a link leads to.
    Link,
    /// Letters: the inbox or the deleted ones.
    Letters(Letters),
    Settings,
    /// Nothing but the notice.
    Fault,
}

/// Who sees a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Viewer {
    pub person: usize,
    pub scope: Scope,
    /// What her forms bring along.
    pub form_token: Token,
}

/// What is said above everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    Nothing,
    /// A letter was deleted, by its id; whether it was new.
    Deleted(u64, bool),
    Sent,
    Saved,
    /// A login has to wait for so many seconds.
    Wait(u64),
    Fault(Fault),
}

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    NotDone,
    BadRequest,
    Forbidden,
    NotFound,
    TooLarge,
    NotWav,
    Busy,
    WrongPassword,
    LinkOver,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Top,
    Main(u8),
    Bottom,
    End,
}

/// What a page is made from.
pub(super) struct Around<'a> {
    pub house: &'a dyn House,
    pub time: Option<UnixTime>,
    pub words: &'static Words,
    pub viewer: Option<Viewer>,
}

/// How far a page has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Made {
    /// There is more, and no room.
    More,
    /// A record is needed.
    Load(Key),
    /// It is not there yet.
    Wait,
    /// This was all.
    All,
}

impl Page {
    pub fn new(view: View, language: Language, viewer: Option<Viewer>, notice: Notice) -> Self {
        Self { view, language, viewer, notice, part: Part::Top }
    }

    /// Writes on into `out`; how many bytes, and why it stopped. `content` is what was loaded for the letter at hand.
    pub fn write(&mut self, house: &dyn House, content: &[u8], out: &mut [u8]) -> (usize, Made) {
        let around = Around { house, time: house.time(), words: Words::of(self.language), viewer: self.viewer };
        let mut len = 0;
        loop {
            let room = out.get_mut(len..).unwrap_or_default();
            if let (Part::Main(_), View::Letters(letters)) = (self.part, &mut self.view) {
                let (written, made) = letters.write(&around, content, room);
                len += written;
                match made {
                    Made::All => self.part = Part::Bottom,
                    _ => return (len, made),
                }
                continue;
            }
            let mut writer = Writer::new(room);
            let next = self.write_part(&around, &mut writer);
            match writer.finish() {
                Ok(written) => (len, self.part) = (len + written, next),
                Err(_) => return (len, Made::More),
            }
            if next == Part::End {
                return (len, Made::All);
            }
        }
    }

    fn write_part(&self, around: &Around<'_>, out: &mut Writer<'_>) -> Part {
        match (self.part, &self.view) {
            (Part::Top, _) => {
                frame::top(self, around, out);
                Part::Main(0)
            }
            (Part::Main(_), View::Login) => {
                frame::login(around, out);
                Part::Bottom
            }
            (Part::Main(_), View::Link) => {
                frame::link_form(around, out);
                Part::Bottom
            }
            (Part::Main(at), View::Settings) => match settings::PARTS.get(usize::from(at)) {
                Some(part) => {
                    part(around, out);
                    Part::Main(at + 1)
                }
                None => Part::Bottom,
            },
            (Part::Main(_), View::Letters(_) | View::Fault) => Part::Bottom,
            (Part::Bottom | Part::End, _) => {
                frame::bottom(out);
                Part::End
            }
        }
    }
}

impl Viewer {
    /// Whether she may do everything, not only look at the letters of a link.
    pub fn may_do_all(&self) -> bool {
        self.scope == Scope::Everything
    }

    /// Whether she may see the letter with this number.
    pub fn may_see(&self, number: u32) -> bool {
        match self.scope {
            Scope::Everything => true,
            Scope::Letters(first, last) => (first..=last).contains(&number),
            Scope::Link(..) => false,
        }
    }
}

impl Fault {
    /// The words for it.
    pub const fn words(self, words: &Words) -> &'static str {
        match self {
            Self::NotDone => words.not_done,
            Self::BadRequest => words.bad_request,
            Self::Forbidden => words.forbidden,
            Self::NotFound => words.not_found,
            Self::TooLarge => words.too_large,
            Self::NotWav => words.not_wav,
            Self::Busy => words.busy_now,
            Self::WrongPassword => words.wrong_password,
            Self::LinkOver => words.link_over,
        }
    }
}
