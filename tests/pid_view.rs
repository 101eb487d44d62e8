//! `rmap pid` as a user sees it: pmap's options compared with pmap, filters and groups, the join with the page cache,
//! the summary, the page tables, the configuration file, and processes that may not be read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the helpers serve several test programs")]

mod common;

use std::fs;
use std::process::Command;

use common::{ForEveryone, Running, Subject, capture, command, mapping, page, rmap, run};
use serde_json::Value;

fn stopped<'a>(acts: impl IntoIterator<Item = &'a str>) -> Subject {
    let subject = Subject::start(acts);
    subject.stop();
    subject
}

/// The lines of pmap; `None` if it is not installed.
fn pmap(arguments: &[&str]) -> Option<Vec<String>> {
    match Command::new("pmap").args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()),
        Err(_) => {
            eprintln!("SKIPPED: pmap is not installed (procps)");
            None
        }
    }
}

/// The words at these positions of every line that begins with an address, which is converted to a number.
fn figures(lines: &[String], places: std::ops::Range<usize>) -> Vec<(u64, Vec<String>)> {
    let words = lines.iter().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words
        .filter_map(|words| Some((u64::from_str_radix(words.first().filter(|word| word.len() > 7)?, 16).ok()?, words)))
        .map(|(address, words)| (address, words[places.clone()].to_vec()))
        .collect()
}

fn lines(arguments: &[&str]) -> Vec<String> {
    rmap(arguments).good_of_own_files().text().lines().map(str::to_owned).collect()
}

#[test]
fn the_extended_format_has_pmaps_figures_and_its_total() {
    let subject = stopped(["anonymous:8:3", "memfd:9:4"]);
    let pid = subject.word();
    let Some(theirs) = pmap(&["-x", &pid]) else { return };
    let ours = lines(&["pid", "-x", &pid]);
    assert_eq!(figures(&ours, 1..5), figures(&theirs, 1..5));
    let last =
        |lines: &[String]| lines.last().unwrap().split_whitespace().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(last(&ours), last(&theirs));
    assert!(ours[1].contains("Kbytes") && ours[1].contains("RSS") && ours[1].contains("Mode"), "{}", ours[1]);
}

#[test]
fn the_device_format_has_pmaps_figures_and_last_line() {
    let subject = stopped(["anonymous:8:3", "memfd:9:4"]);
    let pid = subject.word();
    let Some(theirs) = pmap(&["-d", &pid]) else { return };
    let ours = lines(&["pid", "-d", &pid]);
    assert_eq!(figures(&ours, 1..3), figures(&theirs, 1..3));
    assert_eq!(ours.last(), theirs.last());
}

#[test]
fn uppercase_x_shows_every_field_in_the_kernels_order() {
    let subject = stopped(["anonymous:8:3"]);
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", subject.word())).unwrap();
    let keys = smaps.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    let first: Vec<&str> = keys.take_while(|key| !key.contains('-')).collect();
    for letters in ["-X", "-XX"] {
        let header = lines(&["pid", letters, &subject.word()])[1].clone();
        let titles: Vec<&str> = header.split_whitespace().collect();
        assert_eq!(titles[..5], ["Address", "Perm", "Offset", "Device", "Inode"]);
        assert_eq!(titles[5..titles.len() - 1], first);
        assert_eq!(titles.last(), Some(&"Mapping"));
    }
}

