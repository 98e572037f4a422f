//! What attackers and broken clients send.

use pcsd::base::time::Instant;
use pcsd::home::inbox::State;

use super::house::TIME;
use super::{World, read};

const BOB: (&str, &str) = ("bob@away.example", "Bob");
const GET: &[u8] = b"GET /login HTTP/1.1\r\nHost: home.example\r\n\r\n";

#[test]
fn heads() {
    let mut world = World::new();
    let long = format!("GET /{} HTTP/1.1\r\nHost: home.example\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\nHost: home.example\r\n{}\r\n", "A: b\r\n".repeat(40));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: home.example\r\n\r\n", 421),
        ("GET / HTTP/1.0\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: home.example\r\nHost: home.example\r\n\r\n", 400),
        ("\x16\x03\x01\r\n\r\n", 400),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nContent-Length: 70000\r\n\r\n", 413),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n", 415),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: home.example\r\nContent-Length: 5\r\n\r\n", 400),
        ("DELETE / HTTP/1.1\r\nHost: home.example\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: home.example\r\nContent-Length: 0\r\n\r\n", 405),
        ("POST /letters HTTP/1.1\r\nHost: home.example\r\nContent-Length: 0\r\n\r\n", 403),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n", 403),
        ("POST /login HTTP/1.1\r\nHost: home.example\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n", 403),
        (&long, 431),
        (&many, 431),
    ] {
        let reply = world.ask(request);
        assert_eq!((reply.status, reply.is_closed), (status, true), "{request}");
        assert!(reply.head.contains("Content-Security-Policy: default-src 'none'"), "{}", reply.head);
        assert!(reply.head.contains("nosniff") && reply.head.contains("no-store"));
    }
    for path in
        ["/../etc/passwd", "/%2e%2e/x", "//x", "/style.css/..", "/.git/config", "/voice/../settings", "/favicon.ico"]
    {
        let reply = world.get(path, "");
        assert_eq!((reply.status, reply.is_closed), (404, false), "{path}");
    }
    assert!(world.web.is_empty());
}

#[test]
fn in_any_cuts_and_after_any_prefix() {
    let mut world = World::new();
    let form = "name=alice&password=wonder+land";
    let post = format!(
        "\r\nPOST /login HTTP/1.1\r\nHost: home.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    for cut in [1, 2, 7, 64, 4096] {
        let stream = world.open();
        let (bytes, is_closed) = world.exchange(stream, post.as_bytes(), cut, 4096);
        assert!(!is_closed);
        assert_eq!(read(&bytes, false).unwrap().0.status, 303, "{cut}");
        world.close(stream);
    }
    for len in 0..post.len() {
        let stream = world.open();
        let (bytes, is_closed) = world.exchange(stream, &post.as_bytes()[..len], 4096, 4096);
        assert!(bytes.is_empty() && !is_closed, "{len}");
        world.close(stream);
    }
    assert!(world.web.is_empty());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut world = World::new();
    let stream = world.open();
    let requests = [
        &b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"HEAD /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nname=x",
        b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /script.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    .concat();
    for cut in [1, 50, 10_000] {
        let stream = if cut == 1 { stream } else { world.open() };
        let (bytes, is_closed) = world.exchange(stream, &requests, cut, 4096);
        assert!(is_closed);
        let mut rest = &bytes[..];
        for (status, content_type, is_head) in [
            (200, "text/css; charset=utf-8", false),
            (200, "text/html; charset=utf-8", true),
            (403, "text/html; charset=utf-8", false),
            (200, "image/svg+xml", false),
        ] {
            let (reply, behind) = read(rest, is_head).unwrap();
            assert_eq!((reply.status, reply.field("Content-Type")), (status, content_type));
            rest = behind;
        }
        assert!(rest.is_empty(), "nothing follows the last");
        world.close(stream);
        world.now = world.now.plus(1_000_000);
    }
}

#[test]
fn forged_forms() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let (other_cookie, other_csrf) = world.log_in();
    let id = world.home.text(0, BOB, TIME, "text/plain", b"one");
    let hers = world.home.text(1, BOB, TIME, "text/plain", b"for Bob");
    let forged = csrf.replace(&csrf[..1], if csrf.starts_with('A') { "B" } else { "A" });
    for token in ["", "x", &forged, &other_csrf] {
        for form in [format!("csrf={token}&delete={id:016x}"), format!("delete={id:016x}")] {
            assert_eq!(world.post("/letters", &cookie, &form).status, 403, "{form}");
        }
    }
    assert_eq!(world.post("/logout", &cookie, &format!("csrf={forged}")).status, 403);
    assert_eq!(world.post("/letters", "", &format!("csrf={csrf}&delete={id:016x}")).status, 403);
    // Nobody touches another person's letters.
    for name in ["read", "delete", "all"] {
        assert_eq!(world.post("/letters", &cookie, &format!("csrf={csrf}&{name}={hers:016x}")).status, 404);
    }
    assert_eq!(world.get(&format!("/text/{hers:016x}"), &cookie).status, 404);
    assert_eq!((world.home.state(id), world.home.state(hers)), (State::New, State::New));
    assert_eq!(world.post("/letters", &other_cookie, &format!("csrf={other_csrf}&delete={id:016x}")).status, 303);
}

