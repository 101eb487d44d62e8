//! `rmap demo --acts`: each act has the effect that the kernel's documentation promises, on every kind of memory, and
//! nothing is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::mounted_as;
use crate::common::{ForEveryone, Run, Subject, command, disk, has, page, program, rmap, run, wait_until};
use crate::{names, refused};

const MIB: u64 = 1 << 20;

/// Runs an experiment. The kernel may reclaim pages meanwhile, which it then says; such a run is repeated.
pub(crate) fn held(options: &[&str]) -> Vec<Value> {
    for _ in 0..5 {
        let run = rmap([&["demo", "--jsonl"], options].concat());
        let rows = run.lines_of_json();
        let all_hold = rows.iter().all(|row| row["holds"] == true);
        assert_eq!(run.status, Some(i32::from(!all_hold)), "{run:?}");
        if all_hold {
            return rows;
        }
        let wrong: Vec<&Value> = rows.iter().filter(|row| row["holds"] != true).collect();
        assert!(wrong.iter().all(|row| row["difference"].as_str().unwrap().contains("likely because")), "{wrong:?}");
        eprintln!("not everything held, again: {wrong:?}");
    }
    panic!("five times not everything held: {options:?}");
}

/// The figures of an act, in MiB.
fn figures<const N: usize>(rows: &[Value], act: &str, keys: [&str; N]) -> [Value; N] {
    let row = rows.iter().find(|row| row["act"] == act).unwrap_or_else(|| panic!("no {act}: {rows:?}"));
    keys.map(|key| row[key].as_u64().map_or(row[key].clone(), |bytes| (bytes as f64 / MIB as f64).into()))
}

fn mib<const N: usize>(figures: [u64; N]) -> [Value; N] {
    figures.map(|figure| (figure as f64).into())
}

const VIEWS: [&str; 4] = ["rss", "pss", "anonymous", "cached_bytes"];

