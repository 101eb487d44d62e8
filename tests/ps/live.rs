//! Processes of this machine in a known state.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{self, ForEveryone, Group, Running, Subject, command, may_lock, memory, page, rmap};
use crate::{allowed, number, row_of};

#[test]
fn memory_of_each_kind_is_in_its_column() {
    let folder = memory();
    let file = format!("shared:{}:96:80", folder.path().join("f").display());
    let idle = Subject::start(["anonymous:8:1"]);
    let subject = Subject::start(["anonymous:2048:2000", "locked:40", "memfd:64:48", &file]);
    [&idle, &subject].iter().for_each(|subject| subject.stop());
    let rows = rmap(["ps", "--json", &idle.word(), &subject.word()]).good().json();
    let (without, with) = (row_of(&rows, idle.pid()), row_of(&rows, subject.pid()));
    let pages = |key: &str| (number(with, key) - number(without, key)) as f64 / page() as f64;
    // Both have the same few pages of their own besides.
    assert_eq!(number(with, "pss_shmem"), (48 + 80) * page());
    assert_eq!(number(with, "locked"), 40 * page());
    for (key, expected) in [("pss_anon", 2039), ("uss", 2167), ("pss", 2167), ("rss", 2167), ("rss_anon", 2039)] {
        // How much of the program and its libraries is mapped differs.
        let most = if key.contains("anon") { 16.0 } else { 100.0 };
        assert!((pages(key) - f64::from(expected)).abs() <= most, "{key}: {}", pages(key));
    }
    let parts: u64 = ["pss_anon", "pss_file", "pss_shmem"].map(|key| number(with, key)).iter().sum();
    assert!(parts.abs_diff(number(with, "pss")) <= 3 * 1024, "{with}");
    assert!(number(with, "uss") <= number(with, "pss") && number(with, "pss") <= number(with, "rss"));
    assert_eq!((number(with, "parent"), &with["name"]), (u64::from(std::process::id()), &"subject".into()));
}

#[test]
fn an_address_space_that_two_processes_share_counts_once() {
    let subject = Subject::start(["anonymous:4096:4000", "share"]);
    subject.stop();
    let document = rmap(["ps", "--json", "--total", "--tree", &subject.word()]).good().json();
    let [parent, child] = &document["processes"].as_array().unwrap()[..] else { panic!("{document}") };
    let memory = 4000 * page();
    assert!(number(parent, "pss") >= memory && number(child, "pss") >= memory, "{document}");
    for sum in [&document["total"]["pss"], &document["account"]["pss"], &parent["tree_pss"]] {
        assert!((memory..memory * 3 / 2).contains(&sum.as_u64().unwrap()), "{sum}");
    }
    assert_eq!(number(parent, "tree_processes"), 2);
    // Their threads are their own.
    let threads = number(parent, "threads") + number(child, "threads");
    assert_eq!(document["total"]["threads"], threads, "{document}");
    // Between groups, too.
    let other = Subject::start(["anonymous:64:48"]);
    let words = [subject.word(), child["pid"].to_string(), other.word()];
    let by_parent = rmap(["ps", "--json", "--total", "--by", "parent", &words[0], &words[1], &words[2]]).good().json();
    let total = &by_parent["total"];
    let rows = by_parent["groups"].as_array().unwrap();
    let shared = rows.iter().find(|row| row["processes"] == 1).unwrap();
    let with_parent = rows.iter().find(|row| row["processes"] == 2).unwrap();
    assert!((memory..memory * 3 / 2).contains(&number(shared, "pss")), "{by_parent}");
    assert_eq!((number(total, "pss"), number(total, "processes")), (number(with_parent, "pss"), 3), "{by_parent}");
    // Of a group that is left out nothing counts, but all that the other one shows.
    let first = rmap([
        "ps",
        "--json",
        "--total",
        "--by",
        "parent",
        "--sort",
        "-processes",
        "--top",
        "1",
        &words[0],
        &words[1],
        &words[2],
    ])
    .good()
    .json();
    assert_eq!(
        (&first["total"]["pss"], &first["total"]["processes"]),
        (&first["groups"][0]["pss"], &1.into()),
        "{first}"
    );
    // Each in a group of its own, it can.
    let by_pid = rmap(["ps", "--json", "--total", "--by", "pid", &words[0], &words[1]]).good().json();
    assert!((memory..memory * 3 / 2).contains(&number(&by_pid["total"], "pss")), "{by_pid}");
    assert_eq!(number(&by_pid["total"], "processes"), 2, "{by_pid}");
}

