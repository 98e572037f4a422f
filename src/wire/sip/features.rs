//! Which contact suits a request: the feature parameters of Contact (RFC 3840 §5, §9) and the preferences of callers for
//! them, Accept-Contact and Reject-Contact (RFC 3841 §7.2, §8, §9.2).
//!
//! Left out: implicit preferences (RFC 3841 §7.2.2), for which whoever routes asks [`declared`]; `q` of Contact, which
//! orders contacts before the score does (§7.2.4); Request-Disposition. Escapes within strings are compared as written.
//! Values that can't be read suit nothing.

use heapless::Vec;

use super::header::Name;
use super::lex::{self, Fault};
use super::message::Message;
use super::params::Params;

/// What the preferences of a request say about one contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// Reject-Contact describes it: not a target.
    Rejected,
    /// An Accept-Contact with `require` does not fit it: not a target.
    Excluded,
    /// A target.
    Target {
        /// How well it fits, in thousandths: orders contacts that are equal otherwise. 1000 when the request says
        /// nothing, and for a contact that says nothing.
        score: u16,
        /// Whether an Accept-Contact fits, and the contact says so of every feature in it.
        explicit: bool,
    },
}

/// Judges a contact by the Accept-Contact and Reject-Contact of a request. `contact_params` are the parameters of the
/// Contact as they were written, from the first semicolon on; those that are not features are passed over.
///
/// A contact without any feature is never excluded (§7.2.3). Preferences that can't be read count for nothing, nor do
/// those after the first [`PREDICATES`].
pub fn judge(message: &Message<'_>, contact_params: &[u8]) -> Judgement {
    let Some(contact) = features_of(contact_params) else { return Judgement::Target { score: 1000, explicit: false } };
    if predicates(message, Name::RejectContact).any(|predicate| predicate.rejects(&contact)) {
        return Judgement::Rejected;
    }
    let (mut total, mut count, mut has_preferences, mut explicit) = (0, 0, false, false);
    for predicate in predicates(message, Name::AcceptContact) {
        has_preferences = true;
        match predicate.accepts(&contact) {
            Fit::Excluded => return Judgement::Excluded,
            Fit::Ignored => {}
            Fit::Scored(score) => {
                total += u32::from(score);
                count += 1;
                explicit |= score == 1000;
            }
        }
    }
    let score = match (has_preferences, count) {
        (false, _) => 1000,
        (true, 0) => 0,
        (true, count) => (total / count) as u16,
    };
    Judgement::Target { score, explicit }
}

/// Whether a contact says that it has `value` of a feature: `declared(params, b"methods", b"MESSAGE")`. `None` when it
/// says nothing of that feature. A feature without a value has the value `TRUE`.
pub fn declared(contact_params: &[u8], feature: &[u8], value: &[u8]) -> Option<bool> {
    let contact = features_of(contact_params)?;
    let values = contact.get(feature).filter(|_| is_feature(feature))?;
    Some(meets(Some(value), values))
}

/// Preferences of one request that are looked at, of each kind.
pub const PREDICATES: usize = 8;
/// Features of one preference that are looked at.
const TERMS: usize = 16;
/// Values of one feature that are looked at: more than there are methods. Sets are compared each value with each.
const VALUES: usize = 24;

/// One value of Accept-Contact or Reject-Contact: features that are wanted together.
struct Predicate<'b> {
    params: Params<'b>,
}

enum Fit {
    /// It doesn't fit, and must.
    Excluded,
    /// It doesn't fit.
    Ignored,
    /// Thousandths of the features that the contact has told of.
    Scored(u16),
}

