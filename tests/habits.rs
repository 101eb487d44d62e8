//! What people type first: a pid or a file alone, the names and letters of other programs, mistyped names, and what
//! `-h` and `--help` answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};

use common::{Subject, command, disk, memory, own_user, page, program, rmap, run};

/// A line on standard error, exit status 2, and nothing on standard output.
#[track_caller]
fn refused(words: &[&str]) -> String {
    let run = rmap(words);
    assert_eq!((run.status, run.out.len(), run.complaints().len()), (Some(2), 0, 1), "{words:?}: {run:?}");
    run.err.trim_end().strip_prefix("rmap: ").unwrap().to_owned()
}

/// Runs `rmap` in a directory.
fn rmap_in(folder: &Path, words: &[&str]) -> common::Run {
    let mut command = command(words);
    command.current_dir(folder);
    run(command)
}

#[test]
fn a_long_option_with_one_dash_is_not_taken_for_letters() {
    for (typed, meant) in [
        (&["pid", "-by", "kind", "self"][..], "--by kind"),
        (&["ps", "-human"], "--human"),
        (&["pid", "-no-header", "self"], "--no-header"),
        (&["pid", "-nohdr", "self"], "--nohdr"),
        (&["mem", "-version"], "rmap --version"),
        (&["pcstat", "-version"], "rmap --version"),
    ] {
        let line =
            format!("rmap: unknown option '{}'; did you mean '{meant}'? See `rmap {} --help`\n", typed[1], typed[0]);
        assert_eq!(rmap(typed).parts(), (2, String::new(), line), "{typed:?}");
    }
    // It is the program's.
    assert!(!rmap(["trace", "--output", "/dev/null", "true", "-human"]).err.contains("unknown option"));
    assert!(rmap(["-version"]).err.contains("did you mean 'rmap --version'?"));
}

#[test]
fn a_pid_or_a_file_alone_is_enough() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let pid = subject.word();
    let same = |short: &[&str], long: &[&str]| assert_eq!(rmap(short).good().text(), rmap(long).good().text());
    same(&[&pid, "-o", "address,rss"], &["pid", &pid, "-o", "address,rss"]);
    same(&["-x", &pid, "-q"], &["pid", "-x", &pid, "-q"]);
    let folder = memory();
    std::fs::write(folder.path().join("bigFile"), "x").unwrap();
    std::fs::write(folder.path().join(&pid), "x").unwrap();
    let file = rmap_in(folder.path(), &["bigFile", "--json"]).good().json();
    assert_eq!((&file[0]["filename"], &file[0]["cached"]), (&"bigFile".into(), &1.into()));
    assert_eq!(rmap_in(folder.path(), &[&format!("./{pid}"), "--json"]).good().json()[0]["pages"], 1);
    let both = rmap_in(folder.path(), &[&pid]);
    let line = format!("rmap: {pid}: both a pid and a file; type `rmap pid {pid}` or `rmap pcstat {pid}`\n");
    assert_eq!(both.parts(), (2, String::new(), line));
}

#[test]
fn the_letters_of_vmtouch_do_what_they_do_there() {
    let folder = disk();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; 3 * page() as usize]).unwrap();
    let file = path.to_str().unwrap();
    let row = |words: &[&str]| {
        let run = rmap([&["vmtouch", "--jsonl"], words, &[file]].concat()).good();
        run.lines_of_json().remove(0)
    };
    let pages = 3.into();
    assert_eq!((&row(&[])["files"], &row(&[])["pages"]), (&1.into(), &pages));
    let shown = rmap(["vmtouch", "-v", file]).good().text();
    assert!(shown.contains("\n  ###\n") && shown.contains("total"), "{shown}");
    let each = rmap(["vmtouch", "-v", "--json", file]).good().json();
    assert_eq!((&each["files"][0]["filename"], &each["total"]["pages"]), (&file.into(), &pages));
    let range = format!("{}-{}", page(), 2 * page());
    assert_eq!(row(&["-p", &range])["pages"], 1);
    let none = rmap(["vmtouch", "-m1k", file, "--json"]);
    assert_eq!((&none.json()[0]["files"], none.err.as_str()), (&0.into(), "rmap: --max-size: no file matches\n"));
    assert_eq!(row(&["-e"])["after_pages"], 0);
    assert_eq!(row(&["-t"])["after_pages"], pages);
}

#[test]
fn vmtouch_follows_a_named_link_only_with_f() {
    let folder = memory();
    let (path, link) = (folder.path().join("f"), folder.path().join("link"));
    std::fs::write(&path, vec![1; 3 * page() as usize]).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (file, link) = (path.to_str().unwrap(), link.to_str().unwrap());
    let line = "a symbolic link, which is not followed; use --follow, or name the file that it points to";
    for letters in [&[][..], &["-e"], &["-t"], &["-F"], &["-v"]] {
        let run = rmap([&["vmtouch", "--json"], letters, &[link]].concat());
        assert_eq!((run.status, run.err.clone()), (Some(1), format!("rmap: {link}: {line}\n")), "{letters:?}");
        assert!(!run.text().contains("\"pages\": 3"), "{letters:?}: {}", run.text());
    }
    // What is named besides is looked at, and -f follows.
    assert_eq!(rmap(["vmtouch", "--json", link, file]).json()[0]["pages"], 3);
    assert_eq!(rmap(["vmtouch", "--json", "-f", link]).good().json()[0]["pages"], 3);
    assert_eq!(rmap(["pcstat", "--json", link]).good().json()[0]["pages"], 3);
}

#[test]
fn nothing_changes_because_of_a_guess() {
    let folder = disk();
    let path = folder.path().join("f");
    std::fs::write(&path, "x").unwrap();
    let file = path.to_str().unwrap();
    for words in [
        &["-e", file][..],
        &["evict", "-n", file],
        &["vmtouch", "-eq", file],
        &["-t", file],
        &["pcstat", "-e", file],
        &["warm", "-e", file],
        &["touch", file],
        &["vmtouch", "-ez", file],
        &["vmtouch", "-te", file],
        &["vmtouch", "-dl", file],
        &["vmtouch", "-eP", "pidfile", file],
        &["fincore", "-e", file],
    ] {
        let line = refused(words);
        assert!(line.contains("rmap ") || line.contains("type one of them"), "{words:?}: {line}");
    }
    // Data that was never written back: dropping it would need a write first.
    assert_eq!(rmap(["pcstat", "--json", file]).good().json()[0]["cached"], 1);
}

