//! What a login by SCRAM with 10,000 hashes costs, in the steps that it is cut into.
//!
//! Usage: `scram SCRAM-SHA-1|SCRAM-SHA-256` prints the number of steps and the microseconds of a step (median) and of
//! them all; `scram SCRAM-SHA-1|SCRAM-SHA-256 N` logs in N times and prints nothing, for a tool that counts instructions.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Instant;

use pcsd::base::random::Random;
use pcsd::base::text::{Writer, base64url_decode, base64url_encode};
use pcsd::bridge::xmpp::sasl::{Credentials, Mechanism, Sasl};
use pcsd::wire::xml::Text;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mechanism = words.first().and_then(|word| Mechanism::NAMES.iter().find(|(name, _)| name == word));
    match (mechanism, words.get(1).map(|word| word.parse::<u64>())) {
        (Some((_, mechanism)), None) => {
            let mut steps = log_in(*mechanism, 0);
            let all: f64 = steps.iter().sum();
            steps.sort_by(f64::total_cmp);
            println!("{} {:.1} {all:.0}", steps.len(), steps[steps.len() / 2]);
        }
        (Some((_, mechanism)), Some(Ok(times))) => {
            for time in 0..times {
                log_in(*mechanism, time);
            }
        }
        _ => {
            eprintln!("usage: scram SCRAM-SHA-1|SCRAM-SHA-256 [N]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Logs in up to the proof, with a salt of this number; microseconds of each step.
fn log_in(mechanism: Mechanism, number: u64) -> Vec<f64> {
    let (mut sasl, mut random, mut buffer) = (Sasl::new(), Random::new(), [0; 2048]);
    let mut out = Writer::new(&mut buffer);
    sasl.begin(&mut random, mechanism, WHO, &mut out);
    let nonce = nonce_of(out.written());
    let first = format!("r={nonce}server,s={},i=10000", encoded(format!("salt number {number:020}").as_bytes()));
    let challenge = encoded(first.as_bytes());
    let text = Text::of(challenge.as_bytes()).expect("base64 is text");
    out.truncate(0);
    sasl.challenged(&random, text, WHO, &mut out).expect("the challenge is in order");
    let mut steps = Vec::new();
    while sasl.is_working() {
        let begun = Instant::now();
        sasl.work(WHO, &mut out);
        steps.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    assert!(out.written().starts_with(b"<response"), "the proof is sent");
    steps
}

/// What is between `r=` and the end, in the base64 between the tags.
fn nonce_of(auth: &[u8]) -> String {
    let text = String::from_utf8_lossy(auth);
    let data = text.split_once('>').and_then(|(_, rest)| rest.split_once('<')).map_or("", |(data, _)| data);
    let data = data.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let mut decoded = [0; 512];
    let len = base64url_decode(data.as_bytes(), &mut decoded).expect("base64");
    let message = String::from_utf8_lossy(&decoded[..len]);
    message.split_once("r=").expect("a nonce").1.into()
}

fn encoded(bytes: &[u8]) -> String {
    let mut buffer = [0; 1024];
    let mut out = Writer::new(&mut buffer);
    base64url_encode(bytes, &mut out);
    let mut text = String::from_utf8_lossy(out.written()).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        let _ = text.write_char('=');
    }
    text
}

const WHO: Credentials<'static> = Credentials { user: "u0", password: "secret" };
