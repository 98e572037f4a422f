//! An authority of the test's own, and what it signs, by openssl.

use crate::harness::{Place, find};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority.
pub struct Authority {
    directory: PathBuf,
}

/// A private key and its certificate, PEM files.
#[derive(Clone)]
pub struct Identity {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
}

/// From when until when a certificate holds, as openssl writes it: YYMMDDHHMMSSZ.
pub const NOW: (&str, &str) = ("200101000000Z", "491231235959Z");
/// Long over.
pub const EXPIRED: (&str, &str) = ("200101000000Z", "210101000000Z");
/// Not yet begun.
pub const EARLY: (&str, &str) = ("480101000000Z", "491231235959Z");

impl Authority {
    /// Makes one.
    pub fn new(place: &Place, name: &str) -> Self {
        let directory = place.directory(name);
        let text = "[ca]\ndefault_ca=own\n[own]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ncertificate=ca.crt\n\
                    private_key=ca.key\ndefault_md=sha256\npolicy=any\nunique_subject=no\ncopy_extensions=copy\n\
                    [any]\ncommonName=supplied\n[req]\ndistinguished_name=none\n[none]\n";
        for (file, text) in [("openssl.cnf", text), ("index", ""), ("serial", "01\n")] {
            fs::write(directory.join(file), text).expect("a file for openssl can be written");
        }
        let this = Self { directory };
        this.openssl(
            "req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
                      -keyout ca.key -out ca.crt -subj /CN=authority -addext basicConstraints=critical,CA:TRUE",
        );
        this
    }

    /// Its certificate, which others check by.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// A key of its own for a SIP domain (RFC 5922 §7.1), and the certificate that this authority signs for it.
    pub fn certify(&self, domain: &str, validity: (&str, &str)) -> Identity {
        let (from, until) = validity;
        self.openssl(&format!(
            "req -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {domain}.key \
             -out {domain}.csr -subj /CN={domain} -addext subjectAltName=URI:sip:{domain},DNS:{domain}"
        ));
        self.openssl(&format!(
            "ca -config openssl.cnf -batch -notext -startdate {from} -enddate {until} -in {domain}.csr -out {domain}.crt"
        ));
        let file = |suffix| self.directory.join(format!("{domain}.{suffix}"));
        Identity { key: file("key"), certificate: file("crt") }
    }

    fn openssl(&self, words: &str) {
        let output = Command::new(find("openssl")).args(words.split_whitespace()).current_dir(&self.directory).output();
        let output = output.expect("openssl runs");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The pin of a certificate's key, as another program computes it.
pub fn pin(certificate: &Path) -> String {
    let pipe = "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary \
                | openssl base64 -A";
    let output = Command::new("sh").args(["-ec", pipe, "sh"]).arg(certificate).output().expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("sha256/{}", String::from_utf8(output.stdout).expect("base64 is text"))
}