#[test]
fn a_letter_that_rmap_does_not_have_is_answered_with_what_to_type() {
    for (words, expected) in [
        (
            &["pcstat", "-t", "f"][..],
            "unknown option '-t'; type `rmap warm FILE` (vmtouch's -t: touch pages into memory)",
        ),
        (&["pcstat", "-m", "1M", "f"], "type `rmap pcstat --max-size=1M FILE`"),
        (&["-m10M", "f"], "type `rmap pcstat --max-size=10M FILE`"),
        // What is no size is not taken for one.
        (&["pcstat", "-m", "f"], "type `rmap pcstat --max-size=100M FILE`"),
        (&["-p", "1m-2m", "f"], "type `rmap pcstat --range=1048576,1048576 FILE`"),
        // A range may begin with its dash, and what is no value is not shown as one.
        (&["pcstat", "-p", "-64k", "f"], "type `rmap pcstat --range=0,65536 FILE`"),
        (&["pcstat", "-p", "4k-", "f"], "type `rmap pcstat --range=4096 FILE`"),
        (&["ps", "-Sd"], "type `rmap ps --proc-root=capture/proc` (smem's -S"),
        // A long option with one dash is not a letter.
        (&["files", "-top", "3"], "unknown option '-top'; did you mean '--top 3'? See `rmap files --help`"),
        (&["ps", "-sort=rss"], "unknown option '-sort=rss'; did you mean '--sort=rss'? See `rmap ps --help`"),
        (&["pid", "-json", "1"], "unknown option '-json'; did you mean '--json'? See `rmap pid --help`"),
        (&["ps", "-watch", "2"], "unknown option '-watch'; did you mean '--watch 2'? See `rmap ps --help`"),
        (&["-csv", "1"], "unknown option '-csv'; did you mean '--csv'?"),
        (&["mem", "-tree"], "unknown option '-tree'; only rmap ps has it: "),
        (&["free"], "free: to see what the memory of this machine is used for, type `rmap mem`"),
        (&["top"], "type `rmap ps`"),
        (&["numastat"], "type `rmap mem --by node`"),
        (&["vmstat"], "type `rmap mem -w 1`"),
        (&["demo", "--size", "4M", "--write", "--", "cat"], "--size, --write: it is about memory that rmap itself"),
        (&["pcstat", "-i", "*.log", "d"], "type `rmap pcstat '--exclude=*.log' FILE`"),
        (&["ps", "-P", "java"], "type `rmap ps --match=java` (smem's -P: processes that match). See"),
        (&["ps", "-U", "root"], "type `rmap ps '--filter=user =~ \"root\"'` (smem's -U"),
        (&["ps", "-M", "libjvm"], "`rmap pid --match . --by pid --filter 'mapping =~ \"libjvm\"'` adds up"),
        (&["smem", "-M", "libjvm"], "`rmap pid --match . --by pid --filter 'mapping =~ \"libjvm\"'` adds up"),
        (&["ps", "-t"], "type `rmap ps --total` (smem's -t"),
        (&["ps", "-k"], "type `rmap ps --human` (smem's -k"),
        (&["pid", "-S", "1"], "type `rmap pid --proc-root=capture/proc PID` (smem's -S"),
        (&["fuser", "-9", "f"], "fuser's -9: no process is ended; `rmap who -o pid FILE` prints the pids"),
        (&["fuser", "-KILL", "f"], "fuser's -KILL: no process is ended;"),
        (&["fuser", "-TERM", "-k", "f"], "fuser's -TERM: no process is ended;"),
        (&["fuser", "-4", "f"], "fuser's -4: `rmap who FILE` is about files;"),
        (&["-top", "2"], "type `rmap files --top 2` or `rmap hcache -top 2`. See `rmap pcstat --help`"),
        (&["pcstat", "-top", "2"], "--files-from; for the whole machine, type `rmap files --top 2` or `rmap hcache"),
        (&["pcstat", "-J", "f"], "type `rmap pcstat --json FILE` (fincore's -J: JSON)"),
        (&["pcstat", "-C", "f"], "leave it out: rmap uses it wherever its answer can be trusted"),
        (&["pid", "-C", "1"], "`rmap pid -o LIST PID` selects columns, and ~/.config/rmap/config.toml has"),
        (
            &["pid", "-c", "1"],
            "unknown option '-c'; `rmap pid -o LIST PID` selects columns, and ~/.config/rmap/config.toml",
        ),
        (&["pid", "-u"], "type `rmap ps --by=user` (smem's -u: one row per user)"),
        (&["ps", "-u"], "type `rmap ps --by=user` (smem's -u: one row per user)"),
        (
            &["pid", "-s", "rss"],
            "type `rmap pid --sort=rss PID` (smem's -s: sort), or `rmap ps --by=command` (ps_mem's -s",
        ),
        (&["pid", "-r"], "unknown option '-r'; leave it out: pmap ignores it, too (pmap's -r: nothing). See"),
        (&["ps", "-S"], "(smem's -S: read this directory), or `rmap ps -o +swap` (ps_mem's -S: show swap). See"),
        (&["pcstat", "-R", "d", "--by", "dir"], "--by: files have no such column; `-R --by-dir DEPTH` adds them up"),
        (&["pid", "-w", "-1", "1"], "invalid value '-1' for '--watch <SECS>'"),
        (&["ps", "--top", "-1"], "invalid value '-1' for '--top <N>'"),
        (&["pid", "-a"], "leave it out: every table fits the terminal (smem's -a: fit the terminal)"),
        // The subcommand stays, if it can do that.
        (&["warm", "-p", "4k-8k", "f"], "type `rmap warm --range=4096,4096 FILE`"),
        (&["evict", "-m", "1M"], "type `rmap evict --max-size=1M FILE`"),
        (&["lock", "-v"], "type `rmap lock --total FILE` (vmtouch's -v: print each file)"),
        (&["warm", "-e", "f"], "type `rmap evict FILE`"),
        (&["warm", "-q", "f"], "type `rmap warm FILE > /dev/null`"),
        (&["warm", "--histo", "f"], "type `rmap pcstat --histo FILE`"),
        (&["evict", "--output-all", "f"], "type `rmap pcstat -o cached_bytes,"),
        // Nor are quotes in quotes.
        (&["pcstat", "-i", "*.bak", "f"], "type `rmap pcstat '--exclude=*.bak' FILE` (vmtouch's -i"),
        (&["pcstat", "-V"], "type `rmap --version` (fincore's -V: version)"),
        (&["-p", "4k-64k", "b"], "4k-64k b: not a process; for files, type `rmap pcstat --range=4096,61440 FILE`"),
        (&["-d", "b"], "b: not a process; for files, type `rmap lock FILE &` (vmtouch's -d"),
        (&["-q", "b"], "b: not a process; for files, type `rmap pcstat FILE > /dev/null`"),
        (
            &["-t", "b"],
            "type `rmap warm FILE` (vmtouch's -t: touch pages into memory), or `rmap ps --total` (smem's -t",
        ),
        (&["pcstat", "--range", "4k-64k", "b"], "type --range=4096,61440; see `rmap pcstat --help`"),
        (
            &["pcstat", "-o", "RES,PAGES,SIZE,FILE", "a"],
            "fincore's res is 'cached_bytes' in rmap; `rmap fincore -o LIST FILE` takes its names; see `rmap pcstat",
        ),
        (&["pid", "self", "-o", "vss"], "smem's vss is 'size' in rmap; see `rmap pid --help`"),
        (
            &["pid", "--summary", "--sort", "rss", "1"],
            "rss: unknown column: parts do not have it; see `rmap pid --help`",
        ),
        (
            &["pid", "--by", "kind", "--filter", "mappings > 3", "1"],
            "--filter: unknown column 'mappings'; only groups have it; --filter applies to rows before grouping",
        ),
        // fincore's --json writes JSON, but what a capture writes is an archive.
        (&["capture", "-o", "a.tar", "--json"], "unknown option '--json'; see `rmap capture --help`"),
        (&["smem", "-w"], "`rmap mem` shows what the memory of the whole machine is used for"),
    ] {
        let line = refused(words);
        assert!(line.contains(expected), "{words:?}: {line}");
        assert!(!line.contains("as a value"), "{line}");
    }
}

