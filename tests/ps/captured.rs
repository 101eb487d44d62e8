//! Captured machines, whose figures are known.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Run, Running, command, rmap};
use crate::number;

/// A process of a capture.
pub(crate) struct Captured<'a> {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) name: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) state: char,
    /// Pss in KiB: anonymous, in files, in shared memory. Uss is the anonymous part. `None`: it cannot be read.
    pub(crate) pss: Option<[u64; 3]>,
    pub(crate) group: &'a str,
}

pub(crate) const PROCESS: Captured<'static> =
    Captured { pid: 0, parent: 1, name: b"name", flags: 0, state: 'S', pss: Some([1, 1, 1]), group: "/" };

impl Captured<'_> {
    fn write(&self, top: &Path) {
        let folder = top.join(self.pid.to_string());
        fs::create_dir(&folder).unwrap();
        let file = |name: &str, text: &[u8]| fs::write(folder.join(name), text).unwrap();
        let (pid, parent, flags, state) = (self.pid, self.parent, self.flags, self.state);
        let numbers =
            format!(") {state} {parent} 1 1 0 -1 {flags} 0 0 0 0 1 2 0 0 20 0 1 0 {pid} 4096 9 0 {pid} 2 3\n");
        file("stat", &[format!("{pid} (").as_bytes(), self.name, numbers.as_bytes()].concat());
        let rss = self.pss.map_or(100, |pss| pss.iter().sum::<u64>() + 10);
        let memory = match flags {
            0 => format!("VmSize: 9000 kB\nVmRSS: {rss} kB\nRssAnon: 7 kB\nVmSwap: {pid} kB\nVmPTE: 40 kB\n"),
            _ => String::new(),
        };
        let status = format!("\nState:\t{state} (x)\nTgid:\t{pid}\nUid:\t0\t4690\t0\t0\n{memory}Threads:\t1\n");
        file("status", &[b"Name:\t", self.name, status.as_bytes()].concat());
        file("comm", &[self.name, b"\n"].concat());
        file("cmdline", &[b"/bin/", self.name, b"\0-x\0"].concat());
        file("cgroup", format!("0::{}\n", self.group).as_bytes());
        symlink("/usr/bin/program (deleted)", folder.join("exe")).unwrap();
        if let Some([anonymous, files, shared]) = self.pss {
            let pss = anonymous + files + shared;
            let rollup = format!(
                "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: {rss} kB\nPss: {pss} kB\nPss_Anon: {anonymous} kB\n\
                 Pss_File: {files} kB\nPss_Shmem: {shared} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: {anonymous} kB\n\
                 Swap: 9 kB\nSwapPss: 3 kB\nLocked: 2 kB\nShared_Hugetlb: 0 kB\nPrivate_Hugetlb: 0 kB\n"
            );
            file("smaps_rollup", rollup.as_bytes());
        }
    }
}

