//! `rmap pcstat --map`: what a user sees for files with known cached pages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/known.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod known;

use crate::known::page_size;
use common::{has, rmap, run};
use known::{disk, known_file, memory, runs};

#[test]
fn in_a_small_file_each_cell_is_a_page() {
    let known = known_file(&memory(), 10 * page_size().bytes(), runs(&[(0, 1), (4, 3), (9, 1)]));
    let path = known.file.path().to_str().unwrap();
    let (status, out, _) = rmap(["pcstat", "--map", path]).parts();
    let lines: Vec<&str> = out.lines().collect();
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!((status, lines.len()), (0, 5), "{out}");
    assert_eq!(words(0)[..6], ["Pages", "Cached", "Percent", "Dirty", "Writeback", "Per"]);
    assert_eq!(words(1), ["10", "5", "50.000", "0", "0", "1", path]);
    assert_eq!(lines[2], "  #...###..#");
    assert_eq!(lines[3], "  0", "the offset of the first cell");
    assert!(lines[4].starts_with(". none, 1-9 tenths, # all; D dirty"), "{out}");
}

#[test]
fn in_a_pipe_a_strip_has_80_cells_and_shows_tenths() {
    let known = known_file(&memory(), 800 * page_size().bytes(), runs(&[(0, 10), (10, 1), (20, 9), (795, 5)]));
    let (_, out, _) = rmap(["pcstat", "--map", "-n", "-o", "page_map", known.file.path().to_str().unwrap()]).parts();
    assert_eq!(out, format!("#19{}5\n", ".".repeat(76)));
}

#[test]
fn offsets_below_a_strip_say_where_its_cells_begin() {
    let known = known_file(&memory(), 800 * 4096, runs(&[(0, 10)]));
    let (_, out, _) = rmap(["pcstat", "--map", "-o", "page_map", known.file.path().to_str().unwrap()]).parts();
    assert_eq!(out.lines().nth(1).unwrap(), "0                   800K                1.5M                2.3M");
}

#[test]
fn a_strip_of_a_range_covers_only_that_range() {
    let page = page_size().bytes();
    let known = known_file(&memory(), 100 * page, runs(&[(0, 50), (52, 1)]));
    let range = format!("--range={},{}", 49 * page, 4 * page);
    let (_, out, _) =
        rmap(["pcstat", "--map", "-n", "-o", "page_map", &range, known.file.path().to_str().unwrap()]).parts();
    assert_eq!(out, "#..#\n");
}

#[test]
fn without_colour_dirty_parts_have_a_letter_below() {
    if !rmap::pagecache::Engine::detect().has_cachestat() {
        eprintln!("SKIPPED: cachestat is not available here, and nothing else reports dirty pages");
        return;
    }
    let folder = disk();
    let known = known_file(folder.path(), 10 * page_size().bytes(), runs(&[(2, 2), (7, 1)]));
    let (_, out, _) = rmap(["pcstat", "--map", "-n", "-o", "page_map", known.file.path().to_str().unwrap()]).parts();
    // They were just written. If the kernel already writes them back, they are marked W.
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "..##...#..");
    assert_eq!(lines[1].replace(['W', 'B'], "D"), "  DD   D");
}

#[test]
fn a_terminal_shows_coloured_shades_unless_no_color_is_set() {
    let folder = disk();
    let known = known_file(folder.path(), 4 * page_size().bytes(), runs(&[(1, 2)]));
    let line = format!("{} pcstat --map -n -o page_map {}", env!("CARGO_BIN_EXE_rmap"), known.file.path().display());
    let on_a_terminal = |no_color: &str| {
        let mut script = std::process::Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", no_color);
        run(script).text()
    };
    if !has("script", "bsdutils") {
        return;
    }
    let (plain, colour) = (on_a_terminal("1"), on_a_terminal(""));
    assert!(plain.contains("·██·") && !plain.contains('\x1b'), "{plain:?}");
    if rmap::pagecache::Engine::detect().has_cachestat() {
        assert!(colour.contains("·\x1b[33m██\x1b[0m·") || colour.contains("·\x1b[36m██"), "{colour:?}");
        assert!(
            plain.lines().nth(1).is_some_and(|line| line.starts_with(" DD") || line.starts_with(" WW")),
            "{plain:?}"
        );
    }
}

#[test]
fn an_empty_file_has_an_empty_strip_and_a_missing_file_is_an_error() {
    let known = known_file(&memory(), 0, runs(&[]));
    let name = known.file.path().to_str().unwrap();
    let (status, out, err) = rmap(["pcstat", "--map", name, "/no/such/file"]).parts();
    let row: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["0", "0", "-", "0", "0", "0", name]);
    assert_eq!(out.lines().nth(2), Some("  "));
    assert_eq!((status, err.as_str()), (1, "rmap: /no/such/file: no such file\n"));
}

#[test]
fn the_help_has_the_legend() {
    let (_, out, _) = rmap(["pcstat", "--help"]).parts();
    assert!(out.contains("░▒▓") && out.contains("yellow") && out.contains("D, W or B"), "{out}");
}

#[test]
fn in_machine_formats_a_strip_is_a_string() {
    let known = known_file(&memory(), 10 * page_size().bytes(), runs(&[(0, 1), (4, 3), (9, 1)]));
    let path = known.file.path().to_str().unwrap();
    let row = rmap(["pcstat", "--map", "--json", path]).rows().remove(0);
    assert_eq!((&row["page_map"], &row["cached"]), (&"#...###..#".into(), &5.into()));
    let row = rmap(["pcstat", "--json", "-o", "page_map,cell_pages", path]).rows().remove(0);
    assert_eq!((&row["page_map"], &row["cell_pages"]), (&"#...###..#".into(), &1.into()));
}
