//! The control groups of this machine, with two of known content.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{self, ForEveryone, Group, Subject, can_read_lists, memory, page, rmap, shell, wait_until};
use crate::{assert_absent, figure, row, rows};

/// Waits until the rows of a group are right: the kernel collects the figures of a group every two seconds.
#[track_caller]
fn eventually(group: &Group, more: &[&str], is_right: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let arguments: Vec<&str> = [group.name.as_str()].into_iter().chain(more.iter().copied()).collect();
        let found = rows(&arguments);
        let row = row(&found, &group.name).clone();
        if is_right(&row) {
            return row;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{row}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn groups_of_known_content_have_the_right_bytes() {
    let (Some(one), Some(two)) = (Group::limited("locked", "64M"), Group::new("tmpfs")) else { return };
    let folder = memory();
    // Locked anonymous memory, which the kernel cannot reclaim; and pages of tmpfs.
    let locked = 4096 * page();
    let _subject = one.start(&["locked:4096".to_owned()]);
    let script = format!("dd if=/dev/zero of=file bs={} count=3000 status=none", page());
    two.run(&script, folder.path()).good();
    let (of_one, of_two) = (
        eventually(&one, &[], |row| figure(row, "unevictable") >= locked),
        eventually(&two, &[], |row| figure(row, "shmem") == 3000 * page()),
    );
    let anonymous = figure(&of_one, "anonymous");
    // The program itself has little.
    assert!((locked..locked + (4 << 20)).contains(&anonymous), "{of_one}");
    assert_eq!((figure(&of_one, "limit"), &of_one["process_count"]), (64 << 20, &1.into()), "{of_one}");
    assert!(figure(&of_one, "usage") >= anonymous, "{of_one}");
    assert!(of_one["limit_percent"].as_f64().unwrap() >= 25.0, "{of_one}");
    // And pages of the programs that were run there, if they were not cached before.
    let file = figure(&of_two, "file");
    assert!((3000 * page()..3000 * page() + (8 << 20)).contains(&file), "{of_two}");
    assert_eq!(figure(&of_two, "process_count"), 0, "{of_two}");
    assert!(of_two["limit"].is_null() && of_two["absent"]["limit"] == "not applicable: there is no limit", "{of_two}");
    // All that it maps itself, and its share of the libraries.
    let pss = figure(&of_one, "pss");
    assert!((locked..locked + (8 << 20)).contains(&pss), "{of_one}");
    assert_eq!(figure(&of_two, "pss"), 0, "{of_two}");
    // The same as the kernel's own file. The kernel frees a page of its own now and then.
    let usage = || two.read(&["memory.usage_in_bytes", "memory.current"]).unwrap().trim().parse::<u64>().unwrap();
    let before = std::cell::Cell::new(usage());
    let of_two = eventually(&two, &[], |row| figure(row, "usage") == before.replace(usage()));
    let inactive = two.stat(&["total_inactive_file", "inactive_file"]).unwrap();
    assert_eq!(figure(&of_two, "working_set"), figure(&of_two, "usage") - inactive, "{of_two}");
}

#[test]
fn memory_that_processes_of_two_groups_share_counts_once() {
    let (Some(one), Some(two)) = (Group::new("parent"), Group::new("child")) else { return };
    let subject = one.start(&["anonymous:4096:4000".to_owned(), "share".to_owned()]);
    let children = format!("/proc/{0}/task/{0}/children", subject.pid());
    let child = std::fs::read_to_string(children).unwrap().trim().to_owned();
    std::fs::write(two.path().join("cgroup.procs"), child).unwrap();
    subject.stop();
    let memory = 4000 * page();
    let once = memory..memory * 3 / 2;
    for (by, list) in [(&[][..], "cgroups"), (&["--by=path"], "groups"), (&["--by=version"], "groups")] {
        let all = [&["cgroups", "--json", "--total", "-o=pss", &one.name, &two.name], by].concat();
        let found = rmap(all).good().json();
        assert!(once.contains(&figure(&found["total"], "pss")), "{found}");
        let rows = found[list].as_array().unwrap();
        assert!(rows.iter().all(|row| once.contains(&figure(row, "pss"))), "{found}");
    }
    // Of a group that is not shown nothing counts.
    let filter = format!("path=={:?}", two.name);
    let found = ["cgroups", "--json", "--total", "-o=pss,path", &one.name, &two.name, "--filter", &filter];
    let found = rmap(found).good().json();
    assert_eq!(found["total"]["pss"], found["cgroups"][0]["pss"], "{found}");
    assert!(once.contains(&figure(&found["total"], "pss")), "{found}");
}

#[test]
fn a_group_can_be_named_with_its_hierarchy_and_from_the_working_directory() {
    let Some(outer) = Group::new("named") else { return };
    let inner = outer.inner("inner");
    let subject = std::process::Command::new("sh")
        .args(["-c", "echo $$ > \"$1/cgroup.procs\" && exec sleep 60", "sh", inner.path().to_str().unwrap()])
        .spawn();
    let subject = Subject::of(subject.unwrap());
    let pid = subject.pid();
    let text = || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    wait_until("the process is in the group", || text().contains(&inner.name));
    let printed = text().lines().find(|line| line.ends_with(&inner.name)).unwrap().to_owned();
    let (_, of_hierarchy) = printed.split_once(':').unwrap();
    let nearby = format!("./{}", inner.last_name());
    let mut names = vec![(&printed[..], outer.path()), (".", inner.path()), (&nearby, outer.path())];
    // Version 2 has no controllers there.
    names.extend(Some((of_hierarchy, outer.path())).filter(|(name, _)| !name.starts_with(':')));
    for (name, directory) in names {
        let run = |arguments: &[&str]| {
            let mut command = common::command(arguments);
            command.current_dir(directory);
            common::run(command).good().lines_of_json()
        };
        assert_eq!(run(&["ps", "--jsonl", "-o", "pid", "--cgroup", name])[0]["pid"], pid, "{name}");
        assert_eq!(run(&["pid", "--jsonl", "--cgroup", name, "--by", "pid"])[0]["pid"], pid, "{name}");
        assert_eq!(run(&["cgroups", "--jsonl", "-o", "path", name])[0]["path"], inner.name, "{name}");
    }
    let other = ["0::", "memory:"].into_iter().find(|other| !printed.contains(other)).unwrap();
    for command in [&["pid", "--cgroup"][..], &["ps", "--cgroup"], &["cgroups"]] {
        let run = rmap([command, &[&format!("{other}{}", inner.name)]].concat());
        assert!(run.status == Some(1) && run.err.contains("no "), "{run:?}");
    }
}

#[test]
fn a_group_includes_those_below_it_and_the_total_has_it_once() {
    let Some(outer) = Group::new("outer") else { return };
    let inner = outer.inner("inner");
    let folder = memory();
    let script = format!("dd if=/dev/zero of=file bs={} count=2000 status=none", page());
    inner.run(&script, folder.path()).good();
    let whole = eventually(&outer, &[], |row| figure(row, "shmem") == 2000 * page());
    assert!(figure(&whole, "usage") >= 2000 * page());
    let answer = rmap(["cgroups", "--json", "--total", &outer.name]).good().json();
    assert_eq!(answer["cgroups"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["total"]["shmem"], 2000 * page(), "{answer}");
    // The tree shows what is below what.
    let tree = rmap(["cgroups", "-o=tree", "--no-header", &outer.name]).good().text();
    assert_eq!(tree, format!("{}\n  {}\n", outer.name, inner.last_name()));
    // What the outer one has itself is nothing.
    let parts = rmap(["cgroups", "--jsonl", "--by=path", "-o=shmem", &outer.name]).good().lines_of_json();
    assert_eq!(figure(row(&parts, &outer.name), "shmem"), 0, "{parts:?}");
    assert_eq!(figure(row(&parts, &inner.name), "shmem"), 2000 * page(), "{parts:?}");
}

#[test]
fn every_group_of_the_machine_has_a_row() {
    let Some(group) = Group::new("listed") else { return };
    let found = rows(&["-o=path,depth,parent,version"]);
    let here = row(&found, &group.name);
    let (parent, _) = group.name.rsplit_once('/').unwrap();
    assert_eq!(here["parent"], if parent.is_empty() { "/" } else { parent }, "{here}");
    assert!(found.iter().filter(|row| row["parent"].is_null()).count() == 1, "{found:?}");
}

#[test]
fn an_ordinary_user_sees_the_groups() {
    let (Some(group), Some(everyone)) = (Group::limited("ordinary", "32M"), ForEveryone::copy()) else { return };
    let run = everyone.rmap(["cgroups", "--jsonl", "-o=path,usage,limit,anonymous,process_count", &group.name]);
    let found = run.good().lines_of_json();
    assert_eq!(figure(row(&found, &group.name), "limit"), 32 << 20, "{found:?}");
    // What the processes of others use it may not read: that is said once, and the rest is shown.
    let subject = group.start(&["locked:16".to_owned()]);
    let run = everyone.rmap(["cgroups", "--jsonl", &group.name]);
    let denied = format!(
        "rmap: pid {} (subject): permission denied: cannot read smaps_rollup, so figures that only this reports \
         are absent; run as root, or as the user who owns it\n",
        subject.pid()
    );
    assert_eq!((run.status, run.err.as_str()), (Some(1), &denied[..]));
    let found = run.lines_of_json();
    let row = row(&found, &group.name);
    assert_absent(row, "pss", "denied: this user may not read some of its processes");
    assert_eq!(figure(row, "process_count"), 1);
}

#[test]
fn groups_that_come_and_go_meanwhile_cost_no_error() {
    let Some(group) = Group::new("storm") else { return };
    let folder = memory();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut made = 0;
            while !stop.load(Ordering::Relaxed) {
                for number in 0..100 {
                    fs::create_dir(group.path().join(format!("{number}"))).unwrap();
                }
                for number in 0..100 {
                    fs::remove_dir(group.path().join(format!("{number}"))).unwrap();
                }
                made += 100;
            }
            made
        });
        let start = Instant::now();
        let mut most = 0;
        while start.elapsed() < Duration::from_secs(4) {
            let found = rows(&[&group.name]);
            row(&found, &group.name);
            for row in &found {
                // Removed while it was read, or whole.
                assert!(row["usage"].is_u64() && row["anonymous"].is_u64() && row["max"].is_u64(), "{row}");
            }
            most = most.max(found.len());
        }
        stop.store(true, Ordering::Relaxed);
        let made = storm.join().unwrap();
        assert!(made >= 1000 && most > 10, "{made} groups made, {most} seen at once");
    });
    drop(folder);
}

