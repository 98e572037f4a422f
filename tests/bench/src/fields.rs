//! What the loads of scripts/bench read of messages: the status of an answer, and fields.

/// The value of a field that is written as we write it.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split("\r\n").find_map(|line| line.strip_prefix(name))
}

/// The status of an answer; `None` of anything else.
pub fn status(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}
