//! SIP messages as the phones of the simulated world see them: lines of text (RFC 3261 §7), read and written without the
//! server's own parser, so that the two check each other. Leaves out folding and compact forms, which the server never
//! writes.

/// A request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    /// The first line.
    pub start: String,
    /// Names and values, in order, without `Content-Length`.
    pub fields: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: Vec<u8>,
}

impl Msg {
    /// A request without fields.
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), fields: Vec::new(), body: Vec::new() }
    }

    /// An answer to `request` with what every answer repeats of it (§8.2.6.2).
    pub fn answer(request: &Self, status: u16, to_tag: &str) -> Self {
        let mut answer = Self { start: format!("SIP/2.0 {status} Simulated"), fields: Vec::new(), body: Vec::new() };
        for (name, value) in &request.fields {
            let is_tagless = name == "To" && param(value, "tag").is_none() && status > 100;
            match name.as_str() {
                "To" if is_tagless => answer.add("To", &format!("{value};tag={to_tag}")),
                "Via" | "From" | "To" | "Call-ID" | "CSeq" => answer.add(name, value),
                "Record-Route" if status > 100 => answer.add(name, value),
                _ => {}
            }
        }
        answer
    }

    /// Reads the first message of `bytes`: it and its length. `None` while it is not whole. Panics on what no server may
    /// send.
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is UTF-8 here");
        let mut lines = text.split("\r\n");
        let mut msg = Self { start: lines.next()?.into(), fields: Vec::new(), body: Vec::new() };
        let mut length = 0;
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a field: {line:?}"));
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().expect("Content-Length is a number");
            } else {
                msg.add(name, value);
            }
        }
        let len = head + 4 + length;
        msg.body = bytes.get(head + 4..len)?.to_vec();
        Some((msg, len))
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// Appends a field.
    pub fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.into(), value.into()));
    }

    /// The same with a field more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value);
        self
    }

    /// Replaces the first field of that name, or appends it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(field) => field.1 = value.into(),
            None => self.add(name, value),
        }
    }

    /// Takes out all fields of that name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The first value of a field; empty when there is none.
    pub fn get<'m>(&'m self, name: &str) -> &'m str {
        self.lines(name).next().unwrap_or("")
    }

    /// The lines of a field, as they are.
    pub fn lines<'m, 'n>(&'m self, name: &'n str) -> impl Iterator<Item = &'m str> + use<'m, 'n> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of a field whose lines are lists.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.lines(name).flat_map(split).collect()
    }

    /// The status, of an answer.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method, of an answer that of its request.
    pub fn method(&self) -> &str {
        self.get("CSeq").split_ascii_whitespace().nth(1).unwrap_or("")
    }

    /// The number in CSeq.
    pub fn cseq(&self) -> u32 {
        self.get("CSeq").split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> String {
        let via = self.values("Via");
        via.first().and_then(|via| param(via, "branch")).unwrap_or("").into()
    }

    /// The tag in From or To; empty when there is none.
    pub fn tag(&self, name: &str) -> &str {
        param(self.get(name), "tag").unwrap_or("")
    }
}

/// The value of a parameter behind a header field's value.
pub fn param<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let params = value.rfind('>').map_or(value, |end| &value[end..]);
    params.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The URI in a name-addr.
pub fn uri_of(value: &str) -> &str {
    match value.find('<') {
        Some(start) => value[start + 1..].split('>').next().unwrap_or(""),
        None => value.split(';').next().unwrap_or("").trim(),
    }
}

/// Host and port of a URI with an IPv4 address, and whether it asks for a stream.
pub fn address_of(uri: &str) -> Option<(std::net::SocketAddr, bool)> {
    let rest = uri.strip_prefix("sip:").or(uri.strip_prefix("sips:"))?;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = rest.split([';', '?']).next()?;
    let address = host.parse().or_else(|_| format!("{host}:5060").parse()).ok()?;
    Some((address, rest.contains(";transport=tcp") || rest.contains(";transport=tls")))
}

/// Splits a list at its commas, but not within quotes or angle brackets.
fn split(line: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_uri) = (false, false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '<' if !is_quoted => is_uri = true,
            '>' if !is_quoted => is_uri = false,
            ',' if !is_quoted && !is_uri => {
                parts.push(std::mem::take(&mut part).trim().to_string());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part.trim().to_string());
    parts
}
