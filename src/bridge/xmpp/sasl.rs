//! Logging in: SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802, RFC 7677), and PLAIN (RFC 4616) inside TLS, in the profile of XMPP
//! (RFC 6120 §6).
//!
//! A server may ask for ten thousand hashes and more. They are made in steps ([`Sasl::work`]), so that a login never holds
//! up a call, and their result is kept for the next login with the same salt.
//!
//! Left out: channel binding (`n,,` says so), other authorization identities, and SASLprep (RFC 4013) but for its mapping
//! of blanks to a space: names and passwords go as they were written.

use core::fmt::Write as _;

use heapless::{String, Vec};
use hmac::digest::block_api::EagerHash;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::base::limits::PASSWORD_BYTES;
use crate::base::random::{Purpose, Random};
use crate::base::text::{Writer, base64_decode, base64_encode, same_secret};
use crate::wire::xml::Text;

/// Hashes that one step makes: some milliseconds on a slow router.
pub const STEP_ITERATIONS: u32 = 64;
/// Hashes that a server may ask for. More: the login is refused.
pub const ITERATIONS_MAX: u32 = 200_000;
/// Bytes of a server's first message. A longer one is refused.
pub const FIRST_BYTES: usize = 288;
/// Bytes of a salt. A longer one is refused.
const SALT_BYTES: usize = 64;
/// Bytes of what is sent at most, before base64: the name and the password, or the name and both nonces.
const MESSAGE_BYTES: usize = 768;

/// How to log in; the stronger is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mechanism {
    /// The password itself.
    Plain,
    /// SCRAM with SHA-1.
    ScramSha1,
    /// SCRAM with SHA-256.
    ScramSha256,
}

impl Mechanism {
    /// All, by their names.
    pub const NAMES: [(&'static str, Self); 3] =
        [("PLAIN", Self::Plain), ("SCRAM-SHA-1", Self::ScramSha1), ("SCRAM-SHA-256", Self::ScramSha256)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mechanism)| *mechanism == self).map_or("", |(name, _)| name)
    }

    const fn hash_bytes(self) -> usize {
        if matches!(self, Self::ScramSha256) { 32 } else { 20 }
    }

    const fn iterations_min(self) -> u32 {
        if matches!(self, Self::ScramSha256) { 4096 } else { 1 }
    }
}

/// Who logs in.
#[derive(Clone, Copy)]
pub struct Credentials<'c> {
    /// The name.
    pub user: &'c str,
    /// The password.
    pub password: &'c str,
}

/// A login.
pub struct Sasl {
    mechanism: Mechanism,
    state: State,
    /// What makes our part of this login unlike all others.
    pub(super) nonce: String<32, u8>,
    /// The server's first message.
    first: String<FIRST_BYTES, u16>,
    /// PBKDF2 (RFC 8018 §5.2): the last hash, and all of them added; then, with nothing left, the salted password. The
    /// first is what the server has to prove itself with, once our proof is sent.
    last: [u8; 32],
    salted: [u8; 32],
    left: u32,
    /// A hash of what `salted` was made of, or is being; 0: nothing.
    of: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The server's word on PLAIN, or its first on SCRAM, is waited for.
    Begun,
    /// The hashes are being made.
    Deriving,
    /// Our proof is sent.
    Proven,
    /// The server has proven itself, too.
    Verified,
}

impl Default for Sasl {
    fn default() -> Self {
        Self::new()
    }
}

impl Sasl {
    /// No login yet.
    pub const fn new() -> Self {
        Self {
            mechanism: Mechanism::Plain,
            state: State::Begun,
            nonce: String::new(),
            first: String::new(),
            last: [0; 32],
            salted: [0; 32],
            left: 0,
            of: 0,
        }
    }

    /// Begins a login: the `<auth/>` goes out.
    pub fn begin(&mut self, random: &mut Random, mechanism: Mechanism, who: Credentials<'_>, out: &mut Writer<'_>) {
        (self.mechanism, self.state) = (mechanism, State::Begun);
        self.first.clear();
        self.nonce.clear();
        // Two numbers of 16 digits fill it.
        let _ = write!(self.nonce, "{:016x}{:016x}", random.number(), random.number());
        let mut buffer = [0; MESSAGE_BYTES];
        let mut message = Writer::new(&mut buffer);
        if mechanism == Mechanism::Plain {
            message.text("\0");
            prepared(who.user, |text| message.text(text));
            message.text("\0");
            prepared(who.password, |text| message.text(text));
        } else {
            message.text("n,,");
            self.first_bare(who, &mut message);
        }
        out.text("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='");
        out.text(mechanism.name());
        out.text("'>");
        base64_encode(message.written(), out);
        out.text("</auth>");
    }

