//! Between two written captures.

use serde_json::json;

use super::{KIB, Machine, PROCESS, Process, diff, words};

#[test]
fn a_process_is_the_same_if_its_pid_and_its_start_are() {
    let before = Machine::new("boot", 1)
        .process(&Process { pid: 10, pss: Some(900), ..PROCESS })
        .process(&Process { pid: 11, pss: Some(500), command: b"/bin/shrinks", ..PROCESS })
        .process(&Process { pid: 12, pss: Some(70), command: b"/bin/ends", ..PROCESS })
        .process(&Process { pid: 13, pss: Some(40), command: b"/bin/first", ..PROCESS })
        .process(&Process { pid: 14, command: b"/bin/same", ..PROCESS });
    let after = Machine::new("boot", 2)
        .process(&Process { pid: 10, pss: Some(1900), ..PROCESS })
        .process(&Process { pid: 11, pss: Some(400), command: b"/bin/shrinks", ..PROCESS })
        .process(&Process { pid: 13, start: 700, pss: Some(41), command: b"/bin/second", ..PROCESS })
        .process(&Process { pid: 14, command: b"/bin/same", ..PROCESS })
        .process(&Process { pid: 15, start: 800, pss: Some(60), command: b"/bin/starts", ..PROCESS });
    let rows = diff(&before, &after, &["--json", "--what", "processes"]).rows();
    assert_eq!(
        words(&rows),
        [
            "process 10 pss 921600 1945600 1024000 grew /bin/a",
            "process 11 pss 512000 409600 -102400 shrank /bin/shrinks",
            "process 12 pss 71680 null -71680 gone /bin/ends",
            "process 15 pss null 61440 61440 new /bin/starts",
            "process 13 pss null 41984 41984 new /bin/second",
            "process 13 pss 40960 null -40960 gone /bin/first",
        ]
    );
    assert_eq!(rows[2]["absent"], json!({"after": "not applicable: it does not exist any more"}));
    assert_eq!(rows[3]["absent"], json!({"before": "not applicable: it did not exist before"}));
    // The other way round, the signs and the words are the other ones.
    let rows = diff(&after, &before, &["--json", "--what", "processes", "--top", "3"]).rows();
    assert_eq!(
        words(&rows),
        [
            "process 10 pss 1945600 921600 -1024000 shrank /bin/a",
            "process 11 pss 409600 512000 102400 grew /bin/shrinks",
            "process 12 pss null 71680 71680 new /bin/ends",
        ]
    );
}

#[test]
fn a_process_that_could_not_be_captured_is_neither_new_nor_gone() {
    let with = |minute| Machine::new("boot", minute).process(&PROCESS).process(&Process { pid: 12, ..PROCESS });
    let (whole, lacks) = (with(1), Machine::new("boot", 2).process(&PROCESS));
    std::fs::write(lacks.path().join("rmap/complete"), json!({"missed": [12]}).to_string()).unwrap();
    let left_out = "only in the first; the second does not have all, so it is left out";
    let reversed = "only in the second; the first does not have all, so it is left out";
    for (before, after, line) in [(&whole, &lacks, left_out), (&lacks, &whole, reversed)] {
        let run = diff(before, after, &["--json", "--what", "processes"]);
        assert_eq!((run.status, run.json()), (Some(1), json!([])), "{run:?}");
        let lines = [
            &format!("rmap: processes: 1 of them is {line}")[..],
            "rmap: pid 12: it could not be read when the capture was taken",
        ];
        assert_eq!(run.complaints(), lines, "{run:?}");
    }
}

#[test]
fn processes_have_the_same_names_on_both_sides_if_one_side_has_no_command_lines() {
    let process = |start| Process { start, pss: Some(900), ..PROCESS };
    let before = Machine::new("one", 1).process(&process(500)).without_command_lines();
    let after = Machine::new("two", 2).process(&process(700));
    // After a reboot, processes are compared by their names.
    let options = ["--jsonl", "--what", "processes", "--by", "name", "--min-change", "0"];
    for (one, other) in [(&before, &after), (&after, &before)] {
        let rows = diff(one, other, &options).lines_of_json();
        let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(names, ["[name]"], "{rows:?}");
    }
}

