//! SDP (RFC 8866), as far as signalling looks into it: which media a description offers.

use core::net::SocketAddr;

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
    let family = if own.is_ipv6() { "IN IP6 " } else { "IN IP4 " };
    out.text("v=0\r\no=- 0 0 ");
    out.text(family);
    out.ip(own.ip());
    out.text("\r\ns=session\r\nc=");
    out.text(family);
    out.ip(own.ip());
    out.text("\r\nt=0 0\r\nm=x-ms-message ");
    out.number(own.port().into());
    out.text(" sip null\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let body = b"v=0\r\nm=audio 40000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\nm=video\r\nm=text 9/2 RTP/AVP 98\n";
        let seen: std::vec::Vec<_> = media(body).collect();
        assert_eq!(seen, [(&b"audio"[..], 40000), (b"video", 0), (b"text", 9)]);
        assert!(!is_message_session(body) && is_message_session(b"v=0\r\nm=x-ms-message 5060 sip sip:a@b\r\n"));
        assert!(!is_message_session(b"v=0\r\n"));
        assert!(!offers_video(body) && offers_video(b"m=video 4 RTP/AVP 96"));
    }
}
