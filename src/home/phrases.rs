//! What the home says to people about kept messages, in each of its languages: the reply to who sent one, the summary for
//! who has come back, and the time before a text that is delivered later.
//!
//! A language is one `Catalogue`, so that a phrase that is missing does not compile. Left out: languages with more forms
//! than one and many.

use crate::base::calendar::{DAY_S, civil};
use crate::base::text::Writer;
use crate::base::time::UnixTime;
use crate::base::zone::Zone;
use crate::bridge::Stop;
use crate::config::model::Language;
use crate::home::word::WORD_BYTES;

/// What one sender left, as the summary says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed<'a> {
    /// Who, as he is shown.
    pub name: &'a str,
    /// How many texts.
    pub texts: u16,
    /// How many recordings.
    pub voices: u16,
    /// How many missed calls.
    pub calls: u16,
}

/// Tells a sender that his message to this person is kept, when she has no words of her own for that.
pub fn busy_reply(language: Language, name: &str, out: &mut Writer<'_>) {
    let (before, after) = catalogue(language).away;
    out.text(before);
    out.text(name);
    out.text(after);
}

/// Tells somebody that what was written to this address on the page did not arrive.
pub fn undelivered(language: Language, to: &[u8], out: &mut Writer<'_>) {
    let (before, after) = catalogue(language).undelivered;
    out.text(before);
    out.put(to);
    out.text(after);
}

/// Tells a person that her account on a network is down, and that it is tried again.
pub fn account_down(language: Language, account: Account<'_>, out: &mut Writer<'_>) {
    put_account(catalogue(language).account_down, account, out);
}

/// Tells a person that her account on a network is on again.
pub fn account_on(language: Language, account: Account<'_>, out: &mut Writer<'_>) {
    put_account(catalogue(language).account_on, account, out);
}

/// Tells a person that her account on a network was stopped, and why.
pub fn account_stopped(language: Language, account: Account<'_>, stop: Stop, out: &mut Writer<'_>) {
    let words = catalogue(language);
    put_account(words.account_stopped, account, out);
    out.text(match stop {
        Stop::Password => words.stopped_password,
        Stop::Elsewhere => words.stopped_elsewhere,
        Stop::Refused(why) => why,
    });
    out.text(words.full_stop);
}

/// Asks a person whether somebody on a network may be her buddy; `text` is what he says, and may be empty.
pub fn buddy_request(language: Language, who: &str, network: &str, text: &str, out: &mut Writer<'_>) {
    let words = catalogue(language);
    for part in [who, " (", network, ") ", words.wants_you] {
        out.text(part);
    }
    if !text.is_empty() {
        for part in [": \"", text, "\""] {
            out.text(part);
        }
    }
    for part in [words.answer_with.0, who, words.answer_with.1, who] {
        out.text(part);
    }
}

/// Begins what a person has written herself, with another client of hers.
pub fn own_copy(language: Language, out: &mut Writer<'_>) {
    out.text(catalogue(language).own_copy);
}

/// An account on a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account<'a> {
    /// The name of the network.
    pub network: &'a str,
    /// Her address there.
    pub address: &'a str,
}

fn put_account((before, after): (&str, &str), account: Account<'_>, out: &mut Writer<'_>) {
    for part in [before, account.network, " ", account.address, after] {
        out.text(part);
    }
}

