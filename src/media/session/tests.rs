//! Whole conversations: datagrams in, datagrams and the file out.

use super::*;
use crate::media::g711::Law;
use crate::media::ogg;
use crate::media::opus::UNITS_PER_MS;
use std::format;
use std::string::String;
use std::vec::Vec;

const PEER: &str = "192.0.2.1:4000";
const OTHER: &str = "198.51.100.9:6000";
const LOUD: u8 = 0x2a;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn setup(codec: Codec) -> Setup {
    Setup {
        codec,
        payload_type: 8,
        dtmf: Some(101),
        ssrc: 0x0a0b_0c0d,
        sequence: 65_534,
        timestamp: u32::MAX - 200,
        remote: address(PEER),
        remote_rtcp: None,
        limit_ms: 60_000,
        silence_ms: 5_000,
    }
}

/// 400 ms.
static ADPCM: [u8; 1600] = [0x17; 1600];
const BUILT_IN: Prompt = Prompt::BuiltIn { adpcm: &ADPCM, opus: Packets(b"\x02\x08\x01\x02\x08\x02") };

/// A session and what came out of it, in virtual time.
struct Call {
    session: Session,
    now: u64,
    sent: Vec<(u64, Sending, Vec<u8>)>,
    file: Vec<u8>,
    sequence: u16,
    timestamp: u32,
}

impl Call {
    fn new(setup: &Setup) -> Self {
        let session = Session::new(at(1000), setup);
        let (sequence, timestamp) = (65_500, u32::MAX - 5000);
        Self { session, now: 1000, sent: Vec::new(), file: Vec::new(), sequence, timestamp }
    }

    /// One that records: the prompt and the beep are said.
    fn recording(setup: &Setup) -> Self {
        let mut call = Self::new(setup);
        call.session.speak(at(1000), BUILT_IN);
        call.until(|call| call.session.phase() == Phase::Recording);
        call
    }

    fn turn(&mut self) {
        let mut out = [0; SENDING_BYTES];
        while let Some(sending) = self.session.poll(at(self.now), &mut out) {
            self.sent.push((self.now, sending, out[..sending.len].to_vec()));
            assert!(self.sent.len() < 10_000);
        }
        let deadline = self.session.deadline();
        assert!(deadline.is_none_or(|deadline| deadline > at(self.now)), "{deadline:?} at {}", self.now);
        self.write(false);
    }

    fn write(&mut self, is_last: bool) {
        let mut out = [0; 3000];
        loop {
            let len = self.session.take_chunk(is_last, &mut out);
            self.file.extend(&out[..len]);
            if len == 0 {
                break;
            }
        }
    }

    /// Lets time pass from deadline to deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        self.turn();
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= at(end)) {
            self.now = deadline.millis();
            self.turn();
        }
        self.now = end;
    }

    fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        self.turn();
        while !is_so(self) {
            self.now = self.session.deadline().expect("something to wait for").millis();
            self.turn();
        }
    }

    /// A packet from `from`, of the type and with the payload.
    fn packet(&mut self, from: &str, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Heard {
        let mut bytes = [0; 1500];
        let mut out = Writer::new(&mut bytes);
        let ssrc = 0x5555;
        Packet { payload_type, is_marked: false, sequence, timestamp, ssrc, payload }.write(&mut out);
        let heard = self.session.received(at(self.now), address(from), out.written());
        self.turn();
        heard
    }

    /// So many packets of 20 ms, one after the other.
    fn talk(&mut self, count: usize, byte: u8) {
        for _ in 0..count {
            self.pass(20);
            self.packet(PEER, 8, self.sequence, self.timestamp, &[byte; 160]);
            self.sequence = self.sequence.wrapping_add(1);
            self.timestamp = self.timestamp.wrapping_add(160);
        }
    }

    fn key(&mut self, payload: &[u8; 4]) -> Heard {
        self.sequence = self.sequence.wrapping_add(1);
        self.packet(PEER, 101, self.sequence.wrapping_sub(1), self.timestamp, payload)
    }

    fn finish(&mut self) -> &[u8] {
        self.session.finish(at(self.now));
        self.turn();
        self.write(true);
        &self.file
    }

    fn rtp(&self) -> Vec<(u64, Packet<'_>)> {
        let rtp = self.sent.iter().filter(|(.., bytes)| !rtp::is_control(bytes));
        rtp.map(|(at, _, bytes)| (*at, Packet::parse(bytes).unwrap())).collect()
    }
}

