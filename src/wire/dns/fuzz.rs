//! One entry that runs the reader over any bytes, and checks what it promises about what it accepts.

use super::*;
use crate::base::text::Writer;

/// Reads `bytes` as a response and as the text of a name. Panics when a promise is broken: a name that was read can be
/// written and read again and is at most 255 bytes long, the sections hold as many records as they say, and a written
/// query asks what it was told to.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(name) = Name::from_text(bytes) {
        same(&name);
    }
    let Ok(message) = Message::parse(bytes) else { return };
    let _ = (message.rcode(), message.is_truncated(), message.is_competent());
    let Ok(records) = message.records() else { return };
    let count = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    assert_eq!(records.answer().count(), count(6));
    assert_eq!(records.additional().count(), count(10));
    let _ = records.negative_ttl_s();
    for record in records.answer().chain(records.additional()) {
        same(&record.owner);
        assert!(record.ttl_s <= i32::MAX as u32);
        match record.data {
            Data::Cname(name) => same(&name),
            Data::Srv(srv) => same(&srv.target),
            Data::Naptr(naptr) => same(&naptr.replacement),
            _ => {}
        }
    }
}

/// The name in a query that was made a response by one bit is the name.
fn same(name: &Name) {
    let mut buffer = [0; QUERY_BYTES];
    let mut out = Writer::new(&mut buffer);
    write_query(7, name, Kind::SRV, true, &mut out);
    let len = out.finish().expect("every query fits");
    buffer[2] |= 0x80;
    let message = Message::parse(&buffer[..len]).expect("a query is well-formed");
    assert!(message.is_answer_to(7, name, Kind::SRV));
    assert_eq!(message.records().expect("so are its records").additional().count(), 1);
    assert_eq!(name.labels().count() == 0, name.is_root());
}
