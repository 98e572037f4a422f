//! What the tests of this folder share: folders of their own, and a public key infrastructure made by another program
//! than the one under test.

use super::keys::Keys;
use super::verify::{Expected, Roots, Trust};
use super::{Endpoint, certificate};
use core::ops::Deref;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(std::format!("pcsd-tls-{}-{name}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// An authority that this one vouches for.
    pub fn subordinate(&self, name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// No authority at all: a server that signed its own certificate.
    pub fn self_signed(names: &[&str]) -> Self {
        let (params, key) = (params(names), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub fn pem(&self) -> String {
        certificate::pem("CERTIFICATE", &self.certificate)
    }

    /// A server's certificate for `names`: URIs, addresses, and DNS names.
    pub fn issue(&self, names: &[&str]) -> CertificateDer<'static> {
        params(names).signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    pub fn issue_for(&self, names: &[&str], not_before: u64, not_after: u64) -> CertificateDer<'static> {
        let mut params = params(names);
        let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
        (params.not_before, params.not_after) = (at(not_before), at(not_after));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    /// Keys of a server for `names`.
    pub fn keys(&self, names: &[&str]) -> Keys {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).signed_by(&key, &self.issuer).unwrap();
        let folder = Folder::new("keys");
        let (at, key_at) = (folder.join("crt"), folder.join("key"));
        fs::write(&at, certificate.pem()).unwrap();
        fs::write(&key_at, key.serialize_pem()).unwrap();
        assert!(matches!(PrivateKeyDer::try_from(key.serialize_der()), Ok(PrivateKeyDer::Pkcs8(_))));
        Keys::from_files(&at, &key_at).unwrap()
    }
}

/// An endpoint with a key of its own, that trusts nobody.
pub fn endpoint() -> Endpoint {
    let keys = Keys::own(&Folder::new("endpoint"), &["home.example"]).unwrap();
    Endpoint::new(keys, Trust { roots: Roots::System, peers: Vec::new() }).unwrap()
}

/// An expectation by the authorities of this machine.
pub fn expected(domain: &str) -> Expected {
    Expected { domain: domain.to_string(), is_account: false, pins: Vec::new(), roots: Roots::System }
}

pub fn unix(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = std::vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    params.distinguished_name.push(DnType::CommonName, "home.example");
    params
}
