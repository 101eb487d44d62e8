//! The rules of this repository as tests: dependencies between modules, where `unsafe` is allowed, what must be
//! documented.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/imports.rs"]
mod imports;

/// The modules that each module may use. `a <- b` means "b may use a", and not the reverse.
///
/// units <- kernel <- process, pagecache, machine <- join <- control, laboratory <- views <- query <- cli
/// join <- capture <- cli
/// units <- table <- views; table <- render <- query
const ARROWS: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("error", &["units"]),
    ("kernel", &["units", "error"]),
    ("process", &["units", "error", "kernel"]),
    ("pagecache", &["units", "error", "kernel"]),
    // A capture of a machine is read below a `ProcRoot`, which belongs to the process room.
    ("machine", &["units", "error", "kernel", "process"]),
    ("join", &["units", "error", "kernel", "process", "pagecache", "machine"]),
    ("capture", &["units", "error", "kernel", "process", "machine", "join"]),
    ("control", &["units", "error", "kernel", "process", "pagecache", "machine", "join"]),
    ("laboratory", &["units", "error", "kernel", "process", "pagecache", "machine", "join"]),
    ("table", &["units", "error"]),
    ("render", &["units", "error", "table"]),
    ("views", &["units", "error", "process", "pagecache", "machine", "join", "control", "laboratory", "table"]),
    ("query", &["units", "error", "table", "render", "views"]),
    (
        "cli",
        &[
            "units",
            "error",
            "kernel",
            "process",
            "pagecache",
            "machine",
            "join",
            "capture",
            "control",
            "laboratory",
            "table",
            "render",
            "query",
            "views",
        ],
    ),
];

#[test]
fn no_module_uses_one_above_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(room) = room_of(&path) else { continue };
        let allowed = ARROWS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{} is in no room of the house", path.display()));
        for used in rooms_used(&production_part(&text)) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point back:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_imports_another_in_a_circle() {
    let sources: Vec<_> = sources().into_iter().map(|(path, text)| (path, production_part(&text))).collect();
    let imports = imports::imports(&sources);
    let circles = imports::circles(&imports);
    let mut report = String::new();
    for circle in &circles {
        report.push_str("a circle:\n");
        for file in circle {
            let used: Vec<_> = imports[file].iter().filter(|used| circle.contains(used)).collect();
            report.push_str(&format!("  {} imports {used:?}\n", file.display()));
        }
    }
    assert!(circles.is_empty(), "{report}");
}

#[test]
fn no_line_is_longer_than_120_characters() {
    let mut files = Vec::new();
    for (directory, extension) in
        [("src", "rs"), ("tests", "rs"), ("benches", "rs"), ("benches", "sh"), ("examples", "rs"), ("docs", "md")]
    {
        collect(Path::new(directory), extension, &mut files);
    }
    let mut long = Vec::new();
    for (path, text) in files {
        let is_markdown = path.extension().is_some_and(|extension| extension == "md");
        for (number, line) in (1..).zip(text.lines()) {
            let is_exempt = is_markdown && (line.starts_with('|') || line.contains("://"));
            if line.chars().count() > 120 && !is_exempt {
                long.push(format!("{}:{number}: {} characters", path.display(), line.chars().count()));
            }
        }
    }
    assert!(long.is_empty(), "long lines:\n{}", long.join("\n"));
}

#[test]
fn every_room_has_its_arrows() {
    let mut rooms: Vec<String> = sources().iter().filter_map(|(path, _)| room_of(path)).collect();
    rooms.sort();
    rooms.dedup();
    let mut named: Vec<String> = ARROWS.iter().map(|(room, _)| (*room).to_owned()).collect();
    named.sort();
    assert_eq!(rooms, named, "the rooms of src, and those in ARROWS");
    for (room, allowed) in ARROWS {
        let above =
            allowed.iter().find(|used| !ARROWS.iter().take_while(|(known, _)| known != room).any(|r| r.0 == **used));
        assert_eq!(above, None, "{room} may use a room that comes after it in ARROWS");
    }
}

