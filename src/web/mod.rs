//! The inbox page: HTTP/1.1 (RFC 9112) on the server's own loop, and the pages it shows.
//!
//! [`Web`] is a machine without I/O. For each connection the server says [`Web::opened`], then [`Web::received`] with what
//! came and [`Web::produce`] until that says [`Step::Nothing`], [`Step::Wait`] or [`Step::Close`]; it loads what is asked
//! for, says [`Web::loaded`], and asks again. [`Web::deadline`] and [`Web::due`] bound how long anything takes.
//!
//! One request is in work at a time: while an answer goes out nothing more is taken, so a client that sends without reading
//! waits in its own socket. Nothing is held whole: pages are made as they go out, texts of letters are read one by one,
//! sound is made from the stored bytes in the range that was asked for, and an upload is passed on as it comes.
//!
//! Who may see what: a session of a login sees and does everything of its person. One that a summary's link opened sees
//! the letters of that summary, plays, marks, deletes and restores them; it neither answers nor sets anything. All works
//! without JavaScript; the script only shows times in the reader's zone and marks what is played as heard.
//!
//! Left out: HTTP/2, compression (a page is a few KB), chunked bodies of requests, content negotiation but for language.

mod action;
mod assets;
mod connection;
mod fuzz;
mod hosts;
pub mod house;
mod page;
mod request;
mod response;
mod route;
pub mod session;
mod upload;
mod words;

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

pub use fuzz::fuzz;
pub use house::{GREETING_PIECE_BYTES, GreetingStep, House, Progress, Settings};

use self::connection::{Connection, Tools};
use self::request::Desk;
use self::session::{Failures, Scope, Sessions};
use self::upload::Upload;
use crate::base::limits::{SESSIONS, WEB_CONNECTIONS, WEB_CONNECTIONS_PER_SOURCE};
use crate::base::net::Stream;
use crate::base::table::{Handle, Table};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::config::model::Model;
use crate::spool::Key;
use crate::wire::http::HEAD_BYTES;

/// Bytes of a connection's buffer: a whole head fits.
const BUFFER_BYTES: usize = HEAD_BYTES;

/// The machine: all connections, and who is logged in.
pub struct Web {
    connections: Table<Connection, WEB_CONNECTIONS>,
    /// One for each slot of the table.
    buffers: [[u8; BUFFER_BYTES]; WEB_CONNECTIONS],
    /// Who is logged in. The journal keeps what is marked in its `changed`.
    pub sessions: Sessions,
    failures: Failures,
    /// Connections that gave way.
    leaving: Vec<Stream, WEB_CONNECTIONS>,
    /// One at a time.
    uploads: Table<Upload, 1>,
}

/// What comes next on a connection.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send the first so many bytes of the buffer.
    Bytes(usize),
    /// Load the payload of a record; answered by [`Web::loaded`].
    Load {
        /// Which.
        key: Key,
    },
    /// Read a part of the blob of a record; answered by [`Web::loaded`].
    Read {
        /// Which.
        key: Key,
        /// Where it begins.
        offset: u32,
        /// How many bytes at most.
        len: u32,
    },
    /// What was asked for has not come yet, or the house said [`Progress::Wait`]: to be asked again after
    /// [`Web::loaded`], or when the house can go on.
    Wait,
    /// Nothing is to be sent: the connection is read on.
    Nothing,
    /// Close the connection when all is sent.
    Close,
}

/// What was to be loaded is not there, or can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

impl Web {
    /// No connection, nobody logged in.
    pub const fn new() -> Self {
        Self {
            connections: Table::new(),
            buffers: [[0; BUFFER_BYTES]; WEB_CONNECTIONS],
            sessions: Sessions::new(),
            failures: Failures::new(),
            leaving: Vec::new(),
            uploads: Table::new(),
        }
    }

    /// A connection was made. Whether it is taken; else it is to be closed. Others may have to give way for it:
    /// [`Web::next_leaving`].
    pub fn opened(&mut self, now: Instant, stream: Stream, from: SocketAddr, is_secure: bool) -> bool {
        let source = from.ip();
        let of_source = self.connections.iter().filter(|(_, it)| it.is_from(source)).count();
        let is_source_full = of_source >= WEB_CONNECTIONS_PER_SOURCE;
        if (is_source_full || self.connections.is_full()) && !self.dismiss(is_source_full.then_some(source)) {
            return false;
        }
        self.connections.insert(Connection::new(now, stream, source, is_secure)).is_ok()
    }

    /// A connection that gave way to another, and is to be closed. [`Web::closed`] need not be said of it.
    pub fn next_leaving(&mut self) -> Option<Stream> {
        self.leaving.pop()
    }

    /// Has the connection that is idle longest, of all or of one address, give way; whether there was one.
    fn dismiss(&mut self, source: Option<IpAddr>) -> bool {
        let is_it = |it: &Connection| it.is_idle() && source.is_none_or(|source| it.is_from(source));
        let idle = self.connections.iter().filter(|(_, it)| is_it(it));
        let Some((handle, stream)) = idle.min_by_key(|(_, it)| it.active_at).map(|(handle, it)| (handle, it.stream))
        else {
            return false;
        };
        self.leaving.push(stream).is_ok() && self.connections.remove(handle).is_some()
    }

