//! The answering machine, called by real phones: what it says is heard, what is said to it is kept and found again in what
//! the page gives out; and calls that are odd, silent, or too many.

use crate::baresip::Setup;
use crate::browser::{Answer, Browser};
use crate::chromium::curl;
use crate::client::Client;
use crate::daemon::{Person, sip};
use crate::harness::{Place, find, free_port, step, wait_until};
use crate::inbox::Home;
use crate::linphone::Linphone;
use crate::sipp::Sipp;
use crate::speech::{Match, find_speech, speak};
use crate::tone::{self, RATE};
use pcsd::config::model::Language;
use pcsd::media::{adpcm, prompts};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn spoken_to() {
    let Some(place) = Place::new("spoken_to", &["baresip", "espeak-ng", "sox"]) else { return };
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], "");
    let sentence = Sentence::new(&place, "Hello Alice, the key is under the third flower pot.");
    let mut bob =
        Setup { plays: Some(&sentence.played), ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    step!(place, "Alice's lamp is off");
    let mut lamp = Client::new("alice", "test", &home.pcsd, LOCALHOST);
    let mut watch = lamp.dialog(&sip("alice"));
    let fields = format!("Event: message-summary\r\nContact: {}\r\nExpires: 600\r\n", lamp.contact());
    lamp.request("SUBSCRIBE", &mut watch, &fields, "").assert_status(200);
    lamp.await_notify(&watch, "Messages-Waiting: no");

    step!(place, "Bob calls Alice, who is not there: the machine answers at once, and he speaks");
    let dialed = Instant::now();
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    let established = Instant::now();
    assert!(established - dialed < Duration::from_secs(3), "it was answered after {:?}", established - dialed);
    std::thread::sleep(sentence.ends_after.saturating_sub(established.elapsed()));
    assert!(!bob.has_seen("CALL_CLOSED"), "he may speak");
    bob.press("#");
    bob.await_event("CALL_CLOSED");
    let took = established.elapsed();
    assert!(took < sentence.ends_after + Duration::from_secs(3), "the key ended it: {took:?}");

    step!(place, "he has heard the greeting");
    let greeting = greeting(Language::En);
    let heard = bob.heard();
    assert_like("the greeting", find_speech(&greeting, &heard), 0.95);

    step!(place, "the lamp is on, and the page has what he said");
    lamp.await_notify(&watch, "Voice-Message: 1/0");
    let mut browser = Browser::logged_in(home.page, "alice");
    let (page, path) = await_voice(&mut browser);
    assert!(page.text().contains("Voice message"), "{}", page.text());
    let wav = browser.get(&path);
    wav.assert_status(200);
    let samples = samples(&wav.body);
    assert_eq!(wav.body.len(), 44 + 2 * samples.len());
    let seconds = samples.len() as f64 / RATE as f64;
    assert!((3.0..took.as_secs_f64()).contains(&seconds), "{seconds} s");
    assert_like("the sentence", find_speech(&sentence.said, &samples), 0.95);
    let other = Sentence::new(&place, "We shall be back on Tuesday, please feed the cat.");
    let found = find_speech(&other.said, &samples);
    assert!(found.correlation < 0.5, "another sentence is not there: {found:?}");
    assert!(find_speech(&greeting, &samples).correlation < 0.5, "nor is the greeting");

    step!(place, "parts of it, as players ask for them");
    let all = wav.body.len();
    let head = browser.part("HEAD", &path, "bytes=0-1");
    assert!(head.body.is_empty() && head.field("Accept-Ranges") == Some("bytes"), "{}", head.head);
    for (range, expected) in [
        ("bytes=0-1".to_string(), 0..2),
        ("bytes=0-".into(), 0..all),
        ("bytes=1001-3004".into(), 1001..3005),
        (format!("bytes={}-", all - 10), all - 10..all),
        ("bytes=-999".into(), all - 999..all),
        (format!("bytes=40-{}", 2 * all), 40..all),
    ] {
        let part = browser.part("GET", &path, &range);
        part.assert_status(206);
        let shown = format!("bytes {}-{}/{all}", expected.start, expected.end - 1);
        assert_eq!(part.field("Content-Range"), Some(shown.as_str()));
        assert_eq!(part.body, &wav.body[expected], "{range}");
    }
    browser.part("GET", &path, &format!("bytes={all}-")).assert_status(416);
    Browser::new(home.page).get(&path).assert_status(303);

    step!(place, "she has heard it, and the lamp goes off");
    browser.post_from(&page, "/letters", &[("read", &path["/voice/".len()..path.len() - 4])]).assert_status(303);
    lamp.await_notify(&watch, "Voice-Message: 0/1");
    home.pcsd.await_rest();
}

