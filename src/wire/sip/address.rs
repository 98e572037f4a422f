//! Name-addr and addr-spec (RFC 3261 §20.10, §25.1): From, To, Contact, Route, Record-Route, Path, Refer-To and others.
//!
//! Accepted beyond the grammar: display names without quotes that should have them, and white space within the angle
//! brackets, which is not part of the URI (RFC 4475 §3.1.2.14, §3.1.2.15). Refused: an address without brackets whose URI
//! has a comma, a question mark or white space (§20).

use super::header::Name;
use super::lex::{self, Fault, GRAPHIC, LWS, List};
use super::message::{self, Message};
use super::params::Params;
use super::uri::{self, Uri};
use super::values;
use crate::base::text::Writer;

/// An address with its display name and the parameters of the header field. Equality is that of the parts.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'b> {
    /// This value only.
    pub raw: &'b [u8],
    /// The display name as written, with its quotes if it has them.
    pub display: Option<&'b [u8]>,
    /// The URI as written, of any scheme.
    pub uri: &'b [u8],
    /// The parameters of the header field; an address without brackets has all of its parameters here.
    pub params: Params<'b>,
    tag: Option<&'b [u8]>,
}

impl<'b> NameAddr<'b> {
    /// Reads one value, white space around it aside. The URI is not looked into beyond its scheme. A fault is a 400.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let raw = lex::trim(value);
        let (display, after) = match raw.first() {
            Some(b'"') => match lex::quoted(raw) {
                Ok((rest, display)) => (Some(display), Some(lex::skip_lws(rest))),
                Err(_) => return Err(Fault::bad("Unterminated Quoted String")),
            },
            Some(b'<') => (None, Some(raw)),
            _ => match raw.iter().position(|byte| matches!(byte, b'<' | b':' | b';' | b'"')) {
                Some(at) if raw[at] == b'<' && lex::all(&raw[..at], GRAPHIC | LWS) => {
                    (Some(lex::trim(&raw[..at])), Some(&raw[at..]))
                }
                _ => (None, None),
            },
        };
        match after {
            Some([b'<', rest @ ..]) => Self::bracketed(raw, display, rest),
            Some(_) => Err(BAD_ADDRESS),
            None => Self::bare(raw),
        }
    }

    #[inline]
    fn bracketed(raw: &'b [u8], display: Option<&'b [u8]>, rest: &'b [u8]) -> Result<Self, Fault> {
        let rest = lex::skip_lws(rest);
        let (uri, rest) = rest.split_at(uri::absolute(rest).ok_or(BAD_ADDRESS)?);
        let Some((b'>', rest)) = lex::skip_lws(rest).split_first() else { return Err(BAD_ADDRESS) };
        let (params, tag) = Params::parse_with(rest, b"tag")?;
        Ok(Self { raw, display, uri, params, tag })
    }

    fn bare(raw: &'b [u8]) -> Result<Self, Fault> {
        let end = raw.iter().position(|byte| *byte == b';' || lex::is(*byte, LWS)).unwrap_or(raw.len());
        let (uri, rest) = raw.split_at(end);
        if !uri::is_absolute(uri) || uri.iter().any(|byte| matches!(byte, b'?' | b',')) {
            return Err(BAD_ADDRESS);
        }
        let (params, tag) = Params::parse_with(rest, b"tag")?;
        Ok(Self { raw, display: None, uri, params, tag })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'b [u8]> {
        self.tag
    }

    /// The URI, read.
    pub fn parsed_uri(&self) -> Result<Uri<'b>, Fault> {
        Uri::parse(self.uri)
    }

    /// The `q` parameter in thousandths (RFC 3261 §20.10); a malformed one is a fault.
    pub fn q(&self) -> Result<Option<u16>, Fault> {
        self.params.value(b"q").map(values::q_value).transpose()
    }

    /// The `expires` parameter in seconds; a malformed one is a fault.
    pub fn expires(&self) -> Result<Option<u32>, Fault> {
        self.params.value(b"expires").map(values::delta_seconds).transpose()
    }

    /// Writes the value from its parts, the URI in brackets; [`raw`](Self::raw) is what it was read from.
    pub fn write(&self, out: &mut Writer<'_>) {
        if let Some(display) = self.display {
            out.put(display);
            out.text(" ");
        }
        out.text("<");
        out.put(self.uri);
        out.text(">");
        out.put(self.params.raw());
    }
}