#[test]
fn groups_are_as_large_as_their_members_together() {
    let process = |pid, start, pss, command| Process { pid, start, pss: Some(pss), command, ..PROCESS };
    let machine = |boot, pss: u64| {
        (10..20)
            .fold(Machine::new(boot, 1), |machine, pid| machine.process(&process(pid, 500, pss, b"/bin/fleet")))
            .process(&process(30, 500, 9000, b"/bin/same"))
    };
    // Ten processes, each of which grows by 100 KiB, and one that is new after a reboot and as large as before.
    let (before, after) = (machine("one", 200), machine("two", 300));
    let groups = |least: &[&str]| {
        let options = [&["--jsonl", "--what", "processes", "--by", "name"], least].concat();
        let rows = diff(&before, &after, &options).lines_of_json();
        rows.iter().map(|row| format!("{} {}", row["name"], row["change"])).collect::<Vec<_>>()
    };
    let fleet = format!("\"/bin/fleet\" {}", 1000 * KIB);
    assert_eq!(groups(&[]), [&fleet[..]]);
    assert_eq!(groups(&["--min-change", "1000K"]), [&fleet[..]]);
    assert_eq!(groups(&["--min-change", "1001K"]), [""; 0]);
    assert_eq!(groups(&["--min-change", "0"]), [&fleet[..], "\"/bin/same\" 0"]);
}

#[test]
fn unlike_figures_are_never_compared() {
    // Pss is only known on one side: VmRSS of both is compared, and not the Rss of a smaps_rollup.
    let before = Machine::new("boot", 1).process(&Process { rss: 1000, pss: Some(900), ..PROCESS });
    let after = Machine::new("boot", 2).process(&Process { rss: 1100, pss: None, ..PROCESS });
    let run = diff(&before, &after, &["--json", "--what", "processes"]);
    assert_eq!(words(run.json().as_array().unwrap()), ["process 10 rss 1024000 1126400 102400 grew /bin/a"]);
    assert_eq!(
        (run.status, run.complaints()),
        (Some(0), vec!["rmap: processes: 1 is compared by Rss, because the Pss of one side is not known"])
    );
    // Its mappings may not be read: that is said, and is not all of them gone.
    let run = diff(&before, &after, &["--json", "--what", "mappings"]);
    assert_eq!((run.status, run.json()), (Some(1), json!([])));
}

#[test]
fn after_another_boot_no_process_is_the_same_and_files_are_by_path() {
    let machine = |boot, inode, cached: i64| {
        Machine::new(boot, 1).process(&PROCESS).file(json!("/a"), inode, json!(cached)).with_list("pages")
    };
    let before = machine("one", 5, 4 * KIB);
    let run = diff(&before, &machine("two", 6, 12 * KIB), &["--json", "--what", "processes,files"]);
    assert_eq!(
        words(run.json().as_array().unwrap()),
        [
            "process 10 pss 921600 null -921600 gone /bin/a",
            "process 10 pss null 921600 921600 new /bin/a",
            "file null cached 4096 12288 8192 grew /a",
        ]
    );
    assert!(run.status == Some(0) && run.err.contains("no process is the same"), "{run:?}");
    assert_eq!(run.complaints().len(), 1);
    // Within one boot another inode is another file.
    let rows = diff(&before, &machine("one", 6, 12 * KIB), &["--json", "--what", "files"]).rows();
    assert_eq!(words(&rows), ["file null cached null 12288 12288 new /a", "file null cached 4096 null -4096 gone /a"]);
    // By name, a process that was started again is compared with what it was.
    let by_name = ["--json", "--what", "processes", "--by", "name"];
    let run = diff(&before, &machine("two", 5, 0), &[&by_name[..], &["--min-change", "0"]].concat());
    let rows = run.json();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{run:?}");
    let row = &rows[0];
    assert_eq!((&row["before"], &row["after"], &row["change"]), (&json!(921_600), &json!(921_600), &json!(0)));
    assert_eq!(diff(&before, &machine("two", 5, 0), &by_name).json(), json!([]));
}

