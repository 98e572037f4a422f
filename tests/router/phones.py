#!/usr/bin/env python3
"""The phones of the emulated router's people: they register without end, or hold a call while their server is killed.

`load` registers and unregisters contacts as fast as they are answered, from a socket and thread each, and writes down
what it asks for and what was promised by a 200; `check` compares that with what `pcsctl devices --json` says on stdin:
what was promised last has to be true, whatever happened to the server since. `call` makes a call, waits for a line on
stdin, and then talks within the same dialog, both ways. Requests are repeated as in RFC 3261 §17.1.2 (T2 and Timer F).
"""

import argparse
import collections
import importlib.machinery
import importlib.util
import json
import pathlib
import random
import re
import secrets
import socket
import sys
import threading
import time

PLACE = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "sip-register"
LOADER = importlib.machinery.SourceFileLoader("sip_register", str(PLACE))
sip = importlib.util.module_from_spec(importlib.util.spec_from_loader("sip_register", LOADER))
LOADER.exec_module(sip)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["load", "check", "call"])
    parser.add_argument("--server", metavar="HOST:PORT")
    parser.add_argument("--domain", default="home.example")
    parser.add_argument("--users", default="", help="USER:PASSWORD,...")
    parser.add_argument("--contacts", type=int, default=8, help="of each user")
    parser.add_argument("--record", metavar="FILE", help="what was asked for and promised")
    options = parser.parse_args()
    options.users = [user.split(":", 1) for user in options.users.split(",") if user]
    sys.exit({"load": load, "check": check, "call": call}[options.what](options))


# --- load and check ---------------------------------------------------------------------------------------------------


def load(options):
    """Until it is ended by a signal. The lines of the record: `ask in|out CONTACT`, `ok in|out CONTACT`."""
    with open(options.record, "a", buffering=1, encoding="ascii") as record:
        lock = threading.Lock()

        def note(*words):
            with lock:
                record.write(" ".join(words) + "\n")

        for user, password in options.users:
            for number in range(options.contacts):
                phone = Phone(options, user, password)
                phone.contact = f"sip:{user}@192.0.2.1:{5000 + number}"
                threading.Thread(target=register_for_ever, args=(phone, note), daemon=True).start()
        while True:
            time.sleep(60)


def register_for_ever(phone, note):
    while True:
        way = random.choices(["in", "out"], [3, 1])[0]
        note("ask", way, phone.contact)
        # Nobody knows what becomes of a request that is not answered.
        if phone.register(3600 if way == "in" else 0) == 200:
            note("ok", way, phone.contact)


def check(options):
    there = {device["contact"] for device in json.load(sys.stdin)}
    state, promises = {}, 0
    for line in pathlib.Path(options.record).read_text(encoding="ascii").splitlines():
        word, way, contact = line.split(" ")
        promises += word == "ok"
        if word == "ok":
            state[contact] = way
        elif state.get(contact) != way:
            # Until the answer either is right.
            state[contact] = "either"
    wrong = [f"{contact} should be {way}" for contact, way in state.items() if (way == "in") != (contact in there)]
    wrong = [text for text in wrong if not text.endswith("either")]
    count = collections.Counter(state.values())
    print(f"{promises} promises; {count['in']} contacts have to be there, {count['out']} must not, "
          f"{count['either']} may; {len(there)} are; {len(wrong)} wrong")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong or promises == 0 else 0


# --- phones -----------------------------------------------------------------------------------------------------------


