//! Literal files, the model they make, and every fault as it is printed.

#[cfg(all(feature = "xmpp", feature = "irc", feature = "line", feature = "tls"))]
mod account;

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::base::limits::{
    ADDRESSES_PER_BUDDY, BUDDIES, DEVICES, EXTERNALS, LISTENERS, PEERS, PEOPLE, RULES, WEB_LISTENERS, WHO_PER_RULE,
};
use crate::base::time::UnixTime;
use crate::config::model::{
    Calls, Language, Location, Messages, Missed, Network, PeerAddress, Presence, Secret, State, Takes, Transport, Who,
};

const HOME: &str = "package pcsd\nconfig pcsd 'main'\n\toption domain 'home.example'\n";
const ALICE: &str = "config person 'alice'\noption password 'wonderland'\n";
const SMITHS: &str = "config peer 'smiths'\noption domain smith.example\noption address 192.0.2.7\n";
const TAKEN: &str = "the name is taken by a section above or a person";

/// What a text reads as, and its faults as printed.
fn check(text: &[u8]) -> (Box<Model>, Vec<String>) {
    let mut model = Box::new(Model::new());
    let mut faults = Vec::new();
    let count = model.read(text, &mut |fault| faults.push(fault.to_string()));
    assert_eq!(count, faults.len());
    (model, faults)
}

fn good(text: &str) -> Box<Model> {
    let (model, faults) = check(text.as_bytes());
    assert_eq!(faults, [""; 0], "{text}");
    model
}

/// The one fault of `body` after the three lines of `HOME`.
fn fault(body: &str) -> String {
    let (_, faults) = check(format!("{HOME}{body}").as_bytes());
    assert_eq!(faults.len(), 1, "{body}: {faults:?}");
    faults[0].clone()
}

#[test]
fn defaults() {
    let model = good(HOME);
    let main = &model.main;
    let listen: Vec<String> = main.listen.iter().map(|l| format!("{} {}", l.transport, l.address)).collect();
    assert_eq!(listen, ["udp 0.0.0.0:5060", "udp [::]:5060", "tcp 0.0.0.0:5060", "tcp [::]:5060"]);
    assert_eq!((main.domain.as_str(), main.socket.as_str()), ("home.example", "/var/run/pcsd.sock"));
    assert_eq!((main.log_level, main.syslog), (LogLevel::Info, false));
    assert_eq!(usize::from(main.bindings_per_person), BINDINGS_PER_PERSON);
    assert!(main.external.is_empty() && main.unlimited.is_empty());
    assert_eq!((main.spool.as_str(), main.spool_mb, main.quota_mb, main.keep_days), ("", 64, 16, 90));
    assert_eq!((main.state.as_str(), main.run_dir.as_str()), ("/etc/pcsd", "/var/run/pcsd"));
    assert_eq!((main.cert.as_str(), main.key.as_str(), main.ca.as_str()), ("", "", ""));
    assert_eq!(main.resolv_file.as_str(), "/etc/resolv.conf");
    assert_eq!((main.web.len(), main.url.as_str(), main.rtp_ports), (0, "", (16_384, 16_483)));
    assert!(!main.timezone.is_known());
    assert!(model.people.is_empty() && model.devices.is_empty() && model.peers.is_empty());
    assert!(model.buddies.is_empty() && model.rules.is_empty() && model.words.is_empty());
}

#[test]
fn every_option_of_main() {
    let model = good(
        "config pcsd main\n option domain Home.Example\n list listen udp:192.0.2.1:5070\n list listen tcp:[::]:5070\n\
         list external Alice.Example.net\n list external 2001:DB8::1\n option socket /tmp/s\n list unlimited 192.0.2.9\n\
         option log_level debug\n option syslog 1\n option bindings_per_person 2\n\
         option spool /mnt/usb/pcsd\n option spool_mb 65536\n option quota_mb 1\n option keep_days 0\n\
         option state /overlay/pcsd\n option run_dir /tmp/pcsd\n option resolv_file /tmp/resolv.conf\n\
         list web 192.0.2.1:5060\n list web http:[::]:8088\n option url http://Router.lan:8088/\n option rtp_ports 20000-20099\n\
         option timezone CET-1CEST,M3.5.0,M10.5.0/3",
    );
    let main = &model.main;
    assert_eq!((main.domain.as_str(), main.listen.len()), ("home.example", 2));
    assert_eq!(main.listen[1].address, "[::]:5070".parse().unwrap());
    assert_eq!(main.external.as_slice(), ["alice.example.net", "[2001:db8::1]"]);
    assert_eq!((main.socket.as_str(), main.log_level, main.syslog), ("/tmp/s", LogLevel::Debug, true));
    assert_eq!((main.unlimited[0].to_string().as_str(), main.bindings_per_person), ("192.0.2.9", 2));
    assert_eq!((main.spool.as_str(), main.spool_mb), ("/mnt/usb/pcsd", 65_536));
    assert_eq!((main.quota_mb, main.keep_days), (1, 0));
    assert_eq!((main.state.as_str(), main.run_dir.as_str()), ("/overlay/pcsd", "/tmp/pcsd"));
    assert_eq!(main.resolv_file.as_str(), "/tmp/resolv.conf");
    let web: Vec<_> = main.web.iter().map(|web| (web.address.to_string(), web.is_secure)).collect();
    assert_eq!(web, [("192.0.2.1:5060".into(), false), ("[::]:8088".into(), false)]);
    assert_eq!((main.url.as_str(), main.rtp_ports), ("http://router.lan:8088", (20_000, 20_099)));
    // 2026-07-01 00:00 UTC.
    assert_eq!(main.timezone.offset_s(UnixTime(1_782_864_000)), 7_200);
}

/// Sections in the order that needs most of what stands below.
#[test]
fn people_and_devices() {
    let model = good(
        "\u{feff}config device 'TV'\r\n option person 'Alice'\r\n list takes video\r\n option password 'x y'\r\n\
         config person Alice\n option name 'Alice Å.'\n option password \"won\\\"der\"\n\
         config person bob\n option password 'pw of bob'\n config person eve\n option ha1 '000102030405060708090a0b0c0d0e0f'\n\
         config device tablet\n option person bob\n\
         config pcsd main\n option domain Home.Example\n",
    );
    let (alice, bob) = (&model.people[0], &model.people[1]);
    assert_eq!((alice.id.as_str(), alice.name.as_str()), ("alice", "Alice Å."));
    assert_eq!(alice.secret, Secret::from_password(b"alice", b"home.example", b"won\"der"));
    assert_eq!((bob.name.as_str(), model.people[2].secret.sha256), ("bob", None));
    assert_eq!(model.people[2].secret.md5, Some(core::array::from_fn(|i| i as u8)));

    let (tv, tablet) = (&model.devices[0], &model.devices[1]);
    assert_eq!((tv.id.as_str(), tv.person), ("tv", 0));
    assert_eq!(tv.takes, Takes { audio: false, video: true, text: false });
    assert_eq!(tv.secret, Secret::from_password(b"tv", b"home.example", b"x y"));
    assert_eq!((tablet.person, tablet.takes), (1, Takes::ALL));
    assert_eq!(tablet.secret, Secret::from_password(b"tablet", b"home.example", b"pw of bob"));

    assert_eq!((model.person(b"BOB"), model.person(b"tv"), model.device(b"Tablet")), (Some(1), None, Some(1)));
}