#[test]
fn processes_of_different_containers_are_not_compared_but_files_are() {
    let before = Machine::new("boot", 1).process(&PROCESS).file(json!("/a"), 5, json!(4096)).with_list("pages");
    let after = Machine::new("boot", 2).process(&PROCESS).file(json!("/a"), 5, json!(8192)).with_list("pages");
    let stat = after.path().join("proc/1/stat");
    let first = std::fs::read_to_string(&stat).unwrap();
    std::fs::write(&stat, first.replace(" 20 0 1 0 1 ", " 20 0 1 0 400 ")).unwrap();
    let run = diff(&before, &after, &["--json"]);
    assert_eq!(words(run.json().as_array().unwrap()), ["file null cached 4096 8192 4096 grew /a"], "{run:?}");
    let line =
        "rmap: processes: the two are of different containers (pid namespaces), so no process or mapping is compared";
    assert_eq!((run.status, run.complaints()), (Some(1), vec![line]));
}

#[test]
fn mappings_are_added_up_by_name_for_processes_that_changed() {
    let process = |pss, mappings| Process { pss: Some(pss), mappings, ..PROCESS };
    let other = Process { pid: 20, pss: Some(5), mappings: &[(b"[heap]", 5)], ..PROCESS };
    let before = Machine::new("boot", 1)
        .process(&process(100, &[(b"/lib/a", 40), (b"/lib/a", 4), (b"", 8), (b"[heap]", 20), (b"/old", 4)]))
        .process(&other);
    let after = Machine::new("boot", 2)
        .process(&process(200, &[(b"/lib/a", 48), (b"", 8), (b"", 100), (b"[heap]", 20), (b"/new", 12)]))
        // Its sum is the same, so that its mappings are not looked at.
        .process(&Process { mappings: &[(b"[heap]", 1), (b"/x", 4)], ..other });
    let rows = diff(&before, &after, &["--json", "--what", "mappings"]).rows();
    assert_eq!(
        words(&rows),
        [
            "mapping 10 pss 8192 110592 102400 grew [anonymous]",
            "mapping 10 pss null 12288 12288 new /new",
            "mapping 10 pss 45056 49152 4096 grew /lib/a",
            "mapping 10 pss 4096 null -4096 gone /old",
        ]
    );
}

#[test]
fn all_mappings_of_a_process_that_is_new_or_gone_are() {
    let process = |pid, name| Process { pid, pss: Some(8), mappings: name, ..PROCESS };
    let before = Machine::new("boot", 1).process(&process(10, &[(b"/old", 8)]));
    let after = Machine::new("boot", 2).process(&Process { start: 900, ..process(11, &[(b"/new", 5), (b"/new", 3)]) });
    let rows = diff(&before, &after, &["--json", "--what", "mappings"]).rows();
    assert_eq!(words(&rows), ["mapping 10 pss 8192 null -8192 gone /old", "mapping 11 pss null 8192 8192 new /new"]);
    let run = diff(&before, &after, &["--json", "--what", "mappings", "--min-change", "9K"]);
    assert!(run.err.ends_with(": nothing changed by 9K or more\n"), "{run:?}");
}

#[test]
fn control_groups_are_compared_by_path_and_absent_is_not_nothing() {
    let before = Machine::new("boot", 1)
        .group("/a", Some(8192))
        .group("/a/b", Some(4096))
        .group("/old", Some(100))
        .group("/hidden", Some(300));
    let after = Machine::new("boot", 2)
        .group("/a", Some(20480))
        .group("/a/b", Some(4096))
        .group("/new", Some(50))
        .group("/hidden", None);
    let run = diff(&before, &after, &["--json", "--what", "cgroups"]);
    let rows = run.json().as_array().unwrap().clone();
    assert_eq!(
        words(&rows),
        [
            "cgroup null usage 8192 20480 12288 grew /a",
            "cgroup null usage 100 null -100 gone /old",
            "cgroup null usage null 50 50 new /new",
            "cgroup null usage 300 null null unknown /hidden",
        ]
    );
    assert_eq!(rows[3]["note"], "it is not in the capture");
    assert_eq!(rows[3]["absent"]["change"], "unsupported: it is not in the capture");
    // In a sum each byte counts once: what /a has besides /a/b.
    let run = diff(&before, &after, &["--json", "--what", "cgroups", "--total", "--filter", "name =~ '^/a'"]);
    let total = &run.json()["total"];
    assert_eq!((&total["before"], &total["after"], &total["change"]), (&json!(4096), &json!(16384), &json!(12288)));
}

