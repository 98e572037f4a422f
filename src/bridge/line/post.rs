//! Lines over HTTP: the stream is asked for, and objects are posted one after the other.

use super::{Line, Stage, Told, usual_port};
use crate::base::text::{Full, Writer};
use crate::base::time::{Instant, earliest};
use crate::bridge::http::{Client, Head, Method, Piece, Request};
use crate::bridge::{End, Env, Step, Stop};
use crate::config::model::Account;

/// An HTTP server has so long to answer.
pub(super) const ANSWER_MS: u64 = 30_000;
/// After a POST that failed for now, the next waits so long, unless Retry-After says otherwise.
const PAUSE_MS: u64 = 5_000;
/// The longest Retry-After that is heeded.
const RETRY_AFTER_S_MAX: u32 = 600;

/// The link for POSTs.
pub(super) struct Poster {
    pub state: Post,
    pub client: Client,
    /// Of the answer being read.
    head: Option<Head>,
    pub is_wanted: bool,
    pub has_greeted: bool,
    /// No POST before.
    pub not_before: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Post {
    Down,
    Idle,
    /// An object was posted.
    Busy {
        what: What,
        since: Instant,
    },
    /// The connection is of no more use.
    Spent,
}

/// What an object is worth when its POST fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// The text of this name: it is told that it failed.
    Text(u32),
    /// Without it the other end would have a wrong picture for good: all is begun anew.
    State,
    /// It may be missing.
    Trifle,
}

/// Over HTTP.
impl Line {
    /// Asks for the stream.
    pub(super) fn ask(&mut self, env: &mut Env<'_, '_>) {
        (self.stage, self.since) = (Stage::Asked, env.now);
        self.stream = Client::new();
        self.stream.asked();
        // A GET has no body that could be too long.
        let _ = request(env.account, Method::Get, "/stream").write(env.out, |_| {});
    }

    pub(super) fn stream_head<'s>(&mut self, env: &mut Env<'_, '_>, bytes: &[u8], is_full: bool) -> (usize, Step<'s>) {
        let (taken, piece) = self.stream.received(bytes, is_full);
        let step = match piece {
            Piece::Head(Head { status: 200, .. }) => {
                (self.stage, self.since, self.post.is_wanted) = (Stage::Open, env.now, true);
                Step::Quiet
            }
            Piece::Head(head) => {
                if let Some(seconds) = head.retry_after_s {
                    self.not_before = env.now.plus(u64::from(seconds.min(RETRY_AFTER_S_MAX)) * 1000);
                }
                log::info!("account {}: the stream is refused with {}", env.account.id, head.status);
                let end = stop(head.status).map_or(End::Retry("the server does not give the stream"), End::Stop);
                self.end(end)
            }
            Piece::Broken(why) => self.end(End::Retry(why)),
            Piece::Body(_) | Piece::End => Step::Quiet,
            Piece::Nothing => Step::Nothing,
        };
        (taken, step)
    }

    /// Writes a POST.
    pub(super) fn post(&mut self, env: &mut Env<'_, '_>, what: What, write: impl FnOnce(&Account, &mut Writer<'_>)) {
        let account = env.account;
        let written = request(account, Method::Post, "/message").write(env.out, |out| {
            write(account, out);
            out.text("\n");
        });
        // Nothing that is said is nearly as long.
        debug_assert!(written.is_ok());
        self.post.client.asked();
        self.post.state = Post::Busy { what, since: env.now };
    }

    /// Reads the answer to a POST.
    pub(super) fn answered<'s>(&mut self, env: &mut Env<'_, '_>, bytes: &[u8], is_full: bool) -> (usize, Step<'s>) {
        let (taken, piece) = self.post.client.received(bytes, is_full);
        let step = match piece {
            Piece::Nothing => Step::Nothing,
            Piece::Body(_) => Step::Quiet,
            Piece::Head(head) => {
                self.post.head = Some(head);
                stop(head.status).map_or(Step::Quiet, |stop| self.end(End::Stop(stop)))
            }
            Piece::End => {
                self.post_ended(env);
                Step::Quiet
            }
            Piece::Broken(why) => {
                log::info!("account {}: a POST failed: {why}", env.account.id);
                self.post_failed(env.now, Told::Broken, None);
                Step::Quiet
            }
        };
        (taken, step)
    }

    /// A POST was answered as a whole.
    fn post_ended(&mut self, env: &Env<'_, '_>) {
        let head = self.post.head.take().unwrap_or(Head { status: 500, retry_after_s: None });
        let Post::Busy { what, .. } = self.post.state else { return };
        match (head.status, what) {
            (429 | 500.., _) => self.post_failed(env.now, Told::Busy, head.retry_after_s),
            (200..300, What::Text(id)) if !self.acks => self.tell(id, Told::Sent),
            (200..300, _) => {}
            (status, what) => {
                log::info!("account {}: a POST is refused with {status}", env.account.id);
                if let What::Text(id) = what {
                    self.tell(id, Told::Refused);
                }
            }
        }
        (self.post.state, self.wakes) = (Post::Idle, true);
        if !self.post.client.may_ask() {
            self.post.state = Post::Spent;
        }
    }

    /// A POST has failed for now, if one was on its way.
    pub(super) fn post_failed(&mut self, now: Instant, told: Told, retry_after_s: Option<u32>) {
        if let Post::Busy { what, .. } = self.post.state {
            let pause_ms = retry_after_s.map_or(PAUSE_MS, |seconds| u64::from(seconds.min(RETRY_AFTER_S_MAX)) * 1000);
            self.post.not_before = now.plus(pause_ms);
            match what {
                What::Text(id) => self.tell(id, told),
                What::Trifle => {}
                What::State => {
                    self.not_before = self.post.not_before;
                    self.stage = Stage::Ending(End::Retry("a POST failed"));
                }
            }
        }
        self.post.is_wanted = false;
        self.post.state = Post::Spent;
    }

    pub(super) fn post_due<'s>(&mut self, now: Instant) -> Step<'s> {
        match self.post.state {
            Post::Spent => {
                self.post.state = Post::Down;
                return Step::End(End::Link);
            }
            Post::Busy { since, .. } if now >= since.plus(ANSWER_MS) => {
                self.post_failed(now, Told::Broken, None);
                return Step::Quiet;
            }
            _ => {}
        }
        if self.post.not_before > Instant::ZERO && now >= self.post.not_before {
            (self.post.not_before, self.wakes) = (Instant::ZERO, true);
        }
        if core::mem::take(&mut self.wakes) { Step::Quiet } else { Step::Nothing }
    }
}

