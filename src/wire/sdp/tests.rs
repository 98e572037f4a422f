//! Offers as clients make them, what is chosen of them, and what is answered.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

const OWN: &str = "192.0.2.1:16384";

/// baresip 1.0, audio only.
const BARESIP: &str = "v=0\r\no=- 3844923190 1265327181 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
    a=tool:baresip 1.0.0\r\nm=audio 16100 RTP/AVP 8 0 101\r\nb=AS:125\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:16101\r\na=sendrecv\r\na=label:1\r\na=rtcp-rsize\r\n\
    a=ssrc:3212178571 cname:sip:alice@home.test\r\na=ptime:20\r\n";

/// Linphone 5, with video, RTCP feedback, and Opus before G.711.
const LINPHONE: &str = "v=0\r\no=carol 3150 3071 IN IP4 192.0.2.20\r\ns=Talk\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n\
    a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\na=record:off\r\n\
    m=audio 7078 RTP/AVPF 96 97 98 0 8 18 101 99 100\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
    a=rtpmap:97 speex/16000\r\na=fmtp:97 vbr=on\r\na=rtpmap:98 speex/8000\r\na=fmtp:98 vbr=on\r\na=fmtp:18 annexb=yes\r\n\
    a=rtpmap:101 telephone-event/48000\r\na=rtpmap:99 telephone-event/16000\r\na=rtpmap:100 telephone-event/8000\r\n\
    a=rtcp-fb:* trr-int 1000\r\na=rtcp-fb:* ccm tmmbr\r\n\
    m=video 9078 RTP/AVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\na=rtcp-fb:* ccm tmmbr\r\n";

/// PJSIP 2.12 with ICE, as MicroSIP and Asterisk's friends send it.
const PJSIP: &str = "v=0\r\no=- 3870163560 3870163560 IN IP4 198.51.100.7\r\ns=pjmedia\r\nb=AS:84\r\nt=0 0\r\na=X-nat:3\r\n\
    m=audio 4010 RTP/AVP 8 0 3 120\r\nc=IN IP4 198.51.100.7\r\nb=TIAS:64000\r\na=rtcp:4055 IN IP4 198.51.100.8\r\n\
    a=sendrecv\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:120 telephone-event/8000\r\na=fmtp:120 0-16\r\n\
    a=ssrc:1133094612 cname:1aac5c2d3ddb3fd0\r\na=rtcp-mux\r\na=ice-ufrag:3f6ae3cc\r\na=ice-pwd:0f3f1d9b6a2b\r\n\
    a=candidate:Hc0a80207 1 UDP 2130706431 192.168.2.7 4010 typ host\r\n";

/// A desk phone that puts the call on hold.
const HOLD: &str = "v=0\r\no=root 20087 20089 IN IP4 192.0.2.30\r\ns=call\r\nc=IN IP4 192.0.2.30\r\nt=0 0\r\n\
    m=audio 61000 RTP/AVP 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:30\r\na=sendonly\r\n";

/// A browser.
const WEBRTC: &str = "v=0\r\no=- 6532 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:Oyef\r\n\
    a=fingerprint:sha-256 49:66:12:17\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";

fn offer(body: &str) -> Offer<'_> {
    Offer::parse(body.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}: {body}"))
}

fn chosen(body: &str) -> Chosen {
    choose(&offer(body)).unwrap_or_else(|_| panic!("nothing in {body}"))
}