    /// The server's challenge: why the login ends here, if it does. An answer goes out at once, or [`Sasl::is_working`].
    pub fn challenged(
        &mut self,
        random: &Random,
        data: Text<'_>,
        who: Credentials<'_>,
        out: &mut Writer<'_>,
    ) -> Result<(), &'static str> {
        let mut room = [0; FIRST_BYTES];
        let message = decoded(data, &mut room).ok_or("its challenge can't be read")?;
        match self.state {
            State::Begun if self.mechanism != Mechanism::Plain => self.take_first(random, message, who, out),
            // Older servers put into a challenge what belongs to the success.
            State::Proven => {
                self.verify(message)?;
                out.text("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
                Ok(())
            }
            _ => Err("it sent a challenge out of turn"),
        }
    }

    /// The server says that all is well: why it is not, if so.
    pub fn succeeded(&mut self, data: Text<'_>) -> Result<(), &'static str> {
        match self.state {
            State::Begun if self.mechanism == Mechanism::Plain => Ok(()),
            State::Verified => Ok(()),
            State::Proven => {
                let mut room = [0; FIRST_BYTES];
                self.verify(decoded(data, &mut room).ok_or("its signature can't be read")?)
            }
            _ => Err("it let us in without a proof"),
        }
    }

    /// Whether there are hashes to be made.
    pub fn is_working(&self) -> bool {
        self.state == State::Deriving
    }

    /// Makes some of the hashes; behind the last of them the response goes out.
    pub fn work(&mut self, who: Credentials<'_>, out: &mut Writer<'_>) {
        if self.state != State::Deriving {
            return;
        }
        match self.mechanism {
            Mechanism::ScramSha256 => self.iterate::<Sha256>(who.password),
            _ => self.iterate::<Sha1>(who.password),
        }
        if self.left == 0 {
            self.respond(who, out);
        }
    }

    /// Nothing is remembered of a password that was refused.
    pub fn forget(&mut self) {
        *self = Self::new();
    }

    fn take_first(
        &mut self,
        random: &Random,
        message: &str,
        who: Credentials<'_>,
        out: &mut Writer<'_>,
    ) -> Result<(), &'static str> {
        let first = First::read(message).ok_or("its challenge can't be read")?;
        if !first.nonce.starts_with(self.nonce.as_str()) || first.nonce.len() == self.nonce.len() {
            return Err("its nonce is not ours");
        }
        if first.iterations > ITERATIONS_MAX {
            return Err("it asks for too many hashes");
        }
        if first.iterations < self.mechanism.iterations_min() {
            return Err("it asks for too few hashes");
        }
        // What was decoded is no longer than the room for it.
        let _ = self.first.push_str(message);
        let mut hash = random.hash(Purpose::Table);
        let iterations = first.iterations.to_le_bytes();
        for field in [self.mechanism.name().as_bytes(), &iterations, &first.salt, who.password.as_bytes()] {
            hash.put(field);
        }
        let of = hash.finish() | 1;
        if self.of == of && self.left == 0 {
            self.respond(who, out);
            return Ok(());
        }
        (self.of, self.left, self.state) = (of, first.iterations, State::Deriving);
        self.last = self.mac(|mac| {
            prepared(who.password, |text| mac.key(text.as_bytes()));
            mac.data(&first.salt);
            mac.data(&1u32.to_be_bytes());
        });
        self.salted = self.last;
        self.left -= 1;
        if self.left == 0 {
            self.respond(who, out);
        }
        Ok(())
    }

