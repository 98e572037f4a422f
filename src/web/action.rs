//! What forms do, once their body is there.

use core::net::IpAddr;

use super::house::{GreetingStep, Progress};
use super::page::{Fault, Notice, View, Viewer, state_named};
use super::request::{Action, Desk, Request, seen, state_of};
use super::response::{Cookie, Place, Response};
use super::route::{Setting, decimal, hex_id};
use super::session::{IDLE_LIFE_S, LINK_LIFE_S, Scope, SessionHandle};
use crate::base::limits::BUSY_BYTES;
use crate::base::text::{Writer, same_secret};
use crate::config::model::Missed;
use crate::home::commands::NOTE_BYTES;
use crate::home::inbox::{LetterHandle, State};
use crate::wire::http::{Form, Names};

/// Bytes of an answer: it has to travel as one MESSAGE.
const REPLY_BYTES: u16 = 4_000;

/// The fields of all forms, and how long each may be.
pub(super) const FIELDS: Names = &[
    ("csrf", 32),
    ("name", 256),
    ("password", 512),
    ("before", 10),
    ("read", 16),
    ("new", 16),
    ("delete", 16),
    ("restore", 16),
    ("return", 16),
    ("all", 16),
    ("to", 16),
    ("text", REPLY_BYTES),
    ("busy", 1_000),
    ("state", 16),
    ("note", 1_000),
    ("missed", 16),
];

