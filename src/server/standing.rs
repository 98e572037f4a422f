//! How the accounts on other networks are, as values that serialize (for `pcsctl accounts --json`) and display, and in words
//! to whose they are.

use core::fmt::{self, Write as _};

use serde::Serialize;

use super::bridges::Standing;
use super::commands::Undone;
use super::inward::reason_of;
use super::{Core, Server};
use crate::base::text::{OneLine, Writer};
use crate::base::time::Instant;
use crate::home::outbox::{Step, Text};

/// One account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct AccountStatus<'s> {
    /// The name of its section.
    pub name: &'s str,
    /// Whose it is.
    pub person: &'s str,
    /// Its network.
    pub network: &'static str,
    /// Her address there; may be empty.
    pub address: &'s str,
    /// `connecting`, `online`, `waiting`: cut off, and tried again; `stopped`: somebody has to do something about it;
    /// `missing`: its network is not in this build.
    pub state: &'static str,
    /// Seconds since it is so.
    pub since_s: u64,
    /// Seconds until it is tried again, while it waits.
    pub retry_s: Option<u64>,
    /// Why it waits or is stopped; else empty.
    pub why: &'static str,
    /// Contacts on its list.
    pub contacts: usize,
    /// Texts that are on their way to somebody there, or wait for him.
    pub texts: usize,
}

impl Server {
    /// All accounts, in the order of the configuration.
    pub fn accounts(&self, now: Instant) -> impl Iterator<Item = AccountStatus<'_>> {
        (0..self.core.people.model.accounts.len()).filter_map(move |index| self.core.account_status(now, index))
    }

    /// Has an account tried again at once that waits or was stopped. `name` is that of its section, in any case. What was
    /// done is written, or why nothing is.
    ///
    /// # Errors
    /// [`Undone::Said`] when there is nothing to try.
    pub fn retry(&mut self, now: Instant, name: &str, out: &mut Writer<'_>) -> Result<(), Undone> {
        self.core.now = now;
        let accounts = &self.core.people.model.accounts;
        let Some(index) = accounts.iter().position(|account| account.id.eq_ignore_ascii_case(name)) else {
            let _ = write!(out, "there is no account '{}'", OneLine(name.as_bytes()));
            return Err(Undone::Said);
        };
        if self.retry_account(now, index) {
            out.text("The account is tried now.");
            return Ok(());
        }
        let is_online = self.core.bridges.is_online(index);
        out.text(if is_online { "the account is on" } else { "its network is not in this build" });
        Err(Undone::Said)
    }
}

impl Core {
    pub(super) fn account_status(&self, now: Instant, index: usize) -> Option<AccountStatus<'_>> {
        let account = self.people.model.accounts.get(index)?;
        let bridge = self.bridges.get(index)?;
        let (state, why) = match bridge.standing {
            Standing::Connecting => ("connecting", ""),
            Standing::Online => ("online", ""),
            Standing::Waiting { why, .. } => ("waiting", why),
            Standing::Stopped(stop) => ("stopped", reason_of(stop)),
            Standing::Missing => ("missing", ""),
        };
        let retry_s = match bridge.standing {
            Standing::Waiting { until, .. } => Some(until.seconds_from(now)),
            _ => None,
        };
        Some(AccountStatus {
            name: &account.id,
            person: self.people.model.people.get(usize::from(account.person)).map_or("", |person| &person.id),
            network: account.network.name(),
            address: &account.address,
            state,
            since_s: now.since(bridge.since) / 1000,
            retry_s,
            why,
            contacts: self.people.contacts.of_account(index).filter(|(_, contact)| contact.is_listed).count(),
            texts: self.outbox.iter().filter(|(_, text)| self.is_for_account(text, index)).count(),
        })
    }

    /// Whether a text goes by an account, or may.
    fn is_for_account(&self, text: &Text, index: usize) -> bool {
        let Some(account) = self.people.model.accounts.get(index) else { return false };
        let person = usize::from(account.person);
        match text.step {
            Step::Handed(by) => usize::from(by) == index,
            Step::OverSip => false,
            Step::Waiting { .. } | Step::Loading => {
                text.person == self.people.seal(&self.stack.random, person)
                    && self
                        .people
                        .reach_text(person, &text.to)
                        .is_some_and(|reach| self.people.address_of(&reach, account.network).is_some())
            }
        }
    }

    /// Says how a person's accounts are.
    pub(super) fn tell_accounts(&self, now: Instant, person: usize, out: &mut Writer<'_>) {
        let accounts = self.people.model.accounts.iter().enumerate();
        let hers = accounts.filter(|(_, account)| usize::from(account.person) == person);
        let mut is_first = true;
        for status in hers.filter_map(|(index, _)| self.account_status(now, index)) {
            out.text(if core::mem::take(&mut is_first) { "" } else { "\n" });
            let _ = write!(out, "{} {}: {}", status.network, status.shown_address(), status.state());
        }
        if is_first {
            out.text("You have no account on another network.");
        }
    }
}