    fn iterate<D: EagerHash + Digest>(&mut self, password: &str)
    where
        Hmac<D>: KeyInit + Mac + Clone,
    {
        let mut key = Vec::<u8, PASSWORD_BYTES>::new();
        prepared(password, |text| drop(key.extend_from_slice(text.as_bytes())));
        let Ok(keyed) = <Hmac<D> as KeyInit>::new_from_slice(&key) else { return };
        let len = self.mechanism.hash_bytes();
        for _ in 0..STEP_ITERATIONS.min(self.left) {
            let mut mac = keyed.clone();
            mac.update(&self.last[..len]);
            self.last[..len].copy_from_slice(&mac.finalize().into_bytes());
            self.salted.iter_mut().zip(&self.last).for_each(|(sum, byte)| *sum ^= byte);
            self.left -= 1;
        }
    }

    /// Sends the proof, and works out what the server has to answer (RFC 5802 §3).
    fn respond(&mut self, who: Credentials<'_>, out: &mut Writer<'_>) {
        let len = self.mechanism.hash_bytes();
        let mut buffer = [0; MESSAGE_BYTES];
        let mut message = Writer::new(&mut buffer);
        message.text("c=biws,r=");
        message.text(First::read(&self.first).map_or("", |first| first.nonce));
        let without_proof = message.len();
        let mut bare_buffer = [0; MESSAGE_BYTES];
        let mut bare = Writer::new(&mut bare_buffer);
        self.first_bare(who, &mut bare);
        let authentication = [bare.written(), b",", self.first.as_bytes(), b",", &message.written()[..without_proof]];

        let salted = &self.salted[..len];
        let client_key = self.mac_of(salted, &[b"Client Key"]);
        let stored_key: [u8; 32] = match self.mechanism {
            Mechanism::ScramSha256 => Sha256::digest(&client_key[..len]).into(),
            _ => padded(&Sha1::digest(&client_key[..len])),
        };
        let client_signature = self.mac_of(&stored_key[..len], &authentication);
        let server_key = self.mac_of(salted, &[b"Server Key"]);
        let signature = self.mac_of(&server_key[..len], &authentication);
        let mut proof = client_key;
        proof.iter_mut().zip(client_signature).for_each(|(byte, other)| *byte ^= other);

        message.text(",p=");
        base64_encode(&proof[..len], &mut message);
        out.text("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>");
        base64_encode(message.written(), out);
        out.text("</response>");
        (self.last, self.state) = (signature, State::Proven);
    }

    fn verify(&mut self, message: &str) -> Result<(), &'static str> {
        let mut room = [0; 32];
        let len = message
            .split(',')
            .find_map(|part| part.strip_prefix("v="))
            .and_then(|signature| base64_decode(signature.as_bytes(), &mut room))
            .unwrap_or(0);
        if !same_secret(&room[..len], &self.last[..self.mechanism.hash_bytes()]) {
            return Err("it does not know the password");
        }
        self.state = State::Verified;
        Ok(())
    }

    /// `n=USER,r=NONCE`.
    fn first_bare(&self, who: Credentials<'_>, out: &mut Writer<'_>) {
        out.text("n=");
        prepared(who.user, |text| {
            out.text(match text {
                "=" => "=3D",
                "," => "=2C",
                text => text,
            });
        });
        out.text(",r=");
        out.text(&self.nonce);
    }

    fn mac_of(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        self.mac(|mac| {
            mac.key(key);
            parts.iter().for_each(|part| mac.data(part));
        })
    }

    fn mac(&self, fill: impl FnOnce(&mut Parts)) -> [u8; 32] {
        let mut parts = Parts { key: Vec::new(), data: Vec::new() };
        fill(&mut parts);
        match self.mechanism {
            Mechanism::ScramSha256 => one_mac::<Sha256>(&parts),
            _ => one_mac::<Sha1>(&parts),
        }
    }
}

/// What an HMAC is made of.
struct Parts {
    key: Vec<u8, PASSWORD_BYTES>,
    data: Vec<u8, { 2 * MESSAGE_BYTES + FIRST_BYTES }>,
}

impl Parts {
    // Both have room for the longest that there is.
    fn key(&mut self, bytes: &[u8]) {
        let _ = self.key.extend_from_slice(bytes);
    }

    fn data(&mut self, bytes: &[u8]) {
        let _ = self.data.extend_from_slice(bytes);
    }
}