#[test]
fn only_what_changed_enough_is_shown_and_a_filter_may_ask_for_a_sign() {
    let before = Machine::new("boot", 1)
        .file(json!("/grows"), 1, json!(0))
        .file(json!("/shrinks"), 2, json!(3 << 20))
        .file(json!("/little"), 3, json!(4096))
        .with_list("pages");
    let after = Machine::new("boot", 2)
        .file(json!("/grows"), 1, json!(1 << 20))
        .file(json!("/shrinks"), 2, json!(1 << 20))
        .file(json!("/little"), 3, json!(8192))
        .with_list("pages");
    let names = |arguments: &[&str]| {
        let run = diff(&before, &after, &[&["--what", "files"], arguments].concat()).good();
        let rows = run.lines_of_json();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["--jsonl"]), "/shrinks /grows /little");
    assert_eq!(names(&["--jsonl", "--min-change", "1M"]), "/shrinks /grows");
    assert_eq!(names(&["--jsonl", "--min-change", "1048577"]), "/shrinks");
    assert_eq!(names(&["--jsonl", "--filter", "change > 4K"]), "/grows");
    assert_eq!(names(&["--jsonl", "--filter", "change <= -4K"]), "/shrinks");
    assert_eq!(names(&["--jsonl", "--filter", "change >= -2097152 && status == shrank"]), "/shrinks");
    // By its name, what shrank is less than what grew.
    assert_eq!(names(&["--jsonl", "--sort", "change"]), "/grows /little /shrinks");
    assert_eq!(names(&["--jsonl", "--sort", "-change"]), "/shrinks /little /grows");
    assert_eq!(names(&["--jsonl", "--sort", "-change", "--top", "1"]), "/shrinks");
    assert_eq!(names(&["--jsonl", "--top", "1"]), "/shrinks");
    // A table leaves out what is small, says so, and says what was compared.
    let table = diff(&before, &after, &["--what", "files"]).good().text();
    assert!(table.contains("-2097152 shrank /shrinks") && !table.contains("/little"), "{table}");
    let line = "(2026-01-31T10:01:00Z) to ";
    assert!(table.contains(line) && table.ends_with("(2026-01-31T10:02:00Z): 2 changes of 1M or more.\n"), "{table}");
    // It says so, too, if only some of them are shown, in whatever order.
    let closing = |options: &[&str]| {
        let run = diff(&before, &after, &[&["--what", "files", "--min-change", "0"], options].concat()).good();
        run.text().lines().last().unwrap().rsplit_once("Z): ").unwrap().1.to_owned()
    };
    assert_eq!(closing(&["--top", "2"]), "3 changes; the 2 largest are shown (--top).");
    assert_eq!(closing(&["--top", "1"]), "3 changes; the largest is shown (--top).");
    assert_eq!(closing(&["--top", "1", "--sort", "name"]), "3 changes; at most 1 is shown (--top).");
    assert_eq!(closing(&["--top", "2", "--sort", "name"]), "3 changes; at most 2 are shown (--top).");
    assert_eq!(closing(&["--top", "2", "--sort", "change"]), "3 changes; at most 2 are shown (--top).");
    assert_eq!(closing(&["--top", "2", "--filter", "change > 0"]), "3 changes; at most 2 are shown (--top).");
    assert_eq!(closing(&["--top", "3", "--sort", "name"]), "3 changes.");
    assert_eq!(closing(&["--top", "1", "--by", "status"]), "3 changes.");
    let human = diff(&before, &after, &["--what", "files", "-H", "--min-change", "0"]).good().text();
    assert!(human.contains("+1M") && human.contains("-2M") && human.contains("+4K"), "{human}");
    // A sum has everything.
    let total = &diff(&before, &after, &["--what", "files", "--json", "--total"]).good().json()["total"];
    assert_eq!((&total["before"], &total["change"]), (&json!((3 << 20) + 4096), &json!(4096 - (1 << 20))));
    let kinds = diff(&before, &after, &["--by", "kind", "--csv"]).good().text();
    assert_eq!(kinds, "changes,before,after,change,kind\r\n3,3149824,2105344,-1044480,file\r\n");
}

