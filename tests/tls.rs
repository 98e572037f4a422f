//! The program over TLS: phones that connect to it, strangers at its port, and homes that know each other by key or
//! authority.

#[path = "support/mod.rs"]
mod support;

use pcsd::base::limits::{WINDOWS_8K, WINDOWS_64K};
use pcsd::base::net::PeerIdentity;
use pcsd::runtime::tls::Endpoint;
use pcsd::runtime::tls::keys::{CERTIFICATE_FILE, Keys, pin_text};
use pcsd::runtime::tls::session::{HANDSHAKE_MS, Progress, Pulled, Session};
use pcsd::runtime::tls::verify::{Expected, Roots, Trust};
use pcsd::server::contract;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::{PASSWORD, find, status, value, with_credentials};

#[test]
fn phones() {
    let home = Home::new("phones", "home.example");
    let daemon = home.start("");
    let mut phone = Phone::new(&home);
    phone.send(request("OPTIONS", "home.example", 1, "").as_bytes());
    let answer = phone.receive();
    assert_eq!(status(&answer), Some(200));
    assert!(find(&answer, b"SIP/2.0/TLS").is_some(), "{}", answer.escape_ascii());

    let register = request("REGISTER", "home.example", 2, "Contact: <sip:alice@127.0.0.1:9;transport=tls>\r\n");
    phone.send(register.as_bytes());
    let challenge = phone.receive();
    assert_eq!(status(&challenge), Some(401));
    phone.send(&with_credentials(register.as_bytes(), &challenge, "alice", PASSWORD));
    assert_eq!(status(&phone.receive()), Some(200));
    let devices = home.pcsctl("devices");
    assert!(devices.contains("alice") && devices.contains("tls"), "{devices}");

    // Off the network without a word: the binding goes with the connection.
    drop(phone);
    wait_until(|| !home.pcsctl("devices").contains("tls"));
    // And back, by its ticket.
    let mut again = Phone::with(home.phone_endpoint(), &home);
    again.send(request("OPTIONS", "home.example", 3, "").as_bytes());
    assert_eq!(status(&again.receive()), Some(200));
    assert!(!again.session.is_resumed());
    again.hang_up();
    let mut endpoint = again.endpoint;
    endpoint.client(&contract::Expected { domain: "home.example", pins: &[], ca: "", is_account: false }).unwrap();
    let mut resumed = Phone::with(endpoint, &home);
    assert!(resumed.session.is_resumed());
    resumed.send(request("OPTIONS", "home.example", 4, "").as_bytes());
    assert_eq!(status(&resumed.receive()), Some(200));
    drop(daemon);
}

#[test]
fn much_at_once() {
    let home = Home::new("much", "home.example");
    let _daemon = home.start("");
    let mut phone = Phone::new(&home);
    // More than all buffers between hold, before anything is read, in records of all sizes.
    let count = 400;
    let padding = format!("X-Padding: {}\r\n", "x".repeat(900));
    let all: String = (0..count).map(|number| request("OPTIONS", "home.example", number, &padding)).collect();
    let mut answers = Vec::new();
    let mut sent = 0;
    for size in (1..).step_by(7) {
        if sent >= all.len() {
            break;
        }
        let end = (sent + size).min(all.len());
        sent += phone.send_some(&all.as_bytes()[sent..end], &mut answers);
    }
    let calls = |answers: &[u8]| (0..count).filter(|n| find(answers, call_id(*n).as_bytes()).is_some()).count();
    let until = Instant::now() + PATIENCE;
    while calls(&answers) < count as usize && Instant::now() < until {
        phone.read_some(&mut answers);
    }
    assert_eq!(calls(&answers), count as usize);
    // One message as large as they come, in records of one byte and then in one write.
    let body = "y".repeat(40_000);
    let large = request("OPTIONS", "home.example", 9000, "")
        .replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let (head, tail) = large.as_bytes().split_at(600);
    for byte in head {
        phone.send(&[*byte]);
    }
    phone.send(tail);
    assert_eq!(status(&phone.receive()), Some(200));
}

