//! What an unconfigured contact is called: an alias that is made of its name or its address, so that it can stand in a SIP
//! URI and be typed. Whether an alias is free is asked of the caller.

use heapless::String;

use crate::config::model::Model;

use super::LIST_SUFFIX;

/// Bytes of an alias that is made here.
pub const ALIAS_BYTES: usize = 48;
/// An alias: of `a-z`, `0-9`, `.`, `_` and `-`.
pub type Alias = String<ALIAS_BYTES, u8>;

/// The first of `BASE`, `BASE-2`, `BASE-3` and so on that is free. At most `tries` are asked for.
pub fn free(base: &str, tries: u32, is_free: impl Fn(&str) -> bool) -> Option<Alias> {
    (1..=tries).map(|number| numbered(base, number)).find(|alias| is_free(alias))
}

/// What the alias of a contact begins with: its name where that is all ASCII, else the local part of its address, else
/// what is given for the case that neither has a character that may stand in an alias.
pub fn base(name: &str, address: &str, otherwise: &str) -> Alias {
    let local = address.split('@').next().unwrap_or_default();
    let name = if name.is_ascii() { name } else { "" };
    let found = [name, local, otherwise].into_iter().map(filtered).find(|alias| !alias.is_empty());
    found.unwrap_or_default()
}

/// Whether the home or the configuration has given this name to something that the person can write to.
pub fn is_given(model: &Model, person: usize, alias: &str) -> bool {
    alias == "pcs"
        || alias.ends_with(LIST_SUFFIX)
        || model.person(alias.as_bytes()).is_some()
        || model.buddy(person, alias.as_bytes()).is_some()
}

/// The characters of a text that may stand in an alias, in lower case; blanks between words are hyphens.
fn filtered(text: &str) -> Alias {
    let mut alias = Alias::new();
    for character in text.trim().chars() {
        let kept = match character.to_ascii_lowercase() {
            it if it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-') => it,
            ' ' => '-',
            _ => continue,
        };
        let is_mark = !kept.is_ascii_alphanumeric();
        // Marks stand between letters, one at a time.
        if is_mark && alias.as_bytes().last().is_none_or(|last| !last.is_ascii_alphanumeric()) {
            continue;
        }
        if alias.push(kept).is_err() {
            break;
        }
    }
    while alias.as_bytes().last().is_some_and(|last| !last.is_ascii_alphanumeric()) {
        alias.pop();
    }
    alias
}

/// An alias with a number from 2 on behind it; the base is cut where both do not fit.
fn numbered(base: &str, number: u32) -> Alias {
    let mut suffix: String<12> = String::new();
    if number > 1 {
        // The longest number fits.
        let _ = core::fmt::write(&mut suffix, format_args!("-{number}"));
    }
    let mut alias = Alias::new();
    let room = ALIAS_BYTES - suffix.len();
    for character in base.chars() {
        if alias.len() + character.len_utf8() > room || alias.push(character).is_err() {
            break;
        }
    }
    let _ = alias.push_str(&suffix);
    alias
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_or_an_address() {
        for (name, address, expected) in [
            ("Bob", "robert@jabber.example", "bob"),
            ("Bob  Smith", "robert@jabber.example", "bob-smith"),
            (" Mum (work) ", "m@x", "mum-work"),
            ("\u{c5}sa", "asa.oberg@x", "asa.oberg"),
            ("", "Bob_W@x", "bob_w"),
            ("", "[bob]^", "bob"),
            ("...", "-bob-", "bob"),
            ("\u{674e}", "\u{674e}@x", "xmpp"),
            ("", "bob%msn.example@gateway.example", "bobmsn.example"),
            ("sip:a\r\n<b>", "", "sipab"),
        ] {
            assert_eq!(base(name, address, "xmpp"), expected, "{name} {address}");
        }
        let long = "x".repeat(60);
        assert_eq!(base(&long, "", "xmpp").len(), ALIAS_BYTES);
    }

    #[test]
    fn numbers_make_it_free() {
        let taken = ["bob", "bob-2", "bob-4"];
        let is_free = |alias: &str| !taken.contains(&alias);
        assert_eq!(free("bob", 10, is_free).unwrap(), "bob-3");
        assert_eq!(free("ann", 10, is_free).unwrap(), "ann");
        assert_eq!(free("bob", 2, is_free), None);
        let long = "x".repeat(ALIAS_BYTES);
        let second = free(&long, 10, |alias| alias != long).unwrap();
        assert!(second.len() == ALIAS_BYTES && second.ends_with("x-2"), "{second}");
    }
}
