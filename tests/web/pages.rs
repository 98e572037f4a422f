//! What people do on the pages.

use pcsd::base::text::Writer;
use pcsd::base::time::Instant;
use pcsd::config::model::Missed;
use pcsd::home::inbox::{Codec, State};

use super::World;
use super::house::TIME;

const BOB: (&str, &str) = ("bob@away.example", "Bob <b>");

fn link(world: &mut World, first: u32, last: u32) -> String {
    let mut room = [0; 256];
    let mut out = Writer::new(&mut room);
    world.home.model.main.url = "http://router.lan:8088/".try_into().unwrap();
    assert!(world.web.link(world.now, &mut world.home, 0, (first, last), &mut out));
    let link = String::from_utf8(out.written().to_vec()).unwrap();
    link.strip_prefix("http://router.lan:8088").expect("a path behind the base").to_string()
}

#[test]
fn texts_are_shown_as_text() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    world.home.text(0, BOB, TIME - 60, "text/plain", b"<script>alert(1)</script>\r\n\"quoted\" & 'so'");
    world.home.text(0, BOB, TIME - 50, "text/html", b"<h1>x</h1>");
    let cpim = b"From: <sip:b@h>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\nContent-Type: text/plain\r\n\r\ninner words";
    world.home.text(0, BOB, 0, "message/cpim", cpim);
    world.home.text(1, BOB, TIME, "text/plain", b"not for her");
    let page = world.get("/", &cookie).text();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\n&quot;quoted&quot; &amp; &#39;so&#39;</p>"),
        "{page}"
    );
    assert!(!page.contains("<script>") && !page.contains("<b>)") && page.contains("<bdi>Bob &lt;b&gt;</bdi>"));
    assert!(page.contains("A message of type text/html") && !page.contains("<h1>x"));
    assert!(page.contains(">inner words</p>") && page.contains("time not known"));
    assert!(page.contains("datetime=\"2026-") && page.contains("1 min ago") && !page.contains("not for her"));
    assert!(page.contains("<html lang=\"en\">") && page.ends_with("</html>\n"));
}

#[test]
fn a_whole_page_is_small() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    for i in 0..10 {
        world.home.text(0, BOB, TIME - i, "text/plain", b"A text of the usual length, as people write them.");
    }
    let mut total = world.get("/", &cookie).body.len();
    for path in ["/style.css", "/script.js", "/icon.svg", "/manifest.json"] {
        let reply = world.get(path, "");
        assert_eq!(reply.status, 200);
        total += reply.body.len();
        let tag = reply.field("ETag").to_string();
        let again = world.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
    println!("the machine: {} bytes", size_of::<pcsd::web::Web>());
    println!("a page with ten letters and all files: {total} bytes");
    assert!(total <= 40 * 1024, "{total}");
}

#[test]
fn marked_deleted_and_restored() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let id = world.home.text(0, BOB, TIME, "text/plain", b"one");
    let other = world.home.text(0, BOB, TIME, "text/plain", b"two");
    let mut form = |name: &str, id: u64| world.post("/letters", &cookie, &format!("csrf={csrf}&{name}={id:016x}"));
    assert_eq!(form("read", id).status, 303);
    let deleted = form("delete", id);
    assert_eq!(deleted.field("Location"), format!("/?deleted={id:016x}"));
    let path = deleted.field("Location").to_string();
    assert_eq!(world.home.state(id), State::Deleted);
    let page = world.get(&path, &cookie).text();
    assert!(page.contains("Undo") && !page.contains(">one</p>") && page.contains(">two</p>"));
    assert!(world.get("/deleted", &cookie).text().contains(">one</p>"));
    let mut form = |name: &str, id: u64| world.post("/letters", &cookie, &format!("csrf={csrf}&{name}={id:016x}"));
    assert_eq!(form("restore", id).field("Location"), "/");
    assert_eq!(form("return", id).field("Location"), "/deleted");
    assert_eq!(form("delete", other).field("Location"), format!("/?deleted-new={other:016x}"));
    assert_eq!(form("new", other).status, 303);
    assert_eq!(form("all", other).status, 303);
    assert_eq!((world.home.state(id), world.home.state(other)), (State::Old, State::Old));
}

