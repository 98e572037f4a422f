//! What a person writes to `sip:pcs@DOMAIN`, and says with `pcsctl presence`: one line of text as a command. A pure
//! function; the texts of answers that are always the same are here, too.
//!
//! The first word says what to do, whatever its case, with or without a slash before it. Activities are those of RPID (RFC
//! 4480 §3.2). What reads as no command is left to the caller as it is: nothing is guessed where a wrong guess would show
//! somebody something.

use crate::config::model::{Missed, Network};
use crate::home::policy::{Kind, State};

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'t> {
    /// Show others this: `away back at 6`.
    Show(Shown<'t>),
    /// Say what others see: `status`.
    Status,
    /// Say who of the buddies is there: `who`.
    Who,
    /// Say what there is to say: `help`.
    Help,
    /// Let who waits for an answer see her, or this one: `yes`, `allow bob@x.example`.
    Allow(Option<&'t str>),
    /// Do not let him: `no`, `deny bob@x.example`.
    Deny(Option<&'t str>),
    /// Say what becomes of what this one asks for: `explain bob@x.example message`, `explain irc:bob`. [`Kind::Other`] is
    /// everything.
    Explain(&'t str, Kind),
    /// Say which way a text to this one would go now: `explain to bob`, `explain to xmpp:bob@jabber.example`.
    Way(&'t str),
    /// Say what there is to say about accounts and lists: `help buddies`.
    HelpBuddies,
    /// Say how her accounts on other networks are: `accounts`.
    Accounts,
    /// Say who is on her list, and where: `buddies`.
    Buddies,
    /// Put somebody on her list: `add bob xmpp:bob@jabber.example Bob Smith`.
    Add {
        /// What he is to be called in addresses.
        alias: &'t str,
        /// Where he is, with the name of the network.
        address: &'t str,
        /// The name to show; may be empty.
        name: &'t str,
    },
    /// One more address of a buddy: `link bob irc:bobby`.
    Link {
        /// Who.
        alias: &'t str,
        /// Where else he is, with the name of the network.
        address: &'t str,
    },
    /// One less: `unlink bob irc:bobby`.
    Unlink {
        /// Who.
        alias: &'t str,
        /// Where he is not, with the name of the network.
        address: &'t str,
    },
    /// Take somebody off her list: `remove bob`.
    Remove(&'t str),
    /// Say what is kept, with a link to the page: `inbox`.
    Inbox,
    /// Say, or set, what who writes while she is away is told: `autoreply Back on Monday`.
    Reply(Reply<'t>),
    /// Say, or set, what becomes of kept texts when she is back: `missed deliver`.
    Missed(Option<Missed>),
    /// None of these; the line without blanks around it.
    Unknown(&'t str),
}

/// What is to become of her own words to who writes while she is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply<'t> {
    /// They are told.
    Tell,
    /// They are these from now on, without control characters.
    Set(&'t str),
    /// They are what the configuration says.
    Default,
}

/// What others are to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown<'t> {
    /// The state; `None`: what the devices say, and no word of her own.
    pub state: Option<State>,
    /// The activity, as the name of its RPID element (RFC 4480 §3.2); empty: none.
    pub activity: &'static str,
    /// A note, at most [`NOTE_BYTES`] without control characters; empty: none.
    pub note: &'t str,
}

impl<'t> Command<'t> {
    /// Reads a line. Of several lines the first that is not blank counts.
    pub fn parse(text: &'t str) -> Self {
        let line = text.lines().map(trim).find(|line| !line.is_empty()).unwrap_or_default();
        let (word, rest) = first_word(line.strip_prefix('/').map_or(line, trim));
        let command = match VERBS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
            Some((_, verb)) => verb.command(rest),
            None => shown(word, rest),
        };
        command.unwrap_or(Self::Unknown(line))
    }
}

/// What to do, but for what is shown.
#[derive(Clone, Copy)]
enum Verb {
    Status,
    Who,
    Help,
    Allow,
    Deny,
    /// These are said for other reasons, too: what follows has to be an address.
    Yes,
    No,
    Explain,
    Accounts,
    Buddies,
    Add,
    Link,
    Unlink,
    Remove,
    Inbox,
    /// One word that nobody says for another reason.
    Reply,
    Missed,
}

impl Verb {
    fn command(self, rest: &str) -> Option<Command<'_>> {
        match self {
            Self::Who => Some(Command::Who),
            Self::Help if rest.eq_ignore_ascii_case("buddies") => Some(Command::HelpBuddies),
            Self::Help => Some(Command::Help),
            Self::Status if rest.is_empty() => Some(Command::Status),
            Self::Status => {
                let (word, rest) = first_word(rest);
                shown(word, rest)
            }
            Self::Allow => whom(rest, true).map(Command::Allow),
            Self::Deny => whom(rest, true).map(Command::Deny),
            Self::Yes => whom(rest, false).map(Command::Allow),
            Self::No => whom(rest, false).map(Command::Deny),
            Self::Explain => way(rest).or_else(|| explain(rest)),
            Self::Accounts => rest.is_empty().then_some(Command::Accounts),
            Self::Buddies => rest.is_empty().then_some(Command::Buddies),
            Self::Add => {
                let (alias, rest) = first_word(rest);
                let (address, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let address = placed(address)?;
                is_alias(alias).then_some(Command::Add { alias, address, name: bare(name) })
            }
            Self::Link => linked(rest).map(|(alias, address)| Command::Link { alias, address }),
            Self::Unlink => linked(rest).map(|(alias, address)| Command::Unlink { alias, address }),
            Self::Remove => {
                let (alias, rest) = first_word(rest);
                (is_alias(alias) && rest.is_empty()).then_some(Command::Remove(alias))
            }
            // `inbox zero at last` asks for nothing.
            Self::Inbox => rest.is_empty().then_some(Command::Inbox),
            Self::Reply => Some(Command::Reply(reply(rest))),
            Self::Missed => missed(rest).map(Command::Missed),
        }
    }
}

/// `away back at 6`, or `I'm in a meeting`.
fn shown<'t>(word: &'t str, rest: &'t str) -> Option<Command<'t>> {
    let (mut word, mut rest) = (word, rest);
    while FILLERS.iter().any(|filler| filler.eq_ignore_ascii_case(word)) {
        (word, rest) = first_word(rest);
    }
    let (_, state, activity) = STATES.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(word))?;
    // `back at 6` is not `back`.
    if ALONE.iter().any(|alone| alone.eq_ignore_ascii_case(word)) && !rest.is_empty() {
        return None;
    }
    let note = if state.is_some() { note(rest) } else { "" };
    Some(Command::Show(Shown { state: *state, activity, note }))
}

/// Nothing, or one address; with `is_any` also a single word, which may be an alias.
fn whom(rest: &str, is_any: bool) -> Option<Option<&str>> {
    if rest.is_empty() {
        return Some(None);
    }
    let address = address(rest);
    let is_one = !address.is_empty() && !address.contains(char::is_whitespace);
    (is_one && (is_any || address.contains('@'))).then_some(Some(address))
}

/// `to` and one word: an alias, or an address.
fn way(rest: &str) -> Option<Command<'_>> {
    let (word, whom) = first_word(rest);
    let whom = unwrapped(whom);
    let is_one = !whom.is_empty() && (!whom.contains(char::is_whitespace) || placed(whom).is_some());
    (word.eq_ignore_ascii_case("to") && is_one).then_some(Command::Way(whom))
}

/// An alias and an address with its network: `bob irc:bobby`. Ordinary sentences have no such second word.
fn linked(rest: &str) -> Option<(&str, &str)> {
    let (alias, address) = first_word(rest);
    is_alias(alias).then_some((alias, placed(address)?))
}

/// An address that begins with the name of its network. On lines it may have blanks in it.
fn placed(text: &str) -> Option<&str> {
    let text = unwrapped(text);
    let (scheme, rest) = text.split_once(':')?;
    let network = Network::of_name(scheme)?;
    let is_one = network == Network::Line || !rest.contains(char::is_whitespace);
    (is_one && !rest.is_empty()).then_some(text)
}

/// Whether a text may be an alias.
fn is_alias(text: &str) -> bool {
    crate::config::alias(text).is_some()
}

/// `bob@x.example`, with `from` before it or a kind behind it.
fn explain(rest: &str) -> Option<Command<'_>> {
    let mut words = rest.split_whitespace().filter(|word| !word.eq_ignore_ascii_case("from"));
    let who = address(words.next()?);
    let kind = match words.next() {
        Some(word) => KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)?,
        None => Kind::Other,
    };
    (!who.is_empty() && words.next().is_none()).then_some(Command::Explain(who, kind))
}

/// Nothing, `default`, or a text.
fn reply(rest: &str) -> Reply<'_> {
    match bare(rest) {
        "" => Reply::Tell,
        word if word.eq_ignore_ascii_case("default") => Reply::Default,
        text => Reply::Set(text),
    }
}

