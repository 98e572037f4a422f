//! Sessions against each other over pipes of any size, and against bytes that are no session.

use super::super::testing::{Authority, Folder, endpoint, expected};
use super::super::verify::Roots;
use super::*;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;
use std::{fs, thread};

/// One direction of a connection, with the room of its buffers.
struct Pipe {
    bytes: VecDeque<u8>,
    room: usize,
    is_closed: bool,
}

impl Pipe {
    fn new(room: usize) -> Self {
        Self { bytes: VecDeque::new(), room, is_closed: false }
    }

    fn with(bytes: &[u8]) -> Self {
        Self { bytes: bytes.iter().copied().collect(), room: 0, is_closed: false }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.is_closed {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.bytes.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room - self.bytes.len());
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.bytes.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two sessions and what is between them.
struct Pair {
    client: Session,
    server: Session,
    up: Pipe,
    down: Pipe,
}

impl Pair {
    fn new(client: Session, server: Session, room: usize) -> Self {
        Self { client, server, up: Pipe::new(room), down: Pipe::new(room) }
    }

    /// Both ends do what they can once. What they said when it was news.
    fn turn(&mut self) -> [Result<Progress, Fault>; 2] {
        [
            one_turn(&mut self.client, &mut self.down, &mut self.up),
            one_turn(&mut self.server, &mut self.up, &mut self.down),
        ]
    }

    /// A turn in which nothing goes wrong.
    fn exchange(&mut self) {
        for progress in self.turn() {
            progress.unwrap();
        }
    }

    /// Turns until both are up.
    fn shake_hands(&mut self) -> [PeerIdentity; 2] {
        let mut identities = [None, None];
        for _ in 0..100_000 {
            for (progress, identity) in self.turn().into_iter().zip(&mut identities) {
                if let Progress::Established(peer) = progress.unwrap() {
                    assert!(identity.replace(*peer).is_none(), "said twice");
                }
            }
            if let [Some(_), Some(_)] = identities {
                return identities.map(Option::unwrap);
            }
        }
        panic!("no handshake")
    }

    /// Turns until one end fails, and one time more.
    fn fail(&mut self) -> [Option<Fault>; 2] {
        let mut faults = [None, None];
        for _ in 0..100 {
            let had_one = faults.iter().any(Option::is_some);
            for (progress, fault) in self.turn().into_iter().zip(&mut faults) {
                *fault = fault.take().or(progress.err());
            }
            if had_one {
                return faults;
            }
        }
        panic!("no fault")
    }
}

fn one_turn(session: &mut Session, from: &mut Pipe, to: &mut Pipe) -> Result<Progress, Fault> {
    let mut progress = Progress::Handshaking;
    if session.wants_read() && session.pull(from).unwrap() != Pulled::Nothing {
        progress = session.advance().inspect_err(|_| {
            let _ = session.push(to);
        })?;
    }
    session.push(to).unwrap();
    Ok(progress)
}

/// What comes out of `session` through a window of `window` bytes: the bytes, and how they ended, if they did.
fn read_all(session: &mut Session, window: usize) -> (Vec<u8>, Option<io::Result<()>>) {
    let (mut all, mut window) = (Vec::new(), std::vec![0; window]);
    loop {
        match session.read(&mut window) {
            Ok(Some(0)) => return (all, Some(Ok(()))),
            Ok(Some(len)) => all.extend(&window[..len]),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(Err(error))),
        }
    }
}

/// A server, and a client that knows its pin.
fn pinned() -> (Endpoint, Endpoint, Expected) {
    let (client, server) = (endpoint(), endpoint());
    let expected = Expected { pins: std::vec![*server.pin()], ..expected("home.example") };
    (client, server, expected)
}

#[test]
fn both_learn_who_the_other_is() {
    let (mut client, server, expected) = pinned();
    let (a, b) = (Session::client(&mut client, &expected).unwrap(), Session::server(&server).unwrap());
    assert!(a.is_handshaking() && b.is_handshaking());
    let mut pair = Pair::new(a, b, 64 * 1024);
    let [seen_by_client, seen_by_server] = pair.shake_hands();
    assert_eq!(seen_by_client, PeerIdentity { key: Some(*server.pin()), names: Default::default() });
    assert_eq!(seen_by_server, PeerIdentity { key: Some(*client.pin()), names: Default::default() });
    assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
    assert_eq!(pair.client.agreed().to_string(), "TLSv1_3 TLS13_CHACHA20_POLY1305_SHA256");
    assert_eq!(pair.client.write(b"OPTIONS").unwrap(), 7);
    assert_eq!(pair.turn().map(Result::unwrap), [Progress::Up, Progress::Up]);
    assert_eq!(read_all(&mut pair.server, 100).0, b"OPTIONS");
}

#[test]
fn nothing_is_taken_before_the_session_is_up() {
    let (mut client, server, expected) = pinned();
    let mut a = Session::client(&mut client, &expected).unwrap();
    let mut b = Session::server(&server).unwrap();
    assert_eq!((a.write(b"too early").unwrap(), b.write(b"too early").unwrap()), (0, 0));
    assert_eq!(read_all(&mut b, 10).0, b"");
}

#[test]
fn tickets_shorten_the_handshake() {
    let (mut client, server, expected) = pinned();
    let session = |client: &mut Endpoint, expected: &Expected| {
        Pair::new(Session::client(client, expected).unwrap(), Session::server(&server).unwrap(), 64 * 1024)
    };
    let mut first = session(&mut client, &expected);
    let known = first.shake_hands();
    first.exchange();
    assert!(!first.client.is_resumed() && !first.server.is_resumed());
    let mut second = session(&mut client, &expected);
    assert_eq!(second.shake_hands(), known);
    assert!(second.client.is_resumed() && second.server.is_resumed());
    // What was proven to one expectation is not proven to another.
    let other = Expected { pins: std::vec![[1; 32]], ..expected };
    let [fault, _] = session(&mut client, &other).fail();
    assert_eq!(fault, Some(Fault::WrongPin(*server.pin())));
}

#[test]
fn an_authority_vouches_for_both() {
    let authority = Authority::new("Test authority");
    let folder = Folder::new("session");
    let path = folder.join("ca.pem");
    fs::write(&path, authority.pem()).unwrap();
    let roots = Roots::File(path);
    let endpoint = |names: &[&str]| {
        Endpoint::new(authority.keys(names), Trust { roots: roots.clone(), peers: Vec::new() }).unwrap()
    };
    let (mut client, server) = (endpoint(&["sip:client.example"]), endpoint(&["server.example"]));
    let expected =
        |domain: &str| Expected { domain: domain.into(), is_account: false, pins: Vec::new(), roots: roots.clone() };
    let mut pair = |domain: &str| {
        Pair::new(
            Session::client(&mut client, &expected(domain)).unwrap(),
            Session::server(&server).unwrap(),
            64 * 1024,
        )
    };
    let [seen_by_client, seen_by_server] = pair("server.example").shake_hands();
    assert_eq!(seen_by_client.names.iter().collect::<Vec<_>>(), ["server.example"]);
    assert_eq!(seen_by_server.names.iter().collect::<Vec<_>>(), ["client.example"]);
    let [fault, refusal] = pair("other.example").fail();
    assert_eq!(fault, Some(Fault::WrongName("other.example".into(), "server.example".into())));
    assert_eq!(refusal.unwrap().to_string(), "the peer refuses: CertificateUnknown");
}

#[test]
fn the_wrong_pin() {
    let (mut client, server, _) = pinned();
    let expected = Expected { pins: std::vec![[9; 32]], ..expected("home.example") };
    let (a, b) = (Session::client(&mut client, &expected).unwrap(), Session::server(&server).unwrap());
    let [fault, refusal] = Pair::new(a, b, 64 * 1024).fail();
    assert_eq!(fault, Some(Fault::WrongPin(*server.pin())));
    assert!(matches!(refusal, Some(Fault::Refused(_))));
}

#[test]
fn names_that_tls_can_not_say() {
    let mut client = endpoint();
    for domain in ["", "a b", "-.example", "[::1"] {
        let result = Session::client(&mut client, &expected(domain)).map(|_| ());
        assert!(result == Err(Fault::NotAName(domain.into())) || domain == "[::1", "{domain}: {result:?}");
    }
    for domain in ["192.0.2.7", "[2001:db8::7]", "home.example"] {
        Session::client(&mut client, &expected(domain)).unwrap();
    }
}

/// What a server answers to `bytes` and then the end: the fault, and what it sent.
fn answer_to(server: &Endpoint, bytes: &[u8]) -> (Fault, Vec<u8>) {
    let mut session = Session::server(server).unwrap();
    let (mut from, mut to) = (Pipe::with(bytes), Pipe::new(64 * 1024));
    from.is_closed = true;
    for _ in 0..bytes.len() + 2 {
        if let Err(fault) = one_turn(&mut session, &mut from, &mut to) {
            assert!(session.is_handshaking());
            return (fault, to.bytes.into());
        }
    }
    panic!("neither a session nor a fault")
}

#[test]
fn what_is_no_tls() {
    let server = endpoint();
    let sip = b"REGISTER sip:home.example SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bK1\r\n\r\n";
    assert_eq!(answer_to(&server, sip).0, Fault::NotTls { is_text: true });
    // The keep-alive of RFC 5626 §3.5.1.
    assert!(matches!(answer_to(&server, b"\r\n\r\n").0, Fault::NotTls { is_text: true } | Fault::Ended));
    assert_eq!(answer_to(&server, &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0]).0, Fault::NotTls { is_text: false });
    assert_eq!(answer_to(&server, b"").0, Fault::Ended);
    // A record of the right type with garbage in it, one of no length, one too long, and one cut off.
    for bytes in
        [&[22, 3, 1, 0, 4, 0xff, 0xff, 0xff, 0xff][..], &[22, 3, 1, 0, 0], &[22, 3, 1, 0xff, 0xff], &[22, 3, 1]]
    {
        let (fault, answer) = answer_to(&server, bytes);
        assert!(matches!(fault, Fault::Other(_) | Fault::Ended), "{bytes:?}: {fault:?}");
        // An alert at most.
        assert!(answer.len() <= 7, "{answer:?}");
    }
    // Any garbage ends, whatever its first byte says.
    let mut random = 1u32;
    for round in 0..400 {
        let mut bytes: Vec<u8> = (0..200)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 24) as u8
            })
            .collect();
        if round % 2 == 0 {
            bytes[..5].copy_from_slice(&[22, 3, 1, 0, 195]);
        }
        answer_to(&server, &bytes);
    }
}

