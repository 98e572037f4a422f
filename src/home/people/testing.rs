//! A home with accounts and buddies, for tests.

use std::boxed::Box;

use super::People;
use crate::base::random::Random;
use crate::config::model::{Account, Buddy, BuddyAddress, LineWay, Model, Network, Password, Person, Security};

/// A person with this name.
pub fn person(id: &str) -> Person {
    Person::new(id.try_into().unwrap())
}

/// An account.
pub fn account(id: &str, person: u16, network: Network) -> Account {
    Account {
        id: id.try_into().unwrap(),
        person,
        network,
        address: id.try_into().unwrap(),
        login: "".try_into().unwrap(),
        password: Password::default(),
        host: "".try_into().unwrap(),
        port: None,
        way: LineWay::Tcp,
        path: "".try_into().unwrap(),
        security: Security::Usual,
        pins: heapless::Vec::new(),
        ca: "".try_into().unwrap(),
    }
}

/// A buddy with these addresses.
pub fn buddy(person: Option<u16>, alias: &str, addresses: &[(Network, &str)]) -> Buddy {
    let addresses = addresses.iter().map(|(network, text)| BuddyAddress {
        network: *network,
        text: (*text).try_into().unwrap(),
        port: None,
    });
    Buddy {
        person,
        alias: alias.try_into().unwrap(),
        name: alias.to_uppercase().as_str().try_into().unwrap(),
        addresses: addresses.collect(),
        group: None,
    }
}

/// Alice with accounts 0 (XMPP) and 1 (IRC), and Bob with account 2 (XMPP). Alice has `smith`, who is on SIP and XMPP; the
/// family has `aunt`, who is on XMPP.
pub fn model() -> Box<Model> {
    let mut model = Box::new(Model::new());
    model.main.domain = "home.example".try_into().unwrap();
    let smith = [(Network::Sip, "smith@smith.example"), (Network::Xmpp, "smith@x.example")];
    let entries = [buddy(Some(0), "smith", &smith), buddy(None, "aunt", &[(Network::Xmpp, "aunt@x.example")])];
    model.people.extend([person("alice"), person("bob")]);
    model.buddies.extend(entries);
    let accounts = [("alice_xmpp", 0, Network::Xmpp), ("alice_irc", 0, Network::Irc), ("bob_xmpp", 1, Network::Xmpp)];
    model.accounts.extend(accounts.map(|(id, person, network)| account(id, person, network)));
    model
}

/// The people of [`model`].
pub fn people() -> Box<People> {
    let mut people = Box::new(People::new());
    people.configure(&model(), &Random::new());
    people
}
