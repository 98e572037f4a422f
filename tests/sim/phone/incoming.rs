//! What a phone does with what comes in: answers to its requests, challenges, requests, ACK and CANCEL (RFC 3261 §9.2,
//! §13.2.2, §13.3.1, §17, §22.2).

use std::net::SocketAddr;

use super::{Client, Dialog, Link, Phone, Served, T1_MS, T64_MS, Way};
use crate::digest::{Nonce, quoted};
use crate::message::{Msg, param, uri_of};

impl Phone {
    /// A datagram came in.
    pub fn datagram(&mut self, now: u64, from: SocketAddr, bytes: &[u8]) {
        self.now = now;
        if self.is_off {
            return;
        }
        if let Some((msg, _)) = Msg::read(bytes) {
            self.take(Way::Udp(from), msg);
        }
    }

    /// A stream is up.
    pub fn connected(&mut self, conn: usize, remote: SocketAddr) {
        self.conns.insert(conn, Link { remote: Some(remote), ..Link::default() });
    }

    /// A stream is gone.
    pub fn disconnected(&mut self, conn: usize) {
        let Some(link) = self.conns.remove(&conn) else { return };
        for client in &mut self.clients {
            let was_on_it = client.way == Way::Conn(conn) || link.remote.is_some_and(|it| client.way == Way::Tcp(it));
            if was_on_it && client.ends_at.is_some() {
                // A transport error ends the transaction (§17.1.4).
                client.was_lost = true;
                client.ends_at = None;
                client.repeat = None;
                client.timed_out = client.finals.is_empty();
            }
        }
    }

    /// Bytes came in on a stream.
    pub fn streamed(&mut self, now: u64, conn: usize, bytes: &[u8]) {
        self.now = now;
        if let Some(page) = &mut self.page {
            return page.extend(bytes);
        }
        let Some(link) = self.conns.get_mut(&conn) else { return };
        link.bytes.extend(bytes);
        loop {
            let Some(link) = self.conns.get_mut(&conn) else { return };
            if link.bytes.starts_with(b"\r\n") {
                link.bytes.drain(..2);
                self.pongs += 1;
                continue;
            }
            let Some((msg, len)) = Msg::read(&link.bytes) else { return };
            link.bytes.drain(..len);
            // An ACK comes again with each repetition of the 2xx.
            if msg.status().is_none() && msg.method() != "ACK" {
                let is_new = link.seen.insert((msg.branch(), msg.method().into()));
                assert!(is_new, "{}: the same request twice on a stream: {}", self.name, msg.start);
            }
            self.take(Way::Conn(conn), msg);
        }
    }

    /// The open stream to an address.
    pub fn conn_to(&self, to: SocketAddr) -> Option<usize> {
        self.conns.iter().find(|(_, link)| link.remote == Some(to)).map(|(conn, _)| *conn)
    }

    /// All open streams.
    pub fn open_conns(&self) -> Vec<usize> {
        self.conns.keys().copied().collect()
    }

    fn take(&mut self, way: Way, msg: Msg) {
        match msg.status() {
            Some(_) if self.is_sink => {}
            Some(status) => self.take_answer(msg, status),
            None if self.manner.is_deaf => {}
            None => self.take_request(way, msg),
        }
    }

