//! Trees that change, are unreadable or too deep, or are walked with few descriptors.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

use crate::command::{file, folder, pcstat, pcstat_as_nobody, tree};
use crate::common::run;

#[test]
fn an_unreadable_directory_is_one_error_and_the_walk_continues() {
    let folder = folder();
    file(folder.path(), "closed/one", 1);
    file(folder.path(), "open/two", 1);
    file(folder.path(), "open/secret", 1);
    let forbid = |name: &str| {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o000)).unwrap();
    };
    forbid("closed");
    forbid("open/secret");
    std::fs::set_permissions(folder.path().join("open/two"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let Some(answer) = pcstat_as_nobody("-R -j 2", folder.path()) else { return };
    assert_eq!(answer.status, Some(1));
    // One line for all of them, with one of their names.
    let names = ["closed", "open/secret"].map(|name| folder.path().join(name).display().to_string());
    let line = |name: &String| {
        format!("rmap: 2 paths: permission denied (such as {name}); run as root, or as the user who owns it\n")
    };
    assert!(names.iter().map(line).any(|line| line == answer.err), "{}", answer.err);
    std::fs::set_permissions(folder.path().join("open/secret"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let one = pcstat_as_nobody("-R -j 2", folder.path()).unwrap().err;
    assert_eq!(one, format!("rmap: {}: permission denied; run as root, or as the user who owns it\n", names[0]));
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
}

#[test]
fn unknown_files_are_one_error_and_do_not_count_as_cached() {
    let folder = folder();
    for name in ["one", "two", "three"] {
        file(folder.path(), name, 4096);
    }
    let Some(answer) = pcstat_as_nobody("-R --summary", folder.path()) else { return };
    assert!(
        answer.err.lines().all(|line| line.ends_with("; run as root, or as the user who owns it")),
        "{}",
        answer.err
    );
    let row = &answer.json()[0];
    if row["unknown_files"] == 0 {
        eprintln!("SKIPPED: cachestat on this kernel reports to any user");
        return;
    }
    assert_eq!((answer.status, answer.err.lines().count()), (Some(1), 1), "{}", answer.err);
    assert!(answer.err.starts_with("rmap: 3 of 3 files: denied: "), "{}", answer.err);
    assert_eq!((&row["files"], &row["unknown_files"]), (&3.into(), &3.into()));
    assert!(row["cached"].is_null() && row["percent"].is_null() && row["dirty"].is_null(), "{row}");
    assert_eq!(row["note"], "3 files not included: nothing is known about their cached pages");
    let Some(answer) = pcstat_as_nobody("-R --summary --only-cached", folder.path()) else { return };
    assert_eq!((answer.status, &answer.json()[0]["unknown_files"]), (Some(1), &3.into()));
}

#[test]
fn a_directory_that_changes_during_the_walk_is_not_an_error() {
    let folder = tree();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0u32;
            while !done.load(Ordering::Relaxed) {
                let directory = folder.path().join(format!("d{}/come-{}", turn % 3, turn % 5));
                let _ = std::fs::create_dir(&directory);
                for number in 0..40 {
                    std::fs::write(directory.join(number.to_string()), "x").unwrap();
                }
                std::fs::remove_dir_all(&directory).unwrap();
                turn += 1;
            }
        });
        let outcomes: Vec<_> = (0..25).map(|_| pcstat("-R -j 2 --summary", folder.path())).collect();
        done.store(true, Ordering::Relaxed);
        for answer in outcomes {
            assert!(answer.rows()[0]["files"].as_u64().unwrap() >= 60);
        }
    });
}

#[test]
fn a_walk_works_with_few_descriptors() {
    let folder = tree();
    let deep: PathBuf = (0..60).map(|level| format!("level-{level}")).collect();
    file(folder.path(), deep.join("end"), 1);
    for number in 0..700 {
        file(folder.path(), format!("wide/{number}/one"), 1);
    }
    for limit in [14, 24, 64] {
        for jobs in [1, 2, 64] {
            let script = format!("ulimit -n {limit}; exec \"$0\" pcstat --json -R -j {jobs} --summary \"$1\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, env!("CARGO_BIN_EXE_rmap")]).arg(folder.path());
            let row = run(command).rows()[0].clone();
            assert_eq!(row["files"], 761, "{limit} descriptors, {jobs} threads");
        }
    }
}

#[test]
fn no_view_loses_files_with_few_descriptors() {
    let folder = folder();
    for number in 0..60 {
        file(folder.path(), number.to_string(), 1);
    }
    for view in ["pcstat --runs", "pcstat --map", "pcstat --runs -R -j 4", "warm", "evict", "warm -R"] {
        let names = if view.contains("-R") { "" } else { "/*" };
        let script = format!("ulimit -n 16; exec rmap {view} --jsonl \"$1\"{names}");
        let run = crate::common::shell(&script, &[folder.path().as_os_str()]);
        let mut names: Vec<_> =
            run.lines_of_json().iter().map(|row| row["filename"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), run.err.as_str()), (60, ""), "{view}");
    }
}