#[test]
fn reading_again_starts_anew() {
    let mut model = good(&format!(
        "{HOME}list external a.example\noption spool /s\n{ALICE}config device tv\noption person alice\n{SMITHS}\
         config buddy\noption alias a\noption group g\nconfig rule\nlist who group:g\noption calls block\n"
    ));
    assert_eq!(model.read(HOME.as_bytes(), &mut |fault| panic!("{fault}")), 0);
    assert_eq!(model, good(HOME));
}

#[test]
fn faults_of_lines() {
    let line = |body: &str| fault(body).strip_prefix("line 4: pcsd 'main': ").unwrap().to_string();
    assert_eq!(line("option syslog '1\n"), "unterminated quote");
    assert_eq!(line("option syslog 1\\\n"), "backslash at the end of the line: a value can't go on in the next line");
    assert_eq!(line("option syslog 1;\n"), "';' outside quotes");
    assert_eq!(line("option syslog\n"), "incomplete statement");
    assert_eq!(line("option syslog 1 2\n"), "words behind the end of the statement");
    assert_eq!(line("syslog 1\n"), "not a package, config, option or list statement");
    assert_eq!(line(&format!("list external {}\n", "a".repeat(600))), "line longer than 512 bytes");
    assert_eq!(line("option a-b 1\n"), "an option's name may have letters, digits and '_' only");
    assert_eq!(line("package x\n"), "package 'x' is not pcsd");
    let (_, latin1) = check(&[HOME.as_bytes(), b"option name 'Andr\xe9'"].concat());
    assert_eq!(latin1, ["line 4: pcsd 'main': not UTF-8 text, or with control characters"]);
    let (_, early) = check(format!("\noption a b\n{HOME}").as_bytes());
    assert_eq!(early, ["line 2: option 'a': before the first section"]);
}

#[test]
fn reading_goes_on_behind_a_fault() {
    let (_, faults) = check(format!("{HOME}option syslog '1\nlist listen\noption nothing 1\n").as_bytes());
    assert_eq!(faults.len(), 3);
    // What follows a broken section line is not the section's above.
    let body = format!("{ALICE}config person 'bob\noption password 'builder'\n");
    assert_eq!(fault(&body), "line 6: unterminated quote");
}

#[test]
fn faults_of_sections() {
    assert_eq!(check(b"").1, ["line 1: pcsd 'main': the section is missing"]);
    assert_eq!(check(ALICE.as_bytes()).1, ["line 2: pcsd 'main': the section is missing"]);
    assert_eq!(check(b"config pcsd main").1, ["line 1: pcsd 'main': option 'domain' is missing"]);
    assert_eq!(fault("config pcsd\n"), "line 4: pcsd: its name has to be 'main'");
    assert_eq!(fault("config pcsd 'x'\noption nothing 1\n"), "line 4: pcsd 'x': its name has to be 'main'");
    assert_eq!(fault("config persn 'x'\noption a b\n"), "line 4: persn 'x': unknown type of section");
    for (kind, what) in NOT_YET {
        assert_eq!(
            fault(&format!("config {kind}\noption a b\n")),
            format!("line 4: {kind}: {what} is not in this version")
        );
    }
}

#[test]
fn faults_of_names() {
    assert_eq!(fault("config pcsd main\noption domain b.example\n"), format!("line 4: pcsd 'main': {TAKEN}"));
    let again = format!("{ALICE}config person ALICE\noption password x\n");
    assert_eq!(fault(&again), format!("line 6: person 'ALICE': {TAKEN}"));
    let above = format!("config device alice\noption person alice\n{ALICE}");
    assert_eq!(fault(&above), format!("line 4: device 'alice': {TAKEN}"));
    let twice = "config device tv\noption person alice\n".repeat(2);
    assert_eq!(fault(&format!("{ALICE}{twice}")), format!("line 8: device 'tv': {TAKEN}"));

    let peer = "config peer Alice\noption domain a.b\noption transport udp\n";
    assert_eq!(fault(&format!("{peer}{ALICE}")), format!("line 4: peer 'Alice': {TAKEN}"));
    let device = format!("{ALICE}{SMITHS}config device SMITHS\noption person alice\n");
    assert_eq!(fault(&device), format!("line 9: device 'SMITHS': {TAKEN}"));
    assert_eq!(
        fault("config peer\noption domain a.b\noption transport tcp\n"),
        "line 4: peer: the section needs a name"
    );

    let person = |name: &str| fault(&format!("config person {name}\noption password x\n"));
    assert_eq!(person(""), "line 4: person: the section needs a name");
    assert_eq!(person("pcs"), "line 4: person 'pcs': the name is kept for the server");
    assert_eq!(person("Main"), "line 4: person 'Main': the name is kept for the server");
    assert_eq!(person("'a b'"), "line 4: person 'a b': the name may have letters, digits, '-', '_' and '.' only");
    let long = "é".repeat(40);
    assert_eq!(person(&long), format!("line 4: person '{}': longer than 64 bytes", "é".repeat(32)));
}