#[test]
fn a_narrow_terminal_leaves_room_for_names() {
    let name = "/var/lib/postgresql/data/base/1/2619";
    let before = Machine::new("boot", 1).process(&PROCESS).with_list("pages");
    let after = Machine::new("boot", 2)
        .process(&Process { pss: Some(99_000), ..PROCESS })
        .file(json!(name), 1, json!(150 << 20))
        .with_list("pages");
    // What is the same in every row is left out.
    let table = diff(&before, &after, &["--what", "files"]).good().text();
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["Of", "Before", "After", "Change", "Status", "Name", "Note"]);
    if crate::common::has("script", "bsdutils") {
        let script = "script -qec \"stty cols 80; rmap diff '$1' '$2'\" /dev/null </dev/null";
        let run = crate::common::shell(script, &[before.path().as_os_str(), after.path().as_os_str()]);
        assert!(run.text().contains(name) && run.text().contains("process"), "{run:?}");
    }
}

#[test]
fn a_narrow_terminal_keeps_the_beginning_of_command_lines_and_the_end_of_paths() {
    let command = b"/usr/lib/postgresql/16/bin/postgres -D /var/lib/postgresql/16/main -c config_file=/etc/x.conf";
    let path = "/var/lib/docker/overlay2/0123456789abcdef0123456789abcdef/diff/usr/lib/file.so";
    let before = Machine::new("boot", 1).process(&Process { command, ..PROCESS }).with_list("pages");
    let after = Machine::new("boot", 2)
        .process(&Process { command, pss: Some(99_000), ..PROCESS })
        .file(json!(path), 1, json!(150 << 20))
        .with_list("pages");
    if crate::common::has("script", "bsdutils") {
        let script = "script -qec \"stty cols 80; rmap diff '$1' '$2'\" /dev/null </dev/null";
        let run = crate::common::shell(script, &[before.path().as_os_str(), after.path().as_os_str()]);
        let (text, ends) = (run.text(), |line: &str, end: &str| line.trim_end().ends_with(end));
        assert!(text.contains("/postgres -D /v"), "{run:?}");
        assert!(text.lines().any(|line| line.contains("/var/") && ends(line, "/file.so")), "{run:?}");
    }
}

#[test]
fn what_one_side_does_not_know_is_one_line_and_not_gone() {
    let with = Machine::new("boot", 1).file(json!("/a"), 1, json!(4096)).with_list("pages");
    let without = Machine::new("boot", 2);
    for (one, other) in [(&with, &without), (&without, &with)] {
        let run = diff(one, other, &["--json"]);
        let line = "rmap: the cached files: the capture does not have them; take it without --no-files";
        assert_eq!((run.status, run.json(), run.complaints()), (Some(1), json!([]), vec![line]));
    }
    // An ordinary user's capture has the files that processes held: another file may have been cached all the same.
    let held = Machine::new("boot", 2).with_list("processes");
    let run = diff(&with, &held, &["--json", "--what", "files"]);
    assert_eq!((run.status, run.json()), (Some(1), json!([])));
    let line = "1 of them is only in the first; the second does not have all, so it is left out";
    assert!(run.err.contains(line), "{run:?}");
    let unknown = json!({"absent": ["denied", "it may not be measured"]});
    let denied = Machine::new("boot", 2).file(json!("/a"), 1, unknown).with_list("pages");
    let rows = diff(&with, &denied, &["--json", "--what", "files"]).rows();
    assert_eq!(words(&rows), ["file null cached 4096 null null unknown /a"]);
    assert_eq!(rows[0]["absent"]["after"], "denied: it may not be measured");
}

