//! Captures of machines that this one is not: version 2, Kubernetes, old and odd hierarchies.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::capture::Captured;
use crate::common::{has, program, rmap, run, shell};
use crate::{assert_absent, figure, on_a_terminal, row, rows};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Nested groups: `/a` (limit 100000) has `/a/b` and `/a/c`; `/d` stands alone.
fn nested() -> Captured {
    let captured = Captured::version_2();
    captured.group("a", 90_000, "100000", 30_000, "10\n11\n");
    captured.group("a/b", 50_000, "max", 20_000, "12\n0\n0\n");
    captured.group("a/c", 20_000, "25000", 30_000, "13\n");
    captured.group("d", 7_000, "max", 1_000, "");
    captured
}

#[test]
fn every_figure_is_that_of_its_file() {
    let captured = nested();
    let found = rows(&[&captured.option()]);
    let paths: Vec<&str> = found.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/", "/a", "/a/b", "/a/c", "/d"]);
    let a = row(&found, "/a");
    let expected = json!({
        "path": "/a", "path_bytes": null, "depth": 1, "parent": "/", "parent_bytes": null, "container": null,
        "version": 2, "note": null,
        "usage": 90000, "limit": 100000, "limit_percent": 90.0, "high": null, "working_set": 60000,
        "anonymous": 45000, "file": 22500, "active_file": 600, "inactive_file": 30000, "shmem": 500, "dirty": 40,
        "writeback": 30, "unevictable": 20, "kernel": 3000, "slab": 2000, "slab_reclaimable": 1100, "sockets": 70,
        "swap": 8192, "swap_limit": 0, "memory_swap_limit": null, "max": 12, "oom": 3, "oom_kill": 1,
        "pressure": 12.5, "pressure_full": 2.25, "dying": 0, "process_count": 6, "pss": null,
        "absent": {
            "high": "not applicable: there is no limit",
            "memory_swap_limit": "unsupported: version 2 limits memory and swap separately",
            "pss": "unsupported: some of its processes are in a pid namespace that is not seen from here",
        },
    });
    assert_eq!(*a, expected);
    assert_absent(row(&found, "/a/b"), "limit", "not applicable: there is no limit");
    // Processes of another pid namespace are 0, and count.
    assert_eq!(figure(row(&found, "/a/b"), "process_count"), 3);
    assert_eq!(figure(row(&found, "/"), "process_count"), 8);
}

#[test]
fn the_memory_of_processes_is_added_up() {
    let captured = nested();
    captured.group("e", 4_000, "max", 0, "20\n21\n");
    captured.group("e/f", 4_000, "max", 0, "22\n");
    for (pid, pss) in [(20, 100), (21, 20), (22, 3)] {
        captured.process(pid, pss);
    }
    let root = captured.option();
    let found = rows(&[&root, "/e", "/a"]);
    assert_eq!(figure(row(&found, "/e"), "pss"), 123 << 10);
    assert_eq!(figure(row(&found, "/e/f"), "pss"), 3 << 10);
    assert_absent(row(&found, "/a/c"), "pss", "unsupported: some of its processes are not in the capture");
    let why = "unsupported: some of its processes are in a pid namespace that is not seen from here";
    assert_absent(row(&found, "/a/b"), "pss", why);
    let total = rmap(["cgroups", "--json", "--total", &root, "/e"]).good().json();
    assert_eq!(total["total"]["pss"], 123 << 10);
    let parts = rmap(["cgroups", "--jsonl", "--by=path", &root, "/e"]).good().lines_of_json();
    assert_eq!(figure(row(&parts, "/e"), "pss"), 120 << 10);
}