#[test]
fn a_path_longer_than_the_kernel_accepts_is_reached() {
    let folder = folder();
    let name = "a-directory-with-a-name-of-fifty-characters-in-all";
    let mut at = openat(AT_FDCWD, folder.path(), OFlag::O_PATH, Mode::empty()).unwrap();
    for _ in 0..150 {
        mkdirat(&at, name, Mode::from_bits_truncate(0o755)).unwrap();
        at = openat(&at, name, OFlag::O_PATH, Mode::empty()).unwrap();
    }
    let file = openat(&at, "end", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_truncate(0o644)).unwrap();
    nix::unistd::write(&file, b"x").unwrap();
    for jobs in [1, 2] {
        let rows = pcstat(&format!("-R -j {jobs}"), folder.path()).rows();
        assert_eq!((rows.len(), &rows[0]["cached"]), (1, &1.into()));
        assert!(rows[0]["path"].as_str().unwrap().len() > 7500);
    }
}

#[test]
fn measuring_does_not_change_access_times() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file(folder.path(), "sub/one", 5000);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let places = ["", "sub", "sub/one"].map(|name| folder.path().join(name));
    for place in &places {
        let times = std::fs::FileTimes::new().set_accessed(long_ago);
        std::fs::File::open(place).unwrap().set_times(times).unwrap();
    }
    assert_eq!(pcstat("-R", folder.path()).rows().len(), 1);
    let accessed = |place: &Path| place.metadata().unwrap().accessed().unwrap();
    assert!(places.iter().all(|place| accessed(place) == long_ago));
}

#[test]
fn twenty_thousand_nested_directories_are_walked() {
    const DEPTH: usize = 20_000;
    let folder = folder();
    let mut at = openat(AT_FDCWD, folder.path(), OFlag::O_PATH, Mode::empty()).unwrap();
    let file = |at: &std::os::fd::OwnedFd| {
        openat(at, "f", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_truncate(0o644)).unwrap();
    };
    for _ in 0..DEPTH {
        mkdirat(&at, "d", Mode::from_bits_truncate(0o755)).unwrap();
        at = openat(&at, "d", OFlag::O_PATH, Mode::empty()).unwrap();
    }
    file(&at);
    // On the way up there is more to read, where descriptors were closed on the way down.
    for level in 0..DEPTH {
        at = openat(&at, "..", OFlag::O_PATH, Mode::empty()).unwrap();
        if level % 1000 == 999 {
            mkdirat(&at, "e", Mode::from_bits_truncate(0o755)).unwrap();
            file(&openat(&at, "e", OFlag::O_PATH, Mode::empty()).unwrap());
        }
    }
    let answers = ["-j 1", "-j 2"].map(|jobs| {
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_rmap"), "pcstat", "--json", "-R", "--summary"]);
        run({
            command.args(jobs.split(' ')).arg(folder.path());
            command
        })
    });
    // The standard library would remove it recursively.
    Command::new("rm").arg("-rf").arg(folder.path().join("d")).status().unwrap();
    for answer in answers {
        assert_eq!((answer.status, answer.err.as_str()), (Some(0), ""));
        assert_eq!(answer.json()[0]["files"], DEPTH / 1000 + 1);
    }
}

#[test]
fn a_directory_replaced_by_a_symlink_is_not_followed() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (folder, outside) = (tree(), folder());
    file(outside.path(), "x/secret", 1);
    let (real, away) = (folder.path().join("d0/swapped"), folder.path().join("d0/away"));
    file(&real, "x/inside", 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::fs::rename(&real, &away).unwrap();
                std::os::unix::fs::symlink(outside.path(), &real).unwrap();
                std::fs::remove_file(&real).unwrap();
                std::fs::rename(&away, &real).unwrap();
            }
        });
        let answers: Vec<_> = (0..60).map(|_| pcstat("-R -j 4", folder.path())).collect();
        done.store(true, Ordering::Relaxed);
        assert!(answers.iter().all(|answer| !answer.text().contains("secret")));
    });
}
