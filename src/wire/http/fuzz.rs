//! Entry for fuzzing: whatever the bytes are, every reader ends, and what is borrowed lies within them.

use super::{Form, FormReader, Head, Ranged, Upload, cookie, decode, end_of_head, etag_matches, prefers, query_field};

/// Reads `bytes` as a head, a form, an upload and the values of fields.
pub fn fuzz(bytes: &[u8]) {
    let cut = bytes.first().map_or(1, |byte| usize::from(*byte).max(1));
    if let Some(end) = end_of_head(bytes, 0) {
        assert!(end <= bytes.len());
        if let Ok(head) = Head::parse(&bytes[..end]) {
            assert!(head.path.starts_with(b"/"));
            fields(head.range);
            fields(head.cookie);
            fields(head.query);
        }
    }
    fields(bytes);
    const NAMES: super::Names = &[("csrf", 32), ("text", 200)];
    let mut room = [0; 256];
    let mut reader = FormReader::new();
    if bytes.chunks(cut).try_for_each(|piece| reader.feed(piece, NAMES, &mut room)).is_ok()
        && let Ok(form) = reader.finish(NAMES, &mut room)
    {
        check(&form);
    }
    let Ok(mut upload) = Upload::begin(b"multipart/form-data; boundary=x") else { return };
    let mut data = 0;
    for mut piece in bytes.chunks(cut) {
        while let Some(event) = upload.next(&mut piece) {
            if let super::Event::Data(part) = event {
                data += part.len();
            }
        }
        assert!(piece.is_empty());
    }
    assert!(data <= bytes.len());
}

fn check(form: &Form<'_>) {
    assert!(form.fields().all(|(name, value)| value.len() <= if name == "csrf" { 32 } else { 200 }));
}

fn fields(value: &[u8]) {
    if let Ranged::Part(range) = Ranged::parse(value, 1000) {
        assert!(range.start < range.end && range.end <= 1000);
    }
    let mut room = [0; 64];
    assert!(decode(value, &mut room).is_none_or(|decoded| decoded.len() <= value.len()));
    let _ = (cookie(value, b"pcs"), query_field(value, b"before"), etag_matches(value, b"\"a\""));
    assert!(prefers(value, &["en", "sv", "zh"]).is_none_or(|index| index < 3));
}