impl Desk<'_> {
    /// Does what a form says.
    pub fn form(&mut self, request: &Request, source: IpAddr, form: &Form<'_>) -> Response {
        match request.action {
            Action::Login => return self.login(request, source, form),
            Action::Open(link) => return self.open(request, link),
            _ => {}
        }
        let token = form.value("csrf").unwrap_or_default();
        let Some(viewer) = request.viewer.filter(|viewer| same_secret(&viewer.form_token, token)) else {
            return request.fault(403, Fault::Forbidden);
        };
        match request.action {
            Action::Logout => self.logout(request),
            Action::Letters => self.letters(request, &viewer, form),
            Action::Reply => self.reply(request, &viewer, form),
            Action::Set(setting) => self.set(request, &viewer, setting, form),
            _ => request.fault(400, Fault::BadRequest),
        }
    }

    fn login(&mut self, request: &Request, source: IpAddr, form: &Form<'_>) -> Response {
        let value = |name| form.value(name).unwrap_or_default();
        let (name, password) = (value("name").trim_ascii(), value("password"));
        let wait_s = self.failures.wait_s(self.now, source, name);
        if wait_s > 0 {
            return request.page(429, View::Login, Notice::Wait(wait_s));
        }
        let Some(person) = self.house.check_password(name, password) else {
            self.failures.failed(self.now, source, name);
            return request.page(403, View::Login, Notice::Fault(Fault::WrongPassword));
        };
        self.failures.succeeded(name);
        // What the browser had before is over: a session is never taken along into another.
        request.session.into_iter().for_each(|session| self.sessions.end(session));
        let numbers = (self.house.random(), self.house.random());
        let clock = (self.now, self.house.time());
        let token = self.sessions.begin(clock, numbers, person as u16, Scope::Everything);
        let mut response = request.elsewhere(Place::Letters { before: u32::MAX, deleted: None });
        response.cookie = Some(Cookie::Set(token, IDLE_LIFE_S));
        response
    }

    fn logout(&mut self, request: &Request) -> Response {
        request.session.into_iter().for_each(|session| self.sessions.end(session));
        let mut response = request.elsewhere(Place::Login);
        response.cookie = Some(Cookie::Clear);
        response
    }

    /// Opens a link. Who is logged in as its person sees all of her letters as before.
    fn open(&mut self, request: &Request, link: Option<SessionHandle>) -> Response {
        let place = Place::Letters { before: u32::MAX, deleted: None };
        let session = link.and_then(|link| self.sessions.get(link));
        let person = session.map(|session| usize::from(session.person));
        let is_logged_in = request.viewer.is_some_and(|it| it.may_do_all() && Some(it.person) == person);
        let numbers = (self.house.random(), self.house.random());
        let Some(token) = link.and_then(|link| self.sessions.open(link, numbers)) else {
            return request.page(404, View::Fault, Notice::Fault(Fault::LinkOver));
        };
        let mut response = request.elsewhere(place);
        if !is_logged_in {
            response.cookie = Some(Cookie::Set(token, LINK_LIFE_S));
        }
        response
    }

    fn letters(&mut self, request: &Request, viewer: &Viewer, form: &Form<'_>) -> Response {
        let Some((name, state, id)) =
            form.fields().find_map(|(name, value)| Some((name, state_of(name)?, hex_id(value))))
        else {
            return request.fault(400, Fault::BadRequest);
        };
        let inbox = self.house.inbox();
        let Some((handle, letter)) = id.and_then(|id| seen(inbox, viewer, id)) else {
            return request.fault(404, Fault::NotFound);
        };
        let (id, number, sender) = (letter.id, letter.number, letter.sender);
        let was_new = letter.state == State::New;
        if name == "all" {
            // Only what she has seen: what came since stays new.
            let of_sender = |inbox: &crate::home::inbox::Inbox| -> Option<LetterHandle> {
                let is_it = |it: &crate::home::inbox::Letter| {
                    it.sender == sender && it.number <= number && it.state == State::New && viewer.may_see(it.number)
                };
                inbox
                    .letters(viewer.person)
                    .find(|(_, letter)| is_it(letter) && !letter.is_open)
                    .map(|(handle, _)| handle)
            };
            while let Some(next) = of_sender(self.house.inbox()) {
                if !self.house.set_state(self.now, next, state) {
                    return request.fault(503, Fault::NotDone);
                }
            }
        } else if letter.is_open || !self.house.set_state(self.now, handle, state) {
            return request.fault(503, Fault::NotDone);
        }
        let before = form.value("before").and_then(decimal).unwrap_or(u32::MAX);
        if name == "return" {
            return request.elsewhere(Place::Deleted);
        }
        let deleted = (state == State::Deleted).then_some((id, was_new));
        request.elsewhere(Place::Letters { before, deleted })
    }

    fn reply(&mut self, request: &Request, viewer: &Viewer, form: &Form<'_>) -> Response {
        let inbox = self.house.inbox();
        let letter = form.value("to").and_then(hex_id).and_then(|id| seen(inbox, viewer, id));
        let Some(sender) = letter.and_then(|(_, letter)| inbox.sender(letter.sender)) else {
            return request.fault(404, Fault::NotFound);
        };
        let address = sender.address.clone();
        let text = form.value("text").unwrap_or_default();
        // A form sends lines that end in CR LF.
        let mut lines = [0; REPLY_BYTES as usize];
        let text = match core::str::from_utf8(text) {
            Ok(text) if !text.trim().is_empty() => without_returns(text, &mut lines),
            _ => return request.fault(400, Fault::BadRequest),
        };
        if !self.house.reply(self.now, viewer.person, address.as_bytes(), text) {
            return request.fault(503, Fault::NotDone);
        }
        request.elsewhere(Place::Sent)
    }

    fn set(&mut self, request: &Request, viewer: &Viewer, setting: Setting, form: &Form<'_>) -> Response {
        let value = |name| core::str::from_utf8(form.value(name).unwrap_or_default()).ok().map(str::trim);
        let person = viewer.person;
        let is_done = match setting {
            Setting::Busy => {
                let mut lines = [0; 1_000];
                let text = value("busy").map(|text| without_returns(text, &mut lines));
                match text.and_then(|text| core::str::from_utf8(text).ok()) {
                    Some(text) if text.len() > BUSY_BYTES => return request.fault(422, Fault::TooLarge),
                    Some(text) => self.house.set_busy_text(self.now, person, text),
                    None => return request.fault(400, Fault::BadRequest),
                }
            }
            Setting::Presence => {
                let mut words = [0; NOTE_BYTES + 16];
                let mut out = Writer::new(&mut words);
                let state = form.value("state").and_then(state_named);
                let (Some(state), Some(note)) = (state, value("note")) else {
                    return request.fault(400, Fault::BadRequest);
                };
                out.text(state);
                if !note.is_empty() && state != "auto" {
                    out.text(" ");
                    out.text(note);
                }
                let Ok(len) = out.finish() else { return request.fault(422, Fault::TooLarge) };
                match core::str::from_utf8(&words[..len]) {
                    Ok(words) if !words.contains(char::is_control) => self.house.set_presence(self.now, person, words),
                    _ => return request.fault(400, Fault::BadRequest),
                }
            }
            Setting::Missed => match value("missed") {
                Some("keep") => self.house.set_missed(self.now, person, Missed::Keep),
                Some("deliver") => self.house.set_missed(self.now, person, Missed::Deliver),
                _ => return request.fault(400, Fault::BadRequest),
            },
            Setting::NoGreeting => self.house.greeting(self.now, person, GreetingStep::Remove) == Progress::Done,
        };
        if is_done { request.elsewhere(Place::Saved) } else { request.fault(503, Fault::NotDone) }
    }
}

/// A text without carriage returns; `room` is as long as the text.
fn without_returns<'r>(text: &str, room: &'r mut [u8]) -> &'r [u8] {
    let mut len = 0;
    for (place, byte) in room.iter_mut().zip(text.bytes().filter(|byte| *byte != b'\r')) {
        (*place, len) = (byte, len + 1);
    }
    &room[..len]
}
