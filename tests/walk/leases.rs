//! Files that another process has leased: opening one breaks the lease, and its holder gets a signal.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::*;

/// Holds a lease for writing on a file and keeps the signal that breaks it pending.
const HOLDER: &str = "import fcntl, mmap, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
mapped = mmap.mmap(file, 8192)
print('ready', flush=True)
sys.stdin.read()";

fn holder(path: &Path) -> Option<Subject> {
    if !has("python3", "python3") {
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", HOLDER]).arg(path);
    Some(Subject::until_ready(command))
}

/// Whether the holder was told that its lease is broken: SIGIO (29) is pending.
fn was_told(holder: &Subject) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", holder.pid())).unwrap();
    let pending = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    (pending("SigPnd:") | pending("ShdPnd:")) >> 28 & 1 == 1
}

#[test]
fn a_leased_file_is_not_opened_and_the_row_names_the_holder() {
    let folder = memory();
    let (leased, other) = (folder.path().join("leased"), folder.path().join("other"));
    fs::write(&leased, vec![1; 8192]).unwrap();
    fs::write(&other, vec![1; 8192]).unwrap();
    let Some(holder) = holder(&leased) else { return };
    let pid = holder.word();
    let why = format!("leased by pid {pid}: opening it would break the lease");
    let (directory, file) = (folder.path().to_str().unwrap(), leased.to_str().unwrap());
    for arguments in [
        &["pcstat", "--json", "-R", directory][..],
        &["pcstat", "--json", file],
        &["pcstat", "--json", "--pid", &pid],
        &["pcstat", "--runs", "--json", "-R", directory],
        &["evict", "--json", file],
        &["warm", "--json", "-R", directory],
        &["lock", "--json", file],
    ] {
        let Some(run) = rmap_without_lists(arguments) else { return };
        assert_eq!(run.status, Some(1), "{arguments:?} {run:?}");
        assert!(run.err.contains(&why), "{arguments:?} {run:?}");
        assert!(!was_told(&holder), "{arguments:?}");
        let rows = run.json();
        let rows = rows.as_array().unwrap();
        if let Some(row) = rows.iter().find(|row| row["path"] == file) {
            assert_eq!((&row["cached"], &row["size"]), (&serde_json::Value::Null, &8192.into()));
            assert!(row["absent"]["cached"].as_str().unwrap().contains(&why), "{row}");
        }
        if arguments[0] == "pcstat" && arguments.contains(&"-R") {
            assert!(rows.iter().any(|row| row["path"] == other.to_str().unwrap()), "{rows:?}");
        }
    }
}

#[test]
fn a_leased_file_is_measured_by_the_lists_of_pages() {
    if !can_read_lists("a_leased_file_is_measured_by_the_lists_of_pages") {
        return;
    }
    let folder = memory();
    let leased = folder.path().join("leased");
    fs::write(&leased, vec![1; 8192]).unwrap();
    let other = known_file(&folder.path().join("other"), 8 * page(), &[(1, 3)]);
    let Some(holder) = holder(&leased) else { return };
    let pages = 8192 / page();
    let (directory, file) = (folder.path().to_str().unwrap(), leased.to_str().unwrap());
    let lists: [&[&str]; 5] = [
        &["pcstat", "-R", directory],
        &["pcstat", "-R", "--only-cached", directory],
        &["pcstat", "-R", "--map", directory],
        &["pcstat", "-R", "--filter", "cached > 0 && active >= 0 && cgroup != \"\"", directory],
        &["pcstat", "--method", "pages", file, other.path.to_str().unwrap()],
    ];
    for look in lists {
        let rows = rmap([look, &["--jsonl", "-o+method,cached"]].concat()).good().lines_of_json();
        let of = |path: &str| rows.iter().find(|row| row["filename"] == path).unwrap();
        assert_eq!((&of(file)["cached"], &of(file)["method"]), (&pages.into(), &"pages".into()), "{look:?} {rows:?}");
        assert_eq!(of(other.path.to_str().unwrap())["cached"], 3, "{look:?} {rows:?}");
    }
    let sums: [&[&str]; 4] = [
        &["pcstat", "-R", "--summary", directory],
        &["pcstat", "-R", "--summary", "--only-cached", directory],
        &["pcstat", "-R", "--by-dir", "1", directory],
        &["pcstat", "-R", "--summary", "--filter", "cgroup != \"/none\"", directory],
    ];
    for look in sums {
        let rows = rmap([look, &["--jsonl"]].concat()).good().lines_of_json();
        let sum = ["files", "cached", "pages"].map(|key| rows[0][key].as_u64().unwrap());
        assert_eq!((rows.len(), sum), (1, [2, pages + 3, pages + 8]), "{look:?} {rows:?}");
    }
    let run = rmap(["pcstat", "--runs", file]);
    assert!(run.status == Some(1) && run.err.contains("--runs has to open a file to find its holes"), "{run:?}");
    assert!(!was_told(&holder));
}

#[test]
fn a_leased_file_that_is_mapped_is_not_opened() {
    let folder = memory();
    let leased = folder.path().join("leased");
    fs::write(&leased, vec![1; 8192]).unwrap();
    let Some(holder) = holder(&leased) else { return };
    let filter = format!("mapping == \"{}\"", leased.display());
    let pid = holder.word();
    let arguments = ["pid", "--json", "-o", "mapping,cache_cached,cache_method", "--filter", &filter, &pid];
    if can_read_lists("a_leased_file_that_is_mapped_is_not_opened") {
        // The lists of pages know it.
        let row = &rmap(arguments).good().json()[0]["mappings"][0];
        assert_eq!((&row["cache_cached"], &row["cache_method"]), (&8192.into(), &"pages".into()), "{row}");
        assert!(!was_told(&holder));
    }
    let Some(run) = rmap_without_lists(arguments) else { return };
    let row = &run.json()[0]["mappings"][0];
    let why = format!("leased by pid {}: opening it would break the lease", holder.pid());
    assert!(row["cache_cached"].is_null() && !was_told(&holder), "{row}");
    assert!(row["absent"]["cache_cached"].as_str().unwrap().contains(&why), "{row}");
}

#[test]
fn a_lease_that_was_broken_is_admitted_with_its_holder() {
    let folder = memory();
    let leased = folder.path().join("leased");
    fs::write(&leased, vec![1; 8192]).unwrap();
    let Some(holder) = holder(&leased) else { return };
    let run = rmap(["pcstat", "--break-leases", leased.to_str().unwrap()]);
    let said = format!(
        "rmap: {}: leased by pid {}, which the kernel has now asked to give the lease up\n",
        leased.display(),
        holder.pid()
    );
    assert_eq!((run.status, run.err), (Some(1), said));
}