class Phone:
    """A user agent with a UDP socket of its own: sends requests, answers them with 200."""

    def __init__(self, options, user, password):
        host, port = options.server.rsplit(":", 1)
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wire.connect((host, int(port)))
        self.user, self.password, self.domain = user, password, options.domain
        self.aor = f"sip:{user}@{options.domain}"
        self.local = "%s:%d" % self.wire.getsockname()
        self.contact = f"sip:{user}@{self.local}"
        self.call_id, self.tag, self.cseq = secrets.token_hex(8), secrets.token_hex(4), 0
        self.requests = []

    def register(self, expires):
        return self.ask("REGISTER", f"sip:{self.domain}", self.aor, [f"Expires: {expires}"])[0]

    def ask(self, method, uri, to, more=(), body=""):
        """One request, and the same with credentials if it is challenged: status and text of the final response."""
        status, response, answer = 0, "", []
        for _ in range(2):
            self.cseq += 1
            lines = [f"From: <{self.aor}>;tag={self.tag}", f"To: {to if '<' in to else f'<{to}>'}",
                     f"Call-ID: {self.call_id}", f"CSeq: {self.cseq} {method}", f"Contact: <{self.contact}>"]
            status, response = self.exchange(method, uri, lines + list(more) + answer, body)
            if status not in (401, 407):
                break
            answer = [self.credentials(method, uri, status, response)]
        return status, response

    def credentials(self, method, uri, status, response):
        value = next(value for name, value in sip.fields(response) if name.endswith("-authenticate"))
        challenge, cnonce = sip.parameters(value), secrets.token_hex(4)
        algorithm = challenge.get("algorithm", "MD5")
        digest = sip.digest(sip.ALGORITHMS[algorithm], self.user, challenge["realm"], self.password, method, uri,
                            challenge["nonce"], cnonce)
        name = "Authorization" if status == 401 else "Proxy-Authorization"
        return (f'{name}: Digest username="{self.user}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
                f'uri="{uri}", response="{digest}", algorithm={algorithm}, qop=auth, nc=00000001, cnonce="{cnonce}"')

    def exchange(self, method, uri, lines, body=""):
        branch = "z9hG4bK" + secrets.token_hex(8)
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP {self.local};branch={branch};rport",
                 "Max-Forwards: 70", *lines, f"Content-Length: {len(body.encode())}", "", body]
        end, interval, repeat_at = time.monotonic() + 32, 0.5, 0.0
        while (now := time.monotonic()) < end:
            if now >= repeat_at:
                self.send("\r\n".join(lines))
                repeat_at, interval = now + interval, min(interval * 2, 4.0)
            text = self.receive(repeat_at - now)
            status = re.match(r"SIP/2\.0 (\d{3}) ", text)
            if status and branch in text:
                if status[1] >= "200":
                    if method == "INVITE" and status[1] >= "300":
                        self.refused(uri, lines, text)
                    return int(status[1]), text
                repeat_at = end
        return 408, ""

    def refused(self, uri, lines, response):
        """The ACK of a final response that is no 2xx (RFC 3261 §17.1.1.3)."""
        to = next(value for name, value in sip.fields(response) if name in ("to", "t"))
        kept = [line for line in lines if line.startswith(("Via", "Max-Forwards", "From", "Call-ID"))]
        self.send("\r\n".join([f"ACK {uri} SIP/2.0", *kept, f"To: {to}", f"CSeq: {self.cseq} ACK",
                               "Content-Length: 0", "", ""]))

    def send(self, text):
        try:
            self.wire.send(text.encode())
        except OSError:
            pass  # nobody listens now

    def receive(self, seconds):
        """The next message. A request is answered, noted, and given as well."""
        self.wire.settimeout(max(seconds, 0.001))
        try:
            text = self.wire.recv(65535).decode("utf-8", "replace")
        except TimeoutError:
            return ""
        except OSError:
            time.sleep(0.2)
            return ""
        if text and not text.startswith("SIP/2.0") and not text.startswith("ACK"):
            kept = [line for line in text.split("\r\n\r\n")[0].split("\r\n")[1:]
                    if re.match(r"(?i)(via|v|from|f|to|t|call-id|i|cseq|record-route)\s*:", line)]
            kept = [line + f";tag={self.tag}" if re.match(r"(?i)(to|t)\s*:", line) and ";tag=" not in line else line
                    for line in kept]
            self.send("\r\n".join(["SIP/2.0 200 OK", *kept, f"Contact: <{self.contact}>", "Content-Length: 0", "", ""]))
        if text and not text.startswith("SIP/2.0"):
            self.requests.append(text)
        return text

    def serve(self, stop):
        while not stop.is_set():
            self.receive(0.2)


# --- a call -----------------------------------------------------------------------------------------------------------


def call(options):
    caller, callee = (Phone(options, user, password) for user, password in options.users[:2])
    if any(phone.register(600) != 200 for phone in (caller, callee)):
        sys.exit("no registration")
    stop = threading.Event()
    thread = threading.Thread(target=callee.serve, args=(stop,))
    thread.start()
    caller.call_id = secrets.token_hex(8)
    status, response = caller.ask("INVITE", callee.aor, callee.aor)
    if status != 200:
        stop.set()
        sys.exit(f"INVITE: {status}")
    fields = list(sip.fields(response))
    target = next(re.sub(r".*<|>.*", "", value) for name, value in fields if name in ("contact", "m"))
    to = next(value for name, value in fields if name in ("to", "t"))
    recorded = [value for name, value in fields if name == "record-route"]
    route = [f"Route: {value}" for value in reversed(recorded)]
    dialog = [f"From: <{caller.aor}>;tag={caller.tag}", f"To: {to}", f"Call-ID: {caller.call_id}"]
    caller.send("\r\n".join([f"ACK {target} SIP/2.0",
                             f"Via: SIP/2.0/UDP {caller.local};branch=z9hG4bK{secrets.token_hex(8)};rport",
                             "Max-Forwards: 70", *route, *dialog, f"CSeq: {caller.cseq} ACK", "Content-Length: 0", "", ""]))
    wait_for(callee, "ACK")
    print("call: up", flush=True)
    sys.stdin.readline()
    stop.set()
    thread.join()

    # The callee first, by what its INVITE said.
    invite = next(text for text in callee.requests if text.startswith("INVITE"))
    fields = list(sip.fields(invite))
    back = next(re.sub(r".*<|>.*", "", value) for name, value in fields if name in ("contact", "m"))
    callee.call_id = caller.call_id
    routes = [f"Route: {value}" for name, value in fields if name == "record-route"]
    stop = threading.Event()
    thread = threading.Thread(target=caller.serve, args=(stop,))
    thread.start()
    status, _ = callee.ask("INFO", back, f"<{caller.aor}>;tag={caller.tag}", routes)
    stop.set()
    thread.join()
    if status != 200 or not any(text.startswith("INFO") for text in caller.requests):
        sys.exit(f"INFO of the callee: {status}")
    stop = threading.Event()
    thread = threading.Thread(target=callee.serve, args=(stop,))
    thread.start()
    status, _ = caller.ask("BYE", target, to, route)
    stop.set()
    thread.join()
    if status != 200 or not any(text.startswith("BYE") for text in callee.requests):
        sys.exit(f"BYE of the caller: {status}")
    print("call: INFO back and BYE found their way")
    return 0


def wait_for(phone, method):
    end = time.monotonic() + 10
    while not any(text.startswith(method) for text in phone.requests):
        if time.monotonic() > end:
            sys.exit(f"no {method} for {phone.user}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