impl<'b> Predicate<'b> {
    /// `*` and parameters.
    fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let Some((b'*', rest)) = value.split_first() else { return Err(Fault::bad("Malformed Preference")) };
        Ok(Self { params: Params::parse(rest)? })
    }

    /// The features and their values.
    fn terms(&self) -> impl Iterator<Item = (&'b [u8], Option<&'b [u8]>)> + use<'b> {
        self.params.iter().filter(|(name, _)| is_feature(name)).take(TERMS)
    }

    /// §7.2.4: it describes the contact, which tells of all its features.
    fn rejects(&self, contact: &Params<'_>) -> bool {
        let is_met = |(name, wanted)| contact.get(name).is_some_and(|had| meets(wanted, had));
        self.terms().next().is_some() && self.terms().all(is_met)
    }

    /// §7.2.4: what the contact doesn't tell of fits, and lowers the score.
    fn accepts(&self, contact: &Params<'_>) -> Fit {
        let requires = self.params.has(b"require");
        let (mut told, mut count) = (0, 0);
        for (name, wanted) in self.terms() {
            count += 1;
            match contact.get(name) {
                Some(had) if meets(wanted, had) => told += 1,
                Some(_) => return if requires { Fit::Excluded } else { Fit::Ignored },
                None => {}
            }
        }
        match (told < count && self.params.has(b"explicit"), requires) {
            (true, true) => Fit::Excluded,
            (true, false) => Fit::Scored(0),
            // A preference for nothing is fulfilled.
            (false, _) => Fit::Scored(if count == 0 { 1000 } else { (told * 1000 / count) as u16 }),
        }
    }
}

/// The preferences of one kind that can be read.
fn predicates<'b>(message: &Message<'b>, name: Name) -> impl Iterator<Item = Predicate<'b>> {
    message.values(name).take(PREDICATES).filter_map(|value| Predicate::parse(value).ok())
}

/// The parameters of a contact, if a feature is among them.
fn features_of(contact_params: &[u8]) -> Option<Params<'_>> {
    let params = Params::parse(contact_params).ok()?;
    params.iter().any(|(name, _)| is_feature(name)).then_some(params)
}

/// Whether a parameter of Contact is a feature (RFC 3840 §9): of the base, or marked with a plus.
fn is_feature(name: &[u8]) -> bool {
    name.first() == Some(&b'+') || BASE.iter().any(|base| base.as_bytes().eq_ignore_ascii_case(name))
}

const BASE: [&str; 20] = [
    "actor",
    "application",
    "audio",
    "automata",
    "class",
    "control",
    "data",
    "description",
    "duplex",
    "events",
    "extensions",
    "isfocus",
    "language",
    "methods",
    "mobility",
    "priority",
    "schemes",
    "text",
    "type",
    "video",
];

fn meets(wanted: Option<&[u8]>, had: Option<&[u8]>) -> bool {
    Values::parse(text(wanted)).meets(&Values::parse(text(had)))
}

/// The text of a feature's value: without quotes, `TRUE` when there is none.
fn text(value: Option<&[u8]>) -> &[u8] {
    match value {
        None => b"TRUE",
        Some([b'"', content @ .., b'"']) => content,
        Some(value) => value,
    }
}

/// A set of values: one of them has to hold, and of the excluded ones none.
struct Values<'b> {
    values: Vec<(Sign, Value<'b>), VALUES>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Wanted,
    /// It comes after a `!`.
    Excluded,
}

impl<'b> Values<'b> {
    /// Reads a comma-separated list.
    fn parse(text: &'b [u8]) -> Self {
        let values = lex::list(text).take(VALUES).map(|text| match text {
            [b'!', text @ ..] => (Sign::Excluded, Value::parse(lex::trim(text))),
            _ => (Sign::Wanted, Value::parse(text)),
        });
        Self { values: values.collect() }
    }

    fn wanted(&self) -> impl Iterator<Item = Value<'b>> {
        self.values.iter().filter(|(sign, _)| *sign == Sign::Wanted).map(|(_, value)| *value)
    }

    fn excludes(&self, value: Value<'_>) -> bool {
        self.values.iter().any(|(sign, excluded)| *sign == Sign::Excluded && excluded.holds(value))
    }

    /// Whether something is in both sets. Sets that only say what is not in them have something in common.
    fn meets(&self, other: &Values<'_>) -> bool {
        if self.values.is_empty() || other.values.is_empty() {
            return false;
        }
        let remains = |value: Value<'_>| !self.excludes(value) && !other.excludes(value);
        match (self.wanted().next(), other.wanted().next()) {
            (None, None) => true,
            (None, Some(_)) => other.wanted().any(remains),
            (Some(_), None) => self.wanted().any(remains),
            (Some(_), Some(_)) => self.wanted().any(|value| {
                let meets = |other| value.meets(other) && remains(value) && remains(other);
                other.wanted().any(meets)
            }),
        }
    }
}

