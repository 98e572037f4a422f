//! Section `account`: what a person has on another network, where its server is, and how the way there is secured.
//!
//! What an option may be depends on others, which may stand below it: the network, and whether there is TLS. So the second
//! reading has taken these down; an account whose network is not known is then [`Network::Sip`], and nothing is said of
//! what depends on it.

use core::num::NonZeroU16;

use crate::base::limits::{ACCOUNTS, ADDRESS_BYTES, PASSWORD_BYTES, PINS, SOCKET_PATH_BYTES};
use crate::config::address::canonical;
use crate::config::check::peer::PIN;
use crate::config::check::section::{Key, Kind, Shape};
use crate::config::check::{Check, add, bounded, choose, network, path, section_id, tls};
use crate::config::fault::Problem;
use crate::config::model::{Account, LineWay, Model, Network, Password, PeerAddress, Security, SocketPath};
use crate::config::value;

pub(super) const OPTIONS: &[(&str, Shape)] = &[
    ("person", Shape::One(Key::Person)),
    ("network", Shape::One(Key::AccountNetwork)),
    ("address", Shape::One(Key::AccountAddress)),
    ("login", Shape::One(Key::AccountLogin)),
    ("password", Shape::One(Key::AccountPassword)),
    ("server", Shape::One(Key::AccountServer)),
    ("tls", Shape::One(Key::AccountTls)),
    ("pin", Shape::OneOrMany(Key::AccountPin)),
    ("ca", Shape::One(Key::AccountCa)),
];

/// Takes down, for the account whose section it is, the network and how it is reached. Of what is given twice, which is
/// refused, any counts.
pub(super) fn outline(model: &mut Model, key: &str, value: &str) {
    let Some(account) = model.accounts.last_mut() else { return };
    match key {
        "network" => account.network = network_of(value).unwrap_or(account.network),
        "tls" => account.security = choose(value, TLS, "").unwrap_or(account.security),
        "server" => {
            if let Some(server) = line_server(value).or_else(|| host_server(value)) {
                server.put(account);
            }
        }
        _ => {}
    }
}

/// The network of an account.
pub(super) fn network_of(value: &str) -> Result<Network, Problem<'_>> {
    let wrong = Problem::Value { value, expected: "xmpp (which Jabber is), irc or line" };
    // SIP needs no account.
    network(value, wrong).and_then(|network| if network == Network::Sip { Err(wrong) } else { Ok(network) })
}