#[test]
fn no_public_signature_names_nix() {
    let mut wrong = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("src/kernel")) {
        let code = production_part(&text);
        let names = nix_names(&code);
        for item in public_items(&code) {
            let words: Vec<&str> = item.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            if words.iter().any(|word| *word == "nix" || names.iter().any(|name| name == word)) {
                wrong.push(format!("{}: {}", path.display(), item.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "public signatures with types of nix:\n{}", wrong.join("\n"));
}

/// The names that a file imports from nix.
fn nix_names(code: &str) -> Vec<String> {
    let uses = code.split("use nix::").skip(1).filter_map(|rest| rest.split(';').next());
    uses.flat_map(|tree| tree.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|word| word.starts_with(char::is_uppercase))
        .map(str::to_owned)
        .collect()
}

/// What users of the library can see: the heads of public items, public fields, enums and traits as a whole, and
/// implementations of traits, such as `From<Errno>`.
fn public_items(code: &str) -> Vec<String> {
    const ITEMS: [&str; 10] = ["fn", "const", "unsafe", "struct", "type", "use", "mod", "static", "enum", "trait"];
    let mut items = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find("pub ") {
        rest = &rest[start..];
        let end = match rest.split_whitespace().nth(1) {
            Some("enum" | "trait") => rest.find("\n}"),
            Some(keyword) if ITEMS.contains(&keyword) => rest.find(['{', ';', '=']),
            _ => rest.find('\n'),
        };
        let (item, after) = rest.split_at(end.unwrap_or(rest.len()));
        items.push(item.to_owned());
        rest = after;
    }
    let implementations = code.lines().filter(|line| line.starts_with("impl") && line.contains(" for "));
    items.extend(implementations.map(str::to_owned));
    items
}

#[test]
fn public_items_are_found() {
    let code = "pub struct A {\n    pub b: Errno,\n    c: Dir,\n}\npub fn d(\n    e: Mode,\n) -> u8 {\n    Stat\n}\n\
                pub(crate) fn f(g: OFlag) {}\npub enum H {\n    I(Uid),\n}\nimpl From<Pid> for H {";
    let items = public_items(code).join("\n");
    let found = ["Errno", "Dir", "Mode", "Stat", "OFlag", "Uid", "Pid"].map(|name| items.contains(name));
    assert_eq!(found, [true, false, true, false, false, true, true]);
    assert_eq!(nix_names("use nix::sys::{stat::{Mode, fstat}, uio};"), ["Mode"]);
}

#[test]
fn only_the_command_line_pulls_in_its_packages() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let packages =
        ["anstream", "anstyle", "clap", "comfy-table", "globset", "indicatif", "signal-hook", "terminal_size", "toml"];
    for package in packages {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{package} = "))).unwrap();
        assert!(line.contains("optional = true"), "{line}");
    }
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("src/cli")) {
        let used = packages.iter().find(|package| {
            let name = package.replace('-', "_");
            production_part(&text).contains(&format!("{name}::"))
        });
        // The table for people is behind the feature `cli`.
        let is_drawn =
            ["text.rs", "drawing.rs", "paint.rs"].iter().any(|name| path == Path::new("src/render").join(name));
        assert!(is_drawn || used.is_none(), "{} uses {}", path.display(), used.unwrap_or(&""));
    }
}

#[test]
fn unsafe_is_in_the_kernel_room_alone() {
    for (path, text) in sources() {
        let in_kernel = path.starts_with("src/kernel");
        let found = text.lines().find(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
        });
        assert!(in_kernel || found.is_none(), "{}: {}", path.display(), found.unwrap_or_default());
    }
}

#[test]
fn production_code_does_not_panic_on_purpose() {
    for (path, text) in sources() {
        let production = production_part(&text);
        for word in [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("] {
            assert!(!production.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn every_module_has_a_description() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} has no module description", path.display());
    }
}

#[test]
fn main_only_parses_and_runs() {
    let lines = fs::read_to_string("src/main.rs").unwrap().lines().count();
    assert!(lines < 70, "src/main.rs has {lines} lines");
}

#[test]
fn the_changelog_has_this_version() {
    let changelog = fs::read_to_string("CHANGELOG.md").unwrap();
    assert!(changelog.contains(concat!("## ", env!("CARGO_PKG_VERSION"))), "CHANGELOG.md lacks this version");
}

#[test]
fn the_stated_rust_version_satisfies_every_dependency() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let version = |text: &str| -> Vec<u64> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    for package in metadata["packages"].as_array().unwrap() {
        if let Some(theirs) = package["rust_version"].as_str() {
            assert!(version(theirs) <= ours, "{} needs Rust {theirs}", package["name"]);
        }
    }
}

#[test]
fn the_json_document_lists_every_key() {
    let document = fs::read_to_string("docs/json.md").unwrap();
    let keys = rmap::cli::column_ids();
    for key in keys {
        assert!(document.contains(&format!("`{key}`")), "docs/json.md does not name `{key}`");
    }
}

/// `docs/correctness.md` names tests as evidence, in backticks and at least four words long.
#[test]
fn every_test_that_a_document_names_exists() {
    let document = fs::read_to_string("docs/correctness.md").unwrap();
    let is_name = |word: &&str| {
        let letters = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        letters && word.matches('_').count() > 2
    };
    let names: Vec<&str> = document.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(names.len() > 10, "{names:?}");
    let mut files = sources();
    collect(Path::new("tests"), "rs", &mut files);
    for name in names {
        assert!(files.iter().any(|(_, text)| text.contains(&format!("fn {name}("))), "there is no test {name}");
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(Path::new("src"), "rs", &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn collect(directory: &Path, extension: &str, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// The room of a file: `src/process/smaps.rs` is in `process`. `lib.rs` and `main.rs` are the door.
fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next()?.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    (first != "lib" && first != "main").then_some(first)
}

/// What stands before the tests of a module.
fn production_part(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn rooms_used(code: &str) -> Vec<String> {
    let mut used = BTreeMap::new();
    for part in code.split("crate::").skip(1) {
        let names: String = part.chars().take_while(|c| c.is_alphanumeric() || "_{,: }\n".contains(*c)).collect();
        let first_names: Vec<&str> = match names.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![&names],
        };
        for name in first_names {
            let room = name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let is_room = ARROWS.iter().any(|(known, _)| *known == room);
            // `crate::Result` and `crate::Error` are the error room's.
            let room = if room == "Result" || room == "Error" { "error" } else { room };
            if is_room || room == "error" {
                used.insert(room.to_owned(), ());
            }
        }
    }
    used.into_keys().collect()
}