/// A ClientHello that offers at most TLS 1.0 (RFC 2246 §7.4.1.2), with one suite.
const TLS_1_0_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0xc0, 0x09, 1, 0,
];

#[test]
fn old_versions() {
    let (fault, answer) = answer_to(&endpoint(), TLS_1_0_HELLO);
    assert_eq!(fault, Fault::TooOld);
    // A fatal alert: handshake_failure.
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 40]);
}

#[test]
fn half_a_handshake() {
    let (mut client, server, expected) = pinned();
    let mut hello = Pipe::new(64 * 1024);
    Session::client(&mut client, &expected).unwrap().push(&mut hello).unwrap();
    let hello: Vec<u8> = hello.bytes.into();
    for len in 0..=hello.len() {
        let mut session = Session::server(&server).unwrap();
        let mut from = Pipe::with(&hello[..len]);
        let mut to = Pipe::new(64 * 1024);
        while session.wants_read() && session.pull(&mut from).unwrap() == Pulled::Some {
            assert_eq!(session.advance(), Ok(Progress::Handshaking));
        }
        // It waits, for the deadline of whoever owns it; only to the whole hello there is an answer.
        assert!(session.is_handshaking());
        session.push(&mut to).unwrap();
        assert_eq!(to.bytes.is_empty(), len < hello.len());
        from.is_closed = true;
        assert_eq!(session.pull(&mut from).unwrap(), Pulled::End);
        assert_eq!(session.advance(), Err(Fault::Ended));
    }
    // Each bit of the hello turned over: never a session.
    for at in 0..hello.len() {
        let mut bytes = hello.clone();
        bytes[at] ^= 1 << (at % 8);
        answer_to(&server, &bytes);
    }
}

