//! What goes out: presence, texts and states, changes of the roster.

use heapless::String;

use super::{Phase, STATUS_BYTES, Xmpp, jid, message, own_id, presence, write};
use crate::bridge::{Command, Env, Outcome, Show};

/// Bytes of a contact's name. A longer one is cut.
const CONTACT_BYTES: usize = 256;

impl Xmpp {
    /// Does something, when the account is on.
    pub fn command(&mut self, env: &mut Env<'_, '_>, command: &Command<'_>) -> Outcome {
        if matches!(command, Command::Quit) && self.phase < Phase::On {
            env.out.text(if self.phase == Phase::Down { "" } else { "</stream:stream>" });
            (self.phase, self.heard) = (Phase::Leaving, env.now);
            self.acks.forget();
            return Outcome::Done;
        }
        if self.phase != Phase::On {
            return Outcome::Later;
        }
        match *command {
            Command::Presence { show, text } => {
                presence::write_own(show, text, env.out);
                self.acks.sends_presence();
                let kept = &text[..text.floor_char_boundary(STATUS_BYTES)];
                self.shown = Some((show, String::try_from(kept).unwrap_or_default()));
                if self.archive.hide(show == Show::Offline) {
                    self.ask_archive(env);
                }
            }
            Command::Send { to, text, id, is_automatic } => return self.send(env, to, text, id, is_automatic),
            Command::Typing { to, is_on } => self.types(env, to, is_on),
            Command::Settled { token, is_taken } => self.settled(env, token, is_taken),
            Command::Add { who, name } => self.add(env, who, name),
            Command::Remove { who } => {
                self.change(env, |out| {
                    write::attribute("jid", who, out);
                    out.text(" subscription='remove'/>");
                });
            }
            Command::Authorise { who, is_allowed } => {
                self.subscription(env, who, if is_allowed { "subscribed" } else { "unsubscribed" });
            }
            Command::Quit => self.quit(env),
        }
        Outcome::Done
    }

    fn send(&mut self, env: &mut Env<'_, '_>, to: &str, text: &str, id: u32, is_automatic: bool) -> Outcome {
        if self.archive.is_holding() || !self.acks.has_room() {
            return Outcome::Later;
        }
        if self.archive.has(id) {
            self.acks.arrived(id);
            return Outcome::Done;
        }
        env.out.text("<message type='chat'");
        write::attribute("to", to, env.out);
        write::attribute("id", &own_id::write_id(env.random, &env.account.id, id), env.out);
        env.out.text(">");
        write::long("body", text, env.out);
        env.out.text("<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>");
        if is_automatic {
            env.out.text("<headers xmlns='http://jabber.org/protocol/shim'>");
            env.out.text("<header name='Auto-Submitted'>auto-replied</header></headers>");
        }
        env.out.text("</message>");
        self.acks.sends_text(id);
        if self.acks.is_on() {
            env.out.text("<r xmlns='urn:xmpp:sm:3'/>");
        } else {
            self.ping(env);
        }
        Outcome::Done
    }

    fn types(&mut self, env: &mut Env<'_, '_>, to: &str, is_on: bool) {
        if !self.peers.knows(message::place_of(env.random, to)) {
            return;
        }
        env.out.text("<message type='chat'");
        write::attribute("to", to, env.out);
        env.out.text(if is_on { "><composing" } else { "><paused" });
        env.out.text(" xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>");
        self.acks.sends();
    }

    /// A message is dealt with: its sender gets the receipt he asked for, or his text back (RFC 6121 §8.5.2).
    fn settled(&mut self, env: &mut Env<'_, '_>, token: u32, is_taken: bool) {
        let mut is_told = false;
        self.acks.settle(token, |sender| {
            is_told = !sender.from.is_empty() && !sender.id.is_empty() && (!is_taken || sender.wants_receipt);
            if !is_told {
                return;
            }
            env.out.text(if is_taken { "<message" } else { "<message type='error'" });
            write::attribute("to", sender.from, env.out);
            if is_taken {
                env.out.text("><received xmlns='urn:xmpp:receipts'");
                write::attribute("id", sender.id, env.out);
                env.out.text("/></message>");
            } else {
                write::attribute("id", sender.id, env.out);
                env.out
                    .text("><error type='wait'><recipient-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>");
                env.out.text("</error></message>");
            }
        });
        if is_told {
            self.acks.sends();
        }
    }

    fn add(&mut self, env: &mut Env<'_, '_>, who: &str, name: &str) {
        self.change(env, |out| {
            write::attribute("jid", who, out);
            if !name.is_empty() {
                write::attribute("name", &name[..name.floor_char_boundary(CONTACT_BYTES)], out);
            }
            out.text("/>");
        });
        self.subscription(env, who, "subscribe");
        // Whom she asks may see her, too.
        if self.features.pre_approval {
            self.subscription(env, who, "subscribed");
        }
    }

    fn change(&mut self, env: &mut Env<'_, '_>, item: impl FnOnce(&mut crate::base::text::Writer<'_>)) {
        env.out.text("<iq type='set' id='pcs-change'><query xmlns='jabber:iq:roster'><item");
        item(env.out);
        env.out.text("</query></iq>");
        self.acks.sends();
    }

    fn subscription(&mut self, env: &mut Env<'_, '_>, who: &str, kind: &str) {
        env.out.text("<presence");
        write::attribute("to", who, env.out);
        write::attribute("type", kind, env.out);
        env.out.text("/>");
        self.acks.sends();
    }

    /// Says goodbye: the session is not taken up again.
    fn quit(&mut self, env: &mut Env<'_, '_>) {
        env.out.text("<presence type='unavailable'/>");
        if self.acks.is_on() {
            self.acknowledge(env);
        }
        env.out.text("</stream:stream>");
        self.acks.forget();
        (self.phase, self.heard) = (Phase::Leaving, env.now);
        log::debug!("XMPP {}: logs out from {}", env.account.id, jid::domain(&self.own));
    }
}
