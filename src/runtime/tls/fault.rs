//! What goes wrong with keys, certificates and handshakes, each in one sentence for the log.

use super::keys::pin_text;
use crate::base::text::Writer;
use crate::base::time::UnixTime;
use crate::wire::sip::date;
use core::fmt;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;

/// Why there are no keys, or why a handshake failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Something is wrong with a file of ours.
    File(PathBuf, String),
    /// The machine gave no random numbers.
    NoRandomNumbers,
    /// The peer shall have a name that TLS can't say.
    NotAName(String),
    /// The certificate is for others: whom it was wanted for, and whom it names.
    WrongName(String, String),
    /// Nobody we trust has signed it: where we looked, and the peer's key.
    UnknownIssuer(String, [u8; 32]),
    /// It has expired.
    Expired {
        /// When.
        not_after: UnixTime,
        /// The time by our clock.
        now: UnixTime,
    },
    /// It will be valid later.
    NotYetValid {
        /// When.
        not_before: UnixTime,
        /// The time by our clock.
        now: UnixTime,
    },
    /// The peer has another key than the one pinned.
    WrongPin([u8; 32]),
    /// The certificate can't be used.
    Unusable(String),
    /// What came is not TLS.
    NotTls {
        /// Whether it looked like text.
        is_text: bool,
    },
    /// The peer ended the handshake, saying this.
    Refused(AlertDescription),
    /// The peer is too old.
    TooOld,
    /// The peer closed the connection in the middle of the handshake.
    Ended,
    /// Anything else.
    Other(String),
}

impl Fault {
    /// The sentence about an error of rustls.
    pub(super) fn from_rustls(error: Error, first_byte: Option<u8>) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(ref inner))) => {
                inner.downcast_ref().cloned().unwrap_or_else(|| Self::Other(std::format!("{error}")))
            }
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                Self::Unusable("the peer does not have the key of its certificate".into())
            }
            // Every record of a handshake begins with this byte (RFC 8446 §5.1).
            Error::InvalidMessage(_) if first_byte.is_some_and(|byte| byte != HANDSHAKE_RECORD) => {
                Self::NotTls { is_text: first_byte.is_some_and(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) }
            }
            Error::AlertReceived(alert) => Self::Refused(alert),
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // Every hello of TLS 1.2 has it, and none of an older one.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => Self::TooOld,
            Error::FailedToGetRandomBytes => Self::NoRandomNumbers,
            error => Self::Other(std::format!("{error}")),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::from_rustls(error, None)
    }
}

impl From<Fault> for Error {
    /// Sent to the peer as the alert `certificate_unknown`.
    fn from(fault: Fault) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
    }
}

impl core::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, what) => write!(f, "{}: {what}", path.display()),
            Self::NoRandomNumbers => f.write_str("the machine has no random numbers"),
            Self::NotAName(name) => write!(f, "{name} is no name that a certificate can have"),
            Self::WrongName(wanted, named) if named.is_empty() => {
                write!(f, "the certificate names no domain that counts, so not {wanted} (a common name does not count)")
            }
            Self::WrongName(wanted, named) => write!(f, "the certificate is for {named}, not for {wanted}"),
            Self::UnknownIssuer(roots, seen) => {
                write!(f, "the certificate was not issued by anybody in {roots}; its pin is {}", pin_text(seen))
            }
            Self::Expired { not_after, now } => {
                write!(f, "the certificate has expired: it was valid until {}, {}", Date(*not_after), Clock(*now))
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "the certificate is not valid yet: it will be from {}, {}", Date(*not_before), Clock(*now))
            }
            Self::WrongPin(seen) => {
                write!(f, "the peer has another key than the one it is known by: its pin now is {}", pin_text(seen))
            }
            Self::Unusable(why) => write!(f, "the certificate can't be used: {why}"),
            Self::NotTls { is_text: true } => f.write_str("the peer sends plain text where TLS is spoken"),
            Self::NotTls { is_text: false } => f.write_str("what the peer sends is not TLS"),
            Self::Refused(alert) => write!(f, "the peer refuses: {alert:?}"),
            Self::TooOld => f.write_str("the peer offers neither TLS 1.2 nor 1.3"),
            Self::Ended => f.write_str("the peer closed the connection in the handshake"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A moment, as SIP writes it.
struct Date(UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 48];
        let mut out = Writer::new(&mut buffer);
        date::write(self.0, &mut out);
        f.write_str(core::str::from_utf8(out.written()).unwrap_or_default())
    }
}

/// What our clock says, and whether that can be.
struct Clock(UnixTime);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "and it is {} by this router's clock", Date(self.0))?;
        if self.0 < BUILT { f.write_str(", which may be wrong: this program was made later") } else { Ok(()) }
    }
}

/// When this program was made, or later than which it certainly was. A clock before that was not set yet.
const BUILT: UnixTime = UnixTime(match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SOURCE_DATE_EPOCH is not a decimal number"),
    },
    // 2026-01-01
    None => 1_767_225_600,
});

const HANDSHAKE_RECORD: u8 = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn sentences() {
        let expired = Fault::Expired { not_after: UnixTime(1_800_000_000), now: UnixTime(1_800_000_001) };
        assert_eq!(
            expired.to_string(),
            "the certificate has expired: it was valid until Fri, 15 Jan 2027 08:00:00 GMT, \
             and it is Fri, 15 Jan 2027 08:00:01 GMT by this router's clock"
        );
        let early = Fault::NotYetValid { not_before: UnixTime(1_800_000_000), now: UnixTime(60) };
        assert_eq!(
            early.to_string(),
            "the certificate is not valid yet: it will be from Fri, 15 Jan 2027 08:00:00 GMT, \
             and it is Thu, 01 Jan 1970 00:01:00 GMT by this router's clock, which may be wrong: this program was made later"
        );
        let pin = Fault::WrongPin([0; 32]);
        assert!(pin.to_string().ends_with("its pin now is sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    }

    #[test]
    fn survives_the_way_through_rustls() {
        let fault = Fault::WrongPin([7; 32]);
        assert_eq!(Fault::from(Error::from(fault.clone())), fault);
    }
}
