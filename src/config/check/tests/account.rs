//! Accounts on other networks and the addresses of buddies there: literal files, the model they make, and every fault.

use super::*;
use crate::base::limits::{ACCOUNTS, PASSWORD_BYTES};
use crate::config::model::{Account, LineWay, Security};

const XMPP: &str =
    "option person alice\noption network xmpp\noption address alice@jabber.example\noption password rabbit\n";
const IRC: &str = "option person alice\noption network irc\noption address Alice\noption server irc.example\n";
const LINE: &str = "option person alice\noption network line\n";
const PINNED: &str = "list pin sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

/// The one account that these options make, behind `HOME` and `ALICE`.
fn account(options: &str) -> Account {
    let model = good(&format!("{HOME}{ALICE}config account a\n{options}"));
    assert_eq!(model.accounts.len(), 1);
    model.accounts[0].clone()
}

/// The one fault of the account `a`, whose section begins at line 6: the line, and what follows the section.
fn refused(options: &str) -> String {
    fault(&format!("{ALICE}config account a\n{options}")).replace(": account 'a': ", " ")
}

#[test]
fn accounts_of_every_network() {
    let it = account(XMPP);
    assert_eq!((it.id.as_str(), it.person, it.network), ("a", 0, Network::Xmpp));
    assert_eq!(
        (it.address.as_str(), it.password.0.as_str(), it.login.as_str()),
        ("alice@jabber.example", "rabbit", "")
    );
    assert_eq!((it.host.as_str(), it.port, it.security, it.uses_tls()), ("", None, Security::Usual, true));
    let it = account(&format!(
        "option server [2001:DB8:0::1]:5223\noption tls direct\n{PINNED}option ca /etc/ca.pem\noption login Al\n\
         option network XMPP\noption person Alice\noption password x\noption address Alice@Jabber.Example\n"
    ));
    assert_eq!((it.address.as_str(), it.login.as_str()), ("alice@jabber.example", "Al"));
    assert_eq!((it.host.as_str(), it.port.map(u16::from)), ("[2001:db8::1]", Some(5223)));
    assert_eq!((it.security, it.pins.len(), it.ca.as_str()), (Security::Direct, 1, "/etc/ca.pem"));
    assert_eq!(account(&format!("{XMPP}option tls starttls\n")).security, Security::StartTls);
    assert!(!account(&format!("{XMPP}option tls off\n")).uses_tls());

    let it = account(IRC);
    // The nick as it is written, as it will be seen; it is compared regardless of case.
    assert_eq!((it.network, it.address.as_str(), it.password.0.as_str()), (Network::Irc, "Alice", ""));
    assert_eq!((it.host.as_str(), it.port, it.uses_tls()), ("irc.example", None, true));
    let plain = IRC.replace("irc.example", "irc.example:6667");
    assert!(!account(&plain).uses_tls() && account(&format!("{plain}option tls direct\n{PINNED}")).uses_tls());
    assert!(!account(&format!("{IRC}option tls off\noption password x\n")).uses_tls());

    let line = |server: &str| account(&format!("option server {server}\n{LINE}"));
    let it = line("tcp:signal.lan:7583");
    assert_eq!((it.network, it.address.as_str(), it.way), (Network::Line, "", LineWay::Tcp));
    assert_eq!((it.host.as_str(), it.port.map(u16::from), it.security), ("signal.lan", Some(7583), Security::Usual));
    assert!(!it.uses_tls() && account(&format!("{LINE}{PINNED}option tls direct\noption server tcp:a:1\n")).uses_tls());
    let it = line("unix:/var/run/signal.sock");
    assert_eq!((it.way, it.path.as_str(), it.host.as_str()), (LineWay::Local, "/var/run/signal.sock", ""));
    let it = line("http://192.168.1.9:8080/api/v1/events?account=1");
    assert_eq!((it.way, it.host.as_str(), it.port.map(u16::from)), (LineWay::Http, "192.168.1.9", Some(8080)));
    assert_eq!((it.path.as_str(), it.security), ("/api/v1/events?account=1", Security::Off));
    let it = account(&format!("{PINNED}{LINE}option address ' +46 8 1 '\noption server https://Sms.example\n"));
    assert_eq!(
        (it.path.as_str(), it.host.as_str(), it.port, it.security),
        ("/", "sms.example", None, Security::Direct)
    );
    assert_eq!((it.address.as_str(), it.pins.len()), ("+46 8 1", 1));
}

