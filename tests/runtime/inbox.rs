//! What is kept for a person, from the command line: texts that strangers sent, a recording, a greeting, links.

use super::{Daemon, Home, PATIENCE, pcsd, refused, said, text};
use pcsd::home::inbox::{Codec, Kept, What};
use pcsd::media::g711::Law;
use pcsd::media::wav;
use pcsd::spool::{BlobStep, Filter, Key, Kind, Limits, Memory, Meta, Spool};
use rustix::process::Signal;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

/// A home with a disk, a page that nobody looks at, and a clock in Stockholm.
fn home(name: &str) -> Home {
    let home = Home::new(name);
    let spool = home.directory.join("spool");
    let made = pcsd(&["spool", "init", spool.to_str().unwrap()]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.configure(&format!(
        "\toption spool '{}'\n\tlist web '127.0.0.1:{port}'\n\toption url 'http://pcs.test'\n\
         \toption keep_days '0'\n\toption timezone 'CET-1CEST,M3.5.0,M10.5.0/3'",
        spool.display()
    ));
    home
}

/// Sends alice a text as somebody who only says who he is; it has to be kept.
fn write_to_alice(home: &Home, call_id: &str, content_type: &str, body: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let own = socket.local_addr().unwrap();
    let request = format!(
        "MESSAGE sip:alice@home.example SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
         From: \"B\u{f6}b\" <sip:bob@away.test>;tag=1\r\nTo: <sip:alice@home.example>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 MESSAGE\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.send_to(request.as_bytes(), ("127.0.0.1", home.sip)).unwrap();
    let mut room = [0; 2048];
    loop {
        let (len, _) = socket.recv_from(&mut room).expect("the text is answered");
        let answer = text(&room[..len]);
        if !answer.starts_with("SIP/2.0 100") {
            assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
            return;
        }
    }
}

/// Puts a recording of three seconds into a spool that nobody uses, for whom a text is kept there.
fn put_recording(directory: &Path, sound: &[u8]) {
    let mut tables = Box::new(Memory::new());
    let disk = pcsd::runtime::disk::make(directory).unwrap();
    let mut spool = Spool::new(disk, &mut tables, Limits::NONE);
    spool.mount(1).unwrap();
    let (mut room, mut person) = ([0; 4096], None);
    let texts = Filter { kind: Some(Kind::Text), owner: None };
    spool
        .each(&texts, &mut room, &mut |meta, payload| person = Kept::read(payload).map(|it| (it.person, meta.owner)))
        .unwrap();
    let (person, owner) = person.expect("a text is kept");
    let what = What::Voice { codec: Codec::Ulaw, milliseconds: 3000, lost_milliseconds: 0 };
    let kept = Kept {
        state: 0,
        number: 77,
        at: 1_777_888_800,
        person,
        is_stranger: true,
        address: b"carl@away.test",
        name: b"",
        what,
    };
    let len = kept.write(&mut room).unwrap();
    let key = Key { kind: Kind::Voice, id: 7 };
    let meta = Meta { key, owner, at: kept.at, blob_bytes: 0 };
    spool.store(&meta, &room[..len], BlobStep::Open).unwrap();
    spool.blob_write(key, sound).unwrap();
    spool.store(&meta, &room[..len], BlobStep::Close).unwrap();
    spool.commit().unwrap();
}

#[test]
fn letters_are_listed_read_and_deleted() {
    let home = home("letters");
    let daemon = Daemon::start(&home.config());
    let inbox = |words: &[&str]| home.pcsctl(&[&["inbox", "alice"], words].concat());
    assert_eq!(said(&home.pcsctl(&["inbox", "alice"])), "");
    assert_eq!(said(&home.pcsctl(&["inbox", "alice", "--json"])), "[]\n");
    write_to_alice(&home, "one", "text/plain", "Dinner at 6?\r\n\x1b[2JBring wine.");
    write_to_alice(&home, "two", "image/png", "no text");
    let list = said(&home.pcsctl(&["inbox", "ALICE"])).to_string();
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].starts_with("1     new       text  20") && !list.contains("UTC"), "{list}");
    assert!(lines[0].ends_with("  29 bytes from B\u{f6}b <bob@away.test>, as he says"), "{list}");
    let json = said(&home.pcsctl(&["inbox", "alice", "--json"])).to_string();
    assert!(json.starts_with("[{\"number\":1,\"kind\":\"text\",\"state\":\"new\",\"at\":1") && json.ends_with("}]\n"));

    assert_eq!(said(&inbox(&["show", "1"])), "Dinner at 6?\n [2JBring wine.\n");
    let file = home.directory.join("text");
    assert_eq!(said(&inbox(&["save", "2", file.to_str().unwrap()])), format!("{}: 7 bytes\n", file.display()));
    assert_eq!(fs::read(&file).unwrap(), b"no text");
    for (words, reason) in [
        (&["show", "2"][..], "it is no plain text: pcsctl inbox alice save 2 FILE\n"),
        (&["show", "3"], "There is no letter 3.\n"),
        (&["save", "3", "/nonexistent"], "There is no letter 3.\n"),
        (&["read", "3"], "There is no letter 3.\n"),
        (&["restore", "1"], "It is not deleted.\n"),
    ] {
        assert_eq!(refused(&inbox(words)), reason, "{words:?}");
    }
    assert_eq!(refused(&home.pcsctl(&["inbox", "carl", "show", "1"])), "there is no person 'carl'\n");
    assert_eq!(refused(&home.pcsctl(&["inbox", "carl"])), "there is no person 'carl'\n");

    assert_eq!(said(&inbox(&["read", "1"])), "");
    assert_eq!(said(&inbox(&["delete", "2"])), "");
    assert_eq!(refused(&inbox(&["read", "2"])), "It is deleted.\n");
    let states = |list: &str| list.lines().map(|line| line[6..14].trim_end().to_string()).collect::<Vec<_>>();
    assert_eq!(states(said(&home.pcsctl(&["inbox", "alice"]))), ["read", "deleted"]);
    let status = said(&home.pcsctl(&["status"])).to_string();
    assert!(status.contains("kept          2 texts, 0 recordings, 0 missed calls\n"), "{status}");
    daemon.signal(Signal::TERM);
    daemon.wait();

    // All of it is on the disk.
    let sound: Vec<u8> = (0..24_000u32).map(|at| (at * 7 % 251) as u8).collect();
    put_recording(&home.directory.join("spool"), &sound);
    let daemon = Daemon::start(&home.config());
    assert_eq!(said(&inbox(&["restore", "2"])), "");
    let list = said(&home.pcsctl(&["inbox", "alice"])).to_string();
    assert_eq!(states(&list), ["read", "read", "new"], "{list}");
    let last = list.lines().last().unwrap();
    assert_eq!(last, "77    new       voice 2026-05-04 12:00  0:03 from <carl@away.test>, as he says");
    let file = home.directory.join("voice.wav");
    assert_eq!(said(&inbox(&["save", "77", file.to_str().unwrap()])), format!("{}: WAV, 0:03\n", file.display()));
    let mut expected = vec![0; wav::len(24_000) as usize];
    wav::render(0..wav::len(24_000), 24_000, Law::Mu, 0, &sound, &mut expected);
    assert!(fs::read(&file).unwrap() == expected);
    assert_eq!(refused(&inbox(&["show", "77"])), "it is a recording: pcsctl inbox alice save 77 FILE\n");
    drop(daemon);
}

