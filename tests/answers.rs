//! Answers about a process that were wrong once: each of these cases gave a false figure, or none although there is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "a test may panic, and a filter for system calls has to be installed by hand"
)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{ForEveryone, Subject, capture, command, disk, mapping, memory, page, rmap, run};
use serde_json::Value;

fn stopped<S: AsRef<std::ffi::OsStr>>(acts: impl IntoIterator<Item = S>) -> Subject {
    let subject = Subject::start(acts);
    subject.stop();
    subject
}

/// The rows of the mappings with this in their path, or at the address of the first one that the subject made.
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
const MANY: u64 = 4096;

/// Checks that what the act maps is clean, and how it is called; and that the parts add up.
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

/// `rmap` with the ioctl `PAGEMAP_SCAN` refused, as sandboxes do.
fn without_scan(errno: i32, arguments: &[&str]) -> Command {
    use nix::libc::{self, sock_filter};
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const SCAN: u32 = 0xc060_6610;
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let filter = vec![
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
    // The name has a newline and what its escape looks like.
    let odd = folder.path().join("a\\012b\nc (deleted)");
    assert_eq!(deleted(&stopped([format!("shared:{}:2:1", odd.display())]), "c (deleted)"), Value::Null);
    // It has changed its root since.
    let jail = folder.path().join("jail");
    fs::create_dir(&jail).unwrap();
    let inside = jail.join("x (deleted)");
    let subject = stopped([format!("shared:{}:2:1", inside.display()), format!("chroot:{}", jail.display())]);
    assert_eq!(deleted(&subject, "x (deleted)"), Value::Null);
    // What is certain stays so: a file that another name keeps, and one that none does.
    let (kept, gone) = (folder.path().join("kept"), folder.path().join("gone"));
    let acts = [&kept, &gone].map(|path| format!("shared:{}:2:1", path.display()));
    let subject = stopped(acts);
    fs::hard_link(&kept, folder.path().join("other")).unwrap();
    [&kept, &gone].iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!((deleted(&subject, "/kept"), deleted(&subject, "/gone")), (true.into(), true.into()));
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
    // Lets the thread go.
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