fn answered(body: &str, own: &str) -> String {
    let mut buffer = [0; 2048];
    let mut out = Writer::new(&mut buffer);
    write_answer(&offer(body), &chosen(body), own.parse().unwrap(), (7, 2), &mut out);
    let len = out.finish().unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A session with the given lines after it.
fn session(lines: &str) -> String {
    format!("v=0\no=- 1 1 IN IP4 192.0.2.5\ns=-\nc=IN IP4 192.0.2.5\nt=0 0\n{lines}")
}

#[test]
fn kinds() {
    let body = b"v=0\r\nm=audio 40000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\nm=video\r\nm=text 9/2 RTP/AVP 98\n";
    let seen: Vec<_> = media(body).collect();
    assert_eq!(seen, [(&b"audio"[..], 40000), (b"video", 0), (b"text", 9)]);
    assert!(!is_message_session(body) && is_message_session(b"v=0\r\nm=x-ms-message 5060 sip sip:a@b\r\n"));
    assert!(!is_message_session(b"v=0\r\n"));
    assert!(!offers_video(body) && offers_video(b"m=video 4 RTP/AVP 96"));
}

#[test]
fn message_session() {
    let mut buffer = [0; 256];
    let mut out = Writer::new(&mut buffer);
    write_message_session(socket("[2001:db8::1]:5060"), &mut out);
    assert_eq!(
        out.written(),
        b"v=0\r\no=- 0 0 IN IP6 2001:db8::1\r\ns=session\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
            m=x-ms-message 5060 sip null\r\n"
    );
}

#[test]
fn baresip() {
    let expected = Chosen {
        stream_index: 0,
        codec: Audio::Alaw,
        payload_type: 8,
        dtmf: Some(101),
        remote: socket("192.0.2.10:16100"),
        rtcp: RtcpWay::Port(socket("192.0.2.10:16101")),
        ptime_ms: 20,
        is_held: false,
        direction: Direction::SendRecv,
    };
    assert_eq!(chosen(BARESIP), expected);
    assert_eq!(
        answered(BARESIP, OWN),
        "v=0\r\no=- 7 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 16384 RTP/AVP 8 101\r\n\
            a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn linphone_prefers_mu_law_of_what_we_have_and_its_video_is_refused() {
    let taken = chosen(LINPHONE);
    assert_eq!((taken.codec, taken.payload_type, taken.dtmf), (Audio::Ulaw, 0, Some(100)));
    assert_eq!(taken.rtcp, RtcpWay::Port(socket("192.0.2.20:7079")));
    let answer = answered(LINPHONE, OWN);
    let media: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(media, ["m=audio 16384 RTP/AVPF 0 100", "m=video 0 RTP/AVPF 96"]);
    assert!(answer.contains("a=rtpmap:100 telephone-event/8000\r\n") && !answer.contains("rtcp-fb"));
}

#[test]
fn the_same_coding_again() {
    let again = choose_again(&offer(LINPHONE), Audio::Alaw).unwrap();
    assert_eq!((again.codec, again.payload_type, again.dtmf), (Audio::Alaw, 8, Some(100)));
    let again = choose_again(&offer(LINPHONE), Audio::Opus).unwrap();
    assert_eq!((again.codec, again.payload_type, again.dtmf), (Audio::Opus, 96, Some(101)));
    assert_eq!(choose_again(&offer(BARESIP), Audio::Opus), Err(NoCommon));
}

#[test]
fn pjsip_has_one_port_and_no_ice_from_us() {
    let taken = chosen(PJSIP);
    assert_eq!((taken.remote, taken.rtcp, taken.dtmf), (socket("198.51.100.7:4010"), RtcpWay::Mux, Some(120)));
    let answer = answered(PJSIP, OWN);
    assert!(answer.ends_with("a=fmtp:120 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\n"), "{answer}");
    assert!(!answer.contains("ice") && !answer.contains("candidate"));
    let without = PJSIP.replace("a=rtcp-mux\r\n", "");
    assert_eq!(chosen(&without).rtcp, RtcpWay::Port(socket("198.51.100.8:4055")));
    assert!(!answered(&without, OWN).contains("rtcp-mux"));
}

#[test]
fn hold() {
    let held = chosen(HOLD);
    assert!(held.is_held && held.direction == Direction::RecvOnly);
    assert_eq!((held.codec, held.ptime_ms), (Audio::Ulaw, 30));
    assert!(answered(HOLD, OWN).ends_with("a=ptime:30\r\na=recvonly\r\n"));
    for (theirs, held, ours) in [
        ("inactive", true, Direction::Inactive),
        ("recvonly", false, Direction::SendOnly),
        ("sendrecv", false, Direction::SendRecv),
        ("label:9", false, Direction::SendRecv),
    ] {
        let taken = chosen(&HOLD.replace("sendonly", theirs));
        assert_eq!((taken.is_held, taken.direction), (held, ours), "{theirs}");
    }
    // As it was before RFC 3264, for the session or for the stream; and said for all streams at once.
    let old = HOLD.replace("c=IN IP4 192.0.2.30", "c=IN IP4 0.0.0.0").replace("sendonly", "sendrecv");
    let taken = chosen(&old);
    assert_eq!((taken.is_held, taken.direction), (true, Direction::RecvOnly));
    assert_eq!(taken.remote, socket("0.0.0.0:61000"));
    let six = HOLD.replace("a=ptime:30", "c=IN IP6 ::").replace("sendonly", "recvonly");
    assert_eq!((chosen(&six).is_held, chosen(&six).direction), (true, Direction::Inactive));
    let of_session = HOLD.replace("a=sendonly\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n");
    assert_eq!(chosen(&of_session).direction, Direction::Inactive);
}

#[test]
fn encrypted_media_are_not_ours() {
    assert_eq!(choose(&offer(WEBRTC)), Err(NoCommon));
    let savp = session("m=audio 4000 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n");
    assert_eq!(choose(&offer(&savp)), Err(NoCommon));
    // Both are offered: the plain stream is taken, in its place.
    let both = session("m=audio 4000 RTP/SAVP 8\nm=audio 4002 RTP/AVP 8\n");
    assert_eq!((chosen(&both).stream_index, chosen(&both).remote), (1, socket("192.0.2.5:4002")));
    assert!(answered(&both, OWN).contains("m=audio 0 RTP/SAVP 8\r\nm=audio 16384 RTP/AVP 8\r\n"));
}

#[test]
fn several_streams() {
    let body = session(
        "m=video 4000 RTP/AVP 96\na=rtpmap:96 VP8/90000\na=inactive\nm=audio 0 RTP/AVP 8\nm=audio 4004/2 RTP/AVP 0\n\
            c=IN IP4 192.0.2.6\nm=audio 4006 RTP/AVP 8\nm=application 9 TCP/MSRP *\n",
    );
    let taken = chosen(&body);
    assert_eq!((taken.stream_index, taken.codec, taken.remote), (2, Audio::Ulaw, socket("192.0.2.6:4004")));
    assert_eq!(taken.direction, Direction::SendRecv, "what is said of the video is not said of the voice");
    let answer = answered(&body, OWN);
    let media: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        media,
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/AVP 8",
            "m=audio 16384 RTP/AVP 0",
            "m=audio 0 RTP/AVP 8",
            "m=application 0 TCP/MSRP *"
        ]
    );
    // Opus that comes first does not win over G.711 in a later stream.
    let body = session("m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\nm=audio 4002 RTP/AVP 0\n");
    assert_eq!(chosen(&body).stream_index, 1);
}

