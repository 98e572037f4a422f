//! Phones over TCP: calls to and from phones over UDP, and the end of a connection.

use crate::baresip::Setup;
use crate::calls::assert_heard;
use crate::daemon::{Daemon, Person, sip};
use crate::harness::{Place, step, wait_until};
use rustix::process::Signal;

#[test]
fn between_tcp_and_udp() {
    let Some(place) = Place::new("between_tcp_and_udp", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    let outbound =
        Setup { transport: "tcp", more: ";sipnat=outbound", tone_hz: 440, ..Setup::new("alice", pcsd.address()) };
    let mut alice = outbound.start(&place, "alice");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", pcsd.address()) }.start(&place, "bob");
    alice.await_registered();
    bob.await_registered();
    assert_eq!(pcsd.await_devices("alice", 1)[0].transport, "tcp");

    step!(place, "from TCP to UDP, ended by the caller");
    alice.dial(&sip("bob"));
    bob.await_event("CALL_INCOMING");
    bob.accept();
    alice.await_event("CALL_ESTABLISHED");
    bob.await_event("CALL_ESTABLISHED");
    alice.await_heard(1);
    bob.await_heard(1);
    alice.hang_up();
    bob.await_event("CALL_CLOSED");
    assert_heard((&alice, 440), (&bob, 880), 1);

    step!(place, "from UDP to TCP, ended by the callee");
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    alice.accept();
    alice.await_event("CALL_ESTABLISHED");
    bob.await_event("CALL_ESTABLISHED");
    alice.hang_up();
    bob.await_event("CALL_CLOSED");

    step!(place, "Alice's phone loses its power, and its connection ends");
    alice.program.signal(Signal::KILL);
    pcsd.await_devices("alice", 0);
    bob.dial(&sip("alice"));
    let closed = bob.await_event("480");
    assert!(closed.contains("CALL_CLOSED"), "{closed}");

    step!(place, "it starts again");
    drop(alice);
    let mut alice = outbound.start(&place, "again");
    alice.await_registered();
    pcsd.await_devices("alice", 1);
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    bob.hang_up();
    alice.await_event("CALL_CLOSED");
    pcsd.await_rest();
}

#[test]
fn connection_is_cut() {
    let Some(place) = Place::new("connection_is_cut", &["baresip", "ss"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice")]);
    let outbound = Setup { transport: "tcp", more: ";sipnat=outbound", ..Setup::new("alice", pcsd.address()) };
    let alice = outbound.start(&place, "alice");
    alice.await_registered();
    let before = pcsd.await_devices("alice", 1)[0].source.clone();

    step!(place, "the connection is cut, as by a router that restarts");
    let from = pcsd.program.output.len();
    let filter = format!("dport = :{}", pcsd.port);
    let mut cut = std::process::Command::new(crate::harness::find("ss"));
    let output = cut.args(["-K", "-t", "dst", "127.0.0.1", &filter]).output().expect("ss runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wait_until("the connection ends (ss -K needs a kernel with CONFIG_INET_DIAG_DESTROY)", || {
        pcsd.devices_of("alice").is_empty().then_some(())
    });
    pcsd.program.await_line(from, "its connection ended");
    assert_eq!(pcsd.status().streams, 0);
    // The phone itself would wait for half a minute.
    drop(alice);

    step!(place, "the phone starts again");
    let alice = outbound.start(&place, "again");
    alice.await_registered();
    let after = pcsd.await_devices("alice", 1)[0].source.clone();
    assert_ne!(before, after);
}
