//! Processes on a terminal, which must have room for their figures.

use std::path::Path;
use std::process::Command;

use crate::captured::{Captured, PROCESS, capture};
use crate::common::{has, program, run};

/// Two processes with wide figures, and two that cannot be read, so that the sums are lower bounds.
fn machine() -> tempfile::TempDir {
    let (one, other) = ("/system.slice/a-service-with-a-long-name.service", "/user.slice/user-1000.slice");
    let wide = Some([1_047_449; 3]);
    capture(&[
        Captured { pid: 4_123_456, pss: wide, group: one, ..PROCESS },
        Captured { pid: 4_123_457, pss: wide, group: other, ..PROCESS },
        Captured { pid: 4_123_458, pss: None, group: one, ..PROCESS },
        Captured { pid: 4_123_459, pss: None, group: other, ..PROCESS },
    ])
}

/// What `rmap ps OPTIONS` shows on a terminal, without what moves the cursor.
fn shown(columns: u16, machine: &Path, options: &str) -> String {
    let rmap = program().display().to_string();
    let line = format!("stty cols {columns} rows 30; timeout 1 {rmap} ps --proc-root . {options} 2> /dev/null");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(machine);
    script.env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    let text = run(script).text().replace('\r', "");
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    // After an escape sequence the next text may begin anywhere.
    let end = |part: &str| part.find(|letter: char| letter.is_ascii_alphabetic()).map_or(part.len(), |end| end + 1);
    parts.fold(first, |plain, part| plain + "\n" + &part[end(part)..])
}

#[track_caller]
fn assert_fits(columns: u16, options: &str, text: &str) {
    let too_wide = text.lines().find(|line| line.chars().count() > columns.into());
    assert_eq!(too_wide, None, "rmap ps {options}, {columns} columns:\n{text}");
}

#[test]
fn processes_and_their_groups_fit_a_terminal_however_wide_their_sums_are() {
    if !has("script", "bsdutils") {
        return;
    }
    let machine = machine();
    for columns in [60, 80, 100, 120] {
        for options in ["", "--by cgroup", "--by user", "--by command", "--tree"] {
            let options = format!("--color never {options}");
            let text = shown(columns, machine.path(), &options);
            assert_fits(columns, &options, &text);
            let header = text.lines().next().unwrap_or_default();
            assert!(header.contains("Pss") && header.contains("Rss"), "{options}, {columns} columns:\n{text}");
        }
    }
}

#[test]
fn a_repeated_table_of_processes_keeps_the_change_of_pss() {
    if !has("script", "bsdutils") {
        return;
    }
    let machine = machine();
    for columns in [60, 80, 100, 120] {
        let options = "--color never -w 0.2";
        let text = shown(columns, machine.path(), options);
        assert_fits(columns, options, &text);
        let header = text.lines().find(|line| line.contains("PID")).unwrap_or_default();
        let titles: Vec<&str> = header.split_whitespace().collect();
        let is_kept = titles.windows(2).any(|pair| pair == ["Pss", "+/-"]) && titles.contains(&"Command");
        assert!(is_kept, "{columns} columns:\n{text}");
    }
}