#[test]
fn ipv6() {
    let body =
        "v=0\r\no=- 1 1 IN IP6 2001:db8::7\r\ns=-\r\nc=IN IP6 2001:db8::7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
    let taken = chosen(body);
    assert_eq!(taken.remote, socket("[2001:db8::7]:4000"));
    assert_eq!(taken.rtcp, RtcpWay::Port(socket("[2001:db8::7]:4001")));
    let answer = answered(body, "[2001:db8::1]:16386");
    assert!(answer.starts_with("v=0\r\no=- 7 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\n"), "{answer}");
    let mapped = body.replace("c=IN IP6 2001:db8::7", "c=IN IP6 ::ffff:192.0.2.9");
    assert_eq!(chosen(&mapped).remote, socket("192.0.2.9:4000"));
}

#[test]
fn opus_where_there_is_nothing_else() {
    let body = session(
        "m=audio 4000 RTP/AVP 109 9 100 101\na=rtpmap:109 OPUS/48000/2\na=rtpmap:100 telephone-event/8000\n\
            a=rtpmap:101 telephone-event/48000\na=ptime:60\n",
    );
    let taken = chosen(&body);
    assert_eq!((taken.codec, taken.payload_type, taken.dtmf, taken.ptime_ms), (Audio::Opus, 109, Some(101), 20));
    assert!(answered(&body, OWN).ends_with(
        "m=audio 16384 RTP/AVP 109 101\r\na=rtpmap:109 opus/48000/2\r\na=fmtp:109 maxplaybackrate=8000;\
            sprop-maxcapturerate=8000;maxaveragebitrate=16000;stereo=0;usedtx=1\r\na=rtpmap:101 telephone-event/48000\r\n\
            a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    ));
    assert_eq!(Audio::Opus.clock_hz(), 48_000);
    // One channel of Opus is not Opus as RTP has it (RFC 7587 §7).
    assert_eq!(choose(&offer(&body.replace("OPUS/48000/2", "OPUS/48000"))), Err(NoCommon));
}

#[test]
fn what_a_payload_type_is() {
    let types = |formats: &str, lines: &str| {
        let body = session(&format!("m=audio 4000 RTP/AVP {formats}\n{lines}"));
        choose(&offer(&body)).ok().map(|taken| (taken.codec, taken.payload_type, taken.dtmf))
    };
    assert_eq!(types("0 8", ""), Some((Audio::Ulaw, 0, None)));
    assert_eq!(types("8 0", ""), Some((Audio::Alaw, 8, None)));
    // Any number may be mapped; what is said wins over what is usual, and what is said first over the rest.
    assert_eq!(types("97 0", "a=rtpmap:97 pcma/8000/1\n"), Some((Audio::Alaw, 97, None)));
    assert_eq!(types("8 0", "a=rtpmap:8 G729/8000\n"), Some((Audio::Ulaw, 0, None)));
    assert_eq!(types("96", "a=rtpmap:96 PCMU/8000\na=rtpmap:96 PCMA/8000\n"), Some((Audio::Ulaw, 96, None)));
    assert_eq!(types("8", "a=rtpmap:101 telephone-event/8000\n"), Some((Audio::Alaw, 8, None)), "not in the m= line");
    assert_eq!(types("8 101", "a=rtpmap:101 telephone-event/16000\n"), Some((Audio::Alaw, 8, None)));
    for (formats, lines) in [
        ("18 9 101", "a=rtpmap:101 telephone-event/8000\n"),
        ("96", "a=rtpmap:96 PCMA/16000\n"),
        ("96", "a=rtpmap:96 PCMA/8000/2\n"),
        ("96", "a=rtpmap:96\n"),
        ("96", "a=rtpmap: 96\na=rtpmapped:96 PCMA/8000\n"),
        ("136 264 -8 08x 99999999999", "a=rtpmap:136 PCMA/8000\n"),
    ] {
        assert_eq!(types(formats, lines), None, "{formats} {lines}");
    }
}

#[test]
fn packet_times() {
    let ptime = |lines: &str| chosen(&session(&format!("m=audio 4000 RTP/AVP 8\n{lines}"))).ptime_ms;
    for (lines, expected) in [
        ("", 20),
        ("a=ptime:10\n", 10),
        ("a=ptime:60\n", 60),
        ("a=ptime:70\n", 20),
        ("a=ptime:300\n", 20),
        ("a=ptime:25\n", 20),
        ("a=ptime:0\n", 20),
        ("a=ptime:-20\n", 20),
        ("a=ptime:40\na=maxptime:30\n", 20),
        ("a=maxptime:10\n", 10),
        ("a=ptime:30\na=maxptime:150\n", 30),
    ] {
        assert_eq!(ptime(lines), expected, "{lines}");
    }
}

#[test]
fn addresses_that_cannot_be_sent_to() {
    let with = |connection: &str| session(&format!("m=audio 4000 RTP/AVP 8\nc={connection}\n"));
    for connection in [
        "IN IP4 phone.example",
        "IN IP4 233.252.0.1/127",
        "IN IP6 ff15::101/3",
        "IN IP4 255.255.255.255",
        "IN IP4 192.0.2.1/9",
    ] {
        assert_eq!(choose(&offer(&with(connection))), Err(NoCommon), "{connection}");
    }
    for connection in ["IN IP5 phone.example", "TN RFC2543 +1-201-406-4090", "IN IP4", "IN", ""] {
        assert_eq!(Offer::parse(with(connection).as_bytes()), Err(SdpFault::Connection), "{connection}");
    }
    // RTCP elsewhere than at an address: by the port at that of RTP. There is no port after the last.
    let rtcp = |lines: &str| choose(&offer(&session(lines))).map(|taken| taken.rtcp);
    let at = |text| Ok(RtcpWay::Port(socket(text)));
    assert_eq!(rtcp("m=audio 4000 RTP/AVP 8\na=rtcp:4009 IN IP4 phone.example\n"), at("192.0.2.5:4009"));
    assert_eq!(rtcp("m=audio 4000 RTP/AVP 8\na=rtcp:4009 IN IP4 0.0.0.0\n"), at("192.0.2.5:4009"));
    assert_eq!(rtcp("m=audio 4000 RTP/AVP 8\na=rtcp:0\n"), at("192.0.2.5:4001"));
    assert_eq!(rtcp("m=audio 65535 RTP/AVP 8\n"), Err(NoCommon));
    assert_eq!(rtcp("m=audio 65535 RTP/AVP 8\na=rtcp-mux\n"), Ok(RtcpWay::Mux));
}

#[test]
fn faults() {
    let fault = |body: &str| Offer::parse(body.as_bytes()).err();
    for (body, expected) in [
        ("", SdpFault::Version),
        ("o=- 1 1 IN IP4 192.0.2.5\nv=0\n", SdpFault::Version),
        ("v=1\no=- 1 1 IN IP4 192.0.2.5\n", SdpFault::Version),
        ("v=0\ns=-\nt=0 0\n", SdpFault::Origin),
        ("v=0\ns=-\nm=audio 1 RTP/AVP 0\nc=IN IP4 192.0.2.5\no=- 1 1 IN IP4 192.0.2.5\n", SdpFault::Origin),
        ("v=0\no=-\nm=audio 4000 RTP/AVP 8\n", SdpFault::Connection),
        ("v=0\no=-\nm=audio 4000 RTP/AVP 8\nc=IN IP4 192.0.2.5\nm=video 4000 RTP/AVP 8\n", SdpFault::Connection),
    ] {
        assert_eq!(fault(body), Some(expected), "{body}");
    }
    for media in [
        "m=",
        "m=audio",
        "m=audio 4000",
        "m=audio 4000 RTP/AVP",
        "m=audio 4000 RTP/AVP ",
        "m=audio x RTP/AVP 8",
        "m=audio -1 RTP/AVP 8",
        "m=audio +1 RTP/AVP 8",
        "m=audio 65536 RTP/AVP 8",
        "m=audio 99999999999999999999 RTP/AVP 8",
        "m=audio /2 RTP/AVP 8",
        "m=aud\u{e5}o 4000 RTP/AVP 8",
        "m=audio 4000 RTP/AVP \u{7}",
    ] {
        assert_eq!(fault(&session(media)), Some(SdpFault::Media), "{media}");
    }
    // No media at all can be read, and refused; a refused stream needs no address.
    assert_eq!(choose(&offer(&session(""))), Err(NoCommon));
    assert_eq!(fault("v=0\no=-\nm=audio 0 RTP/AVP 8\n"), None);
}

#[test]
fn what_is_long() {
    let mut lines = session("m=audio 4000 RTP/AVP 8\n");
    while lines.len() < 70_000 {
        lines.push_str("a=candidate:1 1 UDP 2130706431 192.168.2.7 4010 typ host\r\n");
    }
    assert_eq!(Offer::parse(lines.as_bytes()), Err(SdpFault::TooManyLines));
    let most = |count: usize| session(&"a=x\n".repeat(count - 6)) + "m=audio 4000 RTP/AVP 8";
    assert_eq!(Offer::parse(most(offer::LINES).as_bytes()).map(|offer| offer.stream_count()), Ok(1));
    assert_eq!(Offer::parse(most(offer::LINES + 1).as_bytes()), Err(SdpFault::TooManyLines));
    let streams = |count: usize| session(&"m=audio 4000 RTP/AVP 9\n".repeat(count));
    assert_eq!(offer(&streams(offer::STREAMS)).stream_count(), offer::STREAMS);
    assert_eq!(Offer::parse(streams(offer::STREAMS + 1).as_bytes()), Err(SdpFault::TooManyStreams));
    let formats = session(&format!("m=audio 4000 RTP/AVP {}8\n", "9 ".repeat(30_000)));
    assert_eq!(chosen(&formats).payload_type, 8);
    // As much as there may be of everything.
    let mut slow = session(&format!("a={}\n", "x".repeat(60)).repeat(offer::LINES - 30));
    slow.push_str(&"m=audio 4000 RTP/AVP 9\n".repeat(offer::STREAMS));
    assert!((60_000..crate::base::limits::MESSAGE_BYTES).contains(&slow.len()));
    assert_eq!(choose(&offer(&slow)), Err(NoCommon));
}

#[test]
fn time_is_repeated() {
    let at = |time: &str| answered(&session("m=audio 4000 RTP/AVP 8\n").replace("t=0 0", time), OWN);
    assert!(at("t=2873397496 2873404696").contains("\r\nt=2873397496 2873404696\r\nm="));
    for odd in ["t=0", "t=0 0 0", "t=x 0", "t=now then", "b=AS:1"] {
        assert!(at(odd).contains("\r\nt=0 0\r\nm="), "{odd}");
    }
}

#[test]
fn our_own_offer_and_its_answers() {
    let mut buffer = [0; 512];
    let mut out = Writer::new(&mut buffer);
    write_offer(socket(OWN), (9, 1), &mut out);
    let own = String::from_utf8(out.written().to_vec()).unwrap();
    assert_eq!(
        own,
        "v=0\r\no=- 9 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 16384 RTP/AVP 8 0 101\r\n\
            a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
            a=ptime:20\r\na=sendrecv\r\n"
    );
    let answer = |lines: &str| choose_answer(session(lines).as_bytes());
    let taken =
        answer("m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\na=rtcp-mux\na=sendonly\n").unwrap();
    // They send what our offer numbered.
    assert_eq!((taken.codec, taken.payload_type, taken.dtmf), (Audio::Ulaw, 0, Some(101)));
    assert_eq!((taken.rtcp, taken.is_held), (RtcpWay::Port(socket("192.0.2.5:4001")), true));
    assert_eq!(answer("m=audio 4000 RTP/AVP 8\n").unwrap().dtmf, None);
    for refusal in [
        "m=audio 0 RTP/AVP 8\n",
        "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n",
        "m=video 0 RTP/AVP 8\nm=audio 4000 RTP/AVP 8\n",
        "",
    ] {
        assert_eq!(answer(refusal), Err(AnswerFault::NoCommon), "{refusal}");
    }
    assert_eq!(choose_answer(b"hello"), Err(AnswerFault::Unreadable(SdpFault::Version)));
    assert_eq!(choose_answer(own.as_bytes()).unwrap().codec, Audio::Alaw);
}

#[test]
fn an_answer_that_does_not_fit_is_noticed() {
    let mut buffer = [0; 100];
    let mut out = Writer::new(&mut buffer);
    write_answer(&offer(BARESIP), &chosen(BARESIP), socket(OWN), (1, 1), &mut out);
    assert!(out.finish().is_err());
}

#[test]
fn mutations() {
    let seeds = [BARESIP, LINPHONE, PJSIP, HOLD, WEBRTC];
    seeds.iter().for_each(|seed| fuzz(seed.as_bytes()));
    let mut state = 0x5eed_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut readable = 0;
    for _ in 0..20_000 {
        let mut bytes = seeds[random(seeds.len())].as_bytes().to_vec();
        for _ in 0..=random(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random(bytes.len());
            match random(5) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.drain(at..(at + 1 + random(12)).min(bytes.len()))),
                2 => bytes.insert(at, b" \r\n/:=0m"[random(8)]),
                3 => bytes.truncate(at + 1),
                _ => {
                    let other = seeds[random(seeds.len())].as_bytes();
                    let from = random(other.len());
                    let part = &other[from..(from + random(80)).min(other.len())];
                    drop(bytes.splice(at..at, part.iter().copied()));
                }
            }
        }
        fuzz(&bytes);
        readable += u32::from(Offer::parse(&bytes).is_ok_and(|offer| choose(&offer).is_ok()));
    }
    // Mutations of which nothing can be chosen would prove little.
    assert!(readable > 4_000, "{readable}");
}
