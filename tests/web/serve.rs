//! The pages on a real socket with letters to look at, for a browser: `PCSD_WEB_SERVE=127.0.0.1:8088 cargo test --test web
//! -- --ignored serve`. It ends after PCSD_WEB_SECONDS, by default 60.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant as StdInstant};

use pcsd::base::net::Stream;
use pcsd::base::text::Writer;
use pcsd::base::time::Instant;
use pcsd::home::inbox::{Codec, State};

use super::World;
use super::house::TIME;

#[test]
#[ignore = "serves until its time is over"]
fn serve() {
    let Ok(address) = std::env::var("PCSD_WEB_SERVE") else {
        println!("skipped: PCSD_WEB_SERVE does not say where");
        return;
    };
    let seconds = std::env::var("PCSD_WEB_SECONDS").ok().and_then(|it| it.parse().ok()).unwrap_or(60);
    let mut world = World::new();
    furnish(&mut world);
    let mut room = [0; 256];
    let mut link = Writer::new(&mut room);
    world.home.model.main.url = format!("http://{address}").as_str().try_into().unwrap();
    assert!(world.web.link(world.now, &mut world.home, 0, (1, 5), &mut link));
    println!("{}", String::from_utf8_lossy(link.written()));
    if let Ok(language) = std::env::var("PCSD_WEB_LANGUAGE") {
        let tags = pcsd::config::model::Language::TAGS;
        world.home.model.people[0].language = tags.iter().find(|(tag, _)| *tag == language).unwrap().1;
    }
    let listener = TcpListener::bind(&address).expect("the address is free");
    listener.set_nonblocking(true).unwrap();
    let start = StdInstant::now();
    let mut clients: Vec<(Stream, TcpStream, Vec<u8>)> = Vec::new();
    while start.elapsed() < Duration::from_secs(seconds) {
        world.now = Instant::from_millis(1_000_000 + start.elapsed().as_millis() as u64);
        if let Ok((socket, from)) = listener.accept() {
            socket.set_nonblocking(true).unwrap();
            if let Some(stream) = world.open_from(&from.to_string()) {
                clients.push((stream, socket, Vec::new()));
            }
        }
        while let Some(leaving) = world.web.next_leaving() {
            clients.retain(|(stream, ..)| *stream != leaving);
        }
        clients.retain_mut(|(stream, socket, window)| {
            let is_open = turn(&mut world, *stream, socket, window);
            if !is_open {
                world.close(*stream);
            }
            is_open
        });
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn turn(world: &mut World, stream: Stream, socket: &mut TcpStream, window: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    match socket.read(&mut buffer) {
        Ok(0) => return false,
        Ok(len) => window.extend_from_slice(&buffer[..len]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => return false,
    }
    let taken = world.web.received(world.now, &mut world.home, stream, window);
    window.drain(..taken);
    let mut out = Vec::new();
    let is_over = world.drain(stream, &mut out, 8192);
    socket.set_nonblocking(false).unwrap();
    let is_sent = socket.write_all(&out).is_ok();
    socket.set_nonblocking(true).unwrap();
    is_sent && !is_over && !world.web.due(world.now, stream)
}

/// Letters as a day brings them.
fn furnish(world: &mut World) {
    let home = &mut world.home;
    let smith = ("smith@smith.example", "John Smith");
    let mum = ("mum@away.example", "Mum");
    let old = |home: &mut super::Home, id: u64| {
        let letter = home.inbox.find(id).unwrap();
        home.inbox.set_state(Instant::ZERO, letter, State::Old);
    };
    let tone: Vec<u8> = (0..8000 * 6_u32).map(|i| if i / 10 % 2 == 0 { 0xd5 ^ 0x40 } else { 0x55 ^ 0x40 }).collect();
    for (ago, text) in [
        (90_000, "Are you at home tonight?"),
        (88_000, "I could bring the drill back."),
        (87_000, "Never mind, tomorrow then."),
    ] {
        let id = home.text(0, smith, TIME - ago, "text/plain", text.as_bytes());
        old(home, id);
    }
    let id = home.voice(0, mum, TIME - 200_000, Codec::Ulaw, &tone[..9000]);
    old(home, id);
    let id = home.text(
        0,
        mum,
        TIME - 190_000,
        "text/plain;charset=UTF-8",
        "Sunday lunch at one \u{1f372}, bring the children!".as_bytes(),
    );
    old(home, id);
    home.text(0, smith, TIME - 7_500, "text/plain", b"Hi Alice, it is about the fence between our gardens.\r\nThe storm has taken two boards. I can repair it on Saturday if you hold the other end. <3");
    home.voice(0, smith, TIME - 7_200, Codec::Alaw, &tone);
    home.call(0, smith, false, TIME - 3_700);
    home.text(0, smith, TIME - 600, "image/png", b"\x89PNG");
    home.call(0, ("0046701234567@trunk.example", ""), true, TIME - 1_800);
    home.text(
        0,
        ("beichuang@his.example", "\u{5317}\u{5ddd}"),
        0,
        "text/plain",
        "\u{660e}\u{5929}\u{4e0b}\u{5348}\u{4e09}\u{70b9}\u{5f00}\u{4f1a}\u{ff0c}\u{522b}\u{5fd8}\u{4e86}\u{3002}"
            .as_bytes(),
    );
    home.recording(0, mum, TIME - 20);
    let id = home.text(0, mum, TIME - 400_000, "text/plain", b"Deleted by mistake.");
    let letter = home.inbox.find(id).unwrap();
    home.inbox.set_state(Instant::ZERO, letter, State::Deleted);
    home.presence = "away lunch".to_string();
    home.greeting = Some(tone.clone());
    home.blobs.insert(1, tone);
}
