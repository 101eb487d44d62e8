//! Sizes and locations that are rejected before anything is created, and names that are taken.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{self, Run, disk, page, program, rmap, run, shell};
use crate::{demo_in, names, refused};

#[test]
fn a_size_that_does_not_fit_is_rejected_before_anything_is_created() {
    let folder = disk();
    refused(&demo_in(folder.path(), &["--size", "900T"]), "it does not fit into memory: ");
    let too_large = demo_in(folder.path(), &["--size", "16383P"]);
    refused(&too_large, "--size 16383P: a file of this size cannot be mapped; choose a --size of up to ");
    refused(&demo_in(folder.path(), &["--size", "7.999E"]), "--size 9222219115350168961: it does not fit into memory");
    assert_eq!(names(folder.path()), [""; 0]);
    let missing = folder.path().join("no/such/folder");
    refused(&demo_in(&missing, &["--size", "1M"]), "no such file");
    let run = rmap(["demo", "--size", "900T"]);
    refused(&run, "it does not fit into memory");
}

#[test]
fn the_size_that_is_named_is_what_is_available_without_what_must_stay_free() {
    let run = rmap(["demo", "--size", "900T"]);
    let sizes: Vec<f64> = run.err.split([' ', '\n']).filter_map(|word| word.strip_suffix('G')?.parse().ok()).collect();
    let left: Vec<f64> = run.err.split(' ').filter_map(|word| word.strip_suffix('M')?.parse().ok()).collect();
    let ([available, most], [left]) = (&sizes[..], &left[..]) else {
        return eprintln!("SKIPPED: this machine has less than 1 GiB of memory: {run:?}");
    };
    assert!((available - left / 1024.0 - most).abs() < 0.21, "{run:?}");
}

