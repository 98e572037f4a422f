//! Request methods (RFC 3261 §7.1, and the RFCs that each extension stands in). Names are case-sensitive.

use super::lex::{self, TOKEN};

/// A request's method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method<'b> {
    /// RFC 3261 §13.
    Invite,
    /// RFC 3261 §13.2.2.4.
    Ack,
    /// RFC 3261 §15.
    Bye,
    /// RFC 3261 §9.
    Cancel,
    /// RFC 3261 §11.
    Options,
    /// RFC 3261 §10.
    Register,
    /// RFC 3428.
    Message,
    /// RFC 6665.
    Subscribe,
    /// RFC 6665.
    Notify,
    /// RFC 3903.
    Publish,
    /// RFC 6086.
    Info,
    /// RFC 3262.
    Prack,
    /// RFC 3311.
    Update,
    /// RFC 3515.
    Refer,
    /// Any other, as it was written.
    Other(&'b [u8]),
}

impl<'b> Method<'b> {
    /// The method of that name. Whether an unknown name is a token is not looked at.
    #[inline]
    pub fn from_bytes(name: &'b [u8]) -> Self {
        match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            b"INFO" => Self::Info,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"REFER" => Self::Refer,
            _ => Self::Other(name),
        }
    }

    /// The name.
    pub fn as_bytes(&self) -> &'b [u8] {
        match self {
            Self::Invite => b"INVITE",
            Self::Ack => b"ACK",
            Self::Bye => b"BYE",
            Self::Cancel => b"CANCEL",
            Self::Options => b"OPTIONS",
            Self::Register => b"REGISTER",
            Self::Message => b"MESSAGE",
            Self::Subscribe => b"SUBSCRIBE",
            Self::Notify => b"NOTIFY",
            Self::Publish => b"PUBLISH",
            Self::Info => b"INFO",
            Self::Prack => b"PRACK",
            Self::Update => b"UPDATE",
            Self::Refer => b"REFER",
            Self::Other(name) => name,
        }
    }

    /// Whether the name is a token, as it must be.
    pub(super) fn is_token(&self) -> bool {
        match self {
            Self::Other(name) => !name.is_empty() && lex::all(name, TOKEN),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in
            "INVITE ACK BYE CANCEL OPTIONS REGISTER MESSAGE SUBSCRIBE NOTIFY PUBLISH INFO PRACK UPDATE REFER".split(' ')
        {
            let method = Method::from_bytes(name.as_bytes());
            assert!(!matches!(method, Method::Other(_)), "{name}");
            assert_eq!(method.as_bytes(), name.as_bytes());
        }
        assert_eq!(Method::from_bytes(b"invite"), Method::Other(b"invite"));
        assert!(Method::from_bytes(b"RE%47IST%45R").is_token());
        assert!(!Method::from_bytes(b"IN VITE").is_token() && !Method::from_bytes(b"").is_token());
    }
}
