//! Who asks (RFC 3261 §22): challenged until he has proven it, when he says that he is of the home.

use super::Core;
use super::requests::Incoming;
use crate::base::net::{Flow, octets};
use crate::base::random::Purpose;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::identity::{self, Demand, Identity};
use crate::home::policy::{self, Asker, Assurance};
use crate::home::reluctant::Reluctant;
use crate::sip::limiter::REFUSED_COST;
use crate::wire::sip::{Method, Name, NameAddr, Uri, same_name};

impl Core {
    /// Who asks; `None` when that has been answered with a challenge or a refusal.
    pub(super) fn asker<'b>(&mut self, now: Instant, incoming: &Incoming<'_, 'b>) -> Option<Asker<'b>> {
        let whose = &incoming.essentials.from;
        let is_home = match whose.parsed_uri() {
            Ok(Uri::Sip(uri)) => self.people.is_home(&self.stack.network, &uri),
            // im: and pres: addresses look like ours on a phone, too; nobody can prove one.
            Ok(Uri::Other { rest, .. }) => self.people.is_domain_of(rest),
            Ok(Uri::Tel(_)) => false,
            // A phone might make an address of ours of it all the same.
            Err(fault) => {
                self.refuse(now, incoming, fault.status, fault.reason, "");
                return None;
            }
        };
        if !is_home {
            return Some(self.stranger(incoming));
        }
        if let Some(person) = self.proven_in_dialog(incoming) {
            return Some(Asker { assurance: Assurance::Digest, person: Some(person), address: address_of(whose) });
        }
        let Self { stack, people, nonces, .. } = self;
        let identity =
            identity::identify(now, stack, people, nonces, incoming.message, whose, Name::ProxyAuthorization);
        self.judge(now, incoming, identity, 407)
    }

    /// Whether From is an address of the home, which has to be proven.
    pub(super) fn is_from_home(&self, incoming: &Incoming<'_, '_>) -> bool {
        match incoming.essentials.from.parsed_uri() {
            Ok(Uri::Sip(uri)) => self.people.is_home(&self.stack.network, &uri),
            Ok(Uri::Other { rest, .. }) => self.people.is_domain_of(rest),
            _ => false,
        }
    }

    /// Somebody of another domain, which the connection may have proven.
    fn stranger<'b>(&self, incoming: &Incoming<'_, 'b>) -> Asker<'b> {
        let address = address_of(&incoming.essentials.from);
        let Flow::Stream(stream) = incoming.flow else { return Asker::claimed(address) };
        let proved = self.stack.network.stream(stream).map_or("", |state| state.proved.as_str());
        match incoming.essentials.from.parsed_uri() {
            Ok(Uri::Sip(uri)) if !proved.is_empty() && same_name(uri.host_raw, proved.as_bytes()) => {
                Asker { assurance: Assurance::Peer, person: None, address }
            }
            _ => Asker::claimed(address),
        }
    }

    /// Challenges or refuses who is not proven.
    pub(super) fn judge<'b>(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, 'b>,
        identity: Identity,
        status: u16,
    ) -> Option<Asker<'b>> {
        let whose = if status == 401 { &incoming.essentials.to } else { &incoming.essentials.from };
        let is_md5_only = self.fails_on_sha256(now, incoming, whose, identity);
        match identity {
            Identity::Unproven { is_stale, is_wrong } => {
                if is_wrong {
                    log::warn!("wrong credentials from {}", incoming.from);
                    self.stack.counters.refused += 1;
                    self.charge(now, incoming.from.ip(), REFUSED_COST);
                }
                let field = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
                self.challenge(now, incoming, status, &Demand { whose, field, is_stale, is_md5_only });
            }
            Identity::Mismatch => self.refuse_for_good(now, incoming, 403, "Not Your Address"),
            Identity::Malformed => self.refuse(now, incoming, 400, "Malformed Credentials", ""),
            Identity::Stranger | Identity::Person(..) => {}
        }
        identity.asker(address_of(whose))
    }

    /// Whether who claims to be `whose` came again without an answer to the challenge he got before.
    fn fails_on_sha256(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        whose: &NameAddr<'_>,
        identity: Identity,
    ) -> bool {
        let mut who = self.stack.random.hash(Purpose::Table);
        who.put_lower(whose.uri);
        who.put(&octets(incoming.from.ip()));
        let who = who.finish();
        let is_known = incoming.message.field(Name::UserAgent).is_some_and(|agent| Reluctant::is_known(agent.value));
        is_known
            || match identity {
                Identity::Unproven { is_stale: false, is_wrong: false } if incoming.method == Method::Register => {
                    self.reluctant.challenged(now, who, incoming.keys.transaction)
                }
                Identity::Unproven { is_stale: false, is_wrong: false } => self.reluctant.is_md5_only(now, who),
                _ => self.reluctant.answered(who),
            }
    }

    fn challenge(&mut self, now: Instant, incoming: &Incoming<'_, '_>, status: u16, demand: &Demand<'_, '_>) {
        let Incoming { message, flow, from, .. } = *incoming;
        let reason = if status == 401 { "Unauthorized" } else { "Proxy Authentication Required" };
        let mut fields = [0; 1024];
        let mut out = Writer::new(&mut fields);
        identity::challenge(now, &mut self.stack.random, &self.people, demand, &mut out);
        let len = out.len();
        self.answer(now, flow, from, message, status, reason, |out| out.put(&fields[..len]));
    }
}

/// The `USER@HOST` of who an address names; empty when it is no SIP URI.
fn address_of<'b>(whose: &NameAddr<'b>) -> &'b [u8] {
    match whose.parsed_uri() {
        Ok(Uri::Sip(uri)) => policy::address_of(&uri),
        _ => b"",
    }
}
