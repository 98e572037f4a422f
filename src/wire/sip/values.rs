//! Typed values of header fields that are read when they are asked for: CSeq (RFC 3261 §20.16), delta-seconds, q-values,
//! media types (§20.1, §20.15), Retry-After (§20.33), Event and Subscription-State (RFC 6665), Session-Expires
//! (RFC 4028), RSeq and RAck (RFC 3262), Replaces (RFC 3891), Reason (RFC 3326).
//!
//! Every fault is a 400. Max-Breadth (RFC 5393) and Flow-Timer (RFC 5626) are [`delta_seconds`] in shape.

use super::lex::{self, Fault, GRAPHIC, TOKEN};
use super::method::Method;
use super::params::Params;
use crate::base::text::Writer;

/// CSeq: orders requests of a dialog and pairs answers with requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'b> {
    /// The number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method<'b>,
}

impl<'b> CSeq<'b> {
    /// Reads a value.
    #[inline]
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let fault = Fault::bad("Malformed CSeq");
        let (rest, number) = lex::digits(lex::trim(value)).map_err(|_| fault)?;
        let method = Method::from_bytes(lex::trim(rest));
        if number >= 1 << 31 || !rest.first().is_some_and(|byte| lex::is(*byte, lex::LWS)) || !method.is_token() {
            return Err(fault);
        }
        Ok(Self { number: number as u32, method })
    }
}

/// Seconds, or another number of up to 32 bits (Expires, Min-Expires, Min-SE, Flow-Timer, Max-Breadth): one too large is
/// the largest (RFC 4475 §3.1.2.4).
pub fn delta_seconds(value: &[u8]) -> Result<u32, Fault> {
    let number = lex::whole_number(value).ok_or(Fault::bad("Malformed Number"))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A q-value in thousandths, 0 to 1000; digits after the third are ignored.
pub fn q_value(value: &[u8]) -> Result<u16, Fault> {
    let fault = Fault::bad("Malformed q");
    let (whole, fraction) = match value {
        [whole, b'.', fraction @ ..] => (*whole, fraction),
        [whole] => (*whole, &b""[..]),
        _ => return Err(fault),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(fault);
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Ok(thousandths),
        b'1' if fraction.iter().all(|digit| *digit == b'0') => Ok(1000),
        _ => Err(fault),
    }
}

/// RSeq: a number from 1 to 2^32 - 1.
pub fn rseq(value: &[u8]) -> Result<u32, Fault> {
    match lex::whole_number(value).map(u32::try_from) {
        Some(Ok(number)) if number > 0 => Ok(number),
        _ => Err(Fault::bad("Malformed RSeq")),
    }
}

/// RAck: which provisional response a PRACK is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RAck<'b> {
    /// The response's RSeq.
    pub rseq: u32,
    /// The number and method of the response's CSeq.
    pub cseq: CSeq<'b>,
}

impl<'b> RAck<'b> {
    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let value = lex::trim(value);
        let end = value.iter().position(|byte| lex::is(*byte, lex::LWS)).ok_or(Fault::bad("Malformed RAck"))?;
        Ok(Self { rseq: rseq(&value[..end])?, cseq: CSeq::parse(&value[end..])? })
    }
}

/// Event: the event package of a subscription (RFC 6665 §8.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'b> {
    /// The package with its templates, such as `presence.winfo`. Packages are case-sensitive.
    pub package: &'b [u8],
    /// The `id` parameter. With the package it says which subscription of a dialog is meant, byte by byte.
    pub id: Option<&'b [u8]>,
    /// All parameters.
    pub params: Params<'b>,
}

impl<'b> Event<'b> {
    /// Reads a value. A package or template without a name is a fault.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let (package, params) = token_params(value, "Malformed Event")?;
        if package.split(|byte| *byte == b'.').any(<[u8]>::is_empty) {
            return Err(Fault::bad("Malformed Event"));
        }
        Ok(Self { package, id: params.value(b"id"), params })
    }

    /// The package without its templates: `presence` of `presence.winfo`.
    pub fn base(&self) -> &'b [u8] {
        self.package.split(|byte| *byte == b'.').next().unwrap_or_default()
    }

    /// The templates that are applied to the package, in order.
    pub fn templates(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        self.package.split(|byte| *byte == b'.').skip(1)
    }
}

/// Who refreshes a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// The one who sent the request.
    Uac,
    /// The one who answers it.
    Uas,
}

/// Session-Expires: how long a session lasts without refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// The interval.
    pub seconds: u32,
    /// Who refreshes, if said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a value.
    pub fn parse(value: &[u8]) -> Result<Self, Fault> {
        let (seconds, rest) = value.split_at(value.iter().position(|byte| *byte == b';').unwrap_or(value.len()));
        let refresher = match Params::parse(rest)?.value(b"refresher") {
            None => None,
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return Err(Fault::bad("Malformed Session-Expires")),
        };
        Ok(Self { seconds: delta_seconds(seconds)?, refresher })
    }
}

