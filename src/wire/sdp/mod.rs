//! SDP (RFC 8866): which media a description offers, as far as the proxy looks into it; and, for what the server answers by
//! itself, one side of the offer/answer model (RFC 3264): an [`Offer`] is read, a plain RTP audio stream is chosen from it
//! ([`choose`]), and the answer written. Where the other side makes the answer, the server's own offer is written and the
//! answer read.
//!
//! Left out: SRTP, ICE, BUNDLE, capability negotiation (RFC 5939), multicast, names in c=, and any medium but audio: all
//! that an answer without them refuses as RFC 3264 says.

mod answer;
mod choose;
mod fuzz;
mod offer;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};

pub use answer::{write_answer, write_offer};
pub use choose::{AnswerFault, Audio, Chosen, NoCommon, RtcpWay, choose, choose_again, choose_answer};
pub use fuzz::fuzz;
pub use offer::{Direction, LINES, Offer, STREAMS, SdpFault};

use crate::base::text::Writer;

/// The media of a description: what kind and on which port (0 = refused). Lines that can't be read are passed over.
pub fn media(body: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    body.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.trim_ascii_end().strip_prefix(b"m=")?.split(|byte| *byte == b' ');
        let kind = words.next()?;
        let port = words.next()?.split(|byte| *byte == b'/').next()?;
        Some((kind, core::str::from_utf8(port).ok()?.parse().ok()?))
    })
}

/// Whether a description offers video.
pub fn offers_video(body: &[u8]) -> bool {
    media(body).any(|(kind, port)| kind == b"video" && port != 0)
}

/// Whether a description offers nothing but a session of messages, as clients of Microsoft's RTC library do.
pub fn is_message_session(body: &[u8]) -> bool {
    let mut kinds = media(body).map(|(kind, _)| kind).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == b"x-ms-message")
}

/// Writes the description that accepts one, at an address of ours.
pub fn write_message_session(own: SocketAddr, out: &mut Writer<'_>) {
    out.text("v=0\r\no=- 0 0 ");
    address(own.ip(), out);
    out.text("\r\ns=session\r\nc=");
    address(own.ip(), out);
    out.text("\r\nt=0 0\r\nm=x-ms-message ");
    out.number(own.port().into());
    out.text(" sip null\r\n");
}

/// An address as o= and c= have it.
fn address(ip: IpAddr, out: &mut Writer<'_>) {
    out.text(if ip.is_ipv6() { "IN IP6 " } else { "IN IP4 " });
    out.ip(ip);
}
