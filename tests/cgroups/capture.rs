//! A captured machine with control groups, which a test writes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::common::description;

/// A directory with `proc` and `sys/fs/cgroup`.
pub(crate) struct Captured {
    top: TempDir,
    point: PathBuf,
}

impl Captured {
    /// One with this list of mounts and no groups yet. They are below `point`, a directory of the capture.
    pub(crate) fn new(mounts: &str, point: &str) -> Captured {
        let top = tempfile::tempdir().unwrap();
        let point = top.path().join(point);
        fs::create_dir_all(&point).unwrap();
        fs::create_dir_all(top.path().join("proc/1")).unwrap();
        fs::write(top.path().join("proc/1/mountinfo"), mounts).unwrap();
        Captured { top, point }
    }

    /// One of version 2, with the root group of all.
    pub(crate) fn version_2() -> Captured {
        let captured = Captured::new("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "sys/fs/cgroup");
        captured.write(
            "",
            &[
                ("cgroup.controllers", "cpuset cpu io memory pids\n"),
                ("memory.stat", "anon 900000\nfile 800000\ninactive_file 50000\nkernel 70000\nslab 30000\n"),
                ("memory.pressure", "some avg10=3.00 avg60=0 avg300=0 total=9\nfull avg10=1.00 avg60=0 total=2\n"),
                ("cgroup.stat", "nr_descendants 9\nnr_dying_descendants 4\n"),
                ("cgroup.procs", "1\n2\n"),
            ],
        );
        captured
    }

    /// Writes files of a group.
    pub(crate) fn write(&self, group: &str, files: &[(&str, &str)]) {
        let folder = self.point.join(group);
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }

    /// A group of version 2: its usage, its limit, its inactive page cache, and its processes.
    pub(crate) fn group(&self, group: &str, usage: u64, limit: &str, inactive: u64, pids: &str) {
        let stat = format!(
            "anon {}\nfile {}\nkernel 3000\nsock 70\nshmem 500\nfile_dirty 40\nfile_writeback 30\nswapcached 0\n\
             inactive_anon 1\nactive_anon 2\ninactive_file {inactive}\nactive_file 600\nunevictable 20\n\
             slab_reclaimable 1100\nslab_unreclaimable 900\nslab 2000\n",
            usage / 2,
            usage / 4
        );
        self.write(
            group,
            &[
                ("memory.current", &format!("{usage}\n")),
                ("memory.max", &format!("{limit}\n")),
                ("memory.high", "max\n"),
                ("memory.swap.current", "8192\n"),
                ("memory.swap.max", "0\n"),
                ("memory.events", "low 0\nhigh 2\nmax 12\noom 3\noom_kill 1\noom_group_kill 0\n"),
                (
                    "memory.pressure",
                    "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=2.25 avg60=0 total=0\n",
                ),
                ("memory.stat", &stat),
                ("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"),
                ("cgroup.procs", pids),
            ],
        );
    }

    /// One of version 1.
    pub(crate) fn version_1() -> Captured {
        let mounts = "30 1 0:9 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n";
        let captured = Captured::new(mounts, "sys/fs/cgroup/memory");
        captured.group_of_version_1("", None, &[("release_agent", "\n")]);
        captured
    }

    /// A group of version 1 with a usage of 50 MiB, 40 of them anonymous, and its limit; and more of its files.
    pub(crate) fn group_of_version_1(&self, group: &str, limit: Option<u64>, files: &[(&str, &str)]) {
        let stat = "total_cache 10485760\ntotal_rss 41943040\ntotal_shmem 0\ntotal_inactive_file 10485760\n\
                    total_active_file 0\ntotal_dirty 0\ntotal_writeback 0\ntotal_inactive_anon 41943040\n\
                    total_active_anon 0\ntotal_unevictable 0\ntotal_swap 1048576\n";
        let limit = limit.map_or("9223372036854771712".to_owned(), |limit| limit.to_string());
        self.write(
            group,
            &[
                ("memory.usage_in_bytes", "52428800\n"),
                ("memory.limit_in_bytes", &limit),
                ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
                ("memory.memsw.failcnt", "0\n"),
                ("memory.memsw.max_usage_in_bytes", "53477376\n"),
                ("memory.failcnt", "0\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
                ("memory.use_hierarchy", "1\n"),
                ("memory.stat", stat),
                ("cgroup.procs", ""),
            ],
        );
        self.write(group, files);
    }

    /// What is known of the capture itself; `all`: whether it has all processes.
    pub(crate) fn describe(&self, all: bool) {
        fs::write(self.top.path().join("rmap-capture.json"), description(4096, all)).unwrap();
    }

    /// What its last entry says: the processes that exist but could not be captured.
    pub(crate) fn missed(&self, pids: &[u32]) {
        fs::create_dir_all(self.top.path().join("rmap")).unwrap();
        fs::write(self.top.path().join("rmap/complete"), json!({ "missed": pids }).to_string()).unwrap();
    }

    /// A process with so much Pss, in KiB.
    pub(crate) fn process(&self, pid: u32, pss: u64) {
        let folder = self.top.path().join(format!("proc/{pid}"));
        fs::create_dir_all(&folder).unwrap();
        let stat = format!("{pid} (x) S 1 {pid} {pid} 0 -1 0 {}\n", "1 ".repeat(43).trim_end());
        let rollup = format!("00400000-7ffe00000000 ---p 00000000 00:00 0 [rollup]\nRss: {pss} kB\nPss: {pss} kB\n");
        for (name, text) in
            [("stat", stat), ("smaps_rollup", rollup), ("status", format!("Name:\tx\nPid:\t{pid}\nVmRSS:\t{pss} kB\n"))]
        {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    /// The number of the pid namespace of a process.
    pub(crate) fn pid_namespace(&self, pid: u32, number: u64) {
        let folder = self.top.path().join(format!("proc/{pid}/ns"));
        fs::create_dir_all(&folder).unwrap();
        let _ = fs::remove_file(folder.join("pid"));
        std::os::unix::fs::symlink(format!("pid:[{number}]"), folder.join("pid")).unwrap();
    }

    /// Its `/proc/meminfo`.
    pub(crate) fn meminfo(&self, text: &str) {
        self.of_machine("meminfo", text);
    }

    /// A file of its `/proc`.
    pub(crate) fn of_machine(&self, name: &str, text: &str) {
        let path = self.top.path().join("proc").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A list of cached files of which `/d` is charged for some.
    pub(crate) fn files(&self) {
        let head = json!({"account": {"method": "pages", "size": null, "kinds": [], "missed": []}, "unseen": null});
        let file = |id: u64, path: &str, parts: &[(&str, u64)]| {
            let absent = json!({"absent": ["not applicable", "it was not read"]});
            let counts = |pages: u64| [&[pages, pages][..], &[0; 10]].concat();
            let part = |(group, pages): &(&str, u64)| {
                let counts = counts(*pages);
                json!({"group": group, "groups": group, "nodes": "0", "counts": counts})
            };
            let pages = parts.iter().map(|(_, pages)| pages).sum();
            json!({
                "id": id, "path": path, "deleted": path == "/srv/b", "kind": "file", "fs": "ext4", "device": [8, 1],
                "inode": id,
                "links": 1, "size": 99, "cached": pages * 4096, "counts": counts(pages), "dirty": 0, "writeback": 0,
                "evicted": 0, "nodes": "0", "groups": "", "container": null, "holders": absent,
                "holder_count": absent, "method": "pages", "note": null,
                "by_group": parts.iter().map(part).collect::<Vec<_>>(),
            })
        };
        let files = [
            head,
            file(1, "/srv/other", &[("/a", 9)]),
            file(2, "/srv/b", &[("/d", 1), ("/a", 5)]),
            file(3, "/srv/a", &[("/d", 2)]),
        ];
        let text: String = files.iter().map(|file| format!("{file}\n")).collect();
        fs::create_dir_all(self.top.path().join("rmap")).unwrap();
        fs::write(self.top.path().join("rmap/files.jsonl"), text).unwrap();
    }

    /// `--proc-root` for it.
    pub(crate) fn option(&self) -> String {
        format!("--proc-root={}", self.top.path().join("proc").display())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.point
    }
}