#[test]
fn greeting_beep_recording() {
    let mut call = Call::new(&setup(Codec::Alaw));
    call.pass(3000);
    assert!(call.sent.is_empty() && call.session.deadline().is_none() && call.session.phase() == Phase::Idle);
    call.session.speak(at(call.now), BUILT_IN);
    call.until(|call| call.session.phase() == Phase::Recording);
    let rtp = call.rtp();
    // 400 ms of prompt, 250 ms of beep, filled up to 260 ms.
    assert_eq!(rtp.len(), 20 + 13);
    for (i, (ms, packet)) in rtp.iter().enumerate() {
        assert_eq!(*ms, 4000 + 20 * i as u64);
        assert_eq!(packet.sequence, 65_534u16.wrapping_add(i as u16));
        // It began 3 s after the session did.
        assert_eq!(packet.timestamp, (u32::MAX - 200).wrapping_add(3000 * 8).wrapping_add(160 * i as u32));
        assert_eq!((packet.is_marked, packet.payload_type, packet.payload.len()), (i == 0, 8, 160));
    }
    let mut state = crate::media::adpcm::State::new();
    let expected: Vec<u8> =
        ADPCM.iter().flat_map(|byte| [*byte, byte >> 4]).map(|code| Law::A.encode(state.decode(code))).collect();
    assert_eq!(rtp[..20].iter().flat_map(|(_, packet)| packet.payload).copied().collect::<Vec<u8>>(), expected);
    let beep = Law::A.encode(10_000);
    assert!(rtp[24].1.payload.contains(&beep) && !rtp[19].1.payload.contains(&beep));
    assert!(call.sent.iter().all(|(_, sending, _)| sending.to == address(PEER) && !sending.is_rtcp));
    // Then it keeps quiet, but for a packet every 5 s.
    let before = rtp.len();
    call.talk(600, LOUD);
    let rtp = call.rtp();
    assert_eq!(rtp.len() - before, 2);
    let (ms, last) = rtp[rtp.len() - 1];
    assert_eq!((last.payload, last.is_marked), (&[Law::A.silence(); 160][..], true));
    assert_eq!(last.timestamp, (u32::MAX - 200).wrapping_add((ms as u32 - 1000) * 8));
    assert_eq!(call.finish().len(), 600 * 160);
}

#[test]
fn what_comes_in_the_greeting_is_not_recorded() {
    let mut call = Call::new(&setup(Codec::Ulaw));
    call.session.speak(at(1000), BUILT_IN);
    call.talk(15, LOUD);
    assert_eq!(call.session.phase(), Phase::Greeting);
    call.until(|call| call.session.phase() == Phase::Recording);
    call.timestamp = call.timestamp.wrapping_add(160 * 18);
    call.sequence = call.sequence.wrapping_add(18);
    call.talk(10, 0x2b);
    call.finish();
    assert_eq!(call.file, [0x2b; 1600]);
    assert_eq!(call.session.counters().lost, 0);
}

#[test]
fn hash_skips_the_greeting_and_ends_the_recording_once() {
    let mut call = Call::new(&setup(Codec::Alaw));
    call.session.speak(at(1000), BUILT_IN);
    call.pass(100);
    assert_eq!(call.key(b"\x0b\x0a\x00\xa0"), Heard::Nothing);
    assert_eq!(call.session.phase(), Phase::Greeting);
    assert_eq!(call.key(b"\x0b\x8a\x01\x40"), Heard::Digit('#'));
    assert_eq!(call.session.phase(), Phase::Beep);
    // The end is repeated; it is the same key.
    assert_eq!([call.key(b"\x0b\x8a\x01\x40"), call.key(b"\x0b\x8a\x01\x40")], [Heard::Nothing; 2]);
    call.until(|call| call.session.phase() == Phase::Recording);
    call.timestamp = call.timestamp.wrapping_add(4000);
    call.talk(50, LOUD);
    assert_eq!(call.key(b"\x05\x8a\x01\x40"), Heard::Digit('5'));
    call.timestamp = call.timestamp.wrapping_add(800);
    call.talk(50, LOUD);
    assert_eq!(call.session.phase(), Phase::Recording);
    assert_eq!(call.key(b"\x0b\x8a\x01\x40"), Heard::Digit('#'));
    assert_eq!(call.session.phase(), Phase::Ended(Why::Hash));
    assert_eq!(call.key(b"\x0b\x8a\x01\x40"), Heard::Nothing);
    call.finish();
    assert_eq!(call.session.phase(), Phase::Ended(Why::Hash));
    // 50 packets, the 100 ms of the key, 50 packets.
    assert_eq!(call.file.len(), 50 * 160 + 800 + 50 * 160);
    assert_eq!(call.session.deadline(), None);
}