impl PartialEq for NameAddr<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.display, self.uri, self.params) == (other.display, other.uri, other.params)
    }
}

impl Eq for NameAddr<'_> {}

/// The Contact fields of a message.
#[derive(Clone, Debug)]
pub enum Contacts<'b> {
    /// `*`: all bindings (RFC 3261 §10.2.2).
    Star,
    /// Addresses; none when the message has no Contact.
    List(ContactList<'b>),
}

/// Addresses of all Contact fields of a message, which were checked.
#[derive(Clone, Debug)]
pub struct ContactList<'b> {
    contacts: ContactIter<'b>,
}

impl<'b> ContactList<'b> {
    /// The addresses in order.
    pub fn iter(&self) -> ContactIter<'b> {
        self.contacts.clone()
    }
}

impl<'b> IntoIterator for ContactList<'b> {
    type Item = NameAddr<'b>;
    type IntoIter = ContactIter<'b>;

    fn into_iter(self) -> ContactIter<'b> {
        self.iter()
    }
}

/// The addresses of a [`ContactList`].
#[derive(Clone, Debug)]
pub struct ContactIter<'b> {
    /// The first address, which mostly is the only one, as it was read when it was checked.
    first: Option<NameAddr<'b>>,
    /// What follows in its field.
    values: List<'b>,
    /// The lines of the head from there to the last Contact.
    lines: &'b [u8],
}

impl<'b> ContactIter<'b> {
    fn next_value(&mut self) -> Option<&'b [u8]> {
        loop {
            if let Some(value) = self.values.next() {
                return Some(value);
            }
            let (name, value, rest) = message::next_field(self.lines)?;
            self.lines = rest;
            if name == Name::Contact {
                self.values = List::new(value);
            }
        }
    }
}

impl<'b> Iterator for ContactIter<'b> {
    type Item = NameAddr<'b>;

    fn next(&mut self) -> Option<NameAddr<'b>> {
        match self.first.take() {
            None => NameAddr::parse(self.next_value()?).ok(),
            first => first,
        }
    }
}

impl<'b> Message<'b> {
    /// The Contact fields. A fault is a 400: an address that can't be read, an empty one, or a `*` that is not alone.
    pub fn contacts(&self) -> Result<Contacts<'b>, Fault> {
        let mut rest = ContactIter { first: None, values: List::empty(), lines: b"" };
        if let Some((value, lines)) = self.first_and_lines_after(Name::Contact) {
            rest.values = List::new(value);
            rest.lines = lines;
        }
        let mut contacts = rest.clone();
        let mut count = 0;
        let mut has_star = false;
        while let Some(value) = rest.next_value() {
            count += 1;
            if value == b"*" {
                has_star = true;
                continue;
            }
            let contact = NameAddr::parse(value)?;
            if count == 1 {
                contacts = ContactIter { first: Some(contact), ..rest.clone() };
            }
        }
        match (has_star, count) {
            (false, _) => Ok(Contacts::List(ContactList { contacts })),
            (true, 1) => Ok(Contacts::Star),
            (true, _) => Err(Fault::bad("Contact * With Others")),
        }
    }
}