#[test]
fn faults_of_main() {
    let main = |body: &str| fault(body).strip_prefix("line 4: pcsd 'main': option ").unwrap().to_string();
    assert_eq!(main("option webb 1\n"), "'webb': unknown option");
    let web = "ADDRESS:PORT, http:ADDRESS:PORT or https:ADDRESS:PORT";
    assert_eq!(main("option web 8088\n"), format!("'web': '8088' is not {web}"));
    let url = "http://HOST, http://HOST:PORT, or https likewise";
    assert_eq!(main("option url router.lan\n"), format!("'url': 'router.lan' is not {url}"));
    let ports = "FIRST-LAST, 16 ports or more from 1024 to 65535, the first even";
    assert_eq!(main("option rtp_ports 16384-16390\n"), format!("'rtp_ports': '16384-16390' is not {ports}"));
    let zone = "a rule such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3";
    assert_eq!(main("option timezone Europe/Rome\n"), format!("'timezone': 'Europe/Rome' is not {zone}"));
    assert_eq!(main("list url http://a\n"), "'url': it has one value: write 'option' instead of 'list'");
    assert_eq!(main("option domain 'b.example'\n"), "'domain': given twice");
    assert_eq!(main("option listen udp:[::]:5060\n"), "'listen': it is a list: write 'list' instead of 'option'");
    assert_eq!(main("list socket /s\n"), "'socket': it has one value: write 'option' instead of 'list'");
    assert_eq!(main("option socket ''\n"), "'socket': the value is empty");
    assert_eq!(main("option socket s\n"), "'socket': 's' is not a path from the root");
    assert_eq!(main(&format!("option socket /{}\n", "s".repeat(104))), "'socket': longer than 104 bytes");
    for listen in ["udp:5060", "tls:0.0.0.0", "ws:[::]:5061"] {
        let expected = format!("'listen': '{listen}' is not udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT");
        assert_eq!(main(&format!("list listen {listen}\n")), expected);
    }
    assert_eq!(main("list external a.b:5060\n"), "'external': 'a.b:5060' is not a host name or an IP address");
    assert_eq!(main(&format!("list external {}\n", "a".repeat(65))), "'external': longer than 64 bytes");
    assert_eq!(main("list unlimited 192.0.2.0/24\n"), "'unlimited': '192.0.2.0/24' is not an IP address");
    assert_eq!(main("option log_level all\n"), "'log_level': 'all' is not error, warn, info or debug");
    assert_eq!(main("option syslog yes\n"), "'syslog': 'yes' is not 0 or 1");
    for number in ["0", "-1", "+1", "x", "65537", "99999999999", &(BINDINGS_PER_PERSON + 1).to_string()] {
        let expected = format!("'bindings_per_person': '{number}' is not a number from 1 to {BINDINGS_PER_PERSON}");
        assert_eq!(main(&format!("option bindings_per_person {number}\n")), expected);
    }
    let ranges = [("spool_mb", 4, 65_536), ("quota_mb", 1, 65_536), ("keep_days", 0, 36_500)];
    for (option, min, max) in ranges {
        for number in [min - 1, max + 1] {
            let expected = format!("'{option}': '{number}' is not a number from {min} to {max}");
            assert_eq!(main(&format!("option {option} {number}\n")), expected);
        }
    }
    for (option, max) in [("spool", 200), ("state", 104), ("run_dir", 104), ("resolv_file", 200)] {
        let expected = format!("'{option}': 'a/b' is not a path from the root");
        assert_eq!(main(&format!("option {option} a/b\n")), expected);
        let long = format!("option {option} /{}\n", "p".repeat(max));
        assert_eq!(main(&long), format!("'{option}': longer than {max} bytes"));
        assert_eq!(main(&format!("option {option} ''\n")), format!("'{option}': the value is empty"));
        assert_eq!(
            main(&format!("list {option} /a\n")),
            format!("'{option}': it has one value: write 'option' instead of 'list'")
        );
    }
    let (_, domain) = check(b"config pcsd main\noption domain a_b\n");
    assert_eq!(domain, ["line 2: pcsd 'main': option 'domain': 'a_b' is not a host name or an IP address"]);
}

#[test]
fn lists_refuse_repetition() {
    let second = |body: &str| fault(body).strip_prefix("line 5: pcsd 'main': option ").unwrap().to_string();
    let listen = "list listen udp:0.0.0.0:5060\nlist listen udp:192.0.2.1:5060\n";
    assert_eq!(second(listen), "'listen': 'udp:192.0.2.1:5060' is covered by an entry above");
    let listen = "list listen tcp:[::1]:5060\nlist listen tcp:[0::1]:5060\n";
    assert_eq!(second(listen), "'listen': 'tcp:[0::1]:5060' is in the list already");
    let web = "list web 0.0.0.0:8088\nlist web 192.0.2.1:8088\n";
    assert_eq!(second(web), "'web': '192.0.2.1:8088' is covered by an entry above");
    assert_eq!(second("list web [::]:80\nlist web http:[0::0]:80\n"), "'web': 'http:[0::0]:80' is in the list already");
    assert_eq!(second("option web [::]:80\noption web [::]:81\n"), "'web': given twice");
    assert_eq!(second("list external a.b\nlist external A.b\n"), "'external': 'A.b' is in the list already");
    assert_eq!(second("list unlimited ::1\nlist unlimited 0::1\n"), "'unlimited': '0::1' is in the list already");
}

#[test]
fn the_web_page_and_sip_share_no_socket() {
    // The default listeners of SIP, which are there when nothing is said.
    let taken = "line 4: pcsd 'main': option 'web': a listener of SIP has this address and port";
    assert_eq!(fault("option web 0.0.0.0:5060\n"), taken);
    assert_eq!(fault("list web [::1]:5060\nlist web 0.0.0.0:8088\n"), taken);
    assert_eq!(fault("list web 0.0.0.0:8088\nlist web [::1]:5060\n"), taken.replace('4', "5"));
    // Wherever SIP's stand.
    assert_eq!(fault("list web 192.0.2.1:5070\nlist listen tcp:0.0.0.0:5070\n"), taken);
    assert_eq!(fault("list listen tcp:0.0.0.0:5070\nlist web 192.0.2.1:5070\n"), taken.replace('4', "5"));
    let other =
        good(&format!("{HOME}list web 192.0.2.1:5070\nlist listen udp:0.0.0.0:5070\nlist listen tcp:[::]:5070\n"));
    assert_eq!(other.main.web.len(), 1);
    // An entry that is refused has no line of its own to be blamed at.
    let (_, faults) = check(format!("{HOME}list web 80\nlist web 0.0.0.0:5060\n").as_bytes());
    assert_eq!((faults.len(), faults[1].as_str()), (2, taken.replace('4', "5").as_str()));
    let many: String = (0..=WEB_LISTENERS).map(|i| format!("list web 0.0.0.0:{}\n", 8000 + i)).collect();
    let line = 4 + WEB_LISTENERS;
    let expected = format!("more than {WEB_LISTENERS} (the limit WEB_LISTENERS)");
    assert_eq!(fault(&many), format!("line {line}: pcsd 'main': option 'web': {expected}"));
}

#[cfg(feature = "tls")]
#[test]
fn the_web_page_over_tls() {
    let model = good(&format!("{HOME}list web https:0.0.0.0:443\n"));
    assert!(model.main.web[0].is_secure);
    let both = "list web https:0.0.0.0:443\nlist web http:0.0.0.0:443\n";
    assert_eq!(fault(both), "line 5: pcsd 'main': option 'web': 'http:0.0.0.0:443' is covered by an entry above");
    let taken = "line 4: pcsd 'main': option 'web': a listener of SIP has this address and port";
    assert_eq!(fault("list web https:0.0.0.0:443\nlist listen tls:0.0.0.0:443\n"), taken);
}

#[cfg(not(feature = "tls"))]
#[test]
fn the_web_page_over_tls_is_not_built() {
    let expected = "line 4: pcsd 'main': option 'web': TLS is not built into this program";
    assert_eq!(fault("list web https:0.0.0.0:443\n"), expected);
}

