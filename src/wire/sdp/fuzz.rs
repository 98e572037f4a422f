//! One entry that reads any bytes as an offer, and checks what its answer promises.

use super::{Audio, Offer, RtcpWay, choose, choose_again, choose_answer, is_message_session, media, write_answer};
use crate::base::text::Writer;

/// Reads `bytes` as an offer and as an answer. Panics when a promise is broken: an offer with a stream that is chosen has
/// an answer; it can be read, has as many m= lines, all but the chosen one refused, and by it the other side chooses the
/// same codec and numbers.
pub fn fuzz(bytes: &[u8]) {
    let _ = (media(bytes).count(), is_message_session(bytes), choose_answer(bytes));
    let Ok(offer) = Offer::parse(bytes) else { return };
    assert_eq!(offer.streams().count(), offer.stream_count());
    let Ok(chosen) = choose(&offer) else { return };
    assert_eq!(choose_again(&offer, chosen.codec), Ok(chosen));
    let own = core::net::SocketAddr::from(([192, 0, 2, 9], 16_384));
    let mut buffer = [0; BYTES];
    let mut out = Writer::new(&mut buffer);
    write_answer(&offer, &chosen, own, (u64::MAX, u32::MAX), &mut out);
    // It repeats no more of an offer than its medium, protocol and one format of each stream.
    let Ok(len) = out.finish() else {
        assert!(bytes.len() > BYTES / 2);
        return;
    };
    let answer = Offer::parse(&buffer[..len]).expect("an answer can be read");
    assert_eq!(answer.stream_count(), offer.stream_count());
    let is_right =
        |(index, port)| (port == own.port()) == (index == chosen.stream_index) && (port == own.port() || port == 0);
    assert!(answer.streams().map(|stream| stream.port).enumerate().all(is_right));
    let theirs = choose(&answer).expect("an answer has the common codec");
    assert_eq!((theirs.codec, theirs.payload_type, theirs.dtmf), (chosen.codec, chosen.payload_type, chosen.dtmf));
    assert!(theirs.remote == own && theirs.stream_index == chosen.stream_index);
    assert_eq!(theirs.rtcp == RtcpWay::Mux, chosen.rtcp == RtcpWay::Mux);
    assert!(chosen.codec != Audio::Opus || theirs.ptime_ms == chosen.ptime_ms);
}

/// Room for an answer; only an offer with words of kilobytes has a longer one.
const BYTES: usize = 8 * 1024;