impl Check<'_> {
    /// The options of an account whose name is refused are checked all the same.
    pub(super) fn begin_account(&mut self, name: &str) -> Result<(), Problem<'static>> {
        if self.accounts == self.model.accounts.len() {
            return Err(Problem::TooMany { limit: "ACCOUNTS", max: ACCOUNTS });
        }
        self.section.kind = Kind::Account;
        self.section.index = self.accounts;
        self.accounts += 1;
        let id = section_id(name)?;
        if self.is_taken(&id) {
            return Err(Problem::TakenName);
        }
        self.set_account(|account| account.id = id)
    }

    pub(super) fn end_account(&mut self) {
        // Without a person there is a fault, and the number does not matter.
        let person = self.section.person.unwrap_or_default() as u16;
        let _ = self.set_account(|account| account.person = person);
        if !self.section.has(Key::Person) {
            self.missing("option 'person'");
        }
        if !self.section.has(Key::AccountNetwork) {
            self.missing("option 'network'");
        }
        let network = self.account().map_or(Network::Sip, |account| account.network);
        let (xmpp, irc, line) = (network == Network::Xmpp, network == Network::Irc, network == Network::Line);
        for (key, is_needed, what) in [
            (Key::AccountAddress, xmpp || irc, "option 'address'"),
            (Key::AccountPassword, xmpp, "option 'password'"),
            (Key::AccountServer, irc || line, "option 'server'"),
        ] {
            if is_needed && !self.section.has(key) {
                self.missing(what);
            }
        }
        // Otherwise it was asked for, and refused there.
        let is_usual = self.account().is_some_and(|it| it.security == Security::Usual && it.uses_tls());
        if is_usual && !self.section.has(Key::AccountTls) && tls().is_err() {
            self.fault(self.section.line, "", Problem::NotBuilt("TLS, which an account without 'tls' has,"));
        }
    }

    fn account(&self) -> Option<&Account> {
        self.model.accounts.get(self.section.index)
    }

    fn set_account<'v>(&mut self, change: impl FnOnce(&mut Account)) -> Result<(), Problem<'v>> {
        if let Some(account) = self.model.accounts.get_mut(self.section.index) {
            change(account);
        }
        Ok(())
    }

    pub(super) fn account_address<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let Some(network) = self.account().map(|account| account.network) else { return Ok(()) };
        let expected = match network {
            Network::Sip => return Ok(()),
            Network::Xmpp => "USER@DOMAIN",
            Network::Irc => "a nick",
            Network::Line => "a text that can be printed",
        };
        if value.len() > ADDRESS_BYTES {
            return Err(Problem::TooLong(ADDRESS_BYTES));
        }
        let wrong = Problem::Value { value, expected };
        let mut address = canonical(network, value).ok_or(wrong)?;
        match network {
            // The domain is looked up, and a certificate has to be for it.
            Network::Xmpp if address.split_once('@').and_then(|(_, domain)| value::host(domain)).is_none() => {
                return Err(wrong);
            }
            // Two logins under one address would take each other's messages.
            Network::Xmpp if self.accounts_above().iter().any(|it| it.network == network && it.address == address) => {
                return Err(Problem::AddressOfAccount(value));
            }
            // It is the same nick in any case, and hers is how she writes it.
            Network::Irc => address = value.try_into().map_err(|_| wrong)?,
            _ => {}
        }
        self.set_account(|account| account.address = address)
    }

    fn accounts_above(&self) -> &[Account] {
        self.model.accounts.get(..self.section.index).unwrap_or_default()
    }

    pub(super) fn account_login<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let login = bounded(value)?;
        if value.contains(char::is_whitespace) {
            return Err(Problem::Value { value, expected: "a name without blanks" });
        }
        self.set_account(|account| account.login = login)
    }

    /// A fault of this never quotes the value.
    pub(super) fn account_password(&mut self, value: &str) -> Result<(), Problem<'static>> {
        let password = value.try_into().map_err(|_| Problem::TooLong(PASSWORD_BYTES))?;
        self.set_account(|account| account.password = Password(password))
    }

    pub(super) fn account_server<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let (server, expected) = match self.account().map(|account| account.network) {
            None | Some(Network::Sip) => return Ok(()),
            Some(Network::Xmpp | Network::Irc) => (host_server(value), HOST_SERVER),
            Some(Network::Line) => {
                if let Some(socket) = value.strip_prefix(LOCAL) {
                    path::<SOCKET_PATH_BYTES>(socket)?;
                }
                (line_server(value), LINE_SERVER)
            }
        };
        // There may be a password or a token in it.
        let is_secret = value.contains(['@', '?']);
        let wrong = if is_secret { Problem::Secret(expected) } else { Problem::Value { value, expected } };
        let server = server.ok_or(wrong)?;
        if server.security == Some(Security::Direct) {
            tls()?;
        }
        self.set_account(|account| server.put(account))
    }

    pub(super) fn account_tls<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let Some(account) = self.account() else { return Ok(()) };
        let (choices, expected) = match account.network {
            Network::Sip | Network::Xmpp => (TLS, "starttls, direct or off"),
            Network::Line if account.way != LineWay::Tcp => return Err(Problem::SaidByServer),
            Network::Irc | Network::Line => (TLS.get(1..).unwrap_or_default(), "direct or off"),
        };
        let security = choose(value, choices, expected)?;
        if security != Security::Off {
            tls()?;
        }
        self.set_account(|account| account.security = security)
    }

    pub(super) fn account_pin<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let pin = value::pin(value).ok_or(Problem::Value { value, expected: PIN })?;
        self.account_needs_tls()?;
        let Some(account) = self.model.accounts.get_mut(self.section.index) else { return Ok(()) };
        add(&mut account.pins, pin, value, "PINS", PINS)
    }

    pub(super) fn account_ca<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let ca = path(value)?;
        self.account_needs_tls()?;
        self.set_account(|account| account.ca = ca)
    }

    /// What a key or a CA is good for.
    fn account_needs_tls(&self) -> Result<(), Problem<'static>> {
        tls()?;
        let is_without = |account: &Account| account.network != Network::Sip && !account.uses_tls();
        if self.account().is_some_and(is_without) { Err(Problem::AccountNeedsTls) } else { Ok(()) }
    }
}

/// Where a server is.
struct Server {
    way: LineWay,
    place: Option<PeerAddress>,
    path: SocketPath,
    /// How its way is secured, when it says so itself.
    security: Option<Security>,
}

impl Server {
    fn put(self, account: &mut Account) {
        let Self { way, place, path, security } = self;
        account.way = way;
        account.path = path;
        account.port = place.as_ref().and_then(|place| place.port).and_then(NonZeroU16::new);
        account.host = place.map(|place| place.host).unwrap_or_default();
        account.security = security.unwrap_or(account.security);
    }
}

/// `HOST` or `HOST:PORT`, IPv6 in brackets.
fn host_server(value: &str) -> Option<Server> {
    let place = Some(value::peer_address(value)?);
    Some(Server { way: LineWay::Tcp, place, path: SocketPath::new(), security: None })
}

/// `tcp:HOST:PORT`, `unix:PATH`, `http://HOST:PORT/PATH` or `https://` likewise.
fn line_server(value: &str) -> Option<Server> {
    if let Some(place) = value.strip_prefix("tcp:") {
        return host_server(place).filter(|server| server.place.as_ref().is_some_and(|place| place.port.is_some()));
    }
    if let Some(socket) = value.strip_prefix(LOCAL) {
        let path = path(socket).ok()?;
        return Some(Server { way: LineWay::Local, place: None, path, security: Some(Security::Off) });
    }
    let (scheme, rest) = value.split_once("://")?;
    let security = choose(scheme, &[("http", Security::Off), ("https", Security::Direct)], "").ok()?;
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // It becomes the target of a request as it is (RFC 9112 §3.2.1).
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return None;
    }
    let path = SocketPath::try_from(if path.is_empty() { "/" } else { path }).ok()?;
    Some(Server { way: LineWay::Http, place: Some(value::peer_address(place)?), path, security: Some(security) })
}

/// What the path of a local socket follows.
const LOCAL: &str = "unix:";

/// The first is for XMPP only.
const TLS: &[(&str, Security)] =
    &[("starttls", Security::StartTls), ("direct", Security::Direct), ("off", Security::Off)];

const HOST_SERVER: &str = "HOST or HOST:PORT, with an IPv6 address in brackets";
const LINE_SERVER: &str = "tcp:HOST:PORT, unix:PATH, http://HOST:PORT/PATH, or https likewise";
