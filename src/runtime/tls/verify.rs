//! Whether the peer is who it should be: by the pin of its key (RFC 7469 §2.4), or by an authority and its domain
//! (RFC 5280 §6; RFC 5922 §7 for SIP, RFC 9525 for the servers of accounts on other networks).
//!
//! With a pin nothing else counts: no name, no date, no issuer. Without one the certificate has to lead to an authority
//! and has to name the domain: by a URI `sip:DOMAIN`, or by a DNS name if it has no such URI. A wildcard names nobody
//! (RFC 5922 §7.2). The server of an account is named by a DNS name, where a wildcard counts. In every case the peer has to prove that it has the certificate's key; rustls asks for that.
//!
//! A bundle of authorities is read when a certificate needs one, from the file, and only those that its chain names are
//! kept for that moment: in memory a whole bundle would be larger than all that a small router has for sessions.
//!
//! Left out: names in the subject's common name, revocation, chains of more than four authorities, certificates of X.509
//! version 1, and the restriction of a key to SIP (RFC 5924): a certificate with extended key usages needs the one for
//! TLS servers or clients.

use super::fault::Fault;
use super::keys::sha256;
use crate::base::net::PeerIdentity;
use crate::base::text::Name;
use crate::base::time;
use crate::config::model::Model;
use crate::server::contract;
use core::net::IpAddr;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use webpki::{EndEntityCert, KeyUsage};

/// Who a server that we connect to has to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Its domain, as the host of a URI.
    pub domain: String,
    /// Whether it is the server of an account on another network, and not of a SIP domain.
    pub is_account: bool,
    /// The keys it may have. If there are any, nothing else counts.
    pub pins: Vec<[u8; 32]>,
    /// The authorities that may vouch for it.
    pub roots: Roots,
}

/// Where authorities are found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Roots {
    /// The system's bundle.
    System,
    /// A file of PEM certificates.
    File(PathBuf),
}

/// Whom the certificates of clients are checked against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trust {
    /// Authorities for any name.
    pub roots: Roots,
    /// Authorities for one domain each.
    pub peers: Vec<(String, PathBuf)>,
}

impl Expected {
    /// What the core expects, with the authorities for everybody where it names none.
    pub fn configured(expected: &contract::Expected<'_>, authorities: &Roots) -> Self {
        let contract::Expected { domain, pins, ca, is_account } = *expected;
        let roots = if ca.is_empty() { authorities.clone() } else { Roots::File(ca.into()) };
        Self { domain: domain.to_string(), is_account, pins: pins.to_vec(), roots }
    }

    /// Judges a server's certificate and what came with it.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Fault> {
        let parsed = parse(certificate)?;
        if !self.pins.is_empty() {
            let seen = sha256(&parsed.subject_public_key_info());
            return if self.pins.contains(&seen) { Ok(()) } else { Err(Fault::WrongPin(seen)) };
        }
        check_chain(&parsed, others, &self.roots, now, KeyUsage::server_auth())?;
        let named: Vec<_> = match self.is_account {
            true if names_host(&parsed, &self.domain) => return Ok(()),
            false if names_domain(&parsed, &self.domain) => return Ok(()),
            true => parsed.valid_dns_names().take(NAMES_SHOWN).collect(),
            false => sip_domains(&parsed).take(NAMES_SHOWN).collect(),
        };
        Err(Fault::WrongName(self.domain.clone(), named.join(", ")))
    }

    /// What a server has proven that met the expectation.
    pub(super) fn identity(&self, certificate: &CertificateDer<'_>) -> PeerIdentity {
        let mut identity = PeerIdentity { key: key_of(certificate), ..PeerIdentity::default() };
        if self.pins.is_empty()
            && let Ok(name) = Name::try_from(self.domain.as_str())
        {
            // There is room for four.
            let _ = identity.names.push(name);
        }
        identity
    }

    /// The name for the handshake.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, Fault> {
        let host = self.domain.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host).map(|name| name.to_owned()).map_err(|_| Fault::NotAName(self.domain.clone()))
    }
}

impl Trust {
    /// What the configuration says.
    pub fn configured(model: &Model) -> Self {
        let ca = &model.main.ca;
        let roots = if ca.is_empty() { Roots::System } else { Roots::File(ca.as_str().into()) };
        let with_own = model.peers.iter().filter(|peer| !peer.ca.is_empty());
        let peers = with_own.map(|peer| (peer.domain.to_string(), peer.ca.as_str().into())).collect();
        Self { roots, peers }
    }

