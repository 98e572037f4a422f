//! The house rules that a compiler does not check: imports run down the floors only, every file says first what it is, and
//! only the edge touches `std`.
//!
//! The scan reads text, not syntax: comments and strings are taken out, then paths that begin with `crate::`, `super::` or
//! `std::` are looked at, and groups in braces are followed one level. Test modules are not bound by the rule on `std`.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. Folders on one floor do not import each other, but for those in [`NEIGHBOURS`].
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["wire"],
    &["sip", "media", "config"],
    &["home", "bridge", "spool"],
    &["web", "server"],
    &["runtime", "main", "lib"],
];

/// (who, whom): imports within a floor that are allowed.
const NEIGHBOURS: &[(&str, &str)] =
    &[("media", "config"), ("home", "bridge"), ("server", "web"), ("main", "runtime"), ("runtime", "main")];

/// The folder whose files use `std`.
const EDGE: &[&str] = &["runtime", "main"];

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "only {} files found", files.len());
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        faults.extend(judge(&name, &text));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn arrows_that_run_up_are_found() {
    let up = "//! Doc.\nuse crate::base::time::Instant;\nuse crate::home::people::People;\n";
    assert_eq!(judge("sip/stack.rs", up), ["sip/stack.rs:3: sip imports home, which is not below it"]);
    let path = "//! Doc.\nfn f() {\n    crate::server::go();\n}\n";
    assert_eq!(judge("base/text.rs", path), ["base/text.rs:3: base imports server, which is not below it"]);
    let group = "//! Doc.\nuse crate::{\n    base::net,\n    runtime::{cli, udp},\n};\n";
    assert_eq!(judge("home/mod.rs", group), ["home/mod.rs:2: home imports runtime, which is not below it"]);
    let neighbour = "//! Doc.\nuse crate::sip::route;\n";
    assert_eq!(judge("config/uci.rs", neighbour), ["config/uci.rs:2: config imports sip, which is not below it"]);
    let model = "//! Doc.\nuse crate::config::model;\n";
    assert_eq!(judge("sip/route.rs", model), ["sip/route.rs:2: sip imports config, which is not below it"]);
    let new_folder = "//! Doc.\nuse crate::kitchen::Sink;\n";
    assert_eq!(judge("home/mod.rs", new_folder), ["home/mod.rs:2: kitchen is on no floor"]);
    let climbing = "//! Doc.\nuse super::super::server::Server;\n";
    assert_eq!(judge("base/text.rs", climbing), ["base/text.rs:2: base imports server, which is not below it"]);
}

#[test]
fn missing_doc_and_std_are_found() {
    assert_eq!(judge("wire/sip/via.rs", "use crate::base::text;\n"), ["wire/sip/via.rs:1: does not open with //!"]);
    let std_used = "//! Doc.\nuse std::vec::Vec;\n";
    assert_eq!(judge("wire/sip/via.rs", std_used), ["wire/sip/via.rs:2: std belongs to the edge"]);
    let inline = "//! Doc.\nfn f() { std::process::exit(1) }\n";
    assert_eq!(judge("home/mod.rs", inline), ["home/mod.rs:2: std belongs to the edge"]);
    let alloc = "//! Doc.\nuse alloc::vec::Vec;\n";
    assert_eq!(judge("home/mod.rs", alloc), ["home/mod.rs:2: alloc belongs to the edge"]);
}

#[test]
fn what_is_right_passes() {
    let fine = "//! Doc with crate::server::Server in it.\nuse crate::base::{net::Flow, time::Instant};\nuse crate::wire::sip;\n\
        /// Not crate::runtime::x.\nconst A: &str = \"crate::runtime::std::x\";\nuse core::net::IpAddr;\nmod tests;\n\
        fn f() { my_std::x(); let s = 'a'; }\n#[cfg(test)]\nmod tests {\n    use std::vec::Vec;\n    use crate::base::text;\n}\n";
    assert_eq!(judge("sip/route.rs", fine), Vec::<String>::new());
    assert_eq!(judge("runtime/udp.rs", "//! Doc.\nuse std::io;\nuse crate::server::Server;\n"), Vec::<String>::new());
    assert_eq!(judge("config/check/tests.rs", "//! Doc.\nuse std::io;\n"), Vec::<String>::new());
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

/// What is wrong with a file, by its path below `src`.
fn judge(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}:1: does not open with //!"));
    }
    let own = name.split('/').next().unwrap_or("").trim_end_matches(".rs");
    let depth = name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    let code = bare(text);
    let tests_at = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
    let is_test_file = name.ends_with("/tests.rs") || name.ends_with("/testing.rs") || name.contains("/tests/");
    for (at, whom) in imports(&code, depth) {
        let line = 1 + code[..at].matches('\n').count();
        if let Some(fault) = arrow(own, &whom) {
            faults.push(format!("{name}:{line}: {fault}"));
        }
    }
    for foreign in ["std", "alloc"] {
        for at in words(&code, &format!("{foreign}::")) {
            let is_bound = at < tests_at && !is_test_file && !EDGE.contains(&own);
            if is_bound {
                let line = 1 + code[..at].matches('\n').count();
                faults.push(format!("{name}:{line}: {foreign} belongs to the edge"));
            }
        }
    }
    faults
}

/// What is wrong with an import, if anything.
fn arrow(own: &str, whom: &str) -> Option<String> {
    let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    let Some(theirs) = floor(whom) else { return Some(format!("{whom} is on no floor")) };
    let Some(ours) = floor(own) else { return Some(format!("{own} is on no floor")) };
    let is_fine = own == whom || theirs < ours || NEIGHBOURS.contains(&(own, whom));
    (!is_fine).then(|| format!("{own} imports {whom}, which is not below it"))
}

/// The top-level modules that a file names, and where.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // From a file that deep so many `super` lead to the root of the crate.
    for root in ["crate::".to_string(), "super::".repeat(depth)] {
        for at in words(code, &root) {
            let rest = &code[at + root.len()..];
            if rest.starts_with("super::") {
                continue;
            }
            match rest.strip_prefix('{') {
                Some(group) => found.extend(heads(group).into_iter().map(|head| (at, head))),
                None => found.extend(Some((at, head(rest))).filter(|(_, head)| is_module(head))),
            }
        }
    }
    found
}

/// Where `word` begins in the code and is not the end of a longer one.
fn words(code: &str, word: &str) -> Vec<usize> {
    let is_start = |at: &usize| {
        let before = code[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '$'))
    };
    code.match_indices(word).map(|(at, _)| at).filter(is_start).collect()
}

/// The first names of a group's parts, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut is_first, mut found) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            c if c.is_whitespace() => {}
            _ if is_first => {
                is_first = false;
                found.push(head(&group[at..]));
            }
            _ => {}
        }
    }
    found.retain(|head| is_module(head));
    found
}

fn head(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether a name is a module's: types and macros at the root of the crate are not.
fn is_module(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_lowercase)
}

/// The text without comments and without what stands in quotes, its lines kept.
fn bare(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' if chars.next() == Some('\n') => code.push('\n'),
                        '\\' => {}
                        '"' => break,
                        '\n' => code.push('\n'),
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            c => code.push(c),
        }
    }
    code
}