    fn take_answer(&mut self, answer: Msg, status: u16) {
        let (branch, method) = (answer.branch(), answer.method().to_string());
        let is_it = |client: &Client| client.request.branch() == branch && client.request.method() == method;
        let Some(index) = self.clients.iter().position(is_it) else {
            panic!("{}: an answer to nothing: {} {branch}", self.name, answer.start);
        };
        let now = self.now;
        let client = &mut self.clients[index];
        assert_eq!(answer.values("Via").len(), client.request.values("Via").len(), "{}: not our Vias", self.name);
        for name in ["Call-ID", "From"] {
            assert_eq!(answer.get(name), client.request.get(name), "{}: not our {name}", self.name);
        }
        let is_invite = method == "INVITE";
        if status < 200 {
            client.provisional.push((now, answer));
            if client.finals.is_empty() && is_invite {
                client.repeat = None;
                // A call may ring; the proxy's timer C ends it.
                client.ends_at = client.ends_at.map(|_| now + 400_000);
                if std::mem::take(&mut client.wants_cancel) {
                    self.send_cancel(now, index);
                }
            }
            return;
        }
        let is_known = client.finals.iter().any(|(_, known)| known.tag("To") == answer.tag("To"));
        let is_first = client.finals.is_empty();
        if is_invite && (200..300).contains(&status) {
            if is_known {
                return self.repeat_ack(&answer);
            }
            client.repeat = None;
            client.ends_at = client.ends_at.map(|_| now + T64_MS);
            client.finals.push((now, answer.clone()));
            return self.answered(index, &answer, is_first);
        }
        if is_invite {
            if is_first {
                let ack = self.ack_of(index, &answer);
                self.clients[index].ack = Some(ack);
            }
            if let Some(ack) = self.clients[index].ack.clone() {
                self.emit(self.clients[index].way, &ack);
            }
        }
        let client = &mut self.clients[index];
        if !is_first {
            return;
        }
        client.repeat = None;
        client.ends_at = client.ends_at.map(|_| now + if is_invite { T64_MS } else { 5_000 });
        client.finals.push((now, answer.clone()));
        if method == "SUBSCRIBE" && status < 300 {
            let request = client.request.clone();
            self.established(&request, &answer);
        }
        if matches!(status, 401 | 407) {
            self.prove(index, &answer);
        }
    }

    /// Asks again with credentials, unless these were tried already.
    fn prove(&mut self, index: usize, answer: &Msg) {
        let request = self.clients[index].request.clone();
        let field = if answer.status() == Some(401) { "Authorization" } else { "Proxy-Authorization" };
        let challenge = answer.lines("WWW-Authenticate").chain(answer.lines("Proxy-Authenticate")).next().unwrap_or("");
        let is_stale = challenge.contains("stale=true");
        let was_tried = !request.get(field).is_empty() && !is_stale;
        let is_ours = self.aor.ends_with(&format!("@{}", quoted(challenge, "realm")));
        if !self.manner.proves || was_tried || !is_ours {
            return;
        }
        let Some(nonce) = Nonce::of(answer, self.algorithm) else { return };
        self.nonces.insert(field.into(), nonce);
        let mut again = request;
        again.remove(field);
        let (number, method) = (again.cseq() + 1, again.method().to_string());
        again.set("CSeq", &format!("{number} {method}"));
        if method == "REGISTER" {
            self.register_order.1 = self.register_order.1.max(number);
        }
        if let Some(dialog) = self.dialogs.iter_mut().find(|dialog| dialog.call_id == again.get("Call-ID")) {
            dialog.cseq = dialog.cseq.max(number);
        }
        let via = again.get("Via").to_string();
        let old = param(&via, "branch").unwrap_or("").to_string();
        again.set("Via", &via.replace(&old, ""));
        let successor = self.send(self.now, again);
        self.clients[successor].wants_cancel = std::mem::take(&mut self.clients[index].wants_cancel);
        self.clients[index].successor = Some(successor);
    }

    /// A call of ours is answered: a dialog begins, and its ACK goes out.
    fn answered(&mut self, index: usize, answer: &Msg, is_first: bool) {
        let request = self.clients[index].request.clone();
        let dialog = self.established(&request, answer);
        let mut ack = self.dialog_request(dialog, "ACK");
        self.dialogs[dialog].cseq -= 1;
        ack.set("CSeq", &format!("{} ACK", request.cseq()));
        let branch = format!("z9hG4bK{}", self.token());
        let via = ack.get("Via").replace("branch=;", &format!("branch={branch};"));
        ack.set("Via", &via);
        if let Some(voice) = self.voice.as_mut().filter(|voice| voice.is_late) {
            ack.add("Content-Type", "application/sdp");
            ack.body = voice.description();
        }
        if self.manner.loses_acks {
            return;
        }
        self.emit(self.way_for(&ack), &ack);
        self.dialogs[dialog].ack = Some(ack);
        if !is_first && self.manner.drops_second {
            self.in_dialog(self.now, dialog, "BYE");
        }
    }

