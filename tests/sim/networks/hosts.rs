//! The plain machines of an XMPP and an IRC server as services of the world: what comes in goes to them, what they say goes
//! out with the next step, and what they close is hung up. A test shares them with the world, and plays their users.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::irc_server::IrcServer;
use crate::services::Play;
use crate::world::World;
use crate::xmpp_server::{Conn, Fault, Got, XmppServer};

/// The XMPP server of a world.
pub struct Xmpp {
    shared: Rc<RefCell<XmppServer>>,
    live: Rc<RefCell<BTreeMap<usize, Conn>>>,
    /// As a service of the world.
    pub service: usize,
}

impl Xmpp {
    /// A server for a domain.
    pub fn new(world: &mut World, address: &str, domain: &str) -> Self {
        let mut server = XmppServer::new(domain);
        // The world's clock.
        server.options.epoch_s = 1_700_000_000;
        server.options.iterations = 64;
        let (shared, live) = (Rc::new(RefCell::new(server)), Rc::default());
        let play = XmppPlay { server: Rc::clone(&shared), live: Rc::clone(&live) };
        let service = world.service(address, "", &[domain], play);
        Self { shared, live, service }
    }

    /// The server, at the world's time.
    pub fn on(&self, world: &World) -> RefMut<'_, XmppServer> {
        let mut server = self.shared.borrow_mut();
        server.tick(world.now);
        server
    }

    /// Connections that are up, as the world numbers them.
    pub fn conns(&self) -> Vec<usize> {
        self.live.borrow().keys().copied().collect()
    }

    /// Something goes wrong on all connections that are up.
    pub fn inject(&self, world: &World, fault: &Fault) {
        let conns: Vec<Conn> = self.live.borrow().values().copied().collect();
        conns.into_iter().for_each(|conn| self.on(world).inject(conn, fault));
    }

    /// Says these bytes on all connections.
    pub fn say(&self, world: &World, text: &str) {
        let conns: Vec<Conn> = self.live.borrow().values().copied().collect();
        conns.into_iter().for_each(|conn| self.on(world).send_raw(conn, text));
    }

    /// A stanza made by hand, on all connections.
    pub fn send(&self, world: &World, stanza: &str) {
        let conns: Vec<Conn> = self.live.borrow().values().copied().collect();
        conns.into_iter().for_each(|conn| self.on(world).send_counted(conn, stanza));
    }

    /// All connections break.
    pub fn cut(&self, world: &mut World) {
        self.conns().into_iter().for_each(|conn| world.break_conn(conn));
    }

    /// Texts that a user got since the last call.
    pub fn texts(&self, world: &World, user: &str) -> Vec<String> {
        let got = self.on(world).inbox(user).into_iter();
        got.filter_map(|got| if let Got::Message { body, .. } = got { Some(body) } else { None }).collect()
    }

    /// What a user was shown of somebody since the last call: show and status. Everything else is dropped.
    pub fn shown(&self, world: &World, user: &str, whom: &str) -> Vec<(String, String)> {
        let got = self.on(world).inbox(user).into_iter();
        let shown = got.filter_map(|got| match got {
            Got::Presence { from, show, status } if from.starts_with(whom) => Some((show, status)),
            _ => None,
        });
        shown.collect()
    }
}

struct XmppPlay {
    server: Rc<RefCell<XmppServer>>,
    live: Rc<RefCell<BTreeMap<usize, Conn>>>,
}

impl Play for XmppPlay {
    fn opened(&mut self, now: u64, conn: usize) -> Vec<(usize, Vec<u8>)> {
        let theirs = self.server.borrow_mut().connect(now);
        self.live.borrow_mut().insert(conn, theirs);
        Vec::new()
    }

    fn received(&mut self, now: u64, conn: usize, bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
        if let Some(theirs) = self.live.borrow().get(&conn) {
            self.server.borrow_mut().input(now, *theirs, bytes);
        }
        Vec::new()
    }

    fn secured(&mut self, _now: u64, conn: usize) -> Vec<(usize, Vec<u8>)> {
        if let Some(theirs) = self.live.borrow().get(&conn) {
            self.server.borrow_mut().tls_started(*theirs);
        }
        Vec::new()
    }

    fn closed(&mut self, now: u64, conn: usize) {
        if let Some(theirs) = self.live.borrow_mut().remove(&conn) {
            self.server.borrow_mut().cut(now, theirs);
        }
    }