pub(crate) fn capture(processes: &[Captured<'_>]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    processes.iter().for_each(|process| process.write(top.path()));
    top
}

fn ps(capture: &tempfile::TempDir, arguments: &[&str]) -> Run {
    let root = ["--proc-root", capture.path().to_str().unwrap()];
    rmap(["ps"].iter().chain(&root).chain(arguments))
}

const KIB: u64 = 1024;

#[test]
fn every_figure_is_that_of_the_process_and_the_total_is_their_sum() {
    let capture = capture(&[
        Captured { pid: 10, pss: Some([100, 20, 3]), ..PROCESS },
        Captured { pid: 20, pss: Some([200, 0, 0]), parent: 10, name: b"big", ..PROCESS },
        // PF_KTHREAD, and a zombie.
        Captured { pid: 2, pss: None, flags: 0x0020_0000, ..PROCESS },
        Captured { pid: 30, pss: None, state: 'Z', flags: 4, ..PROCESS },
    ]);
    let document = ps(&capture, &["--json", "--total"]).good().json();
    let rows = document["processes"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| number(row, "pid")).collect::<Vec<_>>(), [20, 10]);
    let figures = |row: &Value, keys: &[&str]| keys.iter().map(|key| number(row, key) / KIB).collect::<Vec<_>>();
    let all = ["pss", "uss", "rss", "swap", "pss_anon", "pss_file", "pss_shmem", "swap_pss", "locked", "hugetlb"];
    assert_eq!(figures(&rows[1], &all), [123, 100, 133, 10, 100, 20, 3, 3, 2, 0]);
    assert_eq!(figures(&rows[0], &all), [200, 200, 210, 20, 200, 0, 0, 3, 2, 0]);
    assert_eq!(figures(&document["total"], &all), [323, 300, 343, 30, 300, 20, 3, 6, 4, 0]);
    assert_eq!(figures(&rows[0], &["rss_anon", "size"]), [7, 9000]);
    assert_eq!(
        (&rows[0]["parent"], &rows[0]["name"], &rows[0]["user"], &rows[0]["command"]),
        (&10.into(), &"big".into(), &"4690".into(), &"/bin/big -x".into())
    );
    let account = &document["account"];
    assert_eq!((number(account, "processes"), number(account, "read")), (2, 2));
    assert_eq!((number(account, "pss"), number(account, "failed")), (323 * KIB, 0));
}

#[test]
fn a_table_ends_with_a_total_and_how_many_were_read() {
    let capture = capture(&[
        Captured { pid: 10, pss: Some([1000, 20, 4]), ..PROCESS },
        Captured { pid: 20, pss: None, name: b"closed", ..PROCESS },
    ]);
    let run = ps(&capture, &["-H"]);
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["PID", "User", "Pss", "Uss", "Rss", "Swap", "Anon", "File", "Shmem", "Command"]);
    assert_eq!(words(lines[1]), ["10", "4690", "1M", "1000K", "1M", "10K", "1000K", "20K", "4K", "/bin/name", "-x"]);
    // What is public stays, and what is not known is no zero.
    assert_eq!(words(lines[2])[..7], ["20", "4690", "-", "-", "100K", "20K", "-"]);
    assert_eq!(words(lines[3]), ["total", ">=1M", ">=1000K", "1.1M", "30K", ">=1000K", ">=20K", ">=4K"]);
    assert_eq!(lines[4], "1 of 2 read, 1M; 1 could not be read");
    assert_eq!((run.status, lines.len(), run.complaints().len()), (Some(1), 5, 1));
    assert!(run.err.starts_with("rmap: pid 20: it has no smaps file"), "{}", run.err);
    assert!(!ps(&capture, &["--no-total"]).text().contains("total"));
}

#[test]
fn only_what_the_columns_need_is_read() {
    let capture = capture(&[
        Captured { pid: 10, pss: None, ..PROCESS },
        Captured { pid: 20, pss: Some([1000, 0, 0]), ..PROCESS },
    ]);
    // Without Pss the missing rollup is not missed, and the largest Rss comes first.
    let run = ps(&capture, &["-o", "pid,rss"]).good().text();
    let rows: Vec<Vec<&str>> = run.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[..3], [["PID", "Rss"], ["20", "1034240"], ["10", "102400"]]);
    assert!(!run.contains(" read, "), "{run}");
    for arguments in [&["-o", "pid,name"][..], &["-o", "pid,rss", "--top", "1"], &["--by", "user", "-o", "rss"]] {
        ps(&capture, arguments).good();
    }
    // A filter, an order or a group may need it all the same.
    for arguments in [&["--filter", "pss > 0"][..], &["--sort", "uss"], &["--by", "name", "-o", "pss"]] {
        let run = ps(&capture, &[&["-o", "pid,rss"], arguments].concat()[2 * usize::from(arguments.len() > 2)..]);
        assert_eq!(run.status, Some(1), "{arguments:?}");
    }
}