#[test]
fn nobody_answers() {
    let Some(place) = Place::new("nobody_answers", &["baresip"]) else { return };
    let people = [Person::With("alice", "\toption answer_after '5'\n"), Person::Md5("bob")];
    let home = Home::start(&place, &people, "");
    let mut alice = Setup::new("alice", home.pcsd.address()).start(&place, "alice");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    alice.await_registered();
    bob.await_registered();

    step!(place, "Alice's phone rings, and then no more: the machine has answered");
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    let rang = Instant::now();
    alice.await_event("CALL_CLOSED");
    bob.await_event("CALL_ESTABLISHED");
    let took = rang.elapsed();
    assert!((Duration::from_millis(4_500)..Duration::from_millis(7_000)).contains(&took), "{took:?}");

    step!(place, "Bob speaks a tone after the beep, and hangs up");
    bob.await_heard(2);
    std::thread::sleep(Duration::from_secs(8));
    bob.hang_up();
    let mut browser = Browser::logged_in(home.page, "alice");
    let (_, path) = await_voice(&mut browser);
    let seconds = tone::seconds_of(&samples(&browser.get(&path).body), 880);
    assert!((2.0..9.0).contains(&seconds), "{seconds} s of his tone");

    step!(place, "he calls again and hangs up in the greeting: a missed call");
    let closed = Instant::now();
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    assert!(closed.elapsed() > Duration::from_secs(3), "it rang before");
    bob.await_heard(1);
    bob.hang_up();
    wait_until("the missed call is there", || browser.get("/").text().contains("Missed call").then_some(()));
    assert_eq!(browser.get("/").values("<audio").len(), 1, "one recording");

    step!(place, "she declines: the machine answers at once");
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    alice.hang_up();
    let declined = Instant::now();
    bob.await_event("CALL_ESTABLISHED");
    assert!(declined.elapsed() < Duration::from_secs(2), "{:?}", declined.elapsed());
    bob.hang_up();

    step!(place, "she answers, and the machine stays out of it");
    call_answered(&mut bob, &mut alice);
    home.pcsd.await_rest();
    await_missed(&mut browser, 2);
}

fn call_answered(bob: &mut crate::baresip::Baresip, alice: &mut crate::baresip::Baresip) {
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    alice.accept();
    bob.await_event("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(5));
    assert!(alice.has_seen("CALL_ESTABLISHED"));
    bob.hang_up();
    alice.await_event("CALL_CLOSED");
}

#[test]
fn killed_while_it_records() {
    let Some(place) = Place::new("killed_while_it_records", &["baresip"]) else { return };
    let mut home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], "");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    let established = Instant::now();
    let mut browser = Browser::logged_in(home.page, "alice");
    wait_until("the recording goes on", || browser.get("/").text().contains("Being recorded now").then_some(()));
    std::thread::sleep(LEAD + Duration::from_secs(5));
    let spoken = established.elapsed().as_secs_f64() - greeting(Language::En).len() as f64 / RATE as f64;
    step!(place, "power is cut {spoken:.1} s after the greeting");
    home.kill_and_start();
    let mut browser = Browser::logged_in(home.page, "alice");
    let (_, path) = await_voice(&mut browser);
    let wav = samples(&browser.get(&path).body);
    let (tone, all) = (tone::seconds_of(&wav, 880), wav.len() as f64 / RATE as f64);
    step!(place, "{tone} s of his tone in {all:.2} s");
    // The beep took a part of a second, and the last second may be missing.
    assert!(tone > spoken - 2.2 && all < spoken, "{tone} s of {all:.2} s, of {spoken:.2} s");

    step!(place, "the phone does not know yet, and hangs up; another call is a call");
    bob.hang_up();
    bob.await_event("CALL_CLOSED");
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    bob.hang_up();
    await_missed(&mut browser, 1);
    home.pcsd.await_rest();
}