#[test]
fn reordered_lost_and_doubled_packets() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    for (n, byte) in [(0, 1), (2, 3), (1, 2), (1, 2), (3, 4), (6, 7), (7, 8)] {
        call.packet(PEER, 8, 100 + n, 160 * u32::from(n), &[byte | 0x20; 160]);
        call.pass(20);
    }
    call.finish();
    let packets: Vec<u8> = call.file.chunks(160).map(|chunk| chunk[0]).collect();
    assert_eq!(packets, [0x21, 0x22, 0x23, 0x24, 0xd5, 0xd5, 0x27, 0x28]);
    let counters = call.session.counters();
    assert_eq!((counters.received, counters.lost, counters.late), (7, 2, 1));
}

#[test]
fn only_one_address_is_heard() {
    // Nothing comes from the negotiated address: the first that sends the right thing is the peer, and stays it.
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.packet(OTHER, 96, 1, 160, &[LOUD; 160]);
    call.packet(OTHER, 8, 1, 160, &[LOUD; 160]);
    call.packet(PEER, 8, 2, 320, &[1; 160]);
    call.packet("203.0.113.3:9", 8, 2, 320, &[1; 160]);
    call.packet(OTHER, 8, 2, 320, &[LOUD; 160]);
    let counters = call.session.counters();
    assert_eq!((counters.received, counters.foreign), (2, 3));
    call.pass(5500);
    let (_, sending, _) = call.sent.iter().rfind(|(.., bytes)| !rtp::is_control(bytes)).unwrap();
    assert_eq!(sending.to, address(OTHER));
    // After another negotiation it is looked for again; one that changes no address changes nothing.
    call.session.retarget(&setup(Codec::Alaw));
    call.packet(PEER, 8, 3, 480, &[1; 160]);
    assert_eq!(call.session.counters().foreign, 4);
    call.session.retarget(&Setup { remote: address("192.0.2.1:4002"), ..setup(Codec::Alaw) });
    call.packet("192.0.2.1:4002", 8, 3, 480, &[LOUD; 160]);
    call.packet(OTHER, 8, 4, 640, &[1; 160]);
    assert_eq!((call.session.counters().received, call.session.counters().foreign), (3, 5));
    assert!(!call.finish().contains(&1));
    // What bears our own SSRC is an echo.
    let mut call = Call::recording(&setup(Codec::Alaw));
    let echo = call.sent[0].2.clone();
    call.session.received(at(call.now), address(PEER), &echo);
    assert_eq!(call.session.counters().foreign, 1);
}

#[test]
fn another_stream_takes_over_with_its_second_packet() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.talk(10, LOUD);
    let stray = |call: &mut Call, sequence: u16, byte: u8| {
        let mut bytes = [0; 200];
        let mut out = Writer::new(&mut bytes);
        let (timestamp, payload) = (u32::from(sequence) * 160, &[byte; 160][..]);
        Packet { payload_type: 8, is_marked: false, sequence, timestamp, ssrc: 9, payload }.write(&mut out);
        call.pass(20);
        call.session.received(at(call.now), address(PEER), out.written());
        call.turn();
    };
    stray(&mut call, 500, 0x21);
    call.talk(1, LOUD);
    (700..710).for_each(|sequence| stray(&mut call, sequence, 0x22));
    call.finish();
    let packets: Vec<u8> = call.file.chunks(160).map(|chunk| chunk[0]).collect();
    assert_eq!(packets[..11], [LOUD; 11]);
    assert_eq!(packets[11..], [0x22; 9]);
}

#[test]
fn limit() {
    let mut call = Call::recording(&Setup { limit_ms: 2000, ..setup(Codec::Alaw) });
    call.talk(99, LOUD);
    assert_eq!(call.session.phase(), Phase::Recording);
    call.talk(1, LOUD);
    assert_eq!(call.session.phase(), Phase::Ended(Why::Limit));
    call.talk(10, LOUD);
    assert_eq!(call.finish().len(), 16_000);
}