/// A message that needs a window when none is free waits in its session, where its socket does not tell of it; when one
/// becomes free it goes on.
#[test]
fn waiting_for_a_window() {
    let home = Home::new("window", "home.example");
    let _daemon = home.start("");
    let message = |number: u32, len: usize| {
        let empty = request("OPTIONS", "home.example", number, "");
        let body = len - empty.len() - 4;
        empty.replace("Content-Length: 0", &format!("Content-Length: {body:04}")) + &"y".repeat(body)
    };
    let lengths = std::iter::repeat_n(20_000, WINDOWS_64K).chain(std::iter::repeat_n(7_000, WINDOWS_8K));
    let mut holders: Vec<_> = (0..).zip(lengths).map(|(n, len)| (Phone::new(&home), message(n, len))).collect();
    for (phone, message) in &mut holders {
        phone.send(&message.as_bytes()[..message.len() / 2]);
    }
    let mut waiting = Phone::new(&home);
    // The last record is cut by the end of a window of 2 KB.
    let last = message(100, 4000);
    home.settle();
    waiting.send(&last.as_bytes()[..100]);
    waiting.send(&last.as_bytes()[100..]);
    home.settle();
    let mut answers = Vec::new();
    waiting.socket.set_nonblocking(true).unwrap();
    waiting.read_some(&mut answers);
    assert!(answers.is_empty(), "{}", answers.escape_ascii());
    for (phone, message) in &mut holders {
        phone.send(&message.as_bytes()[message.len() / 2..]);
        assert_eq!(status(&phone.receive()), Some(200));
    }
    assert_eq!(status(&waiting.receive()), Some(200));
}

#[test]
fn many_at_once() {
    let home = Home::new("many", "home.example");
    let _daemon = home.start("");
    // All hellos are there before any is answered, and a datagram comes between.
    let mut phones: Vec<_> = (0..20).map(|_| Phone::begin(home.phone_endpoint(), &home)).collect();
    home.ping();
    for phone in &mut phones {
        phone.shake_hands();
    }
    for (number, phone) in phones.iter_mut().enumerate() {
        phone.send(request("OPTIONS", "home.example", number as u32, "").as_bytes());
    }
    for phone in &mut phones {
        assert_eq!(status(&phone.receive()), Some(200));
    }
}

#[test]
fn strangers_at_the_port() {
    let home = Home::new("strangers", "home.example");
    let daemon = home.start("");
    let hello_1_0 = [
        &[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1][..],
        &[7; 32],
        // No session, one suite, no compression.
        &[0, 0, 2, 0xc0, 0x09, 1, 0],
    ]
    .concat();
    let plain = request("OPTIONS", "home.example", 1, "");
    for (bytes, logged) in [
        (plain.as_bytes(), "the peer sends plain text where TLS is spoken"),
        (&hello_1_0, "the peer offers neither TLS 1.2 nor 1.3"),
        (b"\x80\x2e\x01\x00\x02garbage", "what the peer sends is not TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00", "the peer closed the connection in the handshake"),
    ] {
        let mut socket = home.connect();
        socket.write_all(bytes).unwrap();
        if logged.contains("closed") {
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        // At most an alert, and the end.
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "{}", answer.escape_ascii());
        let line = daemon.await_line("no TLS with 127.0.0.1:");
        assert!(line.contains(logged), "{line}");
    }
    home.ping();
}

#[test]
fn half_a_handshake_is_ended() {
    let home = Home::new("half", "home.example");
    let daemon = home.start("");
    let start = Instant::now();
    let mut silent = home.connect();
    let mut half = home.connect();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
    home.ping();
    for socket in [&mut silent, &mut half] {
        assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
        assert!(daemon.await_line("no TLS with 127.0.0.1:").contains("it took too long"));
    }
    let took = start.elapsed().as_millis() as u64;
    assert!((HANDSHAKE_MS - 500..HANDSHAKE_MS + 3000).contains(&took), "{took} ms");
}

#[test]
fn homes_that_know_each_others_keys() {
    let (a, b) = (Home::new("pins-a", "a.example"), Home::new("pins-b", "b.example"));
    let _b = b.start(&format!("config peer a\n\toption domain a.example\n\toption address 127.0.0.1:{}\n\toption transport tls\n\tlist pin {}\n", a.tls, a.pin()));
    let daemon = a.start(&peer_b(&b, &format!("\tlist pin {}\n", b.pin())));
    assert_eq!(a.message_to_alice_of(&b), 200);
    drop(daemon);
    // Somebody else in its place.
    let daemon = a.start(&peer_b(&b, &format!("\tlist pin {}\n", a.pin())));
    assert_ne!(a.message_to_alice_of(&b), 200);
    let line = daemon.await_line("no TLS with b.example at ");
    assert!(line.contains(&format!("its pin now is {}", b.pin())), "{line}");
}

#[test]
fn homes_that_trust_an_authority() {
    let (a, b) = (Home::new("ca-a", "a.example"), Home::new("ca-b", "b.example"));
    let _b = b.start("");
    let authority = b.directory.join(CERTIFICATE_FILE);
    let daemon = a.start(&peer_b(&b, &format!("\toption ca {}\n", authority.display())));
    assert_eq!(a.message_to_alice_of(&b), 200);
    drop(daemon);
    // That of another home vouches for nobody else.
    let authority = a.directory.join(CERTIFICATE_FILE);
    let daemon = a.start(&peer_b(&b, &format!("\toption ca {}\n", authority.display())));
    assert_ne!(a.message_to_alice_of(&b), 200);
    let line = daemon.await_line("no TLS with b.example at ");
    assert!(line.contains("was not issued by anybody in ") && line.contains(&b.pin()), "{line}");
}