#[test]
fn guessing_passwords_takes_time() {
    let mut world = World::new();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(world.post("/login", "", "name=alice&password=guess").status);
    }
    assert_eq!(statuses, [403, 403, 403, 429, 429, 429]);
    let reply = world.post("/login", "", "name=alice&password=wonder+land");
    assert_eq!((reply.status, reply.field("Retry-After")), (429, "1"));
    world.now = world.now.plus(1_000);
    assert_eq!(world.post("/login", "", "name=alice&password=wonder+land").status, 303);
}

#[test]
fn slow_and_many() {
    let mut world = World::new();
    // Of one address no more than so many; one that waits for nothing gives way, one in the middle of something does not.
    let streams: Vec<_> = (0..6).map(|_| world.open_from("10.0.0.1:1").unwrap()).collect();
    assert!(world.open_from("10.0.0.1:2").is_some());
    let left = world.web.next_leaving().unwrap();
    assert!(streams.contains(&left) && world.web.next_leaving().is_none());
    for stream in streams.iter().filter(|stream| **stream != left) {
        world.exchange(*stream, b"GET / HT", 1, 4096);
    }
    assert!(world.open_from("10.0.0.1:3").is_some(), "the one that has sent nothing gives way");
    let newest = world.open_from("10.0.0.1:4").unwrap();
    world.exchange(newest, b"G", 1, 4096);
    assert!(world.open_from("10.0.0.1:5").is_none());
    // A drop now and then does not keep a head alive.
    let slow = newest;
    let start = world.now;
    for i in 0..9 {
        world.now = start.plus(i * 1000);
        world.web.received(world.now, &mut world.home, slow, b"E");
        assert!(!world.web.due(world.now, slow));
    }
    world.now = start.plus(10_000);
    assert!(world.web.due(world.now, slow));
    // All of them taken: there is room again for who comes when others are idle.
    let mut world = World::new();
    let taken = (0..40).filter(|i| world.open_from(&format!("10.0.1.{i}:1")).is_some()).count();
    assert_eq!((taken, world.web.len()), (32, 16), "those that are to be closed first are told of");
    assert_eq!(core::iter::from_fn(|| world.web.next_leaving()).count(), 16);
    assert!(world.open_from("10.0.2.1:1").is_some());
}

#[test]
fn deadlines() {
    let mut world = World::new();
    let stream = world.open();
    assert_eq!(world.web.deadline(stream), Some(world.now.plus(30_000)));
    world.exchange(stream, GET, 4096, 4096);
    world.now = world.now.plus(5_000);
    assert!(!world.web.due(world.now, stream));
    let head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nname";
    world.exchange(stream, head, 4096, 4096);
    assert_eq!(world.web.deadline(stream), Some(world.now.plus(30_000)));
    // Nobody takes the answer.
    let other = world.open();
    world.web.received(world.now, &mut world.home, other, GET);
    assert_eq!(world.web.deadline(other), Some(world.now.plus(60_000)));
    assert_eq!(world.web.received(world.now, &mut world.home, other, GET), 0, "the next waits");
    world.close(other);
    assert_eq!(world.web.deadline(other), None);
    assert!(world.web.due(Instant::ZERO, other));
}

#[test]
fn mutated_bytes() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let id = world.home.text(0, BOB, TIME, "text/plain", b"one");
    let form = format!("csrf={csrf}&delete={id:016x}");
    let seed = format!(
        "POST /letters?before=5 HTTP/1.1\r\nHost: home.example\r\nCookie: {cookie}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nRange: bytes=0-5\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    for _ in 0..20_000 {
        let mut bytes = seed.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n:%&=-/?\0"[random(10)]),
            }
        }
        pcsd::wire::http::fuzz(&bytes);
        pcsd::web::fuzz(&bytes);
        let stream = world.open();
        world.exchange(stream, &bytes, 97, 4096);
        world.close(stream);
    }
    assert!(world.web.is_empty());
}
