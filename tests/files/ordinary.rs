//! What an ordinary user sees, who may not read the kernel's lists.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::bytes;
use crate::common::{ForEveryone, NOBODY, Run, Subject, disk, has_cachestat, known_file, memory, page};
use crate::common::{rmap, rmap_without_lists, subject_program};
use crate::load::inode_of_mapping;

/// A directory on tmpfs with files of the user nobody, of which the first two are held by the subject.
struct Own {
    everyone: ForEveryone,
    _folder: tempfile::TempDir,
    mapped: PathBuf,
    open: PathBuf,
    alone: PathBuf,
    _subject: Subject,
}

impl Own {
    fn prepare() -> Option<Own> {
        let everyone = ForEveryone::copy()?;
        let program = everyone.bring(&subject_program());
        let folder = memory();
        let written = |name: &str, pages: u64| {
            let path = folder.path().join(name);
            fs::write(&path, vec![7; (pages * page()) as usize]).unwrap();
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            path
        };
        let (mapped, open, alone) = (written("mapped", 9), written("open", 4), written("alone", 3));
        let mut command = Command::new(program);
        let acts = [format!("glance:{}:9", mapped.display()), format!("open:{}", open.display()), "memfd:16:5".into()];
        command.args(acts).current_dir("/").uid(NOBODY).gid(NOBODY);
        let _subject = Subject::until_ready(command);
        Some(Own { everyone, _folder: folder, mapped, open, alone, _subject })
    }

    fn row<'r>(&self, rows: &'r [Value], path: &Path) -> Option<&'r Value> {
        rows.iter().find(|row| row["path"] == path.to_str().unwrap())
    }
}

/// That the answer says what it is not: everything.
#[track_caller]
fn assert_limited(run: &Run) {
    assert_eq!(run.status, Some(1), "{run:?}");
    let line = "rmap: the kernel's lists of cached files: it needs root, or CAP_BPF and CAP_PERFMON";
    let said: Vec<&str> = run.complaints().into_iter().filter(|said| said.starts_with(line)).collect();
    assert_eq!(said.len(), 1, "{}", run.err);
    assert!(
        said[0].contains(
            "run as root; otherwise only files that processes hold are seen; `rmap files --scan` walks over directories"
        ),
        "{}",
        said[0]
    );
}

#[test]
fn without_bpf_the_files_of_own_processes_are_listed() {
    let Some(own) = Own::prepare() else { return };
    let run = own.everyone.rmap(["files", "--jsonl", "-o", "+kind,method"]);
    assert_limited(&run);
    let rows = run.lines_of_json();
    for (path, pages) in [(&own.mapped, 9), (&own.open, 4)] {
        let row = own.row(&rows, path).unwrap_or_else(|| panic!("no row for {}: {run:?}", path.display()));
        assert_eq!((bytes(row, "cached"), bytes(row, "size")), (pages * page(), pages * page()), "{row}");
        assert_eq!((&row["kind"], &row["method"]), (&"tmpfs".into(), &"processes".into()), "{row}");
        // What only the lists say is absent, and not zero.
        for key in ["active", "mapped", "cgroup"] {
            let why = row["absent"][key].as_str().unwrap_or_default();
            assert!(row[key].is_null() && why.starts_with("denied: only the kernel's lists say it"), "{key}: {row}");
        }
        if has_cachestat() {
            assert_eq!(bytes(row, "dirty"), crate::by_cachestat(path).1, "{row}");
        }
    }
    assert_eq!(own.row(&rows, &own.alone), None, "nobody holds it");
    // Only root can open what is mapped and has no name.
    let nameless = ["/memfd:subject (deleted)", "it is mapped, but cannot be opened as the mapped file"];
    assert!(nameless.iter().all(|part| run.err.contains(part)), "{}", run.err);

    let table = own.everyone.rmap(["files", "--top", "1"]);
    assert_limited(&table);
    let text = table.text();
    assert!(text.contains("from the files that processes map or have open"), "{text}");
    assert!(text.contains("files that no process holds, block devices and file-system metadata"), "{text}");
    // Who is charged, and whether anybody maps it, is not known of any file: none can be shown.
    for chosen in [&["--cgroup", "/"][..], &["--unmapped"]] {
        let run = own.everyone.rmap([&["files", "--jsonl"], chosen].concat());
        assert_eq!(run.status, Some(1), "{run:?}");
        for about_rows in ["these are the files", "only files that processes hold are seen"] {
            assert!(!run.err.contains(about_rows), "{run:?}");
        }
        assert_eq!(run.lines_of_json(), [] as [Value; 0], "{}", run.err);
        let line = format!("rmap: {}: only the kernel's lists say it, which need root", chosen[0]);
        assert!(run.err.contains(&line), "{}", run.err);
    }
    let held = own.mapped.parent().unwrap().to_str().unwrap();
    let walk = rmap(["files", "--scan", "--jsonl", "--cgroup", "/", held]);
    assert_eq!((walk.status, walk.out.is_empty()), (Some(2), true), "{}", walk.err);
}