/// One value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value<'b> {
    /// A word, `TRUE` and `FALSE` among them, in any case.
    Token(&'b [u8]),
    /// A string with its brackets.
    Text(&'b [u8]),
    /// Numbers from one to another, in thousandths.
    Range(i64, i64),
    /// None that can be read.
    Nothing,
}

impl<'b> Value<'b> {
    fn parse(text: &'b [u8]) -> Self {
        match text {
            [b'<', .., b'>'] => Self::Text(text),
            [b'<', ..] | [] => Self::Nothing,
            [b'#', relation @ ..] => range(relation).unwrap_or(Self::Nothing),
            _ => Self::Token(text),
        }
    }

    /// Whether a value is in both.
    fn meets(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Self::Token(a), Value::Token(b)) => a.eq_ignore_ascii_case(b),
            (Self::Text(a), Value::Text(b)) => a == b,
            (Self::Range(low, high), Value::Range(from, to)) => low <= to && from <= high,
            _ => false,
        }
    }

    /// Whether all of `other` is in this one.
    fn holds(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Self::Range(low, high), Value::Range(from, to)) => low <= from && to <= high,
            _ => self.meets(other),
        }
    }
}

/// What follows the `#` of a numeric value: `=5`, `<=5`, `>=5`, `1:5`.
fn range(text: &[u8]) -> Option<Value<'_>> {
    let (low, high) = match text {
        [b'=', number @ ..] => (number_thousandths(number)?, number_thousandths(number)?),
        [b'<', b'=', number @ ..] => (i64::MIN, number_thousandths(number)?),
        [b'>', b'=', number @ ..] => (number_thousandths(number)?, i64::MAX),
        _ => {
            let (low, high) = text.split_at(lex::find(b':', text)?);
            (number_thousandths(low)?, number_thousandths(&high[1..])?)
        }
    };
    (low <= high).then_some(Value::Range(low, high))
}