/// Replaces: the dialog that a new one takes the place of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaces<'b> {
    /// Its Call-ID.
    pub call_id: &'b [u8],
    /// The tag of whoever receives this.
    pub to_tag: &'b [u8],
    /// The tag of the other end.
    pub from_tag: &'b [u8],
    /// Only if it was not answered yet.
    pub early_only: bool,
}

impl<'b> Replaces<'b> {
    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let fault = Fault::bad("Malformed Replaces");
        let (call_id, rest) = value.split_at(value.iter().position(|byte| *byte == b';').ok_or(fault)?);
        let (call_id, params) = (lex::trim(call_id), Params::parse(rest)?);
        match (params.value(b"to-tag"), params.value(b"from-tag")) {
            (Some(to_tag), Some(from_tag)) if !call_id.is_empty() && lex::all(call_id, GRAPHIC) => {
                Ok(Self { call_id, to_tag, from_tag, early_only: params.has(b"early-only") })
            }
            _ => Err(fault),
        }
    }
}

/// Retry-After.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryAfter<'b> {
    /// When to try again.
    pub seconds: u32,
    /// The comment with its parentheses, if there is one.
    pub comment: Option<&'b [u8]>,
    /// Parameters, `duration` among them.
    pub params: Params<'b>,
}

impl<'b> RetryAfter<'b> {
    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let fault = Fault::bad("Malformed Retry-After");
        let (rest, seconds) = lex::digits(lex::trim(value)).map_err(|_| fault)?;
        let rest = lex::skip_lws(rest);
        let (comment, rest) = match rest.first() {
            Some(b'(') => {
                let (comment, rest) = rest.split_at(lex::comment(rest).ok_or(fault)?);
                (Some(comment), rest)
            }
            _ => (None, rest),
        };
        Ok(Self { seconds: u32::try_from(seconds).unwrap_or(u32::MAX), comment, params: Params::parse(rest)? })
    }
}

/// A media type, or range: Content-Type, and each element of Accept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaType<'b> {
    /// The type; `*` is any. Types compare regardless of case.
    pub main: &'b [u8],
    /// The subtype; `*` is any.
    pub sub: &'b [u8],
    /// The parameters.
    pub params: Params<'b>,
}

impl<'b> MediaType<'b> {
    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let fault = Fault::bad("Malformed Media Type");
        let (rest, main) = lex::token(lex::trim(value)).map_err(|_| fault)?;
        let (rest, ()) = lex::separator(b'/')(rest).map_err(|_| fault)?;
        let (rest, sub) = lex::token(rest).map_err(|_| fault)?;
        Ok(Self { main, sub, params: Params::parse(rest)? })
    }

    /// Whether it is `main/sub`, in any case.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main.as_bytes()) && self.sub.eq_ignore_ascii_case(sub.as_bytes())
    }

    /// Whether, as an element of Accept, it takes `main/sub`. Its quality is not looked at.
    pub fn accepts(&self, main: &str, sub: &str) -> bool {
        (self.main == b"*" || self.main.eq_ignore_ascii_case(main.as_bytes()))
            && (self.sub == b"*" || self.sub.eq_ignore_ascii_case(sub.as_bytes()))
    }

    /// The `q` parameter in thousandths: 1000 when there is none.
    pub fn q(&self) -> Result<u16, Fault> {
        self.params.value(b"q").map_or(Ok(1000), q_value)
    }
}

/// Reason: why a request was sent. A field may list several, each read by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason<'b> {
    /// The protocol of the cause, such as `SIP` or `Q.850`.
    pub protocol: &'b [u8],
    /// The cause.
    pub cause: Option<u16>,
    /// The text, quoted.
    pub text: Option<&'b [u8]>,
    /// All parameters.
    pub params: Params<'b>,
}

impl<'b> Reason<'b> {
    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let (protocol, params) = token_params(value, "Malformed Reason")?;
        let cause = match params.value(b"cause") {
            None => None,
            Some(text) => match lex::whole_number(text).map(u16::try_from) {
                Some(Ok(cause)) => Some(cause),
                _ => return Err(Fault::bad("Malformed Reason")),
            },
        };
        Ok(Self { protocol, cause, text: params.value(b"text"), params })
    }
}

/// Subscription-State: what has become of a subscription (RFC 6665 §8.2.3). Parameters of extensions are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionState<'b> {
    /// The state.
    pub state: Substate<'b>,
    /// Why it was terminated, as written.
    pub reason: Option<&'b [u8]>,
    /// Seconds that it lasts.
    pub expires: Option<u32>,
    /// Seconds until a new attempt makes sense.
    pub retry_after: Option<u32>,
}