#[test]
fn it_is_repeated_with_what_changed() {
    let Some(group) = Group::new("watched") else { return };
    let name = &group.name;
    let run = shell(
        "timeout -s INT 1.2 rmap cgroups -w 0.4 --jsonl -o path,usage \"$1\"",
        &[std::ffi::OsStr::new(name.as_str())],
    );
    let found = run.lines_of_json();
    assert!(found.len() >= 2, "{run:?}");
    assert!(found.iter().all(|row| row["path"] == **name), "{found:?}");
    assert!(found[1]["usage_change"].is_i64(), "{found:?}");
}

/// What the explanation of a group says about the files that it is charged for, and about those of other groups.
fn files_of(group: &Group) -> (String, String) {
    let start = Instant::now();
    loop {
        let text = rmap(["cgroups", "--budget=20", &group.name]).good().text();
        // A list that may lack something says so.
        let (lacks, is_blind) = ("This list may lack something: ", "what holds a file is not known");
        if text.matches(lacks).count() <= text.matches(is_blind).count() {
            let (charged, others) = text.split_once("Other groups are charged for").unwrap_or((&text, ""));
            return (charged.to_owned(), others.to_owned());
        }
        assert!(!text.contains("It is charged for no cached file."), "{text}");
        assert!(start.elapsed() < Duration::from_secs(90), "{text}");
    }
}

