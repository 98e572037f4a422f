#!/usr/bin/env python3
"""Callers and senders without an account, for the emulated router: what they leave there has to outlive its power.

`talk` calls a person without a device, so that the answering machine takes it, and writes to her. Each RTP packet of 20 ms
of A-law says in its samples which call and which packet it is. First one call comes and three texts; at the word `more` on
stdin the other calls, at the word `texts` more texts without end. What was sent when, and which texts were promised by a
202, is written down. `check` reads the page of the router after its power was cut, and compares: promised texts are there
once, and so is of each recording what was sent a while before the router's last sign of life; no time is missing in it.
`refused` finds out that nobody is answered by a machine that can't record.

An emulator that waits for its host is a bad network: its card loses packets, and others come late and all at once. So a
part of them may be missing, with their time in the recording, and there may be silence where they were late.

RFC 3261 (as much as phones.py has), RFC 3551 for A-law, RFC 4733 for the # that ends the greeting. RTCP is left out.
"""

import argparse
import html
import http.client
import pathlib
import random
import re
import secrets
import socket
import struct
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import phones  # noqa: E402

# A packet's samples: so many peaks, the bits of its name, those inverted, and sound that is loud enough not to be silence.
PACKET_MS, PACKET_SAMPLES, PEAKS, NAME_BITS = 20, 160, 8, 24
# A-law for +-32256, +-8448 and +-1056, and what these are in the WAV file.
PEAK, ONE, ZERO, HUM = 0xAA, 0xB5, 0x35, (0xE5, 0x65)
PEAK_SAMPLE, ONE_SAMPLE, ZERO_SAMPLE = 32256, 8448, -8448
SENDERS = 6
# Of the packets in a recording so many may be missing.
MISSING_MAX = 0.25
# There was a sign of life so shortly before the cut.
LIFE_S = 3.0
# The machine has stopped talking, and records, when nothing came from it for so long.
QUIET_S = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["talk", "check", "refused"])
    parser.add_argument("--server", metavar="HOST:PORT", help="where SIP goes, or the page is")
    parser.add_argument("--domain", default="home.example")
    parser.add_argument("--person", default="emma", help="who is called")
    parser.add_argument("--password", help="what she logs in with")
    parser.add_argument("--seen-as", default="10.0.2.2", metavar="ADDRESS", help="as whom the router sees this machine")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--record", metavar="FILE", help="what was sent and promised")
    parser.add_argument("--cut", type=float, metavar="TIME", help="when the power was cut, Unix time")
    parser.add_argument("--lost-s", type=float, default=1.0, help="so much before the cut may be lost")
    options = parser.parse_args()
    sys.exit({"talk": talk, "check": check, "refused": refused}[options.what](options))


class Stranger(phones.Phone):
    """Somebody from elsewhere."""

    def __init__(self, options, name):
        super().__init__(options, name, "")
        self.aor = f"sip:{name}@elsewhere.test"
        self.called = f"sip:{options.person}@{options.domain}"

    def write(self, text):
        self.call_id = secrets.token_hex(8)
        return self.ask("MESSAGE", self.called, self.called, ["Content-Type: text/plain"], text)[0]


# --- talk -------------------------------------------------------------------------------------------------------------


def talk(options):
    """The lines of the record: `ask ID TIME`, `ok ID`, `rtp CALL NUMBER TIME`."""
    with open(options.record, "w", buffering=1, encoding="ascii") as record:
        lock = threading.Lock()

        def note(*words):
            with lock:
                record.write(" ".join(map(str, words)) + "\n")

        senders = [Stranger(options, f"sender{number}") for number in range(SENDERS)]
        for number, sender in enumerate(senders[:3]):
            send_text(sender, f"before-{number}", note)
        calls = [Call(options, number, note) for number in range(options.calls)]
        calls[0].begin()
        calls[0].await_recording()
        print("recording 1", flush=True)
        for line in sys.stdin:
            if line.strip() == "more":
                for call in calls[1:]:
                    call.begin()
                    time.sleep(0.1)
                for call in calls[1:]:
                    call.await_recording()
                print(f"recording {len(calls)}", flush=True)
            elif line.strip() == "texts":
                for number, sender in enumerate(senders):
                    threading.Thread(target=write_for_ever, args=(sender, number, note), daemon=True).start()


def write_for_ever(sender, number, note):
    count = 0
    while True:
        send_text(sender, f"during-{number}-{count}", note)
        count += 1
        time.sleep(random.uniform(0.1, 0.5))


def send_text(sender, name, note):
    # Nobody knows what becomes of a text that is not answered.
    note("ask", name, f"{time.time():.3f}")
    status = sender.write(name)
    if status == 202:
        note("ok", name)
    elif name.startswith("before"):
        sys.exit(f"a text was answered {status}, not 202")