#[test]
fn a_total_covers_exactly_the_rows_that_are_shown() {
    let maps = [mapping(0x1000_0000, 2, "rw-p", b"", 8), mapping(0x2000_0000, 4, "r--p", b"/a/b", 4)].concat();
    let root = capture(&[(7, b"x\0", &maps)]);
    let root = root.path().to_str().unwrap();
    let total = |more: &[&str]| -> String {
        let all = [&["pid", "7", "--proc-root", root, "-o", "address,size,rss"], more].concat();
        lines(&all).last().unwrap().split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(total(&[]), "24 12");
    assert_eq!(total(&["-A", "10000000,10001fff"]), "8 8");
    assert_eq!(total(&["-A", "20000000"]), "16 4");
    assert_eq!(total(&["--filter", "rss < size"]), "16 4");
    assert_eq!(total(&["--top", "1"]), "8 8");
    assert_eq!(total(&["--sort", "size", "--top", "1"]), "16 4");
    assert_eq!(total(&["--sort", "-size", "--top", "1"]), "8 8");
}

#[test]
fn quiet_keeps_the_process_and_its_rows() {
    let maps = mapping(0x1000_0000, 2, "rw-p", b"", 8);
    let root = capture(&[(7, b"x\0", &maps)]);
    let out = lines(&["pid", "7", "-q", "-x", "-o", "+pss", "--proc-root", root.path().to_str().unwrap()]);
    assert_eq!(out, ["7:   x", "000010000000 8 8 - rw--- 8 [anon]"]);
}

#[test]
fn mappings_are_grouped_with_counts_and_sums() {
    let one = [
        mapping(0x1000_0000, 2, "r-xp", b"/lib/a.so", 8),
        mapping(0x2000_0000, 4, "rw-p", b"/lib/a.so", 4),
        mapping(0x3000_0000, 1, "rw-p", b"", 4),
    ]
    .concat();
    let root = capture(&[(7, b"x\0", &one), (8, b"y\0", &one)]);
    let root = root.path().to_str().unwrap();
    let merged = rmap(["pid", "7", "8", "--proc-root", root, "--merge", "--by", "file", "--json"]).good().json();
    let groups = merged["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let first = &groups[0];
    assert_eq!(
        (&first["mapping"], &first["mappings"], &first["processes"]),
        (&"/lib/a.so".into(), &4.into(), &2.into())
    );
    assert_eq!((&first["rss"], &first["size"]), (&Value::from(24 << 10), &Value::from(12 * 4096)));
    // What is added up of both is said.
    let line = "\nRss counts shared memory in each process that maps it; Pss divides it\n";
    let says =
        |arguments: &[&str]| rmap([&["pid", "--proc-root", root], arguments].concat()).good().text().ends_with(line);
    assert!(says(&["7", "8", "--merge"]) && says(&["7", "8", "--merge", "--by", "file", "-o", "rss"]));
    assert!(says(&["7", "8", "--by", "command"]), "grouped by processes, they are added up, too");
    assert!(!says(&["7", "8", "--merge", "-o", "pss"]) && !says(&["7", "--merge"]) && !says(&["7", "8"]));
    assert!(!says(&["7", "8", "--merge", "--by", "kind", "-o", "pss"]), "what only is read is not added up");
    let apart = rmap(["pid", "7", "8", "--proc-root", root, "--by", "perm", "--json"]).good().json();
    assert_eq!(apart.as_array().unwrap().len(), 2);
    assert_eq!(apart[0]["groups"][0]["perm"], "r-xp");
    assert_eq!(rmap(["pid", "7", "--proc-root", root, "--by", "dir", "--json"]).json()[0]["groups"][0]["dir"], "/lib");
}

#[test]
fn the_cache_view_distinguishes_cached_mapped_and_copied_pages() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let (shared, own) = (folder.path().join("shared"), folder.path().join("own"));
    let (shared, own) = (shared.to_str().unwrap(), own.to_str().unwrap());
    let acts = [format!("shared:{shared}:16:5"), format!("private:{own}:16:8:3"), "memfd:9:4".to_owned()];
    let subject = stopped(acts.iter().map(String::as_str));
    let filter = format!("dir == {} || mapping =~ 'memfd:subject'", folder.path().display());
    let out = rmap(["pid", &subject.word(), "--cache", "--json", "--filter", &filter]).good_of_own_files().json();
    let rows = out[0]["mappings"].as_array().unwrap();
    let pages = |count: u64| Value::from(count * page());
    let row = |path: &str| rows.iter().find(|row| row["path"] == *path).unwrap();
    let figures = |row: &Value| {
        ["rss", "cache_range", "cache_cached", "cache_mapped", "cache_unmapped"].map(|name| row[name].clone())
    };
    assert_eq!(figures(row(shared)), [5, 16, 16, 5, 11].map(pages));
    // Three of the eight pages that are mapped in are now private copies.
    assert_eq!(figures(row(own)), [8, 8, 8, 5, 3].map(pages));
    let memfd = rows.iter().find(|row| row["kind"] == "memfd").unwrap();
    if !nix::unistd::geteuid().is_root() {
        let why = memfd["absent"]["cache_cached"].as_str().unwrap_or_default();
        assert!(why.starts_with("denied: nothing has the name of its file any more; root"), "{memfd}");
        return eprintln!("SKIPPED: only root opens a memfd through map_files");
    }
    assert_eq!((&memfd["cache_file"], &memfd["deleted"]), (&"map_files".into(), &true.into()), "{memfd}");
    assert_eq!(figures(memfd), [4, 9, 4, 4, 0].map(pages));
}

#[test]
fn the_summary_has_the_sums_of_the_kernel() {
    let subject = stopped(["anonymous:64:40", "memfd:9:4"]);
    let word = subject.word();
    let rollup = fs::read_to_string(format!("/proc/{word}/smaps_rollup")).unwrap();
    let kernel = |name: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    let out = rmap(["pid", &word, "--summary", "--json"]).good().json();
    let part = |name: &str| {
        let parts = out[0]["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).unwrap()["amount"].as_u64().unwrap()
    };
    assert_eq!(part("resident"), kernel("Rss"));
    assert_eq!(part("anonymous"), kernel("Anonymous"));
    assert_eq!(part("clean") + part("unproven"), kernel("Shared_Clean") + kernel("Private_Clean"));
    assert_eq!(part("dirty"), kernel("Shared_Dirty") + kernel("Private_Dirty"));
    assert_eq!(part("clean") + part("unproven") + part("dirty"), part("resident"));
    assert_eq!(part("shared_memory"), 4 * page());
}

#[test]
fn locked_memory_is_not_reclaimable() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("x");
    let subject = stopped([format!("shared:{}:20:13", path.display()).as_str(), "locked:6"]);
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", subject.word())).unwrap();
    let (mut clean, mut here) = (0, 0);
    for line in smaps.lines() {
        let kib = || line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        match line.split(':').next().unwrap() {
            "Shared_Clean" | "Private_Clean" => here += kib() << 10,
            "VmFlags" if line.contains(" lo") => here = 0,
            "VmFlags" => clean += std::mem::take(&mut here),
            _ => {}
        }
    }
    let out = rmap(["pid", &subject.word(), "--summary", "--json"]).good().json();
    let parts = out[0]["parts"].as_array().unwrap();
    let part = |name: &str| parts.iter().find(|part| part["part"] == name).unwrap();
    let amount = |name: &str| part(name)["amount"].as_u64().unwrap();
    assert_eq!((amount("clean") + amount("unproven"), &part("clean")["source"]), (clean, &"smaps".into()));
    assert_eq!(amount("clean") + amount("unproven") + amount("dirty"), amount("resident"));
}

#[test]
fn flat_formats_name_the_process_of_each_sum() {
    let one = mapping(0x1000_0000, 2, "r-xp", b"/lib/a.so", 8);
    let root = capture(&[(7, b"x\0", &one), (8, b"y\0", &one)]);
    let root = root.path().to_str().unwrap();
    for view in [&["--summary"][..], &["--by", "kind"]] {
        let flat = |format| rmap([&["pid", "7", "8", "--proc-root", root, format], view].concat()).good();
        let rows = flat("--jsonl").lines_of_json();
        assert_eq!((&rows[0]["pid"], &rows[rows.len() - 1]["pid"]), (&7.into(), &8.into()), "{view:?}");
        let csv = flat("--csv").text();
        assert!(csv.starts_with("pid,") && csv.lines().nth(1).unwrap().starts_with("7,"), "{csv}");
    }
}

#[test]
fn figures_that_do_not_apply_do_not_make_a_sum_incomplete() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: the kernel reports the cached pages of libraries only to their owner");
    }
    let subject = stopped(["anonymous:8:3"]);
    let out = rmap(["pid", &subject.word(), "--by", "kind", "--cache", "--json"]).good().json();
    let groups = out[0]["groups"].as_array().unwrap();
    let stack = groups.iter().find(|group| group["kind"] == "stack").unwrap();
    assert!(stack["cache_cached"].is_null());
    assert!(stack["absent"]["cache_cached"].as_str().unwrap().starts_with("not applicable"), "{stack}");
    assert!(out[0]["total"]["cache_cached"].as_u64().unwrap() > 0);
    assert!(out[0]["total"]["rows_without_figure"]["cache_cached"].is_null(), "{}", out[0]["total"]);
}

