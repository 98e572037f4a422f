//! What the pages need of the house, and may do in it.

use crate::base::time::{Instant, UnixTime};
use crate::config::model::{Missed, Model};
use crate::home::inbox::{Inbox, LetterHandle, State};
use crate::spool::Key;

/// The house as the pages see it. The server is one; tests have another.
pub trait House {
    /// The configuration.
    fn model(&self) -> &Model;

    /// The time of day; `None` while the clock is not sure.
    fn time(&self) -> Option<UnixTime>;

    /// What is kept for all people.
    fn inbox(&self) -> &Inbox;

    /// A number nobody can predict.
    fn random(&mut self) -> u64;

    /// The person whose name and password these are. Both are what somebody typed.
    fn check_password(&self, person: &[u8], password: &[u8]) -> Option<usize>;

    /// Says what a letter's owner did with it. Whether there is such a letter.
    fn set_state(&mut self, now: Instant, letter: LetterHandle, state: State) -> bool;

    /// Sends a text (UTF-8) in a person's name to `USER@HOST`. Whether it is on its way.
    fn reply(&mut self, now: Instant, person: usize, to: &[u8], text: &[u8]) -> bool;

    /// What a person has set.
    fn settings(&self, person: usize) -> Settings<'_>;

    /// Sets her busy text, of at most [`BUSY_BYTES`](crate::base::limits::BUSY_BYTES); empty: the one of the house. Whether
    /// that was done.
    fn set_busy_text(&mut self, now: Instant, person: usize, text: &str) -> bool;

    /// Sets her presence by hand, in the language of [`commands`](crate::home::commands): `away back at 6`, `auto`. Whether
    /// that was done.
    fn set_presence(&mut self, now: Instant, person: usize, words: &str) -> bool;

    /// Says what becomes of texts that she missed. Whether that was done.
    fn set_missed(&mut self, now: Instant, person: usize, missed: Missed) -> bool;

    /// The next step of replacing or removing her greeting.
    fn greeting(&mut self, now: Instant, person: usize, step: GreetingStep<'_>) -> Progress;
}

/// What a person has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings<'h> {
    /// Her own busy text; empty without one.
    pub busy_text: &'h str,
    /// Her own greeting: its record, and the bytes of its blob, which is G.711 A-law.
    pub greeting: Option<(Key, u32)>,
    /// What she set her presence to by hand, in words that [`House::set_presence`] takes: the state, `auto` for none, and
    /// her own text.
    pub presence: (&'static str, &'h str),
    /// What becomes of texts that she missed.
    pub missed: Missed,
}

/// A step of replacing a greeting, or its removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GreetingStep<'b> {
    /// A new one begins. One that was begun before and not committed is dropped.
    Begin,
    /// Its next bytes, G.711 A-law, at most [`GREETING_PIECE_BYTES`].
    Data(&'b [u8]),
    /// It is complete, and is hers from when that is durable.
    Commit,
    /// It is dropped.
    Abort,
    /// She has none of her own any more.
    Remove,
}

/// Bytes of a greeting that are handed over at once.
pub const GREETING_PIECE_BYTES: usize = 1024;

/// How far a step of a greeting has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is done.
    Done,
    /// Not yet: nothing was taken, the same step is asked for again.
    Wait,
    /// It can't be done; why, for the log.
    Failed(&'static str),
}