impl<'b> SubscriptionState<'b> {
    /// Of a subscription that lasts `expires` seconds.
    pub const fn active(expires: u32) -> Self {
        Self { state: Substate::Active, reason: None, expires: Some(expires), retry_after: None }
    }

    /// Of one that nobody has allowed yet, and that lasts `expires` seconds.
    pub const fn pending(expires: u32) -> Self {
        Self { state: Substate::Pending, ..Self::active(expires) }
    }

    /// Of one that is over. `reason` is a token (§4.1.3), `retry_after` in seconds.
    pub const fn terminated(reason: &'b [u8], retry_after: Option<u32>) -> Self {
        Self { state: Substate::Terminated, reason: Some(reason), expires: None, retry_after }
    }

    /// Reads a value.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let (state, params) = token_params(value, "Malformed Subscription-State")?;
        let seconds = |name: &[u8]| {
            let seconds = params.value(name).map(delta_seconds).transpose();
            seconds.map_err(|_| Fault::bad("Malformed Subscription-State"))
        };
        let (expires, retry_after) = (seconds(b"expires")?, seconds(b"retry-after")?);
        Ok(Self { state: Substate::from_bytes(state), reason: params.value(b"reason"), expires, retry_after })
    }

    /// Writes the value.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(self.state.as_bytes());
        if let Some(reason) = self.reason {
            out.text(";reason=");
            out.put(reason);
        }
        for (name, seconds) in [(";expires=", self.expires), (";retry-after=", self.retry_after)] {
            if let Some(seconds) = seconds {
                out.text(name);
                out.number(seconds.into());
            }
        }
    }
}

/// The state of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Substate<'b> {
    /// Allowed.
    Active,
    /// Received, and not yet decided on.
    Pending,
    /// Over.
    Terminated,
    /// Any other, as it was written; to be taken as active (RFC 6665 §4.1.3).
    Other(&'b [u8]),
}

impl<'b> Substate<'b> {
    /// The state of that name, in any case.
    pub fn from_bytes(name: &'b [u8]) -> Self {
        let known = [Self::Active, Self::Pending, Self::Terminated];
        known.into_iter().find(|state| state.as_bytes().eq_ignore_ascii_case(name)).unwrap_or(Self::Other(name))
    }

    /// The name.
    pub fn as_bytes(&self) -> &'b [u8] {
        match self {
            Self::Active => b"active",
            Self::Pending => b"pending",
            Self::Terminated => b"terminated",
            Self::Other(name) => name,
        }
    }
}

