//! The server's side of SASL (RFC 4422): SCRAM-SHA-1 and -SHA-256 (RFC 5802, RFC 7677) without channel binding, and PLAIN
//! (RFC 4616). Passwords are taken as they are: no SASLprep.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    pub fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac(Hmac::<Sha1>::new_from_slice(key), data),
            Self::Sha256 => mac(Hmac::<Sha256>::new_from_slice(key), data),
        }
    }

    /// PBKDF2 (RFC 8018 §5.2), one block.
    pub fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut last = self.hmac(password, &[salt, &[0, 0, 0, 1]].concat());
        let mut out = last.clone();
        for _ in 1..iterations {
            last = self.hmac(password, &last);
            out.iter_mut().zip(&last).for_each(|(o, l)| *o ^= l);
        }
        out
    }
}

fn mac<M: Mac, E: std::fmt::Debug>(new: Result<M, E>, data: &[u8]) -> Vec<u8> {
    let mut mac = new.expect("a key of HMAC may have any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// What a server keeps of a password for one mechanism, ready for use.
#[derive(Clone)]
pub struct Keys {
    iterations: u32,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl Keys {
    pub fn new(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.salted(password.as_bytes(), salt, iterations);
        let stored = hash.digest(&hash.hmac(&salted, b"Client Key"));
        Self { iterations, stored, server: hash.hmac(&salted, b"Server Key") }
    }
}

/// The keys of all mechanisms that were used.
pub type KeyRing = BTreeMap<(Hash, u32), Keys>;

/// A SCRAM exchange that waits for the client's final message.
pub struct Scram {
    pub user: String,
    hash: Hash,
    keys: Keys,
    gs2: String,
    nonce: String,
    /// `client-first-message-bare,server-first-message`.
    messages: String,
}

/// The client's first message, read.
pub struct First {
    pub user: String,
    gs2: String,
    bare: String,
    nonce: String,
}

impl First {
    /// Reads `n,,n=USER,r=NONCE`. `y` is taken as `n`, since no binding is offered; an authorization identity and
    /// extensions are refused.
    pub fn read(message: &str) -> Option<Self> {
        let bare = message.strip_prefix("n,,").or_else(|| message.strip_prefix("y,,"))?;
        let (user, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
        if user.contains(',') || nonce.is_empty() || !nonce.bytes().all(|b| matches!(b, 0x21..=0x2b | 0x2d..=0x7e)) {
            return None;
        }
        let user = unescaped(user)?;
        Some(Self { user, gs2: message[..3].into(), bare: bare.into(), nonce: nonce.into() })
    }

    /// The exchange that follows, and the server's first message.
    pub fn challenge(self, hash: Hash, keys: Keys, salt: &[u8], server_nonce: &str) -> (Scram, String) {
        let nonce = format!("{}{server_nonce}", self.nonce);
        let challenge = format!("r={nonce},s={},i={}", base64(salt), keys.iterations);
        let messages = format!("{},{challenge}", self.bare);
        (Scram { user: self.user, hash, keys, gs2: self.gs2, nonce, messages }, challenge)
    }
}

impl Scram {
    /// Checks the client's final message; the server's final message if it holds.
    pub fn finish(&self, message: &str) -> Option<String> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        if without_proof != format!("c={},r={}", base64(self.gs2.as_bytes()), self.nonce) {
            return None;
        }
        let signed = format!("{},{without_proof}", self.messages);
        let signature = self.hash.hmac(&self.keys.stored, signed.as_bytes());
        let proof = unbase64(proof)?;
        if proof.len() != signature.len() {
            return None;
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(p, s)| p ^ s).collect();
        let is_right = self.hash.digest(&client_key) == self.keys.stored;
        is_right.then(|| format!("v={}", base64(&self.hash.hmac(&self.keys.server, signed.as_bytes()))))
    }
}

/// The name in a SCRAM message: `=2C` is a comma, `=3D` an equals sign, and nothing else follows one.
fn unescaped(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('=') {
        out.push_str(before);
        out.push(if after.starts_with("2C") { ',' } else { after.starts_with("3D").then_some('=')? });
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

/// The name and the password of PLAIN.
pub fn plain(message: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.split('\0');
    let (Some(""), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    Some((user.into(), password.into()))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648 §4), with its padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * n)) as usize & 63];
            out.push(if n <= chunk.len() { digit as char } else { '=' });
        }
    }
    out
}

/// The reverse; `None` for what is not canonical.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let used = chunk.iter().position(|b| *b == b'=').unwrap_or(chunk.len());
        let mut bits = 0;
        for b in &chunk[..used] {
            bits = bits << 6 | ALPHABET.iter().position(|a| a == b)? as u32;
        }
        out.extend_from_slice(&(bits << (6 * (4 - used)) << 8).to_be_bytes()[..used.checked_sub(1)?]);
    }
    (base64(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 5802 §5 and RFC 7677 §3.
    #[test]
    fn examples_of_scram() {
        let sha_1 = (Hash::Sha1, "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92");
        check(sha_1, "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
        let sha_256 =
            (Hash::Sha256, "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==");
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        check(sha_256, proof, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    fn check((hash, client, server, salt): (Hash, &str, &str, &str), proof: &str, last: &str) {
        let salt = unbase64(salt).unwrap();
        let first = First::read(&format!("n,,n=user,r={client}")).unwrap();
        let (scram, challenge) = first.challenge(hash, Keys::new(hash, "pencil", &salt, 4096), &salt, server);
        assert_eq!(challenge, format!("r={client}{server},s={},i=4096", base64(&salt)));
        assert_eq!(scram.finish(&format!("c=biws,r={client}{server},p={proof}")).as_deref(), Some(last));
        assert_eq!(scram.finish(&format!("c=biws,r={client}{server},p=A{}", &proof[1..])), None);
        assert_eq!(scram.finish(&format!("c=eSws,r={client}{server},p={proof}")), None);
        assert_eq!(scram.finish(&format!("c=biws,r={client},p={proof}")), None);
    }

    #[test]
    fn first_messages() {
        assert_eq!(First::read("n,,n=a=2Cb=3Dc,r=x").unwrap().user, "a,b=c");
        for bad in
            ["n,,n=a=2Db,r=x", "n,,n=a,r=", "p=tls-unique,,n=a,r=x", "n,a=b,n=a,r=x", "n,,n=a,r=x,y", "n,,n=é=,r=x"]
        {
            assert!(First::read(bad).is_none(), "{bad}");
        }
        assert_eq!(plain(b"\0bob\0secret"), Some(("bob".into(), "secret".into())));
        assert_eq!(plain(b"bob\0secret"), None);
    }

    #[test]
    fn base64_both_ways() {
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), encoded);
            assert_eq!(unbase64(encoded).unwrap(), text.as_bytes());
        }
        for bad in ["Zg=", "Zg", "Zh==", "Z===", "====", "Zm9v=", "Zm 9v", "Zg==Zg=="] {
            assert_eq!(unbase64(bad), None, "{bad}");
        }
    }
}