#[test]
fn what_an_account_lacks() {
    let (_, faults) = check(format!("{HOME}config account a\n").as_bytes());
    let lacks = |what: &str| format!("line 4: account 'a': option '{what}' is missing");
    assert_eq!(faults, [lacks("person"), lacks("network")]);
    let without = |options: &str, key: &str| {
        let rest: String = options.lines().filter(|line| !line.contains(key)).map(|line| format!("{line}\n")).collect();
        assert_eq!(refused(&rest), format!("line 6 option '{key}' is missing"));
    };
    for key in ["person", "network", "address", "password"] {
        without(XMPP, key);
    }
    without(IRC, "address");
    without(IRC, "server");
    assert_eq!(refused(LINE), "line 6 option 'server' is missing");
    assert_eq!(refused(&XMPP.replace("alice\n", "eve\n")), "line 7 option 'person': there is no person 'eve'");
}

#[test]
fn names_of_accounts() {
    let unnamed = fault(&format!("{ALICE}config account\n{XMPP}"));
    assert_eq!(unnamed, "line 6: account: the section needs a name");
    let alice = fault(&format!("{ALICE}config account ALICE\n{XMPP}"));
    assert_eq!(alice, format!("line 6: account 'ALICE': {TAKEN}"));
    let twice = fault(&format!("{ALICE}config account a\n{XMPP}config account A\n{IRC}"));
    assert_eq!(twice, format!("line 11: account 'A': {TAKEN}"));
    let device = fault(&format!("{ALICE}config account tv\n{XMPP}config device tv\noption person alice\n"));
    assert_eq!(device, format!("line 11: device 'tv': {TAKEN}"));
    let buddy = fault(&format!("{ALICE}config account a\n{XMPP}config buddy a\noption alias c\n"));
    assert_eq!(buddy, format!("line 11: buddy 'a': {TAKEN}"));
    // What follows a name that is refused is its own.
    good(&format!("{HOME}{ALICE}config account b\n{IRC}config account c\n{XMPP}"));
    let again =
        fault(&format!("{ALICE}config account a\n{XMPP}config account b\n{}", XMPP.replace("alice@j", "Alice@J")));
    let expected = "line 14: account 'b': option 'address': 'Alice@Jabber.example' is the address of an account above";
    assert_eq!(again, expected);
}

#[test]
fn a_full_table_of_accounts() {
    let many: String = (0..=ACCOUNTS).map(|i| format!("config account a{i}\n{IRC}")).collect();
    let line = 6 + 5 * ACCOUNTS;
    let expected = format!("line {line}: account 'a{ACCOUNTS}': more than {ACCOUNTS} (the limit ACCOUNTS)");
    assert_eq!(fault(&format!("{ALICE}{many}")), expected);
}

#[test]
fn networks_of_accounts() {
    for network in ["msnp", "ymsg", "oscar", "skype", "matrix"] {
        let expected = format!("line 10 option 'network': the network {network} is not in this version");
        // Of what depends on the network nothing is said.
        let options = format!("option server '?'\noption address '*'\noption person alice\noption network {network}\n");
        assert_eq!(refused(&options), expected);
    }
    for bad in ["sip", "jabber"] {
        let expected = format!("line 8 option 'network': '{bad}' is not xmpp (which Jabber is), irc or line");
        assert_eq!(refused(&format!("option person alice\noption network {bad}\n")), expected);
    }
}