/// Writes a file of so many pages in a group.
fn written(group: &Group, folder: &Path, file: &str, pages: u64) {
    let script = format!("dd if=/dev/zero of={file} bs={} count={pages} status=none", page());
    group.run(&script, folder).good();
}

#[test]
fn files_that_a_group_is_charged_for_and_those_that_it_only_uses_are_told_apart() {
    let name = "files_that_a_group_is_charged_for_and_those_that_it_only_uses_are_told_apart";
    if !can_read_lists(name) {
        return;
    }
    let (Some(own), Some(other)) = (Group::new("own"), Group::new("other")) else { return };
    let folder = memory();
    written(&own, folder.path(), "mine", 768);
    written(&other, folder.path(), "theirs", 512);
    // It uses what the other group wrote, and is not charged for it.
    let theirs = folder.path().join("theirs");
    let _subject = own.start(&[format!("open:{}", theirs.display())]);
    eventually(&own, &[], |row| figure(row, "shmem") == 768 * page());
    let sizes = [768, 512].map(|pages| format!("{}", rmap::units::Human(rmap::units::Bytes(pages * page()))));
    let (charged, others) = files_of(&own);
    let mine = format!("- {} {}\n", sizes[0], folder.path().join("mine").display());
    assert!(charged.contains(&mine) && !charged.contains("theirs"), "{charged}");
    let line = format!("- {} {}: {}\n", sizes[1], theirs.display(), other.name);
    assert!(others.contains(&line) && !others.contains("/mine"), "{others}");
}

