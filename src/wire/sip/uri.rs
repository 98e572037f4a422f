//! SIP and SIPS URIs (RFC 3261 §19.1) with their comparison (§19.1.4), and tel URIs (RFC 3966).
//!
//! Accepted beyond the grammar: characters in the user part that other elements forget to escape (`#`, for one). The
//! host follows the first `@`. URIs of other schemes are only split at their colon.

use super::host::{self, Host};
use super::lex::{self, Fault, TOKEN, URI, USERINFO};
use super::params::Params;
use crate::base::text::Writer;
use memchr::memchr;

/// A URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Uri<'b> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'b>),
    /// `tel:`.
    Tel(TelUri<'b>),
    /// Any other scheme, which is not looked into.
    Other {
        /// What is before the colon.
        scheme: &'b [u8],
        /// What is after it.
        rest: &'b [u8],
    },
}

/// A SIP or SIPS URI. Equality of these values is that of their parts as written; [`Uri::equals`] is that of SIP.
#[derive(Clone, Copy, Debug)]
pub struct SipUri<'b> {
    /// All of it.
    pub raw: &'b [u8],
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// The user, escapes as they are, without the password.
    pub user: Option<&'b [u8]>,
    /// The host.
    pub host: Host<'b>,
    /// The host as written, IPv6 with brackets.
    pub host_raw: &'b [u8],
    /// The port, if there is one.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'b>,
    /// What is after the question mark; empty if there is none.
    pub headers: &'b [u8],
}

/// A tel URI.
#[derive(Clone, Copy, Debug)]
pub struct TelUri<'b> {
    /// All of it.
    pub raw: &'b [u8],
    /// The number with its visual separators, and `+` when it is global.
    pub number: &'b [u8],
    /// The parameters.
    pub params: Params<'b>,
}

impl<'b> Uri<'b> {
    /// Reads all of `text`. A fault is a 400: no scheme, or a `sip`, `sips` or `tel` URI that can't be read.
    pub fn parse(text: &'b [u8]) -> Result<Self, Fault> {
        let colon = match text {
            [b's', b'i', b'p', b':', ..] => 3,
            _ => memchr(b':', text).ok_or(BAD_URI)?,
        };
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
            SipUri::parse_rest(text, rest, scheme.len() == 4).map(Self::Sip)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            TelUri::parse_rest(text, rest).map(Self::Tel)
        } else if is_absolute(text) {
            Ok(Self::Other { scheme, rest })
        } else {
            Err(BAD_URI)
        }
    }

    /// The SIP or SIPS URI, when it is one.
    pub fn sip(&self) -> Option<&SipUri<'b>> {
        match self {
            Self::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// Whether both mean the same resource: RFC 3261 §19.1.4, RFC 3966 §4; other schemes byte by byte.
    pub fn equals(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            (Self::Sip(a), Uri::Sip(b)) => a.equals(b),
            (Self::Tel(a), Uri::Tel(b)) => a.equals(b),
            (Self::Other { scheme, rest }, Uri::Other { scheme: scheme_b, rest: rest_b }) => {
                scheme.eq_ignore_ascii_case(scheme_b) && rest == rest_b
            }
            _ => false,
        }
    }

    /// Writes the URI.
    pub fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Sip(uri) => uri.write(out),
            Self::Tel(uri) => uri.write(out),
            Self::Other { scheme, rest } => [*scheme, b":", rest].iter().for_each(|part| out.put(part)),
        }
    }
}