#[test]
fn greeting_of_her_own() {
    let Some(place) = Place::new("greeting_of_her_own", &["baresip", "espeak-ng", "sox", "curl"]) else { return };
    let mut home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], "");
    let words = Sentence::new(&place, "This is Alice. I am in the garden, so tell my machine.");
    let file = words.spoken.display().to_string();
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    let mut browser = Browser::logged_in(home.page, "alice");

    step!(place, "Alice uploads a greeting, and hears it on the page");
    let page = browser.get("/settings");
    assert!(page.text().contains("The standard greeting is played"), "{}", page.text());
    let token = format!("csrf={}", page.values("name=\"csrf\" value=\"")[0]);
    let cookie = browser.cookie();
    let upload = |file: &str| {
        let (file, url) = (format!("file=@{file};type=audio/wav"), format!("http://{}/greeting", home.page));
        curl(&["-H", "Expect:", "-b", &cookie, "-F", &token, "-F", &file], &url)
    };
    let refused = upload(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(refused.ends_with("\n422"), "{refused}");
    let done = upload(&file);
    assert!(done.ends_with("\n303"), "{done}");
    let stored = samples(&browser.get("/greeting.wav").body);
    assert_like("her words", find_speech(&words.said, &stored), 0.95);

    step!(place, "Bob hears it, also after a power cut");
    for _ in 0..2 {
        bob.dial(&sip("alice"));
        bob.await_event("CALL_ESTABLISHED");
        std::thread::sleep(Duration::from_millis(words.said.len() as u64 * 1000 / RATE as u64 + 1_000));
        bob.hang_up();
        bob.await_event("CALL_CLOSED");
        let heard = bob.heard();
        assert_like("her words", find_speech(&words.said, &heard), 0.95);
        assert!(find_speech(&greeting(Language::En), &heard).correlation < 0.5);
        home.kill_and_start();
    }

    step!(place, "she takes it back");
    let page = browser.get("/settings");
    browser.post_from(&page, "/greeting/remove", &[]).assert_status(303);
    browser.get("/greeting.wav").assert_status(404);
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(5));
    bob.hang_up();
    assert_like("the greeting", find_speech(&greeting(Language::En), &bob.heard()), 0.95);
    home.pcsd.await_rest();
}

#[test]
fn held_while_it_records() {
    let Some(place) = Place::new("held_while_it_records", &["baresip"]) else { return };
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], "");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    std::thread::sleep(LEAD);
    for (command, pause_s) in [("hold", 4), ("resume", 4)] {
        let from = bob.program.output.len();
        bob.command(command, "");
        let asked = bob.await_trace(from, "INVITE sip:");
        bob.await_trace(asked, "SIP/2.0 200 OK");
        std::thread::sleep(Duration::from_secs(pause_s));
        assert!(!bob.has_seen("CALL_CLOSED"), "it goes on");
    }
    bob.press("#");
    bob.await_event("CALL_CLOSED");
    let mut browser = Browser::logged_in(home.page, "alice");
    let (_, path) = await_voice(&mut browser);
    let wav = samples(&browser.get(&path).body);
    let (tone, all) = (tone::seconds_of(&wav, 880), wav.len() as f64 / RATE as f64);
    step!(place, "{tone} s of his tone in {all:.2} s");
    assert!(tone > 4.5 && all < 9.0, "what was held is not there: {tone} s in {all:.2} s");
    home.pcsd.await_rest();
}

#[test]
fn linphone_leaves_a_message() {
    let Some(place) = Place::new("linphone_leaves_a_message", &["linphonec"]) else { return };
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Modern("bob")], "");
    let mut bob = Linphone::start(&place, "bob", home.pcsd.address(), 440);
    home.pcsd.await_devices("bob", 1);
    bob.command(&format!("call {}", sip("alice")));
    wait_until("Linphone hears 3 s", || (bob.heard_seconds() > 3.0).then_some(()));
    std::thread::sleep(Duration::from_secs(8));
    bob.command("terminate");
    let mut browser = Browser::logged_in(home.page, "alice");
    let (_, path) = await_voice(&mut browser);
    let heard = bob.heard();
    let (own, other) = (likeness_of_parts(Language::En, &heard), likeness_of_parts(Language::Sv, &heard));
    println!("  the greeting in parts: {own:.2}, one in another language: {other:.2}");
    assert!(own > 0.85 && other < 0.7, "{own} {other}");
    assert!(path.ends_with(".wav"), "Linphone offers G.711, which comes first: {path}");
    let seconds = tone::seconds_of(&samples(&browser.get(&path).body), 440);
    assert!(seconds >= 2.0, "{seconds} s of Linphone's tone");
    bob.command("quit");
    home.pcsd.await_rest();
}