#[test]
fn an_address_space_that_processes_of_two_users_share_counts_once() {
    let Some(_) = ForEveryone::copy() else { return };
    let user = format!("share_as:{}", common::NOBODY);
    let subject = Subject::start(["anonymous:4096:4000", &user]);
    let other = Subject::start(["anonymous:64:48"]);
    subject.stop();
    other.stop();
    let children = format!("/proc/{0}/task/{0}/children", subject.pid());
    let child = std::fs::read_to_string(children).unwrap().trim().to_owned();
    let words = [subject.word(), child, other.word()];
    let pids = [&words[0][..], &words[1], &words[2]];
    let ask = |options: &[&str]| rmap([options, &pids].concat()).good();
    let ps = ["ps", "--total", "--by", "user", "-o", "processes,rss,threads"];
    let mappings = ["pid", "--total", "--by", "user", "-o", "mappings,processes,size,rss"];
    for view in [&ps[..], &mappings] {
        let of = |options: &[&str]| ask(&[view, options, &["--json"]].concat()).json();
        let all = of(&[]);
        let row = |processes: u64| {
            let rows = all["groups"].as_array().unwrap();
            rows.iter().find(|row| row["processes"] == processes).unwrap_or_else(|| panic!("{all}"))
        };
        let (root, nobody) = (row(2), row(1));
        assert_eq!(all["groups"].as_array().unwrap().len(), 2, "{all}");
        assert!(number(nobody, "rss") >= 4000 * page() && number(root, "rss") > number(nobody, "rss"), "{all}");
        assert_eq!(all["total"]["rss"], root["rss"], "{all}");
        for (options, shown) in [(&["--top", "1"][..], root), (&["--sort", "-rss", "--top", "1"], nobody)] {
            let one = of(options);
            assert_eq!((&one["total"]["rss"], &one["groups"][0]["rss"]), (&shown["rss"], &shown["rss"]), "{one}");
        }
        let filter = format!("pid != {}", subject.pid());
        let rest = of(&["--filter", &filter]);
        let sum: u64 = rest["groups"].as_array().unwrap().iter().map(|row| number(row, "rss")).sum();
        assert_eq!((number(&rest["total"], "rss"), sum), (sum, number(root, "rss")), "{rest}");
        // The table says the same.
        let exact = ask(&[view, &["--bytes"]].concat()).text();
        let total = exact.lines().find(|line| line.contains("total")).unwrap_or_else(|| panic!("{exact}"));
        let sum = number(root, "rss").to_string();
        assert!(total.split_whitespace().any(|word| word == sum), "{exact}");
    }
    // Each process counts, and each mapping once.
    let all = ask(&[&mappings[..], &["--json"]].concat()).json();
    let alone =
        |pid: &str| rmap(["pid", "--json", "-o", "size", pid]).good().json()[0]["mappings"].as_array().unwrap().len();
    assert_eq!(number(&all["total"], "mappings"), (alone(&words[0]) + alone(&words[2])) as u64, "{all}");
    assert_eq!(number(&ask(&[&ps[..], &["--json"]].concat()).json()["total"], "threads"), 3);
    // A filter that tells the processes apart accepts a part of the memory in each group.
    let filter = format!("pid == {} && kind == anonymous || pid == {} && kind != anonymous", words[0], words[1]);
    let parts = rmap(["pid", "--by", "user", "--json", "-o", "size", "--filter", &filter, &words[0], &words[1]]).good();
    let whole = rmap(["pid", "--json", "-o", "size", &words[0]]).good().json();
    assert_eq!(parts.json()["total"]["size"], whole[0]["total"]["size"], "{}", parts.text());
}