fn one_mac<D: EagerHash>(parts: &Parts) -> [u8; 32]
where
    Hmac<D>: KeyInit + Mac,
{
    // A key of any length will do.
    <Hmac<D> as KeyInit>::new_from_slice(&parts.key).map_or([0; 32], |mut mac| {
        mac.update(&parts.data);
        padded(&mac.finalize().into_bytes())
    })
}

fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut padded = [0; 32];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    padded
}

/// The server's first message.
struct First<'m> {
    nonce: &'m str,
    salt: Vec<u8, SALT_BYTES>,
    iterations: u32,
}

impl<'m> First<'m> {
    fn read(message: &'m str) -> Option<Self> {
        let mut parts = message.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?;
        let mut room = [0; SALT_BYTES];
        let len = base64_decode(parts.next()?.strip_prefix("s=")?.as_bytes(), &mut room).filter(|len| *len > 0)?;
        let salt = Vec::from_slice(&room[..len]).ok()?;
        let iterations = parts.next()?.strip_prefix("i=")?.parse().ok().filter(|count| *count > 0)?;
        Some(Self { nonce, salt, iterations })
    }
}

/// Shows a name or password as it is hashed and sent, piece by piece: any blank is a space (RFC 4013 §2.1).
fn prepared(text: &str, mut take: impl FnMut(&str)) {
    for c in text.chars() {
        let is_blank =
            matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}');
        take((if is_blank { ' ' } else { c }).encode_utf8(&mut [0; 4]));
    }
}

/// The text that a challenge or success holds in base64; `=` is an empty one.
fn decoded<'r>(data: Text<'_>, room: &'r mut [u8]) -> Option<&'r str> {
    let mut text = Vec::<u8, { FIRST_BYTES * 4 / 3 + 4 }>::new();
    for c in data.chars().filter(|c| !c.is_ascii_whitespace()) {
        text.push(u8::try_from(c).ok()?).ok()?;
    }
    if text.as_slice() == b"=" {
        text.clear();
    }
    let len = base64_decode(&text, room)?;
    str::from_utf8(&room[..len]).ok()
}

#[cfg(test)]
mod tests {
    use std::string::String as Owned;
    use std::{format, vec};

    use super::*;

    const WHO: Credentials<'_> = Credentials { user: "user", password: "pencil" };

    fn encoded(text: &str) -> Owned {
        let mut buffer = vec![0; 2000];
        let mut out = Writer::new(&mut buffer);
        base64_encode(text.as_bytes(), &mut out);
        Owned::from_utf8_lossy(out.written()).into_owned()
    }

    fn sent(call: impl FnOnce(&mut Writer<'_>)) -> Owned {
        let mut buffer = vec![0; 4000];
        let mut out = Writer::new(&mut buffer);
        call(&mut out);
        let text = Owned::from_utf8_lossy(out.written()).into_owned();
        let Some(inner) = text.split_once('>').and_then(|(_, rest)| rest.split_once('<')) else { return text };
        let mut room = vec![0; 2000];
        let len = base64_decode(inner.0.as_bytes(), &mut room).expect("base64");
        Owned::from_utf8_lossy(&room[..len]).into_owned()
    }

    fn challenge(sasl: &mut Sasl, text: &str) -> Result<Owned, &'static str> {
        let (text, mut result) = (encoded(text), Ok(()));
        let answer = sent(|out| {
            result = sasl.challenged(&Random::new(), Text::of(text.as_bytes()).unwrap(), WHO, out);
        });
        result.map(|()| answer)
    }

