//! A greeting on its way in: the file in an upload becomes A-law as it comes, and goes to the house in pieces. Nothing of it
//! is held whole, and what the house can't take yet makes the connection wait.

use super::house::{GREETING_PIECE_BYTES, GreetingStep, House, Progress};
use super::page::{Fault, Viewer};
use crate::base::limits::GREETING_S;
use crate::base::table::Handle;
use crate::base::text::same_secret;
use crate::base::time::Instant;
use crate::media::wav::{self, Reader, TAIL_SAMPLES};
use crate::wire::http;

use super::connection::Connection;
use super::session::TOKEN_BYTES;

/// An upload.
pub(super) struct Upload {
    /// The connection that it comes by.
    pub connection: Handle<Connection>,
    viewer: Viewer,
    parts: http::Upload,
    field: Field,
    token: heapless::Vec<u8, TOKEN_BYTES>,
    wav: Reader,
    /// A-law that the house has not taken yet.
    piece: [u8; GREETING_PIECE_BYTES],
    len: usize,
    stage: Stage,
    /// What is wrong with it; the rest is read and dropped.
    fault: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Token,
    File,
    Other,
}

/// How far the house has come with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It has not heard of it.
    Unknown,
    /// It has begun.
    Begun,
    /// The file is complete, but for what is in the piece.
    Complete,
    /// It is to be committed.
    Last,
    Done,
}

impl Upload {
    /// An upload with this Content-Type begins.
    pub fn begin(connection: Handle<Connection>, viewer: Viewer, content_type: &[u8]) -> Option<Self> {
        let parts = http::Upload::begin(content_type).ok()?;
        Some(Self {
            connection,
            viewer,
            parts,
            field: Field::Other,
            token: heapless::Vec::new(),
            wav: Reader::new(GREETING_S as u32 * 8000),
            piece: [0; GREETING_PIECE_BYTES],
            len: 0,
            stage: Stage::Unknown,
            fault: None,
        })
    }

    /// Takes the next bytes of the body; how many. Less than all: the house has to take what there is first.
    pub fn feed(&mut self, now: Instant, house: &mut dyn House, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.fault.is_none() && self.stage < Stage::Complete {
            if !self.hand_over(now, house) {
                break;
            }
            // Each sample needs a byte of the file at least, so that what comes from these has room.
            let taken = rest.len().min(GREETING_PIECE_BYTES / 2);
            let mut input = &rest[..taken];
            rest = &rest[taken..];
            self.take(&mut input);
        }
        let is_waiting = self.fault.is_none() && self.stage < Stage::Complete;
        bytes.len() - if is_waiting { rest.len() } else { 0 }
    }

    fn take(&mut self, input: &mut &[u8]) {
        let Self { parts, field, token, wav, piece, len, stage, fault, viewer, .. } = self;
        while let Some(event) = parts.next(input) {
            match event {
                http::Event::Part(name) => {
                    *field = match name {
                        b"csrf" => Field::Token,
                        b"file" => Field::File,
                        _ => Field::Other,
                    };
                    // The token stands before the file: nothing of that is looked at without it.
                    if *field == Field::File && !same_secret(&viewer.form_token, token) {
                        *fault = Some(Fault::Forbidden);
                    }
                }
                http::Event::Data(data) => match field {
                    Field::Token if token.extend_from_slice(data).is_err() => *fault = Some(Fault::Forbidden),
                    Field::File => match wav.feed(data, &mut piece[*len..]) {
                        Ok(progress) if progress.read == data.len() => *len += progress.written,
                        Ok(_) => *fault = Some(Fault::NotDone),
                        Err(wav::Fault::TooLong) => *fault = Some(Fault::TooLarge),
                        Err(_) => *fault = Some(Fault::NotWav),
                    },
                    _ => {}
                },
                http::Event::PartEnd if *field == Field::File => *stage = Stage::Complete,
                http::Event::PartEnd | http::Event::End => {}
            }
            if fault.is_some() {
                return;
            }
        }
    }

    /// Gives the house what there is; whether there is room for more now. What can't go on has a fault.
    fn hand_over(&mut self, now: Instant, house: &mut dyn House) -> bool {
        if self.len < GREETING_PIECE_BYTES / 2 && self.stage < Stage::Complete {
            return true;
        }
        if self.stage == Stage::Unknown && self.step(now, house, GreetingStep::Begin) {
            self.stage = Stage::Begun;
        }
        if self.stage == Stage::Unknown {
            return false;
        }
        if self.len == 0 {
            return true;
        }
        let (piece, len) = (self.piece, self.len);
        let is_taken = self.step(now, house, GreetingStep::Data(&piece[..len]));
        if is_taken {
            self.len = 0;
        }
        is_taken
    }

    fn step(&mut self, now: Instant, house: &mut dyn House, step: GreetingStep<'_>) -> bool {
        match house.greeting(now, self.viewer.person, step) {
            Progress::Done => true,
            Progress::Wait => false,
            Progress::Failed(why) => {
                log::warn!("a greeting could not be kept: {why}");
                self.fault = Some(Fault::NotDone);
                false
            }
        }
    }

    /// The body is complete. Whether the house is done with it, and how; `None`: it has to be asked again.
    pub fn finish(&mut self, now: Instant, house: &mut dyn House) -> Option<Result<(), Fault>> {
        loop {
            if let Some(fault) = self.fault {
                self.abort(now, house);
                return Some(Err(fault));
            }
            match self.stage {
                Stage::Unknown | Stage::Begun => self.fault = Some(Fault::NotWav),
                Stage::Complete => {
                    // What is held goes first, for the tail needs room.
                    let is_open = self.begin_now(now, house);
                    if !is_open || self.len > 0 && !self.flush(now, house) {
                        if self.fault.is_none() {
                            return None;
                        }
                        continue;
                    }
                    let mut tail = [0; TAIL_SAMPLES];
                    match self.wav.finish(&mut tail) {
                        Ok((written, _)) => {
                            self.piece[..written].copy_from_slice(&tail[..written]);
                            (self.len, self.stage) = (written, Stage::Last);
                        }
                        Err(wav::Fault::TooLong) => self.fault = Some(Fault::TooLarge),
                        Err(_) => self.fault = Some(Fault::NotWav),
                    }
                }
                Stage::Last => {
                    let is_done = (self.len == 0 || self.flush(now, house)) && self.step(now, house, GreetingStep::Commit);
                    if is_done {
                        self.stage = Stage::Done;
                    } else if self.fault.is_none() {
                        return None;
                    }
                }
                Stage::Done => return Some(Ok(())),
            }
        }
    }

    fn begin_now(&mut self, now: Instant, house: &mut dyn House) -> bool {
        self.has_begun || self.step_begin(now, house)
    }
}
