//! Wrong usage, the configuration file, the exit status, and the words of messages: what rmap says must be true for
//! the one who reads it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{ForEveryone, Run, Running, Subject, capture, command, disk, mapping, memory, page, program, rmap, run};
use nix::sys::signal::Signal;

/// A capture with one process, 7.
fn captured() -> tempfile::TempDir {
    capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "rw-p", b"", 8))])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A run that is refused as wrong usage, with one line and no output; returns the line.
#[track_caller]
fn refusal(run: &Run) -> &str {
    assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{run:?}");
    run.err.trim_end()
}

#[test]
fn a_machine_format_never_reads_the_configuration_file() {
    let (root, folder) = (captured(), memory());
    let file = folder.path().join("config.toml");
    fs::write(&file, "[pid]\ncolums = [\"rss\"]\n").unwrap();
    let of_process = ["pid", "7", "--proc-root", text(root.path())];
    let of_file = ["pcstat", text(&file)];
    for missing in [text(&file), "/no/such/file"] {
        let with = |view: &[&str], format: &str| rmap([view, &[format, "--config", missing]].concat());
        for format in ["--json", "--jsonl", "--csv", "--format=json"] {
            let plain = rmap([&of_process[..], &[format]].concat()).good();
            assert_eq!(with(&of_process, format).good().text(), plain.text());
            with(&of_file, format).good();
        }
        with(&of_file, "--terse").good();
        assert!(refusal(&with(&of_process, "--total")).contains(missing));
        assert!(refusal(&with(&of_file, "--histo")).contains(missing));
    }
}

