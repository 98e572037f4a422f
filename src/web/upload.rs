//! A greeting on its way in: the file in an upload becomes A-law as it comes, and goes to the house in pieces. Nothing of it
//! is held whole, and what the house can't take yet makes the connection wait.

use super::house::{GREETING_PIECE_BYTES, GreetingStep, House, Progress};
use super::page::{Fault, Viewer};
use crate::base::limits::GREETING_SECONDS;
use crate::base::table::Handle;
use crate::base::text::same_secret;
use crate::base::time::Instant;
use crate::media::wav::{self, Reader, TAIL_SAMPLES};
use crate::wire::http;

use super::connection::Connection;
use super::session::TOKEN_BYTES;

/// The longest greeting, at 8 kHz.
const GREETING_SAMPLES: u32 = GREETING_SECONDS as u32 * 8000;

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
    /// Whether the house has heard of it.
    has_begun: bool,
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

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// The file is being read.
    Reading,
    /// It is complete, but for what the reader holds.
    Complete,
    /// The house has to take the last of it, and commit.
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
            wav: Reader::new(GREETING_SAMPLES),
            piece: [0; GREETING_PIECE_BYTES],
            len: 0,
            has_begun: false,
            stage: Stage::Reading,
            fault: None,
        })
    }

    /// Takes the next bytes of the body; how many. Less than all: the house has to take what there is first.
    pub fn feed(&mut self, now: Instant, house: &mut dyn House, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.fault.is_none() && self.stage < Stage::Complete {
            if self.len > GREETING_PIECE_BYTES / 2 && !self.flush(now, house) {
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

    /// Whether nothing more can be taken before the house has taken what there is.
    pub fn is_stuck(&mut self, now: Instant, house: &mut dyn House) -> bool {
        self.fault.is_none() && self.len > GREETING_PIECE_BYTES / 2 && !self.flush(now, house) && self.fault.is_none()
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
                        Err(why) => *fault = Some(fault_of(why)),
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

    /// Gives the house what there is; whether it has taken all.
    fn flush(&mut self, now: Instant, house: &mut dyn House) -> bool {
        if !self.has_begun {
            self.has_begun = self.step(now, house, GreetingStep::Begin);
        }
        if self.has_begun && self.len > 0 {
            let (piece, len) = (self.piece, self.len);
            if self.step(now, house, GreetingStep::Data(&piece[..len])) {
                self.len = 0;
            }
        }
        self.has_begun && self.len == 0
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

    /// The body is complete. How it went; `None`: the house has to be asked again.
    pub fn finish(&mut self, now: Instant, house: &mut dyn House) -> Option<Result<(), Fault>> {
        self.advance(now, house);
        if let Some(fault) = self.fault {
            self.abort(now, house);
            return Some(Err(fault));
        }
        (self.stage == Stage::Done).then_some(Ok(()))
    }

    fn advance(&mut self, now: Instant, house: &mut dyn House) {
        if self.stage == Stage::Reading && self.fault.is_none() {
            self.fault = Some(Fault::NotWav);
        }
        // What the reader holds needs the room of what is there.
        if self.fault.is_none() && self.stage == Stage::Complete && self.flush(now, house) {
            self.end_file();
        }
        let is_last = self.fault.is_none() && self.stage == Stage::Last;
        if is_last && self.flush(now, house) && self.step(now, house, GreetingStep::Commit) {
            (self.stage, self.has_begun) = (Stage::Done, false);
        }
    }

    fn end_file(&mut self) {
        let mut tail = [0; TAIL_SAMPLES];
        match self.wav.finish(&mut tail) {
            Ok((written, _)) => {
                self.piece[..written].copy_from_slice(&tail[..written]);
                (self.len, self.stage) = (written, Stage::Last);
            }
            Err(fault) => self.fault = Some(fault_of(fault)),
        }
    }

    /// It is over: the house drops what it has of it.
    pub fn abort(&mut self, now: Instant, house: &mut dyn House) {
        if core::mem::replace(&mut self.has_begun, false) {
            let _ = house.greeting(now, self.viewer.person, GreetingStep::Abort);
        }
    }
}

const fn fault_of(fault: wav::Fault) -> Fault {
    match fault {
        wav::Fault::TooLong => Fault::TooLarge,
        wav::Fault::NotWav | wav::Fault::Format => Fault::NotWav,
    }
}

const _: () = assert!(TAIL_SAMPLES <= GREETING_PIECE_BYTES);