/// The options in the first column of each table of `docs/coming-from.md`.
fn options_of_others(page: &str) -> BTreeSet<String> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let words = cells.flat_map(|cell| cell.split(' ')).filter(|word| word.starts_with('-'));
    words.map(|word| word.trim_end_matches(',').to_owned()).collect()
}

/// The commands in a text, which are in backquotes.
fn commands_in(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("rmap ")).map(str::to_owned).collect()
}

#[test]
fn every_command_that_is_advised_works() {
    let page = std::fs::read_to_string("docs/coming-from.md").unwrap();
    let mut commands = commands_in(&page);
    let options = options_of_others(&page);
    assert!(options.len() > 60 && options.contains("-XX") && options.contains("--output-all"), "{options:?}");
    for subcommand in ["pid", "ps", "who", "pcstat", "warm", "evict", "lock"] {
        for option in &options {
            let run = rmap([subcommand, option]);
            assert!(!run.err.contains("unknown option") || run.err.contains("`rmap "), "{}", run.err);
            commands.extend(commands_in(&run.err));
        }
    }
    let commands: BTreeSet<String> = commands.into_iter().collect();
    assert!(commands.len() > 60, "{commands:?}");
    let folder = disk();
    std::fs::create_dir_all(folder.path().join("capture/proc")).unwrap();
    for (name, text) in [("FILE", "x"), ("LIST", "FILE\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let pid = std::process::id().to_string();
    for command in commands {
        let words = command.replace("PID", &pid).replace("4690", &pid).replace(&format!("{pid}FILE"), "PIDFILE");
        let words = words.replace("4691", "self").replace("-o LIST", "-o size").replace("FILE...", "FILE");
        let words = words.replace("--user NAME", "--user 0").replace("DIR", "/proc");
        // The files of all processes would take long. What runs until Ctrl-C is ended.
        let words = words.replace("pcstat --sort=cached --match=.", "pcstat --match=^/no/such");
        let program = format!("timeout --preserve-status -s INT 2 {}", program().display());
        let mut shell = Command::new("/bin/bash");
        shell.arg("-c").arg(words.replacen("rmap", &program, 1)).current_dir(folder.path());
        let run = run(shell);
        assert!(run.status != Some(2), "{command}: {words}: {run:?}");
    }
}

#[test]
fn the_flags_of_go_have_one_dash_or_two() {
    let folder = memory();
    for (name, pages) in [("a", 1), ("b", 2), ("c", 3)] {
        std::fs::write(folder.path().join(name), vec![1; pages * page() as usize]).unwrap();
    }
    let own = std::process::id().to_string();
    let same = |words: &[&str], other: &[&str]| {
        // Times differ.
        let text =
            |words| rmap_in(folder.path(), words).good_of_own_files().text().replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(text(words), text(other), "{words:?} {other:?}");
    };
    for program in ["hcache", "pcstat"] {
        for flag in ["json", "terse", "nohdr", "bname", "histo", "plain", "unicode"] {
            same(&[program, &format!("-{flag}"), "a", "b"], &[program, &format!("--{flag}"), "a", "b"]);
        }
        same(&[program, "-json", "-pps", "a"], &[program, "--json", "--pps", "a"]);
        same(
            &[program, "-pid", &own, "-nohdr", "--columns", "filename"],
            &[program, &format!("--pid={own}"), "--nohdr", "--columns", "filename"],
        );
    }
    same(&["pcstat", "-top", "2", "-sort", "a", "b", "c"], &["pcstat", "--top=2", "--sort", "a", "b", "c"]);
    // All processes are looked at, so only that it is understood is certain.
    for words in [&["hcache", "--top", "3"][..], &["hcache", "--top=3"], &["hcache", "-top", "3"]] {
        assert_eq!(rmap([words, &["-nohdr"]].concat()).text().lines().count(), 3, "{words:?}");
    }
}

#[test]
fn the_shell_does_what_rmap_does_not() {
    for (words, expected) in [
        (
            &["vmtouch", "-q", "f"][..],
            "-q: the shell does that; type `rmap pcstat -R --cross-file-systems --no-follow --summary f > /dev/null`",
        ),
        (
            &["vmtouch", "-eq", "f"],
            "-q: the shell does that; type `rmap evict -R --cross-file-systems --no-follow f > /dev/null`",
        ),
        (
            &["vmtouch", "-lq", "f"],
            "-q: the shell does that; type `rmap lock -R --cross-file-systems --no-follow f > /dev/null`",
        ),
        (&["vmtouch", "-dl", "f"], "-d: the shell does that; type `rmap lock -R --cross-file-systems --no-follow f &`"),
        (&["vmtouch", "-dlwP", "a b", "f"], "f & echo $! > 'a b'`"),
    ] {
        let line = refused(words);
        assert!(line.starts_with("vmtouch's -") && line.ends_with(expected), "{words:?}: {line}");
    }
}

#[test]
fn the_letter_for_full_paths_is_accepted_everywhere() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let pid = subject.word();
    for options in [
        &[][..],
        &["-x"],
        &["-x", "--total"],
        &["--json"],
        &["--by", "kind"],
        &["--summary"],
        &["-o", "rss,mapping"],
        &["--map"],
        &["--cache"],
    ] {
        let lines = |words: &[&str]| rmap([words, options].concat()).good_of_own_files().text().lines().count();
        assert_eq!(lines(&["pid", "-p", &pid]), lines(&["pid", &pid]), "{options:?}");
    }
    let same = [&["pmap", "-p", &pid][..], &["-p", &pid], &["pid", "-p", &pid]];
    let texts = same.map(|words| rmap([words, &["--columns", "address,rss,mapping"]].concat()).good().text());
    assert!(texts[0] == texts[1] && texts[1] == texts[2] && texts[0].contains("/"), "{texts:?}");
}

#[test]
fn a_process_has_several_names() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let pid = subject.word();
    let directory = format!("/proc/{pid}");
    let table = |words: &[&str]| rmap([words, &["-o", "address,rss"]].concat()).good().text();
    let expected = table(&["pid", &pid]);
    for words in [&["pid", &directory][..], &[&directory], &[&format!("{directory}/")]] {
        assert_eq!(table(words), expected, "{words:?}");
    }
    let own = std::process::id().to_string();
    let list = format!("{own},{pid}");
    let pids = |words: &[&str]| rmap([words, &["--by", "pid", "--csv", "-o", "pid"]].concat()).good().text();
    let expected = pids(&["pid", &own, &pid]);
    assert_eq!(expected.lines().count(), 3);
    assert_eq!((pids(&["pid", &list]), pids(&[&list])), (expected.clone(), expected));

    let running = Sleeping(Command::new("sleep").arg("1000").spawn().unwrap());
    let line = "sleep: no such command, process or file; processes of this name run: type `rmap pid --name sleep`";
    assert_eq!(refused(&["sleep"]), line);
    drop(running);

    let file = rmap(["pcstat", "--pid", &pid, "4194999", "/no/such/file"]);
    let hint = "rmap: 4194999: no such file; if it is a process, separate it with a comma: --pid PID,4194999";
    assert!(file.err.contains(hint) && file.err.contains("rmap: /no/such/file: no such file\n"), "{}", file.err);
    assert_eq!(rmap(["pcstat", "4194999"]).err, "rmap: 4194999: no such file\n");
}

