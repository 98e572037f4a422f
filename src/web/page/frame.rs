//! What stands around every page, and the pages that are one form: login and link.

use super::html::escape;
use super::{Around, Fault, Notice, Page, View};
use crate::base::text::Writer;
use crate::web::words::Words;

/// Head, navigation, heading and notice.
pub(super) fn top(page: &Page, around: &Around<'_>, out: &mut Writer<'_>) {
    let words = around.words;
    let title = title(page, words);
    out.text("<!DOCTYPE html>\n<html lang=\"");
    out.text(words.tag);
    out.text(
        "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>",
    );
    out.text(title);
    out.text(
        " · PCS</title><link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"icon\" href=\"/icon.svg\">\
         <link rel=\"manifest\" href=\"/manifest.json\"><script src=\"/script.js\" defer></script></head><body>\
         <a class=\"skip\" href=\"#main\">",
    );
    out.text(words.skip);
    out.text("</a>");
    header(page, around, out);
    let is_slim = matches!(page.view, View::Login | View::Link | View::Fault);
    out.text(if is_slim { "<main id=\"main\" class=\"slim\"><h1>" } else { "<main id=\"main\"><h1>" });
    out.text(title);
    out.text("</h1>");
    notice(page, around, out);
}

fn title(page: &Page, words: &'static Words) -> &'static str {
    match &page.view {
        View::Login => words.log_in,
        View::Link => words.open_title,
        View::Letters(letters) if letters.is_deleted => words.deleted_letters,
        View::Letters(_) => words.inbox,
        View::Settings => words.settings,
        View::Fault => "PCS",
    }
}

fn header(page: &Page, around: &Around<'_>, out: &mut Writer<'_>) {
    let Some(viewer) = &page.viewer else { return };
    let words = around.words;
    out.text("<header><p><bdi>");
    if let Some(person) = around.house.model().people.get(viewer.person) {
        escape(person.name.as_bytes(), out);
    }
    out.text("</bdi></p><nav>");
    let (is_inbox, is_deleted) = match &page.view {
        View::Letters(letters) => (!letters.is_deleted, letters.is_deleted),
        _ => (false, false),
    };
    link("/", words.inbox, is_inbox, out);
    link("/deleted", words.deleted_letters, is_deleted, out);
    if viewer.may_do_all() {
        link("/settings", words.settings, matches!(page.view, View::Settings), out);
    }
    out.text("<form method=\"post\" action=\"/logout\">");
    form_token(around, out);
    out.text("<button>");
    out.text(words.log_out);
    out.text("</button></form></nav></header>");
}

fn link(path: &str, name: &str, is_current: bool, out: &mut Writer<'_>) {
    out.text("<a href=\"");
    out.text(path);
    out.text(if is_current { "\" aria-current=\"page\">" } else { "\">" });
    out.text(name);
    out.text("</a>");
}

fn notice(page: &Page, around: &Around<'_>, out: &mut Writer<'_>) {
    let words = around.words;
    let good = "<div class=\"status\" role=\"status\">";
    let bad = "<div class=\"status bad\" role=\"alert\">";
    match page.notice {
        Notice::Nothing => return,
        Notice::Deleted(id, was_new) => {
            out.text(good);
            out.text(words.was_deleted);
            out.text("<form method=\"post\" action=\"/letters\">");
            form_token(around, out);
            out.text(if was_new { "<button name=\"new\" value=\"" } else { "<button name=\"restore\" value=\"" });
            out.hex(id, 16);
            out.text("\">");
            out.text(words.undo);
            out.text("</button></form>");
        }
        Notice::Sent | Notice::Saved => {
            out.text(good);
            out.text(if page.notice == Notice::Sent { words.was_sent } else { words.was_saved });
        }
        Notice::Wait(seconds) => {
            out.text(bad);
            out.text(words.wait);
            out.text(" ");
            out.number(seconds);
        }
        Notice::Fault(fault) => {
            out.text(bad);
            out.text(fault.words(words));
            if page.viewer.is_none() && matches!(fault, Fault::LinkOver | Fault::Forbidden) {
                out.text(" <a class=\"button\" href=\"/\">");
                out.text(words.inbox);
                out.text("</a>");
            }
        }
    }
    out.text("</div>");
}

/// What every form of a session brings along.
pub(super) fn form_token(around: &Around<'_>, out: &mut Writer<'_>) {
    if let Some(viewer) = &around.viewer {
        out.text("<input type=\"hidden\" name=\"csrf\" value=\"");
        out.put(&viewer.form_token);
        out.text("\">");
    }
}

/// The form to log in by.
pub(super) fn login(around: &Around<'_>, out: &mut Writer<'_>) {
    let words = around.words;
    out.text("<section><form class=\"pad\" method=\"post\" action=\"/login\"><div><label for=\"name\">");
    out.text(words.name);
    out.text(
        "</label><input id=\"name\" name=\"name\" autocomplete=\"username\" autocapitalize=\"none\" \
         spellcheck=\"false\" maxlength=\"64\" required autofocus></div><div><label for=\"password\">",
    );
    out.text(words.password);
    out.text(
        "</label><input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" \
         maxlength=\"128\" required></div><button class=\"main\">",
    );
    out.text(words.log_in);
    out.text("</button></form></section>");
}

/// What a link leads to: its form goes to the address that the page has.
pub(super) fn link_form(around: &Around<'_>, out: &mut Writer<'_>) {
    let words = around.words;
    out.text("<section><form class=\"pad\" method=\"post\"><p>");
    out.text(words.open_text);
    out.text("</p><button class=\"main\">");
    out.text(words.open_button);
    out.text("</button></form></section>");
}

/// The end of every page.
pub(super) fn bottom(out: &mut Writer<'_>) {
    out.text("</main></body></html>\n");
}
