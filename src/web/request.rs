//! What a request is answered with. GET shows and changes nothing; what changes something is a POST, with the form's token
//! of a session.

use super::hosts;
use super::house::House;
use super::page::{Fault, Letters, Notice, Page, View, Viewer, key_of};
use super::response::{Body, Cookie, Document, Manner, Place, Response, Sound, write_tag};
use super::route::{Format, Route, Setting, hex_id};
use super::session::{Failures, Scope, SessionHandle, Sessions, form_token};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::config::model::Language;
use crate::home::inbox::{Category, Codec, Inbox, Letter, LetterHandle, State};
use crate::wire::http::{Head, Method, Ranged, cookie, etag_matches, prefers, query_field};

/// Bytes of a form's body.
pub(super) const FORM_BODY_BYTES: u64 = 64 * 1024;
/// Bytes of an upload: 80 seconds of 48 kHz, 16 bits, one channel.
pub(super) const UPLOAD_BODY_BYTES: u64 = 8 * 1024 * 1024;

/// What a request is about, as far as it outlives its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub manner: Manner,
    pub language: Language,
    pub viewer: Option<Viewer>,
    pub session: Option<SessionHandle>,
    pub action: Action,
}

/// What a POST does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Login,
    Logout,
    /// Opens a link.
    Open(Option<SessionHandle>),
    Letters,
    Reply,
    Set(Setting),
    Greeting,
}

/// What follows a head.
// There is no allocator to make them smaller with.
#[allow(clippy::large_enum_variant)]
pub(super) enum Next {
    /// An answer.
    Respond(Response),
    /// A form in the body.
    Form(Request),
    /// An upload in the body.
    Upload(Request),
}

/// What requests are answered from.
pub(super) struct Desk<'a> {
    pub now: Instant,
    pub house: &'a mut dyn House,
    pub sessions: &'a mut Sessions,
    pub failures: &'a mut Failures,
}

