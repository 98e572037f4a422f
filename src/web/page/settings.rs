//! What a person can set: presence, busy text, greeting, what becomes of missed texts. Each is a form of its own.

use super::Around;
use super::frame::form_token;
use super::html::escape;
use crate::base::limits::BUSY_BYTES;
use crate::base::text::Writer;
use crate::config::model::Missed;
use crate::home::commands::NOTE_BYTES;
use crate::web::house::Settings;
use crate::web::words::Words;

/// The parts of the page, in order.
pub(super) const PARTS: [fn(&Around<'_>, &mut Writer<'_>); 4] = [presence, busy_text, greeting, missed];

/// Chooses a word.
type Wording = fn(&Words) -> &'static str;

/// States that she can choose, as the house reads them, and their words. The first is none of her own.
const STATES: [(&str, Wording); 5] = [
    ("auto", |words| words.state_auto),
    ("available", |words| words.state_available),
    ("away", |words| words.state_away),
    ("busy", |words| words.state_busy),
    ("offline", |words| words.state_offline),
];

/// The state by its place in the list; `None` when it is not in it.
pub(crate) fn state_named(name: &[u8]) -> Option<&'static str> {
    STATES.iter().map(|(state, _)| *state).find(|state| state.as_bytes() == name)
}

fn presence(around: &Around<'_>, out: &mut Writer<'_>) {
    let Some(settings) = settings(around) else { return };
    let (state, note) = settings.presence;
    let chosen = STATES.iter().position(|(known, _)| *known == state).unwrap_or_default();
    begin(around, around.words.presence, "/settings/presence", out);
    label("state", around.words.state, out);
    out.text("<select id=\"state\" name=\"state\">");
    for (index, (state, words)) in STATES.iter().enumerate() {
        out.text("<option value=\"");
        out.text(state);
        out.text(if index == chosen { "\" selected>" } else { "\">" });
        out.text(words(around.words));
        out.text("</option>");
    }
    out.text("</select></div><div>");
    label("note", around.words.note, out);
    out.text("<input id=\"note\" name=\"note\" maxlength=\"");
    out.number(NOTE_BYTES as u64);
    out.text("\" value=\"");
    escape(note.as_bytes(), out);
    out.text("\"></div>");
    save(around, out);
}

fn busy_text(around: &Around<'_>, out: &mut Writer<'_>) {
    let Some(settings) = settings(around) else { return };
    begin(around, around.words.busy_text, "/settings/busy", out);
    label("busy", around.words.busy_hint, out);
    out.text("<textarea class=\"tall\" id=\"busy\" name=\"busy\" maxlength=\"");
    out.number(BUSY_BYTES as u64);
    // The first line end of a textarea is not part of it.
    out.text("\">\n");
    escape(settings.busy_text.as_bytes(), out);
    out.text("</textarea></div>");
    save(around, out);
}

fn greeting(around: &Around<'_>, out: &mut Writer<'_>) {
    let Some(settings) = settings(around) else { return };
    let words = around.words;
    heading("greeting-head", words.greeting, out);
    out.text("<div><p class=\"meta\" id=\"greeting-what\">");
    out.text(if settings.greeting.is_some() { words.greeting_own } else { words.greeting_none });
    out.text("</p>");
    if settings.greeting.is_some() {
        out.text(
            "<audio controls preload=\"none\" src=\"/greeting.wav\" aria-labelledby=\"greeting-what\"></audio>\
             <form class=\"do\" method=\"post\" action=\"/greeting/remove\">",
        );
        form_token(around, out);
        out.text("<button aria-describedby=\"greeting-head\">");
        out.text(words.remove);
        out.text("</button></form>");
    }
    out.text(
        "</div><form class=\"pad reply\" method=\"post\" action=\"/greeting\" enctype=\"multipart/form-data\"><div>",
    );
    form_token(around, out);
    label("file", words.greeting_file, out);
    out.text("<input id=\"file\" name=\"file\" type=\"file\" accept=\".wav,audio/wav,audio/x-wav\" required></div>");
    out.text("<button class=\"main\">");
    out.text(words.upload);
    out.text("</button></form></section>");
}

fn missed(around: &Around<'_>, out: &mut Writer<'_>) {
    let Some(settings) = settings(around) else { return };
    let words = around.words;
    begin(around, words.missed, "/settings/missed", out);
    out.text("<fieldset aria-labelledby=\"/settings/missed-head\">");
    let choices = [(Missed::Keep, "keep", words.missed_keep), (Missed::Deliver, "deliver", words.missed_deliver)];
    for (choice, value, words) in choices {
        out.text("<label><input type=\"radio\" name=\"missed\" value=\"");
        out.text(value);
        out.text(if choice == settings.missed { "\" checked>" } else { "\">" });
        out.text(words);
        out.text("</label>");
    }
    out.text("</fieldset></div>");
    save(around, out);
}

fn settings<'a>(around: &Around<'a>) -> Option<Settings<'a>> {
    around.viewer.map(|viewer| around.house.settings(viewer.person))
}

/// A section with its heading, up to the first field of its form.
fn begin(around: &Around<'_>, title: &str, action: &str, out: &mut Writer<'_>) {
    let mut id = [0; 64];
    let mut name = Writer::new(&mut id);
    name.text(action);
    name.text("-head");
    let id = core::str::from_utf8(name.written()).unwrap_or_default();
    heading(id, title, out);
    out.text("<form class=\"pad\" method=\"post\" action=\"");
    out.text(action);
    out.text("\"><div>");
    form_token(around, out);
}

fn heading(id: &str, title: &str, out: &mut Writer<'_>) {
    out.text("<section aria-labelledby=\"");
    out.text(id);
    out.text("\"><div class=\"head\"><h2 id=\"");
    out.text(id);
    out.text("\">");
    out.text(title);
    out.text("</h2></div>");
}

fn label(field: &str, words: &str, out: &mut Writer<'_>) {
    out.text("<label for=\"");
    out.text(field);
    out.text("\">");
    out.text(words);
    out.text("</label>");
}

fn save(around: &Around<'_>, out: &mut Writer<'_>) {
    out.text("<button class=\"main\">");
    out.text(around.words.save);
    out.text("</button></form></section>");
}
