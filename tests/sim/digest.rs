//! The phone's side of digest authentication (RFC 7616, RFC 8760): answers a challenge.

use crate::message::Msg;
use md5::Md5;
use sha2::{Digest, Sha256};

/// A challenge that was taken up, and how often its nonce was used.
#[derive(Clone, Debug)]
pub struct Nonce {
    /// What to write back.
    pub nonce: String,
    /// The realm.
    pub realm: String,
    /// `SHA-256` or `MD5`.
    pub algorithm: String,
    /// Uses so far.
    pub count: u32,
    /// Whether to answer without `qop`, as clients of RFC 2069 do.
    pub is_old: bool,
}

impl Nonce {
    /// Takes up the first challenge of an answer with this algorithm, or the first of all.
    pub fn of(answer: &Msg, algorithm: Option<&str>) -> Option<Self> {
        let challenges = answer.lines("WWW-Authenticate").chain(answer.lines("Proxy-Authenticate"));
        let nonces = challenges.map(|challenge| Self {
            nonce: quoted(challenge, "nonce"),
            realm: quoted(challenge, "realm"),
            algorithm: plain(challenge, "algorithm"),
            count: 0,
            is_old: false,
        });
        let mut nonces = nonces.filter(|nonce| algorithm.is_none_or(|algorithm| nonce.algorithm == algorithm));
        nonces.next()
    }

    /// The credentials for a request.
    pub fn credentials(&mut self, method: &str, uri: &str, user: &str, password: &str) -> String {
        let hash = |text: &str| match self.algorithm.as_str() {
            "SHA-256" => hex(&Sha256::digest(text)),
            _ => hex(&Md5::digest(text)),
        };
        self.count += 1;
        let a1 = hash(&format!("{user}:{}:{password}", self.realm));
        let a2 = hash(&format!("{method}:{uri}"));
        let head = format!(
            "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", algorithm={}",
            self.realm, self.nonce, self.algorithm
        );
        if self.is_old {
            return format!("{head}, response=\"{}\"", hash(&format!("{a1}:{}:{a2}", self.nonce)));
        }
        let count = format!("{:08x}", self.count);
        let response = hash(&format!("{a1}:{}:{count}:c0ffee:auth:{a2}", self.nonce));
        format!("{head}, response=\"{response}\", qop=auth, nc={count}, cnonce=\"c0ffee\"")
    }
}

/// A parameter in quotes.
pub fn quoted(challenge: &str, name: &str) -> String {
    let start = challenge.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {challenge}"));
    challenge[start + name.len() + 2..].split('"').next().unwrap().into()
}

fn plain(challenge: &str, name: &str) -> String {
    let start = challenge.find(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {challenge}"));
    challenge[start + name.len() + 1..].split([',', ' ']).next().unwrap().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