#[test]
fn silence_that_is_sent_and_silence_that_is_not() {
    for is_sent in [true, false] {
        let mut call = Call::recording(&setup(Codec::Alaw));
        call.talk(50, LOUD);
        let began = call.now;
        if is_sent {
            call.talk(249, 0xd4);
            assert_eq!(call.session.phase(), Phase::Recording);
            call.talk(1, 0xd4);
        } else {
            call.until(|call| call.session.phase() != Phase::Recording);
        }
        assert_eq!(call.session.phase(), Phase::Ended(Why::Silence));
        let ms = call.now - began;
        assert!((5000..=5400).contains(&ms), "{ms}");
        let len = call.finish().len() as u64;
        assert!((6000..6100).contains(&(len / 8)), "{len}");
    }
}

#[test]
fn nobody_there() {
    let mut call = Call::recording(&Setup { silence_ms: 0, ..setup(Codec::Alaw) });
    let began = call.now;
    call.until(|call| call.session.phase() != Phase::Recording);
    assert_eq!((call.session.phase(), call.now - began), (Phase::Ended(Why::NoAudio), 10_000));
    assert!(call.session.recorded_ms() > 9_000 && call.session.heard_ms() == 0, "silence is recorded, and none heard");
}

#[test]
fn hold_stops_everything_but_reports() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.talk(50, LOUD);
    call.session.hold(at(call.now), true);
    let before = call.rtp().len();
    call.talk(1000, 0x22);
    assert_eq!((call.rtp().len(), call.session.phase()), (before, Phase::Recording));
    assert!(call.sent.iter().filter(|(.., bytes)| rtp::is_control(bytes)).count() >= 3);
    call.session.hold(at(call.now), false);
    call.talk(50, LOUD);
    assert_eq!(call.finish(), [LOUD; 100 * 160]);
    // In the greeting, it goes on where it was; and nobody is waited for without end.
    let mut call = Call::new(&setup(Codec::Alaw));
    call.session.speak(at(1000), BUILT_IN);
    call.pass(100);
    call.session.hold(at(call.now), true);
    call.pass(7000);
    assert_eq!(call.rtp().len(), 6);
    call.session.hold(at(call.now), false);
    call.until(|call| call.session.phase() == Phase::Recording);
    assert_eq!(call.rtp().len(), 33);
    assert!(call.rtp()[6].1.is_marked);
    call.session.hold(at(call.now), true);
    call.pass(180_000);
    assert_eq!(call.session.phase(), Phase::Ended(Why::Silence));
}

#[test]
fn stored_prompt_in_parts() {
    let blob: Vec<u8> = (0..12_345u32).map(|i| (i * 7) as u8).collect();
    for codec in [Codec::Alaw, Codec::Ulaw] {
        let mut call = Call::new(&setup(codec));
        call.session.speak(at(1000), Prompt::Stored { samples: 12_345, opus: Packets(b"") });
        while call.session.phase() == Phase::Greeting {
            // The disk takes 60 ms each time.
            let wanted = call.session.wanted();
            call.pass(60);
            if let Some((offset, len)) = wanted {
                assert!(len <= 8192);
                call.session.prompt(offset, &blob[offset as usize..(offset + len) as usize]);
                call.session.prompt(offset, b"not wanted any more");
            }
        }
        let rtp = call.rtp();
        let said: Vec<u8> = rtp.iter().flat_map(|(_, packet)| packet.payload).copied().collect();
        let expected = |byte: &u8| if codec == Codec::Alaw { *byte } else { Law::Mu.encode(Law::A.decode(*byte)) };
        assert_eq!(said[..12_345], blob.iter().map(expected).collect::<Vec<u8>>());
        // No gap: the packets are 20 ms apart.
        assert!(rtp.windows(2).all(|pair| pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp) == 160));
    }
}

