//! The examples of README.md for what is attached by lines of JSON, as they stand there and run as it says: a doorbell
//! under socat, signal-cli, which the test plays, and a lamp.

use crate::baresip::Setup;
use crate::bridges::{received, sender_of};
use crate::daemon::{Daemon, Person, sip};
use crate::harness::{Lines, PATIENCE, Place, Program, find, free_port, step, wait_until};
use crate::presence::PUBLISHES;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

#[test]
fn doorbell_rings() {
    let Some(place) = Place::new("doorbell_rings", &["baresip", "socat"]) else { return };
    let (port, folder) = (free_port(), example(&place, "doorbell.sh"));
    let button = folder.join("button");
    let mut socat = Command::new(find("socat"));
    socat.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork")).arg("EXEC:sh doorbell.sh");
    let _bell = Program::start("socat", socat.env("BUTTON", &button).current_dir(&folder));
    let more = account(&format!("tcp:127.0.0.1:{port}"), "doorbell", "doorbell");
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &more);
    let alice = Setup::new("alice", pcsd.address()).start(&place, "alice");
    alice.await_registered();
    pcsd.program.await_line(0, "account thing is on");
    wait_until("the bell has its button", || button.exists().then_some(()));

    step!(place, "somebody rings");
    // Held open, so that it is not forgotten before the bell looks.
    let mut finger = fs::OpenOptions::new().read(true).write(true).open(&button).expect("it is a pipe");
    for times in 1..=2 {
        let from = alice.program.output.len();
        finger.write_all(b"\n").expect("it can be pressed");
        alice.await_trace(from, "Somebody is at the door");
        wait_until("it has rung", || (received(&alice, "Somebody is at the door") == times).then_some(()));
    }
    assert_eq!(sender_of(&alice, "Somebody is at the door"), sip("doorbell"));
    pcsd.await_rest();
}

#[test]
fn signal_is_attached() {
    let Some(place) = Place::new("signal_is_attached", &["baresip", "python3"]) else { return };
    let (port, folder) = (free_port(), example(&place, "signal.py"));
    let rpc = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback");
    let cli = rpc.local_addr().expect("it is bound").to_string();
    let mut python = Command::new(find("python3"));
    python.args(["signal.py", &port.to_string(), &cli, "+4915550100"]).current_dir(&folder);
    let _bridge = Program::start("signal.py", &mut python);
    wait_until("it listens", || crate::harness::is_taken(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).then_some(()));
    let more = account(&format!("tcp:127.0.0.1:{port}"), "bob", "+4915550199");
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &more);
    let mut alice = Setup { contact: "bob", ..Setup::new("alice", pcsd.address()) }.start(&place, "alice");
    alice.await_registered();
    let mut signal = rpc.accept().expect("it connects to signal-cli").0;
    let asked = Lines::default();
    asked.collect(signal.try_clone().expect("a socket can be shared"));
    pcsd.program.await_line(0, "account thing is on");

    step!(place, "Alice writes, and her phone is told that it was sent when Signal says so");
    let from = alice.program.output.len();
    alice.write("Dinner at 6");
    let (_, request) =
        asked.wait(PATIENCE, 0, |line| line.contains("\"method\": \"send\"")).expect("it is asked to send");
    assert!(request.contains("[\"+4915550199\"]") && request.contains("\"Dinner at 6\""), "{request}");
    let id = request.split("\"id\": ").nth(1).and_then(|rest| rest.split([',', '}']).next()).expect("it has a number");
    assert_eq!(alice.program.output.since(from).iter().filter(|line| line.contains("SIP/2.0 200 OK")).count(), 0);
    let answer = format!("{{\"jsonrpc\":\"2.0\",\"result\":{{\"timestamp\":1700000000123}},\"id\":{id}}}\n");
    signal.write_all(answer.as_bytes()).expect("it listens");
    alice.await_trace(from, "SIP/2.0 200 OK");

    step!(place, "Bob answers");
    let envelope = "{\"jsonrpc\":\"2.0\",\"method\":\"receive\",\"params\":{\"envelope\":{\"source\":\"+4915550199\",\
                    \"timestamp\":1700000001456,\"dataMessage\":{\"timestamp\":1700000001456,\"message\":\"I'll be there\"}}}}\n";
    signal.write_all(envelope.as_bytes()).expect("it listens");
    alice.await_trace(0, "I'll be there");
    assert_eq!(sender_of(&alice, "I'll be there"), sip("bob"));
    pcsd.await_rest();
}

#[test]
fn lamp_is_a_buddy() {
    let Some(place) = Place::new("lamp_is_a_buddy", &["baresip", "python3"]) else { return };
    let folder = example(&place, "lamp.py");
    let (socket, led) = (folder.join("lamp.sock"), folder.join("brightness"));
    fs::write(&led, "0\n").expect("the lamp is off");
    let mut python = Command::new(find("python3"));
    let _lamp = Program::start("lamp.py", python.arg("lamp.py").args([&socket, &led]).current_dir(&folder));
    let more = account(&format!("unix:{}", socket.display()), "lamp", "lamp");
    let pcsd = Daemon::start_with(&place, &[Person::Md5("alice")], false, &more);
    let setup = Setup { contact: "lamp", watches: true, more: PUBLISHES, ..Setup::new("alice", pcsd.address()) };
    let mut alice = setup.start(&place, "alice");
    alice.await_registered();
    pcsd.program.await_line(0, "account thing is on");
    alice.await_contact("Online");
    alice.await_trace(0, ">off</");

    for word in ["on", "off"] {
        step!(place, "she says {word}, and it is");
        let from = alice.program.output.len();
        alice.write(word);
        alice.await_trace(from, &format!(">{word}</"));
        let shines = fs::read_to_string(&led).expect("the lamp is there").trim() == "1";
        assert_eq!(shines, word == "on");
    }
    pcsd.await_rest();
}

/// The section of what is attached for Alice, and that of a buddy there.
fn account(server: &str, alias: &str, name: &str) -> String {
    format!(
        "config account 'thing'\n\toption person 'alice'\n\toption network 'line'\n\toption server '{server}'\n\n\
         config buddy\n\toption person 'alice'\n\toption alias '{alias}'\n\tlist address 'line:{name}'\n\n"
    )
}

/// A folder with one example of the README.
fn example(place: &Place, name: &str) -> PathBuf {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("there is a README");
    let begin = readme.find(&format!("# {name}, run by")).expect("the README has it");
    let text = readme[begin..].split("\n```").next().unwrap_or_default();
    let folder = place.directory("example");
    fs::write(folder.join(name), format!("{text}\n")).expect("a file can be written");
    folder
}