    /// What a client has proven whose handshake went well: its key, and the names that authorities vouch for.
    pub(super) fn identity(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> PeerIdentity {
        let mut identity = PeerIdentity::default();
        let Some((certificate, others)) = chain.split_first() else { return identity };
        identity.key = key_of(certificate);
        let Ok(parsed) = parse(certificate) else { return identity };
        let mut prove = |name: &str| {
            if let Ok(mut name) = Name::try_from(name) {
                name.make_ascii_lowercase();
                if !identity.names.contains(&name) {
                    // More than four: the first four count.
                    let _ = identity.names.push(name);
                }
            }
        };
        for (domain, path) in &self.peers {
            let roots = Roots::File(path.clone());
            if names_domain(&parsed, domain)
                && check_chain(&parsed, others, &roots, now, KeyUsage::client_auth()).is_ok()
            {
                prove(domain);
            }
        }
        // Most homes sign their own certificate: no need to read a whole bundle for those.
        let is_self_signed = parsed.issuer() == parsed.subject();
        if !is_self_signed {
            // Of a domain that has authorities of its own no others count, as when we connect to it.
            let has_own = |name: &&str| self.peers.iter().any(|(domain, _)| domain.eq_ignore_ascii_case(name));
            match check_chain(&parsed, others, &self.roots, now, KeyUsage::client_auth()) {
                Ok(()) => sip_domains(&parsed).filter(|name| !has_own(name)).for_each(&mut prove),
                Err(fault) => log::debug!("a client's certificate proves no name: {fault}"),
            }
        }
        identity
    }
}

impl Roots {
    /// The authorities whose names are among `wanted`.
    fn find(&self, wanted: &[&[u8]]) -> Result<Vec<TrustAnchor<'static>>, Fault> {
        let path = self.path();
        let unreadable = |error: &dyn core::fmt::Display| {
            Fault::File(path.to_path_buf(), std::format!("authorities can't be read: {error}"))
        };
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let mut found = Vec::new();
        for certificate in CertificateDer::pem_reader_iter(file) {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            // What webpki can't read, it could not use either.
            if let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate)
                && wanted.contains(&anchor.subject.as_ref())
            {
                found.push(anchor.to_owned());
            }
        }
        Ok(found)
    }

    fn path(&self) -> &Path {
        match self {
            Self::System => {
                let there = BUNDLES.iter().map(Path::new).find(|path| path.exists());
                there.unwrap_or(Path::new(BUNDLES[0]))
            }
            Self::File(path) => path,
        }
    }
}

/// Holds a server to one expectation.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    expected: Expected,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    pub(super) fn new(expected: Expected, provider: &CryptoProvider) -> Self {
        Self { expected, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.expected.judge(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Asks clients for a certificate and takes any, or none. What it proves is looked at once the handshake has proven the
/// key: [`Trust::identity`].
#[derive(Debug)]
pub(super) struct ClientVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        parse(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<EndEntityCert<'c>, Fault> {
    EndEntityCert::try_from(certificate).map_err(|error| Fault::Unusable(error.to_string()))
}

fn key_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    parse(certificate).ok().map(|parsed| sha256(&parsed.subject_public_key_info()))
}

fn check_chain(
    certificate: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    roots: &Roots,
    now: UnixTime,
    usage: KeyUsage,
) -> Result<(), Fault> {
    // Each signature costs a slow router a tenth of a second, and the peer chooses how many there are.
    let others = &others[..others.len().min(AUTHORITIES_MAX)];
    let parsed: Vec<_> = others.iter().filter_map(|other| EndEntityCert::try_from(other).ok()).collect();
    let issuers: Vec<_> =
        core::iter::once(certificate.issuer()).chain(parsed.iter().map(|parsed| parsed.issuer())).collect();
    let anchors = roots.find(&issuers)?;
    let result = certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, others, now, usage, None, None);
    let Err(error) = result else { return Ok(()) };
    Err(match error {
        webpki::Error::CertExpired { time, not_after } => {
            Fault::Expired { not_after: ours(not_after), now: ours(time) }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            Fault::NotYetValid { not_before: ours(not_before), now: ours(time) }
        }
        // The other one: who signed it only bears the name of an authority, as one does that was made anew.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            Fault::UnknownIssuer(roots.path().display().to_string(), sha256(&certificate.subject_public_key_info()))
        }
        webpki::Error::CaUsedAsEndEntity => {
            Fault::Unusable("it is that of an authority, and no server's; a pin would do".into())
        }
        webpki::Error::RequiredEkuNotFoundContext(_) => Fault::Unusable("it is not meant for this use of TLS".into()),
        error => Fault::Unusable(error.to_string()),
    })
}

