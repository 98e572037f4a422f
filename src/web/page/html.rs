//! Text in HTML: what strangers wrote becomes text and nothing else, in content and in quoted attributes alike.

use crate::base::text::Writer;

/// Most bytes that one character becomes.
const CHARACTER_BYTES: usize = 6;

/// Writes text so that it is only text. Line ends are LF; other control characters are left out; what is not UTF-8 is
/// U+FFFD.
pub(super) fn escape(text: &[u8], out: &mut Writer<'_>) {
    escape_some(text, usize::MAX, out);
}

/// As [`escape`], but writes at most `room` bytes; how many bytes of the text were taken. Some are, if `room` is large
/// enough for one character.
pub(crate) fn escape_some(text: &[u8], room: usize, out: &mut Writer<'_>) -> usize {
    let (begin, mut taken) = (out.len(), 0);
    let has_room = |out: &Writer<'_>| room - (out.len() - begin).min(room) >= CHARACTER_BYTES;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if !has_room(out) {
                return taken;
            }
            put(character, out);
            taken += character.len_utf8();
        }
        if !chunk.invalid().is_empty() {
            if !has_room(out) {
                return taken;
            }
            out.text("\u{fffd}");
            taken += chunk.invalid().len();
        }
    }
    taken
}

fn put(character: char, out: &mut Writer<'_>) {
    match character {
        '&' => out.text("&amp;"),
        '<' => out.text("&lt;"),
        '>' => out.text("&gt;"),
        '"' => out.text("&quot;"),
        '\'' => out.text("&#39;"),
        '\n' | '\t' => out.put(&[character as u8]),
        _ if character.is_control() => {}
        _ => out.text(character.encode_utf8(&mut [0; 4])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8], room: usize) -> (std::string::String, usize) {
        let mut buffer = [0; 256];
        let mut out = Writer::new(&mut buffer);
        let taken = escape_some(text, room, &mut out);
        assert!(out.len() <= room);
        (std::string::String::from_utf8(out.written().to_vec()).unwrap(), taken)
    }

    #[test]
    fn only_text() {
        let (text, _) = escaped(b"<a href=\"x\" b='y'>&\r\n\t\0\x1b[2J\xff\xc3", 200);
        assert_eq!(text, "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\n\t[2J\u{fffd}\u{fffd}");
    }

    #[test]
    fn in_pieces_of_any_size() {
        let text = "a<\u{e5}\u{4f60}\u{1f600}&&\u{9b}b".as_bytes();
        let whole = escaped(text, 200).0;
        for room in CHARACTER_BYTES..60 {
            let (mut at, mut joined) = (0, std::string::String::new());
            while at < text.len() {
                let (piece, taken) = escaped(&text[at..], room);
                assert!(taken > 0);
                (at, joined) = (at + taken, joined + &piece);
            }
            assert_eq!(joined, whole, "{room}");
        }
        assert_eq!(escaped(text, CHARACTER_BYTES - 1).1, 0);
    }
}
