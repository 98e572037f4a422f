//! Parameters `;name=value` of header fields (RFC 3261 §25.1 `generic-param`) and of URIs (§19.1.1).
//!
//! Accepted beyond the grammar: unquoted values of header parameters may hold any printable character that separates
//! nothing (IPv6 addresses in `received`, for one), URI parameters any that does not end them.

use super::lex::{self, Fault, Read, TOKEN, URI_PARAM, VALUE, mismatch, skip_lws};

/// Parameters, read as they are asked for. They were checked when their owner was read.
#[derive(Clone, Copy)]
pub struct Params<'b> {
    raw: &'b [u8],
    kind: Kind,
}

/// Most parameters of one owner; more are a fault. Comparing two URIs costs the square of this.
const PARAMETERS: usize = 64;

/// A whole word, so that values are copied by words: a copy of one byte and its padding can't be read before all of it is
/// written (a store that is not forwarded), which took a tenth of the time of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
enum Kind {
    /// Of a header field: white space around everything, quoted values.
    Header,
    /// Of a URI: names may be escaped.
    Uri,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param<'b> {
    /// From the semicolon to the end of the value.
    pub raw: &'b [u8],
    pub name: &'b [u8],
    pub value: Option<&'b [u8]>,
}

impl<'b> Params<'b> {
    /// None.
    pub const EMPTY: Self = Self { raw: b"", kind: Kind::Header };

    /// All of `text`, parameters of a header field: nothing, or it begins with a semicolon.
    pub fn parse(text: &'b [u8]) -> Result<Self, Fault> {
        Self::check(lex::trim(text), Kind::Header, |_| {})
    }

    /// [`parse`](Self::parse), and the value of the first parameter of that name as [`value`](Self::value) says it, for
    /// the one that everybody asks for.
    #[inline]
    pub(super) fn parse_with(text: &'b [u8], name: &[u8]) -> Result<(Self, Option<&'b [u8]>), Fault> {
        let mut found = None;
        let params = Self::check(lex::trim(text), Kind::Header, |param| {
            if found.is_none() && param.name.eq_ignore_ascii_case(name) {
                found = Some(param.value);
            }
        })?;
        Ok((params, found.flatten()))
    }

    /// All of `text`, parameters of a URI.
    pub(super) fn parse_uri(text: &'b [u8]) -> Result<Self, Fault> {
        Self::check(text, Kind::Uri, |_| {})
    }

    #[inline]
    fn check(raw: &'b [u8], kind: Kind, mut each: impl FnMut(Param<'b>)) -> Result<Self, Fault> {
        let mut rest = raw;
        let mut count = 0;
        while !rest.is_empty() {
            let (after, param) = read(rest, kind).map_err(|_| Fault::bad("Malformed Parameter"))?;
            each(param);
            rest = after;
            count += 1;
        }
        if count > PARAMETERS {
            return Err(Fault::bad("Too Many Parameters"));
        }
        Ok(Self { raw, kind })
    }

    /// The text, from the first semicolon on; empty when there are none.
    pub fn raw(&self) -> &'b [u8] {
        self.raw
    }

    /// Names and values in order, as written: quotes and escapes stay.
    pub fn iter(&self) -> impl Iterator<Item = (&'b [u8], Option<&'b [u8]>)> + use<'b> {
        self.spans().map(|param| (param.name, param.value))
    }

    /// The value of the first parameter of that name, in any case; `Some(None)` when it has no value. Names of URI
    /// parameters are compared unescaped.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Option<&'b [u8]>> {
        self.spans().find(|param| self.is_named(param, name)).map(|param| param.value)
    }

    /// The value of the first parameter of that name; `None` also when it has none.
    pub fn value(&self, name: &[u8]) -> Option<&'b [u8]> {
        self.get(name).flatten()
    }

    /// Whether there is a parameter of that name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn is_named(&self, param: &Param<'_>, name: &[u8]) -> bool {
        match self.kind {
            Kind::Header => param.name.eq_ignore_ascii_case(name),
            Kind::Uri => lex::unescaped_eq(param.name, name, true),
        }
    }

    #[inline]
    pub(super) fn spans(&self) -> impl Iterator<Item = Param<'b>> + use<'b> {
        let Self { mut raw, kind } = *self;
        core::iter::from_fn(move || {
            let (rest, param) = read(raw, kind).ok()?;
            raw = rest;
            Some(param)
        })
    }
}