/// Nothing, or one of the two choices.
fn missed(rest: &str) -> Option<Option<Missed>> {
    match rest {
        "" => Some(None),
        word if word.eq_ignore_ascii_case("keep") => Some(Some(Missed::Keep)),
        word if word.eq_ignore_ascii_case("deliver") => Some(Some(Missed::Deliver)),
        _ => None,
    }
}

/// The network, other than SIP, and the rest of an address that begins with the name of one: `xmpp:bob@jabber.example`. It
/// may be in angle brackets, or at the end of a sentence. Whether the rest is an address there is not looked at; see
/// [`canonical`](crate::config::address::canonical).
pub fn network_address(text: &str) -> Option<(Network, &str)> {
    let (scheme, rest) = unwrapped(text).split_once(':')?;
    let network = Network::of_name(scheme).filter(|network| *network != Network::Sip)?;
    if rest.is_empty() { None } else { Some((network, rest)) }
}

/// What may be in angle brackets or quotes, or at the end of a sentence.
fn unwrapped(text: &str) -> &str {
    text.trim_matches(['<', '>', '"', '\'']).trim_end_matches(['.', ',', '!', '?', '>'])
}

/// The `USER@HOST` of what may be written as a URI, in angle brackets, or at the end of a sentence. An address on another
/// network stays as it is, with the name of the network: see [`network_address`].
pub fn address(text: &str) -> &str {
    let text = unwrapped(text);
    if network_address(text).is_some() {
        return text;
    }
    let bare = match text.split_once(':') {
        Some((scheme, rest))
            if ["sip", "sips", "pres", "im"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) =>
        {
            rest
        }
        _ => text,
    };
    // The port, parameters and headers stand behind the host; an IPv6 address has colons in its brackets.
    let host = bare.find('@').map_or(0, |at| at + 1);
    let place = bare.get(host..).unwrap_or_default();
    let closed = if place.starts_with('[') { place.find(']').unwrap_or(0) } else { 0 };
    let end = place.get(closed..).and_then(|rest| rest.find([':', ';', '?'])).map_or(place.len(), |at| closed + at);
    bare.get(..host + end).unwrap_or(bare)
}

