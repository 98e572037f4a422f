//! Names of header fields (RFC 3261 §7.3.1, §20, and the RFCs of extensions), with their compact forms.
//!
//! A name is found by one look into a table that a hash without collisions, made at compile time, indexes.

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// The name of a header field. [`Other`](Self::Other) stands for every name that is not listed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is its own name")]
        pub enum Name { $($name,)* Other }

        impl Name {
            /// The name as it is usually written; empty for [`Other`](Self::Other).
            pub const fn as_str(self) -> &'static str {
                // A table, because the jumps of a `match` are mispredicted: each field has another name.
                const TEXTS: &[&str] = &[$($text,)* ""];
                TEXTS[self as usize]
            }
        }

        const ALL: &[Name] = &[$(Name::$name,)*];
    };
}

names! {
    Via = "Via",
    From = "From",
    To = "To",
    CallId = "Call-ID",
    CSeq = "CSeq",
    Contact = "Contact",
    MaxForwards = "Max-Forwards",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    ContentEncoding = "Content-Encoding",
    Route = "Route",
    RecordRoute = "Record-Route",
    Path = "Path",
    Expires = "Expires",
    MinExpires = "Min-Expires",
    Event = "Event",
    Allow = "Allow",
    AllowEvents = "Allow-Events",
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    Supported = "Supported",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Server = "Server",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    RSeq = "RSeq",
    RAck = "RAck",
    SessionExpires = "Session-Expires",
    MinSe = "Min-SE",
    Replaces = "Replaces",
    ReferTo = "Refer-To",
    ReferredBy = "Referred-By",
    Reason = "Reason",
    RetryAfter = "Retry-After",
    Warning = "Warning",
    Date = "Date",
    Subject = "Subject",
    MaxBreadth = "Max-Breadth",
    FlowTimer = "Flow-Timer",
    SubscriptionState = "Subscription-State",
    SipEtag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match",
    ServiceRoute = "Service-Route",
    PAssertedIdentity = "P-Asserted-Identity",
    PPreferredIdentity = "P-Preferred-Identity",
    Privacy = "Privacy",
    AcceptContact = "Accept-Contact",
    RejectContact = "Reject-Contact",
    RequestDisposition = "Request-Disposition",
    ContentId = "Content-ID",
    ContentDisposition = "Content-Disposition",
    AutoSubmitted = "Auto-Submitted",
}

impl Name {
    /// The name that `name` is, in any case, long or compact.
    #[inline(always)]
    pub fn from_bytes(name: &[u8]) -> Self {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return Self::Other };
        if name.len() == 1 {
            return Self::from_compact(*first);
        }
        let found = INDEX[hash(name.len(), *first, *last)];
        let text = found.as_str().as_bytes();
        if text == name || text.eq_ignore_ascii_case(name) { found } else { Self::Other }
    }

    fn from_compact(letter: u8) -> Self {
        match letter.to_ascii_lowercase() {
            b'a' => Self::AcceptContact,
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'd' => Self::RequestDisposition,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'j' => Self::RejectContact,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            _ => Self::Other,
        }
    }

    /// The bit of this name in a set of names.
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

const INDEX: [Name; 256] = index();

/// The multipliers are such that no two names meet; `index` does not compile otherwise.
const fn hash(len: usize, first: u8, last: u8) -> usize {
    (len + 58 * (first | 0x20) as usize + (last | 0x20) as usize) & 255
}

const fn index() -> [Name; 256] {
    assert!(ALL.len() < 64, "sets of names are 64-bit");
    let mut index = [Name::Other; 256];
    let mut i = 0;
    while i < ALL.len() {
        let text = ALL[i].as_str().as_bytes();
        let at = hash(text.len(), text[0], text[text.len() - 1]);
        assert!(matches!(index[at], Name::Other), "two names with one hash");
        index[at] = ALL[i];
        i += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_any_case() {
        for name in ALL {
            let text = name.as_str();
            assert_eq!(Name::from_bytes(text.as_bytes()), *name);
            assert_eq!(Name::from_bytes(text.to_uppercase().as_bytes()), *name);
            assert_eq!(Name::from_bytes(text.to_lowercase().as_bytes()), *name);
            assert_eq!(Name::from_bytes(&[text.as_bytes(), b"s"].concat()), Name::Other);
        }
        for other in [&b""[..], b"H", b"Vim", b"C%6Fntact", b"\0ia", b"extensionHeader-!.%*+_`'~"] {
            assert_eq!(Name::from_bytes(other), Name::Other);
        }
    }

    #[test]
    fn compact_forms() {
        for (letter, name) in
            [(b'v', Name::Via), (b'F', Name::From), (b't', Name::To), (b'i', Name::CallId), (b'm', Name::Contact)]
        {
            assert_eq!(Name::from_bytes(&[letter]), name);
        }
        assert_eq!(Name::from_bytes(b"l"), Name::ContentLength);
        assert_eq!(
            [&b"a"[..], b"j", b"D"].map(Name::from_bytes),
            [Name::AcceptContact, Name::RejectContact, Name::RequestDisposition]
        );
        assert_eq!([&b"o"[..], b"u", b"h"].map(Name::from_bytes), [Name::Event, Name::AllowEvents, Name::Other]);
    }
}