impl<'b> SipUri<'b> {
    #[inline]
    fn parse_rest(raw: &'b [u8], rest: &'b [u8], secure: bool) -> Result<Self, Fault> {
        // What ends these characters but is no `@` can stand in no host either, so an `@` after it is of no interest.
        let (user, rest) = match rest.split_at(lex::span(rest, USERINFO)) {
            (info, [b'@', rest @ ..]) => (Some(user_of(info)?), rest),
            _ => (None, rest),
        };
        let (mut rest, (host, host_raw)) = host::host(rest).map_err(|_| Fault::bad("Malformed Host in URI"))?;
        let mut port = None;
        if let Some((b':', after)) = rest.split_first() {
            let (after, number) = host::port(after).map_err(|_| Fault::bad("Malformed Port in URI"))?;
            (port, rest) = (Some(number), after);
        }
        let (params, headers) = match lex::find(b'?', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &b""[..]),
        };
        if !lex::all(headers, URI) {
            return Err(BAD_URI);
        }
        Ok(Self { raw, secure, user, host, host_raw, port, params: Params::parse_uri(params)?, headers })
    }

    /// RFC 3261 §19.1.4.
    pub fn equals(&self, other: &SipUri<'_>) -> bool {
        self.secure == other.secure
            && same_option(self.user, other.user)
            && same_option(self.password(), other.password())
            && self.host.eq_ignore_case(&other.host)
            && self.port == other.port
            && same_params(&self.params, &other.params)
            && same_headers(self.headers, other.headers)
    }

    /// The password, which is what stands between the user and the host. It is not kept: hardly any URI has one.
    pub fn password(&self) -> Option<&'b [u8]> {
        let start = self.raw.as_ptr() as usize;
        let user = self.user?;
        let user_end = user.as_ptr() as usize + user.len() - start;
        let host = self.host_raw.as_ptr() as usize - start;
        self.raw.get(user_end..host)?.strip_prefix(b":")?.strip_suffix(b"@")
    }

    /// The value of the `transport` parameter.
    pub fn transport(&self) -> Option<&'b [u8]> {
        self.params.value(b"transport")
    }

    /// Whether it asks for loose routing (RFC 3261 §19.1.1).
    pub fn is_loose_router(&self) -> bool {
        self.params.has(b"lr")
    }

    /// Writes the URI from its parts; [`raw`](Self::raw) is what it was read from.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.text(if self.secure { "sips:" } else { "sip:" });
        if let Some(user) = self.user {
            out.put(user);
            if let Some(password) = self.password() {
                out.text(":");
                out.put(password);
            }
            out.text("@");
        }
        self.host.write(out);
        if let Some(port) = self.port {
            out.text(":");
            out.number(port.into());
        }
        out.put(self.params.raw());
        if !self.headers.is_empty() {
            out.text("?");
            out.put(self.headers);
        }
    }
}

impl PartialEq for SipUri<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.secure, self.user, self.password(), self.host, self.port, self.params, self.headers)
            == (other.secure, other.user, other.password(), other.host, other.port, other.params, other.headers)
    }
}

impl Eq for SipUri<'_> {}

impl<'b> TelUri<'b> {
    fn parse_rest(raw: &'b [u8], rest: &'b [u8]) -> Result<Self, Fault> {
        let (number, params) = rest.split_at(memchr(b';', rest).unwrap_or(rest.len()));
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let is_global = digits.len() < number.len();
        let is_number = |byte: &u8| if is_global { byte.is_ascii_digit() } else { is_local(*byte) };
        if !digits.iter().any(is_number) || !digits.iter().all(|byte| is_number(byte) || is_visual(*byte)) {
            return Err(Fault::bad("Malformed Telephone Number"));
        }
        Ok(Self { raw, number, params: Params::parse_uri(params)? })
    }

    /// Whether the number is valid everywhere.
    pub fn is_global(&self) -> bool {
        self.number.first() == Some(&b'+')
    }

