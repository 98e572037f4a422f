//! One connection: a request is read, answered, and then the next. What comes meanwhile waits where it is.
//!
//! Its buffer holds, one after the other, the head of a request, the fields of a form, and what was loaded for the answer.

use core::net::IpAddr;

use super::page::{Fault, View};
use super::request::{Desk, Next, Request};
use super::response::{Manner, Place, Response};
use super::upload::Upload;
use super::{BUFFER_BYTES, Step};
use crate::base::net::{Stream, octets};
use crate::base::table::{Handle, Table};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::config::model::Language;
use crate::wire::http::{FormReader, HEAD_BYTES, Head, end_of_head, write_status};

use super::action::FIELDS;

/// A head has to come within so long of its first byte.
const HEAD_MS: u64 = 10_000;
/// A form has to come within so long of its head, and an upload.
const FORM_MS: u64 = 30_000;
const UPLOAD_MS: u64 = 600_000;
/// Nothing of an upload came for so long: it is over.
const STALL_MS: u64 = 30_000;
/// A client that takes nothing of a response for so long is gone.
const RESPONSE_MS: u64 = 60_000;
/// Nothing was asked for so long.
const IDLE_MS: u64 = 30_000;

/// A connection.
pub(super) struct Connection {
    pub stream: Stream,
    pub source: IpAddr,
    is_secure: bool,
    /// When something last came or went.
    pub active_at: Instant,
    /// When the phase has to be over.
    deadline: Instant,
    phase: Phase,
}

// There is no allocator to make them smaller with.
#[allow(clippy::large_enum_variant)]
enum Phase {
    /// A head of which so many bytes are in the buffer.
    Head(usize),
    /// The body of a form.
    Form(Body, FormReader),
    /// The body of an upload.
    Upload(Body),
    /// An answer goes out.
    Respond(Response),
    /// Nothing more.
    Over,
}

struct Body {
    request: Request,
    /// Bytes that are to come.
    left: u64,
    /// Whether the client waits for a word.
    is_awaited: bool,
    /// What was wrong with it; the rest is read all the same, so that the answer is.
    fault: Option<Fault>,
    /// When all of it has to be there.
    end: Instant,
}

/// What a connection works with, beside its own state.
pub(super) struct Tools<'a> {
    pub desk: Desk<'a>,
    pub handle: Handle<Connection>,
    pub buffer: &'a mut [u8; BUFFER_BYTES],
    pub uploads: &'a mut Table<Upload, 1>,
}

impl Tools<'_> {
    /// The upload that comes by this connection.
    fn upload(&self) -> Option<Handle<Upload>> {
        self.uploads.iter().find(|(_, upload)| upload.connection == self.handle).map(|(handle, _)| handle)
    }
}

impl Connection {
    pub fn new(now: Instant, stream: Stream, source: IpAddr, is_secure: bool) -> Self {
        // The first head is due at once: who connects wants something.
        let deadline = now.plus(IDLE_MS);
        Self { stream, source, is_secure, active_at: now, deadline, phase: Phase::Head(0) }
    }

