//! `rmap pid --numa`: the policy of each mapping and how much of it is on each node, on a captured machine with two
//! nodes and on this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;

use common::{Subject, mapping, memory, page, rmap};
use insta::assert_snapshot;
use serde_json::Value;

/// A captured machine with the nodes 0 to 2 and one process; the numa_maps of that process, if there is one.
fn machine(numa_maps: Option<&str>) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    let process = top.path().join("proc/12");
    fs::create_dir_all(&process).unwrap();
    let smaps = [
        mapping(0x5581_c000_0000, 44, "r-xp", b"/usr/bin/database", 176),
        mapping(0x5581_d000_0000, 4, "rw-p", b"[heap]", 16),
        mapping(0x7f12_0000_0000, 1024, "rw-p", b"", 3072),
        mapping(0x7f12_4000_0000, 4096, "rw-s", b"/anon_hugepage (deleted)", 0),
        mapping(0x7ffd_0000_0000, 33, "rw-p", b"[stack]", 12),
    ];
    fs::write(process.join("smaps"), smaps.concat()).unwrap();
    fs::write(process.join("cmdline"), b"database\0").unwrap();
    if let Some(text) = numa_maps {
        fs::write(process.join("numa_maps"), text).unwrap();
    }
    let nodes = top.path().join("sys/devices/system/node");
    fs::create_dir_all(&nodes).unwrap();
    fs::write(nodes.join("has_memory"), "0-2\n").unwrap();
    top
}

/// As the kernel writes it for a database that interleaves its memory over two of three nodes.
const NUMA_MAPS: &str = "\
5581c0000000 default file=/usr/bin/database mapped=44 mapmax=9 N0=44 kernelpagesize_kB=4
5581d0000000 bind=static:0-1 heap anon=4 dirty=3 swapcache=1 active=2 writeback=1 N0=1 N1=3 kernelpagesize_kB=4
7f1200000000 prefer (many):0-1 anon=768 dirty=768 active=0 N0=256 N1=512 kernelpagesize_kB=4
7f1240000000 interleave:0-1 file=/anon_hugepage\\040(deleted) huge anon=6 dirty=6 N0=3 N1=3 kernelpagesize_kB=2048
7ffd00000000 default stack
";

fn shown(machine: &tempfile::TempDir, arguments: &[&str]) -> common::Run {
    let root = machine.path().join("proc");
    rmap([&["pid", "12", "--proc-root", root.to_str().unwrap()], arguments].concat())
}

#[test]
fn each_node_with_memory_has_a_column() {
    let machine = machine(Some(NUMA_MAPS));
    assert_snapshot!(shown(&machine, &["--numa"]).good().text(), @r"
    12:   database
         Address Perm  Size  Rss Policy            Node 0 Node 1 Node 2 Mapping
    5581c0000000 r-xp   176  176 default              176      0      0 /usr/bin/database
    5581d0000000 rw-p    16   16 bind=static:0-1        4     12      0 [heap]
    7f1200000000 rw-p  4096 3072 prefer (many):0-1   1024   2048      0 [anon]
    7f1240000000 rw-s 16384    0 interleave:0-1      6144   6144      0 /anon_hugepage (deleted)
    7ffd00000000 rw-p   132   12 default                0      0      0 [stack]
       total KiB      20804 3276                     7348   8204      0
    ");
    assert_snapshot!(shown(&machine, &["--numa", "-b", "-o", "node1,numa_page_size,path"]).good().text(), @r"
    12:   database
     Node 1 NUMA page size Path
          0           4096 /usr/bin/database
      12288           4096 [heap]
    2097152           4096
    6291456        2097152 /anon_hugepage (deleted)
          0              - [stack]
    8400896    total bytes
    ");
}

#[test]
fn without_the_list_of_nodes_those_with_pages_have_columns() {
    let machine = machine(Some(NUMA_MAPS));
    fs::remove_dir_all(machine.path().join("sys")).unwrap();
    let header = shown(&machine, &["-o", "nodes,name"]).good().text().lines().nth(1).unwrap().to_owned();
    assert_eq!(header.split_whitespace().collect::<Vec<_>>().join(" "), "Node 0 Node 1 Mapping");
}

#[test]
fn groups_filters_and_orders_know_the_nodes() {
    let machine = machine(Some(NUMA_MAPS));
    let by = shown(&machine, &["--by", "policy", "-o", "node1,policy", "--sort", "node1", "-b", "-n"]).good().text();
    let lines: Vec<String> = by.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "6291456 interleave:0-1",
            "2097152 prefer (many):0-1",
            "12288 bind=static:0-1",
            "0 default",
            "8400896 total bytes"
        ]
    );
    let rows = shown(&machine, &["--filter", "node1 > node0", "-o", "start", "--json"]).good().json();
    let starts: Vec<&str> =
        rows[0]["mappings"].as_array().unwrap().iter().filter_map(|row| row["start"].as_str()).collect();
    assert_eq!(starts, ["5581d0000000", "7f1200000000"]);
}

