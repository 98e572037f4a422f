//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): SHA-256 and MD5, `qop=auth`.
//!
//! A nonce is sealed, so that challenging costs no memory; the first use of one begins a record that counts its uses, in
//! any order within a window, and refuses a second. Old clients without `qop` may use a nonce once. Leaves out `auth-int`,
//! `userhash`, `Authentication-Info` and the `-sess` algorithms.

use md5::Md5;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::base::limits::NONCES;
use crate::base::random::{Purpose, Random};
use crate::base::secret::Secret;
use crate::base::table::Index;
use crate::base::text::{Writer, hex_encode, hex_number, same_secret};
use crate::base::time::Instant;
use crate::wire::sip::Credentials;

/// How long a nonce serves.
const NONCE_LIFE_MS: u64 = 3_600_000;
/// A nonce is the millisecond of its issue above so many random bits, and a seal.
const UNIQUE_BITS: u32 = 24;
const NONCE_CHARS: usize = 32;
/// Uses of a nonce that may come out of order.
const WINDOW: u32 = 64;

/// Why credentials are not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The nonce is too old or not ours; with a new one the same password may do.
    Stale,
    /// The nonce was used so before: a replay.
    Replayed,
    /// The password is wrong.
    Wrong,
    /// They are incomplete, or use what was not offered.
    Malformed,
}

/// Counts the uses of nonces.
pub struct Nonces {
    records: [Record; NONCES],
    index: Index<{ 2 * NONCES }>,
    next: usize,
    /// Nonces issued up to this millisecond may have been dropped from the records: unknown ones are stale.
    floor_ms: u64,
}

#[derive(Clone, Copy)]
struct Record {
    /// Issue time and random part; 0 when unused.
    nonce: u64,
    highest: u32,
    /// Bit i: use number `highest - i` was seen.
    seen: u64,
}

impl Nonces {
    /// No nonce in use.
    pub const fn new() -> Self {
        Self { records: [Record { nonce: 0, highest: 0, seen: 0 }; NONCES], index: Index::new(), next: 0, floor_ms: 0 }
    }

    /// A new start: how often a nonce of an earlier one was used is not known. Those are stale, as is told by the key of
    /// their seal, for the clock may have begun anew with the machine.
    pub fn begin(&mut self, now: Instant) {
        self.floor_ms = issue_ms(now) - 1;
    }

    /// Appends one challenge for each algorithm of the list, strongest first, as fields named `field`.
    pub fn challenge(now: Instant, random: &mut Random, challenge: &Challenge<'_>, out: &mut Writer<'_>) {
        let nonce = issue_ms(now) << UNIQUE_BITS | random.number() >> (64 - UNIQUE_BITS);
        for (algorithm, is_offered) in [("SHA-256", challenge.sha256), ("MD5", challenge.md5)] {
            if !is_offered {
                continue;
            }
            out.text(challenge.field);
            out.text(": Digest realm=\"");
            out.text(challenge.realm);
            out.text("\", nonce=\"");
            out.hex(nonce, 16);
            out.hex(seal(random, nonce), 16);
            out.text("\", qop=\"auth\", algorithm=");
            out.text(algorithm);
            out.text(if challenge.is_stale { ", stale=true\r\n" } else { "\r\n" });
        }
    }