    /// The number without visual separators.
    pub fn digits(&self) -> impl Iterator<Item = u8> + use<'b> {
        self.number.iter().copied().filter(|byte| !is_visual(*byte))
    }

    /// RFC 3966 §4: numbers without separators, and the same parameters on both sides.
    pub fn equals(&self, other: &TelUri<'_>) -> bool {
        let covers = |a: &Params<'_>, b: &Params<'_>| {
            a.spans().all(|param| {
                let mut namesakes = b.spans().filter(|other| lex::unescaped_eq(other.name, param.name, true));
                namesakes.any(|other| same_value(param.name, param.value, other.value))
            })
        };
        self.digits().map(|byte| byte.to_ascii_lowercase()).eq(other.digits().map(|byte| byte.to_ascii_lowercase()))
            && covers(&self.params, &other.params)
            && covers(&other.params, &self.params)
    }

    /// Writes the URI.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.text("tel:");
        out.put(self.number);
        out.put(self.params.raw());
    }
}

impl PartialEq for TelUri<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.params) == (other.number, other.params)
    }
}

impl Eq for TelUri<'_> {}

/// Whether `text` can be an absolute URI: a scheme, a colon, and no white space or bracket.
pub(super) fn is_absolute(text: &[u8]) -> bool {
    absolute(text) == Some(text.len())
}

/// The length of the absolute URI that `text` begins with: a scheme, a colon, and all up to white space or a bracket.
#[inline]
pub(super) fn absolute(text: &[u8]) -> Option<usize> {
    let colon = match text {
        [b's', b'i', b'p', b':', ..] => 3,
        _ => lex::span(text, TOKEN),
    };
    let (scheme, rest) = text.split_at(colon);
    let Some((b':', rest)) = rest.split_first() else { return None };
    let len = lex::span(rest, URI);
    (scheme.first()?.is_ascii_alphabetic() && len > 0).then_some(colon + 1 + len)
}

/// The user, which may not be empty, without the password behind it.
#[inline]
fn user_of(info: &[u8]) -> Result<&[u8], Fault> {
    let user = lex::find(b':', info).map_or(info, |at| &info[..at]);
    if user.is_empty() { Err(Fault::bad("Malformed User in URI")) } else { Ok(user) }
}

fn same_option(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => lex::equivalent(a, b, false),
        (None, None) => true,
        _ => false,
    }
}

/// Parameters that stand on both sides must match; some must match also when they stand on one. Of those that a URI
/// repeats, which it must not, each must have its match.
fn same_params(a: &Params<'_>, b: &Params<'_>) -> bool {
    let agrees = |a: &Params<'_>, b: &Params<'_>| {
        a.spans().all(|param| {
            let mut namesakes = b.spans().filter(|other| lex::unescaped_eq(other.name, param.name, true)).peekable();
            match namesakes.peek() {
                Some(_) => namesakes.any(|other| same_value(param.name, param.value, other.value)),
                None => !DECISIVE.iter().any(|name| a.is_named(&param, name)),
            }
        })
    };
    agrees(a, b) && agrees(b, a)
}

fn same_value(name: &[u8], a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    // Methods are case-sensitive, all other values are not.
    let ignore_case = !lex::unescaped_eq(name, b"method", true);
    match (a, b) {
        (Some(a), Some(b)) => lex::equivalent(a, b, ignore_case),
        (None, None) => true,
        _ => false,
    }
}

/// The same header components on both sides, in any order. More than [`HEADERS`] compare only as they were written.
fn same_headers(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let count = |text: &[u8]| text.split(|byte| *byte == b'&').count();
    if count(a) != count(b) || count(a) > HEADERS {
        return false;
    }
    let covers = |a: &[u8], b: &[u8]| {
        a.split(|byte| *byte == b'&').all(|x| b.split(|byte| *byte == b'&').any(|y| same_header(x, y)))
    };
    covers(a, b) && covers(b, a)
}

