//! Who sees what of whom in the simulated world (home/policy, home/presence): rules, her answers about strangers, and what
//! a name is worth that is only claimed.

use crate::phone::{Manner, Phone};
use crate::watching::{Seen, Watching, attribute, pidf};
use crate::world::{HOME, World, seeds};

const ALICE: &str = "sip:alice@home.example";
const EVE: &str = "eve@elsewhere.example";

/// Within this everybody knows what has changed.
const SOON_MS: u64 = 1_000;

/// A rule of Alice's about this asker and what he sees.
fn rule(who: &str, presence: &str) -> String {
    format!("config rule\n    option person 'alice'\n    list who '{who}'\n    option presence '{presence}'\n")
}

fn has_rules(world: &mut World, rules: &[(&str, &str)]) {
    let rules: String = rules.iter().map(|(who, presence)| rule(who, presence)).collect();
    world.configure(0, &format!("{HOME}{rules}"));
}

/// Somebody from outside under this address.
fn outsider(world: &mut World, address: &str, last: u8) -> usize {
    let phone = Phone::new("eve", "", &format!("198.51.100.{last}:5060"));
    world.add(phone.stranger(&format!("sip:{address}")))
}

fn sees(world: &mut World, watching: &Watching) -> Seen {
    world.run(SOON_MS);
    world.seen(watching)
}

fn state(world: &World, watching: &Watching) -> String {
    world.last(watching).state
}

/// What the home said to a phone by itself.
fn announcements(world: &World, phone: usize) -> Vec<String> {
    let got = world.phones[phone].got("MESSAGE").into_iter();
    got.map(|msg| String::from_utf8_lossy(&msg.body).to_string()).filter(|text| text.contains("wants to see")).collect()
}

#[test]
fn two_watchers_see_two_states_and_a_reload_reaches_both() {
    let mut world = World::new(1);
    has_rules(&mut world, &[("person:bob", "hide"), ("person:carol", "In the garden")]);
    let alice = world.online("alice", 10, Manner::POLITE);
    world.published(alice, None, &pidf(true, "meeting", "with the board"));
    let (bob, carol) = (world.online("bob", 20, Manner::POLITE), world.online("carol", 30, Manner::POLITE));
    let (his, hers) = (world.watches(bob, ALICE), world.watches(carol, ALICE));
    let own = world.watches(alice, ALICE);
    let (at_bobs, at_carols, at_home) = (sees(&mut world, &his), world.seen(&hers), world.seen(&own));
    assert_eq!(at_bobs, Seen::offline());
    assert_eq!(state(&world, &his), "active", "he is not told that he sees nothing");
    assert!(at_carols.is_open && at_carols.note == "In the garden" && at_carols.activities.is_empty(), "{at_carols:?}");
    assert!(at_home.does("meeting") && at_home.note == "with the board", "{at_home:?}");
    // Both learn of another rule at once; she herself sees no difference.
    let before = world.notices(&own).len();
    has_rules(&mut world, &[("person:bob", "show"), ("person:carol", "busy")]);
    let (at_bobs, at_carols) = (sees(&mut world, &his), world.seen(&hers));
    assert!(at_bobs.does("meeting") && at_bobs.note == "with the board", "{at_bobs:?}");
    assert!(at_carols.is_open && at_carols.does("busy") && at_carols.note.is_empty(), "{at_carols:?}");
    assert_eq!(world.notices(&own).len(), before);
    // A person who is gone is not there to be seen, and one who is gone watches nobody.
    let end = HOME.find("config person 'carol'").unwrap();
    world.configure(0, &HOME[..end]);
    world.run(SOON_MS);
    assert_eq!(state(&world, &hers), "terminated");
    assert_eq!(state(&world, &his), "active");
    world.finish();
}

#[test]
fn a_rule_may_depend_on_how_she_is() {
    let mut world = World::new(1);
    world.configure(0, &format!("{HOME}{}    option when 'busy'\n", rule("person:bob", "hide")));
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    assert!(sees(&mut world, &watching).is_open);
    world.tell(alice, "busy");
    world.run(SOON_MS);
    assert_eq!(world.seen(&watching), Seen::offline());
    world.tell(alice, "away");
    world.run(SOON_MS);
    assert!(world.seen(&watching).does("away"));
    world.finish();
}