/// The groups by a column: their names and their Pss in KiB.
fn groups(capture: &tempfile::TempDir, by: &str) -> Vec<(String, u64)> {
    let rows = ps(capture, &["--json", "--by", by]).good().rows();
    let name = |row: &Value| row[by].as_str().unwrap_or("none").to_owned();
    rows.iter().map(|row| (name(row), number(row, "pss") / KIB)).collect()
}

#[test]
fn processes_are_added_up_by_container_and_app() {
    let id = "0123456789abcdef".repeat(4);
    let docker = format!("/system.slice/docker-{id}.scope");
    let pod = format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a2b3c4d_5e6f_7081_92a3_b4c5d6e7f809.slice/\
         cri-containerd-{}.scope",
        "fedcba9876543210".repeat(4)
    );
    let desktop = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-1234.scope";
    let process = |pid, kib, group| Captured { pid, pss: Some([kib, 0, 0]), group, ..PROCESS };
    let capture = capture(&[
        process(10, 64, &docker),
        process(11, 32, &docker),
        process(12, 16, &pod),
        process(13, 8, "/system.slice/cron.service"),
        process(14, 4, desktop),
        process(15, 2, "/user.slice/user-1000.slice/session-2.scope"),
        process(16, 1, "/system.slice/cron.service/job"),
        // No unit: the name of the program.
        process(17, 1, "/build/job"),
    ]);
    let owned = |rows: &[(&str, u64)]| rows.iter().map(|(name, kib)| ((*name).to_owned(), *kib)).collect::<Vec<_>>();
    assert_eq!(
        groups(&capture, "container"),
        owned(&[("docker:0123456789ab", 96), ("kubernetes:fedcba987654", 16), ("none", 16)])
    );
    let apps = [
        ("docker:0123456789ab", 96),
        ("kubernetes:fedcba987654", 16),
        ("cron.service", 9),
        ("firefox", 4),
        ("session-2.scope", 2),
        ("program", 1),
    ];
    assert_eq!(groups(&capture, "app"), owned(&apps));
    assert_eq!(groups(&capture, "user"), owned(&[("4690", 128)]));
    assert_eq!(groups(&capture, "name"), owned(&[("name", 128)]));
    let cgroups = groups(&capture, "cgroup");
    assert_eq!((cgroups.len(), cgroups[0].0.as_str(), cgroups[0].1), (7, docker.as_str(), 96));
    // The same groups select processes.
    let rows = ps(&capture, &["--json", "--cgroup", "cron.service"]).good().rows();
    assert_eq!(rows.iter().map(|row| number(row, "pid")).collect::<Vec<_>>(), [13, 16]);
}

#[test]
fn the_unit_is_found_in_the_hierarchy_of_systemd_whatever_the_one_for_memory_has() {
    let process = |pid, group| Captured { pid, pss: Some([1, 0, 0]), group, ..PROCESS };
    let user = "/user.slice/user-1000.slice/user@1000.service";
    let capture = capture(&[
        // Memory is not accounted for, with systemd's hierarchy of either version; and only above the units of a user.
        process(10, "/\n5:memory:/\n1:name=systemd:/system.slice/one.service"),
        process(11, "/system.slice/two.service\n5:memory:/"),
        process(12, &format!("/\n5:memory:{user}\n1:name=systemd:{user}/app.slice/app-firefox-12.scope")),
        // A container is what it is by its group for memory.
        process(13, &format!("/x.service\n5:memory:/docker/{}", "0123456789abcdef".repeat(4))),
    ]);
    let mut apps = groups(&capture, "app").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    apps.sort();
    assert_eq!(apps, ["docker:0123456789ab", "firefox", "one.service", "two.service"]);
}