#[test]
fn options_without_effect_are_rejected() {
    for options in [
        &["-x", "-o", "rss"][..],
        &["-x", "--json"],
        &["--by", "kind", "-x"],
        &["--by", "kind", "-d"],
        &["--by", "kind", "-X"],
        &["--by", "kind", "-o", "perm,rss"],
        &["--summary", "--total"],
        &["--summary", "--cache"],
        &["--summary", "--by", "kind"],
        &["--summary", "-A", "1000"],
        &["--by", "kind", "-o", "nope"],
    ] {
        let run = rmap([&["pid", "self"], options].concat());
        assert_eq!((run.status, run.out.len()), (Some(2), 0), "{options:?}: {run:?}");
    }
}

#[test]
fn added_columns_are_shown_next_to_those_of_a_view() {
    let header = |options: &[&str]| lines(&[&["pid", "self"], options].concat())[1].clone();
    let titles = |options: &[&str]| header(options).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(titles(&["--cache", "-o", "rss,mapping"]), "Rss Range Cached Mapped Rest Method Mapping");
    assert_eq!(titles(&["--cache", "-o", "rss,cache_cached"]), "Rss Cached");
    assert_eq!(titles(&["--by", "kind", "-o", "mappings"]), "Mappings Kind");
    let groups = titles(&["--by", "kind", "--cache", "-o", "rss"]);
    assert_eq!(groups, "Rss Range Cached Mapped Rest Kind");
    // Strips cannot be added up, but what they show can.
    let groups = titles(&["--by", "kind", "--map", "-o", "rss"]);
    assert_eq!(groups, "Rss Present Swapped File-backed Zero page Huge Guard Kind");
    // If the last column is not a name, columns are added at the end.
    assert_eq!(titles(&["-x", "-o", "+pss"]), "Address Kbytes RSS Dirty Mode Pss Mapping");
    let strips = rmap(["pid", "self", "--map", "-o", "rss"]).good().text();
    let strips: Vec<&str> = strips.lines().collect();
    assert!(strips[1].trim() == "Rss" && strips[2].trim().parse::<u64>().is_ok() && strips[3].starts_with("  "));
}