    /// A connection is gone.
    pub fn closed(&mut self, now: Instant, house: &mut dyn House, stream: Stream) {
        let Some(handle) = self.find(stream) else { return };
        self.connections.remove(handle);
        let upload = self.uploads.iter().find(|(_, upload)| upload.connection == handle).map(|(at, _)| at);
        if let Some(mut upload) = upload.and_then(|at| self.uploads.remove(at)) {
            upload.abort(now, house);
        }
    }

    /// Takes bytes that came; how many. What is not taken is to be offered again, with what came since, after the next
    /// [`Web::produce`] that says [`Step::Nothing`].
    pub fn received(&mut self, now: Instant, house: &mut dyn House, stream: Stream, bytes: &[u8]) -> usize {
        // What comes on a connection that is not ours any more is dropped.
        self.with(now, house, stream, |connection, tools| connection.receive(tools, bytes)).unwrap_or(bytes.len())
    }

    /// What comes next on a connection. `out` has at least [`PRODUCE_BYTES`]; more make fewer pieces.
    pub fn produce(&mut self, now: Instant, house: &mut dyn House, stream: Stream, out: &mut [u8]) -> Step {
        self.with(now, house, stream, |connection, tools| connection.produce(tools, out)).unwrap_or(Step::Close)
    }

    /// What a [`Step::Load`] or [`Step::Read`] asked for: the payload of the record, or that part of its blob.
    pub fn loaded(&mut self, stream: Stream, outcome: Result<&[u8], Unavailable>) {
        let Some(handle) = self.find(stream) else { return };
        if let (Some(connection), Some(buffer)) =
            (self.connections.get_mut(handle), self.buffers.get_mut(handle.index()))
        {
            connection.loaded(outcome, buffer);
        }
    }

    /// Makes a link to the letters of a person that are numbered from the first to the last, and writes it:
    /// `URL/l/TOKEN`. It is valid for a day, and for one opening. Whether it was written.
    pub fn link(
        &mut self,
        now: Instant,
        house: &mut dyn House,
        person: usize,
        (first, last): (u32, u32),
        out: &mut Writer<'_>,
    ) -> bool {
        if !write_base(house.model(), out) {
            return false;
        }
        let numbers = (house.random(), house.random());
        let token = self.sessions.begin((now, house.time()), numbers, person as u16, Scope::Link(first, last));
        out.text("/l/");
        out.put(&token);
        true
    }

    /// When a connection is to be looked at.
    pub fn deadline(&self, stream: Stream) -> Option<Instant> {
        self.find(stream).and_then(|handle| self.connections.get(handle)).map(Connection::deadline)
    }

    /// The deadline of a connection may have come. Whether it is to be closed, with [`Web::closed`] after it.
    pub fn due(&mut self, now: Instant, stream: Stream) -> bool {
        self.deadline(stream).is_none_or(|deadline| now >= deadline)
    }

    /// How many connections there are.
    pub const fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Name, capacity and bytes of each table.
    pub const fn footprint() -> [(&'static str, usize, usize); 2] {
        let connections = Table::<Connection, WEB_CONNECTIONS>::bytes() + WEB_CONNECTIONS * BUFFER_BYTES;
        [("web connections", WEB_CONNECTIONS, connections), ("web sessions", SESSIONS, size_of::<Sessions>())]
    }

    fn find(&self, stream: Stream) -> Option<Handle<Connection>> {
        self.connections.iter().find(|(_, connection)| connection.stream == stream).map(|(handle, _)| handle)
    }

    fn with<T>(
        &mut self,
        now: Instant,
        house: &mut dyn House,
        stream: Stream,
        act: impl FnOnce(&mut Connection, &mut Tools<'_>) -> T,
    ) -> Option<T> {
        let handle = self.find(stream)?;
        let Self { connections, buffers, sessions, failures, uploads, .. } = self;
        let desk = Desk { now, house, sessions, failures };
        let mut tools = Tools { desk, handle, buffer: buffers.get_mut(handle.index())?, uploads };
        connections.get_mut(handle).map(|connection| act(connection, &mut tools))
    }
}

/// What links begin with: option `url`, else the first address that is no wildcard. Whether there is one.
fn write_base(model: &Model, out: &mut Writer<'_>) -> bool {
    let main = &model.main;
    if !main.url.is_empty() {
        out.text(main.url.trim_end_matches('/'));
        return true;
    }
    let Some(listen) = main.web.first() else { return false };
    out.text(if listen.is_secure { "https://" } else { "http://" });
    if listen.address.ip().is_unspecified() {
        out.text(&main.domain);
        out.text(":");
        out.number(listen.address.port().into());
    } else {
        out.socket_address(listen.address);
    }
    true
}

/// What it costs on a small router: most of it is buffers that nobody touches before somebody connects.
const _: () = assert!(WEB_CONNECTIONS > 16 || SESSIONS > 32 || size_of::<Web>() <= 192 * 1024);

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that [`Web::produce`] needs at least: the largest part of a page fits.
pub const PRODUCE_BYTES: usize = 4 * 1024;