impl Desk<'_> {
    /// Takes the head of a request.
    pub fn head(&mut self, head: &Head<'_>, is_secure: bool) -> Next {
        let manner = Manner {
            is_head: head.method == Method::Head,
            keep_alive: head.keep_alive,
            is_version_1_1: head.is_version_1_1,
            is_secure,
        };
        let request = self.request(head, manner);
        let refused = |status, fault| Next::Respond(request.refused(status, fault));
        if !hosts::is_ours(self.house.model(), head.host) {
            return refused(421, Fault::NotFound);
        }
        let Some(route) = Route::of(head.path, head.query) else { return refused(404, Fault::NotFound) };
        let (may_get, may_post) = route.methods();
        match head.method {
            // RFC 9110 §9.3.1: a body there has no meaning, and would be taken for the next request.
            Method::Get | Method::Head if head.content_length > 0 => refused(400, Fault::BadRequest),
            Method::Get | Method::Head if may_get => Next::Respond(self.get(head, &request, route)),
            Method::Post if may_post => self.post(head, request, route),
            _ => refused(405, Fault::NotFound),
        }
    }

    /// Who asks.
    fn request(&mut self, head: &Head<'_>, manner: Manner) -> Request {
        let clock = (self.now, self.house.time());
        let token = cookie(head.cookie, Cookie::name(manner.is_secure).as_bytes());
        let found = token.and_then(|token| Some((token, self.sessions.find(clock, token)?)));
        let mut viewer = None;
        let mut handle = None;
        if let Some((token, (session, it))) = found
            && !matches!(it.scope, Scope::Link(..))
        {
            viewer = Some(Viewer { person: it.person.into(), scope: it.scope, form_token: form_token(token) });
            handle = Some(session);
            self.sessions.touch(clock, session);
        }
        let own = viewer.and_then(|viewer| self.house.model().people.get(viewer.person));
        let tags = Language::TAGS.map(|(tag, _)| tag);
        let accepted = prefers(head.accept_language, &tags).map_or(Language::En, |index| Language::TAGS[index].1);
        let language = own.map_or(accepted, |person| person.language);
        Request { manner, language, viewer, session: handle, action: Action::Login }
    }

    fn get(&mut self, head: &Head<'_>, request: &Request, route: Route<'_>) -> Response {
        match route {
            Route::Asset(asset) => {
                let has_it = !head.if_none_match.is_empty() && is_tag(head.if_none_match, asset.version());
                let (status, body) =
                    if has_it { (304, Body::NotModified(asset)) } else { (200, Body::Asset(asset, 0)) };
                return Response::new(status, body, request.manner);
            }
            Route::Login => return request.page(200, View::Login, Notice::Nothing),
            Route::Link(token) => return self.link(request, token),
            _ => {}
        }
        let Some(viewer) = request.viewer else { return request.elsewhere(Place::Login) };
        match route {
            Route::Inbox(before) => {
                let letters = Letters::collect(self.house.inbox(), &viewer, false, before);
                request.page(200, View::Letters(letters), said(head.query))
            }
            Route::Deleted(before) => {
                let letters = Letters::collect(self.house.inbox(), &viewer, true, before);
                request.page(200, View::Letters(letters), Notice::Nothing)
            }
            Route::Settings if viewer.may_do_all() => request.page(200, View::Settings, said(head.query)),
            Route::Voice(id, format) => self.voice(head, request, &viewer, (id, format)),
            Route::GreetingSound if viewer.may_do_all() => match self.house.settings(viewer.person).greeting {
                Some((key, bytes)) => {
                    ranged(head, request, Sound::new(key, Codec::Alaw, bytes, key.id ^ u64::from(bytes)))
                }
                None => request.refused(404, Fault::NotFound),
            },
            Route::Body(id) => match seen(self.house.inbox(), &viewer, id) {
                Some((_, letter)) if letter.category == Category::Text => {
                    Response::new(200, Body::Document(Document::new(key_of(letter))), request.manner)
                }
                _ => request.refused(404, Fault::NotFound),
            },
            _ => request.elsewhere(Place::Login),
        }
    }

    /// What a link leads to. It is not opened by that: programs look at links before people do.
    fn link(&self, request: &Request, token: &[u8]) -> Response {
        let found = self.sessions.find((self.now, self.house.time()), token);
        match found {
            Some((_, session)) if matches!(session.scope, Scope::Link(..)) => {
                let person = self.house.model().people.get(usize::from(session.person));
                let language = person.map_or(request.language, |person| person.language);
                Request { language, viewer: None, ..*request }.page(200, View::Link, Notice::Nothing)
            }
            _ => request.page(404, View::Fault, Notice::Fault(Fault::LinkOver)),
        }
    }

    fn voice(&self, head: &Head<'_>, request: &Request, viewer: &Viewer, (id, format): (u64, Format)) -> Response {
        let found = seen(self.house.inbox(), viewer, id).filter(|(_, letter)| !letter.is_open);
        let sound = found.and_then(|(_, letter)| {
            let codec = letter.voice?;
            let is_it = (codec == Codec::Opus) == (format == Format::Ogg);
            is_it.then(|| Sound::new(key_of(letter), codec, letter.size, letter.id ^ u64::from(letter.size)))
        });
        match sound {
            Some(sound) => ranged(head, request, sound),
            None => request.refused(404, Fault::NotFound),
        }
    }

    fn post(&mut self, head: &Head<'_>, mut request: Request, route: Route<'_>) -> Next {
        if is_foreign(head) {
            return Next::Respond(request.refused(403, Fault::Forbidden));
        }
        request.action = match route {
            Route::Login => Action::Login,
            Route::Logout => Action::Logout,
            Route::Letters => Action::Letters,
            Route::Reply => Action::Reply,
            Route::Set(setting) => Action::Set(setting),
            Route::Greeting => Action::Greeting,
            Route::Link(token) => {
                Action::Open(self.sessions.find((self.now, self.house.time()), token).map(|(link, _)| link))
            }
            _ => return Next::Respond(request.refused(405, Fault::NotFound)),
        };
        let needs_all = matches!(request.action, Action::Reply | Action::Set(_) | Action::Greeting);
        let may = request.viewer.is_some_and(|viewer| !needs_all || viewer.may_do_all());
        if !may && !matches!(request.action, Action::Login | Action::Open(_)) {
            return Next::Respond(request.refused(403, Fault::Forbidden));
        }
        let is_upload = request.action == Action::Greeting;
        if head.content_length > if is_upload { UPLOAD_BODY_BYTES } else { FORM_BODY_BYTES } {
            return Next::Respond(request.refused(413, Fault::TooLarge));
        }
        let media = head.content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let wanted = if is_upload { &b"multipart/form-data"[..] } else { b"application/x-www-form-urlencoded" };
        if !media.trim_ascii().eq_ignore_ascii_case(wanted) && head.content_length > 0 {
            return Next::Respond(request.refused(415, Fault::BadRequest));
        }
        if is_upload { Next::Upload(request) } else { Next::Form(request) }
    }
}