impl PartialEq for Params<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.iter().eq(other.iter())
    }
}

impl Eq for Params<'_> {}

impl core::fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}

#[inline]
fn read(input: &[u8], kind: Kind) -> Read<'_, Param<'_>> {
    match kind {
        Kind::Header => read_header(input),
        Kind::Uri => read_uri(input),
    }
}

/// One parameter of a header field, and the white space after it.
#[inline]
fn read_header(input: &[u8]) -> Read<'_, Param<'_>> {
    let Some((b';', rest)) = input.split_first() else { return mismatch() };
    let (after, name) = lex::run(TOKEN)(skip_lws(rest))?;
    let rest = skip_lws(after);
    let Some((b'=', rest)) = rest.split_first() else {
        return Ok((rest, Param { raw: up_to(input, after), name, value: None }));
    };
    let rest = skip_lws(rest);
    let (after, value) = if rest.first() == Some(&b'"') { lex::quoted(rest)? } else { lex::run(VALUE)(rest)? };
    Ok((skip_lws(after), Param { raw: up_to(input, after), name, value: Some(value) }))
}

/// One parameter of a URI.
#[inline]
fn read_uri(input: &[u8]) -> Read<'_, Param<'_>> {
    let Some((b';', rest)) = input.split_first() else { return mismatch() };
    let (after, name) = lex::run(URI_PARAM)(rest)?;
    let Some((b'=', rest)) = after.split_first() else {
        return Ok((after, Param { raw: up_to(input, after), name, value: None }));
    };
    let end = rest.iter().position(|byte| !lex::is(*byte, URI_PARAM) && *byte != b'=').unwrap_or(rest.len());
    if end == 0 {
        return mismatch();
    }
    let (value, after) = rest.split_at(end);
    Ok((after, Param { raw: up_to(input, after), name, value: Some(value) }))
}

/// The part of `input` before its tail `rest`.
fn up_to<'b>(input: &'b [u8], rest: &[u8]) -> &'b [u8] {
    &input[..input.len() - rest.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn header_parameters() {
        let params = Params::parse(b"; tag = 98asjd8\r\n ;lr;X=\"a;\\\"b\" ;received=[2001:db8::9:255]").unwrap();
        let all = params.iter().collect::<Vec<_>>();
        assert_eq!(all[0], (&b"tag"[..], Some(&b"98asjd8"[..])));
        assert_eq!(all[1], (&b"lr"[..], None));
        assert_eq!(all[2], (&b"X"[..], Some(&b"\"a;\\\"b\""[..])));
        assert_eq!(all[3], (&b"received"[..], Some(&b"[2001:db8::9:255]"[..])));
        assert_eq!(params.get(b"TAG"), Some(Some(&b"98asjd8"[..])));
        assert_eq!(params.get(b"LR"), Some(None));
        assert!(!params.has(b"branch"));
        assert_eq!(params.spans().next().unwrap().raw, b"; tag = 98asjd8");
    }

    #[test]
    fn faults() {
        for bad in
            [&b";"[..], b";;a", b";a;", b";a=", b";a=\"b", b"a", b";a b", b";a=b,c", b";=b", b";a=b\"c\"", b";a=<b>"]
        {
            assert!(Params::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        for bad in [&b";"[..], b";a;", b";a=", b"; lr", b";a=\"b\"", b";a?b"] {
            assert!(Params::parse_uri(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(Params::parse(&b";a=b".repeat(64)).is_ok() && Params::parse(&b";a=b".repeat(65)).is_err());
    }

    #[test]
    fn only_uris_escape_names() {
        assert!(Params::parse_uri(b";%6C%72;x=a=b").unwrap().has(b"lr"));
        assert!(!Params::parse(b";%6C%72").unwrap().has(b"lr"));
        assert_eq!(Params::parse_uri(b";x=a=b").unwrap().value(b"x"), Some(&b"a=b"[..]));
    }
}