/// Whether the certificate names `domain` as servers of the Internet are named (RFC 9525 §6.3): by a DNS name, whose first
/// label may be a wildcard, or by an address.
fn names_host(certificate: &EndEntityCert<'_>, domain: &str) -> bool {
    let host = domain.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    ServerName::try_from(host).is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

/// Whether `domain`, the host of a URI, is one that the certificate names. An address has to be there as an address.
fn names_domain(certificate: &EndEntityCert<'_>, domain: &str) -> bool {
    let host = domain.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(_) => names_host(certificate, domain),
        Err(_) => sip_domains(certificate).any(|name| name.eq_ignore_ascii_case(domain.trim_end_matches('.'))),
    }
}

/// The SIP domains that a certificate names (RFC 5922 §7.1).
fn sip_domains<'c>(certificate: &'c EndEntityCert<'_>) -> impl Iterator<Item = &'c str> {
    let mut by_uri = certificate.valid_uri_names().filter_map(domain_of_uri).peekable();
    let has_uris = by_uri.peek().is_some();
    let by_dns = certificate.valid_dns_names().filter(move |name| !has_uris && !name.starts_with("*."));
    by_uri.chain(by_dns.map(|name| name.trim_end_matches('.')))
}

/// The domain in a `sip:` URI that names one, and no user of it.
fn domain_of_uri(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') || rest.starts_with("*.") {
        return None;
    }
    let end = rest.find([':', ';', '?']).unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|domain| !domain.is_empty())
}

fn ours(time: UnixTime) -> time::UnixTime {
    time::UnixTime(time.as_secs())
}