#[test]
fn what_becomes_of_what_a_person_misses() {
    let busy = "在开会".repeat(22);
    let model = good(&format!(
        "{HOME}{ALICE}config person bob\noption password x\noption language zh\noption busy '{busy}xx'\n\
         option answer_after 5\noption answering 0\noption record_seconds 600\noption missed deliver\n\
         config rule\nlist who anyone\noption messages store\noption calls answer\n"
    ));
    let [alice, bob] = model.people.as_slice() else { panic!("{:?}", model.people) };
    assert_eq!((alice.language, alice.busy.as_str(), alice.missed), (Language::En, "", Missed::Keep));
    assert_eq!((alice.answer_after_s, alice.answering, alice.record_seconds), (20, true, 120));
    assert_eq!((bob.language, bob.busy.len(), bob.missed), (Language::Zh, 200, Missed::Deliver));
    assert_eq!((bob.answer_after_s, bob.answering, bob.record_seconds), (5, false, 600));
    let rule = &model.rules[0];
    assert_eq!((rule.messages, rule.calls), (Some(Messages::Store), Some(Calls::Answer)));
    for (tag, language) in Language::TAGS {
        assert_eq!(language.tag(), tag);
    }
}

#[test]
fn faults_of_people() {
    let person = |body: &str| fault(&format!("config person bob\n{body}")).replace(": person 'bob': ", " ");
    assert_eq!(person(""), "line 4 option 'password' or 'ha1' is missing");
    assert_eq!(person("option passwrd x\noption password x\n"), "line 5 option 'passwrd': unknown option");
    assert_eq!(person("option password x\noption password y\n"), "line 6 option 'password': given twice");
    let list = "line 5 option 'password': it has one value: write 'option' instead of 'list'";
    assert_eq!(person("list password x\n"), list);
    assert_eq!(person("option password ''\n"), "line 5 option 'password': the value is empty");
    let long = format!("option password {}\n", "p".repeat(65));
    assert_eq!(person(&long), "line 5 option 'password': longer than 64 bytes");
    let both = format!("option password x\noption ha1 {}\n", "0".repeat(32));
    assert_eq!(person(&both), "line 6 option 'ha1': either a password or ha1, not both");
    let hash = "an MD5 hash of 32 hexadecimal digits, a SHA-256 hash of 64, or both";
    assert_eq!(person("option ha1 5ec2e7\n"), format!("line 5 option 'ha1': the value is not {hash}"));
    let other = |body: &str| person(&format!("option password x\n{body}\n")).replace("line 6 option ", "");
    assert_eq!(other("option language sv-FI"), "'language': 'sv-FI' is not en, sv or zh");
    assert_eq!(other("option answer_after 4"), "'answer_after': '4' is not a number from 5 to 120");
    assert_eq!(other("option answer_after 121"), "'answer_after': '121' is not a number from 5 to 120");
    assert_eq!(other("option record_seconds 9"), "'record_seconds': '9' is not a number from 10 to 600");
    assert_eq!(other("option record_seconds 601"), "'record_seconds': '601' is not a number from 10 to 600");
    assert_eq!(other("option answering no"), "'answering': 'no' is not 0 or 1");
    assert_eq!(other("option missed send"), "'missed': 'send' is not keep or deliver");
    assert_eq!(other("option busy ''"), "'busy': the value is empty");
    assert_eq!(other(&format!("option busy '{}'", "é".repeat(101))), "'busy': longer than 200 bytes");
    assert_eq!(other("list busy x"), "'busy': it has one value: write 'option' instead of 'list'");
    let name = format!("option password x\noption name {}\n", "n".repeat(65));
    assert_eq!(person(&name), "line 6 option 'name': longer than 64 bytes");
    let glued = "option password x\noption password'hunter2' # no space\noption ha15ec2e7 x\n";
    let (_, faults) = check(format!("{HOME}config person bob\n{glued}").as_bytes());
    let expected = ["incomplete statement", "option 'ha1': unknown option: there is more in its name"];
    assert_eq!(faults, [6, 7].map(|line| format!("line {line}: person 'bob': {}", expected[line - 6])));
}

#[test]
fn faults_of_devices() {
    let device = |body: &str| fault(&format!("{ALICE}config device tv\n{body}")).replace(": device 'tv': ", " ");
    assert_eq!(device(""), "line 6 option 'person' is missing");
    assert_eq!(device("option person eve\n"), "line 7 option 'person': there is no person 'eve'");
    assert_eq!(device("option person alice\noption name TV\n"), "line 8 option 'name': unknown option");
    let takes = "option person alice\nlist takes vidio\n";
    assert_eq!(device(takes), "line 8 option 'takes': 'vidio' is not audio, video or text");
    let twice = "option person alice\nlist takes text\nlist takes text\n";
    assert_eq!(device(twice), "line 9 option 'takes': 'text' is in the list already");
}

#[test]
fn peers() {
    let model = good(&format!(
        "config peer 'Smiths'\n option domain Smith.Example\n option address '[2001:DB8::7]:5070'\n\
         config peer jones\n option domain 192.0.2.1\n option address Jones.example\n option transport tcp\n\
         config peer brown\n option domain brown.example\n option transport udp\n{HOME}"
    ));
    let [smiths, jones, brown] = model.peers.as_slice() else { panic!("{:?}", model.peers) };
    assert_eq!((smiths.id.as_str(), smiths.domain.as_str()), ("smiths", "smith.example"));
    let address = PeerAddress { host: "[2001:db8::7]".try_into().unwrap(), port: Some(5070) };
    // An address alone: what the far end could show is not known.
    assert_eq!((smiths.address.as_ref(), smiths.transport), (Some(&address), Transport::Udp));
    let address = PeerAddress { host: "jones.example".try_into().unwrap(), port: None };
    assert_eq!((jones.address.as_ref(), jones.transport), (Some(&address), Transport::Tcp));
    assert_eq!((brown.address.as_ref(), brown.transport), (None, Transport::Udp));
    assert!(brown.pins.is_empty() && brown.ca.is_empty());
    assert_eq!((model.peer(b"BROWN.example"), model.peer(b"smiths"), model.peer(b"")), (Some(2), None, None));
}