#[test]
fn a_zombie_holds_nothing_and_is_no_failure() {
    let mut zombie = std::process::Command::new("true").spawn().unwrap();
    let state = format!("/proc/{}/stat", zombie.id());
    crate::common::wait_until("it does not exit", || std::fs::read_to_string(&state).unwrap().contains(") Z "));
    let without = rmap_without_lists(["files", "--jsonl", "--by", "kind"]);
    let ordinary = ForEveryone::copy().map(|everyone| everyone.rmap(["files", "--by", "cgroup"]));
    let number = zombie.id().to_string();
    zombie.wait().unwrap();
    for run in [without, ordinary].into_iter().flatten() {
        assert!(!run.err.contains("zombie") && !run.err.contains(&number), "{}", run.err);
    }
}

#[test]
fn what_has_no_name_is_the_same_without_the_lists() {
    let folder = memory();
    let path = folder.path().join("gone");
    let name = path.display();
    let acts = [format!("shared:{name}:8:8"), format!("open:{name}"), format!("unlink:{name}")];
    let acts = acts.into_iter().chain(["memfd:16:4".to_owned(), "shared_anonymous:16:5".to_owned()]);
    let subject = Subject::start(acts);
    let columns = ["files", "--jsonl", "-o", "path,directory,cached,kind,deleted,links,fs,inode,holders"];
    let Some(run) = rmap_without_lists(columns) else { return };
    let rows = run.lines_of_json();
    let row = |path: &str, inode: Option<u64>| {
        let is_it = |row: &&Value| row["path"] == path && inode.is_none_or(|inode| row["inode"] == inode);
        rows.iter().find(is_it).unwrap_or_else(|| panic!("no {path}: {run:?}"))
    };
    let gone = row(path.to_str().unwrap(), None);
    let there = folder.path().to_str().unwrap();
    let mut expected = vec![(gone, "tmpfs", 8, true, there)];
    if nix::unistd::geteuid().is_root() {
        let memfd = row("memfd:subject", Some(inode_of_mapping(&subject, "/memfd:subject")));
        let shared = row("shared memory dev/zero", Some(inode_of_mapping(&subject, "/dev/zero")));
        expected.extend([(memfd, "memfd", 4, false, ""), (shared, "shared memory", 5, false, "")]);
    } else {
        // An ordinary user may not open what has only a mapping, and is told so.
        let line = "run as root to open any mapped file";
        assert!(run.complaints().iter().any(|found| found.ends_with(line)), "{}", run.err);
    }
    for (row, kind, pages, deleted, directory) in expected {
        assert_eq!((&row["kind"], bytes(row, "cached")), (&kind.into(), pages * page()), "{row}");
        assert_eq!((&row["deleted"], &row["directory"]), (&deleted.into(), &directory.into()), "{row}");
        assert_eq!((&row["links"], &row["fs"]), (&0.into(), &"tmpfs".into()), "{row}");
        assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
    }
    let deleted = rmap_without_lists(["files", "--jsonl", "--deleted", "-o", "cached,holders,path"]).unwrap();
    let rows = deleted.lines_of_json();
    let gone = rows.iter().find(|row| row["path"] == path.to_str().unwrap()).unwrap_or_else(|| panic!("{deleted:?}"));
    assert_eq!(gone["holders"], format!("subject {}", subject.pid()), "{gone}");
    assert!(!rows.iter().any(|row| row["path"] == "memfd:subject"), "{rows:?}");
}

#[test]
fn a_walk_finds_what_no_process_holds_for_any_user() {
    let Some(own) = Own::prepare() else { return };
    let folder = own.alone.parent().unwrap().to_str().unwrap();
    for run in [
        own.everyone.rmap(["files", "--scan", "--jsonl", "-o", "+kind,method", folder]),
        rmap(["files", "--scan", "--jsonl", "-o", "+kind,method", folder]),
    ] {
        assert!(run.status <= Some(1), "{run:?}");
        let rows = run.lines_of_json();
        assert_eq!(rows.len(), 3, "{rows:?}");
        for (path, pages) in [(&own.mapped, 9), (&own.open, 4), (&own.alone, 3)] {
            let row = own.row(&rows, path).unwrap();
            assert_eq!((bytes(row, "cached"), &row["kind"]), (pages * page(), &"tmpfs".into()), "{row}");
            assert_eq!(row["method"], "walk", "{row}");
        }
        assert!(!run.err.contains(folder), "{}", run.err);
    }
    let table = own.everyone.rmap(["files", "--scan", folder]).text();
    assert!(table.contains("from a walk over directories"), "{table}");
}

