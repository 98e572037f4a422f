//! Other networks in the simulated world: an XMPP and an IRC server (`hosts.rs`), people on them that a test plays, and the
//! home's accounts there. Alice has a phone, and `romeo` is one buddy of hers with an address on each.

mod away;
mod day;
mod following;
mod hostile;
mod hosts;
mod showing;
mod standing;
mod tables;
mod talk;

use crate::names::Record;
use crate::phone::Manner;
use crate::world::{HOME, World};
use hosts::{Irc, IrcUser, Xmpp};
use pcsd::server::contract::Storage;

/// Alice, as SIP knows her.
const ALICE: &str = "sip:alice@home.example";
/// Her buddy, as her devices know him.
const ROMEO: &str = "sip:romeo@home.example";
/// The same, as XMPP does.
const ROMEO_XMPP: &str = "romeo@jabber.test";
/// Another buddy of hers, who is on IRC alone.
const MERCUTIO: &str = "sip:mercutio@home.example";
/// Alice, there.
const ALICE_XMPP: &str = "alice@jabber.test";
/// The XMPP server: where clients are served.
const XMPP_AT: &str = "198.51.100.20:5222";
/// The IRC server.
const IRC_AT: &str = "198.51.100.21:6667";
/// Time enough for accounts to be on after a start.
const LOGIN_MS: u64 = 8_000;

/// Her account on XMPP.
const ON_XMPP: &str = "
config account 'alice_xmpp'
    option person 'alice'
    option network 'xmpp'
    option address 'alice@jabber.test'
    option password 'rabbit'
";
/// Her account on IRC.
const ON_IRC: &str = "
config account 'alice_irc'
    option person 'alice'
    option network 'irc'
    option address 'alice'
    option server '198.51.100.21:6667'
";
/// Her buddy with two addresses.
const BUDDY: &str = "
config buddy 'romeo_b'
    option person 'alice'
    option alias 'romeo'
    option name 'Romeo'
    list address 'xmpp:romeo@jabber.test'
    list address 'irc:romeo'
";

/// Her other buddy.
const OTHER_BUDDY: &str = "
config buddy 'mercutio_b'
    option person 'alice'
    option alias 'mercutio'
    list address 'irc:mercutio'
";

/// A world with a home and the two networks.
struct Nets {
    world: World,
    xmpp: Xmpp,
    irc: Irc,
    /// Alice's phone.
    phone: usize,
}

impl Nets {
    /// The home with these sections more, its disk, a name server, Alice's phone, and Romeo as a user of the XMPP server,
    /// each on the other's roster there. Nobody else is on.
    fn new(seed: u64, sections: &str) -> Self {
        Self::with(World::new(seed), sections)
    }

    /// The same in a world with links of its own.
    fn with(mut world: World, sections: &str) -> Self {
        world.keep_at(0, Storage::Disk);
        world.ledger.on_networks.extend([ROMEO, MERCUTIO].map(String::from));
        let zone = [
            ("_xmpp-client._tcp.jabber.test", Record::service(0, 0, 5222, "server.jabber.test")),
            ("server.jabber.test", Record::address("198.51.100.20")),
        ];
        world.add_names("192.168.1.2:53", &zone);
        world.ask_names_of(0, &["192.168.1.2:53"]);
        let xmpp = Xmpp::new(&mut world, XMPP_AT, "jabber.test");
        {
            let mut server = xmpp.on(&world);
            for (user, password) in [("alice", "rabbit"), ("romeo", "balcony"), ("nurse", "gossip")] {
                server.add_user(user, password);
            }
            server.befriend("alice", "romeo");
        }
        let irc = Irc::new(&mut world, IRC_AT);
        let phone = world.phone("alice", 10);
        let now = world.now;
        world.phones[phone].manner = Manner::POLITE;
        world.phones[phone].stay_registered(now, 1_800);
        world.run(500);
        world.configure(0, &format!("{HOME}{sections}"));
        Self { world, xmpp, irc, phone }
    }

    /// The same, with all accounts on.
    fn online(seed: u64, sections: &str) -> Self {
        let mut nets = Self::new(seed, sections);
        nets.log_in();
        nets
    }

    /// Waits until the accounts are on.
    fn log_in(&mut self) {
        self.world.run(LOGIN_MS);
    }

    /// Lets time pass.
    fn run(&mut self, ms: u64) {
        self.world.run(ms);
    }

    /// Alice writes, and has it answered.
    fn writes(&mut self, to: &str, text: &str) -> u16 {
        let call = self.world.write(self.phone, to, text);
        self.world.outcome_of(call).expect("it is answered")
    }

    /// Romeo writes on XMPP.
    fn romeo_says(&mut self, text: &str) {
        self.xmpp.on(&self.world).user_says("romeo", ALICE_XMPP, text);
    }

    /// Romeo is seen on XMPP.
    fn romeo_shows(&mut self, show: &str, status: &str) {
        self.xmpp.on(&self.world).user_presence("romeo", show, status);
    }

    /// Somebody else on IRC.
    fn irc_user(&mut self, nick: &str) -> IrcUser {
        self.irc.user(nick)
    }

    /// Texts that Alice's phone was shown, with who has written them.
    fn told(&self) -> Vec<(String, String)> {
        let all = self.world.told(self.phone).into_iter();
        all.filter(|(_, body)| !body.starts_with("<?xml")).collect()
    }

    /// Those from one address.
    fn told_by(&self, from: &str) -> Vec<String> {
        self.told().into_iter().filter(|(it, _)| it == from).map(|(_, body)| body).collect()
    }

    /// Texts that a user of the XMPP server got since the last call.
    fn got(&mut self, user: &str) -> Vec<String> {
        self.xmpp.texts(&self.world, user)
    }

    /// Everybody leaves, and nothing may be left over.
    fn finish(self) {
        self.world.finish();
    }
}

/// The home, with what the house says of it.
const PCS: &str = "sip:pcs@home.example";
