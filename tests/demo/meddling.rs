//! Other processes that remove, truncate or replace the demo's file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{Run, Running, command, disk, page, wait_until};
use crate::{hold, names};
use nix::sys::signal::Signal;

#[test]
fn another_file_with_the_demos_name_is_not_removed() {
    let folder = disk();
    let path: PathBuf = folder.path().join("f");
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut held = hold(command(["demo", "--size", "1M", "--file", path.to_str().unwrap()]));
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::write(&path, "another").unwrap();
        held.end(signal);
        held.stderr.read_to_end(&mut Vec::new()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(fs::read(&path).unwrap(), b"another");
        fs::remove_file(&path).unwrap();
    }
}

/// Starts a demo that takes long enough to fill, waits until filling has begun, and does `act`.
fn meddled(options: &[&str], act: impl Fn(&Path)) -> (tempfile::TempDir, Run) {
    let folder = disk();
    let path = folder.path().join("f");
    let mut demo = command([&["demo", "--size", "384M", "--file", path.to_str().unwrap()], options].concat());
    let child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it has its name", || path.exists());
    act(&path);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (folder, Run { status: output.status.code(), out: output.stdout, err })
}

#[test]
fn a_deleted_demo_file_is_measured_until_the_end() {
    let (folder, run) = meddled(&[], |path| fs::remove_file(path).unwrap());
    assert_eq!((run.status, run.err.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.text().lines().any(|line| line.starts_with(" 100.000 ")), "{}", run.text());
    assert!(run.text().ends_with("/f: the demo file was removed by another process.\n"), "{}", run.text());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_replaced_demo_file_is_measured_and_the_replacement_is_kept() {
    let (folder, run) = meddled(&["--json"], |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "another").unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.ends_with("/f: another file has this name now and is not removed\n"), "{}", run.err);
    for step in run.json().as_array().unwrap() {
        assert_eq!(step["file_size"], 384 << 20);
        assert_eq!(step["only_mapped"], 0, "mapped pages are cached: {step}");
    }
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"another");
}

