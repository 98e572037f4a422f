//! Our key and certificate: made at first start and kept, or read from the files of the configuration.
//!
//! The key that we make is ECDSA P-256. It is written to its place in one step (temporary file, fsync, rename, fsync of
//! the folder), and never replaced by us: peers know us by its pin (RFC 7469 §2.4). The certificate is made again when
//! the home's names change; the pin stays. Read are PEM files with keys in PKCS#8, SEC1 or PKCS#1, ECDSA (P-256, P-384),
//! RSA (2048 bits and more) or Ed25519. Left out: keys under a password.

use super::certificate;
use super::fault::Fault;
use crate::config::model::Main;
use crate::runtime::state::StateDirectory;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

/// A private key with the certificate that goes with it.
#[derive(Clone, Debug)]
pub struct Keys {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) pin: [u8; 32],
}

impl Keys {
    /// The files that the configuration names, or the key of our own in its state folder.
    ///
    /// # Errors
    /// As of [`own`](Self::own) and [`from_files`](Self::from_files).
    pub fn configured(main: &Main) -> Result<Self, Fault> {
        if !main.cert.is_empty() {
            return Self::from_files(Path::new(main.cert.as_str()), Path::new(main.key.as_str()));
        }
        let names: Vec<&str> = core::iter::once(&main.domain).chain(&main.external).map(|name| name.as_str()).collect();
        Self::own(Path::new(main.state.as_str()), &names)
    }

    /// The key in `folder`, made now if there is none, with a certificate for `names`: the home's domain, then its other
    /// names, as hosts of URIs.
    ///
    /// # Errors
    /// When a file can't be read or written, or holds something else.
    pub fn own(folder: &Path, names: &[&str]) -> Result<Self, Fault> {
        let (key_path, certificate_path) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
        let key = match read_key(&key_path) {
            Err(Fault::File(..)) if is_missing(&key_path) => make_key(folder)?,
            read => read?,
        };
        let foreign = || {
            fault(
                &key_path,
                "is not a key that pcsd made; name it with `option key`, or remove it to have one made, with another pin",
            )
        };
        let PrivateKeyDer::Pkcs8(document) = &key else { return Err(foreign()) };
        let pair = p256(document).ok_or_else(foreign)?;
        let to_be_signed = certificate::to_be_signed(&pair, names);
        let kept = read_chain(&certificate_path).ok().filter(
            |chain| matches!(&chain[..], [certificate] if certificate::is_made_from(certificate, &to_be_signed)),
        );
        let chain = match kept {
            Some(chain) => chain,
            None => {
                let certificate = certificate::sign(&pair, &to_be_signed)?;
                let text = certificate::pem("CERTIFICATE", &certificate);
                write_file(folder, CERTIFICATE_FILE, text.as_bytes())?;
                std::vec![CertificateDer::from(certificate)]
            }
        };
        Self::new(chain, &key).map_err(|what| fault(&key_path, what))
    }

    /// The certificates in one PEM file, our own first, and the key in another or the same.
    ///
    /// # Errors
    /// When a file can't be read or holds something else, or the two do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, Fault> {
        let chain = read_chain(certificate)?;
        let private = read_key(key)?;
        Self::new(chain, &private).map_err(|what| {
            // Which of the two is at fault is known only for the key.
            let path = if what == MISMATCH { certificate } else { key };
            fault(path, what)
        })
    }

    /// The hash of our public key, by which peers know us.
    pub fn pin(&self) -> &[u8; 32] {
        &self.pin
    }

    /// Our certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        // `new` had one.
        &self.certified.cert[0]
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, &'static str> {
        let key = any_supported_type(key).map_err(|_| "holds no key that can be used")?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => return Err(MISMATCH),
            Err(Error::InvalidCertificate(_)) => return Err("holds no certificate of X.509 version 3"),
            _ => {}
        }
        let pin = certified.key.public_key().ok_or("holds no key that can be used")?;
        Ok(Self { pin: sha256(&pin), certified: Arc::new(certified) })
    }
}

/// A pin as people write it: `sha256/` and base64 (RFC 7469 §2.4).
pub fn pin_text(pin: &[u8; 32]) -> String {
    std::format!("sha256/{}", certificate::base64(pin))
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::digest::Digest;
    sha2::Sha256::digest(bytes).into()
}

fn make_key(folder: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| Fault::NoRandomNumbers)?;
    let text = certificate::pem("PRIVATE KEY", document.as_ref());
    write_file(folder, KEY_FILE, text.as_bytes())?;
    log::info!("a new key was made: {}", folder.join(KEY_FILE).display());
    Ok(PrivatePkcs8KeyDer::from(document.as_ref().to_vec()).into())
}

fn p256(document: &PrivatePkcs8KeyDer<'_>) -> Option<EcdsaKeyPair> {
    let bytes = document.secret_pkcs8_der();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes, &SystemRandom::new()).ok()
}