#[test]
fn what_is_said_for_a_person_and_links() {
    let home = home("said");
    let daemon = Daemon::start(&home.config());
    let ask = |words: &[&str]| said(&home.pcsctl(words)).to_string();
    let told = "Who writes to you while you are away is told: ";
    assert_eq!(ask(&["busy", "alice"]), format!("{told}alice is away; your message is kept.\n"));
    assert_eq!(ask(&["busy", "alice", "At sea", "until 6"]), format!("{told}At sea until 6\n"));
    assert_eq!(ask(&["busy", "alice", "--default"]), format!("{told}alice is away; your message is kept.\n"));
    let long = "x".repeat(201);
    assert!(refused(&home.pcsctl(&["busy", "alice", &long])).starts_with("That is too long"));
    assert_eq!(ask(&["missed", "alice"]), "Texts that are kept for you wait on the page.\n");
    let sent = "Texts that are kept for you are sent to your devices when you are back.\n";
    assert_eq!((ask(&["missed", "alice", "deliver"]), ask(&["missed", "alice"])), (sent.into(), sent.into()));

    let link = ask(&["link", "alice"]);
    let token = link.strip_prefix("http://pcs.test/l/").expect("it is a link").trim_end();
    assert_eq!(token.len(), 22, "{link}");
    assert_ne!(ask(&["link", "alice"]), link);
    assert_eq!(refused(&home.pcsctl(&["link", "carl"])), "there is no person 'carl'\n");

    // What alice would be answered by sip:pcs.
    let inbox = || {
        use std::io::{Read as _, Write as _};
        let mut client = std::os::unix::net::UnixStream::connect(home.socket()).unwrap();
        client.write_all(b"tell alice inbox\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(inbox(), "Nothing new is kept for you.\n");
    write_to_alice(&home, "three", "text/plain", "Hi");
    let answer = inbox();
    let (summary, link) = answer.split_once('\n').unwrap();
    assert_eq!(summary, "1 missed IM from B\u{f6}b");
    assert!(link.starts_with("http://pcs.test/l/"), "{answer}");
    assert_eq!(said(&home.pcsctl(&["inbox", "alice", "read", "1"])), "");
    assert_eq!(inbox(), "Nothing new is kept for you.\n");
    drop(daemon);

    // Without a page there is nothing to link to.
    home.configure("");
    let daemon = Daemon::start(&home.config());
    assert!(refused(&home.pcsctl(&["link", "alice"])).starts_with("There is no page"));
    drop(daemon);
}

#[test]
fn greetings_come_and_go() {
    let home = home("greeting");
    let daemon = Daemon::start(&home.config());
    let path = |name: &str| home.directory.join(name).to_str().unwrap().to_string();
    let greeting = |words: &[&str]| home.pcsctl(&[&["greeting", "alice"], words].concat());
    assert_eq!(refused(&greeting(&["--save", &path("none")])), "There is no greeting but that of the house.\n");
    assert!(!Path::new(&path("none")).exists());
    // Fifty seconds: several hundred pieces on their way to the disk.
    let samples = 50 * 8000;
    let sound: Vec<u8> = (0..samples).map(|at: u32| Law::A.encode((at * 37 % 4001) as i16 - 2000)).collect();
    let mut file = vec![0; wav::len(samples) as usize];
    wav::render(0..wav::len(samples), samples, Law::A, 0, &sound, &mut file);
    fs::write(path("in.wav"), &file).unwrap();
    assert_eq!(said(&greeting(&[&path("in.wav")])), "The greeting is this, 50 s.\n");
    let saved = format!("{}: WAV, 0:50\n", path("out.wav"));
    assert_eq!(said(&greeting(&["--save", &path("out.wav")])), saved);
    assert!(fs::read(path("out.wav")).unwrap() == file, "it comes back as it went");
    assert!(refused(&greeting(&[&path("pcsd")])).ends_with("not a WAV file, or there is no sound in it\n"));
    assert!(refused(&greeting(&[&path("missing")])).contains("No such file"));
    assert_eq!(refused(&home.pcsctl(&["greeting", "carl", &path("in.wav")])), "there is no person 'carl'\n");
    daemon.signal(Signal::TERM);
    daemon.wait();

    let daemon = Daemon::start(&home.config());
    assert_eq!(said(&greeting(&["--save", &path("out.wav")])), saved, "it outlives a restart");
    assert_eq!(said(&greeting(&["--remove"])), "The greeting is that of the house.\n");
    assert_eq!(refused(&greeting(&["--save", &path("none")])), "There is no greeting but that of the house.\n");
    drop(daemon);

    home.configure("");
    let daemon = Daemon::start(&home.config());
    assert_eq!(refused(&greeting(&[&path("in.wav")])), "there is no disk\n");
    drop(daemon);
}