/// A note, cut to what there is room for.
fn note(rest: &str) -> &str {
    let text = bare(rest);
    let end = (0..=NOTE_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().trim_end()
}

/// A text without the quotes and what joins it to the word before.
fn bare(rest: &str) -> &str {
    let bare = trim(rest.trim_start_matches(['-', ':', ',', ';', '.', '\u{2013}', '\u{2014}', ' ']));
    let quoted = QUOTES.iter().find_map(|(open, close)| bare.strip_prefix(*open)?.strip_suffix(*close));
    let text = trim(quoted.unwrap_or(bare));
    text.split(char::is_control).next().unwrap_or_default().trim_end()
}

/// The first word, without what ends a sentence behind it, and the rest.
fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let bare = word.trim_end_matches([':', ',', ';', '.', '!']);
    // A question mark alone asks for help.
    let bare = if bare.len() > 1 { bare.trim_end_matches('?') } else { bare };
    (bare, trim(rest))
}

/// Without blanks around it, and what is not seen (a byte order mark, an empty space).
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// Bytes of a note; longer ones are cut between two characters.
pub const NOTE_BYTES: usize = 160;

/// What the server says to `help`.
pub const HELP: &str = "Write to me:\n\
    available, away, busy, offline - what others see; a note may follow: away back at 6\n\
    lunch, meeting, phone, vacation, sleeping, brb - the same, with what you do\n\
    auto - what your devices say\n\
    status - what others see of you\n\
    who - which of your buddies are there\n\
    allow ADDRESS, deny ADDRESS - whether somebody may see you; yes or no if only one waits\n\
    explain ADDRESS - what somebody sees of you and reaches, and why\n\
    help buddies - what to write about your list, and your accounts on other networks\n\
    inbox - what is kept for you, and a link to it\n\
    autoreply, autoreply TEXT, autoreply default - what who writes while you are away is told\n\
    missed keep, missed deliver - whether texts wait for you on the page, or are sent when you are back\n\
    help - this text";
