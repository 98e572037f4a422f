//! A small IRC server without sockets, for tests: RFC 1459 for people and none of its channels, with CAP, MONITOR where it is
//! switched on, and `message-tags` and `echo-message` likewise. Bytes go in and come out for each connection.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;

/// The server.
#[derive(Default)]
pub struct IrcServer {
    /// Whether it has MONITOR.
    pub has_monitor: bool,
    /// The capabilities it offers; `echo-message` has it repeat texts.
    pub capabilities: String,
    /// What a client has to say as PASS; empty: nothing.
    pub password: String,
    clients: BTreeMap<usize, Client>,
    next: usize,
}

#[derive(Default)]
struct Client {
    input: Vec<u8>,
    output: Vec<u8>,
    nick: String,
    user: String,
    password: String,
    away: Option<String>,
    monitored: Vec<String>,
    capabilities: Vec<String>,
    is_negotiating: bool,
    is_on: bool,
    is_closed: bool,
}

impl IrcServer {
    /// One with nothing but RFC 1459.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection.
    pub fn connect(&mut self) -> usize {
        self.next += 1;
        self.clients.insert(self.next, Client::default());
        self.next
    }

    /// Bytes from a client.
    pub fn input(&mut self, conn: usize, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.input.extend(bytes);
        while let Some(end) =
            self.clients.get(&conn).and_then(|client| client.input.iter().position(|byte| *byte == b'\n'))
        {
            let line: Vec<u8> = self.clients.get_mut(&conn).unwrap().input.drain(..=end).collect();
            assert!(line.len() <= 512, "a line of {} bytes", line.len());
            self.line(conn, String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        }
    }

    /// What it has for a client since the last call.
    pub fn output(&mut self, conn: usize) -> Vec<u8> {
        self.clients.get_mut(&conn).map(|client| std::mem::take(&mut client.output)).unwrap_or_default()
    }

    /// Whether it has ended a connection.
    pub fn is_closed(&self, conn: usize) -> bool {
        self.clients.get(&conn).is_none_or(|client| client.is_closed)
    }

    /// The connection is cut.
    pub fn close(&mut self, conn: usize) {
        if let Some(client) = self.clients.remove(&conn)
            && client.is_on
        {
            self.announce(&client.nick, &client.nick, false);
        }
    }

    /// The nicks that are on.
    pub fn nicks(&self) -> Vec<&str> {
        self.clients.values().filter(|client| client.is_on).map(|client| client.nick.as_str()).collect()
    }

    /// The away text of a nick.
    pub fn away(&self, nick: &str) -> Option<&str> {
        self.clients[&self.find(nick)?].away.as_deref()
    }

    fn line(&mut self, conn: usize, line: &str) {
        let line = if line.starts_with('@') { line.split_once(' ').map_or("", |(_, rest)| rest) } else { line };
        let (head, last) = match line.split_once(" :") {
            Some((head, last)) => (head, Some(last)),
            None => (line, None),
        };
        let mut words = head.split_whitespace().map(str::to_string);
        let command = words.next().unwrap_or_default().to_uppercase();
        let params: Vec<String> = words.chain(last.map(str::to_string)).collect();
        let param = |number: usize| params.get(number).cloned().unwrap_or_default();
        let is_on = self.clients[&conn].is_on;
        match command.as_str() {
            "" => {}
            "CAP" => self.capability(conn, &param(0), &param(1)),
            "PASS" => self.client(conn).password = param(0),
            "NICK" => self.nick(conn, &param(0)),
            "USER" => {
                self.client(conn).user = param(0);
                self.register(conn);
            }
            "PING" => self.put(conn, &format!(":irc.test PONG irc.test :{}", param(0))),
            "PONG" => {}
            "QUIT" => self.end(conn, &format!("\"{}\"", param(0))),
            _ if !is_on => self.reply(conn, 451, ":You have not registered"),
            "PRIVMSG" | "NOTICE" => self.message(conn, &command, &param(0), &param(1)),
            "ISON" => {
                let there: Vec<String> = params.iter().filter_map(|nick| self.spelled(nick)).collect();
                self.reply(conn, 303, &format!(":{}", there.join(" ")));
            }
            "USERHOST" => {
                let answer = |nick: &String| {
                    let client = &self.clients[&self.find(nick)?];
                    let sign = if client.away.is_some() { '-' } else { '+' };
                    Some(format!("{}={sign}{}@host.test", client.nick, client.user))
                };
                let answers: Vec<String> = params.iter().take(5).filter_map(answer).collect();
                self.reply(conn, 302, &format!(":{}", answers.join(" ")));
            }
            "WHOIS" => self.whois(conn, &param(0)),
            "AWAY" => {
                let text = Some(param(0)).filter(|text| !text.is_empty());
                let (number, said) = match text {
                    Some(_) => (306, ":You have been marked as being away"),
                    None => (305, ":You are no longer marked as being away"),
                };
                self.client(conn).away = text;
                self.reply(conn, number, said);
            }
            "MONITOR" if self.has_monitor => self.monitor(conn, &param(0), &param(1)),
            other => self.reply(conn, 421, &format!("{other} :Unknown command")),
        }
    }

    fn capability(&mut self, conn: usize, verb: &str, names: &str) {
        match verb {
            "LS" => {
                self.client(conn).is_negotiating = true;
                let offered = self.capabilities.clone();
                self.put(conn, &format!(":irc.test CAP * LS :{offered}"));
            }
            "REQ" => {
                let offered = self.capabilities.clone();
                let is_fine = names.split_whitespace().all(|name| offered.split(' ').any(|known| known == name));
                if is_fine {
                    self.client(conn).capabilities.extend(names.split_whitespace().map(str::to_string));
                }
                self.put(conn, &format!(":irc.test CAP * {} :{names}", if is_fine { "ACK" } else { "NAK" }));
            }
            "END" => {
                self.client(conn).is_negotiating = false;
                self.register(conn);
            }
            _ => {}
        }
    }

    fn nick(&mut self, conn: usize, nick: &str) {
        if nick.is_empty() || nick.len() > NICK_BYTES || !nick.starts_with(|c: char| !c.is_ascii_digit()) {
            return self.reply(conn, 432, &format!("{nick} :Erroneous nickname"));
        }
        if self.find(nick).is_some_and(|other| other != conn) {
            return self.reply(conn, 433, &format!("{nick} :Nickname already in use"));
        }
        let old = self.clients[&conn].nick.clone();
        if self.clients[&conn].is_on {
            let mask = self.mask(conn);
            self.put(conn, &format!(":{mask} NICK :{nick}"));
            self.announce(&old, &old, false);
        }
        self.client(conn).nick = nick.to_string();
        if self.clients[&conn].is_on {
            let mask = self.mask(conn);
            self.announce(nick, &mask, true);
        }
        self.register(conn);
    }

    fn register(&mut self, conn: usize) {
        let client = &self.clients[&conn];
        if client.is_on || client.is_negotiating || client.nick.is_empty() || client.user.is_empty() {
            return;
        }
        if client.password != self.password && !self.password.is_empty() {
            self.reply(conn, 464, ":Password incorrect");
            return self.end(conn, "Bad password");
        }
        self.client(conn).is_on = true;
        let monitor = if self.has_monitor { " MONITOR=100" } else { "" };
        self.reply(conn, 1, ":Welcome");
        self.reply(conn, 5, &format!("CASEMAPPING=ascii NICKLEN={NICK_BYTES}{monitor} :are supported on this server"));
        self.reply(conn, 422, ":MOTD file is missing");
        let (nick, mask) = (self.clients[&conn].nick.clone(), self.mask(conn));
        self.announce(&nick, &mask, true);
    }

    fn message(&mut self, conn: usize, command: &str, to: &str, text: &str) {
        let Some(other) = self.find(to) else {
            if command == "PRIVMSG" {
                self.reply(conn, 401, &format!("{to} :No such nick or channel name"));
            }
            return;
        };
        let line = format!(":{} {command} {to} :{text}", self.mask(conn));
        assert!(line.len() <= 510, "a relayed line of {} bytes", line.len());
        self.put(other, &line);
        if self.clients[&conn].capabilities.iter().any(|name| name == "echo-message") {
            self.put(conn, &line);
        }
        if let (Some(away), "PRIVMSG") = (self.clients[&other].away.clone(), command) {
            self.reply(conn, 301, &format!("{to} :{away}"));
        }
    }

    fn whois(&mut self, conn: usize, nick: &str) {
        match self.find(nick) {
            Some(other) => {
                let (user, away) = (self.clients[&other].user.clone(), self.clients[&other].away.clone());
                self.reply(conn, 311, &format!("{nick} {user} host.test * :{nick}"));
                if let Some(away) = away {
                    self.reply(conn, 301, &format!("{nick} :{away}"));
                }
            }
            None => self.reply(conn, 401, &format!("{nick} :No such nick or channel name")),
        }
        self.reply(conn, 318, &format!("{nick} :End of WHOIS list"));
    }

    fn monitor(&mut self, conn: usize, sign: &str, nicks: &str) {
        for nick in nicks.split(',').filter(|nick| !nick.is_empty()) {
            self.client(conn).monitored.retain(|known| !known.eq_ignore_ascii_case(nick));
            if sign == "+" {
                self.client(conn).monitored.push(nick.to_string());
                match self.find(nick) {
                    Some(other) => self.reply(conn, 730, &format!(":{}", self.mask(other))),
                    None => self.reply(conn, 731, &format!(":{nick}")),
                }
            }
        }
    }

    /// Tells who monitors a nick that he has come or gone.
    fn announce(&mut self, nick: &str, said: &str, is_there: bool) {
        let watchers =
            self.clients.iter().filter(|(_, client)| client.monitored.iter().any(|m| m.eq_ignore_ascii_case(nick)));
        let watchers: Vec<usize> = watchers.map(|(conn, _)| *conn).collect();
        for conn in watchers {
            self.reply(conn, if is_there { 730 } else { 731 }, &format!(":{said}"));
        }
    }

    fn end(&mut self, conn: usize, why: &str) {
        self.put(conn, &format!("ERROR :{why}"));
        let client = self.client(conn);
        client.is_closed = true;
        if std::mem::take(&mut client.is_on) {
            let nick = client.nick.clone();
            self.announce(&nick, &nick, false);
        }
    }

    fn find(&self, nick: &str) -> Option<usize> {
        let is_his = |client: &Client| client.is_on && client.nick.eq_ignore_ascii_case(nick);
        self.clients.iter().find(|(_, client)| is_his(client)).map(|(conn, _)| *conn)
    }

    fn spelled(&self, nick: &str) -> Option<String> {
        Some(self.clients[&self.find(nick)?].nick.clone())
    }

    fn mask(&self, conn: usize) -> String {
        let client = &self.clients[&conn];
        format!("{}!~{}@host.test", client.nick, client.user)
    }

    fn client(&mut self, conn: usize) -> &mut Client {
        self.clients.get_mut(&conn).expect("a connection of this server")
    }

    fn reply(&mut self, conn: usize, number: u16, rest: &str) {
        let client = &self.clients[&conn];
        let nick = if client.nick.is_empty() { "*" } else { &client.nick };
        self.put(conn, &format!(":irc.test {number:03} {nick} {rest}"));
    }

    fn put(&mut self, conn: usize, line: &str) {
        let client = self.client(conn);
        if !client.is_closed {
            client.output.extend(line.bytes().chain(*b"\r\n"));
        }
    }
}

/// Bytes of a nick.
const NICK_BYTES: usize = 15;
