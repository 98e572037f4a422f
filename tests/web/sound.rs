//! Recordings as files with ranges, and greetings on their way in.

use pcsd::home::inbox::Codec;
use pcsd::media::g711::Law;

use super::World;
use super::house::TIME;

const BOB: (&str, &str) = ("bob@away.example", "Bob");

fn wav(samples: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|code| Law::A.decode(*code).to_le_bytes()).collect();
    let word = |value: usize| (value as u32).to_le_bytes();
    let format = b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data";
    [b"RIFF", &word(36 + data.len())[..], format, &word(data.len()), &data].concat()
}

fn samples(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 256) as u8).collect()
}

#[test]
fn every_range_is_a_part_of_the_whole() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    let blob = samples(20_000);
    let id = world.home.voice(0, BOB, TIME, Codec::Alaw, &blob);
    let path = format!("/voice/{id:016x}.wav");
    let whole = world.get(&path, &cookie);
    assert_eq!((whole.status, whole.field("Content-Type"), whole.field("Accept-Ranges")), (200, "audio/wav", "bytes"));
    assert_eq!(whole.body, wav(&blob));
    let len = whole.body.len();
    let mut ask = |method: &str, range: &str| {
        world.ask(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{range}\r\n"))
    };
    for (start, end) in
        [(0, 1), (0, 44), (43, 46), (44, 45), (45, 46), (45, 9001), (8191, 8193), (len - 1, len), (1, len)]
    {
        let part = ask("GET", &format!("Range: bytes={start}-{}\r\n", end - 1));
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[start..end]), "{start}-{end}");
        assert_eq!(part.field("Content-Range"), format!("bytes {start}-{}/{len}", end - 1));
    }
    assert_eq!(ask("GET", "Range: bytes=-3\r\n").body, &whole.body[len - 3..]);
    let none = ask("GET", &format!("Range: bytes={len}-\r\n"));
    assert_eq!((none.status, none.field("Content-Range")), (416, format!("bytes */{len}").as_str()));
    assert_eq!(ask("GET", "Range: bytes=5-2\r\n").status, 200);
    assert_eq!(ask("GET", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").status, 200);
    let same = format!("Range: bytes=0-1\r\nIf-Range: {}\r\n", whole.field("ETag"));
    assert_eq!(ask("GET", &same).status, 206);
    let head = ask("HEAD", "Range: bytes=0-9\r\n");
    assert_eq!((head.status, head.field("Content-Length"), head.body.len()), (206, "10", 0));
}

#[test]
fn other_sorts_of_sound() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    let ogg = samples(30_000);
    let opus = world.home.voice(0, BOB, TIME, Codec::Opus, &ogg);
    let open = world.home.recording(0, BOB, TIME);
    let hers = world.home.voice(1, BOB, TIME, Codec::Alaw, &ogg);
    let mut get = |id: u64, ending: &str| world.get(&format!("/voice/{id:016x}.{ending}"), &cookie);
    let sound = get(opus, "ogg");
    assert_eq!((sound.field("Content-Type"), &sound.body), ("audio/ogg", &ogg));
    assert_eq!(get(opus, "wav").status, 404);
    assert_eq!(get(open, "wav").status, 404);
    assert_eq!(get(hers, "wav").status, 404);
    let page = world.get("/", &cookie).text();
    assert!(page.contains("Being recorded now") && page.contains(".ogg\"") && page.matches("<audio").count() == 1);
}

#[test]
fn a_blob_that_is_gone_ends_the_connection() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    let id = world.home.voice(0, BOB, TIME, Codec::Alaw, &samples(9_000));
    world.home.blobs.insert(id, samples(5_000));
    let stream = world.open();
    let request = format!("GET /voice/{id:016x}.wav HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    let (bytes, is_closed) = world.exchange(stream, request.as_bytes(), 1000, 8192);
    assert!(is_closed && super::read(&bytes, false).is_none(), "less came than was promised");
}

fn upload(world: &mut World, cookie: &str, csrf: &str, file: &[u8], cut: usize) -> super::Reply {
    let body = [
        format!("--xX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n").as_bytes(),
        b"--xX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
        file,
        b"\r\n--xX--\r\n",
    ]
    .concat();
    let head = format!(
        "POST /greeting HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary=xX\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let stream = world.open();
    let (first, _) = world.exchange(stream, head.as_bytes(), cut, 8192);
    assert_eq!(first, b"HTTP/1.1 100 Continue\r\n\r\n");
    let (bytes, is_closed) = world.exchange(stream, &body, cut, 8192);
    world.close(stream);
    let mut reply = super::read(&bytes, false).expect("an answer").0;
    reply.is_closed = is_closed;
    reply
}

#[test]
fn a_greeting_comes_in_pieces() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let codes: Vec<u8> = samples(30_000).iter().map(|it| Law::A.encode(Law::A.decode(*it))).collect();
    for (cut, waits) in [(1 << 20, 0), (333, 0), (4096, 3)] {
        world.home.waits = waits;
        let reply = upload(&mut world, &cookie, &csrf, &wav(&codes), cut);
        assert_eq!((reply.status, reply.field("Location"), reply.is_closed), (303, "/settings?saved", false), "{cut}");
        assert_eq!(world.home.greeting.take().as_deref(), Some(&codes[..]), "{cut}");
    }
    world.home.waits = 0;
    world.home.greeting = Some(codes.clone());
    assert_eq!(world.get("/greeting.wav", &cookie).body, wav(&codes));
    assert!(world.get("/settings", &cookie).text().contains("/greeting.wav"));
    assert_eq!(world.post("/greeting/remove", &cookie, &format!("csrf={csrf}")).status, 303);
    assert_eq!(world.get("/greeting.wav", &cookie).status, 404);
}

#[test]
fn what_is_no_greeting() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let tone = samples(4_000);
    assert_eq!(upload(&mut world, &cookie, &csrf, b"MP3", 100).status, 422);
    assert_eq!(upload(&mut world, &cookie, &csrf, b"", 100).status, 422);
    assert_eq!(upload(&mut world, &cookie, "AAAAAAAAAAAAAAAAAAAAAA", &wav(&tone), 100).status, 403);
    assert_eq!(upload(&mut world, &cookie, &csrf, &wav(&samples(500_000)), 8192).status, 413);
    assert!(world.home.greeting.is_none() && world.home.coming.is_none());
    // A connection that breaks takes what it brought along.
    let stream = world.open();
    let head = format!(
        "POST /greeting HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 9000\r\n\
         Content-Type: multipart/form-data; boundary=xX\r\n\r\n--xX\r\nContent-Disposition: form-data; name=csrf\r\n\r\n{csrf}\r\n\
         --xX\r\nContent-Disposition: form-data; name=file\r\n\r\n"
    );
    world.exchange(stream, head.as_bytes(), 4096, 8192);
    world.exchange(stream, &wav(&tone)[..4000], 4096, 8192);
    assert!(world.home.coming.is_some());
    // Another has to wait until this one is over.
    let refused = world.ask(&format!(
        "POST /greeting HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 9\r\n\
         Content-Type: multipart/form-data; boundary=xX\r\n\r\n"
    ));
    assert_eq!((refused.status, refused.is_closed), (503, true));
    world.close(stream);
    assert!(world.home.coming.is_none() && world.web.is_empty());
    assert_eq!(upload(&mut world, &cookie, &csrf, &wav(&tone), 100).status, 303);
}
