//! `rmap diff`: what grew and what shrank, between written captures whose figures are known, and on this machine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod live;
mod refused;
mod written;

use std::fs;
use std::path::Path;

use common::mapping;
use serde_json::{Value, json};

pub(crate) const KIB: i64 = 1024;

/// A capture that a test writes.
pub(crate) struct Machine {
    top: tempfile::TempDir,
    files: Vec<Value>,
}

/// A process of it; sizes in KiB.
pub(crate) struct Process<'a> {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) command: &'a [u8],
    pub(crate) rss: u64,
    /// `None`: it may not be read.
    pub(crate) pss: Option<u64>,
    /// Mappings and their Pss, which is their Rss.
    pub(crate) mappings: &'a [(&'a [u8], u64)],
}

pub(crate) const PROCESS: Process<'static> =
    Process { pid: 10, start: 500, command: b"/bin/a", rss: 1000, pss: Some(900), mappings: &[] };

impl Machine {
    /// One of this boot, at this minute of a day.
    pub(crate) fn new(boot: &str, minute: u32) -> Machine {
        let top = tempfile::tempdir().unwrap();
        for folder in ["proc/1", "sys/fs/cgroup", "rmap"] {
            fs::create_dir_all(top.path().join(folder)).unwrap();
        }
        let description = json!({
            "format": 1, "rmap": "0", "time": format!("2026-01-31T10:{minute:02}:00Z"), "page_size": 4096,
            "release": "6.1", "machine": "x86_64", "boot": boot, "command_lines": true,
        });
        fs::write(top.path().join("rmap-capture.json"), description.to_string()).unwrap();
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        fs::write(top.path().join("proc/1/mountinfo"), mounts).unwrap();
        // It has the mounts, and is no row: a thread of the kernel.
        let stat = "1 (kernel) S 0 0 0 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0 0 0 0 0\n";
        fs::write(top.path().join("proc/1/stat"), stat).unwrap();
        Machine { top, files: Vec::new() }.group("", None)
    }

    /// The same as a capture that was taken without command lines.
    pub(crate) fn without_command_lines(self) -> Machine {
        let path = self.path().join("rmap-capture.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("\"command_lines\":true", "\"command_lines\":false")).unwrap();
        for process in fs::read_dir(self.path().join("proc")).unwrap() {
            let _ = fs::remove_file(process.unwrap().path().join("cmdline"));
        }
        self
    }

    pub(crate) fn process(self, process: &Process<'_>) -> Machine {
        let Process { pid, start, rss, .. } = process;
        let folder = self.path().join(format!("proc/{pid}"));
        fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &[u8]| fs::write(folder.join(name), text).unwrap();
        let stat = format!("{pid} (name) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 {start} 4096 9 0 1 2 3\n");
        file("stat", stat.as_bytes());
        let status =
            format!("Name:\tname\nState:\tS (x)\nTgid:\t{pid}\nUid:\t0\t0\t0\t0\nVmRSS: {rss} kB\nThreads:\t1\n");
        file("status", status.as_bytes());
        file("comm", b"name\n");
        file("cmdline", &[process.command, b"\0"].concat());
        if let Some(pss) = process.pss {
            let rollup = format!("1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: {} kB\nPss: {pss} kB\n", rss + 8);
            file("smaps_rollup", rollup.as_bytes());
            let mut start = 0x1000_0000;
            let smaps = process.mappings.iter().flat_map(|(name, kib)| {
                start += 1 << 32;
                let text = String::from_utf8(mapping(start, kib.div_ceil(4).max(1), "rw-p", name, *kib)).unwrap();
                // Memory without a name is in no file.
                let text = if name.is_empty() { text.replace(" fe:00 77 ", " 00:00 0 ") } else { text };
                text.into_bytes()
            });
            file("smaps", &smaps.collect::<Vec<u8>>());
        }
        self
    }

    /// A control group of version 2 with this usage in bytes.
    pub(crate) fn group(self, path: &str, usage: Option<u64>) -> Machine {
        let folder = self.path().join("sys/fs/cgroup").join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.stat"), "anon 1\nfile 1\n").unwrap();
        if let Some(usage) = usage {
            fs::write(folder.join("memory.current"), format!("{usage}\n")).unwrap();
        }
        self
    }

    /// A cached file: its path, inode, and how many bytes of it are cached.
    pub(crate) fn file(mut self, path: Value, inode: u64, cached: Value) -> Machine {
        let id = self.files.len() + 1;
        self.files.push(json!({
            "id": id, "path": path, "deleted": false, "kind": "file", "fs": "ext4", "device": [8, 1], "inode": inode,
            "links": 1, "size": 1 << 20, "cached": cached, "counts": {"absent": ["denied", "no"]},
            "dirty": 0, "writeback": 0, "evicted": 0, "nodes": {"absent": ["denied", "no"]},
            "groups": {"absent": ["denied", "no"]}, "container": null, "holders": "", "holder_count": 0,
            "method": "pages", "note": null,
        }));
        self
    }

    /// Writes the list of cached files, found by this method.
    pub(crate) fn with_list(self, method: &str) -> Machine {
        let account = json!({"method": method, "size": null, "kinds": [], "missed": []});
        let head = json!({"account": account, "incomplete": [], "unseen": null});
        let lines = std::iter::once(&head).chain(&self.files).map(|line| format!("{line}\n"));
        fs::write(self.path().join("rmap/files.jsonl"), lines.collect::<String>()).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.top.path()
    }

    pub(crate) fn word(&self) -> &str {
        self.top.path().to_str().unwrap()
    }
}

/// `rmap diff A B ARGS...`
pub(crate) fn diff(before: &Machine, after: &Machine, arguments: &[&str]) -> common::Run {
    common::rmap([&["diff", before.word(), after.word()], arguments].concat())
}

/// The rows as `KIND PID OF BEFORE AFTER CHANGE STATUS NAME`.
pub(crate) fn words(rows: &[Value]) -> Vec<String> {
    let word = |row: &Value| {
        let keys = ["kind", "pid", "of", "before", "after", "change", "status", "name"];
        keys.map(|key| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned)).join(" ")
    };
    rows.iter().map(word).collect()
}
