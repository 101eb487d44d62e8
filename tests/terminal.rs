//! What a user sees on a terminal of 60, 80 and 120 columns.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/known.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod known;

use std::path::Path;
use std::process::Command;

use common::{ForEveryone, Subject, capture, has, has_cachestat, mapping, page, program, run};
use insta::assert_snapshot;
use known::{known_file, runs};

/// The output of `rmap` with these arguments, typed in `folder` on a terminal of so many columns.
fn on_a_terminal(columns: u16, folder: &Path, arguments: &str) -> String {
    on_a_terminal_with(columns, folder, arguments, "xterm", "C.UTF-8")
}

fn on_a_terminal_with(columns: u16, folder: &Path, arguments: &str, term: &str, locale: &str) -> String {
    let line = format!("stty cols {columns} rows 30; exec {} {arguments}", program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder);
    script.env("SHELL", "/bin/sh").env("TERM", term).env("LC_ALL", locale);
    // With `CI` and without the others, colours are as likely as they can be.
    script.env("CI", "true").env_remove("NO_COLOR").env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE");
    run(script).text().replace('\r', "")
}

/// Whether the pictures are those of this machine.
fn is_as_in_the_pictures() -> bool {
    if page() != 4096 {
        eprintln!("SKIPPED: the pictures are of a machine with pages of 4 KiB");
    }
    page() == 4096 && has_cachestat() && has("script", "bsdutils")
}

/// A folder with two files: `half.db` and one with a long name.
struct Files {
    folder: tempfile::TempDir,
    _known: Vec<known::Known>,
}

fn files() -> Files {
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let known = [("half.db", 8, (0, 4)), ("a-file-with-a-name-that-is-too-long-for-a-terminal.db", 1000, (0, 999))];
    let known = known.map(|(name, pages, cached)| {
        let known = known_file(folder.path(), pages * 4096, runs(&[cached]));
        std::fs::rename(known.file.path(), folder.path().join(name)).unwrap();
        known
    });
    Files { folder, _known: known.into() }
}

const BOTH: &str = "pcstat --color never half.db a-file-with-a-name-that-is-too-long-for-a-terminal.db";

#[test]
fn a_table_fits_its_terminal_and_the_least_important_columns_go_first() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    assert_snapshot!(on_a_terminal(60, files.folder.path(), BOTH), @r#"
    Name                          Size  Cached  Percent
    ────────────────────────────────────────────────────────────
    half.db                        32K     16K     50.0  ████
    a-file-wi…-for-a-terminal.db  3.9M    3.9M     99.9  ███████
    "#);
    assert_snapshot!(on_a_terminal(80, files.folder.path(), BOTH), @r#"
    Name                            Size  Cached  Percent           Dirty  Method
    ────────────────────────────────────────────────────────────────────────────────
    half.db                          32K     16K     50.0  ████         0  cachestat
    a-file-wi…ng-for-a-terminal.db  3.9M    3.9M     99.9  ███████      0  cachestat
    "#);
    assert_snapshot!(on_a_terminal(120, files.folder.path(), BOTH), @r#"
Name                                    Size  Cached  Percent           Dirty  Writeback  Reclaimed  Recently  Method
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
half.db                                  32K     16K     50.0  ████         0          0          0         0  cachestat
a-file-with-…oo-long-for-a-terminal.db  3.9M    3.9M     99.9  ███████      0          0          0         0  cachestat
"#);
}

#[test]
fn a_command_line_is_cut_to_the_terminal() {
    if !is_as_in_the_pictures() {
        return;
    }
    let typed = format!("pid self --filter 'rss > 0 && path != \"{}\"' --top 1", "x".repeat(200));
    let text = on_a_terminal(60, Path::new("/"), &typed);
    let heading = text.lines().next().unwrap();
    assert!(heading.chars().count() == 60 && heading.ends_with('…'), "{text}");
}

#[test]
fn names_are_whole_if_full_paths_are_asked_for() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    let name = format!("{}/a-{}", files.folder.path().display(), "x".repeat(120));
    let subject = Subject::start([format!("shared:{name}:1:1")]);
    subject.stop();
    let shown = |options: &str| on_a_terminal(60, Path::new("/"), &format!("pid {options} {}", subject.word()));
    for options in ["", "-x"] {
        assert!(!shown(options).contains(&name) && shown(&format!("{options} -p")).contains(&name), "{options}");
    }
}

#[test]
fn only_names_are_cut_and_columns_that_were_not_named_go_first() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    for columns in [60, 80, 100] {
        let text = on_a_terminal(columns, files.folder.path(), "pcstat -o +timestamp,mtime half.db --color never");
        let row = text.lines().find(|line| line.starts_with("half.db")).unwrap();
        let times = row.split_whitespace().filter(|word| word.len() == "2026-11-28".len() && word.starts_with("20"));
        assert_eq!(times.count(), 2, "{columns}: {text}");
        assert!(!row.contains('…'), "{columns}: {text}");
        // `cachestat` as a whole, or not at all.
        assert_eq!(row.contains("cachestat"), text.contains("Method"), "{columns}: {text}");
        let is_left_out = |title: &str| !text.contains(title);
        assert!(is_left_out("Reclaimed") && is_left_out("Writeback"), "{columns}: {text}");
    }
}

