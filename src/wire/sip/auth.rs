//! Digest credentials and challenges (RFC 3261 §20.7, §20.27, §20.28, §20.44; RFC 7616, RFC 8760).
//!
//! Left out: other schemes, which are `None`; `auth-param`s nobody here acts on (`userhash`, `domain`), which are skipped.
//! Values come without their quotes, with the escapes within; see [`quoted_content`](super::quoted_content).

use super::lex::{self, Fault, TOKEN, VALUE};

/// Digest credentials: Authorization and Proxy-Authorization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of RFC 7616 §3.4")]
pub struct Credentials<'b> {
    pub username: &'b [u8],
    pub realm: &'b [u8],
    pub nonce: &'b [u8],
    pub uri: &'b [u8],
    pub response: &'b [u8],
    pub algorithm: Option<&'b [u8]>,
    pub cnonce: Option<&'b [u8]>,
    pub opaque: Option<&'b [u8]>,
    pub qop: Option<&'b [u8]>,
    /// As written, as the digest needs it; eight hexadecimal digits when it is well formed.
    pub nc: Option<&'b [u8]>,
}

impl<'b> Credentials<'b> {
    /// Reads a value; `None` when it is of another scheme. A fault is a 400: malformed, a part repeated or missing.
    pub fn parse(value: &'b [u8]) -> Result<Option<Self>, Fault> {
        let Some(parts) = Parts::parse(value)? else { return Ok(None) };
        Ok(Some(Self {
            username: parts.required(USERNAME)?,
            realm: parts.required(REALM)?,
            nonce: parts.required(NONCE)?,
            uri: parts.required(DIGEST_URI)?,
            response: parts.required(RESPONSE)?,
            algorithm: parts.get(ALGORITHM),
            cnonce: parts.get(CNONCE),
            opaque: parts.get(OPAQUE),
            qop: parts.get(QOP),
            nc: parts.get(NC),
        }))
    }
}

/// A Digest challenge: WWW-Authenticate and Proxy-Authenticate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of RFC 7616 §3.3")]
pub struct Challenge<'b> {
    pub realm: &'b [u8],
    pub nonce: &'b [u8],
    pub algorithm: Option<&'b [u8]>,
    pub opaque: Option<&'b [u8]>,
    /// A list, for [`tokens`](super::tokens).
    pub qop: Option<&'b [u8]>,
    /// Whether only the nonce was too old.
    pub stale: bool,
}

impl<'b> Challenge<'b> {
    /// Reads a value; `None` when it is of another scheme. A fault is a 400: malformed, a part repeated or missing.
    pub fn parse(value: &'b [u8]) -> Result<Option<Self>, Fault> {
        let Some(parts) = Parts::parse(value)? else { return Ok(None) };
        Ok(Some(Self {
            realm: parts.required(REALM)?,
            nonce: parts.required(NONCE)?,
            algorithm: parts.get(ALGORITHM),
            opaque: parts.get(OPAQUE),
            qop: parts.get(QOP),
            stale: parts.get(STALE).is_some_and(|stale| stale.eq_ignore_ascii_case(b"true")),
        }))
    }
}

/// The known parameters of a Digest value, by their place in [`NAMES`].
struct Parts<'b>([Option<&'b [u8]>; NAMES.len()]);

impl<'b> Parts<'b> {
    fn parse(value: &'b [u8]) -> Result<Option<Self>, Fault> {
        let (rest, scheme) = lex::run(TOKEN)(lex::trim(value)).map_err(|_| MALFORMED)?;
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return Ok(None);
        }
        let mut parts = [None; NAMES.len()];
        for text in lex::list(rest) {
            let (name, value) = part(text)?;
            if let Some(at) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
                && parts[at].replace(value).is_some()
            {
                return Err(MALFORMED);
            }
        }
        Ok(Some(Self(parts)))
    }

    fn get(&self, at: usize) -> Option<&'b [u8]> {
        self.0[at]
    }

    fn required(&self, at: usize) -> Result<&'b [u8], Fault> {
        self.0[at].ok_or(Fault::bad("Incomplete Digest"))
    }
}

/// One `name=value`, without the quotes.
fn part(text: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (rest, name) = lex::token(text).map_err(|_| MALFORMED)?;
    let (rest, ()) = lex::separator(b'=')(rest).map_err(|_| MALFORMED)?;
    match rest {
        [b'"', ..] => match lex::quoted(rest) {
            Ok(([], [b'"', content @ .., b'"'])) => Ok((name, content)),
            _ => Err(MALFORMED),
        },
        [_, ..] if lex::all(rest, VALUE) => Ok((name, rest)),
        _ => Err(MALFORMED),
    }
}

const NAMES: [&[u8]; 11] =
    [b"username", b"realm", b"nonce", b"uri", b"response", b"algorithm", b"cnonce", b"opaque", b"qop", b"nc", b"stale"];
const USERNAME: usize = 0;
const REALM: usize = 1;
const NONCE: usize = 2;
const DIGEST_URI: usize = 3;
const RESPONSE: usize = 4;
const ALGORITHM: usize = 5;
const CNONCE: usize = 6;
const OPAQUE: usize = 7;
const QOP: usize = 8;
const NC: usize = 9;
const STALE: usize = 10;

const MALFORMED: Fault = Fault::bad("Malformed Digest");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let value = b"digest username=\"a\\\"b,c\", realm = \"h\" ,nonce=\"n\",uri=\"sip:h;x=\\\"\", response=\"00ff\",\r\n algorithm=MD5, \
            cnonce=\"c\", qop=auth, nc=00000001, opaque=\"\", userhash=false";
        let credentials = Credentials::parse(value).unwrap().unwrap();
        assert_eq!((credentials.username, credentials.realm), (&b"a\\\"b,c"[..], &b"h"[..]));
        assert_eq!((credentials.uri, credentials.response), (&b"sip:h;x=\\\""[..], &b"00ff"[..]));
        assert_eq!((credentials.algorithm, credentials.cnonce), (Some(&b"MD5"[..]), Some(&b"c"[..])));
        assert_eq!(
            (credentials.qop, credentials.nc, credentials.opaque),
            (Some(&b"auth"[..]), Some(&b"00000001"[..]), Some(&b""[..]))
        );
        assert_eq!(Credentials::parse(b"NoOneKnowsThisScheme opaque-data=here"), Ok(None));
    }

    #[test]
    fn faults() {
        for bad in [
            &b""[..],
            b"Digest",
            b"Digest username=\"a\"",
            b"Digest username=\"a,realm=\"b\"",
            b"Digest username",
            b"Digest realm=\"r\",nonce=\"n\",nonce=\"n\"",
            b"Digest realm=\"r\" x,nonce=\"n\"",
            b"Digest realm=,nonce=\"n\"",
        ] {
            assert!(Credentials::parse(bad).is_err(), "{}", bad.escape_ascii());
            assert!(Challenge::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn challenge() {
        let challenge =
            Challenge::parse(b"Digest realm=\"h\", nonce=\"n\", qop=\"auth,auth-int\", stale=TRUE, algorithm=SHA-256")
                .unwrap()
                .unwrap();
        assert_eq!((challenge.realm, challenge.nonce, challenge.stale), (&b"h"[..], &b"n"[..], true));
        assert!(lex::tokens(challenge.qop.unwrap()).eq([&b"auth"[..], b"auth-int"]));
        assert_eq!((challenge.algorithm, challenge.opaque), (Some(&b"SHA-256"[..]), None));
    }
}