    /// When it is to be looked at.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it waits for a request, of which nothing has come.
    pub const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head(0))
    }

    /// Whether both are from one address; an IPv6 source is its /64.
    pub fn is_from(&self, source: IpAddr) -> bool {
        let (one, other) = (octets(self.source), octets(source));
        let is_six = source.to_canonical().is_ipv6();
        if is_six { one[..8] == other[..8] } else { one == other }
    }

    /// Takes bytes; how many.
    pub fn receive(&mut self, tools: &mut Tools<'_>, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let some = match &mut self.phase {
                Phase::Head(len) => {
                    let len = *len;
                    self.take_head(tools, len, rest)
                }
                Phase::Form(..) => self.take_form(tools, rest),
                Phase::Upload(_) => self.take_upload(tools, rest),
                Phase::Respond(_) | Phase::Over => 0,
            };
            if some == 0 {
                break;
            }
            taken += some;
        }
        if taken > 0 {
            self.active_at = tools.desk.now;
        }
        taken
    }

    fn take_head(&mut self, tools: &mut Tools<'_>, len: usize, bytes: &[u8]) -> usize {
        if len == 0 {
            // RFC 9112 §2.2: empty lines before a request are passed over.
            let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank > 0 {
                return blank;
            }
            self.deadline = tools.desk.now.plus(HEAD_MS);
        }
        let some = bytes.len().min(HEAD_BYTES - len);
        tools.buffer[len..len + some].copy_from_slice(&bytes[..some]);
        let Some(end) = end_of_head(&tools.buffer[..len + some], len) else {
            self.phase = Phase::Head(len + some);
            if len + some == HEAD_BYTES {
                self.refuse(tools.desk.now, 431);
            }
            return some;
        };
        self.begin_request(tools, end);
        end - len
    }

    fn begin_request(&mut self, tools: &mut Tools<'_>, end: usize) {
        let now = tools.desk.now;
        let head = match Head::parse(&tools.buffer[..end]) {
            Ok(head) => head,
            Err(refused) => return self.refuse(now, refused.0),
        };
        let next = tools.desk.head(&head, self.is_secure);
        let body = |request, life_ms| Body {
            request,
            left: head.content_length,
            is_awaited: head.expects_continue,
            fault: None,
            end: now.plus(life_ms),
        };
        match next {
            Next::Respond(response) => self.respond(now, response),
            Next::Form(request) => {
                (self.phase, self.deadline) =
                    (Phase::Form(body(request, FORM_MS), FormReader::new()), now.plus(FORM_MS));
                self.end_form(tools);
            }
            Next::Upload(request) => {
                let upload = request.viewer.and_then(|it| Upload::begin(tools.handle, it, head.content_type));
                let Some(upload) = upload.filter(|_| head.content_length > 0) else {
                    return self.respond(now, request.refused(415, Fault::BadRequest));
                };
                if tools.uploads.insert(upload).is_err() {
                    return self.respond(now, request.refused(503, Fault::Busy));
                }
                (self.phase, self.deadline) = (Phase::Upload(body(request, UPLOAD_MS)), now.plus(STALL_MS));
            }
        }
    }

    fn take_form(&mut self, tools: &mut Tools<'_>, bytes: &[u8]) -> usize {
        let Phase::Form(body, reader) = &mut self.phase else { return 0 };
        let some = bytes.len().min(usize::try_from(body.left).unwrap_or(usize::MAX));
        if body.fault.is_none() && reader.feed(&bytes[..some], FIELDS, &mut tools.buffer[..]).is_err() {
            body.fault = Some(Fault::TooLarge);
        }
        (body.left, body.is_awaited) = (body.left - some as u64, false);
        self.end_form(tools);
        some
    }

    /// Does what the form says if it is complete.
    fn end_form(&mut self, tools: &mut Tools<'_>) {
        let Phase::Form(Body { request, left: 0, fault, .. }, reader) = &self.phase else { return };
        let response = match (fault, reader.finish(FIELDS, &mut tools.buffer[..])) {
            (None, Ok(form)) => tools.desk.form(request, self.source, &form),
            _ => request.fault(413, Fault::TooLarge),
        };
        self.respond(tools.desk.now, response);
    }

    fn take_upload(&mut self, tools: &mut Tools<'_>, bytes: &[u8]) -> usize {
        let now = tools.desk.now;
        let Phase::Upload(body) = &mut self.phase else { return 0 };
        let some = bytes.len().min(usize::try_from(body.left).unwrap_or(usize::MAX));
        let Some(at) = tools.upload() else { return 0 };
        let taken = match tools.uploads.get_mut(at) {
            Some(upload) => upload.feed(now, tools.desk.house, &bytes[..some]),
            None => 0,
        };
        (body.left, body.is_awaited) = (body.left - taken as u64, false);
        self.deadline = now.plus(STALL_MS).min(body.end);
        self.end_upload(tools);
        taken
    }

    /// Answers an upload if it is complete and the house is done with it.
    fn end_upload(&mut self, tools: &mut Tools<'_>) {
        let Phase::Upload(Body { request, left: 0, .. }) = &self.phase else { return };
        let request = *request;
        let now = tools.desk.now;
        let Some(at) = tools.upload() else { return };
        let house = &mut *tools.desk.house;
        let Some(outcome) = tools.uploads.get_mut(at).and_then(|upload| upload.finish(now, house)) else { return };
        tools.uploads.remove(at);
        let response = match outcome {
            Ok(()) => request.elsewhere(Place::Saved),
            Err(Fault::Forbidden) => request.fault(403, Fault::Forbidden),
            Err(Fault::TooLarge) => request.fault(413, Fault::TooLarge),
            Err(fault @ Fault::NotWav) => request.page(422, View::Settings, super::page::Notice::Fault(fault)),
            Err(fault) => request.fault(503, fault),
        };
        self.respond(now, response);
    }

    /// Answers a head that can't be read, and ends the connection.
    fn refuse(&mut self, now: Instant, status: u16) {
        let manner = Manner { is_head: false, keep_alive: false, is_version_1_1: true, is_secure: self.is_secure };
        let request = Request::unknown(manner, Language::En);
        let fault = if matches!(status, 413 | 431) { Fault::TooLarge } else { Fault::BadRequest };
        self.respond(now, request.fault(status, fault));
    }

    fn respond(&mut self, now: Instant, response: Response) {
        (self.phase, self.deadline) = (Phase::Respond(response), now.plus(RESPONSE_MS));
    }

    /// What comes next.
    pub fn produce(&mut self, tools: &mut Tools<'_>, out: &mut [u8]) -> Step {
        let now = tools.desk.now;
        if let Phase::Form(body, _) | Phase::Upload(body) = &mut self.phase {
            if core::mem::replace(&mut body.is_awaited, false) {
                let mut writer = Writer::new(out);
                write_status(100, &mut writer);
                writer.text("\r\n");
                return writer.finish().map_or(Step::Close, Step::Bytes);
            }
            self.end_upload(tools);
        }
        match &mut self.phase {
            Phase::Head(_) | Phase::Form(..) => Step::Nothing,
            // The house may have room by now.
            Phase::Upload(body) => {
                let is_complete = body.left == 0;
                let upload = tools.upload().and_then(|at| tools.uploads.get_mut(at));
                let is_stuck = upload.is_some_and(|upload| upload.is_stuck(now, tools.desk.house));
                if is_complete || is_stuck { Step::Wait } else { Step::Nothing }
            }
            Phase::Respond(response) => {
                let step = response.produce(&*tools.desk.house, &tools.buffer[..], out);
                if !matches!(step, Step::Wait | Step::Nothing) {
                    (self.active_at, self.deadline) = (now, now.plus(RESPONSE_MS));
                }
                match step {
                    Step::Close => self.end(),
                    Step::Nothing if response.keeps_alive() => {
                        (self.phase, self.deadline) = (Phase::Head(0), now.plus(IDLE_MS));
                        Step::Nothing
                    }
                    Step::Nothing => self.end(),
                    step => step,
                }
            }
            Phase::Over => Step::Close,
        }
    }

    fn end(&mut self) -> Step {
        self.phase = Phase::Over;
        Step::Close
    }

    /// What was asked for has come.
    pub fn loaded(&mut self, outcome: Result<&[u8], super::Unavailable>, buffer: &mut [u8; BUFFER_BYTES]) {
        if let Phase::Respond(response) = &mut self.phase {
            response.loaded(outcome, buffer);
        }
    }
}
