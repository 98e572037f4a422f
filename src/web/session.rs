//! Who is logged in: sessions, the links of summaries that become one when they are opened, and failed logins.
//!
//! A token is 128 random bits in base64url. Only its SHA-256 is kept, here and in the journal: who reads these can't log
//! in. What a form has to bring along (against requests that another site made a browser send) follows from the token
//! alone, so nothing is kept for it.

use core::net::IpAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::changed::Changed;
use crate::base::limits::{FAILED_LOGINS, SESSIONS};
use crate::base::net::octets;
use crate::base::table::{Handle, Table};
use crate::base::text::{Writer, base64url_encode, same_secret};
use crate::base::time::{Instant, UnixTime};

/// A link, and the session that it opens, lives so long.
pub const LINK_LIFE_S: u64 = 24 * 3600;
/// A session ends when nobody used it for so long.
pub const IDLE_LIFE_S: u64 = 30 * 24 * 3600;
/// The use of a session is written into the journal when the last one written is so old: a flash should last.
const FRESH_S: u64 = 24 * 3600;
/// Characters of a token.
pub const TOKEN_BYTES: usize = 22;

/// A token as it is shown to its owner, or what follows from one for forms.
pub type Token = [u8; TOKEN_BYTES];
/// A session's handle.
pub type SessionHandle = Handle<Session>;

/// A session, or a link that was not opened yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    digest: [u8; 32],
    /// Whose it is: an index in the model.
    pub person: u16,
    /// What it lets its bearer do.
    pub scope: Scope,
    /// When it ends, on both clocks; the second is 0 when that was not sure.
    ends_at: Instant,
    ends_unix: u64,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// Open it once: then it is one to these letters, by their numbers.
    Link(u32, u32),
    /// See the letters that are numbered from the first to the last, and say what she did with them.
    Letters(u32, u32),
    /// Everything that the person may.
    Everything,
}

/// A session as the journal has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    digest: [u8; 32],
    /// Whose it is, as a seal.
    pub person: u32,
    /// A seal of what she logs in with: when that changes the session ends.
    pub login: u32,
    scope: Scope,
    /// How much time it had left when this was written; and when it ends, 0 when that was not sure.
    remaining_s: u32,
    ends_unix: u64,
}

/// All sessions.
pub struct Sessions {
    table: Table<Session, SESSIONS>,
    /// The slots whose record in the journal is not what they hold.
    pub changed: Changed<SESSIONS>,
}

impl Sessions {
    /// None.
    pub const fn new() -> Self {
        Self { table: Table::new(), changed: Changed::new() }
    }

    /// Makes a session or link, and its token of two random numbers. When there is no room, the link that ends first gives
    /// way, else the session that does.
    pub fn begin(
        &mut self,
        (now, time): (Instant, Option<UnixTime>),
        numbers: (u64, u64),
        person: u16,
        scope: Scope,
    ) -> Token {
        self.sweep(now, time);
        if self.table.is_full() {
            let order = |session: &Session| (!matches!(session.scope, Scope::Link(..)), session.ends_at);
            let first = self.table.iter().min_by_key(|(_, session)| order(session)).map(|(handle, _)| handle);
            first.into_iter().for_each(|handle| self.end(handle));
        }
        let token = token_of(numbers);
        let mut session = Session { digest: digest(&token), person, scope, ends_at: Instant::ZERO, ends_unix: 0 };
        session.extend((now, time));
        // One has given way.
        if let Ok(handle) = self.table.insert(session) {
            self.changed.mark(handle.index());
        }
        token
    }

    /// The session or link with this token, if it has not ended.
    pub fn find(&self, (now, time): (Instant, Option<UnixTime>), token: &[u8]) -> Option<(SessionHandle, &Session)> {
        if token.len() != TOKEN_BYTES {
            return None;
        }
        let digest = digest(token);
        let is_it = |session: &Session| same_secret(&session.digest, &digest);
        // Every entry is compared, each in the same time.
        let found = self.table.iter().fold(None, |found, it| if is_it(it.1) { Some(it) } else { found });
        found.filter(|(_, session)| !session.has_ended(now, time))
    }

    /// A session.
    pub fn get(&self, handle: SessionHandle) -> Option<&Session> {
        self.table.get(handle)
    }