#[test]
fn a_letter_that_could_mean_a_dry_run_does_nothing() {
    let folder = disk();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; page() as usize]).unwrap();
    let file = path.to_str().unwrap();
    for command in ["warm", "evict"] {
        assert_eq!(refused(&[command, "-n", file]), "-n: it could mean --no-header or --dry-run; type one of them");
        assert_eq!(rmap([command, "--dry-run", "--no-header", file]).good().text().lines().count(), 1);
    }
    let lock = "-n: it could mean --no-header or a dry run, which lock does not have; type --no-header";
    assert_eq!(refused(&["lock", "-n", file]), lock);
    assert_eq!(rmap(["pcstat", "--json", file]).good().json()[0]["cached"], 1);
    assert_eq!(rmap(["pcstat", "-n", file]).good().text().lines().count(), 1);
}

#[test]
fn other_programs_are_understood_by_name() {
    let folder = memory();
    for (name, pages) in [("a", 1), ("b", 2)] {
        std::fs::write(folder.path().join(name), vec![1; pages * page() as usize]).unwrap();
    }
    let columns = rmap_in(folder.path(), &["fincore", "-n", "-o", "RES,PAGES,SIZE,FILE", "b"]).good().text();
    let figures = [2 * page(), 2, 2 * page()].map(|figure| figure.to_string()).join(" ");
    assert_eq!(columns.trim(), format!("{figures} b"));
    let all = rmap_in(folder.path(), &["fincore", "--output-all", "-J", "b"]).good().json();
    assert_eq!((all[0].as_object().unwrap().contains_key("dirty_pages"), &all[0]["cached"]), (true, &2.into()));
    let first = |words: &[&str]| rmap_in(folder.path(), words).good().json()[0]["filename"].clone();
    assert_eq!(first(&["hcache", "-json", "a", "b"]), "b");
    assert_eq!(first(&["pcstat", "-json", "-top", "1", "a", "b"]), "b");

    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let pid = subject.word();
    assert_eq!(rmap(["pmap", "-rx", &pid]).good().text(), rmap(["pid", "-x", &pid]).good().text());
    let list = rmap(["ps_mem", "-p", &format!("{pid},{pid}"), "-d", "--csv", "--columns", "pid,name"]).good().text();
    assert_eq!(list, format!("pid,name\r\n{pid},subject\r\n"));
    let users = rmap(["smem", "-uP", "examples/subject", "--jsonl"]).lines_of_json();
    assert!(users.iter().all(|row| row["user"].is_string() && row["processes"].as_u64() > Some(0)), "{users:?}");
    assert!(!users.is_empty());
    let total = rmap(["smem", "-t", "-c", "pid pss", "--json", "-P", "examples/subject"]).json();
    assert!(total["total"]["pss"].as_u64() > Some(0), "{total}");

    let mapped = folder.path().join("mapped");
    let holder = Subject::start([format!("synced:{}:4:1", mapped.display())]);
    let name = mapped.to_str().unwrap();
    // Not even root may look at every process everywhere.
    assert_eq!(rmap(["lsof", "-t", name]).text().lines().next().map(str::trim), Some(&*holder.word()));
    let (own, number) = (own_user(), nix::unistd::geteuid().to_string());
    let own = own.as_str();
    let is_shown = |options: &[&str]| {
        let pids = rmap([&["lsof", "-n", "-t"], options, &[name]].concat()).text();
        pids.split_whitespace().next() == Some(&*holder.word())
    };
    let not = |word: &str| format!("^{word}");
    for (options, is_selected) in [
        (&["-u", own][..], true),
        (&["-u", &number], true),
        (&["-u", "nosuchuser", "-u", own], true),
        (&["-u", &format!("nosuchuser,{own}")], true),
        (&["-u", &own[..own.len() - 1]], false),
        (&["-u", &not(own)], false),
        (&["-u", &not(&number)], false),
        (&["-u", "^nosuchuser"], true),
        (&["-u", "^nosuchuser", "-u", &not(own)], false),
        (&["-c", "subj"], true),
        (&["-c", "sub", "-c", "nosuch"], true),
        (&["-c", "bject"], false),
        (&["-c", "s.b"], false),
        (&["-c", "^sub"], false),
        (&["-c", "^bash"], true),
        (&["-c", "/b[j]ect$/"], true),
        (&["-c", "/BJ/i"], true),
        (&["-c", "/BJ/"], false),
        (&["-c", "sub", "-u", &not(own)], false),
        // One of them is enough, unless -a asks for all.
        (&["-u", "nosuchuser", "-c", "subj"], true),
        (&["-c", "nosuch", "-u", own], true),
        (&["-a", "-u", "nosuchuser", "-c", "subj"], false),
        (&["-u", own, "-c", "subj", "-a"], true),
    ] {
        assert_eq!(is_shown(options), is_selected, "{options:?}");
    }
    let line = "lsof's -p: `rmap pcstat --pid 2253` lists them";
    assert_eq!(refused(&["lsof", "-p", "2253"]), line);
    for words in [["-c", "/BJ/b"], ["-c", "/BJ"], ["-u", "root,"]] {
        let line = refused(&[&["lsof"], &words[..], &[name]].concat());
        assert!(line.starts_with(&format!("lsof {}: ", words[0])) && line.ends_with("see `rmap help lsof`"), "{line}");
    }
    let table = rmap(["fuser", "-vu", name]).text();
    assert!(table.lines().any(|line| line.trim_start().starts_with(&holder.word())), "{table}");
}