fn same_header(a: &[u8], b: &[u8]) -> bool {
    let split = |text| match memchr(b'=', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    let ((name_a, value_a), (name_b, value_b)) = (split(a), split(b));
    lex::unescaped_eq(name_a, name_b, true) && lex::equivalent(value_a, value_b, false)
}

/// Visual separators of a telephone number.
fn is_visual(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// What a local number dials.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#')
}

const BAD_URI: Fault = Fault::bad("Malformed URI");

/// Parameters that make two URIs different when only one has them.
const DECISIVE: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

/// Most header components that are compared in any order.
const HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn parts() {
        let full = uri("SIP:al%69ce;x=y:se:cret@Home.example:5070;transport=tcp;lr?Subject=a&Priority=urgent");
        let sip = full.sip().unwrap();
        assert_eq!((sip.user, sip.password()), (Some(&b"al%69ce;x=y"[..]), Some(&b"se:cret"[..])));
        assert_eq!((sip.host_raw, sip.port, sip.secure), (&b"Home.example"[..], Some(5070), false));
        assert_eq!((sip.transport(), sip.is_loose_router()), (Some(&b"tcp"[..]), true));
        assert_eq!(sip.headers, b"Subject=a&Priority=urgent");
        let v6 = uri("sips:[2001:db8::10]:5070");
        let v6 = v6.sip().unwrap();
        assert_eq!((v6.user, v6.host_raw, v6.port, v6.secure), (None, &b"[2001:db8::10]"[..], Some(5070), true));
        assert_eq!(uri("isbn:2983792873"), Uri::Other { scheme: b"isbn", rest: b"2983792873" });
        assert!(uri("sip:sips%3Auser%40example.com@example.net").sip().unwrap().host == Host::Name(b"example.net"));
        assert!(uri("sip:a@h;%6C%72").sip().unwrap().is_loose_router());
    }

    #[test]
    fn faults() {
        for bad in [
            "",
            "sip",
            "sip:",
            "sip:@h",
            "sip:a@",
            "sip:2001:db8::10",
            "sip:a@h:",
            "sip:a@h:65536",
            "sip:a@h:x",
            "sip:a@h; lr",
            "sip:a b@h",
            "sip:a@h;",
            "sip:a@h;;lr",
            "sip:a@h?x y",
            "<sip:a@h>",
            "sip:a@h,b",
            ":x",
            "1x:y",
            "tel:",
            "tel:+",
            "tel:--",
            "tel:12x",
            "tel:+12#",
            "x:",
            "sip:;lr",
            "sip:a@[::1",
            "sip:a@h/b",
            "sip:a\u{7f}@h",
            "sip:%",
            "sip:a@b@c",
        ] {
            assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn equal_by_the_rules_of_sip() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
            ("sip:a@h;%6cr", "sip:a@h;LR"),
            ("tel:+1-201-555-0123", "TEL:+1.201.555.0123"),
            ("tel:7042;phone-context=example.com", "tel:70-42;Phone-Context=EXAMPLE.com"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=2;x=1"),
            ("ISBN:1", "isbn:1"),
        ] {
            assert!(uri(a).equals(&uri(b)) && uri(b).equals(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn different_by_the_rules_of_sip() {
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:a@h", "sips:a@h"),
            ("sip:a:b@h", "sip:a@h"),
            ("sip:a%3Bb@h", "sip:a;b@h"),
            ("sip:a@h?x=1&x=1", "sip:a@h?x=1&y=1"),
            ("sip:a@h;user=phone", "sip:a@h"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1"),
            ("tel:+12", "tel:12"),
            ("tel:12;ext=3", "tel:12"),
            ("tel:12", "sip:12@h"),
            ("isbn:a", "isbn:A"),
        ] {
            assert!(!uri(a).equals(&uri(b)) && !uri(b).equals(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn written_and_read_again() {
        for text in [
            "sip:alice:secret@home.example:5070;transport=tcp;lr?Subject=a&x",
            "sips:[2001:db8::10]",
            "sip:192.0.2.1:5060;maddr=239.255.255.1",
            "tel:+46-8-123;isub=1",
            "http://www.example.com",
        ] {
            let mut buffer = [0; 128];
            let mut out = Writer::new(&mut buffer);
            uri(text).write(&mut out);
            assert_eq!(out.written(), text.as_bytes());
        }
    }
}
