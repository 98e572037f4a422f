//! `pcsctl inbox` and `pcsctl greeting`, as far as more than a line passes: contents of letters and greetings come as the
//! disk has them and become a text or a file of sound here, so that the server has nothing to convert.
//!
//! G.711 becomes a WAV file of PCM; Opus is kept as a file of Ogg already.

use super::control::{self, Greeting, Request, Subject};
use super::maintenance::{last_line, of_either, of_file, write_file};
use super::storage::job::copy_pieces;
use crate::base::limits::GREETING_SECONDS;
use crate::base::text::OneLine;
use crate::home::inbox::{Codec, Kept, What};
use crate::media::g711::Law;
use crate::media::wav::{self, Fault, Reader, TAIL_SAMPLES};
use crate::wire::cpim::Cpim;
use crate::wire::sip::MediaType;
use std::format;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

/// Prints what is in a text.
///
/// # Errors
/// With the reason in words.
pub fn show(socket: &Path, person: &str, number: u32, out: &mut impl Write) -> io::Result<()> {
    let subject = Subject::Letter { person: person.into(), number };
    let mut record = Record::fetch(socket, subject)?;
    let text = match record.read()?.what {
        What::Text { content_type, encoding, body } => readable(content_type, encoding, body).map(<[u8]>::to_vec),
        _ => return Err(io::Error::other(format!("it is a recording: pcsctl inbox {person} save {number} FILE"))),
    };
    record.end(&mut io::sink(), Path::new(""))?;
    let Some(text) = text else {
        return Err(io::Error::other(format!("it is no plain text: pcsctl inbox {person} save {number} FILE")));
    };
    // What a stranger wrote is not to play with the terminal.
    for line in text.trim_ascii_end().split(|byte| *byte == b'\n') {
        writeln!(out, "{}", OneLine(line.strip_suffix(b"\r").unwrap_or(line)))?;
    }
    out.flush()
}

/// Writes what is in a letter to a file: a text as it came, a recording as a WAV file or, if it came as Opus, as Ogg.
///
/// # Errors
/// With the reason in words.
pub fn save(socket: &Path, person: &str, number: u32, file: &Path, out: &mut impl Write) -> io::Result<()> {
    let mut record = Record::fetch(socket, Subject::Letter { person: person.into(), number })?;
    let kept = record.read()?;
    let line = match kept.what {
        What::Text { body, .. } => {
            let body = body.to_vec();
            record.end(&mut io::sink(), file)?;
            write_file(file, |to| to.write_all(&body).map_err(|error| of_file(file, &error)))?;
            format!("{} bytes", body.len())
        }
        What::Voice { codec: Codec::Opus, .. } => {
            write_file(file, |to| record.end(to, file))?;
            "Ogg Opus".into()
        }
        What::Voice { codec, .. } => {
            let law = if codec == Codec::Alaw { Law::A } else { Law::Mu };
            write_file(file, |to| save_wav(record, law, file, to))?
        }
        What::Call { .. } => return Err(io::Error::other("it is a call that was missed")),
    };
    writeln!(out, "{}: {line}", file.display())
}

/// Writes a person's greeting to a WAV file.
///
/// # Errors
/// With the reason in words.
pub fn save_greeting(socket: &Path, person: &str, file: &Path, out: &mut impl Write) -> io::Result<()> {
    let subject = Subject::Greeting { person: person.into(), step: Greeting::Get };
    let record = Record::fetch(socket, subject)?;
    let line = write_file(file, |to| save_wav(record, Law::A, file, to))?;
    writeln!(out, "{}: {line}", file.display())
}

/// Makes a WAV file a person's greeting.
///
/// # Errors
/// With the reason in words.
pub fn set_greeting(socket: &Path, person: &str, file: &Path, out: &mut impl Write) -> io::Result<()> {
    let sound = read_wav(file)?;
    let step = Greeting::Set(sound.len() as u32);
    let mut server = knock(socket, Subject::Greeting { person: person.into(), step })?;
    server.set_read_timeout(Some(GREETING_TIMEOUT))?;
    server.set_write_timeout(Some(GREETING_TIMEOUT))?;
    // A server that wants no more of it has said why.
    let sent = server.write_all(&sound);
    let line = last_line(socket, &mut BufReader::new(server))?;
    sent.map_err(|error| control::explain(socket, &error))?;
    writeln!(out, "{line}")
}