#[test]
fn help_is_a_word_too() {
    let text = |words: &[&str]| rmap(words).good().text();
    for words in [&["help"][..], &["help", "help"], &["help", "-h"], &["help", "--help"]] {
        assert_eq!(text(words), text(&["--help"]));
    }
    assert_eq!(text(&["help", "pid"]), text(&["pid", "--help"]));
    assert!(text(&["help", "vmtouch"]).contains("-t: touch pages into memory\n    rmap warm "));
    assert_eq!(text(&["vmtouch", "--help"]), text(&["help", "vmtouch"]));
    assert_eq!(refused(&["help", "pidd"]), "pidd: no such command; did you mean 'pid'? See `rmap --help`");
}

#[test]
fn the_page_for_other_programs_is_written_from_the_table() {
    let page = std::fs::read_to_string("docs/coming-from.md").unwrap();
    assert!(
        page == rmap::cli::coming_from_page(),
        "docs/coming-from.md is out of date: cargo run --example coming_from > docs/coming-from.md"
    );
}

#[test]
fn the_page_begins_for_users_and_has_every_option_of_the_installed_programs() {
    let page = std::fs::read_to_string("docs/coming-from.md").unwrap();
    let (start, _) = page.split_once("\n## ").unwrap();
    assert!(
        !start.contains("cargo") && page.trim_end().ends_with("cargo run --example coming_from > docs/coming-from.md")
    );
    for program in ["pmap", "vmtouch", "fincore", "smem", "fuser"] {
        let Ok(help) = Command::new(program).arg("--help").output() else {
            eprintln!("SKIPPED: {program} is not installed");
            continue;
        };
        let (_, section) = page.split_once(&format!("\n## Coming from {program}\n")).unwrap();
        let known = options_of_others(section.split("\n## ").next().unwrap());
        let help = [help.stdout, help.stderr].concat();
        let lines = String::from_utf8_lossy(&help).into_owned();
        for line in lines.lines().filter(|line| line.trim_start().starts_with('-')) {
            let option = line.trim_start().split([' ', ',', '=']).next().unwrap();
            assert!(known.contains(option), "{program} {option}: {known:?}");
        }
    }
}

#[test]
fn a_mistyped_name_is_answered_with_the_nearest_ones() {
    for (words, line) in [
        (&["pid", "self", "-o", "rsss"][..], "rsss: unknown column; did you mean 'rss'? See `rmap pid --help`"),
        (&["pid", "self", "-o", "+xyzzy"], "xyzzy: unknown column: mappings do not have it; see `rmap pid --help`"),
        (
            &["pid", "self", "--sort", "mappnig"],
            "mappnig: unknown column; did you mean 'mapping'? See `rmap pid --help`",
        ),
        (
            &["mem", "--by", "reclaim", "-o", "processes,size"],
            "processes: unknown column: groups do not have it; see `rmap mem --help`",
        ),
        (
            &["pcstat", ".", "--by", "method", "-o", "pid"],
            "pid: unknown column: groups do not have it; see `rmap pcstat --help`",
        ),
        (&["pid", "self", "--by", "knid"], "knid: unknown column; did you mean 'kind'? See `rmap pid --help`"),
        (
            &["pcstat", "f", "-o", "recently"],
            "recently: unknown column; did you mean 'recently_evicted_pages'? See `rmap pcstat --help`",
        ),
        (&["pcstat", "--jso", "f"], "unknown option '--jso'; did you mean '--json'? See `rmap pcstat --help`"),
        // Titles are what a table shows.
        (&["pcstat", "f", "-o", "nmae"], "nmae: unknown column; did you mean 'filename'? See `rmap pcstat --help`"),
        (&["pcstat", "f", "-o", "modifed"], "modifed: unknown column; did you mean 'mtime'? See `rmap pcstat --help`"),
        (
            &["pcstat", "--sort", "Reclaimd", "f"],
            "--sort: 'Reclaimd' is neither a column nor a file; did you mean 'evicted_pages'? See `rmap pcstat --help`",
        ),
        (&["demo", "--acts", "create,map,reed"], "--acts: unknown act 'reed'; did you mean 'read'?"),
        (&["wram", "f"], "wram: no such command, process or file; did you mean 'warm'? See `rmap --help`"),
    ] {
        assert_eq!(refused(words), line);
    }
    for (column, sizes) in [("cached", "cached_bytes"), ("dirty_pages", "dirty")] {
        let line =
            format!("--filter: '{column}' requires a whole number of pages; '{sizes}' takes sizes (at character ");
        let refusal = refused(&["pcstat", "f", "--filter", &format!("{column}>1G")]);
        assert!(refusal.starts_with(&line), "{refusal}");
    }
    assert_eq!(
        refused(&["pid", "self", "--filter", "rsss > 1"]),
        "--filter: unknown column 'rsss'; did you mean 'rss'? (at character 1); see `rmap pid --help`"
    );
    for (value, line) in [
        ("filee", "'kind' is never 'filee'; did you mean 'file'?"),
        ("xyzzy", "'kind' can only be heap, stack, code, data, file, anonymous, ..."),
    ] {
        let typed = refused(&["pid", "self", "--filter", &format!("kind=={value}")]);
        assert_eq!(typed, format!("--filter: {line} (at character 7); see `rmap pid --help`"));
    }
    assert!(help("pid", "--help", "200").contains("anonymous, shared-anonymous, memfd, secret"));
    let folder = memory();
    let file = folder.path().join("config.toml");
    for (column, line) in [("adress", "did you mean 'address'?"), ("xyzzy", "`rmap pid --help` lists the columns")] {
        std::fs::write(&file, format!("[pid]\ncolumns = [\"{column}\"]\n")).unwrap();
        let typed = refused(&["pid", "self", "--config", file.to_str().unwrap()]);
        assert_eq!(typed, format!("{}:2: unknown column '{column}'; {line}", file.display()));
    }
}