#[test]
fn a_process_that_a_capture_of_all_of_them_lacks_had_exited() {
    let captured = nested();
    captured.group("e", 4_000, "max", 0, "20\n21\n");
    captured.process(20, 100);
    let pss = |all| {
        captured.describe(all);
        let found = rows(&[&captured.option(), "/e"]);
        (found[0]["pss"].as_u64(), found[0]["absent"]["pss"].clone())
    };
    assert_eq!(pss(true), (Some(100 << 10), Value::Null));
    captured.describe(false);
    let run = rmap(["cgroups", "--jsonl", &captured.option(), "/e"]);
    let found = &run.lines_of_json()[0];
    let why = "unsupported: some of its processes are not in the capture";
    assert_eq!((&found["pss"], &found["absent"]["pss"]), (&Value::Null, &why.into()));
    let line = "rmap: the capture: it has only some of the processes of its machine, so 1 control group has no Pss\n";
    assert_eq!((run.status, &run.err[..]), (Some(1), line));
    // Unless it was only left out, which the capture says.
    captured.missed(&[21]);
    captured.describe(true);
    for group in [&["/e"][..], &[]] {
        let run = rmap([&["cgroups", "--jsonl", &captured.option()], group].concat());
        assert_absent(row(&run.lines_of_json(), "/e"), "pss", "unsupported: some of its processes could not be read");
        let line = "rmap: pid 21: it could not be read when the capture was taken\n";
        assert_eq!((run.status, &run.err[..]), (Some(1), line));
    }
}

#[test]
fn the_list_of_cached_files_is_unpacked_only_for_an_explanation() {
    let captured = nested();
    captured.describe(true);
    captured.files();
    captured.missed(&[]);
    // An archive with two such lists is damaged, which is only noticed if they are unpacked.
    let script = "cd \"$1\" && tar -cf two.tar rmap-capture.json proc sys rmap/files.jsonl && \
        tar -rf two.tar rmap/files.jsonl rmap/complete";
    let top = captured.folder().join("../../..");
    shell(script, &[top.as_os_str()]).good();
    let archive = format!("--proc-root={}", top.join("two.tar").display());
    let run = rmap(["cgroups", &archive, "/a"]);
    assert!(run.status == Some(1) && run.err.contains("two entries have the path rmap/files.jsonl"), "{run:?}");
    for options in [&["/a", "--json"][..], &["/a", "/d"], &["/a", "--sort", "usage"], &[]] {
        let run = rmap([&["cgroups", &archive][..], options].concat());
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{options:?}: {run:?}");
    }
}

#[test]
fn the_working_set_is_never_less_than_nothing() {
    let captured = nested();
    // Its inactive page cache is read a moment after its usage.
    assert_eq!(figure(row(&rows(&[&captured.option()]), "/a/c"), "working_set"), 0);
}

#[test]
fn more_groups_than_files_may_be_open_are_read() {
    let captured = Captured::version_2();
    (0..150).for_each(|number| captured.group(&format!("g{number}"), 1_000, "max", 0, ""));
    let line = format!("ulimit -n 64; exec {} cgroups --jsonl -o path {}", program().display(), captured.option());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]);
    assert_eq!(run(shell).good().lines_of_json().len(), 151);
}

#[test]
fn the_root_has_no_usage_and_says_so() {
    let captured = nested();
    let found = rows(&[&captured.option()]);
    let root = row(&found, "/");
    for key in ["usage", "limit", "swap", "oom_kill"] {
        assert_absent(root, key, "not applicable: the kernel does not keep it for the root group");
    }
    assert_eq!((figure(root, "anonymous"), figure(root, "dying")), (900_000, 4));
    assert_eq!(root["pressure"], 3.0);
}

#[test]
fn a_total_counts_each_byte_once() {
    let captured = nested();
    let total = |more: &[&str]| {
        let root = captured.option();
        let arguments = ["cgroups", "--json", "--total", &root].into_iter().chain(more.iter().copied());
        rmap(arguments).good().json()["total"].clone()
    };
    let all = total(&[]);
    assert_eq!((&all["rows"], &all["usage"]), (&json!(5), &json!(97_000)));
    assert_eq!((&all["anonymous"], &all["process_count"]), (&json!(900_000), &json!(8)));
    // Rows of which one lies within another one.
    assert_eq!(total(&["--filter=limit > 0"])["usage"], 90_000);
    assert_eq!(total(&["--filter=limit > 0 && usage < 50000"])["usage"], 20_000);
    assert_eq!(total(&["/a/b", "/a/c"])["usage"], 70_000);
    assert_eq!(total(&["--sort=usage", "--top=2"])["usage"], 90_000);
}

