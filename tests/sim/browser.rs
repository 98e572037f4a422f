//! A browser in the simulated world, as far as the inbox page needs one (HTTP/1.1, RFC 9112): a request on a connection of
//! its own, the cookie, and the forms by their hidden fields. Leaves out scripts, styles and sound.

use std::net::SocketAddr;

use crate::phone::{Act, Phone};
use crate::world::{HOME, World};

/// The page's address on the LAN.
const PAGE: &str = "192.168.1.1:8088";

/// Somebody who is logged in.
pub struct Browser {
    phone: usize,
    cookie: String,
}

/// The first home, with its page.
pub fn home_with_page() -> String {
    HOME.replace("option domain 'home.example'", "option domain 'home.example'\n    list web '0.0.0.0:8088'")
}

impl World {
    /// Logs a person in from a machine at this last byte of the LAN.
    pub fn log_in(&mut self, name: &str, last: u8) -> Browser {
        let mut phone = Phone::new("", "", &format!("192.168.1.{last}:5060")).tcp();
        phone.page = Some(Vec::new());
        let phone = self.add(phone);
        let mut browser = Browser { phone, cookie: String::new() };
        self.log_in_again(&mut browser, name);
        browser
    }

    /// The same anew, as after a loss of power.
    pub fn log_in_again(&mut self, browser: &mut Browser, name: &str) {
        let form = format!("name={name}&password={}", crate::script::password(name));
        let (status, answer) = self.ask_page(browser, "POST", "/login", &form).expect("an answer");
        assert_eq!(status, 303, "{answer}");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect("a cookie");
        browser.cookie = cookie.split(';').next().unwrap().to_string();
    }

    /// Sends a request; status and all of the answer, `None` when there is none within 10 s.
    pub fn ask_page(&mut self, browser: &Browser, method: &str, path: &str, form: &str) -> Option<(u16, String)> {
        let Browser { phone, cookie } = browser;
        let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        let content = match form {
            "" => String::new(),
            form => format!(
                "Origin: http://{PAGE}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                form.len()
            ),
        };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {PAGE}\r\nConnection: close\r\n{cookie}{content}\r\n{form}");
        let to: SocketAddr = PAGE.parse().unwrap();
        self.phones[*phone].page = Some(Vec::new());
        self.phones[*phone].acts.push_back(Act::Stream(to, request.into_bytes()));
        let phone = *phone;
        self.run_until(10_000, |world| {
            let page = world.phones[phone].page.as_deref().unwrap_or_default();
            !page.is_empty() && world.phones[phone].open_conns().is_empty()
        });
        let answer = String::from_utf8_lossy(self.phones[phone].page.as_deref()?).into_owned();
        let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, answer))
    }

    /// Deletes the newest letter that is shown, if one is; whether the page has said so.
    pub fn delete_newest(&mut self, browser: &Browser) -> bool {
        let Some((200, page)) = self.ask_page(browser, "GET", "/", "") else { return false };
        let hidden = |name: &str| {
            let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
            rest.split('"').next().map(String::from)
        };
        let Some((csrf, id)) = hidden("csrf").zip(hidden("delete")) else { return false };
        let answer = self.ask_page(browser, "POST", "/letters", &format!("csrf={csrf}&delete={id}"));
        answer.is_some_and(|(status, _)| status == 303)
    }
}
