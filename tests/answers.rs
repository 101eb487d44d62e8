//! Answers about a process that were once wrong: each of these cases gave a false figure, or none although one exists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::multiple_unsafe_ops_per_block,
    unsafe_code,
    reason = "a test may panic, and a filter for system calls has to be installed by hand"
)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::{ForEveryone, Group, Running, Subject, capture, command, disk, mapping, memory, page, rmap, run};
use serde_json::Value;

fn stopped<S: AsRef<std::ffi::OsStr>>(acts: impl IntoIterator<Item = S>) -> Subject {
    let subject = Subject::start(acts);
    subject.stop();
    subject
}

/// The rows that `is_it` accepts.
fn rows(subject: &Subject, options: &[&str], is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let document = rmap([&["pid", &subject.word(), "--json"], options].concat()).json();
    let rows = document[0]["mappings"].as_array().unwrap_or_else(|| panic!("{document}"));
    rows.iter().filter(|row| is_it(row)).cloned().collect()
}

fn has_path(part: &str) -> impl Fn(&Value) -> bool {
    move |row| row["path"].as_str().is_some_and(|path| path.contains(part))
}

fn made<'s>(subject: &'s Subject) -> impl Fn(&Value) -> bool + 's {
    |row| row["start"] == subject.made[0].start.as_str()
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: only root can do that");
    }
    is_root
}

/// The parts of a summary.
fn summary(subject: &Subject) -> impl Fn(&str) -> u64 + use<> {
    let out = rmap(["pid", &subject.word(), "--summary", "--json"]).good().json();
    move |name: &str| {
        let parts = out[0]["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).unwrap()["amount"].as_u64().unwrap()
    }
}

/// Far more than the program itself has resident, in pages.
const MANY: u64 = 1536;

/// Checks that the memory that the act maps is in the expected part, and that the parts add up.
fn check_clean(act: &str, expected: &str) {
    let part = summary(&stopped([act]));
    for name in ["clean", "unproven", "dirty"] {
        let is_it = part(name) >= MANY * page();
        assert_eq!(is_it, name == expected, "{act}: {name} is {}", part(name));
    }
    assert_eq!(part("clean") + part("unproven") + part("dirty"), part("resident"), "{act}");
}

#[test]
fn only_what_is_proven_is_reclaimable() {
    let (disk, memory) = (disk(), memory());
    check_clean(&format!("synced:{}:{MANY}:1", disk.path().join("one").display()), "clean");
    // The pages of the first mapping are locked through the second.
    let twice = stopped([format!("synced:{}:{MANY}:2", disk.path().join("two").display())]);
    let part = summary(&twice);
    assert!(part("clean") < MANY * page() && part("unproven") >= MANY * page(), "{}", part("clean"));
    check_clean(&format!("holes:{}:{MANY}", memory.path().join("x").display()), "unproven");
    if is_root() {
        check_clean(&format!("ring:{MANY}"), "unproven");
    }
}

#[test]
fn a_page_that_another_process_has_locked_is_not_called_reclaimable() {
    let disk = disk();
    let path = disk.path().join("x");
    let locker = Subject::start([format!("synced:{}:{MANY}:2", path.display())]);
    // It maps the same file after the locker, and does not change it.
    let file = fs::File::open(&path).unwrap();
    let map = memmap2::MmapOptions::new().map_raw_read_only(&file).unwrap();
    // SAFETY: within the mapping that was just made.
    let sum: u64 = (0..MANY as usize).map(|at| u64::from(unsafe { *map.as_ptr().add(at * page() as usize) })).sum();
    assert_eq!(sum, 7 * MANY);
    let out = rmap(["pid", &std::process::id().to_string(), "--summary", "--json"]).good().json();
    let parts = out[0]["parts"].as_array().unwrap();
    let part = |name: &str| parts.iter().find(|part| part["part"] == name).unwrap()["amount"].as_u64().unwrap();
    assert!(part("clean") < MANY * page() && part("unproven") >= MANY * page(), "{parts:?}");
    drop(locker);
}

#[test]
fn a_marker_of_userfaultfd_is_not_in_swap() {
    if !is_root() {
        return;
    }
    let subject = stopped(["marked:8"]);
    let row = &rows(&subject, &["--map"], made(&subject))[0];
    assert_eq!((&row["swap"], &row["map_swapped"], &row["map_present"]), (&0.into(), &0.into(), &0.into()), "{row}");
    let text = rmap(["pid", &subject.word(), "--map", "-A", &subject.made[0].start]).good().text();
    assert!(text.contains("MMMMMMMM") && !text.contains("SSSSSSSS"), "{text}");
}

/// A guard page is neither memory nor nothing: with each interface it is a state of its own.
#[test]
fn a_guard_page_has_a_state_of_its_own() {
    let subject = stopped(["guarded:8"]);
    if subject.made[0].figures.contains(&("Rss".to_owned(), 8 * page())) {
        return eprintln!("SKIPPED: this kernel has no MADV_GUARD_INSTALL (before 6.13)");
    }
    let (word, start) = (subject.word(), &subject.made[0].start);
    let arguments = ["pid", &word, "--map", "--json", "-A", start];
    let runs = [rmap(arguments), run(without_scan(nix::libc::EPERM, &arguments))];
    for out in runs.map(|run| run.good().json()) {
        let row = &out[0]["mappings"][0];
        if row["map_guard"].is_null() {
            assert!(row["absent"]["map_guard"].as_str().unwrap().contains("new in Linux 6.15"), "{row}");
            continue;
        }
        assert_eq!((&row["map_guard"], &row["map_swapped"]), (&page().into(), &0.into()), "{row}");
        assert_eq!((&row["map_present"], &row["page_map"]), (&(7 * page()).into(), &"#.######".into()), "{row}");
        let text = rmap(["pid", &word, "--map", "-A", start]).good().text();
        assert!(text.contains("#.######\n   G\n") && text.contains("; G guard page;"), "{text}");
    }
}

#[test]
fn kinds_are_what_the_memory_is() {
    let subject = stopped(["forbidden:4"]);
    let row = &rows(&subject, &[], made(&subject))[0];
    assert_eq!((&row["perm"], &row["kind"]), (&"---p".into(), &"anonymous".into()), "{row}");
    if fs::read("/sys/module/secretmem/parameters/enable").is_ok_and(|enabled| enabled.starts_with(b"Y")) {
        let subject = stopped(["secret:4"]);
        assert_eq!(rows(&subject, &[], made(&subject))[0]["kind"], "secret");
    }
    if !is_root() {
        return;
    }
    let path = format!("/dev/rmap-test-{}", std::process::id());
    let subject = stopped([format!("shared:{path}:4:4")]);
    fs::remove_file(&path).unwrap();
    let rows = rows(&subject, &[], has_path("/dev/rmap-test"));
    assert_eq!(rows[0]["kind"], "file", "{rows:?}");
}

/// `rmap` with a filter that refuses the ioctl `PAGEMAP_SCAN`, as in sandboxes.
fn without_scan(errno: i32, arguments: &[&str]) -> Command {
    use nix::libc::{self, sock_filter};
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const SCAN: u32 = 0xc060_6610;
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let filter = [
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, libc::SYS_ioctl as u32, 0, 3),
        step(LOAD, 24, 0, 0),
        step(JUMP_IF_EQUAL, SCAN, 0, 1),
        step(RETURN, 0x0005_0000 | errno as u32, 0, 0),
        step(RETURN, 0x7fff_0000, 0, 0),
    ];
    let mut command = command(arguments);
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: system calls between fork and exec; the filter outlives them.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                + libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
        };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: only system calls are made in the child.
    unsafe { command.pre_exec(install) };
    command
}