/// Tells a person what came while she was away, in at most [`WORD_BYTES`]: by sender in the order given, then the URL, which
/// may be empty, in a line of its own. Senders who don't fit are counted. Without senders nothing is written.
pub fn summary<'a>(
    language: Language,
    mut senders: impl ExactSizeIterator<Item = Missed<'a>>,
    url: &str,
    out: &mut Writer<'_>,
) {
    let words = catalogue(language);
    let begin = out.len();
    let url_bytes = if url.is_empty() { 0 } else { 1 + url.len() };
    let most = begin + WORD_BYTES.saturating_sub(url_bytes);
    let mut is_first = true;
    while let Some(missed) = senders.next() {
        let before = out.len();
        // Tried apart from the rest, because a writer that has overflowed stays so.
        let mut room = [0; WORD_BYTES];
        let mut piece = Writer::new(&mut room);
        if !is_first {
            piece.text(words.between_senders);
        }
        words.put_missed(&missed, &mut piece);
        let others = senders.len();
        let tail = if others == 0 { 0 } else { OTHERS_BYTES };
        match piece.finish() {
            Ok(len) if before + len + tail <= most => out.put(&room[..len]),
            _ => {
                words.put_others(others + 1, out);
                break;
            }
        }
        is_first = false;
    }
    if out.len() > begin && !url.is_empty() {
        out.text("\n");
        out.text(url);
    }
}

/// Writes when a text came before it: `[21:04] `, `[yesterday 21:04] `, `[3 May 21:04] `, and with the year when that is
/// another. `at` is in seconds since 1970, 0 when the clock was not sure: `[earlier] `. Times are those
/// that clocks in `zone` showed and show.
pub fn time_prefix(language: Language, at: u32, now: Option<UnixTime>, zone: &Zone, out: &mut Writer<'_>) {
    let words = catalogue(language);
    out.text("[");
    match at {
        0 => out.text(words.earlier),
        _ => put_time(words, zone.local(UnixTime(at.into())).0, now.map(|now| zone.local(now).0), out),
    }
    out.text("] ");
}