#[test]
fn a_file_of_another_user_is_denied_and_not_zero() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = disk();
    let known = known_file(&folder.path().join("locked"), 8 * page(), &[(0, 3)]);
    let run = everyone.rmap(["files".as_ref(), "--scan".as_ref(), "--jsonl".as_ref(), folder.path().as_os_str()]);
    let rows = run.lines_of_json();
    let row = rows.iter().find(|row| row["path"] == known.path.to_str().unwrap());
    if row.is_some_and(|row| row["cached"] == 3 * page()) {
        return eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
    }
    assert!(row.is_none_or(|row| row["cached"].is_null()), "{row:?}");
    // Other files may be denied for the same reason, and are then in the same line.
    let reason = "the kernel reports the cached pages of a file only to its owner or a writer";
    assert!(run.status == Some(1) && run.err.contains(reason), "{run:?}");
}

#[test]
fn without_the_lists_a_file_is_in_the_group_of_each_program_that_holds_it() {
    let Some(own) = Own::prepare() else { return };
    let size = 9 * page();
    let other = Subject::start([format!("glance:{}:9", own.mapped.display())]);
    let open = fs::File::open(&own.mapped).unwrap();
    let mut tail = Command::new("tail").args(["-f", "/dev/null"]).stdin(open).spawn().unwrap();
    let folder = own.mapped.parent().unwrap().to_str().unwrap();
    let walked = rmap(["files", "--jsonl", "--scan", folder, "--by", "holder"]);
    let held = rmap_without_lists(["files", "--jsonl", "--by", "holder"]);
    tail.kill().unwrap();
    tail.wait().unwrap();
    drop(other);
    for run in [Some(walked), held].into_iter().flatten() {
        let groups = run.lines_of_json();
        let cached =
            |name: &str| groups.iter().find(|group| group["holders"] == name).map(|group| bytes(group, "cached"));
        assert!(cached("subject").is_some_and(|cached| cached >= size), "{run:?}");
        assert!(cached("tail").is_some_and(|cached| cached >= size), "{run:?}");
        let is_cell = |group: &&Value| group["holders"].as_str().is_some_and(|name| name.starts_with("subject "));
        assert_eq!(groups.iter().find(is_cell), None, "{run:?}");
    }
}

#[test]
fn what_could_not_be_read_is_in_the_account() {
    let Some(own) = Own::prepare() else { return };
    let other = Subject::start(["memfd:16:5"]);
    let run = own.everyone.rmap(["files", "--json", "--total"]);
    drop(other);
    let document: Value = serde_json::from_slice(&run.out).unwrap();
    let missed = document["account"]["missed"].as_str().unwrap();
    assert!(missed.contains("that could not be read hold"), "{missed}");
    let text = own.everyone.rmap(["files", "--top", "1"]).text();
    assert!(text.contains("that could not be read hold"), "{text}");
    if let Some(root) = rmap_without_lists(["files", "--top", "1"]) {
        assert!(!root.text().contains("root sees them"), "{root:?}");
    }
}

#[test]
fn a_walk_below_a_directory_is_not_asked_for_deleted_files() {
    let folder = memory();
    let run = rmap(["files".as_ref(), "--scan".as_ref(), "--deleted".as_ref(), folder.path().as_os_str()]);
    assert_eq!((run.status, run.out.is_empty()), (Some(2), true), "{run:?}");
    assert!(run.err.contains("a walk below a directory misses deleted files"), "{}", run.err);
}

/// `rmap ARGUMENTS` in the shell after mounting another `/proc`.
fn with_other_proc(options: &[&str], script: &str) -> Run {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(options).args(["sh", "-c", script]);
    crate::common::run(command)
}

#[test]
fn files_of_processes_that_are_not_seen_are_said_to_be_missing() {
    let Some(everyone) = ForEveryone::copy() else { return };
    if !crate::common::has("setpriv", "util-linux") || !crate::common::has("unshare", "util-linux") {
        return;
    }
    let (program, missing) = (everyone.program(), "what only processes hold that are hidden here");
    let user = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    let files = |arguments: &str| format!("{} files {arguments} --top 1", program.display());
    let hidden = |level, arguments: &str| {
        let script = format!("mount -t proc -o hidepid={level} proc /proc && exec {user} {}", files(arguments));
        with_other_proc(&[], &script)
    };
    // The columns do not decide.
    for (level, arguments) in [(1, ""), (2, ""), (2, "-o cached,path")] {
        let run = hidden(level, arguments);
        let line = "rmap: the processes of this machine: /proc hides those of other users (hidepid), so files that \
                    only they hold are missing; run as root";
        assert_eq!(run.complaints().iter().filter(|said| **said == line).count(), 1, "{arguments}: {run:?}");
        assert!(run.status == Some(1) && run.text().contains(missing), "{arguments}: {run:?}");
    }
    let script = format!("exec setpriv --bounding-set -sys_admin,-bpf {}", files("-o cached,path"));
    let run = with_other_proc(&["--pid", "--fork", "--mount-proc"], &script);
    let line = "rmap: the processes of this machine: this is another pid namespace";
    assert_eq!(run.complaints().iter().filter(|said| said.starts_with(line)).count(), 1, "{run:?}");
    assert!(run.text().contains(missing), "{run:?}");
}