#[test]
fn a_file_that_is_too_long_for_its_file_system_is_refused_with_the_length_that_is_possible() {
    let folder = disk();
    let run = demo_in(folder.path(), &["--size", "7.9E", "--acts", "create"]);
    if run.status == Some(0) {
        return eprintln!("SKIPPED: files here may be as long as that");
    }
    refused(&run, "may be at most ");
    assert!(!run.err.contains(".rmap-demo-"), "{run:?}");
    for acts in ["create", "create,map,touch"] {
        refused(&demo_in(folder.path(), &["--size", "9E", "--acts", acts]), "may be at most ");
    }
    let most = run.err.split("up to ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let run = demo_in(folder.path(), &["--size", most, "--acts", "create"]);
    assert_eq!(run.status, Some(0), "{most}: {run:?}");
}

/// A file system in memory needs nothing besides the data.
#[test]
fn all_that_is_free_of_a_file_system_in_memory_fits() {
    let name = "places::all_that_is_free_of_a_file_system_in_memory_fits";
    let Some(folder) = common::mounted_as(name, "mkdir small; mount -t tmpfs -o size=8M tmpfs small") else {
        return;
    };
    let small = folder.join("small");
    let run = demo_in(&small, &["--size", "9M"]);
    refused(&run, "it does not fit onto the disk of ");
    assert!(run.err.ends_with(": up to 8M fits\n"), "{}", run.err);
    let run = demo_in(&small, &["--size", "8M"]);
    assert_eq!(run.status, Some(0), "{run:?}");
}

#[test]
fn the_options_of_trace_are_known_to_be_of_trace() {
    for option in ["--output", "--min-change", "--every", "--no-syscalls"] {
        let run = rmap(["demo", option, "1", "--", "true"]);
        assert!(run.status == Some(2) && run.err.contains("rmap trace ha"), "{run:?}");
    }
}

#[test]
fn an_option_that_demo_does_not_have_is_no_hint() {
    let folder = disk();
    let path = folder.path().join("f");
    let run = rmap(["demo", "--size", "64K", "--json", "--path", path.to_str().unwrap()]);
    assert_eq!(run.json()[0]["path"], path.to_str().unwrap(), "--file is meant");
    let run = rmap(["demo", "--wach"]);
    assert_eq!((run.status, run.err.contains("--watch")), (Some(2), false), "{run:?}");
    assert!(rmap(["ps", "--wach"]).err.contains("did you mean '--watch'?"));
}

#[test]
fn limits_on_file_size_and_address_space_are_reported() {
    let folder = disk();
    let path = folder.path().join("file");
    for (limit, words) in
        [("ulimit -f 1024", "the limit on the size of a file (ulimit -f) is 1M"), ("ulimit -v 100000", "ulimit -v")]
    {
        let run = shell(&format!("{limit}; exec rmap demo --size 512M --file \"$1\""), &[path.as_os_str()]);
        refused(&run, words);
        assert!(run.err.contains("choose a smaller --size or raise the limit"), "{}", run.err);
        assert_eq!(names(folder.path()), [""; 0]);
    }
    // What is in use already counts.
    let run = shell("ulimit -v 300000; exec rmap demo --size 280M --file \"$1\"", &[path.as_os_str()]);
    refused(&run, "--size 280M: the limit on address space (ulimit -v) is 300000K, of which ");
    // The size that is said to fit is what is left.
    let (_, figures) = run.err.split_once(", of which ").unwrap();
    let figure = |before: &str| -> f64 {
        let text = figures.split_once(before).unwrap().0;
        text.rsplit(' ').next().unwrap().trim_end_matches('M').parse().unwrap()
    };
    let (used, left, most) = (figure(" are in use"), figure(" must stay free"), figure(" fits"));
    assert!((300_000.0 / 1024.0 - used - left - most).abs() < 0.3, "{run:?}");
    for kind in ["shared", "private", "memfd"] {
        let script = format!("ulimit -f 1024; exec rmap demo --acts create --kind {kind} --size 2M");
        refused(&shell(&script, &[]), "the limit on the size of a file (ulimit -f) is 1M; choose a smaller --size");
    }
}

#[test]
fn acts_that_map_nothing_need_no_addresses() {
    let demo = |acts: &str| shell(&format!("ulimit -v 300000; exec rmap demo --size 512M --acts {acts}"), &[]);
    let run = demo("create,evict,unlink").without_log();
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{}", run.text());
    refused(&demo("create,map"), "the limit on address space (ulimit -v) is 300000K");
}

#[test]
fn the_length_that_is_possible_is_found_below_the_limit_on_it() {
    let folder = disk();
    let path = folder.path().join("file");
    // 100 TiB and 20 TiB: ext4 with pages of 4 KiB has files of up to 16 TiB.
    let script = "ulimit -f 107374182400; exec rmap demo --acts create --size 20T --file \"$1\"";
    let run = shell(script, &[path.as_os_str()]);
    if run.status == Some(0) {
        return eprintln!("SKIPPED: files here may be longer than 20T");
    }
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("may be at most "), "{run:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}

/// Runs a shell script in a mount namespace in which `$1` is a tmpfs of 8 MiB. If that is impossible, prints SKIPPED
/// and returns `None`.
fn on_a_small_disk(script: &str) -> Option<Run> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small file system");
        return None;
    }
    let folder = common::memory();
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size=8m none \"$1\" || exit 77; {script}");
    command.args(["--mount", "--propagation", "private", "/bin/bash", "-c", &script, program().to_str().unwrap()]);
    let run = run({
        command.arg(folder.path());
        command
    });
    if run.status == Some(77) {
        eprintln!("SKIPPED: cannot mount here: {}", run.err);
        return None;
    }
    Some(run)
}

#[test]
fn a_full_disk_is_an_error_and_not_a_crash() {
    let sized = |size: &str| format!("\"$0\" demo --size {size} --file $1/f; status=$?; ls -A $1; exit $status");
    let Some(run) = on_a_small_disk(&sized("16M")) else { return };
    refused(&run, "it does not fit onto the disk of ");
    assert!(
        run.err.contains("which has 8M free; choose a smaller --size or another place with --file PATH"),
        "{}",
        run.err
    );
    let run = on_a_small_disk(&format!("head -c 7M /dev/zero > $1/other; {}", sized("2M"))).unwrap();
    assert_eq!((run.status, run.text().as_str()), (Some(1), "other\n"), "{run:?}");
    // All free space can be used, to the last page.
    let run = on_a_small_disk(&sized("8M")).unwrap();
    assert_eq!(run.status, Some(0), "{run:?}");
}