#[test]
fn a_stranger_waits_for_her_answer() {
    for answer in ["allow eve@elsewhere.example", "yes", "deny eve@elsewhere.example", "no"] {
        let is_allowed = matches!(answer, "yes") || answer.starts_with("allow");
        let mut world = World::new(1);
        let alice = world.online("alice", 10, Manner::POLITE);
        world.published(alice, None, &pidf(true, "meeting", "secret"));
        let eve = world.stranger(9);
        let watching = world.watches(eve, ALICE);
        assert_eq!((state(&world, &watching).as_str(), world.seen(&watching)), ("pending", Seen::offline()));
        world.run(SOON_MS);
        let told = announcements(&world, alice);
        assert!(told.len() == 1 && told[0].contains(EVE) && told[0].contains("198.51.100.9"), "{told:?}");
        world.tell(alice, answer);
        world.run(SOON_MS);
        assert_eq!(state(&world, &watching), "active", "{answer}: neither is refused");
        assert_eq!(world.seen(&watching).does("meeting"), is_allowed, "{answer}");
        if !is_allowed {
            assert_eq!(world.seen(&watching), Seen::offline());
            // What she does from now on is none of his business either.
            let before = world.notices(&watching).len();
            world.tell(alice, "available nobody knows");
            world.run(SOON_MS);
            assert_eq!(world.notices(&watching).len(), before);
        }
        // It is remembered.
        let leave = world.refresh(&watching, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        let again = world.watches(eve, ALICE);
        assert_eq!((state(&world, &again).as_str(), world.seen(&again).is_open), ("active", is_allowed));
        // The same name from elsewhere is another, unless the name itself is denied.
        let other = outsider(&mut world, EVE, 10);
        let watching = world.watches(other, ALICE);
        assert_eq!(world.seen(&watching), Seen::offline());
        assert_eq!(state(&world, &watching), if is_allowed { "pending" } else { "active" });
        world.finish();
    }
}

#[test]
fn who_waits_is_told_of_when_she_comes() {
    let mut world = World::new(1);
    let eve = world.stranger(9);
    let watching = world.watches(eve, ALICE);
    assert_eq!(state(&world, &watching), "pending");
    let alice = world.online("alice", 10, Manner::POLITE);
    world.run(SOON_MS);
    assert_eq!(announcements(&world, alice).len(), 1);
    let refresh = world.refresh(&watching, 600);
    assert_eq!(world.outcome_of(refresh), Some(200));
    world.run(SOON_MS);
    assert_eq!(announcements(&world, alice).len(), 1, "once");
    // Nobody may answer for her.
    let bob = world.online("bob", 20, Manner::POLITE);
    assert!(world.tell(bob, "yes").contains("Nobody"));
    world.tell(bob, &format!("allow {EVE}"));
    world.run(SOON_MS);
    assert_eq!(state(&world, &watching), "pending");
    world.finish();
}

#[test]
fn she_changes_her_mind() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let watching = world.watches(eve, ALICE);
    for (answer, is_open) in [("allow", true), ("deny", false), ("allow", true)] {
        world.tell(alice, &format!("{answer} {EVE}"));
        world.run(SOON_MS);
        assert_eq!(world.seen(&watching).is_open, is_open, "{answer}");
    }
    world.finish();
}

#[test]
fn an_answer_given_before_anybody_asked_lets_no_claim_in() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let answer = world.tell(alice, &format!("allow {EVE}"));
    assert!(answer.contains("proves"), "{answer}");
    let eve = world.stranger(9);
    let watching = world.watches(eve, ALICE);
    assert_eq!(state(&world, &watching), "pending");
    assert_eq!(world.seen(&watching), Seen::offline());
    world.finish();
}

#[test]
fn who_watches_her_is_told_to_herself() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let watching = world.subscribe(alice, ALICE, "presence.winfo", 3600, &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(SOON_MS);
    let first = world.last(&watching);
    assert_eq!(first.msg.get("Content-Type"), "application/watcherinfo+xml");
    assert_eq!(attribute(&first.body(), "watcherinfo", "version"), Some("0"));
    assert!(!first.body().contains("<watcher "), "{}", first.body());
    let eve = world.stranger(9);
    let his = world.watches(eve, ALICE);
    world.run(SOON_MS);
    let body = world.last(&watching).body();
    assert_eq!(attribute(&body, "watcher", "status"), Some("pending"), "{body}");
    assert!(body.contains(EVE) && attribute(&body, "watcherinfo", "state") == Some("full"), "{body}");
    world.tell(alice, "yes");
    world.run(SOON_MS);
    let body = world.last(&watching).body();
    assert_eq!(attribute(&body, "watcher", "status"), Some("active"), "{body}");
    let leave = world.refresh(&his, 0);
    assert_eq!(world.outcome_of(leave), Some(200));
    world.run(SOON_MS);
    assert!(!world.last(&watching).body().contains("<watcher "));
    let versions: Vec<u32> = world.notices(&watching).iter().map(|notice| version(&notice.body())).collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    world.finish();
}