#[test]
fn a_filtered_ioctl_denies_nothing() {
    let subject = stopped(["anonymous:16:5"]);
    let start = subject.made[0].start.as_str();
    for errno in [nix::libc::EPERM, nix::libc::EACCES, nix::libc::EINVAL, nix::libc::ENOSYS, nix::libc::EIO] {
        let with = |options: &[&str]| {
            let word = subject.word();
            let arguments = [&["pid", &word, "-n", "--no-total", "-A", start], options].concat();
            run(without_scan(errno, &arguments)).good().text()
        };
        assert_eq!(with(&["-b", "-o", "rss"]).trim_end().lines().last(), Some((5 * page()).to_string().as_str()));
        assert!(with(&["--map"]).contains("#####..........."));
    }
}

#[test]
fn a_name_that_leads_elsewhere_proves_no_deletion() {
    if !is_root() {
        return;
    }
    let folder = memory();
    let deleted = |subject: &Subject, part: &str| rows(subject, &[], has_path(part))[0]["deleted"].clone();
    // The name has both a newline and the text of its escape.
    let odd = folder.path().join("a\\012b\nc (deleted)");
    assert_eq!(deleted(&stopped([format!("shared:{}:2:1", odd.display())]), "c (deleted)"), Value::Null);
    // The process has changed its root directory since.
    let jail = folder.path().join("jail");
    fs::create_dir(&jail).unwrap();
    let inside = jail.join("x (deleted)");
    let subject = stopped([format!("shared:{}:2:1", inside.display()), format!("chroot:{}", jail.display())]);
    assert_eq!(deleted(&subject, "x (deleted)"), Value::Null);
    // A certain deletion stays certain: of a file that has another name, and of one that has none.
    let (kept, gone) = (folder.path().join("kept"), folder.path().join("gone"));
    let acts = [&kept, &gone].map(|path| format!("shared:{}:2:1", path.display()));
    let subject = stopped(acts);
    fs::hard_link(&kept, folder.path().join("other")).unwrap();
    [&kept, &gone].iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!((deleted(&subject, "/kept"), deleted(&subject, "/gone")), (true.into(), true.into()));
}

