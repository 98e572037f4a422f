//! The formats' media types, and which of them a watcher gets.

use crate::wire::sip::{MediaType, list};

/// A format of presence documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The standard (RFC 3863).
    Pidf,
    /// Its predecessor, which RTC-type clients have.
    Xpidf,
    /// That of Live Communications Server.
    Msrtc,
}

impl Format {
    /// All, the one that says most first.
    pub const ALL: [Self; 3] = [Self::Pidf, Self::Xpidf, Self::Msrtc];

    /// The value of Content-Type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Pidf => "application/pidf+xml",
            Self::Xpidf => "application/xpidf+xml",
            Self::Msrtc => "text/xml+msrtc.pidf",
        }
    }

    /// The format that a value of Content-Type names, in any case and with any parameters.
    pub fn of_type(content_type: &[u8]) -> Option<Self> {
        let media_type = MediaType::parse(content_type).ok()?;
        Self::ALL.into_iter().find(|format| {
            let (main, sub) = format.media_type();
            media_type.is(main, sub)
        })
    }

    const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Pidf => ("application", "pidf+xml"),
            Self::Xpidf => ("application", "xpidf+xml"),
            Self::Msrtc => ("text", "xml+msrtc.pidf"),
        }
    }
}

/// The format for a watcher: the first of ours that its Accept values take, ranges like `*/*` included; a value may be a
/// list. Of q-values only 0 counts: it refuses a format. Without Accept it is PIDF (RFC 3856 §6.7), or XPIDF when the
/// User-Agent is known to read nothing else. `None` is a 406.
pub fn choose<'m>(accept: impl Iterator<Item = &'m [u8]> + Clone, user_agent: &[u8]) -> Option<Format> {
    if accept.clone().next().is_none() {
        let is_rtc = XPIDF_ONLY.iter().any(|known| starts_with(user_agent, known.as_bytes()));
        return Some(if is_rtc { Format::Xpidf } else { Format::Pidf });
    }
    Format::ALL.into_iter().find(|format| accepts(accept.clone(), *format))
}

/// Whether a format is taken: what names it exactly outweighs a range.
fn accepts<'m>(accept: impl Iterator<Item = &'m [u8]>, format: Format) -> bool {
    let (main, sub) = format.media_type();
    let (mut exact, mut range) = (None, false);
    for media_type in accept.flat_map(list).filter_map(|value| MediaType::parse(value).ok()) {
        // A q-value that can't be read refuses nothing.
        let is_wanted = media_type.q() != Ok(0);
        if media_type.is(main, sub) {
            exact = Some(is_wanted);
        } else if media_type.accepts(main, sub) {
            range |= is_wanted;
        }
    }
    exact.unwrap_or(range)
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// Beginnings of the User-Agent of clients that read XPIDF only, and may not say so.
const XPIDF_ONLY: [&str; 2] = ["Windows RTC/", "RTC/"];