impl AccountStatus<'_> {
    /// How it is, in words.
    pub fn state(&self) -> impl fmt::Display {
        State(*self)
    }

    /// The address, or the name of the account that has none.
    fn shown_address(&self) -> &str {
        if self.address.is_empty() { self.name } else { self.address }
    }
}

/// How an account is, in words.
struct State<'s>(AccountStatus<'s>);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccountStatus { state, since_s, retry_s, why, contacts, texts, .. } = self.0;
        match (state, retry_s) {
            ("online", _) => write!(f, "online since {since_s} s")?,
            ("waiting", retry_s) => write!(f, "waiting {} s: {why}", retry_s.unwrap_or_default())?,
            ("stopped", _) => write!(f, "stopped: {why}")?,
            ("missing", _) => f.write_str("not in this build")?,
            (state, _) => f.write_str(state)?,
        }
        write!(f, ", {contacts} {}", if contacts == 1 { "contact" } else { "contacts" })?;
        match texts {
            0 => Ok(()),
            1 => f.write_str(", 1 text waits"),
            texts => write!(f, ", {texts} texts wait"),
        }
    }
}

impl fmt::Display for AccountStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.person, self.network, self.shown_address())?;
        write!(f, " {}", self.state())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn in_words_and_for_a_machine() {
        let online = AccountStatus {
            name: "alice_jabber",
            person: "alice",
            network: "xmpp",
            address: "alice@jabber.example",
            state: "online",
            since_s: 61,
            retry_s: None,
            why: "",
            contacts: 1,
            texts: 0,
        };
        assert_eq!(online.to_string(), "alice_jabber alice xmpp alice@jabber.example online since 61 s, 1 contact");
        let waiting =
            AccountStatus { state: "waiting", retry_s: Some(12), why: "it broke", contacts: 3, texts: 1, ..online };
        assert_eq!(waiting.state().to_string(), "waiting 12 s: it broke, 3 contacts, 1 text waits");
        let stopped = AccountStatus { state: "stopped", why: "no", texts: 2, address: "", ..online };
        assert_eq!(stopped.to_string(), "alice_jabber alice xmpp alice_jabber stopped: no, 1 contact, 2 texts wait");
        let missing = AccountStatus { state: "missing", contacts: 0, ..online };
        assert_eq!(missing.state().to_string(), "not in this build, 0 contacts");
        assert_eq!(
            serde_json_core::to_string::<_, 512>(&waiting).unwrap(),
            "{\"name\":\"alice_jabber\",\"person\":\"alice\",\"network\":\"xmpp\",\
             \"address\":\"alice@jabber.example\",\"state\":\"waiting\",\"since_s\":61,\"retry_s\":12,\
             \"why\":\"it broke\",\"contacts\":3,\"texts\":1}"
        );
    }
}