/// Where the systems we know keep their authorities; OpenWrt's package ca-bundle is the first.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"];
const AUTHORITIES_MAX: usize = 4;
const NAMES_SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Folder, unix};
    use super::*;
    use std::fs;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    /// An authority, its file, and what is expected of `home.example` under it.
    fn setup(name: &str) -> (Authority, Folder, Expected) {
        let authority = Authority::new("Test authority");
        let folder = Folder::new(name);
        let path = folder.join("ca.pem");
        fs::write(&path, authority.pem()).unwrap();
        let roots = Roots::File(path);
        let expected = Expected { domain: "home.example".into(), is_account: false, pins: Vec::new(), roots };
        (authority, folder, expected)
    }

    fn judge(expected: &Expected, certificate: &CertificateDer<'_>) -> Result<(), Fault> {
        expected.judge(certificate, &[], unix(NOW))
    }

    #[test]
    fn names() {
        let (authority, _folder, expected) = setup("names");
        let judge = |names: &[&str]| judge(&expected, &authority.issue(names));
        let wrong = |named: &str| Err(Fault::WrongName("home.example".into(), named.into()));
        assert_eq!(judge(&["home.example"]), Ok(()));
        assert_eq!(judge(&["HOME.Example"]), Ok(()));
        assert_eq!(judge(&["sip:home.example"]), Ok(()));
        assert_eq!(judge(&["SIP:home.example:5061;transport=tls"]), Ok(()));
        assert_eq!(judge(&["other.example"]), wrong("other.example"));
        // A SIP URI puts the DNS names out of force; one with a user, or of another scheme, does not.
        assert_eq!(judge(&["home.example", "sip:other.example"]), wrong("other.example"));
        assert_eq!(judge(&["home.example", "sip:alice@other.example"]), Ok(()));
        assert_eq!(judge(&["home.example", "https://other.example"]), Ok(()));
        assert_eq!(judge(&["sip:alice@home.example"]), wrong(""));
        assert_eq!(judge(&["sips:home.example"]), wrong(""));
        assert_eq!(judge(&["*.example"]), wrong(""));
        assert_eq!(judge(&["sip:*.example"]), wrong(""));
        assert_eq!(judge(&["*.home.example", "example", "a.home.example"]), wrong("example, a.home.example"));
        assert_eq!(judge(&["a", "b", "c", "d", "e", "f"]), wrong("a, b, c, d"));
        // The common name says home.example in all of these.
        assert_eq!(judge(&[]), wrong(""));
    }

    #[test]
    fn names_of_the_servers_of_accounts() {
        let (authority, _folder, expected) = setup("accounts");
        let expected = Expected { domain: "im.home.example".into(), is_account: true, ..expected };
        let judge = |names: &[&str]| judge(&expected, &authority.issue(names));
        let wrong = |named: &str| Err(Fault::WrongName("im.home.example".into(), named.into()));
        assert_eq!(judge(&["other.example", "IM.home.example"]), Ok(()));
        assert_eq!(judge(&["*.home.example"]), Ok(()));
        // A URI means nothing here, and a wildcard stands for one label.
        assert_eq!(judge(&["sip:other.example", "im.home.example"]), Ok(()));
        assert_eq!(judge(&["sip:im.home.example"]), wrong(""));
        assert_eq!(judge(&["home.example", "*.im.home.example"]), wrong("home.example, *.im.home.example"));
        // One for a whole top-level domain is not even a name.
        assert_eq!(judge(&["*.example"]), wrong(""));
        let at_address = Expected { domain: "192.0.2.7".into(), ..expected.clone() };
        assert_eq!(at_address.judge(&authority.issue(&["192.0.2.7"]), &[], unix(NOW)), Ok(()));
    }

    #[test]
    fn addresses_as_names() {
        let (authority, _folder, expected) = setup("addresses");
        let certificate = authority.issue(&["192.0.2.7", "2001:db8::7"]);
        for (domain, is_named) in
            [("192.0.2.7", true), ("[2001:db8::7]", true), ("192.0.2.8", false), ("home.example", false)]
        {
            let expected = Expected { domain: domain.into(), ..expected.clone() };
            assert_eq!(judge(&expected, &certificate).is_ok(), is_named, "{domain}");
        }
    }

    #[test]
    fn dates() {
        let (authority, _folder, expected) = setup("dates");
        let certificate = authority.issue_for(&["home.example"], NOW - DAY, NOW + DAY);
        let judge = |now| expected.judge(&certificate, &[], unix(now));
        assert_eq!(judge(NOW), Ok(()));
        let now = time::UnixTime;
        assert_eq!(judge(NOW + 2 * DAY), Err(Fault::Expired { not_after: now(NOW + DAY), now: now(NOW + 2 * DAY) }));
        let early = judge(1000).unwrap_err();
        assert_eq!(early, Fault::NotYetValid { not_before: now(NOW - DAY), now: now(1000) });
        assert!(early.to_string().contains("router's clock, which may be wrong"), "{early}");
        // With a pin no date counts.
        let pinned = Expected { pins: key_of(&certificate).into_iter().collect(), ..expected.clone() };
        assert_eq!(pinned.judge(&certificate, &[], unix(1000)), Ok(()));
    }

    #[test]
    fn issuers() {
        let (authority, folder, expected) = setup("issuers");
        let stranger = Authority::new("Stranger");
        let certificate = stranger.issue(&["home.example"]);
        let unknown = |certificate| {
            Err(Fault::UnknownIssuer(folder.join("ca.pem").display().to_string(), key_of(certificate).unwrap()))
        };
        assert_eq!(judge(&expected, &certificate), unknown(&certificate));
        // One that only bears the name of an authority.
        let impostor = Authority::new("Test authority").issue(&["home.example"]);
        assert_eq!(judge(&expected, &impostor), unknown(&impostor));
        // It is one of many in the file.
        let bundle = Authority::new("First").pem() + &stranger.pem() + &authority.pem() + "text after it\n";
        fs::write(folder.join("ca.pem"), bundle).unwrap();
        assert_eq!(judge(&expected, &certificate), Ok(()));
        // By way of an authority in between, which the server has to send.
        let between = stranger.subordinate("Between");
        let leaf = between.issue(&["home.example"]);
        assert_eq!(expected.judge(&leaf, &[between.certificate()], unix(NOW)), Ok(()));
        assert_eq!(judge(&expected, &leaf), unknown(&leaf));
        // A home's own certificate as authority for itself, and that of an authority as a server's.
        let own = Authority::self_signed(&["home.example"]);
        fs::write(folder.join("ca.pem"), own.pem()).unwrap();
        assert_eq!(judge(&expected, &own.certificate()), Ok(()));
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        let said = judge(&expected, &authority.certificate()).unwrap_err().to_string();
        assert!(said.contains("a pin would do"), "{said}");
    }

    #[test]
    fn files_of_authorities() {
        let (authority, folder, expected) = setup("roots");
        let certificate = authority.issue(&["home.example"]);
        let path = folder.join("ca.pem");
        for text in ["-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"]
        {
            fs::write(&path, text).unwrap();
            assert!(matches!(judge(&expected, &certificate), Err(Fault::File(at, _)) if at == path));
        }
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(judge(&expected, &certificate), Err(Fault::UnknownIssuer(..))));
        fs::remove_file(&path).unwrap();
        let Err(Fault::File(at, what)) = judge(&expected, &certificate) else { panic!("there is no file") };
        assert!(at == path && what.contains("No such file"), "{what}");
    }

    #[test]
    fn pins() {
        let (authority, folder, expected) = setup("pins");
        fs::remove_file(folder.join("ca.pem")).unwrap();
        let certificate = authority.issue(&["other.example"]);
        let seen = key_of(&certificate).unwrap();
        let pinned = Expected { pins: std::vec![[2; 32], seen], ..expected.clone() };
        assert_eq!(judge(&pinned, &certificate), Ok(()));
        let other = Expected { pins: std::vec![[1; 32]], ..expected };
        assert_eq!(judge(&other, &certificate), Err(Fault::WrongPin(seen)));
        assert!(matches!(judge(&other, &CertificateDer::from(&b"garbage"[..])), Err(Fault::Unusable(_))));
    }

    #[test]
    fn what_clients_prove() {
        let (authority, folder, _) = setup("clients");
        let file = folder.join("ca.pem");
        let trust = Trust { roots: Roots::File(file.clone()), peers: Vec::new() };
        let prove = |trust: &Trust, certificate: &CertificateDer<'static>| {
            let identity = trust.identity(core::slice::from_ref(certificate), unix(NOW));
            assert_eq!(identity.key, key_of(certificate));
            identity.names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(trust.identity(&[], unix(NOW)), PeerIdentity::default());
        let certificate =
            authority.issue(&["A.example", "b.example", "a.example", "c.example", "d.example", "e.example"]);
        assert_eq!(prove(&trust, &certificate), ["a.example", "b.example", "c.example", "d.example"]);
        assert_eq!(trust.identity(core::slice::from_ref(&certificate), unix(1000)).names.len(), 0);
        let own = Authority::self_signed(&["a.example"]);
        assert!(prove(&trust, &own.certificate()).is_empty());
        assert!(prove(&trust, &Authority::new("Stranger").issue(&["a.example"])).is_empty());
        // The authority of one peer vouches for that peer only.
        let peers = Trust { roots: Roots::System, peers: std::vec![("b.example".into(), file)] };
        assert_eq!(prove(&peers, &certificate), ["b.example"]);
        assert!(prove(&peers, &authority.issue(&["a.example"])).is_empty());
        fs::write(folder.join("own.pem"), own.pem()).unwrap();
        // Nor does anybody else vouch for a peer that has its own authority; and that is not crowded out by other names.
        let peers =
            std::vec![("a.example".into(), folder.join("own.pem")), ("e.example".into(), folder.join("ca.pem"))];
        let both = Trust { roots: trust.roots.clone(), peers };
        assert_eq!(prove(&both, &certificate), ["e.example", "b.example", "c.example", "d.example"]);
        let peers = Trust { roots: Roots::System, peers: std::vec![("a.example".into(), folder.join("own.pem"))] };
        assert_eq!(prove(&peers, &own.certificate()), ["a.example"]);
    }

    #[test]
    fn the_bundle_of_this_machine() {
        if !Roots::System.path().exists() {
            std::eprintln!("skipped: this machine has no bundle of authorities");
            return;
        }
        assert!(Roots::System.find(&[]).unwrap().is_empty());
        let file = File::open(Roots::System.path()).unwrap();
        let first = CertificateDer::pem_reader_iter(file).next().unwrap().unwrap();
        let anchor = webpki::anchor_from_trusted_cert(&first).unwrap();
        assert!(!Roots::System.find(&[&anchor.subject]).unwrap().is_empty());
    }
}
