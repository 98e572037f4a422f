//! Writing descriptions (RFC 8866 §9): the answer to an offer (RFC 3264 §6), and an offer for who sent none.

use core::net::SocketAddr;

use super::address;
use super::choose::{Audio, Chosen, PTIME_MS, RtcpWay};
use super::offer::{Direction, Offer, word};
use crate::base::text::Writer;

/// Writes the answer that takes `chosen`, from [`choose`](super::choose) on the same offer, at the RTP port `own`, and
/// refuses all other streams. `session` is the id and the version of o=: the id stays the same in a call, the version
/// goes up by one whenever the description changes (RFC 3264 §8).
///
/// RTCP is taken on the next port, or on the same one when the offer has it so.
pub fn write_answer(offer: &Offer<'_>, chosen: &Chosen, own: SocketAddr, session: (u64, u32), out: &mut Writer<'_>) {
    write_session(own, session, offer.time().unwrap_or(b"0 0"), out);
    for (index, stream) in offer.streams().enumerate() {
        out.text("m=");
        out.put(stream.kind);
        if index == chosen.stream_index {
            let codec = (chosen.codec, chosen.payload_type);
            write_port(own, stream.protocol, out);
            write_codecs(&[codec], chosen.dtmf, out);
            write_tail(chosen.ptime_ms, chosen.direction, out);
            out.text(if chosen.rtcp == RtcpWay::Mux { "a=rtcp-mux\r\n" } else { "" });
        } else {
            out.text(" 0 ");
            out.put(stream.protocol);
            out.text(" ");
            out.put(word(stream.formats).map_or(b"0", |(format, _)| format));
            out.text("\r\n");
        }
    }
}

/// Writes an offer of G.711 and events, for an INVITE that brought none; what comes back is read by
/// [`choose_answer`](super::choose_answer).
pub fn write_offer(own: SocketAddr, session: (u64, u32), out: &mut Writer<'_>) {
    write_session(own, session, b"0 0", out);
    out.text("m=audio");
    write_port(own, b"RTP/AVP", out);
    write_codecs(&[(Audio::Alaw, OWN_ALAW), (Audio::Ulaw, OWN_ULAW)], Some(OWN_DTMF), out);
    write_tail(PTIME_MS, Direction::SendRecv, out);
}

fn write_session(own: SocketAddr, (id, version): (u64, u32), time: &[u8], out: &mut Writer<'_>) {
    out.text("v=0\r\no=- ");
    out.number(id);
    out.text(" ");
    out.number(version.into());
    out.text(" ");
    address(own.ip(), out);
    out.text("\r\ns=-\r\nc=");
    address(own.ip(), out);
    out.text("\r\nt=");
    out.put(time);
    out.text("\r\n");
}

fn write_port(own: SocketAddr, protocol: &[u8], out: &mut Writer<'_>) {
    out.text(" ");
    out.number(own.port().into());
    out.text(" ");
    out.put(protocol);
}

/// The rest of the m= line, and what its payload types are.
fn write_codecs(codecs: &[(Audio, u8)], dtmf: Option<u8>, out: &mut Writer<'_>) {
    for payload_type in codecs.iter().map(|(_, payload_type)| *payload_type).chain(dtmf) {
        out.text(" ");
        out.number(payload_type.into());
    }
    out.text("\r\n");
    for (codec, payload_type) in codecs {
        write_attribute("rtpmap", *payload_type, codec.encoding(), out);
        if *codec == Audio::Opus {
            write_attribute("fmtp", *payload_type, OPUS_FMTP, out);
        }
    }
    if let Some(payload_type) = dtmf {
        let events = codecs.first().map_or(Audio::Alaw, |(codec, _)| *codec).events();
        write_attribute("rtpmap", payload_type, events, out);
        // The keys of a telephone.
        write_attribute("fmtp", payload_type, "0-15", out);
    }
}

fn write_attribute(name: &str, payload_type: u8, value: &str, out: &mut Writer<'_>) {
    out.text("a=");
    out.text(name);
    out.text(":");
    out.number(payload_type.into());
    out.text(" ");
    out.text(value);
    out.text("\r\n");
}

fn write_tail(ptime_ms: u8, direction: Direction, out: &mut Writer<'_>) {
    out.text("a=ptime:");
    out.number(ptime_ms.into());
    out.text(match direction {
        Direction::SendRecv => "\r\na=sendrecv\r\n",
        Direction::SendOnly => "\r\na=sendonly\r\n",
        Direction::RecvOnly => "\r\na=recvonly\r\n",
        Direction::Inactive => "\r\na=inactive\r\n",
    });
}

/// Telephone quality, and nothing sent in silence (RFC 7587 §6.1).
const OPUS_FMTP: &str = "maxplaybackrate=8000;sprop-maxcapturerate=8000;maxaveragebitrate=16000;stereo=0;usedtx=1";
/// RFC 3551 §6.
pub(super) const OWN_ULAW: u8 = 0;
pub(super) const OWN_ALAW: u8 = 8;
/// The number for events that most phones use themselves.
pub(super) const OWN_DTMF: u8 = 101;