#[test]
fn odd_calls() {
    let Some(place) = Place::new("odd_calls", &["sipp"]) else { return };
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], "");
    let sipp = |scenario| Sipp::new(scenario, &home.pcsd, "bob", "alice", SocketAddr::new(LOCALHOST, free_port()));
    let mut browser = Browser::logged_in(home.page, "alice");

    step!(place, "a caller who offers no codec of ours is told so");
    sipp("call_no_codec").play(&place);
    home.pcsd.await_rest();

    step!(place, "eight who say nothing, not even silence; a ninth is refused");
    let begun = Instant::now();
    let eight = sipp("call_and_wait").start_load(&place, 8, "SEQUENTIAL\n;\n", Some(8));
    wait_until("eight are answered", || (eight.messages().matches("\nACK sip:pcs@").count() >= 8).then_some(()));
    sipp("call_refused").play(&place);
    wait_until("eight recordings go on", || {
        (browser.get("/").text().matches("Being recorded now").count() == 8).then_some(())
    });
    step!(place, "they end by themselves, and are missed calls");
    eight.finish();
    let took = begun.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(25)).contains(&took), "{took:?}");
    await_missed(&mut browser, 10);
    assert!(browser.get("/").values("<audio").is_empty(), "nothing was recorded");
    assert!(!browser.get("/").text().contains("Being recorded"));

    step!(place, "there is room for the next");
    sipp("call_and_wait").play(&place);
    await_missed(&mut browser, 11);
    home.pcsd.await_rest();
}

/// Waits until so many missed calls are listed, no more.
fn await_missed(browser: &mut Browser, count: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let page = browser.get("/");
        let found = page.text().matches("Missed call ·").count();
        if found == count {
            return;
        }
        assert!(Instant::now() < end, "{found} missed calls instead of {count}: {}", page.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the page has a recording that is over: the page, and the path of its sound.
pub fn await_voice(browser: &mut Browser) -> (Answer, String) {
    wait_until("the page has a recording", || {
        let page = browser.get("/");
        let path = page.values("src=\"").into_iter().find(|path| path.starts_with("/voice/"))?;
        Some((page, path))
    })
}

/// The samples of a WAV file of 16 bits.
pub fn samples(wav: &[u8]) -> Vec<i16> {
    assert!(wav.starts_with(b"RIFF") && wav.get(8..16) == Some(b"WAVEfmt "), "{:?}", &wav[..wav.len().min(44)]);
    wav[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The greeting that is built in.
pub fn greeting(language: Language) -> Vec<i16> {
    let mut state = adpcm::State::new();
    let codes = prompts::greeting(language).iter().flat_map(|byte| [byte & 15, byte >> 4]);
    codes.map(|code| state.decode(code)).collect()
}

/// How like what was heard is to a greeting, half a second at a time, in the middle: for who hears it with small gaps.
fn likeness_of_parts(language: Language, heard: &[i16]) -> f64 {
    let greeting = greeting(language);
    let mut parts =
        greeting.chunks_exact(RATE / 2).map(|part| find_speech(part, heard).correlation).collect::<Vec<_>>();
    parts.sort_by(f64::total_cmp);
    parts[parts.len() / 2]
}

/// Fails unless a sound was found and is so like what it was.
pub fn assert_like(what: &str, found: Match, least: f64) {
    println!("  {what}: {found:?}");
    assert!(found.correlation >= least, "{what}: {found:?}");
}

/// A sentence, and a file in which it is spoken after the greeting and the beep.
pub struct Sentence {
    /// What is said.
    pub said: Vec<i16>,
    /// The file in which it is said.
    pub spoken: PathBuf,
    /// The file that a phone plays from the beginning of a call.
    pub played: PathBuf,
    /// When it has been said, from the beginning of a call.
    pub ends_after: Duration,
}

impl Sentence {
    /// Has it spoken.
    pub fn new(place: &Place, text: &str) -> Self {
        let name = text.chars().filter(char::is_ascii_alphabetic).take(12).collect::<String>();
        let folder = place.directory("speech");
        let (spoken, played) = (folder.join(format!("{name}.wav")), folder.join(format!("{name}-late.wav")));
        speak(&spoken, "en", text);
        pad(&spoken, &played);
        let said = tone::read(&spoken);
        let ends_after = LEAD + Duration::from_millis(said.len() as u64 * 1000 / RATE as u64 + 500);
        Self { said, spoken, played, ends_after }
    }
}

fn pad(from: &Path, to: &Path) {
    let mut sox = Command::new(find("sox"));
    let lead = LEAD.as_secs().to_string();
    let output = sox.arg("-D").arg(from).arg(to).args(["pad", &lead, "30"]).output().expect("sox runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Greeting and beep are over by then.
const LEAD: Duration = Duration::from_secs(7);