    /// A session was used: its time begins anew, unless it is one to letters.
    pub fn touch(&mut self, (now, time): (Instant, Option<UnixTime>), handle: SessionHandle) {
        let Some(session) = self.table.get_mut(handle) else { return };
        let passed_s = IDLE_LIFE_S.saturating_sub(session.ends_at.seconds_from(now));
        let has_learned_time = session.ends_unix == 0 && time.is_some();
        if session.scope == Scope::Everything && (passed_s >= FRESH_S || has_learned_time) {
            session.extend((now, time));
            self.changed.mark(handle.index());
        }
    }

    /// Opens a link: it is gone, and there is a session to its letters that ends when the link would have.
    pub fn open(&mut self, handle: SessionHandle, numbers: (u64, u64)) -> Option<Token> {
        let session = self.table.get_mut(handle)?;
        let Scope::Link(first, last) = session.scope else { return None };
        let token = token_of(numbers);
        (session.scope, session.digest) = (Scope::Letters(first, last), digest(&token));
        self.changed.mark(handle.index());
        Some(token)
    }

    /// Ends a session.
    pub fn end(&mut self, handle: SessionHandle) {
        if self.table.remove(handle).is_some() {
            self.changed.mark(handle.index());
        }
    }

    /// Ends what has come to its end, so that the journal forgets it.
    pub fn sweep(&mut self, now: Instant, time: Option<UnixTime>) {
        self.end_all(|session| session.has_ended(now, time));
    }

    /// The configuration has changed: says for each person where she is now; `None` when she is gone, or logs in with
    /// something else.
    pub fn renumber(&mut self, people: impl Fn(usize) -> Option<usize>) {
        self.end_all(|session| people(usize::from(session.person)).is_none());
        for index in 0..SESSIONS {
            if let Some(session) = self.table.handle_at(index).and_then(|handle| self.table.get_mut(handle)) {
                session.person = people(usize::from(session.person)).unwrap_or_default() as u16;
                self.changed.mark(index);
            }
        }
    }

    fn end_all(&mut self, is_it: impl Fn(&Session) -> bool) {
        let ended: Vec<_, SESSIONS> =
            self.table.iter().filter(|(_, session)| is_it(session)).map(|(handle, _)| handle).collect();
        ended.into_iter().for_each(|handle| self.end(handle));
    }

    /// What the journal is to hold for a slot; `None`: nothing. `seals` says person and login of a person.
    pub fn keep(&self, now: Instant, slot: usize, seals: impl Fn(usize) -> (u32, u32)) -> Option<Kept> {
        let session = self.table.get(self.table.handle_at(slot)?)?;
        let (person, login) = seals(usize::from(session.person));
        let remaining_s = session.ends_at.seconds_from(now) as u32;
        let Session { digest, scope, ends_unix, .. } = *session;
        Some(Kept { digest, person, login, scope, remaining_s, ends_unix })
    }

    /// Takes a session back from the journal, to the slot it was in, for the person that its seals name.
    pub fn restore(&mut self, now: Instant, slot: usize, kept: &Kept, person: u16) {
        if self.table.iter().any(|(_, session)| session.digest == kept.digest) {
            return;
        }
        let life_s = u64::from(kept.remaining_s).min(IDLE_LIFE_S);
        let Kept { digest, scope, ends_unix, .. } = *kept;
        let session = Session { digest, person, scope, ends_at: now.plus(life_s * 1000), ends_unix };
        if let Ok(handle) = self.table.insert_near(Some(slot), session) {
            self.changed.mark(handle.index());
        }
    }