/// A token and its parameters.
fn token_params<'b>(value: &'b [u8], reason: &'static str) -> Result<(&'b [u8], Params<'b>), Fault> {
    let (rest, word) = lex::run(TOKEN)(lex::trim(value)).map_err(|_| Fault::bad(reason))?;
    Ok((word, Params::parse(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq() {
        assert_eq!(CSeq::parse(b"0009\r\n  INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(CSeq::parse(b"2147483647 X%"), Ok(CSeq { number: 0x7fff_ffff, method: Method::Other(b"X%") }));
        for bad in [
            &b""[..],
            b"1",
            b"INVITE",
            b"1INVITE",
            b"2147483648 ACK",
            b"-1 ACK",
            b"1 A CK",
            b"1 A/B",
            b"99999999999999999999999 ACK",
        ] {
            assert!(CSeq::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(delta_seconds(b"1800"), Ok(1800));
        assert_eq!(delta_seconds(b"4294967296"), Ok(u32::MAX));
        assert!(delta_seconds(b"1.5").is_err() && delta_seconds(b"").is_err() && delta_seconds(b"-1").is_err());
        assert_eq!(
            [&b"0.33"[..], b"1", b"1.000", b"0", b"0.", b"0.9999"].map(|q| q_value(q).unwrap()),
            [330, 1000, 1000, 0, 0, 999]
        );
        assert!([&b"1.001"[..], b"2", b".5", b"", b"0,5", b"0.x", b"-1"].iter().all(|q| q_value(q).is_err()));
        assert_eq!(rseq(b"4294967295"), Ok(u32::MAX));
        assert!(rseq(b"0").is_err() && rseq(b"4294967296").is_err());
        assert_eq!(
            RAck::parse(b"776656 1 INVITE"),
            Ok(RAck { rseq: 776_656, cseq: CSeq { number: 1, method: Method::Invite } })
        );
        assert!(RAck::parse(b"1").is_err() && RAck::parse(b"0 1 INVITE").is_err() && RAck::parse(b"1 INVITE").is_err());
    }

    #[test]
    fn events() {
        let event = Event::parse(b"presence.winfo ; id = 7;x").unwrap();
        assert_eq!((event.package, event.id, event.params.has(b"x")), (&b"presence.winfo"[..], Some(&b"7"[..]), true));
        assert!(event.base() == b"presence" && event.templates().eq([&b"winfo"[..]]));
        let plain = Event::parse(b"dialog").unwrap();
        assert_eq!((plain.base(), plain.templates().count(), plain.id), (&b"dialog"[..], 0, None));
        for bad in ["", ";id=7", "a b", ".winfo", "presence.", "a..b", "a;id=", "a,b", "a;;"] {
            assert!(Event::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Event::parse(b"a."), Err(Fault::bad("Malformed Event")));
    }

    #[test]
    fn subscription_states() {
        let state = SubscriptionState::parse(b"Terminated ;reason=probation;x=\"y\"; retry-after=30").unwrap();
        assert_eq!(state, SubscriptionState::terminated(b"probation", Some(30)));
        let fault = Err(Fault::bad("Malformed Subscription-State"));
        assert_eq!(SubscriptionState::parse(b"active;expires=soon"), fault);
        assert_eq!(SubscriptionState::parse(b";expires=1"), fault);
        assert!(SubscriptionState::parse(b"active;expires=").is_err());
        for (state, text) in [
            (SubscriptionState::active(3600), "active;expires=3600"),
            (SubscriptionState::pending(u32::MAX), "pending;expires=4294967295"),
            (SubscriptionState::terminated(b"noresource", None), "terminated;reason=noresource"),
            (SubscriptionState::terminated(b"giveup", Some(60)), "terminated;reason=giveup;retry-after=60"),
            (
                SubscriptionState { state: Substate::Other(b"dormant"), ..SubscriptionState::active(1) },
                "dormant;expires=1",
            ),
        ] {
            let mut buffer = [0; 64];
            let mut out = Writer::new(&mut buffer);
            state.write(&mut out);
            assert_eq!(out.written(), text.as_bytes());
            assert_eq!(SubscriptionState::parse(out.written()), Ok(state));
        }
    }

    #[test]
    fn sessions() {
        let expected = SessionExpires { seconds: 1800, refresher: Some(Refresher::Uas) };
        assert_eq!(SessionExpires::parse(b" 1800 ;refresher=UAS"), Ok(expected));
        assert_eq!(SessionExpires::parse(b"90"), Ok(SessionExpires { seconds: 90, refresher: None }));
        assert!(
            SessionExpires::parse(b"90;refresher=me").is_err() && SessionExpires::parse(b";refresher=uac").is_err()
        );
        let replaces = Replaces::parse(b"98asj@h ;from-tag=f;to-tag=t;early-only").unwrap();
        assert_eq!(replaces, Replaces { call_id: b"98asj@h", to_tag: b"t", from_tag: b"f", early_only: true });
        assert!(Replaces::parse(b"98asj@h;to-tag=t").is_err() && Replaces::parse(b";to-tag=t;from-tag=f").is_err());
    }

    #[test]
    fn retry_after() {
        let retry = RetryAfter::parse(b"18000 (in a (long) meeting);duration=3600").unwrap();
        assert_eq!((retry.seconds, retry.comment), (18000, Some(&b"(in a (long) meeting)"[..])));
        assert_eq!(retry.params.value(b"duration"), Some(&b"3600"[..]));
        assert_eq!(RetryAfter::parse(b"949302838503028349304023988").map(|retry| retry.seconds), Ok(u32::MAX));
        assert!(
            RetryAfter::parse(b"(x)").is_err()
                && RetryAfter::parse(b"1 (x").is_err()
                && RetryAfter::parse(b"1 x").is_err()
        );
    }

    #[test]
    fn media_types() {
        let sdp = MediaType::parse(b"Application / SDP;charset=\"x;y\"").unwrap();
        assert!(sdp.is("application", "sdp") && !sdp.is("application", "pidf+xml"));
        assert_eq!(sdp.params.value(b"charset"), Some(&b"\"x;y\""[..]));
        let range = MediaType::parse(b"text/*;q=0.5").unwrap();
        assert!(range.accepts("TEXT", "plain") && !range.accepts("image", "png"));
        assert_eq!((range.q(), sdp.q()), (Ok(500), Ok(1000)));
        assert!(
            MediaType::parse(b"text").is_err()
                && MediaType::parse(b"text/").is_err()
                && MediaType::parse(b"/x").is_err()
        );
    }

    #[test]
    fn reasons() {
        let reason = Reason::parse(b"SIP ;cause=200 ;text=\"Call completed elsewhere\"").unwrap();
        assert_eq!((reason.protocol, reason.cause), (&b"SIP"[..], Some(200)));
        assert_eq!(reason.text, Some(&b"\"Call completed elsewhere\""[..]));
        assert!(Reason::parse(b"SIP;cause=x").is_err() && Reason::parse(b"").is_err());
    }
}