fn version(body: &str) -> u32 {
    attribute(body, "watcherinfo", "version").and_then(|number| number.parse().ok()).expect("there is a version")
}

#[test]
fn nobody_else_can_refresh_or_end_a_watch() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let carol = world.online("carol", 30, Manner::POLITE);
    let (eve, other) = (world.stranger(9), outsider(&mut world, EVE, 10));
    let (his, eves) = (world.watches(bob, ALICE), world.watches(eve, ALICE));
    for (thief, watching) in [(carol, &his), (other, &eves)] {
        let mut request = world.refreshing(watching, 0);
        if thief == carol {
            // The dialog's own tags, and her own credentials.
            let from = request.get("From").replace("sip:bob@", "sip:carol@");
            request.set("From", &from);
        }
        let via = world.phones[thief].request("SUBSCRIBE", ALICE, "").get("Via").to_string();
        request.set("Via", &via);
        request.remove("Proxy-Authorization");
        let call = world.send(thief, request);
        assert!(matches!(world.outcome_of(call), Some(403 | 481)), "{:?}", world.outcome(call));
        world.run(SOON_MS);
        assert_ne!(state(&world, watching), "terminated");
    }
    world.finish();
}

/// What anybody sees and reaches of Alice under random rules, whoever he says he is.
#[test]
fn a_claimed_identity_gets_what_anyone_gets() {
    const WHO: [&str; 5] = ["anyone", "buddy:mum", "group:friends", "domain:friends.example", "person:bob"];
    const SHOWN: [&str; 4] = ["show", "hide", "busy", "At sea"];
    const NAMES: [&str; 6] = [
        "mum@friends.example",
        "dad@friends.example",
        "bob@friends.example",
        "alice@x.example",
        "bob@198.51.100.20",
        EVE,
    ];
    for seed in seeds(40) {
        let mut world = World::new(seed);
        let mut rules = String::new();
        for who in WHO {
            if world.random.chance(600) {
                rules += &rule(who, SHOWN[world.random.below(4) as usize]);
                rules += if world.random.chance(500) { "    option messages 'block'\n" } else { "" };
            }
        }
        let buddy = "config buddy\n    option person 'alice'\n    option alias 'mum'\n    option name 'Mum'\n    \
                     list address 'sip:mum@friends.example'\n    option group 'friends'\n";
        world.configure(0, &format!("{HOME}{buddy}{rules}"));
        let alice = world.online("alice", 10, Manner::POLITE);
        world.published(alice, None, &pidf(true, "meeting", "secret"));
        let known = NAMES[world.random.below(6) as usize];
        if world.random.chance(500) {
            // Her word about a name, and about somebody at another address who bears it.
            world.tell(alice, &format!("allow {known}"));
        } else if world.random.chance(500) {
            let first = outsider(&mut world, known, 40);
            let watching = world.watches(first, ALICE);
            world.tell(alice, &format!("allow {known}"));
            let leave = world.refresh(&watching, 0);
            assert_eq!(world.outcome_of(leave), Some(200));
        }
        let somebody = outsider(&mut world, "nobody@nowhere.example", 50);
        let name = NAMES[world.random.below(6) as usize];
        let liar = Phone::new("eve", "", "198.51.100.20:5060").stranger(&format!("sip:{name}"));
        let is_tcp = world.random.chance(500);
        let liar = world.add(if is_tcp { liar.tcp() } else { liar });
        let (plain, claimed) = (world.watches(somebody, ALICE), world.watches(liar, ALICE));
        world.run(SOON_MS);
        assert_eq!(world.seen(&claimed), world.seen(&plain), "{name} after {known}: {rules}");
        assert_eq!(state(&world, &claimed), state(&world, &plain), "{name} after {known}: {rules}");
        let (plain, claimed) = (world.message(somebody, ALICE), world.message(liar, ALICE));
        assert_eq!(world.outcome_of(claimed), world.outcome_of(plain), "{name}: {rules}");
        // And a name of the home is nothing without its password.
        let forger = outsider(&mut world, "bob@home.example", 60);
        let forged = world.watch(forger, ALICE);
        assert_eq!(world.outcome_of(forged.call), Some(407));
        world.run(SOON_MS);
        assert!(world.notices(&forged).is_empty());
        world.finish();
    }
}
