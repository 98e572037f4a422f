//! A status being read: what several parts of a document say comes together in one.

use heapless::String;

use super::status::{Basic, NOTE_BYTES, Status};

/// What was read so far.
pub(super) struct Reading {
    pub(super) status: Status,
    /// Where the note that counts was found.
    note_from: Option<NoteFrom>,
}

/// Where a note stands. A later one of these beats an earlier one; of two in the same place the first counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoteFrom {
    Document,
    Tuple,
    Person,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { status: Status::new(), note_from: None }
    }

    /// Open beats closed.
    pub(super) fn basic(&mut self, basic: Basic) {
        if self.status.basic != Some(Basic::Open) {
            self.status.basic = Some(basic);
        }
    }

    pub(super) fn note(&mut self, from: NoteFrom, note: String<NOTE_BYTES>) {
        if !note.is_empty() && self.note_from.is_none_or(|other| other < from) {
            self.status.note = note;
            self.note_from = Some(from);
        }
    }
}
