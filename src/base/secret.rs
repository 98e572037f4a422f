//! What a password is kept as: H(A1) of digest authentication (RFC 7616 §3.4.2, RFC 8760), which is as good as the password
//! for its one realm and is never printed.

use core::fmt;

use md5::Md5;
use sha2::Sha256;
use sha2::digest::{Digest, Output};

/// H(A1) for each digest algorithm that can be answered; at least one. Compare it with
/// [`same_secret`](crate::base::text::same_secret).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// For algorithm MD5.
    pub md5: Option<[u8; 16]>,
    /// For algorithm SHA-256.
    pub sha256: Option<[u8; 32]>,
}

impl Secret {
    /// Nothing that could be answered with.
    pub const NONE: Self = Self { md5: None, sha256: None };

    /// Both hashes of `username:realm:password`.
    pub fn from_password(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let md5 = a1::<Md5>(username, realm, password).into();
        let sha256 = a1::<Sha256>(username, realm, password).into();
        Self { md5: Some(md5), sha256: Some(sha256) }
    }
}

fn a1<H: Digest>(username: &[u8], realm: &[u8], password: &[u8]) -> Output<H> {
    let hash = H::new().chain_update(username).chain_update(b":").chain_update(realm).chain_update(b":");
    hash.chain_update(password).finalize()
}

impl fmt::Debug for Secret {
    /// Which hashes there are, never what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {{ md5: {}, sha256: {} }}", self.md5.is_some(), self.sha256.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::hex_decode;

    #[test]
    fn hashes_of_a1() {
        // The credentials of RFC 7616 §3.9.1, hashed with md5sum and sha256sum.
        let secret = Secret::from_password(b"Mufasa", b"http-auth@example.org", b"Circle of Life");
        let mut md5 = [0; 16];
        hex_decode(b"3d78807defe7de2157e2b0b6573a855f", &mut md5).unwrap();
        assert_eq!(secret.md5, Some(md5));
        let mut sha256 = [0; 32];
        hex_decode(b"7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232", &mut sha256).unwrap();
        assert_eq!(secret.sha256, Some(sha256));
    }

    #[test]
    fn debug_keeps_secrets() {
        let secret = Secret { md5: Some([0xab; 16]), sha256: None };
        assert_eq!(std::format!("{secret:?}"), "Secret { md5: true, sha256: false }");
    }
}
