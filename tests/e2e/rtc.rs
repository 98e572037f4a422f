//! A client of Microsoft's RTC library (Windows Messenger, Portrait), which knows presence from peer to peer only: played
//! from what such clients are known to say, by [`Client`] where it is asked, by SIPp where it asks.

use crate::calls::device;
use crate::client::{Client, Dialog};
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::harness::{Place, free_port, step};
use crate::presence::{PUBLISHES, watcher};
use crate::sipp::Sipp;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const AGENT: &str = "Windows RTC/1.2";
const METHODS: &str = ";methods=\"INVITE, MESSAGE, INFO, SUBSCRIBE, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER\"";

/// Its presence document; the substatus says what the person does.
fn xpidf(client: &Client, user: &str, status: &str, substatus: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\r\n<!DOCTYPE presence\r\nPUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\r\n\
         <presence>\r\n<presentity uri=\"sip:{user}@{DOMAIN};method=SUBSCRIBE\" />\r\n<atom id=\"1000\">\r\n\
         <address uri=\"sip:{};user=ip\" priority=\"0.800000\">\r\n<status status=\"{status}\" />\r\n\
         <msnsubstatus substatus=\"{substatus}\" />\r\n</address>\r\n</atom>\r\n</presence>\r\n",
        client.local()
    )
}

/// What stands before the document in its NOTIFY.
fn fields(client: &Client, state: &str) -> String {
    format!(
        "Contact: {}\r\nEvent: presence\r\nSubscription-State: {state}\r\nContent-Type: application/xpidf+xml\r\n",
        client.contact()
    )
}

#[test]
fn rtc_client_is_represented() {
    let Some(place) = Place::new("rtc_client_is_represented", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    let mut bob = watcher(&place, &pcsd, "bob", "alice", PUBLISHES);
    bob.await_contact("Offline");
    step!(place, "Alice's client registers; it is asked, and says that she is out to lunch");
    let mut alice = Client::new("alice", AGENT, &pcsd, LOCALHOST);
    alice.register(METHODS, 3600);
    let asked = alice.await_request("the home asks it", |it| it.method() == "SUBSCRIBE");
    let accepts = asked.field("Accept").expect("the home says what it reads");
    assert!(accepts.contains("application/xpidf+xml") && asked.field("Event") == Some("presence"), "{}", asked.text());
    assert!(asked.field("From").is_some_and(|from| from.contains("sip:pcs@")), "{}", asked.text());
    let accepted = format!("Contact: {}\r\nExpires: 3600\r\n", alice.contact());
    alice.answer(&asked, "200 OK", &accepted);
    let mut dialog = Dialog::of(&alice, &asked);
    for (status, substatus, seen) in [
        ("inactive", "outtolunch", "Online"),
        // baresip shows somebody away as offline.
        ("inactive", "away", "Offline"),
        ("inuse", "busy", "Busy"),
        ("inuse", "onthephone", "Busy"),
        ("closed", "offline", "Offline"),
        ("open", "online", "Online"),
    ] {
        step!(place, "it says {substatus}");
        let (fields, body) = (fields(&alice, "active;expires=3600"), xpidf(&alice, "alice", status, substatus));
        alice.request("NOTIFY", &mut dialog, &fields, body).assert_status(200);
        bob.await_contact(seen);
    }

    step!(place, "it sends a NOTIFY straight to Bob, which is caught: he is told by the home, in his format");
    let mut straight = alice.dialog(&sip("bob"));
    let (fields, body) = (fields(&alice, "active"), xpidf(&alice, "alice", "inactive", "away"));
    let from = bob.program.output.len();
    alice.request("NOTIFY", &mut straight, &fields, &body).assert_status(200);
    bob.await_away(from);
    let seen = bob.program.output.since(0);
    assert!(!seen.iter().any(|line| line.contains("xpidf+xml") || line.contains("msnsubstatus")), "it came through");
    let at = alice.local().to_string();
    assert!(!seen.iter().any(|line| line.contains(&at)), "a watcher has seen the device's address {at}");

    step!(place, "it signs off");
    alice.register(METHODS, 0);
    bob.await_contact("Offline");
    pcsd.await_devices("alice", 0);
    pcsd.await_rest();
}

#[test]
fn rtc_client_watches_and_writes() {
    let Some(place) = Place::new("rtc_client_watches_and_writes", &["baresip", "sipp"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")]);
    let mut bob = watcher(&place, &pcsd, "bob", "alice", PUBLISHES);
    step!(place, "Carol watches Bob: the scenario itself checks the XPIDF that comes");
    let local = SocketAddr::new(LOCALHOST, free_port());
    let watching = Sipp::new("rtc_watch", &pcsd, "carol", "bob", local).start(&place);
    watching.await_message("status=\"open\"");
    bob.publish(false);
    watching.await_message("status=\"closed\"");
    let seen = watching.finish();
    let documents = seen.matches("<presentity uri=\"sip:bob@home.example").count();
    assert!(documents >= 2 && !seen.contains("urn:ietf:params:xml:ns:pidf"), "{seen}");
    assert!(!seen.contains(&bob.local.to_string()), "a device's address is in it: {seen}");

    step!(place, "Carol writes to Bob in a session of messages: it comes to all his devices as one of its own");
    let tablet = device(&place, &pcsd, "bob", LOCALHOST, "take_message");
    pcsd.await_devices("bob", 2);
    let from = bob.program.output.len();
    let local = SocketAddr::new(LOCALHOST, free_port());
    let seen = Sipp::new("rtc_session", &pcsd, "carol", "bob", local).play(&place);
    assert!(seen.contains("m=x-ms-message"), "{seen}");
    bob.await_trace(from, "Shall we meet?");
    assert!(tablet.finish().contains("Shall we meet?"));
    let heard = bob.program.output.since(from);
    assert!(heard.iter().any(|line| line.starts_with("From: <sip:carol@home.example>")), "{heard:#?}");
    assert!(!heard.iter().any(|line| line.starts_with("INVITE ") || line.contains("x-ms-message")), "{heard:#?}");
    pcsd.await_rest();
}