#[test]
fn the_readme_leads_to_what_is_file_of_a_process() {
    let folder = disk();
    let subject = Subject::start([format!("synced:{}:64:64", folder.path().join("mapped").display())]);
    subject.stop();
    let readme = std::fs::read_to_string("README.md").unwrap();
    let row = readme.lines().find(|line| line.contains("how much of it is file?")).unwrap();
    let answers = commands_in(row).into_iter().map(|command| {
        let words: Vec<String> = command.split(' ').skip(1).map(|word| word.replace("4690", &subject.word())).collect();
        rmap(words).good().text()
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", subject.word())).unwrap();
    let known = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap().trim_end_matches(" kB").trim();
    // A row that is called so has that number.
    let said: Vec<String> = answers
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.split_whitespace().any(|word| word == "file"))
        .collect();
    assert!(!said.is_empty() && said.iter().all(|line| line.split_whitespace().any(|word| word == known)), "{said:?}");
}

#[test]
fn the_titles_of_pmap_can_be_typed() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let pid = subject.word();
    let text = |words: &[&str]| rmap([&["pid", "-x", &pid], words].concat()).good().text();
    assert_eq!(text(&["--sort", "Kbytes"]), text(&["--sort", "size"]));
    assert_eq!(text(&["--sort", "-Kbytes"]), text(&["--sort", "-size"]));
    assert_eq!(text(&["-o", "+Kbytes,perm"]), text(&["-o", "+size,perm"]));
    assert_eq!(rmap(["pid", &pid, "-o", "Kbytes"]).good().text(), rmap(["pid", &pid, "-o", "size"]).good().text());
    // Its numbers would be taken for KiB.
    let line = refused(&["pid", "-x", &pid, "--filter", "Kbytes>1000"]);
    assert!(line.starts_with("--filter: ") && line.contains("Kbytes is called size: 'size > 1000K'"), "{line}");
}

#[test]
fn patterns_of_smem_match_anywhere() {
    let own = own_user();
    let rows = |pattern: &str| rmap(["smem", "-U", pattern, "--csv", "--columns", "user"]).text().lines().count();
    let _running = Subject::start(["anonymous:16:5"]);
    assert!(rows(&own[1..]) > 1 && rows(&format!("^{}", &own[1..])) == 1, "{own}");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refused(&["pcstat"]), "missing PATH, --pid, --name or --files-from; see `rmap pcstat --help`");
    assert_eq!(refused(&["evict"]), "missing PATH, --pid, --name or --files-from; see `rmap evict --help`");
    assert_eq!(refused(&["pid"]), "missing PID, --name, --match, --user, --cgroup or --smaps; see `rmap pid --help`");
    assert!(refused(&["pid", "abc"]).contains("'abc' for '[PID]...': not a pid; "));
}

#[test]
fn columns_are_sorted_by_their_titles_too() {
    let folder = memory();
    for (name, pages) in [("a", 1), ("b", 2)] {
        std::fs::write(folder.path().join(name), vec![1; pages * page() as usize]).unwrap();
    }
    let names = |sort: &[&str]| {
        let words = [&["pcstat", "-n", "-o", "filename"], sort, &["a", "b"]].concat();
        rmap_in(folder.path(), &words).good().text().split_whitespace().collect::<String>()
    };
    assert_eq!((names(&["--sort", "Cached"]), names(&["--sort", "-Cached"])), ("ba".to_owned(), "ab".to_owned()));
    assert_eq!((names(&["--sort"]), names(&["--sort=page size"])), ("ba".to_owned(), "ab".to_owned()));
    let neither = rmap_in(folder.path(), &["pcstat", "--sort", "nte", "a"]);
    let line = "rmap: --sort: 'nte' is neither a column nor a file; did you mean 'note'? See `rmap pcstat --help`\n";
    assert_eq!(neither.parts(), (2, String::new(), line.to_owned()));
}

