//! The same messages over real sockets to the program.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cases::Expect::{self, Answered, Awaited, Closed, Discarded};
use crate::cases::{OWN, TORTURE};
use crate::support::{self, own, own_names, status, torture_names, tortured, value, with_credentials};

/// The program over real sockets: whatever is thrown at it, it goes on answering, and phones register.
#[test]
fn over_real_sockets() {
    let daemon = Daemon::start("example.com", &["user", "caller", "alice"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(("127.0.0.1", daemon.sip)).unwrap();
    let messages = torture_names().into_iter().map(|name| (tortured(&name), name));
    let messages = messages.chain(own_names().into_iter().map(|name| (own(&name), name)));
    for (number, (bytes, what)) in messages.enumerate() {
        let case = TORTURE.iter().chain(OWN).find(|case| case.name == what).expect("an expectation");
        socket.send(&bytes).unwrap();
        let answers = answers_before_ping(&socket, daemon.sip, number);
        let statuses = answers.iter().filter_map(|answer| status(answer)).collect::<Vec<_>>();
        // What is wrong with a message itself does not depend on the home it comes to.
        match case.datagram {
            Answered(expected @ (416 | 505), _) => assert_eq!(statuses, [expected], "{what}"),
            Answered(400, _) if case.domain == "example.com" && case.at.is_none() && !what.ends_with("regbadct") => {
                assert_eq!(statuses, [400], "{what}");
            }
            Discarded => assert!(statuses.is_empty(), "{what}: {statuses:?}"),
            _ => assert_eq!(statuses.len(), 1, "{what}: {statuses:?}"),
        }
        throw_at_stream(&bytes, &what, daemon.sip, case.stream);
    }
    let status_text = daemon.pcsctl("status");
    assert!(status_text.contains("example.com"), "{status_text}");
    register_over(&socket, daemon.sip);
    let devices = daemon.pcsctl("devices");
    assert!(devices.contains("alice"), "{devices}");
}

/// Sends one message on a connection of its own; checks what shows at once: the status, and whether it is closed.
fn throw_at_stream(bytes: &[u8], what: &str, port: u16, expect: Expect) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(bytes).unwrap();
    match expect {
        Closed(expected) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = Vec::new();
            // Closed with bytes unread, an end may show as a reset; the answer has come by then.
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(status(&answer), Some(expected), "{what}");
        }
        Answered(expected @ (416 | 505), _) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = [0; 4096];
            let n = stream.read(&mut answer).unwrap();
            assert_eq!(status(&answer[..n]), Some(expected), "{what}");
        }
        Awaited | Discarded => {
            stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
            assert!(stream.read(&mut [0; 16]).is_err(), "{what}: neither answered nor closed");
        }
        _ => {}
    }
}

/// What the server sends before it answers an OPTIONS that is sent now: it lives, and these are its answers so far.
fn answers_before_ping(socket: &UdpSocket, port: u16, number: usize) -> Vec<Vec<u8>> {
    let ping = format!(
        "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKping{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ping@away.example>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: ping{number}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send(ping.as_bytes()).unwrap();
    let (mut answers, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let n = socket.recv(&mut buffer).expect("the server answers");
        if value(&buffer[..n], "call-id") == Some(format!("ping{number}").as_bytes()) {
            assert_eq!(status(&buffer[..n]), Some(200));
            return answers;
        }
        answers.push(buffer[..n].to_vec());
    }
}

fn register_over(socket: &UdpSocket, port: u16) {
    let local = socket.local_addr().unwrap();
    let request = format!(
        "REGISTER sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKlast\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: last\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:alice@{local}>\r\nContent-Length: 0\r\n\r\n"
    );
    let mut buffer = [0; 65_536];
    socket.send(request.as_bytes()).unwrap();
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(status(&buffer[..n]), Some(401));
    let proven = with_credentials(request.as_bytes(), &buffer[..n], "alice", support::PASSWORD);
    socket.send(&proven).unwrap();
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(status(&buffer[..n]), Some(200), "{}", buffer[..n].escape_ascii());
}

const PATIENCE: Duration = Duration::from_secs(20);

/// A running program in a directory of its own, which goes with it.
struct Daemon {
    child: Child,
    directory: PathBuf,
    sip: u16,
}

impl Daemon {
    fn start(domain: &str, people: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("pcsd-torture-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        // A port that is free both ways, and with luck still is when the server opens it.
        let sip = loop {
            let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let state = directory.join("state").display().to_string();
        let mut text = format!(
            "config pcsd 'main'\n\toption domain '{domain}'\n\toption socket '{}'\n\tlist unlimited '127.0.0.1'\n\
             \toption state '{state}'\n\toption run_dir '{state}'\n\
             \tlist listen 'udp:127.0.0.1:{sip}'\n\tlist listen 'tcp:127.0.0.1:{sip}'\n",
            directory.join("control").display()
        );
        for id in people {
            text.push_str(&format!("config person '{id}'\n\toption password '{}'\n", support::PASSWORD));
        }
        fs::write(directory.join("pcsd"), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pcsd"))
            .args(["run", "--config"])
            .arg(directory.join("pcsd"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("started")), "the server ended");
        // Somebody has to read on, or the server stalls.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, directory, sip }
    }

    fn pcsctl(&self, word: &str) -> String {
        let program = self.directory.join("pcsctl");
        let _ = symlink(env!("CARGO_BIN_EXE_pcsd"), &program);
        let output = Command::new(&program).arg("--socket").arg(self.directory.join("control")).arg(word).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