#[test]
fn faults_of_peers() {
    let peer = |body: &str| {
        fault(&format!("list external our.example\nconfig peer p\noption transport udp\n{body}"))
            .replace(": peer 'p': ", " ")
    };
    assert_eq!(peer(""), "line 5 option 'domain' is missing");
    assert_eq!(peer("list domain a.b\n"), "line 7 option 'domain': it has one value: write 'option' instead of 'list'");
    assert_eq!(peer("option domain a_b\n"), "line 7 option 'domain': 'a_b' is not a host name or an IP address");
    assert_eq!(peer("option domain Home.Example\n"), "line 7 option 'domain': 'Home.Example' is a name of this home");
    assert_eq!(peer("option domain our.example\n"), "line 7 option 'domain': 'our.example' is a name of this home");
    let good = |body: &str| peer(&format!("option domain a.b\n{body}"));
    assert_eq!(good("option adress a.b\n"), "line 8 option 'adress': unknown option");
    let address = "HOST or HOST:PORT, with an IPv6 address in brackets";
    assert_eq!(good("option address a.b:sip\n"), format!("line 8 option 'address': 'a.b:sip' is not {address}"));
    assert_eq!(good("option address a.b\noption address a.b\n"), "line 9 option 'address': given twice");
    assert_eq!(good("option ca ca.pem\n"), "line 8 option 'ca': 'ca.pem' is not a path from the root");
    let long = format!("option ca /{}\n", "c".repeat(200));
    assert_eq!(good(&long), "line 8 option 'ca': longer than 200 bytes");
    assert_eq!(
        good("option pin sha1/x\n"),
        "line 8 option 'pin': 'sha1/x' is not 'sha256/' and 44 characters of base64"
    );

    let transport = "config peer p\noption domain a.b\noption address a.b\noption transport sctp\n";
    assert_eq!(fault(transport), "line 7: peer 'p': option 'transport': 'sctp' is not udp, tcp or tls");
    let twice = SMITHS.replace("'smiths'", "j").replace("smith.", "Smith.");
    let expected = "line 8: peer 'j': option 'domain': 'Smith.example' is the domain of a peer above";
    assert_eq!(fault(&format!("{SMITHS}{twice}")), expected);
    // The other way round: the external name stands below.
    let below = format!("{SMITHS}config pcsd main\noption domain a.b\nlist external Smith.Example\n");
    let expected = "line 6: pcsd 'main': option 'external': 'Smith.Example' is the domain of a peer above";
    assert_eq!(check(below.as_bytes()).1, [expected]);
}

/// The SHA-256 of nothing, as `openssl dgst -sha256 -binary | base64` writes it.
#[cfg(feature = "tls")]
const PIN: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
#[cfg(feature = "tls")]
const OTHER_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";

#[cfg(feature = "tls")]
#[test]
fn keys_and_certificates() {
    let model = good(&format!(
        "{HOME}list listen tls:[::]:5061\noption cert /etc/pcsd/cert.pem\noption key /etc/pcsd/key.pem\noption ca /ca.pem\n\
         config peer a\noption domain a.example\noption address 192.0.2.1:5071\nlist pin '{PIN}'\nlist pin {OTHER_PIN}\n\
         config peer b\noption domain b.example\noption ca /etc/b.pem\noption transport tls\n\
         config peer c\noption domain c.example\noption pin {PIN}\n\
         config peer d\noption domain d.example\n"
    ));
    let main = &model.main;
    assert_eq!((main.listen.len(), main.listen[0].transport), (1, Transport::Tls));
    assert_eq!((main.cert.as_str(), main.key.as_str()), ("/etc/pcsd/cert.pem", "/etc/pcsd/key.pem"));
    assert_eq!(main.ca.as_str(), "/ca.pem");
    let [a, b, c, d] = model.peers.as_slice() else { panic!("{:?}", model.peers) };
    assert!([a, b, c, d].iter().all(|peer| peer.transport == Transport::Tls));
    assert_eq!((a.pins.len(), a.pins[0][..3].to_vec(), a.pins[1][31]), (2, [0xe3, 0xb0, 0xc4].to_vec(), 1));
    assert_eq!((b.ca.as_str(), b.pins.len(), c.pins.as_slice()), ("/etc/b.pem", 0, &a.pins[..1]));
    assert!(d.pins.is_empty() && d.ca.is_empty());
}

#[cfg(feature = "tls")]
#[test]
fn faults_of_keys() {
    assert_eq!(fault("option cert /c\n"), "line 2: pcsd 'main': option 'key' for the certificate is missing");
    assert_eq!(fault("option key /k\n"), "line 2: pcsd 'main': option 'cert' for the key is missing");
    let key = "line 4: pcsd 'main': option 'key': 'k' is not a path from the root";
    assert_eq!(fault("option key k\noption cert /c\n"), key);
    let covered = "line 5: pcsd 'main': option 'listen': 'tls:[::]:5061' is covered by an entry above";
    assert_eq!(fault("list listen tcp:[::]:5061\nlist listen tls:[::]:5061\n"), covered);

    let peer = |body: &str| fault(&format!("config peer p\noption domain a.b\n{body}")).replace(": peer 'p': ", " ");
    let needs =
        |line: u32, option: &str| format!("line {line} option '{option}': a pin or a CA needs the transport tls");
    for transport in ["udp", "tcp"] {
        assert_eq!(peer(&format!("option transport {transport}\nlist pin {PIN}\n")), needs(7, "pin"));
        assert_eq!(peer(&format!("option transport {transport}\noption ca /ca.pem\n")), needs(7, "ca"));
        assert_eq!(peer(&format!("option pin {PIN}\noption transport {transport}\n")), needs(7, "transport"));
        assert_eq!(peer(&format!("option ca /ca.pem\noption transport {transport}\n")), needs(7, "transport"));
    }
    // A transport that is none says nothing about the pin.
    let sctp = format!("option transport sctp\nlist pin {PIN}\n");
    assert_eq!(peer(&sctp), "line 6 option 'transport': 'sctp' is not udp, tcp or tls");
    let twice = format!("list pin {PIN}\nlist pin {PIN}\n");
    assert_eq!(peer(&twice), format!("line 7 option 'pin': '{PIN}' is in the list already"));
    let twice = format!("option pin {PIN}\noption pin {OTHER_PIN}\n");
    assert_eq!(peer(&twice), "line 7 option 'pin': given twice");
    let third = PIN.replace('4', "A");
    let three = format!("list pin {PIN}\nlist pin {OTHER_PIN}\nlist pin {third}\n");
    assert_eq!(peer(&three), "line 8 option 'pin': more than 2 (the limit PINS)");
}

/// What a program without TLS can't keep is refused, not left out.
#[cfg(not(feature = "tls"))]
#[test]
fn without_tls() {
    let main = |body: &str| fault(body).strip_prefix("line 4: pcsd 'main': option ").unwrap().to_string();
    assert_eq!(main("list listen tls:[::]:5061\n"), "'listen': TLS is not built into this program");
    assert_eq!(main("option ca /ca.pem\n"), "'ca': TLS is not built into this program");
    let (_, faults) = check(format!("{HOME}option cert /c\noption key /k\n").as_bytes());
    let expected = [("4", "cert"), ("5", "key")].map(|(line, option)| {
        format!("line {line}: pcsd 'main': option '{option}': TLS is not built into this program")
    });
    assert_eq!(faults, expected);
    let pin = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for (option, value) in [("transport", "tls"), ("pin", pin), ("ca", "/ca.pem")] {
        let expected = format!("line 6: peer 'p': option '{option}': TLS is not built into this program");
        assert_eq!(fault(&format!("config peer p\noption domain a.b\noption {option} {value}\n")), expected);
    }
    let expected = "line 4: peer 'p': TLS, which leads to a peer without 'transport', is not built into this program";
    assert_eq!(fault("config peer p\noption domain a.b\n"), expected);
}