#[test]
fn the_account_without_the_lists_has_files_that_are_not_shown() {
    let Some(own) = Own::prepare() else { return };
    let found = |narrow: &[&str]| {
        let run = own.everyone.rmap([&["files", "--json", "--total", "-o", "cached,path"], narrow].concat());
        let document: Value = serde_json::from_slice(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        let account = &document["account"];
        (account["found"].as_u64().unwrap(), account["tmpfs"].as_u64().unwrap(), document["files"].clone())
    };
    let empty = memory();
    let least = 13 * page();
    for narrow in [&["--deleted"][..], &["--dirty"], &[empty.path().to_str().unwrap()], &["--filter", "cached<1"]] {
        let (found, tmpfs, rows) = found(narrow);
        assert!(found >= tmpfs && tmpfs >= least, "{narrow:?}: {found}, {tmpfs}: {rows}");
    }
}

#[test]
fn a_walk_counts_the_files_that_it_does_not_open() {
    let name = "ordinary::a_walk_counts_the_files_that_it_does_not_open";
    let Some(folder) = crate::common::mounted_as(name, "mkdir there") else { return };
    let there = folder.join("there");
    let Some(_served) = crate::common::Served::mount(&there) else { return };
    let run = rmap(["files", "--scan", there.to_str().unwrap()]);
    // Nobody has them open, so that opening them would drop their pages.
    assert!(run.text().contains("; 3 files or directories that could not be read"), "{run:?}");
    let json = rmap(["files", "--scan", "--json", "--total", there.to_str().unwrap()]).json();
    let missed = json["account"]["missed"].as_str().unwrap();
    assert!(missed.ends_with("; 3 files or directories that could not be read"), "{json}");
}

#[test]
fn a_container_that_may_be_hidden_is_not_called_none() {
    let name = "a_container_that_may_be_hidden_is_not_called_none";
    let Some(everyone) = ForEveryone::copy() else { return };
    if !crate::has_lists(name) || !crate::common::has("setpriv", "util-linux") {
        return;
    }
    let folder = memory();
    let path = folder.path().join("inner/file");
    let mount = "mkdir inner; mount -t tmpfs none inner; head -c 40960 /dev/zero > inner/file";
    let acts = format!("glance:{}:{}", path.display(), 40960 / page());
    let subject = crate::common::in_own_namespace(folder.path(), mount, &acts);
    let inode = fs::metadata(format!("/proc/{}/root{}", subject.pid(), path.display())).unwrap().ino();
    let capable = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        let user = format!("{NOBODY}");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps", "+bpf,+perfmon"]);
        command.args(["--ambient-caps", "+bpf,+perfmon"]).arg(everyone.program()).args(["files", "--budget=20"]);
        crate::common::run({
            command.args(arguments).current_dir("/");
            command
        })
    };
    let only = format!("inode == {inode} && fs == \"tmpfs\" && cached == {}", 40960);
    let run = capable(&["--jsonl", "-o", "container,path,inode,fs,cached", "--filter", &only]);
    if run.err.contains("CAP_BPF") || run.err.contains("setpriv") {
        return eprintln!("SKIPPED: {name}: {}", run.err);
    }
    let rows = run.lines_of_json();
    let row = rows.first().unwrap_or_else(|| panic!("{run:?}"));
    let why = row["absent"]["container"].as_str().unwrap_or_default();
    assert!(row["container"].is_null() && why.starts_with("denied: it may be in a mount namespace"), "{row}");
    let line = "which container a file belongs to is not known of all: ";
    assert_eq!(run.complaints().iter().filter(|said| said.contains(line)).count(), 1, "{run:?}");
    let run = capable(&["-o", "container,path", "--filter", &format!("{only} && container == \"x\"")]);
    assert!(run.err.contains("no row that could be read matches"), "{run:?}");
    // Nothing is said of what no column shows.
    assert!(!capable(&["-o", "path", "--top", "1"]).err.contains(line));
    // Who may look knows it.
    let rows = crate::complete(&["-o", "container,path,inode,fs,cached", "--filter", &only]).rows;
    let seen = rows.iter().any(|row| row["container"] == format!("namespace of {0} (subject)", subject.pid()));
    assert!(seen, "{rows:?}");
}