/// What the server says to `help buddies`.
pub const HELP_BUDDIES: &str = "About your list and your accounts on other networks:\n\
    accounts - how your accounts are\n\
    buddies - who is on your list, and where\n\
    add ALIAS NETWORK:ADDRESS - somebody new, with a name behind it if you like: \
    add bob xmpp:bob@jabber.example Bob Smith\n\
    link ALIAS NETWORK:ADDRESS - he is there, too\n\
    unlink ALIAS NETWORK:ADDRESS - he is not\n\
    remove ALIAS - he is off your list\n\
    explain to ALIAS - which way a text to him would go now, and why";
/// What the server says to what it does not understand.
pub const NOT_UNDERSTOOD: &str = "I don't understand that. Write: help";
/// What the server says to `yes` or `no` when nobody waits for that.
pub const NOBODY_WAITS: &str = "Nobody waits for your answer.";
/// What the server says to `yes` or `no` when several wait for that.
pub const SEVERAL_WAIT: &str = "More than one waits for your answer. Write: allow ADDRESS or deny ADDRESS";

const VERBS: &[(&str, Verb)] = &[
    ("status", Verb::Status),
    ("presence", Verb::Status),
    ("who", Verb::Who),
    ("help", Verb::Help),
    ("?", Verb::Help),
    ("allow", Verb::Allow),
    ("accept", Verb::Allow),
    ("deny", Verb::Deny),
    ("reject", Verb::Deny),
    ("yes", Verb::Yes),
    ("y", Verb::Yes),
    ("ok", Verb::Yes),
    ("no", Verb::No),
    ("n", Verb::No),
    ("explain", Verb::Explain),
    ("accounts", Verb::Accounts),
    ("buddies", Verb::Buddies),
    ("add", Verb::Add),
    ("link", Verb::Link),
    ("unlink", Verb::Unlink),
    ("remove", Verb::Remove),
    ("inbox", Verb::Inbox),
    ("autoreply", Verb::Reply),
    ("missed", Verb::Missed),
];

/// The words for what is shown, with the state and the activity.
const STATES: &[(&str, Option<State>, &str)] = &[
    ("available", Some(State::Available), ""),
    ("online", Some(State::Available), ""),
    ("here", Some(State::Available), ""),
    ("back", Some(State::Available), ""),
    ("free", Some(State::Available), ""),
    ("away", Some(State::Away), "away"),
    ("brb", Some(State::Away), "away"),
    ("afk", Some(State::Away), "away"),
    ("breakfast", Some(State::Away), "breakfast"),
    ("lunch", Some(State::Away), "meal"),
    ("meal", Some(State::Away), "meal"),
    ("dinner", Some(State::Away), "dinner"),
    ("shopping", Some(State::Away), "shopping"),
    ("sleeping", Some(State::Away), "sleeping"),
    ("asleep", Some(State::Away), "sleeping"),
    ("travel", Some(State::Away), "travel"),
    ("travelling", Some(State::Away), "travel"),
    ("traveling", Some(State::Away), "travel"),
    ("vacation", Some(State::Away), "vacation"),
    ("holiday", Some(State::Away), "holiday"),
    ("busy", Some(State::Busy), "busy"),
    ("dnd", Some(State::Busy), "busy"),
    ("appointment", Some(State::Busy), "appointment"),
    ("driving", Some(State::Busy), "steering"),
    ("meeting", Some(State::Busy), "meeting"),
    ("phone", Some(State::Busy), "on-the-phone"),
    ("presentation", Some(State::Busy), "presentation"),
    ("working", Some(State::Busy), "working"),
    ("offline", Some(State::Offline), ""),
    ("invisible", Some(State::Offline), ""),
    ("auto", None, ""),
    ("automatic", None, ""),
];

