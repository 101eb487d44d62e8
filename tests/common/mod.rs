//! Shared by the tests of the command: running `rmap` as a user would, programs in a known state, captured processes,
//! and files with known cached pages. This file has no tests.

#![allow(dead_code, unused_imports, reason = "every test program uses a different part of it")]

mod group;
mod known;
mod lists;
mod mounted;
mod run;
mod running;
mod served;
mod subject;

use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) use group::*;
pub(crate) use known::*;
pub(crate) use lists::*;
pub(crate) use mounted::*;
pub(crate) use run::*;
pub(crate) use running::*;
pub(crate) use served::*;
pub(crate) use subject::*;

/// A directory with the structure of `/proc`, with processes that have only smaps and a command line.
pub(crate) fn capture(processes: &[(u32, &[u8], &[u8])]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for (pid, command, smaps) in processes {
        let folder = top.path().join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cmdline"), command).unwrap();
        fs::write(folder.join("smaps"), smaps).unwrap();
    }
    top
}

/// The description of a capture (`rmap-capture.json`) of a machine with pages of this size; `all`: whether it has all
/// processes.
pub(crate) fn description(page_size: u64, all: bool) -> String {
    serde_json::json!({
        "format": 1, "rmap": "0.1.0", "time": "2026-11-28T12:00:00Z", "page_size": page_size, "release": "6.1.0",
        "machine": "aarch64", "boot": null, "command_lines": false, "all_processes": all, "nameless_mount": null,
    })
    .to_string()
}

/// The text of one mapping as in smaps, with a few counters.
pub(crate) fn mapping(start: u64, pages: u64, perm: &str, name: &[u8], rss_kib: u64) -> Vec<u8> {
    let head = format!("{start:08x}-{:08x} {perm} 00000000 fe:00 77 ", start + pages * 4096);
    let kib = pages * 4;
    let body = format!(
        "\nSize: {kib} kB\nRss: {rss_kib} kB\nPss: {rss_kib} kB\nAnonymous: 0 kB\nSwap: 0 kB\nVmFlags: rd mr me \n"
    );
    [head.as_bytes(), b"                     ", name, body.as_bytes()].concat()
}

/// The machine's page size in bytes.
pub(crate) fn page() -> u64 {
    rmap::pagecache::Engine::detect().page_size().bytes()
}

/// A folder on tmpfs, where pages stay until the file is removed; accessible to every user.
pub(crate) fn memory() -> tempfile::TempDir {
    open_to_everyone(tempfile::tempdir_in("/dev/shm").unwrap())
}

/// A folder on a disk, accessible to every user.
pub(crate) fn disk() -> tempfile::TempDir {
    open_to_everyone(tempfile::tempdir_in("/var/tmp").unwrap())
}

fn open_to_everyone(folder: tempfile::TempDir) -> tempfile::TempDir {
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Whether a program can be run here; if not, prints which test is skipped.
pub(crate) fn has(program: &str, package: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("SKIPPED: {program} is not installed (Debian package {package})");
    }
    found
}

/// Whether cachestat reports figures here, such as dirty and evicted pages; if not, prints which test is skipped.
pub(crate) fn has_cachestat() -> bool {
    let available = rmap::pagecache::Engine::detect().has_cachestat();
    if !available {
        eprintln!("SKIPPED: cachestat is not available here (kernel before 6.5, or seccomp)");
    }
    available
}