    /// The dialog that a request of ours and its answer make, or are in.
    fn established(&mut self, request: &Msg, answer: &Msg) -> usize {
        let known =
            self.dialogs.iter().position(|it| it.call_id == request.get("Call-ID") && it.remote == answer.get("To"));
        let mut routes = answer.values("Record-Route");
        routes.reverse();
        let dialog = known.unwrap_or_else(|| {
            self.dialogs.push(Dialog {
                call_id: request.get("Call-ID").into(),
                local: request.get("From").into(),
                remote: answer.get("To").into(),
                target: uri_of(answer.get("Contact")).into(),
                routes,
                cseq: request.cseq(),
                is_over: false,
                ack: None,
            });
            self.dialogs.len() - 1
        });
        self.dialogs[dialog].target = uri_of(answer.get("Contact")).into();
        self.dialogs[dialog].cseq = self.dialogs[dialog].cseq.max(request.cseq());
        dialog
    }

    fn repeat_ack(&mut self, answer: &Msg) {
        let mut dialogs = self.dialogs.iter();
        let dialog = dialogs.find(|it| it.call_id == answer.get("Call-ID") && it.remote == answer.get("To"));
        if let Some(ack) = dialog.and_then(|dialog| dialog.ack.clone()) {
            self.emit(self.way_for(&ack), &ack);
        }
    }

    /// The ACK of a refusal (§17.1.1.3).
    fn ack_of(&self, index: usize, answer: &Msg) -> Msg {
        let request = &self.clients[index].request;
        let mut ack = Msg::request("ACK", request.uri())
            .with("Via", request.get("Via"))
            .with("Max-Forwards", "70")
            .with("From", request.get("From"))
            .with("To", answer.get("To"))
            .with("Call-ID", request.get("Call-ID"))
            .with("CSeq", &format!("{} ACK", request.cseq()));
        for route in request.lines("Route") {
            ack.add("Route", route);
        }
        ack
    }

    pub(super) fn send_cancel(&mut self, now: u64, index: usize) {
        let request = &self.clients[index].request;
        let mut cancel = Msg::request("CANCEL", request.uri())
            .with("Via", request.get("Via"))
            .with("Max-Forwards", "70")
            .with("From", request.get("From"))
            .with("To", request.get("To"))
            .with("Call-ID", request.get("Call-ID"))
            .with("CSeq", &format!("{} CANCEL", request.cseq()));
        for route in request.lines("Route") {
            cancel.add("Route", route);
        }
        self.send_as_is(now, cancel);
    }

    fn take_request(&mut self, way: Way, request: Msg) {
        let (branch, method) = (request.branch(), request.method().to_string());
        if method == "ACK" {
            return self.take_ack(request);
        }
        let is_it = |served: &Served| served.request.branch() == branch && served.request.method() == method;
        if let Some(served) = self.served.iter().find(|served| is_it(served)) {
            let (way, answer) = (served.way, served.answer.clone());
            answer.iter().for_each(|answer| self.emit(way, answer));
            return;
        }
        let key =
            |msg: &Msg| (msg.get("Call-ID").to_string(), msg.get("CSeq").to_string(), msg.tag("From").to_string());
        let is_again = method != "CANCEL" && self.requests.iter().any(|(_, known)| key(known) == key(&request));
        assert!(!is_again || self.may_get_twice, "{}: delivered twice: {}", self.name, request.start);
        self.requests.push((self.now, request.clone()));
        let to_tag = match request.tag("To") {
            "" => self.token(),
            known => known.into(),
        };
        let ends_at = self.now + if method == "INVITE" { 1_000_000 } else { T64_MS };
        self.served.push(Served {
            request: request.clone(),
            way,
            answer: None,
            to_tag,
            planned: None,
            repeat: None,
            ends_at,
            is_acked: false,
        });
        let index = self.served.len() - 1;
        match method.as_str() {
            "INVITE" if request.tag("To").is_empty() => {
                if self.manner.rings {
                    self.reply(index, 180);
                }
                self.served[index].planned = self.manner.answer.map(|(after, status)| (self.now + after, status));
            }
            "MESSAGE" => {
                if let Some(status) = self.manner.message {
                    match self.manner.message_ms {
                        0 => self.reply(index, status),
                        after_ms => self.served[index].planned = Some((self.now + after_ms, status)),
                    }
                }
            }
            "NOTIFY" => {
                if let Some(status) = self.manner.notify {
                    self.reply(index, status)
                }
            }
            "CANCEL" => self.take_cancel(index),
            _ => self.reply(index, 200),
        }
    }