#[test]
fn a_column_that_a_table_cannot_show_is_an_error_in_the_configuration_file() {
    let folder = memory();
    let file = folder.path().join("config.toml");
    for (view, column) in [("pid", "path_bytes"), ("pcstat", "status"), ("pcstat", "path_bytes")] {
        fs::write(&file, format!("[{view}]\ncolumns = [\"{column}\"]\n")).unwrap();
        let named = if view == "pid" { "self" } else { text(&file) };
        let run = rmap([view, named, "--config", text(&file)]);
        let wanted = format!(":2: a table cannot show the column '{column}', only --json and --jsonl can;");
        assert!(refusal(&run).contains(&wanted), "{run:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_on_both_sides_of_the_subcommand() {
    let (root, folder) = (captured(), memory());
    let file = folder.path().join("config.toml");
    fs::write(&file, "[pid]\ncolumns = [\"rss\"]\n").unwrap();
    let (file, pid) = (text(&file), ["pid", "7", "--proc-root", text(root.path())]);
    for (before, after) in [
        (&["--no-config"][..], &["--config", file][..]),
        (&["--config", file], &["--no-config"]),
        (&[], &["--no-config", "--config", file]),
        (&["--no-config", "--config", file], &["--json"]),
    ] {
        let run = rmap([before, &pid, after].concat());
        assert_eq!(refusal(&run), "rmap: --config: --no-config says that no file is read");
    }
    assert_eq!(rmap([&["--config", file][..], &pid, &["-n", "--no-total"]].concat()).good().text(), "8\n");
}

#[test]
fn a_range_of_no_bytes_is_wrong_usage() {
    let folder = memory();
    let path = folder.path().join("f");
    fs::write(&path, "x").unwrap();
    for view in [&["pcstat"][..], &["pcstat", "--runs"], &["warm"], &["evict"], &["lock"]] {
        for range in ["0,0", "5M,0"] {
            let run = rmap([view, &["--range", range, text(&path)]].concat());
            let why = "a length of 0 selects nothing; leave it out to go on to the end of the file";
            assert!(refusal(&run).contains(why), "{view:?}: {run:?}");
        }
    }
}

#[test]
fn a_value_that_a_column_can_never_have_is_an_error() {
    let file = memory();
    let path = file.path().join("f");
    fs::write(&path, "x").unwrap();
    for (view, filter, words) in [
        (&["pid", "self"][..], "kind == heep", "'kind' is never 'heep'; did you mean 'heap'?"),
        (&["pid", "self"], "kind != Heap", "'kind' is never 'Heap'; did you mean 'heap'?"),
        (&["pid", "self"], "rss > 0 && kind =~ '^heep'", "'kind' is never '^heep'; did you mean 'heap'?"),
        (&["pid", "self"], "perm == rw", "'perm' can only be ---p,"),
        (&["pid", "self", "--by", "kind"], "mode == rw", "'mode' can only be -----,"),
        (&["pid", "self", "--summary"], "part == xyz", "'part' can only be resident,"),
        (&["pid", "self"], "cache_method == cachstat", "'cache_method' is never 'cachstat'; did you mean"),
        (&["pcstat", text(&path)], "method == vmtouch", "'method' can only be cachestat, mincore"),
        (&["pcstat", text(&path)], "held == closed", "'held' can only be mapped, open, both"),
        (&["pcstat", "--runs", text(&path)], "state == empty", "'state' can only be cached, data, hole,"),
        (&["evict", text(&path)], "method == x", "'method' can only be cachestat, mincore"),
        (&["demo", "--size", "4K"], "method == x", "'method' can only be cachestat, mincore"),
    ] {
        let run = rmap([view, &["--filter", filter]].concat());
        assert!(refusal(&run).starts_with(&format!("rmap: --filter: {words}")), "{}", run.err);
    }
    // Nothing is begun before that is known.
    assert_eq!(rmap(["demo", "--size", "4K", "-o", "nope"]).parts().1, "");
    assert_eq!(fs::read_dir(file.path()).unwrap().count(), 1);
    let kinds =
        rmap(["pid", "self", "--filter", "kind =~ '^(heap|stack)$' || perm == rwxs", "-o", "kind", "-n"]).good();
    assert!(kinds.text().contains("stack"), "{}", kinds.text());
}

/// Every text that a column with a limited list shows on this machine is in its list.
#[test]
fn the_lists_of_values_are_complete() {
    let subject = Subject::start(["anonymous:4:2", "guarded:4", "guard:3"]);
    let word = subject.word();
    let seen = |arguments: &[&str], rows: fn(&serde_json::Value) -> Vec<serde_json::Value>, columns: &[&str]| {
        for row in rows(&rmap([arguments, &["--json"]].concat()).json()) {
            for column in columns {
                let Some(value) = row[column].as_str() else { continue };
                let filter = format!("{column} == '{value}'");
                let run = rmap([arguments, &["--filter", &filter, "--jsonl"]].concat());
                assert!(run.status < Some(2) && !run.out.is_empty(), "{filter}: {run:?}");
            }
        }
    };
    let mappings = |out: &serde_json::Value| out[0]["mappings"].as_array().unwrap().clone();
    let flat = |out: &serde_json::Value| out.as_array().unwrap().clone();
    let columns = ["kind", "perm", "mode", "cache_method", "cache_file"];
    seen(&["pid", &word, "--cache", "-o", &columns.join(",")], mappings, &columns);
    seen(&["pcstat", "--pid", &word], flat, &["method", "held"]);
    let folder = disk();
    let sparse = folder.path().join("sparse");
    fs::write(&sparse, vec![1; page() as usize]).unwrap();
    fs::File::options().write(true).open(&sparse).unwrap().set_len(8 * page()).unwrap();
    seen(&["pcstat", "--runs", text(&sparse)], flat, &["state"]);
}

#[test]
fn the_header_of_a_format_without_one_can_be_left_out_in_every_view() {
    let (root, folder) = (captured(), memory());
    let file = folder.path().join("f");
    fs::write(&file, "x").unwrap();
    let of_process = ["pid", "7", "--proc-root", text(root.path())];
    for format in ["--json", "--jsonl"] {
        for (view, options) in [
            (&of_process[..], &["-n"][..]),
            (&of_process, &["-q"]),
            (&["pid", "7", "--summary", "--proc-root", text(root.path())], &["-q"]),
            (&["pcstat", "-o", "cached", text(&file)], &["-n"]),
            (&["pcstat", "-o", "cached", text(&file)], &["-nohdr"]),
            (&["evict", "-o", "filename", text(&file)], &["--no-header"]),
        ] {
            let (with, without) = (rmap([view, options, &[format]].concat()), rmap([view, &[format]].concat()));
            assert_eq!((with.status, with.text()), (without.status, without.text()), "{options:?}");
        }
    }
    let csv = rmap([&of_process[..], &["-q", "--csv", "-o", "rss"]].concat()).good();
    assert_eq!(csv.text(), "8192\r\n");
}

#[test]
fn a_hint_uses_the_names_that_were_typed() {
    let error = |view: &str, list: &str| refusal(&rmap([view, "self", "-o", list])).to_owned();
    for view in ["pid", "pcstat", "evict"] {
        assert!(error(view, "size,+dirty").contains("put one + before the whole list: +size,dirty;"));
        assert!(error(view, "+size,,rss").contains("empty column name: write one comma between two names;"));
    }
}

#[test]
fn one_thing_is_counted_in_the_singular() {
    let folder = disk();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("one"), "x").unwrap();
    let demo = rmap(["demo", "--size", "1", "--file", text(&at("demo"))]).text();
    assert!(demo.contains(" (1 byte), shared"), "{demo}");
    let page = page().to_string();
    let demo = rmap(["demo", "--size", &page, "--file", text(&at("demo"))]).text();
    assert!(demo.contains("the same 1 page.") || demo.contains("The views differ"), "{demo}");
}

#[test]
fn the_status_after_a_signal_is_documented() {
    let readme = include_str!("../README.md");
    let said = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("130 after Ctrl-C and 143 after SIGTERM"), "README.md");
    let help = rmap(["--help"]).good().text();
    assert!(help.contains("130") && help.contains("143"), "{help}");
    let folder = disk();
    let file = folder.path().join("f");
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut demo = Running::start(command(["demo", "--size", "512M", "--jsonl", "--file", text(&file)]));
        demo.row();
        assert_eq!(demo.end(signal).0, Some(status));
        // A repeated query ends regularly.
        let mut watch = Running::start(command(["pcstat", "-w", "0.05", "--jsonl", text(program())]));
        watch.row();
        assert_eq!(watch.end(signal).0, Some(0));
    }
}

