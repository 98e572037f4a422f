//! Links of accounts over real sockets: TLS that begins in the middle, TLS from the first byte, and local sockets.

use super::super::tls::keys::Keys;
use super::super::tls::session::{Progress, Pulled, Session};
use super::super::tls::testing::{Authority, Folder};
use super::super::tls::verify::{Roots, Trust};
use super::*;
use crate::config::model::Account;
use crate::server::tests as by_hand;
use core::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::string::ToString;
use std::thread::{self, JoinHandle};
use std::vec::Vec;

const DOMAIN: &str = "im.chat.example";
const PATIENCE: Duration = Duration::from_secs(20);

/// A driver, and link 0 of its account 0.
struct World {
    driver: RefCell<Driver>,
    stream: Stream,
}

impl World {
    /// `to` none: the account's path.
    fn new(account: Account, to: Option<(SocketAddr, Transport)>, folder: &Folder) -> Self {
        let mut server = by_hand::server(clock::now(), account);
        let stream = server.begin_link(clock::now(), to, DOMAIN);
        let mut driver = Driver::new(Box::leak(server)).unwrap();
        let keys = Keys::own(folder, &["home.example"]).unwrap();
        let trust = Trust { roots: Roots::File(folder.join("ca.pem")), peers: Vec::new() };
        driver.secure(Endpoint::new(keys, trust).unwrap());
        driver.turn(Input::Timeout);
        Self { driver: RefCell::new(driver), stream }
    }

    /// Runs the loop until this holds.
    fn until(&self, what: &str, holds: impl Fn(&mut Server) -> bool) {
        let begun = std::time::Instant::now();
        let is_late = Cell::new(false);
        let services = core::future::poll_fn(|context| {
            let mut driver = self.driver.borrow_mut();
            is_late.set(begun.elapsed() > PATIENCE);
            if holds(driver.server) || is_late.get() {
                return core::task::Poll::Ready(());
            }
            // Looked at again soon: who waits is a test.
            thread::sleep(Duration::from_millis(1));
            context.waker().wake_by_ref();
            core::task::Poll::Pending
        });
        drive(&self.driver, core::pin::pin!(services)).unwrap();
        assert!(!is_late.get(), "never: {what}");
    }

    fn until_state(&self, state: Option<(Transport, bool)>) {
        self.until(&format!("{state:?}"), |server| server.link_state(self.stream) == state);
    }

    /// Waits for these bytes, and takes them; what follows them waits.
    fn expect(&self, bytes: &[u8]) {
        let got = RefCell::new(Vec::new());
        self.until(&bytes.escape_ascii().to_string(), |server| {
            let wanted = bytes.len() - got.borrow().len();
            got.borrow_mut().extend(server.take(self.stream, wanted));
            got.borrow().len() == bytes.len()
        });
        assert_eq!(got.borrow().escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }

    fn say(&self, bytes: &[u8]) {
        let mut driver = self.driver.borrow_mut();
        let stream = self.stream;
        driver.act(|server, now| server.say(now, stream, bytes));
    }

    fn begin_tls(&self) {
        let stream = self.stream;
        assert!(self.driver.borrow_mut().act(|server, now| server.begin_tls(now, stream)));
    }
}

/// A server's end of a connection, that waits.
struct Far<S> {
    socket: S,
    session: Option<Session>,
}

impl<S: Read + Write> Far<S> {
    fn new(socket: S) -> Self {
        Self { socket, session: None }
    }