#[test]
fn columns_that_were_named_always_stay() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    let named = "pcstat half.db -o filename,size,pages,cached,dirty_pages,writeback_pages,evicted_pages,method";
    let header = on_a_terminal(60, files.folder.path(), named).lines().next().unwrap().to_owned();
    assert_eq!(
        header.split_whitespace().collect::<Vec<_>>(),
        ["Name", "Size", "Pages", "Cached", "Dirty", "Writeback", "Reclaimed", "Method"]
    );
}

#[test]
fn a_long_reason_is_wrapped_below_its_row_and_names_the_process() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let path = folder.path().join("mapped");
    let subject = Subject::start([format!("shared:{}:8:8", path.display())]);
    for columns in [60, 80, 120] {
        let text = on_a_terminal(columns, folder.path(), "evict --color never mapped");
        assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("8 pages (32K) mapped by pid {}", subject.pid())), "{text}");
    }
}

#[test]
fn colour_marks_what_a_reader_should_notice() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = known::disk();
    let known = known_file(folder.path(), 4 * 4096, runs(&[(0, 4)]));
    let typed = |color: &str| format!("pcstat {color} {}", known.file.path().display());
    // The pages were just written: they are dirty, or already under writeback.
    let text = on_a_terminal(120, folder.path(), &typed(""));
    assert!(text.contains("\u{1b}[33m16K\u{1b}[0m") || text.contains("\u{1b}[36m16K\u{1b}[0m"), "{text:?}");
    assert!(text.contains("\u{1b}[32m████████\u{1b}[0m"), "{text:?}");
    assert!(!on_a_terminal(120, folder.path(), &typed("--color never")).contains('\u{1b}'));
    assert!(!on_a_terminal_with(120, folder.path(), &typed(""), "dumb", "C.UTF-8").contains('\u{1b}'));
    let piped = common::rmap(["pcstat", "--color", "always", known.file.path().to_str().unwrap()]).text();
    assert!(piped.contains('\u{1b}'), "{piped:?}");
    let columns = |text: &str| text.lines().map(|line| line.split_whitespace().count()).collect::<Vec<_>>();
    let plain = common::rmap(["pcstat", known.file.path().to_str().unwrap()]).text();
    assert_eq!(columns(&piped), columns(&plain));
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    for arguments in [BOTH, "pcstat --map half.db", "pcstat --histo half.db", "pid self --summary", "pid self --map"] {
        let text = on_a_terminal_with(60, files.folder.path(), arguments, "xterm", "C");
        assert!(text.is_ascii(), "{arguments}: {text}");
    }
}

