//! The connectors as one type: which one an account has follows from its network.

use super::{Abilities, Command, End, Env, Link, Outcome, Step, Target};
use crate::base::time::Instant;
use crate::config::model::{Account, Network};

/// The connector of one account.
// Without an allocator there is no smaller way to say it.
#[allow(clippy::large_enum_variant)]
pub enum Connector {
    /// None: a network that this build has not.
    None,
    /// XMPP.
    #[cfg(feature = "xmpp")]
    Xmpp(super::xmpp::Xmpp),
    /// IRC.
    #[cfg(feature = "irc")]
    Irc(super::irc::Irc),
    /// Lines of JSON.
    #[cfg(feature = "line")]
    Line(super::line::Line),
}

/// Calls the same method of whatever connector it is.
macro_rules! each {
    ($self:expr, $it:ident => $call:expr, $none:expr) => {
        match $self {
            Connector::None => $none,
            #[cfg(feature = "xmpp")]
            Connector::Xmpp($it) => $call,
            #[cfg(feature = "irc")]
            Connector::Irc($it) => $call,
            #[cfg(feature = "line")]
            Connector::Line($it) => $call,
        }
    };
}

impl Connector {
    /// The connector for a network, which knows nothing yet.
    pub fn new(network: Network) -> Self {
        match network {
            #[cfg(feature = "xmpp")]
            Network::Xmpp => Self::Xmpp(super::xmpp::Xmpp::new()),
            #[cfg(feature = "irc")]
            Network::Irc => Self::Irc(super::irc::Irc::new()),
            #[cfg(feature = "line")]
            Network::Line => Self::Line(super::line::Line::new()),
            _ => Self::None,
        }
    }

    /// What the network can do, as far as it is known.
    pub fn abilities(&self) -> Abilities {
        each!(self, it => it.abilities(), Abilities::default())
    }

    /// Takes back what was to be remembered when this program last ran ([`Event::Bookmark`](super::Event::Bookmark)).
    pub fn restore(&mut self, bookmark: &str) {
        each!(self, it => it.restore(bookmark), _ = bookmark);
    }

    /// Where a link is to lead now; `None`: it is not wanted.
    pub fn target(&self, account: &Account, link: Link) -> Option<Target> {
        each!(self, it => it.target(account, link), { _ = (account, link); None })
    }

    /// A new attempt begins: nothing of the last connection is left but what is needed to take up its session again.
    pub fn begin(&mut self, env: &mut Env<'_, '_>) {
        each!(self, it => it.begin(env), _ = env);
    }

    /// A link is up, or TLS has begun on it.
    pub fn connected(&mut self, env: &mut Env<'_, '_>, link: Link, is_tls: bool) {
        each!(self, it => it.connected(env, link, is_tls), _ = (env, link, is_tls));
    }

    /// Reads what has come in on a link, from the front of its window: how many bytes were read, and what came of it.
    /// `is_full` says that no more fits into the window: what it begins with is to be read in pieces or passed over. Reads
    /// at least one byte then, or waits for [`Connector::command`].
    pub fn received<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        link: Link,
        (bytes, is_full): (&[u8], bool),
        scratch: &'s mut [u8],
    ) -> (usize, Step<'s>) {
        each!(self, it => it.received(env, link, (bytes, is_full), scratch), {
            _ = (env, link, is_full, scratch);
            (bytes.len(), Step::Nothing)
        })
    }

    /// A link is gone that the connector has not ended itself. `None`: the others go on.
    pub fn closed(&mut self, env: &mut Env<'_, '_>, link: Link) -> Option<End> {
        each!(self, it => it.closed(env, link), { _ = (env, link); None })
    }

    /// Time has passed. To be called again while it does not say [`Step::Nothing`].
    pub fn due<'s>(&mut self, env: &mut Env<'_, '_>, scratch: &'s mut [u8]) -> Step<'s> {
        each!(self, it => it.due(env, scratch), { _ = (env, scratch); Step::Nothing })
    }

    /// When [`Connector::due`] has something to do; a moment that has passed: at once, when nothing else is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        each!(self, it => it.deadline(), None)
    }

    /// The link that commands and what is due are sent on.
    pub fn speaks_on(&self) -> Link {
        each!(self, it => it.speaks_on(), Link(0))
    }

    /// Does something on a network that is on.
    pub fn command(&mut self, env: &mut Env<'_, '_>, command: &Command<'_>) -> Outcome {
        each!(self, it => it.command(env, command), { _ = (env, command); Outcome::Unable("the network is not in this build") })
    }
}
