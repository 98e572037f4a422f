//! kamailio as the server of another domain: registrar without passwords, proxy on the path of its calls, and it finds
//! others by DNS.

use crate::certificates::Identity;
use crate::harness::{Place, Program, find, free_port};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The other domain.
pub const OTHER_DOMAIN: &str = "other.test";

/// A running kamailio on 127.0.0.1.
pub struct Kamailio {
    /// The process; its output has a line `>> METHOD USER by TRANSPORT` for each request from another domain.
    pub program: Program,
    port: u16,
    busy: u16,
    secure_ports: Vec<u16>,
}

impl Kamailio {
    /// Starts it with `resolv_file` for an /etc/resolv.conf, on UDP and TCP, and on a port over TLS for each identity. Who comes or is called
    /// over TLS has to have a certificate of `authority`, if there is one. It answers
    /// 503 to everything on the port [`Self::busy_port`].
    pub fn start(place: &Place, resolv_file: &Path, identities: &[Identity], authority: Option<&Path>) -> Self {
        let directory = place.directory("kamailio");
        let (port, busy) = (free_port(), free_port());
        let secure_ports = identities.iter().map(|_| free_port()).collect::<Vec<_>>();
        let secure = secure(&directory, identities, &secure_ports, authority);
        let text = CONFIG
            .replace("%SECURE%", &secure)
            .replace("%PORT%", &port.to_string())
            .replace("%BUSY%", &busy.to_string());
        fs::write(directory.join("kamailio.cfg"), text).expect("a file for kamailio can be written");
        // In a mount namespace of its own it sees another resolv.conf; as the first process of a PID namespace it takes
        // its workers along when it ends.
        let mut command = crate::network::command(None, &find("unshare"));
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]);
        command
            .arg("mount --bind \"$1\" /etc/resolv.conf; cd \"$2\"; exec \"$3\" -f kamailio.cfg -DD -E -m 32 -M 4 -Y .");
        command.arg("kamailio").args([resolv_file, &directory, &find("kamailio")]);
        let program = Program::start("kamailio", &mut command);
        let this = Self { program, port, busy, secure_ports };
        this.program.await_line(0, "ready");
        this
    }

    /// Where it is over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its port over TLS with the first identity.
    pub fn secure_port(&self) -> u16 {
        self.secure_ports[0]
    }

    /// Its ports over TLS, one for each identity.
    pub fn secure_ports(&self) -> &[u16] {
        &self.secure_ports
    }

    /// Where it takes nothing, over UDP and TCP.
    pub fn busy_port(&self) -> u16 {
        self.busy
    }
}

/// What TLS needs. As a client it shows the first identity.
fn secure(directory: &Path, identities: &[Identity], ports: &[u16], authority: Option<&Path>) -> String {
    let Some(first) = identities.first() else { return String::new() };
    let file = directory.join("tls.cfg");
    let mut listen =
        format!("enable_tls=yes\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", \"{}\")\n", file.display());
    let mut profiles = profile("client:default", first, authority) + &profile("server:default", first, authority);
    for (identity, port) in identities.iter().zip(ports) {
        profiles += &profile(&format!("server:127.0.0.1:{port}"), identity, authority);
        listen += &format!("listen=tls:127.0.0.1:{port}\n");
    }
    fs::write(file, profiles).expect("a file for kamailio can be written");
    listen
}

fn profile(of: &str, identity: &Identity, authority: Option<&Path>) -> String {
    let (key, certificate) = (identity.key.display(), identity.certificate.display());
    let checks = match authority {
        Some(path) => format!("verify_certificate = yes\nrequire_certificate = yes\nca_list = {}\n", path.display()),
        None => "verify_certificate = no\n".into(),
    };
    format!("[{of}]\nmethod = TLSv1.2+\nprivate_key = {key}\ncertificate = {certificate}\n{checks}\n")
}

const CONFIG: &str = include_str!("kamailio.cfg");