#[test]
fn times_are_local_and_in_whole_seconds() {
    if !is_as_in_the_pictures() {
        return;
    }
    let files = files();
    let known = files.folder.path().join("half.db");
    let touched = Command::new("touch").args(["-d", "2024-07-01T12:00:00.5Z"]).arg(&known).status().unwrap();
    assert!(touched.success());
    let typed = "pcstat half.db -n -o mtime";
    assert_eq!(on_a_terminal(80, files.folder.path(), typed).trim(), "2024-07-01 12:00:00");
    let piped = common::rmap(["pcstat", known.to_str().unwrap(), "-n", "-o", "mtime"]).text();
    assert_eq!(piped.trim(), "2024-07-01T12:00:00.5Z");
}

/// A captured machine with two processes with much memory and long names.
fn captured() -> tempfile::TempDir {
    let maps = |pages: u64, kib: u64| {
        let one = |start, perm, name: &[u8]| mapping(start, pages, perm, name, kib);
        [
            one(0x5500_0000_0000, "r-xp", b"/usr/lib/x86_64-linux-gnu/a-library-with-a-long-name.so.6.0.32"),
            one(0x7f00_0000_0000, "rw-p", b""),
            one(0x7fff_0000_0000, "r--s", b"/dev/shm/another-file-with-a-long-name"),
        ]
        .concat()
    };
    let one = b"/usr/bin/one-program\0--with-an-option=that-is-long\0and-an-operand\0";
    let machine = capture(&[(7, one, &maps(4_000_000, 12_345_678)), (123_456, b"b\0", &maps(2_000, 1_000))]);
    for (pid, group) in [(7, "/system.slice/a-service-with-a-long-name.service"), (123_456, "/user.slice")] {
        std::fs::write(machine.path().join(format!("{pid}/cgroup")), format!("0::{group}\n")).unwrap();
    }
    machine
}

/// Whether every line of an answer fits a terminal of so many columns. What is on standard error wraps.
fn assert_fits(columns: u16, arguments: &str, text: &str) {
    // A word that is wider than the terminal has a line of its own.
    let mut lines = text.lines().filter(|line| !line.starts_with("rmap: ") && line.trim().contains(' '));
    let too_wide = lines.find(|line| line.chars().count() > columns.into());
    assert_eq!(too_wide, None, "rmap {arguments}, {columns} columns:\n{text}");
}

#[test]
fn every_view_fits_a_terminal_of_60_columns_and_keeps_its_main_figure() {
    if !is_as_in_the_pictures() {
        return;
    }
    let (files, machine) = (files(), captured());
    let subject = Subject::start(["anonymous:16:5"]);
    let (pid, root) = (subject.pid(), machine.path().display());
    let views = [
        (format!("pid --proc-root {root} 7 123456 --by command"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by cgroup"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by cgroup --merge"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by file --merge"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by kind --merge"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by perm"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --by pid"), "Rss"),
        (format!("pid --proc-root {root} 7 123456 --merge"), "Rss"),
        (format!("pid --proc-root {root} 7"), "Rss"),
        (format!("pid --proc-root {root} -x 7"), "RSS"),
        (format!("pid --proc-root {root} --summary 7"), "KiB"),
        (format!("pid -d {pid}"), "Kbytes"),
        (format!("pid --cache {pid}"), "Cached"),
        (format!("pid --cache --by file {pid}"), "Cached"),
        ("demo --size 4M".to_owned(), "Rss"),
        ("pcstat --by method a-file-with-a-name-that-is-too-long-for-a-terminal.db".to_owned(), "Cached"),
        ("pcstat --runs half.db".to_owned(), "Offset"),
        ("evict --dry-run half.db".to_owned(), "Left"),
    ];
    for (arguments, main) in &views {
        for columns in [60, 80, 120] {
            let arguments =
                if arguments.starts_with("demo") { arguments } else { &format!("{arguments} --color never") };
            let text = on_a_terminal(columns, files.folder.path(), arguments);
            assert_fits(columns, arguments, &text);
            assert!(text.lines().any(|line| line.split_whitespace().any(|word| word == *main)), "{arguments}:\n{text}");
        }
    }
}

