//! Parsers side by side: a 1 KB INVITE, split into its fields, with top Via, From, To, CSeq and Contact as typed values,
//! those with a URI down to the parts of the URI.
//!
//! Usage: `parse` prints nanoseconds and allocations of each parser; `parse --once PARSER N` parses N times and prints
//! nothing, for a tool that counts instructions.

mod counter;

use core::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: counter::Counting = counter::Counting;

/// Reads all the fields, which are passed through `black_box`; panics when one can't be read.
type Parse = fn(&[u8]);

const PARSERS: [(&str, Parse); 3] = [("pcsd", pcsd), ("rsipstack", rsipstack), ("rsip", rsip)];

fn main() -> ExitCode {
    let message = invite();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&message),
        ["--once", name, times] => {
            let parser = PARSERS.iter().find(|(known, _)| *known == name);
            let (Some((_, parse)), Ok(times)) = (parser, times.parse::<u64>()) else { return usage() };
            for _ in 0..times {
                parse(black_box(&message));
            }
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: parse [--once pcsd|rsipstack|rsip N]");
    ExitCode::from(2)
}

/// The message as it is on the wire: lines end with CRLF, Content-Length is right.
fn invite() -> Vec<u8> {
    let text = include_str!("invite.sip").replace('\n', "\r\n");
    let (_, body) = text.split_once("\r\n\r\n").expect("the message has a head and a body");
    text.replace("Content-Length: BODY", &format!("Content-Length: {}", body.len())).into_bytes()
}

/// Rounds of all parsers, one after the other, so that a disturbance meets each; prints the median of the rounds.
fn compare(message: &[u8]) {
    println!("parser bytes ns allocations bytes_allocated");
    let mut rounds = PARSERS.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (times, (_, parse)) in rounds.iter_mut().zip(PARSERS) {
            times.push(time(message, parse));
        }
    }
    for (mut times, (name, parse)) in rounds.into_iter().zip(PARSERS) {
        times.sort_unstable_by(f64::total_cmp);
        let before = counter::counted();
        parse(black_box(message));
        let after = counter::counted();
        let median = times[ROUNDS / 2];
        println!("{name} {} {median:.0} {} {}", message.len(), after.0 - before.0, after.1 - before.1);
    }
}

/// Nanoseconds of one parse in a round of them.
fn time(message: &[u8], parse: Parse) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < ROUND {
        for _ in 0..100 {
            parse(black_box(message));
        }
        count += 100;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Short ones, so that in most of them nothing else gets the processor.
const ROUNDS: usize = 301;
const ROUND: Duration = Duration::from_millis(2);

fn pcsd(bytes: &[u8]) {
    use pcsd::wire::sip::{Contacts, Message};
    let message = Message::parse(bytes).expect("a good message");
    assert!(message.fault().is_none());
    // The Request-URI was read with the message, as the peers do.
    black_box(message.request_uri().expect("a request"));
    let essentials = message.essentials().expect("a good message");
    let from = essentials.from.parsed_uri().expect("a good URI");
    let to = essentials.to.parsed_uri().expect("a good URI");
    let Contacts::List(contacts) = message.contacts().expect("good contacts") else { panic!("no contacts") };
    for contact in contacts.iter() {
        black_box(contact.parsed_uri().expect("a good URI"));
        black_box(&contact);
    }
    black_box((essentials.via.branch(), essentials.from.tag()));
    black_box((essentials, &from, &to));
}

fn rsipstack(bytes: &[u8]) {
    use rsipstack::sip::{HeadersExt, SipMessage, ToTypedHeader};
    let message = SipMessage::try_from(bytes).expect("a good message");
    let SipMessage::Request(request) = &message else { panic!("a request") };
    black_box(&request.uri);
    let via = request.via_header().expect("Via").typed().expect("a good Via");
    let from = request.from_header().expect("From").typed().expect("a good From");
    let to = request.to_header().expect("To").typed().expect("a good To");
    let cseq = request.cseq_header().expect("CSeq").typed().expect("a good CSeq");
    let contacts = request.typed_contact_headers().expect("good contacts");
    black_box((via.branch(), from.tag()));
    black_box((&message, &via, &from, &to, &cseq, &contacts));
}

fn rsip(bytes: &[u8]) {
    use rsip::prelude::{HeadersExt, ToTypedHeader};
    let message = rsip::SipMessage::try_from(bytes).expect("a good message");
    let rsip::SipMessage::Request(request) = &message else { panic!("a request") };
    black_box(&request.uri);
    let via = request.via_header().expect("Via").typed().expect("a good Via");
    let from = request.from_header().expect("From").typed().expect("a good From");
    let to = request.to_header().expect("To").typed().expect("a good To");
    let cseq = request.cseq_header().expect("CSeq").typed().expect("a good CSeq");
    let contact = request.contact_header().expect("Contact").typed().expect("a good contact");
    black_box((via.branch(), from.tag()));
    black_box((&message, &via, &from, &to, &cseq, &contact));
}