#[test]
fn large_transfers_through_narrow_places() {
    let text: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (room, window) in [(1, 1), (7, 1), (1500, 1), (1500, 4096), (64 * 1024, 1), (64 * 1024, 64 * 1024)] {
        let len = if room < 100 { 20_000 } else { text.len() };
        let (mut client, server, expected) = pinned();
        let (a, b) = (Session::client(&mut client, &expected).unwrap(), Session::server(&server).unwrap());
        let mut pair = Pair::new(a, b, room);
        pair.shake_hands();
        let (mut sent, mut received) = ([0; 2], [Vec::new(), Vec::new()]);
        while received.iter().any(|got| got.len() < len) {
            for (session, sent) in [&mut pair.client, &mut pair.server].into_iter().zip(&mut sent) {
                *sent += session.write(&text[*sent..len]).unwrap();
            }
            assert!(pair.turn().iter().all(Result::is_ok));
            for (session, got) in [&mut pair.client, &mut pair.server].into_iter().zip(&mut received) {
                got.extend(read_all(session, window).0);
            }
        }
        assert!(received.iter().all(|got| *got == text[..len]), "room {room}, window {window}");
        assert!(!pair.client.wants_write() && !pair.server.wants_write());
    }
}

#[test]
fn a_peer_that_does_not_read_costs_so_much() {
    let (mut client, server, expected) = pinned();
    let (a, b) = (Session::client(&mut client, &expected).unwrap(), Session::server(&server).unwrap());
    let mut pair = Pair::new(a, b, 64 * 1024);
    pair.shake_hands();
    pair.exchange();
    let (mut full, mut taken) = (Pipe::new(0), 0);
    for _ in 0..100 {
        taken += pair.server.write(&[0; 4096]).unwrap();
        assert!(!pair.server.push(&mut full).unwrap());
    }
    assert!((PENDING_BYTES - 4096..=PENDING_BYTES).contains(&taken), "{taken}");
    let mut wide = Pipe::new(1 << 20);
    assert!(pair.server.push(&mut wide).unwrap());
    assert!(wide.bytes.len() < PENDING_BYTES + 1024, "{}", wide.bytes.len());
    assert_eq!(pair.server.write(&[0; 100]).unwrap(), 100);
    pair.down.bytes.append(&mut wide.bytes);

    // And one who sends while we do not read is stopped.
    let mut sent = 0;
    for _ in 0..1000 {
        sent += pair.client.write(&[0; 4096]).unwrap();
        pair.exchange();
    }
    assert!(!pair.server.wants_read());
    assert!(sent < 128 * 1024, "{sent}");
}