    fn speaks(&mut self, now: u64) -> Vec<(usize, Vec<u8>)> {
        let mut server = self.server.borrow_mut();
        server.tick(now);
        let said = self.live.borrow().iter().map(|(conn, theirs)| (*conn, server.output(*theirs))).collect::<Vec<_>>();
        said.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    fn hangs_up(&mut self) -> Vec<usize> {
        let server = self.server.borrow();
        let mut live = self.live.borrow_mut();
        let closed: Vec<usize> =
            live.iter().filter(|(_, theirs)| server.closed(**theirs)).map(|(conn, _)| *conn).collect();
        live.retain(|conn, _| !closed.contains(conn));
        closed
    }
}

/// The IRC server of a world.
pub struct Irc {
    shared: Rc<RefCell<IrcServer>>,
    live: Rc<RefCell<BTreeMap<usize, usize>>>,
    raw: Rc<RefCell<Vec<u8>>>,
}

impl Irc {
    /// A server.
    pub fn new(world: &mut World, address: &str) -> Self {
        let shared = Rc::new(RefCell::new(IrcServer::new()));
        let (live, raw) = (Rc::default(), Rc::default());
        let play = IrcPlay { server: Rc::clone(&shared), live: Rc::clone(&live), raw: Rc::clone(&raw) };
        world.service(address, "", &["irc.test"], play);
        Self { shared, live, raw }
    }

    /// The server.
    pub fn on(&self) -> RefMut<'_, IrcServer> {
        self.shared.borrow_mut()
    }

    /// Connections that are up, as the world numbers them.
    pub fn conns(&self) -> Vec<usize> {
        self.live.borrow().keys().copied().collect()
    }

    /// All connections break.
    pub fn cut(&self, world: &mut World) {
        self.conns().into_iter().for_each(|conn| world.break_conn(conn));
    }

    /// The server sends these bytes on all connections.
    pub fn say(&self, bytes: &[u8]) {
        self.raw.borrow_mut().extend(bytes);
    }

    /// Somebody logs in with this nick.
    pub fn user(&self, nick: &str) -> IrcUser {
        let mut server = self.on();
        let conn = server.connect();
        server.input(conn, format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n").as_bytes());
        let user = IrcUser { shared: Rc::clone(&self.shared), conn };
        assert!(server.nicks().contains(&nick), "{nick} is on");
        drop(server);
        user.texts();
        user
    }
}

struct IrcPlay {
    server: Rc<RefCell<IrcServer>>,
    live: Rc<RefCell<BTreeMap<usize, usize>>>,
    raw: Rc<RefCell<Vec<u8>>>,
}

impl Play for IrcPlay {
    fn opened(&mut self, _now: u64, conn: usize) -> Vec<(usize, Vec<u8>)> {
        let theirs = self.server.borrow_mut().connect();
        self.live.borrow_mut().insert(conn, theirs);
        Vec::new()
    }

    fn received(&mut self, _now: u64, conn: usize, bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
        if let Some(theirs) = self.live.borrow().get(&conn) {
            self.server.borrow_mut().input(*theirs, bytes);
        }
        Vec::new()
    }

    fn closed(&mut self, _now: u64, conn: usize) {
        if let Some(theirs) = self.live.borrow_mut().remove(&conn) {
            self.server.borrow_mut().close(theirs);
        }
    }

    fn speaks(&mut self, _now: u64) -> Vec<(usize, Vec<u8>)> {
        let (mut server, raw) = (self.server.borrow_mut(), std::mem::take(&mut *self.raw.borrow_mut()));
        let live = self.live.borrow();
        let said = live.iter().map(|(conn, theirs)| (*conn, [server.output(*theirs), raw.clone()].concat()));
        said.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    fn hangs_up(&mut self) -> Vec<usize> {
        let server = self.server.borrow();
        let mut live = self.live.borrow_mut();
        let closed: Vec<usize> =
            live.iter().filter(|(_, theirs)| server.is_closed(**theirs)).map(|(conn, _)| *conn).collect();
        live.retain(|conn, _| !closed.contains(conn));
        closed
    }
}

/// Somebody on IRC whom a test plays.
pub struct IrcUser {
    shared: Rc<RefCell<IrcServer>>,
    conn: usize,
}

impl IrcUser {
    /// Writes to somebody.
    pub fn says(&self, to: &str, text: &str) {
        self.line(&format!("PRIVMSG {to} :{text}"));
    }

    /// Sends a line.
    pub fn line(&self, line: &str) {
        self.shared.borrow_mut().input(self.conn, format!("{line}\r\n").as_bytes());
    }

    /// Texts that came since the last call.
    pub fn texts(&self) -> Vec<String> {
        let bytes = self.shared.borrow_mut().output(self.conn);
        let lines = String::from_utf8(bytes).expect("it is text");
        let texts = lines.lines().filter(|line| line.contains(" PRIVMSG ") || line.contains(" NOTICE "));
        texts.filter_map(|line| line.split_once(" :")).map(|(_, text)| text.to_string()).collect()
    }

    /// Leaves.
    pub fn leaves(self) {
        self.line("QUIT :bye");
        self.shared.borrow_mut().close(self.conn);
    }
}