#[test]
fn json_has_the_figures_only_if_they_are_requested() {
    let machine = machine(Some(NUMA_MAPS));
    let keys = |document: &Value| document[0]["mappings"][1].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let plain = keys(&shown(&machine, &["--json"]).good().json());
    assert!(
        !plain.iter().any(|key| key.starts_with("node") || key.starts_with("numa") || key == "policy"),
        "{plain:?}"
    );
    let document = shown(&machine, &["--json", "--numa"]).good().json();
    let row = &document[0]["mappings"][1];
    for (key, value) in [
        ("policy", Value::from("bind=static:0-1")),
        ("node0", 4096.into()),
        ("node1", 12288.into()),
        ("node2", 0.into()),
        ("numa_anon", 16384.into()),
        ("numa_dirty", 12288.into()),
        ("numa_swapcache", 4096.into()),
        ("numa_active", 8192.into()),
        ("numa_writeback", 4096.into()),
        ("numa_mapmax", 1.into()),
        ("numa_page_size", 4096.into()),
        ("numa_huge", false.into()),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    let huge = &document[0]["mappings"][3];
    assert_eq!((&huge["node0"], &huge["numa_huge"]), (&Value::from(6 << 20), &Value::from(true)));
    assert!(huge["absent"]["numa_active"].as_str().unwrap().starts_with("not applicable: "), "{huge}");
    assert_eq!(document[0]["total"]["node1"], 8_400_896);
}

#[test]
fn a_mapping_that_changed_meanwhile_has_no_figures() {
    // The heap has moved, and the pages of the third mapping do not fit into what smaps said.
    let text = NUMA_MAPS.replace("5581d0000000", "5581e0000000").replace("N1=512", "N1=5120");
    let document = shown(&machine(Some(&text)), &["--json", "-o", "node0,policy"]).good().json();
    let rows = document[0]["mappings"].as_array().unwrap();
    for place in [1, 2] {
        assert_eq!((&rows[place]["node0"], &rows[place]["policy"]), (&Value::Null, &Value::Null));
        assert_eq!(rows[place]["absent"]["node0"], "changed: the mapping changed while it was read");
    }
    assert_eq!(rows[0]["node0"], 180_224);
}

#[test]
fn without_numa_maps_the_figures_are_absent_and_a_line_says_why() {
    let run = shown(&machine(None), &["--json", "-o", "node0,policy"]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), "rmap: pid 12: the capture has no numa_maps of it\n"));
    let row = &run.json()[0]["mappings"][0];
    assert_eq!((&row["node0"], &row["absent"]["node0"]), (&Value::Null, &"unsupported: there is no numa_maps".into()));
    let run = shown(&machine(Some("1000 default N0=x\n")), &["--numa", "-q"]);
    assert_eq!(run.status, Some(1));
    assert_eq!(run.err, "rmap: pid 12: invalid numa_maps: line 1: a count is not a number\n");
}

#[test]
fn what_has_no_nodes_is_refused() {
    let smaps = machine(None).path().join("proc/12/smaps").display().to_string();
    for (arguments, line) in [
        (vec!["self", "--numa", "--summary"], "rmap: --numa: a summary does not distinguish NUMA nodes\n"),
        (vec!["--smaps", &smaps, "--numa"], "rmap: --numa: a smaps text says nothing about NUMA nodes\n"),
        (vec!["self", "-o", "node999"], "rmap: node999: unknown column"),
    ] {
        let run = rmap([&["pid"], &arguments[..]].concat());
        assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{run:?}");
        assert!(run.err.starts_with(line), "{}", run.err);
    }
}

#[test]
fn the_nodes_of_a_live_process_add_up_to_rss() {
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        return eprintln!("SKIPPED: this kernel has no NUMA support");
    }
    let folder = memory();
    let shared = format!("shared:{}:20:13", folder.path().join("shared").display());
    let subject = Subject::start(["anonymous:64:40".into(), "locked:6".into(), "memfd:10:7".into(), shared]);
    subject.stop();
    let document = rmap(["pid", &subject.word(), "--json", "--numa"]).good().json();
    let rows = document[0]["mappings"].as_array().unwrap();
    for made in &subject.made {
        let row = rows.iter().find(|row| row["start"] == made.start.as_str()).unwrap();
        let nodes = row.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("node"));
        let sum: u64 = nodes.map(|(_, bytes)| bytes.as_u64().unwrap()).sum();
        assert_eq!((sum, &row["policy"]), (row["rss"].as_u64().unwrap(), &"default".into()), "{row}");
        assert_eq!(row["numa_page_size"], page());
    }
    assert!(rows.iter().any(|row| row["rss"].as_u64() > Some(0)));
}