#[test]
fn an_answer_without_rows_says_which_option_left_them_out() {
    let folder = memory();
    std::fs::write(folder.path().join("f"), "x").unwrap();
    let tree = folder.path().to_str().unwrap();
    for (words, line) in [
        (&["pid", "self", "-A", "1,2"][..], "rmap: -A: no row matches\n"),
        (&["pid", "self", "--filter", "rss > 1T"], "rmap: --filter: no row matches\n"),
        (&["pid", "self", "-A", "1,2", "--filter", "rss > 1", "--by", "kind"], "rmap: -A, --filter: no row matches\n"),
        (&["pcstat", "-R", tree, "--include", "*.db"], "rmap: --include: no row matches\n"),
        (&["pcstat", "-R", tree, "--range", "1G"], "rmap: --range: no file reaches byte 1073741824\n"),
        (&["pcstat", "-R", tree, "--range", "1G", "--runs"], "rmap: --range: no file reaches byte 1073741824\n"),
        (&["pcstat", "-R", tree, "--range", "1G", "--summary"], "rmap: --range: no file reaches byte 1073741824\n"),
        (&["pid", "self", "--filter", "rss > 0"], ""),
        (&["pcstat", "-R", tree, "--range", "0,1", "--include", "f"], ""),
        (&["pid", "self", "--filter", "rss > 1T", "--top", "0"], ""),
    ] {
        let table = rmap(words);
        // Nothing was found, and that is the whole answer.
        assert_eq!((table.status, table.err.as_str()), (Some(0), line), "{words:?}");
        let json = rmap([words, &["--json"]].concat());
        assert!(json.json().is_array() && json.err == line, "{words:?}: {json:?}");
    }
    // What could not be read might have matched.
    let failed = rmap(["pcstat", "/no/such/file", "--filter", "size > 1"]);
    assert_eq!((failed.status, failed.err.as_str()), (Some(1), "rmap: /no/such/file: no such file\n"));
    for (words, option) in [
        (&["pcstat", "/no/such/file", tree, "-R", "--filter", "size > 1G"][..], "--filter"),
        (&["pcstat", "/no/such/file", tree, "-R", "--filter", "size > 1G", "--by", "method"], "--filter"),
        (&["pid", "4194304", "self", "-A", "1,2"], "-A"),
    ] {
        let (status, _, err) = rmap(words).parts();
        let last = err.lines().last().unwrap_or_default();
        assert_eq!((status, last), (1, &*format!("rmap: {option}: no row that could be read matches")), "{words:?}");
    }
}

/// The text of `rmap COMMAND OPTION` on a terminal with this many columns.
fn help(subcommand: &str, option: &str, columns: &str) -> String {
    let mut command = command([subcommand, option]);
    command.env("COLUMNS", columns);
    run(command).good().text()
}

/// Whether a subcommand has the options of every list of rows.
fn has_rows(subcommand: &clap::Command) -> bool {
    subcommand.get_arguments().any(|argument| argument.get_long() == Some("filter"))
}

fn subcommands() -> Vec<String> {
    rmap::cli::command().get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect()
}

#[test]
fn short_help_fits_one_screen_and_long_help_has_everything() {
    for subcommand in rmap::cli::command().get_subcommands() {
        let name = subcommand.get_name();
        let (short, long) = (help(name, "-h", "80"), help(name, "--help", "80"));
        let lines = short.lines().count();
        let fewest = if has_rows(subcommand) { 17 } else { 5 };
        // The prompt comes below it.
        assert!((fewest..=23).contains(&lines), "rmap {name} -h has {lines} lines:\n{short}");
        assert!(short.contains(&format!("`rmap {name} --help` lists every option and column")), "{short}");
        for argument in subcommand.get_arguments() {
            let Some(option) = argument.get_long() else { continue };
            // What is refused in any case is not offered.
            let refused: &[&str] = match option {
                "watch" => &["diff", "demo", "trace", "lock"],
                "total" => &["demo", "trace"],
                _ => &[],
            };
            let is_offered = !refused.contains(&name);
            assert_eq!(long.contains(&format!("--{option}")), is_offered, "rmap {name} --help: --{option}");
        }
    }
}

#[test]
fn the_short_help_of_rmap_is_short_and_the_long_one_has_the_exit_status() {
    let mut narrow = command(["-h"]);
    narrow.env("COLUMNS", "80");
    let (short, long) = (run(narrow).good().text(), rmap(["--help"]).good().text());
    assert!(short.lines().count() <= 23 && !short.contains("Exit status"), "{short}");
    assert!(long.contains("Exit status: 0"), "{long}");
}

#[test]
fn help_names_the_titles_of_columns_that_their_ids_do_not_show() {
    let columns = [
        ("pid", "cache_unmapped", "Rest"),
        ("pid", "cache_range", "Range"),
        ("evict", "planned_pages", "To do"),
        ("evict", "left_pages", "Left"),
        ("pcstat", "recently_evicted_pages", "Recently"),
        ("pcstat", "evicted_pages", "Reclaimed"),
    ];
    for (subcommand, id, title) in columns {
        let text = help(subcommand, "--help", "200");
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{id} "))).unwrap();
        assert!(line.contains(&format!("  \"{title}\": ")), "{line}");
    }
    assert!(!help("pid", "--help", "200").contains("\"Rss\": "));
}

#[test]
fn help_says_what_a_lower_bound_is() {
    let commands = rmap::cli::command();
    let with_sums = |name: &String| commands.find_subcommand(name).is_some_and(has_rows);
    for name in subcommands().into_iter().filter(with_sums) {
        let text = help(&name, "--help", "200");
        assert_eq!(text.contains(">= before a sum means"), text.contains("--total"), "{name}");
    }
}

/// The commands at the end of `--help`.
fn examples(long: &str) -> Vec<String> {
    let (_, list) = long.split_once("\nExamples:\n").unwrap();
    list.lines().map(|line| line.trim_start().split("  ").next().unwrap().to_owned()).collect()
}

/// A process that is ended with this value.
struct Sleeping(Child);