    fn success(sasl: &mut Sasl, text: &str) -> Result<(), &'static str> {
        sasl.succeeded(Text::of(encoded(text).as_bytes()).unwrap())
    }

    fn begun(mechanism: Mechanism, nonce: &str) -> Sasl {
        let mut sasl = Sasl::new();
        sent(|out| sasl.begin(&mut Random::new(), mechanism, WHO, out));
        sasl.nonce = String::try_from(nonce).unwrap();
        sasl
    }

    fn worked(sasl: &mut Sasl) -> Owned {
        let mut steps = 1;
        loop {
            let answer = sent(|out| sasl.work(WHO, out));
            if !sasl.is_working() {
                assert_eq!(steps, 64, "4096 hashes, 64 a step");
                return answer;
            }
            steps += 1;
        }
    }

    /// The conversations of RFC 5802 §5 and RFC 7677 §3.
    const SHA_1: [&str; 4] = [
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ];
    const SHA_256: [&str; 4] = [
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ];

    #[test]
    fn the_conversations_of_the_rfcs() {
        for (mechanism, [nonce, first, proof, signature]) in
            [(Mechanism::ScramSha1, SHA_1), (Mechanism::ScramSha256, SHA_256)]
        {
            let mut sasl = begun(mechanism, nonce);
            assert_eq!(challenge(&mut sasl, first), Ok(Owned::new()));
            assert_eq!(worked(&mut sasl), proof);
            assert_eq!(success(&mut sasl, signature), Ok(()));

            // The same again costs nothing; and the signature may come as a challenge.
            sent(|out| sasl.begin(&mut Random::new(), mechanism, WHO, out));
            sasl.nonce = String::try_from(nonce).unwrap();
            assert_eq!(challenge(&mut sasl, first).as_deref(), Ok(proof));
            assert!(!sasl.is_working());
            assert!(challenge(&mut sasl, signature).unwrap().starts_with("<response"));
            assert_eq!(success(&mut sasl, ""), Ok(()));
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_password() {
        let [nonce, first, _, signature] = SHA_1;
        for wrong in ["v=rmF9pqV8S7suAoZWja4dJRkFsKR=", "v=", "", "e=other-error", SHA_256[3]] {
            let mut sasl = begun(Mechanism::ScramSha1, nonce);
            challenge(&mut sasl, first).unwrap();
            worked(&mut sasl);
            assert_eq!(success(&mut sasl, wrong), Err("it does not know the password"), "{wrong}");
        }
        // Nor does one that says nothing, or too early.
        let mut sasl = begun(Mechanism::ScramSha1, nonce);
        assert_eq!(success(&mut sasl, signature), Err("it let us in without a proof"));
        challenge(&mut sasl, first).unwrap();
        assert_eq!(success(&mut sasl, signature), Err("it let us in without a proof"));
        assert_eq!(challenge(&mut sasl, first), Err("it sent a challenge out of turn"));
    }

    #[test]
    fn challenges_that_are_refused() {
        for (first, reason) in [
            ("r=other,s=QSXCR+Q6sek8bf92,i=4096", "its nonce is not ours"),
            ("r=NONCE,s=QSXCR+Q6sek8bf92,i=4096", "its nonce is not ours"),
            ("r=NONCEx,s=QSXCR+Q6sek8bf92,i=4095", "it asks for too few hashes"),
            ("r=NONCEx,s=QSXCR+Q6sek8bf92,i=200001", "it asks for too many hashes"),
            ("r=NONCEx,s=QSXCR+Q6sek8bf92,i=0", "its challenge can't be read"),
            ("r=NONCEx,s=QSXCR+Q6sek8bf92,i=99999999999", "its challenge can't be read"),
            ("r=NONCEx,s=QSXCR+Q6sek8bf9,i=4096", "its challenge can't be read"),
            ("r=NONCEx,s=,i=4096", "its challenge can't be read"),
            ("m=x,r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", "its challenge can't be read"),
            ("", "its challenge can't be read"),
        ] {
            let mut sasl = begun(Mechanism::ScramSha256, "NONCE");
            assert_eq!(challenge(&mut sasl, first), Err(reason), "{first}");
        }
        let long = format!("r=NONCE{},s=QSXCR+Q6sek8bf92,i=4096", "x".repeat(FIRST_BYTES));
        assert_eq!(challenge(&mut begun(Mechanism::ScramSha256, "NONCE"), &long), Err("its challenge can't be read"));
    }

    #[test]
    fn names_and_passwords_as_they_are_sent() {
        let who = Credentials { user: "a=b,c", password: "p\u{a0}\u{e5}" };
        let mut sasl = Sasl::new();
        assert_eq!(sent(|out| sasl.begin(&mut Random::new(), Mechanism::Plain, who, out)), "\0a=b,c\0p \u{e5}");
        assert_eq!(success(&mut sasl, ""), Ok(()));
        let first = sent(|out| sasl.begin(&mut Random::new(), Mechanism::ScramSha1, who, out));
        assert_eq!(first, format!("n,,n=a=3Db=2Cc,r={}", sasl.nonce));
    }
}