class Call:
    """A call that is taken by the machine, and what is said in it."""

    def __init__(self, options, number, note):
        self.number, self.note = number, note
        self.phone = Stranger(options, f"caller{number}")
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind(("127.0.0.1", 0))
        self.media.setblocking(False)
        self.seen_as = options.seen_as
        self.host = options.server.rsplit(":", 1)[0]
        self.is_recorded = threading.Event()

    def begin(self):
        phone = self.phone
        status, response = phone.ask("INVITE", phone.called, phone.called, ["Content-Type: application/sdp"],
                                     description(self.seen_as, self.media.getsockname()[1]))
        if status != 200:
            sys.exit(f"call {self.number}: INVITE was answered {status}: {response}")
        values = list(phones.sip.fields(response))
        target = next(re.sub(r".*<|>.*", "", value) for name, value in values if name in ("contact", "m"))
        to = next(value for name, value in values if name in ("to", "t"))
        routes = [f"Route: {value}" for name, value in reversed(values) if name == "record-route"]
        # The address in it is the router's own, behind the emulator's network: the port is forwarded under its number.
        port = re.search(r"^m=audio (\d+) RTP/AVP 8\b", response, re.MULTILINE)
        if not port:
            sys.exit(f"call {self.number}: no A-law in {response}")
        phone.send("\r\n".join([f"ACK {target} SIP/2.0",
                                f"Via: SIP/2.0/UDP {phone.local};branch=z9hG4bK{secrets.token_hex(8)};rport",
                                "Max-Forwards: 70", *routes, f"From: <{phone.aor}>;tag={phone.tag}", f"To: {to}",
                                f"Call-ID: {phone.call_id}", f"CSeq: {phone.cseq} ACK", "Content-Length: 0", "", ""]))
        peer = (self.host, int(port[1]))
        threading.Thread(target=self.speak, args=(peer,), daemon=True).start()

    def await_recording(self):
        if not self.is_recorded.wait(60):
            sys.exit(f"call {self.number}: the machine does not stop talking")

    def speak(self, peer):
        begun, heard, has_pressed = time.monotonic(), None, False
        sequence, ssrc, number = random.randrange(1 << 16), random.randrange(1 << 32), 0
        while True:
            timestamp = number * PACKET_SAMPLES
            header = struct.pack(">BBHII", 0x80, 8, sequence, timestamp, ssrc)
            self.note("rtp", self.number, number, f"{time.time():.3f}")
            self.send(header + packet(self.number, number), peer)
            sequence, number = sequence + 1 & 0xFFFF, number + 1
            if self.heard_anything():
                heard = time.monotonic()
            if heard and not has_pressed:
                # The end of event 11, #, three times as RFC 4733 §2.5.1.4 has it. It takes the place of no sound.
                for _ in range(3):
                    self.send(struct.pack(">BBHII", 0x80, 101, sequence, timestamp, ssrc) + b"\x0b\x8a\x03\x20", peer)
                    sequence = sequence + 1 & 0xFFFF
                has_pressed = True
            if has_pressed and time.monotonic() - heard > QUIET_S:
                self.is_recorded.set()
            time.sleep(max(begun + number * PACKET_MS / 1000 - time.monotonic(), 0))

    def send(self, data, peer):
        try:
            self.media.sendto(data, peer)
        except OSError:
            pass  # the router is off

    def heard_anything(self):
        heard = False
        while True:
            try:
                heard |= len(self.media.recv(2048)) == 12 + PACKET_SAMPLES
            except BlockingIOError:
                return heard
            except OSError:
                return heard


def description(address, port):
    return "\r\n".join(["v=0", f"o=- 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
                        f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000",
                        "a=fmtp:101 0-15", "a=ptime:20", ""])


