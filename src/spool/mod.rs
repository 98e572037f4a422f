//! tmp
/// What a record is about. A number on disk; one that is not known here was written by a newer version and is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text that waits for its reader.
    Text,
    /// A voice message; its sound is in a blob.
    Voice,
    /// A contact of a device.
    Binding,
    /// Who watches what.
    Subscription,
    /// Who may watch whom.
    Authorisation,
    /// A place that was learned.
    Place,
    /// A value that was set.
    Setting,
    /// A kind of a newer version.
    Other(u8),
}

impl Kind {
    /// Whether it is a message: under the quota of its owner and the age limit.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Text | Self::Voice)
    }

    /// The number on disk.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Voice => 2,
            Self::Binding => 3,
            Self::Subscription => 4,
            Self::Authorisation => 5,
            Self::Place => 6,
            Self::Setting => 7,
            Self::Other(byte) => byte,
        }
    }

    /// The kind with this number.
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Text,
            2 => Self::Voice,
            3 => Self::Binding,
            4 => Self::Subscription,
            5 => Self::Authorisation,
            6 => Self::Place,
            7 => Self::Setting,
            other => Self::Other(other),
        }
    }
}

/// Names a record: of those with the same key the newest counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// Which one; chosen by the caller.
    pub id: u64,
}
