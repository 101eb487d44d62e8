//! The commands in `docs/mmap.md` print what stands below them, and the Chinese page has the same commands and figures.
//!
//! `RMAP_WRITE_DOCUMENTS=1 cargo test --test documents` writes what they print into both pages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{disk, has, program, run};

const PAGES: [&str; 2] = ["docs/mmap.md", "docs/mmap.zh.md"];

fn page_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The commands of a page, each with the output below it.
fn examples(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let examples = blocks.flat_map(|block| block.split("$ ").skip(1));
    let parts = examples.map(|example| example.split_once('\n').unwrap_or((example, "")));
    parts.map(|(command, output)| (command.to_owned(), output.trim_end().to_owned())).collect()
}

/// What a command prints, in a folder that has the Java program; pids are left out.
fn printed(command: &str, folder: &Path) -> String {
    let mut shell = Command::new("sh");
    let path = format!("{}:{}", program().parent().unwrap().display(), std::env::var("PATH").unwrap());
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env("LC_ALL", "C.UTF-8");
    let run = run(shell);
    // What was left out, and what the Java program itself prints, is not part of the example.
    let output = if command.starts_with("rmap trace") { run.err.clone() } else { run.text() };
    without_pids(&output)
}

fn without_pids(text: &str) -> String {
    let words = |line: &str| {
        let mut after_pid = false;
        let words = line.split(' ').map(|word| {
            let shown = if after_pid { "N" } else { word };
            after_pid = word == "pid";
            shown
        });
        words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    let lines = text.lines().filter(|line| !line.starts_with("rmap: trace: ")).map(words);
    lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

fn is_possible(command: &str) -> bool {
    !command.contains("java") || has("java", "openjdk-17-jdk-headless")
}

#[test]
fn the_commands_of_the_walk_through_print_what_it_says() {
    if common::page() != 4096 {
        return eprintln!("SKIPPED: the figures are those of pages of 4 KiB");
    }
    let folder = disk();
    fs::copy(page_of("docs/Mapped.java"), folder.path().join("Mapped.java")).unwrap();
    let writes = std::env::var_os("RMAP_WRITE_DOCUMENTS").is_some();
    for name in PAGES {
        let mut text = fs::read_to_string(page_of(name)).unwrap();
        for (command, wanted) in examples(&text).into_iter().filter(|(command, _)| is_possible(command)) {
            if writes {
                let old = if wanted.is_empty() { format!("$ {command}\n") } else { format!("$ {command}\n{wanted}\n") };
                let new = format!("$ {command}\n{}\n", printed(&command, folder.path()));
                text = text.replacen(&old, &new, 1);
                continue;
            }
            // The kernel may reclaim pages at any time; rmap then says that not everything held.
            let mut found = printed(&command, folder.path());
            for _ in 0..4 {
                if found != wanted {
                    found = printed(&command, folder.path());
                }
            }
            assert_eq!(found, wanted, "{name}: {command}");
        }
        if writes {
            fs::write(page_of(name), text).unwrap();
        }
    }
}

#[test]
fn both_languages_have_the_same_commands_and_figures() {
    let [english, chinese] = PAGES.map(|name| examples(&fs::read_to_string(page_of(name)).unwrap()));
    assert!(english.len() >= 10, "the commands were not found");
    assert_eq!(english, chinese);
    for (_, output) in english {
        assert!(!output.is_empty() && !output.contains("Not everything held"), "{output}");
    }
}