    /// Checks credentials for one request against a secret, and counts the use of the nonce.
    pub fn verify(
        &mut self,
        now: Instant,
        random: &Random,
        credentials: &Credentials<'_>,
        method: &[u8],
        secret: &Secret,
    ) -> Result<(), Refusal> {
        let nonce = self.known(now, random, credentials.nonce)?;
        let is_right = match credentials.algorithm {
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => {
                let ha1 = secret.sha256.ok_or(Refusal::Wrong)?;
                is_right::<Sha256>(&ha1, credentials, method)
            }
            Some(name) if !name.eq_ignore_ascii_case(b"MD5") => return Err(Refusal::Malformed),
            _ => is_right::<Md5>(&secret.md5.ok_or(Refusal::Wrong)?, credentials, method),
        };
        if !is_right {
            return Err(Refusal::Wrong);
        }
        // Only who knows the password gets a record, so strangers can't push others out.
        let count = match (credentials.qop, credentials.nc) {
            (Some(qop), Some(nc)) if qop.eq_ignore_ascii_case(b"auth") && nc.len() == 8 => {
                hex_number(nc).map(|nc| nc as u32).filter(|nc| *nc > 0).ok_or(Refusal::Malformed)?
            }
            (None, _) => u32::MAX,
            _ => return Err(Refusal::Malformed),
        };
        self.count(random, nonce, count)
    }

    fn known(&self, now: Instant, random: &Random, text: &[u8]) -> Result<u64, Refusal> {
        if text.len() != NONCE_CHARS {
            return Err(Refusal::Stale);
        }
        let nonce = hex_number(&text[..16]).ok_or(Refusal::Stale)?;
        let mac = hex_number(&text[16..]).ok_or(Refusal::Stale)?;
        let is_ours = same_secret(&mac.to_be_bytes(), &seal(random, nonce).to_be_bytes());
        let issued_ms = nonce >> UNIQUE_BITS;
        if !is_ours || issued_ms > issue_ms(now) || issue_ms(now) - issued_ms > NONCE_LIFE_MS {
            return Err(Refusal::Stale);
        }
        Ok(nonce)
    }

    fn count(&mut self, random: &Random, nonce: u64, count: u32) -> Result<(), Refusal> {
        let hash = table_hash(random, nonce);
        if let Some(at) = self.index.find(hash, |at| self.records[at].nonce == nonce) {
            return self.records[at].count(count);
        }
        if nonce >> UNIQUE_BITS <= self.floor_ms {
            return Err(Refusal::Stale);
        }
        let oldest = self.records[self.next];
        if oldest.nonce != 0 {
            self.index.remove(table_hash(random, oldest.nonce), self.next);
            self.floor_ms = self.floor_ms.max(oldest.nonce >> UNIQUE_BITS);
        }
        self.records[self.next] = Record { nonce, highest: count, seen: 1 };
        self.index.insert(hash, self.next);
        self.next = (self.next + 1) % NONCES;
        Ok(())
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    fn count(&mut self, count: u32) -> Result<(), Refusal> {
        if count > self.highest {
            let shift = count - self.highest;
            self.seen = if shift < WINDOW { self.seen << shift } else { 0 } | 1;
            self.highest = count;
            return Ok(());
        }
        let back = self.highest - count;
        if back >= WINDOW || self.seen & (1 << back) != 0 {
            return Err(Refusal::Replayed);
        }
        self.seen |= 1 << back;
        Ok(())
    }
}

/// What a challenge offers.
pub struct Challenge<'a> {
    /// `WWW-Authenticate` or `Proxy-Authenticate`.
    pub field: &'a str,
    /// The realm: the home's domain.
    pub realm: &'a str,
    /// Whether only the nonce was at fault.
    pub is_stale: bool,
    /// Whether SHA-256 is offered.
    pub sha256: bool,
    /// Whether MD5 is offered.
    pub md5: bool,
}

/// Milliseconds since a moment before the start, so that no nonce is issued at 0.
fn issue_ms(now: Instant) -> u64 {
    now.millis() + 1
}

fn seal(random: &Random, nonce: u64) -> u64 {
    let mut hash = random.hash(Purpose::Nonce);
    hash.put(&nonce.to_be_bytes());
    hash.finish()
}

fn table_hash(random: &Random, nonce: u64) -> u32 {
    let mut hash = random.hash(Purpose::Table);
    hash.put(&nonce.to_be_bytes());
    hash.finish() as u32
}

