//! From the first byte to the account being on: the stream's features, STARTTLS (RFC 6120 §5), SASL (§6), resource binding
//! (§7), and stream management or its resumption (XEP-0198).

use super::names::{self, ids};
use super::sasl::{Credentials, Mechanism};
use super::{Inside, Phase, Xmpp, jid, own_id, presence, write};
use crate::base::text::Printable;
use crate::bridge::{End, Env, Show, Step, Stop};
use crate::config::model::{Account, Security};
use crate::wire::xml::{Element, Fault, Reader, Text};

/// What a stream offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    starttls: bool,
    requires_tls: bool,
    mechanism: Option<Mechanism>,
    has_plain: bool,
    bind: bool,
    session: bool,
    management: bool,
    /// Subscriptions can be approved before they are asked for.
    pub pre_approval: bool,
}

impl Features {
    /// Nothing.
    pub const NONE: Self = Self {
        starttls: false,
        requires_tls: false,
        mechanism: None,
        has_plain: false,
        bind: false,
        session: false,
        management: false,
        pre_approval: false,
    };
}

impl Xmpp {
    /// Opens a stream on what is up now.
    pub(super) fn open_stream(&mut self, env: &mut Env<'_, '_>) {
        self.splitter = super::Splitter::new();
        self.inside = Inside::Nothing;
        self.defaults.clear();
        self.features = Features::NONE;
        self.phase = Phase::Features;
        env.out.text("<?xml version='1.0'?><stream:stream");
        write::attribute("to", jid::domain(&env.account.address), env.out);
        // Who we are is for nobody to see who only listens.
        if self.is_secure {
            write::attribute("from", &env.account.address, env.out);
        }
        env.out.text(" version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>");
    }

    /// One of the features.
    pub(super) fn feature(&mut self, reader: &mut Reader<'_>, feature: &Element<'_>) -> Result<(), Fault> {
        let features = &mut self.features;
        if feature.is(names::TLS, "starttls") {
            features.starttls = true;
            while let Some(child) = reader.child(feature)? {
                features.requires_tls |= child.name == "required";
            }
        } else if feature.is(names::SASL, "mechanisms") {
            while let Some(child) = reader.child(feature)? {
                let name = reader.content::<24>(&child)?;
                let known = Mechanism::NAMES.iter().find(|(known, _)| *known == name).map(|(_, mechanism)| *mechanism);
                features.has_plain |= known == Some(Mechanism::Plain);
                features.mechanism = features.mechanism.max(known);
            }
        } else if feature.is(names::SESSION, "session") {
            features.session = true;
            while let Some(child) = reader.child(feature)? {
                features.session &= child.name != "optional";
            }
        } else {
            features.bind |= feature.is(names::BIND, "bind");
            features.management |= feature.is(names::MANAGEMENT, "sm");
            features.pre_approval |= feature.is(names::PRE_APPROVAL, "sub");
        }
        Ok(())
    }

    /// All features are known: the next step of the login.
    pub(super) fn take_features<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        if self.phase != Phase::Features {
            return Step::Quiet;
        }
        let is_open = env.account.security == Security::Off;
        let wants_tls = !self.is_secure && (!is_open || self.features.requires_tls);
        if wants_tls && self.features.starttls {
            env.out.text("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            self.phase = Phase::Tls;
            return Step::Quiet;
        }
        if wants_tls {
            return self.end(env, End::Stop(Stop::Refused("the server has no TLS")));
        }
        if !self.is_authenticated {
            return self.log_in(env);
        }
        if self.features.management
            && let Some((session, h)) = self.acks.session()
        {
            env.out.text("<resume xmlns='urn:xmpp:sm:3'");
            write::attribute("previd", session, env.out);
            env.out.text(" h='");
            env.out.number(h.into());
            env.out.text("'/>");
            self.phase = Phase::Resume;
            return Step::Quiet;
        }
        self.bind(env)
    }

