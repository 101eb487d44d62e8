//! What cannot be compared, and options that have no meaning.

use serde_json::json;

use super::{Machine, diff};
use crate::common::rmap;

#[test]
fn sums_over_kinds_that_overlap_are_refused() {
    let (one, other) = (Machine::new("boot", 1), Machine::new("boot", 2));
    for (options, why) in [
        (&["--total"][..], "the kinds overlap"),
        (&["--by", "name"], "choose one with --what"),
        (&["--what", "files,cgroups", "--by", "status"], "the kinds overlap"),
        (&["-w", "1"], "two states are compared once"),
        (&["--what", "nothing"], "processes"),
        (&["--min-change", "x"], "--min-change"),
        (&["--filter", "change > x"], "requires a size such as 64K, or -64K"),
        (&["--filter", "kind == proces"], "did you mean 'process'?"),
        (&["--sort", "nothing"], "unknown column"),
    ] {
        let run = diff(&one, &other, options);
        assert!(run.status == Some(2) && run.out.is_empty() && run.complaints().len() == 1, "{options:?}: {run:?}");
        assert!(run.err.contains(why), "{options:?}: {run:?}");
    }
    assert_eq!(rmap(["diff"]).status, Some(2));
}

#[test]
fn a_missing_or_damaged_capture_is_one_line() {
    let machine = Machine::new("boot", 1);
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.tar");
    std::fs::write(&damaged, "no archive").unwrap();
    for path in [folder.path().join("nope"), damaged] {
        let path = path.to_str().unwrap();
        for pair in [[path, machine.word()], [machine.word(), path]] {
            let run = rmap(["diff", pair[0], pair[1]]);
            assert!(run.status == Some(1) && run.out.is_empty() && run.complaints().len() == 1, "{run:?}");
        }
    }
    // A list that is damaged is no empty list.
    let list = Machine::new("boot", 2).file(json!("/a"), 1, json!(-5)).with_list("pages");
    let other = Machine::new("boot", 3).file(json!("/b"), 2, json!(5)).with_list("pages");
    for pair in [[&list, &other], [&other, &list]] {
        let run = diff(pair[0], pair[1], &["--what", "files", "--json"]);
        assert_eq!((run.status, run.json(), run.complaints().len()), (Some(1), json!([]), 1), "{run:?}");
        assert!(run.err.contains("line 2 of"), "{run:?}");
    }
}

#[test]
fn a_subcommand_that_reads_no_capture_says_why() {
    for (name, why) in [
        ("pcstat", "it measures files, and a capture only lists those that were cached: rmap files --proc-root FILE"),
        ("diff", "captures are its arguments: rmap diff A B"),
        ("capture", "it captures this machine"),
        ("demo", "it uses memory of this machine"),
        ("trace", "it watches a program run, and a capture does not run"),
        ("warm", "it changes memory, and a capture does not change"),
        ("evict", "it changes memory, and a capture does not change"),
        ("lock", "it changes memory, and a capture does not change"),
    ] {
        for words in [&[name, "--proc-root", "x.tar", "y"][..], &[name, "--proc-root=x.tar"]] {
            let run = rmap(words);
            let line = format!("rmap: --proc-root: {why}\n");
            assert_eq!((run.status, run.err), (Some(2), line), "{words:?}");
        }
    }
}

#[test]
fn a_capture_is_not_looked_at_again_and_again() {
    let machine = Machine::new("boot", 1).process(&super::PROCESS).with_list("pages");
    for question in
        [&["ps"][..], &["pid", "10"], &["files"], &["mem"], &["cgroups"], &["who", "/a"], &["pid", "10", "--summary"]]
    {
        let run = rmap([question, &["--proc-root", machine.word(), "-w", "1"]].concat());
        let line = "rmap: -w: a capture does not change\n";
        assert_eq!((run.status, run.err.as_str()), (Some(2), line), "{question:?}");
    }
}