/// A file of sound as A-law at 8 kHz.
fn read_wav(file: &Path) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: a pipe would be waited for.
    if !fs::metadata(file).map_err(|error| of_file(file, &error))?.is_file() {
        return Err(io::Error::other(format!("{}: not a file", file.display())));
    }
    let explain = |fault| {
        let reason = match fault {
            Fault::NotWav => "not a WAV file, or there is no sound in it".into(),
            Fault::Format => {
                "a WAV file, but not of PCM with 8 or 16 bits or G.711, one or two channels, 8 to 48 kHz".into()
            }
            Fault::TooLong => format!("longer than {GREETING_SECONDS} s"),
        };
        io::Error::other(format!("{}: {reason}", file.display()))
    };
    let mut from = File::open(file).map_err(|error| of_file(file, &error))?;
    let mut reader = Reader::new(GREETING_SECONDS as u32 * 8000);
    let (mut sound, mut piece, mut samples) = (Vec::new(), [0; CHUNK], [0; CHUNK]);
    loop {
        let len = from.read(&mut piece).map_err(|error| of_file(file, &error))?;
        if len == 0 {
            break;
        }
        // There is as much room as there are bytes: all are read.
        let progress = reader.feed(&piece[..len], &mut samples).map_err(explain)?;
        sound.extend_from_slice(&samples[..progress.written]);
    }
    let mut tail = [0; TAIL_SAMPLES];
    let (len, _) = reader.finish(&mut tail).map_err(explain)?;
    sound.extend_from_slice(&tail[..len]);
    Ok(sound)
}

/// A record on its way from the server, its blob behind it.
struct Record<'p> {
    socket: &'p Path,
    server: BufReader<UnixStream>,
    payload: Vec<u8>,
}

impl<'p> Record<'p> {
    fn fetch(socket: &'p Path, subject: Subject) -> io::Result<Self> {
        let mut server = BufReader::new(knock(socket, subject)?);
        let mut payload = Vec::new();
        copy_pieces(&mut server, &mut payload).map_err(|failure| of_either(socket, Path::new(""), failure))?;
        let mut record = Self { socket, server, payload };
        if record.payload.is_empty() {
            // There is none, and the last line says why.
            record.end(&mut io::sink(), Path::new(""))?;
            return Err(io::Error::other("it can't be read"));
        }
        Ok(record)
    }

    fn read(&self) -> io::Result<Kept<'_>> {
        Kept::read(&self.payload).ok_or_else(|| io::Error::other("it can't be read"))
    }

    /// The blob, and how it went.
    fn end(&mut self, to: &mut impl Write, file: &Path) -> io::Result<()> {
        copy_pieces(&mut self.server, to).map_err(|failure| of_either(self.socket, file, failure))?;
        last_line(self.socket, &mut self.server).map(drop)
    }
}

fn knock(socket: &Path, subject: Subject) -> io::Result<UnixStream> {
    control::knock(socket, &Request::from(subject))
}

/// What of a body is a text to read: plain text, or that in a `message/cpim`.
fn readable<'b>(content_type: &[u8], encoding: &[u8], body: &'b [u8]) -> Option<&'b [u8]> {
    let is_plain = |content_type: &[u8], encoding: &[u8]| {
        let is_text = MediaType::parse(content_type).is_ok_and(|media| media.is("text", "plain"));
        encoding.is_empty() && (content_type.is_empty() || is_text)
    };
    if is_plain(content_type, encoding) {
        return Some(body);
    }
    let is_cpim = MediaType::parse(content_type).is_ok_and(|media| media.is("message", "cpim"));
    let inside = Cpim::parse(body).filter(|_| is_cpim && encoding.is_empty())?;
    is_plain(inside.content_type, inside.encoding).then_some(inside.body)
}

fn save_wav(mut record: Record<'_>, law: Law, file: &Path, to: &mut File) -> io::Result<String> {
    let explain = |error: io::Error| of_file(file, &error);
    let mut wav = WavWriter::begin(BufWriter::new(to), law).map_err(explain)?;
    record.end(&mut wav, file)?;
    let seconds = wav.finish().map_err(explain)?.div_ceil(8000);
    Ok(format!("WAV, {}:{:02}", seconds / 60, seconds % 60))
}