/// A decimal number in thousandths; digits after the third are ignored, one too large is the largest.
fn number_thousandths(text: &[u8]) -> Option<i64> {
    let (sign, text) = match lex::trim(text) {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let (fraction, whole) = lex::digits(text).ok()?;
    let fraction = match fraction {
        [] => &b""[..],
        [b'.', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    let whole = i64::try_from(whole).unwrap_or(i64::MAX).saturating_mul(1000);
    Some(sign * whole.saturating_add(digit(0) * 100 + digit(1) * 10 + digit(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn judged(fields: &str, contact: &str) -> Judgement {
        let text = format!("INVITE sip:h SIP/2.0\r\n{fields}\r\n");
        judge(&Message::parse(text.as_bytes()).unwrap(), contact.as_bytes())
    }

    fn target(score: u16, explicit: bool) -> Judgement {
        Judgement::Target { score, explicit }
    }

    const PHONE: &str = ";q=0.5;expires=60;methods=\"INVITE,BYE\";audio;video=\"FALSE\";+sip.message";

    #[test]
    fn nothing_said() {
        assert_eq!(judged("", PHONE), target(1000, false));
        assert_eq!(judged("a: *;video;require;explicit\r\nj: *;audio\r\n", ";q=0.5;expires=60"), target(1000, false));
        assert_eq!(judged("a: *;video;require\r\n", ""), target(1000, false));
        assert_eq!(judged("a: *;video;require\r\n", ";;broken"), target(1000, false));
        assert_eq!(judged("a: *\r\n", PHONE), target(1000, true));
    }

    #[test]
    fn accepted() {
        assert_eq!(judged("a: *;audio\r\n", PHONE), target(1000, true));
        assert_eq!(judged("Accept-Contact: *;audio;text\r\n", PHONE), target(500, false), "of text it says nothing");
        assert_eq!(judged("a: *;video\r\n", PHONE), target(0, false), "it says no, which is no requirement");
        assert_eq!(judged("a: *;video;require\r\n", PHONE), Judgement::Excluded);
        assert_eq!(judged("a: *;text;require\r\n", PHONE), target(0, false), "it says nothing");
        assert_eq!(judged("a: *;audio;text;explicit\r\n", PHONE), target(0, false));
        assert_eq!(judged("a: *;audio;text;explicit;require\r\n", PHONE), Judgement::Excluded);
        assert_eq!(judged("a: *;audio;+sip.message;explicit;require\r\n", PHONE), target(1000, true));
        assert_eq!(judged("a: *;methods=\"MESSAGE\";require\r\n", PHONE), Judgement::Excluded);
        assert_eq!(judged("a: *;methods=\"MESSAGE,invite\";require\r\n", PHONE), target(1000, true));
        // What does not fit is not part of the mean.
        assert_eq!(judged("a: *;audio, *;video\r\na: *;audio;text\r\n", PHONE), target(750, true));
        assert_eq!(judged("a: *;audio, *;video;require\r\n", PHONE), Judgement::Excluded);
        assert_eq!(judged("a: sip:x;video;require, ;, *;;, *x\r\n", PHONE), target(1000, false), "none can be read");
    }

    #[test]
    fn rejected() {
        assert_eq!(judged("Reject-Contact: *;audio\r\n", PHONE), Judgement::Rejected);
        assert_eq!(judged("j: *;audio;text\r\n", PHONE), target(1000, false), "of text it says nothing");
        assert_eq!(judged("j: *;audio;video\r\n", PHONE), target(1000, false));
        assert_eq!(judged("j: *;video=\"FALSE\", *;text\r\n", PHONE), Judgement::Rejected);
        assert_eq!(judged("j: *\r\nj: *;q=1\r\n", PHONE), target(1000, false));
        assert_eq!(judged("j: *;text, *;actor=\"msg-taker\"\r\n", ";actor=\"msg-taker\""), Judgement::Rejected);
    }

    #[test]
    fn values() {
        let meet = |a: &str, b: &str| {
            let (first, second) = (Values::parse(a.as_bytes()), Values::parse(b.as_bytes()));
            let there = first.meets(&second);
            assert_eq!(there, second.meets(&first), "{a} {b}");
            there
        };
        for (a, b) in [
            ("en, de", "DE"),
            ("!fr", "de"),
            ("!fr", "!de"),
            ("en,!de", "en"),
            ("#=5", "#5:5"),
            ("#>=5", "#<=5.0"),
            ("#-1:+2.5", "#=-0.5"),
            ("<a,b>", "<a,b>"),
            ("#>=99999999999999999999", "#>=7"),
            ("!#=5", "#>=5"),
        ] {
            assert!(meet(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("en", "de"),
            ("en,de", "!en,!de"),
            ("!en", "en"),
            ("TRUE", "FALSE"),
            ("#=5", "#>=5.001"),
            ("!#1:9", "#2:3"),
            ("<A>", "<a>"),
            ("<a>", "a"),
            ("#x", "#x"),
            ("#9:1", "#=5"),
            ("#", "#"),
            ("<a", "<a"),
            ("#=", "#=0"),
            ("", "a"),
            (",", "!a"),
            ("#=1.x", "#=1"),
        ] {
            assert!(!meet(a, b), "{a} {b}");
        }
    }

    #[test]
    fn declarations() {
        let methods = |params: &str, method: &str| declared(params.as_bytes(), b"methods", method.as_bytes());
        assert_eq!(methods(PHONE, "INVITE"), Some(true));
        assert_eq!(methods(PHONE, "MESSAGE"), Some(false));
        assert_eq!(methods(";audio", "MESSAGE"), None);
        assert_eq!(methods("", "MESSAGE"), None);
        assert_eq!(declared(PHONE.as_bytes(), b"audio", b"TRUE"), Some(true));
        assert_eq!(declared(PHONE.as_bytes(), b"video", b"TRUE"), Some(false));
        assert_eq!(declared(PHONE.as_bytes(), b"q", b"0.5"), None);
    }

    #[test]
    fn hostile() {
        let fields = format!("a: *;methods=\"{}\";require\r\n", "x,".repeat(20_000));
        assert_eq!(judged(&fields, PHONE), Judgement::Excluded);
        let many = format!("a: {}\r\n", "*;audio;text,".repeat(4_000));
        assert_eq!(judged(&many, PHONE), target(500, false));
        let whole = String::from("a: *;methods=\"!A,#1:2,<x>\";require;explicit\r\n");
        for end in 0..whole.len() {
            let _ = judged(&format!("{}\r\n", whole[..end].trim_end()), PHONE);
            let _ = judged("a: *;audio\r\n", &whole[..end]);
        }
    }
}