#[test]
fn answers_and_settings() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    let id = world.home.text(0, BOB, TIME, "text/plain", b"one");
    let reply = world.post("/reply", &cookie, &format!("csrf={csrf}&to={id:016x}&text=Yes%0D%0Aor+no"));
    assert_eq!((reply.status, reply.field("Location")), (303, "/?sent"));
    assert_eq!(world.home.replies, [(0, "bob@away.example".to_string(), "Yes\nor no".to_string())]);
    assert_eq!(world.post("/reply", &cookie, &format!("csrf={csrf}&to={id:016x}&text=++")).status, 400);
    let set = |world: &mut World, what: &str, form: &str| {
        world.post(&format!("/settings/{what}"), &cookie, &format!("csrf={csrf}&{form}")).status
    };
    assert_eq!(set(&mut world, "busy", "busy=Back+at+6+%26+later"), 303);
    assert_eq!(set(&mut world, "busy", &format!("busy={}", "x".repeat(300))), 422);
    assert_eq!(set(&mut world, "presence", "state=away&note=lunch"), 303);
    assert_eq!(set(&mut world, "presence", "state=dancing&note="), 400);
    assert_eq!(set(&mut world, "presence", "state=away&note=a%0ab"), 400);
    assert_eq!(set(&mut world, "missed", "missed=deliver"), 303);
    let home = &world.home;
    assert_eq!((home.busy_text.as_str(), home.presence.as_str()), ("Back at 6 & later", "away lunch"));
    assert_eq!(home.missed, Missed::Deliver);
    let page = world.get("/settings?saved", &cookie).text();
    assert!(page.contains("Saved.") && page.contains("Back at 6 &amp; later</textarea>"));
    assert!(page.contains("value=\"away\" selected") && page.contains("value=\"lunch\""));
    assert!(page.contains("value=\"deliver\" checked"));
}

#[test]
fn a_link_is_opened_by_a_button_once() {
    let mut world = World::new();
    let ids: Vec<_> =
        (0..4).map(|i| world.home.text(0, BOB, TIME, "text/plain", format!("text {i}").as_bytes())).collect();
    let voice = world.home.voice(0, BOB, TIME, Codec::Alaw, &[0x55; 100]);
    let numbers = (world.home.number(ids[1]), world.home.number(ids[2]));
    let path = link(&mut world, numbers.0, numbers.1);
    for _ in 0..3 {
        let page = world.get(&path, "");
        assert!(page.status == 200 && page.field("Set-Cookie").is_empty() && page.text().contains("Show messages"));
    }
    let opened = world.post(&path, "", "");
    assert_eq!((opened.status, opened.field("Location")), (303, "/"));
    assert!(opened.field("Set-Cookie").ends_with("; HttpOnly; SameSite=Strict"));
    let cookie = opened.cookie();
    let page = world.get("/", &cookie).text();
    assert!(page.contains("text 1") && page.contains("text 2") && !page.contains("text 0") && !page.contains("text 3"));
    assert!(!page.contains("/voice/") && !page.contains("action=\"/reply\"") && !page.contains("/settings"));
    let at = page.find("name=\"csrf\" value=\"").unwrap() + 19;
    let csrf = &page[at..at + 22];
    let mut post = |path: &str, form: String| world.post(path, &cookie, &format!("csrf={csrf}&{form}")).status;
    assert_eq!(post("/letters", format!("read={:016x}", ids[1])), 303);
    assert_eq!(post("/letters", format!("read={:016x}", ids[0])), 404);
    assert_eq!(post("/reply", format!("to={:016x}&text=x", ids[1])), 403);
    assert_eq!(post("/settings/busy", "busy=x".to_string()), 403);
    assert_eq!(world.get(&format!("/voice/{voice:016x}.wav"), &cookie).status, 404);
    assert_eq!(world.get("/settings", &cookie).field("Location"), "/login");
    // A second time it does nothing, and neither does its token as a session.
    assert_eq!((world.get(&path, "").status, world.post(&path, "", "").status), (404, 404));
    assert_eq!(world.get("/", &format!("pcs={}", &path[3..])).field("Location"), "/login");
    world.now = world.now.plus(24 * 3_600_000);
    assert_eq!(world.get("/", &cookie).field("Location"), "/login");
    let path = link(&mut world, 1, 9);
    world.now = world.now.plus(24 * 3_600_000);
    assert_eq!(world.post(&path, "", "").status, 404);
}