    fn log_in<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        let Some(mechanism) = self.features.mechanism else {
            return self.end(env, End::Stop(Stop::Refused("the server has no way to log in that is known here")));
        };
        if mechanism == Mechanism::Plain && !self.is_secure {
            return self.end(env, End::Stop(Stop::Refused("the server wants the password without TLS")));
        }
        self.sasl.begin(env.random, mechanism, credentials(env.account), env.out);
        self.phase = Phase::Login;
        Step::Quiet
    }

    /// An element about TLS.
    pub(super) fn tls<'s>(&mut self, env: &mut Env<'_, '_>, element: &Element<'_>) -> Step<'s> {
        match (self.phase, element.name) {
            (Phase::Tls, "proceed") => Step::StartTls,
            (Phase::Tls, "failure") => self.end(env, End::Retry("the server refused TLS")),
            _ => Step::Quiet,
        }
    }

    /// An element about the login.
    pub(super) fn sasl<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        element: &Element<'_>,
    ) -> Result<Step<'s>, Fault> {
        if self.phase != Phase::Login {
            return Ok(Step::Quiet);
        }
        let who = credentials(env.account);
        let result = match element.name {
            "challenge" => self.sasl.challenged(env.random, first_text(reader, element)?, who, env.out),
            "success" => {
                let data = first_text(reader, element)?;
                self.sasl.succeeded(data).map(|()| {
                    self.is_authenticated = true;
                    self.open_stream(env);
                })
            }
            "failure" => return self.refused(env, reader, element),
            _ => Ok(()),
        };
        Ok(match result {
            Ok(()) => Step::Quiet,
            Err(why) => {
                log::warn!("XMPP {}: the server is not trusted: {why}", env.account.id);
                self.sasl.forget();
                self.end(env, End::Stop(Stop::Refused(why)))
            }
        })
    }

    /// The server does not let us in (RFC 6120 §6.5).
    fn refused<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        failure: &Element<'_>,
    ) -> Result<Step<'s>, Fault> {
        let mut end = End::Stop(Stop::Password);
        while let Some(condition) = reader.child(failure)? {
            end = match condition.name {
                "temporary-auth-failure" => End::Retry("the server can't check the password now"),
                "aborted" | "incorrect-encoding" | "malformed-request" => End::Retry("the login was broken off"),
                "encryption-required" => End::Stop(Stop::Refused("the server lets nobody in without TLS")),
                "invalid-mechanism" | "mechanism-too-weak" if self.try_next(env) => return Ok(Step::Quiet),
                "invalid-mechanism" | "mechanism-too-weak" => {
                    End::Stop(Stop::Refused("the server has no way to log in that is known here"))
                }
                "account-disabled" => End::Stop(Stop::Refused("the account is disabled")),
                "credentials-expired" => End::Stop(Stop::Refused("the password has expired")),
                _ => continue,
            };
        }
        if end == End::Stop(Stop::Password) {
            self.sasl.forget();
        }
        Ok(self.end(env, end))
    }

    /// The server has offered what it does not take: the next one.
    fn try_next(&mut self, env: &mut Env<'_, '_>) -> bool {
        let next = match self.features.mechanism {
            Some(Mechanism::ScramSha256) => Mechanism::ScramSha1,
            Some(Mechanism::ScramSha1) if self.features.has_plain && self.is_secure => Mechanism::Plain,
            _ => return false,
        };
        self.features.mechanism = Some(next);
        self.sasl.begin(env.random, next, credentials(env.account), env.out);
        true
    }

    /// Makes some of the hashes that the login takes.
    pub(super) fn work(&mut self, env: &mut Env<'_, '_>) {
        self.sasl.work(credentials(env.account), env.out);
    }

    fn bind<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        self.acks.begin();
        if !self.features.bind {
            return self.end(env, End::Stop(Stop::Refused("the server gives no address")));
        }
        env.out.text("<iq type='set' id='pcs-bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>pcs-");
        env.out.hex(own_id::resource(env.random, &env.account.id).into(), 8);
        env.out.text("</resource></bind></iq>");
        self.phase = Phase::Bind;
        Step::Quiet
    }

    /// The answer to a request of the login.
    pub(super) fn login_answer<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        iq: &Element<'_>,
    ) -> Result<Step<'s>, Fault> {
        let is_answer = |id: &str| iq.attribute("id").is_some_and(|it| it == *id);
        let is_result = iq.attribute("type").is_some_and(|it| it == "result");
        match self.phase {
            Phase::Bind if is_answer(ids::BIND) && is_result => {
                self.take_address(env, reader, iq)?;
                if self.features.session {
                    env.out.text("<iq type='set' id='pcs-session'>");
                    env.out.text("<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");
                    self.phase = Phase::Session;
                } else {
                    self.enable(env);
                }
            }
            Phase::Session if is_answer(ids::SESSION) && is_result => self.enable(env),
            // A resource that is refused may be free again, and so may a session.
            Phase::Bind if is_answer(ids::BIND) => return Ok(self.end(env, End::Retry("the server gives no address"))),
            Phase::Session if is_answer(ids::SESSION) => {
                return Ok(self.end(env, End::Retry("the server gives no session")));
            }
            _ => (),
        }
        Ok(Step::Quiet)
    }

    fn take_address(&mut self, env: &mut Env<'_, '_>, reader: &mut Reader<'_>, iq: &Element<'_>) -> Result<(), Fault> {
        let mut own = None;
        while let Some(bind) = reader.child(iq)? {
            while let Some(child) = reader.child(&bind)? {
                if child.is(names::BIND, "jid") {
                    own = jid::bare(first_text(reader, &child)?);
                }
            }
        }
        self.own = own.or_else(|| jid::of_text(&env.account.address)).unwrap_or_default();
        Ok(())
    }

    fn enable(&mut self, env: &mut Env<'_, '_>) {
        if self.features.management {
            env.out.text("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
            self.phase = Phase::Enable;
        } else {
            self.go_online(env);
        }
    }

    /// The account is on, and nothing is as it was: asks for what is to be known first.
    fn go_online(&mut self, env: &mut Env<'_, '_>) {
        (self.phase, self.heard, self.online) = (Phase::On, env.now, Some(false));
        self.peers.clear();
        self.shown = None;
        self.archive.begin(env.now, env.time);
        self.ask_all(env);
    }

    /// Asks for the roster, and for what the server and the account can do.
    fn ask_all(&mut self, env: &mut Env<'_, '_>) {
        env.out.text("<iq type='get' id='pcs-roster'><query xmlns='jabber:iq:roster'/></iq>");
        let own = self.own.clone();
        for (id, to) in [(ids::SERVER, jid::domain(&own)), (ids::ACCOUNT, own.as_str())] {
            env.out.text("<iq type='get'");
            write::attribute("id", id, env.out);
            write::attribute("to", to, env.out);
            env.out.text("><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
        }
        (0..3).for_each(|_| self.acks.sends_setup());
    }

    /// An element of stream management.
    pub(super) fn management<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        element: &Element<'_>,
    ) -> Result<Step<'s>, Fault> {
        let h = element.attribute("h").and_then(|h| h.cut::<12>().parse().ok());
        match (self.phase, element.name) {
            (Phase::Enable, "enabled") => {
                let may_resume = element.attribute("resume").is_some_and(|it| it == "true" || it == "1");
                self.go_online_counted(env, element.attribute("id").filter(|_| may_resume));
            }
            (Phase::Enable, "failed") => self.go_online(env),
            (Phase::Resume, "resumed") => {
                let lost = self.acks.resumed(h.unwrap_or(0));
                (self.phase, self.heard, self.online) = (Phase::On, env.now, Some(true));
                if lost.setup {
                    let is_hidden = self.shown.as_ref().is_some_and(|(show, _)| *show == Show::Offline);
                    self.archive.begin(env.now, env.time);
                    self.archive.hide(is_hidden);
                    self.ask_all(env);
                }
                if let Some((show, text)) = self.shown.as_ref().filter(|_| lost.shown) {
                    presence::write_own(*show, text, env.out);
                    self.acks.sends_presence();
                }
            }
            (Phase::Resume, "failed") => {
                if let Some(h) = h {
                    self.acks.acknowledged(h);
                }
                while let Some(condition) = reader.child(element)? {
                    log::debug!("XMPP {}: no session to take up: {}", env.account.id, condition.name);
                }
                return Ok(self.bind(env));
            }
            (Phase::On, "a") => h.into_iter().for_each(|h| self.acks.acknowledged(h)),
            (Phase::On, "r") => self.acknowledge(env),
            _ => (),
        }
        Ok(Step::Quiet)
    }

    fn go_online_counted(&mut self, env: &mut Env<'_, '_>, session: Option<Text<'_>>) {
        self.acks.enabled(session);
        self.go_online(env);
    }

    /// Tells the server how many of its stanzas are dealt with.
    pub(super) fn acknowledge(&mut self, env: &mut Env<'_, '_>) {
        env.out.text("<a xmlns='urn:xmpp:sm:3' h='");
        env.out.number(self.acks.settled().into());
        env.out.text("'/>");
    }

    /// The server ends the stream (RFC 6120 §4.9).
    pub(super) fn stream_error<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        error: &Element<'_>,
    ) -> Result<Step<'s>, Fault> {
        let mut end = End::Retry("the server closed the stream");
        while let Some(condition) = reader.child(error)? {
            if condition.namespace != names::STREAM_ERRORS || condition.name == "text" {
                continue;
            }
            log::info!("XMPP {}: the server ends the stream: {}", env.account.id, Printable(condition.name.as_bytes()));
            end = match condition.name {
                "conflict" => End::Stop(Stop::Elsewhere),
                "see-other-host" => self.moves(reader.content::<80>(&condition)?.as_str()),
                "not-authorized" => End::Stop(Stop::Refused("the server does not let this account in")),
                "host-unknown" | "host-gone" => End::Stop(Stop::Refused("the server does not serve this domain")),
                "policy-violation" => End::Retry("the server found something against its policy"),
                "system-shutdown" => End::Retry("the server is shutting down"),
                "resource-constraint" => End::Retry("the server has no room"),
                "connection-timeout" => End::Retry("the server has not heard from us"),
                _ => end,
            };
        }
        // After these the session is not there any more, and one that broke the stream would break it again.
        if !matches!(end, End::Moved | End::Retry("the server is shutting down" | "the server has not heard from us")) {
            self.acks.forget();
        }
        Ok(self.end(env, end))
    }

    /// Nobody but the server itself may send us elsewhere.
    fn moves(&mut self, place: &str) -> End {
        self.moved = if self.is_secure { jid::place(place, super::PORT) } else { None };
        if self.moved.is_some() { End::Moved } else { End::Retry("the server asked to go nowhere") }
    }

    /// The stream's end tag has come.
    pub(super) fn stream_closed<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        let end = if self.phase == Phase::Leaving { End::Done } else { End::Retry("the server closed the stream") };
        self.end(env, end)
    }

    /// Asks whether the server is there, and how much it has.
    pub(super) fn ask_server(&mut self, env: &mut Env<'_, '_>) {
        if self.acks.is_on() {
            env.out.text("<r xmlns='urn:xmpp:sm:3'/>");
        } else {
            self.ping(env);
        }
        self.is_asked = true;
    }

    /// Has the server say that it has read so far, where it does not count: it answers in the order in which it is asked.
    pub(super) fn ping(&mut self, env: &mut Env<'_, '_>) {
        env.out.text("<iq type='get' id='");
        env.out.text(ids::PING);
        env.out.hex(self.acks.sent().into(), 8);
        env.out.text("'");
        write::attribute("to", jid::domain(&self.own), env.out);
        env.out.text("><ping xmlns='urn:xmpp:ping'/></iq>");
        self.acks.sends();
    }
}

/// What is logged in with: the name is the user of the address where no other is given.
fn credentials(account: &Account) -> Credentials<'_> {
    let user = if account.login.is_empty() { jid::user(&account.address) } else { account.login.as_str() };
    Credentials { user, password: &account.password.0 }
}

/// The first piece of an element's own text; what follows of it is passed over.
pub(super) fn first_text<'b>(reader: &mut Reader<'b>, element: &Element<'_>) -> Result<Text<'b>, Fault> {
    let mut first = Text::EMPTY;
    reader.texts(element, |text| {
        if first.raw.is_empty() {
            first = text;
        }
    })?;
    Ok(first)
}