/// Whether the response is the right one (RFC 7616 §3.4.1).
fn is_right<D: Digest>(ha1: &[u8], credentials: &Credentials<'_>, method: &[u8]) -> bool {
    let mut hex = [0; 64];
    let mut ha2 = D::new();
    ha2.update(method);
    ha2.update(b":");
    ha2.update(credentials.uri);
    let ha2 = ha2.finalize();

    let mut response = D::new();
    response.update(hex_encode(ha1, &mut hex));
    response.update(b":");
    response.update(credentials.nonce);
    if let (Some(qop), Some(nc)) = (credentials.qop, credentials.nc) {
        response.update(b":");
        response.update(nc);
        response.update(b":");
        quoted_into(&mut response, credentials.cnonce.unwrap_or_default());
        response.update(b":");
        response.update(qop);
    }
    response.update(b":");
    response.update(hex_encode(&ha2, &mut hex));
    let response: Output<D> = response.finalize();
    let expected = hex_encode(&response, &mut hex);
    let mut given = [0; 64];
    let Some(given) = given.get_mut(..credentials.response.len()) else { return false };
    given.copy_from_slice(credentials.response);
    given.make_ascii_lowercase();
    same_secret(expected, given)
}

/// Hashes the content of a quoted string without its backslashes.
fn quoted_into<D: Digest>(digest: &mut D, text: &[u8]) {
    crate::wire::sip::quoted_content(text).for_each(|byte| digest.update([byte]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::Credentials;

    const NOW: Instant = Instant::from_millis(100_000);

    fn secret() -> Secret {
        Secret {
            md5: Some(Md5::digest(b"alice:home.test:secret").into()),
            sha256: Some(Sha256::digest(b"alice:home.test:secret").into()),
        }
    }

    fn hex(bytes: &[u8]) -> std::string::String {
        bytes.iter().map(|byte| std::format!("{byte:02x}")).collect()
    }

    fn nonce(now: Instant, random: &mut Random) -> std::string::String {
        let mut buffer = [0; 512];
        let mut out = Writer::new(&mut buffer);
        let challenge =
            Challenge { field: "WWW-Authenticate", realm: "home.test", is_stale: false, sha256: true, md5: true };
        Nonces::challenge(now, random, &challenge, &mut out);
        let text = std::string::String::from_utf8(out.written().to_vec()).unwrap();
        assert!(text.find("SHA-256").unwrap() < text.find("MD5").unwrap());
        text.split("nonce=\"").nth(1).unwrap()[..NONCE_CHARS].into()
    }

    fn credentials(nonce: &str, password: &str, algorithm: &str, nc: Option<&str>) -> std::string::String {
        let h = |text: &str| if algorithm == "MD5" { hex(&Md5::digest(text)) } else { hex(&Sha256::digest(text)) };
        let ha1 = h(&std::format!("alice:home.test:{password}"));
        let ha2 = h("REGISTER:sip:home.test");
        let middle = nc.map(|nc| std::format!(":{nc}:xyz:auth")).unwrap_or_default();
        let response = h(&std::format!("{ha1}:{nonce}{middle}:{ha2}"));
        let count = nc.map(|nc| std::format!(", qop=auth, nc={nc}, cnonce=\"xyz\"")).unwrap_or_default();
        std::format!(
            "Digest username=\"alice\", realm=\"home.test\", nonce=\"{nonce}\", uri=\"sip:home.test\", \
             response=\"{response}\", algorithm={algorithm}{count}"
        )
    }

    fn verify(nonces: &mut Nonces, now: Instant, random: &Random, text: &str) -> Result<(), Refusal> {
        let credentials = Credentials::parse(text.as_bytes()).unwrap().unwrap();
        nonces.verify(now, random, &credentials, b"REGISTER", &secret())
    }

    #[test]
    fn right_wrong_and_replayed() {
        let (mut nonces, mut random) = (Nonces::new(), Random::new());
        let fresh = nonce(NOW, &mut random);
        for algorithm in ["MD5", "SHA-256"] {
            let fresh = nonce(NOW, &mut random);
            let wrong = credentials(&fresh, "guess", algorithm, Some("00000001"));
            assert_eq!(verify(&mut nonces, NOW, &random, &wrong), Err(Refusal::Wrong));
            let right = credentials(&fresh, "secret", algorithm, Some("00000001"));
            assert_eq!(verify(&mut nonces, NOW, &random, &right), Ok(()));
            assert_eq!(verify(&mut nonces, NOW, &random, &right), Err(Refusal::Replayed));
            let third = credentials(&fresh, "secret", algorithm, Some("00000003"));
            assert_eq!(verify(&mut nonces, NOW, &random, &third), Ok(()));
            let late = credentials(&fresh, "secret", algorithm, Some("00000002"));
            assert_eq!(verify(&mut nonces, NOW, &random, &late), Ok(()));
            assert_eq!(verify(&mut nonces, NOW, &random, &late), Err(Refusal::Replayed));
        }
        let other = credentials(&fresh, "secret", "SHA-512-256", Some("00000001"));
        assert_eq!(verify(&mut nonces, NOW, &random, &other), Err(Refusal::Malformed));
    }

    #[test]
    fn without_qop_once_only() {
        let (mut nonces, mut random) = (Nonces::new(), Random::new());
        let old = credentials(&nonce(NOW, &mut random), "secret", "MD5", None);
        assert_eq!(verify(&mut nonces, NOW, &random, &old), Ok(()));
        assert_eq!(verify(&mut nonces, NOW, &random, &old), Err(Refusal::Replayed));
    }

    #[test]
    fn what_was_used_before_a_reboot_is_no_use_after_it() {
        let (mut nonces, mut random) = (Nonces::new(), Random::new());
        random.seed([1; 16], [9; 16]);
        nonces.begin(Instant::from_millis(10_000));
        let text = credentials(&nonce(NOW, &mut random), "secret", "MD5", Some("00000001"));
        assert_eq!(verify(&mut nonces, NOW, &random, &text), Ok(()));
        // The clock begins anew with the machine, and comes again to when that was.
        nonces = Nonces::new();
        random.seed([2; 16], [9; 16]);
        nonces.begin(Instant::from_millis(10_000));
        for now in [Instant::from_millis(20_000), NOW, NOW.plus(1_000)] {
            assert_eq!(verify(&mut nonces, now, &random, &text), Err(Refusal::Stale));
        }
    }

    #[test]
    fn nonces_age_and_are_sealed() {
        let (mut nonces, mut random) = (Nonces::new(), Random::new());
        let fresh = nonce(NOW, &mut random);
        let text = credentials(&fresh, "secret", "MD5", Some("00000001"));
        let late = NOW.plus(NONCE_LIFE_MS + 1);
        assert_eq!(verify(&mut nonces, late, &random, &text), Err(Refusal::Stale));
        let forged = credentials(&fresh.replacen(&fresh[..1], "f", 1), "secret", "MD5", Some("00000001"));
        assert_eq!(verify(&mut nonces, NOW, &random, &forged), Err(Refusal::Stale));
        let foreign = credentials("abc", "secret", "MD5", Some("00000001"));
        assert_eq!(verify(&mut nonces, NOW, &random, &foreign), Err(Refusal::Stale));
    }

    #[test]
    fn dropped_records_can_not_be_replayed() {
        let (mut nonces, mut random) = (Nonces::new(), Random::new());
        let first = credentials(&nonce(NOW, &mut random), "secret", "MD5", Some("00000001"));
        assert_eq!(verify(&mut nonces, NOW, &random, &first), Ok(()));
        let later = NOW.plus(5_000);
        for _ in 0..NONCES {
            let text = credentials(&nonce(later, &mut random), "secret", "MD5", Some("00000001"));
            assert_eq!(verify(&mut nonces, later, &random, &text), Ok(()));
        }
        assert_eq!(verify(&mut nonces, later, &random, &first), Err(Refusal::Stale));
    }
}