#[test]
fn an_ordinary_user_sees_what_is_public_and_is_told_once_what_is_not() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subjects = [Subject::start(["anonymous:64:48"]), Subject::start(["anonymous:64:48"])];
    let words = [subjects[0].word(), subjects[1].word()];
    let arguments = ["ps", "--json", "--total", &words[0], &words[1], "self"];
    let run = everyone.rmap(arguments);
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{}", run.err);
    assert!(run.err.starts_with("rmap: 2 processes: permission denied: cannot read smaps_rollup"), "{}", run.err);
    assert!(run.err.ends_with("; run as root, or as the user who owns it\n"), "{}", run.err);
    let document = run.json();
    for subject in &subjects {
        let row = row_of(&document["processes"], subject.pid());
        assert!(number(row, "rss") >= 48 * page() && number(row, "rss_anon") >= 48 * page(), "{row}");
        assert_eq!((&row["pss"], &row["user"]), (&Value::Null, &"root".into()));
        assert!(row["absent"]["pss"].as_str().unwrap().starts_with("denied: "), "{row}");
    }
    assert_eq!(document["total"]["rows_without_figure"]["pss"], 2);
    let account = &document["account"];
    assert_eq!(["processes", "read", "denied", "late"].map(|key| number(account, key)), [3, 1, 2, 0]);
    let text = everyone.rmap(["ps", &words[0], &words[1]]).text();
    assert!(text.ends_with("0 of 2 read, 0; 2 need root\n"), "{text}");
    // Public figures are all there.
    everyone.rmap(["ps", "-o", "pid,user,rss,swap,command"]).good();
}