#[test]
fn groups_of_rows_add_up_to_the_whole() {
    let captured = nested();
    let root = captured.option();
    let found = rmap(["cgroups", "--json", "--total", "--by=depth", &root, "/a", "/d"]).good().json();
    let usage: Vec<_> = found["groups"].as_array().unwrap().iter().map(|row| (&row["depth"], &row["usage"])).collect();
    // /a without /a/b and /a/c, and /d.
    assert_eq!(usage, [(&json!(2), &json!(70_000)), (&json!(1), &json!(27_000))]);
    assert_eq!(found["total"]["usage"], 97_000);
}

#[test]
fn a_tree_is_indented_and_no_limit_is_a_word() {
    let captured = nested();
    let root = captured.option();
    let columns = "-o=usage,limit,swap_limit,tree";
    let text = rmap(["cgroups", columns, &root, "/a"]).good().text();
    assert_eq!(
        text,
        "Usage  Limit Swap limit Control group\n\
         90000 100000          0 /a\n\
         50000   none          0   b\n\
         20000  25000          0   c\n"
    );
    // In another order only the whole path tells which group it is.
    let text = rmap(["cgroups", "--sort=usage", "--top=2", "--total", &root]).good().text();
    assert!(text.lines().nth(1).unwrap().trim_end().ends_with("/a"), "{text}");
    assert!(text.lines().nth(2).unwrap().trim_end().ends_with("/a/b"), "{text}");
}

#[test]
fn containers_and_pods_are_named_and_added_up() {
    let captured = Captured::version_2();
    let pod =
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a2b3c4d_5e6f_7081_92a3_b4c5d6e7f809.slice";
    captured.group("kubepods.slice", 70_000, "900000", 5_000, "");
    captured.group("kubepods.slice/kubepods-burstable.slice", 70_000, "max", 5_000, "");
    captured.group(pod, 60_000, "80000", 5_000, "");
    captured.group(&format!("{pod}/cri-containerd-{ID}.scope"), 50_000, "60000", 4_000, "40\n");
    captured.group(&format!("{pod}/cri-containerd-{ID}.scope/inner"), 30_000, "max", 2_000, "41\n42\n");
    captured.group("system.slice", 9_000, "max", 0, "");
    captured.group("system.slice/cron.service", 4_000, "max", 0, "50\n");
    let root = captured.option();
    let found = rows(&[&root]);
    let container = row(&found, &format!("/{pod}/cri-containerd-{ID}.scope"));
    assert_eq!((&container["container"], figure(container, "process_count")), (&json!("kubernetes:0123456789ab"), 3));
    assert_eq!(row(&found, &format!("/{pod}"))["container"], "kubernetes:pod1a2b3c4d-5e6f");
    assert_eq!(row(&found, "/system.slice/cron.service")["container"], Value::Null);
    let by = rmap(["cgroups", "--json", "--total", "--by=container", &root]).good().json();
    let of = |name: &str| {
        let groups = by["groups"].as_array().unwrap();
        groups.iter().find(|row| row["container"].as_str().unwrap_or("") == name).unwrap().clone()
    };
    // With the group inside of the container, once.
    assert_eq!(
        (&of("kubernetes:0123456789ab")["usage"], &of("kubernetes:0123456789ab")["cgroups"]),
        (&json!(50_000), &json!(2))
    );
    assert_eq!(of("kubernetes:0123456789ab")["process_count"], 3);
    // Also under its other names.
    let named = rmap(["cgroups", "--jsonl", "--by=container", "-o=processes,usage", "--sort=processes", &root]);
    let named = named.good().lines_of_json();
    assert_eq!((&named[0]["process_count"], &named[0]["processes"]), (&json!(3), &Value::Null), "{named:?}");
    // What the pod has besides its containers.
    assert_eq!(of("kubernetes:pod1a2b3c4d-5e6f")["usage"], 10_000);
    assert_eq!(of("")["usage"], 19_000);
    assert_eq!(by["total"]["usage"], 79_000);
    // By the id of the container.
    assert_eq!(rows(&[&root, "0123456789ab"]).len(), 2);
}