#[test]
fn stored_prompt_that_cannot_be_read() {
    let beep_after = |call: &mut Call| {
        call.until(|call| call.session.phase() == Phase::Beep);
        call.now - 1000
    };
    let mut call = Call::new(&setup(Codec::Alaw));
    call.session.speak(at(1000), Prompt::Stored { samples: 8000, opus: Packets(b"") });
    call.session.prompt(0, &[]);
    assert_eq!(beep_after(&mut call), 0);
    // A disk that says nothing.
    let mut call = Call::new(&setup(Codec::Alaw));
    call.session.speak(at(1000), Prompt::Stored { samples: 8000, opus: Packets(b"") });
    assert!((2900..3100).contains(&beep_after(&mut call)));
    // One that fails half way.
    let mut call = Call::new(&setup(Codec::Alaw));
    call.session.speak(at(1000), Prompt::Stored { samples: 8000, opus: Packets(b"") });
    call.session.prompt(0, &[LOUD; 1600]);
    call.session.prompt(1600, &[]);
    assert_eq!(beep_after(&mut call), 200);
}

#[test]
fn refusal_ends_by_itself() {
    for codec in [Codec::Alaw, Codec::Opus] {
        let mut call = Call::new(&setup(codec));
        call.session.speak(at(1000), BUILT_IN);
        call.session.refuse(at(1000));
        call.until(|call| matches!(call.session.phase(), Phase::Ended(_)));
        assert_eq!(call.session.phase(), Phase::Ended(Why::Refused));
        assert!((110..=135).contains(&call.rtp().len()), "{}", call.rtp().len());
        assert!(call.finish().is_empty());
    }
}

#[test]
fn reports_and_goodbye() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.talk(1, LOUD);
    // Its report, from its port for RTCP.
    let mut bytes = [0; 100];
    let mut out = Writer::new(&mut bytes);
    let sender = SenderInfo { ntp: 0x1111_2222_3333_4444, timestamp: 0, packets: 1, octets: 160 };
    rtp::write_report(0x5555, Some(&sender), None, &mut out);
    let heard = call.session.rtcp_received(at(call.now), address("192.0.2.1:4001"), out.written());
    assert_eq!(heard, Heard::Nothing);
    call.talk(1500, LOUD);
    let reports: Vec<_> = call.sent.iter().filter(|(.., bytes)| rtp::is_control(bytes)).cloned().collect();
    assert!((4..=13).contains(&reports.len()), "{}", reports.len());
    assert!(reports.windows(2).all(|pair| (2500..=7500).contains(&(pair[1].0 - pair[0].0))));
    let (_, sending, bytes) = &reports[0];
    assert_eq!((sending.to, sending.is_rtcp), (address("192.0.2.1:4001"), true));
    let parts: Vec<_> = Compound::parse(bytes).unwrap().iter().collect();
    let [Control::Report { ssrc: 0x0a0b_0c0d, sender: Some(info), blocks }, Control::CanonicalName { name, .. }] =
        &parts[..]
    else {
        panic!("{parts:?}")
    };
    assert!(info.packets >= 33 && info.octets == info.packets * 160);
    assert_eq!(*name, b"0a0b0c0dffffff37fffe");
    let block = blocks.iter().next().unwrap();
    assert_eq!((block.ssrc, block.fraction_lost, block.last_report), (0x5555, 0, 0x2222_3333));
    call.finish();
    let (_, _, bytes) = call.sent.last().unwrap();
    assert!(Compound::parse(bytes).unwrap().iter().any(|part| matches!(part, Control::Bye(_))));
    assert_eq!(call.session.deadline(), None);
    let before = call.sent.len();
    call.pass(60_000);
    assert_eq!(call.sent.len(), before);
}

#[test]
fn goodbye_of_the_peer_and_of_others() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.talk(1, LOUD);
    let goodbye = |ssrc: u32| {
        let mut bytes = [0; 100];
        let mut out = Writer::new(&mut bytes);
        rtp::write_report(ssrc, None, None, &mut out);
        rtp::write_bye(ssrc, &mut out);
        out.written().to_vec()
    };
    let now = at(call.now);
    assert_eq!(call.session.rtcp_received(now, address(OTHER), &goodbye(0x5555)), Heard::Nothing);
    assert_eq!(call.session.rtcp_received(now, address(PEER), &goodbye(0x5556)), Heard::Nothing);
    assert_eq!(call.session.rtcp_received(now, address(PEER), b"\x80\xcb\0\x09"), Heard::Nothing);
    // On the port for RTP: then reports go there, too.
    assert_eq!(call.session.received(now, address(PEER), &goodbye(0x5555)), Heard::ByeRtcp);
    let counters = call.session.counters();
    assert_eq!((counters.foreign, counters.malformed), (1, 1));
    call.finish();
    let (_, sending, _) = call.sent.last().unwrap();
    assert_eq!((sending.to, sending.is_rtcp), (address(PEER), false));
}