fn put_time(words: &Catalogue, at_s: u64, now_s: Option<u64>, out: &mut Writer<'_>) {
    let day = at_s / DAY_S;
    let today = now_s.map(|now_s| now_s / DAY_S);
    if today.is_some_and(|today| today == day + 1) {
        out.text(words.yesterday);
        out.text(" ");
    } else if today != Some(day) {
        let (year, month, day_of_month) = civil(day);
        let is_this_year = today.is_some_and(|today| civil(today).0 == year);
        (words.put_date)(day_of_month, month, (!is_this_year).then_some(year), out);
        out.text(" ");
    }
    let minute = at_s / 60 % (24 * 60);
    for (part, separator) in [(minute / 60, ""), (minute % 60, ":")] {
        out.text(separator);
        out.put(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
}

/// The words of one language.
struct Catalogue {
    /// Before and after the name of who is away.
    away: (&'static str, &'static str),
    /// Before and after the address of who did not get a text.
    undelivered: (&'static str, &'static str),
    /// Before and after a network and her address there.
    account_down: (&'static str, &'static str),
    account_on: (&'static str, &'static str),
    account_stopped: (&'static str, &'static str),
    stopped_password: &'static str,
    stopped_elsewhere: &'static str,
    full_stop: &'static str,
    /// Behind who asks.
    wants_you: &'static str,
    /// Before his address when he may, and when he may not.
    answer_with: (&'static str, &'static str),
    own_copy: &'static str,
    /// One text, and many: what stands after the number.
    text: [&'static str; 2],
    voice: [&'static str; 2],
    call: [&'static str; 2],
    /// Between two sorts of things from one sender, before the last.
    and: &'static str,
    /// Between two sorts when a third follows.
    comma: &'static str,
    /// Before and after the sender when he is named first, and when he is named last.
    from: From,
    between_senders: &'static str,
    /// Before and after the number of senders who were not named: one, and many.
    others: [(&'static str, &'static str); 2],
    yesterday: &'static str,
    earlier: &'static str,
    /// Writes day, month and perhaps year.
    put_date: fn(u64, u64, Option<u64>, &mut Writer<'_>),
}

/// Where the sender stands.
enum From {
    /// Behind what he sent, after this.
    Behind(&'static str),
    /// Before what he sent, between these.
    Before(&'static str, &'static str),
}

impl Catalogue {
    fn put_missed(&self, missed: &Missed<'_>, out: &mut Writer<'_>) {
        if let From::Before(before, after) = self.from {
            out.text(before);
            out.text(missed.name);
            out.text(after);
        }
        let sorts = [(missed.texts, self.text), (missed.voices, self.voice), (missed.calls, self.call)];
        let count = sorts.iter().filter(|(count, _)| *count > 0).count();
        for (index, (number, [one, many])) in sorts.into_iter().filter(|(count, _)| *count > 0).enumerate() {
            out.text(match index {
                0 => "",
                _ if index + 1 == count => self.and,
                _ => self.comma,
            });
            out.number(number.into());
            out.text(if number == 1 { one } else { many });
        }
        if let From::Behind(before) = self.from {
            out.text(before);
            out.text(missed.name);
        }
    }

    fn put_others(&self, number: usize, out: &mut Writer<'_>) {
        let (before, after) = self.others[usize::from(number != 1)];
        out.text(before);
        out.number(number as u64);
        out.text(after);
    }
}

const fn catalogue(language: Language) -> &'static Catalogue {
    match language {
        Language::En => &ENGLISH,
        Language::Sv => &SWEDISH,
        Language::Zh => &CHINESE,
    }
}

const ENGLISH: Catalogue = Catalogue {
    away: ("", " is away; your message is kept."),
    undelivered: ("Your message to ", " could not be delivered."),
    account_down: ("Your account ", " is not connected. It is tried again."),
    account_on: ("Your account ", " is connected again."),
    account_stopped: ("Your account ", " is off: "),
    stopped_password: "the server refuses its name or password",
    stopped_elsewhere: "another program has logged in with it",
    full_stop: ".",
    wants_you: "wants to be your buddy",
    answer_with: (". Answer: allow ", " or deny "),
    own_copy: "(You wrote:) ",
    text: [" missed IM", " missed IMs"],
    voice: [" voice message", " voice messages"],
    call: [" missed call", " missed calls"],
    and: " & ",
    comma: ", ",
    from: From::Behind(" from "),
    between_senders: "; ",
    others: [("; and ", " other"), ("; and ", " others")],
    yesterday: "yesterday",
    earlier: "earlier",
    put_date: |day, month, year, out| put_european(day, ENGLISH_MONTHS, month, year, out),
};

const SWEDISH: Catalogue = Catalogue {
    away: ("", " är inte här; ditt meddelande är sparat."),
    undelivered: ("Ditt meddelande till ", " kunde inte levereras."),
    account_down: ("Ditt konto ", " är inte anslutet. Nya försök görs."),
    account_on: ("Ditt konto ", " är anslutet igen."),
    account_stopped: ("Ditt konto ", " är avstängt: "),
    stopped_password: "servern godtar inte namnet eller lösenordet",
    stopped_elsewhere: "ett annat program har loggat in med det",
    full_stop: ".",
    wants_you: "vill bli din kontakt",
    answer_with: (". Svara: allow ", " eller deny "),
    own_copy: "(Du skrev:) ",
    text: [" missat meddelande", " missade meddelanden"],
    voice: [" röstmeddelande", " röstmeddelanden"],
    call: [" missat samtal", " missade samtal"],
    and: " & ",
    comma: ", ",
    from: From::Behind(" från "),
    between_senders: "; ",
    others: [("; och ", " till"), ("; och ", " till")],
    yesterday: "i går",
    earlier: "tidigare",
    put_date: |day, month, year, out| put_european(day, SWEDISH_MONTHS, month, year, out),
};

const CHINESE: Catalogue = Catalogue {
    away: ("", " 现在不在，您的消息已保存。"),
    undelivered: ("您发给 ", " 的消息未能送达。"),
    account_down: ("您的帐号 ", " 未连接，正在重试。"),
    account_on: ("您的帐号 ", " 已重新连接。"),
    account_stopped: ("您的帐号 ", " 已停用："),
    stopped_password: "服务器不接受用户名或密码",
    stopped_elsewhere: "另一个程序已用它登录",
    full_stop: "。",
    wants_you: "想加您为好友",
    answer_with: ("。请回复：allow ", " 或 deny "),
    own_copy: "（您写道：）",
    text: ["条未读消息", "条未读消息"],
    voice: ["条语音留言", "条语音留言"],
    call: ["个未接来电", "个未接来电"],
    and: "和",
    comma: "、",
    from: From::Before("来自 ", " 的"),
    between_senders: "；",
    others: [("；以及另外", "人"), ("；以及另外", "人")],
    yesterday: "昨天",
    earlier: "此前",
    put_date: |day, month, year, out| {
        for (number, sign) in [(year.unwrap_or(0), "年"), (month, "月"), (day, "日")] {
            if number != 0 {
                out.number(number);
                out.text(sign);
            }
        }
    },
};

/// More than [`Catalogue::put_others`] writes in any language.
const OTHERS_BYTES: usize = 40;

/// Writes `3 May`, or `3 May 2025`.
fn put_european(day: u64, months: [&str; 12], month: u64, year: Option<u64>, out: &mut Writer<'_>) {
    out.number(day);
    out.text(" ");
    out.text(months[(month as usize + 11) % 12]);
    if let Some(year) = year {
        out.text(" ");
        out.number(year);
    }
}

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const SWEDISH_MONTHS: [&str; 12] = [
    "januari",
    "februari",
    "mars",
    "april",
    "maj",
    "juni",
    "juli",
    "augusti",
    "september",
    "oktober",
    "november",
    "december",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn said(say: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut room = [0; 2 * WORD_BYTES];
        let mut out = Writer::new(&mut room);
        say(&mut out);
        let len = out.finish().unwrap();
        String::from_utf8(room[..len].to_vec()).unwrap()
    }

    const fn missed(name: &str, texts: u16, voices: u16, calls: u16) -> Missed<'_> {
        Missed { name, texts, voices, calls }
    }

    fn summed(language: Language, senders: &[Missed<'_>], url: &str) -> String {
        said(|out| summary(language, senders.iter().copied(), url, out))
    }

    #[test]
    fn the_summary_in_each_language() {
        let senders = [missed("Smith", 10, 1, 0), missed("Bob", 0, 0, 2)];
        assert_eq!(
            summed(Language::En, &senders, "http://r/i"),
            "10 missed IMs & 1 voice message from Smith; 2 missed calls from Bob\nhttp://r/i"
        );
        assert_eq!(
            summed(Language::Sv, &senders, "http://r/i"),
            "10 missade meddelanden & 1 röstmeddelande från Smith; 2 missade samtal från Bob\nhttp://r/i"
        );
        assert_eq!(
            summed(Language::Zh, &senders, "http://r/i"),
            "来自 Smith 的10条未读消息和1条语音留言；来自 Bob 的2个未接来电\nhttp://r/i"
        );
        let all = [missed("A", 1, 2, 1)];
        assert_eq!(summed(Language::En, &all, ""), "1 missed IM, 2 voice messages & 1 missed call from A");
        assert_eq!(summed(Language::Sv, &all, ""), "1 missat meddelande, 2 röstmeddelanden & 1 missat samtal från A");
        assert_eq!(summed(Language::Zh, &all, ""), "来自 A 的1条未读消息、2条语音留言和1个未接来电");
        assert_eq!(summed(Language::En, &[], "http://r/i"), "");
    }

    #[test]
    fn many_senders_are_counted() {
        for language in Language::TAGS.map(|(_, language)| language) {
            for (count, name_bytes) in [(24, 10), (25, 20), (50, 48), (192, 48), (192, 96)] {
                let names: Vec<String> = (0..count).map(|number| std::format!("{number:0>name_bytes$}")).collect();
                let senders: Vec<Missed<'_>> = names.iter().map(|name| missed(name, 1000, 1000, 1000)).collect();
                let url = "http://router.lan:8088/i/0123456789abcdef0123456789abcdef";
                let text = summed(language, &senders, url);
                assert!(text.len() <= WORD_BYTES && text.ends_with(url), "{}", text.len());
                let named = names.iter().filter(|name| text.contains(name.as_str())).count();
                assert!(named >= 3 && named < count && text.len() + 260 > WORD_BYTES, "{named} {}", text.len());
                assert!(text.contains(&std::format!("{}", count - named)));
            }
        }
        let names = ["x".repeat(400), "y".repeat(400), "z".repeat(400)];
        let senders: Vec<Missed<'_>> = names.iter().map(|name| missed(name, 1, 0, 0)).collect();
        assert!(summed(Language::En, &senders, "").ends_with("; and 1 other"));
        let fits = [missed(&names[0], 1, 0, 0), missed(&names[1], 1, 0, 0)];
        assert!(summed(Language::En, &fits, "").ends_with('y'));
    }

    #[test]
    fn what_follows_fits_too() {
        for language in Language::TAGS.map(|(_, language)| language) {
            assert!(said(|out| catalogue(language).put_others(usize::MAX >> 32, out)).len() <= OTHERS_BYTES);
        }
    }

    #[test]
    fn replies() {
        for (language, expected) in [
            (Language::En, "Alice is away; your message is kept."),
            (Language::Sv, "Alice är inte här; ditt meddelande är sparat."),
            (Language::Zh, "Alice 现在不在，您的消息已保存。"),
        ] {
            assert_eq!(said(|out| busy_reply(language, "Alice", out)), expected);
        }
    }

    #[test]
    fn times() {
        // 2026-05-04 10:00 UTC.
        const NOW: u64 = 1_777_888_800;
        let prefix = |language, at: u64, now: Option<u64>, rule: &str| {
            let zone = Zone::parse(rule.as_bytes()).unwrap();
            said(|out| time_prefix(language, at as u32, now.map(UnixTime), &zone, out))
        };
        for (at, english, swedish, chinese) in [
            (NOW - 3_600, "[09:00] ", "[09:00] ", "[09:00] "),
            (NOW - 13 * 3_600, "[yesterday 21:00] ", "[i går 21:00] ", "[昨天 21:00] "),
            (NOW - 37 * 3_600, "[2 May 21:00] ", "[2 maj 21:00] ", "[5月2日 21:00] "),
            (NOW - 365 * 86_400, "[4 May 2025 10:00] ", "[4 maj 2025 10:00] ", "[2025年5月4日 10:00] "),
            (NOW + 86_400, "[5 May 10:00] ", "[5 maj 10:00] ", "[5月5日 10:00] "),
            (0, "[earlier] ", "[tidigare] ", "[此前] "),
        ] {
            let all = Language::TAGS.map(|(_, language)| prefix(language, at, Some(NOW), "UTC0"));
            assert_eq!(all, [english, swedish, chinese]);
        }
        assert_eq!(prefix(Language::En, NOW, None, "UTC0"), "[4 May 2026 10:00] ");
        assert_eq!(prefix(Language::En, NOW - 11 * 3_600, Some(NOW), "EET-2"), "[01:00] ");
        assert_eq!(prefix(Language::En, NOW - 3_600, Some(NOW), "HST10"), "[yesterday 23:00] ");
        assert_eq!(prefix(Language::En, 60, Some(60), "<-01>1"), "[00:00] ", "not before 1970");
        // On both sides of 2026-03-29 01:00 UTC.
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(prefix(Language::En, 1_774_744_200, Some(1_774_747_800), rule), "[01:30] ");
        assert_eq!(prefix(Language::En, 1_774_747_800, Some(1_774_747_800), rule), "[03:30] ");
    }
}