#[test]
fn a_shared_file_is_its_page_cache() {
    let folder = disk();
    let file = folder.path().join("f");
    let rows = held(&["--acts", "all", "--size", "8M", "--file", file.to_str().unwrap()]);
    let seen = |act| figures(&rows, act, VIEWS);
    assert_eq!(figures(&rows, "map", ["size", "rss", "cached_bytes"]), mib([8, 0, 0]));
    assert_eq!(seen("fill"), mib([8, 8, 0, 8]));
    assert_eq!(figures(&rows, "msync", ["rss", "cached_bytes", "dirty"]), mib([8, 8, 0]));
    assert_eq!(seen("dontneed"), mib([0, 0, 0, 8]), "only the page table is empty");
    assert_eq!(seen("read"), mib([8, 8, 0, 8]));
    assert_eq!(seen("second")[3], mib([8])[0], "two processes, and the page cache has the pages once");
    assert!((seen("second")[1].as_f64().unwrap() - 4.0).abs() < 0.01, "{:?}", seen("second"));
    assert_eq!(seen("mremap"), mib([8, 8, 0, 8]));
    assert_eq!(figures(&rows, "munmap", ["size", "cached_bytes"]), [Value::Null, mib([8])[0].clone()]);
    assert_eq!(figures(&rows, "evict", ["cached_bytes"]), mib([0]));
    let last = rows.last().unwrap();
    assert_eq!(
        (&last["act"], &last["rss"]),
        (&"unlink".into(), &(8 * MIB).into()),
        "the name is gone, the pages are not"
    );
    let faults = rows.iter().filter(|row| row["act"] == "quarter" || row["act"] == "half");
    assert!(
        faults.map(|row| row["minor_faults"].as_u64().unwrap()).all(|faults| faults >= 2 * MIB / page()),
        "{rows:?}"
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn private_pages_are_copied_when_they_are_written() {
    let rows = held(&["--kind", "private", "--size", "8M"]);
    assert_eq!(figures(&rows, "create", ["cached_bytes"]), mib([8]));
    assert_eq!(figures(&rows, "half", ["anonymous", "cached_bytes"]), mib([4, 8]));
    assert_eq!(figures(&rows, "fill", VIEWS), mib([8, 8, 8, 8]));
    assert!((figures(&rows, "fork", ["pss"])[0].as_f64().unwrap() - 4.0).abs() < 0.01, "{rows:?}");
    assert_eq!(figures(&rows, "dontneed", VIEWS), mib([0, 0, 0, 8]));
    assert_eq!(figures(&rows, "read", VIEWS), mib([8, 8, 0, 8]), "the page cache was never changed");
    let read = held(&["--kind", "private", "--acts", "create,map,fill", "--read", "--size", "8M"]);
    assert_eq!(figures(&read, "fill", VIEWS), mib([8, 8, 0, 8]));
}

#[test]
fn memory_without_a_file_is_anonymous_or_in_memory_only() {
    let anon = held(&["--kind", "anon", "--size", "8M"]);
    assert_eq!(figures(&anon, "touch", ["rss"]), mib([0]), "the page of zeros");
    assert_eq!(figures(&anon, "fill", ["rss", "anonymous"]), mib([8, 8]));
    assert_eq!(figures(&anon, "dontneed", ["rss", "anonymous"]), mib([0, 0]));
    let random = held(&["--kind", "anon", "--acts", "map,quarter,half,fill", "--pattern", "random", "--size", "8M"]);
    assert_eq!(["quarter", "half", "fill"].map(|act| figures(&random, act, ["rss"])), [mib([2]), mib([4]), mib([8])]);
    let memfd = held(&["--kind", "memfd", "--size", "8M"]);
    assert_eq!(figures(&memfd, "fill", VIEWS), mib([8, 8, 0, 8]));
    assert_eq!(figures(&memfd, "evict", ["cached_bytes"]), mib([8]), "there is no disk");
    let stack = held(&["--kind", "stack", "--size", "2M"]);
    assert!(figures(&stack, "fill", ["anonymous"])[0].as_f64().unwrap() >= 2.0);
    if nix::unistd::geteuid().is_root() {
        let shmem = held(&["--kind", "shmem", "--size", "8M"]);
        assert_eq!(figures(&shmem, "fill", VIEWS), mib([8, 8, 0, 8]));
        assert_eq!(figures(&shmem, "dontneed", VIEWS), mib([0, 0, 0, 8]));
    }
}

#[test]
fn the_heap_gives_back_what_is_at_its_end() {
    if cfg!(not(target_env = "gnu")) {
        return eprintln!("SKIPPED: this is about glibc");
    }
    let rows = held(&["--kind", "heap", "--size", "8M"]);
    let rss: Vec<u64> = rows.iter().map(|row| row["rss"].as_u64().unwrap() / MIB).collect();
    let acts: Vec<&str> = rows.iter().map(|row| row["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["small", "fill", "keep", "trim", "free", "large", "fill", "free"]);
    assert_eq!(rss, [0, 8, 8, 0, 0, 0, 8, 0]);
    let size: Vec<u64> = rows.iter().map(|row| row["size"].as_u64().unwrap() / MIB).collect();
    assert_eq!(size, [8, 8, 8, 8, 0, 8, 8, 0]);
}

#[test]
fn huge_pages_are_in_neither_rss_nor_the_page_cache() {
    let reserved = "/proc/sys/vm/nr_hugepages";
    let before = fs::read_to_string(reserved).unwrap_or_default();
    if before.trim() != "0" || fs::write(reserved, "8").is_err() {
        return eprintln!("SKIPPED: no huge pages can be reserved here");
    }
    let is_reserved = fs::read_to_string(reserved).unwrap().trim() == "8";
    let rows = is_reserved.then(|| held(&["--kind", "hugetlb", "--size", "8M"]));
    fs::write(reserved, "0").unwrap();
    let Some(rows) = rows else { return eprintln!("SKIPPED: there is no memory for huge pages") };
    assert_eq!(figures(&rows, "fill", ["hugetlb", "rss"]), mib([8, 0]));
    assert_eq!(figures(&rows, "dontneed", ["hugetlb"]), mib([0]));
    let none = rmap(["demo", "--kind", "hugetlb", "--size", "8M"]);
    assert!(none.status == Some(1) && none.err.contains("sysctl vm.nr_hugepages="), "{none:?}");
}

#[test]
fn every_act_holds_on_ext4() {
    holds_on("ext4", "truncate -s 300M image; mkfs.ext4 -q image; mkdir disk; mount -o loop image disk");
}

#[test]
fn every_act_holds_on_xfs() {
    holds_on("xfs", "truncate -s 400M image; mkfs.xfs -q image; mkdir disk; mount -o loop image disk");
}

#[test]
fn every_act_holds_on_btrfs() {
    holds_on("btrfs", "truncate -s 300M image; mkfs.btrfs -q image; mkdir disk; mount -o loop image disk");
}

#[test]
fn every_act_holds_on_tmpfs() {
    holds_on("tmpfs", "mkdir disk");
}

/// What is written is only in memory there, too.
#[test]
fn every_act_holds_on_overlay_in_memory() {
    let made = "mkdir disk upper work lower; mount -t overlay overlay disk";
    holds_on("overlay_in_memory", &format!("{made} -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work"));
}

#[test]
fn every_act_holds_on_ramfs() {
    holds_on("ramfs", "mkdir disk; mount -t ramfs ramfs disk");
}

fn holds_on(kind: &str, mount: &str) {
    let name = format!("acts::every_act_holds_on_{kind}");
    let Some(folder) = mounted_as(&name, mount) else { return };
    let file = folder.join("disk/f");
    let file = ["--file", file.to_str().unwrap(), "--size", "8M"];
    for options in
        [&["--kind", "shared"][..], &["--kind", "private"], &["--pattern", "random"], &["--advice", "random"]]
    {
        let rows = held(&[options, &file].concat());
        let cached = figures(&rows, "evict", ["cached_bytes"]);
        let in_memory = ["tmpfs", "ramfs", "overlay_in_memory"].contains(&kind);
        assert_eq!(cached, if in_memory { mib([8]) } else { mib([0]) }, "{options:?}");
        let told = rows.iter().filter(|row| row["act"] == "msync" || row["act"] == "evict");
        let mut told = told.filter_map(|row| row["what"].as_str());
        let of_memory = |what: &str| what.contains("only in memory") || what.contains("only copy is in memory");
        assert!(told.all(|what| what.starts_with("Private") || of_memory(what) == in_memory), "{rows:#?}");
    }
}

#[test]
fn what_does_not_hold_is_shown_with_a_likely_cause() {
    if !has("fallocate", "util-linux") {
        return eprintln!("SKIPPED: no fallocate(1)");
    }
    let folder = disk();
    let file = folder.path().join("f");
    let mut demo = command(["demo", "--acts", "create,map,fill", "--size", "4M", "--rate", "2M", "--file"]);
    demo.arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = demo.spawn().unwrap();
    wait_until("it fills", || cached(&file) > 1 << 20);
    // The pages leave the page cache and every page table.
    let punched = Command::new("fallocate").args(["--punch-hole", "--length", "64K"]).arg(&file).status().unwrap();
    assert!(punched.success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let but =
        text.lines().find(|line| line.trim_start().starts_with("But: Rss is ")).unwrap_or_else(|| panic!("{text}"));
    assert!(but.contains("and it had to be: Rss 0 -> 4096K; likely because "), "{text}");
    assert!(text.contains("Not everything held that had to hold"), "{text}");
}

fn cached(file: &Path) -> u64 {
    let run = rmap(["pcstat", "--json", file.to_str().unwrap()]);
    run.json().pointer("/0/cached_bytes").and_then(Value::as_u64).unwrap_or(0)
}

#[test]
fn two_kinds_are_shown_act_by_act() {
    let rows = held(&["--compare", "shared,private", "--acts", "create,map,fill,munmap", "--size", "2M"]);
    let order: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["act"].as_str().unwrap(), row["kind"].as_str().unwrap())).collect();
    let wanted = ["create", "map", "fill", "munmap"].map(|act| [(act, "shared"), (act, "private")]).concat();
    assert_eq!(order, wanted);
    let other = held(&["--compare", "shared,anon", "--acts", "create,map,fill,msync,munmap", "--size", "2M"]);
    assert_eq!(
        other.iter().filter(|row| row["kind"] == "anon").count(),
        3,
        "it has no file to create or to write back"
    );
    let pids: BTreeSet<u64> = rows.iter().map(|row| row["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids.len(), 2);
}

#[test]
fn a_slow_act_has_a_log_if_there_is_no_terminal() {
    let folder = disk();
    let file = folder.path().join("slow");
    let words = ["demo", "--acts", "create,map,fill", "--size", "4M", "--rate", "2M", "--file", file.to_str().unwrap()];
    let run = rmap(words);
    assert_eq!(run.status, Some(0), "{run:?}");
    let log: Vec<&str> = run.err.lines().collect();
    assert!(!log.is_empty() && log.iter().all(|line| line.starts_with("rmap: fill: ")), "{run:?}");
    let strip = log[0].rsplit(' ').next().unwrap();
    assert!(strip.starts_with('#') && !strip.ends_with('#') && strip.len() > 8, "{strip}");
}

#[test]
fn an_act_that_takes_long_for_any_reason_has_a_log() {
    let folder = disk();
    let log = folder.path().join("log");
    // Whatever it does when it is stopped, it has to go on for the next act.
    let acts = "map,fill,dontneed,fill,dontneed,fill,dontneed,fill";
    let mut demo = command(["demo", "--kind", "anon", "--acts", acts, "--size", "16M"]);
    demo.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut demo = Subject::of(demo.spawn().unwrap());
    wait_until("a process acts", || find_actor(&descendants(demo.pid())).is_some());
    let actor = actor_of(&descendants(demo.pid()));
    kill(actor, Signal::SIGSTOP).unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    wait_until("there is a line", || text().ends_with('\n'));
    kill(actor, Signal::SIGCONT).unwrap();
    assert_eq!(demo.child().wait().unwrap().code(), Some(0), "{}", text());
    let run = Run { status: Some(0), out: Vec::new(), err: text() };
    assert_eq!(run.without_log().err, "", "{}", text());
}

#[test]
fn a_part_of_which_some_pages_are_in_memory_does_not_look_empty() {
    // One page in sixteen is filled, and a part of the picture is about a hundred pages.
    let words = ["demo", "--kind", "anon", "--acts", "map,fill", "--size", "32M", "--pattern", "stride:64K"];
    let run = rmap([&words[..], &["--rate", "16M"]].concat());
    assert_eq!(run.status, Some(0), "{run:?}");
    let strip = run.err.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    assert!(strip.starts_with(':') && strip.ends_with('.'), "{run:?}");
}

#[test]
fn an_ordinary_user_sees_the_page_cache_of_shared_memory_that_is_mapped() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let run = everyone.rmap(["demo", "--kind", "shmem", "--size", "8M", "--jsonl"]);
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{run:?}");
    let rows = run.lines_of_json();
    assert_eq!(figures(&rows, "fill", VIEWS), mib([8, 8, 0, 8]));
    assert_eq!(figures(&rows, "dontneed", VIEWS), mib([0, 0, 0, 8]));
    assert!(rows.iter().filter(|row| !row["cached_bytes"].is_null()).all(|row| row["method"].is_string()), "{rows:?}");
    // More than one question at a time.
    let large = everyone.rmap(["demo", "--kind", "shmem", "--size", "100M", "--acts", "map,fill", "--jsonl"]);
    assert_eq!(figures(&large.lines_of_json(), "fill", ["cached_bytes"]), mib([100]), "{large:?}");
}

#[test]
fn acts_that_only_the_other_kind_has_are_said_to_be_so() {
    for (kinds, words) in [
        ("heap,anon", "--acts for heap: no act of the list has a meaning for heap, only for anon; add some of fill"),
        ("stack,shmem", "--acts for stack: no act of the list has a meaning for stack, only for shmem; add some of"),
    ] {
        let run = rmap(["demo", "--compare", kinds, "--size", "2M", "--acts", "map"]);
        assert!(run.status == Some(2) && run.err.contains(words), "{run:?}");
    }
}

#[test]
fn a_sentence_is_about_what_was_there() {
    let told = |options: &[&str]| -> Vec<(String, String)> {
        let words = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        held(options).iter().map(|row| (words(row, "act"), words(row, "what"))).collect()
    };
    for kind in ["shared", "memfd", "anon", "shmem"] {
        let create = if ["shared", "memfd"].contains(&kind) { "create," } else { "" };
        let acts = format!("{create}map,dontneed,mremap,munmap");
        for (act, what) in told(&["--kind", kind, "--size", "2M", "--acts", &acts]) {
            let claims = ["left the page table", "keeps", "with it", "moved the page tables"];
            assert!(!claims.iter().any(|claim| what.contains(claim)), "{kind}, {act}: {what}");
        }
    }
    let filled = told(&["--size", "2M", "--acts", "create,map,fill,dontneed,munmap"]);
    assert!(filled[3].1.contains("left the page table") && filled[4].1.contains("keeps 2M"), "{filled:?}");
}

#[test]
fn what_cannot_be_known_of_the_page_cache_does_not_look_empty() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let words = ["demo", "--kind", "shmem", "--acts", "map,fill", "--size", "8M", "--rate", "4M"];
    let strip =
        |run: &Run| run.err.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
    let denied = everyone.rmap(words);
    assert!(strip(&denied).ends_with('?') && !strip(&denied).contains('.'), "{denied:?}");
    // Who may know it sees the rest.
    let run = rmap(words);
    assert!(strip(&run).ends_with('.') && !strip(&run).contains('?'), "{run:?}");
}

#[test]
fn a_rate_and_a_stride_are_kept() {
    let begun = Instant::now();
    held(&["--acts", "create,map,fill", "--size", "2M", "--rate", "4M"]);
    assert!(begun.elapsed() > Duration::from_millis(450), "{:?}", begun.elapsed());
    let options = ["--kind", "anon", "--acts", "map,fill", "--pattern", "stride:64K", "--size", "8M"];
    assert_eq!(held(&options)[1]["rss"], 128 * page(), "one page in sixteen");
}

/// What the last act did, in words.
fn last_words(options: &[&str]) -> String {
    let rows = held(options);
    rows.last().unwrap()["what"].as_str().unwrap().to_owned()
}

#[test]
fn the_sentences_say_what_the_figures_show() {
    let of = |kind: &str, acts: &str, more: &[&str]| {
        let options = ["--kind", kind, "--size", "8M", "--acts", acts];
        last_words(&[&options[..], more].concat())
    };
    assert_eq!(of("shared", "create,map,fill,half", &[]), "No byte was touched: this part was filled before.");
    let far = of("shared", "create,map,quarter,half", &["--pattern", "stride:7M"]);
    assert!(far.contains("at this stride lies beyond"), "{far}");
    let kept = "No page was dropped: this process has all of them mapped in.";
    assert_eq!(of("shared", "create,map,fill,msync,evict", &[]), kept);
    let written = of("shared", "create,map,fill,evict", &[]);
    assert_eq!(written, format!("{kept} fdatasync had written the dirty pages."));
    assert_eq!(of("anon", "map,fill,dontneed", &["--read"]), "None of the pages was in memory, so nothing was freed.");
    assert!(of("anon", "map,fill,dontneed", &[]).contains("their contents are lost"));
    if cfg!(target_env = "gnu") {
        // How much is unused at its end depends on where it begins.
        for size in ["4M", "8M", "16M", "17M"] {
            let rows = held(&["--kind", "heap", "--acts", "small,fill,keep,trim", "--size", size]);
            let (keep, trim) = (&rows[2], &rows[3]);
            let words = if trim["size"] == keep["size"] { "keeps its addresses" } else { "at its end with brk" };
            assert!(trim["what"].as_str().unwrap().contains(words), "{rows:?}");
        }
        let freed = of("heap", "small,fill,keep,trim,free", &[]);
        let memory = freed.split(" that were in memory").next().unwrap().rsplit(' ').next().unwrap();
        assert!(memory.ends_with('K') && !freed.contains(&format!("gave {memory}")), "{freed}");
    }
}

#[test]
fn memory_that_may_have_huge_pages_begins_where_one_does() {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if page() != 4096 || enabled.is_empty() || enabled.contains("[never]") {
        return eprintln!("SKIPPED: no transparent huge pages here");
    }
    let options = ["--kind", "anon", "--size", "16M", "--advice", "hugepage", "--pattern", "stride:2M"];
    // One byte of each takes the whole of it, unless the kernel has no free huge page at the moment.
    let is_full = || {
        let rows = held(&[&options[..], &["--acts", "map,fill"]].concat());
        let last = rows.last().unwrap();
        last["rss"] == 16 * MIB && last["minor_faults"] == 8
    };
    assert!((0..4).any(|_| is_full()));
}

#[test]
fn what_could_not_be_checked_is_one_line() {
    // What is dirty there, nothing reports.
    let made = "truncate -s 100M image; mkfs.ext4 -q image; mkdir real disk; mount -o loop image real; cd real; \
                mkdir upper work lower; \
                mount -t overlay overlay ../disk -o lowerdir=lower,upperdir=$PWD/upper,workdir=work";
    let Some(folder) = mounted_as("acts::what_could_not_be_checked_is_one_line", made) else { return };
    let file = folder.join("disk/f");
    let acts = "create,map,msync,quarter,msync,fill,msync";
    let run = rmap(["demo", "--acts", acts, "--size", "4M", "--file", file.to_str().unwrap()]);
    let lines: Vec<&str> = run.err.lines().filter(|line| line.contains("could not be checked")).collect();
    assert_eq!((run.status, lines.len()), (Some(1), 1), "{run:?}");
    assert!(lines[0].contains("msync: Dirty could not be checked"), "{run:?}");
}

#[test]
fn acts_in_other_orders_hold_too() {
    for options in [
        &["--acts", "create,map,second"][..],
        &["--acts", "create,map,fill,dontneed,fill,read"],
        &["--kind", "private", "--acts", "create,map,evict,read,second"],
        &["--kind", "private", "--acts", "create,evict,map,quarter,fill"],
        &["--kind", "anon", "--acts", "map,fill,dontneed,fill,read"],
        &["--kind", "anon", "--pattern", "stride:64", "--acts", "map,quarter,half,fill"],
        &["--kind", "memfd", "--pattern", "stride:100"],
        &["--kind", "stack", "--acts", "touch,fill,dontneed,read"],
    ] {
        held(&[&["--size", "1000001"], options].concat());
    }
    if cfg!(target_env = "gnu") {
        held(&[
            "--kind",
            "heap",
            "--acts",
            "large,fill,free,large,fill,free,small,fill,keep,trim,free",
            "--size",
            "20M",
        ]);
    }
    let rows = held(&["--kind", "anon", "--acts", "map,fill,read,dontneed,read", "--size", "1M"]);
    assert_eq!(rows[2]["what"], "Everything was mapped in already.");
    assert!(rows[4]["what"].as_str().unwrap().ends_with("the data is gone."), "{rows:?}");
    assert_eq!(rows[1]["must"], "Rss 0 -> 1M, Anonymous = Rss");
}

#[test]
fn an_experiment_without_a_meaning_is_wrong_usage() {
    for (options, words) in [
        (&["--acts", "touch"][..], "'touch' needs a file"),
        (&["--acts", "create,fill"], "'fill' needs a mapping; put 'map' before it"),
        (&["--acts", "nothing"], "unknown act 'nothing'"),
        (&["--kind", "anon", "--acts", "evict"], "'evict' has no meaning for --kind anon"),
        (&["--kind", "heap", "--acts", "small,trim"], "'trim' needs free memory inside the heap; put 'keep' before it"),
        (&["--kind", "heap", "--pattern", "random"], "the heap is filled block after block"),
        (&["--compare", "shared"], "name two kinds"),
        (&["--compare", "shared,private", "--file", "/tmp/x"], "each of the two kinds needs a file of its own"),
        (&["--pattern", "stride:0"], "use sequential, reverse, random or stride:N"),
        (&["--rate", "0"], "nothing would ever be filled"),
        (&["--step"], "standard input has to be a terminal"),
        (&["--acts", "all", "--hold"], "use --step to look at it"),
        (&["--read", "--write"], "cannot be used with"),
        (&["--kind", "anon", "--file", "x"], "memory of this kind has no file with a name"),
        (&["--kind", "memfd", "--file", "x", "--force"], "memory of this kind has no file with a name"),
        (&["--acts", "create,unlink", "--keep"], "'unlink' removes the name of the file"),
    ] {
        let run = rmap([&["demo", "--size", "1M"], options].concat());
        assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{options:?}: {run:?}");
        assert!(run.err.contains(words), "{options:?}: {}", run.err);
    }
    refused(&rmap(["demo", "--kind", "stack", "--size", "1G"]), "choose a --size of up to ");
    refused(&rmap(["demo", "--kind", "anon", "--size", "900T"]), "it does not fit into memory");
    refused(&rmap(["demo", "--kind", "heap", "--size", "64K"]), "glibc asks the kernel for memory in portions");
    let both = rmap(["demo", "--compare", "anon,memfd", "--size", "900T"]);
    refused(&both, "it does not fit into memory 2 times");
}

#[test]
fn a_file_that_is_never_filled_may_be_larger_than_memory() {
    let rows = held(&["--acts", "create,map,touch,munmap,evict", "--size", "64G"]);
    assert_eq!(figures(&rows, "map", ["size", "rss"]), mib([65536, 0]));
}

#[test]
fn only_what_a_pattern_touches_has_to_fit() {
    let stride = |size, stride| ["--size", size, "--pattern", stride];
    let rows = held(&[&["--acts", "create,map,quarter,fill"], &stride("64G", "stride:1G")[..]].concat());
    let rss = figures(&rows, "fill", ["rss"])[0].as_f64().unwrap();
    assert!(rss > 0.0 && rss <= 128.0, "{rows:?}");
    let anon = [&["demo", "--kind", "anon", "--acts", "map,fill"], &stride("900P", "stride:1G")[..]].concat();
    refused(&rmap(anon), "it does not fit into memory, though only 1.7P of it are touched: ");
    let reads_all = [&["demo", "--acts", "create,map,fill,read"], &stride("900T", "stride:1G")[..]].concat();
    refused(&rmap(reads_all), "it does not fit into memory: ");
}

#[test]
fn the_rows_for_machines_have_the_path() {
    let folder = disk();
    let file = folder.path().join("f");
    let rows = held(&["--acts", "create,map", "--size", "1M", "--file", file.to_str().unwrap()]);
    assert!(rows.iter().all(|row| row["path"] == file.to_str().unwrap() && row["path_bytes"].is_null()), "{rows:?}");
    let anon = held(&["--kind", "anon", "--acts", "map", "--size", "1M"]);
    assert_eq!((anon[0]["path"].is_null(), anon[0].get("path").is_some()), (true, true), "{anon:?}");
}

#[test]
fn an_interrupted_experiment_leaves_no_file_and_no_process() {
    if crate::ends::ctrl_c_is_ignored_here() {
        return;
    }
    for (signal, act) in [(Signal::SIGINT, "fill"), (Signal::SIGTERM, "fill"), (Signal::SIGKILL, "fill")] {
        let folder = disk();
        let file = folder.path().join("f");
        let acts = format!("create,map,fork,{act}");
        let mut demo = command(["demo", "--acts", &acts, "--size", "64M", "--rate", "4M", "--file"]);
        let mut demo = Subject::of(demo.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_until("it fills", || file.exists() && cached(&file) > 0);
        let children = descendants(demo.pid());
        assert!(children.len() >= 2, "the one that acts, and the guard");
        demo.signal(signal);
        let status = demo.child().wait().unwrap();
        let ended = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        assert_eq!(ended, Some(128 + signal as i32));
        wait_until("the file is gone", || names(folder.path()).is_empty());
        wait_until("no process is left", || children.iter().all(|pid| !is_running(*pid)));
    }
}

#[test]
fn a_process_that_is_stopped_while_it_acts_does_not_keep_the_demo() {
    if crate::ends::ctrl_c_is_ignored_here() {
        return;
    }
    let folder = disk();
    let file = folder.path().join("f");
    let mut demo = command(["demo", "--acts", "create,map,fork,fill", "--size", "64M", "--rate", "4M", "--file"]);
    let mut demo = Subject::of(demo.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("it fills", || file.exists() && cached(&file) > 0);
    let children = descendants(demo.pid());
    let actor = actor_of(&children);
    kill(actor, Signal::SIGSTOP).unwrap();
    demo.signal(Signal::SIGTERM);
    assert_eq!(demo.child().wait().unwrap().code(), Some(128 + Signal::SIGTERM as i32));
    wait_until("the file is gone", || names(folder.path()).is_empty());
    wait_until("no process is left", || children.iter().all(|pid| !is_running(*pid)));
}

#[test]
fn ctrl_z_stops_the_process_that_acts_too() {
    let folder = disk();
    let file = folder.path().join("f");
    let mut demo = command(["demo", "--acts", "create,map,fill", "--size", "8M", "--rate", "4M", "--file"]);
    let demo = demo.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let mut demo = Subject::of(demo);
    wait_until("it fills", || file.exists() && cached(&file) > 0);
    let actor = actor_of(&descendants(demo.pid()));
    let group = Pid::from_raw(-demo.pid().cast_signed());
    kill(group, Signal::SIGTSTP).unwrap();
    wait_until("both are stopped", || [demo.pid(), actor.as_raw().unsigned_abs()].iter().all(|pid| state(*pid) == "T"));
    kill(group, Signal::SIGCONT).unwrap();
    assert_eq!(demo.child().wait().unwrap().code(), Some(0));
}

fn actor_of(children: &[u32]) -> Pid {
    find_actor(children).unwrap()
}

fn find_actor(children: &[u32]) -> Option<Pid> {
    let is_actor = |pid: &&u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "act\n");
    children.iter().find(is_actor).map(|pid| Pid::from_raw(pid.cast_signed()))
}

fn state(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
}

#[test]
fn a_program_is_followed_and_its_status_is_the_one_of_the_demo() {
    let folder = disk();
    fs::write(folder.path().join("f"), vec![1; 8 << 20]).unwrap();
    let file = folder.path().join("f");
    let script = format!(
        "exec python3 -c 'import mmap, sys\nf = open(\"{}\", \"r+b\")\n\
                          m = mmap.mmap(f.fileno(), 0)\n\
                          m[:] = bytes(len(m))\nm.close()\nprint(\"done\")\nsys.exit(7)'",
        file.display()
    );
    if !has("python3", "python3") {
        return;
    }
    let run = rmap(["demo", "--jsonl", "--", "sh", "-c", &script]);
    assert_eq!((run.status, run.text().as_str()), (Some(7), "done\n"), "{}", run.err);
    let rows = run.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut gone = rows.filter(|row| row["event"] == "went" && row["path"] == file.to_str().unwrap());
    let gone = gone.next_back().unwrap();
    assert_eq!((&gone["size_before"], &gone["rss_before"]), (&(8 << 20).into(), &(8 << 20).into()), "{gone}");
    let wrong = rmap(["demo", "--size", "1M", "--", "true"]);
    assert!(wrong.status == Some(2) && wrong.err.contains("memory that rmap itself maps"), "{wrong:?}");
}

/// The children of a process.
fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

/// The output on a terminal, with what is typed.
fn on_a_terminal(typed: &str, options: &str) -> String {
    let line = format!("stty cols 80 rows 30; exec {} demo {options}", program().display());
    let mut script = Command::new("sh");
    script.args(["-c", &format!("(sleep 1; printf '{typed}') | script -qec '{line}' /dev/null")]);
    script.env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    let run: Run = run(script);
    run.text()
}

#[test]
fn on_a_terminal_it_waits_for_keys_and_draws_where_the_pages_are() {
    if !has("script", "bsdutils") {
        return;
    }
    let text = on_a_terminal("q", "--acts create,map,touch --size 1M --step");
    assert!(text.contains("next: map (any key; q ends)") && !text.contains("map           1M"), "{text:?}");
    let text = on_a_terminal("xx", "--acts create,map,touch --size 1M --step");
    assert!(text.contains("touch         1M") && text.contains("Everything held"), "{text:?}");
    // The keys come from standard input, wherever the rows go.
    let folder = disk();
    let rows = folder.path().join("rows");
    on_a_terminal("xx", &format!("--acts create,map,touch --size 1M --step > {}", rows.display()));
    let text = fs::read_to_string(rows).unwrap();
    assert!(text.contains("touch         1M") && text.contains("Everything held"), "{text:?}");
    // Nobody could continue it, so Ctrl-Z has no effect.
    let text = on_a_terminal("\\032xx", "--acts create,map,touch --size 1M --step");
    assert!(text.contains("touch         1M") && text.contains("Everything held"), "{text:?}");
    let text = on_a_terminal("", "--acts create,map,fill --size 4M --rate 2M");
    assert!(text.contains("fill: ") && text.contains(" done   · not in memory"), "{text:?}");
    let strip = text.split(['\r', '\n']).find(|line| line.contains("█") && line.contains("·"));
    assert!(strip.is_some(), "{text:?}");
    assert!(text.contains(": partly in memory") && text.contains("█ mapped in and dirty"), "{text:?}");
    // Also if it is over within a second.
    let text = on_a_terminal("", "--acts create,map,fill --size 1M --rate 2M");
    assert!(text.contains(" done   · not in memory"), "{text:?}");
}

/// The columns of the section are those of the plain demo, so the other tables only take its unit.
#[test]
fn the_configuration_of_the_plain_demo_does_not_break_the_others() {
    let folder = disk();
    let file = folder.path().join("config.toml");
    fs::write(&file, "[demo]\ncolumns = [\"filled\", \"rss\"]\nunit = \"bytes\"\n").unwrap();
    let configured = |words: &[&str]| rmap([&["--config", file.to_str().unwrap(), "demo"], words].concat());
    let plain = configured(&["-n", "--size", "1M"]).good().text();
    assert!(plain.starts_with("      0       0\n"), "{plain}");
    let acts = configured(&["--acts", "map", "--kind", "anon", "--size", "1M"]);
    let acts = acts.without_log().good().text();
    assert!(acts.lines().any(|line| line.starts_with("map") && line.contains(" 1048576 ")), "{acts}");
    let run = configured(&["--", "sh", "-c", "exit 7"]);
    assert!(run.status == Some(7) && run.err.starts_with("Time ms Event "), "{run:?}");
}