#[test]
fn columns_in_filters_and_orders_are_measured() {
    let subject = stopped(["anonymous:16:5"]);
    let start = &subject.made[0].start;
    let out = rmap(["pid", &subject.word(), "--json", "-o", "start", "--filter", "map_present == 20K"]).good().json();
    if page() == 4096 {
        assert!(out[0]["mappings"].as_array().unwrap().iter().any(|row| row["start"] == start.as_str()), "{out}");
    }
    let out = rmap(["pid", &subject.word(), "--json", "--sort", "cache_cached", "-o", "cache_cached,path"])
        .good_of_own_files()
        .json();
    assert!(out[0]["mappings"][0]["cache_cached"].as_u64().unwrap() > 0, "{out}");
}

#[test]
fn views_fit_the_width_of_a_terminal() {
    let widest = |options: &[&str]| lines(options).iter().skip(1).map(|line| line.chars().count()).max().unwrap();
    assert!(widest(&["pid", "self", "--summary"]) <= 80);
    assert!(widest(&["pid", "self", "--cache"]) <= 100);
}

#[test]
fn the_page_map_shows_which_pages_are_present() {
    let subject = stopped(["anonymous:16:5", "memfd:8:4"]);
    let start = &subject.made[0].start;
    let columns = "map_present,map_file,page_map";
    let out = rmap(["pid", &subject.word(), "--map", "--json", "-A", start, "-o", columns]).good().json();
    let row = &out[0]["mappings"][0];
    assert_eq!(row["page_map"], "#####...........");
    assert_eq!((&row["map_present"], &row["map_file"]), (&Value::from(5 * page()), &Value::from(0)));
    let strips = rmap(["pid", &subject.word(), "--map", "-A", &subject.made[1].start]).good().text();
    assert!(strips.contains("\n  ####....\n  FFFF\n"), "{strips}");
}

