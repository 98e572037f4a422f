//! Messages in a stream (RFC 3261 §7.5, §18.3) and keep-alives between them (RFC 5626 §3.5.1).
//!
//! A message without Content-Length has no body: the field is mandatory on streams.

use super::header::Name;
use super::lex::Fault;
use super::message::{self, content_length, empty_line};

/// What a stream's next bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Not all of it is there.
    Incomplete {
        /// The length of the whole message, once that is known.
        needed: Option<usize>,
    },
    /// A keep-alive request, CRLF CRLF, to be answered with CRLF.
    Ping {
        /// Bytes to take from the stream.
        len: usize,
    },
    /// A line end between messages, or the answer to a keep-alive.
    Blank {
        /// Bytes to take from the stream.
        len: usize,
    },
    /// A message.
    Message {
        /// Bytes to take from the stream.
        len: usize,
    },
    /// Where the next message begins can't be told: answer if there is enough to answer, then close.
    Broken(Fault),
}

/// Looks at the bytes that a stream has brought. A message larger than `max` is a 513; a Content-Length that can't be
/// read, or two that differ, a 400.
///
/// A single CRLF at the end of `bytes` may be half a keep-alive request, so it is incomplete; who waits for the answer
/// to its own request compares `bytes` first.
pub fn next(bytes: &[u8], max: usize) -> Frame {
    if let Some(frame) = blank(bytes) {
        return frame;
    }
    let mut length = None;
    let mut at = message::line(bytes, 0, false).next;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(after) = empty_line(rest) {
            return complete(bytes, at + after, length.unwrap_or(0), max);
        }
        let (line, field) = message::field_line(bytes, at);
        // Whether the last line goes on, or a fold follows it, shows only when more has come.
        if line.next >= bytes.len() {
            // The end of the head is still to come, so a head that fills `max` is too large.
            return if bytes.len() >= max { Frame::Broken(TOO_LARGE) } else { Frame::Incomplete { needed: None } };
        }
        if let Some((Name::ContentLength, value)) = field {
            match (length, content_length(&bytes[value])) {
                (None, Ok(found)) => length = Some(found),
                (Some(known), Ok(found)) if known == found => {}
                (Some(_), Ok(_)) => return Frame::Broken(Fault::bad("Contradicting Content-Length")),
                (_, Err(fault)) => return Frame::Broken(fault),
            }
        }
        at = line.next;
    }
}

/// What is between messages, if that is what comes first.
fn blank(bytes: &[u8]) -> Option<Frame> {
    match bytes {
        [b'\r', b'\n', b'\r', b'\n', ..] => Some(Frame::Ping { len: 4 }),
        [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => Some(Frame::Incomplete { needed: None }),
        [b'\r', b'\n', ..] => Some(Frame::Blank { len: 2 }),
        [b'\n', ..] => Some(Frame::Blank { len: 1 }),
        _ => None,
    }
}

fn complete(bytes: &[u8], head: usize, body: usize, max: usize) -> Frame {
    let len = head.saturating_add(body);
    if len > max {
        Frame::Broken(TOO_LARGE)
    } else if len > bytes.len() {
        Frame::Incomplete { needed: Some(len) }
    } else {
        Frame::Message { len }
    }
}

const TOO_LARGE: Fault = Fault { status: 513, reason: "Message Too Large" };

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"OPTIONS sip:h SIP/2.0\r\nl :\r\n 3\r\nX: y\r\n\r\nabc";

    #[test]
    fn byte_by_byte() {
        for len in 0..MESSAGE.len() {
            let needed = (len >= MESSAGE.len() - 3).then_some(MESSAGE.len());
            assert_eq!(next(&MESSAGE[..len], 100), Frame::Incomplete { needed }, "{len}");
        }
        assert_eq!(next(MESSAGE, 100), Frame::Message { len: MESSAGE.len() });
        let two = [MESSAGE, b"OPTIONS"].concat();
        assert_eq!(next(&two, MESSAGE.len()), Frame::Message { len: MESSAGE.len() });
    }

    #[test]
    fn between_messages() {
        for len in 0..4 {
            assert_eq!(next(&b"\r\n\r\n"[..len], 100), Frame::Incomplete { needed: None });
        }
        assert_eq!(next(b"\r\n\r\n\r\n", 100), Frame::Ping { len: 4 });
        assert_eq!(next(b"\r\nO", 100), Frame::Blank { len: 2 });
        assert_eq!(next(b"\nO", 100), Frame::Blank { len: 1 });
    }

    #[test]
    fn lengths() {
        let with = |fields: &str| next(std::format!("OPTIONS sip:h SIP/2.0\r\n{fields}\r\nab").as_bytes(), 100);
        assert_eq!(with(""), Frame::Message { len: 25 });
        assert_eq!(with("l: 2\r\nContent-Length: 02\r\n"), Frame::Message { len: 53 });
        for bad in ["l: 2\r\nContent-Length: 3\r\n", "l: -1\r\n", "l:\r\n", "l: x\r\n", "l: 1 2\r\n"] {
            assert!(matches!(with(bad), Frame::Broken(Fault { status: 400, .. })), "{bad}");
        }
        assert_eq!(with("l: 99999999999999999999999\r\n"), Frame::Broken(TOO_LARGE));
        assert_eq!(with("l: 70\r\n"), Frame::Broken(TOO_LARGE));
        assert_eq!(with("l: 68\r\n"), Frame::Incomplete { needed: Some(100) });
    }

    #[test]
    fn too_large() {
        assert_eq!(next(&[b'a'; 99], 100), Frame::Incomplete { needed: None });
        assert_eq!(next(&[b'a'; 100], 100), Frame::Broken(TOO_LARGE));
        assert_eq!(next(&b"a\r\n".repeat(40), 100), Frame::Broken(TOO_LARGE));
        assert_eq!(next(MESSAGE, MESSAGE.len() - 1), Frame::Broken(TOO_LARGE));
    }
}