const BAD_ADDRESS: Fault = Fault::bad("Malformed Address");

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    fn read(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn forms() {
        let quoted = read("\"J <R> \\\"\" <sip:a@h;lr>;tag=1");
        assert_eq!(
            (quoted.display, quoted.uri, quoted.tag()),
            (Some(&b"\"J <R> \\\"\""[..]), &b"sip:a@h;lr"[..], Some(&b"1"[..]))
        );
        let plain = read("Bell, Alexander <sip:a@h> ; tag = 43");
        assert_eq!((plain.display, plain.tag()), (Some(&b"Bell, Alexander"[..]), Some(&b"43"[..])));
        let tight = read("caller<sip:a@h>");
        assert_eq!((tight.display, tight.uri), (Some(&b"caller"[..]), &b"sip:a@h"[..]));
        let bare = read("\r\n sip:a@h ;   tag    = 19n");
        assert_eq!((bare.display, bare.uri, bare.tag()), (None, &b"sip:a@h"[..], Some(&b"19n"[..])));
        assert_eq!(read("sip:+1650@ss1.example.net;user=phone").params.value(b"user"), Some(&b"phone"[..]));
        assert_eq!(read("< sip:t.watson@example.org >").uri, b"sip:t.watson@example.org");
        assert_eq!(read("isbn:2983792873").uri, b"isbn:2983792873");
        assert_eq!(
            read("<sip:a@h?Route=%3Csip:b%3E>").parsed_uri().unwrap().sip().unwrap().headers,
            b"Route=%3Csip:b%3E"
        );
        assert_eq!(read("sip:a@h;x=\"<\"").params.value(b"x"), Some(&b"\"<\""[..]));
        assert_eq!(read("<sip:a@h>;q=0.33;expires=99999999999").q(), Ok(Some(330)));
        assert_eq!(read("<sip:a@h>;q=0.33;expires=99999999999").expires(), Ok(Some(u32::MAX)));
        assert!(read("<sip:a@h>;q=x").q().is_err());
    }

    #[test]
    fn faults() {
        for bad in [
            "",
            "*",
            "<>",
            "<sip:a@h",
            "\"a <sip:a@h>",
            "\"a\" sip:a@h",
            "sip:a@h?Route=%3Csip:b%3E",
            "sip:a,b@h",
            "sip:a@h x",
            "<sip:a@h>;;",
            "<sip:a@h>;",
            "<sip:a@h> x",
            "<sip: a@h>",
            "<nothing>",
            "A\0 <sip:a@h>",
            "sip:",
            "a;b",
            "\"a\"",
            "<sip:a@<h>>",
            "\"a\"b <sip:c>",
        ] {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn written_and_read_again() {
        for text in ["\"A B\" <sip:a@h;lr>;tag=1", "A <sip:a@h>", "sip:a@h;tag=1", "<isbn:1>"] {
            let mut buffer = [0; 128];
            let mut out = Writer::new(&mut buffer);
            read(text).write(&mut out);
            assert_eq!(NameAddr::parse(out.written()), Ok(read(text)));
        }
    }

    #[test]
    fn contacts_of_a_message() {
        let with = |lines: &str| format!("REGISTER sip:h SIP/2.0\r\n{lines}l: 0\r\n\r\n");
        let uris = |lines: &str| {
            let text = with(lines);
            match Message::parse(text.as_bytes()).unwrap().contacts()? {
                Contacts::Star => Ok::<_, Fault>(std::vec![b"*".to_vec()]),
                Contacts::List(list) => Ok(list.iter().map(|contact| contact.uri.to_vec()).collect::<Vec<_>>()),
            }
        };
        assert_eq!(
            uris("Contact: <sip:a>, \"x,\" <sip:b>\r\nTo: <sip:z>\r\nm: sip:c\r\n").unwrap(),
            [b"sip:a", b"sip:b", b"sip:c"]
        );
        assert_eq!(uris("").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(uris("m:\r\n  *\r\n").unwrap(), [b"*"]);
        for bad in [
            "m: *, <sip:a>\r\n",
            "m: <sip:a>\r\nm: *\r\n",
            "m: *;expires=0\r\n",
            "m: <sip:a>,,<sip:b>\r\n",
            "m:\r\n",
            "m: *\r\nm: *\r\n",
        ] {
            assert!(uris(bad).is_err(), "{bad}");
        }
    }
}