#[test]
fn a_newline_in_a_name_is_told_from_the_text_of_its_escape() {
    let folder = memory();
    let names = ["a\nb", "a\\012b", "c\\012\nd"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let subject = stopped(names.iter().map(|name| format!("shared:{name}:2:1")));
    let found = rows(&subject, &["-o", "path,mapping,name"], has_path(folder.path().to_str().unwrap()));
    for name in &names {
        let row = found.iter().find(|row| row["path"] == name.as_str());
        let row = row.unwrap_or_else(|| panic!("{name:?} is not in {found:?}"));
        let base = name.rsplit('/').next().unwrap();
        assert_eq!((&row["mapping"], &row["name"]), (&name.as_str().into(), &base.into()));
    }
    // They are not one file.
    let groups = rmap(["pid", &subject.word(), "--by", "path", "--json"]).json();
    let groups = groups[0]["groups"].as_array().unwrap_or_else(|| panic!("{groups}"));
    assert!(names.iter().all(|name| groups.iter().any(|group| group["path"] == name.as_str())), "{groups:?}");
    // Every table writes a newline in one way.
    let shown = names[0].replace('\n', "\\n");
    let word = subject.word();
    for look in [&["pid", word.as_str()][..], &["pcstat", "--pid", &word], &["pcstat", &names[0]]] {
        let text = rmap(look).text();
        assert!(text.contains(&shown), "{look:?}: {text}");
    }
    let who = rmap(["who", "--json", "-o", "seen_as", &names[1]]).json();
    assert_eq!(who[0]["seen_as"], names[1].as_str(), "{who}");
}

#[test]
fn a_sum_that_does_not_fit_is_absent_and_not_the_largest_number() {
    let most = u64::MAX / 1024;
    let keys = ["Rss", "Pss", "Private_Clean", "Private_Dirty", "Shared_Clean", "Shared_Dirty", "Anonymous", "Swap"];
    let figures: String = keys.iter().map(|key| format!("{key}: {most} kB\n")).collect();
    let text: String =
        (1..4).map(|at| format!("{at}000-{at}800 rw-p 00000000 00:00 0 \nSize: 2 kB\n{figures}")).collect();
    let folder = memory();
    let file = folder.path().join("smaps");
    fs::write(&file, &text).unwrap();
    let (file, why) = (file.to_str().unwrap(), "unsupported: the sum does not fit into 64 bits");
    let document = rmap(["pid", "--smaps", file, "--json", "--summary"]).json();
    for part in ["resident", "proportional", "private", "swap"] {
        let row = document[0]["parts"].as_array().unwrap().iter().find(|row| row["part"] == part).unwrap();
        assert_eq!((&row["amount"], &row["absent"]["amount"]), (&Value::Null, &why.into()), "{row}");
    }
    let row = &rmap(["pid", "--smaps", file, "--json", "-o", "rss,uss,dirty"]).json()[0]["mappings"][0];
    assert_eq!(row["rss"], most * 1024);
    for figure in ["uss", "dirty"] {
        assert_eq!((&row[figure], &row["absent"][figure]), (&Value::Null, &why.into()), "{row}");
    }
    let root = capture(&[(7, b"x\0", text.as_bytes())]);
    let document = rmap(["ps", "--proc-root", root.path().to_str().unwrap(), "--json"]).json();
    assert_eq!((&document[0]["pss"], &document[0]["absent"]["pss"]), (&Value::Null, &why.into()), "{document}");
}

#[test]
fn a_memfd_is_deleted_for_every_user() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let mut command = Command::new(everyone.bring(&common::subject_program()));
    command.arg("memfd:4:2").uid(common::NOBODY).gid(common::NOBODY).current_dir("/");
    let subject = Subject::until_ready(command);
    let out = everyone.rmap(["pid", &subject.word(), "--json", "-o", "path,deleted"]).good().json();
    let row = out[0]["mappings"].as_array().unwrap().iter().find(|row| has_path("/memfd:")(row)).unwrap().clone();
    assert_eq!(row["deleted"], true, "{row}");
}

#[test]
fn a_fifo_in_a_capture_is_not_opened() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000, 1, "rw-p", b"", 4))]);
    let fifo = root.path().join("7/status");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = fifo.clone();
    let writer = std::thread::spawn(move || fs::File::options().write(true).open(writer).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let path = root.path().to_str().unwrap();
    for _ in 0..20 {
        rmap(["pid", "7", "--proc-root", path, "-o", "rss,user"]);
        rmap(["pid", "7", "--proc-root", path, "--summary"]);
    }
    assert!(!writer.is_finished(), "somebody opened it for reading");
    // The thread can end now.
    drop(fs::File::open(&fifo).unwrap());
    writer.join().unwrap();
}