def packet(call, number):
    name = call << 16 | number & 0xFFFF
    bits = [name >> bit & 1 for bit in reversed(range(NAME_BITS))]
    said = bits + [1 - bit for bit in bits]
    head = bytes([PEAK] * PEAKS + [ONE if bit else ZERO for bit in said])
    return head + bytes(HUM[sample // 4 % 2] for sample in range(PACKET_SAMPLES - len(head)))


# --- check ------------------------------------------------------------------------------------------------------------


def check(options):
    asked, promised, sent = {}, set(), {}
    for line in pathlib.Path(options.record).read_text(encoding="ascii").splitlines():
        words = line.split(" ")
        if words[0] == "rtp" and float(words[3]) < options.cut:
            sent.setdefault(int(words[1]), []).append(float(words[3]))
        elif words[0] == "ask":
            asked[words[1]] = float(words[2])
        elif words[0] == "ok":
            promised.add(words[1])
    # What was sent before a text that was answered had its time to arrive.
    alive = min(max((asked[name] for name in promised), default=0.0), options.cut)
    page = Page(options)
    texts, paths = page.letters()
    wrong = [f"text {name} is there {texts.count(name)} times" for name in sorted(asked)
             if texts.count(name) not in ((1,) if name in promised else (0, 1))]
    wrong += [f"a text nobody wrote: {text}" for text in texts if text not in asked]
    if options.cut - alive > LIFE_S:
        wrong.append(f"no text was taken in the last {options.cut - alive:.1f} s before the cut")
    print(f"{len(promised)} texts were promised, {len(asked) - len(promised)} were not answered; {len(texts)} are there")
    found = {}
    for path in paths:
        status, wav = page.get(path)
        names = packets(wav) if status == 200 else []
        if not names:
            wrong.append(f"{path}: {status}, {len(wav)} bytes, and nobody known speaks in it")
        else:
            found.setdefault(names[0][1] >> 16, []).append((names, len(wav)))
    for call, times in sorted(sent.items()):
        if len(found.get(call, [])) != 1:
            wrong.append(f"call {call} is there {len(found.get(call, []))} times")
            continue
        wrong += judge(call, times, options, alive, *found[call][0])
    wrong += [f"a call nobody made: {call}" for call in found if call not in sent]
    print(f"{len(paths)} recordings are there; {len(wrong)} wrong")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong or not promised or not sent else 0


def judge(call, times, options, alive, names, wav_bytes):
    """What is wrong with a recording: packets of others, in disorder, or not there; time that is missing."""
    numbers = [name & 0xFFFF for _, name in names]
    first, last = numbers[0], numbers[-1]
    wrong = [f"call {call}: packets of another"] if any(name >> 16 != call for _, name in names) else []
    if any(after <= before for before, after in zip(numbers, numbers[1:])):
        wrong.append(f"call {call}: packets come twice, or in disorder")
    if last >= len(times):
        return wrong + [f"call {call}: packet {last} was not sent"]
    # How much later each is than its number says, ms.
    begin = names[0][0] - first * PACKET_SAMPLES
    late_ms = [(place - begin - number * PACKET_SAMPLES) / 8 for (place, _), number in zip(names, numbers)]
    if min(late_ms) < -PACKET_MS:
        wrong.append(f"call {call}: {-min(late_ms):.0f} ms are missing")
    missing = last + 1 - first - len(numbers)
    if missing > len(numbers) * MISSING_MAX:
        wrong.append(f"call {call}: {missing} packets of {len(numbers)} are missing in between")
    if alive - times[last] > options.lost_s:
        wrong.append(f"call {call}: the last {alive - times[last]:.2f} s before the last sign of life are lost")
    print(f"call {call}: {(wav_bytes - 44) / 16000:.2f} s, packets {first} to {last} of {len(times)}, {missing} missing, "
          f"at most {max(late_ms):.0f} ms late; lost: {options.cut - times[last]:.2f} s before the cut, "
          f"{max(alive - times[last], 0):.2f} s before the last sign of life")
    return wrong


def packets(wav):
    """The packets in a WAV file: where they begin, in samples, and their names."""
    if wav[:4] != b"RIFF" or wav[8:16] != b"WAVEfmt ":
        return []
    samples = [it[0] for it in struct.iter_unpack("<h", wav[44:][:(len(wav) - 44) // 2 * 2])]
    found, at = [], 0
    bits = {ONE_SAMPLE: 1, ZERO_SAMPLE: 0}
    while at + PACKET_SAMPLES <= len(samples):
        said = [bits.get(sample) for sample in samples[at + PEAKS:at + PEAKS + 2 * NAME_BITS]]
        if samples[at:at + PEAKS] != [PEAK_SAMPLE] * PEAKS or None in said:
            at += 1
            continue
        name, inverted = said[:NAME_BITS], [1 - bit for bit in said[NAME_BITS:]]
        if name == inverted:
            found.append((at, int("".join(map(str, name)), 2)))
            at += PACKET_SAMPLES
        else:
            at += 1
    return found


class Page:
    """The web page, logged in as the person."""

    def __init__(self, options):
        self.server, self.cookie = options.server, ""
        form = urllib.parse.urlencode({"name": options.person, "password": options.password})
        response, _ = self.request("POST", "/login", form)
        self.cookie = (response.getheader("Set-Cookie") or "").split(";")[0]
        if response.status != 303 or not self.cookie:
            sys.exit(f"the login was answered {response.status}")

    def letters(self):
        """The texts and the paths of recordings of all pages."""
        texts, paths, path = [], [], "/"
        while True:
            status, body = self.get(path)
            if status != 200:
                sys.exit(f"{path} was answered {status}")
            body = body.decode()
            texts += map(html.unescape, re.findall(r'<p class="say" dir="auto">(.*?)</p>', body, re.DOTALL))
            paths += re.findall(r'src="(/voice/[^"]*)"', body)
            more = re.search(r'href="/\?before=(\d+)', body)
            if not more:
                return texts, paths
            path = f"/?before={more[1]}"

    def get(self, path):
        response, body = self.request("GET", path)
        return response.status, body

    def request(self, method, path, form=None):
        fields = {"Cookie": self.cookie} if self.cookie else {}
        if form:
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(self.server, timeout=60)
        try:
            connection.request(method, path, form, fields)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(options):
    caller = Stranger(options, "late")
    status, response = caller.ask("INVITE", caller.called, caller.called, ["Content-Type: application/sdp"],
                                  description(options.seen_as, 30000))
    text = Stranger(options, "late").write("lost?")
    print(f"a call is answered {response.splitlines()[0][8:] if response else status}, a text {text}")
    return 0 if (status, text) == (480, 480) else 1


if __name__ == "__main__":
    main()