#[test]
fn a_group_with_a_process_that_cannot_be_read_has_a_lower_bound() {
    let capture = capture(&[
        Captured { pid: 10, pss: Some([5, 0, 0]), ..PROCESS },
        Captured { pid: 11, pss: None, ..PROCESS },
        Captured { pid: 12, name: b"other", ..PROCESS },
        Captured { pid: 13, pss: None, name: b"closed", ..PROCESS },
        Captured { pid: 14, pss: None, name: b"shut", ..PROCESS },
        Captured { pid: 15, pss: None, name: b"shut", ..PROCESS },
    ]);
    let rows = ps(&capture, &["--json", "--by", "name"]).json();
    let [shut, name, closed, other] = &rows.as_array().unwrap()[..] else { panic!("{rows}") };
    // The largest comes first, although not all of it is known. Rss stands in for a Pss that is not known.
    assert_eq!([shut, name, closed, other].map(|row| &row["name"]), ["shut", "name", "closed", "other"]);
    // Programs see that it is not the sum.
    assert_eq!((&name["pss"], &name["at_least"]["pss"]), (&Value::Null, &(5 * KIB).into()));
    assert_eq!(name["absent"]["pss"], "unsupported: some of its rows have no figure for it");
    assert_eq!((number(other, "pss"), &other["at_least"], &closed["at_least"]), (3 * KIB, &Value::Null, &Value::Null));
    assert_eq!((number(name, "processes"), number(name, "rss")), (2, 115 * KIB));
    let text = ps(&capture, &["-b", "--by", "name", "-o", "pss", "--top", "2"]).text();
    let words: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(words, [">=5120", "name"], "{text}");
    let csv = ps(&capture, &["--csv", "--by", "name", "-o", "pss"]).text();
    assert_eq!(csv.lines().nth(2), Some(",name"), "{csv}");
}

#[test]
fn a_table_without_sums_or_of_one_process_has_no_total() {
    let capture = capture(&[PROCESS]);
    let total = |arguments: &[&str]| ps(&capture, arguments).good().text().contains("total");
    assert!(!total(&["-o", "pid,name"]) && total(&["-o", "pid,rss,name"]));
    // That of one process would repeat its row.
    let pid = PROCESS.pid.to_string();
    assert!(!total(&[&pid]) && total(&[&pid, "--total"]) && total(&[&pid, "--tree"]));
}

#[test]
fn a_tree_has_each_process_below_its_parent_with_the_sum_of_all_below() {
    let capture = capture(&[
        Captured { pid: 1, parent: 0, pss: Some([1, 0, 0]), name: b"init", ..PROCESS },
        Captured { pid: 10, pss: Some([2, 0, 0]), name: b"small", ..PROCESS },
        Captured { pid: 20, pss: Some([4, 0, 0]), name: b"shell", ..PROCESS },
        Captured { pid: 30, parent: 20, pss: Some([8, 0, 0]), name: b"worker", ..PROCESS },
        Captured { pid: 40, parent: 77, pss: Some([3, 0, 0]), name: b"orphan", ..PROCESS },
    ]);
    let rows = ps(&capture, &["--json", "--tree"]).good().rows();
    let row = |row: &Value| {
        ["pid", "depth", "pss", "tree_pss", "tree_swap", "tree_processes"].map(|key| match number(row, key) {
            bytes if key.contains("ss") && !key.contains("processes") || key.contains("swap") => bytes / KIB,
            count => count,
        })
    };
    assert_eq!(
        rows.iter().map(row).collect::<Vec<_>>(),
        [[1, 0, 1, 15, 12, 4], [20, 1, 4, 12, 6, 2], [30, 2, 8, 8, 3, 1], [10, 1, 2, 2, 3, 1], [40, 0, 3, 3, 3, 1]]
    );
    assert!(rows.iter().all(|row| row.get("tree").is_none()), "{rows:?}");
    // In a table the command line is indented, and the total counts every process once.
    let text = ps(&capture, &["--tree", "-o", "pid,pss,tree", "-H"]).good().text();
    let start = text.lines().next().unwrap().find("Command").unwrap();
    let commands: Vec<&str> = text.lines().map(|line| line.get(start..).unwrap_or_default()).collect();
    assert_eq!(
        commands[1..6],
        ["/bin/init -x", "  /bin/shell -x", "    /bin/worker -x", "  /bin/small -x", "/bin/orphan -x"]
    );
    assert!(text.lines().nth(6).unwrap().contains("18K total"), "{text}");
    // A process that is named has those below it.
    let rows = ps(&capture, &["20", "--json", "--tree"]).good().rows();
    let pids: Vec<_> = rows.iter().map(|row| (number(row, "pid"), number(row, "depth"))).collect();
    assert_eq!(pids, [(20, 0), (30, 1)]);
}