/// The first private key of a file. One that others can read is used, but not in silence.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = read_file(path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(&text, b"ENCRYPTED PRIVATE KEY") => {
            fault(path, "holds a key under a password, which can't be used")
        }
        pem::Error::NoItemsFound => fault(path, "holds no private key in PEM"),
        error => fault(path, &std::format!("holds no private key in PEM: {error}")),
    })?;
    if let Ok(mode) = fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777)
        && mode & 0o077 != 0
    {
        log::warn!("{}: others than its owner may use this key (mode {mode:o}): chmod 600", path.display());
    }
    Ok(key)
}

/// All certificates of a file; at least one.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = read_file(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(fault(path, "holds no certificate in PEM")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(fault(path, &std::format!("holds no certificate in PEM: {error}"))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|error| fault(path, &std::format!("can't be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(fault(path, "is too large"));
    }
    Ok(text)
}

fn is_missing(path: &Path) -> bool {
    // A link that leads nowhere is not missing: the disk behind it may be.
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn write_file(folder: &Path, name: &str, text: &[u8]) -> Result<(), Fault> {
    let written = StateDirectory::new(folder).replace(name, text);
    written.map_err(|error| fault(&folder.join(name), &std::format!("can't be written: {error}")))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn fault(path: &Path, what: &str) -> Fault {
    Fault::File(path.to_path_buf(), what.to_string())
}

/// The private key, in the state folder.
pub const KEY_FILE: &str = "tls.key";
/// The certificate, in the state folder.
pub const CERTIFICATE_FILE: &str = "tls.crt";
const FILE_BYTES_MAX: u64 = 256 * 1024;
const MISMATCH: &str = "is not the certificate of this key";

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use webpki::EndEntityCert;

    const NAMES: [&str; 4] = ["home.example", "alice.example.net", "192.0.2.7", "[2001:db8::7]"];

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn made_once() {
        let folder = Folder::new("made_once");
        let first = Keys::own(&folder, &NAMES).unwrap();
        assert_eq!(mode(&folder.join(KEY_FILE)), 0o600);
        let second = Keys::own(&folder, &NAMES).unwrap();
        assert_eq!(first.pin(), second.pin());
        assert_eq!(first.certificate(), second.certificate());
        // What the configuration may name as well.
        let third = Keys::from_files(&folder.join(CERTIFICATE_FILE), &folder.join(KEY_FILE)).unwrap();
        assert_eq!(first.pin(), third.pin());
        assert_ne!(first.pin(), Keys::own(&Folder::new("another"), &NAMES).unwrap().pin());
        let mut files: Vec<_> = fs::read_dir(&*folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, [CERTIFICATE_FILE, KEY_FILE]);
    }

    #[test]
    fn other_names_keep_the_pin() {
        let folder = Folder::new("other_names");
        let before = Keys::own(&folder, &NAMES).unwrap();
        let after = Keys::own(&folder, &["new.example"]).unwrap();
        assert_eq!(before.pin(), after.pin());
        assert_ne!(before.certificate(), after.certificate());
        let certificate = EndEntityCert::try_from(after.certificate()).unwrap();
        assert_eq!(certificate.valid_dns_names().collect::<Vec<_>>(), ["new.example"]);
    }

    #[test]
    fn the_certificate_says_what_it_should() {
        let keys = Keys::own(&Folder::new("says"), &NAMES).unwrap();
        let certificate = EndEntityCert::try_from(keys.certificate()).unwrap();
        assert_eq!(certificate.valid_dns_names().collect::<Vec<_>>(), ["home.example", "alice.example.net"]);
        let uris = ["sip:home.example", "sip:alice.example.net", "sip:192.0.2.7", "sip:[2001:db8::7]"];
        assert_eq!(certificate.valid_uri_names().collect::<Vec<_>>(), uris);
        for ip in ["192.0.2.7", "2001:db8::7"] {
            let name = ServerName::try_from(ip).unwrap();
            certificate.verify_is_valid_for_subject_name(&name).unwrap();
        }
        assert_eq!(sha256(&certificate.subject_public_key_info()), *keys.pin());
        // Whoever takes it for an authority can check it, from 2020 to 2049.
        let anchor = webpki::anchor_from_trusted_cert(keys.certificate()).unwrap();
        let at = |seconds| {
            certificate.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                core::slice::from_ref(&anchor),
                &[],
                UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds)),
                webpki::KeyUsage::server_auth(),
                None,
                None,
            )
        };
        assert!(at(1_577_836_800).is_ok() && at(2_524_607_999).is_ok());
        assert!(at(1_577_836_799).is_err() && at(2_524_608_000).is_err());
    }

    #[test]
    fn a_long_domain() {
        let domain = "a".repeat(60) + "." + &"b".repeat(60) + ".example";
        let keys = Keys::own(&Folder::new("long"), &[&domain]).unwrap();
        let certificate = EndEntityCert::try_from(keys.certificate()).unwrap();
        assert_eq!(certificate.valid_dns_names().collect::<Vec<_>>(), [domain]);
    }

    #[test]
    fn damaged_files() {
        let folder = Folder::new("damaged");
        let (key, certificate) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
        let keys = Keys::own(&folder, &NAMES).unwrap();
        // The certificate is made anew: it holds no secret.
        fs::write(&certificate, b"-----BEGIN CERTIFICATE-----\nMII").unwrap();
        assert_eq!(Keys::own(&folder, &NAMES).unwrap().pin(), keys.pin());
        // The key is not: peers know it.
        let whole = fs::read(&key).unwrap();
        for text in [&b""[..], b"garbage", &whole[..100], &whole[..whole.len() - 5]] {
            fs::write(&key, text).unwrap();
            let Err(Fault::File(path, what)) = Keys::own(&folder, &NAMES) else { panic!("{} bytes", text.len()) };
            assert_eq!(path, key);
            assert!(what.contains("private key"), "{what}");
            assert_eq!(fs::read(&key).unwrap(), text);
        }
        fs::write(&key, whole).unwrap();
        fs::write(folder.join("tls.crt.new"), b"left over").unwrap();
        fs::remove_file(&certificate).unwrap();
        assert_eq!(Keys::own(&folder, &NAMES).unwrap().pin(), keys.pin());
    }

    #[test]
    fn permissions() {
        let folder = Folder::new("permissions");
        let keys = Keys::own(&folder, &NAMES).unwrap();
        let key = folder.join(KEY_FILE);
        // Too open is said, not refused: a telephone that is silent helps nobody.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Keys::own(&folder, &NAMES).unwrap().pin(), keys.pin());
        // A folder that is not there is made; one that can't be there is a fault.
        Keys::own(&folder.join("new/state"), &NAMES).unwrap();
        let impossible = key.join("state");
        let Err(Fault::File(path, what)) = Keys::own(&impossible, &NAMES) else { panic!("a folder in a file") };
        assert_eq!(path, impossible.join(KEY_FILE));
        assert!(what.starts_with("can't be "), "{what}");
        // A folder in the place of the key.
        fs::remove_file(&key).unwrap();
        fs::create_dir(&key).unwrap();
        assert!(matches!(Keys::own(&folder, &NAMES), Err(Fault::File(path, _)) if path == key));
    }

    #[test]
    fn files_of_others() {
        let folder = Folder::new("files");
        let put = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            folder.join(name)
        };
        // Made with `openssl ecparam -genkey`, `openssl genrsa -traditional`, `openssl genpkey`, `openssl req -x509`.
        let ec = put("ec.key", include_str!("../../../tests/data/tls/ec.key"));
        let ec_certificate = put("ec.crt", include_str!("../../../tests/data/tls/ec.crt"));
        let rsa = put("rsa.key", include_str!("../../../tests/data/tls/rsa.key"));
        let rsa_pkcs8 = put("rsa8.key", include_str!("../../../tests/data/tls/rsa-pkcs8.key"));
        let rsa_certificate = put("rsa.crt", include_str!("../../../tests/data/tls/rsa.crt"));
        let locked = put("locked.key", include_str!("../../../tests/data/tls/locked.key"));
        // The pins are what openssl says: x509 -pubkey, pkey -pubin -outform der, dgst -sha256, base64.
        let keys = Keys::from_files(&ec_certificate, &ec).unwrap();
        assert_eq!(pin_text(keys.pin()), include_str!("../../../tests/data/tls/ec.pin").trim());
        for key in [&rsa, &rsa_pkcs8] {
            let keys = Keys::from_files(&rsa_certificate, key).unwrap();
            assert_eq!(pin_text(keys.pin()), include_str!("../../../tests/data/tls/rsa.pin").trim());
        }
        let refused = |certificate: &Path, key: &Path| Keys::from_files(certificate, key).unwrap_err().to_string();
        let said = refused(&ec_certificate, &rsa);
        assert_eq!(said, std::format!("{}: is not the certificate of this key", ec_certificate.display()));
        assert!(refused(&ec, &ec).ends_with("ec.key: holds no certificate in PEM"));
        assert!(refused(&ec_certificate, &ec_certificate).ends_with("ec.crt: holds no private key in PEM"));
        assert!(refused(&rsa_certificate, &locked).ends_with("holds a key under a password, which can't be used"));
        let missing = folder.join("missing.key");
        assert!(refused(&ec_certificate, &missing).contains("missing.key: can't be read: No such file"));
        let broken = put("broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(refused(&broken, &ec).contains("holds no certificate of X.509 version 3"));
        // A key of somebody else in the place of ours is left alone.
        fs::copy(&rsa_pkcs8, folder.join(KEY_FILE)).unwrap();
        let said = Keys::own(&folder, &NAMES).unwrap_err().to_string();
        assert!(said.contains("is not a key that pcsd made"), "{said}");
    }
}
