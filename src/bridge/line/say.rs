//! What the home says, one object each, without the line's end.

use super::draft::{Id, SHOWS};
use crate::base::text::Writer;
use crate::bridge::{Command, Show};
use crate::config::model::Account;
use crate::wire::json::write_string;

/// Writes the greeting.
pub(super) fn hello(account: &Account, bookmark: &str, with_password: bool, out: &mut Writer<'_>) {
    out.text("{\"type\":\"hello\",\"version\":1");
    member("account", &account.id, out);
    let password = if with_password { account.password.0.as_str() } else { "" };
    for (name, value) in [("address", account.address.as_str()), ("password", password), ("bookmark", bookmark)] {
        if !value.is_empty() {
            member(name, value, out);
        }
    }
    out.text("}");
}

/// Writes a command that is the same whatever the other end can do.
pub(super) fn command(command: &Command<'_>, out: &mut Writer<'_>) {
    match *command {
        Command::Presence { show, text } => {
            begin("presence", out);
            member("show", word(show), out);
            member("text", text, out);
        }
        Command::Send { to, text, id, is_automatic } => {
            begin("message", out);
            out.text(",\"id\":");
            out.number(id.into());
            member("to", to, out);
            member("text", text, out);
            if is_automatic {
                truth("auto", true, out);
            }
        }
        Command::Typing { to, is_on } => {
            begin("typing", out);
            member("to", to, out);
            truth("on", is_on, out);
        }
        Command::Add { who, name } => {
            begin("add", out);
            member("who", who, out);
            member("name", name, out);
        }
        Command::Remove { who } => {
            begin("remove", out);
            member("who", who, out);
        }
        Command::Authorise { who, is_allowed } => {
            begin("authorise", out);
            member("who", who, out);
            truth("allowed", is_allowed, out);
        }
        Command::Settled { .. } | Command::Quit => begin("bye", out),
    }
    out.text("}");
}

/// Writes that a message is dealt with.
pub(super) fn settled(id: &Id, is_taken: bool, out: &mut Writer<'_>) {
    begin("settled", out);
    if id.is_number {
        out.text(",\"id\":");
        out.text(&id.text);
    } else {
        member("id", &id.text, out);
    }
    truth("taken", is_taken, out);
    out.text("}");
}

/// Writes that a line was left out.
pub(super) fn error(why: &str, out: &mut Writer<'_>) {
    begin("error", out);
    member("why", why, out);
    out.text("}");
}

fn begin(kind: &str, out: &mut Writer<'_>) {
    out.text("{\"type\":\"");
    out.text(kind);
    out.text("\"");
}

fn member(name: &str, value: &str, out: &mut Writer<'_>) {
    out.text(",\"");
    out.text(name);
    out.text("\":");
    // A control character would take six bytes; shown as what is no character it takes three, so that any text fits.
    let plain = |character: char| match character {
        '\n' | '\t' => character,
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    write_string(value.chars().map(plain), out);
}

fn truth(name: &str, is: bool, out: &mut Writer<'_>) {
    out.text(",\"");
    out.text(name);
    out.text(if is { "\":true" } else { "\":false" });
}

/// The word for how somebody is.
fn word(show: Show) -> &'static str {
    SHOWS.into_iter().find(|(known, _)| *known == show).map_or("available", |(_, word)| word)
}