#[test]
fn the_sum_of_a_tree_is_a_lower_bound_if_one_of_it_is_absent() {
    let capture = capture(&[
        Captured { pid: 1, parent: 0, ..PROCESS },
        Captured { pid: 10, pss: None, ..PROCESS },
        Captured { pid: 11, ..PROCESS },
    ]);
    let rows = ps(&capture, &["--json", "--tree"]).json();
    let of = |pid| crate::row_of(&rows, pid);
    assert_eq!((&of(1)["tree_pss"], number(of(11), "tree_pss")), (&Value::Null, 3 * KIB));
    assert_eq!(of(1)["absent"]["tree_pss"], "unsupported: some of its processes have no figure for it");
    assert_eq!(of(10)["absent"]["tree_pss"], "unsupported: none of its processes has a figure for it");
    assert_eq!((number(&of(1)["at_least"], "tree_pss"), &of(11)["at_least"]), (6 * KIB, &Value::Null));
    let text = ps(&capture, &["--tree", "-b", "-o", "pid,tree_pss", "--no-total"]).text();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[..3], [["1", ">=6144"], ["10", "-"], ["11", "3072"]], "{text}");
}

#[test]
fn a_process_whose_pss_is_not_known_is_where_it_would_be_if_all_of_its_rss_counted() {
    let process = |pid, pss: Option<u64>| Captured { pid, pss: pss.map(|kib| [kib, 0, 0]), ..PROCESS };
    // The one without Pss has an Rss of 100 KiB.
    let capture = capture(&[process(10, Some(50)), process(11, None), process(12, Some(200)), process(13, Some(3))]);
    let pids = |arguments: &[&str]| {
        let rows = ps(&capture, &[&["--json"], arguments].concat()).json();
        rows.as_array().unwrap().iter().map(|row| number(row, "pid")).collect::<Vec<_>>()
    };
    assert_eq!(pids(&[]), [12, 11, 10, 13]);
    assert_eq!(pids(&["--top", "2"]), [12, 11]);
    assert_eq!(pids(&["--tree"]), [12, 11, 10, 13]);
    // Unless Pss itself is asked for.
    assert_eq!(pids(&["--sort", "pss"]), [12, 10, 13, 11]);
}

#[test]
fn what_several_processes_share_in_swap_is_said_to_count_once_in_each() {
    // In swap are as many KiB as the pid says, of which 3 KiB are the share of a process.
    let of = |pids: [u32; 2]| capture(&pids.map(|pid| Captured { pid, ..PROCESS }));
    let line = |capture: &tempfile::TempDir, arguments: &[&str]| {
        let text = ps(capture, arguments).good().text();
        text.lines().last().unwrap().to_owned()
    };
    let shared = of([9000, 9001]);
    let explained = "2 of 2 read, 6K; Swap counts shared pages once per process; divided among them it is 6K";
    for arguments in [&[][..], &["-o", "pss,swap"], &["-o", "+swap_pss"], &["--by", "user"]] {
        assert_eq!(line(&shared, arguments), explained, "{arguments:?}");
    }
    // Where nothing is shown of it, it needs no explanation.
    assert_eq!(line(&shared, &["-o", "pid,pss"]), "2 of 2 read, 6K");
    assert_eq!(line(&of([90, 91]), &[]), "2 of 2 read, 6K");
    // Only processes of which both are known are compared: older kernels have no SwapPss.
    for pid in ["9000", "9001"] {
        let path = shared.path().join(pid).join("smaps_rollup");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("SwapPss: 3 kB\n", "")).unwrap();
    }
    assert_eq!(line(&shared, &[]), "2 of 2 read, 6K");
}