#[test]
fn a_failed_force_on_a_full_disk_keeps_the_old_file() {
    let script = "head -c 5M /dev/urandom > $1/f; before=$(md5sum < $1/f); \
                  \"$0\" demo --size 7M --force $KEEP --file $1/f; status=$?; \
                  [ \"$before\" = \"$(md5sum < $1/f)\" ] && ls -A $1; exit $status";
    for keep in ["", "KEEP=--keep; "] {
        let Some(run) = on_a_small_disk(&format!("{keep}{script}")) else { return };
        assert_eq!((run.status, run.text().as_str()), (Some(1), "f\n"), "{run:?}");
    }
}

#[test]
fn a_file_is_not_overwritten_without_force() {
    let folder = disk();
    let path = folder.path().join("file");
    fs::write(&path, "dear").unwrap();
    for options in [&["--size", "1M"][..], &["--size", "1M", "--keep"]] {
        let run = demo_in(folder.path(), options);
        refused(&run, "already exists; choose another name, or --force to replace it");
        assert_eq!(fs::read(&path).unwrap(), b"dear");
    }
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    refused(
        &rmap([OsStr::new("demo"), OsStr::new("--size=1M"), OsStr::new("--file"), link.as_os_str()]),
        "already exists",
    );
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn force_replaces_only_regular_files() {
    let folder = disk();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let run = demo_in(folder.path(), &["--size", "1M", "--force", "--keep"]);
    assert_eq!(run.err, "");
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() == 1 << 20 && bytes.iter().enumerate().all(|(place, byte)| usize::from(*byte) == place % 128));
    assert_eq!(names(folder.path()), ["file"]);
    demo_in(folder.path(), &["--size", "1M", "--force"]);
    assert_eq!(names(folder.path()), [""; 0]);
    demo_in(folder.path(), &["--size", "1M", "--force"]);
    assert_eq!(names(folder.path()), [""; 0], "--force with nothing to replace");
    fs::create_dir(&path).unwrap();
    refused(
        &demo_in(folder.path(), &["--size", "1M", "--force"]),
        "is not a regular file, and only regular files are replaced",
    );
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    refused(&demo_in(folder.path(), &["--size", "1M", "--force"]), "is not a regular file");
    assert!(fs::read("/etc/passwd").unwrap().starts_with(b"root:"));
}

#[test]
fn a_failed_force_does_not_change_the_old_file() {
    let folder = disk();
    let path = folder.path().join("file");
    // Just too little address space for the mapping in addition to the program itself.
    for keep in ["", "--keep"] {
        fs::write(&path, "dear").unwrap();
        let line = format!("ulimit -v 530000; exec rmap demo --size 512M --force {keep} --file \"$1\"");
        let run = shell(&line, &[path.as_os_str()]);
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
        let (limit, advice) = ("the limit on address space (ulimit -v) is 530000K, of which ", " fits\n");
        assert!(run.err.contains(limit) && run.err.ends_with(advice), "{}", run.err);
        assert_eq!(fs::read(&path).unwrap_or_default(), b"dear", "{keep}");
        assert_eq!(names(folder.path()), ["file"]);
    }
}

#[test]
fn a_force_that_fails_once_its_own_file_is_complete_does_not_change_the_old_one() {
    let Some(nobody) = common::ForEveryone::copy() else { return };
    // Everyone may write to the file and to its directory, but only its owner may remove it.
    let folder = disk();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    fs::set_permissions(folder.path(), mode(0o1777)).unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "dear").unwrap();
    fs::set_permissions(&path, mode(0o666)).unwrap();
    let words = ["demo", "--size", "1M", "--force", "--file", path.to_str().unwrap()];
    for more in [&[][..], &["--keep"], &["--acts", "create"], &["--acts", "create", "--keep"]] {
        let run = nobody.rmap([&words[..], more].concat());
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
        assert!(run.err.contains(": permission denied; choose a directory"), "{run:?}");
        assert_eq!(fs::read(&path).unwrap_or_default(), b"dear", "{more:?}");
        assert_eq!(names(folder.path()), ["file"]);
    }
}

