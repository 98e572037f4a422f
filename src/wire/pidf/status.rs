//! The model: what is known of how a person can be reached, and what she does.

use heapless::String;
use serde::{Deserialize, Serialize};

use super::words::{Activities, Moods, PlaceType, Sphere, UserInput};

/// Bytes of a note. A longer one is cut between characters.
pub const NOTE_BYTES: usize = 160;
/// Bytes of a place's name. A longer one is cut between characters.
pub const PLACE_BYTES: usize = 48;

/// What is known of how a person can be reached and what she does. A document is read into it and written from it; the
/// default says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Whether she can be reached (RFC 3863 §4.1.4). Of several tuples the open one counts.
    pub basic: Option<Basic>,
    /// What she does (RFC 4480 §3.2).
    pub activities: Activities,
    /// How she feels (RFC 4480 §3.10).
    pub moods: Moods,
    /// What kind of place she is in (RFC 4480 §3.12, RFC 4589).
    pub place_type: Option<PlaceType>,
    /// Whether she is at work or at home in what she does (RFC 4480 §3.16).
    pub sphere: Option<Sphere>,
    /// Whether she uses a device now (RFC 4480 §3.19).
    pub user_input: Option<UserInput>,
    /// A text of hers for people. A person's note beats that of a tuple, which beats that of the document.
    pub note: String<NOTE_BYTES>,
    /// Where she is.
    pub place: Option<Place>,
    /// What can be sent to her.
    pub takes: Takes,
}

impl Status {
    /// A status that says nothing.
    pub const fn new() -> Self {
        Self {
            basic: None,
            activities: Activities::NONE,
            moods: Moods::NONE,
            place_type: None,
            sphere: None,
            user_input: None,
            note: String::new(),
            place: None,
            takes: Takes { audio: None, video: None, message: None },
        }
    }
}

/// Whether communication is possible at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Basic {
    /// It is.
    Open,
    /// It is not.
    Closed,
}

/// A place: a name, a position, or both.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// Its name for people; empty when only the position is known.
    pub name: String<PLACE_BYTES>,
    /// Where on earth it is.
    pub position: Option<Position>,
}

/// A position in WGS 84.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Millionths of a degree, north positive: -90,000,000 to 90,000,000.
    pub latitude: i32,
    /// Millionths of a degree, east positive: -180,000,000 to 180,000,000.
    pub longitude: i32,
    /// How far off it may be, in metres; 0 when that is not known.
    pub radius_m: u32,
}

/// What can be sent to her (RFC 5196 §3): `None` where nothing is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Takes {
    /// Calls.
    pub audio: Option<bool>,
    /// Calls with picture.
    pub video: Option<bool>,
    /// Text messages.
    pub message: Option<bool>,
}

impl Takes {
    /// Whether it says nothing.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// What both say together: whatever one of them takes can be sent.
    pub fn union(&self, other: &Self) -> Self {
        let either = |a: Option<bool>, b: Option<bool>| a.max(b);
        Self {
            audio: either(self.audio, other.audio),
            video: either(self.video, other.video),
            message: either(self.message, other.message),
        }
    }
}
