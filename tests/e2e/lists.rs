//! Lists that are watched as one: the friends of a real Linphone, which it sends along, and the list that has a name.

use crate::client::Client;
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::harness::{Place, step};
use crate::linphone::Linphone;
use crate::presence::{PUBLISHES, watcher};
use std::net::{IpAddr, Ipv4Addr};

#[test]
fn linphone_watches_a_list() {
    let Some(place) = Place::new("linphone_watches_a_list", &["linphonec", "baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Modern("carol"), Person::Md5("alice"), Person::Md5("bob")]);
    let mut bob = watcher(&place, &pcsd, "bob", "carol", PUBLISHES);
    step!(place, "Carol's Linphone asks for all her friends at once, deflated");
    let mut carol = Linphone::start_with_friends(&place, "carol", pcsd.address(), &["alice", "bob"]);
    let asked = carol.program.await_line(0, "SUBSCRIBE sip:carol@").0;
    for field in
        ["Require: recipient-list-subscribe", "Content-Encoding: deflate", "Content-Type: application/resource-lists"]
    {
        carol.program.await_line(asked, field);
    }
    step!(place, "it shows who is there and who is not");
    carol.await_friend(asked, "alice", "Offline");
    let seen = carol.await_friend(asked, "bob", "Online");
    bob.await_contact("Online");

    step!(place, "it shows what becomes of them");
    bob.publish(false);
    let seen = carol.await_friend(seen + 1, "bob", "Offline");
    bob.publish(true);
    let seen = carol.await_friend(seen + 1, "bob", "Online");
    let mut alice = watcher(&place, &pcsd, "alice", "bob", "");
    carol.await_friend(seen, "alice", "Online");
    let from = carol.program.output.len();
    alice.dial(&sip("bob"));
    bob.await_event("CALL_INCOMING");
    bob.accept();
    let talks = carol.await_friend(from, "bob", "On the phone");
    let talks = talks.max(carol.await_friend(from, "alice", "On the phone"));
    bob.hang_up();
    carol.await_friend(talks + 1, "bob", "Online");
    carol.await_friend(talks + 1, "alice", "Online");
    alice.quit();
    carol.await_friend(talks + 1, "alice", "Offline");

    step!(place, "its names for them are its own, and it asked once");
    let from = carol.program.output.len();
    carol.command("friend list");
    for name in ["name: My alice", "name: My bob"] {
        carol.program.await_line(from, name);
    }
    assert_eq!(carol.program.output.count("SUBSCRIBE sip:"), 2, "once without and once with its proof");

    step!(place, "it ends");
    carol.command("quit");
    bob.await_contact("Offline");
    pcsd.await_rest();
}

#[test]
fn list_with_a_name() {
    let Some(place) = Place::new("list_with_a_name", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")]);
    let mut bob = watcher(&place, &pcsd, "bob", "carol", PUBLISHES);
    let mut alice = Client::new("alice", "a list's watcher", &pcsd, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut list = alice.dialog(&format!("sip:alice-buddies@{DOMAIN}"));
    let contact = format!("Contact: {}\r\nEvent: presence\r\n", alice.contact());
    step!(place, "who does not say that he understands lists is told so");
    let refused = alice.request("SUBSCRIBE", &mut list, &contact, "");
    refused.assert_status(421);
    assert_eq!(refused.field("Require"), Some("eventlist"), "{}", refused.text());

    step!(place, "Alice's buddies are all others of the home");
    let fields = format!(
        "{contact}Supported: eventlist\r\nAccept: application/pidf+xml, application/rlmi+xml, multipart/related\r\n"
    );
    let mut list = alice.dialog(&format!("sip:alice-buddies@{DOMAIN}"));
    let accepted = alice.request("SUBSCRIBE", &mut list, &fields, "");
    accepted.assert_status(200);
    assert_eq!(accepted.field("Require"), Some("eventlist"), "{}", accepted.text());
    let first = alice.await_notify(&list, "fullState=\"true\"");
    let text = first.text();
    assert!(text.contains("uri=\"sip:bob@home.example\"") && text.contains("uri=\"sip:carol@home.example\""), "{text}");
    assert_eq!((first.field("Event"), first.field("Require")), (Some("presence"), Some("eventlist")), "{text}");
    let open = |name: &str| format!("entity=\"{}\"", sip(name));
    for name in ["bob", "carol"] {
        // One may come in the NOTIFY with the other.
        let sent = |it: &crate::client::Received| it.text().contains(&open(name));
        if !alice.seen.iter().any(sent) {
            alice.await_notify(&list, &open(name));
        }
    }
    step!(place, "Bob goes: the list says so, and of nobody else");
    bob.publish(false);
    let gone = alice.await_notify(&list, "<basic>closed");
    let text = gone.text();
    assert!(text.contains("fullState=\"false\"") && !text.contains("sip:carol@"), "{text}");
    let cid = text.split("cid=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("the document has a cid");
    assert!(text.to_ascii_lowercase().contains(&format!("content-id: <{cid}>")), "{text}");

    step!(place, "she does not watch any more");
    alice.request("SUBSCRIBE", &mut list, &format!("{fields}Expires: 0\r\n"), "").assert_status(200);
    let last = alice.await_request("the last NOTIFY", |it| {
        it.field("Subscription-State").is_some_and(|state| state.starts_with("terminated"))
    });
    alice.answer(&last, "200 OK", "");
    pcsd.await_rest();
}