#[test]
fn a_failed_keep_leaves_no_partial_file() {
    let folder = disk();
    let path = folder.path().join("file");
    let line = "ulimit -v 530000; exec rmap demo --size 512M --keep --file \"$1\"";
    let run = shell(line, &[path.as_os_str()]);
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn keep_leaves_the_whole_file() {
    let folder = disk();
    let run = demo_in(folder.path(), &["--size", "300001", "--keep", "--json"]);
    assert_eq!(run.err, "");
    let bytes = fs::read(folder.path().join("file")).unwrap();
    assert_eq!(bytes.len(), 300_001);
    assert!(bytes.iter().enumerate().all(|(place, byte)| usize::from(*byte) == place % 128));
}

#[test]
fn if_the_default_name_is_taken_a_number_is_added() {
    let folder = disk();
    // The shell's pid is the demo's, after exec.
    let run = shell(
        "cd \"$1\"; touch rmap-demo-$$ rmap-demo-$$-1; TMPDIR=$1 exec rmap demo --size 1M --json",
        &[folder.path().as_os_str()],
    );
    assert_eq!(run.err, "");
    let steps = run.json();
    let (path, pid) = (steps[0]["path"].as_str().unwrap(), steps[0]["pid"].as_u64().unwrap());
    assert!(path.ends_with(&format!("/rmap-demo-{pid}-2")), "{path}");
    assert_eq!(names(folder.path()).len(), 2, "the two existing files");
}

#[test]
fn an_invalid_size_is_wrong_usage() {
    for (size, words) in [("0", "an empty file"), ("1.5", "a fraction of a byte"), ("0.1", "a fraction of a byte")] {
        let run = rmap(["demo", "--size", size]);
        assert_eq!((run.status, run.out.len()), (Some(2), 0), "{run:?}");
        assert!(run.err.contains(words) && run.err.contains(size), "{}", run.err);
    }
}

#[test]
fn a_small_file_is_shown_in_bytes() {
    let steps = rmap(["demo", "--size", "4097", "-o", "size,file_size", "-n"]).text();
    let figures: Vec<&str> = steps.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(figures, [(page() * 4097_u64.div_ceil(page())).to_string().as_str(), "4097"]);
    assert!(rmap(["demo", "--size", "4097"]).text().contains(" Sizes are in bytes.\n"));
    assert!(rmap(["demo", "--size", "1M"]).text().contains(" Sizes are in KiB (-b: in bytes).\n"));
}

#[test]
fn an_unwritable_directory_is_named_in_the_error() {
    let long = format!("/var/tmp/{}", "a".repeat(256));
    for (file, words) in [
        ("/proc/x", "/proc: this is procfs, where "),
        ("/sys/x", "/sys: this is sysfs, where "),
        ("/var/tmp/no/such/x", "no such file; create its directory first"),
        ("/etc/passwd/x", "Not a directory; create its directory first"),
        (long.as_str(), "File name too long; choose a shorter name"),
    ] {
        refused(&rmap(["demo", "--size", "1M", "--file", file]), words);
    }
}

#[test]
fn force_works_with_the_longest_file_name() {
    let folder = disk();
    let path = folder.path().join("a".repeat(255));
    fs::write(&path, "old").unwrap();
    let run = rmap(["demo", "--size", "1M", "--force", "--keep", "--file", path.to_str().unwrap()]);
    assert_eq!(run.err, "");
    assert_eq!((path.metadata().unwrap().len(), names(folder.path()).len()), (1 << 20, 1));
}

#[test]
fn a_missing_proc_is_named_in_the_error() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can unmount /proc for itself");
        return;
    }
    let script = "umount -l /proc || exit 77; \"$0\" demo --size 1M; \"$0\" pid self; \"$0\" pid 1";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", script, program().to_str().unwrap()]);
    let run = run(command);
    if run.status == Some(77) {
        eprintln!("SKIPPED: /proc cannot be unmounted here: {}", run.err);
        return;
    }
    let line =
        "rmap: /proc: it is not mounted, so nothing can be read from the kernel; mount it: mount -t proc proc /proc";
    assert_eq!((run.status, run.complaints()), (Some(1), vec![line; 3]));
}

