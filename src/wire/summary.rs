//! `application/simple-message-summary` (RFC 3842 §5.2, with the message classes of RFC 3458 §6): how many messages wait,
//! written.
//!
//! Left out: reading one, the classes of fax, pager and multimedia messages, and the headers of single messages.

use crate::base::text::Writer;

/// What waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary<'b> {
    /// URI of the account, of which no byte may end a line; empty leaves it out.
    pub account: &'b [u8],
    /// Voice messages.
    pub voice: Counts,
    /// Texts.
    pub text: Counts,
}

/// Messages of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Not heard or read yet, urgent ones included.
    pub new: u32,
    /// Heard or read.
    pub old: u32,
    /// Urgent ones among the new.
    pub new_urgent: u32,
    /// Urgent ones among the old.
    pub old_urgent: u32,
}

impl Summary<'_> {
    /// Writes the body. The lamp is on when something is new. Voice is there even when there is none, because phones
    /// look for that line; other classes are there when they count something.
    pub fn write(&self, out: &mut Writer<'_>) {
        let is_waiting = self.voice.new > 0 || self.text.new > 0;
        out.text(if is_waiting { "Messages-Waiting: yes\r\n" } else { "Messages-Waiting: no\r\n" });
        if !self.account.is_empty() {
            out.text("Message-Account: ");
            out.put(self.account);
            out.text("\r\n");
        }
        self.voice.write("Voice-Message: ", out);
        if self.text != Counts::default() {
            self.text.write("Text-Message: ", out);
        }
    }
}

impl Counts {
    fn write(&self, class: &str, out: &mut Writer<'_>) {
        out.text(class);
        let pair = |open: &str, new: u32, old: u32, close: &str, out: &mut Writer<'_>| {
            out.text(open);
            out.number(new.into());
            out.text("/");
            out.number(old.into());
            out.text(close);
        };
        pair("", self.new, self.old, "", out);
        // Always there: some phones read the line by a fixed pattern.
        pair(" (", self.new_urgent, self.old_urgent, ")\r\n", out);
    }
}

/// The media type of the body.
pub const CONTENT_TYPE: &str = "application/simple-message-summary";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(summary: &Summary<'_>) -> std::string::String {
        let mut buffer = [0; 256];
        let mut out = Writer::new(&mut buffer);
        summary.write(&mut out);
        let len = out.finish().unwrap();
        std::string::String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn lamp_and_lines() {
        assert_eq!(written(&Summary::default()), "Messages-Waiting: no\r\nVoice-Message: 0/0 (0/0)\r\n");
        let mut summary = Summary { account: b"sip:alice@h", ..Summary::default() };
        summary.voice = Counts { new: 0, old: 8, new_urgent: 0, old_urgent: 2 };
        assert_eq!(
            written(&summary),
            "Messages-Waiting: no\r\nMessage-Account: sip:alice@h\r\nVoice-Message: 0/8 (0/2)\r\n"
        );
        summary.text.new = u32::MAX;
        assert_eq!(
            written(&summary),
            "Messages-Waiting: yes\r\nMessage-Account: sip:alice@h\r\nVoice-Message: 0/8 (0/2)\r\n\
             Text-Message: 4294967295/0 (0/0)\r\n"
        );
        summary = Summary { voice: Counts { new: 4, old: 8, new_urgent: 1, old_urgent: 2 }, ..Summary::default() };
        assert_eq!(written(&summary), "Messages-Waiting: yes\r\nVoice-Message: 4/8 (1/2)\r\n");
    }

    #[test]
    fn too_long_is_remembered() {
        for len in 0..=48 {
            let mut buffer = [0; 48];
            let mut out = Writer::new(&mut buffer[..len]);
            Summary::default().write(&mut out);
            assert_eq!(out.finish().is_ok(), len == 48, "{len}");
        }
    }
}
