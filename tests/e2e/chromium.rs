//! Chromium without a window, driven by its DevTools protocol over a pipe: messages are JSON, each ended by a zero byte.

use crate::harness::{Lines, PATIENCE, Place, Program, find};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// A running Chromium with one page.
pub struct Chromium {
    child: Child,
    messages: Lines,
    session: String,
    sent: usize,
    /// Where its reading of messages is.
    seen: usize,
}

impl Chromium {
    /// Starts it.
    pub fn start(place: &Place) -> Self {
        let profile = place.directory("chromium");
        let mut command = Command::new("sh");
        // What it reads and writes are its file descriptors 3 and 4.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 1>&2 </dev/null 2>/dev/null", "sh"]).arg(find("chromium"));
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]);
        command.args(["--no-first-run", "--disable-extensions", "--mute-audio", "--remote-debugging-pipe"]);
        command.args(["--autoplay-policy=no-user-gesture-required", "--disable-background-networking"]);
        command
            .arg("--ignore-certificate-errors")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank");
        command.env("HOME", &profile).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromium starts");
        let messages = Lines::default();
        let (output, lines) = (child.stdout.take().expect("the output is ours"), messages.clone());
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|len| len > 0) {
                message.pop();
                lines.push(String::from_utf8_lossy(&message).into_owned());
                message.clear();
            }
        });
        let mut chromium = Self { child, messages, session: String::new(), sent: 0, seen: 0 };
        let made = chromium.call("Target.createTarget", "\"url\":\"about:blank\"");
        let target = value_of(&made, "targetId");
        let attached = chromium.call("Target.attachToTarget", &format!("\"targetId\":\"{target}\",\"flatten\":true"));
        chromium.session = value_of(&attached, "sessionId");
        chromium.call("Page.enable", "");
        chromium
    }

    /// Opens an address and waits until the page is there.
    pub fn open(&mut self, url: &str) {
        self.await_load(|it| {
            let done = it.call("Page.navigate", &format!("\"url\":\"{url}\""));
            assert!(!done.contains("errorText"), "{done}");
        });
    }

    /// Clicks at the first element that a selector finds, and waits for the page that it leads to.
    pub fn click(&mut self, selector: &str) {
        self.await_load(|it| {
            let found = it
                .evaluate(&format!("(e => e ? (e.click(), 'clicked') : 'none')(document.querySelector('{selector}'))"));
            assert_eq!(found, "clicked", "{selector}: {}", it.text());
        });
    }

    /// Writes into a field of a form.
    pub fn fill(&mut self, selector: &str, text: &str) {
        let done = self.evaluate(&format!("document.querySelector('{selector}').value = '{text}'"));
        assert_eq!(done, text, "{selector}");
    }

    /// The text that the page shows.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText")
    }

    /// What an expression is, a text. A promise is waited for.
    pub fn evaluate(&mut self, expression: &str) -> String {
        let escaped = expression.replace('\\', "\\\\").replace('"', "\\\"");
        let parameters = format!("\"expression\":\"{escaped}\",\"returnByValue\":true,\"awaitPromise\":true");
        let answer = self.call("Runtime.evaluate", &parameters);
        assert!(!answer.contains("\"exceptionDetails\""), "{expression}: {answer}");
        value_of(&answer, "value")
    }

    /// Lets the pages run what their policy forbids: for the test's own eyes.
    pub fn bypass_policy(&mut self) {
        self.call("Page.setBypassCSP", "\"enabled\":true");
    }

    /// Becomes a window of another size, or another colour scheme.
    pub fn look(&mut self, (width, height): (u32, u32), is_phone: bool, is_dark: bool) {
        let scale = if is_phone { 2 } else { 1 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &format!("\"width\":{width},\"height\":{height},\"deviceScaleFactor\":{scale},\"mobile\":{is_phone}"),
        );
        let scheme = if is_dark { "dark" } else { "light" };
        // Without motion, or the picture is taken in the middle of it.
        let features = format!(
            "\"features\":[{{\"name\":\"prefers-color-scheme\",\"value\":\"{scheme}\"}},\
             {{\"name\":\"prefers-reduced-motion\",\"value\":\"reduce\"}}]"
        );
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Writes what it shows into a PNG file.
    pub fn screenshot(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", "\"format\":\"png\",\"captureBeyondViewport\":true");
        let png = base64(&value_of(&answer, "data"));
        assert!(png.starts_with(b"\x89PNG"), "it is a picture");
        fs::create_dir_all(path.parent().expect("a picture is in a folder")).expect("a folder for pictures");
        fs::write(path, png).expect("a picture can be written");
    }

    fn await_load(&mut self, act: impl FnOnce(&mut Self)) {
        let from = self.messages.len();
        act(self);
        let loaded = self.messages.wait(PATIENCE, from, |it| it.contains("\"Page.loadEventFired\""));
        assert!(loaded.is_some(), "the page is loaded: {:?}", self.messages.since(from));
    }

    fn call(&mut self, method: &str, parameters: &str) -> String {
        self.sent += 1;
        let session = match self.session.as_str() {
            "" => String::new(),
            session => format!(",\"sessionId\":\"{session}\""),
        };
        let message =
            format!("{{\"id\":{},\"method\":\"{method}\",\"params\":{{{parameters}}}{session}}}\0", self.sent);
        let input = self.child.stdin.as_mut().expect("the input is ours");
        input.write_all(message.as_bytes()).and_then(|()| input.flush()).expect("chromium reads");
        let begin = format!("{{\"id\":{},", self.sent);
        let answer = self.messages.wait(PATIENCE, self.seen, |it| it.starts_with(&begin));
        let (at, answer) = answer.unwrap_or_else(|| panic!("no answer to {method}"));
        self.seen = at + 1;
        assert!(!answer.contains("\"error\":{\"code\""), "{method}: {answer}");
        answer
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl prints of an address whose certificate nobody signed, its status last; with more of its options.
pub fn curl(more: &[&str], url: &str) -> String {
    let mut command = Command::new(find("curl"));
    command.args(["-k", "-s", "-i", "-m", "15", "-w", "\n%{http_code}"]).args(more).arg(url);
    let mut program = Program::start("curl", &mut command);
    let status = program.wait(PATIENCE);
    assert!(status.success(), "curl {url}: {status}");
    program.output.wait(PATIENCE, 0, |line| line.len() == 3 && line.parse::<u16>().is_ok());
    program.output.since(0).join("\n")
}

/// A text in JSON, by its name.
fn value_of(json: &str, name: &str) -> String {
    let begin = format!("\"{name}\":\"");
    let (_, rest) = json.split_once(&begin).unwrap_or_else(|| panic!("no {name}: {json}"));
    let mut is_escaped = false;
    let end = rest.find(|it: char| {
        let is_end = it == '"' && !is_escaped;
        is_escaped = it == '\\' && !is_escaped;
        is_end
    });
    unescaped(&rest[..end.expect("a text ends")])
}

/// What a text in JSON stands for (RFC 8259 §7).
fn unescaped(json: &str) -> String {
    let mut units = Vec::new();
    let mut rest = json.chars();
    while let Some(it) = rest.next() {
        let it = match it {
            '\\' => rest.next().expect("something is escaped"),
            plain => {
                units.extend(plain.encode_utf16(&mut [0; 2]).iter());
                continue;
            }
        };
        units.push(match it {
            'n' => 10,
            'r' => 13,
            't' => 9,
            'b' => 8,
            'f' => 12,
            'u' => {
                let digits = rest.by_ref().take(4).collect::<String>();
                u16::from_str_radix(&digits, 16).expect("four digits")
            }
            plain => plain as u16,
        });
    }
    String::from_utf16_lossy(&units)
}

/// Reads base64 (RFC 4648 §4).
pub fn base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("no base64: {byte}"),
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[test]
fn base64_is_read() {
    assert_eq!(base64("TWFu"), b"Man");
    assert_eq!(base64("TWE="), b"Ma");
    assert_eq!(base64("/+8A"), [0xff, 0xef, 0]);
}

#[test]
fn json_is_read() {
    let json = r#"{"id":1,"result":{"value":"a\"b\\\n\u4f60\u003C\ud83d\ude00 å","type":"x"}}"#;
    assert_eq!(value_of(json, "value"), "a\"b\\\n你<😀 å");
    assert_eq!(value_of(json, "type"), "x");
}
