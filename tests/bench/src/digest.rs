//! What the loads of scripts/bench share: digest credentials (MD5, RFC 2617 with qop) for the people u0, u1 .. of
//! home.test, whose password is `secret`, and the documents that they publish.

use std::fmt::Write;

use md5::{Digest, Md5};

/// The field that answers the MD5 challenge among those of a 401 or 407, with its line end; `None` when there is none.
pub fn credentials(challenge: &str, user: usize, method: &str, uri: &str) -> Option<String> {
    let (asks, answers) = match challenge.strip_prefix("SIP/2.0 ")?.get(..3)? {
        "401" => ("WWW-Authenticate: Digest ", "Authorization"),
        "407" => ("Proxy-Authenticate: Digest ", "Proxy-Authorization"),
        _ => return None,
    };
    let challenges = challenge.split("\r\n").filter_map(|line| line.strip_prefix(asks));
    let challenge = { challenges }.find(|challenge| !challenge.contains("SHA-256"))?;
    let nonce = quoted(challenge, "nonce=\"")?;
    let opaque = quoted(challenge, "opaque=\"").map(|opaque| format!(",opaque=\"{opaque}\"")).unwrap_or_default();
    let ha1 = md5(&format!("u{user}:home.test:secret"));
    let ha2 = md5(&format!("{method}:{uri}"));
    let (qop, response) = if challenge.contains("qop=") {
        let response = md5(&format!("{ha1}:{nonce}:00000001:be7c4:auth:{ha2}"));
        (",qop=auth,nc=00000001,cnonce=\"be7c4\"", response)
    } else {
        ("", md5(&format!("{ha1}:{nonce}:{ha2}")))
    };
    Some(format!(
        "{answers}: Digest username=\"u{user}\",realm=\"home.test\",nonce=\"{nonce}\",uri=\"{uri}\",\
         response=\"{response}\",algorithm=MD5{opaque}{qop}\r\n"
    ))
}

/// A document that says of a person of home.test that she is there, with a note. The tuple has a name of its own for each
/// publisher, because some presence agents show one of those with the same name.
pub fn document(user: usize, tuple: usize, note: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:u{user}@home.test\">\
         <tuple id=\"t{tuple}\"><status><basic>open</basic></status><note>{note}</note></tuple></presence>\r\n"
    )
}

fn quoted<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    Some(text.split_once(name)?.1.split_once('"')?.0)
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
