//! Who is asking (RFC 3261 §22): a From in our own domain has to be proven, everybody else is a stranger.

use crate::base::random::Random;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::people::People;
use crate::home::policy::{Asker, Assurance};
use crate::sip::digest::{Challenge, Nonces, Refusal};
use crate::sip::stack::Stack;
use crate::sip::transport::Network;
use crate::wire::sip::{Credentials, Message, Name, NameAddr, Uri, quoted_content};

/// What is known of who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// Nobody of the home, and does not claim to be.
    Stranger,
    /// A person of the home, proven; and the device section whose login was used.
    Person(usize, Option<usize>),
    /// Claims to be of the home and has to prove it; whether only the nonce was too old.
    Unproven {
        /// Whether only the nonce was at fault.
        is_stale: bool,
        /// Whether credentials were presented and are wrong.
        is_wrong: bool,
    },
    /// Proved to be one person, but the address is another's.
    Mismatch,
    /// The credentials can't be read, or do not fit the request.
    Malformed,
}

impl Identity {
    /// The asker, for the front door, whose From has this `USER@HOST`; `None` for who has to prove himself first.
    pub const fn asker(self, address: &[u8]) -> Option<Asker<'_>> {
        match self {
            Self::Stranger => Some(Asker::claimed(address)),
            Self::Person(person, _) => Some(Asker { assurance: Assurance::Digest, person: Some(person), address }),
            _ => None,
        }
    }
}

/// Finds out who asks: `whose` is the address that has to be proven (From, or for REGISTER To), `field` where the
/// credentials are.
pub fn identify(
    now: Instant,
    stack: &Stack,
    people: &People,
    nonces: &mut Nonces,
    message: &Message<'_>,
    whose: &NameAddr<'_>,
    field: Name,
) -> Identity {
    let random = &stack.random;
    let Some(person) = claimed(random, people, whose) else {
        return Identity::Unproven { is_stale: false, is_wrong: false };
    };
    let Some(method) = message.method() else { return Identity::Malformed };
    for value in message.fields_named(field) {
        let credentials = match Credentials::parse(value.value) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => continue,
            Err(_) => return Identity::Malformed,
        };
        if !quoted_content(credentials.realm).eq(people.model.main.domain.bytes()) {
            continue;
        }
        if !is_for(&stack.network, people, message, credentials.uri) {
            return Identity::Malformed;
        }
        let Some(login) = people.login(random, quoted_content(credentials.username)) else {
            return Identity::Unproven { is_stale: false, is_wrong: true };
        };
        return match nonces.verify(now, random, &credentials, method.as_bytes(), login.secret) {
            Ok(()) if Some(login.person) == person => Identity::Person(login.person, login.device),
            Ok(()) => Identity::Mismatch,
            Err(Refusal::Stale | Refusal::Replayed) => Identity::Unproven { is_stale: true, is_wrong: false },
            Err(Refusal::Wrong) => Identity::Unproven { is_stale: false, is_wrong: true },
            Err(Refusal::Malformed) => Identity::Malformed,
        };
    }
    Identity::Unproven { is_stale: false, is_wrong: false }
}

/// How who is not proven is asked to prove himself.
pub struct Demand<'a, 'b> {
    /// Who he claims to be.
    pub whose: &'a NameAddr<'b>,
    /// The field of the challenge.
    pub field: &'static str,
    /// Whether only the nonce was at fault.
    pub is_stale: bool,
    /// Whether he fails on a challenge with SHA-256.
    pub is_md5_only: bool,
}

/// Appends the challenges: only with algorithms the person has a hash for.
pub fn challenge(now: Instant, random: &mut Random, people: &People, demand: &Demand<'_, '_>, out: &mut Writer<'_>) {
    let Demand { whose, field, is_stale, is_md5_only } = *demand;
    let person = claimed(random, people, whose).flatten();
    let secret = person.and_then(|person| people.model.people.get(person)).map(|person| &person.secret);
    let challenge = Challenge {
        field,
        realm: &people.model.main.domain,
        is_stale,
        sha256: secret.is_none_or(|secret| secret.sha256.is_some() && !(is_md5_only && secret.md5.is_some())),
        md5: secret.is_none_or(|secret| secret.md5.is_some()),
    };
    Nonces::challenge(now, random, &challenge, out);
}

/// The person an address of ours means: `Some(None)` for an address of ours that is nobody's.
fn claimed(random: &Random, people: &People, whose: &NameAddr<'_>) -> Option<Option<usize>> {
    let uri = whose.parsed_uri().ok()?;
    Some(people.person(random, uri.sip()?.user.unwrap_or_default()))
}

/// Whether credentials were made for this request (RFC 7616 §3.4.6): their URI means what the Request-URI means, or this
/// home as a whole, which is what some clients write. A nonce's count protects from use for another request.
fn is_for(network: &Network, people: &People, message: &Message<'_>, uri: &[u8]) -> bool {
    let Some(target) = message.request_uri() else { return false };
    if target == uri {
        return true;
    }
    let (Ok(target), Ok(uri)) = (Uri::parse(target), Uri::parse(uri)) else { return false };
    match (target.sip(), uri.sip()) {
        (Some(_), Some(uri)) if uri.user.is_none() && people.is_home(network, uri) => true,
        // Proxies on the way may add parameters to the Request-URI.
        (Some(target), Some(uri)) => target.user == uri.user && target.host.eq_ignore_case(&uri.host),
        _ => target.equals(&uri),
    }
}
