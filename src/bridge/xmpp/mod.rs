//! Xmpp: being written.

use super::{Abilities, Command, End, Env, Link, Outcome, Step, Target};
use crate::base::time::Instant;
use crate::config::model::Account;

/// The connector.
#[derive(Default)]
pub struct Xmpp {}

#[allow(missing_docs, clippy::needless_lifetimes)]
impl Xmpp {
    pub const fn new() -> Self {
        Self {}
    }
    pub fn abilities(&self) -> Abilities {
        Abilities::default()
    }
    pub fn restore(&mut self, _bookmark: &str) {}
    pub fn target(&self, _account: &Account, _link: Link) -> Option<Target> {
        None
    }
    pub fn begin(&mut self, _env: &mut Env<'_, '_>) {}
    pub fn connected(&mut self, _env: &mut Env<'_, '_>, _link: Link, _is_tls: bool) {}
    pub fn received<'s>(
        &mut self,
        _env: &mut Env<'_, '_>,
        _link: Link,
        (bytes, _is_full): (&[u8], bool),
        _scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        (bytes.len(), Step::Nothing)
    }
    pub fn closed(&mut self, _env: &mut Env<'_, '_>, _link: Link) -> Option<End> {
        None
    }
    pub fn due<'s>(&mut self, _env: &mut Env<'_, '_>, _scratch: &'s mut [u8]) -> Step<'s> {
        Step::Nothing
    }
    pub fn deadline(&self) -> Option<Instant> {
        None
    }
    pub fn speaks_on(&self) -> Link {
        Link(0)
    }
    pub fn command(&mut self, _env: &mut Env<'_, '_>, _command: &Command<'_>) -> Outcome {
        Outcome::Done
    }
}