#[test]
fn a_name_below_the_head_is_the_mappings() {
    let lines = "Name:           [anon:libc_malloc]\nSize:                  4 kB\nRss:                   4 kB\n";
    let plain = "Size:                  4 kB\nRss:                   4 kB\n";
    let text = format!(
        "1000-2000 rw-p 00000000 00:00 0 \n{lines}2000-3000 rw-p 00000000 00:00 0 \n{plain}\
         3000-4000 rw-p 00000000 00:00 0 \n{lines}"
    );
    let root = capture(&[(7, b"x\0", text.as_bytes())]);
    let out = rmap(["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--json"]).good().json();
    let rows = out[0]["mappings"].as_array().unwrap();
    let name = |row: &Value| row["path"].clone();
    let expected: [Value; 3] = ["[anon:libc_malloc]".into(), Value::Null, "[anon:libc_malloc]".into()];
    assert_eq!(rows.iter().map(name).collect::<Vec<_>>(), expected, "{out}");
    assert!(rows[0].get("name").is_none() && rows[0]["kind"] == "anonymous", "{out}");
}

/// The other id that shares the memory of the subject.
fn sharer(subject: &Subject) -> String {
    let children = format!("/proc/{0}/task/{0}/children", subject.pid());
    fs::read_to_string(children).unwrap().trim().to_owned()
}

#[test]
fn memory_that_two_ids_share_counts_once_in_a_sum() {
    let shared = stopped(["anonymous:64:40", "share"]);
    // Of a process with threads each one has an id that can be named, such as that of this test.
    let (own, thread) = (std::process::id().to_string(), nix::unistd::gettid().to_string());
    for (one, other) in [(shared.word(), sharer(&shared)), (own, thread)] {
        let rows = |pids: &[&str]| {
            let out = rmap([&["pid", "--merge", "--json", "-o", "size"], pids].concat()).good().json();
            out["total"]["rows"].as_u64().unwrap() as i64
        };
        // The threads of this test come and go.
        let (once, both) = (rows(&[&one]), rows(&[&one, &other]));
        assert!((both - once).abs() < once / 2, "{one} {other}: {once} and {both} mappings");
        let resident = |pids: &[&str]| {
            let out = rmap([&["pid", "--merge", "--summary", "--json"], pids].concat()).good().json();
            out[0]["amount"].as_u64().unwrap() as i64
        };
        let (once, both) = (resident(&[&one]), resident(&[&one, &other]));
        assert!((both - once).abs() < once / 2, "{one} {other}: {once} and {both} bytes");
    }
    // In groups both are shown, and the total counts their memory once.
    let groups = rmap(["pid", "--by", "pid", "--json", &shared.word(), &sharer(&shared)]).good().json();
    let rows = groups["groups"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["rss"], &groups["total"]["rss"]), (2, &rows[1]["rss"], &rows[0]["rss"]));
    // So does the total below the rows of both in each round of a repeated answer.
    let round = |pids: &[&str]| {
        let mut watching = Running::start(command([&["pid", "-w", "0.05", "-b", "-o", "rss,mapping"], pids].concat()));
        std::iter::repeat_with(|| watching.line()).take(1000).find(|line| line.contains(" total ")).unwrap()
    };
    assert_eq!(round(&[&shared.word(), &sharer(&shared)]), round(&[&shared.word()]));
    // On their own both are shown.
    assert_eq!(rmap(["pid", "--json", &shared.word(), &sharer(&shared)]).good().json().as_array().unwrap().len(), 2);
}

#[test]
fn memory_that_two_processes_share_is_shown_if_the_filter_accepts_either() {
    let shared = stopped(["anonymous:64:40", "share"]);
    let (first, second) = (shared.word(), sharer(&shared));
    let rss = |options: &[&str]| {
        let out = rmap([&["pid", "--merge", "--json", "-o", "rss", &first, &second], options].concat()).good().json();
        out["total"]["rss"].as_u64().unwrap()
    };
    for by in [&[][..], &["--by", "kind"], &["--sort", "rss"]] {
        let all = rss(by);
        assert!(all >= 40 * page(), "{by:?}: {all}");
        for pid in [&first, &second] {
            assert_eq!(rss(&[by, &["--filter", &format!("pid == {pid}")]].concat()), all, "{by:?}");
        }
        assert_eq!(rss(&[by, &["--filter", "rss > 0"]].concat()), all, "{by:?}");
    }
}