/// Words that mean their state only when nothing follows.
const ALONE: &[&str] = &["here", "back", "free", "auto", "automatic"];

/// Words before the one that counts: `I'm in a meeting`.
const FILLERS: &[&str] = &["i'm", "i\u{2019}m", "im", "i", "am", "at", "in", "on", "a", "the"];

const KINDS: &[(&str, Kind)] = &[
    ("message", Kind::Message),
    ("messages", Kind::Message),
    ("call", Kind::Call { video: false }),
    ("calls", Kind::Call { video: false }),
    ("video", Kind::Call { video: true }),
    ("presence", Kind::Presence),
];

const QUOTES: &[(char, char)] = &[('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{201e}', '\u{201c}')];

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    const CALL: Kind = Kind::Call { video: false };

    fn shows(text: &str) -> (Option<State>, &'static str, &str) {
        match Command::parse(text) {
            Command::Show(Shown { state, activity, note }) => (state, activity, note),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_others_see() {
        let (away, busy) = (Some(State::Away), Some(State::Busy));
        for (text, expected) in [
            ("away", (away, "away", "")),
            ("  AWAY \r\n", (away, "away", "")),
            ("/away back at 6", (away, "away", "back at 6")),
            ("/ Away back at 6", (away, "away", "back at 6")),
            ("away \"back at 6\"", (away, "away", "back at 6")),
            ("away: back at 6", (away, "away", "back at 6")),
            ("away, \u{201c}back at 6\u{201d}", (away, "away", "back at 6")),
            ("away - back at 6", (away, "away", "back at 6")),
            ("away 'til 6", (away, "away", "'til 6")),
            ("\n\n away\nnot this line", (away, "away", "")),
            ("away \"\"", (away, "away", "")),
            ("away \u{7}x", (away, "away", "x")),
            ("away a\u{7}b", (away, "away", "a")),
            ("status away soon", (away, "away", "soon")),
            ("online", (Some(State::Available), "", "")),
            ("Available now", (Some(State::Available), "", "now")),
            ("back", (Some(State::Available), "", "")),
            ("I'm back!", (Some(State::Available), "", "")),
            ("I'm in a meeting", (busy, "meeting", "")),
            ("on the phone, short", (busy, "on-the-phone", "short")),
            ("lunch till 1", (away, "meal", "till 1")),
            ("brb", (away, "away", "")),
            ("vacation", (away, "vacation", "")),
            ("sleeping.", (away, "sleeping", "")),
            ("dnd", (busy, "busy", "")),
            ("invisible", (Some(State::Offline), "", "")),
            ("auto", (None, "", "")),
            ("Away på lunch", (away, "away", "på lunch")),
        ] {
            assert_eq!(shows(text), expected, "{text:?}");
        }
    }

    #[test]
    fn notes_are_cut_between_characters() {
        let long = format!("away {}", "\u{e9}".repeat(100));
        let (_, _, note) = shows(&long);
        assert_eq!(note.len(), NOTE_BYTES);
        let long = format!("away x{}", "\u{20ac}".repeat(100));
        let (_, _, note) = shows(&long);
        assert_eq!((note.len(), note.chars().count()), (160, 54));
        let long = format!("away {}\u{1f600}", "x".repeat(158));
        assert_eq!(shows(&long).2.len(), 158);
    }

    #[test]
    fn questions_and_answers() {
        for (text, expected) in [
            ("status", Command::Status),
            ("STATUS?", Command::Status),
            ("who", Command::Who),
            ("who is there?", Command::Who),
            ("help", Command::Help),
            ("?", Command::Help),
            ("/help", Command::Help),
            ("yes", Command::Allow(None)),
            ("Yes!", Command::Allow(None)),
            ("ok", Command::Allow(None)),
            ("allow", Command::Allow(None)),
            ("No.", Command::Deny(None)),
            ("allow bob@x.example", Command::Allow(Some("bob@x.example"))),
            ("allow sip:bob@x.example", Command::Allow(Some("bob@x.example"))),
            ("allow pres:bob@x.example", Command::Allow(Some("bob@x.example"))),
            ("yes <sip:bob@x.example:5060;transport=tcp>", Command::Allow(Some("bob@x.example"))),
            ("accept SIPS:bob@[2001:db8::1]:5061", Command::Allow(Some("bob@[2001:db8::1]"))),
            ("Allow bob@x.example.", Command::Allow(Some("bob@x.example"))),
            ("deny carl", Command::Deny(Some("carl"))),
            ("deny x@y?a=b", Command::Deny(Some("x@y"))),
            ("explain bob@x.example", Command::Explain("bob@x.example", Kind::Other)),
            ("explain from sip:bob@x.example message", Command::Explain("bob@x.example", Kind::Message)),
            ("explain bob@x call", Command::Explain("bob@x", Kind::Call { video: false })),
            ("explain bob@x VIDEO", Command::Explain("bob@x", Kind::Call { video: true })),
            ("explain bob@x presence", Command::Explain("bob@x", Kind::Presence)),
            ("explain xmpp:bob@x.example message", Command::Explain("xmpp:bob@x.example", Kind::Message)),
            ("explain from <IRC:bob>", Command::Explain("IRC:bob", Kind::Other)),
            ("explain line:+4912345.", Command::Explain("line:+4912345", Kind::Other)),
            ("explain irc:[bob]` call", Command::Explain("irc:[bob]`", CALL)),
            ("explain skype:bob", Command::Explain("skype", Kind::Other)),
            ("allow xmpp:bob@x.example.", Command::Allow(Some("xmpp:bob@x.example"))),
            ("explain to bob", Command::Way("bob")),
            ("Explain TO <xmpp:bob@x.example>.", Command::Way("xmpp:bob@x.example")),
            ("explain to line:+49 12345", Command::Way("line:+49 12345")),
            ("explain to", Command::Explain("to", Kind::Other)),
            ("help buddies", Command::HelpBuddies),
            ("help me", Command::Help),
            ("Accounts?", Command::Accounts),
            ("buddies", Command::Buddies),
            ("add bob xmpp:bob@x.example", Command::Add { alias: "bob", address: "xmpp:bob@x.example", name: "" }),
            (
                "/Add Bob.S <XMPP:bob@x> \"Bob  S\"",
                Command::Add { alias: "Bob.S", address: "XMPP:bob@x", name: "Bob  S" },
            ),
            ("link bob irc:bobby", Command::Link { alias: "bob", address: "irc:bobby" }),
            ("link bob line:+49 12345", Command::Link { alias: "bob", address: "line:+49 12345" }),
            ("unlink bob sip:b@x:5062", Command::Unlink { alias: "bob", address: "sip:b@x:5062" }),
            ("remove bob", Command::Remove("bob")),
            ("Inbox?", Command::Inbox),
            ("autoreply", Command::Reply(Reply::Tell)),
            ("autoreply: \"Back on Monday\"", Command::Reply(Reply::Set("Back on Monday"))),
            ("Autoreply Default", Command::Reply(Reply::Default)),
            ("autoreply default is fine", Command::Reply(Reply::Set("default is fine"))),
            ("autoreply a\u{7}b", Command::Reply(Reply::Set("a"))),
            ("missed", Command::Missed(None)),
            ("missed KEEP", Command::Missed(Some(Missed::Keep))),
            ("/missed deliver", Command::Missed(Some(Missed::Deliver))),
        ] {
            assert_eq!(Command::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn addresses_on_networks() {
        let line = "line:+49 12345";
        assert_eq!(network_address("xmpp:Bob@x.example"), Some((Network::Xmpp, "Bob@x.example")));
        assert_eq!(network_address("<Irc:bob>."), Some((Network::Irc, "bob")));
        assert_eq!((network_address(line), address(line)), (Some((Network::Line, "+49 12345")), line));
        for other in ["", "xmpp", "xmpp:", "<irc:>", "sip:bob@x.example", "msn:bob@x.example", "bob@x.example", ":irc"]
        {
            assert_eq!(network_address(other), None, "{other}");
        }
    }

    /// Nobody is let in, and nothing is shown, by what was said for another reason.
    #[test]
    fn what_is_no_command() {
        for text in [
            "",
            "   ",
            "/",
            "hello",
            "back at 6",
            "here we are",
            "ok thanks",
            "yes please",
            "no idea",
            "allow bob@x carl@y",
            "allow <>",
            "at",
            "in the",
            "on my way",
            "automatic door",
            "status quo",
            "explain",
            "explain from",
            "explain bob@x everything",
            "explain bob@x call now",
            "awayy",
            "inbox zero",
            "missed you",
            "accounts are closed",
            "buddies forever",
            "add",
            "add bob",
            "add milk to the list",
            "add bob bob@x.example",
            "add bob msn:bob@x.example",
            "add b/b xmpp:bob@x.example",
            "add bob xmpp:",
            "link this to bob",
            "link bob",
            "link bob irc:bobby please",
            "unlink bob now",
            "unlink irc:bobby",
            "remove",
            "remove bob please",
            "remove \u{e9}",
            "missed keep it",
            "auto reply x",
            "\u{1f600}",
        ] {
            let expected = text.trim();
            assert_eq!(Command::parse(text), Command::Unknown(expected), "{text:?}");
        }
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let pieces = [
            "away",
            "autoreply",
            "missed",
            "allow",
            "add",
            "link",
            "to",
            "explain",
            "irc:",
            "x",
            "yes",
            " ",
            "\"",
            "<",
            "@",
            "[",
            "]",
            ":",
            ";",
            "sip:",
            "\u{e9}",
            "\u{7}",
            "\n",
            "/",
            "?",
        ];
        let mut state = 0x5eed_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += pieces[(state >> 33) as usize % pieces.len()];
            }
            match Command::parse(&text) {
                Command::Show(Shown { note, .. }) => {
                    assert!(note.len() <= NOTE_BYTES && !note.contains(char::is_control), "{text:?}");
                }
                Command::Reply(Reply::Set(text)) => {
                    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
                }
                Command::Add { alias, address, .. } | Command::Link { alias, address } => {
                    assert!(crate::config::alias(alias).is_some() && address.contains(':'), "{text:?}");
                }
                Command::Way(whom) => assert!(!whom.is_empty(), "{text:?}"),
                Command::Allow(Some(who)) | Command::Deny(Some(who)) | Command::Explain(who, _) => {
                    assert!(!who.is_empty() && !who.contains(char::is_whitespace), "{text:?}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn help_names_words_that_are_understood() {
        for line in HELP.lines().skip(1).chain(HELP_BUDDIES.lines().skip(1)) {
            let words = line.split(" - ").next().unwrap_or_default();
            for word in words.split(", ") {
                let said = word.replace("NETWORK:ADDRESS", "irc:bob").replace("ADDRESS", "bob@x.example");
                let said = said.replace("ALIAS", "bob");
                assert!(!matches!(Command::parse(&said), Command::Unknown(_)), "{said}");
            }
        }
        assert!(HELP.len() <= 1000 && HELP_BUDDIES.len() <= 1000, "each fits a datagram");
    }
}