/// Writes G.711 as a WAV file; the head, which says how long it is, when that is known.
struct WavWriter<W> {
    to: W,
    law: Law,
    samples: u32,
}

impl<W: Write + Seek> WavWriter<W> {
    fn begin(mut to: W, law: Law) -> io::Result<Self> {
        to.write_all(&[0; wav::HEADER_BYTES as usize])?;
        Ok(Self { to, law, samples: 0 })
    }

    /// Writes the head; how many samples there are.
    fn finish(mut self) -> io::Result<u32> {
        let mut head = [0; wav::HEADER_BYTES as usize];
        wav::render(0..wav::HEADER_BYTES, self.samples, self.law, 0, &[], &mut head);
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(&head)?;
        self.to.flush()?;
        Ok(self.samples)
    }
}

impl<W: Write> Write for WavWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        let end = self.samples.saturating_add(bytes.len() as u32);
        if end > wav::SAMPLES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut room = [0; 2 * CHUNK];
        let range = wav::len(self.samples)..wav::len(end);
        let len = wav::render(range, end, self.law, self.samples, bytes, &mut room);
        self.to.write_all(&room[..len])?;
        self.samples = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

const CHUNK: usize = 4096;
/// As long as a server takes for a greeting on a slow disk, and a little more.
const GREETING_TIMEOUT: core::time::Duration = core::time::Duration::from_secs(65);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::string::ToString;

    #[test]
    fn sound_there_and_back() {
        let sound: Vec<u8> = (0..10_000u32).map(|at| (at * 7 % 251) as u8).collect();
        let mut file = Cursor::new(Vec::new());
        let mut wav = WavWriter::begin(&mut file, Law::Mu).unwrap();
        for piece in sound.chunks(333) {
            wav.write_all(piece).unwrap();
        }
        assert_eq!(wav.finish().unwrap(), 10_000);
        let file = file.into_inner();
        assert_eq!(file.len() as u32, wav::len(10_000));
        let mut whole = std::vec![0; file.len()];
        assert_eq!(wav::render(0..file.len() as u32, 10_000, Law::Mu, 0, &sound, &mut whole), file.len());
        assert!(file == whole, "in pieces it is the same as at once");

        let path = std::env::temp_dir().join(format!("pcsd-letters-{}.wav", std::process::id()));
        fs::write(&path, &file).unwrap();
        let read = read_wav(&path).unwrap();
        let expected: Vec<u8> = sound.iter().map(|code| Law::A.encode(Law::Mu.decode(*code))).collect();
        assert!(read == expected);
        for (bytes, reason) in [
            (&b"RIFF"[..], "not a WAV file, or there is no sound in it"),
            (&file[..44], "not a WAV file, or there is no sound in it"),
            (b"# pcsd is no song", "not a WAV file, or there is no sound in it"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_wav(&path).unwrap_err().to_string(), format!("{}: {reason}", path.display()));
        }
        let long = std::vec![0x55; GREETING_SECONDS * 8000 + 1];
        let mut file = Cursor::new(Vec::new());
        let mut wav = WavWriter::begin(&mut file, Law::A).unwrap();
        wav.write_all(&long).unwrap();
        wav.finish().unwrap();
        fs::write(&path, file.into_inner()).unwrap();
        assert!(read_wav(&path).unwrap_err().to_string().ends_with(": longer than 60 s"));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_can_be_read() {
        let wrapped = b"From: <sip:b@h>\r\n\r\nContent-Type: text/plain\r\n\r\nHi";
        for (content_type, encoding, body, expected) in [
            (&b""[..], &b""[..], &b"Hi"[..], Some(&b"Hi"[..])),
            (b"text/plain;charset=UTF-8", b"", b"Hi", Some(b"Hi")),
            (b"text/plain", b"deflate", b"..", None),
            (b"text/html", b"", b"<b>", None),
            (b"message/CPIM", b"", wrapped, Some(b"Hi")),
            (b"message/cpim", b"", b"Hi", None),
        ] {
            assert_eq!(readable(content_type, encoding, body), expected);
        }
    }
}