    /// Has the journal told of every session.
    pub fn mark_all(&mut self) {
        self.changed.mark_all();
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    fn extend(&mut self, (now, time): (Instant, Option<UnixTime>)) {
        let life_s = if self.scope == Scope::Everything { IDLE_LIFE_S } else { LINK_LIFE_S };
        self.ends_at = now.plus(life_s * 1000);
        self.ends_unix = time.map_or(0, |time| time.0 + life_s);
    }

    fn has_ended(&self, now: Instant, time: Option<UnixTime>) -> bool {
        now >= self.ends_at || self.ends_unix > 0 && time.is_some_and(|time| time.0 >= self.ends_unix)
    }
}

fn token_of(numbers: (u64, u64)) -> Token {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&numbers.0.to_be_bytes());
    bytes[8..].copy_from_slice(&numbers.1.to_be_bytes());
    as_text(&bytes)
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// What the forms of a session bring along.
pub fn form_token(token: &[u8]) -> Token {
    let digest = Sha256::new().chain_update(b"form ").chain_update(token).finalize();
    as_text(digest.first_chunk().unwrap_or(&[0; 16]))
}

fn as_text(bytes: &[u8; 16]) -> Token {
    let mut token = [0; TOKEN_BYTES];
    base64url_encode(bytes, &mut Writer::new(&mut token));
    token
}

/// Failed logins: after a few, an address, and a name, has to wait before the next is looked at.
pub struct Failures {
    entries: Vec<Failure, FAILED_LOGINS>,
}

#[derive(Clone, Copy)]
struct Failure {
    /// The address, or a hash of the name.
    key: [u8; 16],
    count: u32,
    /// When the next try is looked at.
    until: Instant,
}

/// Failures that cost nothing: people mistype.
const FREE_TRIES: u32 = 3;
/// The longest wait of an address, and of a name: nobody shall keep her out for long by failing in her name.
const SOURCE_WAIT_S: u64 = 300;
const NAME_WAIT_S: u64 = 15;
/// A failure is forgotten so long after its wait.
const MEMORY_MS: u64 = 900_000;

impl Failures {
    /// None.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Seconds until a login by this name from this address is looked at; 0: now.
    pub fn wait_s(&self, now: Instant, source: IpAddr, name: &[u8]) -> u64 {
        let wait =
            |key: [u8; 16]| self.entries.iter().find(|it| it.key == key).map_or(0, |it| it.until.seconds_from(now));
        wait(source_key(source)).max(wait(name_key(name)))
    }

    /// A login has failed.
    pub fn failed(&mut self, now: Instant, source: IpAddr, name: &[u8]) {
        self.count(now, source_key(source), SOURCE_WAIT_S);
        self.count(now, name_key(name), NAME_WAIT_S);
    }

    /// One has succeeded. The name is forgiven; the address is not, or somebody with a login could go on guessing others'.
    pub fn succeeded(&mut self, name: &[u8]) {
        let key = name_key(name);
        self.entries.retain(|entry| entry.key != key);
    }