#[test]
fn pages_of_fifty() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    for i in 0..120 {
        let from = format!("u{}@away.example", i % 7);
        world.home.text(0, (&from, ""), TIME, "text/plain", format!("number {i}.").as_bytes());
    }
    let (mut path, mut seen) = ("/".to_string(), 0);
    for expected in [50, 50, 20] {
        let page = world.get(&path, &cookie).text();
        seen += (0..120).filter(|i| page.contains(&format!(">number {i}.</p>"))).count();
        assert_eq!(page.matches("<li ").count(), expected);
        assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
        assert_eq!(page.matches("<ul>").count(), page.matches("</ul>").count());
        assert_eq!(page.matches("<form").count(), page.matches("</form>").count());
        if let Some(at) = page.find("rel=\"next\" href=\"") {
            path = page[at + 17..].split('"').next().unwrap().to_string();
        }
    }
    assert_eq!(seen, 120);
}

#[test]
fn long_texts_have_a_page_of_their_own() {
    let mut world = World::new();
    let (cookie, _) = world.log_in();
    let text = "\u{e5}&<".repeat(12_000);
    let id = world.home.text(0, BOB, TIME, "", text.as_bytes());
    let stream = world.open();
    let request = format!("GET / HTTP/1.1\r\nHost: home.example\r\nCookie: {cookie}\r\n\r\n");
    // The least room there may be makes many pieces of the same page.
    let (small, _) = world.exchange(stream, request.as_bytes(), 100, pcsd::web::PRODUCE_BYTES);
    let small = super::read(&small, false).unwrap().0.text();
    assert_eq!(small, world.get("/", &cookie).text());
    assert!(small.contains("Show the whole text") && small.matches("\u{e5}&amp;&lt;").count() == 1500);
    let whole = world.get(&format!("/text/{id:016x}"), &cookie);
    assert_eq!((whole.field("Content-Type"), whole.text()), ("text/plain; charset=utf-8", text));
    let id = world.home.text(0, BOB, TIME, "text/html", b"<script>");
    let other = world.get(&format!("/text/{id:016x}"), &cookie);
    assert_eq!((other.field("Content-Type"), &other.body[..]), ("application/octet-stream", &b"<script>"[..]));
    assert_eq!(other.field("Content-Disposition"), "attachment");
    world.home.records.clear();
    assert_eq!(world.get(&format!("/text/{id:016x}"), &cookie).status, 503);
    assert!(world.get("/", &cookie).text().contains("It cannot be read now."));
}

#[test]
fn languages() {
    let mut world = World::new();
    let ask = |world: &mut World, language: &str| {
        world.ask(&format!("GET /login HTTP/1.1\r\nHost: home.example\r\nAccept-Language: {language}\r\n\r\n")).text()
    };
    assert!(ask(&mut world, "sv-SE, en;q=0.5").contains("<html lang=\"sv\">"));
    assert!(ask(&mut world, "fr, zh-CN;q=0.9").contains("\u{767b}\u{5f55}"));
    world.home.model.people[0].language = pcsd::config::model::Language::Zh;
    let (cookie, _) = world.log_in();
    assert!(world.get("/", &cookie).text().contains("<html lang=\"zh-Hans\">"));
}

#[test]
fn sessions_end() {
    let mut world = World::new();
    let (cookie, csrf) = world.log_in();
    assert_eq!(world.post("/logout", &cookie, &format!("csrf={csrf}")).field("Location"), "/login");
    assert_eq!(world.get("/", &cookie).field("Location"), "/login");
    let (cookie, _) = world.log_in();
    let (mut now, month) = (world.now, 30 * 86_400_000);
    for _ in 0..3 {
        now = now.plus(month - 1);
        world.now = now;
        assert_eq!(world.get("/", &cookie).status, 200);
    }
    world.now = now.plus(month);
    assert_eq!(world.get("/", &cookie).field("Location"), "/login");
    world.web.sessions.sweep(Instant::from_millis(u64::MAX), None);
    assert!(world.web.sessions.is_empty());
}