#[test]
fn a_capture_of_some_processes_does_not_know_the_others() {
    let one = Machine::new("boot", 1).process(&PROCESS);
    let description = one.path().join("rmap-capture.json");
    let text = std::fs::read_to_string(&description).unwrap();
    std::fs::write(&description, text.replace('{', "{\"all_processes\": false,")).unwrap();
    let both = Machine::new("boot", 2)
        .process(&Process { pss: Some(901), ..PROCESS })
        .process(&Process { pid: 20, ..PROCESS });
    let run = diff(&one, &both, &["--json", "--what", "processes"]);
    assert_eq!(words(run.json().as_array().unwrap()), ["process 10 pss 921600 922624 1024 grew /bin/a"]);
    assert!(run.status == Some(1) && run.err.contains("1 of them is only in the second"), "{run:?}");
}

#[test]
fn equal_captures_say_that_nothing_changed() {
    let machine = || {
        let process = Process { mappings: &[(b"[heap]", 8)], ..PROCESS };
        Machine::new("boot", 1)
            .process(&process)
            .group("/a", Some(5))
            .file(json!("/a"), 1, json!(4096))
            .with_list("pages")
    };
    let (one, other) = (machine(), machine());
    let run = diff(&one, &other, &["--json"]);
    assert_eq!((run.status, run.json(), run.complaints().len()), (Some(0), json!([]), 1));
    assert!(run.err.ends_with(": nothing changed\n"), "{run:?}");
    let run = diff(&one, &other, &[]);
    assert!(run.status == Some(0) && run.err.ends_with(": nothing changed by 1M or more\n"), "{run:?}");
}

#[test]
fn hostile_names_reach_no_terminal_and_are_kept_in_json() {
    let odd = &b"/bin/\x1b[2Ja\xff\nb"[..];
    let hex: String = odd.iter().map(|byte| format!("{byte:02x}")).collect();
    let before = Machine::new("boot", 1).with_list("pages");
    let after = Machine::new("boot", 2)
        .process(&Process { command: odd, mappings: &[], ..PROCESS })
        .file(json!({ "hex": hex }), 1, json!(2 << 20))
        .with_list("pages");
    let rows = diff(&before, &after, &["--json", "--what", "processes,files"]).rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["name_bytes"], json!(hex));
    let table = diff(&before, &after, &["--what", "processes,files", "--min-change", "0"]).good();
    assert!(!table.out.contains(&0x1b) && table.text().lines().count() == 4, "{table:?}");
}

#[test]
fn a_page_of_another_size_is_counted_in_bytes() {
    let before = Machine::new("one", 1).file(json!("/a"), 1, json!(65536)).with_list("pages");
    let after = Machine::new("two", 2).file(json!("/a"), 9, json!(131_072)).with_list("pages");
    let description = after.path().join("rmap-capture.json");
    let text = std::fs::read_to_string(&description).unwrap();
    std::fs::write(&description, text.replace("\"page_size\":4096", "\"page_size\":65536")).unwrap();
    let run = diff(&before, &after, &["--what", "files", "--json", "--total"]).good();
    let document = run.json();
    assert_eq!(document["changes"][0]["change"], 65536);
    let sides = document["compared"].as_array().unwrap();
    let sides: Vec<_> = sides.iter().map(|side| (&side["time"], &side["page_size"], &side["captured"])).collect();
    let [first, second] = [json!("2026-01-31T10:01:00Z"), json!("2026-01-31T10:02:00Z")];
    assert_eq!(sides, [(&first, &json!(4096), &json!(true)), (&second, &json!(65536), &json!(true))]);
}

