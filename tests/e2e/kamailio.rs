//! kamailio as the server of another domain: registrar without passwords, proxy on the path of its calls, and it finds
//! others by DNS.

use crate::harness::{Place, Program, find, free_port};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The other domain.
pub const OTHER_DOMAIN: &str = "other.test";

/// A running kamailio on 127.0.0.1.
pub struct Kamailio {
    /// The process; its output has a line `>> METHOD USER by TRANSPORT` for each request from another domain.
    pub program: Program,
    port: u16,
    busy: u16,
}

/// Its key and certificate (PEM), and whether it shows them to whom it calls, too.
pub struct Identity {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
}

impl Kamailio {
    /// Starts it with `resolv_file` for an /etc/resolv.conf, on UDP and TCP, with an identity over TLS, too. It answers
    /// 503 to everything on the port [`Self::busy_port`].
    pub fn start(place: &Place, resolv_file: &Path, identity: Option<&Identity>) -> Self {
        let directory = place.directory("kamailio");
        let (port, busy) = (free_port(), free_port());
        let secure = identity.map_or(String::new(), |identity| secure(&directory, identity, port + 1));
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
        let this = Self { program, port, busy };
        this.program.await_line(0, "ready");
        this
    }

    /// Where it is over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its port over TLS.
    pub fn secure_port(&self) -> u16 {
        self.port + 1
    }

    /// Where it takes nothing, over UDP and TCP.
    pub fn busy_port(&self) -> u16 {
        self.busy
    }
}

/// What TLS needs.
fn secure(directory: &Path, identity: &Identity, port: u16) -> String {
    let (key, certificate) = (identity.key.display(), identity.certificate.display());
    let profile =
        format!("method = TLSv1.2+\nprivate_key = {key}\ncertificate = {certificate}\nverify_certificate = no\n");
    let text = format!("[server:default]\n{profile}\n[client:default]\n{profile}");
    fs::write(directory.join("tls.cfg"), text).expect("a file for kamailio can be written");
    format!(
        "enable_tls=yes\nlisten=tls:127.0.0.1:{port}\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", \"{}\")\n",
        directory.join("tls.cfg").display()
    )
}

const CONFIG: &str = include_str!("kamailio.cfg");