    fn expect(&mut self, bytes: &[u8]) {
        let mut got = std::vec![0; bytes.len()];
        match &mut self.session {
            None => self.socket.read_exact(&mut got).unwrap(),
            Some(session) => {
                let mut len = 0;
                while len < got.len() {
                    match session.read(&mut got[len..]).unwrap() {
                        Some(n) => len += n,
                        None => {
                            assert!(session.pull(&mut self.socket).unwrap() == Pulled::Some);
                            session.advance().unwrap();
                        }
                    }
                }
            }
        }
        assert_eq!(got.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }

    fn say(&mut self, bytes: &[u8]) {
        match &mut self.session {
            None => self.socket.write_all(bytes).unwrap(),
            Some(session) => {
                assert_eq!(session.write(bytes).unwrap(), bytes.len());
                session.push(&mut self.socket).unwrap();
            }
        }
    }

    /// Shakes hands; whether that went well. The client's key, if it showed one.
    fn shake_hands(&mut self, endpoint: &Endpoint) -> Result<Option<[u8; 32]>, String> {
        let mut session = endpoint.server().unwrap();
        loop {
            session.pull(&mut self.socket).map_err(|error| error.to_string())?;
            let progress = session.advance();
            let _ = session.push(&mut self.socket);
            if let Progress::Established(peer) = progress.map_err(|fault| fault.to_string())? {
                self.session = Some(session);
                return Ok(peer.key);
            }
        }
    }
}

/// A listener, and a server there that does this with the one connection it takes.
fn far<T: Send + 'static>(act: impl FnOnce(Far<TcpStream>) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        act(Far::new(socket))
    });
    (address, server)
}