#[test]
fn what_proc_hides_is_not_counted_as_nothing() {
    let Some(everyone) = ForEveryone::copy() else { return };
    if !common::has("setpriv", "util-linux") {
        return;
    }
    let subject = Subject::start(["anonymous:64:48"]);
    let hidden = |options: &str, group: u32, arguments: &str| {
        let program = everyone.program();
        let user = format!("setpriv --reuid={} --regid={group} --clear-groups", common::NOBODY);
        let script = format!("mount -t proc -o {options} proc /proc && exec {user} {} {arguments}", program.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        common::run(command)
    };
    let nobody = common::NOBODY;
    // Not even the number of the others is known.
    for level in [2, 4] {
        let run = hidden(&format!("hidepid={level}"), nobody, "ps --json --total");
        let document = run.json();
        let account = &document["account"];
        assert_eq!((&account["processes"], &account["hidden"]), (&Value::Null, &Value::Null), "{account}");
        assert!(number(account, "read") > 0, "{account}");
        assert_eq!(document["total"]["rows_without_figure"]["pss"], 1, "{document}");
        let line = "rmap: the processes of this machine: /proc hides those of other users (hidepid), and how many they \
                    are; run as root\n";
        assert_eq!((run.status, run.err.as_str()), (Some(1), line), "hidepid={level}");
    }
    let run = hidden("hidepid=2", nobody, "ps");
    assert!(run.out.ends_with(b"; those of other users are hidden\n"), "{run:?}");
    // The pids are seen, so they are counted.
    let run = hidden("hidepid=1", nobody, "ps --json --total");
    let document = run.json();
    assert!(number(&document["account"], "hidden") > 0, "{document}");
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{}", run.err);
    // Which of them are threads of the kernel, that have no memory, is hidden too.
    let has_kernel_threads = std::fs::read("/proc/2/comm").is_ok_and(|name| name == b"kthreadd\n");
    if has_kernel_threads {
        assert!(run.err.contains("and which are threads of the kernel"), "{}", run.err);
        let text = hidden("hidepid=1", nobody, "ps").text();
        assert!(text.ends_with(" of the hidden may be kernel threads\n"), "{text}");
        let run = hidden("hidepid=1", nobody, "capture --no-files -o - > /dev/null");
        assert!(run.err.contains(" of them may be threads of the kernel, which have none)"), "{}", run.err);
    }
    // Nothing is hidden from a member of the group.
    let run = hidden(&format!("hidepid=2,gid={nobody}"), nobody, "ps -o pid,rss --json --total");
    assert_eq!((run.status, &*run.err), (Some(0), ""));
    assert_eq!(run.json()["account"]["hidden"], 0);
    row_of(&run.json()["processes"], subject.pid());
}

#[test]
fn what_is_not_read_in_time_is_absent_and_the_answer_is_not_late() {
    if !may_lock(64 << 20) {
        return;
    }
    let folder = memory();
    // 400 mappings of 64 MiB: 50 MiB of page tables, which the kernel cannot read in 45 ms.
    let large = format!("synced:{}:16384:400", folder.path().join("f").display());
    let subject = Subject::start([large]);
    let begun = Instant::now();
    let run = rmap(["ps", "--budget", "0.045", "--json", "--total", &subject.word()]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let document = run.json();
    let account = &document["account"];
    assert_eq!((run.status, run.complaints().len(), number(account, "read")), (Some(1), 1, 0), "{}", run.err);
    if number(account, "unseen") == 0 {
        let row = row_of(&document["processes"], subject.pid());
        assert_eq!(row["absent"]["pss"], "late: it was not read in time; a longer --budget reads more");
        assert!(number(row, "rss") > 16384 * 300 * page(), "{row}");
        let line = "rmap: 1 process: was not read in time (0.045 s); a longer --budget reads more\n";
        assert_eq!((run.err.as_str(), number(account, "late")), (line, 1));
    }
    // With more time it is read, by a child that may be left behind.
    let row = &rmap(["ps", "--budget", "25", "--json", &subject.word()]).good().rows()[0];
    let expected = 16384 * page();
    assert!(number(row, "pss_shmem").abs_diff(expected) < expected / 10, "{row}");
}

#[test]
fn without_time_nothing_is_said_about_the_processes() {
    let run = rmap(["ps", "--budget", "0.000001", "--json", "--total"]);
    let account = &run.json()["account"];
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{}", run.err);
    assert!(number(account, "unseen") > 0 && number(account, "read") == 0, "{account}");
    assert!(run.err.contains("not looked at in time"), "{}", run.err);
}

#[test]
fn rmap_itself_is_listed_and_everything_has_a_group() {
    let run = allowed(rmap(["ps", "--json", "--budget", "25"]));
    let rows = run.json();
    let own = rows.as_array().unwrap().iter().find(|row| row["name"] == "rmap" && row["parent"] == std::process::id());
    assert!(own.is_some_and(|own| number(own, "pss") > 0), "{rows}");
    for by in ["user", "name", "cgroup", "container", "app", "command"] {
        let groups = allowed(rmap(["ps", "--by", by, "--json", "--total", "--budget", "25"])).json();
        let counts = groups["groups"].as_array().unwrap().iter().map(|group| number(group, "processes"));
        assert_eq!(counts.sum::<u64>(), number(&groups["account"], "processes"), "{groups}");
    }
}

#[test]
fn a_repeated_answer_shows_what_changed() {
    let subject = Subject::start(["anonymous:8:1"]);
    let mut running = Running::start(command(["ps", "-w", "0.1", "--jsonl", "-o", "pid,rss,uss", &subject.word()]));
    let (first, second) = (running.row(), running.row());
    assert_eq!((&first["fate"], &first["uss_change"]), (&Value::Null, &Value::Null));
    assert_eq!((number(&second, "pid"), &second["rss_change"]), (subject.pid().into(), &0.into()));
    assert_eq!(running.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn a_process_whose_first_thread_has_exited_stays_in_its_control_group() {
    let Some(group) = Group::new("headless") else { return };
    let folder = memory();
    let file = folder.path().join("f").display().to_string();
    let subject = group.start(&[format!("shared:{file}:8:8"), "headless".to_owned()]);
    let stat = format!("/proc/{}/stat", subject.pid());
    common::wait_until("its first thread ended", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    let name = group.last_name();
    for arguments in [
        &["ps", "-o", "pid,cgroup", &subject.word()][..],
        &["ps", "-o", "pid,cgroup", "--cgroup", name],
        &["who", "-o", "pid,cgroup", &file],
    ] {
        let rows = rmap([arguments, &["--jsonl"]].concat()).lines_of_json();
        let found: Vec<_> = rows.iter().map(|row| (&row["pid"], &row["cgroup"])).collect();
        assert_eq!(found, [(&subject.pid().into(), &group.name.as_str().into())], "{arguments:?}");
    }
    // The view of its mappings finds it in the group, too.
    assert!(!rmap(["pid", "--cgroup", name, "--jsonl", "-o", "pid,rss"]).good().lines_of_json().is_empty());
}