#[test]
fn faults_of_accounts() {
    let xmpp = |option: &str| refused(&format!("{XMPP}{option}\n"));
    let irc = |option: &str| refused(&format!("{IRC}{option}\n"));
    let line = |server: &str, option: &str| refused(&format!("{LINE}option server {server}\n{option}\n"));
    for bad in ["alice", "alice@jabber.example/home", "@jabber.example", "alice@exämple.example", "a@b_c"] {
        let expected = format!("line 9 option 'address': '{bad}' is not USER@DOMAIN");
        assert_eq!(refused(&XMPP.replace("alice@jabber.example", bad)), expected);
    }
    for bad in ["1alice", "al.ice", "#alice"] {
        let expected = format!("line 9 option 'address': '{bad}' is not a nick");
        assert_eq!(refused(&IRC.replace("Alice", &format!("'{bad}'"))), expected);
    }
    let long = XMPP.replace("alice@", &format!("{}@", "a".repeat(66)));
    assert_eq!(refused(&long), "line 9 option 'address': longer than 80 bytes");
    assert_eq!(xmpp("option login 'a b'"), "line 11 option 'login': 'a b' is not a name without blanks");
    assert_eq!(xmpp("option nick a"), "line 11 option 'nick': unknown option");
    assert_eq!(xmpp("option password y"), "line 11 option 'password': given twice");

    let place = "HOST or HOST:PORT, with an IPv6 address in brackets";
    for bad in ["tcp:a.example:5222", "a.example:0", "2001:db8::1", "unix:/s", "https://a.example/"] {
        let expected = format!("line 11 option 'server': '{bad}' is not {place}");
        assert_eq!(
            (xmpp(&format!("option server {bad}")), irc_server(bad)),
            (expected.clone(), expected.replace("11", "10"))
        );
    }
    let ways = "tcp:HOST:PORT, unix:PATH, http://HOST:PORT/PATH, or https likewise";
    for bad in
        ["a.example:7583", "tcp:a.example", "udp:a.example:1", "http:/a", "ftp://a/", "http://a/å", "'http://a/#'"]
    {
        let expected = format!("line 9 option 'server': '{}' is not {ways}", bad.trim_matches('\''));
        assert_eq!(line(bad, ""), expected);
    }
    assert_eq!(line("unix:signal.sock", ""), "line 9 option 'server': 'signal.sock' is not a path from the root");
    assert_eq!(line(&format!("unix:/{}", "s".repeat(104)), ""), "line 9 option 'server': longer than 104 bytes");

    assert_eq!(xmpp("option tls on"), "line 11 option 'tls': 'on' is not starttls, direct or off");
    assert_eq!(irc("option tls starttls"), "line 11 option 'tls': 'starttls' is not direct or off");
    assert_eq!(line("tcp:a:1", "option tls starttls"), "line 10 option 'tls': 'starttls' is not direct or off");
    for server in ["http://a/", "https://a/", "unix:/s"] {
        assert_eq!(line(server, "option tls direct"), "line 10 option 'tls': the option 'server' says it already");
    }
    // Wherever the network and the server stand.
    let first = refused(&format!("option tls off\noption server http://a/\n{LINE}"));
    assert_eq!(first, "line 7 option 'tls': the option 'server' says it already");

    let needs = "a pin or a CA needs a connection with TLS";
    for (option, key) in [(PINNED, "pin"), ("option ca /c\n", "ca")] {
        assert_eq!(refused(&format!("{option}{XMPP}option tls off\n")), format!("line 7 option '{key}': {needs}"));
        assert_eq!(refused(&format!("{XMPP}option tls off\n{option}")), format!("line 12 option '{key}': {needs}"));
        let plain = IRC.replace("irc.example", "irc.example:6667");
        assert_eq!(refused(&format!("{option}{plain}")), format!("line 7 option '{key}': {needs}"));
        for server in ["tcp:a:1", "http://a/", "unix:/s"] {
            assert_eq!(line(server, option), format!("line 10 option '{key}': {needs}"));
        }
    }
    let pin = "'sha256/' and 44 characters of base64";
    assert_eq!(xmpp("list pin md5/x"), format!("line 11 option 'pin': 'md5/x' is not {pin}"));
    assert_eq!(xmpp("option ca c.pem"), "line 11 option 'ca': 'c.pem' is not a path from the root");
}

/// The fault of a server of IRC.
fn irc_server(server: &str) -> String {
    refused(&IRC.replace("irc.example", server))
}