#[test]
fn full_tables() {
    let people =
        |count: usize| -> String { (0..count).map(|i| format!("config person p{i}\noption password x\n")).collect() };
    let model = good(&format!("{HOME}{}", people(PEOPLE)));
    assert_eq!(model.people.len(), PEOPLE);
    assert_eq!(model.person(format!("p{}", PEOPLE - 1).as_bytes()), Some(PEOPLE - 1));
    let line = 4 + 2 * PEOPLE;
    let expected = format!("line {line}: person 'p{PEOPLE}': more than {PEOPLE} (the limit PEOPLE)");
    assert_eq!(fault(&people(PEOPLE + 1)), expected);

    let devices: String = (0..=DEVICES).map(|i| format!("config device d{i}\noption person alice\n")).collect();
    let line = 6 + 2 * DEVICES;
    let expected = format!("line {line}: device 'd{DEVICES}': more than {DEVICES} (the limit DEVICES)");
    assert_eq!(fault(&format!("{ALICE}{devices}")), expected);

    let peers: String =
        (0..=PEERS).map(|i| format!("config peer h{i}\noption domain h{i}.example\noption address a.b\n")).collect();
    let line = 4 + 3 * PEERS;
    let expected = format!("line {line}: peer 'h{PEERS}': more than {PEERS} (the limit PEERS)");
    assert_eq!(fault(&peers), expected);

    let lists = [
        ("listen", "udp:0.0.0.0:", "LISTENERS", LISTENERS),
        ("external", "a", "EXTERNALS", EXTERNALS),
        ("unlimited", "::", "UNLIMITED", UNLIMITED),
    ];
    for (list, prefix, limit, max) in lists {
        let body: String = (1..=max + 1).map(|i| format!("list {list} {prefix}{i}\n")).collect();
        let line = 4 + max;
        let expected = format!("line {line}: pcsd 'main': option '{list}': more than {max} (the limit {limit})");
        assert_eq!(fault(&body), expected);
    }
}

/// Sections in the order that needs most of what stands below.
#[test]
fn buddies_and_rules() {
    let model = good(&format!(
        "config rule 'one'\n list who person:Bob\n list who buddy:Mum\n list who 'group:old friends'\n\
         list who domain:His.Example\n list who network:sip\n list who anyone\n option when away\n\
         option presence 'Gone, back at 6'\n option location coordinates\n option messages block\n option calls ring\n\
         option person ALICE\n\
         config rule\n list who group:kin\n option presence HIDE\n\
         config buddy 'x'\n option alias Carl\n option name 'Carl C.'\n list address sip:C%40c@His.Example:5070\n\
         list address 'sip:carl@[2001:DB8::1]'\n option group 'old friends'\n\
         option person alice\n\
         config buddy\n option alias mum\n option group kin\n\
         config buddy\n option person bob\n option alias carl\n\
         {ALICE}config person bob\n option password x\n{HOME}"
    ));
    let [carl, mum, bobs] = model.buddies.as_slice() else { panic!("{:?}", model.buddies) };
    assert_eq!((carl.person, carl.alias.as_str(), carl.name.as_str()), (Some(0), "carl", "Carl C."));
    let addresses: Vec<_> = carl.addresses.iter().map(|it| (it.network, it.text.as_str(), it.port)).collect();
    let port = core::num::NonZeroU16::new(5070);
    assert_eq!(addresses, [(Network::Sip, "C%40c@his.example", port), (Network::Sip, "carl@[2001:db8::1]", None)]);
    assert_eq!((mum.person, mum.name.as_str(), mum.addresses.len()), (None, "mum", 0));
    assert_eq!((bobs.person, bobs.group), (Some(1), None));
    assert_eq!([carl, mum].map(|buddy| model.word(buddy.group.unwrap())), ["old friends", "kin"]);

    let [one, two] = model.rules.as_slice() else { panic!("{:?}", model.rules) };
    assert_eq!((one.line, one.person, one.when), (1, Some(0), Some(State::Away)));
    let [person, buddy, group, domain, network, anyone] = one.who.as_slice() else { panic!("{:?}", one.who) };
    assert_eq!(
        (*person, *buddy, *network, *anyone),
        (Who::Person(1), Who::Buddy(1), Who::Network(Network::Sip), Who::Anyone)
    );
    let (Who::Group(group), Who::Domain(domain)) = (*group, *domain) else { panic!("{:?}", one.who) };
    assert_eq!((model.word(group), model.word(domain)), ("old friends", "his.example"));
    let Some(Presence::Text(text)) = one.presence else { panic!("{:?}", one.presence) };
    assert_eq!(model.word(text), "Gone, back at 6");
    assert_eq!(
        (one.location, one.messages, one.calls),
        (Some(Location::Coordinates), Some(Messages::Block), Some(Calls::Ring))
    );
    assert_eq!((two.line, two.person, two.when, two.presence), (14, None, None, Some(Presence::Hide)));
    assert_eq!((two.location, two.messages, two.calls), (None, None, None));

    let aliases = |person| model.buddies_of(person).map(|buddy| buddy.alias.as_str()).collect::<Vec<_>>();
    assert_eq!((aliases(0), aliases(1)), (std::vec!["carl", "mum"], std::vec!["carl", "mum"]));
    assert_eq!((model.buddy(0, b"CARL"), model.buddy(1, b"carl"), model.buddy(1, b"mum")), (Some(0), Some(2), Some(1)));
    assert_eq!((model.buddy(0, b"bob"), model.word(99)), (None, ""));
    // A copy in place is the same, whatever was there.
    let mut copy = good(HOME);
    copy.clone_from(&model);
    assert_eq!(copy, model);
    copy.clone_from(&good(HOME));
    assert_eq!(copy, good(HOME));
}

