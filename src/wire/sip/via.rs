//! The Via header field (RFC 3261 §20.42), with `rport` (RFC 3581).
//!
//! Left out: protocols other than SIP/2.0, which are a fault.

use core::net::IpAddr;

use super::host::{self, Host};
use super::lex::{self, Fault, Read, mismatch, skip_lws};
use super::params::Params;
use crate::base::text::Writer;

/// One value of a Via field. Equality is that of the parts.
#[derive(Clone, Copy, Debug)]
pub struct Via<'b> {
    /// This value only.
    pub raw: &'b [u8],
    /// The transport as written, usually in capitals.
    pub transport: &'b [u8],
    /// The host of sent-by.
    pub host: Host<'b>,
    /// The host as written.
    pub host_raw: &'b [u8],
    /// The port of sent-by, if there is one.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'b>,
    branch: Option<&'b [u8]>,
}

impl<'b> Via<'b> {
    /// Reads one value, white space around it aside. A fault is a 400.
    pub fn parse(value: &'b [u8]) -> Result<Self, Fault> {
        let raw = lex::trim(value);
        let (rest, (transport, (host, host_raw), port)) = sent(raw).map_err(|_| Fault::bad("Malformed Via"))?;
        let (params, branch) = Params::parse_with(rest, b"branch")?;
        Ok(Self { raw, transport, host, host_raw, port, params, branch })
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&'b [u8]> {
        self.branch
    }

    /// The address in the `received` parameter, with or without brackets; `None` also when it is not an address.
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value(b"received").and_then(host::ip)
    }

    /// The `rport` parameter: `Some(None)` asks for it, `Some(Some(port))` answers. What is not a port counts as absent.
    pub fn rport(&self) -> Option<Option<u16>> {
        match self.params.get(b"rport")? {
            None => Some(None),
            Some(text) => lex::whole_number(text).and_then(|port| u16::try_from(port).ok()).map(Some),
        }
    }

    /// Writes the value from its parts; [`raw`](Self::raw) is what it was read from.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.text("SIP/2.0/");
        out.put(self.transport);
        out.text(" ");
        self.host.write(out);
        if let Some(port) = self.port {
            out.text(":");
            out.number(port.into());
        }
        out.put(self.params.raw());
    }
}

impl PartialEq for Via<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.transport, self.host, self.port, self.params) == (other.transport, other.host, other.port, other.params)
    }
}

impl Eq for Via<'_> {}

type Sent<'b> = (&'b [u8], (Host<'b>, &'b [u8]), Option<u16>);

/// The protocol and sent-by, and the white space after them.
#[inline]
fn sent(input: &[u8]) -> Read<'_, Sent<'_>> {
    let rest = match input.strip_prefix(b"SIP/2.0/") {
        Some(rest) => skip_lws(rest),
        None => protocol(input)?,
    };
    let (rest, transport) = lex::token(rest)?;
    let by = skip_lws(rest);
    if by.len() == rest.len() {
        return mismatch();
    }
    let (rest, host) = host::host(by)?;
    let rest = skip_lws(rest);
    let Some((b':', rest)) = rest.split_first() else { return Ok((rest, (transport, host, None))) };
    let (rest, port) = host::port(skip_lws(rest))?;
    Ok((skip_lws(rest), (transport, host, Some(port))))
}

/// What follows `SIP/2.0/`, written with white space or in another case.
fn protocol(input: &[u8]) -> Result<&[u8], nom::Err<()>> {
    let (rest, name) = lex::token(input)?;
    let (rest, ()) = lex::separator(b'/')(rest)?;
    let (rest, version) = lex::token(rest)?;
    let (rest, ()) = lex::separator(b'/')(rest)?;
    if name.eq_ignore_ascii_case(b"SIP") && version == b"2.0" { Ok(rest) } else { Err(nom::Err::Error(())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_tortured() {
        let via = Via::parse(b"SIP/2.0/UDP 192.0.2.15:5062;branch=z9hG4bK1;rport").unwrap();
        assert_eq!((via.transport, via.port, via.branch()), (&b"UDP"[..], Some(5062), Some(&b"z9hG4bK1"[..])));
        assert_eq!(via.host.ip(), "192.0.2.15".parse().ok());
        assert_eq!((via.rport(), via.received()), (Some(None), None));
        let via = Via::parse(b"sip  /   2.0\r\n /UDP\r\n    h.example : 5060 ;\r\n branch = z9 ").unwrap();
        assert_eq!((via.host_raw, via.port, via.branch()), (&b"h.example"[..], Some(5060), Some(&b"z9"[..])));
        let via = Via::parse(b"SIP/2.0/TLS [2001:db8::9:1];received=[2001:db8::9:255];rport=5070").unwrap();
        assert_eq!((via.received(), via.rport()), ("2001:db8::9:255".parse().ok(), Some(Some(5070))));
        assert_eq!(Via::parse(b"SIP/2.0/UDP h;rport=x").unwrap().rport(), None);
    }

    #[test]
    fn faults() {
        for bad in [
            &b""[..],
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0 h",
            b"SIP/3.0/UDP h",
            b"FOO/2.0/UDP h",
            b"SIP/2.0/UDP h:",
            b"SIP/2.0/UDP h:99999",
            b"SIP/2.0/UDP h;;",
            b"SIP/2.0/UDP h x",
            b"SIP/2.0/UDP [::1",
            b"SIP/2.0/UDP h, SIP/2.0/UDP i",
        ] {
            assert!(Via::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn written_and_read_again() {
        for text in
            ["SIP/2.0/UDP 192.0.2.15;branch=z9hG4bK1;rport", "SIP/2.0/TCP [2001:db8::1]:5061", "SIP/2.0/TLS h.example"]
        {
            let mut buffer = [0; 128];
            let mut out = Writer::new(&mut buffer);
            Via::parse(text.as_bytes()).unwrap().write(&mut out);
            assert_eq!(out.written(), text.as_bytes());
        }
    }
}