#[test]
fn truncating_the_file_during_filling_is_a_clear_error() {
    let (folder, run) = meddled(&["--keep"], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(10_000).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(
        run.err.ends_with("/f: its length was changed from 402653184 to 10000 bytes by another process\n"),
        "{}",
        run.err
    );
    drop(folder);
    let (folder, run) = meddled(&[], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(
        run.err.ends_with("/f: its length was changed from 402653184 to 0 bytes by another process\n"),
        "{}",
        run.err
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

/// At the end the page is mapped too, but for some steps the views did not agree.
#[test]
fn a_step_in_which_the_views_differ_is_not_forgotten() {
    let folder = disk();
    let path = folder.path().join("f");
    let arguments = ["demo", "--size", "64M", "--file", path.to_str().unwrap()];
    for format in [&[][..], &["--jsonl"]] {
        let mut demo = Running::start(command([&arguments, format].concat()));
        let is_first = |line: &str| line.trim_start().starts_with("0.000") || line.contains("\"filled\":0,");
        let mut said = String::new();
        while !is_first(said.lines().last().unwrap_or_default()) {
            said.push_str(&demo.line());
        }
        let file = fs::File::open(&path).unwrap();
        let last_page = memmap2::MmapOptions::new().offset((64 << 20) - page()).map_raw_read_only(&file).unwrap();
        last_page.lock().unwrap();
        let (status, rest) = demo.rest();
        assert_eq!(status, Some(1), "{rest}");
        let agreed = rest.contains("Both views agree");
        assert!(!agreed && (rest.contains("The views differ, with ") || !format.is_empty()), "{rest}");
        drop(last_page);
    }
}

/// Starts an experiment of 4 MiB whose `fill` takes a second, and does `act` with its file once that is mapped. Returns
/// the exit status, the rows after `map`, and what `act` returned.
fn meddled_acts<T>(acts: &str, act: impl Fn(&Path) -> T) -> (Option<i32>, Vec<serde_json::Value>, T) {
    let folder = disk();
    let path = folder.path().join("f");
    let options = ["--size", "4M", "--rate", "4M", "--jsonl", "--file", path.to_str().unwrap()];
    let mut demo = Running::start(command([&["demo", "--acts", acts], &options[..]].concat()));
    while !demo.line().contains("\"act\":\"map\"") {}
    let done = act(&path);
    let (status, rest) = demo.rest();
    (status, rest.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), done)
}

#[test]
fn another_process_that_maps_the_file_is_named() {
    let (status, rows, _held) = meddled_acts("create,map,fill,second,munmap,evict", |path| {
        let map = memmap2::MmapOptions::new().map_raw_read_only(&fs::File::open(path).unwrap()).unwrap();
        map.lock().unwrap();
        map
    });
    assert_eq!(status, Some(1), "{rows:?}");
    let row = |act: &str| rows.iter().find(|row| row["act"] == act).unwrap_or_else(|| panic!("{act}: {rows:?}"));
    let cause = format!("likely because process {} maps the file too", std::process::id());
    for act in ["fill", "second", "evict"] {
        assert!(row(act)["difference"].as_str().is_some_and(|why| why.contains(&cause)), "{act}: {rows:?}");
    }
    assert!(row("fill")["difference"].as_str().unwrap().contains("and it had to be: Pss = Rss; "), "{rows:?}");
    // Each has a third of it.
    assert!(!row("second")["what"].as_str().unwrap().contains("half"), "{rows:?}");
    assert!(row("evict")["what"].as_str().unwrap().starts_with("No page was dropped."), "{rows:?}");
}

#[test]
fn truncating_the_file_of_an_experiment_is_a_clear_error() {
    let folder = disk();
    let path = folder.path().join("f");
    let options = ["--acts", "create,map,fill", "--size", "4M", "--rate", "4M", "--file", path.to_str().unwrap()];
    let mut demo = command([&["demo"], &options[..]].concat());
    let child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it has its name", || path.exists());
    // What is filled at first stays.
    std::thread::sleep(std::time::Duration::from_millis(200));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10_000).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let words = "/f: its length was changed from 4194304 to 10000 bytes by another process\n";
    assert!(output.status.code() == Some(1) && err.ends_with(words), "{err}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn another_file_with_the_name_of_an_experiments_file_is_told_and_stays() {
    for acts in ["create,map,fill", "create,map,fill,unlink"] {
        let replaced = |path: &Path| {
            fs::remove_file(path).unwrap();
            fs::write(path, "precious").unwrap();
        };
        for format in [&[][..], &["--jsonl"]] {
            let folder = disk();
            let path = folder.path().join("f");
            let options = ["--size", "4M", "--rate", "8M", "--file", path.to_str().unwrap()];
            let mut demo = command([&["demo", "--acts", acts], &options[..], format].concat());
            let child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            wait_until("it has its name", || path.exists());
            replaced(&path);
            let output = child.wait_with_output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(1), "{acts}: {said}");
            assert_eq!(said.matches("/f: another file has this name now and is not removed").count(), 1, "{said}");
            assert_eq!(fs::read(&path).unwrap(), b"precious", "{acts}");
            assert_eq!(names(folder.path()), ["f"]);
        }
    }
}

/// Renames the file of a running experiment, or what is above it, and returns everything that is said then.
fn said_after(options: &[&str], signal: Option<Signal>, act: impl Fn(&Path)) -> (Option<i32>, String) {
    let folder = disk();
    let inner = folder.path().join("d1");
    fs::create_dir(&inner).unwrap();
    let file = inner.join("f");
    let usual = ["demo", "--acts", "create,map,fill", "--size", "2M", "--rate", "2M", "--file", file.to_str().unwrap()];
    let mut demo = command([&usual, options].concat());
    let child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut subject = crate::Subject::of(child);
    wait_until("it has its name", || file.exists());
    act(&inner);
    signal.into_iter().for_each(|signal| subject.signal(signal));
    let (mut said, child) = (String::new(), subject.child());
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap().code();
    assert_eq!(names(folder.path()).len(), 1, "{said}");
    let left = names(&fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path());
    (status, format!("{said}{left:?}"))
}

#[test]
fn a_renamed_file_is_not_called_removed_and_is_left() {
    let rename = |inner: &Path| fs::rename(inner.join("f"), inner.join("renamed")).unwrap();
    for (options, signal, status) in [
        (&[][..], None, 1),
        (&["--jsonl"], None, 1),
        (&[], Some(Signal::SIGTERM), 143),
        (&["--jsonl"], Some(Signal::SIGTERM), 143),
    ] {
        let (ended, said) = said_after(options, signal, rename);
        assert_eq!(ended, Some(status), "{said}");
        let words = "/d1/f: the demo file has another name now (";
        assert_eq!((said.matches(words).count(), said.contains("/d1/renamed), and is left")), (1, true), "{said}");
        assert!(said.ends_with(r#"["renamed"]"#), "{said}");
    }
}

#[test]
fn a_file_whose_directory_was_renamed_is_removed_and_nothing_is_said() {
    let rename = |inner: &Path| fs::rename(inner, inner.with_file_name("d2")).unwrap();
    let (status, said) = said_after(&[], None, rename);
    assert!(status == Some(0) && !said.contains("But") && said.ends_with("[]"), "{said}");
    let (status, said) = said_after(&["--jsonl"], None, rename);
    assert!(status == Some(0) && !said.contains("rmap: ") && said.ends_with("[]"), "{said}");
    // Where it is kept, it is not where it was to be.
    let (status, said) = said_after(&["--keep"], None, rename);
    let words = "/d1/f: its directory has another name now, and the demo file is still in it.\n";
    assert!(status == Some(1) && said.contains(words) && said.ends_with(r#"["f"]"#), "{said}");
}

#[test]
fn a_file_that_was_renamed_while_it_is_held_is_told_at_the_end() {
    let folder = disk();
    let path = folder.path().join("f");
    let mut held = hold(command(["demo", "--size", "1M", "--file", path.to_str().unwrap()]));
    fs::rename(&path, folder.path().join("moved")).unwrap();
    assert_eq!(held.end(Signal::SIGTERM).code(), Some(1));
    let mut said = String::new();
    held.stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("/f: the demo file has another name now (") && said.ends_with("/moved), and is left\n"));
}

#[test]
fn a_file_that_was_renamed_before_it_is_held_is_told_once() {
    let (folder, run) = meddled(&["--jsonl"], |path| fs::rename(path, path.with_file_name("moved")).unwrap());
    assert!(run.status == Some(1) && run.err.ends_with("/moved), and is left\n"), "{run:?}");
    assert_eq!((run.complaints().len(), names(folder.path())), (1, vec!["moved".to_owned()]), "{run:?}");
}

#[test]
fn the_causes_of_a_killed_experiment_are_named() {
    let kill = |limit: &str| {
        let folder = disk();
        let said = folder.path().join("said");
        let acts = "--acts create,map,fill --size 4M --rate 1M --jsonl -o act,pid";
        let line = format!("{limit} exec \"$0\" demo {acts} --file \"$1/f\" 2> \"$1/said\"");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).arg(crate::common::program()).arg(folder.path());
        let mut demo = Running::start(shell);
        assert_eq!(demo.row()["act"], "create");
        // It is filled from now on.
        let pid = i32::try_from(demo.row()["pid"].as_i64().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert_eq!(demo.wait(), Some(1));
        fs::read_to_string(said).unwrap()
    };
    let causes = "/f: the process of the experiment was ended by SIGKILL; if nobody has killed it, there may be too \
                  little memory (see dmesg)";
    let said = kill("");
    assert!(said.ends_with(&format!("{causes}: choose a smaller --size\n")), "{said}");
    let said = kill("ulimit -t 600;");
    let limit = ", or the limit on processor time was reached (ulimit -t): choose a smaller --size\n";
    assert!(said.ends_with(&format!("{causes}{limit}")), "{said}");
}