#[test]
fn a_group_is_not_charged_for_the_files_of_a_removed_one_of_the_same_name() {
    let name = "a_group_is_not_charged_for_the_files_of_a_removed_one_of_the_same_name";
    if !can_read_lists(name) {
        return;
    }
    let folder = memory();
    let Some(old) = Group::new("again") else { return };
    written(&old, folder.path(), "before", 512);
    drop(old);
    let new = Group::new("again").unwrap();
    written(&new, folder.path(), "mine", 256);
    let before = folder.path().join("before").display().to_string();
    let _subject = new.start(&[format!("open:{before}")]);
    let (charged, others) = files_of(&new);
    assert!(charged.contains("/mine\n") && !charged.contains(&before), "{charged}");
    assert!(others.contains(&format!("{before}: (removed) {}\n", new.name)), "{charged}{others}");
}

#[test]
fn an_ordinary_user_is_told_what_it_takes_to_see_the_files_of_a_group() {
    let (Some(group), Some(everyone)) = (Group::new("words"), ForEveryone::copy()) else { return };
    let run = everyone.rmap(["cgroups", &group.name]);
    let needed = "Which cached files it is charged for is not known: it needs root";
    assert!(run.text().contains(needed), "{run:?}");
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.contains("it needs root"), "{run:?}");
}

#[test]
fn processes_outside_of_the_pid_namespace_are_never_left_out_of_a_count() {
    let Some(group) = Group::new("outside") else { return };
    let _subject = group.start(&["locked:16".to_owned()]);
    let script = "unshare -pf --mount-proc true || { echo SKIPPED: no pid namespace can be made >&2; exit 0; }; \
        exec unshare -pf --mount-proc rmap cgroups \"$1\" \"$2\" \"$3\"";
    let run = |more: [&str; 2]| shell(script, &[&group.name, more[0], more[1]].map(std::ffi::OsStr::new));
    let found = run(["--jsonl", "-o=path,anonymous,process_count,pss"]);
    if found.err.contains("SKIPPED") {
        eprintln!("{}", found.err);
        return;
    }
    let found = found.lines_of_json();
    let row = row(&found, &group.name);
    let listed = "unsupported: version 1 may not list those of other pid namespaces here";
    if group.read(&["memory.current"]).is_some() {
        assert_eq!(figure(row, "process_count"), 1);
    } else {
        assert_absent(row, "process_count", listed);
    }
    assert!(row["pss"].is_null(), "{row}");
    let text = run(["--color=never", "--no-total"]).text();
    assert!(!text.contains("Its processes hold no file that another group is charged for."), "{text}");
}

#[test]
fn in_a_namespace_groups_have_the_names_that_its_processes_show() {
    let (Some(outer), Some(beside)) = (Group::limited("inside", "1G"), Group::new("outside")) else { return };
    let kid = outer.inner("kid");
    // All groups are still mounted there.
    let script = "unshare -C true || { echo SKIPPED: no namespace can be made >&2; exit 0; }; \
        echo $$ > \"$1/cgroup.procs\" && shift && exec unshare -C rmap \"$@\"";
    let run = |arguments: &[&str]| {
        let all = [&[outer.path().to_str().unwrap()], arguments].concat();
        shell(script, &all.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>())
    };
    let run_all = run(&["cgroups", "--jsonl", "-o", "path,parent,limit"]);
    if run_all.err.contains("SKIPPED") {
        eprintln!("{}", run_all.err);
        return;
    }
    let all = run_all.good().lines_of_json();
    let (kid_name, beside_name) = (format!("/{}", kid.last_name()), format!("/../{}", beside.last_name()));
    let parent = |path: &str| row(&all, path)["parent"].clone();
    assert_eq!((parent("/"), figure(row(&all, "/"), "limit")), ("/..".into(), 1 << 30));
    assert_eq!((parent(&kid_name), parent(&beside_name)), ("/".into(), "/..".into()));
    let (path, kid_path) = (outer.path().to_str().unwrap(), kid.path().to_str().unwrap());
    let both = ["/", &kid_name];
    for (name, expected) in [("/", &both[..]), (path, &both), (&kid_name, &both[1..]), (kid_path, &both[1..])] {
        let found = run(&["cgroups", "--jsonl", "-o", "path", name]).good().lines_of_json();
        assert_eq!(found.iter().map(|row| row["path"].as_str().unwrap()).collect::<Vec<_>>(), expected, "{name}");
    }
    // The limit of the group above the one below is its own too.
    let text = run(&["cgroups", "--color=never", &kid_name]).text();
    assert!(text.contains(" / above it has a limit of 1G"), "{text}");
}