/// No fault and no printed model has a secret in it.
#[test]
fn secrets_of_accounts_are_not_shown() {
    let long = "hunter2".repeat(20);
    let options = XMPP.replace("rabbit", &long);
    assert_eq!(refused(&options), format!("line 10 option 'password': longer than {PASSWORD_BYTES} bytes"));
    let place = "HOST or HOST:PORT, with an IPv6 address in brackets";
    assert_eq!(irc_server("alice:hunter2@irc.example"), format!("line 10 option 'server': the value is not {place}"));
    for server in ["http://alice:hunter2@a/", "http://a/?token=hunter2#", "tcp:alice:hunter2@a:1"] {
        let fault = refused(&format!("{LINE}option server '{server}'\n"));
        assert!(fault.starts_with("line 9 option 'server': the value is not tcp:HOST:PORT"), "{fault}");
    }
    let model = good(&format!("{HOME}{ALICE}config account a\n{}", XMPP.replace("rabbit", "hunter2")));
    assert!(!format!("{model:?}").contains("hunter2"), "{model:?}");
}

#[test]
fn addresses_of_buddies_on_networks() {
    let buddy = |addresses: &str| format!("config buddy\noption person alice\noption alias bob\n{addresses}");
    let model = good(&format!(
        "{HOME}{ALICE}{}",
        buddy("list address XMPP:Bob@Jabber.example\nlist address irc:[Bob]\nlist address 'line:+49 1'\n")
    ));
    let read: Vec<_> = model.buddies[0].addresses.iter().map(|it| (it.network, it.text.as_str(), it.port)).collect();
    let expected =
        [(Network::Xmpp, "bob@jabber.example", None), (Network::Irc, "{bob}", None), (Network::Line, "+49 1", None)];
    assert_eq!(read, expected);
    let refused = |address: &str| fault(&format!("{ALICE}{}", buddy(&format!("list address '{address}'\n"))));
    for (bad, expected) in [
        ("xmpp:bob", "xmpp:USER@DOMAIN"),
        ("xmpp:bob@jabber.example/home", "xmpp:USER@DOMAIN"),
        ("irc:#bob", "irc:NICK"),
        ("irc:", "irc:NICK"),
        ("line: ", "line:NAME"),
        ("icq:1", "sip:USER@HOST, sip:USER@HOST:PORT, xmpp:USER@DOMAIN, irc:NICK or line:NAME"),
    ] {
        assert_eq!(refused(bad), format!("line 9: buddy: option 'address': '{bad}' is not {expected}"));
    }
    let long = format!("line:{}", "1".repeat(81));
    assert_eq!(refused(&long), "line 9: buddy: option 'address': longer than 80 bytes");
    let twice = buddy("list address irc:bob\nlist address IRC:BOB\n");
    let expected = "line 10: buddy: option 'address': 'IRC:BOB' is in the list already";
    assert_eq!(fault(&format!("{ALICE}{twice}")), expected);
    good(&format!(
        "{HOME}{ALICE}{}config rule\nlist who network:xmpp\nlist who network:irc\nlist who network:line\noption calls block\n",
        buddy("")
    ));
}

/// One who writes is one buddy of hers.
#[test]
fn two_buddies_have_no_address_in_common() {
    let both = |first: &str, second: &str, address: &str| {
        format!(
            "{ALICE}config person eve\noption password x\nconfig buddy\noption alias bob\n{first}list address {address}\n\
             config buddy\noption alias bert\n{second}list address {address}\n"
        )
    };
    let (alice, eve) = ("option person alice\n", "option person eve\n");
    for address in ["xmpp:Bob@x.example", "irc:bob", "line:bob"] {
        for (first, second, line) in [("", "", 13), (alice, "", 14), ("", eve, 14), (alice, alice, 15)] {
            let expected = format!(
                "line {line}: buddy: option 'address': '{address}' is the address of a buddy above, on this list or the family's"
            );
            assert_eq!(fault(&both(first, second, address)), expected);
        }
        good(&format!("{HOME}{}", both(alice, eve, address)));
    }
    // Of a telephone nobody knows who speaks.
    good(&format!("{HOME}{}", both(alice, alice, "sip:bob@x.example")));
}