#[test]
fn how_a_file_is_held_loses_its_end_before_a_line_is_too_long() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let names = ["a-file-with-a-long-name", "another-file-with-a-long-name"];
    let path = |name: &str| folder.path().join(name).display().to_string();
    let acts = |name: &&str| [format!("synced:{}:64:2", path(name)), format!("open:{}", path(name))];
    let _holder = Subject::start(names.iter().flat_map(acts));
    let shown = |columns| {
        let columns_of = "pid,how,rss,pss,anonymous,locked,mappings,path";
        let arguments = format!("who --color never {} -o {columns_of} 2> /dev/null", names.join(" "));
        let text = on_a_terminal(columns, folder.path(), &arguments);
        assert_fits(columns, &arguments, &text);
        text
    };
    let narrow = shown(60);
    assert_eq!((narrow.matches("mapped s").count(), narrow.matches("open").count()), (2, 0), "{narrow}");
    assert_eq!(shown(100).matches("mapped shared, open").count(), 2);
}

#[test]
fn groups_leave_out_the_least_important_columns_and_the_program_of_a_command_stays() {
    if !is_as_in_the_pictures() {
        return;
    }
    let machine = captured();
    let picture =
        |columns, options| on_a_terminal(columns, machine.path(), &format!("pid --proc-root . 7 123456 {options}"));
    assert_snapshot!(picture(60, "--by command"), @r#"
        Size       Rss       Pss  Uss  Command
    ────────────────────────────────────────────────────────────
    48000000  37037034  37037034    -  …/one-program --with-an-…
       24000      3000      3000    -  b
    ────────────────────────────────────────────────────────────
    48024000  37040034  37040034    -  total KiB
    Rss counts shared memory in each process that maps it; Pss
    divides it
    "#);
    assert_snapshot!(picture(80, "--by command"), @r#"
    Mappings  Processes      Size       Rss       Pss  Uss  Dirty  Command
    ────────────────────────────────────────────────────────────────────────────────
           3          1  48000000  37037034  37037034    -      -  …/one-program --…
           3          1     24000      3000      3000    -      -  b
    ────────────────────────────────────────────────────────────────────────────────
           6             48024000  37040034  37040034    -      -  total KiB
    Rss counts shared memory in each process that maps it; Pss divides it
    "#);
    assert_snapshot!(picture(60, "--by command --sort mappings"), @r#"
    Mappings      Size       Rss       Pss  Command
    ────────────────────────────────────────────────────────────
           3  48000000  37037034  37037034  …/one-program --wit…
           3     24000      3000      3000  b
    ────────────────────────────────────────────────────────────
           6  48024000  37040034  37040034  total KiB
    Rss counts shared memory in each process that maps it; Pss
    divides it
    "#);
    assert_snapshot!(picture(60, "--by cgroup -o mappings,size,rss,pss,uss"), @r#"
    Mappings     Size      Rss      Pss Uss Control group
    ────────────────────────────────────────────────────────────
           3 48000000 37037034 37037034   - /syste…-name.service
           3    24000     3000     3000   - /user.slice
    ────────────────────────────────────────────────────────────
           6 48024000 37040034 37040034   - total KiB
    Rss counts shared memory in each process that maps it; Pss
    divides it
    "#);
}

#[test]
fn the_explanations_of_a_summary_are_never_cut() {
    if !is_as_in_the_pictures() {
        return;
    }
    let machine = captured();
    let picture = |columns| on_a_terminal(columns, machine.path(), "pid --proc-root . --summary --color never 7");
    for columns in [40, 60, 80, 120] {
        let text = picture(columns);
        assert_fits(columns, "pid --summary", &text);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for meaning in ["clean, may not be reclaimable", "to be written first, or locked"] {
            assert!(words.contains(meaning), "{text}");
        }
    }
    assert_snapshot!(picture(60).lines().take(5).collect::<Vec<_>>().join("\n"), @r#"
    7:   /usr/bin/one-program --with-an-option=that-is-long and…
    Part               KiB % Rss Meaning
    ───────────────────────────────────────────────────────────
    resident      37037034 100.0 in RAM and mapped here (Rss)
    proportional  37037034 100.0 shared pages divided (Pss)
    "#);
    assert_snapshot!(picture(80).lines().take(5).collect::<Vec<_>>().join("\n"), @r#"
    7:   /usr/bin/one-program --with-an-option=that-is-long and-an-operand
    Part                KiB  % Rss            Meaning
    ────────────────────────────────────────────────────────────────────────
    resident       37037034  100.0  ████████  in RAM and mapped here (Rss)
    proportional   37037034  100.0  ████████  shared pages divided (Pss)
    "#);
    assert_snapshot!(picture(40).lines().take(5).collect::<Vec<_>>().join("\n"), @r#"
    7:   /usr/bin/one-program --with-an-opt…
    Part                KiB  % Rss
    ────────────────────────────────────────
    resident       37037034  100.0  ████████
      in RAM and mapped here (Rss)
    "#);
}

#[test]
fn prose_is_divided_for_its_terminal() {
    if !is_as_in_the_pictures() {
        return;
    }
    for columns in [60, 80] {
        let text = on_a_terminal(columns, Path::new("/"), "demo --size 1M");
        assert_fits(columns, "demo", &text);
        // What is already divided for 80 columns is not divided once more.
        assert_eq!(text.contains("KiB of page cache,\nthe same 256 pages."), columns == 80, "{text}");
        assert!(!text.lines().any(|line| line == "cache,"), "{text}");
    }
}

#[test]
fn offsets_of_runs_are_exact_and_can_be_used_as_a_range() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let known = known_file(folder.path(), 600 * 4096, runs(&[(257, 2), (300, 1)]));
    std::fs::rename(known.file.path(), folder.path().join("a")).unwrap();
    let text = on_a_terminal(80, folder.path(), "pcstat --runs a");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["Offset", "Length", "State", "Name", "Note"], "{text}");
    let offsets: Vec<&str> = rows[2..].iter().map(|row| row[0]).collect();
    assert_eq!(offsets, ["0", "1028K", "1036K", "1200K", "1204K"], "{text}");
    let named = on_a_terminal(80, folder.path(), "pcstat --runs -o +pages a");
    assert!(named.lines().next().unwrap().contains("Pages"), "{named}");
}

#[test]
fn wrong_usage_of_a_repeated_answer_does_not_take_the_screen() {
    if !is_as_in_the_pictures() {
        return;
    }
    for (wrong, line) in
        [("-o nosuch", "nosuch: unknown column"), ("--filter 'rss>x'", "--filter: 'rss' requires a size")]
    {
        let text = on_a_terminal(80, Path::new("/"), &format!("pid -w 1 self {wrong}"));
        assert!(text.starts_with(&format!("rmap: {line}")), "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_wrapped_between_words() {
    if !is_as_in_the_pictures() {
        return;
    }
    for arguments in
        ["pcstat -t f", "pid -c 1", "pid self -x --filter 'Kbytes > 1'", "pcstat /no/such/file-one f --files-from g"]
    {
        let whole = on_a_terminal(400, Path::new("/"), arguments);
        for columns in [60, 80] {
            let text = on_a_terminal(columns, Path::new("/"), arguments);
            assert_fits(columns, arguments, &text);
            assert_eq!(text.split_whitespace().collect::<Vec<_>>(), whole.split_whitespace().collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_sums_of_the_device_format_fit_the_terminal() {
    if !is_as_in_the_pictures() {
        return;
    }
    let subject = Subject::start(["anonymous:100000:5"]);
    subject.stop();
    let text = on_a_terminal(40, Path::new("/"), &format!("pid -d --top 0 {}", subject.word()));
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("mapped: ")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].trim_start().starts_with("shared: ") && lines[0].chars().count() <= 40, "{text}");
}

#[test]
fn the_figures_of_a_process_that_may_not_be_read_fit_the_terminal() {
    if !is_as_in_the_pictures() {
        return;
    }
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = Subject::start(["anonymous:16:5"]);
    let typed = |columns: u16, options: &str| {
        let (program, pid) = (everyone.program(), subject.word());
        let line = format!("stty cols {columns} rows 30; TERM=xterm {} pid {options} {pid}", program.display());
        everyone.run(Path::new("/usr/bin/script"), ["-qec", &line, "/dev/null"]).text().replace('\r', "")
    };
    for columns in [60, 80] {
        let text = typed(columns, "");
        assert_fits(columns, "pid", &text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let last = words.iter().position(|word| *word == "hugetlbpages").unwrap_or_else(|| panic!("{text}"));
        assert_eq!(words[last + 1], "0K", "{text}");
    }
}

#[test]
fn the_largest_rows_of_pmaps_formats_are_on_the_screen() {
    if !is_as_in_the_pictures() {
        return;
    }
    let subject = Subject::start(["anonymous:30000:30000"]);
    subject.stop();
    for format in ["-x", "-d", "-X"] {
        let line = format!("pid -w 9 {format} --color never {}", subject.word());
        let line = format!("stty cols 200 rows 12; timeout -s INT 1 {} {line}", program().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let text = run(script).text();
        let rows = text.lines().skip_while(|line| !line.contains("Address"));
        let first = rows.skip(1).find(|line| line.contains(|letter: char| letter.is_ascii_digit())).unwrap_or_default();
        assert!(first.split_whitespace().any(|word| word == "120000"), "{format}: {text}");
    }
}

#[test]
fn the_largest_files_are_on_the_screen_in_each_view() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    for pages in 1..40 {
        std::fs::write(folder.path().join(format!("f{pages:02}")), vec![1; pages * 4096]).unwrap();
    }
    for view in ["", "--map", "--histo"] {
        let line = format!("pcstat --color never --bname -R {view} -w 9 .");
        let line = format!("stty cols 80 rows 9; timeout -s INT 1 {} {line}", program().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path());
        script.env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let text = run(script).text();
        assert!(text.contains("f39") && !text.contains("f01"), "{view}: {text}");
    }
}

#[test]
fn no_progress_is_written_on_the_screen_of_a_repeated_answer() {
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    for number in 0..300 {
        std::fs::write(folder.path().join(number.to_string()), "1").unwrap();
    }
    // Progress is shown after the first second.
    let line = format!("timeout -s INT 3 {} pcstat -R --summary -w 0.3 .", program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty cols 80 rows 12; {line}"), "/dev/null"]).current_dir(folder.path());
    script.env("SHELL", "/bin/sh").env("TERM", "xterm");
    let text = run(script).text();
    assert!(text.matches("Cached").count() > 3 && !text.contains("looked at"), "{text}");
}

#[test]
fn the_options_of_other_programs_are_wrapped_to_the_terminal() {
    if !is_as_in_the_pictures() {
        return;
    }
    for program in ["vmtouch", "pmap", "fincore", "pcstat", "smem", "ps_mem"] {
        for columns in [60, 80] {
            assert_fits(columns, program, &on_a_terminal(columns, Path::new("/"), &format!("help {program}")));
        }
    }
}

#[test]
fn the_line_about_a_file_with_a_long_path_loses_the_middle_of_the_path() {
    if !is_as_in_the_pictures() {
        return;
    }
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let long = folder.path().join("a-directory-with-a-long-name".repeat(4));
    std::fs::create_dir(&long).unwrap();
    let path = long.join("file.db");
    std::fs::write(&path, "x").unwrap();
    for columns in [60, 80] {
        for arguments in ["who", "pcstat --histo"] {
            let text = on_a_terminal(
                columns,
                folder.path(),
                &format!("{arguments} --color never {} 2> /dev/null", path.display()),
            );
            assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{text}");
            assert!(text.contains("…") && text.contains("/file.db"), "{text}");
        }
    }
}

#[test]
fn an_act_has_all_figures_on_80_columns() {
    let folder = tempfile::tempdir().unwrap();
    let text = on_a_terminal(80, folder.path(), "demo --color never --size 1M --acts create,map,touch");
    assert_fits(80, "demo", &text);
    let titles = text.lines().find(|line| line.starts_with("Act ")).unwrap();
    let expected = "Act Size Rss Pss Anonymous Cached Dirty Minor Major Time us";
    assert_eq!(titles.split_whitespace().collect::<Vec<_>>().join(" "), expected);
}