#[test]
fn a_tree_is_sorted_among_siblings_and_cut_to_its_first_rows() {
    let process = |pid, parent, kib, name| Captured { pid, parent, pss: Some([kib, 0, 0]), name, ..PROCESS };
    let capture = capture(&[
        process(1, 0, 1, b"init"),
        process(10, 1, 9, b"a"),
        process(20, 1, 2, b"b"),
        process(30, 20, 100, b"d"),
        process(31, 20, 1, b"c"),
    ]);
    let pids = |arguments: &[&str]| {
        let rows = ps(&capture, &[&["--json", "--tree"], arguments].concat()).good().rows();
        rows.iter().map(|row| number(row, "pid")).collect::<Vec<_>>()
    };
    assert_eq!(pids(&[]), [1, 20, 30, 31, 10]);
    assert_eq!(pids(&["--sort", "pss"]), [1, 10, 20, 30, 31]);
    assert_eq!(pids(&["--sort", "name"]), [1, 10, 20, 31, 30]);
    assert_eq!(pids(&["--sort", "-tree_pss"]), [1, 10, 20, 31, 30]);
    assert_eq!(pids(&["--top", "3"]), [1, 20, 30]);
    assert_eq!(pids(&["--sort", "name", "--top", "2"]), [1, 10]);
    // The order needs Pss, although no column does.
    let run = ps(&capture, &["--tree", "--sort", "pss", "-o", "pid"]).good().text();
    assert_eq!(run.split_whitespace().collect::<Vec<_>>()[..3], ["PID", "1", "10"], "{run}");
    // Without a column that needs it, it is not read.
    assert!(!ps(&capture, &["--tree", "-o", "pid,rss,tree"]).good().text().contains(" read, "));
}

#[test]
fn parents_that_go_round_in_a_circle_lose_no_process() {
    let circle = |pid, parent| Captured { pid, parent, ..PROCESS };
    let capture = capture(&[circle(1, 3), circle(2, 1), circle(3, 2), circle(4, 4)]);
    assert_eq!(ps(&capture, &["--json", "--tree"]).good().rows().len(), 4);
}

#[test]
fn hostile_names_are_escaped_in_tables_and_whole_in_json() {
    let capture = capture(&[Captured { pid: 10, name: b"a\x1b[31m\xff", ..PROCESS }]);
    let out = ps(&capture, &["-o", "pid,name,command"]).good().out;
    assert!(!out.contains(&0x1b), "{}", out.escape_ascii());
    let row = &ps(&capture, &["--json"]).good().rows()[0];
    assert_eq!(row["name_bytes"], "611b5b33316dff");
    assert_eq!(row["command_bytes"], "2f62696e2f611b5b33316dff202d78");
    ps(&capture, &["--tree"]).good();
}