    fn count(&mut self, now: Instant, key: [u8; 16], longest_s: u64) {
        self.entries.retain(|entry| now < entry.until.plus(MEMORY_MS));
        let at = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            if self.entries.is_full() {
                let first = (0..self.entries.len()).min_by_key(|at| self.entries[*at].until).unwrap_or(0);
                self.entries.swap_remove(first);
            }
            // There is room for one.
            let _ = self.entries.push(Failure { key, count: 0, until: now });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        entry.count = entry.count.saturating_add(1);
        let doublings = entry.count.saturating_sub(FREE_TRIES).min(16);
        let wait_s = if entry.count < FREE_TRIES { 0 } else { longest_s.min(1 << doublings) };
        entry.until = now.plus(wait_s * 1000);
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self::new()
    }
}

/// An IPv6 source is its /64.
fn source_key(source: IpAddr) -> [u8; 16] {
    let mut key = octets(source);
    if source.to_canonical().is_ipv6() {
        key[8..].fill(0);
    }
    key
}

fn name_key(name: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"name ");
    name.iter().for_each(|byte| hash.update([byte.to_ascii_lowercase()]));
    *hash.finalize().first_chunk().unwrap_or(&[0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Instant = Instant::from_millis(1_000_000);
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn links_open_once_and_end_after_a_day() {
        let mut sessions = Sessions::new();
        let link = sessions.begin((T, None), (1, 2), 3, Scope::Link(5, 9));
        let (handle, found) = sessions.find((T, None), &link).unwrap();
        assert_eq!((found.person, found.scope), (3, Scope::Link(5, 9)));
        assert!(sessions.find((T, None), &link[1..]).is_none() && sessions.find((T, None), &[b'A'; 22]).is_none());
        let token = sessions.open(handle, (3, 4)).unwrap();
        assert!(sessions.find((T, None), &link).is_none() && sessions.open(handle, (5, 6)).is_none());
        sessions.touch((T.plus(DAY_MS - 1), None), handle);
        assert_eq!(sessions.find((T.plus(DAY_MS - 1), None), &token).unwrap().1.scope, Scope::Letters(5, 9));
        assert!(sessions.find((T.plus(DAY_MS), None), &token).is_none());
        sessions.sweep(T.plus(DAY_MS), None);
        assert!(sessions.is_empty());
    }

    #[test]
    fn sessions_live_on_while_used() {
        let mut sessions = Sessions::new();
        let token = sessions.begin((T, None), (1, 2), 0, Scope::Everything);
        let mut now = T;
        for _ in 0..10 {
            now = now.plus(29 * DAY_MS);
            let (handle, _) = sessions.find((now, None), &token).unwrap();
            sessions.touch((now, None), handle);
        }
        assert!(sessions.find((now.plus(30 * DAY_MS), None), &token).is_none());
        while sessions.changed.pop().is_some() {}
        let (handle, _) = sessions.find((now, None), &token).unwrap();
        sessions.touch((now.plus(1000), None), handle);
        assert!(sessions.changed.is_empty(), "not each use is written");
        // The clock of the day counts, too: it goes on while the machine is off.
        sessions.touch((now, Some(UnixTime(1_000_000))), handle);
        let end = Some(UnixTime(1_000_000 + IDLE_LIFE_S));
        assert!(sessions.find((now, end), &token).is_none() && sessions.find((now, None), &token).is_some());
    }

    #[test]
    fn full_of_links_and_sessions() {
        let mut sessions = Sessions::new();
        let first = sessions.begin((T, None), (0, 0), 0, Scope::Everything);
        let links: std::vec::Vec<_> =
            (1..SESSIONS as u64).map(|i| sessions.begin((T.plus(i), None), (i, 0), 0, Scope::Link(1, 1))).collect();
        let last = sessions.begin((T, None), (0, 1), 0, Scope::Everything);
        assert_eq!(sessions.len(), SESSIONS);
        for (token, is_there) in [(first, true), (links[0], false), (links[1], true), (last, true)] {
            assert_eq!(sessions.find((T, None), &token).is_some(), is_there);
        }
    }

    #[test]
    fn kept_and_restored() {
        let mut sessions = Sessions::new();
        let token = sessions.begin((T, Some(UnixTime(100))), (1, 2), 2, Scope::Everything);
        let slot = sessions.changed.pop().unwrap();
        let kept = sessions.keep(T.plus(1000), slot, |person| (person as u32 + 10, 77)).unwrap();
        let mut room = [0; 128];
        let bytes = postcard::to_slice(&kept, &mut room).unwrap();
        assert!(!bytes.windows(TOKEN_BYTES).any(|window| window == token));
        let read: Kept = postcard::from_bytes(bytes).unwrap();
        assert_eq!((read.person, read.login), (12, 77));
        let mut later = Sessions::new();
        let now = Instant::from_millis(5);
        later.restore(now, slot, &read, 4);
        later.restore(now, slot, &read, 4);
        assert_eq!((later.len(), later.find((now, None), &token).unwrap().1.person), (1, 4));
        assert!(later.find((now.plus((IDLE_LIFE_S - 1) * 1000), None), &token).is_none());
        later.renumber(|person| (person == 4).then_some(1));
        assert_eq!(later.find((now, None), &token).unwrap().1.person, 1);
        later.renumber(|_| None);
        assert!(later.is_empty() && later.keep(now, slot, |_| (0, 0)).is_none());
    }

    #[test]
    fn form_tokens() {
        let token = token_of((1, 2));
        assert_eq!(form_token(&token), form_token(&token));
        assert!(form_token(&token) != form_token(&token_of((1, 3))) && form_token(&token) != token);
    }

    #[test]
    fn failed_logins_cost_time() {
        let (mut failures, source) = (Failures::new(), "192.0.2.1".parse().unwrap());
        let mut waits = std::vec::Vec::new();
        for _ in 0..14 {
            failures.failed(T, source, b"Alice");
            waits.push(failures.wait_s(T, source, b"nobody"));
        }
        assert_eq!(waits[..7], [0, 0, 1, 2, 4, 8, 16]);
        assert_eq!(waits[13], SOURCE_WAIT_S);
        let other = "192.0.2.2".parse().unwrap();
        assert_eq!((failures.wait_s(T, other, b"alice"), failures.wait_s(T, other, b"bob")), (NAME_WAIT_S, 0));
        failures.succeeded(b"ALICE");
        assert_eq!((failures.wait_s(T, other, b"alice"), failures.wait_s(T, source, b"bob")), (0, SOURCE_WAIT_S));
        assert_eq!(failures.wait_s(T.plus(SOURCE_WAIT_S * 1000), source, b"bob"), 0);
        let six: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        (0..3).for_each(|_| failures.failed(T, six[0], b"x"));
        assert_eq!(failures.wait_s(T, six[1], b"y"), 1);
        for i in 0..200_u32 {
            failures.failed(T, IpAddr::V4(i.into()), b"z");
        }
        assert_eq!(failures.entries.len(), FAILED_LOGINS);
    }
}