#[test]
fn unexpected_payloads_only_hold_their_place() {
    let mut call = Call::recording(&setup(Codec::Alaw));
    call.talk(5, LOUD);
    let (sequence, timestamp) = (call.sequence, call.timestamp);
    call.packet(PEER, 13, sequence, timestamp, b"\x40");
    call.packet(PEER, 8, sequence.wrapping_add(1), timestamp, &[1; 1400]);
    call.packet(PEER, 8, sequence.wrapping_add(2), timestamp, b"");
    call.sequence = sequence.wrapping_add(3);
    call.talk(5, LOUD);
    let counters = call.session.counters();
    assert_eq!((counters.unexpected, counters.lost), (3, 0));
    assert_eq!(call.finish(), [LOUD; 1600]);
}

#[test]
fn opus_both_ways() {
    let mut call = Call::recording(&setup(Codec::Opus));
    let rtp = call.rtp();
    assert_eq!(rtp.len(), 2 + 13);
    assert_eq!((rtp[0].1.payload, rtp[2].1.payload), (&b"\x08\x01"[..], opus::BEEP.packet(0).unwrap().0));
    assert_eq!(rtp[1].1.timestamp.wrapping_sub(rtp[0].1.timestamp), 960);
    for n in 0..100u16 {
        call.pass(20);
        let payload = [0x08, n as u8, 3];
        // One is lost, and 2 s of pause in the middle.
        let pause = if n < 50 { 0 } else { 2000 * UNITS_PER_MS };
        if n == 50 {
            call.pass(2000);
        }
        if n != 30 {
            call.packet(PEER, 8, n, 960 * u32::from(n) + pause, &payload);
        }
    }
    let file = call.finish();
    let (mut rest, mut packets, mut granule) = (file, 0, 0);
    while let Some((page, after)) = ogg::Page::parse(rest) {
        (rest, packets, granule) = (after, packets + page.packets().count(), page.granule);
    }
    assert!(rest.is_empty());
    assert_eq!((packets, granule), (2 + 200, 200 * 960));
}

/// Other readers of Ogg agree.
#[test]
fn file_plays_elsewhere() {
    if std::process::Command::new("opusinfo").arg("--help").output().is_err() {
        std::println!("skipped: opusinfo is not installed");
        return;
    }
    let mut call = Call::recording(&setup(Codec::Opus));
    let mut next = 0;
    for n in 0..110u16 {
        call.pass(20);
        let (packet, after) = opus::REFUSAL.packet(next).unwrap();
        next = after;
        if !(40..55).contains(&n) {
            call.packet(PEER, 8, n, 960 * u32::from(n), packet);
        }
    }
    call.finish();
    let path = std::env::temp_dir().join(format!("pcsd-media-{}.opus", std::process::id()));
    let info = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let output = std::process::Command::new("opusinfo").arg(&path).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let whole = info(&call.file);
    assert!(whole.contains("Playback length: 0m:02.120s") && !whole.to_lowercase().contains("warning"), "{whole}");
    let torn = info(&call.file[..call.file.len() - 100]);
    assert!(torn.contains("Playback length: 0m:01."), "{torn}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn any_bytes() {
    let mut seed = 0x2545_f491u32;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    };
    for _ in 0..300 {
        let mut script = Vec::new();
        let (mut sequence, mut timestamp) = (random() as u16, random());
        for _ in 0..random() % 200 {
            let len = (random() % 180) as usize;
            script.extend([len as u8 + 12, (random() % 256) as u8, 0x80, [8, 8, 8, 101, 0xc8][random() as usize % 5]]);
            sequence = sequence.wrapping_add([1, 1, 1, 2, 0, 0xffff, 5000][random() as usize % 7]);
            timestamp = timestamp.wrapping_add([160, 160, 960, 0, 80_000, random()][random() as usize % 6]);
            script.extend(sequence.to_be_bytes());
            script.extend(timestamp.to_be_bytes());
            script.extend([0, 0, 0, 2 + (random() % 8 / 7) as u8]);
            script.extend((0..len).map(|_| random() as u8));
        }
        (0..2).for_each(|_| script.push(0));
        crate::media::fuzz::fuzz_session(&script);
    }
}