#[test]
fn the_configuration_affects_only_tables() {
    let maps = mapping(0x1000_0000, 2, "rw-p", b"", 8);
    let root = capture(&[(7, b"x\0", &maps)]);
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("rmap")).unwrap();
    let file = home.path().join("rmap/config.toml");
    fs::write(&file, "[pid]\ncolumns = [\"size\", \"perm\"]\nunit = \"bytes\"\n").unwrap();
    let with = |more: &[&str]| {
        let mut command = command([&["pid", "7", "--proc-root", root.path().to_str().unwrap()], more].concat());
        command.env("XDG_CONFIG_HOME", home.path());
        run(command)
    };
    let text = with(&["-n", "--no-total"]).good().text();
    assert_eq!(text, "8192 rw-p\n");
    assert_eq!(with(&["-n", "--no-total", "-o", "rss"]).good().text(), "8192\n");
    assert_eq!(with(&["-n", "--no-total", "-o", "rss", "--no-config"]).good().text(), "8\n");
    assert_eq!(with(&["--json"]).good().text(), with(&["--json", "--no-config"]).good().text());
    fs::write(&file, "[pid]\ncolumns = [\n  \"sise\",\n]\n").unwrap();
    let refused = with(&[]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.err.starts_with(&format!("rmap: {}:3: unknown column 'sise'", file.display())), "{}", refused.err);
    let named = with(&["--config", "/nonexistent/rmap.toml"]);
    assert_eq!((named.status, named.complaints().len()), (Some(2), 1));
}

#[test]
fn only_a_regular_file_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (fifo, long) = (folder.path().join("fifo"), folder.path().join("long"));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(&long, "#\n".repeat(1 << 20)).unwrap();
    for (path, why) in [
        (fifo.to_str().unwrap(), "not a regular file"),
        (folder.path().to_str().unwrap(), "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (long.to_str().unwrap(), "longer than 1 MiB"),
    ] {
        let refused = rmap(["--config", path, "pid", "self"]);
        assert_eq!((refused.status, refused.complaints().len()), (Some(2), 1), "{refused:?}");
        assert!(refused.err.starts_with(&format!("rmap: {path}: ")) && refused.err.contains(why), "{}", refused.err);
    }
}

