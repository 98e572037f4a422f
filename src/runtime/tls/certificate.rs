//! Writes our own certificate: X.509 v3 in DER (RFC 5280 §4.1), self-signed with ECDSA P-256, and PEM around it.
//!
//! Only what this one certificate needs. Its validity says nothing: a router makes it before it knows the time, and
//! peers know us by the key. It has no key usage: OpenSSL takes a self-signed certificate that has one without
//! `keyCertSign` for one that nobody signed.

use super::fault::Fault;
use super::keys::sha256;
use crate::base::text::{Writer, base64_encode};
use core::net::IpAddr;
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, KeyPair};
use std::string::String;
use std::vec::Vec;

/// The part that gets signed. The same key and names give the same bytes.
///
/// `names` are hosts as in URIs; the first is the home's domain. Each is in the subject's alternative names twice: as a
/// `sip:` URI, which is what RFC 5922 looks for, and as a DNS name or address for everything else.
pub fn to_be_signed(key: &EcdsaKeyPair, names: &[&str]) -> Vec<u8> {
    let public_key = spki(key);
    let mut alternatives = Vec::new();
    for name in names.iter().filter(|name| name.is_ascii()) {
        match name.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(IpAddr::V4(ip)) => alternatives.extend(tlv(IP_NAME, &[&ip.octets()])),
            Ok(IpAddr::V6(ip)) => alternatives.extend(tlv(IP_NAME, &[&ip.octets()])),
            Err(_) => alternatives.extend(tlv(DNS_NAME, &[name.as_bytes()])),
        }
        alternatives.extend(tlv(URI_NAME, &[b"sip:", name.as_bytes()]));
    }
    // Peers tell certificates of one issuer apart by the number; another one comes with other names.
    let mut serial = sha256(&[&public_key[..], &alternatives].concat());
    // Positive, and of full length.
    serial[0] = serial[0] & 0x3f | 0x40;
    let common_name = names.first().filter(|name| name.len() <= COMMON_NAME_MAX).unwrap_or(&"pcsd");
    let attribute = tlv(SEQUENCE, &[OID_COMMON_NAME, &tlv(UTF8_STRING, &[common_name.as_bytes()])]);
    let name = tlv(SEQUENCE, &[&tlv(SET, &[&attribute])]);
    let validity = tlv(SEQUENCE, &[&tlv(UTC_TIME, &[NOT_BEFORE]), &tlv(UTC_TIME, &[NOT_AFTER])]);
    let names = tlv(SEQUENCE, &[OID_SUBJECT_ALT_NAME, &tlv(OCTET_STRING, &[&tlv(SEQUENCE, &[&alternatives])])]);
    tlv(
        SEQUENCE,
        &[
            &tlv(CONTEXT_0, &[VERSION_3]),
            &tlv(INTEGER, &[&serial[..SERIAL_BYTES]]),
            SIGNED_BY_ECDSA_SHA256,
            &name,
            &validity,
            &name,
            &public_key,
            &tlv(CONTEXT_3, &[&tlv(SEQUENCE, &[&names])]),
        ],
    )
}

/// The certificate around what [`to_be_signed`] gave.
pub fn sign(key: &EcdsaKeyPair, to_be_signed: &[u8]) -> Result<Vec<u8>, Fault> {
    let signature = key.sign(&SystemRandom::new(), to_be_signed).map_err(|_| Fault::NoRandomNumbers)?;
    let signature = tlv(BIT_STRING, &[NO_UNUSED_BITS, signature.as_ref()]);
    Ok(tlv(SEQUENCE, &[to_be_signed, SIGNED_BY_ECDSA_SHA256, &signature]))
}

/// Whether `certificate` was made by [`sign`] from these bytes.
pub fn is_made_from(certificate: &[u8], to_be_signed: &[u8]) -> bool {
    // SEQUENCE with a length of two bytes, as that of any certificate from 256 bytes on.
    certificate.get(4..).is_some_and(|contents| contents.starts_with(to_be_signed))
}

/// `der` in PEM (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = std::format!("-----BEGIN {label}-----\n");
    // 48 bytes make a line of 64 characters.
    for line in der.chunks(48) {
        text.push_str(&base64(line));
        text.push('\n');
    }
    text.push_str(&std::format!("-----END {label}-----\n"));
    text
}

/// At most 48 bytes in base64 with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> heapless::String<64> {
    let mut buffer = [0; 64];
    let mut out = Writer::new(&mut buffer);
    base64_encode(bytes, &mut out);
    out.written().iter().copied().map(char::from).collect()
}

fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    let bits = tlv(BIT_STRING, &[NO_UNUSED_BITS, key.public_key().as_ref()]);
    tlv(SEQUENCE, &[P256_PUBLIC_KEY, &bits])
}

/// One element: tag, length, contents.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(len + 4);
    out.push(tag);
    match len {
        0..0x80 => out.push(len as u8),
        0x80..0x100 => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const URI_NAME: u8 = 0x86;
const IP_NAME: u8 = 0x87;

const VERSION_3: &[u8] = &[INTEGER, 1, 2];
const NO_UNUSED_BITS: &[u8] = &[0];
/// 2.5.4.3
const OID_COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 0x04, 0x03];
/// 2.5.29.17
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];
/// AlgorithmIdentifier of 1.2.840.10045.4.3.2 (RFC 5758 §3.2).
const SIGNED_BY_ECDSA_SHA256: &[u8] = &[SEQUENCE, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// AlgorithmIdentifier of 1.2.840.10045.2.1 on the curve 1.2.840.10045.3.1.7 (RFC 5480 §2.1.1).
const P256_PUBLIC_KEY: &[u8] = &[
    SEQUENCE, 19, 0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07,
];

/// What a clock says that was never set is later on some routers and earlier on others; peers' clocks are later.
const NOT_BEFORE: &[u8] = b"200101000000Z";
/// As late as the short form of a date goes (RFC 5280 §4.1.2.5.1).
const NOT_AFTER: &[u8] = b"491231235959Z";
const SERIAL_BYTES: usize = 16;
/// RFC 5280 appendix A.1, `ub-common-name`.
const COMMON_NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(tlv(SEQUENCE, &[]), [0x30, 0]);
        assert_eq!(tlv(OCTET_STRING, &[b"a", b"b"]), [4, 2, b'a', b'b']);
        assert_eq!(tlv(OCTET_STRING, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(tlv(OCTET_STRING, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(OCTET_STRING, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn base64_with_padding() {
        // RFC 4648 §10, and the two characters that base64url has otherwise.
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foobar", "Zm9vYmFy"), (b"\xfb\xff", "+/8=")]
        {
            assert_eq!(base64(bytes), text);
        }
    }
}