#[test]
fn ends() {
    let (mut client, server, expected) = pinned();
    let mut up = || {
        let (a, b) = (Session::client(&mut client, &expected).unwrap(), Session::server(&server).unwrap());
        let mut pair = Pair::new(a, b, 64 * 1024);
        pair.shake_hands();
        pair.exchange();
        pair.client.write(b"the last words").unwrap();
        pair
    };
    // In order.
    let mut pair = up();
    pair.client.close();
    pair.exchange();
    let (text, end) = read_all(&mut pair.server, 5);
    assert!(text == b"the last words" && matches!(end, Some(Ok(()))));
    // The other direction still works.
    assert_eq!(pair.server.write(b"good bye").unwrap(), 8);
    pair.exchange();
    pair.exchange();
    assert_eq!(read_all(&mut pair.client, 5).0, b"good bye");

    // Cut off.
    let mut pair = up();
    pair.client.push(&mut pair.up).unwrap();
    pair.up.is_closed = true;
    pair.exchange();
    let (text, end) = read_all(&mut pair.server, 5);
    assert!(text == b"the last words" && end.is_none());
    assert_eq!(pair.server.pull(&mut pair.up).unwrap(), Pulled::End);
    pair.server.advance().unwrap();
    let error = pair.server.read(&mut [0; 5]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

    // Forged: a bit turned over on the way.
    let mut pair = up();
    pair.client.push(&mut pair.up).unwrap();
    *pair.up.bytes.back_mut().unwrap() ^= 1;
    let [_, fault] = pair.turn();
    assert!(matches!(fault, Err(Fault::Other(ref what)) if what.contains("decrypt")), "{fault:?}");
    assert_eq!(read_all(&mut pair.server, 5).0, b"");
}

/// Runs `openssl s_client` with these arguments against `server`, which sends back each line it gets. What the client
/// printed, and what the server saw; `None` when there is no such program.
fn against_openssl(
    server: &Endpoint,
    arguments: &[&str],
    lines: &[u8],
) -> Option<(String, Vec<Result<Progress, Fault>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "home.example"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut client) = client else {
        std::eprintln!("skipped: this machine has no openssl");
        return None;
    };
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let (mut session, mut seen) = (Session::server(server).unwrap(), Vec::new());
    let mut input = client.stdin.take();
    let mut lines = lines.split_inclusive(|byte| *byte == b'\n');
    let mut next_line_at = Instant::now();
    let until = next_line_at + Duration::from_secs(20);
    'connection: while Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
        while session.wants_read() {
            match session.pull(&mut socket) {
                Ok(Pulled::Nothing) => break,
                Ok(_) => {}
                Err(error) => {
                    seen.push(Err(Fault::Other(error.to_string())));
                    break 'connection;
                }
            }
            let progress = session.advance();
            let is_over = progress.is_err();
            if progress != Ok(Progress::Handshaking) && progress != Ok(Progress::Up) {
                seen.push(progress);
            }
            let _ = session.push(&mut socket);
            if is_over {
                break 'connection;
            }
            let (text, end) = read_all(&mut session, 100);
            session.write(&text).unwrap();
            if end.is_some() {
                session.close();
                let _ = session.push(&mut socket);
                break 'connection;
            }
        }
        if session.push(&mut socket).is_err() {
            break;
        }
        if !session.is_handshaking() && Instant::now() >= next_line_at {
            // One line at a time, as s_client looks at the first character of what it reads.
            match (lines.next(), &mut input) {
                (Some(line), Some(input)) => drop(input.write_all(line)),
                _ => input = None,
            }
            next_line_at = Instant::now() + Duration::from_millis(100);
        }
    }
    drop((socket, input));
    let output = client.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((text, seen))
}