    fn take_cancel(&mut self, index: usize) {
        let branch = self.served[index].request.branch();
        let invite = self.served.iter().position(|it| it.request.branch() == branch && it.request.method() == "INVITE");
        let Some(invite) = invite else { return self.reply(index, 481) };
        self.reply(index, 200);
        let is_open = self.served[invite].answer.as_ref().and_then(Msg::status).is_none_or(|status| status < 200);
        if is_open {
            self.reply(invite, if self.manner.races_cancel { 200 } else { 487 });
        }
    }

    fn take_ack(&mut self, ack: Msg) {
        let is_it = |served: &&mut Served| {
            served.request.method() == "INVITE"
                && served.request.get("Call-ID") == ack.get("Call-ID")
                && served.request.cseq() == ack.cseq()
                && (served.to_tag == ack.tag("To"))
        };
        for served in self.served.iter_mut().filter(is_it) {
            served.repeat = None;
            if !served.is_acked {
                served.is_acked = true;
                served.ends_at = self.now + T64_MS;
            }
        }
        self.requests.push((self.now, ack));
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, index: usize, status: u16) {
        let served = &self.served[index];
        let (way, to_tag, request) = (served.way, served.to_tag.clone(), served.request.clone());
        let mut answer = Msg::answer(&request, status, &to_tag);
        let is_invite = request.method() == "INVITE";
        let is_subscribe = request.method() == "SUBSCRIBE";
        if (is_invite || is_subscribe) && status < 300 && status > 100 {
            answer.add("Contact", &format!("<{}>{}", self.contact_uri(), self.contact_params));
        }
        self.more_fields.iter().for_each(|(name, value)| answer.add(name, value));
        let served = &mut self.served[index];
        served.answer = Some(answer.clone());
        if status >= 200 {
            served.planned = None;
            served.ends_at = self.now + if is_invite { 2 * T64_MS } else { T64_MS };
            let is_repeated = is_invite && (status < 300 || matches!(way, Way::Udp(_)));
            served.repeat = is_repeated.then_some((self.now + T1_MS, T1_MS));
            if is_invite {
                // Without an ACK the repetition ends after 64 T1.
                served.ends_at = self.now + T64_MS;
            }
        }
        let begins_dialog = (is_invite || is_subscribe) && (200..300).contains(&status) && request.tag("To").is_empty();
        if begins_dialog {
            self.dialogs.push(Dialog {
                call_id: request.get("Call-ID").into(),
                local: answer.get("To").into(),
                remote: request.get("From").into(),
                target: uri_of(request.get("Contact")).into(),
                routes: request.values("Record-Route"),
                cseq: 0,
                is_over: false,
                ack: None,
            });
        }
        if request.method() == "BYE"
            && let Some(dialog) = self.dialogs.iter_mut().find(|dialog| dialog.call_id == request.get("Call-ID"))
        {
            dialog.is_over = true;
        }
        self.emit(way, &answer);
    }
}