#[test]
fn groups_without_memory_control_have_no_row_and_their_processes_count_above() {
    let captured = nested();
    captured.write("a/b/threads", &[("cgroup.procs", "77\n78\n"), ("cgroup.type", "domain\n")]);
    let found = rows(&[&captured.option()]);
    assert_eq!(found.len(), 5);
    assert_eq!(figure(row(&found, "/a/b"), "process_count"), 5);
    assert_eq!(figure(row(&found, "/a"), "process_count"), 8);
}

#[test]
fn only_the_mounted_part_of_a_tree_is_shown_with_its_whole_paths() {
    let mounts = format!("31 23 0:28 /docker/{ID} /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    let captured = Captured::new(&mounts, "sys/fs/cgroup");
    captured.write("", &[("cgroup.controllers", "memory\n")]);
    captured.group("", 5_000, "6000", 100, "1\n");
    captured.group("init", 3_000, "max", 100, "2\n");
    let found = rows(&[&captured.option()]);
    let top = row(&found, &format!("/docker/{ID}"));
    assert_eq!((figure(top, "usage"), &top["container"]), (5_000, &json!("docker:0123456789ab")));
    assert_eq!(row(&found, &format!("/docker/{ID}/init"))["parent"], format!("/docker/{ID}"));
}

#[test]
fn version_1_is_read_where_its_controllers_are_mounted_together() {
    let mounts = "30 1 0:9 / /cg/cpu,memory rw - cgroup none rw,cpu,memory\n\
                  31 1 0:8 / /sys/fs/cgroup rw - cgroup2 none rw\n\
                  32 1 0:7 / /cg/systemd rw - cgroup n rw,name=systemd\n";
    let captured = Captured::new(mounts, "cg/cpu,memory");
    let stat = "cache 1\nrss 2\ninactive_file 3\ntotal_cache 700\ntotal_rss 200\ntotal_inactive_file 400\n\
                total_active_file 100\ntotal_shmem 50\ntotal_dirty 5\ntotal_writeback 4\ntotal_unevictable 6\n\
                total_swap 30\n";
    let group = |path: &str, limit: &str, failures: &str, kills: &str| {
        captured.write(
            path,
            &[
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.limit_in_bytes", limit),
                ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
                ("memory.memsw.failcnt", "0\n"),
                ("memory.kmem.usage_in_bytes", "90\n"),
                ("memory.kmem.tcp.usage_in_bytes", "8\n"),
                ("memory.failcnt", failures),
                ("memory.oom_control", &format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")),
                ("memory.use_hierarchy", "1\n"),
                ("memory.stat", stat),
                ("cgroup.procs", "5\n6\n"),
            ],
        );
    };
    group("", "9223372036854771712\n", "0\n", "0");
    captured.write("", &[("release_agent", "\n")]);
    group("x", "4096000\n", "3\n", "1");
    group("x/y", "9223372036854710272\n", "4\n", "2");
    let found = rows(&[&captured.option()]);
    let x = row(&found, "/x");
    let figures = ["usage", "limit", "working_set", "anonymous", "file", "active_file", "inactive_file", "shmem"];
    assert_eq!(figures.map(|key| figure(x, key)), [1000, 4_096_000, 600, 200, 700, 100, 400, 50]);
    let figures = ["dirty", "writeback", "unevictable", "kernel", "sockets", "swap", "max", "oom_kill", "version"];
    // What the kernel counts for each group alone is added up.
    assert_eq!(figures.map(|key| figure(x, key)), [5, 4, 6, 90, 8, 30, 7, 3, 1]);
    // A process with threads in two groups is one.
    assert_eq!(figure(x, "process_count"), 2);
    assert_absent(row(&found, "/x/y"), "limit", "not applicable: there is no limit");
    assert_absent(x, "memory_swap_limit", "not applicable: there is no limit");
    assert_absent(x, "pressure", "unsupported: control groups of version 1 have no pressure");
    assert_absent(x, "slab", "unsupported: control groups of version 1 do not report it");
    assert_eq!(row(&found, "/")["note"], "its usage is without the memory of the kernel");
}

#[test]
fn names_are_any_bytes_and_reach_no_terminal_raw() {
    let captured = Captured::version_2();
    let odd = std::ffi::OsStr::from_bytes(b"a\x1b[31m\xff \nb");
    fs::create_dir(captured.folder().join(odd)).unwrap();
    fs::write(captured.folder().join(odd).join("memory.current"), "5\n").unwrap();
    let root = captured.option();
    let found = rows(&[&root]);
    assert_eq!(found[1]["path_bytes"], "2f611b5b33316dff200a62");
    let table = rmap(["cgroups", &root]);
    assert!(!table.out.contains(&0x1b) && table.text().lines().count() == 3, "{}", table.out.escape_ascii());
    // The same wherever a group is named.
    let below = captured.folder().join(odd).join("b");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("memory.current"), "5\n").unwrap();
    let found = rows(&[&root]);
    assert_eq!((&found[0]["parent_bytes"], &found[2]["parent_bytes"]), (&Value::Null, &found[1]["path_bytes"]));
    captured.files();
    let list = captured.folder().join("../../../rmap/files.jsonl");
    let text = fs::read_to_string(&list).unwrap().replace("\"groups\":\"\"", "\"groups\":{\"hex\":\"2f61ff\"}");
    fs::write(&list, text).unwrap();
    captured.describe(true);
    let files = rmap(["files", "--jsonl", &root]).good().lines_of_json();
    assert!(files.len() == 3 && files.iter().all(|row| row["cgroup_bytes"] == "2f61ff"), "{files:?}");
}

#[test]
fn a_damaged_capture_has_reasons_and_no_wrong_figure() {
    let captured = nested();
    captured.write(
        "a",
        &[
            ("memory.current", "many\n"),
            ("memory.stat", "anon -5\nfile\n"),
            ("memory.max", "-1\n"),
            ("cgroup.procs", "x"),
        ],
    );
    fs::remove_file(captured.folder().join("a/b/memory.stat")).unwrap();
    fs::remove_file(captured.folder().join("a/c/memory.current")).unwrap();
    nix::unistd::mkfifo(&captured.folder().join("a/c/memory.current"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = rows(&[&captured.option()]);
    let a = row(&found, "/a");
    assert_absent(a, "usage", "unsupported: its file is not in the kernel's format");
    assert_absent(a, "limit", "unsupported: its file is not in the kernel's format");
    assert_absent(a, "anonymous", "unsupported: this kernel does not report it");
    assert_absent(row(&found, "/a/b"), "anonymous", "unsupported: it is not in the capture");
    assert_absent(row(&found, "/a/b"), "working_set", "unsupported: it is not in the capture");
    assert_absent(row(&found, "/a/c"), "usage", "unsupported: its file cannot be read");
}

#[test]
fn a_capture_without_control_groups_says_so() {
    let captured = Captured::new("1 0 254:0 / / rw - ext4 /dev/vda rw\n", "sys");
    let run = rmap(["cgroups", &captured.option()]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("the capture: it has no control groups that account for memory"), "{run:?}");
    assert_eq!(run.complaints().len(), 1);
}

#[test]
fn a_group_that_does_not_exist_is_reported_and_the_others_are_shown() {
    let captured = nested();
    let run = rmap(["cgroups", "--jsonl", &captured.option(), "/d", "nosuch"]);
    assert_eq!(run.status, Some(1));
    assert_eq!(run.err, "rmap: nosuch: no such control group with memory control; `rmap cgroups` lists them\n");
    assert_eq!(row(&run.lines_of_json(), "/d")["usage"], 7_000);
    // Alone it is no table without rows.
    let nothing = |format: &str| rmap(["cgroups", &captured.option(), "nosuch", format]).text();
    assert_eq!((nothing("--no-total"), nothing("--json")), (String::new(), "[]\n".to_owned()));
}

#[test]
fn columns_that_are_added_come_before_the_name() {
    let captured = nested();
    let text = rmap(["cgroups", &captured.option(), "-o=+limit_percent,dirty"]).good().text();
    let titles = text.lines().next().unwrap();
    assert!(titles.trim_end().ends_with(" Limit % Dirty Control group Note"), "{titles}");
}

#[test]
fn names_of_groups_are_told_apart_on_a_narrow_terminal() {
    if !has("script", "bsdutils") {
        return;
    }
    let captured = Captured::version_2();
    let pods = ["111111111111", "222222222222", "333333333333"];
    captured.group("kubepods.slice", 900_000, "max", 5_000, "");
    for pod in pods {
        let slice = format!("kubepods.slice/kubepods-burstable-pod1a2b3c4d_5e6f_7081_92a3_{pod}.slice");
        captured.group(&slice, 60_000, "80000", 5_000, "");
        captured.group(&format!("{slice}/cri-containerd-{}.scope", pod.repeat(5)), 5_000, "60000", 4_000, "");
    }
    for (width, all) in [(80, &["--sort=path"][..]), (80, &[]), (60, &[]), (120, &[])] {
        let text = on_a_terminal(width, &[&["cgroups", &captured.option()], all].concat());
        let names: Vec<&str> = text.lines().skip(4).map(|line| line.split_whitespace().last().unwrap()).collect();
        let unlike: std::collections::BTreeSet<&&str> = names.iter().collect();
        assert_eq!((names.len(), unlike.len()), (6, 6), "{text}");
        assert!(names.iter().all(|name| pods.iter().any(|pod| name.contains(&pod[..6]))), "{text}");
        // The figures that tell how much it is stay.
        assert!(text.contains("Working set"), "{text}");
    }
}

#[test]
fn one_group_is_explained_in_words() {
    let captured = nested();
    captured.group("a/b", 50 << 20, &(64 << 20).to_string(), 8 << 20, "12\n");
    captured.write(
        "a/b",
        &[
            ("memory.high", "62914560\n"),
            (
                "memory.stat",
                "anon 20971520\nfile 27262976\nkernel 3145728\nsock 1048576\nshmem 2097152\nfile_dirty 3145728\n\
                 file_writeback 1048576\ninactive_file 8388608\nactive_file 12582912\nunevictable 4194304\n\
                 inactive_anon 20971520\nactive_anon 2097152\nslab_reclaimable 1048576\nslab 2097152\n",
            ),
        ],
    );
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 8192 kB\n");
    let root = captured.option();
    let text = rmap(["cgroups", &root, "/a/b"]).good().text();
    let said: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(
        said,
        [
            "/a/b uses 50M of its limit of 64M (78.1 %). Above 60M (memory.high) it is reclaimed from, \
             and slowed down. /a above it has a limit of 97.6K, of which 9.7K are left.",
            "What counts: anonymous memory 20M, page cache 26M (of it shared memory 2M), memory of the kernel 3M (of \
             it slab 2M), sockets 1M.",
            "Page cache counts as its own because the kernel charges a page to the group of the process that read or \
             wrote it first, and leaves it there, whoever uses it later, until the page is reclaimed.",
            "The kernel can take back 16M to 20M of clean page cache at once (it begins with the inactive list, which \
             has 8M), and up to 4M of page cache after it is written to disk, and some of 1M of cached names and \
             inodes.",
            "20M of anonymous and 2M of shared memory can only go to swap, which its limit forbids. Shared memory \
             locked with SHM_LOCK cannot be swapped out.",
            "At least 4M cannot be taken: locked (mlock), or of ramfs. What shares a large folio with locked pages \
             cannot either, and is counted above as if it could.",
            "The kubelet counts 42M (the working set: the usage without the inactive list), and evicts pods by \
             that figure if the node runs short. The limit is the kernel's: it counts the whole usage, and kills only \
             if nothing can be taken back.",
            "A limit of it or of a group below it was reached 12 times; memory could not be found 3 times; 1 of its \
             processes was killed for lack of memory: its own, that of a group above it, or the machine's. In \
             the last 10 s a process waited for memory 12.5 % of the time, all at once 2.2 %.",
            "Which cached files it is charged for is not known: the capture does not have them.",
        ]
    );
    // Not if there are several, or if columns or rows are chosen, and not for programs.
    for more in [&["/d"][..], &["--by=depth"], &["-o=usage"], &["--sort=usage"], &["--csv"]] {
        let arguments = ["cgroups", &root, "/a/b"].into_iter().chain(more.iter().copied());
        let text = rmap(arguments).good().text();
        assert!(!text.contains("Page cache counts"), "{more:?}: {text}");
    }
}

#[test]
fn locked_memory_is_not_said_to_go_to_swap() {
    let captured = nested();
    captured.group("d", 179 << 20, "max", 0, "");
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 8192 kB\n");
    let said = |stat: &str| {
        let stat = format!("anon 120586240\nfile 67108864\nshmem 5242880\n{stat}");
        captured.write("d", &[("memory.stat", &stat)]);
        rmap(["cgroups", &captured.option(), "/d"]).good().text()
    };
    let lists = |active: u64, inactive: u64, locked: u64| {
        said(&format!("active_anon {active}\ninactive_anon {inactive}\nunevictable {locked}\n"))
    };
    let text = lists(1 << 20, 2 << 20, 117 << 20);
    assert!(text.contains("\n3M of anonymous and shared memory can only go to swap, "), "{text}");
    assert!(text.contains("\nAt least 117M cannot be taken: "), "{text}");
    let text = lists(0, 0, 120 << 20);
    assert!(!text.contains("to swap") && text.contains("\nAt least 120M cannot be taken: "), "{text}");
    let text = lists(115 << 20, 5 << 20, 0);
    assert!(text.contains("\n115M of anonymous and 5M of shared memory can only go to swap, "), "{text}");
    // Without the lists it is not known what of it is locked.
    let text = said("unevictable 104857600\n");
    assert!(text.contains("\nUp to 115M of anonymous and 5M of shared memory can only go to swap, "), "{text}");
}

#[test]
fn a_group_without_a_limit_that_may_swap_is_explained() {
    let captured = nested();
    captured.write(
        "d",
        &[("memory.swap.max", "max\n"), ("memory.events", "max 0\noom 0\noom_kill 0\n"), ("memory.pressure", "\n")],
    );
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 8192 kB\n");
    let text = rmap(["cgroups", &captured.option(), "/d"]).good().text();
    for words in [
        "/d uses 6.8K, and has no limit of its own.\n",
        "can only go to swap, of which this machine has 8M.",
        "No limit of it or of a group below it was ever reached; no process is counted as killed for lack of \
         memory.\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn the_group_that_reached_its_limit_and_what_is_not_told_apart_are_named() {
    let captured = nested();
    let events = |max: u64| format!("low 0\nhigh 0\nmax {max}\noom 0\noom_kill 0\n");
    for (group, max) in [("a", 30), ("a/b", 21), ("a/b/x", 20), ("a/c", 0)] {
        captured.group(group, 1 << 20, "max", 0, "");
        captured.write(group, &[("memory.events", &events(max))]);
    }
    captured.write("a", &[("memory.stat", "anon 0\nshmem 0\nfile 524288\nkernel 131072\nsock 0\n")]);
    let text = rmap(["cgroups", &captured.option(), "/a"]).good().text();
    let reached = "A limit of it or of a group below it was reached 30 times (of these /a/b/x 20, /a/b 1); no ";
    assert!(text.contains(reached), "{text}");
    let parts = "What counts: anonymous memory 0, page cache 512K, memory of the kernel 128K, sockets 0, other 384K \
                 (such as pages kept ready for each processor).\n";
    assert!(text.contains(parts), "{text}");
    assert!(!text.contains("can only go to swap"), "{text}");
}

#[test]
fn the_cached_files_of_a_captured_group_are_named() {
    let captured = nested();
    captured.group("d", 7_000, "max", 1_000, "30\n");
    captured.files();
    let text = rmap(["cgroups", &captured.option(), "/d"]).good().text();
    let said = "It is charged for 12K of 2 cached files, the largest first:\n- 8K /srv/a\n- 4K /srv/b (deleted)\n\
                Which files of other groups its processes hold is not known: a capture has the programs that hold a \
                file, and not their processes.\n";
    assert!(text.ends_with(said), "{text}");
}
