//! What a path asks for. Paths are compared as they came: no escape is decoded and no dot segment resolved, so there is one
//! way only to write each, and nothing behind it but what is listed here.

use crate::base::text::hex_number;
use crate::web::assets::{self, Asset};
use crate::wire::http::query_field;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route<'b> {
    /// The letters: those numbered below this.
    Inbox(u32),
    /// The deleted ones.
    Deleted(u32),
    /// What she can set.
    Settings,
    /// The login.
    Login,
    /// Ends the session.
    Logout,
    /// A link with its token.
    Link(&'b [u8]),
    /// Says what she did with letters.
    Letters,
    /// An answer to a letter.
    Reply,
    /// Sets something.
    Set(Setting),
    /// A new greeting.
    Greeting,
    /// The sound of a letter, by its id: as WAV, or as Ogg.
    Voice(u64, Format),
    /// The sound of her greeting.
    GreetingSound,
    /// The body of a letter.
    Body(u64),
    /// A file that never changes.
    Asset(&'static Asset),
}

/// A sort of sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Wav,
    Ogg,
}

/// What is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Setting {
    Busy,
    Presence,
    Missed,
    NoGreeting,
}

impl<'b> Route<'b> {
    /// Reads a path and its query; `None`: there is no such thing.
    pub fn of(path: &'b [u8], query: &[u8]) -> Option<Self> {
        let before = || {
            let digits = query_field(query, b"before").filter(|digits| digits.len() <= 10);
            digits.and_then(decimal).unwrap_or(u32::MAX)
        };
        Some(match path {
            b"/" => Self::Inbox(before()),
            b"/deleted" => Self::Deleted(before()),
            b"/settings" => Self::Settings,
            b"/login" => Self::Login,
            b"/logout" => Self::Logout,
            b"/letters" => Self::Letters,
            b"/reply" => Self::Reply,
            b"/settings/busy" => Self::Set(Setting::Busy),
            b"/settings/presence" => Self::Set(Setting::Presence),
            b"/settings/missed" => Self::Set(Setting::Missed),
            b"/greeting" => Self::Greeting,
            b"/greeting/remove" => Self::Set(Setting::NoGreeting),
            b"/greeting.wav" => Self::GreetingSound,
            _ => Self::with_name(path)?,
        })
    }

    fn with_name(path: &'b [u8]) -> Option<Self> {
        if let Some(token) = path.strip_prefix(b"/l/") {
            return Some(Self::Link(token));
        }
        if let Some(id) = path.strip_prefix(b"/text/") {
            return hex_id(id).map(Self::Body);
        }
        if let Some(name) = path.strip_prefix(b"/voice/") {
            let (id, ending) = name.split_at_checked(16)?;
            let format = match ending {
                b".wav" => Format::Wav,
                b".ogg" => Format::Ogg,
                _ => return None,
            };
            return Some(Self::Voice(hex_id(id)?, format));
        }
        assets::find(path).map(Self::Asset)
    }

    /// Whether it may be asked for with GET, and with POST.
    pub const fn methods(&self) -> (bool, bool) {
        match self {
            Self::Login | Self::Link(_) => (true, true),
            Self::Logout | Self::Letters | Self::Reply | Self::Set(_) | Self::Greeting => (false, true),
            _ => (true, false),
        }
    }
}

/// An id as the pages write it: 16 hexadecimal digits in lower case.
pub(super) fn hex_id(text: &[u8]) -> Option<u64> {
    let is_one = text.len() == 16 && text.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_one { hex_number(text) } else { None }
}

/// A number in decimal digits alone.
pub(super) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0_u32, |value, digit| value.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |path: &'static str| Route::of(path.as_bytes(), b"");
        assert_eq!(of("/"), Some(Route::Inbox(u32::MAX)));
        assert_eq!(Route::of(b"/", b"x=1&before=17"), Some(Route::Inbox(17)));
        assert_eq!(Route::of(b"/deleted", b"before=99999999999"), Some(Route::Deleted(u32::MAX)));
        assert_eq!(Route::of(b"/deleted", b"before=-1"), Some(Route::Deleted(u32::MAX)));
        assert_eq!(of("/voice/00000000000000ff.wav"), Some(Route::Voice(255, Format::Wav)));
        assert_eq!(of("/text/00000000000000ff"), Some(Route::Body(255)));
        assert_eq!(of("/l/abc"), Some(Route::Link(b"abc")));
        for bad in [
            "//",
            "/./",
            "/../etc/passwd",
            "/%2e%2e/",
            "/Settings",
            "/settings/",
            "/voice/../settings",
            "/voice/ff.wav",
            "/voice/00000000000000FF.wav",
            "/voice/00000000000000ff.mp3",
            "/voice/00000000000000ff",
            "/text/",
            "/text/+0000000000000ff",
            "/style.css/",
            "/style.css%00",
            "/assets",
            "/.git/config",
            "",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
