//! `rmap` alone: the machine on one screen, and as plain lines in a pipe.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{ForEveryone, NOBODY, Run, capture, command, command_without_lists, mapping, rmap, run, shell};

/// The words of the first line after the one that begins with these titles.
fn first_row(text: &str, titles: &str) -> Vec<String> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = text.lines().skip_while(|line| !squeezed(line).starts_with(titles));
    assert!(lines.next().is_some(), "no {titles} in {text}");
    lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// A size as it is shown to people.
fn mebibytes(text: &str) -> f64 {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let unit = match &text[digits.len()..] {
        "K" => 1.0 / 1024.0,
        "M" => 1.0,
        "G" => 1024.0,
        "T" => 1024.0 * 1024.0,
        unit => panic!("{unit}"),
    };
    digits.parse::<f64>().unwrap() * unit
}

fn is_answered(answer: &Run) {
    assert!(matches!(answer.status, Some(0 | 1)), "{answer:?}");
}

#[test]
fn alone_it_shows_memory_processes_files_and_groups() {
    let answer = run(command::<&str>([]));
    is_answered(&answer);
    let text = answer.text();
    let memory = first_row(&text, "Memory Available Anonymous Page cache Shared Kernel");
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0;
    let shown = mebibytes(&memory[0]);
    assert!(shown <= total && total - shown <= total / 50.0, "{shown} is not {total} MiB");
    assert_eq!(first_row(&text, "PID User Pss Uss Rss").len(), 7, "{text}");
    let groups = first_row(&text, "Usage Limit Working set");
    assert!(groups.last().unwrap().starts_with('/'), "{text}");
    if std::path::Path::new("/sys/fs/cgroup/memory/release_agent").exists() {
        // The root is the machine, which the first lines are about.
        assert!(text.lines().all(|line| line.split_whitespace().last() != Some("/")), "{text}");
    }
    first_row(&text, "Cached Dirty");
    assert!(text.lines().last().unwrap().starts_with("more: rmap mem|ps|files|cgroups"), "{text}");
    // A person reads it at once: a few lines, none of them as long as a command line can be.
    assert!(text.lines().count() <= 32, "{text}");
    assert!(text.lines().all(|line| line.len() <= 400), "{text}");
}

#[test]
fn the_strip_has_as_many_cells_as_each_part_of_the_memory() {
    let text = run(command::<&str>([])).text();
    let cells = text.lines().find(|line| line.trim_start().starts_with(['#', '.'])).unwrap().trim();
    assert_eq!(cells.len(), 72, "{text}");
    let row = first_row(&text, "Memory Available");
    let (total, free) = (mebibytes(&row[0]), mebibytes(row.last().unwrap()));
    let expected = 72.0 * free / total;
    let shown = cells.matches('.').count() as f64;
    assert!((shown - expected).abs() <= 1.5, "{shown} cells, not {expected}: {text}");
}

/// The lines of the screen on a terminal of this size, without colours.
fn screen(columns: usize, rows: usize) -> Vec<String> {
    let script = format!("script -qec \"stty cols {columns} rows {rows}; '$1'\" /dev/null 2>&1");
    let answer = shell(&script, &[common::program().as_os_str()]);
    is_answered(&answer);
    let text = String::from_utf8_lossy(&answer.out).into_owned();
    let plain = |line: &str| -> String {
        let mut inside = false;
        line.chars()
            .filter(|letter| {
                let was = inside;
                inside = *letter == '\u{1b}' || inside && *letter != 'm';
                !(was || inside || *letter == '\r')
            })
            .collect()
    };
    text.lines().take_while(|line| !line.starts_with("rmap: ")).map(plain).collect()
}

#[test]
fn on_a_terminal_it_fits_80_columns_and_24_lines() {
    let screen = screen(80, 24);
    assert!(screen.len() <= 24, "{screen:#?}");
    assert!(screen.iter().all(|line| line.chars().count() <= 80), "{screen:#?}");
}

#[test]
fn on_a_small_terminal_nothing_scrolls_away() {
    let lists_of = |screen: &[String]| {
        // There may be a line between the lists.
        let screen: Vec<&String> = screen.iter().filter(|line| !line.is_empty()).collect();
        let titles = ["PID", "Cached", "Usage"];
        let is_title = |line: &str| titles.iter().any(|title| line.trim_start().starts_with(title));
        let places: Vec<usize> = (0..screen.len()).filter(|place| is_title(screen[*place])).collect();
        assert_eq!(places.len(), 3, "{screen:#?}");
        let more = screen.iter().position(|line| line.starts_with("more: ")).unwrap();
        [places[1] - places[0], places[2] - places[1], more - places[2]]
    };
    // The prompt comes below it.
    for (columns, rows) in [(60, 24), (80, 24), (60, 20)] {
        let screen = screen(columns, rows);
        assert!(screen.len() < rows, "{columns}x{rows}: {screen:#?}");
        // Rows are taken from each list, and each keeps some.
        let lists = lists_of(&screen);
        assert!(lists.iter().all(|lines| *lines >= 2), "{lists:?}: {screen:#?}");
    }
}