/// An authority whose file is the account's, and a server's endpoint with a certificate of it for `name`.
fn authority(folder: &Folder, name: &str) -> (Account, Endpoint) {
    let authority = Authority::new("Chat authority");
    let ca = folder.join("chat.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let trust = Trust { roots: Roots::System, peers: Vec::new() };
    let endpoint = Endpoint::new(authority.keys(&[name]), trust).unwrap();
    let ca = ca.to_str().unwrap().try_into().unwrap();
    (Account { ca, ..by_hand::account("a") }, endpoint)
}

#[test]
fn tls_begins_in_the_middle() {
    let folder = Folder::new("middle");
    // A wildcard counts here, which it does not for SIP.
    let (account, endpoint) = authority(&folder, "*.chat.example");
    let long = std::vec![b'x'; 30_000];
    let (address, server) = far(move |mut far| {
        far.say(b"<features/>");
        far.expect(b"<starttls/>");
        far.say(b"<proceed/>");
        far.expect(&std::vec![b'x'; 30_000]);
        let key = far.shake_hands(&endpoint).unwrap();
        far.expect(b"<stream>");
        far.say(b"<welcome/>");
        // It reads until the end.
        far.expect(b"</stream>");
        key
    });
    let world = World::new(account, Some((address, Transport::Tcp)), &folder);
    world.until_state(Some((Transport::Tcp, true)));
    world.expect(b"<features/>");
    world.say(b"<starttls/>");
    world.expect(b"<proceed/>");
    // What is sent before goes in the clear as a whole, however long it takes.
    world.say(&long);
    world.begin_tls();
    world.until_state(Some((Transport::Tls, true)));
    world.say(b"<stream>");
    world.expect(b"<welcome/>");
    world.say(b"</stream>");
    world.until_state(None);
    assert_eq!(server.join().unwrap(), None, "the server of an account sees no certificate of ours");
}

#[test]
fn tls_from_the_first_byte() {
    let folder = Folder::new("direct");
    let (account, endpoint) = authority(&folder, DOMAIN);
    let (address, server) = far(move |mut far| {
        far.shake_hands(&endpoint).unwrap();
        far.expect(b"NICK a\r\n");
        far.say(b":hello\r\n");
    });
    let world = World::new(account, Some((address, Transport::Tls)), &folder);
    world.until_state(Some((Transport::Tls, true)));
    world.say(b"NICK a\r\n");
    world.expect(b":hello\r\n");
    server.join().unwrap();
}

/// What is in the clear behind the word that TLS may begin is never read: neither what came with that word, nor what comes
/// before the handshake is begun.
#[test]
fn what_is_injected_is_refused() {
    for comes_together in [true, false] {
        let folder = Folder::new("injected");
        let (account, endpoint) = authority(&folder, DOMAIN);
        let (address, server) = far(move |mut far| {
            far.say(if comes_together { b"<proceed/><evil/>" } else { b"<proceed/>" });
            far.expect(b"ready");
            if !comes_together {
                far.say(b"<evil/>");
            }
            far.shake_hands(&endpoint).is_ok()
        });
        let world = World::new(account, Some((address, Transport::Tcp)), &folder);
        world.expect(b"<proceed/>");
        if !comes_together {
            // It is in the socket before anybody could read it.
            world.driver.borrow_mut().act(|server, now| {
                server.say(now, world.stream, b"ready");
                assert!(server.begin_tls(now, world.stream));
            });
        } else {
            world.say(b"ready");
            world.begin_tls();
        }
        world.until_state(None);
        let mut driver = world.driver.borrow_mut();
        assert!(driver.server.take(world.stream, 100).is_empty());
        drop(driver);
        assert!(!server.join().unwrap(), "together: {comes_together}");
    }
}

#[test]
fn who_is_somebody_else_is_refused() {
    for is_direct in [true, false] {
        for (name, is_known) in [("other.example", true), (DOMAIN, false)] {
            let folder = Folder::new("else");
            let (account, endpoint) = authority(&folder, name);
            let account = if is_known { account } else { by_hand::account("a") };
            fs::write(folder.join("ca.pem"), Authority::new("Another").pem()).unwrap();
            let (address, server) = far(move |mut far| {
                if !is_direct {
                    far.say(b"<proceed/>");
                }
                far.shake_hands(&endpoint)
            });
            let transport = if is_direct { Transport::Tls } else { Transport::Tcp };
            let world = World::new(account, Some((address, transport)), &folder);
            if !is_direct {
                world.expect(b"<proceed/>");
                world.begin_tls();
            }
            world.until_state(None);
            assert_eq!(world.driver.borrow().last_end, Some(Reason::Unsecured), "{name}, {is_direct}");
            let said = server.join().unwrap().unwrap_err();
            assert!(said.contains("refuses"), "{said}");
        }
    }
}

#[test]
fn pins_of_an_account_decide() {
    let folder = Folder::new("pins");
    let (account, endpoint) = authority(&folder, "other.example");
    let mut account = Account { ca: Default::default(), ..account };
    account.pins.push(*endpoint.pin()).unwrap();
    let (address, server) = far(move |mut far| far.shake_hands(&endpoint).is_ok());
    let world = World::new(account, Some((address, Transport::Tls)), &folder);
    world.until_state(Some((Transport::Tls, true)));
    assert!(server.join().unwrap());
}

#[test]
fn a_server_that_begins_no_handshake_is_given_up() {
    let folder = Folder::new("silent");
    let (account, _) = authority(&folder, DOMAIN);
    let (address, server) = far(move |mut far| {
        far.say(b"<proceed/>");
        // The hello of the client, and then it goes.
        far.socket.read_exact(&mut [0; 100]).unwrap();
    });
    let world = World::new(account, Some((address, Transport::Tcp)), &folder);
    world.expect(b"<proceed/>");
    world.begin_tls();
    world.until_state(None);
    server.join().unwrap();
}

#[test]
fn local_sockets() {
    let folder = Folder::new("local");
    let path = folder.join("line");
    let listener = UnixListener::bind(&path).unwrap();
    let account = Account { path: path.to_str().unwrap().try_into().unwrap(), ..by_hand::account("a") };
    let server = thread::spawn(move || {
        let mut far = Far::new(listener.accept().unwrap().0);
        far.expect(&std::vec![b'a'; 40_000]);
        far.say(b"{}\n");
        far.expect(b"bye");
    });
    let world = World::new(account.clone(), None, &folder);
    world.until_state(Some((Transport::Tcp, true)));
    world.say(&[b'a'; 40_000]);
    world.expect(b"{}\n");
    world.say(b"bye");
    world.until_state(None);
    server.join().unwrap();
    // Nobody is there any more, and then not even a file.
    for _ in 0..2 {
        World::new(account.clone(), None, &folder).until_state(None);
        let _ = fs::remove_file(&path);
    }
}