/// Root in a user namespace is not root of the machine: the advice to become root says where.
#[test]
fn root_in_a_user_namespace_is_not_told_to_run_as_root() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let private = folder.path().join("private");
    fs::write(&private, "x").unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    mode(&private, 0o600);
    let inside = |arguments: &[&str]| {
        let program = everyone.program();
        everyone.run(Path::new("/usr/bin/unshare"), [&["-r", text(&program)], arguments].concat())
    };
    let probe = inside(&["--version"]);
    if probe.status != Some(0) {
        return eprintln!("SKIPPED: no user namespace can be made here: {}", probe.err);
    }
    let denied = inside(&["pcstat", text(&private)]);
    let wanted = "permission denied; run as root outside of this user namespace, or as the user who owns it\n";
    assert!(denied.status == Some(1) && denied.err.ends_with(wanted), "{denied:?}");
    let holder = Subject::start(["anonymous:2:1"]);
    for arguments in [&["pid", &holder.word()][..], &["pcstat", "--pid", &holder.word()]] {
        let denied = inside(arguments);
        assert!(denied.status == Some(1) && !denied.err.contains("run as root,"), "{denied:?}");
    }
    let outside = everyone.rmap(["pcstat", text(&private)]);
    assert!(outside.err.ends_with("; run as root, or as the user who owns it\n"), "{outside:?}");
}

/// A file of `memfd_secret` cannot be opened a second time by anybody. Nobody has released it.
#[test]
fn a_mapped_secret_is_not_called_released() {
    if !fs::read("/sys/module/secretmem/parameters/enable").is_ok_and(|enabled| enabled.starts_with(b"Y")) {
        return eprintln!("SKIPPED: this kernel has no memfd_secret");
    }
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: only root reaches a mapped file without a name");
    }
    let subject = Subject::start(["secret:4"]);
    let run = rmap(["pcstat", "--pid", &subject.word()]);
    let wanted = "rmap: /secretmem (deleted): it cannot be opened again, so nothing is known about its cached pages";
    assert_eq!((run.status, run.complaints()), (Some(1), vec![wanted]));
}

#[test]
fn fewer_threads_are_not_advised_to_one() {
    let folder = disk();
    (0..40).for_each(|number| fs::create_dir(folder.path().join(number.to_string())).unwrap());
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 6; exec \"$0\" \"$@\""]).arg(program());
    limited.args(["pcstat", "-R", "-j", "1", "--summary", text(folder.path())]);
    let run = run(limited);
    assert!(!run.err.contains("-j 1"), "{run:?}");
}

#[test]
fn the_line_about_no_rows_names_what_was_typed() {
    // No other command line begins like this.
    let folder = memory();
    let path = folder.path().join("held");
    let _subject = Subject::start([format!("shared:{}:1:1", path.display())]);
    let run = rmap(["ps", "--match", &format!("^[^ ]+ shared:{}", path.display()), "--filter", "rss > 1P"]);
    assert_eq!((run.status, run.complaints()), (Some(0), vec!["rmap: --match, --filter: no row matches"]));
    let capture = capture(&[(7, b"a", b"")]);
    let run = rmap(["files", "sub/folder", "--proc-root", capture.path().to_str().unwrap()]);
    let line = "rmap: sub/folder: name a directory of a capture from / on";
    assert_eq!((run.status, run.complaints()), (Some(2), vec![line]));
}

#[test]
fn an_option_that_a_subcommand_always_refuses_is_not_in_its_help() {
    let (watch, total) = (["-w", "1"], ["--total"]);
    for (command, option, name) in [
        (&["lock", "Cargo.toml"][..], &watch[..], "--watch"),
        (&["demo", "--size", "4K"], &watch, "--watch"),
        (&["demo", "--size", "4K"], &total, "--total"),
    ] {
        refusal(&rmap([command, option].concat()));
        let help = rmap([command[0], "--help"]).good().text();
        assert!(!help.contains(name) && !help.contains("-w "), "{command:?} {option:?}: {help}");
    }
    let help = rmap(["trace", "--help"]).good().text();
    assert!(refusal(&rmap(["trace", "--total", "true"])).contains("do not add up") && !help.contains("--total"));
    assert!(rmap(["warm", "--help"]).good().text().contains("--watch"));
}