#[test]
fn memory_that_a_filter_accepts_of_either_process_counts_whichever_it_is() {
    let shared = stopped(["anonymous:64:40", "memfd:16:8", "share"]);
    let (first, second) = (shared.word(), sharer(&shared));
    let ask = |options: &[&str]| {
        rmap([&["pid", "--json", "-o", "size,rss", &first, &second], options].concat()).good().json()
    };
    let whole = ask(&["--merge"]);
    let filter = format!("pid == {first} && kind == anonymous || pid == {second} && kind != anonymous");
    for view in [&["--merge"][..], &["--merge", "--sort", "rss"], &["--merge", "--by", "kind"], &["--by", "command"]] {
        let parts = ask(&[view, &["--filter", &filter]].concat());
        for column in ["size", "rss"] {
            assert_eq!(parts["total"][column], whole["total"][column], "{view:?}: {parts}");
        }
    }
    // So does the total of a repeated answer, which has the rows of both.
    let round = |options: &[&str]| {
        let pids = ["pid", "-w", "0.05", "-b", "-o", "rss,mapping", &first, &second];
        let mut watching = Running::start(command([&pids, options].concat()));
        let line = std::iter::repeat_with(|| watching.line()).take(1000).find(|line| line.contains(" total ")).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(round(&["--filter", &filter]), round(&[]));
    // What both have counts once, and as that of one of them.
    let overlapping = format!("pid == {first} && kind == anonymous || pid == {second}");
    assert_eq!(ask(&["--merge", "--filter", &overlapping])["total"], whole["total"]);
}

#[test]
fn a_group_of_a_merged_list_counts_all_processes_that_have_its_memory() {
    let shared = stopped(["anonymous:64:40", "share"]);
    let (first, second) = (shared.word(), sharer(&shared));
    let ask = |options: &[&str]| {
        rmap([&["pid", "--merge", "--by", "kind", "--json", &first], options].concat()).good().json()
    };
    let (one, both) = (ask(&[]), ask(&[&second]));
    let groups = |document: &Value| document["groups"].as_array().unwrap().clone();
    assert_eq!(groups(&one).len(), groups(&both).len());
    for (one, both) in groups(&one).iter().zip(&groups(&both)) {
        assert_eq!((&one["processes"], &both["processes"]), (&1.into(), &2.into()), "{both}");
        assert_eq!([&one["mappings"], &one["rss"]], [&both["mappings"], &both["rss"]], "{both}");
    }
    // Only those that the filter accepts.
    let of_second = ask(&[&second, "--filter", &format!("pid == {second}")]);
    assert!(groups(&of_second).iter().all(|group| group["processes"] == 1), "{of_second}");
    let apart = format!("pid == {first} || pid == {second} && kind == stack");
    for group in groups(&ask(&[&second, "--filter", &apart])) {
        assert_eq!(group["processes"], if group["kind"] == "stack" { 2 } else { 1 }, "{group}");
    }
}

#[test]
fn a_summary_by_user_or_command_counts_every_process() {
    let shared = stopped(["anonymous:64:40", "share"]);
    let summary = |by: &str, pids: &[&str]| {
        let out = rmap([&["pid", "--summary", "--json", "--by", by], pids].concat()).good().json();
        assert_eq!(out.as_array().unwrap().len(), 1, "{out}");
        (out[0]["processes"].clone(), out[0]["parts"][0]["amount"].clone())
    };
    for by in ["user", "command"] {
        let (one, amount) = summary(by, &[&shared.word()]);
        let two = summary(by, &[&shared.word(), &sharer(&shared)]);
        assert_eq!((one, two), (1.into(), (2.into(), amount)), "{by}");
    }
}

#[test]
fn memory_that_processes_of_two_groups_share_is_in_the_row_of_each() {
    let (Some(one), Some(other)) = (Group::new("shares-one"), Group::new("shares-other")) else { return };
    let shared = one.start(&["anonymous:64:40".to_owned(), "share".to_owned()]);
    shared.stop();
    fs::write(other.path().join("cgroup.procs"), sharer(&shared)).unwrap();
    let groups = rmap(["pid", "--by", "cgroup", "--json", &shared.word(), &sharer(&shared)]).good().json();
    let rows = groups["groups"].as_array().unwrap();
    let mut names: Vec<&str> = rows.iter().map(|row| row["cgroup"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, [&one.name[..], &other.name], "{groups}");
    assert!(rows[0]["rss"].as_u64().unwrap() >= 40 * page() && rows[0]["rss"] == rows[1]["rss"], "{groups}");
    // The total counts it once.
    assert_eq!(groups["total"]["rss"], rows[0]["rss"], "{groups}");
    // So do two summaries have it.
    let out = rmap(["pid", "--summary", "--by", "cgroup", "--json", &shared.word(), &sharer(&shared)]).good().json();
    let amounts: Vec<&Value> = out.as_array().unwrap().iter().map(|sum| &sum["parts"][0]["amount"]).collect();
    assert!(amounts.len() == 2 && amounts[0] == amounts[1], "{out}");
}

/// `stat` of a captured process.
fn stat(start_time: u64) -> String {
    let own = fs::read_to_string("/proc/self/stat").unwrap();
    let tail: Vec<&str> = own.rsplit(") ").next().unwrap().split_whitespace().collect();
    let time = start_time.to_string();
    let fields: Vec<&str> = (3..).zip(&tail).map(|(at, field)| if at == 22 { time.as_str() } else { field }).collect();
    format!("7 (x) {}\n", fields.join(" "))
}

#[test]
fn a_new_process_with_an_old_pid_is_new() {
    for view in [&["-o", "start,rss"][..], &["--summary"]] {
        let root = capture(&[(7, b"x\0", &mapping(0x1000, 1, "rw-p", b"", 4))]);
        fs::write(root.path().join("7/stat"), stat(100)).unwrap();
        let options = ["pid", "7", "--proc-root", root.path().to_str().unwrap(), "-w", "0.05", "--jsonl"];
        let mut watching = Running::start(command([&options, view].concat()));
        assert_eq!(watching.row()["fate"], Value::Null);
        fs::write(root.path().join("stat"), stat(200)).unwrap();
        fs::rename(root.path().join("stat"), root.path().join("7/stat")).unwrap();
        let fates: Vec<Value> = (0..60).map(|_| watching.row()["fate"].clone()).collect();
        assert!(fates.contains(&"new".into()) && fates.contains(&"gone".into()), "{view:?}: {fates:?}");
    }
}

#[test]
fn a_watch_of_the_files_of_a_process_ends_with_it() {
    for view in [&["-o", "path,cached"][..], &["--summary"]] {
        let subject = Subject::start(["memfd:4:4"]);
        let mut command = Command::new("timeout");
        command.arg("10").arg(common::program()).args(["pcstat", "-w", "0.05", "--jsonl", "--pid", &subject.word()]);
        command.args(view);
        let mut watching = Running::start(command);
        watching.row();
        drop(subject);
        assert_eq!(watching.wait(), Some(1), "{view:?}");
    }
}

#[test]
fn rows_above_a_torn_line_are_shown() {
    let whole = [mapping(0x1000, 1, "rw-p", b"", 4), mapping(0x3000, 2, "r-xp", b"/a", 8)].concat();
    let third = mapping(0x9000, 3, "rw-p", b"", 12);
    let third = std::str::from_utf8(&third).unwrap();
    for (broken, line) in [
        (third.replace("Rss: 12 kB", "Rss: 99999999999999999999999 kB"), 17),
        (third.replace("Pss: 12 kB", "Ps"), 18),
        (third.replace("rw-p", "rw"), 15),
        (third[..third.len() - 3].to_owned(), 21),
        (third[..third.find("Pss").unwrap()].to_owned(), 17),
        (third[..9].to_owned(), 15),
    ] {
        let text = [&whole, broken.as_bytes()].concat();
        let root = capture(&[(7, b"x\0", &text), (8, b"y\0", &whole)]);
        let run = rmap(["pid", "7", "8", "--json", "--proc-root", root.path().to_str().unwrap()]);
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
        assert!(run.err.contains("pid 7") && run.err.contains(&format!("line {line}:")), "{broken:?}: {}", run.err);
        let out = run.json();
        let starts = |at: usize| -> Vec<String> {
            let rows = out[at]["mappings"].as_array().unwrap();
            rows.iter().map(|row| row["start"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((starts(0), starts(1)), (vec!["1000".into(), "3000".into()], starts(0)), "{broken:?}");
        let incomplete = out[0]["incomplete"].as_str().unwrap();
        assert!(incomplete.starts_with(&format!("line {line}: ")) && run.err.contains(incomplete), "{incomplete}");
        assert_eq!(out[1].get("incomplete"), None, "{broken:?}");
        let summary = rmap(["pid", "7", "--summary", "--json", "--proc-root", root.path().to_str().unwrap()]);
        assert_eq!((summary.status, summary.json()), (Some(1), Value::Array(Vec::new())), "{broken:?}");
    }
}

#[test]
fn a_bare_smaps_file_is_read() {
    let folder = memory();
    let path = folder.path().join("report.txt");
    let text = [mapping(0x1000, 1, "rw-p", b"", 4), mapping(0x3000, 2, "r-xp", b"/a", 8)].concat();
    fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    let rows = rmap(["pid", "--smaps", path, "-n", "-o", "start,rss,mapping", "--no-total"]).good().text();
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>(), ["000000001000", "4", "[anon]", "000000003000", "8", "/a"]);
    let piped = common::shell("rmap pid --smaps - --json < \"$1\"", &[path.as_ref()]).good().json();
    assert_eq!((&piped[0]["pid"], &piped[0]["total"]["rss"]), (&0.into(), &(12 << 10).into()));
    assert_eq!(piped[0]["command"], "standard input");
    let summary = rmap(["pid", "--smaps", path, "--summary", "--json"]).good().json();
    let resident = &summary[0]["parts"][0];
    assert_eq!((&resident["part"], &resident["amount"]), (&"resident".into(), &(12 << 10).into()));
    let named = rmap(["pid", "--smaps", path, "--jsonl", "-o", "command"]).good().lines_of_json();
    assert_eq!(named[0]["command"], path);
    let other = rmap(["pid", "--smaps", path, "-o", "rss,cache_cached"]);
    assert_eq!((other.status, other.complaints().len()), (Some(1), 1), "{}", other.err);
    fs::write(path, &text[..text.len() - 3]).unwrap();
    let summary = rmap(["pid", "--smaps", path, "--summary", "--json"]);
    assert_eq!((summary.status, summary.complaints().len(), summary.json()), (Some(1), 1, Value::Array(Vec::new())));
    let torn = rmap(["pid", "--smaps", path, "--json"]);
    assert_eq!((torn.status, torn.json()[0]["mappings"].as_array().unwrap().len()), (Some(1), 1), "{}", torn.err);
    assert_eq!(torn.json()[0]["incomplete"], "line 14: the text is truncated: it ends within a line", "{}", torn.err);
    for wrong in [&["--smaps", path, "1"][..], &["--smaps", path, "--cache"], &["--smaps", path, "-w", "1"]] {
        assert_eq!(rmap([&["pid"], wrong].concat()).status, Some(2), "{wrong:?}");
    }
}

/// Mail programs and other systems change the line ends of what is attached to a report.
#[test]
fn the_line_ends_of_a_bare_smaps_text_are_not_part_of_its_names() {
    let folder = memory();
    let path = folder.path().join("report.txt");
    let text = [mapping(0x1000, 1, "rw-p", b"/odd\r", 4), mapping(0x3000, 2, "r-xp", b"/a", 8)].concat();
    let dos = String::from_utf8(text.clone()).unwrap().replace('\n', "\r\n");
    for text in [text, dos.into_bytes()] {
        fs::write(&path, &text).unwrap();
        let out = rmap(["pid", "--smaps", path.to_str().unwrap(), "--json"]).good().json();
        let names: Vec<_> = out[0]["mappings"].as_array().unwrap().iter().map(|row| row["path"].clone()).collect();
        assert_eq!(names, ["/odd\r", "/a"]);
        assert_eq!(out[0]["total"]["rss"], 12 << 10);
    }
}

#[test]
fn a_container_and_a_glob_find_their_processes() {
    let one = mapping(0x1000, 1, "rw-p", b"", 4);
    let root = capture(&[(7, b"x\0", &one), (8, b"y\0", &one), (9, b"z\0", &one)]);
    let id = "0123456789abcdef".repeat(4);
    for (pid, group) in [
        (7, format!("0::/system.slice/docker-{id}.scope\n")),
        (8, format!("5:cpu,cpuacct:/a/b\n1:name=systemd:/machine.slice/libpod-{id}.scope\n")),
        (9, "0::/user.slice/user-1000.slice\n".to_owned()),
    ] {
        fs::write(root.path().join(format!("{pid}/cgroup")), group).unwrap();
        fs::write(root.path().join(format!("{pid}/stat")), stat(100)).unwrap();
    }
    for (group, pids) in [
        (&id[..12], &["7", "8"][..]),
        (&id, &["7", "8"]),
        ("user-*.slice", &["9"]),
        ("user.slice/user-1000.slice", &["9"]),
        ("/sys/fs/cgroup/cpu,cpuacct/a", &["8"]),
        ("/sys/fs/cgroup/cpuacct/a/b", &["8"]),
        ("/sys/fs/cgroup/systemd/machine.slice", &["8"]),
        ("/sys/fs/cgroup/*/user-1000*", &["9"]),
    ] {
        let run = rmap(["pid", "--cgroup", group, "--proc-root", root.path().to_str().unwrap(), "--csv", "-o", "pid"]);
        let text = run.text();
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), pids, "{group}: {}", run.err);
    }
}

#[test]
fn a_named_hierarchy_is_found_where_it_is_mounted() {
    let top = Path::new("/sys/fs/cgroup/systemd");
    if !is_root() || !top.join("cgroup.procs").exists() {
        return eprintln!("SKIPPED: no named hierarchy of version 1 is mounted");
    }
    let subject = Subject::start(["anonymous:1:1"]);
    let (group, links) = (top.join(format!("rmap-test-{}", subject.pid())), memory());
    fs::create_dir(&group).unwrap();
    fs::write(group.join("cgroup.procs"), subject.word()).unwrap();
    let link = links.path().join("link");
    std::os::unix::fs::symlink(&group, &link).unwrap();
    let found =
        [&group, &link].map(|path| rmap(["pid", "--cgroup", path.to_str().unwrap(), "--csv", "-o", "pid", "-n"]));
    fs::write(top.join("cgroup.procs"), subject.word()).unwrap();
    fs::remove_dir(&group).unwrap();
    for found in found {
        assert_eq!(found.good().text().lines().next(), Some(subject.word().as_str()));
    }
}

/// Runs `rmap` in a mount namespace of its own, after this shell script.
fn elsewhere(mount: &str, arguments: &str) -> common::Run {
    let mut command = Command::new("unshare");
    let script = format!("{mount}; exec {arguments}");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(common::program());
    run(command)
}

#[test]
fn a_missing_proc_is_called_missing() {
    if !is_root() {
        return;
    }
    let folder = memory();
    let file = folder.path().join("x");
    fs::write(&file, "x").unwrap();
    let warm = format!("warm {}", file.display());
    for arguments in ["pid --name sh", "pid --user root", "pid --cgroup /", "pid 1", "pcstat --pid 1", &warm] {
        let run = elsewhere("umount -R /proc", &format!("\"$0\" {arguments}"));
        assert!(run.status == Some(1) && run.err.starts_with("rmap: /proc: it is not mounted"), "{arguments}: {run:?}");
    }
    let capture = folder.path().join("x.tar").display().to_string();
    assert_eq!(
        common::rmap(["capture", "--no-files", "-o", &capture, &std::process::id().to_string()]).status,
        Some(0)
    );
    let diff = format!("diff {capture}");
    for arguments in ["", "overview", "files", "files --scan", "cgroups", "ps", "mem", &diff] {
        let run = elsewhere("umount -R /proc", &format!("\"$0\" {arguments}"));
        let line = run.complaints().concat();
        assert!(line.starts_with("rmap: /proc: it is not mounted"), "{arguments}: {run:?}");
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{arguments}: {run:?}");
    }
    let run = elsewhere("umount -R /sys", "\"$0\" cgroups");
    assert!(run.status == Some(1) && run.err.starts_with("rmap: /sys: it is not mounted"), "{run:?}");
}

#[test]
fn evict_says_why_it_finds_no_holder() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = common::disk();
    let path = folder.path().join("x");
    let _subject = Subject::start([format!("shared:{}:4:4", path.display())]);
    std::os::unix::fs::chown(&path, Some(common::NOBODY), None).unwrap();
    let why = |mount: &str, user: &str| {
        let run =
            elsewhere(mount, &format!("{user} {} evict --jsonl {}", everyone.program().display(), path.display()));
        let row = &run.lines_of_json()[0];
        assert_eq!((run.status, &row["left_pages"]), (Some(1), &4.into()), "{row}");
        row["why"].as_str().unwrap().to_owned()
    };
    let unmounted = why("umount -R /proc", "");
    assert_eq!(
        unmounted,
        "4 pages (16K) for an unknown reason (/proc is not mounted, so no process could be inspected)"
    );
    if common::has("setpriv", "util-linux") {
        let user = format!("setpriv --reuid={0} --regid={0} --clear-groups", common::NOBODY);
        let hidden = why("mount -t proc -o hidepid=2 proc /proc", &user);
        assert_eq!(
            hidden,
            "4 pages (16K) for an unknown reason (/proc hides the processes of other users (hidepid): run as root)"
        );
    }
}

#[test]
fn a_process_that_is_hidden_is_not_called_missing() {
    let Some(everyone) = ForEveryone::copy() else { return };
    if !common::has("setpriv", "util-linux") {
        return;
    }
    let subject = Subject::start(["anonymous:1:1"]);
    let program = everyone.program();
    for level in [1, 2, 4] {
        for view in ["pid", "pid --summary", "pcstat --pid"] {
            let mount = format!("mount -t proc -o hidepid={level} proc /proc");
            let user = format!("setpriv --reuid={0} --regid={0} --clear-groups", common::NOBODY);
            let run = elsewhere(&mount, &format!("{user} {} {view} {}", program.display(), subject.pid()));
            assert!(
                run.err.contains("no such process among those of this user: /proc hides"),
                "{level} {view}: {run:?}"
            );
            assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{level} {view}: {run:?}");
            let run = elsewhere(&mount, &format!("{user} {} {view} 4194300", program.display()));
            assert!(run.err.contains("no such process"), "{level} {view}: {run:?}");
        }
        let mount = format!("mount -t proc -o hidepid={level} proc /proc");
        let user = format!("setpriv --reuid={0} --regid={0} --clear-groups", common::NOBODY);
        let run = elsewhere(&mount, &format!("{user} {} pid --user root", program.display()));
        assert!(run.err.contains("hidepid"), "{level}: {run:?}");
    }
}

mod mounts {
    use super::*;
    use crate::common::mounted;

    #[test]
    fn huge_pages_reach_past_the_end_of_a_file() {
        let mount = "mount -t tmpfs -o huge=always tmpfs .";
        let Some(folder) = mounted("huge_pages_reach_past_the_end_of_a_file", mount) else { return };
        let path = folder.join("x");
        // 3 MiB of a mapping of 4 MiB, in two huge pages.
        let subject = stopped([format!("past:{}:768:1024", path.display())]);
        let row = &rows(&subject, &["--cache"], has_path("/x"))[0];
        if row["shmempmdmapped"] == 0 {
            return eprintln!("SKIPPED: there are no huge pages");
        }
        let figure = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}"));
        assert_eq!((figure("rss"), figure("cache_range")), (4 << 20, 3 << 20));
        assert_eq!(["cache_cached", "cache_mapped", "cache_unmapped"].map(figure), [3 << 20, 3 << 20, 0]);
    }

    #[test]
    fn clean_pages_of_ramfs_are_not_reclaimable() {
        let Some(folder) = mounted("clean_pages_of_ramfs_are_not_reclaimable", "mount -t ramfs ramfs .") else {
            return;
        };
        check_clean(&format!("holes:{}:{MANY}", folder.join("x").display()), "unproven");
    }

    #[test]
    fn a_file_below_another_mount_is_not_deleted() {
        let name = "a_file_below_another_mount_is_not_deleted";
        let Some(folder) = mounted(name, "mkdir d") else { return };
        let subject = stopped([format!("shared:{}:2:1", folder.join("d/x (deleted)").display())]);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(folder.join("d")).status().unwrap();
        assert!(mounted.success());
        assert_eq!(rows(&subject, &[], has_path("x (deleted)"))[0]["deleted"], Value::Null);
    }
}