#[test]
fn faults_of_buddies() {
    let people =
        format!("{ALICE}config person bob\noption password x\nconfig buddy\noption person bob\noption alias dora\n");
    let buddy = |body: &str| fault(&format!("{people}config buddy\n{body}")).replace(": buddy: ", " ");
    let aliased = |body: &str| buddy(&format!("option alias carl\n{body}"));
    assert_eq!(buddy(""), "line 11 option 'alias' is missing");
    assert_eq!(buddy("option alias 'c d'\n"), format!("line 12 option 'alias': {}", Problem::BadName));
    assert_eq!(buddy(&format!("option alias {}\n", "c".repeat(65))), "line 12 option 'alias': longer than 64 bytes");
    assert_eq!(buddy("option alias PCS\n"), "line 12 option 'alias': the name is kept for the server");
    assert_eq!(buddy("option alias Alice\n"), "line 12 option 'alias': 'Alice' is a person");
    let list = "line 12 option 'alias': 'Alice-buddies' is the buddy list of a person";
    assert_eq!(buddy("option alias Alice-buddies\n"), list);
    good(&format!("{HOME}{people}config buddy\noption alias carl-buddies\n"));
    let above = "option 'alias': 'Dora' is a buddy above, on this list or the family's";
    assert_eq!(buddy("option alias Dora\n"), format!("line 12 {above}"));
    assert_eq!(buddy("option alias Dora\noption person bob\n"), format!("line 12 {above}"));
    assert_eq!(buddy("option person bob\noption alias Dora\n"), format!("line 13 {above}"));
    good(&format!("{HOME}{people}config buddy\noption alias dora\noption person alice\n"));
    let family = "option alias emil\nconfig buddy\noption person alice\noption alias emil\n";
    assert_eq!(buddy(family), format!("line 15 {}", above.replace("Dora", "emil")));

    assert_eq!(aliased("option person eve\n"), "line 13 option 'person': there is no person 'eve'");
    assert_eq!(aliased("option alias d\n"), "line 13 option 'alias': given twice");
    assert_eq!(aliased("option nick c\n"), "line 13 option 'nick': unknown option");
    assert_eq!(
        aliased("option password x\n"),
        "line 13 option 'password': the login of a guest is not in this version"
    );
    assert_eq!(aliased(&format!("option name {}\n", "n".repeat(65))), "line 13 option 'name': longer than 64 bytes");
    assert_eq!(aliased(&format!("option group {}\n", "g".repeat(65))), "line 13 option 'group': longer than 64 bytes");
    assert_eq!(
        aliased("option address sip:a@b.example\n"),
        "line 13 option 'address': it is a list: write 'list' instead of 'option'"
    );
    for network in ["msn", "MSNP", "ymsg", "oscar", "skype", "matrix"] {
        let expected =
            format!("line 13 option 'address': the network {} is not in this version", network.to_lowercase());
        assert_eq!(aliased(&format!("list address {network}:a@b.example\n")), expected);
    }
    for bad in ["a@b.example", "http://b.example", "sips:a@b.example"] {
        let known = "sip:USER@HOST, sip:USER@HOST:PORT, xmpp:USER@DOMAIN, irc:NICK or line:NAME";
        let expected = format!("line 13 option 'address': '{bad}' is not {known}");
        assert_eq!(aliased(&format!("list address '{bad}'\n")), expected);
    }
    for bad in [
        "sip:",
        "sip:b.example",
        "sip:@b.example",
        "sip:a:pw@b.example",
        "sip:a@b.example;transport=tcp",
        "sip:a@b.example:5060;lr",
        "sip:a@b.example?x=y",
        "sip:a@b.example:0",
        "sip:a@b.example:65536",
        "sip:a@b_c",
        "sip:a@2001:db8::1",
        "sip:a b@c.example",
        "sip:a@",
    ] {
        let expected = format!("line 13 option 'address': '{bad}' is not sip:USER@HOST or sip:USER@HOST:PORT");
        assert_eq!(aliased(&format!("list address '{bad}'\n")), expected);
    }
    let long = format!("list address sip:{}@b.example\n", "a".repeat(71));
    assert_eq!(aliased(&long), "line 13 option 'address': longer than 80 bytes");
    let twice = "list address sip:a@b.example\nlist address sip:a@B.example\n";
    assert_eq!(aliased(twice), "line 14 option 'address': 'sip:a@B.example' is in the list already");
    let many: String = (0..=ADDRESSES_PER_BUDDY).map(|i| format!("list address sip:a@b{i}.example\n")).collect();
    let line = 13 + ADDRESSES_PER_BUDDY;
    let expected =
        format!("line {line} option 'address': more than {ADDRESSES_PER_BUDDY} (the limit ADDRESSES_PER_BUDDY)");
    assert_eq!(aliased(&many), expected);
    // A name has no meaning, but UCI would join the sections.
    assert_eq!(
        fault(&format!("{ALICE}config buddy alice\noption alias c\n")),
        format!("line 6: buddy 'alice': {TAKEN}")
    );
    assert_eq!(
        fault(&format!("{ALICE}config rule main\nlist who anyone\noption calls block\n")),
        format!("line 6: rule 'main': {TAKEN}")
    );
}

#[test]
fn faults_of_rules() {
    let people = format!(
        "{ALICE}config person bob\noption password x\n\
         config buddy\noption person bob\noption alias dora\noption group friends\n"
    );
    let rule = |body: &str| fault(&format!("{people}config rule\n{body}")).replace(": rule: ", " ");
    let about = |body: &str| rule(&format!("list who anyone\noption calls ring\n{body}"));
    assert_eq!(rule("option calls ring\n"), "line 12 list 'who' is missing");
    let aspect = "line 12 one of 'presence', 'location', 'messages' and 'calls' is missing";
    assert_eq!(rule("list who anyone\noption when away\n"), aspect);
    assert_eq!(about("option person eve\n"), "line 15 option 'person': there is no person 'eve'");
    assert_eq!(about("option whom anyone\n"), "line 15 option 'whom': unknown option");

    assert_eq!(about("list who person:eve\n"), "line 15 option 'who': there is no person 'eve'");
    // Dora is on Bob's list: neither the family's nor Alice's.
    let nobody = |line: u32| format!("line {line} option 'who': there is no buddy 'dora' on the list");
    assert_eq!(about("list who buddy:dora\n"), nobody(15));
    assert_eq!(about("list who buddy:dora\noption person alice\n"), nobody(15));
    good(&format!("{HOME}{people}config rule\nlist who buddy:dora\noption calls block\noption person bob\n"));
    // A group of the family's rules is everybody's own.
    good(&format!("{HOME}{people}config rule\nlist who group:friends\noption calls block\n"));
    let group = "line 15 option 'who': there is no buddy in a group 'friends' on the list";
    assert_eq!(about("list who group:friends\noption person alice\n"), group);
    assert_eq!(about("list who group:Friends\n"), group.replace("friends", "Friends"));
    let domain = "line 15 option 'who': 'a_b' is not a host name or an IP address";
    assert_eq!(about("list who domain:a_b\n"), domain);
    assert_eq!(about("list who network:skype\n"), "line 15 option 'who': the network skype is not in this version");
    for bad in ["everyone", "person:", "ANYONE", "network:smoke", "bob", "anyone:", "sip:bob@x.example"] {
        let expected =
            "person:ID, buddy:ALIAS, group:NAME, domain:NAME, network:NETWORK (sip, xmpp, irc, line) or anyone";
        assert_eq!(about(&format!("list who {bad}\n")), format!("line 15 option 'who': '{bad}' is not {expected}"));
    }
    assert_eq!(about("list who anyone\n"), "line 15 option 'who': 'anyone' is in the list already");
    let many: String = (0..WHO_PER_RULE).map(|i| format!("list who domain:d{i}.example\n")).collect();
    let line = 14 + WHO_PER_RULE;
    let expected = format!("line {line} option 'who': more than {WHO_PER_RULE} (the limit WHO_PER_RULE)");
    assert_eq!(about(&many), expected);

    assert_eq!(about("option when costly\n"), "line 15 option 'when': the cost of a line is not in this version");
    assert_eq!(
        about("option when place:work\n"),
        "line 15 option 'when': the place of a person is not in this version"
    );
    let states = "line 15 option 'when': 'asleep' is not available, away, busy or offline";
    assert_eq!(about("option when asleep\n"), states);
    let long = format!("option presence {}\n", "p".repeat(65));
    assert_eq!(about(&long), "line 15 option 'presence': longer than 64 bytes");
    assert_eq!(about("option location map\n"), "line 15 option 'location': 'map' is not none, place or coordinates");
    assert_eq!(about("option messages ring\n"), "line 15 option 'messages': 'ring' is not deliver, store or block");
    let calls = |value: &str| rule(&format!("list who anyone\noption calls {value}\n"));
    assert_eq!(calls("store"), "line 14 option 'calls': 'store' is not ring, answer or block");
}