#[test]
fn memory_that_is_shared_on_one_side_only_is_counted_once_on_that_side() {
    let parent = |pss| Process { pss: Some(pss), ..PROCESS };
    let child = |pid, pss| Process { pid, start: 600, command: b"/bin/child", pss: Some(pss), ..PROCESS };
    let shared = |machine: Machine, groups: serde_json::Value| {
        let text = json!({"missed": [], "same_memory": groups}).to_string();
        std::fs::write(machine.path().join("rmap/complete"), text).unwrap();
        machine
    };
    let machine = |minute, parent: &Process<'_>| shared(Machine::new("boot", minute).process(parent), json!([]));
    let alone = |minute| machine(minute, &parent(20000));
    // The child has a lower pid: they start anew at some time.
    let both = |pss| shared(machine(2, &parent(pss)).process(&child(9, pss)), json!([[9, 10]]));
    let why = "it shares its memory with another process (vfork, CLONE_VM) and is counted there";
    let processes = ["--json", "--what", "processes", "--total", "--min-change", "0"];
    let totals = |run: &crate::common::Run| {
        let total = run.json()["total"].clone();
        ["before", "after", "change"].map(|key| total[key].as_i64().unwrap_or(0) / KIB)
    };
    // It started between the two, and ended.
    for (before, after, status, child_row, sums) in [
        (alone(1), both(20000), "new", "process 9 pss null null null new /bin/child", [0, 0, 0]),
        (both(20000), alone(3), "gone", "process 9 pss null null null gone /bin/child", [0, 0, 0]),
        (alone(1), both(30000), "new", "process 9 pss null null null new /bin/child", [20000, 30000, 10000]),
    ] {
        let run = diff(&before, &after, &processes);
        let rows = run.json()["changes"].as_array().unwrap().clone();
        let own = rows.iter().find(|row| row["pid"] == 9).unwrap().clone();
        assert_eq!(
            (words(std::slice::from_ref(&own)), &own["note"]),
            (vec![child_row.to_owned()], &json!(why)),
            "{status}"
        );
        assert_eq!(totals(&run), sums, "{run:?}");
    }
    // It has executed a program since.
    let apart = machine(4, &parent(21000)).process(&child(9, 500));
    let run = diff(&both(20000), &apart, &processes);
    assert_eq!(
        words(run.json()["changes"].as_array().unwrap()),
        ["process 10 pss 20480000 21504000 1024000 grew /bin/a", "process 9 pss null 512000 512000 grew /bin/child",]
    );
    let why = "before, it shared its memory with another process and was counted there";
    assert_eq!(run.json()["changes"][1]["note"], why);
    assert_eq!(totals(&run), [20000, 21500, 1500], "{run:?}");
    // The parent has executed one, and the child has kept the memory.
    let mappings: &[(&[u8], u64)] = &[(b"/lib/a", 20000)];
    let keeps = |pss, list| Process { mappings: list, ..child(9, pss) };
    let before = shared(
        Machine::new("boot", 1).process(&Process { mappings, ..parent(20000) }).process(&keeps(20000, mappings)),
        json!([[9, 10]]),
    );
    let grown: &[(&[u8], u64)] = &[(b"/lib/a", 20000), (b"/lib/b", 100)];
    // It had a part of /lib/a before, which is counted with the child.
    let own: &[(&[u8], u64)] = &[(b"/lib/a", 200), (b"/lib/c", 300)];
    let after = machine(5, &Process { mappings: own, ..parent(500) }).process(&keeps(20100, grown));
    let stat = after.path().join("proc/10/stat");
    let text = std::fs::read_to_string(&stat).unwrap();
    std::fs::write(&stat, text.replace(" 1 2 3\n", " 4 5 6\n")).unwrap();
    let run = diff(&before, &after, &processes);
    assert_eq!(
        words(run.json()["changes"].as_array().unwrap()),
        ["process 10 pss null 512000 512000 grew /bin/a", "process 9 pss 20480000 20582400 102400 grew /bin/child",]
    );
    assert_eq!(totals(&run), [20000, 20600, 600], "{run:?}");
    let run = diff(&before, &after, &["--json", "--what", "mappings", "--total", "--min-change", "0"]);
    let rows = run.json()["changes"].as_array().unwrap().clone();
    assert_eq!(
        words(&rows),
        [
            "mapping 10 pss null 307200 307200 new /lib/c",
            "mapping 10 pss null 204800 204800 grew /lib/a",
            "mapping 9 pss null 102400 102400 new /lib/b",
        ]
    );
    let notes: Vec<_> = rows.iter().map(|row| &row["note"]).collect();
    assert_eq!(notes, [&serde_json::Value::Null, &json!(why), &serde_json::Value::Null], "{run:?}");
}
