//! What a real server (prosody) said, replayed.

use std::path::Path;

use super::*;

const TRANSCRIPT: &str = "../shared/networks/transcripts/xmpp.txt";
const PASSWORD: &str = "secret-alice";

/// What a session's server said, in order, and the nonces of its client.
pub(super) fn lines(who: &str) -> Option<(Vec<String>, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRANSCRIPT);
    let Ok(text) = std::fs::read_to_string(path) else {
        std::println!("skipped: {TRANSCRIPT} is not there");
        return None;
    };
    let of = |mark: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.trim_start().split_once(' ').map(|(_, rest)| rest));
        let lines = lines.filter_map(|line| line.strip_prefix(who)?.trim_start().strip_prefix(mark));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let nonces = of("challenge=r=").iter().map(|line| line[..16].to_owned()).collect();
    Some((of("S< "), nonces))
}

fn driver() -> Driver {
    let mut driver = Driver::new();
    driver.account.password = Password(heapless::String::try_from(PASSWORD).unwrap());
    driver
}

/// Lets the server say all it said, each line when the connector has done what it had to.
fn replay(driver: &mut Driver, (lines, nonces): &(Vec<String>, Vec<String>)) {
    let mut nonces = nonces.iter();
    for line in lines {
        if line.contains("<challenge") {
            driver.xmpp.sasl.nonce = heapless::String::try_from(nonces.next().unwrap().as_str()).unwrap();
        }
        // The ids and names of that client stand for ours.
        let line = line.replace("id='b1'", "id='pcs-bind'").replace("id='r1'", "id='pcs-roster'");
        let line = line.replace("id='h1'", "id='pcs-archive'").replace("queryid='q1'", "queryid='pcs-archive'");
        driver.server(&line);
        if driver.wants_tls {
            driver.connected(true);
        }
        driver.due();
        driver.read();
    }
}

fn messages(told: &[String]) -> Vec<&str> {
    let of_message = told.iter().filter(|it| it.starts_with("Message"));
    of_message.map(|it| it.split("text: \"").nth(1).unwrap().split('"').next().unwrap()).collect()
}

#[test]
fn a_session_with_prosody() {
    let Some(lines) = lines("alice/pcs") else { return };
    assert!(lines.0.len() > 15, "{} lines", lines.0.len());
    let mut whole = Vec::new();
    for step in [usize::MAX, 1, 7] {
        let mut driver = driver();
        driver.step = step;
        driver.begin(false);
        replay(&mut driver, &lines);
        assert_eq!(driver.end, None);
        let told = driver.told();
        assert_eq!(told[..3], ["Online { is_resumed: false }", "ContactsBegin", "ContactsEnd"]);
        assert!(told.iter().any(|it| it.starts_with("Contact(Contact { who: \"bob@example.org\", name: \"Bob\", is_watched: true")));
        assert!(told.iter().any(|it| it.contains("show: Away, priority: 0, text: \"gone fishing\"")));
        assert!(told.iter().any(|it| it.starts_with("Request { who: \"bob@example.org\"")));
        assert_eq!(messages(&told), ["fine & dandy", "from my laptop"]);
        let sent = driver.sent();
        assert!(sent.contains("<a xmlns='urn:xmpp:sm:3' h='1'/>"), "the roster was counted");
        assert!(sent.contains("<starttls ") && sent.contains("mechanism='SCRAM-SHA-1'"));
        if whole.is_empty() {
            whole = told;
        } else {
            assert_eq!(told, whole, "however it comes, the same is told");
        }
    }
}

#[test]
fn the_session_taken_up_again() {
    let (Some(first), Some(again)) = (lines("alice/pcs"), lines("alice/resumed")) else { return };
    let mut driver = driver();
    driver.begin(false);
    replay(&mut driver, &first);
    driver.told();
    assert!(driver.closed().is_some());
    driver.sent();
    driver.begin(false);
    replay(&mut driver, &again);
    let sent = driver.sent();
    assert!(sent.contains("<resume xmlns='urn:xmpp:sm:3' previd='iZz3x7N9X2RM' h='"), "{sent}");
    assert!(!sent.contains("pcs-bind") && driver.end.is_none());
    let told = driver.told();
    assert!(told[0].starts_with("Online { is_resumed: "), "{}", told[0]);
    assert_eq!(messages(&told).last(), Some(&"sent while you were away"));
}