impl Request {
    /// One of which nothing is known.
    pub const fn unknown(manner: Manner, language: Language) -> Self {
        Self { manner, language, viewer: None, session: None, action: Action::Login }
    }

    /// A page.
    pub fn page(&self, status: u16, view: View, notice: Notice) -> Response {
        Response::new(status, Body::Page(Page::new(view, self.language, self.viewer, notice)), self.manner)
    }

    /// A page that says what went wrong.
    pub fn fault(&self, status: u16, fault: Fault) -> Response {
        self.page(status, View::Fault, Notice::Fault(fault))
    }

    /// The same before the body was read: the connection ends, for the body may come all the same.
    pub fn refused(&self, status: u16, fault: Fault) -> Response {
        let mut response = self.fault(status, fault);
        response.manner.keep_alive &= status == 404;
        response
    }

    /// The page that follows a form.
    pub fn elsewhere(&self, place: Place) -> Response {
        Response::new(303, Body::Elsewhere(place), self.manner)
    }
}

/// A letter that she may see, by its id.
pub(super) fn seen<'i>(inbox: &'i Inbox, viewer: &Viewer, id: u64) -> Option<(LetterHandle, &'i Letter)> {
    let handle = inbox.find(id)?;
    let letter = inbox.get(handle)?;
    let is_hers = usize::from(letter.person) == viewer.person && letter.is_settled() && viewer.may_see(letter.number);
    is_hers.then_some((handle, letter))
}

/// What is said after a form was followed.
fn said(query: &[u8]) -> Notice {
    let id = |name: &[u8]| query_field(query, name).and_then(hex_id);
    match (id(b"deleted"), id(b"deleted-new")) {
        (Some(id), _) => Notice::Deleted(id, false),
        (None, Some(id)) => Notice::Deleted(id, true),
        _ if query_field(query, b"sent").is_some() => Notice::Sent,
        _ if query_field(query, b"saved").is_some() => Notice::Saved,
        _ => Notice::Nothing,
    }
}

/// A sound, or the part of it that was asked for.
fn ranged(head: &Head<'_>, request: &Request, sound: Sound) -> Response {
    let length = sound.length();
    // RFC 9110 §13.1.5: a part only of what the client has the rest of.
    let is_same = head.if_range.is_empty() || is_tag(head.if_range, sound.tag);
    let range = if is_same { Ranged::parse(head.range, length) } else { Ranged::Whole };
    let (status, body) = match range {
        Ranged::Whole => (200, Body::Sound(sound)),
        Ranged::Part(range) => (206, Body::Sound(sound.part(range))),
        Ranged::Unsatisfiable => (416, Body::NoRange(length)),
    };
    Response::new(status, body, request.manner)
}

fn is_tag(field: &[u8], tag: u64) -> bool {
    let mut room = [0; 18];
    let mut out = Writer::new(&mut room);
    write_tag(tag, &mut out);
    etag_matches(field, out.written())
}

/// Whether a browser says that the page of another site sends this. Under our Referrer-Policy the origin of our own forms is
/// `null`, so that says nothing; their token does.
fn is_foreign(head: &Head<'_>) -> bool {
    let site = head.fetch_site;
    if !site.is_empty() && site != b"same-origin" && site != b"none" {
        return true;
    }
    let rest = head.origin.strip_prefix(b"http://").or_else(|| head.origin.strip_prefix(b"https://"));
    match rest {
        Some(host) => !host.eq_ignore_ascii_case(head.host),
        None => !head.origin.is_empty() && head.origin != b"null",
    }
}

/// The states that a button asks for, by its name.
pub(super) fn state_of(name: &str) -> Option<State> {
    match name {
        "read" | "all" | "restore" | "return" => Some(State::Old),
        "new" => Some(State::New),
        "delete" => Some(State::Deleted),
        _ => None,
    }
}