#[test]
fn watching_ignores_rows_that_only_enter_or_leave_the_selection() {
    let two =
        |one, other| [mapping(0x1000_0000, 2, "rw-p", b"", one), mapping(0x2000_0000, 2, "rw-p", b"", other)].concat();
    let root = capture(&[(7, b"x\0", &two(8, 4))]);
    let folder = root.path().to_str().unwrap();
    let options = ["pid", "7", "--proc-root", folder, "-w", "0.05", "--jsonl", "-o", "start,rss", "--top", "1"];
    let mut watching = Running::start(command(options));
    assert_eq!(watching.row()["start"], "10000000");
    let staged = tempfile::tempdir_in(root.path()).unwrap();
    fs::write(staged.path().join("smaps"), two(0, 8)).unwrap();
    fs::rename(staged.path().join("smaps"), root.path().join("7/smaps")).unwrap();
    let changed = (0..500).map(|_| watching.row()).find(|row| !row["fate"].is_null()).unwrap();
    assert_eq!((&changed["fate"], &changed["start"]), (&"changed".into(), &"20000000".into()));
    assert_eq!(changed["rss_change"], Value::from(4096));
    // The next round is unchanged: the other mapping still exists, so it is not reported as gone.
    assert_eq!((&watching.row()["fate"], &watching.row()["start"]), (&Value::Null, &"20000000".into()));
}

#[test]
fn the_public_figures_of_another_users_process_are_shown() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = stopped(["anonymous:64:40"]);
    let refused = everyone.rmap(["pid", &subject.word()]);
    assert_eq!(refused.status, Some(1));
    assert_eq!(refused.complaints().len(), 1, "{}", refused.err);
    assert!(refused.err.contains("cannot read smaps") && refused.err.contains("run as root"), "{}", refused.err);
    let text = refused.text();
    assert_eq!(text.lines().count(), 2, "{text}");
    let status: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(status[0], "vmrss");
    // Its unit is named, because no title is.
    assert!(status[1].strip_suffix('K').unwrap().parse::<u64>().unwrap() > 0, "{text}");
    // Without headers it still shows its figures; merged it has no rows and no total.
    assert_eq!(everyone.rmap(["pid", "-n", &subject.word()]).text().trim_start().split(' ').next(), Some("vmrss"));
    assert_eq!(everyone.rmap(["pid", "--merge", &subject.word()]).text(), "");
    let summary = everyone.rmap(["pid", "--summary", &subject.word()]).text();
    let line = |part: &str| summary.lines().find(|line| line.starts_with(part)).unwrap().to_owned();
    assert!(!line("resident").contains(" - ") && line("private").contains(" - "), "{summary}");
    let machine = everyone.rmap(["pid", "--json", &subject.word()]);
    let document = machine.json();
    let process = &document[0];
    assert_eq!((machine.status, &process["mappings"]), (Some(1), &Value::Array(Vec::new())));
    assert_eq!(process["pid"], subject.pid());
    assert!(process["denied"].as_str().unwrap().contains("permission denied") && process["total"].is_null());
    let parts = ["rssanon", "rssfile", "rssshmem"].map(|key| process["status"][key].as_u64().unwrap());
    assert_eq!(process["status"]["vmrss"], parts.iter().sum::<u64>());
    let header = |run: &common::Run| run.text().lines().next().unwrap().to_owned();
    assert_eq!(header(&everyone.rmap(["pid", "--csv", &subject.word()])), header(&rmap(["pid", "--csv", "self"])));
}

#[test]
fn watching_a_process_ends_when_it_exits() {
    let subject = stopped(["anonymous:64:40"]);
    let word = subject.word();
    let mut watching = Running::start(command(["pid", &word, "-w", "0.05", "-o", "address,rss"]));
    assert!(watching.line().starts_with(&format!("{word}:   ")));
    let mut lines = (0..500).map(|_| watching.line());
    assert!(lines.any(|line| line.trim_start().starts_with("total KiB ")));
    drop(subject);
    assert_eq!(watching.wait(), Some(1));
}