impl Poster {
    pub(super) const fn new() -> Self {
        Self {
            state: Post::Down,
            client: Client::new(),
            head: None,
            is_wanted: false,
            has_greeted: false,
            not_before: Instant::ZERO,
        }
    }

    pub(super) fn connected(&mut self) {
        *self = Self { state: Post::Idle, has_greeted: self.has_greeted, not_before: self.not_before, ..Self::new() };
    }

    pub(super) fn deadline(&self, is_http: bool) -> Option<Instant> {
        let answer = match self.state {
            Post::Busy { since, .. } => Some(since.plus(ANSWER_MS)),
            _ => None,
        };
        let pause = (is_http && self.not_before > Instant::ZERO).then_some(self.not_before);
        earliest(answer, pause)
    }
}

struct HttpRequest<'r> {
    account: &'r Account,
    method: Method,
    path: [&'r str; 2],
}

fn request<'r>(account: &'r Account, method: Method, what: &'r str) -> HttpRequest<'r> {
    HttpRequest { account, method, path: [account.path.trim_end_matches('/'), what] }
}

impl HttpRequest<'_> {
    fn write(&self, out: &mut Writer<'_>, body: impl FnOnce(&mut Writer<'_>)) -> Result<(), Full> {
        let password = self.account.password.0.as_str();
        let is_visible = password.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible {
            log::warn!("account {}: HTTP can't carry that password", self.account.id);
        }
        let fields = [
            ("User-Agent", concat!("pcsd/", env!("CARGO_PKG_VERSION"))),
            if self.method == Method::Get {
                ("Accept", "application/x-ndjson, */*")
            } else {
                ("Content-Type", "application/json")
            },
        ];
        Request {
            method: self.method,
            host: &self.account.host,
            port: self.account.port.map(|port| port.get()).filter(|port| *port != usual_port(self.account)),
            path: &self.path,
            bearer: if is_visible { password } else { "" },
            fields: &fields,
        }
        .write(out, body)
    }
}

/// Which answers of an HTTP server only a person can mend.
const fn stop(status: u16) -> Option<Stop> {
    match status {
        401 | 403 => Some(Stop::Password),
        300..=399 => Some(Stop::Refused("the server sends us elsewhere")),
        _ => None,
    }
}