#[test]
fn on_a_narrow_terminal_nothing_is_wrapped_by_it() {
    let screen = screen(60, 40);
    assert!(screen.iter().all(|line| line.chars().count() <= 60), "{screen:#?}");
    assert!(screen.join(" ").ends_with("rmap --help"), "{screen:#?}");
}

#[test]
fn other_options_than_those_of_the_screen_are_explained() {
    for (option, expected) in [
        ("--json", "`rmap mem`, `rmap ps`, `rmap files` and `rmap cgroups` have it"),
        ("--top", "`rmap mem`, `rmap ps`, `rmap files` and `rmap cgroups` have it"),
        ("--tree", "`rmap ps` has it"),
    ] {
        let line = format!("{option}: not for the overview, which shows several lists once; {expected}, as ");
        let run = rmap(["overview", option]);
        assert!(run.status == Some(2) && run.err.contains(&line), "{run:?}");
    }
    let help = rmap(["overview", "--help"]).good().text();
    assert!(help.contains("the same as rmap alone"), "{help}");
    let alone = run(command(["--budget", "1"]));
    is_answered(&alone);
    first_row(&alone.text(), "Memory Available");
    // A missing operand is still explained.
    assert_eq!(rmap(["--map"]).status, Some(2));
}

#[test]
fn an_ordinary_user_sees_what_may_be_seen() {
    let Some(mut command) = command_without_lists::<&str>([]) else { return };
    let answer = run({
        command.env("USER", NOBODY.to_string());
        command
    });
    assert_eq!(answer.status, Some(1), "{answer:?}");
    first_row(&answer.text(), "Memory Available");
    first_row(&answer.text(), "PID User Pss");
    assert!(answer.err.contains("root"), "{answer:?}");
    for line in answer.err.lines().filter(|line| line.contains("permission denied")) {
        assert!(line.contains("permission denied: cannot read "), "{line}");
    }
}

#[test]
fn messages_on_a_terminal_do_not_push_the_screen_off_it() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let program = everyone.program();
    let typed = format!("stty cols 80 rows 24; exec {}", program.display());
    let script = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups script -qec '{typed}' /dev/null");
    let text = shell(&script, &[]).text();
    assert!(text.lines().count() < 24, "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let note =
        "rmap: not everything could be read: `rmap ps` and `rmap files` say what is missing (root may read more)";
    assert!(words.ends_with(note), "{text}");
    // Root of the machine has nobody to ask.
    if std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
        let typed = format!("stty cols 80 rows 10; exec {}", program.display());
        let text = shell(&format!("script -qec '{typed}' /dev/null"), &[]).text();
        assert!(!text.contains("may read more"), "{text}");
    }
}

#[test]
fn what_cannot_be_read_leaves_the_rest_of_the_screen() {
    let smaps = mapping(0x1000, 4, "rw-p", b"[heap]", 16);
    let captured = capture(&[(7, b"worker\0", &smaps)]);
    let answer = run(command([std::ffi::OsStr::new("--proc-root"), captured.path().as_os_str()]));
    assert_eq!(answer.status, Some(1), "{answer:?}");
    assert!(answer.err.contains("meminfo"), "{answer:?}");
    let text = answer.text();
    assert!(text.contains("PID"), "{text}");
    // Nothing is shown instead of what is not known, not even titles.
    for line in ["memory: not known", "cached files: not known", "control groups: not known"] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
}

#[test]
fn a_value_that_no_option_takes_is_named_and_not_the_option() {
    for (words, why) in [
        (&["--budget", "0"][..], "rmap: invalid value '0' for '--budget <SECS>'"),
        (&["--budget=x"], "rmap: invalid value 'x' for '--budget <SECS>'"),
        (&["--budget"], "rmap: a value is required for '--budget <SECS>'"),
    ] {
        let run = rmap(words);
        assert_eq!((run.status, run.complaints().len()), (Some(2), 1), "{run:?}");
        assert!(run.err.starts_with(why), "{run:?}");
    }
}

#[test]
fn colour_is_a_choice_here_too() {
    for words in [&["--color", "always"][..], &["overview", "--color", "always"]] {
        assert!(rmap([words, &["--budget", "0.1"]].concat()).text().contains("\u{1b}["), "{words:?}");
    }
    let never = rmap(["--color", "never", "--budget", "0.1"]);
    assert!(never.status != Some(2) && !never.text().contains('\u{1b}'), "{never:?}");
}