#[test]
fn full_tables_of_buddies_and_rules() {
    let buddies: String = (0..=BUDDIES).map(|i| format!("config buddy\noption alias b{i}\n")).collect();
    let line = 4 + 2 * BUDDIES;
    assert_eq!(fault(&buddies), format!("line {line}: buddy: more than {BUDDIES} (the limit BUDDIES)"));
    let rules = "config rule\nlist who anyone\noption calls block\n".repeat(RULES + 1);
    let line = 4 + 3 * RULES;
    assert_eq!(fault(&rules), format!("line {line}: rule: more than {RULES} (the limit RULES)"));
    // More words than there is room for need more rules than one can write with a word each.
    let domains: String =
        (0..WORDS).map(|i| format!("config rule\nlist who domain:d{i}.example\noption calls block\n")).collect();
    good(&format!("{HOME}{domains}"));
    let line = 6 + 3 * WORDS;
    assert_eq!(
        fault(&format!("{domains}config rule\nlist who anyone\noption presence 'One more'\n")),
        format!("line {line}: rule: option 'presence': more than {WORDS} (the limit WORDS)")
    );
}

/// What the tables cost in RAM; the model is held twice.
#[test]
fn sizes() {
    use crate::config::model::{Buddy, Rule};
    assert!(size_of::<Rule>() <= 56 && size_of::<Buddy>() <= 512, "{} {}", size_of::<Rule>(), size_of::<Buddy>());
    let lists = BUDDIES * size_of::<Buddy>() + RULES * size_of::<Rule>() + WORDS * size_of::<Name>();
    assert!(lists <= 32 * 1024, "{lists}");
}

/// Damages a good file at random places: it is read to the end, what passes is whole, and no fault shows a secret.
#[test]
fn mutations() {
    let ha1 = "0f".repeat(16);
    let seed = format!(
        "{HOME}list listen 'udp:[::]:5060'\nlist external \"a\\.b\"\nlist web '[::]:80'\n\
         option url 'http://a.b/'\noption rtp_ports '20000-20099'\noption timezone 'CET-1CEST,M3.5.0,J300/3'\n{ALICE}option name 'A'\\''B'\n\
         option busy 'At sea'\noption answer_after '9'\noption missed deliver\n\
         config device tv\noption person alice\nlist takes text # t\noption ha1 '{ha1}'\n\
         {SMITHS}option transport 'tcp'\nconfig peer j\noption domain j.example\noption address '[::1]:5070'\n\
         config buddy\noption person alice\noption alias c\nlist address 'sip:c@d.example:5070'\noption group g\n\
         config rule\noption person alice\nlist who buddy:c\nlist who group:g\nlist who domain:d.example\noption presence 'a text'\n"
    );
    let accounts = "config account n\noption person alice\noption network xmpp\noption address c@d.example\noption password wonderland\n\
         config account l\noption person alice\noption network line\noption server 'http://d.example:80/x?y'\n\
         config account i\noption person alice\noption network irc\noption address [c]\noption server '[::1]:6667'\n";
    let has_networks = cfg!(all(feature = "xmpp", feature = "irc", feature = "line", feature = "tls"));
    let seed = if has_networks { seed + accounts } else { seed };
    good(&seed);
    let mut state = 0x5eed_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let alphabet = b"'\"\\#; \t\n\r\0\xff\xc3\xa9[]:.-az09";
    let (mut clean, mut faulty) = (0, 0);
    for _ in 0..20_000 {
        let mut text = seed.clone().into_bytes();
        for _ in 0..=random(4) {
            if text.is_empty() {
                break;
            }
            let at = random(text.len());
            match random(12) {
                0..4 => text[at] = alphabet[random(alphabet.len())],
                4..7 => drop(text.remove(at)),
                7..11 => text.insert(at, alphabet[random(alphabet.len())]),
                _ => text.truncate(at.max(1)),
            }
        }
        let (model, faults) = check(&text);
        let shown = |fault: &String| fault.contains(char::is_control) || fault.contains("wonderland");
        assert!(!faults.iter().any(shown), "{faults:?}\n{}", text.escape_ascii());
        // A line has at most one fault of its own and one for what its section lacks; the file may lack `main`.
        assert!(faults.len() <= 2 * Lines::new(&text).count() + 1, "{faults:?}");
        if faults.is_empty() {
            clean += 1;
            assert!(!model.main.domain.is_empty() && !model.main.listen.is_empty());
            assert!(model.people.iter().all(|person| person.secret != Secret::NONE));
            assert!(model.people.iter().all(|person| (5..=120).contains(&person.answer_after_s)));
            let (first, last) = model.main.rtp_ports;
            assert!(model.main.timezone.offset_s(UnixTime(1_780_000_000)).abs() <= 26 * 3600);
            assert!(first % 2 == 0 && last - first >= 15 && !model.main.url.ends_with('/'));
            assert!(model.main.web.iter().all(|web| web.address.port() != 0));
            assert!(model.peers.iter().all(|peer| !peer.domain.is_empty() && peer.domain != model.main.domain));
            assert!(model.devices.iter().all(|device| usize::from(device.person) < model.people.len()));
            let owners = model.buddies.iter().map(|it| it.person).chain(model.rules.iter().map(|it| it.person));
            assert!(owners.flatten().all(|owner| usize::from(owner) < model.people.len()));
            assert!(model.buddies.iter().all(|buddy| !buddy.alias.is_empty() && !buddy.name.is_empty()));
            assert!(model.rules.iter().all(|rule| !rule.who.is_empty() && rule.line > 0));
            assert!(model.words.iter().all(|word| !word.is_empty()));
            assert!(model.accounts.iter().all(|it| usize::from(it.person) < model.people.len() && !it.id.is_empty()));
            assert!(
                model.accounts.iter().all(|it| it.network != Network::Sip && (it.pins.is_empty() || it.uses_tls()))
            );
        } else {
            faulty += 1;
        }
    }
    assert!(clean > 500 && faulty > 5_000, "{clean} {faulty}");
}

/// A device can't borrow a password that is not known.
#[test]
fn a_device_of_a_person_with_a_hash_needs_a_password() {
    let text = "config pcsd main\n option domain a.b\nconfig person eve\n option ha1 000102030405060708090a0b0c0d0e0f\n\
                config device tv\n option person eve\n";
    let mut faults = std::vec::Vec::new();
    Model::new().read(text.as_bytes(), &mut |fault| faults.push(fault.to_string()));
    assert_eq!(faults, ["line 5: device 'tv': option 'password' or 'ha1' (its person has only a hash) is missing"]);
}