#[test]
fn no_key_no_start() {
    let home = Home::new("no_key", "home.example");
    fs::write(home.directory.join("tls.key"), "garbage").unwrap();
    home.configure("");
    let output = home.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no TLS: ") && said.contains("tls.key: holds no private key"), "{said}");
}

fn peer_b(b: &Home, known_by: &str) -> String {
    format!(
        "config peer b\n\toption domain b.example\n\toption address 127.0.0.1:{}\n\toption transport tls\n{known_by}",
        b.tls
    )
}

fn call_id(number: u32) -> String {
    format!("call{number:05}")
}

/// A request from and to alice, with further header fields; the transport in its Via does not matter.
fn request(method: &str, domain: &str, number: u32, more: &str) -> String {
    let to = if method == "REGISTER" { format!("sip:alice@{domain}") } else { format!("sip:{domain}") };
    format!(
        "{method} sip:{domain} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@{domain}>;tag=1\r\nTo: <{to}>\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n{more}Content-Length: 0\r\n\r\n",
        call_id(number),
        number + 1
    )
}

/// One that was not used before.
fn number() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(20_000);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A home in a directory of its own, which goes with it.
struct Home {
    directory: PathBuf,
    domain: &'static str,
    sip: u16,
    tls: u16,
}

impl Home {
    fn new(name: &str, domain: &'static str) -> Self {
        let directory = std::env::temp_dir().join(format!("pcsd-test-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let home = Self { directory, domain, sip: free_port(), tls: free_port() };
        // The key is there before the first start, so that others can know it.
        home.keys();
        home
    }

    fn keys(&self) -> Keys {
        Keys::own(&self.directory, &[self.domain]).unwrap()
    }

    fn pin(&self) -> String {
        pin_text(self.keys().pin())
    }

    fn configure(&self, more: &str) {
        let (directory, domain, sip, tls) = (self.directory.display(), self.domain, self.sip, self.tls);
        let text = format!(
            "config pcsd 'main'\n\toption domain '{domain}'\n\toption socket '{directory}/control'\n\
             \toption state '{directory}'\n\toption run_dir '{directory}'\n\toption log_level debug\n\tlist unlimited '127.0.0.1'\n\tlist listen 'udp:127.0.0.1:{sip}'\n\
             \tlist listen 'tls:127.0.0.1:{tls}'\nconfig person 'alice'\n\toption password '{PASSWORD}'\n{more}"
        );
        fs::write(self.directory.join("pcsd"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pcsd"));
        command.args(["run", "--config"]).arg(self.directory.join("pcsd"));
        command
    }

    fn start(&self, more: &str) -> Daemon {
        self.configure(more);
        let mut child = self.command().stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let daemon = Daemon { child, log };
        daemon.await_line("started");
        daemon
    }

    /// Returns when the server has looked at all that was sent so far: it has gone round its sockets several times since.
    fn settle(&self) {
        let socket = udp(self.sip);
        for _ in 0..20 {
            let request = request("OPTIONS", self.domain, number(), "").replace("/TLS", "/UDP");
            socket.send(request.as_bytes()).unwrap();
            assert!(socket.recv(&mut [0; 2048]).unwrap() > 0);
        }
    }

    fn pcsctl(&self, word: &str) -> String {
        let program = self.directory.join("pcsctl");
        let _ = symlink(env!("CARGO_BIN_EXE_pcsd"), &program);
        let output = Command::new(&program).arg("--socket").arg(self.directory.join("control")).arg(word).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.tls)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// It answers on its other port.
    fn ping(&self) {
        let socket = udp(self.sip);
        socket.send(request("OPTIONS", self.domain, 7777, "").replace("TLS", "UDP").as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).unwrap();
        assert_eq!(status(&buffer[..len]), Some(200));
    }

    /// What a phone has: a key of its own, and the knowledge of the home's.
    fn phone_endpoint(&self) -> Endpoint {
        let keys = Keys::own(&self.directory.join("phone"), &["phone.example"]).unwrap();
        Endpoint::new(keys, Trust { roots: Roots::System, peers: Vec::new() }).unwrap()
    }

    fn expected(&self) -> Expected {
        let pins = vec![*self.keys().pin()];
        Expected { domain: self.domain.into(), is_account: false, pins, roots: Roots::System }
    }

    /// Alice of this home sends a message to alice of `other`, who is there. The final status of it.
    fn message_to_alice_of(&self, other: &Home) -> u16 {
        let receiver = udp(other.sip);
        let contact = format!("Contact: <sip:alice@{}>\r\n", receiver.local_addr().unwrap());
        let register = request("REGISTER", other.domain, number(), &contact).replace("TLS", "UDP");
        assert_eq!(proven(&receiver, register.as_bytes()), 200);
        let answers = receiver.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            answers.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = [0; 4096];
            let Ok(len) = answers.recv(&mut buffer) else { return };
            assert!(buffer.starts_with(b"MESSAGE "), "{}", buffer[..len].escape_ascii());
            answers.send(&support::answer(&buffer[..len], 200, "")).unwrap();
        });
        let sender = udp(self.sip);
        let message = request("MESSAGE", self.domain, number(), "")
            .replace("TLS", "UDP")
            .replace(&format!("MESSAGE sip:{}", self.domain), &format!("MESSAGE sip:alice@{}", other.domain))
            .replace(&format!("To: <sip:{}>", self.domain), &format!("To: <sip:alice@{}>", other.domain));
        let status = proven(&sender, message.as_bytes());
        if status == 200 {
            thread.join().unwrap();
        }
        status
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Sends a request, and again with credentials when it is challenged: the final status.
fn proven(socket: &UdpSocket, request: &[u8]) -> u16 {
    let mut request = request.to_vec();
    let mut buffer = [0; 65_536];
    loop {
        socket.send(&request).unwrap();
        loop {
            let len = socket.recv(&mut buffer).unwrap();
            let answer = &buffer[..len];
            match status(answer).unwrap() {
                100..200 => {}
                401 | 407 if find(&request, b"uthorization").is_none() => {
                    request = with_credentials(&request, answer, "alice", PASSWORD);
                    break;
                }
                status => return status,
            }
        }
    }
}

fn udp(to: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    socket.connect(("127.0.0.1", to)).unwrap();
    socket
}

fn free_port() -> u16 {
    loop {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return port;
        }
    }
}

/// A running server; killed when its test ends.
struct Daemon {
    child: Child,
    log: Receiver<String>,
}

impl Daemon {
    fn await_line(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return line;
            }
        }
        panic!("no log line with '{part}'")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other end of a connection.
struct Phone {
    endpoint: Endpoint,
    session: Session,
    socket: TcpStream,
}

impl Phone {
    fn new(home: &Home) -> Self {
        Self::with(home.phone_endpoint(), home)
    }

    fn with(endpoint: Endpoint, home: &Home) -> Self {
        let mut phone = Self::begin(endpoint, home);
        let peer = phone.shake_hands();
        assert_eq!(peer, PeerIdentity { key: Some(*home.keys().pin()), names: Default::default() });
        phone
    }

    /// Connects and says hello.
    fn begin(mut endpoint: Endpoint, home: &Home) -> Self {
        let session = Session::client(&mut endpoint, &home.expected()).unwrap();
        let mut phone = Self { endpoint, session, socket: home.connect() };
        phone.session.push(&mut phone.socket).unwrap();
        phone
    }

    fn shake_hands(&mut self) -> PeerIdentity {
        loop {
            assert_eq!(self.session.pull(&mut self.socket).unwrap(), Pulled::Some);
            let progress = self.session.advance().unwrap();
            self.session.push(&mut self.socket).unwrap();
            if let Progress::Established(peer) = progress {
                return *peer;
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += self.session.write(&bytes[sent..]).unwrap();
            self.session.push(&mut self.socket).unwrap();
        }
    }

    /// Sends what goes, and reads only when nothing goes any more.
    fn send_some(&mut self, bytes: &[u8], answers: &mut Vec<u8>) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let until = Instant::now() + PATIENCE;
        let sent = self.session.write(bytes).unwrap();
        while !self.session.push(&mut self.socket).unwrap() {
            assert!(Instant::now() < until, "the server neither reads nor writes");
            self.read_some(answers);
        }
        sent
    }

    fn read_some(&mut self, answers: &mut Vec<u8>) {
        self.socket.set_nonblocking(true).unwrap();
        let mut window = [0; 4096];
        if self.session.wants_read() {
            self.session.pull(&mut self.socket).unwrap();
            self.session.advance().unwrap();
        }
        while let Some(len) = self.session.read(&mut window).unwrap() {
            answers.extend(&window[..len]);
        }
        self.socket.set_nonblocking(false).unwrap();
    }

    /// One message.
    fn receive(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        let mut window = [0; 4096];
        loop {
            while let Some(len) = self.session.read(&mut window).unwrap() {
                assert!(len > 0, "closed");
                message.extend(&window[..len]);
            }
            if find(&message, b"\r\n\r\n").is_some() {
                assert_eq!(value(&message, "content-length"), Some(&b"0"[..]));
                return message;
            }
            assert_eq!(self.session.pull(&mut self.socket).unwrap(), Pulled::Some);
            self.session.advance().unwrap();
        }
    }

    fn hang_up(&mut self) {
        self.session.close();
        self.session.push(&mut self.socket).unwrap();
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