#[test]
fn another_implementation() {
    let server = endpoint();
    for version in ["-tls1_2", "-tls1_3"] {
        let Some((printed, seen)) = against_openssl(&server, &[version], b"good day\n") else { return };
        assert_eq!(seen, [Ok(Progress::Established(Box::default()))], "{printed}");
        assert!(printed.contains("CN = home.example") || printed.contains("CN=home.example"), "{printed}");
        assert!(printed.contains("\ngood day\n"), "{printed}");
        assert!(printed.contains("CHACHA20"), "{printed}");
    }
    // Its certificate's key is what proves who the client is.
    let folder = Folder::new("openssl");
    for (name, pin) in [
        ("ec", include_str!("../../../../tests/data/tls/ec.pin")),
        ("rsa", include_str!("../../../../tests/data/tls/rsa.pin")),
    ] {
        let data = std::format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let (certificate, key) = (data.clone() + ".crt", data + ".key");
        let arguments = ["-cert", &certificate, "-key", &key];
        let Some((_, seen)) = against_openssl(&server, &arguments, b"good day\n") else { return };
        let [Ok(Progress::Established(peer))] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(super::super::keys::pin_text(&peer.key.unwrap()), pin.trim());
    }
    // And it takes our certificate for an authority's: nothing in it keeps it from that.
    let keys = super::super::keys::Keys::own(&folder, &["home.example"]).unwrap();
    let server = Endpoint::new(keys, Trust { roots: Roots::System, peers: Vec::new() }).unwrap();
    let file = folder.join("tls.crt");
    let arguments = ["-CAfile", file.to_str().unwrap(), "-verify_return_error", "-verify_hostname", "home.example"];
    let Some((printed, _)) = against_openssl(&server, &arguments, b"good day\n") else { return };
    assert!(printed.contains("Verify return code: 0 (ok)"), "{printed}");
}

#[test]
fn renegotiation_is_refused() {
    let server = endpoint();
    let lines = b"before\nR\nR\nR\nafter\n";
    let Some((printed, seen)) = against_openssl(&server, &["-tls1_2"], lines) else { return };
    assert!(printed.contains("RENEGOTIATING"), "{printed}");
    // One handshake, and then either side may give up; what was said before arrived.
    assert_eq!(seen.iter().filter(|it| matches!(it, Ok(Progress::Established(_)))).count(), 1, "{seen:?}");
    assert!(printed.contains("\nbefore\n"), "{printed}");
    assert!(printed.contains("no renegotiation") || printed.contains("unexpected message"), "{printed}");
}

#[test]
fn versions_that_are_too_old_for_us() {
    // This machine's OpenSSL may refuse to speak them at all; then there is nothing to see.
    let arguments = ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    let Some((printed, seen)) = against_openssl(&endpoint(), &arguments, b"") else { return };
    assert!(matches!(seen[..], [Err(Fault::TooOld | Fault::Ended)]), "{seen:?} {printed}");
}