#[test]
fn watching_a_denied_process_shows_its_status() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = stopped(["anonymous:64:40"]);
    let mut watch = Command::new("timeout");
    watch.args(["-s", "INT", "0.5"]).arg(everyone.program()).args(["pid", &subject.word(), "-w", "0.1"]);
    std::os::unix::process::CommandExt::uid(&mut watch, common::NOBODY);
    let text = run(watch).text();
    assert!(text.lines().filter(|line| line.starts_with("  vmrss ")).count() > 1, "{text}");
}

#[test]
fn the_status_of_a_denied_process_goes_with_it() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = stopped(["anonymous:64:40"]);
    let mut watch = Command::new(everyone.program());
    watch.args(["pid", &subject.word(), "-w", "0.05", "--json"]);
    std::os::unix::process::CommandExt::uid(&mut watch, common::NOBODY);
    let mut watching = Running::start(watch);
    // Each further round begins with the end of the line of the one before.
    let first = watching.line() + &watching.line();
    drop(subject);
    let (status, rest) = watching.rest();
    let document: Value = serde_json::from_str(&(first + &rest)).unwrap();
    let (last, before) = document.as_array().unwrap().split_last().unwrap();
    assert!(before.iter().all(|round| round["status"]["vmrss"].is_u64() && round["denied"].is_string()), "{document}");
    assert!(!before.is_empty() && last["pid"] == before[0]["pid"] && last["mappings"] == Value::Array(Vec::new()));
    assert_eq!((status, last.get("status"), last.get("denied"), last.get("total")), (Some(1), None, None, None));
}

#[test]
fn an_invalid_filter_is_wrong_usage_in_one_line_with_the_place_of_the_error() {
    let wrong = rmap(["pid", "self", "--filter", "rss > 10M && sise > 1"]);
    assert_eq!((wrong.status, wrong.complaints().len()), (Some(2), 1), "{}", wrong.err);
    let end = "(at character 14); see `rmap pid --help`\n";
    assert!(wrong.err.starts_with("rmap: --filter: ") && wrong.err.ends_with(end), "{}", wrong.err);
}

#[test]
fn files_can_be_filtered_with_the_same_expressions() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    for (name, length) in [("small", 100), ("large", 50_000)] {
        fs::write(folder.path().join(name), vec![1; length]).unwrap();
    }
    let [small, large] = ["small", "large"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let shown = |filter: &str| {
        rmap(["pcstat", "-n", "--bname", "-o", "filename", "--filter", filter, &small, &large]).good().text()
    };
    assert_eq!(shown("size > 10K && percent == 100"), "large\n");
    assert_eq!(shown("cached < 2"), "small\n");
    assert_eq!(rmap(["pcstat", "--filter", "sise > 1", &small]).status, Some(2));
}

#[test]
fn watching_marks_new_and_gone_mappings() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "rw-p", b"", 8))]);
    let smaps = root.path().join("7/smaps");
    let mut watching =
        command(["pid", "7", "--proc-root", root.path().to_str().unwrap(), "-w", "0.05", "--jsonl", "-o", "start,rss"]);
    let mut child = watching.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let rows = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut seen = Vec::new();
    for row in rows.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()) {
        if seen.is_empty() {
            // In one step, so that no round sees an intermediate state.
            let [grown, new] = [mapping(0x1000_0000, 2, "rw-p", b"", 4), mapping(0x2000_0000, 1, "r--p", b"/a", 4)];
            let folder = tempfile::tempdir_in(root.path()).unwrap();
            fs::write(folder.path().join("smaps"), [grown, new].concat()).unwrap();
            fs::rename(folder.path().join("smaps"), &smaps).unwrap();
        }
        seen.push(row["fate"].clone());
        if row["fate"] == "new" {
            assert_eq!((&row["start"], &row["rss"]), (&"20000000".into(), &Value::from(4096)));
            break;
        }
        if row["fate"] == "changed" {
            assert_eq!(row["rss_change"], Value::from(-4096));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen.contains(&"changed".into()) && seen.contains(&"new".into()), "{seen:?}");
}