#[test]
fn a_guard_that_cannot_be_started_is_an_error_with_advice() {
    let Some(nobody) = common::ForEveryone::copy() else { return };
    // A limit of zero processes, which does not apply to root.
    let script = "ulimit -u 0; exec \"$0\" demo --size 1M --file \"$1\"";
    let folder = disk();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.path().join("f");
    let arguments =
        [OsStr::new("-c"), OsStr::new(script), nobody.program().as_os_str(), file.as_os_str()].map(OsStr::to_owned);
    let run = nobody.run(Path::new("/bin/bash"), arguments);
    refused(&run, "too many processes; end some, or raise the limit (ulimit -u)");
    assert_eq!(names(folder.path()), [""; 0]);
}

/// What an experiment on the overlay `all` says, act by act.
fn on_the_overlay(folder: &Path) -> Vec<serde_json::Value> {
    let acts = ["--acts", "create,map,fill,msync,munmap,evict", "--size", "1M", "--jsonl"];
    let file = folder.join("all/f");
    let run = rmap([&["demo", "--file", file.to_str().unwrap()], &acts[..]].concat());
    run.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn what<'r>(rows: &'r [serde_json::Value], act: &str) -> &'r str {
    rows.iter().find(|row| row["act"] == act).unwrap_or_else(|| panic!("{rows:?}"))["what"].as_str().unwrap()
}

#[test]
fn no_disk_is_claimed_for_an_overlay_whose_upper_layer_is_not_seen() {
    let name = "places::no_disk_is_claimed_for_an_overlay_whose_upper_layer_is_not_seen";
    let mount = "mkdir top all && mount -t tmpfs -o size=64M tmpfs top && mkdir top/low top/up top/work && \
                 mount -t overlay overlay -o lowerdir=$PWD/top/low,upperdir=$PWD/top/up,workdir=$PWD/top/work all && \
                 mount -t tmpfs tmpfs top";
    let Some(folder) = crate::common::mounted_as(name, mount) else { return };
    let rows = on_the_overlay(&folder);
    let evict = rows.iter().find(|row| row["act"] == "evict").unwrap();
    let cause = "likely because the upper layer of the overlay cannot be seen and may be in memory";
    assert!(evict["difference"].as_str().is_some_and(|why| why.contains(cause)), "{rows:?}");
    assert!(what(&rows, "msync").contains("the upper layer of the overlay, which cannot be seen"), "{rows:?}");
    assert!(rows.iter().all(|row| !row["what"].as_str().unwrap().contains("disk")), "{rows:?}");
}

#[test]
fn what_cannot_be_seen_on_an_overlay_is_not_stated() {
    let name = "places::what_cannot_be_seen_on_an_overlay_is_not_stated";
    let disk = disk();
    let place = disk.path().display();
    let mount = format!(
        "mkdir all {place}/low {place}/up {place}/work && \
         mount -t overlay overlay -o lowerdir={place}/low,upperdir={place}/up,workdir={place}/work all"
    );
    let Some(folder) = crate::common::mounted_as(name, &mount) else { return };
    let rows = on_the_overlay(&folder);
    let msync = rows.iter().find(|row| row["act"] == "msync").unwrap();
    let is_clean = what(&rows, "msync").contains(", and are clean now");
    assert_eq!(is_clean, msync["dirty"] == 0, "{rows:?}");
    assert!(is_clean || what(&rows, "msync").ends_with("Whether they are clean now cannot be seen here."), "{rows:?}");
}