impl Drop for Sleeping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_examples_of_help_work() {
    let folder = disk();
    std::fs::create_dir(folder.path().join("tree")).unwrap();
    for (name, size) in [("big.db", 1 << 17), ("tree/large.db", 1 << 20), ("tree/small.db", 5000)] {
        std::fs::write(folder.path().join(name), vec![1; size]).unwrap();
    }
    let sleeping = Sleeping(Command::new("sleep").arg("1000").spawn().unwrap());
    let pid = sleeping.0.id().to_string();
    let pages = [subcommands(), vec![String::new()]].concat();
    let commands = rmap::cli::command();
    // A busy machine may take longer than the default; a capture takes no time.
    let more_time = |words: &str| {
        let name = words.split(' ').next().filter(|name| !name.is_empty()).unwrap_or("overview");
        let command = commands.find_subcommand(name)?;
        let takes = command.get_arguments().any(|argument| argument.get_long() == Some("budget"));
        (takes && !words.contains("--budget") && !words.contains("--proc-root")).then_some("--budget 20")
    };
    for subcommand in pages {
        let long =
            if subcommand.is_empty() { rmap(["--help"]).good().text() } else { help(&subcommand, "--help", "200") };
        let examples = examples(&long);
        assert!((3..=6).contains(&examples.len()), "{subcommand}: {examples:?}");
        for example in examples {
            let words = example.strip_prefix("rmap").unwrap().trim_start();
            let words =
                words.replace("4690", &pid).replace("/srv/db", "tree").replace("64M", "1M").replace("later", "today");
            let program = program().display();
            // Some of them run until Ctrl-C; the others may wait for the disk.
            let is_endless = words.contains("-w ") || words.starts_with("lock") || words.contains("--hold");
            let run_for = |seconds: u32| {
                let mut shell = Command::new("/bin/bash");
                let more = more_time(&words).unwrap_or_default();
                shell.arg("-c").arg(format!("timeout --preserve-status -s INT {seconds} {program} {words} {more}"));
                shell.current_dir(folder.path());
                run(shell)
            };
            let mut run = run_for(if is_endless { 3 } else { 25 });
            if is_endless && run.status == Some(128 + 2) {
                // On a busy machine the signal may come before the work is done.
                run = run_for(20);
            }
            // Not even root may read every process everywhere.
            let words = [
                "permission denied: cannot read smaps_rollup",
                "could not be looked at, and may hold it too",
                "rmap: the capture: the memory of ",
                "rmap: the capture: its processes were read up to ",
                "this user may not read it",
                "they may not be read on one side",
                "compared by Rss, because",
                "is not known for 1 process",
                "no row that could be read matches",
                // It ended while it was looked at.
                "the process released it before it could be measured",
            ];
            // An ordinary user is told more often what he may not read.
            let more =
                ["denied", "run as root", "it needs root", "does not have all", "is not known for", " may be it: "];
            let is_root = nix::unistd::geteuid().is_root();
            let more = if is_root { &[][..] } else { &more };
            let is_denied = |line: &str| words.iter().chain(more).any(|words| line.contains(words));
            let is_denied = run.status == Some(1) && run.err.lines().all(is_denied);
            if is_denied {
                run.status = Some(0);
            }
            let is_missing = run.out.is_empty() && (is_root || !is_denied);
            assert_eq!((run.status, is_missing), (Some(0), false), "{example}: {}", run.err);
        }
    }
}

#[test]
fn an_option_that_another_command_has_is_not_only_unknown() {
    for command in ["ps", "files", "mem", "who", "cgroups", "warm", "evict", "pcstat"] {
        let line = "unknown option '--merge'; only rmap pid has it: Merge all processes into one list, set of \
                    groups or summary. ";
        assert_eq!(refused(&[command, "--merge"]), format!("{line}See `rmap {command} --help`"));
    }
}

#[test]
fn a_refusal_says_no_more_than_what_was_typed() {
    for (words, line) in [
        (
            &["pcstat", "--map", "--histo", "f"][..],
            "--map, --histo: each of these is a view of its own; choose one of them",
        ),
        (&["pid", "--smaps", "f", "--name", "x"], "--name: it selects processes, and --smaps reads a text"),
        (
            &["pid", "self", "--filter", "page_map=~x"],
            "--filter: =~ requires a text column, but 'page_map' is of the type strip (at character 11)",
        ),
        (&["mem", "-o", "xyzzy"], "xyzzy: unknown column: the rows of the account do not have it"),
        (
            &["pid", "self", "-w", "0"],
            "invalid value '0' for '--watch <SECS>': use a number of seconds in digits, greater than 0 and at most \
             1000000000, such as 0.5 or 2",
        ),
        (
            &["diff", "f", "-w", "1"],
            "-w: two states are compared once; -w of ps, files, mem and cgroups shows what changes from now on",
        ),
    ] {
        let typed = refused(words);
        assert_eq!(typed.split("; see `").next(), Some(line), "{words:?}");
    }
}

#[test]
fn no_help_has_two_empty_lines() {
    for name in subcommands() {
        let text = help(&name, "--help", "200");
        assert!(!text.contains("\n\n\n"), "{name}: {text}");
    }
}

/// The expressions that the help of `--filter` has, each after the option that shows such rows.
fn filters(long: &str) -> Vec<String> {
    let (_, list) = long.split_once("Show only matching rows: ").unwrap();
    let written = list.lines().next().unwrap().split(", with ");
    written.map(|filter| filter.replacen('\'', "--filter '", 1)).collect()
}

#[test]
fn the_filters_of_help_fit_the_rows_of_each_subcommand() {
    let folder = disk();
    std::fs::write(folder.path().join("file"), "text").unwrap();
    let in_shell = |words: &str| {
        let mut shell = Command::new("/bin/bash");
        shell.arg("-c").arg(format!("timeout -s INT 20 {} {words}", program().display())).current_dir(folder.path());
        run(shell)
    };
    in_shell("capture -o before.tar");
    let commands = rmap::cli::command();
    let is_filtered = |name: &String| commands.find_subcommand(name).is_some_and(has_rows);
    for subcommand in subcommands().into_iter().filter(is_filtered) {
        let operands = match subcommand.as_str() {
            "pid" => "self",
            "diff" => "before.tar",
            "demo" => "--size 1M",
            "trace" => "true",
            "warm" | "evict" => "--dry-run file",
            "mem" | "cgroups" | "ps" | "files" => "",
            _ => "file",
        };
        for filter in filters(&help(&subcommand, "--help", "200")) {
            // `trace` takes every word after the command for its arguments.
            let run = in_shell(&format!("{subcommand} {filter} {operands}"));
            assert!(run.status.is_some_and(|status| status != 2), "{subcommand} {filter}: {}", run.err);
        }
    }
}

#[test]
fn an_option_before_the_command_says_what_to_type() {
    let line = |instead| format!("ps: a command comes before its options; type `rmap {instead}`");
    // Which machine is read can come before the command, as far as there is a choice.
    let root = common::capture(&[(7, b"x\0", &common::mapping(0x1000_0000, 2, "rw-p", b"", 8))]);
    let root = root.path().to_str().unwrap();
    for words in [&["ps", "--tree", "--json"][..], &["pid", "7", "--json"], &["who", "/f", "--json"]] {
        let [before, after] = [0, 1].map(|place| {
            let mut words = words.to_vec();
            words.splice(place..place, ["--proc-root", root]);
            rmap(words).parts()
        });
        assert_eq!(before, after, "{words:?}");
    }
    assert!(refused(&["--proc-root", root, "pcstat", "f"]).starts_with("--proc-root: "));
    assert_eq!(refused(&["--filter", "rss > 1", "--sort", "rss", "ps"]), line("ps --filter 'rss > 1' --sort rss"));
    assert!(
        refused(&["-w", "1"]).starts_with("-w: not for the overview, which shows several lists once; `rmap mem`, ")
    );
    assert_eq!(refused(&["overview", "-w", "1"]), refused(&["-w", "1"]));
}
