//! The page, in Chromium and by hand: the summary's link, its button, letters, sound, answers; HTTPS; and clients that are
//! slow, in a hurry, or lost.

use crate::baresip::Setup;
use crate::browser::{Answer, Browser, exchange};
use crate::certificates::{Authority, NOW};
use crate::chromium::{Chromium, base64, curl};
use crate::client::Client;
use crate::daemon::{PASSWORD, Person, sip};
use crate::harness::{Place, free_port, step};
use crate::inbox::{Home, link_in};
use crate::machine::{Sentence, assert_like, await_voice, samples};
use crate::speech::find_speech;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn chromium_shows_what_came() {
    let Some(place) = Place::new("chromium_shows_what_came", &["baresip", "chromium", "espeak-ng", "sox"]) else {
        return;
    };
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")], "");
    let sentence = Sentence::new(&place, "Hello Alice, dinner is on the stove.");
    let mut bob =
        Setup { plays: Some(&sentence.played), ..Setup::new("bob", home.pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    let mut carol = Client::new("carol", "test", &home.pcsd, LOCALHOST);
    for text in ["Shall I buy bread? <b>And milk?</b>", "你好，面包已经买好了", "Så länge!"] {
        let mut dialog = carol.dialog(&sip("alice"));
        carol.request("MESSAGE", &mut dialog, "Content-Type: text/plain\r\n", text).assert_status(202);
    }
    bob.dial(&sip("alice"));
    bob.await_event("CALL_ESTABLISHED");
    std::thread::sleep(sentence.ends_after);
    bob.press("#");
    bob.await_event("CALL_CLOSED");
    await_voice(&mut Browser::logged_in(home.page, "alice"));

    step!(place, "Alice comes back, and Chromium opens the link that she is sent");
    let alice = Setup::new("alice", home.pcsd.address()).start(&place, "alice");
    let told = alice.await_trace(0, "1 voice message from bob");
    alice.await_trace(told, "/l/");
    let url = format!("http://{}{}", home.page, link_in(&alice.program.output.since(told)));
    let mut chromium = Chromium::start(&place);
    chromium.bypass_policy();
    chromium.open(&url);
    let text = chromium.text();
    assert!(text.contains("Show messages") && !text.contains("bread"), "{text}");
    screenshots(&mut chromium, "link");

    step!(place, "she presses the button, and sees the letters");
    chromium.click("button");
    let text = chromium.text();
    for part in ["Shall I buy bread? <b>And milk?</b>", "你好，面包已经买好了", "Så länge!", "Voice message", "4 new"]
    {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    assert!(!chromium.evaluate("location.href").contains("/l/"), "the address is clean");
    assert_eq!(chromium.evaluate("String(document.cookie.length)"), "0", "no script sees the cookie");
    screenshots(&mut chromium, "letters-of-a-link");

    step!(place, "she hears what Bob said");
    // Chromium plays it, from the middle: it asks for parts.
    let heard = chromium.evaluate(
        "new Promise(done => { const a = document.querySelector('audio'); a.onerror = () => done('error ' + \
         a.error.message); a.onseeked = () => { a.play(); }; a.ontimeupdate = () => { if (a.currentTime > 2.2) \
         done(a.duration.toFixed(1)); }; a.onloadedmetadata = () => { a.currentTime = 2; }; a.load(); a.preload = 'auto'; \
         setTimeout(() => done('late ' + a.currentTime), 9000); })",
    );
    let seconds = heard.parse::<f64>().unwrap_or_else(|_| panic!("{heard}"));
    assert!((3.0..20.0).contains(&seconds), "{heard}");
    let wav = chromium.evaluate(
        "fetch(document.querySelector('audio').src).then(it => it.arrayBuffer()).then(it => { let text = ''; \
         new Uint8Array(it).forEach(byte => { text += String.fromCharCode(byte); }); return btoa(text); })",
    );
    let samples = samples(&base64(&wav));
    assert_like("the sentence", find_speech(&sentence.said, &samples), 0.95);

    step!(place, "she deletes a letter, and takes that back");
    chromium.click("button[name=delete]");
    let text = chromium.text();
    assert!(text.contains("Deleted. It is kept for a day."), "{text}");
    screenshots(&mut chromium, "deleted");
    chromium.click("div.status button");
    assert!(!chromium.text().contains("kept for a day"));

    step!(place, "she logs in, and answers Carol");
    chromium.open(&format!("http://{}/login", home.page));
    screenshots(&mut chromium, "login");
    chromium.fill("#name", "alice");
    chromium.fill("#password", PASSWORD);
    chromium.click("form[action=\"/login\"] button");
    screenshots(&mut chromium, "letters");
    carol.register("", 600);
    let at =
        "[...document.querySelectorAll('textarea')].findIndex(it => it.closest('section').innerText.includes('bread'))";
    let index = chromium.evaluate(&format!("String({at})")).parse::<i32>().expect("a number");
    assert!(index >= 0, "{}", chromium.text());
    let found = format!("document.querySelectorAll('textarea')[{index}]");
    chromium.evaluate(&format!("{found}.value = 'Yes, and milk.'; {found}.id = 'answer'; ''"));
    chromium.click("form:has(#answer) button");
    assert!(chromium.text().contains("Sent."), "{}", chromium.text());
    let message = carol.await_request("the answer", |it| it.text().contains("Yes, and milk."));
    carol.answer(&message, "200 OK", "");
    assert!(message.field("From").is_some_and(|from| from.contains(&sip("alice"))), "{}", message.text());

    step!(place, "settings: the busy text is hers from now on");
    chromium.open(&format!("http://{}/settings", home.page));
    screenshots(&mut chromium, "settings");
    chromium.fill("textarea[name=busy]", "Back on Monday");
    chromium.click("form[action=\"/settings/busy\"] button");
    assert!(chromium.text().contains("Saved."), "{}", chromium.text());
    assert_eq!(chromium.evaluate("document.querySelector('textarea[name=busy]').value"), "Back on Monday");
    home.pcsd.await_rest();
}

#[test]
fn over_https() {
    let Some(place) = Place::new("over_https", &["openssl", "curl"]) else { return };
    let own = Authority::new(&place, "authority").certify("home.example", NOW);
    let secure = SocketAddr::new(LOCALHOST, free_port());
    let more = format!(
        "\tlist web 'https:{secure}'\n\toption cert '{}'\n\toption key '{}'\n",
        own.certificate.display(),
        own.key.display()
    );
    let home = Home::start(&place, &[Person::Md5("alice"), Person::Md5("bob")], &more);
    let mut bob = Client::new("bob", "test", &home.pcsd, LOCALHOST);
    let mut dialog = bob.dialog(&sip("alice"));
    bob.request("MESSAGE", &mut dialog, "Content-Type: text/plain\r\n", "Hello over there").assert_status(202);
    let url = |path: &str| format!("https://{secure}{path}");

    step!(place, "a login over TLS, with a cookie that stays there");
    assert!(curl(&[], &url("/")).ends_with("\n303"));
    let jar = place.directory("curl").join("cookies");
    let jar = jar.to_str().expect("a path of ASCII");
    let form = format!("name=alice&password={PASSWORD}");
    let login = curl(&["-c", jar, "-d", &form], &url("/login"));
    assert!(login.ends_with("\n303"), "{login}");
    let cookie = login.lines().find(|line| line.starts_with("Set-Cookie: ")).expect("a cookie");
    for part in ["__Host-pcs=", "Secure", "HttpOnly", "SameSite", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let page = curl(&["-b", jar], &url("/"));
    assert!(page.contains("Hello over there") && page.ends_with("\n200"), "{page}");
    assert!(curl(&["-d", "name=alice&password=wrong"], &url("/login")).ends_with("\n403"));
    assert!(curl(&["-H", "Host: evil.example"], &url("/")).ends_with("\n421"));

    step!(place, "its style is under TLS, too; HTTP at its port is nothing");
    let style = page.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|path| path.ends_with(".css"));
    let style = curl(&[], &url(style.expect("the page has a style")));
    assert!(style.contains("\nContent-Type: text/css") && style.ends_with("\n200"), "{style}");
    let plain = exchange(secure, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&plain));
}

#[test]
fn bad_manners() {
    let Some(place) = Place::new("bad_manners", &[]) else { return };
    let home = Home::start(&place, &[Person::Md5("alice")], "");
    let status = |request: &str| Answer::read(&exchange(home.page, request.as_bytes())).map(|answer| answer.status);

    step!(place, "three requests at once get three answers, in order");
    let all = "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n\
               GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = String::from_utf8_lossy(&exchange(home.page, all.as_bytes())).into_owned();
    let lines = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect::<Vec<_>>();
    let statuses = lines.iter().map(|line| &line[9..12]).collect::<Vec<_>>();
    assert_eq!(statuses, ["200", "404", "303"], "{answers}");

    step!(place, "other hosts, other paths, other sizes");
    let get =
        |path: &str, host: &str| status(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    assert_eq!(get("/", "evil.example"), Some(421));
    assert_eq!(get("/login", "home.example"), Some(200));
    for path in ["/../etc/passwd", "/%2e%2e/", "//login", "/login/", "/l/", "/voice/0.wav"] {
        assert_eq!(get(path, "localhost").filter(|status| *status != 303), Some(404), "{path}");
    }
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Some(400), "no Host");
    assert_eq!(status("NONSENSE\r\n\r\n"), Some(400));
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000))), Some(431));
    assert_eq!(status("DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), Some(405));
    let both =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(matches!(status(both), Some(400 | 501)), "two lengths");

    step!(place, "those who send a head a byte at a time are sent away in 10 s; others are served meanwhile");
    let begun = Instant::now();
    let mut slow = (0..4).map(|_| TcpStream::connect(home.page).expect("it is served")).collect::<Vec<_>>();
    for stream in &mut slow {
        stream.set_nonblocking(true).expect("it does not wait");
    }
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
    for byte in head {
        slow.retain_mut(|stream| {
            let is_sent = stream.write_all(&[byte]).is_ok();
            let mut room = [0; 1024];
            is_sent && !matches!(stream.read(&mut room), Ok(0))
        });
        if slow.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(14), "{} are still there", slow.len());
        assert_eq!(get("/login", "localhost"), Some(200));
        std::thread::sleep(Duration::from_millis(250));
    }
    let took = begun.elapsed();
    step!(place, "it took {took:?}");
    assert!(took > Duration::from_secs(8), "they had their time: {took:?}");

    step!(place, "somebody takes all connections there are, and the page is served to others");
    let crowd = (0..40).filter_map(|_| TcpStream::connect(home.page).ok()).collect::<Vec<_>>();
    assert_eq!(get("/login", "localhost"), Some(200));
    drop(crowd);
    let mut browser = Browser::logged_in(home.page, "alice");
    browser.get("/").assert_status(200);

    step!(place, "wrong passwords: it takes longer and longer");
    let mut thief = Browser::new(home.page);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(thief.post("/login", &[("name", "alice"), ("password", "guess")]).status);
    }
    assert_eq!(statuses[0], 403);
    assert!(statuses.contains(&429), "{statuses:?}");
    browser.get("/").assert_status(200);
}

/// What is shown, on a phone and a desk, by day and by night, for people to look at.
fn screenshots(chromium: &mut Chromium, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    for (device, size) in [("phone", (390, 844)), ("desktop", (1280, 900))] {
        for is_dark in [false, true] {
            chromium.look(size, device == "phone", is_dark);
            let fits = chromium.evaluate("String(document.documentElement.scrollWidth <= innerWidth)");
            assert_eq!(fits, "true", "{name} is wider than a {device}");
            let scheme = if is_dark { "dark" } else { "light" };
            chromium.screenshot(&folder.join(format!("{name}-{device}-{scheme}.png")));
        }
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