#[test]
fn a_capture_without_rollups_is_added_up_from_smaps() {
    let smaps = crate::common::mapping(0x1000, 8, "rw-p", b"/a", 12);
    let smaps = [smaps, crate::common::mapping(0x10000, 8, "rw-p", b"/b", 20)].concat();
    let capture = crate::common::capture(&[(7, b"a\0b\0", &smaps)]);
    let row = &ps(&capture, &["--json"]).good().rows()[0];
    assert_eq!((number(row, "pss"), number(row, "rss"), &row["command"]), (32 * KIB, 32 * KIB, &"a b".into()));
    // These files have no such line: absent, not zero.
    assert_eq!((&row["uss"], &row["swap"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_title_that_two_columns_have_means_the_one_that_is_not_indented() {
    let capture =
        capture(&[Captured { pid: 10, ..PROCESS }, Captured { pid: 11, parent: 10, name: b"nginx", ..PROCESS }]);
    let rows = ps(&capture, &["--tree", "--json", "--filter", "Command =~ '^/bin/nginx'"]).good().json();
    assert_eq!(rows.as_array().unwrap().iter().map(|row| number(row, "pid")).collect::<Vec<_>>(), [11], "{rows}");
}

#[test]
fn the_number_of_processes_of_a_group_is_called_as_its_title() {
    let capture = capture(&[Captured { pid: 10, ..PROCESS }, Captured { pid: 11, ..PROCESS }]);
    let words = |arguments: &[&str]| {
        let text = ps(&capture, &[&["--by", "user", "--no-total"], arguments].concat()).good().text();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(words(&["-o", "Processes"])[..2], [["Processes", "User"], ["2", "4690"]]);
    assert_eq!(words(&["--sort", "Processes", "-o", "rss,processes"])[0], ["Rss", "Processes", "User"]);
}

#[test]
fn a_group_whose_only_process_is_replaced_or_gets_another_one_has_changed() {
    let process = |pid| Captured { pid, ..PROCESS };
    let capture = capture(&[process(10)]);
    let arguments = ["ps", "--proc-root", capture.path().to_str().unwrap(), "--by", "user", "-w", "0.05", "--jsonl"];
    let mut watching = Running::start(command(arguments));
    assert_eq!(watching.row()["processes"], 1);
    let mut row_where = |wanted: &dyn Fn(&Value) -> bool| {
        let mut rows = (0..500).map(|_| watching.row());
        rows.find(|row| {
            assert!(![Value::from("new"), Value::from("gone")].contains(&row["fate"]), "{row}");
            wanted(row)
        })
        .unwrap()
    };
    // Both are there before one of them goes.
    process(11).write(capture.path());
    let row = row_where(&|row| row["processes"] == 2);
    assert_eq!((&row["fate"], &row["processes_change"]), (&"changed".into(), &1.into()), "{row}");
    fs::rename(capture.path().join("10"), capture.path().join("gone")).unwrap();
    let row = row_where(&|row| row["processes"] == 1);
    assert_eq!((&row["fate"], &row["processes_change"]), (&"changed".into(), &(-1).into()), "{row}");
    assert_eq!(watching.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn options_without_a_meaning_are_refused() {
    let run = rmap(["ps", "--tree", "--by", "user"]);
    assert_eq!((run.status, run.complaints().len()), (Some(2), 1), "{}", run.err);
    assert!(run.err.starts_with("rmap: --by: "), "{}", run.err);
    let of_tree: [&[&str]; 6] = [
        &["-o", "+tree_pss"],
        &["-o", "depth,pid"],
        &["--by", "tree"],
        &["--sort", "-tree_swap"],
        &["--filter", "tree_processes > 1"],
        &["--sort", "Tree Pss"],
    ];
    for arguments in of_tree {
        let run = rmap(["ps"].iter().chain(arguments));
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.err);
        assert!(run.err.ends_with(": only --tree has this column\n"), "{}", run.err);
    }
    for arguments in [["--budget", "0"], ["--budget", "x"], ["-o", "no_such"]] {
        assert_eq!(rmap(["ps"].iter().chain(&arguments)).status, Some(2), "{arguments:?}");
    }
    let run = rmap(["ps", "4294967290"]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), "rmap: pid 4294967290: no such process\n"));
}

#[test]
fn a_process_whose_stat_is_damaged_is_named_and_counted() {
    let both = [10, 20].map(|pid| Captured { pid, pss: Some([100, 20, 3]), ..PROCESS });
    let capture = capture(&both);
    fs::write(capture.path().join("10/stat"), "10 (name").unwrap();
    let line = "rmap: pid 10: its stat file is not in the kernel's format\n";
    let run = ps(&capture, &[]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), line), "{run:?}");
    assert!(run.text().ends_with("1 of 2 read, 123K; 1 could not be read\n"), "{}", run.text());
    let run = ps(&capture, &["--json", "--total"]);
    let account = &run.json()["account"];
    assert_eq!(["processes", "read", "failed"].map(|key| number(account, key)), [2, 1, 1], "{account}");
    // It may have any name.
    let run = ps(&capture, &["--name", "nobody"]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), line), "{run:?}");
}
